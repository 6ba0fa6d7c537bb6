/* gatekeeper.h: lets only those in whose key is on the allow-list. libzmq asks it about each
 * connection after the handshake has proved that the peer owns its key, over a socket of the
 * context (ZAP, rfc.zeromq.org/spec/27), and keeps the peer waiting for the answer. One in a
 * context, made before the socket that it guards and destroyed after it. One thread.
 * The keys are a folder as `mnemo keys new` makes it:
 *   server.secret   the coordinators' key      workers.allow   public keys of those let in */
#pragma once

#include "common/error.h"
#include "proto/wire.h"
#include <stdint.h>

#define MN_KEYS_SERVER "server"
#define MN_KEYS_ALLOW "workers.allow"

/* Guarded sockets have this ZAP domain (wire.h). Others of the context are none of its business. */
#define MN_GATEKEEPER_DOMAIN "mnemo.workers"

typedef struct mn_gatekeeper mn_gatekeeper;

/* Take the keys of a folder and stand ready. Errors are those of the files. */
mn_status mn_gatekeeper_new(void *context, const char *folder, mn_gatekeeper **out, mn_error *err);
/* Does nothing if it is NULL. */
void mn_gatekeeper_destroy(mn_gatekeeper **keeper);

/* The coordinators' keys, Z85. Once the socket has the secret one, nobody needs it here. */
const char *mn_gatekeeper_secret_key(const mn_gatekeeper *keeper);
void mn_gatekeeper_forget_secret(mn_gatekeeper *keeper);
const char *mn_gatekeeper_public_key(const mn_gatekeeper *keeper);

/* For zmq_poll: readable when somebody waits at the door. */
void *mn_gatekeeper_socket(const mn_gatekeeper *keeper);

/* Answer for all who wait. Whom it refuses it logs, with address and key. */
void mn_gatekeeper_answer(mn_gatekeeper *keeper, uint64_t now_us);
