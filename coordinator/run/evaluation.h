/* evaluation.h: what test tasks say: mean and 95 % interval of each score of the learner.
 * The interval is mean +- 1.96 sd / sqrt(n) over the n tasks that count, sd with n-1 in its
 * denominator: the normal approximation usual in few-shot learning. Rows lie by task index, so that
 * the table does not depend on who computed which task. Numbers in, text out; no other I/O. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "common/score.h"
#include "coordinator/run/conditions.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct mn_estimate {
    double mean;       /* NaN if no task counts */
    double half_width; /* of the 95 % interval; NaN for fewer than two tasks */
} mn_estimate;

typedef struct mn_evaluation {
    mn_split split;
    uint32_t n_counted;          /* tasks */
    uint32_t n_skipped;          /* tasks whose loss was not finite or too large */
    const mn_score_list *scores; /* lent, for the evaluation's life */
    mn_estimate *estimates;      /* [scores->n]; owned */
    double *rows; /* the tasks' own, as below, [n_counted + n_skipped]; owned; NULL: not kept */
} mn_evaluation;

/* From rows [n_tasks, 2 * scores->n + 2]: the scores, a weight for each, taken, skipped (1 or 0). A
 * mean is sum / sum of weights: the tasks' mean where all weights are 1, else the items'. Its
 * interval is that of a ratio, over the tasks that have any weight. The list is not empty.
 * MN_ERR_NOMEM: *out is zero. */
mn_status mn_evaluation_from_rows(const mn_score_list *scores, mn_split split, uint32_t n_tasks,
                                  const double *rows, mn_evaluation *out, mn_error *err);
/* Takes a zero one too, and leaves one. */
void mn_evaluation_fini(mn_evaluation *evaluation);

/* The mean over the points of scores->averaged of the score that is called as score i, each point
 * counting alike; its interval is that of independent ones. NaN: there is no such axis, or a point had
 * no task. */
mn_estimate mn_evaluation_mean_over_points(const mn_evaluation *evaluation, uint32_t i);

/* One number to compare two thetas by: the judged score, or the loss beside it, negative if less is
 * better, so that the larger is the better; -INFINITY if no task counted. */
double mn_evaluation_score(const mn_evaluation *evaluation, mn_choose choose);
/* Which score of the list that is. */
uint32_t mn_evaluation_chosen(const mn_score_list *scores, mn_choose choose);

/* The table, for people: a row a point, a column a name; at its end the mean over points. The
 * conditions are told beside it. */
void mn_evaluation_print(const mn_evaluation *evaluation, FILE *out);

/* The same as JSON text, with the conditions if they are given; owned by the caller (free). */
mn_status mn_evaluation_json(const mn_evaluation *evaluation, const mn_conditions *conditions,
                             char **text, mn_error *err);
/* And as an object; the caller owns it. */
struct json_t *mn_evaluation_object(const mn_evaluation *evaluation,
                                    const mn_conditions *conditions);

/* For a log line: the judged score and those of its point, as "loss 0.1234 +- 0.0012, accuracy 97.12 +- 0.21 %";
 * what does not fit is cut. */
void mn_evaluation_text(const mn_evaluation *evaluation, char *text, size_t n);
