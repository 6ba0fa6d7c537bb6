#include "tests/sim/cluster_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void perform(mn_sim_cluster *sim, uint32_t rank, const mn_action *action,
                    const mn_sim_note *note);
static void send(mn_sim_cluster *sim, uint32_t rank, const mn_action *action);
static void accept(mn_sim_cluster *sim, uint32_t rank, const mn_action *action,
                   const mn_sim_note *note);
static void count(mn_sim_cluster *sim, uint32_t rank, uint32_t begin, uint32_t n);
static void enter(mn_sim_cluster *sim, uint32_t rank, const mn_round *round);
static void lease_local(mn_sim_cluster *sim, uint32_t rank, const mn_lease *lease);
static void leader_link(mn_sim_cluster *sim, uint32_t rank, const mn_action *action, bool up);
static void set_timer(mn_sim_cluster *sim, uint32_t rank, uint64_t wake_us);
static void check(mn_sim_cluster *sim, uint32_t rank);

void mn_sim_rank_event(mn_sim_cluster *sim, uint32_t rank, const mn_event *event,
                       const mn_sim_note *note)
{
    mn_error err = {0};
    mn_sim_rank *at = &sim->ranks[rank];
    mn_actions_clear(&sim->todo);
    if (mn_rank_step(at->rank, event, &sim->todo, &err) != MN_OK) {
        mn_sim_fail(sim, "rank %" PRIu32 ": %s", rank, err.message);
        return;
    }
    for (size_t i = 0; i < sim->todo.n && sim->report.ok; i++)
        perform(sim, rank, &sim->todo.list[i], note);
    if (sim->todo.capacity > 18 * ((size_t)sim->options.workers + 16) * 8)
        mn_sim_fail(sim, "rank %" PRIu32 " takes memory for %zu actions", rank, sim->todo.capacity);
    set_timer(sim, rank, sim->todo.wake_us);
    check(sim, rank);
}

void mn_sim_leader_event(mn_sim_cluster *sim, const mn_leader_event *event)
{
    mn_error err = {0};
    mn_leader_event timed = *event;
    timed.now_us = sim->now_us;
    mn_actions_clear(&sim->todo);
    if (mn_leader_step(sim->leader, &timed, &sim->todo, &err) != MN_OK) {
        mn_sim_fail(sim, "leader: %s", err.message);
        return;
    }
    for (size_t i = 0; i < sim->todo.n; i++)
        if (sim->todo.list[i].kind == MN_DO_NOTE)
            sim->report.awaited_ranks++;
        else if (sim->todo.list[i].kind == MN_DO_TO_RANK)
            leader_link(sim, sim->todo.list[i].rank, &sim->todo.list[i], false);
}

/* Back from the small form to what a core is given. */
mn_message mn_sim_message(const mn_sim_note *note)
{
    mn_message message = {.kind = note->kind};
    switch ((unsigned)note->kind) {
    case MN_MSG_RESULT:
        message.result.epoch = note->lease.epoch;
        message.result.result = (mn_result){
            .n_tasks = note->n_tasks, .n_columns = note->n_columns, .n_kept = note->n_kept};
        for (uint32_t i = 0; i < note->n_kept; i++)
            message.result.result.kept[i] = note->kept[i].epoch;
        if (note->keeps) {
            message.result.result.encoding = MN_ENCODING_KEPT;
        } else if (note->lease.round.kind == MN_ROUND_TRAIN) {
            message.result.result.encoding = MN_ENCODING_EXACT;
            message.payload_bytes = UINT64_C(2) * note->n_columns * sizeof(int64_t);
        } else {
            message.payload_bytes = (uint64_t)note->n_tasks * note->n_columns * sizeof(float);
        }
        break;
    case MN_MSG_ASK:
        message.ask.threads = note->threads;
        break;
    case MN_MSG_ROUND:
        message.round = note->round;
        break;
    case MN_MSG_RANGE:
    case MN_MSG_REDUCE:
    case MN_MSG_SETTLED:
    case MN_MSG_RETURNED:
        message.range = note->range;
        break;
    case MN_MSG_WELCOME:
        message.welcome = (mn_welcome){
            .run_id = 1, .heartbeat_ms = MN_SIM_HEARTBEAT_MS, .silence_ms = MN_SIM_SILENCE_MS};
        break;
    case MN_MSG_THETA:
        message.theta.version = note->version;
        message.theta.n = MN_SIM_THETA;
        break;
    case MN_MSG_LEASE:
        message.lease = note->lease;
        break;
    case MN_MSG_FINISHED:
        message.reject.resumes = note->resumes;
        break;
    default:
        break;
    }
    return message;
}

static void perform(mn_sim_cluster *sim, uint32_t rank, const mn_action *action,
                    const mn_sim_note *note)
{
    mn_sim_rank *at = &sim->ranks[rank];
    bool quiet = action->kind == MN_DO_REFUSE || action->kind == MN_DO_LOG ||
                 action->kind == MN_DO_NOTE ||
                 (action->kind == MN_DO_SEND && action->message == MN_MSG_FINISHED);
    if (at->stopped && !quiet)
        mn_sim_fail(sim, "rank %" PRIu32 " acts after STOP", rank);
    switch (action->kind) {
    case MN_DO_SEND:
    case MN_DO_SEND_THETA:
        send(sim, rank, action);
        break;
    case MN_DO_ACCEPT:
        accept(sim, rank, action, note);
        break;
    case MN_DO_TO_LEADER:
        leader_link(sim, rank, action, true);
        break;
    case MN_DO_OPEN_ROUND:
        at->sum = at->n_counted = 0;
        if (action->round.id != sim->round.id || action->round.n_tasks != sim->round.n_tasks ||
            action->round.first_task != sim->round.first_task ||
            action->round.step != sim->round.step || action->round.kind != sim->round.kind ||
            action->round.split != sim->round.split)
            mn_sim_fail(sim,
                        "rank %" PRIu32 " opens round %" PRIu64 ", the plan has round %" PRIu64,
                        rank, action->round.id, sim->round.id);
        break;
    case MN_DO_START_REDUCE:
        enter(sim, rank, &action->round);
        break;
    case MN_DO_STOP:
        at->stopped = true;
        break;
    case MN_DO_NOTE:
        at->notes[action->note.kind]++;
        at->repeated_us += action->note.lost_us;
        break;
    case MN_DO_REFUSE:
    case MN_DO_LOG:
        break;
    case MN_DO_TO_RANK:
        mn_sim_fail(sim, "rank %" PRIu32 " speaks as if it were the leader", rank);
        break;
    }
}

static void send(mn_sim_cluster *sim, uint32_t rank, const mn_action *action)
{
    mn_sim_note note = {.kind = action->message};
    mn_sim_peer *peer = &sim->peers[action->peer];
    bool local = action->peer == MN_LOCAL_POOL;
    if (action->kind == MN_DO_SEND_THETA) {
        note.kind = MN_MSG_THETA;
        note.version = action->version;
        if (local)
            sim->ranks[rank].local_theta = action->version;
        peer->has_theta = true;
        peer->theta = action->version;
    } else if (note.kind == MN_MSG_LEASE) {
        note.lease = action->lease;
        sim->ranks[rank].worker_of[action->lease.epoch % MN_SIM_EPOCHS] =
            local ? UINT32_MAX : peer->worker;
        if (action->lease.round.id != sim->round.id)
            mn_sim_fail(sim, "rank %" PRIu32 " leases tasks of round %" PRIu64 " in round %" PRIu64,
                        rank, action->lease.round.id, sim->round.id);
        if (!local && (!peer->known || !peer->joined))
            mn_sim_fail(sim, "rank %" PRIu32 " leases to peer %" PRIu64 ", which is not there",
                        rank, action->peer);
        if (!local && (!peer->has_theta || peer->theta != action->lease.round.step))
            mn_sim_fail(sim, "rank %" PRIu32 " leases before theta to peer %" PRIu64, rank,
                        action->peer);
    } else if (note.kind == MN_MSG_WELCOME) {
        peer->known = true;
        peer->joined = peer->has_theta = false;
    } else if (note.kind == MN_MSG_REJECT || note.kind == MN_MSG_FINISHED) {
        peer->known = peer->joined = false;
        note.resumes = mn_action_message(action).reject.resumes;
    }
    if (!local)
        mn_sim_send_down(sim, rank, action->peer, &note);
    else if (note.kind == MN_MSG_LEASE)
        lease_local(sim, rank, &note.lease);
}

static void accept(mn_sim_cluster *sim, uint32_t rank, const mn_action *action,
                   const mn_sim_note *note)
{
    const mn_lease *lease = &action->lease;
    if (note == NULL || note->kind != MN_MSG_RESULT || note->damaged || note->keeps ||
        note->lease.epoch != lease->epoch) {
        mn_sim_fail(sim, "rank %" PRIu32 " accepts what nobody gave", rank);
        return;
    }
    if (lease->round.id != sim->round.id || sim->ranks[rank].entered == sim->round.id) {
        mn_sim_fail(sim, "rank %" PRIu32 " accepts a result of round %" PRIu64 " out of time", rank,
                    lease->round.id);
        return;
    }
    const uint8_t class =
        sim->options.classes > 0 ? mn_sim_class(sim, sim->peers[action->peer].worker) : sim->class;
    if (sim->class != 0 && class != sim->class)
        mn_sim_fail(sim, "rank %" PRIu32 " counts results of classes %u and %u", rank, sim->class,
                    class);
    sim->class = class;
    count(sim, rank, lease->begin, lease->n);
    for (uint32_t i = 0; i < note->n_kept; i++)
        count(sim, rank, note->kept[i].begin, note->kept[i].n);
    sim->ranks[rank].sum += note->payload;
    sim->report.kept += note->n_kept;
}

static void count(mn_sim_cluster *sim, uint32_t rank, uint32_t begin, uint32_t n)
{
    for (uint32_t i = begin; i < begin + n; i++)
        if (sim->counted[i]++ != 0) {
            mn_sim_fail(sim, "task %" PRIu32 " of round %" PRIu64 " is counted twice", i,
                        sim->round.id);
            return;
        }
    sim->ranks[rank].n_counted += n;
}

/* A rank enters an allreduce; the last one completes it. */
static void enter(mn_sim_cluster *sim, uint32_t rank, const mn_round *round)
{
    mn_sim_rank *at = &sim->ranks[rank];
    if (round->id != sim->round.id || at->entered != round->id - 1 || at->left != at->entered) {
        mn_sim_fail(sim,
                    "rank %" PRIu32 " enters the allreduce of round %" PRIu64
                    " after that of %" PRIu64,
                    rank, round->id, at->entered);
        return;
    }
    at->entered = round->id;
    if (++sim->n_entered < sim->options.ranks)
        return;

    uint64_t sum = 0, n = 0;
    for (uint32_t i = 0; i < sim->options.ranks; i++) {
        sum += sim->ranks[i].sum;
        n += sim->ranks[i].n_counted;
    }
    if (n != round->n_tasks || sum != mn_sim_answer(round, round->step, 0, round->n_tasks))
        mn_sim_fail(sim, "round %" PRIu64 ": the sum of %" PRIu64 " of %" PRIu32 " tasks is wrong",
                    round->id, n, round->n_tasks);
    sim->total = sim->total * 31 + sum;
    sim->report.rounds++;
    sim->n_entered = 0;
    for (uint32_t i = 0; i < sim->options.ranks; i++) {
        mn_sim_event left = {.at_us = sim->now_us + mn_sim_around(sim, 3000),
                             .kind = MN_SIM_REDUCED,
                             .rank = i,
                             .note.round = *round};
        mn_sim_queue_put(&sim->queue, &left);
    }
    sim->round_began_us = sim->now_us;
    if (!mn_sim_next_round(sim))
        sim->round.id++; /* which nobody may open */
}

/* The rank's own threads: never lost, but slow at times. */
static void lease_local(mn_sim_cluster *sim, uint32_t rank, const mn_lease *lease)
{
    mn_sim_rank *at = &sim->ranks[rank];
    uint64_t waves = (lease->n + sim->options.local_threads - 1) / sim->options.local_threads;
    uint64_t takes_us = mn_sim_around(sim, (double)(waves * sim->weather.task_us));
    if (mn_sim_chance(sim, sim->weather.straggle))
        takes_us *= 50;
    if (at->local_round != lease->round.id) {
        at->local_round = lease->round.id;
        at->n_local = 0;
    }
    at->n_local++;
    if (at->local_busy_us < sim->now_us)
        at->local_busy_us = sim->now_us;
    at->local_busy_us += takes_us;
    mn_sim_event done = {
        .at_us = at->local_busy_us,
        .kind = MN_SIM_LOCAL_DONE,
        .rank = rank,
        .note = {.kind = MN_MSG_RESULT,
                 .n_tasks = lease->n,
                 .n_columns = MN_SIM_COLUMNS,
                 .payload = mn_sim_answer(&lease->round, at->local_theta, lease->begin, lease->n),
                 .lease = *lease}};
    mn_sim_queue_put(&sim->queue, &done);
}

void mn_sim_local_done(mn_sim_cluster *sim, uint32_t rank, const mn_event *event,
                       const mn_sim_note *note)
{
    mn_sim_rank *at = &sim->ranks[rank];
    mn_sim_note done = *note;
    mn_message message;
    mn_event told = *event;
    if (note->lease.round.id == at->local_round)
        mn_sim_keep_or_bring(&at->keeping, --at->n_local > 0, &done);
    message = mn_sim_message(&done);
    told.message = &message;
    mn_sim_rank_event(sim, rank, &told, &done);
}

void mn_sim_keep_or_bring(mn_sim_keeping *keeping, bool more, mn_sim_note *note)
{
    const mn_lease *lease = &note->lease;
    if (lease->round.kind != MN_ROUND_TRAIN)
        return;
    if (keeping->round != lease->round.id)
        *keeping = (mn_sim_keeping){.round = lease->round.id, .version = lease->round.step};
    if (more && keeping->n < MN_MAX_KEPT) {
        keeping->parts[keeping->n++] =
            (mn_sim_part){.epoch = lease->epoch, .begin = lease->begin, .n = lease->n};
        keeping->sum += note->payload;
        keeping->n_tasks += lease->n;
        note->keeps = true;
        return;
    }
    note->n_kept = keeping->n;
    memcpy(note->kept, keeping->parts, sizeof note->kept);
    note->payload += keeping->sum;
    note->n_tasks += keeping->n_tasks;
    *keeping = (mn_sim_keeping){.round = lease->round.id, .version = lease->round.step};
}

/* Rank 0 lives with the leader; the others are some way off. Messages of one direction keep their
 * order. */
static void leader_link(mn_sim_cluster *sim, uint32_t rank, const mn_action *action, bool up)
{
    mn_sim_event event = {.kind = up ? MN_SIM_TO_LEADER : MN_SIM_FROM_LEADER,
                          .rank = rank,
                          .note = {.kind = action->message}};
    mn_message message = mn_action_message(action);
    if (action->message == MN_MSG_ASK)
        event.note.threads = message.ask.threads;
    else if (action->message == MN_MSG_ROUND)
        event.note.round = message.round;
    else if (action->message != MN_MSG_STOP && action->message != MN_MSG_STOP_WANTED)
        event.note.range = message.range;

    uint64_t *last_us = up ? &sim->ranks[rank].up_us : &sim->ranks[rank].down_us;
    event.at_us = sim->now_us + (rank == 0 ? 0 : mn_sim_around(sim, (double)sim->weather.delay_us));
    if (event.at_us < *last_us)
        event.at_us = *last_us;
    *last_us = event.at_us;
    mn_sim_queue_put(&sim->queue, &event);
}

static void set_timer(mn_sim_cluster *sim, uint32_t rank, uint64_t wake_us)
{
    mn_sim_rank *at = &sim->ranks[rank];
    if (wake_us >= at->wake_us)
        return;
    at->wake_us = wake_us;
    mn_sim_event wake = {
        .at_us = wake_us > sim->now_us ? wake_us : sim->now_us, .kind = MN_SIM_WAKE, .rank = rank};
    mn_sim_queue_put(&sim->queue, &wake);
}

/* The journal is told what the counters count. */
static void check_notes(mn_sim_cluster *sim, uint32_t rank, const mn_rank_counts *counts)
{
    const mn_sim_rank *at = &sim->ranks[rank];
    const uint64_t *notes = at->notes;
    if (notes[MN_NOTE_JOINED] != counts->joins || notes[MN_NOTE_LEFT] != counts->left ||
        notes[MN_NOTE_LOST] != counts->lost || notes[MN_NOTE_SILENT] != counts->silent ||
        notes[MN_NOTE_REJECTED] + notes[MN_NOTE_REFUSED] != counts->rejected ||
        notes[MN_NOTE_RAN_OUT] != counts->leases_expired ||
        notes[MN_NOTE_DAMAGED] != counts->refused[MN_REFUSED_DAMAGED] ||
        notes[MN_NOTE_REPEATED] < counts->refused[MN_REFUSED_DUPLICATE] ||
        at->repeated_us != counts->repeated_us)
        mn_sim_fail(sim, "rank %" PRIu32 " tells its journal other than it counts", rank);
}

static void check(mn_sim_cluster *sim, uint32_t rank)
{
    mn_rank_view view = mn_rank_look(sim->ranks[rank].rank);
    check_notes(sim, rank, &view.counts);
    if (view.tasks.free + view.tasks.held + view.tasks.done != view.tasks.total)
        mn_sim_fail(sim, "rank %" PRIu32 " has lost count of its tasks", rank);
    if (view.round.id == sim->round.id && sim->ranks[rank].entered + 1 == view.round.id &&
        view.tasks.done != sim->ranks[rank].n_counted &&
        sim->ranks[rank].left + 1 == view.round.id && !view.stopped)
        mn_sim_fail(sim, "rank %" PRIu32 " says %" PRIu32 " tasks are done, it took %" PRIu64, rank,
                    view.tasks.done, sim->ranks[rank].n_counted);
    mn_leader_progress progress = mn_leader_look(sim->leader);
    uint64_t n = 0;
    for (uint32_t i = 0; i < sim->options.ranks; i++)
        n += sim->ranks[i].n_counted;
    if (progress.round.id == sim->round.id && sim->n_entered == 0 && !progress.ended &&
        view.round.id == sim->round.id && progress.done > n)
        mn_sim_fail(sim, "the leader counts %" PRIu32 " tasks, the ranks took %" PRIu64,
                    progress.done, n);
}
