#include "common/exact_sum.h"

#include "common/vector_clones.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

static_assert(FLT_EVAL_METHOD == 0, "double is computed as double (no x87)");

/* Adding 1.5*2^52 to a double of less than 2^51 rounds it to the nearest integer, and leaves that
 * integer in the low bits of the sum: rounding and conversion in one addition, on any vector unit.
 * The products are by powers of two and so exact, with or without fused multiply-add. */
#define MAGIC 0x1.8p52
#define MAGIC_BITS UINT64_C(0x4338000000000000)

enum { MEAN_BLOCK = 1024 };

static void add_one(size_t n, const float *row, int64_t *high, int64_t *low);
static void add_four(size_t n, const float *rows, size_t stride, int64_t *high, int64_t *low);
static uint64_t bits_of(double x);
static double integer_as_double(uint64_t integer);
static double value_of(int64_t high, int64_t low);
static bool mean_of_moderate(size_t n, const int64_t *high, const int64_t *low, double divisor,
                             float *out);
static void mean_of_two(size_t n, const float *rows, size_t stride, double divisor, float *out);
static void mean_of_some(size_t n, size_t n_rows, const float *rows, size_t stride, double divisor,
                         float *out);

/* Compares the bits without the sign: they are ordered like the numbers, Inf and NaN above all. */
MN_VECTOR_CLONES
bool mn_exact_accepts(size_t n, const float *x)
{
    int32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= INT32_MAX;
        largest = bits > largest ? bits : largest;
    }
    return largest < 0x4b800000; /* 2^24 */
}

void mn_exact_add(size_t n, const float *x, int64_t *sum)
{
    mn_exact_add_rows(n, 1, x, n, sum, sum + n);
}

void mn_exact_add_rows(size_t n, size_t n_rows, const float *rows, size_t stride, int64_t *high,
                       int64_t *low)
{
    size_t row = 0;
    for (; row + MN_EXACT_ROWS <= n_rows; row += MN_EXACT_ROWS)
        add_four(n, rows + row * stride, stride, high, low);
    for (; row < n_rows; row++)
        add_one(n, rows + row * stride, high, low);
}

/* Always inlined, so that n_rows is a constant and the inner loop no loop. */
static inline __attribute__((always_inline)) void add(size_t n, size_t n_rows,
                                                      const float *restrict rows, size_t stride,
                                                      uint64_t *restrict high,
                                                      uint64_t *restrict low)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t h = high[i] - n_rows * MAGIC_BITS, l = low[i] - n_rows * MAGIC_BITS;
        for (size_t r = 0; r < n_rows; r++) {
            double scaled = (double)rows[r * stride + i] * 0x1p23;
            double rounded = scaled + MAGIC;
            double rest = scaled - (rounded - MAGIC); /* exact, |rest| <= 1/2 */
            h += bits_of(rounded);
            l += bits_of(rest * 0x1p47 + MAGIC);
        }
        high[i] = h;
        low[i] = l;
    }
}

MN_VECTOR_CLONES
static void add_one(size_t n, const float *row, int64_t *high, int64_t *low)
{
    add(n, 1, row, 0, (uint64_t *)high, (uint64_t *)low);
}

MN_VECTOR_CLONES
static void add_four(size_t n, const float *rows, size_t stride, int64_t *high, int64_t *low)
{
    add(n, MN_EXACT_ROWS, rows, stride, (uint64_t *)high, (uint64_t *)low);
}

MN_VECTOR_CLONES
void mn_exact_merge(size_t n_digits, const int64_t *other, int64_t *sum)
{
    for (size_t i = 0; i < n_digits; i++)
        sum[i] = (int64_t)((uint64_t)sum[i] + (uint64_t)other[i]);
}

/* The largest float32 below 2^24 is 2^24 - 1; it makes a high digit of (2^24 - 1) * 2^23. A low
 * digit is at most one half of 2^47. */
MN_VECTOR_CLONES
bool mn_exact_plausible(size_t n, const int64_t *sum, uint32_t n_terms)
{
    uint64_t terms = n_terms < MN_EXACT_MAX_TERMS ? n_terms : MN_EXACT_MAX_TERMS;
    uint64_t high_limit = terms * UINT64_C(0xffffff) << 23;
    uint64_t low_limit = (terms == 1 ? 2 : terms) << 46; /* a carry takes the low digit to 2^47 */
    uint64_t n_refused = 0;
    for (size_t i = 0; i < n; i++) {
        n_refused += (uint64_t)sum[i] + high_limit > 2 * high_limit;
        n_refused += (uint64_t)sum[n + i] + low_limit > 2 * low_limit;
    }
    return n_refused == 0;
}

double mn_exact_value(size_t n, const int64_t *sum, size_t i)
{
    return value_of(sum[i], sum[n + i]);
}

bool mn_exact_is_whole(size_t n, const int64_t *sum, size_t i, int64_t *value)
{
    const __int128 units = (__int128)sum[i] * ((__int128)1 << 47) + sum[n + i]; /* of 2^-70 */
    const __int128 whole = units >> 70;
    *value = (int64_t)whole;
    return whole * ((__int128)1 << 70) == units;
}

void mn_exact_mean(size_t n, const int64_t *high, const int64_t *low, double divisor, float *out)
{
    for (size_t begin = 0; begin < n; begin += MEAN_BLOCK) {
        size_t size = n - begin < MEAN_BLOCK ? n - begin : MEAN_BLOCK;
        if (mean_of_moderate(size, high + begin, low + begin, divisor, out + begin))
            continue;
        for (size_t i = begin; i < begin + size; i++)
            out[i] = (float)(value_of(high[i], low[i]) / divisor);
    }
}

void mn_exact_mean_of_rows(size_t n, size_t n_rows, const float *rows, size_t stride,
                           double divisor, float *out)
{
    assert(n_rows > 1 && n_rows <= MN_EXACT_ROWS);
    if (n_rows == 2)
        mean_of_two(n, rows, stride, divisor, out);
    else
        mean_of_some(n, n_rows, rows, stride, divisor, out);
}

/* So few digits are added up as doubles, which hold their sums exactly: below 2^49 and 2^48. The one
 * addition that joins them rounds as value_of() does, whatever they carry. Dividing by a power of
 * two is to multiply by another. */
static inline __attribute__((always_inline)) void mean_of(size_t n, size_t n_rows,
                                                          const float *restrict rows, size_t stride,
                                                          double divisor, float *restrict out)
{
    int exponent;
    const double factor = frexp(divisor, &exponent) == 0.5 ? 1 / divisor : 0;
    for (size_t i = 0; i < n; i++) {
        double h = 0, l = 0;
        for (size_t r = 0; r < n_rows; r++) {
            double scaled = (double)rows[r * stride + i] * 0x1p23;
            double rounded = scaled + MAGIC - MAGIC;
            double rest = (scaled - rounded) * 0x1p47;
            h += rounded;
            l += rest + MAGIC - MAGIC;
        }
        out[i] = (float)(factor != 0 ? (h * 0x1p-23 + l * 0x1p-70) * factor
                                     : (h * 0x1p-23 + l * 0x1p-70) / divisor);
    }
}

/* All factors are powers of two, so that fusing a product with a sum changes nothing. It is added to 0
 * before it is scaled back, for a sum of nothing but -0 is 0, while what becomes too small keeps its
 * sign. */
MN_VECTOR_CLONES
void mn_exact_mean_of_one(size_t n, float *row)
{
    for (size_t i = 0; i < n; i++) {
        const float units = row[i] * 0x1p70f, size = fabsf(units);
        const float magic = size < 0x1p23f ? 0x1p23f : 0; /* beyond that all are whole */
        const float whole = copysignf(size + magic - magic, units);
        row[i] = whole * 0x1p-70f + 0;
    }
}

MN_VECTOR_CLONES
static void mean_of_two(size_t n, const float *rows, size_t stride, double divisor, float *out)
{
    mean_of(n, 2, rows, stride, divisor, out);
}

MN_VECTOR_CLONES
static void mean_of_some(size_t n, size_t n_rows, const float *rows, size_t stride, double divisor,
                         float *out)
{
    if (n_rows == 3)
        mean_of(n, 3, rows, stride, divisor, out);
    else
        mean_of(n, MN_EXACT_ROWS, rows, stride, divisor, out);
}

/* The integer high*2^47 + low does not depend on how the digits share it; it is rounded once, to
 * double, and then scaled, which is exact. */
static double value_of(int64_t high, int64_t low)
{
    return (double)((__int128)high * ((__int128)1 << 47) + low) * 0x1p-70;
}

/* The same bits as value_of(), faster, if every |high| < 2^50 and |low| < 2^62; false if not.
 * Carries are moved from low to high until -2^46 <= low < 2^46; then both digits are exact as
 * doubles, and so is all but the one addition that joins them. */
MN_VECTOR_CLONES
static bool mean_of_moderate(size_t n, const int64_t *high, const int64_t *low, double divisor,
                             float *restrict out)
{
    uint64_t n_large = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t h = (uint64_t)high[i], l = (uint64_t)low[i];
        n_large += h + (UINT64_C(1) << 50) >= UINT64_C(1) << 51;
        n_large += l + (UINT64_C(1) << 62) >= UINT64_C(1) << 63;

        uint64_t biased = l + (UINT64_C(1) << 62) + (UINT64_C(1) << 46); /* not negative */
        uint64_t carry = (biased >> 47) - (UINT64_C(1) << 15);
        double value =
            integer_as_double(h + carry) * 0x1p-23 + integer_as_double(l - (carry << 47)) * 0x1p-70;
        out[i] = (float)(value / divisor);
    }
    return n_large == 0;
}

static inline uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* A two's complement integer of magnitude below 2^51, exactly. */
static inline double integer_as_double(uint64_t integer)
{
    uint64_t bits = integer + MAGIC_BITS;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x - MAGIC;
}
