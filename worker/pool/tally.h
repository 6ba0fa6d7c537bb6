/* tally.h: the result of a lease, or of several in one sum, filled by many threads at a time with
 * rows that mn_exact_accepts. An exact sum is cut into segments with a lock each; the first thread
 * to come to a segment clears it, and each thread begins elsewhere, so that they rarely meet. Which
 * thread adds what and when leaves no trace: the bits are the same. */
#pragma once

#include "common/error.h"
#include "proto/message.h"
#include <stddef.h>
#include <stdint.h>

typedef struct mn_tally mn_tally;

mn_status mn_tally_new(mn_tally **out, mn_error *err);
/* Does nothing if *tally is NULL. */
void mn_tally_destroy(mn_tally **tally);

/* Begin anew for n_tasks rows of n_columns, all of which will be added; n_threads will share the
 * work. The memory is used again where it suffices. MN_ERR_NOMEM: only mn_tally_begin and _destroy
 * may follow. */
mn_status mn_tally_begin(mn_tally *tally, mn_encoding encoding, uint32_t n_tasks, size_t n_columns,
                         uint32_t n_threads, mn_error *err);

/* MN_ENCODING_ROWS: the place of the row of task 0 .. n_tasks-1, [n_columns], to be written by any one
 * thread. */
float *mn_tally_row(mn_tally *tally, uint32_t task);
/* MN_ENCODING_EXACT: add rows, `stride` floats apart; whose they are leaves no trace. Any thread.
 */
void mn_tally_add(mn_tally *tally, uint32_t thread, uint32_t n_rows, const float *rows,
                  size_t stride);

/* The payload as the encoding says; 64-byte aligned; complete once all rows are in. */
const void *mn_tally_payload(const mn_tally *tally);
size_t mn_tally_payload_bytes(const mn_tally *tally);
