/* pfn_test.c: prior-fitted networks against PyTorch in float64 (make_pfn.py): answers, loss and all
 * gradients, with a token an item and a token a number. Built twice, as reference_test.c. */
#include "tests/reference/episode.h"

#define MAX_NUMBERS 4096

struct bed {
    mn_experiment experiment;
    mn_fields fields;
    mn_network network;
    mn_real block[MAX_NUMBERS], theta[MAX_NUMBERS], output[MAX_NUMBERS], gradient[MAX_NUMBERS];
};

static void open_bed(struct bed *bed, json_t *root, json_t *one)
{
    static const char *const names[MN_N_FEW_SHOT] = {[MN_SUPPORT_X] = "support.x",
                                                     [MN_SUPPORT_Y] = "support.y",
                                                     [MN_QUERY_X] = "query.x",
                                                     [MN_QUERY_Y] = "query.y"};
    static mn_real outside[MAX_NUMBERS];
    const uint32_t x[3] = {1, 1, whole(one, "features")}, y = whole(one, "y");
    mn_error err = {0};
    memset(bed, 0, sizeof *bed);
    bed->experiment = (mn_experiment){
        .meta = {.kind = MN_META_EPISODIC},
        .model = {.input = MN_INPUT_IDENTITY,
                  .memory = MN_MEMORY_TRANSFORMER,
                  .reasoning = MN_REASONING_READ,
                  .tokens = strcmp(json_string_value(get(one, "tokens")), "cell") == 0
                                ? MN_TOKENS_CELL
                                : MN_TOKENS_ROW,
                  .layers = whole(root, "layers"),
                  .token_size = whole(root, "token_size"),
                  .heads = whole(root, "heads"),
                  .mlp_size = whole(root, "mlp_size"),
                  .activation = MN_TANH}};
    assert_int_equal(mn_fields_few_shot(&bed->fields, whole(root, "support"), whole(root, "query"),
                                        x, y > 1 ? MN_TARGET_CLASSES : MN_TARGET_VALUES, y, &err),
                     MN_OK);
    assert_true(bed->fields.size <= MAX_NUMBERS);
    for (size_t i = 0; i < MN_N_FEW_SHOT; i++)
        read_numbers(get(get(one, "task"), names[i]), bed->block + bed->fields.at[i].offset);
    begin_network(&bed->network, &bed->experiment, &bed->fields, one, MAX_NUMBERS, outside,
                  bed->theta);
}

static void check_case(struct bed *bed, json_t *one)
{
    static mn_builder builder;
    static mn_real outside[MAX_NUMBERS];
    size_t at[MN_MAX_SHOWN + 1];
    const mn_parameters *list = &bed->network.parameters;
    mn_graph graph;
    const double loss = run_episode(&bed->network, &bed->fields, bed->theta, bed->block, &graph,
                                    &builder, MAX_NUMBERS, bed->output, at, bed->gradient);
    expect_judgement(one, bed->output + at[builder.n_shown], loss);
    expect_gradients(list, bed->gradient, outside, one);
    mn_graph_fini(&graph);
}

static void prior_fitted_networks_agree_with_pytorch(void **unused)
{
    static struct bed bed;
    json_t *root = load_own("pfn.json"), *one;
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(prior_fitted_networks_agree_with_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
