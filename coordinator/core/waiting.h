/* waiting.h: how long a round waited, and for whom. It waits while nothing is left to give out and half of
 * the threads or more have nothing in hand, or while nobody is there at all. Used by a rank for its members
 * and by the leader for the ranks. Bookkeeping only; in a round that flows it costs two comparisons an
 * event. */
#pragma once

#include "coordinator/core/actions.h"
#include <stdbool.h>
#include <stdint.h>

#define MN_WAIT_LEAST_US UINT64_C(100000) /* less is not worth a word ... */
#define MN_WAIT_LEAST_PART 4u             /* ... nor is less than this part of the round */

/* Begins zeroed; the times are those of the caller's clock. */
typedef struct mn_waiting {
    uint64_t opened_us; /* the round */
    uint64_t since_us;
    bool waits;
    uint64_t total_us, longest_us;
    uint32_t threads; /* that had nothing to do, at most */
    char blamed[MN_NOTE_NAME];
    char whom[MN_NOTE_NAME]; /* of the longest time; "": nobody was there */
} mn_waiting;

/* A round opens. */
void mn_waiting_open(mn_waiting *waiting, uint64_t now_us);

/* Whoever ends a wait, by its result or its end; call it before the look that finds the wait over. */
void mn_waiting_blame(mn_waiting *waiting, const char *name);

/* After each event: does the round wait from now on, so many threads with nothing in hand? */
void mn_waiting_look(mn_waiting *waiting, bool waits, uint64_t threads, uint64_t now_us);

/* The round is over. true: it waited long enough to tell; fills in who, threads and span_us. */
bool mn_waiting_close(mn_waiting *waiting, uint64_t now_us, mn_note *note);
