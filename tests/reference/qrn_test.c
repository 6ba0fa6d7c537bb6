/* qrn_test.c: query-reduction networks against PyTorch in float64 (make_qrn.py): each layer's queries
 * and update gates, the answers, the loss and all gradients; gates of one number and of vectors, with
 * and without reset gates and the way back. The file's stories are not padded, ours are. Built twice,
 * as reference_test.c. */
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

static void write_stories(struct bed *bed, uint32_t words)
{
    json_t *stories = get(bed->root, "stories"), *questions = get(bed->root, "questions");
    mn_fields_init(&bed->fields, MN_TARGET_CLASSES, words);
    bed->fields.bundle = bed->stories;
    add_query_field(&bed->fields, "story", MN_FIELD_IDS, bed->stories, bed->slots,
                    (uint32_t)longest(json_array_get(stories, 0)));
    add_query_field(&bed->fields, "mask", MN_FIELD_MASK, bed->stories, 1, bed->slots);
    add_query_field(&bed->fields, "question", MN_FIELD_IDS, bed->stories, 1,
                    (uint32_t)longest(questions));
    add_query_field(&bed->fields, "y", MN_FIELD_NUMBERS, bed->stories, 1, words);
    assert_true(bed->fields.size <= MAX_NUMBERS);
    for (uint32_t i = 0; i < bed->stories; i++) {
        json_t *story = json_array_get(stories, i), *sentence;
        size_t slot;
        json_array_foreach(story, slot, sentence)
        {
            read_numbers(sentence, query_field(&bed->fields, bed->block, "story", i) +
                                       slot * json_array_size(sentence));
            query_field(&bed->fields, bed->block, "mask", i)[slot] = 1;
        }
        read_numbers(json_array_get(questions, i),
                     query_field(&bed->fields, bed->block, "question", i));
        query_field(&bed->fields, bed->block, "y",
                    i)[(size_t)number(get(bed->root, "answers"), i)] = 1;
    }
}

static void open_bed(struct bed *bed, json_t *root, json_t *one)
{
    static mn_real outside[MAX_NUMBERS];
    memset(bed, 0, sizeof *bed);
    bed->root = root;
    bed->stories = (uint32_t)json_array_size(get(root, "stories"));
    bed->slots = (uint32_t)longest(get(root, "stories")) + 1; /* one that no story fills */
    bed->experiment.model.input = MN_INPUT_SENTENCES;
    bed->experiment.model.memory = MN_MEMORY_SENTENCES;
    bed->experiment.model.reasoning = MN_REASONING_QUERY_REDUCTION;
    bed->experiment.model.output = MN_OUTPUT_WORDS;
    bed->experiment.model.encoding = MN_ENCODING_POSITION_PRINTED;
    bed->experiment.model.gate_lean = -2.5; /* as the authors have it */
    bed->experiment.model.embedding = (uint32_t)json_integer_value(get(root, "d"));
    bed->experiment.model.layers = (uint32_t)json_integer_value(get(one, "layers"));
    if (strcmp(json_string_value(get(one, "gates")), "vector") == 0)
        bed->experiment.model.gates = MN_GATES_VECTOR;
    bed->experiment.model.reset_gates = json_boolean_value(get(one, "reset_gates"));
    bed->experiment.model.bidirectional = json_boolean_value(get(one, "bidirectional"));
    write_stories(bed, (uint32_t)json_integer_value(get(root, "vocabulary")));
    begin_network(&bed->network, &bed->experiment, &bed->fields, one, MAX_NUMBERS, outside,
                  bed->theta);
}

/* What was shown of each layer, of the sentences that a story has. */
static void check_layers(struct bed *bed, json_t *one, const mn_builder *builder, const size_t *at)
{
    static const struct {
        const char *shown, *theirs;
    } names[] = {{"query", "queries"}, {"update gates", "updates"}};
    uint32_t checked = 0;
    for (uint32_t i = 0; i < builder->n_shown; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            if (strcmp(builder->shown[i].name, names[k].shown) != 0)
                continue;
            const size_t count =
                mn_extent_count(mn_builder_extent(builder, builder->shown[i].node)) / bed->stories;
            for (uint32_t story = 0; story < bed->stories; story++) {
                json_t *theirs = json_array_get(json_array_get(get(one, names[k].theirs), story),
                                                builder->shown[i].hop - 1);
                expect_near(names[k].shown, count_of(theirs), bed->output + at[i] + story * count,
                            theirs);
                checked++;
            }
        }
    assert_int_equal(checked, 2 * bed->stories * bed->experiment.model.layers);
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
    check_layers(bed, one, &builder, at);
    expect_judgement(one, bed->output + at[builder.n_shown], loss);
    expect_gradients(list, bed->gradient, outside, one);
    mn_graph_fini(&graph);
}

static void layers_agree_with_pytorch(void **unused)
{
    static struct bed bed;
    json_t *root = load_own("qrn.json"), *one;
    size_t i;
    (void)unused;
    assert_true(json_array_size(get(root, "cases")) == 3);
    json_array_foreach(get(root, "cases"), i, one)
    {
        print_message("  %s gates, %d layers\n", json_string_value(get(one, "gates")),
                      (int)json_integer_value(get(one, "layers")));
        open_bed(&bed, root, one);
        check_case(&bed, one);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(layers_agree_with_pytorch)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
