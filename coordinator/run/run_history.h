/* run_history.h: RUN/metrics.jsonl from its beginning: its records one by one, or one number as it went, thinned
 * out to what a picture shows. */
#pragma once

#include "common/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* Called for each record; a status other than MN_OK ends the reading. */
typedef mn_status mn_history_visit(void *context, const json_t *record, mn_error *err);

/* Visit the records in order; only those that have `key` somewhere, which is looked for in the text, or if it is
 * NULL all; and of these only each `every`'th, from the middle of the first so many on. A torn line is left out.
 * MN_ERR_NO_INPUT: there is no metrics.jsonl. */
mn_status mn_history_each(const char *folder, const char *key, uint64_t every,
                          mn_history_visit *visit, void *context, mn_error *err);

/* A number of a record of metrics.jsonl, or of a row of test.json; NaN: it has none of this name. */
double mn_history_number(const json_t *record, const char *key);

/* Is this key of a record a score, and not how the run went (its rate, its time)? */
bool mn_history_is_score(const char *key);
