/* mnemo export: what a run has learned, as one file for other programs. */
#include "coordinator/commands/commands.h"

#include "common/log.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/server/session.h"
#include "worker/learner/parts/batch_norm.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the command opens, to be closed again; all is owned. */
struct workshop {
    mn_session session;
    mn_checkpoint checkpoint;
    bool best; /* that theta of it is wanted */
    mn_task_notes notes;
};

static mn_status open_workshop(const mn_command_line *line, struct workshop *shop, mn_error *err);
static mn_status take_checkpoint(struct workshop *shop, mn_error *err);
static mn_status read_checkpoint(const char *path, struct workshop *shop, mn_error *err);
static mn_status write_model(const mn_command_line *line, const struct workshop *shop,
                             mn_error *err);
static void close_workshop(struct workshop *shop);

mn_status mn_export_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    struct workshop shop = {0};
    mn_log_init(MN_LOG_INFO, "mnemo");
    mn_status status =
        mn_command_line_read(&line, argc, argv, MN_TAKES_OUTPUT | MN_TAKES_WHICH, err);
    if (status == MN_OK && line.n_arguments != 1)
        status = mn_fail(err, MN_ERR_USAGE, "export: expected the folder of one run");
    if (status == MN_OK)
        status = open_workshop(&line, &shop, err);
    if (status == MN_OK)
        status = mn_task_notes_new(shop.session.tasks, &shop.notes, err);
    shop.checkpoint.notes = &shop.notes;
    if (status == MN_OK)
        status = write_model(&line, &shop, err);
    close_workshop(&shop);
    return status;
}

static mn_status open_workshop(const mn_command_line *line, struct workshop *shop, mn_error *err)
{
    const char *which = line->checkpoint;
    const bool any = which == NULL, best = !any && strcmp(which, "best") == 0;
    const mn_session_options options = {.sets = line->sets,
                                        .n_sets = line->n_sets,
                                        .folder = line->arguments[0],
                                        .external_too = true};
    mn_status status = mn_session_open_run(&shop->session, &options, err);
    if (status != MN_OK)
        return status;
    if (!any && !best && strcmp(which, "last") != 0)
        return read_checkpoint(which, shop, err);
    status = take_checkpoint(shop, err);
    if (status != MN_OK)
        return status;
    shop->best = best || (any && shop->checkpoint.best != NULL &&
                          shop->session.experiment.evaluate.keep_best);
    if (best && shop->checkpoint.best == NULL)
        return mn_fail(err, MN_ERR_NO_INPUT,
                       "%s has no best theta: none has been validated (evaluate.every in its "
                       "experiment.yaml); --checkpoint last is there",
                       options.folder);
    return MN_OK;
}

/* As the session has read it. */
static mn_status take_checkpoint(struct workshop *shop, mn_error *err)
{
    const mn_session *session = &shop->session;
    mn_checkpoint *checkpoint = &shop->checkpoint;
    mn_status status = mn_training_save(session->training, checkpoint, err);
    checkpoint->data = session->data;
    checkpoint->numeric_class = session->numeric_class;
    checkpoint->mixed = session->mixed;
    return status == MN_OK
               ? mn_experiment_print(&session->experiment, false, &checkpoint->experiment, err)
               : status;
}

/* An older one of the run, or one that was put aside. */
static mn_status read_checkpoint(const char *path, struct workshop *shop, mn_error *err)
{
    const mn_theta_layout layout = mn_training_layout(shop->session.training);
    mn_status status = mn_checkpoint_read(path, &layout, &shop->checkpoint, err);
    if (status == MN_OK &&
        memcmp(&shop->checkpoint.data, &shop->session.data, sizeof shop->session.data) != 0)
        status = mn_fail(err, MN_ERR_CONFIG,
                         "%s is of a run with other data than this one has: give the folder of "
                         "that run",
                         path);
    return status;
}

static mn_status write_model(const mn_command_line *line, const struct workshop *shop,
                             mn_error *err)
{
    const mn_experiment *experiment = &shop->session.experiment;
    const mn_checkpoint *checkpoint = &shop->checkpoint;
    const mn_theta_layout layout = mn_training_layout(shop->session.training);
    const bool average = !shop->best && checkpoint->average != NULL;
    const float *theta = shop->best ? checkpoint->best
                         : average  ? checkpoint->average
                                    : checkpoint->theta;
    const mn_digest digest = mn_digest_of(theta, layout.n * sizeof *theta);
    const char *remark = mn_batch_norm_remark(experiment), *path = line->output;
    const mn_text_pair more[] = {{"name", experiment->name},
                                 {"batch_norm", remark == NULL ? "none" : remark}};
    const size_t n_more = sizeof more / sizeof *more;
    char own[PATH_MAX], hex[65];
    mn_status status = MN_OK;
    if (path == NULL) {
        status = mn_run_path(line->arguments[0], "model.safetensors", own, err);
        path = own;
    }
    if (status == MN_OK)
        status = mn_checkpoint_export(path, checkpoint, shop->best, &layout, n_more, more, err);
    if (status != MN_OK)
        return status;
    mn_digest_hex(&digest, hex);
    (void)printf("%s: %zu tensors, %zu numbers; the %s theta, after meta-step %" PRIu64 "%s%s\n"
                 "theta sha256=%s\n",
                 path, layout.n_tensors, layout.n,
                 shop->best ? "best"
                 : average  ? "averaged"
                            : "last",
                 shop->best ? checkpoint->best_step : checkpoint->step, remark == NULL ? "" : "; ",
                 remark == NULL ? "" : remark, hex);
    return MN_OK;
}

static void close_workshop(struct workshop *shop)
{
    mn_task_notes_fini(&shop->notes);
    mn_checkpoint_fini(&shop->checkpoint);
    mn_session_end(&shop->session);
}
