#include "coordinator/commands/remote_run.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENT_MS = 30000, HASTY_MS = 200 };

/* A door at which one visitor is given an answer, whatever it asks for. */
static struct {
    int door;
    unsigned port;
    pthread_t thread;
    const char *head, *body;
    size_t repeats; /* of the body */
    bool holds;     /* the connection stays open, and nothing more is said */
    char request[4096];
} server;

static mn_error err;

static void *serve(void *unused)
{
    (void)unused;
    size_t n = 0;
    int visitor = accept(server.door, NULL, NULL);
    for (ssize_t more; visitor >= 0 && n + 1 < sizeof server.request; n += (size_t)more) {
        more = recv(visitor, server.request + n, sizeof server.request - 1 - n, 0);
        if (more <= 0)
            break;
        server.request[n + (size_t)more] = '\0';
        if (strstr(server.request, "\r\n\r\n") != NULL)
            break;
    }
    ssize_t sent = send(visitor, server.head, strlen(server.head), MSG_NOSIGNAL);
    for (size_t i = 0; i < server.repeats && sent >= 0; i++)
        sent = send(visitor, server.body, strlen(server.body), MSG_NOSIGNAL);
    char rest;
    if (server.holds)
        (void)recv(visitor, &rest, 1, 0); /* until it goes away */
    (void)close(visitor);
    return NULL;
}

static void begin(const char *head, const char *body, size_t repeats)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof own;
    server.head = head;
    server.body = body;
    server.repeats = repeats;
    server.holds = false;
    server.request[0] = '\0';
    server.door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server.door >= 0);
    assert_int_equal(bind(server.door, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(listen(server.door, 1), 0);
    assert_int_equal(getsockname(server.door, (struct sockaddr *)&own, &n), 0);
    server.port = ntohs(own.sin_port);
}

static mn_status ask(const char *rest, uint32_t deadline_ms, json_t **state)
{
    char address[256];
    mn_remote_run *run = NULL;
    (void)snprintf(address, sizeof address, "http://127.0.0.1:%u%s", server.port, rest);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    assert_int_equal(mn_remote_run_open(address, deadline_ms, &run, &err), MN_OK);
    *state = NULL;
    mn_status status = mn_remote_run_look(run, state, &err);
    mn_remote_run_close(&run);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    (void)close(server.door);
    return status;
}

static void expect_words(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", text, words);
}

static void expect_refused(const char *head, const char *body, size_t repeats, mn_status status,
                           const char *words)
{
    json_t *state;
    begin(head, body, repeats);
    assert_int_equal(ask("/", PATIENT_MS, &state), status);
    assert_null(state);
    expect_words(err.message, words);
    char where[64];
    (void)snprintf(where, sizeof where, "http://127.0.0.1:%u", server.port);
    expect_words(err.message, where);
}

#define FOUND "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define STATE                                                                                      \
    "{\"number\": 4, \"phase\": \"training\", \"over\": false, \"step\": 12, \"wall_s\": 61, "     \
    "\"to_go_s\": 3600, \"last\": {\"loss\": 0.5, \"odd\": []}, \"tasks_per_s\": 250, "            \
    "\"threads\": 3, "                                                                             \
    "\"workers\": 1, \"shares\": {\"tasks\": 0.9, \"sums\": 0.01, \"reduce\": 0.02, \"outer\": "   \
    "0.03, "                                                                                       \
    "\"wait\": 0.04}, \"validated\": 10, \"validation\": [{\"key\": \"val_loss\", \"mean\": "      \
    "0.25, "                                                                                       \
    "\"half_width\": 0.01}], \"pool\": [{\"name\": \"evil\\u001b[2J\", \"threads\": 2, "           \
    "\"tasks_per_s\": 1.5, \"doing\": \"computing\"}, 7], \"gone\": [{\"name\": \"a:1\", "         \
    "\"how\": "                                                                                    \
    "\"lost\", \"why\": \"its connection closed\", \"ago_s\": 5}], \"run\": {\"name\": \"sin\", "  \
    "\"steps\": 100, \"host\": \"node7\", \"process\": 42, \"folder\": \"/runs/x\"}}"

static void a_page_is_read_and_told_whatever_stands_in_it(void **state)
{
    (void)state;
    json_t *found;
    char *text = NULL;
    size_t n = 0;
    begin(FOUND, STATE, 1);
    assert_int_equal(ask("/", PATIENT_MS, &found), MN_OK);
    assert_int_equal(strncmp(server.request, "GET /state.json HTTP/1.1\r\n", 26), 0);
    assert_null(strstr(server.request, "Authorization"));
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    mn_remote_run_print(found, out);
    assert_int_equal(fclose(out), 0);
    json_decref(found);
    expect_words(text, "sin: training, process 42 on node7\n/runs/x\n");
    expect_words(text, "meta-step 12 of 100, 0:01:01 so far, 1:00:00 to go\n");
    expect_words(text, "last meta-step: loss 0.5\n250 tasks/s; 3 threads, 1 remote worker\n");
    expect_words(text, "tasks 90.0 %");
    expect_words(text, "validation after meta-step 10: loss 0.25 +- 0.01\n");
    expect_words(text, "  evil\\x1b[2J: 2 threads, 1.5 tasks/s, computing\n");
    expect_words(text, "  a:1 is not there (lost 5 s ago): its connection closed\n");
    assert_null(strchr(text, '\033'));
    free(text);
}

static void the_token_of_the_address_goes_along_and_is_not_told(void **state)
{
    (void)state;
    json_t *found;
    begin("HTTP/1.1 401 No\r\nConnection: close\r\n\r\n", "", 0);
    assert_int_equal(ask("/?token=0123456789abcdef", PATIENT_MS, &found), MN_ERR_PERMISSION);
    expect_words(server.request, "GET /state.json HTTP/1.1\r\n");
    expect_words(server.request, "\r\nAuthorization: Bearer 0123456789abcdef\r\n");
    expect_words(err.message, "does not take this token");
    assert_null(strstr(err.message, "0123456789abcdef"));
    begin(FOUND, STATE, 1);
    assert_int_equal(ask("/events?x=1&token=abc#top", PATIENT_MS, &found), MN_OK);
    expect_words(server.request, "GET /state.json HTTP/1.1\r\n");
    expect_words(server.request, "Bearer abc\r\n");
    json_decref(found);
}

static void what_is_not_a_page_is_refused_with_the_reason(void **state)
{
    (void)state;
    static char much[65537];
    memset(much, ' ', sizeof much - 1);
    expect_refused("HTTP/1.1 401 No\r\nConnection: close\r\n\r\n", "", 0, MN_ERR_PERMISSION,
                   "asks for a token");
    expect_refused("HTTP/1.1 421 No\r\nConnection: close\r\n\r\n", "", 0, MN_ERR_PERMISSION,
                   "ssh -L");
    expect_refused("HTTP/1.1 503 No\r\nConnection: close\r\n\r\n", "", 0, MN_ERR_UNAVAILABLE,
                   "try again");
    expect_refused("HTTP/1.1 404 No\r\nConnection: close\r\n\r\n", "", 0, MN_ERR_DATA,
                   "answers 404");
    expect_refused("HTTP/1.1 302 Go\r\nLocation: file:///etc/passwd\r\nConnection: close\r\n\r\n",
                   "", 0, MN_ERR_DATA, "answers 302");
    expect_refused(FOUND, "<html>", 1, MN_ERR_DATA, "is not the page of a mnemo run");
    expect_refused(FOUND, "", 0, MN_ERR_DATA, "is not the page of a mnemo run");
    expect_refused(FOUND, "{\"phase\": \"training\", \"over\": false, \"step\": 1}", 1, MN_ERR_DATA,
                   "is not the page of a mnemo run");
    expect_refused(FOUND, much, 160, MN_ERR_DATA, "more than 8 MiB"); /* 10 MiB */
    expect_refused("nonsense\r\n\r\n", "", 0, MN_ERR_UNAVAILABLE, "http://127.0.0.1");
}

static void who_is_slow_or_not_there_is_not_waited_for(void **state)
{
    (void)state;
    json_t *found;
    begin("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "{", 1);
    server.holds = true;
    assert_int_equal(ask("/", HASTY_MS, &found), MN_ERR_UNAVAILABLE);
    expect_words(err.message, "no whole answer within 0.2 s");

    char address[64];
    mn_remote_run *run = NULL;
    begin("", "", 0);
    (void)close(server.door);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", server.port); /* free again */
    assert_int_equal(mn_remote_run_open(address, PATIENT_MS, &run, &err), MN_OK);
    assert_int_equal(mn_remote_run_look(run, &found, &err), MN_ERR_UNAVAILABLE);
    expect_words(err.message, "nobody answers there");
    mn_remote_run_close(&run);
    assert_int_equal(mn_remote_run_open("http://no-such-host.invalid/", PATIENT_MS, &run, &err),
                     MN_OK);
    assert_int_equal(mn_remote_run_look(run, &found, &err), MN_ERR_UNAVAILABLE);
    expect_words(err.message, "no such host");
    mn_remote_run_close(&run);
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",        "ftp://a/",    "file:///etc/passwd",
                                        "http://", "http://a:0x", "http://a:99999/",
                                        "a b",     "/runs/x"};
    mn_remote_run *run = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (mn_remote_run_open(wrong[i], PATIENT_MS, &run, &err) != MN_ERR_USAGE)
            fail_msg("\"%s\" is taken", wrong[i]);
        expect_words(err.message, "expected the address of a run's page");
    }
    assert_int_equal(mn_remote_run_open("http://a/?token=a%0d%0aHost:b", PATIENT_MS, &run, &err),
                     MN_ERR_USAGE);
    expect_words(err.message, "is no token");
    static char long_one[9000];
    memset(long_one, 'a', sizeof long_one - 1);
    assert_int_equal(mn_remote_run_open(long_one, PATIENT_MS, &run, &err), MN_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_read_and_told_whatever_stands_in_it),
        cmocka_unit_test(the_token_of_the_address_goes_along_and_is_not_told),
        cmocka_unit_test(what_is_not_a_page_is_refused_with_the_reason),
        cmocka_unit_test(who_is_slow_or_not_there_is_not_waited_for),
        cmocka_unit_test(what_is_no_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
