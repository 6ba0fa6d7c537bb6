/* Query-reduction networks in double: gradients against central differences with every kind of gate,
 * what must not be seen, and what is refused. tests/reference has their numbers. */
#include "worker/learner/parts/part_bed.h"

enum { N = 3, SLOTS = 4, LENGTH = 3, ASKED = 2, VOCABULARY = 7, D = 4 };

static mn_real a_word(void)
{
    return (mn_real)(1 + (int)((draw() + 1) / 2 * (VOCABULARY - 1)));
}

static mn_experiment query_reduction(void)
{
    return (mn_experiment){.meta = {.kind = MN_META_EPISODIC},
                           .model = {.input = MN_INPUT_SENTENCES,
                                     .memory = MN_MEMORY_SENTENCES,
                                     .reasoning = MN_REASONING_QUERY_REDUCTION,
                                     .output = MN_OUTPUT_WORDS,
                                     .encoding = MN_ENCODING_POSITION_PRINTED,
                                     .embedding = D,
                                     .layers = 2,
                                     .hops = 2,
                                     .gate_lean = -2.5,
                                     .gate_start = 1,
                                     .word_start = 1,
                                     .empty_slots = true,
                                     .reset_gates = true,
                                     .bidirectional = true}};
}

static mn_real *field(struct bed *bed, const char *name, size_t item)
{
    const mn_field *at = mn_fields_find(&bed->fields, MN_QUERY, name);
    return bed->block + at->offset + item * mn_field_item(at);
}

static void make_fields(mn_fields *fields)
{
    static const struct {
        const char *name;
        mn_field_type type;
        uint32_t item[3];
    } list[] = {{"story", MN_FIELD_IDS, {SLOTS, 1, LENGTH}},
                {"mask", MN_FIELD_MASK, {1, 1, SLOTS}},
                {"question", MN_FIELD_IDS, {1, 1, ASKED}},
                {"y", MN_FIELD_NUMBERS, {1, 1, VOCABULARY}}};
    mn_fields_init(fields, MN_TARGET_CLASSES, VOCABULARY);
    fields->bundle = N;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        assert_int_equal(
            mn_fields_add(fields, MN_QUERY, list[i].name, list[i].type, N, list[i].item, NULL),
            MN_OK);
}

/* Stories of 2, 3 and 4 sentences. */
static void tell(struct bed *bed)
{
    for (size_t i = 0; i < N; i++) {
        for (size_t slot = 0; slot < i + 2; slot++) {
            field(bed, "mask", i)[slot] = 1;
            for (size_t k = 0; k < LENGTH; k++)
                field(bed, "story", i)[slot * LENGTH + k] = a_word();
        }
        for (size_t k = 0; k < ASKED; k++)
            field(bed, "question", i)[k] = a_word();
        field(bed, "y", i)[i + 1] = 1;
    }
}

static void tell_alike(struct bed *one, struct bed *other)
{
    const uint64_t state = seed_state;
    tell(one);
    seed_state = state;
    tell(other);
}

static struct bed *open_bed(const mn_experiment *experiment)
{
    mn_fields fields;
    make_fields(&fields);
    struct bed *bed = bed_open(experiment, &fields, 0.9);
    tell(bed);
    return bed;
}

static void check_network(const mn_experiment *experiment)
{
    struct bed *bed = open_bed(experiment);
    bed_check_gradient(bed);
    bed_close(bed);
}

static void gradients_agree_with_central_differences(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 24; way++) {
        mn_experiment e = query_reduction();
        e.model.gates = way & 1 ? MN_GATES_VECTOR : MN_GATES_SCALAR;
        e.model.reset_gates = way & 2;
        e.model.bidirectional = way & 4;
        e.model.layers = 1 + way / 8;
        check_network(&e);
        e.model.layer_weights = MN_LAYER_WEIGHTS_OWN;
        e.model.gate_lean = 0; /* the first of three layers would count for too little to be told */
        check_network(&e);
    }
}

static void hops_may_ask_the_same_memory(void **state)
{
    mn_experiment e = query_reduction();
    (void)state;
    e.model.reasoning = MN_REASONING_HOPS;
    check_network(&e);
}

/* Word 1 stands everywhere in `name`, and the masks are full. */
static void tell_otherwise(struct bed *bed, const char *name)
{
    const mn_field *at = mn_fields_find(&bed->fields, MN_QUERY, name);
    for (size_t i = 0; i < (size_t)at->n * mn_field_item(at); i++)
        bed->block[at->offset + i] = 1;
    for (size_t i = 0; i < N; i++)
        for (size_t slot = 0; slot < SLOTS && strcmp(name, "story") == 0; slot++)
            field(bed, "mask", i)[slot] = 1;
}

static void check_control(mn_control control, const char *hidden, const char *seen)
{
    mn_experiment e = query_reduction();
    e.model.control = control;
    check_network(&e);
    struct bed *bed = open_bed(&e);
    const double before = loss_of(bed, bed->gradient);
    tell_otherwise(bed, hidden);
    assert_true(loss_of(bed, bed->gradient) == before);
    tell_otherwise(bed, seen);
    assert_true(loss_of(bed, bed->gradient) != before);
    bed_close(bed);
}

static void a_control_sees_only_what_it_may(void **state)
{
    (void)state;
    check_control(MN_CONTROL_QUESTION, "story", "question");
    check_control(MN_CONTROL_STORY, "question", "story");
}

static void empty_slots_change_nothing(void **state)
{
    const mn_experiment e = query_reduction();
    struct bed *bed = open_bed(&e);
    (void)state;
    const double before = loss_of(bed, bed->gradient);
    for (size_t k = 0; k < LENGTH; k++)
        field(bed, "story", 0)[3 * LENGTH + k] = 5;
    assert_true(loss_of(bed, bed->gradient) == before);
    field(bed, "mask", 0)[3] = 1;
    assert_true(loss_of(bed, bed->gradient) != before);
    bed_close(bed);
}

static const mn_parameter *parameter(const struct bed *bed, const char *name)
{
    const uint32_t i = mn_parameters_find(&bed->network.parameters, name);
    assert_int_not_equal(i, UINT32_MAX);
    return &bed->network.parameters.at[i];
}

/* Tensor `to` of `bed` becomes what `from` of another is. */
static void copy(struct bed *bed, const char *to, const struct bed *other, const char *from)
{
    const mn_parameter *a = parameter(bed, to), *b = parameter(other, from);
    assert_int_equal(a->count, b->count);
    memcpy(bed->theta + a->offset, other->theta + b->offset, b->count * sizeof *bed->theta);
}

static void a_lean_is_as_so_much_bias_of_update_gates(void **state)
{
    mn_experiment e = query_reduction();
    struct bed *leaning = open_bed(&e);
    (void)state;
    e.model.gate_lean = 0;
    struct bed *upright = open_bed(&e);
    const double before = loss_of(upright, upright->gradient);
    assert_true(fabs(loss_of(leaning, leaning->gradient) - before) > 1e-6);
    upright->theta[parameter(upright, "update.bias")->offset] -= 2.5;
    assert_true(fabs(loss_of(leaning, leaning->gradient) - loss_of(upright, upright->gradient)) <
                1e-12);
    bed_close(leaning);
    bed_close(upright);
}

static void words_and_gates_begin_as_wide_as_told(void **state)
{
    mn_experiment e = query_reduction();
    (void)state;
    e.model.word_start = 0.125;
    e.model.gate_start = 0.5;
    struct bed *bed = open_bed(&e);
    static const struct {
        const char *name;
        double scale;
    } expected[] = {{"embed.weight", 0.125}, {"update.weight", 0.5}, {"reset.weight", 0.5}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(parameter(bed, expected[i].name)->init, MN_START_UNIFORM);
        assert_true(parameter(bed, expected[i].name)->scale == expected[i].scale);
    }
    bed_close(bed);
}

/* As one network until the second layer's weights are others than the first's. */
static void layers_may_have_their_own_weights(void **state)
{
    static const char *const names[] = {"candidate.weight", "candidate.bias", "update.weight",
                                        "update.bias"};
    mn_experiment e = query_reduction();
    struct bed *shared = open_bed(&e);
    (void)state;
    e.model.layer_weights = MN_LAYER_WEIGHTS_OWN;
    struct bed *own = open_bed(&e);
    tell_alike(own, shared);
    copy(own, "embed.weight", shared, "embed.weight");
    copy(own, "answer.weight", shared, "answer.weight");
    copy(own, "layers.0.reset.weight", shared, "reset.weight");
    copy(own, "layers.0.reset.bias", shared, "reset.bias");
    for (size_t i = 0; i < 2 * sizeof names / sizeof *names; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "layers.%zu.%s", i % 2, names[i / 2]);
        copy(own, name, shared, names[i / 2]);
    }
    const double before = loss_of(shared, shared->gradient);
    assert_true(fabs(loss_of(own, own->gradient) - before) < 1e-12);
    own->theta[parameter(own, "layers.1.update.bias")->offset] += 1;
    assert_true(fabs(loss_of(own, own->gradient) - before) > 1e-6);
    bed_close(own);
    bed_close(shared);
}

static void another_memory_is_refused(void **state)
{
    static mn_network network;
    mn_experiment e = query_reduction();
    mn_fields fields;
    mn_error err;
    (void)state;
    e.model.memory = MN_MEMORY_STORY;
    make_fields(&fields);
    assert_int_equal(mn_network_init(&network, &e, &fields, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "use model.memory sentences"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_agree_with_central_differences),
        cmocka_unit_test(hops_may_ask_the_same_memory),
        cmocka_unit_test(a_control_sees_only_what_it_may),
        cmocka_unit_test(empty_slots_change_nothing),
        cmocka_unit_test(a_lean_is_as_so_much_bias_of_update_gates),
        cmocka_unit_test(words_and_gates_begin_as_wide_as_told),
        cmocka_unit_test(layers_may_have_their_own_weights),
        cmocka_unit_test(another_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
