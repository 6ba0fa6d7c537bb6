/* kernels_bn.h: batch normalisation and its derivatives, in one pass over memory each.
 * Sums run in vector lanes over a block of rows and are added up in double from block to block.
 * Outputs are linear in the arrays once the factors of a channel are known, so these are worked out
 * first, in double. */
#pragma once

#include "worker/engine/kernels.h"
#include "worker/engine/kernels_vector.h"
#include <math.h>
#include <stdbool.h>

enum {
    BLOCK_ROWS = MN_BN_BLOCK, /* of a sum: times a few arrays of 64 channels, about the first
                                 cache */
    COMBINE_ROWS = 4,         /* of an output: more hide the order of memory from the prefetchers */
    BLOCK_CHANNELS = 128,     /* a multiple of LANES */
    UNROLLED = 4,             /* sums that run side by side, in a fixed order */
};

/* What a pass reads; unused ones are NULL. */
typedef struct bn_arrays {
    const float *x, *y, *dy, *tdy, *tx;
    const float *stats, *tsums;
    size_t rows, c;
} bn_arrays;

/* The sums of a pass, its terms per element: */
enum sums_kind {
    SUM_X,                /* x */
    SUM_GRADIENTS,        /* dy', dy' xh */
    SUM_TANGENTS,         /* tx, tx xh */
    SUM_TANGENT_GRADIENTS /* tdy', tdy' xh + dy' txh */
};

typedef struct channel_factors { /* of LANES channels */
    vec mean, inv_std, tsums0, tsums1;
} channel_factors;

INLINE void add_terms(const enum sums_kind kind, const bool relu, const bool whole, lanes some,
                      const bn_arrays *in, const channel_factors *f, size_t i, vec sums[2])
{
    vec xh = splat(0), g = splat(0);
    if (kind == SUM_X) {
        sums[0] += load_part(in->x + i, whole, some);
        return;
    }
    xh = (load_part(in->x + i, whole, some) - f->mean) * f->inv_std;
    if (kind == SUM_TANGENTS) {
        g = load_part(in->tx + i, whole, some);
        sums[0] += g;
        sums[1] = fused(g, xh, sums[1]);
        return;
    }
    g = load_part(in->dy + i, whole, some);
    ivec passes = relu ? (ivec)(load_part(in->y + i, whole, some) > splat(0)) : (ivec){0};
    if (relu)
        g = keep_if(passes, g);
    if (kind == SUM_GRADIENTS) {
        sums[0] += g;
        sums[1] = fused(g, xh, sums[1]);
        return;
    }
    vec txh = fused_less(xh, f->tsums1, load_part(in->tx + i, whole, some) - f->tsums0);
    sums[1] = fused(g, txh * f->inv_std, sums[1]);
    if (in->tdy != NULL) {
        vec tg = load_part(in->tdy + i, whole, some);
        if (relu)
            tg = keep_if(passes, tg);
        sums[0] += tg;
        sums[1] = fused(tg, xh, sums[1]);
    }
}

/* Adds the terms of LANES channels over rows [row, end) to totals [2][BLOCK_CHANNELS]. */
INLINE void sum_block(const enum sums_kind kind, const bool relu, const bool whole, lanes some,
                      const bn_arrays *in, const channel_factors *f, size_t channel, size_t row,
                      size_t end, double *totals)
{
    vec sums[UNROLLED][2];
    size_t i = row * in->c + channel;
    UNROLL
    for (size_t u = 0; u < UNROLLED; u++)
        sums[u][0] = sums[u][1] = splat(0);
    for (; row + UNROLLED <= end; row += UNROLLED, i += UNROLLED * in->c)
        UNROLL
    for (size_t u = 0; u < UNROLLED; u++)
        add_terms(kind, relu, whole, some, in, f, i + u * in->c, sums[u]);
    for (; row < end; row++, i += in->c)
        add_terms(kind, relu, whole, some, in, f, i, sums[0]);

    add_to_doubles(totals, (sums[0][0] + sums[1][0]) + (sums[2][0] + sums[3][0]));
    if (kind != SUM_X)
        add_to_doubles(totals + BLOCK_CHANNELS,
                       (sums[0][1] + sums[1][1]) + (sums[2][1] + sums[3][1]));
}

INLINE channel_factors load_factors(const bn_arrays *in, size_t channel, lanes some)
{
    channel_factors f = {splat(0), splat(0), splat(0), splat(0)};
    if (in->stats != NULL) {
        f.mean = load_lanes(in->stats + channel, some);
        f.inv_std = load_lanes(in->stats + in->c + channel, some);
    }
    if (in->tsums != NULL) {
        f.tsums0 = load_lanes(in->tsums + channel, some);
        f.tsums1 = load_lanes(in->tsums + in->c + channel, some);
    }
    return f;
}

/* totals [2][BLOCK_CHANNELS] += the sums of n channels from `first` on. */
INLINE void add_columns(const enum sums_kind kind, const bool relu, const bn_arrays *in,
                        size_t first, size_t n, double *totals)
{
    for (size_t row = 0; row < in->rows; row += BLOCK_ROWS) {
        size_t end = smaller_size(row + BLOCK_ROWS, in->rows);
        for (size_t j = 0; j < n; j += LANES) {
            lanes some = first_lanes(smaller_size(LANES, n - j));
            channel_factors f = load_factors(in, first + j, some);
            if (n - j >= LANES)
                sum_block(kind, relu, true, some, in, &f, first + j, row, end, totals + j);
            else
                sum_block(kind, relu, false, some, in, &f, first + j, row, end, totals + j);
        }
    }
}

/* out [1 or 2, c] = factor times the sums. */
INLINE void sum_columns(const enum sums_kind kind, const bool relu, const bn_arrays *in,
                        double factor, float *out)
{
    for (size_t first = 0; first < in->c; first += BLOCK_CHANNELS) {
        double totals[2 * BLOCK_CHANNELS] = {0};
        size_t n = smaller_size(BLOCK_CHANNELS, in->c - first);
        add_columns(kind, relu, in, first, n, totals);
        for (size_t j = 0; j < n; j++) {
            out[first + j] = (float)(factor * totals[j]);
            if (kind != SUM_X)
                out[in->c + first + j] = (float)(factor * totals[BLOCK_CHANNELS + j]);
        }
    }
}

static void column_sums(size_t rows, size_t c, const float *x, float *sums)
{
    sum_columns(SUM_X, false, &(bn_arrays){.rows = rows, .c = c, .x = x}, 1, sums);
}

static void bn_backward_sums(size_t rows, size_t c, bool relu, const float *x, const float *stats,
                             const float *y, const float *dy, float *sums)
{
    bn_arrays in = {.rows = rows, .c = c, .x = x, .stats = stats, .y = y, .dy = dy};
    if (relu)
        sum_columns(SUM_GRADIENTS, true, &in, 1, sums);
    else
        sum_columns(SUM_GRADIENTS, false, &in, 1, sums);
}

static void bn_add_sums(size_t rows, size_t c, const float *x, const float *stats, const float *dy,
                        double *totals)
{
    bn_arrays in = {.rows = rows, .c = c, .x = x, .stats = stats, .dy = dy};
    for (size_t first = 0; first < c; first += BLOCK_CHANNELS) {
        double part[2 * BLOCK_CHANNELS] = {0};
        size_t n = smaller_size(BLOCK_CHANNELS, c - first);
        memcpy(part, totals + first, n * sizeof *part);
        memcpy(part + BLOCK_CHANNELS, totals + c + first, n * sizeof *part);
        add_columns(SUM_GRADIENTS, false, &in, first, n, part);
        memcpy(totals + first, part, n * sizeof *part);
        memcpy(totals + c + first, part + BLOCK_CHANNELS, n * sizeof *part);
    }
}

static void bn_tangent_sums(size_t rows, size_t c, const float *x, const float *stats,
                            const float *tx, float *tsums)
{
    bn_arrays in = {.rows = rows, .c = c, .x = x, .stats = stats, .tx = tx};
    sum_columns(SUM_TANGENTS, false, &in, 1 / (double)rows, tsums);
}

static void bn_backward_tangent_sums(size_t rows, size_t c, bool relu, const float *x,
                                     const float *stats, const float *y, const float *dy,
                                     const float *tdy, const float *tx, const float *tsums,
                                     float *bsums)
{
    bn_arrays in = {.rows = rows,
                    .c = c,
                    .x = x,
                    .stats = stats,
                    .y = y,
                    .dy = dy,
                    .tdy = tdy,
                    .tx = tx,
                    .tsums = tsums};
    if (relu)
        sum_columns(SUM_TANGENT_GRADIENTS, true, &in, 1, bsums);
    else
        sum_columns(SUM_TANGENT_GRADIENTS, false, &in, 1, bsums);
}

/* Mean and summed squares about it of LANES channels over the rows of a block, which the first
 * cache holds. */
INLINE void block_moments(const bool whole, lanes some, const float *x, size_t c, size_t n,
                          float *mean, float *squares)
{
    vec sums[UNROLLED], m = splat(0);
    for (int pass = 0; pass < 2; pass++) {
        size_t r = 0;
        UNROLL
        for (size_t u = 0; u < UNROLLED; u++)
            sums[u] = splat(0);
        for (; r + UNROLLED <= n; r += UNROLLED)
            UNROLL
        for (size_t u = 0; u < UNROLLED; u++) {
            vec v = load_part(x + (r + u) * c, whole, some);
            sums[u] = pass == 0 ? sums[u] + v : fused(v - m, v - m, sums[u]);
        }
        for (; r < n; r++) {
            vec v = load_part(x + r * c, whole, some);
            sums[0] = pass == 0 ? sums[0] + v : fused(v - m, v - m, sums[0]);
        }
        vec sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        if (pass == 0)
            m = sum * splat(1 / (float)n);
        else
            store(squares, sum);
    }
    store(mean, m);
}

/* moments [2][BLOCK_CHANNELS], the mean and the summed squares about it of `before` rows, become
 * those of these rows too, of n channels from `first` on. Blocks are put together by the formula of
 * Chan, Golub, LeVeque 1979. */
static void add_moments(size_t before, size_t rows, size_t c, size_t first, size_t n,
                        const float *x, double *moments)
{
    double *mean = moments, *squares = moments + BLOCK_CHANNELS;
    for (size_t row = 0; row < rows; row += BLOCK_ROWS) {
        size_t block = smaller_size(BLOCK_ROWS, rows - row), so_far = before + row;
        double share = (double)block / (double)(so_far + block), weight = (double)so_far * share;
        for (size_t j = 0; j < n; j += LANES) {
            float block_mean[LANES], block_squares[LANES];
            const float *in = x + row * c + first + j;
            if (n - j >= LANES)
                block_moments(true, first_lanes(LANES), in, c, block, block_mean, block_squares);
            else
                block_moments(false, first_lanes(n - j), in, c, block, block_mean, block_squares);
            for (size_t l = 0; l < LANES; l += HALF) {
                vec_double m = load_double(mean + j + l);
                vec_double d = widen(block_mean + l) - m;
                store_double(mean + j + l, fused_doubles(d, splat_double(share), m));
                store_double(squares + j + l, fused_doubles(d * d, splat_double(weight),
                                                            load_double(squares + j + l) +
                                                                widen(block_squares + l)));
            }
        }
    }
}

static void bn_add_moments(size_t before, size_t rows, size_t c, const float *x, double *moments)
{
    for (size_t first = 0; first < c; first += BLOCK_CHANNELS) {
        double part[2 * BLOCK_CHANNELS] = {0};
        size_t n = smaller_size(BLOCK_CHANNELS, c - first);
        memcpy(part, moments + first, n * sizeof *part);
        memcpy(part + BLOCK_CHANNELS, moments + c + first, n * sizeof *part);
        add_moments(before, rows, c, first, n, x, part);
        memcpy(moments + first, part, n * sizeof *part);
        memcpy(moments + c + first, part + BLOCK_CHANNELS, n * sizeof *part);
    }
}

static void bn_stats(size_t rows, size_t c, double eps, const float *x, float *stats)
{
    for (size_t first = 0; first < c; first += BLOCK_CHANNELS) {
        double moments[2 * BLOCK_CHANNELS] = {0};
        size_t n = smaller_size(BLOCK_CHANNELS, c - first);
        add_moments(0, rows, c, first, n, x, moments);
        for (size_t j = 0; j < n; j++) {
            stats[first + j] = (float)moments[j];
            stats[c + first + j] =
                (float)(1 / sqrt(moments[BLOCK_CHANNELS + j] / (double)rows + eps));
        }
    }
}

/* The outputs: out = one + of_x (x - mean) + of_dy dy' + of_tdy tdy' + of_tx (tx - tsums0). */
typedef struct factors {
    float one[BLOCK_CHANNELS], of_x[BLOCK_CHANNELS], of_dy[BLOCK_CHANNELS];
    float of_tdy[BLOCK_CHANNELS], of_tx[BLOCK_CHANNELS];
} factors;

enum terms { HAS_DY = 1, HAS_TDY = 2, HAS_TX = 4, RELU_OUT = 8, MASK_IN = 16, MASK_OUT = 32 };

INLINE void combine_block(const unsigned terms, const bool whole, lanes some, const bn_arrays *in,
                          const factors *of, size_t first, size_t j, size_t row, size_t end,
                          float *out)
{
    channel_factors f = load_factors(in, first + j, some);
    vec one = load(of->one + j), of_x = load(of->of_x + j);
    vec of_dy = load(of->of_dy + j), of_tdy = load(of->of_tdy + j), of_tx = load(of->of_tx + j);
    for (size_t i = row * in->c + first + j; row < end; row++, i += in->c) {
        vec value = fused(of_x, load_part(in->x + i, whole, some) - f.mean, one);
        ivec passes = {0};
        if (terms & (MASK_IN | MASK_OUT))
            passes = (ivec)(load_part(in->y + i, whole, some) > splat(0));
        if (terms & HAS_TX)
            value = fused(of_tx, load_part(in->tx + i, whole, some) - f.tsums0, value);
        if (terms & (HAS_DY | HAS_TDY)) {
            vec g = splat(0);
            if (terms & HAS_DY)
                g = fused(of_dy, load_part(in->dy + i, whole, some), g);
            if (terms & HAS_TDY)
                g = fused(of_tdy, load_part(in->tdy + i, whole, some), g);
            value += terms & MASK_IN ? keep_if(passes, g) : g;
        }
        if (terms & MASK_OUT)
            value = keep_if(passes, value);
        if (terms & RELU_OUT)
            value = larger(splat(0), value); /* in this order NaN stays NaN */
        store_part(out + i, value, whole, some);
    }
}

/* `of` is of the channels from `first` on. */
INLINE void combine(const unsigned terms, const bn_arrays *in, const factors *of, size_t first,
                    float *out)
{
    size_t n = smaller_size(BLOCK_CHANNELS, in->c - first);
    for (size_t row = 0; row < in->rows; row += COMBINE_ROWS) {
        size_t end = smaller_size(row + COMBINE_ROWS, in->rows);
        for (size_t j = 0; j < n; j += LANES) {
            lanes some = first_lanes(smaller_size(LANES, n - j));
            if (n - j >= LANES)
                combine_block(terms, true, some, in, of, first, j, row, end, out);
            else
                combine_block(terms, false, some, in, of, first, j, row, end, out);
        }
    }
}

static void bn_forward(size_t rows, size_t c, bool relu, const float *x, const float *stats,
                       const float *gamma, const float *beta, float *y)
{
    bn_arrays in = {.rows = rows, .c = c, .x = x, .stats = stats};
    for (size_t first = 0; first < c; first += BLOCK_CHANNELS) {
        factors of = {0};
        for (size_t j = 0; j < smaller_size(BLOCK_CHANNELS, c - first); j++) {
            of.one[j] = beta[first + j];
            of.of_x[j] = gamma[first + j] * stats[c + first + j];
        }
        if (relu)
            combine(RELU_OUT, &in, &of, first, y);
        else
            combine(0, &in, &of, first, y);
    }
}

static void bn_backward(size_t rows, size_t all_rows, size_t c, bool relu, const float *x,
                        const float *stats, const float *gamma, const float *y, const float *dy,
                        const float *sums, float *dx)
{
    bn_arrays in = {.rows = rows, .c = c, .x = x, .stats = stats, .y = y, .dy = dy};
    double per_row = 1 / (double)all_rows;
    for (size_t first = 0; first < c; first += BLOCK_CHANNELS) {
        factors of = {0};
        for (size_t j = 0; j < smaller_size(BLOCK_CHANNELS, c - first); j++) {
            size_t i = first + j;
            double inv_std = (double)stats[c + i], scale = (double)gamma[i] * inv_std;
            of.of_dy[j] = (float)scale;
            of.of_x[j] = (float)(-scale * inv_std * (double)sums[c + i] * per_row);
            of.one[j] = (float)(-scale * (double)sums[i] * per_row);
        }
        if (relu)
            combine(HAS_DY | MASK_IN, &in, &of, first, dx);
        else
            combine(HAS_DY, &in, &of, first, dx);
    }
}

static void bn_tangent(size_t rows, size_t c, bool relu, const float *x, const float *stats,
                       const float *gamma, const float *y, const float *tx, const float *tsums,
                       const float *tgamma, const float *tbeta, float *ty)
{
    bn_arrays in = {.rows = rows, .c = c, .x = x, .stats = stats, .y = y, .tx = tx, .tsums = tsums};
    for (size_t first = 0; first < c; first += BLOCK_CHANNELS) {
        factors of = {0};
        for (size_t j = 0; j < smaller_size(BLOCK_CHANNELS, c - first); j++) {
            size_t i = first + j;
            double inv_std = (double)stats[c + i], scale = (double)gamma[i] * inv_std;
            double tscale = tgamma == NULL ? 0 : (double)tgamma[i];
            of.of_tx[j] = (float)scale;
            of.of_x[j] = (float)(inv_std * fused_double(-scale, (double)tsums[c + i], tscale));
            of.one[j] = tbeta == NULL ? 0 : tbeta[i];
        }
        if (relu)
            combine(HAS_TX | MASK_OUT, &in, &of, first, ty);
        else
            combine(HAS_TX, &in, &of, first, ty);
    }
}

static void bn_backward_tangent(size_t rows, size_t c, bool relu, const float *x,
                                const float *stats, const float *gamma, const float *tgamma,
                                const float *y, const float *dy, const float *sums,
                                const float *tdy, const float *tx, const float *tsums,
                                const float *bsums, float *tdx)
{
    bn_arrays in = {.rows = rows,
                    .c = c,
                    .x = x,
                    .stats = stats,
                    .y = y,
                    .dy = dy,
                    .tdy = tdy,
                    .tx = tx,
                    .tsums = tsums};
    double per_row = 1 / (double)rows;
    for (size_t first = 0; first < c; first += BLOCK_CHANNELS) {
        factors of = {0};
        for (size_t j = 0; j < smaller_size(BLOCK_CHANNELS, c - first); j++) {
            size_t i = first + j;
            double inv_std = (double)stats[c + i], square = inv_std * inv_std;
            double scale = (double)gamma[i], tscale = tgamma == NULL ? 0 : (double)tgamma[i];
            double mean_g = scale * (double)sums[i] * per_row,
                   m = scale * (double)sums[c + i] * per_row;
            double mean_tg = (scale * (double)bsums[i] + tscale * (double)sums[i]) * per_row;
            double tm = (scale * (double)bsums[c + i] + tscale * (double)sums[c + i]) * per_row;
            double tsums1 = (double)tsums[c + i];
            of.of_tdy[j] = (float)(inv_std * scale);
            of.of_dy[j] = (float)(inv_std * fused_double(-(inv_std * tsums1), scale, tscale));
            of.of_tx[j] = (float)(-square * m);
            of.of_x[j] = (float)(square * fused_double(2 * inv_std * m, tsums1, -tm));
            of.one[j] = (float)fused_double(square * tsums1, mean_g, -(inv_std * mean_tg));
        }
        const unsigned all = HAS_DY | HAS_TX;
        if (relu && tdy != NULL)
            combine(all | HAS_TDY | MASK_IN, &in, &of, first, tdx);
        else if (relu)
            combine(all | MASK_IN, &in, &of, first, tdx);
        else if (tdy != NULL)
            combine(all | HAS_TDY, &in, &of, first, tdx);
        else
            combine(all, &in, &of, first, tdx);
    }
}
