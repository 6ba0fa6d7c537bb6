/* Made-up tables with classes: what prior-fitted networks are trained on. A task is a table of 1 to
 * tasks.features features and 2 to tasks.way classes (table_prior.h): its scores are cut into classes
 * between rows chosen at random, which get labels in random order. Some rows are the support set, which
 * has all of the classes, the others are asked for. Features are standardised by the support set;
 * those that a table has not are 0. */
#include "worker/tasks/table_prior.h"
#include "worker/tasks/task_set_kind.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ROWS 2000 /* of tasks.shot and tasks.query together */

struct tables {
    uint32_t features, way;
};

/* A table in the making: x lies in the task. */
struct table {
    uint32_t n_support, n_rows, features;
    float *x[2]; /* of the support and the query set */
    double scores[MOST_ROWS];
    uint32_t classes[MOST_ROWS];
};

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    struct tables *tables = calloc(1, sizeof *tables);
    parts->state = tables;
    if (tables == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    if (experiment->tasks.way < 2 || experiment->tasks.way > MN_MAX_WAY)
        return mn_fail(err, MN_ERR_CONFIG, "tasks.way is %u, but a table has 2 to %d classes",
                       (unsigned)experiment->tasks.way, MN_MAX_WAY);
    if (experiment->tasks.features < 1 || experiment->tasks.features > MN_TABLE_MOST_FEATURES)
        return mn_fail(err, MN_ERR_CONFIG, "tasks.features is %u, but a table has 1 to %d features",
                       (unsigned)experiment->tasks.features, MN_TABLE_MOST_FEATURES);
    tables->features = experiment->tasks.features;
    tables->way = experiment->tasks.way;
    const uint32_t x[3] = {1, 1, tables->features};
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++) {
        const bool other = split != MN_TRAIN;
        const uint32_t shot = other && experiment->evaluate.shot != 0 ? experiment->evaluate.shot
                                                                      : experiment->tasks.shot;
        const uint32_t query = other && experiment->evaluate.query != 0 ? experiment->evaluate.query
                                                                        : experiment->tasks.query;
        if (shot < tables->way)
            return mn_fail(
                err, MN_ERR_CONFIG,
                "%s is %u, but a table shows a row of each of up to tasks.way %u classes: "
                "expected at least %u",
                shot == experiment->tasks.shot ? "tasks.shot" : "evaluate.shot", (unsigned)shot,
                (unsigned)tables->way, (unsigned)tables->way);
        if (shot > MOST_ROWS || query > MOST_ROWS - shot)
            return mn_fail(err, MN_ERR_CONFIG,
                           "a table of %u + %u rows is too large, at most %d (tasks.shot, "
                           "tasks.query, evaluate.shot, evaluate.query)",
                           (unsigned)shot, (unsigned)query, MOST_ROWS);
        status = mn_fields_few_shot(&parts->fields[split], shot, query, x, MN_TARGET_CLASSES,
                                    tables->way, err);
    }
    return status;
}

static float *row_of(const struct table *table, uint32_t row)
{
    return row < table->n_support
               ? table->x[0] + (size_t)row * table->features
               : table->x[1] + (size_t)(row - table->n_support) * table->features;
}

static int lower_first(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A row's class is the number of cuts that its score is not below. */
static void cut_into_classes(struct table *table, mn_random *random, uint32_t n_classes)
{
    double sorted[MOST_ROWS], cuts[MN_MAX_WAY];
    uint32_t at[MN_MAX_WAY];
    memcpy(sorted, table->scores, table->n_rows * sizeof *sorted);
    qsort(sorted, table->n_rows, sizeof *sorted, lower_first);
    mn_random_choose(random, table->n_rows - 1, n_classes - 1, at);
    for (uint32_t i = 0; i + 1 < n_classes; i++)
        cuts[i] = sorted[at[i] + 1];
    for (uint32_t row = 0; row < table->n_rows; row++) {
        table->classes[row] = 0;
        for (uint32_t i = 0; i + 1 < n_classes; i++)
            table->classes[row] += table->scores[row] >= cuts[i];
    }
}

static void exchange(struct table *table, uint32_t i, uint32_t j)
{
    float *a = row_of(table, i), *b = row_of(table, j);
    const uint32_t c = table->classes[i];
    table->classes[i] = table->classes[j];
    table->classes[j] = c;
    for (uint32_t f = 0; f < table->features; f++) {
        const float one = a[f];
        a[f] = b[f];
        b[f] = one;
    }
}

/* What the support set does not show cannot be told: a row of each class that it lacks changes
 * places with one of a class that it has twice; with as many rows as classes there is one. */
static void show_all_classes(struct table *table)
{
    uint32_t shown[MN_MAX_WAY] = {0};
    for (uint32_t row = 0; row < table->n_support; row++)
        shown[table->classes[row]]++;
    for (uint32_t asked = table->n_support; asked < table->n_rows; asked++) {
        uint32_t twice = 0;
        if (shown[table->classes[asked]] > 0)
            continue;
        while (shown[table->classes[twice]] < 2)
            twice++;
        shown[table->classes[twice]]--;
        shown[table->classes[asked]]++;
        exchange(table, twice, asked);
    }
}

static void standardise(const struct table *table, uint32_t feature)
{
    double mean = 0, square = 0;
    for (uint32_t row = 0; row < table->n_support; row++)
        mean += (double)row_of(table, row)[feature] / table->n_support;
    for (uint32_t row = 0; row < table->n_support; row++) {
        const double off = (double)row_of(table, row)[feature] - mean;
        square += off * off / table->n_support;
    }
    const double scale = square > 1e-12 ? 1 / sqrt(square) : 1;
    for (uint32_t row = 0; row < table->n_rows; row++) {
        float *x = row_of(table, row) + feature;
        const double z = ((double)*x - mean) * scale;
        *x = (float)(z > MN_TABLE_FARTHEST    ? MN_TABLE_FARTHEST
                     : z < -MN_TABLE_FARTHEST ? -MN_TABLE_FARTHEST
                                              : z);
    }
}

static void draw(const void *state, mn_split split, uint64_t index, mn_random *random,
                 mn_task *task)
{
    const struct tables *tables = state;
    mn_table_prior prior;
    struct table table = {.n_support = task->fields.at[MN_SUPPORT_X].n,
                          .features = tables->features,
                          .x = {task->at[MN_SUPPORT_X], task->at[MN_QUERY_X]}};
    uint32_t labels[MN_MAX_WAY];
    (void)split;
    (void)index;
    table.n_rows = table.n_support + task->fields.at[MN_QUERY_X].n;
    assert(table.n_rows <= MOST_ROWS);
    const uint32_t n_features = 1 + mn_random_below(random, tables->features);
    const uint32_t n_classes = 2 + mn_random_below(random, tables->way - 1);
    mn_table_prior_draw(random, n_features, &prior);
    for (uint32_t row = 0; row < table.n_rows; row++) {
        memset(row_of(&table, row), 0, table.features * sizeof(float));
        table.scores[row] = mn_table_prior_row(&prior, random, row_of(&table, row));
    }
    cut_into_classes(&table, random, n_classes);
    show_all_classes(&table);
    for (uint32_t feature = 0; feature < n_features; feature++)
        standardise(&table, feature);

    mn_random_choose(random, tables->way, n_classes, labels);
    memset(task->at[MN_SUPPORT_Y], 0,
           mn_field_count(&task->fields.at[MN_SUPPORT_Y]) * sizeof(float));
    memset(task->at[MN_QUERY_Y], 0, mn_field_count(&task->fields.at[MN_QUERY_Y]) * sizeof(float));
    for (uint32_t row = 0; row < table.n_rows; row++) {
        const bool shown = row < table.n_support;
        float *y = task->at[shown ? MN_SUPPORT_Y : MN_QUERY_Y] +
                   (size_t)(shown ? row : row - table.n_support) * tables->way;
        y[labels[table.classes[row]]] = 1;
    }
    task->n_classes = 0;
}

const mn_task_set_kind mn_tables_kind = {.open = open_tasks, .close = free, .draw = draw};
