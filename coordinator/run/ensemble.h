/* ensemble.h: several thetas answer the same tasks, and the mean of their probabilities is judged, as
 * published results of MAML++ are. Each adapts by itself. Computed on this machine alone. */
#pragma once

#include "common/error.h"
#include "coordinator/run/evaluation.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <stddef.h>
#include <stdint.h>

/* All is lent. theta is in the engine's layout. */
typedef struct mn_member {
    const mn_learner *learner;
    const float *theta;
} mn_member;

/* Loss (nats) and accuracy of the mean of probabilities after meta.inner_steps over the first n_tasks
 * test tasks, by so many threads: the numbers do not depend on how many. `scores` is made here, of the
 * point of the first learner's judged score, and is the caller's to free (mn_score_list_fini) after
 * *out, which has its rows. MN_ERR_CONFIG: tasks without classes, or with several labels an item. */
mn_status mn_ensemble_judge(size_t n_members, const mn_member *members, const mn_task_set *tasks,
                            uint32_t n_tasks, uint32_t n_threads, mn_score_list *scores,
                            mn_evaluation *out, mn_error *err);
