#include "common/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

static void set(rlim_t soft, rlim_t hard)
{
    const struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static rlim_t soft(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur;
}

static void the_soft_limit_becomes_the_hard_one_if_that_is_not_absurd(void **state)
{
    (void)state;
    struct rlimit own;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &own), 0);
    const rlim_t most = own.rlim_max < MN_DESCRIPTORS_MOST ? own.rlim_max : MN_DESCRIPTORS_MOST;
    set(64, own.rlim_max);
    assert_int_equal(mn_descriptors_raise(), most);
    assert_int_equal(soft(), most);
    if (own.rlim_max > MN_DESCRIPTORS_MOST) { /* who has more keeps it */
        set(MN_DESCRIPTORS_MOST + 1, own.rlim_max);
        assert_int_equal(mn_descriptors_raise(), MN_DESCRIPTORS_MOST + 1);
    }
    set(64, 100); /* not to be undone without a right, so it comes last */
    assert_int_equal(mn_descriptors_raise(), 100);
    assert_int_equal(mn_descriptors_raise(), 100);
    assert_int_equal(soft(), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_soft_limit_becomes_the_hard_one_if_that_is_not_absurd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
