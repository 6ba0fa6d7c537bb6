/* rank.h: a rank's coordinator: its members (local pool and remote workers), the round in hand,
 * and what to say to the leader. (state, event, now) -> actions: no socket, clock, thread or file.
 * docs/protocol.md draws the same tables.
 *
 * A rank:    IDLE --ROUND--> OPEN --REDUCE--> REDUCING --REDUCED--> IDLE
 *            IDLE, OPEN --STOP--> STOPPED       REDUCING --FAILED--> STOPPED
 *            In REDUCING the next ROUND, its RANGEs, its REDUCE and a STOP are kept and taken up
 *            after REDUCED, in this order.
 * A member:  GONE --HELLO--> GREETED --JOIN--> READY --LEAVE--> LEAVING --> GONE
 *            From everywhere: HELLO begins again at GREETED; closed, silent or rejected is GONE.
 *
 * Nothing a worker says can break the rank: what does not fit is refused, counted and logged. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "coordinator/core/actions.h"
#include "coordinator/core/lease_table.h"
#include "proto/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_CREDIT 2u                /* leases in hand: one to compute, one so that it never waits */
#define MN_MAX_DAMAGED 3u           /* results that do not fit, then the worker is rejected */
#define MN_MAX_MEMBER_THREADS 4096u /* HELLO with more is rejected */

typedef struct mn_rank mn_rank;

typedef struct mn_rank_config {
    uint32_t max_members; /* workers at the same time, the local pool included */
    bool external; /* workers are the user's own, none of ours can compute (tasks.kind external) */
    mn_digest numeric_class, data; /* external, and all zero: the class is not known, and is that of
                                      the first who joins */
    bool any_numeric_class;        /* take other classes too; the run is then marked as mixed */
    char data_name[256];           /* for the remedy in a REJECT; "": generated tasks */
    bool only_rank;                /* nobody but this pool can have its tasks */
    uint32_t silence_ms;
    uint32_t lease_floor_ms;
    uint32_t train_columns, test_columns; /* of a row of results */
} mn_rank_config;

typedef enum mn_event_kind {
    MN_EVENT_LOCAL_POOL,  /* threads of the rank's own pool (0: none). The first event of all: it
                             makes the rank ASK */
    MN_EVENT_TICK,        /* nothing but the time */
    MN_EVENT_FROM_WORKER, /* peer, message. A RESULT comes here only if its payload fits its
                             checksum and holds numbers (mn_exact_accepts or _plausible), or if it
                             is KEPT; else as DAMAGED. Results of the local pool: peer 0 */
    MN_EVENT_DAMAGED,     /* peer, epoch (0: not known), text: this worker's message was no use */
    MN_EVENT_PEER_GONE,   /* peer: its connection closed */
    MN_EVENT_FROM_LEADER, /* message: ROUND, RANGE, REDUCE, STOP */
    MN_EVENT_REDUCED,     /* round: the allreduce is over and the outer step made */
    MN_EVENT_FAILED,      /* round, text: it left the allreduce, on all ranks alike, with something
                             that ends the run */
    MN_EVENT_STOP_WANTED, /* text: a signal came, or the shell cannot go on; told to the leader */
} mn_event_kind;

typedef struct mn_event {
    mn_event_kind kind;
    uint64_t now_us; /* the only clock the core ever sees; monotonic */
    uint64_t peer;   /* the shell's number of a connection, never another's; 0: MN_LOCAL_POOL */
    const mn_message *message; /* decoded and size-checked; lent for the call */
    uint64_t epoch;
    uint64_t round; /* id */
    uint32_t threads;
    const char *text; /* may be NULL */
} mn_event;

/* Since the start; for metrics. */
typedef struct mn_rank_counts {
    uint64_t joins;                        /* JOINs accepted */
    uint64_t left, lost, silent, rejected; /* ends of members: after LEAVE, closed, ... */
    uint64_t leases_granted, leases_expired, leases_reissued;
    uint64_t accepted, refused[MN_N_REFUSALS]; /* results */
    uint64_t tasks_done;
    uint64_t tasks_repeated, repeated_us; /* computed, as far as is known, and not counted */
} mn_rank_counts;

/* What a member does, or why it does nothing; each has a sentence for people. */
#define MN_DOING_LIST(X)                                                                           \
    X(MN_DOES_COMPUTE, "computing")                                                                \
    X(MN_DOES_BUILD, "preparing: it builds the experiment")                                        \
    X(MN_DOES_PAUSE, "paused: its leases ran out, so it waits before it gets another")             \
    X(MN_DOES_WAIT_FOR_OTHERS, "idle: no task of this round is left for it")                       \
    X(MN_DOES_WAIT_FOR_ROUND, "idle between rounds: sums are added, theta steps")                  \
    X(MN_DOES_LEAVE, "leaving: it gets no more")

typedef enum mn_doing {
#define X(name, text) name,
    MN_DOING_LIST(X)
#undef X
} mn_doing;

const char *mn_doing_text(mn_doing doing);

typedef struct mn_member_view {
    uint64_t peer;
    const char *name; /* lent until the next step */
    uint32_t threads;
    mn_doing doing;
    uint64_t came_us, heard_us;
    uint64_t paused_until_us; /* 0: not paused */
    uint64_t tasks;           /* done, and counted */
    uint32_t leases;          /* in hand */
    uint32_t expired;         /* leases that ran out */
    uint32_t damaged;         /* messages that could not be used */
} mn_member_view;

/* Who went, or was never let in, and why. */
typedef enum mn_departure_kind { MN_DEPARTED, MN_LOST, MN_SILENT, MN_REJECTED } mn_departure_kind;

#define MN_MAX_DEPARTURES 16u /* the last so many are remembered */
typedef struct mn_departure {
    mn_departure_kind kind;
    uint64_t when_us;
    char name[96];
    char why[512];
} mn_departure;

typedef struct mn_rank_view {
    uint32_t workers; /* remote members that are READY */
    uint32_t threads; /* as last told to the leader: local ones, and of members that do compute */
    mn_round round;   /* the last one opened; id 0: none yet */
    mn_task_counts tasks;    /* of this rank in the round */
    mn_digest numeric_class; /* of the members; all zero: not known yet */
    bool mixed;              /* a worker of another numeric class computed with us */
    bool stopped;
    mn_rank_counts counts;
} mn_rank_view;

/* MN_ERR_RANGE: max_members, a time or a number of columns is 0 or too large. */
mn_status mn_rank_new(const mn_rank_config *config, mn_rank **out, mn_error *err);
void mn_rank_destroy(mn_rank **rank);

/* One event in; what to do is appended to todo (see actions.h), at most 16 actions a member and 16
 * more, and todo->wake_us is set. MN_ERR_PROTOCOL: the leader or the shell said what does not fit
 * (our own bug): nothing has changed, and the shell ends the job. MN_ERR_NOMEM: the same. Whatever
 * a worker says gives MN_OK. */
mn_status mn_rank_step(mn_rank *rank, const mn_event *event, mn_actions *todo, mn_error *err);

mn_rank_view mn_rank_look(const mn_rank *rank);

/* How many are here, the local pool included; places that anybody may be at. */
uint32_t mn_rank_members(const mn_rank *rank);
uint32_t mn_rank_places(const mn_rank *rank);

/* Whoever is at a place, 0 .. places-1; false: nobody. */
bool mn_rank_member(const mn_rank *rank, uint32_t place, mn_member_view *out);

/* The i-th newest of those who went; NULL: so many are not remembered. */
const mn_departure *mn_rank_departure(const mn_rank *rank, uint32_t i);
