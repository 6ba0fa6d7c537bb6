/* update_test.c: whole meta-gradients through learned updates and Meta-Curvature. */
#include "worker/learner/rules/curvature.h"
#include "worker/learner/rules/rule_bed.h"
#include <stdio.h>

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

static mn_experiment curved(mn_experiment experiment)
{
    experiment.meta.update = MN_UPDATE_CURVATURE;
    return experiment;
}

/* Three modes of convolutions, of a linear layer that reads an image, two of one that does not. */
static void curvature_agrees_with_central_differences(void **state)
{
    (void)state;
    const mn_experiment bodies[] = {conv(false), conv(true), mlp(MN_TANH, false)};
    for (int i = 0; i < 3; i++)
        for (uint32_t steps = 1; steps <= 3; steps += 2) {
            const mn_experiment e = curved(bodies[i]);
            check_bed(bed_of(e, MN_META_MAML, 2, steps, true), "curvature");
            check_bed(bed_of(e, MN_META_ANIL, 2, steps, true), "curvature, anil");
            check_bed(bed_of(adapting(e, MN_ADAPTS_BODY), MN_META_MAML, 2, steps, true),
                      "curvature, body");
        }
}

static void curvature_begins_as_maml(void **state)
{
    (void)state;
    for (int flatten = 0; flatten <= 1; flatten++) {
        struct bed *plain = bed_of(conv(flatten), MN_META_MAML, 2, 3, true);
        struct bed *with = bed_of(curved(conv(flatten)), MN_META_MAML, 2, 3, true);
        const size_t n = network_size(plain);
        assert_int_equal(tensor_of(with, "curvature.taps.conv2.weight")->count, 81);
        assert_int_equal(tensor_of(with, "curvature.in.conv2.weight")->count, 9);
        mn_parameters_start(&with->network.parameters, MN_INIT_GLOROT, 1, with->theta);
        memcpy(with->theta, plain->theta, n * sizeof(mn_real));
        const double a = differentiate_in(plain).query, b = differentiate_in(with).query;
        assert_true(fabs(a - b) < 1e-12);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)(plain->gradient[i] - with->gradient[i])) < 1e-11);
        double most = 0; /* and yet it has somewhere to go */
        for (size_t i = n; i < size_of(with); i++)
            most = fmax(most, fabs((double)with->gradient[i]));
        assert_true(most > 1e-4);
        bed_destroy(plain);
        bed_destroy(with);
    }
}

static void a_matrix_of_a_mode_beyond_reason_is_refused(void **state)
{
    (void)state;
    static mn_parameters list;
    mn_error err = {0};
    (void)mn_parameters_add_table(&list, "words", 5000, 4, MN_START_ZERO, 0);
    assert_int_equal(mn_curvature_declare(&list, 0, &err), MN_ERR_CONFIG);
    assert_string_equal(err.message,
                        "meta.update curvature would need a matrix of 5000 x 5000 for words, and "
                        "takes at most 4096: use fewer features there, or meta.update step-rates");
    list.n = MN_MAX_PARAMETERS;
    (void)snprintf(list.at[0].tensor.name, sizeof list.at[0].tensor.name, "bias");
    list.at[0].tensor.rank = 1;
    assert_int_equal(mn_curvature_declare(&list, 0, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "more than 320 tensors"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learned_updates_agree_with_central_differences),
        cmocka_unit_test(curvature_agrees_with_central_differences),
        cmocka_unit_test(curvature_begins_as_maml),
        cmocka_unit_test(a_matrix_of_a_mode_beyond_reason_is_refused),
        cmocka_unit_test(a_learned_update_begins_as_maml),
        cmocka_unit_test(a_learned_update_keeps_its_velocity_between_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
