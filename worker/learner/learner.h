/* learner.h: a model plus an adaptation rule. Given theta and a task it returns the query loss,
 * metrics and the meta-gradient. A learner is compiled once from the experiment (all memory
 * planned, nothing allocated per task), read-only, and shared by all threads; each thread has its
 * own workspace. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "common/experiment.h"
#include "common/learner_card.h"
#include "common/score.h"
#include "common/tensor_file.h"
#include "worker/engine/profile.h"
#include "worker/learner/shown.h"
#include "worker/tasks/task_set.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_learner mn_learner;
typedef struct mn_workspace mn_workspace;

/* `train` and `test` are the fields of training tasks and of validation and test tasks. The
 * experiment is copied. MN_ERR_NOMEM: also a learner for which this machine has not enough. */
mn_status mn_learner_new(const mn_experiment *experiment, const mn_fields *train,
                         const mn_fields *test, mn_learner **out, mn_error *err);
void mn_learner_destroy(mn_learner **learner);

/* A learner of the user's own, as its card describes it (tasks.kind external): theta has its tensors and begins
 * as it says, a row has its scores; but nothing is computed here. There is no workspace for it, hence no
 * training, test or self-test: its numeric class is all zero, which stands for one that is not known. */
mn_status mn_learner_new_external(const mn_experiment *experiment, const mn_learner_card *card,
                                  mn_learner **out, mn_error *err);
bool mn_learner_is_external(const mn_learner *learner);

/* Outer parameters: theta, of the network and behind it of the rule (as Meta-SGD's rates). Inside,
 * they lie in the engine's own layout; everything that leaves (files, fingerprints) is in
 * PyTorch's. */
size_t mn_learner_size(const mn_learner *learner);
void mn_learner_init_theta(const mn_learner *learner, uint64_t seed, float *theta);

/* The tensors of theta, in order, e.g. conv1.weight [64,1,3,3]; data is NULL. */
size_t mn_learner_tensors(const mn_learner *learner);
const mn_tensor *mn_learner_tensor(const mn_learner *learner, size_t i);
/* Is tensor i a running statistic? Its column of a row then holds what it lacks to the statistic of
 * the task, and the outer step is running -= share * mean of that. */
bool mn_learner_is_statistic(const mn_learner *learner, size_t i);
double mn_learner_statistic_share(const mn_learner *learner, size_t i);
/* The statistic mixture.losses of theta, the running query loss of each set of a mixture that is drawn
 * by difficulty, for mn_task_set_draw_after. NULL: the tasks are drawn otherwise. */
const float *mn_learner_set_losses(const mn_learner *learner, const float *theta);
/* A vector of mn_learner_size floats (theta, a gradient, an optimiser's moment) from the engine's
 * layout to the tensors of PyTorch one after the other, and back. */
void mn_learner_export(const mn_learner *learner, const float *inside, float *outside);
void mn_learner_import(const mn_learner *learner, const float *outside, float *inside);
/* SHA-256 of the exported bytes: the fingerprint that `mnemo train` prints. */
mn_digest mn_learner_fingerprint(const mn_learner *learner, const float *theta);

/* A thread's memory, all of it. bytes: known before the start. */
size_t mn_learner_workspace_bytes(const mn_learner *learner);
mn_status mn_workspace_new(const mn_learner *learner, mn_workspace **out, mn_error *err);
void mn_workspace_destroy(mn_workspace **workspace);

/* A profile with a row for each operation of a training task; the caller owns *out. */
mn_status mn_learner_profile(const mn_learner *learner, mn_profile **out, mn_error *err);
/* Training with this workspace is timed from now on: profile is lent until the next call; NULL: no
 * more. */
void mn_workspace_profile(mn_workspace *workspace, mn_profile *profile);

/* A task in hand, of training or of a test, ends soon once *stop is true, with a row as of one that
 * is skipped. Lent until the next call; NULL: never. */
void mn_workspace_heed(mn_workspace *workspace, const atomic_bool *stop);

/* Numbers of an answer to tasks of these fields: y_size, or all means and then all deviations. */
uint32_t mn_learner_columns(const mn_learner *learner, const mn_fields *fields);

/* What a task gives, as floats that mn_exact_accepts:
 *   training:    the meta-gradient [mn_learner_size], the train scores, taken, skipped
 *   evaluation:  the test scores, their weights (scores.h), taken, skipped
 * taken is 1 for a task that counts; a task whose loss or gradient was not finite or too large has
 * skipped = 1 and all else 0. Training's scores are summed exactly like its gradient. */
size_t mn_learner_train_columns(const mn_learner *learner);
size_t mn_learner_test_columns(const mn_learner *learner);
const mn_score_list *mn_learner_train_scores(const mn_learner *learner);
const mn_score_list *mn_learner_test_scores(const mn_learner *learner);

/* Adapt to the task and differentiate through it. row [train_columns] is written. */
void mn_learner_train(mn_workspace *workspace, const float *theta, const mn_task *task, float *row);

/* Adapt and measure. row [test_columns] is written. */
void mn_learner_test(mn_workspace *workspace, const float *theta, const mn_task *task, float *row);

/* Everything about one task, for people: any pointer may be NULL. Shapes: adapted, meta_gradient
 * [mn_learner_size]; query_output [n_query, mn_learner_columns]; the losses are after adaptation by
 * `steps` inner steps (support_loss before them). `task` has the training shape if `training`, else the
 * test shape. */
typedef struct mn_explanation {
    float *adapted;
    float *meta_gradient; /* training shape only */
    float *query_output;
    double support_loss, support_loss_after, query_loss_before, query_loss;
    uint32_t steps;
} mn_explanation;
void mn_learner_explain(mn_workspace *workspace, const float *theta, const mn_task *task,
                        bool training, mn_explanation *out);

/* What the network lets be looked at of tasks of these fields, as attention (shown.h); the caller
 * owns *out. Adapted theta is that of mn_learner_explain. MN_ERR_CONFIG: fields that would give
 * other parameters. */
mn_status mn_learner_show(const mn_learner *learner, const mn_fields *fields, mn_shown **out,
                          mn_error *err);

/* Multiply-adds of one training task, counted from the mathematics (forward 1 unit, gradient 3,
 * Hessian-vector product 6): inner steps x support x 9 + query x 3 for second-order MAML. */
double mn_learner_train_macs(const mn_learner *learner);

/* Digest of the results of every kernel of this learner on made-up tasks of the experiment's own
 * shapes, with the name of the kernels: machines of equal class give equal bits. */
mn_status mn_learner_numeric_class(const mn_learner *learner, mn_digest *out, mn_error *err);
/* "avx512" etc.; "external" */
const char *mn_learner_kernels(const mn_learner *learner);
