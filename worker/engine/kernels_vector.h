/* kernels_vector.h: what the shared kernels need of an instruction set: vectors of floats, and a
 * part of one. Included by the sources that are compiled once for each instruction set; the
 * compiler's flags choose.
 *
 * All instruction sets, and all compilers, compute the same bits. So a*b+c is one operation with one
 * rounding where it is written as fused(a, b, c), and two wherever it is not: the compiler may join
 * none. A machine without such an operation computes what it would give. And a sum that runs along
 * the lanes has SUM_LANES of them everywhere, in as many vectors as that takes. */
#pragma once

/* Goes up whenever a kernel computes other bits than before: runs and workers of another number are of another
 * numeric class. */
#define MN_ARITHMETIC "mnemo-1"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <math.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_FEATURE_FMA) && defined(__aarch64__)
#include <arm_neon.h>
#endif

/* A tile is TILE_ROWS x TILE_VECTORS sums, which the registers hold beside a row of B, a block of a
 * matrix product such a tile or WIDE_ROWS x WIDE_VECTORS sums: a last vector alone has too few
 * sums to keep the multipliers busy. */
#if defined(__AVX512F__)
enum { LANES = 16, TILE_VECTORS = 4, WIDE_VECTORS = 4 };
#elif defined(__AVX2__)
enum { LANES = 8, TILE_VECTORS = 2, WIDE_VECTORS = 3 };
#else
enum { LANES = 4, TILE_VECTORS = 2, WIDE_VECTORS = 3 };
#endif
enum { TILE_ROWS = 6, MOST_ROWS = 6, WIDE_ROWS = TILE_ROWS * TILE_VECTORS / WIDE_VECTORS };

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef float vec_anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline, unused))

/* Before a loop over a few registers: arrays stay in registers only if no index is left. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll_count(8)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

INLINE vec load(const float *p)
{
    return *(const vec_anywhere *)p;
}

INLINE void store(float *p, vec v)
{
    *(vec_anywhere *)p = v;
}

INLINE vec splat(float x)
{
#if defined(__AVX512F__)
    return (vec)_mm512_set1_ps(x);
#elif defined(__AVX2__)
    return (vec)_mm256_set1_ps(x);
#else
    return (vec){x, x, x, x};
#endif
}

/* The first 1 .. LANES lanes; memory behind the others is not touched, and they read as zero. */
#if defined(__AVX512F__)

typedef __mmask16 lanes;

INLINE lanes first_lanes(size_t n)
{
    return (lanes)((1u << n) - 1);
}

INLINE vec load_lanes(const float *p, lanes some)
{
    return (vec)_mm512_maskz_loadu_ps(some, p);
}

INLINE void store_lanes(float *p, vec v, lanes some)
{
    _mm512_mask_storeu_ps(p, some, (__m512)v);
}

#elif defined(__AVX2__)

typedef __m256i lanes;

INLINE lanes first_lanes(size_t n)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - n));
}

INLINE vec load_lanes(const float *p, lanes some)
{
    return (vec)_mm256_maskload_ps(p, some);
}

INLINE void store_lanes(float *p, vec v, lanes some)
{
    _mm256_maskstore_ps(p, some, (__m256)v);
}

#else

typedef size_t lanes;

INLINE lanes first_lanes(size_t n)
{
    return n;
}

INLINE vec load_lanes(const float *p, lanes some)
{
    vec v = {0};
    for (size_t i = 0; i < LANES; i++)
        if (i < some)
            v[i] = p[i];
    return v;
}

INLINE void store_lanes(float *p, vec v, lanes some)
{
    for (size_t i = 0; i < LANES; i++)
        if (i < some)
            p[i] = v[i];
}

#endif

/* At most half of the lanes: with 512 bits, that is half the work on machines that split them. */
#if defined(__AVX512F__)

enum { HALVES_PAY = 1 };
typedef float half_vec __attribute__((vector_size(2 * LANES)));

INLINE half_vec splat_half(float x)
{
    return (half_vec)_mm256_set1_ps(x);
}

INLINE half_vec half_of(vec v)
{
    return (half_vec)_mm512_castps512_ps256((__m512)v);
}

INLINE half_vec load_half(const float *p, lanes some)
{
    return (half_vec)_mm256_maskz_loadu_ps((__mmask8)some, p);
}

INLINE void store_half(float *p, half_vec v, lanes some)
{
    if ((__mmask8)some == 0xff) /* who reads it next waits less for a store without a mask */
        _mm256_storeu_ps(p, (__m256)v);
    else
        _mm256_mask_storeu_ps(p, (__mmask8)some, (__m256)v);
}

#else

enum { HALVES_PAY = 0 };
typedef vec half_vec;

INLINE half_vec splat_half(float x)
{
    return splat(x);
}

INLINE half_vec half_of(vec v)
{
    return v;
}

INLINE half_vec load_half(const float *p, lanes some)
{
    return load_lanes(p, some);
}

INLINE void store_half(float *p, half_vec v, lanes some)
{
    store_lanes(p, v, some);
}

#endif

/* Constant `whole` lets one loop body serve the whole vectors of a row and the rest of it. */
INLINE vec load_part(const float *p, const bool whole, lanes some)
{
    return whole ? load(p) : load_lanes(p, some);
}

INLINE void store_part(float *p, vec v, const bool whole, lanes some)
{
    if (whole)
        store(p, v);
    else
        store_lanes(p, v, some);
}

/* condition ? v : 0 in each lane; a comparison gives all bits or none. */
INLINE vec keep_if(ivec condition, vec v)
{
    return (vec)(condition & (ivec)v);
}

/* Bit i: lane i of a comparison is true. */
INLINE unsigned bits_of(ivec condition)
{
#if defined(__AVX512F__)
    return _mm512_movepi32_mask((__m512i)condition);
#elif defined(__AVX2__)
    return (unsigned)_mm256_movemask_ps((__m256)condition);
#else
    unsigned bits = 0;
    for (int i = 0; i < LANES; i++)
        bits |= condition[i] != 0 ? 1u << i : 0;
    return bits;
#endif
}

INLINE vec choose(ivec condition, vec yes, vec no)
{
    return (vec)((condition & (ivec)yes) | (~condition & (ivec)no));
}

INLINE vec larger(vec a, vec b)
{
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return choose((ivec)(a > b), a, b);
#endif
}

INLINE half_vec larger_half(half_vec a, half_vec b)
{
#if defined(__AVX512F__)
    return (half_vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return larger(a, b);
#endif
}

/* mask > 0 ? v : 0 */
INLINE half_vec keep_half_if_positive(half_vec mask, half_vec v)
{
#if defined(__AVX512F__)
    return (half_vec)_mm256_maskz_mov_ps(
        _mm256_cmp_ps_mask((__m256)mask, _mm256_setzero_ps(), _CMP_GT_OQ), (__m256)v);
#else
    return keep_if((ivec)(mask > splat(0)), v);
#endif
}

/* ---- a * b + c with one rounding */

#if defined(__AVX2__) || defined(__ARM_FEATURE_FMA)

INLINE float fused_one(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}

#else

/* Without the instruction: by double, where the product is exact, and its sum with c has 29 bits more than the
 * result. Rounding that sum a second time goes wrong only if it lies half-way between two floats. */
/* Rounded to an odd last bit where it is inexact, a sum is never half-way, and 53 bits are so many more than
 * 24 that rounding again gives what one rounding of the exact sum would (Boldo, Melquiond 2008,
 * "Emulation of a FMA and correctly rounded sums"). */
static __attribute__((noinline, unused)) float fused_half_way(float a, float b, float c)
{
    double product = (double)a * (double)b, sum = product + (double)c;
    double from_c = sum - product;
    double rest =
        (product - (sum - from_c)) + ((double)c - from_c); /* sum + rest is exact (Knuth) */
    if (rest > 0 || rest < 0) {
        int64_t bits;
        memcpy(&bits, &sum, sizeof bits);
        if ((bits & 1) == 0)
            bits += (rest > 0) == (sum > 0) ? 1 : -1;
        memcpy(&sum, &bits, sizeof bits);
    }
    return (float)sum;
}

/* Half-way has one place among normal floats. Below them, it has others: up to the least of them, 0x00800000. */
INLINE float fused_one(float a, float b, float c)
{
    double sum = (double)a * (double)b + (double)c;
    float result = (float)sum;
    uint64_t bits;
    uint32_t size;
    memcpy(&bits, &sum, sizeof bits);
    memcpy(&size, &result, sizeof size);
    size &= INT32_MAX;
    if ((bits & 0x1fffffff) == 0x10000000 || size - 1 < 0x00800000)
        return fused_half_way(a, b, c);
    return result;
}

#endif

/* Of doubles: few of them, so a machine without the instruction calls the C library. */
INLINE double fused_double(double a, double b, double c)
{
    return __builtin_fma(a, b, c);
}

#if defined(__SSE2__) && !defined(__AVX2__)

/* fused_one() of two lanes: their sums, and whether one is half-way. */
INLINE __m128d sum_of_two(__m128 a, __m128 b, __m128 c, __m128i *half_way)
{
    __m128d sum = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c));
    /* the lower words say it; the upper ones are equal without meaning */
    *half_way = _mm_cmpeq_epi32(_mm_and_si128(_mm_castpd_si128(sum), _mm_set1_epi64x(0x1fffffff)),
                                _mm_set1_epi64x(0x10000000));
    return sum;
}

INLINE vec fused_by_doubles(vec va, vec vb, vec vc)
{
    const __m128 a = (__m128)va, b = (__m128)vb, c = (__m128)vc;
    __m128i low_half_way, high_half_way;
    __m128d low = sum_of_two(a, b, c, &low_half_way);
    __m128d high =
        sum_of_two(_mm_movehl_ps(a, a), _mm_movehl_ps(b, b), _mm_movehl_ps(c, c), &high_half_way);
    __m128 result = _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
    __m128i size = _mm_and_si128(_mm_castps_si128(result), _mm_set1_epi32(INT32_MAX));
    __m128i small = _mm_andnot_si128(_mm_cmpeq_epi32(size, _mm_setzero_si128()),
                                     _mm_cmplt_epi32(size, _mm_set1_epi32(0x00800001)));
    __m128i half_way =
        _mm_and_si128(_mm_or_si128(low_half_way, high_half_way), _mm_set1_epi64x(0xffffffff));
    if (_mm_movemask_epi8(_mm_or_si128(half_way, small)) == 0)
        return (vec)result;
    for (size_t l = 0; l < LANES; l++)
        vc[l] = fused_one(va[l], vb[l], vc[l]);
    return vc;
}

#endif

INLINE vec fused(vec a, vec b, vec c)
{
#if defined(__AVX512F__)
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_FEATURE_FMA) && defined(__aarch64__)
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined(__SSE2__)
    return fused_by_doubles(a, b, c);
#else
    for (size_t l = 0; l < LANES; l++)
        c[l] = fused_one(a[l], b[l], c[l]);
    return c;
#endif
}

/* c - a * b with one rounding */
INLINE vec fused_less(vec a, vec b, vec c)
{
#if defined(__AVX512F__)
    return (vec)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (vec)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_FEATURE_FMA) && defined(__aarch64__)
    return (vec)vfmsq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return fused(-a, b, c);
#endif
}

INLINE half_vec fused_half(half_vec a, half_vec b, half_vec c)
{
#if defined(__AVX512F__)
    return (half_vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return fused(a, b, c);
#endif
}

INLINE size_t smaller_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Doubles, for sums over many blocks: HALF of the lanes fill a vector. */
enum { HALF = LANES / 2 };
typedef double vec_double __attribute__((vector_size(4 * LANES)));
typedef double vec_double_anywhere __attribute__((vector_size(4 * LANES), aligned(8), may_alias));
typedef float half_anywhere __attribute__((vector_size(2 * LANES), aligned(4), may_alias));

INLINE vec_double load_double(const double *p)
{
    return *(const vec_double_anywhere *)p;
}

INLINE void store_double(double *p, vec_double v)
{
    *(vec_double_anywhere *)p = v;
}

INLINE vec_double widen(const float *p)
{
    return __builtin_convertvector(*(const half_anywhere *)p, vec_double);
}

INLINE vec_double splat_double(double x)
{
#if defined(__AVX512F__)
    return (vec_double)_mm512_set1_pd(x);
#elif defined(__AVX2__)
    return (vec_double)_mm256_set1_pd(x);
#else
    return (vec_double){x, x};
#endif
}

INLINE vec_double fused_doubles(vec_double a, vec_double b, vec_double c)
{
#if defined(__AVX512F__)
    return (vec_double)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__)
    return (vec_double)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    for (size_t l = 0; l < HALF; l++)
        c[l] = fused_double(a[l], b[l], c[l]);
    return c;
#endif
}

/* Sums that run along the lanes: number i of a row is in lane i % SUM_LANES, on every machine. */
enum { SUM_LANES = 16, SUM_VECTORS = SUM_LANES / LANES };

typedef struct lane_sums {
    vec part[SUM_VECTORS];
} lane_sums;

INLINE lane_sums no_sums(void)
{
    lane_sums w;
    UNROLL
    for (size_t v = 0; v < SUM_VECTORS; v++)
        w.part[v] = splat(0);
    return w;
}

/* Numbers [at, at + LANES) of a row of n: all are there if `whole`; else what is not reads as zero. */
INLINE vec load_of_row(const float *row, size_t n, size_t at, const bool whole)
{
    if (whole || at + LANES <= n)
        return load(row + at);
    return at < n ? load_lanes(row + at, first_lanes(n - at)) : splat(0);
}

/* step(at, whole) with a constant, for each SUM_LANES of a row of n. */
#define ALONG_ROW(n, step)                                                                         \
    do {                                                                                           \
        size_t at_ = 0;                                                                            \
        for (; at_ + SUM_LANES <= (n); at_ += SUM_LANES)                                           \
            step(at_, true);                                                                       \
        if (at_ < (n))                                                                             \
            step(at_, false);                                                                      \
    } while (0)

/* totals [LANES] += v */
INLINE void add_to_doubles(double *totals, vec v)
{
    float lane[LANES];
    store(lane, v);
    for (size_t l = 0; l < LANES; l += HALF)
        store_double(totals + l, load_double(totals + l) + widen(lane + l));
}
