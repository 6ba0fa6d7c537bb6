/* Learners of classes that are described, in double: their gradients against central differences,
 * ridge regression against its equations, which classes are out of the question, and what is refused.
 * Their numbers are compared with PyTorch's in tests/reference/zero_shot_test.c. */
#include "worker/learner/parts/part_bed.h"

#include "worker/learner/parts/class_vectors.h"

enum { WAY = 4, SEEN = 3, N_SUPPORT = 9, N_QUERY = 6, X = 3, ATTRIBUTES = 5 };

static const mn_experiment by_ridge = {.meta = {.kind = MN_META_EPISODIC},
                                       .model = {.input = MN_INPUT_MLP,
                                                 .hidden = {.n = 1, .at = {5}},
                                                 .memory = MN_MEMORY_RIDGE,
                                                 .output = MN_OUTPUT_COMPATIBILITY,
                                                 .ridge_gamma = 0.2,
                                                 .ridge_lambda = 0.3,
                                                 .scale = 2,
                                                 .activation = MN_TANH}};

static mn_experiment by_network(mn_output_kind output)
{
    mn_experiment e = by_ridge;
    e.model.memory = MN_MEMORY_DESCRIPTIONS;
    e.model.output = output;
    e.model.describer = (mn_uint_list){.n = 1, .at = {4}};
    return e;
}

static void make_fields(mn_fields *fields, bool described)
{
    const uint32_t x[3] = {1, 1, X}, y[3] = {1, 1, WAY}, attributes[3] = {1, 1, ATTRIBUTES};
    const uint32_t number[3] = {1, 1, 1};
    mn_fields_init(fields, MN_TARGET_CLASSES, WAY);
    assert_int_equal(mn_fields_add(fields, MN_SUPPORT, "x", MN_FIELD_NUMBERS, N_SUPPORT, x, NULL),
                     0);
    assert_int_equal(mn_fields_add(fields, MN_SUPPORT, "y", MN_FIELD_NUMBERS, N_SUPPORT, y, NULL),
                     0);
    assert_int_equal(mn_fields_add(fields, MN_QUERY, "x", MN_FIELD_NUMBERS, N_QUERY, x, NULL), 0);
    assert_int_equal(mn_fields_add(fields, MN_QUERY, "y", MN_FIELD_NUMBERS, N_QUERY, y, NULL), 0);
    if (!described)
        return;
    assert_int_equal(mn_fields_add(fields, MN_QUERY, "candidates", MN_FIELD_MASK, N_QUERY, y, NULL),
                     0);
    assert_int_equal(
        mn_fields_add(fields, MN_SHARED, "description", MN_FIELD_NUMBERS, WAY, attributes, NULL),
        0);
    assert_int_equal(mn_fields_add(fields, MN_SHARED, "seen", MN_FIELD_MASK, WAY, number, NULL), 0);
}

static mn_real *field(struct bed *bed, mn_role role, const char *name)
{
    const mn_field *at = mn_fields_find(&bed->fields, role, name);
    assert_non_null(at);
    return bed->block + at->offset;
}

/* The last class is unseen; every other item is asked among it and the first alone. */
static struct bed *bed_of(const mn_experiment *experiment)
{
    mn_fields fields;
    make_fields(&fields, true);
    struct bed *bed = bed_open(experiment, &fields, 0.9);
    for (size_t i = 0; i < bed->fields.size; i++)
        bed->block[i] = (mn_real)draw();
    memset(field(bed, MN_SUPPORT, "y"), 0, N_SUPPORT * WAY * sizeof(mn_real));
    memset(field(bed, MN_QUERY, "y"), 0, N_QUERY * WAY * sizeof(mn_real));
    for (uint32_t i = 0; i < N_SUPPORT; i++)
        field(bed, MN_SUPPORT, "y")[i * WAY + i % SEEN] = 1;
    for (uint32_t i = 0; i < N_QUERY; i++) {
        field(bed, MN_QUERY, "y")[i * WAY + (i % 2 == 0 ? i % WAY : SEEN)] = 1;
        for (uint32_t k = 0; k < WAY; k++)
            field(bed, MN_QUERY, "candidates")[i * WAY + k] = i % 2 == 0 || k == 0 || k == SEEN;
    }
    for (uint32_t k = 0; k < WAY; k++)
        field(bed, MN_SHARED, "seen")[k] = k < SEEN;
    return bed;
}

static void gradients_agree_with_central_differences(void **state)
{
    const mn_experiment kinds[] = {by_ridge, by_network(MN_OUTPUT_DISTANCE),
                                   by_network(MN_OUTPUT_COMPATIBILITY)};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct bed *bed = bed_of(&kinds[i]);
        bed_check_gradient(bed);
        for (uint32_t t = 0; t < bed->network.parameters.n; t++) {
            const mn_parameter *tensor = &bed->network.parameters.at[t];
            if (!(fabs((double)bed->gradient[tensor->offset]) > 1e-12))
                fail_msg("%s has no gradient", tensor->tensor.name);
        }
        bed_close(bed);
    }
}

static void ridge_regression_has_no_tensors_and_learns_nothing_of_unseen_classes(void **state)
{
    mn_experiment e = by_ridge;
    mn_real before[N_QUERY * WAY];
    (void)state;
    e.model.input = MN_INPUT_IDENTITY;
    struct bed *bed = bed_of(&e);
    assert_int_equal(bed->network.parameters.n, 0);
    for (uint32_t k = 0; k < N_QUERY * WAY; k++)
        field(bed, MN_QUERY, "candidates")[k] = 1;
    (void)loss_of(bed, bed->gradient);
    memcpy(before, bed->output, sizeof before);
    field(bed, MN_SHARED, "description")[SEEN * ATTRIBUTES] += 0.5;
    (void)loss_of(bed, bed->gradient);
    for (uint32_t i = 0; i < N_QUERY * WAY; i++) {
        const double moved = fabs((double)(bed->output[i] - before[i]));
        assert_true(i % WAY == SEEN ? moved > 1e-6 : moved < 1e-12);
    }
    field(bed, MN_SHARED, "description")[0] += 0.5; /* that of a seen class is learned from */
    (void)loss_of(bed, bed->gradient);
    assert_true(fabs((double)(bed->output[1] - before[1])) > 1e-6);
    bed_close(bed);
}

/* The length of attributes does not matter, nor the place and scale of features. */
static void ridge_regression_standardises(void **state)
{
    mn_experiment e = by_ridge;
    mn_real before[N_QUERY * WAY];
    (void)state;
    e.model.input = MN_INPUT_IDENTITY;
    struct bed *bed = bed_of(&e);
    mn_real *sets[] = {field(bed, MN_SUPPORT, "x"), field(bed, MN_QUERY, "x")};
    (void)loss_of(bed, bed->gradient);
    memcpy(before, bed->output, sizeof before);
    for (uint32_t i = 0; i < ATTRIBUTES; i++)
        field(bed, MN_SHARED, "description")[i] *= 3;
    for (uint32_t set = 0; set < 2; set++)
        for (uint32_t i = set == 0 ? N_SUPPORT : N_QUERY; i-- > 0;)
            sets[set][i * X] = 7 * sets[set][i * X] - 2;
    (void)loss_of(bed, bed->gradient);
    for (uint32_t i = 0; i < N_QUERY * WAY; i++)
        if (before[i] > -1e6) /* but for 1e-5 that is added to variances */
            assert_true(fabs((double)(bed->output[i] - before[i])) < 1e-3);
    bed_close(bed);
}

static void classes_out_of_the_question_are_no_answer(void **state)
{
    struct bed *bed = bed_of(&by_ridge);
    (void)state;
    (void)loss_of(bed, bed->gradient);
    for (uint32_t i = 0; i < N_QUERY; i++)
        for (uint32_t k = 0; k < WAY; k++)
            assert_true((bed->output[i * WAY + k] < -1e8) ==
                        (field(bed, MN_QUERY, "candidates")[i * WAY + k] == 0));
    bed_close(bed);
}

static void calibration_lowers_seen_classes_by_deviations_of_their_answers(void **state)
{
    mn_experiment e = by_ridge;
    struct bed *plain = bed_of(&e);
    (void)state;
    e.model.calibration = 0.7;
    struct bed *lowered = bed_of(&e);
    (void)loss_of(plain, plain->gradient);
    (void)loss_of(lowered, lowered->gradient);
    double sum = 0, squares = 0; /* of the first item */
    for (uint32_t k = 0; k < SEEN; k++) {
        sum += (double)plain->output[k];
        squares += (double)(plain->output[k] * plain->output[k]);
    }
    const double deviation = sqrt(squares / SEEN - sum * sum / SEEN / SEEN);
    assert_true(deviation > 0.01);
    for (uint32_t k = 0; k < WAY; k++)
        assert_true(fabs((double)(plain->output[k] - lowered->output[k]) -
                         (k < SEEN ? 0.7 * deviation : 0)) < 1e-6);
    bed_close(plain);
    bed_close(lowered);
}

static void expect_refusal(const mn_experiment *e, bool described, const char *words)
{
    mn_fields fields;
    mn_network network;
    mn_error err = {.message = ""};
    make_fields(&fields, described);
    assert_int_equal(mn_network_init(&network, e, &fields, &err), MN_ERR_CONFIG);
    if (strstr(err.message, words) == NULL)
        fail_msg("not \"%s\": %s", words, err.message);
}

static void what_does_not_go_together_is_refused(void **state)
{
    mn_experiment e = by_ridge;
    (void)state;
    expect_refusal(&e, false,
                   "model.memory ridge reads shared.description, which these tasks do not");
    e.model.output = MN_OUTPUT_DISTANCE;
    expect_refusal(&e, true, "those of model.memory ridge are for products: use model.output");
    e.model.memory = MN_MEMORY_NONE;
    expect_refusal(&e, true, "it needs model.memory class-means or descriptions");
    e.model.output = MN_OUTPUT_COMPATIBILITY;
    expect_refusal(&e, true, "it needs model.memory class-means or descriptions or ridge");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_agree_with_central_differences),
        cmocka_unit_test(ridge_regression_has_no_tensors_and_learns_nothing_of_unseen_classes),
        cmocka_unit_test(ridge_regression_standardises),
        cmocka_unit_test(classes_out_of_the_question_are_no_answer),
        cmocka_unit_test(calibration_lowers_seen_classes_by_deviations_of_their_answers),
        cmocka_unit_test(what_does_not_go_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
