#include "coordinator/page/page.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/log_limit.h"
#include "common/thread.h"
#include "coordinator/page/address.h"
#include "coordinator/page/answer.h"
#include "coordinator/page/exposition.h"
#include "coordinator/page/frame.h"
#include "coordinator/run/run.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REQUEST_BYTES 32768u /* of a request's line and headers, and of its answer's buffer */
#define IDLE_S 20u           /* a connection that says and takes nothing for so long is closed */
#define TEXTFILE_US UINT64_C(10000000)
#define KEEP_ALIVE_US UINT64_C(10000000) /* a stream says something at least so often */
#define GOODBYE_US UINT64_C(1000000)
#define TOKEN_BYTES 16
#define MOST_TOKEN_FILE 4096

/* A text on its way to one or more readers. */
struct parcel {
    unsigned holders;
    uint64_t since, number; /* of a frame: what it goes on from (0: nothing), and what it brings */
    size_t n;
    char *text; /* [n]; owned */
};

/* A reader of events. */
struct stream {
    mn_page *page;
    struct MHD_Connection *connection;
    struct stream *next;
    bool asleep;           /* suspended: it has all that there is */
    struct parcel *parcel; /* on its way; NULL: none */
    size_t sent;           /* of it */
    uint64_t has;          /* the snapshot that it has got; 0: none */
    uint64_t said_us;
    bool over; /* it has got the last of all */
};

struct mn_page {
    mn_board *board;
    const mn_board_config *run;
    char url[512], path[PATH_MAX], textfile[PATH_MAX];
    mn_access access;
    char token[128]; /* "": there is none */
    char cookie[32]; /* what it is kept by; browsers send those of all ports of a machine */
    int news;        /* eventfd: the run's thread has hung out a snapshot, or wants the end */
    atomic_bool closing;
    bool started;
    pthread_t thread;

    /* the page's thread's own */
    struct MHD_Daemon *daemon; /* NULL: only the file is written */
    int events;                /* its epoll */
    const mn_snapshot *now, *before;
    struct parcel *whole, *change; /* of `now`, and from `before` to it; NULL: not made yet */
    struct stream *streams;
    unsigned n_streams;
    uint64_t textfile_us; /* when it is due */
    mn_log_limit refusals;
};

static mn_status open_door(mn_page *page, mn_error *err);
static mn_status find_token(mn_page *page, const mn_page_door *door, mn_error *err);
static mn_status write_address(const mn_page *page, mn_error *err);
static mn_status start(mn_page *page, mn_error *err);
static void *serve(void *user);
static void tell_news(void *user);
static void take_news(mn_page *page);
static void write_textfile(mn_page *page);
static enum MHD_Result take_request(void *user, struct MHD_Connection *connection, const char *path,
                                    const char *method, const char *version, const char *upload,
                                    size_t *n_upload, void **state);

mn_status mn_page_open(mn_board *board, mn_page **out, mn_error *err)
{
    *out = NULL;
    if (board == NULL)
        return MN_OK;
    mn_page *page = calloc(1, sizeof *page);
    if (page == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "page of the run");
    page->board = board;
    page->run = mn_board_config_of(board);
    page->news = page->events = -1;
    (void)snprintf(page->cookie, sizeof page->cookie, "mnemo_token_%016" PRIx64, page->run->run_id);
    (void)snprintf(page->textfile, sizeof page->textfile, "%s",
                   page->run->experiment->run.prometheus_textfile);
    mn_error why = {0};
    mn_status status = mn_run_path(page->run->folder, "page", page->path, err);
    if (status == MN_OK) /* of an earlier job that was killed; its rights may be others */
        (void)unlink(page->path);
    if (status == MN_OK && strcmp(page->run->experiment->run.page, "none") != 0 &&
        open_door(page, &why) != MN_OK)
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
    if (p->url[0] != '\0')
        (void)unlink(p->path);
    if (p->news >= 0)
        (void)close(p->news);
    sodium_memzero(p->token, sizeof p->token);
    free(p);
    *page = NULL;
}

const char *mn_page_url(const mn_page *page)
{
    return page->url;
}

/* ---- the door ---- */

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

static mn_status open_door(mn_page *page, mn_error *err)
{
    mn_page_door door;
    mn_status status = mn_page_door_open(page->run->experiment->run.page, &door, err);
    if (status != MN_OK)
        return status;
    status = find_token(page, &door, err);
    if (status == MN_OK) {
        page->daemon =
            MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
                             NULL, take_request, page, MHD_OPTION_EXTERNAL_LOGGER, log_of_daemon,
                             NULL, MHD_OPTION_LISTEN_SOCKET, door.fd, MHD_OPTION_CONNECTION_LIMIT,
                             MN_PAGE_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                             (size_t)REQUEST_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
                             MHD_OPTION_UNESCAPE_CALLBACK, as_it_stands, NULL, MHD_OPTION_END);
        if (page->daemon == NULL)
            status =
                mn_fail(err, MN_ERR_UNAVAILABLE, "%s: the server does not start", door.address);
    }
    if (status != MN_OK) {
        (void)close(door.fd);
        return status;
    }
    page->events = MHD_get_daemon_info(page->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    (void)snprintf(page->url, sizeof page->url, "http://%s/%s%s", door.host,
                   page->access.asks ? "?token=" : "", page->token);
    status = write_address(page, err);
    if (status != MN_OK) {
        MHD_stop_daemon(page->daemon);
        page->daemon = NULL;
        page->url[0] = '\0';
    }
    return status;
}

static mn_status read_token(const char *path, char token[128], mn_error *err)
{
    char *text = NULL;
    size_t n = 0;
    struct stat file;
    mn_status status = mn_file_read(path, MOST_TOKEN_FILE, &text, &n, err);
    if (status != MN_OK)
        return mn_fail(err, status, "run.page_token: cannot read %s", path);
    n = strcspn(text, "\r\n");
    bool fits = n >= MN_TOKEN_SHORTEST && n < 128;
    for (size_t i = 0; i < n; i++)
        fits = fits && (strchr("-_.~", text[i]) != NULL || (text[i] >= '0' && text[i] <= '9') ||
                        (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z'));
    if (!fits)
        status =
            mn_fail(err, MN_ERR_CONFIG,
                    "run.page_token: the first line of %s is no token: expected %u to 127 letters, "
                    "digits, '-', '_', '.' or '~', as `openssl rand -hex 16` gives them",
                    path, MN_TOKEN_SHORTEST);
    else
        (void)snprintf(token, 128, "%.*s", (int)n, text);
    if (fits && stat(path, &file) == 0 && (file.st_mode & 077) != 0)
        mn_log(MN_LOG_WARN, "run.page_token: others on this machine can read %s: chmod 600 %s",
               path, path);
    sodium_memzero(text, n);
    free(text);
    return status;
}

static mn_status find_token(mn_page *page, const mn_page_door *door, mn_error *err)
{
    const char *path = page->run->experiment->run.page_token;
    unsigned char random[TOKEN_BYTES];
    mn_status status = MN_OK;
    page->access.asks = path[0] != '\0' || !door->loopback;
    if (!page->access.asks)
        return MN_OK;
    if (path[0] != '\0') {
        status = read_token(path, page->token, err);
    } else {
        randombytes_buf(random, sizeof random);
        (void)sodium_bin2hex(page->token, sizeof page->token, random, sizeof random);
    }
    page->access.token = mn_access_token(page->token, strlen(page->token));
    if (status == MN_OK && !door->loopback)
        mn_log(
            MN_LOG_WARN,
            "the page listens on %s, beyond this machine: whoever has its token sees the run, and "
            "as it is HTTP, whoever listens on the network sees the token; through ssh -L nobody "
            "does (run.page=127.0.0.1:0)",
            door->address);
    return status;
}

/* For the run's owner alone if there is a token in it, from the first byte on. */
static mn_status write_address(const mn_page *page, mn_error *err)
{
    const int fd =
        open(page->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, page->access.asks ? 0600 : 0644);
    if (fd < 0)
        return mn_fail_errno(err, "write %s", page->path);
    const bool written = dprintf(fd, "%s\n", page->url) > 0;
    return close(fd) == 0 && written ? MN_OK : mn_fail_errno(err, "write %s", page->path);
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
    if (page->url[0] != '\0')
        mn_log(MN_LOG_INFO, "the run shows itself on %.*s%s%s", (int)strcspn(page->url, "?"),
               page->url, page->access.asks ? "; with its token that is the address in " : "",
               page->access.asks ? page->path : "");
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
    const uint64_t now = mn_clock_us();
    uint64_t until_us = now + KEEP_ALIVE_US / 4;
    MHD_UNSIGNED_LONG_LONG ms = 0;
    if (page->textfile[0] != '\0' && page->textfile_us < until_us)
        until_us = page->textfile_us;
    if (end_us != 0 && end_us < until_us)
        until_us = end_us;
    uint64_t least_ms = until_us > now ? (until_us - now) / 1000 + 1 : 0;
    if (page->daemon != NULL && MHD_get_timeout(page->daemon, &ms) == MHD_YES && ms < least_ms)
        least_ms = ms;
    return (int)least_ms;
}

/* Streams that there is something to say to, or that have been quiet for long, go on. */
static void wake_streams(mn_page *page, bool closing)
{
    const uint64_t now = mn_clock_us();
    for (struct stream *stream = page->streams; stream != NULL; stream = stream->next)
        if (stream->asleep && (closing || (page->now != NULL && stream->has != page->now->number) ||
                               now > stream->said_us + KEEP_ALIVE_US)) {
            stream->asleep = false;
            MHD_resume_connection(stream->connection);
        }
}

static bool all_know(const mn_page *page)
{
    for (const struct stream *stream = page->streams; stream != NULL; stream = stream->next)
        if (!stream->over)
            return false;
    return true;
}

static void drop_parcel(struct parcel **parcel)
{
    if (*parcel != NULL && --(*parcel)->holders == 0) {
        free((*parcel)->text);
        free(*parcel);
    }
    *parcel = NULL;
}

static void *serve(void *user)
{
    mn_page *page = user;
    uint64_t end_us = 0;
    bool closing = false;
    /* Tasks first: on a full machine the page waits, not the run. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 5);
    while (!closing || (!all_know(page) && mn_clock_us() < end_us)) {
        struct pollfd fds[] = {{.fd = page->news, .events = POLLIN},
                               {.fd = page->events, .events = POLLIN}};
        uint64_t count;
        (void)poll(fds, 2, patience_ms(page, end_us));
        (void)!read(page->news, &count, sizeof count);
        if (!closing && atomic_load(&page->closing)) {
            closing = true;
            end_us = mn_clock_us() + GOODBYE_US;
        }
        take_news(page);
        if (page->textfile[0] != '\0' && mn_clock_us() >= page->textfile_us)
            write_textfile(page);
        wake_streams(page, closing);
        if (page->daemon != NULL)
            (void)MHD_run(page->daemon);
    }
    write_textfile(page);
    wake_streams(page, true);
    for (struct stream *stream = page->streams; stream != NULL; stream = stream->next)
        stream->over = true;
    if (page->daemon != NULL)
        (void)MHD_run(page->daemon);
    wake_streams(page, true); /* who came just now: MHD ends the program if one still sleeps */
    if (page->daemon != NULL)
        MHD_stop_daemon(page->daemon); /* here, where its connections live */
    page->daemon = NULL;
    drop_parcel(&page->whole);
    drop_parcel(&page->change);
    mn_snapshot_drop(&page->now);
    mn_snapshot_drop(&page->before);
    return NULL;
}

static void take_news(mn_page *page)
{
    const mn_snapshot *newest = mn_board_look(page->board);
    if (newest == NULL || (page->now != NULL && newest->number == page->now->number)) {
        mn_snapshot_drop(&newest);
        return;
    }
    mn_snapshot_drop(&page->before);
    page->before = page->now;
    page->now = newest;
    drop_parcel(&page->whole);
    drop_parcel(&page->change);
}

static void write_textfile(mn_page *page)
{
    char *text = NULL;
    mn_error err = {0};
    page->textfile_us = mn_clock_us() + TEXTFILE_US;
    if (page->textfile[0] == '\0' || page->now == NULL)
        return;
    mn_status status = mn_exposition_print(page->run, page->now, false, &text, &err);
    if (status == MN_OK)
        status = mn_file_write(page->textfile, text, strlen(text), &err);
    free(text);
    if (status == MN_OK)
        return;
    mn_log(MN_LOG_WARN, "run.prometheus_textfile: %s; it is not tried again", err.message);
    page->textfile[0] = '\0';
}

/* ---- streams of events ---- */

/* What a reader that has `has` needs next; NULL: no memory. */
static struct parcel *pack(mn_page *page, uint64_t has)
{
    const mn_snapshot *before =
        page->before != NULL && has == page->before->number ? page->before : NULL;
    struct parcel **kept = before != NULL ? &page->change : &page->whole;
    if (*kept == NULL) {
        char *json = NULL;
        struct parcel *parcel = calloc(1, sizeof *parcel);
        if (parcel == NULL || mn_frame_print(page->run, page->now, before, &json, NULL) != MN_OK) {
            free(parcel);
            return NULL;
        }
        const int n = asprintf(&parcel->text, "data: %s\n\n", json);
        free(json);
        if (n < 0) {
            free(parcel);
            return NULL;
        }
        parcel->n = (size_t)n;
        parcel->holders = 1;
        parcel->number = page->now->number;
        *kept = parcel;
    }
    (*kept)->holders++;
    return *kept;
}

static ssize_t give_events(void *user, uint64_t position, char *buffer, size_t room)
{
    static const char quiet[] = ": still here\n\n";
    struct stream *stream = user;
    mn_page *page = stream->page;
    (void)position;
    if (stream->parcel == NULL && stream->over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (stream->parcel == NULL && page->now != NULL && stream->has != page->now->number) {
        stream->parcel = pack(page, stream->has);
        stream->sent = 0;
        if (stream->parcel == NULL)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (stream->parcel == NULL && mn_clock_us() > stream->said_us + KEEP_ALIVE_US &&
        room > sizeof quiet) {
        stream->said_us = mn_clock_us();
        memcpy(buffer, quiet, sizeof quiet - 1);
        return (ssize_t)sizeof quiet - 1;
    }
    if (stream->parcel == NULL) {
        stream->asleep = true;
        MHD_suspend_connection(stream->connection);
        return 0;
    }
    const struct parcel *parcel = stream->parcel;
    const size_t n = parcel->n - stream->sent < room ? parcel->n - stream->sent : room;
    memcpy(buffer, parcel->text + stream->sent, n);
    stream->sent += n;
    stream->said_us = mn_clock_us();
    if (stream->sent == parcel->n) {
        stream->has = parcel->number;
        drop_parcel(&stream->parcel);
        stream->over = page->now->number == stream->has && mn_phase_is_over(page->now->phase);
    }
    return (ssize_t)n;
}

static void end_stream(void *user)
{
    struct stream *stream = user;
    struct stream **place = &stream->page->streams;
    while (*place != stream)
        place = &(*place)->next;
    *place = stream->next;
    stream->page->n_streams--;
    drop_parcel(&stream->parcel);
    free(stream);
}

static struct MHD_Response *open_stream(mn_page *page, struct MHD_Connection *connection)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    *stream = (struct stream){
        .page = page, .connection = connection, .next = page->streams, .said_us = mn_clock_us()};
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, REQUEST_BYTES / 2, give_events, stream, end_stream);
    if (response == NULL) {
        free(stream);
        return NULL;
    }
    page->streams = stream;
    page->n_streams++;
    return response;
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

/* NULL: no memory. */
static struct MHD_Response *respond(mn_page *page, struct MHD_Connection *connection,
                                    mn_answer *answer, bool head)
{
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
        if (page->n_streams < MN_PAGE_STREAMS)
            return open_stream(page, connection);
        answer->code = 503;
        answer->type = "text/plain; charset=utf-8";
        return response_of_words("As many look at this run as it has places for; try later.\n");
    case MN_ANSWER_FRAME:
    case MN_ANSWER_METRICS:
        break;
    }
    if (page->now == NULL) {
        answer->code = 503;
        answer->type = "text/plain; charset=utf-8";
        return response_of_words("The run is just beginning.\n");
    }
    if (answer->kind == MN_ANSWER_FRAME)
        (void)mn_frame_print(page->run, page->now, NULL, &text, NULL);
    else
        (void)mn_exposition_print(page->run, page->now, answer->open, &text, NULL);
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
                       page->cookie, page->token);
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
        .cookie = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, page->cookie),
        .token = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "token"),
    };
    mn_answer answer = mn_answer_to(&request, &page->access);
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
