/* learner_bed.h: whole learners against a file of PyTorch's numbers in float64: support losses on the
 * way, query loss, answers and all of the meta-gradient of each case. */
#pragma once

#include "tests/reference/numbers.h"
#include "worker/learner/rules/rule.h"

#include <string.h>

struct learner {
    const char *name;         /* of its case */
    mn_experiment experiment; /* inner steps are as many as the file has support losses */
};

struct bed {
    mn_experiment experiment;
    mn_fields fields;
    mn_network network;
    mn_rule *rule;
    void *scratch;
    mn_real *theta, *gradient, *outside, *block, *output;
    mn_rule_data data;
};

static inline uint32_t size_at(json_t *tensor, size_t i)
{
    json_t *shape = get(tensor, "shape");
    return i < json_array_size(shape) ? (uint32_t)json_integer_value(json_array_get(shape, i)) : 1;
}

static inline mn_real *numbers_like(size_t n)
{
    mn_real *numbers = calloc(n, sizeof *numbers);
    assert_non_null(numbers);
    return numbers;
}

/* One channel, so that images are the same channels first and last. */
static inline void read_task(struct bed *bed, json_t *task)
{
    static const char *const names[MN_N_FEW_SHOT] = {[MN_SUPPORT_X] = "support.x",
                                                     [MN_SUPPORT_Y] = "support.y",
                                                     [MN_QUERY_X] = "query.x",
                                                     [MN_QUERY_Y] = "query.y"};
    json_t *x = get(task, "support.x"), *y = get(task, "support.y");
    const bool image = json_array_size(get(x, "shape")) == 4;
    const uint32_t item[3] = {image ? size_at(x, 2) : 1, image ? size_at(x, 3) : 1, size_at(x, 1)};
    const mn_target target = size_at(y, 1) > 1 ? MN_TARGET_CLASSES : MN_TARGET_VALUES;
    assert_int_equal(mn_fields_few_shot(&bed->fields, size_at(x, 0),
                                        size_at(get(task, "query.x"), 0), item, target,
                                        size_at(y, 1), NULL),
                     MN_OK);
    bed->block = numbers_like(bed->fields.size);
    for (size_t i = 0; i < MN_N_FEW_SHOT; i++)
        read_numbers(get(task, names[i]), bed->block + bed->fields.at[i].offset);
    bed->data.task = bed->block;
}

static inline void make_learner(struct bed *bed, uint32_t steps)
{
    mn_error err = {0};
    bed->experiment.meta.inner_steps = steps;
    if (mn_network_init(&bed->network, &bed->experiment, &bed->fields, &err) != MN_OK ||
        mn_rule_declare(&bed->network, &err) != MN_OK)
        fail_msg("%s", err.message);
    const mn_rule_order order = {.network = &bed->network,
                                 .fields = &bed->fields,
                                 .kernels = mn_kernels_choose(),
                                 .differentiate = true};
    if (mn_rule_new(&order, &bed->rule, &err) != MN_OK)
        fail_msg("%s", err.message);
    const size_t n = bed->network.parameters.size;
    bed->theta = numbers_like(n);
    bed->gradient = numbers_like(n);
    bed->outside = numbers_like(n);
    bed->output = numbers_like(mn_field_count(mn_fields_find(&bed->fields, MN_QUERY, "y")));
    bed->scratch = aligned_alloc(64, mn_rule_scratch_bytes(bed->rule));
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff, mn_rule_scratch_bytes(bed->rule)); /* NaNs */
}

static inline void free_bed(struct bed *bed)
{
    mn_rule_destroy(&bed->rule);
    free(bed->theta);
    free(bed->gradient);
    free(bed->outside);
    free(bed->output);
    free(bed->block);
    free(bed->scratch);
    free(bed);
}

/* Tensor by tensor, by name; all are there. */
static inline void read_theta(struct bed *bed, json_t *tensors)
{
    const mn_parameters *list = &bed->network.parameters;
    assert_int_equal(json_object_size(tensors), list->n);
    for (uint32_t i = 0; i < list->n; i++) {
        json_t *tensor = get(tensors, list->at[i].tensor.name);
        assert_int_equal(count_of(tensor), list->at[i].count);
        for (uint32_t k = 0; k < list->at[i].tensor.rank; k++)
            assert_int_equal(size_at(tensor, k), list->at[i].tensor.shape[k]);
        read_numbers(tensor, bed->outside + list->at[i].offset);
    }
    mn_parameters_import(list, bed->outside, bed->theta);
}

static inline void expect_gradient(struct bed *bed, json_t *tensors)
{
    const mn_parameters *list = &bed->network.parameters;
    mn_parameters_export(list, bed->gradient, bed->outside);
    for (uint32_t i = 0; i < list->n; i++)
        expect_near(list->at[i].tensor.name, list->at[i].count, bed->outside + list->at[i].offset,
                    get(tensors, list->at[i].tensor.name));
}

static inline void expect_number(const char *what, double ours, json_t *theirs)
{
    const double value = json_number_value(theirs);
    if (!(fabs(ours - value) <= RELATIVE * fabs(value) + FLOOR))
        fail_msg("%s is %.17g, expected %.17g", what, ours, value);
}

static inline void check(struct bed *bed, json_t *expected)
{
    const mn_rule *rule = bed->rule;
    json_t *support = get(expected, "support_losses");
    const size_t steps = json_array_size(support);
    const mn_rule_losses losses =
        mn_rule_gradient(rule, bed->scratch, bed->theta, &bed->data, bed->gradient, bed->output);
    expect_number("query loss", losses.query, get(expected, "query_loss"));
    expect_near("query output", mn_field_count(&bed->fields.at[MN_QUERY_Y]), bed->output,
                get(expected, "query_output"));
    expect_gradient(bed, get(expected, "gradient"));

    mn_rule_begin(rule, bed->scratch, bed->theta, &bed->data);
    for (size_t k = 0; k < steps; k++)
        expect_number("support loss", mn_rule_step(rule, bed->scratch, bed->theta, &bed->data),
                      json_array_get(support, k));
    expect_number("query loss in a test",
                  mn_rule_judge(rule, bed->scratch, bed->theta, &bed->data, bed->output),
                  get(expected, "query_loss"));
}

/* Case by case, in the order of the file, as if at this meta-step. */
static inline void check_learners(const char *file, uint64_t meta_step, size_t n,
                                  const struct learner *learners)
{
    json_t *root = load_own(file);
    assert_int_equal(json_array_size(get(root, "cases")), n);
    for (size_t i = 0; i < n; i++) {
        json_t *expected = json_array_get(get(root, "cases"), i);
        struct bed *bed = calloc(1, sizeof *bed);
        assert_non_null(bed);
        assert_string_equal(json_string_value(get(expected, "name")), learners[i].name);
        print_message("  %s\n", learners[i].name);
        bed->experiment = learners[i].experiment;
        bed->data.meta_step = meta_step;
        read_task(bed, get(expected, "task"));
        make_learner(bed, (uint32_t)json_array_size(get(expected, "support_losses")));
        read_theta(bed, get(expected, "parameters"));
        check(bed, expected);
        free_bed(bed);
    }
    json_decref(root);
}
