/* The reference: each kernel as its formula reads, in an order that a reader can check. Sums run in
 * double. */
#include "worker/engine/kernels.h"
#include "worker/engine/kernels_loops.h"
#include "worker/engine/word_list.h"
#include <math.h>
#include <string.h>

static void scan_row(size_t c, size_t gates, const mn_real *decay, const mn_real *before,
                     const mn_real *u, mn_real *h)
{
    for (size_t j = 0; j < c; j++)
        h[j] = u[j] + decay[gates == 1 ? 0 : j] * before[j];
}

/* Element (i, j) of op(A) op(B). */
static double product_element(const mn_product *p, const mn_real *a, const mn_real *b, size_t i,
                              size_t j)
{
    double sum = 0;
    for (size_t q = 0; q < p->k; q++)
        sum += (double)a[p->trans_a ? q * p->m + i : i * p->k + q] *
               (double)b[p->trans_b ? j * p->k + q : q * p->n + j];
    return sum;
}

static void gemm(const mn_product *p, mn_real *c)
{
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            size_t at = i * p->n + j;
            double sum = product_element(p, p->a, p->b, i, j);
            if (p->a2 != NULL)
                sum += product_element(p, p->a2, p->b2, i, j);
            if (p->bias != NULL)
                sum += (double)p->bias[j];
            if (p->accumulate)
                sum += (double)c[at];
            if (p->relu && sum < 0) /* NaN stays NaN */
                sum = 0;
            if (p->mask != NULL && !(p->mask[at] > 0))
                sum = 0;
            c[at] =
                (mn_real)(p->base != NULL ? (double)p->base[at] + (double)p->factor * sum : sum);
        }
}

/* Runs the next statement for each (in pixel, out pixel, tap) that a convolution multiplies: no
 * padding. */
#define FOR_EACH_PRODUCT(conv, in, out, tap)                                                       \
    for (size_t out = 0; out < (size_t)(conv)->n * (conv)->out_height * (conv)->out_width; out++)  \
        for (size_t tap = 0, in = 0; tap < 9; tap++)                                               \
            if (find_input(conv, out, tap, &in))

static bool find_input(const mn_conv *conv, size_t out, size_t tap, size_t *in)
{
    size_t image = out / conv->out_width / conv->out_height;
    /* Both are one too large, for the padding, so that they never go below zero. */
    size_t row = out / conv->out_width % conv->out_height * conv->stride + tap / 3;
    size_t column = out % conv->out_width * conv->stride + tap % 3;
    if (row < 1 || row > conv->height || column < 1 || column > conv->width)
        return false;
    *in = (image * conv->height + row - 1) * conv->width + column - 1;
    return true;
}

/* y [n] += x [m] times w [m, n]: what one tap adds for one pixel. */
static void add_product(size_t m, size_t n, const mn_real *x, const mn_real *w, mn_real *y)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            y[j] += x[i] * w[i * n + j];
}

static void conv_forward(const mn_conv *conv, const mn_real *x, const mn_real *w, mn_real *y,
                         bool accumulate)
{
    size_t m = conv->c_in, n = conv->c_out;
    if (!accumulate)
        memset(y, 0, (size_t)conv->n * conv->out_height * conv->out_width * n * sizeof *y);
    FOR_EACH_PRODUCT(conv, in, out, tap)
    add_product(m, n, x + in * m, w + tap * m * n, y + out * n);
}

static void conv_backward_data(const mn_conv *conv, const mn_real *dy, const mn_real *wt,
                               mn_real *dx, bool accumulate)
{
    size_t m = conv->c_in, n = conv->c_out;
    if (!accumulate)
        memset(dx, 0, (size_t)conv->n * conv->height * conv->width * m * sizeof *dx);
    FOR_EACH_PRODUCT(conv, in, out, tap)
    add_product(n, m, dy + out * n, wt + tap * m * n, dx + in * m);
}

static void conv_backward_weights(const mn_conv *conv, const mn_real *x, const mn_real *dy,
                                  mn_real *dw, bool accumulate)
{
    size_t m = conv->c_in, n = conv->c_out;
    if (!accumulate)
        memset(dw, 0, 9 * m * n * sizeof *dw);
    FOR_EACH_PRODUCT(conv, in, out, tap)
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            dw[(tap * m + i) * n + j] += x[in * m + i] * dy[out * n + j];
}

static void transpose(size_t n, size_t rows, size_t cols, const mn_real *a, mn_real *at)
{
    for (size_t q = 0; q < n; q++, a += rows * cols, at += rows * cols)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < cols; j++)
                at[j * rows + i] = a[i * cols + j];
}

static void bn_stats(size_t rows, size_t c, double eps, const mn_real *x, mn_real *stats)
{
    for (size_t j = 0; j < c; j++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < rows; i++)
            sum += (double)x[i * c + j];
        double mean = sum / (double)rows;
        for (size_t i = 0; i < rows; i++)
            squares += ((double)x[i * c + j] - mean) * ((double)x[i * c + j] - mean);
        stats[j] = (mn_real)mean;
        stats[c + j] = (mn_real)(1 / sqrt(squares / (double)rows + eps));
    }
}

static void bn_add_moments(size_t before, size_t rows, size_t c, const mn_real *x, double *moments)
{
    for (size_t j = 0; j < c; j++)
        for (size_t i = 0; i < rows; i++) { /* Welford 1962 */
            double off = (double)x[i * c + j] - moments[j];
            moments[j] += off / (double)(before + i + 1);
            moments[c + j] += off * ((double)x[i * c + j] - moments[j]);
        }
}

static void bn_forward(size_t rows, size_t c, bool relu, const mn_real *x, const mn_real *stats,
                       const mn_real *gamma, const mn_real *beta, mn_real *y)
{
    for (size_t i = 0; i < rows * c; i++) {
        size_t j = i % c;
        mn_real value = gamma[j] * (x[i] - stats[j]) * stats[c + j] + beta[j];
        y[i] = relu && value < 0 ? 0 : value; /* NaN stays NaN */
    }
}

/* dy', tdy': what passes the ReLU; an array that is not there is zero. */
static double masked(const mn_real *dy, bool relu, const mn_real *y, size_t i)
{
    return dy == NULL || (relu && !(y[i] > 0)) ? 0 : (double)dy[i];
}

/* xh and txh of element i, which is of channel j. */
static double normalised(const mn_real *x, const mn_real *stats, size_t c, size_t i, size_t j)
{
    return ((double)x[i] - (double)stats[j]) * (double)stats[c + j];
}

static double normalised_tangent(const mn_real *tx, const mn_real *stats, const mn_real *tsums,
                                 double xh, size_t c, size_t i, size_t j)
{
    return ((double)tx[i] - (double)tsums[j] - xh * (double)tsums[c + j]) * (double)stats[c + j];
}

static void bn_backward_sums(size_t rows, size_t c, bool relu, const mn_real *x,
                             const mn_real *stats, const mn_real *y, const mn_real *dy,
                             mn_real *sums)
{
    for (size_t j = 0; j < c; j++) {
        double sum0 = 0, sum1 = 0;
        for (size_t i = j; i < rows * c; i += c) {
            double g = masked(dy, relu, y, i);
            sum0 += g;
            sum1 += g * normalised(x, stats, c, i, j);
        }
        sums[j] = (mn_real)sum0;
        sums[c + j] = (mn_real)sum1;
    }
}

static void bn_add_sums(size_t rows, size_t c, const mn_real *x, const mn_real *stats,
                        const mn_real *dy, double *totals)
{
    for (size_t i = 0; i < rows * c; i++) {
        totals[i % c] += (double)dy[i];
        totals[c + i % c] += (double)dy[i] * normalised(x, stats, c, i, i % c);
    }
}

static void bn_backward(size_t rows, size_t all_rows, size_t c, bool relu, const mn_real *x,
                        const mn_real *stats, const mn_real *gamma, const mn_real *y,
                        const mn_real *dy, const mn_real *sums, mn_real *dx)
{
    double n = (double)all_rows;
    for (size_t i = 0; i < rows * c; i++) {
        size_t j = i % c;
        double xh = normalised(x, stats, c, i, j);
        double centred =
            masked(dy, relu, y, i) - (double)sums[j] / n - xh * (double)sums[c + j] / n;
        dx[i] = (mn_real)((double)gamma[j] * (double)stats[c + j] * centred);
    }
}

static void bn_tangent_sums(size_t rows, size_t c, const mn_real *x, const mn_real *stats,
                            const mn_real *tx, mn_real *tsums)
{
    for (size_t j = 0; j < c; j++) {
        double sum0 = 0, sum1 = 0;
        for (size_t i = j; i < rows * c; i += c) {
            sum0 += (double)tx[i];
            sum1 += (double)tx[i] * normalised(x, stats, c, i, j);
        }
        tsums[j] = (mn_real)(sum0 / (double)rows);
        tsums[c + j] = (mn_real)(sum1 / (double)rows);
    }
}

static void bn_tangent(size_t rows, size_t c, bool relu, const mn_real *x, const mn_real *stats,
                       const mn_real *gamma, const mn_real *y, const mn_real *tx,
                       const mn_real *tsums, const mn_real *tgamma, const mn_real *tbeta,
                       mn_real *ty)
{
    for (size_t i = 0; i < rows * c; i++) {
        size_t j = i % c;
        double xh = normalised(x, stats, c, i, j);
        double value = (double)gamma[j] * normalised_tangent(tx, stats, tsums, xh, c, i, j);
        if (tgamma != NULL)
            value += (double)tgamma[j] * xh;
        if (tbeta != NULL)
            value += (double)tbeta[j];
        ty[i] = (mn_real)(relu && !(y[i] > 0) ? 0 : value);
    }
}

static void bn_backward_tangent_sums(size_t rows, size_t c, bool relu, const mn_real *x,
                                     const mn_real *stats, const mn_real *y, const mn_real *dy,
                                     const mn_real *tdy, const mn_real *tx, const mn_real *tsums,
                                     mn_real *bsums)
{
    for (size_t j = 0; j < c; j++) {
        double sum0 = 0, sum1 = 0;
        for (size_t i = j; i < rows * c; i += c) {
            double xh = normalised(x, stats, c, i, j);
            double txh = normalised_tangent(tx, stats, tsums, xh, c, i, j);
            double g = masked(dy, relu, y, i), tg = masked(tdy, relu, y, i);
            sum0 += tg;
            sum1 += tg * xh + g * txh;
        }
        bsums[j] = (mn_real)sum0;
        bsums[c + j] = (mn_real)sum1;
    }
}

static void bn_backward_tangent(size_t rows, size_t c, bool relu, const mn_real *x,
                                const mn_real *stats, const mn_real *gamma, const mn_real *tgamma,
                                const mn_real *y, const mn_real *dy, const mn_real *sums,
                                const mn_real *tdy, const mn_real *tx, const mn_real *tsums,
                                const mn_real *bsums, mn_real *tdx)
{
    double n = (double)rows;
    for (size_t i = 0; i < rows * c; i++) {
        size_t j = i % c;
        double scale = (double)gamma[j], tscale = tgamma == NULL ? 0 : (double)tgamma[j];
        double inv_std = (double)stats[c + j];
        double xh = normalised(x, stats, c, i, j);
        double txh = normalised_tangent(tx, stats, tsums, xh, c, i, j);
        double g = scale * masked(dy, relu, y, i);
        double tg = scale * masked(tdy, relu, y, i) + tscale * masked(dy, relu, y, i);
        double mean_g = scale * (double)sums[j] / n, m = scale * (double)sums[c + j] / n;
        double mean_tg = (scale * (double)bsums[j] + tscale * (double)sums[j]) / n;
        double tm = (scale * (double)bsums[c + j] + tscale * (double)sums[c + j]) / n;
        double dx = inv_std * (g - mean_g - xh * m);
        tdx[i] = (mn_real)(inv_std * (tg - mean_tg - txh * m - xh * tm) -
                           inv_std * (double)tsums[c + j] * dx);
    }
}

/* The window of pooled pixel `out`: its first corner in x; `step` [4] leads on to the others. */
static size_t window(size_t height, size_t width, size_t c, size_t out, size_t step[4])
{
    size_t image = out / (width / 2) / (height / 2);
    size_t row = out / (width / 2) % (height / 2) * 2, column = out % (width / 2) * 2;
    for (size_t i = 0; i < 4; i++)
        step[i] = (i / 2 * width + i % 2) * c;
    return ((image * height + row) * width + column) * c;
}

static void max_pool_index(size_t n, size_t height, size_t width, size_t c, const mn_real *x,
                           uint8_t *index)
{
    for (size_t out = 0; out < n * (height / 2) * (width / 2); out++) {
        size_t step[4], corner = window(height, width, c, out, step);
        for (size_t j = 0; j < c; j++) {
            uint8_t best = 0;
            for (uint8_t i = 1; i < 4; i++)
                if (x[corner + step[i] + j] > x[corner + step[best] + j])
                    best = i;
            index[out * c + j] = best;
        }
    }
}

static void max_pool_gather(size_t n, size_t height, size_t width, size_t c, const mn_real *x,
                            const uint8_t *index, mn_real *y)
{
    for (size_t out = 0; out < n * (height / 2) * (width / 2); out++) {
        size_t step[4], corner = window(height, width, c, out, step);
        for (size_t j = 0; j < c; j++)
            y[out * c + j] = x[corner + step[index[out * c + j] & 3] + j];
    }
}

static void max_pool_scatter(size_t n, size_t height, size_t width, size_t c, const mn_real *dy,
                             const uint8_t *index, const mn_real *y, mn_real *dx)
{
    memset(dx, 0, n * height * width * c * sizeof *dx);
    for (size_t out = 0; out < n * (height / 2) * (width / 2); out++) {
        size_t step[4], corner = window(height, width, c, out, step);
        for (size_t j = 0; j < c; j++)
            dx[corner + step[index[out * c + j] & 3] + j] =
                (mn_real)masked(dy, y != NULL, y, out * c + j);
    }
}

static void pixel_mean(size_t n, size_t pixels, size_t c, const mn_real *x, mn_real *y)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j++) {
            double sum = 0;
            for (size_t q = 0; q < pixels; q++)
                sum += (double)x[(i * pixels + q) * c + j];
            y[i * c + j] = (mn_real)(sum / (double)pixels);
        }
}

static void pixel_spread(size_t n, size_t pixels, size_t c, const mn_real *dy, mn_real *dx)
{
    for (size_t i = 0; i < n; i++)
        for (size_t q = 0; q < pixels; q++)
            for (size_t j = 0; j < c; j++)
                dx[(i * pixels + q) * c + j] = dy[i * c + j] / (mn_real)pixels;
}

static void bias_add(size_t rows, size_t c, const mn_real *x, const mn_real *b, mn_real *y)
{
    for (size_t i = 0; i < rows * c; i++)
        y[i] = x[i] + b[i % c];
}

static void column_sums(size_t rows, size_t c, const mn_real *x, mn_real factor,
                        const mn_real *base, mn_real *sums)
{
    for (size_t j = 0; j < c; j++) {
        double sum = 0;
        for (size_t i = j; i < rows * c; i += c)
            sum += (double)x[i];
        sums[j] = (mn_real)(base != NULL ? (double)base[j] + (double)factor * sum : sum);
    }
}

static void add(size_t n, const mn_real *a, const mn_real *b, mn_real *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

static void scale(size_t n, mn_real factor, const mn_real *a, mn_real *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = factor * a[i];
}

static void scale_add(size_t n, mn_real factor, const mn_real *a, const mn_real *b, mn_real *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = factor * a[i] + b[i];
}

static void multiply(size_t n, const mn_real *a, const mn_real *b, mn_real *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] * b[i];
}

static void relu(size_t n, const mn_real *x, mn_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i]; /* NaN stays NaN */
}

static void mask(size_t n, const mn_real *y, const mn_real *x, mn_real *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = y[i] > 0 ? x[i] : 0;
}

static void hyperbolic_tangent(size_t n, const mn_real *x, mn_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (mn_real)tanh((double)x[i]);
}

static void tanh_backward(size_t n, const mn_real *y, const mn_real *dy, mn_real *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (1 - y[i] * y[i]) * dy[i];
}

static void tanh_curve(size_t n, const mn_real *y, const mn_real *ty, const mn_real *dy,
                       mn_real *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = -2 * y[i] * ty[i] * dy[i];
}

/* The largest of a row, and the sum of exp(z - that). */
static double exp_sum(size_t c, const mn_real *z, double *largest)
{
    double sum = 0;
    *largest = (double)z[0];
    for (size_t j = 1; j < c; j++)
        *largest = (double)z[j] > *largest ? (double)z[j] : *largest;
    for (size_t j = 0; j < c; j++)
        sum += exp((double)z[j] - *largest);
    return sum;
}

static void softmax(size_t rows, size_t c, const mn_real *z, mn_real *p)
{
    for (size_t i = 0; i < rows; i++, z += c, p += c) {
        double largest, sum = exp_sum(c, z, &largest);
        for (size_t j = 0; j < c; j++)
            p[j] = (mn_real)(exp((double)z[j] - largest) / sum);
    }
}

static void softmax_tangent(size_t rows, size_t c, const mn_real *p, const mn_real *tz,
                            mn_real *out)
{
    for (size_t i = 0; i < rows; i++, p += c, tz += c, out += c) {
        double mean = 0;
        for (size_t j = 0; j < c; j++)
            mean += (double)p[j] * (double)tz[j];
        for (size_t j = 0; j < c; j++)
            out[j] = (mn_real)((double)p[j] * ((double)tz[j] - mean));
    }
}

static double choice_loss(size_t rows, size_t c, const mn_real *z, const mn_real *p,
                          const mn_real *target, const mn_real *weights)
{
    double loss = 0;
    (void)p; /* by what it is made of */
    for (size_t i = 0; i < rows; i++, z += c, target += c) {
        if (!(weights[i] != 0))
            continue;
        double largest, log_sum = log(exp_sum(c, z, &largest));
        for (size_t j = 0; j < c; j++)
            loss += (double)weights[i] * (double)target[j] * (log_sum + largest - (double)z[j]);
    }
    return loss;
}

static double cross_entropy(size_t rows, size_t c, const mn_real *z, const mn_real *target)
{
    double loss = 0;
    for (size_t i = 0; i < rows; i++, z += c, target += c) {
        double largest, log_sum = log(exp_sum(c, z, &largest));
        for (size_t j = 0; j < c; j++)
            loss += (double)target[j] * (log_sum + largest - (double)z[j]);
    }
    return loss / (double)rows;
}

static double squared_error(size_t n, const mn_real *y, const mn_real *target)
{
    double loss = 0;
    for (size_t i = 0; i < n; i++)
        loss += ((double)y[i] - (double)target[i]) * ((double)y[i] - (double)target[i]);
    return loss / (double)n;
}

static void sigmoid(size_t n, const mn_real *x, mn_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (mn_real)(1 / (1 + exp(-(double)x[i])));
}

static void exponential(size_t n, const mn_real *x, mn_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (mn_real)exp((double)x[i]);
}

static void row_dot(size_t rows, size_t c, const mn_real *a, const mn_real *b, mn_real *out)
{
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < c; j++)
            sum += (double)a[i * c + j] * (double)b[i * c + j];
        out[i] = (mn_real)sum;
    }
}

static void masked_softmax(size_t rows, size_t c, const mn_real *z, const mn_real *among,
                           mn_real *p)
{
    for (size_t i = 0; i < rows; i++, z += c, among += c, p += c) {
        double largest = -INFINITY, sum = 0;
        for (size_t j = 0; j < c; j++)
            if (among[j] != 0 && !((double)z[j] <= largest)) /* NaN stays NaN */
                largest = (double)z[j];
        for (size_t j = 0; j < c; j++)
            sum += among[j] != 0 ? exp((double)z[j] - largest) : 0;
        for (size_t j = 0; j < c; j++)
            p[j] = among[j] != 0 ? (mn_real)(exp((double)z[j] - largest) / sum) : 0;
    }
}

static void row_scale(size_t rows, size_t c, const mn_real *s, const mn_real *a, mn_real *out)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < c; j++)
            out[i * c + j] = s[i] * a[i * c + j];
}

static void column_scale(size_t rows, size_t c, const mn_real *x, const mn_real *v, mn_real *out)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < c; j++)
            out[i * c + j] = x[i * c + j] * v[j];
}

static void sum_groups(size_t rows, size_t times, size_t c, const mn_real *a, mn_real *out)
{
    for (size_t i = 0; i < rows; i++, out += c) {
        memcpy(out, a, c * sizeof *out);
        a += c;
        for (size_t k = 1; k < times; k++, a += c)
            for (size_t j = 0; j < c; j++)
                out[j] += a[j];
    }
}

static void put_columns(size_t rows, size_t wide, size_t first, size_t c, const mn_real *a,
                        bool accumulate, mn_real *out)
{
    for (size_t i = 0; i < rows; i++) {
        mn_real *to = out + i * wide + first;
        if (!accumulate)
            memcpy(to, a + i * c, c * sizeof *out);
        else
            for (size_t j = 0; j < c; j++)
                to[j] += a[i * c + j];
    }
}

static void embed(size_t c, const mn_word_list *list, const mn_real *from, const mn_real *weights,
                  bool accumulate, mn_real *out)
{
    const mn_word_group *groups = mn_word_list_groups(list);
    const mn_word *words = mn_word_list_words(list);
    for (size_t i = 0; i < list->n_groups; i++) {
        mn_real *to = out + groups[i].key * c;
        if (!accumulate)
            memset(to, 0, c * sizeof *out);
        for (size_t k = groups[i].first; k < groups[i].first + groups[i].n; k++)
            for (size_t j = 0; j < c; j++)
                to[j] += (weights == NULL ? 1 : weights[words[k].place * c + j]) *
                         from[words[k].of * c + j];
    }
}

static void slots_match(const mn_slots *shape, const mn_real *filled, const mn_real *o,
                        const mn_real *memory, mn_real *p)
{
    for (size_t i = 0; i < shape->n; i++, o += shape->c)
        for (size_t s = 0; s < shape->slots; s++, memory += shape->c) {
            double sum = 0;
            if (s < mn_slots_filled(filled[i], shape->slots))
                for (size_t j = 0; j < shape->c; j++)
                    sum += (double)memory[j] * (double)o[j];
            *p++ = (mn_real)sum;
        }
}

static void slots_read(const mn_slots *shape, const mn_real *filled, const mn_real *p,
                       const mn_real *memory, mn_real *o)
{
    for (size_t i = 0; i < shape->n; i++, p += shape->slots, memory += shape->slots * shape->c)
        for (size_t j = 0; j < shape->c; j++) {
            double sum = 0;
            for (size_t s = 0; s < mn_slots_filled(filled[i], shape->slots); s++)
                sum += (double)p[s] * (double)memory[s * shape->c + j];
            *o++ = (mn_real)sum;
        }
}

static void slots_write(const mn_slots *shape, const mn_real *filled, const mn_real *p,
                        const mn_real *o, bool accumulate, mn_real *memory)
{
    for (size_t i = 0; i < shape->n; i++, o += shape->c)
        for (size_t s = 0; s < shape->slots; s++, p++)
            for (size_t j = 0; j < shape->c; j++, memory++)
                if (s < mn_slots_filled(filled[i], shape->slots))
                    *memory = *p * o[j] + (accumulate ? *memory : 0);
}

/* One-hot rows of the k least of each row, the least first; of equals the first. NaN is no usage. */
static void least_used(size_t rows, size_t c, size_t k, const mn_real *usage, mn_real *out)
{
    memset(out, 0, rows * k * c * sizeof *out);
    for (size_t i = 0; i < rows; i++, usage += c) {
        size_t last = c; /* the one before; c: none */
        for (size_t rank = 0; rank < k; rank++, out += c) {
            size_t best = c;
            for (size_t j = 0; j < c; j++) {
                bool left = last == c
                                ? usage[j] == usage[j]
                                : usage[j] > usage[last] || (usage[j] == usage[last] && j > last);
                if (left && (best == c || usage[j] < usage[best]))
                    best = j;
            }
            if (best == c) { /* there are no more: rows of zeros */
                out += (k - rank) * c;
                break;
            }
            out[best] = 1;
            last = best;
        }
    }
}

#include "worker/engine/kernels_recurrent_plain.h" /* by the softmax above */

const mn_kernels mn_kernels_plain = {
    .name = "plain",
    .arithmetic = "plain",
    MN_LOOPS,
    .sigmoid = sigmoid,
    .exponential = exponential,
    .row_dot = row_dot,
    .row_scale = row_scale,
    .column_scale = column_scale,
    .sum_groups = sum_groups,
    .put_columns = put_columns,
    .embed = embed,
    .slots_match = slots_match,
    .slots_read = slots_read,
    .slots_write = slots_write,
    .least_used = least_used,
    .masked_softmax = masked_softmax,
    .gemm = gemm,
    .conv_forward = conv_forward,
    .conv_backward_data = conv_backward_data,
    .conv_backward_weights = conv_backward_weights,
    .transpose = transpose,
    .bn_stats = bn_stats,
    .bn_add_moments = bn_add_moments,
    .bn_forward = bn_forward,
    .bn_backward_sums = bn_backward_sums,
    .bn_add_sums = bn_add_sums,
    .bn_backward = bn_backward,
    .bn_tangent_sums = bn_tangent_sums,
    .bn_tangent = bn_tangent,
    .bn_backward_tangent_sums = bn_backward_tangent_sums,
    .bn_backward_tangent = bn_backward_tangent,
    .max_pool_index = max_pool_index,
    .max_pool_gather = max_pool_gather,
    .max_pool_scatter = max_pool_scatter,
    .pixel_mean = pixel_mean,
    .pixel_spread = pixel_spread,
    .bias_add = bias_add,
    .column_sums = column_sums,
    .add = add,
    .scale = scale,
    .scale_add = scale_add,
    .multiply = multiply,
    .relu = relu,
    .mask = mask,
    .tanh = hyperbolic_tangent,
    .tanh_backward = tanh_backward,
    .tanh_curve = tanh_curve,
    .softmax = softmax,
    .softmax_tangent = softmax_tangent,
    .cross_entropy = cross_entropy,
    .choice_loss = choice_loss,
    .squared_error = squared_error,
    .lstm = lstm,
    .lstm_backward = lstm_backward,
    .lrua = lrua,
    .lrua_backward = lrua_backward,
};
