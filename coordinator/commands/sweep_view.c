#include "coordinator/commands/sweep_view.h"

#include "coordinator/run/run.h"
#include "coordinator/run/run_history.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SHOWN = 10 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static json_int_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

mn_status mn_sweep_view_open(const char *folder, mn_sweep_view *out, mn_error *err)
{
    char path[PATH_MAX];
    json_error_t why;
    *out = (mn_sweep_view){.table = NULL};
    if (!mn_sweep_begun(folder))
        return mn_fail(err, MN_ERR_NO_INPUT, "%s is no sweep: it has no sweep.json", folder);
    if (realpath(folder, out->folder) == NULL)
        return mn_fail_errno(err, "open the sweep's folder %s", folder);
    mn_status status = mn_run_path(out->folder, "sweep.json", path, err);
    if (status != MN_OK)
        return status;
    out->table = json_load_file(path, 0, &why);
    if (!json_is_array(json_object_get(out->table, "points"))) {
        mn_sweep_view_close(out);
        return mn_fail(
            err, MN_ERR_DATA,
            "%s: expected the table of a sweep as JSON, with \"points\"; the sweep writes "
            "it anew when it goes on",
            path);
    }
    out->phase = mn_run_find_writer(out->folder, out->writer);
    if (out->phase == MN_RUN_STOPPED &&
        integer_of(out->table, "runs_over") >= integer_of(out->table, "runs"))
        out->phase = MN_RUN_DONE;
    return MN_OK;
}

void mn_sweep_view_close(mn_sweep_view *view)
{
    json_decref(view->table);
    view->table = NULL;
}

bool mn_sweep_view_is_over(const mn_sweep_view *view)
{
    return view->phase == MN_RUN_STOPPED || view->phase == MN_RUN_DONE;
}

void mn_sweep_view_words(const json_t *point, char *out, size_t n)
{
    const char *key;
    json_t *value;
    size_t used = 0;
    out[0] = '\0';
    json_object_foreach(json_object_get(point, "settings"), key, value)
    {
        const int more = snprintf(out + used, n - used, "%s%s=%s", used > 0 ? " " : "", key,
                                  json_is_string(value) ? json_string_value(value) : "?");
        if (more < 0 || (size_t)more >= n - used) {
            if (n > 4)
                (void)snprintf(out + n - 4, 4, "...");
            return;
        }
        used += (size_t)more;
    }
    if (used == 0)
        (void)snprintf(out, n, "as the experiment says");
}

void mn_sweep_view_score(const mn_sweep_view *view, const json_t *point, const char *of,
                         char out[64])
{
    const json_t *spread = json_object_get(point, of);
    const double mean = mn_history_number(spread, "mean"),
                 half_width = mn_history_number(spread, "ci95");
    const bool is_share = json_is_true(json_object_get(
        view->table, strcmp(of, "test") == 0 ? "judged_share" : "validated_by_share"));
    const double factor = is_share ? 100 : 1;
    if (!isfinite(mean))
        (void)snprintf(out, 64, "-");
    else if (isfinite(half_width))
        (void)snprintf(out, 64, is_share ? "%.2f +- %.2f %%" : "%.4f +- %.4f", factor * mean,
                       factor * half_width);
    else
        (void)snprintf(out, 64, is_share ? "%.2f %%" : "%.4f", factor * mean);
}

static bool is_done(const json_t *point)
{
    return strcmp(text_of(point, "fate"), "done") == 0;
}

/* The runs that `wanted` says, each with what `more` says of it; at most MOST_SHOWN of them. */
static uint32_t list_runs(const mn_sweep_view *view, const char *wanted, const char *head,
                          bool with_why, FILE *out)
{
    size_t i, k;
    const json_t *point, *run;
    uint32_t n = 0;
    json_array_foreach(json_object_get(view->table, "points"), i, point)
    {
        json_array_foreach(json_object_get(point, "runs"), k, run)
        {
            const json_t *value = json_object_get(run, wanted);
            if (value == NULL || json_is_false(value) || n++ >= MOST_SHOWN)
                continue;
            if (n == 1)
                (void)fputs(head, out);
            (void)fprintf(out, "%s%s", with_why ? "\n  " : n > 1 ? ", " : "", text_of(run, "run"));
            if (with_why)
                (void)fprintf(out, ": %s", text_of(run, "why"));
        }
    }
    if (n > MOST_SHOWN)
        (void)fprintf(out, "%sand %" PRIu32 " more", with_why ? "\n  " : " ", n - MOST_SHOWN);
    if (n > 0)
        (void)fputc('\n', out);
    return n;
}

void mn_sweep_view_print(const mn_sweep_view *view, FILE *out)
{
    const json_t *table = view->table, *points = json_object_get(table, "points");
    const json_t *first = json_array_get(points, 0);
    const char *slash = strrchr(view->folder, '/');
    char words[400], validation[64], test[64];
    uint32_t fates[3] = {0};
    size_t i;
    const json_t *point;
    (void)fprintf(out, "sweep %s: %s", slash != NULL ? slash + 1 : view->folder,
                  mn_run_phase_text(view->phase));
    if (!mn_sweep_view_is_over(view))
        (void)fprintf(out, ", %s", view->writer);
    (void)fprintf(out, "\n%s\n%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " runs are over",
                  view->folder, integer_of(table, "runs_over"), integer_of(table, "runs"));
    json_array_foreach(points, i, point)
    {
        fates[0] += is_done(point);
        fates[1] += strcmp(text_of(point, "fate"), "stopped") == 0;
        fates[2] += strcmp(text_of(point, "fate"), "failed") == 0;
    }
    (void)fprintf(out,
                  "; of %zu point%s %" PRIu32 " %s done, %" PRIu32 " stopped on the way, %" PRIu32
                  " failed; %.0f s so far",
                  i, i == 1 ? "" : "s", fates[0], fates[0] == 1 ? "is" : "are", fates[1], fates[2],
                  mn_history_number(table, "seconds"));
    if (json_is_number(json_object_get(table, "budget_hours")))
        (void)fprintf(out, " of %.4g hours", mn_history_number(table, "budget_hours"));
    (void)fputc('\n', out);
    if (view->phase == MN_RUN_RUNNING)
        (void)list_runs(view, "under_way", "under way: ", false, out);
    (void)list_runs(view, "failed", "failed:", true, out);
    if (first != NULL && is_done(first) && text_of(table, "validated_by")[0] != '\0') {
        mn_sweep_view_words(first, words, sizeof words);
        mn_sweep_view_score(view, first, "validation", validation);
        mn_sweep_view_score(view, first, "test", test);
        (void)fprintf(out, "best so far by validation: point %" JSON_INTEGER_FORMAT " (%s): %s %s",
                      integer_of(first, "point"), words, text_of(table, "validated_by"),
                      validation);
        if (text_of(table, "judged")[0] != '\0')
            (void)fprintf(out, ", test %s %s", text_of(table, "judged"), test);
        (void)fputc('\n', out);
    }
    if (view->phase == MN_RUN_STOPPED)
        (void)fprintf(out, "to go on: mnemo sweep %s --run-dir %s\n", text_of(table, "file"),
                      view->folder);
    else if (view->phase == MN_RUN_RUNNING)
        (void)fprintf(out, "to join: mnemo-worker %s\n", view->folder);
    (void)fprintf(out, "of one run: mnemo status %s/runs/NAME; all side by side: mnemo report %s\n",
                  view->folder, view->folder);
}

void mn_sweep_view_explain(const mn_sweep_view *view, FILE *out)
{
    (void)fprintf(out, "%s is a sweep: each of its runs keeps a journal of its own\n",
                  view->folder);
    if (list_runs(view, "failed", "failed, by their last words:", true, out) == 0)
        (void)fputs("no run has failed\n", out);
    if (view->phase == MN_RUN_RUNNING)
        (void)list_runs(view, "under_way", "under way: ", false, out);
    (void)fprintf(out,
                  "why a run waited, and for whom: mnemo explain %s/runs/NAME; what it said: "
                  "%s/logs/NAME.log\n",
                  view->folder, view->folder);
}

mn_status mn_sweep_view_json(const mn_sweep_view *view, FILE *out, mn_error *err)
{
    json_t *root = json_copy(view->table);
    if (root == NULL || json_object_set_new(root, "sweep", json_string(view->folder)) != 0 ||
        json_object_set_new(root, "state", json_string(mn_run_phase_text(view->phase))) != 0 ||
        json_object_set_new(root, "writer", json_string(view->writer)) != 0) {
        json_decref(root);
        return mn_fail(err, MN_ERR_NOMEM, "state of the sweep as JSON");
    }
    (void)json_dumpf(root, out, JSON_INDENT(2));
    (void)fputc('\n', out);
    json_decref(root);
    return MN_OK;
}
