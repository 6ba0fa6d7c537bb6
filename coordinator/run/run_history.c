#include "coordinator/run/run_history.h"

#include "common/file.h"
#include "coordinator/run/run.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one reading gathers. */
struct gathering {
    mn_history *history;
    size_t capacity;
    const char *key;
};

static mn_status remember(void *context, const json_t *record, mn_error *err);
static void thin_out(mn_history *history, size_t most);

mn_status mn_history_read(const char *folder, const char *key, size_t most, mn_history *out,
                          mn_error *err)
{
    struct gathering gathering = {.history = out, .key = key};
    *out = (mn_history){0};
    mn_status status = mn_history_each(folder, key, 1, remember, &gathering, err);
    if (status != MN_OK)
        mn_history_fini(out);
    else
        thin_out(out, most);
    return status;
}

mn_status mn_history_each(const char *folder, const char *key, uint64_t every,
                          mn_history_visit *visit, void *context, mn_error *err)
{
    uint64_t n = 0;
    char path[PATH_MAX], quoted[MN_HISTORY_KEY + 4] = "";
    char *line = NULL;
    size_t room = 0;
    if (key != NULL)
        (void)snprintf(quoted, sizeof quoted, "\"%s\"", key);
    mn_status status = mn_run_path(folder, "metrics.jsonl", path, err);
    FILE *file = status == MN_OK ? fopen(path, "re") : NULL;
    if (status == MN_OK && file == NULL)
        status = mn_fail_errno(err, "open %s", path);
    while (status == MN_OK && mn_file_line(file, &line, &room) > 0) {
        if (strstr(line, quoted) == NULL || n++ % every != every / 2)
            continue;
        json_t *record = json_loads(line, 0, NULL); /* NULL for a torn line */
        if (record != NULL)
            status = visit(context, record, err);
        json_decref(record);
    }
    free(line);
    if (file != NULL)
        (void)fclose(file);
    return status;
}

void mn_history_fini(mn_history *history)
{
    free(history->step);
    free(history->value);
    free(history->half_width);
    *history = (mn_history){0};
}

double mn_history_number(const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

bool mn_history_is_score(const char *key)
{
    static const char *const others[] = {"step",        "lr",         "grad_norm", "skipped",
                                         "tasks_per_s", "workers",    "threads",   "wall_s",
                                         "val_tasks",   "val_skipped"};
    const size_t n = strlen(key), ending = strlen("_ci95");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(key, others[i]) == 0)
            return false;
    return strncmp(key, "share_", strlen("share_")) != 0 &&
           (n < ending || strcmp(key + n - ending, "_ci95") != 0);
}

static bool grow(double **array, size_t n)
{
    double *more = realloc(*array, n * sizeof *more);
    if (more != NULL)
        *array = more;
    return more != NULL;
}

static mn_status remember(void *context, const json_t *record, mn_error *err)
{
    struct gathering *gathering = context;
    mn_history *history = gathering->history;
    const char *key = gathering->key;
    char interval[MN_HISTORY_KEY + 8];
    (void)snprintf(interval, sizeof interval, "%s_ci95", key);
    const json_t *step = json_object_get(record, "step");
    const json_t *value = json_object_get(record, key);
    if (!json_is_integer(step) || !json_is_number(value))
        return MN_OK;
    if (history->n == gathering->capacity) {
        const size_t capacity = gathering->capacity == 0 ? 1024 : 2 * gathering->capacity;
        if (!grow(&history->step, capacity) || !grow(&history->value, capacity) ||
            !grow(&history->half_width, capacity))
            return mn_fail(err, MN_ERR_NOMEM, "history of %s", key);
        gathering->capacity = capacity;
    }
    history->step[history->n] = json_number_value(step);
    history->value[history->n] = json_number_value(value);
    history->half_width[history->n++] = mn_history_number(record, interval);
    return MN_OK;
}

/* A group stands where its steps do in the mean; it has no interval. */
static void thin_out(mn_history *history, size_t most)
{
    const size_t group = most == 0 ? 1 : (history->n + most - 1) / most;
    if (group < 2)
        return;
    size_t kept = 0;
    for (size_t begin = 0; begin < history->n; begin += group, kept++) {
        const size_t n = history->n - begin < group ? history->n - begin : group;
        double step = 0, value = 0;
        for (size_t i = begin; i < begin + n; i++) {
            step += history->step[i] / (double)n;
            value += history->value[i] / (double)n;
        }
        history->step[kept] = step;
        history->value[kept] = value;
        history->half_width[kept] = NAN;
    }
    history->n = kept;
}
