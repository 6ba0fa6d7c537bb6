/* dialog_test.c: sentences as answers against PyTorch in float64 (make_dialog.py): the answers, the loss
 * and all gradients of memory networks, with both tyings, candidates' words of their own and tied, with
 * match types and without. The file's dialogues are not padded, ours are. Built twice, as
 * reference_test.c. */
#include "tests/reference/episode.h"

#define MAX_NUMBERS 4096

struct bed {
    json_t *root;
    mn_experiment experiment;
    mn_fields fields;
    mn_network network;
    uint32_t stories, slots;
    mn_real block[MAX_NUMBERS], theta[MAX_NUMBERS], output[MAX_NUMBERS], gradient[MAX_NUMBERS];
};

static void make_fields(struct bed *bed, bool match)
{
    json_t *candidates = get(bed->root, "candidates");
    const uint32_t n = bed->stories, c = (uint32_t)json_array_size(candidates);
    const uint32_t item[3] = {1, 1, (uint32_t)longest(candidates)};
    mn_fields *fields = &bed->fields;
    mn_fields_init(fields, MN_TARGET_CLASSES, c);
    fields->bundle = n;
    fields->vocabulary = (uint32_t)json_integer_value(get(bed->root, "vocabulary"));
    add_query_field(fields, "story", MN_FIELD_IDS, n, bed->slots,
                    (uint32_t)longest(json_array_get(get(bed->root, "stories"), 0)));
    add_query_field(fields, "mask", MN_FIELD_MASK, n, 1, bed->slots);
    add_query_field(fields, "question", MN_FIELD_IDS, n, 1,
                    (uint32_t)longest(get(bed->root, "questions")));
    add_query_field(fields, "y", MN_FIELD_NUMBERS, n, 1, c);
    if (match)
        add_query_field(fields, "match", MN_FIELD_MASK, n,
                        (uint32_t)json_array_size(json_array_get(get(bed->root, "match"), 0)), c);
    assert_int_equal(mn_fields_add(fields, MN_SHARED, "candidates", MN_FIELD_IDS, c, item, NULL),
                     MN_OK);
    assert_true(fields->size <= MAX_NUMBERS);
}

/* Lists of numbers, one behind the other. */
static void read_lists(json_t *lists, mn_real *out)
{
    json_t *list;
    size_t i;
    json_array_foreach(lists, i, list)
    {
        read_numbers(list, out);
        out += json_array_size(list);
    }
}

static void write_dialogues(struct bed *bed, bool match)
{
    json_t *root = bed->root;
    read_lists(get(root, "candidates"),
               bed->block + mn_fields_find(&bed->fields, MN_SHARED, "candidates")->offset);
    for (uint32_t i = 0; i < bed->stories; i++) {
        json_t *story = json_array_get(get(root, "stories"), i);
        read_lists(story, query_field(&bed->fields, bed->block, "story", i));
        for (size_t slot = 0; slot < json_array_size(story); slot++)
            query_field(&bed->fields, bed->block, "mask", i)[slot] = 1;
        read_numbers(json_array_get(get(root, "questions"), i),
                     query_field(&bed->fields, bed->block, "question", i));
        query_field(&bed->fields, bed->block, "y", i)[(size_t)number(get(root, "answers"), i)] = 1;
        if (match)
            read_lists(json_array_get(get(root, "match"), i),
                       query_field(&bed->fields, bed->block, "match", i));
    }
}

static void open_bed(struct bed *bed, json_t *root, json_t *one)
{
    static mn_real outside[MAX_NUMBERS];
    const bool match = json_boolean_value(get(one, "match"));
    const char *tying = json_string_value(get(one, "tying"));
    memset(bed, 0, sizeof *bed);
    bed->root = root;
    bed->stories = (uint32_t)json_array_size(get(root, "stories"));
    bed->slots = (uint32_t)longest(get(root, "stories")) + 1; /* one that no story fills */
    bed->experiment.model.input = MN_INPUT_SENTENCES;
    bed->experiment.model.memory = MN_MEMORY_STORY;
    bed->experiment.model.reasoning = MN_REASONING_HOPS;
    bed->experiment.model.output = MN_OUTPUT_CANDIDATES;
    bed->experiment.model.encoding = MN_ENCODING_BAG;
    bed->experiment.model.embedding = (uint32_t)json_integer_value(get(root, "d"));
    bed->experiment.model.hops = (uint32_t)json_integer_value(get(root, "hops"));
    if (strcmp(tying, "layer-wise") == 0)
        bed->experiment.model.tying = MN_TYING_LAYER_WISE;
    if (strcmp(tying, "single") == 0)
        bed->experiment.model.tying = MN_TYING_SINGLE;
    if (strcmp(json_string_value(get(one, "candidates")), "tied") == 0)
        bed->experiment.model.candidates = MN_CANDIDATES_TIED;
    make_fields(bed, match);
    write_dialogues(bed, match);
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

static void choices_of_sentences_agree_with_pytorch(void **unused)
{
    static struct bed bed;
    json_t *root = load_own("dialog.json"), *one;
    size_t i;
    (void)unused;
    assert_true(json_array_size(get(root, "cases")) == 5);
    json_array_foreach(get(root, "cases"), i, one)
    {
        print_message("  %s, %s\n", json_string_value(get(one, "tying")),
                      json_string_value(get(one, "candidates")));
        open_bed(&bed, root, one);
        check_case(&bed, one);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(choices_of_sentences_agree_with_pytorch)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
