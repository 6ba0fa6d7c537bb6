/* adapted_task.h: one task before and after adaptation, for people to look at and for other
 * programs to check. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* All pointers are lent for the call. */
typedef struct mn_adapted_task {
    const mn_experiment *experiment;
    const mn_task_set *tasks;
    const mn_learner *learner;
    const float *theta;     /* the engine's layout */
    bool trained;           /* theta is a run's: what it answers is worth telling */
    const char *theta_name; /* "last, of meta-step 300"; NULL: it is not told */
    mn_split split;
    uint64_t index;
} mn_adapted_task;

/* Print the task, and losses and predictions after adaptation; of stories, if theta is trained, what
 * the first questions' answers went by. */
mn_status mn_adapted_task_print(const mn_adapted_task *which, FILE *out, mn_error *err);

/* A PNG: for a task of one x and one y, the curve with its support points and the predictions
 * before and after adaptation (by gnuplot, as chart.h says: path ends in ".png", and .gp and .dat
 * stand beside it); for images, a sheet of them; for sequences, their drawings in order; for
 * stories, the first questions with what each hop attended to. MN_ERR_USAGE: other tasks have no
 * picture. */
mn_status mn_adapted_task_draw(const mn_adapted_task *which, const char *path, mn_error *err);

/* One safetensors file in PyTorch's layouts:
 *   support.x, query.x          [n, channel, y, x]; tasks of vectors: [n, channel]
 *   support.y, query.y          [n] int64 labels; tasks of values: [n, y] float32
 *   theta.<name>, adapted.<name>, meta_gradient.<name>   (the latter for tasks of the training
 * shape) query_logits (classes) or query_output (values; with deviations 2 y) [n, y], after adaptation
 *   support_loss, query_loss    float64 scalars: before the first inner step; after the last
 *   support_loss_after, query_loss_before                the same the other way round */
mn_status mn_adapted_task_dump(const mn_adapted_task *which, const char *path, mn_error *err);
