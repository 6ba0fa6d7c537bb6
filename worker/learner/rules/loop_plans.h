/* loop_plans.h: what adapting a network by gradient steps and judging it takes, compiled for one
 * extent of task. The inner loop moves the tensors [first, end) (slot PHI); all others stand still
 * (slot THETA). Where these are the output module's alone, and the network judges each item by its
 * features, the body's features of the support set are found once, the inner loop's network is only
 * what reads them, and the body's gradient is a pullback. With meta.head_start prototypes a head
 * that is not of theta lies in phi behind these tensors, and begins as a function of the support
 * set's features at theta; with zero it begins with zeros. With needs.step_items an inner step reads
 * a slice of the support set; then nothing of a set depends on its other items, and where nothing is
 * differentiated, body and judgement too go through their sets slice by slice. */
#pragma once

#include "worker/engine/plan.h"
#include "worker/learner/network.h"
#include "worker/learner/rules/slice.h"
#include "worker/learner/rules/step_norms.h"

typedef struct mn_loop_needs {
    uint32_t first, end; /* tensors that adapt */
    bool products;       /* stage 1 of features and support */
    bool query_gradient;
    bool gradients;             /* of support, and products; else what a step makes of them */
    double rate;                /* of that step */
    const mn_step_norms *norms; /* at STEP, their gradient and products too; NULL: none; lent */
    bool whole;                 /* no split: the features are found anew at each step */
    uint32_t step_items;        /* of the support set, that an inner step reads; 0: all */
} mn_loop_needs;

typedef struct mn_loop_plans {
    const mn_network *network; /* lent */
    const mn_fields *fields;   /* lent */
    const mn_kernels *kernels;
    mn_loop_needs needs;
    size_t adapted_offset, adapted_size; /* of phi in theta; elements */
    size_t head_size;                    /* of the head behind it in phi; 0: there is none */
    uint32_t body_end;                   /* tensors [0, body_end) are what features hang on */
    size_t body_size;                    /* of these */
    size_t size;                         /* of the network's own parameters */
    mn_extent u;                         /* the support set's features */
    size_t u_count;                      /* elements of them; 0: there is no plan of features */
    mn_slice step, body, judged;     /* what support, features and query read of a task at a time */
    bool splits;                     /* the inner loop reads the features of a body that stands
                                            still */
    double support_macs, query_macs; /* of a forward pass of the whole network */
    double body_macs[2];             /* with features: of the body's, by set */
    /* NULL if the whole network takes part in the inner loop and there is no head. Stage 0: TASK,
     * THETA -> features at OUTPUT. Stage 1: COTANGENT of the features -> gradient of the body at
     * PRODUCT. */
    mn_plan *features;
    /* NULL without prototypes. Stage 0: TASK, FEATURES -> the head at OUTPUT. Stage 1: its adjoint at
     * DIRECTION -> that of the features at COTANGENT. */
    mn_plan *head;
    /* Stage 0: TASK, THETA (and FEATURES), PHI -> loss, and at MOVED PHI - rate * gradient. Stage 1:
     * DIRECTION -> at MOVED DIRECTION - rate * its product with the second derivative in phi; at
     * PRODUCT the mixed one with what stands still, in theta's places; and that of the features'
     * adjoint at COTANGENT. With needs.gradients there is instead the gradient itself at GRADIENT,
     * and at MOVED the product: a pass more over each. */
    mn_plan *support;
    mn_plan *query; /* TASK, THETA, PHI -> loss, OUTPUT; GRADIENT of all tensors and the head */
} mn_loop_plans;

/* All but needs are lent for the life of the result. Whatever is returned, _fini may follow. */
mn_status mn_loop_plans_init(mn_loop_plans *plans, const mn_network *network,
                             const mn_fields *fields, const mn_loop_needs *needs,
                             const mn_kernels *kernels, mn_error *err);
void mn_loop_plans_fini(mn_loop_plans *plans);
