/* The reference itself, in double: adjoints by <f(x), dy> = <x, f*(dy)>, derivatives by central
 * differences. */
#include "worker/engine/kernels.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX = 4096 }; /* numbers in any array here */

static const mn_kernels *const k = &mn_kernels_plain;
static uint64_t seed = 777;

/* Uniform in [-1, 1), but not so near 0 that a difference crosses a ReLU. */
static double random_number(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    double u = (double)(seed >> 11) / (double)(1ull << 52) - 1;
    return fabs(u) < 0.01 ? 0.01 : u;
}

static void fill(size_t n, double *a)
{
    assert_true(n <= MAX);
    for (size_t i = 0; i < n; i++)
        a[i] = random_number();
}

static double dot(size_t n, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void assert_near(double got, double wanted, double tolerance)
{
    if (!(fabs(got - wanted) <= tolerance * fmax(1, fabs(wanted))))
        fail_msg("%.15g is not %.15g", got, wanted);
}

static void a_matrix_product_sums_rows_times_columns(void **state)
{
    (void)state;
    const double a[6] = {1, 2, 3, 4, 5, 6}, b[6] = {7, 8, 9, 10, 11, 12};
    const double at[6] = {1, 4, 2, 5, 3, 6}, bt[6] = {7, 9, 11, 8, 10, 12};
    for (int kind = 0; kind < 4; kind++) {
        double c[4] = {1, 1, 1, 1};
        mn_product product = {.trans_a = kind & 1,
                              .trans_b = kind & 2,
                              .accumulate = true,
                              .m = 2,
                              .n = 2,
                              .k = 3,
                              .a = kind & 1 ? at : a,
                              .b = kind & 2 ? bt : b};
        k->gemm(&product, c);
        const double wanted[4] = {59, 65, 140, 155};
        assert_memory_equal(c, wanted, sizeof c);
    }
}

static void a_product_takes_in_a_second_one_and_what_is_around_both(void **state)
{
    (void)state;
    const double a[2] = {1, 2}, b[2] = {3, -5}, a2[2] = {10, 100}, b2[2] = {1, 2};
    const double bias[2] = {0.5, -16}, mask[4] = {1, 1, 0, NAN};
    mn_product product = {.m = 2, .n = 2, .k = 1, .a = a, .b = b, .a2 = a2, .b2 = b2, .bias = bias};
    double c[4];
    k->gemm(&product, c);
    assert_memory_equal(c, ((double[]){13.5, -1, 106.5, 174}), sizeof c);
    product.relu = true;
    k->gemm(&product, c);
    assert_memory_equal(c, ((double[]){13.5, 0, 106.5, 174}), sizeof c);
    product.mask = mask;
    product.relu = false;
    k->gemm(&product, c);
    assert_memory_equal(c, ((double[]){13.5, -1, 0, 0}), sizeof c);
    product.base = (double[]){1, 2, 3, 4};
    product.factor = 2;
    k->gemm(&product, c);
    assert_memory_equal(c, ((double[]){28, 0, 3, 4}), sizeof c);
}

static void a_convolution_of_ones_counts_the_taps_inside(void **state)
{
    (void)state;
    double x[16], w[9], y[16];
    for (size_t i = 0; i < 16; i++)
        x[i] = 1;
    for (size_t i = 0; i < 9; i++)
        w[i] = i == 0 ? 100 : 1; /* tap (0,0) looks up and left */
    k->conv_forward(&(mn_conv){1, 4, 4, 1, 1, 1, 4, 4}, x, w, y, false);
    const double wanted[16] = {4, 6, 6, 4, 6, 108, 108, 105, 6, 108, 108, 105, 4, 105, 105, 103};
    assert_memory_equal(y, wanted, sizeof y);
    k->conv_forward(&(mn_conv){1, 4, 4, 1, 1, 2, 2, 2}, x, w, y, false);
    const double strided[4] = {4, 6, 6, 108};
    assert_memory_equal(y, strided, sizeof strided);
}

static void convolution_kernels_are_adjoint(void **state)
{
    (void)state;
    static double x[MAX], w[MAX], wt[MAX], dy[MAX], y[MAX], dx[MAX], dw[MAX];
    static const uint32_t sizes[][2] = {{1, 1}, {1, 5}, {4, 4}, {7, 6}};
    for (uint32_t s = 0; s < 4; s++)
        for (uint32_t stride = 1; stride <= 2; stride++)
            for (int accumulate = 0; accumulate < 2; accumulate++) {
                uint32_t height = sizes[s][0], width = sizes[s][1], c_in = 3, c_out = 5;
                mn_conv conv = {2,
                                height,
                                width,
                                c_in,
                                c_out,
                                stride,
                                (height - 1) / stride + 1,
                                (width - 1) / stride + 1};
                size_t n_x = (size_t)2 * height * width * c_in, n_w = (size_t)9 * c_in * c_out;
                size_t n_y = (size_t)2 * conv.out_height * conv.out_width * c_out;
                fill(n_x, x);
                fill(n_w, w);
                fill(n_y, dy);
                fill(n_y, y);
                fill(n_x, dx);
                fill(n_w, dw);
                double y_before = dot(n_y, y, dy) * accumulate,
                       x_before = dot(n_x, dx, x) * accumulate;
                double w_before = dot(n_w, dw, w) * accumulate;
                k->transpose(9, c_in, c_out, w, wt);
                k->conv_forward(&conv, x, w, y, accumulate);
                k->conv_backward_data(&conv, dy, wt, dx, accumulate);
                k->conv_backward_weights(&conv, x, dy, dw, accumulate);
                double product = dot(n_y, y, dy) - y_before;
                assert_near(dot(n_x, dx, x) - x_before, product, 1e-12);
                assert_near(dot(n_w, dw, w) - w_before, product, 1e-12);
            }
}

/* A batch normalisation, its inputs and dy (or a direction in them), and what follows from them. */
enum { ROWS = 7, C = 3, N = ROWS * C };
typedef struct bn {
    double x[N], gamma[C], beta[C], dy[N];
    double stats[2 * C], y[N], sums[2 * C], dx[N];
} bn;

static void run(bn *b, bool relu)
{
    k->bn_stats(ROWS, C, 1e-3, b->x, b->stats);
    k->bn_forward(ROWS, C, relu, b->x, b->stats, b->gamma, b->beta, b->y);
    const double *y = relu ? b->y : NULL;
    k->bn_backward_sums(ROWS, C, relu, b->x, b->stats, y, b->dy, b->sums);
    k->bn_backward(ROWS, ROWS, C, relu, b->x, b->stats, b->gamma, y, b->dy, b->sums, b->dx);
}

static bn random_bn(void)
{
    bn b;
    fill(N, b.x);
    fill(N, b.dy);
    fill(C, b.gamma);
    fill(C, b.beta);
    return b;
}

/* b + h * along, run. */
static bn step(const bn *b, const bn *along, double h, bool relu)
{
    bn at = *b;
    for (size_t i = 0; i < N; i++) {
        at.x[i] += h * along->x[i];
        at.dy[i] += h * along->dy[i];
    }
    for (size_t j = 0; j < C; j++) {
        at.gamma[j] += h * along->gamma[j];
        at.beta[j] += h * along->beta[j];
    }
    run(&at, relu);
    return at;
}

static void assert_slope(size_t n, const double *up, const double *down, double h,
                         const double *got)
{
    for (size_t i = 0; i < n; i++)
        assert_near(got[i], (up[i] - down[i]) / (2 * h), 1e-7);
}

/* The kernels' tangents along `along`, against those of central differences; zeros may be given as
 * NULL. */
static void check_tangents(bool relu, bool constant_parameters, bool constant_dy)
{
    const double h = 1e-5;
    bn b = random_bn(), along = random_bn();
    run(&b, relu);
    if (constant_parameters)
        memset(along.gamma, 0, sizeof along.gamma + sizeof along.beta);
    if (constant_dy)
        memset(along.dy, 0, sizeof along.dy);
    const double *tgamma = constant_parameters ? NULL : along.gamma;
    const double *tbeta = constant_parameters ? NULL : along.beta;
    const double *tdy = constant_dy ? NULL : along.dy;
    const double *y = relu ? b.y : NULL;
    bn up = step(&b, &along, h, relu), down = step(&b, &along, -h, relu);
    double tsums[2 * C], ty[N], bsums[2 * C], tdx[N];

    k->bn_tangent_sums(ROWS, C, b.x, b.stats, along.x, tsums);
    k->bn_tangent(ROWS, C, relu, b.x, b.stats, b.gamma, y, along.x, tsums, tgamma, tbeta, ty);
    assert_slope(N, up.y, down.y, h, ty);
    k->bn_backward_tangent_sums(ROWS, C, relu, b.x, b.stats, y, b.dy, tdy, along.x, tsums, bsums);
    assert_slope(2 * C, up.sums, down.sums, h, bsums);
    k->bn_backward_tangent(ROWS, C, relu, b.x, b.stats, b.gamma, tgamma, y, b.dy, b.sums, tdy,
                           along.x, tsums, bsums, tdx);
    assert_slope(N, up.dx, down.dx, h, tdx);

    /* The adjoint: <ty, dy> = <tx, dx> + <tgamma, sums1> + <tbeta, sums0>. */
    assert_near(dot(N, ty, b.dy),
                dot(N, along.x, b.dx) + dot(C, along.gamma, b.sums + C) +
                    dot(C, along.beta, b.sums),
                1e-10);
}

static void batch_norm_derivatives_are_those_of_central_differences(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++)
        check_tangents(kind & 1, kind & 2, kind & 4);
}

static void batch_norm_gives_mean_zero_and_variance_one(void **state)
{
    (void)state;
    bn b = random_bn();
    for (size_t j = 0; j < C; j++) {
        b.gamma[j] = 1;
        b.beta[j] = 0;
    }
    k->bn_stats(ROWS, C, 0, b.x, b.stats);
    k->bn_forward(ROWS, C, false, b.x, b.stats, b.gamma, b.beta, b.y);
    for (size_t j = 0; j < C; j++) {
        double mean = 0, square = 0;
        for (size_t i = j; i < N; i += C) {
            mean += b.y[i] / ROWS;
            square += b.y[i] * b.y[i] / ROWS;
        }
        assert_near(mean, 0, 1e-12);
        assert_near(square, 1, 1e-12);
    }
}

static void pooling_takes_the_first_largest_and_scatter_is_its_adjoint(void **state)
{
    (void)state;
    static double x[MAX], y[MAX], dy[MAX], dx[MAX];
    const double ties[4] = {1, 2, 2, 0};
    uint8_t index[MAX];
    k->max_pool_index(1, 2, 2, 1, ties, index);
    assert_int_equal(index[0], 1);
    size_t n = 3, height = 5, width = 6, c = 4, n_x = n * height * width * c, n_y = n * 2 * 3 * c;
    fill(n_x, x);
    fill(n_y, dy);
    k->max_pool_index(n, height, width, c, x, index);
    k->max_pool_gather(n, height, width, c, x, index, y);
    k->max_pool_scatter(n, height, width, c, dy, index, NULL, dx);
    assert_near(dot(n_x, x, dx), dot(n_y, y, dy), 1e-12);
    for (size_t j = 0; j < c; j++) {
        double largest = fmax(fmax(x[j], x[c + j]), fmax(x[width * c + j], x[width * c + c + j]));
        assert_true(y[j] == largest);
    }
}

static void means_and_sums_are_adjoint_to_spreads(void **state)
{
    (void)state;
    static double x[MAX], y[MAX], dy[MAX], dx[MAX];
    fill(3 * 5 * 4, x);
    fill(3 * 4, dy);
    k->pixel_mean(3, 5, 4, x, y);
    k->pixel_spread(3, 5, 4, dy, dx);
    assert_near(dot(60, x, dx), dot(12, y, dy), 1e-12);
    memset(dx, 0, sizeof dx);
    k->bias_add(15, 4, dx, dy, dx); /* rows of dy */
    k->column_sums(15, 4, x, 1, NULL, y);
    assert_near(dot(60, x, dx), dot(4, y, dy), 1e-12);
    k->column_sums(2, 2, (double[]){1, 2, 3, 4}, -0.5, (double[]){10, 20}, y);
    assert_memory_equal(y, ((double[]){8, 17}), 2 * sizeof *y);
}

static void tanh_and_its_two_derivatives_agree(void **state)
{
    (void)state;
    const double h = 1e-5;
    double x[N], tx[N], dy[N], y[N], ty[N], up[N], down[N], g_up[N], g_down[N], curve[N];
    fill(N, x);
    fill(N, tx);
    fill(N, dy);
    k->tanh(N, x, y);
    k->tanh_backward(N, y, tx, ty);
    k->tanh_curve(N, y, ty, dy, curve);
    k->scale_add(N, h, tx, x, up);
    k->scale_add(N, -h, tx, x, down);
    k->tanh(N, up, up);
    k->tanh(N, down, down);
    assert_slope(N, up, down, h, ty);
    k->tanh_backward(N, up, dy, g_up);
    k->tanh_backward(N, down, dy, g_down);
    assert_slope(N, g_up, g_down, h, curve);
}

static void softmax_and_losses_agree_with_their_derivatives(void **state)
{
    (void)state;
    const double h = 1e-5;
    double z[N], tz[N], target[N], p[N], tp[N], up[N], down[N], loss_slope = 0;
    fill(N, z);
    fill(N, tz);
    memset(target, 0, sizeof target);
    for (size_t i = 0; i < ROWS; i++)
        target[i * C + i % C] = 1;
    k->softmax(ROWS, C, z, p);
    k->softmax_tangent(ROWS, C, p, tz, tp);
    for (size_t i = 0; i < N; i++)
        loss_slope += (p[i] - target[i]) * tz[i] / ROWS;
    k->scale_add(N, h, tz, z, up);
    k->scale_add(N, -h, tz, z, down);
    double slope = k->cross_entropy(ROWS, C, up, target) - k->cross_entropy(ROWS, C, down, target);
    assert_near(loss_slope, slope / (2 * h), 1e-8);
    assert_near(k->squared_error(N, up, down), 4 * h * h * dot(N, tz, tz) / N, 1e-8);
    k->softmax(ROWS, C, up, up);
    k->softmax(ROWS, C, down, down);
    assert_slope(N, up, down, h, tp);
}

static void element_kernels_do_what_their_names_say(void **state)
{
    (void)state;
    const double a[3] = {-1, 2, 0}, b[3] = {4, 5, 6};
    double out[3];
    k->add(3, a, b, out);
    assert_memory_equal(out, ((double[]){3, 7, 6}), sizeof out);
    k->scale(3, 2, b, out);
    assert_memory_equal(out, ((double[]){8, 10, 12}), sizeof out);
    k->multiply(3, a, b, out);
    assert_memory_equal(out, ((double[]){-4, 10, 0}), sizeof out);
    k->relu(3, a, out);
    assert_memory_equal(out, ((double[]){0, 2, 0}), sizeof out);
    k->mask(3, a, b, out);
    assert_memory_equal(out, ((double[]){0, 5, 0}), sizeof out);
}

static void the_double_library_chooses_the_reference(void **state)
{
    (void)state;
    assert_ptr_equal(mn_kernels_choose(), k);
    assert_true(mn_kernels_peak_gflops(k, 0) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_matrix_product_sums_rows_times_columns),
        cmocka_unit_test(a_product_takes_in_a_second_one_and_what_is_around_both),
        cmocka_unit_test(a_convolution_of_ones_counts_the_taps_inside),
        cmocka_unit_test(convolution_kernels_are_adjoint),
        cmocka_unit_test(batch_norm_derivatives_are_those_of_central_differences),
        cmocka_unit_test(batch_norm_gives_mean_zero_and_variance_one),
        cmocka_unit_test(pooling_takes_the_first_largest_and_scatter_is_its_adjoint),
        cmocka_unit_test(means_and_sums_are_adjoint_to_spreads),
        cmocka_unit_test(tanh_and_its_two_derivatives_agree),
        cmocka_unit_test(softmax_and_losses_agree_with_their_derivatives),
        cmocka_unit_test(element_kernels_do_what_their_names_say),
        cmocka_unit_test(the_double_library_chooses_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
