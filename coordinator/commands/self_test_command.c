/* mnemo self-test: does this machine compute what the reference computes, and twice the same? */
#include "coordinator/commands/commands.h"

#include "coordinator/commands/command_line.h"
#include "worker/engine/kernels.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_TASKS = 3 };
#define MOST_APART                                                                                 \
    2e-3 /* of the largest number; float32 sums in other orders are 1e-6 to 1e-4 apart */

/* A family of learners each, on tasks that need no data. */
static const struct family {
    const char *name, *experiment;
} families[] = {
    {"MAML, perceptron", "{tasks: {kind: sinusoid}, model: {input: mlp, hidden: [40, 40]}, "
                         "meta: {kind: maml, inner_steps: 3, inner_lr: 0.01}}"},
    {"MAML, convolutions", "{tasks: {kind: glyphs, way: 5, shot: 1, query: 2}, model: {input: "
                           "conv4, filters: 32}, meta: {kind: maml, inner_steps: 2, inner_lr: "
                           "0.1}}"},
    {"prototypes", "{tasks: {kind: glyphs, way: 5, shot: 2, query: 3}, model: {input: conv4, "
                   "filters: 24, memory: class-means, output: distance}, meta: {kind: episodic}}"},
    {"memory with recurrent access",
     "{tasks: {kind: sequences, way: 3, length: 15}, model: {input: identity, memory: lrua, "
     "slots: 12, slot_size: 8, read_heads: 2, reasoning: lstm, units: 20, output: linear}, meta: "
     "{kind: episodic}}"},
    {"stories, attention", "{tasks: {kind: generated-stories, bundle: 4}}"},
};

/* What the tasks gave, one row after the other: the meta-gradient, and the scores behind it. */
struct answers {
    size_t n, columns, gradient; /* of all; of a row; of these the meta-gradient */
    float *rows;                 /* owned */
    mn_digest numeric_class;
};

static mn_status compute(const struct family *family, const char *kernels, struct answers *out,
                         mn_error *err);
static mn_status draw_and_train(const mn_experiment *experiment, const mn_task_set *set,
                                mn_learner *learner, struct answers *out, mn_error *err);
static double difference(const struct answers *a, const struct answers *b);
static mn_status test_family(const struct family *family, mn_error *err);

mn_status mn_self_test_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_status status = mn_command_line_read(&line, argc, argv, 0, err);
    if (status == MN_OK && line.n_arguments > 0)
        status = mn_fail(err, MN_ERR_USAGE, "self-test: expected no argument");
    for (size_t i = 0; i < sizeof families / sizeof *families && status == MN_OK; i++)
        status = test_family(&families[i], err);
    if (status == MN_OK)
        (void)puts("all as it should be");
    return status;
}

static mn_status test_family(const struct family *family, mn_error *err)
{
    const mn_kernels *const *all = mn_kernels_all();
    struct answers reference = {0};
    mn_digest numeric_class = {{0}}; /* of the first kernels */
    const char *plain = NULL;
    for (size_t i = 0; all[i] != NULL; i++) /* the reference comes last */
        plain = all[i]->name;
    mn_status status = compute(family, plain, &reference, err);
    for (size_t i = 0; all[i] != NULL && status == MN_OK; i++) {
        const char *kernels = all[i]->name;
        const bool is_reference = all[i + 1] == NULL;
        struct answers own = {0}, again = {0};
        const struct answers *first = is_reference ? &reference : &own;
        if (!is_reference)
            status = compute(family, kernels, &own, err);
        if (status == MN_OK)
            status = compute(family, kernels, &again, err);
        const double apart = status == MN_OK ? difference(first, &reference) : 0;
        if (status == MN_OK && memcmp(first->rows, again.rows, first->n * sizeof *first->rows) != 0)
            status = mn_fail(err, MN_ERR_INTERNAL,
                             "%s, kernels %s: the same tasks gave other bits the second time. The "
                             "memory or the processor of this machine may be damaged",
                             family->name, kernels);
        else if (status == MN_OK && !(apart <= MOST_APART))
            status = mn_fail(err, MN_ERR_INTERNAL,
                             "%s: kernels %s are %.3g from the reference (%s), of the largest "
                             "number; expected at most %.3g. Until that is mended, use "
                             "MNEMO_KERNELS=%s",
                             family->name, kernels, apart, plain, MOST_APART, plain);
        if (i == 0)
            numeric_class = first->numeric_class;
        if (status == MN_OK && strcmp(all[i]->arithmetic, all[0]->arithmetic) == 0 &&
            memcmp(&first->numeric_class, &numeric_class, sizeof numeric_class) != 0)
            status = mn_fail(err, MN_ERR_INTERNAL,
                             "%s: kernels %s compute other bits than %s on this machine, so that "
                             "answers would depend on which are used: please report it",
                             family->name, kernels, all[0]->name);
        if (status == MN_OK) {
            char hex[65];
            mn_digest_hex(&first->numeric_class, hex);
            (void)printf("%-28s  %-8s  numeric class %.8s  %.1e from the reference\n", family->name,
                         kernels, hex, apart);
        }
        free(own.rows);
        free(again.rows);
    }
    free(reference.rows);
    return status;
}

static mn_status compute(const struct family *family, const char *kernels, struct answers *out,
                         mn_error *err)
{
    mn_experiment experiment;
    mn_task_set *set = NULL;
    mn_learner *learner = NULL;
    if (setenv("MNEMO_KERNELS", kernels, 1) != 0)
        return mn_fail_errno(err, "set MNEMO_KERNELS");
    mn_experiment_init(&experiment);
    mn_status status = mn_experiment_parse(&experiment, family->name, family->experiment,
                                           strlen(family->experiment), err);
    if (status == MN_OK)
        status = mn_experiment_check(&experiment, err);
    if (status == MN_OK)
        status = mn_task_set_open(&experiment, NULL, &set, err);
    if (status == MN_OK)
        status = mn_learner_new(&experiment, mn_task_set_fields(set, MN_TRAIN),
                                mn_task_set_fields(set, MN_TEST), &learner, err);
    if (status == MN_OK)
        status = mn_learner_numeric_class(learner, &out->numeric_class, err);
    if (status == MN_OK)
        status = draw_and_train(&experiment, set, learner, out, err);
    mn_learner_destroy(&learner);
    mn_task_set_destroy(&set);
    return status;
}

static mn_status draw_and_train(const mn_experiment *experiment, const mn_task_set *set,
                                mn_learner *learner, struct answers *out, mn_error *err)
{
    mn_workspace *workspace = NULL;
    mn_task *task = NULL;
    const size_t columns = mn_learner_train_columns(learner);
    float *theta = malloc(mn_learner_size(learner) * sizeof *theta);
    out->n = N_TASKS * columns;
    out->columns = columns;
    out->gradient = mn_learner_size(learner);
    out->rows = calloc(out->n, sizeof *out->rows);
    mn_status status = theta == NULL || out->rows == NULL
                           ? mn_fail(err, MN_ERR_NOMEM, "theta and rows of the self-test")
                           : mn_workspace_new(learner, &workspace, err);
    if (status == MN_OK)
        status = mn_task_new(mn_task_set_fields(set, MN_TRAIN), &task, err);
    if (status == MN_OK) {
        mn_learner_init_theta(learner, experiment->seed, theta);
        for (uint32_t i = 0; i < N_TASKS; i++) {
            mn_task_set_draw(set, MN_TRAIN, i, task);
            mn_learner_train(workspace, theta, task, out->rows + i * columns);
        }
    }
    free(theta);
    mn_task_destroy(&task);
    mn_workspace_destroy(&workspace);
    return status;
}

/* Of meta-gradients, by one number at most, in parts of the largest; NaN where there is one. */
static double difference(const struct answers *a, const struct answers *b)
{
    double most = 0, largest = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (i % a->columns >= a->gradient)
            continue;
        const double apart = fabs((double)a->rows[i] - (double)b->rows[i]);
        if (!(apart <= most))
            most = apart;
        largest = fmax(largest, fabs((double)b->rows[i]));
    }
    return most / largest;
}
