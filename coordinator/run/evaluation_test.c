#include "coordinator/run/evaluation.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TASKS = 4, COLUMNS = 6 };

/* loss and accuracy after 0 and after 5 steps, taken, skipped; the third task does not count */
static const double rows[TASKS * COLUMNS] = {
    4, 0.2, 1, 0.8, 1, 0, /* */
    6, 0.4, 2, 1.0, 1, 0, /* */
    0, 0.0, 0, 0.0, 0, 1, /* */
    5, 0.3, 3, 0.6, 1, 0, /* */
};
static const mn_uint_list steps = {.n = 2, .at = {0, 5}};

static void means_and_intervals_are_over_the_tasks_that_count(void **state)
{
    (void)state;
    mn_evaluation evaluation;
    assert_int_equal(mn_evaluation_columns(&steps), COLUMNS);
    mn_evaluation_from_rows(&steps, MN_TEST, true, TASKS, rows, &evaluation);
    assert_int_equal(evaluation.n_counted, 3);
    assert_int_equal(evaluation.n_skipped, 1);
    assert_true(evaluation.loss[0].mean == 5);
    assert_true(fabs(evaluation.loss[0].half_width - 1.96 / sqrt(3)) < 1e-12); /* sd = 1 */
    assert_true(evaluation.loss[1].mean == 2);
    assert_true(fabs(evaluation.accuracy[1].mean - 0.8) < 1e-12);
    assert_true(fabs(evaluation.accuracy[1].half_width - 1.96 * 0.2 / sqrt(3)) < 1e-12);
}

static void one_task_has_no_interval_and_none_no_mean(void **state)
{
    (void)state;
    mn_evaluation evaluation;
    mn_evaluation_from_rows(&steps, MN_TEST, true, 1, rows, &evaluation);
    assert_true(evaluation.loss[0].mean == 4);
    assert_true(isnan(evaluation.loss[0].half_width));
    mn_evaluation_from_rows(&steps, MN_TEST, true, 1, rows + (size_t)2 * COLUMNS, &evaluation);
    assert_int_equal(evaluation.n_counted, 0);
    assert_true(isnan(evaluation.loss[0].mean));
    assert_true(mn_evaluation_score(&evaluation, 5) == -INFINITY);
}

static void the_score_is_accuracy_or_minus_the_loss_after_the_steps_asked_for(void **state)
{
    (void)state;
    mn_evaluation evaluation;
    mn_evaluation_from_rows(&steps, MN_VAL, true, TASKS, rows, &evaluation);
    assert_true(fabs(mn_evaluation_score(&evaluation, 0) - 0.3) < 1e-12);
    assert_true(fabs(mn_evaluation_score(&evaluation, 5) - 0.8) < 1e-12);
    assert_true(fabs(mn_evaluation_score(&evaluation, 3) - 0.8) <
                1e-12); /* not measured: the last */
    evaluation.classes = false;
    assert_true(mn_evaluation_score(&evaluation, 0) == -5);
}

static void the_table_says_how_it_was_made_and_what_was_skipped(void **state)
{
    (void)state;
    mn_evaluation evaluation;
    char *text = NULL;
    size_t n = 0;
    mn_evaluation_from_rows(&steps, MN_TEST, true, TASKS, rows, &evaluation);
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    mn_evaluation_print(&evaluation, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "test: mean and 95 % interval (1.96 sd/sqrt(n)) over 3 tasks"));
    assert_non_null(strstr(text, "1 more were skipped"));
    assert_non_null(strstr(text, "80.00 % +- 22.63 %"));
    free(text);

    assert_int_equal(mn_evaluation_json(&evaluation, &text, NULL), MN_OK);
    json_t *root = json_loads(text, 0, NULL);
    const json_t *row = json_array_get(json_object_get(root, "scores"), 1);
    assert_int_equal(json_integer_value(json_object_get(root, "skipped")), 1);
    assert_int_equal(json_integer_value(json_object_get(row, "inner_steps")), 5);
    assert_true(json_real_value(json_object_get(row, "loss")) == 2);
    json_decref(root);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_and_intervals_are_over_the_tasks_that_count),
        cmocka_unit_test(one_task_has_no_interval_and_none_no_mean),
        cmocka_unit_test(the_score_is_accuracy_or_minus_the_loss_after_the_steps_asked_for),
        cmocka_unit_test(the_table_says_how_it_was_made_and_what_was_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
