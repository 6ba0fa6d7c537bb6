#include "coordinator/pictures/sweep_chart.h"

#include "coordinator/pictures/gnuplot.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 2, MOST_LABEL = 24, BLOCKS = 4 };

/* Where on its axis a point stands: a number, or the place of its value in the list. */
static double place_of(const mn_sweep_table *table, uint32_t axis, uint32_t point)
{
    const mn_sweep_axis *at = &table->plan->file->axes[axis];
    char value[MN_OPTION_LONGEST];
    mn_sweep_plan_value(table->plan, point, axis, value);
    for (uint32_t i = 0; i < at->n_values; i++)
        if (strcmp(at->values[i], value) == 0)
            return i;
    return atof(value);
}

static double middle_of(const mn_sweep_axis *axis, uint32_t group)
{
    const double share = (group + 0.5) / MN_SWEEP_BINS;
    if (axis->n_values > 0)
        return group;
    return axis->log ? axis->low * pow(axis->high / axis->low, share)
                     : axis->low + share * (axis->high - axis->low);
}

static void put(double x, double y, double factor, FILE *out)
{
    if (isfinite(y))
        (void)fprintf(out, "%.9g %.9g\n", x, factor * y);
}

/* With its interval over seeds; of one seed there is none. */
static void put_spread(double x, const mn_spread *y, double factor, FILE *out)
{
    if (isfinite(y->mean))
        (void)fprintf(out, "%.9g %.9g %.9g\n", x, factor * y->mean,
                      isfinite(y->half_width) ? factor * y->half_width : 0);
}

/* From the lowest to the highest point and a little more: an interval over two seeds may be far wider, and is cut
 * off there. */
static void put_range(const mn_sweep_table *table, double factor, FILE *out)
{
    double low = INFINITY, high = -INFINITY;
    for (uint32_t i = 0; i < table->plan->n_points; i++) {
        const double at[] = {table->rows[i].first.mean, table->rows[i].validation.mean};
        for (size_t k = 0; k < 2; k++)
            if (isfinite(at[k])) {
                low = fmin(low, factor * at[k]);
                high = fmax(high, factor * at[k]);
            }
    }
    const double room = high > low ? 0.25 * (high - low) : fmax(0.01 * fabs(low), 1e-6);
    if (low <= high)
        (void)fprintf(out, "set yrange [%.9g:%.9g]\n", low - room, high + room);
}

/* Four blocks a key: points after the first leg, means of these, points that are done with their intervals, the
 * best. */
static void write_data(const mn_sweep_table *table, double factor, FILE *out)
{
    const mn_sweep_plan *plan = table->plan;
    for (uint32_t axis = 0; axis < plan->file->n_axes; axis++) {
        (void)fprintf(out, "# %s: place, validation after the first leg\n",
                      plan->file->axes[axis].key);
        for (uint32_t i = 0; i < plan->n_points; i++)
            put(place_of(table, axis, table->rows[i].point), table->rows[i].first.mean, factor,
                out);
        (void)fputs("\n\n# means of these\n", out);
        for (uint32_t i = 0; i < table->margins[axis].n; i++)
            put(middle_of(&plan->file->axes[axis], i), table->margins[axis].groups[i].validation,
                factor, out);
        (void)fputs("\n\n# of the points that are done, in the end\n", out);
        for (uint32_t i = 0; i < plan->n_points; i++)
            if (table->rows[i].fate == MN_POINT_DONE)
                put_spread(place_of(table, axis, table->rows[i].point), &table->rows[i].validation,
                           factor, out);
        (void)fputs("\n\n# of these the best\n", out);
        if (table->n_best > 0)
            put(place_of(table, axis, table->rows[0].point), table->rows[0].validation.mean, factor,
                out);
        (void)fputs("\n\n", out);
    }
}

static void write_panel(const mn_sweep_table *table, uint32_t axis, FILE *out)
{
    const mn_sweep_axis *at = &table->plan->file->axes[axis];
    (void)fputs("set xlabel ", out);
    mn_gnuplot_put_text(at->key, out);
    (void)fprintf(out, " noenhanced\nset ylabel 'validation %s%s' noenhanced\n",
                  table->validated_by.name, table->validated_by.is_share ? " (%)" : "");
    if (at->n_values > 0) {
        (void)fprintf(out, "unset logscale x\nset xrange [-0.5:%g]\nset xtics (",
                      at->n_values - 0.5);
        for (uint32_t i = 0; i < at->n_values; i++) {
            char label[MOST_LABEL + 4];
            const char *value = at->values[i];
            (void)snprintf(label, sizeof label, "%.*s%s", (int)MOST_LABEL,
                           value[0] != '\0' ? value : "\"\"",
                           strlen(value) > MOST_LABEL ? "..." : "");
            (void)fputs(i > 0 ? ", " : "", out);
            mn_gnuplot_put_text(label, out);
            (void)fprintf(out, " %" PRIu32, i);
        }
        (void)fputs(") noenhanced\n", out);
    } else {
        (void)fprintf(out, "%s logscale x\nset xrange [%.9g:%.9g]\nset xtics autofreq\n",
                      at->log ? "set" : "unset", at->low, at->high);
    }
    (void)fprintf(
        out,
        "plot 'sweep.dat' index %" PRIu32 " using 1:2 with points pt 6 ps 0.9 lc rgb "
        "'#888888' title 'points%s', \\\n"
        "     '' index %" PRIu32 " using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb "
        "'#1f5fa8' title 'their mean', \\\n"
        "     '' index %" PRIu32 " using 1:2:3 with yerrorbars pt 7 ps 1 lc rgb '#d1700e' title "
        "'done%s'",
        BLOCKS * axis, table->plan->n_rungs > 0 ? " at the first rung" : "", BLOCKS * axis + 1,
        BLOCKS * axis + 2, table->plan->n_seeds > 1 ? ", 95 % over seeds" : "");
    if (table->n_best > 0)
        (void)fprintf(out,
                      ", \\\n     '' index %" PRIu32
                      " using 1:2 with points pt 4 ps 2.2 lw 2 lc rgb "
                      "'#1a7f37' title 'the best'",
                      BLOCKS * axis + 3);
    (void)fputc('\n', out);
}

static void write_script(const mn_sweep_table *table, FILE *out)
{
    const uint32_t n = table->plan->file->n_axes, columns = n < COLUMNS ? n : COLUMNS;
    const uint32_t rows = (n + columns - 1) / columns;
    (void)fprintf(out,
                  "# Draws sweep.png from sweep.dat: gnuplot sweep.gp\n%s"
                  "set terminal pngcairo size %u,%u font 'DejaVu Sans,12'\nset output 'sweep.png'\n"
                  "set key outside below horizontal noenhanced\n"
                  "set multiplot layout %u,%u\n",
                  mn_gnuplot_style, (unsigned)(700 * columns), (unsigned)(60 + 400 * rows),
                  (unsigned)rows, (unsigned)columns);
    put_range(table, table->validated_by.is_share ? 100 : 1, out);
    for (uint32_t axis = 0; axis < n; axis++)
        write_panel(table, axis, out);
    (void)fputs("unset multiplot\nset output\n", out);
}

mn_status mn_sweep_chart_draw(const char *folder, const mn_sweep_table *table, mn_error *err)
{
    char *text = NULL;
    size_t size = 0;
    if (table->plan->file->n_axes == 0 || table->validated_by.name[0] == '\0')
        return mn_fail(
            err, MN_ERR_UNAVAILABLE,
            "no picture: it would show how validation depends on the keys that vary, and %s",
            table->plan->file->n_axes == 0 ? "none does" : "no run was validated (evaluate.every)");
    FILE *out = open_memstream(&text, &size);
    if (out != NULL)
        write_data(table, table->validated_by.is_share ? 100 : 1, out);
    mn_status status = mn_gnuplot_save(folder, "sweep", "dat", out, &text, err);
    if (status == MN_OK) {
        out = open_memstream(&text, &size);
        if (out != NULL)
            write_script(table, out);
        status = mn_gnuplot_save(folder, "sweep", "gp", out, &text, err);
    }
    return status == MN_OK ? mn_gnuplot_draw(folder, "sweep", err) : status;
}
