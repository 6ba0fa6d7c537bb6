/* progress.h: what a person sees while a run goes on: one live line on a terminal, or else a log
 * line every so often. Losses and rates are smoothed (each step moves them by a fiftieth, or by
 * more in the first 50). One progress at a time: it hooks into the log, so that log lines and the
 * live line do not tear each other, whichever thread logs; all else is one thread's. */
#pragma once

#include "common/error.h"
#include "coordinator/run/metrics.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct mn_progress mn_progress;

typedef struct mn_progress_config {
    FILE *terminal;              /* the live line goes here; NULL: log lines instead */
    bool quiet;                  /* neither */
    uint32_t log_every_s;        /* between log lines */
    const mn_score_list *scores; /* of training; lent for the progress's life */
    uint64_t steps;              /* of the whole run */
} mn_progress_config;

mn_status mn_progress_new(const mn_progress_config *config, mn_progress **out, mn_error *err);

/* Clears the live line and frees. Does nothing if *progress is NULL. */
void mn_progress_destroy(mn_progress **progress);

/* A meta-step is done. */
void mn_progress_step(mn_progress *progress, const mn_step_record *record, uint64_t now_us);

/* Of an evaluation ("validation", "test"), `done` of `total` tasks are done. */
void mn_progress_evaluation(mn_progress *progress, const char *what, uint32_t done, uint32_t total,
                            uint64_t now_us);

/* The line as it stands, e.g.
 * "step 120/60000  loss 0.4321  accuracy 97.1 %  410 tasks/s  4 threads (3 workers)  ETA 12:34" */
void mn_progress_text(const mn_progress *progress, char *text, size_t n);
