/* kernels_sums.h: sums over the rows of a matrix. */
#pragma once

#include "worker/engine/kernels_bn.h"
#include "worker/engine/kernels_map.h"

/* Few rows: the sums stay in registers, in as many chains as batch norm has. */
INLINE void sum_rows(size_t rows, size_t c, const float *x, bool whole, lanes some, float factor,
                     const float *base, float *sums)
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
    vec result = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    if (base != NULL)
        result = fused(splat(factor), result, load_part(base, whole, some));
    store_part(sums, result, whole, some);
}

static void sums_over_rows(size_t rows, size_t c, const float *x, float factor, const float *base,
                           float *sums)
{
    if (rows > BLOCK_ROWS) {
        column_sums(rows, c, x, sums);
        if (base != NULL)
            scale_add(c, factor, sums, base, sums);
        return;
    }
    size_t j = 0;
    for (; j + LANES <= c; j += LANES)
        sum_rows(rows, c, x + j, true, first_lanes(0), factor, base == NULL ? NULL : base + j,
                 sums + j);
    if (j < c)
        sum_rows(rows, c, x + j, false, first_lanes(c - j), factor, base == NULL ? NULL : base + j,
                 sums + j);
}
