/* meta.h: the meta-learning module, theta -> theta': adaptation to a support set, judgement on a
 * query set, and the derivative of that judgement in theta.
 *   inner loop      phi_0 = theta;  phi_{k+1} = phi_k - alpha .* grad L_S(phi_k)
 *   meta-gradient   lam = grad L_Q(phi_T);  for k = T-1 .. 0: lam = lam - H_S(phi_k) (alpha .* lam)
 * (MAML: Finn et al. 2017, eq. 1 and Algorithm 1; the backward walk is its adjoint.) Nothing is
 * unrolled: one gradient plan, one Hessian-vector product, and phi of each step. With
 *   maml      alpha is meta.inner_lr; order 1 leaves out the walk (FOMAML)
 *   anil      only the output module's tensors adapt (Raghu et al. 2020): the inner loop is MAML on
 *             the output module alone, with x the support set's features, found once a task. The
 *             walk leaves a cotangent of the features at each step; the body's gradient is one
 *             pullback of their sum.
 *   meta-sgd  alpha is a learned vector behind theta; d alpha = - sum_k lam_{k+1} .* grad
 * L_S(phi_k) (Li et al. 2017) reptile   meta-gradient = theta - phi_T (Nichol et al. 2018); the
 * query set only measures Compiled once for one shape of task; read-only; each thread brings its
 * own scratch. */
#pragma once

#include "worker/engine/plan.h"
#include "worker/modules/network.h"

typedef struct mn_meta mn_meta;

typedef struct mn_meta_rule {
    mn_meta_kind kind;
    uint32_t order;
    uint32_t steps;
    double inner_lr;
    size_t keep_bytes; /* activations of inner steps are kept for the walk back as far as they fit
                          here, those of one step always; the others are made again. Same bits. */
} mn_meta_rule;

/* Arrays of a task as the engine sees them. */
typedef struct mn_meta_data {
    const mn_real *support_x, *support_y, *query_x, *query_y;
    mn_profile *profile; /* of the thread, with the rows of mn_meta_profile; NULL: none */
} mn_meta_data;

/* `differentiate`: mn_meta_gradient will be called; without it only adapting and measuring, in less
 * memory. network and kernels are lent for the life of the result. */
mn_status mn_meta_new(const mn_network *network, const mn_meta_rule *rule, uint32_t n_support,
                      uint32_t n_query, bool differentiate, const mn_kernels *kernels,
                      mn_meta **out, mn_error *err);
void mn_meta_destroy(mn_meta **meta);

/* Elements of theta and of the meta-gradient: the network's, twice with Meta-SGD (rates behind). */
size_t mn_meta_size(const mn_meta *meta);
size_t mn_meta_scratch_bytes(const mn_meta *meta);

/* Rows for the operations of all plans. */
mn_status mn_meta_profile(const mn_meta *meta, mn_profile *profile, mn_error *err);

typedef struct mn_meta_losses {
    double support_before; /* at theta */
    double query;          /* after the last step */
} mn_meta_losses;

/* Adapt, judge, differentiate. gradient [mn_meta_size] and query_output [n_query, y_size] are
 * written. */
mn_meta_losses mn_meta_gradient(const mn_meta *meta, void *scratch, const mn_real *theta,
                                const mn_meta_data *data, mn_real *gradient, mn_real *query_output);

/* Begin adapting to data's support set: phi = theta. What follows works on the phi in scratch, with
 * the same theta and data. */
void mn_meta_begin(const mn_meta *meta, void *scratch, const mn_real *theta,
                   const mn_meta_data *data);
/* One inner step; returns the support loss before it. */
double mn_meta_step(const mn_meta *meta, void *scratch, const mn_real *theta,
                    const mn_meta_data *data);
/* The query loss at phi; query_output is written. */
double mn_meta_judge(const mn_meta *meta, void *scratch, const mn_real *theta,
                     const mn_meta_data *data, mn_real *query_output);
/* The support loss at phi. */
double mn_meta_support(const mn_meta *meta, void *scratch, const mn_meta_data *data);
/* All tensors as adapted so far -> adapted [network's size]. */
void mn_meta_adapted(const mn_meta *meta, const void *scratch, const mn_real *theta,
                     mn_real *adapted);
