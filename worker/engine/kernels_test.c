/* Each table of this machine against the reference, on shapes of one, odd, prime and large sizes,
 * at addresses of no alignment, between guards that must stay as they are; and against each other, to
 * the bit. */
#include "worker/engine/tables_bed.h"
#include "worker/engine/word_list.h"
#include <stdio.h>
#include <stdlib.h>

enum { GUARD = 17, MAX_ARRAYS = 24 }; /* an odd guard: the arrays are aligned to 4 bytes only */

static struct {
    float *memory, *data;
    size_t n;
} arrays[MAX_ARRAYS];
static size_t n_arrays;
static float random_float(void)
{
    return (float)draw();
}

/* n random numbers between two guards of NaN, which spoil any sum that reads them. */
static float *new_array(size_t n)
{
    assert_true(n_arrays < MAX_ARRAYS);
    float *memory = malloc((n + 2 * GUARD) * sizeof *memory);
    assert_non_null(memory);
    for (size_t i = 0; i < n + 2 * GUARD; i++)
        memory[i] = i < GUARD || i >= GUARD + n ? NAN : random_float();
    arrays[n_arrays].memory = memory;
    arrays[n_arrays].data = memory + GUARD;
    arrays[n_arrays++].n = n;
    return memory + GUARD;
}

static float *copy_array(const float *from, size_t n)
{
    float *to = new_array(n);
    memcpy(to, from, n * sizeof *to);
    return to;
}

static void free_arrays(void)
{
    while (n_arrays > 0) {
        n_arrays--;
        note(arrays[n_arrays].n, arrays[n_arrays].data);
        for (size_t i = 0; i < GUARD; i++) {
            assert_true(isnan(arrays[n_arrays].memory[i]));
            assert_true(isnan(arrays[n_arrays].data[arrays[n_arrays].n + i]));
        }
        free(arrays[n_arrays].memory);
    }
}

/* After a test that failed half-way. */
static int drop_arrays(void **state)
{
    (void)state;
    while (n_arrays > 0)
        free(arrays[--n_arrays].memory);
    return 0;
}

static void assert_within(const char *table, const char *what, size_t n, const float *got,
                          const float *wanted, double error)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)wanted[i]) <= error))
            fail_msg("%s %s: element %zu of %zu is %.9g, not %.9g", table, what, i, n,
                     (double)got[i], (double)wanted[i]);
}

/* `tolerance` is relative to the largest number. */
static void assert_close(const char *table, const char *what, size_t n, const float *got,
                         const float *wanted, double tolerance)
{
    double largest = 1e-3;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)wanted[i]));
    assert_within(table, what, n, got, wanted, tolerance * largest);
}

static const mn_kernels *const plain = &mn_kernels_plain;

/* `around`: a bit for each thing that may or may not be there. */
static void compare_products(const mn_kernels *table, mn_product p, int around)
{
    p.trans_a = around & 1;
    p.trans_b = around & 2;
    p.accumulate = around & 4;
    p.relu = around & 8;
    p.a = new_array(p.m * p.k);
    p.b = new_array(p.k * p.n);
    p.a2 = around & 16 ? new_array(p.m * p.k) : NULL;
    p.b2 = around & 16 ? new_array(p.k * p.n) : NULL;
    p.bias = around & 32 ? new_array(p.n) : NULL;
    p.mask = around & 64 ? new_array(p.m * p.n) : NULL;
    p.base = around & 128 ? new_array(p.m * p.n) : NULL;
    p.factor = -0.37F;
    float *c = new_array(p.m * p.n), *wanted = copy_array(c, p.m * p.n);
    plain->gemm(&p, wanted);
    table->gemm(&p, c);
    double size = 1 + sqrt((double)p.k); /* of a sum of k terms, about; it may cancel out */
    assert_within(table->name, "gemm", p.m * p.n, c, wanted, 2e-6 * size);
    free_arrays();
}

/* A large transposed factor is turned first, which changes no sum. */
static void a_transposed_factor_gives_the_same_bits_as_the_turned_one(void **state)
{
    enum { M = 70, N = 210, K = 300 };
    (void)state;
    float *a = new_array(M * K), *b = new_array(K * N), *bias = new_array(N);
    float *turned = new_array(M * K), *first = new_array(M * N), *c = copy_array(first, M * N);
    float *wanted = copy_array(first, M * N);
    plain->transpose(1, K, M, a, turned);
    mn_product p = {.accumulate = true, .relu = true, .m = M, .n = N, .k = K};
    p.b = b;
    p.bias = bias;
    FOR_EACH_TABLE(table)
    {
        p.trans_a = true;
        p.a = a;
        table->gemm(&p, c);
        plain->gemm(&p, wanted);
        assert_within(table->name, "gemm", M * N, c, wanted, 1e-4);
        p.trans_a = false;
        p.a = turned;
        table->gemm(&p, first);
        assert_memory_equal(c, first, M * N * sizeof *c);
    }
    free_arrays();
}

static void matrix_products_are_those_of_the_reference(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {
        {1, 1, 1},     {1, 40, 10},     {10, 40, 40},  {10, 40, 1},  {10, 1, 40},     {40, 1, 10},
        {5, 5, 256},   {256, 5, 5},     {5, 256, 5},   {7, 13, 17},  {3, 65, 129},    {61, 67, 71},
        {5, 256, 784}, {128, 128, 128}, {19, 33, 300}, {6, 64, 128}, {200, 130, 257}, {33, 600, 9},
        {40, 40, 10},  {1, 17, 300},    {17, 1, 300},  {9, 70, 1},   {1, 1, 67},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int around = 0; around < 8; around++)
            FOR_EACH_TABLE(table)
    compare_products(table, (mn_product){.m = shapes[s][0], .n = shapes[s][1], .k = shapes[s][2]},
                     around);
}

/* Every path through gemm, on sizes below, at and above what fills lanes and tiles. */
static void products_with_their_surroundings_are_those_of_the_reference(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {
        {1, 1, 1},    {1, 40, 10},  {10, 40, 40}, {10, 40, 1}, {10, 1, 40},
        {40, 1, 10},  {40, 40, 10}, {5, 9, 64},   {7, 13, 17}, {13, 70, 128},
        {6, 65, 129}, {2, 24, 300}, {9, 16, 1},   {1, 1, 19},  {34, 515, 3},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int around = 8; around < 256; around++)
            FOR_EACH_TABLE(table)
    compare_products(table, (mn_product){.m = shapes[s][0], .n = shapes[s][1], .k = shapes[s][2]},
                     around);
}

static void transposition_is_that_of_the_reference(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1}, {3, 1, 7}, {9, 64, 64}, {2, 5, 9}, {1, 37, 129}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        FOR_EACH_TABLE(table)
        {
            size_t n = shapes[s][0], rows = shapes[s][1], cols = shapes[s][2];
            const float *a = new_array(n * rows * cols);
            float *got = new_array(n * rows * cols), *wanted = new_array(n * rows * cols);
            table->transpose(n, rows, cols, a, got);
            plain->transpose(n, rows, cols, a, wanted);
            assert_memory_equal(got, wanted, n * rows * cols * sizeof *got);
            free_arrays();
        }
}

static void compare_convolutions(const mn_kernels *table, const mn_conv *conv, bool accumulate)
{
    size_t x_size = (size_t)conv->n * conv->height * conv->width * conv->c_in;
    size_t y_size = (size_t)conv->n * conv->out_height * conv->out_width * conv->c_out;
    size_t w_size = 9 * (size_t)conv->c_in * conv->c_out;
    const float *x = new_array(x_size), *y = new_array(y_size), *w = new_array(w_size);
    float *got_x = copy_array(x, x_size), *wanted_x = copy_array(x, x_size);
    float *got_y = copy_array(y, y_size), *wanted_y = copy_array(y, y_size);
    float *got_w = copy_array(w, w_size), *wanted_w = copy_array(w, w_size);

    table->conv_forward(conv, x, w, got_y, accumulate);
    plain->conv_forward(conv, x, w, wanted_y, accumulate);
    assert_close(table->name, "conv_forward", y_size, got_y, wanted_y, 3e-6);
    table->conv_backward_data(conv, y, w, got_x, accumulate);
    plain->conv_backward_data(conv, y, w, wanted_x, accumulate);
    assert_close(table->name, "conv_backward_data", x_size, got_x, wanted_x, 3e-6);
    table->conv_backward_weights(conv, x, y, got_w, accumulate);
    plain->conv_backward_weights(conv, x, y, wanted_w, accumulate);
    assert_close(table->name, "conv_backward_weights", w_size, got_w, wanted_w, 5e-6);
    free_arrays();
}

static void convolutions_are_those_of_the_reference(void **state)
{
    (void)state;
    static const uint32_t shapes[][5] = {
        /* n, height, width, c_in, c_out */
        {1, 1, 1, 1, 1},      {1, 1, 1, 64, 64},   {2, 2, 1, 3, 5},      {3, 1, 6, 17, 16},
        {5, 28, 28, 1, 64},   {2, 29, 31, 3, 40},  {1, 84, 84, 3, 32},   {1, 3, 300, 2, 7},
        {1, 2, 2731, 3, 4},   {5, 14, 14, 64, 64}, {20, 7, 7, 64, 64},   {20, 4, 4, 64, 64},
        {75, 2, 2, 64, 64},   {3, 13, 11, 23, 37}, {40, 14, 14, 13, 66}, {2, 5, 3, 130, 12},
        {1, 40, 100, 20, 20},
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (uint32_t kind = 0; kind < 4; kind++)
            FOR_EACH_TABLE(table)
            {
                uint32_t stride = 1 + kind % 2;
                mn_conv conv = {shapes[s][0],
                                shapes[s][1],
                                shapes[s][2],
                                shapes[s][3],
                                shapes[s][4],
                                stride,
                                (shapes[s][1] - 1) / stride + 1,
                                (shapes[s][2] - 1) / stride + 1};
                compare_convolutions(table, &conv, kind / 2);
            }
}

/* Batch norm with means that are large beside the deviations, as images have. */
static void compare_batch_norm(const mn_kernels *table, size_t rows, size_t c, bool relu,
                               bool with_nulls)
{
    size_t n = rows * c;
    double loose =
        rows == 1 ? 2e-3 : 2e-5; /* one row has variance 0: 1/sqrt(eps) enlarges all errors */
    float *x = new_array(n);
    for (size_t i = 0; i < n; i++)
        x[i] += 3 + (float)(i % c % 5);
    const float *gamma = new_array(c), *beta = new_array(c);
    const float *tgamma = with_nulls ? NULL : new_array(c);
    const float *tbeta = with_nulls ? NULL : new_array(c);
    const float *dy = new_array(n), *tx = new_array(n), *tdy = with_nulls ? NULL : new_array(n);
    float *stats = new_array(2 * c), *got_stats = new_array(2 * c), *got = new_array(n);
    float *y = new_array(n), *wanted = new_array(n), *sums = new_array(2 * c);
    float *tsums = new_array(2 * c), *bsums = new_array(2 * c), *got_sums = new_array(2 * c);
    const float *y_read = relu ? y : NULL;

    plain->bn_stats(rows, c, 1e-5, x, stats);
    table->bn_stats(rows, c, 1e-5, x, got_stats);
    for (size_t i = 0; i < 2 * c; i++)
        assert_close(table->name, "bn_stats", 1, got_stats + i, stats + i, rows == 1 ? 1e-3 : 2e-6);

    plain->bn_forward(rows, c, relu, x, stats, gamma, beta, y);
    table->bn_forward(rows, c, relu, x, stats, gamma, beta, got);
    assert_close(table->name, "bn_forward", n, got, y, loose);
    float *in_place = copy_array(x, n);
    table->bn_forward(rows, c, relu, in_place, stats, gamma, beta, in_place);
    assert_memory_equal(in_place, got, n * sizeof *got);

    plain->bn_backward_sums(rows, c, relu, x, stats, y_read, dy, sums);
    table->bn_backward_sums(rows, c, relu, x, stats, y_read, dy, got_sums);
    assert_close(table->name, "bn_backward_sums", 2 * c, got_sums, sums, loose);
    plain->bn_backward(rows, rows, c, relu, x, stats, gamma, y_read, dy, sums, wanted);
    table->bn_backward(rows, rows, c, relu, x, stats, gamma, y_read, dy, sums, got);
    if (rows > 1) /* dx of one row is 0 but for rounding */
        assert_close(table->name, "bn_backward", n, got, wanted, loose);

    plain->bn_tangent_sums(rows, c, x, stats, tx, tsums);
    table->bn_tangent_sums(rows, c, x, stats, tx, got_sums);
    assert_close(table->name, "bn_tangent_sums", 2 * c, got_sums, tsums, loose);
    plain->bn_tangent(rows, c, relu, x, stats, gamma, y_read, tx, tsums, tgamma, tbeta, wanted);
    table->bn_tangent(rows, c, relu, x, stats, gamma, y_read, tx, tsums, tgamma, tbeta, got);
    assert_close(table->name, "bn_tangent", n, got, wanted, loose);

    plain->bn_backward_tangent_sums(rows, c, relu, x, stats, y_read, dy, tdy, tx, tsums, bsums);
    table->bn_backward_tangent_sums(rows, c, relu, x, stats, y_read, dy, tdy, tx, tsums, got_sums);
    assert_close(table->name, "bn_backward_tangent_sums", 2 * c, got_sums, bsums, loose);
    plain->bn_backward_tangent(rows, c, relu, x, stats, gamma, tgamma, y_read, dy, sums, tdy, tx,
                               tsums, bsums, wanted);
    table->bn_backward_tangent(rows, c, relu, x, stats, gamma, tgamma, y_read, dy, sums, tdy, tx,
                               tsums, bsums, got);
    if (rows > 1)
        assert_close(table->name, "bn_backward_tangent", n, got, wanted, loose);
    free_arrays();
}

static void batch_norm_is_that_of_the_reference(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1},   {1, 64},   {4, 3},    {5, 256},  {20, 64},
                                       {33, 17}, {97, 131}, {980, 64}, {4003, 5}, {14700, 64}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int kind = 0; kind < 4; kind++)
            FOR_EACH_TABLE(table)
    compare_batch_norm(table, shapes[s][0], shapes[s][1], kind & 1, kind & 2);
}

/* The same sums from parts, to the bit: of a table's own, for the reference has no blocks. */
static void batch_norms_sums_may_be_made_in_parts(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {
        {5, 3, 32}, {64, 17, 32}, {97, 131, 32}, {980, 64, 96}, {1000, 300, 320}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        FOR_EACH_TABLE(table)
        {
            const size_t rows = shapes[s][0], c = shapes[s][1], part = shapes[s][2];
            float *x = new_array(rows * c), *dy = new_array(rows * c), *dx = new_array(rows * c);
            float *stats = new_array(2 * c), *sums = new_array(2 * c), *gamma = new_array(c);
            double *moments = calloc(2 * c, sizeof *moments),
                   *totals = calloc(2 * c, sizeof *totals);
            assert_non_null(moments);
            assert_non_null(totals);
            table->bn_stats(rows, c, 1e-5, x, stats);
            table->bn_backward_sums(rows, c, false, x, stats, NULL, dy, sums);
            table->bn_backward(rows, rows, c, false, x, stats, gamma, NULL, dy, sums, dx);
            for (size_t row = 0; row < rows; row += part) {
                const size_t n = rows - row < part ? rows - row : part;
                table->bn_add_moments(row, n, c, x + row * c, moments);
                table->bn_add_sums(n, c, x + row * c, stats, dy + row * c, totals);
            }
            const bool in_blocks = table != plain;
            for (size_t j = 0; j < c; j++) {
                const float inverse = (float)(1 / sqrt(moments[c + j] / (double)rows + 1e-5));
                const float made[] = {(float)moments[j], inverse, (float)totals[j],
                                      (float)totals[c + j]};
                const float wanted[] = {stats[j], stats[c + j], sums[j], sums[c + j]};
                for (int i = 0; i < 4; i++)
                    assert_true(in_blocks
                                    ? made[i] == wanted[i]
                                    : fabsf(made[i] - wanted[i]) <= 1e-5f * (1 + fabsf(wanted[i])));
            }
            float *in_place = copy_array(dy, rows * c);
            table->bn_backward(rows, rows, c, false, x, stats, gamma, NULL, in_place, sums,
                               in_place);
            assert_memory_equal(in_place, dx, rows * c * sizeof *x);
            for (size_t row = 0; row < rows; row += part) { /* dx in the place of x */
                const size_t n = rows - row < part ? rows - row : part;
                table->bn_backward(n, rows, c, false, x + row * c, stats, gamma, NULL, dy + row * c,
                                   sums, x + row * c);
            }
            assert_memory_equal(x, dx, rows * c * sizeof *x);
            free(moments);
            free(totals);
            free_arrays();
        }
}

static void max_pooling_is_that_of_the_reference(void **state)
{
    (void)state;
    static const size_t shapes[][4] = {
        {1, 2, 2, 1}, {3, 28, 28, 64}, {2, 7, 5, 19}, {5, 3, 3, 64}, {1, 1, 4, 3}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        FOR_EACH_TABLE(table)
        {
            size_t n = shapes[s][0], height = shapes[s][1], width = shapes[s][2], c = shapes[s][3];
            size_t size = n * height * width * c, pooled = n * (height / 2) * (width / 2) * c;
            float *x = new_array(size), *dy = new_array(pooled);
            for (size_t i = 0; i < size; i++)
                x[i] = floorf(3 * x[i]); /* many ties */
            uint8_t *wanted_index = calloc(pooled + 1, 1), *index = calloc(pooled + 1, 1);
            assert_non_null(wanted_index);
            assert_non_null(index);
            plain->max_pool_index(n, height, width, c, x, wanted_index);
            table->max_pool_index(n, height, width, c, x, index);
            assert_memory_equal(index, wanted_index, pooled + 1);

            float *got = new_array(pooled), *wanted = new_array(pooled);
            plain->max_pool_gather(n, height, width, c, x, index, wanted);
            table->max_pool_gather(n, height, width, c, x, index, got);
            assert_memory_equal(got, wanted, pooled * sizeof *got);
            float *got_dx = new_array(size), *dx = new_array(size);
            const float *passed[] = {NULL, got}; /* all, and what a ReLU lets pass */
            for (int i = 0; i < 2; i++) {
                plain->max_pool_scatter(n, height, width, c, dy, index, passed[i], dx);
                table->max_pool_scatter(n, height, width, c, dy, index, passed[i], got_dx);
                assert_close(table->name, "max_pool_scatter", size, got_dx, dx, 0);
            }
            for (size_t i = 0; i < pooled; i++)
                dy[i] = got[i] > 0 ? dy[i] : 0;
            plain->max_pool_scatter(n, height, width, c, dy, index, NULL, dx);
            assert_memory_equal(got_dx, dx, size * sizeof *dx);
            free(wanted_index);
            free(index);
            free_arrays();
        }
}

static void sums_over_rows_and_pixels_are_those_of_the_reference(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1},   {10, 1, 1}, {10, 1, 40}, {3, 1, 16}, {4, 8, 33},
                                       {1, 33, 16}, {5, 9, 64}, {3, 49, 17}, {7, 5, 200}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        FOR_EACH_TABLE(table)
        {
            size_t n = shapes[s][0], pixels = shapes[s][1], c = shapes[s][2], rows = n * pixels;
            float *x = new_array(rows * c), *b = new_array(c), *small = new_array(n * c);
            float *got = new_array(rows * c), *wanted = new_array(rows * c);
            plain->pixel_mean(n, pixels, c, x, wanted);
            table->pixel_mean(n, pixels, c, x, got);
            assert_close(table->name, "pixel_mean", n * c, got, wanted, 1e-6);
            plain->pixel_spread(n, pixels, c, small, wanted);
            table->pixel_spread(n, pixels, c, small, got);
            assert_close(table->name, "pixel_spread", rows * c, got, wanted, 2e-7);
            for (int based = 0; based < 2; based++) {
                plain->column_sums(rows, c, x, -0.37F, based ? b : NULL, wanted);
                table->column_sums(rows, c, x, -0.37F, based ? b : NULL, got);
                assert_close(table->name, "column_sums", c, got, wanted, 1e-6);
            }
            plain->bias_add(rows, c, x, b, wanted);
            table->bias_add(rows, c, x, b, x);
            assert_close(table->name, "bias_add in place", rows * c, x, wanted, 0);
            free_arrays();
        }
}

static void compare_elements(const mn_kernels *table, size_t n)
{
    const float *a = new_array(n), *b = new_array(n), *c = new_array(n);
    float *got = new_array(n), *wanted = new_array(n);
#define COMPARE(call, kernel, in, ...)                                                             \
    plain->kernel(__VA_ARGS__, wanted);                                                            \
    memcpy(got, in, n * sizeof *got);                                                              \
    table->kernel(call, got);                                                                      \
    assert_close(table->name, #kernel " in place", n, got, wanted, 3e-7)
#define ARGS(...) __VA_ARGS__
    COMPARE(ARGS(n, got, b), add, a, n, a, b);
    COMPARE(ARGS(n, a, got), add, b, n, a, b);
    COMPARE(ARGS(n, 0.37F, got), scale, a, n, 0.37F, a);
    COMPARE(ARGS(n, 0.37F, got, b), scale_add, a, n, 0.37F, a, b);
    COMPARE(ARGS(n, 0.37F, a, got), scale_add, b, n, 0.37F, a, b);
    COMPARE(ARGS(n, a, got), multiply, b, n, a, b);
    COMPARE(ARGS(n, got), relu, a, n, a);
    COMPARE(ARGS(n, got, b), mask, a, n, a, b);
    COMPARE(ARGS(n, a, got), mask, b, n, a, b);
    COMPARE(ARGS(n, got), tanh, a, n, a);
    COMPARE(ARGS(n, got, b), tanh_backward, a, n, a, b);
    COMPARE(ARGS(n, a, b, got), tanh_curve, c, n, a, b, c);
#undef ARGS
#undef COMPARE
    double loss = plain->squared_error(n, a, b);
    const double ours = table->squared_error(n, a, b);
    note_double(ours);
    assert_true(fabs(ours - loss) <= 1e-6 * loss);
    free_arrays();
}

static void element_kernels_are_those_of_the_reference_in_place_too(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3, 4, 7, 8, 15, 16, 17, 31, 1009};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        FOR_EACH_TABLE(table)
    compare_elements(table, sizes[i]);
}

static void softmax_and_losses_are_those_of_the_reference(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {5, 5}, {20, 20}, {3, 16}, {7, 129}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        FOR_EACH_TABLE(table)
        {
            size_t rows = shapes[s][0], c = shapes[s][1], n = rows * c;
            float *z = new_array(n), *tz = new_array(n), *target = new_array(n);
            float *p = new_array(n), *got = new_array(n), *wanted = new_array(n);
            for (size_t i = 0; i < n; i++) {
                z[i] = 60 * z[i] + 200; /* overflows without the maximum of the row */
                target[i] = fabsf(target[i]);
            }
            plain->softmax(rows, c, z, p);
            table->softmax(rows, c, z, got);
            assert_close(table->name, "softmax", n, got, p, 5e-7);
            plain->softmax_tangent(rows, c, p, tz, wanted);
            table->softmax_tangent(rows, c, p, tz, got);
            assert_close(table->name, "softmax_tangent", n, got, wanted, 5e-7);
            double loss = plain->cross_entropy(rows, c, z, target);
            const double ours = table->cross_entropy(rows, c, z, target);
            note_double(ours);
            assert_true(fabs(ours - loss) <= 1e-6 * fabs(loss));
            free_arrays();
        }
}

/* The list of words that n items of `length` numbers name in a table of `rows`. */
static mn_word_list *list_of(size_t n, size_t length, size_t rows, const float *ids)
{
    const mn_words_shape shape = {n, length, rows, .padding = 0};
    mn_word_list *list = malloc(4 * mn_word_list_numbers(n, n * length));
    assert_non_null(list);
    mn_word_list_read(&shape, ids, NULL, list);
    return list;
}

static mn_word_list *turned(const mn_word_list *list, size_t rows)
{
    mn_word_list *of = malloc(4 * mn_word_list_numbers(rows, list->most_words));
    assert_non_null(of);
    mn_word_list_turn(list, rows, of);
    return of;
}

/* One number in `share` is a word, the others are padding. */
static void compare_embeddings(const mn_kernels *table, size_t c, size_t length, size_t share,
                               bool weighted)
{
    const size_t items = 30, rows = 1 + c % 7, n = items * c, size = rows * c;
    float *ids = new_array(items * length);
    const float *from = new_array(size), *dy = new_array(n);
    const float *weights = weighted ? new_array(length * c) : NULL;
    for (size_t i = 0; i < items * length; i++)
        ids[i] = random_float() * (float)share < 1 ? (float)(i % rows) : 0;
    mn_word_list *list = list_of(items, length, rows, ids), *back = turned(list, rows);
    /* At most so many numbers of up to 1 are added up, in any order and at any accuracy of float:
     * each addition is off by half a unit of what there is by then. */
    const double most = (double)(1 + list->n_words), error = 0x1p-24 * most * most;
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        float *got = copy_array(dy, n), *wanted = copy_array(dy, n);
        plain->embed(c, list, from, weights, accumulate, wanted);
        table->embed(c, list, from, weights, accumulate, got);
        assert_within(table->name, "embed", n, got, wanted, error);
        float *got_rows = copy_array(from, size), *wanted_rows = copy_array(from, size);
        plain->embed(c, back, dy, weights, accumulate, wanted_rows);
        table->embed(c, back, dy, weights, accumulate, got_rows);
        assert_within(table->name, "embed turned", size, got_rows, wanted_rows, error);
    }
    free(list);
    free(back);
    free_arrays();
}

static void tables_are_read_and_written_by_name_as_by_the_reference(void **state)
{
    (void)state;
    for (size_t c = 1; c <= 140; c += c < 70 ? 1 : 23)
        for (int weighted = 0; weighted < 2; weighted++)
            FOR_EACH_TABLE(table)
            {
                compare_embeddings(table, c, 1 + c % 4, 1, weighted);
                compare_embeddings(table, c, 1 + c % 4, 20, weighted);
            }
}

static void long_sentences_are_added_up_as_by_the_reference(void **state)
{
    (void)state;
    for (size_t length = 1; length <= 70; length += 23)
        FOR_EACH_TABLE(table)
        {
            compare_embeddings(table, 50, length, 1, true);
            compare_embeddings(table, 50, length, 6, true);
        }
}

static void compare_slots(const mn_kernels *table, size_t slots, size_t c)
{
    static const float filled[] = {3, 0, 1e9F, -1, NAN, 1, 2};
    const mn_slots shape = {sizeof filled / sizeof *filled, slots, c};
    const size_t n_p = shape.n * slots, n_o = shape.n * c, all = shape.n * slots * c;
    float *p = new_array(n_p), *o = new_array(n_o), *memory = new_array(all);
    float *got = new_array(all + n_p + n_o), *wanted = new_array(all + n_p + n_o);
    for (size_t i = 0; i < shape.n; i++) /* what is not filled may hold anything */
        for (size_t s = 0; s < slots; s++)
            if (!((float)s < filled[i]))
                p[i * slots + s] = memory[(i * slots + s) * c] = NAN;
    plain->slots_match(&shape, filled, o, memory, wanted);
    table->slots_match(&shape, filled, o, memory, got);
    assert_close(table->name, "slots_match", n_p, got, wanted, 3e-6);
    plain->slots_read(&shape, filled, p, memory, wanted);
    table->slots_read(&shape, filled, p, memory, got);
    assert_close(table->name, "slots_read", n_o, got, wanted, 3e-6);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        float *got_rows = new_array(all), *wanted_rows = copy_array(got_rows, all);
        plain->slots_write(&shape, filled, p, o, accumulate, wanted_rows);
        table->slots_write(&shape, filled, p, o, accumulate, got_rows);
        assert_close(table->name, "slots_write", all, got_rows, wanted_rows, 1e-6);
    }
    free_arrays();
}

static void slots_are_matched_read_and_written_as_by_the_reference(void **state)
{
    (void)state;
    for (size_t c = 1; c <= 140; c += c < 70 ? 1 : 23)
        FOR_EACH_TABLE(table)
    compare_slots(table, 1 + c % 13, c);
}

static void compare_rows(const mn_kernels *table, size_t rows, size_t times, size_t c)
{
    const size_t n = rows * c, all = n * times, wide = c + 3 + rows % 2, first = rows % 4;
    float *a = new_array(n), *s = new_array(rows), *v = new_array(c), *many = new_array(all);
    float *got = new_array(all), *wanted = new_array(all);
    plain->row_scale(rows, c, s, a, wanted);
    memcpy(got, a, n * sizeof *got);
    table->row_scale(rows, c, s, got, got);
    assert_close(table->name, "row_scale in place", n, got, wanted, 0);
    plain->column_scale(rows, c, a, v, wanted);
    memcpy(got, a, n * sizeof *got);
    table->column_scale(rows, c, got, v, got);
    assert_close(table->name, "column_scale in place", n, got, wanted, 0);
    plain->row_dot(rows, c, a, many, wanted);
    table->row_dot(rows, c, a, many, got);
    assert_within(table->name, "row_dot", rows, got, wanted, 1e-6 * (1 + sqrt((double)c)));
    plain->repeat_rows(rows, times, c, a, wanted);
    table->repeat_rows(rows, times, c, a, got);
    assert_close(table->name, "repeat_rows", all, got, wanted, 0);
    plain->tile_rows(n, times, a, wanted);
    table->tile_rows(n, times, a, got);
    assert_close(table->name, "tile_rows", all, got, wanted, 0);
    plain->sum_groups(rows, times, c, many, wanted);
    table->sum_groups(rows, times, c, many, got);
    assert_close(table->name, "sum_groups", n, got, wanted, 0); /* in the order of the rows */
    plain->sum_tiles(n, times, many, wanted);
    table->sum_tiles(n, times, many, got);
    assert_close(table->name, "sum_tiles", n, got, wanted, 0);

    float *of_wide = new_array(rows * wide), *got_wide = copy_array(of_wide, rows * wide);
    plain->take_columns(rows, wide, first, c, of_wide, wanted);
    table->take_columns(rows, wide, first, c, of_wide, got);
    assert_close(table->name, "take_columns", n, got, wanted, 0);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        plain->put_columns(rows, wide, first, c, a, accumulate, of_wide);
        table->put_columns(rows, wide, first, c, a, accumulate, got_wide);
        assert_close(table->name, "put_columns", rows * wide, got_wide, of_wide, 0);
    }
    free_arrays();
}

static void kernels_of_rows_and_columns_are_those_of_the_reference(void **state)
{
    (void)state;
    for (size_t c = 1; c <= 40; c++)
        for (size_t rows = 1; rows <= 5; rows++)
            FOR_EACH_TABLE(table)
    compare_rows(table, rows, 1 + (c + rows) % 4, c);
}

static void compare_functions(const mn_kernels *table, size_t n)
{
    float *x = new_array(n), *positive = new_array(n), *got = new_array(n), *wanted = new_array(n);
    for (size_t i = 0; i < n; i++) {
        x[i] *= i % 3 == 0 ? 100 : 8;
        positive[i] = 1e-3F + 20 * fabsf(positive[i]);
    }
#define COMPARE(kernel, in, tolerance)                                                             \
    plain->kernel(n, in, wanted);                                                                  \
    memcpy(got, in, n * sizeof *got);                                                              \
    table->kernel(n, got, got);                                                                    \
    for (size_t i = 0; i < n; i++)                                                                 \
    assert_within(table->name, #kernel, 1, got + i, wanted + i,                                    \
                  tolerance * fabs((double)wanted[i]) + 1e-37)
    COMPARE(sigmoid, x, 5e-7);
    COMPARE(softplus, x, 2e-7);
    COMPARE(logarithm, positive, 2e-7);
    COMPARE(reciprocal, positive, 2e-7);
    COMPARE(root, positive, 2e-7);
    for (size_t i = 0; i < n; i++)
        x[i] = fminf(fmaxf(x[i], -80), 80);
    COMPARE(exponential, x, 3e-7);
#undef COMPARE
    table->fill(n, 0.3F, got);
    for (size_t i = 0; i < n; i++)
        assert_true(got[i] == 0.3F);
    const double mean = plain->mean(n, x);
    const double ours = table->mean(n, x);
    note_double(ours);
    assert_true(fabs(ours - mean) <= 1e-6 * fabs(mean) + 1e-9);
    free_arrays();
}

static void functions_of_one_number_are_those_of_the_reference(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 40; n++)
        FOR_EACH_TABLE(table)
    compare_functions(table, n);
}

/* A mask of random zeros; every third row keeps nothing. What is masked may be anything. */
static void compare_masked_softmax(const mn_kernels *table, size_t rows, size_t c)
{
    const size_t n = rows * c;
    float *z = new_array(n), *mask = new_array(n), *target = new_array(n);
    float *got = new_array(n), *wanted = new_array(n), *weights = new_array(rows);
    static const float odd[] = {NAN, INFINITY, -INFINITY, 1e30F};
    for (size_t i = 0; i < n; i++) {
        z[i] = 60 * z[i] + 200;
        target[i] = fabsf(target[i]);
        mask[i] = i / c % 3 == 2 || mask[i] < 0 ? 0 : mask[i];
        if (mask[i] == 0)
            z[i] = odd[i % 4];
    }
    plain->masked_softmax(rows, c, z, mask, wanted);
    table->masked_softmax(rows, c, z, mask, got);
    assert_close(table->name, "masked_softmax", n, got, wanted, 5e-7);
    for (size_t i = 0; i < n; i++)
        assert_true(mask[i] != 0 || got[i] == 0);
    for (size_t i = 0; i < rows; i++)
        weights[i] = i % 3 == 2 ? 0 : fabsf(weights[i]);
    for (size_t i = 0; i < n; i++)
        if (i / c % 3 != 2 && !(fabsf(z[i]) < 1e3F))
            z[i] = 1;
    const double loss = plain->weighted_cross_entropy(rows, c, z, target, weights);
    assert_true(isfinite(loss));
    double ours = table->weighted_cross_entropy(rows, c, z, target, weights);
    note_double(ours);
    assert_true(fabs(ours - loss) <= 1e-6 * fabs(loss));
    plain->softmax(rows, c, z, got); /* rows of padding may hold anything */
    const double chosen = plain->choice_loss(rows, c, z, got, target, weights);
    assert_true(fabs(chosen - loss) <= 1e-6 * fabs(loss));
    ours = table->choice_loss(rows, c, z, got, target, weights);
    note_double(ours);
    assert_true(fabs(ours - loss) <= 1e-6 * fabs(loss));
    free_arrays();
}

static void masked_softmax_and_weighted_losses_are_those_of_the_reference(void **state)
{
    (void)state;
    for (size_t c = 1; c <= 40; c++)
        for (size_t rows = 1; rows <= 7; rows += 3)
            FOR_EACH_TABLE(table)
    compare_masked_softmax(table, rows, c);
}

/* Usages of few values, so that many are equal; some rows have fewer numbers than slots to give. */
static void the_least_used_slots_are_the_first_of_equals(void **state)
{
    (void)state;
    for (size_t c = 1; c <= 40; c++)
        for (const mn_kernels *const *each = mn_kernels_all(); *each != NULL; each++) {
            enum { N_ROWS = 3 };
            const size_t k = 1 + c % 5;
            float *usage = new_array(N_ROWS * c), *out = new_array(N_ROWS * k * c);
            for (size_t i = 0; i < N_ROWS * c; i++)
                usage[i] = floorf(2 * usage[i]);
            usage[c / 2] = NAN;
            usage[c + c / 2] = INFINITY;
            usage[2 * c + c / 2] = -0.0F;
            (*each)->least_used(N_ROWS, c, k, usage, out);
            for (size_t row = 0; row < N_ROWS; row++)
                for (size_t j = 0; j < c; j++) {
                    const float *u = usage + row * c;
                    size_t before = 0; /* those that come before slot j */
                    for (size_t other = 0; other < c; other++)
                        before += u[other] < u[j] || (u[other] == u[j] && other < j);
                    for (size_t rank = 0; rank < k; rank++)
                        if (out[(row * k + rank) * c + j] !=
                            (rank == before && !isnan(u[j]) ? 1.0F : 0.0F))
                            fail_msg("%s: row %zu of %zu, slot %zu, rank %zu", (*each)->name, row,
                                     c, j, rank);
                }
            free_arrays();
        }
}

/* By dots, how many rows there are must not matter to any of them. */
static void a_row_of_a_product_does_not_depend_on_how_many_there_are(void **state)
{
    (void)state;
    for (const mn_kernels *const *each = mn_kernels_all(); *each != NULL; each++)
        for (size_t m = 2; m <= 9; m++) {
            const size_t n = 11, k = 75;
            mn_product p = {.trans_b = true, .m = m, .n = n, .k = k};
            const float *a = new_array(m * k);
            float *all = new_array(m * n), *one = new_array(n);
            p.a = a;
            p.b = new_array(n * k);
            (*each)->gemm(&p, all);
            p.m = 1;
            for (size_t i = 0; i < m; i++) {
                p.a = a + i * k;
                (*each)->gemm(&p, one);
                assert_memory_equal(one, all + i * n, n * sizeof *one);
            }
            free_arrays();
        }
}

/* In units of the last place of the true value. */
static double ulps(float got, double wanted)
{
    int exponent;
    (void)frexp(wanted, &exponent);
    return fabs((double)got - wanted) / ldexp(1, exponent - 24);
}

static void exp_and_tanh_are_good_to_two_units_of_the_last_place(void **state)
{
    (void)state;
    enum { N = 4096 };
    FOR_EACH_TABLE(table)
    {
        float *x = new_array(N), *y = new_array(N);
        for (size_t round = 0; round < 8; round++) {
            for (size_t i = 0; i < N; i++)
                x[i] = random_float() * (float)(round == 0 ? 1e-3 : 2.0 * (double)round);
            table->tanh(N, x, y);
            for (size_t i = 0; i < N; i++)
                assert_true(ulps(y[i], tanh((double)x[i])) <= 2);
        }
        for (size_t i = 0; i < N / 2; i++) { /* of two classes: p1/p0 is one exp */
            float z[2] = {0, -fabsf(random_float()) * 80}, p[2];
            table->softmax(1, 2, z, p);
            double e = exp((double)z[1]);
            assert_true(ulps(p[1], e / (1 + e)) <= 3);
        }
        free_arrays();
    }
}

static void what_is_not_a_number_is_not_hidden(void **state)
{
    (void)state;
    for (const mn_kernels *const *each = mn_kernels_all(); *each != NULL; each++) {
        float x[5] = {1, NAN, INFINITY, -INFINITY, -1}, y[5];
        (*each)->relu(5, x, y);
        assert_true(isnan(y[1]) && isinf(y[2]) && y[3] == 0 && y[4] == 0);
        for (size_t n = 1; n <= 5; n += 4) { /* as a column and as a row */
            float one = 1;
            mn_product product = {.m = 5 / n, .n = n, .k = 1, .a = x, .b = &one, .relu = true};
            if (n > 1) {
                product.a = &one;
                product.b = x;
            }
            (*each)->gemm(&product, y);
            assert_true(isnan(y[1]) && isinf(y[2]) && y[3] == 0 && y[4] == 0);
        }
        (*each)->tanh(5, x, y);
        assert_true(isnan(y[1]) && y[2] == 1 && y[3] == -1);
        (*each)->softmax(1, 2, x, y);
        assert_true(isnan(y[0]) || isnan(y[1]));
        float masked[5] = {1, 1, 0, 0, 1};
        (*each)->masked_softmax(1, 5, x, masked, y);
        assert_true(isnan(y[0]) && isnan(y[1]) && isnan(y[4]) && y[2] == 0 && y[3] == 0);
        (*each)->sigmoid(5, x, y);
        assert_true(isnan(y[1]) && y[2] == 1 && y[3] == 0);
        (*each)->exponential(5, x, y);
        assert_true(isnan(y[1]) && isinf(y[2]) && y[3] == 0);
        (*each)->softplus(5, x, y);
        assert_true(isnan(y[1]) && isinf(y[2]) && y[3] == 0);
        (*each)->logarithm(5, x, y);
        assert_true(y[0] == 0 && isnan(y[1]) && isinf(y[2]) && isnan(y[4]));
        (*each)->root(5, x, y);
        assert_true(y[0] == 1 && isnan(y[1]) && isnan(y[4]));
        (*each)->reciprocal(5, x, y);
        assert_true(isnan(y[1]) && y[2] == 0 && y[4] == -1);
        float stats[2] = {0, 1}, gamma = 1, beta = 0;
        (*each)->bn_forward(5, 1, true, x, stats, &gamma, &beta, y);
        assert_true(isnan(y[1]) && y[3] == 0);
    }
}

static void a_table_can_be_asked_for_by_name(void **state)
{
    (void)state;
    for (const mn_kernels *const *each = mn_kernels_all(); *each != NULL; each++) {
        assert_int_equal(setenv("MNEMO_KERNELS", (*each)->name, 1), 0);
        assert_ptr_equal(mn_kernels_choose(), *each);
    }
    assert_int_equal(setenv("MNEMO_KERNELS", "abacus", 1), 0);
    assert_null(mn_kernels_choose());
    assert_int_equal(unsetenv("MNEMO_KERNELS"), 0);
    assert_ptr_equal(mn_kernels_choose(), mn_kernels_all()[0]);
}

#define TEST(name) cmocka_unit_test_teardown(name, drop_arrays)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(matrix_products_are_those_of_the_reference),
        TEST(products_with_their_surroundings_are_those_of_the_reference),
        TEST(transposition_is_that_of_the_reference),
        TEST(convolutions_are_those_of_the_reference),
        TEST(batch_norm_is_that_of_the_reference),
        TEST(batch_norms_sums_may_be_made_in_parts),
        TEST(max_pooling_is_that_of_the_reference),
        TEST(sums_over_rows_and_pixels_are_those_of_the_reference),
        TEST(element_kernels_are_those_of_the_reference_in_place_too),
        TEST(softmax_and_losses_are_those_of_the_reference),
        TEST(tables_are_read_and_written_by_name_as_by_the_reference),
        TEST(long_sentences_are_added_up_as_by_the_reference),
        TEST(slots_are_matched_read_and_written_as_by_the_reference),
        TEST(kernels_of_rows_and_columns_are_those_of_the_reference),
        TEST(functions_of_one_number_are_those_of_the_reference),
        TEST(masked_softmax_and_weighted_losses_are_those_of_the_reference),
        TEST(the_least_used_slots_are_the_first_of_equals),
        TEST(a_row_of_a_product_does_not_depend_on_how_many_there_are),
        TEST(exp_and_tanh_are_good_to_two_units_of_the_last_place),
        TEST(what_is_not_a_number_is_not_hidden),
        TEST(a_table_can_be_asked_for_by_name),
        TEST(a_transposed_factor_gives_the_same_bits_as_the_turned_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
