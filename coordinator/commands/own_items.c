#include "coordinator/commands/own_items.h"

#include "common/log.h"
#include "common/text.h"
#include "coordinator/commands/own_form.h"
#include "coordinator/commands/own_story.h"
#include "worker/data/data_path.h"
#include "worker/tasks/task_set.h"
#include "worker/tasks/written_story.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOOKED_AT 8u /* training tasks, for their brightness */
#define CLEARLY 0.25 /* how much nearer the negative must be */

static mn_status read_pictures(const char *path, const mn_model *model, bool with_answers,
                               mn_ink ink, mn_own_items *out, mn_error *err);
static mn_status read_points(const char *path, const mn_model *model, bool with_answers,
                             mn_own_items *out, mn_error *err);
static void warn(const mn_own_items *items, const char *path, const mn_model *model);

mn_status mn_own_items_read(const char *path, const mn_model *model, bool with_answers, mn_ink ink,
                            mn_own_items *out, mn_error *err)
{
    *out = (mn_own_items){0};
    mn_status status = mn_model_fields(model)->target == MN_TARGET_CLASSES
                           ? read_pictures(path, model, with_answers, ink, out, err)
                           : read_points(path, model, with_answers, out, err);
    if (status != MN_OK)
        mn_own_items_fini(out);
    return status;
}

void mn_own_items_fini(mn_own_items *items)
{
    mn_picture_folder_fini(&items->folder);
    mn_number_table_fini(&items->table);
    for (uint32_t i = 0; items->texts != NULL && i < items->n; i++)
        free(items->texts[i]);
    free(items->texts);
    free((void *)items->questions);
    free(items->answers);
    mn_story_text_fini(&items->story);
    mn_words_destroy(&items->words);
    free(items->columns[0]);
    free(items->columns[1]);
    free(items->row_x);
    free(items->row_y);
    free(items->row_z);
    free(items->row_ids);
    free(items->row_labels);
    for (uint32_t i = 0; items->row_classes != NULL && i < items->n_classes; i++)
        free(items->row_classes[i]);
    free((void *)items->row_classes);
    *items = (mn_own_items){0};
}

mn_examples mn_own_items_examples(const mn_own_items *items)
{
    return (mn_examples){.n = items->n,
                         .x = items->x,
                         .n_classes = items->n_classes,
                         .labels = items->labels,
                         .y = items->is_rows && items->y != NULL ? items->row_z : items->y,
                         .names = items->classes,
                         .ids = items->row_ids};
}

mn_status mn_own_items_match(mn_own_items *items, const mn_adapted *adapted, mn_error *err)
{
    const uint32_t way = mn_adapted_classes(adapted);
    uint32_t *labels = items->is_rows ? items->row_labels : items->folder.labels;
    uint32_t *renamed = calloc(items->n_classes + 1, sizeof *renamed);
    if (renamed == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "classes");
    mn_status status = MN_OK;
    for (uint32_t c = 0; c < items->n_classes && status == MN_OK; c++) {
        for (renamed[c] = 0; renamed[c] < way; renamed[c]++)
            if (strcmp(items->classes[c], mn_adapted_class_name(adapted, renamed[c])) == 0)
                break;
        if (renamed[c] < way)
            continue;
        char shown[200], known[500] = "";
        (void)mn_text_escape(items->classes[c], strlen(items->classes[c]), shown, sizeof shown);
        for (uint32_t i = 0, at = 0; i < way && at < sizeof known - 64; i++)
            at += (uint32_t)snprintf(known + at, sizeof known - at, "%s%.40s", i > 0 ? ", " : "",
                                     mn_adapted_class_name(adapted, i));
        status =
            items->is_rows
                ? mn_fail(
                      err, MN_ERR_DATA,
                      "--query: its label %s is no class of the examples (%s): name it as one of "
                      "them, or leave the cell empty where the class is not known",
                      shown, known)
                : mn_fail(
                      err, MN_ERR_DATA,
                      "--query: its folder %s is no class of the examples (%s): name it as one of "
                      "them, or put pictures whose class is not known into the folder itself",
                      shown, known);
    }
    for (uint32_t i = 0; labels != NULL && i < items->n && status == MN_OK; i++)
        if (labels[i] != MN_NO_CLASS)
            labels[i] = renamed[labels[i]];
    free(renamed);
    return status;
}

bool mn_own_items_look_inverted(double mean, double usual)
{
    return fabs(mean - usual) - fabs(1 - mean - usual) > CLEARLY;
}

/* Pictures --------------------------------------------------------------------------- */

/* Made-up characters and the packed files of Omniglot have ink for 1. */
static bool is_ink(const mn_experiment *experiment)
{
    const char *data = experiment->tasks.data;
    return experiment->tasks.kind == MN_TASKS_GLYPHS || strncmp(data, "omniglot", 8) == 0;
}

static mn_status read_pictures(const char *path, const mn_model *model, bool with_answers,
                               mn_ink ink, mn_own_items *out, mn_error *err)
{
    uint32_t item[3];
    mn_import_report report = {0};
    mn_model_item(model, item);
    const mn_picture_form form = {
        .side = item[0],
        .channels = item[2],
        .dark_is_ink =
            ink == MN_INK_DARK || (ink == MN_INK_AS_TRAINED && is_ink(mn_model_experiment(model)))};
    if (item[0] != item[1] || (item[2] != 1 && item[2] != 3))
        return mn_fail(err, MN_ERR_CONFIG,
                       "this run's items are %" PRIu32 " x %" PRIu32 " x %" PRIu32
                       " numbers, which no picture is",
                       item[0], item[1], item[2]);
    mn_status status =
        mn_picture_folder_read(path, !with_answers, &form, &report, &out->folder, err);
    mn_import_report_print_left(&report, stderr);
    if (status != MN_OK)
        return status;
    out->n = out->folder.n;
    out->x = out->folder.x;
    out->labels = out->folder.labels;
    out->names = (const char *const *)out->folder.names;
    out->n_classes = out->folder.n_classes;
    out->classes = (const char *const *)out->folder.classes;
    out->dark_is_ink = form.dark_is_ink;
    warn(out, path, model);
    return MN_OK;
}

/* The mean of the pictures of some training tasks; false: the data are not here, which is no error. */
static bool find_usual(const mn_experiment *experiment, double *usual)
{
    mn_task_set *set = NULL;
    mn_task *task = NULL;
    double sum = 0, n = 0;
    if (mn_task_set_open(experiment, NULL, &set, NULL) == MN_OK &&
        mn_task_set_check(set, MN_TRAIN, NULL) == MN_OK &&
        mn_task_new(mn_task_set_fields(set, MN_TRAIN), &task, NULL) == MN_OK)
        for (uint64_t index = 0; index < LOOKED_AT; index++) {
            mn_task_set_draw(set, MN_TRAIN, index, task);
            const float *x = mn_task_find(task, MN_QUERY, "x");
            const float *weights = mn_task_find(task, MN_QUERY, "weight");
            const mn_field *field = mn_fields_find(&task->fields, MN_QUERY, "x");
            const size_t size = mn_field_item(field);
            for (uint32_t item = 0; item < field->n; item++, x += size) {
                if (weights != NULL && !(weights[item] != 0))
                    continue; /* padding */
                for (size_t i = 0; i < size; i++)
                    sum += (double)x[i];
                n += (double)size;
            }
        }
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
    *usual = n > 0 ? sum / n : 0;
    return n > 0;
}

static void warn(const mn_own_items *items, const char *path, const mn_model *model)
{
    double usual = 0;
    if (items->folder.n_coloured > 0)
        mn_log(MN_LOG_WARN,
               "%s: %" PRIu32 " of %" PRIu32
               " pictures have colours, of which this run sees the brightness only: it was trained "
               "on grey ones",
               path, items->folder.n_coloured, items->n);
    if (!find_usual(mn_model_experiment(model), &usual))
        return;
    if (mn_own_items_look_inverted(items->folder.mean, usual))
        mn_log(MN_LOG_WARN,
               "%s: the pictures look inverted: their mean is %.2f (0 black, 1 white%s), that of "
               "the run's own %.2f: try %s",
               path, items->folder.mean, items->dark_is_ink ? "; here dark is ink, which is 1" : "",
               usual, items->dark_is_ink ? "--no-ink" : "--ink");
}

/* Points ----------------------------------------------------------------------------- */

static mn_status read_points(const char *path, const mn_model *model, bool with_answers,
                             mn_own_items *out, mn_error *err)
{
    uint32_t item[3];
    mn_model_item(model, item);
    if (item[0] * item[1] * item[2] != 1 || mn_model_way(model) != 1)
        return mn_fail(err, MN_ERR_CONFIG, "this run's items are no points of a curve");
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return mn_fail(
            err, MN_ERR_DATA,
            "%s is a folder: this run has learned curves (tasks.kind sinusoid); expected "
            "a CSV file of x, y",
            path);
    mn_status status =
        mn_number_table_read(path, with_answers ? 2 : 1, 2,
                             with_answers ? "x, y" : "x, or x, y to compare", &out->table, err);
    if (status != MN_OK)
        return status;
    const uint32_t columns = out->table.n_columns;
    out->n = out->table.n_rows;
    for (uint32_t c = 0; c < columns; c++) {
        out->columns[c] = malloc(out->n * sizeof *out->columns[c]);
        if (out->columns[c] == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "%s", path);
        for (uint32_t i = 0; i < out->n; i++)
            out->columns[c][i] = out->table.at[(size_t)i * columns + c];
    }
    out->x = out->columns[0];
    out->y = out->columns[1];
    return MN_OK;
}

/* Rows ------------------------------------------------------------------------------- */

static bool make_room(uint32_t width, uint32_t n, mn_own_items *out)
{
    out->row_x = calloc((size_t)n * width, sizeof *out->row_x);
    out->row_y = calloc(n, sizeof *out->row_y);
    out->row_z = calloc(n, sizeof *out->row_z);
    out->row_labels = calloc(n, sizeof *out->row_labels);
    out->row_classes = calloc(n, sizeof *out->row_classes);
    out->texts = calloc(n, sizeof *out->texts);
    return out->row_x != NULL && out->row_y != NULL && out->row_z != NULL &&
           out->row_labels != NULL && out->row_classes != NULL && out->texts != NULL;
}

/* The number of a class, in the order in which they come. */
static mn_status number_class(const char *name, mn_own_items *out, uint32_t *label, mn_error *err)
{
    for (*label = 0; *label < out->n_classes; ++*label)
        if (strcmp(out->row_classes[*label], name) == 0)
            return MN_OK;
    out->row_classes[out->n_classes] = strdup(name);
    if (out->row_classes[out->n_classes] == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "classes");
    out->n_classes++;
    return MN_OK;
}

static mn_status read_answer(const char *path, const mn_row_form *form, const mn_data_table *table,
                             uint32_t row, uint32_t place, bool must, mn_own_items *out,
                             mn_error *err)
{
    char word[MN_DATA_TABLE_WORD] = "";
    double number;
    bool told = place != UINT32_MAX;
    if (told)
        mn_data_table_word(table, row, place, word);
    if (told && form->classes)
        told = word[0] != '\0';
    else if (told)
        told = mn_data_table_number(table, row, place, &number) != MN_CELL_MISSING;
    out->row_labels[row] = MN_NO_CLASS;
    out->row_y[row] = out->row_z[row] = NAN;
    if (!told)
        return must ? mn_fail(err, MN_ERR_DATA,
                              "%s: row %" PRIu32 " has no %s: expected one in column \"%.60s\"",
                              path, row + 1, form->classes ? "class" : "y", form->answer.name)
                    : MN_OK;
    if (form->classes && !mn_text_is_plain(word)) {
        char shown[200];
        (void)mn_text_escape(word, strlen(word), shown, sizeof shown);
        return mn_fail(err, MN_ERR_DATA,
                       "%s: row %" PRIu32 ", column %.60s: a class called \"%s\": expected UTF-8 "
                       "without control characters, as line ends; rename it",
                       path, row + 1, form->answer.name, shown);
    }
    if (form->classes)
        return number_class(word, out, &out->row_labels[row], err);
    mn_status status = mn_row_form_y(form, path, table, row, place, &out->row_z[row], err);
    if (status == MN_OK) {
        (void)mn_data_table_number(table, row, place, &number);
        out->row_y[row] = (float)number;
    }
    return status;
}

static mn_status read_rows(const char *path, const mn_row_form *form, uint32_t width,
                           const mn_data_table *table, bool with_answers, mn_own_items *out,
                           mn_error *err)
{
    uint32_t answer = UINT32_MAX, unknown = 0, n_told = 0;
    uint32_t *places = calloc(form->n, sizeof *places);
    mn_status status = places != NULL && make_room(width, table->n_rows, out)
                           ? mn_row_form_match(form, path, table, places, &answer, err)
                           : mn_fail(err, MN_ERR_NOMEM, "%s", path);
    if (status == MN_OK)
        out->n = table->n_rows;
    for (uint32_t row = 0; row < table->n_rows && status == MN_OK; row++) {
        status = mn_row_form_x(form, path, table, row, places, out->row_x + (size_t)row * width,
                               &unknown, err);
        if (status == MN_OK)
            status = read_answer(path, form, table, row, answer, with_answers, out, err);
        if (status == MN_OK && asprintf(&out->texts[row], "row %" PRIu32, row + 1) < 0) {
            out->texts[row] = NULL;
            status = mn_fail(err, MN_ERR_NOMEM, "%s", path);
        }
        n_told += status == MN_OK && !isnan(out->row_y[row]);
    }
    free(places);
    if (status == MN_OK && unknown > 0)
        mn_log(MN_LOG_WARN,
               "%s: %" PRIu32
               " cells have words that the run's training rows have not: taken as none",
               path, unknown);
    out->x = out->row_x;
    out->labels = form->classes ? out->row_labels : NULL;
    out->classes = form->classes ? (const char *const *)out->row_classes : NULL;
    out->y = n_told > 0 ? out->row_y : NULL;
    out->names = (const char *const *)out->texts;
    return status;
}

/* What each row is of, by the words of the run's training rows. */
static mn_status read_ids(const char *path, const mn_model *model, const mn_row_form *form,
                          const mn_data_table *table, mn_own_items *out, mn_error *err)
{
    const mn_words *ids = mn_model_ids(model);
    const char *column = mn_model_experiment(model)->tasks.id_column;
    uint32_t place = 0, many = 0, unknown = 0;
    char word[MN_DATA_TABLE_WORD], first[MN_DATA_TABLE_WORD] = "", shown[200];
    mn_error why = {.message = ""};
    if (ids == NULL)
        return MN_OK;
    if (!form->named && table->n_columns != form->table_width)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %" PRIu32 " columns, and none of ids (column %s): expected %" PRIu32
                       ", in the order of the table that was learned from",
                       path, table->n_columns, column, form->table_width);
    if (mn_data_table_find(table, column, &place, &many, &why) != MN_OK || many != 1)
        return mn_fail(
            err, MN_ERR_DATA,
            "%s has no column \"%s\", which tells what each row is of (tasks.id_column); "
            "an id that training had not, or an empty cell, is allowed there",
            path, column);
    out->row_ids = calloc(table->n_rows, sizeof *out->row_ids);
    if (out->row_ids == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "ids of rows");
    for (uint32_t row = 0; row < table->n_rows; row++) {
        mn_data_table_word(table, row, place, word);
        out->row_ids[row] = mn_words_find(ids, word, strlen(word));
        if (out->row_ids[row] == 0 && unknown++ == 0)
            memcpy(first, word, sizeof first);
    }
    (void)mn_text_escape(first, strlen(first), shown, sizeof shown);
    if (unknown > 0)
        mn_log(MN_LOG_INFO,
               "%s: column \"%s\" of %" PRIu32
               " rows has an id that training had not, as \"%s\": these are taken as id 0",
               path, column, unknown, shown);
    return MN_OK;
}

mn_status mn_own_items_read_rows(const char *path, const mn_model *model, const mn_row_form *form,
                                 bool with_answers, mn_own_items *out, mn_error *err)
{
    uint32_t item[3];
    mn_data_table table = {0};
    *out =
        (mn_own_items){.is_rows = true, .y_mean = form->answer.mean, .y_scale = form->answer.scale};
    mn_model_item(model, item);
    mn_status status =
        mn_own_table_read(path, form->named ? MN_HEADER_YES : MN_HEADER_AUTO, &table, err);
    if (status == MN_OK)
        status = read_rows(path, form, item[0] * item[1] * item[2], &table, with_answers, out, err);
    if (status == MN_OK)
        status = read_ids(path, model, form, &table, out, err);
    mn_data_table_fini(&table);
    if (status != MN_OK)
        mn_own_items_fini(out);
    return status;
}

/* Stories ---------------------------------------------------------------------------- */

static char *question_text(const mn_own_items *items, const mn_story_question *question)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL)
        return NULL;
    for (uint32_t i = 0; i < question->words.n; i++)
        (void)fprintf(out, "%s%s", i > 0 ? " " : "",
                      mn_words_text(items->words, items->story.words[question->words.first + i]));
    (void)fputc('?', out);
    return fclose(out) == 0 ? text : NULL;
}

static mn_status choose_questions(bool with_answers, uint32_t n_known, mn_own_items *out,
                                  mn_error *err)
{
    const mn_story_text *story = &out->story;
    const size_t room = story->n_questions + 1;
    out->questions = calloc(room, sizeof *out->questions);
    out->texts = calloc(room, sizeof *out->texts);
    out->answers = calloc(room, sizeof *out->answers);
    if (out->questions == NULL || out->texts == NULL || out->answers == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " questions", story->n_questions);
    for (uint32_t i = 0; i < story->n_questions; i++) {
        const mn_story_question *question = &story->questions[i];
        if (with_answers && question->answer == 0)
            continue;
        if (with_answers && question->answer >= n_known)
            return mn_fail(err, MN_ERR_DATA,
                           "%s:%" PRIu32 ": the answer \"%s\" is no word that this run was trained "
                           "on, so it cannot learn to give it: expected one of its own words, or "
                           "no such question",
                           story->source, question->line,
                           mn_words_text(out->words, question->answer));
        const bool known = question->answer > 0 && question->answer < n_known;
        out->questions[out->n] = question;
        out->answers[out->n] = known ? question->answer : MN_NO_CLASS;
        out->texts[out->n] = question_text(out, question);
        if (out->texts[out->n++] == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " questions", story->n_questions);
    }
    return MN_OK;
}

mn_status mn_own_items_read_story(const char *path, const mn_fields *fields, const mn_words *known,
                                  bool with_answers, mn_own_items *out, mn_error *err)
{
    const mn_story_limits limits = mn_written_story_limits(fields);
    *out = (mn_own_items){.is_story = true};
    mn_status status = mn_words_copy(known, &out->words, err);
    if (status == MN_OK)
        status = mn_story_text_read(path, &limits, out->words, &out->story, err);
    if (status == MN_OK)
        status = choose_questions(with_answers, mn_words_count(known), out, err);
    if (status == MN_OK && out->n == 0)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s has no question%s: expected lines as \"where is mary?\"%s",
                         out->story.source, with_answers ? " with its answer" : "",
                         with_answers ? " with a tab and the answer behind it" : "");
    if (status != MN_OK) {
        mn_own_items_fini(out);
        return status;
    }
    out->labels = out->answers;
    out->names = (const char *const *)out->texts;
    mn_own_story_warn(&out->story, out->words, known, fields, out->n, out->questions);
    return MN_OK;
}

void mn_own_items_put(const mn_own_items *items, uint32_t begin, uint32_t n, mn_task *task,
                      mn_role role)
{
    for (uint32_t i = 0; i < n; i++)
        mn_written_story_put(&items->story, items->questions[begin + i], task, role, i, 1.0 / n);
}
