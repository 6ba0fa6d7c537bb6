#include "coordinator/core/rank.h"

#include "coordinator/core/rank_state.h"

#include "common/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIONS_A_MEMBER 16u
#define MAX_RETURNS 64u /* runs of tasks given back to the leader in one step */
#define MAX_TIME_MS (24u * 3600 * 1000)

enum move { ROUND, REDUCE, REDUCED, STOP, FAIL, N_MOVES };

/* The whole life of a rank; a cell left out is REFUSED. What comes early in REDUCING is kept and
 * moves later. */
static const mn_rank_state next_state[MN_N_RANK_STATES][N_MOVES] = {
    [MN_RANK_IDLE] = {[ROUND] = MN_RANK_OPEN, [STOP] = MN_RANK_STOPPED},
    [MN_RANK_OPEN] = {[REDUCE] = MN_RANK_REDUCING, [STOP] = MN_RANK_STOPPED},
    [MN_RANK_REDUCING] = {[REDUCED] = MN_RANK_IDLE, [FAIL] = MN_RANK_STOPPED},
};

static mn_status take_leader(mn_rank *rank, const mn_message *message, mn_actions *todo,
                             mn_error *err);
static mn_status take_round(mn_rank *rank, const mn_round *round, mn_actions *todo, mn_error *err);
static mn_status take_range(mn_rank *rank, const mn_range *range, mn_error *err);
static mn_status take_reduce(mn_rank *rank, uint64_t round, mn_actions *todo, mn_error *err);
static mn_status take_reduced(mn_rank *rank, uint64_t round, mn_actions *todo, mn_error *err);
static mn_status take_failure(mn_rank *rank, const mn_event *event, mn_actions *todo,
                              mn_error *err);
static void take_stop(mn_rank *rank, const char *why, mn_actions *todo);
static void open_round(mn_rank *rank, mn_actions *todo);
static void start_reduce(mn_rank *rank, mn_actions *todo);
static void stop(mn_rank *rank, enum move how, mn_actions *todo);
static bool next_is_here(const mn_rank *rank);
static bool takes_ranges(const mn_rank *rank);
static bool report(mn_rank *rank, mn_actions *todo);
static uint64_t wake_us(const mn_rank *rank);
static void move(mn_rank *rank, enum move move);

mn_status mn_rank_new(const mn_rank_config *config, mn_rank **out, mn_error *err)
{
    if (config->max_members == 0 || config->max_members > MN_LEASE_TABLE_MAX_MEMBERS ||
        config->silence_ms == 0 || config->silence_ms > MAX_TIME_MS ||
        config->lease_floor_ms == 0 || config->lease_floor_ms > MAX_TIME_MS ||
        config->train_columns == 0 || config->test_columns == 0)
        return mn_fail(
            err, MN_ERR_RANGE,
            "coordinator of %" PRIu32 " members, silence %" PRIu32 " ms, lease floor %" PRIu32
            " ms, %" PRIu32 " and %" PRIu32
            " columns: expected 1 to %u members, times of 1 ms to a day, at least 1 column",
            config->max_members, config->silence_ms, config->lease_floor_ms, config->train_columns,
            config->test_columns, MN_LEASE_TABLE_MAX_MEMBERS);
    mn_rank *rank = calloc(1, sizeof *rank);
    if (rank == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "coordinator");
    mn_status status = mn_members_new(config->max_members, &rank->members, err);
    if (status == MN_OK)
        status = mn_lease_table_new(config->max_members, MN_CREDIT, &rank->table, err);
    if (status == MN_OK)
        status = mn_deadlines_init(&rank->silences, config->max_members, err);
    if (status == MN_OK)
        status = mn_deadlines_init(&rank->pauses, config->max_members, err);
    if (status != MN_OK) {
        mn_rank_destroy(&rank);
        return status;
    }
    static const mn_digest unknown = {{0}};
    rank->config = *config;
    rank->class_open =
        config->external && memcmp(&config->numeric_class, &unknown, sizeof unknown) == 0;
    rank->state = MN_RANK_IDLE;
    rank->asked = UINT64_MAX;
    *out = rank;
    return MN_OK;
}

void mn_rank_destroy(mn_rank **rank)
{
    if (*rank == NULL)
        return;
    mn_members_destroy(&(*rank)->members);
    mn_lease_table_destroy(&(*rank)->table);
    mn_deadlines_fini(&(*rank)->silences);
    mn_deadlines_fini(&(*rank)->pauses);
    free(*rank);
    *rank = NULL;
}

mn_status mn_rank_step(mn_rank *rank, const mn_event *event, mn_actions *todo, mn_error *err)
{
    size_t most = ACTIONS_A_MEMBER * ((size_t)mn_members_count(rank->members) + 1) + MAX_RETURNS +
                  MN_MAX_KEPT + 16;
    mn_status status = mn_actions_reserve(todo, most, err);
    if (status != MN_OK)
        return status;
    if (event->now_us > rank->now_us)
        rank->now_us = event->now_us;

    switch (event->kind) {
    case MN_EVENT_LOCAL_POOL:
        status = mn_rank_take_local_pool(rank, event->threads, todo, err);
        break;
    case MN_EVENT_TICK:
        break;
    case MN_EVENT_FROM_WORKER:
        mn_rank_take_worker(rank, event, todo);
        break;
    case MN_EVENT_DAMAGED:
        mn_rank_take_damaged(rank, event, todo);
        break;
    case MN_EVENT_PEER_GONE:
        mn_rank_take_gone(rank, event->peer, todo);
        break;
    case MN_EVENT_FROM_LEADER:
        status = take_leader(rank, event->message, todo, err);
        break;
    case MN_EVENT_REDUCED:
        status = take_reduced(rank, event->round, todo, err);
        break;
    case MN_EVENT_FAILED:
        status = take_failure(rank, event, todo, err);
        break;
    case MN_EVENT_STOP_WANTED:
        mn_rank_want_stop(rank, event->text, todo);
        break;
    }
    if (status != MN_OK)
        return status;

    bool all_said = true;
    if (rank->state != MN_RANK_STOPPED) {
        mn_rank_take_time(rank, todo);
        if (rank->state == MN_RANK_OPEN)
            mn_rank_grant(rank, todo);
        mn_rank_watch(rank, todo);
        all_said = report(rank, todo);
    }
    todo->wake_us = all_said ? wake_us(rank) : rank->now_us;
    return MN_OK;
}

mn_rank_view mn_rank_look(const mn_rank *rank)
{
    return (mn_rank_view){
        .workers = rank->workers,
        .threads = rank->threads < UINT32_MAX ? (uint32_t)rank->threads : UINT32_MAX,
        .round = rank->round,
        .tasks = mn_lease_table_counts(rank->table),
        .numeric_class = rank->config.numeric_class,
        .mixed = rank->mixed,
        .stopped = rank->state == MN_RANK_STOPPED,
        .counts = rank->counts,
    };
}

const char *mn_doing_text(mn_doing doing)
{
    static const char *const texts[] = {
#define X(name, text) [name] = text,
        MN_DOING_LIST(X)
#undef X
    };
    return texts[doing];
}

static mn_doing doing_of(const mn_rank *rank, const mn_member *member, uint32_t leases)
{
    if (member->state == MN_MEMBER_LEAVING)
        return MN_DOES_LEAVE;
    if (member->state == MN_MEMBER_GREETED)
        return MN_DOES_BUILD;
    if (leases > 0)
        return MN_DOES_COMPUTE;
    if (member->paused_until_us > 0)
        return MN_DOES_PAUSE;
    return rank->state == MN_RANK_OPEN ? MN_DOES_WAIT_FOR_OTHERS : MN_DOES_WAIT_FOR_ROUND;
}

uint32_t mn_rank_members(const mn_rank *rank)
{
    return mn_members_count(rank->members);
}

uint32_t mn_rank_places(const mn_rank *rank)
{
    return mn_members_max(rank->members);
}

bool mn_rank_member(const mn_rank *rank, uint32_t place, mn_member_view *out)
{
    const mn_member *member = mn_members_at(rank->members, place);
    if (member->state == MN_MEMBER_GONE)
        return false;
    const uint32_t leases = mn_lease_table_hand(rank->table, place).leases;
    *out = (mn_member_view){.peer = member->peer,
                            .name = member->name,
                            .threads = member->threads,
                            .doing = doing_of(rank, member, leases),
                            .came_us = member->came_us,
                            .heard_us = member->heard_us,
                            .paused_until_us = member->paused_until_us,
                            .tasks = member->tasks,
                            .leases = leases,
                            .expired = member->expired,
                            .damaged = member->damaged};
    return true;
}

const mn_departure *mn_rank_departure(const mn_rank *rank, uint32_t i)
{
    if (i >= MN_MAX_DEPARTURES || i >= rank->n_departures)
        return NULL;
    return &rank->departures[(rank->n_departures - 1 - i) % MN_MAX_DEPARTURES];
}

void mn_rank_want_stop(mn_rank *rank, const char *why, mn_actions *todo)
{
    if (rank->stop_wanted || rank->state == MN_RANK_STOPPED)
        return;
    rank->stop_wanted = true;
    mn_action *wish = mn_actions_add(todo, MN_DO_TO_LEADER);
    wish->message = MN_MSG_STOP_WANTED;
    (void)snprintf(wish->log.text, sizeof wish->log.text, "%s",
                   why != NULL ? why : "stopped on request");
}

static mn_status take_leader(mn_rank *rank, const mn_message *message, mn_actions *todo,
                             mn_error *err)
{
    if (rank->state == MN_RANK_STOPPED)
        return MN_OK;
    switch ((unsigned)message->kind) {
    case MN_MSG_ROUND:
        return take_round(rank, &message->round, todo, err);
    case MN_MSG_RANGE:
        return take_range(rank, &message->range, err);
    case MN_MSG_REDUCE:
        return take_reduce(rank, message->range.round, todo, err);
    case MN_MSG_STOP:
        take_stop(rank, message->reject.reason, todo);
        return MN_OK;
    default:
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "message of kind %d from the leader: expected ROUND, RANGE, REDUCE or STOP",
                       (int)message->kind);
    }
}

static mn_status take_round(mn_rank *rank, const mn_round *round, mn_actions *todo, mn_error *err)
{
    bool early = rank->state == MN_RANK_REDUCING && !next_is_here(rank);
    if (rank->state != MN_RANK_IDLE && !early)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "round %" PRIu64 " is opened before round %" PRIu64 " was reduced",
                       round->id, rank->round.id);
    if (round->id <= rank->round.id || round->n_tasks == 0 || (unsigned)round->kind > MN_ROUND_TEST)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "round %" PRIu64 " of %" PRIu32 " tasks after round %" PRIu64
                       ": expected a later one with at least 1 task",
                       round->id, round->n_tasks, rank->round.id);
    mn_status status = mn_lease_table_reset(rank->table, round->n_tasks, err);
    if (status != MN_OK)
        return status;
    rank->round = *round;
    if (!early)
        open_round(rank, todo);
    return MN_OK;
}

static mn_status take_range(mn_rank *rank, const mn_range *range, mn_error *err)
{
    if (!takes_ranges(rank) || range->round != rank->round.id)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "tasks of round %" PRIu64 ", which is not open; the newest is %" PRIu64,
                       range->round, rank->round.id);
    mn_error why;
    if (mn_lease_table_add(rank->table, range->begin, range->n, &why) != MN_OK)
        return mn_fail(err, MN_ERR_PROTOCOL, "range of the leader: %s", why.message);
    return MN_OK;
}

static mn_status take_reduce(mn_rank *rank, uint64_t round, mn_actions *todo, mn_error *err)
{
    mn_task_counts tasks = mn_lease_table_counts(rank->table);
    if (!takes_ranges(rank) || round != rank->round.id || rank->reduce_kept ||
        tasks.done != tasks.total)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "told to reduce round %" PRIu64 " while %" PRIu32 " of this rank's %" PRIu32
                       " tasks of round %" PRIu64 " are done",
                       round, tasks.done, tasks.total, rank->round.id);
    if (rank->state == MN_RANK_REDUCING)
        rank->reduce_kept = true;
    else
        start_reduce(rank, todo);
    return MN_OK;
}

/* The shell has left the allreduce: take up what came meanwhile, in the order in which it must have
 * come. */
static mn_status take_reduced(mn_rank *rank, uint64_t round, mn_actions *todo, mn_error *err)
{
    if (rank->state != MN_RANK_REDUCING || round != rank->reducing)
        return mn_fail(err, MN_ERR_PROTOCOL, "round %" PRIu64 " was not in the allreduce", round);
    bool next = next_is_here(rank);
    move(rank, REDUCED);
    if (next)
        open_round(rank, todo);
    if (rank->reduce_kept)
        start_reduce(rank, todo);
    else if (rank->stop_kept)
        stop(rank, STOP, todo);
    return MN_OK;
}

/* All ranks leave the allreduce with the same failure, so nobody waits for anybody. */
static mn_status take_failure(mn_rank *rank, const mn_event *event, mn_actions *todo, mn_error *err)
{
    if (rank->state != MN_RANK_REDUCING || event->round != rank->reducing)
        return mn_fail(err, MN_ERR_PROTOCOL, "round %" PRIu64 " was not in the allreduce",
                       event->round);
    (void)snprintf(rank->why, sizeof rank->why, "%s",
                   event->text != NULL ? event->text : "the run failed");
    stop(rank, FAIL, todo);
    return MN_OK;
}

/* Other ranks may be inside the allreduce already: one that was begun is ended first. */
static void take_stop(mn_rank *rank, const char *why, mn_actions *todo)
{
    (void)mn_text_cut(why, rank->why, sizeof rank->why);
    if (rank->state == MN_RANK_REDUCING)
        rank->stop_kept = true;
    else
        stop(rank, STOP, todo);
}

static void open_round(mn_rank *rank, mn_actions *todo)
{
    move(rank, ROUND);
    mn_actions_add(todo, MN_DO_OPEN_ROUND)->round = rank->round;
    mn_rank_queue_all(rank);
    mn_waiting_open(&rank->waiting, rank->now_us);
}

static void start_reduce(mn_rank *rank, mn_actions *todo)
{
    move(rank, REDUCE);
    rank->reducing = rank->round.id;
    rank->reduce_kept = false;
    mn_rank_tell_wait(rank, todo);
    mn_rank_write_off_all(rank, "others had done the same tasks when the round ended", todo);
    (void)mn_lease_table_reset(rank->table, 0, NULL); /* 0 tasks take no memory: it cannot fail */
    mn_actions_add(todo, MN_DO_START_REDUCE)->round = rank->round;
}

static void stop(mn_rank *rank, enum move how, mn_actions *todo)
{
    move(rank, how);
    (void)mn_lease_table_reset(rank->table, 0, NULL);
    mn_rank_dismiss(rank, rank->why, todo);
    mn_action *last = mn_actions_add(todo, MN_DO_STOP);
    (void)snprintf(last->log.text, sizeof last->log.text, "%s", rank->why);
}

/* Has the round after the one in the allreduce been announced? */
static bool next_is_here(const mn_rank *rank)
{
    return rank->state == MN_RANK_REDUCING && rank->round.id != rank->reducing;
}

static bool takes_ranges(const mn_rank *rank)
{
    return rank->state == MN_RANK_OPEN || next_is_here(rank);
}

/* Tell the leader how many threads there are and, if none, give back what is not begun. The number
 * goes first, or the leader would send the tasks straight back. false: there is more to give back.
 */
static bool report(mn_rank *rank, mn_actions *todo)
{
    if (rank->threads != rank->asked) {
        rank->asked = rank->threads;
        mn_action *ask = mn_actions_add(todo, MN_DO_TO_LEADER);
        ask->message = MN_MSG_ASK;
        ask->threads = rank->threads < UINT32_MAX ? (uint32_t)rank->threads : UINT32_MAX;
    }
    if (rank->threads > 0)
        return true;
    mn_range range = {.round = rank->round.id};
    for (uint32_t i = 0; i < MAX_RETURNS; i++) {
        if (!mn_lease_table_take_back(rank->table, UINT32_MAX, &range.begin, &range.n))
            return true;
        mn_action *returned = mn_actions_add(todo, MN_DO_TO_LEADER);
        returned->message = MN_MSG_RETURNED;
        returned->range = range;
    }
    return mn_lease_table_counts(rank->table).free == 0;
}

static uint64_t wake_us(const mn_rank *rank)
{
    if (rank->state == MN_RANK_STOPPED)
        return MN_NEVER;
    uint64_t at_us = mn_lease_table_next_deadline(rank->table);
    const mn_deadline *silence = mn_deadlines_first(&rank->silences);
    const mn_deadline *pause = mn_deadlines_first(&rank->pauses);
    if (silence != NULL && silence->due_us < at_us)
        at_us = silence->due_us;
    if (pause != NULL && pause->due_us < at_us)
        at_us = pause->due_us;
    return at_us;
}

static void move(mn_rank *rank, enum move move)
{
    mn_rank_state next = next_state[rank->state][move];
    assert(next != MN_RANK_REFUSED);
    rank->state = next;
}
