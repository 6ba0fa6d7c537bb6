#include "coordinator/server/server_state.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/packed_sum.h"
#include "coordinator/server/door.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define AT_ONCE 256 /* messages taken in one turn, so that no kind of event waits for another */
/* So long after the last news a reduce is watched without sleeping, for nobody has work before it
 * is over; then so long at most between two looks, because MPI has no progress of its own. */
#define SPIN_US 20000u
#define REDUCE_WAIT_MS 1
#define SHOW_MS 400 /* what has changed is shown so soon, though nothing else happens */

static mn_status open_links(mn_server *server, mn_error *err);
static mn_status open_cores(mn_server *server, mn_error *err);
static mn_status write_endpoints(const mn_server *server, const char endpoint[256], mn_error *err);
static void own_door(const char *listen, uint32_t rank, char *own, size_t n);
static void turn(mn_server *server);
static int patience_ms(const mn_server *server);
static void read_clock(mn_server *server);
static void hear_signals(mn_server *server);
static void hear_ranks(mn_server *server);
static void hear_pool(mn_server *server);
static void hear_workers(mn_server *server);
static void hear_reduce(mn_server *server);
static void judge_sums(mn_server *server);
static void end_round(mn_server *server);
static void end_training_round(mn_server *server);
static mn_step_time time_of_step(const mn_server *server);
static void end_test_round(mn_server *server);
static mn_status no_score(const mn_server *server, mn_error *err);
static void checkpoint(mn_server *server);
static void want_stop(mn_server *server, const char *why);
static void fail(mn_server *server, mn_status status, const mn_error *err);
static void fail_round(mn_server *server, mn_status status, const mn_error *err);

void mn_server_hold_signals(void)
{
    sigset_t set = mn_server_signals();
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void mn_server_allow_interrupt(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

mn_status mn_server_new(const mn_server_config *config, mn_server **out, mn_error *err)
{
    mn_status status = MN_OK;
    mn_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "server");
    else
        *server = (mn_server){.config = *config, .signals = -1};
    if (status == MN_OK)
        status = open_cores(server, err);
    status = mn_job_agree(config->job, status, err);
    if (status == MN_OK)
        status = open_links(server, err);
    if (status != MN_OK) {
        mn_server_destroy(&server);
        return status;
    }
    *out = server;
    return MN_OK;
}

void mn_server_destroy(mn_server **server)
{
    mn_server *s = *server;
    if (s == NULL)
        return;
    mn_pool_destroy(&s->pool);
    mn_worker_link_destroy(&s->workers);
    mn_rank_link_destroy(&s->ranks);
    mn_payload_drop(&s->theta);
    mn_evaluation_fini(&s->test);
    if (s->context != NULL)
        (void)zmq_ctx_term(s->context);
    mn_reduce_destroy(&s->reduce);
    mn_rank_destroy(&s->rank);
    mn_leader_destroy(&s->leader);
    mn_actions_fini(&s->todo);
    mn_actions_fini(&s->leader_todo);
    if (s->signals >= 0)
        (void)close(s->signals);
    free(s->words);
    free(s->experiment);
    free(s);
    *server = NULL;
}

mn_status mn_server_run(mn_server *server, mn_error *err)
{
    read_clock(server);
    server->round_over_us = server->reduced_us = server->now_us; /* nothing is written yet */
    server->idle = true;
    mn_server_step_rank(server,
                        (mn_event){.kind = MN_EVENT_LOCAL_POOL, .threads = server->config.threads});
    while (!server->stopped)
        turn(server);

    mn_status status = server->failure;
    if (status == MN_OK ||
        status == MN_ERR_NUMERIC) { /* theta as it was before the bad step is good */
        mn_error err_of_write;
        mn_status written = mn_scribe_checkpoint(server->config.scribe, &err_of_write);
        if (written != MN_OK)
            fail(server, written, &err_of_write);
        status = server->failure;
    }
    if (status == MN_OK && server->why[0] != '\0')
        status = mn_fail(&server->failed_by, MN_STOPPED, "after meta-step %" PRIu64 ": %s",
                         mn_training_step(server->config.training), server->why);
    if (status != MN_OK && err != NULL)
        *err = server->failed_by;
    return mn_job_agree(server->config.job, status, err);
}

bool mn_server_take_test(mn_server *server, mn_evaluation *out)
{
    bool tested = server->test.estimates != NULL;
    *out = server->test;
    server->test = (mn_evaluation){0};
    return tested;
}

/* ---- the beginning ---- */

sigset_t mn_server_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGUSR2);
    struct sigaction hang_up;
    if (sigaction(SIGHUP, NULL, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) /* as by nohup */
        (void)sigaddset(&set, SIGHUP);
    return set;
}

static mn_status open_cores(mn_server *server, mn_error *err)
{
    const mn_server_config *config = &server->config;
    const mn_experiment *experiment = config->experiment;
    mn_training *training = config->training;
    mn_rank_config rank = {
        .max_members = MN_MAX_WORKERS + 1,
        .external = mn_learner_is_external(config->learner),
        .numeric_class = config->numeric_class,
        .data = config->data,
        .any_numeric_class = experiment->pool.any_numeric_class,
        .only_rank = config->job->n_ranks == 1,
        .silence_ms = experiment->pool.silence_ms,
        .lease_floor_ms = experiment->pool.lease_floor_ms,
        .train_columns = (uint32_t)mn_learner_train_columns(config->learner),
        .test_columns = (uint32_t)mn_learner_test_columns(config->learner),
    };
    (void)snprintf(rank.data_name, sizeof rank.data_name, "%s",
                   mn_task_set_data_name(config->tasks));
    uint64_t step = mn_training_step(training);
    uint64_t every = experiment->evaluate.every;
    const mn_program plan = {
        .start = step,
        .steps =
            config->test_only || mn_training_has_enough(training) ? step : experiment->outer.steps,
        .pause = config->test_only ? 0 : config->pause,
        .batch = experiment->outer.batch,
        .val_every = config->test_only ? 0 : experiment->evaluate.every,
        .val_tasks = experiment->evaluate.val_tasks,
        .test_tasks = experiment->evaluate.tasks,
        .val_due = !config->test_only && every > 0 && step > 0 && step % every == 0 &&
                   mn_training_validated(training) != step,
        .keep_best = experiment->evaluate.keep_best,
        .averages = experiment->outer.average > 0,
    };
    mn_status status = mn_rank_new(&rank, &server->rank, err);
    if (status == MN_OK && config->job->rank == 0)
        status = mn_leader_new(&plan, config->job->n_ranks, &server->leader, err);
    if (status == MN_OK)
        status = mn_reduce_new(config->job->comm, mn_training_max_digits(training), 0,
                               &server->reduce, err);
    if (status == MN_OK && config->threads > 0)
        status = mn_pool_new(config->learner, config->tasks, config->threads, &server->pool, err);
    /* Where our keys are is no worker's business, nor the class that each must find by itself. */
    mn_experiment told = *experiment;
    memset(told.pool.keys, 0, sizeof told.pool.keys);
    memset(told.pool.numeric_class, 0, sizeof told.pool.numeric_class);
    memset(told.run.page_token, 0, sizeof told.run.page_token);
    if (status == MN_OK)
        status = mn_experiment_print(&told, false, &server->experiment, err);
    if (status == MN_OK)
        mn_training_use(training, mn_reduce_sums(server->reduce), config->job->n_ranks == 1);
    return status;
}

static mn_status open_links(mn_server *server, mn_error *err)
{
    const mn_server_config *config = &server->config;
    const mn_experiment *experiment = config->experiment;
    char endpoint[256] = "";
    mn_status status = MN_OK;
    server->context = zmq_ctx_new();
    if (server->context == NULL ||
        zmq_ctx_set(server->context, ZMQ_IO_THREADS, (int)experiment->pool.io_threads) != 0)
        status = mn_fail_errno(err, "start ZeroMQ");
    status = mn_job_agree(config->job, status, err);
    if (status == MN_OK)
        status = mn_rank_link_new(server->context, config->job, &server->ranks, err);
    if (status != MN_OK)
        return status;

    char listen[sizeof experiment->pool.listen + 16];
    own_door(experiment->pool.listen, config->job->rank, listen, sizeof listen);
    uint64_t max_payload_bytes = mn_packed_sum_most(mn_training_max_digits(config->training) / 2);
    const bool remote = !config->test_only || mn_learner_is_external(config->learner);
    if (experiment->pool.listen[0] != '\0' && remote)
        status = mn_worker_link_new(server->context, listen, experiment->pool.keys,
                                    experiment->pool.insecure, max_payload_bytes, &server->workers,
                                    endpoint, err);
    if (status == MN_OK) {
        mn_server_hold_signals();
        sigset_t set = mn_server_signals();
        server->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
        if (server->signals < 0)
            status = mn_fail_errno(err, "receive signals");
    }
    status = mn_job_agree(config->job, status, err);
    return status == MN_OK ? write_endpoints(server, endpoint, err) : status;
}

/* Ranks may share a machine, so with a port that is fixed each rank takes the one `rank` above it,
 * and with a path one that has `rank` behind it. */
static void own_door(const char *listen, uint32_t rank, char *own, size_t n)
{
    if (mn_door_above(listen, rank, own, n))
        return;
    if (strncmp(listen, "ipc://", 6) == 0 && strcmp(listen, "ipc://*") != 0 && rank > 0)
        (void)snprintf(own, n, "%s.%" PRIu32, listen, rank);
    else
        (void)snprintf(own, n, "%s", listen);
}

/* Each rank has read its own copy of the keys, but workers are told one key for all. */
static mn_status agree_on_key(const mn_job *job, const char *key, mn_error *err)
{
    char first[MN_WIRE_KEY_CHARS + 1];
    mn_status status = MN_OK;
    (void)snprintf(first, sizeof first, "%s", key != NULL ? key : "");
    mn_job_share(job, first, sizeof first);
    if (strcmp(first, key != NULL ? key : "") != 0)
        status = mn_fail(err, MN_ERR_CONFIG,
                         "pool.keys: the server's key here is not that of rank 0; give all ranks "
                         "the same folder of keys");
    return mn_job_agree(job, status, err);
}

/* Rank 0 tells the world where all ranks listen, and with which key. */
static mn_status write_endpoints(const mn_server *server, const char endpoint[256], mn_error *err)
{
    const mn_job *job = server->config.job;
    const char *key = server->workers != NULL ? mn_worker_link_key(server->workers) : NULL;
    char(*all)[256] = NULL;
    mn_status status = agree_on_key(job, key, err);
    if (status == MN_OK && job->rank == 0) {
        all = calloc(job->n_ranks, sizeof *all);
        if (all == NULL)
            status = mn_fail(err, MN_ERR_NOMEM, "endpoints of %" PRIu32 " ranks", job->n_ranks);
    }
    status = mn_job_agree(job, status, err);
    if (status == MN_OK)
        mn_job_gather(job, endpoint, sizeof *all, all);
    if (status == MN_OK && server->config.run != NULL && server->config.experiment->pool.listen[0])
        status = mn_run_write_endpoint(server->config.run, key, job->n_ranks,
                                       (const char(*)[256])all, err);
    if (status == MN_OK && server->config.run == NULL && endpoint[0] != '\0') /* no file has it */
        mn_log(MN_LOG_INFO, "workers come to %s%s%s", endpoint, key != NULL ? " with --key " : "",
               key != NULL ? key : "");
    free(all);
    return mn_job_agree(job, status, err);
}

/* ---- one turn of the loop ---- */

static void turn(mn_server *server)
{
    enum { SIGNALS, POOL, RANKS, WORKERS };
    zmq_pollitem_t items[WORKERS + MN_WORKER_LINK_SOCKETS] = {
        [SIGNALS] = {.fd = server->signals, .events = ZMQ_POLLIN},
        [POOL] = {.fd = server->pool != NULL ? mn_pool_fd(server->pool) : -1, .events = ZMQ_POLLIN},
        [RANKS] = {.socket = mn_rank_link_socket(server->ranks), .fd = -1, .events = ZMQ_POLLIN},
    };
    int n_items = WORKERS;
    if (server->workers != NULL) {
        mn_worker_link_poll_items(server->workers, &items[WORKERS]);
        n_items += MN_WORKER_LINK_SOCKETS;
    }
    bool busy = server->pool != NULL && mn_pool_help(server->pool);
    if (zmq_poll(items, n_items, busy ? 0 : patience_ms(server)) < 0 && errno != EINTR) {
        mn_error err;
        mn_server_die(server, mn_fail_errno(&err, "wait for events"), &err);
    }
    if (mn_reduce_active(server->reduce))
        (void)sched_yield(); /* threads of ZeroMQ may be waiting for this processor with the other
                                ranks' word */
    read_clock(server);
    hear_signals(server);
    hear_ranks(server);
    hear_pool(server);
    hear_workers(server);
    hear_reduce(server);
    if (!server->stopped && server->now_us >= server->wake_us)
        mn_server_step_rank(server, (mn_event){.kind = MN_EVENT_TICK});
    if (server->leader != NULL && server->round.kind == MN_ROUND_TEST && server->round.id != 0) {
        mn_leader_progress progress = mn_leader_look(server->leader);
        mn_scribe_evaluating(server->config.scribe, progress.round.split, progress.done,
                             progress.round.n_tasks, server->now_us);
    }
    mn_scribe_rest(server->config.scribe, server->now_us);
    mn_server_show(server);
}

static int patience_ms(const mn_server *server)
{
    uint64_t wake_us = server->wake_us;
    if (mn_reduce_active(server->reduce))
        return server->now_us - server->arrived_us < SPIN_US ? 0 : REDUCE_WAIT_MS;
    if (server->workers != NULL && mn_worker_link_wake_us(server->workers) < wake_us)
        wake_us = mn_worker_link_wake_us(server->workers);
    if (wake_us <= server->now_us)
        return 0;
    uint64_t ms = (wake_us - server->now_us) / 1000 + 1;
    const uint64_t most_ms = mn_scribe_board(server->config.scribe) != NULL ? SHOW_MS : 1000;
    return (int)(ms < most_ms ? ms : most_ms);
}

static void read_clock(mn_server *server)
{
    server->now_us = mn_clock_us() - server->written_us;
}

static void hear_signals(mn_server *server)
{
    struct signalfd_siginfo news;
    while (read(server->signals, &news, sizeof news) == (ssize_t)sizeof news) {
        if (news.ssi_signo == SIGUSR1) {
            mn_log(MN_LOG_INFO, "SIGUSR1: checkpoint");
            if (server->config.job->rank != 0) {
                server->checkpoint_asked = true;
            } else if (mn_reduce_active(server->reduce)) {
                server->checkpoint_owed = true; /* theta is being changed */
            } else {
                server->checkpoint_answered = true;
                checkpoint(server);
            }
        } else {
            char why[64];
            (void)snprintf(why, sizeof why, "stopped by SIG%s", sigabbrev_np((int)news.ssi_signo));
            want_stop(server, why);
        }
    }
}

static void hear_ranks(mn_server *server)
{
    uint32_t rank = 0;
    mn_message message = {0};
    mn_status status = MN_OK;
    mn_error err;
    while (!server->stopped &&
           mn_rank_link_receive(server->ranks, &rank, &message, &status, &err)) {
        if (status != MN_OK)
            mn_server_die(server, status, &err);
        if (server->leader == NULL) {
            mn_server_step_rank(server,
                                (mn_event){.kind = MN_EVENT_FROM_LEADER, .message = &message});
            continue;
        }
        if (message.kind == MN_MSG_NOTE) {
            mn_journal_add_line(mn_scribe_journal(server->config.scribe), message.reject.reason);
            continue;
        }
        mn_server_step_leader(
            server,
            &(mn_leader_event){.kind = MN_LEADER_MESSAGE, .rank = rank, .message = &message});
        mn_server_hear_words(server);
    }
}

static void hear_pool(mn_server *server)
{
    mn_pool_result result;
    while (!server->stopped && server->pool != NULL && mn_pool_take(server->pool, &result)) {
        const mn_message message = {.kind = MN_MSG_RESULT,
                                    .payload_bytes = result.payload_bytes,
                                    .result = {.epoch = result.epoch, .result = result.result}};
        server->result = &result.result;
        server->payload = result.payload;
        server->payload_bytes = result.payload_bytes;
        mn_server_step_rank(
            server,
            (mn_event){.kind = MN_EVENT_FROM_WORKER, .peer = MN_LOCAL_POOL, .message = &message});
        server->payload = NULL;
        mn_pool_release(server->pool, &result);
    }
}

static void hear_workers(mn_server *server)
{
    mn_arrival arrival;
    for (int n = 0; n < AT_ONCE && !server->stopped && server->workers != NULL &&
                    mn_worker_link_take(server->workers, server->now_us, &arrival);
         n++) {
        mn_message *message = &arrival.received.message;
        const void *payload = arrival.received.payload;
        mn_event event = {.kind = MN_EVENT_FROM_WORKER, .peer = arrival.peer, .message = message};
        if (arrival.kind == MN_ARRIVED_LOSS)
            event = (mn_event){.kind = MN_EVENT_PEER_GONE, .peer = arrival.peer};
        else if (arrival.kind == MN_ARRIVED_DAMAGE)
            event = (mn_event){
                .kind = MN_EVENT_DAMAGED, .peer = arrival.peer, .text = arrival.why.message};
        else if (message->kind == MN_MSG_RESULT &&
                 message->result.result.encoding !=
                     MN_ENCODING_KEPT && /* then nothing has come yet */
                 mn_training_check(&message->result.result, payload, message->payload_bytes,
                                   &arrival.why) != MN_OK)
            event = (mn_event){.kind = MN_EVENT_DAMAGED,
                               .peer = arrival.peer,
                               .epoch = message->result.epoch,
                               .text = arrival.why.message};
        server->result = &message->result.result;
        server->payload = payload;
        server->payload_bytes = message->payload_bytes;
        mn_server_step_rank(server, event);
        server->payload = NULL;
        mn_received_fini(&arrival.received);
    }
}

/* The outer step is made as the sums arrive. Whatever is wrong with them is known with the first
 * segment, but told when the last has come, for all ranks have to leave the allreduce together. */
static void hear_reduce(mn_server *server)
{
    if (server->stopped || !mn_reduce_active(server->reduce))
        return;
    while (mn_reduce_progress(server->reduce)) {
        uint64_t arrived_us = mn_clock_us();
        if (!server->judged)
            judge_sums(server);
        if (server->stepping)
            mn_training_advance_outer(server->config.training, mn_reduce_arrived(server->reduce));
        read_clock(server);
        server->arrived_us = server->now_us;
        /* by the same reading of the clock: it is a part of the time until then, never more */
        server->stepping_us += server->now_us + server->written_us - arrived_us;
    }
    if (!mn_reduce_active(server->reduce))
        end_round(server);
}

static void judge_sums(mn_server *server)
{
    bool training = server->round.kind == MN_ROUND_TRAIN;
    server->judged = true;
    server->verdict = mn_reduce_result(server->reduce, &server->tally, &server->judgement);
    if (server->verdict == MN_OK && training)
        server->verdict = mn_training_begin_outer(server->config.training, &server->judgement);
    server->stepping = server->verdict == MN_OK && training;
}

static void end_round(mn_server *server)
{
    uint64_t round = server->round.id;
    if (server->verdict != MN_OK) {
        fail_round(server, server->verdict, &server->judgement);
        return;
    }
    if (server->tally.mixed > 0)
        mn_scribe_mark_mixed(server->config.scribe);
    const mn_rank_view view = mn_rank_look(server->rank);
    mn_scribe_tell_class(server->config.scribe, &view.numeric_class);
    mn_scribe_work(server->config.scribe, server->tally.tasks_us, server->tally.repeated_us,
                   server->tally.repeated);
    if (server->stepping)
        end_training_round(server);
    else
        end_test_round(server);
    server->reduced_us = server->now_us + server->written_us;
    server->idle = true;
    server->round_over_us = server->now_us;
    server->round.id = 0;
    server->stepping = false;
    if (server->stopped)
        return;
    mn_server_step_rank(server, (mn_event){.kind = MN_EVENT_REDUCED, .round = round});
    if (server->leader != NULL) {
        mn_server_step_leader(
            server, &(mn_leader_event){.kind = MN_LEADER_ROUND_OVER,
                                       .round = round,
                                       .enough = mn_training_has_enough(server->config.training)});
        mn_server_hear_words(server);
    }
    mn_server_end_idle(server);
    bool asked = server->tally.checkpoints > 0 && !server->checkpoint_answered;
    server->checkpoint_answered = false;
    if (asked || server->checkpoint_owed || mn_scribe_checkpoint_due(server->config.scribe))
        checkpoint(server); /* now, because the next round's leases are on their way */
    server->checkpoint_owed = false;
}

static void end_training_round(mn_server *server)
{
    mn_step_record record = {.workers = (uint32_t)server->tally.workers,
                             .threads = (uint32_t)server->tally.threads,
                             .time = time_of_step(server)};
    uint64_t took_us = server->now_us - server->round_over_us;
    mn_training_end_outer(server->config.training, &record);
    record.tasks_per_s = server->round.n_tasks * 1e6 / (double)(took_us > 0 ? took_us : 1);
    mn_scribe_step(server->config.scribe, &record, server->now_us);
}

/* From the end of the last allreduce to the end of this one. All ranks leave one together, so what
 * this rank does about it takes all ranks' threads. */
static mn_step_time time_of_step(const mn_server *server)
{
    uint64_t threads = server->tally.threads;
    uint64_t now_us = server->now_us + server->written_us;
    uint64_t begun_us = server->reduce_us + server->written_us;
    return (mn_step_time){.all_us = threads * (now_us - server->reduced_us),
                          .tasks_us = server->tally.tasks_us,
                          .sums_us = server->tally.sums_us,
                          .reduce_us = threads * (now_us - begun_us - server->stepping_us),
                          .outer_us = threads * (server->idle_us + server->stepping_us)};
}

static void end_test_round(mn_server *server)
{
    mn_error err;
    mn_evaluation evaluation;
    bool best = false;
    mn_status status = mn_training_judge(server->config.training, &evaluation, &best, &err);
    if (status != MN_OK)
        mn_server_die(server, status, &err); /* out of memory, on this rank alone */
    if (server->round.split == MN_VAL) {
        mn_scribe_validation(server->config.scribe, &evaluation, best);
        mn_evaluation_fini(&evaluation);
        return;
    }
    server->test = evaluation;
    status = mn_scribe_test(server->config.scribe, &evaluation, &err);
    if (status == MN_OK && evaluation.n_counted == 0)
        status = no_score(server, &err);
    if (status != MN_OK)
        fail(server, status, &err);
}

static mn_status no_score(const mn_server *server, mn_error *err)
{
    char suspects[512];
    mn_training_suspects(server->config.training, suspects, sizeof suspects);
    return mn_fail(err, MN_ERR_NUMERIC,
                   "there is no score: all %" PRIu32 " test tasks were skipped, their loss was not "
                   "finite or beyond 2^24; %s",
                   server->round.n_tasks, suspects);
}

/* The cores do not see the time that this takes: nobody was silent while nobody was listening. */
static void checkpoint(mn_server *server)
{
    mn_error err;
    uint64_t began_us = server->now_us;
    if (server->failure != MN_OK)
        return;
    mn_status status = mn_scribe_checkpoint(server->config.scribe, &err);
    read_clock(server);
    server->written_us += server->now_us - began_us;
    server->now_us = began_us;
    if (status == MN_OK)
        return;
    fail(server, status, &err);
    want_stop(server, "a checkpoint could not be written");
}

static void want_stop(mn_server *server, const char *why)
{
    if (!server->stopped)
        mn_server_step_rank(server, (mn_event){.kind = MN_EVENT_STOP_WANTED, .text = why});
}

/* ---- when it goes wrong ---- */

/* Something that must end the run, but in order. The first is the one that is told. */
static void fail(mn_server *server, mn_status status, const mn_error *err)
{
    mn_log(MN_LOG_ERROR, "%s", err->message);
    if (server->failure != MN_OK)
        return;
    server->failure = status;
    server->failed_by = *err;
}

/* The reduce at hand ends the run, on all ranks alike; workers are told. */
static void fail_round(mn_server *server, mn_status status, const mn_error *err)
{
    fail(server, status, err);
    mn_server_step_rank(
        server,
        (mn_event){.kind = MN_EVENT_FAILED, .round = server->round.id, .text = err->message});
}

void mn_server_die(const mn_server *server, mn_status status, const mn_error *err)
{
    mn_log(MN_LOG_ERROR,
           "%s: %s; all ranks end, and 'mnemo train' goes on from the last checkpoint",
           mn_status_text(status), err->message);
    mn_job_abort(server->config.job, mn_status_exit_code(status));
}
