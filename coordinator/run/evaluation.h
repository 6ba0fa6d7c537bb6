/* evaluation.h: what test tasks say: mean and 95 % interval after each number of inner steps.
 * The interval is mean +- 1.96 sd / sqrt(n) over the n tasks that count, sd with n-1 in its
 * denominator: the normal approximation usual in few-shot learning. Rows lie by task index, so that
 * the table does not depend on who computed which task. Numbers in, text out; no other I/O. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct mn_estimate {
    double mean;
    double half_width; /* of the 95 % interval; NaN for fewer than two tasks */
} mn_estimate;

typedef struct mn_evaluation {
    mn_split split;
    bool classes;       /* accuracy has a meaning */
    uint32_t n_counted; /* tasks */
    uint32_t n_skipped; /* tasks whose loss was not finite or too large */
    mn_uint_list steps; /* inner steps */
    mn_estimate loss[MN_MAX_LIST], accuracy[MN_MAX_LIST]; /* [steps.n] */
} mn_evaluation;

/* columns of a row: loss and accuracy after each number of inner steps, then taken and skipped (1
 * or 0). */
size_t mn_evaluation_columns(const mn_uint_list *steps);

/* From rows [n_tasks, columns]. */
void mn_evaluation_from_rows(const mn_uint_list *steps, mn_split split, bool classes,
                             uint32_t n_tasks, const double *rows, mn_evaluation *out);

/* One number to compare two thetas by: the larger the better; of the entry for `inner_steps`, or
 * else the last. Accuracy if there are classes, else minus the loss; -INFINITY if no task counted.
 */
double mn_evaluation_score(const mn_evaluation *evaluation, uint32_t inner_steps);

/* The table, for people. */
void mn_evaluation_print(const mn_evaluation *evaluation, FILE *out);

/* The same as JSON text; owned by the caller (free). */
mn_status mn_evaluation_json(const mn_evaluation *evaluation, char **text, mn_error *err);
