/* event_queue.h: what happens next in virtual time: by time, and among equals in the order of being
 * put. */
#pragma once

#include "proto/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mn_sim_kind {
    MN_SIM_TO_RANK,     /* worker -> rank */
    MN_SIM_TO_WORKER,   /* rank -> worker */
    MN_SIM_TO_LEADER,   /* rank -> leader */
    MN_SIM_FROM_LEADER, /* leader -> rank */
    MN_SIM_PEER_GONE,   /* the rank's end of a link closes */
    MN_SIM_WAKE,        /* a rank's timer */
    MN_SIM_LOCAL_DONE,  /* the local pool of a rank ended a lease */
    MN_SIM_REDUCED,     /* a rank leaves the allreduce */
    MN_SIM_STOP,        /* somebody wants to stop */
    MN_SIM_START,       /* a worker process starts */
    MN_SIM_BUILT,       /* a worker has built the experiment */
    MN_SIM_COMPUTED,    /* a worker ended its lease */
    MN_SIM_TICK,        /* a worker's timer; note.version: for when it was set */
    MN_SIM_FAULT,       /* something happens to a worker */
} mn_sim_kind;

/* A lease whose sum came with that of another. */
typedef struct mn_sim_part {
    uint64_t epoch;
    uint32_t begin, n;
} mn_sim_part;

/* A message, small enough to lie in a queue by the thousand. */
typedef struct mn_sim_note {
    mn_message_kind kind;
    uint32_t threads, n_tasks, n_columns;
    bool damaged;
    bool resumes; /* FINISHED */
    bool keeps;   /* a result of nothing: its sum will come with another's */
    uint32_t n_kept;
    mn_sim_part kept[MN_MAX_KEPT]; /* [n_kept] in the sum of this result too */
    uint64_t payload;              /* of a result: the sum of what its tasks give */
    uint64_t version;              /* THETA */
    union {
        mn_lease lease; /* LEASE; RESULT: .epoch */
        mn_round round;
        mn_range range;
    };
} mn_sim_note;

typedef struct mn_sim_event {
    uint64_t at_us, order;
    mn_sim_kind kind;
    uint32_t rank, worker;
    uint64_t peer; /* number of the connection at the rank */
    uint64_t link; /* number of the link that carries it; or life of the worker */
    uint64_t work; /* BUILT, COMPUTED: which */
    mn_sim_note note;
} mn_sim_event;

typedef struct mn_sim_queue {
    mn_sim_event *heap; /* owned */
    size_t n, capacity;
    uint64_t order;
} mn_sim_queue;

void mn_sim_queue_put(mn_sim_queue *queue, const mn_sim_event *event);
bool mn_sim_queue_take(mn_sim_queue *queue, mn_sim_event *out);
void mn_sim_queue_fini(mn_sim_queue *queue);
