#include "coordinator/commands/commands.h"

#include "coordinator/commands/command_line.h"
#include "coordinator/pictures/adapted_task.h"
#include "coordinator/server/session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the command opens, to be closed again. */
struct workshop {
    mn_session session;
    float *theta;
    bool trained;             /* it is not that of step 0 */
    char name[MN_THETA_NAME]; /* "": it has none */
};

static mn_status open_workshop(const mn_command_line *line, struct workshop *shop, mn_error *err);
static void close_workshop(struct workshop *shop);
static mn_status load_theta(const char *path, struct workshop *shop, mn_error *err);
static mn_status find_split(const char *name, mn_split *split, mn_error *err);

mn_status mn_task_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    struct workshop shop = {0};
    mn_split split = MN_TEST;
    mn_status status = mn_command_line_read(
        &line, argc, argv, MN_TAKES_TASK | MN_TAKES_SPLIT | MN_TAKES_PNG | MN_TAKES_THETA, err);
    if (status == MN_OK && line.n_arguments != 1)
        status =
            mn_fail(err, MN_ERR_USAGE, "task: expected one experiment file or folder of a run");
    if (status == MN_OK && line.split != NULL)
        status = find_split(line.split, &split, err);
    if (status == MN_OK)
        status = open_workshop(&line, &shop, err);
    if (status == MN_OK)
        status = mn_task_set_check(shop.session.tasks, split, err);
    const mn_adapted_task task = {.experiment = &shop.session.experiment,
                                  .tasks = shop.session.tasks,
                                  .learner = shop.session.learner,
                                  .theta = shop.theta,
                                  .trained = shop.trained,
                                  .theta_name = shop.name[0] != '\0' ? shop.name : NULL,
                                  .split = split,
                                  .index = line.index};
    if (status == MN_OK)
        status = mn_adapted_task_print(&task, stdout, err);
    if (status == MN_OK && line.png != NULL)
        status = mn_adapted_task_draw(&task, line.png, err);
    if (status == MN_OK && line.dump != NULL)
        status = mn_adapted_task_dump(&task, line.dump, err);
    close_workshop(&shop);
    return status;
}

/* An experiment with theta of step 0, or a run with its own. */
static mn_status open_workshop(const mn_command_line *line, struct workshop *shop, mn_error *err)
{
    mn_session *session = &shop->session;
    mn_session_options options = {.sets = line->sets, .n_sets = line->n_sets};
    const bool is_run = mn_run_begun(line->arguments[0]);
    *(is_run ? &options.folder : &options.file) = line->arguments[0];
    mn_status status = is_run ? mn_session_open_run(session, &options, err)
                              : mn_session_open_alone(session, &options, err);
    if (status != MN_OK)
        return status;
    const size_t size = mn_learner_size(session->learner);
    shop->theta = calloc(size, sizeof *shop->theta);
    if (shop->theta == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "theta");
    if (is_run)
        memcpy(shop->theta, mn_training_final_theta(session->training), size * sizeof *shop->theta);
    else
        mn_learner_init_theta(session->learner, session->experiment.seed, shop->theta);
    shop->trained = is_run || line->theta != NULL;
    if (is_run && line->theta == NULL)
        mn_training_name_final(session->training, shop->name);
    return line->theta != NULL ? load_theta(line->theta, shop, err) : MN_OK;
}

static void close_workshop(struct workshop *shop)
{
    free(shop->theta);
    mn_session_end(&shop->session);
}

static mn_status load_theta(const char *path, struct workshop *shop, mn_error *err)
{
    const mn_theta_layout layout = mn_training_layout(shop->session.training);
    float *theta = NULL;
    mn_status status = mn_checkpoint_read_theta(path, &layout, &theta, err);
    if (status == MN_OK)
        mn_learner_import(shop->session.learner, theta, shop->theta);
    free(theta);
    return status;
}

static mn_status find_split(const char *name, mn_split *split, mn_error *err)
{
    static const char *const names[MN_N_SPLITS] = {"train", "val", "test"};
    for (unsigned i = 0; i < MN_N_SPLITS; i++)
        if (strcmp(name, names[i]) == 0) {
            *split = (mn_split)i;
            return MN_OK;
        }
    return mn_fail(err, MN_ERR_USAGE, "--split %s: expected train, val or test", name);
}
