/* Implicit MAML in double: where the inner loop has come to its minimum the meta-gradient agrees
 * with central differences of the query loss, however it came there; and what becomes of curvature
 * that is not positive. tests/reference has the numbers of PyTorch, short loops among them. */
#include "worker/learner/rules/rule_bed.h"

static mn_experiment implicit(mn_experiment e, double lambda, uint32_t cg_steps)
{
    e.meta.kind = MN_META_IMAML;
    e.meta.lambda = lambda;
    e.meta.cg_steps = cg_steps;
    return e;
}

static void at_the_minimum_it_agrees_with_central_differences(void **state)
{
    (void)state;
    check_objective(bed_new(implicit(mlp(MN_TANH, false), 1, 200), 300, true, 0), judged_last, 1e-6,
                    "mlp");
    mn_experiment steep =
        mlp(MN_TANH, true); /* steeper, and not of ReLU, whose bends minima like */
    steep.meta.inner_lr = 0.01;
    check_objective(bed_new(implicit(steep, 20, 200), 400, true, 0), judged_last, 1e-6,
                    "mlp with batch norm");
}

/* What stands still moves the minimum too. */
static void at_the_minimum_what_stands_still_has_its_gradient(void **state)
{
    (void)state;
    const mn_experiment e = implicit(mlp(MN_TANH, false), 1, 200);
    check_objective(bed_new(adapting(e, MN_ADAPTS_BODY), 300, true, 0), judged_last, 1e-6, "body");
    check_objective(bed_new(adapting(e, MN_ADAPTS_OUTPUT), 300, true, 0), judged_last, 1e-6,
                    "output");
}

static void what_stands_still_is_not_moved(void **state)
{
    (void)state;
    static mn_real moved[MAX_THETA];
    struct bed *bed =
        bed_new(adapting(implicit(mlp(MN_TANH, false), 1, 3), MN_ADAPTS_OUTPUT), 4, true, 0);
    const mn_rule_losses losses = differentiate_in(bed);
    assert_true(judged_last(bed) == losses.query);
    mn_rule_adapted(bed->rule, bed->scratch, bed->theta, moved);
    for (size_t i = 0; i < size_of(bed); i++)
        assert_true((moved[i] != bed->theta[i]) == (i >= head_of(bed)));
    mn_rule_begin(bed->rule, bed->scratch, bed->theta, &bed->data);
    mn_rule_resume(bed->rule, bed->scratch, moved, NULL, 4);
    assert_true(mn_rule_judge(bed->rule, bed->scratch, bed->theta, &bed->data, bed->output) ==
                losses.query);
    bed_destroy(bed);
}

/* So it would not be found if the solution were left out. */
static void the_solution_is_not_the_query_gradient(void **state)
{
    (void)state;
    struct bed *solved = bed_new(implicit(mlp(MN_TANH, false), 1, 200), 300, true, 0);
    struct bed *first = bed_new(implicit(mlp(MN_TANH, false), 1, 0), 300, true, 0);
    const mn_rule_losses a = differentiate_in(solved), b = differentiate_in(first);
    assert_true(a.query == b.query);
    assert_true(a.more[0] == 0 && a.more[1] < 1e-6);
    assert_true(b.more[0] == 0 && b.more[1] == 1);
    double most = 0, largest = 0;
    for (size_t i = 0; i < size_of(first); i++) {
        most = fmax(most, fabs((double)(solved->gradient[i] - first->gradient[i])));
        largest = fmax(largest, fabs((double)first->gradient[i]));
    }
    assert_true(most > 0.1 * largest);
    bed_destroy(solved);
    bed_destroy(first);
}

/* A weak hold at a random theta: some first directions curve down, some do not. */
static void a_first_direction_of_negative_curvature_leaves_the_query_gradient(void **state)
{
    (void)state;
    uint32_t n_down = 0, n_up = 0;
    struct bed *bed = bed_new(implicit(mlp(MN_TANH, false), 0.01, 1), 0, true, 0);
    struct bed *first = bed_new(implicit(mlp(MN_TANH, false), 0.01, 0), 0, true, 0);
    for (int i = 0; i < 60; i++) {
        for (size_t k = 0; k < size_of(bed); k++)
            first->theta[k] = bed->theta[k] = (mn_real)(1.5 * draw());
        (void)differentiate_in(first);
        const mn_rule_losses losses = differentiate_in(bed);
        const bool down = losses.more[0] == 1;
        const bool same =
            memcmp(bed->gradient, first->gradient, size_of(bed) * sizeof *bed->gradient) == 0;
        assert_true(down == same);
        n_down += down;
        n_up += !down;
    }
    assert_true(n_down > 0 && n_up > 0);
    bed_destroy(bed);
    bed_destroy(first);
}

static void a_later_one_leaves_what_was_found_before_it(void **state)
{
    (void)state;
    uint32_t n = 0;
    for (uint32_t cg_steps = 2; cg_steps < 8; cg_steps++) {
        struct bed *bed = bed_new(implicit(mlp(MN_TANH, false), 0.01, cg_steps), 0, true, 0);
        struct bed *less = bed_new(implicit(mlp(MN_TANH, false), 0.01, cg_steps - 1), 0, true, 0);
        for (int i = 0; i < 20; i++) {
            for (size_t k = 0; k < size_of(bed); k++)
                less->theta[k] = bed->theta[k] = (mn_real)(1.5 * draw());
            const mn_rule_losses a = differentiate_in(bed), b = differentiate_in(less);
            if (a.more[0] == 0 || b.more[0] == 1)
                continue; /* the last step of bed was the first that curved down */
            n++;
            assert_memory_equal(bed->gradient, less->gradient,
                                size_of(bed) * sizeof *bed->gradient);
            assert_true(a.more[1] == b.more[1]);
        }
        bed_destroy(bed);
        bed_destroy(less);
    }
    assert_true(n > 0);
}

/* Step by step, as a test does it, and in one go, as training does; the hold is felt. */
static void a_test_adapts_as_training_does(void **state)
{
    (void)state;
    struct bed *bed = bed_new(implicit(mlp(MN_TANH, true), 0.5, 3), 4, true, 0);
    struct bed *test = bed_new(implicit(mlp(MN_TANH, true), 0.5, 3), 4, false, 0);
    struct bed *free_one = bed_new(implicit(mlp(MN_TANH, true), 1e-9, 3), 4, false, 0);
    assert_true(mn_rule_scratch_bytes(test->rule) < mn_rule_scratch_bytes(bed->rule));
    const mn_rule_losses losses = differentiate_in(bed);
    assert_true(judged_last(bed) == losses.query);
    assert_true(judged_last(test) == losses.query);
    static mn_real near[MAX_THETA], far[MAX_THETA];
    (void)judged_last(free_one);
    mn_rule_adapted(test->rule, test->scratch, test->theta, near);
    mn_rule_adapted(free_one->rule, free_one->scratch, free_one->theta, far);
    double of_near = 0, of_far = 0;
    for (size_t i = 0; i < size_of(bed); i++) {
        of_near += pow((double)(near[i] - bed->theta[i]), 2);
        of_far += pow((double)(far[i] - bed->theta[i]), 2);
    }
    assert_true(of_near > 0 && of_near < of_far);
    bed_destroy(bed);
    bed_destroy(test);
    bed_destroy(free_one);
}

static void memory_does_not_grow_with_the_inner_steps(void **state)
{
    (void)state;
    struct bed *few = bed_new(implicit(mlp(MN_TANH, false), 1, 5), 1, true, KEEP_BYTES);
    struct bed *many = bed_new(implicit(mlp(MN_TANH, false), 1, 5), 1000, true, KEEP_BYTES);
    assert_int_equal(mn_rule_scratch_bytes(few->rule), mn_rule_scratch_bytes(many->rule));
    bed_destroy(few);
    bed_destroy(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_the_minimum_it_agrees_with_central_differences),
        cmocka_unit_test(at_the_minimum_what_stands_still_has_its_gradient),
        cmocka_unit_test(what_stands_still_is_not_moved),
        cmocka_unit_test(the_solution_is_not_the_query_gradient),
        cmocka_unit_test(a_first_direction_of_negative_curvature_leaves_the_query_gradient),
        cmocka_unit_test(a_later_one_leaves_what_was_found_before_it),
        cmocka_unit_test(a_test_adapts_as_training_does),
        cmocka_unit_test(memory_does_not_grow_with_the_inner_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
