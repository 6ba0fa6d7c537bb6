#include "proto/wire.h"

#include "common/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#define FOR_EVER_MS 60000 /* a test that waits so long has failed */
#define MANY UINT64_C(1000000000)

static void *context;

static int n_open; /* sockets */

static int set_up(void **state)
{
    (void)state;
    n_open = 0;
    context = zmq_ctx_new();
    return context == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    if (n_open == 0)
        return zmq_ctx_term(context);
    return zmq_ctx_shutdown(
        context); /* a failed test left sockets open: to end the context would take for ever */
}

static void *listen_with(const char *endpoint, const mn_wire_options *options, char real[256])
{
    void *socket = NULL;
    mn_error err = {0};
    if (mn_wire_listen(context, endpoint, options, &socket, real, &err) != MN_OK)
        fail_msg("%s", err.message);
    n_open++;
    return socket;
}

static void *listen_at(const char *endpoint, char real[256])
{
    return listen_with(endpoint, NULL, real);
}

static void *dial(const char *endpoint, const mn_wire_options *options)
{
    void *socket = NULL;
    mn_error err = {0};
    if (mn_wire_dial(context, endpoint, options, &socket, &err) != MN_OK)
        fail_msg("%s", err.message);
    n_open++;
    return socket;
}

static void hang_up(void **socket)
{
    mn_wire_close(socket);
    assert_null(*socket);
    n_open--;
}

static mn_status receive(void *socket, uint64_t max, mn_received *out, mn_error *err)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, FOR_EVER_MS), 1);
    return mn_wire_receive(socket, max, out, err);
}

static void expect(void *socket, mn_message_kind kind, mn_received *out)
{
    mn_error err = {0};
    if (receive(socket, MANY, out, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(out->message.kind, kind);
}

static void send_to(void *socket, const mn_peer *to, const mn_message *message, mn_payload *payload)
{
    mn_error err = {0};
    if (mn_wire_send(socket, to, message, payload, &err) != MN_OK)
        fail_msg("%s", err.message);
}

static const mn_message heartbeat = {.kind = MN_MSG_HEARTBEAT};

static float *numbers(size_t n)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)i * 0.25f;
    return x;
}

static atomic_int releases;

static void count_release(void *user)
{
    free(user);
    atomic_fetch_add(&releases, 1);
}

static void talk_over(const char *endpoint)
{
    char real[256];
    void *rank = listen_at(endpoint, real);
    void *worker = dial(real, NULL);
    mn_received at_rank, at_worker;

    send_to(worker, NULL, &heartbeat, NULL);
    expect(rank, MN_MSG_HEARTBEAT, &at_rank);
    assert_true(at_rank.peer.n > 0);
    assert_null(at_rank.payload);

    size_t n = 5 * MN_FRAME_BYTES / 2 / sizeof(float) +
               1; /* two whole frames and a bit more than half of one */
    float *theta = numbers(n);
    mn_payload *payload = NULL;
    assert_int_equal(mn_payload_new(theta, n * sizeof *theta, NULL, NULL, &payload, NULL), MN_OK);
    mn_message message = {.kind = MN_MSG_THETA, .theta = {.version = 9, .n = n}};
    send_to(rank, &at_rank.peer, &message, payload);
    mn_payload_drop(&payload);
    expect(worker, MN_MSG_THETA, &at_worker);
    assert_int_equal(at_worker.peer.n, 0);
    assert_true(at_worker.message.theta.version == 9 && at_worker.message.theta.n == n);
    assert_int_equal((uintptr_t)at_worker.payload % 64, 0);
    assert_memory_equal(at_worker.payload, theta, n * sizeof *theta);

    free(theta);
    mn_received_fini(&at_worker);
    mn_received_fini(&at_rank);
    hang_up(&worker);
    hang_up(&rank);
}

static void messages_travel_over_tcp(void **state)
{
    (void)state;
    talk_over("tcp://127.0.0.1:*");
}

static void messages_travel_over_ipc(void **state)
{
    (void)state;
    char folder[] = "/tmp/mn_wire_XXXXXX", endpoint[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/rank", folder);
    talk_over(endpoint);
    (void)unlink(endpoint + strlen("ipc://"));
    assert_int_equal(rmdir(folder), 0);
}

static void assert_no_listening(const char *endpoint, mn_status status, const char *words)
{
    void *socket = NULL;
    mn_error err = {0};
    assert_int_equal(mn_wire_listen(context, endpoint, NULL, &socket, NULL, &err), status);
    assert_null(socket);
    if (strstr(err.message, words) == NULL || strstr(err.message, endpoint) == NULL)
        fail_msg("\"%s\" does not say \"%s\" or not where", err.message, words);
}

static void messages_travel_over_names_and_ipv6(void **state)
{
    (void)state;
    talk_over("tcp://localhost:*");
    void *probe = zmq_socket(context, ZMQ_ROUTER);
    const int six = 1;
    assert_int_equal(zmq_setsockopt(probe, ZMQ_IPV6, &six, sizeof six), 0);
    const bool has_ipv6 = zmq_bind(probe, "tcp://[::1]:*") == 0;
    assert_int_equal(zmq_close(probe), 0);
    if (has_ipv6)
        talk_over("tcp://[::1]:*");
}

/* libzmq itself would remove what lies there. */
static void a_door_in_use_and_a_file_are_left_alone(void **state)
{
    (void)state;
    char folder[] = "/tmp/mn_wire_XXXXXX", door[64], file[64], real[256], large[256];
    struct stat info;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(door, sizeof door, "ipc://%s/door", folder);
    (void)snprintf(file, sizeof file, "ipc://%s/file", folder);
    (void)snprintf(large, sizeof large, "ipc://%s/%0120d", folder, 1);
    void *first = listen_at(door, real);
    assert_no_listening(door, MN_ERR_UNAVAILABLE, "another program does");
    hang_up(&first);
    struct sockaddr_un left = {.sun_family = AF_UNIX};
    (void)snprintf(left.sun_path, sizeof left.sun_path, "%s/door", folder);
    (void)unlink(left.sun_path);
    const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (const struct sockaddr *)&left, sizeof left), 0);
    (void)close(dead); /* its file stays, as that of a program that was killed */
    void *second = listen_at(door, real);
    hang_up(&second);
    (void)unlink(left.sun_path);
    assert_int_equal(mn_file_write(file + 6, "mine", 4, NULL), MN_OK);
    assert_no_listening(file, MN_ERR_CONFIG, "no socket");
    assert_int_equal(stat(file + 6, &info), 0);
    assert_int_equal(info.st_size, 4);
    assert_no_listening(large, MN_ERR_CONFIG, "Linux takes 107");
    (void)unlink(file + 6);
    assert_int_equal(rmdir(folder), 0);
}

static void messages_travel_over_inproc(void **state)
{
    (void)state;
    talk_over("inproc://rank");
}

static void one_payload_serves_many_workers_and_is_released_once(void **state)
{
    (void)state;
    enum { N_WORKERS = 8 };
    char real[256];
    void *rank = listen_at("tcp://127.0.0.1:*", real);
    void *workers[N_WORKERS];
    mn_peer peers[N_WORKERS];
    for (int i = 0; i < N_WORKERS; i++) {
        workers[i] = dial(real, NULL);
        send_to(workers[i], NULL, &heartbeat, NULL);
        mn_received hello;
        expect(rank, MN_MSG_HEARTBEAT, &hello);
        peers[i] = hello.peer;
    }

    size_t n = 3 * MN_FRAME_BYTES / sizeof(float);
    float *theta = numbers(n), *same = numbers(n);
    mn_payload *payload = NULL;
    atomic_store(&releases, 0);
    assert_int_equal(mn_payload_new(theta, n * sizeof *theta, count_release, theta, &payload, NULL),
                     MN_OK);
    mn_message message = {.kind = MN_MSG_THETA, .theta = {.version = 1, .n = n}};
    for (int i = 0; i < N_WORKERS; i++)
        send_to(rank, &peers[i], &message, payload);
    for (int i = 0; i < N_WORKERS; i++) {
        mn_received got;
        expect(workers[i], MN_MSG_THETA, &got);
        assert_memory_equal(got.payload, same, n * sizeof *same);
        mn_received_fini(&got);
    }
    assert_int_equal(atomic_load(&releases), 0); /* the owner still holds it */
    mn_payload_drop(&payload);
    assert_null(payload);

    for (int i = 0; i < N_WORKERS; i++)
        hang_up(&workers[i]);
    hang_up(&rank);
    (void)zmq_ctx_term(context); /* now the last frame has left, whatever became of it */
    context = zmq_ctx_new();
    assert_int_equal(atomic_load(&releases), 1);
    free(same);
}

static void nothing_waiting_is_no_message(void **state)
{
    (void)state;
    char real[256];
    void *rank = listen_at("tcp://127.0.0.1:*", real), *worker = dial(real, NULL);
    mn_received got;
    assert_int_equal(mn_wire_receive(rank, MANY, &got, NULL), MN_ERR_UNAVAILABLE);
    assert_int_equal(mn_wire_receive(worker, MANY, &got, NULL), MN_ERR_UNAVAILABLE);
    hang_up(&worker);
    hang_up(&rank);
}

static void a_peer_that_is_gone_is_a_status(void **state)
{
    (void)state;
    void *rank = listen_at("tcp://127.0.0.1:*", NULL);
    mn_peer nobody = {.n = 5, .bytes = {0, 1, 2, 3, 4}};
    mn_error err = {0};
    assert_int_equal(mn_wire_send(rank, &nobody, &heartbeat, NULL, &err), MN_ERR_UNAVAILABLE);
    assert_string_equal(err.message, "HEARTBEAT not sent: the peer is gone");

    /* Nor does a payload of several frames that nobody takes spoil the message after it. */
    char *zeros = calloc(3, MN_FRAME_BYTES);
    mn_payload *payload = NULL;
    assert_int_equal(mn_payload_new(zeros, 3 * MN_FRAME_BYTES, NULL, NULL, &payload, NULL), MN_OK);
    mn_message theta = {.kind = MN_MSG_THETA, .theta = {.n = 3 * MN_FRAME_BYTES / 4}};
    assert_int_equal(mn_wire_send(rank, &nobody, &theta, payload, NULL), MN_ERR_UNAVAILABLE);
    assert_int_equal(mn_wire_send(rank, &nobody, &heartbeat, NULL, NULL), MN_ERR_UNAVAILABLE);
    mn_payload_drop(&payload);
    free(zeros);
    hang_up(&rank);
}

static void a_dialer_may_choose_its_name(void **state)
{
    (void)state;
    char real[256];
    void *rank = listen_at("tcp://127.0.0.1:*", real);
    void *worker = dial(real, &(mn_wire_options){.identity = "rank 3"});
    send_to(worker, NULL, &heartbeat, NULL);
    mn_received got;
    expect(rank, MN_MSG_HEARTBEAT, &got);
    assert_int_equal(got.peer.n, 6);
    assert_memory_equal(got.peer.bytes, "rank 3", 6);
    hang_up(&worker);
    hang_up(&rank);
}

/* Frames of a message as a stranger may send them. */
static void send_frames(void *socket, int n, const void *const frames[], const size_t sizes[])
{
    for (int i = 0; i < n; i++)
        assert_int_equal(zmq_send(socket, frames[i], sizes[i], i + 1 < n ? ZMQ_SNDMORE : 0),
                         sizes[i]);
}

static void assert_refused(void *rank, uint64_t max, const char *words)
{
    mn_received got;
    mn_error err = {0};
    assert_int_equal(receive(rank, max, &got, &err), MN_ERR_PROTOCOL);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    assert_true(got.peer.n > 0);
    assert_null(got.payload);
    assert_int_equal(got.message.kind, MN_MSG_NONE);
}

static void malformed_messages_are_refused_and_the_next_one_is_read(void **state)
{
    (void)state;
    enum { N = 16 };
    char real[256];
    void *rank = listen_at("inproc://rank", real), *worker = dial(real, NULL);
    float row[N] = {1, 2, 3};
    uint8_t *header = NULL;
    size_t size = 0;
    mn_message result = {
        .kind = MN_MSG_RESULT,
        .payload_bytes = sizeof row,
        .payload_checksum = mn_checksum(row, sizeof row),
        .result = {.epoch = 1,
                   .result = {.encoding = MN_ENCODING_ROWS, .n_tasks = 2, .n_columns = N / 2}}};
    assert_int_equal(mn_message_pack(&result, &header, &size, NULL), MN_OK);
    static const char large[MN_FRAME_BYTES + 1];

#define FRAMES(...) ((const void *const[]){__VA_ARGS__})
#define SIZES(...) ((const size_t[]){__VA_ARGS__})
    send_frames(worker, 1, FRAMES(""), SIZES(0));
    assert_refused(rank, MANY, "no kind");
    send_frames(worker, 3, FRAMES("junk", "more", "junk"), SIZES(4, 4, 4));
    assert_refused(rank, MANY, "header of 4 bytes");
    send_frames(worker, 1, FRAMES(header), SIZES(size));
    assert_refused(rank, MANY, "payload ends after 0 of 64 bytes");
    send_frames(worker, 2, FRAMES(header, row), SIZES(size, 60));
    assert_refused(rank, MANY, "payload ends after 60 of 64 bytes");
    send_frames(worker, 2, FRAMES(header, large), SIZES(size, 65));
    assert_refused(rank, MANY, "frame of 65 bytes in a payload of 64");
    send_frames(worker, 2, FRAMES(header, large), SIZES(size, sizeof large));
    assert_refused(rank, MANY, "frame of 1048577 bytes");
    send_frames(worker, 3, FRAMES(header, row, row), SIZES(size, sizeof row, 0));
    assert_refused(rank, MANY, "frames behind its payload");
    send_frames(worker, 3, FRAMES(header, "", row), SIZES(size, 0, sizeof row));
    assert_refused(rank, MANY, "frame of 0 bytes");
    send_frames(worker, 2, FRAMES(header, large), SIZES(size, sizeof row));
    assert_refused(rank, MANY, "wrong checksum");
    send_frames(worker, 2, FRAMES(header, row), SIZES(size, sizeof row));
    assert_refused(rank, sizeof row - 1, "RESULT with a payload of 64 bytes; here at most 63");

    send_frames(worker, 3, FRAMES(header, row, row + N / 2), SIZES(size, 32, 32));
    mn_received got;
    expect(rank, MN_MSG_RESULT, &got);
    assert_memory_equal(got.payload, row, sizeof row);
    mn_received_fini(&got);
    assert_int_equal(mn_wire_receive(rank, MANY, &got, NULL), MN_ERR_UNAVAILABLE);
    free(header);
    hang_up(&worker);
    hang_up(&rank);
}

static void where_listening_is_impossible_the_message_says_what_to_do(void **state)
{
    (void)state;
    char real[256];
    void *rank = listen_at("tcp://127.0.0.1:*", real);
    assert_int_equal(strncmp(real, "tcp://127.0.0.1:", 16), 0);
    assert_true(atoi(real + 16) > 0);
    assert_no_listening(real, MN_ERR_UNAVAILABLE, "choose another port");
    assert_no_listening("tcp://192.0.2.1:*", MN_ERR_UNAVAILABLE, "not an address of this machine");
    assert_no_listening("tcp://127.0.0.1:99999", MN_ERR_CONFIG, "ports go up to 65535");
    assert_no_listening("127.0.0.1:80", MN_ERR_CONFIG, "expected tcp://ADDRESS:PORT");
    assert_no_listening("ftp://127.0.0.1:80", MN_ERR_CONFIG, "expected tcp://ADDRESS:PORT");
    hang_up(&rank);

    void *socket = NULL;
    mn_error err = {0};
    assert_int_equal(mn_wire_dial(context, "nowhere", NULL, &socket, &err), MN_ERR_CONFIG);
    assert_string_equal(err.message,
                        "cannot dial \"nowhere\": not an endpoint; expected tcp://HOST:PORT");
    assert_null(socket);
}

struct keys {
    char public[MN_WIRE_KEY_CHARS + 1], secret[MN_WIRE_KEY_CHARS + 1];
};

static struct keys new_keys(void)
{
    struct keys keys;
    assert_int_equal(zmq_curve_keypair(keys.public, keys.secret), 0);
    return keys;
}

static void with_keys_messages_travel_encrypted_both_ways(void **state)
{
    (void)state;
    struct keys server = new_keys(), client = new_keys();
    char real[256], public[MN_WIRE_KEY_CHARS + 1];
    assert_int_equal(mn_wire_public_key(server.secret, public, NULL), MN_OK);
    assert_string_equal(public, server.public);
    void *rank =
        listen_with("tcp://127.0.0.1:*", &(mn_wire_options){.secret_key = server.secret}, real);
    const mn_wire_options options[] = {
        {.secret_key = client.secret, .server_key = server.public},
        {.server_key = server.public}, /* keys of its own made up */
    };
    for (size_t i = 0; i < 2; i++) {
        void *worker = dial(real, &options[i]);
        send_to(worker, NULL, &heartbeat, NULL);
        mn_received got;
        expect(rank, MN_MSG_HEARTBEAT, &got);
        send_to(rank, &got.peer, &(mn_message){.kind = MN_MSG_PULSE}, NULL);
        expect(worker, MN_MSG_PULSE, &got);
        int mechanism = ZMQ_NULL;
        size_t size = sizeof mechanism;
        assert_int_equal(zmq_getsockopt(worker, ZMQ_MECHANISM, &mechanism, &size), 0);
        assert_int_equal(mechanism, ZMQ_CURVE);
        hang_up(&worker);
    }
    hang_up(&rank);
}

/* Wait for the first event of a monitor. */
static void wait_for_event(void *monitor)
{
    for (int i = 0; i < 2; i++) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        assert_true(zmq_msg_recv(&frame, monitor, 0) >= 0);
        zmq_msg_close(&frame);
    }
}

static void without_the_right_key_nobody_gets_in(void **state)
{
    (void)state;
    struct keys server = new_keys(), other = new_keys();
    char real[256];
    void *rank =
        listen_with("tcp://127.0.0.1:*", &(mn_wire_options){.secret_key = server.secret}, real);
    assert_int_equal(zmq_socket_monitor(rank, "inproc://failures",
                                        ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                            ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                            ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL),
                     0);
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    int timeout_ms = FOR_EVER_MS;
    assert_int_equal(zmq_setsockopt(monitor, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms), 0);
    assert_int_equal(zmq_connect(monitor, "inproc://failures"), 0);
    const mn_wire_options options[] = {
        {.linger_ms = 1, .server_key = other.public}, {.linger_ms = 1}, /* not encrypted */
    };
    for (size_t i = 0; i < 2; i++) {
        void *stranger = dial(real, &options[i]);
        send_to(stranger, NULL, &heartbeat, NULL);
        wait_for_event(monitor);
        mn_received got;
        assert_int_equal(mn_wire_receive(rank, MANY, &got, NULL), MN_ERR_UNAVAILABLE);
        hang_up(&stranger);
    }
    (void)zmq_socket_monitor(rank, NULL, 0);
    assert_int_equal(zmq_close(monitor), 0);
    hang_up(&rank);
}

static void see_endpoint(void *user, void *socket)
{
    char *seen = user;
    size_t n = 256;
    assert_int_equal(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, seen, &n), 0);
}

static void a_socket_can_be_watched_before_it_connects(void **state)
{
    (void)state;
    char real[256], before[256] = "not called", after[256] = "";
    size_t n = sizeof after;
    void *rank = listen_at("tcp://127.0.0.1:*", real);
    void *worker = dial(real, &(mn_wire_options){.watch = see_endpoint, .user = before});
    assert_string_equal(before, "");
    assert_int_equal(zmq_getsockopt(worker, ZMQ_LAST_ENDPOINT, after, &n), 0);
    assert_string_equal(after, real);
    hang_up(&worker);
    hang_up(&rank);
}

static void keys_that_are_none_are_refused(void **state)
{
    (void)state;
    struct keys keys = new_keys();
    void *socket = NULL;
    mn_error err = {0};
    char public[MN_WIRE_KEY_CHARS + 1];
    assert_int_equal(mn_wire_public_key("short", public, &err), MN_ERR_CONFIG);
    mn_wire_options options = {.secret_key = "short"};
    assert_int_equal(mn_wire_listen(context, "tcp://127.0.0.1:*", &options, &socket, NULL, &err),
                     MN_ERR_CONFIG);
    assert_string_equal(err.message,
                        "the secret key is not a CURVE key: expected 40 characters of Z85");
    options = (mn_wire_options){.secret_key = keys.secret, .server_key = "?"};
    assert_int_equal(mn_wire_dial(context, "tcp://127.0.0.1:9", &options, &socket, &err),
                     MN_ERR_CONFIG);
    assert_string_equal(
        err.message, "the server's public key is not a CURVE key: expected 40 characters of Z85");
    assert_null(socket);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(messages_travel_over_tcp),
        TEST(messages_travel_over_ipc),
        TEST(messages_travel_over_inproc),
        TEST(messages_travel_over_names_and_ipv6),
        TEST(a_door_in_use_and_a_file_are_left_alone),
        TEST(one_payload_serves_many_workers_and_is_released_once),
        TEST(nothing_waiting_is_no_message),
        TEST(a_peer_that_is_gone_is_a_status),
        TEST(a_dialer_may_choose_its_name),
        TEST(malformed_messages_are_refused_and_the_next_one_is_read),
        TEST(where_listening_is_impossible_the_message_says_what_to_do),
        TEST(with_keys_messages_travel_encrypted_both_ways),
        TEST(without_the_right_key_nobody_gets_in),
        TEST(a_socket_can_be_watched_before_it_connects),
        TEST(keys_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
