/* mnemo adapt: a trained run meets the few examples of a person's own task. */
#include "coordinator/commands/commands.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/commands/own_form.h"
#include "coordinator/commands/own_items.h"
#include "coordinator/commands/predictions.h"
#include "worker/learner/hold_out.h"
#include "worker/learner/story_answer.h"
#include "worker/tasks/task_notes.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LINES 50u      /* of predictions on the screen */
#define MOST_STEPS_TOLD 12u /* of losses: the first, and the last */
#define LEAST_TRIED 10u     /* steps that a hold-out tries at least */

/* What the command opens, to be closed again; all is owned but line. */
struct bench {
    const mn_command_line *line;
    mn_model *model;
    mn_words *words; /* of stories, that it knows; NULL: it has none */
    bool has_form;
    mn_row_form form; /* of the columns of a table */
    mn_own_items support, query;
    mn_hold_out hold_out; /* its arrays; losses NULL: nothing was held out */
    uint32_t steps;
    double *losses; /* [steps + 1] */
    mn_adapted *adapted;
    double seconds; /* that adapting took */
    mn_predictions predictions;
};

static mn_status check_line(const mn_command_line *line, mn_error *err);
static mn_status open_model(struct bench *bench, mn_error *err);
static mn_status read_support(struct bench *bench, mn_ink ink, mn_error *err);
static mn_status read_items(const struct bench *bench, const char *path, bool with_answers,
                            mn_ink ink, mn_own_items *out, mn_error *err);
static mn_status choose_steps(struct bench *bench, mn_error *err);
static mn_status adapt(struct bench *bench, mn_error *err);
static mn_status predict(struct bench *bench, mn_error *err);
static void print(const struct bench *bench);
static json_t *as_json(const struct bench *bench);
static mn_status write(const struct bench *bench, const json_t *root, mn_error *err);
static void close_bench(struct bench *bench);

mn_status mn_adapt_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    struct bench bench = {.line = &line};
    mn_log_init(MN_LOG_INFO, "mnemo");
    mn_status status = mn_command_line_read(&line, argc, argv,
                                            MN_TAKES_ADAPT | MN_TAKES_STEPS | MN_TAKES_QUERY |
                                                MN_TAKES_INK | MN_TAKES_OUTPUT | MN_TAKES_JSON,
                                            err);
    if (status == MN_OK && line.first_step > 0)
        status = mn_fail(err, MN_ERR_USAGE,
                         "adapt: --steps %" PRIu64 "-%" PRIu64 ": expected one number of steps",
                         line.first_step, line.last_step);
    if (status == MN_OK)
        status = check_line(&line, err);
    if (status == MN_OK)
        status = open_model(&bench, err);
    if (status == MN_OK)
        status = read_support(&bench,
                              line.ink      ? MN_INK_DARK
                              : line.no_ink ? MN_INK_LIGHT
                                            : MN_INK_AS_TRAINED,
                              err);
    if (status == MN_OK)
        status = choose_steps(&bench, err);
    if (status == MN_OK)
        status = adapt(&bench, err);
    if (status == MN_OK && line.query != NULL)
        status = predict(&bench, err);
    json_t *root = status == MN_OK ? as_json(&bench) : NULL;
    if (status == MN_OK && line.output != NULL)
        status = write(&bench, root, err);
    if (status == MN_OK && line.json)
        status = json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) == 0 &&
                         fputc('\n', stdout) != EOF
                     ? MN_OK
                     : mn_fail(err, MN_ERR_IO, "standard output");
    else if (status == MN_OK)
        print(&bench);
    json_decref(root);
    close_bench(&bench);
    return status;
}

static mn_status check_line(const mn_command_line *line, mn_error *err)
{
    if (line->n_arguments != 1 || line->support == NULL)
        return mn_fail(err, MN_ERR_USAGE,
                       "adapt: expected one run and --support, as in: mnemo adapt runs/latest "
                       "--support examples --query pictures");
    if (line->query == NULL && line->output == NULL)
        return mn_fail(err, MN_ERR_USAGE,
                       "adapt: expected --query, what to judge, or -o, where to keep the adapted "
                       "model, or both");
    if (line->ink && line->no_ink)
        return mn_fail(err, MN_ERR_USAGE, "adapt: either --ink or --no-ink");
    return MN_OK;
}

/* What the columns of a table are, which is not in the fields. */
static mn_status read_columns(struct bench *bench, mn_error *err)
{
    const mn_command_line *line = bench->line;
    const mn_model *model = bench->model;
    const mn_task_kind kind = mn_model_experiment(model)->tasks.kind;
    if (line->class_column != NULL && kind != MN_TASKS_TABLES)
        return mn_fail(err, MN_ERR_USAGE,
                       "--class-column is for runs that have learned from made-up tables "
                       "(tasks.kind tables), and %s has not%s",
                       line->arguments[0],
                       kind == MN_TASKS_ROWS ? ": it knows the columns of its own table" : "");
    bench->has_form = kind == MN_TASKS_ROWS || kind == MN_TASKS_TABLES;
    if (kind == MN_TASKS_TABLES)
        return mn_own_form_fit(line->support, line->class_column, model, &bench->form, err);
    if (kind == MN_TASKS_ROWS)
        return mn_own_form_read(mn_model_note(model, MN_ROW_FORM_NOTE), model, &bench->form, err);
    return MN_OK;
}

static mn_status open_model(struct bench *bench, mn_error *err)
{
    const mn_command_line *line = bench->line;
    const char *run = line->arguments[0];
    mn_status status = mn_model_read(run, line->n_sets, line->sets, &bench->model, err);
    if (status == MN_OK)
        status = read_columns(bench, err);
    if (status != MN_OK || mn_model_takes_examples(bench->model))
        return status;
    if (mn_model_is_sequence(bench->model))
        return mn_fail(err, MN_ERR_USAGE,
                       "%s has learned from sequences whose labels are strings of letters "
                       "(tasks.labels), which classes of your own do not have: expected a run with "
                       "tasks.labels one-hot",
                       run);
    if (mn_model_talks(bench->model))
        return mn_fail(
            err, MN_ERR_USAGE,
            "%s has learned from dialogues and needs no examples: talk to it, with mnemo "
            "ask %s --interactive",
            run, run);
    if (mn_fields_find(mn_model_fields(bench->model), MN_SUPPORT, "question") == NULL)
        return mn_fail(err, MN_ERR_USAGE,
                       "%s needs no examples: it was trained to answer by the story alone "
                       "(tasks.shot 0); ask it: mnemo ask %s --story FILE",
                       run, run);
    if (line->holdout != NULL)
        return mn_fail(err, MN_ERR_USAGE,
                       "--holdout is for pictures and points, but %s has learned from stories: "
                       "give --steps",
                       run);
    return mn_model_words(bench->model, run, &bench->words, err);
}

/* Not less than two classes, where classes are told apart. */
static mn_status read_support(struct bench *bench, mn_ink ink, mn_error *err)
{
    const char *path = bench->line->support;
    mn_own_items *items = &bench->support;
    mn_status status = read_items(bench, path, true, ink, items, err);
    return status != MN_OK || items->n_classes != 1
               ? status
               : mn_fail(err, MN_ERR_DATA,
                         "%s has 1 class, %.60s: expected two or more to be told apart, with "
                         "examples of each",
                         path, items->classes[0]);
}

static mn_status read_items(const struct bench *bench, const char *path, bool with_answers,
                            mn_ink ink, mn_own_items *out, mn_error *err)
{
    if (bench->has_form)
        return mn_own_items_read_rows(path, bench->model, &bench->form, with_answers, out, err);
    return bench->words != NULL
               ? mn_own_items_read_story(path, mn_model_fields(bench->model), bench->words,
                                         with_answers, out, err)
               : mn_own_items_read(path, bench->model, with_answers, ink, out, err);
}

/* Steps -------------------------------------------------------------------------------- */

static mn_status read_holdout(const char *text, double *share, mn_error *err)
{
    char *end = NULL;
    *share = 0;
    if (strcmp(text, "leave-one-out") == 0)
        return MN_OK;
    *share = strtod(text, &end);
    return *text != '\0' && *end == '\0' && *share > 0 && *share < 1
               ? MN_OK
               : mn_fail(err, MN_ERR_USAGE,
                         "--holdout %s: expected leave-one-out, or a share of the examples between "
                         "0 and 1, as 0.25",
                         text);
}

static mn_status choose_steps(struct bench *bench, mn_error *err)
{
    const mn_command_line *line = bench->line;
    const uint32_t trained = mn_model_steps(bench->model);
    bench->steps = line->steps != UINT32_MAX ? line->steps : trained;
    if (line->holdout == NULL)
        return MN_OK;
    mn_hold_out *hold_out = &bench->hold_out;
    mn_status status = read_holdout(line->holdout, &hold_out->share, err);
    if (status != MN_OK)
        return status;
    hold_out->most_steps = line->steps != UINT32_MAX   ? line->steps
                           : 2 * trained > LEAST_TRIED ? 2 * trained
                                                       : LEAST_TRIED;
    hold_out->losses = calloc(hold_out->most_steps + 1, sizeof *hold_out->losses);
    hold_out->rights = calloc(hold_out->most_steps + 1, sizeof *hold_out->rights);
    if (hold_out->losses == NULL || hold_out->rights == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " steps", hold_out->most_steps);
    const mn_examples examples = mn_own_items_examples(&bench->support);
    status = mn_hold_out_steps(bench->model, &examples, hold_out, err);
    bench->steps = hold_out->best;
    return status;
}

/* Its classes are words; number 0 is none. */
static mn_status name_words(struct bench *bench, mn_error *err)
{
    const uint32_t n = mn_words_count(bench->words);
    const char **names = calloc(n, sizeof *names);
    if (names == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " words", n);
    names[0] = "-";
    for (uint32_t i = 1; i < n; i++)
        names[i] = mn_words_text(bench->words, i);
    mn_status status = mn_adapted_name_classes(bench->adapted, names, err);
    free((void *)names);
    return status;
}

static mn_status adapt_to_story(struct bench *bench, mn_error *err)
{
    mn_task *task = NULL;
    mn_status status = mn_model_task(bench->model, 0, bench->support.n, 1, &task, err);
    if (status == MN_OK) {
        mn_own_items_put(&bench->support, 0, bench->support.n, task, MN_SUPPORT);
        status = mn_adapted_new_of_task(bench->model, task, bench->steps, bench->losses,
                                        &bench->adapted, err);
    }
    mn_task_destroy(&task);
    return status == MN_OK ? name_words(bench, err) : status;
}

static mn_status adapt(struct bench *bench, mn_error *err)
{
    const mn_examples examples = mn_own_items_examples(&bench->support);
    bench->losses = calloc(bench->steps + 1, sizeof *bench->losses);
    if (bench->losses == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " steps", bench->steps);
    const double begin = mn_clock_s(CLOCK_MONOTONIC);
    mn_status status = bench->support.is_story
                           ? adapt_to_story(bench, err)
                           : mn_adapted_new(bench->model, &examples, bench->steps, bench->losses,
                                            &bench->adapted, err);
    bench->seconds = mn_clock_s(CLOCK_MONOTONIC) - begin;
    return status;
}

static mn_status predict(struct bench *bench, mn_error *err)
{
    mn_status status =
        read_items(bench, bench->line->query, false,
                   bench->support.dark_is_ink ? MN_INK_DARK : MN_INK_LIGHT, &bench->query, err);
    if (status == MN_OK && !bench->query.is_story)
        status = mn_own_items_match(&bench->query, bench->adapted, err);
    return status == MN_OK
               ? mn_predictions_new(bench->adapted, &bench->query, &bench->predictions, err)
               : status;
}

/* Telling ------------------------------------------------------------------------------ */

static void print_losses(const struct bench *bench)
{
    const bool nats = mn_adapted_classes(bench->adapted) > 0;
    (void)printf("  inner step  support loss (%s)\n", nats              ? "nats"
                                                      : bench->has_form ? "of standardised y"
                                                                        : "squared error");
    for (uint32_t k = 0; k <= bench->steps; k++) {
        if (k == MOST_STEPS_TOLD && bench->steps > MOST_STEPS_TOLD) {
            (void)printf("         ...\n");
            k = bench->steps;
        }
        (void)printf("  %10" PRIu32 "  %.6g\n", k, bench->losses[k]);
    }
}

static void print_hold_out(const struct bench *bench)
{
    const mn_hold_out *hold_out = &bench->hold_out;
    (void)printf("%" PRIu32 " inner steps chosen of 0 to %" PRIu32 ", by %" PRIu32
                 " examples held out (%s): their loss is %.6g then, and %.6g without a step",
                 hold_out->best, hold_out->most_steps, hold_out->n_held,
                 hold_out->share == 0 ? "each once" : "the last of each class",
                 hold_out->losses[hold_out->best], hold_out->losses[0]);
    if (mn_adapted_classes(bench->adapted) > 0)
        (void)printf("; %.1f %% of them are right then", 100 * hold_out->rights[hold_out->best]);
    (void)fputc('\n', stdout);
}

static void print(const struct bench *bench)
{
    const uint32_t way = mn_adapted_classes(bench->adapted);
    const char *remark = mn_model_remark(bench->model);
    (void)printf("%s after %" PRIu64 " meta-steps, adapted to %" PRIu32 " examples",
                 bench->line->arguments[0], mn_model_step(bench->model), bench->support.n);
    if (way > 0 && !bench->support.is_story)
        (void)printf(" of %" PRIu32 " classes", way);
    (void)printf(" in %.2f ms\n", 1e3 * bench->seconds);
    if (bench->hold_out.losses != NULL)
        print_hold_out(bench);
    if (mn_model_has_steps(bench->model))
        print_losses(bench);
    else
        (void)printf("no inner steps (meta.kind episodic): it goes by the examples themselves\n");
    if (bench->line->query != NULL) {
        (void)printf("\n%" PRIu32 " judged in %.2f ms\n", bench->query.n,
                     1e3 * bench->predictions.seconds);
        mn_predictions_print(&bench->predictions, MOST_LINES, stdout);
    }
    if (remark != NULL)
        (void)printf("%s%s\n", remark,
                     mn_model_judges_together(bench->model)
                         ? ": all that is judged at once is judged together, and an answer depends "
                           "on the company"
                         : "");
    if (bench->line->output != NULL)
        (void)printf("wrote %s/adapted.safetensors%s\n", bench->line->output,
                     bench->line->query != NULL ? ", predictions.csv and predictions.json" : "");
}

static json_t *numbers(uint32_t n, const double *from)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++)
        (void)json_array_append_new(list, json_real(from[i]));
    return list;
}

static json_t *as_json(const struct bench *bench)
{
    const mn_hold_out *hold_out = &bench->hold_out;
    const char *remark = mn_model_remark(bench->model);
    json_t *root = json_object();
    (void)json_object_set_new(root, "run", json_string(bench->line->arguments[0]));
    (void)json_object_set_new(root, "meta_step",
                              json_integer((json_int_t)mn_model_step(bench->model)));
    (void)json_object_set_new(root, "examples", json_integer(bench->support.n));
    (void)json_object_set_new(root, "inner_steps", json_integer(bench->steps));
    (void)json_object_set_new(root, "adapt_milliseconds", json_real(1e3 * bench->seconds));
    if (mn_model_has_steps(bench->model))
        (void)json_object_set_new(root, "support_loss", numbers(bench->steps + 1, bench->losses));
    if (hold_out->losses != NULL) {
        json_t *held = json_object();
        (void)json_object_set_new(held, "examples", json_integer(hold_out->n_held));
        (void)json_object_set_new(held, "loss",
                                  numbers(hold_out->most_steps + 1, hold_out->losses));
        if (mn_adapted_classes(bench->adapted) > 0)
            (void)json_object_set_new(held, "accuracy",
                                      numbers(hold_out->most_steps + 1, hold_out->rights));
        (void)json_object_set_new(root, "held_out", held);
    }
    if (remark != NULL)
        (void)json_object_set_new(root, "batch_norm", json_string(remark));
    (void)json_object_set_new(root, "judged_together",
                              json_boolean(mn_model_judges_together(bench->model)));
    if (bench->line->query != NULL)
        mn_predictions_json(&bench->predictions, root);
    return root;
}

/* What predicting later needs to know of how items are read. */
static mn_status write_adapted(const struct bench *bench, const char *path, mn_error *err)
{
    char mean[32], *columns = NULL;
    (void)snprintf(mean, sizeof mean, "%.9g", bench->support.folder.mean);
    mn_text_pair notes[] = {{"ink", bench->support.dark_is_ink ? "dark" : "light"},
                            {"picture_mean", mean}};
    size_t n = mn_adapted_classes(bench->adapted) > 0 ? 2 : 0;
    mn_status status = MN_OK;
    if (bench->has_form) {
        status = mn_row_form_text(&bench->form, &columns, err);
        notes[0] = (mn_text_pair){MN_ROW_FORM_NOTE, columns};
        n = 1;
    }
    if (status == MN_OK)
        status = mn_adapted_write(bench->adapted, path, n, notes, err);
    free(columns);
    return status;
}

/* The model last: where it is, all is. */
static mn_status write(const struct bench *bench, const json_t *root, mn_error *err)
{
    const char *folder = bench->line->output;
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/adapted.safetensors", folder) >= (int)sizeof path)
        return mn_fail(err, MN_ERR_IO, "%.200s...: the path is too long", folder);
    mn_status status = bench->line->query != NULL
                           ? mn_predictions_write(&bench->predictions, root, folder, err)
                           : mn_folder_make(folder, err);
    return status == MN_OK ? write_adapted(bench, path, err) : status;
}

static void close_bench(struct bench *bench)
{
    mn_predictions_fini(&bench->predictions);
    mn_adapted_destroy(&bench->adapted);
    mn_own_items_fini(&bench->support);
    mn_own_items_fini(&bench->query);
    mn_words_destroy(&bench->words);
    mn_row_form_fini(&bench->form);
    mn_model_destroy(&bench->model);
    free(bench->hold_out.losses);
    free(bench->hold_out.rights);
    free(bench->losses);
}
