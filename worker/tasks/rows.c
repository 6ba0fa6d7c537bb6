/* Tasks from the rows of a table of a user's own (data_table.h), whose columns row_form.h makes numbers of.
 *   few-shot classification  the rows of a class (tasks.class_column) are its items; a task is tasks.way
 *                            classes of a split, with tasks.shot rows of each to learn from and tasks.query that are
 *                            asked for
 *   regression               rows that are alike in tasks.task_column are a task, and tasks.y_column is asked
 *                            for; of the other rows as many are the support set as tasks.shot says, and where a
 *                            task has fewer they come again
 * With tasks.id_column items have ids too (row_ids.h).
 * Splits are of classes or tasks; or (tasks.split_by row) of the rows of each task: then training tasks are drawn
 * from their training rows, and each task is tested once, on all of its test rows, adapted to others of it. */
#include "worker/tasks/rows_splits.h"

#include "common/text.h"
#include "worker/data/row_form.h"
#include "worker/tasks/row_ids.h"
#include "worker/tasks/task_print.h"
#include "worker/tasks/task_set_kind.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ITEMS 2000u /* support and query rows of a class, or of a task: on a draw's stack */

struct rows {
    bool classes, by_row;
    mn_row_form form;
    float *x; /* [n_rows, form.width]; owned */
    float *y; /* [n_rows]; NULL: classes; owned */
    mn_row_ids ids;
    mn_row_groups groups;                                   /* classes or tasks */
    uint32_t *members[MN_N_SPLITS], n_members[MN_N_SPLITS]; /* groups of a split; owned */
    uint32_t unknown;               /* words of other splits that training has not */
    mn_error refusals[MN_N_SPLITS]; /* status MN_OK: tasks can be drawn */
};

static mn_status read_table(const mn_experiment *e, mn_data_table *table, mn_task_set_parts *parts,
                            mn_error *err);
static mn_status make_rows(const mn_experiment *e, const mn_data_table *table, struct rows *rows,
                           mn_error *err);
static mn_status make_fields(const mn_experiment *e, const struct rows *rows,
                             mn_task_set_parts *parts, mn_error *err);
static void check_sizes(const mn_experiment *e, struct rows *rows, const mn_task_set_parts *parts);

static mn_status open_tasks(const mn_experiment *e, mn_task_set_parts *parts, mn_error *err)
{
    struct rows *rows = calloc(1, sizeof *rows);
    mn_data_table table = {0};
    parts->state = rows;
    if (rows == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    rows->classes = e->tasks.class_column[0] != '\0';
    rows->by_row = e->tasks.split_by == MN_SPLIT_BY_ROW;
    mn_status status = read_table(e, &table, parts, err);
    if (status == MN_OK)
        status = mn_row_groups_make(e, &table, &rows->groups, err);
    if (status == MN_OK && e->tasks.split_list[0] != '\0') {
        const mn_digest digests[2] = {parts->data_digest, rows->groups.list_digest};
        parts->data_digest = mn_digest_of(digests, sizeof digests);
    }
    if (status == MN_OK)
        status = make_rows(e, &table, rows, err);
    mn_data_table_fini(&table);
    if (status == MN_OK)
        status = make_fields(e, rows, parts, err);
    if (status == MN_OK)
        check_sizes(e, rows, parts);
    return status;
}

static void close_tasks(void *of)
{
    struct rows *rows = of;
    if (rows == NULL)
        return;
    mn_row_form_fini(&rows->form);
    mn_row_groups_fini(&rows->groups);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++)
        free(rows->members[split]);
    free(rows->x);
    free(rows->y);
    mn_row_ids_fini(&rows->ids);
    free(rows);
}

/* Opening ---------------------------------------------------------------------------- */

static mn_status read_table(const mn_experiment *e, mn_data_table *table, mn_task_set_parts *parts,
                            mn_error *err)
{
    mn_row_files files;
    mn_status status = mn_row_files_find(e->tasks.table, e->run.data_path, &files, err);
    (void)snprintf(parts->data_name, sizeof parts->data_name, "%s", e->tasks.table);
    if (status == MN_OK)
        status = mn_data_table_read(files.n, (const char *const *)files.paths, e->tasks.header,
                                    table, err);
    if (status == MN_OK) {
        parts->data_digest = table->digest;
        (void)snprintf(
            parts->data_where, sizeof parts->data_where, "%.800s%s%.120s", files.paths[0],
            e->tasks.split_list[0] != '\0' ? " with tasks.split_list " : "", e->tasks.split_list);
    }
    mn_row_files_fini(&files);
    return status;
}

/* Which columns are features: those that are named, or all that are nothing else. */
static mn_status choose_columns(const mn_experiment *e, const mn_data_table *table,
                                uint32_t **places, uint32_t *n, mn_error *err)
{
    char names[sizeof e->tasks.columns], *left = names;
    bool *chosen = calloc(table->n_columns, sizeof *chosen);
    uint32_t *out = calloc(table->n_columns, sizeof *out), first, many;
    const bool all = e->tasks.columns[0] == '\0';
    const char *const not_these[] = {e->tasks.class_column, e->tasks.task_column, e->tasks.y_column,
                                     e->tasks.split_column, e->tasks.id_column};
    mn_status status =
        chosen != NULL && out != NULL ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "columns");
    (void)snprintf(names, sizeof names, "%s", e->tasks.columns);
    for (uint32_t i = 0; status == MN_OK && i < table->n_columns; i++)
        chosen[i] = all;
    while (status == MN_OK && !all && left != NULL) {
        char *name = strsep(&left, ",");
        name += strspn(name, " ");
        for (size_t end = strlen(name); end > 0 && name[end - 1] == ' ';)
            name[--end] = '\0';
        status = mn_data_table_find(table, name, &first, &many, err);
        for (uint32_t i = 0; status == MN_OK && i < many; i++)
            chosen[first + i] = true;
    }
    for (size_t i = 0; status == MN_OK && i < sizeof not_these / sizeof *not_these; i++) {
        if (not_these[i][0] == '\0')
            continue;
        status = mn_data_table_find(table, not_these[i], &first, &many, err);
        if (status == MN_OK && chosen[first] && !all)
            status =
                mn_fail(err, MN_ERR_CONFIG,
                        "tasks.columns: \"%s\" is no feature: it is asked for, or names tasks, "
                        "ids or splits",
                        not_these[i]);
        else if (status == MN_OK)
            chosen[first] = false;
    }
    *n = 0;
    for (uint32_t i = 0; status == MN_OK && i < table->n_columns; i++)
        if (chosen[i])
            out[(*n)++] = i;
    free(chosen);
    if (status == MN_OK && *n == 0)
        status = mn_fail(err, MN_ERR_CONFIG, "%s has no column that is a feature", e->tasks.table);
    *places = out;
    return status;
}

/* The rows of training: out[table->n_rows]; returns how many. */
static uint32_t list_training(const struct rows *rows, uint32_t *out)
{
    uint32_t n = 0;
    for (uint32_t g = 0; g < rows->groups.n; g++) {
        const mn_row_group *group = &rows->groups.at[g];
        for (uint32_t i = 0; i < group->n[MN_TRAIN]; i++)
            out[n++] = rows->groups.order[group->first + i];
    }
    return n;
}

/* By the rows of training alone. */
static mn_status fit_form(const mn_experiment *e, const mn_data_table *table, struct rows *rows,
                          const uint32_t *places, uint32_t n, mn_error *err)
{
    uint32_t answer = 0, many = 0;
    mn_status status = mn_data_table_find(
        table, rows->classes ? e->tasks.class_column : e->tasks.y_column, &answer, &many, err);
    if (status != MN_OK)
        return status;
    uint32_t *train = calloc(table->n_rows, sizeof *train);
    if (train == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "training rows");
    const uint32_t n_train = list_training(rows, train);
    const mn_row_plan plan = {.n = n,
                              .places = places,
                              .answer = answer,
                              .classes = rows->classes,
                              .fills = e->tasks.missing == MN_MISSING_MEAN,
                              .words = e->tasks.words == MN_WORDS_ONE_HOT,
                              .roots = e->tasks.roots,
                              .one_scale = e->tasks.one_scale,
                              .standardise = e->tasks.standardise};
    status = n_train > 0
                 ? mn_row_form_fit(table, &plan, n_train, train, &rows->form, err)
                 : mn_fail(err, MN_ERR_CONFIG, "%s has no row for training", e->tasks.table);
    free(train);
    return status;
}

static mn_status read_numbers(const mn_experiment *e, const mn_data_table *table,
                              const uint32_t *places, struct rows *rows, mn_error *err)
{
    const size_t width = rows->form.width;
    mn_status status = MN_OK;
    rows->x = calloc(table->n_rows * width, sizeof *rows->x);
    rows->y = rows->classes ? NULL : calloc(table->n_rows, sizeof *rows->y);
    if (rows->x == NULL || (!rows->classes && rows->y == NULL))
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " rows of %zu numbers", table->n_rows, width);
    for (uint32_t row = 0; row < table->n_rows && status == MN_OK; row++) {
        status = mn_row_form_x(&rows->form, e->tasks.table, table, row, places,
                               rows->x + row * width, &rows->unknown, err);
        if (status == MN_OK && !rows->classes)
            status = mn_row_form_y(&rows->form, e->tasks.table, table, row, rows->form.answer.place,
                                   &rows->y[row], err);
    }
    return status;
}

static mn_status number_ids(const mn_experiment *e, const mn_data_table *table, struct rows *rows,
                            mn_error *err)
{
    uint32_t *train = calloc(table->n_rows, sizeof *train);
    if (train == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "training rows");
    mn_status status =
        mn_row_ids_make(e, table, list_training(rows, train), train, &rows->ids, err);
    free(train);
    return status;
}

static mn_status list_members(struct rows *rows, mn_error *err)
{
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        rows->members[split] = calloc(rows->groups.n, sizeof **rows->members);
        if (rows->members[split] == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "splits");
        for (uint32_t g = 0; g < rows->groups.n; g++)
            if (rows->groups.at[g].n[split] > 0)
                rows->members[split][rows->n_members[split]++] = g;
    }
    return MN_OK;
}

static mn_status make_rows(const mn_experiment *e, const mn_data_table *table, struct rows *rows,
                           mn_error *err)
{
    uint32_t *places = NULL, n = 0;
    mn_status status = choose_columns(e, table, &places, &n, err);
    if (status == MN_OK)
        status = fit_form(e, table, rows, places, n, err);
    if (status == MN_OK)
        status = read_numbers(e, table, places, rows, err);
    if (status == MN_OK)
        status = number_ids(e, table, rows, err);
    free(places);
    return status == MN_OK ? list_members(rows, err) : status;
}

/* Fields ----------------------------------------------------------------------------- */

static uint32_t of_split(mn_split split, uint32_t other, uint32_t trained)
{
    return split != MN_TRAIN && other != 0 ? other : trained;
}

/* Held-out rows are all asked for at once; what a task lacks to the longest has weight 0. */
static mn_status add_weights(mn_fields *fields, mn_error *err)
{
    return mn_fields_add(fields, MN_QUERY, "weight", MN_FIELD_NUMBERS, fields->at[MN_QUERY_Y].n,
                         (const uint32_t[3]){1, 1, 1}, err);
}

/* Validation and test tasks have the same extents, as a learner is compiled for both. */
static uint32_t most_held_out(const mn_row_groups *groups)
{
    uint32_t most = 1; /* a split without a row is refused when it is asked for */
    for (uint32_t g = 0; g < groups->n; g++)
        for (mn_split split = MN_VAL; split < MN_N_SPLITS; split++)
            most = groups->at[g].n[split] > most ? groups->at[g].n[split] : most;
    return most;
}

static mn_status make_fields(const mn_experiment *e, const struct rows *rows,
                             mn_task_set_parts *parts, mn_error *err)
{
    const uint32_t x[3] = {1, 1, rows->form.width};
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++) {
        mn_fields *fields = &parts->fields[split];
        const uint32_t way = rows->classes ? of_split(split, e->evaluate.way, e->tasks.way) : 1;
        const uint32_t shot = of_split(split, e->evaluate.shot, e->tasks.shot);
        uint32_t query = of_split(split, e->evaluate.query, e->tasks.query);
        const bool held_out = rows->by_row && split != MN_TRAIN;
        if (held_out)
            query = most_held_out(&rows->groups);
        if (shot + (held_out ? 0 : query) > MOST_ITEMS)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%" PRIu32 " + %" PRIu32 " rows are too many: expected at most %u "
                           "(tasks.shot, tasks.query, evaluate.shot, evaluate.query)",
                           shot, query, MOST_ITEMS);
        status = mn_fields_few_shot(fields, way * shot, way * query, x,
                                    rows->classes ? MN_TARGET_CLASSES : MN_TARGET_VALUES, way, err);
        if (status == MN_OK && held_out)
            status = add_weights(fields, err);
        if (status == MN_OK)
            status = mn_row_ids_add(&rows->ids, fields, err);
        if (!rows->classes && e->tasks.standardise)
            fields->y_scale = (float)rows->form.answer.scale;
        if (held_out)
            parts->n_tasks[split] = rows->n_members[split];
    }
    return status;
}

/* Names of groups that are too small, as many as fit. */
static uint32_t list_small(const struct rows *rows, mn_split split, uint32_t least, char *out,
                           size_t size)
{
    uint32_t n_small = 0;
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < rows->n_members[split]; i++) {
        const mn_row_group *group = &rows->groups.at[rows->members[split][i]];
        if (group->n[split] >= least)
            continue;
        if (used + 48 < size)
            used += (size_t)snprintf(out + used, size - used, "%s%.24s %" PRIu32,
                                     n_small > 0 ? ", " : "", group->name, group->n[split]);
        else if (used + 6 < size)
            used += (size_t)snprintf(out + used, size - used, ", ...");
        n_small++;
    }
    return n_small;
}

/* The name of a task that could not be adapted; NULL: there is none. */
static const char *first_without_training(const struct rows *rows, mn_split split)
{
    for (uint32_t i = 0; i < rows->n_members[split]; i++)
        if (rows->groups.at[rows->members[split][i]].n[MN_TRAIN] == 0)
            return rows->groups.at[rows->members[split][i]].name;
    return NULL;
}

static void check_sizes(const mn_experiment *e, struct rows *rows, const mn_task_set_parts *parts)
{
    static const char *const names[MN_N_SPLITS] = {"train", "val", "test"};
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        const mn_fields *fields = &parts->fields[split];
        const uint32_t way = rows->classes ? fields->y_size : 1;
        const uint32_t query = fields->at[MN_QUERY_X].n / way;
        const uint32_t least = rows->classes ? fields->at[MN_SUPPORT_X].n / way + query
                               : rows->by_row && split != MN_TRAIN ? 1
                                                                   : query + 1;
        char small[200];
        if (rows->n_members[split] < way) {
            (void)mn_fail(&rows->refusals[split], MN_ERR_CONFIG,
                          "%s: split %s has %" PRIu32 " %s, but its tasks have %" PRIu32
                          ": lower tasks.way (evaluate.way), or give the split more (tasks.shares, "
                          "tasks.split_list, tasks.split_column)%s",
                          e->tasks.table, names[split], rows->n_members[split],
                          rows->classes ? "classes" : "tasks", way,
                          split == MN_VAL ? "; or set evaluate.every to 0" : "");
            continue;
        }
        if (rows->by_row && split != MN_TRAIN && first_without_training(rows, split) != NULL) {
            (void)mn_fail(&rows->refusals[split], MN_ERR_CONFIG,
                          "%s: task %.60s has rows of split %s, but none of training to adapt to",
                          e->tasks.table, first_without_training(rows, split), names[split]);
            continue;
        }
        const uint32_t n_small = list_small(rows, split, least, small, sizeof small);
        if (n_small > 0)
            (void)mn_fail(
                &rows->refusals[split], MN_ERR_CONFIG,
                "%s: %" PRIu32 " %s of split %s have fewer rows than %s, %" PRIu32
                ": %s; lower these (tasks.* or evaluate.*), or take their rows out of the "
                "table",
                e->tasks.table, n_small, rows->classes ? "classes" : "tasks", names[split],
                rows->classes ? "shot + query" : "query + 1", least, small);
    }
}

static mn_status check(const void *of, mn_split split, mn_error *err)
{
    const struct rows *rows = of;
    const mn_error *refusal = &rows->refusals[split];
    return refusal->status == MN_OK ? MN_OK : mn_fail(err, refusal->status, "%s", refusal->message);
}

/* Drawing ---------------------------------------------------------------------------- */

/* Row number `at` of a group into an item. */
static void put_row(const struct rows *rows, const mn_row_group *group, uint32_t at, mn_task *task,
                    uint32_t x_field, uint32_t item)
{
    const size_t width = rows->form.width;
    const uint32_t row = rows->groups.order[group->first + at];
    memcpy(task->at[x_field] + item * width, rows->x + row * width, width * sizeof *rows->x);
    if (!rows->classes)
        task->at[x_field + 1][item] = rows->y[row];
    mn_row_ids_put(&rows->ids, row, x_field == MN_SUPPORT_X ? MN_SUPPORT : MN_QUERY, item, task);
}

static void draw_classes(const struct rows *rows, mn_split split, mn_random *random, mn_task *task)
{
    const uint32_t way = task->fields.y_size, shot = task->fields.at[MN_SUPPORT_X].n / way;
    const uint32_t query = task->fields.at[MN_QUERY_X].n / way;
    mn_random_choose(random, rows->n_members[split], way, task->classes);
    for (uint32_t label = 0; label < way; label++) {
        const mn_row_group *group = &rows->groups.at[rows->members[split][task->classes[label]]];
        uint32_t chosen[MOST_ITEMS];
        mn_random_choose(random, group->n[split], shot + query, chosen);
        for (uint32_t i = 0; i < shot + query; i++)
            if (i < shot)
                put_row(rows, group, chosen[i], task, MN_SUPPORT_X, label * shot + i);
            else
                put_row(rows, group, chosen[i], task, MN_QUERY_X, label * query + i - shot);
    }
    task->n_classes = way;
    mn_few_shot_label(way, shot, task->at[MN_SUPPORT_Y]);
    mn_few_shot_label(way, query, task->at[MN_QUERY_Y]);
}

/* `n` of the chosen rows are there for the support set, one after the other and again from the first. */
static void put_support(const struct rows *rows, const mn_row_group *group, const uint32_t *chosen,
                        uint32_t n, mn_task *task)
{
    for (uint32_t i = 0; i < task->fields.at[MN_SUPPORT_X].n; i++)
        put_row(rows, group, chosen[i % n], task, MN_SUPPORT_X, i);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void draw_values(const struct rows *rows, mn_split split, mn_random *random, mn_task *task)
{
    const uint32_t query = task->fields.at[MN_QUERY_X].n;
    const uint32_t number = mn_random_below(random, rows->n_members[split]);
    const mn_row_group *group = &rows->groups.at[rows->members[split][number]];
    const uint32_t n = smaller(group->n[split], query + task->fields.at[MN_SUPPORT_X].n);
    uint32_t chosen[MOST_ITEMS];
    mn_random_choose(random, group->n[split], n, chosen);
    for (uint32_t i = 0; i < query; i++)
        put_row(rows, group, chosen[i], task, MN_QUERY_X, i);
    put_support(rows, group, chosen + query, n - query, task);
    (void)snprintf(task->title, sizeof task->title, "%s", group->name);
}

/* Validation adapts to training rows, a test to those of validation too. */
static void draw_held_out(const struct rows *rows, mn_split split, uint64_t index,
                          mn_random *random, mn_task *task)
{
    const uint32_t number = rows->members[split][index % rows->n_members[split]];
    const mn_row_group *group = &rows->groups.at[number];
    const uint32_t before = group->n[MN_TRAIN] + (split == MN_TEST ? group->n[MN_VAL] : 0);
    const uint32_t n = smaller(before, task->fields.at[MN_SUPPORT_X].n), asked = group->n[split];
    float *weights = mn_task_find(task, MN_QUERY, "weight");
    uint32_t chosen[MOST_ITEMS];
    mn_random_choose(random, before, n, chosen);
    put_support(rows, group, chosen, n, task);
    for (uint32_t i = 0; i < task->fields.at[MN_QUERY_X].n; i++) {
        put_row(rows, group, before + (i < asked ? i : 0), task, MN_QUERY_X, i);
        weights[i] = i < asked ? 1.0f / (float)asked : 0.0f;
    }
    (void)snprintf(task->title, sizeof task->title, "%s", group->name);
}

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct rows *rows = of;
    task->n_classes = 0;
    if (rows->classes)
        draw_classes(rows, split, random, task);
    else if (rows->by_row && split != MN_TRAIN)
        draw_held_out(rows, split, index, random, task);
    else
        draw_values(rows, split, random, task);
    if (split == MN_TRAIN)
        mn_row_ids_hide(&rows->ids, random, task);
}

static uint64_t classes(const void *of, mn_split split)
{
    const struct rows *rows = of;
    return rows->n_members[split];
}

/* Telling ---------------------------------------------------------------------------- */

static void print_features(const struct rows *rows, FILE *out)
{
    char shown[80];
    (void)fprintf(out, "features %" PRIu32 " columns, %" PRIu32 " numbers of a row:", rows->form.n,
                  rows->form.width);
    for (uint32_t i = 0; i < rows->form.n && i < 12; i++) {
        const char *name = rows->form.columns[i].name;
        (void)mn_text_escape(name, strlen(name), shown, sizeof shown);
        (void)fprintf(out, " %s%s", shown, i + 1 < rows->form.n ? "," : "");
    }
    (void)fprintf(out, "%s\n", rows->form.n > 12 ? " ..." : "");
    if (rows->unknown > 0)
        (void)fprintf(out,
                      "words    %" PRIu32 " cells of validation and test have words that training "
                      "has not: taken as none\n",
                      rows->unknown);
}

static void describe(const void *of, const mn_task *task, FILE *out)
{
    const struct rows *rows = of;
    const mn_row_column *answer = &rows->form.answer;
    if (rows->classes)
        (void)fprintf(out, "class    column %s\n", answer->name);
    else
        (void)fprintf(out, "y        column %s, less %.6g, by %.6g; task %s\n", answer->name,
                      answer->mean, answer->scale, task->title);
    print_features(rows, out);
    if (rows->ids.n > 0)
        (void)fprintf(out, "ids      column %s: %" PRIu32 " of training, from 1; others are 0\n",
                      rows->ids.column, rows->ids.n - 1);
    mn_task_print(task, out);
}

static const mn_row_form *form_of(const void *of)
{
    const struct rows *rows = of;
    return &rows->form;
}

static const mn_words *words_of(const void *of)
{
    const struct rows *rows = of;
    return rows->ids.words;
}

const mn_task_set_kind mn_rows_kind = {.open = open_tasks,
                                       .close = close_tasks,
                                       .check = check,
                                       .draw = draw,
                                       .classes = classes,
                                       .describe = describe,
                                       .words = words_of,
                                       .row_form = form_of};
