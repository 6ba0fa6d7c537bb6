/* spread.h: what several runs of one experiment with other seeds have in common. Numbers in, numbers
 * out. */
#pragma once

#include <stdint.h>

typedef struct mn_spread {
    double mean;       /* NaN for none */
    double sd;         /* with n-1; NaN for fewer than two */
    double half_width; /* of the mean's 95 % interval, by Student's t; NaN likewise */
} mn_spread;

mn_spread mn_spread_of(uint32_t n, const double *values);
