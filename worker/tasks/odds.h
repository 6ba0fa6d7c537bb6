/* odds.h: how often each set of a mixture is drawn. The odds are whole numbers and so is the draw:
 * weights as they were given, or weights times sizes or losses to a power, rounded to 2^30 parts. Only
 * + - * / and sqrt: the same bits with every C library. */
#pragma once

#include "common/mix.h"
#include "common/random.h"
#include <stdint.h>

typedef struct mn_odds {
    uint32_t n, total; /* sum of all of them */
    uint32_t of[MN_MIX_MOST_PARTS];
} mn_odds;

/* 1 <= n <= MN_MIX_MOST_PARTS; weights [n], each up to MN_MIX_MOST_WEIGHT. */
mn_odds mn_odds_of(uint32_t n, const uint32_t *weights);

/* weights[i] by[i]^power, with what is not between 1e-6 and 1e15 put there, no number too; 0 <= power
 * <= 4. A set with a weight keeps a chance, of one in 2^30 at least. */
mn_odds mn_odds_by(uint32_t n, const uint32_t *weights, const double *by, double power);

/* A set, by one draw. */
uint32_t mn_odds_draw(const mn_odds *odds, mn_random *random);

/* x^power for x > 0, 0 <= power <= 4, the power rounded down to a multiple of 2^-20. */
double mn_odds_power(double x, double power);
