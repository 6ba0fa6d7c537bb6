#include "common/random.h"

#include "common/real_functions.h"
#include <Random123/philox.h>
#include <assert.h>
#include <math.h>
#include <string.h>

static uint32_t position_in(const uint32_t *sorted, uint32_t n, uint32_t value);

mn_random mn_random_stream(uint64_t seed, mn_purpose purpose, uint64_t index)
{
    return (mn_random){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, (uint32_t)purpose, (uint32_t)index, (uint32_t)(index >> 32)},
        .used = 4,
    };
}

/* A stream repeats itself after 2^34 words, when the block number comes round. */
uint32_t mn_random_u32(mn_random *random)
{
    if (random->used == 4) {
        philox4x32_ctr_t counter;
        philox4x32_key_t key;
        memcpy(counter.v, random->counter, sizeof random->counter);
        memcpy(key.v, random->key, sizeof random->key);
        philox4x32_ctr_t block = philox4x32_R(10, counter, key);
        memcpy(random->block, block.v, sizeof random->block);
        random->counter[0]++;
        random->used = 0;
    }
    return random->block[random->used++];
}

double mn_random_unit(mn_random *random)
{
    uint64_t high = mn_random_u32(random);
    uint64_t low = mn_random_u32(random);
    return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

double mn_random_uniform(mn_random *random, double low, double high)
{
    double x = low + (high - low) * mn_random_unit(random);
    return x < high ? x : nextafter(high, low); /* the addition may have rounded up to high */
}

/* Source: Lemire 2019, "Fast random integer generation in an interval", Algorithm 5. */
uint32_t mn_random_below(mn_random *random, uint32_t n)
{
    assert(n > 0);
    uint64_t product = (uint64_t)mn_random_u32(random) * n;
    if ((uint32_t)product < n) {
        uint32_t n_biased = -n % n; /* 2^32 mod n */
        while ((uint32_t)product < n_biased)
            product = (uint64_t)mn_random_u32(random) * n;
    }
    return (uint32_t)(product >> 32);
}

/* By Box and Muller (1958). */
double mn_random_normal(mn_random *random)
{
    double radius = sqrt(-2.0 * mn_real_log(1.0 - mn_random_unit(random)));
    return radius * mn_real_cosine_of_turns(mn_random_unit(random));
}

/* Floyd's choice of a set (Bentley and Floyd 1987), kept sorted so that looking a number up takes
 * log k steps and no memory beside chosen; then a shuffle, as the set alone is random, not its
 * order. Inserting moves k*k/4 words in all: nothing for thousands, a blink for tens of thousands.
 */
void mn_random_choose(mn_random *random, uint32_t n, uint32_t k, uint32_t *chosen)
{
    assert(k <= n);
    for (uint32_t size = 0; size < k; size++) {
        uint32_t last = n - k + size; /* larger than all chosen before */
        uint32_t value = mn_random_below(random, last + 1);
        uint32_t at = position_in(chosen, size, value);
        if (at < size && chosen[at] == value) {
            value = last;
            at = size;
        }
        memmove(chosen + at + 1, chosen + at, (size - at) * sizeof *chosen);
        chosen[at] = value;
    }
    mn_random_shuffle(random, k, chosen);
}

void mn_random_shuffle(mn_random *random, uint32_t n, uint32_t *list)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = mn_random_below(random, i);
        uint32_t kept = list[i - 1];
        list[i - 1] = list[j];
        list[j] = kept;
    }
}

/* Index of the first of n ascending numbers that is not below value. */
static uint32_t position_in(const uint32_t *sorted, uint32_t n, uint32_t value)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A Feistel network over the smallest even number of bits that holds n, walked until it is below n:
 * a one-to-one map of 0 .. n-1 (Black and Rogaway 2002). */
uint32_t mn_random_place(mn_random random, uint32_t n, uint32_t at)
{
    enum { ROUNDS = 6 };
    uint32_t keys[ROUNDS], half = 1;
    while (half < 16 && (uint64_t)1 << (2 * half) < n)
        half++;
    const uint32_t mask = ((uint32_t)1 << half) - 1;
    for (int i = 0; i < ROUNDS; i++)
        keys[i] = mn_random_u32(&random);
    do {
        uint32_t left = at >> half, right = at & mask;
        for (int i = 0; i < ROUNDS; i++) {
            uint32_t mixed = (right + keys[i]) * 0x85ebca6bu;
            mixed = (mixed ^ mixed >> 15) * 0xc2b2ae35u;
            const uint32_t next = left ^ ((mixed ^ mixed >> 16) & mask);
            left = right;
            right = next;
        }
        at = left << half | right;
    } while (at >= n);
    return at;
}
