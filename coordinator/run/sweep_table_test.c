#include "coordinator/run/sweep_table.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_sweep_file file;
static mn_sweep_plan plan;
static mn_experiment base;
static mn_sweep_results results;
static mn_sweep_table *table;
static mn_error err;

/* Four points of two seeds; point 2 was stopped at the first of two rungs, point 3 has failed. */
static int set_up(void **state)
{
    (void)state;
    static const char text[] =
        "experiment: b\nset: {outer.steps: 90, evaluate.every: 10}\n"
        "grid: {meta.inner_lr: [0.1, 0.2], outer.lr: [0.01, 0.02]}\nseeds: 2\n"
        "halving: {first: 10, factor: 3}\n";
    mn_experiment_init(&base);
    assert_int_equal(mn_sweep_file_parse("s", text, strlen(text), &file, &err), MN_OK);
    assert_int_equal(mn_sweep_plan_make(&file, "s", &base, NULL, 0, &plan, &err), MN_OK);
    results.runs = calloc(plan.n_runs, sizeof *results.runs);
    results.points = calloc(plan.n_points, sizeof *results.points);
    assert_true(results.runs != NULL && results.points != NULL);
    for (uint32_t run = 0; run < 6; run++) {
        mn_outcome outcome = {.validated = true,
                              .validated_by = {.name = "loss"},
                              .validation = (const double[]){3, 5, 1, 2, 0.5, 0.5}[run]};
        mn_sweep_result *result = &results.runs[run];
        result->there = true;
        result->first = outcome;
        result->first.validation += 10;
        if (run < 4) {
            outcome.tested = true;
            outcome.judged =
                (mn_score){.name = "accuracy", .is_share = true, .higher_is_better = true};
            outcome.test = 0.5 + 0.1 * run;
        }
        result->outcome = outcome;
    }
    results.runs[6].failed = MN_ERR_NUMERIC;
    (void)snprintf(results.runs[6].why, sizeof results.runs[6].why, "it ran away");
    results.points[0].fate = results.points[1].fate = MN_POINT_DONE;
    results.points[2].fate = MN_POINT_STOPPED;
    results.points[3].fate = MN_POINT_FAILED;
    return mn_sweep_table_new(&plan, &results, &table, &err) != MN_OK;
}

static int tear_down(void **state)
{
    (void)state;
    mn_sweep_table_destroy(&table);
    mn_sweep_results_fini(&results);
    mn_sweep_file_fini(&file);
    return 0;
}

static void the_best_by_validation_is_first_among_those_that_are_done(void **state)
{
    (void)state;
    static const uint32_t order[] = {1, 0, 2, 3};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(table->rows[i].point, order[i]);
    assert_int_equal(table->n_best, 1);
    assert_true(table->rows[0].validation.mean == 1.5);
    assert_true(fabs(table->rows[0].validation.half_width - 12.7062 * 0.5) < 1e-9);
    assert_true(fabs(table->rows[0].test.mean - 0.75) < 1e-12);
    assert_true(isnan(table->rows[2].test.mean) && isnan(table->rows[3].validation.mean));
}

static void marginals_are_means_over_points_after_the_first_leg(void **state)
{
    (void)state;
    const mn_sweep_group *rates = table->margins[0].groups, *outer = table->margins[1].groups;
    assert_int_equal(table->margins[0].n, 2);
    assert_string_equal(rates[1].name, "0.2");
    assert_int_equal(rates[0].n_points, 2);
    assert_true(rates[0].validation == 10 + (4 + 1.5) / 2);
    assert_int_equal(rates[1].n_points, 1); /* the failed one has none */
    assert_true(rates[1].validation == 10.5);
    assert_int_equal(rates[1].n_tested, 0);
    assert_true(isnan(rates[1].test));
    assert_true(outer[0].validation == 10 + (4 + 0.5) / 2);
    assert_true(fabs(outer[1].test - 0.75) < 1e-12);
}

static void it_is_told_to_people_and_programs(void **state)
{
    (void)state;
    char *text = NULL, *json = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    mn_sweep_table_print(table, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(
        strstr(text, "4 points with 2 seeds each: 2 done, 1 stopped on the way, 1 failed"));
    assert_non_null(strstr(text, "stopped at 10"));
    assert_non_null(strstr(text, "best by validation: point 1 (meta.inner_lr=0.1 outer.lr=0.02), "
                                 "whose test accuracy is 75.00 %"));
    free(text);
    assert_int_equal(mn_sweep_table_json(table, &json, &err), MN_OK);
    json_t *root = json_loads(json, 0, NULL);
    const json_t *points = json_object_get(root, "points");
    const json_t *last = json_array_get(points, 3), *second = json_array_get(points, 2);
    const json_t *failed = json_array_get(json_object_get(last, "runs"), 0);
    assert_int_equal(json_integer_value(json_object_get(root, "best_by_validation")), 1);
    assert_int_equal(json_array_size(points), 4);
    assert_string_equal(json_string_value(json_object_get(second, "fate")), "stopped");
    assert_int_equal(json_integer_value(json_object_get(second, "stopped_at")), 10);
    assert_int_equal(json_integer_value(json_object_get(failed, "failed")), 79);
    assert_string_equal(json_string_value(json_object_get(failed, "why")), "it ran away");
    json_decref(root);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_best_by_validation_is_first_among_those_that_are_done,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(marginals_are_means_over_points_after_the_first_leg, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_is_told_to_people_and_programs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
