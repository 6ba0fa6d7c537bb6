#include "coordinator/run/sweep_journal.h"

#include "common/file.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/journal_test.XXXXXX";
static mn_sweep_entry seen[8];
static size_t n_seen;
static mn_error err;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/journal_test.XXXXXX");
    const int fd = mkstemp(path);
    n_seen = 0;
    return fd < 0 || close(fd) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static mn_status take(void *user, const mn_sweep_entry *entry, mn_error *why)
{
    (void)user;
    (void)why;
    seen[n_seen++] = *entry;
    return MN_OK;
}

static mn_status read_all(mn_sweep_journal **journal)
{
    n_seen = 0;
    return mn_sweep_journal_open(path, take, NULL, journal, &err);
}

static mn_sweep_entry entry_of(const char *run, uint32_t leg)
{
    mn_sweep_entry entry = {
        .leg = leg, .spent_s = 2.5, .outcome = {.ending = MN_ENDING_PAUSED, .step = 7}};
    (void)snprintf(entry.run, sizeof entry.run, "%s", run);
    memset(entry.settings, 'a', 64);
    (void)snprintf(entry.outcome.sha256, sizeof entry.outcome.sha256, "ff");
    return entry;
}

static void what_is_added_is_read_and_a_torn_line_is_dropped(void **state)
{
    (void)state;
    mn_sweep_journal *journal = NULL;
    const mn_sweep_entry one = entry_of("0001", 0), other = entry_of("0002-seed-3", 2);
    assert_int_equal(read_all(&journal), MN_OK);
    assert_int_equal(mn_sweep_journal_add(journal, &one, &err), MN_OK);
    mn_sweep_journal_close(&journal);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs("{\"run\": \"0002", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(read_all(&journal), MN_OK);
    assert_int_equal(n_seen, 1);
    assert_int_equal(mn_sweep_journal_add(journal, &other, &err), MN_OK);
    mn_sweep_journal_close(&journal);
    assert_int_equal(read_all(&journal), MN_OK);
    mn_sweep_journal_close(&journal);
    assert_int_equal(n_seen, 2);
    assert_string_equal(seen[1].run, "0002-seed-3");
    assert_int_equal(seen[1].leg, 2);
    assert_true(seen[1].spent_s == 2.5 && seen[1].outcome.step == 7);
    assert_int_equal(seen[1].outcome.ending, MN_ENDING_PAUSED);
    assert_string_equal(seen[1].settings, one.settings);
}

static void a_line_that_makes_no_sense_is_told_with_its_number(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "x\n", "[]\n", "{\"run\": \"1\", \"leg\": -1, \"settings\": \"\", \"spent_s\": 1}\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        mn_sweep_journal *journal = NULL;
        assert_int_equal(mn_file_write(path, lines[i], strlen(lines[i]), &err), MN_OK);
        assert_int_equal(read_all(&journal), MN_ERR_DATA);
        assert_non_null(strstr(err.message, ":1: expected what a run has come to"));
        assert_null(journal);
    }
}

/* Nor is it taken for a torn one, and dropped. */
static void an_endless_line_makes_no_sense(void **state)
{
    (void)state;
    mn_sweep_journal *journal = NULL;
    assert_int_equal(mn_file_write(path, "x", 1, &err), MN_OK);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    assert_int_equal(read_all(&journal), MN_ERR_DATA);
    assert_non_null(strstr(err.message, ":1: expected what a run has come to"));
}

static void what_decides_nothing_is_not_in_the_digest_of_settings(void **state)
{
    (void)state;
    static mn_experiment one, other;
    char first[65], second[65];
    mn_experiment_init(&one);
    mn_experiment_init(&other);
    assert_int_equal(mn_experiment_set(&other, "pool.threads=3", &err), MN_OK);
    assert_int_equal(mn_experiment_set(&other, "run.keep=9", &err), MN_OK);
    assert_int_equal(mn_experiment_set(&other, "run.data_path=/else", &err), MN_OK);
    assert_int_equal(mn_experiment_set(&other, "name=another", &err), MN_OK);
    assert_int_equal(mn_sweep_settings_digest(&one, first, &err), MN_OK);
    assert_int_equal(mn_sweep_settings_digest(&other, second, &err), MN_OK);
    assert_string_equal(first, second);
    assert_int_equal(mn_experiment_set(&other, "evaluate.tasks=7", &err), MN_OK);
    assert_int_equal(mn_sweep_settings_digest(&other, second, &err), MN_OK);
    assert_string_not_equal(first, second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_added_is_read_and_a_torn_line_is_dropped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_line_that_makes_no_sense_is_told_with_its_number, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_endless_line_makes_no_sense, set_up, tear_down),
        cmocka_unit_test(what_decides_nothing_is_not_in_the_digest_of_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
