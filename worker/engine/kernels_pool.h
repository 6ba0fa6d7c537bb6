/* kernels_pool.h: 2x2 max-pooling, channels in the lanes. */
#pragma once

#include "worker/engine/kernels_vector.h"
#include <stdbool.h>

/* LANES bytes <-> 32-bit lanes. By the machine's own instructions: compilers take such vectors
 * apart. */
INLINE ivec widen_bytes(const uint8_t *p)
{
#if defined(__AVX512F__)
    return (ivec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif defined(__AVX2__)
    return (ivec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    return (ivec){p[0], p[1], p[2], p[3]};
#endif
}

INLINE void narrow_to_bytes(ivec v, uint8_t *p)
{
#if defined(__AVX512F__)
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)v));
#elif defined(__AVX2__)
    __m128i low = _mm256_castsi256_si128((__m256i)v),
            high = _mm256_extracti128_si256((__m256i)v, 1);
    __m128i words = _mm_packus_epi32(low, high);
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
#else
    for (size_t i = 0; i < LANES; i++)
        p[i] = (uint8_t)v[i];
#endif
}

INLINE ivec load_index(const uint8_t *index, size_t n)
{
    uint8_t part[LANES] = {0};
    if (n == LANES)
        return widen_bytes(index) & 3;
    memcpy(part, index, n);
    return widen_bytes(part) & 3;
}

INLINE void store_index(uint8_t *index, ivec v, size_t n)
{
    uint8_t part[LANES];
    if (n == LANES) {
        narrow_to_bytes(v, index);
        return;
    }
    narrow_to_bytes(v, part);
    memcpy(index, part, n);
}

enum pooling { POOL_INDEX, POOL_GATHER, POOL_SCATTER };

/* What a kernel reads and writes: x and dx [n, height, width, c]; the others are pooled; unused
 * ones are NULL. */
typedef struct pool_arrays {
    const float *x, *dy, *y_relu;
    const uint8_t *index;
    uint8_t *new_index;
    float *y, *dx;
} pool_arrays;

/* `some` channels (or all lanes) of one window: its corners are at[0 .. 3] in x and dx, its result
 * is at[4]. */
INLINE void pool_window(const enum pooling kind, const bool whole, size_t some, const size_t at[5],
                        const pool_arrays *p)
{
    size_t n = whole ? LANES : some;
    lanes part = first_lanes(n);
    ivec index = kind == POOL_INDEX ? (ivec)splat(0) : load_index(p->index + at[4], n);
    vec v = splat(0);
    if (kind == POOL_INDEX)
        v = load_part(p->x + at[0], whole, part);
    if (kind == POOL_SCATTER)
        v = load_part(p->dy + at[4], whole, part);
    if (kind == POOL_SCATTER && p->y_relu != NULL)
        v = keep_if((ivec)(load_part(p->y_relu + at[4], whole, part) > splat(0)), v);
    UNROLL
    for (int32_t i = 0; i < 4; i++) {
        if (kind == POOL_INDEX) { /* v is the largest so far */
            vec next = load_part(p->x + at[i], whole, part);
            ivec more = (ivec)(next > v);
            v = choose(more, next, v);
            index = (more & i) | (~more & index);
            continue;
        }
        ivec here = (ivec)(index == i);
        if (kind == POOL_GATHER)
            v = choose(here, load_part(p->x + at[i], whole, part), v);
        else
            store_part(p->dx + at[i], keep_if(here, v), whole, part);
    }
    if (kind == POOL_INDEX)
        store_index(p->new_index + at[4], index, n);
    if (kind == POOL_GATHER)
        store_part(p->y + at[4], v, whole, part);
}

INLINE void pool(const enum pooling kind, size_t n, size_t height, size_t width, size_t c,
                 const pool_arrays *p)
{
    size_t pooled = 0;
    for (size_t image = 0; image < n; image++)
        for (size_t row = 0; row + 1 < height; row += 2)
            for (size_t column = 0; column + 1 < width; column += 2, pooled += c)
                for (size_t j = 0; j < c; j += LANES) {
                    size_t at[5] = {[4] = pooled + j};
                    at[0] = ((image * height + row) * width + column) * c + j;
                    at[1] = at[0] + c;
                    at[2] = at[0] + width * c;
                    at[3] = at[2] + c;
                    if (c - j >= LANES)
                        pool_window(kind, true, LANES, at, p);
                    else
                        pool_window(kind, false, c - j, at, p);
                }
}

static void max_pool_index(size_t n, size_t height, size_t width, size_t c, const float *x,
                           uint8_t *index)
{
    pool(POOL_INDEX, n, height, width, c, &(pool_arrays){.x = x, .new_index = index});
}

static void max_pool_gather(size_t n, size_t height, size_t width, size_t c, const float *x,
                            const uint8_t *index, float *y)
{
    pool(POOL_GATHER, n, height, width, c, &(pool_arrays){.x = x, .index = index, .y = y});
}

static void max_pool_scatter(size_t n, size_t height, size_t width, size_t c, const float *dy,
                             const uint8_t *index, const float *y, float *dx)
{
    if (height % 2 != 0 || width % 2 != 0) /* edges that no window covers */
        memset(dx, 0, n * height * width * c * sizeof *dx);
    pool(POOL_SCATTER, n, height, width, c,
         &(pool_arrays){.dy = dy, .index = index, .y_relu = y, .dx = dx});
}
