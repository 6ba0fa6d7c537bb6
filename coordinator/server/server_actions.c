#include "coordinator/server/server_state.h"

#include "common/clock.h"
#include "common/log.h"
#include <assert.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_ROUND 1u /* ids count from here */

static void perform(mn_server *server, const mn_action *action);
static void send_to_worker(mn_server *server, const mn_action *action);
static void send_theta(mn_server *server, uint64_t peer, uint64_t version);
static void give_to_pool(mn_server *server, const mn_lease *lease);
static void say_to_leader(mn_server *server, const mn_message *message);
static void queue_word(mn_server *server, const struct word *word);
static void begin_reduce(mn_server *server);

void mn_server_step_rank(mn_server *server, mn_event event)
{
    mn_error err;
    event.now_us = server->now_us;
    mn_actions_clear(&server->todo);
    mn_status status = mn_rank_step(server->rank, &event, &server->todo, &err);
    if (status != MN_OK)
        mn_server_die(server, status, &err);
    server->wake_us = server->todo.wake_us;
    for (size_t i = 0; i < server->todo.n; i++)
        perform(server, &server->todo.list[i]);
    mn_server_hear_words(server);
}

void mn_server_end_idle(mn_server *server)
{
    if (!server->idle)
        return;
    uint64_t now_us = mn_clock_us();
    if (server->round.id == FIRST_ROUND) /* before it nobody was idle for lack of speed */
        server->reduced_us = now_us;
    server->idle_us = now_us - server->reduced_us;
    server->idle = false;
}

static void perform(mn_server *server, const mn_action *action)
{
    switch (action->kind) {
    case MN_DO_SEND:
        if (action->message == MN_MSG_LEASE)
            mn_server_end_idle(server);
        if (action->peer != MN_LOCAL_POOL)
            send_to_worker(server, action);
        else if (action->message == MN_MSG_LEASE)
            give_to_pool(server, &action->lease);
        break;
    case MN_DO_SEND_THETA:
        send_theta(server, action->peer, action->version);
        break;
    case MN_DO_ACCEPT:
        mn_training_add(server->config.training, action->lease.begin, server->result,
                        server->payload, server->payload_bytes);
        if (server->workers != NULL)
            mn_worker_link_proved(server->workers, action->peer);
        server->spent.tasks_us += server->result->compute_us;
        server->spent.sums_us += server->result->sums_us;
        break;
    case MN_DO_REFUSE:
        mn_log(MN_LOG_DEBUG, "result refused peer=%" PRIu64 " epoch=%" PRIu64 ": %s", action->peer,
               action->refusal.epoch, mn_refusal_text(action->refusal.why));
        break;
    case MN_DO_TO_LEADER: {
        const mn_message message = mn_action_message(action);
        say_to_leader(server, &message);
        break;
    }
    case MN_DO_OPEN_ROUND:
        server->round = action->round;
        server->spent = (mn_step_time){0};
        mn_training_open(server->config.training, &action->round);
        break;
    case MN_DO_START_REDUCE:
        begin_reduce(server);
        break;
    case MN_DO_STOP:
        server->stopped = true;
        (void)snprintf(server->why, sizeof server->why, "%s", action->log.text);
        break;
    case MN_DO_LOG:
        if (action->stranger)
            mn_log_limited(&server->strangers, server->now_us, action->log.level, "%s",
                           action->log.text);
        else
            mn_log(action->log.level, "%s", action->log.text);
        break;
    case MN_DO_NOTE:
        mn_server_note(server, &action->note);
        break;
    case MN_DO_TO_RANK: /* the leader's: see step_leader */
        break;
    }
}

static void send_to_worker(mn_server *server, const mn_action *action)
{
    const mn_server_config *config = &server->config;
    mn_message message = mn_action_message(action);
    if (server->workers == NULL)
        return;
    if (message.kind == MN_MSG_WELCOME) {
        mn_welcome *welcome = &message.welcome;
        welcome->run_id = config->run_id;
        welcome->heartbeat_ms = config->experiment->pool.heartbeat_ms;
        welcome->silence_ms = config->experiment->pool.silence_ms;
        welcome->data = config->data;
        (void)snprintf(welcome->data_name, sizeof welcome->data_name, "%s",
                       mn_task_set_data_name(config->tasks));
        welcome->experiment = server->experiment; /* lent: the message is not freed */
        const mn_learner_card *card = mn_task_set_card(config->tasks);
        welcome->learner = card != NULL ? card->text : NULL; /* so too */
    }
    mn_worker_link_send(server->workers, action->peer, &message, NULL);
}

static void send_theta(mn_server *server, uint64_t peer, uint64_t version)
{
    mn_error err;
    mn_status status = MN_OK;
    size_t n = mn_training_size(server->config.training);
    const float *theta = mn_training_theta(server->config.training, version);
    assert(theta != NULL);
    if (peer == MN_LOCAL_POOL) {
        status = mn_pool_set_theta(server->pool, version, theta, &err);
    } else if (server->workers != NULL) {
        if (server->theta == NULL || server->theta_version != version) {
            mn_payload_drop(&server->theta); /* what is under way keeps its own */
            status = mn_payload_new(theta, n * sizeof *theta, NULL, NULL, &server->theta, &err);
            server->theta_version = version;
        }
        const mn_message message = {.kind = MN_MSG_THETA, .theta = {.version = version, .n = n}};
        if (status == MN_OK)
            mn_worker_link_send(server->workers, peer, &message, server->theta);
    }
    if (status != MN_OK)
        mn_server_die(server, status, &err);
}

static void give_to_pool(mn_server *server, const mn_lease *lease)
{
    mn_error err;
    mn_status status = mn_pool_submit(server->pool, lease, &err);
    if (status != MN_OK)
        mn_server_die(server, status, &err);
}

static void say_to_leader(mn_server *server, const mn_message *message)
{
    mn_error err;
    if (server->leader != NULL) {
        queue_word(server, &(struct word){
                               .to_leader = true, .kind = MN_LEADER_MESSAGE, .message = *message});
        return;
    }
    mn_status status = mn_rank_link_send(server->ranks, 0, message, &err);
    if (status != MN_OK)
        mn_server_die(server, status, &err);
}

/* Rank 0's own words between its two cores. Each may bring new ones, which wait behind it; so what
 * one core said first is heard first, and no core is stepped while it is being stepped. */
void mn_server_hear_words(mn_server *server)
{
    if (server->hearing_words)
        return;
    server->hearing_words = true;
    for (size_t i = 0; i < server->n_words; i++) {
        struct word word = server->words[i];
        if (word.to_leader)
            mn_server_step_leader(server,
                                  &(mn_leader_event){.kind = word.kind, .message = &word.message});
        else if (!server->stopped)
            mn_server_step_rank(server,
                                (mn_event){.kind = MN_EVENT_FROM_LEADER, .message = &word.message});
    }
    server->n_words = 0;
    server->hearing_words = false;
}

void mn_server_step_leader(mn_server *server, const mn_leader_event *event)
{
    mn_error err;
    mn_leader_event timed = *event;
    timed.now_us = server->now_us;
    mn_actions_clear(&server->leader_todo);
    mn_status status = mn_leader_step(server->leader, &timed, &server->leader_todo, &err);
    for (size_t i = 0; status == MN_OK && i < server->leader_todo.n; i++) {
        const mn_action *action = &server->leader_todo.list[i];
        mn_message message = mn_action_message(action);
        if (action->kind == MN_DO_LOG)
            mn_log(action->log.level, "%s", action->log.text);
        else if (action->kind == MN_DO_NOTE)
            mn_server_note(server, &action->note);
        else if (action->rank == 0)
            queue_word(server, &(struct word){.message = message});
        else
            status = mn_rank_link_send(server->ranks, action->rank, &message, &err);
    }
    if (status != MN_OK)
        mn_server_die(server, status, &err);
}

static void queue_word(mn_server *server, const struct word *word)
{
    if (server->n_words == server->words_room) {
        mn_error err;
        size_t room = server->words_room == 0 ? 64 : 2 * server->words_room;
        struct word *more = realloc(server->words, room * sizeof *more);
        if (more == NULL)
            mn_server_die(server, mn_fail(&err, MN_ERR_NOMEM, "%zu words between the cores", room),
                          &err);
        server->words = more;
        server->words_room = room;
    }
    server->words[server->n_words++] = *word;
}

static void begin_reduce(mn_server *server)
{
    mn_rank_view view = mn_rank_look(server->rank);
    const mn_tally tally = {.workers = view.workers,
                            .threads = view.threads,
                            .mixed = view.mixed,
                            .checkpoints = server->checkpoint_asked,
                            .tasks_us = server->spent.tasks_us,
                            .sums_us = server->spent.sums_us,
                            .repeated_us = view.counts.repeated_us - server->tallied.repeated_us,
                            .repeated =
                                view.counts.tasks_repeated - server->tallied.tasks_repeated};
    server->tallied = view.counts;
    server->checkpoint_asked = false;
    if (server->pool != NULL)
        mn_pool_clear(server->pool);
    server->reduce_us = server->arrived_us = server->now_us;
    server->judged = server->stepping = false;
    server->stepping_us = 0;
    mn_training_close(server->config.training);
    mn_reduce_begin(server->reduce, mn_training_digits(server->config.training),
                    mn_training_checksum(server->config.training), &tally);
}
