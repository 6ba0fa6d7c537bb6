#include "coordinator/run/comparison.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_TASKS 6u
#define assert_near(value, expected) assert_true(fabs((value) - (expected)) < 1e-12)

/* Two scores at one point: columns loss, accuracy; weights of both; taken; skipped. */
static mn_score_list scores;

static int set_up(void **state)
{
    (void)state;
    const mn_score loss = {.name = "loss", .axis = "inner_steps", .point = "5", .unit = "nats"};
    const mn_score accuracy = {.name = "accuracy",
                               .axis = "inner_steps",
                               .point = "5",
                               .is_share = true,
                               .higher_is_better = true};
    scores = (mn_score_list){0};
    assert_int_equal(mn_score_list_add(&scores, &loss, NULL), MN_OK);
    assert_int_equal(mn_score_list_add(&scores, &accuracy, NULL), MN_OK);
    scores.judged = 1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mn_score_list_fini(&scores);
    return 0;
}

/* The accuracies are given; a negative one is of a task that was skipped. */
static mn_evaluation table_of(const double *accuracies, const double *weights)
{
    mn_evaluation table;
    double *rows = calloc(N_TASKS * 6, sizeof *rows);
    assert_non_null(rows);
    for (uint32_t i = 0; i < N_TASKS; i++) {
        const double row[6] = {1 - accuracies[i], accuracies[i],      1,
                               weights[i],        accuracies[i] >= 0, accuracies[i] < 0};
        memcpy(rows + 6 * (size_t)i, row, sizeof row);
    }
    assert_int_equal(mn_evaluation_from_rows(&scores, MN_TEST, N_TASKS, rows, &table, NULL), MN_OK);
    table.rows = rows;
    return table;
}

static const double ones[N_TASKS] = {1, 1, 1, 1, 1, 1};

static void a_difference_is_taken_task_by_task(void **state)
{
    (void)state;
    mn_evaluation a = table_of((const double[]){0.1, 0.9, 0.2, 0.8, 0.3, 0.5}, ones);
    mn_evaluation b = table_of((const double[]){0.2, 1.0, 0.4, 0.9, 0.4, 0.5}, ones);
    const mn_difference d = mn_difference_between(&a, 1, &b, 1);
    assert_int_equal(d.n, 6);
    assert_int_equal(d.higher, 5);
    assert_int_equal(d.lower, 0);
    assert_int_equal(d.equal, 1);
    assert_near(d.mean, 0.1);
    /* Differences 0.1, 0.1, 0.2, 0.1, 0.1, 0: sd 0.0632456 with n-1. */
    assert_near(d.half_width, 1.96 * 0.06324555320336759 / sqrt(6));
    assert_near(d.p, 2.0 / 32);
    assert_true(a.estimates[1].half_width > 3 * d.half_width);
    mn_evaluation_fini(&a);
    mn_evaluation_fini(&b);
}

static void a_task_that_one_of_both_skipped_is_in_no_pair(void **state)
{
    (void)state;
    mn_evaluation a = table_of((const double[]){0.5, 0.5, -1, 0.5, 0.5, 0.5}, ones);
    mn_evaluation b = table_of((const double[]){0.4, 0.6, 0.0, -1, 0.5, 0.7}, ones);
    const mn_difference d = mn_difference_between(&a, 1, &b, 1);
    assert_int_equal(d.n, 4);
    assert_near(d.mean, 0.05);
    assert_near(d.p, 1); /* 2 and 1 of 3: nothing is less even */
    mn_evaluation_fini(&a);
    mn_evaluation_fini(&b);
}

static void a_weight_counts_the_items_of_a_task(void **state)
{
    (void)state;
    const double weights[N_TASKS] = {1, 3, 1, 1, 1, 1};
    mn_evaluation a = table_of((const double[]){0, 0, 0, 0, 0, 0}, weights);
    mn_evaluation b = table_of((const double[]){0, 3, 0, 0, 0, 1}, weights);
    const mn_difference d = mn_difference_between(&a, 1, &b, 1);
    assert_near(d.mean, 4.0 / 8);
    assert_int_equal(d.higher, 2);
    mn_evaluation_fini(&a);
    mn_evaluation_fini(&b);
}

static void many_tasks_one_way_have_a_tiny_p_and_not_zero(void **state)
{
    (void)state;
    mn_evaluation a = table_of((const double[]){0, 0, 0, 0, 0, 0}, ones);
    mn_evaluation b = table_of((const double[]){1, 1, 1, 1, 1, 1}, ones);
    const mn_difference d = mn_difference_between(&a, 1, &b, 1);
    assert_near(d.p, 2.0 / 64);
    assert_near(d.half_width, 0);
    mn_evaluation_fini(&a);
    mn_evaluation_fini(&b);
}

static void lists_that_differ_are_compared_by_what_stands_for_all(void **state)
{
    (void)state;
    mn_score_list others = {0};
    const mn_score accuracy = {.name = "accuracy", .is_share = true, .higher_is_better = true};
    assert_int_equal(mn_score_list_add(&others, &accuracy, NULL), MN_OK);
    mn_evaluation a = table_of((const double[]){0.5, 0.5, 0.5, 0.5, 0.5, 0.5}, ones), b = {0};
    double *rows = calloc(N_TASKS * 4, sizeof *rows);
    assert_non_null(rows);
    for (size_t i = 0; i < N_TASKS; i++)
        rows[4 * i] = rows[4 * i + 1] = rows[4 * i + 2] = 1;
    assert_int_equal(mn_evaluation_from_rows(&others, MN_TEST, N_TASKS, rows, &b, NULL), MN_OK);
    b.rows = rows;
    const mn_conditions conditions = {.split = MN_TEST, .way = 5, .ensemble = 1};
    const mn_contestant both[] = {{.name = "a",
                                   .table = &a,
                                   .conditions = &conditions,
                                   .changes = "",
                                   .leaks = "",
                                   .theta = "last",
                                   .sha256 = ""},
                                  {.name = "b",
                                   .table = &b,
                                   .conditions = &conditions,
                                   .changes = "seed",
                                   .leaks = "",
                                   .theta = "last",
                                   .sha256 = ""}};
    char *text = NULL;
    assert_int_equal(mn_comparison_json(2, both, &text, NULL), MN_OK);
    json_t *root = json_loads(text, 0, NULL);
    const json_t *runs = json_object_get(root, "runs");
    const json_t *list = json_object_get(json_array_get(runs, 1), "differences");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "score")),
                        "accuracy");
    assert_near(json_number_value(json_object_get(json_array_get(list, 0), "difference")), 0.5);
    assert_null(json_object_get(json_array_get(runs, 0), "not_as_in_training"));
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(runs, 1), "not_as_in_training")), "seed");
    json_decref(root);
    free(text);

    char *printed = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&printed, &n);
    mn_comparison_print(2, both, out);
    (void)fclose(out);
    assert_non_null(strstr(printed, "accuracy, inner steps 5, in %"));
    assert_non_null(strstr(printed, "+50.00 +- 0.00"));
    assert_null(strstr(printed, "loss"));
    free(printed);
    mn_evaluation_fini(&a);
    mn_evaluation_fini(&b);
    mn_score_list_fini(&others);
}

static void conditions_are_told_in_one_line(void **state)
{
    (void)state;
    char text[400];
    mn_conditions conditions = {.split = MN_VAL,
                                .data = "omniglot.mnd",
                                .way = 20,
                                .shot = 1,
                                .query = 15,
                                .bundle = 1,
                                .turns = true,
                                .rotations = true,
                                .batch_norm = "batch norm by the batch",
                                .ensemble = 1};
    mn_conditions_text(&conditions, text, sizeof text);
    assert_string_equal(text,
                        "split val of omniglot.mnd; 20 classes, 1 + 15 items of each; quarter "
                        "turns that the data list are classes; batch norm by the batch; one theta, "
                        "no ensemble");
    conditions.varies = true;
    mn_conditions_text(&conditions, text, sizeof text);
    assert_non_null(strstr(text, "; up to 20 classes, up to 1 + 15 items of each; "));
    conditions.of_all = true;
    mn_conditions_text(&conditions, text, sizeof text);
    assert_non_null(strstr(text, "; up to 20 classes, 1 + 15 rows in all; "));
    char cut[20];
    mn_conditions_text(&conditions, cut, sizeof cut);
    assert_string_equal(cut, "split val of omnigl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_difference_is_taken_task_by_task),
        cmocka_unit_test(a_task_that_one_of_both_skipped_is_in_no_pair),
        cmocka_unit_test(a_weight_counts_the_items_of_a_task),
        cmocka_unit_test(many_tasks_one_way_have_a_tiny_p_and_not_zero),
        cmocka_unit_test(lists_that_differ_are_compared_by_what_stands_for_all),
        cmocka_unit_test(conditions_are_told_in_one_line),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
