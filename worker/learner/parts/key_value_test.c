/* key_value_test.c: gradients against central differences; what controls and empty places may
 * change. tests/reference/story_memories_test.c has the numbers of PyTorch. */
#include "worker/learner/parts/story_network_bed.h"

static void gradients_are_those_of_differences(void **state)
{
    mn_experiment experiment = network_experiment(MN_MEMORY_KEY_VALUE, MN_REASONING_HOPS);
    (void)state;
    for (mn_word_encoding encoding = MN_ENCODING_BAG; encoding <= MN_ENCODING_MASK; encoding++) {
        experiment.model.encoding = encoding;
        network_check_gradient(&experiment, 4);
    }
    experiment.model.hops = 1;
    network_check_gradient(&experiment, 4);
}

static void controls_hide_the_story_or_the_question(void **state)
{
    (void)state;
    network_check_controls(network_experiment(MN_MEMORY_KEY_VALUE, MN_REASONING_HOPS));
}

/* A hop has a matrix of its own, and the last one's is used as well. */
static void every_hop_has_a_matrix(void **state)
{
    const mn_experiment experiment = network_experiment(MN_MEMORY_KEY_VALUE, MN_REASONING_HOPS);
    struct network_bed *bed = network_open(&experiment, 3);
    const double before = network_loss(bed);
    static const char *const names[] = {"hop0.weight", "hop1.weight"};
    (void)state;
    assert_int_equal(mn_parameters_find(&bed->network.parameters, "hop2.weight"), UINT32_MAX);
    for (size_t i = 0; i < 2; i++) {
        const uint32_t tensor = mn_parameters_find(&bed->network.parameters, names[i]);
        assert_int_not_equal(tensor, UINT32_MAX);
        bed->theta[bed->network.parameters.at[tensor].offset] += 0.1;
        assert_true(fabs(network_loss(bed) - before) > 1e-6);
        bed->theta[bed->network.parameters.at[tensor].offset] -= 0.1;
    }
    network_close(bed);
}

/* A word more is a slot more, whatever the others' scores. */
static void empty_places_are_no_memories(void **state)
{
    const mn_experiment experiment = network_experiment(MN_MEMORY_KEY_VALUE, MN_REASONING_HOPS);
    struct network_bed *few = network_open(&experiment, 3), *many = network_open(&experiment, 3);
    (void)state;
    for (uint32_t i = 0; i < STORIES; i++) /* from one sentence on, all is empty */
        for (uint32_t k = LENGTH; k < 3 * LENGTH; k++)
            network_at(few, "story", i)[k] = network_at(many, "story", i)[k] = 0;
    const double loss = network_loss(few);
    for (uint32_t i = 0; i < STORIES; i++) /* an age without a word is none */
        network_at(many, "age", i)[2] = 2;
    assert_true(network_loss(many) == loss);
    network_at(many, "story", 0)[2 * LENGTH] = 3;
    assert_true(fabs(network_loss(many) - loss) > 1e-6);
    network_close(few);
    network_close(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_differences),
        cmocka_unit_test(controls_hide_the_story_or_the_question),
        cmocka_unit_test(every_hop_has_a_matrix),
        cmocka_unit_test(empty_places_are_no_memories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
