#include "coordinator/sweep/ladder.h"

#include "common/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static mn_ladder *ladder;
static mn_error err;

static int tear_down(void **state)
{
    (void)state;
    mn_ladder_destroy(&ladder);
    return 0;
}

static void begin(uint32_t n_points, uint32_t n_seeds, uint32_t n_rungs, const uint32_t *admitted)
{
    mn_ladder_destroy(&ladder);
    assert_int_equal(mn_ladder_new(n_points, n_seeds, n_rungs, admitted, &ladder, &err), MN_OK);
}

static void take(uint32_t run, uint32_t leg)
{
    uint32_t got = UINT32_MAX, got_leg = UINT32_MAX;
    assert_true(mn_ladder_next(ladder, 0, &got, &got_leg));
    assert_int_equal(got, run);
    assert_int_equal(got_leg, leg);
}

static void assert_nothing_goes(void)
{
    uint32_t run, leg;
    assert_false(mn_ladder_next(ladder, 0, &run, &leg));
}

static mn_point_fate fate(uint32_t point)
{
    uint32_t rung;
    return mn_ladder_fate(ladder, point, &rung);
}

static void without_rungs_all_runs_go_in_their_order(void **state)
{
    (void)state;
    begin(2, 2, 0, (const uint32_t[]){2});
    for (uint32_t run = 0; run < 4; run++) {
        assert_true(mn_ladder_has_more(ladder));
        take(run, 0);
    }
    assert_nothing_goes();
    assert_false(mn_ladder_has_more(ladder));
    for (uint32_t run = 0; run < 4; run++)
        mn_ladder_end(ladder, run, 0, MN_LEG_DONE, run, 0);
    assert_true(mn_ladder_is_over(ladder));
    assert_true(mn_ladder_score(ladder, 1) == 2.5);
    assert_int_equal(fate(0), MN_POINT_DONE);
}

static void at_a_rung_the_best_go_on_and_the_others_are_stopped(void **state)
{
    (void)state;
    begin(4, 1, 1, (const uint32_t[]){4, 2});
    for (uint32_t run = 0; run < 4; run++)
        take(run, 0);
    mn_ladder_end(ladder, 0, 0, MN_LEG_PAUSED, 1, 0);
    mn_ladder_end(ladder, 1, 0, MN_LEG_PAUSED, 4, 0);
    assert_nothing_goes(); /* two that are unknown may both be better */
    mn_ladder_end(ladder, 2, 0, MN_LEG_PAUSED, 3, 0);
    take(1, 1); /* certain: at most one is before it */
    assert_nothing_goes();
    assert_int_equal(fate(0), MN_POINT_STOPPED); /* certain too */
    mn_ladder_end(ladder, 3, 0, MN_LEG_PAUSED, NAN, 0);
    assert_true(mn_ladder_has_more(ladder));
    take(2, 1);
    assert_false(mn_ladder_has_more(ladder));
    assert_int_equal(fate(3), MN_POINT_STOPPED);
    mn_ladder_end(ladder, 2, 1, MN_LEG_DONE, 3, 0);
    assert_false(mn_ladder_is_over(ladder));
    mn_ladder_end(ladder, 1, 1, MN_LEG_DONE, 5, 0);
    assert_true(mn_ladder_is_over(ladder));
    assert_int_equal(fate(1), MN_POINT_DONE);
    assert_true(isnan(mn_ladder_score(ladder, 3)));
}

static void those_that_are_far_go_first(void **state)
{
    (void)state;
    begin(4, 1, 1, (const uint32_t[]){4, 3});
    take(0, 0);
    take(1, 0);
    mn_ladder_end(ladder, 1, 0, MN_LEG_PAUSED, 9, 0);
    mn_ladder_end(ladder, 0, 0, MN_LEG_PAUSED, 8, 0);
    mn_ladder_end(ladder, 2, 0, MN_LEG_PAUSED, 7, 0); /* of an earlier life; two are certain */
    mn_ladder_end(ladder, 1, 0, MN_LEG_DONE, 1, 0);   /* of a leg that is behind it: passed over */
    take(0, 1);
    take(1, 1);
    take(3, 0);
}

static void points_are_compared_by_the_mean_over_their_seeds(void **state)
{
    (void)state;
    uint32_t run, leg;
    begin(2, 2, 1, (const uint32_t[]){2, 1});
    while (mn_ladder_next(ladder, 0, &run, &leg))
        mn_ladder_end(ladder, run, leg, leg == 0 ? MN_LEG_PAUSED : MN_LEG_DONE,
                      (const double[]){10, 0, 4, 7}[run], 0);
    assert_int_equal(fate(0), MN_POINT_STOPPED); /* 5 against 5.5 */
    assert_int_equal(fate(1), MN_POINT_DONE);
}

/* Whoever is first: the same points go on, be some of them over early, cut or failed. */
static void who_goes_on_does_not_depend_on_who_was_first(void **state)
{
    (void)state;
    enum { POINTS = 27, SEEDS = 2, RUNS = POINTS * SEEDS };
    static const uint32_t admitted[] = {27, 9, 3, 1};
    mn_point_fate first[POINTS] = {0};
    for (uint64_t seed = 0; seed < 200; seed++) {
        mn_random random = mn_random_stream(seed, MN_RANDOM_SELF_TEST, 0);
        uint32_t under_way[RUNS], legs[RUNS], n = 0, per_leg[4] = {0};
        bool was_cut[RUNS] = {false};
        uint64_t now_us = 0;
        begin(POINTS, SEEDS, 3, admitted);
        while (!mn_ladder_is_over(ladder)) {
            const uint32_t slots = 1 + mn_random_below(&random, 7);
            while (n < slots && mn_ladder_next(ladder, now_us, &under_way[n], &legs[n]))
                n++;
            if (n == 0) { /* only those that were cut are left */
                assert_true(mn_ladder_wake_us(ladder) < UINT64_MAX);
                now_us = mn_ladder_wake_us(ladder);
                continue;
            }
            const uint32_t k = mn_random_below(&random, n), run = under_way[k], leg = legs[k];
            const double score = (double)(run * 7919u % 31u) + leg;
            n--;
            under_way[k] = under_way[n];
            legs[k] = legs[n];
            if (!was_cut[run] && mn_random_below(&random, 4) == 0) {
                was_cut[run] = true;
                mn_ladder_end(ladder, run, leg, MN_LEG_CUT, NAN, now_us);
                continue;
            }
            if (run == 5) {
                mn_ladder_end(ladder, run, leg, MN_LEG_FAILED, NAN, now_us);
                continue;
            }
            per_leg[leg]++;
            mn_ladder_end(ladder, run, leg, leg == 3 || run % 13 == 0 ? MN_LEG_DONE : MN_LEG_PAUSED,
                          score, now_us);
        }
        assert_true(per_leg[1] <= 9 * SEEDS && per_leg[2] <= 3 * SEEDS && per_leg[3] <= SEEDS);
        for (uint32_t point = 0; point < POINTS; point++) {
            if (seed == 0)
                first[point] = fate(point);
            else if (fate(point) != first[point])
                fail_msg("seed %u: point %u", (unsigned)seed, point);
        }
    }
    assert_int_equal(first[2], MN_POINT_FAILED);
}

static void what_is_cut_is_tried_again_after_a_while_and_not_for_ever(void **state)
{
    (void)state;
    uint32_t run, leg;
    uint64_t now_us = 0;
    begin(1, 1, 0, (const uint32_t[]){1});
    for (uint32_t i = 0; i < MN_LADDER_TRIES; i++) {
        assert_true(mn_ladder_next(ladder, now_us, &run, &leg));
        mn_ladder_end(ladder, run, leg, MN_LEG_CUT, NAN, now_us);
        if (i + 1 == MN_LADDER_TRIES)
            break;
        assert_false(mn_ladder_next(ladder, now_us, &run, &leg));
        now_us += (uint64_t)MN_LADDER_PAUSE_US << i;
        assert_true(mn_ladder_wake_us(ladder) == now_us);
    }
    assert_true(mn_ladder_is_over(ladder));
    assert_int_equal(fate(0), MN_POINT_FAILED);
}

static void what_an_earlier_life_has_done_is_not_done_again(void **state)
{
    (void)state;
    begin(3, 1, 1, (const uint32_t[]){3, 1});
    mn_ladder_end(ladder, 2, 0, MN_LEG_PAUSED, 9, 0);
    mn_ladder_end(ladder, 0, 0, MN_LEG_PAUSED, 1, 0);
    mn_ladder_end(ladder, 0, 0, MN_LEG_PAUSED, 99, 0); /* told twice */
    take(1, 0);
    mn_ladder_put_back(ladder, 1);
    take(1, 0);
    mn_ladder_end(ladder, 1, 0, MN_LEG_PAUSED, 2, 0);
    take(2, 1);
    assert_nothing_goes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_rungs_all_runs_go_in_their_order, tear_down),
        cmocka_unit_test_teardown(at_a_rung_the_best_go_on_and_the_others_are_stopped, tear_down),
        cmocka_unit_test_teardown(those_that_are_far_go_first, tear_down),
        cmocka_unit_test_teardown(points_are_compared_by_the_mean_over_their_seeds, tear_down),
        cmocka_unit_test_teardown(who_goes_on_does_not_depend_on_who_was_first, tear_down),
        cmocka_unit_test_teardown(what_is_cut_is_tried_again_after_a_while_and_not_for_ever,
                                  tear_down),
        cmocka_unit_test_teardown(what_an_earlier_life_has_done_is_not_done_again, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
