#include "coordinator/run/progress.h"

#include "common/log.h"
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define REDRAW_US 100000u
#define SMOOTHING 50.0

struct mn_progress {
    mn_progress_config config;
    pthread_mutex_t lock; /* of what follows: any thread logs, and so draws the line again */
    mn_step_record last;
    uint64_t n_steps;              /* seen by this process */
    uint32_t n_shown, shown[2];    /* which of the scores */
    double score[2], rate, step_s; /* smoothed */
    uint64_t stepped_us;           /* when the last step was done */
    uint64_t shown_us;
    char evaluation[32]; /* "": training */
    uint32_t done, total;
    bool drawn; /* the live line stands on the terminal */
};

static void show(mn_progress *progress, uint64_t now_us);
static void erase(const mn_progress *progress);
static void draw(const mn_progress *progress);
static void before_line(void *user);
static void after_line(void *user);
static bool takes_text(FILE *terminal);
static int columns(FILE *terminal);
static double smooth(double old, double fresh, uint64_t n);
static void put_time(char *text, size_t n, double seconds);

mn_status mn_progress_new(const mn_progress_config *config, mn_progress **out, mn_error *err)
{
    mn_progress *progress = calloc(1, sizeof *progress);
    if (progress == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "progress line");
    progress->config = *config;
    (void)pthread_mutex_init(&progress->lock, NULL);
    progress->n_shown = mn_score_list_shown(config->scores, progress->shown);
    if (config->terminal != NULL && !config->quiet)
        mn_log_set_hooks(before_line, after_line, progress);
    *out = progress;
    return MN_OK;
}

void mn_progress_destroy(mn_progress **progress)
{
    if (*progress == NULL)
        return;
    if ((*progress)->config.terminal != NULL && !(*progress)->config.quiet)
        mn_log_set_hooks(NULL, NULL, NULL);
    erase(*progress);
    (void)pthread_mutex_destroy(&(*progress)->lock);
    free(*progress);
    *progress = NULL;
}

void mn_progress_step(mn_progress *progress, const mn_step_record *record, uint64_t now_us)
{
    (void)pthread_mutex_lock(&progress->lock);
    uint64_t n = progress->n_steps++;
    for (uint32_t i = 0; i < progress->n_shown; i++) {
        double score = record->scores[progress->shown[i]];
        if (isfinite(score))
            progress->score[i] = smooth(progress->score[i], score, n);
    }
    if (n > 0) /* the first step has no beginning that we saw */
        progress->step_s =
            smooth(progress->step_s, (double)(now_us - progress->stepped_us) * 1e-6, n - 1);
    progress->rate = smooth(progress->rate, record->tasks_per_s, n);
    progress->stepped_us = now_us;
    progress->last = *record;
    progress->last.scores = NULL; /* were lent for the call */
    progress->evaluation[0] = '\0';
    if (n == 0 && progress->config.terminal == NULL)
        progress->shown_us = now_us; /* the first log line comes after a whole interval */
    else
        show(progress, now_us);
    (void)pthread_mutex_unlock(&progress->lock);
}

void mn_progress_evaluation(mn_progress *progress, const char *what, uint32_t done, uint32_t total,
                            uint64_t now_us)
{
    (void)pthread_mutex_lock(&progress->lock);
    (void)snprintf(progress->evaluation, sizeof progress->evaluation, "%s", what);
    progress->done = done;
    progress->total = total;
    progress->stepped_us = now_us;
    show(progress, now_us);
    (void)pthread_mutex_unlock(&progress->lock);
}

void mn_progress_text(const mn_progress *progress, char *text, size_t n)
{
    const mn_step_record *last = &progress->last;
    if (progress->evaluation[0] != '\0') {
        (void)snprintf(text, n, "%s: %" PRIu32 "/%" PRIu32 " tasks", progress->evaluation,
                       progress->done, progress->total);
        return;
    }
    char scores[128] = "";
    size_t used = 0;
    char workers[40] = "";
    char eta[32] = "?";
    uint64_t left = progress->config.steps > last->step ? progress->config.steps - last->step : 0;
    for (uint32_t i = 0; i < progress->n_shown; i++) {
        const mn_score *score = &progress->config.scores->at[progress->shown[i]];
        int length = snprintf(scores + used, sizeof scores - used,
                              score->is_share ? "  %s %.1f %%" : "  %s %.4f", score->name,
                              (score->is_share ? 100 : 1) * progress->score[i]);
        used += length > 0 && (size_t)length < sizeof scores - used ? (size_t)length : 0;
    }
    if (last->workers > 0)
        (void)snprintf(workers, sizeof workers, " (%" PRIu32 " worker%s)", last->workers,
                       last->workers == 1 ? "" : "s");
    if (progress->n_steps > 1)
        put_time(eta, sizeof eta, progress->step_s * (double)left);
    (void)snprintf(text, n,
                   "step %" PRIu64 "/%" PRIu64 "%s  %.*f tasks/s  %" PRIu32 " thread%s%s  ETA %s",
                   last->step, progress->config.steps, scores, progress->rate < 10 ? 2 : 0,
                   progress->rate, last->threads, last->threads == 1 ? "" : "s", workers, eta);
}

/* With the lock. It logs only where there is no live line, and so no hook that would take it too. */
static void show(mn_progress *progress, uint64_t now_us)
{
    bool live = progress->config.terminal != NULL;
    uint64_t every_us = live ? REDRAW_US : progress->config.log_every_s * UINT64_C(1000000);
    if (progress->config.quiet || now_us - progress->shown_us < every_us)
        return;
    progress->shown_us = now_us;
    if (live) {
        progress->drawn = true;
        draw(progress);
        return;
    }
    char text[256];
    mn_progress_text(progress, text, sizeof text);
    mn_log(MN_LOG_INFO, "%s", text);
}

/* Hooks of the log: before a line and after it. In between the run's thread draws nothing either. */
static void before_line(void *user)
{
    mn_progress *progress = user;
    (void)pthread_mutex_lock(&progress->lock);
    erase(progress);
}

static void after_line(void *user)
{
    mn_progress *progress = user;
    draw(progress);
    (void)pthread_mutex_unlock(&progress->lock);
}

static void erase(const mn_progress *progress)
{
    if (!progress->drawn || !takes_text(progress->config.terminal))
        return;
    (void)fputs("\r\033[K", progress->config.terminal);
    (void)fflush(progress->config.terminal);
}

static void draw(const mn_progress *progress)
{
    char text[256];
    if (!progress->drawn || !takes_text(progress->config.terminal))
        return;
    mn_progress_text(progress, text, sizeof text);
    (void)fprintf(progress->config.terminal, "\r%.*s\033[K", columns(progress->config.terminal),
                  text);
    (void)fflush(progress->config.terminal);
}

/* One that is stopped (Ctrl-S) would stop us too. */
static bool takes_text(FILE *terminal)
{
    struct pollfd out = {.fd = fileno(terminal), .events = POLLOUT};
    return out.fd < 0 || poll(&out, 1, 0) != 0;
}

/* A line that wraps would be drawn below itself, ten times a second. */
static int columns(FILE *terminal)
{
    struct winsize size = {0};
    if (ioctl(fileno(terminal), TIOCGWINSZ, &size) != 0 || size.ws_col < 2)
        return INT_MAX;
    return size.ws_col - 1;
}

static double smooth(double old, double fresh, uint64_t n)
{
    double weight = (double)n + 1 < SMOOTHING ? 1 / ((double)n + 1) : 1 / SMOOTHING;
    return old + weight * (fresh - old);
}

static void put_time(char *text, size_t n, double seconds)
{
    uint64_t s = (uint64_t)(seconds + 0.5);
    if (s >= 3600)
        (void)snprintf(text, n, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                       (unsigned)(s % 60));
    else
        (void)snprintf(text, n, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}
