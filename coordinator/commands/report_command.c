/* mnemo report: one or several runs, or a sweep with its best ones, as one page that stands by itself: scores, curves, pictures, what
 * they were asked for and what differs between them. Nothing in it is fetched from elsewhere. */
#include "coordinator/commands/commands.h"

#include "common/digest.h"
#include "common/file.h"
#include "common/tensor_file.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/commands/report_sweep.h"
#include "coordinator/commands/sweep_view.h"
#include "coordinator/pictures/chart.h"
#include "coordinator/run/run.h"
#include "coordinator/run/run_history.h"
#include "coordinator/run/run_state.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_POINTS = 1000, MOST_KEYS = 24, MOST_OF_SWEEP = 12 };
#define MOST_PICTURE_BYTES ((size_t)16 << 20)

struct column {
    mn_run_watch *watch; /* owned */
    const mn_run_state *state;
};

struct page {
    mn_sweep_view sweep; /* table NULL: none */
    size_t n;
    struct column runs[MN_MAX_ARGUMENTS];
    char folder[PATH_MAX]; /* where curves are drawn */
    FILE *out;
};

static mn_status open_page(const mn_command_line *line, struct page *page, mn_error *err);
static void close_page(struct page *page);
static void put_title(const struct page *page);
static mn_status put_sweep(const struct page *page, mn_error *err);
static void put_summary(const struct page *page);
static void put_scores(const struct page *page);
static mn_status put_curves(const struct page *page, mn_error *err);
static void put_differences(const struct page *page);
static mn_status put_picture(const struct page *page, const char *folder, const char *name,
                             const char *words, mn_error *err);
static mn_status put_runs(const struct page *page, mn_error *err);

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<style>\n"
    ":root { color-scheme: light dark; }\n"
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 "
    "1rem; }\n"
    "table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }\n"
    "th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #8884; "
    "vertical-align: top; }\n"
    "td.number { font-variant-numeric: tabular-nums; }\n"
    "figure { margin: 1rem 0; } figure svg, figure img { max-width: 100%; height: auto; "
    "background: #fff; }\n"
    "pre { overflow-x: auto; padding: 1rem; background: #8882; } code { word-break: break-all; }\n"
    "@media print { details { display: block; } body { max-width: none; } }\n"
    "</style>\n";

mn_status mn_report_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    struct page page = {0};
    char *text = NULL, own[PATH_MAX];
    size_t n = 0;
    mn_status status = mn_command_line_read(&line, argc, argv, MN_TAKES_OUTPUT, err);
    if (status == MN_OK && line.n_arguments == 0)
        status = mn_fail(err, MN_ERR_USAGE,
                         "report: expected the folder of a run, or of several, or of a sweep");
    if (status == MN_OK)
        status = open_page(&line, &page, err);
    const char *path = line.output;
    if (status == MN_OK && path == NULL) {
        status =
            mn_run_path(page.sweep.table != NULL ? page.sweep.folder : page.runs[0].state->folder,
                        "report.html", own, err);
        path = own;
    }
    if (status == MN_OK && (page.out = open_memstream(&text, &n)) == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "report");
    if (status == MN_OK) {
        (void)fputs(head, page.out);
        put_title(&page);
        status = put_sweep(&page, err);
    }
    if (status == MN_OK) {
        put_summary(&page);
        put_scores(&page);
        status = put_curves(&page, err);
    }
    if (status == MN_OK) {
        put_differences(&page);
        status = put_runs(&page, err);
    }
    if (page.out != NULL && fclose(page.out) != 0 && status == MN_OK)
        status = mn_fail(err, MN_ERR_NOMEM, "report");
    if (status == MN_OK)
        status = mn_file_write(path, text, n, err);
    if (status == MN_OK)
        (void)printf("wrote %s\n", path);
    free(text);
    close_page(&page);
    return status;
}

static mn_status add_run(struct page *page, const char *folder, mn_error *err)
{
    struct column *run = &page->runs[page->n];
    mn_status status = mn_run_watch_open(folder, &run->watch, err);
    if (status != MN_OK)
        return status;
    page->n++;
    return mn_run_watch_look(run->watch, &run->state, err);
}

/* Of its runs those of the best points, as many as can be looked at side by side. */
static mn_status add_sweep(struct page *page, const char *folder, mn_error *err)
{
    size_t i, k;
    const json_t *point, *run;
    mn_status status = mn_sweep_view_open(folder, &page->sweep, err);
    if (status != MN_OK)
        return status;
    json_array_foreach(json_object_get(page->sweep.table, "points"), i, point)
    {
        json_array_foreach(json_object_get(point, "runs"), k, run)
        {
            char path[PATH_MAX];
            const char *name = json_string_value(json_object_get(run, "run"));
            if (name == NULL || page->n == MOST_OF_SWEEP || status != MN_OK ||
                snprintf(path, sizeof path, "%s/runs/%s", page->sweep.folder, name) >= PATH_MAX ||
                !mn_run_begun(path))
                continue;
            status = add_run(page, path, err);
        }
    }
    return status == MN_OK && page->n == 0
               ? mn_fail(err, MN_ERR_NO_INPUT, "%s: no run of the sweep has begun yet", folder)
               : status;
}

static mn_status open_page(const mn_command_line *line, struct page *page, mn_error *err)
{
    const char *place = getenv("TMPDIR");
    mn_status status = MN_OK;
    if (line->n_arguments == 1 && mn_sweep_begun(line->arguments[0]))
        status = add_sweep(page, line->arguments[0], err);
    else
        for (size_t i = 0; i < line->n_arguments && status == MN_OK; i++)
            status = add_run(page, line->arguments[i], err);
    (void)snprintf(page->folder, sizeof page->folder, "%s/mnemo-report.XXXXXX",
                   place != NULL && place[0] != '\0' ? place : "/tmp");
    if (status == MN_OK && mkdtemp(page->folder) == NULL) {
        status = mn_fail_errno(err, "make a folder like %s", page->folder);
        page->folder[0] = '\0';
    } else if (status != MN_OK) {
        page->folder[0] = '\0';
    }
    return status;
}

static void close_page(struct page *page)
{
    static const char *const endings[] = {"dat", "gp", "svg"};
    mn_sweep_view_close(&page->sweep);
    for (size_t i = 0; i < page->n; i++)
        mn_run_watch_close(&page->runs[i].watch);
    if (page->folder[0] == '\0')
        return;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char path[PATH_MAX + 16];
        (void)snprintf(path, sizeof path, "%s/curve.%s", page->folder, endings[i]);
        (void)unlink(path);
    }
    (void)rmdir(page->folder);
}

/* The folder's own name, which tells runs of one experiment apart. */
static const char *name_of(const struct column *run)
{
    const char *slash = strrchr(run->state->folder, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : run->state->folder;
}

static void put_heads(const struct page *page, const char *first)
{
    (void)fprintf(page->out, "<table>\n<tr><th scope=\"col\">%s</th>", first);
    for (size_t i = 0; i < page->n; i++) {
        (void)fputs("<th scope=\"col\">", page->out);
        mn_html_put(name_of(&page->runs[i]), page->out);
        (void)fputs("</th>", page->out);
    }
    (void)fputs("</tr>\n", page->out);
}

static void begin_row(const struct page *page, const char *name)
{
    (void)fputs("<tr><th scope=\"row\">", page->out);
    mn_html_put(name, page->out);
    (void)fputs("</th>", page->out);
}

static bool begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Is it of the theta that would be tested? prefix: "best.", "average.", or "" for the last one. */
static bool is_of(const char *name, const char *prefix)
{
    return prefix[0] != '\0' ? begins_with(name, prefix)
                             : !begins_with(name, "best.") && !begins_with(name, "average.") &&
                                   !begins_with(name, "optimiser.");
}

static bool has(const mn_tensor_file *file, const char *prefix)
{
    for (size_t i = 0; i < mn_tensor_file_count(file); i++)
        if (begins_with(mn_tensor_file_at(file, i)->name, prefix))
            return true;
    return false;
}

/* The fingerprint of the theta that would be tested, from the newest checkpoint; "": there is none. */
static void fingerprint_of(const mn_run_state *state, char hex[65])
{
    mn_tensor_file *file = NULL;
    mn_hasher hasher;
    hex[0] = '\0';
    if (!state->has_checkpoint || mn_tensor_file_read(state->checkpoint_path, &file, NULL) != MN_OK)
        return;
    const bool best = state->experiment.evaluate.keep_best && has(file, "best.");
    const char *prefix = best ? "best." : has(file, "average.") ? "average." : "";
    mn_hasher_init(&hasher);
    for (size_t i = 0; i < mn_tensor_file_count(file); i++) {
        const mn_tensor *tensor = mn_tensor_file_at(file, i);
        if (is_of(tensor->name, prefix))
            mn_hasher_add(&hasher, tensor->data,
                          mn_tensor_count(tensor) * mn_dtype_bytes(tensor->dtype));
    }
    const mn_digest digest = mn_hasher_finish(&hasher);
    mn_digest_hex(&digest, hex);
    mn_tensor_file_destroy(&file);
}

static void put_title(const struct page *page)
{
    FILE *out = page->out;
    const char *slash = strrchr(page->sweep.folder, '/');
    bool others = false;
    for (size_t i = 1; i < page->n; i++)
        others = others || strcmp(page->runs[i].state->experiment.name,
                                  page->runs[0].state->experiment.name) != 0;
    (void)fputs("<title>", out);
    if (page->sweep.table != NULL)
        mn_html_put(slash != NULL ? slash + 1 : page->sweep.folder, out);
    for (size_t i = 0; i < page->n && page->sweep.table == NULL; i++) {
        (void)fputs(i > 0 ? ", " : "", out);
        mn_html_put(name_of(&page->runs[i]), out);
    }
    (void)fputs("</title>\n<h1>", out);
    mn_html_put(page->runs[0].state->experiment.name, out);
    (void)fputs(others ? " and others</h1>\n" : "</h1>\n", out);
}

static mn_status put_sweep(const struct page *page, mn_error *err)
{
    if (page->sweep.table == NULL)
        return MN_OK;
    mn_report_sweep(&page->sweep, page->out);
    mn_status status = put_picture(page, page->sweep.folder, "sweep.png",
                                   "validation by each key that varies", err);
    (void)fprintf(page->out, "<h2>%zu of its runs side by side</h2>\n", page->n);
    return status;
}

static void put_summary(const struct page *page)
{
    FILE *out = page->out;
    char date[40];
    const time_t now = time(NULL);
    struct tm utc;
    put_heads(page, "run");
    begin_row(page, "experiment");
    for (size_t i = 0; i < page->n; i++) {
        (void)fputs("<td>", out);
        mn_html_put(page->runs[i].state->experiment.name, out);
        (void)fputs("</td>", out);
    }
    (void)fputs("</tr>\n", out);
    begin_row(page, "state");
    for (size_t i = 0; i < page->n; i++)
        (void)fprintf(out, "<td>%s</td>", mn_run_phase_text(page->runs[i].state->phase));
    (void)fputs("</tr>\n", out);
    begin_row(page, "meta-steps");
    for (size_t i = 0; i < page->n; i++)
        (void)fprintf(out, "<td class=\"number\">%" PRIu64 " of %" PRIu64 "</td>",
                      page->runs[i].state->step, page->runs[i].state->experiment.outer.steps);
    (void)fputs("</tr>\n", out);
    begin_row(page, "time of training");
    for (size_t i = 0; i < page->n; i++)
        (void)fprintf(out, "<td class=\"number\">%.1f s</td>", page->runs[i].state->wall_s);
    (void)fputs("</tr>\n", out);
    begin_row(page, "written by");
    for (size_t i = 0; i < page->n; i++) {
        (void)fputs("<td>", out);
        mn_html_put(page->runs[i].state->writer, out);
        (void)fputs("</td>", out);
    }
    (void)fputs("</tr>\n", out);
    begin_row(page, "theta, SHA-256");
    for (size_t i = 0; i < page->n; i++) {
        char hex[65];
        fingerprint_of(page->runs[i].state, hex);
        (void)fprintf(out, "<td><code>%s</code></td>", hex[0] != '\0' ? hex : "-");
    }
    (void)fputs("</tr>\n</table>\n", out);
    if (gmtime_r(&now, &utc) != NULL && strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc) > 0)
        (void)fprintf(out, "<p>Mnemo " MN_VERSION ", %s</p>\n", date);
}

/* Scores ---------------------------------------------------------------------------- */

/* Where a row of test.json was measured: "inner_steps 5"; "" if the score is of the whole. */
static void point_of(const json_t *row, char text[64])
{
    const char *key;
    json_t *value;
    text[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)row, key, value)
    {
        char interval[MN_HISTORY_KEY + 8];
        (void)snprintf(interval, sizeof interval, "%.60s_ci95", key);
        if (!mn_history_is_score(key) || json_object_get(row, interval) != NULL)
            continue;
        if (json_is_string(value))
            (void)snprintf(text, 64, "%.20s %.40s", key, json_string_value(value));
        else
            (void)snprintf(text, 64, "%.20s %.6g", key, json_number_value(value));
    }
}

static const json_t *row_at(const mn_run_state *state, const char *point)
{
    const json_t *rows = json_object_get(state->test, "scores");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        char text[64];
        point_of(json_array_get(rows, i), text);
        if (strcmp(text, point) == 0)
            return json_array_get(rows, i);
    }
    return NULL;
}

/* Has a run before this one such a row, so that it stands in the table already? */
static bool was_told(const struct page *page, size_t run, const char *point, const char *key)
{
    for (size_t i = 0; i < run; i++)
        if (isfinite(mn_history_number(row_at(page->runs[i].state, point), key)))
            return true;
    return false;
}

static void put_score(const struct page *page, const char *point, const char *key)
{
    char name[160], interval[MN_HISTORY_KEY + 8];
    (void)snprintf(name, sizeof name, "%.60s%s%.60s", key, point[0] != '\0' ? ", " : "", point);
    (void)snprintf(interval, sizeof interval, "%.60s_ci95", key);
    begin_row(page, name);
    for (size_t i = 0; i < page->n; i++) {
        const json_t *row = row_at(page->runs[i].state, point);
        const double mean = mn_history_number(row, key), half = mn_history_number(row, interval);
        if (!isfinite(mean))
            (void)fputs("<td>-</td>", page->out);
        else if (isfinite(half))
            (void)fprintf(page->out, "<td class=\"number\">%.5g &plusmn; %.2g</td>", mean, half);
        else
            (void)fprintf(page->out, "<td class=\"number\">%.5g</td>", mean);
    }
    (void)fputs("</tr>\n", page->out);
}

/* What must be said with every score. */
static void put_remarks(const struct page *page)
{
    bool any = false;
    for (size_t i = 0; i < page->n; i++)
        any = any || json_object_get(page->runs[i].state->test, "remark") != NULL;
    if (!any)
        return;
    begin_row(page, "batch norm");
    for (size_t i = 0; i < page->n; i++) {
        const char *remark =
            json_string_value(json_object_get(page->runs[i].state->test, "remark"));
        (void)fputs("<td>", page->out);
        mn_html_put(remark != NULL ? remark : "-", page->out);
        (void)fputs("</td>", page->out);
    }
    (void)fputs("</tr>\n", page->out);
}

static void put_scores(const struct page *page)
{
    bool any = false;
    for (size_t i = 0; i < page->n; i++) {
        const json_t *rows = json_object_get(page->runs[i].state->test, "scores");
        for (size_t r = 0; r < json_array_size(rows); r++) {
            const json_t *row = json_array_get(rows, r);
            char point[64];
            const char *key;
            json_t *value;
            point_of(row, point);
            json_object_foreach((json_t *)(uintptr_t)row, key, value)
            {
                char interval[MN_HISTORY_KEY + 8];
                (void)snprintf(interval, sizeof interval, "%.60s_ci95", key);
                if (!json_is_number(value) || json_object_get(row, interval) == NULL ||
                    was_told(page, i, point, key))
                    continue;
                if (!any) {
                    (void)fputs("<h2>Test</h2>\n", page->out);
                    put_heads(page, "mean over test tasks, 95 % interval");
                    any = true;
                }
                put_score(page, point, key);
            }
        }
    }
    if (any) {
        put_remarks(page);
        (void)fputs("</table>\n", page->out);
    } else {
        (void)fputs("<p>No run has been tested yet.</p>\n", page->out);
    }
}

/* Curves ---------------------------------------------------------------------------- */

struct keys {
    size_t n;
    char at[MOST_KEYS][MN_HISTORY_KEY];
};

static void add_keys(const json_t *record, struct keys *keys)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)record, key, value)
    {
        bool known =
            strlen(key) >= MN_HISTORY_KEY || !json_is_real(value) || !mn_history_is_score(key);
        for (size_t i = 0; i < keys->n; i++)
            known = known || strcmp(keys->at[i], key) == 0;
        if (!known && keys->n < MOST_KEYS)
            (void)snprintf(keys->at[keys->n++], MN_HISTORY_KEY, "%s", key);
    }
}

static mn_status put_svg(const struct page *page, mn_error *err)
{
    char path[PATH_MAX], *svg = NULL;
    size_t n = 0;
    mn_status status = mn_run_path(page->folder, "curve.svg", path, err);
    if (status == MN_OK)
        status = mn_file_read(path, MOST_PICTURE_BYTES, &svg, &n, err);
    const char *begin = status == MN_OK ? strstr(svg, "<svg") : NULL;
    if (status == MN_OK && begin == NULL)
        status = mn_fail(err, MN_ERR_DATA, "%s, which gnuplot wrote, is no SVG picture", path);
    if (status == MN_OK)
        (void)fprintf(page->out, "<figure>\n%s</figure>\n", begin);
    free(svg);
    return status;
}

/* One picture a number, one line a run. */
static mn_status put_curve(const struct page *page, const char *key, mn_error *err)
{
    mn_history histories[MN_MAX_ARGUMENTS] = {{0}};
    mn_line lines[MN_MAX_ARGUMENTS];
    size_t n = 0;
    mn_status status = MN_OK;
    const bool validation = strncmp(key, "val_", 4) == 0;
    for (size_t i = 0; i < page->n && status == MN_OK; i++) {
        status = mn_history_read(page->runs[i].state->folder, key, MOST_POINTS, &histories[i], err);
        if (status == MN_ERR_NO_INPUT)
            status = MN_OK; /* that run has not come so far */
        else if (status == MN_OK && histories[i].n > 0)
            lines[n++] = (mn_line){.title = name_of(&page->runs[i]),
                                   .n = histories[i].n,
                                   .x = histories[i].step,
                                   .y = histories[i].value,
                                   .half_width = validation ? histories[i].half_width : NULL};
    }
    if (status == MN_OK && n > 0) {
        char title[MN_HISTORY_KEY + 64];
        (void)snprintf(title, sizeof title, "%s%s", validation ? key + 4 : key,
                       validation ? " on validation" : " in training");
        status = mn_chart_lines(page->folder, "curve", title, n, lines, err);
        if (status == MN_OK)
            status = put_svg(page, err);
    }
    for (size_t i = 0; i < page->n; i++)
        mn_history_fini(&histories[i]);
    return status;
}

/* Without gnuplot the page is as good, but for them. */
static mn_status put_curves(const struct page *page, mn_error *err)
{
    struct keys keys = {0};
    for (size_t i = 0; i < page->n; i++)
        add_keys(page->runs[i].state->validation, &keys);
    for (size_t i = 0; i < page->n; i++)
        add_keys(page->runs[i].state->last, &keys);
    mn_status status = MN_OK;
    (void)fputs(keys.n > 0 ? "<h2>Curves</h2>\n" : "", page->out);
    for (size_t i = 0; i < keys.n && status == MN_OK; i++)
        status = put_curve(page, keys.at[i], err);
    if (status != MN_ERR_UNAVAILABLE)
        return status;
    (void)fputs("<p>No curves: gnuplot is not installed.</p>\n", page->out);
    return MN_OK;
}

/* Experiments ----------------------------------------------------------------------- */

/* Keys whose values are not the same for all. */
static void put_differences(const struct page *page)
{
    const mn_option_table *table = mn_experiment_options();
    bool any = false;
    for (size_t k = 0; page->n > 1 && k < table->n; k++) {
        const mn_option *row = &table->rows[k];
        char first[MN_OPTION_LONGEST], other[MN_OPTION_LONGEST];
        bool differs = false;
        mn_option_text(row, &page->runs[0].state->experiment, first);
        for (size_t i = 1; i < page->n; i++) {
            mn_option_text(row, &page->runs[i].state->experiment, other);
            differs = differs || strcmp(first, other) != 0;
        }
        if (!differs)
            continue;
        if (!any) {
            (void)fputs("<h2>What differs</h2>\n", page->out);
            put_heads(page, "key");
            any = true;
        }
        begin_row(page, row->key);
        for (size_t i = 0; i < page->n; i++) {
            mn_option_text(row, &page->runs[i].state->experiment, other);
            (void)fputs("<td>", page->out);
            mn_html_put(other, page->out);
            (void)fputs("</td>", page->out);
        }
        (void)fputs("</tr>\n", page->out);
    }
    (void)fputs(any ? "</table>\n" : "", page->out);
    for (size_t i = 0; i < page->n; i++)
        if (!page->runs[i].state->is_whole) {
            (void)fputs("<p>", page->out);
            mn_html_put(page->runs[i].state->folder, page->out);
            (void)fputs(" was made with a plug-in that was not here when this was written: its "
                        "kinds and keys are "
                        "told by experiment.yaml alone.</p>\n",
                        page->out);
        }
}

/* A picture that the run or the sweep has made, if it has. */
static mn_status put_picture(const struct page *page, const char *folder, const char *name,
                             const char *words, mn_error *err)
{
    char path[PATH_MAX], *png = NULL, *text = NULL;
    size_t n = 0;
    mn_status status = mn_run_path(folder, name, path, err);
    if (status != MN_OK || access(path, R_OK) != 0)
        return status;
    status = mn_file_read(path, MOST_PICTURE_BYTES, &png, &n, err);
    const size_t size = sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_ORIGINAL);
    if (status == MN_OK && (text = malloc(size)) == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "picture %s", path);
    if (status == MN_OK) {
        (void)sodium_bin2base64(text, size, (const unsigned char *)png, n,
                                sodium_base64_VARIANT_ORIGINAL);
        (void)fprintf(page->out,
                      "<figure><img alt=\"%s\" src=\"data:image/png;base64,%s\"></figure>\n", words,
                      text);
    }
    free(text);
    free(png);
    return status;
}

static mn_status put_runs(const struct page *page, mn_error *err)
{
    mn_status status = MN_OK;
    for (size_t i = 0; i < page->n && status == MN_OK; i++) {
        const mn_run_state *state = page->runs[i].state;
        char *text = NULL;
        (void)fputs("<h2>", page->out);
        mn_html_put(name_of(&page->runs[i]), page->out);
        (void)fputs("</h2>\n<p><code>", page->out);
        mn_html_put(state->folder, page->out);
        (void)fputs("</code></p>\n", page->out);
        status = put_picture(page, state->folder, "task.png",
                             "a test task, and what the run made of it", err);
        if (status == MN_OK)
            status = mn_experiment_print(&state->experiment, false, &text, err);
        if (status == MN_OK) {
            (void)fputs("<details><summary>Experiment, as resolved</summary>\n<pre>", page->out);
            mn_html_put(text, page->out);
            (void)fputs("</pre></details>\n", page->out);
        }
        free(text);
    }
    return status;
}
