#include "coordinator/run/metrics.h"

#include "common/file.h"
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/metrics_test.XXXXXX";
static char path[PATH_MAX];

static mn_score train[] = {{.name = "loss"}, {.name = "error", .point = "qa7"}};
static const mn_score_list train_list = {.n = 2, .at = train};
static mn_score tests[] = {{.name = "loss", .axis = "inner_steps", .point = "0"},
                           {.name = "accuracy", .axis = "inner_steps", .point = "0"},
                           {.name = "loss", .axis = "inner_steps", .point = "5"},
                           {.name = "accuracy", .axis = "inner_steps", .point = "5"},
                           {.name = "accuracy", .axis = "set", .point = "slow"}};
static mn_score_list test_list = {.n = 5, .at = tests, .judged = 3};
static mn_estimate estimates[] = {{2, 1}, {0.2, 0.1}, {1, 0.5}, {0.9, 0.05}, {0.7, 0.04}};
static const mn_evaluation evaluation = {
    .n_counted = 9, .scores = &test_list, .estimates = estimates};

static int set_up(void **state)
{
    (void)state;
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder); /* and no temporary file is left in it */
}

static void add_steps(uint64_t from, uint64_t to)
{
    mn_metrics *metrics = NULL;
    assert_int_equal(mn_metrics_open(path, &train_list, from - 1, 0, &metrics, NULL), MN_OK);
    for (uint64_t step = from; step <= to; step++) {
        const double scores[] = {1.0 / (double)step, 0.25};
        const mn_step_record record = {
            .step = step, .scores = scores, .grad_norm = NAN, .wall_s = (double)step * 2};
        assert_int_equal(mn_metrics_add_step(metrics, &record, NULL), MN_OK);
    }
    mn_metrics_close(&metrics);
}

/* The step of each line, e.g. "1 2 3 ". */
static char *steps_in_file(void)
{
    static char steps[256];
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(mn_file_read(path, 1 << 20, &text, &n, NULL), MN_OK);
    steps[0] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_t *record = json_loads(line, 0, NULL);
        assert_non_null(record);
        (void)snprintf(steps + strlen(steps), sizeof steps - strlen(steps), "%lld ",
                       json_integer_value(json_object_get(record, "step")));
        json_decref(record);
    }
    free(text);
    return steps;
}

static void what_no_part_of_a_step_took_was_waiting(void **state)
{
    (void)state;
    const mn_step_time step = {
        .all_us = 1024, .tasks_us = 512, .sums_us = 256, .reduce_us = 128, .outer_us = 64};
    mn_step_time both = {0};
    mn_step_shares shares = mn_step_time_shares(&step);
    assert_true(shares.tasks == 0.5 && shares.sums == 0.25 && shares.reduce == 0.125 &&
                shares.outer == 0.0625 && shares.wait == 0.0625);
    mn_step_time_add(&step, &both);
    mn_step_time_add(&(mn_step_time){.all_us = 1024, .tasks_us = 1024}, &both);
    shares = mn_step_time_shares(&both);
    assert_true(shares.tasks == 0.75 && shares.sums == 0.125 && shares.wait == 0.03125);
    both.tasks_us = 4096; /* of threads that were not counted */
    assert_true(mn_step_time_shares(&both).wait == 0);
    assert_true(isnan(mn_step_time_shares(&(mn_step_time){0}).tasks));
}

/* How many bytes readers see. */
static size_t seen(void)
{
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(mn_file_read(path, 1 << 20, &text, &n, NULL), MN_OK);
    assert_true(n == 0 || text[n - 1] == '\n');
    free(text);
    return n;
}

static void a_step_is_seen_after_a_flush_and_a_validation_at_once(void **state)
{
    (void)state;
    mn_metrics *metrics = NULL;
    const double scores[] = {1, 0.25};
    const mn_step_record record = {.step = 1, .scores = scores};
    assert_int_equal(mn_metrics_open(path, &train_list, 0, 0, &metrics, NULL), MN_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mn_metrics_add_step(metrics, &record, NULL), MN_OK);
    assert_int_equal(seen(), 0);
    assert_int_equal(mn_metrics_flush(metrics, NULL), MN_OK);
    const size_t steps = seen();
    assert_true(steps > 100 * 100);
    assert_int_equal(mn_metrics_add_validation(metrics, 1, &evaluation, NULL), MN_OK);
    assert_true(seen() > steps);
    mn_metrics_close(&metrics);
}

static void every_step_is_a_line_of_json(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    add_steps(1, 1);
    assert_int_equal(mn_file_read(path, 4096, &text, &n, NULL), MN_OK);
    json_t *record = json_loads(text, 0, NULL);
    assert_true(json_number_value(json_object_get(record, "loss")) == 1);
    assert_true(json_number_value(json_object_get(record, "error_qa7")) == 0.25);
    assert_true(json_is_null(json_object_get(record, "grad_norm"))); /* JSON knows no NaN */
    json_decref(record);
    free(text);
}

static void a_resumed_run_drops_what_came_after_its_checkpoint(void **state)
{
    (void)state;
    mn_metrics *metrics = NULL;
    add_steps(1, 5);
    assert_int_equal(mn_metrics_open(path, &train_list, 3, 0, &metrics, NULL), MN_OK);
    assert_true(mn_metrics_wall_s(metrics) == 6);
    double lost_s = 0;
    assert_int_equal(mn_metrics_dropped(metrics, &lost_s), 2);
    assert_true(lost_s == 4);
    mn_metrics_close(&metrics);
    assert_string_equal(steps_in_file(), "1 2 3 ");
    add_steps(4, 4);
    assert_string_equal(steps_in_file(), "1 2 3 4 ");
}

static void a_torn_last_line_is_dropped(void **state)
{
    (void)state;
    mn_metrics *metrics = NULL;
    add_steps(1, 2);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    (void)fputs("{\"step\": 2, \"loss\": 0.", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(mn_metrics_open(path, &train_list, 9, 0, &metrics, NULL), MN_OK);
    double lost_s = 1;
    assert_int_equal(mn_metrics_dropped(metrics, &lost_s), 0);
    assert_true(lost_s == 0);
    mn_metrics_close(&metrics);
    assert_string_equal(steps_in_file(), "1 2 ");
}

static void validations_are_lines_too(void **state)
{
    (void)state;
    mn_metrics *metrics = NULL;
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(mn_metrics_open(path, &train_list, 0, 0, &metrics, NULL), MN_OK);
    assert_int_equal(mn_metrics_add_validation(metrics, 100, &evaluation, NULL), MN_OK);
    mn_metrics_close(&metrics);
    assert_int_equal(mn_file_read(path, 4096, &text, &n, NULL), MN_OK);
    json_t *record = json_loads(text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(record, "step")), 100);
    assert_int_equal(json_integer_value(json_object_get(record, "val_inner_steps")), 5);
    assert_int_equal(json_integer_value(json_object_get(record, "val_tasks")), 9);
    assert_int_equal(json_object_size(record), 10);
    assert_true(fabs(json_number_value(json_object_get(record, "val_accuracy")) - 0.9) < 1e-9);
    assert_true(json_number_value(json_object_get(record, "val_accuracy_slow")) == 0.7);
    assert_true(json_number_value(json_object_get(record, "val_accuracy_slow_ci95")) == 0.04);
    assert_null(json_object_get(record, "val_accuracy_0"));
    json_decref(record);
    free(text);

    test_list.judged = 0; /* what is judged need not come last */
    assert_int_equal(mn_metrics_open(path, &train_list, 0, 0, &metrics, NULL), MN_OK);
    assert_int_equal(mn_metrics_add_validation(metrics, 100, &evaluation, NULL), MN_OK);
    mn_metrics_close(&metrics);
    test_list.judged = 3;
    assert_int_equal(mn_file_read(path, 4096, &text, &n, NULL), MN_OK);
    record = json_loads(text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(record, "val_inner_steps")), 0);
    assert_true(fabs(json_number_value(json_object_get(record, "val_accuracy")) - 0.9) > 1e-9);
    json_decref(record);
    free(text);

    (void)strcpy(tests[3].point, "all"); /* a word, and with one score */
    assert_int_equal(mn_metrics_open(path, &train_list, 0, 0, &metrics, NULL), MN_OK);
    assert_int_equal(mn_metrics_add_validation(metrics, 100, &evaluation, NULL), MN_OK);
    mn_metrics_close(&metrics);
    (void)strcpy(tests[3].point, "5");
    assert_int_equal(mn_file_read(path, 4096, &text, &n, NULL), MN_OK);
    record = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(record, "val_inner_steps")), "all");
    assert_null(json_object_get(record, "val_loss"));
    json_decref(record);
    free(text);
}

static void a_validation_that_will_be_made_again_is_dropped(void **state)
{
    (void)state;
    mn_metrics *metrics = NULL;
    add_steps(1, 2);
    assert_int_equal(mn_metrics_open(path, &train_list, 2, 0, &metrics, NULL), MN_OK);
    assert_int_equal(mn_metrics_add_validation(metrics, 2, &evaluation, NULL), MN_OK);
    mn_metrics_close(&metrics);
    assert_int_equal(mn_metrics_open(path, &train_list, 2, 2, &metrics, NULL), MN_OK);
    mn_metrics_close(&metrics);
    assert_string_equal(steps_in_file(), "1 2 2 ");
    assert_int_equal(mn_metrics_open(path, &train_list, 2, 1, &metrics, NULL), MN_OK);
    mn_metrics_close(&metrics);
    assert_string_equal(steps_in_file(), "1 2 ");
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest all[] = {
        IN_FOLDER(what_no_part_of_a_step_took_was_waiting),
        IN_FOLDER(a_step_is_seen_after_a_flush_and_a_validation_at_once),
        IN_FOLDER(every_step_is_a_line_of_json),
        IN_FOLDER(a_resumed_run_drops_what_came_after_its_checkpoint),
        IN_FOLDER(a_torn_last_line_is_dropped),
        IN_FOLDER(validations_are_lines_too),
        IN_FOLDER(a_validation_that_will_be_made_again_is_dropped),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
