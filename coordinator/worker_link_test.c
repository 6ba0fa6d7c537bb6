#include "coordinator/worker_link.h"

#include "coordinator/job.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void *context;
static mn_worker_link *door;
static char endpoint[256];

static int set_up(void **state)
{
    (void)state;
    context = zmq_ctx_new();
    return mn_worker_link_new(context, "tcp://127.0.0.1:*", false, 1 << 20, &door, endpoint,
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

static void say(void *socket, uint64_t progress)
{
    const mn_message message = {.kind = MN_MSG_HEARTBEAT, .heartbeat.progress = progress};
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

static void every_connection_has_a_number_of_its_own(void **state)
{
    (void)state;
    void *one = dial();
    void *two = dial();
    say(one, 1);
    mn_arrival first = next_arrival();
    say(two, 2);
    mn_arrival second = next_arrival();
    say(one, 3);
    mn_arrival third = next_arrival();
    assert_int_equal(first.kind, MN_ARRIVED_MESSAGE);
    assert_int_equal(first.received.message.heartbeat.progress, 1);
    assert_int_equal(second.received.message.heartbeat.progress, 2);
    assert_int_equal(third.received.message.heartbeat.progress, 3);
    assert_true(first.peer != 0 && second.peer != 0 && first.peer != second.peer);
    assert_true(third.peer == first.peer);
    mn_received_fini(&first.received);
    mn_received_fini(&second.received);
    mn_received_fini(&third.received);
    mn_wire_close(&one);
    mn_wire_close(&two);
}

static void an_answer_reaches_the_one_who_asked(void **state)
{
    (void)state;
    void *one = dial();
    void *two = dial();
    say(one, 1);
    mn_arrival first = next_arrival();
    say(two, 2);
    mn_arrival second = next_arrival();
    const mn_message answer = {.kind = MN_MSG_REGISTER_AGAIN};
    mn_worker_link_send(door, second.peer, &answer, NULL);
    zmq_pollitem_t item = {.socket = two, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, -1), 1);
    mn_received received = {0};
    assert_int_equal(mn_wire_receive(two, 0, &received, NULL), MN_OK);
    assert_int_equal(received.message.kind, MN_MSG_REGISTER_AGAIN);
    mn_received_fini(&received);
    mn_received_fini(&first.received);
    mn_received_fini(&second.received);
    mn_wire_close(&one);
    mn_wire_close(&two);
}

static void a_closed_connection_is_told_without_a_word_from_it(void **state)
{
    (void)state;
    void *one = dial();
    void *two = dial();
    say(one, 1);
    mn_arrival first = next_arrival();
    say(two, 2);
    mn_arrival second = next_arrival();
    mn_received_fini(&first.received);
    mn_received_fini(&second.received);
    mn_wire_close(&one);
    mn_arrival loss = next_arrival();
    assert_int_equal(loss.kind, MN_ARRIVED_LOSS);
    assert_true(loss.peer == first.peer);
    say(two, 3); /* the other one is still who it was */
    mn_arrival again = next_arrival();
    assert_true(again.peer == second.peer);
    mn_received_fini(&again.received);
    mn_wire_close(&two);
}

static void nonsense_is_told_with_its_sender(void **state)
{
    (void)state;
    void *one = dial();
    say(one, 1);
    mn_arrival first = next_arrival();
    mn_received_fini(&first.received);
    assert_int_equal(zmq_send(one, "\xff\xff\xff", 3, 0), 3);
    mn_arrival damage = next_arrival();
    assert_int_equal(damage.kind, MN_ARRIVED_DAMAGE);
    assert_true(damage.peer == first.peer);
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
        mn_worker_link_new(context, "tcp://0.0.0.0:*", false, 1 << 20, &open, where, &err),
        MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "pool.insecure"));
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
        mn_worker_link_new(context, "tcp://0.0.0.0:*", true, 1 << 20, &open, where, NULL), MN_OK);
    assert_non_null(strstr(where, host));
    mn_worker_link_destroy(&open);
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;
    mn_worker_link *again = NULL;
    char where[256];
    mn_error err;
    assert_int_equal(mn_worker_link_new(context, endpoint, false, 1 << 20, &again, where, &err),
                     MN_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, endpoint));
}

int main(void)
{
#define AT_THE_DOOR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        AT_THE_DOOR(every_connection_has_a_number_of_its_own),
        AT_THE_DOOR(an_answer_reaches_the_one_who_asked),
        AT_THE_DOOR(a_closed_connection_is_told_without_a_word_from_it),
        AT_THE_DOOR(nonsense_is_told_with_its_sender),
        AT_THE_DOOR(an_open_port_to_strangers_must_be_asked_for),
        AT_THE_DOOR(whoever_listens_everywhere_tells_an_address_that_can_be_dialed),
        AT_THE_DOOR(a_port_in_use_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
