/* deadlines.h: which of many numbered things is due first. A binary heap in which each thing knows
 * its place, so that any of them can be taken out. Times are whatever the caller counts in. */
#pragma once

#include "common/error.h"
#include <stdint.h>

typedef struct mn_deadline {
    uint64_t due_us;
    uint32_t id;
} mn_deadline;

typedef struct mn_deadlines {
    uint32_t n, capacity;
    mn_deadline *heap; /* [capacity], the earliest at the root; owned */
    uint32_t *place;   /* [capacity] by id, in heap; UINT32_MAX: not there; owned */
} mn_deadlines;

/* For ids 0 .. capacity-1. MN_ERR_NOMEM: *deadlines is zero. */
mn_status mn_deadlines_init(mn_deadlines *deadlines, uint32_t capacity, mn_error *err);
void mn_deadlines_fini(mn_deadlines *deadlines); /* takes a zero one too */

/* id is not there yet. */
void mn_deadlines_add(mn_deadlines *deadlines, uint32_t id, uint64_t due_us);
/* Does nothing if id is not there. */
void mn_deadlines_remove(mn_deadlines *deadlines, uint32_t id);
/* NULL: there is none. */
const mn_deadline *mn_deadlines_first(const mn_deadlines *deadlines);
