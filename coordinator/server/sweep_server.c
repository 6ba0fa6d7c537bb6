#include "coordinator/server/sweep_server.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "coordinator/links/rank_link.h"
#include "coordinator/links/worker_link.h"
#include "coordinator/run/run.h"
#include "coordinator/run/sweep_journal.h"
#include "coordinator/server/server.h"
#include "coordinator/server/sweep_leg.h"
#include "coordinator/sweep/usher.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#define AT_ONCE 256
#define LOOK_MS 100          /* how often runs are looked at while workers wait for one to open */
#define CALM_MS 1000         /* else */
#define FAREWELL_US 2000000u /* how long the door stays open for workers to hear that all is over */
#define TABLE_US 1000000u    /* news are gathered for so long before sweep.json is written */
#define NOBODY UINT32_MAX

/* A run under way. */
struct child {
    uint32_t run;
    pid_t pid;
};

/* A place for one; on rank 0, of all ranks. */
struct slot {
    uint32_t rank;
    uint32_t run; /* NOBODY: free */
    uint32_t leg;
    uint32_t threads; /* of its run, if its rank is as ours */
};

struct server {
    const mn_sweep_config *config;
    const mn_sweep_plan *plan;
    void *context;
    mn_rank_link *ranks;
    int signals;
    sigset_t watched;
    struct child *children; /* [most_children], n_children of them in use; owned */
    uint32_t n_children, most_children;
    bool stopping; /* children are told to stop */
    bool leave;    /* a rank: once they are gone */

    /* rank 0 */
    mn_run *run; /* lock, id and endpoint of the sweep's folder */
    mn_worker_link *door;
    mn_ladder *ladder;
    mn_usher *usher;
    mn_sweep_journal *journal;
    mn_sweep_results *results;
    char (*settings)[65]; /* [n_runs] digests; owned */
    struct slot *slots;   /* [n_slots]; owned */
    uint32_t n_slots, n_under_way;
    uint64_t begun_us, now_us, look_us, farewell_us;
    uint64_t table_us; /* when sweep.json is to be written again; 0: nothing is new */
    double spent_before_s;
    char why[128]; /* of stopping; "": time is up */
    mn_status failure;
    mn_error failed_by;
};

static mn_status open_all(struct server *s, mn_error *err);
static mn_status open_leader(struct server *s, mn_error *err);
static void close_all(struct server *s);
static void turn(struct server *s);
static void hear_signals(struct server *s);
static void reap(struct server *s);
static void hear_ranks(struct server *s);
static void hear_door(struct server *s);
static void look_at_runs(struct server *s);
static void start_legs(struct server *s);
static void take_leg(struct server *s, const mn_leg *leg);
static void end_leg(struct server *s, uint32_t run, uint32_t code);
static void is_new(struct server *s);
static void write_table(struct server *s);
static void stop(struct server *s, const char *why);
static void signal_children(const struct server *s, int number);
static void tell(struct server *s, uint32_t rank, const mn_message *message);
static void fail(struct server *s, mn_status status, const mn_error *err);
static double spent_s(const struct server *s);
static bool is_over(const struct server *s);

mn_status mn_sweep_server_run(const mn_sweep_config *config, mn_sweep_results *out, mn_error *err)
{
    struct server s = {.config = config, .plan = config->plan, .signals = -1, .results = out};
    const bool leads = config->job->rank == 0;
    *out = (mn_sweep_results){0};
    mn_status status = open_all(&s, err);
    if (status == MN_OK) {
        if (leads)
            start_legs(&s);
        while (!is_over(&s))
            turn(&s);
        if (leads && !s.stopping) /* else they know */
            for (uint32_t rank = 1; rank < config->job->n_ranks; rank++)
                tell(&s, rank, &(mn_message){.kind = MN_MSG_STOP});
        status = s.failure;
        if (status != MN_OK)
            *err = s.failed_by;
        else if (leads && s.stopping && !out->out_of_time)
            status = mn_fail(err, MN_STOPPED, "%s", s.why);
    }
    if (s.ladder != NULL) {
        write_table(&s);
        if (s.run != NULL && status == MN_OK)
            mn_run_remove_endpoint(s.run);
    }
    close_all(&s);
    return mn_job_agree(config->job, status, err);
}

/* ---- the beginning */

static mn_status open_all(struct server *s, mn_error *err)
{
    const mn_job *job = s->config->job;
    mn_status status = MN_OK;
    s->begun_us = s->now_us = mn_clock_us();
    s->most_children = mn_sweep_slots(s->config);
    s->children = calloc(s->most_children, sizeof *s->children);
    s->context = zmq_ctx_new();
    if (status == MN_OK && (s->children == NULL || s->context == NULL))
        status = mn_fail(err, MN_ERR_NOMEM, "slots of a sweep");
    if (status == MN_OK) {
        mn_server_hold_signals();
        s->watched = mn_server_signals();
        (void)sigaddset(&s->watched, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &s->watched, NULL);
        s->signals = signalfd(-1, &s->watched, SFD_NONBLOCK | SFD_CLOEXEC);
        if (s->signals < 0)
            status = mn_fail_errno(err, "receive signals");
    }
    status = mn_job_agree(job, status, err);
    if (status == MN_OK)
        status = mn_rank_link_new(s->context, job, &s->ranks, err);
    uint32_t *counts = calloc(job->n_ranks, sizeof *counts);
    if (status == MN_OK && counts == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "slots of the ranks");
    status = mn_job_agree(job, status, err);
    if (status == MN_OK) {
        mn_job_gather(job, &s->most_children, sizeof s->most_children, counts);
        for (uint32_t rank = 0; job->rank == 0 && rank < job->n_ranks; rank++)
            s->n_slots += counts[rank];
        if (job->rank == 0 && (s->slots = calloc(s->n_slots, sizeof *s->slots)) == NULL)
            status = mn_fail(err, MN_ERR_NOMEM, "slots of the ranks");
        for (uint32_t rank = 0, at = 0; status == MN_OK && job->rank == 0 && rank < job->n_ranks;
             rank++)
            for (uint32_t k = 0; k < counts[rank]; k++)
                s->slots[at++] = (struct slot){.rank = rank, .run = NOBODY};
        if (status == MN_OK && job->rank == 0)
            status = open_leader(s, err);
    }
    free(counts);
    return mn_job_agree(job, status, err);
}

static void keep(mn_sweep_result *result, const mn_outcome *outcome)
{
    if (!result->there)
        result->first = *outcome;
    result->there = true;
    result->outcome = *outcome;
    result->failed = MN_OK;
}

/* An earlier life has come so far. */
static mn_status take_entry(void *user, const mn_sweep_entry *entry, mn_error *err)
{
    struct server *s = user;
    char name[MN_SWEEP_NAME];
    const uint64_t point = strtoull(entry->run, NULL, 10); /* names begin with it */
    for (uint64_t k = 0; point < s->plan->n_points && k < s->plan->n_seeds; k++) {
        const uint32_t run = (uint32_t)(point * s->plan->n_seeds + k);
        mn_sweep_plan_name(s->plan, run, name);
        if (strcmp(name, entry->run) != 0)
            continue;
        if (strcmp(s->settings[run], entry->settings) != 0)
            return mn_fail(err, MN_ERR_CONFIG,
                           "run %s of %s was made with other settings than the sweep has now: set "
                           "them back, or give the changed sweep another --run-dir",
                           name, s->config->folder);
        if (entry->outcome.ending != MN_ENDING_DONE &&
            (entry->leg >= s->plan->n_rungs || entry->outcome.step != s->plan->rungs[entry->leg]))
            return mn_fail(
                err, MN_ERR_CONFIG,
                "run %s of %s paused at meta-step %" PRIu64
                ", where the sweep has no rung: halving has changed since; set it back, or "
                "give the changed sweep another --run-dir",
                name, s->config->folder, entry->outcome.step);
        keep(&s->results->runs[run], &entry->outcome);
        const double score = entry->outcome.validated_by.higher_is_better
                                 ? entry->outcome.validation
                                 : -entry->outcome.validation;
        mn_ladder_end(s->ladder, run, entry->leg,
                      entry->outcome.ending == MN_ENDING_DONE ? MN_LEG_DONE : MN_LEG_PAUSED,
                      entry->outcome.validated ? score : NAN, 0);
        break;
    }
    s->spent_before_s = entry->spent_s;
    return MN_OK;
}

static mn_status digest_settings(struct server *s, mn_error *err)
{
    mn_experiment *experiment = malloc(sizeof *experiment);
    mn_status status = experiment == NULL ? mn_fail(err, MN_ERR_NOMEM, "settings") : MN_OK;
    for (uint32_t run = 0; run < s->plan->n_runs && status == MN_OK; run++) {
        status = mn_sweep_plan_experiment(s->plan, run, experiment, err);
        if (status == MN_OK)
            status = mn_sweep_settings_digest(experiment, s->settings[run], err);
    }
    free(experiment);
    return status;
}

static mn_status open_door(struct server *s, mn_error *err)
{
    const mn_experiment *base = &s->plan->base;
    char endpoint[1][256] = {""};
    if (base->pool.listen[0] == '\0')
        return MN_OK;
    mn_status status = mn_worker_link_new(s->context, base->pool.listen, base->pool.keys,
                                          base->pool.insecure, 0, &s->door, endpoint[0], err);
    return status == MN_OK ? mn_run_write_endpoint(s->run, mn_worker_link_key(s->door), 1,
                                                   (const char(*)[256])endpoint, err)
                           : status;
}

static mn_status open_leader(struct server *s, mn_error *err)
{
    const mn_sweep_plan *plan = s->plan;
    char path[PATH_MAX];
    s->results->runs = calloc(plan->n_runs, sizeof *s->results->runs);
    s->results->points = calloc(plan->n_points, sizeof *s->results->points);
    s->settings = calloc(plan->n_runs, sizeof *s->settings);
    mn_status status = MN_OK;
    if (s->results->runs == NULL || s->results->points == NULL || s->settings == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "sweep of %" PRIu32 " runs", plan->n_runs);
    if (status == MN_OK && mn_run_begun(s->config->folder))
        status = mn_fail(err, MN_ERR_USAGE,
                         "%s is the folder of a run: give the sweep another with --run-dir",
                         s->config->folder);
    if (status == MN_OK)
        status = mn_run_open(s->config->folder, &s->run, err);
    for (size_t i = 0; i < 2 && status == MN_OK; i++) {
        status = mn_run_path(s->config->folder, i == 0 ? "runs" : "logs", path, err);
        if (status == MN_OK)
            status = mn_folder_make(path, err);
    }
    if (status == MN_OK)
        status = mn_ladder_new(plan->n_points, plan->n_seeds, plan->n_rungs, plan->admitted,
                               &s->ladder, err);
    if (status == MN_OK)
        status = mn_usher_new(plan->n_runs, 1000 * plan->file->turn_s, &s->usher, err);
    if (status == MN_OK)
        status = digest_settings(s, err);
    if (status == MN_OK)
        status = mn_run_path(s->config->folder, "journal.jsonl", path, err);
    if (status == MN_OK)
        status = mn_sweep_journal_open(path, take_entry, s, &s->journal, err);
    if (status == MN_OK)
        status = open_door(s, err);
    if (status == MN_OK)
        write_table(s);
    if (status == MN_OK && !s->config->quiet)
        mn_log(MN_LOG_INFO,
               "sweep %s: %" PRIu32 " point%s, %" PRIu32 " run%s, %" PRIu32 " over; %" PRIu32
               " at a time%s%s",
               s->config->folder, plan->n_points, plan->n_points > 1 ? "s" : "", plan->n_runs,
               plan->n_runs > 1 ? "s" : "", mn_ladder_n_done(s->ladder), s->n_slots,
               s->door != NULL ? "; workers: mnemo-worker " : "",
               s->door != NULL ? s->config->folder : "");
    return status;
}

static void close_all(struct server *s)
{
    mn_worker_link_destroy(&s->door);
    mn_rank_link_destroy(&s->ranks);
    if (s->context != NULL)
        (void)zmq_ctx_term(s->context);
    mn_sweep_journal_close(&s->journal);
    mn_usher_destroy(&s->usher);
    mn_ladder_destroy(&s->ladder);
    mn_run_close(&s->run);
    if (s->signals >= 0)
        (void)close(s->signals);
    free(s->settings);
    free(s->slots);
    free(s->children);
}

/* ---- one turn of the loop */

static bool leads(const struct server *s)
{
    return s->config->job->rank == 0;
}

static double spent_s(const struct server *s)
{
    return s->spent_before_s + (double)(s->now_us - s->begun_us) * 1e-6;
}

/* Rank 0 stays a little longer, to tell workers that come home. */
static bool is_over(const struct server *s)
{
    if (s->n_children > 0)
        return false;
    if (!leads(s))
        return s->leave;
    return s->n_under_way == 0 && s->farewell_us > 0 &&
           (mn_usher_n_away(s->usher) + mn_usher_n_waiting(s->usher) == 0 ||
            s->now_us >= s->farewell_us);
}

static int patience_ms(const struct server *s)
{
    uint64_t wake_us = s->now_us + UINT64_C(1000) * CALM_MS;
    if (!leads(s))
        return CALM_MS;
    if (mn_ladder_wake_us(s->ladder) > s->now_us && mn_ladder_wake_us(s->ladder) < wake_us)
        wake_us = mn_ladder_wake_us(s->ladder);
    if (mn_usher_wake_us(s->usher, s->now_us) < wake_us)
        wake_us = mn_usher_wake_us(s->usher, s->now_us);
    if (s->door != NULL && mn_worker_link_wake_us(s->door) < wake_us)
        wake_us = mn_worker_link_wake_us(s->door);
    if (s->door != NULL && s->look_us < wake_us && s->n_under_way > 0)
        wake_us = s->look_us;
    if (s->table_us > 0 && s->table_us < wake_us)
        wake_us = s->table_us;
    return wake_us > s->now_us ? (int)((wake_us - s->now_us) / 1000 + 1) : 0;
}

static void turn(struct server *s)
{
    enum { SIGNALS, RANKS, DOOR };
    zmq_pollitem_t items[DOOR + MN_WORKER_LINK_SOCKETS] = {
        [SIGNALS] = {.fd = s->signals, .events = ZMQ_POLLIN},
        [RANKS] = {.socket = mn_rank_link_socket(s->ranks), .fd = -1, .events = ZMQ_POLLIN},
    };
    int n_items = DOOR;
    if (s->door != NULL) {
        mn_worker_link_poll_items(s->door, &items[DOOR]);
        n_items += MN_WORKER_LINK_SOCKETS;
    }
    s->now_us = mn_clock_us();
    if (zmq_poll(items, n_items, patience_ms(s)) < 0 && errno != EINTR) {
        mn_error err;
        fail(s, mn_fail_errno(&err, "wait for events"), &err);
    }
    s->now_us = mn_clock_us();
    hear_signals(s);
    reap(s);
    hear_ranks(s);
    if (!leads(s))
        return;
    const double most_s = 3600 * s->plan->file->most_hours;
    if (most_s > 0 && !s->stopping && spent_s(s) >= most_s && !mn_ladder_is_over(s->ladder)) {
        s->results->out_of_time = true;
        stop(s, "the budget of hours is spent");
    }
    start_legs(s);
    look_at_runs(s);
    hear_door(s);
    if (s->table_us > 0 && s->now_us >= s->table_us)
        write_table(s);
    const bool done = s->n_under_way == 0 && (s->stopping || mn_ladder_is_over(s->ladder));
    if (done && s->farewell_us == 0) {
        s->farewell_us = s->now_us + FAREWELL_US;
        mn_usher_end(s->usher, !mn_ladder_is_over(s->ladder) && !s->results->out_of_time);
        hear_door(s);
    }
}

static void hear_signals(struct server *s)
{
    struct signalfd_siginfo news;
    while (read(s->signals, &news, sizeof news) == (ssize_t)sizeof news) {
        char why[64];
        if (news.ssi_signo == SIGCHLD)
            continue; /* see reap() */
        if (news.ssi_signo == SIGUSR1) {
            signal_children(s, SIGUSR1);
            continue;
        }
        (void)snprintf(why, sizeof why, "stopped by SIG%s", sigabbrev_np((int)news.ssi_signo));
        if (leads(s)) {
            stop(s, why);
            continue;
        }
        mn_message message = {.kind = MN_MSG_STOP_WANTED};
        (void)snprintf(message.reject.reason, sizeof message.reject.reason, "%s", why);
        tell(s, 0, &message);
    }
}

static void reap(struct server *s)
{
    for (uint32_t i = 0; i < s->n_children;) {
        int how = 0;
        const struct child child = s->children[i];
        if (waitpid(child.pid, &how, WNOHANG) != child.pid) {
            i++;
            continue;
        }
        s->children[i] = s->children[--s->n_children];
        const uint32_t code =
            WIFEXITED(how) ? (uint32_t)WEXITSTATUS(how) : 128 + (uint32_t)WTERMSIG(how);
        if (leads(s)) {
            end_leg(s, child.run, code);
            continue;
        }
        tell(s, 0,
             &(mn_message){.kind = MN_MSG_LEG_ENDED, .leg = {.run = child.run, .code = code}});
    }
}

static void hear_ranks(struct server *s)
{
    uint32_t rank = 0;
    mn_message message = {0};
    mn_status status = MN_OK;
    mn_error err;
    while (mn_rank_link_receive(s->ranks, &rank, &message, &status, &err)) {
        if (status != MN_OK)
            fail(s, status, &err);
        else if (message.kind == MN_MSG_LEG)
            take_leg(s, &message.leg);
        else if (message.kind == MN_MSG_LEG_ENDED && message.leg.run < s->plan->n_runs)
            end_leg(s, message.leg.run, message.leg.code);
        else if (message.kind == MN_MSG_STOP_WANTED)
            stop(s, message.reject.reason);
        else if (message.kind == MN_MSG_STOP) {
            s->leave = true;
            s->stopping = true;
            signal_children(s, SIGTERM);
        }
    }
}

/* ---- workers */

static void hear_door(struct server *s)
{
    mn_arrival arrival;
    mn_usher_word word;
    for (int n = 0;
         n < AT_ONCE && s->door != NULL && mn_worker_link_take(s->door, s->now_us, &arrival); n++) {
        const mn_message *message = &arrival.received.message;
        if (arrival.kind == MN_ARRIVED_LOSS ||
            (arrival.kind == MN_ARRIVED_MESSAGE && message->kind == MN_MSG_LEAVE))
            mn_usher_gone(s->usher, arrival.peer);
        else if (arrival.kind == MN_ARRIVED_MESSAGE && message->kind == MN_MSG_HELLO)
            mn_usher_hello(s->usher, arrival.peer, &message->hello, s->now_us);
        else
            mn_worker_link_send(s->door, arrival.peer, &(mn_message){.kind = MN_MSG_REGISTER_AGAIN},
                                NULL);
        if (arrival.kind == MN_ARRIVED_MESSAGE && message->kind == MN_MSG_HELLO)
            mn_log(message->hello.refused ? MN_LOG_WARN : MN_LOG_DEBUG, "worker=%s at the door%s",
                   message->hello.name,
                   message->hello.refused
                       ? ": the run that it was sent to did not take it; its own "
                         "log and the run's say why"
                       : "");
        mn_received_fini(&arrival.received);
    }
    while (mn_usher_take(s->usher, s->now_us, &word))
        if (s->door != NULL)
            mn_worker_link_send(s->door, word.peer, &word.message, NULL);
}

static void look_at_runs(struct server *s)
{
    bool opening = false;
    if (s->door == NULL || s->now_us < s->look_us)
        return;
    for (uint32_t i = 0; i < s->n_slots; i++) {
        char endpoint[256];
        const uint32_t run = s->slots[i].run, leg = s->slots[i].leg;
        if (run == NOBODY)
            continue;
        if (!mn_usher_is_open(s->usher, run) && mn_sweep_leg_endpoint(s->config, run, endpoint))
            mn_usher_open(s->usher, run, endpoint, s->slots[i].threads);
        opening = opening || !mn_usher_is_open(s->usher, run);
        if (!mn_usher_is_open(s->usher, run) || mn_usher_n_away(s->usher) == 0)
            continue;
        const uint64_t until =
            leg < s->plan->n_rungs ? s->plan->rungs[leg] : s->plan->base.outer.steps;
        const uint64_t step = mn_sweep_leg_step(s->config, run);
        mn_usher_left(s->usher, run, until > step ? until - step : 1);
    }
    s->look_us = s->now_us + UINT64_C(1000) * (opening ? LOOK_MS : CALM_MS);
}

/* ---- what it has come to, for mnemo status SWEEP and the like */

static void is_new(struct server *s)
{
    if (s->table_us == 0)
        s->table_us = s->now_us + TABLE_US;
}

/* Of thousands of runs it is long, so it is not written more often than takes a twentieth of the time. That it cannot
 * be written is told, once in a while, and stops nothing: the journal says all of it. */
static void write_table(struct server *s)
{
    mn_sweep_results *results = s->results;
    mn_error err;
    const uint64_t begun_us = mn_clock_us();
    results->n_over = mn_ladder_n_done(s->ladder);
    results->spent_s = spent_s(s);
    for (uint32_t point = 0; point < s->plan->n_points; point++)
        results->points[point].fate =
            mn_ladder_fate(s->ladder, point, &results->points[point].rung);
    if (mn_sweep_table_write(s->plan, results, s->config->folder, &err) != MN_OK)
        mn_log(MN_LOG_WARN, "%s", err.message);
    const uint64_t cost_us = mn_clock_us() - begun_us;
    s->table_us = 0;
    if (20 * cost_us > TABLE_US && s->n_under_way > 0)
        s->table_us = s->now_us + 20 * cost_us;
}

/* ---- runs */

static void words_of(const struct server *s, uint32_t run, char *words, size_t n)
{
    mn_sweep_plan_words(s->plan, run / s->plan->n_seeds, words, n);
}

static void start_legs(struct server *s)
{
    for (uint32_t i = 0; i < s->n_slots && !s->stopping; i++) {
        struct slot *slot = &s->slots[i];
        char name[MN_SWEEP_NAME], words[400];
        if (slot->run != NOBODY)
            continue;
        if (!mn_ladder_next(s->ladder, s->now_us, &slot->run, &slot->leg)) {
            slot->run = NOBODY;
            return;
        }
        const mn_leg leg = {.run = slot->run,
                            .until = slot->leg < s->plan->n_rungs ? s->plan->rungs[slot->leg] : 0,
                            .slot = i,
                            .last = !mn_ladder_has_more(s->ladder)};
        slot->threads = mn_sweep_leg_threads(s->config, &leg);
        s->n_under_way++;
        s->results->runs[slot->run].under_way = true;
        is_new(s);
        s->look_us = s->now_us;
        mn_sweep_leg_forget_endpoint(s->config, slot->run);
        mn_sweep_plan_name(s->plan, slot->run, name);
        words_of(s, slot->run, words, sizeof words);
        if (!s->config->quiet && leg.until > 0)
            mn_log(MN_LOG_INFO, "%s %s to meta-step %" PRIu64 ": %s", name,
                   slot->leg > 0 ? "goes on" : "begins", leg.until, words);
        else if (!s->config->quiet)
            mn_log(MN_LOG_INFO, "%s %s: %s", name, slot->leg > 0 ? "goes on to its end" : "begins",
                   words);
        if (slot->rank == 0)
            take_leg(s, &leg);
        else
            tell(s, slot->rank, &(mn_message){.kind = MN_MSG_LEG, .leg = leg});
    }
}

/* On the rank that is to make it. */
static void take_leg(struct server *s, const mn_leg *leg)
{
    mn_error err = {0};
    pid_t pid = -1;
    mn_status status = s->n_children < s->most_children && leg->run < s->plan->n_runs
                           ? mn_sweep_leg_start(s->config, leg, &pid, &err)
                           : mn_fail(&err, MN_ERR_INTERNAL, "no slot for run %" PRIu32, leg->run);
    if (status == MN_OK) {
        s->children[s->n_children++] = (struct child){.run = leg->run, .pid = pid};
        if (s->stopping)
            signal_children(s, SIGTERM);
        return;
    }
    mn_log(MN_LOG_ERROR, "%s", err.message);
    const uint32_t code = (uint32_t)mn_status_exit_code(status);
    if (leads(s))
        end_leg(s, leg->run, code);
    else
        tell(s, 0, &(mn_message){.kind = MN_MSG_LEG_ENDED, .leg = {.run = leg->run, .code = code}});
}

static void write_down(struct server *s, uint32_t run, uint32_t leg, const mn_outcome *outcome)
{
    mn_error err;
    mn_sweep_entry entry = {.leg = leg, .spent_s = spent_s(s), .outcome = *outcome};
    mn_sweep_plan_name(s->plan, run, entry.run);
    memcpy(entry.settings, s->settings[run], sizeof entry.settings);
    mn_status status = mn_sweep_journal_add(s->journal, &entry, &err);
    if (status != MN_OK)
        fail(s, status, &err);
}

static void tell_ending(const struct server *s, uint32_t run, mn_leg_ending ending, uint32_t code)
{
    const mn_sweep_result *result = &s->results->runs[run];
    const mn_outcome *outcome = &result->outcome;
    char name[MN_SWEEP_NAME], scores[128] = "";
    mn_sweep_plan_name(s->plan, run, name);
    if (ending == MN_LEG_CUT && code >= 128)
        mn_log(MN_LOG_WARN, "%s was ended by signal %" PRIu32 "; it will go on", name, code - 128);
    else if (ending == MN_LEG_CUT && code == 0)
        mn_log(MN_LOG_WARN, "%s ended in order, but left no outcome.json; it is tried again", name);
    else if (ending == MN_LEG_CUT)
        mn_log(MN_LOG_WARN, "%s ended with code %" PRIu32 "; it is tried again", name, code);
    if (ending == MN_LEG_CUT || s->config->quiet)
        return;
    if (outcome->validated)
        (void)snprintf(scores, sizeof scores, ": validation %s %.4g", outcome->validated_by.name,
                       outcome->validation);
    if (outcome->tested)
        (void)snprintf(scores + strlen(scores), sizeof scores - strlen(scores), "%s test %s %.4g",
                       scores[0] != '\0' ? "," : ":", outcome->judged.name, outcome->test);
    mn_log(MN_LOG_INFO,
           "%s %s%s (%" PRIu32 " of %" PRIu32 " runs are over, %" PRIu32 " under way, %" PRIu32
           " workers)",
           name, ending == MN_LEG_DONE ? "is done" : "has paused", scores,
           mn_ladder_n_done(s->ladder), s->plan->n_runs, s->n_under_way,
           mn_usher_n_away(s->usher) + mn_usher_n_waiting(s->usher));
}

static void end_leg(struct server *s, uint32_t run, uint32_t code)
{
    mn_sweep_result *result = &s->results->runs[run];
    mn_outcome outcome = {0};
    struct slot *slot = NULL;
    for (uint32_t i = 0; i < s->n_slots; i++)
        if (s->slots[i].run == run)
            slot = &s->slots[i];
    if (slot == NULL)
        return;
    const uint32_t leg = slot->leg;
    mn_leg_ending ending = mn_sweep_leg_ending(s->config, run, leg, code, &outcome);
    slot->run = NOBODY;
    s->n_under_way--;
    result->under_way = false;
    is_new(s);
    mn_usher_close(s->usher, run);
    if (ending == MN_LEG_CUT && s->stopping) {
        mn_ladder_put_back(s->ladder, run);
        return;
    }
    if (ending == MN_LEG_DONE || ending == MN_LEG_PAUSED) {
        keep(result, &outcome);
        write_down(s, run, leg, &outcome);
    }
    const double score =
        outcome.validated_by.higher_is_better ? outcome.validation : -outcome.validation;
    mn_ladder_end(s->ladder, run, leg, ending, outcome.validated ? score : NAN, s->now_us);
    uint32_t rung;
    if (ending == MN_LEG_FAILED ||
        (ending == MN_LEG_CUT &&
         mn_ladder_fate(s->ladder, run / s->plan->n_seeds, &rung) == MN_POINT_FAILED)) {
        char log[PATH_MAX], name[MN_SWEEP_NAME];
        mn_sweep_leg_log(s->config, run, log);
        mn_sweep_plan_name(s->plan, run, name);
        result->failed = code == 0 || code >= 128 ? MN_ERR_INTERNAL : mn_sweep_leg_status(code);
        if (code >= 128)
            (void)snprintf(result->why, sizeof result->why, "ended by signal %" PRIu32, code - 128);
        else if (code == 0)
            (void)snprintf(result->why, sizeof result->why,
                           "it ended in order, but left no outcome.json that says so: does "
                           "something else remove or change files in its folder?");
        else
            mn_sweep_leg_last_words(s->config, run, result->why, sizeof result->why);
        mn_log(MN_LOG_ERROR, "%s failed, code %" PRIu32 ": %s (%s); the sweep goes on", name, code,
               result->why, log);
        return;
    }
    tell_ending(s, run, ending, code);
}

static void signal_children(const struct server *s, int number)
{
    for (uint32_t i = 0; i < s->n_children; i++)
        (void)kill(s->children[i].pid, number);
}

/* Runs write checkpoints and end; then so do we. */
static void stop(struct server *s, const char *why)
{
    if (s->stopping)
        return;
    s->stopping = true;
    (void)snprintf(s->why, sizeof s->why, "%s", why);
    if (!s->config->quiet)
        mn_log(MN_LOG_INFO, "%s: %" PRIu32 " runs under way write checkpoints and stop", why,
               s->n_under_way);
    signal_children(s, SIGTERM);
    for (uint32_t rank = 1; rank < s->config->job->n_ranks; rank++)
        tell(s, rank, &(mn_message){.kind = MN_MSG_STOP});
}

static void tell(struct server *s, uint32_t rank, const mn_message *message)
{
    mn_error err;
    mn_status status = mn_rank_link_send(s->ranks, rank, message, &err);
    if (status != MN_OK)
        fail(s, status, &err);
}

/* What cannot be written down would be lost: stop in order. */
static void fail(struct server *s, mn_status status, const mn_error *err)
{
    mn_log(MN_LOG_ERROR, "%s", err->message);
    if (s->failure == MN_OK) {
        s->failure = status;
        s->failed_by = *err;
    }
    if (leads(s)) {
        stop(s, "the sweep cannot go on");
        return;
    }
    /* What this rank has to say cannot be said any more, and the others would wait for it for ever. Runs write
     * checkpoints, as when the launcher stops them. */
    signal_children(s, SIGTERM);
    mn_log(MN_LOG_ERROR, "all ranks of the sweep end; the same command goes on");
    mn_job_abort(s->config->job, mn_status_exit_code(status));
}
