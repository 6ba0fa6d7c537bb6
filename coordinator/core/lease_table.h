/* lease_table.h: who holds which tasks of the present round, and until when.
 * Used twice: by the leader (members are ranks) and by each rank (members are workers). A task is
 * ABSENT (not this table's to grant), FREE, HELD by one lease, or DONE, and it is DONE once: of
 * several leases that came to cover the same task, the first valid result wins and the others are
 * refused, so nothing is ever counted twice. Bookkeeping only: no socket, clock, thread or log. One
 * thread owns a table. Memory is taken in _new and _reset alone and bounded by 16 bytes a task and
 * 350 bytes for each lease that a member may have, in hand, kept or lapsed. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_LEASE_TABLE_MAX_TASKS (1u << 22)
#define MN_LEASE_TABLE_MAX_MEMBERS (1u << 16)
#define MN_LEASE_TABLE_MAX_CREDIT 16u
#define MN_KEPT_PER_MEMBER 5u /* leases */
#define MN_NEVER UINT64_MAX   /* a deadline that does not come */

typedef struct mn_lease_table mn_lease_table; /* opaque: the fields are in lease_table.c */

typedef struct mn_grant {
    uint64_t epoch;    /* unique for the table's life, growing; never 0 */
    uint32_t begin, n; /* tasks begin .. begin+n-1 of the round */
    uint32_t member;
    uint32_t attempt;     /* how often leases of these tasks ran out before */
    uint64_t granted_us;  /* monotonic clock, microseconds */
    uint64_t deadline_us; /* overdue once now_us >= deadline_us */
    bool kept;            /* done; what its tasks gave comes with the result of another lease */
    bool lapsed; /* overdue or given up: its tasks are free for others, a late result is welcome */
} mn_grant;

/* What lies in one member's hands. */
typedef struct mn_hand {
    uint32_t leases; /* live ones, at most the table's credit */
    uint32_t tasks;  /* of the live ones, not done yet */
    uint32_t kept;   /* at most MN_KEPT_PER_MEMBER */
    uint32_t lapsed; /* of more than it may have in hand and keep, the oldest is forgotten */
} mn_hand;

typedef struct mn_task_counts {
    uint32_t total; /* added and not taken back: free + held + done */
    uint32_t free, held, done;
} mn_task_counts;

/* A table for members 0 .. max_members-1, each with at most `credit` > 0 live leases; no round is
 * open. MN_ERR_RANGE: beyond the limits above; MN_ERR_NOMEM. *out is untouched then. */
mn_status mn_lease_table_new(uint32_t max_members, uint32_t credit, mn_lease_table **out,
                             mn_error *err);

/* Free *table and set it to NULL. Does nothing if it is NULL. */
void mn_lease_table_destroy(mn_lease_table **table);

/* Forget all leases and tasks, and begin a round of n_tasks, all ABSENT; 0: no round. Epochs go on,
 * so a result of before is refused. MN_ERR_RANGE, MN_ERR_NOMEM: the table is as it was. */
mn_status mn_lease_table_reset(mn_lease_table *table, uint32_t n_tasks, mn_error *err);

/* ABSENT -> FREE: this table may grant them. MN_ERR_RANGE: not tasks of the round. MN_ERR_STATE:
 * one of them is here already. Nothing is added then. */
mn_status mn_lease_table_add(mn_lease_table *table, uint32_t begin, uint32_t n, mn_error *err);

/* Lease one run of at most max_n > 0 free tasks to a member. Tasks that came back go out first and
 * are not mixed with others, so that a late result clashes with as few new leases as can be. The
 * deadline is now_us + max(floor_us, task_us * tasks then in the member's hands) * 2^attempt;
 * floor_us MN_NEVER: none. MN_ERR_STATE: nothing is free or the member's credit is used up (see
 * _counts and _hand first). */
mn_status mn_lease_table_grant(mn_lease_table *table, uint32_t member, uint32_t max_n,
                               uint64_t now_us, uint64_t floor_us, uint64_t task_us, mn_grant *out,
                               mn_error *err);

/* The lease of an epoch, which may be any number. false: unknown, settled, released or forgotten.
 */
bool mn_lease_table_find(const mn_lease_table *table, uint64_t epoch, mn_grant *out);

/* The member has done this lease, but its result will come with that of another. It takes no credit
 * and has no deadline any more: it lapses when a lease of the member lapses or is released, and
 * when the member has no live one that could bring it. false: nothing happens, as the lease is not
 * live, or there is no other live one, or the member keeps MN_KEPT_PER_MEMBER already. */
bool mn_lease_table_keep(mn_lease_table *table, uint64_t epoch);

/* Whole leases of one member, n different ones, are done, with one result. MN_OK exactly if all of
 * them are known, have no task in common, and each of their tasks is FREE or HELD, by whomever: all
 * are DONE then. Otherwise MN_ERR_STALE: the result must be dropped; what these leases alone still
 * held is free again. Either way they are forgotten. */
mn_status mn_lease_table_settle(mn_lease_table *table, const uint64_t *epochs, size_t n,
                                mn_error *err);

/* Part of what a member holds is done (a rank reports to the leader). MN_ERR_STALE: not all of it
 * is held by this member; nothing is changed. */
mn_status mn_lease_table_settle_range(mn_lease_table *table, uint32_t member, uint32_t begin,
                                      uint32_t n, mn_error *err);

/* Part of what a member holds was not begun and is free again. MN_ERR_STALE as above. */
mn_status mn_lease_table_release_range(mn_lease_table *table, uint32_t member, uint32_t begin,
                                       uint32_t n, mn_error *err);

/* Free what the lease held and forget it; a later result is refused. Nothing happens for an unknown
 * epoch. */
void mn_lease_table_release(mn_lease_table *table, uint64_t epoch);

/* The same for all leases of a member that is gone. */
void mn_lease_table_release_member(mn_lease_table *table, uint32_t member);

/* A member will get no more: its live leases lapse, so that others may have the tasks while its own
 * results are still welcome. */
void mn_lease_table_give_up(mn_lease_table *table, uint32_t member);

/* Let overdue leases lapse, at most `max` of them, the longest overdue first; copy them to out;
 * return how many. */
size_t mn_lease_table_expire(mn_lease_table *table, uint64_t now_us, mn_grant *out, size_t max);

/* The live lease that is longest overdue; false: none is. */
bool mn_lease_table_overdue(const mn_lease_table *table, uint64_t now_us, mn_grant *out);

/* A live lease gets another deadline. Nothing happens for any other epoch. */
void mn_lease_table_extend(mn_lease_table *table, uint64_t epoch, uint64_t deadline_us);

/* The earliest deadline of a live lease; MN_NEVER: none. */
uint64_t mn_lease_table_next_deadline(const mn_lease_table *table);

/* FREE -> ABSENT: take one run of at most max_n > 0 free tasks out of the table (a rank returns
 * them to the leader). false: none is free. */
bool mn_lease_table_take_back(mn_lease_table *table, uint32_t max_n, uint32_t *begin, uint32_t *n);

mn_task_counts mn_lease_table_counts(const mn_lease_table *table);
mn_hand mn_lease_table_hand(const mn_lease_table *table, uint32_t member);

/* How many leases are known, live, kept or lapsed: at a round's end, what will not be needed. */
uint32_t mn_lease_table_known(const mn_lease_table *table);

/* What a member has or had in hand that did not come to count yet. */
typedef struct mn_load {
    uint32_t begin;      /* the lowest task of all these leases */
    uint32_t tasks;      /* of live and lapsed leases */
    uint32_t kept;       /* tasks of kept ones: they are computed */
    uint64_t granted_us; /* of the oldest live or lapsed one; MN_NEVER: none */
} mn_load;

/* Walks the member's leases: some ten at most. */
mn_load mn_lease_table_load(const mn_lease_table *table, uint32_t member);

/* How many of `remaining` > 0 free tasks a member should get next: half of its share by threads, so
 * that leases are few, the last ones small, and all members end at about the same time; in whole
 * waves of its threads, so that none of them idles; at least one wave, at most what remains. 0
 * threads count as 1. */
uint32_t mn_lease_size(uint32_t remaining, uint32_t threads, uint32_t total_threads);
