#include "coordinator/run/chronicle.h"

#include "common/file.h"
#include "coordinator/run/run.h"
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "{\"journal\": \"mnemo\", \"version\": 1}\n"

static char root[PATH_MAX], path[PATH_MAX], old[PATH_MAX];
static mn_chronicle chronicle;
static mn_error err;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/chronicle_test.XXXXXX");
    chronicle = (mn_chronicle){0};
    return mkdtemp(root) != NULL && mn_run_path(root, MN_JOURNAL_FILE, path, NULL) == MN_OK &&
                   mn_run_path(root, MN_JOURNAL_OLD, old, NULL) == MN_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mn_chronicle_fini(&chronicle);
    (void)unlink(path);
    (void)unlink(old);
    return rmdir(root);
}

static void write_file(const char *file, const char *text)
{
    assert_int_equal(mn_file_write(file, text, strlen(text), NULL), MN_OK);
}

static void read_it(void)
{
    if (mn_chronicle_read(root, &chronicle, &err) != MN_OK)
        fail_msg("%s", err.message);
}

static const mn_chronicle_worker *worker(const char *name)
{
    for (size_t i = 0; i < chronicle.n_workers; i++)
        if (strcmp(chronicle.workers[i].name, name) == 0)
            return &chronicle.workers[i];
    fail_msg("no worker %s", name);
    return NULL;
}

static void expect_words(const mn_chronicle_worker *of, const mn_chronicle_entry *entry,
                         const char *words)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    if (of != NULL)
        mn_chronicle_tell_worker(&chronicle, of, out);
    else
        mn_chronicle_tell(&chronicle, entry, out);
    assert_int_equal(fclose(out), 0);
    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", text, words);
    free(text);
}

static void a_journal_becomes_who_did_what_and_why(void **state)
{
    (void)state;
    write_file(
        path, HEAD
        "{\"at\": 1, \"rank\": 0, \"event\": \"begun\", \"why\": \"process 1 on a\", \"work_s\": "
        "0, "
        "\"repeated_s\": 0}\n"
        "{\"at\": 2, \"rank\": 0, \"event\": \"joined\", \"who\": \"a:1\", \"threads\": 2}\n"
        "{\"at\": 2, \"rank\": 1, \"event\": \"joined\", \"who\": \"b:2\", \"threads\": 1}\n"
        "{\"at\": 2, \"rank\": 1, \"event\": \"joined\", \"who\": \"c:3\", \"threads\": 1}\n"
        "{\"at\": 3, \"rank\": 0, \"event\": \"ran out\", \"step\": 7, \"who\": \"a:1\", \"task\": "
        "5, "
        "\"tasks\": 2, \"span_s\": 1.5, \"pause_s\": 3}\n"
        "{\"at\": 4, \"rank\": 0, \"event\": \"waited\", \"step\": 7, \"who\": \"a:1\", "
        "\"threads\": 4, "
        "\"span_s\": 1.25}\n"
        "{\"at\": 4, \"rank\": 1, \"event\": \"waited\", \"step\": 8, \"who\": \"b:2\", "
        "\"threads\": 4, "
        "\"span_s\": 2.5, \"left_out\": 3, \"left_out_s\": 0.5}\n"
        "{\"at\": 5, \"rank\": 0, \"event\": \"repeated\", \"step\": 7, \"who\": \"a:1\", "
        "\"task\": 5, "
        "\"tasks\": 2, \"lost_s\": 4, \"why\": \"slow\", \"work_s\": 96, \"repeated_s\": 0}\n"
        "{\"at\": 6, \"rank\": 1, \"event\": \"lost\", \"step\": 9, \"who\": \"b:2\", \"why\": "
        "\"its "
        "connection closed\"}\n"
        "{\"at\": 6, \"rank\": 1, \"event\": \"left\", \"step\": 9, \"who\": \"e:5\", \"why\": "
        "\"it left\"}\n"
        "{\"at\": 6, \"rank\": 1, \"event\": \"waited\", \"step\": 9, \"who\": \"e:5\", "
        "\"threads\": 4, \"span_s\": 0.5}\n"
        "{\"at\": 6, \"rank\": 1, \"event\": \"idle\", \"step\": 9, \"who\": \"c:3\", \"span_s\": "
        "5, "
        "\"why\": \"a round has 2 tasks\"}\n"
        "{\"at\": 7, \"rank\": 0, \"event\": \"refused\", \"who\": \"d:4\", \"why\": \"the data "
        "differ\"}\n");
    read_it();
    assert_int_equal(chronicle.n_jobs, 1);
    assert_int_equal(chronicle.n_bad, 0);
    assert_int_equal(chronicle.n_workers, 5);
    assert_true(worker("a:1")->here && !worker("b:2")->here && worker("c:3")->here &&
                !worker("d:4")->here);
    assert_true(worker("a:1")->awaited_s == 1.25 && worker("a:1")->lost_s == 4);
    assert_int_equal(worker("a:1")->n_ran_out, 1);
    assert_int_equal(worker("a:1")->repeated, 2);
    expect_words(worker("a:1"), NULL, "ran out after 1.5 s, others may have 2 tasks from 5 on");
    expect_words(worker("b:2"), NULL, "b:2 is gone: its connection closed");
    expect_words(worker("c:3"), NULL, "idle since ");
    expect_words(worker("c:3"), NULL, "a round has 2 tasks");
    expect_words(worker("d:4"), NULL, "d:4 was refused: the data differ");

    expect_words(worker("e:5"), NULL, "e:5 left of its own accord");
    assert_int_equal(chronicle.n_waited, 6);
    assert_true(chronicle.waited_s == 4.75);
    assert_int_equal(chronicle.n_waits, 3); /* the longest first */
    expect_words(NULL, chronicle.waits[2], "it left of its own accord with tasks in hand");
    expect_words(NULL, chronicle.waits[0], "waited 2.5 s for b:2: it was the last to finish (4");
    expect_words(NULL, chronicle.waits[1], "waited 1.25 s for a:1: its lease ran out");
    /* told one by one before the totals know of it */
    assert_true(fabs(mn_chronicle_share(&chronicle) - 0.04) < 1e-9);
}

static void jobs_that_follow_each_other_are_summed_up(void **state)
{
    (void)state;
    write_file(old, HEAD "{\"at\": 2, \"rank\": 0, \"event\": \"joined\", \"who\": \"a:1\", "
                         "\"threads\": 2, \"work_s\": 5, \"repeated_s\": 1}\n");
    write_file(path, HEAD
               "{\"at\": 3, \"rank\": 0, \"event\": \"checkpoint\", \"step\": 5, \"work_s\": 50, "
               "\"repeated_s\": 2, \"left_out\": 4}\n"
               "{\"at\": 4, \"rank\": 0, \"event\": \"begun\", \"step\": 5, \"span_s\": 1.5, "
               "\"why\": \"process 2 on a\", \"work_s\": 0, \"repeated_s\": 0}\n"
               "{\"at\": 5, \"rank\": 0, \"event\": \"skipped\", \"step\": 6, \"tasks\": 3, "
               "\"work_s\": 40, \"repeated_s\": 8}\n"
               "{\"at\": 6, \"rank\": 0, \"event\": \"end"); /* the process was killed */
    read_it();
    assert_true(chronicle.forgotten && chronicle.cut);
    assert_int_equal(chronicle.n_bad, 0);
    assert_int_equal(chronicle.n_jobs, 2);
    assert_true(chronicle.work_s == 90 && chronicle.repeated_s == 10);
    assert_true(mn_chronicle_share(&chronicle) == 0.1);
    assert_int_equal(chronicle.n_checkpoints, 5);
    assert_int_equal(chronicle.n_skipped, 3);
    assert_false(worker("a:1")->here); /* the job that it worked for is over */
    expect_words(worker("a:1"), NULL, "there until the job ended");
    expect_words(NULL, &chronicle.entries[2],
                 "taken up after 5 meta-steps by process 2 on a (1.5 s)");
}

static void lines_without_sense_are_counted_and_passed_over(void **state)
{
    (void)state;
    write_file(
        path,
        HEAD "{\"at\": 12\n"
             "[1, 2]\n"
             "{\"event\": \"of a later version\"}\n"
             "{\"event\": 5}\n\n"
             "{\"at\": \"x\", \"rank\": -1, \"event\": \"ran out\", \"step\": -5, \"who\": 7, "
             "\"tasks\": 1e300, \"lost_s\": -1, \"span_s\": \"long\"}\n"
             "{\"at\": 1e999, \"event\": \"lost\"}\n"
             "{\"at\": 1e14, \"rank\": 99999999999, \"event\": \"lost\", \"who\": \"x\", \"why\": "
             "\"\"}\n");
    read_it();
    assert_int_equal(chronicle.n_bad, 6);
    assert_int_equal(chronicle.n, 2);
    for (size_t i = 0; i < chronicle.n; i++)
        expect_words(NULL, &chronicle.entries[i], "");
    assert_int_equal(worker("x")->rank, UINT32_MAX);
}

static void expect_refused(mn_status status, const char *words)
{
    assert_int_equal(mn_chronicle_read(root, &chronicle, &err), status);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, words);
}

static void what_is_no_journal_is_refused_by_name(void **state)
{
    (void)state;
    expect_refused(MN_ERR_NO_INPUT, "has no journal.jsonl");
    write_file(path, "{\"step\": 1, \"loss\": 2}\n");
    expect_refused(MN_ERR_DATA, "is not the journal of a run");
    write_file(path, "\x7f\x45LF and no line");
    expect_refused(MN_ERR_DATA, "is not the journal of a run");
    write_file(path, "{\"journal\": \"mnemo\", \"version\": 2}\n");
    expect_refused(MN_ERR_DATA, "version 2");
    write_file(path, ""); /* just made */
    read_it();
    assert_int_equal(chronicle.n, 0);
    mn_chronicle_fini(&chronicle);
    char *large = malloc(5 << 20);
    assert_non_null(large);
    memset(large, '\n', 5 << 20);
    assert_int_equal(mn_file_write(path, large, 5 << 20, NULL), MN_OK);
    free(large);
    expect_refused(MN_ERR_DATA, "journal.jsonl");
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_journal_becomes_who_did_what_and_why),
        IN_FOLDER(jobs_that_follow_each_other_are_summed_up),
        IN_FOLDER(lines_without_sense_are_counted_and_passed_over),
        IN_FOLDER(what_is_no_journal_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
