/* trial.h: a task of one shape, made ready to be computed: a rule compiled for it, and the memory
 * for the task, the inner loop and the answers. For one thread and one purpose; made anew for
 * another shape. */
#pragma once

#include "worker/learner/model.h"
#include "worker/learner/rules/rule.h"

#define MN_TRIAL_MOST_BYTES ((size_t)4 << 30)

typedef struct mn_trial {
    const mn_model *model; /* lent */
    mn_task *task;         /* all zero at first; what follows is owned */
    mn_rule *rule;
    void *scratch;   /* 64-byte aligned */
    float *output;   /* [n_query, columns]; of sequences, of every item of them */
    size_t n_output; /* numbers of it */
    float *answers;  /* [n_query, columns]; within output */
} mn_trial;

/* As mn_model_task; *out is zero or ready, to be freed with _fini in both cases. MN_ERR_CONFIG: the
 * model does not take such a task, or it would take more memory than MN_TRIAL_MOST_BYTES. */
mn_status mn_trial_init(mn_trial *out, const mn_model *model, uint32_t way, uint32_t n_support,
                        uint32_t n_query, mn_error *err);
void mn_trial_fini(mn_trial *trial);

/* Put an item into x and y of a few-shot task: label is below the task's number of classes, or y are
 * the values, or both are left as they are (label UINT32_MAX, y NULL). */
void mn_task_put(mn_task *task, mn_role role, uint32_t item, const float *x, uint32_t label,
                 const float *y);

/* The id of an item of a task whose items have them. */
void mn_task_put_id(mn_task *task, mn_role role, uint32_t item, uint32_t id);

mn_rule_data mn_trial_data(const mn_trial *trial);
