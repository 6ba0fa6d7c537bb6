#include "coordinator/run/metrics.h"

#include "common/file.h"
#include "common/number_text.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES 65536

struct mn_metrics {
    FILE *file;
    char *path;
    uint32_t n_keys;
    char (*keys)[MN_SCORE_KEY]; /* [n_keys], of the train scores; owned */
    double wall_s;
    uint64_t n_dropped;        /* meta-steps */
    double dropped_s;          /* wall_s of the last of them */
    char buffer[BUFFER_BYTES]; /* of the file */
};

static mn_status drop_later(mn_metrics *metrics, uint64_t done, uint64_t validated, mn_error *err);
static bool belongs(mn_metrics *metrics, const char *line, uint64_t done, uint64_t validated);
static void visit_rest(const mn_step_record *record, mn_metrics_number *visit, void *user);
static void put_point(FILE *out, const mn_score *score);
static void put(void *out, const char *key, double value);

mn_step_shares mn_step_time_shares(const mn_step_time *time)
{
    double all = time->all_us > 0 ? (double)time->all_us : NAN;
    mn_step_shares shares = {.tasks = (double)time->tasks_us / all,
                             .sums = (double)time->sums_us / all,
                             .reduce = (double)time->reduce_us / all,
                             .outer = (double)time->outer_us / all};
    double rest = 1 - shares.tasks - shares.sums - shares.reduce - shares.outer;
    shares.wait =
        rest < 0 ? 0 : rest; /* workers that came in the middle count from its beginning */
    return shares;
}

void mn_step_time_add(const mn_step_time *more, mn_step_time *sum)
{
    sum->all_us += more->all_us;
    sum->tasks_us += more->tasks_us;
    sum->sums_us += more->sums_us;
    sum->reduce_us += more->reduce_us;
    sum->outer_us += more->outer_us;
}

mn_status mn_metrics_open(const char *path, const mn_score_list *train, uint64_t done,
                          uint64_t validated, mn_metrics **out, mn_error *err)
{
    mn_metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL || (metrics->path = strdup(path)) == NULL) {
        mn_metrics_close(&metrics);
        return mn_fail(err, MN_ERR_NOMEM, "metrics in %s", path);
    }
    metrics->n_keys = train->n;
    metrics->keys = calloc((size_t)train->n + 1, sizeof *metrics->keys);
    if (metrics->keys == NULL) {
        mn_metrics_close(&metrics);
        return mn_fail(err, MN_ERR_NOMEM, "metrics in %s", path);
    }
    for (uint32_t i = 0; i < train->n; i++)
        mn_score_key(&train->at[i], metrics->keys[i]);
    mn_status status = drop_later(metrics, done, validated, err);
    if (status == MN_OK) {
        metrics->file = fopen(path, "ae"); /* e: not inherited by programs that we start */
        if (metrics->file == NULL)
            status = mn_fail_errno(err, "open %s", path);
        else /* a flush is for whole lines, as long as they fit */
            (void)setvbuf(metrics->file, metrics->buffer, _IOFBF, sizeof metrics->buffer);
    }
    if (status != MN_OK) {
        mn_metrics_close(&metrics);
        return status;
    }
    *out = metrics;
    return MN_OK;
}

void mn_metrics_close(mn_metrics **metrics)
{
    if (*metrics == NULL)
        return;
    if ((*metrics)->file != NULL)
        (void)fclose((*metrics)->file);
    free((*metrics)->path);
    free((*metrics)->keys);
    free(*metrics);
    *metrics = NULL;
}

uint64_t mn_metrics_dropped(const mn_metrics *metrics, double *wall_s)
{
    *wall_s = metrics->n_dropped > 0 ? metrics->dropped_s - metrics->wall_s : 0;
    return metrics->n_dropped;
}

double mn_metrics_wall_s(const mn_metrics *metrics)
{
    return metrics->wall_s;
}

mn_status mn_metrics_add_step(mn_metrics *metrics, const mn_step_record *record, mn_error *err)
{
    char step[MN_NUMBER_TEXT];
    (void)mn_count_text(record->step, step);
    (void)fputs_unlocked("{\"step\": ", metrics->file);
    (void)fputs_unlocked(step, metrics->file);
    for (uint32_t i = 0; i < metrics->n_keys; i++)
        put(metrics->file, metrics->keys[i], record->scores[i]);
    visit_rest(record, put, metrics->file);
    (void)fprintf(metrics->file, ", \"theta_xxh3\": \"%016" PRIx64 "\"}\n", record->theta);
    return ferror(metrics->file) == 0 ? MN_OK : mn_metrics_flush(metrics, err);
}

void mn_metrics_step_numbers(const mn_step_record *record, const mn_score_list *train,
                             mn_metrics_number *visit, void *user)
{
    for (uint32_t i = 0; i < train->n; i++) {
        char key[MN_SCORE_KEY];
        mn_score_key(&train->at[i], key);
        visit(user, key, record->scores[i]);
    }
    visit_rest(record, visit, user);
}

/* What is told of a step beside its scores. */
static void visit_rest(const mn_step_record *record, mn_metrics_number *visit, void *user)
{
    const mn_step_shares shares = mn_step_time_shares(&record->time);
    visit(user, "lr", record->lr);
    visit(user, "grad_norm", record->grad_norm);
    visit(user, "skipped", record->skipped);
    visit(user, "tasks_per_s", record->tasks_per_s);
    visit(user, "workers", record->workers);
    visit(user, "threads", record->threads);
    visit(user, "wall_s", record->wall_s);
    visit(user, "share_tasks", shares.tasks);
    visit(user, "share_sums", shares.sums);
    visit(user, "share_reduce", shares.reduce);
    visit(user, "share_outer", shares.outer);
    visit(user, "share_wait", shares.wait);
}

void mn_metrics_visit(const mn_evaluation *evaluation, mn_metrics_visitor *visitor, void *user)
{
    const mn_score_list *scores = evaluation->scores;
    const mn_score *judged = &scores->at[scores->judged];
    char key[MN_METRICS_KEY], name[MN_SCORE_KEY];
    for (uint32_t i = 0; i < scores->n; i++) {
        if (!mn_score_is_beside(&scores->at[i], judged))
            continue;
        (void)snprintf(key, sizeof key, "val_%s", scores->at[i].name);
        visitor(user, key, &scores->at[i], &evaluation->estimates[i]);
    }
    for (uint32_t i = 0; i < scores->n; i++) {
        if (!mn_score_is_apart(scores, i))
            continue;
        mn_score_key(&scores->at[i], name);
        (void)snprintf(key, sizeof key, "val_%s", name);
        visitor(user, key, &scores->at[i], &evaluation->estimates[i]);
    }
}

struct numbers {
    mn_metrics_number *visit;
    void *user;
};

static void visit_estimate(void *user, const char *key, const mn_score *score,
                           const mn_estimate *estimate)
{
    const struct numbers *numbers = user;
    char interval[MN_METRICS_KEY + 8];
    (void)score;
    numbers->visit(numbers->user, key, estimate->mean);
    (void)snprintf(interval, sizeof interval, "%s_ci95", key);
    numbers->visit(numbers->user, interval, estimate->half_width);
}

void mn_metrics_validation_numbers(const mn_evaluation *evaluation, mn_metrics_number *visit,
                                   void *user)
{
    struct numbers numbers = {visit, user};
    mn_metrics_visit(evaluation, visit_estimate, &numbers);
    visit(user, "val_tasks", evaluation->n_counted);
    visit(user, "val_skipped", evaluation->n_skipped);
}

mn_status mn_metrics_add_validation(mn_metrics *metrics, uint64_t step,
                                    const mn_evaluation *evaluation, mn_error *err)
{
    FILE *out = metrics->file;
    const mn_score_list *scores = evaluation->scores;
    const mn_score *judged = &scores->at[scores->judged];
    (void)fprintf(out, "{\"step\": %" PRIu64, step);
    if (judged->point[0] != '\0')
        put_point(out, judged);
    mn_metrics_validation_numbers(evaluation, put, out);
    (void)fputs_unlocked("}\n", out);
    return mn_metrics_flush(metrics, err);
}

/* Copy the lines to keep to a new file, which takes the old one's name only if something was
 * dropped. */
static mn_status drop_later(mn_metrics *metrics, uint64_t done, uint64_t validated, mn_error *err)
{
    const char *path = metrics->path;
    mn_new_file *kept = NULL;
    char *line = NULL;
    size_t room = 0;
    bool dropped = false;
    FILE *old = fopen(path, "re");
    if (old == NULL && errno == ENOENT)
        return MN_OK;
    if (old == NULL)
        return mn_fail_errno(err, "open %s", path);
    mn_status status = mn_new_file_open(path, &kept, err);
    for (ssize_t n; status == MN_OK && (n = mn_file_line(old, &line, &room)) > 0;) {
        if (line[n - 1] == '\n' && belongs(metrics, line, done, validated))
            status = mn_new_file_write(kept, line, (size_t)n, err);
        else
            dropped = true;
    }
    if (status == MN_OK && ferror(old))
        status = mn_fail_errno(err, "read %s", path);
    if (status == MN_OK && dropped)
        status = mn_new_file_commit(&kept, err);
    mn_new_file_abandon(&kept);
    free(line);
    (void)fclose(old);
    return status;
}

static bool belongs(mn_metrics *metrics, const char *line, uint64_t done, uint64_t validated)
{
    json_t *record = json_loads(line, 0, NULL);
    const json_t *step = json_object_get(record, "step");
    const json_t *wall = json_object_get(record, "wall_s");
    uint64_t last = json_object_get(record, "val_tasks") != NULL ? validated : done;
    bool kept = json_is_integer(step) && json_integer_value(step) >= 0 &&
                (uint64_t)json_integer_value(step) <= last;
    if (kept && json_is_number(wall)) {
        metrics->wall_s = json_number_value(wall);
    } else if (json_is_number(wall)) {
        metrics->dropped_s = json_number_value(wall);
        metrics->n_dropped++;
    }
    json_decref(record);
    return kept;
}

/* Points are ours: digits and letters, nothing that JSON would want escaped. */
static void put_point(FILE *out, const mn_score *score)
{
    size_t digits = strspn(score->point, "0123456789");
    const char *quote = digits > 0 && score->point[digits] == '\0' ? "" : "\"";
    (void)fprintf(out, ", \"val_%s\": %s%s%s", score->axis, quote, score->point, quote);
}

static void put(void *out, const char *key, double value)
{
    char text[MN_NUMBER_TEXT];
    (void)fputs_unlocked(", \"", out);
    (void)fputs_unlocked(key, out);
    (void)fputs_unlocked("\": ", out);
    if (isfinite(value))
        (void)fwrite_unlocked(text, 1, mn_number_text(value, text), out);
    else
        (void)fputs_unlocked("null", out);
}

mn_status mn_metrics_flush(mn_metrics *metrics, mn_error *err)
{
    if (fflush(metrics->file) == 0 && !ferror(metrics->file))
        return MN_OK;
    clearerr(metrics->file);
    return mn_fail_errno(err, "write %s", metrics->path);
}
