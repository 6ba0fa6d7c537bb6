#include "worker/learner/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_experiment mlp(bool batch_norm)
{
    return (mn_experiment){.model = {.input = MN_INPUT_MLP,
                                     .hidden = {.n = 2, .at = {7, 5}},
                                     .activation = MN_TANH,
                                     .batch_norm = batch_norm,
                                     .batch_norm_eps = 1e-5}};
}

static mn_experiment conv(bool flatten)
{
    return (mn_experiment){.model = {.input = MN_INPUT_CONV4,
                                     .filters = 4,
                                     .blocks = 2,
                                     .downsampling = flatten ? MN_DOWN_MAX_POOL : MN_DOWN_STRIDE,
                                     .readout = flatten ? MN_READOUT_FLATTEN : MN_READOUT_MEAN,
                                     .batch_norm = true,
                                     .batch_norm_eps = 1e-5}};
}

static mn_fields images(uint32_t side, uint32_t way, uint32_t n_query)
{
    const uint32_t item[3] = {side, side, 1};
    mn_fields fields;
    assert_int_equal(mn_fields_few_shot(&fields, way, n_query, item, MN_TARGET_CLASSES, way, NULL),
                     MN_OK);
    return fields;
}

/* Heap, for a network is large. */
static mn_network *network_of(const mn_experiment *experiment, const mn_fields *fields)
{
    mn_network *network = malloc(sizeof *network);
    mn_error err = {.message = ""};
    assert_non_null(network);
    if (mn_network_init(network, experiment, fields, &err) != MN_OK)
        fail_msg("%s", err.message);
    return network;
}

static void check_tensors(const mn_experiment *experiment, uint32_t n, const char *const names[],
                          size_t size)
{
    const mn_fields fields = images(8, 3, 6);
    mn_network *network = network_of(experiment, &fields);
    assert_int_equal(network->parameters.n, n);
    for (uint32_t i = 0; i < n; i++)
        assert_string_equal(network->parameters.at[i].tensor.name, names[i]);
    assert_int_equal(network->parameters.size, size);
    assert_int_equal(network->first[MN_MODULE_INPUT], 0);
    assert_int_equal(network->first[MN_MODULE_MEMORY], n - 2);
    assert_int_equal(network->first[MN_MODULE_REASONING], n - 2);
    assert_int_equal(network->first[MN_MODULE_OUTPUT], n - 2);
    assert_int_equal(network->first[MN_N_MODULES], n);
    assert_true(network->is_plain);
    free(network);
}

static void a_network_declares_each_tensor_once_module_by_module(void **state)
{
    (void)state;
    const char *const plain[] = {"fc1.weight", "fc1.bias",    "fc2.weight",
                                 "fc2.bias",   "head.weight", "head.bias"};
    const char *const linear[] = {"input.weight", "input.bias", "head.weight", "head.bias"};
    const char *const norm[] = {"fc1.weight",  "fc1.bias", "bn1.weight", "bn1.bias",
                                "fc2.weight",  "fc2.bias", "bn2.weight", "bn2.bias",
                                "head.weight", "head.bias"};
    const char *const blocks[] = {"conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias",
                                  "conv2.weight", "conv2.bias", "bn2.weight", "bn2.bias",
                                  "head.weight",  "head.bias"};
    mn_experiment e = mlp(false);
    check_tensors(&e, 6, plain, 64 * 7 + 7 + 7 * 5 + 5 + 5 * 3 + 3);
    e.model.input = MN_INPUT_LINEAR;
    e.model.width = 6;
    check_tensors(&e, 4, linear, 64 * 6 + 6 + 6 * 3 + 3);
    e = mlp(true);
    check_tensors(&e, 10, norm, 64 * 7 + 3 * 7 + 7 * 5 + 3 * 5 + 5 * 3 + 3);
    e = conv(false);
    check_tensors(&e, 10, blocks, 9 * 4 + 3 * 4 + 9 * 4 * 4 + 3 * 4 + 4 * 3 + 3);
    e = conv(true); /* 2 x 2 pixels are left */
    check_tensors(&e, 10, blocks, 9 * 4 + 3 * 4 + 9 * 4 * 4 + 3 * 4 + 16 * 3 + 3);
    e.model.readout = MN_READOUT_BLOCKS; /* four means of each of two blocks */
    check_tensors(&e, 10, blocks, 9 * 4 + 3 * 4 + 9 * 4 * 4 + 3 * 4 + 8 * 3 + 3);
}

/* Build for tasks of these fields what was declared for others. */
static void check_building(const mn_network *network, const mn_fields *fields)
{
    const mn_parameters *list = &network->parameters;
    mn_parameters *before = malloc(sizeof *before);
    mn_graph graph;
    mn_builder *builder = malloc(sizeof *builder);
    mn_error err = {.message = ""};
    assert_non_null(before);
    assert_non_null(builder);
    *before = *list;
    mn_network_begin(network, fields, &graph, builder);
    builder->err = &err;
    for (uint32_t i = 0; i < list->n; i++)
        builder->tensors[i] =
            mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    for (mn_role role = MN_SUPPORT; role <= MN_QUERY; role++) {
        mn_network_answer(network, builder, role);
        (void)mn_network_loss(network, builder, role);
        mn_extent y = mn_builder_extent(builder, builder->flow.y[role]);
        assert_int_equal(y.n, mn_fields_find(fields, role, "y")->n);
        assert_int_equal((size_t)y.h * y.w * y.c, fields->y_size);
    }
    if (builder->status != MN_OK)
        fail_msg("%s", err.message);
    assert_false(graph.failed);
    assert_memory_equal(list, before, sizeof *before);
    mn_graph_fini(&graph);
    free(builder);
    free(before);
}

static void declaring_and_building_agree(void **state)
{
    (void)state;
    mn_experiment all[] = {mlp(false), mlp(true), conv(false), conv(true)};
    const mn_fields train = images(8, 3, 6), test = images(8, 3, 45);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        mn_network *network = network_of(&all[i], &train), *other = network_of(&all[i], &test);
        check_building(network, &train);
        check_building(network, &test);
        assert_memory_equal(&network->parameters, &other->parameters, sizeof other->parameters);
        assert_int_equal(mn_network_fits(network, &test, NULL), MN_OK);
        free(other);
        free(network);
    }
}

static void work_grows_with_the_items_and_the_outputs_share_is_its_own(void **state)
{
    (void)state;
    mn_experiment e = mlp(false);
    const mn_fields fields = images(8, 3, 6);
    mn_network *network = network_of(&e, &fields);
    double output;
    const double item = 64 * 7 + 7 * 5 + 5 * 3;
    assert_true(mn_network_macs(network, &fields, MN_SUPPORT, &output) == 3 * item);
    assert_true(output == 3 * 5 * 3);
    assert_true(mn_network_macs(network, &fields, MN_QUERY, NULL) == 6 * item);
    free(network);
}

static void assert_refused(const mn_experiment *experiment, const mn_fields *fields,
                           const char *because)
{
    mn_network *network = malloc(sizeof *network);
    mn_error err = {.message = ""};
    assert_non_null(network);
    assert_int_equal(mn_network_init(network, experiment, fields, &err), MN_ERR_CONFIG);
    assert_string_equal(err.message, because);
    free(network);
}

static void a_part_that_reads_what_tasks_lack_is_refused_by_name(void **state)
{
    (void)state;
    const uint32_t one[3] = {1, 1, 1}, classes[3] = {1, 1, 3};
    mn_experiment layers = mlp(false), blocks = conv(false);
    mn_fields fields;
    mn_fields_init(&fields, MN_TARGET_CLASSES, 3);
    assert_int_equal(mn_fields_add(&fields, MN_SHARED, "words", MN_FIELD_IDS, 9, one, NULL), MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, 2, classes, NULL),
                     MN_OK);
    assert_refused(&layers, &fields,
                   "model.input mlp reads query.x, which these tasks do not have: choose another "
                   "part, or other tasks (tasks.kind)");
    assert_refused(&blocks, &fields,
                   "model.input conv4 reads query.x, which these tasks do not have: choose another "
                   "part, or other tasks (tasks.kind)");
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "x", MN_FIELD_NUMBERS, 2, one, NULL), MN_OK);
    free(network_of(&layers, &fields)); /* a support set is not needed */
    assert_int_equal(mn_fields_add(&fields, MN_SUPPORT, "y", MN_FIELD_NUMBERS, 2, classes, NULL),
                     MN_OK);
    assert_refused(&layers, &fields,
                   "model.input mlp reads support.x, which these tasks do not have: choose another "
                   "part, or other tasks (tasks.kind)");
}

static void too_many_blocks_for_the_image_are_refused_with_the_sizes(void **state)
{
    (void)state;
    mn_experiment e = conv(true);
    const mn_fields fields = images(8, 3, 6);
    e.model.blocks = 4;
    assert_refused(&e, &fields,
                   "model.blocks: 4 is too many: the image of 8 x 8 is down to 1 x 1 before "
                   "max-pool 4; use fewer blocks or model.downsampling: stride");
    e.model.downsampling = MN_DOWN_STRIDE;
    free(network_of(&e, &fields));
}

static void assert_misfit(const mn_experiment *experiment, const mn_fields *fields,
                          const char *tensor)
{
    const mn_fields train = images(8, 3, 6);
    mn_network *network = network_of(experiment, &train);
    mn_error err = {.message = ""};
    char start[160];
    (void)snprintf(start, sizeof start,
                   "tensor %s would be of another shape for these tasks than for training tasks",
                   tensor);
    assert_int_equal(mn_network_fits(network, fields, &err), MN_ERR_CONFIG);
    if (strncmp(err.message, start, strlen(start)) != 0)
        fail_msg("\"%s\" does not begin \"%s\"", err.message, start);
    assert_non_null(strstr(err.message, "evaluate.way must be tasks.way"));
    free(network);
}

static void tasks_that_would_give_other_tensors_are_refused_by_the_tensors_name(void **state)
{
    (void)state;
    mn_experiment layers = mlp(false), mean = conv(false), flat = conv(true);
    const mn_fields more_classes = images(8, 5, 5), larger = images(12, 3, 6);
    assert_misfit(&layers, &more_classes, "head.weight"); /* a row of the head for each class */
    assert_misfit(&mean, &more_classes, "head.weight");
    assert_misfit(&flat, &more_classes, "head.weight");
    assert_misfit(&layers, &larger, "fc1.weight");
    assert_misfit(&flat, &larger, "head.weight");

    const mn_fields train = images(8, 3, 6);
    mn_network *network = network_of(&mean, &train); /* the mean has no pixels left */
    assert_int_equal(mn_network_fits(network, &larger, NULL), MN_OK);
    free(network);
}

/* A network that declares, with nothing in it; all are the caller's. */
static mn_builder *begin_declaring(const mn_experiment *e, const mn_fields *fields,
                                   mn_network **network, mn_graph *graph, mn_error *err)
{
    mn_builder *builder = malloc(sizeof *builder);
    *network = calloc(1, sizeof **network);
    assert_non_null(*network);
    assert_non_null(builder);
    (*network)->experiment = e;
    mn_network_begin(*network, fields, graph, builder);
    builder->declared = &(*network)->parameters;
    builder->err = err;
    return builder;
}

/* While declaring, as two parts would. */
static void a_tensor_that_two_parts_name_is_one_if_they_want_one_shape(void **state)
{
    (void)state;
    const mn_experiment e = mlp(false);
    const mn_fields fields = images(8, 3, 6);
    mn_network *network = NULL;
    mn_graph graph;
    mn_error err = {.message = ""};
    mn_builder *builder = begin_declaring(&e, &fields, &network, &graph, &err);

    mn_node words = mn_builder_table(builder, "words", 20, 6, MN_START_NORMAL, 0.1);
    mn_node bias = mn_builder_vector(builder, "bias", 6, MN_START_ZERO);
    assert_int_equal(mn_builder_table(builder, "words", 20, 6, MN_START_NORMAL, 0.1), words);
    assert_int_equal(mn_builder_vector(builder, "bias", 6, MN_START_ZERO), bias);
    assert_int_not_equal(words, bias);
    assert_int_equal(network->parameters.n, 2);
    assert_int_equal(network->parameters.size, 20 * 6 + 6);
    assert_int_equal(builder->status, MN_OK);

    (void)mn_builder_table(builder, "words", 20, 7, MN_START_NORMAL, 0.1);
    assert_int_equal(builder->status, MN_ERR_CONFIG);
    assert_string_equal(err.message,
                        "two parts of the model share the tensor words, but want it in two shapes");
    (void)mn_builder_vector(builder, "bias", 5, MN_START_ZERO); /* the first failure is told */
    assert_non_null(strstr(err.message, "tensor words"));
    assert_int_equal(network->parameters.n, 2);
    mn_graph_fini(&graph);
    free(builder);
    free(network);
}

/* The walk that declares and the one that builds may differ where options lead them. */
static void a_tensor_that_was_not_declared_is_refused_by_name(void **state)
{
    (void)state;
    const mn_experiment e = mlp(false);
    const mn_fields fields = images(8, 3, 6);
    mn_network *network = network_of(&e, &fields);
    mn_builder *builder = malloc(sizeof *builder);
    mn_graph graph;
    mn_error err = {.message = ""};
    assert_non_null(builder);
    mn_network_begin(network, &fields, &graph, builder);
    builder->err = &err;
    const mn_node node = mn_builder_vector(builder, "late", 5, MN_START_ZERO);
    assert_int_equal(mn_builder_extent(builder, node).c, 5); /* who goes on with it does no harm */
    assert_int_equal(builder->status, MN_ERR_CONFIG);
    assert_string_equal(err.message,
                        "the model's tensor late is used by these tasks, but not made for training "
                        "tasks: do both have a support set (tasks.shot)?");
    mn_graph_fini(&graph);
    free(builder);
    free(network);
}

static void a_memory_that_the_support_set_writes_is_refused_where_there_is_none(void **state)
{
    (void)state;
    const uint32_t one[3] = {1, 1, 1}, classes[3] = {1, 1, 3};
    static const struct {
        mn_memory_kind kind;
        const char *name;
    } memories[] = {{MN_MEMORY_MEAN, "mean"},
                    {MN_MEMORY_SUPPORT, "support"},
                    {MN_MEMORY_CLASS_MEANS, "class-means"}};
    mn_fields fields;
    mn_fields_init(&fields, MN_TARGET_CLASSES, 3);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "x", MN_FIELD_NUMBERS, 2, one, NULL), MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, 2, classes, NULL),
                     MN_OK);
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
        char because[256];
        mn_experiment e = mlp(false);
        e.model.memory = memories[i].kind;
        e.model.reasoning = MN_REASONING_CONCAT_LINEAR;
        e.model.units = 4;
        e.model.encoder = (mn_uint_list){.n = 1, .at = {4}};
        (void)snprintf(because, sizeof because,
                       "model.memory %s is written by the support set, which these tasks do not "
                       "have: give them one (tasks.shot), or choose another model.memory",
                       memories[i].name);
        assert_refused(&e, &fields, because);
    }
}

static void an_output_that_compares_with_another_memory_is_refused(void **state)
{
    (void)state;
    const mn_fields fields = images(4, 3, 6);
    mn_experiment e = mlp(false);
    e.model.output = MN_OUTPUT_DISTANCE;
    e.model.memory = MN_MEMORY_SUPPORT;
    assert_refused(
        &e, &fields,
        "model.output distance compares with class means, or with vectors of classes that "
        "are described: it needs model.memory class-means or descriptions");
    e.model.output = MN_OUTPUT_MATCH;
    e.model.memory = MN_MEMORY_CLASS_MEANS;
    assert_refused(&e, &fields,
                   "model.output match compares with support items: it needs model.memory support");
}

static void more_tensors_than_the_list_holds_are_refused(void **state)
{
    (void)state;
    const mn_experiment e = mlp(false);
    const mn_fields fields = images(8, 3, 6);
    mn_network *network = NULL;
    mn_graph graph;
    mn_error err = {.message = ""};
    mn_builder *builder = begin_declaring(&e, &fields, &network, &graph, &err);
    for (int i = 0; i <= MN_MAX_PARAMETERS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "v%d", i);
        assert_int_equal(builder->status, MN_OK);
        (void)mn_builder_vector(builder, name, 1, MN_START_ZERO);
    }
    assert_int_equal(builder->status, MN_ERR_CONFIG);
    assert_string_equal(err.message,
                        "model: more than 320 tensors of parameters; use fewer layers");
    assert_int_equal(network->parameters.n, MN_MAX_PARAMETERS);
    mn_graph_fini(&graph);
    free(builder);
    free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_declares_each_tensor_once_module_by_module),
        cmocka_unit_test(declaring_and_building_agree),
        cmocka_unit_test(work_grows_with_the_items_and_the_outputs_share_is_its_own),
        cmocka_unit_test(a_part_that_reads_what_tasks_lack_is_refused_by_name),
        cmocka_unit_test(too_many_blocks_for_the_image_are_refused_with_the_sizes),
        cmocka_unit_test(tasks_that_would_give_other_tensors_are_refused_by_the_tensors_name),
        cmocka_unit_test(a_tensor_that_two_parts_name_is_one_if_they_want_one_shape),
        cmocka_unit_test(a_tensor_that_was_not_declared_is_refused_by_name),
        cmocka_unit_test(a_memory_that_the_support_set_writes_is_refused_where_there_is_none),
        cmocka_unit_test(an_output_that_compares_with_another_memory_is_refused),
        cmocka_unit_test(more_tensors_than_the_list_holds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
