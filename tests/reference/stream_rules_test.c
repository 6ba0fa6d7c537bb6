/* stream_rules_test.c: learners of streams against PyTorch in float64 (stream_rules.json, which make_stream_rules.py
 * writes). Built twice, as reference_test.c. */
#include "tests/reference/learner_bed.h"

#define MLP .hidden = {.n = 2, .at = {4, 5}}, .activation = MN_TANH

static const struct learner learners[] = {
    {"head_from_zero",
     {.model = {MLP},
      .meta = {.kind = MN_META_ANIL,
               .order = 2,
               .inner_lr = 0.1,
               .step_items = 1,
               .head_start = MN_HEAD_ZERO}}},
    {"all_in_pairs",
     {.model = {MLP},
      .meta = {.kind = MN_META_MAML, .order = 2, .inner_lr = 0.1, .step_items = 2}}},
};

static void streams_agree_with_pytorch(void **state)
{
    (void)state;
    check_learners("stream_rules.json", 0, sizeof learners / sizeof *learners, learners);
}

/* A sequence has a query set alone. */
static void check_sequence(json_t *expected, mn_adapts adapts)
{
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    json_t *task = get(expected, "task");
    const uint32_t n = size_at(get(task, "query.x"), 0);
    bed->experiment = (mn_experiment){
        .model = {MLP},
        .meta = {.kind = MN_META_ONLINE, .adapts = adapts, .order = 2, .inner_lr = 0.1}};
    mn_fields_init(&bed->fields, MN_TARGET_VALUES, 1);
    add_query_field(&bed->fields, "x", MN_FIELD_NUMBERS, n, 1, 1);
    add_query_field(&bed->fields, "y", MN_FIELD_NUMBERS, n, 1, 1);
    bed->block = numbers_like(bed->fields.size);
    read_numbers(get(task, "query.x"), query_field(&bed->fields, bed->block, "x", 0));
    read_numbers(get(task, "query.y"), query_field(&bed->fields, bed->block, "y", 0));
    bed->data.task = bed->block;
    make_learner(bed, 0);
    read_theta(bed, get(expected, "parameters"));

    const mn_rule_losses losses = mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data,
                                                   bed->gradient, bed->output);
    expect_number("loss", losses.query, get(expected, "loss"));
    expect_near("output", n, bed->output, get(expected, "output"));
    expect_gradient(bed, get(expected, "gradient"));
    expect_number("loss in a test",
                  mn_rule_judge(bed->rule, bed->scratch, bed->theta, &bed->data, bed->output),
                  get(expected, "loss"));
    free_bed(bed);
}

static void sequences_agree_with_pytorch(void **state)
{
    (void)state;
    json_t *root = load_own("stream_rules.json"), *cases = get(root, "sequences");
    assert_int_equal(json_array_size(cases), 2);
    check_sequence(json_array_get(cases, 0), MN_ADAPTS_ALL);
    check_sequence(json_array_get(cases, 1), MN_ADAPTS_BODY);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(streams_agree_with_pytorch),
                                       cmocka_unit_test(sequences_agree_with_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
