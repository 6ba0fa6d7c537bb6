/* loop_test.c: what tests/reference does not show: whole meta-gradients of every rule against
 * central differences in double on a network with batch norm, whatever adapts, and the memory that
 * they take. */
#include "worker/learner/rules/rule_bed.h"

static void second_order_meta_gradients_agree_with_central_differences(void **state)
{
    (void)state;
    for (uint32_t steps = 0; steps <= 3; steps++) {
        check_bed(bed_of(conv(false), MN_META_MAML, 2, steps, true), "maml");
        if (steps > 0)
            check_bed(bed_of(conv(false), MN_META_META_SGD, 2, steps, true), "meta-sgd");
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
                    bed_changed(make_whole, by(e, MN_META_MAML, order), steps, true, KEEP_BYTES)};
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
            check_bed(bed_changed(make_whole, by(e, MN_META_MAML, 2), steps, true, KEEP_BYTES),
                      "output of a whole network");
        }
}

static void tensors_in_the_middle_that_adapt_agree_with_central_differences(void **state)
{
    (void)state;
    mn_experiment bodies[] = {conv(false), mlp(MN_TANH, false), mlp(MN_TANH, true)};
    for (size_t i = 0; i < 3; i++)
        for (uint32_t steps = 1; steps <= 3; steps++)
            check_bed(bed_changed(make_memory,
                                  by(adapting(bodies[i], MN_ADAPTS_MEMORY), MN_META_MAML, 2), steps,
                                  true, KEEP_BYTES),
                      "middle");
}

/* Rates are learned of what moves, and of nothing else. */
static void meta_sgd_agrees_with_central_differences_whatever_adapts(void **state)
{
    (void)state;
    for (uint32_t steps = 1; steps <= 3; steps++) {
        mn_experiment body = adapting(conv(false), MN_ADAPTS_BODY),
                      output = adapting(mlp(MN_TANH, true), MN_ADAPTS_OUTPUT),
                      memory = adapting(mlp(MN_TANH, false), MN_ADAPTS_MEMORY);
        check_bed(bed_of(body, MN_META_META_SGD, 2, steps, true), "rates of the body");
        check_bed(bed_of(output, MN_META_META_SGD, 2, steps, true), "rates of the output");
        check_bed(
            bed_changed(make_memory, by(memory, MN_META_META_SGD, 2), steps, true, KEEP_BYTES),
            "rates of the memory");
    }
    struct bed *output =
        bed_of(adapting(conv(false), MN_ADAPTS_OUTPUT), MN_META_META_SGD, 2, 1, true);
    assert_int_equal(size_of(output) - network_size(output),
                     network_size(output) - head_of(output));
    bed_destroy(output);
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
    struct bed *least = bed_new(by(experiment, kind, 2), 5, true, 0), *more[3];
    size_t bytes[] = {KEEP_BYTES / 4, KEEP_BYTES / 2, (size_t)1 << 30};
    (void)mn_rule_gradient(least->rule, least->scratch, least->theta, &least->data, least->gradient,
                           least->output);
    for (int i = 0; i < 3; i++) {
        more[i] = bed_new(by(experiment, kind, 2), 5, true, bytes[i]);
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

    struct bed *plain = bed_of(conv(false), MN_META_MAML, 2, 0, true);
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
    check_first_order(MN_META_META_SGD, MN_ADAPTS_BODY);
}

static void memory_grows_by_one_theta_a_step_and_no_more(void **state)
{
    (void)state;
    struct bed *one = bed_of(conv(false), MN_META_MAML, 2, 1, true),
               *fifty = bed_of(conv(false), MN_META_MAML, 2, 50, true);
    size_t theta = size_of(one) * sizeof(mn_real);
    assert_true(mn_rule_scratch_bytes(fifty->rule) - mn_rule_scratch_bytes(one->rule) <=
                49 * (theta + 64) + KEEP_BYTES);
    bed_destroy(one);
    bed_destroy(fifty);

    one = bed_of(conv(false), MN_META_ANIL, 2, 1, true);
    fifty = bed_of(conv(false), MN_META_ANIL, 2, 50, true);
    size_t head = (3 * 3 + 3) * sizeof(mn_real), region = 4096; /* the head's alone */
    assert_true(mn_rule_scratch_bytes(fifty->rule) - mn_rule_scratch_bytes(one->rule) <=
                49 * (head + 64 + region));
    bed_destroy(one);
    bed_destroy(fifty);

    one = bed_of(conv(false), MN_META_MAML, 1, 1, true);
    fifty = bed_of(conv(false), MN_META_MAML, 1, 50, true);
    assert_int_equal(mn_rule_scratch_bytes(fifty->rule), mn_rule_scratch_bytes(one->rule));
    bed_destroy(one);
    bed_destroy(fifty);
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
        cmocka_unit_test(meta_sgd_agrees_with_central_differences_whatever_adapts),
        cmocka_unit_test(a_rule_under_which_nothing_would_adapt_is_refused),
        cmocka_unit_test(tasks_without_a_support_set_are_refused_by_all_but_the_episodic_rule),
        cmocka_unit_test(the_episodic_rule_is_the_query_gradient),
        cmocka_unit_test(activations_made_again_are_those_kept_bit_by_bit),
        cmocka_unit_test(first_order_is_the_query_gradient_at_the_adapted_weights),
        cmocka_unit_test(memory_grows_by_one_theta_a_step_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
