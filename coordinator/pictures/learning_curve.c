#include "coordinator/pictures/learning_curve.h"

#include "common/room.h"
#include "coordinator/pictures/gnuplot.h"
#include "coordinator/run/run_history.h"
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_POINTS 1500u /* of a curve; more steps are averaged in groups */
#define SMOOTHING 15u    /* points to each side over which the bold line is averaged */

enum { MAX_PANELS = 8, SETS_OF_A_PANEL = 8, MAX_SETS = 64 };

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
static mn_history_visit sort_record;
static mn_status remember(struct history *history, const json_t *record, mn_error *err);
static void write_training(const struct history *training, const struct panels *panels, FILE *out);
static void write_validation(const struct history *validation, FILE *out);
static void write_curve_script(const char *title, const struct panels *panels,
                               const struct curves *curves, FILE *out);

mn_status mn_learning_curve_draw(const char *folder, const char *title, const mn_score_list *scores,
                                 const mn_score_list *tests, mn_error *err)
{
    struct panels panels = {0};
    struct curves curves = {0};
    char *text = NULL;
    size_t n = 0;
    find_panels(scores, tests, &panels);
    find_keys(&panels, scores, tests, &curves);
    mn_status status = mn_history_each(folder, NULL, 1, sort_record, &curves, err);
    if (status == MN_OK && curves.training.n == 0)
        status =
            mn_fail(err, MN_ERR_NO_INPUT, "%s/metrics.jsonl holds no meta-step to draw", folder);
    if (status == MN_OK) {
        FILE *out = open_memstream(&text, &n);
        if (out != NULL) {
            write_training(&curves.training, &panels, out);
            write_validation(&curves.validation, out);
            write_validation(&curves.sets, out);
        }
        status = mn_gnuplot_save(folder, "curve", "dat", out, &text, err);
    }
    if (status == MN_OK) {
        FILE *out = open_memstream(&text, &n);
        if (out != NULL)
            write_curve_script(title, &panels, &curves, out);
        status = mn_gnuplot_save(folder, "curve", "gp", out, &text, err);
    }
    free(curves.training.at);
    free(curves.validation.at);
    free(curves.sets.at);
    return status == MN_OK ? mn_gnuplot_draw(folder, "curve", err) : status;
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

static mn_status sort_record(void *context, const json_t *record, mn_error *err)
{
    struct curves *curves = context;
    const bool validated = json_object_get(record, "val_tasks") != NULL;
    mn_status status = remember(validated ? &curves->validation : &curves->training, record, err);
    if (validated && status == MN_OK && curves->sets.n_keys > 0)
        status = remember(&curves->sets, record, err);
    return status;
}

/* A record that has none of the numbers is left out: no task of it counted. */
static mn_status remember(struct history *history, const json_t *record, mn_error *err)
{
    const size_t columns = 1 + (size_t)history->n_keys;
    double point[1 + MAX_SETS] = {json_number_value(json_object_get(record, "step"))};
    bool any = false;
    for (uint32_t i = 0; i < history->n_keys; i++) {
        point[1 + i] = mn_history_number(record, history->keys[i]);
        any = any || isfinite(point[1 + i]);
    }
    if (!any)
        return MN_OK;
    if (!mn_room_make((void **)&history->at, history->n, 1, &history->capacity,
                      columns * sizeof *point))
        return mn_fail(err, MN_ERR_NOMEM, "learning curve");
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
        mn_gnuplot_style, (unsigned)height, (unsigned)height);
    (void)fputs("  title = ", out);
    mn_gnuplot_put_text(title, out);
    (void)fputs("\n  set multiplot layout ", out);
    (void)fprintf(out, "%u,1 title title font ',15' noenhanced\n", (unsigned)n);
    (void)fputs("  set xlabel 'meta-step'\n", out);
    for (uint32_t k = 0; k < panels->n; k++)
        if (has(&curves->training, k) || has(&curves->validation, k))
            put_panel(panels, k, curves, out);
    (void)put_panels_of_sets(panels, curves, out);
    (void)fputs("  unset multiplot\n  set output\n}\n", out);
}
