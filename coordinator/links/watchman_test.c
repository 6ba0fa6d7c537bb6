#include "coordinator/links/watchman.h"

#include "proto/wire.h"
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#define MOST 8
#define PATIENCE_MS 20000

static void *context, *door;
static mn_watchman *watchman;
static uint16_t port;

static int set_up(void **state)
{
    (void)state;
    char endpoint[256];
    const mn_wire_options options = {.watched = true};
    context = zmq_ctx_new();
    if (mn_wire_listen(context, "tcp://127.0.0.1:*", &options, &door, endpoint, NULL) != MN_OK)
        return -1;
    port = (uint16_t)atoi(strrchr(endpoint, ':') + 1);
    return mn_watchman_new(context, door, endpoint, MOST, 1 << 20, &watchman, NULL) == MN_OK ? 0
                                                                                             : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mn_watchman_destroy(&watchman);
    mn_wire_close(&door);
    return zmq_ctx_term(context);
}

static int dial(void)
{
    const struct sockaddr_in place = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(peer >= 0);
    assert_int_equal(connect(peer, (const struct sockaddr *)&place, sizeof place), 0);
    return peer;
}

/* Dial and say what ZMTP 3.1 says first. */
static int dial_in(void)
{
    static const char ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                                "DEALER";
    uint8_t greeting[64] = {0xff, [9] = 0x7f, [10] = 3, [11] = 1, [12] = 'N', 'U', 'L', 'L'};
    const int peer = dial();
    assert_int_equal(send(peer, greeting, sizeof greeting, MSG_NOSIGNAL), sizeof greeting);
    assert_int_equal(send(peer, ready, sizeof ready - 1, MSG_NOSIGNAL), sizeof ready - 1);
    char heard[512];
    size_t n = 0;
    do { /* before it has said the same, nothing may follow */
        ssize_t more = recv(peer, heard + n, sizeof heard - n, 0);
        assert_true(more > 0);
        n += (size_t)more;
    } while (memmem(heard, n, "READY", 5) == NULL);
    return peer;
}

/* Read until the other side has closed; false: it has not. */
static bool is_cut(int peer, int patience_ms)
{
    char bytes[4096];
    struct pollfd item = {.fd = peer, .events = POLLIN};
    while (poll(&item, 1, patience_ms) > 0)
        if (recv(peer, bytes, sizeof bytes, 0) <= 0)
            return true;
    return false;
}

static void of_too_many_connections_the_oldest_goes(void **state)
{
    (void)state;
    int peers[MOST + 1];
    for (int i = 0; i < MOST + 1; i++)
        peers[i] = dial();
    assert_true(is_cut(peers[0], PATIENCE_MS));
    assert_false(is_cut(peers[MOST], 0));
    for (int i = 0; i < MOST + 1; i++)
        (void)close(peers[i]);
}

static void a_message_without_an_end_is_ended(void **state)
{
    (void)state;
    static const uint8_t frame[] = {1, 1, 'x'}; /* more follow */
    const int peer = dial_in();
    uint64_t sent = 0;
    ssize_t n;
    while ((n = send(peer, frame, sizeof frame, MSG_NOSIGNAL)) > 0)
        sent += (uint64_t)n;
    assert_true(sent > 0);
    (void)close(peer);
}

static void what_was_taken_is_not_under_way(void **state)
{
    (void)state;
    static char words[1 << 14];
    static uint8_t head[] = {2, 0, 0, 0, 0, 0, 0, 0x3f, 0xf7}; /* a frame of 16,375 bytes */
    memcpy(words, head, sizeof head);
    const int peer = dial_in();
    for (int i = 0; i < 64; i++) { /* 1 MiB, of which a stranger may have 64 KiB under way */
        mn_received received;
        assert_int_equal(send(peer, words, sizeof words, MSG_NOSIGNAL), sizeof words);
        zmq_pollitem_t item = {.socket = door, .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, PATIENCE_MS), 1);
        assert_int_equal(mn_wire_receive(door, 0, &received, NULL), MN_ERR_PROTOCOL);
        assert_true(received.fd >= 0);
        assert_true(received.wire_bytes >= sizeof words - sizeof head);
        mn_watchman_took(watchman, received.fd, received.wire_bytes);
    }
    assert_false(is_cut(peer, 100));
    (void)close(peer);
}

static void a_connection_that_spoke_is_told_when_it_is_closed(void **state)
{
    (void)state;
    static const uint8_t word[] = {0, 1, 'x'};
    mn_received received;
    const int peer = dial_in();
    assert_int_equal(send(peer, word, sizeof word, MSG_NOSIGNAL), sizeof word);
    zmq_pollitem_t item = {.socket = door, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, PATIENCE_MS), 1);
    assert_int_equal(mn_wire_receive(door, 0, &received, NULL), MN_ERR_PROTOCOL);
    struct pollfd news = {.fd = mn_watchman_fd(watchman), .events = POLLIN};
    mn_watchman_took(watchman, received.fd, received.wire_bytes);
    assert_int_equal(mn_watchman_next_closed(watchman), -1);
    mn_watchman_cut(watchman, received.fd);
    assert_true(is_cut(peer, PATIENCE_MS));
    assert_int_equal(poll(&news, 1, PATIENCE_MS), 1);
    assert_int_equal(mn_watchman_next_closed(watchman), received.fd);
    assert_int_equal(mn_watchman_next_closed(watchman), -1);
    assert_int_equal(poll(&news, 1, 0), 0);
    (void)close(peer);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(of_too_many_connections_the_oldest_goes),
        TEST(a_message_without_an_end_is_ended),
        TEST(what_was_taken_is_not_under_way),
        TEST(a_connection_that_spoke_is_told_when_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
