/* model.h: what a run has learned, apart from any training: its experiment, what its tasks are made
 * of, and theta. Read-only once it is there, so any number of threads may share one; no global
 * state. Reading one takes no more than a checkpoint: neither the training data nor the run. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "worker/data/words.h"
#include "worker/tasks/task.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_model mn_model;

/* Read a checkpoint: a file RUN/checkpoints/step-*.safetensors, or the folder RUN, of which the
 * newest whole one is taken. Theta is the one that `mnemo evaluate` tests: the best on validation if
 * there is one and evaluate.keep_best is set, else the average of theta if outer.average asked for
 * one, else the last. sets [n_sets]: other values than those
 * of training, as "meta.inner_lr=0.1". The caller owns *out.
 *   MN_ERR_NO_INPUT  nothing is there, or no checkpoint yet
 *   MN_ERR_DATA      damaged; no checkpoint of a run; tensors that are not those of its experiment
 *   MN_ERR_CONFIG    a bad override, or one that would give the network other tensors; tasks of which
 *                    the file does not tell enough (task_notes.h), as an older mnemo wrote it */
mn_status mn_model_read(const char *path, size_t n_sets, const char *const *sets, mn_model **out,
                        mn_error *err);

/* The same from its parts, which are copied. fields: those of a task of this experiment, of any
 * extent that gives the network these tensors. theta: PyTorch's layout, n floats. MN_ERR_CONFIG: the
 * network cannot be built for them; MN_ERR_DATA: theta is of another size. */
mn_status mn_model_new(const mn_experiment *experiment, const mn_fields *fields, size_t n,
                       const float *theta, mn_model **out, mn_error *err);

void mn_model_destroy(mn_model **model); /* takes NULL */

/* What follows is lent for the model's life. */
const mn_experiment *mn_model_experiment(const mn_model *model);
uint64_t mn_model_step(const mn_model *model); /* meta-steps of training; 0: not told */

/* What the run's tasks tell beside their fields (task_notes.h); NULL: nothing of this name. */
const char *mn_model_note(const mn_model *model, const char *key);

/* What rows say they are of (tasks.id_column), by number; NULL: items have no ids. */
const mn_words *mn_model_ids(const mn_model *model);

/* Theta in the engine's layout, as a learner of the same experiment and fields takes it. */
const float *mn_model_theta(const mn_model *model);

/* Fields of a task as in training; a user's own task has as many items as it likes. */
const mn_fields *mn_model_fields(const mn_model *model);
/* Are items arrays x with labels or values y (pictures, points), in a support and a query set? */
bool mn_model_is_few_shot(const mn_model *model);
/* Are they items x in a row, each told the label of the one before (memory-augmented networks)? Then
 * examples are shown one after the other, and what is to be judged comes last. */
bool mn_model_is_sequence(const mn_model *model);
/* Can it be given examples x with labels or values? Not stories; nor sequences whose labels are letters. */
bool mn_model_takes_examples(const mn_model *model);
/* One item of x. item[3]: height, width, channels. Pictures are floats of 0 (paper) to 1
 * (ink, or light of a colour), row by row, channels last. */
void mn_model_item(const mn_model *model, uint32_t item[3]);
/* Classes of a training task, or numbers of one value of y. */
uint32_t mn_model_way(const mn_model *model);
/* May a task have another number of classes? Not where theta has a row for each, as MAML's head. */
bool mn_model_any_way(const mn_model *model);
/* Numbers of the answer to one item, of a task with so many classes: a probability of each; or the
 * values, and behind them, where the network tells them, their standard deviations. */
uint32_t mn_model_columns(const mn_model *model, uint32_t way);

/* Does it adapt by steps of gradient? Then: how many it was trained with. 0: the support set itself
 * is what it goes by. */
bool mn_model_has_steps(const mn_model *model);
uint32_t mn_model_steps(const mn_model *model);

/* Is a query item judged by the batch statistics of all that are judged with it (transductive)? Then
 * an answer depends on the company. The remark says how batch norm is done; NULL: there is none. */
bool mn_model_judges_together(const mn_model *model);
const char *mn_model_remark(const mn_model *model);
