#include "proto/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

/* What comes in is bounded per peer, far above any credit: a peer that floods us fills its own
 * buffers. */
#define RECEIVE_HIGH_WATER 1024
#define BACKLOG 1024 /* a thousand workers dial at once when a coordinator comes back */
#define HANDSHAKE_MS 10000
#define RECONNECT_MS 100
#define RECONNECT_MAX_MS 2000
#define FRAME_OVERHEAD 48 /* of a frame on the wire, at most: 9 bytes, and 33 for CURVE */
#define ALIGNMENT 64

struct mn_payload {
    atomic_size_t users; /* the owner, and each of the frames until its memory is needed no more */
    void (*release)(void *user);
    void *user;
    void *copy; /* owned; NULL if the bytes are lent */
    size_t n;
    uint64_t checksum;
    size_t n_frames;
    zmq_msg_t frames[]; /* zmq_msg_copy of these is what leaves */
};

static mn_status new_socket(void *context, int type, const mn_wire_options *options, void **socket,
                            mn_error *err);
static mn_status set(void *socket, int option, const char *name, const void *value, size_t size,
                     mn_error *err);
static mn_status set_int(void *socket, int option, const char *name, int value, mn_error *err);
static mn_status set_server_keys(void *socket, const mn_wire_options *options, mn_error *err);
static mn_status set_client_keys(void *socket, const mn_wire_options *options, mn_error *err);
static mn_status check_place(const char *endpoint, char *place, size_t n, mn_error *err);
static bool needs_ipv6(const char *endpoint);
static void let_go(void *bytes, void *payload);
static int send_bytes(void *socket, const void *bytes, size_t n, int flags);
static bool take_frame(void *socket, zmq_msg_t *frame);
static bool more_frames(void *socket);
static void drain(void *socket, mn_received *out);
static mn_status take_header(void *socket, mn_received *out, mn_error *err);
static mn_status take_payload(void *socket, uint64_t max_bytes, mn_received *out, mn_error *err);

mn_status mn_wire_listen(void *context, const char *endpoint, const mn_wire_options *options,
                         void **socket, char real_endpoint[256], mn_error *err)
{
    void *made = NULL;
    char place[NI_MAXHOST + 16];
    mn_status status = check_place(endpoint, place, sizeof place, err);
    if (status == MN_OK)
        status = new_socket(context, ZMQ_ROUTER, options, &made, err);
    if (status == MN_OK)
        status = set_int(made, ZMQ_IPV6, "IPV6", strchr(place, '[') != NULL, err);
    if (status == MN_OK)
        status = set_int(made, ZMQ_ROUTER_MANDATORY, "ROUTER_MANDATORY", 1, err);
    if (status == MN_OK)
        status = set_int(made, ZMQ_BACKLOG, "BACKLOG", BACKLOG, err);
    if (status == MN_OK && options != NULL && options->secret_key != NULL)
        status = set_server_keys(made, options, err);
    if (status != MN_OK)
        goto failed;

    if (zmq_bind(made, place) != 0) {
        if (errno == EADDRINUSE)
            status = mn_fail(
                err, MN_ERR_UNAVAILABLE,
                "cannot listen at %s: another program does; stop it, or choose another port "
                "(\"*\" takes any free one)",
                endpoint);
        else if (errno == EADDRNOTAVAIL || errno == ENODEV)
            status = mn_fail(err, MN_ERR_UNAVAILABLE,
                             "cannot listen at %s: not an address of this machine; use one of "
                             "`ip address`, or \"*\" for all",
                             endpoint);
        else if (errno == EINVAL || errno == EPROTONOSUPPORT)
            status =
                mn_fail(err, MN_ERR_CONFIG,
                        "cannot listen at \"%s\": not an endpoint; expected tcp://ADDRESS:PORT, "
                        "as in tcp://127.0.0.1:*",
                        endpoint);
        else
            status = mn_fail_errno(err, "cannot listen at %s", endpoint);
        goto failed;
    }
    if (real_endpoint != NULL) {
        size_t size = 256;
        if (zmq_getsockopt(made, ZMQ_LAST_ENDPOINT, real_endpoint, &size) != 0) {
            status = mn_fail_errno(err, "endpoint of the socket bound to %s", endpoint);
            goto failed;
        }
    }
    *socket = made;
    return MN_OK;

failed:
    mn_wire_close(&made);
    return status;
}

mn_status mn_wire_dial(void *context, const char *endpoint, const mn_wire_options *options,
                       void **socket, mn_error *err)
{
    void *made = NULL;
    mn_status status = new_socket(context, ZMQ_DEALER, options, &made, err);
    if (status == MN_OK)
        status = set_int(made, ZMQ_RECONNECT_IVL, "RECONNECT_IVL", RECONNECT_MS, err);
    if (status == MN_OK)
        status = set_int(made, ZMQ_RECONNECT_IVL_MAX, "RECONNECT_IVL_MAX", RECONNECT_MAX_MS, err);
    if (status == MN_OK)
        status = set_int(made, ZMQ_IPV6, "IPV6", needs_ipv6(endpoint), err);
    if (status == MN_OK && options != NULL && options->identity != NULL)
        status = set(made, ZMQ_ROUTING_ID, "ROUTING_ID", options->identity,
                     strlen(options->identity), err);
    if (status == MN_OK && options != NULL && options->server_key != NULL)
        status = set_client_keys(made, options, err);
    if (status == MN_OK && options != NULL && options->watch != NULL)
        options->watch(options->user, made);
    if (status == MN_OK && zmq_connect(made, endpoint) != 0) {
        if (errno == EINVAL || errno == EPROTONOSUPPORT)
            status =
                mn_fail(err, MN_ERR_CONFIG,
                        "cannot dial \"%s\": not an endpoint; expected tcp://HOST:PORT", endpoint);
        else
            status = mn_fail_errno(err, "cannot dial %s", endpoint);
    }
    if (status != MN_OK) {
        mn_wire_close(&made);
        return status;
    }
    *socket = made;
    return MN_OK;
}

void mn_wire_close(void **socket)
{
    if (*socket != NULL)
        (void)zmq_close(*socket);
    *socket = NULL;
}

mn_status mn_wire_public_key(const char *secret_key, char public_key[MN_WIRE_KEY_CHARS + 1],
                             mn_error *err)
{
    if (strlen(secret_key) != MN_WIRE_KEY_CHARS || zmq_curve_public(public_key, secret_key) != 0)
        return mn_fail(err, MN_ERR_CONFIG, "not a CURVE key: expected %d characters of Z85",
                       MN_WIRE_KEY_CHARS);
    return MN_OK;
}

mn_status mn_payload_new(const void *bytes, size_t n, void (*release)(void *user), void *user,
                         mn_payload **out, mn_error *err)
{
    size_t n_frames = n / MN_FRAME_BYTES + (n % MN_FRAME_BYTES != 0);
    mn_payload *payload = calloc(1, sizeof *payload + n_frames * sizeof *payload->frames);
    if (payload == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "payload of %zu bytes", n);
    atomic_init(&payload->users, 1);
    payload->n = n;
    payload->checksum = mn_checksum(bytes, n);
    if (release == NULL) {
        payload->copy = malloc(n);
        if (payload->copy == NULL) {
            free(payload);
            return mn_fail(err, MN_ERR_NOMEM, "copy of %zu bytes", n);
        }
        bytes = memcpy(payload->copy, bytes, n);
    }

    /* libzmq wants the bytes unqualified, and only reads them. */
    char *at = (char *)(uintptr_t)bytes;
    for (; payload->n_frames < n_frames; payload->n_frames++) {
        size_t size = n < MN_FRAME_BYTES ? n : MN_FRAME_BYTES;
        atomic_fetch_add(&payload->users, 1);
        if (zmq_msg_init_data(&payload->frames[payload->n_frames], at, size, let_go, payload) !=
            0) {
            atomic_fetch_sub(&payload->users, 1);
            mn_payload_drop(&payload);
            return mn_fail(err, MN_ERR_NOMEM, "frame of %zu bytes", size);
        }
        at += size;
        n -= size;
    }
    payload->release = release;
    payload->user = user;
    *out = payload;
    return MN_OK;
}

void mn_payload_drop(mn_payload **payload)
{
    mn_payload *dropped = *payload;
    if (dropped == NULL)
        return;
    for (size_t i = 0; i < dropped->n_frames; i++)
        (void)zmq_msg_close(&dropped->frames[i]);
    let_go(NULL, dropped);
    *payload = NULL;
}

/* One user less; called from libzmq's threads too. */
static void let_go(void *bytes, void *user)
{
    (void)bytes;
    mn_payload *payload = user;
    if (atomic_fetch_sub(&payload->users, 1) != 1)
        return;
    if (payload->release != NULL)
        payload->release(payload->user);
    free(payload->copy);
    free(payload);
}

mn_status mn_wire_send(void *socket, const mn_peer *to, const mn_message *message,
                       mn_payload *payload, mn_error *err)
{
    mn_message complete = *message; /* shallow: what it owns stays the caller's */
    complete.payload_bytes = payload != NULL ? payload->n : 0;
    complete.payload_checksum = payload != NULL ? payload->checksum : 0;
    uint8_t *header = NULL;
    size_t n = 0;
    mn_status status = mn_message_pack(&complete, &header, &n, err);
    if (status != MN_OK)
        return status;

    size_t n_frames = payload != NULL ? payload->n_frames : 0;
    int rc = to != NULL ? send_bytes(socket, to->bytes, to->n, ZMQ_SNDMORE) : 0;
    if (rc == 0)
        rc = send_bytes(socket, header, n, n_frames > 0 ? ZMQ_SNDMORE : 0);
    free(header);
    for (size_t i = 0; i < n_frames && rc == 0; i++) {
        bool last = i + 1 == n_frames;
        zmq_msg_t frame;
        (void)zmq_msg_init(&frame);
        rc = zmq_msg_copy(&frame, &payload->frames[i]);
        if (rc == 0)
            rc = zmq_msg_send(&frame, socket, ZMQ_DONTWAIT | (last ? 0 : ZMQ_SNDMORE)) < 0 ? -1 : 0;
        int number = errno;
        if (rc != 0) {
            (void)zmq_msg_close(&frame);
            /* The connection broke within a message. libzmq drops the rest of it, up to its last
             * frame: if that is never said, the next message is swallowed instead. */
            if (!last)
                (void)send_bytes(socket, "", 0, 0);
        }
        errno = number;
    }
    if (rc == 0)
        return MN_OK;
    if (errno == EHOSTUNREACH)
        return mn_fail(err, MN_ERR_UNAVAILABLE, "%s not sent: the peer is gone",
                       mn_message_kind_text(message->kind));
    if (errno == EAGAIN)
        return mn_fail(err, MN_ERR_STATE,
                       "%s not sent: the peer's queue is full or its connection broke",
                       mn_message_kind_text(message->kind));
    return mn_fail_errno(err, "%s not sent", mn_message_kind_text(message->kind));
}

mn_status mn_wire_receive(void *socket, uint64_t max_payload_bytes, mn_received *out, mn_error *err)
{
    *out = (mn_received){.fd = -1};
    int type = 0;
    size_t size = sizeof type;
    if (zmq_getsockopt(socket, ZMQ_TYPE, &type, &size) != 0)
        return mn_fail_errno(err, "receiving");
    if (type == ZMQ_ROUTER) {
        zmq_msg_t identity;
        if (!take_frame(socket, &identity))
            goto nothing;
        size_t n = zmq_msg_size(&identity); /* libzmq allows 255 */
        out->peer.n = (uint8_t)(n <= sizeof out->peer.bytes ? n : 0);
        memcpy(out->peer.bytes, zmq_msg_data(&identity), out->peer.n);
        (void)zmq_msg_close(&identity);
        if (!more_frames(socket))
            return mn_fail(err, MN_ERR_PROTOCOL, "message without a header");
    }

    mn_status status = take_header(socket, out, err);
    if (status == MN_ERR_UNAVAILABLE)
        goto nothing;
    if (status == MN_OK)
        status = take_payload(socket, max_payload_bytes, out, err);
    drain(socket, out);
    if (status != MN_OK) {
        mn_message_fini(&out->message);
        memset(&out->message, 0, sizeof out->message);
    }
    return status;

nothing:
    if (errno == EAGAIN)
        return mn_fail(err, MN_ERR_UNAVAILABLE, "no message is waiting");
    return mn_fail_errno(err, "receiving");
}

void mn_received_fini(mn_received *received)
{
    mn_message_fini(&received->message);
    free(received->payload);
    received->payload = NULL;
}

/* ---- endpoints */

/* libzmq removes whatever lies at the path: another program's door, or a file. */
static mn_status check_door(const char *path, mn_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat info;
    if (path[0] == '@' || strcmp(path, "*") == 0) /* not in the file system; one that is new */
        return MN_OK;
    const size_t n = strlen(path);
    if (n >= sizeof address.sun_path)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "cannot listen at ipc://%s: the path has %zu characters, and Linux takes %zu; "
            "choose a shorter one",
            path, n, sizeof address.sun_path - 1);
    if (lstat(path, &info) != 0)
        return MN_OK;
    if (!S_ISSOCK(info.st_mode))
        return mn_fail(err, MN_ERR_CONFIG,
                       "cannot listen at ipc://%s: a file is there, which is no socket; choose "
                       "another path, or remove it",
                       path);
    memcpy(address.sun_path, path, n);
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool taken =
        probe >= 0 && connect(probe, (const struct sockaddr *)&address, sizeof address) == 0;
    if (probe >= 0)
        (void)close(probe);
    return taken ? mn_fail(err, MN_ERR_UNAVAILABLE,
                           "cannot listen at ipc://%s: another program does; stop it, or choose "
                           "another path",
                           path)
                 : MN_OK; /* left by one that has died */
}

/* The host of tcp://HOST:PORT as text; false for another kind of endpoint. *port: behind the colon. */
static bool split_tcp(const char *endpoint, char host[NI_MAXHOST], const char **port)
{
    static const char scheme[] = "tcp://";
    const char *colon = strrchr(endpoint, ':');
    const char *begin = endpoint + sizeof scheme - 1;
    if (strncmp(endpoint, scheme, sizeof scheme - 1) != 0 || colon < begin ||
        colon - begin >= NI_MAXHOST)
        return false;
    memcpy(host, begin, (size_t)(colon - begin));
    host[colon - begin] = '\0';
    *port = colon + 1;
    return true;
}

/* The host's first address of a family, as libzmq wants it. */
static bool look_up(const char *host, int family, char text[INET6_ADDRSTRLEN + 2])
{
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char digits[INET6_ADDRSTRLEN];
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return false;
    const bool told = getnameinfo(list->ai_addr, list->ai_addrlen, digits, sizeof digits, NULL, 0,
                                  NI_NUMERICHOST) == 0;
    if (told)
        (void)snprintf(text, INET6_ADDRSTRLEN + 2, family == AF_INET6 ? "[%s]" : "%s", digits);
    freeaddrinfo(list);
    return told;
}

/* What to bind: libzmq takes addresses and interfaces, but no names, and ports of any number. */
static mn_status check_place(const char *endpoint, char *place, size_t n, mn_error *err)
{
    char host[NI_MAXHOST];
    char address[INET6_ADDRSTRLEN + 2];
    const char *port = NULL;
    (void)snprintf(place, n, "%s", endpoint);
    if (strncmp(endpoint, "ipc://", 6) == 0)
        return check_door(endpoint + 6, err);
    if (!split_tcp(endpoint, host, &port))
        return MN_OK;
    if (strspn(port, "0123456789") == strlen(port) && strtoul(port, NULL, 10) > UINT16_MAX)
        return mn_fail(err, MN_ERR_CONFIG,
                       "cannot listen at %s: ports go up to %d, and several ranks take as many, "
                       "one after the other; \"*\" takes any free one",
                       endpoint, UINT16_MAX);
    const bool is_name = host[0] != '[' && strcmp(host, "*") != 0 && if_nametoindex(host) == 0;
    if (is_name && (look_up(host, AF_INET, address) || look_up(host, AF_INET6, address)))
        (void)snprintf(place, n, "tcp://%s:%s", address, port);
    return MN_OK;
}

/* Told to use IPv6, libzmq prefers it for names that have both, where most coordinators listen by
 * IPv4 alone. */
static bool needs_ipv6(const char *endpoint)
{
    char host[NI_MAXHOST];
    char address[INET6_ADDRSTRLEN + 2];
    const char *port = NULL;
    if (!split_tcp(endpoint, host, &port))
        return false;
    return host[0] == '[' || (!look_up(host, AF_INET, address) && look_up(host, AF_INET6, address));
}

/* ---- sockets */

static mn_status new_socket(void *context, int type, const mn_wire_options *options, void **socket,
                            mn_error *err)
{
    static const mn_wire_options defaults;
    const mn_wire_options *o = options != NULL ? options : &defaults;
    void *made = zmq_socket(context, type);
    if (made == NULL)
        return mn_fail_errno(err, "new ZeroMQ socket (open files: see `ulimit -n`)");

    const struct {
        int option;
        const char *name;
        uint32_t value;
    } table[] = {
        {ZMQ_LINGER, "LINGER", o->linger_ms != 0 ? o->linger_ms : 1000},
        {ZMQ_SNDHWM, "SNDHWM", o->max_queued},
        {ZMQ_RCVHWM, "RCVHWM", o->watched ? 0 : RECEIVE_HIGH_WATER},
        {ZMQ_HANDSHAKE_IVL, "HANDSHAKE_IVL", HANDSHAKE_MS},
        {ZMQ_HEARTBEAT_IVL, "HEARTBEAT_IVL", o->heartbeat_ms != 0 ? o->heartbeat_ms : 2000},
        {ZMQ_HEARTBEAT_TIMEOUT, "HEARTBEAT_TIMEOUT", o->silence_ms != 0 ? o->silence_ms : 10000},
    };
    mn_status status = MN_OK;
    for (size_t i = 0; i < sizeof table / sizeof *table && status == MN_OK; i++) {
        int value = table[i].value < INT32_MAX ? (int)table[i].value : INT32_MAX;
        status = set_int(made, table[i].option, table[i].name, value, err);
    }
    int64_t max_frame = MN_FRAME_BYTES > MN_MAX_HEADER_BYTES ? MN_FRAME_BYTES : MN_MAX_HEADER_BYTES;
    if (status == MN_OK)
        status = set(made, ZMQ_MAXMSGSIZE, "MAXMSGSIZE", &max_frame, sizeof max_frame, err);
    if (status != MN_OK) {
        mn_wire_close(&made);
        return status;
    }
    *socket = made;
    return MN_OK;
}

static mn_status set(void *socket, int option, const char *name, const void *value, size_t size,
                     mn_error *err)
{
    if (zmq_setsockopt(socket, option, value, size) == 0)
        return MN_OK;
    if (errno == EINVAL)
        return mn_fail(err, MN_ERR_CONFIG, "libzmq refuses this value for ZMQ_%s", name);
    return mn_fail_errno(err, "ZMQ_%s", name);
}

static mn_status set_int(void *socket, int option, const char *name, int value, mn_error *err)
{
    return set(socket, option, name, &value, sizeof value, err);
}

static mn_status set_key(void *socket, int option, const char *name, const char *key, mn_error *err)
{
    if (strlen(key) != MN_WIRE_KEY_CHARS ||
        zmq_setsockopt(socket, option, key, strlen(key) + 1) != 0)
        return mn_fail(err, MN_ERR_CONFIG, "%s is not a CURVE key: expected %d characters of Z85",
                       name, MN_WIRE_KEY_CHARS);
    return MN_OK;
}

static mn_status set_server_keys(void *socket, const mn_wire_options *options, mn_error *err)
{
    mn_status status =
        set_key(socket, ZMQ_CURVE_SECRETKEY, "the secret key", options->secret_key, err);
    if (status == MN_OK)
        status = set_int(socket, ZMQ_CURVE_SERVER, "CURVE_SERVER", 1, err);
    if (status == MN_OK && options->zap_domain != NULL)
        status = set(socket, ZMQ_ZAP_DOMAIN, "ZAP_DOMAIN", options->zap_domain,
                     strlen(options->zap_domain), err);
    return status;
}

static mn_status set_client_keys(void *socket, const mn_wire_options *options, mn_error *err)
{
    char public_key[MN_WIRE_KEY_CHARS + 1], new_secret[MN_WIRE_KEY_CHARS + 1] = "";
    const char *secret = options->secret_key;
    mn_status status = MN_OK;
    if (secret != NULL)
        status = mn_wire_public_key(secret, public_key, err);
    else if (zmq_curve_keypair(public_key, new_secret) != 0)
        status = mn_fail(err, MN_ERR_UNAVAILABLE, "this libzmq was built without CURVE");
    else
        secret = new_secret;
    if (status == MN_OK)
        status = set_key(socket, ZMQ_CURVE_PUBLICKEY, "the public key", public_key, err);
    if (status == MN_OK)
        status = set_key(socket, ZMQ_CURVE_SECRETKEY, "the secret key", secret, err);
    if (status == MN_OK)
        status = set_key(socket, ZMQ_CURVE_SERVERKEY, "the server's public key",
                         options->server_key, err);
    explicit_bzero(new_secret, sizeof new_secret);
    return status;
}

/* ---- frames. A message comes whole or not at all, so its further frames never keep us waiting. */

static int send_bytes(void *socket, const void *bytes, size_t n, int flags)
{
    return zmq_send(socket, bytes, n, ZMQ_DONTWAIT | flags) < 0 ? -1 : 0;
}

static bool take_frame(void *socket, zmq_msg_t *frame)
{
    (void)zmq_msg_init(frame);
    int rc;
    do
        rc = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc >= 0)
        return true;
    int number = errno;
    (void)zmq_msg_close(frame);
    errno = number;
    return false;
}

/* Has the message whose frame was taken last more of them? */
static bool more_frames(void *socket)
{
    int more = 0;
    size_t size = sizeof more;
    return zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more != 0;
}

/* Leave the rest of a message. */
static void drain(void *socket, mn_received *out)
{
    zmq_msg_t frame;
    while (more_frames(socket) && take_frame(socket, &frame)) {
        out->wire_bytes += zmq_msg_size(&frame) + FRAME_OVERHEAD;
        (void)zmq_msg_close(&frame);
    }
}

static mn_status take_header(void *socket, mn_received *out, mn_error *err)
{
    zmq_msg_t frame;
    if (!take_frame(socket, &frame))
        return errno == EAGAIN ? MN_ERR_UNAVAILABLE : mn_fail_errno(err, "receiving");
    out->fd = zmq_msg_get(&frame, ZMQ_SRCFD); /* the frame before it does not know */
    out->wire_bytes = zmq_msg_size(&frame) + FRAME_OVERHEAD;
    mn_status status =
        mn_message_unpack(zmq_msg_data(&frame), zmq_msg_size(&frame), &out->message, err);
    (void)zmq_msg_close(&frame);
    return status;
}

/* Copy one frame behind the `used` bytes of the payload that have come. */
static mn_status take_part(void *socket, char *payload, uint64_t *used, uint64_t n,
                           uint64_t *wire_bytes, mn_error *err)
{
    zmq_msg_t frame;
    if (!more_frames(socket))
        return mn_fail(err, MN_ERR_PROTOCOL, "payload ends after %" PRIu64 " of %" PRIu64 " bytes",
                       *used, n);
    if (!take_frame(socket, &frame))
        return mn_fail_errno(err, "receiving a payload");
    mn_status status = MN_OK;
    size_t size = zmq_msg_size(&frame);
    if (size == 0 || size > MN_FRAME_BYTES || size > n - *used)
        status = mn_fail(err, MN_ERR_PROTOCOL,
                         "frame of %zu bytes in a payload of %" PRIu64 ", of which %" PRIu64
                         " have come",
                         size, n, *used);
    else
        memcpy(payload + *used, zmq_msg_data(&frame), size);
    if (status == MN_OK)
        *used += size;
    *wire_bytes += size + FRAME_OVERHEAD;
    (void)zmq_msg_close(&frame);
    return status;
}

static mn_status take_payload(void *socket, uint64_t max_bytes, mn_received *out, mn_error *err)
{
    const char *kind = mn_message_kind_text(out->message.kind);
    uint64_t n = out->message.payload_bytes, used = 0;
    if (n > max_bytes)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "%s with a payload of %" PRIu64 " bytes; here at most %" PRIu64
                       " make sense",
                       kind, n, max_bytes);
    char *payload = NULL;
    mn_status status = MN_OK;
    if (n > 0) {
        payload = aligned_alloc(ALIGNMENT, ((size_t)n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        if (payload == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "payload of %" PRIu64 " bytes", n);
    }
    while (used < n && status == MN_OK)
        status = take_part(socket, payload, &used, n, &out->wire_bytes, err);
    if (status == MN_OK && more_frames(socket))
        status = mn_fail(err, MN_ERR_PROTOCOL, "%s has frames behind its payload", kind);
    if (status == MN_OK && n > 0 && mn_checksum(payload, n) != out->message.payload_checksum)
        status = mn_fail(err, MN_ERR_PROTOCOL, "%s was damaged on its way: wrong checksum", kind);
    if (status != MN_OK) {
        free(payload);
        return status;
    }
    out->payload = payload;
    return MN_OK;
}
