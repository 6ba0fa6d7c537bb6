/* members.h: who is in a rank's pool, found by peer number, and the states that each may be in.
 *
 *            HELLO     JOIN     LEAVE     END
 *   GONE     GREETED   .        .         .
 *   GREETED  GREETED   READY    LEAVING   GONE
 *   READY    GREETED   .        LEAVING   GONE
 *   LEAVING  GREETED   .        LEAVING   GONE        (".": refused)
 *
 * Bookkeeping only; what follows from a move is decided in rank.c. Memory is bounded by the number
 * of members. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mn_member_state {
    MN_MEMBER_REFUSED, /* no state: a move that does not exist */
    MN_MEMBER_GONE,
    MN_MEMBER_GREETED, /* HELLO seen, WELCOME sent */
    MN_MEMBER_READY,   /* JOIN accepted: gets leases */
    MN_MEMBER_LEAVING, /* gets no more; its results are still welcome */
    MN_N_MEMBER_STATES
} mn_member_state;

typedef enum mn_member_move {
    MN_MEMBER_HELLO,
    MN_MEMBER_JOIN,
    MN_MEMBER_LEAVE,
    MN_MEMBER_END,
    MN_N_MEMBER_MOVES
} mn_member_move;

typedef struct mn_member {
    mn_member_state state;
    uint64_t peer;
    char name[96];
    uint64_t uuid[2];
    uint32_t threads;
    uint32_t counted;         /* its threads as they are in the pool's sum */
    uint32_t damaged;         /* messages that could not be used */
    uint32_t overdue;         /* leases in a row that ran out */
    uint32_t expired;         /* leases that ran out, all in all */
    uint64_t came_us;         /* when it took its place */
    uint64_t tasks;           /* done, and counted */
    uint64_t paused_until_us; /* no lease before, as one of its ran out; 0: not paused */
    uint64_t heard_us;        /* last sign of life */
    uint64_t result_us;       /* last result */
    uint64_t wave_us[2]; /* a task on each of its threads, smoothed; by mn_round_kind; 0: unknown */
    uint64_t theta;      /* version sent last */
    bool has_theta;
    bool hungry;    /* stands in the queue for leases */
    uint32_t spare; /* as many of its threads as count, if it could have a lease and has none */
    uint64_t idle_since_us; /* without a lease in hand; 0: it has one */
    bool idle_told;
} mn_member;

typedef struct mn_members mn_members;

mn_status mn_members_new(uint32_t max_members, mn_members **out, mn_error *err);
void mn_members_destroy(mn_members **members);

uint32_t mn_members_count(const mn_members *members); /* not GONE */
uint32_t mn_members_max(const mn_members *members);

/* Any index 0 .. max-1; GONE if nobody is there. */
mn_member *mn_members_at(mn_members *members, uint32_t index);
uint32_t mn_members_index(const mn_members *members, const mn_member *member);

/* NULL: not known. */
mn_member *mn_members_find(mn_members *members, uint64_t peer);
mn_member *mn_members_find_uuid(mn_members *members, const uint64_t uuid[2]);

/* A place for a peer that is not known yet, GONE so far; NULL: all places are taken. */
mn_member *mn_members_add(mn_members *members, uint64_t peer);

/* Make a move of the table; false: it has none, nothing has changed. A member that comes to GONE
 * loses its place. */
bool mn_member_move_to(mn_members *members, mn_member *member, mn_member_move move);

/* The queue of those who may get a lease, first come first served. Queueing twice does nothing;
 * NULL: it is empty. */
void mn_members_queue(mn_members *members, mn_member *member);
mn_member *mn_members_unqueue(mn_members *members);

const char *mn_member_state_text(mn_member_state state);
