#include "coordinator/links/worker_link.h"

#include "common/file.h"
#include "coordinator/links/gatekeeper.h"
#include "coordinator/links/job.h"
#include "proto/key_file.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void *context;
static mn_worker_link *door;
static char endpoint[256];

static int set_up(void **state)
{
    (void)state;
    context = zmq_ctx_new();
    return mn_worker_link_new(context, "tcp://127.0.0.1:*", "", false, 1 << 20, &door, endpoint,
                              NULL) == MN_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mn_worker_link_destroy(&door);
    return zmq_ctx_term(context);
}

static void *dial(void)
{
    void *socket = NULL;
    const mn_wire_options options = {0};
    assert_int_equal(mn_wire_dial(context, endpoint, &options, &socket, NULL), MN_OK);
    return socket;
}

/* A number to be known by: the link does not look into a message. */
static void say(void *socket, uint32_t threads)
{
    const mn_message message = {.kind = MN_MSG_HELLO, .hello.threads = threads};
    assert_int_equal(mn_wire_send(socket, NULL, &message, NULL, NULL), MN_OK);
}

/* The clock stands as far ahead as the link wants to be woken, so that it never waits for time. */
static mn_arrival next_arrival(void)
{
    static uint64_t now_us = 1000;
    mn_arrival arrival;
    while (!mn_worker_link_take(door, now_us, &arrival)) {
        zmq_pollitem_t items[MN_WORKER_LINK_SOCKETS];
        mn_worker_link_poll_items(door, items);
        assert_true(zmq_poll(items, MN_WORKER_LINK_SOCKETS, 10) >= 0);
        now_us += 1000000;
    }
    return arrival;
}

/* Say something; the number that this connection has at the door. */
static uint64_t heard_as(void *socket, uint32_t threads)
{
    say(socket, threads);
    mn_arrival arrival = next_arrival();
    assert_int_equal(arrival.kind, MN_ARRIVED_MESSAGE);
    assert_int_equal(arrival.received.message.hello.threads, threads);
    mn_received_fini(&arrival.received);
    return arrival.peer;
}

static void every_connection_has_a_number_of_its_own(void **state)
{
    (void)state;
    void *one = dial();
    void *two = dial();
    uint64_t first = heard_as(one, 1);
    uint64_t second = heard_as(two, 2);
    assert_true(first != 0 && second != 0 && first != second);
    assert_true(heard_as(one, 3) == first);
    mn_wire_close(&one);
    mn_wire_close(&two);
}

static void an_answer_reaches_the_one_who_asked(void **state)
{
    (void)state;
    void *one = dial();
    void *two = dial();
    (void)heard_as(one, 1);
    uint64_t second = heard_as(two, 2);
    const mn_message answer = {.kind = MN_MSG_REGISTER_AGAIN};
    mn_worker_link_send(door, second, &answer, NULL);
    zmq_pollitem_t item = {.socket = two, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, -1), 1);
    mn_received received = {0};
    assert_int_equal(mn_wire_receive(two, 0, &received, NULL), MN_OK);
    assert_int_equal(received.message.kind, MN_MSG_REGISTER_AGAIN);
    mn_received_fini(&received);
    mn_wire_close(&one);
    mn_wire_close(&two);
}

static void a_closed_connection_is_told_without_a_word_from_it(void **state)
{
    (void)state;
    void *one = dial();
    void *two = dial();
    uint64_t first = heard_as(one, 1);
    uint64_t second = heard_as(two, 2);
    mn_wire_close(&one);
    mn_arrival loss = next_arrival();
    assert_int_equal(loss.kind, MN_ARRIVED_LOSS);
    assert_true(loss.peer == first);
    assert_true(heard_as(two, 3) == second); /* the other one is still who it was */
    mn_wire_close(&two);
}

static void one_who_never_reads_is_lost_before_much_waits_for_it(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 20];
    const int one_message = 1, no_linger = 0;
    void *deaf = zmq_socket(context, ZMQ_DEALER);
    assert_int_equal(zmq_setsockopt(deaf, ZMQ_RCVHWM, &one_message, sizeof one_message), 0);
    assert_int_equal(zmq_setsockopt(deaf, ZMQ_LINGER, &no_linger, sizeof no_linger), 0);
    assert_int_equal(zmq_connect(deaf, endpoint), 0);
    uint64_t first = heard_as(deaf, 1);

    mn_payload *payload = NULL;
    assert_int_equal(mn_payload_new(bytes, sizeof bytes, NULL, NULL, &payload, NULL), MN_OK);
    const mn_message theta = {.kind = MN_MSG_THETA,
                              .theta = {.version = 1, .n = sizeof bytes / sizeof(float)}};
    for (int i = 0; i < 1000; i++)
        mn_worker_link_send(door, first, &theta, payload);
    mn_payload_drop(&payload);
    mn_arrival loss;
    assert_true(mn_worker_link_take(door, 1, &loss));
    assert_int_equal(loss.kind, MN_ARRIVED_LOSS);
    assert_true(loss.peer == first);
    mn_wire_close(&deaf);
}

/* The next that arrives, by a clock that stands; false: nothing for a while. */
static bool arrives(mn_arrival *arrival)
{
    for (int i = 0; i < 100; i++) {
        zmq_pollitem_t items[MN_WORKER_LINK_SOCKETS];
        if (mn_worker_link_take(door, 1, arrival))
            return true;
        mn_worker_link_poll_items(door, items);
        assert_true(zmq_poll(items, MN_WORKER_LINK_SOCKETS, 10) >= 0);
    }
    return false;
}

static void one_who_says_too_much_is_cut_off_and_the_rest_of_it_passed_over(void **state)
{
    (void)state;
    void *talker = dial();
    mn_arrival arrival;
    for (uint32_t i = 0; i < 4 * MN_FIRST_WORDS; i++)
        say(talker, 1);
    for (uint32_t i = 0; i < MN_FIRST_WORDS; i++) {
        assert_true(arrives(&arrival));
        assert_int_equal(arrival.kind, MN_ARRIVED_MESSAGE);
        mn_received_fini(&arrival.received);
    }
    assert_true(arrives(&arrival));
    assert_int_equal(arrival.kind, MN_ARRIVED_LOSS);
    zmq_pollitem_t item = {.socket = talker, .events = ZMQ_POLLOUT};
    (void)zmq_poll(&item, 1, 0);
    mn_wire_close(&talker);
    void *other = dial();
    say(other, 7);
    do
        assert_true(arrives(&arrival));
    while (arrival.kind == MN_ARRIVED_LOSS);
    assert_int_equal(arrival.received.message.hello.threads, 7); /* nothing of the talker's more */
    mn_received_fini(&arrival.received);
    mn_wire_close(&other);
}

static void one_who_works_may_say_more(void **state)
{
    (void)state;
    void *worker = dial();
    uint64_t number = heard_as(worker, 1);
    const mn_message lease = {.kind = MN_MSG_LEASE,
                              .lease = {.epoch = 1, .round = {.id = 1, .n_tasks = 1}, .n = 1}};
    mn_arrival arrival;
    for (uint32_t i = 0; i < 4 * MN_FIRST_WORDS; i++) {
        mn_worker_link_send(door, number, &lease, NULL);
        say(worker, 1);
        assert_true(arrives(&arrival));
        assert_int_equal(arrival.kind, MN_ARRIVED_MESSAGE);
        mn_received_fini(&arrival.received);
    }
    mn_wire_close(&worker);
}

static void nonsense_is_told_with_its_sender(void **state)
{
    (void)state;
    void *one = dial();
    uint64_t first = heard_as(one, 1);
    assert_int_equal(zmq_send(one, "\xff\xff\xff", 3, 0), 3);
    mn_arrival damage = next_arrival();
    assert_int_equal(damage.kind, MN_ARRIVED_DAMAGE);
    assert_true(damage.peer == first);
    assert_true(strlen(damage.why.message) > 0);
    mn_wire_close(&one);
}

static void an_open_port_to_strangers_must_be_asked_for(void **state)
{
    (void)state;
    mn_worker_link *open = NULL;
    char where[256];
    mn_error err;
    assert_int_equal(
        mn_worker_link_new(context, "tcp://0.0.0.0:*", "", false, 1 << 20, &open, where, &err),
        MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "pool.insecure"));
    assert_non_null(strstr(err.message, "pool.keys"));
    assert_null(open);
}

static void whoever_listens_everywhere_tells_an_address_that_can_be_dialed(void **state)
{
    (void)state;
    mn_worker_link *open = NULL;
    char where[256];
    char host[MN_ADDRESS_CHARS];
    if (mn_job_address(host, NULL) != MN_OK)
        skip(); /* a machine without a network */
    assert_int_equal(
        mn_worker_link_new(context, "tcp://0.0.0.0:*", "", true, 1 << 20, &open, where, NULL),
        MN_OK);
    assert_non_null(strstr(where, host));
    mn_worker_link_destroy(&open);
}

static void a_path_is_told_from_the_root_on(void **state)
{
    (void)state;
    mn_worker_link *link = NULL;
    char start[PATH_MAX];
    char folder[] = "/tmp/worker_link_test.XXXXXX";
    char where[256];
    assert_non_null(getcwd(start, sizeof start));
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(
        mn_worker_link_new(context, "ipc://door", "", false, 1 << 20, &link, where, NULL), MN_OK);
    assert_int_equal(strncmp(where, "ipc:///", 7), 0);
    assert_non_null(strstr(where, strrchr(folder, '/')));
    mn_worker_link_destroy(&link);
    (void)unlink("door");
    assert_int_equal(chdir(start), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;
    mn_worker_link *again = NULL;
    char where[256];
    mn_error err;
    assert_int_equal(mn_worker_link_new(context, endpoint, "", false, 1 << 20, &again, where, &err),
                     MN_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, endpoint));
}

/* ---- a door with a lock */

static char keys[64];

static void allow(const char *public_line)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" MN_KEYS_ALLOW, keys);
    assert_int_equal(mn_file_write(path, public_line, strlen(public_line), NULL), MN_OK);
}

static int set_up_keys(void **state)
{
    char line[128];
    (void)state;
    (void)snprintf(keys, sizeof keys, "/tmp/mn_worker_link_XXXXXX");
    context = zmq_ctx_new();
    if (context == NULL || mkdtemp(keys) == NULL ||
        mn_key_file_make(keys, MN_KEYS_SERVER, line, NULL) != MN_OK ||
        mn_key_file_make(keys, "stranger", line, NULL) != MN_OK ||
        mn_key_file_make(keys, "friend", line, NULL) != MN_OK)
        return -1;
    allow(line);
    return mn_worker_link_new(context, "tcp://127.0.0.1:*", keys, false, 1 << 20, &door, endpoint,
                              NULL) == MN_OK
               ? 0
               : -1;
}

static int tear_down_keys(void **state)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r '%s'", keys);
    return tear_down(state) == 0 ? system(command) : -1;
}

static void set_text(void *socket, int option, const char *text)
{
    assert_int_equal(zmq_setsockopt(socket, option, text, strlen(text)), 0);
}

/* Dial with the key of that name; NULL: with none, not even the server's. The monitor tells of
 * refusals only; it watches before the connection is tried, because libzmq does not try again after
 * some of them. */
static void *dial_as(const char *name, void **monitor)
{
    static unsigned n_dials; /* a name of its own, for the last monitor may still be closing */
    const int no_linger = 0;
    char path[128], where[64], secret[MN_WIRE_KEY_CHARS + 1], public[MN_WIRE_KEY_CHARS + 1];
    void *dialed = zmq_socket(context, ZMQ_DEALER);
    *monitor = zmq_socket(context, ZMQ_PAIR);
    assert_non_null(dialed);
    assert_non_null(*monitor);
    assert_int_equal(zmq_setsockopt(dialed, ZMQ_LINGER, &no_linger, sizeof no_linger), 0);
    assert_int_equal(zmq_setsockopt(*monitor, ZMQ_LINGER, &no_linger, sizeof no_linger), 0);
    if (name != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s.secret", keys, name);
        assert_int_equal(mn_key_file_read_secret(path, secret, NULL), MN_OK);
        assert_int_equal(mn_wire_public_key(secret, public, NULL), MN_OK);
        set_text(dialed, ZMQ_CURVE_SERVERKEY, mn_worker_link_key(door));
        set_text(dialed, ZMQ_CURVE_PUBLICKEY, public);
        set_text(dialed, ZMQ_CURVE_SECRETKEY, secret);
    }
    (void)snprintf(where, sizeof where, "inproc://dialed-%u", ++n_dials);
    assert_int_equal(
        zmq_socket_monitor(dialed, where,
                           ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED),
        0);
    assert_int_equal(zmq_connect(*monitor, where), 0);
    assert_int_equal(zmq_connect(dialed, endpoint), 0);
    return dialed;
}

static void forget(void **dialed, void *monitor)
{
    (void)zmq_socket_monitor(*dialed, NULL, 0);
    assert_int_equal(zmq_close(monitor), 0);
    mn_wire_close(dialed);
}

/* Turn the door until the one who dialed is told no, and see that nothing has come through. */
static void expect_refusal(const char *name)
{
    void *monitor = NULL;
    void *dialed = dial_as(name, &monitor);
    say(dialed, 1);
    for (uint64_t now_us = 1;; now_us++) {
        mn_arrival arrival;
        zmq_pollitem_t items[MN_WORKER_LINK_SOCKETS + 1];
        mn_worker_link_poll_items(door, items);
        items[MN_WORKER_LINK_SOCKETS] = (zmq_pollitem_t){.socket = monitor, .events = ZMQ_POLLIN};
        assert_true(zmq_poll(items, MN_WORKER_LINK_SOCKETS + 1, -1) > 0);
        if (mn_worker_link_take(door, now_us, &arrival)) /* one who was let in before has left */
            assert_int_equal(arrival.kind, MN_ARRIVED_LOSS);
        if (items[MN_WORKER_LINK_SOCKETS].revents != 0)
            break;
    }
    forget(&dialed, monitor);
}

static void expect_welcome(const char *name)
{
    void *monitor = NULL;
    void *dialed = dial_as(name, &monitor);
    say(dialed, 7);
    mn_arrival arrival = next_arrival();
    while (arrival.kind == MN_ARRIVED_LOSS)
        arrival = next_arrival();
    assert_int_equal(arrival.kind, MN_ARRIVED_MESSAGE);
    assert_int_equal(arrival.received.message.hello.threads, 7);
    mn_received_fini(&arrival.received);
    forget(&dialed, monitor);
}

static void only_keys_on_the_allow_list_come_in(void **state)
{
    (void)state;
    expect_welcome("friend");
    expect_refusal("stranger");
    expect_refusal(NULL);
    expect_welcome("friend");
}

static void keys_can_be_added_and_revoked_while_the_door_is_open(void **state)
{
    (void)state;
    char path[128], *line = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/stranger.public", keys);
    assert_int_equal(mn_file_read(path, 4096, &line, &n, NULL), MN_OK);
    expect_refusal("stranger");
    allow(line);
    free(line);
    expect_welcome("stranger");
    expect_refusal("friend");
    allow("public: nonsense\n");
    expect_welcome("stranger"); /* the list read last holds */
    expect_refusal("friend");
}

/* As the link between ranks, in the same context. */
static void other_sockets_of_the_context_are_not_the_gatekeepers_business(void **state)
{
    (void)state;
    char where[256];
    void *open = NULL, *client = NULL;
    mn_received received;
    const mn_wire_options server = {.secret_key = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"};
    char public_key[MN_WIRE_KEY_CHARS + 1];
    assert_int_equal(mn_wire_public_key(server.secret_key, public_key, NULL), MN_OK);
    assert_int_equal(mn_wire_listen(context, "tcp://127.0.0.1:*", &server, &open, where, NULL),
                     MN_OK);
    assert_int_equal(
        mn_wire_dial(context, where, &(mn_wire_options){.server_key = public_key}, &client, NULL),
        MN_OK);
    say(client, 5);
    mn_status status = MN_ERR_UNAVAILABLE;
    while (status == MN_ERR_UNAVAILABLE) {
        mn_arrival arrival;
        zmq_pollitem_t items[MN_WORKER_LINK_SOCKETS + 1];
        mn_worker_link_poll_items(door, items);
        items[MN_WORKER_LINK_SOCKETS] = (zmq_pollitem_t){.socket = open, .events = ZMQ_POLLIN};
        assert_true(zmq_poll(items, MN_WORKER_LINK_SOCKETS + 1, -1) > 0);
        assert_false(mn_worker_link_take(door, 1, &arrival));
        status = mn_wire_receive(open, 0, &received, NULL);
    }
    assert_int_equal(status, MN_OK);
    assert_int_equal(received.message.hello.threads, 5);
    mn_received_fini(&received);
    mn_wire_close(&client);
    mn_wire_close(&open);
}

static void a_folder_without_keys_is_told_with_how_to_make_one(void **state)
{
    (void)state;
    mn_worker_link *none = NULL;
    char where[256], path[128];
    mn_error err;
    assert_int_equal(mn_worker_link_new(context, "tcp://127.0.0.1:*", "/nowhere", false, 1 << 20,
                                        &none, where, &err),
                     MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "/nowhere/server.secret"));
    assert_non_null(strstr(err.message, "mnemo keys new"));
    (void)snprintf(path, sizeof path, "%s/server.secret", keys);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(
        mn_worker_link_new(context, "tcp://127.0.0.1:*", keys, false, 1 << 20, &none, where, &err),
        MN_ERR_PERMISSION);
    assert_non_null(strstr(err.message, "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);
    allow("public: nonsense\n");
    assert_int_equal(
        mn_worker_link_new(context, "tcp://127.0.0.1:*", keys, false, 1 << 20, &none, where, &err),
        MN_ERR_DATA);
    assert_non_null(strstr(err.message, "workers.allow:1: "));
    assert_null(none);
}

static void with_keys_the_door_may_be_open_to_other_machines(void **state)
{
    (void)state;
    char where[256];
    void *other = zmq_ctx_new(); /* one gatekeeper in a context */
    mn_worker_link *open = NULL;
    assert_int_equal(
        mn_worker_link_new(other, "tcp://0.0.0.0:*", keys, false, 1 << 20, &open, where, NULL),
        MN_OK);
    assert_string_equal(mn_worker_link_key(open), mn_worker_link_key(door));
    mn_worker_link_destroy(&open);
    assert_int_equal(zmq_ctx_term(other), 0);
}

int main(void)
{
#define AT_THE_LOCK(test) cmocka_unit_test_setup_teardown(test, set_up_keys, tear_down_keys)
#define AT_THE_DOOR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        AT_THE_DOOR(every_connection_has_a_number_of_its_own),
        AT_THE_DOOR(an_answer_reaches_the_one_who_asked),
        AT_THE_DOOR(a_closed_connection_is_told_without_a_word_from_it),
        AT_THE_DOOR(one_who_never_reads_is_lost_before_much_waits_for_it),
        AT_THE_DOOR(one_who_says_too_much_is_cut_off_and_the_rest_of_it_passed_over),
        AT_THE_DOOR(one_who_works_may_say_more),
        AT_THE_DOOR(nonsense_is_told_with_its_sender),
        AT_THE_DOOR(an_open_port_to_strangers_must_be_asked_for),
        AT_THE_DOOR(whoever_listens_everywhere_tells_an_address_that_can_be_dialed),
        AT_THE_DOOR(a_path_is_told_from_the_root_on),
        AT_THE_DOOR(a_port_in_use_is_named),
        AT_THE_LOCK(only_keys_on_the_allow_list_come_in),
        AT_THE_LOCK(keys_can_be_added_and_revoked_while_the_door_is_open),
        AT_THE_LOCK(other_sockets_of_the_context_are_not_the_gatekeepers_business),
        AT_THE_LOCK(a_folder_without_keys_is_told_with_how_to_make_one),
        AT_THE_LOCK(with_keys_the_door_may_be_open_to_other_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
