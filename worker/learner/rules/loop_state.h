/* loop_state.h: the loop rule as compiled, and where everything lies in a task's scratch. For the
 * files of that rule alone. */
#pragma once

#include "worker/learner/rules/loop_plans.h"
#include "worker/learner/rules/scratch.h"
#include "worker/learner/rules/step_rates.h"
#include "worker/learner/rules/update.h"

typedef struct mn_loop {
    const mn_kernels *kernels;
    mn_meta_kind kind;
    uint32_t order, steps;
    double inner_lr;
    uint64_t second_order_from, step_losses; /* meta-steps */
    size_t keep_bytes;
    bool walks_back; /* the meta-gradient goes through the inner steps */
    size_t size;     /* of the network's parameters */
    size_t n_theta;  /* the same with those of the rule */
    size_t n_phi;    /* what the inner loop moves: tensors of theta, and the head */
    mn_loop_plans plans;
    mn_update *update;   /* NULL: steps along the gradient; owned */
    mn_step_rates rates; /* n 0: there are none */
    mn_step_norms norms; /* likewise */
    /* Scratch: bytes from its start, where all plans work. A region holds what the walk back needs
     * of one inner step: activations, and with rates or an update that are learned the gradient.
     * Steps whose regions do not fit in keep_bytes share the first, and the walk back makes theirs
     * again. */
    uint32_t n_regions;
    size_t region_bytes;
    size_t at_regions, at_features, at_u, at_cotangent, at_cotangents, at_phi, at_direction,
        at_gradient, at_judged, at_rest, at_start, at_head, at_velocity, at_update, at_adjoint,
        at_share, at_on_the_way, at_dropped, at_place, at_norms, at_of_norms, at_slice, at_step_u,
        scratch_bytes;
} mn_loop;

/* Where a task is, in its scratch. */
typedef struct mn_loop_place {
    uint32_t done; /* inner steps of a test */
    uint32_t step; /* whose rates, scales and shifts count, where each inner step has its own; of a
                      stream, the slice that is read */
} mn_loop_place;

/* What lies where, once the plans and the update are there. */
void mn_loop_lay_out(mn_loop *meta, bool differentiate);

/* The adapted tensors after step k. Without a walk back only the newest two are kept, for a step is
 * not made in place. */
static inline mn_real *mn_loop_phi(const mn_loop *meta, const void *scratch, uint32_t k)
{
    return mn_scratch_at(scratch, meta->at_phi) + (meta->walks_back ? k : k % 2) * meta->n_phi;
}

/* What a learned update remembers before step k. Without a walk back as phi. */
static inline mn_real *mn_loop_velocity(const mn_loop *meta, const void *scratch, uint32_t k)
{
    return mn_scratch_at(scratch, meta->at_velocity) + (meta->walks_back ? k : k % 2) * meta->n_phi;
}

/* Phi before step k. */
static inline const mn_real *mn_loop_phi_before(const mn_loop *meta, const void *scratch,
                                                const mn_real *theta, uint32_t k)
{
    if (k > 0)
        return mn_loop_phi(meta, scratch, k - 1);
    return meta->plans.head_size > 0 ? mn_scratch_at(scratch, meta->at_start)
                                     : theta + meta->plans.adapted_offset;
}

/* For a test, which goes step by step. */
static inline mn_real *mn_loop_adapted(const mn_loop *meta, const void *scratch)
{
    return mn_loop_phi(meta, scratch, 0);
}

/* The region of inner step k: the last n_regions steps have one each, all before share the first.
 */
static inline char *mn_loop_region(const mn_loop *meta, void *scratch, uint32_t k)
{
    uint32_t shared = meta->steps - meta->n_regions; /* wraps for 0 steps, where k is 0 as well */
    return (char *)scratch + meta->at_regions + (k <= shared ? 0 : k - shared) * meta->region_bytes;
}

static inline mn_loop_place *mn_loop_place_of(const mn_loop *meta, const void *scratch)
{
    return (mn_loop_place *)(void *)mn_scratch_at(scratch, meta->at_place);
}

/* Whether the walk back needs the gradients themselves: Meta-SGD's, or a learned update's. */
static inline bool mn_loop_keeps_gradients(const mn_loop *meta)
{
    return meta->walks_back && meta->plans.needs.gradients;
}

/* Whether some of what stands still has a part in the inner loop's network. */
static inline bool mn_loop_has_rest(const mn_loop *meta)
{
    return meta->walks_back && !meta->plans.splits && meta->plans.adapted_size < meta->size;
}

static inline mn_real *mn_loop_gradient(const mn_loop *meta, void *scratch, uint32_t k)
{
    return mn_loop_keeps_gradients(meta) ? mn_scratch_at(mn_loop_region(meta, scratch, k),
                                                         mn_plan_kept_bytes(meta->plans.support))
                                         : mn_scratch_at(scratch, meta->at_gradient);
}
