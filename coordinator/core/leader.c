#include "coordinator/core/leader.h"

#include "coordinator/core/lease_table.h"
#include "coordinator/core/waiting.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum state { REFUSED, GATHERING, RUNNING, REDUCING, ENDED, N_STATES };
enum move { OPEN, CLOSE, END, N_MOVES };

/* The whole life of a leader; a cell left out is REFUSED. REDUCING takes END only once the round is
 * over. */
static const enum state next_state[N_STATES][N_MOVES] = {
    [GATHERING] = {[OPEN] = RUNNING, [END] = ENDED},
    [RUNNING] = {[CLOSE] = REDUCING, [END] = ENDED},
    [REDUCING] = {[OPEN] = RUNNING, [END] = ENDED},
};

/* Where the program of rounds stands: what comes next. */
enum stage { VALIDATE, TRAIN, TEST, OVER };

struct rank {
    bool asked;
    uint32_t threads;
    uint32_t spare; /* as many, if it has no tasks in hand */
};

struct mn_leader {
    mn_program plan;
    enum state state;
    enum stage stage;
    uint64_t step; /* outer steps made */
    mn_round round;
    uint32_t n_ranks, n_asked;
    uint64_t threads; /* of all ranks */
    uint64_t spare;   /* of those that have no tasks in hand */
    uint64_t now_us;
    mn_waiting waiting;
    struct rank *ranks;    /* [n_ranks]; owned */
    mn_lease_table *table; /* which rank holds what of the round; owned */
    bool stop_wanted;
    bool complete;
    char why[512]; /* of stop_wanted */
};

static mn_status take_message(mn_leader *leader, const mn_leader_event *event, mn_actions *todo,
                              mn_error *err);
static mn_status take_range(mn_leader *leader, uint32_t rank, const mn_message *message,
                            mn_error *err);
static void take_ask(mn_leader *leader, uint32_t rank, uint32_t threads);
static void want_stop(mn_leader *leader, const char *why, mn_actions *todo);
static mn_status go_on(mn_leader *leader, mn_actions *todo, mn_error *err);
static bool next_round(mn_leader *leader, mn_round *round);
static void hand_out(mn_leader *leader, mn_actions *todo);
static void weigh(mn_leader *leader, uint32_t rank);
static void watch(mn_leader *leader);
static void tell_wait(mn_leader *leader, mn_actions *todo);
static void end(mn_leader *leader, mn_actions *todo);
static void move(mn_leader *leader, enum move move);
static mn_action *tell(mn_actions *todo, uint32_t rank, mn_message_kind kind);

mn_status mn_leader_new(const mn_program *plan, uint32_t n_ranks, mn_leader **out, mn_error *err)
{
    uint64_t last;
    if (n_ranks == 0 || n_ranks > MN_MAX_RANKS)
        return mn_fail(err, MN_ERR_RANGE, "%" PRIu32 " ranks: expected 1 to %u", n_ranks,
                       MN_MAX_RANKS);
    if (plan->start > plan->steps)
        return mn_fail(err, MN_ERR_RANGE,
                       "start at step %" PRIu64 " of %" PRIu64
                       ": expected at most the number of steps",
                       plan->start, plan->steps);
    if (plan->start < plan->steps && (plan->batch == 0 || plan->batch > MN_MAX_ROUND_TASKS ||
                                      __builtin_mul_overflow(plan->steps, plan->batch, &last)))
        return mn_fail(err, MN_ERR_RANGE,
                       "%" PRIu64 " steps of %" PRIu32
                       " tasks: expected 1 to %u tasks a step and less "
                       "than 2^64 in all",
                       plan->steps, plan->batch, MN_MAX_ROUND_TASKS);
    bool validates = plan->val_every > 0 || plan->val_due;
    if ((validates && plan->val_tasks == 0) || plan->val_tasks > MN_MAX_ROUND_TASKS ||
        plan->test_tasks > MN_MAX_ROUND_TASKS)
        return mn_fail(err, MN_ERR_RANGE,
                       "evaluation on %" PRIu32 " val and %" PRIu32
                       " test tasks: expected at most %u, "
                       "and at least 1 val task where validation is on",
                       plan->val_tasks, plan->test_tasks, MN_MAX_ROUND_TASKS);

    mn_leader *leader = calloc(1, sizeof *leader);
    mn_status status = leader != NULL ? MN_OK : MN_ERR_NOMEM;
    if (status == MN_OK) {
        leader->ranks = calloc(n_ranks, sizeof *leader->ranks);
        status = leader->ranks != NULL
                     ? mn_lease_table_new(n_ranks, MN_RANGES_PER_RANK, &leader->table, err)
                     : MN_ERR_NOMEM;
    }
    if (status != MN_OK) {
        mn_leader_destroy(&leader);
        return mn_fail(err, MN_ERR_NOMEM, "leader of %" PRIu32 " ranks", n_ranks);
    }
    leader->plan = *plan;
    leader->state = GATHERING;
    leader->stage = plan->val_due ? VALIDATE : TRAIN;
    leader->step = plan->start;
    leader->n_ranks = n_ranks;
    *out = leader;
    return MN_OK;
}

void mn_leader_destroy(mn_leader **leader)
{
    if (*leader == NULL)
        return;
    mn_lease_table_destroy(&(*leader)->table);
    free((*leader)->ranks);
    free(*leader);
    *leader = NULL;
}

mn_status mn_leader_step(mn_leader *leader, const mn_leader_event *event, mn_actions *todo,
                         mn_error *err)
{
    if (leader->state == ENDED)
        return MN_OK;
    mn_status status =
        mn_actions_reserve(todo, (MN_RANGES_PER_RANK + 2) * (size_t)leader->n_ranks + 8, err);
    if (status != MN_OK)
        return status;

    bool over = false;
    if (event->now_us > leader->now_us)
        leader->now_us = event->now_us;
    switch (event->kind) {
    case MN_LEADER_MESSAGE:
        status = take_message(leader, event, todo, err);
        break;
    case MN_LEADER_ROUND_OVER:
        over = leader->state == REDUCING && event->round == leader->round.id;
        if (!over)
            status = mn_fail(err, MN_ERR_PROTOCOL,
                             "round %" PRIu64
                             " is said to be over, but the leader is in round %" PRIu64 " and %s",
                             event->round, leader->round.id,
                             leader->state == REDUCING ? "reduces it" : "does not reduce");
        else if (event->enough)
            leader->plan.steps = leader->step;
        break;
    case MN_LEADER_STOP_WANTED:
        want_stop(leader, event->text, todo);
        break;
    }
    if (status != MN_OK)
        return status;

    bool gathered = leader->state == GATHERING && leader->n_asked == leader->n_ranks;
    if (gathered || over) {
        status = go_on(leader, todo, err);
    } else if (leader->state == RUNNING && leader->stop_wanted) {
        end(leader, todo);
    } else if (leader->state == RUNNING &&
               mn_lease_table_counts(leader->table).done == leader->round.n_tasks) {
        move(leader, CLOSE);
        tell_wait(leader, todo);
        for (uint32_t rank = 0; rank < leader->n_ranks; rank++)
            tell(todo, rank, MN_MSG_REDUCE)->round = leader->round;
    }
    hand_out(leader, todo);
    watch(leader);
    return status;
}

mn_leader_progress mn_leader_look(const mn_leader *leader)
{
    return (mn_leader_progress){
        .round = leader->round,
        .done = mn_lease_table_counts(leader->table).done,
        .threads = leader->threads < UINT32_MAX ? (uint32_t)leader->threads : UINT32_MAX,
        .ended = leader->state == ENDED,
        .complete = leader->complete,
    };
}

static mn_status take_message(mn_leader *leader, const mn_leader_event *event, mn_actions *todo,
                              mn_error *err)
{
    const mn_message *message = event->message;
    if (event->rank >= leader->n_ranks)
        return mn_fail(err, MN_ERR_PROTOCOL, "message from rank %" PRIu32 ": there are %" PRIu32,
                       event->rank, leader->n_ranks);
    switch ((unsigned)message->kind) {
    case MN_MSG_ASK:
        take_ask(leader, event->rank, message->ask.threads);
        return MN_OK;
    case MN_MSG_SETTLED:
    case MN_MSG_RETURNED:
        return take_range(leader, event->rank, message, err);
    case MN_MSG_STOP_WANTED:
        want_stop(leader, message->reject.reason, todo);
        return MN_OK;
    default:
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "message of kind %d from rank %" PRIu32
                       " to the leader: expected ASK, SETTLED, RETURNED or STOP_WANTED",
                       (int)message->kind, event->rank);
    }
}

static void take_ask(mn_leader *leader, uint32_t rank, uint32_t threads)
{
    struct rank *asking = &leader->ranks[rank];
    if (!asking->asked)
        leader->n_asked++;
    leader->threads += threads;
    leader->threads -= asking->threads;
    asking->asked = true;
    asking->threads = threads;
    weigh(leader, rank);
}

static mn_status take_range(mn_leader *leader, uint32_t rank, const mn_message *message,
                            mn_error *err)
{
    const mn_range *range = &message->range;
    bool settled = message->kind == MN_MSG_SETTLED;
    mn_status status =
        leader->state == RUNNING && range->round == leader->round.id ? MN_OK : MN_ERR_STALE;
    if (status == MN_OK)
        status =
            settled
                ? mn_lease_table_settle_range(leader->table, rank, range->begin, range->n, NULL)
                : mn_lease_table_release_range(leader->table, rank, range->begin, range->n, NULL);
    if (status != MN_OK)
        return mn_fail(err, MN_ERR_PROTOCOL,
                       "rank %" PRIu32 " %s tasks %" PRIu32 " to %" PRIu64 " of round %" PRIu64
                       ", which it does not hold; the leader is in round %" PRIu64,
                       rank, settled ? "settled" : "returned", range->begin,
                       (uint64_t)range->begin + range->n, range->round, leader->round.id);
    if (settled && leader->waiting.waits) {
        char name[MN_NOTE_NAME];
        (void)snprintf(name, sizeof name, "rank %" PRIu32, rank);
        mn_waiting_blame(&leader->waiting, name);
    }
    weigh(leader, rank);
    return MN_OK;
}

static void want_stop(mn_leader *leader, const char *why, mn_actions *todo)
{
    if (leader->stop_wanted)
        return;
    leader->stop_wanted = true;
    (void)snprintf(leader->why, sizeof leader->why, "%.500s",
                   why != NULL && *why != '\0' ? why : "stopped on request");
    mn_actions_log(todo, MN_LOG_INFO, "stop wanted: %.400s", leader->why);
}

/* All ranks are there and in no round: open the next one, or end. */
static mn_status go_on(mn_leader *leader, mn_actions *todo, mn_error *err)
{
    mn_round round;
    if (!next_round(leader, &round) || leader->stop_wanted) {
        end(leader, todo);
        return MN_OK;
    }
    mn_status status = mn_lease_table_reset(leader->table, round.n_tasks, err);
    if (status == MN_OK)
        status = mn_lease_table_add(leader->table, 0, round.n_tasks, err);
    if (status != MN_OK)
        return status;
    leader->round = round;
    move(leader, OPEN);
    mn_waiting_open(&leader->waiting, leader->now_us);
    for (uint32_t rank = 0; rank < leader->n_ranks; rank++)
        weigh(leader, rank);
    for (uint32_t rank = 0; rank < leader->n_ranks; rank++)
        tell(todo, rank, MN_MSG_ROUND)->round = round;
    return MN_OK;
}

/* The program, as a story: what is next, and what will be after it. false: nothing is left. Where it
 * pauses, a stop is wanted. */
static bool next_round(mn_leader *leader, mn_round *round)
{
    const mn_program *plan = &leader->plan;
    *round = (mn_round){.id = leader->round.id + 1, .step = leader->step};
    if (leader->stage == VALIDATE) {
        leader->stage = TRAIN;
        round->kind = MN_ROUND_TEST;
        round->split = MN_VAL;
        round->step |= plan->averages ? MN_AVERAGE : 0;
        round->n_tasks = plan->val_tasks;
        return true;
    }
    if (leader->stage == TRAIN && leader->step < plan->steps && plan->pause > 0 &&
        leader->step >= plan->pause) {
        leader->stop_wanted = true;
        (void)snprintf(leader->why, sizeof leader->why, "it pauses there, as --until says");
        return true;
    }
    if (leader->stage == TRAIN && leader->step < plan->steps) {
        round->kind = MN_ROUND_TRAIN;
        round->split = MN_TRAIN;
        round->first_task = leader->step * plan->batch;
        round->n_tasks = plan->batch;
        leader->step++;
        if (plan->val_every > 0 && leader->step % plan->val_every == 0)
            leader->stage = VALIDATE;
        return true;
    }
    leader->complete = leader->stage == OVER || plan->test_tasks == 0;
    leader->stage = OVER;
    round->kind = MN_ROUND_TEST;
    round->split = MN_TEST;
    round->step += plan->keep_best || plan->averages;
    round->n_tasks = plan->test_tasks;
    return !leader->complete;
}

/* Give free tasks to the ranks, one range each in turn, until all have enough in hand. One rank
 * gets all. */
static void hand_out(mn_leader *leader, mn_actions *todo)
{
    bool given = leader->state == RUNNING;
    while (given) {
        given = false;
        for (uint32_t rank = 0; rank < leader->n_ranks; rank++) {
            uint32_t free = mn_lease_table_counts(leader->table).free;
            uint32_t threads = leader->ranks[rank].threads;
            if (free == 0)
                return;
            if (threads == 0 ||
                mn_lease_table_hand(leader->table, rank).leases >= MN_RANGES_PER_RANK)
                continue;
            uint32_t all = leader->threads < UINT32_MAX ? (uint32_t)leader->threads : UINT32_MAX;
            uint32_t n = leader->n_ranks == 1 ? free : mn_lease_size(free, threads, all);
            mn_grant grant;
            if (mn_lease_table_grant(leader->table, rank, n, 0, MN_NEVER, 0, &grant, NULL) != MN_OK)
                continue;
            tell(todo, rank, MN_MSG_RANGE)->range =
                (mn_range){.round = leader->round.id, .begin = grant.begin, .n = grant.n};
            weigh(leader, rank);
            given = true;
        }
    }
}

static void weigh(mn_leader *leader, uint32_t rank)
{
    struct rank *at = &leader->ranks[rank];
    const uint32_t spare = mn_lease_table_hand(leader->table, rank).leases > 0 ? 0 : at->threads;
    leader->spare += spare;
    leader->spare -= at->spare;
    at->spare = spare;
}

/* Of a rank that is alone its own core tells. */
static void watch(mn_leader *leader)
{
    const mn_task_counts tasks = mn_lease_table_counts(leader->table);
    const bool scarce = tasks.free == 0 && tasks.held > 0 && 2 * leader->spare >= leader->threads;
    const bool alone = leader->threads == 0;
    mn_waiting_look(&leader->waiting,
                    leader->state == RUNNING && leader->n_ranks > 1 && (scarce || alone),
                    leader->spare, leader->now_us);
}

static void tell_wait(mn_leader *leader, mn_actions *todo)
{
    mn_note told = {.kind = MN_NOTE_WAITED};
    mn_note_round(&told, &leader->round);
    if (mn_waiting_close(&leader->waiting, leader->now_us, &told))
        mn_actions_add(todo, MN_DO_NOTE)->note = told;
}

static void end(mn_leader *leader, mn_actions *todo)
{
    move(leader, END);
    for (uint32_t rank = 0; rank < leader->n_ranks; rank++)
        (void)snprintf(tell(todo, rank, MN_MSG_STOP)->log.text, sizeof leader->why, "%s",
                       leader->complete ? "" : leader->why);
}

static void move(mn_leader *leader, enum move move)
{
    enum state next = next_state[leader->state][move];
    assert(next != REFUSED);
    leader->state = next;
}

static mn_action *tell(mn_actions *todo, uint32_t rank, mn_message_kind kind)
{
    mn_action *action = mn_actions_add(todo, MN_DO_TO_RANK);
    action->rank = rank;
    action->message = kind;
    return action;
}
