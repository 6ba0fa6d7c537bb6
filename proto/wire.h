/* wire.h: whole messages over ZeroMQ, and the socket options that both programs use.
 * On the wire a message is [identity, listening side only][header][payload frames of at most
 * MN_FRAME_BYTES]. The listening side is a ROUTER, the dialing side a DEALER. No call blocks.
 * Whatever arrives is checked: frame sizes by libzmq before memory is taken for them, the header by
 * mn_message_unpack, the payload's size against the receiver's limit before memory is taken for it,
 * then its checksum. What libzmq 4.3 does not bound is how many frames a message has, which it keeps
 * until the last: a listening side that strangers can reach needs somebody who looks after that
 * (coordinator/links/watchman.h). A socket belongs to one thread. */
#pragma once

#include "common/error.h"
#include "proto/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_WIRE_KEY_CHARS 40 /* of a CURVE key as Z85 text */

/* Zero or NULL in a field: the default. */
typedef struct mn_wire_options {
    uint32_t heartbeat_ms; /* ZMTP pings, 2000: find broken connections, not hung programs */
    uint32_t silence_ms;   /* 10000: no traffic for so long: the connection is closed */
    uint32_t linger_ms;    /* 1000: how long closing waits for what is still queued */
    uint32_t max_queued;   /* messages that may wait to be sent to one peer; 0: any number */
    bool watched; /* listening: somebody bounds what peers send, so libzmq need not; when its
                               queue of what has come is full, it aborts if the peer goes away */
    const char *secret_key; /* ours, Z85. Listening: no key, no encryption. Dialing: a new pair */
    const char *server_key; /* dialing: the listening side's public key; none: no encryption */
    const char
        *zap_domain;      /* listening with keys: the context's ZAP handler says who may come in */
    const char *identity; /* dialing: 1 to 255 characters by which the ROUTER knows us; default:
                               its choice */
    /* Dialing: called before the socket connects, so that a monitor misses nothing. */
    void (*watch)(void *user, void *socket);
    void *user;
} mn_wire_options;

/* Who sent a message, as the ROUTER names its peers. */
typedef struct mn_peer {
    uint8_t n;
    uint8_t bytes[255];
} mn_peer;

/* Listen at "tcp://127.0.0.1:*", "tcp://0.0.0.0:5555", "ipc://path" or "inproc://name".
 * real_endpoint, if not NULL, tells where in fact (the port chosen). *socket is the caller's:
 * mn_wire_close. MN_ERR_UNAVAILABLE: the address is in use or not of this machine. MN_ERR_CONFIG:
 * not an endpoint or not a key. */
mn_status mn_wire_listen(void *context, const char *endpoint, const mn_wire_options *options,
                         void **socket, char real_endpoint[256], mn_error *err);

/* Dial. Success only means that libzmq tries from now on, again and again; what is sent meanwhile
 * waits. */
mn_status mn_wire_dial(void *context, const char *endpoint, const mn_wire_options *options,
                       void **socket, mn_error *err);

/* Does nothing if *socket is NULL. */
void mn_wire_close(void **socket);

/* The public key of a secret one (Z85). MN_ERR_CONFIG: not a key. */
mn_status mn_wire_public_key(const char *secret_key, char public_key[MN_WIRE_KEY_CHARS + 1],
                             mn_error *err);

/* Bytes to be sent behind a header, to any number of peers without a copy. They must not change. */
typedef struct mn_payload mn_payload;

/* With `release` the n > 0 bytes are lent until release(user) is called, exactly once and from any
 * thread: after mn_payload_drop and when the last frame has left. Destroying the context makes all
 * of them leave. Without it, the bytes are copied. On failure release is not called. */
mn_status mn_payload_new(const void *bytes, size_t n, void (*release)(void *user), void *user,
                         mn_payload **out, mn_error *err);
/* The owner needs it no more; messages under way do. Does nothing if *payload is NULL. */
void mn_payload_drop(mn_payload **payload);

/* Send a message: `to` on the listening side, NULL on the dialing side; `payload` may be NULL. The
 * message's own payload_bytes and payload_checksum are not read: they are the payload's. Sent does
 * not mean delivered. MN_ERR_UNAVAILABLE: the peer is gone. MN_ERR_STATE: its queue is full.
 * Nothing was sent in these cases. Else as mn_message_pack. */
mn_status mn_wire_send(void *socket, const mn_peer *to, const mn_message *message,
                       mn_payload *payload, mn_error *err);

typedef struct mn_received {
    mn_peer peer; /* listening side; else n is 0 */
    mn_message message;
    void *payload; /* [message.payload_bytes], 64-byte aligned, checksum verified; NULL if none;
                      owned */
    int fd;        /* of the connection it came by; -1: not known, or not tcp:// or ipc:// */
    uint64_t wire_bytes; /* what it had on the wire, about */
} mn_received;

/* Take the next message. MN_ERR_UNAVAILABLE: none is waiting. MN_ERR_PROTOCOL: one came, from
 * out->peer, that makes no sense or has a payload of more than max_payload_bytes; it is gone, and
 * the socket is fit for the next. After MN_OK call mn_received_fini; after a failure there is
 * nothing to free. peer, fd and wire_bytes are told of both. */
mn_status mn_wire_receive(void *socket, uint64_t max_payload_bytes, mn_received *out,
                          mn_error *err);
/* Takes a zeroed struct too, so the payload may be stolen by setting it to NULL before. */
void mn_received_fini(mn_received *received);
