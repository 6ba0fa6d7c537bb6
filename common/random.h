/* random.h: counter-based random streams (Philox4x32-10 by Random123).
 * A stream is a pure function of (seed, purpose, index): nothing to save, nothing to lose, and any
 * task can be drawn anywhere at any time. Source: Salmon et al. 2011, "Parallel random numbers: as
 * easy as 1, 2, 3". */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What a stream is for. The numbers are part of every published answer: never renumber. */
typedef enum mn_purpose {
    MN_RANDOM_THETA = 1,      /* initial parameters; index: number of the tensor */
    MN_RANDOM_TASK_TRAIN = 2, /* one task; index: task index */
    MN_RANDOM_TASK_VAL = 3,
    MN_RANDOM_TASK_TEST = 4,
    MN_RANDOM_GLYPH = 5, /* the strokes of one procedurally drawn class; index: class */
    MN_RANDOM_SELF_TEST = 6,
    MN_RANDOM_SPLIT = 7,  /* which classes of an imported folder are for validation and test */
    MN_RANDOM_JITTER = 8, /* pauses of a worker between dials; no answer depends on it */
    MN_RANDOM_ORDER = 9,  /* in which the items of a data set are shown; index: the epoch */
    MN_RANDOM_SWEEP = 10, /* values of a sweep's keys; index: the draw, the key in its upper half */
    MN_RANDOM_SWEEP_SHIFT = 11, /* where a sequence of even points begins; index: the key */
} mn_purpose;

typedef struct mn_random {
    uint32_t key[2];
    uint32_t counter[4]; /* block number, purpose, index low, index high */
    uint32_t block[4];
    unsigned used; /* words of block already handed out; 4: a new block is due */
} mn_random;

mn_random mn_random_stream(uint64_t seed, mn_purpose purpose, uint64_t index);

uint32_t mn_random_u32(mn_random *random);

/* Uniform in [0, 1) with 53 random bits. */
double mn_random_unit(mn_random *random);

/* Uniform in [low, high). */
double mn_random_uniform(mn_random *random, double low, double high);

/* Uniform in 0 .. n-1 without bias, n > 0. */
uint32_t mn_random_below(mn_random *random, uint32_t n);

/* Standard normal (Box-Muller; both values of a pair are not kept: two uniforms a call). The same
 * bits on every machine: no log or cos of a C library is asked. */
double mn_random_normal(mn_random *random);

/* k distinct numbers of 0 .. n-1 in random order, k <= n, written to chosen[k], with no memory
 * beside it. */
void mn_random_choose(mn_random *random, uint32_t n, uint32_t k, uint32_t *chosen);

/* Shuffle list[n] in place (Fisher-Yates). */
void mn_random_shuffle(mn_random *random, uint32_t n, uint32_t *list);

/* Place `at` of a random order of 0 .. n-1, n > 0, at < n: as `at` goes from 0 to n-1, each number
 * comes once, and there is no list. The order is fixed by the stream as it is given. */
uint32_t mn_random_place(mn_random random, uint32_t n, uint32_t at);
