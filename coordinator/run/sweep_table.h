/* sweep_table.h: what a sweep has found: a row a point, the best by validation, and for each key that varied the
 * mean over the points that share a value of it (its marginal). Numbers in, text out; no other I/O but
 * mn_sweep_table_write.
 * Runs that were stopped on the way were validated less often, so marginals of validation are taken after the
 * first leg, which all points have made; those of the test are over the points that were tested. */
#pragma once

#include "common/error.h"
#include "coordinator/run/outcome.h"
#include "coordinator/run/spread.h"
#include "coordinator/sweep/ladder.h"
#include "coordinator/sweep/plan.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MN_SWEEP_BINS 4u /* of a range, in the table */

typedef struct mn_sweep_result {
    bool there;         /* then: */
    mn_outcome outcome; /* of its last leg */
    mn_outcome first;   /* of its first, at which all points can be compared */
    bool under_way;     /* it is being made */
    mn_status failed;   /* MN_OK: it has not */
    char why[300];
} mn_sweep_result;

/* What has become of a sweep. */
typedef struct mn_sweep_results {
    mn_sweep_result *runs; /* [n_runs]; owned */
    struct mn_sweep_fate {
        mn_point_fate fate;
        uint32_t rung; /* at which it was stopped */
    } * points;        /* [n_points]; owned */
    uint32_t n_over;   /* runs that are done, stopped for good or failed */
    bool out_of_time;  /* the budget of hours was spent */
    double spent_s;    /* of all lives of the sweep */
} mn_sweep_results;

void mn_sweep_results_fini(mn_sweep_results *results);

/* Scores as people know them: a share is 0 to 1. */
typedef struct mn_sweep_row {
    uint32_t point;
    mn_point_fate fate;
    uint32_t rung;
    uint32_t n_seeds; /* that have a score on validation */
    uint32_t n_tested;
    mn_spread first;      /* of validation after the first leg, over seeds */
    mn_spread validation; /* the best so far */
    mn_spread test;       /* of one seed alone, its half_width is that over test tasks */
} mn_sweep_row;

typedef struct mn_sweep_group {
    char name[64];     /* a value, or a part of a range */
    uint32_t n_points; /* that have a score on validation */
    double validation; /* mean over these, after the first leg; NaN: none */
    uint32_t n_tested;
    double test; /* mean over the points that were tested; NaN: none */
} mn_sweep_group;

typedef struct mn_sweep_margin {
    uint32_t n;
    mn_sweep_group *groups; /* [n]; owned */
} mn_sweep_margin;

typedef struct mn_sweep_table {
    const mn_sweep_plan *plan; /* lent, as are the results */
    const mn_sweep_results *results;
    mn_score validated_by, judged; /* name "": nothing was */
    mn_sweep_row *rows;            /* [plan->n_points], the best first; owned */
    uint32_t n_best;               /* 1: rows[0] is the best by validation; 0: none is */
    mn_sweep_margin margins[MN_SWEEP_MAX_AXES]; /* by axis */
} mn_sweep_table;

/* Plan and results are lent for the table's life. */
mn_status mn_sweep_table_new(const mn_sweep_plan *plan, const mn_sweep_results *results,
                             mn_sweep_table **out, mn_error *err);
void mn_sweep_table_destroy(mn_sweep_table **table);

/* For people; of many points the best, and all marginals. */
void mn_sweep_table_print(const mn_sweep_table *table, FILE *out);
/* All of it; owned by the caller (free). */
mn_status mn_sweep_table_json(const mn_sweep_table *table, char **text, mn_error *err);

/* The same as FOLDER/sweep.json, which is never half written. */
mn_status mn_sweep_table_write(const mn_sweep_plan *plan, const mn_sweep_results *results,
                               const char *folder, mn_error *err);
