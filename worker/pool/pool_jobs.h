/* pool_jobs.h: the books of a pool: its leases from queued to lent, the thetas that they use, and
 * the sums that they fill. Private to pool.c, which holds its lock around every call; no thread and
 * no clock in here. */
#pragma once

#include "worker/pool/pool.h"
#include "worker/pool/tally.h"

#define MN_POOL_THETAS 2
#define MN_POOL_JOIN_NS UINT64_C(1000000000) /* see mn_jobs_add */

struct theta {
    struct theta *next; /* among the spare ones */
    uint64_t version;
    uint32_t users; /* leases that compute with it, and 1 while it is kept */
    float *values;  /* owned */
};

/* What one result brings: the rows of a lease, or the sum of one or several. */
struct yield {
    struct yield *next; /* among the spare ones */
    mn_tally *tally;    /* owned; used again with the yield */
    mn_encoding encoding;
    size_t n_columns;
    uint64_t round, version; /* its id; of theta */
    uint64_t begun_ns;
    uint32_t n_leases, n_tasks; /* of all that ever joined */
    uint32_t n_open;            /* leases that are not finished */
    uint32_t users;             /* jobs */
    uint32_t n_kept;
    uint64_t
        kept[MN_MAX_KEPT]; /* [n_kept] epochs, growing, of those that finished before the last */
    uint64_t tasks_ns, sums_ns; /* thread time */
};

struct job {
    struct job *next;
    mn_lease lease;
    struct theta *theta;
    struct yield *yield;
    bool training;
    uint32_t begun, in_hand, ended; /* tasks */
    bool forgotten;
    bool kept; /* finished, and its yield was not complete */
};

struct queue {
    struct job *first, *last;
    uint32_t n;
};

struct jobs {
    struct theta *thetas[MN_POOL_THETAS]; /* the older one first */
    struct queue queued, finished;        /* in order of submission; in order of completion */
    struct queue lent;                    /* taken and not yet released */
    struct yield *open;                   /* that the next lease may join; NULL: none */
    uint64_t task_ns;                     /* the newest task of training took; 0: none yet */
    struct job *spare_jobs;
    struct yield *spare_yields;
    struct theta *spare_thetas;
};

/* Free all; nobody computes any more. */
void mn_jobs_fini(struct jobs *jobs);

/* One of `size` floats to be filled by the caller. NULL: no memory. */
struct theta *mn_jobs_new_theta(struct jobs *jobs, size_t size);
/* It is the newest; leases of one that goes are forgotten. */
void mn_jobs_keep_theta(struct jobs *jobs, struct theta *fresh, uint64_t version);

/* Queue a lease of training or of tests, whose rows have n_columns. If the one before is of the
 * same round of training and its sum is not complete, this lease adds to that: it will be one
 * result for both. Not if the sum would then be complete, by jobs->task_ns, only MN_POOL_JOIN_NS
 * or more after it was begun. MN_ERR_STATE, MN_ERR_NOMEM. */
mn_status mn_jobs_add(struct jobs *jobs, const mn_lease *lease, size_t n_columns,
                      uint32_t n_threads, uint64_t now_ns, mn_error *err);

/* The oldest lease that has a task for one more thread; NULL: none. */
struct job *mn_jobs_next(const struct jobs *jobs);

/* The rows of so many tasks of the lease, which threads had in hand, are where they belong, or
 * nowhere if it was forgotten. */
void mn_jobs_settle(struct jobs *jobs, struct job *job, uint32_t n_tasks);

/* Drop the leases that use this theta, or all if it is NULL. Those that threads compute on go with
 * the last. */
void mn_jobs_forget(struct jobs *jobs, const struct theta *only);

/* The next finished lease; false: none. */
bool mn_jobs_take(struct jobs *jobs, mn_pool_result *out);
void mn_jobs_release(struct jobs *jobs, const void *payload);
