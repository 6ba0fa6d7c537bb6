/* pace.h: how long leases take here lately, and so, when one is overdue. Median and median absolute
 * deviation (MAD) of the newest measurements: a few stragglers move neither, as they would a mean.
 */
#pragma once

#include <stdint.h>

#define MN_PACE_SAMPLES 63u

typedef struct mn_pace {
    uint64_t sample_us[MN_PACE_SAMPLES]; /* a ring */
    uint32_t n, next;
    uint32_t stale; /* samples since patience_us was worked out */
    uint64_t patience_us;
} mn_pace;

/* A lease took elapsed_us for one wave of tasks: as many as the member has threads. Zero-initialise
 * a pace first. */
void mn_pace_add(mn_pace *pace, uint64_t elapsed_us);

/* How long to wait for a wave before others are given its tasks: three times (median + 4 MAD), the
 * MAD taken as at least half the median while fewer than 8 are known. 0: nothing is known yet. */
uint64_t mn_pace_patience_us(mn_pace *pace);
