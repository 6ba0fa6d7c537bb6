/* event_streams.h: the readers of a run's events, and what they are told: each gets all of the newest
 * snapshot at first and then what has changed, made once for all; one that is slow misses what lies
 * between. Of the page's thread alone, in which their connections live. */
#pragma once

#include "common/error.h"
#include "coordinator/page/guests.h"
#include "coordinator/run/board.h"
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#define MN_PAGE_STREAMS 24u /* at a time */

typedef struct mn_event_streams mn_event_streams;

/* `run` is lent for its life. */
mn_status mn_event_streams_new(const mn_board_config *run, mn_event_streams **out, mn_error *err);
/* No stream may be open any more. Takes NULL. */
void mn_event_streams_destroy(mn_event_streams **streams);

/* The newest snapshot changes hands; NULL, or one that is there already, changes nothing. */
void mn_event_streams_take(mn_event_streams *streams, const mn_snapshot *newest);
/* The newest one, lent until the next is taken; NULL: there is none yet. */
const mn_snapshot *mn_event_streams_now(const mn_event_streams *streams);

bool mn_event_streams_full(const mn_event_streams *streams);
/* The answer to a new reader, who is lent as long as it stays. NULL: no memory. */
struct MHD_Response *mn_event_streams_open(mn_event_streams *streams,
                                           struct MHD_Connection *connection, mn_guest *guest);

/* Those that there is something to say to, or that have been quiet for long, go on; or all of them. */
void mn_event_streams_wake(mn_event_streams *streams, bool all);
/* Have all readers got the last snapshot of all? */
bool mn_event_streams_know_the_end(const mn_event_streams *streams);
/* Let all end, whatever they know. */
void mn_event_streams_end(mn_event_streams *streams);
