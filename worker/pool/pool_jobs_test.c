#include "worker/pool/pool_jobs.h"

#include "common/exact_sum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)
enum { COLUMNS = 3, THREADS = 2 };

static struct jobs jobs;

static int set_up(void **state)
{
    (void)state;
    memset(&jobs, 0, sizeof jobs);
    jobs.task_ns = 1 * MS;
    struct theta *theta = mn_jobs_new_theta(&jobs, COLUMNS);
    if (theta == NULL)
        return -1;
    mn_jobs_keep_theta(&jobs, theta, 7);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mn_jobs_fini(&jobs);
    return 0;
}

static void add(uint64_t epoch, uint32_t n, uint64_t now_ns)
{
    const mn_lease lease = {
        .epoch = epoch,
        .round = {.id = 1, .kind = MN_ROUND_TRAIN, .step = 7, .n_tasks = MN_EXACT_MAX_TERMS},
        .n = n};
    assert_int_equal(mn_jobs_add(&jobs, &lease, COLUMNS, THREADS, now_ns, NULL), MN_OK);
}

/* The queued lease of this place. */
static struct job *job_at(uint32_t i)
{
    struct job *job = jobs.queued.first;
    for (; i > 0; i--)
        job = job->next;
    return job;
}

/* As threads that compute n tasks of it. */
static void compute(struct job *job, uint32_t n)
{
    job->begun += n;
    job->in_hand += n;
    mn_jobs_settle(&jobs, job, n);
}

/* Is the sum of the newest lease also that of the one before? */
static bool joined(void)
{
    return job_at(jobs.queued.n - 1)->yield == job_at(jobs.queued.n - 2)->yield;
}

static void a_sum_grows_while_it_will_be_complete_within_the_time(void **state)
{
    (void)state;
    add(1, 400, 0); /* 200 ms for two threads of 1 ms a task */
    add(2, 1000, 0);
    assert_true(joined()); /* 700 ms */
    add(3, 598, 0);
    assert_true(joined()); /* 999 */
    add(4, 1, 0);
    assert_false(joined());
    add(5, 1998, 0); /* of the new sum: 1 + 1998 tasks take 1000 ms */
    assert_false(joined());
}

static void what_is_done_takes_no_more_time_but_took_some(void **state)
{
    (void)state;
    add(1, 1000, 0);
    compute(job_at(0), 900);
    add(2, 1700, 99 * MS); /* 99 passed, 50 + 850 to come */
    assert_true(joined());
    add(3, 2, 99 * MS);
    assert_false(joined());
    compute(job_at(2), 1);
    add(4, 2, 1097 * MS); /* 998 passed, 2 to come */
    assert_false(joined());
    add(5, 2, 2094 * MS); /* 997 passed */
    assert_true(joined());
}

static void a_pool_that_knows_no_time_joins_nothing(void **state)
{
    (void)state;
    jobs.task_ns = 0;
    add(1, 1, 0);
    add(2, 1, 0);
    assert_false(joined());
    jobs.task_ns = UINT64_MAX;
    add(3, 1, 0);
    assert_false(joined());
}

static void a_sum_is_of_no_more_tasks_than_it_holds(void **state)
{
    (void)state;
    jobs.task_ns = 1;
    add(1, MN_EXACT_MAX_TERMS - 4, 0);
    add(2, 4, 0);
    assert_true(joined());
    add(3, 1, 0);
    assert_false(joined());
}

static void kept_leases_are_named_in_order_whichever_was_done_first(void **state)
{
    (void)state;
    mn_pool_result result;
    for (uint64_t epoch = 1; epoch <= 4; epoch++)
        add(epoch * 10, 2, 0);
    struct job *by_epoch[4] = {job_at(0), job_at(1), job_at(2), job_at(3)};
    static const uint64_t order[] = {2, 0, 3, 1};
    for (int i = 0; i < 4; i++)
        compute(by_epoch[order[i]], 2);
    for (int i = 0; i < 3; i++) {
        assert_true(mn_jobs_take(&jobs, &result));
        assert_int_equal(result.result.encoding, MN_ENCODING_KEPT);
        assert_int_equal(result.epoch, (order[i] + 1) * 10);
        assert_int_equal(result.result.n_tasks, 2);
    }
    assert_true(mn_jobs_take(&jobs, &result));
    assert_int_equal(result.result.encoding, MN_ENCODING_EXACT);
    assert_int_equal(result.epoch, 20);
    assert_int_equal(result.result.n_tasks, 8);
    assert_int_equal(result.result.n_kept, 3);
    assert_int_equal(result.result.kept[0], 10);
    assert_int_equal(result.result.kept[1], 30);
    assert_int_equal(result.result.kept[2], 40);
    assert_false(mn_jobs_take(&jobs, &result));
}

static void rounds_of_few_tasks_give_rows_and_join_nothing(void **state)
{
    (void)state;
    mn_pool_result result;
    for (uint32_t n_tasks = MN_EXACT_ROWS; n_tasks <= MN_EXACT_ROWS + 1; n_tasks++) {
        for (uint32_t i = 0; i < 2; i++) {
            const mn_lease lease = {
                .epoch = 2 * n_tasks + i,
                .round = {.id = n_tasks, .kind = MN_ROUND_TRAIN, .step = 7, .n_tasks = n_tasks},
                .n = 2};
            assert_int_equal(mn_jobs_add(&jobs, &lease, COLUMNS, THREADS, 0, NULL), MN_OK);
        }
        const bool few = n_tasks <= MN_EXACT_ROWS;
        assert_true(joined() != few);
        compute(job_at(0), 2);
        compute(job_at(0), 2);
        assert_true(mn_jobs_take(&jobs, &result));
        assert_int_equal(result.result.encoding, few ? MN_ENCODING_ROWS : MN_ENCODING_KEPT);
        assert_true(mn_jobs_take(&jobs, &result));
        assert_int_equal(result.result.encoding, few ? MN_ENCODING_ROWS : MN_ENCODING_EXACT);
        assert_int_equal(result.result.n_tasks, few ? 2 : 4);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_sum_grows_while_it_will_be_complete_within_the_time),
        TEST(what_is_done_takes_no_more_time_but_took_some),
        TEST(a_pool_that_knows_no_time_joins_nothing),
        TEST(a_sum_is_of_no_more_tasks_than_it_holds),
        TEST(rounds_of_few_tasks_give_rows_and_join_nothing),
        TEST(kept_leases_are_named_in_order_whichever_was_done_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
