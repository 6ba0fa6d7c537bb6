#include "coordinator/commands/report_sweep.h"

#include "coordinator/run/run_history.h"
#include <inttypes.h>
#include <math.h>

enum { MOST_POINTS = 100 };

void mn_html_put(const char *text, FILE *out)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        default:
            (void)fputc(*text, out);
        }
}

static void put_cell(const char *kind, const char *text, FILE *out)
{
    (void)fprintf(out, "<%s>", kind);
    mn_html_put(text, out);
    (void)fputs(kind[1] == 'h' ? "</th>" : "</td>", out);
}

static void put_points(const mn_sweep_view *view, FILE *out)
{
    const json_t *points = json_object_get(view->table, "points");
    const char *key;
    json_t *value;
    size_t i;
    const json_t *point;
    (void)fputs("<table>\n<tr>", out);
    for (size_t k = 0; k < 4; k++)
        put_cell("th scope=\"col\"", (const char *[]){"point", "fate", "validation", "test"}[k],
                 out);
    json_object_foreach(json_object_get(json_array_get(points, 0), "settings"), key, value)
        put_cell("th scope=\"col\"", key, out);
    (void)fputs("</tr>\n", out);
    json_array_foreach(points, i, point)
    {
        char text[64];
        if (i == MOST_POINTS)
            break;
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT,
                       json_integer_value(json_object_get(point, "point")));
        (void)fputs("<tr>", out);
        put_cell("th scope=\"row\"", text, out);
        const char *fate = json_string_value(json_object_get(point, "fate"));
        put_cell("td", fate != NULL ? fate : "-", out);
        mn_sweep_view_score(view, point, "validation", text);
        put_cell("td class=\"number\"", text, out);
        mn_sweep_view_score(view, point, "test", text);
        put_cell("td class=\"number\"", text, out);
        json_object_foreach(json_object_get(point, "settings"), key, value)
            put_cell("td", json_is_string(value) ? json_string_value(value) : "-", out);
        (void)fputs("</tr>\n", out);
    }
    (void)fputs("</table>\n", out);
    if (json_array_size(points) > MOST_POINTS)
        (void)fprintf(out, "<p>The best %d of %zu points; all of them are in sweep.json.</p>\n",
                      MOST_POINTS, json_array_size(points));
}

static void put_mean(const json_t *group, const char *mean, bool is_share, FILE *out)
{
    char text[64];
    const double number = mn_history_number(group, mean);
    (void)snprintf(text, sizeof text, is_share ? "%.2f %%" : "%.4f",
                   is_share ? 100 * number : number);
    put_cell("td class=\"number\"", isfinite(number) ? text : "-", out);
}

static void put_margin(const mn_sweep_view *view, const char *key, const json_t *groups, FILE *out)
{
    size_t i;
    const json_t *group;
    (void)fputs("<table>\n<tr>", out);
    put_cell("th scope=\"col\"", key, out);
    (void)fputs(
        "<th scope=\"col\">points</th><th scope=\"col\">validation, after the first leg</th>"
        "<th scope=\"col\">test</th></tr>\n",
        out);
    json_array_foreach(groups, i, group)
    {
        const char *value = json_string_value(json_object_get(group, "value"));
        (void)fputs("<tr>", out);
        put_cell("th scope=\"row\"", value != NULL ? value : "-", out);
        (void)fprintf(out, "<td class=\"number\">%" JSON_INTEGER_FORMAT "</td>",
                      json_integer_value(json_object_get(group, "points")));
        put_mean(group, "validation_first",
                 json_is_true(json_object_get(view->table, "validated_by_share")), out);
        put_mean(group, "test", json_is_true(json_object_get(view->table, "judged_share")), out);
        (void)fputs("</tr>\n", out);
    }
    (void)fputs("</table>\n", out);
}

void mn_report_sweep(const mn_sweep_view *view, FILE *out)
{
    const char *key, *interval = json_string_value(json_object_get(view->table, "interval"));
    json_t *groups;
    (void)fprintf(out,
                  "<h2>Sweep</h2>\n<p>%s: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
                  " runs are over. Points, the best first; 95 %% intervals: ",
                  mn_run_phase_text(view->phase),
                  json_integer_value(json_object_get(view->table, "runs_over")),
                  json_integer_value(json_object_get(view->table, "runs")));
    mn_html_put(interval != NULL ? interval : "-", out);
    (void)fputs(".</p>\n", out);
    put_points(view, out);
    json_object_foreach(json_object_get(view->table, "marginals"), key, groups)
        put_margin(view, key, groups, out);
}
