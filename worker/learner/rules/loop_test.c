/* meta_test.c: what tests/reference does not show: whole meta-gradients of every rule against
 * central differences in double on a network with batch norm, and the memory that they take. */
#include "worker/learner/rules/rule.h"

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

static uint64_t seed_state;

static double draw(void) /* xorshift; -1 .. 1 */
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 7;
    seed_state ^= seed_state << 17;
    return (double)(seed_state >> 11) / 4503599627370496.0 - 1.0;
}

static mn_experiment conv(bool flatten)
{
    return (mn_experiment){.model = {.input = MN_INPUT_CONV4,
                                     .filters = 3,
                                     .blocks = 2,
                                     .downsampling = flatten ? MN_DOWN_MAX_POOL : MN_DOWN_STRIDE,
                                     .readout = flatten ? MN_READOUT_FLATTEN : MN_READOUT_MEAN,
                                     .batch_norm = true,
                                     .batch_norm_eps = 1e-5}};
}

static mn_experiment mlp(mn_activation activation, bool batch_norm)
{
    return (mn_experiment){.model = {.input = MN_INPUT_MLP,
                                     .hidden = {.n = 2, .at = {7, 5}},
                                     .activation = activation,
                                     .batch_norm = batch_norm,
                                     .batch_norm_eps = 1e-5}};
}

/* Holds the activations of three inner steps or so. */
#define KEEP_BYTES ((size_t)128 * 1024)

static struct bed *bed_keeping(size_t keep_bytes, mn_experiment experiment, mn_meta_kind kind,
                               uint32_t order, uint32_t steps, bool differentiate)
{
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    mn_meta_rule rule = {
        .kind = kind, .order = order, .steps = steps, .inner_lr = 0.2, .keep_bytes = keep_bytes};
    mn_error err;
    assert_int_equal(mn_network_init(&bed->network, &experiment, &shape, &err), MN_OK);
    assert_int_equal(mn_meta_new(&bed->network, &rule, N_SUPPORT, N_QUERY, differentiate,
                                 mn_kernels_choose(), &bed->meta, &err),
                     MN_OK);
    assert_true(mn_meta_size(bed->meta) <= 2048);
    bed->scratch = aligned_alloc(64, mn_meta_scratch_bytes(bed->meta));
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff, mn_meta_scratch_bytes(bed->meta));
    seed_state = 88172645463325252u; /* one task and theta for all; no ReLU bends within a step */
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
    bed->data = (mn_meta_data){.support_x = bed->support_x,
                               .support_y = bed->support_y,
                               .query_x = bed->query_x,
                               .query_y = bed->query_y};
    return bed;
}

static void bed_destroy(struct bed *bed)
{
    mn_meta_destroy(&bed->meta);
    free(bed->scratch);
    free(bed);
}

static struct bed *bed_of(mn_experiment experiment, mn_meta_kind kind, uint32_t order,
                          uint32_t steps, bool differentiate)
{
    return bed_keeping(KEEP_BYTES, experiment, kind, order, steps, differentiate);
}

static struct bed *bed_new(mn_meta_kind kind, uint32_t order, uint32_t steps, bool differentiate)
{
    return bed_of(conv(false), kind, order, steps, differentiate);
}

static void check_bed(struct bed *bed, const char *what)
{
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
            fail_msg("%s: meta-gradient[%zu] is %.12g, central difference %.12g", what, i,
                     (double)bed->gradient[i], expected);
    }
    bed_destroy(bed);
}

static void second_order_meta_gradients_agree_with_central_differences(void **state)
{
    (void)state;
    for (uint32_t steps = 0; steps <= 3; steps++) {
        check_bed(bed_new(MN_META_MAML, 2, steps, true), "maml");
        if (steps > 0)
            check_bed(bed_new(MN_META_META_SGD, 2, steps, true), "meta-sgd");
    }
}

static void anil_agrees_with_central_differences_on_every_kind_of_body(void **state)
{
    (void)state;
    mn_experiment bodies[] = {conv(false), conv(true), mlp(MN_TANH, false), mlp(MN_TANH, true),
                              mlp(MN_RELU, true)};
    const char *names[] = {"strided", "max-pooled and flattened", "mlp of tanh",
                           "mlp of tanh with batch norm", "mlp of relu with batch norm"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        for (size_t k = 0; k < 4; k++)
            check_bed(bed_of(bodies[i], MN_META_ANIL, 2, (uint32_t[]){0, 1, 3, 5}[k], true),
                      names[i]);
}

/* Meta-SGD with rates of zero for the body is ANIL by another way. */
static void anil_is_meta_sgd_that_moves_the_head_alone(void **state)
{
    (void)state;
    struct bed *anil = bed_of(conv(true), MN_META_ANIL, 2, 5, true);
    struct bed *rates = bed_of(conv(true), MN_META_META_SGD, 2, 5, true);
    size_t n = anil->network.parameters.size;
    size_t head = anil->network.parameters.at[anil->network.first_output].offset;
    memcpy(rates->theta, anil->theta, n * sizeof *rates->theta);
    for (size_t i = 0; i < n; i++)
        rates->theta[n + i] = i < head ? 0 : 0.2;
    mn_meta_losses a = mn_meta_gradient(anil->meta, anil->scratch, anil->theta, &anil->data,
                                        anil->gradient, anil->output);
    mn_meta_losses b = mn_meta_gradient(rates->meta, rates->scratch, rates->theta, &anil->data,
                                        rates->gradient, rates->output);
    assert_true(fabs(a.query - b.query) < 1e-12);
    assert_true(fabs(a.support_before - b.support_before) < 1e-12);
    for (size_t i = 0; i < n; i++)
        assert_true(fabs((double)(anil->gradient[i] - rates->gradient[i])) < 1e-11);
    bed_destroy(anil);
    bed_destroy(rates);
}

static void check_that_keeping_changes_no_bit(mn_experiment experiment, mn_meta_kind kind)
{
    struct bed *least = bed_keeping(0, experiment, kind, 2, 5, true), *more[3];
    size_t bytes[] = {KEEP_BYTES / 4, KEEP_BYTES / 2, (size_t)1 << 30};
    (void)mn_meta_gradient(least->meta, least->scratch, least->theta, &least->data, least->gradient,
                           least->output);
    for (int i = 0; i < 3; i++) {
        more[i] = bed_keeping(bytes[i], experiment, kind, 2, 5, true);
        memset(more[i]->gradient, 0xff, sizeof more[i]->gradient);
        (void)mn_meta_gradient(more[i]->meta, more[i]->scratch, more[i]->theta, &more[i]->data,
                               more[i]->gradient, more[i]->output);
        assert_memory_equal(more[i]->gradient, least->gradient,
                            mn_meta_size(least->meta) * sizeof(mn_real));
        assert_true(mn_meta_scratch_bytes(more[i]->meta) <=
                    mn_meta_scratch_bytes(least->meta) + bytes[i]);
    }
    if (kind != MN_META_ANIL) /* whose inner loop is small */
        assert_true(mn_meta_scratch_bytes(more[1]->meta) > mn_meta_scratch_bytes(least->meta));
    assert_true(mn_meta_scratch_bytes(more[2]->meta) > mn_meta_scratch_bytes(least->meta));
    for (int i = 0; i < 3; i++)
        bed_destroy(more[i]);
    bed_destroy(least);
}

static void activations_made_again_are_those_kept_bit_by_bit(void **state)
{
    (void)state;
    mn_meta_kind kinds[] = {MN_META_MAML, MN_META_META_SGD, MN_META_ANIL};
    for (int i = 0; i < 3; i++) {
        check_that_keeping_changes_no_bit(conv(false), kinds[i]);
        check_that_keeping_changes_no_bit(conv(true), kinds[i]);
        check_that_keeping_changes_no_bit(mlp(MN_TANH, false), kinds[i]);
        check_that_keeping_changes_no_bit(mlp(MN_RELU, true), kinds[i]);
    }
}

static void check_first_order(mn_meta_kind kind)
{
    struct bed *first = bed_new(kind, 1, 3, true);
    (void)mn_meta_gradient(first->meta, first->scratch, first->theta, &first->data, first->gradient,
                           first->output);
    mn_meta_begin(first->meta, first->scratch, first->theta, &first->data);
    for (int k = 0; k < 3; k++)
        (void)mn_meta_step(first->meta, first->scratch, first->theta, &first->data);
    static mn_real adapted[2048], expected[2048];
    mn_meta_adapted(first->meta, first->scratch, first->theta, adapted);

    struct bed *plain = bed_new(MN_META_MAML, 2, 0, true);
    (void)mn_meta_gradient(plain->meta, plain->scratch, adapted, &first->data, expected,
                           plain->output);
    double moved = 0.0;
    for (size_t i = 0; i < mn_meta_size(plain->meta); i++) {
        assert_true(fabs((double)(first->gradient[i] - expected[i])) < 1e-12);
        moved += fabs((double)(adapted[i] - first->theta[i]));
    }
    assert_true(moved > 1e-3);
    bed_destroy(plain);
    bed_destroy(first);
}

static void first_order_is_the_query_gradient_at_the_adapted_weights(void **state)
{
    (void)state;
    check_first_order(MN_META_MAML);
    check_first_order(MN_META_ANIL);
}

static void memory_grows_by_one_theta_a_step_and_no_more(void **state)
{
    (void)state;
    struct bed *one = bed_new(MN_META_MAML, 2, 1, true),
               *fifty = bed_new(MN_META_MAML, 2, 50, true);
    size_t theta = mn_meta_size(one->meta) * sizeof(mn_real);
    assert_true(mn_meta_scratch_bytes(fifty->meta) - mn_meta_scratch_bytes(one->meta) <=
                49 * (theta + 64) + KEEP_BYTES);
    bed_destroy(one);
    bed_destroy(fifty);

    one = bed_new(MN_META_ANIL, 2, 1, true);
    fifty = bed_new(MN_META_ANIL, 2, 50, true);
    size_t head = (3 * 3 + 3) * sizeof(mn_real), region = 4096; /* the head's alone */
    assert_true(mn_meta_scratch_bytes(fifty->meta) - mn_meta_scratch_bytes(one->meta) <=
                49 * (head + 64 + region));
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
        cmocka_unit_test(anil_agrees_with_central_differences_on_every_kind_of_body),
        cmocka_unit_test(anil_is_meta_sgd_that_moves_the_head_alone),
        cmocka_unit_test(activations_made_again_are_those_kept_bit_by_bit),
        cmocka_unit_test(first_order_is_the_query_gradient_at_the_adapted_weights),
        cmocka_unit_test(memory_grows_by_one_theta_a_step_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
