#include "common/processors.h"

#include "common/file.h"
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/processors_test.XXXXXX";
static char path[PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    (void)strcpy(strrchr(folder, '.') + 1, "XXXXXX");
    return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "rm -r '%s'", folder);
    return chdir("/") == 0 ? system(path) : -1;
}

static void put(const char *where, const char *name, const char *text)
{
    assert_int_equal(mn_folder_make(where, NULL), MN_OK);
    (void)snprintf(path, sizeof path, "%s/%s", where, name);
    assert_int_equal(mn_file_write(path, text, strlen(text), NULL), MN_OK);
}

static uint32_t quota_of(const char *membership)
{
    put(".", "membership", membership);
    return mn_processors_quota_in("membership", "groups");
}

static void without_groups_any_number_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(mn_processors_quota_in("nowhere", "groups"), UINT32_MAX);
    assert_int_equal(quota_of(""), UINT32_MAX);
    assert_int_equal(quota_of("nonsense\n0:\n0::/gone\n3:cpu:/gone\n"), UINT32_MAX);
    put("groups/x", "cpu.max", "max 100000\n");
    assert_int_equal(quota_of("0::/x\n"), UINT32_MAX);
}

static void a_quota_is_rounded_up(void **state)
{
    (void)state;
    put("groups/x", "cpu.max", "150000 100000\n");
    assert_int_equal(quota_of("0::/x\n"), 2);
    put("groups/x", "cpu.max", "400000 100000\n");
    assert_int_equal(quota_of("0::/x\n"), 4);
    put("groups/x", "cpu.max", "1000 100000\n");
    assert_int_equal(quota_of("0::/x\n"), 1);
}

static void groups_above_limit_too(void **state)
{
    (void)state;
    put("groups/pods/mine", "cpu.max", "max 100000\n");
    put("groups/pods", "cpu.max", "300000 100000\n");
    assert_int_equal(quota_of("0::/pods/mine\n"), 3);
    put("groups", "cpu.max", "100000 100000\n"); /* as a container sees its own */
    assert_int_equal(quota_of("0::/pods/mine\n"), 1);
    assert_int_equal(quota_of("0::/\n"), 1);
}

static void the_older_hierarchy_is_read_too(void **state)
{
    (void)state;
    put("groups/cpu/docker/1", "cpu.cfs_quota_us", "250000\n");
    put("groups/cpu/docker/1", "cpu.cfs_period_us", "100000\n");
    put("groups/cpu", "cpu.cfs_quota_us", "-1\n");
    put("groups/cpu", "cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota_of("5:cpuset:/docker/1\n4:cpu,cpuacct:/docker/1\n"), 3);
    assert_int_equal(quota_of("5:cpuset:/docker/1\n4:cpuacct,cpu:/docker/1\n"), 3);
    assert_int_equal(quota_of("5:cpuset:/docker/1\n4:cpuacct:/docker/1\n"), UINT32_MAX);
    assert_int_equal(quota_of("4:cpu:/\n"), UINT32_MAX);
}

static void who_is_bound_to_one_has_one(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_int_equal(mn_processors_bound(), CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(mn_processors_bound(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(without_groups_any_number_is_allowed), IN_FOLDER(a_quota_is_rounded_up),
        IN_FOLDER(groups_above_limit_too), IN_FOLDER(the_older_hierarchy_is_read_too),
        cmocka_unit_test(who_is_bound_to_one_has_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
