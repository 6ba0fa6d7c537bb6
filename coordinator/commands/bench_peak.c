#include "coordinator/commands/bench_peak.h"

#include "common/clock.h"
#include "worker/engine/kernels.h"
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SIZE 384u /* of the square matrices; they fit the second-level cache */
#define SECONDS_ALONE 0.25
#define SECONDS_TOGETHER 0.75
#define FLOPS (2.0 * SIZE * SIZE * SIZE)

/* As in cblas.h. */
enum { ROW_MAJOR = 101, NOT_TURNED = 111 };
typedef void cblas_sgemm_call(int order, int turn_a, int turn_b, int m, int n, int k, float alpha,
                              const float *a, int lda, const float *b, int ldb, float beta,
                              float *c, int ldc);

/* One SGEMM: OpenBLAS's if `openblas`, else our kernels'. */
struct sgemm {
    const mn_kernels *kernels;
    cblas_sgemm_call *openblas;
};

/* Threads that multiply at the same time, round by round. */
struct race {
    struct sgemm sgemm;
    uint32_t n_threads;
    atomic_uint arrived, round; /* at the end of this round; rounds done */
    atomic_bool ready, over, failed;
    double until_s; /* the rest is for whoever arrives last */
    double round_began_s, best_s;
};

static double rate_alone(const struct sgemm *sgemm, float *matrices);
static double rate_together(struct race *race);

static float *new_matrices(void)
{
    const size_t n = 3 * (size_t)SIZE * SIZE;
    float *numbers = aligned_alloc(64, n * sizeof *numbers);
    for (size_t i = 0; numbers != NULL && i < n; i++)
        numbers[i] = (float)(i % 7) / 7;
    return numbers;
}

static void multiply(const struct sgemm *sgemm, float *matrices)
{
    enum { N = SIZE };
    float *a = matrices, *b = a + (size_t)N * N, *c = b + (size_t)N * N;
    if (sgemm->openblas != NULL)
        sgemm->openblas(ROW_MAJOR, NOT_TURNED, NOT_TURNED, N, N, N, 1, a, N, b, N, 0, c, N);
    else
        sgemm->kernels->gemm(&(mn_product){.m = N, .n = N, .k = N, .a = a, .b = b}, c);
}

/* OpenBLAS is loaded here alone, if it is installed, because it starts threads of its own. */
mn_status mn_bench_find_peak(uint32_t n_threads, mn_bench_peak *out, mn_error *err)
{
    struct sgemm own = {.kernels = mn_kernels_choose()}, blas = own;
    float *matrices = new_matrices();
    if (own.kernels == NULL || matrices == NULL) {
        free(matrices);
        return mn_fail(err, MN_ERR_NOMEM, "matrices of %u", SIZE);
    }
    (void)setenv("OPENBLAS_NUM_THREADS", "1", 1);
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    union {
        void *address;
        cblas_sgemm_call *call;
    } openblas = {.address = library != NULL ? dlsym(library, "cblas_sgemm") : NULL};
    blas.openblas = openblas.call;

    double own_rate = rate_alone(&own, matrices);
    double blas_rate = blas.openblas != NULL ? rate_alone(&blas, matrices) : 0;
    struct race race = {.sgemm = blas_rate > own_rate ? blas : own, .n_threads = n_threads};
    out->one_core = fmax(own_rate, blas_rate);
    out->by = blas_rate > own_rate ? "OpenBLAS" : "Mnemo";
    out->together = n_threads == 1 ? out->one_core : rate_together(&race);
    free(matrices);
    if (library != NULL)
        (void)dlclose(library);
    if (atomic_load(&race.failed))
        return mn_fail(err, MN_ERR_UNAVAILABLE,
                       "%u threads for the peak; ask for fewer, or raise `ulimit -u`", n_threads);
    return MN_OK;
}

/* By the thread's CPU time, the best one: others share the machine. */
static double rate_alone(const struct sgemm *sgemm, float *matrices)
{
    double best = 0, begun_s = mn_clock_s(CLOCK_MONOTONIC);
    do {
        double from_s = mn_clock_s(CLOCK_THREAD_CPUTIME_ID);
        multiply(sgemm, matrices);
        best = fmax(best, 1e-9 * FLOPS / (mn_clock_s(CLOCK_THREAD_CPUTIME_ID) - from_s));
    } while (mn_clock_s(CLOCK_MONOTONIC) < begun_s + SECONDS_ALONE);
    return best;
}

/* The end of a round: wait for all. Each must run at once when the next begins, so nobody sleeps,
 * but gives way where there are too few cores. The last to arrive has the time of the whole round,
 * in which all did their work. */
static void meet(struct race *race, unsigned round)
{
    if (atomic_fetch_add(&race->arrived, 1) + 1 == race->n_threads) {
        double ended_s = mn_clock_s(CLOCK_MONOTONIC);
        if (round > 0)
            race->best_s = fmin(race->best_s, ended_s - race->round_began_s);
        race->round_began_s = ended_s;
        if (ended_s > race->until_s || atomic_load(&race->failed))
            atomic_store(&race->over, true);
        atomic_store(&race->arrived, 0);
        atomic_store(&race->round, round + 1);
    }
    for (unsigned spins = 0; atomic_load(&race->round) == round; spins++)
        if (spins % 256 == 255)
            (void)sched_yield();
}

static void *compete(void *argument)
{
    struct race *race = argument;
    float *matrices = new_matrices();
    if (matrices == NULL)
        atomic_store(&race->failed, true);
    while (!atomic_load(&race->ready))
        (void)sched_yield();
    for (unsigned round = 0; !atomic_load(&race->over); round++) {
        if (matrices != NULL)
            multiply(&race->sgemm, matrices);
        meet(race, round);
    }
    free(matrices);
    return NULL;
}

/* By the wall's clock, because all must have run all the time: of many rounds of a millisecond the
 * best, in which no other program had a core. */
static double rate_together(struct race *race)
{
    pthread_t *threads = calloc(race->n_threads, sizeof *threads);
    uint32_t n = 0;
    race->best_s = INFINITY;
    while (threads != NULL && n < race->n_threads &&
           pthread_create(&threads[n], NULL, compete, race) == 0)
        n++;
    if (n < race->n_threads) {
        atomic_store(&race->failed, true);
        atomic_store(&race->over, true);
    }
    race->until_s = mn_clock_s(CLOCK_MONOTONIC) + SECONDS_TOGETHER;
    atomic_store(&race->ready, true);
    for (uint32_t i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
    free(threads);
    return 1e-9 * FLOPS * race->n_threads / race->best_s;
}
