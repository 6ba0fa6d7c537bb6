#include "coordinator/links/worker_link.h"

#include "common/digest.h"
#include "common/log.h"
#include "common/log_limit.h"
#include "coordinator/links/gatekeeper.h"
#include "coordinator/links/job.h"
#include "coordinator/links/watchman.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_CONTACTS (2 * MN_MAX_WORKERS) /* more than the core has places: it says who gets one */
#define N_BUCKETS 16384u                  /* a power of 2 */
#define NONE UINT32_MAX
/* A worker that works has a few leases and one theta under way. One that only talks and never reads
 * is gone when so many wait for it. */
#define MAX_QUEUED 256
#define AT_ONCE 256               /* of those cut off, so many words are passed over in one go */
#define RESERVED_DESCRIPTORS 128u /* for checkpoints, the page, MPI and libraries */
#define MIN_CONNECTIONS 16u       /* however few descriptors there are */
#define MOST_DESCRIPTORS (1 << 20)
/* Of a worker, results that may have come while we did something else: two leases are in its hands. */
#define MEMBER_PAYLOADS 3u
#define CALLS 4u

/* After a connection closed, at these times who had it is called, as it may be another's. */
static const uint64_t call_after_us[CALLS] = {2000, 50000, 1000000, 5000000};

/* A connection, in the list of its bucket or in the list of free ones. */
struct contact {
    mn_peer peer;
    uint64_t number; /* generation * MAX_CONTACTS + place in contacts; 0: free */
    uint64_t heard_us, words_us;
    uint32_t next;
    int fd;                 /* -1: not known */
    uint32_t words, thetas; /* that it may say yet; that it was sent since a result was accepted */
    bool member;            /* it was given work */
    bool lost;              /* what it says is passed over */
    bool told;              /* ... and _take has told it; else it stands in `lost` */
    bool suspect;           /* stands in `suspects` */
    uint32_t n_calls;       /* made since */
    uint64_t suspected_us;
};

struct mn_worker_link {
    void *socket;
    mn_watchman *watchman;
    mn_gatekeeper *keeper; /* NULL: no keys */
    mn_log_limit strangers;
    uint64_t max_payload_bytes;
    uint64_t generation; /* of the number given last; from 1 on */
    uint32_t n_lost, n_suspects;
    uint32_t lost[MAX_CONTACTS], suspects[MAX_CONTACTS]; /* places in contacts */
    uint32_t *by_fd; /* [n_fds] who spoke by it last, its place; or NONE; owned */
    size_t n_fds;
    uint64_t forgotten; /* a number to be told as lost; 0: none */
    mn_arrival waits;   /* ... before this, if its kind is not LOSS */
    uint32_t buckets[N_BUCKETS];
    struct contact contacts[MAX_CONTACTS];
};

static void deliver(mn_worker_link *link, struct contact *contact, const mn_message *message,
                    mn_payload *payload);
static bool is_local(const char *endpoint);
static void name_host(char endpoint[256]);
static void place_of(const char *listen, char place[256]);
static uint32_t most_connections(void);
static void hear_closed(mn_worker_link *link, uint64_t now_us);
static void suspect(mn_worker_link *link, struct contact *contact, uint64_t now_us);
static void call_suspects(mn_worker_link *link, uint64_t now_us);
static bool take_lost(mn_worker_link *link, mn_arrival *out);
static struct contact *meet(mn_worker_link *link, const mn_received *received, uint64_t now_us);
static void come_by(mn_worker_link *link, struct contact *contact, int fd, uint64_t now_us);
static bool may_speak(mn_worker_link *link, struct contact *contact, uint64_t now_us);
static void cut(mn_worker_link *link, struct contact *contact, uint64_t now_us, const char *why);
static struct contact *find(mn_worker_link *link, uint64_t number);
static void lose(mn_worker_link *link, struct contact *contact);
static void forget(mn_worker_link *link, struct contact *contact);
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
    link->waits.kind = MN_ARRIVED_LOSS;
    /* What comes by ipc:// cannot be measured, but its door is a file, with a file's permissions. */
    mn_wire_options options = {.linger_ms = 1000,
                               .max_queued = MAX_QUEUED,
                               .zap_domain = MN_GATEKEEPER_DOMAIN,
                               .watched = strncmp(place, "tcp://", 6) == 0};
    mn_status status = MN_OK;
    if (keys[0] != '\0')
        status = mn_gatekeeper_new(context, keys, &link->keeper, err);
    if (link->keeper != NULL)
        options.secret_key = mn_gatekeeper_secret_key(link->keeper);
    if (status == MN_OK)
        status = mn_wire_listen(context, place, &options, &link->socket, endpoint, err);
    if (link->keeper != NULL)
        mn_gatekeeper_forget_secret(link->keeper);
    if (status == MN_OK)
        status = mn_watchman_new(context, link->socket, endpoint, most_connections(),
                                 MEMBER_PAYLOADS * max_payload_bytes + MN_MAX_HEADER_BYTES,
                                 &link->watchman, err);
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
    mn_watchman_destroy(&(*link)->watchman);
    mn_wire_close(&(*link)->socket);
    mn_gatekeeper_destroy(&(*link)->keeper);
    if ((*link)->waits.kind == MN_ARRIVED_MESSAGE)
        mn_received_fini(&(*link)->waits.received);
    free((*link)->by_fd);
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
    items[1] = (zmq_pollitem_t){.fd = mn_watchman_fd(link->watchman), .events = ZMQ_POLLIN};
    items[2] =
        (zmq_pollitem_t){.socket = link->keeper != NULL ? mn_gatekeeper_socket(link->keeper) : NULL,
                         .fd = -1, /* none to wait for */
                         .events = ZMQ_POLLIN};
}

bool mn_worker_link_take(mn_worker_link *link, uint64_t now_us, mn_arrival *out)
{
    if (link->keeper != NULL)
        mn_gatekeeper_answer(link->keeper, now_us);
    hear_closed(link, now_us);
    call_suspects(link, now_us);
    if (take_lost(link, out))
        return true;
    if (link->waits.kind != MN_ARRIVED_LOSS) {
        *out = link->waits;
        link->waits.kind = MN_ARRIVED_LOSS;
        return true;
    }
    for (int passed_over = 0; passed_over < AT_ONCE; passed_over++) {
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
        mn_watchman_took(link->watchman, out->received.fd, out->received.wire_bytes);
        struct contact *contact = meet(link, &out->received, now_us);
        if (may_speak(link, contact, now_us)) {
            out->peer = contact->number;
            if (link->forgotten == 0)
                return true;
            link->waits = *out;
            return take_lost(link, out);
        }
        mn_received_fini(&out->received);
        if (take_lost(link, out))
            return true;
    }
    return false;
}

uint64_t mn_worker_link_wake_us(const mn_worker_link *link)
{
    if (link->n_lost > 0 || link->forgotten != 0 || link->waits.kind != MN_ARRIVED_LOSS)
        return 0;
    uint64_t wake = UINT64_MAX;
    for (uint32_t i = 0; i < link->n_suspects; i++) {
        const struct contact *contact = &link->contacts[link->suspects[i]];
        const uint64_t due = contact->suspected_us + call_after_us[contact->n_calls];
        wake = due < wake ? due : wake;
    }
    return wake;
}

void mn_worker_link_send(mn_worker_link *link, uint64_t peer, const mn_message *message,
                         mn_payload *payload)
{
    struct contact *contact = find(link, peer);
    if (contact == NULL || contact->lost)
        return; /* its loss has been told, or will be */
    if (message->kind == MN_MSG_LEASE || message->kind == MN_MSG_THETA) {
        contact->words = contact->words + 2 < MN_MOST_WORDS ? contact->words + 2 : MN_MOST_WORDS;
        if (!contact->member)
            mn_watchman_vouch(link->watchman, contact->fd);
        contact->member = true;
    }
    if (message->kind == MN_MSG_THETA && ++contact->thetas > MN_UNPROVED_THETAS) {
        cut(link, contact, contact->heard_us, "no result came of all theta that it was sent");
        return;
    }
    deliver(link, contact, message, payload);
}

void mn_worker_link_proved(mn_worker_link *link, uint64_t peer)
{
    struct contact *contact = find(link, peer);
    if (contact != NULL)
        contact->thetas = 0;
}

static void deliver(mn_worker_link *link, struct contact *contact, const mn_message *message,
                    mn_payload *payload)
{
    mn_error err;
    mn_status status = mn_wire_send(link->socket, &contact->peer, message, payload, &err);
    if (status == MN_OK)
        return;
    if (status != MN_ERR_UNAVAILABLE)
        cut(link, contact, contact->heard_us, err.message);
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

/* As many as can be remembered; but files need some of the descriptors too. */
static uint32_t most_connections(void)
{
    struct rlimit limit;
    const uint64_t most = MAX_CONTACTS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > most + RESERVED_DESCRIPTORS)
        return (uint32_t)most;
    return limit.rlim_cur > RESERVED_DESCRIPTORS + MIN_CONNECTIONS
               ? (uint32_t)limit.rlim_cur - RESERVED_DESCRIPTORS
               : MIN_CONNECTIONS;
}

/* A ROUTER does not say who left. The watchman says which descriptor did, but messages may still
 * come of a connection that is closed, and the next may have its descriptor already. So who spoke
 * by it is called, with a word that needs no answer: sending fails to those who are gone. */
static void hear_closed(mn_worker_link *link, uint64_t now_us)
{
    for (int fd; (fd = mn_watchman_next_closed(link->watchman)) >= 0;)
        if ((size_t)fd < link->n_fds && link->by_fd[fd] != NONE)
            suspect(link, &link->contacts[link->by_fd[fd]], now_us);
}

static void suspect(mn_worker_link *link, struct contact *contact, uint64_t now_us)
{
    if (contact->number == 0 || contact->lost)
        return;
    if (!contact->suspect)
        link->suspects[link->n_suspects++] = (uint32_t)(contact - link->contacts);
    contact->suspect = true;
    contact->suspected_us = now_us;
    contact->n_calls = 0;
}

static void call_suspects(mn_worker_link *link, uint64_t now_us)
{
    const mn_message pulse = {.kind = MN_MSG_PULSE};
    uint32_t kept = 0;
    for (uint32_t i = 0; i < link->n_suspects; i++) {
        struct contact *contact = &link->contacts[link->suspects[i]];
        if (!contact->lost && contact->suspected_us + call_after_us[contact->n_calls] <= now_us) {
            contact->n_calls++;
            deliver(link, contact, &pulse, NULL);
        }
        contact->suspect = !contact->lost && contact->n_calls < CALLS;
        if (contact->suspect)
            link->suspects[kept++] = link->suspects[i];
    }
    link->n_suspects = kept;
}

static bool take_lost(mn_worker_link *link, mn_arrival *out)
{
    if (link->forgotten != 0) {
        *out = (mn_arrival){.kind = MN_ARRIVED_LOSS, .peer = link->forgotten};
        link->forgotten = 0;
        return true;
    }
    if (link->n_lost == 0)
        return false;
    struct contact *contact = &link->contacts[link->lost[--link->n_lost]];
    *out = (mn_arrival){.kind = MN_ARRIVED_LOSS, .peer = contact->number};
    contact->told = true;
    return true;
}

static struct contact *meet(mn_worker_link *link, const mn_received *received, uint64_t now_us)
{
    const mn_peer *peer = &received->peer;
    uint32_t bucket = bucket_of(peer);
    for (uint32_t i = link->buckets[bucket]; i != NONE; i = link->contacts[i].next) {
        struct contact *contact = &link->contacts[i];
        if (contact->peer.n != peer->n || memcmp(contact->peer.bytes, peer->bytes, peer->n) != 0)
            continue;
        contact->heard_us = now_us;
        come_by(link, contact, received->fd, now_us);
        return contact;
    }
    struct contact *place = &link->contacts[0];
    for (uint32_t i = 0; i < MAX_CONTACTS && place->number != 0; i++) {
        struct contact *other = &link->contacts[i];
        const bool of_use = other->member && !other->lost,
                   was_of_use = place->member && !place->lost;
        if (other->number == 0 || was_of_use > of_use ||
            (was_of_use == of_use && other->heard_us < place->heard_us))
            place = other;
    }
    if (place->number != 0) {
        link->forgotten = place->told ? 0 : place->number;
        if (!place->lost)
            mn_watchman_cut(link->watchman, place->fd);
        forget(link, place);
    }
    *place = (struct contact){.peer = *peer,
                              .number = ++link->generation * MAX_CONTACTS +
                                        (uint64_t)(place - link->contacts),
                              .heard_us = now_us,
                              .words_us = now_us,
                              .words = MN_FIRST_WORDS,
                              .fd = -1,
                              .next = link->buckets[bucket]};
    link->buckets[bucket] = (uint32_t)(place - link->contacts);
    come_by(link, place, received->fd, now_us);
    return place;
}

/* Who spoke by the same descriptor before may be gone. */
static void come_by(mn_worker_link *link, struct contact *contact, int fd, uint64_t now_us)
{
    if (fd < 0 || fd >= MOST_DESCRIPTORS || contact->fd == fd)
        return;
    if ((size_t)fd >= link->n_fds) {
        const size_t n = 2 * (size_t)fd + 64;
        uint32_t *more = realloc(link->by_fd, n * sizeof *more);
        if (more == NULL)
            return; /* found by silence then */
        for (size_t i = link->n_fds; i < n; i++)
            more[i] = NONE;
        link->by_fd = more;
        link->n_fds = n;
    }
    if (link->by_fd[fd] != NONE)
        suspect(link, &link->contacts[link->by_fd[fd]], now_us);
    contact->fd = fd;
    link->by_fd[fd] = (uint32_t)(contact - link->contacts);
}

static bool may_speak(mn_worker_link *link, struct contact *contact, uint64_t now_us)
{
    if (contact->lost)
        return false;
    const uint64_t more = (now_us - contact->words_us) * MN_WORDS_PER_S / 1000000;
    if (more > 0) {
        contact->words_us = now_us;
        contact->words =
            more < MN_MOST_WORDS - contact->words ? contact->words + (uint32_t)more : MN_MOST_WORDS;
    }
    if (contact->words > 0) {
        contact->words--;
        return true;
    }
    cut(link, contact, now_us, "it says more than anybody who works");
    return false;
}

static void cut(mn_worker_link *link, struct contact *contact, uint64_t now_us, const char *why)
{
    mn_log_limited(&link->strangers, now_us, MN_LOG_WARN, "cut off peer %" PRIu64 ": %s",
                   contact->number, why);
    mn_watchman_cut(link->watchman, contact->fd);
    lose(link, contact);
}

static struct contact *find(mn_worker_link *link, uint64_t number)
{
    struct contact *contact = &link->contacts[number % MAX_CONTACTS];
    return number != 0 && contact->number == number ? contact : NULL;
}

/* What it has said still comes, so it is remembered, and passed over, until others need the place. */
static void lose(mn_worker_link *link, struct contact *contact)
{
    if (!contact->lost)
        link->lost[link->n_lost++] = (uint32_t)(contact - link->contacts);
    contact->lost = true;
}

static void forget(mn_worker_link *link, struct contact *contact)
{
    const uint32_t place = (uint32_t)(contact - link->contacts);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < link->n_lost; i++)
        if (link->lost[i] != place)
            link->lost[kept++] = link->lost[i];
    link->n_lost = kept;
    kept = 0;
    for (uint32_t i = 0; i < link->n_suspects && contact->suspect; i++)
        if (link->suspects[i] != place)
            link->suspects[kept++] = link->suspects[i];
    link->n_suspects = contact->suspect ? kept : link->n_suspects;
    if (contact->fd >= 0 && link->by_fd[contact->fd] == place)
        link->by_fd[contact->fd] = NONE;
    unlist(link, contact);
    *contact = (struct contact){.fd = -1};
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
