/* watchman.h: looks after the connections that come to a listening socket, by a thread of its own,
 * for whoever owns the socket may be busy for long, and libzmq bounds neither how many there are
 * nor what one sends: a message may have endlessly many frames, and a queue that is full
 * makes libzmq 4.3.4 abort the process if its peer goes away then (see docs/security.md). The monitor
 * tells the watchman each connection's descriptor, and the system what came by it. Who has too much
 * under way that nobody took is cut off; of too many connections the oldest that is no member's.
 * All calls but _new and _destroy take a lock for a moment. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stdint.h>

/* What one who is no member yet may have under way: HELLO and JOIN are some hundred bytes. All of
 * them together: MN_STRANGERS_BYTES. */
#define MN_STRANGER_BYTES (UINT64_C(64) << 10)
#define MN_STRANGERS_BYTES (UINT64_C(4) << 20)

/* Connections that may come at once, as when a run goes on and all its workers dial again, and how
 * many more a second: whoever makes and breaks them without end takes no time from those who work. Of
 * tcp:// alone. */
#define MN_NEWCOMERS 2048
#define MN_NEWCOMERS_PER_S 32
#define MN_NEWCOMERS_FINE 64 /* so many does one count that had to be cut off */

typedef struct mn_watchman mn_watchman;

/* Watch a socket that is bound to `endpoint` (tcp:// or ipc://; of ipc:// only the number is
 * bounded). most: connections at a time. member_bytes: what one member may have under way. */
mn_status mn_watchman_new(void *context, void *socket, const char *endpoint, uint32_t most,
                          uint64_t member_bytes, mn_watchman **out, mn_error *err);

/* Cut off all who are no members, and end. By the socket's owner, before it closes the socket. Does
 * nothing if it is NULL. */
void mn_watchman_destroy(mn_watchman **watchman);

/* For poll: readable when a connection was closed. */
int mn_watchman_fd(const mn_watchman *watchman);

/* The descriptor of a connection that was closed; it may be another's by now. -1: no more. */
int mn_watchman_next_closed(mn_watchman *watchman);

/* A message was taken from this connection: so much of what has come is no longer under way. */
void mn_watchman_took(mn_watchman *watchman, int fd, uint64_t bytes);

/* It is a member's. */
void mn_watchman_vouch(mn_watchman *watchman, int fd);

/* Close this connection; it is told as closed later. */
void mn_watchman_cut(mn_watchman *watchman, int fd);
