/* checkpoint.h: all that a run needs to go on with the same bits, in one safetensors file a time:
 *   RUN/checkpoints/step-000000030.safetensors
 *     conv1.weight ...              theta after 30 meta-steps, by PyTorch's names and layouts
 *     optimiser.m.conv1.weight ...  the optimiser's moments (m, v), as far as it has them
 *     average.conv1.weight ...      the average of theta, if outer.average asks for one
 *     best.conv1.weight ...         the theta that was best on validation, once there is one
 *     metadata                      step, seed, experiment (YAML), digests, version, and what its tasks
 *                                   tell (task_notes.h): with it the network is of use without its data
 * A file is written whole or not at all; what is read is checked against its own digest and the
 * expected shapes. Logs the files it skips; makes no MPI call. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "common/experiment.h"
#include "common/tensor_file.h"
#include "worker/tasks/task_notes.h"
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_checkpoint {
    uint64_t step;            /* meta-steps done: theta is theta_step */
    uint64_t optimiser_taken; /* outer steps taken (less than step if some were skipped) */
    uint64_t skipped_steps;   /* the last so many meta-steps had no task that counts */
    uint64_t seed;
    mn_digest data;
    mn_digest numeric_class;
    bool mixed;              /* workers of another numeric class took part */
    uint64_t validated_step; /* of the last whole validation; 0: none */
    uint64_t best_step;
    uint64_t stale_validations; /* the last so many were no better than the best before */
    double best_score;          /* larger is better; without meaning if best is NULL */
    char *experiment;           /* YAML as resolved; owned */
    const mn_task_notes *notes; /* what its tasks tell, to be written; lent; NULL: nothing */
    size_t n;                   /* floats in each vector */
    /* [n], PyTorch's layout; owned; NULL: none (theta is never) */
    float *theta, *m, *v, *average, *best;
} mn_checkpoint;

/* The tensors of theta in order, name and shape; lent. Their counts add up to n. */
typedef struct mn_theta_layout {
    size_t n_tensors;
    const mn_tensor *tensors;
    size_t n;
} mn_theta_layout;

void mn_checkpoint_fini(mn_checkpoint *checkpoint);

/* Write to `folder` (made if missing) and then remove all but the newest `keep` >= 1 files up to
 * this step. On failure older files are as before. */
mn_status mn_checkpoint_write(const char *folder, const mn_checkpoint *checkpoint,
                              const mn_theta_layout *layout, uint32_t keep, mn_error *err);

/* Write one theta to a file of its own, for who wants the network and no more training: a checkpoint
 * without the optimiser's moments and without a second theta, so that it can be read as one. The best
 * one, which must be there, is then that of best_step; the last one is the average if there is one.
 * Its metadata say "theta": "best", "average" or "last", and `more` [n_more]. */
mn_status mn_checkpoint_export(const char *path, const mn_checkpoint *checkpoint, bool best,
                               const mn_theta_layout *layout, size_t n_more,
                               const mn_text_pair *more, mn_error *err);

/* Read one file. MN_ERR_DATA: damaged, or its tensors are not those of layout. */
mn_status mn_checkpoint_read(const char *path, const mn_theta_layout *layout, mn_checkpoint *out,
                             mn_error *err);

/* Theta alone, [layout->n] in PyTorch's layout, of a checkpoint (its average if it has one), or of any
 * safetensors file that has the layout's tensors, as other programs save them: in half or double
 * precision, without metadata, with other tensors beside them, and with a prefix before all names
 * (module., _orig_mod., model.). The caller owns *theta. MN_ERR_DATA: damaged; a tensor is missing, of
 * another shape, or holds numbers that are not finite. */
mn_status mn_checkpoint_read_theta(const char *path, const mn_theta_layout *layout, float **theta,
                                   mn_error *err);

/* The same of a file of another network: theta [layout->n], in and out, is overwritten where the file
 * has a tensor of this name and shape, or of this shape without its first dimension, which each row
 * then takes (the scales of batch norm, of which a rule may have a set for each step). What was taken
 * and what was left is logged. MN_ERR_DATA: damaged, nothing fits, or numbers that are not finite. */
mn_status mn_checkpoint_take_fitting(const char *path, const mn_theta_layout *layout, float *theta,
                                     mn_error *err);

/* The thetas of the newest n checkpoints of a folder, newest first, as mn_checkpoint_read_theta, with
 * their meta-steps; thetas [n] are the caller's to free. MN_ERR_NO_INPUT: there are fewer. */
mn_status mn_checkpoint_read_thetas(const char *folder, const mn_theta_layout *layout, size_t n,
                                    float **thetas, uint64_t *steps, mn_error *err);

/* What a checkpoint is read for: to train on as before, or to judge its theta, perhaps on other
 * tasks. */
typedef enum mn_checkpoint_use { MN_TO_GO_ON, MN_TO_JUDGE } mn_checkpoint_use;

/* Read the newest file of `folder` that is whole; the others are warned about, with the reason.
 * MN_ERR_NO_INPUT: there is none, start anew; MN_ERR_DATA: there are some, but none is whole;
 * MN_ERR_CONFIG: the run was begun with an experiment that cannot go on, or be judged, as `now`;
 * names the key, and if it is by a key that theta has another shape, the tensor too. */
mn_status mn_checkpoint_read_newest(const char *folder, mn_checkpoint_use use,
                                    const mn_experiment *now, const mn_theta_layout *layout,
                                    mn_checkpoint *out, mn_error *err);
