/* comparison.h: several thetas judged on the same tasks. As each task is a pair, what makes a task
 * hard or easy falls out of the difference, whose interval is far shorter than those of the scores
 * themselves. Numbers in, text out; no other I/O. */
#pragma once

#include "common/error.h"
#include "coordinator/run/conditions.h"
#include "coordinator/run/evaluation.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Who was judged, and how it came out; all is lent. The table has its rows. */
typedef struct mn_contestant {
    const char *name;
    const mn_evaluation *table;
    const mn_conditions *conditions;
    const char *changes; /* what is not as in training; "": nothing */
    const char *leaks;   /* what test classes and training classes share; "": not compared */
    const char *theta;   /* which one it is, for people */
    const char *sha256;  /* of it, in hex */
    uint64_t step;       /* of the run */
} mn_contestant;

typedef struct mn_difference {
    uint32_t n;        /* pairs: tasks that count for both */
    double mean;       /* second less first; NaN if there is no pair */
    double half_width; /* of its 95 % interval, 1.96 sd / sqrt(n) over pairs; NaN for n < 2 */
    uint32_t higher;   /* tasks where the second has the higher number */
    uint32_t lower, equal;
    double
        p; /* two-sided sign test: of as uneven a split if both were as likely; 1: none differs */
} mn_difference;

/* Of score i of the first and j of the second, over the same number of tasks, row by row. Where
 * tasks have weights the mean is that of items, and the interval that of a difference of ratios. */
mn_difference mn_difference_between(const mn_evaluation *first, uint32_t i,
                                    const mn_evaluation *second, uint32_t j);

/* For each score that they share the means, and the differences to the first. Lists of scores that
 * differ share what stands for all of a list: the names at the judged point. */
void mn_comparison_print(size_t n, const mn_contestant *contestants, FILE *out);

/* Comma-separated values, a line for each: run, score and axis with point of every score, with mean and
 * half width of its interval; and run, score, axis, point and task of every task, with its value and
 * weight (empty if the task was skipped), for whoever has other questions than ours. */
void mn_comparison_points(size_t n, const mn_contestant *contestants, FILE *out);
void mn_comparison_tasks(size_t n, const mn_contestant *contestants, FILE *out);

/* {"runs": [{"run", "step", "theta", "theta_sha256", "conditions", the test table as "test", and from
 * the second on "differences": to the first}]}, of one contestant too; owned by the caller (free). */
mn_status mn_comparison_json(size_t n, const mn_contestant *contestants, char **text,
                             mn_error *err);
