/* shelf.h: places in a block of memory for arrays whose lives are known: each gets the lowest that
 * is free for its whole life. Whoever comes first chooses first; with the largest first that is
 * near the least memory there can be. Bookkeeping only: no array is touched. */
#pragma once

#include "common/error.h"
#include <stddef.h>
#include <stdint.h>

typedef struct mn_shelf mn_shelf;

/* Room for n_arrays. MN_ERR_NOMEM: *out is untouched. */
mn_status mn_shelf_new(uint32_t n_arrays, mn_shelf **out, mn_error *err);
void mn_shelf_destroy(mn_shelf **shelf);

/* The place of one more array of bytes > 0, alive from `first` to `last`, both included. */
size_t mn_shelf_place(mn_shelf *shelf, size_t bytes, uint32_t first, uint32_t last);

/* What all of them need. */
size_t mn_shelf_bytes(const mn_shelf *shelf);
