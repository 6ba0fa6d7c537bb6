#include "common/checkpoint_list.h"

#include "common/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char folder[] = "/tmp/checkpoint_list_test.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[sizeof folder + 16];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static void put(const char *name)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mn_file_write(path, "", 0, NULL), MN_OK);
}

static void checkpoints_are_listed_newest_first_and_others_are_none(void **state)
{
    (void)state;
    static const char *const others[] = {
        "step-7.safetensors",         "step-000000008.safetensors.tmp-1", "step-000000009.txt",
        "step--00000001.safetensors", "xstep-000000010.safetensors",      "step-.safetensors"};
    uint64_t *steps = NULL, step = 0;
    size_t n = 0;
    char path[PATH_MAX];
    mn_error err = {.message = ""};
    assert_int_equal(mn_checkpoint_newest(folder, path, &step, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "holds no checkpoint yet"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        put(others[i]);
    put("step-000000020.safetensors");
    put("step-1234567890.safetensors");
    put("step-000000003.safetensors");
    assert_int_equal(mn_checkpoint_list(folder, &steps, &n, &err), MN_OK);
    assert_int_equal(n, 3);
    assert_int_equal(steps[0], 1234567890);
    assert_int_equal(steps[1], 20);
    assert_int_equal(steps[2], 3);
    free(steps);
    assert_int_equal(mn_checkpoint_newest(folder, path, &step, &err), MN_OK);
    assert_int_equal(step, 1234567890);
    assert_non_null(strstr(path, "/step-1234567890.safetensors"));
}

static void a_folder_that_is_not_there_has_none(void **state)
{
    (void)state;
    uint64_t *steps = NULL;
    size_t n = 7;
    assert_int_equal(mn_checkpoint_list("/nowhere/at/all", &steps, &n, NULL), MN_OK);
    assert_int_equal(n, 0);
    assert_null(steps);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char longest[PATH_MAX], path[PATH_MAX];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(mn_checkpoint_path(longest, 1, path, NULL), MN_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_are_listed_newest_first_and_others_are_none),
        cmocka_unit_test(a_folder_that_is_not_there_has_none),
        cmocka_unit_test(a_path_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
