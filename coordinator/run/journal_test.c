#include "coordinator/run/journal.h"

#include "common/file.h"
#include "common/log.h"
#include "coordinator/run/run.h"
#include <jansson.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[PATH_MAX], path[PATH_MAX], old[PATH_MAX];
static mn_journal *journal;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/journal_test.XXXXXX");
    return mkdtemp(root) != NULL && mn_run_path(root, MN_JOURNAL_FILE, path, NULL) == MN_OK &&
                   mn_run_path(root, MN_JOURNAL_OLD, old, NULL) == MN_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mn_journal_close(&journal);
    (void)unlink(path);
    (void)unlink(old);
    return rmdir(root);
}

static void open_it(void)
{
    mn_error err;
    if (mn_journal_open(root, &journal, &err) != MN_OK)
        fail_msg("%s", err.message);
}

static char *text_of(const char *file)
{
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(mn_file_read(file, 16 << 20, &text, &n, NULL), MN_OK);
    return text;
}

static off_t size_of(const char *file)
{
    struct stat now;
    return stat(file, &now) == 0 ? now.st_size : -1;
}

static void lines_tell_what_is_given_and_go_on_after_a_cut_one(void **state)
{
    (void)state;
    open_it();
    mn_journal_total(journal, 12.5, 0.25);
    mn_journal_add(journal, &(mn_journal_entry){.event = MN_JOURNAL_RAN_OUT,
                                                .at_s = 1e9 + 0.5,
                                                .rank = 3,
                                                .step = 7,
                                                .who = "host:1",
                                                .task = 0,
                                                .tasks = 2,
                                                .span_s = 1.5});
    mn_journal_add_line(journal, "{\"event\": \"of another rank\"}");
    mn_journal_add_line(journal, "two\nlines");
    mn_journal_close(&journal);
    FILE *torn = fopen(path, "a");
    assert_non_null(torn);
    (void)fputs("{\"at\": 12", torn);
    (void)fclose(torn);
    open_it();
    mn_journal_add(journal, &(mn_journal_entry){.event = MN_JOURNAL_ENDED, .at_s = 1e9 + 1});
    char *text = text_of(path);
    assert_string_equal(
        text, "{\"journal\": \"mnemo\", \"version\": 1}\n"
              "{\"at\": 1000000000.5, \"rank\": 3, \"event\": \"ran out\", \"step\": 7, \"who\": "
              "\"host:1\", \"task\": 0, \"tasks\": 2, \"span_s\": 1.5, \"work_s\": 12.500, "
              "\"repeated_s\": 0.250}\n"
              "{\"event\": \"of another rank\"}\n"
              "{\"at\": 12\n"
              "{\"at\": 1000000001.0, \"rank\": 0, \"event\": \"ended\", \"work_s\": 0.000, "
              "\"repeated_s\": 0.000}\n");
    free(text);
}

static void texts_of_strangers_stay_within_a_line(void **state)
{
    (void)state;
    char line[MN_JOURNAL_LINE], long_text[5000];
    memset(long_text, '"', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    mn_journal_entry entry = {.event = MN_JOURNAL_REFUSED,
                              .at_s = 1e9,
                              .rank = 4095,
                              .step = UINT64_C(1) << 60,
                              .who = "a\n\033[2Jb\xff",
                              .why = long_text};
    mn_journal_print(&entry, line);
    assert_true(line[0] == '{' && strlen(line) < sizeof line);
    assert_null(strchr(line, '\n'));
    assert_null(strchr(line, '\033'));
    json_t *record = json_loads(line, 0, NULL);
    assert_non_null(record);
    assert_string_equal(json_string_value(json_object_get(record, "who")), "a\\x0a\\x1b[2Jb\\xff");
    assert_non_null(json_object_get(record, "why"));
    json_decref(record);
    memset(long_text, 'x', sizeof long_text - 1);
    for (size_t i = 9; i < sizeof long_text - 1; i += 10)
        long_text[i] = ' ';
    mn_journal_print(&entry, line);
    record = json_loads(line, 0, NULL);
    const char *why = json_string_value(json_object_get(record, "why"));
    assert_true(why != NULL && strlen(why) > 400);
    assert_string_equal(why + strlen(why) - 13, " xxxxxxxxx..."); /* behind a word */
    json_decref(record);
    entry.who = long_text; /* a name of nothing but quotes leaves less room */
    mn_journal_print(&entry, line);
    record = json_loads(line, 0, NULL);
    assert_non_null(record);
    json_decref(record);
}

static void two_files_are_all_there_ever_is(void **state)
{
    (void)state;
    char why[200];
    memset(why, 'x', sizeof why - 1);
    why[sizeof why - 1] = '\0';
    open_it();
    for (uint32_t i = 0; i < 20000; i++) {
        mn_journal_add(journal,
                       &(mn_journal_entry){
                           .event = MN_JOURNAL_LOST, .at_s = 1e9 + i, .step = i + 1, .why = why});
        assert_true(size_of(path) <= (off_t)MN_JOURNAL_BYTES);
    }
    assert_in_range(size_of(old), MN_JOURNAL_BYTES - 1000, MN_JOURNAL_BYTES);
    char *text = text_of(path);
    assert_non_null(strstr(text, "\"step\": 20000,")); /* the newest is there */
    assert_int_equal(strncmp(text, "{\"journal\"", 10), 0);
    free(text);
}

static uint32_t n_complaints;

static void listen(void *user, const char *line, size_t n)
{
    (void)user;
    n_complaints += memmem(line, n, "cannot be written", 17) != NULL;
}

static void what_cannot_be_written_is_said_once_and_harms_nothing(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_int_equal(symlink("/dev/full", path), 0);
    n_complaints = 0;
    mn_log_set_listener(listen, NULL);
    open_it();
    for (uint32_t i = 0; i < 10; i++)
        mn_journal_add(journal, &(mn_journal_entry){.event = MN_JOURNAL_LOST, .at_s = 1e9});
    assert_int_equal(n_complaints, 1);
    mn_journal_close(&journal);
    (void)unlink(path);
    assert_int_equal(mkdir(path, 0700), 0); /* not a file at all */
    open_it();
    mn_journal_add(journal, &(mn_journal_entry){.event = MN_JOURNAL_LOST, .at_s = 1e9});
    mn_log_set_listener(NULL, NULL);
    assert_int_equal(n_complaints, 2);
    assert_int_equal(rmdir(path), 0);
    mn_journal *none = NULL;
    mn_journal_add(none, &(mn_journal_entry){.event = MN_JOURNAL_LOST});
    mn_journal_add_line(none, "{}");
    mn_journal_total(none, 1, 1);
    mn_journal_close(&none);
}

static void each_event_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (mn_journal_event event = 0; event < MN_N_JOURNAL_EVENTS; event++)
        assert_int_equal(mn_journal_event_of(mn_journal_event_text(event)), event);
    assert_int_equal(mn_journal_event_of("nothing"), MN_N_JOURNAL_EVENTS);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(lines_tell_what_is_given_and_go_on_after_a_cut_one),
        cmocka_unit_test(texts_of_strangers_stay_within_a_line),
        IN_FOLDER(two_files_are_all_there_ever_is),
        IN_FOLDER(what_cannot_be_written_is_said_once_and_harms_nothing),
        cmocka_unit_test(each_event_has_a_text_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
