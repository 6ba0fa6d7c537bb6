#include "coordinator/run/outcome.h"

#include "coordinator/run/run.h"
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static mn_error err;

static void what_is_written_is_read(void **state)
{
    (void)state;
    char folder[] = "/tmp/outcome_test.XXXXXX";
    char path[PATH_MAX];
    mn_outcome read;
    const mn_outcome written = {
        .ending = MN_ENDING_DONE,
        .step = 300,
        .validated = true,
        .validated_by = {.name = "loss"},
        .validation = 0.125,
        .best_step = 200,
        .tested = true,
        .judged = {.name = "accuracy", .is_share = true, .higher_is_better = true},
        .test = 0.75,
        .test_half_width = NAN,
        .sha256 = "abc"};
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mn_outcome_read(folder, &read, &err), MN_ERR_NO_INPUT);
    assert_int_equal(mn_outcome_write(&written, folder, &err), MN_OK);
    assert_int_equal(mn_outcome_read(folder, &read, &err), MN_OK);
    assert_int_equal(read.ending, MN_ENDING_DONE);
    assert_int_equal(read.step, 300);
    assert_int_equal(read.best_step, 200);
    assert_true(read.validated && read.tested && read.judged.is_share &&
                read.judged.higher_is_better);
    assert_false(read.validated_by.higher_is_better);
    assert_string_equal(read.validated_by.name, "loss");
    assert_string_equal(read.sha256, "abc");
    assert_true(read.validation == 0.125 && read.test == 0.75 && isnan(read.test_half_width));
    assert_int_equal(mn_run_path(folder, "outcome.json", path, &err), MN_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void what_is_no_outcome_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[]",
        "{}",
        "{\"ending\": \"done\", \"step\": -1, \"theta_sha256\": \"\"}",
        "{\"ending\": \"gone\", \"step\": 1, \"theta_sha256\": \"\"}",
        "{\"ending\": \"done\", \"step\": 1}",
        "{\"ending\": \"done\", \"step\": 1, \"theta_sha256\": "
        "\"00000000000000000000000000000000000000000000000000000000000000000\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        mn_outcome out;
        json_t *object = json_loads(texts[i], 0, NULL);
        assert_int_equal(mn_outcome_from(object, &out, &err), MN_ERR_DATA);
        json_decref(object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_is_no_outcome_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
