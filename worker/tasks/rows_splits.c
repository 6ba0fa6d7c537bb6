#include "worker/tasks/rows_splits.h"

#include "common/random.h"
#include "common/text.h"
#include "worker/data/data_path.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* A row and the name of what it belongs to. */
struct member {
    char *name; /* owned */
    uint32_t row;
};

/* Files ------------------------------------------------------------------------------ */

/* The name in the folder of n letters; NULL: it is not there, or there is no memory. */
static char *find_in(const char *folder, size_t n, const char *name)
{
    struct stat info;
    char *path = NULL;
    if (n == 0 || asprintf(&path, "%.*s/%s", (int)n, folder, name) < 0)
        return NULL;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode))
        return path;
    free(path);
    return NULL;
}

static char *find(const char *name, const char *folders)
{
    char *path = NULL;
    for (const char *at = folders; *at != '\0' && path == NULL;) {
        const size_t n = strcspn(at, ":");
        path = find_in(at, n, name);
        at += n + (at[n] == ':');
    }
    char *cache = path == NULL ? mn_data_path_cache() : NULL;
    if (cache != NULL)
        path = find_in(cache, strlen(cache), name);
    free(cache);
    return path;
}

static bool leads_out(const char *name)
{
    return name[0] == '\0' || name[0] == '/' || strncmp(name, "../", 3) == 0 ||
           strstr(name, "/../") != NULL || strcmp(name, "..") == 0;
}

mn_status mn_row_files_find(const char *names, const char *folders, mn_row_files *out,
                            mn_error *err)
{
    char copy[256], *left = copy;
    *out = (mn_row_files){0};
    (void)snprintf(copy, sizeof copy, "%s", names);
    while (left != NULL) {
        char *name = strsep(&left, ",");
        name += strspn(name, " ");
        for (size_t end = strlen(name); end > 0 && name[end - 1] == ' ';)
            name[--end] = '\0';
        if (leads_out(name) || out->n == MN_DATA_TABLE_MAX_FILES)
            return mn_fail(
                err, MN_ERR_CONFIG,
                "\"%s\" (tasks.table, tasks.split_list): expected files below the folders "
                "of run.data_path, without / before them and .. in them, at most %u with "
                "',' between",
                name, MN_DATA_TABLE_MAX_FILES);
        out->paths[out->n] = find(name, folders);
        if (out->paths[out->n] == NULL)
            return mn_fail(err, MN_ERR_NO_INPUT,
                           "no file %s (tasks.table, tasks.split_list): add its folder to "
                           "run.data_path or MNEMO_DATA; looked in %.300s and the cache",
                           name, folders);
        out->n++;
    }
    return MN_OK;
}

void mn_row_files_fini(mn_row_files *files)
{
    for (uint32_t i = 0; i < files->n; i++)
        free(files->paths[i]);
    *files = (mn_row_files){0};
}

/* Groups ----------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order != 0 ? order : x->row < y->row ? -1 : x->row > y->row;
}

static mn_status name_rows(const mn_data_table *table, const char *column, struct member *members,
                           mn_error *err)
{
    uint32_t place = 0, n = 0;
    mn_status status = mn_data_table_find(table, column, &place, &n, err);
    if (status == MN_OK && n != 1)
        return mn_fail(err, MN_ERR_CONFIG,
                       "\"%s\" is %" PRIu32 " columns: expected one, as \"%s.1\"", column, n,
                       column);
    for (uint32_t row = 0; row < table->n_rows && status == MN_OK; row++) {
        char word[MN_DATA_TABLE_WORD];
        mn_data_table_word(table, row, place, word);
        if (word[0] == '\0' || !mn_text_is_plain(word))
            return mn_fail(err, MN_ERR_DATA,
                           "row %" PRIu32 " has %s in column %s: expected a word of plain UTF-8 "
                           "text or a number",
                           row + 1, word[0] == '\0' ? "nothing" : "what is no text", column);
        members[row] = (struct member){.name = strdup(word), .row = row};
        if (members[row].name == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "names of rows");
    }
    return status;
}

static mn_status group_rows(struct member *members, uint32_t n_rows, mn_row_groups *out,
                            mn_error *err)
{
    uint32_t n = 0;
    qsort(members, n_rows, sizeof *members, by_name);
    for (uint32_t i = 0; i < n_rows; i++)
        n += i == 0 || strcmp(members[i].name, members[i - 1].name) != 0;
    out->at = calloc(n, sizeof *out->at);
    out->order = calloc(n_rows, sizeof *out->order);
    if (out->at == NULL || out->order == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "groups of rows");
    for (uint32_t i = 0; i < n_rows; i++) {
        out->order[i] = members[i].row;
        if (i == 0 || strcmp(members[i].name, members[i - 1].name) != 0) {
            out->at[out->n] = (mn_row_group){.name = strdup(members[i].name), .first = i};
            if (out->at[out->n++].name == NULL)
                return mn_fail(err, MN_ERR_NOMEM, "names of groups");
        }
        out->at[out->n - 1].n[MN_TRAIN]++; /* all of them, until there are splits */
    }
    return MN_OK;
}

/* Splits ----------------------------------------------------------------------------- */

static uint32_t rows_of(const mn_row_group *group)
{
    return group->n[MN_TRAIN] + group->n[MN_VAL] + group->n[MN_TEST];
}

static void give_to(mn_row_group *group, mn_split split)
{
    const uint32_t n = rows_of(group);
    memset(group->n, 0, sizeof group->n);
    group->n[split] = n;
}

static bool split_of(const char *word, mn_split *out)
{
    static const struct {
        const char *word;
        mn_split split;
    } words[] = {{"train", MN_TRAIN},    {"training", MN_TRAIN}, {"val", MN_VAL},
                 {"validation", MN_VAL}, {"valid", MN_VAL},      {"test", MN_TEST}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(word, words[i].word) == 0) {
            *out = words[i].split;
            return true;
        }
    return false;
}

static mn_status no_split(const char *where, uint32_t row, const char *word, mn_error *err)
{
    char shown[60];
    (void)mn_text_escape(word, strlen(word), shown, sizeof shown);
    return mn_fail(err, MN_ERR_DATA,
                   "%s: row %" PRIu32 ": \"%s\" is no split: expected train, val or test", where,
                   row + 1, shown);
}

static uint32_t share_of(uint32_t n, uint32_t per_cent)
{
    return (uint32_t)(((uint64_t)n * per_cent + 50) / 100);
}

/* How many of n are for validation and for test; one at least is left for training. */
static void share_out(const mn_uint_list *shares, uint32_t n, uint32_t *n_val, uint32_t *n_test)
{
    *n_test = share_of(n, shares->at[2]);
    *n_val = share_of(n, shares->at[1]);
    if (*n_test >= n)
        *n_test = n - 1;
    if (*n_val >= n - *n_test)
        *n_val = n - *n_test - 1;
}

struct lot {
    uint64_t number;
    uint32_t group;
};

static int by_lot(const void *a, const void *b)
{
    const struct lot *x = a, *y = b;
    return x->number != y->number ? (x->number < y->number ? -1 : 1)
                                  : (x->group > y->group) - (x->group < y->group);
}

static uint64_t lot_of(uint64_t seed, const char *name)
{
    char text[MN_DATA_TABLE_WORD + 24];
    return mn_checksum(text, (size_t)snprintf(text, sizeof text, "%" PRIu64 " %s", seed, name));
}

/* A name's lot depends on the seed and itself alone, so no order of rows or files matters. */
static mn_status split_groups_by_lot(const mn_experiment *e, mn_row_groups *groups, mn_error *err)
{
    struct lot *lots = calloc(groups->n, sizeof *lots);
    uint32_t n_val, n_test;
    if (lots == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "splits");
    for (uint32_t g = 0; g < groups->n; g++)
        lots[g] = (struct lot){lot_of(e->seed, groups->at[g].name), g};
    qsort(lots, groups->n, sizeof *lots, by_lot);
    share_out(&e->tasks.shares, groups->n, &n_val, &n_test);
    for (uint32_t i = 0; i < groups->n; i++)
        give_to(&groups->at[lots[i].group], i < n_test           ? MN_TEST
                                            : i < n_test + n_val ? MN_VAL
                                                                 : MN_TRAIN);
    free(lots);
    return MN_OK;
}

static void split_rows_by_lot(const mn_experiment *e, mn_row_groups *groups)
{
    for (uint32_t g = 0; g < groups->n; g++) {
        mn_row_group *group = &groups->at[g];
        const uint32_t n = rows_of(group);
        mn_random random = mn_random_stream(e->seed, MN_RANDOM_SPLIT,
                                            mn_checksum(group->name, strlen(group->name)));
        mn_random_shuffle(&random, n, groups->order + group->first);
        share_out(&e->tasks.shares, n, &group->n[MN_VAL], &group->n[MN_TEST]);
        group->n[MN_TRAIN] = n - group->n[MN_VAL] - group->n[MN_TEST];
    }
}

/* Rows of one split after the other, each in the order that it has: a pass for each split. */
static mn_status split_by_column(const mn_experiment *e, const mn_data_table *table,
                                 mn_row_groups *groups, mn_error *err)
{
    uint32_t place = 0, n = 0, *sorted = calloc(table->n_rows, sizeof *sorted);
    mn_status status = sorted != NULL
                           ? mn_data_table_find(table, e->tasks.split_column, &place, &n, err)
                           : mn_fail(err, MN_ERR_NOMEM, "splits");
    for (uint32_t g = 0; g < groups->n && status == MN_OK; g++) {
        mn_row_group *group = &groups->at[g];
        const uint32_t n_rows = rows_of(group);
        uint32_t *order = groups->order + group->first, at = 0;
        memset(group->n, 0, sizeof group->n);
        for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
            for (uint32_t i = 0; i < n_rows && status == MN_OK; i++) {
                char word[MN_DATA_TABLE_WORD];
                mn_split is = MN_TRAIN;
                mn_data_table_word(table, order[i], place, word);
                if (!split_of(word, &is))
                    status = no_split(e->tasks.split_column, order[i], word, err);
                else if (is == split)
                    sorted[at++] = order[i], group->n[split]++;
            }
        if (status != MN_OK)
            break;
        memcpy(order, sorted, n_rows * sizeof *order);
        if (e->tasks.split_by == MN_SPLIT_BY_TASK && group->n[MN_TRAIN] != n_rows &&
            group->n[MN_VAL] != n_rows && group->n[MN_TEST] != n_rows)
            status =
                mn_fail(err, MN_ERR_DATA,
                        "column %s: rows of %.60s are of several splits: expected one for each "
                        "class or task; tasks.split_by row splits the rows of tasks",
                        e->tasks.split_column, group->name);
    }
    free(sorted);
    return status;
}

static mn_row_group *find_group(const mn_row_groups *groups, const char *name)
{
    uint32_t low = 0, high = groups->n;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = strcmp(name, groups->at[middle].name);
        if (order == 0)
            return &groups->at[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Lines of a name and a split; the first may be a header. What is not in the table is passed over. */
static mn_status take_list(const mn_experiment *e, const mn_data_table *list, mn_row_groups *groups,
                           bool *listed, mn_error *err)
{
    if (list->n_columns != 2)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %" PRIu32 " columns: expected two, a name and train, val or test",
                       e->tasks.split_list, list->n_columns);
    for (uint32_t row = 0; row < list->n_rows; row++) {
        char name[MN_DATA_TABLE_WORD], word[MN_DATA_TABLE_WORD];
        mn_split split = MN_TRAIN;
        mn_data_table_word(list, row, 0, name);
        mn_data_table_word(list, row, 1, word);
        mn_row_group *group = find_group(groups, name);
        if (!split_of(word, &split)) {
            if (row == 0)
                continue;
            return no_split(e->tasks.split_list, row, word, err);
        }
        if (group == NULL)
            continue;
        if (listed[group - groups->at])
            return mn_fail(err, MN_ERR_DATA, "%s: row %" PRIu32 ": %.60s comes twice",
                           e->tasks.split_list, row + 1, name);
        listed[group - groups->at] = true;
        give_to(group, split);
    }
    for (uint32_t g = 0; g < groups->n; g++)
        if (!listed[g])
            return mn_fail(err, MN_ERR_DATA,
                           "%s has no line for %.60s, which the table has rows of",
                           e->tasks.split_list, groups->at[g].name);
    return MN_OK;
}

static mn_status split_by_list(const mn_experiment *e, mn_row_groups *groups, mn_error *err)
{
    mn_row_files files;
    mn_data_table list = {0};
    bool *listed = calloc(groups->n, sizeof *listed);
    mn_status status = mn_row_files_find(e->tasks.split_list, e->run.data_path, &files, err);
    if (listed == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "splits");
    if (status == MN_OK)
        status =
            mn_data_table_read(files.n, (const char *const *)files.paths, MN_HEADER_NO, &list, err);
    if (status == MN_OK) {
        groups->list_digest = list.digest;
        status = take_list(e, &list, groups, listed, err);
    }
    mn_row_files_fini(&files);
    mn_data_table_fini(&list);
    free(listed);
    return status;
}

mn_status mn_row_groups_make(const mn_experiment *e, const mn_data_table *table, mn_row_groups *out,
                             mn_error *err)
{
    const char *column =
        e->tasks.class_column[0] != '\0' ? e->tasks.class_column : e->tasks.task_column;
    struct member *members = calloc(table->n_rows, sizeof *members);
    *out = (mn_row_groups){0};
    mn_status status = members != NULL ? name_rows(table, column, members, err)
                                       : mn_fail(err, MN_ERR_NOMEM, "names of rows");
    if (status == MN_OK)
        status = group_rows(members, table->n_rows, out, err);
    for (uint32_t i = 0; members != NULL && i < table->n_rows; i++)
        free(members[i].name);
    free(members);
    if (status == MN_OK) {
        if (e->tasks.split_list[0] != '\0')
            status = split_by_list(e, out, err);
        else if (e->tasks.split_column[0] != '\0')
            status = split_by_column(e, table, out, err);
        else if (e->tasks.split_by == MN_SPLIT_BY_ROW)
            split_rows_by_lot(e, out);
        else
            status = split_groups_by_lot(e, out, err);
    }
    if (status != MN_OK)
        mn_row_groups_fini(out);
    return status;
}

void mn_row_groups_fini(mn_row_groups *groups)
{
    for (uint32_t g = 0; g < groups->n; g++)
        free(groups->at[g].name);
    free(groups->at);
    free(groups->order);
    *groups = (mn_row_groups){0};
}
