/* coord_state.h: what coord.c (rounds, leader) and coord_workers.c (members, leases, results)
 * share. Private to them. */
#pragma once

#include "coordinator/coord.h"
#include "coordinator/deadlines.h"
#include "coordinator/members.h"
#include "coordinator/pace.h"

/* IDLE: between rounds. OPEN: granting. REDUCING: in the allreduce and the outer step. */
typedef enum mn_rank_state {
    MN_RANK_REFUSED, /* no state: a move that does not exist */
    MN_RANK_IDLE,
    MN_RANK_OPEN,
    MN_RANK_REDUCING,
    MN_RANK_STOPPED,
    MN_N_RANK_STATES
} mn_rank_state;

struct mn_coord {
    mn_coord_config config;
    mn_rank_state state;
    mn_round round; /* the newest; in REDUCING perhaps the next one already, with its tasks in the
                       table */
    uint64_t reducing; /* id of the round in the allreduce */
    bool reduce_kept, stop_kept, stop_wanted;
    char why[512]; /* of the leader's STOP */

    uint64_t now_us;
    mn_lease_table *table; /* members are places in `members`; owned */
    mn_members *members;   /* owned */
    mn_deadlines silences; /* by member: when to look whether it was heard; owned */
    mn_deadlines pauses;   /* by member: when it may have leases again; owned */
    mn_pace pace[2];       /* by mn_round_kind */
    uint64_t wave_us[2];   /* the same as the members', of the pool */
    uint64_t threads;      /* sum of mn_member.counted */
    uint64_t asked;        /* threads as last told to the leader; UINT64_MAX: never */
    uint32_t workers;      /* remote and READY */
    bool mixed;
    mn_coord_counts counts;
};

/* ---- coord_workers.c */

/* A worker, or the local pool, said something. */
void mn_coord_take_worker(mn_coord *coord, const mn_event *event, mn_actions *todo);
void mn_coord_take_damaged(mn_coord *coord, const mn_event *event, mn_actions *todo);
void mn_coord_take_gone(mn_coord *coord, uint64_t peer, mn_actions *todo);
mn_status mn_coord_take_local_pool(mn_coord *coord, uint32_t threads, mn_error *err);

/* What the clock brings: leases that ran out, members that fell silent, pauses that end. */
void mn_coord_take_time(mn_coord *coord, mn_actions *todo);

/* Lease free tasks to all who have room, in turn. */
void mn_coord_grant(mn_coord *coord, mn_actions *todo);

/* A round opens: nobody has anything in hand, so everybody may get something. */
void mn_coord_queue_all(mn_coord *coord);

/* Tell all remote members that the run ends here. */
void mn_coord_dismiss(mn_coord *coord, const char *why, mn_actions *todo);

/* ---- coord.c */

/* Pass a wish to stop on to the leader, once. */
void mn_coord_want_stop(mn_coord *coord, const char *why, mn_actions *todo);
