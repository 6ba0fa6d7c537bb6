/* kernels_loops.h: kernels whose plain loops a compiler makes vectors of, or that seldom matter:
 * rows that are repeated and taken apart, functions of one number, choices. One text for the
 * reference (mn_real may be double) and for each instruction set. */
#pragma once

#include "common/real_functions.h"
#include "worker/engine/kernels.h"
#include <math.h>
#include <string.h>

static void fill(size_t n, mn_real value, mn_real *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = value;
}

static void reciprocal(size_t n, const mn_real *x, mn_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = 1 / x[i];
}

static void root(size_t n, const mn_real *x, mn_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (mn_real)sqrt((double)x[i]);
}

static void logarithm(size_t n, const mn_real *x, mn_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (mn_real)mn_real_log((double)x[i]);
}

/* log(1 + exp(x)), without overflow. */
static void softplus(size_t n, const mn_real *x, mn_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (mn_real)((x[i] > 0 ? (double)x[i] : 0.0) +
                         mn_real_log1p(mn_real_exp(-fabs((double)x[i]))));
}

static void repeat_rows(size_t rows, size_t times, size_t c, const mn_real *a, mn_real *out)
{
    for (size_t i = 0; i < rows; i++, a += c)
        for (size_t k = 0; k < times; k++, out += c)
            memcpy(out, a, c * sizeof *out);
}

static void tile_rows(size_t n, size_t times, const mn_real *a, mn_real *out)
{
    for (size_t k = 0; k < times; k++)
        memcpy(out + k * n, a, n * sizeof *out);
}

static void sum_tiles(size_t n, size_t times, const mn_real *a, mn_real *out)
{
    memcpy(out, a, n * sizeof *out);
    for (size_t k = 1; k < times; k++)
        for (size_t j = 0; j < n; j++)
            out[j] += a[k * n + j];
}

/* Columns [first, first + c) of a wide matrix, to and from a narrow one. */
static void take_columns(size_t rows, size_t wide, size_t first, size_t c, const mn_real *a,
                         mn_real *out)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(out + i * c, a + i * wide + first, c * sizeof *out);
}

/* A row of a recurrence: h = u + decay .* before; decay is one number, if gates is 1, or c. The includer has it. */
static void scan_row(size_t c, size_t gates, const mn_real *decay, const mn_real *before,
                     const mn_real *u, mn_real *h);

static void scan(size_t n, size_t steps, size_t c, size_t gates, bool backwards,
                 const mn_real *decay, const mn_real *u, mn_real *h)
{
    for (size_t i = 0; i < n; i++) {
        const mn_real *before = NULL;
        for (size_t k = 0; k < steps; k++) {
            const size_t row = i * steps + (backwards ? steps - 1 - k : k);
            if (before != NULL)
                scan_row(c, gates, decay + row * gates, before, u + row * c, h + row * c);
            else if (h != u)
                memcpy(h + row * c, u + row * c, c * sizeof *h);
            before = h + row * c;
        }
    }
}

/* Sum over rows of weight * -sum target log softmax(z), nats. */
static double weighted_cross_entropy(size_t rows, size_t c, const mn_real *z, const mn_real *target,
                                     const mn_real *weights)
{
    double loss = 0;
    for (size_t i = 0; i < rows; i++, z += c, target += c) {
        double largest = (double)z[0], sum = 0;
        if (!(weights[i] != 0)) /* padding; its numbers may be anything */
            continue;
        for (size_t j = 1; j < c; j++)
            largest = (double)z[j] > largest ? (double)z[j] : largest;
        for (size_t j = 0; j < c; j++)
            sum += mn_real_exp((double)z[j] - largest);
        double log_sum = mn_real_log(sum) + largest, item = 0;
        for (size_t j = 0; j < c; j++)
            item += (double)target[j] * (log_sum - (double)z[j]);
        loss += (double)weights[i] * item;
    }
    return loss;
}

static double mean_of(size_t n, const mn_real *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum / (double)n;
}

#define MN_LOOPS                                                                                   \
    .fill = fill, .reciprocal = reciprocal, .root = root, .logarithm = logarithm,                  \
    .softplus = softplus, .repeat_rows = repeat_rows, .tile_rows = tile_rows,                      \
    .sum_tiles = sum_tiles, .take_columns = take_columns, .scan = scan,                            \
    .weighted_cross_entropy = weighted_cross_entropy, .mean = mean_of
