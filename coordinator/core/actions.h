/* actions.h: what a decision core wants done, in the order in which it must happen. The shell
 * performs the list after each step and clears it. Plain data: no socket, clock or log in here. */
#pragma once

#include "common/error.h"
#include "common/log.h"
#include "proto/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_LOCAL_POOL 0u /* the peer that stands for the rank's own threads; never on a wire */

typedef enum mn_action_kind {
    MN_DO_SEND,         /* peer, message, to a worker: WELCOME, REJECT, LEASE, PULSE, REGISTER_AGAIN
                           or FINISHED */
    MN_DO_SEND_THETA,   /* peer, version: theta of this version, always before the first lease that
                           needs it */
    MN_DO_ACCEPT,       /* peer, lease: add the payload of the RESULT just given, which may have the
                           sum of other leases in it, to the sums */
    MN_DO_REFUSE,       /* peer, refusal: drop that payload, if there is one */
    MN_DO_TO_LEADER,    /* message: ASK, SETTLED, RETURNED or STOP_WANTED */
    MN_DO_TO_RANK,      /* rank, message: ROUND, RANGE, REDUCE or STOP. The leader's, who has no
                           other action but LOG and NOTE */
    MN_DO_OPEN_ROUND,   /* round: sums to zero; leases of this round follow */
    MN_DO_START_REDUCE, /* round: all its tasks are in the sums of the ranks: enter the allreduce;
                           what the local pool still computes of it is void */
    MN_DO_STOP,         /* text: why; empty: the program of rounds is complete. Enter no allreduce;
                           only refusals, log lines and FINISHED follow */
    MN_DO_LOG,          /* level, text */
    MN_DO_NOTE,         /* note: for the run's journal; never of a lease that ended as it should */
} mn_action_kind;

typedef enum mn_refusal {
    MN_REFUSED_UNKNOWN,   /* not from a registered worker */
    MN_REFUSED_LATE,      /* its lease is forgotten: settled, given back, or of an earlier round */
    MN_REFUSED_DUPLICATE, /* another's result of the same tasks was first */
    MN_REFUSED_DAMAGED,   /* sizes or payload do not fit the lease */
    MN_N_REFUSALS
} mn_refusal;

#define MN_NOTE_NAME 96u

/* What a journal tells of a pool: what was out of the ordinary, one by one. */
typedef enum mn_note_kind {
    MN_NOTE_JOINED, /* threads; mixed: of another numeric class */
    MN_NOTE_LEFT,   /* these four in the order of mn_departure_kind; why */
    MN_NOTE_LOST,
    MN_NOTE_SILENT,
    MN_NOTE_REJECTED, /* put out: too much of what it sent was no use */
    MN_NOTE_REFUSED,  /* not let in; why, with the remedy */
    MN_NOTE_RAN_OUT,  /* task, tasks: others may have them; span_us: its lease's time; pause_us */
    MN_NOTE_GOES_ON,  /* task, tasks, span_us so far: overdue, but nobody else could have them */
    MN_NOTE_BACK,     /* its pause is over */
    MN_NOTE_REPEATED, /* task, tasks, lost_us: what it computed and is not counted; why */
    MN_NOTE_DAMAGED,  /* why: its message was no use */
    MN_NOTE_IDLE,     /* for span_us, and still; why */
    MN_NOTE_BUSY,     /* ... no more; span_us */
    MN_NOTE_WAITED,   /* a round, for who ("": for anybody to come), span_us in all, while `threads`
                         had nothing to do */
    MN_N_NOTES
} mn_note_kind;

typedef struct mn_note {
    mn_note_kind kind;
    mn_round_kind round_kind;
    uint64_t
        step; /* the meta-step under way, from 1; of a test round those done; 0: no round yet */
    uint64_t task; /* index in its split of the first of `tasks` */
    uint32_t tasks, threads;
    bool mixed;
    uint64_t lost_us; /* thread time */
    uint64_t span_us, pause_us;
    char who[MN_NOTE_NAME];
    char why[512];
} mn_note;

typedef struct mn_action {
    mn_action_kind kind;
    mn_message_kind message; /* SEND, TO_LEADER, TO_RANK: message.h says which fields below count */
    uint64_t peer;           /* MN_LOCAL_POOL or a number the shell gave to a connection */
    uint32_t rank;
    bool stranger; /* LOG: of one who was never in, of which there may be any number */
    bool later;    /* REJECT: it may come again */
    union {
        mn_lease lease;
        mn_round round; /* also REDUCE */
        mn_range range;
        uint64_t version;
        uint32_t threads;
        struct {
            uint64_t epoch; /* same place as lease.epoch */
            mn_refusal why;
        } refusal;
        struct {
            mn_log_level level;
            char text[512];
        } log; /* LOG; .text also REJECT, FINISHED, STOP_WANTED, STOP */
        mn_note note;
    };
} mn_action;

/* Zero-initialise; the cores grow it within the bound that each of them states. */
typedef struct mn_actions {
    mn_action *list; /* [n]; owned, free with _fini */
    size_t n, capacity;
    uint64_t wake_us; /* mn_rank_step: when to call again with MN_EVENT_TICK; MN_NEVER: no need */
} mn_actions;

void mn_actions_clear(mn_actions *actions); /* keeps the memory for the next step */
void mn_actions_fini(mn_actions *actions);

/* Make room for n more. MN_ERR_NOMEM: nothing has changed. */
mn_status mn_actions_reserve(mn_actions *actions, size_t n, mn_error *err);

/* The next action, zero but for its text; room was reserved. */
mn_action *mn_actions_add(mn_actions *actions, mn_action_kind kind);
mn_action *mn_actions_log(mn_actions *actions, mn_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* All but the kind and the name is zero, and for the caller to fill in. */
mn_note *mn_actions_note(mn_actions *actions, mn_note_kind kind, const char *who);

/* Step and kind of the round at hand. */
void mn_note_round(mn_note *note, const mn_round *round);

/* The wire message of a SEND, TO_LEADER or TO_RANK action. WELCOME is zero but for its kind: the
 * shell fills it in. Owns nothing: mn_message_fini is not needed (but for what the shell puts into
 * a WELCOME). */
mn_message mn_action_message(const mn_action *action);

const char *mn_refusal_text(mn_refusal why);
