/* seeds.h: one experiment trained with several seeds, for one seed is an anecdote: mean, deviation
 * and interval over seeds of each test score, and which seed validation would have chosen. Numbers in,
 * text out; no other I/O. */
#pragma once

#include "common/error.h"
#include "coordinator/run/evaluation.h"
#include "coordinator/run/spread.h"
#include "coordinator/run/training.h"
#include <stdint.h>
#include <stdio.h>

#define MN_MAX_SEEDS 100u

typedef struct mn_seed_result {
    uint64_t seed;
    uint32_t n_tasks;  /* tested that count */
    double *means;     /* [scores.n], of the test; owned */
    bool validated;    /* then: */
    double validation; /* the best score on validation, larger is better */
    uint64_t best_step;
    char sha256[65]; /* of the theta that was tested */
} mn_seed_result;

/* Zero-initialise. */
typedef struct mn_seed_table {
    mn_score_list scores; /* a copy, for learners come and go; owned */
    uint32_t chosen;      /* score by which validation says what is best */
    uint32_t n;
    mn_seed_result at[MN_MAX_SEEDS];
} mn_seed_table;

/* Add what the training of a seed has come to, whose best theta is that by `choose`; n < MN_MAX_SEEDS. Only its numbers are kept. The scores
 * are those of the first. */
mn_status mn_seed_table_add(mn_seed_table *table, uint64_t seed, const mn_evaluation *test,
                            const mn_training *training, mn_choose choose, const char *sha256,
                            mn_error *err);
/* Takes a zero one too, and leaves one. */
void mn_seed_table_fini(mn_seed_table *table);

mn_spread mn_seed_table_spread(const mn_seed_table *table, uint32_t score);

/* The place of the seed with the best validation, the first of equals; n: none was validated. */
uint32_t mn_seed_table_best(const mn_seed_table *table);

void mn_seed_table_print(const mn_seed_table *table, FILE *out);
/* The same as JSON text; owned by the caller (free). */
mn_status mn_seed_table_json(const mn_seed_table *table, char **text, mn_error *err);
