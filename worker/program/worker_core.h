/* worker_core.h: what a worker does next. (state, event, now) -> actions: no socket, clock, thread
 * or file.
 *
 *              DIALING   GREETING   PREPARING  JOINING    WORKING    LEAVING
 *   dial due   GREETING
 *   WELCOME              PREPARING
 *   built                           JOINING
 *   not built                       ENDED
 *   THETA                                      WORKING    WORKING
 *   again                GREETING   GREETING   GREETING   GREETING   ENDED
 *   lost                 DIALING    DIALING    DIALING    DIALING    ENDED
 *   stops                DIALING    DIALING    DIALING    DIALING    ENDED
 *   over                 ENDED      ENDED      ENDED      ENDED      ENDED
 *   REJECT               ENDED      ENDED      ENDED      ENDED      ENDED
 *   quit       ENDED     ENDED      LEAVING    LEAVING    LEAVING    ENDED
 *   answer                                                           ENDED
 *   give up    ENDED     ENDED
 *   VISIT                DIALING
 *   turn over                       LEAVING    LEAVING    LEAVING
 *   home       DIALING   DIALING    DIALING    DIALING    DIALING    DIALING
 *
 * again: REGISTER_AGAIN. lost: the connection broke, nothing was heard for too long, or what was
 * said makes no sense. stops, over: FINISHED with and without `resumes`. quit: a signal. answer:
 * PULSE, or a second has passed. give up: no coordinator heard for `patience`, or dialing can never
 * succeed. ENDED takes nothing. A cell left out is passed over: the event does not concern that
 * state.
 *
 * VISIT: the door of a sweep names a run; it is dialed, and until the worker is back, whatever would end it
 * or make it dial again is `home`: it dials the door, and tells it if that run did not take it. turn over:
 * it was there as long as it was sent for. A VISIT without a place means to wait for another.
 *
 * A lease of another round makes those in hand void: a round opens when the one before is reduced.
 */
#pragma once

#include "common/error.h"
#include "common/log.h"
#include "common/random.h"
#include "proto/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_WORKER_MAX_LEASES 16u /* in hand; no more than the pool queues */
#define MN_WORKER_MAX_ACTIONS 8u
#define MN_WORKER_GREETING_US 3000000u /* how long a coordinator may take to answer HELLO */
#define MN_WORKER_VISITING_US 1000000u /* ... where a door has sent us */
#define MN_WORKER_LEAVING_US 1000000u  /* ... or LEAVE */
#define MN_WORKER_MIN_PAUSE_US 100000u /* between dials: doubled each time */
#define MN_WORKER_MAX_PAUSE_US 5000000u

typedef enum mn_worker_state {
    MN_WORKER_DIALING, /* not connected; the next dial is due at a known time */
    MN_WORKER_GREETING,
    MN_WORKER_PREPARING, /* the experiment is being built */
    MN_WORKER_JOINING,
    MN_WORKER_WORKING,
    MN_WORKER_LEAVING,
    MN_WORKER_ENDED,
    MN_N_WORKER_STATES
} mn_worker_state;

typedef enum mn_worker_event_kind {
    MN_WORKER_TICK,     /* nothing but the time */
    MN_WORKER_MESSAGE,  /* message: from the coordinator; a THETA with a whole payload */
    MN_WORKER_NONSENSE, /* text: something from the coordinator that could not be decoded */
    MN_WORKER_CONNECTION_LOST,
    MN_WORKER_DIAL_FAILED,  /* status, text */
    MN_WORKER_BUILT,        /* theta_size: the experiment is built */
    MN_WORKER_BUILD_FAILED, /* status, text */
    MN_WORKER_RESULT,       /* epoch: the pool has finished this lease */
    MN_WORKER_QUIT,         /* a signal */
} mn_worker_event_kind;

typedef struct mn_worker_event {
    mn_worker_event_kind kind;
    uint64_t now_us;           /* monotonic; the only clock the core sees */
    const mn_message *message; /* lent for the call */
    uint64_t theta_size;       /* floats */
    uint64_t epoch;
    mn_status status;
    const char *text;
} mn_worker_event;

typedef enum mn_worker_action_kind {
    MN_WORKER_DO_DIAL,    /* find out where, or `text` if it says so, connect; MN_WORKER_DIAL_FAILED
                                 if that fails */
    MN_WORKER_DO_HANG_UP, /* close the connection */
    MN_WORKER_DO_SEND,    /* message: HELLO, JOIN, HEARTBEAT or LEAVE, filled in by the shell */
    MN_WORKER_DO_BUILD,   /* build what the WELCOME just given describes, or keep what is there;
                                 MN_WORKER_BUILT or _BUILD_FAILED follows */
    MN_WORKER_DO_SET_THETA,   /* hand the payload of the THETA just given to the pool */
    MN_WORKER_DO_SUBMIT,      /* lease: to the pool */
    MN_WORKER_DO_CLEAR,       /* the pool forgets its leases */
    MN_WORKER_DO_SEND_RESULT, /* of the lease just finished */
    MN_WORKER_DO_DROP_RESULT,
    MN_WORKER_DO_LOG, /* level, text */
    MN_WORKER_DO_END, /* status, text: nothing follows */
} mn_worker_action_kind;

typedef struct mn_worker_action {
    mn_worker_action_kind kind;
    mn_message_kind message;
    mn_lease lease;
    mn_status status;
    mn_log_level level;
    char text[1024];
} mn_worker_action;

/* In the order in which it must happen. */
typedef struct mn_worker_actions {
    size_t n;
    mn_worker_action list[MN_WORKER_MAX_ACTIONS];
    uint64_t wake_us; /* step again with MN_WORKER_TICK then, if nothing else comes before */
} mn_worker_actions;

/* The fields are for worker_core.c. */
typedef struct mn_worker_core {
    mn_worker_state state;
    uint64_t patience_us;
    bool once; /* set after _init: a coordinator that is not there is not waited for */
    mn_random jitter;
    uint64_t heard_us; /* when a coordinator was last heard; the start before */
    uint64_t due_us;   /* DIALING: the next dial; GREETING, LEAVING: when to wait no longer */
    uint64_t pause_us; /* before the next dial but one */
    uint64_t heartbeat_us, silence_us, next_heartbeat_us;
    uint64_t run_id; /* of the last WELCOME; 0: none yet */
    uint64_t told;   /* that it works for that run; once, though it is sent there again and again */
    uint64_t theta_size;
    uint64_t versions[2]; /* of theta in the pool: the older, the newer */
    uint32_t n_versions;
    uint64_t round;
    uint32_t n_leases;
    uint64_t leases[MN_WORKER_MAX_LEASES];         /* [n_leases] epochs in hand */
    uint64_t lease_versions[MN_WORKER_MAX_LEASES]; /* of the theta that each needs */
    char away[256];   /* where a door has sent us; "": nowhere, or we are back */
    uint64_t turn_us; /* away: when to go back */
    uint32_t visits;  /* so often were we away */
    bool refused;     /* from where we were last */
} mn_worker_core;

/* Begin at now_us in DIALING with a dial that is due at once. `seed` is for the jitter of the
 * pauses, so that a thousand workers do not come back in the same instant. */
void mn_worker_core_init(mn_worker_core *core, uint64_t now_us, uint64_t patience_us,
                         uint64_t seed);

/* One event in; todo is overwritten with what to do. */
void mn_worker_core_step(mn_worker_core *core, const mn_worker_event *event,
                         mn_worker_actions *todo);

const char *mn_worker_state_text(mn_worker_state state);
