/* meta_plans.h: what adapting a network and judging it takes, compiled for one shape of task.
 * The inner loop moves the tensors from first_adapted to the last (slot PHI). If these are not all,
 * those before (slot THETA) are a body that stands still: the features of the support set are found
 * once, the inner loop's network is only what reads them, and the body's gradient is a pullback. */
#pragma once

#include "worker/engine/plan.h"
#include "worker/modules/network.h"

typedef struct mn_meta_plans_needs {
    uint32_t n_support, n_query; /* items */
    uint32_t first_adapted;      /* tensor */
    bool products;               /* stage 1 of features and support */
    bool query_gradient;
    bool gradients; /* of support, and products; else what a step makes of them */
    double rate;    /* of that step */
} mn_meta_plans_needs;

typedef struct mn_meta_plans {
    const mn_network *network; /* lent */
    const mn_kernels *kernels;
    mn_meta_plans_needs needs;
    size_t adapted_offset, adapted_size; /* of phi in theta; elements */
    size_t u_count;                      /* elements of the support set's features */
    /* NULL if all tensors adapt. Stage 0: X, THETA -> features at OUTPUT. Stage 1: COTANGENT of
     * the features -> gradient of the body at PRODUCT. */
    mn_plan *features;
    /* Stage 0: X (or the features), Y, PHI -> loss, GRADIENT of phi. Stage 1: DIRECTION -> its
     * derivative along the direction at PRODUCT, and that of the features' adjoint at COTANGENT.
     * Without needs.gradients there are neither GRADIENT nor PRODUCT but at MOVED
     * PHI - rate * gradient, and DIRECTION - rate * derivative: a pass less over each. */
    mn_plan *support;
    mn_plan *query; /* X, Y, THETA, PHI -> loss, OUTPUT; GRADIENT of all tensors */
} mn_meta_plans;

/* network and kernels are lent for the life of the result. Whatever is returned, _fini may follow.
 */
mn_status mn_meta_plans_init(mn_meta_plans *plans, const mn_network *network,
                             const mn_meta_plans_needs *needs, const mn_kernels *kernels,
                             mn_error *err);
void mn_meta_plans_fini(mn_meta_plans *plans);
