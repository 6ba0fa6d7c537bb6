#include "coordinator/page/page.h"

#include "common/file.h"
#include "common/log.h"
#include "coordinator/page/event_streams.h"
#include "coordinator/run/board_bed.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)
#define ANSWER 400000 /* the largest file of the page, and more */
#define PATIENCE_MS 20000

static char folder[64];
static mn_board *board;
static mn_page *page;
static uint64_t published;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/page_test.XXXXXX");
    mn_log_init(MN_LOG_ERROR, "");
    published = 0;
    page = NULL;
    if (mkdtemp(folder) == NULL)
        return -1;
    board = bed_board(folder, 0);
    return board != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    char path[96];
    (void)state;
    mn_page_close(&page);
    mn_board_destroy(&board);
    (void)snprintf(path, sizeof path, "%s/token", folder);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/x.prom", folder);
    (void)unlink(path);
    return rmdir(folder); /* nothing else is left there */
}

static void publish(void)
{
    bed_step(board, ++published, 1);
    bed_publish(board, published * SECOND, 0, NULL);
}

static void open_page(const char *where)
{
    mn_error err;
    (void)snprintf(bed_experiment.run.page, sizeof bed_experiment.run.page, "%s", where);
    assert_int_equal(mn_page_open(board, NULL, &page, &err), MN_OK);
}

static unsigned port_of(void)
{
    const char *colon = strrchr(mn_page_url(page), ':');
    assert_non_null(colon);
    return (unsigned)strtoul(colon + 1, NULL, 10);
}

static int call(void)
{
    const struct sockaddr_in there = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port_of()),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&there, sizeof there), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Read until the text has come, or the other side closes (end: NULL); what has come. */
static const char *hear(int fd, const char *end)
{
    static char answer[ANSWER];
    size_t n = 0;
    answer[0] = '\0';
    while (n + 1 < sizeof answer && (end == NULL || strstr(answer, end) == NULL)) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        const ssize_t got = recv(fd, answer + n, sizeof answer - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
        answer[n] = '\0';
    }
    return answer;
}

/* A whole conversation. */
static const char *ask(const char *request)
{
    char text[1024];
    int fd = call();
    (void)snprintf(text, sizeof text, "%s\r\nConnection: close\r\n\r\n", request);
    say(fd, text);
    const char *answer = hear(fd, NULL);
    (void)close(fd);
    return answer;
}

static void assert_answer(const char *request, const char *code, const char *word)
{
    const char *answer = ask(request);
    assert_int_equal(strncmp(answer, "HTTP/1.1 ", 9), 0);
    if (strncmp(answer + 9, code, 3) != 0 || strstr(answer, word) == NULL)
        fail_msg("%s: expected %s and '%s', got: %.600s", request, code, word, answer);
}

static void it_serves_the_page_and_the_state(void **state)
{
    (void)state;
    open_page("127.0.0.1:0");
    assert_answer("GET /state.json HTTP/1.1\r\nHost: localhost", "503", "beginning");
    publish();
    while (strncmp(ask("GET /state.json HTTP/1.1\r\nHost: localhost") + 9, "503", 3) == 0)
        ; /* until its thread has taken the news */
    assert_answer("GET /state.json HTTP/1.1\r\nHost: localhost", "200", "\"name\":\"bed\"");
    assert_answer("GET / HTTP/1.1\r\nHost: localhost", "200",
                  "Content-Security-Policy: default-src 'self'");
    assert_answer("GET /chart.js HTTP/1.1\r\nHost: localhost", "200", "Chart.js");
    assert_answer("GET /metrics HTTP/1.1\r\nHost: localhost", "200", "version=0.0.4");
    assert_answer(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text", "200",
        "# EOF");
    assert_answer("GET /experiment.yaml HTTP/1.1\r\nHost: localhost", "200", "name: bed");
    assert_answer("GET /state.json HTTP/1.1\r\nHost: elsewhere.example", "421", "this machine");
    assert_answer("GET /../../etc/passwd HTTP/1.1\r\nHost: localhost", "404", "nothing here");
    assert_answer("GET /%00 HTTP/1.1\r\nHost: localhost", "404", "nothing here");
    assert_answer("DELETE / HTTP/1.1\r\nHost: localhost", "405", "Allow: GET, HEAD");
    assert_null(strstr(ask("HEAD / HTTP/1.1\r\nHost: localhost"), "<html"));
}

static void a_stream_brings_everything_then_changes_then_the_end(void **state)
{
    (void)state;
    open_page("127.0.0.1:0");
    int fd = call();
    say(fd, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_non_null(strstr(hear(fd, "\r\n\r\n"), "text/event-stream"));
    publish();
    assert_non_null(strstr(hear(fd, "\n\n"), "\"run\":{\"name\":\"bed\""));
    publish();
    const char *second = hear(fd, "\n\n");
    assert_non_null(strstr(second, "\"since\":1"));
    assert_null(strstr(second, "\"run\":"));
    mn_board_end(board, MN_PHASE_ENDED, "");
    mn_page_close(&page); /* who looks gets the end first */
    const char *last = hear(fd, NULL);
    assert_non_null(strstr(last, "\"phase\":\"ended\""));
    (void)close(fd);
}

static void large_requests_and_nonsense_are_refused(void **state)
{
    (void)state;
    static char long_path[70000];
    open_page("127.0.0.1:0");
    publish();
    int fd = call();
    say(fd, "POST /state.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10485760\r\n\r\n");
    static char block[1 << 20];
    for (int i = 0; i < 10; i++) /* it may stop listening at any time */
        if (send(fd, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
    assert_non_null(strstr(hear(fd, "GET or HEAD"), "405"));
    (void)close(fd);

    fd = call();
    memset(long_path, 'a', sizeof long_path - 1);
    say(fd, "GET /");
    (void)!send(fd, long_path, sizeof long_path - 1, MSG_NOSIGNAL);
    const char *answer = hear(fd, NULL);
    assert_true(answer[0] == '\0' || strstr(answer, "HTTP/1.1 4") != NULL);
    (void)close(fd);
    fd = call();
    say(fd, "\x16\x03\x01\x02 hello\r\n\r\n\r\n");
    (void)shutdown(fd, SHUT_WR);
    (void)hear(fd, NULL);
    (void)close(fd);
    assert_answer("GET / HTTP/1.1\r\nHost: localhost", "200", "<html");
}

static void who_does_not_read_holds_up_nobody(void **state)
{
    (void)state;
    int slow[MN_PAGE_STREAMS], small = 1024;
    open_page("127.0.0.1:0");
    for (size_t i = 0; i < MN_PAGE_STREAMS; i++) {
        slow[i] = call();
        (void)setsockopt(slow[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        say(slow[i], "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (void)hear(slow[i], "\r\n\r\n"); /* it stands, and is not read from now on */
    }
    assert_answer("GET /events HTTP/1.1\r\nHost: localhost", "503", "Retry-After");
    for (int i = 0; i < 300; i++)
        publish();
    assert_answer("GET / HTTP/1.1\r\nHost: localhost", "200", "<html");
    for (size_t i = 0; i < MN_PAGE_STREAMS; i++)
        (void)close(slow[i]);
}

/* More than the page has places for, none of which ever ends what it says. */
static void who_does_not_end_a_request_holds_up_nobody(void **state)
{
    (void)state;
    int slow[100];
    open_page("127.0.0.1:0");
    for (size_t i = 0; i < 100; i++) {
        slow[i] = call();
        say(slow[i], "GET / HTTP/1.1\r\nHost: ");
    }
    for (int i = 0; i < 3; i++) {
        assert_answer("GET / HTTP/1.1\r\nHost: localhost", "200", "<html");
        for (size_t k = 0; k < 100; k++)
            (void)!send(slow[k], "x", 1, MSG_NOSIGNAL);
    }
    assert_string_equal(hear(slow[0], NULL), ""); /* it has been sent away */
    for (size_t i = 0; i < 100; i++)
        (void)close(slow[i]);
}

static void a_token_is_asked_for_and_kept_by_a_cookie(void **state)
{
    char path[96], request[256];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/token", folder);
    assert_int_equal(mn_file_write(path, "0123456789abcdef\n", 17, NULL), MN_OK);
    (void)snprintf(bed_experiment.run.page_token, sizeof bed_experiment.run.page_token, "%s", path);
    open_page("127.0.0.1:0");
    publish();
    assert_non_null(strstr(mn_page_url(page), "/?token=0123456789abcdef"));
    assert_answer("GET / HTTP/1.1\r\nHost: any.example", "401", "WWW-Authenticate: Bearer");
    assert_answer("GET /?token=wrong HTTP/1.1\r\nHost: any.example", "401", "asks for a token");
    assert_answer(
        "GET /?token=0123456789abcdef HTTP/1.1\r\nHost: any.example", "303",
        "Set-Cookie: mnemo_token_000000000000002a=0123456789abcdef; HttpOnly; SameSite=Strict");
    /* of another run on this machine too: they do not drive each other out */
    assert_answer("GET / HTTP/1.1\r\nHost: any.example\r\nCookie: mnemo_token_0000000000000001=x; "
                  "mnemo_token_000000000000002a=0123456789abcdef",
                  "200", "<html");
    assert_answer("GET / HTTP/1.1\r\nHost: any.example\r\nCookie: "
                  "mnemo_token_0000000000000001=0123456789abcdef",
                  "401", "asks for a token");
    (void)snprintf(request, sizeof request,
                   "GET /experiment.yaml HTTP/1.1\r\nHost: any.example\r\nAuthorization: Bearer %s",
                   "0123456789abcdef");
    assert_answer(request, "200", "name: bed");
    struct stat file;
    (void)snprintf(path, sizeof path, "%s/page", folder);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
}

static void beyond_this_machine_a_token_is_made_up(void **state)
{
    (void)state;
    open_page("0.0.0.0:0");
    const char *token = strstr(mn_page_url(page), "?token=");
    assert_non_null(token);
    assert_int_equal(strlen(token), strlen("?token=") + 32);
    assert_answer("GET /metrics HTTP/1.1\r\nHost: localhost", "401", "token");
}

/* As those of `mnemo train --seeds`. */
static void pages_that_follow_each_other_are_found_at_one_door(void **state)
{
    char path[96], first_url[512];
    mn_page_door door = {0};
    (void)state;
    (void)snprintf(path, sizeof path, "%s/token", folder);
    assert_int_equal(mn_file_write(path, "0123456789abcdef\n", 17, NULL), MN_OK);
    (void)snprintf(bed_experiment.run.page_token, sizeof bed_experiment.run.page_token, "%s", path);
    (void)snprintf(bed_experiment.run.page, sizeof bed_experiment.run.page, "127.0.0.1:0");
    assert_int_equal(mn_page_door_open(&bed_experiment, 7, &door, NULL), MN_OK);
    assert_int_equal(mn_page_open(board, &door, &page, NULL), MN_OK);
    (void)snprintf(first_url, sizeof first_url, "%s", mn_page_url(page));
    (void)unlink(path); /* it is not read again */
    mn_board_end(board, MN_PHASE_ENDED, "");
    const unsigned port = port_of();
    mn_page_close(&page);

    const struct sockaddr_in there = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int between = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(between, (const struct sockaddr *)&there, sizeof there), 0);
    say(between, "GET / HTTP/1.1\r\nHost: localhost\r\nCookie: "
                 "mnemo_token_0000000000000007=0123456789abcdef\r\nConnection: close\r\n\r\n");
    assert_int_equal(mn_page_open(board, &door, &page, NULL), MN_OK);
    assert_string_equal(mn_page_url(page), first_url);
    assert_non_null(strstr(hear(between, NULL), "<html")); /* it has waited outside */
    (void)close(between);
    mn_page_close(&page);
    mn_page_door_shut(&door);
    assert_string_equal(door.url, "");
}

static void what_cannot_be_opened_leaves_the_run_alone(void **state)
{
    char path[96];
    mn_board *other_board = board;
    mn_page *other = NULL;
    (void)state;
    open_page("127.0.0.1:0");
    (void)snprintf(bed_experiment.run.page, sizeof bed_experiment.run.page, "127.0.0.1:%u",
                   port_of());
    assert_int_equal(mn_page_open(other_board, NULL, &other, NULL), MN_OK); /* taken */
    assert_null(other);
    mn_page_close(&page);
    (void)snprintf(path, sizeof path, "%s/page", folder);
    assert_int_equal(mn_file_write(path, "http://127.0.0.1:1/\n", 20, NULL), MN_OK);
    open_page("192.0.2.1:0"); /* no address of this machine */
    assert_null(page);
    assert_int_not_equal(access(path, F_OK), 0); /* nobody is sent where an earlier job was */
    open_page("none");
    assert_null(page);
    (void)snprintf(path, sizeof path, "%s/token", folder);
    (void)snprintf(bed_experiment.run.page_token, sizeof bed_experiment.run.page_token, "%s", path);
    open_page("127.0.0.1:0"); /* no such file: not open to all instead */
    assert_null(page);
    assert_int_equal(mn_file_write(path, "short\n", 6, NULL), MN_OK);
    open_page("127.0.0.1:0");
    assert_null(page);
    assert_int_equal(mn_page_open(NULL, NULL, &page, NULL), MN_OK);
    assert_null(page);
}

/* Not even the thread: there are no more files to be had. */
static void where_nothing_can_be_started_the_run_goes_on_too(void **state)
{
    struct rlimit before, none;
    mn_error err = {0};
    (void)state;
    (void)snprintf(bed_experiment.run.page, sizeof bed_experiment.run.page, "none");
    (void)snprintf(bed_experiment.run.prometheus_textfile,
                   sizeof bed_experiment.run.prometheus_textfile, "%s/x.prom", folder);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const mn_status status = mn_page_open(board, NULL, &page, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, MN_OK);
    assert_null(page);
}

static void the_textfile_is_written_whole_without_a_page_too(void **state)
{
    char path[96], *text = NULL;
    size_t n = 0;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/x.prom", folder);
    (void)snprintf(bed_experiment.run.prometheus_textfile,
                   sizeof bed_experiment.run.prometheus_textfile, "%s", path);
    open_page("none");
    assert_string_equal(mn_page_url(page), "");
    publish();
    mn_board_end(board, MN_PHASE_ENDED, "");
    mn_page_close(&page);
    assert_int_equal(mn_file_read(path, 1 << 20, &text, &n, NULL), MN_OK);
    assert_non_null(strstr(text, "mnemo_run_phase{phase=\"ended\"} 1\n"));
    assert_non_null(strstr(text, "mnemo_meta_steps_total 1\n"));
    free(text);
}

/* What the log says until its end. */
static size_t times_said(int log, const char *words)
{
    char text[8192];
    size_t n = 0, times = 0;
    for (ssize_t more;
         n + 1 < sizeof text && (more = read(log, text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)more;
    text[n] = '\0';
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        times++;
    return times;
}

static void a_textfile_that_cannot_be_written_is_told_once_and_tried_again(void **state)
{
    char place[96], path[128], first[1], *text = NULL;
    size_t n = 0;
    (void)state;
    (void)snprintf(place, sizeof place, "%s/later", folder);
    (void)snprintf(path, sizeof path, "%s/x.prom", place);
    (void)snprintf(bed_experiment.run.prometheus_textfile,
                   sizeof bed_experiment.run.prometheus_textfile, "%s", path);
    mn_log_init(MN_LOG_INFO, "");
    for (int comes = 0; comes < 2; comes++) { /* the second time its folder does */
        int log[2];
        const int before = dup(STDERR_FILENO);
        assert_int_equal(pipe(log), 0);
        assert_true(dup2(log[1], STDERR_FILENO) == STDERR_FILENO && close(log[1]) == 0);
        open_page("none");
        publish();
        assert_int_equal(read(log[0], first, 1), 1); /* it has been tried, and told */
        if (comes == 1)
            assert_int_equal(mkdir(place, 0700), 0);
        mn_page_close(&page); /* and is tried again */
        assert_true(dup2(before, STDERR_FILENO) == STDERR_FILENO && close(before) == 0);
        assert_int_equal(times_said(log[0], "prometheus_textfile: "), comes == 1 ? 2 : 1);
        (void)close(log[0]);
    }
    assert_int_equal(mn_file_read(path, 1 << 20, &text, &n, NULL), MN_OK);
    free(text);
    assert_true(unlink(path) == 0 && rmdir(place) == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_serves_the_page_and_the_state),
        TEST(a_stream_brings_everything_then_changes_then_the_end),
        TEST(large_requests_and_nonsense_are_refused),
        TEST(who_does_not_read_holds_up_nobody),
        TEST(who_does_not_end_a_request_holds_up_nobody),
        TEST(a_token_is_asked_for_and_kept_by_a_cookie),
        TEST(beyond_this_machine_a_token_is_made_up),
        TEST(pages_that_follow_each_other_are_found_at_one_door),
        TEST(what_cannot_be_opened_leaves_the_run_alone),
        TEST(where_nothing_can_be_started_the_run_goes_on_too),
        TEST(the_textfile_is_written_whole_without_a_page_too),
        TEST(a_textfile_that_cannot_be_written_is_told_once_and_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
