/* hold_out_test.c: steps that held-out examples choose. */
#include "worker/learner/hold_out.h"

#include "worker/learner/adapted_bed.h"

/* Leave one out by hand: adapt to the others, ask for the one. */
static void leaving_one_out_is_adapting_to_the_others(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[10]);
    mn_error err = {.message = ""};
    const mn_examples all = examples_of(bed, NULL);
    enum { STEPS = 3, N = 6 };
    double losses[STEPS + 1], by_hand[STEPS + 1] = {0};
    mn_hold_out hold_out = {.most_steps = STEPS, .losses = losses};
    assert_int_equal(mn_hold_out_steps(bed->model, &all, &hold_out, &err), MN_OK);
    assert_int_equal(hold_out.n_held, N);
    for (uint32_t k = 0; k <= STEPS; k++)
        for (uint32_t out = 0; out < N; out++) {
            float x[N], y[N], answer = 0;
            for (uint32_t i = 0, n = 0; i < N; i++)
                if (i != out) {
                    x[n] = all.x[i];
                    y[n++] = all.y[i];
                }
            const mn_examples others = {.n = N - 1, .x = x, .y = y};
            mn_adapted *adapted = NULL;
            assert_int_equal(mn_adapted_new(bed->model, &others, k, NULL, &adapted, &err), MN_OK);
            assert_int_equal(mn_adapted_predict(adapted, 1, all.x + out, &answer, NULL, &err),
                             MN_OK);
            by_hand[k] += pow((double)answer - (double)all.y[out], 2) / N;
            mn_adapted_destroy(&adapted);
        }
    uint32_t best = 0;
    for (uint32_t k = 0; k <= STEPS; k++) {
        assert_true(fabs(by_hand[k] - losses[k]) <= 1e-6 * by_hand[k]);
        best = losses[k] < losses[best] ? k : best;
    }
    assert_int_equal(hold_out.best, best);
    bed_destroy(bed);
}

static void a_share_holds_out_the_last_of_each_class(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[7]); /* judged together: with company */
    mn_error err = {.message = ""};
    float *x = stripes();
    double losses[3], rights[3];
    const mn_examples examples = {.n = N_UNEVEN, .x = x, .n_classes = 5, .labels = uneven};
    mn_hold_out hold_out = {.share = 0.5, .most_steps = 2, .losses = losses, .rights = rights};
    assert_int_equal(mn_hold_out_steps(bed->model, &examples, &hold_out, &err), MN_OK);
    assert_int_equal(hold_out.n_held, 0 + 1 + 2 + 0 + 2); /* of 1, 2, 3, 1 and 4 */
    assert_true(rights[0] >= 0 && rights[0] <= 1);
    hold_out.share = 0;
    assert_int_equal(mn_hold_out_steps(bed->model, &examples, &hold_out, &err), MN_OK);
    assert_int_equal(hold_out.n_held, 9);
    hold_out.share = 1;
    assert_int_equal(mn_hold_out_steps(bed->model, &examples, &hold_out, &err), MN_ERR_CONFIG);
    free(x);
    bed_destroy(bed);
}

static void of_one_example_a_class_nothing_can_be_held_out(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[0]), *episodic = bed_new(episodes[0]);
    mn_error err = {.message = ""};
    uint32_t labels[64] = {0};
    double losses[3];
    mn_examples examples = examples_of(bed, labels);
    float one[3 * PIXELS];
    for (uint32_t c = 0; c < 3; c++)
        memcpy(one + (size_t)c * PIXELS, examples.x + (size_t)2 * c * PIXELS, PIXELS * sizeof *one);
    const uint32_t each[] = {0, 1, 2};
    examples.n = 3;
    examples.x = one;
    examples.labels = each;
    for (int share = 0; share < 2; share++) {
        mn_hold_out hold_out = {.share = 0.5 * share, .most_steps = 2, .losses = losses};
        assert_int_equal(mn_hold_out_steps(bed->model, &examples, &hold_out, &err), MN_ERR_CONFIG);
        assert_non_null(strstr(err.message, "nothing can be held out"));
        assert_int_equal(mn_hold_out_steps(episodic->model, &examples, &hold_out, &err),
                         MN_ERR_CONFIG);
        assert_non_null(strstr(err.message, "takes no inner steps"));
    }
    bed_destroy(bed);
    bed_destroy(episodic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaving_one_out_is_adapting_to_the_others),
        cmocka_unit_test(a_share_holds_out_the_last_of_each_class),
        cmocka_unit_test(of_one_example_a_class_nothing_can_be_held_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
