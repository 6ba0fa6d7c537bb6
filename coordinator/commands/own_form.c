#include "coordinator/commands/own_form.h"

#include "common/log.h"
#include "common/text.h"
#include "worker/tasks/table_prior.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static uint32_t item_of(const mn_model *model)
{
    uint32_t item[3];
    mn_model_item(model, item);
    return item[0] * item[1] * item[2];
}

mn_status mn_own_form_read(const char *note, const mn_model *model, mn_row_form *out, mn_error *err)
{
    const bool padded = mn_model_experiment(model)->tasks.kind == MN_TASKS_TABLES;
    const uint32_t item = item_of(model);
    if (note == NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "the model does not tell how columns of a table are read: expected one that "
                       "mnemo train, export or adapt has written");
    mn_status status = mn_row_form_parse(note, out, err);
    if (status != MN_OK)
        return status;
    if ((padded ? out->width <= item : out->width == item) &&
        out->classes == (mn_model_fields(model)->target == MN_TARGET_CLASSES))
        return MN_OK;
    mn_row_form_fini(out);
    return mn_fail(err, MN_ERR_DATA, "the model has another number of columns than it tells of");
}

mn_status mn_own_table_read(const char *path, mn_header header, mn_data_table *out, mn_error *err)
{
    const char *paths[MN_DATA_TABLE_MAX_FILES] = {path};
    uint32_t n = 1;
    struct stat info;
    char *copy = strdup(path), *left = copy;
    if (copy == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%s", path);
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        free(copy);
        return mn_fail(err, MN_ERR_DATA,
                       "%s is a folder: this run has learned from rows of a table; expected a "
                       "table (CSV, TSV), or arrays side by side, as x.npy,y.npy",
                       path);
    }
    if (stat(path, &info) != 0)
        for (n = 0; left != NULL && n < MN_DATA_TABLE_MAX_FILES; n++)
            paths[n] = strsep(&left, ",");
    mn_status status = mn_data_table_read(n, paths, header, out, err);
    free(copy);
    return status;
}

/* One word makes a column one of words, and what is a number to people may be none to us, as "1,5". */
static void tell_of_words(const char *path, const mn_data_table *table, const mn_row_form *form)
{
    for (uint32_t i = 0; i < form->n; i++) {
        const mn_row_column *column = &form->columns[i];
        uint32_t n_numbers = 0;
        char word[MN_DATA_TABLE_WORD] = "", shown[80];
        for (uint32_t row = 0; row < table->n_rows && column->n_words > 0; row++) {
            double number;
            const mn_cell cell = mn_data_table_number(table, row, column->place, &number);
            n_numbers += cell == MN_CELL_NUMBER;
            if (cell == MN_CELL_WORD && word[0] == '\0')
                mn_data_table_word(table, row, column->place, word);
        }
        (void)mn_text_escape(word, strlen(word), shown, sizeof shown);
        if (n_numbers > 0)
            mn_log(MN_LOG_WARN,
                   "%s: column \"%s\" has words beside numbers, as \"%s\": all are taken as words, "
                   "of which none is nearer to another; a number has a decimal point",
                   path, column->name, shown);
        else if (column->n_words > 0)
            mn_log(MN_LOG_INFO, "%s: column \"%s\" has %" PRIu32 " different words", path,
                   column->name, column->n_words);
    }
}

/* A form of all columns but the one of the class. */
static mn_status fit(const char *path, const mn_data_table *table, uint32_t answer,
                     mn_row_form *out, mn_error *err)
{
    mn_error why = {.message = ""};
    uint32_t *places = calloc(table->n_columns, sizeof *places);
    uint32_t *rows = calloc(table->n_rows, sizeof *rows);
    mn_row_plan plan = {.places = places,
                        .answer = answer,
                        .classes = true,
                        .fills = true,
                        .words = true,
                        .standardise = true};
    mn_status status =
        places != NULL && rows != NULL ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "columns of a table");
    for (uint32_t i = 0; status == MN_OK && i < table->n_columns; i++)
        if (i != answer)
            places[plan.n++] = i;
    for (uint32_t i = 0; status == MN_OK && i < table->n_rows; i++)
        rows[i] = i;
    if (status == MN_OK)
        status = mn_row_form_fit(table, &plan, table->n_rows, rows, out, &why);
    if (status == MN_OK)
        tell_of_words(path, table, out);
    else if (why.message[0] != '\0')
        (void)mn_fail(err, status, "%s: %s", path, why.message);
    free(places);
    free(rows);
    return status;
}

/* Which column tells the class. */
static mn_status find_answer(const char *path, const char *name, const mn_data_table *table,
                             uint32_t *out, mn_error *err)
{
    uint32_t n = 1;
    mn_error why;
    *out = table->n_columns - 1;
    if (table->n_columns < 2)
        return mn_fail(err, MN_ERR_DATA,
                       "%s has one column: expected features, and a column of classes", path);
    if (name != NULL && mn_data_table_find(table, name, out, &n, &why) != MN_OK)
        return mn_fail(err, MN_ERR_DATA, "--class-column: %s: %s", path, why.message);
    if (n != 1)
        return mn_fail(err, MN_ERR_DATA, "--class-column %s: %s has %" PRIu32 " columns of it",
                       name, path, n);
    mn_log(MN_LOG_INFO, "%s: classes are those of column \"%s\"%s", path, table->columns[*out].name,
           name == NULL ? ", the last; --class-column names another" : "");
    return MN_OK;
}

mn_status mn_own_form_fit(const char *path, const char *class_column, const mn_model *model,
                          mn_row_form *out, mn_error *err)
{
    const uint32_t most = item_of(model);
    mn_data_table table = {0};
    uint32_t answer = 0;
    mn_status status = mn_own_table_read(path, MN_HEADER_AUTO, &table, err);
    if (status == MN_OK)
        status = find_answer(path, class_column, &table, &answer, err);
    if (status == MN_OK)
        status = fit(path, &table, answer, out, err);
    mn_data_table_fini(&table);
    if (status != MN_OK)
        return status;
    out->farthest = MN_TABLE_FARTHEST;
    if (out->width <= most)
        return MN_OK;
    status =
        mn_fail(err, MN_ERR_DATA,
                "%s: %" PRIu32 " numbers of a row (a column of words makes one for each word), "
                "but the run has learned from made-up tables of up to %" PRIu32
                " (tasks.features): leave columns out, or train with tasks.features=%" PRIu32,
                path, out->width, most, out->width);
    mn_row_form_fini(out);
    return status;
}
