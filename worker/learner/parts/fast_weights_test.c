/* fast_weights_test.c: gradients against central differences; what padding and controls may change.
 * tests/reference/story_memories_test.c has the numbers of PyTorch, of the matrix itself. */
#include "worker/learner/parts/story_network_bed.h"

static mn_experiment fast_weights(void)
{
    return network_experiment(MN_MEMORY_FAST_WEIGHTS, MN_REASONING_PRELU_HOPS);
}

static void gradients_are_those_of_differences(void **state)
{
    mn_experiment experiment = fast_weights();
    (void)state;
    for (uint32_t steps = 1; steps <= 3; steps++) {
        experiment.model.fast_steps = steps;
        network_check_gradient(&experiment, 4);
    }
    experiment.model.fast_steps = 1;
    network_check_gradient(&experiment, 10); /* more than MN_STACK_FROM */
}

static void controls_hide_the_story_or_the_question(void **state)
{
    (void)state;
    network_check_controls(fast_weights());
}

static void nothing_decays_where_there_is_no_sentence(void **state)
{
    mn_experiment experiment = fast_weights();
    struct network_bed *bed = network_open(&experiment, 4);
    const double before = network_loss(bed);
    (void)state;
    assert_true(network_at(bed, "mask", 2)[2] == 0);
    network_at(bed, "story", 2)[2 * LENGTH] = 5;
    assert_true(fabs(network_loss(bed) - before) < 1e-12);
    network_close(bed);

    struct network_bed *longer =
        network_open(&experiment, 6); /* the same, with empty slots behind */
    bed = network_open(&experiment, 4);
    memcpy(longer->theta, bed->theta, sizeof bed->theta);
    for (uint32_t i = 0; i < STORIES; i++) {
        static const char *const names[] = {"story", "age", "mask"};
        static const uint32_t width[] = {LENGTH, 1, 1};
        for (size_t k = 0; k < 3; k++) {
            memset(network_at(longer, names[k], i), 0, 6 * width[k] * sizeof(double));
            memcpy(network_at(longer, names[k], i), network_at(bed, names[k], i),
                   4 * width[k] * sizeof(double));
        }
        memcpy(network_at(longer, "question", i), network_at(bed, "question", i),
               QUESTION * sizeof(double));
        memcpy(network_at(longer, "y", i), network_at(bed, "y", i), WORDS * sizeof(double));
    }
    assert_true(fabs(network_loss(longer) - network_loss(bed)) < 1e-12);
    network_close(longer);
    network_close(bed);
}

/* Without the matrix it is a plain recurrent network. */
static void what_was_written_is_read(void **state)
{
    mn_experiment experiment = fast_weights();
    (void)state;
    struct network_bed *with = network_open(&experiment, 4);
    experiment.model.fast_rate = 0;
    struct network_bed *without = network_open(&experiment, 4);
    assert_true(fabs(network_loss(with) - network_loss(without)) > 1e-6);
    network_close(with);
    network_close(without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_differences),
        cmocka_unit_test(controls_hide_the_story_or_the_question),
        cmocka_unit_test(nothing_decays_where_there_is_no_sentence),
        cmocka_unit_test(what_was_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
