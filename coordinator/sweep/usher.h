/* usher.h: which worker serves which run of a sweep. Workers know one address, the sweep's door; the usher
 * sends each to the run that has the fewest threads for what it has left to do, for a turn; then it comes back
 * and is sent again, so a run that starves is served within a turn, and a worker that is gone is not counted for
 * long. A run that does not take a worker (REJECT, data that are missing) gets it no second time.
 * Books only: no socket, clock, thread or log. One thread owns an usher. */
#pragma once

#include "common/error.h"
#include "proto/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_USHER_MAX_WORKERS 4096u
#define MN_USHER_HOLD_MS 2000u      /* who waits hears from us so often */
#define MN_USHER_REST_US 1000000u   /* where a worker came back from before its turn was over */
#define MN_USHER_GRACE_US 10000000u /* beyond its turn, a worker is thought gone */

typedef struct mn_usher mn_usher;

/* Something to be said to a peer of the door. */
typedef struct mn_usher_word {
    uint64_t peer;
    mn_message message; /* VISIT, REJECT, FINISHED; owns nothing */
} mn_usher_word;

mn_status mn_usher_new(uint32_t n_runs, uint32_t turn_ms, mn_usher **out, mn_error *err);
void mn_usher_destroy(mn_usher **usher);

/* A run can be joined there (tcp:// or ipc://), and has threads of its own. */
void mn_usher_open(mn_usher *usher, uint32_t run, const char *endpoint, uint32_t threads);
/* What it has left to do, in any unit that is the same for all; 1 until it is told. */
void mn_usher_left(mn_usher *usher, uint32_t run, uint64_t left);
void mn_usher_close(mn_usher *usher, uint32_t run);
bool mn_usher_is_open(const mn_usher *usher, uint32_t run);

/* From a peer of the door, which may say anything. `reason` of a worker that is refused is told in the word
 * that follows. */
void mn_usher_hello(mn_usher *usher, uint64_t peer, const mn_hello *hello, uint64_t now_us);
/* Its connection is closed, or it said LEAVE. Who was sent away is gone from the door anyway. */
void mn_usher_gone(mn_usher *usher, uint64_t peer);

/* No run will open any more; with `resumes` the sweep only stops. All who come are told so. */
void mn_usher_end(mn_usher *usher, bool resumes);

/* The next word to be said at this time; false: none. */
bool mn_usher_take(mn_usher *usher, uint64_t now_us, mn_usher_word *out);
/* When to ask again though nothing happens; UINT64_MAX: no need. */
uint64_t mn_usher_wake_us(const mn_usher *usher, uint64_t now_us);

uint32_t mn_usher_n_waiting(const mn_usher *usher);
uint32_t mn_usher_n_away(const mn_usher *usher);                   /* at a run, for all we know */
uint32_t mn_usher_threads_at(const mn_usher *usher, uint32_t run); /* of workers sent there */
