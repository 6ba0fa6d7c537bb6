/* full_context_test.c: embeddings in the light of the whole support set, and what is compared. */
#include "worker/learner/rules/rule_bed.h"

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
        cmocka_unit_test(full_context_embeddings_agree_with_central_differences),
        cmocka_unit_test(full_context_embeddings_suit_any_support_set),
        cmocka_unit_test(second_derivatives_of_full_context_embeddings_are_refused),
        cmocka_unit_test(features_of_unequal_width_are_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
