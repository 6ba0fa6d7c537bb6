/* worker_link.h: the open door for remote workers: who they are by number, what comes from them,
 * and who is gone. Every connection gets a number that is never given to another, so that the core
 * can speak of it. All that arrives has been checked as far as that is possible without knowing the
 * round. One thread. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "proto/message.h"
#include "proto/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

/* Workers at a time. Twice as many connections are remembered; beyond it the one silent for longest
 * that has no work is forgotten. */
#define MN_MAX_WORKERS 4096u
#define MN_WORKER_LINK_SOCKETS 3

/* What a peer may say: so many messages at once when it has come, later so many more a second, and
 * two for each LEASE and THETA that it was sent. Nobody who works comes near it; whoever says more is
 * cut off. And so many THETAs it gets of which no result came: more would only wait for it. */
#define MN_FIRST_WORDS 32u
#define MN_WORDS_PER_S 20u
#define MN_MOST_WORDS 256u
#define MN_UNPROVED_THETAS 16u

typedef struct mn_worker_link mn_worker_link;

typedef enum mn_arrival_kind {
    MN_ARRIVED_MESSAGE, /* peer, received */
    MN_ARRIVED_DAMAGE,  /* peer, why */
    MN_ARRIVED_LOSS,    /* peer: its connection is closed, or it was forgotten for others */
} mn_arrival_kind;

typedef struct mn_arrival {
    mn_arrival_kind kind;
    uint64_t peer;
    mn_received received; /* MESSAGE; to be freed with mn_received_fini */
    mn_error why;
} mn_arrival;

/* Listen at `listen`. With `keys`, a folder (gatekeeper.h), all is encrypted and only workers of
 * its allow-list come in. With "", addresses beyond this machine are refused unless `insecure`:
 * MN_ERR_CONFIG.
 * max_payload_bytes: of one message. endpoint: where in fact, for others to dial. */
mn_status mn_worker_link_new(void *context, const char *listen, const char *keys, bool insecure,
                             uint64_t max_payload_bytes, mn_worker_link **out, char endpoint[256],
                             mn_error *err);
void mn_worker_link_destroy(mn_worker_link **link);

/* Our public key (Z85), which workers need to know; NULL: no keys. */
const char *mn_worker_link_key(const mn_worker_link *link);

/* Fill what zmq_poll is to wait for. */
void mn_worker_link_poll_items(const mn_worker_link *link,
                               zmq_pollitem_t items[MN_WORKER_LINK_SOCKETS]);

/* The next thing that happened; false: nothing more. */
bool mn_worker_link_take(mn_worker_link *link, uint64_t now_us, mn_arrival *out);

/* When to call mn_worker_link_take again even if nothing is readable; UINT64_MAX: no need. */
uint64_t mn_worker_link_wake_us(const mn_worker_link *link);

/* Send; a peer that cannot be reached will come out of _take as a LOSS. Other failures are logged.
 */
void mn_worker_link_send(mn_worker_link *link, uint64_t peer, const mn_message *message,
                         mn_payload *payload);

/* A result of this peer was accepted. */
void mn_worker_link_proved(mn_worker_link *link, uint64_t peer);
