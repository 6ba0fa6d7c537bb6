#include "common/log.h"

#include "common/text.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE = 4096,
    WHO = 64
}; /* a line of at most PIPE_BUF bytes is written whole, even to a pipe */

static struct {
    pthread_mutex_t lock; /* of hooks and of the line on its way out */
    mn_log_level level;
    char who[WHO];
    void (*before)(void *);
    void (*after)(void *);
    void *user;
} the_log = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = MN_LOG_INFO};

static size_t begin_line(char line[LINE], mn_log_level level);

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
        line[used++] = '\n';
        if (the_log.before != NULL)
            the_log.before(the_log.user);
        while (write(STDERR_FILENO, line, used) < 0 && errno == EINTR)
            ;
        if (the_log.after != NULL)
            the_log.after(the_log.user);
    }
    (void)pthread_mutex_unlock(&the_log.lock);
    errno = number;
}

void mn_log_set_hooks(void (*before)(void *), void (*after)(void *), void *user)
{
    (void)pthread_mutex_lock(&the_log.lock);
    the_log.before = before;
    the_log.after = after;
    the_log.user = user;
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
