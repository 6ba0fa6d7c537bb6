/* candidates_test.c: sentences as answers: gradients by central differences, under each reasoning that
 * chooses one, with words of their own and tied ones; and what a match is worth. PyTorch's numbers are
 * in tests/reference/dialog_test.c. */
#include "worker/learner/parts/story_network_bed.h"

static mn_experiment experiment_of(mn_memory_kind memory, mn_reasoning_kind reasoning,
                                   mn_tying tying, mn_candidate_words words)
{
    mn_experiment experiment = network_experiment(memory, reasoning);
    experiment.model.output = MN_OUTPUT_CANDIDATES;
    experiment.model.encoding = MN_ENCODING_BAG;
    experiment.model.tying = tying;
    experiment.model.candidates = words;
    return experiment;
}

static void gradients_are_those_of_central_differences(void **state)
{
    (void)state;
    for (mn_candidate_words words = MN_CANDIDATES_OWN; words <= MN_CANDIDATES_TIED; words++) {
        mn_experiment experiment;
        for (mn_tying tying = MN_TYING_ADJACENT; tying <= MN_TYING_SINGLE; tying++) {
            experiment = experiment_of(MN_MEMORY_STORY, MN_REASONING_HOPS, tying, words);
            network_check_gradient(&experiment, 3);
        }
        experiment = experiment_of(MN_MEMORY_SENTENCES, MN_REASONING_QUERY_REDUCTION,
                                   MN_TYING_ADJACENT, words);
        network_check_gradient(&experiment, 3);
    }
}

static bool has_tensor(const struct network_bed *bed, const char *name)
{
    return mn_parameters_find(&bed->network.parameters, name) != UINT32_MAX;
}

/* Tied, the table is one that the memory has by another name, and as wide as the vocabulary. */
static void tied_words_have_no_table_of_their_own(void **state)
{
    static const char *const given[] = {"embed2.weight", "embed_c.weight", "embed.weight"};
    (void)state;
    for (mn_tying tying = MN_TYING_ADJACENT; tying <= MN_TYING_SINGLE; tying++)
        for (mn_candidate_words words = MN_CANDIDATES_OWN; words <= MN_CANDIDATES_TIED; words++) {
            const mn_experiment experiment =
                experiment_of(MN_MEMORY_STORY, MN_REASONING_HOPS, tying, words);
            struct network_bed *bed = network_open(&experiment, 3);
            const uint32_t table = mn_parameters_find(&bed->network.parameters, given[tying]);
            assert_true(has_tensor(bed, "response.weight") == (words == MN_CANDIDATES_OWN));
            assert_true(has_tensor(bed, "match.weight"));
            assert_true(table != UINT32_MAX);
            assert_int_equal(bed->network.parameters.at[table].count, WORDS * 4);
            network_close(bed);
        }
}

static void a_match_changes_the_answer(void **state)
{
    const mn_experiment experiment =
        experiment_of(MN_MEMORY_STORY, MN_REASONING_HOPS, MN_TYING_ADJACENT, MN_CANDIDATES_OWN);
    struct network_bed *bed = network_open(&experiment, 3);
    const double before = network_loss(bed);
    (void)state;
    double *match = network_at(bed, "match", 1);
    *match = 1 - *match;
    assert_true(fabs(network_loss(bed) - before) > 1e-6);
    network_close(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_central_differences),
        cmocka_unit_test(tied_words_have_no_table_of_their_own),
        cmocka_unit_test(a_match_changes_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
