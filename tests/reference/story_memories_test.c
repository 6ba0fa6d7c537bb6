/* story_memories_test.c: recurrent entity networks, key-value memories and fast weights against PyTorch in
 * float64 (make_story_memories.py): what is shown of them, the answers, the loss and all gradients.
 * Built twice, as reference_test.c. */
#include "tests/reference/episode.h"

#define MAX_TENSORS 16
#define MAX_NUMBERS 2048

struct bed {
    mn_experiment experiment;
    mn_fields fields;
    mn_network network;
    uint32_t stories, sentences, length;
    mn_real block[MAX_NUMBERS], theta[MAX_NUMBERS], output[MAX_NUMBERS], gradient[MAX_NUMBERS],
        outside[MAX_NUMBERS];
};

static bool says(json_t *one, const char *key, const char *text)
{
    return strcmp(json_string_value(get(one, key)), text) == 0;
}

static void set_model(struct bed *bed, json_t *root, json_t *one)
{
    const bool entities = says(one, "memory", "entities"),
               fast = says(one, "memory", "fast-weights");
    mn_experiment_init(&bed->experiment);
    bed->experiment.model.input = MN_INPUT_SENTENCES;
    bed->experiment.model.memory = entities ? MN_MEMORY_ENTITIES
                                   : fast   ? MN_MEMORY_FAST_WEIGHTS
                                            : MN_MEMORY_KEY_VALUE;
    bed->experiment.model.reasoning =
        entities || fast ? MN_REASONING_PRELU_HOPS : MN_REASONING_HOPS;
    bed->experiment.model.output = MN_OUTPUT_WORDS;
    bed->experiment.model.encoding =
        says(one, "encoding", "mask") ? MN_ENCODING_MASK : MN_ENCODING_BAG;
    bed->experiment.model.embedding = (uint32_t)json_integer_value(get(root, "d"));
    bed->experiment.model.hops = (uint32_t)json_integer_value(get(one, "hops"));
    if (entities)
        bed->experiment.model.slots = (uint32_t)json_integer_value(get(one, "slots"));
    if (fast) {
        bed->experiment.model.fast_steps = (uint32_t)json_integer_value(get(one, "steps"));
        bed->experiment.model.fast_decay = json_number_value(get(one, "decay"));
        bed->experiment.model.fast_rate = json_number_value(get(one, "rate"));
    }
}

static void fill(struct bed *bed, json_t *root)
{
    for (uint32_t i = 0; i < bed->stories; i++) {
        json_t *ages = json_array_get(get(root, "ages"), i), *sentence;
        size_t slot;
        json_array_foreach(json_array_get(get(root, "stories"), i), slot, sentence)
        {
            read_numbers(sentence,
                         query_field(&bed->fields, bed->block, "story", i) + slot * bed->length);
            query_field(&bed->fields, bed->block, "mask", i)[slot] = number(ages, slot) > 0;
        }
        read_numbers(ages, query_field(&bed->fields, bed->block, "age", i));
        read_numbers(json_array_get(get(root, "questions"), i),
                     query_field(&bed->fields, bed->block, "question", i));
        query_field(&bed->fields, bed->block, "y", i)[(size_t)number(get(root, "answers"), i)] = 1;
    }
}

static void open_bed(struct bed *bed, json_t *root, json_t *one)
{
    json_t *stories = get(root, "stories"), *story = json_array_get(stories, 0);
    const uint32_t words = (uint32_t)json_integer_value(get(root, "V"));
    memset(bed, 0, sizeof *bed);
    bed->stories = (uint32_t)json_array_size(stories);
    bed->sentences = (uint32_t)json_array_size(story);
    bed->length = (uint32_t)json_array_size(json_array_get(story, 0));
    set_model(bed, root, one);
    mn_fields_init(&bed->fields, MN_TARGET_CLASSES, words);
    bed->fields.bundle = bed->stories;
    add_query_field(&bed->fields, "story", MN_FIELD_IDS, bed->stories, bed->sentences, bed->length);
    add_query_field(&bed->fields, "age", MN_FIELD_IDS, bed->stories, bed->sentences, 1);
    add_query_field(&bed->fields, "mask", MN_FIELD_MASK, bed->stories, 1, bed->sentences);
    add_query_field(&bed->fields, "question", MN_FIELD_IDS, bed->stories, 1,
                    (uint32_t)json_array_size(json_array_get(get(root, "questions"), 0)));
    add_query_field(&bed->fields, "y", MN_FIELD_NUMBERS, bed->stories, 1, words);
    assert_true(bed->fields.size <= MAX_NUMBERS);
    fill(bed, root);
    begin_network(&bed->network, &bed->experiment, &bed->fields, one, MAX_NUMBERS, bed->outside,
                  bed->theta);
    assert_true(bed->network.parameters.n <= MAX_TENSORS);
}

/* All that the file has is shown, and nothing else. */
static void check_shown(const struct bed *bed, json_t *one, const mn_builder *builder,
                        const size_t *at)
{
    json_t *what;
    size_t k;
    assert_int_equal(builder->n_shown, json_array_size(get(one, "shown")));
    json_array_foreach(get(one, "shown"), k, what)
    {
        const char *name = json_string_value(get(what, "name"));
        uint32_t i = 0;
        while (i < builder->n_shown &&
               (strcmp(builder->shown[i].name, name) != 0 ||
                builder->shown[i].hop != (uint32_t)json_integer_value(get(what, "hop"))))
            i++;
        if (i == builder->n_shown)
            fail_msg("%s is not shown", name);
        expect_near(name, mn_extent_count(mn_builder_extent(builder, builder->shown[i].node)),
                    bed->output + at[i], what);
    }
}

static void check_case(struct bed *bed, json_t *one)
{
    static mn_builder builder;
    size_t at[MN_MAX_SHOWN + 1];
    const mn_parameters *list = &bed->network.parameters;
    mn_graph graph;
    const double loss = run_episode(&bed->network, &bed->fields, bed->theta, bed->block, &graph,
                                    &builder, MAX_NUMBERS, bed->output, at, bed->gradient);
    check_shown(bed, one, &builder, at);
    expect_judgement(one, bed->output + at[builder.n_shown], loss);
    mn_parameters_export(list, bed->gradient, bed->outside);
    for (uint32_t i = 0; i < list->n; i++)
        expect_near(list->at[i].tensor.name, list->at[i].count, bed->outside + list->at[i].offset,
                    get(get(one, "grad"), list->at[i].tensor.name));
    mn_graph_fini(&graph);
}

static void memories_agree_with_pytorch(void **unused)
{
    static struct bed bed;
    json_t *root = load_own("story_memories.json"), *one;
    size_t i;
    (void)unused;
    assert_int_equal(json_array_size(get(root, "cases")), 6);
    json_array_foreach(get(root, "cases"), i, one)
    {
        print_message("  %s, %d hops, %s\n", json_string_value(get(one, "memory")),
                      (int)json_integer_value(get(one, "hops")),
                      json_string_value(get(one, "encoding")));
        open_bed(&bed, root, one);
        check_case(&bed, one);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(memories_agree_with_pytorch)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
