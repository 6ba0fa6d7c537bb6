#include "tests/sim/cluster_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BEAT_US (MN_SIM_S / 2)
#define LONGEST_US (120 * MN_SIM_S) /* that a straggler takes */

static uint64_t arrival_us(mn_sim_cluster *sim, uint64_t *last_us);
static void connect(mn_sim_cluster *sim, uint32_t w, bool new_peer);
static void say(mn_sim_cluster *sim, uint32_t w, const mn_sim_note *note);
static void say_kind(mn_sim_cluster *sim, uint32_t w, mn_message_kind kind);
static void timer(mn_sim_cluster *sim, uint32_t w, mn_sim_kind kind, uint64_t after_us);
static void hear(mn_sim_cluster *sim, uint32_t w, const mn_sim_event *event);
static void take_lease(mn_sim_cluster *sim, uint32_t w, const mn_lease *lease);
static void begin_next(mn_sim_cluster *sim, uint32_t w);
static void computed(mn_sim_cluster *sim, uint32_t w, const mn_lease *lease);
static uint64_t another_epoch(mn_sim_cluster *sim, uint32_t w, uint64_t epoch);
static void beat(mn_sim_cluster *sim, uint32_t w);
static void fault(mn_sim_cluster *sim, uint32_t w);
static void break_link(mn_sim_cluster *sim, uint32_t w, bool rank_notices);

void mn_sim_worker_start(mn_sim_cluster *sim, uint32_t w)
{
    mn_sim_worker *worker = &sim->workers[w];
    uint64_t life = ++sim->n_lives;
    *worker = (mn_sim_worker){
        .rank = (uint32_t)(mn_sim_random(sim) % sim->options.ranks),
        .threads = 1 + (uint32_t)(mn_sim_random(sim) % 4),
        .uuid = life,
        .life = life,
        .careful = w == 0,
        .heard_us = sim->now_us,
        .theta = {UINT64_MAX, UINT64_MAX},
    };
    connect(sim, w, true);
    timer(sim, w, MN_SIM_BEAT, BEAT_US);
    if (sim->weather.fault_every_s > 0 && !worker->careful)
        timer(sim, w, MN_SIM_FAULT,
              mn_sim_around(sim, sim->weather.fault_every_s * (double)MN_SIM_S));
}

/* What a worker meets: a message, or one of its own timers. Timers of an earlier life are void. */
void mn_sim_worker_event(mn_sim_cluster *sim, const mn_sim_event *event)
{
    uint32_t w = event->worker;
    mn_sim_worker *worker = &sim->workers[w];
    if (event->kind == MN_SIM_START) {
        mn_sim_worker_start(sim, w);
        return;
    }
    bool mine =
        event->kind == MN_SIM_TO_WORKER ? event->link == worker->link : event->link == worker->life;
    if (worker->life == 0 || !mine)
        return;
    if (worker->hung_until_us > sim->now_us) { /* all of it waits, in order */
        mn_sim_event later = *event;
        later.at_us = worker->hung_until_us;
        mn_sim_queue_put(&sim->queue, &later);
        return;
    }
    switch ((unsigned)event->kind) {
    case MN_SIM_TO_WORKER:
        hear(sim, w, event);
        break;
    case MN_SIM_BUILT:
        if (worker->welcome && !worker->joined && event->peer == worker->peer) {
            worker->joined = true;
            say_kind(sim, w, MN_MSG_JOIN);
        }
        break;
    case MN_SIM_COMPUTED:
        computed(sim, w, &event->note.lease);
        break;
    case MN_SIM_BEAT:
        beat(sim, w);
        break;
    default:
        fault(sim, w);
        break;
    }
}

void mn_sim_send_down(mn_sim_cluster *sim, uint32_t rank, uint64_t peer, const mn_sim_note *note)
{
    uint32_t w = sim->peers[peer].worker;
    mn_sim_worker *worker = &sim->workers[w];
    (void)rank;
    if (worker->peer != peer || worker->mute_until_us > sim->now_us)
        return; /* nobody listens at that end any more */
    mn_sim_event event = {.at_us = arrival_us(sim, &worker->down_us),
                          .kind = MN_SIM_TO_WORKER,
                          .worker = w,
                          .peer = peer,
                          .link = worker->link,
                          .note = *note};
    mn_sim_queue_put(&sim->queue, &event);
}

/* Of what is sent now by a way that overtakes nothing; *last_us: of what was sent before. */
static uint64_t arrival_us(mn_sim_cluster *sim, uint64_t *last_us)
{
    uint64_t at_us = sim->now_us + mn_sim_around(sim, (double)sim->weather.delay_us);
    if (*last_us < at_us)
        *last_us = at_us;
    return *last_us;
}

/* By a new connection, or by the old one that the network library mended: the same number, but what
 * was under way is lost. */
static void connect(mn_sim_cluster *sim, uint32_t w, bool new_peer)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (new_peer) {
        if (sim->n_peers == sim->peer_capacity) {
            sim->peer_capacity *= 2;
            sim->peers = realloc(sim->peers, sim->peer_capacity * sizeof *sim->peers);
            if (sim->peers == NULL)
                abort();
        }
        worker->peer = sim->n_peers++;
        sim->peers[worker->peer] = (mn_sim_peer){.worker = w};
    }
    worker->link = ++sim->n_links;
    worker->welcome = worker->joined = false;
    worker->mute_until_us = 0;
    worker->heard_us = sim->now_us;
    say_kind(sim, w, MN_MSG_HELLO);
}

static void say(mn_sim_cluster *sim, uint32_t w, const mn_sim_note *note)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (worker->mute_until_us > sim->now_us)
        return;
    mn_sim_event event = {.at_us = arrival_us(sim, &worker->up_us),
                          .kind = MN_SIM_TO_RANK,
                          .rank = worker->rank,
                          .worker = w,
                          .peer = worker->peer,
                          .link = worker->link,
                          .note = *note};
    event.note.threads = worker->threads;
    event.note.version = worker->uuid;
    mn_sim_queue_put(&sim->queue, &event);
}

static void say_kind(mn_sim_cluster *sim, uint32_t w, mn_message_kind kind)
{
    mn_sim_note note = {.kind = kind};
    say(sim, w, &note);
}

static void timer(mn_sim_cluster *sim, uint32_t w, mn_sim_kind kind, uint64_t after_us)
{
    mn_sim_event event = {.at_us = sim->now_us + after_us,
                          .kind = kind,
                          .worker = w,
                          .peer = sim->workers[w].peer,
                          .link = sim->workers[w].life};
    mn_sim_queue_put(&sim->queue, &event);
}

static void hear(mn_sim_cluster *sim, uint32_t w, const mn_sim_event *event)
{
    mn_sim_worker *worker = &sim->workers[w];
    worker->heard_us = sim->now_us;
    switch ((unsigned)event->note.kind) {
    case MN_MSG_WELCOME:
        worker->welcome = true;
        timer(sim, w, MN_SIM_BUILT, mn_sim_around(sim, 20000));
        break;
    case MN_MSG_THETA:
        worker->theta[1] = worker->theta[0];
        worker->theta[0] = event->note.version;
        break;
    case MN_MSG_LEASE:
        take_lease(sim, w, &event->note.lease);
        break;
    case MN_MSG_REGISTER_AGAIN:
        if (worker->leaving)
            break;
        worker->welcome = worker->joined = false;
        if (mn_sim_chance(sim, 0.5))
            worker->n_hand = worker->n_hand > 0; /* the one being computed goes on */
        say_kind(sim, w, MN_MSG_HELLO);
        break;
    case MN_MSG_REJECT: /* the process ends, and another is started */
        worker->life = 0;
        timer(sim, w, MN_SIM_START, mn_sim_around(sim, (double)MN_SIM_S));
        break;
    case MN_MSG_FINISHED:
        worker->life = 0;
        break;
    default:
        break;
    }
}

static void take_lease(mn_sim_cluster *sim, uint32_t w, const mn_lease *lease)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (worker->leaving)
        return;
    if (lease->round.step != worker->theta[0] && lease->round.step != worker->theta[1]) {
        say_kind(sim, w, MN_MSG_HELLO); /* theta was lost on the way: begin again */
        worker->welcome = worker->joined = false;
        return;
    }
    if (worker->n_hand == MN_SIM_HAND)
        return;
    worker->hand[worker->n_hand++] = *lease;
    if (worker->n_hand == 1)
        begin_next(sim, w);
}

static void begin_next(mn_sim_cluster *sim, uint32_t w)
{
    mn_sim_worker *worker = &sim->workers[w];
    const mn_lease *lease = &worker->hand[0];
    uint64_t waves = (lease->n + worker->threads - 1) / worker->threads;
    uint64_t takes_us = mn_sim_around(sim, (double)(waves * sim->weather.task_us));
    if (!worker->careful && mn_sim_chance(sim, sim->weather.straggle))
        takes_us *= 20 + mn_sim_random(sim) % 400;
    if (takes_us > LONGEST_US)
        takes_us = LONGEST_US;
    mn_sim_event event = {.at_us = sim->now_us + takes_us,
                          .kind = MN_SIM_COMPUTED,
                          .worker = w,
                          .link = worker->life,
                          .note.lease = *lease};
    mn_sim_queue_put(&sim->queue, &event);
}

/* A lease is done: say so, in one of the ways in which that can go wrong. */
static void computed(mn_sim_cluster *sim, uint32_t w, const mn_lease *lease)
{
    mn_sim_worker *worker = &sim->workers[w];
    const mn_sim_weather *weather = &sim->weather;
    mn_sim_note note = {.kind = MN_MSG_RESULT,
                        .n_tasks = lease->n,
                        .n_columns = MN_SIM_COLUMNS,
                        .payload =
                            mn_sim_answer(&lease->round, lease->round.step, lease->begin, lease->n),
                        .lease = *lease};
    bool more = worker->n_hand > 1 && worker->hand[1].round.id == lease->round.id;
    if (!worker->careful && mn_sim_chance(sim, weather->forgets))
        worker->keeping = (mn_sim_keeping){0};
    mn_sim_keep_or_bring(&worker->keeping, more, &note);
    if (!worker->careful) {
        if (mn_sim_chance(sim, weather->wrong_epoch))
            note.lease.epoch = another_epoch(sim, w, lease->epoch);
        if (note.lease.epoch != lease->epoch)
            note.payload = 0xBAD; /* it must not be counted, whoever's that epoch is */
        if (note.n_kept > 0 && mn_sim_chance(sim, weather->wrong_epoch)) {
            uint64_t other = another_epoch(sim, w, note.kept[0].epoch);
            note.payload = other != note.kept[0].epoch ? 0xBAD : note.payload;
            note.kept[0].epoch = other;
        }
        if (mn_sim_chance(sim, weather->wrong_size))
            note.n_tasks += 1;
        else if (mn_sim_chance(sim, weather->damaged))
            note.damaged = !note.keeps; /* there is nothing behind it */
        if (mn_sim_chance(sim, weather->twice))
            say(sim, w, &note);
    }
    say(sim, w, &note);
    if (worker->n_hand > 0)
        memmove(worker->hand, worker->hand + 1, --worker->n_hand * sizeof *worker->hand);
    if (worker->n_hand > 0)
        begin_next(sim, w);
}

/* One of before, perhaps another worker's, or one of the far future, but none that this worker was
 * or will be given: those it may answer, and what it then says cannot be told from the truth. */
static uint64_t another_epoch(mn_sim_cluster *sim, uint32_t w, uint64_t epoch)
{
    uint64_t back = mn_sim_random(sim) % 7;
    uint64_t other = back == 0 ? epoch + (UINT64_C(1) << 40) : epoch - back;
    return sim->ranks[sim->workers[w].rank].worker_of[other % MN_SIM_EPOCHS] == w ? epoch : other;
}

static void beat(mn_sim_cluster *sim, uint32_t w)
{
    mn_sim_worker *worker = &sim->workers[w];
    timer(sim, w, MN_SIM_BEAT, BEAT_US);
    if (sim->now_us - worker->heard_us > MN_SIM_SILENCE_MS * UINT64_C(1000)) {
        break_link(sim, w, mn_sim_chance(sim, 0.5)); /* nothing heard for long: try anew */
        connect(sim, w, true);
    } else {
        say_kind(sim, w, worker->welcome ? MN_MSG_HEARTBEAT : MN_MSG_HELLO);
    }
}

static void fault(mn_sim_cluster *sim, uint32_t w)
{
    mn_sim_worker *worker = &sim->workers[w];
    timer(sim, w, MN_SIM_FAULT, mn_sim_around(sim, sim->weather.fault_every_s * (double)MN_SIM_S));
    uint64_t while_us = mn_sim_around(sim, 2.0 * MN_SIM_SILENCE_MS * 1000);
    switch (mn_sim_random(sim) % 6) {
    case 0: /* killed; another process takes its place */
        break_link(sim, w, mn_sim_chance(sim, 0.7));
        timer(sim, w, MN_SIM_START, while_us);
        worker->life = 0;
        break;
    case 1: /* leaves */
        if (worker->joined) {
            worker->leaving = true;
            say_kind(sim, w, MN_MSG_LEAVE);
        }
        timer(sim, w, MN_SIM_START, while_us);
        break;
    case 2: /* hangs, and comes back late */
        worker->hung_until_us = sim->now_us + while_us;
        break;
    case 3: /* a broken connection */
        break_link(sim, w, mn_sim_chance(sim, 0.7));
        connect(sim, w, true);
        break;
    case 4: /* one that the library mends by itself */
        break_link(sim, w, false);
        connect(sim, w, false);
        break;
    default: /* a network that swallows all */
        worker->mute_until_us = sim->now_us + while_us;
        break;
    }
}

/* All that is under way is lost. */
static void break_link(mn_sim_cluster *sim, uint32_t w, bool rank_notices)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (rank_notices) {
        mn_sim_event gone = {.at_us =
                                 sim->now_us + mn_sim_around(sim, (double)sim->weather.delay_us),
                             .kind = MN_SIM_PEER_GONE,
                             .rank = worker->rank,
                             .worker = w,
                             .peer = worker->peer};
        mn_sim_queue_put(&sim->queue, &gone);
    }
    worker->link = ++sim->n_links;
}
