#include "worker/pool.h"

#include "common/exact_sum.h"
#include "worker/tally.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ALIGNMENT 64
#define ROW_FLOATS (ALIGNMENT / sizeof(float))
#define ROWS_UP_TO_TASKS 1u /* the row of one task is smaller than any sum */
#define KEPT_THETAS 2

struct theta {
    struct theta *next; /* among the spare ones */
    uint64_t version;
    uint32_t users; /* leases that compute with it, and 1 while it is kept */
    float *values;  /* owned */
};

struct job {
    struct job *next;
    mn_lease lease;
    struct theta *theta;
    mn_tally *tally; /* owned; used again with the job */
    bool training;
    mn_encoding encoding;
    size_t n_columns;
    uint32_t begun, in_hand, ended; /* tasks */
    bool forgotten;
    uint64_t tasks_ns, sums_ns; /* thread time */
};

struct queue {
    struct job *first, *last;
    uint32_t n;
};

struct thread {
    pthread_t id;
    mn_pool *pool;
    uint32_t number;
    mn_workspace *workspace;
    mn_task *train_task, *test_task;
    float *rows;     /* [MN_EXACT_ROWS, row_stride]: of `job`, to be added to its sum together */
    uint32_t n_rows; /* in `rows`; their tasks are in the job's hand */
    struct job *job; /* without meaning if n_rows is 0 */
    mn_profile *profile; /* lent; NULL: none */
};

struct mn_pool {
    const mn_learner *learner;
    const mn_task_set *set;
    size_t theta_size, train_columns, test_columns;
    size_t row_stride; /* floats from one row of a thread to the next */
    mn_task_shape train_shape, test_shape;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t work;
    bool stopping;
    int fd;                          /* counts from 0 to 1 while `finished` is not empty */
    struct theta *kept[KEPT_THETAS]; /* the older one first */
    struct theta *spare_thetas;
    struct queue queued, finished; /* in order of submission; in order of completion */
    struct queue lent;             /* taken and not yet released */
    struct job *spare_jobs;
    _Atomic uint64_t progress;

    uint32_t n_threads; /* running */
    struct thread threads[];
};

static mn_status start_thread(mn_pool *pool, mn_error *err);
static void *work(void *argument);
static void wait_for_work(struct thread *thread);
static void compute(struct thread *thread, struct job *job);
static void add_rows(struct thread *thread);
static uint32_t microseconds(uint64_t ns);
static void settle(mn_pool *pool, struct job *job, uint32_t n_tasks);
static mn_status new_job(mn_pool *pool, const mn_lease *lease, struct theta *theta,
                         struct job **out, mn_error *err);
static void forget(mn_pool *pool, struct theta *only);
static void recycle(mn_pool *pool, struct queue *queue, struct job *job);
static void let_go(mn_pool *pool, struct theta *theta);
static void append(struct queue *queue, struct job *job);
static void take_out(struct queue *queue, const struct job *job);
static void ring(mn_pool *pool);
static void silence(mn_pool *pool);

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
    pool->train_shape = mn_task_set_shape(set, MN_TRAIN);
    pool->test_shape = mn_task_set_shape(set, MN_TEST);

    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    mn_status status = MN_OK;
    pool->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->fd < 0)
        status = mn_fail_errno(err, "eventfd of the pool");

    /* Signals are for the thread that owns the pool. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    for (uint32_t i = 0; i < n_threads && status == MN_OK; i++)
        status = start_thread(pool, err);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
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

static void free_theta(struct theta *theta)
{
    if (theta != NULL)
        free(theta->values);
    free(theta);
}

void mn_pool_destroy(mn_pool **pool)
{
    mn_pool *gone = *pool;
    if (gone == NULL)
        return;
    (void)pthread_mutex_lock(&gone->lock);
    gone->stopping = true;
    (void)pthread_cond_broadcast(&gone->work);
    (void)pthread_mutex_unlock(&gone->lock);
    for (uint32_t i = 0; i < gone->n_threads; i++) {
        (void)pthread_join(gone->threads[i].id, NULL);
        free_thread(&gone->threads[i]);
    }

    forget(gone, NULL); /* nobody computes any more, so all become spare */
    while (gone->lent.first != NULL)
        recycle(gone, &gone->lent, gone->lent.first);
    while (gone->spare_jobs != NULL) {
        struct job *job = gone->spare_jobs;
        gone->spare_jobs = job->next;
        mn_tally_destroy(&job->tally);
        free(job);
    }
    for (int i = 0; i < KEPT_THETAS; i++)
        free_theta(gone->kept[i]);
    while (gone->spare_thetas != NULL) {
        struct theta *theta = gone->spare_thetas;
        gone->spare_thetas = theta->next;
        free_theta(theta);
    }
    if (gone->fd >= 0)
        (void)close(gone->fd);
    (void)pthread_cond_destroy(&gone->work);
    (void)pthread_mutex_destroy(&gone->lock);
    free(gone);
    *pool = NULL;
}

mn_status mn_pool_set_theta(mn_pool *pool, uint64_t version, const float *theta, mn_error *err)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct theta *fresh = pool->spare_thetas;
    if (fresh != NULL)
        pool->spare_thetas = fresh->next;
    (void)pthread_mutex_unlock(&pool->lock);
    size_t bytes = pool->theta_size * sizeof *theta;
    if (fresh == NULL) {
        fresh = calloc(1, sizeof *fresh);
        if (fresh != NULL)
            fresh->values = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT);
        if (fresh == NULL || fresh->values == NULL) {
            free_theta(fresh);
            return mn_fail(err, MN_ERR_NOMEM, "theta of %zu bytes", bytes);
        }
    }
    memcpy(fresh->values, theta, bytes);
    fresh->version = version;
    fresh->users = 1;

    (void)pthread_mutex_lock(&pool->lock);
    int place = pool->kept[1] != NULL && pool->kept[1]->version == version ? 1 : 0;
    struct theta *old = pool->kept[place];
    if (place == 0) {
        pool->kept[0] = pool->kept[1];
        pool->kept[1] = fresh;
    } else {
        pool->kept[1] = fresh;
    }
    if (old != NULL) {
        forget(pool, old);
        let_go(pool, old);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return MN_OK;
}

static bool same_shape(const mn_task_shape *a, const mn_task_shape *b)
{
    return a->n_support == b->n_support && a->n_query == b->n_query && a->height == b->height &&
           a->width == b->width && a->channels == b->channels && a->y_size == b->y_size &&
           a->target == b->target;
}

mn_status mn_pool_submit(mn_pool *pool, const mn_lease *lease, mn_error *err)
{
    bool training = lease->round.kind == MN_ROUND_TRAIN;
    mn_task_shape shape = mn_task_set_shape(pool->set, lease->round.split);
    if (!same_shape(&shape, training ? &pool->train_shape : &pool->test_shape))
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "a %s round over tasks of split %d, which have another shape",
                       training ? "training" : "test", (int)lease->round.split);
    if (lease->n == 0 || (training && lease->n > MN_EXACT_MAX_TERMS))
        return mn_fail(err, MN_ERR_PROTOCOL, "lease of %u tasks; expected 1 to %u", lease->n,
                       MN_EXACT_MAX_TERMS);

    (void)pthread_mutex_lock(&pool->lock);
    mn_status status = MN_OK;
    struct theta *theta = NULL;
    for (int i = 0; i < KEPT_THETAS; i++)
        if (pool->kept[i] != NULL && pool->kept[i]->version == lease->round.step)
            theta = pool->kept[i];
    struct job *job = NULL;
    if (theta == NULL)
        status = mn_fail(err, MN_ERR_STATE, "theta %llu is not here",
                         (unsigned long long)lease->round.step);
    else if (pool->queued.n >= MN_POOL_QUEUE)
        status = mn_fail(err, MN_ERR_STATE, "%u leases are queued already", pool->queued.n);
    else
        status = new_job(pool, lease, theta, &job, err);
    if (status == MN_OK) {
        append(&pool->queued, job);
        (void)pthread_cond_broadcast(&pool->work);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return status;
}

void mn_pool_clear(mn_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    forget(pool, NULL);
    (void)pthread_mutex_unlock(&pool->lock);
}

int mn_pool_fd(const mn_pool *pool)
{
    return pool->fd;
}

bool mn_pool_take(mn_pool *pool, mn_pool_result *out)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct job *job = pool->finished.first;
    if (job != NULL) {
        take_out(&pool->finished, job);
        if (pool->finished.n == 0)
            silence(pool);
        *out = (mn_pool_result){.epoch = job->lease.epoch,
                                .result = {.encoding = job->encoding,
                                           .n_tasks = job->lease.n,
                                           .n_columns = (uint32_t)job->n_columns,
                                           .compute_us = microseconds(job->tasks_ns),
                                           .sums_us = microseconds(job->sums_ns)},
                                .payload = mn_tally_payload(job->tally),
                                .payload_bytes = mn_tally_payload_bytes(job->tally)};
        let_go(pool, job->theta);
        job->theta = NULL;
        append(&pool->lent, job);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return job != NULL;
}

void mn_pool_release(mn_pool *pool, const mn_pool_result *result)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct job *job = pool->lent.first;
    while (job != NULL && mn_tally_payload(job->tally) != result->payload)
        job = job->next;
    if (job != NULL)
        recycle(pool, &pool->lent, job);
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

uint64_t mn_pool_progress(const mn_pool *pool)
{
    return atomic_load(&pool->progress);
}

uint32_t mn_pool_threads(const mn_pool *pool)
{
    return pool->n_threads;
}

/* ---- the threads */

static mn_status start_thread(mn_pool *pool, mn_error *err)
{
    struct thread *thread = &pool->threads[pool->n_threads];
    *thread = (struct thread){.pool = pool, .number = pool->n_threads};
    size_t bytes = MN_EXACT_ROWS * pool->row_stride * sizeof *thread->rows;

    mn_status status = mn_workspace_new(pool->learner, &thread->workspace, err);
    if (status == MN_OK)
        status = mn_task_new(&pool->train_shape, &thread->train_task, err);
    if (status == MN_OK)
        status = mn_task_new(&pool->test_shape, &thread->test_task, err);
    if (status == MN_OK && (thread->rows = aligned_alloc(ALIGNMENT, bytes)) == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "rows of %zu bytes", bytes);
    if (status == MN_OK && pthread_create(&thread->id, NULL, work, thread) != 0)
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

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint32_t microseconds(uint64_t ns)
{
    return ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}

/* The oldest lease that has a task for one more thread. */
static struct job *next_job(mn_pool *pool)
{
    struct job *job = pool->queued.first;
    while (job != NULL && job->begun == job->lease.n)
        job = job->next;
    return job;
}

/* A thread adds its rows when it has as many as are added at once, and before it turns elsewhere.
 */
static void *work(void *argument)
{
    struct thread *thread = argument;
    mn_pool *pool = thread->pool;
    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct job *job = pool->stopping ? NULL : next_job(pool);
        if (thread->n_rows == MN_EXACT_ROWS || (thread->n_rows > 0 && job != thread->job))
            add_rows(thread);
        else if (job != NULL)
            compute(thread, job);
        else if (pool->stopping)
            break;
        else
            wait_for_work(thread);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void wait_for_work(struct thread *thread)
{
    mn_profile_lap(thread->profile, MN_PART_HAND);
    (void)pthread_cond_wait(&thread->pool->work, &thread->pool->lock);
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
    float *row = thread->rows + thread->n_rows * pool->row_stride;
    bool summed = job->encoding == MN_ENCODING_EXACT;
    job->in_hand++;
    (void)pthread_mutex_unlock(&pool->lock);
    mn_profile_lap(thread->profile, MN_PART_HAND);

    uint64_t began_ns = now_ns();
    if (job->training) {
        mn_task_set_draw(pool->set, round->split, index, thread->train_task);
        mn_profile_lap(thread->profile, MN_PART_DRAW);
        mn_learner_train(thread->workspace, job->theta->values, thread->train_task, row);
    } else {
        mn_task_set_draw(pool->set, round->split, index, thread->test_task);
        mn_learner_test(thread->workspace, job->theta->values, thread->test_task, row);
    }
    uint64_t computed_ns = now_ns();
    assert(mn_exact_accepts(job->n_columns, row)); /* the learner leaves nothing else in a row */
    if (!summed)
        mn_tally_put(job->tally, task, row);
    mn_profile_lap(thread->profile, MN_PART_SUMS);
    uint64_t ended_ns = now_ns();

    (void)pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->progress, 1);
    job->tasks_ns += computed_ns - began_ns;
    job->sums_ns += ended_ns - computed_ns;
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
        mn_tally_add(job->tally, thread->number, thread->n_rows, thread->rows, pool->row_stride);
        mn_profile_lap(thread->profile, MN_PART_SUMS);
        uint64_t ended_ns = now_ns();
        (void)pthread_mutex_lock(&pool->lock);
        job->sums_ns += ended_ns - began_ns;
    }
    settle(pool, job, thread->n_rows);
    thread->n_rows = 0;
}

/* ---- leases and memory; all under the lock */

/* The rows of so many tasks of the lease are where they belong. */
static void settle(mn_pool *pool, struct job *job, uint32_t n_tasks)
{
    job->in_hand -= n_tasks;
    job->ended += n_tasks;
    if (job->forgotten) {
        if (job->in_hand == 0)
            recycle(pool, NULL, job);
        return;
    }
    if (job->ended < job->lease.n)
        return;
    take_out(&pool->queued, job);
    append(&pool->finished, job);
    if (pool->finished.n == 1)
        ring(pool);
}

static mn_status new_job(mn_pool *pool, const mn_lease *lease, struct theta *theta,
                         struct job **out, mn_error *err)
{
    struct job *job = pool->spare_jobs;
    if (job == NULL) {
        job = calloc(1, sizeof *job);
        if (job == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "lease");
        pool->spare_jobs = job;
    }
    bool training = lease->round.kind == MN_ROUND_TRAIN;
    bool exact = training && lease->n > ROWS_UP_TO_TASKS;
    mn_encoding encoding = exact ? MN_ENCODING_EXACT : MN_ENCODING_ROWS;
    size_t columns = training ? pool->train_columns : pool->test_columns;
    mn_status status = job->tally != NULL ? MN_OK : mn_tally_new(&job->tally, err);
    if (status == MN_OK)
        status = mn_tally_begin(job->tally, encoding, lease->n, columns, pool->n_threads, err);
    if (status != MN_OK)
        return status; /* the job stays spare */

    pool->spare_jobs = job->next;
    theta->users++;
    *job = (struct job){.lease = *lease,
                        .theta = theta,
                        .tally = job->tally,
                        .training = training,
                        .encoding = encoding,
                        .n_columns = columns};
    *out = job;
    return MN_OK;
}

/* Drop the leases that use this theta, or all if it is NULL. Those that threads compute on go with
 * the last. */
static void forget(mn_pool *pool, struct theta *only)
{
    struct queue *const queues[] = {&pool->queued, &pool->finished};
    for (int q = 0; q < 2; q++) {
        for (struct job *job = queues[q]->first, *next; job != NULL; job = next) {
            next = job->next;
            if (only != NULL && job->theta != only)
                continue;
            job->forgotten = true;
            if (job->in_hand == 0)
                recycle(pool, queues[q], job);
            else
                take_out(queues[q], job);
        }
    }
    if (pool->finished.n == 0)
        silence(pool);
}

/* Out of this queue, if it is in any, and spare from now on. */
static void recycle(mn_pool *pool, struct queue *queue, struct job *job)
{
    if (queue != NULL)
        take_out(queue, job);
    if (job->theta != NULL)
        let_go(pool, job->theta);
    job->next = pool->spare_jobs;
    pool->spare_jobs = job;
}

static void let_go(mn_pool *pool, struct theta *theta)
{
    if (--theta->users > 0)
        return;
    theta->next = pool->spare_thetas;
    pool->spare_thetas = theta;
}

static void append(struct queue *queue, struct job *job)
{
    job->next = NULL;
    if (queue->last != NULL)
        queue->last->next = job;
    else
        queue->first = job;
    queue->last = job;
    queue->n++;
}

static void take_out(struct queue *queue, const struct job *job)
{
    struct job *before = NULL;
    for (struct job *at = queue->first; at != job; at = at->next)
        before = at;
    if (before != NULL)
        before->next = job->next;
    else
        queue->first = job->next;
    if (queue->last == job)
        queue->last = before;
    queue->n--;
}

/* An eventfd takes 2^64-2 rings and we ring once at a time; neither call can fail but by a closed
 * descriptor. */
static void ring(mn_pool *pool)
{
    (void)eventfd_write(pool->fd, 1);
}

static void silence(mn_pool *pool)
{
    eventfd_t rings;
    (void)eventfd_read(pool->fd, &rings);
}
