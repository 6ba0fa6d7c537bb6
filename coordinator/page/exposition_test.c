#include "coordinator/page/exposition.h"

#include "coordinator/run/board_bed.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static mn_board *board;
static const mn_snapshot *now;

static int set_up(void **state)
{
    (void)state;
    board = bed_board("/nowhere", 0);
    (void)snprintf(bed_experiment.name, sizeof bed_experiment.name, "a\"b\\c");
    bed_step(board, 100, 2.5);
    bed_validation(board, 100, 0.25);
    bed_publish(board, 1000000, 0, NULL);
    now = mn_board_look(board);
    return now != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mn_snapshot_drop(&now);
    mn_board_destroy(&board);
    return 0;
}

static char *print(bool open)
{
    char *text = NULL;
    assert_int_equal(mn_exposition_print(mn_board_config_of(board), now, open, &text, NULL), MN_OK);
    return text;
}

static void assert_line(const char *text, const char *line)
{
    char whole[256];
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(text, whole) == NULL)
        fail_msg("no line '%s' in:\n%s", line, text);
}

static void the_text_form_has_names_kinds_and_numbers(void **state)
{
    (void)state;
    char *text = print(false);
    assert_line(text, "# TYPE mnemo_meta_steps_total counter");
    assert_line(text, "mnemo_meta_steps_total 100");
    assert_line(text,
                "mnemo_run_info{id=\"000000000000002a\",name=\"a\\\"b\\\\c\",version=\"" MN_VERSION
                "\"} 1");
    assert_line(text, "mnemo_run_phase{phase=\"training\"} 1");
    assert_line(text, "mnemo_run_phase{phase=\"failed\"} 0");
    assert_line(text, "mnemo_tasks_total 9");
    assert_line(text, "mnemo_tasks_skipped_total 1");
    assert_line(text, "mnemo_thread_seconds_total{activity=\"tasks\"} 0.01");
    assert_line(text, "mnemo_train_score{score=\"loss\"} 2.5");
    assert_line(text, "mnemo_validation_score{score=\"loss\"} 0.25");
    assert_line(text, "mnemo_validation_score_half_width{score=\"accuracy\"} 0.050000000000000003");
    assert_line(text, "mnemo_results_refused_total{reason=\"damaged\"} 2");
    assert_line(text, "mnemo_worker_departures_total{reason=\"rejected\"} 1");
    assert_null(strstr(text, "# UNIT"));
    assert_null(strstr(text, "# EOF"));
    assert_null(strstr(text, "mnemo_test_score"));
    free(text);
}

static void open_metrics_names_families_without_total_and_ends(void **state)
{
    (void)state;
    char *text = print(true);
    assert_line(text, "# TYPE mnemo_meta_steps counter");
    assert_line(text, "mnemo_meta_steps_total 100");
    assert_line(text, "# UNIT mnemo_thread_seconds seconds");
    assert_line(text, "# TYPE mnemo_run info");
    const char *end = strstr(text, "# EOF\n");
    assert_non_null(end);
    assert_string_equal(end, "# EOF\n");
    free(text);
}

static void every_number_stands_under_its_family(void **state)
{
    (void)state;
    for (int open = 0; open < 2; open++) {
        char *text = print(open == 1), *rest = NULL, family[128] = "";
        for (char *line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest)) {
            if (sscanf(line, "# TYPE %127s", family) == 1 || line[0] == '#')
                continue;
            assert_int_equal(strncmp(line, family, strlen(family)), 0);
            const size_t name = strcspn(line, "{ ");
            assert_null(memmem(line, name, "worker_name", strlen("worker_name")));
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_text_form_has_names_kinds_and_numbers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(open_metrics_names_families_without_total_and_ends, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_number_stands_under_its_family, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
