/* For any number of ranks: the suite runs it alone and under mpirun -n 3. */
#include "coordinator/links/reduce.h"

#include "coordinator/links/job.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DIGITS = 1000, SEGMENT = 64 };

static mn_job job;
static int rank, n_ranks;

static mn_reduce *with_numbers(void)
{
    mn_reduce *reduce = NULL;
    assert_int_equal(mn_reduce_new(job.comm, DIGITS + 5, SEGMENT, &reduce, NULL), MN_OK);
    for (int i = 0; i < DIGITS; i++)
        mn_reduce_sums(reduce)[i] = (int64_t)(i + 1) * (rank + 1) * -1000000007;
    return reduce;
}

static void finish(mn_reduce *reduce)
{
    while (mn_reduce_active(reduce))
        (void)mn_reduce_progress(reduce);
    assert_false(mn_reduce_progress(reduce));
}

static int64_t sum_of(int i)
{
    return (int64_t)(i + 1) * -1000000007 * n_ranks * (n_ranks + 1) / 2;
}

static void what_has_arrived_is_the_sum_already_and_the_counts_come_first(void **state)
{
    (void)state;
    enum { COLUMNS = DIGITS / 2, SEGMENTS = COLUMNS / SEGMENT };
    mn_reduce *reduce = with_numbers();
    const mn_tally mine = {.threads = 3};
    mn_tally all = {0};
    size_t arrived = 0, n_segments = 0;
    mn_reduce_begin(reduce, DIGITS, 42, &mine);
    while (mn_reduce_active(reduce)) {
        if (!mn_reduce_progress(reduce))
            continue;
        n_segments++;
        assert_int_equal(mn_reduce_result(reduce, &all, NULL), MN_OK);
        assert_int_equal(all.threads, 3 * n_ranks);
        for (int i = (SEGMENTS - 1) * SEGMENT; i < COLUMNS; i++)
            assert_true(mn_reduce_sums(reduce)[i] == sum_of(i) &&
                        mn_reduce_sums(reduce)[COLUMNS + i] == sum_of(COLUMNS + i));
        assert_true(mn_reduce_arrived(reduce) >= arrived);
        arrived = mn_reduce_arrived(reduce);
        assert_int_equal(arrived, mn_reduce_active(reduce) ? (n_segments - 1) * SEGMENT : COLUMNS);
        for (int i = 0; i < (int)arrived; i++)
            assert_true(mn_reduce_sums(reduce)[i] == sum_of(i) &&
                        mn_reduce_sums(reduce)[COLUMNS + i] == sum_of(COLUMNS + i));
    }
    assert_int_equal(n_segments, SEGMENTS);
    mn_reduce_destroy(&reduce);
}

static void sums_and_counts_of_all_ranks_are_added_in_segments(void **state)
{
    (void)state;
    mn_reduce *reduce = with_numbers();
    const mn_tally mine = {.workers = (uint64_t)rank,
                           .threads = 2,
                           .mixed = rank == 0,
                           .tasks_us = 1000,
                           .sums_us = (uint64_t)rank,
                           .repeated_us = 500,
                           .repeated = 3};
    mn_tally all = {0};
    for (int again = 1; again <= 2; again++) { /* a reduce can follow a reduce */
        mn_reduce_begin(reduce, DIGITS, 42, &mine);
        finish(reduce);
        assert_int_equal(mn_reduce_result(reduce, &all, NULL), MN_OK);
    }
    assert_int_equal(all.workers, n_ranks * (n_ranks - 1) / 2);
    assert_int_equal(all.threads, 2 * n_ranks);
    assert_int_equal(all.mixed, 1);
    assert_int_equal(all.tasks_us, 1000 * n_ranks);
    assert_int_equal(all.sums_us, n_ranks * (n_ranks - 1) / 2);
    assert_int_equal(all.repeated_us, 500 * n_ranks);
    assert_int_equal(all.repeated, 3 * n_ranks);
    for (int i = 0; i < DIGITS; i++)
        assert_true(mn_reduce_sums(reduce)[i] == sum_of(i) * n_ranks);
    mn_reduce_destroy(&reduce);
}

static void a_rank_with_another_theta_is_named_on_all_ranks(void **state)
{
    (void)state;
    mn_reduce *reduce = with_numbers();
    const mn_tally mine = {0};
    mn_tally all = {0};
    mn_error err;
    mn_reduce_begin(reduce, DIGITS, rank == n_ranks - 1 ? UINT64_MAX : 42, &mine);
    finish(reduce);
    mn_status status = mn_reduce_result(reduce, &all, &err);
    if (n_ranks == 1) {
        assert_int_equal(status, MN_OK);
    } else {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "rank 0 (%016x): rank %d.", 42, n_ranks - 1);
        assert_int_equal(status, MN_ERR_INTERNAL);
        assert_non_null(strstr(err.message, expected));
    }
    mn_reduce_destroy(&reduce);
}

int main(void)
{
    if (mn_job_begin(&job, NULL) != MN_OK)
        return 1;
    rank = (int)job.rank;
    n_ranks = (int)job.n_ranks;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_counts_of_all_ranks_are_added_in_segments),
        cmocka_unit_test(what_has_arrived_is_the_sum_already_and_the_counts_come_first),
        cmocka_unit_test(a_rank_with_another_theta_is_named_on_all_ranks),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mn_job_end(&job);
    return failed;
}
