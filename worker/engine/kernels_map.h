/* kernels_map.h: what goes element by element, window by window or row by row: arithmetic, tanh,
 * softmax, pooling. */
#pragma once

#include "worker/engine/kernels_loops.h"
#include "worker/engine/kernels_vector.h"
#include <math.h>
#include <stdbool.h>

/* exp(x), within 1 ulp where the result is a normal number; the polynomial is Cephes' (expf). */
INLINE vec exponential(vec x)
{
    const vec magic =
        splat(12582912);        /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    x = larger(splat(-104), x); /* in this order NaN stays NaN */
    x = choose((ivec)(x > splat(89)), splat(89), x);
    vec shifted = fused(x, splat(1.44269504F), magic);
    vec n = shifted - magic;
    ivec power = (ivec)shifted - (ivec)magic;
    vec r = fused_less(n, splat(0.693359375F), x); /* ln 2 in two parts */
    r = fused(n, splat(2.12194440e-4F), r);
    vec p = fused(splat(1.9875691500e-4F), r, splat(1.3981999507e-3F));
    p = fused(p, r, splat(8.3334519073e-3F));
    p = fused(p, r, splat(4.1665795894e-2F));
    p = fused(p, r, splat(1.6666665459e-1F));
    p = fused(p, r, splat(5.0000001201e-1F));
    p = fused(p, r * r, r) + splat(1);
    ivec half = power >> 1; /* 2^power in two factors, for results below the normal numbers */
    return p * (vec)((half + 127) << 23) * (vec)((power - half + 127) << 23);
}

/* tanh(x), within 2 ulp; the polynomial near 0 is Cephes' (tanhf). */
INLINE vec hyperbolic_tangent(vec x)
{
    const ivec sign = (ivec)splat(-0.0F);
    vec size = (vec)((ivec)x & ~sign), z = x * x;
    vec far = splat(1) - splat(2) / (exponential(size + size) + splat(1));
    vec p = fused(splat(-5.70498872745e-3F), z, splat(2.06390887954e-2F));
    p = fused(p, z, splat(-5.37397155531e-2F));
    p = fused(p, z, splat(1.33314422036e-1F));
    p = fused(p, z, splat(-3.33332819422e-1F));
    p = fused(p * z, x, x);
    return choose((ivec)(size < splat(0.625F)), p, (vec)((ivec)far | ((ivec)x & sign)));
}

enum operation {
    ADD,
    SCALE,
    SCALE_ADD,
    MULTIPLY,
    MULTIPLY_ADD,
    RELU,
    MASK,
    TANH,
    TANH_BACKWARD,
    TANH_CURVE,
    SIGMOID,
    EXPONENTIAL
};

INLINE vec apply(const enum operation operation, vec factor, vec a, vec b, vec c)
{
    switch (operation) {
    case ADD:
        return a + b;
    case SCALE:
        return factor * a;
    case SCALE_ADD:
        return fused(factor, a, b);
    case MULTIPLY:
        return a * b;
    case MULTIPLY_ADD:
        return fused(a, b, c);
    case RELU:
        return larger(splat(0), a); /* in this order NaN stays NaN */
    case MASK:
        return keep_if((ivec)(a > splat(0)), b);
    case TANH:
        return hyperbolic_tangent(a);
    case TANH_BACKWARD:
        return fused_less(a, a, splat(1)) * b;
    case TANH_CURVE:
        return splat(-2) * a * b * c;
    case SIGMOID:
        return splat(1) / (splat(1) + exponential(splat(0) - a));
    case EXPONENTIAL:
        return exponential(a);
    }
    return a;
}

/* Unused inputs are given as `a`, and the compiler drops their loads. */
INLINE void map(const enum operation operation, size_t n, float factor, const float *a,
                const float *b, const float *c, float *out)
{
    vec f = splat(factor);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(out + i, apply(operation, f, load(a + i), load(b + i), load(c + i)));
    if (i < n) {
        lanes some = first_lanes(n - i);
        store_lanes(out + i,
                    apply(operation, f, load_lanes(a + i, some), load_lanes(b + i, some),
                          load_lanes(c + i, some)),
                    some);
    }
}

static void add(size_t n, const float *a, const float *b, float *out)
{
    map(ADD, n, 0, a, b, a, out);
}

static void scale(size_t n, float factor, const float *a, float *out)
{
    map(SCALE, n, factor, a, a, a, out);
}

static void scale_add(size_t n, float factor, const float *a, const float *b, float *out)
{
    map(SCALE_ADD, n, factor, a, b, a, out);
}

static void multiply(size_t n, const float *a, const float *b, float *out)
{
    map(MULTIPLY, n, 0, a, b, a, out);
}

static void relu(size_t n, const float *x, float *y)
{
    map(RELU, n, 0, x, x, x, y);
}

static void mask(size_t n, const float *y, const float *x, float *out)
{
    map(MASK, n, 0, y, x, y, out);
}

static void tanh_forward(size_t n, const float *x, float *y)
{
    map(TANH, n, 0, x, x, x, y);
}

static void tanh_backward(size_t n, const float *y, const float *dy, float *out)
{
    map(TANH_BACKWARD, n, 0, y, dy, y, out);
}

static void tanh_curve(size_t n, const float *y, const float *ty, const float *dy, float *out)
{
    map(TANH_CURVE, n, 0, y, ty, dy, out);
}

static void sigmoid_forward(size_t n, const float *x, float *y)
{
    map(SIGMOID, n, 0, x, x, x, y);
}

static void exponential_forward(size_t n, const float *x, float *y)
{
    map(EXPONENTIAL, n, 0, x, x, x, y);
}

static void scan_row(size_t c, size_t gates, const float *decay, const float *before,
                     const float *u, float *h)
{
    if (gates == 1)
        map(SCALE_ADD, c, decay[0], before, u, before, h);
    else
        map(MULTIPLY_ADD, c, 0, decay, before, u, h);
}

INLINE void add_products(size_t n, const float *a, const float *b, size_t first, const bool whole,
                         lane_sums *sum)
{
    UNROLL
    for (size_t v = 0; v < SUM_VECTORS; v++) {
        const size_t at = first + v * LANES;
        sum->part[v] =
            fused(load_of_row(a, n, at, whole), load_of_row(b, n, at, whole), sum->part[v]);
    }
}

static void row_dot(size_t rows, size_t c, const float *a, const float *b, float *out)
{
    for (size_t i = 0; i < rows; i++, a += c, b += c) {
        lane_sums sum = no_sums();
#define ADD_PRODUCTS(at, whole) add_products(c, a, b, at, whole, &sum)
        ALONG_ROW(c, ADD_PRODUCTS);
#undef ADD_PRODUCTS
        float lane[SUM_LANES], total = 0;
        memcpy(lane, &sum, sizeof lane);
        for (size_t k = 0; k < SUM_LANES; k++)
            total += lane[k];
        out[i] = total;
    }
}

static void row_scale(size_t rows, size_t c, const float *s, const float *a, float *out)
{
    for (size_t i = 0; i < rows; i++)
        map(SCALE, c, s[i], a + i * c, a, a, out + i * c);
}

static void column_scale(size_t rows, size_t c, const float *x, const float *v, float *out)
{
    for (size_t i = 0; i < rows; i++)
        map(MULTIPLY, c, 0, x + i * c, v, v, out + i * c);
}

INLINE void sum_group(size_t times, size_t c, const float *a, bool whole, lanes some, float *out)
{
    vec sum = load_part(a, whole, some);
    for (size_t k = 1; k < times; k++)
        sum += load_part(a + k * c, whole, some);
    store_part(out, sum, whole, some);
}

static void sum_groups(size_t rows, size_t times, size_t c, const float *a, float *out)
{
    for (size_t i = 0; i < rows; i++, a += times * c, out += c) {
        size_t j = 0;
        for (; j + LANES <= c; j += LANES)
            sum_group(times, c, a + j, true, first_lanes(0), out + j);
        if (j < c)
            sum_group(times, c, a + j, false, first_lanes(c - j), out + j);
    }
}

static void put_columns(size_t rows, size_t wide, size_t first, size_t c, const float *a,
                        bool accumulate, float *out)
{
    out += first;
    for (size_t i = 0; i < rows; i++, a += c, out += wide) {
        if (accumulate)
            map(ADD, c, 0, a, out, a, out);
        else
            memcpy(out, a, c * sizeof *out);
    }
}

/* The least number of a row that comes after entry `last` (c: none) in the order of numbers and, of
 * equals, of entries; infinite if there is none. */
INLINE float least_after(size_t c, const float *x, size_t last)
{
    const vec none = splat(INFINITY), before = splat(last == c ? -INFINITY : x[last]);
    const int32_t entry = last == c ? -1 : (int32_t)last;
    vec best = none;
    ivec index = {0};
    UNROLL
    for (int32_t l = 0; l < LANES; l++)
        index[l] = l - entry;
    for (size_t j = 0; j < c; j += LANES, index += LANES) {
        lanes some = first_lanes(smaller_size(LANES, c - j));
        vec y = load_lanes(x + j, some);
        ivec left = (y > before) | ((y == before) & (index > 0));
        left &= index < (int32_t)c - entry;
        y = choose(left, y, none);
        best = choose((ivec)(y < best), y, best);
    }
    float least = INFINITY;
    for (size_t l = 0; l < LANES; l++)
        least = best[l] < least ? best[l] : least;
    return least;
}

static void least_used(size_t rows, size_t c, size_t k, const float *usage, float *out)
{
    memset(out, 0, rows * k * c * sizeof *out);
    for (size_t i = 0; i < rows; i++, usage += c) {
        size_t last = c;
        for (size_t rank = 0; rank < k; rank++, out += c) {
            const float least = least_after(c, usage, last);
            size_t j = last < c && usage[last] == least ? last + 1 : 0;
            while (j < c && !(usage[j] == least))
                j++;
            if (j == c) { /* there are no more: rows of zeros */
                out += (k - rank) * c;
                break;
            }
            out[j] = 1;
            last = j;
        }
    }
}

static void bias_add(size_t rows, size_t c, const float *x, const float *b, float *y)
{
    for (size_t i = 0; i < rows; i++)
        map(ADD, c, 0, x + i * c, b, b, y + i * c);
}

static void pixel_mean(size_t n, size_t pixels, size_t c, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j += LANES) {
            lanes some = first_lanes(smaller_size(LANES, c - j));
            vec sum = splat(0);
            for (size_t q = 0; q < pixels; q++)
                sum += load_lanes(x + (i * pixels + q) * c + j, some);
            store_lanes(y + i * c + j, sum / splat((float)pixels), some);
        }
}

static void pixel_spread(size_t n, size_t pixels, size_t c, const float *dy, float *dx)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j += LANES) {
            lanes some = first_lanes(smaller_size(LANES, c - j));
            vec part = load_lanes(dy + i * c + j, some) / splat((float)pixels);
            for (size_t q = 0; q < pixels; q++)
                store_lanes(dx + (i * pixels + q) * c + j, part, some);
        }
}

/* p = exp(z - largest z) of a row. */
INLINE void exponentials(size_t c, const float *z, float largest, float *p)
{
    for (size_t j = 0; j < c; j += LANES) {
        lanes some = first_lanes(smaller_size(LANES, c - j));
        store_lanes(p + j, exponential(load_lanes(z + j, some) - splat(largest)), some);
    }
}

/* Rows whose sums are made side by side: each from its first number to its last, which one alone
 * would wait for. */
enum { ROWS_SUMMED = 4 };

INLINE void sums_of_rows(const size_t rows, size_t c, const float *p, double *sums)
{
    double sum[ROWS_SUMMED] = {0};
    for (size_t j = 0; j < c; j++) {
        UNROLL
        for (size_t r = 0; r < rows; r++)
            sum[r] += (double)p[r * c + j];
    }
    memcpy(sums, sum, rows * sizeof *sums);
}

INLINE void dots_of_rows(const size_t rows, size_t c, const float *a, const float *b, double *dots)
{
    double sum[ROWS_SUMMED] = {0};
    for (size_t j = 0; j < c; j++) {
        UNROLL
        for (size_t r = 0; r < rows; r++)
            sum[r] += (double)a[r * c + j] * (double)b[r * c + j];
    }
    memcpy(dots, sum, rows * sizeof *dots);
}

INLINE float largest_of(size_t c, const float *z)
{
    float largest = z[0];
    if (c >= LANES) {
        vec most = load(z); /* a NaN that is lost here makes all of the row NaN by itself */
        for (size_t j = LANES; j + LANES <= c; j += LANES)
            most = larger(load(z + j), most);
        most = larger(load(z + c - LANES), most);
        for (size_t l = 0; l < LANES; l++)
            largest = most[l] > largest ? most[l] : largest;
        return largest;
    }
    for (size_t j = 1; j < c; j++)
        largest = z[j] > largest ? z[j] : largest;
    return largest;
}

static void softmax(size_t rows, size_t c, const float *z, float *p)
{
    double sums[ROWS_SUMMED];
    for (size_t n; rows > 0; rows -= n, z += n * c, p += n * c) {
        n = rows < ROWS_SUMMED ? 1 : ROWS_SUMMED;
        for (size_t r = 0; r < n; r++)
            exponentials(c, z + r * c, largest_of(c, z + r * c), p + r * c);
        if (n == 1)
            sums_of_rows(1, c, p, sums);
        else
            sums_of_rows(ROWS_SUMMED, c, p, sums);
        for (size_t r = 0; r < n; r++) {
            float *row = p + r * c;
            map(SCALE, c, (float)(1 / sums[r]), row, row, row, row);
        }
    }
}

static void masked_softmax(size_t rows, size_t c, const float *z, const float *among, float *p)
{
    for (size_t i = 0; i < rows; i++, z += c, among += c, p += c) {
        float largest = -INFINITY;
        for (size_t j = 0; j < c; j++)
            if (among[j] != 0 && !(z[j] <= largest)) /* NaN stays NaN */
                largest = z[j];
        for (size_t j = 0; j < c; j++)
            p[j] = among[j] != 0 ? z[j] - largest : -104.0f;
        map(EXPONENTIAL, c, 0, p, p, p, p);
        double sum = 0;
        for (size_t j = 0; j < c; j++) {
            p[j] = among[j] != 0 ? p[j] : 0;
            sum += (double)p[j];
        }
        const float factor = (float)(1 / sum);
        for (size_t j = 0; j < c; j++)
            p[j] = among[j] != 0 ? factor * p[j] : 0; /* beside NaN too */
    }
}

static void softmax_tangent(size_t rows, size_t c, const float *p, const float *tz, float *out)
{
    double means[ROWS_SUMMED];
    for (size_t n; rows > 0; rows -= n, p += n * c, tz += n * c, out += n * c) {
        n = rows < ROWS_SUMMED ? 1 : ROWS_SUMMED;
        if (n == 1)
            dots_of_rows(1, c, p, tz, means);
        else
            dots_of_rows(ROWS_SUMMED, c, p, tz, means);
        for (size_t r = 0; r < n; r++)
            for (size_t j = r * c; j < (r + 1) * c; j++)
                out[j] = (float)((double)p[j] * ((double)tz[j] - means[r]));
    }
}

static double choice_loss(size_t rows, size_t c, const float *z, const float *p,
                          const float *target, const float *weights)
{
    double loss = 0;
    for (size_t i = 0; i < rows; i++, z += c, p += c, target += c) {
        if (!(weights[i] != 0)) /* padding; its numbers may be anything */
            continue;
        double log_sum = (double)largest_of(c, z) - mn_real_log((double)largest_of(c, p)), item = 0;
        for (size_t j = 0; j < c; j++)
            if (target[j] != 0)
                item += (double)target[j] * (log_sum - (double)z[j]);
        loss += (double)weights[i] * item;
    }
    return loss;
}

static double cross_entropy(size_t rows, size_t c, const float *z, const float *target)
{
    double loss = 0;
    for (size_t i = 0; i < rows; i++, z += c, target += c) {
        double largest = (double)largest_of(c, z), sum = 0;
        for (size_t j = 0; j < c; j++)
            sum += mn_real_exp((double)z[j] - largest);
        double log_sum = mn_real_log(sum) + largest;
        for (size_t j = 0; j < c; j++)
            loss += (double)target[j] * (log_sum - (double)z[j]);
    }
    return loss / (double)rows;
}

static double squared_error(size_t n, const float *y, const float *target)
{
    double loss = 0;
    for (size_t i = 0; i < n; i++)
        loss += ((double)y[i] - (double)target[i]) * ((double)y[i] - (double)target[i]);
    return loss / (double)n;
}
