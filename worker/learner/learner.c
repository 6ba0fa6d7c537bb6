#include "worker/learner/learner.h"

#include "common/exact_sum.h"
#include "common/random.h"
#include "worker/learner/parts/batch_norm.h"
#include "worker/learner/rules/rule.h"
#include "worker/learner/scores.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SELF_TEST_SEED 20161u

struct mn_learner {
    mn_experiment experiment;
    mn_network network;
    mn_fields train_fields, test_fields;
    mn_uint_list test_steps; /* ascending; a rule without steps has the one entry 0 */
    mn_score_list train_scores, test_scores;
    const mn_kernels *kernels;
    mn_rule *train, *test; /* compiled for the two extents; owned. External: NULL */
    float *start;          /* [size] external: theta of step 0; owned. Else NULL */
    size_t size;           /* outer parameters */
};

struct mn_workspace {
    const mn_learner *learner;
    void *scratch;           /* 64-byte aligned; owned */
    float *output;           /* [query items, columns] of the larger extent; owned */
    float *judged;           /* the same, of the judgement that counts; owned */
    mn_profile *profile;     /* NULL: none */
    const atomic_bool *stop; /* lent; NULL: none */
};

static mn_status compile(mn_learner *learner, mn_error *err);
static mn_status check_stream(const mn_learner *learner, mn_error *err);
static mn_status list_scores(mn_learner *learner, mn_error *err);
static mn_status take_card(mn_learner *learner, const mn_learner_card *card, mn_error *err);
static mn_status check_memory(const mn_learner *learner, mn_error *err);
static void tell_set_loss(const mn_learner *learner, const float *theta, const mn_task *task,
                          double loss, float *row);
static size_t output_count(const mn_learner *learner, const mn_fields *fields);
static void finish_row(const mn_workspace *workspace, float *row, size_t columns);

mn_status mn_learner_new(const mn_experiment *experiment, const mn_fields *train,
                         const mn_fields *test, mn_learner **out, mn_error *err)
{
    mn_learner *learner = calloc(1, sizeof *learner);
    if (learner == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "learner");
    learner->experiment = *experiment;
    learner->train_fields = *train;
    learner->test_fields = *test;
    learner->kernels = mn_kernels_choose();
    mn_status status =
        learner->kernels != NULL
            ? MN_OK
            : mn_fail(err, MN_ERR_UNAVAILABLE,
                      "MNEMO_KERNELS=%s: this machine or build has no such kernels; unset it",
                      getenv("MNEMO_KERNELS"));
    if (status == MN_OK)
        status = mn_network_init(&learner->network, &learner->experiment, train, err);
    if (status == MN_OK)
        status = mn_network_fits(&learner->network, test, err);
    if (status == MN_OK)
        status = mn_rule_declare(&learner->network, err);
    if (status == MN_OK)
        status = compile(learner, err);
    if (status == MN_OK)
        status = list_scores(learner, err);
    if (status == MN_OK)
        status = check_memory(learner, err);
    if (status != MN_OK) {
        mn_learner_destroy(&learner);
        return status;
    }
    *out = learner;
    return MN_OK;
}

mn_status mn_learner_new_external(const mn_experiment *experiment, const mn_learner_card *card,
                                  mn_learner **out, mn_error *err)
{
    mn_learner *learner = calloc(1, sizeof *learner);
    if (learner == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "learner");
    learner->experiment = *experiment;
    mn_status status = take_card(learner, card, err);
    if (status == MN_OK)
        status = check_memory(learner, err);
    if (status != MN_OK) {
        mn_learner_destroy(&learner);
        return status;
    }
    *out = learner;
    return MN_OK;
}

bool mn_learner_is_external(const mn_learner *learner)
{
    return learner->start != NULL;
}

/* Numbers lie inside as they do outside. */
static mn_status take_card(mn_learner *learner, const mn_learner_card *card, mn_error *err)
{
    static_assert(MN_CARD_MAX_TENSORS <= MN_MAX_PARAMETERS, "theta has room for any card");
    mn_parameters *parameters = &learner->network.parameters;
    for (uint32_t i = 0; i < card->n_tensors; i++) {
        const size_t count = (size_t)mn_tensor_count(&card->tensors[i]);
        parameters->at[i] = (mn_parameter){.tensor = card->tensors[i],
                                           .layout = MN_LAYOUT_PLAIN,
                                           .inside = {1, 1, 1, (uint32_t)count},
                                           .image_pixels = 1,
                                           .offset = parameters->size,
                                           .count = count};
        parameters->size += count;
    }
    parameters->n = card->n_tensors;
    learner->size = parameters->size;
    learner->start = malloc(learner->size * sizeof *learner->start);
    if (learner->start == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "theta of %zu numbers", learner->size);
    memcpy(learner->start, card->start, learner->size * sizeof *learner->start);
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < card->scores.n && status == MN_OK; i++) {
        status = mn_score_list_add(&learner->train_scores, &card->scores.at[i], err);
        if (status == MN_OK)
            status = mn_score_list_add(&learner->test_scores, &card->scores.at[i], err);
    }
    return status;
}

static mn_status compile(mn_learner *learner, mn_error *err)
{
    const mn_experiment *experiment = &learner->experiment;
    mn_rule_order order = {.network = &learner->network,
                           .fields = &learner->train_fields,
                           .kernels = learner->kernels,
                           .differentiate = true,
                           .keep_bytes = (size_t)experiment->pool.activation_mib << 20};
    learner->size = learner->network.parameters.size;
    mn_status status = mn_rule_new(&order, &learner->train, err);
    order.fields = &learner->test_fields;
    order.differentiate = false;
    if (status == MN_OK)
        status = mn_rule_new(&order, &learner->test, err);
    if (status != MN_OK)
        return status;
    learner->test_steps = experiment->evaluate.inner_steps;
    if (!mn_rule_has_steps(learner->test))
        learner->test_steps = (mn_uint_list){.n = 1, .at = {0}};
    else if (learner->test_steps.n == 0)
        learner->test_steps = (mn_uint_list){.n = 1, .at = {mn_rule_steps(learner->test)}};
    return check_stream(learner, err);
}

/* Support items of a stream that the learner has read after so many steps; else all count as read. */
static uint32_t items_read(const mn_learner *learner, uint32_t steps)
{
    const uint32_t step_items = mn_rule_step_items(&learner->experiment);
    return step_items > 0 ? steps * step_items : UINT32_MAX;
}

/* A stream ends; so must the steps. */
static mn_status check_stream(const mn_learner *learner, mn_error *err)
{
    const uint32_t last = learner->test_steps.at[learner->test_steps.n - 1];
    if (items_read(learner, 1) == UINT32_MAX || last <= mn_rule_steps(learner->test))
        return MN_OK;
    return mn_fail(err, MN_ERR_CONFIG,
                   "evaluate.inner_steps asks for %u steps, but a test stream is read in %u "
                   "(meta.step_items %u at a time): leave out what is beyond",
                   (unsigned)last, (unsigned)mn_rule_steps(learner->test),
                   (unsigned)learner->experiment.meta.step_items);
}

static mn_status list_scores(mn_learner *learner, mn_error *err)
{
    const bool has_steps = mn_rule_has_steps(learner->test);
    mn_status status = mn_scores_list_train(&learner->train_fields,
                                            mn_learner_columns(learner, &learner->train_fields),
                                            has_steps, &learner->train_scores, err);
    const mn_score *more = NULL;
    const uint32_t n_more = mn_rule_scores(learner->train, &more);
    for (uint32_t i = 0; i < n_more && status == MN_OK; i++)
        status = mn_score_list_add(&learner->train_scores, &more[i], err);
    if (status == MN_OK)
        status = mn_scores_list_test(
            &learner->test_fields, mn_learner_columns(learner, &learner->test_fields), has_steps,
            &learner->test_steps, mn_rule_steps(learner->test), &learner->test_scores, err);
    const char *remark = mn_batch_norm_remark(&learner->experiment);
    if (remark != NULL)
        (void)snprintf(learner->test_scores.remark, sizeof learner->test_scores.remark, "%s",
                       remark);
    return status;
}

void mn_learner_destroy(mn_learner **learner)
{
    if (*learner == NULL)
        return;
    mn_rule_destroy(&(*learner)->train);
    mn_rule_destroy(&(*learner)->test);
    mn_score_list_fini(&(*learner)->train_scores);
    mn_score_list_fini(&(*learner)->test_scores);
    free((*learner)->start);
    free(*learner);
    *learner = NULL;
}

size_t mn_learner_size(const mn_learner *learner)
{
    return learner->size;
}

void mn_learner_init_theta(const mn_learner *learner, uint64_t seed, float *theta)
{
    if (mn_learner_is_external(learner)) {
        memcpy(theta, learner->start, learner->size * sizeof *theta);
        return;
    }
    mn_parameters_start(&learner->network.parameters, learner->experiment.model.init, seed, theta);
}

size_t mn_learner_tensors(const mn_learner *learner)
{
    return learner->network.parameters.n;
}

const mn_tensor *mn_learner_tensor(const mn_learner *learner, size_t i)
{
    return &learner->network.parameters.at[i].tensor;
}

bool mn_learner_is_statistic(const mn_learner *learner, size_t i)
{
    return learner->network.parameters.at[i].is_statistic;
}

double mn_learner_statistic_share(const mn_learner *learner, size_t i)
{
    return learner->network.parameters.at[i].share;
}

const float *mn_learner_set_losses(const mn_learner *learner, const float *theta)
{
    const uint32_t n = learner->network.set_losses;
    return n > 0 ? theta + learner->size - n : NULL;
}

void mn_learner_export(const mn_learner *learner, const float *inside, float *outside)
{
    mn_parameters_export(&learner->network.parameters, inside, outside);
}

void mn_learner_import(const mn_learner *learner, const float *outside, float *inside)
{
    mn_parameters_import(&learner->network.parameters, outside, inside);
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
    size_t train = mn_rule_scratch_bytes(learner->train),
           test = mn_rule_scratch_bytes(learner->test);
    return train > test ? train : test;
}

static size_t output_floats(const mn_learner *learner)
{
    size_t train = output_count(learner, &learner->train_fields),
           test = output_count(learner, &learner->test_fields);
    return train > test ? train : test;
}

size_t mn_learner_workspace_bytes(const mn_learner *learner)
{
    if (mn_learner_is_external(learner))
        return 0;
    return sizeof(mn_workspace) + scratch_bytes(learner) +
           2 * output_floats(learner) * sizeof(float);
}

/* All sizes are known by now, and none of it has been asked for: what cannot be had is told before
 * minutes are spent on drawing a theta that goes nowhere. The least that a worker needs: theta, a
 * row, and its exact sum of two whole numbers of 64 bits a parameter. */
static mn_status check_memory(const mn_learner *learner, mn_error *err)
{
    const double of_theta = (double)learner->size * (2 * sizeof(float) + 2 * sizeof(int64_t));
    const double workspace = (double)mn_learner_workspace_bytes(learner);
    const double here = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (here <= 0 || workspace + of_theta <= here) /* unknown, or enough */
        return MN_OK;
    return mn_fail(
        err, MN_ERR_NOMEM,
        "%.0f MiB for a thread's workspace and %.0f MiB for %zu parameters and their sum, "
        "but this machine has %.0f MiB: use a smaller network or smaller tasks",
        workspace / 0x1p20, of_theta / 0x1p20, learner->size, here / 0x1p20);
}

mn_status mn_workspace_new(const mn_learner *learner, mn_workspace **out, mn_error *err)
{
    assert(!mn_learner_is_external(learner));
    mn_workspace *workspace = calloc(1, sizeof *workspace);
    if (workspace != NULL) {
        workspace->learner = learner;
        workspace->scratch = aligned_alloc(64, scratch_bytes(learner));
        workspace->output = malloc(output_floats(learner) * sizeof *workspace->output);
        workspace->judged = malloc(output_floats(learner) * sizeof *workspace->judged);
    }
    if (workspace == NULL || workspace->scratch == NULL || workspace->output == NULL ||
        workspace->judged == NULL) {
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
    free((*workspace)->judged);
    free(*workspace);
    *workspace = NULL;
}

mn_status mn_learner_profile(const mn_learner *learner, mn_profile **out, mn_error *err)
{
    mn_profile *profile = NULL;
    mn_status status = mn_profile_new(&profile, err);
    if (status == MN_OK)
        status = mn_rule_profile(learner->train, profile, err);
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

void mn_workspace_heed(mn_workspace *workspace, const atomic_bool *stop)
{
    workspace->stop = stop;
}

uint32_t mn_learner_columns(const mn_learner *learner, const mn_fields *fields)
{
    return mn_network_columns(&learner->network, fields);
}

size_t mn_learner_train_columns(const mn_learner *learner)
{
    return learner->size + learner->train_scores.n + 2;
}

size_t mn_learner_test_columns(const mn_learner *learner)
{
    return 2 * (size_t)learner->test_scores.n + 2;
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
    const mn_rule_data data = {.task = task->block,
                               .meta_step = task->index / learner->experiment.outer.batch,
                               .profile = workspace->profile};
    mn_plan_heed(workspace->stop);
    mn_rule_losses losses =
        mn_rule_gradient(learner->train, workspace->scratch, theta, &data, row, workspace->output);
    mn_profile_lap(workspace->profile, MN_PART_VECTORS);
    tell_set_loss(learner, theta, task, losses.query, row);
    float *score = row + learner->size; /* in the order of list_scores() */
    *score++ = (float)losses.query;
    if (task->fields.target == MN_TARGET_CLASSES)
        *score++ = (float)mn_scores_accuracy(task, workspace->output);
    else if (mn_learner_columns(learner, &task->fields) > task->fields.y_size)
        *score++ = (float)mn_scores_squared_error(task, mn_learner_columns(learner, &task->fields),
                                                  workspace->output);
    if (mn_rule_has_steps(learner->train))
        *score++ = (float)losses.support_before;
    const mn_score *more = NULL;
    const uint32_t n_more = mn_rule_scores(learner->train, &more);
    for (uint32_t i = 0; i < n_more; i++)
        *score++ = (float)losses.more[i];
    finish_row(workspace, row, mn_learner_train_columns(learner));
}

/* What the running loss of the task's set lacks to the task's; the other sets' stand. So a mean over
 * tasks moves each by the share of tasks that are its own. */
static void tell_set_loss(const mn_learner *learner, const float *theta, const mn_task *task,
                          double loss, float *row)
{
    const uint32_t n = learner->network.set_losses;
    const float *running = mn_learner_set_losses(learner, theta);
    const float *point = mn_task_find(task, MN_QUERY, "point");
    if (running == NULL || point == NULL || !(point[0] >= 0 && point[0] < (float)n))
        return;
    const uint32_t set = (uint32_t)point[0];
    row[learner->size - n + set] = running[set] - (float)loss;
}

void mn_learner_test(mn_workspace *workspace, const float *theta, const mn_task *task, float *row)
{
    const mn_learner *learner = workspace->learner;
    const mn_rule *rule = learner->test;
    const mn_rule_data data = {.task = task->block};
    const uint32_t judged = learner->test_scores.judged;
    float *value = row, *weight = row + learner->test_scores.n; /* as mn_scores_list_test */
    mn_plan_heed(workspace->stop);
    mn_rule_begin(rule, workspace->scratch, theta, &data);
    for (uint32_t i = 0, done = 0; i < learner->test_steps.n; i++) {
        for (; done < learner->test_steps.at[i]; done++)
            (void)mn_rule_step(rule, workspace->scratch, theta, &data);
        const ptrdiff_t first = value - row;
        double loss = mn_rule_judge(rule, workspace->scratch, theta, &data, workspace->output);
        mn_scores_put(task, mn_learner_columns(learner, &task->fields), loss, workspace->output,
                      items_read(learner, done), &value, &weight);
        if (first <= judged && judged < value - row)
            memcpy(workspace->judged, workspace->output,
                   output_floats(learner) * sizeof *workspace->judged);
    }
    mn_scores_put_points(task, mn_learner_columns(learner, &task->fields), workspace->judged,
                         &value, &weight);
    finish_row(workspace, row, mn_learner_test_columns(learner));
}

void mn_learner_explain(mn_workspace *workspace, const float *theta, const mn_task *task,
                        bool training, mn_explanation *out)
{
    const mn_learner *learner = workspace->learner;
    const mn_rule *rule = training ? learner->train : learner->test;
    void *scratch = workspace->scratch;
    const mn_rule_data data = {.task = task->block,
                               .meta_step = task->index / learner->experiment.outer.batch};
    if (out->meta_gradient != NULL && training)
        (void)mn_rule_gradient(rule, scratch, theta, &data, out->meta_gradient, workspace->output);

    mn_rule_begin(rule, scratch, theta, &data);
    out->query_loss_before = mn_rule_judge(rule, scratch, theta, &data, workspace->output);
    out->support_loss = mn_rule_support(rule, scratch, theta, &data);
    out->steps = mn_rule_steps(rule);
    for (uint32_t k = 0; k < out->steps; k++)
        (void)mn_rule_step(rule, scratch, theta, &data);
    out->query_loss = mn_rule_judge(rule, scratch, theta, &data, workspace->output);
    if (out->query_output != NULL)
        memcpy(out->query_output, workspace->output,
               output_count(learner, &task->fields) * sizeof *out->query_output);
    out->support_loss_after = mn_rule_support(rule, scratch, theta, &data);
    if (out->adapted != NULL)
        mn_rule_adapted(rule, scratch, theta, out->adapted);
}

mn_status mn_learner_show(const mn_learner *learner, const mn_fields *fields, mn_shown **out,
                          mn_error *err)
{
    mn_status status = mn_network_fits(&learner->network, fields, err);
    return status == MN_OK ? mn_shown_new(&learner->network, fields, learner->kernels, out, err)
                           : status;
}

double mn_learner_train_macs(const mn_learner *learner)
{
    return mn_rule_macs(learner->train);
}

/* Made-up tasks: what matters is that every kernel runs on the experiment's own shapes. */
static void make_up(mn_task *task)
{
    mn_random random = mn_random_stream(SELF_TEST_SEED, MN_RANDOM_SELF_TEST, 1);
    const mn_fields *fields = &task->fields;
    for (uint32_t i = 0; i < fields->n; i++) {
        const mn_field *field = &fields->at[i];
        const size_t n = mn_field_count(field);
        const size_t c = fields->y_size / fields->symbols;
        const bool one_hot = fields->target == MN_TARGET_CLASSES && strcmp(field->name, "y") == 0;
        for (size_t k = 0; k < n; k++)
            task->at[i][k] = one_hot                        ? (float)(k / c % c == k % c)
                             : field->type == MN_FIELD_IDS  ? (float)mn_random_below(&random, 16)
                             : field->type == MN_FIELD_MASK ? 1.0f
                                                            : (float)mn_random_unit(&random);
    }
}

mn_status mn_learner_numeric_class(const mn_learner *learner, mn_digest *out, mn_error *err)
{
    if (mn_learner_is_external(learner)) {
        *out = (mn_digest){{0}};
        return MN_OK;
    }
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
        status = mn_task_new(&learner->train_fields, &train_task, err);
    if (status == MN_OK)
        status = mn_task_new(&learner->test_fields, &test_task, err);
    if (status == MN_OK) {
        make_up(train_task);
        make_up(test_task);
        mn_learner_init_theta(learner, SELF_TEST_SEED, theta);
        mn_learner_train(workspace, theta, train_task, train_row);
        mn_learner_test(workspace, theta, test_task, test_row);

        mn_hasher hasher;
        mn_hasher_init(&hasher);
        mn_hasher_add(&hasher, learner->kernels->arithmetic,
                      strlen(learner->kernels->arithmetic) + 1);
        mn_hasher_add(&hasher, theta, learner->size * sizeof *theta);
        mn_hasher_add(&hasher, train_row, train_columns * sizeof *train_row);
        mn_hasher_add(&hasher, test_row, test_columns * sizeof *test_row);
        char outside[512];
        mn_experiment_outside(&learner->experiment, outside);
        mn_hasher_add(&hasher, outside, strlen(outside)); /* the digests of plug-ins */
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
    return mn_learner_is_external(learner) ? "external" : learner->kernels->name;
}

static size_t output_count(const mn_learner *learner, const mn_fields *fields)
{
    const mn_field *y = mn_fields_find(fields, MN_QUERY, "y");
    return y == NULL ? 0 : (size_t)y->n * mn_network_columns(&learner->network, fields);
}

/* Taken, or skipped and all else blank. */
static void finish_row(const mn_workspace *workspace, float *row, size_t columns)
{
    row[columns - 2] = 1.0f;
    row[columns - 1] = 0.0f;
    mn_plan_heed(NULL);
    const bool given_up = workspace->stop != NULL && atomic_load(workspace->stop);
    if (!given_up && mn_exact_accepts(columns, row))
        return;
    memset(row, 0, columns * sizeof *row);
    row[columns - 1] = 1.0f;
}
