/* A prior-fitted network as a whole, in double: its gradient against central differences, what it
 * does not depend on, and what is refused. Its numbers are compared with PyTorch's in
 * tests/reference/pfn_test.c. */
#include "worker/learner/parts/part_bed.h"

enum { N_SUPPORT = 5, N_QUERY = 3, X = 3, Y = 2 };

static const mn_experiment prior_fitted = {.meta = {.kind = MN_META_EPISODIC},
                                           .model = {.input = MN_INPUT_IDENTITY,
                                                     .memory = MN_MEMORY_TRANSFORMER,
                                                     .reasoning = MN_REASONING_READ,
                                                     .output = MN_OUTPUT_GAUSSIAN,
                                                     .layers = 2,
                                                     .token_size = 6,
                                                     .heads = 2,
                                                     .mlp_size = 5,
                                                     .activation = MN_TANH}};

static void make_fields(mn_fields *fields, uint32_t n_support, mn_target target)
{
    const uint32_t x[3] = {1, 1, X};
    assert_int_equal(mn_fields_few_shot(fields, n_support, N_QUERY, x, target, Y, NULL), MN_OK);
}

static struct bed *bed_new(mn_tokens tokens)
{
    mn_experiment experiment = prior_fitted;
    mn_fields fields;
    experiment.model.tokens = tokens;
    make_fields(&fields, N_SUPPORT, MN_TARGET_VALUES);
    struct bed *bed = bed_open(&experiment, &fields, 0.9);
    for (size_t i = 0; i < bed->fields.size; i++)
        bed->block[i] = (mn_real)draw();
    return bed;
}

static int set_up_rows(void **state)
{
    *state = bed_new(MN_TOKENS_ROW);
    return 0;
}

static int set_up_cells(void **state)
{
    *state = bed_new(MN_TOKENS_CELL);
    return 0;
}

static int tear_down(void **state)
{
    bed_close(*state);
    return 0;
}

static double loss(struct bed *bed)
{
    static mn_real ignored[MOST];
    return loss_of(bed, ignored);
}

static void the_gradient_agrees_with_central_differences(void **state)
{
    bed_check_gradient(*state);
}

/* Every tensor has a say in the loss, but for what the last layer lets support tokens pass. */
static void every_tensor_is_trained(void **state)
{
    struct bed *bed = *state;
    const mn_parameters *list = &bed->network.parameters;
    (void)loss_of(bed, bed->gradient);
    for (uint32_t i = 0; i < list->n; i++) {
        double largest = 0;
        for (size_t k = 0; k < list->at[i].count; k++)
            largest = fmax(largest, fabs((double)bed->gradient[list->at[i].offset + k]));
        if (!(largest > 1e-9))
            fail_msg("%s has no gradient", list->at[i].tensor.name);
    }
}

static void swap_rows(mn_real *of, uint32_t c, uint32_t i, uint32_t j)
{
    for (uint32_t k = 0; k < c; k++) {
        const mn_real one = of[i * c + k];
        of[i * c + k] = of[j * c + k];
        of[j * c + k] = one;
    }
}

static void the_order_of_the_support_set_does_not_matter(void **state)
{
    struct bed *bed = *state;
    const double before = loss(bed);
    swap_rows(bed->block + bed->fields.at[MN_SUPPORT_X].offset, X, 0, N_SUPPORT - 1);
    assert_true(fabs(loss(bed) - before) > 1e-6); /* its labels are another's now */
    swap_rows(bed->block + bed->fields.at[MN_SUPPORT_Y].offset, Y, 0, N_SUPPORT - 1);
    assert_true(fabs(loss(bed) - before) < 1e-12);
}

static void a_question_is_answered_whatever_else_is_asked(void **state)
{
    struct bed *bed = *state;
    mn_real *query = bed->block + bed->fields.at[MN_QUERY_X].offset;
    mn_real before[N_QUERY * 2 * Y];
    (void)loss(bed);
    memcpy(before, bed->output, sizeof before);
    for (uint32_t k = 0; k < 2 * X; k++) /* all but the last */
        query[k] = (mn_real)draw();
    (void)loss(bed);
    const size_t last = (N_QUERY - 1) * 2 * Y;
    for (size_t k = 0; k < 2 * Y; k++)
        assert_true(fabs((double)(bed->output[last + k] - before[last + k])) < 1e-12);
    assert_true(fabs((double)(bed->output[0] - before[0])) > 1e-6);
}

static void the_order_of_features_does_not_matter(void **state)
{
    struct bed *bed = *state;
    const double before = loss(bed);
    for (int part = MN_SUPPORT_X; part <= MN_QUERY_X; part += MN_QUERY_X - MN_SUPPORT_X) {
        mn_real *x = bed->block + bed->fields.at[part].offset;
        for (uint32_t i = 0; i < bed->fields.at[part].n; i++) {
            const mn_real first = x[i * X];
            x[i * X] = x[i * X + 2];
            x[i * X + 2] = first;
        }
        assert_true((part == MN_QUERY_X) == (fabs(loss(bed) - before) < 1e-12));
    }
}

static void the_support_set_may_have_any_size(void **state)
{
    struct bed *bed = *state;
    mn_fields other;
    mn_error err = {0};
    make_fields(&other, 9, MN_TARGET_VALUES);
    assert_int_equal(mn_network_fits(&bed->network, &other, &err), MN_OK);
}

static void so_may_the_number_of_features_be(void **state)
{
    struct bed *bed = *state;
    mn_fields other;
    mn_error err = {0};
    const uint32_t x[3] = {1, 1, X + 4};
    assert_int_equal(mn_fields_few_shot(&other, 4, 4, x, MN_TARGET_VALUES, Y, NULL), MN_OK);
    assert_int_equal(mn_network_fits(&bed->network, &other, &err), MN_OK);
}

/* Attention is closed under differentiation, so an inner loop of second order may move it. */
static void it_can_be_adapted_by_an_inner_loop_as_well(void **state)
{
    struct bed *bed = *state;
    mn_rule_destroy(&bed->rule);
    free(bed->scratch);
    bed->experiment.meta.kind = MN_META_MAML;
    bed->experiment.meta.order = 2;
    bed->experiment.meta.inner_steps = 2;
    bed->experiment.meta.inner_lr = 0.05;
    bed_compile(bed);
    the_gradient_agrees_with_central_differences(state);
}

static void expect_refusal(const mn_experiment *experiment, const mn_fields *fields,
                           const char *words)
{
    mn_network network;
    mn_error err = {0};
    assert_int_equal(mn_network_init(&network, experiment, fields, &err), MN_ERR_CONFIG);
    if (strstr(err.message, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, err.message);
}

static void what_does_not_fit_is_refused_with_words(void **state)
{
    mn_experiment experiment = prior_fitted;
    mn_fields fields;
    (void)state;
    make_fields(&fields, N_SUPPORT, MN_TARGET_VALUES);
    experiment.model.heads = 4;
    expect_refusal(&experiment, &fields, "model.heads 4 do not divide the 6 numbers of a token");

    experiment = prior_fitted;
    const uint32_t wide[3] = {256, 256, 3}, narrow[3] = {1, 1, 1};
    assert_int_equal(mn_fields_few_shot(&fields, 300, 5, wide, MN_TARGET_VALUES, Y, NULL), MN_OK);
    experiment.model.tokens = MN_TOKENS_CELL;
    expect_refusal(&experiment, &fields, "196609 tokens of an item's numbers");

    experiment = prior_fitted;
    assert_int_equal(mn_fields_few_shot(&fields, 20000, 5, narrow, MN_TARGET_VALUES, Y, NULL),
                     MN_OK);
    expect_refusal(&experiment, &fields, "pairs of tokens at once");

    mn_fields_init(&fields, MN_TARGET_VALUES, Y); /* no support set */
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "x", MN_FIELD_NUMBERS, 3, narrow, NULL),
                     MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, 3, narrow, NULL),
                     MN_OK);
    expect_refusal(&experiment, &fields, "transformer");
}

#define ROWS(name) cmocka_unit_test_setup_teardown(name, set_up_rows, tear_down)
#define CELLS(name) cmocka_unit_test_setup_teardown(name, set_up_cells, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROWS(the_gradient_agrees_with_central_differences),
        CELLS(the_gradient_agrees_with_central_differences),
        ROWS(every_tensor_is_trained),
        CELLS(every_tensor_is_trained),
        ROWS(the_order_of_the_support_set_does_not_matter),
        CELLS(the_order_of_the_support_set_does_not_matter),
        ROWS(a_question_is_answered_whatever_else_is_asked),
        CELLS(a_question_is_answered_whatever_else_is_asked),
        CELLS(the_order_of_features_does_not_matter),
        ROWS(the_support_set_may_have_any_size),
        CELLS(the_support_set_may_have_any_size),
        CELLS(so_may_the_number_of_features_be),
        ROWS(it_can_be_adapted_by_an_inner_loop_as_well),
        CELLS(it_can_be_adapted_by_an_inner_loop_as_well),
        cmocka_unit_test(what_does_not_fit_is_refused_with_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
