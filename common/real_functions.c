#include "common/real_functions.h"

#include <math.h>

/* x = n ln 2 + r, |r| <= ln(2)/2: e^r by Taylor's series, whose rest after r^13 is below 5e-18. ln 2 is in two
 * parts, the first of so few bits that n times it is exact. */
double mn_real_exp(double x)
{
    if (isnan(x))
        return x;
    if (x > 709.9)
        return INFINITY;
    if (x < -745.2)
        return 0;
    const double n = floor(x * 0x1.71547652b82fep+0 + 0.5);
    const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double series = 0;
    for (int k = 13; k >= 2; k--)
        series = (series + 1) * r / k;
    return ldexp(1 + (r + r * series), (int)n);
}

/* x = m 2^e, m in [sqrt(1/2), sqrt(2)): log m = 2 atanh(s) = 2 (s + s^3/3 + s^5/5 + ..), s = (m-1)/(m+1),
 * |s| < 0.172. */
double mn_real_log(double x)
{
    if (!(x > 0))
        return x == 0 ? -INFINITY : NAN;
    if (isinf(x))
        return x;
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2.0;
        exponent--;
    }
    double s = (m - 1.0) / (m + 1.0), s2 = s * s, series = 0.0;
    for (int k = 21; k >= 3; k -= 2)
        series = (series + 1.0 / k) * s2;
    return exponent * 0x1.62e42fefa39efp-1 + 2.0 * (s + s * series);
}

/* What 1 + x loses of x is made good by the derivative. */
double mn_real_log1p(double x)
{
    const double sum = 1 + x;
    return isinf(sum) ? sum : mn_real_log(sum) + (x - (sum - 1)) / sum;
}

/* Exact reduction to an eighth of a turn, then Taylor's series. */
double mn_real_cosine_of_turns(double turns)
{
    int quarter = (int)(turns * 4.0 + 0.5); /* the nearest: 0 .. 4 */
    double t = (turns - quarter * 0.25) * 0x1.921fb54442d18p+2, t2 = t * t;
    double cosine = 1.0, sine = 1.0;
    for (int k = 16; k >= 2; k -= 2) {
        cosine = 1.0 - cosine * t2 / (k * (k - 1));
        sine = 1.0 - sine * t2 / (k * (k + 1));
    }
    sine *= t;
    switch (quarter & 3) {
    case 0:
        return cosine;
    case 1:
        return -sine;
    case 2:
        return -cosine;
    default:
        return sine;
    }
}
