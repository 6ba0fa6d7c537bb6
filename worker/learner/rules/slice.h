/* slice.h: some items of a task's support or query set as a task of their own, so that a plan which
 * is compiled for so many items can read a long set piece by piece: an inner step its item of a
 * stream, and body and judgement a set whose activations would not fit in memory at once. */
#pragma once

#include "worker/engine/plan.h"
#include "worker/tasks/task.h"

typedef struct mn_slice {
    const mn_fields *whole; /* lent */
    mn_role role;
    uint32_t n, items; /* slices, and items of each; 1: the task as it is */
    mn_fields fields;  /* what a plan is compiled for: of n slices, those of the role alone */
} mn_slice;

/* Cut a set into slices of `items`; 0: not at all. MN_ERR_CONFIG: it is no multiple of that. */
mn_status mn_slice_init(mn_slice *slice, const mn_fields *whole, mn_role role, uint32_t items,
                        mn_error *err);

/* As many items as a slice may have, at most `most`, that divide a set. */
uint32_t mn_slice_divisor(const mn_fields *whole, mn_role role, uint32_t most);

/* Numbers of the block that _take needs; 0: none. */
size_t mn_slice_count(const mn_slice *slice);

/* Slice k < n of a task: the task itself, or `block`, into which it is copied. */
const mn_real *mn_slice_take(const mn_slice *slice, const mn_real *task, uint32_t k,
                             mn_real *block);
