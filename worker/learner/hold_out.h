/* hold_out.h: how many inner steps suit the examples at hand: early stopping for a task that has no
 * other items than these. For a model that adapts by steps; takes the memory of one task more. */
#pragma once

#include "worker/learner/adapted.h"

typedef struct mn_hold_out {
    double share; /* 0: each example is held out once, if its class has others; else so much of
                            each class (of the points, of values), one at least and never all: the last of them */
    uint32_t most_steps; /* judged after each step from 0 to this */
    double *losses;  /* [most_steps + 1], written: mean over the held out; nats, or squared error */
    double *rights;  /* [most_steps + 1], written: share of them that is named rightly; or NULL */
    uint32_t best;   /* written: after which the loss is least, the first of several */
    uint32_t n_held; /* written: how many were judged */
} mn_hold_out;

/* Adapt to the examples less those held out, and judge these. Where items are judged together
 * (mn_model_judges_together) the others are judged beside them, as company. MN_ERR_CONFIG: the model
 * has no steps, or nothing can be held out: says why; else as mn_adapted_new. */
mn_status mn_hold_out_steps(const mn_model *model, const mn_examples *examples,
                            mn_hold_out *hold_out, mn_error *err);
