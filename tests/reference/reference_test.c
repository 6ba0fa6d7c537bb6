/* reference_test.c: losses, adapted weights, outputs and meta-gradients against PyTorch in float64.
 * Built twice: with the engine in double every number must agree to 1e-9 of its tensor's largest
 * entry (with a floor of 1e-12, for gradients that are zero up to rounding), in float32 to 2e-4
 * (floor 2e-5). */
#include "worker/learner/rules/rule.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef MN_DOUBLE
#define RELATIVE 1e-9
#define FLOOR 1e-12
#else
#define RELATIVE 2e-4
#define FLOOR 2e-5
#endif

struct reference {
    json_t *root;
    mn_network network;
    mn_experiment experiment;
    uint32_t n_support, n_query;
    mn_real *theta, *rates; /* [size], inside layout */
    const char *tensor_names[MN_MAX_PARAMETERS];
};

static json_t *get(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        fail_msg("the reference file lacks \"%s\"", key);
    return value;
}

static json_t *data_of(json_t *tensor)
{
    return json_is_array(tensor) ? tensor : get(tensor, "data");
}

static json_t *load(const char *name)
{
    const char *folder = getenv("MNEMO_REFERENCE");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : MN_REFERENCE_FOLDER, name);
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        print_message("skipped: %s: %s (set MNEMO_REFERENCE)\n", path, error.text);
        skip();
    }
    return root;
}

static mn_real *numbers(json_t *tensor)
{
    json_t *data = data_of(tensor);
    size_t n = json_array_size(data);
    mn_real *values = calloc(n + 1, sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++)
        values[i] = (mn_real)json_number_value(json_array_get(data, i));
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
        json_t *data = data_of(get(tensors, reference->tensor_names[i]));
        assert_int_equal(json_array_size(data), list->at[i].count);
        for (size_t k = 0; k < list->at[i].count; k++)
            outside[list->at[i].offset + k] = (mn_real)json_number_value(json_array_get(data, k));
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
                                        const mn_task_shape *shape)
{
    json_t *root = load(file); /* before anything is owned: it may leave for good */
    struct reference *reference = calloc(1, sizeof *reference);
    assert_non_null(reference);
    reference->root = root;
    reference->experiment = *experiment;
    mn_error err;
    assert_int_equal(mn_network_init(&reference->network, experiment, shape, &err), MN_OK);
    json_t *order = get(reference->root, "parameter_order");
    assert_int_equal(json_array_size(order), reference->network.parameters.n);
    for (size_t i = 0; i < json_array_size(order); i++)
        reference->tensor_names[i] = json_string_value(json_array_get(order, i));
    reference->theta = vector_of(reference, get(reference->root, "parameters"));
    reference->rates = vector_of(reference, get(reference->root, "metasgd_alpha"));
    json_t *task = json_array_get(get(reference->root, "tasks"), 0);
    reference->n_support = rows_of(get(task, "support_x"));
    reference->n_query = rows_of(get(task, "query_x"));
    return reference;
}

static void close_reference(struct reference *reference)
{
    json_decref(reference->root);
    free(reference->theta);
    free(reference->rates);
    free(reference);
}

static void expect_near(const char *what, size_t n, const mn_real *got, const mn_real *expected)
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
        if (adapted_only && i < reference->network.first_output)
            continue;
        char name[128];
        (void)snprintf(name, sizeof name, "%s %s", what, list->at[i].tensor.name);
        expect_near(name, list->at[i].count, got + list->at[i].offset,
                    expected + list->at[i].offset);
    }
    free(expected);
}

static void expect_number(const char *what, double got, double expected)
{
    mn_real a = (mn_real)got, b = (mn_real)expected;
    expect_near(what, 1, &a, &b);
}

/* Labels become one-hot rows; images are stored as planes and become channels-last (one channel:
 * the same). */
static mn_real *targets(const struct reference *reference, json_t *tensor)
{
    mn_real *raw = numbers(tensor);
    if (reference->network.target == MN_TARGET_VALUES)
        return raw;
    size_t n = json_array_size(data_of(tensor)), ways = reference->network.y_size;
    mn_real *rows = calloc(n * ways, sizeof *rows);
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++)
        rows[i * ways + (size_t)raw[i]] = 1;
    free(raw);
    return rows;
}

/* The meta-gradient of no inner step, judged on the support set. */
static void check_support_gradient(const struct reference *reference, const mn_meta_data *task,
                                   json_t *expected)
{
    mn_meta_rule rule = {.kind = MN_META_MAML, .order = 2, .steps = 0};
    mn_meta *meta = NULL;
    mn_error err;
    assert_int_equal(mn_meta_new(&reference->network, &rule, reference->n_support,
                                 reference->n_support, true, mn_kernels_choose(), &meta, &err),
                     MN_OK);
    void *scratch = aligned_alloc(64, mn_meta_scratch_bytes(meta));
    mn_real *gradient = calloc(reference->network.parameters.size, sizeof *gradient);
    mn_real *output =
        calloc((size_t)reference->n_support * reference->network.y_size, sizeof *output);
    assert_non_null(scratch);
    assert_non_null(gradient);
    assert_non_null(output);
    mn_meta_data data = {.support_x = task->support_x,
                         .support_y = task->support_y,
                         .query_x = task->support_x,
                         .query_y = task->support_y};
    (void)mn_meta_gradient(meta, scratch, reference->theta, &data, gradient, output);
    expect_vector(reference, "support gradient", gradient, expected, false);
    free(output);
    free(gradient);
    free(scratch);
    mn_meta_destroy(&meta);
}

static void check_rule(const struct reference *reference, mn_meta_kind kind, uint32_t order,
                       const char *name, uint32_t steps, json_t *task, json_t *expected)
{
    mn_meta_rule rule = {.kind = kind,
                         .order = order,
                         .steps = steps,
                         .inner_lr = json_number_value(get(reference->root, "inner_lr"))};
    mn_meta *meta = NULL;
    mn_error err;
    assert_int_equal(mn_meta_new(&reference->network, &rule, reference->n_support,
                                 reference->n_query, true, mn_kernels_choose(), &meta, &err),
                     MN_OK);
    size_t size = reference->network.parameters.size;
    size_t n_output = (size_t)reference->n_query * reference->network.y_size;
    void *scratch = aligned_alloc(64, mn_meta_scratch_bytes(meta));
    mn_real *theta = calloc(2 * size, sizeof *theta), *gradient = calloc(2 * size, sizeof *theta);
    mn_real *output = calloc(n_output, sizeof *output);
    assert_non_null(scratch);
    assert_non_null(theta);
    assert_non_null(gradient);
    assert_non_null(output);
    memset(scratch, 0xff,
           mn_meta_scratch_bytes(meta)); /* NaNs: nothing may be read before it is written */
    memcpy(theta, reference->theta, size * sizeof *theta);
    memcpy(theta + size, reference->rates, size * sizeof *theta);
    mn_meta_data data = {.support_x = numbers(get(task, "support_x")),
                         .support_y = targets(reference, get(task, "support_y")),
                         .query_x = numbers(get(task, "query_x")),
                         .query_y = targets(reference, get(task, "query_y"))};
    print_message("  %s, %u inner steps\n", name, steps);

    mn_meta_losses losses = mn_meta_gradient(meta, scratch, theta, &data, gradient, output);
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
        expect_near("query output", n_output, output, expected_output);
        free(expected_output);

        mn_meta_begin(meta, scratch, theta, &data);
        expect_number("query loss before", mn_meta_judge(meta, scratch, theta, &data, output),
                      json_number_value(get(expected, "query_loss_before")));
        if (json_object_get(expected, "support_grad_before") != NULL)
            check_support_gradient(reference, &data, get(expected, "support_grad_before"));
        for (uint32_t k = 0; k < steps; k++) {
            double loss = mn_meta_step(meta, scratch, theta, &data);
            expect_number("support loss on the way", loss,
                          json_number_value(json_array_get(support_losses, k)));
        }
        expect_number("support loss after", mn_meta_support(meta, scratch, &data),
                      json_number_value(json_array_get(support_losses, steps)));
        mn_meta_adapted(meta, scratch, theta, gradient);
        expect_vector(reference, "adapted", gradient, get(expected, "adapted"),
                      kind == MN_META_ANIL);
    }

    free((void *)(uintptr_t)data.support_x);
    free((void *)(uintptr_t)data.support_y);
    free((void *)(uintptr_t)data.query_x);
    free((void *)(uintptr_t)data.query_y);
    free(output);
    free(gradient);
    free(theta);
    free(scratch);
    mn_meta_destroy(&meta);
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
    mn_task_shape shape = {5, 5, 1, 1, 1, 1, MN_TARGET_VALUES};
    check_all(open_reference("mlp_tanh.json", &experiment, &shape));
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
    mn_task_shape shape = {3, 6, 8, 8, 1, 3, MN_TARGET_CLASSES};
    check_all(open_reference("conv_stride_mean.json", &experiment, &shape));
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
    mn_task_shape shape = {3, 6, 8, 8, 1, 3, MN_TARGET_CLASSES};
    check_all(open_reference("conv_maxpool_flatten.json", &experiment, &shape));
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
