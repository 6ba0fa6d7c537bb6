#include "worker/learner.h"

#include "common/exact_sum.h"
#include "common/random.h"
#include "worker/modules/meta.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SELF_TEST_SEED 20161u

struct mn_learner {
    mn_network network;
    mn_meta_rule rule;
    mn_weight_init init;
    mn_task_shape train_shape, test_shape;
    mn_uint_list test_steps; /* ascending */
    mn_score_list train_scores, test_scores;
    const mn_kernels *kernels;
    mn_meta *train, *test; /* compiled for the two shapes; owned */
    size_t size;           /* outer parameters */
    size_t n_tensors;
    mn_tensor *tensors; /* [n_tensors]; owned */
};

struct mn_workspace {
    const mn_learner *learner;
    void *scratch;       /* 64-byte aligned; owned */
    float *output;       /* [n_query, y_size] of the larger shape; owned */
    float *gradient;     /* [size]; owned */
    mn_profile *profile; /* NULL: none */
};

static mn_status list_tensors(mn_learner *learner, mn_error *err);
static mn_status list_scores(mn_learner *learner, mn_error *err);
static size_t output_count(const mn_task_shape *shape);
static mn_meta_data data_of(const mn_task *task);
static double accuracy(const mn_task *task, const float *output);
static void finish_row(float *row, size_t columns);
static bool has_classes(const mn_learner *learner);

mn_status mn_learner_new(const mn_experiment *experiment, const mn_task_shape *train,
                         const mn_task_shape *test, mn_learner **out, mn_error *err)
{
    mn_learner *learner = calloc(1, sizeof *learner);
    if (learner == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "learner");
    learner->train_shape = *train;
    learner->test_shape = *test;
    learner->rule = (mn_meta_rule){.kind = experiment->meta.kind,
                                   .order = experiment->meta.order,
                                   .steps = experiment->meta.inner_steps,
                                   .inner_lr = experiment->meta.inner_lr,
                                   .keep_bytes = (size_t)experiment->pool.activation_mib << 20};
    learner->init = experiment->model.init;
    learner->test_steps = experiment->evaluate.inner_steps;
    if (learner->test_steps.n == 0)
        learner->test_steps = (mn_uint_list){.n = 1, .at = {experiment->meta.inner_steps}};

    learner->kernels = mn_kernels_choose();
    mn_status status = MN_OK;
    if (learner->kernels == NULL)
        status = mn_fail(err, MN_ERR_UNAVAILABLE,
                         "MNEMO_KERNELS=%s: this machine or build has no such kernels; unset it",
                         getenv("MNEMO_KERNELS"));
    if (status == MN_OK)
        status = mn_network_init(&learner->network, experiment, train, err);
    if (status == MN_OK)
        status = mn_meta_new(&learner->network, &learner->rule, train->n_support, train->n_query,
                             true, learner->kernels, &learner->train, err);
    if (status == MN_OK)
        status = mn_meta_new(&learner->network, &learner->rule, test->n_support, test->n_query,
                             false, learner->kernels, &learner->test, err);
    if (status == MN_OK) {
        learner->size = mn_meta_size(learner->train);
        status = list_tensors(learner, err);
    }
    if (status == MN_OK)
        status = list_scores(learner, err);
    if (status != MN_OK) {
        mn_learner_destroy(&learner);
        return status;
    }
    *out = learner;
    return MN_OK;
}

void mn_learner_destroy(mn_learner **learner)
{
    if (*learner == NULL)
        return;
    mn_meta_destroy(&(*learner)->train);
    mn_meta_destroy(&(*learner)->test);
    mn_score_list_fini(&(*learner)->train_scores);
    mn_score_list_fini(&(*learner)->test_scores);
    free((*learner)->tensors);
    free(*learner);
    *learner = NULL;
}

size_t mn_learner_size(const mn_learner *learner)
{
    return learner->size;
}

void mn_learner_init_theta(const mn_learner *learner, uint64_t seed, float *theta)
{
    const mn_parameters *parameters = &learner->network.parameters;
    mn_parameters_start(parameters, learner->init, seed, theta);
    for (size_t i = parameters->size; i < learner->size; i++) /* Meta-SGD: the rates behind */
        theta[i] = (float)learner->rule.inner_lr;
}

size_t mn_learner_tensors(const mn_learner *learner)
{
    return learner->n_tensors;
}

const mn_tensor *mn_learner_tensor(const mn_learner *learner, size_t i)
{
    return &learner->tensors[i];
}

void mn_learner_export(const mn_learner *learner, const float *inside, float *outside)
{
    const mn_parameters *parameters = &learner->network.parameters;
    for (size_t at = 0; at < learner->size; at += parameters->size)
        mn_parameters_export(parameters, inside + at, outside + at);
}

void mn_learner_import(const mn_learner *learner, const float *outside, float *inside)
{
    const mn_parameters *parameters = &learner->network.parameters;
    for (size_t at = 0; at < learner->size; at += parameters->size)
        mn_parameters_import(parameters, outside + at, inside + at);
}

mn_digest mn_learner_fingerprint(const mn_learner *learner, const float *theta)
{
    mn_digest digest = {{0}};
    float *outside = malloc(learner->size * sizeof *outside);
    if (outside == NULL)
        return digest; /* no real digest is all zero */
    mn_learner_export(learner, theta, outside);
    digest = mn_digest_of(outside, learner->size * sizeof *outside);
    free(outside);
    return digest;
}

static size_t scratch_bytes(const mn_learner *learner)
{
    size_t train = mn_meta_scratch_bytes(learner->train),
           test = mn_meta_scratch_bytes(learner->test);
    return train > test ? train : test;
}

static size_t output_floats(const mn_learner *learner)
{
    size_t train = output_count(&learner->train_shape), test = output_count(&learner->test_shape);
    return train > test ? train : test;
}

size_t mn_learner_workspace_bytes(const mn_learner *learner)
{
    return sizeof(mn_workspace) + scratch_bytes(learner) +
           (output_floats(learner) + learner->size) * sizeof(float);
}

mn_status mn_workspace_new(const mn_learner *learner, mn_workspace **out, mn_error *err)
{
    mn_workspace *workspace = calloc(1, sizeof *workspace);
    if (workspace != NULL) {
        workspace->learner = learner;
        workspace->scratch = aligned_alloc(64, scratch_bytes(learner));
        workspace->output = malloc(output_floats(learner) * sizeof *workspace->output);
        workspace->gradient = malloc(learner->size * sizeof *workspace->gradient);
    }
    if (workspace == NULL || workspace->scratch == NULL || workspace->output == NULL ||
        workspace->gradient == NULL) {
        mn_workspace_destroy(&workspace);
        return mn_fail(err, MN_ERR_NOMEM, "%zu bytes of a thread's workspace; use fewer threads",
                       mn_learner_workspace_bytes(learner));
    }
    *out = workspace;
    return MN_OK;
}

void mn_workspace_destroy(mn_workspace **workspace)
{
    if (*workspace == NULL)
        return;
    free((*workspace)->scratch);
    free((*workspace)->output);
    free((*workspace)->gradient);
    free(*workspace);
    *workspace = NULL;
}

mn_status mn_learner_profile(const mn_learner *learner, mn_profile **out, mn_error *err)
{
    mn_profile *profile = NULL;
    mn_status status = mn_profile_new(&profile, err);
    if (status == MN_OK)
        status = mn_meta_profile(learner->train, profile, err);
    if (status != MN_OK) {
        mn_profile_destroy(&profile);
        return status;
    }
    *out = profile;
    return MN_OK;
}

void mn_workspace_profile(mn_workspace *workspace, mn_profile *profile)
{
    workspace->profile = profile;
}

size_t mn_learner_train_columns(const mn_learner *learner)
{
    return learner->size + learner->train_scores.n + 2;
}

size_t mn_learner_test_columns(const mn_learner *learner)
{
    return (size_t)learner->test_scores.n + 2;
}

const mn_score_list *mn_learner_train_scores(const mn_learner *learner)
{
    return &learner->train_scores;
}

const mn_score_list *mn_learner_test_scores(const mn_learner *learner)
{
    return &learner->test_scores;
}

void mn_learner_train(mn_workspace *workspace, const float *theta, const mn_task *task, float *row)
{
    const mn_learner *learner = workspace->learner;
    mn_meta_data data = data_of(task);
    data.profile = workspace->profile;
    mn_meta_losses losses =
        mn_meta_gradient(learner->train, workspace->scratch, theta, &data, row, workspace->output);
    mn_profile_lap(workspace->profile, MN_PART_VECTORS);
    size_t columns = mn_learner_train_columns(learner);
    float *score = row + learner->size; /* in the order of list_scores */
    *score++ = (float)losses.query;
    if (has_classes(learner))
        *score++ = (float)accuracy(task, workspace->output);
    *score = (float)losses.support_before;
    finish_row(row, columns);
}

void mn_learner_test(mn_workspace *workspace, const float *theta, const mn_task *task, float *row)
{
    const mn_learner *learner = workspace->learner;
    mn_meta_data data = data_of(task);
    size_t columns = mn_learner_test_columns(learner);
    float *score = row; /* in the order of list_scores */
    mn_meta_begin(learner->test, workspace->scratch, theta, &data);
    for (uint32_t i = 0, done = 0; i < learner->test_steps.n; i++) {
        for (; done < learner->test_steps.at[i]; done++)
            (void)mn_meta_step(learner->test, workspace->scratch, theta, &data);
        *score++ = (float)mn_meta_judge(learner->test, workspace->scratch, theta, &data,
                                        workspace->output);
        if (has_classes(learner))
            *score++ = (float)accuracy(task, workspace->output);
    }
    finish_row(row, columns);
}

void mn_learner_explain(mn_workspace *workspace, const float *theta, const mn_task *task,
                        bool training, mn_explanation *out)
{
    const mn_learner *learner = workspace->learner;
    const mn_meta *meta = training ? learner->train : learner->test;
    void *scratch = workspace->scratch;
    mn_meta_data data = data_of(task);
    if (out->meta_gradient != NULL && training)
        (void)mn_meta_gradient(meta, scratch, theta, &data, out->meta_gradient, workspace->output);

    mn_meta_begin(meta, scratch, theta, &data);
    out->query_loss_before = mn_meta_judge(meta, scratch, theta, &data, workspace->output);
    out->support_loss = mn_meta_support(meta, scratch, &data);
    for (uint32_t k = 0; k < learner->rule.steps; k++)
        (void)mn_meta_step(meta, scratch, theta, &data);
    out->query_loss = mn_meta_judge(meta, scratch, theta, &data, workspace->output);
    if (out->query_output != NULL)
        memcpy(out->query_output, workspace->output,
               output_count(&task->shape) * sizeof *out->query_output);
    out->support_loss_after = mn_meta_support(meta, scratch, &data);
    if (out->adapted != NULL) {
        memcpy(out->adapted, theta, learner->size * sizeof *out->adapted); /* the rates stay */
        mn_meta_adapted(meta, scratch, theta, out->adapted);
    }
}

double mn_learner_train_macs(const mn_learner *learner)
{
    double output_macs, macs = mn_network_macs(&learner->network, &output_macs);
    double support = learner->train_shape.n_support, query = learner->train_shape.n_query;
    double steps = learner->rule.steps, order = learner->rule.order;
    double step_units = order == 2 ? 9.0 : 3.0;
    switch (learner->rule.kind) {
    case MN_META_ANIL: /* the body, whatever the steps: forward for both, backward for the query
                          and, if it counts, the support; the inner loop is the head's alone */
        return (macs - output_macs) * (3.0 * query + (order == 2 ? 3.0 : 1.0) * support) +
               output_macs * (steps * step_units * support + 3.0 * query);
    case MN_META_REPTILE:
        return macs * (3.0 * steps * support + query);
    case MN_META_MAML:
    case MN_META_META_SGD:
        break;
    }
    return macs * (steps * step_units * support + 3.0 * query);
}

/* Made-up tasks: what matters is that every kernel runs on the experiment's own shapes. */
static void make_up(mn_task *task)
{
    mn_random random = mn_random_stream(SELF_TEST_SEED, MN_RANDOM_SELF_TEST, 1);
    const mn_task_shape *shape = &task->shape;
    size_t x = (size_t)shape->height * shape->width * shape->channels;
    for (size_t i = 0; i < shape->n_support * x; i++)
        task->support_x[i] = (float)mn_random_unit(&random);
    for (size_t i = 0; i < shape->n_query * x; i++)
        task->query_x[i] = (float)mn_random_unit(&random);
    for (int set = 0; set < 2; set++) {
        float *y = set == 0 ? task->support_y : task->query_y;
        uint32_t n = set == 0 ? shape->n_support : shape->n_query;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < shape->y_size; k++)
                y[(size_t)i * shape->y_size + k] = shape->target == MN_TARGET_CLASSES
                                                       ? (float)(i % shape->y_size == k)
                                                       : (float)mn_random_unit(&random);
    }
}

mn_status mn_learner_numeric_class(const mn_learner *learner, mn_digest *out, mn_error *err)
{
    mn_task *train_task = NULL, *test_task = NULL;
    mn_workspace *workspace = NULL;
    size_t train_columns = mn_learner_train_columns(learner);
    size_t test_columns = mn_learner_test_columns(learner);
    float *theta = calloc(learner->size, sizeof *theta);
    float *train_row = calloc(train_columns, sizeof *train_row);
    float *test_row = calloc(test_columns, sizeof *test_row);
    mn_status status = MN_OK;
    if (theta == NULL || train_row == NULL || test_row == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "numeric self-test");
    if (status == MN_OK)
        status = mn_workspace_new(learner, &workspace, err);
    if (status == MN_OK)
        status = mn_task_new(&learner->train_shape, &train_task, err);
    if (status == MN_OK)
        status = mn_task_new(&learner->test_shape, &test_task, err);
    if (status == MN_OK) {
        make_up(train_task);
        make_up(test_task);
        mn_learner_init_theta(learner, SELF_TEST_SEED, theta);
        mn_learner_train(workspace, theta, train_task, train_row);
        mn_learner_test(workspace, theta, test_task, test_row);

        mn_hasher hasher;
        mn_hasher_init(&hasher);
        mn_hasher_add(&hasher, learner->kernels->name, strlen(learner->kernels->name) + 1);
        mn_hasher_add(&hasher, theta, learner->size * sizeof *theta);
        mn_hasher_add(&hasher, train_row, train_columns * sizeof *train_row);
        mn_hasher_add(&hasher, test_row, test_columns * sizeof *test_row);
        *out = mn_hasher_finish(&hasher);
    }
    mn_task_destroy(&train_task);
    mn_task_destroy(&test_task);
    mn_workspace_destroy(&workspace);
    free(theta);
    free(train_row);
    free(test_row);
    return status;
}

const char *mn_learner_kernels(const mn_learner *learner)
{
    return learner->kernels->name;
}

/* With Meta-SGD each tensor comes twice: the second time its rates, "meta_lr.<name>". */
static mn_status list_tensors(mn_learner *learner, mn_error *err)
{
    const mn_parameters *parameters = &learner->network.parameters;
    bool with_rates = learner->size > parameters->size;
    learner->n_tensors = (size_t)parameters->n * (with_rates ? 2 : 1);
    learner->tensors = calloc(learner->n_tensors, sizeof *learner->tensors);
    if (learner->tensors == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "list of tensors");
    for (size_t i = 0; i < learner->n_tensors; i++) {
        learner->tensors[i] = parameters->at[i % parameters->n].tensor;
        if (i >= parameters->n)
            (void)snprintf(learner->tensors[i].name, sizeof learner->tensors[i].name,
                           "meta_lr.%.80s", parameters->at[i - parameters->n].tensor.name);
    }
    return MN_OK;
}

static bool has_classes(const mn_learner *learner)
{
    return learner->train_shape.target == MN_TARGET_CLASSES;
}

/* Training: after adaptation, and on the support set before it. Tests: after each number of steps;
 * thetas are compared after meta.inner_steps, or where that is not measured after most. */
static mn_status list_scores(mn_learner *learner, mn_error *err)
{
    mn_score loss = {.name = "loss", .unit = "squared error"};
    mn_score share = {.name = "accuracy", .is_share = true, .higher_is_better = true};
    bool classes = has_classes(learner);
    if (classes)
        (void)snprintf(loss.unit, sizeof loss.unit, "nats");
    mn_score support = loss;
    (void)snprintf(support.name, sizeof support.name, "support_loss");
    mn_status status = mn_score_list_add(&learner->train_scores, &loss, err);
    if (status == MN_OK && classes)
        status = mn_score_list_add(&learner->train_scores, &share, err);
    if (status == MN_OK)
        status = mn_score_list_add(&learner->train_scores, &support, err);
    learner->train_scores.judged = classes ? 1 : 0;

    (void)snprintf(loss.axis, sizeof loss.axis, "inner_steps");
    (void)snprintf(share.axis, sizeof share.axis, "inner_steps");
    uint32_t chosen = learner->test_steps.n - 1;
    for (uint32_t i = 0; i < learner->test_steps.n && status == MN_OK; i++) {
        (void)snprintf(loss.point, sizeof loss.point, "%u", (unsigned)learner->test_steps.at[i]);
        (void)snprintf(share.point, sizeof share.point, "%s", loss.point);
        if (learner->test_steps.at[i] == learner->rule.steps)
            chosen = i;
        status = mn_score_list_add(&learner->test_scores, &loss, err);
        if (status == MN_OK && classes)
            status = mn_score_list_add(&learner->test_scores, &share, err);
    }
    learner->test_scores.judged = classes ? 2 * chosen + 1 : chosen;
    return status;
}

static size_t output_count(const mn_task_shape *shape)
{
    return (size_t)shape->n_query * shape->y_size;
}

static mn_meta_data data_of(const mn_task *task)
{
    return (mn_meta_data){.support_x = task->support_x,
                          .support_y = task->support_y,
                          .query_x = task->query_x,
                          .query_y = task->query_y};
}

static uint32_t largest(uint32_t n, const float *row)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

/* Share of the query items whose largest output is at their class. */
static double accuracy(const mn_task *task, const float *output)
{
    const mn_task_shape *shape = &task->shape;
    uint32_t right = 0;
    for (uint32_t i = 0; i < shape->n_query; i++) {
        size_t row = (size_t)i * shape->y_size;
        right +=
            largest(shape->y_size, output + row) == largest(shape->y_size, task->query_y + row);
    }
    return (double)right / shape->n_query;
}

/* Taken, or skipped and all else blank. */
static void finish_row(float *row, size_t columns)
{
    row[columns - 2] = 1.0f;
    row[columns - 1] = 0.0f;
    if (mn_exact_accepts(columns, row))
        return;
    memset(row, 0, columns * sizeof *row);
    row[columns - 1] = 1.0f;
}
