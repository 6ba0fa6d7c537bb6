/* draw_bed.h: for tests: numbers that look random and are the same everywhere. */
#pragma once

#include <stdint.h>

static uint64_t seed_state = 88172645463325252u;

static inline double draw(void) /* xorshift; -1 .. 1 */
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 7;
    seed_state ^= seed_state << 17;
    return (double)(seed_state >> 11) / 4503599627370496.0 - 1.0;
}
