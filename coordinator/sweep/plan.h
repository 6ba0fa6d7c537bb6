/* plan.h: which runs a sweep consists of: points, that is values of the keys that vary, each with every
 * seed; and the rungs of successive halving. A pure function of the file and the base experiment: a run is
 * what `mnemo train BASE --set ...` gives with the same settings. No I/O.
 * Point p is draw p / (combinations of the grid) with combination p % of these, whose last key goes
 * fastest; so a budget leaves out late draws, not whole values of the grid. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "common/options.h"
#include "coordinator/sweep/sweep_file.h"
#include <stddef.h>
#include <stdint.h>

#define MN_SWEEP_MAX_RUNGS 32u
#define MN_SWEEP_NAME 64
/* Settings of a run: the file's, the command line's, the point's, and its seed. */
#define MN_SWEEP_MAX_GIVEN 12u /* of the command line */
#define MN_SWEEP_MAX_SETS (MN_SWEEP_MAX_SETTINGS + MN_SWEEP_MAX_GIVEN + MN_SWEEP_MAX_AXES + 1)

typedef struct mn_sweep_plan {
    const mn_sweep_file *file; /* lent */
    const char *source;        /* its name; lent */
    const char *const *sets;   /* [n_sets] of the command line, of all runs; lent */
    size_t n_sets;
    mn_experiment base; /* with all that is set for all runs */
    uint32_t n_grid;    /* combinations of the grid */
    uint32_t n_wanted;  /* points that the file describes; more than n_points: the budget is less */
    uint32_t n_points, n_seeds;
    uint32_t n_runs;                           /* n_points * n_seeds; run r is point r / n_seeds */
    uint32_t n_rungs;                          /* decisions on the way; run legs are one more */
    uint64_t rungs[MN_SWEEP_MAX_RUNGS];        /* [n_rungs] meta-steps, growing */
    uint32_t admitted[MN_SWEEP_MAX_RUNGS + 1]; /* [n_rungs + 1] points that make each leg */
    uint64_t steps;                            /* meta-steps of all runs, if none ends early */
} mn_sweep_plan;

/* `base` is the base experiment as its file says. Every point is looked at: MN_ERR_CONFIG names the file, the
 * line, the key, the point if it is one, and what to do. */
mn_status mn_sweep_plan_make(const mn_sweep_file *file, const char *source,
                             const mn_experiment *base, const char *const *sets, size_t n_sets,
                             mn_sweep_plan *out, mn_error *err);

/* What a point gives to a key that varies, as one would write it. */
void mn_sweep_plan_value(const mn_sweep_plan *plan, uint32_t point, uint32_t axis,
                         char out[MN_OPTION_LONGEST]);
uint64_t mn_sweep_plan_seed(const mn_sweep_plan *plan, uint32_t run);

/* Its folder below SWEEP/runs: "007", with several seeds "007-seed-12". */
void mn_sweep_plan_name(const mn_sweep_plan *plan, uint32_t run, char name[MN_SWEEP_NAME]);

/* "meta.inner_lr=0.1 meta.kind=maml" of a point, for people; cut if longer. */
void mn_sweep_plan_words(const mn_sweep_plan *plan, uint32_t point, char *out, size_t size);

/* A run as `mnemo train` is told of it: "key=value" [*n], each to be freed, as is the list. */
mn_status mn_sweep_plan_sets(const mn_sweep_plan *plan, uint32_t run, char ***out, size_t *n,
                             mn_error *err);
/* And the experiment that this gives. */
mn_status mn_sweep_plan_experiment(const mn_sweep_plan *plan, uint32_t run, mn_experiment *out,
                                   mn_error *err);
