/* child.h: a program of its own that we start and that does not outlive us. It is told nothing of the MPI job
 * or of Slurm's step that we are in, has no terminal, and writes to a file. If we are killed, it gets SIGTERM. */
#pragma once

#include "common/error.h"
#include <sys/types.h>

/* Start `program` with argv, which ends in NULL; what it says is put behind what `log` holds. */
mn_status mn_child_start(const char *program, char *const *argv, const char *log, pid_t *out,
                         mn_error *err);
