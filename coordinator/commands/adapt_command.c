/* mnemo adapt: a trained run meets the few examples of a person's own task. */
#include "coordinator/commands/commands.h"

#include "common/file.h"
#include "common/log.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/commands/own_items.h"
#include "coordinator/commands/predictions.h"
#include "worker/learner/hold_out.h"
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
    mn_status status = mn_command_line_read(
        &line, argc, argv,
        MN_TAKES_ADAPT | MN_TAKES_QUERY | MN_TAKES_INK | MN_TAKES_OUTPUT | MN_TAKES_JSON, err);
    if (status == MN_OK)
        status = check_line(&line, err);
    if (status == MN_OK)
        status = open_model(&bench, err);
    if (status == MN_OK)
        status = mn_own_items_read(line.support, bench.model, true,
                                   line.ink      ? MN_INK_DARK
                                   : line.no_ink ? MN_INK_LIGHT
                                                 : MN_INK_AS_TRAINED,
                                   &bench.support, err);
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

/* A run of stories or sequences is sent elsewhere. */
static mn_status open_model(struct bench *bench, mn_error *err)
{
    const mn_command_line *line = bench->line;
    const char *run = line->arguments[0];
    mn_status status = mn_model_read(run, line->n_sets, line->sets, &bench->model, err);
    if (status != MN_OK)
        return status;
    const mn_experiment *experiment = mn_model_experiment(bench->model);
    if (mn_model_is_few_shot(bench->model))
        return MN_OK;
    return experiment->tasks.kind == MN_TASKS_SEQUENCES
               ? mn_fail(
                     err, MN_ERR_USAGE,
                     "%s has learned from sequences (tasks.kind), which are told one by one and "
                     "have no support set: expected a run of pictures or curves; mnemo task %s "
                     "shows what this one does",
                     run, run)
               : mn_fail(
                     err, MN_ERR_USAGE,
                     "%s has learned from stories (tasks.kind): mnemo ask %s --story FILE takes "
                     "a story of your own, and answered questions in it as examples where the "
                     "run adapts to some",
                     run, run);
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

static mn_status adapt(struct bench *bench, mn_error *err)
{
    const mn_examples examples = mn_own_items_examples(&bench->support);
    bench->losses = calloc(bench->steps + 1, sizeof *bench->losses);
    if (bench->losses == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " steps", bench->steps);
    const double begin = mn_predictions_clock();
    mn_status status =
        mn_adapted_new(bench->model, &examples, bench->steps, bench->losses, &bench->adapted, err);
    bench->seconds = mn_predictions_clock() - begin;
    return status;
}

static mn_status predict(struct bench *bench, mn_error *err)
{
    mn_status status = mn_own_items_read(bench->line->query, bench->model, false,
                                         bench->support.dark_is_ink ? MN_INK_DARK : MN_INK_LIGHT,
                                         &bench->query, err);
    if (status == MN_OK)
        status = mn_own_items_match(&bench->query, bench->adapted, err);
    return status == MN_OK
               ? mn_predictions_new(bench->adapted, &bench->query, &bench->predictions, err)
               : status;
}

/* Telling ------------------------------------------------------------------------------ */

static void print_losses(const struct bench *bench)
{
    const bool nats = mn_adapted_classes(bench->adapted) > 0;
    (void)printf("  inner step  support loss (%s)\n", nats ? "nats" : "squared error");
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
    if (way > 0)
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

/* The model last: where it is, all is. */
static mn_status write(const struct bench *bench, const json_t *root, mn_error *err)
{
    const char *folder = bench->line->output;
    char path[PATH_MAX], mean[32];
    (void)snprintf(mean, sizeof mean, "%.9g", bench->support.folder.mean);
    const mn_text_pair notes[] = {{"ink", bench->support.dark_is_ink ? "dark" : "light"},
                                  {"picture_mean", mean}};
    if (snprintf(path, sizeof path, "%s/adapted.safetensors", folder) >= (int)sizeof path)
        return mn_fail(err, MN_ERR_IO, "%.200s...: the path is too long", folder);
    mn_status status = bench->line->query != NULL
                           ? mn_predictions_write(&bench->predictions, root, folder, err)
                           : mn_folder_make(folder, err);
    return status == MN_OK
               ? mn_adapted_write(bench->adapted, path,
                                  mn_adapted_classes(bench->adapted) > 0 ? 2 : 0, notes, err)
               : status;
}

static void close_bench(struct bench *bench)
{
    mn_predictions_fini(&bench->predictions);
    mn_adapted_destroy(&bench->adapted);
    mn_own_items_fini(&bench->support);
    mn_own_items_fini(&bench->query);
    mn_model_destroy(&bench->model);
    free(bench->hold_out.losses);
    free(bench->hold_out.rights);
    free(bench->losses);
}
