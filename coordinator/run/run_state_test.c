#include "coordinator/run/run_state.h"

#include "common/file.h"
#include "coordinator/run/run.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char root[PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/run_state_test.XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[PATH_MAX + 16];
    (void)snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

static void write_file(const char *name, const char *mode, const char *text)
{
    char path[PATH_MAX];
    assert_int_equal(mn_run_path(root, name, path, NULL), MN_OK);
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void add_steps(unsigned from, unsigned to)
{
    for (unsigned step = from; step <= to; step++) {
        char line[160];
        (void)snprintf(line, sizeof line,
                       "{\"step\": %u, \"loss\": %u.5, \"lr\": 0.1, \"wall_s\": %u}\n", step, step,
                       2 * step);
        write_file("metrics.jsonl", "a", line);
    }
}

static mn_run_watch *opened(void)
{
    mn_run_watch *watch = NULL;
    mn_error err = {0};
    write_file("experiment.yaml", "w", "name: sine\nouter:\n  steps: 500\n");
    if (mn_run_watch_open(root, &watch, &err) != MN_OK)
        fail_msg("%s", err.message);
    return watch;
}

static const mn_run_state *look(mn_run_watch *watch)
{
    const mn_run_state *state = NULL;
    mn_error err = {0};
    if (mn_run_watch_look(watch, &state, &err) != MN_OK)
        fail_msg("%s", err.message);
    return state;
}

static double recent(const mn_run_state *state, const char *key)
{
    return json_real_value(json_object_get(state->recent, key));
}

static void a_folder_without_a_run_is_told(void **state)
{
    (void)state;
    mn_run_watch *watch = NULL;
    mn_error err = {0};
    assert_int_equal(mn_run_watch_open(root, &watch, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "is no run"));
    assert_null(watch);
    mn_run_watch_close(&watch); /* does nothing */
}

static void a_run_that_has_just_begun_has_no_numbers(void **state)
{
    (void)state;
    mn_run_watch *watch = opened();
    const mn_run_state *now = look(watch);
    assert_int_equal(now->phase, MN_RUN_STOPPED);
    assert_int_equal(now->step, 0);
    assert_null(now->recent);
    assert_null(now->test);
    assert_true(isnan(now->step_s) && isnan(now->silent_s));
    assert_false(now->has_checkpoint);
    assert_false(now->joinable);
    mn_run_watch_close(&watch);
}

static void what_came_since_is_read_and_the_last_hundred_count(void **state)
{
    (void)state;
    mn_run_watch *watch = opened();
    add_steps(1, 3);
    const mn_run_state *now = look(watch);
    assert_int_equal(now->step, 3);
    assert_int_equal(now->n_recent, 3);
    assert_true(recent(now, "loss") == 2.5);
    assert_true(now->step_s == 2 && now->wall_s == 6);
    assert_true(now->silent_s >= 0 && now->silent_s < 3600);
    assert_null(json_object_get(now->recent, "wall_s"));

    add_steps(4, 150);
    write_file("metrics.jsonl", "a", "{\"step\": 100, \"val_loss\": 7, \"val_tasks\": 9}\n");
    add_steps(151, 250);
    write_file("metrics.jsonl", "a", "{\"step\": 251, \"lo"); /* torn */
    now = look(watch);
    assert_int_equal(now->step, 250);
    assert_int_equal(now->n_recent, 100);
    assert_true(recent(now, "loss") == 201); /* of 151 to 250 */
    assert_int_equal(json_integer_value(json_object_get(now->validation, "step")), 100);

    write_file("metrics.jsonl", "a", "ss\": 1, \"wall_s\": 502}\n");
    now = look(watch);
    assert_int_equal(now->step, 251);
    assert_true(json_number_value(json_object_get(now->last, "loss")) == 1);
    mn_run_watch_close(&watch);
}

static void a_file_that_another_took_the_place_of_is_read_anew(void **state)
{
    (void)state;
    char path[PATH_MAX];
    mn_run_watch *watch = opened();
    add_steps(1, 120);
    write_file("metrics.jsonl", "a", "{\"step\": 120, \"val_loss\": 7, \"val_tasks\": 9}\n");
    assert_int_equal(look(watch)->step, 120);
    assert_int_equal(mn_run_path(root, "metrics.jsonl", path, NULL), MN_OK);
    assert_int_equal(mn_file_write(path, "{\"step\": 7, \"loss\": null}\n", 26, NULL), MN_OK);
    const mn_run_state *now = look(watch);
    assert_int_equal(now->step, 7);
    assert_int_equal(now->n_recent, 1);
    assert_null(json_object_get(now->recent, "loss")); /* no finite one */
    assert_null(now->validation);
    mn_run_watch_close(&watch);
}

static void who_writes_it_is_seen_and_what_is_left_behind(void **state)
{
    (void)state;
    mn_run *run = NULL;
    mn_run_watch *watch = opened();
    assert_int_equal(mn_run_open(root, &run, NULL), MN_OK);
    const mn_run_state *now = look(watch);
    assert_int_equal(now->phase, MN_RUN_RUNNING);
    assert_non_null(strstr(now->writer, "process "));
    mn_run_close(&run);
    assert_int_equal(look(watch)->phase, MN_RUN_STOPPED);

    write_file("lock", "w", "process 12 on another-host-than-this\n");
    assert_int_equal(look(watch)->phase, MN_RUN_ELSEWHERE);
    write_file("lock", "w", "");
    add_steps(1, 500);
    assert_int_equal(look(watch)->phase, MN_RUN_STOPPED); /* the test is to come */
    write_file("test.json", "w", "{\"tasks\": 3}");
    write_file("endpoint", "w", "");
    char folder[PATH_MAX];
    (void)mn_run_path(root, "checkpoints", folder, NULL);
    assert_int_equal(mn_folder_make(folder, NULL), MN_OK);
    write_file("checkpoints/step-000000500.safetensors", "w", "");
    write_file("checkpoints/step-000000090.safetensors", "w", "");
    write_file("checkpoints/step-000000900.safetensors.tmp", "w", "");
    now = look(watch);
    assert_int_equal(now->phase, MN_RUN_DONE);
    assert_true(now->joinable && now->has_checkpoint);
    assert_int_equal(now->checkpoint, 500);
    mn_run_watch_close(&watch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_without_a_run_is_told),
        TEST(a_run_that_has_just_begun_has_no_numbers),
        TEST(what_came_since_is_read_and_the_last_hundred_count),
        TEST(a_file_that_another_took_the_place_of_is_read_anew),
        TEST(who_writes_it_is_seen_and_what_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
