/* adapted_test.c: adapting to examples of pictures and points, and to stories, as a test task of the run. */
#include "worker/learner/adapted_bed.h"

#include <pthread.h>

static void what_a_test_task_computes_is_computed_bit_by_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_LOOPS + N_EPISODES; i++) {
        struct bed *bed = bed_new(learner_of(i));
        mn_error err = {.message = ""};
        mn_workspace *workspace = NULL;
        const size_t columns = mn_learner_columns(bed->learner, &bed->task->fields);
        float *adapted_theta = calloc(bed->n_theta, sizeof(float));
        float *ours = calloc(bed->n_theta, sizeof(float)), *outputs = NULL;
        float *query_output = calloc(n_query(bed) * columns, sizeof(float));
        double losses[8] = {0};
        assert_int_equal(mn_workspace_new(bed->learner, &workspace, &err), MN_OK);
        mn_explanation told = {.adapted = adapted_theta, .query_output = query_output};
        mn_learner_explain(workspace, bed->theta, bed->task, false, &told);
        mn_learner_export(bed->learner, adapted_theta, bed->outside);

        mn_adapted *adapted = adapt(bed, losses);
        mn_adapted_theta(adapted, ours);
        assert_int_equal(mn_adapted_size(adapted), bed->n_theta);
        assert_memory_equal(ours, bed->outside, bed->n_theta * sizeof *ours);
        assert_int_equal(mn_adapted_columns(adapted), columns);
        float *answers = predict(bed, adapted, &outputs);
        assert_memory_equal(outputs, query_output, n_query(bed) * columns * sizeof *outputs);
        if (i < N_LOOPS) {
            const uint32_t steps = bed->experiment.meta.inner_steps;
            assert_int_equal(mn_adapted_steps(adapted), steps);
            assert_true(losses[0] == told.support_loss);
            assert_true(losses[steps] == told.support_loss_after);
            assert_true(losses[steps] < losses[0]);
        }
        free(answers);
        free(outputs);
        free(ours);
        free(adapted_theta);
        free(query_output);
        mn_adapted_destroy(&adapted);
        mn_workspace_destroy(&workspace);
        bed_destroy(bed);
    }
}

static void probabilities_are_the_softmax_of_the_outputs(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_LOOPS + N_EPISODES; i++) {
        struct bed *bed = bed_new(learner_of(i));
        mn_adapted *adapted = adapt(bed, NULL);
        const uint32_t columns = mn_adapted_columns(adapted);
        float *outputs = NULL, *answers = predict(bed, adapted, &outputs);
        for (size_t q = 0; q < n_query(bed); q++) {
            double sum = 0, all = 0;
            for (uint32_t k = 0; k < columns; k++) {
                sum += exp((double)outputs[q * columns + k]);
                all += (double)answers[q * columns + k];
            }
            for (uint32_t k = 0; k < columns; k++) {
                const double z = (double)outputs[q * columns + k];
                const double wanted = mn_adapted_classes(adapted) > 0 ? exp(z) / sum : z;
                assert_true(fabs((double)answers[q * columns + k] - wanted) <=
                            1e-6 * (1 + fabs(wanted)));
            }
            assert_true(mn_adapted_classes(adapted) == 0 || fabs(all - 1) < 1e-5);
        }
        free(answers);
        free(outputs);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
}

static void heads_of_the_task_take_any_number_of_classes_with_unequal_examples(void **state)
{
    (void)state;
    const char *const any[] = {loops[7],    loops[8],    episodes[0],
                               episodes[1], episodes[2], episodes[3]};
    mn_error err = {.message = ""};
    for (size_t i = 0; i < sizeof any / sizeof *any; i++) {
        struct bed *bed = bed_new(any[i]);
        float *x = stripes(), answers[N_UNEVEN * 5];
        const char *const names[] = {"one", "two", "three", "four", "five"};
        const mn_examples examples = {
            .n = N_UNEVEN, .x = x, .n_classes = 5, .labels = uneven, .names = names};
        mn_adapted *adapted = NULL;
        assert_true(mn_model_any_way(bed->model));
        if (mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err) != MN_OK)
            fail_msg("%s: %s", any[i], err.message);
        assert_int_equal(mn_adapted_classes(adapted), 5);
        assert_string_equal(mn_adapted_class_name(adapted, 3), "four");
        assert_int_equal(mn_adapted_predict(adapted, N_UNEVEN, x, answers, NULL, &err), MN_OK);
        uint32_t right = 0;
        for (size_t q = 0; q < N_UNEVEN; q++)
            right += mn_label_of(5, answers + 5 * q) == uneven[q];
        if (any[i] != episodes[3])             /* LSTMs that have not learned put all in disorder */
            assert_int_equal(right, N_UNEVEN); /* they are the examples themselves */
        mn_adapted_destroy(&adapted);
        assert_int_equal(
            mn_adapted_new(bed->model, &examples, MN_STEPS_AS_TRAINED, NULL, &adapted, &err),
            MN_OK);
        free(x);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
}

static void a_head_with_a_row_a_class_refuses_other_numbers_and_says_what_to_do(void **state)
{
    (void)state;
    const char *const fixed[] = {loops[0], loops[3], loops[5], loops[6]};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        struct bed *bed = bed_new(fixed[i]);
        mn_error err = {.message = ""};
        float *x = stripes();
        const mn_examples examples = {.n = N_UNEVEN, .x = x, .n_classes = 5, .labels = uneven};
        mn_adapted *adapted = NULL;
        assert_false(mn_model_any_way(bed->model));
        assert_int_equal(mn_adapted_new(bed->model, &examples, 1, NULL, &adapted, &err),
                         MN_ERR_CONFIG);
        assert_null(adapted);
        assert_non_null(strstr(err.message, "this task has 5 classes, but the run was trained with "
                                            "3 (tasks.way)"));
        assert_non_null(strstr(err.message, "model.output distance or match"));
        free(x);
        bed_destroy(bed);
    }
}

static void items_judged_alone_are_so_in_whatever_company(void **state)
{
    (void)state;
    const char *const alone[] = {loops[1], loops[2], episodes[1], episodes[2]};
    enum { MANY = 150 };
    mn_error err = {.message = ""};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        struct bed *bed = bed_new(alone[i]);
        mn_adapted *adapted = adapt(bed, NULL);
        const float *x = bed->task->at[MN_QUERY_X];
        const size_t n = n_query(bed);
        float *many = calloc((size_t)MANY * PIXELS, sizeof *many), answers[MANY * 3], one[3];
        assert_non_null(many);
        assert_false(mn_model_judges_together(bed->model));
        for (size_t q = 0; q < MANY; q++)
            memcpy(many + q * PIXELS, x + q % n * PIXELS, PIXELS * sizeof *many);
        assert_int_equal(mn_adapted_predict(adapted, MANY, many, answers, NULL, &err), MN_OK);
        for (size_t q = 0; q < MANY; q++) {
            assert_int_equal(mn_adapted_predict(adapted, 1, many + q * PIXELS, one, NULL, &err),
                             MN_OK);
            for (size_t k = 0; k < 3; k++)
                assert_true(fabsf(one[k] - answers[3 * q + k]) < 1e-5f);
        }
        free(many);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
}

static void refuse(const struct bed *bed, const mn_examples *examples, uint32_t steps,
                   mn_status status, const char *why)
{
    mn_error err = {.message = ""};
    mn_adapted *adapted = NULL;
    assert_int_equal(mn_adapted_new(bed->model, examples, steps, NULL, &adapted, &err), status);
    assert_null(adapted);
    if (strstr(err.message, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void examples_that_are_none_are_refused(void **state)
{
    (void)state;
    struct bed *bed = bed_new(episodes[0]), *points = bed_new(loops[10]);
    uint32_t labels[64];
    const char *const names[] = {"a", "b", "c", "d"}, *const odd[] = {"a", "line\nend", "c"};
    const mn_examples sound = examples_of(bed, labels);
    mn_examples examples = sound;
    examples.n = 0;
    refuse(bed, &examples, 0, MN_ERR_DATA, "no examples");
    examples = sound;
    examples.n_classes = 1;
    refuse(bed, &examples, 0, MN_ERR_DATA, "1 class: expected two or more");
    examples = sound;
    examples.n_classes = 4;
    examples.names = names;
    refuse(bed, &examples, 0, MN_ERR_DATA, "class 3, d has no example");
    examples = sound;
    examples.names = odd;
    refuse(bed, &examples, 0, MN_ERR_DATA, "cannot be written down");
    labels[1] = 3;
    refuse(bed, &sound, 0, MN_ERR_DATA, "label 3 of example 1: expected 0 to 2");
    labels[1] = 0;
    refuse(bed, &sound, 4, MN_ERR_CONFIG, "takes none");
    bed->task->at[MN_SUPPORT_X][PIXELS + 5] = NAN;
    refuse(bed, &sound, 0, MN_ERR_DATA, "x of item 1 has number 5 that is not finite");
    examples = examples_of(points, labels);
    examples.n_classes = 2;
    refuse(points, &examples, 0, MN_ERR_CONFIG, "learned to tell values");
    examples = examples_of(points, labels);
    refuse(points, &examples, MN_MOST_STEPS + 1, MN_ERR_CONFIG, "at most 100000");
    points->task->at[MN_SUPPORT_Y][2] = INFINITY;
    refuse(points, &examples, 0, MN_ERR_DATA, "y of item 2");
    bed_destroy(bed);
    bed_destroy(points);
}

static void steps_that_run_away_are_told(void **state)
{
    (void)state;
    struct bed *bed = bed_new(POINTS "meta: {kind: maml, inner_steps: 30, inner_lr: 100}\n");
    const mn_examples examples = examples_of(bed, NULL);
    refuse(bed, &examples, MN_STEPS_AS_TRAINED, MN_ERR_NUMERIC, "take fewer steps");
    bed_destroy(bed);
}

static void a_learner_without_support_sets_is_refused(void **state)
{
    (void)state;
    struct bed *bed = bed_new("tasks: {kind: generated-stories, sentences: 6, bundle: 5}\n"
                              "model: {embedding: 4}\nmeta: {kind: episodic}\n");
    mn_error err = {.message = ""};
    mn_adapted *adapted = NULL;
    assert_int_equal(mn_adapted_new_of_task(bed->model, bed->task, 0, NULL, &adapted, &err),
                     MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "takes no support set"));
    bed_destroy(bed);
}

struct errand {
    const struct bed *bed;
    const mn_adapted *shared;
    float *theta, *outputs, *answers;
};

static void *run_errand(void *of)
{
    struct errand *errand = of;
    for (int i = 0; i < 5; i++) {
        mn_adapted *adapted = adapt(errand->bed, NULL);
        mn_adapted_theta(adapted, errand->theta);
        mn_adapted_destroy(&adapted);
        free(errand->answers);
        free(errand->outputs);
        errand->answers = predict(errand->bed, errand->shared, &errand->outputs);
    }
    return NULL;
}

static void threads_share_a_model_and_an_adapted_one(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[0]);
    mn_adapted *adapted = adapt(bed, NULL);
    struct errand errands[3];
    pthread_t threads[3];
    const size_t bytes = n_query(bed) * mn_adapted_columns(adapted) * sizeof(float);
    for (int i = 0; i < 3; i++) {
        errands[i] = (struct errand){
            .bed = bed, .shared = adapted, .theta = calloc(bed->n_theta, sizeof(float))};
        assert_int_equal(pthread_create(&threads[i], NULL, run_errand, &errands[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(errands[i].theta, errands[0].theta, bed->n_theta * sizeof(float));
        assert_memory_equal(errands[i].answers, errands[0].answers, bytes);
    }
    for (int i = 0; i < 3; i++) {
        free(errands[i].theta);
        free(errands[i].outputs);
        free(errands[i].answers);
    }
    mn_adapted_destroy(&adapted);
    bed_destroy(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_test_task_computes_is_computed_bit_by_bit),
        cmocka_unit_test(probabilities_are_the_softmax_of_the_outputs),
        cmocka_unit_test(heads_of_the_task_take_any_number_of_classes_with_unequal_examples),
        cmocka_unit_test(a_head_with_a_row_a_class_refuses_other_numbers_and_says_what_to_do),
        cmocka_unit_test(items_judged_alone_are_so_in_whatever_company),
        cmocka_unit_test(examples_that_are_none_are_refused),
        cmocka_unit_test(steps_that_run_away_are_told),
        cmocka_unit_test(a_learner_without_support_sets_is_refused),
        cmocka_unit_test(threads_share_a_model_and_an_adapted_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
