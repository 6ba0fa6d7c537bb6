/* adapted_bed.h: for tests of what is adapted: runs that have not trained, a test task of each, and what
 * adapting to its support set says of its query set. */
#pragma once

#include "common/tensor_file.h"
#include "worker/learner/adapted.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_notes.h"
#include "worker/tasks/task_set.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A run that has not trained: theta_0, a test task of it, and the model. */
struct bed {
    mn_experiment experiment;
    mn_task_set *set;
    mn_learner *learner;
    mn_task *task;
    float *theta, *outside;
    size_t n_theta;
    mn_model *model;
};

#define GLYPHS                                                                                     \
    "tasks: {kind: glyphs, way: 3, shot: 2, query: 4, image_size: 12}\n"                           \
    "evaluate: {query: 3}\n"
#define CONV "model: {input: conv4, filters: 6, blocks: 3, "
#define POINTS "tasks: {kind: sinusoid, shot: 6, query: 9}\n"

static const char *const loops[] = {
    GLYPHS CONV "readout: flatten}\nmeta: {kind: maml, inner_steps: 3, inner_lr: 0.2}\n",
    GLYPHS CONV "batch_norm_statistics: support}\nmeta: {kind: maml, inner_steps: 2}\n",
    GLYPHS CONV "batch_norm_statistics: item}\nmeta: {kind: maml, order: 1, inner_steps: 2}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: anil, inner_steps: 4, inner_lr: 0.3}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: maml, adapts: body, inner_steps: 2}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: meta-sgd, inner_steps: 2, inner_lr: 0.3}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: reptile, inner_steps: 3, inner_lr: 0.1}\n",
    GLYPHS CONV "readout: flatten}\nmeta: {kind: maml, head_start: prototypes, inner_steps: 2}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: anil, head_start: prototypes, inner_steps: 2}\n",
    GLYPHS CONV
    "readout: mean}\nmeta: {kind: maml, update: learned, update_units: 3, inner_steps: 3}\n",
    POINTS "meta: {kind: maml, inner_steps: 4, inner_lr: 0.01}\n",
    POINTS "model: {memory: table, slots: 4, slot_size: 5, reasoning: concat-linear, units: 6}\n"
           "meta: {kind: maml, adapts: memory, inner_steps: 2, inner_lr: 0.01}\n",
    "tasks: {kind: generated-stories, sentences: 6, shot: 3, bundle: 5}\n"
    "model: {embedding: 4, hops: 2}\nmeta: {kind: maml, inner_lr: 0.5, inner_steps: 2}\n",
    POINTS "model: {input: identity, memory: context, context: 5, reasoning: concat-mlp, decoder: "
           "[8, 8]}\n"
           "meta: {kind: maml, adapts: memory, inner_steps: 3, inner_lr: 0.1}\n",
    POINTS "meta: {kind: imaml, inner_steps: 6, inner_lr: 0.01}\n",
    GLYPHS CONV
    "readout: mean, batch_norm_by_step: true}\nmeta: {kind: maml, inner_steps: 3, inner_lr: 0.1}\n",
    GLYPHS CONV
    "readout: mean}\nmeta: {kind: maml, update: step-rates, inner_steps: 3, inner_lr: 0.1}\n",
    GLYPHS CONV
    "readout: flatten}\nmeta: {kind: maml, update: curvature, inner_steps: 3, inner_lr: 0.1}\n",
    POINTS "meta: {kind: imaml, adapts: output, inner_steps: 6, inner_lr: 0.01}\n",
};
static const char *const episodes[] = {
    GLYPHS CONV "memory: class-means, output: distance}\nmeta: {kind: episodic}\n",
    GLYPHS CONV "memory: class-means, output: distance, batch_norm_statistics: running}\n"
                "meta: {kind: episodic}\n",
    GLYPHS CONV "memory: support, output: match, batch_norm_statistics: support}\n"
                "meta: {kind: episodic}\n",
    GLYPHS CONV "memory: support, output: match, readout: mean, full_context: true}\n"
                "meta: {kind: episodic}\n",
    POINTS "model: {input: identity, memory: mean, encoder: [8, 8], reasoning: concat-mlp, "
           "decoder: [8], output: gaussian}\nmeta: {kind: episodic}\n",
};
enum { N_LOOPS = sizeof loops / sizeof *loops, N_EPISODES = sizeof episodes / sizeof *episodes };

static inline const char *learner_of(size_t i)
{
    return i < N_LOOPS ? loops[i] : episodes[i - N_LOOPS];
}

static inline struct bed *bed_new(const char *yaml)
{
    struct bed *bed = calloc(1, sizeof *bed);
    mn_error err = {.message = ""};
    assert_non_null(bed);
    mn_experiment_init(&bed->experiment);
    mn_status status = mn_experiment_parse(&bed->experiment, "test", yaml, strlen(yaml), &err);
    if (status == MN_OK)
        status = mn_experiment_check(&bed->experiment, &err);
    if (status == MN_OK)
        status = mn_task_set_open(&bed->experiment, NULL, &bed->set, &err);
    if (status != MN_OK)
        fail_msg("%s: %s", yaml, err.message);
    const mn_fields *train = mn_task_set_fields(bed->set, MN_TRAIN);
    const mn_fields *test = mn_task_set_fields(bed->set, MN_TEST);
    assert_int_equal(mn_learner_new(&bed->experiment, train, test, &bed->learner, &err), MN_OK);
    assert_int_equal(mn_task_new(test, &bed->task, &err), MN_OK);
    mn_task_set_draw(bed->set, MN_TEST, 4, bed->task);
    bed->n_theta = mn_learner_size(bed->learner);
    bed->theta = calloc(bed->n_theta, sizeof *bed->theta);
    bed->outside = calloc(bed->n_theta, sizeof *bed->outside);
    assert_true(bed->theta != NULL && bed->outside != NULL);
    mn_learner_init_theta(bed->learner, 7, bed->theta);
    for (size_t i = 0; i < bed->n_theta; i++) /* nothing is alike that training would part */
        bed->theta[i] += 0.02f * (float)(i * 7919 % 101) / 101;
    mn_learner_export(bed->learner, bed->theta, bed->outside);
    if (mn_model_new(&bed->experiment, train, bed->n_theta, bed->outside, &bed->model, &err) !=
        MN_OK)
        fail_msg("%s: %s", yaml, err.message);
    return bed;
}

static inline void bed_destroy(struct bed *bed)
{
    mn_model_destroy(&bed->model);
    mn_task_destroy(&bed->task);
    mn_learner_destroy(&bed->learner);
    mn_task_set_destroy(&bed->set);
    free(bed->theta);
    free(bed->outside);
    free(bed);
}

static inline size_t n_query(const struct bed *bed)
{
    return mn_fields_find(&bed->task->fields, MN_QUERY, "y")->n;
}

/* The task's own support set as somebody would give it. */
static inline mn_examples examples_of(const struct bed *bed, uint32_t *labels)
{
    const mn_fields *fields = &bed->task->fields;
    const bool classes = fields->target == MN_TARGET_CLASSES;
    mn_examples examples = {.n = fields->at[MN_SUPPORT_X].n, .x = bed->task->at[MN_SUPPORT_X]};
    const float *y = bed->task->at[MN_SUPPORT_Y];
    for (uint32_t i = 0; i < examples.n && classes; i++)
        labels[i] = mn_label_of(fields->y_size, y + (size_t)i * fields->y_size);
    examples.n_classes = classes ? fields->y_size : 0;
    examples.labels = classes ? labels : NULL;
    examples.y = classes ? NULL : y;
    return examples;
}

static inline mn_adapted *adapt(const struct bed *bed, double *losses)
{
    mn_error err = {.message = ""};
    mn_adapted *adapted = NULL;
    uint32_t labels[64];
    const bool few_shot = mn_model_is_few_shot(bed->model);
    mn_examples examples = few_shot ? examples_of(bed, labels) : (mn_examples){0};
    mn_status status = few_shot ? mn_adapted_new(bed->model, &examples, MN_STEPS_AS_TRAINED, losses,
                                                 &adapted, &err)
                                : mn_adapted_new_of_task(bed->model, bed->task, MN_STEPS_AS_TRAINED,
                                                         losses, &adapted, &err);
    if (status != MN_OK)
        fail_msg("%s", err.message);
    return adapted;
}

/* Answers and outputs for the task's query set; owned by the caller. */
static inline float *predict(const struct bed *bed, const mn_adapted *adapted, float **outputs)
{
    mn_error err = {.message = ""};
    const size_t count = n_query(bed) * mn_adapted_columns(adapted);
    float *answers = calloc(count, sizeof *answers);
    *outputs = calloc(count, sizeof **outputs);
    assert_true(answers != NULL && *outputs != NULL);
    mn_status status;
    if (mn_model_is_few_shot(bed->model)) {
        status = mn_adapted_predict(adapted, (uint32_t)n_query(bed), bed->task->at[MN_QUERY_X],
                                    answers, *outputs, &err);
    } else {
        mn_task *task = NULL;
        assert_int_equal(mn_adapted_task(adapted, (uint32_t)n_query(bed), &task, &err), MN_OK);
        for (uint32_t i = 0; i < bed->task->fields.n; i++) {
            const mn_field *field = &bed->task->fields.at[i];
            if (field->role == MN_QUERY)
                memcpy(mn_task_find(task, MN_QUERY, field->name), bed->task->at[i],
                       mn_field_count(field) * sizeof(float));
        }
        status = mn_adapted_predict_task(adapted, task, answers, *outputs, &err);
        mn_task_destroy(&task);
    }
    if (status != MN_OK)
        fail_msg("%s", err.message);
    return answers;
}

/* Five classes with 1, 2, 3, 1 and 4 pictures, each of the one level c / 4 and a little noise. */
static const uint32_t uneven[] = {0, 1, 1, 2, 2, 2, 3, 4, 4, 4, 4};

enum { N_UNEVEN = sizeof uneven / sizeof *uneven, PIXELS = 144 };

static inline float *stripes(void)
{
    float *x = calloc((size_t)N_UNEVEN * PIXELS, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < N_UNEVEN; i++)
        for (size_t p = 0; p < PIXELS; p++)
            x[i * PIXELS + p] = p % (2 + uneven[i]) == 0 ? 1.0f : 0.02f * (float)((p + 3 * i) % 5);
    return x;
}

/* A checkpoint of theta times `sign`, with what its tasks tell of themselves. */
static inline void write_run(const struct bed *bed, const char *path, const char *prefix,
                             float sign)
{
    char *experiment = NULL;
    mn_error err = {.message = ""};
    const size_t n = mn_learner_tensors(bed->learner);
    mn_tensor *tensors = calloc(n, sizeof *tensors);
    float *theta = calloc(bed->n_theta, sizeof *theta);
    assert_true(tensors != NULL && theta != NULL);
    const float *at = theta;
    for (size_t i = 0; i < bed->n_theta; i++)
        theta[i] = sign * bed->outside[i];
    for (size_t i = 0; i < n; i++) {
        tensors[i] = *mn_learner_tensor(bed->learner, i);
        char name[sizeof tensors[i].name];
        (void)snprintf(name, sizeof name, "%s%s", prefix, mn_learner_tensor(bed->learner, i)->name);
        memcpy(tensors[i].name, name, sizeof name);
        tensors[i].data = at;
        at += mn_tensor_count(&tensors[i]);
    }
    assert_int_equal(mn_experiment_print(&bed->experiment, false, &experiment, &err), MN_OK);
    mn_text_pair pairs[2 + MN_MOST_TASK_NOTES] = {{"experiment", experiment}, {"step", "12"}};
    mn_task_notes notes = {0};
    if (bed->set != NULL)
        assert_int_equal(mn_task_notes_new(bed->set, &notes, &err), MN_OK);
    memcpy(pairs + 2, notes.at, notes.n * sizeof *pairs);
    assert_int_equal(mn_tensor_file_write(path, n, tensors, 2 + notes.n, pairs, &err), MN_OK);
    mn_task_notes_fini(&notes);
    free(experiment);
    free(tensors);
    free(theta);
}
