#include "tests/sim/cluster_state.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_BOUND_US (4 * 3600 * MN_SIM_S)
#define STOP_BOUND_US (600 * MN_SIM_S)
#define INSTANT_BOUND 1000000u /* events */

static bool set_up(mn_sim_cluster *sim);
static void tear_down(mn_sim_cluster *sim);
static void draw_weather(mn_sim_cluster *sim);
static void step(mn_sim_cluster *sim, const mn_sim_event *event);
static void to_rank(mn_sim_cluster *sim, const mn_sim_event *event);
static bool over(const mn_sim_cluster *sim);
static void finish(mn_sim_cluster *sim);

mn_sim_options mn_sim_draw(uint64_t seed)
{
    mn_sim_cluster dice = {.random = seed * 2 + 1};
    for (int i = 0; i < 8; i++)
        (void)mn_sim_random(&dice);
    mn_sim_options options = {.seed = seed, .faults = mn_sim_random(&dice) % 8 != 0};
    options.ranks = 1 + (uint32_t)(mn_sim_random(&dice) % 5);
    options.workers = 1 + (uint32_t)(mn_sim_random(&dice) % 12);
    options.local_threads =
        mn_sim_random(&dice) % 2 == 0 ? 0 : (uint32_t)(mn_sim_random(&dice) % 4);
    options.steps = (uint32_t)(mn_sim_random(&dice) % 12);
    options.batch = 1 + (uint32_t)(mn_sim_random(&dice) % 60);
    options.val_every = (uint32_t)(mn_sim_random(&dice) % 4);
    options.val_tasks = 1 + (uint32_t)(mn_sim_random(&dice) % 40);
    options.test_tasks = (uint32_t)(mn_sim_random(&dice) % 40);
    if (mn_sim_random(&dice) % 3 == 0)
        options.stop_after_s = (double)mn_sim_around(&dice, 8e6) / 1e6;
    return options;
}

mn_sim_report mn_sim_run(const mn_sim_options *options)
{
    mn_sim_cluster sim = {.options = *options, .random = options->seed * 2 + 1, .report.ok = true};
    mn_sim_event event;
    if (set_up(&sim)) {
        while (sim.report.ok && !over(&sim) && mn_sim_queue_take(&sim.queue, &event))
            step(&sim, &event);
        if (sim.report.ok)
            finish(&sim);
    }
    mn_sim_report report = sim.report;
    tear_down(&sim);
    return report;
}

void mn_sim_fail(mn_sim_cluster *sim, const char *format, ...)
{
    if (!sim->report.ok)
        return;
    sim->report.ok = false;
    int n = snprintf(sim->report.failure, sizeof sim->report.failure,
                     "seed %" PRIu64 " at %.6f s: ", sim->options.seed, (double)sim->now_us / 1e6);
    va_list words;
    va_start(words, format);
    (void)vsnprintf(sim->report.failure + n, sizeof sim->report.failure - (size_t)n, format, words);
    va_end(words);
}

/* SplitMix64. */
uint64_t mn_sim_random(mn_sim_cluster *sim)
{
    uint64_t x = sim->random += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

bool mn_sim_chance(mn_sim_cluster *sim, double p)
{
    return p > 0 && (double)(mn_sim_random(sim) >> 11) * 0x1p-53 < p;
}

uint64_t mn_sim_around(mn_sim_cluster *sim, double mean_us)
{
    double unit = ((double)(mn_sim_random(sim) >> 11) + 0.5) * 0x1p-53;
    return 1 + (uint64_t)(-log(unit) * mean_us);
}

uint64_t mn_sim_answer(const mn_round *round, uint64_t version, uint32_t begin, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = begin; i < begin + n; i++) {
        mn_sim_cluster one = {.random = (round->first_task + i) * 8 + round->split};
        sum += mn_sim_random(&one) ^ (version * UINT64_C(0xD6E8FEB86659FD93));
    }
    return sum;
}

uint8_t mn_sim_class(const mn_sim_cluster *sim, uint32_t worker)
{
    return (uint8_t)(sim->options.classes > 0 ? 1 + worker % sim->options.classes : 0);
}

/* Written apart from the leader's own way of saying it. */
bool mn_sim_next_round(mn_sim_cluster *sim)
{
    const mn_sim_options *options = &sim->options;
    mn_round round = {.id = sim->round.id + 1, .step = sim->plan_step};
    if (sim->plan_validates) {
        sim->plan_validates = false;
        round.kind = MN_ROUND_TEST;
        round.split = MN_VAL;
        round.n_tasks = options->val_tasks;
    } else if (sim->plan_step < options->steps) {
        round.first_task = sim->plan_step * options->batch;
        round.n_tasks = options->batch;
        sim->plan_step++;
        sim->plan_validates = options->val_every > 0 && sim->plan_step % options->val_every == 0;
    } else if (!sim->plan_tested && options->test_tasks > 0) {
        sim->plan_tested = true;
        round.kind = MN_ROUND_TEST;
        round.split = MN_TEST;
        round.n_tasks = options->test_tasks;
    } else {
        return false;
    }
    sim->round = round;
    memset(sim->counted, 0, round.n_tasks);
    return true;
}

static bool set_up(mn_sim_cluster *sim)
{
    const mn_sim_options *options = &sim->options;
    mn_error err = {0};
    uint32_t most = options->batch > options->val_tasks ? options->batch : options->val_tasks;
    most = most > options->test_tasks ? most : options->test_tasks;
    draw_weather(sim);
    sim->n_peers = 1;
    sim->peer_capacity = options->workers + 16;
    sim->peers = calloc(sim->peer_capacity, sizeof *sim->peers);
    sim->ranks = calloc(options->ranks, sizeof *sim->ranks);
    sim->workers = calloc(options->workers + 1, sizeof *sim->workers);
    sim->counted = calloc(most + 1, 1);
    if (sim->peers == NULL || sim->ranks == NULL || sim->workers == NULL || sim->counted == NULL)
        abort();
    (void)mn_sim_next_round(sim);

    mn_program plan = {.steps = options->steps,
                       .batch = options->batch,
                       .val_every = options->val_every,
                       .val_tasks = options->val_tasks,
                       .test_tasks = options->test_tasks};
    mn_rank_config config = {.max_members = options->workers + 2,
                             .only_rank = options->ranks == 1,
                             .external = options->classes > 0,
                             .silence_ms = MN_SIM_SILENCE_MS,
                             .lease_floor_ms = 200,
                             .train_columns = MN_SIM_COLUMNS,
                             .test_columns = MN_SIM_COLUMNS};
    mn_status status = mn_leader_new(&plan, options->ranks, &sim->leader, &err);
    for (uint32_t i = 0; status == MN_OK && i < options->ranks; i++) {
        sim->ranks[i].wake_us = MN_NEVER;
        status = mn_rank_new(&config, &sim->ranks[i].rank, &err);
    }
    if (status != MN_OK) {
        mn_sim_fail(sim, "%s", err.message);
        return false;
    }
    for (uint32_t i = 0; i < options->ranks; i++) {
        mn_event pool = {.kind = MN_EVENT_LOCAL_POOL, .threads = options->local_threads};
        mn_sim_rank_event(sim, i, &pool, NULL);
    }
    for (uint32_t i = 0; i < options->workers; i++) {
        mn_sim_event start = {.at_us = mn_sim_around(sim, 1e5), .kind = MN_SIM_START, .worker = i};
        mn_sim_queue_put(&sim->queue, &start);
    }
    if (options->stop_after_s > 0) {
        mn_sim_event stop = {.at_us = (uint64_t)(options->stop_after_s * 1e6),
                             .kind = MN_SIM_STOP,
                             .rank = (uint32_t)(mn_sim_random(sim) % (options->ranks + 1))};
        mn_sim_queue_put(&sim->queue, &stop);
    }
    return true;
}

static void tear_down(mn_sim_cluster *sim)
{
    mn_leader_destroy(&sim->leader);
    for (uint32_t i = 0; i < sim->options.ranks; i++)
        mn_rank_destroy(&sim->ranks[i].rank);
    mn_actions_fini(&sim->todo);
    mn_sim_queue_fini(&sim->queue);
    free(sim->ranks);
    free(sim->workers);
    free(sim->peers);
    free(sim->counted);
}

static void draw_weather(mn_sim_cluster *sim)
{
    static const double often[] = {0, 0, 0.01, 0.05, 0.2};
    static const double every_s[] = {0, 1, 3, 10, 60};
    mn_sim_weather *weather = &sim->weather;
    weather->task_us = UINT64_C(200) << mn_sim_random(sim) % 13;
    weather->delay_us = UINT64_C(50) << mn_sim_random(sim) % 8;
    if (sim->options.task_s > 0)
        weather->task_us = (uint64_t)(sim->options.task_s * 1e6);
    if (!sim->options.faults)
        return;
    weather->fault_every_s = every_s[mn_sim_random(sim) % 5];
    weather->straggle = often[mn_sim_random(sim) % 5];
    weather->twice = often[mn_sim_random(sim) % 5];
    weather->wrong_epoch = often[mn_sim_random(sim) % 5];
    weather->wrong_size = often[mn_sim_random(sim) % 4];
    weather->damaged = often[mn_sim_random(sim) % 4];
    weather->forgets = often[mn_sim_random(sim) % 4];
    weather->no_dial = often[mn_sim_random(sim) % 5];
    weather->no_build = often[mn_sim_random(sim) % 4];
}

static void step(mn_sim_cluster *sim, const mn_sim_event *event)
{
    sim->at_once = event->at_us == sim->now_us ? sim->at_once + 1 : 0;
    if (sim->at_once > INSTANT_BOUND)
        mn_sim_fail(sim, "time stands still: event of kind %d again and again", (int)event->kind);
    sim->now_us = event->at_us;
    sim->report.events++;
    mn_message message = mn_sim_message(&event->note);
    mn_leader_event to_leader = {.rank = event->rank, .message = &message};
    mn_event to_core = {.now_us = sim->now_us, .message = &message};
    switch (event->kind) {
    case MN_SIM_TO_RANK:
    case MN_SIM_PEER_GONE:
        to_rank(sim, event);
        break;
    case MN_SIM_TO_LEADER:
        mn_sim_leader_event(sim, &to_leader);
        break;
    case MN_SIM_FROM_LEADER:
        to_core.kind = MN_EVENT_FROM_LEADER;
        mn_sim_rank_event(sim, event->rank, &to_core, NULL);
        break;
    case MN_SIM_WAKE:
        sim->ranks[event->rank].wake_us = MN_NEVER;
        to_core.kind = MN_EVENT_TICK;
        mn_sim_rank_event(sim, event->rank, &to_core, NULL);
        break;
    case MN_SIM_LOCAL_DONE:
        to_core.kind = MN_EVENT_FROM_WORKER;
        mn_sim_local_done(sim, event->rank, &to_core, &event->note);
        break;
    case MN_SIM_REDUCED:
        sim->ranks[event->rank].left = event->note.round.id;
        to_core.kind = MN_EVENT_REDUCED;
        to_core.round = event->note.round.id;
        mn_sim_rank_event(sim, event->rank, &to_core, NULL);
        if (event->rank == 0) {
            to_leader.kind = MN_LEADER_ROUND_OVER;
            to_leader.round = event->note.round.id;
            mn_sim_leader_event(sim, &to_leader);
        }
        break;
    case MN_SIM_STOP:
        sim->stop_us = sim->now_us;
        to_leader.kind = MN_LEADER_STOP_WANTED;
        to_core.kind = MN_EVENT_STOP_WANTED;
        if (event->rank == sim->options.ranks)
            mn_sim_leader_event(sim, &to_leader);
        else
            mn_sim_rank_event(sim, event->rank, &to_core, NULL);
        break;
    case MN_SIM_TO_WORKER:
    case MN_SIM_START:
    case MN_SIM_BUILT:
    case MN_SIM_COMPUTED:
    case MN_SIM_TICK:
    case MN_SIM_FAULT:
        mn_sim_worker_event(sim, event);
        break;
    }
    if (sim->now_us - sim->round_began_us > ROUND_BOUND_US)
        mn_sim_fail(sim, "round %" PRIu64 " does not end", sim->round.id);
    if (sim->stop_us > 0 && sim->now_us - sim->stop_us > STOP_BOUND_US)
        mn_sim_fail(sim, "stop was wanted at %.6f s, but not all ranks end",
                    (double)sim->stop_us / 1e6);
}

/* What comes from a worker, as the shell would pass it on. */
static void to_rank(mn_sim_cluster *sim, const mn_sim_event *event)
{
    mn_sim_peer *peer = &sim->peers[event->peer];
    mn_sim_worker *worker = &sim->workers[event->worker];
    mn_message message = mn_sim_message(&event->note);
    mn_event to_core = {.kind = MN_EVENT_FROM_WORKER,
                        .now_us = sim->now_us,
                        .peer = event->peer,
                        .message = &message};
    if (event->kind == MN_SIM_PEER_GONE) {
        peer->known = peer->joined = false;
        to_core.kind = MN_EVENT_PEER_GONE;
        to_core.message = NULL;
    } else if (worker->link != event->link) {
        return; /* lost with its link */
    } else if (event->note.damaged) {
        to_core.kind = MN_EVENT_DAMAGED;
        to_core.epoch = event->note.lease.epoch;
    } else if (event->note.kind == MN_MSG_HELLO) {
        message.hello = (mn_hello){.protocol = MN_PROTOCOL_VERSION,
                                   .uuid = {event->note.version, 1},
                                   .threads = event->note.threads};
        (void)snprintf(message.hello.name, sizeof message.hello.name, "worker-%" PRIu64,
                       event->note.version);
    } else if (event->note.kind == MN_MSG_JOIN) {
        peer->joined = peer->known;
        message.join.numeric_class.bytes[0] = mn_sim_class(sim, event->worker);
    } else if (event->note.kind == MN_MSG_LEAVE) {
        peer->joined = false;
    }
    mn_sim_rank_event(sim, event->rank, &to_core, &event->note);
}

static bool over(const mn_sim_cluster *sim)
{
    for (uint32_t i = 0; i < sim->options.ranks; i++)
        if (!sim->ranks[i].stopped)
            return false;
    return true;
}

/* All ranks have stopped, or nothing happens any more. */
static void finish(mn_sim_cluster *sim)
{
    mn_leader_progress progress = mn_leader_look(sim->leader);
    if (!over(sim) || !progress.ended)
        mn_sim_fail(sim, "nothing happens any more, but not all ranks have stopped");
    if (sim->n_entered != 0)
        mn_sim_fail(sim, "%" PRIu32 " of %" PRIu32 " ranks wait in an allreduce for ever",
                    sim->n_entered, sim->options.ranks);
    bool wanted = sim->stop_us > 0;
    if (!wanted && (!progress.complete || mn_sim_next_round(sim)))
        mn_sim_fail(sim, "the program of rounds was not run to its end");
    sim->report.complete = progress.complete;
    sim->report.virtual_s = (double)sim->now_us / 1e6;
    sim->report.sum = sim->total;
    for (uint32_t i = 0; i < sim->options.ranks; i++) {
        mn_rank_counts counts = mn_rank_look(sim->ranks[i].rank).counts;
        sim->report.expired += counts.leases_expired;
        sim->report.accepted += counts.accepted;
        sim->report.rejected += counts.rejected;
        sim->report.repeated_us += counts.repeated_us;
        sim->report.waited += sim->ranks[i].notes[MN_NOTE_WAITED];
        sim->report.lost += counts.lost + counts.silent;
        for (int why = 0; why < MN_N_REFUSALS; why++)
            sim->report.refused += counts.refused[why];
    }
}
