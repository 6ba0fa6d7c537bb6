/* pool.h: threads that compute leases: the whole of a remote worker's labour, and the local pool of
 * a rank. One thread owns the pool (submits, takes); the pool's own threads take single tasks of
 * the submitted leases in order, so that all of them are busy until the last task. Results come
 * back one per lease; but what a lease of training gave is kept if another of its round is queued,
 * and comes in one sum with that. */
#pragma once

#include "common/error.h"
#include "proto/message.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"

typedef struct mn_pool mn_pool;

/* A result, owned by the pool until released. */
typedef struct mn_pool_result {
    uint64_t epoch;
    mn_result result;    /* what goes into the header of a RESULT message */
    const void *payload; /* as result.encoding says; 64-byte aligned; KEPT: NULL */
    size_t payload_bytes;
} mn_pool_result;

/* learner and set are lent for the pool's life. */
mn_status mn_pool_new(const mn_learner *learner, const mn_task_set *set, uint32_t n_threads,
                      mn_pool **out, mn_error *err);
/* Stops the threads (each ends after its present task) and frees all, results too that were taken
 * and not released. */
void mn_pool_destroy(mn_pool **pool);

/* The theta that leases of `version` use; copied. The two that came last are kept: leases of others
 * are forgotten. A version that comes again takes the place of the one that is there. */
mn_status mn_pool_set_theta(mn_pool *pool, uint64_t version, const float *theta, mn_error *err);

/* Queue a lease. MN_ERR_STATE: its theta version is not there, or MN_POOL_QUEUE leases are queued
 * already. MN_ERR_PROTOCOL: a round of training over test tasks or the reverse, or more tasks than
 * an exact sum holds. */
#define MN_POOL_QUEUE 16
mn_status mn_pool_submit(mn_pool *pool, const mn_lease *lease, mn_error *err);

/* Forget all leases whose results were not taken (a round was dropped). */
void mn_pool_clear(mn_pool *pool);

/* Compute queued tasks in the owner's thread, for some 0.2 ms at most, if tasks take less than a
 * twentieth of a millisecond: to wake another thread for them would take longer. True: there is
 * more to do. Who calls this once calls it before each wait for mn_pool_fd, and does not wait if it
 * says true. */
bool mn_pool_help(mn_pool *pool);

/* Readable (poll) while a finished lease waits to be taken. */
int mn_pool_fd(const mn_pool *pool);
/* The next finished lease; false: none. */
bool mn_pool_take(mn_pool *pool, mn_pool_result *out);
/* The only call that any thread may make, e.g. the one that has sent the payload away. */
void mn_pool_release(mn_pool *pool, const mn_pool_result *result);

/* Time training from now on: profiles [n_threads] of mn_learner_profile, one a thread, lent
 * for the pool's life. They may be read and started anew while no lease is queued. */
void mn_pool_profile(mn_pool *pool, mn_profile *const *profiles);
