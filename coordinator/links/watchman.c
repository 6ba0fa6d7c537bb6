#include "coordinator/links/watchman.h"

#include "common/clock.h"
#include "common/log_limit.h"
#include "common/thread.h"
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#define LOOK_MS 20                      /* so often some connections are measured, in turn; */
#define AT_ONCE 128                     /* ... so many, which takes a tenth of a millisecond; */
#define GROWN_PAGES 2048                /* ... or all, if the process has grown by so much since */
#define IDLE_BYTES_PER_S UINT64_C(4096) /* pings and pongs, which nobody takes */
#define MOST_DEBT (-320)                /* of newcomers: ten seconds */
#define RELOADED 8                      /* newcomers at once, after there were too many */
#define NOBODY (-1)
#define MOST_DESCRIPTORS (1 << 20)

/* By descriptor. Those of no member stand in a list, by age. */
struct connection {
    bool open, member, spoke, cut;
    bool early;  /* a message came before the monitor told of it */
    bool closed; /* stands in `closed` */
    int older, younger;
    uint64_t received, taken, backlog; /* bytes: of its life; since it was measured; under way */
    uint64_t measured_us;
};

struct mn_watchman {
    void *socket, *monitor;
    pthread_t thread;
    bool runs;
    int news, memory;
    uint16_t port;                                             /* of tcp://; 0: another kind */
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* of ipc:// */
    uint32_t most;
    uint64_t member_bytes;
    mn_log_limit refusals, cuts, closings; /* these are the thread's own */
    int door;                              /* the listening descriptor of tcp://; NOBODY */
    bool shut;                             /* ... takes no newcomers now */

    pthread_mutex_t lock;  /* of all below */
    struct connection *at; /* [room]; owned */
    int room;
    int oldest, youngest; /* of no member */
    uint32_t n_open, n_strangers;
    int newcomers;       /* that may come yet */
    uint64_t counted_us; /* when these became more */
    int *closed;         /* [n_closed] of [room], each once; owned */
    int n_closed;
    int next; /* to be measured */
    long pages;
};

static mn_status open_monitor(mn_watchman *w, void *context, mn_error *err);
static void *watch(void *user);
static bool hear_monitor(mn_watchman *w);
static int find_door(const mn_watchman *w);
static void count_newcomers(mn_watchman *w, uint64_t now_us);
static void shut(mn_watchman *w, bool shut);
static void opened(mn_watchman *w, int fd);
static void closed(mn_watchman *w, int fd);
static void fine(mn_watchman *w);
static void measure(mn_watchman *w, uint32_t n);
static void measure_one(mn_watchman *w, int fd, uint64_t now_us);
static bool received_by(int fd, uint64_t *bytes);
static long pages_of(const mn_watchman *w);
static bool make_room(mn_watchman *w, int fd);
static struct connection *find(mn_watchman *w, int fd);
static bool add(mn_watchman *w, int fd);
static void enlist(mn_watchman *w, int fd);
static void unlist(mn_watchman *w, int fd);
static void cut(mn_watchman *w, int fd, const char *why);
static void end(const mn_watchman *w, int fd);
static bool is_ours(const mn_watchman *w, int fd);

mn_status mn_watchman_new(void *context, void *socket, const char *endpoint, uint32_t most,
                          uint64_t member_bytes, mn_watchman **out, mn_error *err)
{
    mn_watchman *w = calloc(1, sizeof *w);
    if (w == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "watchman");
    *w = (mn_watchman){.socket = socket,
                       .most = most,
                       .member_bytes = member_bytes,
                       .oldest = NOBODY,
                       .youngest = NOBODY,
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                       .memory = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
    const char *colon = strrchr(endpoint, ':');
    if (strncmp(endpoint, "tcp://", 6) == 0 && colon != NULL)
        w->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    else if (strncmp(endpoint, "ipc://", 6) == 0)
        (void)snprintf(w->path, sizeof w->path, "%s", endpoint + 6);
    w->door = w->port != 0 ? find_door(w) : NOBODY;
    w->newcomers = MN_NEWCOMERS;
    w->counted_us = mn_clock_us();
    mn_status status = w->news < 0 ? mn_fail_errno(err, "watch the workers' connections") : MN_OK;
    if (status == MN_OK)
        status = open_monitor(w, context, err);
    if (status == MN_OK) {
        w->runs = mn_thread_start(&w->thread, watch, w);
        if (!w->runs)
            status = mn_fail(err, MN_ERR_UNAVAILABLE, "a thread cannot be started");
    }
    if (status != MN_OK) {
        mn_watchman_destroy(&w);
        return status;
    }
    *out = w;
    return MN_OK;
}

void mn_watchman_destroy(mn_watchman **watchman)
{
    mn_watchman *w = *watchman;
    if (w == NULL)
        return;
    (void)pthread_mutex_lock(&w->lock);
    for (int fd = w->oldest; fd != NOBODY; fd = w->at[fd].younger)
        cut(w, fd, NULL);
    (void)pthread_mutex_unlock(&w->lock);
    if (w->monitor != NULL)
        (void)zmq_socket_monitor(w->socket, NULL, 0); /* the thread is told, and ends */
    if (w->runs)
        (void)pthread_join(w->thread, NULL);
    if (w->monitor != NULL)
        (void)zmq_close(w->monitor);
    if (w->news >= 0)
        (void)close(w->news);
    if (w->memory >= 0)
        (void)close(w->memory);
    (void)pthread_mutex_destroy(&w->lock);
    free(w->at);
    free(w->closed);
    free(w);
    *watchman = NULL;
}

int mn_watchman_fd(const mn_watchman *watchman)
{
    return watchman->news;
}

int mn_watchman_next_closed(mn_watchman *watchman)
{
    int fd = NOBODY;
    uint64_t number;
    (void)pthread_mutex_lock(&watchman->lock);
    if (watchman->n_closed > 0) {
        fd = watchman->closed[--watchman->n_closed];
        watchman->at[fd].closed = false;
    } else {
        (void)!read(watchman->news, &number, sizeof number);
    }
    (void)pthread_mutex_unlock(&watchman->lock);
    return fd;
}

void mn_watchman_took(mn_watchman *watchman, int fd, uint64_t bytes)
{
    (void)pthread_mutex_lock(&watchman->lock);
    struct connection *connection = find(watchman, fd);
    if (connection == NULL && fd >= 0 && add(watchman, fd)) {
        connection = &watchman->at[fd];
        connection->early = true;
    }
    if (connection != NULL) {
        connection->taken += bytes;
        if (!connection->spoke && !connection->member) { /* it has its time to join anew */
            unlist(watchman, fd);
            enlist(watchman, fd);
        }
        connection->spoke = true;
    }
    (void)pthread_mutex_unlock(&watchman->lock);
}

void mn_watchman_vouch(mn_watchman *watchman, int fd)
{
    (void)pthread_mutex_lock(&watchman->lock);
    struct connection *connection = find(watchman, fd);
    if (connection != NULL && !connection->member) {
        unlist(watchman, fd);
        connection->member = true;
    }
    (void)pthread_mutex_unlock(&watchman->lock);
}

void mn_watchman_cut(mn_watchman *watchman, int fd)
{
    (void)pthread_mutex_lock(&watchman->lock);
    fine(watchman);
    cut(watchman, fd, NULL);
    (void)pthread_mutex_unlock(&watchman->lock);
}

/* ---- the thread */

static mn_status open_monitor(mn_watchman *w, void *context, mn_error *err)
{
    char name[64];
    const int no_linger = 0;
    (void)snprintf(name, sizeof name, "inproc://watchman.%p", (void *)w);
    w->monitor = zmq_socket(context, ZMQ_PAIR);
    if (w->monitor == NULL ||
        zmq_setsockopt(w->monitor, ZMQ_LINGER, &no_linger, sizeof no_linger) != 0 ||
        zmq_socket_monitor(w->socket, name,
                           ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_ACCEPT_FAILED |
                               ZMQ_EVENT_MONITOR_STOPPED) != 0 ||
        zmq_connect(w->monitor, name) != 0)
        return mn_fail_errno(err, "watch the workers' connections");
    return MN_OK;
}

static void *watch(void *user)
{
    mn_watchman *w = user;
    bool stopped = false, busy = false;
    w->pages = pages_of(w);
    while (!stopped) {
        zmq_pollitem_t item = {.socket = w->monitor, .events = ZMQ_POLLIN};
        (void)zmq_poll(&item, 1, busy ? LOOK_MS : -1);
        stopped = !hear_monitor(w);
        const long pages = pages_of(w);
        const bool grown = pages - w->pages >= GROWN_PAGES;
        if (grown || pages < w->pages)
            w->pages = pages;
        (void)pthread_mutex_lock(&w->lock);
        count_newcomers(w, mn_clock_us());
        measure(w, grown ? w->n_open : AT_ONCE);
        busy = (w->n_open > 0 && w->port != 0) || w->newcomers <= RELOADED;
        (void)pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

/* False: there will be no more. */
static bool hear_monitor(mn_watchman *w)
{
    struct __attribute__((packed)) {
        uint16_t event;
        int32_t value;
    } news;
    char where[256];
    while (zmq_recv(w->monitor, &news, sizeof news, ZMQ_DONTWAIT) == (int)sizeof news) {
        int n = zmq_recv(w->monitor, where, sizeof where - 1, ZMQ_DONTWAIT);
        where[n < 0 ? 0 : n < (int)sizeof where ? n : (int)sizeof where - 1] = '\0';
        switch (news.event) {
        case ZMQ_EVENT_MONITOR_STOPPED:
            return false;
        case ZMQ_EVENT_ACCEPTED:
            opened(w, news.value);
            break;
        case ZMQ_EVENT_DISCONNECTED:
            closed(w, news.value);
            break;
        case ZMQ_EVENT_ACCEPT_FAILED:
            mn_log_limited(&w->refusals, mn_clock_us(), MN_LOG_WARN,
                           "a connection to %s was not accepted: %s (limit of open files?)", where,
                           strerror(news.value));
            break;
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: /* the gatekeeper has said more */
            break;
        default:
            mn_log_limited(&w->refusals, mn_clock_us(), MN_LOG_WARN,
                           "refused somebody who came to %s and does not speak our protocol, or "
                           "has no key, or not that of this run",
                           where);
        }
    }
    return true;
}

static int find_door(const mn_watchman *w)
{
    const long n = sysconf(_SC_OPEN_MAX);
    for (int fd = 0; fd < n && fd < MOST_DESCRIPTORS; fd++) {
        int listens = 0;
        socklen_t size = sizeof listens;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0 &&
            is_ours(w, fd))
            return fd;
    }
    return NOBODY;
}

static void count_newcomers(mn_watchman *w, uint64_t now_us)
{
    const uint64_t more = (now_us - w->counted_us) * MN_NEWCOMERS_PER_S / 1000000;
    if (more == 0)
        return;
    w->counted_us = now_us;
    w->newcomers =
        more < (uint64_t)(MN_NEWCOMERS - w->newcomers) ? w->newcomers + (int)more : MN_NEWCOMERS;
    if (!w->shut && w->newcomers <= 0)
        shut(w, true);
    else if (w->shut && w->newcomers >= RELOADED)
        shut(w, false);
}

/* A connection costs libzmq's thread a fraction of a millisecond, whoever makes it, and accepting
 * cannot be paused. So the system is told to overlook the packets that begin one (SYN without ACK),
 * which are sent again after a second. Connections that are there, and that are being made, go on. */
static void shut(mn_watchman *w, bool shut)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), /* flags, in the header of TCP */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {.len = sizeof steps / sizeof *steps, .filter = steps};
    if (w->door == NOBODY ||
        setsockopt(w->door, SOL_SOCKET, shut ? SO_ATTACH_FILTER : SO_DETACH_FILTER, &program,
                   sizeof program) != 0)
        return;
    w->shut = shut;
    if (shut)
        mn_log_limited(
            &w->closings, mn_clock_us(), MN_LOG_WARN,
            "too many connections came, or had to be cut off: for now at most %d a second "
            "are taken, and others have to wait",
            MN_NEWCOMERS_PER_S);
}

static void opened(mn_watchman *w, int fd)
{
    (void)pthread_mutex_lock(&w->lock);
    w->newcomers -= w->newcomers > MOST_DEBT;
    if (!w->shut && w->newcomers <= 0)
        shut(w, true);
    if (find(w, fd) != NULL && w->at[fd].early) {
        w->at[fd].early = false;
    } else if (add(w, fd)) {
        for (int old = w->oldest; w->n_open > w->most && old != NOBODY; old = w->at[old].younger)
            if (!w->at[old].cut) {
                cut(w, old, "there are too many connections, and it is no member's");
                break;
            }
    } else if (is_ours(w, fd)) {
        end(w, fd);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

static void closed(mn_watchman *w, int fd)
{
    const uint64_t one = 1;
    (void)pthread_mutex_lock(&w->lock);
    struct connection *connection = find(w, fd);
    if (connection != NULL) {
        if (!connection->member)
            unlist(w, fd);
        connection->open = false;
        w->n_open--;
        if (!connection->closed) {
            connection->closed = true;
            w->closed[w->n_closed++] = fd;
            (void)!write(w->news, &one, sizeof one);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* The next n connections, each once at most. */
static void measure(mn_watchman *w, uint32_t n)
{
    const uint64_t now_us = mn_clock_us();
    n = n < w->n_open ? n : w->n_open;
    for (int i = 0; i < w->room && n > 0; i++) {
        const int fd = w->next;
        w->next = (fd + 1) % w->room;
        if (!w->at[fd].open)
            continue;
        measure_one(w, fd, now_us);
        n--;
    }
}

/* What one has sent until it was cut off had to be read all the same, so one counts as many. */
static void fine(mn_watchman *w)
{
    w->newcomers =
        w->newcomers - MN_NEWCOMERS_FINE > MOST_DEBT ? w->newcomers - MN_NEWCOMERS_FINE : MOST_DEBT;
}

/* What has come since the last time and was not taken is under way. Who has too much of it is cut
 * off; strangers share theirs. */
static void measure_one(mn_watchman *w, int fd, uint64_t now_us)
{
    struct connection *connection = &w->at[fd];
    uint64_t received, most = w->member_bytes;
    if (connection->cut || !received_by(fd, &received) || received < connection->received)
        return;
    if (!connection->member) {
        most = MN_STRANGERS_BYTES / w->n_strangers;
        most = most < MN_STRANGER_BYTES ? most : MN_STRANGER_BYTES;
    }
    const uint64_t idle = (now_us - connection->measured_us) * IDLE_BYTES_PER_S / 1000000;
    const uint64_t came = connection->backlog + received - connection->received;
    const uint64_t went = connection->taken + idle;
    connection->backlog = came > went ? came - went : 0;
    connection->received = received;
    connection->taken = 0;
    connection->measured_us = now_us;
    if (connection->backlog <= most)
        return;
    fine(w);
    cut(w, fd, "it sends more than can be taken, or a message without an end");
}

static bool received_by(int fd, uint64_t *bytes)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 ||
        n < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        return false;
    *bytes = info.tcpi_bytes_received;
    return true;
}

/* Of memory that the process has; 0: not known. */
static long pages_of(const mn_watchman *w)
{
    char text[64];
    const ssize_t n = pread(w->memory, text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *second = strchr(text, ' ');
    return second != NULL ? strtol(second, NULL, 10) : 0;
}

/* ---- the book, by who has the lock */

static bool make_room(mn_watchman *w, int fd)
{
    int room = w->room > 0 ? w->room : 64;
    if (fd < 0 || fd >= MOST_DESCRIPTORS)
        return false;
    if (fd < w->room)
        return true;
    while (room <= fd)
        room *= 2;
    struct connection *at = realloc(w->at, (size_t)room * sizeof *at);
    if (at != NULL)
        w->at = at;
    int *list = at != NULL ? realloc(w->closed, (size_t)room * sizeof *list) : NULL;
    if (list == NULL)
        return false;
    w->closed = list;
    memset(w->at + w->room, 0, (size_t)(room - w->room) * sizeof *at);
    w->room = room;
    return true;
}

/* NULL: none is open with this descriptor. */
static struct connection *find(mn_watchman *w, int fd)
{
    return fd >= 0 && fd < w->room && w->at[fd].open ? &w->at[fd] : NULL;
}

static bool add(mn_watchman *w, int fd)
{
    if (!make_room(w, fd))
        return false;
    if (w->at[fd].open && !w->at[fd].member)
        unlist(w, fd);
    w->n_open += !w->at[fd].open;
    w->at[fd] =
        (struct connection){.open = true, .closed = w->at[fd].closed, .measured_us = mn_clock_us()};
    enlist(w, fd);
    return true;
}

static void enlist(mn_watchman *w, int fd)
{
    w->at[fd].older = w->youngest;
    w->at[fd].younger = NOBODY;
    if (w->youngest != NOBODY)
        w->at[w->youngest].younger = fd;
    else
        w->oldest = fd;
    w->youngest = fd;
    w->n_strangers++;
}

static void unlist(mn_watchman *w, int fd)
{
    const int older = w->at[fd].older, younger = w->at[fd].younger;
    if (older != NOBODY)
        w->at[older].younger = younger;
    else
        w->oldest = younger;
    if (younger != NOBODY)
        w->at[younger].older = older;
    else
        w->youngest = older;
    w->n_strangers--;
}

/* libzmq sees that it has ended and closes it. Between a look and the call the descriptor could only
 * become another connection's, which dials again. `why` is told in the log; NULL: by somebody else. */
static void cut(mn_watchman *w, int fd, const char *why)
{
    struct connection *connection = find(w, fd);
    if (connection == NULL || connection->cut || !is_ours(w, fd))
        return;
    connection->cut = true;
    end(w, fd);
    if (why != NULL)
        mn_log_limited(&w->cuts, mn_clock_us(), MN_LOG_WARN,
                       "cut off a %s with %" PRIu64 " bytes under way: %s",
                       connection->member ? "worker" : "stranger", connection->backlog, why);
}

/* After shutdown() a peer that goes on sending would still be read; what TCP calls a disconnect
 * throws away what has come, and takes no more. */
static void end(const mn_watchman *w, int fd)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    if (w->port == 0 || connect(fd, &nobody, sizeof nobody) != 0)
        (void)shutdown(fd, SHUT_RDWR);
}

static bool is_ours(const mn_watchman *w, int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t n = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &n) != 0)
        return false;
    switch (address.ss_family) {
    case AF_INET:
        return w->port != 0 && ntohs(((struct sockaddr_in *)&address)->sin_port) == w->port;
    case AF_INET6:
        return w->port != 0 && ntohs(((struct sockaddr_in6 *)&address)->sin6_port) == w->port;
    case AF_UNIX: {
        const struct sockaddr_un *local = (const struct sockaddr_un *)&address;
        const char *path = local->sun_path;
        return w->port == 0 &&
               (w->path[0] == '@' ? path[0] == '\0' && strcmp(path + 1, w->path + 1) == 0
                                  : strcmp(path, w->path) == 0);
    }
    default:
        return false;
    }
}
