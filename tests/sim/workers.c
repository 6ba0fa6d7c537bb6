#include "tests/sim/cluster_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_US (120 * MN_SIM_S)  /* that a straggler takes */
#define PATIENCE_US (120 * MN_SIM_S) /* of a process that nobody answers */

static void start(mn_sim_cluster *sim, uint32_t w);
static void hear(mn_sim_cluster *sim, uint32_t w, const mn_sim_note *note);
static void feed(mn_sim_cluster *sim, uint32_t w, mn_worker_event event, mn_sim_note *result);
static bool perform(mn_sim_cluster *sim, uint32_t w, const mn_worker_action *action,
                    const mn_worker_event *event, mn_sim_note *result, mn_worker_event *next);
static void check(mn_sim_cluster *sim, uint32_t w);
static void set_timer(mn_sim_cluster *sim, uint32_t w, uint64_t wake_us);
static void dial(mn_sim_cluster *sim, uint32_t w);
static void hang_up(mn_sim_cluster *sim, uint32_t w);
static void end(mn_sim_cluster *sim, uint32_t w, bool over);
static void say(mn_sim_cluster *sim, uint32_t w, const mn_sim_note *note);
static void set_theta(mn_sim_cluster *sim, uint32_t w, uint64_t version);
static void submit(mn_sim_cluster *sim, uint32_t w, const mn_lease *lease);
static void forget(mn_sim_cluster *sim, uint32_t w, const uint64_t *version);
static void begin_next(mn_sim_cluster *sim, uint32_t w);
static void computed(mn_sim_cluster *sim, uint32_t w);
static void send_result(mn_sim_cluster *sim, uint32_t w, mn_sim_note *note);
static uint64_t another_epoch(mn_sim_cluster *sim, uint32_t w, uint64_t epoch);
static void fault(mn_sim_cluster *sim, uint32_t w);
static void tell_the_rank(mn_sim_cluster *sim, uint32_t w, bool after_all_else);
static mn_sim_event timer(const mn_sim_cluster *sim, uint32_t w, mn_sim_kind kind,
                          uint64_t after_us);
static uint64_t arrival_us(mn_sim_cluster *sim, uint64_t *last_us);

/* What a worker meets: a message, or one of its own timers. Timers of an earlier life are void. */
void mn_sim_worker_event(mn_sim_cluster *sim, const mn_sim_event *event)
{
    uint32_t w = event->worker;
    mn_sim_worker *worker = &sim->workers[w];
    if (event->kind == MN_SIM_START) {
        start(sim, w);
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
        hear(sim, w, &event->note);
        break;
    case MN_SIM_BUILT:
        if (event->work != worker->building)
            break; /* another was begun since */
        worker->building = 0;
        if (!worker->careful && mn_sim_chance(sim, sim->weather.no_build)) {
            feed(sim, w,
                 (mn_worker_event){.kind = MN_WORKER_BUILD_FAILED, .status = MN_ERR_NO_INPUT},
                 NULL);
            break;
        }
        worker->built = true;
        feed(sim, w, (mn_worker_event){.kind = MN_WORKER_BUILT, .theta_size = MN_SIM_THETA}, NULL);
        break;
    case MN_SIM_COMPUTED:
        if (event->work == worker->computing)
            computed(sim, w);
        break;
    case MN_SIM_TICK:
        if (event->note.version != worker->wake_us)
            break; /* it was set anew since */
        worker->wake_us = MN_NEVER;
        feed(sim, w, (mn_worker_event){.kind = MN_WORKER_TICK}, NULL);
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
    if (worker->peer != peer || !worker->connected || worker->mute_until_us > sim->now_us)
        return; /* nobody listens at that end any more */
    mn_sim_event event = {.at_us = arrival_us(sim, &worker->down_us),
                          .kind = MN_SIM_TO_WORKER,
                          .worker = w,
                          .peer = peer,
                          .link = worker->link,
                          .note = *note};
    mn_sim_queue_put(&sim->queue, &event);
}

/* ---- the core, and the shell around it as worker.c has it */

/* A new process, in the place of the one before. */
static void start(mn_sim_cluster *sim, uint32_t w)
{
    mn_sim_worker *worker = &sim->workers[w];
    uint64_t life = ++sim->n_lives;
    *worker = (mn_sim_worker){
        .rank = (uint32_t)(mn_sim_random(sim) % sim->options.ranks),
        .threads = 1 + (uint32_t)(mn_sim_random(sim) % 4),
        .uuid = life,
        .life = life,
        .link = ++sim->n_links,
        .careful = w == 0,
        .wake_us = MN_NEVER,
    };
    mn_worker_core_init(&worker->core, sim->now_us, PATIENCE_US, life);
    if (sim->weather.fault_every_s > 0 && !worker->careful) {
        mn_sim_event trouble =
            timer(sim, w, MN_SIM_FAULT,
                  mn_sim_around(sim, sim->weather.fault_every_s * (double)MN_SIM_S));
        mn_sim_queue_put(&sim->queue, &trouble);
    }
    feed(sim, w, (mn_worker_event){.kind = MN_WORKER_TICK}, NULL);
}

static void hear(mn_sim_cluster *sim, uint32_t w, const mn_sim_note *note)
{
    const mn_message message = mn_sim_message(note);
    feed(sim, w, (mn_worker_event){.kind = MN_WORKER_MESSAGE, .message = &message}, NULL);
}

static void feed(mn_sim_cluster *sim, uint32_t w, mn_worker_event event, mn_sim_note *result)
{
    mn_sim_worker *worker = &sim->workers[w];
    uint64_t life = worker->life;
    for (bool more = true; more && worker->life == life && sim->report.ok;) {
        mn_worker_event next = {0};
        mn_worker_state before = worker->core.state;
        more = false;
        event.now_us = sim->now_us;
        mn_worker_core_step(&worker->core, &event, &sim->worker_todo);
        sim->report.states[worker->core.state] += worker->core.state != before;
        for (size_t i = 0; i < sim->worker_todo.n; i++)
            more = perform(sim, w, &sim->worker_todo.list[i], &event, result, &next) || more;
        if (worker->life == life)
            set_timer(sim, w, sim->worker_todo.wake_us);
        event = next;
        result = NULL;
    }
    if (worker->life == life)
        check(sim, w);
}

/* true: *next is to be fed to the core right after. */
static bool perform(mn_sim_cluster *sim, uint32_t w, const mn_worker_action *action,
                    const mn_worker_event *event, mn_sim_note *result, mn_worker_event *next)
{
    mn_sim_worker *worker = &sim->workers[w];
    switch (action->kind) {
    case MN_WORKER_DO_DIAL:
        if (!worker->careful && mn_sim_chance(sim, sim->weather.no_dial)) {
            *next = (mn_worker_event){.kind = MN_WORKER_DIAL_FAILED, .status = MN_ERR_UNAVAILABLE};
            return true;
        }
        dial(sim, w);
        break;
    case MN_WORKER_DO_HANG_UP:
        hang_up(sim, w);
        break;
    case MN_WORKER_DO_SEND:
        say(sim, w, &(mn_sim_note){.kind = action->message});
        break;
    case MN_WORKER_DO_BUILD: {
        mn_sim_event built = timer(sim, w, MN_SIM_BUILT, mn_sim_around(sim, 20000));
        built.work = worker->building = ++sim->n_works;
        mn_sim_queue_put(&sim->queue, &built);
        break;
    }
    case MN_WORKER_DO_SET_THETA:
        set_theta(sim, w, event->message->theta.version);
        break;
    case MN_WORKER_DO_SUBMIT:
        submit(sim, w, &action->lease);
        break;
    case MN_WORKER_DO_CLEAR:
        forget(sim, w, NULL);
        break;
    case MN_WORKER_DO_SEND_RESULT:
        send_result(sim, w, result);
        break;
    case MN_WORKER_DO_DROP_RESULT:
        if (worker->core.state == MN_WORKER_WORKING)
            mn_sim_fail(sim, "worker %" PRIu32 " drops the result of a lease in hand", w);
        break;
    case MN_WORKER_DO_LOG:
        break;
    case MN_WORKER_DO_END:
        end(sim, w, event->kind == MN_WORKER_MESSAGE && event->message->kind == MN_MSG_FINISHED);
        break;
    }
    return false;
}

/* What core and pool have in hand must be the same. */
static void check(mn_sim_cluster *sim, uint32_t w)
{
    const mn_sim_worker *worker = &sim->workers[w];
    const mn_worker_core *core = &worker->core;
    if (core->n_leases != worker->n_hand)
        mn_sim_fail(sim, "worker %" PRIu32 " counts %" PRIu32 " leases, its pool has %" PRIu32, w,
                    core->n_leases, worker->n_hand);
    for (uint32_t i = 0; i < worker->n_hand; i++) {
        bool known = false;
        for (uint32_t k = 0; k < core->n_leases; k++)
            known = known || core->leases[k] == worker->hand[i].epoch;
        if (!known)
            mn_sim_fail(sim, "the pool of worker %" PRIu32 " has a lease that the core has not", w);
    }
    if (core->state == MN_WORKER_DIALING && worker->connected)
        mn_sim_fail(sim, "worker %" PRIu32 " dials while it is connected", w);
}

/* Only if it has to ring earlier: one that rings too early does no harm. */
static void set_timer(mn_sim_cluster *sim, uint32_t w, uint64_t wake_us)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (wake_us >= worker->wake_us)
        return;
    worker->wake_us = wake_us;
    mn_sim_event tick =
        timer(sim, w, MN_SIM_TICK, wake_us > sim->now_us ? wake_us - sim->now_us : 0);
    tick.note.version = wake_us;
    mn_sim_queue_put(&sim->queue, &tick);
}

/* ---- the connection */

static void dial(mn_sim_cluster *sim, uint32_t w)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (worker->connected)
        mn_sim_fail(sim, "worker %" PRIu32 " dials while it is connected", w);
    if (sim->n_peers == sim->peer_capacity) {
        sim->peer_capacity *= 2;
        sim->peers = realloc(sim->peers, sim->peer_capacity * sizeof *sim->peers);
        if (sim->peers == NULL)
            abort();
    }
    worker->peer = sim->n_peers++;
    sim->peers[worker->peer] = (mn_sim_peer){.worker = w};
    worker->link = ++sim->n_links;
    worker->connected = true;
    worker->mute_until_us = 0;
}

static void hang_up(mn_sim_cluster *sim, uint32_t w)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (worker->connected && mn_sim_chance(sim, 0.7))
        tell_the_rank(sim, w, false);
    worker->connected = false;
    worker->link = ++sim->n_links; /* all that is under way is lost */
}

/* What was said last still arrives. Another process takes its place, unless the run is over. */
static void end(mn_sim_cluster *sim, uint32_t w, bool over)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (worker->connected && mn_sim_chance(sim, 0.7))
        tell_the_rank(sim, w, true);
    if (!over) {
        mn_sim_event again = timer(sim, w, MN_SIM_START, mn_sim_around(sim, (double)MN_SIM_S));
        mn_sim_queue_put(&sim->queue, &again);
    }
    worker->connected = false;
    worker->life = 0;
}

static void say(mn_sim_cluster *sim, uint32_t w, const mn_sim_note *note)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (!worker->connected) { /* a dial that failed is told after HELLO */
        if (note->kind != MN_MSG_HELLO)
            mn_sim_fail(sim, "worker %" PRIu32 " says %s without a connection", w,
                        mn_message_kind_text(note->kind));
        return;
    }
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

/* ---- the pool: a lease after the other, with the rules of pool_jobs.c */

static void set_theta(mn_sim_cluster *sim, uint32_t w, uint64_t version)
{
    mn_sim_worker *worker = &sim->workers[w];
    if (!worker->built)
        mn_sim_fail(sim, "worker %" PRIu32 " has theta for a pool that is not built", w);
    uint32_t newest = worker->n_theta - 1;
    if (worker->n_theta > 0 && worker->theta[newest] == version) {
        forget(sim, w, &version); /* it comes again, in its own place */
    } else if (worker->n_theta == 2) {
        const uint64_t oldest = worker->theta[0];
        forget(sim, w, &oldest);
        worker->theta[0] = worker->theta[1];
        worker->theta[1] = version;
    } else {
        worker->theta[worker->n_theta++] = version;
    }
}

static void submit(mn_sim_cluster *sim, uint32_t w, const mn_lease *lease)
{
    mn_sim_worker *worker = &sim->workers[w];
    bool here = false;
    for (uint32_t i = 0; i < worker->n_theta; i++)
        here = here || worker->theta[i] == lease->round.step;
    if (!here || worker->n_hand == MN_WORKER_MAX_LEASES) {
        mn_sim_fail(sim, "worker %" PRIu32 " submits a lease that its pool has no %s for", w,
                    here ? "room" : "theta");
        return;
    }
    worker->hand[worker->n_hand++] = *lease;
    if (worker->n_hand == 1)
        begin_next(sim, w);
}

/* Leases of this version of theta; NULL: all. Threads end what they are at, or are done with it. */
static void forget(mn_sim_cluster *sim, uint32_t w, const uint64_t *version)
{
    mn_sim_worker *worker = &sim->workers[w];
    uint32_t n = 0;
    bool first_stays = false;
    for (uint32_t i = 0; i < worker->n_hand; i++) {
        if (version == NULL || worker->hand[i].round.step == *version)
            continue;
        first_stays = first_stays || i == 0;
        worker->hand[n++] = worker->hand[i];
    }
    worker->n_hand = n;
    if (version == NULL || worker->keeping.version == *version)
        worker->keeping = (mn_sim_keeping){0};
    if (first_stays)
        return;
    worker->computing = 0;
    if (mn_sim_chance(sim, 0.5))
        worker->busy_us = sim->now_us;
    if (n > 0)
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
    if (worker->busy_us < sim->now_us)
        worker->busy_us = sim->now_us;
    worker->busy_us += takes_us;
    mn_sim_event event = timer(sim, w, MN_SIM_COMPUTED, worker->busy_us - sim->now_us);
    event.work = worker->computing = ++sim->n_works;
    mn_sim_queue_put(&sim->queue, &event);
}

static void computed(mn_sim_cluster *sim, uint32_t w)
{
    mn_sim_worker *worker = &sim->workers[w];
    const mn_lease lease = worker->hand[0];
    mn_sim_note note = {.kind = MN_MSG_RESULT,
                        .n_tasks = lease.n,
                        .n_columns = MN_SIM_COLUMNS,
                        .payload =
                            mn_sim_answer(&lease.round, lease.round.step, lease.begin, lease.n),
                        .lease = lease};
    bool more = worker->n_hand > 1 && worker->hand[1].round.id == lease.round.id;
    if (!worker->careful && mn_sim_chance(sim, sim->weather.forgets))
        worker->keeping = (mn_sim_keeping){0};
    mn_sim_keep_or_bring(&worker->keeping, more, &note);
    memmove(worker->hand, worker->hand + 1, --worker->n_hand * sizeof *worker->hand);
    worker->computing = 0;
    if (worker->n_hand > 0)
        begin_next(sim, w);
    feed(sim, w, (mn_worker_event){.kind = MN_WORKER_RESULT, .epoch = lease.epoch}, &note);
}

/* In one of the ways in which that can go wrong. */
static void send_result(mn_sim_cluster *sim, uint32_t w, mn_sim_note *note)
{
    const mn_sim_weather *weather = &sim->weather;
    uint64_t epoch = note->lease.epoch;
    if (!sim->workers[w].careful) {
        if (mn_sim_chance(sim, weather->wrong_epoch))
            note->lease.epoch = another_epoch(sim, w, epoch);
        if (note->lease.epoch != epoch)
            note->payload = 0xBAD; /* it must not be counted, whoever's that epoch is */
        if (note->n_kept > 0 && mn_sim_chance(sim, weather->wrong_epoch)) {
            uint64_t other = another_epoch(sim, w, note->kept[0].epoch);
            note->payload = other != note->kept[0].epoch ? 0xBAD : note->payload;
            note->kept[0].epoch = other;
        }
        if (mn_sim_chance(sim, weather->wrong_size))
            note->n_tasks += 1;
        else if (mn_sim_chance(sim, weather->damaged))
            note->damaged = !note->keeps; /* there is nothing behind it */
        if (mn_sim_chance(sim, weather->twice))
            say(sim, w, note);
    }
    say(sim, w, note);
}

/* One of before, perhaps another worker's, or one of the far future, but none that this worker was
 * or will be given: those it may answer, and what it then says cannot be told from the truth. */
static uint64_t another_epoch(mn_sim_cluster *sim, uint32_t w, uint64_t epoch)
{
    uint64_t back = mn_sim_random(sim) % 7;
    uint64_t other = back == 0 ? epoch + (UINT64_C(1) << 40) : epoch - back;
    return sim->ranks[sim->workers[w].rank].worker_of[other % MN_SIM_EPOCHS] == w ? epoch : other;
}

/* ---- what happens to a worker */

static void fault(mn_sim_cluster *sim, uint32_t w)
{
    mn_sim_worker *worker = &sim->workers[w];
    uint64_t while_us = mn_sim_around(sim, 2.0 * MN_SIM_SILENCE_MS * 1000);
    mn_sim_event next = timer(sim, w, MN_SIM_FAULT,
                              mn_sim_around(sim, sim->weather.fault_every_s * (double)MN_SIM_S));
    mn_sim_event again = timer(sim, w, MN_SIM_START, while_us);
    mn_sim_queue_put(&sim->queue, &next);
    switch (mn_sim_random(sim) % 7) {
    case 0: /* killed; another process takes its place */
        hang_up(sim, w);
        worker->life = 0;
        mn_sim_queue_put(&sim->queue, &again);
        break;
    case 1: /* leaves */
        feed(sim, w, (mn_worker_event){.kind = MN_WORKER_QUIT}, NULL);
        break;
    case 2: /* hangs, and comes back late */
        worker->hung_until_us = sim->now_us + while_us;
        break;
    case 3: /* a broken connection */
        if (worker->connected)
            feed(sim, w, (mn_worker_event){.kind = MN_WORKER_CONNECTION_LOST}, NULL);
        break;
    case 4: /* one that mends by itself: only what was under way is lost */
        worker->link = ++sim->n_links;
        break;
    case 5: /* something that cannot be decoded */
        if (worker->connected)
            feed(sim, w, (mn_worker_event){.kind = MN_WORKER_NONSENSE, .text = "noise"}, NULL);
        break;
    default: /* a network that swallows all */
        worker->mute_until_us = sim->now_us + while_us;
        break;
    }
}

/* The rank's end of the connection closes: at some time, or when all that was said has arrived. */
static void tell_the_rank(mn_sim_cluster *sim, uint32_t w, bool after_all_else)
{
    mn_sim_worker *worker = &sim->workers[w];
    uint64_t some_us = 0;
    mn_sim_event gone = {.at_us = arrival_us(sim, after_all_else ? &worker->up_us : &some_us),
                         .kind = MN_SIM_PEER_GONE,
                         .rank = worker->rank,
                         .worker = w,
                         .peer = worker->peer};
    mn_sim_queue_put(&sim->queue, &gone);
}

static mn_sim_event timer(const mn_sim_cluster *sim, uint32_t w, mn_sim_kind kind,
                          uint64_t after_us)
{
    return (mn_sim_event){
        .at_us = sim->now_us + after_us, .kind = kind, .worker = w, .link = sim->workers[w].life};
}

/* Of what is sent now by a way that overtakes nothing; *last_us: of what was sent before. */
static uint64_t arrival_us(mn_sim_cluster *sim, uint64_t *last_us)
{
    uint64_t at_us = sim->now_us + mn_sim_around(sim, (double)sim->weather.delay_us);
    if (*last_us < at_us)
        *last_us = at_us;
    return *last_us;
}
