#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void both_tell_the_same_time_in_their_units(void **state)
{
    (void)state;
    const double before = mn_clock_s(CLOCK_MONOTONIC);
    const double now = 1e-6 * (double)mn_clock_us();
    const double after = mn_clock_s(CLOCK_MONOTONIC);
    assert_true(now >= before - 2e-6 && now <= after + 2e-6); /* microseconds are cut off */
}

static void other_clocks_are_themselves(void **state)
{
    (void)state;
    struct timespec real;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &real), 0);
    assert_true(mn_clock_s(CLOCK_REALTIME) >= (double)real.tv_sec);
    assert_true(mn_clock_s(CLOCK_PROCESS_CPUTIME_ID) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_tell_the_same_time_in_their_units),
        cmocka_unit_test(other_clocks_are_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
