/* batch_norm_test.c: where the statistics come from, under the rules that adapt and without. */
#include "worker/learner/rules/rule_bed.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            statistics_of_the_support_set_or_of_an_item_agree_with_central_differences),
        cmocka_unit_test(inductive_statistics_judge_each_query_item_alone),
        cmocka_unit_test(the_support_sets_statistics_are_those_that_normalise_it),
        cmocka_unit_test(statistics_of_a_support_set_that_is_not_there_are_refused),
        cmocka_unit_test(statistics_of_one_pixel_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
