#include "coordinator/sweep/usher.h"

#include "coordinator/core/admission.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX
#define MOST_DEAF 3u /* so often sent away and here again without having heard it */

struct run {
    bool open;
    char endpoint[256];
    uint32_t own_threads, sent_threads;
    uint64_t left;
    uint64_t rests_us; /* nobody is sent there before */
};

struct worker {
    bool waits;    /* at the door, as `peer`; else away, or reject is to be said */
    bool rejected; /* to be told so, and forgotten */
    uint64_t peer;
    uint64_t uuid[2];
    uint32_t threads;
    uint32_t run; /* where it was sent last; NOWHERE: nowhere yet */
    uint32_t deaf;
    uint64_t due_us;  /* waits: the next word; away: gone from then on */
    uint8_t *refused; /* [n_runs / 8 + 1] bits; NULL: none; owned */
    char reason[256]; /* of the rejection */
};

struct mn_usher {
    uint32_t n_runs, turn_ms;
    struct run *runs; /* [n_runs]; owned */
    uint32_t n_workers;
    struct worker *workers; /* [MN_USHER_MAX_WORKERS], n_workers of them in use; owned */
    bool ended, resumes;
};

static struct worker *find(mn_usher *usher, const uint64_t uuid[2]);
static struct worker *add(mn_usher *usher, const mn_hello *hello);
static void come_back(mn_usher *usher, struct worker *worker, bool refused);
static void forget(mn_usher *usher, struct worker *worker);
static uint32_t choose(const mn_usher *usher, const struct worker *worker, uint64_t now_us);
static void send_away(mn_usher *usher, struct worker *worker, uint32_t run, uint64_t now_us,
                      mn_usher_word *out);
static bool has_refused(const struct worker *worker, uint32_t run);

mn_status mn_usher_new(uint32_t n_runs, uint32_t turn_ms, mn_usher **out, mn_error *err)
{
    mn_usher *usher = calloc(1, sizeof *usher);
    if (usher != NULL) {
        usher->runs = calloc(n_runs, sizeof *usher->runs);
        usher->workers = calloc(MN_USHER_MAX_WORKERS, sizeof *usher->workers);
    }
    if (usher == NULL || usher->runs == NULL || usher->workers == NULL) {
        mn_usher_destroy(&usher);
        return mn_fail(err, MN_ERR_NOMEM, "usher of %" PRIu32 " runs", n_runs);
    }
    usher->n_runs = n_runs;
    usher->turn_ms = turn_ms;
    *out = usher;
    return MN_OK;
}

void mn_usher_destroy(mn_usher **usher)
{
    if (*usher == NULL)
        return;
    for (uint32_t i = 0; i < (*usher)->n_workers; i++)
        free((*usher)->workers[i].refused);
    free((*usher)->workers);
    free((*usher)->runs);
    free(*usher);
    *usher = NULL;
}

void mn_usher_open(mn_usher *usher, uint32_t run, const char *endpoint, uint32_t threads)
{
    struct run *at = &usher->runs[run];
    const uint32_t sent = at->sent_threads;
    if (strlen(endpoint) >= sizeof at->endpoint)
        return; /* of no use to a worker */
    *at = (struct run){.open = true, .own_threads = threads, .sent_threads = sent, .left = 1};
    (void)snprintf(at->endpoint, sizeof at->endpoint, "%s", endpoint);
}

void mn_usher_left(mn_usher *usher, uint32_t run, uint64_t left)
{
    usher->runs[run].left = left;
}

void mn_usher_close(mn_usher *usher, uint32_t run)
{
    usher->runs[run].open = false;
}

bool mn_usher_is_open(const mn_usher *usher, uint32_t run)
{
    return usher->runs[run].open;
}

void mn_usher_hello(mn_usher *usher, uint64_t peer, const mn_hello *hello, uint64_t now_us)
{
    char reason[256];
    const bool welcome = mn_admits_hello(hello, reason, sizeof reason);
    struct worker *worker = find(usher, hello->uuid);
    if (worker == NULL)
        worker = add(usher, hello);
    if (worker == NULL)
        return; /* there is no room: it will ask again */
    const bool was_sent = !worker->waits && !worker->rejected && worker->run != NOWHERE;
    /* back too early: that run has ended, or is about to */
    if (was_sent && !hello->refused && now_us + MN_USHER_GRACE_US < worker->due_us)
        usher->runs[worker->run].rests_us = now_us + MN_USHER_REST_US;
    if (was_sent)
        come_back(usher, worker, hello->refused);
    worker->deaf = was_sent && hello->visits == 0 ? worker->deaf + 1 : 0;
    worker->waits = true;
    worker->peer = peer;
    worker->threads = hello->threads;
    worker->due_us = now_us;
    worker->rejected = !welcome || worker->deaf >= MOST_DEAF;
    if (welcome && worker->rejected)
        (void)snprintf(reason, sizeof reason,
                       "the worker (mnemo %.31s) does not go where a sweep sends it: install the "
                       "version of the sweep (mnemo %s), or join one of its runs",
                       hello->version, MN_VERSION);
    if (worker->rejected)
        (void)snprintf(worker->reason, sizeof worker->reason, "%s", reason);
}

void mn_usher_gone(mn_usher *usher, uint64_t peer)
{
    for (uint32_t i = 0; i < usher->n_workers; i++)
        if (usher->workers[i].waits && usher->workers[i].peer == peer) {
            forget(usher, &usher->workers[i]);
            return;
        }
}

void mn_usher_end(mn_usher *usher, bool resumes)
{
    usher->ended = true;
    usher->resumes = resumes;
}

bool mn_usher_take(mn_usher *usher, uint64_t now_us, mn_usher_word *out)
{
    for (uint32_t i = 0; i < usher->n_workers;) {
        struct worker *worker = &usher->workers[i];
        if (!worker->waits) {
            if (now_us >= worker->due_us) {
                come_back(usher, worker, false);
                forget(usher, worker); /* the last one is at its place now */
            } else {
                i++;
            }
            continue;
        }
        *out = (mn_usher_word){.peer = worker->peer};
        if (worker->rejected || usher->ended) {
            out->message.kind = worker->rejected ? MN_MSG_REJECT : MN_MSG_FINISHED;
            out->message.reject.resumes = !worker->rejected && usher->resumes;
            if (worker->rejected)
                (void)snprintf(out->message.reject.reason, sizeof out->message.reject.reason, "%s",
                               worker->reason);
            forget(usher, worker);
            return true;
        }
        const uint32_t run = choose(usher, worker, now_us);
        if (run != NOWHERE) {
            send_away(usher, worker, run, now_us, out);
            return true;
        }
        if (now_us >= worker->due_us) {
            worker->due_us = now_us + UINT64_C(1000) * MN_USHER_HOLD_MS;
            out->message =
                (mn_message){.kind = MN_MSG_VISIT, .visit = {.for_ms = MN_USHER_HOLD_MS}};
            return true;
        }
        i++;
    }
    return false;
}

uint64_t mn_usher_wake_us(const mn_usher *usher, uint64_t now_us)
{
    uint64_t wake_us = UINT64_MAX;
    for (uint32_t i = 0; i < usher->n_workers; i++)
        if (usher->workers[i].due_us < wake_us)
            wake_us = usher->workers[i].due_us;
    for (uint32_t i = 0; i < usher->n_runs && mn_usher_n_waiting(usher) > 0; i++)
        if (usher->runs[i].open && usher->runs[i].rests_us > now_us &&
            usher->runs[i].rests_us < wake_us)
            wake_us = usher->runs[i].rests_us;
    return wake_us;
}

uint32_t mn_usher_n_waiting(const mn_usher *usher)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < usher->n_workers; i++)
        n += usher->workers[i].waits;
    return n;
}

uint32_t mn_usher_n_away(const mn_usher *usher)
{
    return usher->n_workers - mn_usher_n_waiting(usher);
}

uint32_t mn_usher_threads_at(const mn_usher *usher, uint32_t run)
{
    return usher->runs[run].sent_threads;
}

static struct worker *find(mn_usher *usher, const uint64_t uuid[2])
{
    for (uint32_t i = 0; i < usher->n_workers; i++)
        if (memcmp(usher->workers[i].uuid, uuid, sizeof usher->workers[i].uuid) == 0)
            return &usher->workers[i];
    return NULL;
}

static struct worker *add(mn_usher *usher, const mn_hello *hello)
{
    if (usher->n_workers == MN_USHER_MAX_WORKERS)
        return NULL;
    struct worker *worker = &usher->workers[usher->n_workers++];
    *worker = (struct worker){.run = NOWHERE};
    memcpy(worker->uuid, hello->uuid, sizeof worker->uuid);
    return worker;
}

static void come_back(mn_usher *usher, struct worker *worker, bool refused)
{
    struct run *run = &usher->runs[worker->run];
    assert(run->sent_threads >= worker->threads);
    run->sent_threads -= worker->threads;
    if (!refused)
        return;
    if (worker->refused == NULL)
        worker->refused = calloc(usher->n_runs / 8 + 1, 1);
    if (worker->refused != NULL) /* else it is tried again */
        worker->refused[worker->run / 8] |= (uint8_t)(1u << worker->run % 8);
}

static void forget(mn_usher *usher, struct worker *worker)
{
    free(worker->refused);
    *worker = usher->workers[--usher->n_workers];
}

/* The run with the fewest threads for what is left, this worker counted; where it comes from is built
 * already, and is left only for one that is a quarter worse off. */
static uint32_t choose(const mn_usher *usher, const struct worker *worker, uint64_t now_us)
{
    uint32_t best = NOWHERE;
    double least = 0;
    for (uint32_t i = 0; i < usher->n_runs; i++) {
        const struct run *run = &usher->runs[i];
        if (!run->open || run->left == 0 || run->rests_us > now_us || has_refused(worker, i))
            continue;
        double load =
            ((double)run->own_threads + run->sent_threads + worker->threads) / (double)run->left;
        if (i == worker->run)
            load /= 1.25;
        if (best == NOWHERE || load < least) {
            best = i;
            least = load;
        }
    }
    return best;
}

static void send_away(mn_usher *usher, struct worker *worker, uint32_t run, uint64_t now_us,
                      mn_usher_word *out)
{
    out->message = (mn_message){.kind = MN_MSG_VISIT, .visit = {.for_ms = usher->turn_ms}};
    memcpy(out->message.visit.endpoint, usher->runs[run].endpoint,
           sizeof out->message.visit.endpoint);
    worker->waits = false;
    worker->run = run;
    worker->due_us = now_us + UINT64_C(1000) * usher->turn_ms + MN_USHER_GRACE_US;
    usher->runs[run].sent_threads += worker->threads;
}

static bool has_refused(const struct worker *worker, uint32_t run)
{
    return worker->refused != NULL && (worker->refused[run / 8] >> run % 8 & 1) != 0;
}
