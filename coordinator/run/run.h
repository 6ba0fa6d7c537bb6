/* run.h: the folder of one training, and that no two jobs ever write it.
 *   RUN/experiment.yaml   the experiment as resolved       RUN/checkpoints/   see checkpoint.h
 *   RUN/metrics.jsonl     see metrics.h                    RUN/test.json      the final table
 *   RUN/outcome.json      see outcome.h
 *   RUN/endpoint          where workers find the run       RUN/curve.png ...  see chart.h
 *   RUN/page              where browsers find its page     (see coordinator/page/page.h)
 *   RUN/lock              held (flock) while a job writes here; its text says who
 * Only rank 0 opens a run. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef struct mn_run mn_run;

/* Make "runs/<name>-<UTC time>", with "-2", "-3", ... behind it while that is taken: of runs that
 * start together each gets a folder of its own. */
mn_status mn_run_default_folder(const char *name, time_t now, char folder[PATH_MAX], mn_error *err);

/* Has a run begun in this folder? (It holds an experiment.yaml.) */
bool mn_run_begun(const char *folder);
/* Or a sweep? (It holds a sweep.json.) */
bool mn_sweep_begun(const char *folder);
/* MN_ERR_NO_INPUT: says what is in a folder where a run should be, and what to give instead. */
mn_status mn_run_missing(const char *folder, mn_error *err);

/* Make the folder if needed and lock it; in a folder named runs/, runs/latest then links to it. The
 * run's id is the one of the endpoint file left by an earlier job, so that its workers find home,
 * else a new random one. MN_ERR_UNAVAILABLE: another job writes here; says which process on which
 * host. */
mn_status mn_run_open(const char *folder, mn_run **out, mn_error *err);
void mn_run_close(mn_run **run);

const char *mn_run_folder(const mn_run *run);
uint64_t mn_run_id(const mn_run *run);

/* "<folder>/<name>" */
mn_status mn_run_path(const char *folder, const char *name, char path[PATH_MAX], mn_error *err);

/* Write RUN/experiment.yaml. */
mn_status mn_run_write_experiment(const mn_run *run, const mn_experiment *experiment,
                                  mn_error *err);

/* Write RUN/endpoint: "run: <16 hex>", "key: <z85 or ->", then "endpoint: <where>" for each of n
 * ranks; an empty string is a rank that does not listen. */
mn_status mn_run_write_endpoint(const mn_run *run, const char *key, size_t n,
                                const char (*endpoints)[256], mn_error *err);
/* The run is complete: nobody should look for it any more. */
void mn_run_remove_endpoint(const mn_run *run);
