#include "coordinator/links/rank_link.h"

#include "proto/wire.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* A rank that is stopped for long (a debugger, a loaded machine) is still a rank: MPI decides who
 * is dead. */
#define PATIENCE_MS 3600000u
#define IDENTITY "rank%" SCNu32

struct mn_rank_link {
    void *socket;
    bool leader;
    uint32_t n_ranks;
};

/* What rank 0 tells the others before they can speak. */
struct address {
    char endpoint[256];
    char public_key[MN_WIRE_KEY_CHARS + 1];
};

static mn_status listen_as_leader(void *context, const mn_job *job, struct address *address,
                                  void **socket, mn_error *err);
static mn_status dial_leader(void *context, const mn_job *job, const struct address *address,
                             void **socket, mn_error *err);

mn_status mn_rank_link_new(void *context, const mn_job *job, mn_rank_link **out, mn_error *err)
{
    struct address address = {0};
    mn_status status = MN_OK;
    *out = NULL;
    if (job->n_ranks == 1)
        return MN_OK;
    mn_rank_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "link between ranks");
    else
        *link = (mn_rank_link){.leader = job->rank == 0, .n_ranks = job->n_ranks};

    if (status == MN_OK && job->rank == 0)
        status = listen_as_leader(context, job, &address, &link->socket, err);
    status = mn_job_agree(job, status, err);
    if (status == MN_OK) {
        mn_job_share(job, &address, sizeof address);
        if (job->rank != 0)
            status = dial_leader(context, job, &address, &link->socket, err);
        status = mn_job_agree(job, status, err);
    }
    if (status != MN_OK) {
        mn_rank_link_destroy(&link);
        return status;
    }
    *out = link;
    return MN_OK;
}

void mn_rank_link_destroy(mn_rank_link **link)
{
    if (*link == NULL)
        return;
    mn_wire_close(&(*link)->socket);
    free(*link);
    *link = NULL;
}

void *mn_rank_link_socket(const mn_rank_link *link)
{
    return link == NULL ? NULL : link->socket;
}

mn_status mn_rank_link_send(mn_rank_link *link, uint32_t rank, const mn_message *message,
                            mn_error *err)
{
    mn_peer peer = {0};
    if (!link->leader)
        return mn_wire_send(link->socket, NULL, message, NULL, err);
    peer.n = (uint8_t)snprintf((char *)peer.bytes, sizeof peer.bytes, "rank%" PRIu32, rank);
    return mn_wire_send(link->socket, &peer, message, NULL, err);
}

bool mn_rank_link_receive(mn_rank_link *link, uint32_t *rank, mn_message *message,
                          mn_status *status, mn_error *err)
{
    mn_received received = {0};
    char name[16] = "";
    if (link == NULL)
        return false;
    *status = mn_wire_receive(link->socket, 0, &received, err);
    if (*status == MN_ERR_UNAVAILABLE)
        return false;
    *rank = 0;
    if (*status != MN_OK)
        return true;
    if (link->leader) {
        memcpy(name, received.peer.bytes,
               received.peer.n < sizeof name ? received.peer.n : sizeof name - 1);
        if (sscanf(name, IDENTITY, rank) != 1 || *rank == 0 || *rank >= link->n_ranks)
            *status = mn_fail(err, MN_ERR_PROTOCOL, "a message to the leader from \"%s\"", name);
    }
    switch ((int)received.message.kind) {
    case MN_MSG_ASK:
    case MN_MSG_SETTLED:
    case MN_MSG_RETURNED:
    case MN_MSG_STOP_WANTED:
    case MN_MSG_NOTE:
    case MN_MSG_LEG_ENDED:
        if (!link->leader)
            *status = mn_fail(err, MN_ERR_PROTOCOL, "a rank's word came to a rank");
        break;
    case MN_MSG_ROUND:
    case MN_MSG_RANGE:
    case MN_MSG_REDUCE:
    case MN_MSG_STOP:
    case MN_MSG_LEG:
        if (link->leader)
            *status = mn_fail(err, MN_ERR_PROTOCOL, "a leader's word came to the leader");
        break;
    default:
        *status = mn_fail(err, MN_ERR_PROTOCOL, "a message %s between ranks",
                          mn_message_kind_text(received.message.kind));
    }
    if (*status == MN_OK)
        *message = received.message; /* of these kinds, none owns anything */
    mn_received_fini(&received);
    return true;
}

static mn_status listen_as_leader(void *context, const mn_job *job, struct address *address,
                                  void **socket, mn_error *err)
{
    char secret_key[MN_WIRE_KEY_CHARS + 1];
    char real[256];
    char host[MN_ADDRESS_CHARS] = "127.0.0.1";
    if (zmq_curve_keypair(address->public_key, secret_key) != 0)
        return mn_fail_errno(err, "make keys for the link between ranks");
    const mn_wire_options options = {.silence_ms = PATIENCE_MS, .secret_key = secret_key};
    mn_status status = job->one_host ? MN_OK : mn_job_address(host, err);
    if (status == MN_OK)
        status = mn_wire_listen(context,
                                job->one_host    ? "tcp://127.0.0.1:*"
                                : host[0] == '[' ? "tcp://[::]:*"
                                                 : "tcp://*:*",
                                &options, socket, real, err);
    if (status != MN_OK)
        return status;
    (void)snprintf(address->endpoint, sizeof address->endpoint, "tcp://%.64s:%s",
                   host, /* in digits */
                   strrchr(real, ':') + 1);
    return MN_OK;
}

static mn_status dial_leader(void *context, const mn_job *job, const struct address *address,
                             void **socket, mn_error *err)
{
    char identity[16];
    (void)snprintf(identity, sizeof identity, "rank%" PRIu32, job->rank);
    const mn_wire_options options = {
        .silence_ms = PATIENCE_MS, .server_key = address->public_key, .identity = identity};
    return mn_wire_dial(context, address->endpoint, &options, socket, err);
}
