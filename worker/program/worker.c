#include "worker/program/worker.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/packed_sum.h"
#include "proto/wire.h"
#include "worker/program/endpoint.h"
#include "worker/program/worker_core.h"
#include "worker/program/workshop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

#define MESSAGES_AT_A_TIME 32
#define CONNECTION_EVENTS                                                                          \
    (ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                               \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

struct worker {
    const mn_worker_options *options;
    mn_worker_core core;
    mn_worker_actions todo;
    mn_workshop *workshop;
    void *context, *socket;
    void *monitor;  /* tells when the connection breaks */
    bool encrypted; /* the last dial was */
    char key[128];  /* of where we were told to go; "": none */
    uint32_t n_dials;
    int signals; /* signalfd */
    sigset_t watched;
    char name[96];
    uint64_t uuid[2];

    mn_worker_event next; /* what performing the actions gave rise to, if has_next */
    bool has_next;
    mn_error next_error; /* its text */

    bool ended;
    mn_error end;
};

static mn_status set_up(struct worker *self, mn_error *err);
static void wait_for_something(struct worker *self);
static void take_signal(struct worker *self);
static bool take_messages(struct worker *self);
static void take_results(struct worker *self);
static void take_build(struct worker *self);
static void take_connection_event(struct worker *self);
static void feed(struct worker *self, mn_worker_event event, const mn_received *received,
                 const mn_pool_result *result);
static void perform(struct worker *self, const mn_worker_action *action,
                    const mn_received *received, const mn_pool_result *result);
static const char *refusal(const struct worker *self, uint16_t event, uint32_t value);
static void dial(struct worker *self, const char *away);
static void hang_up(struct worker *self);
static void say(struct worker *self, mn_message_kind kind);
static void send_result(struct worker *self, const mn_pool_result *result);
static mn_status pack(size_t columns, const int64_t *sum, mn_payload **out, mn_error *err);
static void watch_connection(void *user, void *socket);

mn_status mn_worker_run(const mn_worker_options *options, mn_error *err)
{
    struct worker self = {.options = options, .signals = -1};
    mn_error why;
    mn_status status = set_up(&self, err);
    if (status == MN_OK && mn_endpoint_check(options->endpoint, &why) != MN_OK)
        mn_log(MN_LOG_WARN, "%s. It is waited for, in case the run has yet to begin", why.message);
    if (status == MN_OK) {
        feed(&self, (mn_worker_event){.kind = MN_WORKER_TICK}, NULL, NULL);
        while (!self.ended) {
            wait_for_something(&self);
            take_signal(&self);
            take_connection_event(&self);
            (void)take_messages(&self);
            take_build(&self);
            take_results(&self);
            feed(&self, (mn_worker_event){.kind = MN_WORKER_TICK}, NULL, NULL);
        }
        status = self.end.status;
        if (status == MN_OK)
            mn_log(MN_LOG_INFO, "%s", self.end.message);
        else
            (void)mn_fail(err, status, "%s", self.end.message);
    }
    hang_up(&self);
    if (self.context != NULL)
        (void)zmq_ctx_term(self.context); /* waits, but no longer than the sockets linger */
    mn_workshop_destroy(&self.workshop);
    if (self.signals >= 0)
        (void)close(self.signals);
    return status;
}

static mn_status set_up(struct worker *self, mn_error *err)
{
    const mn_worker_options *options = self->options;
    char host[64] = "?";
    (void)gethostname(host, sizeof host - 1);
    if (options->name != NULL)
        (void)snprintf(self->name, sizeof self->name, "%s", options->name);
    else
        (void)snprintf(self->name, sizeof self->name, "%s:%d", host, (int)getpid());
    if (getrandom(self->uuid, sizeof self->uuid, 0) != (ssize_t)sizeof self->uuid)
        return mn_fail_errno(err, "draw a name for this worker");

    (void)sigemptyset(&self->watched);
    (void)sigaddset(&self->watched, SIGTERM);
    (void)sigaddset(&self->watched, SIGINT);
    (void)sigaddset(&self->watched, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &self->watched, NULL);
    self->signals = signalfd(-1, &self->watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (self->signals < 0)
        return mn_fail_errno(err, "signalfd");
    self->context = zmq_ctx_new();
    if (self->context == NULL)
        return mn_fail_errno(err, "new ZeroMQ context");
    mn_worker_core_init(&self->core, mn_clock_us(), options->patience_s * 1000000, self->uuid[0]);
    self->core.once = options->once;
    return mn_workshop_new(options->threads, options->data_path, &self->workshop, err);
}

/* ---- what comes in */

static void wait_for_something(struct worker *self)
{
    mn_pool *pool = mn_workshop_pool(self->workshop);
    zmq_pollitem_t items[5] = {{.fd = self->signals, .events = ZMQ_POLLIN},
                               {.fd = mn_workshop_fd(self->workshop), .events = ZMQ_POLLIN}};
    int n = 2;
    if (pool != NULL)
        items[n++] = (zmq_pollitem_t){.fd = mn_pool_fd(pool), .events = ZMQ_POLLIN};
    if (self->socket != NULL)
        items[n++] = (zmq_pollitem_t){.socket = self->socket, .events = ZMQ_POLLIN};
    if (self->monitor != NULL)
        items[n++] = (zmq_pollitem_t){.socket = self->monitor, .events = ZMQ_POLLIN};

    uint64_t now = mn_clock_us(), wake = self->todo.wake_us;
    uint64_t wait_ms = wake > now ? (wake - now + 999) / 1000 : 0;
    if (pool != NULL && mn_pool_help(pool))
        wait_ms = 0;
    (void)zmq_poll(items, n, wait_ms < 60000 ? (long)wait_ms : 60000);
}

/* The first asks the core to leave; after it they have their usual effect again. */
static void take_signal(struct worker *self)
{
    struct signalfd_siginfo signal;
    if (read(self->signals, &signal, sizeof signal) != (ssize_t)sizeof signal)
        return;
    mn_log(MN_LOG_INFO, "signal %u: leaving; a second one ends at once", signal.ssi_signo);
    feed(self, (mn_worker_event){.kind = MN_WORKER_QUIT}, NULL, NULL);
    (void)sigprocmask(SIG_UNBLOCK, &self->watched, NULL);
}

/* Are all taken that have come? */
static bool take_messages(struct worker *self)
{
    for (int i = 0; i < MESSAGES_AT_A_TIME && self->socket != NULL && !self->ended; i++) {
        mn_pool *pool = mn_workshop_pool(self->workshop);
        uint64_t limit =
            pool != NULL ? mn_learner_size(mn_workshop_learner(self->workshop)) * sizeof(float) : 0;
        mn_received received;
        mn_error err;
        mn_status status = mn_wire_receive(self->socket, limit, &received, &err);
        if (status == MN_ERR_UNAVAILABLE)
            return true;
        if (status == MN_OK) {
            feed(self, (mn_worker_event){.kind = MN_WORKER_MESSAGE, .message = &received.message},
                 &received, NULL);
            mn_received_fini(&received);
        } else {
            feed(self, (mn_worker_event){.kind = MN_WORKER_NONSENSE, .text = err.message}, NULL,
                 NULL);
        }
    }
    return self->socket == NULL || self->ended;
}

static void take_results(struct worker *self)
{
    mn_pool *pool = mn_workshop_pool(self->workshop);
    mn_pool_result result;
    while (pool != NULL && mn_pool_take(pool, &result)) {
        feed(self, (mn_worker_event){.kind = MN_WORKER_RESULT, .epoch = result.epoch}, NULL,
             &result);
        mn_pool_release(pool, &result);
    }
}

static void take_build(struct worker *self)
{
    mn_error err;
    mn_status status = mn_workshop_finish(self->workshop, &err);
    if (status == MN_OK)
        feed(self,
             (mn_worker_event){.kind = MN_WORKER_BUILT,
                               .theta_size = mn_learner_size(mn_workshop_learner(self->workshop))},
             NULL, NULL);
    else if (status != MN_ERR_STATE)
        feed(self,
             (mn_worker_event){
                 .kind = MN_WORKER_BUILD_FAILED, .status = status, .text = err.message},
             NULL, NULL);
}

/* What the coordinator said before is still in the queue: that the run is over, perhaps. */
static void take_loss(struct worker *self)
{
    uint32_t dials = self->n_dials;
    while (!take_messages(self))
        ;
    if (!self->ended && self->n_dials == dials)
        feed(self, (mn_worker_event){.kind = MN_WORKER_CONNECTION_LOST}, NULL, NULL);
}

/* A monitor message is [event of 16 bits, value of 32][endpoint]. */
static void take_connection_event(struct worker *self)
{
    uint8_t frame[6];
    char endpoint[256];
    if (self->monitor == NULL || zmq_recv(self->monitor, frame, sizeof frame, ZMQ_DONTWAIT) < 0)
        return;
    (void)zmq_recv(self->monitor, endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    uint16_t what;
    uint32_t value;
    memcpy(&what, frame, sizeof what);
    memcpy(&value, frame + sizeof what, sizeof value);
    if (what == ZMQ_EVENT_DISCONNECTED)
        take_loss(self);
    else /* a word against our key stands; all else may pass, as when the run moves */
        feed(self,
             (mn_worker_event){.kind = MN_WORKER_DIAL_FAILED,
                               .status = what == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
                                             ? MN_ERR_PERMISSION
                                             : MN_ERR_UNAVAILABLE,
                               .text = refusal(self, what, value)},
             NULL, NULL);
}

static const char *refusal(const struct worker *self, uint16_t event, uint32_t value)
{
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        return "the coordinator refused this worker's key: it is not on the allow-list; have the "
               "line of its .public file added to workers.allow in the run's folder of keys, and "
               "start again";
    if (!self->encrypted)
        return "the coordinator does not take our greeting; if the run takes workers with keys "
               "only, use its endpoint file, or --key, and --secret FILE";
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
        value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        return "we were given a key of the coordinator, but it uses none: is the endpoint file, or "
               "--key, of another run?";
    return "the coordinator has another key than we were told: is the endpoint file, or --key, of "
           "another run?";
}

/* ---- one step of the core, and what it wants done */

static void feed(struct worker *self, mn_worker_event event, const mn_received *received,
                 const mn_pool_result *result)
{
    do {
        event.now_us = mn_clock_us();
        mn_worker_core_step(&self->core, &event, &self->todo);
        self->has_next = false;
        for (size_t i = 0; i < self->todo.n; i++)
            perform(self, &self->todo.list[i], received, result);
        event = self->next;
        received = NULL;
        result = NULL;
    } while (self->has_next && !self->ended);
}

/* Something that performing an action brought up; fed to the core right after. */
static void come_next(struct worker *self, mn_worker_event_kind kind, const mn_error *err)
{
    self->next_error = *err;
    self->next =
        (mn_worker_event){.kind = kind, .status = err->status, .text = self->next_error.message};
    self->has_next = true;
}

static void end(struct worker *self, mn_status status, const char *text)
{
    self->ended = true;
    (void)mn_fail(&self->end, status, "%s", text);
}

static void perform(struct worker *self, const mn_worker_action *action,
                    const mn_received *received, const mn_pool_result *result)
{
    mn_pool *pool = mn_workshop_pool(self->workshop);
    mn_error err = {0};
    switch (action->kind) {
    case MN_WORKER_DO_DIAL:
        dial(self, action->text);
        break;
    case MN_WORKER_DO_HANG_UP:
        hang_up(self);
        break;
    case MN_WORKER_DO_SEND:
        say(self, action->message);
        break;
    case MN_WORKER_DO_BUILD:
        if (mn_workshop_build(self->workshop, &received->message.welcome, &err) != MN_OK)
            come_next(self, MN_WORKER_BUILD_FAILED, &err);
        break;
    case MN_WORKER_DO_SET_THETA:
        if (mn_pool_set_theta(pool, received->message.theta.version, received->payload, &err) !=
            MN_OK)
            end(self, err.status, err.message);
        break;
    case MN_WORKER_DO_SUBMIT:
        if (mn_pool_submit(pool, &action->lease, &err) != MN_OK)
            come_next(self, MN_WORKER_NONSENSE, &err);
        break;
    case MN_WORKER_DO_CLEAR:
        mn_pool_clear(pool);
        break;
    case MN_WORKER_DO_SEND_RESULT:
        send_result(self, result);
        break;
    case MN_WORKER_DO_DROP_RESULT: /* released after the step */
        mn_log(MN_LOG_DEBUG, "dropped result epoch=%llu", (unsigned long long)result->epoch);
        break;
    case MN_WORKER_DO_LOG:
        mn_log(action->level, "%s", action->text);
        break;
    case MN_WORKER_DO_END:
        end(self, action->status, action->text);
        break;
    }
}

/* ---- the connection */

/* `away`: a run to which a sweep's door has sent us, and which has the door's key; "": none. */
static void dial(struct worker *self, const char *away)
{
    const mn_worker_options *options = self->options;
    mn_endpoint endpoint;
    mn_error err = {0};
    const bool visiting = away[0] != '\0';
    mn_status status =
        mn_endpoint_find(visiting ? away : options->endpoint, self->uuid[0] + self->n_dials,
                         &endpoint, &err); /* the next rank, if one had no place */
    if (!visiting)
        (void)snprintf(self->key, sizeof self->key, "%s",
                       endpoint.key[0] != '\0' ? endpoint.key
                       : options->key != NULL  ? options->key
                                               : "");
    const char *key = self->key[0] != '\0' ? self->key : NULL;
    if (status == MN_OK && key != NULL && options->secret_key == NULL)
        status =
            mn_fail(&err, MN_ERR_PERMISSION,
                    "this run takes workers with keys only, and this worker has none: give it "
                    "--secret FILE or MNEMO_WORKER_SECRET=FILE. Who started the run makes one with "
                    "`mnemo keys worker NAME` in its folder of keys");
    self->encrypted = key != NULL;
    if (status == MN_OK) {
        mn_wire_options wire = {.server_key = key,
                                .secret_key = options->secret_key,
                                .watch = watch_connection,
                                .user = self};
        self->n_dials++;
        status = mn_wire_dial(self->context, endpoint.address, &wire, &self->socket, &err);
    }
    if (status != MN_OK) {
        come_next(self, MN_WORKER_DIAL_FAILED, &err);
        return;
    }
    mn_log(MN_LOG_DEBUG, "dialing %s", endpoint.address);
}

/* Without it a broken connection is found by silence, later. */
static void watch_connection(void *user, void *socket)
{
    struct worker *self = user;
    char name[64];
    (void)snprintf(name, sizeof name, "inproc://connection-%u", self->n_dials);
    if (zmq_socket_monitor(socket, name, CONNECTION_EVENTS) != 0)
        return;
    self->monitor = zmq_socket(self->context, ZMQ_PAIR);
    int linger = 0;
    if (self->monitor != NULL) {
        (void)zmq_setsockopt(self->monitor, ZMQ_LINGER, &linger, sizeof linger);
        (void)zmq_connect(self->monitor, name);
    }
}

static void hang_up(struct worker *self)
{
    if (self->socket != NULL)
        (void)zmq_socket_monitor(self->socket, NULL, 0);
    if (self->monitor != NULL)
        (void)zmq_close(self->monitor);
    self->monitor = NULL;
    mn_wire_close(&self->socket);
}

static void send_message(struct worker *self, const mn_message *message, mn_payload *payload)
{
    mn_error err;
    if (self->socket != NULL && mn_wire_send(self->socket, NULL, message, payload, &err) != MN_OK)
        mn_log(MN_LOG_WARN, "%s", err.message); /* silence will tell the core */
}

static void say(struct worker *self, mn_message_kind kind)
{
    mn_message message = {.kind = kind};
    const bool at_home = self->core.away[0] == '\0';
    if (kind == MN_MSG_HELLO) {
        message.hello = (mn_hello){.protocol = MN_PROTOCOL_VERSION,
                                   .version = MN_VERSION,
                                   .uuid = {self->uuid[0], self->uuid[1]},
                                   .threads = self->options->threads,
                                   .visits = at_home ? self->core.visits : 0,
                                   .refused = at_home && self->core.refused};
        memcpy(message.hello.name, self->name, sizeof message.hello.name);
    } else if (kind == MN_MSG_JOIN) {
        message.join.numeric_class = mn_workshop_numeric_class(self->workshop);
        message.join.data = mn_workshop_data(self->workshop);
        (void)snprintf(message.join.kernels, sizeof message.join.kernels, "%s",
                       mn_learner_kernels(mn_workshop_learner(self->workshop)));
    }
    send_message(self, &message, NULL);
}

/* The payload is copied or packed, so that the pool has its memory back at once, whatever becomes
 * of the connection. */
static void send_result(struct worker *self, const mn_pool_result *result)
{
    mn_message message = {.kind = MN_MSG_RESULT,
                          .result = {.epoch = result->epoch, .result = result->result}};
    mn_payload *payload = NULL; /* KEPT: there is none */
    mn_error err;
    mn_status status = MN_OK;
    if (result->result.encoding == MN_ENCODING_EXACT) {
        message.result.result.encoding = MN_ENCODING_PACKED;
        status = pack(result->result.n_columns, result->payload, &payload, &err);
    } else if (result->result.encoding == MN_ENCODING_ROWS) {
        status = mn_payload_new(result->payload, result->payload_bytes, NULL, NULL, &payload, &err);
    }
    if (status != MN_OK) {
        end(self, err.status, err.message);
        return;
    }
    send_message(self, &message, payload);
    mn_payload_drop(&payload);
}

static mn_status pack(size_t columns, const int64_t *sum, mn_payload **out, mn_error *err)
{
    uint8_t *packed = malloc(mn_packed_sum_most(columns));
    if (packed == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a sum of %zu columns", columns);
    size_t n = mn_packed_sum_write(columns, sum, packed);
    mn_status status = mn_payload_new(packed, n, free, packed, out, err);
    if (status != MN_OK)
        free(packed);
    return status;
}
