#include "coordinator/sweep/low_discrepancy.h"

#include "common/random.h"
#include <math.h>

/* By Newton's method on x^(d+1) - x - 1, which is convex and grows to the right of its root. */
static double root(uint32_t d)
{
    double x = 2;
    for (int k = 0; k < 64; k++)
        x -= (pow(x, d + 1) - x - 1) / ((d + 1) * pow(x, d) - 1);
    return x;
}

double mn_low_discrepancy(uint64_t seed, uint32_t d, uint32_t j, uint64_t i)
{
    mn_random shift = mn_random_stream(seed, MN_RANDOM_SWEEP_SHIFT, j);
    const uint64_t step = (uint64_t)(pow(root(d), -(double)(j + 1)) * 0x1p64);
    uint64_t start = mn_random_u32(&shift);
    start = start << 32 | mn_random_u32(&shift);
    return (double)((start + (i + 1) * step) >> 11) * 0x1p-53;
}
