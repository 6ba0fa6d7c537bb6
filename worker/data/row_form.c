#include "worker/data/row_form.h"

#include "common/text.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static mn_status fit_column(const mn_data_table *table, const mn_row_plan *plan, uint32_t n_rows,
                            const uint32_t *rows, mn_row_column *column, mn_error *err);
static mn_status complain(const char *source, const mn_data_table *table, uint32_t row,
                          uint32_t place, mn_error *err);

/* Making ----------------------------------------------------------------------------- */

static mn_status copy_names(const mn_data_table *table, mn_row_form *out, mn_error *err)
{
    out->table_width = table->n_columns;
    out->table_names = calloc(table->n_columns, sizeof *out->table_names);
    for (uint32_t i = 0; out->table_names != NULL && i < table->n_columns; i++)
        if ((out->table_names[i] = strdup(table->columns[i].name)) == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "names of columns");
    return out->table_names != NULL ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "names of columns");
}

static mn_status begin_column(const mn_data_table *table, uint32_t place, mn_row_column *out,
                              mn_error *err)
{
    *out = (mn_row_column){.name = strdup(table->columns[place].name), .place = place, .scale = 1};
    return out->name != NULL ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "names of columns");
}

/* Columns that do not vary (scale 0) count as such. */
static void share_scale(mn_row_form *form)
{
    double squares = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < form->n; i++)
        if (form->columns[i].n_words == 0) {
            squares += form->columns[i].scale * form->columns[i].scale;
            n++;
        }
    for (uint32_t i = 0; i < form->n; i++)
        if (form->columns[i].n_words == 0)
            form->columns[i].scale = squares > 0 ? sqrt(squares / n) : 1;
}

mn_status mn_row_form_fit(const mn_data_table *table, const mn_row_plan *plan, uint32_t n_rows,
                          const uint32_t *rows, mn_row_form *out, mn_error *err)
{
    *out = (mn_row_form){.named = table->named, .classes = plan->classes, .fills = plan->fills};
    out->columns = calloc(plan->n, sizeof *out->columns);
    mn_status status =
        out->columns != NULL ? copy_names(table, out, err) : mn_fail(err, MN_ERR_NOMEM, "columns");
    for (uint32_t i = 0; i < plan->n && status == MN_OK; i++) {
        mn_row_column *column = &out->columns[out->n++];
        status = begin_column(table, plan->places[i], column, err);
        column->roots = plan->roots;
        if (status == MN_OK)
            status = fit_column(table, plan, n_rows, rows, column, err);
        out->width += column->n_words > 0 ? column->n_words : 1;
        if (status == MN_OK && out->width > MN_ROW_FORM_MOST_WIDTH)
            status = mn_fail(err, MN_ERR_DATA,
                             "the words of columns make more than %u numbers of a row: leave some "
                             "columns out (tasks.columns)",
                             MN_ROW_FORM_MOST_WIDTH);
    }
    if (status == MN_OK && plan->standardise && plan->one_scale)
        share_scale(out);
    if (status == MN_OK)
        status = begin_column(table, plan->answer, &out->answer, err);
    if (status == MN_OK && !plan->classes) {
        const mn_row_plan number = {.standardise = plan->standardise};
        status = fit_column(table, &number, n_rows, rows, &out->answer, err);
    }
    if (status != MN_OK)
        mn_row_form_fini(out);
    return status;
}

static void drop_column(mn_row_column *column)
{
    for (uint32_t i = 0; i < column->n_words; i++)
        free(column->words[i]);
    free((void *)column->words);
    free(column->name);
}

void mn_row_form_fini(mn_row_form *form)
{
    for (uint32_t i = 0; i < form->n; i++)
        drop_column(&form->columns[i]);
    free(form->columns);
    for (uint32_t i = 0; form->table_names != NULL && i < form->table_width; i++)
        free(form->table_names[i]);
    free((void *)form->table_names);
    drop_column(&form->answer);
    *form = (mn_row_form){0};
}

/* Where a word stands among the words, or where it would. */
static uint32_t place_of_word(const mn_row_column *column, const char *word, bool *is_there)
{
    uint32_t low = 0, high = column->n_words;
    *is_there = false;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = strcmp(word, column->words[middle]);
        if (order == 0) {
            *is_there = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static mn_status add_word(mn_row_column *column, const char *word, mn_error *err)
{
    bool is_there = false;
    const uint32_t place = place_of_word(column, word, &is_there);
    if (is_there)
        return MN_OK;
    if (column->n_words == MN_ROW_FORM_MOST_WORDS)
        return mn_fail(err, MN_ERR_DATA,
                       "column %.60s has more than %u different words: is it a name or a number of "
                       "the row? Leave it out (tasks.columns)",
                       column->name, MN_ROW_FORM_MOST_WORDS);
    char **words = realloc((void *)column->words, (column->n_words + 1) * sizeof *words);
    if (words == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "words of a column");
    column->words = words;
    char *copy = strdup(word);
    if (copy == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "words of a column");
    memmove((void *)(words + place + 1), (void *)(words + place),
            (column->n_words - place) * sizeof *words);
    words[place] = copy;
    column->n_words++;
    return MN_OK;
}

static mn_status fit_words(const mn_data_table *table, uint32_t n_rows, const uint32_t *rows,
                           mn_row_column *column, mn_error *err)
{
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < n_rows && status == MN_OK; i++) {
        char word[MN_DATA_TABLE_WORD];
        double number;
        if (mn_data_table_number(table, rows[i], column->place, &number) == MN_CELL_MISSING)
            continue;
        mn_data_table_word(table, rows[i], column->place, word);
        status =
            mn_text_is_plain(word)
                ? add_word(column, word, err)
                : mn_fail(err, MN_ERR_DATA,
                          "column %.60s has a word that is no plain UTF-8 text (row %" PRIu32 ")",
                          column->name, rows[i] + 1);
    }
    return status;
}

/* As mn_data_table_number(), or its root; MN_CELL_WORD: it has none. */
static mn_cell number_of(const mn_row_column *column, const mn_data_table *table, uint32_t row,
                         uint32_t place, double *number)
{
    const mn_cell cell = mn_data_table_number(table, row, place, number);
    if (cell != MN_CELL_NUMBER || !column->roots)
        return cell;
    if (*number < 0)
        return MN_CELL_WORD;
    *number = sqrt(*number);
    return cell;
}

/* In two passes, in double: the mean, then the deviation from it; 0: it does not vary. */
static void fit_numbers(const mn_data_table *table, uint32_t n_rows, const uint32_t *rows,
                        uint32_t n_there, mn_row_column *column)
{
    double number, sum = 0, squares = 0;
    for (uint32_t i = 0; i < n_rows; i++)
        if (number_of(column, table, rows[i], column->place, &number) == MN_CELL_NUMBER)
            sum += number;
    column->mean = sum / n_there;
    for (uint32_t i = 0; i < n_rows; i++)
        if (number_of(column, table, rows[i], column->place, &number) == MN_CELL_NUMBER)
            squares += (number - column->mean) * (number - column->mean);
    const double deviation = sqrt(squares / n_there);
    column->scale = deviation > 1e-9 * fabs(column->mean) && deviation > 1e-30 ? deviation : 0;
}

static bool is_infinite(const mn_data_table *table, uint32_t row, uint32_t place)
{
    char word[MN_DATA_TABLE_WORD], *end = NULL;
    mn_data_table_word(table, row, place, word);
    return isinf(strtod(word, &end)) && *end == '\0';
}

/* Beside numbers an infinite one is no word: it would make a word of each of them. */
static bool find_infinite(const mn_data_table *table, uint32_t n_rows, const uint32_t *rows,
                          uint32_t place, uint32_t *out)
{
    bool has_numbers = false, found = false;
    for (uint32_t i = 0; i < n_rows; i++) {
        double number;
        const mn_cell cell = mn_data_table_number(table, rows[i], place, &number);
        has_numbers |= cell == MN_CELL_NUMBER;
        if (cell != MN_CELL_WORD || found || !is_infinite(table, rows[i], place))
            continue;
        *out = rows[i];
        found = true;
    }
    return found && has_numbers;
}

static mn_status fit_column(const mn_data_table *table, const mn_row_plan *plan, uint32_t n_rows,
                            const uint32_t *rows, mn_row_column *column, mn_error *err)
{
    uint32_t n_there = 0, infinite = 0;
    for (uint32_t i = 0; i < n_rows; i++) {
        double number;
        const mn_cell cell = mn_data_table_number(table, rows[i], column->place, &number);
        n_there += cell == MN_CELL_NUMBER;
        if (cell == MN_CELL_WORD && plan->words)
            return find_infinite(table, n_rows, rows, column->place, &infinite)
                       ? complain("table", table, infinite, column->place, err)
                       : fit_words(table, n_rows, rows, column, err);
        if (cell == MN_CELL_WORD || (column->roots && cell == MN_CELL_NUMBER && number < 0))
            return complain("table", table, rows[i], column->place, err);
    }
    if (n_there == 0)
        return mn_fail(err, MN_ERR_DATA,
                       "column %.60s has no number in any training row: leave it out "
                       "(tasks.columns)",
                       column->name);
    fit_numbers(table, n_rows, rows, n_there, column);
    column->fill = column->mean;
    if (!plan->standardise) {
        column->mean = 0;
        column->scale = 1;
    } else if (column->scale == 0 && !plan->one_scale) {
        column->scale = 1;
    }
    return MN_OK;
}

/* Reading rows ----------------------------------------------------------------------- */

static mn_status complain(const char *source, const mn_data_table *table, uint32_t row,
                          uint32_t place, mn_error *err)
{
    char word[MN_DATA_TABLE_WORD], shown[60];
    double number;
    const mn_cell cell = mn_data_table_number(table, row, place, &number);
    const bool missing = cell == MN_CELL_MISSING;
    mn_data_table_word(table, row, place, word);
    (void)mn_text_escape(word, strlen(word), shown, sizeof shown);
    return mn_fail(
        err, MN_ERR_DATA,
        "%s: row %" PRIu32 ", column %.60s: %s\"%s\": expected a "
        "%s",
        source, row + 1, table->columns[place].name, missing ? "nothing there, " : "", shown,
        missing ? "finite number with a decimal point; tasks.missing mean puts the mean "
                  "of the training rows there"
        : cell == MN_CELL_NUMBER ? "number of at least 0, as tasks.roots takes the root of it"
        : is_infinite(table, row, place)
            ? "finite number; mend the cell, or leave the row out"
            : "finite number with a decimal point; tasks.words one-hot takes columns "
              "of words, tasks.columns leaves some out");
}

static double cut_off(double z, double farthest)
{
    return !(farthest > 0) ? z : z > farthest ? farthest : z < -farthest ? -farthest : z;
}

static mn_status put_number(const mn_row_column *column, const char *source,
                            const mn_data_table *table, uint32_t row, uint32_t place, bool fills,
                            double farthest, float *out, mn_error *err)
{
    double number;
    const mn_cell cell = number_of(column, table, row, place, &number);
    if (cell == MN_CELL_MISSING && fills)
        number = column->fill;
    else if (cell != MN_CELL_NUMBER)
        return complain(source, table, row, place, err);
    *out = (float)cut_off((number - column->mean) / column->scale, farthest);
    return isfinite(*out)
               ? MN_OK
               : mn_fail(err, MN_ERR_DATA,
                         "%s: row %" PRIu32 ", column %.60s: %g is too far from the mean %g of "
                         "training to be counted with",
                         source, row + 1, column->name, number, column->mean);
}

mn_status mn_row_form_x(const mn_row_form *form, const char *source, const mn_data_table *table,
                        uint32_t row, const uint32_t *places, float *out, uint32_t *unknown,
                        mn_error *err)
{
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < form->n && status == MN_OK; i++) {
        const mn_row_column *column = &form->columns[i];
        char word[MN_DATA_TABLE_WORD];
        bool is_there = false;
        double number;
        if (column->n_words == 0) {
            status = put_number(column, source, table, row, places[i], form->fills, form->farthest,
                                out++, err);
            continue;
        }
        memset(out, 0, column->n_words * sizeof *out);
        if (mn_data_table_number(table, row, places[i], &number) == MN_CELL_MISSING) {
            if (!form->fills)
                status = complain(source, table, row, places[i], err);
        } else {
            mn_data_table_word(table, row, places[i], word);
            const uint32_t place = place_of_word(column, word, &is_there);
            if (is_there)
                out[place] = 1;
            *unknown += !is_there;
        }
        out += column->n_words;
    }
    return status;
}

mn_status mn_row_form_y(const mn_row_form *form, const char *source, const mn_data_table *table,
                        uint32_t row, uint32_t place, float *out, mn_error *err)
{
    return put_number(&form->answer, source, table, row, place, false, 0, out, err);
}

/* Matching --------------------------------------------------------------------------- */

static mn_status find_name(const char *source, const mn_data_table *table, const char *name,
                           uint32_t *place, mn_error *err)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i].name, name) == 0) {
            *place = i;
            found++;
        }
    if (found == 0)
        *place = UINT32_MAX;
    return found <= 1 ? MN_OK
                      : mn_fail(err, MN_ERR_DATA, "%s: %" PRIu32 " columns are called \"%.60s\"",
                                source, found, name);
}

static mn_status refuse_strangers(const mn_row_form *form, const char *source,
                                  const mn_data_table *table, mn_error *err)
{
    for (uint32_t i = 0; i < table->n_columns; i++) {
        bool known = false;
        char shown[80];
        for (uint32_t k = 0; k < form->table_width && !known; k++)
            known = strcmp(table->columns[i].name, form->table_names[k]) == 0;
        if (known)
            continue;
        (void)mn_text_escape(table->columns[i].name, strlen(table->columns[i].name), shown,
                             sizeof shown);
        return mn_fail(err, MN_ERR_DATA,
                       "%s: column \"%s\" is none of the table that was learned from: "
                       "take it out, or call it as there (%s, ...)",
                       source, shown, form->table_names[0]);
    }
    return MN_OK;
}

static mn_status match_by_name(const mn_row_form *form, const char *source,
                               const mn_data_table *table, uint32_t *places, uint32_t *answer,
                               mn_error *err)
{
    if (!table->named)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: no names of columns: expected a header as the table has that was "
                       "learned from (%.60s, ...); of arrays, those of an .npz file have names",
                       source, form->columns[0].name);
    mn_status status = refuse_strangers(form, source, table, err);
    for (uint32_t i = 0; i < form->n && status == MN_OK; i++) {
        status = find_name(source, table, form->columns[i].name, &places[i], err);
        if (status == MN_OK && places[i] == UINT32_MAX)
            status = mn_fail(err, MN_ERR_DATA, "%s: no column \"%.60s\", which was learned from",
                             source, form->columns[i].name);
    }
    return status == MN_OK ? find_name(source, table, form->answer.name, answer, err) : status;
}

mn_status mn_row_form_match(const mn_row_form *form, const char *source, const mn_data_table *table,
                            uint32_t *places, uint32_t *answer, mn_error *err)
{
    *answer = UINT32_MAX;
    if (form->named)
        return match_by_name(form, source, table, places, answer, err);
    const bool features_alone = table->n_columns == form->n && form->n != form->table_width;
    if (!features_alone && table->n_columns != form->table_width)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %" PRIu32 " columns: expected %" PRIu32
                       ", in the order of the table that was learned from, or its %" PRIu32
                       " features alone",
                       source, table->n_columns, form->table_width, form->n);
    for (uint32_t i = 0; i < form->n; i++)
        places[i] = features_alone ? i : form->columns[i].place;
    if (!features_alone)
        *answer = form->answer.place;
    return MN_OK;
}

/* As text ---------------------------------------------------------------------------- */

static json_t *column_json(const mn_row_column *column)
{
    json_t *one =
        json_pack("{s:s, s:i, s:f, s:f, s:f}", "name", column->name, "place", (int)column->place,
                  "mean", column->mean, "scale", column->scale, "fill", column->fill);
    json_t *words = json_array();
    for (uint32_t i = 0; i < column->n_words; i++)
        (void)json_array_append_new(words, json_string(column->words[i]));
    if (one != NULL && column->roots)
        (void)json_object_set_new(one, "roots", json_true());
    if (one != NULL && column->n_words > 0)
        (void)json_object_set(one, "words", words);
    json_decref(words);
    return one;
}

mn_status mn_row_form_text(const mn_row_form *form, char **out, mn_error *err)
{
    json_t *names = json_array(), *columns = json_array();
    for (uint32_t i = 0; i < form->table_width; i++)
        (void)json_array_append_new(names, json_string(form->table_names[i]));
    for (uint32_t i = 0; i < form->n; i++)
        (void)json_array_append_new(columns, column_json(&form->columns[i]));
    json_t *root =
        json_pack("{s:b, s:b, s:b, s:f, s:o, s:o, s:o}", "named", form->named, "classes",
                  form->classes, "fills", form->fills, "farthest", form->farthest, "table", names,
                  "columns", columns, "answer", column_json(&form->answer));
    *out = root != NULL ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    return *out != NULL ? MN_OK
                        : mn_fail(err, MN_ERR_DATA,
                                  "the names of the table's columns cannot be written down: "
                                  "expected UTF-8");
}

static bool read_column(const json_t *from, uint32_t table_width, mn_row_column *out)
{
    const char *name = json_string_value(json_object_get(from, "name"));
    const json_t *words = json_object_get(from, "words");
    const json_int_t place = json_integer_value(json_object_get(from, "place"));
    out->mean = json_number_value(json_object_get(from, "mean"));
    out->scale = json_number_value(json_object_get(from, "scale"));
    out->fill = json_number_value(json_object_get(from, "fill"));
    out->roots = json_is_true(json_object_get(from, "roots"));
    out->name = strdup(name != NULL ? name : "");
    if (name == NULL || out->name == NULL || place < 0 || place >= table_width ||
        !isfinite(out->mean) || !isfinite(out->fill) || !(out->scale > 0) ||
        !isfinite(out->scale) || json_array_size(words) > MN_ROW_FORM_MOST_WORDS)
        return false;
    out->place = (uint32_t)place;
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        const uint32_t before = out->n_words;
        if (word == NULL || add_word(out, word, NULL) != MN_OK || out->n_words == before)
            return false;
    }
    return true;
}

static bool read_form(const json_t *root, mn_row_form *out)
{
    const json_t *names = json_object_get(root, "table"),
                 *columns = json_object_get(root, "columns");
    const size_t width = json_array_size(names), n = json_array_size(columns);
    out->named = json_is_true(json_object_get(root, "named"));
    out->classes = json_is_true(json_object_get(root, "classes"));
    out->fills = json_is_true(json_object_get(root, "fills"));
    out->farthest = json_number_value(json_object_get(root, "farthest")); /* older: none, 0 */
    if (width == 0 || width > MN_DATA_TABLE_MAX_COLUMNS || n == 0 || n > width)
        return false;
    out->table_names = calloc(width, sizeof *out->table_names);
    out->columns = calloc(n, sizeof *out->columns);
    if (out->table_names == NULL || out->columns == NULL)
        return false;
    out->table_width = (uint32_t)width;
    for (size_t i = 0; i < width; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name == NULL || (out->table_names[i] = strdup(name)) == NULL)
            return false;
    }
    for (size_t i = 0; i < n; i++) {
        mn_row_column *column = &out->columns[out->n++];
        if (!read_column(json_array_get(columns, i), out->table_width, column))
            return false;
        out->width += column->n_words > 0 ? column->n_words : 1;
    }
    return out->width <= MN_ROW_FORM_MOST_WIDTH && isfinite(out->farthest) &&
           read_column(json_object_get(root, "answer"), out->table_width, &out->answer);
}

mn_status mn_row_form_parse(const char *text, mn_row_form *out, mn_error *err)
{
    json_t *root = json_loads(text, 0, NULL);
    *out = (mn_row_form){0};
    const bool good = root != NULL && read_form(root, out);
    json_decref(root);
    if (good)
        return MN_OK;
    mn_row_form_fini(out);
    return mn_fail(
        err, MN_ERR_DATA,
        "what is noted of the columns of the run's table is damaged: expected an adapted "
        "model as mnemo adapt wrote it");
}
