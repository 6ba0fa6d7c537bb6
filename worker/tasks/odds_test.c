#include "worker/tasks/odds.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static double share(const mn_odds *odds, uint32_t i)
{
    return (double)odds->of[i] / odds->total;
}

static void a_power_is_that_of_the_c_library(void **state)
{
    (void)state;
    for (double x = 1e-6; x < 1e15; x *= 7.3)
        for (double power = 0; power <= 4; power += 0.21875) /* 7/32 */
            assert_true(fabs(mn_odds_power(x, power) / pow(x, power) - 1) < 1e-12);
    assert_true(mn_odds_power(4, 0.5) == 2);
    assert_true(fabs(mn_odds_power(2, 0.3) / pow(2, 0.3) - 1) < 1e-6); /* rounded down */
}

static void weights_are_the_odds(void **state)
{
    const mn_odds odds = mn_odds_of(3, (const uint32_t[]){3, 1, 4});
    unsigned n[3] = {0};
    (void)state;
    assert_int_equal(odds.total, 8);
    mn_random random = mn_random_stream(3, MN_RANDOM_TASK_TRAIN, 0);
    for (int i = 0; i < 8000; i++)
        n[mn_odds_draw(&odds, &random)]++;
    assert_in_range(n[0], 2850, 3150);
    assert_in_range(n[1], 870, 1130);
}

static void odds_follow_a_power_of_what_they_go_by(void **state)
{
    const uint32_t weights[] = {1, 1, 2};
    const double by[] = {100, 400, 100};
    (void)state;
    mn_odds odds = mn_odds_by(3, weights, by, 1);
    assert_true(fabs(share(&odds, 0) - 1.0 / 7) < 1e-8);
    assert_true(fabs(share(&odds, 1) - 4.0 / 7) < 1e-8);
    odds = mn_odds_by(3, weights, by, 0.5);
    assert_true(fabs(share(&odds, 1) - 2.0 / 5) < 1e-8);
    odds = mn_odds_by(3, weights, by, 0);
    assert_true(fabs(share(&odds, 2) - 0.5) < 1e-8);
}

/* Losses are a checkpoint's, and may be anything. */
static void a_set_never_loses_all_chance_whatever_it_goes_by(void **state)
{
    const uint32_t weights[] = {1, 1000000, 1, 1};
    const double by[] = {NAN, INFINITY, -3, 0};
    (void)state;
    for (double power = 0; power <= 4; power++) {
        const mn_odds odds = mn_odds_by(4, weights, by, power);
        for (uint32_t i = 0; i < 4; i++)
            assert_true(odds.of[i] >= 1);
        assert_true(odds.total <= (1u << 30) + 4 && odds.of[1] > odds.of[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_is_that_of_the_c_library),
        cmocka_unit_test(weights_are_the_odds),
        cmocka_unit_test(odds_follow_a_power_of_what_they_go_by),
        cmocka_unit_test(a_set_never_loses_all_chance_whatever_it_goes_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
