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
#define LOSS(at)                                                                                   \
    {                                                                                              \
        .name = "loss", .axis = "inner_steps", .point = at, .unit = "nats"                         \
    }
#define ACCURACY(at)                                                                               \
    {                                                                                              \
        .name = "accuracy", .axis = "inner_steps", .point = at, .is_share = true,                  \
        .higher_is_better = true                                                                   \
    }
static mn_score four[] = {LOSS("0"), ACCURACY("0"), LOSS("5"), ACCURACY("5")};
static mn_score_list scores = {.n = 4, .at = four, .judged = 3};

static char *printed(const mn_evaluation *evaluation)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    mn_evaluation_print(evaluation, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Rows of scores, taken, skipped get weights of 1. */
static void from_plain_rows(const mn_score_list *list, mn_split split, uint32_t n_tasks,
                            const double *from, mn_evaluation *out)
{
    const size_t n = list->n, columns = 2 * n + 2;
    double *rows_with_weights = calloc(n_tasks * columns, sizeof *rows_with_weights);
    assert_non_null(rows_with_weights);
    for (uint32_t task = 0; task < n_tasks; task++) {
        double *row = rows_with_weights + task * columns;
        memcpy(row, from + task * (n + 2), n * sizeof *row);
        for (size_t i = 0; i < n; i++)
            row[n + i] = 1;
        memcpy(row + 2 * n, from + task * (n + 2) + n, 2 * sizeof *row);
    }
    assert_int_equal(mn_evaluation_from_rows(list, split, n_tasks, rows_with_weights, out, NULL),
                     MN_OK);
    free(rows_with_weights);
}

static mn_evaluation evaluate(uint32_t n_tasks, const double *from)
{
    mn_evaluation evaluation;
    from_plain_rows(&scores, MN_TEST, n_tasks, from, &evaluation);
    return evaluation;
}

static void means_and_intervals_are_over_the_tasks_that_count(void **state)
{
    (void)state;
    mn_evaluation evaluation = evaluate(TASKS, rows);
    const mn_estimate *at = evaluation.estimates;
    assert_int_equal(evaluation.n_counted, 3);
    assert_int_equal(evaluation.n_skipped, 1);
    assert_true(at[0].mean == 5);
    assert_true(fabs(at[0].half_width - 1.96 / sqrt(3)) < 1e-12); /* sd = 1 */
    assert_true(at[2].mean == 2);
    assert_true(fabs(at[3].mean - 0.8) < 1e-12);
    assert_true(fabs(at[3].half_width - 1.96 * 0.2 / sqrt(3)) < 1e-12);
    mn_evaluation_fini(&evaluation);
    mn_evaluation_fini(&evaluation);
}

static void one_task_has_no_interval_and_none_no_mean(void **state)
{
    (void)state;
    mn_evaluation evaluation = evaluate(1, rows);
    assert_true(evaluation.estimates[0].mean == 4);
    assert_true(isnan(evaluation.estimates[0].half_width));
    char *text = printed(&evaluation);
    assert_non_null(strstr(text, "     4.0000 +-      -   20.00 % +-      -\n"));
    free(text);
    mn_evaluation_fini(&evaluation);
    evaluation = evaluate(1, rows + (size_t)2 * COLUMNS);
    assert_int_equal(evaluation.n_counted, 0);
    assert_true(isnan(evaluation.estimates[0].mean));
    assert_true(mn_evaluation_score(&evaluation, MN_CHOOSE_SCORE) == -INFINITY);
    text = printed(&evaluation);
    assert_string_equal(text, "test: no score, for all 1 tasks were skipped: their loss was not "
                              "finite or too large\n");
    free(text);
    mn_evaluation_fini(&evaluation);
}

static void thetas_are_compared_by_the_judged_score_or_its_loss(void **state)
{
    (void)state;
    mn_evaluation evaluation = evaluate(TASKS, rows);
    const double expected[] = {-5, 0.3, -2, 0.8};
    for (scores.judged = 0; scores.judged < 4; scores.judged++) {
        const double loss = expected[scores.judged - scores.judged % 2]; /* of the same point */
        assert_true(fabs(mn_evaluation_score(&evaluation, MN_CHOOSE_SCORE) -
                         expected[scores.judged]) < 1e-12);
        assert_true(fabs(mn_evaluation_score(&evaluation, MN_CHOOSE_LOSS) - loss) < 1e-12);
    }
    scores.judged = 3;
    mn_evaluation_fini(&evaluation);
}

static void the_table_says_how_it_was_made_and_what_was_skipped(void **state)
{
    (void)state;
    mn_evaluation evaluation = evaluate(TASKS, rows);
    char *text = printed(&evaluation);
    assert_string_equal(
        text, "test: mean and 95 % interval (1.96 sd/sqrt(n)) over 3 tasks; 1 more were skipped: "
              "their loss was not finite or too large\n"
              "  inner steps               loss            accuracy\n"
              "            0     5.0000 +- 1.1316   30.00 % +- 11.32 %\n"
              "            5     2.0000 +- 1.1316   80.00 % +- 22.63 %\n");
    free(text);

    assert_int_equal(mn_evaluation_json(&evaluation, NULL, &text, NULL), MN_OK);
    json_t *root = json_loads(text, 0, NULL);
    const json_t *row = json_array_get(json_object_get(root, "scores"), 1);
    assert_int_equal(json_array_size(json_object_get(root, "scores")), 2);
    assert_int_equal(json_integer_value(json_object_get(root, "skipped")), 1);
    assert_int_equal(json_integer_value(json_object_get(row, "inner_steps")), 5);
    assert_true(json_real_value(json_object_get(row, "loss")) == 2);
    assert_int_equal(json_object_size(row), 5);
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "units"), "loss")),
                        "nats");
    json_decref(root);
    free(text);

    char line[128];
    mn_evaluation_text(&evaluation, line, sizeof line);
    assert_string_equal(line, "loss 2.0000 +- 1.1316, accuracy 80.00 +- 22.63 %");
    mn_evaluation_text(&evaluation, line, 20);
    assert_string_equal(line, "loss 2.0000 +- 1.13");
    mn_evaluation_fini(&evaluation);
}

/* Sixty scores of twenty sets; one of them lacks one. */
static void points_may_be_words_and_a_name_may_be_missing_at_one(void **state)
{
    (void)state;
    mn_score_list sets = {0};
    double *two = calloc((size_t)2 * 62, sizeof *two);
    char *text = NULL;
    assert_non_null(two);
    for (int set = 1; set <= 20; set++) {
        mn_score score = {.name = "loss", .axis = "set", .unit = "nats"};
        (void)snprintf(score.point, sizeof score.point, "qa%d", set);
        assert_int_equal(mn_score_list_add(&sets, &score, NULL), MN_OK);
        (void)snprintf(score.name, sizeof score.name, "error");
        score.is_share = true;
        if (set != 7)
            assert_int_equal(mn_score_list_add(&sets, &score, NULL), MN_OK);
        (void)snprintf(score.name, sizeof score.name, "margin");
        score.is_share = false;
        assert_int_equal(mn_score_list_add(&sets, &score, NULL), MN_OK);
    }
    for (int task = 0; task < 2; task++) {
        for (uint32_t i = 0; i < sets.n; i++)
            two[(size_t)task * (sets.n + 2) + i] = 0.01 * i;
        two[(size_t)task * (sets.n + 2) + sets.n] = 1;
    }
    mn_evaluation evaluation;
    from_plain_rows(&sets, MN_TEST, 2, two, &evaluation);
    text = printed(&evaluation);
    assert_non_null(strstr(text,
                           "   set               loss               error             margin\n"
                           "   qa1     0.0000 +- 0.0000    1.00 % +- 0.00 %     0.0200 +- "));
    assert_non_null(
        strstr(text, "\n   qa7     0.1800 +- 0.0000                         0.1900 +- "));
    free(text);
    assert_int_equal(mn_evaluation_json(&evaluation, NULL, &text, NULL), MN_OK);
    json_t *root = json_loads(text, 0, NULL);
    const json_t *row = json_array_get(json_object_get(root, "scores"), 6);
    assert_string_equal(json_string_value(json_object_get(row, "set")), "qa7");
    assert_null(json_object_get(row, "error"));
    json_decref(root);
    free(text);
    free(two);
    mn_evaluation_fini(&evaluation);
    mn_score_list_fini(&sets);
}

/* Right answers out of so many: 3 of 4, 5 of 8, and none that were asked. */
/* However often either set is drawn. */
static void the_mean_over_sets_counts_each_alike(void **state)
{
    (void)state;
    mn_score three[] = {
        {.name = "loss"},
        {.name = "accuracy", .axis = "set", .point = "a", .is_share = true},
        {.name = "accuracy", .axis = "set", .point = "b", .is_share = true},
    };
    mn_score_list sets = {.n = 3, .at = three, .averaged = "set"};
    enum { WIDE = 8 };
    const double tasks[6 * WIDE] = {
        1, 0.2, 0, 1, 1, 0, 1, 0, /**/ 1, 0.4, 0,   1, 1, 0, 1, 0, /**/ 1, 0.2, 0,   1, 1, 0, 1, 0,
        1, 0.4, 0, 1, 1, 0, 1, 0, /**/ 1, 0,   0.8, 1, 0, 1, 1, 0, /**/ 1, 0,   1.0, 1, 0, 1, 1, 0};
    mn_evaluation evaluation;
    mn_error err;
    assert_int_equal(mn_evaluation_from_rows(&sets, MN_TEST, 6, tasks, &evaluation, &err), MN_OK);
    const mn_estimate mean = mn_evaluation_mean_over_points(&evaluation, 1);
    assert_true(fabs(mean.mean - 0.6) < 1e-12); /* 0.3 and 0.9 */
    const double a = evaluation.estimates[1].half_width, b = evaluation.estimates[2].half_width;
    assert_true(fabs(mean.half_width - sqrt(a * a + b * b) / 2) < 1e-12);
    assert_true(isnan(mn_evaluation_mean_over_points(&evaluation, 0).mean)); /* of no set */
    char *text = printed(&evaluation);
    assert_non_null(strstr(text,
                           "\n     b                        90.00 % +- 19.60 %\n"
                           "  mean                        60.00 % +- 11.32 %  (of the sets)\n"));
    free(text);
    assert_int_equal(mn_evaluation_json(&evaluation, NULL, &text, NULL), MN_OK);
    json_t *root = json_loads(text, 0, NULL);
    const json_t *row = json_object_get(root, "mean");
    assert_string_equal(json_string_value(json_object_get(row, "over")), "set");
    assert_true(fabs(json_real_value(json_object_get(row, "accuracy")) - 0.6) < 1e-12);
    json_decref(root);
    free(text);
    mn_evaluation_fini(&evaluation);
    const double one[2 * WIDE] = {1, 0.2, 0, 1, 1, 0, 1, 0, /**/ 1, 0.4, 0, 1, 1, 0, 1, 0};
    assert_int_equal(mn_evaluation_from_rows(&sets, MN_TEST, 2, one, &evaluation, &err), MN_OK);
    assert_true(isnan(mn_evaluation_mean_over_points(&evaluation, 1).mean)); /* b had no task */
    text = printed(&evaluation);
    assert_non_null(strstr(text, "\n     b                                  no task\n"));
    free(text);
    mn_evaluation_fini(&evaluation);
}

static void a_weighted_score_is_a_mean_over_items(void **state)
{
    (void)state;
    mn_score one[] = {{.name = "accuracy", .is_share = true}};
    const mn_score_list list = {.n = 1, .at = one};
    const double three[] = {3, 4, 1, 0, 5, 8, 1, 0, 0, 0, 1, 0};
    mn_evaluation evaluation;
    assert_int_equal(mn_evaluation_from_rows(&list, MN_TEST, 3, three, &evaluation, NULL), MN_OK);
    assert_int_equal(evaluation.n_counted, 3);
    assert_true(fabs(evaluation.estimates[0].mean - 8.0 / 12) < 1e-15);
    /* residuals 3 - 4r = 1/3 and 5 - 8r = -1/3; two tasks of 6 items each in the mean */
    assert_true(fabs(evaluation.estimates[0].half_width - 1.96 * sqrt(2.0 / 9) / sqrt(2) / 6) <
                1e-15);
    mn_evaluation_fini(&evaluation);
}

static void scores_without_points_make_one_row(void **state)
{
    (void)state;
    mn_score one[] = {{.name = "loss", .unit = "nats"}};
    const mn_score_list list = {.n = 1, .at = one};
    const double row[] = {0.5, 1, 0, 0.5, 1, 0};
    char *text = NULL;
    mn_evaluation evaluation;
    from_plain_rows(&list, MN_VAL, 2, row, &evaluation);
    text = printed(&evaluation);
    assert_non_null(strstr(text, "over 2 tasks\n               loss\n     0.5000 +- 0.0000\n"));
    free(text);
    assert_int_equal(mn_evaluation_json(&evaluation, NULL, &text, NULL), MN_OK);
    json_t *root = json_loads(text, 0, NULL);
    assert_int_equal(json_object_size(json_array_get(json_object_get(root, "scores"), 0)), 2);
    json_decref(root);
    free(text);
    mn_evaluation_fini(&evaluation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_and_intervals_are_over_the_tasks_that_count),
        cmocka_unit_test(one_task_has_no_interval_and_none_no_mean),
        cmocka_unit_test(thetas_are_compared_by_the_judged_score_or_its_loss),
        cmocka_unit_test(the_table_says_how_it_was_made_and_what_was_skipped),
        cmocka_unit_test(points_may_be_words_and_a_name_may_be_missing_at_one),
        cmocka_unit_test(the_mean_over_sets_counts_each_alike),
        cmocka_unit_test(a_weighted_score_is_a_mean_over_items),
        cmocka_unit_test(scores_without_points_make_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
