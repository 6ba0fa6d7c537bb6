/* step_norms.h: scales and shifts of batch norm for each inner step (Antoniou et al. 2019,
 * arXiv:1810.09502, "per-step batch normalisation weights and biases"): tensors bn<layer>.weight and
 * .bias [inner steps, channels] of theta, which the inner loop does not move. The support set goes
 * through the network by those of the step that is made, the query set by those of the last one that
 * was; steps beyond those of training by the last. Mean and variance are those of the set at hand, as
 * ever: the authors' code keeps running ones for each step, and never uses them. */
#pragma once

#include "worker/learner/network.h"

typedef struct mn_step_norms {
    uint32_t n, steps; /* layers; 0: there are none */
    size_t size;       /* of one step's, layer after layer, scales before shifts */
    struct {
        uint32_t channels;
        size_t at[2];   /* in a step's */
        size_t rows[2]; /* in theta */
    } layers[MN_MAX_LIST];
} mn_step_norms;

/* Add the tensors behind all others. MN_ERR_CONFIG: there are too many. */
mn_status mn_step_norms_declare(mn_network *network, mn_error *err);

void mn_step_norms_init(mn_step_norms *norms, const mn_network *network);

/* One step's as inputs of a graph (MN_SLOT_STEP), for batch_norm.h to find; nodes [2 * n]. */
void mn_step_norms_enter(const mn_step_norms *norms, mn_builder *builder, mn_node *nodes);

/* set [size] = those of inner step `step`, from 0. */
void mn_step_norms_take(const mn_step_norms *norms, const mn_real *theta, uint32_t step,
                        mn_real *set);

/* of_theta += factor * part, which is like set. */
void mn_step_norms_add(const mn_step_norms *norms, uint32_t step, mn_real factor,
                       const mn_real *part, mn_real *of_theta);
