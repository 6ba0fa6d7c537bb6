/* entity_network_test.c: gradients against central differences, more sentences than MN_STACK_FROM
 * and fewer; what padding and controls may change. tests/reference/story_memories_test.c has the
 * numbers of PyTorch. */
#include "worker/learner/parts/story_network_bed.h"

static void gradients_are_those_of_differences(void **state)
{
    mn_experiment experiment = network_experiment(MN_MEMORY_ENTITIES, MN_REASONING_PRELU_HOPS);
    (void)state;
    network_check_gradient(&experiment, 10);
    network_check_gradient(&experiment, 4);
    experiment.model.encoding = MN_ENCODING_POSITION;
    network_check_gradient(&experiment, 4);
    experiment.model.reasoning = MN_REASONING_HOPS;
    network_check_gradient(&experiment, 4);
}

static void other_memories_may_be_asked_with_prelu_hops(void **state)
{
    mn_experiment experiment = network_experiment(MN_MEMORY_STORY, MN_REASONING_PRELU_HOPS);
    (void)state;
    experiment.model.empty_slots = false;
    network_check_gradient(&experiment, 4);
}

static void controls_hide_the_story_or_the_question(void **state)
{
    (void)state;
    network_check_controls(network_experiment(MN_MEMORY_ENTITIES, MN_REASONING_PRELU_HOPS));
}

/* Unlike a set of sentences. */
static void sentences_are_read_in_their_order(void **state)
{
    const mn_experiment experiment =
        network_experiment(MN_MEMORY_ENTITIES, MN_REASONING_PRELU_HOPS);
    struct network_bed *bed = network_open(&experiment, 4);
    const double before = network_loss(bed);
    double *first = network_at(bed, "story", 0), kept[LENGTH];
    (void)state;
    memcpy(kept, first, sizeof kept);
    memcpy(first, first + LENGTH, sizeof kept);
    memcpy(first + LENGTH, kept, sizeof kept);
    assert_true(fabs(network_loss(bed) - before) > 1e-6);
    network_close(bed);
}

static void no_gate_opens_where_there_is_no_sentence(void **state)
{
    const mn_experiment experiment =
        network_experiment(MN_MEMORY_ENTITIES, MN_REASONING_PRELU_HOPS);
    struct network_bed *bed = network_open(&experiment, 4);
    const double before = network_loss(bed);
    (void)state;
    assert_true(network_at(bed, "mask", 2)[2] == 0);
    network_at(bed, "story", 2)[2 * LENGTH] = 5;
    assert_true(fabs(network_loss(bed) - before) < 1e-12);
    network_at(bed, "mask", 2)[2] = 1;
    assert_true(fabs(network_loss(bed) - before) > 1e-6);
    network_close(bed);
}

static void tasks_without_stories_are_refused(void **state)
{
    const mn_experiment experiment =
        network_experiment(MN_MEMORY_ENTITIES, MN_REASONING_PRELU_HOPS);
    static mn_network network;
    mn_fields fields;
    mn_error err;
    (void)state;
    network_fields(&fields, 0, false);
    assert_int_equal(mn_network_init(&network, &experiment, &fields, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "model.memory entities reads query.story"));
}

static void prelu_hops_without_a_memory_are_refused(void **state)
{
    const mn_experiment experiment = network_experiment(MN_MEMORY_NONE, MN_REASONING_PRELU_HOPS);
    static mn_network network;
    mn_fields fields;
    mn_error err;
    (void)state;
    network_fields(&fields, 2, false);
    assert_int_equal(mn_network_init(&network, &experiment, &fields, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "model.reasoning prelu-hops asks a memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_differences),
        cmocka_unit_test(other_memories_may_be_asked_with_prelu_hops),
        cmocka_unit_test(controls_hide_the_story_or_the_question),
        cmocka_unit_test(sentences_are_read_in_their_order),
        cmocka_unit_test(no_gate_opens_where_there_is_no_sentence),
        cmocka_unit_test(tasks_without_stories_are_refused),
        cmocka_unit_test(prelu_hops_without_a_memory_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
