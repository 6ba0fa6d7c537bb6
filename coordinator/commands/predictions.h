/* predictions.h: what an adapted model says of a person's own items, told: as a table for people, as
 * CSV and as JSON for programs. */
#pragma once

#include "common/error.h"
#include "coordinator/commands/own_items.h"
#include "worker/learner/adapted.h"
#include <jansson.h>
#include <stdio.h>

typedef struct mn_predictions {
    const mn_adapted *adapted; /* lent, as items */
    const mn_own_items *items;
    float *answers; /* [n, mn_adapted_columns]; owned */
    double seconds; /* that judging took */
} mn_predictions;

/* Ask the adapted model. */
mn_status mn_predictions_new(const mn_adapted *adapted, const mn_own_items *items,
                             mn_predictions *out, mn_error *err);
void mn_predictions_fini(mn_predictions *predictions);

/* At most `most` lines, and what they come to: right ones, or the mean squared error, where the items
 * have answers. */
void mn_predictions_print(const mn_predictions *predictions, uint32_t most, FILE *out);

/* *text is the caller's. */
mn_status mn_predictions_csv(const mn_predictions *predictions, char **text, mn_error *err);

/* Into an object: "predictions", and "accuracy" or "squared_error". */
void mn_predictions_json(const mn_predictions *predictions, json_t *root);

/* Write predictions.csv and predictions.json (root) into a folder, which is made; each whole or not at
 * all. */
mn_status mn_predictions_write(const mn_predictions *predictions, const json_t *root,
                               const char *folder, mn_error *err);
