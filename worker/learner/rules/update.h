/* update.h: a learned step of the inner loop: what becomes of phi and of a velocity v, given the
 * gradient g of the support loss. For each tensor t that adapts
 *   v' = m_t v + g            m_t = tanh(update.momentum.<t>), 0 at first
 *   phi' = phi - a_t u        a_t = meta.inner_lr exp(update.log_rate.<t>), meta.inner_lr at first
 * with u = v', so that it begins as MAML; with meta.update_units every element of v' is scaled by a
 * small network of its own size, the same for all elements (update.fc1, update.fc2; 1 at first):
 *   u = v' (1 + w2 tanh(W1 [v' / sqrt(v'^2 + 1), log(v'^2 + e^-20) / 20] + b1) + b2)
 * A factor, not a sum, because its derivative stays small where v' goes through 0.
 * After Andrychowicz et al. 2016 (arXiv:1606.04474; their preprocessing of gradients) and the rates by
 * layer of Antoniou et al. 2019 (arXiv:1810.09502). Rates and momenta are one number a tensor, so they
 * suit a head of any number of classes.
 * With meta.update curvature a step goes along the gradient as matrices turn it (curvature.h), and
 * remembers nothing. Compiled once; read-only afterwards. */
#pragma once

#include "worker/engine/plan.h"
#include "worker/learner/network.h"

typedef struct mn_update mn_update;

/* A tensor that adapts, or a part of phi that is like one. */
typedef struct mn_update_part {
    const char *name;     /* lent */
    uint32_t tensor;      /* of the network; UINT32_MAX: of no tensor of theta */
    size_t offset, count; /* in phi; elements */
} mn_update_part;

/* Add the tensors behind the network's. MN_ERR_CONFIG: there are too many. */
mn_status mn_update_declare(mn_network *network, uint32_t n, const mn_update_part *parts,
                            mn_error *err);

/* For phi [size]. The network and the kernels are lent for the life of the result. */
mn_status mn_update_new(const mn_network *network, uint32_t n, const mn_update_part *parts,
                        size_t size, const mn_kernels *kernels, mn_update **out, mn_error *err);
void mn_update_destroy(mn_update **update);

/* Of the plan: the first is shared with other plans, both 64-byte aligned. */
size_t mn_update_scratch_bytes(const mn_update *update);
size_t mn_update_kept_bytes(const mn_update *update);
/* Elements of its tensors, which stand together behind the network's. */
size_t mn_update_count(const mn_update *update);

mn_status mn_update_profile(const mn_update *update, mn_profile *profile, mn_error *err);

/* A step: phi, gradient, velocity [size] -> moved, velocity_after [size], which overlap nothing. */
typedef struct mn_update_step {
    void *scratch, *kept;
    mn_profile *profile; /* or NULL */
    const mn_real *theta, *phi, *gradient, *velocity;
    mn_real *moved, *velocity_after;
} mn_update_step;
void mn_update_run(const mn_update *update, const mn_update_step *step);

/* Its adjoint, right after it was run: adjoint [2 * size] is that of moved and, behind it, of
 * velocity_after. Written: that of the gradient and of velocity [size each], and of the update's
 * tensors [count]. That of phi is the adjoint of moved itself. */
void mn_update_pull(const mn_update *update, const mn_update_step *step, const mn_real *adjoint,
                    mn_real *of_gradient, mn_real *of_velocity, mn_real *of_tensors);
