#include "coordinator/page/page.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/log_limit.h"
#include "common/thread.h"
#include "coordinator/page/answer.h"
#include "coordinator/page/event_streams.h"
#include "coordinator/page/exposition.h"
#include "coordinator/page/frame.h"
#include "coordinator/page/guests.h"
#include "coordinator/page/showcase.h"
#include "coordinator/run/run.h"
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REQUEST_BYTES 32768u /* of a request's line and headers, and of its answer's buffer */
#define IDLE_S 20u           /* a connection that says and takes nothing for so long is closed */
#define TEXTFILE_US UINT64_C(10000000)
#define LOOK_US UINT64_C(2500000) /* it looks around at least so often */
#define GOODBYE_US UINT64_C(1000000)

struct mn_page {
    mn_board *board;
    const mn_board_config *run;
    char path[PATH_MAX], textfile[PATH_MAX];
    mn_page_door own;
    mn_page_door *door; /* `own`, or lent */
    bool shown;         /* RUN/page tells where it is */
    int news;           /* eventfd: the run's thread has hung out a snapshot, or wants the end */
    atomic_bool closing;
    bool started;
    pthread_t thread;

    /* the page's thread's own */
    struct MHD_Daemon *daemon; /* NULL: only the file is written */
    int events;                /* its epoll */
    mn_event_streams *streams;
    mn_guests guests;
    mn_showcase *showcase;
    uint64_t textfile_us; /* when it is due */
    bool textfile_failed; /* the last time, which is told once */
    mn_log_limit refusals;
};

static mn_status open_page(mn_page *page, mn_error *err);
static mn_status start_daemon(mn_page *page, mn_error *err);
static mn_status start(mn_page *page, mn_error *err);
static void *serve(void *user);
static void tell_news(void *user);
static void write_textfile(mn_page *page);
static void come_or_go(void *user, struct MHD_Connection *connection, void **guest,
                       enum MHD_ConnectionNotificationCode what);
static void end_request(void *user, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode how);
static enum MHD_Result take_request(void *user, struct MHD_Connection *connection, const char *path,
                                    const char *method, const char *version, const char *upload,
                                    size_t *n_upload, void **state);

mn_status mn_page_open(mn_board *board, mn_page_door *door, mn_page **out, mn_error *err)
{
    *out = NULL;
    if (board == NULL)
        return MN_OK;
    mn_page *page = calloc(1, sizeof *page);
    if (page == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "page of the run");
    page->board = board;
    page->run = mn_board_config_of(board);
    page->door = door != NULL ? door : &page->own;
    page->news = page->events = -1;
    (void)snprintf(page->textfile, sizeof page->textfile, "%s",
                   page->run->experiment->run.prometheus_textfile);
    mn_error why = {0};
    mn_status status = mn_run_path(page->run->folder, "page", page->path, err);
    if (status == MN_OK) /* of an earlier job that was killed; its rights may be others */
        (void)unlink(page->path);
    if (status == MN_OK)
        status = mn_event_streams_new(page->run, &page->streams, err);
    if (status == MN_OK)
        status = mn_showcase_new(page->run, "/proc/self/exe", &page->showcase, err);
    if (status == MN_OK && strcmp(page->run->experiment->run.page, "none") != 0 &&
        open_page(page, &why) != MN_OK)
        mn_log(MN_LOG_WARN, "no page of this run, which goes on without: %s", why.message);
    if (status == MN_OK && (page->daemon != NULL || page->textfile[0] != '\0') &&
        start(page, &why) != MN_OK)
        mn_log(MN_LOG_WARN,
               "neither page nor run.prometheus_textfile of this run, which goes on "
               "without: %s",
               why.message);
    if (status != MN_OK || !page->started) {
        mn_page_close(&page);
        return status;
    }
    *out = page;
    return MN_OK;
}

void mn_page_close(mn_page **page)
{
    mn_page *p = *page;
    if (p == NULL)
        return;
    if (p->started) {
        atomic_store(&p->closing, true);
        tell_news(p);
        (void)pthread_join(p->thread, NULL);
        mn_board_tell(p->board, NULL, NULL);
    }
    if (p->daemon != NULL)
        MHD_stop_daemon(p->daemon);
    if (p->shown)
        (void)unlink(p->path);
    if (p->news >= 0)
        (void)close(p->news);
    mn_event_streams_destroy(&p->streams);
    mn_showcase_destroy(&p->showcase);
    mn_page_door_shut(&p->own);
    free(p);
    *page = NULL;
}

const char *mn_page_url(const mn_page *page)
{
    return page->shown ? page->door->url : "";
}

/* ---- opening ---- */

static mn_status open_page(mn_page *page, mn_error *err)
{
    mn_status status = MN_OK;
    if (page->door->url[0] == '\0')
        status = mn_page_door_open(page->run->experiment, page->run->run_id, page->door, err);
    if (status == MN_OK)
        status = mn_page_door_sign(page->door, page->path, err);
    page->shown = status == MN_OK;
    if (status == MN_OK)
        status = start_daemon(page, err);
    if (status != MN_OK && page->shown) { /* no address of what does not serve */
        page->shown = false;
        (void)unlink(page->path);
    }
    return status;
}

static void log_of_daemon(void *user, const char *format, va_list values)
{
    char text[512];
    (void)user;
    (void)vsnprintf(text, sizeof text, format, values);
    text[strcspn(text, "\n")] = '\0';
    mn_log(MN_LOG_DEBUG, "page: %s", text);
}

/* None of our paths and no token has a character that must be written as %20 or so. */
static size_t as_it_stands(void *user, struct MHD_Connection *connection, char *text)
{
    (void)user;
    (void)connection;
    return strlen(text);
}

static mn_status start_daemon(mn_page *page, mn_error *err)
{
    const int fd = fcntl(page->door->fd, F_DUPFD_CLOEXEC, 0); /* it closes its own */
    if (fd < 0)
        return mn_fail_errno(err, "open the page's door");
    page->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, take_request,
        page, MHD_OPTION_EXTERNAL_LOGGER, log_of_daemon, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, MN_GUESTS_MOST, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)REQUEST_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_UNESCAPE_CALLBACK,
        as_it_stands, NULL, MHD_OPTION_NOTIFY_CONNECTION, come_or_go, page,
        MHD_OPTION_NOTIFY_COMPLETED, end_request, page, MHD_OPTION_END);
    if (page->daemon == NULL) {
        (void)close(fd);
        return mn_fail(err, MN_ERR_UNAVAILABLE, "the page's server does not start");
    }
    page->events = MHD_get_daemon_info(page->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return MN_OK;
}

/* ---- the thread ---- */

static mn_status start(mn_page *page, mn_error *err)
{
    page->news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (page->news < 0)
        return mn_fail_errno(err, "page of the run");
    page->started = mn_thread_start(&page->thread, serve, page);
    if (!page->started)
        return mn_fail(err, MN_ERR_UNAVAILABLE, "the page's thread does not start");
    (void)pthread_setname_np(page->thread, "mnemo-page"); /* for who looks at what takes time */
    mn_board_tell(page->board, tell_news, page);
    if (page->shown)
        mn_log(MN_LOG_INFO, "the run shows itself on %.*s%s%s", (int)strcspn(page->door->url, "?"),
               page->door->url,
               page->door->access.asks ? "; with its token that is the address in " : "",
               page->door->access.asks ? page->path : "");
    return MN_OK;
}

/* In the run's thread, or in whoever closes. */
static void tell_news(void *user)
{
    const mn_page *page = user;
    const uint64_t one = 1;
    (void)!write(page->news, &one, sizeof one); /* full: it will look anyway */
}

static int patience_ms(const mn_page *page, uint64_t end_us)
{
    const uint64_t now = mn_clock_us(), late_us = mn_guests_due_us(&page->guests);
    uint64_t until_us = now + LOOK_US;
    MHD_UNSIGNED_LONG_LONG ms = 0;
    if (page->textfile[0] != '\0' && page->textfile_us < until_us)
        until_us = page->textfile_us;
    if (end_us != 0 && end_us < until_us)
        until_us = end_us;
    if (late_us < until_us)
        until_us = late_us;
    uint64_t least_ms = until_us > now ? (until_us - now) / 1000 + 1 : 0;
    if (page->daemon != NULL && MHD_get_timeout(page->daemon, &ms) == MHD_YES && ms < least_ms)
        least_ms = ms;
    return (int)least_ms;
}

static void run_daemon(mn_page *page)
{
    mn_guest *guest;
    if (page->daemon == NULL)
        return;
    (void)MHD_run(page->daemon);
    while ((guest = mn_guests_late(&page->guests, mn_clock_us())) != NULL)
        (void)shutdown(guest->fd, SHUT_RDWR); /* the daemon sees that it has gone */
}

static void *serve(void *user)
{
    mn_page *page = user;
    uint64_t end_us = 0;
    bool closing = false;
    /* Tasks first: on a full machine the page waits, not the run. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 5);
    while (!closing || (!mn_event_streams_know_the_end(page->streams) && mn_clock_us() < end_us)) {
        struct pollfd fds[] = {{.fd = page->news, .events = POLLIN},
                               {.fd = page->events, .events = POLLIN},
                               {.fd = mn_showcase_fd(page->showcase), .events = POLLIN}};
        uint64_t count;
        (void)poll(fds, 3, patience_ms(page, end_us));
        (void)!read(page->news, &count, sizeof count);
        if (!closing && atomic_load(&page->closing)) {
            closing = true;
            end_us = mn_clock_us() + GOODBYE_US;
        }
        mn_event_streams_take(page->streams, mn_board_look(page->board));
        if (page->textfile[0] != '\0' && mn_clock_us() >= page->textfile_us)
            write_textfile(page);
        mn_showcase_attend(page->showcase, mn_clock_us());
        mn_event_streams_wake(page->streams, closing);
        run_daemon(page);
    }
    write_textfile(page);
    mn_event_streams_end(page->streams);
    run_daemon(page);
    mn_event_streams_wake(page->streams, true); /* who came just now: MHD ends the program if one
                                                   still sleeps */
    if (page->daemon != NULL)
        MHD_stop_daemon(page->daemon); /* here, where its connections live */
    page->daemon = NULL;
    return NULL;
}

static void write_textfile(mn_page *page)
{
    const mn_snapshot *now = mn_event_streams_now(page->streams);
    char *text = NULL;
    mn_error err = {0};
    page->textfile_us = mn_clock_us() + (now != NULL ? TEXTFILE_US : TEXTFILE_US / 100);
    if (page->textfile[0] == '\0' || now == NULL)
        return;
    mn_status status = mn_exposition_print(page->run, now, false, &text, &err);
    if (status == MN_OK)
        status = mn_file_write(page->textfile, text, strlen(text), &err);
    free(text);
    if (status != MN_OK && !page->textfile_failed)
        mn_log(MN_LOG_WARN,
               "run.prometheus_textfile: %s; the run goes on, and it is tried again every %" PRIu64
               " s, of which nothing is said until it works",
               err.message, TEXTFILE_US / 1000000);
    else if (status == MN_OK && page->textfile_failed)
        mn_log(MN_LOG_INFO, "run.prometheus_textfile: %s is written again", page->textfile);
    page->textfile_failed = status != MN_OK;
}

/* ---- connections ---- */

/* *guest stays with the connection. */
static void come_or_go(void *user, struct MHD_Connection *connection, void **guest,
                       enum MHD_ConnectionNotificationCode what)
{
    mn_page *page = user;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const int fd =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *guest = mn_guests_come(&page->guests, fd, mn_clock_us());
    } else if (*guest != NULL) {
        mn_guest_go(*guest);
        *guest = NULL;
    }
}

/* NULL: there was no place for it, so MHD lets in more than it was told. */
static mn_guest *guest_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* It may ask for something else now. */
static void end_request(void *user, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode how)
{
    mn_guest *guest = guest_of(connection);
    (void)user;
    (void)state;
    (void)how;
    if (guest != NULL)
        mn_guest_turn(guest, MN_GUEST_ASKS, mn_clock_us());
}

/* ---- requests ---- */

static struct MHD_Response *response_of_text(char *text)
{
    if (text == NULL)
        return NULL;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        free(text);
    return response;
}

static struct MHD_Response *response_of_words(const char *text)
{
    return MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                           MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *picture(mn_page *page, mn_answer *answer)
{
    size_t n = 0;
    const unsigned char *png = mn_showcase_picture(page->showcase, answer->index, &n);
    if (png != NULL)
        return MHD_create_response_from_buffer(n, (void *)(uintptr_t)png, MHD_RESPMEM_MUST_COPY);
    answer->code = 404;
    answer->type = "text/plain; charset=utf-8";
    return response_of_words("There is no picture of this task: /task.json tells why, or when.\n");
}

/* NULL: no memory. */
static struct MHD_Response *respond(mn_page *page, struct MHD_Connection *connection,
                                    mn_answer *answer, bool head)
{
    const mn_snapshot *now = mn_event_streams_now(page->streams);
    char *text = NULL;
    switch (answer->kind) {
    case MN_ANSWER_TEXT:
    case MN_ANSWER_ENTER:
        return response_of_words(answer->text);
    case MN_ANSWER_FILE:
        return MHD_create_response_from_buffer(answer->size, (void *)(uintptr_t)answer->bytes,
                                               MHD_RESPMEM_PERSISTENT);
    case MN_ANSWER_YAML:
        return response_of_words(page->run->yaml);
    case MN_ANSWER_EVENTS:
        if (head)
            return response_of_words("");
        if (!mn_event_streams_full(page->streams))
            return mn_event_streams_open(page->streams, connection, guest_of(connection));
        answer->code = 503;
        answer->type = "text/plain; charset=utf-8";
        return response_of_words("As many look at this run as it has places for; try later.\n");
    case MN_ANSWER_TASK:
        return response_of_text(mn_showcase_tell(page->showcase, answer->index, mn_clock_us()));
    case MN_ANSWER_PICTURE:
        return picture(page, answer);
    case MN_ANSWER_FRAME:
    case MN_ANSWER_METRICS:
        break;
    }
    if (now == NULL) {
        answer->code = 503;
        answer->type = "text/plain; charset=utf-8";
        return response_of_words("The run is just beginning.\n");
    }
    if (answer->kind == MN_ANSWER_FRAME)
        (void)mn_frame_print(page->run, now, NULL, &text, NULL);
    else
        (void)mn_exposition_print(page->run, now, answer->open, &text, NULL);
    return response_of_text(text);
}

/* What a browser may do with the answer: run our own files, and ask nobody else for anything. */
static void add_headers(const mn_page *page, struct MHD_Response *response, const mn_answer *answer)
{
    static const char *const always[][2] = {
        {"Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; "
                                    "frame-ancestors 'none'; object-src 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cache-Control", "no-store"},
    };
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        (void)MHD_add_response_header(response, always[i][0], always[i][1]);
    (void)MHD_add_response_header(response, "Content-Type", answer->type);
    if (answer->code == 401)
        (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"mnemo\"");
    if (answer->code == 405)
        (void)MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (answer->code == 503)
        (void)MHD_add_response_header(response, "Retry-After", "2");
    if (answer->kind == MN_ANSWER_ENTER) {
        char cookie[256];
        (void)snprintf(cookie, sizeof cookie, "%s=%s; HttpOnly; SameSite=Strict; Path=/",
                       page->door->cookie, page->door->token);
        (void)MHD_add_response_header(response, "Set-Cookie", cookie);
        (void)MHD_add_response_header(response, "Location", "/");
    }
}

/* It is answered before its body is read, and whoever sends one is not listened to any longer. */
static enum MHD_Result take_request(void *user, struct MHD_Connection *connection, const char *path,
                                    const char *method, const char *version, const char *upload,
                                    size_t *n_upload, void **state)
{
    mn_page *page = user;
    (void)version;
    (void)upload;
    (void)n_upload;
    (void)state;
    const mn_request request = {
        .method = method,
        .path = path,
        .host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host"),
        .accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept"),
        .authorization = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization"),
        .cookie = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, page->door->cookie),
        .token = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "token"),
        .index = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "index"),
    };
    mn_guest *guest = guest_of(connection);
    if (guest == NULL)
        return MHD_NO;
    mn_guest_turn(guest, MN_GUEST_TAKES, mn_clock_us());
    mn_answer answer = mn_answer_to(&request, &page->door->access);
    if (answer.code == 401)
        mn_log_limited(&page->refusals, mn_clock_us(), MN_LOG_WARN,
                       "page: a request without the right token was refused");
    struct MHD_Response *response = respond(page, connection, &answer, strcmp(method, "HEAD") == 0);
    if (response == NULL)
        return MHD_NO; /* closes the connection */
    add_headers(page, response, &answer);
    const enum MHD_Result result = MHD_queue_response(connection, answer.code, response);
    MHD_destroy_response(response);
    return result;
}
