/* stream_test.c: support sets that are read as a stream, and sequences that are adapted to as they go:
 * whole meta-gradients against central differences in double, what a step may see, and what is refused. */
#include "worker/learner/rules/rule_bed.h"

/* Support items that a step reads; the number of steps follows. */
static mn_experiment streaming(mn_experiment experiment, mn_meta_kind kind, uint32_t step_items)
{
    experiment.meta.kind = kind;
    experiment.meta.step_items = step_items;
    return experiment;
}

static mn_experiment from_zero(mn_experiment experiment)
{
    experiment.meta.head_start = MN_HEAD_ZERO;
    return experiment;
}

static struct bed *stream(mn_experiment experiment, bool differentiate, size_t keep_bytes)
{
    return bed_new(experiment, 1, differentiate, keep_bytes);
}

static void meta_gradients_of_streams_agree_with_central_differences(void **state)
{
    (void)state;
    const mn_experiment net = mlp(MN_TANH, false), eye = normed(conv(false), MN_STATISTICS_ITEM);
    const struct {
        const char *name;
        mn_experiment experiment;
    } cases[] = {
        {"all, item by item", streaming(net, MN_META_MAML, 1)},
        {"all, two at a time", streaming(net, MN_META_MAML, 2)},
        {"the body", streaming(adapting(net, MN_ADAPTS_BODY), MN_META_MAML, 3)},
        {"all of images", streaming(eye, MN_META_MAML, 2)},
        {"a head", streaming(net, MN_META_ANIL, 1)},
        {"a head over images", streaming(eye, MN_META_ANIL, 2)},
        {"a head from zero", from_zero(streaming(eye, MN_META_ANIL, 1))},
        {"all and a head from zero", from_zero(streaming(net, MN_META_MAML, 1))},
        {"by a learned update", updating(from_zero(streaming(net, MN_META_ANIL, 1)), 2)},
        {"a head from zero, no stream", from_zero(streaming(net, MN_META_ANIL, 0))},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int kept = 0; kept < 2; kept++)
            check_bed(stream(cases[i].experiment, true, kept ? KEEP_BYTES : 0), cases[i].name);
}

static void there_are_as_many_steps_as_it_takes_to_read_the_stream_once(void **state)
{
    (void)state;
    for (uint32_t items = 1; items <= 3; items++) {
        struct bed *bed = stream(streaming(mlp(MN_TANH, false), MN_META_ANIL, items), true, 0);
        assert_int_equal(mn_rule_steps(bed->rule), N_SUPPORT / items);
        bed_destroy(bed);
    }
}

static void a_step_depends_on_its_own_items_alone(void **state)
{
    (void)state;
    const mn_meta_kind kinds[] = {MN_META_MAML, MN_META_ANIL};
    for (size_t i = 0; i < 2; i++) {
        struct bed *bed = stream(streaming(mlp(MN_TANH, false), kinds[i], 2), false, 0);
        const double before = judged_after(bed, 2);
        mn_real *x = bed->task + bed->fields.at[MN_SUPPORT_X].offset;
        const size_t item = mn_field_item(&bed->fields.at[MN_SUPPORT_X]);
        x[4 * item] += 1; /* of the third step */
        assert_true(judged_after(bed, 2) == before);
        assert_true(judged_after(bed, 3) != before);
        x[3 * item] += 1; /* of the second */
        assert_true(judged_after(bed, 2) != before);
        bed_destroy(bed);
    }
}

static void a_stream_that_one_step_reads_is_a_support_set(void **state)
{
    (void)state;
    struct bed *whole = stream(streaming(mlp(MN_TANH, false), MN_META_MAML, 0), true, 0);
    struct bed *slice = stream(streaming(mlp(MN_TANH, false), MN_META_MAML, N_SUPPORT), true, 0);
    const mn_rule_losses a = differentiate_in(whole), b = differentiate_in(slice);
    assert_true(a.query == b.query && a.support_before == b.support_before);
    assert_memory_equal(whole->gradient, slice->gradient, size_of(whole) * sizeof(mn_real));
    bed_destroy(whole);
    bed_destroy(slice);
}

static void the_support_loss_of_a_stream_is_the_mean_over_it(void **state)
{
    (void)state;
    struct bed *whole = stream(streaming(mlp(MN_TANH, false), MN_META_ANIL, 0), false, 0);
    struct bed *items = stream(streaming(mlp(MN_TANH, false), MN_META_ANIL, 1), false, 0);
    double losses[2];
    for (int i = 0; i < 2; i++) {
        struct bed *bed = i == 0 ? whole : items;
        mn_rule_begin(bed->rule, bed->scratch, bed->theta, &bed->data);
        losses[i] = mn_rule_support(bed->rule, bed->scratch, bed->theta, &bed->data);
        bed_destroy(bed);
    }
    assert_true(fabs(losses[0] - losses[1]) < 1e-12);
}

/* Sets so long that body and judgement of a test go through them in slices (loop_plans.c), and the
 * training rule through all at once. */
#define LONG_SUPPORT 130
#define LONG_QUERY 66

static void a_test_in_slices_is_judged_as_training_is(void **state)
{
    (void)state;
    static const uint32_t x[3] = {1, 1, 2};
    static mn_real task[4 * (LONG_SUPPORT + LONG_QUERY) * 3], theta[512], gradient[512];
    static mn_real output[LONG_QUERY * N_CLASSES], in_training[LONG_QUERY * N_CLASSES];
    mn_error err = {0};
    mn_experiment e = from_zero(streaming(mlp(MN_TANH, false), MN_META_ANIL, 1));
    mn_fields fields;
    mn_network network;
    assert_int_equal(mn_fields_few_shot(&fields, LONG_SUPPORT, LONG_QUERY, x, MN_TARGET_CLASSES,
                                        N_CLASSES, &err),
                     MN_OK);
    assert_true(fields.size <= sizeof task / sizeof *task);
    assert_int_equal(mn_network_init(&network, &e, &fields, &err), MN_OK);
    assert_true(network.parameters.size <= sizeof theta / sizeof *theta);
    for (size_t i = 0; i < fields.size; i++)
        task[i] = (mn_real)draw();
    for (size_t i = 0; i < LONG_SUPPORT * N_CLASSES; i++)
        task[fields.at[MN_SUPPORT_Y].offset + i] = i % N_CLASSES == i / N_CLASSES % N_CLASSES;
    for (size_t i = 0; i < LONG_QUERY * N_CLASSES; i++)
        task[fields.at[MN_QUERY_Y].offset + i] = i % N_CLASSES == i / N_CLASSES % N_CLASSES;
    for (size_t i = 0; i < network.parameters.size; i++)
        theta[i] = (mn_real)draw();
    double losses[2];
    for (int train = 0; train < 2; train++) {
        mn_rule *rule = NULL;
        const mn_rule_order order = {.network = &network,
                                     .fields = &fields,
                                     .kernels = mn_kernels_choose(),
                                     .differentiate = train == 1};
        assert_int_equal(mn_rule_new(&order, &rule, &err), MN_OK);
        void *scratch = aligned_alloc(64, mn_rule_scratch_bytes(rule));
        assert_non_null(scratch);
        memset(scratch, 0xff, mn_rule_scratch_bytes(rule)); /* NaNs */
        const mn_rule_data data = {.task = task};
        if (train) {
            losses[1] = mn_rule_gradient(rule, scratch, theta, &data, gradient, in_training).query;
        } else {
            mn_rule_begin(rule, scratch, theta, &data);
            for (uint32_t k = 0; k < mn_rule_steps(rule); k++)
                (void)mn_rule_step(rule, scratch, theta, &data);
            losses[0] = mn_rule_judge(rule, scratch, theta, &data, output);
        }
        free(scratch);
        mn_rule_destroy(&rule);
    }
    assert_true(fabs(losses[0] - losses[1]) < 1e-12);
    for (size_t i = 0; i < LONG_QUERY * N_CLASSES; i++)
        assert_true(fabs((double)(output[i] - in_training[i])) < 1e-12);
}

/* Sequences ------------------------------------------------------------------------ */

#define LENGTH 5

struct sequence {
    mn_experiment experiment;
    mn_fields fields;
    mn_network network;
    mn_rule *rule;
    void *scratch;
    mn_real task[256], output[LENGTH], theta[256], gradient[256];
    mn_rule_data data;
};

static struct sequence *sequence_new(mn_adapts adapts, uint32_t order, bool differentiate)
{
    static const uint32_t number[3] = {1, 1, 1};
    struct sequence *s = calloc(1, sizeof *s);
    assert_non_null(s);
    mn_error err = {0};
    s->experiment = mlp(MN_TANH, false);
    s->experiment.meta.kind = MN_META_ONLINE;
    s->experiment.meta.adapts = adapts;
    s->experiment.meta.order = order;
    mn_fields_init(&s->fields, MN_TARGET_VALUES, 1);
    const char *const names[] = {"x", "y", "point"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            mn_fields_add(&s->fields, MN_QUERY, names[i], MN_FIELD_NUMBERS, LENGTH, number, &err),
            MN_OK);
    assert_int_equal(mn_network_init(&s->network, &s->experiment, &s->fields, &err), MN_OK);
    assert_int_equal(mn_rule_declare(&s->network, &err), MN_OK);
    assert_true(s->network.parameters.size <= sizeof s->theta / sizeof *s->theta);
    assert_true(s->fields.size <= sizeof s->task / sizeof *s->task);
    const mn_rule_order wanted = {.network = &s->network,
                                  .fields = &s->fields,
                                  .kernels = mn_kernels_choose(),
                                  .differentiate = differentiate};
    assert_int_equal(mn_rule_new(&wanted, &s->rule, &err), MN_OK);
    s->scratch = aligned_alloc(64, mn_rule_scratch_bytes(s->rule));
    assert_non_null(s->scratch);
    memset(s->scratch, 0xff, mn_rule_scratch_bytes(s->rule)); /* NaNs: none may be read */
    seed_state = 88172645463325252u;
    for (size_t i = 0; i < s->fields.size; i++)
        s->task[i] = (mn_real)draw();
    for (size_t i = 0; i < s->network.parameters.size; i++)
        s->theta[i] = (mn_real)(0.6 * draw());
    s->data.task = s->task;
    return s;
}

static void sequence_destroy(struct sequence *s)
{
    mn_rule_destroy(&s->rule);
    free(s->scratch);
    free(s);
}

static double loss_as_it_goes(void *of)
{
    struct sequence *s = of;
    return mn_rule_judge(s->rule, s->scratch, s->theta, &s->data, s->output);
}

static void meta_gradients_of_sequences_agree_with_central_differences(void **state)
{
    (void)state;
    const mn_adapts adapts[] = {MN_ADAPTS_ALL, MN_ADAPTS_OUTPUT, MN_ADAPTS_BODY};
    const char *const names[] = {"all adapts", "the output adapts", "the body adapts"};
    for (size_t i = 0; i < 3; i++) {
        struct sequence *s = sequence_new(adapts[i], 2, true);
        (void)mn_rule_gradient(s->rule, s->scratch, s->theta, &s->data, s->gradient, s->output);
        const struct gradient_bed check = {.parameters = &s->network.parameters,
                                           .theta = s->theta,
                                           .gradient = s->gradient,
                                           .function = loss_as_it_goes,
                                           .of = s,
                                           .step = 1e-6,
                                           .tolerance = 1e-6,
                                           .what = names[i]};
        check_gradient(&check, 1e-3);
        sequence_destroy(s);
    }
}

/* Item by item: who knows nothing but what has been, predicts the same whatever is to come. */
static void a_prediction_does_not_depend_on_what_follows(void **state)
{
    (void)state;
    struct sequence *s = sequence_new(MN_ADAPTS_ALL, 2, false);
    (void)loss_as_it_goes(s);
    mn_real before[LENGTH];
    memcpy(before, s->output, sizeof before);
    s->task[s->fields.at[1].offset + 2] += 1; /* y */
    (void)loss_as_it_goes(s);
    for (size_t i = 0; i < LENGTH; i++)
        assert_true((before[i] == s->output[i]) == (i <= 2));
    sequence_destroy(s);
}

static void the_first_order_leaves_out_the_walk(void **state)
{
    (void)state;
    struct sequence *one = sequence_new(MN_ADAPTS_ALL, 1, true);
    struct sequence *two = sequence_new(MN_ADAPTS_ALL, 2, true);
    const double a = mn_rule_gradient(one->rule, one->scratch, one->theta, &one->data,
                                      one->gradient, one->output)
                         .query;
    const double b = mn_rule_gradient(two->rule, two->scratch, two->theta, &two->data,
                                      two->gradient, two->output)
                         .query;
    assert_true(a == b);
    assert_true(difference(two->gradient, one->gradient, 0, one->network.parameters.size) > 1e-3);
    sequence_destroy(one);
    sequence_destroy(two);
}

static void expect_refused(struct sequence *s, const char *part_of_message)
{
    mn_rule *rule = NULL;
    mn_error err = {0};
    const mn_rule_order order = {
        .network = &s->network, .fields = &s->fields, .kernels = mn_kernels_choose()};
    assert_int_equal(mn_rule_new(&order, &rule, &err), MN_ERR_CONFIG);
    if (strstr(err.message, part_of_message) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, part_of_message);
    assert_null(rule);
}

static void what_is_no_single_sequence_is_refused(void **state)
{
    (void)state;
    struct sequence *s = sequence_new(MN_ADAPTS_ALL, 2, false);
    s->fields.bundle = LENGTH;
    expect_refused(s, "tasks.bundle puts 5 side by side");
    s->fields.bundle = 1;
    assert_int_equal(mn_fields_few_shot(&s->fields, 2, 2, (const uint32_t[]){1, 1, 1},
                                        MN_TARGET_VALUES, 1, NULL),
                     MN_OK);
    expect_refused(s, "have a support set");
    sequence_destroy(s);
}

static void a_stream_that_steps_do_not_divide_is_refused(void **state)
{
    (void)state;
    struct bed *bed = stream(streaming(mlp(MN_TANH, false), MN_META_ANIL, 2), false, 0);
    bed->experiment.meta.step_items = 4;
    mn_rule *rule = NULL;
    mn_error err = {0};
    const mn_rule_order order = {
        .network = &bed->network, .fields = &bed->fields, .kernels = mn_kernels_choose()};
    assert_int_equal(mn_rule_new(&order, &rule, &err), MN_ERR_CONFIG);
    assert_string_equal(err.message, "a stream of 6 support items is read 4 at a time "
                                     "(meta.step_items): expected a multiple of that");
    bed_destroy(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meta_gradients_of_streams_agree_with_central_differences),
        cmocka_unit_test(there_are_as_many_steps_as_it_takes_to_read_the_stream_once),
        cmocka_unit_test(a_step_depends_on_its_own_items_alone),
        cmocka_unit_test(a_stream_that_one_step_reads_is_a_support_set),
        cmocka_unit_test(the_support_loss_of_a_stream_is_the_mean_over_it),
        cmocka_unit_test(a_test_in_slices_is_judged_as_training_is),
        cmocka_unit_test(meta_gradients_of_sequences_agree_with_central_differences),
        cmocka_unit_test(a_prediction_does_not_depend_on_what_follows),
        cmocka_unit_test(the_first_order_leaves_out_the_walk),
        cmocka_unit_test(what_is_no_single_sequence_is_refused),
        cmocka_unit_test(a_stream_that_steps_do_not_divide_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
