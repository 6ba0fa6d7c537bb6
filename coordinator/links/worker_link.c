#include "coordinator/links/worker_link.h"

#include "common/digest.h"
#include "common/log.h"
#include "common/log_limit.h"
#include "coordinator/links/gatekeeper.h"
#include "coordinator/links/job.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_BUCKETS 8192u /* a power of 2 */
#define NONE UINT32_MAX
/* A worker that works has a few leases and one theta under way. One that only talks and never reads
 * is gone when so many wait for it. */
#define MAX_QUEUED 256
#define CALLS                                                                                      \
    3u /* after a connection closed, at these times all are called once, to learn whose it was */

static const uint64_t call_after_us[CALLS] = {2000, 50000, 1000000};

/* A connection, in the list of its bucket or in the list of free ones. */
struct contact {
    mn_peer peer;
    uint64_t number; /* generation * MN_MAX_WORKERS + place in contacts; 0: free */
    uint64_t heard_us;
    uint32_t next;
    bool lost; /* to be told by _take */
};

struct mn_worker_link {
    void *socket, *monitor;
    mn_gatekeeper *keeper; /* NULL: no keys */
    mn_log_limit strangers;
    uint64_t max_payload_bytes;
    uint64_t generation;   /* of the number given last; from 1 on */
    uint64_t calls[CALLS]; /* when to call all; UINT64_MAX: not */
    uint32_t n_lost;
    uint32_t buckets[N_BUCKETS];
    struct contact contacts[MN_MAX_WORKERS];
};

static bool is_local(const char *endpoint);
static void name_host(char endpoint[256]);
static void place_of(const char *listen, char place[256]);
static mn_status watch(mn_worker_link *link, void *context, mn_error *err);
static void read_monitor(mn_worker_link *link, uint64_t now_us);
static void call_all(mn_worker_link *link, uint64_t now_us);
static bool take_lost(mn_worker_link *link, mn_arrival *out);
static struct contact *meet(mn_worker_link *link, const mn_peer *peer, uint64_t now_us);
static struct contact *find(mn_worker_link *link, uint64_t number);
static void lose(mn_worker_link *link, struct contact *contact);
static void unlist(mn_worker_link *link, struct contact *contact);
static uint32_t bucket_of(const mn_peer *peer);

mn_status mn_worker_link_new(void *context, const char *listen, const char *keys, bool insecure,
                             uint64_t max_payload_bytes, mn_worker_link **out, char endpoint[256],
                             mn_error *err)
{
    if (!is_local(listen) && keys[0] == '\0' && !insecure)
        return mn_fail(err, MN_ERR_CONFIG,
                       "pool.listen: %s is open to other machines, and whoever reaches it can take "
                       "part and read along. Make keys with `mnemo keys new` and set "
                       "pool.keys=keys; or listen on 127.0.0.1; or, in a network that only you "
                       "use, set pool.insecure=true",
                       listen);
    mn_worker_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "link to %u workers", MN_MAX_WORKERS);
    char place[256];
    place_of(listen, place);
    link->max_payload_bytes = max_payload_bytes;
    for (uint32_t i = 0; i < N_BUCKETS; i++)
        link->buckets[i] = NONE;
    for (uint32_t i = 0; i < CALLS; i++)
        link->calls[i] = UINT64_MAX;
    mn_wire_options options = {
        .linger_ms = 1000, .max_queued = MAX_QUEUED, .zap_domain = MN_GATEKEEPER_DOMAIN};
    mn_status status = MN_OK;
    if (keys[0] != '\0')
        status = mn_gatekeeper_new(context, keys, &link->keeper, err);
    if (link->keeper != NULL)
        options.secret_key = mn_gatekeeper_secret_key(link->keeper);
    if (status == MN_OK)
        status = mn_wire_listen(context, place, &options, &link->socket, endpoint, err);
    if (status == MN_OK)
        status = watch(link, context, err);
    if (status == MN_OK)
        name_host(endpoint);
    if (status != MN_OK) {
        mn_worker_link_destroy(&link);
        return status;
    }
    *out = link;
    return MN_OK;
}

void mn_worker_link_destroy(mn_worker_link **link)
{
    if (*link == NULL)
        return;
    if ((*link)->monitor != NULL) {
        (void)zmq_socket_monitor((*link)->socket, NULL, 0);
        (void)zmq_close((*link)->monitor);
    }
    mn_wire_close(&(*link)->socket);
    mn_gatekeeper_destroy(&(*link)->keeper);
    free(*link);
    *link = NULL;
}

const char *mn_worker_link_key(const mn_worker_link *link)
{
    return link->keeper != NULL ? mn_gatekeeper_public_key(link->keeper) : NULL;
}

void mn_worker_link_poll_items(const mn_worker_link *link,
                               zmq_pollitem_t items[MN_WORKER_LINK_SOCKETS])
{
    items[0] = (zmq_pollitem_t){.socket = link->socket, .events = ZMQ_POLLIN};
    items[1] = (zmq_pollitem_t){.socket = link->monitor, .events = ZMQ_POLLIN};
    items[2] =
        (zmq_pollitem_t){.socket = link->keeper != NULL ? mn_gatekeeper_socket(link->keeper) : NULL,
                         .fd = -1, /* none to wait for */
                         .events = ZMQ_POLLIN};
}

bool mn_worker_link_take(mn_worker_link *link, uint64_t now_us, mn_arrival *out)
{
    if (link->keeper != NULL)
        mn_gatekeeper_answer(link->keeper, now_us);
    read_monitor(link, now_us);
    call_all(link, now_us);
    if (link->n_lost > 0 && take_lost(link, out))
        return true;
    *out = (mn_arrival){.kind = MN_ARRIVED_MESSAGE};
    mn_status status =
        mn_wire_receive(link->socket, link->max_payload_bytes, &out->received, &out->why);
    if (status == MN_ERR_UNAVAILABLE)
        return false;
    if (status != MN_OK && status != MN_ERR_PROTOCOL) {
        mn_log(MN_LOG_ERROR, "receive from workers: %s", out->why.message);
        return false;
    }
    if (status == MN_ERR_PROTOCOL)
        out->kind = MN_ARRIVED_DAMAGE;
    out->peer = meet(link, &out->received.peer, now_us)->number;
    return true;
}

uint64_t mn_worker_link_wake_us(const mn_worker_link *link)
{
    uint64_t wake = link->n_lost > 0 ? 0 : UINT64_MAX;
    for (uint32_t i = 0; i < CALLS; i++)
        wake = link->calls[i] < wake ? link->calls[i] : wake;
    return wake;
}

void mn_worker_link_send(mn_worker_link *link, uint64_t peer, const mn_message *message,
                         mn_payload *payload)
{
    mn_error err;
    struct contact *contact = find(link, peer);
    if (contact == NULL || contact->lost)
        return; /* its loss has been told, or will be */
    mn_status status = mn_wire_send(link->socket, &contact->peer, message, payload, &err);
    if (status == MN_OK)
        return;
    if (status != MN_ERR_UNAVAILABLE)
        mn_log_limited(&link->strangers, contact->heard_us, MN_LOG_WARN,
                       "%s to worker %" PRIu64 " was not sent: %s",
                       mn_message_kind_text(message->kind), peer, err.message);
    lose(link, contact);
}

static bool is_local(const char *endpoint)
{
    static const char *const local[] = {"tcp://127.", "tcp://localhost:", "tcp://[::1]:", "ipc://",
                                        "inproc://"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (strncmp(endpoint, local[i], strlen(local[i])) == 0)
            return true;
    return false;
}

/* Nobody can dial "every address": say one of ours instead. Nor is a path that begins here the same
 * from elsewhere. */
static void name_host(char endpoint[256])
{
    char place[PATH_MAX];
    char real[PATH_MAX + 8];
    const bool everywhere =
        strncmp(endpoint, "tcp://0.0.0.0:", 14) == 0 || strncmp(endpoint, "tcp://[::]:", 11) == 0;
    int n = 0;
    if (everywhere && mn_job_address(place, NULL) == MN_OK &&
        (place[0] != '[' || endpoint[6] == '[')) /* 0.0.0.0 is every address of IPv4 alone */
        n = snprintf(real, sizeof real, "tcp://%s%s", place, strrchr(endpoint, ':'));
    else if (strncmp(endpoint, "ipc://", 6) == 0 && strchr("/@", endpoint[6]) == NULL &&
             getcwd(place, sizeof place) != NULL)
        n = snprintf(real, sizeof real, "ipc://%s/%s", place, endpoint + 6);
    if (n > 0 && n < 256)
        memcpy(endpoint, real, (size_t)n + 1);
}

/* To libzmq "every address" is every one of IPv4, of which a machine may have none. */
static void place_of(const char *listen, char place[256])
{
    static const char everywhere[] = "tcp://*:";
    const size_t n = sizeof everywhere - 1;
    char host[MN_ADDRESS_CHARS];
    const bool six = strncmp(listen, everywhere, n) == 0 && mn_job_address(host, NULL) == MN_OK &&
                     host[0] == '[';
    (void)snprintf(place, 256, "%s%s", six ? "tcp://[::]:" : "", six ? listen + n : listen);
}

/* A ROUTER does not say who left. Its monitor says that somebody did. */
static mn_status watch(mn_worker_link *link, void *context, mn_error *err)
{
    char name[64];
    const int no_linger = 0;
    (void)snprintf(name, sizeof name, "inproc://worker_link.%p", (void *)link);
    if (zmq_socket_monitor(link->socket, name,
                           ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_ACCEPT_FAILED) != 0)
        return mn_fail_errno(err, "watch the workers' connections");
    link->monitor = zmq_socket(context, ZMQ_PAIR);
    if (link->monitor == NULL ||
        zmq_setsockopt(link->monitor, ZMQ_LINGER, &no_linger, sizeof no_linger) != 0 ||
        zmq_connect(link->monitor, name) != 0)
        return mn_fail_errno(err, "watch the workers' connections");
    return MN_OK;
}

static void read_monitor(mn_worker_link *link, uint64_t now_us)
{
    struct __attribute__((packed)) {
        uint16_t event;
        int32_t value;
    } news;
    char where[256];
    while (zmq_recv(link->monitor, &news, sizeof news, ZMQ_DONTWAIT) == (int)sizeof news) {
        int n = zmq_recv(link->monitor, where, sizeof where - 1, ZMQ_DONTWAIT);
        where[n < 0 ? 0 : n < (int)sizeof where ? n : (int)sizeof where - 1] = '\0';
        switch (news.event) {
        case ZMQ_EVENT_DISCONNECTED:
            for (uint32_t i = 0; i < CALLS; i++)
                link->calls[i] = now_us + call_after_us[i];
            break;
        case ZMQ_EVENT_ACCEPT_FAILED:
            mn_log_limited(&link->strangers, now_us, MN_LOG_WARN,
                           "a connection to %s was not accepted: %s (limit of open files?)", where,
                           strerror(news.value));
            break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: /* the gatekeeper has said more */
            break;
        default:
            mn_log_limited(&link->strangers, now_us, MN_LOG_WARN,
                           "refused somebody who came to %s and %s", where,
                           link->keeper == NULL ? "does not speak our protocol"
                                                : "has no key, or not that of this run");
        }
    }
}

/* Call everybody with a word that needs no answer; sending fails for those who are gone. */
static void call_all(mn_worker_link *link, uint64_t now_us)
{
    const mn_message pulse = {.kind = MN_MSG_PULSE};
    bool due = false;
    for (uint32_t i = 0; i < CALLS; i++)
        if (link->calls[i] <= now_us) {
            link->calls[i] = UINT64_MAX;
            due = true;
        }
    for (uint32_t i = 0; due && i < MN_MAX_WORKERS; i++)
        if (link->contacts[i].number != 0)
            mn_worker_link_send(link, link->contacts[i].number, &pulse, NULL);
}

static bool take_lost(mn_worker_link *link, mn_arrival *out)
{
    for (uint32_t i = 0; i < MN_MAX_WORKERS; i++) {
        struct contact *contact = &link->contacts[i];
        if (contact->number == 0 || !contact->lost)
            continue;
        *out = (mn_arrival){.kind = MN_ARRIVED_LOSS, .peer = contact->number};
        unlist(link, contact);
        *contact = (struct contact){0};
        link->n_lost--;
        return true;
    }
    return false;
}

static struct contact *meet(mn_worker_link *link, const mn_peer *peer, uint64_t now_us)
{
    uint32_t bucket = bucket_of(peer);
    for (uint32_t i = link->buckets[bucket]; i != NONE; i = link->contacts[i].next) {
        struct contact *contact = &link->contacts[i];
        if (contact->peer.n != peer->n || memcmp(contact->peer.bytes, peer->bytes, peer->n) != 0)
            continue;
        contact->heard_us = now_us;
        if (contact->lost) { /* it is back before its loss was told */
            contact->lost = false;
            link->n_lost--;
        }
        return contact;
    }
    struct contact *place = &link->contacts[0];
    for (uint32_t i = 0; i < MN_MAX_WORKERS && place->number != 0; i++)
        if (link->contacts[i].number == 0 || link->contacts[i].heard_us < place->heard_us)
            place = &link->contacts[i];
    if (place->number != 0)
        unlist(link, place); /* the core learns of it by its silence */
    if (place->lost)
        link->n_lost--;
    *place = (struct contact){.peer = *peer,
                              .number = ++link->generation * MN_MAX_WORKERS +
                                        (uint64_t)(place - link->contacts),
                              .heard_us = now_us,
                              .next = link->buckets[bucket]};
    link->buckets[bucket] = (uint32_t)(place - link->contacts);
    return place;
}

static struct contact *find(mn_worker_link *link, uint64_t number)
{
    struct contact *contact = &link->contacts[number % MN_MAX_WORKERS];
    return number != 0 && contact->number == number ? contact : NULL;
}

static void lose(mn_worker_link *link, struct contact *contact)
{
    contact->lost = true;
    link->n_lost++;
}

static void unlist(mn_worker_link *link, struct contact *contact)
{
    uint32_t self = (uint32_t)(contact - link->contacts);
    uint32_t *at = &link->buckets[bucket_of(&contact->peer)];
    while (*at != self)
        at = &link->contacts[*at].next;
    *at = contact->next;
}

static uint32_t bucket_of(const mn_peer *peer)
{
    return (uint32_t)mn_checksum(peer->bytes, peer->n) & (N_BUCKETS - 1);
}
