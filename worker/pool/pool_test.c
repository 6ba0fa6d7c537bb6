/* The pool with a made-up learner, so that each test knows every number: a task is its index, and
 * its row is a simple function of theta, index and column. */
#include "worker/pool/pool.h"

#include "common/exact_sum.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SIZE 1500u /* of theta: several segments, the last one shorter */
#define TRAIN_COLUMNS (SIZE + 5u)
#define TEST_COLUMNS 6u
#define FOR_EVER_MS 60000

/* ---- the made-up learner and task set */

struct mn_learner {
    int unused;
};
struct mn_task_set {
    mn_fields train, test;
};
struct mn_workspace {
    const mn_learner *learner;
    const atomic_bool *stop;
};

static atomic_bool gated; /* tasks say that they began and wait to be let through */
static sem_t began, gate;
static size_t columns;   /* of training: TRAIN_COLUMNS, or fewer for tasks of some microseconds */
static atomic_bool slow; /* each task takes 0.6 ms at least */
static pthread_t owner;  /* of the pools */
static atomic_uint by_owner, by_other; /* tasks of training, since the start of the test */

size_t mn_learner_size(const mn_learner *learner)
{
    (void)learner;
    return SIZE;
}

size_t mn_learner_train_columns(const mn_learner *learner)
{
    (void)learner;
    return columns;
}

size_t mn_learner_test_columns(const mn_learner *learner)
{
    (void)learner;
    return TEST_COLUMNS;
}

mn_status mn_workspace_new(const mn_learner *learner, mn_workspace **out, mn_error *err)
{
    (void)err;
    *out = malloc(sizeof **out);
    assert_non_null(*out);
    (*out)->learner = learner;
    return MN_OK;
}

void mn_workspace_destroy(mn_workspace **workspace)
{
    free(*workspace);
    *workspace = NULL;
}

void mn_workspace_heed(mn_workspace *workspace, const atomic_bool *stop)
{
    workspace->stop = stop;
}

void mn_workspace_profile(mn_workspace *workspace, mn_profile *profile)
{
    (void)workspace;
    (void)profile;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static float value_at(float theta, uint64_t index, size_t column)
{
    uint64_t some = (index + 1) * 37 + column * 11; /* of a few nanoseconds */
    return theta * ((float)(some % 101) - 50) * 0.021f + (float)index * 1e-3f;
}

static void fill_row(const mn_workspace *workspace, const float *theta, const mn_task *task,
                     size_t n, float *row)
{
    if (atomic_load(&gated)) {
        (void)sem_post(&began);
        while (sem_trywait(&gate) != 0 && !atomic_load(workspace->stop))
            (void)sched_yield();
    }
    for (uint64_t end_ns = now_ns() + 600000; atomic_load(&slow) && now_ns() < end_ns;)
        ;
    uint64_t index = (uint64_t)task->at[MN_SUPPORT_X][0];
    for (size_t i = 0; i < n; i++)
        row[i] = value_at(theta[i % SIZE], index, i);
}

void mn_learner_train(mn_workspace *workspace, const float *theta, const mn_task *task, float *row)
{
    assert_non_null(workspace->learner);
    assert_ptr_equal(task->set_losses, theta + 1); /* drawn after the theta of the round */
    fill_row(workspace, theta, task, columns, row);
    atomic_fetch_add(pthread_equal(pthread_self(), owner) ? &by_owner : &by_other, 1);
}

void mn_learner_test(mn_workspace *workspace, const float *theta, const mn_task *task, float *row)
{
    assert_non_null(workspace->learner);
    assert_int_equal(task->fields.at[MN_QUERY_X].n, 7);
    fill_row(workspace, theta, task, TEST_COLUMNS, row);
}

const mn_fields *mn_task_set_fields(const mn_task_set *set, mn_split split)
{
    return split == MN_TRAIN ? &set->train : &set->test;
}

static mn_split refused_split = MN_N_SPLITS; /* none */

mn_status mn_task_set_check(const mn_task_set *set, mn_split split, mn_error *err)
{
    (void)set;
    return split == refused_split ? mn_fail(err, MN_ERR_CONFIG, "it has 0 classes") : MN_OK;
}

const float *mn_learner_set_losses(const mn_learner *learner, const float *theta)
{
    assert_non_null(learner);
    return theta + 1;
}

void mn_task_set_draw_after(const mn_task_set *set, mn_split split, uint64_t index,
                            const float *losses, mn_task *task)
{
    task->set_losses = losses;
    mn_task_set_draw(set, split, index, task);
}

void mn_task_set_draw(const mn_task_set *set, mn_split split, uint64_t index, mn_task *task)
{
    (void)set;
    (void)split;
    task->at[MN_SUPPORT_X][0] = (float)index;
}

/* ---- helpers */

static const mn_learner learner;
static mn_task_set tasks;

static mn_pool *new_pool(uint32_t n_threads)
{
    mn_pool *pool = NULL;
    assert_int_equal(mn_pool_new(&learner, &tasks, n_threads, &pool, NULL), MN_OK);
    return pool;
}

static void set_theta(mn_pool *pool, uint64_t version)
{
    float theta[SIZE];
    for (size_t i = 0; i < SIZE; i++)
        theta[i] = (float)(version + 1) * 0.1f + (float)i * 0.01f;
    assert_int_equal(mn_pool_set_theta(pool, version, theta, NULL), MN_OK);
}

static float theta_at(uint64_t version, size_t i)
{
    return (float)(version + 1) * 0.1f + (float)i * 0.01f;
}

static mn_lease lease_of(uint64_t epoch, uint64_t version, mn_round_kind kind, uint32_t n)
{
    return (mn_lease){.epoch = epoch,
                      .round = {.id = 1,
                                .kind = kind,
                                .split = kind == MN_ROUND_TRAIN ? MN_TRAIN : MN_VAL,
                                .step = version,
                                .first_task = 100,
                                .n_tasks = 1000},
                      .begin = 5,
                      .n = n};
}

static mn_status submit(mn_pool *pool, uint64_t epoch, uint64_t version, mn_round_kind kind,
                        uint32_t n)
{
    mn_lease lease = lease_of(epoch, version, kind, n);
    return mn_pool_submit(pool, &lease, NULL);
}

static bool readable(const mn_pool *pool, int timeout_ms)
{
    struct pollfd fd = {.fd = mn_pool_fd(pool), .events = POLLIN};
    return poll(&fd, 1, timeout_ms) == 1;
}

static mn_pool_result take(mn_pool *pool)
{
    mn_pool_result result;
    assert_true(readable(pool, FOR_EVER_MS));
    assert_true(mn_pool_take(pool, &result));
    assert_int_equal((uintptr_t)result.payload % 64, 0);
    return result;
}

/* The exact sum of tasks 105 .. 105+n-1, added up one after the other. */
static void expected_sum(uint64_t version, uint32_t n, int64_t sum[2 * TRAIN_COLUMNS])
{
    float row[TRAIN_COLUMNS];
    memset(sum, 0, 2 * TRAIN_COLUMNS * sizeof *sum);
    for (uint32_t task = 0; task < n; task++) {
        for (size_t i = 0; i < columns; i++)
            row[i] = value_at(theta_at(version, i % SIZE), 105 + task, i);
        mn_exact_add(columns, row, sum);
    }
}

static int set_up(void **state)
{
    (void)state;
    atomic_store(&gated, false);
    columns = TRAIN_COLUMNS;
    atomic_store(&slow, false);
    atomic_store(&by_owner, 0);
    atomic_store(&by_other, 0);
    owner = pthread_self();
    const uint32_t number[3] = {1, 1, 1};
    assert_int_equal(mn_fields_few_shot(&tasks.train, 1, 1, number, MN_TARGET_VALUES, 1, NULL),
                     MN_OK);
    assert_int_equal(mn_fields_few_shot(&tasks.test, 1, 7, number, MN_TARGET_VALUES, 1, NULL),
                     MN_OK);
    return sem_init(&began, 0, 0) != 0 || sem_init(&gate, 0, 0) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    return sem_destroy(&began) != 0 || sem_destroy(&gate) != 0;
}

static void close_gate(void)
{
    atomic_store(&gated, true);
}

/* Open for those who wait (at most n) and all who come. */
static void open_gate(int n)
{
    atomic_store(&gated, false);
    for (int i = 0; i < n; i++)
        (void)sem_post(&gate);
}

/* ---- tests */

static void a_sum_has_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    static int64_t expected[2 * TRAIN_COLUMNS];
    expected_sum(2, 50, expected);
    for (uint32_t n_threads = 1; n_threads <= 5; n_threads++) {
        mn_pool *pool = new_pool(n_threads);
        set_theta(pool, 2);
        for (uint64_t epoch = 1; epoch <= 10; epoch++) { /* later ones in used memory */
            assert_int_equal(submit(pool, epoch, 2, MN_ROUND_TRAIN, 50), MN_OK);
            mn_pool_result result = take(pool);
            assert_int_equal(result.epoch, epoch);
            assert_int_equal(result.result.encoding, MN_ENCODING_EXACT);
            assert_int_equal(result.result.n_tasks, 50);
            assert_int_equal(result.result.n_columns, TRAIN_COLUMNS);
            assert_int_equal(result.payload_bytes, sizeof expected);
            assert_memory_equal(result.payload, expected, sizeof expected);
            mn_pool_release(pool, &result);
        }
        mn_pool_destroy(&pool);
        assert_null(pool);
    }
}

static void test_rounds_always_come_as_rows(void **state)
{
    (void)state;
    mn_pool *pool = new_pool(3);
    set_theta(pool, 1);
    assert_int_equal(submit(pool, 1, 1, MN_ROUND_TEST, 200), MN_OK);
    mn_pool_result result = take(pool);
    assert_int_equal(result.result.encoding, MN_ENCODING_ROWS);
    assert_int_equal(result.result.n_columns, TEST_COLUMNS);
    assert_int_equal(result.payload_bytes, 200 * TEST_COLUMNS * sizeof(float));
    const float *rows = result.payload;
    for (uint32_t task = 0; task < 200; task++)
        for (size_t i = 0; i < TEST_COLUMNS; i++)
            assert_true(rows[task * TEST_COLUMNS + i] == value_at(theta_at(1, i), 105 + task, i));
    mn_pool_release(pool, &result);
    mn_pool_destroy(&pool);
}

static void leases_end_in_turn_and_the_descriptor_tells(void **state)
{
    (void)state;
    mn_pool *pool = new_pool(1);
    mn_pool_result result;
    set_theta(pool, 1);
    assert_false(readable(pool, 0));
    assert_false(mn_pool_take(pool, &result));
    for (uint64_t epoch = 1; epoch <= MN_POOL_QUEUE; epoch++)
        assert_int_equal(submit(pool, epoch, 1, MN_ROUND_TEST, 1 + (uint32_t)epoch), MN_OK);
    for (uint64_t epoch = 1; epoch <= MN_POOL_QUEUE; epoch++) {
        result = take(pool);
        assert_int_equal(result.epoch, epoch);
        assert_int_equal(result.result.n_tasks, 1 + epoch);
        mn_pool_release(pool, &result);
    }
    assert_false(readable(pool, 0));
    assert_false(mn_pool_take(pool, &result));
    mn_pool_destroy(&pool);
}

/* A pool that has done a task, and so knows how long one takes: its leases may share a sum. */
static mn_pool *new_pool_with_pace(uint32_t n_threads)
{
    mn_pool *pool = new_pool(n_threads);
    set_theta(pool, 1);
    assert_int_equal(submit(pool, 1000, 1, MN_ROUND_TRAIN, 1), MN_OK);
    mn_pool_result first = take(pool);
    mn_pool_release(pool, &first);
    return pool;
}

/* Queue leases of these sizes behind one another while the first task waits, then let them go. */
static void submit_together(mn_pool *pool, int n_threads, uint32_t n, const uint32_t sizes[])
{
    close_gate();
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(submit(pool, i + 1, 1, MN_ROUND_TRAIN, sizes[i]), MN_OK);
    (void)sem_wait(&began);
    open_gate(n_threads);
}

static void queued_leases_of_a_round_come_as_one_sum(void **state)
{
    (void)state;
    static int64_t expected[2 * TRAIN_COLUMNS];
    memset(expected, 0, sizeof expected);
    const uint32_t sizes[] = {9, 1, 5};
    for (uint32_t i = 0; i < 3; i++) {
        static int64_t part[2 * TRAIN_COLUMNS];
        expected_sum(1, sizes[i], part);
        mn_exact_merge(2 * TRAIN_COLUMNS, part, expected);
    }
    for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
        mn_pool *pool = new_pool_with_pace(n_threads);
        mn_pool_result result;
        submit_together(pool, (int)n_threads, 3, sizes);
        uint64_t kept[2];
        for (uint32_t i = 0; i < 2; i++) {
            result = take(pool);
            kept[i] = result.epoch;
            assert_int_equal(result.result.encoding, MN_ENCODING_KEPT);
            assert_int_equal(result.result.n_tasks, sizes[result.epoch - 1]);
            assert_int_equal(result.result.n_columns, TRAIN_COLUMNS);
            assert_int_equal(result.result.n_kept, 0);
            assert_null(result.payload);
            assert_int_equal(result.payload_bytes, 0);
            mn_pool_release(pool, &result);
        }
        result = take(pool);
        assert_int_equal(result.result.encoding, MN_ENCODING_EXACT);
        assert_int_equal(result.result.n_tasks, 9 + 1 + 5);
        assert_int_equal(result.result.n_kept, 2);
        assert_int_equal(result.result.kept[0], kept[0] < kept[1] ? kept[0] : kept[1]);
        assert_int_equal(result.result.kept[1], kept[0] < kept[1] ? kept[1] : kept[0]);
        assert_int_equal(result.epoch + kept[0] + kept[1], 1 + 2 + 3);
        assert_true(result.result.compute_us > 0);
        assert_memory_equal(result.payload, expected, sizeof expected);
        mn_pool_release(pool, &result);

        assert_int_equal(submit(pool, 4, 1, MN_ROUND_TRAIN, 9), MN_OK); /* begins anew */
        result = take(pool);
        assert_int_equal(result.result.n_kept, 0);
        assert_int_equal(result.result.n_tasks, 9);
        mn_pool_release(pool, &result);
        mn_pool_destroy(&pool);
    }
}

static void a_sum_is_of_so_many_leases_and_no_more(void **state)
{
    (void)state;
    const uint32_t sizes[MN_MAX_KEPT + 3] = {2, 2, 2, 2, 2, 2, 3, 3};
    mn_pool *pool = new_pool_with_pace(1);
    mn_pool_result result;
    submit_together(pool, 1, MN_MAX_KEPT + 3, sizes);
    uint32_t n_sums = 0, n_tasks = 0;
    for (uint32_t i = 0; i < MN_MAX_KEPT + 3; i++) {
        result = take(pool);
        if (result.result.encoding != MN_ENCODING_KEPT) {
            assert_int_equal(result.epoch, n_sums == 0 ? MN_MAX_KEPT + 1 : MN_MAX_KEPT + 3);
            n_tasks += result.result.n_tasks;
            n_sums++;
        }
        mn_pool_release(pool, &result);
    }
    assert_int_equal(n_sums, 2);
    assert_int_equal(n_tasks, 2 * 6 + 3 + 3);
    mn_pool_destroy(&pool);
}

static void leases_of_two_rounds_have_nothing_in_common(void **state)
{
    (void)state;
    mn_pool *pool = new_pool_with_pace(1);
    mn_pool_result result;
    close_gate();
    for (uint64_t epoch = 1; epoch <= 4; epoch++) {
        mn_lease lease = lease_of(epoch, 1, epoch < 3 ? MN_ROUND_TRAIN : MN_ROUND_TEST, 4);
        lease.round.id = epoch;
        assert_int_equal(mn_pool_submit(pool, &lease, NULL), MN_OK);
    }
    (void)sem_wait(&began);
    open_gate(1);
    for (uint64_t epoch = 1; epoch <= 4; epoch++) {
        result = take(pool);
        assert_int_equal(result.epoch, epoch);
        assert_int_not_equal(result.result.encoding, MN_ENCODING_KEPT);
        assert_int_equal(result.result.n_tasks, 4);
        mn_pool_release(pool, &result);
    }
    mn_pool_destroy(&pool);
}

static void two_results_in_hand_do_not_share_memory(void **state)
{
    (void)state;
    static int64_t expected[2 * TRAIN_COLUMNS];
    mn_pool *pool = new_pool(2);
    set_theta(pool, 1);
    assert_int_equal(submit(pool, 1, 1, MN_ROUND_TRAIN, 8), MN_OK);
    mn_pool_result first = take(pool);
    assert_int_equal(submit(pool, 2, 1, MN_ROUND_TRAIN, 9), MN_OK);
    mn_pool_result second = take(pool);
    assert_ptr_not_equal(first.payload, second.payload);
    expected_sum(1, 8, expected);
    assert_memory_equal(first.payload, expected, sizeof expected);
    expected_sum(1, 9, expected);
    assert_memory_equal(second.payload, expected, sizeof expected);
    mn_pool_release(pool, &second);

    assert_int_equal(submit(pool, 3, 1, MN_ROUND_TRAIN, 5), MN_OK);
    mn_pool_result third = take(pool);
    assert_ptr_equal(third.payload, second.payload); /* used again */
    mn_pool_release(pool, &first);
    mn_pool_destroy(&pool); /* frees the third */
}

static void a_result_tells_how_long_its_tasks_and_its_sum_took(void **state)
{
    (void)state;
    mn_pool *pool = new_pool(2);
    set_theta(pool, 1);
    assert_int_equal(submit(pool, 1, 1, MN_ROUND_TRAIN, 500), MN_OK);
    mn_pool_result result = take(pool);
    assert_true(result.result.compute_us > 0); /* 750,000 sines */
    assert_true(result.result.sums_us > 0 && result.result.sums_us < UINT32_MAX);
    mn_pool_release(pool, &result);
    mn_pool_destroy(&pool);
}

static void leases_that_cannot_be_computed_are_refused(void **state)
{
    (void)state;
    mn_pool *pool = new_pool(1);
    assert_int_equal(submit(pool, 1, 1, MN_ROUND_TRAIN, 1), MN_ERR_STATE); /* no theta */
    set_theta(pool, 1);
    mn_error err;
    mn_lease lease = lease_of(1, 1, MN_ROUND_TRAIN, 1);
    lease.round.split = MN_TEST;
    assert_int_equal(mn_pool_submit(pool, &lease, &err), MN_ERR_PROTOCOL);
    lease = lease_of(1, 1, MN_ROUND_TEST, 1);
    lease.round.split = MN_TRAIN;
    assert_int_equal(mn_pool_submit(pool, &lease, &err), MN_ERR_PROTOCOL);
    refused_split = MN_TEST; /* of which the data have too little */
    lease = lease_of(1, 1, MN_ROUND_TEST, 1);
    lease.round.split = MN_TEST;
    assert_int_equal(mn_pool_submit(pool, &lease, &err), MN_ERR_CONFIG);
    refused_split = MN_N_SPLITS;
    assert_int_equal(submit(pool, 1, 1, MN_ROUND_TRAIN, 0), MN_ERR_PROTOCOL);
    assert_int_equal(submit(pool, 1, 1, MN_ROUND_TRAIN, MN_EXACT_MAX_TERMS + 1), MN_ERR_PROTOCOL);

    close_gate();
    for (uint64_t epoch = 1; epoch <= MN_POOL_QUEUE; epoch++)
        assert_int_equal(submit(pool, epoch, 1, MN_ROUND_TRAIN, 1), MN_OK);
    assert_int_equal(submit(pool, 99, 1, MN_ROUND_TRAIN, 1), MN_ERR_STATE);
    open_gate(1);
    mn_pool_destroy(&pool);
}

static void cleared_leases_never_come_back(void **state)
{
    (void)state;
    mn_pool *pool = new_pool(2);
    set_theta(pool, 1);
    assert_int_equal(submit(pool, 1, 1, MN_ROUND_TRAIN, 3), MN_OK);
    assert_true(readable(pool, FOR_EVER_MS)); /* finished, not taken */
    close_gate();
    assert_int_equal(submit(pool, 2, 1, MN_ROUND_TRAIN, 2), MN_OK);
    assert_int_equal(submit(pool, 3, 1, MN_ROUND_TRAIN, 40), MN_OK);
    (void)sem_wait(&began); /* both threads are within its last tasks */
    (void)sem_wait(&began);
    mn_pool_clear(pool);
    assert_false(readable(pool, 0));
    open_gate(2);
    assert_int_equal(submit(pool, 4, 1, MN_ROUND_TRAIN, 6), MN_OK);
    mn_pool_result result = take(pool);
    assert_int_equal(result.epoch, 4);
    static int64_t expected[2 * TRAIN_COLUMNS];
    expected_sum(1, 6, expected);
    assert_memory_equal(result.payload, expected, sizeof expected);
    unsigned computed = atomic_load(&by_owner) + atomic_load(&by_other);
    assert_in_range(computed, 3 + 6, 3 + 6 + 2); /* of the cleared ones what was in hand */
    mn_pool_release(pool, &result);
    assert_false(readable(pool, 0));
    mn_pool_destroy(&pool);
}

static void the_two_newest_thetas_are_kept_and_leases_of_older_ones_forgotten(void **state)
{
    (void)state;
    static int64_t expected[2 * TRAIN_COLUMNS];
    mn_pool *pool = new_pool(1);
    set_theta(pool, 1);
    close_gate();
    assert_int_equal(submit(pool, 11, 1, MN_ROUND_TRAIN, 5), MN_OK);
    (void)sem_wait(&began); /* the thread reads theta 1 */
    set_theta(pool, 2);
    assert_int_equal(submit(pool, 12, 2, MN_ROUND_TRAIN, 5), MN_OK);
    assert_int_equal(submit(pool, 13, 1, MN_ROUND_TRAIN, 5), MN_OK);
    set_theta(pool, 3); /* 1 goes, while in use */
    assert_int_equal(submit(pool, 14, 1, MN_ROUND_TRAIN, 5), MN_ERR_STATE);
    assert_int_equal(submit(pool, 15, 3, MN_ROUND_TRAIN, 5), MN_OK);
    open_gate(1);
    for (uint64_t version = 2; version <= 3; version++) {
        mn_pool_result result = take(pool);
        assert_int_equal(result.epoch, version == 2 ? 12 : 15);
        expected_sum(version, 5, expected);
        assert_memory_equal(result.payload, expected, sizeof expected);
        mn_pool_release(pool, &result);
    }
    set_theta(pool, 3); /* again: 2 stays */
    assert_int_equal(submit(pool, 16, 2, MN_ROUND_TRAIN, 5), MN_OK);
    mn_pool_result result = take(pool);
    expected_sum(2, 5, expected);
    assert_memory_equal(result.payload, expected, sizeof expected);
    mn_pool_destroy(&pool);
}

/* As an owner who helps: the sum of tasks 105 .. 105+n-1. */
static void sum_with_help(mn_pool *pool, uint64_t epoch, uint32_t n)
{
    static int64_t expected[2 * TRAIN_COLUMNS];
    mn_pool_result result;
    assert_int_equal(submit(pool, epoch, 1, MN_ROUND_TRAIN, n), MN_OK);
    while (!mn_pool_take(pool, &result))
        if (!mn_pool_help(pool))
            assert_true(readable(pool, FOR_EVER_MS));
    assert_int_equal(result.epoch, epoch);
    expected_sum(1, n, expected);
    assert_memory_equal(result.payload, expected, 2 * columns * sizeof *expected);
    mn_pool_release(pool, &result);
}

/* A pool whose owner computes, for its tasks were short. The clock decides that, so not at once. */
static mn_pool *new_pool_with_help(uint32_t n_threads, uint64_t *epoch)
{
    columns = 20;
    mn_pool *pool = new_pool(n_threads);
    set_theta(pool, 1);
    unsigned before = atomic_load(&by_owner);
    for (int tries = 0; atomic_load(&by_owner) == before; tries++) {
        assert_int_not_equal(tries, 100000);
        sum_with_help(pool, ++*epoch, 20);
    }
    return pool;
}

static void the_owner_computes_short_tasks_and_no_others(void **state)
{
    (void)state;
    for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
        uint64_t epoch = 0;
        mn_pool *pool = new_pool_with_help(n_threads, &epoch);
        unsigned before = atomic_load(&by_owner);
        atomic_store(&slow, true);
        for (int i = 0; i < 7; i++)
            sum_with_help(pool, ++epoch, 8);
        assert_in_range(atomic_load(&by_owner) - before, 0, 1); /* one, to learn how long it is */
        atomic_store(&slow, false);
        before = atomic_load(&by_owner);
        for (int tries = 0; atomic_load(&by_owner) == before; tries++) {
            assert_int_not_equal(tries, 100000);
            sum_with_help(pool, ++epoch, 20);
        }
        mn_pool_destroy(&pool);
    }
}

static void a_pool_without_help_wakes_its_threads_for_short_tasks_too(void **state)
{
    (void)state;
    mn_pool *pool = new_pool(2);
    set_theta(pool, 1);
    for (uint64_t epoch = 1; epoch <= 50; epoch++) {
        assert_int_equal(submit(pool, epoch, 1, MN_ROUND_TRAIN, 20), MN_OK);
        mn_pool_result result = take(pool);
        mn_pool_release(pool, &result);
    }
    assert_int_equal(atomic_load(&by_owner), 0);
    assert_int_equal(atomic_load(&by_other), 1000);
    mn_pool_destroy(&pool);
}

static void what_the_owner_began_can_be_cleared(void **state)
{
    (void)state;
    uint64_t epoch = 0;
    mn_pool *pool = new_pool_with_help(1, &epoch);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(submit(pool, ++epoch, 1, MN_ROUND_TRAIN, 20000), MN_OK);
        (void)mn_pool_help(pool); /* some of them */
        mn_pool_clear(pool);
        sum_with_help(pool, ++epoch, 20);
    }
    assert_int_equal(submit(pool, ++epoch, 1, MN_ROUND_TRAIN, 20000), MN_OK);
    (void)mn_pool_help(pool);
    mn_pool_destroy(&pool); /* with rows in the owner's hands */
}

static void a_pool_ends_with_leases_in_hand(void **state)
{
    (void)state;
    mn_pool *pool = new_pool(2);
    set_theta(pool, 1);
    close_gate();
    assert_int_equal(submit(pool, 1, 1, MN_ROUND_TRAIN, 30), MN_OK);
    assert_int_equal(submit(pool, 2, 1, MN_ROUND_TEST, 30), MN_OK);
    (void)sem_wait(&began);
    mn_pool_destroy(&pool); /* the gate stays shut: what its threads have begun is not waited for */
    assert_null(pool);
    mn_pool_destroy(&pool); /* does nothing */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_sum_has_the_same_bits_for_any_number_of_threads),
        TEST(test_rounds_always_come_as_rows),
        TEST(leases_end_in_turn_and_the_descriptor_tells),
        TEST(queued_leases_of_a_round_come_as_one_sum),
        TEST(a_sum_is_of_so_many_leases_and_no_more),
        TEST(leases_of_two_rounds_have_nothing_in_common),
        TEST(two_results_in_hand_do_not_share_memory),
        TEST(a_result_tells_how_long_its_tasks_and_its_sum_took),
        TEST(leases_that_cannot_be_computed_are_refused),
        TEST(cleared_leases_never_come_back),
        TEST(the_two_newest_thetas_are_kept_and_leases_of_older_ones_forgotten),
        TEST(the_owner_computes_short_tasks_and_no_others),
        TEST(a_pool_without_help_wakes_its_threads_for_short_tasks_too),
        TEST(what_the_owner_began_can_be_cleared),
        TEST(a_pool_ends_with_leases_in_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
