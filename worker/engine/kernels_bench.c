/* What each kernel reaches on this core: GFLOP/s (or GB/s), and the share of the best SGEMM rate
 * measured in the same run. Medians of several rounds by the thread's CPU time. Usage:
 * mn_kernels_bench [table [word in a name]] */
#include "worker/engine/word_list.h"
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern void openblas_set_num_threads(int n);
extern char *openblas_get_corename(void);

enum { N_ROUNDS = 9, POOL_FLOATS = 48 * 1024 * 1024 };

static const mn_kernels *k;
static const char *wanted = "";
static double peak; /* GFLOP/s */
static float *pool; /* [POOL_FLOATS] */

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of one run of `body`: the median of rounds of at least 2 ms each. */
#define TIME(seconds, body)                                                                        \
    do {                                                                                           \
        double times[N_ROUNDS];                                                                    \
        size_t repeats = 1;                                                                        \
        for (size_t round = 0; round < N_ROUNDS;) {                                                \
            double start = now();                                                                  \
            for (size_t r = 0; r < repeats; r++)                                                   \
                body;                                                                              \
            double took = now() - start;                                                           \
            if (took < 2e-3) {                                                                     \
                repeats *= 2;                                                                      \
                continue;                                                                          \
            }                                                                                      \
            times[round++] = took / (double)repeats;                                               \
        }                                                                                          \
        qsort(times, N_ROUNDS, sizeof *times, by_size);                                            \
        seconds = times[N_ROUNDS / 2];                                                             \
    } while (0)

static void report(const char *name, const char *shape, double flops, double seconds)
{
    printf("%-22s %-28s %9.2f us %8.1f GFLOP/s %5.0f %%\n", name, shape, seconds * 1e6,
           flops / seconds * 1e-9, 100 * flops / seconds * 1e-9 / peak);
}

static void report_bytes(const char *name, const char *shape, double bytes, double seconds)
{
    printf("%-22s %-28s %9.2f us %8.1f GB/s\n", name, shape, seconds * 1e6, bytes / seconds * 1e-9);
}

static bool is_wanted(const char *name)
{
    return strstr(name, wanted) != NULL;
}

/* Pixel products of a convolution that are not with padding. */
static double real_pixels(const mn_conv *c)
{
    double rows = 0, columns = 0;
    for (uint32_t out = 0; out < c->out_height; out++)
        for (uint32_t tap = 0; tap < 3; tap++)
            rows += out * c->stride + tap >= 1 && out * c->stride + tap <= c->height;
    for (uint32_t out = 0; out < c->out_width; out++)
        for (uint32_t tap = 0; tap < 3; tap++)
            columns += out * c->stride + tap >= 1 && out * c->stride + tap <= c->width;
    return c->n * rows * columns;
}

static void im2col(const mn_conv *c, const float *x, float *to)
{
    for (uint32_t n = 0; n < c->n; n++)
        for (uint32_t oy = 0; oy < c->out_height; oy++)
            for (uint32_t ox = 0; ox < c->out_width; ox++)
                for (uint32_t tap = 0; tap < 9; tap++, to += c->c_in) {
                    uint32_t row = oy * c->stride + tap / 3, column = ox * c->stride + tap % 3;
                    if (row < 1 || row > c->height || column < 1 || column > c->width)
                        memset(to, 0, c->c_in * sizeof *to);
                    else
                        memcpy(to,
                               x + (((size_t)n * c->height + row - 1) * c->width + column - 1) *
                                       c->c_in,
                               c->c_in * sizeof *to);
                }
}

static void im2col_forward(const mn_conv *c, const float *x, const float *w, float *y,
                           float *columns)
{
    int rows = (int)(c->out_height * c->out_width), depth = (int)(9 * c->c_in);
    mn_conv one = *c;
    one.n = 1;
    for (uint32_t n = 0; n < c->n; n++) {
        im2col(&one, x + (size_t)n * c->height * c->width * c->c_in, columns);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, (int)c->c_out, depth, 1,
                    columns, depth, w, (int)c->c_out, 0, y + (size_t)n * (size_t)rows * c->c_out,
                    (int)c->c_out);
    }
}

static void bench_conv(uint32_t n, uint32_t size, uint32_t c_in, uint32_t c_out, uint32_t stride)
{
    uint32_t out = (size - 1) / stride + 1;
    mn_conv c = {n, size, size, c_in, c_out, stride, out, out};
    size_t x_size = (size_t)n * size * size * c_in, y_size = (size_t)n * out * out * c_out;
    float *x = pool, *y = x + x_size, *w = y + y_size, *columns = w + 9 * (size_t)c_in * c_out;
    /* The work as papers count it: padding is multiplied too. */
    double flops = 18.0 * n * out * out * c_in * c_out, t;
    char shape[64];
    (void)snprintf(shape, sizeof shape, "%u x %ux%u %u->%u s%u (%.0f%%)", n, size, size, c_in,
                   c_out, stride, 100 * real_pixels(&c) / (9.0 * n * out * out));
    if (is_wanted("conv_forward")) {
        TIME(t, k->conv_forward(&c, x, w, y, false));
        report("conv_forward", shape, flops, t);
    }
    if (is_wanted("conv_backward_data")) {
        TIME(t, k->conv_backward_data(&c, y, w, x, false));
        report("conv_backward_data", shape, flops, t);
    }
    if (is_wanted("conv_backward_weights")) {
        TIME(t, k->conv_backward_weights(&c, x, y, w, false));
        report("conv_backward_weights", shape, flops, t);
    }
    if (is_wanted("im2col")) {
        TIME(t, im2col_forward(&c, x, w, y, columns));
        report("im2col+openblas", shape, flops, t);
    }
}

static void bench_gemm(bool trans_a, bool trans_b, int m, int n, int depth)
{
    float *a = pool, *b = a + m * depth, *c = b + n * depth;
    double flops = 2.0 * m * n * depth, t;
    char shape[64];
    (void)snprintf(shape, sizeof shape, "%c%c %dx%dx%d", trans_a ? 'T' : 'N', trans_b ? 'T' : 'N',
                   m, n, depth);
    if (is_wanted("gemm")) {
        const mn_product product = {.trans_a = trans_a,
                                    .trans_b = trans_b,
                                    .m = (size_t)m,
                                    .n = (size_t)n,
                                    .k = (size_t)depth,
                                    .a = a,
                                    .b = b};
        TIME(t, k->gemm(&product, c));
        report("gemm", shape, flops, t);
    }
    if (is_wanted("openblas")) {
        TIME(t, cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                            trans_b ? CblasTrans : CblasNoTrans, m, n, depth, 1, a,
                            trans_a ? m : depth, b, trans_b ? depth : n, 0, c, n));
        report("openblas", shape, flops, t);
    }
}

static void bench_batch_norm(size_t rows, size_t c)
{
    size_t n = rows * c;
    float *x = pool, *y = x + n, *dy = y + n, *tx = dy + n, *tdy = tx + n, *out = tdy + n;
    float *p = out + n; /* parameters and sums: 16 times c */
    float *stats = p, *gamma = p + 2 * c, *beta = p + 3 * c, *sums = p + 4 * c, *tsums = p + 6 * c,
          *bsums = p + 8 * c, *tgamma = p + 10 * c, *tbeta = p + 11 * c;
    double bytes = (double)n * sizeof(float), t;
    char shape[64];
    (void)snprintf(shape, sizeof shape, "%zu rows of %zu", rows, c);
    if (!is_wanted("bn_"))
        return;
    TIME(t, k->bn_stats(rows, c, 1e-5, x, stats));
    report_bytes("bn_stats", shape, bytes, t);
    TIME(t, k->bn_forward(rows, c, true, x, stats, gamma, beta, y));
    report_bytes("bn_forward", shape, 2 * bytes, t);
    TIME(t, k->bn_backward_sums(rows, c, true, x, stats, y, dy, sums));
    report_bytes("bn_backward_sums", shape, 3 * bytes, t);
    TIME(t, k->bn_backward(rows, rows, c, true, x, stats, gamma, y, dy, sums, out));
    report_bytes("bn_backward", shape, 4 * bytes, t);
    TIME(t, k->bn_tangent_sums(rows, c, x, stats, tx, tsums));
    report_bytes("bn_tangent_sums", shape, 2 * bytes, t);
    TIME(t, k->bn_tangent(rows, c, true, x, stats, gamma, y, tx, tsums, tgamma, tbeta, out));
    report_bytes("bn_tangent", shape, 4 * bytes, t);
    TIME(t, k->bn_backward_tangent_sums(rows, c, true, x, stats, y, dy, tdy, tx, tsums, bsums));
    report_bytes("bn_backward_t_sums", shape, 5 * bytes, t);
    TIME(t, k->bn_backward_tangent(rows, c, true, x, stats, gamma, tgamma, y, dy, sums, tdy, tx,
                                   tsums, bsums, out));
    report_bytes("bn_backward_tangent", shape, 6 * bytes, t);
}

static void bench_elements(size_t n)
{
    float *a = pool, *b = a + n, *out = b + n;
    double bytes = (double)n * sizeof(float), t;
    char shape[64];
    (void)snprintf(shape, sizeof shape, "%zu", n);
    if (!is_wanted("elements"))
        return;
    TIME(t, k->scale_add(n, 0.5F, a, b, out));
    report_bytes("scale_add", shape, 3 * bytes, t);
    TIME(t, k->mask(n, a, b, out));
    report_bytes("mask", shape, 3 * bytes, t);
    TIME(t, k->tanh(n, a, out));
    report_bytes("tanh", shape, 2 * bytes, t);
    TIME(t, k->softmax(n / 5, 5, a, out));
    report_bytes("softmax of 5", shape, 2 * bytes, t);
    TIME(t, k->transpose(n / 4096, 64, 64, a, out));
    report_bytes("transpose 64x64", shape, 2 * bytes, t);
    TIME(t, k->column_sums(n / 64, 64, a, 1, NULL, out));
    report_bytes("column_sums of 64", shape, bytes, t);
}

static void bench_pool(uint32_t n, uint32_t size, size_t c)
{
    size_t x_size = (size_t)n * size * size * c, y_size = (size_t)n * (size / 2) * (size / 2) * c;
    float *x = pool, *y = x + x_size;
    uint8_t *index = (uint8_t *)(y + y_size);
    double t;
    char shape[64];
    (void)snprintf(shape, sizeof shape, "%u x %ux%u of %zu", n, size, size, c);
    if (!is_wanted("max_pool"))
        return;
    TIME(t, k->max_pool_index(n, size, size, c, x, index));
    report_bytes("max_pool_index", shape, 4.0 * (double)x_size + (double)y_size, t);
    TIME(t, k->max_pool_gather(n, size, size, c, x, index, y));
    report_bytes("max_pool_gather", shape, 4.0 * (double)x_size + 5.0 * (double)y_size, t);
    TIME(t, k->max_pool_scatter(n, size, size, c, y, index, NULL, x));
    report_bytes("max_pool_scatter", shape, 4.0 * (double)x_size + 5.0 * (double)y_size, t);
}

static void report_call(const char *name, const char *shape, double seconds)
{
    printf("%-22s %-28s %9.0f ns\n", name, shape, seconds * 1e9);
}

/* Tables read by number. */
static void bench_words(size_t n, size_t length, size_t rows, size_t c)
{
    const mn_words_shape e = {.n = n, .length = length, .rows = rows, .padding = -1};
    mn_word_list *list = malloc(sizeof(float) * mn_word_list_numbers(n, n * length));
    mn_word_list *back = malloc(sizeof(float) * mn_word_list_numbers(rows, n * length));
    float *ids = pool, *table = ids + n * length, *out = table + rows * c;
    float *weights = out + n * length * c;
    double t;
    char shape[64];
    if (list == NULL || back == NULL)
        exit(1);
    for (size_t i = 0; i < n * length; i++)
        ids[i] = (float)(i * 2654435761U % rows);
    (void)snprintf(shape, sizeof shape, "%zu x %zu of %zu x %zu", n, length, rows, c);
    TIME(t, mn_word_list_read(&e, ids, NULL, list));
    report_call("words", shape, t);
    TIME(t, mn_word_list_turn(list, rows, back));
    report_call("words turned", shape, t);
    TIME(t, k->embed(c, list, table, NULL, false, out));
    report_call("embed", shape, t);
    TIME(t, k->embed(c, list, table, weights, false, out));
    report_call("embed weighted", shape, t);
    TIME(t, k->embed(c, back, out, NULL, true, table));
    report_call("embed turned", shape, t);
    TIME(t, k->embed(c, back, out, weights, true, table));
    report_call("embed turned, weighted", shape, t);
    free(list);
    free(back);
    for (size_t i = 0; i < POOL_FLOATS / 64; i++) /* what was added there may be large */
        pool[i] = (float)(i * 2654435761U % 1024) / 512 - 1;
}

/* What memories are made of: tables read by number, gates, slots. */
static void bench_memory(size_t n, size_t length, size_t rows, size_t c)
{
    double t;
    char shape[64];
    if (!is_wanted("memory"))
        return;
    bench_words(n, length, rows, c);
    (void)snprintf(shape, sizeof shape, "%zu rows of %zu", n * length, c);
    n *= length;
    float *a = pool, *b = a + n * c, *out = b + n * c;
    TIME(t, k->row_scale(n, c, b, a, out));
    report_call("row_scale", shape, t);
    TIME(t, k->column_scale(n, c, a, b, out));
    report_call("column_scale", shape, t);
    TIME(t, k->row_dot(n, c, a, b, out));
    report_call("row_dot", shape, t);
    TIME(t, k->sum_groups(n / length, length, c, a, out));
    report_call("sum_groups", shape, t);
    TIME(t, k->sum_tiles(n / length * c, length, a, out));
    report_call("sum_tiles", shape, t);
    TIME(t, k->repeat_rows(n / length, length, c, a, out));
    report_call("repeat_rows", shape, t);
    TIME(t, k->take_columns(n, c, c / 4, c / 4, a, out));
    report_call("take_columns, a 4th", shape, t);
    TIME(t, k->put_columns(n, c, c / 4, c / 4, a, false, out));
    report_call("put_columns, a 4th", shape, t);
    TIME(t, k->put_columns(n, c, c / 4, c / 4, b, true, out));
    report_call("put_columns added", shape, t);
    TIME(t, k->least_used(n, c, 4, a, out));
    report_call("least_used 4", shape, t);
    TIME(t, k->softmax(n, c, a, out));
    report_call("softmax", shape, t);
    TIME(t, k->masked_softmax(n, c, a, b, out));
    report_call("masked_softmax", shape, t);
    TIME(t, k->softmax_tangent(n, c, a, b, out));
    report_call("softmax_tangent", shape, t);
    TIME(t, k->add(n * c, a, b, out));
    report_call("add", shape, t);
    TIME(t, k->sigmoid(n * c, a, out));
    report_call("sigmoid", shape, t);
    TIME(t, k->softplus(n * c, a, out));
    report_call("softplus", shape, t);
    TIME(t, k->logarithm(n * c, b, out));
    report_call("logarithm", shape, t);
    TIME(t, k->reciprocal(n * c, b, out));
    report_call("reciprocal", shape, t);
    TIME(t, k->root(n * c, b, out));
    report_call("root", shape, t);
}

static void multiply_blocks(mn_product product, size_t batches, float *c)
{
    for (size_t i = 0; i < batches; i++) {
        k->gemm(&product, c);
        product.a += product.m * product.k;
        product.b += product.n * product.k;
        c += product.m * product.n;
    }
}

static void bench_batched(bool trans_a, bool trans_b, size_t batches, size_t m, size_t n,
                          size_t depth)
{
    float *a = pool, *b = a + batches * m * depth, *c = b + batches * n * depth;
    double flops = 2.0 * (double)(batches * m * n * depth), t;
    char shape[64];
    if (!is_wanted("batched"))
        return;
    (void)snprintf(shape, sizeof shape, "%c%c %zu of %zux%zux%zu", trans_a ? 'T' : 'N',
                   trans_b ? 'T' : 'N', batches, m, n, depth);
    const mn_product product = {
        .trans_a = trans_a, .trans_b = trans_b, .m = m, .n = n, .k = depth, .a = a, .b = b};
    TIME(t, multiply_blocks(product, batches, c));
    report("batched gemm", shape, flops, t);
}

static double openblas_peak(void)
{
    double best = 0;
    for (int n = 256; n <= 512; n += 128) {
        double t;
        TIME(t, cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, pool, n,
                            pool + n * n, n, 0, pool + 2 * n * n, n));
        double rate = 2e-9 * n * n * n / t;
        best = rate > best ? rate : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        (void)setenv("MNEMO_KERNELS", argv[1], 1);
    if (argc > 2)
        wanted = argv[2];
    k = mn_kernels_choose();
    pool = aligned_alloc(64, POOL_FLOATS * sizeof *pool);
    if (k == NULL || pool == NULL) {
        (void)fprintf(stderr, "mn_kernels_bench: no table \"%s\" here, or no memory\n",
                      argc > 1 ? argv[1] : "");
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < POOL_FLOATS; i++)
        pool[i] = (float)(i * 2654435761U % 1024) / 512 - 1;
    openblas_set_num_threads(1);
    double own = mn_kernels_peak_gflops(k, 0.3), blas = openblas_peak();
    peak = own > blas ? own : blas;
    printf("kernels %s: own gemm %.1f GFLOP/s, OpenBLAS (%s) %.1f GFLOP/s\n", k->name, own,
           openblas_get_corename(), blas);

    static const uint32_t batches[] = {5, 20, 75, 100};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        uint32_t n = batches[i];
        bench_conv(n, 28, 1, 64, 2);
        for (uint32_t size = 14; size >= 4; size = (size - 1) / 2 + 1)
            bench_conv(n, size, 64, 64, 2);
        if (n != 5 && n != 20)
            continue;
        bench_conv(n, 28, 1, 64, 1);
        for (uint32_t size = 14; size >= 3; size /= 2)
            bench_conv(n, size, 64, 64, 1);
    }
    bench_conv(5, 84, 3, 32, 1);
    bench_conv(5, 42, 32, 32, 1);
    bench_conv(2, 42, 64, 64, 1);
    bench_conv(2, 84, 64, 64, 1);

    static const int shapes[][3] = {
        {10, 40, 40},    {10, 40, 1},     {10, 1, 40},       {5, 5, 256},   {20, 20, 256},
        {5, 256, 784},   {5, 128, 256},   {100, 64, 64},     {1, 800, 260}, {64, 64, 64},
        {256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int m = shapes[i][0], n = shapes[i][1], depth = shapes[i][2];
        bench_gemm(false, false, m, n, depth); /* y = x W */
        bench_gemm(false, true, m, depth, n);  /* dx = dy W^T */
        bench_gemm(true, false, depth, n, m);  /* dW = x^T dy */
    }
    static const size_t rows[] = {5, 20, 80, 245, 980, 3675, 14700};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        bench_batch_norm(rows[i], 64);
    bench_elements(4096 * 5);
    bench_elements(4096 * 160);
    bench_pool(5, 28, 64);
    bench_memory(32, 6, 200, 20);
    bench_memory(32, 10, 50, 64);
    static const size_t batched[][3] = {
        {1, 50, 20}, {4, 128, 40}, {1, 128, 40}, {2, 20, 20}, {4, 50, 64}};
    for (size_t i = 0; i < sizeof batched / sizeof *batched; i++)
        for (int way = 0; way < 4; way++)
            bench_batched(way & 1, way & 2, 32, batched[i][0], batched[i][1], batched[i][2]);
    for (size_t i = 0; i < sizeof batched / sizeof *batched; i++) /* of a reading's adjoint */
        bench_batched(false, false, 32, batched[i][0], batched[i][2], batched[i][1]);
    bench_batched(true, false, 32, 20, 50, 1);
    bench_batched(true, false, 32, 40, 128, 4);
    free(pool);
    return EXIT_SUCCESS;
}
