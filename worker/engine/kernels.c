/* Which tables this machine can run. */
#include "worker/engine/kernels.h"
#include "worker/engine/kernels_tables.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const mn_kernels *all[5]; /* best first; NULL-terminated */

static void find_all(void)
{
    size_t n = 0;
#ifndef MN_DOUBLE
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
        all[n++] = &mn_kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        all[n++] = &mn_kernels_avx2;
#endif
    all[n++] = &mn_kernels_portable;
#endif
    all[n++] = &mn_kernels_plain;
    all[n] = NULL;
}

const mn_kernels *const *mn_kernels_all(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, find_all);
    return all;
}

const mn_kernels *mn_kernels_choose(void)
{
    const mn_kernels *const *table = mn_kernels_all();
    const char *wanted = getenv("MNEMO_KERNELS");
    if (wanted == NULL || wanted[0] == '\0')
        return *table;
    while (*table != NULL && strcmp((*table)->name, wanted) != 0)
        table++;
    return *table;
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double mn_kernels_peak_gflops(const mn_kernels *kernels, double seconds)
{
    enum { SMALLEST = 256, STEP = 128, LARGEST = 512 };
    size_t area = (size_t)LARGEST * LARGEST;
    mn_real *a = malloc(3 * area * sizeof *a);
    if (a == NULL)
        return 0;
    for (size_t i = 0; i < 2 * area; i++)
        a[i] = (mn_real)(i % 7) - 3; /* no denormals, no zeros only */
    double best = 0, start = now();
    do {
        for (size_t n = SMALLEST; n <= LARGEST; n += STEP) {
            double t = now();
            kernels->gemm(&(mn_product){.m = n, .n = n, .k = n, .a = a, .b = a + area},
                          a + 2 * area);
            double rate = 2e-9 * (double)n * (double)n * (double)n / (now() - t);
            best = rate > best ? rate : best;
        }
    } while (now() - start < seconds);
    free(a);
    return best;
}
