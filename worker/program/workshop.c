#include "worker/program/workshop.h"

#include "common/experiment.h"
#include "common/log.h"
#include "common/thread.h"
#include "worker/tasks/task_set.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mn_workshop {
    uint32_t n_threads;
    char *data_path; /* owned; NULL: the default */
    int fd;

    bool building; /* the thread was started and not yet joined */
    pthread_t builder;
    mn_welcome order; /* what to build; order.experiment is owned */
    mn_status status; /* of the build; the builder's until it is joined */
    mn_error error;

    bool ready;
    mn_task_set *set;
    mn_learner *learner;
    mn_pool *pool;
    mn_digest numeric_class;
};

static bool fits(const mn_workshop *workshop, const mn_welcome *welcome);
static void *build(void *argument);
static mn_status build_all(mn_workshop *workshop, mn_error *err);
static void clear_away(mn_workshop *workshop);
static void join(mn_workshop *workshop);

mn_status mn_workshop_new(uint32_t n_threads, const char *data_path, mn_workshop **out,
                          mn_error *err)
{
    mn_workshop *workshop = calloc(1, sizeof *workshop);
    if (workshop == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "workshop");
    workshop->n_threads = n_threads;
    workshop->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    mn_status status = MN_OK;
    if (workshop->fd < 0)
        status = mn_fail_errno(err, "eventfd of the workshop");
    else if (data_path != NULL && (workshop->data_path = strdup(data_path)) == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "data path");
    if (status != MN_OK) {
        mn_workshop_destroy(&workshop);
        return status;
    }
    *out = workshop;
    return MN_OK;
}

void mn_workshop_destroy(mn_workshop **workshop)
{
    mn_workshop *gone = *workshop;
    if (gone == NULL)
        return;
    join(gone);
    clear_away(gone);
    if (gone->fd >= 0)
        (void)close(gone->fd);
    free(gone->order.experiment);
    free(gone->data_path);
    free(gone);
    *workshop = NULL;
}

mn_status mn_workshop_build(mn_workshop *workshop, const mn_welcome *welcome, mn_error *err)
{
    join(workshop);
    if (fits(workshop, welcome)) {
        mn_pool_clear(workshop->pool);
        workshop->status = MN_OK;
        (void)eventfd_write(workshop->fd, 1);
        return MN_OK;
    }

    clear_away(workshop);
    char *experiment = strdup(welcome->experiment);
    if (experiment == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "text of the experiment");
    free(workshop->order.experiment);
    workshop->order = *welcome;
    workshop->order.experiment = experiment;
    workshop->building = mn_thread_start(&workshop->builder, build, workshop);
    if (!workshop->building)
        return mn_fail(err, MN_ERR_UNAVAILABLE, "no thread could be started; see `ulimit -u`");
    return MN_OK;
}

int mn_workshop_fd(const mn_workshop *workshop)
{
    return workshop->fd;
}

mn_status mn_workshop_finish(mn_workshop *workshop, mn_error *err)
{
    eventfd_t rings;
    if (eventfd_read(workshop->fd, &rings) != 0)
        return mn_fail(err, MN_ERR_STATE, "no build has ended");
    join(workshop);
    if (workshop->status != MN_OK)
        return mn_fail(err, workshop->status, "%s", workshop->error.message);
    workshop->ready = true;
    return MN_OK;
}

mn_pool *mn_workshop_pool(const mn_workshop *workshop)
{
    return workshop->ready ? workshop->pool : NULL;
}

const mn_learner *mn_workshop_learner(const mn_workshop *workshop)
{
    return workshop->learner;
}

mn_digest mn_workshop_numeric_class(const mn_workshop *workshop)
{
    return workshop->numeric_class;
}

mn_digest mn_workshop_data(const mn_workshop *workshop)
{
    return mn_task_set_data_digest(workshop->set);
}

/* The same run, experiment and data as what stands there? */
static bool fits(const mn_workshop *workshop, const mn_welcome *welcome)
{
    return workshop->ready && workshop->order.run_id == welcome->run_id &&
           memcmp(&workshop->order.data, &welcome->data, sizeof welcome->data) == 0 &&
           strcmp(workshop->order.experiment, welcome->experiment) == 0;
}

static void *build(void *argument)
{
    mn_workshop *workshop = argument;
    workshop->status = build_all(workshop, &workshop->error);
    (void)eventfd_write(workshop->fd, 1);
    return NULL;
}

static mn_status build_all(mn_workshop *workshop, mn_error *err)
{
    mn_experiment experiment, defaults;
    mn_experiment_init(&experiment);
    mn_experiment_init(&defaults);
    const char *text = workshop->order.experiment;
    mn_status status =
        mn_experiment_parse(&experiment, "the coordinator's experiment", text, strlen(text), err);
    if (status != MN_OK)
        return status;
    /* Where data lie is this machine's business. */
    const char *path = workshop->data_path != NULL ? workshop->data_path : defaults.run.data_path;
    if (strlen(path) >= sizeof experiment.run.data_path)
        return mn_fail(err, MN_ERR_USAGE, "--data has more than %zu characters",
                       sizeof experiment.run.data_path - 1);
    (void)snprintf(experiment.run.data_path, sizeof experiment.run.data_path, "%s", path);

    status = mn_experiment_check(&experiment, err);
    if (status == MN_OK && experiment.tasks.kind == MN_TASKS_EXTERNAL)
        status = mn_fail(err, MN_ERR_CONFIG,
                         "this run is for workers with a learner of the user's own (tasks.kind "
                         "external), not for mnemo-worker: join it with `python3 -m mnemo_worker "
                         "my_learner.py:MyLearner ENDPOINT`");
    if (status == MN_OK && !experiment.pool.any_numeric_class)
        status = mn_experiment_check_outside(&experiment, err);
    if (status == MN_OK)
        status = mn_task_set_open(&experiment, &workshop->order.data, &workshop->set, err);
    if (status != MN_OK)
        return status;
    status = mn_learner_new(&experiment, mn_task_set_fields(workshop->set, MN_TRAIN),
                            mn_task_set_fields(workshop->set, MN_TEST), &workshop->learner, err);
    if (status != MN_OK)
        return status;
    status = mn_learner_numeric_class(workshop->learner, &workshop->numeric_class, err);
    if (status == MN_OK)
        status = mn_task_set_mix_class(workshop->set, &workshop->numeric_class, err);
    if (status != MN_OK)
        return status;
    status =
        mn_pool_new(workshop->learner, workshop->set, workshop->n_threads, &workshop->pool, err);
    if (status == MN_OK)
        mn_log(MN_LOG_INFO, "built experiment=%s threads=%u kernels=%s workspace_mib=%.1f",
               experiment.name, workshop->n_threads, mn_learner_kernels(workshop->learner),
               (double)mn_learner_workspace_bytes(workshop->learner) * workshop->n_threads /
                   0x1p20);
    return status;
}

static void clear_away(mn_workshop *workshop)
{
    workshop->ready = false;
    mn_pool_destroy(&workshop->pool);
    mn_learner_destroy(&workshop->learner);
    mn_task_set_destroy(&workshop->set);
}

static void join(mn_workshop *workshop)
{
    eventfd_t rings;
    if (workshop->building)
        (void)pthread_join(workshop->builder, NULL);
    workshop->building = false;
    (void)eventfd_read(workshop->fd, &rings);
}
