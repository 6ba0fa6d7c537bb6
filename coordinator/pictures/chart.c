#include "coordinator/pictures/chart.h"

#include "coordinator/pictures/gnuplot.h"
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void write_fit_script(const char *name, const mn_fitted_curve *curve, FILE *out);

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
    mn_status status = mn_gnuplot_save(folder, name, "dat", out, &text, err);
    if (status == MN_OK) {
        out = open_memstream(&text, &n);
        if (out != NULL)
            write_fit_script(name, curve, out);
        status = mn_gnuplot_save(folder, name, "gp", out, &text, err);
    }
    return status == MN_OK ? mn_gnuplot_draw(folder, name, err) : status;
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
    mn_status status = mn_gnuplot_save(folder, name, "dat", out, &text, err);
    if (status != MN_OK)
        return status;
    out = open_memstream(&text, &size);
    if (out != NULL) {
        (void)fprintf(out,
                      "# Draws %s.svg from %s.dat: gnuplot %s.gp\n%s"
                      "set terminal svg size 900,420 dynamic font 'DejaVu Sans,13' background rgb "
                      "'white'\nset output '%s.svg'\nset key outside below horizontal noenhanced\n"
                      "set xlabel 'meta-step'\nset title font ',15' noenhanced\nset title ",
                      name, name, name, mn_gnuplot_style, name);
        mn_gnuplot_put_text(title, out);
        for (size_t k = 0; k < n; k++) {
            (void)fprintf(
                out, "%s'%s.dat' index %zu using 1:2%s lw 2 lc rgb '%s' noenhanced title ",
                k == 0 ? "\nplot " : ", \\\n     ", name, k,
                lines[k].half_width != NULL ? ":3 with yerrorlines pt 7 ps 0.5" : " with lines",
                colours[k % n_colours]);
            mn_gnuplot_put_text(lines[k].title, out);
        }
        (void)fputs("\nset output\n", out);
    }
    status = mn_gnuplot_save(folder, name, "gp", out, &text, err);
    return status == MN_OK ? mn_gnuplot_draw(folder, name, err) : status;
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
                  name, name, name, mn_gnuplot_style, 150 + 400 * (unsigned)n_names, name,
                  (unsigned)n_names);
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
            mn_gnuplot_put_text(contestants[k].name, out);
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
    mn_status status = mn_gnuplot_save(folder, name, "dat", out, &text, err);
    if (status == MN_OK) {
        out = open_memstream(&text, &size);
        if (out != NULL)
            write_points_script(name, n, contestants, out);
        status = mn_gnuplot_save(folder, name, "gp", out, &text, err);
    }
    return status == MN_OK ? mn_gnuplot_draw(folder, name, err) : status;
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
                  name, name, name, mn_gnuplot_style, name);
    mn_gnuplot_put_text(curve->title, out);
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
