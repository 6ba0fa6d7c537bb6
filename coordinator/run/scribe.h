/* scribe.h: what rank 0 writes down and shows while a run goes on: metrics, progress, checkpoints,
 * the test table. All calls take NULL (the other ranks have no scribe) and then do nothing. One
 * thread. */
#pragma once

#include "common/error.h"
#include "coordinator/run/board.h"
#include "coordinator/run/checkpoint.h"
#include "coordinator/run/evaluation.h"
#include "coordinator/run/journal.h"
#include "coordinator/run/metrics.h"
#include "coordinator/run/run.h"
#include "coordinator/run/training.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_scribe mn_scribe;

typedef struct mn_scribe_config {
    const mn_experiment *experiment;
    const mn_training *training;
    const mn_conditions *conditions;  /* of the test; NULL: they are not written down */
    const mn_run *run;                /* NULL: nothing is written */
    const mn_score_list *test_scores; /* of an evaluation */
    const mn_task_set *tasks; /* whose notes go into checkpoints; may be NULL without a run */
    uint32_t n_ranks;
    uint32_t part, parts; /* of a series of runs, from 1; 0: of none */
    mn_digest data, numeric_class;
    bool resumed; /* from a checkpoint, which thus need not be written again */
    bool mixed;   /* so far */
    bool quiet;
    bool
        no_job; /* only checkpoints: nobody works yet, so nothing is told, shown or put into the journal */
} mn_scribe_config;

/* The config's pointers are lent for the scribe's life. */
mn_status mn_scribe_new(const mn_scribe_config *config, mn_scribe **out, mn_error *err);
void mn_scribe_destroy(mn_scribe **scribe);

/* What the run shows of itself; NULL: nothing, as nobody is to see it (run.page,
 * run.prometheus_textfile). */
mn_board *mn_scribe_board(const mn_scribe *scribe);

/* A meta-step is done; fills in the record's wall_s. Metrics that cannot be written are warned
 * about once. */
void mn_scribe_step(mn_scribe *scribe, mn_step_record *record, uint64_t now_us);
/* Call it often: steps that have waited for a tenth of a second become visible in metrics.jsonl. */
void mn_scribe_rest(mn_scribe *scribe, uint64_t now_us);
/* What is written down of what was out of the ordinary; NULL: nothing is, as there is no run. */
mn_journal *mn_scribe_journal(const mn_scribe *scribe);
/* A round of any kind is done: thread time of its tasks, and of tasks that did not count. */
void mn_scribe_work(mn_scribe *scribe, uint64_t tasks_us, uint64_t repeated_us, uint64_t repeated);
/* The job is over: into the journal, and how much of the work was done twice into the log. */
void mn_scribe_end(mn_scribe *scribe, mn_status status, const char *why);
/* Tell where the threads' time of all these steps went. */
void mn_scribe_tell_time(const mn_scribe *scribe);
void mn_scribe_validation(mn_scribe *scribe, const mn_evaluation *evaluation, bool best);
/* An evaluation is under way. */
void mn_scribe_evaluating(mn_scribe *scribe, mn_split split, uint32_t done, uint32_t total,
                          uint64_t now_us);
/* RUN/test.json */
mn_status mn_scribe_test(mn_scribe *scribe, const mn_evaluation *evaluation, mn_error *err);

void mn_scribe_mark_mixed(mn_scribe *scribe);

/* The numeric class of those who computed theta, where it was not known before. */
void mn_scribe_tell_class(mn_scribe *scribe, const mn_digest *numeric_class);

/* Does the experiment want a checkpoint of theta as it stands, and is it not yet written? A
 * validation that is due at this step comes first. */
bool mn_scribe_checkpoint_due(const mn_scribe *scribe);
/* Write a checkpoint unless the last one holds all this already. */
mn_status mn_scribe_checkpoint(mn_scribe *scribe, mn_error *err);
