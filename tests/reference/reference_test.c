/* reference_test.c: losses, adapted weights, outputs and meta-gradients against PyTorch in float64.
 * Built twice: with the engine in double every number must agree to 1e-9 of its tensor's largest
 * entry (with a floor of 1e-12, for gradients that are zero up to rounding), in float32 to 2e-4
 * (floor 2e-5). */
#include "tests/reference/numbers.h"
#include "worker/learner/rules/rule.h"

#include <string.h>

struct reference {
    json_t *root;
    mn_network network;
    mn_experiment experiment;
    mn_fields fields;
    mn_real *theta, *rates; /* [size], inside layout */
    const char *tensor_names[MN_MAX_PARAMETERS];
};

static mn_real *numbers(json_t *tensor)
{
    mn_real *values = calloc(count_of(tensor) + 1, sizeof *values);
    assert_non_null(values);
    read_numbers(tensor, values);
    return values;
}

/* A file's dictionary of tensors, in order, as one vector in the inside layout. */
static mn_real *vector_of(const struct reference *reference, json_t *tensors)
{
    const mn_parameters *list = &reference->network.parameters;
    mn_real *outside = calloc(list->size, sizeof *outside),
            *inside = calloc(list->size, sizeof *inside);
    assert_non_null(outside);
    assert_non_null(inside);
    for (uint32_t i = 0; i < list->n; i++) {
        json_t *tensor = get(tensors, reference->tensor_names[i]);
        assert_int_equal(count_of(tensor), list->at[i].count);
        read_numbers(tensor, outside + list->at[i].offset);
    }
    mn_parameters_import(list, outside, inside);
    free(outside);
    return inside;
}

static uint32_t rows_of(json_t *tensor)
{
    return (uint32_t)json_integer_value(json_array_get(get(tensor, "shape"), 0));
}

static struct reference *open_reference(const char *file, const mn_experiment *experiment,
                                        const uint32_t x[3], mn_target target, uint32_t y_size)
{
    json_t *root = load(file); /* before anything is owned: it may leave for good */
    struct reference *reference = calloc(1, sizeof *reference);
    assert_non_null(reference);
    reference->root = root;
    reference->experiment = *experiment;
    mn_error err;
    json_t *task = json_array_get(get(reference->root, "tasks"), 0);
    assert_int_equal(mn_fields_few_shot(&reference->fields, rows_of(get(task, "support_x")),
                                        rows_of(get(task, "query_x")), x, target, y_size, &err),
                     MN_OK);
    assert_int_equal(
        mn_network_init(&reference->network, &reference->experiment, &reference->fields, &err),
        MN_OK);
    json_t *order = get(reference->root, "parameter_order");
    assert_int_equal(json_array_size(order), reference->network.parameters.n);
    for (size_t i = 0; i < json_array_size(order); i++)
        reference->tensor_names[i] = json_string_value(json_array_get(order, i));
    reference->theta = vector_of(reference, get(reference->root, "parameters"));
    reference->rates = vector_of(reference, get(reference->root, "metasgd_alpha"));
    return reference;
}

static void close_reference(struct reference *reference)
{
    json_decref(reference->root);
    free(reference->theta);
    free(reference->rates);
    free(reference);
}

static void expect_close(const char *what, size_t n, const mn_real *got, const mn_real *expected)
{
    double largest = 0.0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)expected[i]) <= RELATIVE * largest + FLOOR))
            fail_msg("%s[%zu] is %.17g, expected %.17g (largest entry %.3g)", what, i,
                     (double)got[i], (double)expected[i], largest);
}

/* Tensor by tensor, so that each is held against its own largest entry. */
static void expect_vector(const struct reference *reference, const char *what, const mn_real *got,
                          json_t *tensors, bool adapted_only)
{
    mn_real *expected = vector_of(reference, tensors);
    const mn_parameters *list = &reference->network.parameters;
    for (uint32_t i = 0; i < list->n; i++) {
        if (adapted_only && i < reference->network.first[MN_MODULE_OUTPUT])
            continue;
        char name[128];
        (void)snprintf(name, sizeof name, "%s %s", what, list->at[i].tensor.name);
        expect_close(name, list->at[i].count, got + list->at[i].offset,
                     expected + list->at[i].offset);
    }
    free(expected);
}

static void expect_number(const char *what, double got, double expected)
{
    mn_real a = (mn_real)got, b = (mn_real)expected;
    expect_close(what, 1, &a, &b);
}

/* Labels become one-hot rows; images are stored as planes and become channels-last (one channel:
 * the same). */
static mn_real *targets(const struct reference *reference, json_t *tensor)
{
    mn_real *raw = numbers(tensor);
    if (reference->fields.target == MN_TARGET_VALUES)
        return raw;
    size_t n = count_of(tensor), ways = reference->fields.y_size;
    mn_real *rows = calloc(n * ways, sizeof *rows);
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++)
        rows[i * ways + (size_t)raw[i]] = 1;
    free(raw);
    return rows;
}

/* The arrays of a task in one block, as its fields say. */
static mn_real *block_of(const mn_fields *fields, mn_real *const arrays[MN_N_FEW_SHOT])
{
    mn_real *block = calloc(fields->size, sizeof *block);
    assert_non_null(block);
    for (uint32_t i = 0; i < fields->n; i++)
        memcpy(block + fields->at[i].offset, arrays[i],
               mn_field_count(&fields->at[i]) * sizeof *block);
    return block;
}

/* A network and a rule compiled for it, as experiment.meta has it. */
struct bench {
    mn_experiment experiment;
    mn_network network;
    mn_fields fields;
    mn_rule *rule;
    void *scratch;
    mn_real *theta, *gradient, *output;
    size_t n_output;
};

static struct bench *bench_new(const struct reference *reference, const mn_fields *fields,
                               mn_meta_kind kind, uint32_t order, uint32_t steps, double inner_lr)
{
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    mn_error err;
    bench->experiment = reference->experiment;
    bench->experiment.meta.kind = kind;
    bench->experiment.meta.order = order;
    bench->experiment.meta.inner_steps = steps;
    bench->experiment.meta.inner_lr = inner_lr;
    bench->fields = *fields;
    assert_int_equal(mn_network_init(&bench->network, &bench->experiment, &bench->fields, &err),
                     MN_OK);
    assert_int_equal(mn_rule_declare(&bench->network, &err), MN_OK);
    mn_rule_order rule_order = {.network = &bench->network,
                                .fields = &bench->fields,
                                .kernels = mn_kernels_choose(),
                                .differentiate = true};
    assert_int_equal(mn_rule_new(&rule_order, &bench->rule, &err), MN_OK);
    const size_t size = reference->network.parameters.size, n = bench->network.parameters.size;
    assert_int_equal(n, kind == MN_META_META_SGD ? 2 * size : size);
    bench->n_output = mn_field_count(&bench->fields.at[MN_QUERY_Y]);
    bench->scratch = aligned_alloc(64, mn_rule_scratch_bytes(bench->rule));
    bench->theta = calloc(n, sizeof *bench->theta);
    bench->gradient = calloc(n, sizeof *bench->gradient);
    bench->output = calloc(bench->n_output, sizeof *bench->output);
    assert_non_null(bench->scratch);
    assert_non_null(bench->theta);
    assert_non_null(bench->gradient);
    assert_non_null(bench->output);
    /* NaNs: nothing may be read before it is written */
    memset(bench->scratch, 0xff, mn_rule_scratch_bytes(bench->rule));
    memcpy(bench->theta, reference->theta, size * sizeof *bench->theta);
    if (n > size)
        memcpy(bench->theta + size, reference->rates, size * sizeof *bench->theta);
    return bench;
}

static void bench_destroy(struct bench *bench)
{
    mn_rule_destroy(&bench->rule);
    free(bench->scratch);
    free(bench->theta);
    free(bench->gradient);
    free(bench->output);
    free(bench);
}

/* The meta-gradient of no inner step, judged on the support set. */
static void check_support_gradient(const struct reference *reference, mn_real *const arrays[],
                                   json_t *expected)
{
    const mn_field *x = &reference->fields.at[MN_SUPPORT_X];
    const uint32_t item[3] = {x->height, x->width, x->channels};
    mn_real *const twice[] = {arrays[MN_SUPPORT_X], arrays[MN_SUPPORT_Y], arrays[MN_SUPPORT_X],
                              arrays[MN_SUPPORT_Y]};
    mn_fields fields;
    assert_int_equal(mn_fields_few_shot(&fields, x->n, x->n, item, reference->fields.target,
                                        reference->fields.y_size, NULL),
                     MN_OK);
    struct bench *bench = bench_new(reference, &fields, MN_META_MAML, 2, 0, 0.0);
    mn_real *block = block_of(&fields, twice);
    const mn_rule_data data = {.task = block};
    (void)mn_rule_gradient(bench->rule, bench->scratch, bench->theta, &data, bench->gradient,
                           bench->output);
    expect_vector(reference, "support gradient", bench->gradient, expected, false);
    free(block);
    bench_destroy(bench);
}

static void check_rule(const struct reference *reference, mn_meta_kind kind, uint32_t order,
                       const char *name, uint32_t steps, json_t *task, json_t *expected)
{
    struct bench *bench = bench_new(reference, &reference->fields, kind, order, steps,
                                    json_number_value(get(reference->root, "inner_lr")));
    const mn_rule *rule = bench->rule;
    const size_t size = reference->network.parameters.size;
    mn_real *const arrays[MN_N_FEW_SHOT] = {
        numbers(get(task, "support_x")), targets(reference, get(task, "support_y")),
        numbers(get(task, "query_x")), targets(reference, get(task, "query_y"))};
    mn_real *block = block_of(&reference->fields, arrays), *theta = bench->theta;
    mn_real *gradient = bench->gradient, *output = bench->output;
    const mn_rule_data data = {.task = block};
    void *scratch = bench->scratch;
    print_message("  %s, %u inner steps\n", name, steps);

    mn_rule_losses losses = mn_rule_gradient(rule, scratch, theta, &data, gradient, output);
    if (kind == MN_META_REPTILE) { /* the file has phi - theta */
        for (size_t i = 0; i < size; i++)
            gradient[i] = -gradient[i];
        expect_vector(reference, "phi - theta", gradient, get(expected, "phi_minus_theta"), false);
    } else {
        expect_vector(reference, "meta-gradient", gradient, get(expected, "meta_grad"), false);
        if (kind == MN_META_META_SGD)
            expect_vector(reference, "gradient of the rates", gradient + size,
                          get(expected, "meta_grad_alpha"), false);
        json_t *support_losses = get(expected, "support_losses");
        expect_number("support loss", losses.support_before,
                      json_number_value(json_array_get(support_losses, 0)));
        expect_number("query loss", losses.query, json_number_value(get(expected, "query_loss")));
        mn_real *expected_output = numbers(get(expected, "query_output"));
        expect_close("query output", bench->n_output, output, expected_output);
        free(expected_output);

        mn_rule_begin(rule, scratch, theta, &data);
        expect_number("query loss before", mn_rule_judge(rule, scratch, theta, &data, output),
                      json_number_value(get(expected, "query_loss_before")));
        if (json_object_get(expected, "support_grad_before") != NULL)
            check_support_gradient(reference, arrays, get(expected, "support_grad_before"));
        for (uint32_t k = 0; k < steps; k++) {
            double loss = mn_rule_step(rule, scratch, theta, &data);
            expect_number("support loss on the way", loss,
                          json_number_value(json_array_get(support_losses, k)));
        }
        expect_number("support loss after", mn_rule_support(rule, scratch, theta, &data),
                      json_number_value(json_array_get(support_losses, steps)));
        mn_rule_adapted(rule, scratch, theta, gradient);
        expect_vector(reference, "adapted", gradient, get(expected, "adapted"),
                      kind == MN_META_ANIL);
    }

    for (int i = 0; i < MN_N_FEW_SHOT; i++)
        free(arrays[i]);
    free(block);
    bench_destroy(bench);
}

static void check_all(struct reference *reference)
{
    json_t *results = get(reference->root, "results"), *entry;
    size_t i;
    json_array_foreach(results, i, entry)
    {
        uint32_t steps = (uint32_t)json_integer_value(get(entry, "inner_steps"));
        json_t *per_task = get(entry, "per_task"), *expected;
        size_t t;
        json_array_foreach(per_task, t, expected)
        {
            json_t *task = json_array_get(get(reference->root, "tasks"), t);
            check_rule(reference, MN_META_MAML, 2, "maml", steps, task, get(expected, "maml"));
            check_rule(reference, MN_META_MAML, 1, "fomaml", steps, task, get(expected, "fomaml"));
            check_rule(reference, MN_META_ANIL, 2, "anil", steps, task, get(expected, "anil"));
            check_rule(reference, MN_META_META_SGD, 2, "metasgd", steps, task,
                       get(expected, "metasgd"));
            check_rule(reference, MN_META_REPTILE, 2, "reptile", steps, task,
                       get(expected, "reptile"));
        }
        assert_true(t > 0);
    }
    assert_true(i > 0);
    close_reference(reference);
}

static void mlp_agrees_with_pytorch(void **state)
{
    (void)state;
    mn_experiment experiment = {
        .model = {.input = MN_INPUT_MLP, .hidden = {.n = 2, .at = {8, 8}}, .activation = MN_TANH}};
    const uint32_t number[3] = {1, 1, 1};
    check_all(open_reference("mlp_tanh.json", &experiment, number, MN_TARGET_VALUES, 1));
}

static void strided_convolutions_agree_with_pytorch(void **state)
{
    (void)state;
    mn_experiment experiment = {.model = {.input = MN_INPUT_CONV4,
                                          .filters = 4,
                                          .blocks = 2,
                                          .downsampling = MN_DOWN_STRIDE,
                                          .readout = MN_READOUT_MEAN,
                                          .batch_norm = true,
                                          .batch_norm_eps = 1e-5}};
    const uint32_t image[3] = {8, 8, 1};
    check_all(open_reference("conv_stride_mean.json", &experiment, image, MN_TARGET_CLASSES, 3));
}

static void max_pooled_convolutions_agree_with_pytorch(void **state)
{
    (void)state;
    mn_experiment experiment = {.model = {.input = MN_INPUT_CONV4,
                                          .filters = 4,
                                          .blocks = 2,
                                          .downsampling = MN_DOWN_MAX_POOL,
                                          .readout = MN_READOUT_FLATTEN,
                                          .batch_norm = true,
                                          .batch_norm_eps = 1e-5}};
    const uint32_t image[3] = {8, 8, 1};
    check_all(
        open_reference("conv_maxpool_flatten.json", &experiment, image, MN_TARGET_CLASSES, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlp_agrees_with_pytorch),
        cmocka_unit_test(strided_convolutions_agree_with_pytorch),
        cmocka_unit_test(max_pooled_convolutions_agree_with_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
