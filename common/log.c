#include "common/log.h"

#include "common/text.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE = 4096,
    WHO = 64,
    PATIENCE_MS = 1000
}; /* a line of at most PIPE_BUF bytes is written whole, even to a pipe */

static struct {
    pthread_mutex_t lock; /* of hooks and of the line on its way out */
    mn_log_level level;
    char who[WHO];
    void (*before)(void *);
    void (*after)(void *);
    void *user;
    unsigned n_lost; /* since a line was written last */
    void (*listener)(void *, const char *, size_t);
    void *listener_user;
} the_log = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = MN_LOG_INFO};

static size_t begin_line(char line[LINE], mn_log_level level);
static void put(const char *line, size_t n);

void mn_log_init(mn_log_level level, const char *who)
{
    (void)pthread_mutex_lock(&the_log.lock);
    the_log.level = level;
    (void)mn_text_escape(who, strlen(who), the_log.who, sizeof the_log.who);
    (void)pthread_mutex_unlock(&the_log.lock);
}

void mn_log(mn_log_level level, const char *format, ...)
{
    int number = errno;
    char words[LINE];
    char line[LINE];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(words, sizeof words, format, values);
    va_end(values);
    if (length < 0)
        length = 0;
    size_t n = (size_t)length < sizeof words ? (size_t)length : sizeof words - 1;

    (void)pthread_mutex_lock(&the_log.lock);
    if (level <= the_log.level) {
        size_t used = begin_line(line, level);
        used += mn_text_escape(words, n, line + used, LINE - used - 1);
        if (the_log.listener != NULL)
            the_log.listener(the_log.listener_user, line, used);
        line[used++] = '\n';
        if (the_log.before != NULL)
            the_log.before(the_log.user);
        put(line, used);
        if (the_log.after != NULL)
            the_log.after(the_log.user);
    }
    (void)pthread_mutex_unlock(&the_log.lock);
    errno = number;
}

void mn_log_last_word(const char *format, ...)
{
    char line[LINE];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line - 1, format, values);
    va_end(values);
    size_t n = length < 0 ? 0 : (size_t)length < sizeof line - 1 ? (size_t)length : sizeof line - 2;
    line[n++] = '\n';
    (void)pthread_mutex_lock(&the_log.lock);
    put(line, n);
    (void)pthread_mutex_unlock(&the_log.lock);
}

void mn_log_set_hooks(void (*before)(void *), void (*after)(void *), void *user)
{
    (void)pthread_mutex_lock(&the_log.lock);
    the_log.before = before;
    the_log.after = after;
    the_log.user = user;
    (void)pthread_mutex_unlock(&the_log.lock);
}

void mn_log_set_listener(void (*listener)(void *, const char *, size_t), void *user)
{
    (void)pthread_mutex_lock(&the_log.lock);
    the_log.listener = listener;
    the_log.listener_user = user;
    (void)pthread_mutex_unlock(&the_log.lock);
}

/* "2026-11-23T15:00:00.123Z info  rank 0: "; the Z says that it is UTC, so logs of all machines
 * agree. */
static size_t begin_line(char line[LINE], mn_log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct timespec now = {0};
    struct tm utc = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, 64, "%Y-%m-%dT%H:%M:%S", &utc);
    used += (size_t)snprintf(line + used, LINE - used, ".%03ldZ %-5s ", now.tv_nsec / 1000000,
                             names[level]);
    if (the_log.who[0] != '\0')
        used += (size_t)snprintf(line + used, LINE - used, "%s: ", the_log.who);
    return used;
}

/* Is there room for a line, at once or before our patience ends? Who has waited in vain waits no more
 * before there is. */
static bool has_room(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    int ready;
    do
        ready = poll(&out, 1, the_log.n_lost > 0 ? 0 : PATIENCE_MS);
    while (ready < 0 && errno == EINTR);
    return ready != 0; /* what is closed does not keep us either */
}

static void put(const char *line, size_t n)
{
    char gap[LINE];
    bool room = has_room();
    if (room && the_log.n_lost > 0) {
        size_t used = begin_line(gap, MN_LOG_WARN);
        used += (size_t)snprintf(gap + used, LINE - used,
                                 "%u lines are missing here, which nobody read in time\n",
                                 the_log.n_lost);
        while (write(STDERR_FILENO, gap, used) < 0 && errno == EINTR)
            ;
        the_log.n_lost = 0;
        room = has_room();
    }
    if (!room) {
        the_log.n_lost++;
        return;
    }
    while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
        ;
}
