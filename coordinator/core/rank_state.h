/* rank_state.h: what rank.c (rounds, leader) and rank_workers.c (members, leases, results)
 * share. Private to them. */
#pragma once

#include "coordinator/core/deadlines.h"
#include "coordinator/core/members.h"
#include "coordinator/core/pace.h"
#include "coordinator/core/rank.h"
#include "coordinator/core/waiting.h"

/* IDLE: between rounds. OPEN: granting. REDUCING: in the allreduce and the outer step. */
typedef enum mn_rank_state {
    MN_RANK_REFUSED, /* no state: a move that does not exist */
    MN_RANK_IDLE,
    MN_RANK_OPEN,
    MN_RANK_REDUCING,
    MN_RANK_STOPPED,
    MN_N_RANK_STATES
} mn_rank_state;

struct mn_rank {
    mn_rank_config config;
    mn_rank_state state;
    mn_round round; /* the newest; in REDUCING perhaps the next one, with its tasks in the table */
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
    uint64_t spare;        /* sum of mn_member.spare */
    uint64_t look_us;      /* when to look for idle members next */
    mn_waiting waiting;
    uint64_t asked;   /* threads as last told to the leader; UINT64_MAX: never */
    uint32_t workers; /* remote and READY */
    bool class_open;  /* the numeric class may still be another's: no result of it was taken */
    bool mixed;
    mn_rank_counts counts;
    uint64_t n_departures; /* so far; the newest stands before n_departures % MN_MAX_DEPARTURES */
    mn_departure departures[MN_MAX_DEPARTURES];
};

/* ---- rank_workers.c */

/* A worker, or the local pool, said something. */
void mn_rank_take_worker(mn_rank *rank, const mn_event *event, mn_actions *todo);
void mn_rank_take_damaged(mn_rank *rank, const mn_event *event, mn_actions *todo);
void mn_rank_take_gone(mn_rank *rank, uint64_t peer, mn_actions *todo);
mn_status mn_rank_take_local_pool(mn_rank *rank, uint32_t threads, mn_actions *todo, mn_error *err);

/* What the clock brings: leases that ran out, members that fell silent, pauses that end. */
void mn_rank_take_time(mn_rank *rank, mn_actions *todo);

/* Lease free tasks to all who have room, in turn. */
void mn_rank_grant(mn_rank *rank, mn_actions *todo);

/* A round opens: nobody has anything in hand, so everybody may get something. */
void mn_rank_queue_all(mn_rank *rank);

/* Tell all remote members that the run ends here. */
void mn_rank_dismiss(mn_rank *rank, const char *why, mn_actions *todo);

/* ---- rank_account.c: what the journal is told; nothing is decided by it */

/* A note with the round at hand in it. */
mn_note *mn_rank_note(const mn_rank *rank, mn_note_kind kind, const char *who, mn_actions *todo);

/* Count what was computed for nothing; lost_us is returned. */
uint64_t mn_rank_repeat(mn_rank *rank, uint32_t tasks, uint64_t lost_us);

/* What a member has computed of all that it has in hand, keeps or had until it ran out, is lost: call it
 * before the table forgets these leases. */
void mn_rank_write_off(mn_rank *rank, const mn_member *member, const char *why, mn_actions *todo);
void mn_rank_write_off_all(mn_rank *rank, const char *why, mn_actions *todo);

/* Thread time that a member has put into so many tasks of leases given since then, at most. */
uint64_t mn_rank_lease_cost_us(const mn_rank *rank, const mn_member *member, uint32_t tasks,
                               uint64_t granted_us);

/* Has the member something in hand? After each change of that, and of what counts of it. */
void mn_rank_weigh(mn_rank *rank, mn_member *member, mn_actions *todo);

/* At the end of each step: does the round wait, is somebody idle for long? */
void mn_rank_watch(mn_rank *rank, mn_actions *todo);

/* The round is over: say for whom it waited, if it was long. */
void mn_rank_tell_wait(mn_rank *rank, mn_actions *todo);

/* ---- rank.c */

/* Pass a wish to stop on to the leader, once. */
void mn_rank_want_stop(mn_rank *rank, const char *why, mn_actions *todo);
