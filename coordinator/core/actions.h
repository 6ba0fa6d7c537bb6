/* actions.h: what a decision core wants done, in the order in which it must happen. The shell
 * performs the list after each step and clears it. Plain data: no socket, clock or log in here. */
#pragma once

#include "common/error.h"
#include "common/log.h"
#include "proto/message.h"
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
                           other action but LOG */
    MN_DO_OPEN_ROUND,   /* round: sums to zero; leases of this round follow */
    MN_DO_START_REDUCE, /* round: all its tasks are in the sums of the ranks: enter the allreduce;
                           what the local pool still computes of it is void */
    MN_DO_STOP,         /* text: why; empty: the program of rounds is complete. Enter no allreduce;
                           only refusals, log lines and FINISHED follow */
    MN_DO_LOG,          /* level, text */
} mn_action_kind;

typedef enum mn_refusal {
    MN_REFUSED_UNKNOWN,   /* not from a registered worker */
    MN_REFUSED_LATE,      /* its lease is forgotten: settled, given back, or of an earlier round */
    MN_REFUSED_DUPLICATE, /* another's result of the same tasks was first */
    MN_REFUSED_DAMAGED,   /* sizes or payload do not fit the lease */
    MN_N_REFUSALS
} mn_refusal;

typedef struct mn_action {
    mn_action_kind kind;
    mn_message_kind message; /* SEND, TO_LEADER, TO_RANK: message.h says which fields below count */
    uint64_t peer;           /* MN_LOCAL_POOL or a number the shell gave to a connection */
    uint32_t rank;
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
void mn_actions_log(mn_actions *actions, mn_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The wire message of a SEND, TO_LEADER or TO_RANK action. WELCOME is zero but for its kind: the
 * shell fills it in. Owns nothing: mn_message_fini is not needed (but for what the shell puts into
 * a WELCOME). */
mn_message mn_action_message(const mn_action *action);

const char *mn_refusal_text(mn_refusal why);
