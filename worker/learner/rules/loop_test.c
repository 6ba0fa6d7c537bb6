/* loop_test.c: what tests/reference does not show: whole meta-gradients of every rule against
 * central differences in double on a network with batch norm, whatever adapts, and the memory that
 * they take. */
#include "worker/learner/rules/rule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_SUPPORT 6
#define N_QUERY 4
#define MAX_THETA 2048

struct bed {
    mn_experiment experiment;
    mn_network network;
    mn_fields fields;
    mn_rule *rule;
    void *scratch;
    mn_real task[1024], output[N_QUERY * 3];
    mn_real theta[MAX_THETA], gradient[MAX_THETA];
    mn_rule_data data;
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

/* What adapts of a network with MAML. */
static mn_experiment adapting(mn_experiment experiment, mn_adapts adapts)
{
    experiment.meta.adapts = adapts;
    return experiment;
}

static mn_experiment normed(mn_experiment experiment, mn_statistics statistics)
{
    experiment.model.batch_norm_statistics = statistics;
    return experiment;
}

static mn_experiment from_prototypes(mn_experiment experiment)
{
    experiment.meta.head_start = MN_HEAD_PROTOTYPES;
    return experiment;
}

static mn_experiment updating(mn_experiment experiment, uint32_t units)
{
    experiment.meta.update = MN_UPDATE_LEARNED;
    experiment.meta.update_units = units;
    return experiment;
}

/* Elements of theta, and of it the network's own. */
static size_t size_of(const struct bed *bed)
{
    return bed->network.parameters.size;
}

static size_t network_size(const struct bed *bed)
{
    const mn_parameter *last = &bed->network.parameters.at[bed->network.first[MN_N_MODULES] - 1];
    return last->offset + last->count;
}

static size_t head_of(const struct bed *bed)
{
    return bed->network.parameters.at[bed->network.first[MN_MODULE_OUTPUT]].offset;
}

/* A task and a theta, the same for all; no ReLU bends within a step. */
static void fill(struct bed *bed)
{
    const mn_field *at = bed->fields.at;
    seed_state = 88172645463325252u;
    for (size_t i = 0; i < mn_field_count(&at[MN_SUPPORT_X]); i++)
        bed->task[at[MN_SUPPORT_X].offset + i] = (mn_real)draw();
    for (size_t i = 0; i < mn_field_count(&at[MN_QUERY_X]); i++)
        bed->task[at[MN_QUERY_X].offset + i] = (mn_real)draw();
    for (size_t i = 0; i < N_SUPPORT; i++)
        bed->task[at[MN_SUPPORT_Y].offset + i * 3 + i % 3] = 1;
    for (size_t i = 0; i < N_QUERY; i++)
        bed->task[at[MN_QUERY_Y].offset + i * 3 + (i + 1) % 3] = 1;
    for (size_t i = 0; i < size_of(bed); i++)
        bed->theta[i] = (mn_real)(i < network_size(bed) ? 0.6 * draw() : 0.15 + 0.1 * draw());
}

/* change: what a test makes of the network before the rule sees it, or NULL. */
static struct bed *bed_changed(void (*change)(mn_network *network), size_t keep_bytes,
                               mn_experiment experiment, mn_meta_kind kind, uint32_t order,
                               uint32_t steps, bool differentiate)
{
    static const uint32_t image[3] = {6, 6, 1};
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    mn_error err;
    bed->experiment = experiment;
    bed->experiment.meta.kind = kind;
    bed->experiment.meta.order = order;
    bed->experiment.meta.inner_steps = steps;
    bed->experiment.meta.inner_lr = 0.2;
    assert_int_equal(
        mn_fields_few_shot(&bed->fields, N_SUPPORT, N_QUERY, image, MN_TARGET_CLASSES, 3, &err),
        MN_OK);
    assert_true(bed->fields.size <= sizeof bed->task / sizeof *bed->task);
    assert_int_equal(mn_network_init(&bed->network, &bed->experiment, &bed->fields, &err), MN_OK);
    if (change != NULL)
        change(&bed->network);
    assert_int_equal(mn_rule_declare(&bed->network, &err), MN_OK);
    assert_true(size_of(bed) <= MAX_THETA);
    const mn_rule_order rule_order = {.network = &bed->network,
                                      .fields = &bed->fields,
                                      .kernels = mn_kernels_choose(),
                                      .differentiate = differentiate,
                                      .keep_bytes = keep_bytes};
    assert_int_equal(mn_rule_new(&rule_order, &bed->rule, &err), MN_OK);
    bed->scratch = aligned_alloc(64, mn_rule_scratch_bytes(bed->rule));
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff, mn_rule_scratch_bytes(bed->rule));
    fill(bed);
    bed->data.task = bed->task;
    return bed;
}

static struct bed *bed_keeping(size_t keep_bytes, mn_experiment experiment, mn_meta_kind kind,
                               uint32_t order, uint32_t steps, bool differentiate)
{
    return bed_changed(NULL, keep_bytes, experiment, kind, order, steps, differentiate);
}

static void bed_destroy(struct bed *bed)
{
    mn_rule_destroy(&bed->rule);
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

static mn_rule_losses differentiate_in(struct bed *bed)
{
    return mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data, bed->gradient,
                            bed->output);
}

static void check_bed(struct bed *bed, const char *what)
{
    size_t n = size_of(bed);
    static mn_real ignored[MAX_THETA];
    (void)differentiate_in(bed);
    double largest = 0.0, e = 1e-5;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)bed->gradient[i]));
    assert_true(largest > 1e-3);
    for (size_t i = 0; i < n; i++) {
        mn_real value = bed->theta[i];
        bed->theta[i] = (mn_real)((double)value + e);
        double above =
            mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data, ignored, bed->output)
                .query;
        bed->theta[i] = (mn_real)((double)value - e);
        double below =
            mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data, ignored, bed->output)
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
    size_t n = network_size(anil), head = head_of(anil);
    memcpy(rates->theta, anil->theta, n * sizeof *rates->theta);
    for (size_t i = 0; i < n; i++)
        rates->theta[n + i] = i < head ? 0 : 0.2;
    mn_rule_losses a = mn_rule_gradient(anil->rule, anil->scratch, anil->theta, &anil->data,
                                        anil->gradient, anil->output);
    mn_rule_losses b = mn_rule_gradient(rates->rule, rates->scratch, rates->theta, &anil->data,
                                        rates->gradient, rates->output);
    assert_true(fabs(a.query - b.query) < 1e-12);
    assert_true(fabs(a.support_before - b.support_before) < 1e-12);
    for (size_t i = 0; i < n; i++)
        assert_true(fabs((double)(anil->gradient[i] - rates->gradient[i])) < 1e-11);
    bed_destroy(anil);
    bed_destroy(rates);
}

/* By one element at most; relative to the largest of a. */
static double difference(const mn_real *a, const mn_real *b, size_t begin, size_t end)
{
    double largest = 0.0, most = 0.0;
    for (size_t i = begin; i < end; i++) {
        largest = fmax(largest, fabs((double)a[i]));
        most = fmax(most, fabs((double)(a[i] - b[i])));
    }
    return most / largest;
}

/* BOIL (Oh et al. 2021): the head stands still, and yet the inner steps depend on it. */
static void a_body_that_adapts_agrees_with_central_differences(void **state)
{
    (void)state;
    mn_experiment bodies[] = {conv(false), conv(true), mlp(MN_TANH, false), mlp(MN_TANH, true)};
    const char *names[] = {"body, strided", "body, max-pooled and flattened", "body, mlp of tanh",
                           "body, mlp of tanh with batch norm"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        for (uint32_t steps = 0; steps <= 4; steps++)
            check_bed(bed_of(adapting(bodies[i], MN_ADAPTS_BODY), MN_META_MAML, 2, steps, true),
                      names[i]);
}

/* A share a hundred times what check_bed() lets pass, so that one left out would be seen there. */
static void what_stands_still_gets_its_share_of_the_walk(void **state)
{
    (void)state;
    mn_experiment bodies[] = {conv(false), mlp(MN_TANH, false)};
    for (size_t i = 0; i < 2; i++)
        for (uint32_t steps = 1; steps <= 4; steps++) {
            mn_experiment e = adapting(bodies[i], MN_ADAPTS_BODY);
            struct bed *walk = bed_of(e, MN_META_MAML, 2, steps, true);
            struct bed *none = bed_of(e, MN_META_MAML, 1, steps, true);
            double walked = differentiate_in(walk).query, stood = differentiate_in(none).query;
            assert_true(walked == stood);
            size_t head = head_of(walk), n = network_size(walk);
            assert_true(difference(walk->gradient, none->gradient, head, n) > 1e-3);
            assert_true(difference(walk->gradient, none->gradient, 0, head) > 1e-3);

            static mn_real adapted[MAX_THETA];
            mn_rule_begin(walk->rule, walk->scratch, walk->theta, &walk->data);
            (void)mn_rule_step(walk->rule, walk->scratch, walk->theta, &walk->data);
            mn_rule_adapted(walk->rule, walk->scratch, walk->theta, adapted);
            assert_memory_equal(adapted + head, walk->theta + head, (n - head) * sizeof *adapted);
            assert_true(difference(walk->theta, adapted, 0, head) > 1e-3);
            bed_destroy(none);
            bed_destroy(walk);
        }
}

/* As if a memory or a reasoning were there that judges the items together: no features are found
 * ahead, the whole network is the inner loop's. */
static void make_whole(mn_network *network)
{
    network->is_plain = false;
}

/* The tensors of the last layer before the head pass for a memory's. */
static void make_memory(mn_network *network)
{
    const uint32_t output = network->first[MN_MODULE_OUTPUT];
    network->is_plain = false;
    network->first[MN_MODULE_MEMORY] = output - 2;
    network->first[MN_MODULE_REASONING] = output;
}

static void an_output_that_adapts_is_anil(void **state)
{
    (void)state;
    mn_experiment bodies[] = {conv(false), conv(true), mlp(MN_TANH, true), mlp(MN_RELU, true)};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        for (uint32_t order = 1; order <= 2; order++)
            for (uint32_t steps = 0; steps <= 4; steps++) {
                mn_experiment e = adapting(bodies[i], MN_ADAPTS_OUTPUT);
                struct bed *anil = bed_of(bodies[i], MN_META_ANIL, order, steps, true);
                struct bed *others[] = {
                    bed_of(e, MN_META_MAML, order, steps, true),
                    bed_changed(make_whole, KEEP_BYTES, e, MN_META_MAML, order, steps, true)};
                mn_rule_losses a = differentiate_in(anil);
                for (int k = 0; k < 2; k++) {
                    mn_rule_losses b = differentiate_in(others[k]);
                    assert_true(fabs(a.query - b.query) < 1e-12);
                    assert_true(fabs(a.support_before - b.support_before) < 1e-12);
                    for (size_t j = 0; j < network_size(anil); j++)
                        assert_true(fabs((double)(anil->gradient[j] - others[k]->gradient[j])) <
                                    1e-11);
                    bed_destroy(others[k]);
                }
                bed_destroy(anil);
            }
}

static void an_output_that_adapts_agrees_with_central_differences(void **state)
{
    (void)state;
    mn_experiment bodies[] = {conv(false), mlp(MN_TANH, false)};
    for (size_t i = 0; i < 2; i++)
        for (uint32_t steps = 1; steps <= 3; steps++) {
            mn_experiment e = adapting(bodies[i], MN_ADAPTS_OUTPUT);
            check_bed(bed_of(e, MN_META_MAML, 2, steps, true), "output");
            check_bed(bed_changed(make_whole, KEEP_BYTES, e, MN_META_MAML, 2, steps, true),
                      "output of a whole network");
        }
}

static void tensors_in_the_middle_that_adapt_agree_with_central_differences(void **state)
{
    (void)state;
    mn_experiment bodies[] = {conv(false), mlp(MN_TANH, false), mlp(MN_TANH, true)};
    for (size_t i = 0; i < 3; i++)
        for (uint32_t steps = 1; steps <= 3; steps++)
            check_bed(bed_changed(make_memory, KEEP_BYTES, adapting(bodies[i], MN_ADAPTS_MEMORY),
                                  MN_META_MAML, 2, steps, true),
                      "middle");
}

static void a_rule_under_which_nothing_would_adapt_is_refused(void **state)
{
    (void)state;
    const uint32_t image[3] = {6, 6, 1};
    mn_experiment e = adapting(mlp(MN_TANH, false), MN_ADAPTS_MEMORY);
    mn_fields fields;
    mn_network network;
    mn_error err;
    assert_int_equal(mn_fields_few_shot(&fields, 6, 4, image, MN_TARGET_CLASSES, 3, &err), MN_OK);
    assert_int_equal(mn_network_init(&network, &e, &fields, &err), MN_OK);
    assert_int_equal(mn_rule_declare(&network, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "nothing would adapt"));
    assert_non_null(strstr(err.message, "meta.adapts"));
    e.meta.kind = MN_META_EPISODIC; /* it has no inner loop */
    assert_int_equal(mn_rule_declare(&network, &err), MN_OK);
}

static void tasks_without_a_support_set_are_refused_by_all_but_the_episodic_rule(void **state)
{
    (void)state;
    const uint32_t number[3] = {1, 1, 4}, one[3] = {1, 1, 1};
    mn_experiment e = mlp(MN_TANH, false);
    mn_fields fields;
    mn_network network;
    mn_rule *rule = NULL;
    mn_error err;
    mn_fields_init(&fields, MN_TARGET_VALUES, 1);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "x", MN_FIELD_NUMBERS, 5, number, &err),
                     MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, 5, one, &err), MN_OK);
    assert_int_equal(mn_network_init(&network, &e, &fields, &err), MN_OK);
    const mn_rule_order order = {.network = &network,
                                 .fields = &fields,
                                 .kernels = mn_kernels_choose(),
                                 .differentiate = true};
    assert_int_equal(mn_rule_new(&order, &rule, &err), MN_ERR_CONFIG);
    assert_null(rule);
    assert_non_null(strstr(err.message, "use meta.kind episodic"));
    e.meta.kind = MN_META_IMAML;
    assert_int_equal(mn_rule_new(&order, &rule, &err), MN_ERR_CONFIG);
    assert_null(rule);
    assert_non_null(strstr(err.message, "use meta.kind episodic"));
    e.meta.kind = MN_META_EPISODIC;
    assert_int_equal(mn_rule_new(&order, &rule, &err), MN_OK);
    mn_rule_destroy(&rule);
    mn_rule_destroy(&rule); /* does nothing */
}

/* On a network without a memory nothing of the support set is read. */
static void the_episodic_rule_is_the_query_gradient(void **state)
{
    (void)state;
    mn_experiment bodies[] = {conv(false), conv(true), mlp(MN_TANH, false), mlp(MN_TANH, true)};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        check_bed(bed_of(bodies[i], MN_META_EPISODIC, 2, 3, true), "episodic");
        struct bed *bed = bed_of(bodies[i], MN_META_EPISODIC, 2, 3, true);
        struct bed *plain = bed_of(bodies[i], MN_META_MAML, 2, 0, true);
        struct bed *judge = bed_of(bodies[i], MN_META_EPISODIC, 2, 3, false);
        mn_rule_losses losses = differentiate_in(bed), expected = differentiate_in(plain);
        assert_true(fabs(losses.query - expected.query) < 1e-12);
        assert_true(isnan(losses.support_before));
        for (size_t k = 0; k < size_of(bed); k++)
            assert_true(fabs((double)(bed->gradient[k] - plain->gradient[k])) < 1e-12);
        for (size_t k = 0; k < N_QUERY * 3; k++)
            assert_true(fabs((double)(bed->output[k] - plain->output[k])) < 1e-12);

        assert_false(mn_rule_has_steps(bed->rule));
        assert_true(mn_rule_has_steps(plain->rule));
        assert_int_equal(mn_rule_steps(bed->rule), 0);
        static mn_real adapted[MAX_THETA];
        mn_rule_begin(judge->rule, judge->scratch, judge->theta, &judge->data);
        assert_true(mn_rule_judge(judge->rule, judge->scratch, judge->theta, &judge->data,
                                  judge->output) == losses.query);
        assert_memory_equal(judge->output, bed->output, sizeof bed->output);
        assert_true(
            isnan(mn_rule_support(judge->rule, judge->scratch, judge->theta, &judge->data)));
        mn_rule_adapted(judge->rule, judge->scratch, judge->theta, adapted);
        assert_memory_equal(adapted, judge->theta, size_of(judge) * sizeof *adapted);
        bed_destroy(judge);
        bed_destroy(plain);
        bed_destroy(bed);
    }
}

static void check_that_keeping_changes_no_bit(mn_experiment experiment, mn_meta_kind kind)
{
    struct bed *least = bed_keeping(0, experiment, kind, 2, 5, true), *more[3];
    size_t bytes[] = {KEEP_BYTES / 4, KEEP_BYTES / 2, (size_t)1 << 30};
    (void)mn_rule_gradient(least->rule, least->scratch, least->theta, &least->data, least->gradient,
                           least->output);
    for (int i = 0; i < 3; i++) {
        more[i] = bed_keeping(bytes[i], experiment, kind, 2, 5, true);
        memset(more[i]->gradient, 0xff, sizeof more[i]->gradient);
        (void)mn_rule_gradient(more[i]->rule, more[i]->scratch, more[i]->theta, &more[i]->data,
                               more[i]->gradient, more[i]->output);
        assert_memory_equal(more[i]->gradient, least->gradient, size_of(least) * sizeof(mn_real));
        assert_true(mn_rule_scratch_bytes(more[i]->rule) <=
                    mn_rule_scratch_bytes(least->rule) + bytes[i]);
    }
    /* ANIL's inner loop is small, and that of small operations is large */
    if (kind != MN_META_ANIL && experiment.model.batch_norm_statistics != MN_STATISTICS_ITEM)
        assert_true(mn_rule_scratch_bytes(more[1]->rule) > mn_rule_scratch_bytes(least->rule));
    assert_true(mn_rule_scratch_bytes(more[2]->rule) > mn_rule_scratch_bytes(least->rule));
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
    check_that_keeping_changes_no_bit(adapting(conv(false), MN_ADAPTS_BODY), MN_META_MAML);
    check_that_keeping_changes_no_bit(adapting(mlp(MN_TANH, true), MN_ADAPTS_BODY), MN_META_MAML);
    check_that_keeping_changes_no_bit(updating(conv(false), 3), MN_META_MAML);
    check_that_keeping_changes_no_bit(from_prototypes(updating(conv(false), 0)), MN_META_MAML);
    check_that_keeping_changes_no_bit(from_prototypes(conv(true)), MN_META_MAML);
    check_that_keeping_changes_no_bit(normed(conv(true), MN_STATISTICS_SUPPORT), MN_META_MAML);
    check_that_keeping_changes_no_bit(normed(conv(true), MN_STATISTICS_ITEM), MN_META_MAML);
}

static void check_first_order(mn_meta_kind kind, mn_adapts adapts)
{
    struct bed *first = bed_of(adapting(conv(false), adapts), kind, 1, 3, true);
    (void)mn_rule_gradient(first->rule, first->scratch, first->theta, &first->data, first->gradient,
                           first->output);
    mn_rule_begin(first->rule, first->scratch, first->theta, &first->data);
    for (int k = 0; k < 3; k++)
        (void)mn_rule_step(first->rule, first->scratch, first->theta, &first->data);
    static mn_real adapted[MAX_THETA], expected[MAX_THETA];
    mn_rule_adapted(first->rule, first->scratch, first->theta, adapted);

    struct bed *plain = bed_new(MN_META_MAML, 2, 0, true);
    (void)mn_rule_gradient(plain->rule, plain->scratch, adapted, &first->data, expected,
                           plain->output);
    double moved = 0.0;
    for (size_t i = 0; i < size_of(plain); i++) {
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
    check_first_order(MN_META_MAML, MN_ADAPTS_ALL);
    check_first_order(MN_META_MAML, MN_ADAPTS_BODY);
    check_first_order(MN_META_MAML, MN_ADAPTS_OUTPUT);
    check_first_order(MN_META_ANIL, MN_ADAPTS_ALL);
}

static void memory_grows_by_one_theta_a_step_and_no_more(void **state)
{
    (void)state;
    struct bed *one = bed_new(MN_META_MAML, 2, 1, true),
               *fifty = bed_new(MN_META_MAML, 2, 50, true);
    size_t theta = size_of(one) * sizeof(mn_real);
    assert_true(mn_rule_scratch_bytes(fifty->rule) - mn_rule_scratch_bytes(one->rule) <=
                49 * (theta + 64) + KEEP_BYTES);
    bed_destroy(one);
    bed_destroy(fifty);

    one = bed_new(MN_META_ANIL, 2, 1, true);
    fifty = bed_new(MN_META_ANIL, 2, 50, true);
    size_t head = (3 * 3 + 3) * sizeof(mn_real), region = 4096; /* the head's alone */
    assert_true(mn_rule_scratch_bytes(fifty->rule) - mn_rule_scratch_bytes(one->rule) <=
                49 * (head + 64 + region));
    bed_destroy(one);
    bed_destroy(fifty);

    one = bed_new(MN_META_MAML, 1, 1, true);
    fifty = bed_new(MN_META_MAML, 1, 50, true);
    assert_int_equal(mn_rule_scratch_bytes(fifty->rule), mn_rule_scratch_bytes(one->rule));
    bed_destroy(one);
    bed_destroy(fifty);
}

static void statistics_of_the_support_set_or_of_an_item_agree_with_central_differences(void **state)
{
    (void)state;
    const struct {
        mn_experiment experiment;
        const char *name;
        bool all_rules;
    } cases[] = {{normed(conv(false), MN_STATISTICS_SUPPORT), "support, strided", false},
                 {normed(conv(true), MN_STATISTICS_SUPPORT), "support, max-pooled", false},
                 {normed(mlp(MN_TANH, true), MN_STATISTICS_SUPPORT), "support, mlp", true},
                 {normed(conv(false), MN_STATISTICS_ITEM), "item, strided", true},
                 {normed(conv(true), MN_STATISTICS_ITEM), "item, max-pooled", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mn_experiment e = cases[i].experiment;
        check_bed(bed_of(e, MN_META_MAML, 2, 2, true), cases[i].name);
        if (!cases[i].all_rules)
            continue;
        check_bed(bed_of(e, MN_META_MAML, 2, 0, true), cases[i].name);
        check_bed(bed_of(e, MN_META_ANIL, 2, 2, true), cases[i].name);
        check_bed(bed_of(e, MN_META_META_SGD, 2, 2, true), cases[i].name);
        check_bed(bed_of(adapting(e, MN_ADAPTS_BODY), MN_META_MAML, 2, 2, true), cases[i].name);
        check_bed(bed_of(e, MN_META_EPISODIC, 2, 0, true), cases[i].name);
    }
}

/* Does the answer to the first query item hang on the last one? */
static bool items_are_judged_together(mn_experiment experiment, mn_meta_kind kind)
{
    struct bed *bed = bed_of(experiment, kind, 2, 2, true);
    mn_real before[3];
    (void)differentiate_in(bed);
    memcpy(before, bed->output, sizeof before);
    const mn_field *x = &bed->fields.at[MN_QUERY_X];
    const size_t item = mn_field_count(x) / x->n;
    for (size_t i = 0; i < item; i++)
        bed->task[x->offset + (N_QUERY - 1) * item + i] = (mn_real)draw();
    (void)differentiate_in(bed);
    const bool together = memcmp(before, bed->output, sizeof before) != 0;
    bed_destroy(bed);
    return together;
}

static void inductive_statistics_judge_each_query_item_alone(void **state)
{
    (void)state;
    const mn_meta_kind kinds[] = {MN_META_MAML, MN_META_ANIL, MN_META_EPISODIC};
    for (size_t i = 0; i < 3; i++)
        for (int flat = 0; flat < 2; flat++) {
            const mn_experiment e = conv(flat);
            assert_true(items_are_judged_together(e, kinds[i]));
            assert_false(items_are_judged_together(normed(e, MN_STATISTICS_SUPPORT), kinds[i]));
            assert_false(items_are_judged_together(normed(e, MN_STATISTICS_ITEM), kinds[i]));
        }
}

/* A query set that is the support set is normalised with its own statistics either way. */
static void the_support_sets_statistics_are_those_that_normalise_it(void **state)
{
    (void)state;
    struct bed *beds[2];
    for (int k = 0; k < 2; k++) {
        beds[k] = bed_of(normed(conv(false), k == 0 ? MN_STATISTICS_BATCH : MN_STATISTICS_SUPPORT),
                         MN_META_MAML, 2, 0, true);
        /* two items, three times in the support set and twice in the query set */
        const mn_field *s = &beds[k]->fields.at[MN_SUPPORT_X], *q = &beds[k]->fields.at[MN_QUERY_X];
        const size_t item = mn_field_count(s) / s->n;
        for (size_t i = 0; i < N_SUPPORT; i++)
            memcpy(beds[k]->task + s->offset + i * item, beds[k]->task + s->offset + i % 2 * item,
                   item * sizeof(mn_real));
        for (size_t i = 0; i < N_QUERY; i++)
            memcpy(beds[k]->task + q->offset + i * item, beds[k]->task + s->offset + i % 2 * item,
                   item * sizeof(mn_real));
        (void)differentiate_in(beds[k]);
    }
    for (size_t i = 0; i < N_QUERY * 3; i++)
        assert_true(fabs((double)(beds[0]->output[i] - beds[1]->output[i])) < 1e-12);
    bed_destroy(beds[0]);
    bed_destroy(beds[1]);
}

static void statistics_of_a_support_set_that_is_not_there_are_refused(void **state)
{
    (void)state;
    const uint32_t number[3] = {1, 1, 4}, one[3] = {1, 1, 1};
    mn_experiment e = normed(mlp(MN_TANH, true), MN_STATISTICS_SUPPORT);
    mn_fields fields;
    mn_network network;
    mn_error err;
    mn_fields_init(&fields, MN_TARGET_VALUES, 1);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "x", MN_FIELD_NUMBERS, 5, number, &err),
                     MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, 5, one, &err), MN_OK);
    assert_int_equal(mn_network_init(&network, &e, &fields, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "no support set"));
}

static void statistics_of_one_pixel_are_refused(void **state)
{
    (void)state;
    const uint32_t image[3] = {6, 6, 1};
    mn_experiment e = normed(conv(false), MN_STATISTICS_ITEM);
    mn_fields fields;
    mn_network network;
    mn_error err;
    e.model.blocks = 4; /* 3, 2, 1, 1 */
    assert_int_equal(mn_fields_few_shot(&fields, 6, 4, image, MN_TARGET_CLASSES, 3, &err), MN_OK);
    assert_int_equal(mn_network_init(&network, &e, &fields, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "layer 3 leaves one pixel"));
}

/* Proto-MAML. */
static void a_head_from_prototypes_agrees_with_central_differences(void **state)
{
    (void)state;
    mn_experiment bodies[] = {conv(false), conv(true), mlp(MN_TANH, false),
                              normed(conv(false), MN_STATISTICS_SUPPORT)};
    const char *names[] = {"prototypes, strided", "prototypes, max-pooled", "prototypes, mlp",
                           "prototypes, statistics of the support set"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        for (uint32_t steps = 0; steps <= 2; steps++) {
            const mn_experiment e = from_prototypes(bodies[i]);
            check_bed(bed_of(e, MN_META_MAML, 2, steps, true), names[i]);
            check_bed(bed_of(e, MN_META_ANIL, 2, steps, true), names[i]);
        }
}

/* Without a step it is the network that measures distances to class means. */
static void a_head_from_prototypes_begins_as_a_prototypical_network(void **state)
{
    (void)state;
    mn_experiment e = conv(true);
    e.model.memory = MN_MEMORY_CLASS_MEANS;
    e.model.output = MN_OUTPUT_DISTANCE;
    struct bed *distances = bed_of(e, MN_META_EPISODIC, 2, 0, true);
    struct bed *head = bed_of(from_prototypes(conv(true)), MN_META_MAML, 2, 0, true);
    struct bed *first = bed_of(from_prototypes(conv(true)), MN_META_MAML, 1, 0, true);
    assert_int_equal(size_of(head), size_of(distances));
    const double a = differentiate_in(distances).query, b = differentiate_in(head).query;
    (void)differentiate_in(first);
    assert_true(fabs(a - b) < 1e-12);
    for (size_t i = 0; i < size_of(head); i++) {
        assert_true(fabs((double)(head->gradient[i] - distances->gradient[i])) < 1e-11);
        assert_true(fabs((double)(head->gradient[i] - first->gradient[i])) < 1e-12);
    }
    bed_destroy(distances);
    bed_destroy(head);
    bed_destroy(first);
}

static void a_head_from_prototypes_may_have_any_number_of_classes(void **state)
{
    (void)state;
    const uint32_t image[3] = {6, 6, 1};
    mn_fields fields;
    mn_rule *rule = NULL;
    mn_error err;
    struct bed *bed = bed_of(from_prototypes(conv(true)), MN_META_MAML, 2, 2, true);
    assert_int_equal(mn_fields_few_shot(&fields, 10, 5, image, MN_TARGET_CLASSES, 5, &err), MN_OK);
    assert_int_equal(mn_network_fits(&bed->network, &fields, &err), MN_OK);
    const mn_rule_order order = {
        .network = &bed->network, .fields = &fields, .kernels = mn_kernels_choose()};
    assert_int_equal(mn_rule_new(&order, &rule, &err), MN_OK);
    mn_real *block = calloc(fields.size, sizeof *block), output[25];
    void *scratch = aligned_alloc(64, mn_rule_scratch_bytes(rule));
    assert_non_null(block);
    assert_non_null(scratch);
    memset(scratch, 0xff, mn_rule_scratch_bytes(rule));
    for (size_t i = 0; i < mn_field_count(&fields.at[MN_SUPPORT_X]); i++)
        block[fields.at[MN_SUPPORT_X].offset + i] = (mn_real)draw();
    for (size_t i = 0; i < 10; i++)
        block[fields.at[MN_SUPPORT_Y].offset + i * 5 + i % 5] = 1;
    for (size_t i = 0; i < 5; i++) { /* the queries are support items */
        memcpy(block + fields.at[MN_QUERY_X].offset + i * 36,
               block + fields.at[MN_SUPPORT_X].offset + i * 36, 36 * sizeof *block);
        block[fields.at[MN_QUERY_Y].offset + i * 5 + i] = 1;
    }
    const mn_rule_data data = {.task = block};
    mn_rule_begin(rule, scratch, bed->theta, &data);
    const double before = mn_rule_judge(rule, scratch, bed->theta, &data, output);
    for (int k = 0; k < 20; k++)
        (void)mn_rule_step(rule, scratch, bed->theta, &data);
    const double after = mn_rule_judge(rule, scratch, bed->theta, &data, output);
    assert_true(isfinite(before) && after < before);
    free(block);
    free(scratch);
    mn_rule_destroy(&rule);
    bed_destroy(bed);
}

static void prototypes_of_values_are_refused(void **state)
{
    (void)state;
    const uint32_t number[3] = {1, 1, 4};
    mn_experiment e = from_prototypes(mlp(MN_TANH, false));
    mn_fields fields;
    mn_network network;
    mn_error err;
    assert_int_equal(mn_fields_few_shot(&fields, 6, 4, number, MN_TARGET_VALUES, 1, &err), MN_OK);
    assert_int_equal(mn_network_init(&network, &e, &fields, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "ask for values"));
}

static void check_update(mn_experiment body, uint32_t units, const char *name)
{
    const mn_experiment e = updating(body, units);
    for (uint32_t steps = 1; steps <= 3; steps += 2) {
        check_bed(bed_of(e, MN_META_MAML, 2, steps, true), name);
        check_bed(bed_of(e, MN_META_ANIL, 2, steps, true), name);
        check_bed(bed_of(adapting(e, MN_ADAPTS_BODY), MN_META_MAML, 2, steps, true), name);
        check_bed(bed_of(from_prototypes(e), MN_META_MAML, 2, steps, true), name);
        check_bed(bed_of(from_prototypes(e), MN_META_ANIL, 2, steps, true), name);
    }
}

static void learned_updates_agree_with_central_differences(void **state)
{
    (void)state;
    check_update(conv(false), 0, "update, strided");
    check_update(mlp(MN_TANH, false), 0, "update, mlp");
    check_update(conv(false), 3, "update with a network, strided");
}

/* Rates of meta.inner_lr, no momentum, a network that gives nothing: all tensors of the update but
 * the first layer of the network are zero. */
static void a_learned_update_begins_as_maml(void **state)
{
    (void)state;
    for (uint32_t units = 0; units <= 3; units += 3) {
        struct bed *plain = bed_of(mlp(MN_TANH, false), MN_META_MAML, 2, 3, true);
        struct bed *learned =
            bed_of(updating(mlp(MN_TANH, false), units), MN_META_MAML, 2, 3, true);
        const size_t n = network_size(plain);
        assert_int_equal(size_of(learned), n + 12 + 4 * units + (units > 0));
        mn_parameters_start(&learned->network.parameters, MN_INIT_GLOROT, 1, learned->theta);
        memcpy(learned->theta, plain->theta, n * sizeof(mn_real));
        const double a = differentiate_in(plain).query, b = differentiate_in(learned).query;
        assert_true(fabs(a - b) < 1e-12);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)(plain->gradient[i] - learned->gradient[i])) < 1e-11);
        double most = 0; /* and yet it has somewhere to go */
        for (size_t i = n; i < size_of(learned); i++)
            most = fmax(most, fabs((double)learned->gradient[i]));
        assert_true(most > 1e-4);
        bed_destroy(plain);
        bed_destroy(learned);
    }
}

/* Step by step, as a test does it, and in one go, as training does. */
static void a_learned_update_keeps_its_velocity_between_steps(void **state)
{
    (void)state;
    struct bed *bed = bed_of(updating(mlp(MN_TANH, false), 3), MN_META_MAML, 2, 4, true);
    struct bed *test = bed_of(updating(mlp(MN_TANH, false), 3), MN_META_MAML, 2, 4, false);
    const double loss = differentiate_in(bed).query;
    struct bed *both[] = {bed, test};
    for (int i = 0; i < 2; i++)
        for (int again = 0; again < 2; again++) {
            struct bed *b = both[i];
            mn_rule_begin(b->rule, b->scratch, b->theta, &b->data);
            for (int k = 0; k < 4; k++) {
                (void)mn_rule_step(b->rule, b->scratch, b->theta, &b->data);
                (void)mn_rule_support(b->rule, b->scratch, b->theta, &b->data);
            }
            assert_true(mn_rule_judge(b->rule, b->scratch, b->theta, &b->data, b->output) == loss);
        }
    bed_destroy(bed);
    bed_destroy(test);
}

static mn_experiment matching(mn_experiment experiment)
{
    experiment.model.memory = MN_MEMORY_SUPPORT;
    experiment.model.output = MN_OUTPUT_MATCH;
    experiment.model.full_context = true;
    experiment.model.context_steps = 3;
    return experiment;
}

static void full_context_embeddings_agree_with_central_differences(void **state)
{
    (void)state;
    check_bed(bed_of(matching(conv(true)), MN_META_EPISODIC, 2, 0, true), "full context, conv");
    check_bed(bed_of(matching(mlp(MN_TANH, false)), MN_META_EPISODIC, 2, 0, true),
              "full context, mlp");
}

static void full_context_embeddings_suit_any_support_set(void **state)
{
    (void)state;
    const uint32_t image[3] = {6, 6, 1};
    mn_fields fields;
    mn_error err;
    struct bed *bed = bed_of(matching(conv(true)), MN_META_EPISODIC, 2, 0, true);
    assert_int_equal(mn_fields_few_shot(&fields, 10, 5, image, MN_TARGET_CLASSES, 5, &err), MN_OK);
    assert_int_equal(mn_network_fits(&bed->network, &fields, &err), MN_OK);
    bed_destroy(bed);
}

static void second_derivatives_of_full_context_embeddings_are_refused(void **state)
{
    (void)state;
    const uint32_t image[3] = {6, 6, 1};
    mn_experiment e = matching(mlp(MN_TANH, false));
    mn_fields fields;
    mn_network network;
    mn_rule *rule = NULL;
    mn_error err;
    e.meta.order = 2; /* of MAML */
    e.meta.inner_steps = 1;
    e.meta.inner_lr = 0.1;
    assert_int_equal(mn_fields_few_shot(&fields, 6, 4, image, MN_TARGET_CLASSES, 3, &err), MN_OK);
    assert_int_equal(mn_network_init(&network, &e, &fields, &err), MN_OK);
    const mn_rule_order order = {.network = &network,
                                 .fields = &fields,
                                 .kernels = mn_kernels_choose(),
                                 .differentiate = true};
    assert_int_equal(mn_rule_new(&order, &rule, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "\"LSTM step\", which memory support uses"));
    e.meta.order = 1;
    assert_int_equal(mn_rule_new(&order, &rule, &err), MN_OK);
    mn_rule_destroy(&rule);
}

/* Also where memory and reasoning are of unequal widths. */
static void features_of_unequal_width_are_not_compared(void **state)
{
    (void)state;
    const uint32_t image[3] = {6, 6, 1};
    for (int k = 0; k < 3; k++) {
        mn_experiment e = mlp(MN_TANH, false);
        mn_fields fields;
        mn_network network;
        mn_error err;
        e.model.memory = k == 0 ? MN_MEMORY_CLASS_MEANS : MN_MEMORY_SUPPORT;
        e.model.output = k == 0 ? MN_OUTPUT_DISTANCE : MN_OUTPUT_MATCH;
        e.model.reasoning = MN_REASONING_CONCAT_LINEAR;
        e.model.units = 9;
        e.model.full_context = k == 2;
        e.model.context_steps = 2;
        e.meta.kind = MN_META_EPISODIC;
        assert_int_equal(mn_fields_few_shot(&fields, 6, 4, image, MN_TARGET_CLASSES, 3, &err),
                         MN_OK);
        assert_int_equal(mn_network_init(&network, &e, &fields, &err), MN_ERR_CONFIG);
        assert_non_null(strstr(err.message, "model.reasoning none"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_order_meta_gradients_agree_with_central_differences),
        cmocka_unit_test(anil_agrees_with_central_differences_on_every_kind_of_body),
        cmocka_unit_test(anil_is_meta_sgd_that_moves_the_head_alone),
        cmocka_unit_test(a_body_that_adapts_agrees_with_central_differences),
        cmocka_unit_test(what_stands_still_gets_its_share_of_the_walk),
        cmocka_unit_test(an_output_that_adapts_is_anil),
        cmocka_unit_test(an_output_that_adapts_agrees_with_central_differences),
        cmocka_unit_test(tensors_in_the_middle_that_adapt_agree_with_central_differences),
        cmocka_unit_test(a_rule_under_which_nothing_would_adapt_is_refused),
        cmocka_unit_test(tasks_without_a_support_set_are_refused_by_all_but_the_episodic_rule),
        cmocka_unit_test(the_episodic_rule_is_the_query_gradient),
        cmocka_unit_test(activations_made_again_are_those_kept_bit_by_bit),
        cmocka_unit_test(first_order_is_the_query_gradient_at_the_adapted_weights),
        cmocka_unit_test(memory_grows_by_one_theta_a_step_and_no_more),
        cmocka_unit_test(
            statistics_of_the_support_set_or_of_an_item_agree_with_central_differences),
        cmocka_unit_test(inductive_statistics_judge_each_query_item_alone),
        cmocka_unit_test(the_support_sets_statistics_are_those_that_normalise_it),
        cmocka_unit_test(statistics_of_a_support_set_that_is_not_there_are_refused),
        cmocka_unit_test(statistics_of_one_pixel_are_refused),
        cmocka_unit_test(a_head_from_prototypes_agrees_with_central_differences),
        cmocka_unit_test(a_head_from_prototypes_begins_as_a_prototypical_network),
        cmocka_unit_test(a_head_from_prototypes_may_have_any_number_of_classes),
        cmocka_unit_test(prototypes_of_values_are_refused),
        cmocka_unit_test(learned_updates_agree_with_central_differences),
        cmocka_unit_test(a_learned_update_begins_as_maml),
        cmocka_unit_test(a_learned_update_keeps_its_velocity_between_steps),
        cmocka_unit_test(full_context_embeddings_agree_with_central_differences),
        cmocka_unit_test(full_context_embeddings_suit_any_support_set),
        cmocka_unit_test(second_derivatives_of_full_context_embeddings_are_refused),
        cmocka_unit_test(features_of_unequal_width_are_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
