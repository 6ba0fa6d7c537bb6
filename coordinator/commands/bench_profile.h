/* bench_profile.h: the laps of all threads made into two tables, by kind of operation and by single
 * operation, whose rows sum to the time of the cores in a step. */
#pragma once

#include "common/error.h"
#include "worker/engine/profile.h"
#include <jansson.h>
#include <stdint.h>

typedef struct mn_bench_profile {
    uint32_t n_threads;
    mn_profile **threads; /* [n_threads], of the pool; owned */
    mn_profile *owner;    /* of the thread that owns the pool: HAND, MERGE, OUTER; owned */
    uint64_t n_tasks;
    double cpu_ns_per_task; /* by the system's clock, of the whole process */
    double peak_gflops;     /* of one core */
} mn_bench_profile;

void mn_bench_profile_fini(mn_bench_profile *profile);

mn_status mn_bench_profile_print(const mn_bench_profile *profile, mn_error *err);
/* A new reference: {"tasks", ..., "kinds": [...], "operations": [...]}. NULL: out of memory. */
json_t *mn_bench_profile_json(const mn_bench_profile *profile);
