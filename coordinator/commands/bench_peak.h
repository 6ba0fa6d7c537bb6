/* bench_peak.h: the most that this machine's cores give, to hold a speed against. */
#pragma once

#include "common/error.h"
#include <stdint.h>

typedef struct mn_bench_peak {
    double one_core; /* GFLOP/s of SGEMM on one core: the best of our kernels and OpenBLAS */
    double together; /* all n_threads at once, their sum; less than n_threads times one_core where
                        cores share a clock, a memory or a host with others */
    const char *by;  /* whose SGEMM it was: static */
} mn_bench_peak;

/* Takes about a second. */
mn_status mn_bench_find_peak(uint32_t n_threads, mn_bench_peak *out, mn_error *err);
