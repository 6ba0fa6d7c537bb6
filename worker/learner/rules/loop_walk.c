#include "worker/learner/rules/loop_walk.h"

#include "worker/learner/rules/loop_steps.h"
#include <string.h>

/* Meta-SGD, at step k: d alpha -= lam .* gradient, in whose room the product is made; returns
 * alpha .* lam. */
static const mn_real *through_rates(const mn_loop *meta, void *scratch, const mn_real *theta,
                                    uint32_t k, const mn_real *lam, mn_real *rates_gradient)
{
    const mn_kernels *kernels = meta->kernels;
    const size_t n = meta->plans.adapted_size;
    mn_real *part = mn_loop_gradient(meta, scratch, k),
            *along = mn_scratch_at(scratch, meta->at_direction);
    kernels->multiply(n, lam, part, part);
    if (k + 1 == meta->steps) /* the first to be met */
        kernels->scale(n, -1, part, rates_gradient);
    else
        kernels->scale_add(n, -1, part, rates_gradient, rates_gradient);
    kernels->multiply(n, theta + meta->size, lam, along);
    return along;
}

/* Rates of each tensor and step: the same but for - alpha .* lam. */
static const mn_real *through_step_rates(const mn_loop *meta, void *scratch, const mn_real *theta,
                                         uint32_t k, const mn_real *lam, mn_real *rates_gradient)
{
    mn_real *along = mn_scratch_at(scratch, meta->at_direction);
    mn_step_rates_pull(&meta->rates, theta, k, mn_loop_gradient(meta, scratch, k), lam, along,
                       rates_gradient - meta->size);
    return along;
}

/* Does what a step is made by give the adjoint of the gradient, sign and rate included? */
static bool steps_have_adjoints(const mn_loop *meta)
{
    return meta->update != NULL || meta->rates.n > 0;
}

/* A learned update, at step k, of which moved [n_phi] has the adjoint lam: its tensors' gradient, and
 * the adjoint of the velocity in the array behind the copy of lam; returns that of the gradient. */
static const mn_real *through_update(const mn_loop *meta, void *scratch, const mn_real *theta,
                                     uint32_t k, const mn_rule_data *data, const mn_real *lam,
                                     mn_real *rates_gradient)
{
    const size_t n = mn_update_count(meta->update);
    mn_real *adjoint = mn_scratch_at(scratch, meta->at_adjoint),
            *of_velocity = adjoint + meta->n_phi;
    mn_real *along = mn_scratch_at(scratch, meta->at_direction),
            *share = mn_scratch_at(scratch, meta->at_share);
    /* The adjoint reads what only a run leaves behind, so the step is made again, to where nothing is
     * lost; the velocity after it is read no more, and its array takes the adjoint of that before. */
    mn_update_step step = mn_loop_update_step(meta, scratch, theta, k, data,
                                              mn_loop_phi_before(meta, scratch, theta, k), along);
    if (k + 1 == meta->steps) { /* the first to be met */
        memset(of_velocity, 0, meta->n_phi * sizeof *adjoint);
        memset(rates_gradient, 0, n * sizeof *rates_gradient);
    }
    memcpy(adjoint, lam, meta->n_phi * sizeof *adjoint);
    mn_update_run(meta->update, &step);
    mn_update_pull(meta->update, &step, adjoint, along, mn_loop_velocity(meta, scratch, k + 1),
                   share);
    memcpy(of_velocity, mn_loop_velocity(meta, scratch, k + 1), meta->n_phi * sizeof *adjoint);
    meta->kernels->add(n, share, rates_gradient, rates_gradient);
    return along;
}

/* Of tensors that stand still in the inner loop: sum += factor * part. */
static void add_rest(const mn_loop *meta, mn_real factor, const mn_real *part, mn_real *sum)
{
    const size_t begin = meta->plans.adapted_offset, end = begin + meta->plans.adapted_size;
    meta->kernels->scale_add(begin, factor, part, sum, sum);
    meta->kernels->scale_add(meta->size - end, factor, part + end, sum + end, sum + end);
}

/* The query loss after inner step k, on the way back, where lam is the adjoint of phi there. */
static void add_step_loss(const mn_loop *meta, void *scratch, const mn_real *theta, uint32_t k,
                          const mn_rule_data *data, mn_real *lam, mn_real *judged, mn_real *of_rule)
{
    const mn_real weight = mn_loop_step_weight(meta, data, k);
    mn_loop_enter_step(meta, scratch, theta, k - 1);
    mn_real *part = mn_scratch_at(scratch, meta->at_on_the_way);
    (void)mn_loop_query(meta, scratch, theta, data, mn_loop_phi_before(meta, scratch, theta, k),
                        part, mn_scratch_at(scratch, meta->at_dropped));
    meta->kernels->scale_add(meta->n_phi, weight, part + meta->plans.adapted_offset, lam, lam);
    add_rest(meta, weight, part, judged);
    mn_loop_add_to_norms(meta, scratch, weight, of_rule);
}

/* The products of the second derivatives at inner step k with `along`: at next those in phi, and for
 * what stands still what they add to judged, or to the features' cotangents. */
static void run_products(const mn_loop *meta, void *scratch, const mn_real *theta, uint32_t k,
                         const mn_rule_data *data, const mn_real *along, mn_real *next,
                         mn_real *judged, mn_real *of_rule)
{
    mn_real *cotangent = mn_scratch_at(scratch, meta->at_cotangent);
    mn_real *cotangents = mn_loop_step_features(meta, scratch, meta->at_cotangents); /* their sum */
    const mn_real factor = steps_have_adjoints(meta)        ? 1
                           : meta->kind == MN_META_META_SGD ? -1
                                                            : (mn_real)-meta->inner_lr;
    mn_bindings bindings = {.in = {[MN_SLOT_PHI] = mn_loop_phi_before(meta, scratch, theta, k),
                                   [MN_SLOT_THETA] = theta,
                                   [MN_SLOT_DIRECTION] = along,
                                   [MN_SLOT_STEP] = mn_scratch_at(scratch, meta->at_norms),
                                   [MN_SLOT_FEATURES] = mn_loop_step_u(meta, scratch),
                                   [MN_SLOT_TASK] = mn_loop_step_task(meta, scratch, data)},
                            .out = {[MN_SLOT_PRODUCT] = mn_scratch_at(scratch, meta->at_rest),
                                    [MN_SLOT_STEP] = mn_scratch_at(scratch, meta->at_of_norms),
                                    [MN_SLOT_MOVED] = next,
                                    [MN_SLOT_COTANGENT] = cotangent},
                            .kept = mn_loop_region(meta, scratch, k),
                            .profile = data->profile};
    mn_plan_run(meta->plans.support, 1, scratch, &bindings);
    mn_loop_add_to_norms(meta, scratch, factor, of_rule);
    if (mn_loop_has_rest(meta))
        add_rest(meta, factor, mn_scratch_at(scratch, meta->at_rest), judged);
    if (meta->plans.splits)
        meta->kernels->scale_add(meta->plans.u_count / meta->plans.step.n, factor, cotangent,
                                 cotangents, cotangents);
}

mn_real *mn_loop_walk_back(const mn_loop *meta, void *scratch, const mn_real *theta,
                           const mn_rule_data *data, mn_real *judged, mn_real *other,
                           mn_real *of_rule)
{
    const bool has_rates = meta->plans.needs.gradients;
    const bool second_order = data->meta_step >= meta->second_order_from;
    mn_real *lam = judged + meta->plans.adapted_offset;
    mn_real *next = other + meta->plans.adapted_offset; /* with rates: the product */
    memset(mn_scratch_at(scratch, meta->at_cotangents), 0, meta->plans.u_count * sizeof *lam);
    for (uint32_t k = meta->steps; k-- > 0;) {
        mn_loop_enter_step(meta, scratch, theta, k);
        const bool kept = k + meta->n_regions >= meta->steps;
        if (!kept && (second_order || has_rates)) /* as the inner step left its region */
            mn_loop_run_support(meta, scratch, mn_loop_keeps_gradients(meta) ? 0 : MN_PLAN_REPLAY,
                                k, theta, data, mn_loop_phi_before(meta, scratch, theta, k), NULL);

        const mn_real *along = lam;
        if (meta->update != NULL)
            along = through_update(meta, scratch, theta, k, data, lam, of_rule);
        else if (meta->rates.n > 0)
            along = through_step_rates(meta, scratch, theta, k, lam, of_rule);
        else if (has_rates)
            along = through_rates(meta, scratch, theta, k, lam, of_rule);
        if (second_order)
            run_products(meta, scratch, theta, k, data, along, next, judged, of_rule);
        if (second_order && has_rates) {
            meta->kernels->scale_add(meta->n_phi, steps_have_adjoints(meta) ? 1 : -1, next, lam,
                                     lam);
        } else if (second_order) {
            mn_real *before = lam;
            lam = next;
            next = before;
        }
        if (k > 0 && data->meta_step < meta->step_losses)
            add_step_loss(meta, scratch, theta, k, data, lam, judged, of_rule);
    }
    return lam;
}

void mn_loop_finish(const mn_loop *meta, void *scratch, const mn_real *theta,
                    const mn_rule_data *data, const mn_real *lam, const mn_real *judged,
                    mn_real *gradient)
{
    const mn_loop_plans *plans = &meta->plans;
    const size_t begin = plans->adapted_offset, end = begin + plans->adapted_size;
    mn_real *cotangents = mn_scratch_at(scratch, meta->at_cotangents);
    if (judged != gradient) {
        memcpy(gradient, judged, begin * sizeof *gradient);
        memcpy(gradient + end, judged + end, (meta->size - end) * sizeof *gradient);
    }
    if (lam != gradient + begin)
        memcpy(gradient + begin, lam, plans->adapted_size * sizeof *gradient);
    if (plans->head != NULL) {
        mn_real *of_u = mn_scratch_at(scratch, meta->at_cotangent);
        mn_bindings bindings = {.in = {[MN_SLOT_FEATURES] = mn_scratch_at(scratch, meta->at_u),
                                       [MN_SLOT_TASK] = data->task,
                                       [MN_SLOT_DIRECTION] = lam + plans->adapted_size},
                                .out = {[MN_SLOT_COTANGENT] = of_u},
                                .kept = mn_scratch_at(scratch, meta->at_head),
                                .profile = data->profile};
        mn_plan_run(plans->head, 1, scratch, &bindings);
        if (meta->walks_back && plans->splits)
            meta->kernels->add(plans->u_count, of_u, cotangents, cotangents);
        else
            cotangents = of_u;
    }
    if (plans->head == NULL && !(meta->walks_back && plans->splits))
        return; /* nothing went through the features at theta */
    mn_real *share = mn_scratch_at(scratch, meta->at_gradient);
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta,
                                   [MN_SLOT_TASK] = data->task,
                                   [MN_SLOT_COTANGENT] = cotangents},
                            .out = {[MN_SLOT_PRODUCT] = share},
                            .kept = mn_scratch_at(scratch, meta->at_features),
                            .profile = data->profile};
    mn_plan_run(plans->features, 1, scratch, &bindings);
    meta->kernels->add(plans->body_size, gradient, share, gradient);
}
