#include "coordinator/run/seeds.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_seed_table table;
static mn_choose choose; /* MN_CHOOSE_SCORE unless a test says otherwise */

/* Seeds 7, 8, ... with these accuracies and, unless NULL, validations. */
static void fill(uint32_t n, const double *accuracies, const double *validations)
{
    mn_score_list scores = {0};
    const mn_score accuracy = {.name = "accuracy",
                               .axis = "inner_steps",
                               .point = "5",
                               .is_share = true,
                               .higher_is_better = true};
    table = (mn_seed_table){0};
    mn_score loss = {.name = "loss", .axis = "inner_steps", .point = "5", .unit = "nats"};
    assert_int_equal(mn_score_list_add(&scores, &accuracy, NULL), MN_OK);
    assert_int_equal(mn_score_list_add(&scores, &loss, NULL), MN_OK);
    for (uint32_t k = 0; k < n; k++) {
        mn_estimate estimate[] = {{accuracies[k], 0.1}, {1 - accuracies[k], 0.1}};
        const mn_evaluation test = {.n_counted = 600, .scores = &scores, .estimates = estimate};
        assert_int_equal(mn_seed_table_add(&table, 7 + k, &test, NULL, choose, "abc", NULL), MN_OK);
        table.at[k].validated = validations != NULL;
        if (validations != NULL)
            table.at[k].validation = validations[k];
    }
    mn_score_list_fini(&scores);
}

static bool near(double value, double expected, double within)
{
    return fabs(value - expected) <= within;
}

static void spread_is_over_seeds_with_students_t(void **state)
{
    (void)state;
    fill(5, (const double[]){0.90, 0.92, 0.94, 0.96, 0.98}, NULL);
    const mn_spread spread = mn_seed_table_spread(&table, 0);
    assert_true(near(spread.mean, 0.94, 1e-12));
    assert_true(near(spread.sd, 0.0316227766, 1e-9));
    assert_true(near(spread.half_width, 2.7764 * 0.0316227766 / sqrt(5), 1e-6));
    mn_seed_table_fini(&table);

    fill(1, (const double[]){0.9}, NULL);
    assert_true(isnan(mn_seed_table_spread(&table, 0).sd));
    mn_seed_table_fini(&table);

    double many[31]; /* 30 degrees of freedom: t is 2.0423 */
    for (int k = 0; k < 31; k++)
        many[k] = k;
    fill(31, many, NULL);
    const mn_spread of_many = mn_seed_table_spread(&table, 0);
    assert_true(near(of_many.half_width / of_many.sd * sqrt(31), 2.0423, 1e-4));
    mn_seed_table_fini(&table);
}

static void the_best_is_chosen_by_validation_and_not_by_the_test(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    fill(3, (const double[]){0.99, 0.90, 0.95}, (const double[]){0.5, 0.8, 0.8});
    assert_int_equal(mn_seed_table_best(&table), 1);
    FILE *out = open_memstream(&text, &n);
    mn_seed_table_print(&table, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "best by validation: seed 8, whose test accuracy is 90.00 %\n"));
    free(text);
    assert_int_equal(mn_seed_table_json(&table, &text, NULL), MN_OK);
    json_t *root = json_loads(text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(root, "best_by_validation")), 8);
    assert_int_equal(json_array_size(json_object_get(root, "seeds")), 3);
    json_decref(root);
    free(text);
    mn_seed_table_fini(&table);
}

static void a_best_by_loss_is_told_as_a_loss(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    choose = MN_CHOOSE_LOSS;
    fill(2, (const double[]){0.99, 0.90}, (const double[]){-0.5, -0.25});
    choose = MN_CHOOSE_SCORE;
    assert_int_equal(mn_seed_table_best(&table), 1);
    FILE *out = open_memstream(&text, &n);
    mn_seed_table_print(&table, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "      0.2500  abc"));
    assert_non_null(strstr(text, "whose test accuracy is 90.00 %\n"));
    free(text);
    mn_seed_table_fini(&table);
}

static void without_validation_there_is_no_best(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    fill(2, (const double[]){0.99, 0.90}, NULL);
    assert_int_equal(mn_seed_table_best(&table), 2);
    FILE *out = open_memstream(&text, &n);
    mn_seed_table_print(&table, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "no seed was validated"));
    free(text);
    mn_seed_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spread_is_over_seeds_with_students_t),
        cmocka_unit_test(the_best_is_chosen_by_validation_and_not_by_the_test),
        cmocka_unit_test(a_best_by_loss_is_told_as_a_loss),
        cmocka_unit_test(without_validation_there_is_no_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
