/* kernels_sums.h: sums over the rows of a matrix. */
#pragma once

#include "worker/engine/kernels_bn.h"

/* Few rows: the sums stay in registers, in as many chains as batch norm has. */
INLINE void sum_rows(size_t rows, size_t c, const float *x, bool whole, lanes some, float *sums)
{
    vec sum[UNROLLED];
    UNROLL
    for (size_t u = 0; u < UNROLLED; u++)
        sum[u] = splat(0);
    for (; rows >= UNROLLED; rows -= UNROLLED, x += UNROLLED * c) {
        UNROLL
        for (size_t u = 0; u < UNROLLED; u++)
            sum[u] += load_part(x + u * c, whole, some);
    }
    for (; rows > 0; rows--, x += c)
        sum[0] += load_part(x, whole, some);
    store_part(sums, (sum[0] + sum[1]) + (sum[2] + sum[3]), whole, some);
}

static void sums_over_rows(size_t rows, size_t c, const float *x, float *sums)
{
    if (rows > BLOCK_ROWS) {
        column_sums(rows, c, x, sums);
        return;
    }
    size_t j = 0;
    for (; j + LANES <= c; j += LANES)
        sum_rows(rows, c, x + j, true, first_lanes(0), sums + j);
    if (j < c)
        sum_rows(rows, c, x + j, false, first_lanes(c - j), sums + j);
}
