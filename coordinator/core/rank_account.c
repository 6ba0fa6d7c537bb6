/* What a rank's journal is told: who had nothing to do and why, for whom a round waited, and what was
 * computed and did not count. None of it decides anything. */
#include "coordinator/core/rank_state.h"

#include <inttypes.h>
#include <stdio.h>

#define LOOK_US UINT64_C(1000000) /* between two looks for idle members */
#define IDLE_US UINT64_C(5000000) /* less is not worth a word */

static uint64_t thread_time_us(const mn_rank *rank, const mn_member *member, uint32_t tasks,
                               uint64_t since_us);
static void tell_idle(const mn_rank *rank, mn_member *member, mn_actions *todo);

mn_note *mn_rank_note(const mn_rank *rank, mn_note_kind kind, const char *who, mn_actions *todo)
{
    mn_note *note = mn_actions_note(todo, kind, who[0] != '\0' ? who : "new");
    mn_note_round(note, &rank->round);
    return note;
}

uint64_t mn_rank_repeat(mn_rank *rank, uint32_t tasks, uint64_t lost_us)
{
    rank->counts.tasks_repeated += tasks;
    rank->counts.repeated_us += lost_us;
    return lost_us;
}

void mn_rank_write_off(mn_rank *rank, const mn_member *member, const char *why, mn_actions *todo)
{
    const mn_load load = mn_lease_table_load(rank->table, mn_members_index(rank->members, member));
    if (load.tasks + load.kept == 0)
        return;
    const uint64_t lost_us = mn_rank_lease_cost_us(rank, member, load.tasks, load.granted_us) +
                             thread_time_us(rank, member, load.kept, 0);
    if (lost_us == 0) /* the lease was not begun */
        return;
    mn_note *note = mn_rank_note(rank, MN_NOTE_REPEATED, member->name, todo);
    note->task = rank->round.first_task + load.begin;
    note->tasks = load.tasks + load.kept;
    note->lost_us = mn_rank_repeat(rank, note->tasks, lost_us);
    (void)snprintf(note->why, sizeof note->why, "%s", why);
}

void mn_rank_write_off_all(mn_rank *rank, const char *why, mn_actions *todo)
{
    uint32_t left = mn_members_count(rank->members);
    for (uint32_t i = 0; mn_lease_table_known(rank->table) > 0 && left > 0; i++) {
        const mn_member *member = mn_members_at(rank->members, i);
        if (member->state == MN_MEMBER_GONE)
            continue;
        left--;
        mn_rank_write_off(rank, member, why, todo);
    }
}

uint64_t mn_rank_lease_cost_us(const mn_rank *rank, const mn_member *member, uint32_t tasks,
                               uint64_t granted_us)
{
    if (tasks == 0)
        return 0;
    return thread_time_us(rank, member, tasks,
                          granted_us > member->result_us ? granted_us : member->result_us);
}

void mn_rank_weigh(mn_rank *rank, mn_member *member, mn_actions *todo)
{
    const bool holds =
        mn_lease_table_hand(rank->table, mn_members_index(rank->members, member)).leases > 0;
    const uint32_t spare = holds || member->paused_until_us > 0 ? 0 : member->counted;
    rank->spare += spare;
    rank->spare -= member->spare;
    member->spare = spare;
    if (!holds && member->idle_since_us == 0) {
        member->idle_since_us = rank->now_us;
    } else if (holds) {
        if (member->idle_told && todo != NULL)
            mn_rank_note(rank, MN_NOTE_BUSY, member->name, todo)->span_us =
                rank->now_us - member->idle_since_us;
        member->idle_since_us = 0;
        member->idle_told = false;
    }
}

void mn_rank_watch(mn_rank *rank, mn_actions *todo)
{
    const mn_task_counts tasks = mn_lease_table_counts(rank->table);
    const bool open = rank->state == MN_RANK_OPEN;
    const bool scarce = tasks.free == 0 && tasks.held > 0 && 2 * rank->spare >= rank->threads;
    const bool alone = rank->config.only_rank && rank->threads == 0;
    mn_waiting_look(&rank->waiting, open && (scarce || alone), rank->spare, rank->now_us);
    if (rank->now_us < rank->look_us)
        return;
    rank->look_us = rank->now_us + LOOK_US;
    uint32_t left = mn_members_count(rank->members);
    for (uint32_t i = 0; left > 0; i++) {
        mn_member *member = mn_members_at(rank->members, i);
        if (member->state == MN_MEMBER_GONE)
            continue;
        left--;
        tell_idle(rank, member, todo);
    }
}

void mn_rank_tell_wait(mn_rank *rank, mn_actions *todo)
{
    mn_note told = {.kind = MN_NOTE_WAITED};
    mn_note_round(&told, &rank->round);
    if (mn_waiting_close(&rank->waiting, rank->now_us, &told))
        mn_actions_add(todo, MN_DO_NOTE)->note = told;
}

/* At the pace of its last results, but never more than its threads had since then. */
static uint64_t thread_time_us(const mn_rank *rank, const mn_member *member, uint32_t tasks,
                               uint64_t since_us)
{
    const mn_round_kind kind = rank->round.kind;
    const uint64_t task_us =
        member->wave_us[kind] > 0 ? member->wave_us[kind] : rank->wave_us[kind];
    const uint64_t most_us =
        rank->now_us > since_us ? (rank->now_us - since_us) * member->threads : 0;
    const uint64_t needed_us = tasks * task_us;
    return (needed_us > 0 || tasks == 0) && needed_us < most_us ? needed_us : most_us;
}

static void tell_idle(const mn_rank *rank, mn_member *member, mn_actions *todo)
{
    if (member->state != MN_MEMBER_READY || member->idle_since_us == 0 || member->idle_told ||
        member->paused_until_us > 0 || rank->now_us - member->idle_since_us < IDLE_US)
        return;
    member->idle_told = true;
    mn_note *note = mn_rank_note(rank, MN_NOTE_IDLE, member->name, todo);
    note->span_us = rank->now_us - member->idle_since_us;
    const uint32_t n_tasks = rank->round.n_tasks;
    if (rank->round.id == 0)
        (void)snprintf(note->why, sizeof note->why,
                       "no round is open yet: not all ranks are there");
    else if (rank->config.only_rank && n_tasks < rank->threads)
        (void)snprintf(note->why, sizeof note->why,
                       "a round has %" PRIu32 " tasks (outer.batch, evaluate.tasks), and the pool "
                       "%" PRIu64 " threads",
                       n_tasks, rank->threads);
    else if (member->idle_since_us < rank->waiting.opened_us)
        (void)snprintf(note->why, sizeof note->why,
                       "rounds of %" PRIu32 " tasks go by, and others have them all", n_tasks);
    else if (rank->state == MN_RANK_OPEN)
        (void)snprintf(note->why, sizeof note->why,
                       "all %" PRIu32 " tasks of the round are given out or done", n_tasks);
    else
        (void)snprintf(note->why, sizeof note->why, "sums are added, theta steps");
}
