/* event_file.h: numbers and pictures by meta-step in a file that TensorBoard reads (proto/tensorboard.proto;
 * records framed as in TFRecord files, with masked CRC-32C). Each job of a run writes a file of its own,
 * which begins by saying from which step on what older files tell is out of date: so a run that was cut
 * and goes on is one curve. One thread. */
#pragma once

#include "common/error.h"
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_event_file mn_event_file;

/* Where the files of a run are, as run.tensorboard says: "true": in its own folder; else in
 * FOLDER/<the folder that the run's is in>/<the run's folder>. "": nowhere ("false"). */
mn_status mn_event_file_folder(const char *option, const char *run_folder, char out[PATH_MAX],
                               mn_error *err);

/* Make the folder and a new file in it. What older files tell of steps > done is out of date. */
mn_status mn_event_file_new(const char *folder, uint64_t done, mn_event_file **out, mn_error *err);
/* Takes NULL. */
void mn_event_file_close(mn_event_file **file);

/* A number of the event that is being put together; one that is not finite is left out. Tags are cut to
 * 127 bytes. */
void mn_event_file_add(mn_event_file *file, const char *tag, double value);
/* Write these numbers as one event. It is flushed at the latest with the first one a second later.
 * Without numbers it does nothing. */
mn_status mn_event_file_write(mn_event_file *file, uint64_t step, mn_error *err);
/* What was written survives the end of this process: call it before a checkpoint, from which the next
 * job goes on. */
mn_status mn_event_file_flush(mn_event_file *file, mn_error *err);

/* A picture, of a PNG file of at most 16 MiB, flushed. */
mn_status mn_event_file_picture(mn_event_file *file, const char *tag, uint64_t step,
                                const char *png, mn_error *err);
