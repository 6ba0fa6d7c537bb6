#include "coordinator/core/pace.h"

#include <stdlib.h>
#include <string.h>

#define REFRESH_AFTER 16u /* samples */
#define TRUSTED 8u        /* samples from which on the MAD is believed */
#define MAX_SAMPLE_US (UINT64_MAX / 64)

static int by_size(const void *a, const void *b);
static uint64_t median(uint64_t *values, uint32_t n);

void mn_pace_add(mn_pace *pace, uint64_t elapsed_us)
{
    pace->sample_us[pace->next] = elapsed_us < MAX_SAMPLE_US ? elapsed_us : MAX_SAMPLE_US;
    pace->next = (pace->next + 1) % MN_PACE_SAMPLES;
    if (pace->n < MN_PACE_SAMPLES)
        pace->n++;
    pace->stale++;
}

uint64_t mn_pace_patience_us(mn_pace *pace)
{
    /* While few are known each one matters; later an old answer does for a while. */
    if (pace->stale < REFRESH_AFTER && (pace->stale == 0 || pace->n > REFRESH_AFTER))
        return pace->patience_us;
    uint64_t values[MN_PACE_SAMPLES];
    memcpy(values, pace->sample_us, pace->n * sizeof *values);
    uint64_t middle = median(values, pace->n);
    for (uint32_t i = 0; i < pace->n; i++)
        values[i] = values[i] > middle ? values[i] - middle : middle - values[i];
    uint64_t spread = median(values, pace->n);
    if (pace->n < TRUSTED &&
        spread < middle / 2) /* a few that happen to be close say little of the next */
        spread = middle / 2;
    pace->patience_us = 3 * (middle + 4 * spread);
    pace->stale = 0;
    return pace->patience_us;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t median(uint64_t *values, uint32_t n)
{
    qsort(values, n, sizeof *values, by_size);
    return n > 0 ? values[n / 2] : 0;
}
