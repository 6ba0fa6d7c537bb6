/* sweep_file.h: what a SWEEP.yaml says, and in which line. Text in, plain struct out; no other I/O.
 *   experiment: sinusoid-maml.yaml            the base, beside this file
 *   set:    {outer.steps: 2000}               of all runs, as --set
 *   grid:   {meta.kind: [maml, reptile]}      every combination of the lists
 *   random: {meta.inner_lr: log 0.01 .. 0.3}  drawn: from a range, or one of a list
 *   quasi-random: {...}                       the same, spread evenly (low_discrepancy.h)
 *   draws: 8        how many; each is combined with all of the grid
 *   draw_seed: 1    other draws
 *   seeds: 3        from the base's own on; or a list
 *   budget:  {runs: 40, steps: 100000, hours: 2}
 *   halving: {first: 500, factor: 3}          see ladder.h
 *   slots: 2        runs at a time on a host
 *   turn: 10        seconds for which a worker is lent to a run
 * Keys of experiments are not known here: see plan.h. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Together they fit into the command line of a run. */
#define MN_SWEEP_MAX_AXES 16u     /* keys that vary */
#define MN_SWEEP_MAX_SETTINGS 24u /* keys of `set` */
#define MN_SWEEP_MAX_VALUES 256u  /* of a key */
#define MN_SWEEP_MAX_SEEDS 100u
#define MN_SWEEP_MAX_RUNS 10000u
#define MN_SWEEP_KEY 64

typedef enum mn_sweep_way { MN_SWEEP_GRID, MN_SWEEP_RANDOM, MN_SWEEP_QUASI } mn_sweep_way;

typedef struct mn_sweep_axis {
    char key[MN_SWEEP_KEY]; /* of an experiment */
    size_t line;
    mn_sweep_way way;
    uint32_t n_values;
    char **values; /* [n_values]; owned. 0, NULL: a range */
    double low, high;
    bool log; /* the logarithm is drawn evenly */
} mn_sweep_axis;

typedef struct mn_sweep_setting {
    char key[MN_SWEEP_KEY];
    size_t line;
    char *value; /* owned */
} mn_sweep_setting;

/* Zero-initialise; mn_sweep_file_fini frees. */
typedef struct mn_sweep_file {
    char *experiment; /* as it stands there; owned */
    size_t experiment_line;
    uint32_t n_settings, n_axes;
    mn_sweep_setting settings[MN_SWEEP_MAX_SETTINGS];
    mn_sweep_axis axes[MN_SWEEP_MAX_AXES]; /* in the file's order */
    uint32_t draws;                        /* 0: not given */
    size_t draws_line;
    uint64_t draw_seed;
    uint32_t n_seeds; /* 0: only the base's own */
    bool seeds_listed;
    uint64_t seeds[MN_SWEEP_MAX_SEEDS]; /* [n_seeds], if they are listed */
    uint64_t most_runs, most_steps;     /* 0: any number */
    double most_hours;                  /* 0: any number */
    uint64_t first_rung;                /* meta-steps; 0: no halving */
    uint32_t factor;
    size_t halving_line;
    uint32_t slots; /* 0: by the cores */
    uint32_t turn_s;
} mn_sweep_file;

/* Read n bytes of text; `source` stands for the file's name in errors, which name the line, the key and
 * what is expected. MN_ERR_CONFIG; MN_ERR_NOMEM. On failure *out is zero. */
mn_status mn_sweep_file_parse(const char *source, const char *text, size_t n, mn_sweep_file *out,
                              mn_error *err);
void mn_sweep_file_fini(mn_sweep_file *file);
