#include "coordinator/run/ensemble.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LOSS, ACCURACY, N_SCORES, COLUMNS = 2 * N_SCORES + 2 };

/* What all threads work on. */
struct work {
    size_t n_members;
    const mn_member *members;
    const mn_task_set *tasks;
    uint32_t n_tasks;
    atomic_uint next;
    float *rows; /* [n_tasks, COLUMNS], as the learner's, so that what is equal is equal in bits */
};

/* A thread's own; all owned. */
struct worker {
    struct work *work;
    mn_workspace **workspaces; /* [n_members] */
    mn_task *task;
    float *outputs;        /* [items, way] of one member */
    double *probabilities; /* [items, way], sums over members */
    pthread_t thread;
    bool started;
};

static mn_status list_scores(const mn_learner *learner, mn_score_list *scores, mn_error *err);
static mn_status open_worker(struct work *work, struct worker *worker, mn_error *err);
static void close_worker(struct worker *worker);
static void *run(void *of);
static void judge_task(struct worker *worker, uint32_t index, float *row);

mn_status mn_ensemble_judge(size_t n_members, const mn_member *members, const mn_task_set *tasks,
                            uint32_t n_tasks, uint32_t n_threads, mn_score_list *scores,
                            mn_evaluation *out, mn_error *err)
{
    const mn_fields *fields = mn_task_set_fields(tasks, MN_TEST);
    if (fields->target != MN_TARGET_CLASSES || fields->symbols > 1)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "--ensemble: these tasks have no probabilities of classes to take the mean of");
    struct work work = {
        .n_members = n_members, .members = members, .tasks = tasks, .n_tasks = n_tasks};
    struct worker *workers = calloc(n_threads, sizeof *workers);
    const size_t n = (size_t)n_tasks * COLUMNS;
    double *rows = calloc(n, sizeof *rows);
    work.rows = calloc(n, sizeof *work.rows);
    mn_status status = MN_OK;
    *scores = (mn_score_list){0};
    *out = (mn_evaluation){0};
    if (workers == NULL || work.rows == NULL || rows == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "ensemble");
    for (uint32_t i = 0; i < n_threads && status == MN_OK; i++)
        status = open_worker(&work, &workers[i], err);
    for (uint32_t i = 1; i < n_threads && status == MN_OK; i++) /* fewer threads do as well */
        workers[i].started = pthread_create(&workers[i].thread, NULL, run, &workers[i]) == 0;
    if (status == MN_OK)
        (void)run(&workers[0]);
    for (uint32_t i = 0; i < n_threads && workers != NULL; i++) {
        if (workers[i].started)
            (void)pthread_join(workers[i].thread, NULL);
        close_worker(&workers[i]);
    }
    for (size_t i = 0; i < n && status == MN_OK; i++)
        rows[i] = work.rows[i];
    free(workers);
    free(work.rows);
    if (status == MN_OK)
        status = list_scores(members[0].learner, scores, err);
    if (status == MN_OK)
        status = mn_evaluation_from_rows(scores, MN_TEST, n_tasks, rows, out, err);
    if (status != MN_OK) {
        free(rows);
        mn_score_list_fini(scores);
        return status;
    }
    out->rows = rows;
    return MN_OK;
}

/* The two scores, measured where the first learner is judged. */
static mn_status list_scores(const mn_learner *learner, mn_score_list *scores, mn_error *err)
{
    const mn_score_list *theirs = mn_learner_test_scores(learner);
    mn_score loss = theirs->at[theirs->judged];
    (void)snprintf(loss.name, sizeof loss.name, "loss");
    (void)snprintf(loss.unit, sizeof loss.unit, "nats");
    loss.is_share = loss.higher_is_better = false;
    mn_score accuracy = loss;
    (void)snprintf(accuracy.name, sizeof accuracy.name, "accuracy");
    accuracy.unit[0] = '\0';
    accuracy.is_share = accuracy.higher_is_better = true;
    mn_status status = mn_score_list_add(scores, &loss, err);
    if (status == MN_OK)
        status = mn_score_list_add(scores, &accuracy, err);
    scores->judged = ACCURACY;
    return status;
}

static mn_status open_worker(struct work *work, struct worker *worker, mn_error *err)
{
    const mn_fields *fields = mn_task_set_fields(work->tasks, MN_TEST);
    const size_t n = (size_t)mn_fields_find(fields, MN_QUERY, "y")->n * fields->y_size;
    mn_status status = mn_task_new(fields, &worker->task, err);
    worker->work = work;
    worker->workspaces = calloc(work->n_members, sizeof(mn_workspace *));
    worker->outputs = calloc(n, sizeof *worker->outputs);
    worker->probabilities = calloc(n, sizeof *worker->probabilities);
    if (status == MN_OK &&
        (worker->workspaces == NULL || worker->outputs == NULL || worker->probabilities == NULL))
        status = mn_fail(err, MN_ERR_NOMEM, "ensemble");
    for (size_t k = 0; k < work->n_members && status == MN_OK; k++)
        status = mn_workspace_new(work->members[k].learner, &worker->workspaces[k], err);
    return status;
}

/* Takes a half-open one too. */
static void close_worker(struct worker *worker)
{
    for (size_t k = 0; worker->workspaces != NULL && k < worker->work->n_members; k++)
        mn_workspace_destroy(&worker->workspaces[k]);
    free((void *)worker->workspaces);
    free(worker->outputs);
    free(worker->probabilities);
    mn_task_destroy(&worker->task);
}

static void *run(void *of)
{
    struct worker *worker = of;
    struct work *work = worker->work;
    for (uint32_t i; (i = atomic_fetch_add(&work->next, 1)) < work->n_tasks;)
        judge_task(worker, i, &work->rows[(size_t)i * COLUMNS]);
    return NULL;
}

/* Add the softmax of each row. false: a number is not finite. */
static bool add_probabilities(size_t n_items, size_t way, const float *outputs, double *sums)
{
    for (size_t i = 0; i < n_items; i++) {
        const float *row = outputs + i * way;
        double most = row[0], total = 0;
        for (size_t k = 1; k < way; k++)
            most = row[k] > most ? row[k] : most;
        for (size_t k = 0; k < way; k++)
            total += exp(row[k] - most);
        if (!isfinite(most) || !isfinite(total))
            return false;
        for (size_t k = 0; k < way; k++)
            sums[i * way + k] += exp(row[k] - most) / total;
    }
    return true;
}

static void judge_task(struct worker *worker, uint32_t index, float *row)
{
    const struct work *work = worker->work;
    const mn_fields *fields = mn_task_set_fields(work->tasks, MN_TEST);
    const size_t n_items = mn_fields_find(fields, MN_QUERY, "y")->n, way = fields->y_size;
    mn_task_set_draw(work->tasks, MN_TEST, index, worker->task);
    memset(worker->probabilities, 0, n_items * way * sizeof *worker->probabilities);
    bool finite = true;
    for (size_t k = 0; k < work->n_members && finite; k++) {
        mn_explanation told = {.query_output = worker->outputs};
        mn_learner_explain(worker->workspaces[k], work->members[k].theta, worker->task, false,
                           &told);
        finite = add_probabilities(n_items, way, worker->outputs, worker->probabilities);
    }
    const float *y = mn_task_find(worker->task, MN_QUERY, "y");
    const float *weights = mn_task_find(worker->task, MN_QUERY, "weight");
    double total = 0, loss = 0, n_right = 0;
    for (size_t i = 0; i < n_items && finite; i++) {
        const double *mean = worker->probabilities + i * way; /* times the members */
        const double weight = weights != NULL ? weights[i] : 1;
        const uint32_t label = mn_label_of((uint32_t)way, y + i * way);
        bool right = true;
        for (size_t k = 0; k < way; k++) /* of equal ones the first counts */
            right = right &&
                    (mean[k] < mean[label] || k == label || (mean[k] == mean[label] && k > label));
        total += weight;
        loss -= weight * log(fmax(mean[label] / (double)work->n_members, 1e-300));
        n_right += weight * right;
    }
    const double share = weights == NULL && total > 0 ? total : 1; /* as mn_scores_put */
    row[LOSS] = (float)(loss / share);
    row[ACCURACY] = (float)(n_right / share);
    row[N_SCORES + LOSS] = row[N_SCORES + ACCURACY] = (float)(total / share);
    row[2 * N_SCORES] = finite;
    row[2 * N_SCORES + 1] = !finite;
}
