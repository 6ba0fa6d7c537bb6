/* training.h: theta and all that changes it: the sums of the round at hand, the outer step, the
 * best theta so far. Numbers only: no socket, clock, thread or file. Every rank has one, and as all
 * ranks give it the same sums, all of them have the same bits at every step. A version of theta is
 * the number of meta-steps done. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "coordinator/run/checkpoint.h"
#include "coordinator/run/evaluation.h"
#include "coordinator/run/metrics.h"
#include "proto/message.h"
#include "worker/learner/learner.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_training mn_training;

/* theta_0 of the experiment's seed. experiment and learner are lent for the training's life. */
mn_status mn_training_new(const mn_experiment *experiment, const mn_learner *learner,
                          mn_training **out, mn_error *err);
void mn_training_destroy(mn_training **training);

/* Tensors of theta as a checkpoint has them; lent for the training's life. */
mn_theta_layout mn_training_layout(const mn_training *training);

/* Take over what a checkpoint holds / copy out what it must hold; `data`, `numeric_class`, `mixed`
 * and `experiment` are the caller's. */
mn_status mn_training_restore(mn_training *training, const mn_checkpoint *checkpoint,
                              mn_error *err);
/* Theta_0 is this one, [size] in PyTorch's layout. */
void mn_training_begin_with(mn_training *training, const float *theta);
mn_status mn_training_save(const mn_training *training, mn_checkpoint *out, mn_error *err);

/* Which keys of the experiment likely made all tasks of a step fail, with their values. */
void mn_training_suspects(const mn_training *training, char *text, size_t n);

/* Digits of the largest sums that any round of the experiment needs. */
size_t mn_training_max_digits(const mn_training *training);

/* Where the sums lie (at least max_digits; lent for the training's life), and whether they are those
 * of all ranks: then a few rows need not become digits, and mean the same. Call once. */
void mn_training_use(mn_training *training, int64_t *sums, bool alone);

uint64_t mn_training_step(const mn_training *training); /* meta-steps done */
size_t mn_training_size(const mn_training *training);   /* floats of theta */
/* What a step's record tells of its tasks; lent for the training's life. */
const mn_score_list *mn_training_scores(const mn_training *training);
/* The step of the last validation; 0: none. */
uint64_t mn_training_validated(const mn_training *training);
/* Are evaluate.patience validations in a row no better than the best before? Told from what a
 * checkpoint holds, so that all ranks, and a run that is taken up again, say the same. */
bool mn_training_has_enough(const mn_training *training);

/* Theta in the engine's layout, of version step(); with MN_AVERAGE in the version the one that is
 * judged; version step() + 1, asked for at the end, is the final one. NULL: not there. */
const float *mn_training_theta(const mn_training *training, uint64_t version);
/* The one that a validation judges: theta itself, or if outer.average asks for it the average of all
 * that theta was after each outer step. */
const float *mn_training_judged_theta(const mn_training *training);
/* The one that is tested at the end: the best if evaluate.keep_best and there is one, else the
 * one that would be judged last. */
const float *mn_training_final_theta(const mn_training *training);
/* Which that is, or which would be judged last, for people: "best on validation, of meta-step 30". */
#define MN_THETA_NAME 64
void mn_training_name_final(const mn_training *training, char name[MN_THETA_NAME]);
void mn_training_name_judged(const mn_training *training, char name[MN_THETA_NAME]);
/* The best score on validation so far (mn_evaluation_score) and its step. false: there is none. */
bool mn_training_best(const mn_training *training, double *score, uint64_t *step);

/* Do these bytes of a peer hold numbers that may be added, each task taken or skipped? Says why
 * not.
 */
mn_status mn_training_check(const mn_result *result, const void *payload, size_t payload_bytes,
                            mn_error *err);

/* Begin the sums of a round. */
void mn_training_open(mn_training *training, const mn_round *round);
/* Add a result that was checked, and has as many columns as the round's tasks; its tasks are
 * begin .. begin + n_tasks - 1 of the open round. */
void mn_training_add(mn_training *training, uint32_t begin, const mn_result *result,
                     const void *payload, size_t payload_bytes);
/* Digits of the open round's sums. */
size_t mn_training_digits(const mn_training *training);
/* XXH3 of theta as it stands. */
uint64_t mn_training_checksum(const mn_training *training);

/* No more results come: the sums are whole (all zero, if none came). */
void mn_training_close(mn_training *training);

/* The sums are those of all tasks of the open TRAIN round: take the outer step and describe it in
 * *record (its clock and pool fields are left alone). If all tasks were skipped theta stays as it
 * is, and the step counts. MN_ERR_NUMERIC: a task was skipped and outer.nonfinite is abort, or all
 * were, and that for the outer.max_skipped_steps-th time in a row or in every step of the run;
 * MN_ERR_INTERNAL: a task was counted twice or never. Nothing was changed then, so that a run that
 * is taken up again comes to the same end. */
mn_status mn_training_step_outer(mn_training *training, mn_step_record *record, mn_error *err);

/* The same in pieces, while the sums are arriving. begin: the metrics (the last columns) have come;
 * may fail as above. advance: so many columns have come, from the first. end: all have. From begin
 * to end theta is neither the old nor the new one, and not to be read, saved or sent. */
mn_status mn_training_begin_outer(mn_training *training, mn_error *err);
void mn_training_advance_outer(mn_training *training, size_t arrived);
void mn_training_end_outer(mn_training *training, mn_step_record *record);

/* The sums are those of all tasks of the open TEST round: make the table, to be freed with
 * mn_evaluation_fini; on validation remember the best theta. *best: it is the best so far. */
mn_status mn_training_judge(mn_training *training, mn_evaluation *out, bool *best, mn_error *err);
