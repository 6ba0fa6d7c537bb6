#include "coordinator/run/ensemble.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MEMBERS = 3, TASKS = 5, WAY = 3, ITEMS = WAY * 2 };

/* Three thetas that have not trained, and their tasks. */
static mn_experiment experiment;
static mn_task_set *tasks;
static mn_learner *learner;
static mn_member members[MEMBERS];
static float *thetas[MEMBERS];

static void open_tasks(const char *yaml)
{
    mn_error err = {.message = ""};
    mn_experiment_init(&experiment);
    if (mn_experiment_parse(&experiment, "test", yaml, strlen(yaml), &err) != MN_OK ||
        mn_experiment_check(&experiment, &err) != MN_OK ||
        mn_task_set_open(&experiment, NULL, &tasks, &err) != MN_OK ||
        mn_learner_new(&experiment, mn_task_set_fields(tasks, MN_TRAIN),
                       mn_task_set_fields(tasks, MN_TEST), &learner, &err) != MN_OK)
        fail_msg("%s: %s", yaml, err.message);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        thetas[i] = calloc(mn_learner_size(learner), sizeof(float));
        assert_non_null(thetas[i]);
        mn_learner_init_theta(learner, i + 1, thetas[i]);
        members[i] = (mn_member){learner, thetas[i]};
    }
}

static int open_classes(void **state)
{
    (void)state;
    open_tasks(
        "tasks: {kind: glyphs, way: 3, shot: 1, query: 2, image_size: 8}\n"
        "model: {input: conv4, filters: 4, blocks: 2, memory: class-means, output: distance, "
        "batch_norm_statistics: item}\nmeta: {kind: episodic}\n");
    return 0;
}

static int close_tasks(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MEMBERS; i++)
        free(thetas[i]);
    mn_learner_destroy(&learner);
    mn_task_set_destroy(&tasks);
    return 0;
}

static void judge(size_t n, uint32_t n_threads, mn_score_list *scores, mn_evaluation *out)
{
    mn_error err = {.message = ""};
    if (mn_ensemble_judge(n, members, tasks, TASKS, n_threads, scores, out, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_true(out->n_counted == TASKS && out->n_skipped == 0 && scores->n == 2);
    assert_string_equal(scores->at[0].name, "loss");
    assert_string_equal(scores->at[1].name, "accuracy");
}

static void forget(mn_score_list *scores, mn_evaluation *evaluation)
{
    mn_evaluation_fini(evaluation);
    mn_score_list_fini(scores);
}

/* Loss and accuracy of a task by hand: of the mean of the first n members' probabilities. */
static void by_hand(size_t n, uint32_t index, double *loss, double *accuracy)
{
    double mean[ITEMS][WAY] = {{0}};
    float output[ITEMS * WAY];
    mn_task *task = NULL;
    mn_workspace *workspace = NULL;
    assert_int_equal(mn_task_new(mn_task_set_fields(tasks, MN_TEST), &task, NULL), MN_OK);
    assert_int_equal(mn_workspace_new(learner, &workspace, NULL), MN_OK);
    mn_task_set_draw(tasks, MN_TEST, index, task);
    for (size_t k = 0; k < n; k++) {
        mn_explanation told = {.query_output = output};
        mn_learner_explain(workspace, thetas[k], task, false, &told);
        for (uint32_t i = 0; i < ITEMS; i++) {
            double sum = 0;
            for (uint32_t c = 0; c < WAY; c++)
                sum += exp((double)output[i * WAY + c]);
            for (uint32_t c = 0; c < WAY; c++)
                mean[i][c] += exp((double)output[i * WAY + c]) / sum / (double)n;
        }
    }
    const float *y = mn_task_find(task, MN_QUERY, "y");
    *loss = *accuracy = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        const uint32_t label = mn_label_of(WAY, y + (size_t)i * WAY);
        uint32_t best = 0;
        for (uint32_t c = 1; c < WAY; c++)
            best = mean[i][c] > mean[i][best] ? c : best;
        *loss -= log(mean[i][label]) / ITEMS;
        *accuracy += (best == label) / (double)ITEMS;
    }
    mn_workspace_destroy(&workspace);
    mn_task_destroy(&task);
}

static void the_mean_of_probabilities_is_judged(void **state)
{
    (void)state;
    for (size_t n = 1; n <= MEMBERS; n++) {
        mn_score_list scores;
        mn_evaluation is;
        double losses = 0, accuracies = 0;
        judge(n, 1, &scores, &is);
        for (uint32_t i = 0; i < TASKS; i++) {
            double loss, accuracy;
            by_hand(n, i, &loss, &accuracy);
            assert_true(fabs(is.rows[i * 6] - loss) < 1e-5 * (1 + loss));
            assert_true(fabs(is.rows[i * 6 + 1] - accuracy) < 1e-6);
            losses += loss / TASKS;
            accuracies += accuracy / TASKS;
        }
        assert_true(fabs(is.estimates[0].mean - losses) < 1e-5 * (1 + losses));
        assert_true(fabs(is.estimates[1].mean - accuracies) < 1e-6);
        forget(&scores, &is);
    }
}

static void threads_change_no_bit(void **state)
{
    mn_score_list scores[2];
    mn_evaluation is[2];
    (void)state;
    judge(MEMBERS, 1, &scores[0], &is[0]);
    judge(MEMBERS, 4, &scores[1], &is[1]);
    assert_memory_equal(is[0].rows, is[1].rows, TASKS * 6 * sizeof(double));
    forget(&scores[0], &is[0]);
    forget(&scores[1], &is[1]);
}

static void a_member_that_is_not_finite_costs_the_task(void **state)
{
    mn_score_list scores;
    mn_evaluation is;
    mn_error err = {.message = ""};
    (void)state;
    thetas[1][0] = NAN;
    assert_int_equal(mn_ensemble_judge(2, members, tasks, TASKS, 1, &scores, &is, &err), MN_OK);
    assert_true(is.n_counted == 0 && is.n_skipped == TASKS);
    forget(&scores, &is);
}

static int open_values(void **state)
{
    (void)state;
    open_tasks("tasks: {kind: sinusoid}\n");
    return 0;
}

static void values_have_no_probabilities(void **state)
{
    mn_score_list scores;
    mn_evaluation is;
    mn_error err = {.message = ""};
    (void)state;
    assert_int_equal(mn_ensemble_judge(2, members, tasks, TASKS, 1, &scores, &is, &err),
                     MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "no probabilities"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_mean_of_probabilities_is_judged, open_classes,
                                        close_tasks),
        cmocka_unit_test_setup_teardown(threads_change_no_bit, open_classes, close_tasks),
        cmocka_unit_test_setup_teardown(a_member_that_is_not_finite_costs_the_task, open_classes,
                                        close_tasks),
        cmocka_unit_test_setup_teardown(values_have_no_probabilities, open_values, close_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
