/* meta_test.c: what tests/reference does not show: whole meta-gradients of every rule against
 * central differences in double on a network with batch norm, and the memory that they take. */
#include "worker/modules/meta.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_SUPPORT 6
#define N_QUERY 4
#define X_SIZE 36

static const mn_task_shape shape = {N_SUPPORT, N_QUERY, 6, 6, 1, 3, MN_TARGET_CLASSES};

struct bed {
    mn_network network;
    mn_meta *meta;
    void *scratch;
    mn_real support_x[N_SUPPORT * X_SIZE], query_x[N_QUERY * X_SIZE];
    mn_real support_y[N_SUPPORT * 3], query_y[N_QUERY * 3], output[N_QUERY * 3];
    mn_real theta[2048], gradient[2048];
    mn_meta_data data;
};

static uint64_t seed_state = 88172645463325252u;

static double draw(void) /* xorshift; -1 .. 1 */
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 7;
    seed_state ^= seed_state << 17;
    return (double)(seed_state >> 11) / 4503599627370496.0 - 1.0;
}

static struct bed *bed_new(mn_meta_kind kind, uint32_t order, uint32_t steps, bool differentiate)
{
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    mn_experiment experiment = {.model = {.input = MN_INPUT_CONV4,
                                          .filters = 3,
                                          .blocks = 2,
                                          .downsampling = MN_DOWN_STRIDE,
                                          .readout = MN_READOUT_MEAN,
                                          .batch_norm = true,
                                          .batch_norm_eps = 1e-5}};
    mn_meta_rule rule = {.kind = kind, .order = order, .steps = steps, .inner_lr = 0.2};
    mn_error err;
    assert_int_equal(mn_network_init(&bed->network, &experiment, &shape, &err), MN_OK);
    assert_int_equal(mn_meta_new(&bed->network, &rule, N_SUPPORT, N_QUERY, differentiate,
                                 mn_kernels_choose(), &bed->meta, &err),
                     MN_OK);
    assert_true(mn_meta_size(bed->meta) <= 2048);
    bed->scratch = aligned_alloc(64, mn_meta_scratch_bytes(bed->meta));
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff, mn_meta_scratch_bytes(bed->meta));
    for (int i = 0; i < N_SUPPORT * X_SIZE; i++)
        bed->support_x[i] = (mn_real)draw();
    for (int i = 0; i < N_QUERY * X_SIZE; i++)
        bed->query_x[i] = (mn_real)draw();
    for (int i = 0; i < N_SUPPORT; i++)
        bed->support_y[i * 3 + i % 3] = 1;
    for (int i = 0; i < N_QUERY; i++)
        bed->query_y[i * 3 + (i + 1) % 3] = 1;
    for (size_t i = 0; i < mn_meta_size(bed->meta); i++)
        bed->theta[i] =
            (mn_real)(i < bed->network.parameters.size ? 0.6 * draw() : 0.15 + 0.1 * draw());
    bed->data = (mn_meta_data){bed->support_x, bed->support_y, bed->query_x, bed->query_y};
    return bed;
}

static void bed_destroy(struct bed *bed)
{
    mn_meta_destroy(&bed->meta);
    free(bed->scratch);
    free(bed);
}

static void check_rule(mn_meta_kind kind, uint32_t steps)
{
    struct bed *bed = bed_new(kind, 2, steps, true);
    size_t n = mn_meta_size(bed->meta);
    static mn_real ignored[2048];
    (void)mn_meta_gradient(bed->meta, bed->scratch, bed->theta, &bed->data, bed->gradient,
                           bed->output);
    double largest = 0.0, e = 1e-5;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)bed->gradient[i]));
    assert_true(largest > 1e-3);
    for (size_t i = 0; i < n; i++) {
        mn_real value = bed->theta[i];
        bed->theta[i] = (mn_real)((double)value + e);
        double above =
            mn_meta_gradient(bed->meta, bed->scratch, bed->theta, &bed->data, ignored, bed->output)
                .query;
        bed->theta[i] = (mn_real)((double)value - e);
        double below =
            mn_meta_gradient(bed->meta, bed->scratch, bed->theta, &bed->data, ignored, bed->output)
                .query;
        bed->theta[i] = value;
        double expected = (above - below) / (2.0 * e);
        if (!(fabs((double)bed->gradient[i] - expected) <= 1e-5 * largest))
            fail_msg("meta-gradient[%zu] of rule %d is %.12g, central difference %.12g", i,
                     (int)kind, (double)bed->gradient[i], expected);
    }
    bed_destroy(bed);
}

static void second_order_meta_gradients_agree_with_central_differences(void **state)
{
    (void)state;
    for (uint32_t steps = 0; steps <= 3; steps++) {
        check_rule(MN_META_MAML, steps);
        check_rule(MN_META_ANIL, steps);
        if (steps > 0)
            check_rule(MN_META_META_SGD, steps);
    }
}

static void first_order_is_the_query_gradient_at_the_adapted_weights(void **state)
{
    (void)state;
    struct bed *first = bed_new(MN_META_MAML, 1, 3, true);
    (void)mn_meta_gradient(first->meta, first->scratch, first->theta, &first->data, first->gradient,
                           first->output);
    mn_meta_begin(first->meta, first->scratch, first->theta);
    for (int k = 0; k < 3; k++)
        (void)mn_meta_step(first->meta, first->scratch, first->theta, &first->data);
    mn_meta_rule none = {.kind = MN_META_MAML, .order = 2, .steps = 0, .inner_lr = 0.2};
    mn_meta *plain = NULL;
    mn_error err;
    assert_int_equal(mn_meta_new(&first->network, &none, N_SUPPORT, N_QUERY, true,
                                 mn_kernels_choose(), &plain, &err),
                     MN_OK);
    void *scratch = aligned_alloc(64, mn_meta_scratch_bytes(plain));
    assert_non_null(scratch);
    mn_real *expected = calloc(mn_meta_size(plain), sizeof *expected);
    assert_non_null(expected);
    (void)mn_meta_gradient(plain, scratch, mn_meta_phi(first->meta, first->scratch), &first->data,
                           expected, first->output);
    for (size_t i = 0; i < mn_meta_size(plain); i++)
        assert_true(fabs((double)(first->gradient[i] - expected[i])) < 1e-12);
    free(expected);
    free(scratch);
    mn_meta_destroy(&plain);
    bed_destroy(first);
}

static void memory_grows_by_one_theta_a_step_and_no_more(void **state)
{
    (void)state;
    struct bed *one = bed_new(MN_META_MAML, 2, 1, true),
               *fifty = bed_new(MN_META_MAML, 2, 50, true);
    size_t theta = mn_meta_size(one->meta) * sizeof(mn_real);
    assert_true(mn_meta_scratch_bytes(fifty->meta) - mn_meta_scratch_bytes(one->meta) <=
                49 * (theta + 64) + 512 * 1024); /* and a fixed allowance for activations kept */
    bed_destroy(one);
    bed_destroy(fifty);

    one = bed_new(MN_META_MAML, 1, 1, true);
    fifty = bed_new(MN_META_MAML, 1, 50, true);
    assert_int_equal(mn_meta_scratch_bytes(fifty->meta), mn_meta_scratch_bytes(one->meta));
    bed_destroy(one);
    bed_destroy(fifty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_order_meta_gradients_agree_with_central_differences),
        cmocka_unit_test(first_order_is_the_query_gradient_at_the_adapted_weights),
        cmocka_unit_test(memory_grows_by_one_theta_a_step_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
