/* adapted_state.h: what an adapted model is made of, for adapted.c and adapted_file.c alone. */
#pragma once

#include "common/tensor_file.h"
#include "worker/learner/adapted.h"
#include "worker/learner/model_state.h"

struct mn_adapted {
    mn_model *model;    /* with theta' for its theta; all of this is owned */
    uint32_t way;       /* classes or numbers of y of the task */
    uint32_t classes;   /* of them that have examples: fewer where the network takes fewer than its
                             head has rows (mn_model_holds); values: 0 */
    uint32_t n_support; /* items */
    uint32_t steps;     /* taken */
    mn_task *support;   /* of which the support set counts, if it is looked at */
    mn_parameters own;  /* what adapting made beside theta (mn_rule_own) */
    float *own_values;  /* [own.size]; NULL: there are none */
    char *names;        /* of the classes, each ended by NUL, one behind the other; NULL: none */
    mn_tensor_file *file; /* where it was read from, for its notes; NULL: nowhere */
};

/* Does the learner look at the support set when it predicts? If not, a task to predict by has one
 * item of it, whatever it is. */
bool mn_adapted_reads_support(const mn_model *model);

/* Fields of a task that holds n examples, with a query item where a task must have one. */
mn_status mn_adapted_holder(const mn_model *model, uint32_t way, uint32_t n, mn_fields *out,
                            mn_error *err);

/* The names [n_classes] into adapted->names; NULL: numbers. MN_ERR_DATA: one cannot be written down: it
 * is empty, not UTF-8, has a control character, or is there twice. */
mn_status mn_adapted_take_names(mn_adapted *adapted, uint32_t n_classes, const char *const *names,
                                mn_error *err);
