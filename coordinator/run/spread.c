#include "coordinator/run/spread.h"

#include <math.h>

static double student(uint32_t degrees);

mn_spread mn_spread_of(uint32_t n, const double *values)
{
    mn_spread out = {n > 0 ? 0 : NAN, NAN, NAN};
    double squares = 0;
    for (uint32_t k = 0; k < n; k++)
        out.mean += values[k] / n;
    for (uint32_t k = 0; k < n; k++)
        squares += (values[k] - out.mean) * (values[k] - out.mean);
    if (n > 1) {
        out.sd = sqrt(squares / (n - 1));
        out.half_width = student(n - 1) * out.sd / sqrt(n);
    }
    return out;
}

/* The 0.975 quantile of Student's t. Few degrees of freedom by table, more by the expansion of
 * Cornish and Fisher around the normal quantile, which is right to four digits there. */
static double student(uint32_t degrees)
{
    static const double few[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                                 2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
    const double z = 1.959964, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z, d = degrees;
    if (degrees <= sizeof few / sizeof *few)
        return few[degrees - 1];
    return z + (z3 + z) / (4 * d) + (5 * z5 + 16 * z3 + 3 * z) / (96 * d * d) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * d * d * d);
}
