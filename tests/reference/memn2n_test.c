/* memn2n_test.c: an end-to-end memory network against PyTorch in float64: what every hop is asked,
 * attends to and reads, the answers, the loss and all gradients; adjacent and layer-wise tying, with
 * softmax and without. Built twice, as reference_test.c. */
#include "tests/reference/episode.h"

#define MAX_NUMBERS 4096

/* The file's names and ours, of either tying. */
static const struct {
    const char *theirs, *ours;
} tensors[] = {
    {"E0", "embed0.weight"}, {"E1", "embed1.weight"}, {"E2", "embed2.weight"},
    {"A", "embed_a.weight"}, {"B", "embed_b.weight"}, {"C", "embed_c.weight"},
    {"W", "answer.weight"},  {"H", "hop.weight"},
};

static const char *theirs_of(const char *ours)
{
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (strcmp(tensors[i].ours, ours) == 0)
            return tensors[i].theirs;
    fail_msg("%s is not in the reference file", ours);
    return NULL;
}

/* The file's H is [out, in]; ours is [in, out] inside. */
static void turn(size_t side, mn_real *square)
{
    for (size_t i = 0; i < side; i++)
        for (size_t j = 0; j < i; j++) {
            const mn_real kept = square[i * side + j];
            square[i * side + j] = square[j * side + i];
            square[j * side + i] = kept;
        }
}

struct bed {
    json_t *root;
    mn_experiment experiment;
    mn_fields fields;
    mn_network network;
    uint32_t stories, slots;
    mn_real block[MAX_NUMBERS], theta[MAX_NUMBERS], output[MAX_NUMBERS], gradient[MAX_NUMBERS];
};

static void open_bed(struct bed *bed, json_t *root, json_t *one)
{
    json_t *stories = get(root, "stories"), *questions = get(root, "questions");
    const uint32_t words = (uint32_t)json_integer_value(get(root, "V"));
    mn_error err;
    memset(bed, 0, sizeof *bed);
    bed->root = root;
    bed->stories = (uint32_t)json_array_size(stories);
    bed->slots = (uint32_t)longest(stories);
    bed->experiment.model.input = MN_INPUT_SENTENCES;
    bed->experiment.model.memory = MN_MEMORY_STORY;
    bed->experiment.model.reasoning = MN_REASONING_HOPS;
    bed->experiment.model.output = MN_OUTPUT_WORDS;
    bed->experiment.model.embedding = (uint32_t)json_integer_value(get(root, "d"));
    bed->experiment.model.hops = (uint32_t)json_integer_value(get(root, "hops"));
    bed->experiment.model.encoding = MN_ENCODING_BAG;
    bed->experiment.model.linear_attention = !json_boolean_value(get(one, "softmax"));
    if (strcmp(json_string_value(get(one, "tying")), "adjacent") != 0)
        bed->experiment.model.tying = MN_TYING_LAYER_WISE;

    mn_fields_init(&bed->fields, MN_TARGET_CLASSES, words);
    bed->fields.bundle = bed->stories;
    mn_fields *fields = &bed->fields;
    add_query_field(fields, "story", MN_FIELD_IDS, bed->stories, bed->slots,
                    (uint32_t)longest(json_array_get(stories, 0)));
    add_query_field(fields, "mask", MN_FIELD_MASK, bed->stories, 1, bed->slots);
    add_query_field(fields, "question", MN_FIELD_IDS, bed->stories, 1,
                    (uint32_t)longest(questions));
    add_query_field(fields, "y", MN_FIELD_NUMBERS, bed->stories, 1, words);
    assert_true(bed->fields.size <= MAX_NUMBERS);
    for (uint32_t i = 0; i < bed->stories; i++) {
        json_t *story = json_array_get(stories, i), *sentence;
        size_t slot;
        json_array_foreach(story, slot, sentence)
        {
            read_numbers(sentence, query_field(fields, bed->block, "story", i) +
                                       slot * json_array_size(sentence));
            query_field(fields, bed->block, "mask", i)[slot] = 1;
        }
        read_numbers(json_array_get(questions, i), query_field(fields, bed->block, "question", i));
        query_field(fields, bed->block, "y", i)[(size_t)number(get(root, "answers"), i)] = 1;
    }
    assert_int_equal(mn_network_init(&bed->network, &bed->experiment, &bed->fields, &err), MN_OK);
    assert_int_equal(bed->network.parameters.n, json_object_size(get(one, "parameters")));
    for (uint32_t i = 0; i < bed->network.parameters.n; i++) {
        const mn_parameter *parameter = &bed->network.parameters.at[i];
        json_t *tensor = get(get(one, "parameters"), theirs_of(parameter->tensor.name));
        assert_int_equal(count_of(tensor), parameter->count);
        read_numbers(tensor, bed->theta + parameter->offset);
        if (strcmp(parameter->tensor.name, "hop.weight") == 0)
            turn(bed->experiment.model.embedding, bed->theta + parameter->offset);
    }
}

/* What was shown of every hop, for every story: only the slots that the file's story has. */
static void check_hops(struct bed *bed, json_t *one, const mn_builder *builder, const size_t *at)
{
    static const struct {
        const char *shown, *theirs;
    } names[] = {{"question", "u"}, {"attention", "p"}, {"read", "o"}};
    json_t *attention = get(one, "attention");
    uint32_t checked = 0;
    for (uint32_t i = 0; i < builder->n_shown; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            if (strcmp(builder->shown[i].name, names[k].shown) != 0)
                continue;
            const size_t width = mn_builder_extent(builder, builder->shown[i].node).c;
            for (uint32_t story = 0; story < bed->stories; story++) {
                json_t *hop = json_array_get(attention, story * bed->experiment.model.hops +
                                                            builder->shown[i].hop - 1);
                json_t *theirs = get(hop, names[k].theirs);
                expect_near(names[k].shown, count_of(theirs), bed->output + at[i] + story * width,
                            theirs);
                checked++;
            }
        }
    assert_int_equal(checked, 3 * bed->stories * bed->experiment.model.hops);
}

static void check_case(struct bed *bed, json_t *one)
{
    static mn_builder builder;
    size_t at[MN_MAX_SHOWN + 1];
    const mn_parameters *list = &bed->network.parameters;
    mn_graph graph;
    const double loss = run_episode(&bed->network, &bed->fields, bed->theta, bed->block, &graph,
                                    &builder, MAX_NUMBERS, bed->output, at, bed->gradient);
    check_hops(bed, one, &builder, at);
    expect_judgement(one, bed->output + at[builder.n_shown], loss);
    for (uint32_t i = 0; i < list->n; i++) {
        const char *theirs = theirs_of(list->at[i].tensor.name);
        if (strcmp(theirs, "H") == 0)
            turn(bed->experiment.model.embedding, bed->gradient + list->at[i].offset);
        expect_near(theirs, list->at[i].count, bed->gradient + list->at[i].offset,
                    get(get(one, "grad"), theirs));
    }
    mn_graph_fini(&graph);
}

static void hops_agree_with_pytorch(void **unused)
{
    static struct bed bed;
    json_t *root = load("memn2n.json"), *one;
    size_t i;
    (void)unused;
    assert_true(json_array_size(get(root, "cases")) == 3);
    json_array_foreach(get(root, "cases"), i, one)
    {
        print_message("  %s, softmax %s\n", json_string_value(get(one, "tying")),
                      json_boolean_value(get(one, "softmax")) ? "yes" : "no");
        open_bed(&bed, root, one);
        check_case(&bed, one);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(hops_agree_with_pytorch)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
