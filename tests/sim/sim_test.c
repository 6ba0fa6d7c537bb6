/* sim_test.c: the cluster under seeded faults; a failure's text begins with its seed (see `sim
 * --seed`). */
#include "tests/sim/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static mn_sim_report run(const mn_sim_options *options)
{
    mn_sim_report report = mn_sim_run(options);
    if (!report.ok)
        fail_msg("%s", report.failure);
    return report;
}

static void small_clusters_of_every_weather_keep_all_promises(void **state)
{
    (void)state;
    uint64_t complete = 0, stopped = 0, expired = 0, refused = 0, lost = 0, kept = 0;
    uint64_t repeated_us = 0, waited = 0, awaited_ranks = 0;
    uint64_t states[MN_N_WORKER_STATES] = {0};
    for (uint64_t seed = 1; seed <= 4000; seed++) {
        mn_sim_options options = mn_sim_draw(seed);
        mn_sim_report report = run(&options);
        complete += report.complete;
        stopped += !report.complete;
        expired += report.expired;
        refused += report.refused;
        lost += report.lost;
        kept += report.kept;
        repeated_us += report.repeated_us;
        waited += report.waited;
        awaited_ranks += report.awaited_ranks;
        for (int i = 0; i < MN_N_WORKER_STATES; i++)
            states[i] += report.states[i];
    }
    /* The promises were put to the test: everything that may go wrong did. */
    assert_true(complete > 1000 && stopped > 100 && expired > 1000 && refused > 1000 &&
                lost > 1000 && kept > 1000 && repeated_us > 0 && waited > 1000 &&
                awaited_ranks > 1000);
    for (int i = 0; i < MN_N_WORKER_STATES; i++)
        if (states[i] < 1000)
            fail_msg("workers came to be %s %u times only",
                     mn_worker_state_text((mn_worker_state)i), (unsigned)states[i]);
}

static void a_thousand_workers_that_come_and_go_give_the_sums_of_one(void **state)
{
    (void)state;
    mn_sim_options alone = {
        .seed = 7, .ranks = 1, .workers = 1, .steps = 6, .batch = 6000, .test_tasks = 600};
    mn_sim_options crowd = alone;
    crowd.seed = 8;
    crowd.ranks = 4;
    crowd.workers = 1000;
    crowd.local_threads = 2;
    crowd.faults = true;
    mn_sim_report one = run(&alone), many = run(&crowd);
    assert_true(one.complete && many.complete);
    assert_int_equal(one.rounds, 7);
    assert_int_equal(one.sum, many.sum);
}

static void in_good_weather_hardly_a_result_is_wasted(void **state)
{
    (void)state;
    uint64_t accepted = 0, refused = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        mn_sim_options options = mn_sim_draw(seed);
        options.faults = false;
        options.stop_after_s = 0;
        mn_sim_report report = run(&options);
        assert_true(report.complete);
        assert_int_equal(report.lost, 0);
        accepted += report.accepted;
        refused += report.refused;
    }
    assert_true(refused * 100 <
                accepted); /* compute times are exponential: some leases do run out */
}

/* Tasks of 15 times the floor of a lease, which is what is known of them at first. Whoever is alone
 * is let go on: nothing is computed twice, and the run takes as long as its tasks. */
static void whoever_is_alone_redoes_nothing_however_slow_it_is(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        const uint32_t worker = seed % 2;
        const mn_sim_options options = {.seed = seed,
                                        .ranks = 1,
                                        .workers = worker,
                                        .local_threads = 1 - worker,
                                        .steps = 2,
                                        .batch = 20,
                                        .test_tasks = 50,
                                        .task_s = 3};
        const mn_sim_report report = run(&options);
        assert_true(report.complete);
        if (report.refused > 0 || report.expired > 0)
            fail_msg("seed %u: %u results refused, %u leases ran out in %.0f s", (unsigned)seed,
                     (unsigned)report.refused, (unsigned)report.expired, report.virtual_s);
    }
}

static void two_slow_members_seldom_do_the_same_tasks(void **state)
{
    (void)state;
    uint64_t accepted = 0, refused = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        const mn_sim_options options = {.seed = seed,
                                        .ranks = 1,
                                        .workers = 1,
                                        .local_threads = 1,
                                        .test_tasks = 50,
                                        .task_s = 3};
        const mn_sim_report report = run(&options);
        assert_true(report.complete);
        accepted += report.accepted;
        refused += report.refused;
    }
    if (refused * 8 > accepted)
        fail_msg("%u results refused, %u accepted", (unsigned)refused, (unsigned)accepted);
}

/* Workers that are not ours: the first of them says of which class all are. */
static void of_several_numeric_classes_one_is_counted_whoever_comes_and_goes(void **state)
{
    (void)state;
    uint64_t rejected = 0, complete = 0, lost = 0;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        mn_sim_options options = mn_sim_draw(seed);
        options.ranks = 1;
        options.local_threads = 0;
        options.workers = (uint32_t)(3 + seed % 10);
        options.classes = (uint32_t)(1 + seed % 3);
        const mn_sim_report report = run(&options); /* fails if two were */
        rejected += report.rejected;
        complete += report.complete;
        lost += report.lost;
    }
    assert_true(rejected > 1000 && complete > 300 && lost > 1000);
}

static void equal_seeds_give_equal_runs(void **state)
{
    (void)state;
    mn_sim_options options = {
        .seed = 3, .ranks = 3, .workers = 20, .steps = 8, .batch = 100, .faults = true};
    mn_sim_report first = run(&options), second = run(&options);
    assert_int_equal(first.events, second.events);
    assert_true(first.virtual_s == second.virtual_s);
    assert_int_equal(first.accepted, second.accepted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_clusters_of_every_weather_keep_all_promises),
        cmocka_unit_test(a_thousand_workers_that_come_and_go_give_the_sums_of_one),
        cmocka_unit_test(in_good_weather_hardly_a_result_is_wasted),
        cmocka_unit_test(whoever_is_alone_redoes_nothing_however_slow_it_is),
        cmocka_unit_test(two_slow_members_seldom_do_the_same_tasks),
        cmocka_unit_test(of_several_numeric_classes_one_is_counted_whoever_comes_and_goes),
        cmocka_unit_test(equal_seeds_give_equal_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
