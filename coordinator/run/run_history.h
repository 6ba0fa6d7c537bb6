/* run_history.h: one number of RUN/metrics.jsonl as it went, thinned out to what a picture shows. */
#pragma once

#include "common/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define MN_HISTORY_KEY 64

typedef struct mn_history {
    size_t n;
    /* [n] each; owned: the meta-step, its number, and half of its 95 % interval or NaN */
    double *step, *value, *half_width;
} mn_history;

/* The number called `key`: of meta-steps, as "loss", or of validations, as "val_loss", whose interval
 * stands beside it. Of more than `most` points so many groups are made, of which each is a mean.
 * Records without a finite such number are left out. MN_ERR_NO_INPUT: there is no metrics.jsonl. */
mn_status mn_history_read(const char *folder, const char *key, size_t most, mn_history *out,
                          mn_error *err);
void mn_history_fini(mn_history *history);

/* A number of a record of metrics.jsonl, or of a row of test.json; NaN: it has none of this name. */
double mn_history_number(const json_t *record, const char *key);

/* Is this key of a record a score, and not how the run went (its rate, its time)? */
bool mn_history_is_score(const char *key);
