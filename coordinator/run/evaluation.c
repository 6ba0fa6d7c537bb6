#include "coordinator/run/evaluation.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>

static const char *const split_names[MN_N_SPLITS] = {
    [MN_TRAIN] = "training", [MN_VAL] = "validation", [MN_TEST] = "test"};

static mn_estimate estimate(uint32_t n_tasks, size_t columns, size_t column, size_t taken,
                            const double *rows);
static json_t *number(double value);

size_t mn_evaluation_columns(const mn_uint_list *steps)
{
    return 2 * (size_t)steps->n + 2;
}

void mn_evaluation_from_rows(const mn_uint_list *steps, mn_split split, bool classes,
                             uint32_t n_tasks, const double *rows, mn_evaluation *out)
{
    size_t columns = mn_evaluation_columns(steps);
    size_t taken = columns - 2;
    *out = (mn_evaluation){.split = split, .classes = classes, .steps = *steps};
    for (uint32_t i = 0; i < n_tasks; i++)
        if (rows[i * columns + taken] > 0)
            out->n_counted++;
    out->n_skipped = n_tasks - out->n_counted;
    for (uint32_t i = 0; i < steps->n; i++) {
        out->loss[i] = estimate(n_tasks, columns, 2 * (size_t)i, taken, rows);
        out->accuracy[i] = estimate(n_tasks, columns, 2 * (size_t)i + 1, taken, rows);
    }
}

double mn_evaluation_score(const mn_evaluation *evaluation, uint32_t inner_steps)
{
    uint32_t chosen = evaluation->steps.n - 1;
    if (evaluation->n_counted == 0)
        return -INFINITY;
    for (uint32_t i = 0; i < evaluation->steps.n; i++)
        if (evaluation->steps.at[i] == inner_steps)
            chosen = i;
    return evaluation->classes ? evaluation->accuracy[chosen].mean : -evaluation->loss[chosen].mean;
}

void mn_evaluation_print(const mn_evaluation *evaluation, FILE *out)
{
    if (evaluation->n_counted == 0) {
        (void)fprintf(out,
                      "%s: no score, for all %" PRIu32 " tasks were skipped: their loss was not "
                      "finite or too large\n",
                      split_names[evaluation->split], evaluation->n_skipped);
        return;
    }
    (void)fprintf(out, "%s: mean and 95 %% interval (1.96 sd/sqrt(n)) over %" PRIu32 " tasks",
                  split_names[evaluation->split], evaluation->n_counted);
    if (evaluation->n_skipped > 0)
        (void)fprintf(out,
                      "; %" PRIu32 " more were skipped: their loss was not finite or too large",
                      evaluation->n_skipped);
    (void)fprintf(out, "\n  inner steps               loss%s\n",
                  evaluation->classes ? "            accuracy" : "");
    for (uint32_t i = 0; i < evaluation->steps.n; i++) {
        (void)fprintf(out, "  %11" PRIu32 "  %9.4f +- %.4f", evaluation->steps.at[i],
                      evaluation->loss[i].mean, evaluation->loss[i].half_width);
        if (evaluation->classes)
            (void)fprintf(out, "  %6.2f %% +- %.2f %%", 100 * evaluation->accuracy[i].mean,
                          100 * evaluation->accuracy[i].half_width);
        (void)fputc('\n', out);
    }
}

mn_status mn_evaluation_json(const mn_evaluation *evaluation, char **text, mn_error *err)
{
    json_t *table = json_array();
    json_t *root = json_object();
    for (uint32_t i = 0; i < evaluation->steps.n; i++) {
        json_t *row = json_object();
        (void)json_object_set_new(row, "inner_steps", json_integer(evaluation->steps.at[i]));
        (void)json_object_set_new(row, "loss", number(evaluation->loss[i].mean));
        (void)json_object_set_new(row, "loss_ci95", number(evaluation->loss[i].half_width));
        if (evaluation->classes) {
            (void)json_object_set_new(row, "accuracy", number(evaluation->accuracy[i].mean));
            (void)json_object_set_new(row, "accuracy_ci95",
                                      number(evaluation->accuracy[i].half_width));
        }
        (void)json_array_append_new(table, row);
    }
    (void)json_object_set_new(root, "split", json_string(split_names[evaluation->split]));
    (void)json_object_set_new(root, "tasks", json_integer(evaluation->n_counted));
    (void)json_object_set_new(root, "skipped", json_integer(evaluation->n_skipped));
    (void)json_object_set_new(root, "interval", json_string("1.96 sd / sqrt(n), sd with n-1"));
    (void)json_object_set_new(root, "scores", table);
    char *made = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (made == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of the evaluation");
    *text = made;
    return MN_OK;
}

/* In two passes, in the order of the tasks. */
static mn_estimate estimate(uint32_t n_tasks, size_t columns, size_t column, size_t taken,
                            const double *rows)
{
    double n = 0;
    double sum = 0;
    double squares = 0;
    for (uint32_t i = 0; i < n_tasks; i++) {
        if (!(rows[i * columns + taken] > 0))
            continue;
        n++;
        sum += rows[i * columns + column];
    }
    if (n == 0)
        return (mn_estimate){NAN, NAN};
    double mean = sum / n;
    for (uint32_t i = 0; i < n_tasks; i++) {
        double off = rows[i * columns + column] - mean;
        if (rows[i * columns + taken] > 0)
            squares += off * off;
    }
    return (mn_estimate){mean, n > 1 ? 1.96 * sqrt(squares / (n - 1)) / sqrt(n) : NAN};
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}
