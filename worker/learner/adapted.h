/* adapted.h: a model adapted to the few examples of a task of one's own, and what it then says of
 * new items: the second phase of meta-learning, theta -> theta' (meta-testing in Finn et al. 2017,
 * Algorithm 1, lines 5 and 6). It computes what a test task computes, bit by bit, compiled for the shape at
 * hand: any number of classes that the network's output allows, and unequal numbers of examples.
 *
 * An adapted model is read-only once it is there and needs its model no more. Any number of threads
 * may adapt the same model and ask the same adapted model at the same time; each call takes memory
 * of its own and gives it back. No global state, no printing, no file but the one it is told to
 * write or read. Errors are values. */
#pragma once

#include "common/error.h"
#include "common/tensor_file.h"
#include "worker/learner/model.h"
#include "worker/tasks/task.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_adapted mn_adapted;

/* Examples with their answers, of a model that mn_model_is_few_shot. All is lent for the call. */
typedef struct mn_examples {
    uint32_t n;               /* > 0 */
    const float *x;           /* [n, item], as mn_model_item says; finite */
    uint32_t n_classes;       /* of a model that names classes; else 0 */
    const uint32_t *labels;   /* [n] below n_classes, each class at least once; else NULL */
    const float *y;           /* of a model that gives values: [n, mn_model_way]; else NULL */
    const char *const *names; /* [n_classes] of the classes, to be kept; NULL: "0", "1", ... */
    const uint32_t *ids;      /* [n] of a model that has mn_model_ids: what each is of; NULL: 0 */
} mn_examples;

#define MN_STEPS_AS_TRAINED UINT32_MAX
#define MN_MOST_STEPS 100000u

/* Adapt to examples by `steps` inner steps (a model without steps takes MN_STEPS_AS_TRAINED or 0).
 *   losses  NULL, or [steps as they come out + 1]: the support loss before each step and after the
 *           last; a model without steps writes nothing
 * The caller owns *out.
 *   MN_ERR_DATA     examples that are none: one class only, a class without any, a number that is
 *                   not finite
 *   MN_ERR_CONFIG   this model does not take such a task: another number of classes than its head
 *                   has, more than fits into memory; says what it takes and what to do
 *   MN_ERR_NUMERIC  a loss was not finite: which step */
mn_status mn_adapted_new(const mn_model *model, const mn_examples *examples, uint32_t steps,
                         double *losses, mn_adapted **out, mn_error *err);

/* The same for tasks of any fields, as stories: mn_model_task makes one, all zero, of so many support
 * and query items and classes (way 0: as trained); the caller fills it and destroys it. The task's
 * support set is what is adapted to. */
mn_status mn_model_task(const mn_model *model, uint32_t way, uint32_t n_support, uint32_t n_query,
                        mn_task **out, mn_error *err);
mn_status mn_adapted_new_of_task(const mn_model *model, const mn_task *task, uint32_t steps,
                                 double *losses, mn_adapted **out, mn_error *err);

/* Name the classes of one that was adapted to a task: names [way], of the words of stories too; before
 * it is shared. MN_ERR_DATA: a name that cannot be written down. */
mn_status mn_adapted_name_classes(mn_adapted *adapted, const char *const *names, mn_error *err);

void mn_adapted_destroy(mn_adapted **adapted); /* takes NULL */

/* A model's properties, of one adapted to a task of `classes` classes (0: it answers with values);
 * lent. */
const mn_model *mn_adapted_model(const mn_adapted *adapted);
uint32_t mn_adapted_classes(const mn_adapted *adapted);
const char *mn_adapted_class_name(const mn_adapted *adapted, uint32_t i);
uint32_t mn_adapted_columns(const mn_adapted *adapted); /* numbers of an answer */
uint32_t mn_adapted_steps(const mn_adapted *adapted);   /* inner steps taken */
uint32_t mn_adapted_support(const mn_adapted *adapted); /* examples it was adapted to */

/* Floats of theta', and theta' itself in PyTorch's layout, tensor after tensor as in a checkpoint. */
size_t mn_adapted_size(const mn_adapted *adapted);
void mn_adapted_theta(const mn_adapted *adapted, float *out);

/* What it says of n items x [n, item]: answers [n, mn_adapted_columns], probabilities or values with
 * deviations; outputs (or NULL) [n, columns]: the network's own numbers, as logits, of the same shape.
 * Where items are judged together (mn_model_judges_together) all n are, else each alone and n may be
 * as large as you like. MN_ERR_DATA: a number that is not finite; MN_ERR_CONFIG: more than fits into
 * memory at once; MN_ERR_NUMERIC: an answer that is not finite. */
mn_status mn_adapted_predict(const mn_adapted *adapted, uint32_t n, const float *x, float *answers,
                             float *outputs, mn_error *err);

/* The same of items that have ids [n], of a model that has mn_model_ids; NULL: each is 0. MN_ERR_DATA: one
 * that is none. */
mn_status mn_adapted_predict_ids(const mn_adapted *adapted, uint32_t n, const float *x,
                                 const uint32_t *ids, float *answers, float *outputs,
                                 mn_error *err);

/* The same for the query items of a task of mn_adapted_task, as stories. */
mn_status mn_adapted_task(const mn_adapted *adapted, uint32_t n_query, mn_task **out,
                          mn_error *err);
mn_status mn_adapted_predict_task(const mn_adapted *adapted, const mn_task *task, float *answers,
                                  float *outputs, mn_error *err);

/* What a model says of the query items of a task of mn_model_task once it has adapted to its support set, if it has
 * one, by as many steps as in training: answers [n query items, mn_model_columns], probabilities. For who asks once. */
mn_status mn_model_answer(const mn_model *model, const mn_task *task, float *answers,
                          mn_error *err);

/* One safetensors file that predictions need nothing beside: theta' by PyTorch's names and layouts (a
 * head that adapting made is head.weight, head.bias), the support set (support.*) where the learner
 * looks at it when it predicts, and as metadata the experiment, the fields, the classes' names, the
 * steps. Written whole or not at all. `more` [n_more]: metadata of the caller's own. */
mn_status mn_adapted_write(const mn_adapted *adapted, const char *path, size_t n_more,
                           const mn_text_pair *more, mn_error *err);
/* Nothing in the file is trusted. MN_ERR_NO_INPUT: it is not there; MN_ERR_DATA: damaged, or no
 * adapted model; says what is missing or odd. */
mn_status mn_adapted_read(const char *path, mn_adapted **out, mn_error *err);
/* Metadata of the caller's own, of one that was read; NULL: there is none of this key. Lent. */
const char *mn_adapted_note(const mn_adapted *adapted, const char *key);
