/* sweep_view.h: a sweep as its folder tells of it, while it goes or later: what mnemo status, top, explain and report
 * show of SWEEP. They read SWEEP/sweep.json, which the sweep writes as its runs end, and the lock. */
#pragma once

#include "common/error.h"
#include "coordinator/run/run_state.h"
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

typedef struct mn_sweep_view {
    char folder[PATH_MAX];
    mn_run_phase phase;
    char writer[256];
    json_t *table; /* sweep.json; owned */
} mn_sweep_view;

/* MN_ERR_NO_INPUT: there is none; MN_ERR_DATA: its sweep.json is damaged. */
mn_status mn_sweep_view_open(const char *folder, mn_sweep_view *out, mn_error *err);
void mn_sweep_view_close(mn_sweep_view *view);

bool mn_sweep_view_is_over(const mn_sweep_view *view); /* or nobody makes it any more */

/* How it stands, for people; and as JSON: the table with "sweep", "state" and "writer". */
void mn_sweep_view_print(const mn_sweep_view *view, FILE *out);
mn_status mn_sweep_view_json(const mn_sweep_view *view, FILE *out, mn_error *err);

/* Why runs failed, and what was cut. */
void mn_sweep_view_explain(const mn_sweep_view *view, FILE *out);

/* "settings: key=value ..." of a point of the table; its mean on validation or in the test, as people write it. */
void mn_sweep_view_words(const json_t *point, char *out, size_t n);
void mn_sweep_view_score(const mn_sweep_view *view, const json_t *point, const char *of,
                         char out[64]);
