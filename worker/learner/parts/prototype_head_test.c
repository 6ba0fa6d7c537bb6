/* prototype_head_test.c: an output that begins each task with the prototypes of its support set. */
#include "worker/learner/rules/rule_bed.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_from_prototypes_agrees_with_central_differences),
        cmocka_unit_test(a_head_from_prototypes_begins_as_a_prototypical_network),
        cmocka_unit_test(a_head_from_prototypes_may_have_any_number_of_classes),
        cmocka_unit_test(prototypes_of_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
