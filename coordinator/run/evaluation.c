#include "coordinator/run/evaluation.h"

#include "common/json_number.h"
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

static const char *const split_names[MN_N_SPLITS] = {
    [MN_TRAIN] = "training", [MN_VAL] = "validation", [MN_TEST] = "test"};

static mn_estimate estimate(uint32_t n_tasks, size_t columns, size_t column, const double *rows);
static uint32_t first_of_point(const mn_score_list *scores, uint32_t i);
static uint32_t first_of_name(const mn_score_list *scores, uint32_t i);
static uint32_t find(const mn_score_list *scores, uint32_t point, uint32_t name);
static int width_of_points(const mn_score_list *scores, char axis[sizeof((mn_score *)0)->axis]);
static void print_cell(const mn_score *score, const mn_estimate *estimate, FILE *out);
static void print_mean_over_points(const mn_evaluation *evaluation, int width, FILE *out);
static json_t *mean_over_points(const mn_evaluation *evaluation);
static void print_blank(const mn_score *score, FILE *out);
static json_t *point_of(const mn_score *score);

mn_status mn_evaluation_from_rows(const mn_score_list *scores, mn_split split, uint32_t n_tasks,
                                  const double *rows, mn_evaluation *out, mn_error *err)
{
    size_t columns = 2 * (size_t)scores->n + 2;
    *out = (mn_evaluation){0};
    mn_estimate *estimates = calloc(scores->n, sizeof *estimates);
    if (estimates == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of %" PRIu32 " scores", scores->n);
    *out = (mn_evaluation){.split = split, .scores = scores, .estimates = estimates};
    for (uint32_t i = 0; i < n_tasks; i++)
        if (rows[i * columns + columns - 2] > 0)
            out->n_counted++;
    out->n_skipped = n_tasks - out->n_counted;
    for (uint32_t i = 0; i < scores->n; i++)
        estimates[i] = estimate(n_tasks, columns, i, rows);
    return MN_OK;
}

void mn_evaluation_fini(mn_evaluation *evaluation)
{
    free(evaluation->estimates);
    free(evaluation->rows);
    *evaluation = (mn_evaluation){0};
}

mn_estimate mn_evaluation_mean_over_points(const mn_evaluation *evaluation, uint32_t i)
{
    const mn_score_list *scores = evaluation->scores;
    double n = 0, sum = 0, squares = 0;
    for (uint32_t k = 0; k < scores->n && scores->averaged[0] != '\0'; k++) {
        const mn_estimate *at = &evaluation->estimates[k];
        if (strcmp(scores->at[k].axis, scores->averaged) != 0 ||
            strcmp(scores->at[k].name, scores->at[i].name) != 0)
            continue;
        n++;
        sum += at->mean;
        squares += at->half_width * at->half_width;
    }
    return n > 0 ? (mn_estimate){sum / n, sqrt(squares) / n} : (mn_estimate){NAN, NAN};
}

uint32_t mn_evaluation_chosen(const mn_score_list *scores, mn_choose choose)
{
    uint32_t chosen = scores->judged;
    for (uint32_t i = 0; i < scores->n && choose == MN_CHOOSE_LOSS; i++)
        if (strcmp(scores->at[i].name, "loss") == 0 &&
            mn_score_is_beside(&scores->at[i], &scores->at[scores->judged]))
            chosen = i;
    return chosen;
}

double mn_evaluation_score(const mn_evaluation *evaluation, mn_choose choose)
{
    const mn_score_list *scores = evaluation->scores;
    const uint32_t chosen = mn_evaluation_chosen(scores, choose);
    if (evaluation->n_counted == 0)
        return -INFINITY;
    double mean = evaluation->estimates[chosen].mean;
    return scores->at[chosen].higher_is_better ? mean : -mean;
}

void mn_evaluation_print(const mn_evaluation *evaluation, FILE *out)
{
    const mn_score_list *scores = evaluation->scores;
    char axis[sizeof scores->at->axis];
    int width = width_of_points(scores, axis);
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
    (void)fputc('\n', out);
    if (width > 0)
        (void)fprintf(out, "  %*s", width, axis);
    for (uint32_t name = 0; name < scores->n; name++)
        if (first_of_name(scores, name) == name)
            (void)fprintf(out, "  %*s", scores->at[name].is_share ? 18 : 17, scores->at[name].name);
    (void)fputc('\n', out);
    for (uint32_t point = 0; point < scores->n; point++) {
        if (first_of_point(scores, point) != point)
            continue;
        if (width > 0)
            (void)fprintf(out, "  %*s", width, scores->at[point].point);
        for (uint32_t name = 0; name < scores->n; name++) {
            if (first_of_name(scores, name) != name)
                continue;
            uint32_t at = find(scores, point, name);
            if (at == NONE)
                print_blank(&scores->at[name], out);
            else
                print_cell(&scores->at[at], &evaluation->estimates[at], out);
        }
        (void)fputc('\n', out);
    }
    print_mean_over_points(evaluation, width, out);
}

static void print_mean_over_points(const mn_evaluation *evaluation, int width, FILE *out)
{
    const mn_score_list *scores = evaluation->scores;
    if (scores->averaged[0] == '\0')
        return;
    (void)fprintf(out, "  %*s", width, "mean");
    for (uint32_t name = 0; name < scores->n; name++) {
        const mn_estimate mean = mn_evaluation_mean_over_points(evaluation, name);
        if (first_of_name(scores, name) != name)
            continue;
        if (isnan(mean.mean))
            print_blank(&scores->at[name], out);
        else
            print_cell(&scores->at[name], &mean, out);
    }
    (void)fprintf(out, "  (of the %ss)\n", scores->averaged);
}

mn_status mn_evaluation_json(const mn_evaluation *evaluation, const mn_conditions *conditions,
                             char **text, mn_error *err)
{
    json_t *root = mn_evaluation_object(evaluation, conditions);
    char *made = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (made == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of the evaluation");
    *text = made;
    return MN_OK;
}

json_t *mn_evaluation_object(const mn_evaluation *evaluation, const mn_conditions *conditions)
{
    const mn_score_list *scores = evaluation->scores;
    json_t *table = json_array();
    json_t *units = json_object();
    json_t *root = json_object();
    for (uint32_t point = 0; point < scores->n; point++) {
        const mn_score *first = &scores->at[point];
        json_t *row = json_object();
        if (first_of_point(scores, point) == point) {
            if (first->axis[0] != '\0')
                (void)json_object_set_new(row, first->axis, point_of(first));
            for (uint32_t i = point; i < scores->n; i++) {
                char key[sizeof first->name + 8];
                if (!mn_score_is_beside(&scores->at[i], first))
                    continue;
                (void)json_object_set_new(row, scores->at[i].name,
                                          mn_json_number(evaluation->estimates[i].mean));
                (void)snprintf(key, sizeof key, "%s_ci95", scores->at[i].name);
                (void)json_object_set_new(row, key,
                                          mn_json_number(evaluation->estimates[i].half_width));
            }
            (void)json_array_append(table, row);
        }
        json_decref(row);
        if (first->unit[0] != '\0')
            (void)json_object_set_new(units, first->name, json_string(first->unit));
    }
    (void)json_object_set_new(root, "split", json_string(split_names[evaluation->split]));
    (void)json_object_set_new(root, "tasks", json_integer(evaluation->n_counted));
    (void)json_object_set_new(root, "skipped", json_integer(evaluation->n_skipped));
    (void)json_object_set_new(root, "interval", json_string("1.96 sd / sqrt(n), sd with n-1"));
    (void)json_object_set_new(root, "units", units);
    if (scores->remark[0] != '\0')
        (void)json_object_set_new(root, "remark", json_string(scores->remark));
    if (conditions != NULL)
        (void)json_object_set_new(root, "conditions", mn_conditions_json(conditions));
    (void)json_object_set_new(root, "scores", table);
    if (scores->averaged[0] != '\0')
        (void)json_object_set_new(root, "mean", mean_over_points(evaluation));
    return root;
}

/* {"over": "set", "accuracy": .., "accuracy_ci95": ..} */
static json_t *mean_over_points(const mn_evaluation *evaluation)
{
    const mn_score_list *scores = evaluation->scores;
    json_t *row = json_object();
    (void)json_object_set_new(row, "over", json_string(scores->averaged));
    for (uint32_t i = 0; i < scores->n; i++) {
        const mn_estimate mean = mn_evaluation_mean_over_points(evaluation, i);
        char key[sizeof scores->at->name + 8];
        if (strcmp(scores->at[i].axis, scores->averaged) != 0)
            continue;
        (void)snprintf(key, sizeof key, "%s_ci95", scores->at[i].name);
        (void)json_object_set_new(row, scores->at[i].name, mn_json_number(mean.mean));
        (void)json_object_set_new(row, key, mn_json_number(mean.half_width));
    }
    return row;
}

void mn_evaluation_text(const mn_evaluation *evaluation, char *text, size_t n)
{
    const mn_score_list *scores = evaluation->scores;
    size_t used = 0;
    bool one_task = evaluation->n_counted < 2; /* no interval */
    text[0] = '\0';
    for (uint32_t i = first_of_point(scores, scores->judged); i < scores->n && used < n; i++) {
        const mn_score *score = &scores->at[i];
        const mn_estimate *estimate = &evaluation->estimates[i];
        int length = 0;
        if (!mn_score_is_beside(score, &scores->at[scores->judged]))
            continue;
        const char *format = one_task          ? "%s%s %.4g"
                             : score->is_share ? "%s%s %.2f +- %.2f %%"
                                               : "%s%s %.4f +- %.4f";
        double factor = score->is_share && !one_task ? 100 : 1;
        length = snprintf(text + used, n - used, format, used > 0 ? ", " : "", score->name,
                          factor * estimate->mean, factor * estimate->half_width);
        used += length > 0 ? (size_t)length : 0;
    }
}

/* In two passes, in the order of the tasks. */
static mn_estimate estimate(uint32_t n_tasks, size_t columns, size_t column, const double *rows)
{
    const size_t taken = columns - 2, weight = column + taken / 2;
    double n = 0;
    double sum = 0;
    double weights = 0;
    double squares = 0;
    for (uint32_t i = 0; i < n_tasks; i++) {
        const double *row = &rows[i * columns];
        if (!(row[taken] > 0) || !(row[weight] > 0))
            continue;
        n++;
        sum += row[column];
        weights += row[weight];
    }
    if (n == 0)
        return (mn_estimate){NAN, NAN};
    double mean = sum / weights;
    for (uint32_t i = 0; i < n_tasks; i++) {
        const double *row = &rows[i * columns];
        double off = row[column] - row[weight] * mean;
        if (row[taken] > 0 && row[weight] > 0)
            squares += off * off;
    }
    double half_width = 1.96 * sqrt(squares / (n - 1)) / sqrt(n) / (weights / n);
    return (mn_estimate){mean, n > 1 ? half_width : NAN};
}

/* Which score of the list stands for the row, or the column, of score i: the first of it. */
static uint32_t first_of_point(const mn_score_list *scores, uint32_t i)
{
    uint32_t first = 0;
    while (!mn_score_is_beside(&scores->at[first], &scores->at[i]))
        first++;
    return first;
}

static uint32_t first_of_name(const mn_score_list *scores, uint32_t i)
{
    uint32_t first = 0;
    while (strcmp(scores->at[first].name, scores->at[i].name) != 0)
        first++;
    return first;
}

static uint32_t find(const mn_score_list *scores, uint32_t point, uint32_t name)
{
    for (uint32_t i = 0; i < scores->n; i++)
        if (mn_score_is_beside(&scores->at[i], &scores->at[point]) &&
            strcmp(scores->at[i].name, scores->at[name].name) == 0)
            return i;
    return NONE;
}

/* Characters of the first column, under `axis` for people; 0: no score has a point. */
static int width_of_points(const mn_score_list *scores, char axis[sizeof((mn_score *)0)->axis])
{
    size_t width = 0;
    (void)snprintf(axis, sizeof scores->at->axis, "%s", scores->at[0].axis);
    for (char *at = axis; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
    for (uint32_t i = 0; i < scores->n; i++)
        if (strlen(scores->at[i].point) > width)
            width = strlen(scores->at[i].point);
    if (width > 0 && strlen(axis) > width)
        width = strlen(axis);
    if (scores->averaged[0] != '\0' && width < strlen("mean"))
        width = strlen("mean");
    return (int)width;
}

static void print_cell(const mn_score *score, const mn_estimate *estimate, FILE *out)
{
    bool one_task = isnan(estimate->half_width);
    if (isnan(estimate->mean))
        (void)fprintf(out, "  %*s", score->is_share ? 18 : 19, "no task");
    else if (score->is_share && one_task)
        (void)fprintf(out, "  %6.2f %% +-      -", 100 * estimate->mean);
    else if (score->is_share)
        (void)fprintf(out, "  %6.2f %% +- %.2f %%", 100 * estimate->mean,
                      100 * estimate->half_width);
    else if (one_task)
        (void)fprintf(out, "  %9.4f +-      -", estimate->mean);
    else
        (void)fprintf(out, "  %9.4f +- %.4f", estimate->mean, estimate->half_width);
}

/* As wide as a cell. */
static void print_blank(const mn_score *score, FILE *out)
{
    (void)fprintf(out, "  %*s", score->is_share ? 18 : 19, "");
}

/* A number where the point is one. */
static json_t *point_of(const mn_score *score)
{
    char *end = NULL;
    long long value = strtoll(score->point, &end, 10);
    char again[32];
    (void)snprintf(again, sizeof again, "%lld", value);
    return strcmp(again, score->point) == 0 ? json_integer(value) : json_string(score->point);
}
