/* mnemo predict: what an adapted model says of new items; the run is not needed any more. */
#include "coordinator/commands/commands.h"

#include "common/log.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/commands/own_form.h"
#include "coordinator/commands/own_items.h"
#include "coordinator/commands/predictions.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST_LINES 50u /* on the screen */

static mn_status open_adapted(const char *path, mn_adapted **out, mn_error *err);
static mn_status read_query(const mn_command_line *line, const mn_adapted *adapted,
                            mn_own_items *query, mn_error *err);
static mn_status tell(const mn_command_line *line, const mn_predictions *predictions,
                      mn_error *err);

mn_status mn_predict_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_adapted *adapted = NULL;
    mn_own_items query = {0};
    mn_predictions predictions = {0};
    mn_log_init(MN_LOG_INFO, "mnemo");
    mn_status status = mn_command_line_read(
        &line, argc, argv, MN_TAKES_QUERY | MN_TAKES_INK | MN_TAKES_OUTPUT | MN_TAKES_JSON, err);
    if (status == MN_OK && (line.n_arguments != 1 || line.query == NULL))
        status = mn_fail(err, MN_ERR_USAGE,
                         "predict: expected an adapted model and --query, as in: mnemo predict OUT "
                         "--query pictures; mnemo adapt ... -o OUT makes one");
    if (status == MN_OK && (line.n_sets > 0 || (line.ink && line.no_ink)))
        status = mn_fail(err, MN_ERR_USAGE, "predict: %s",
                         line.n_sets > 0 ? "no --set: the model is adapted already"
                                         : "either --ink or --no-ink");
    if (status == MN_OK)
        status = open_adapted(line.arguments[0], &adapted, err);
    if (status == MN_OK)
        status = read_query(&line, adapted, &query, err);
    if (status == MN_OK)
        status = mn_predictions_new(adapted, &query, &predictions, err);
    if (status == MN_OK)
        status = tell(&line, &predictions, err);
    mn_predictions_fini(&predictions);
    mn_own_items_fini(&query);
    mn_adapted_destroy(&adapted);
    return status;
}

static mn_status open_adapted(const char *path, mn_adapted **out, mn_error *err)
{
    char file[PATH_MAX];
    struct stat info;
    const bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if (snprintf(file, sizeof file, "%s%s", path, is_folder ? "/adapted.safetensors" : "") >=
        (int)sizeof file)
        return mn_fail(err, MN_ERR_NO_INPUT, "%.200s...: the path is too long", path);
    if (stat(file, &info) != 0)
        return mn_fail_errno(err,
                             "%s: expected what mnemo adapt RUN --support DIR -o OUT has made: the "
                             "folder OUT, or OUT/adapted.safetensors",
                             file);
    return mn_adapted_read(file, out, err);
}

/* The words of a run of stories are the classes of what it says. */
static mn_status read_story(const char *path, const mn_adapted *adapted, mn_own_items *query,
                            mn_error *err)
{
    mn_words *words = NULL;
    const uint32_t n = mn_adapted_classes(adapted);
    mn_status status = mn_words_new(&words, err);
    for (uint32_t i = 1; i < n && status == MN_OK; i++) {
        const char *word = mn_adapted_class_name(adapted, i);
        uint32_t number = 0;
        if (word != NULL)
            status = mn_words_add(words, word, strlen(word), &number, err);
        if (status == MN_OK && number != i)
            status = mn_fail(err, MN_ERR_DATA,
                             "the adapted model names no words for its answers: expected one of a "
                             "run of stories, as mnemo adapt makes it");
    }
    if (status == MN_OK)
        status = mn_own_items_read_story(path, mn_model_fields(mn_adapted_model(adapted)), words,
                                         false, query, err);
    mn_words_destroy(&words);
    return status;
}

/* As the columns of the run's table were read. */
static mn_status read_rows(const char *path, const mn_adapted *adapted, mn_own_items *query,
                           mn_error *err)
{
    const mn_model *model = mn_adapted_model(adapted);
    mn_row_form form;
    mn_status status =
        mn_own_form_read(mn_adapted_note(adapted, MN_ROW_FORM_NOTE), model, &form, err);
    if (status != MN_OK)
        return status;
    status = mn_own_items_read_rows(path, model, &form, false, query, err);
    mn_row_form_fini(&form);
    return status == MN_OK ? mn_own_items_match(query, adapted, err) : status;
}

/* Pictures come as those that it was adapted to. */
static mn_status read_query(const mn_command_line *line, const mn_adapted *adapted,
                            mn_own_items *query, mn_error *err)
{
    const char *ink = mn_adapted_note(adapted, "ink");
    const char *mean = mn_adapted_note(adapted, "picture_mean");
    const bool dark = ink != NULL && strcmp(ink, "dark") == 0;
    const mn_ink how = line->ink      ? MN_INK_DARK
                       : line->no_ink ? MN_INK_LIGHT
                       : dark         ? MN_INK_DARK
                                      : MN_INK_LIGHT;
    if (!mn_model_takes_examples(mn_adapted_model(adapted)))
        return read_story(line->query, adapted, query, err);
    const mn_task_kind kind = mn_model_experiment(mn_adapted_model(adapted))->tasks.kind;
    if (kind == MN_TASKS_ROWS || kind == MN_TASKS_TABLES)
        return read_rows(line->query, adapted, query, err);
    mn_status status =
        mn_own_items_read(line->query, mn_adapted_model(adapted), false, how, query, err);
    if (status == MN_OK && mean != NULL &&
        mn_own_items_look_inverted(query->folder.mean, strtod(mean, NULL)))
        mn_log(MN_LOG_WARN,
               "%s: the pictures look inverted: their mean is %.2f, that of the examples was %s",
               line->query, query->folder.mean, mean);
    return status == MN_OK ? mn_own_items_match(query, adapted, err) : status;
}

static mn_status tell(const mn_command_line *line, const mn_predictions *predictions, mn_error *err)
{
    const mn_model *model = mn_adapted_model(predictions->adapted);
    const char *remark = mn_model_remark(model);
    json_t *root = json_object();
    (void)json_object_set_new(root, "adapted", json_string(line->arguments[0]));
    (void)json_object_set_new(root, "examples",
                              json_integer(mn_adapted_support(predictions->adapted)));
    (void)json_object_set_new(root, "inner_steps",
                              json_integer(mn_adapted_steps(predictions->adapted)));
    (void)json_object_set_new(root, "judged_together",
                              json_boolean(mn_model_judges_together(model)));
    mn_predictions_json(predictions, root);
    mn_status status =
        line->output == NULL ? MN_OK : mn_predictions_write(predictions, root, line->output, err);
    if (status == MN_OK && line->json) {
        status = json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) == 0 &&
                         fputc('\n', stdout) != EOF
                     ? MN_OK
                     : mn_fail(err, MN_ERR_IO, "standard output");
    } else if (status == MN_OK) {
        (void)printf("%" PRIu32 " judged in %.2f ms\n", predictions->items->n,
                     1e3 * predictions->seconds);
        mn_predictions_print(predictions, MOST_LINES, stdout);
        if (remark != NULL)
            (void)printf("%s%s\n", remark,
                         mn_model_judges_together(model)
                             ? ": all that is judged at once is judged together, and an answer "
                               "depends on the company"
                             : "");
        if (line->output != NULL)
            (void)printf("wrote %s/predictions.csv and predictions.json\n", line->output);
    }
    json_decref(root);
    return status;
}
