#include "coordinator/run/run_history.h"

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

static char root[PATH_MAX], path[PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/run_history_test.XXXXXX");
    return mkdtemp(root) != NULL && mn_run_path(root, "metrics.jsonl", path, NULL) == MN_OK ? 0
                                                                                            : -1;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(root);
}

static void write_lines(const char *text)
{
    assert_int_equal(mn_file_write(path, text, strlen(text), NULL), MN_OK);
}

static mn_history read_key(const char *key, size_t most)
{
    mn_history history;
    mn_error err = {0};
    if (mn_history_read(root, key, most, &history, &err) != MN_OK)
        fail_msg("%s", err.message);
    return history;
}

static void meta_steps_and_validations_are_told_apart(void **state)
{
    (void)state;
    write_lines("{\"step\": 1, \"loss\": 2.5, \"lr\": 0.1}\n"
                "{\"step\": 2, \"loss\": null}\n"
                "{\"step\": 2, \"val_loss\": 3, \"val_loss_ci95\": 0.25, \"val_tasks\": 9}\n"
                "{\"step\": 3, \"loss\": 1.5}\n{\"step\": 4, \"loss\": 1"); /* torn */
    mn_history steps = read_key("loss", 100), validations = read_key("val_loss", 100);
    assert_int_equal(steps.n, 2);
    assert_true(steps.step[1] == 3 && steps.value[1] == 1.5 && isnan(steps.half_width[1]));
    assert_int_equal(validations.n, 1);
    assert_true(validations.step[0] == 2 && validations.value[0] == 3 &&
                validations.half_width[0] == 0.25);
    mn_history_fini(&steps);
    mn_history_fini(&validations);
    assert_int_equal(read_key("accuracy", 100).n, 0);
}

static void many_points_become_means_of_groups(void **state)
{
    (void)state;
    char text[4096];
    size_t n = 0;
    for (int step = 1; step <= 25; step++)
        n += (size_t)snprintf(text + n, sizeof text - n, "{\"step\": %d, \"loss\": %d}\n", step,
                              step * 2);
    write_lines(text);
    mn_history all = read_key("loss", 25), some = read_key("loss", 10);
    assert_int_equal(all.n, 25);
    assert_int_equal(some.n, 9); /* of three each, the last of one */
    assert_true(some.step[0] == 2 && fabs(some.value[0] - 4) < 1e-12);
    assert_true(some.step[8] == 25 && some.value[8] == 50);
    mn_history_fini(&all);
    mn_history_fini(&some);
}

static void without_metrics_it_says_so(void **state)
{
    (void)state;
    mn_history history;
    mn_error err = {0};
    assert_int_equal(mn_history_read(root, "loss", 10, &history, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "metrics.jsonl"));
}

static void scores_are_told_from_how_a_run_went(void **state)
{
    (void)state;
    assert_true(mn_history_is_score("loss") && mn_history_is_score("loss_qa7") &&
                mn_history_is_score("val_accuracy"));
    assert_false(mn_history_is_score("wall_s") || mn_history_is_score("share_tasks") ||
                 mn_history_is_score("val_loss_ci95") || mn_history_is_score("val_tasks"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(meta_steps_and_validations_are_told_apart),
        TEST(many_points_become_means_of_groups),
        TEST(without_metrics_it_says_so),
        TEST(scores_are_told_from_how_a_run_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
