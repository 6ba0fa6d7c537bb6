/* step_rates.h: a learned rate for each tensor that adapts and each inner step (Antoniou et al. 2019,
 * arXiv:1810.09502, "per-layer per-step learning rates"):
 *   phi' = phi - a_tk g,   d a_tk = - <lam, g> over tensor t, lam the adjoint of phi'
 * Tensors step_rates.<t> [inner steps] of theta, which begin with meta.inner_lr and may take either
 * sign. Steps beyond those that training makes go by the last one's rates. */
#pragma once

#include "worker/learner/network.h"
#include "worker/learner/rules/update.h"

typedef struct mn_step_rates {
    const mn_kernels *kernels; /* lent */
    uint32_t n, steps;
    struct {
        size_t offset, count; /* in phi */
        size_t rates;         /* in theta; [steps] */
    } parts[MN_MAX_PARAMETERS + 2];
} mn_step_rates;

/* Add the tensors behind the network's. MN_ERR_CONFIG: there are too many. */
mn_status mn_step_rates_declare(mn_network *network, uint32_t n, const mn_update_part *parts,
                                mn_error *err);

/* parts as declared; the kernels are lent. */
void mn_step_rates_init(mn_step_rates *rates, const mn_network *network, uint32_t n,
                        const mn_update_part *parts, const mn_kernels *kernels);

/* moved = phi at inner step k, counted from 0; like phi, not in place. */
void mn_step_rates_move(const mn_step_rates *rates, const mn_real *theta, uint32_t k,
                        const mn_real *phi, const mn_real *gradient, mn_real *moved);

/* Its adjoint: lam is that of moved. Written: that of the gradient, - a_tk lam, and in of_theta
 * [theta] that of the rates of step k < meta.inner_steps. */
void mn_step_rates_pull(const mn_step_rates *rates, const mn_real *theta, uint32_t k,
                        const mn_real *gradient, const mn_real *lam, mn_real *of_gradient,
                        mn_real *of_theta);
