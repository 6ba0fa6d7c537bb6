#include "worker/tasks/odds.h"

#include <math.h>

#define LEAST 1e-6
#define MOST 1e15
#define PARTS 1073741824.0 /* 2^30 */

mn_odds mn_odds_of(uint32_t n, const uint32_t *weights)
{
    mn_odds odds = {.n = n};
    for (uint32_t i = 0; i < n; i++) {
        odds.of[i] = weights[i];
        odds.total += weights[i];
    }
    return odds;
}

mn_odds mn_odds_by(uint32_t n, const uint32_t *weights, const double *by, double power)
{
    double shares[MN_MIX_MOST_PARTS], sum = 0;
    uint32_t odds[MN_MIX_MOST_PARTS];
    for (uint32_t i = 0; i < n; i++) {
        const double x = !(by[i] > LEAST) ? LEAST : by[i] < MOST ? by[i] : MOST;
        shares[i] = weights[i] * mn_odds_power(x, power);
        sum += shares[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        const double parts = shares[i] / sum * PARTS;
        odds[i] = parts > 1 ? (uint32_t)parts : 1;
    }
    return mn_odds_of(n, odds);
}

uint32_t mn_odds_draw(const mn_odds *odds, mn_random *random)
{
    uint32_t at = mn_random_below(random, odds->total), chosen = 0;
    while (at >= odds->of[chosen])
        at -= odds->of[chosen++];
    return chosen;
}

/* The root of the root gives the next binary digit of the power. */
double mn_odds_power(double x, double power)
{
    double product = 1;
    for (; power >= 1; power -= 1)
        product *= x;
    for (int digit = 0; digit < 20 && power > 0; digit++) {
        x = sqrt(x);
        power *= 2;
        if (power >= 1) {
            product *= x;
            power -= 1;
        }
    }
    return product;
}
