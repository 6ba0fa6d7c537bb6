/* solo.h: meta-steps made in one process with its own threads, without sockets and files: as a rank makes them, by a
 * lease, results, exact sums and the outer step. For mnemo bench and mnemo verify. One thread owns it. */
#pragma once

#include "coordinator/run/metrics.h"
#include "coordinator/server/session.h"
#include "worker/engine/profile.h"
#include "worker/pool/pool.h"

typedef struct mn_solo {
    mn_session *session; /* lent */
    mn_pool *pool;       /* owned */
    int64_t *sums;       /* owned */
    uint64_t n_leases;
} mn_solo;

/* Of a session that is open alone. */
mn_status mn_solo_begin(mn_session *session, uint32_t threads, mn_solo *out, mn_error *err);
void mn_solo_end(mn_solo *solo);

/* The next meta-step, with where this thread's time goes if `profile` is not NULL. */
mn_status mn_solo_step(mn_solo *solo, mn_profile *profile, mn_step_record *record, mn_error *err);
