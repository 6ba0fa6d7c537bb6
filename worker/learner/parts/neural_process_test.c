/* The conditional neural process as a whole, in double: its numbers against the formulas of its
 * paper written out plainly, its gradient against central differences. */
#include "worker/learner/parts/part_bed.h"

enum { N_SUPPORT = 4, N_QUERY = 3, X = 2, Y = 2 };

static const mn_experiment neural_process = {.meta = {.kind = MN_META_EPISODIC},
                                             .model = {.input = MN_INPUT_IDENTITY,
                                                       .memory = MN_MEMORY_MEAN,
                                                       .reasoning = MN_REASONING_CONCAT_MLP,
                                                       .output = MN_OUTPUT_GAUSSIAN,
                                                       .encoder = {.n = 2, .at = {5, 4}},
                                                       .decoder = {.n = 2, .at = {6, 5}},
                                                       .activation = MN_TANH}};

static void make_fields(mn_fields *fields, uint32_t n_support)
{
    const uint32_t x[3] = {1, 1, X};
    assert_int_equal(mn_fields_few_shot(fields, n_support, N_QUERY, x, MN_TARGET_VALUES, Y, NULL),
                     MN_OK);
}

static int set_up(void **state)
{
    mn_fields fields;
    make_fields(&fields, N_SUPPORT);
    struct bed *bed = bed_open(&neural_process, &fields, 0.7);
    for (size_t i = 0; i < bed->fields.size; i++)
        bed->block[i] = (mn_real)draw();
    *state = bed;
    return 0;
}

static int tear_down(void **state)
{
    bed_close(*state);
    return 0;
}

/* out = activation(W x + b) with the tensors as PyTorch has them, [out, in]. */
static void layer(const struct bed *bed, const mn_real *outside, const char *name, bool active,
                  uint32_t n_in, const double *in, uint32_t n_out, double *out)
{
    char weight[64], bias[64];
    (void)snprintf(weight, sizeof weight, "%s.weight", name);
    (void)snprintf(bias, sizeof bias, "%s.bias", name);
    uint32_t w = mn_parameters_find(&bed->network.parameters, weight),
             b = mn_parameters_find(&bed->network.parameters, bias);
    assert_true(w != UINT32_MAX && b != UINT32_MAX);
    assert_int_equal(bed->network.parameters.at[w].tensor.shape[0], n_out);
    assert_int_equal(bed->network.parameters.at[w].tensor.shape[1], n_in);
    w = (uint32_t)bed->network.parameters.at[w].offset;
    b = (uint32_t)bed->network.parameters.at[b].offset;
    for (uint32_t o = 0; o < n_out; o++) {
        out[o] = (double)outside[b + o];
        for (uint32_t i = 0; i < n_in; i++)
            out[o] += (double)outside[w + o * n_in + i] * in[i];
        out[o] = active ? tanh(out[o]) : out[o];
    }
}

static const mn_real *item(const struct bed *bed, int field, uint32_t i, uint32_t size)
{
    return bed->block + bed->fields.at[field].offset + (size_t)i * size;
}

static void answers_and_loss_are_those_of_the_formulas(void **state)
{
    struct bed *bed = *state;
    static mn_real outside[MOST];
    mn_parameters_export(&bed->network.parameters, bed->theta, outside);
    double mean[4] = {0}, in[X + 4 + Y], hidden[6], more[5], loss = 0;
    for (uint32_t i = 0; i < N_SUPPORT; i++) {
        double e[4];
        for (uint32_t k = 0; k < X; k++)
            in[k] = (double)item(bed, MN_SUPPORT_X, i, X)[k];
        for (uint32_t k = 0; k < Y; k++)
            in[X + k] = (double)item(bed, MN_SUPPORT_Y, i, Y)[k];
        layer(bed, outside, "encoder.fc1", true, X + Y, in, 5, hidden);
        layer(bed, outside, "encoder.fc2", false, 5, hidden, 4, e);
        for (uint32_t k = 0; k < 4; k++)
            mean[k] += e[k] / N_SUPPORT;
    }
    mn_rule_losses losses = mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data,
                                             bed->gradient, bed->output);
    for (uint32_t i = 0; i < N_QUERY; i++) {
        double head[2 * Y];
        for (uint32_t k = 0; k < X; k++)
            in[k] = (double)item(bed, MN_QUERY_X, i, X)[k];
        memcpy(in + X, mean, sizeof mean);
        layer(bed, outside, "decoder.fc1", true, X + 4, in, 6, hidden);
        layer(bed, outside, "decoder.fc2", true, 6, hidden, 5, more);
        layer(bed, outside, "head", false, 5, more, 2 * Y, head);
        for (uint32_t k = 0; k < Y; k++) {
            const double deviation = 0.1 + 0.9 * log1p(exp(head[Y + k]));
            const double off = ((double)item(bed, MN_QUERY_Y, i, Y)[k] - head[k]) / deviation;
            loss += (0.5 * off * off + log(deviation) + 0.5 * log(2 * acos(-1.0))) / N_QUERY;
            assert_true(fabs((double)bed->output[i * 2 * Y + k] - head[k]) < 1e-12);
            assert_true(fabs((double)bed->output[i * 2 * Y + Y + k] - deviation) < 1e-12);
        }
    }
    if (!(fabs(losses.query - loss) < 1e-12))
        fail_msg("the loss is %.15g, expected %.15g", losses.query, loss);
}

static void the_gradient_agrees_with_central_differences(void **state)
{
    bed_check_gradient(*state);
}

static void the_support_set_may_have_any_size_and_order(void **state)
{
    struct bed *bed = *state;
    mn_fields other;
    mn_error err = {0};
    make_fields(&other, 9);
    assert_int_equal(mn_network_fits(&bed->network, &other, &err), MN_OK);
    const double before = mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data,
                                           bed->gradient, bed->output)
                              .query;
    for (int part = MN_SUPPORT_X; part <= MN_SUPPORT_Y; part++) { /* first and last change places */
        mn_real *at = bed->block + bed->fields.at[part].offset;
        for (uint32_t k = 0; k < X; k++) {
            const mn_real first = at[k];
            at[k] = at[(N_SUPPORT - 1) * X + k];
            at[(N_SUPPORT - 1) * X + k] = first;
        }
    }
    assert_true(fabs(mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data,
                                      bed->gradient, bed->output)
                         .query -
                     before) < 1e-12);
}

/* What one item answers costs, by the formula: nats, or the mean of squared errors. */
static double cost_of(const struct bed *bed, uint32_t i, bool deviations)
{
    const mn_real *answer = bed->output + (size_t)i * (deviations ? 2 * Y : Y);
    double cost = 0;
    for (uint32_t k = 0; k < Y; k++) {
        const double off = (double)answer[k] - (double)item(bed, MN_QUERY_Y, i, Y)[k];
        const double deviation = deviations ? (double)answer[Y + k] : 1;
        cost += deviations ? 0.5 * off * off / (deviation * deviation) + log(deviation) +
                                 0.5 * log(2 * acos(-1.0))
                           : off * off / Y;
    }
    return cost;
}

/* Held-out rows of a table: those of weight 0 are padding. */
static void items_count_by_their_weights(void **state)
{
    static const double weights[N_QUERY] = {0.75, 0.25, 0};
    (void)state;
    for (int deviations = 0; deviations < 2; deviations++) {
        mn_experiment experiment = neural_process;
        mn_fields fields;
        double expected = 0;
        experiment.model.output = deviations ? MN_OUTPUT_GAUSSIAN : MN_OUTPUT_LINEAR;
        make_fields(&fields, N_SUPPORT);
        assert_int_equal(mn_fields_add(&fields, MN_QUERY, "weight", MN_FIELD_NUMBERS, N_QUERY,
                                       (const uint32_t[3]){1, 1, 1}, NULL),
                         MN_OK);
        struct bed *bed = bed_open(&experiment, &fields, 0.7);
        for (size_t i = 0; i < bed->fields.size; i++)
            bed->block[i] = (mn_real)draw();
        for (uint32_t i = 0; i < N_QUERY; i++)
            bed->block[fields.at[MN_N_FEW_SHOT].offset + i] = (mn_real)weights[i];
        const double loss = loss_of(bed, bed->gradient);
        for (uint32_t i = 0; i < N_QUERY; i++)
            expected += weights[i] * cost_of(bed, i, deviations);
        if (!(fabs(loss - expected) < 1e-12))
            fail_msg("the loss is %.15g, expected %.15g", loss, expected);
        bed_check_gradient(bed);
        bed_close(bed);
    }
}

/* As `mnemo task --split train` does. */
static void a_rule_that_differentiates_judges_as_well(void **state)
{
    struct bed *bed = *state;
    mn_real output[N_QUERY * 2 * Y];
    const double loss = mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data,
                                         bed->gradient, bed->output)
                            .query;
    mn_rule_begin(bed->rule, bed->scratch, bed->theta, &bed->data);
    assert_true(mn_rule_judge(bed->rule, bed->scratch, bed->theta, &bed->data, output) == loss);
    assert_memory_equal(output, bed->output, sizeof output);
}

static void classes_are_refused_by_a_gaussian_output(void **state)
{
    struct bed *bed = *state;
    mn_network network;
    mn_fields fields;
    mn_error err = {0};
    const uint32_t x[3] = {1, 1, X};
    assert_int_equal(mn_fields_few_shot(&fields, 4, 4, x, MN_TARGET_CLASSES, 2, NULL), MN_OK);
    assert_int_equal(mn_network_init(&network, &bed->experiment, &fields, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "ask for classes"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_and_loss_are_those_of_the_formulas),
        TEST(the_gradient_agrees_with_central_differences),
        TEST(the_support_set_may_have_any_size_and_order),
        TEST(a_rule_that_differentiates_judges_as_well),
        TEST(classes_are_refused_by_a_gaussian_output),
        cmocka_unit_test(items_count_by_their_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
