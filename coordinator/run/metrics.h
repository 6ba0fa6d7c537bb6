/* metrics.h: RUN/metrics.jsonl, one JSON object a line, for people, pandas and plots.
 * After each meta-step, with the means of the train scores over the tasks that count:
 *   {"step": 1, "loss": .., "accuracy": .., "support_loss": .., "lr": .., "grad_norm": ..,
 *    "skipped": 0, "tasks_per_s": .., "workers": 2, "threads": 4, "wall_s": ..,
 *    "share_tasks": .., "share_sums": .., "share_reduce": .., "share_outer": .., "share_wait": ..}
 * after each validation, with the judged score and those of its point, and those along another axis with
 * their points, as "val_accuracy_slow" of a mixture's set:
 *   {"step": 100, "val_inner_steps": 5, "val_loss": .., "val_loss_ci95": .., ...,
 *    "val_tasks": 200, "val_skipped": 0}
 * A number that is not finite is null. A resumed run first drops what came after its checkpoint. */
#pragma once

#include "common/error.h"
#include "coordinator/run/evaluation.h"
#include <stdint.h>

/* Where the threads' time went, of all ranks together, in microseconds of thread time. By the wall
 * clock: a machine that does other work as well lengthens all of it. */
typedef struct mn_step_time {
    uint64_t all_us;    /* threads x the time from the end of one allreduce to that of the next */
    uint64_t tasks_us;  /* computing tasks */
    uint64_t sums_us;   /* adding up what tasks gave, in the threads that computed them */
    uint64_t reduce_us; /* all tasks are done, the ranks' sums are being added */
    uint64_t outer_us;  /* the outer step, theta given out, the next round's first leases */
} mn_step_time;

/* Of steps that are shorter (seconds), waiting is in good part what handing out leases and theta takes, and
 * says little of whether there are threads too many. */
#define MN_SHORT_STEP_S 0.005

/* The same as parts of 1. */
typedef struct mn_step_shares {
    double tasks, sums, reduce, outer;
    double wait; /* the rest: threads without a task, as at the end of a step */
} mn_step_shares;

typedef struct mn_step_record {
    uint64_t step;        /* meta-steps done, this one included: 1, 2, ... */
    const double *scores; /* by the train scores: means over the tasks that count, NaN if none; lent
                             until the next step */
    double lr;
    double grad_norm;
    uint32_t skipped; /* tasks of the step that did not count */
    double tasks_per_s;
    uint32_t workers; /* remote ones, of all ranks */
    uint32_t threads; /* local and remote, of all ranks */
    double wall_s;    /* of training, all jobs of the run together */
    mn_step_time time;
    uint64_t theta; /* its fingerprint after the step, mn_training_checksum */
} mn_step_record;

/* The numbers of a step's record, or of a validation's, as metrics.jsonl has them, but for the point. */
typedef void mn_metrics_number(void *user, const char *key, double value);
void mn_metrics_step_numbers(const mn_step_record *record, const mn_score_list *train,
                             mn_metrics_number *visit, void *user);
void mn_metrics_validation_numbers(const mn_evaluation *evaluation, mn_metrics_number *visit,
                                   void *user);

/* Not a number where no thread's time was told of. */
mn_step_shares mn_step_time_shares(const mn_step_time *time);
/* sum += more: of several steps together. */
void mn_step_time_add(const mn_step_time *more, mn_step_time *sum);

typedef struct mn_metrics mn_metrics;

/* Open the file at the end, making it if needed, after dropping the lines of steps > done, of
 * validations after steps > validated, and a torn last one; the file is rewritten whole or not at
 * all. `train` is the list of a step's scores. */
mn_status mn_metrics_open(const char *path, const mn_score_list *train, uint64_t done,
                          uint64_t validated, mn_metrics **out, mn_error *err);
void mn_metrics_close(mn_metrics **metrics);

/* Meta-steps whose lines were dropped, and how long they had taken. */
uint64_t mn_metrics_dropped(const mn_metrics *metrics, double *wall_s);

/* wall_s of the last step that was kept; 0 if none. */
double mn_metrics_wall_s(const mn_metrics *metrics);

/* Add a line. Readers see that of a validation at once, that of a step at the next flush: a system call
 * for each step would be a good part of what a short one takes. */
mn_status mn_metrics_add_step(mn_metrics *metrics, const mn_step_record *record, mn_error *err);
mn_status mn_metrics_add_validation(mn_metrics *metrics, uint64_t step,
                                    const mn_evaluation *evaluation, mn_error *err);
mn_status mn_metrics_flush(mn_metrics *metrics, mn_error *err);

/* The scores of a validation that a record has, each with its key: "val_accuracy". */
#define MN_METRICS_KEY (MN_SCORE_KEY + 16)
typedef void mn_metrics_visitor(void *user, const char *key, const mn_score *score,
                                const mn_estimate *estimate);
void mn_metrics_visit(const mn_evaluation *evaluation, mn_metrics_visitor *visitor, void *user);
