#include "worker/pool/pool.h"

#include "common/exact_sum.h"
#include "common/thread.h"
#include "worker/pool/pool_jobs.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ALIGNMENT 64
#define ROW_FLOATS (ALIGNMENT / sizeof(float))
/* A task that takes less is sooner computed than a thread is woken for it. Where there is one thread
 * nothing is computed meanwhile, so that each step pays for waking twice, and what bounds it is how
 * long the owner may be away from its sockets. */
#define SHORT_NS 50000u
#define SHORT_ALONE_NS 500000u
#define HELP_NS 200000u /* of work at a time are the owner's */

struct thread {
    pthread_t id;
    pthread_cond_t work;
    mn_pool *pool;
    uint32_t number;
    mn_workspace *workspace;
    mn_task *train_task, *test_task;
    float *rows;     /* [MN_EXACT_ROWS, row_stride]: of `job`, to be added to its sum together */
    uint32_t n_rows; /* in `rows`; their tasks are in the job's hand */
    struct job *job; /* without meaning if n_rows is 0 */
    uint64_t task_ns, ended_ns; /* the last task: how long, and when it ended */
    mn_profile *profile;        /* lent; NULL: none */
};

struct mn_pool {
    const mn_learner *learner;
    const mn_task_set *set;
    size_t theta_size, train_columns, test_columns;
    size_t row_stride;    /* floats from one row of a thread to the next */
    atomic_bool given_up; /* nobody waits for the tasks in hand */

    pthread_mutex_t lock; /* for all below */
    bool stopping;
    int fd;
    bool rung;        /* fd is readable: a finished lease waits */
    bool owner_helps; /* it has called mn_pool_help */
    bool lent;        /* what is in threads[0], to the owner; the thread itself waits */
    struct jobs jobs;

    uint32_t n_threads; /* running */
    struct thread threads[];
};

static bool is_short(const mn_pool *pool, uint64_t task_ns);
static mn_status start_thread(mn_pool *pool, mn_error *err);
static void *work(void *argument);
static bool go_on(struct thread *thread);
static void wait_for_work(struct thread *thread);
static void compute(struct thread *thread, struct job *job);
static void add_rows(struct thread *thread);
static void settle(mn_pool *pool, struct job *job, uint32_t n_tasks);
static void tell(mn_pool *pool);

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

mn_status mn_pool_new(const mn_learner *learner, const mn_task_set *set, uint32_t n_threads,
                      mn_pool **out, mn_error *err)
{
    assert(n_threads > 0);
    mn_pool *pool = calloc(1, sizeof *pool + n_threads * sizeof *pool->threads);
    if (pool == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "pool of %u threads", n_threads);
    pool->learner = learner;
    pool->set = set;
    pool->theta_size = mn_learner_size(learner);
    pool->train_columns = mn_learner_train_columns(learner);
    pool->test_columns = mn_learner_test_columns(learner);
    size_t columns =
        pool->train_columns > pool->test_columns ? pool->train_columns : pool->test_columns;
    pool->row_stride = (columns + ROW_FLOATS - 1) / ROW_FLOATS * ROW_FLOATS;

    (void)pthread_mutex_init(&pool->lock, NULL);
    mn_status status = MN_OK;
    pool->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->fd < 0)
        status = mn_fail_errno(err, "eventfd of the pool");
    for (uint32_t i = 0; i < n_threads && status == MN_OK; i++)
        status = start_thread(pool, err);
    if (status != MN_OK) {
        mn_pool_destroy(&pool);
        return status;
    }
    *out = pool;
    return MN_OK;
}

static void free_thread(struct thread *thread)
{
    mn_workspace_destroy(&thread->workspace);
    mn_task_destroy(&thread->train_task);
    mn_task_destroy(&thread->test_task);
    free(thread->rows);
}

void mn_pool_destroy(mn_pool **pool)
{
    mn_pool *gone = *pool;
    if (gone == NULL)
        return;
    atomic_store(&gone->given_up, true);
    (void)pthread_mutex_lock(&gone->lock);
    gone->stopping = true;
    (void)pthread_mutex_unlock(&gone->lock);
    for (uint32_t i = 0; i < gone->n_threads; i++)
        (void)pthread_cond_signal(&gone->threads[i].work);
    for (uint32_t i = 0; i < gone->n_threads; i++) {
        (void)pthread_join(gone->threads[i].id, NULL);
        free_thread(&gone->threads[i]);
    }

    mn_jobs_fini(&gone->jobs);
    if (gone->fd >= 0)
        (void)close(gone->fd);
    (void)pthread_mutex_destroy(&gone->lock);
    free(gone);
    *pool = NULL;
}

mn_status mn_pool_set_theta(mn_pool *pool, uint64_t version, const float *theta, mn_error *err)
{
    size_t bytes = pool->theta_size * sizeof *theta;
    (void)pthread_mutex_lock(&pool->lock);
    struct theta *fresh = mn_jobs_new_theta(&pool->jobs, pool->theta_size);
    (void)pthread_mutex_unlock(&pool->lock);
    if (fresh == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "theta of %zu bytes", bytes);
    memcpy(fresh->values, theta, bytes); /* nobody else has it yet */

    (void)pthread_mutex_lock(&pool->lock);
    mn_jobs_keep_theta(&pool->jobs, fresh, version);
    tell(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    return MN_OK;
}

mn_status mn_pool_submit(mn_pool *pool, const mn_lease *lease, mn_error *err)
{
    bool training = lease->round.kind == MN_ROUND_TRAIN;
    if (!mn_fields_equal(mn_task_set_fields(pool->set, lease->round.split),
                         mn_task_set_fields(pool->set, training ? MN_TRAIN : MN_TEST)))
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "a %s round over tasks of split %d, which have other extents",
                       training ? "training" : "test", (int)lease->round.split);
    mn_status status = mn_task_set_check(pool->set, lease->round.split, err);
    if (status != MN_OK)
        return status;
    if (lease->n == 0 || (training && lease->n > MN_EXACT_MAX_TERMS))
        return mn_fail(err, MN_ERR_PROTOCOL, "lease of %u tasks; expected 1 to %u", lease->n,
                       MN_EXACT_MAX_TERMS);

    size_t columns = training ? pool->train_columns : pool->test_columns;
    (void)pthread_mutex_lock(&pool->lock);
    status = mn_jobs_add(&pool->jobs, lease, columns, pool->n_threads, now_ns(), err);
    bool lent = pool->lent;
    (void)pthread_mutex_unlock(&pool->lock);
    if (status == MN_OK) /* not before, for who wakes up wants the lock */
        for (uint32_t i = lent ? 1 : 0; i < pool->n_threads; i++)
            (void)pthread_cond_signal(&pool->threads[i].work);
    return status;
}

void mn_pool_clear(mn_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    mn_jobs_forget(&pool->jobs, NULL);
    tell(pool);
    (void)pthread_mutex_unlock(&pool->lock);
}

int mn_pool_fd(const mn_pool *pool)
{
    return pool->fd;
}

bool mn_pool_take(mn_pool *pool, mn_pool_result *out)
{
    (void)pthread_mutex_lock(&pool->lock);
    bool taken = mn_jobs_take(&pool->jobs, out);
    tell(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    return taken;
}

void mn_pool_release(mn_pool *pool, const mn_pool_result *result)
{
    (void)pthread_mutex_lock(&pool->lock);
    mn_jobs_release(&pool->jobs, result->payload);
    (void)pthread_mutex_unlock(&pool->lock);
}

void mn_pool_profile(mn_pool *pool, mn_profile *const *profiles)
{
    (void)pthread_mutex_lock(&pool->lock);
    for (uint32_t i = 0; i < pool->n_threads; i++) {
        pool->threads[i].profile = profiles[i];
        mn_workspace_profile(pool->threads[i].workspace, profiles[i]);
    }
    (void)pthread_mutex_unlock(&pool->lock);
}

bool mn_pool_help(mn_pool *pool)
{
    struct thread *hands = &pool->threads[0];
    bool more = false;
    (void)pthread_mutex_lock(&pool->lock);
    pool->owner_helps = true;
    if (pool->lent) {
        mn_profile_waited(hands->profile);
        uint64_t until_ns = now_ns() + HELP_NS;
        do
            more = go_on(hands);
        while (more && is_short(pool, hands->task_ns) && hands->ended_ns < until_ns);
        mn_profile_lap(hands->profile, MN_PART_HAND);
        pool->lent = is_short(pool, hands->task_ns);
        if (!pool->lent)
            (void)pthread_cond_signal(&hands->work);
    }
    more = more && pool->lent;
    (void)pthread_mutex_unlock(&pool->lock);
    return more;
}

static bool is_short(const mn_pool *pool, uint64_t task_ns)
{
    return task_ns < (pool->n_threads == 1 ? SHORT_ALONE_NS : SHORT_NS);
}

/* ---- the threads */

static mn_status start_thread(mn_pool *pool, mn_error *err)
{
    struct thread *thread = &pool->threads[pool->n_threads];
    *thread = (struct thread){.pool = pool, .number = pool->n_threads, .task_ns = UINT64_MAX};
    (void)pthread_cond_init(&thread->work, NULL);
    size_t bytes = MN_EXACT_ROWS * pool->row_stride * sizeof *thread->rows;

    mn_status status = mn_workspace_new(pool->learner, &thread->workspace, err);
    if (status == MN_OK)
        mn_workspace_heed(thread->workspace, &pool->given_up);
    if (status == MN_OK)
        status = mn_task_new(mn_task_set_fields(pool->set, MN_TRAIN), &thread->train_task, err);
    if (status == MN_OK)
        status = mn_task_new(mn_task_set_fields(pool->set, MN_TEST), &thread->test_task, err);
    if (status == MN_OK && (thread->rows = aligned_alloc(ALIGNMENT, bytes)) == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "rows of %zu bytes", bytes);
    if (status == MN_OK && !mn_thread_start(&thread->id, work, thread))
        status =
            mn_fail(err, MN_ERR_UNAVAILABLE,
                    "thread %u of the pool could not be started; ask for fewer threads, or raise "
                    "`ulimit -u`",
                    thread->number + 1);
    if (status != MN_OK) {
        free_thread(thread);
        return status;
    }
    char name[16];
    (void)snprintf(name, sizeof name, "mn-pool-%u", thread->number % 100000);
    (void)pthread_setname_np(thread->id, name);
    pool->n_threads++;
    return MN_OK;
}

static void *work(void *argument)
{
    struct thread *thread = argument;
    mn_pool *pool = thread->pool;
    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        bool at_hand = !pool->lent || thread->number > 0 || pool->stopping;
        if (at_hand && go_on(thread))
            continue;
        if (pool->stopping)
            break;
        wait_for_work(thread);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Do what is next, if anything is. A thread adds its rows when it has as many as are added at once,
 * and before it turns elsewhere. */
static bool go_on(struct thread *thread)
{
    mn_pool *pool = thread->pool;
    struct job *job = pool->stopping ? NULL : mn_jobs_next(&pool->jobs);
    if (thread->n_rows == MN_EXACT_ROWS || (thread->n_rows > 0 && job != thread->job))
        add_rows(thread);
    else if (job != NULL)
        compute(thread, job);
    else
        return false;
    return true;
}

/* The first thread leaves short tasks to an owner that helps. It does so when it has nothing to do,
 * for with the next lease the owner comes by. */
static void wait_for_work(struct thread *thread)
{
    mn_pool *pool = thread->pool;
    bool first = thread->number == 0;
    if (!first || !pool->lent)
        mn_profile_lap(thread->profile, MN_PART_HAND);
    if (first && !pool->lent)
        pool->lent = pool->owner_helps && is_short(pool, thread->task_ns);
    (void)pthread_cond_wait(&thread->work, &pool->lock);
    if (!first || !pool->lent)
        mn_profile_waited(thread->profile);
}

/* Compute the lease's next task. Called and returns with the lock, but lets others have it while it
 * computes; so does add_rows. */
static void compute(struct thread *thread, struct job *job)
{
    mn_pool *pool = thread->pool;
    const mn_round *round = &job->lease.round;
    uint32_t task = job->begun++;
    uint64_t index = round->first_task + job->lease.begin + task;
    struct yield *yield = job->yield;
    bool summed = yield->encoding == MN_ENCODING_EXACT;
    float *row = summed ? thread->rows + thread->n_rows * pool->row_stride
                        : mn_tally_row(yield->tally, task);
    job->in_hand++;
    (void)pthread_mutex_unlock(&pool->lock);
    mn_profile_lap(thread->profile, MN_PART_HAND);

    uint64_t began_ns = now_ns();
    if (job->training) {
        mn_task_set_draw_after(pool->set, round->split, index,
                               mn_learner_set_losses(pool->learner, job->theta->values),
                               thread->train_task);
        mn_profile_lap(thread->profile, MN_PART_DRAW);
        mn_learner_train(thread->workspace, job->theta->values, thread->train_task, row);
    } else {
        mn_task_set_draw(pool->set, round->split, index, thread->test_task);
        mn_learner_test(thread->workspace, job->theta->values, thread->test_task, row);
    }
    uint64_t ended_ns = now_ns();

    (void)pthread_mutex_lock(&pool->lock);
    thread->ended_ns = ended_ns;
    thread->task_ns = ended_ns - began_ns;
    yield->tasks_ns += thread->task_ns;
    if (job->training)
        pool->jobs.task_ns = thread->task_ns;
    if (summed) {
        thread->job = job;
        thread->n_rows++;
    } else {
        settle(pool, job, 1);
    }
}

static void add_rows(struct thread *thread)
{
    mn_pool *pool = thread->pool;
    struct job *job = thread->job;
    if (!job->forgotten) {
        (void)pthread_mutex_unlock(&pool->lock);
        mn_profile_lap(thread->profile, MN_PART_HAND);
        uint64_t began_ns = now_ns();
        mn_tally_add(job->yield->tally, thread->number, thread->n_rows, thread->rows,
                     pool->row_stride);
        mn_profile_lap(thread->profile, MN_PART_SUMS);
        uint64_t ended_ns = now_ns();
        (void)pthread_mutex_lock(&pool->lock);
        job->yield->sums_ns += ended_ns - began_ns;
    }
    settle(pool, job, thread->n_rows);
    thread->n_rows = 0;
}

/* ---- under the lock */

static void settle(mn_pool *pool, struct job *job, uint32_t n_tasks)
{
    mn_jobs_settle(&pool->jobs, job, n_tasks);
    tell(pool);
}

/* An eventfd takes 2^64-2 rings and we ring once at a time; neither call can fail but by a closed
 * descriptor. */
static void tell(mn_pool *pool)
{
    eventfd_t rings;
    bool finished = pool->jobs.finished.n > 0;
    if (finished && !pool->rung)
        (void)eventfd_write(pool->fd, 1);
    else if (!finished && pool->rung)
        (void)eventfd_read(pool->fd, &rings);
    pool->rung = finished;
}
