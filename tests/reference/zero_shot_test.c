/* zero_shot_test.c: learners of classes that attributes describe against PyTorch in float64
 * (make_zero_shot.py): answers, loss and all gradients. Built twice, as reference_test.c. */
#include "tests/reference/episode.h"

#define MAX_NUMBERS 1024

struct bed {
    mn_experiment experiment;
    mn_fields fields;
    mn_network network;
    mn_real block[MAX_NUMBERS], theta[MAX_NUMBERS], output[MAX_NUMBERS], gradient[MAX_NUMBERS];
};

static bool is(json_t *one, const char *key, const char *value)
{
    return strcmp(json_string_value(get(one, key)), value) == 0;
}

static void make_fields(struct bed *bed, json_t *root, json_t *task)
{
    const uint32_t way = whole(root, "way");
    const uint32_t x[3] = {1, 1, whole(root, "x")}, y[3] = {1, 1, way}, number[3] = {1, 1, 1};
    const uint32_t attributes[3] = {1, 1, whole(root, "attributes")};
    const uint32_t n_support = whole(root, "support"), n_query = whole(root, "query");
    const struct {
        const char *key;
        mn_role role;
        const char *name;
        uint32_t n;
        const uint32_t *item;
    } rows[] = {
        {"support.x", MN_SUPPORT, "x", n_support, x},
        {"support.y", MN_SUPPORT, "y", n_support, y},
        {"query.x", MN_QUERY, "x", n_query, x},
        {"query.y", MN_QUERY, "y", n_query, y},
        {"query.candidates", MN_QUERY, "candidates", n_query, y},
        {"shared.description", MN_SHARED, "description", way, attributes},
        {"shared.seen", MN_SHARED, "seen", way, number},
    };
    mn_fields_init(&bed->fields, MN_TARGET_CLASSES, way);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(mn_fields_add(&bed->fields, rows[i].role, rows[i].name, MN_FIELD_NUMBERS,
                                       rows[i].n, rows[i].item, NULL),
                         MN_OK);
        assert_true(bed->fields.size <= MAX_NUMBERS);
        assert_int_equal(count_of(get(task, rows[i].key)), mn_field_count(&bed->fields.at[i]));
        read_numbers(get(task, rows[i].key), bed->block + bed->fields.at[i].offset);
    }
}

static void open_bed(struct bed *bed, json_t *root, json_t *one)
{
    static mn_real outside[MAX_NUMBERS];
    memset(bed, 0, sizeof *bed);
    bed->experiment = (mn_experiment){
        .meta = {.kind = MN_META_EPISODIC},
        .model = {.input = MN_INPUT_MLP,
                  .hidden = {.n = 1, .at = {whole(root, "hidden")}},
                  .activation = MN_TANH,
                  .memory = is(one, "memory", "ridge") ? MN_MEMORY_RIDGE : MN_MEMORY_DESCRIPTIONS,
                  .output =
                      is(one, "output", "distance") ? MN_OUTPUT_DISTANCE : MN_OUTPUT_COMPATIBILITY,
                  .describer = {.n = 1, .at = {whole(root, "describer")}},
                  .ridge_gamma = json_number_value(get(root, "gamma")),
                  .ridge_lambda = json_number_value(get(root, "lambda")),
                  .scale = json_number_value(get(root, "scale")),
                  .calibration = json_number_value(get(root, "calibration"))}};
    make_fields(bed, root, get(one, "task"));
    begin_network(&bed->network, &bed->experiment, &bed->fields, one, MAX_NUMBERS, outside,
                  bed->theta);
}

static void check_case(struct bed *bed, json_t *one)
{
    static mn_builder builder;
    static mn_real outside[MAX_NUMBERS];
    size_t at[MN_MAX_SHOWN + 1];
    mn_graph graph;
    const double loss = run_episode(&bed->network, &bed->fields, bed->theta, bed->block, &graph,
                                    &builder, MAX_NUMBERS, bed->output, at, bed->gradient);
    expect_judgement(one, bed->output + at[builder.n_shown], loss);
    expect_gradients(&bed->network.parameters, bed->gradient, outside, one);
    mn_graph_fini(&graph);
}

static void learners_of_described_classes_agree_with_pytorch(void **unused)
{
    static struct bed bed;
    json_t *root = load_own("zero_shot.json"), *one;
    size_t i;
    (void)unused;
    assert_true(json_array_size(get(root, "cases")) == 4);
    json_array_foreach(get(root, "cases"), i, one)
    {
        print_message("  %s\n", json_string_value(get(one, "name")));
        open_bed(&bed, root, one);
        check_case(&bed, one);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learners_of_described_classes_agree_with_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
