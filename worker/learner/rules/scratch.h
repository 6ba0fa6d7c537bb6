/* scratch.h: how rules lay out the block of memory that a thread brings: one array after the other, each at a line of the
 * cache. */
#pragma once

#include "worker/engine/plan.h"

static inline size_t mn_scratch_rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Where an array of n bytes lies behind what was taken so far, `*bytes`, which grows by it. */
static inline size_t mn_scratch_take(size_t *bytes, size_t n)
{
    const size_t offset = *bytes;
    *bytes += mn_scratch_rounded(n);
    return offset;
}

static inline mn_real *mn_scratch_at(const void *scratch, size_t offset)
{
    return (mn_real *)(void *)((char *)(uintptr_t)scratch + offset);
}
