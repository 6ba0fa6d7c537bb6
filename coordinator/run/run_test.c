#include "coordinator/run/run.h"

#include "common/file.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[PATH_MAX];
static char start[PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/run_test.XXXXXX");
    return mkdtemp(root) != NULL && getcwd(start, sizeof start) != NULL && chdir(root) == 0 ? 0
                                                                                            : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[PATH_MAX + 16];
    (void)snprintf(command, sizeof command, "rm -r '%s'", root);
    return chdir(start) == 0 ? system(command) : -1;
}

static void a_folder_is_named_by_experiment_and_time(void **state)
{
    (void)state;
    char folder[PATH_MAX];
    assert_int_equal(mn_run_default_folder("sine", 1700000000, folder, NULL), MN_OK);
    assert_string_equal(folder, "runs/sine-20231114T221320Z");
    /* Runs that start in the same second: none may be given what another was. */
    assert_int_equal(mn_run_default_folder("sine", 1700000000, folder, NULL), MN_OK);
    assert_string_equal(folder, "runs/sine-20231114T221320Z-2");
}

static void latest_links_to_the_newest_run(void **state)
{
    (void)state;
    mn_run *first = NULL;
    mn_run *second = NULL;
    char target[PATH_MAX] = "";
    assert_int_equal(mn_run_open("runs/one", &first, NULL), MN_OK);
    assert_int_equal(mn_run_open("runs/two", &second, NULL), MN_OK);
    assert_int_equal(readlink("runs/latest", target, sizeof target - 1), 3);
    assert_string_equal(target, "two");
    mn_run_close(&first);
    mn_run_close(&second);
    assert_int_equal(mn_run_open("elsewhere", &first, NULL), MN_OK);
    assert_int_not_equal(access("latest", F_OK), 0);
    mn_run_close(&first);
}

static void a_second_job_is_refused_and_told_who_is_first(void **state)
{
    (void)state;
    mn_run *first = NULL;
    mn_run *second = NULL;
    mn_error err;
    char who[64];
    (void)snprintf(who, sizeof who, "process %ld on ", (long)getpid());
    assert_int_equal(mn_run_open("run", &first, NULL), MN_OK);
    assert_int_equal(mn_run_open("run", &second, &err), MN_ERR_UNAVAILABLE);
    assert_null(second);
    assert_non_null(strstr(err.message, who));
    mn_run_close(&first);
    assert_int_equal(mn_run_open("run", &second, &err), MN_OK);
    mn_run_close(&second);
}

static void a_run_has_begun_once_its_experiment_is_written(void **state)
{
    (void)state;
    mn_run *run = NULL;
    mn_experiment experiment;
    mn_experiment read;
    mn_experiment_init(&experiment);
    experiment.seed = 99;
    assert_int_equal(mn_run_open("run", &run, NULL), MN_OK);
    assert_false(mn_run_begun("run"));
    assert_int_equal(mn_run_write_experiment(run, &experiment, NULL), MN_OK);
    assert_true(mn_run_begun("run"));
    mn_experiment_init(&read);
    assert_int_equal(mn_experiment_read(&read, "run/experiment.yaml", NULL), MN_OK);
    assert_int_equal(read.seed, 99);
    mn_run_close(&run);
}

static void workers_find_the_same_run_after_a_restart(void **state)
{
    (void)state;
    mn_run *run = NULL;
    char *text = NULL;
    size_t n = 0;
    char expected[256];
    const char endpoints[3][256] = {"tcp://127.0.0.1:5", "", "tcp://127.0.0.1:6"};
    assert_int_equal(mn_run_open("run", &run, NULL), MN_OK);
    uint64_t id = mn_run_id(run);
    assert_int_not_equal(id, 0);
    assert_int_equal(mn_run_write_endpoint(run, NULL, 3, endpoints, NULL), MN_OK);
    assert_int_equal(mn_file_read("run/endpoint", 4096, &text, &n, NULL), MN_OK);
    (void)snprintf(expected, sizeof expected,
                   "run: %016" PRIx64 "\nkey: -\nendpoint: tcp://127.0.0.1:5\n"
                   "endpoint: tcp://127.0.0.1:6\n",
                   id);
    assert_string_equal(text, expected);
    free(text);
    mn_run_close(&run);

    assert_int_equal(mn_run_open("run", &run, NULL), MN_OK);
    assert_true(mn_run_id(run) == id);
    mn_run_remove_endpoint(run);
    assert_int_not_equal(access("run/endpoint", F_OK), 0);
    mn_run_close(&run);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    mn_run *run = NULL;
    mn_error err;
    assert_int_equal(mn_file_write("file", "x", 1, NULL), MN_OK);
    assert_int_not_equal(mn_run_open("file/run", &run, &err), MN_OK);
    assert_non_null(strstr(err.message, "file"));
    assert_null(run);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_folder_is_named_by_experiment_and_time),
        IN_FOLDER(latest_links_to_the_newest_run),
        IN_FOLDER(a_second_job_is_refused_and_told_who_is_first),
        IN_FOLDER(a_run_has_begun_once_its_experiment_is_written),
        IN_FOLDER(workers_find_the_same_run_after_a_restart),
        IN_FOLDER(a_folder_that_cannot_be_made_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
