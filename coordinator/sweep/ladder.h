/* ladder.h: which run of a sweep goes next, which are done, and which are stopped on the way: successive
 * halving (Jamieson and Talwalkar 2016, arXiv:1502.07943, Algorithm 1). At rung k all points that were
 * admitted to it are compared by the mean over seeds of their validation score, and the best admitted[k + 1]
 * of them go on; of equals the first. A point goes on, or is stopped, as soon as it is certain whatever the
 * others give, so nobody waits for the sake of order, and the decision is the same whoever was first. (ASHA,
 * Li et al. 2020, never waits, but who goes on depends on who was faster.)
 * Books only: no clock, file or process. One thread owns a ladder. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_LADDER_TRIES 5u         /* of a leg that was cut without having ended in order */
#define MN_LADDER_PAUSE_US 500000u /* before the second, doubled each time */

typedef struct mn_ladder mn_ladder;

typedef enum mn_leg_ending {
    MN_LEG_PAUSED, /* at its rung */
    MN_LEG_DONE,   /* the whole run has ended, be it before the rung */
    MN_LEG_CUT,    /* killed, or its folder was still in use: to be tried again */
    MN_LEG_FAILED, /* and would do so again */
} mn_leg_ending;

typedef enum mn_point_fate {
    MN_POINT_OPEN,
    MN_POINT_STOPPED, /* others were better at a rung */
    MN_POINT_FAILED,  /* one of its runs has */
    MN_POINT_DONE,
} mn_point_fate;

/* n_points, n_seeds > 0; admitted[n_rungs + 1] points make each leg, admitted[0] is n_points. */
mn_status mn_ladder_new(uint32_t n_points, uint32_t n_seeds, uint32_t n_rungs,
                        const uint32_t *admitted, mn_ladder **out, mn_error *err);
void mn_ladder_destroy(mn_ladder **ladder);

/* Take the next leg that may be begun now; those of late rungs first, then by number. false: none is. */
bool mn_ladder_next(mn_ladder *ladder, uint64_t now_us, uint32_t *run, uint32_t *leg);

/* A leg has ended: one that was taken, or, before any was, one of an earlier life of the sweep. `score`: on
 * validation, the larger the better; NaN: there is none, which is worse than any. */
void mn_ladder_end(mn_ladder *ladder, uint32_t run, uint32_t leg, mn_leg_ending ending,
                   double score, uint64_t now_us);
/* A leg that was taken is to be taken again: it was stopped with the sweep, which may go on yet. */
void mn_ladder_put_back(mn_ladder *ladder, uint32_t run);

/* When mn_ladder_next may have more, though no leg ends; UINT64_MAX: never. */
uint64_t mn_ladder_wake_us(const mn_ladder *ladder);

/* May a leg be begun yet, now or once others have ended? */
bool mn_ladder_has_more(const mn_ladder *ladder);
/* Nothing is to come. */
bool mn_ladder_is_over(const mn_ladder *ladder);
uint32_t mn_ladder_n_done(const mn_ladder *ladder); /* runs that will not go on */

/* *rung: at which it was stopped. */
mn_point_fate mn_ladder_fate(const mn_ladder *ladder, uint32_t point, uint32_t *rung);
/* Mean over seeds at the last rung that all of them have reached, or at the end; NaN: none yet. */
double mn_ladder_score(const mn_ladder *ladder, uint32_t point);
