#include "coordinator/coord.h"

#include "coordinator/coord_state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ACTIONS_A_MEMBER 8u
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

static mn_status take_leader(mn_coord *coord, const mn_message *message, mn_actions *todo,
                             mn_error *err);
static mn_status take_round(mn_coord *coord, const mn_round *round, mn_actions *todo,
                            mn_error *err);
static mn_status take_range(mn_coord *coord, const mn_range *range, mn_error *err);
static mn_status take_reduce(mn_coord *coord, uint64_t round, mn_actions *todo, mn_error *err);
static mn_status take_reduced(mn_coord *coord, uint64_t round, mn_actions *todo, mn_error *err);
static mn_status take_failure(mn_coord *coord, const mn_event *event, mn_actions *todo,
                              mn_error *err);
static void take_stop(mn_coord *coord, const char *why, mn_actions *todo);
static void open_round(mn_coord *coord, mn_actions *todo);
static void start_reduce(mn_coord *coord, mn_actions *todo);
static void stop(mn_coord *coord, enum move how, mn_actions *todo);
static bool next_is_here(const mn_coord *coord);
static bool takes_ranges(const mn_coord *coord);
static bool report(mn_coord *coord, mn_actions *todo);
static uint64_t wake_us(const mn_coord *coord);
static void move(mn_coord *coord, enum move move);

mn_status mn_coord_new(const mn_coord_config *config, mn_coord **out, mn_error *err)
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
    mn_coord *coord = calloc(1, sizeof *coord);
    if (coord == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "coordinator");
    mn_status status = mn_members_new(config->max_members, &coord->members, err);
    if (status == MN_OK)
        status = mn_lease_table_new(config->max_members, MN_CREDIT, &coord->table, err);
    if (status == MN_OK)
        status = mn_deadlines_init(&coord->silences, config->max_members, err);
    if (status == MN_OK)
        status = mn_deadlines_init(&coord->pauses, config->max_members, err);
    if (status != MN_OK) {
        mn_coord_destroy(&coord);
        return status;
    }
    coord->config = *config;
    coord->state = MN_RANK_IDLE;
    coord->asked = UINT64_MAX;
    *out = coord;
    return MN_OK;
}

void mn_coord_destroy(mn_coord **coord)
{
    if (*coord == NULL)
        return;
    mn_members_destroy(&(*coord)->members);
    mn_lease_table_destroy(&(*coord)->table);
    mn_deadlines_fini(&(*coord)->silences);
    mn_deadlines_fini(&(*coord)->pauses);
    free(*coord);
    *coord = NULL;
}

mn_status mn_coord_step(mn_coord *coord, const mn_event *event, mn_actions *todo, mn_error *err)
{
    size_t most = ACTIONS_A_MEMBER * ((size_t)mn_members_count(coord->members) + 1) + MAX_RETURNS +
                  MN_MAX_KEPT + 16;
    mn_status status = mn_actions_reserve(todo, most, err);
    if (status != MN_OK)
        return status;
    if (event->now_us > coord->now_us)
        coord->now_us = event->now_us;

    switch (event->kind) {
    case MN_EVENT_LOCAL_POOL:
        status = mn_coord_take_local_pool(coord, event->threads, err);
        break;
    case MN_EVENT_TICK:
        break;
    case MN_EVENT_FROM_WORKER:
        mn_coord_take_worker(coord, event, todo);
        break;
    case MN_EVENT_DAMAGED:
        mn_coord_take_damaged(coord, event, todo);
        break;
    case MN_EVENT_PEER_GONE:
        mn_coord_take_gone(coord, event->peer, todo);
        break;
    case MN_EVENT_FROM_LEADER:
        status = take_leader(coord, event->message, todo, err);
        break;
    case MN_EVENT_REDUCED:
        status = take_reduced(coord, event->round, todo, err);
        break;
    case MN_EVENT_FAILED:
        status = take_failure(coord, event, todo, err);
        break;
    case MN_EVENT_STOP_WANTED:
        mn_coord_want_stop(coord, event->text, todo);
        break;
    }
    if (status != MN_OK)
        return status;

    bool all_said = true;
    if (coord->state != MN_RANK_STOPPED) {
        mn_coord_take_time(coord, todo);
        if (coord->state == MN_RANK_OPEN)
            mn_coord_grant(coord, todo);
        all_said = report(coord, todo);
    }
    todo->wake_us = all_said ? wake_us(coord) : coord->now_us;
    return MN_OK;
}

mn_coord_view mn_coord_look(const mn_coord *coord)
{
    return (mn_coord_view){
        .workers = coord->workers,
        .threads = coord->threads < UINT32_MAX ? (uint32_t)coord->threads : UINT32_MAX,
        .round = coord->round,
        .tasks = mn_lease_table_counts(coord->table),
        .mixed = coord->mixed,
        .stopped = coord->state == MN_RANK_STOPPED,
        .counts = coord->counts,
    };
}

void mn_coord_want_stop(mn_coord *coord, const char *why, mn_actions *todo)
{
    if (coord->stop_wanted || coord->state == MN_RANK_STOPPED)
        return;
    coord->stop_wanted = true;
    mn_action *wish = mn_actions_add(todo, MN_DO_TO_LEADER);
    wish->message = MN_MSG_STOP_WANTED;
    (void)snprintf(wish->log.text, sizeof wish->log.text, "%s",
                   why != NULL ? why : "stopped on request");
}

static mn_status take_leader(mn_coord *coord, const mn_message *message, mn_actions *todo,
                             mn_error *err)
{
    if (coord->state == MN_RANK_STOPPED)
        return MN_OK;
    switch ((unsigned)message->kind) {
    case MN_MSG_ROUND:
        return take_round(coord, &message->round, todo, err);
    case MN_MSG_RANGE:
        return take_range(coord, &message->range, err);
    case MN_MSG_REDUCE:
        return take_reduce(coord, message->range.round, todo, err);
    case MN_MSG_STOP:
        take_stop(coord, message->reject.reason, todo);
        return MN_OK;
    default:
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "message of kind %d from the leader: expected ROUND, RANGE, REDUCE or STOP",
                       (int)message->kind);
    }
}

static mn_status take_round(mn_coord *coord, const mn_round *round, mn_actions *todo, mn_error *err)
{
    bool early = coord->state == MN_RANK_REDUCING && !next_is_here(coord);
    if (coord->state != MN_RANK_IDLE && !early)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "round %" PRIu64 " is opened before round %" PRIu64 " was reduced",
                       round->id, coord->round.id);
    if (round->id <= coord->round.id || round->n_tasks == 0 ||
        (unsigned)round->kind > MN_ROUND_TEST)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "round %" PRIu64 " of %" PRIu32 " tasks after round %" PRIu64
                       ": expected a later one with at least 1 task",
                       round->id, round->n_tasks, coord->round.id);
    mn_status status = mn_lease_table_reset(coord->table, round->n_tasks, err);
    if (status != MN_OK)
        return status;
    coord->round = *round;
    if (!early)
        open_round(coord, todo);
    return MN_OK;
}

static mn_status take_range(mn_coord *coord, const mn_range *range, mn_error *err)
{
    if (!takes_ranges(coord) || range->round != coord->round.id)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "tasks of round %" PRIu64 ", which is not open; the newest is %" PRIu64,
                       range->round, coord->round.id);
    mn_error why;
    if (mn_lease_table_add(coord->table, range->begin, range->n, &why) != MN_OK)
        return mn_fail(err, MN_ERR_PROTOCOL, "range of the leader: %s", why.message);
    return MN_OK;
}

static mn_status take_reduce(mn_coord *coord, uint64_t round, mn_actions *todo, mn_error *err)
{
    mn_task_counts tasks = mn_lease_table_counts(coord->table);
    if (!takes_ranges(coord) || round != coord->round.id || coord->reduce_kept ||
        tasks.done != tasks.total)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "told to reduce round %" PRIu64 " while %" PRIu32 " of this rank's %" PRIu32
                       " tasks of round %" PRIu64 " are done",
                       round, tasks.done, tasks.total, coord->round.id);
    if (coord->state == MN_RANK_REDUCING)
        coord->reduce_kept = true;
    else
        start_reduce(coord, todo);
    return MN_OK;
}

/* The shell has left the allreduce: take up what came meanwhile, in the order in which it must have
 * come. */
static mn_status take_reduced(mn_coord *coord, uint64_t round, mn_actions *todo, mn_error *err)
{
    if (coord->state != MN_RANK_REDUCING || round != coord->reducing)
        return mn_fail(err, MN_ERR_PROTOCOL, "round %" PRIu64 " was not in the allreduce", round);
    bool next = next_is_here(coord);
    move(coord, REDUCED);
    if (next)
        open_round(coord, todo);
    if (coord->reduce_kept)
        start_reduce(coord, todo);
    else if (coord->stop_kept)
        stop(coord, STOP, todo);
    return MN_OK;
}

/* All ranks leave the allreduce with the same failure, so nobody waits for anybody. */
static mn_status take_failure(mn_coord *coord, const mn_event *event, mn_actions *todo,
                              mn_error *err)
{
    if (coord->state != MN_RANK_REDUCING || event->round != coord->reducing)
        return mn_fail(err, MN_ERR_PROTOCOL, "round %" PRIu64 " was not in the allreduce",
                       event->round);
    (void)snprintf(coord->why, sizeof coord->why, "%s",
                   event->text != NULL ? event->text : "the run failed");
    stop(coord, FAIL, todo);
    return MN_OK;
}

/* Other ranks may be inside the allreduce already: one that was begun is ended first. */
static void take_stop(mn_coord *coord, const char *why, mn_actions *todo)
{
    (void)snprintf(coord->why, sizeof coord->why, "%s", why);
    if (coord->state == MN_RANK_REDUCING)
        coord->stop_kept = true;
    else
        stop(coord, STOP, todo);
}

static void open_round(mn_coord *coord, mn_actions *todo)
{
    move(coord, ROUND);
    mn_actions_add(todo, MN_DO_OPEN_ROUND)->round = coord->round;
    mn_coord_queue_all(coord);
}

static void start_reduce(mn_coord *coord, mn_actions *todo)
{
    move(coord, REDUCE);
    coord->reducing = coord->round.id;
    coord->reduce_kept = false;
    (void)mn_lease_table_reset(coord->table, 0, NULL); /* 0 tasks take no memory: it cannot fail */
    mn_actions_add(todo, MN_DO_START_REDUCE)->round = coord->round;
}

static void stop(mn_coord *coord, enum move how, mn_actions *todo)
{
    move(coord, how);
    (void)mn_lease_table_reset(coord->table, 0, NULL);
    mn_coord_dismiss(coord, coord->why, todo);
    mn_action *last = mn_actions_add(todo, MN_DO_STOP);
    (void)snprintf(last->log.text, sizeof last->log.text, "%s", coord->why);
}

/* Has the round after the one in the allreduce been announced? */
static bool next_is_here(const mn_coord *coord)
{
    return coord->state == MN_RANK_REDUCING && coord->round.id != coord->reducing;
}

static bool takes_ranges(const mn_coord *coord)
{
    return coord->state == MN_RANK_OPEN || next_is_here(coord);
}

/* Tell the leader how many threads there are and, if none, give back what is not begun. The number
 * goes first, or the leader would send the tasks straight back. false: there is more to give back.
 */
static bool report(mn_coord *coord, mn_actions *todo)
{
    if (coord->threads != coord->asked) {
        coord->asked = coord->threads;
        mn_action *ask = mn_actions_add(todo, MN_DO_TO_LEADER);
        ask->message = MN_MSG_ASK;
        ask->threads = coord->threads < UINT32_MAX ? (uint32_t)coord->threads : UINT32_MAX;
    }
    if (coord->threads > 0)
        return true;
    mn_range range = {.round = coord->round.id};
    for (uint32_t i = 0; i < MAX_RETURNS; i++) {
        if (!mn_lease_table_take_back(coord->table, UINT32_MAX, &range.begin, &range.n))
            return true;
        mn_action *returned = mn_actions_add(todo, MN_DO_TO_LEADER);
        returned->message = MN_MSG_RETURNED;
        returned->range = range;
    }
    return mn_lease_table_counts(coord->table).free == 0;
}

static uint64_t wake_us(const mn_coord *coord)
{
    if (coord->state == MN_RANK_STOPPED)
        return MN_NEVER;
    uint64_t at_us = mn_lease_table_next_deadline(coord->table);
    const mn_deadline *silence = mn_deadlines_first(&coord->silences);
    const mn_deadline *pause = mn_deadlines_first(&coord->pauses);
    if (silence != NULL && silence->due_us < at_us)
        at_us = silence->due_us;
    if (pause != NULL && pause->due_us < at_us)
        at_us = pause->due_us;
    return at_us;
}

static void move(mn_coord *coord, enum move move)
{
    mn_rank_state next = next_state[coord->state][move];
    assert(next != MN_RANK_REFUSED);
    coord->state = next;
}
