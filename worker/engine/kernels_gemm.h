/* kernels_gemm.h: matrix products of small and middling size, and transposition. */
#pragma once

#include "worker/engine/kernels_tile.h"

enum {
    /* A panel of B, DEPTH * TILE_COLUMNS floats, is at most 64 KiB and stays in the caches. */
    DEPTH = 256,
    /* From so many columns on the rows of B lie so far apart that a copy of the panel pays ... */
    WIDE = 512,
    /* ... if so many rows of A use it. */
    MANY_ROWS = 32,
    /* A transposed B goes by dots if k is at least so many times the rows of A (measured). */
    DOTS_PAY = 8,
    DOT_ROWS = LANES == 16 ? 5 : 2,
};

typedef float vec4 __attribute__((vector_size(16)));
typedef float vec4_anywhere __attribute__((vector_size(16), aligned(4), may_alias));

/* a [rows, cols] with rows `a_stride` apart -> at [cols, rows], likewise. */
static void transpose_one(size_t rows, size_t cols, const float *a, size_t a_stride, float *at,
                          size_t at_stride)
{
    size_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        const float *in = a + i * a_stride;
        size_t j = 0;
        for (; j + 4 <= cols; j += 4) {
            vec4 r0 = *(const vec4_anywhere *)(in + j);
            vec4 r1 = *(const vec4_anywhere *)(in + a_stride + j);
            vec4 r2 = *(const vec4_anywhere *)(in + 2 * a_stride + j);
            vec4 r3 = *(const vec4_anywhere *)(in + 3 * a_stride + j);
            vec4 low01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
            vec4 high01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
            vec4 low23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
            vec4 high23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
            float *out = at + j * at_stride + i;
            *(vec4_anywhere *)out = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
            *(vec4_anywhere *)(out + at_stride) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
            *(vec4_anywhere *)(out + 2 * at_stride) =
                __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
            *(vec4_anywhere *)(out + 3 * at_stride) =
                __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
        }
        for (; j < cols; j++)
            for (size_t p = 0; p < 4; p++)
                at[j * at_stride + i + p] = in[p * a_stride + j];
    }
    for (; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            at[j * at_stride + i] = a[i * a_stride + j];
}

static void transpose(size_t n, size_t rows, size_t cols, const float *a, float *at)
{
    for (size_t i = 0; i < n; i++, a += rows * cols, at += rows * cols)
        transpose_one(rows, cols, a, cols, at, rows);
}

/* The four sums over the lanes of v[0], v[1], v[2], v[3]. */
INLINE vec4 sums_of_lanes(const vec v[4])
{
    vec4 part[4];
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        vec4 quarter[LANES / 4];
        memcpy(quarter, &v[i], sizeof quarter);
        part[i] = quarter[0];
        UNROLL
        for (size_t q = 1; q < LANES / 4; q++)
            part[i] += quarter[q];
    }
    vec4 sum01 = __builtin_shufflevector(part[0], part[1], 0, 4, 1, 5) +
                 __builtin_shufflevector(part[0], part[1], 2, 6, 3, 7);
    vec4 sum23 = __builtin_shufflevector(part[2], part[3], 0, 4, 1, 5) +
                 __builtin_shufflevector(part[2], part[3], 2, 6, 3, 7);
    return __builtin_shufflevector(sum01, sum23, 0, 1, 4, 5) +
           __builtin_shufflevector(sum01, sum23, 2, 3, 6, 7);
}

/* c [rows, 4] (+)= a [rows, k] times b [4, k] transposed: the lanes run along k. The columns from
 * `columns` on are worked out from the last row of b that there is, and dropped. */
INLINE void dots(const size_t rows, size_t columns, size_t k, const float *a, const float *b,
                 float *c, size_t c_step, bool accumulate)
{
    vec sum[DOT_ROWS][4];
    const float *b_row[4];
    UNROLL
    for (size_t j = 0; j < 4; j++) {
        b_row[j] = b + smaller_size(j, columns - 1) * k;
        UNROLL
        for (size_t p = 0; p < rows; p++)
            sum[p][j] = splat(0);
    }
    for (size_t q = 0; q < k; q += LANES) {
        bool whole = k - q >= LANES;
        lanes some = first_lanes(smaller_size(LANES, k - q));
        vec part[4];
        UNROLL
        for (size_t j = 0; j < 4; j++)
            part[j] = whole ? load(b_row[j] + q) : load_lanes(b_row[j] + q, some);
        UNROLL
        for (size_t p = 0; p < rows; p++) {
            vec factor = whole ? load(a + p * k + q) : load_lanes(a + p * k + q, some);
            UNROLL
            for (size_t j = 0; j < 4; j++)
                sum[p][j] += factor * part[j];
        }
    }
    UNROLL
    for (size_t p = 0; p < rows; p++) {
        vec4 result = sums_of_lanes(sum[p]);
        for (size_t j = 0; j < columns; j++)
            c[p * c_step + j] = (accumulate ? c[p * c_step + j] : 0) + result[j];
    }
}

/* A few rows of A against all rows of a transposed B: no panel of B would be used often enough to
 * pay. */
static void gemm_by_dots(size_t m, size_t n, size_t k, const float *a, const float *b, float *c,
                         bool accumulate)
{
    for (size_t i = 0; i < m; i += DOT_ROWS) {
        size_t rows = smaller_size(DOT_ROWS, m - i);
        for (size_t j = 0; j < n; j += 4) {
            const float *a_i = a + i * k, *b_j = b + j * k;
            size_t columns = smaller_size(4, n - j);
            float *to = c + i * n + j;
            if (rows == DOT_ROWS)
                dots(DOT_ROWS, columns, k, a_i, b_j, to, n, accumulate);
            else
                for (size_t p = 0; p < rows; p++)
                    dots(1, columns, k, a_i + p * k, b_j, to + p * n, n, accumulate);
        }
    }
}

static void gemm(bool trans_a, bool trans_b, size_t m, size_t n, size_t k, const float *a,
                 const float *b, float *c, bool accumulate)
{
    float panel[DEPTH * TILE_COLUMNS] __attribute__((aligned(64)));
    if (n == 1 && m > 1) { /* a column is as good as a row, and a row fills the lanes */
        gemm(false, !trans_a, 1, m, k, b, a, c, accumulate);
        return;
    }
    if (!trans_a && trans_b && DOTS_PAY * m <= k) {
        gemm_by_dots(m, n, k, a, b, c, accumulate);
        return;
    }
    bool copy = trans_b || (n >= WIDE && m >= MANY_ROWS);
    for (size_t q = 0; q < k; q += DEPTH) {
        product t = {.k = smaller_size(DEPTH, k - q), .accumulate = accumulate || q > 0};
        t.a_step = trans_a ? m : 1;
        t.b_step = copy ? TILE_COLUMNS : n;
        for (size_t j = 0; j < n; j += TILE_COLUMNS) {
            size_t columns = smaller_size(TILE_COLUMNS, n - j);
            t.b = copy ? panel : b + q * n + j;
            if (trans_b)
                transpose_one(columns, t.k, b + j * k + q, k, panel, TILE_COLUMNS);
            else if (copy)
                for (size_t row = 0; row < t.k; row++)
                    memcpy(panel + row * TILE_COLUMNS, b + (q + row) * n + j, columns * sizeof *b);
            for (size_t i = 0, rows; i < m; i += rows) {
                rows = next_rows(m - i);
                for (size_t p = 0; p < rows; p++) {
                    t.a[p] = trans_a ? a + q * m + i + p : a + (i + p) * k + q;
                    t.c[p] = c + (i + p) * n + j;
                }
                multiply_tile(rows, columns, &t);
            }
        }
    }
}
