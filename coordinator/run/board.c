#include "coordinator/run/board.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "coordinator/run/run_history.h"
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FADING 0.8             /* of what is told of the last steps: its weight a snapshot later */
#define RATE_S 20.0            /* a worker's rate is of so long */
#define MOST_OF_THE_PAST 4000u /* lines of steps that are read of metrics.jsonl */
#define LINE 600u              /* bytes of a log line, at most */

/* A curve as it grows. */
struct curve {
    char key[MN_METRICS_KEY];
    const mn_score *score;
    mn_trace *trace; /* owned */
};

/* Sums over the last steps, each worth less than the one after it. */
struct recent {
    double all_us, tasks_us, sums_us, reduce_us, outer_us;
    double tasks, seconds, steps;
};

/* The snapshot that is lent out, and who holds it. */
struct shared {
    mn_snapshot snapshot; /* first, so that one can be taken for the other */
    atomic_uint holders;
};

struct mn_board {
    mn_board_config config;
    void (*news)(void *);
    void *news_user;

    pthread_mutex_t lock;  /* of `newest` alone: held for an exchange of pointers */
    struct shared *newest; /* NULL: none yet */

    /* the run's thread's own */
    uint64_t published_us, number;
    struct curve curves[MN_BOARD_CURVES];
    uint32_t n_curves, n_train; /* the first n_train are the train scores', in their order */
    double *last;               /* [train->n]; owned */
    mn_step_record record;      /* the last one, without its scores */
    uint64_t step;
    double stepped_s;
    struct recent recent, fresh; /* until the last snapshot, and since */
    uint64_t n_tasks, n_skipped;
    mn_step_time spent;
    uint64_t validated;
    mn_result_view *validation, *test; /* owned */
    uint32_t n_validation, n_test, test_tasks;

    pthread_mutex_t log_lock; /* of what follows; any thread logs */
    char *lines[MN_BOARD_LINES];
    uint64_t n_lines; /* so far; the newest stands before n_lines % MN_BOARD_LINES */
};

static void hear_line(void *user, const char *line, size_t n);
static struct curve *find_curve(mn_board *board, const char *key, const mn_score *score);
static void read_past(mn_board *board);
static struct shared *take(mn_board *board, mn_phase phase);
static bool take_curves(const mn_board *board, mn_snapshot *snapshot);
static bool take_lines(mn_board *board, mn_snapshot *snapshot);
static void work_out_rates(const mn_snapshot *before, mn_snapshot *now);
static void exchange(mn_board *board, struct shared *shared);
static void free_shared(struct shared *shared);

const char *const mn_board_refusals[MN_BOARD_REFUSALS] = {"unknown", "late", "duplicate",
                                                          "damaged"};
const char *const mn_board_ends[MN_BOARD_ENDS] = {"left", "lost", "silent", "rejected"};

const char *mn_phase_text(mn_phase phase)
{
    static const char *const texts[MN_N_PHASES] = {
        [MN_PHASE_TRAINING] = "training",
        [MN_PHASE_VALIDATION] = "validation",
        [MN_PHASE_TEST] = "test",
        [MN_PHASE_ENDED] = "ended",
        [MN_PHASE_INTERRUPTED] = "interrupted",
        [MN_PHASE_FAILED] = "failed",
    };
    return texts[phase];
}

bool mn_phase_is_over(mn_phase phase)
{
    return phase >= MN_PHASE_ENDED;
}

mn_status mn_board_new(const mn_board_config *config, mn_board **out, mn_error *err)
{
    mn_board *board = calloc(1, sizeof *board);
    if (board == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "what the run shows of itself");
    *board = (mn_board){.config = *config,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .log_lock = PTHREAD_MUTEX_INITIALIZER,
                        .step = config->step,
                        .record = {.lr = NAN, .grad_norm = NAN}};
    board->last = calloc(config->train->n, sizeof *board->last);
    bool made = board->last != NULL;
    for (uint32_t i = 0; made && i < config->train->n && i < MN_BOARD_CURVES / 2; i++) {
        char key[MN_SCORE_KEY];
        mn_score_key(&config->train->at[i], key);
        made = find_curve(board, key, &config->train->at[i]) != NULL;
        board->last[i] = NAN;
    }
    board->n_train = board->n_curves;
    if (!made) {
        mn_board_destroy(&board);
        return mn_fail(err, MN_ERR_NOMEM, "what the run shows of itself");
    }
    if (config->step > 0)
        read_past(board);
    mn_log_set_listener(hear_line, board);
    *out = board;
    return MN_OK;
}

void mn_board_destroy(mn_board **board)
{
    mn_board *b = *board;
    if (b == NULL)
        return;
    mn_log_set_listener(NULL, NULL);
    free_shared(b->newest);
    for (uint32_t i = 0; i < b->n_curves; i++)
        free(b->curves[i].trace);
    for (uint32_t i = 0; i < MN_BOARD_LINES; i++)
        free(b->lines[i]);
    free(b->last);
    free(b->validation);
    free(b->test);
    free(b);
    *board = NULL;
}

const mn_board_config *mn_board_config_of(const mn_board *board)
{
    return &board->config;
}

/* ---- what happens ---- */

void mn_board_step(mn_board *board, const mn_step_record *record)
{
    if (board == NULL)
        return;
    const uint32_t batch = board->config.experiment->outer.batch;
    const mn_step_time *time = &record->time;
    struct recent *fresh = &board->fresh;
    for (uint32_t i = 0; i < board->config.train->n; i++)
        board->last[i] = record->scores[i];
    for (uint32_t i = 0; i < board->n_train; i++)
        mn_trace_add(board->curves[i].trace, (double)record->step, record->scores[i], NAN, 1);
    board->record = *record;
    board->record.scores = NULL; /* were lent for the call */
    board->step = record->step;
    board->n_tasks += batch - record->skipped;
    board->n_skipped += record->skipped;
    mn_step_time_add(time, &board->spent);
    fresh->all_us += (double)time->all_us;
    fresh->tasks_us += (double)time->tasks_us;
    fresh->sums_us += (double)time->sums_us;
    fresh->reduce_us += (double)time->reduce_us;
    fresh->outer_us += (double)time->outer_us;
    fresh->tasks += batch;
    fresh->seconds += batch / record->tasks_per_s;
    fresh->steps++;
}

static void add_result(mn_result_view **list, uint32_t *n, const char *key, const mn_score *score,
                       const mn_estimate *estimate)
{
    mn_result_view *more = realloc(*list, (*n + 1) * sizeof *more);
    if (more == NULL)
        return; /* the page is one number poorer */
    *list = more;
    mn_result_view *last = &more[(*n)++];
    *last = (mn_result_view){.score = score, .estimate = *estimate};
    (void)snprintf(last->key, sizeof last->key, "%s", key);
}

static void visit_validation(void *user, const char *key, const mn_score *score,
                             const mn_estimate *estimate)
{
    mn_board *board = user;
    struct curve *curve = find_curve(board, key, score);
    if (curve != NULL)
        mn_trace_add(curve->trace, (double)board->validated, estimate->mean, estimate->half_width,
                     1);
    add_result(&board->validation, &board->n_validation, key, score, estimate);
}

void mn_board_validation(mn_board *board, uint64_t step, const mn_evaluation *evaluation)
{
    if (board == NULL)
        return;
    board->validated = step;
    board->n_validation = 0;
    mn_metrics_visit(evaluation, visit_validation, board);
}

void mn_board_test(mn_board *board, const mn_evaluation *evaluation)
{
    if (board == NULL)
        return;
    board->n_test = 0;
    board->test_tasks = evaluation->n_counted;
    for (uint32_t i = 0; i < evaluation->scores->n; i++) {
        char key[MN_SCORE_KEY];
        mn_score_key(&evaluation->scores->at[i], key);
        add_result(&board->test, &board->n_test, key, &evaluation->scores->at[i],
                   &evaluation->estimates[i]);
    }
}

static void hear_line(void *user, const char *line, size_t n)
{
    mn_board *board = user;
    char text[LINE];
    (void)mn_text_escape(line, n, text, sizeof text); /* plain already, but perhaps too long */
    char *copy = strdup(text);
    (void)pthread_mutex_lock(&board->log_lock);
    char **place = &board->lines[board->n_lines % MN_BOARD_LINES];
    if (copy != NULL) {
        free(*place);
        *place = copy;
        board->n_lines++;
    }
    (void)pthread_mutex_unlock(&board->log_lock);
}

/* The curve of this key, made if there is none; NULL: there are too many, or no memory. */
static struct curve *find_curve(mn_board *board, const char *key, const mn_score *score)
{
    for (uint32_t i = 0; i < board->n_curves; i++)
        if (strcmp(board->curves[i].key, key) == 0)
            return &board->curves[i];
    if (board->n_curves == MN_BOARD_CURVES)
        return NULL;
    struct curve *curve = &board->curves[board->n_curves];
    curve->trace = calloc(1, sizeof *curve->trace);
    if (curve->trace == NULL)
        return NULL;
    (void)snprintf(curve->key, sizeof curve->key, "%s", key);
    curve->score = score;
    board->n_curves++;
    return curve;
}

/* ---- what happened before ---- */

static const mn_score *score_called(const mn_score_list *list, const char *name)
{
    const mn_score *found = NULL; /* at several points: the last stands for all */
    for (uint32_t i = 0; i < list->n; i++) {
        char key[MN_SCORE_KEY];
        mn_score_key(&list->at[i], key);
        if (strcmp(key, name) == 0 || strcmp(list->at[i].name, name) == 0)
            found = &list->at[i];
    }
    return found;
}

/* Of the steps before; each of those that are read stands for its neighbours. */
struct past {
    mn_board *board;
    uint64_t every;
};

static mn_status add_past_step(void *context, const json_t *record, mn_error *err)
{
    const struct past *past = context;
    const mn_board *board = past->board;
    (void)err;
    for (uint32_t i = 0; i < board->n_train; i++)
        mn_trace_add(board->curves[i].trace, mn_history_number(record, "step"),
                     mn_history_number(record, board->curves[i].key), NAN, past->every);
    return MN_OK;
}

static mn_status add_past_validation(void *context, const json_t *record, mn_error *err)
{
    const struct past *past = context;
    mn_board *board = past->board;
    const double step = mn_history_number(record, "step");
    const char *key;
    json_t *value;
    (void)err;
    if (!isfinite(step))
        return MN_OK;
    board->validated = (uint64_t)step;
    board->n_validation = 0;
    json_object_foreach((json_t *)(uintptr_t)record, key, value)
    {
        char interval[MN_METRICS_KEY + 8];
        const mn_score *score =
            strncmp(key, "val_", 4) == 0 ? score_called(board->config.test, key + 4) : NULL;
        (void)snprintf(interval, sizeof interval, "%.*s_ci95", (int)MN_METRICS_KEY - 1, key);
        if (score == NULL || json_object_get(record, interval) == NULL)
            continue;
        const mn_estimate estimate = {.mean = mn_history_number(record, key),
                                      .half_width = mn_history_number(record, interval)};
        struct curve *curve = find_curve(board, key, score);
        if (curve != NULL)
            mn_trace_add(curve->trace, step, estimate.mean, estimate.half_width, 1);
        add_result(&board->validation, &board->n_validation, key, score, &estimate);
    }
    return MN_OK;
}

/* Of a million steps every so many'th stands for its neighbours; every validation counts. Without the
 * file the curves begin later. */
static void read_past(mn_board *board)
{
    const char *const folder = board->config.folder;
    struct past past = {.board = board, .every = 1 + board->config.step / MOST_OF_THE_PAST};
    (void)mn_history_each(folder, "wall_s", past.every, add_past_step, &past, NULL);
    (void)mn_history_each(folder, "val_tasks", 1, add_past_validation, &past, NULL);
}

/* ---- snapshots ---- */

bool mn_board_due(const mn_board *board, uint64_t now_us)
{
    return board != NULL && now_us >= board->published_us + MN_BOARD_EVERY_US;
}

void mn_board_tell(mn_board *board, void (*news)(void *user), void *user)
{
    board->news = news;
    board->news_user = user;
}

void mn_board_publish(mn_board *board, uint64_t now_us, mn_phase phase, uint32_t done,
                      uint32_t total, mn_pool_view *pool)
{
    board->published_us = now_us;
    struct shared *shared = take(board, phase);
    if (shared == NULL) {
        free(pool->workers);
        return;
    }
    shared->snapshot.done = done;
    shared->snapshot.total = total;
    shared->snapshot.pool = *pool;
    /* nobody else changes what is newest */
    work_out_rates(board->newest != NULL ? &board->newest->snapshot : NULL, &shared->snapshot);
    if (pthread_mutex_trylock(&board->lock) == 0)
        exchange(board, shared);
    else
        free_shared(shared); /* someone is just taking the last one: the run does not wait */
}

void mn_board_end(mn_board *board, mn_phase phase, const char *why)
{
    if (board == NULL)
        return;
    struct shared *shared = take(board, phase);
    if (shared == NULL)
        return;
    (void)snprintf(shared->snapshot.why, sizeof shared->snapshot.why, "%s", why);
    if (board->newest != NULL) {
        const mn_pool_view *before = &board->newest->snapshot.pool;
        shared->snapshot.pool = *before;
        shared->snapshot.pool.workers = NULL;
        shared->snapshot.pool.n_workers = 0;
    }
    (void)pthread_mutex_lock(&board->lock);
    exchange(board, shared);
}

const mn_snapshot *mn_board_look(mn_board *board)
{
    (void)pthread_mutex_lock(&board->lock);
    struct shared *shared = board->newest;
    if (shared != NULL)
        (void)atomic_fetch_add(&shared->holders, 1);
    (void)pthread_mutex_unlock(&board->lock);
    return shared != NULL ? &shared->snapshot : NULL;
}

void mn_snapshot_drop(const mn_snapshot **snapshot)
{
    free_shared((struct shared *)(uintptr_t)*snapshot);
    *snapshot = NULL;
}

static void fade(struct recent *recent, const struct recent *fresh)
{
    recent->all_us = FADING * recent->all_us + fresh->all_us;
    recent->tasks_us = FADING * recent->tasks_us + fresh->tasks_us;
    recent->sums_us = FADING * recent->sums_us + fresh->sums_us;
    recent->reduce_us = FADING * recent->reduce_us + fresh->reduce_us;
    recent->outer_us = FADING * recent->outer_us + fresh->outer_us;
    recent->tasks = FADING * recent->tasks + fresh->tasks;
    recent->seconds = FADING * recent->seconds + fresh->seconds;
    recent->steps = FADING * recent->steps + fresh->steps;
}

static mn_step_shares shares_of(const struct recent *recent)
{
    const mn_step_time time = {.all_us = (uint64_t)recent->all_us,
                               .tasks_us = (uint64_t)recent->tasks_us,
                               .sums_us = (uint64_t)recent->sums_us,
                               .reduce_us = (uint64_t)recent->reduce_us,
                               .outer_us = (uint64_t)recent->outer_us};
    return mn_step_time_shares(&time);
}

/* What was told so far; NULL: no memory. */
static struct shared *take(mn_board *board, mn_phase phase)
{
    struct shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL)
        return NULL;
    mn_snapshot *snapshot = &shared->snapshot;
    atomic_init(&shared->holders, 1);
    if (board->fresh.steps > 0) {
        fade(&board->recent, &board->fresh);
        board->fresh = (struct recent){0};
        board->stepped_s = mn_clock_s(CLOCK_REALTIME);
    }
    const struct recent *recent = &board->recent;
    const uint64_t steps = board->config.experiment->outer.steps;
    const double left = steps > board->step ? (double)(steps - board->step) : 0;
    *snapshot = (mn_snapshot){
        .number = board->number + 1,
        .taken_s = mn_clock_s(CLOCK_REALTIME),
        .phase = phase,
        .step = board->step,
        .stepped_s = board->stepped_s,
        .wall_s = board->record.wall_s,
        .step_s = recent->seconds / recent->steps,
        .to_go_s = left * recent->seconds / recent->steps,
        .tasks_per_s = recent->tasks / recent->seconds,
        .lr = board->record.lr,
        .grad_norm = board->record.grad_norm,
        .workers = board->record.workers,
        .threads = board->record.threads,
        .tasks = board->n_tasks,
        .skipped = board->n_skipped,
        .spent = board->spent,
        .shares = shares_of(recent),
        .validated = board->validated,
        .test_tasks = board->test_tasks,
        .n_last = board->config.train->n,
        .n_validation = board->n_validation,
        .n_test = board->n_test,
    };
    snapshot->last = malloc((snapshot->n_last + 1) * sizeof *snapshot->last);
    snapshot->validation = malloc((snapshot->n_validation + 1) * sizeof *snapshot->validation);
    snapshot->test = malloc((snapshot->n_test + 1) * sizeof *snapshot->test);
    bool taken = snapshot->last != NULL && snapshot->validation != NULL && snapshot->test != NULL;
    if (taken) {
        memcpy(snapshot->last, board->last, snapshot->n_last * sizeof *snapshot->last);
        if (snapshot->n_validation > 0)
            memcpy(snapshot->validation, board->validation,
                   snapshot->n_validation * sizeof *snapshot->validation);
        if (snapshot->n_test > 0)
            memcpy(snapshot->test, board->test, snapshot->n_test * sizeof *snapshot->test);
        taken = take_curves(board, snapshot) && take_lines(board, snapshot);
    }
    if (!taken) {
        free_shared(shared);
        return NULL;
    }
    board->number++;
    return shared;
}

static bool take_curves(const mn_board *board, mn_snapshot *snapshot)
{
    snapshot->curves = calloc(board->n_curves + 1, sizeof *snapshot->curves);
    if (snapshot->curves == NULL)
        return false;
    for (uint32_t i = 0; i < board->n_curves; i++) {
        const struct curve *curve = &board->curves[i];
        const mn_trace *trace = curve->trace;
        mn_curve_view *view = &snapshot->curves[i];
        *view = (mn_curve_view){.score = curve->score,
                                .stride = trace->stride,
                                .n = trace->n + (trace->begun > 0),
                                .n_whole = trace->n};
        memcpy(view->key, curve->key, sizeof view->key);
        view->points = malloc((view->n + 1) * sizeof *view->points);
        snapshot->n_curves = i + 1;
        if (view->points == NULL)
            return false;
        memcpy(view->points, trace->points, trace->n * sizeof *view->points);
        if (trace->begun > 0)
            view->points[trace->n] = mn_trace_last(trace);
    }
    return true;
}

/* The lines' texts stand behind the list, in one block with it. */
static bool take_lines(mn_board *board, mn_snapshot *snapshot)
{
    (void)pthread_mutex_lock(&board->log_lock);
    const uint64_t end = board->n_lines;
    const uint64_t n = end < MN_BOARD_LINES ? end : MN_BOARD_LINES;
    size_t bytes = 0;
    for (uint64_t i = end - n; i < end; i++)
        bytes += strlen(board->lines[i % MN_BOARD_LINES]) + 1;
    snapshot->lines = malloc((size_t)n * sizeof *snapshot->lines + bytes + 1);
    char *at = snapshot->lines != NULL ? (char *)(snapshot->lines + n) : NULL;
    for (uint64_t i = end - n; at != NULL && i < end; i++) {
        const char *line = board->lines[i % MN_BOARD_LINES];
        snapshot->lines[snapshot->n_lines++] = (mn_board_line){.id = i + 1, .text = at};
        memcpy(at, line, strlen(line) + 1);
        at += strlen(line) + 1;
    }
    (void)pthread_mutex_unlock(&board->log_lock);
    return snapshot->lines != NULL;
}

/* A worker's rate forgets what is older than RATE_S or so; before that it is the mean since it came.
 * before: NULL: there is none. */
static void work_out_rates(const mn_snapshot *before, mn_snapshot *now)
{
    const uint32_t n_before = before != NULL ? before->pool.n_workers : 0;
    const double passed_s = before != NULL ? now->taken_s - before->taken_s : 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < now->pool.n_workers; i++) {
        mn_worker_view *worker = &now->pool.workers[i];
        /* both lists are in the order of places; who is at a place may be another */
        uint32_t found = at;
        while (found < n_before && before->pool.workers[found].peer != worker->peer)
            found++;
        if (found < n_before && worker->tasks < before->pool.workers[found].tasks)
            found = n_before; /* it went and came again: its count begins anew */
        if (found == n_before || !(passed_s > 0)) {
            worker->tasks_per_s = worker->here_s > 0 ? (double)worker->tasks / worker->here_s : 0;
            continue;
        }
        const mn_worker_view *then = &before->pool.workers[found];
        at = found + 1;
        const double span_s = worker->here_s < RATE_S ? worker->here_s : RATE_S;
        const double part = passed_s < span_s ? passed_s / span_s : 1;
        const double fresh = (double)(worker->tasks - then->tasks) / passed_s;
        worker->tasks_per_s = then->tasks_per_s + part * (fresh - then->tasks_per_s);
    }
}

/* With the lock, which it gives back. */
static void exchange(mn_board *board, struct shared *shared)
{
    struct shared *before = board->newest;
    board->newest = shared;
    (void)pthread_mutex_unlock(&board->lock);
    free_shared(before);
    if (board->news != NULL)
        board->news(board->news_user);
}

/* Gives up one hold; the last one frees. Takes NULL, and what is half made. */
static void free_shared(struct shared *shared)
{
    if (shared == NULL || atomic_fetch_sub(&shared->holders, 1) > 1)
        return;
    mn_snapshot *snapshot = &shared->snapshot;
    for (uint32_t i = 0; i < snapshot->n_curves; i++)
        free(snapshot->curves[i].points);
    free(snapshot->curves);
    free(snapshot->last);
    free(snapshot->validation);
    free(snapshot->test);
    free(snapshot->pool.workers);
    free(snapshot->lines);
    free(shared);
}
