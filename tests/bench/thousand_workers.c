/* thousand_workers: many workers in one process, each with a connection of its own, that join a run and answer
 * every lease at once with made-up numbers: what remains is the coordinator's own work.
 *   thousand_workers ENDPOINT WORKERS [SERVER-KEY SECRET-KEY-FILE]
 * They speak as mnemo-worker does: HELLO, JOIN with the numeric class of this machine, a sum kept while another lease
 * is in hand, heartbeats. Exit code 0: all were told that the run is over. */
#include "common/clock.h"
#include "common/exact_sum.h"
#include "common/experiment.h"
#include "common/packed_sum.h"
#include "proto/key_file.h"
#include "proto/wire.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <zmq.h>

#define MAX_HELD 8u      /* leases that a worker may have in hand; the coordinator grants two */
#define MAX_SUMMED 4096u /* tasks in one sum */
#define MAX_THETA (UINT64_C(1) << 30)
#define AT_ONCE 64

struct worker {
    void *socket;
    uint32_t n_held;
    mn_lease held[MAX_HELD];
    bool over;
};

struct crowd {
    uint32_t n, n_welcomed, n_over;
    struct worker *workers; /* [n]; owned */
    int epoll;
    mn_experiment experiment;
    mn_task_set *set;
    mn_learner *learner; /* NULL: nobody was welcomed yet */
    mn_digest numeric_class;
    uint64_t heartbeat_us, next_us;
    mn_payload *sums[MAX_SUMMED + 1]; /* of so many tasks; NULL: not made yet */
    uint64_t n_tasks;
};

static void hear_all(struct crowd *crowd, struct worker *worker);

static void check(mn_status status, const mn_error *err)
{
    if (status == MN_OK)
        return;
    (void)fprintf(stderr, "thousand_workers: %s: %s\n", mn_status_text(status), err->message);
    exit(EXIT_FAILURE);
}

static void *checked(void *memory)
{
    mn_error err;
    if (memory == NULL)
        check(mn_fail(&err, MN_ERR_NOMEM, "workers"), &err);
    return memory;
}

static void say(const struct worker *worker, const mn_message *message, mn_payload *payload)
{
    mn_error err;
    check(mn_wire_send(worker->socket, NULL, message, payload, &err), &err);
}

static void dial(struct crowd *crowd, void *context, const char *endpoint,
                 const mn_wire_options *options)
{
    mn_error err;
    for (uint32_t i = 0; i < crowd->n; i++) {
        struct worker *worker = &crowd->workers[i];
        int fd;
        size_t size = sizeof fd;
        check(mn_wire_dial(context, endpoint, options, &worker->socket, &err), &err);
        mn_message hello = {
            .kind = MN_MSG_HELLO,
            .hello = {.protocol = MN_PROTOCOL_VERSION, .version = MN_VERSION, .threads = 1}};
        hello.hello.uuid[0] = mn_clock_us();
        hello.hello.uuid[1] = i + 1;
        (void)snprintf(hello.hello.name, sizeof hello.hello.name, "made-up:%" PRIu32, i);
        say(worker, &hello, NULL);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (zmq_getsockopt(worker->socket, ZMQ_FD, &fd, &size) != 0 ||
            epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            check(mn_fail_errno(&err, "watch a worker's socket"), &err);
        hear_all(crowd, worker);
    }
}

/* The experiment, once for all. */
static void build(struct crowd *crowd, const mn_welcome *welcome)
{
    mn_error err;
    mn_experiment_init(&crowd->experiment);
    check(mn_experiment_parse(&crowd->experiment, "welcome", welcome->experiment,
                              strlen(welcome->experiment), &err),
          &err);
    check(mn_experiment_check(&crowd->experiment, &err), &err);
    check(mn_task_set_open(&crowd->experiment, &welcome->data, &crowd->set, &err), &err);
    check(mn_learner_new(&crowd->experiment, mn_task_set_fields(crowd->set, MN_TRAIN),
                         mn_task_set_fields(crowd->set, MN_TEST), &crowd->learner, &err),
          &err);
    check(mn_learner_numeric_class(crowd->learner, &crowd->numeric_class, &err), &err);
    check(mn_task_set_mix_class(crowd->set, &crowd->numeric_class, &err), &err);
    crowd->heartbeat_us = welcome->heartbeat_ms * UINT64_C(1000);
    crowd->next_us = mn_clock_us() + crowd->heartbeat_us;
}

/* All at once, so that the run does not end before the last have come. */
static void join_all(struct crowd *crowd)
{
    mn_message message = {.kind = MN_MSG_JOIN,
                          .join = {.numeric_class = crowd->numeric_class,
                                   .data = mn_task_set_data_digest(crowd->set)}};
    (void)snprintf(message.join.kernels, sizeof message.join.kernels, "%s",
                   mn_learner_kernels(crowd->learner));
    for (uint32_t i = 0; i < crowd->n; i++)
        say(&crowd->workers[i], &message, NULL);
    for (uint32_t i = 0; i < crowd->n; i++) /* see there: sending may have taken a sign */
        hear_all(crowd, &crowd->workers[i]);
}

/* A row that is accepted: small numbers, a loss of about one, taken. */
static float *made_up_row(size_t columns)
{
    float *row = checked(calloc(columns, sizeof *row));
    for (size_t i = 0; i + 1 < columns; i++)
        row[i] = 1e-3f * (float)(i % 977);
    row[columns - 2] = 1;
    return row;
}

static mn_payload *sum_of(struct crowd *crowd, uint32_t n_tasks)
{
    mn_error err;
    if (crowd->sums[n_tasks] != NULL)
        return crowd->sums[n_tasks];
    const size_t columns = mn_learner_train_columns(crowd->learner);
    float *row = made_up_row(columns);
    int64_t *sum = checked(calloc(2 * columns, sizeof *sum));
    uint8_t *packed = checked(malloc(mn_packed_sum_most(columns)));
    for (uint32_t i = 0; i < n_tasks; i++)
        mn_exact_add(columns, row, sum);
    const size_t n = mn_packed_sum_write(columns, sum, packed);
    check(mn_payload_new(packed, n, NULL, NULL, &crowd->sums[n_tasks], &err), &err);
    free(row);
    free(sum);
    free(packed);
    return crowd->sums[n_tasks];
}

static void answer_test(struct crowd *crowd, const struct worker *worker, const mn_lease *lease)
{
    mn_error err;
    mn_payload *payload;
    const size_t columns = mn_learner_test_columns(crowd->learner);
    float *rows = checked(calloc(lease->n * columns, sizeof *rows));
    for (size_t i = 0; i < lease->n * columns; i++) /* scores, their weights, taken; not skipped */
        rows[i] = (float)(i % columns + 1 < columns);
    check(mn_payload_new(rows, lease->n * columns * sizeof *rows, NULL, NULL, &payload, &err),
          &err);
    const mn_message message = {.kind = MN_MSG_RESULT,
                                .result = {.epoch = lease->epoch,
                                           .result = {.encoding = MN_ENCODING_ROWS,
                                                      .n_tasks = lease->n,
                                                      .n_columns = (uint32_t)columns}}};
    say(worker, &message, payload);
    mn_payload_drop(&payload);
    free(rows);
}

/* All that is in hand: the last one brings the sum of all. */
static void answer(struct crowd *crowd, struct worker *worker)
{
    mn_result result = {.n_columns = (uint32_t)mn_learner_train_columns(crowd->learner),
                        .compute_us = 1};
    for (uint32_t i = 0; i < worker->n_held; i++) {
        const mn_lease *lease = &worker->held[i];
        crowd->n_tasks += lease->n;
        if (lease->round.kind == MN_ROUND_TEST) {
            answer_test(crowd, worker, lease);
            continue;
        }
        mn_message message = {.kind = MN_MSG_RESULT, .result.epoch = lease->epoch};
        result.n_tasks += lease->n;
        const bool keeps = i + 1 < worker->n_held && result.n_kept < MN_MAX_KEPT;
        message.result.result = result;
        message.result.result.encoding = keeps ? MN_ENCODING_KEPT : MN_ENCODING_PACKED;
        if (keeps) {
            message.result.result.n_kept = 0;
            message.result.result.n_tasks = lease->n;
            result.kept[result.n_kept++] = lease->epoch;
            say(worker, &message, NULL);
        } else {
            say(worker, &message, sum_of(crowd, result.n_tasks));
            result.n_kept = result.n_tasks = 0;
        }
    }
    worker->n_held = 0;
}

static void hear(struct crowd *crowd, struct worker *worker)
{
    mn_received received;
    mn_error err;
    mn_status status;
    while ((status = mn_wire_receive(worker->socket, MAX_THETA, &received, &err)) == MN_OK) {
        const mn_message *message = &received.message;
        if (message->kind == MN_MSG_WELCOME) {
            if (crowd->learner == NULL)
                build(crowd, &message->welcome);
            if (++crowd->n_welcomed == crowd->n)
                join_all(crowd);
        } else if (message->kind == MN_MSG_LEASE) {
            worker->held[worker->n_held++] = message->lease;
        } else if (message->kind == MN_MSG_FINISHED) {
            crowd->n_over += !worker->over;
            worker->over = true;
        } else if (message->kind == MN_MSG_REJECT || message->kind == MN_MSG_REGISTER_AGAIN) {
            (void)fprintf(stderr, "thousand_workers: %s: %s\n", mn_message_kind_text(message->kind),
                          message->kind == MN_MSG_REJECT ? message->reject.reason
                                                         : "it was silent for too long");
            exit(EXIT_FAILURE);
        }
        mn_received_fini(&received);
        if (worker->n_held == MAX_HELD)
            answer(crowd, worker);
    }
    if (status != MN_ERR_UNAVAILABLE)
        check(status, &err);
    if (worker->n_held > 0)
        answer(crowd, worker);
}

/* A socket tells of news only once, and sending may have taken the sign: so until there are none. */
static void hear_all(struct crowd *crowd, struct worker *worker)
{
    int events = ZMQ_POLLIN;
    size_t size = sizeof events;
    while ((events & ZMQ_POLLIN) != 0) {
        hear(crowd, worker);
        if (zmq_getsockopt(worker->socket, ZMQ_EVENTS, &events, &size) != 0)
            events = 0;
    }
}

static void beat(struct crowd *crowd)
{
    const mn_message message = {.kind = MN_MSG_HEARTBEAT};
    const uint64_t now_us = mn_clock_us();
    if (crowd->learner == NULL || now_us < crowd->next_us)
        return;
    crowd->next_us = now_us + crowd->heartbeat_us;
    for (uint32_t i = 0; i < crowd->n; i++) {
        if (crowd->workers[i].over)
            continue;
        say(&crowd->workers[i], &message, NULL);
        hear_all(crowd, &crowd->workers[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 5) {
        (void)fprintf(stderr,
                      "usage: thousand_workers ENDPOINT WORKERS [SERVER-KEY SECRET-KEY-FILE]\n");
        return EXIT_FAILURE;
    }
    mn_error err;
    char secret[MN_WIRE_KEY_CHARS + 1];
    struct crowd *crowd = checked(calloc(1, sizeof *crowd));
    mn_wire_options options = {.silence_ms = 60000};
    if (argc == 5) {
        check(mn_key_file_read_secret(argv[4], secret, &err), &err);
        options.server_key = argv[3];
        options.secret_key = secret;
    }
    crowd->n = (uint32_t)strtoul(argv[2], NULL, 10);
    crowd->workers = checked(calloc(crowd->n + 1, sizeof *crowd->workers));
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    void *context = checked(zmq_ctx_new());
    (void)zmq_ctx_set(context, ZMQ_MAX_SOCKETS, (int)crowd->n + 8);
    dial(crowd, context, argv[1], &options);

    while (crowd->n_over < crowd->n) {
        struct epoll_event events[AT_ONCE];
        int n = epoll_wait(crowd->epoll, events, AT_ONCE, 1000);
        for (int i = 0; i < n; i++)
            hear_all(crowd, &crowd->workers[events[i].data.u32]);
        beat(crowd);
    }
    (void)printf("%" PRIu64 " tasks\n", crowd->n_tasks);
    for (uint32_t i = 0; i < crowd->n; i++)
        mn_wire_close(&crowd->workers[i].socket);
    for (uint32_t i = 0; i <= MAX_SUMMED; i++)
        mn_payload_drop(&crowd->sums[i]);
    mn_learner_destroy(&crowd->learner);
    mn_task_set_destroy(&crowd->set);
    (void)zmq_ctx_term(context);
    free(crowd->workers);
    free(crowd);
    return EXIT_SUCCESS;
}
