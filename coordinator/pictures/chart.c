#include "coordinator/pictures/chart.h"

#include "common/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_POINTS 1500u /* of a curve; more steps are averaged in groups */
#define SMOOTHING 15u    /* points to each side over which the bold line is averaged */

extern char **environ;

enum { MAX_PANELS = 8, SETS_OF_A_PANEL = 8, MAX_SETS = 64 };

static const char style[] = "set encoding utf8\n"
                            "set border 3 lc rgb '#888888'\n"
                            "set tics nomirror textcolor rgb '#333333'\n"
                            "set grid lc rgb '#e4e4e4' lt 1\n"
                            "set key samplen 2 spacing 1.2\n";

/* The numbers of some keys, in the records that have any of them. */
struct history {
    uint32_t n_keys;
    char keys[MAX_SETS][MN_SCORE_KEY + 4];
    size_t n, capacity;
    double *at; /* [n][1 + n_keys]: step, then the number of each key or NaN; owned */
};

/* A panel a score: those of training, then what validation alone measures. */
struct panels {
    uint32_t n;
    const mn_score *scores[MAX_PANELS];
};

/* What curve.dat is made of. */
struct curves {
    struct history training, validation; /* the panels' */
    struct history sets;                 /* of validation, by set or the like */
    const mn_score *of_sets[MAX_SETS];
    uint32_t sets_beside; /* the panel that has their lines too, if they are few */
};

static void find_panels(const mn_score_list *scores, const mn_score_list *tests,
                        struct panels *panels);
static void find_keys(const struct panels *panels, const mn_score_list *scores,
                      const mn_score_list *tests, struct curves *curves);
static mn_status read_history(const char *path, struct curves *curves, mn_error *err);
static mn_status remember(struct history *history, json_t *record, mn_error *err);
static void write_training(const struct history *training, const struct panels *panels, FILE *out);
static void write_validation(const struct history *validation, FILE *out);
static void write_curve_script(const char *title, const struct panels *panels,
                               const struct curves *curves, FILE *out);
static void write_fit_script(const char *name, const mn_fitted_curve *curve, FILE *out);
static mn_status save(const char *folder, const char *name, const char *ending, FILE *memory,
                      char **text, mn_error *err);
static mn_status draw(const char *folder, const char *name, mn_error *err);
static void put_quoted(const char *text, FILE *out);

mn_status mn_chart_curve(const char *folder, const char *title, const mn_score_list *scores,
                         const mn_score_list *tests, mn_error *err)
{
    char path[PATH_MAX];
    struct panels panels = {0};
    struct curves curves = {0};
    char *text = NULL;
    size_t n = 0;
    find_panels(scores, tests, &panels);
    find_keys(&panels, scores, tests, &curves);
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    mn_status status = read_history(path, &curves, err);
    if (status == MN_OK && curves.training.n == 0)
        status = mn_fail(err, MN_ERR_NO_INPUT, "%s holds no meta-step to draw", path);
    if (status == MN_OK) {
        FILE *out = open_memstream(&text, &n);
        if (out != NULL) {
            write_training(&curves.training, &panels, out);
            write_validation(&curves.validation, out);
            write_validation(&curves.sets, out);
        }
        status = save(folder, "curve", "dat", out, &text, err);
    }
    if (status == MN_OK) {
        FILE *out = open_memstream(&text, &n);
        if (out != NULL)
            write_curve_script(title, &panels, &curves, out);
        status = save(folder, "curve", "gp", out, &text, err);
    }
    free(curves.training.at);
    free(curves.validation.at);
    free(curves.sets.at);
    return status == MN_OK ? draw(folder, "curve", err) : status;
}

mn_status mn_chart_fit(const char *folder, const char *name, const mn_fitted_curve *curve,
                       mn_error *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out != NULL) {
        (void)fputs("# x, truth, after, before\n", out);
        for (size_t i = 0; i < curve->n; i++)
            (void)fprintf(out, "%.9g %.9g %.9g %.9g\n", curve->x[i], curve->truth[i],
                          curve->after[i], curve->before != NULL ? curve->before[i] : 0.0);
        (void)fputs("\n\n# support: x, y\n", out);
        for (size_t i = 0; i < curve->n_support; i++)
            (void)fprintf(out, "%.9g %.9g\n", curve->support_x[i], curve->support_y[i]);
    }
    mn_status status = save(folder, name, "dat", out, &text, err);
    if (status == MN_OK) {
        out = open_memstream(&text, &n);
        if (out != NULL)
            write_fit_script(name, curve, out);
        status = save(folder, name, "gp", out, &text, err);
    }
    return status == MN_OK ? draw(folder, name, err) : status;
}

mn_status mn_chart_lines(const char *folder, const char *name, const char *title, size_t n,
                         const mn_line *lines, mn_error *err)
{
    static const char *const colours[] = {"#1f5fa8", "#d1700e", "#2a7d46", "#a3322e",
                                          "#6a4c9c", "#7a5a3a", "#c2559a", "#555555"};
    const size_t n_colours = sizeof colours / sizeof *colours;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (size_t k = 0; out != NULL && k < n; k++) {
        (void)fprintf(out, "%s# x, y, half of the interval\n", k > 0 ? "\n\n" : "");
        for (size_t i = 0; i < lines[k].n; i++) {
            const double half = lines[k].half_width != NULL ? lines[k].half_width[i] : NAN;
            (void)fprintf(out, "%.9g %.9g %.9g\n", lines[k].x[i], lines[k].y[i],
                          isfinite(half) ? half : 0);
        }
    }
    mn_status status = save(folder, name, "dat", out, &text, err);
    if (status != MN_OK)
        return status;
    out = open_memstream(&text, &size);
    if (out != NULL) {
        (void)fprintf(out,
                      "# Draws %s.svg from %s.dat: gnuplot %s.gp\n%s"
                      "set terminal svg size 900,420 dynamic font 'DejaVu Sans,13' background rgb "
                      "'white'\nset output '%s.svg'\nset key outside below horizontal noenhanced\n"
                      "set xlabel 'meta-step'\nset title font ',15' noenhanced\nset title ",
                      name, name, name, style, name);
        put_quoted(title, out);
        for (size_t k = 0; k < n; k++) {
            (void)fprintf(
                out, "%s'%s.dat' index %zu using 1:2%s lw 2 lc rgb '%s' noenhanced title ",
                k == 0 ? "\nplot " : ", \\\n     ", name, k,
                lines[k].half_width != NULL ? ":3 with yerrorlines pt 7 ps 0.5" : " with lines",
                colours[k % n_colours]);
            put_quoted(lines[k].title, out);
        }
        (void)fputs("\nset output\n", out);
    }
    status = save(folder, name, "gp", out, &text, err);
    return status == MN_OK ? draw(folder, name, err) : status;
}

/* Points of a score that has an axis; a score without one is a single point. */
static bool is_number(const char *text)
{
    char *end = NULL;
    (void)strtod(text, &end);
    return *text != '\0' && *end == '\0';
}

static void write_point(const mn_score *score, const mn_estimate *estimate, const char *place,
                        FILE *out)
{
    const double half = isfinite(estimate->half_width) ? estimate->half_width : 0;
    (void)fputs(place, out);
    if (isfinite(estimate->mean))
        (void)fprintf(out, " %.9g %.9g %.9g", estimate->mean, estimate->mean - half,
                      estimate->mean + half);
    else
        (void)fputs(" ? ? ?", out);
    (void)fprintf(out, " \"%s\"\n", score->point);
}

/* A block of the data for each run and name: place, mean, low, high, and the point as text. What has no
 * point stands at both ends of an axis of numbers, which others of the picture have. */
static void write_points(size_t n, const mn_contestant *contestants, const char *name, FILE *out)
{
    const mn_score_list *first = contestants[0].table->scores;
    for (size_t k = 0; k < n; k++) {
        const mn_evaluation *table = contestants[k].table;
        unsigned place = 0;
        (void)fprintf(out, "# %s of run %zu: place, mean, low, high, point\n", name, k + 1);
        for (uint32_t i = 0; i < table->scores->n; i++) {
            const mn_score *score = &table->scores->at[i];
            const mn_estimate *estimate = &table->estimates[i];
            char text[16];
            if (strcmp(score->name, name) != 0)
                continue;
            (void)snprintf(text, sizeof text, "%u", place++);
            if (score->axis[0] == '\0' && is_number(first->at[0].point)) {
                write_point(score, estimate, first->at[0].point, out);
                write_point(score, estimate, first->at[first->n - 1].point, out);
            } else {
                write_point(score, estimate, is_number(score->point) ? score->point : text, out);
            }
        }
        (void)fputs("\n\n", out);
    }
}

static bool is_first_of_name(const mn_score_list *scores, uint32_t i)
{
    for (uint32_t earlier = 0; earlier < i; earlier++)
        if (strcmp(scores->at[earlier].name, scores->at[i].name) == 0)
            return false;
    return true;
}

static void write_points_script(const char *name, size_t n, const mn_contestant *contestants,
                                FILE *out)
{
    static const char *const colours[] = {"#1f5fa8", "#d1700e", "#2a7d46",
                                          "#8e3b8e", "#888888", "#b03030"};
    const mn_score_list *scores = contestants[0].table->scores;
    uint32_t n_names = 0;
    for (uint32_t i = 0; i < scores->n; i++)
        n_names += is_first_of_name(scores, i);
    (void)fprintf(out,
                  "# Draws %s.png from %s.dat: gnuplot %s.gp\n%s"
                  "set terminal pngcairo size 1200,%u font 'DejaVu Sans,13'\n"
                  "set output '%s.png'\nset datafile missing '?'\n"
                  "set key outside below horizontal noenhanced\nset autoscale xfix\nset offsets "
                  "graph 0.03, graph 0.03, "
                  "graph 0.05, graph 0.05\nset multiplot layout %u,1\n",
                  name, name, name, style, 150 + 400 * (unsigned)n_names, name, (unsigned)n_names);
    size_t block = 0;
    for (uint32_t i = 0; i < scores->n; i++) {
        const mn_score *score = &scores->at[i];
        const char *unit = score->is_share ? "%" : score->unit;
        const char *factor = score->is_share ? "100*" : "";
        char axis[sizeof score->axis];
        if (!is_first_of_name(scores, i))
            continue;
        (void)snprintf(axis, sizeof axis, "%s", score->axis);
        for (char *at = axis; *at != '\0'; at++)
            if (*at == '_')
                *at = ' ';
        (void)fprintf(out, "set xlabel '%s' noenhanced\nset ylabel '%s%s%s%s' noenhanced\nplot ",
                      axis, score->name, unit[0] != '\0' ? " (" : "", unit,
                      unit[0] != '\0' ? ")" : "");
        for (size_t k = 0; k < n; k++, block++) {
            const char *colour = colours[k % (sizeof colours / sizeof *colours)];
            const bool line = is_number(score->point);
            (void)fprintf(out,
                          "%s'%s.dat' index %zu using 1:(%s$2):(%s$3):(%s$4)%s with yerrorbars "
                          "pt 7 ps 0.8 lw 1.5 lc rgb '%s' title ",
                          k > 0 ? ", \\\n     " : "", name, block, factor, factor, factor,
                          line ? "" : ":xtic(5)", colour);
            put_quoted(contestants[k].name, out);
            if (line)
                (void)fprintf(out,
                              ", \\\n     '' index %zu using 1:(%s$2) with lines lw 1.5 lc rgb "
                              "'%s' notitle",
                              block, factor, colour);
        }
        (void)fputc('\n', out);
    }
    (void)fputs("unset multiplot\nset output\n", out);
}

mn_status mn_chart_points(const char *png, size_t n, const mn_contestant *contestants,
                          mn_error *err)
{
    char folder[PATH_MAX] = ".";
    char name[256];
    char *text = NULL;
    size_t size = 0;
    const char *slash = strrchr(png, '/');
    const char *base = slash != NULL ? slash + 1 : png;
    const size_t length = strlen(base);
    if (length < 5 || length >= sizeof name || strcmp(base + length - 4, ".png") != 0 ||
        strpbrk(base, "'\"\\\n") != NULL || strlen(png) >= sizeof folder)
        return mn_fail(err, MN_ERR_USAGE, "--png %s: expected the name of a file that ends in .png",
                       png);
    (void)snprintf(name, sizeof name, "%.*s", (int)length - 4, base);
    if (slash != NULL)
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - png + 1), png);
    const mn_score_list *scores = contestants[0].table->scores;
    FILE *out = open_memstream(&text, &size);
    for (uint32_t i = 0; i < scores->n && out != NULL; i++)
        if (is_first_of_name(scores, i))
            write_points(n, contestants, scores->at[i].name, out);
    mn_status status = save(folder, name, "dat", out, &text, err);
    if (status == MN_OK) {
        out = open_memstream(&text, &size);
        if (out != NULL)
            write_points_script(name, n, contestants, out);
        status = save(folder, name, "gp", out, &text, err);
    }
    return status == MN_OK ? draw(folder, name, err) : status;
}

static uint32_t panel_of(const struct panels *panels, const char *name)
{
    uint32_t k = 0;
    while (k < panels->n && strcmp(panels->scores[k]->name, name) != 0)
        k++;
    return k;
}

static void add_panel(struct panels *panels, const mn_score *score)
{
    if (panels->n < MAX_PANELS && panel_of(panels, score->name) == panels->n)
        panels->scores[panels->n++] = score;
}

static void find_panels(const mn_score_list *scores, const mn_score_list *tests,
                        struct panels *panels)
{
    for (uint32_t i = 0; i < scores->n; i++)
        add_panel(panels, &scores->at[i]);
    for (uint32_t i = 0; tests != NULL && i < tests->n; i++)
        if (mn_score_is_beside(&tests->at[i], &tests->at[tests->judged]))
            add_panel(panels, &tests->at[i]);
}

static void find_keys(const struct panels *panels, const mn_score_list *scores,
                      const mn_score_list *tests, struct curves *curves)
{
    uint32_t n = 0;
    curves->training.n_keys = curves->validation.n_keys = panels->n;
    for (uint32_t i = 0; i < panels->n; i++) {
        (void)snprintf(curves->training.keys[i], MN_SCORE_KEY, "%s", panels->scores[i]->name);
        (void)snprintf(curves->validation.keys[i], sizeof curves->validation.keys[i], "val_%s",
                       panels->scores[i]->name);
    }
    for (uint32_t i = 0; tests != NULL && i < tests->n && n < MAX_SETS; i++) {
        char key[MN_SCORE_KEY];
        if (!mn_score_is_apart(tests, i))
            continue;
        mn_score_key(&tests->at[i], key);
        (void)snprintf(curves->sets.keys[n], sizeof curves->sets.keys[n], "val_%s", key);
        curves->of_sets[n++] = &tests->at[i];
    }
    curves->sets.n_keys = n;
    if (n > 0)
        curves->sets_beside = panel_of(panels, curves->of_sets[0]->name);
    if (n > SETS_OF_A_PANEL) /* nobody could tell them apart there */
        curves->sets_beside = panels->n;
    else if (curves->sets_beside == panels->n)
        curves->sets_beside = panel_of(panels, scores->at[scores->judged].name);
}

static mn_status read_history(const char *path, struct curves *curves, mn_error *err)
{
    char *line = NULL;
    size_t room = 0;
    mn_status status = MN_OK;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return mn_fail_errno(err, "open %s", path);
    while (status == MN_OK && getline(&line, &room, file) > 0) {
        json_t *record = json_loads(line, 0, NULL); /* NULL for a torn line: it is left out */
        bool validated = json_object_get(record, "val_tasks") != NULL;
        if (record != NULL)
            status = remember(validated ? &curves->validation : &curves->training, record, err);
        if (validated && status == MN_OK && curves->sets.n_keys > 0)
            status = remember(&curves->sets, record, err);
        json_decref(record);
    }
    free(line);
    (void)fclose(file);
    return status;
}

/* A record that has none of the numbers is left out: no task of it counted. */
static mn_status remember(struct history *history, json_t *record, mn_error *err)
{
    const size_t columns = 1 + (size_t)history->n_keys;
    double point[1 + MAX_SETS] = {json_number_value(json_object_get(record, "step"))};
    bool any = false;
    for (uint32_t i = 0; i < history->n_keys; i++) {
        const json_t *number = json_object_get(record, history->keys[i]);
        point[1 + i] = json_is_number(number) ? json_number_value(number) : NAN;
        any = any || json_is_number(number);
    }
    if (!any)
        return MN_OK;
    if (history->n == history->capacity) {
        size_t capacity = history->capacity == 0 ? 1024 : 2 * history->capacity;
        double *more = realloc(history->at, capacity * columns * sizeof *more);
        if (more == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "learning curve");
        history->at = more;
        history->capacity = capacity;
    }
    memcpy(history->at + history->n++ * columns, point, columns * sizeof *point);
    return MN_OK;
}

/* Mean of the finite ones of n numbers, `stride` apart; NaN: there is none. */
static double mean_of(size_t n, const double *numbers, size_t stride)
{
    double sum = 0;
    size_t counted = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(numbers[i * stride])) {
            sum += numbers[i * stride];
            counted++;
        }
    return counted > 0 ? sum / (double)counted : NAN;
}

static void put_number(double number, FILE *out)
{
    if (isfinite(number))
        (void)fprintf(out, " %.9g", number);
    else
        (void)fputs(" ?", out);
}

/* The step and scores of groups of steps, and of each score a mean over as many points before as
 * after, so that the bold line lags behind nothing. */
static void write_training(const struct history *training, const struct panels *panels, FILE *out)
{
    enum { COLUMNS = 1 + MAX_PANELS };
    size_t group = (training->n + MAX_POINTS - 1) / MAX_POINTS;
    double mean[MAX_POINTS][COLUMNS];
    const size_t columns = 1 + (size_t)panels->n;
    size_t n_points = 0;
    for (size_t begin = 0; begin < training->n; begin += group, n_points++) {
        size_t n = training->n - begin < group ? training->n - begin : group;
        for (size_t k = 0; k < columns; k++)
            mean[n_points][k] = mean_of(n, training->at + begin * columns + k, columns);
    }
    (void)fprintf(out, "# training, means of %zu steps: step", group);
    for (uint32_t k = 0; k < panels->n; k++)
        (void)fprintf(out, ", %s", panels->scores[k]->name);
    for (uint32_t k = 0; k < panels->n; k++)
        (void)fprintf(out, ", smoothed %s", panels->scores[k]->name);
    (void)fputc('\n', out);
    for (size_t i = 0; i < n_points; i++) {
        size_t reach = i < n_points - 1 - i ? i : n_points - 1 - i;
        reach = reach < SMOOTHING ? reach : SMOOTHING;
        (void)fprintf(out, "%.9g", mean[i][0]);
        for (size_t k = 1; k < columns; k++)
            put_number(mean[i][k], out);
        for (size_t k = 1; k < columns; k++)
            put_number(mean_of(2 * reach + 1, &mean[i - reach][k], COLUMNS), out);
        (void)fputc('\n', out);
    }
}

static void write_validation(const struct history *validation, FILE *out)
{
    const size_t columns = 1 + (size_t)validation->n_keys;
    (void)fputs("\n\n# validation: step", out);
    for (uint32_t k = 0; k < validation->n_keys; k++)
        (void)fprintf(out, ", %s", validation->keys[k] + strlen("val_"));
    (void)fputc('\n', out);
    for (size_t i = 0; i < validation->n; i++) {
        (void)fprintf(out, "%.0f", validation->at[i * columns]);
        for (size_t k = 1; k < columns; k++)
            put_number(validation->at[i * columns + k], out);
        (void)fputc('\n', out);
    }
}

/* Widen [*low, *high] to the numbers of key k. */
static void widen(const struct history *history, uint32_t k, double *low, double *high)
{
    const size_t columns = 1 + (size_t)history->n_keys;
    for (size_t i = 0; i < history->n; i++) {
        const double number = history->at[i * columns + 1 + k];
        if (isfinite(number)) {
            *low = fmin(*low, number);
            *high = fmax(*high, number);
        }
    }
}

static bool has(const struct history *history, uint32_t k)
{
    double low = INFINITY, high = -INFINITY;
    widen(history, k, &low, &high);
    return low <= high;
}

/* A share from the bottom up to 100 %, a loss in nats down to 0, any other score that is positive on a
 * logarithmic axis: a squared error falls by powers of ten. */
static void put_axis(const mn_score *score, double low, double high, FILE *out)
{
    const char *unit = score->is_share ? "%" : score->unit;
    const bool nats = strcmp(score->unit, "nats") == 0;
    (void)fprintf(out, "  set ylabel '%s%s%s%s' noenhanced\n", score->name,
                  unit[0] != '\0' ? " (" : "", unit, unit[0] != '\0' ? ")" : "");
    if (score->is_share || nats || low <= 0)
        (void)fprintf(out, "  unset logscale y\n  set ytics auto\n  set yrange %s\n",
                      score->is_share ? "[*:100]"
                      : nats          ? "[0:*]"
                                      : "[*:*]");
    else
        (void)fprintf(out, "  set logscale y\n  set yrange [*:*]\n  set ytics %s\n",
                      high / low > 1e4
                          ? "auto" /* a tick each power of ten */
                          : "(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, "
                            "2, 5, 10, 20, 50, 100)");
}

/* Lines of the sets from `begin` on, behind others or as the first. */
static void put_sets(const struct curves *curves, uint32_t begin, const char *factor,
                     const char *between, FILE *out)
{
    for (uint32_t i = begin; i < curves->sets.n_keys && i < begin + SETS_OF_A_PANEL; i++) {
        if (!has(&curves->sets, i))
            continue;
        (void)fprintf(out,
                      "%s'curve.dat' index 2 using 1:(%s$%u) with linespoints pt 6 ps 0.6 lw 1 "
                      "dt 2 lc %u title '%s %s' noenhanced",
                      between, factor, (unsigned)i + 2, (unsigned)(i - begin) + 1,
                      curves->of_sets[i]->axis, curves->of_sets[i]->point);
        between = ", \\\n       ";
    }
}

/* Panel k of the learning curve. */
static void put_panel(const struct panels *panels, uint32_t k, const struct curves *curves,
                      FILE *out)
{
    const mn_score *score = panels->scores[k];
    const char *factor = score->is_share ? "100*" : "";
    const char *colour = score->is_share ? "#2a7d46" : "#1f5fa8";
    const char *pale = score->is_share ? "#bfe0ca" : "#b9d0ea";
    const bool trained = has(&curves->training, k);
    unsigned column = k + 2; /* of the raw numbers */
    double low = INFINITY, high = -INFINITY;
    widen(&curves->training, k, &low, &high);
    widen(&curves->validation, k, &low, &high);
    put_axis(score, low, high, out);
    (void)fprintf(out, "  set key inside %s right\n  plot ",
                  score->higher_is_better ? "bottom" : "top");
    if (trained)
        (void)fprintf(out,
                      "'curve.dat' index 0 using 1:(%s$%u) with lines lw 1 lc rgb '%s' title "
                      "'training', \\\n"
                      "       '' index 0 using 1:(%s$%u) with lines lw 2.5 lc rgb '%s' title "
                      "'training, smoothed'",
                      factor, column, pale, factor, column + panels->n, colour);
    if (has(&curves->validation, k))
        (void)fprintf(out,
                      "%s'curve.dat' index 1 using 1:(%s$%u) with linespoints pt 7 ps 0.8 lw 1.5 "
                      "lc rgb '#d1700e' title 'validation'",
                      trained ? ", \\\n       " : "", factor, column);
    if (k == curves->sets_beside)
        put_sets(curves, 0, factor, ", \\\n       ", out);
    (void)fputc('\n', out);
}

/* Many sets have panels of their own, so many a panel. Returns how many; `out` NULL: only count. */
static uint32_t put_panels_of_sets(const struct panels *panels, const struct curves *curves,
                                   FILE *out)
{
    uint32_t n = 0;
    for (uint32_t begin = 0; begin < curves->sets.n_keys; begin += SETS_OF_A_PANEL) {
        double low = INFINITY, high = -INFINITY;
        for (uint32_t i = begin; i < curves->sets.n_keys && i < begin + SETS_OF_A_PANEL; i++)
            widen(&curves->sets, i, &low, &high);
        if (low > high || curves->sets_beside < panels->n)
            continue;
        n++;
        if (out == NULL)
            continue;
        put_axis(curves->of_sets[begin], low, high, out);
        (void)fputs("  set key outside right top\n", out);
        put_sets(curves, begin, curves->of_sets[begin]->is_share ? "100*" : "", "  plot ", out);
        (void)fputc('\n', out);
    }
    return n;
}

static void write_curve_script(const char *title, const struct panels *panels,
                               const struct curves *curves, FILE *out)
{
    uint32_t n = put_panels_of_sets(panels, curves, NULL);
    for (uint32_t k = 0; k < panels->n; k++)
        n += has(&curves->training, k) || has(&curves->validation, k);
    uint32_t height = 300 + 300 * n;
    (void)fprintf(
        out,
        "# Draws curve.png and curve.svg from curve.dat: gnuplot curve.gp\n%s"
        "set datafile missing '?'\n"
        "do for [kind in 'png svg'] {\n"
        "  if (kind eq 'png') { set terminal pngcairo size 1200,%u font 'DejaVu Sans,13' }\n"
        "  else { set terminal svg size 1200,%u dynamic font 'DejaVu Sans,13' background "
        "rgb 'white' }\n"
        "  set output 'curve.' . kind\n",
        style, (unsigned)height, (unsigned)height);
    (void)fputs("  title = ", out);
    put_quoted(title, out);
    (void)fputs("\n  set multiplot layout ", out);
    (void)fprintf(out, "%u,1 title title font ',15' noenhanced\n", (unsigned)n);
    (void)fputs("  set xlabel 'meta-step'\n", out);
    for (uint32_t k = 0; k < panels->n; k++)
        if (has(&curves->training, k) || has(&curves->validation, k))
            put_panel(panels, k, curves, out);
    (void)put_panels_of_sets(panels, curves, out);
    (void)fputs("  unset multiplot\n  set output\n}\n", out);
}

static void write_fit_script(const char *name, const mn_fitted_curve *curve, FILE *out)
{
    (void)fprintf(out,
                  "# Draws %s.png from %s.dat: gnuplot %s.gp\n%s"
                  "set terminal pngcairo size 1200,700 font 'DejaVu Sans,13'\n"
                  "set output '%s.png'\n"
                  "set key outside below horizontal\nset autoscale xfix\n"
                  "set xlabel 'x'\nset ylabel 'y'\nset offsets 0, 0, graph 0.05, graph 0.05\n"
                  "set title font ',15' noenhanced\nset title ",
                  name, name, name, style, name);
    put_quoted(curve->title, out);
    (void)fprintf(out,
                  "\nplot '%s.dat' index 0 using 1:2 with lines lw 2 lc rgb '#888888' title "
                  "'truth', \\\n",
                  name);
    if (curve->before != NULL)
        (void)fputs("     '' index 0 using 1:4 with lines lw 2 dt 2 lc rgb '#2a7d46' title "
                    "'before adaptation', \\\n",
                    out);
    (void)fprintf(out,
                  "     '' index 0 using 1:3 with lines lw 2.5 lc rgb '#1f5fa8' title "
                  "'after %" PRIu32 " inner step%s', \\\n"
                  "     '' index 1 using 1:2 with points pt 7 ps 1.6 lc rgb '#d1700e' title "
                  "'support points'\nset output\n",
                  curve->inner_steps, curve->inner_steps == 1 ? "" : "s");
}

/* Close the memory stream, write its text to <folder>/<name>.<ending>, free the text. */
static mn_status save(const char *folder, const char *name, const char *ending, FILE *memory,
                      char **text, mn_error *err)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    mn_status status = MN_OK;
    if (memory == NULL || fclose(memory) != 0)
        status = mn_fail(err, MN_ERR_NOMEM, "picture %s", name);
    else if (length < 0 || length >= PATH_MAX)
        status = mn_fail(err, MN_ERR_USAGE, "the path of folder %s is too long", folder);
    else
        status = mn_file_write(path, *text, strlen(*text), err);
    free(*text);
    *text = NULL;
    return status;
}

static mn_status draw(const char *folder, const char *name, mn_error *err)
{
    char script[128];
    char *const arguments[] = {"gnuplot", "-d", script, NULL}; /* not with a person's ~/.gnuplot */
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none; /* held back: signals end gnuplot even where we hold them back ourselves */
    pid_t child = 0;
    int state = 0;
    (void)snprintf(script, sizeof script, "%s.gp", name);
    if (posix_spawn_file_actions_init(&files) != 0)
        return mn_fail(err, MN_ERR_NOMEM, "start of gnuplot");
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return mn_fail(err, MN_ERR_NOMEM, "start of gnuplot");
    }
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawn_file_actions_addchdir_np(&files, folder);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    if (error == 0)
        error = posix_spawnp(&child, arguments[0], &files, &attributes, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    if (error == ENOENT)
        return mn_fail(
            err, MN_ERR_UNAVAILABLE,
            "no picture %s/%s.png: gnuplot is not installed (package gnuplot-nox); then: "
            "cd %s && gnuplot -d %s",
            folder, name, folder, script);
    if (error != 0) {
        errno = error;
        return mn_fail_errno(err, "start gnuplot");
    }
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR)
            return mn_fail_errno(err, "wait for gnuplot");
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0)
        return mn_fail(err, MN_ERR_IO, "gnuplot failed; to see why: cd %s && gnuplot -d %s", folder,
                       script);
    return MN_OK;
}

/* In single quotes gnuplot reads everything as it stands, and '' as a quote. */
static void put_quoted(const char *text, FILE *out)
{
    (void)fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            (void)fputc('\'', out);
        if ((unsigned char)*text >= ' ')
            (void)fputc(*text, out);
    }
    (void)fputc('\'', out);
}
