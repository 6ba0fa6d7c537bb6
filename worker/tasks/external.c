/* external.c: tasks of a program of the user's own. All that is known of them here is the card of its
 * learner; its workers make the tasks, as functions of (seed, split, index). */
#include "worker/tasks/task_set_kind.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The path itself, or below a folder of the data path. */
static mn_status find(const mn_experiment *experiment, char path[PATH_MAX], mn_error *err)
{
    const char *name = experiment->tasks.learner;
    (void)snprintf(path, PATH_MAX, "%s", name);
    if (access(path, R_OK) == 0)
        return MN_OK;
    for (const char *folder = experiment->run.data_path; *folder != '\0' && name[0] != '/';) {
        const size_t n = strcspn(folder, ":");
        const int length = snprintf(path, PATH_MAX, "%.*s/%s", (int)n, folder, name);
        if (n > 0 && length < PATH_MAX && access(path, R_OK) == 0)
            return MN_OK;
        folder += n + (folder[n] == ':');
    }
    return mn_fail(err, MN_ERR_NO_INPUT,
                   "tasks.learner: there is no %s, neither here nor below run.data_path (%.300s); "
                   "make it with `python3 -m mnemo_worker card my_learner.py:MyLearner -o %s`",
                   name, experiment->run.data_path, name);
}

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    char path[PATH_MAX];
    mn_learner_card *card = NULL;
    mn_status status = find(experiment, path, err);
    if (status == MN_OK)
        status = mn_learner_card_read(path, &card, err);
    if (status != MN_OK)
        return status;
    parts->state = card;
    parts->data_digest = mn_learner_card_digest(card);
    const char *slash = strrchr(path, '/');
    (void)snprintf(parts->data_name, sizeof parts->data_name, "%.255s",
                   slash == NULL ? path : slash + 1);
    (void)snprintf(parts->data_where, sizeof parts->data_where, "%.1000s", path);
    return MN_OK;
}

static void close_tasks(void *state)
{
    mn_learner_card *card = state;
    mn_learner_card_destroy(&card);
}

static const mn_learner_card *card_of(const void *state)
{
    return state;
}

const mn_task_set_kind mn_external_kind = {
    .open = open_tasks, .close = close_tasks, .card = card_of};
