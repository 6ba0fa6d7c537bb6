#include "coordinator/run/sweep_table.h"

#include "common/file.h"
#include "common/json_number.h"
#include "coordinator/run/run.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 20 }; /* in print */

static void fill_row(mn_sweep_table *table, uint32_t point, mn_sweep_row *row);
static int by_rank(const void *a, const void *b);
static mn_status fill_margin(mn_sweep_table *table, uint32_t axis, mn_error *err);
static const char *in_print(const mn_score *score, double value, char text[32]);
static const char *fate_text(const mn_sweep_table *table, const mn_sweep_row *row, char text[48]);

void mn_sweep_results_fini(mn_sweep_results *results)
{
    free(results->runs);
    free(results->points);
    *results = (mn_sweep_results){0};
}

mn_status mn_sweep_table_new(const mn_sweep_plan *plan, const mn_sweep_results *results,
                             mn_sweep_table **out, mn_error *err)
{
    mn_sweep_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of the sweep");
    table->plan = plan;
    table->results = results;
    table->rows = calloc(plan->n_points, sizeof *table->rows);
    mn_status status =
        table->rows == NULL ? mn_fail(err, MN_ERR_NOMEM, "table of the sweep") : MN_OK;
    for (uint32_t run = 0; run < plan->n_runs && status == MN_OK; run++) {
        const mn_sweep_result *result = &results->runs[run];
        if (result->there && result->outcome.validated)
            table->validated_by = result->outcome.validated_by;
        if (result->there && result->outcome.tested)
            table->judged = result->outcome.judged;
    }
    for (uint32_t point = 0; point < plan->n_points && status == MN_OK; point++)
        fill_row(table, point, &table->rows[point]);
    for (uint32_t axis = 0; axis < plan->file->n_axes && status == MN_OK; axis++)
        status = fill_margin(table, axis, err);
    if (status != MN_OK) {
        mn_sweep_table_destroy(&table);
        return status;
    }
    /* the larger the better, for sorting */
    const double sign = table->validated_by.higher_is_better ? 1 : -1;
    for (uint32_t i = 0; i < plan->n_points; i++)
        table->rows[i].validation.mean *= sign;
    qsort(table->rows, plan->n_points, sizeof *table->rows, by_rank);
    for (uint32_t i = 0; i < plan->n_points; i++)
        table->rows[i].validation.mean *= sign;
    table->n_best =
        table->rows[0].fate == MN_POINT_DONE && isfinite(table->rows[0].validation.mean);
    *out = table;
    return MN_OK;
}

void mn_sweep_table_destroy(mn_sweep_table **table)
{
    if (*table == NULL)
        return;
    for (uint32_t i = 0; i < MN_SWEEP_MAX_AXES; i++)
        free((*table)->margins[i].groups);
    free((*table)->rows);
    free(*table);
    *table = NULL;
}

/* ---- numbers */

static void fill_row(mn_sweep_table *table, uint32_t point, mn_sweep_row *row)
{
    const mn_sweep_plan *plan = table->plan;
    double first[MN_SWEEP_MAX_SEEDS], validation[MN_SWEEP_MAX_SEEDS], test[MN_SWEEP_MAX_SEEDS];
    double half_width = NAN;
    *row = (mn_sweep_row){.point = point,
                          .fate = table->results->points[point].fate,
                          .rung = table->results->points[point].rung};
    for (uint32_t k = 0; k < plan->n_seeds; k++) {
        const mn_sweep_result *result = &table->results->runs[point * plan->n_seeds + k];
        if (!result->there)
            continue;
        if (result->outcome.validated) {
            first[row->n_seeds] = result->first.validation;
            validation[row->n_seeds++] = result->outcome.validation;
        }
        if (result->outcome.tested) {
            half_width = result->outcome.test_half_width;
            test[row->n_tested++] = result->outcome.test;
        }
    }
    row->first = mn_spread_of(row->n_seeds, first);
    row->validation = mn_spread_of(row->n_seeds, validation);
    row->test = mn_spread_of(row->n_tested, test);
    if (row->n_tested == 1)
        row->test.half_width = half_width;
}

/* Done ones, then those that were stopped late, then the rest; within these by validation. */
static int by_rank(const void *a, const void *b)
{
    const mn_sweep_row *one = a, *other = b;
    static const int order[] = {
        [MN_POINT_DONE] = 0, [MN_POINT_OPEN] = 1, [MN_POINT_STOPPED] = 2, [MN_POINT_FAILED] = 3};
    if (one->fate != other->fate)
        return order[one->fate] - order[other->fate];
    if (one->fate == MN_POINT_STOPPED && one->rung != other->rung)
        return one->rung > other->rung ? -1 : 1;
    const double x = isfinite(one->validation.mean) ? one->validation.mean : -INFINITY;
    const double y = isfinite(other->validation.mean) ? other->validation.mean : -INFINITY;
    if (x != y)
        return x > y ? -1 : 1;
    return one->point < other->point ? -1 : one->point > other->point;
}

/* Which group of its axis a point is in. */
static uint32_t group_of(const mn_sweep_table *table, uint32_t axis, uint32_t point)
{
    const mn_sweep_axis *at = &table->plan->file->axes[axis];
    char value[MN_OPTION_LONGEST];
    mn_sweep_plan_value(table->plan, point, axis, value);
    for (uint32_t i = 0; i < at->n_values; i++)
        if (strcmp(value, at->values[i]) == 0)
            return i;
    const double x = atof(value);
    const double share = at->log ? (log(x) - log(at->low)) / (log(at->high) - log(at->low))
                                 : (x - at->low) / (at->high - at->low);
    const int bin = (int)(share * MN_SWEEP_BINS);
    return bin < 0 ? 0 : bin >= (int)MN_SWEEP_BINS ? MN_SWEEP_BINS - 1 : (uint32_t)bin;
}

static double edge_of(const mn_sweep_axis *axis, uint32_t bin)
{
    const double share = (double)bin / MN_SWEEP_BINS;
    return axis->log ? exp(log(axis->low) + share * (log(axis->high) - log(axis->low)))
                     : axis->low + share * (axis->high - axis->low);
}

static mn_status fill_margin(mn_sweep_table *table, uint32_t axis, mn_error *err)
{
    const mn_sweep_axis *at = &table->plan->file->axes[axis];
    mn_sweep_margin *margin = &table->margins[axis];
    margin->n = at->n_values > 0 ? at->n_values : MN_SWEEP_BINS;
    margin->groups = calloc(margin->n, sizeof *margin->groups);
    if (margin->groups == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "marginals of %s", at->key);
    for (uint32_t i = 0; i < margin->n; i++) {
        char *name = margin->groups[i].name;
        if (at->n_values > 0)
            (void)snprintf(name, sizeof margin->groups[i].name, "%.60s",
                           at->values[i][0] != '\0' ? at->values[i] : "\"\"");
        else
            (void)snprintf(name, sizeof margin->groups[i].name, "%.4g .. %.4g", edge_of(at, i),
                           edge_of(at, i + 1));
    }
    for (uint32_t point = 0; point < table->plan->n_points; point++) {
        const mn_sweep_row *row = &table->rows[point]; /* not yet sorted */
        mn_sweep_group *group = &margin->groups[group_of(table, axis, point)];
        if (isfinite(row->first.mean)) {
            group->validation += row->first.mean;
            group->n_points++;
        }
        if (isfinite(row->test.mean)) {
            group->test += row->test.mean;
            group->n_tested++;
        }
    }
    for (uint32_t i = 0; i < margin->n; i++) { /* 0/0 is NaN, as it is meant */
        margin->groups[i].validation /= margin->groups[i].n_points;
        margin->groups[i].test /= margin->groups[i].n_tested;
    }
    return MN_OK;
}

/* ---- for people */

static void print_pair(const mn_score *score, double mean, double half_width, FILE *out)
{
    char one[32], other[32], both[72];
    if (isfinite(half_width))
        (void)snprintf(both, sizeof both, "%s +- %s", in_print(score, mean, one),
                       in_print(score, half_width, other));
    else
        (void)snprintf(both, sizeof both, "%s", in_print(score, mean, one));
    (void)fprintf(out, "  %22s", both);
}

static void print_rows(const mn_sweep_table *table, FILE *out)
{
    const mn_sweep_plan *plan = table->plan;
    const uint32_t n = plan->n_points < MOST_ROWS ? plan->n_points : MOST_ROWS;
    char words[120], fate[48];
    (void)fprintf(out, "  point  %12s %-9s  %12s %-9s  %-18s  settings\n", "validation",
                  table->validated_by.name, "test", table->judged.name, "");
    for (uint32_t i = 0; i < n; i++) {
        const mn_sweep_row *row = &table->rows[i];
        (void)fprintf(out, "  %5" PRIu32, row->point);
        print_pair(&table->validated_by, row->validation.mean, row->validation.half_width, out);
        print_pair(&table->judged, row->test.mean, row->test.half_width, out);
        mn_sweep_plan_words(plan, row->point, words, sizeof words);
        (void)fprintf(out, "  %-18s  %s\n", fate_text(table, row, fate), words);
    }
    if (n < plan->n_points)
        (void)fprintf(out, "  and %" PRIu32 " more, in sweep.json\n", plan->n_points - n);
}

static void print_margins(const mn_sweep_table *table, FILE *out)
{
    const mn_sweep_plan *plan = table->plan;
    char text[32];
    if (plan->file->n_axes == 0)
        return;
    (void)fputs("\nmeans over the points that share a value", out);
    if (plan->n_rungs > 0)
        (void)fprintf(out, "; validation after %" PRIu64 " meta-steps, where all still were",
                      plan->rungs[0]);
    (void)fputc('\n', out);
    size_t widest = 26;
    for (uint32_t axis = 0; axis < plan->file->n_axes; axis++)
        for (uint32_t i = 0; i < table->margins[axis].n; i++)
            if (strlen(table->margins[axis].groups[i].name) > widest)
                widest = strlen(table->margins[axis].groups[i].name);
    for (uint32_t axis = 0; axis < plan->file->n_axes; axis++) {
        const mn_sweep_margin *margin = &table->margins[axis];
        (void)fprintf(out, "  %-*s  %6s  %12s  %6s  %12s\n", (int)widest + 2,
                      plan->file->axes[axis].key, "points", "validation", "tested", "test");
        for (uint32_t i = 0; i < margin->n; i++) {
            const mn_sweep_group *group = &margin->groups[i];
            (void)fprintf(out, "    %-*s  %6" PRIu32 "  %12s", (int)widest, group->name,
                          group->n_points, in_print(&table->validated_by, group->validation, text));
            (void)fprintf(out, "  %6" PRIu32 "  %12s\n", group->n_tested,
                          in_print(&table->judged, group->test, text));
        }
    }
}

void mn_sweep_table_print(const mn_sweep_table *table, FILE *out)
{
    const mn_sweep_plan *plan = table->plan;
    uint32_t fates[4] = {0};
    for (uint32_t i = 0; i < plan->n_points; i++)
        fates[table->rows[i].fate]++;
    (void)fprintf(out, "%" PRIu32 " point%s with %" PRIu32 " seed%s each: %" PRIu32 " done",
                  plan->n_points, plan->n_points > 1 ? "s" : "", plan->n_seeds,
                  plan->n_seeds > 1 ? "s" : "", fates[MN_POINT_DONE]);
    if (fates[MN_POINT_STOPPED] > 0)
        (void)fprintf(out, ", %" PRIu32 " stopped on the way", fates[MN_POINT_STOPPED]);
    if (fates[MN_POINT_FAILED] > 0)
        (void)fprintf(out, ", %" PRIu32 " failed", fates[MN_POINT_FAILED]);
    if (fates[MN_POINT_OPEN] > 0)
        (void)fprintf(out, ", %" PRIu32 " still to come", fates[MN_POINT_OPEN]);
    (void)fprintf(out, "; 95 %% intervals are %s\n",
                  plan->n_seeds > 1 ? "those of means over seeds (Student's t)"
                                    : "over test tasks, of one seed");
    print_rows(table, out);
    print_margins(table, out);
    if (table->n_best == 0) {
        (void)fputs("\nno point is the best: none is done and was validated\n", out);
        return;
    }
    char words[400], text[32];
    mn_sweep_plan_words(plan, table->rows[0].point, words, sizeof words);
    (void)fprintf(out, "\nbest by validation: point %" PRIu32 " (%s)", table->rows[0].point, words);
    if (table->rows[0].n_tested > 0)
        (void)fprintf(out, ", whose test %s is %s", table->judged.name,
                      in_print(&table->judged, table->rows[0].test.mean, text));
    (void)fputc('\n', out);
}

static const char *in_print(const mn_score *score, double value, char text[32])
{
    if (isnan(value))
        (void)snprintf(text, 32, "-");
    else
        (void)snprintf(text, 32, score->is_share ? "%.2f %%" : "%.4f",
                       score->is_share ? 100 * value : value);
    return text;
}

static const char *fate_text(const mn_sweep_table *table, const mn_sweep_row *row, char text[48])
{
    switch (row->fate) {
    case MN_POINT_DONE:
        return "done";
    case MN_POINT_FAILED:
        return "failed";
    case MN_POINT_STOPPED:
        (void)snprintf(text, 48, "stopped at %" PRIu64, table->plan->rungs[row->rung]);
        return text;
    case MN_POINT_OPEN:
        break;
    }
    return "to come";
}

/* ---- for programs */

static json_t *spread_object(const mn_spread *spread, uint32_t n)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "mean", mn_json_number(spread->mean));
    (void)json_object_set_new(object, "sd", mn_json_number(spread->sd));
    (void)json_object_set_new(object, "ci95", mn_json_number(spread->half_width));
    (void)json_object_set_new(object, "seeds", json_integer(n));
    return object;
}

static json_t *run_object(const mn_sweep_table *table, uint32_t run)
{
    const mn_sweep_result *result = &table->results->runs[run];
    char name[MN_SWEEP_NAME];
    json_t *object = result->there ? mn_outcome_object(&result->outcome) : json_object();
    mn_sweep_plan_name(table->plan, run, name);
    (void)json_object_set_new(object, "run", json_string(name));
    (void)json_object_set_new(object, "seed",
                              json_integer((json_int_t)mn_sweep_plan_seed(table->plan, run)));
    (void)json_object_set_new(object, "under_way", json_boolean(result->under_way));
    if (result->failed != MN_OK) {
        (void)json_object_set_new(object, "failed",
                                  json_integer(mn_status_exit_code(result->failed)));
        (void)json_object_set_new(object, "why", json_string(result->why));
    }
    return object;
}

static json_t *point_object(const mn_sweep_table *table, const mn_sweep_row *row)
{
    static const char *const fates[] = {[MN_POINT_OPEN] = "open",
                                        [MN_POINT_STOPPED] = "stopped",
                                        [MN_POINT_FAILED] = "failed",
                                        [MN_POINT_DONE] = "done"};
    const mn_sweep_plan *plan = table->plan;
    json_t *object = json_object(), *settings = json_object(), *runs = json_array();
    for (uint32_t axis = 0; axis < plan->file->n_axes; axis++) {
        char value[MN_OPTION_LONGEST];
        mn_sweep_plan_value(plan, row->point, axis, value);
        (void)json_object_set_new(settings, plan->file->axes[axis].key, json_string(value));
    }
    for (uint32_t k = 0; k < plan->n_seeds; k++)
        (void)json_array_append_new(runs, run_object(table, row->point * plan->n_seeds + k));
    (void)json_object_set_new(object, "point", json_integer(row->point));
    (void)json_object_set_new(object, "settings", settings);
    (void)json_object_set_new(object, "fate", json_string(fates[row->fate]));
    if (row->fate == MN_POINT_STOPPED)
        (void)json_object_set_new(object, "stopped_at",
                                  json_integer((json_int_t)plan->rungs[row->rung]));
    (void)json_object_set_new(object, "validation_first", spread_object(&row->first, row->n_seeds));
    (void)json_object_set_new(object, "validation", spread_object(&row->validation, row->n_seeds));
    (void)json_object_set_new(object, "test", spread_object(&row->test, row->n_tested));
    (void)json_object_set_new(object, "runs", runs);
    return object;
}

static json_t *margin_array(const mn_sweep_margin *margin)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < margin->n; i++) {
        const mn_sweep_group *group = &margin->groups[i];
        json_t *object = json_object();
        (void)json_object_set_new(object, "value", json_string(group->name));
        (void)json_object_set_new(object, "points", json_integer(group->n_points));
        (void)json_object_set_new(object, "validation_first", mn_json_number(group->validation));
        (void)json_object_set_new(object, "tested", json_integer(group->n_tested));
        (void)json_object_set_new(object, "test", mn_json_number(group->test));
        (void)json_array_append_new(array, object);
    }
    return array;
}

mn_status mn_sweep_table_json(const mn_sweep_table *table, char **text, mn_error *err)
{
    const mn_sweep_plan *plan = table->plan;
    json_t *root = json_object(), *points = json_array(), *margins = json_object(),
           *rungs = json_array();
    for (uint32_t i = 0; i < plan->n_points; i++)
        (void)json_array_append_new(points, point_object(table, &table->rows[i]));
    for (uint32_t axis = 0; axis < plan->file->n_axes; axis++)
        (void)json_object_set_new(margins, plan->file->axes[axis].key,
                                  margin_array(&table->margins[axis]));
    for (uint32_t k = 0; k < plan->n_rungs; k++)
        (void)json_array_append_new(rungs, json_integer((json_int_t)plan->rungs[k]));
    (void)json_object_set_new(root, "file", json_string(plan->source));
    (void)json_object_set_new(root, "runs", json_integer(plan->n_runs));
    (void)json_object_set_new(root, "runs_over", json_integer(table->results->n_over));
    (void)json_object_set_new(root, "steps", json_integer((json_int_t)plan->base.outer.steps));
    (void)json_object_set_new(root, "budget_hours",
                              plan->file->most_hours > 0 ? json_real(plan->file->most_hours)
                                                         : json_null());
    (void)json_object_set_new(root, "validated_by", json_string(table->validated_by.name));
    (void)json_object_set_new(root, "judged", json_string(table->judged.name));
    (void)json_object_set_new(root, "validated_by_share",
                              json_boolean(table->validated_by.is_share));
    (void)json_object_set_new(root, "judged_share", json_boolean(table->judged.is_share));
    (void)json_object_set_new(root, "interval",
                              json_string(plan->n_seeds > 1
                                              ? "t(0.975, n-1) sd / sqrt(n) over seeds, sd with n-1"
                                              : "over test tasks, of one seed"));
    (void)json_object_set_new(root, "seconds", mn_json_number(table->results->spent_s));
    (void)json_object_set_new(root, "rungs", rungs);
    (void)json_object_set_new(root, "points", points); /* the best first */
    (void)json_object_set_new(root, "marginals", margins);
    (void)json_object_set_new(root, "best_by_validation",
                              table->n_best > 0 ? json_integer(table->rows[0].point) : json_null());
    char *made = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (made == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of the sweep");
    *text = made;
    return MN_OK;
}

mn_status mn_sweep_table_write(const mn_sweep_plan *plan, const mn_sweep_results *results,
                               const char *folder, mn_error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    mn_sweep_table *table = NULL;
    mn_status status = mn_sweep_table_new(plan, results, &table, err);
    if (status == MN_OK)
        status = mn_sweep_table_json(table, &text, err);
    if (status == MN_OK)
        status = mn_run_path(folder, "sweep.json", path, err);
    if (status == MN_OK)
        status = mn_file_write(path, text, strlen(text), err);
    free(text);
    mn_sweep_table_destroy(&table);
    return status;
}
