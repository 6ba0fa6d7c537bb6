#include "worker/pool/pool_jobs.h"

#include "common/exact_sum.h"

#include <stdlib.h>

#define ALIGNMENT 64

static struct yield *yield_to_join(const struct jobs *jobs, const mn_lease *lease,
                                   uint32_t n_threads, uint64_t now_ns);
static uint64_t time_left_ns(const struct jobs *jobs, const struct yield *yield, uint32_t n_more,
                             uint32_t n_threads);
static mn_status new_yield(struct jobs *jobs, const mn_lease *lease, size_t n_columns,
                           uint32_t n_threads, uint64_t now_ns, mn_error *err);
static void finish(struct jobs *jobs, struct job *job);
static void recycle(struct jobs *jobs, struct queue *queue, struct job *job);
static void let_go(struct jobs *jobs, struct theta *theta);
static void append(struct queue *queue, struct job *job);
static void take_out(struct queue *queue, const struct job *job);
static uint32_t microseconds(uint64_t ns);

static void free_theta(struct theta *theta)
{
    if (theta != NULL)
        free(theta->values);
    free(theta);
}

void mn_jobs_fini(struct jobs *jobs)
{
    mn_jobs_forget(jobs, NULL); /* so all become spare */
    while (jobs->lent.first != NULL)
        recycle(jobs, &jobs->lent, jobs->lent.first);
    for (struct job *job = jobs->spare_jobs, *next; job != NULL; job = next) {
        next = job->next;
        free(job);
    }
    for (struct yield *yield = jobs->spare_yields, *next; yield != NULL; yield = next) {
        next = yield->next;
        mn_tally_destroy(&yield->tally);
        free(yield);
    }
    for (int i = 0; i < MN_POOL_THETAS; i++)
        free_theta(jobs->thetas[i]);
    for (struct theta *theta = jobs->spare_thetas, *next; theta != NULL; theta = next) {
        next = theta->next;
        free_theta(theta);
    }
    *jobs = (struct jobs){0};
}

struct theta *mn_jobs_new_theta(struct jobs *jobs, size_t size)
{
    struct theta *theta = jobs->spare_thetas;
    if (theta != NULL) {
        jobs->spare_thetas = theta->next;
        return theta;
    }
    theta = calloc(1, sizeof *theta);
    if (theta == NULL)
        return NULL;
    size_t bytes = (size * sizeof *theta->values + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    theta->values = aligned_alloc(ALIGNMENT, bytes);
    if (theta->values == NULL) {
        free(theta);
        return NULL;
    }
    return theta;
}

void mn_jobs_keep_theta(struct jobs *jobs, struct theta *fresh, uint64_t version)
{
    struct theta **kept = jobs->thetas;
    int place = kept[1] != NULL && kept[1]->version == version ? 1 : 0;
    struct theta *old = kept[place];
    fresh->version = version;
    fresh->users = 1;
    if (place == 0)
        kept[0] = kept[1];
    kept[1] = fresh;
    if (old != NULL) {
        mn_jobs_forget(jobs, old);
        let_go(jobs, old);
    }
}

mn_status mn_jobs_add(struct jobs *jobs, const mn_lease *lease, size_t n_columns,
                      uint32_t n_threads, uint64_t now_ns, mn_error *err)
{
    struct theta *theta = NULL;
    for (int i = 0; i < MN_POOL_THETAS; i++)
        if (jobs->thetas[i] != NULL && jobs->thetas[i]->version == lease->round.step)
            theta = jobs->thetas[i];
    if (theta == NULL)
        return mn_fail(err, MN_ERR_STATE, "theta %llu is not here",
                       (unsigned long long)lease->round.step);
    if (jobs->queued.n >= MN_POOL_QUEUE)
        return mn_fail(err, MN_ERR_STATE, "%u leases are queued already", jobs->queued.n);

    struct job *job = jobs->spare_jobs;
    if (job == NULL) {
        job = calloc(1, sizeof *job);
        if (job == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "lease");
        jobs->spare_jobs = job;
    }
    struct yield *yield = yield_to_join(jobs, lease, n_threads, now_ns);
    if (yield == NULL) {
        mn_status status = new_yield(jobs, lease, n_columns, n_threads, now_ns, err);
        if (status != MN_OK)
            return status;
        yield = jobs->open;
    }

    jobs->spare_jobs = job->next;
    *job = (struct job){.lease = *lease,
                        .theta = theta,
                        .yield = yield,
                        .training = lease->round.kind == MN_ROUND_TRAIN};
    theta->users++;
    yield->users++;
    yield->n_open++;
    yield->n_leases++;
    yield->n_tasks += lease->n;
    append(&jobs->queued, job);
    return MN_OK;
}

/* NULL: the lease needs its own. A sum is lost as a whole, and nobody has it before it is complete,
 * so not everything may join. All leases in one have the same theta: those of a theta that was
 * replaced are forgotten, and with the first of them the sum is closed. */
static struct yield *yield_to_join(const struct jobs *jobs, const mn_lease *lease,
                                   uint32_t n_threads, uint64_t now_ns)
{
    struct yield *open = jobs->open;
    bool fits = open != NULL && open->encoding == MN_ENCODING_EXACT &&
                lease->round.kind == MN_ROUND_TRAIN && open->round == lease->round.id &&
                open->version == lease->round.step && open->n_leases <= MN_MAX_KEPT &&
                lease->n <= MN_EXACT_MAX_TERMS - open->n_tasks;
    if (!fits || jobs->task_ns == 0 || jobs->task_ns >= MN_POOL_JOIN_NS)
        return NULL;
    uint64_t ends_ns = now_ns - open->begun_ns + time_left_ns(jobs, open, lease->n, n_threads);
    return ends_ns < MN_POOL_JOIN_NS ? open : NULL;
}

/* Until this sum is complete, with so many tasks more, if all threads are at it. */
static uint64_t time_left_ns(const struct jobs *jobs, const struct yield *yield, uint32_t n_more,
                             uint32_t n_threads)
{
    uint64_t n = n_more;
    for (const struct job *job = jobs->queued.first; job != NULL; job = job->next)
        if (job->yield == yield)
            n += job->lease.n - job->ended;
    return (n + n_threads - 1) / n_threads * jobs->task_ns;
}

/* The open one from now on. */
static mn_status new_yield(struct jobs *jobs, const mn_lease *lease, size_t n_columns,
                           uint32_t n_threads, uint64_t now_ns, mn_error *err)
{
    struct yield *yield = jobs->spare_yields;
    if (yield == NULL) {
        yield = calloc(1, sizeof *yield);
        if (yield == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "results of a lease");
        jobs->spare_yields = yield;
    }
    /* Of so few tasks the rows are no longer than their sum, which is then made where they meet. */
    bool summed = lease->round.kind == MN_ROUND_TRAIN && lease->round.n_tasks > MN_EXACT_ROWS;
    mn_encoding encoding = summed ? MN_ENCODING_EXACT : MN_ENCODING_ROWS;
    mn_status status = yield->tally != NULL ? MN_OK : mn_tally_new(&yield->tally, err);
    if (status == MN_OK)
        status = mn_tally_begin(yield->tally, encoding, lease->n, n_columns, n_threads, err);
    if (status != MN_OK)
        return status; /* it stays spare */

    jobs->spare_yields = yield->next;
    *yield = (struct yield){.tally = yield->tally,
                            .encoding = encoding,
                            .n_columns = n_columns,
                            .round = lease->round.id,
                            .version = lease->round.step,
                            .begun_ns = now_ns};
    jobs->open = yield;
    return MN_OK;
}

struct job *mn_jobs_next(const struct jobs *jobs)
{
    struct job *job = jobs->queued.first;
    while (job != NULL && job->begun == job->lease.n)
        job = job->next;
    return job;
}

void mn_jobs_settle(struct jobs *jobs, struct job *job, uint32_t n_tasks)
{
    job->in_hand -= n_tasks;
    job->ended += n_tasks;
    if (job->forgotten) {
        if (job->in_hand == 0)
            recycle(jobs, NULL, job);
        return;
    }
    if (job->ended == job->lease.n)
        finish(jobs, job);
}

static void finish(struct jobs *jobs, struct job *job)
{
    struct yield *yield = job->yield;
    take_out(&jobs->queued, job);
    append(&jobs->finished, job);
    yield->n_open--;
    job->kept = yield->n_open > 0;
    if (job->kept) {
        uint32_t at = yield->n_kept++;
        for (; at > 0 && yield->kept[at - 1] > job->lease.epoch; at--)
            yield->kept[at] = yield->kept[at - 1];
        yield->kept[at] = job->lease.epoch;
    } else if (jobs->open == yield) {
        jobs->open = NULL;
    }
}

void mn_jobs_forget(struct jobs *jobs, const struct theta *only)
{
    struct queue *const queues[] = {&jobs->queued, &jobs->finished};
    for (int q = 0; q < 2; q++) {
        for (struct job *job = queues[q]->first, *next; job != NULL; job = next) {
            next = job->next;
            if (only != NULL && job->theta != only)
                continue;
            job->forgotten = true;
            if (jobs->open == job->yield)
                jobs->open = NULL;
            if (job->in_hand == 0)
                recycle(jobs, queues[q], job);
            else
                take_out(queues[q], job);
        }
    }
}

bool mn_jobs_take(struct jobs *jobs, mn_pool_result *out)
{
    struct job *job = jobs->finished.first;
    if (job == NULL)
        return false;
    const struct yield *yield = job->yield;
    *out = (mn_pool_result){
        .epoch = job->lease.epoch,
        .result = {.n_tasks = job->lease.n, .n_columns = (uint32_t)yield->n_columns}};
    if (job->kept) {
        out->result.encoding = MN_ENCODING_KEPT;
        recycle(jobs, &jobs->finished, job);
        return true;
    }
    out->result.encoding = yield->encoding;
    out->result.n_tasks = yield->n_tasks;
    out->result.compute_us = microseconds(yield->tasks_ns);
    out->result.sums_us = microseconds(yield->sums_ns);
    out->result.n_kept = yield->n_kept;
    for (uint32_t i = 0; i < yield->n_kept; i++)
        out->result.kept[i] = yield->kept[i];
    out->payload = mn_tally_payload(yield->tally);
    out->payload_bytes = mn_tally_payload_bytes(yield->tally);
    take_out(&jobs->finished, job);
    let_go(jobs, job->theta);
    job->theta = NULL;
    append(&jobs->lent, job);
    return true;
}

void mn_jobs_release(struct jobs *jobs, const void *payload)
{
    struct job *job = jobs->lent.first;
    while (job != NULL && mn_tally_payload(job->yield->tally) != payload)
        job = job->next;
    if (job != NULL)
        recycle(jobs, &jobs->lent, job);
}

/* Out of this queue, if it is in any, and spare from now on, with all that only it used. */
static void recycle(struct jobs *jobs, struct queue *queue, struct job *job)
{
    if (queue != NULL)
        take_out(queue, job);
    if (job->theta != NULL)
        let_go(jobs, job->theta);
    if (--job->yield->users == 0) {
        job->yield->next = jobs->spare_yields;
        jobs->spare_yields = job->yield;
    }
    job->next = jobs->spare_jobs;
    jobs->spare_jobs = job;
}

static void let_go(struct jobs *jobs, struct theta *theta)
{
    if (--theta->users > 0)
        return;
    theta->next = jobs->spare_thetas;
    jobs->spare_thetas = theta;
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

static uint32_t microseconds(uint64_t ns)
{
    return ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}
