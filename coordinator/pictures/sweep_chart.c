#include "coordinator/pictures/sweep_chart.h"

#include "coordinator/pictures/gnuplot.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 2, MOST_LABEL = 24 };

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

/* Three blocks a key: points after the first leg, means of these, points that are done. */
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
                put(place_of(table, axis, table->rows[i].point), table->rows[i].validation.mean,
                    factor, out);
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
            char label[MOST_LABEL + 1];
            (void)snprintf(label, sizeof label, "%s", at->values[i]);
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
        "     '' index %" PRIu32 " using 1:2 with points pt 7 ps 1 lc rgb '#d1700e' title "
        "'done'\n",
        3 * axis, table->plan->n_rungs > 0 ? " at the first rung" : "", 3 * axis + 1, 3 * axis + 2);
}

static void write_script(const mn_sweep_table *table, FILE *out)
{
    const uint32_t n = table->plan->file->n_axes, columns = n < COLUMNS ? n : COLUMNS;
    const uint32_t rows = (n + columns - 1) / columns;
    (void)fprintf(out,
                  "# Draws sweep.png from sweep.dat: gnuplot sweep.gp\n%s"
                  "set terminal pngcairo size %u,%u font 'DejaVu Sans,12'\nset output 'sweep.png'\n"
                  "set key outside below horizontal noenhanced\n"
                  "set offsets 0, 0, graph 0.05, graph 0.05\n"
                  "set multiplot layout %u,%u\n",
                  mn_gnuplot_style, (unsigned)(700 * columns), (unsigned)(60 + 400 * rows),
                  (unsigned)rows, (unsigned)columns);
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
