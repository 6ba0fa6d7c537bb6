#include "worker/learner/rules/loop_steps.h"

#include "worker/learner/rules/step_losses.h"
#include <string.h>

void mn_loop_enter_step(const mn_loop *meta, void *scratch, const mn_real *theta, uint32_t step)
{
    mn_loop_place_of(meta, scratch)->step = step;
    mn_step_norms_take(&meta->norms, theta, step, mn_scratch_at(scratch, meta->at_norms));
}

void mn_loop_add_to_norms(const mn_loop *meta, const void *scratch, mn_real factor,
                          mn_real *of_rule)
{
    mn_step_norms_add(&meta->norms, mn_loop_place_of(meta, scratch)->step, factor,
                      mn_scratch_at(scratch, meta->at_of_norms), of_rule - meta->size);
}

void mn_loop_find_features(const mn_loop *meta, void *scratch, const mn_real *theta,
                           const mn_rule_data *data)
{
    const mn_slice *body = &meta->plans.body;
    const size_t count = meta->plans.u_count / body->n;
    for (uint32_t i = 0; i < body->n && meta->plans.features != NULL; i++) {
        mn_real *slice = mn_scratch_at(scratch, meta->at_slice);
        mn_bindings bindings = {
            .in = {[MN_SLOT_THETA] = theta,
                   [MN_SLOT_TASK] = mn_slice_take(body, data->task, i, slice)},
            .out = {[MN_SLOT_OUTPUT] = mn_scratch_at(scratch, meta->at_u) + i * count},
            .kept = mn_scratch_at(scratch, meta->at_features),
            .profile = data->profile};
        mn_plan_run(meta->plans.features, 0, scratch, &bindings);
    }
    if (meta->plans.head_size == 0)
        return;
    mn_real *start = mn_scratch_at(scratch, meta->at_start);
    memcpy(start, theta + meta->plans.adapted_offset, meta->plans.adapted_size * sizeof *start);
    memset(start + meta->plans.adapted_size, 0, meta->plans.head_size * sizeof *start);
    if (meta->plans.head == NULL)
        return;
    mn_bindings bindings = {
        .in =
            {[MN_SLOT_FEATURES] = mn_scratch_at(scratch, meta->at_u), [MN_SLOT_TASK] = data->task},
        .out = {[MN_SLOT_OUTPUT] = start + meta->plans.adapted_size},
        .kept = mn_scratch_at(scratch, meta->at_head),
        .profile = data->profile};
    mn_plan_run(meta->plans.head, 0, scratch, &bindings);
}

const mn_real *mn_loop_step_task(const mn_loop *meta, const void *scratch, const mn_rule_data *data)
{
    return mn_slice_take(&meta->plans.step, data->task, mn_loop_place_of(meta, scratch)->step,
                         mn_scratch_at(scratch, meta->at_slice));
}

mn_real *mn_loop_step_features(const mn_loop *meta, const void *scratch, size_t array)
{
    const uint32_t n = meta->plans.step.n;
    const size_t slice = n > 1 ? mn_loop_place_of(meta, scratch)->step : 0;
    return mn_scratch_at(scratch, array) + slice * (meta->plans.u_count / n);
}

const mn_real *mn_loop_step_u(const mn_loop *meta, const void *scratch)
{
    const uint32_t n = meta->plans.step.n;
    if (n == 1 || !meta->plans.splits)
        return mn_scratch_at(scratch, meta->at_u);
    mn_real *copy = mn_scratch_at(scratch, meta->at_step_u);
    return memcpy(copy, mn_loop_step_features(meta, scratch, meta->at_u),
                  meta->plans.u_count / n * sizeof *copy);
}

void mn_loop_run_support(const mn_loop *meta, void *scratch, unsigned stage, uint32_t k,
                         const mn_real *theta, const mn_rule_data *data, const mn_real *phi,
                         mn_real *moved)
{
    mn_bindings bindings = {
        .in = {[MN_SLOT_PHI] = phi,
               [MN_SLOT_THETA] = theta,
               [MN_SLOT_STEP] = mn_scratch_at(scratch, meta->at_norms),
               [MN_SLOT_FEATURES] = mn_loop_step_u(meta, scratch),
               [MN_SLOT_TASK] = mn_loop_step_task(meta, scratch, data)},
        .out = {[MN_SLOT_GRADIENT] = mn_loop_gradient(meta, scratch, k), [MN_SLOT_MOVED] = moved},
        .kept = mn_loop_region(meta, scratch, k),
        .profile = data->profile};
    mn_plan_run(meta->plans.support, stage, scratch, &bindings);
}

mn_update_step mn_loop_update_step(const mn_loop *meta, void *scratch, const mn_real *theta,
                                   uint32_t k, const mn_rule_data *data, const mn_real *from,
                                   mn_real *to)
{
    return (mn_update_step){.scratch = scratch,
                            .kept = mn_scratch_at(scratch, meta->at_update),
                            .profile = data->profile,
                            .theta = theta,
                            .phi = from,
                            .gradient = mn_loop_gradient(meta, scratch, k),
                            .velocity = mn_loop_velocity(meta, scratch, k),
                            .moved = to,
                            .velocity_after = mn_loop_velocity(meta, scratch, k + 1)};
}

double mn_loop_step(const mn_loop *meta, void *scratch, const mn_real *theta, uint32_t k,
                    const mn_rule_data *data, const mn_real *from, mn_real *to)
{
    mn_loop_run_support(meta, scratch, 0, k, theta, data, from, to);
    const double loss = mn_plan_loss(meta->plans.support, scratch);
    if (meta->update != NULL) {
        const mn_update_step step = mn_loop_update_step(meta, scratch, theta, k, data, from, to);
        mn_update_run(meta->update, &step);
    } else if (meta->rates.n > 0) {
        mn_step_rates_move(&meta->rates, theta, mn_loop_place_of(meta, scratch)->step, from,
                           mn_loop_gradient(meta, scratch, k), to);
    } else if (meta->kind == MN_META_META_SGD) {
        size_t n = meta->plans.adapted_size;
        meta->kernels->multiply(n, theta + meta->size, mn_loop_gradient(meta, scratch, k), to);
        meta->kernels->scale_add(n, -1, to, from, to);
    }
    return loss;
}

double mn_loop_support_loss(const mn_loop *meta, void *scratch, const mn_real *theta,
                            const mn_rule_data *data, const mn_real *phi)
{
    const uint32_t n = meta->plans.step.n;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (n > 1)
            mn_loop_place_of(meta, scratch)->step = i;
        mn_loop_run_support(meta, scratch, 0, 0, theta, data, phi, mn_loop_phi(meta, scratch, 1));
        sum += mn_plan_loss(meta->plans.support, scratch);
    }
    return sum / n;
}

double mn_loop_query(const mn_loop *meta, void *scratch, const mn_real *theta,
                     const mn_rule_data *data, const mn_real *phi, mn_real *gradient,
                     mn_real *output)
{
    const mn_slice *judged = &meta->plans.judged;
    const size_t answers =
        (size_t)judged->items * mn_network_columns(meta->plans.network, meta->plans.fields);
    double sum = 0;
    for (uint32_t i = 0; i < judged->n; i++) {
        mn_real *slice = mn_scratch_at(scratch, meta->at_slice);
        mn_bindings bindings = {
            .in = {[MN_SLOT_THETA] = theta,
                   [MN_SLOT_PHI] = phi,
                   [MN_SLOT_STEP] = mn_scratch_at(scratch, meta->at_norms),
                   [MN_SLOT_TASK] = mn_slice_take(judged, data->task, i, slice)},
            .out = {[MN_SLOT_GRADIENT] = gradient,
                    [MN_SLOT_STEP] = mn_scratch_at(scratch, meta->at_of_norms),
                    [MN_SLOT_OUTPUT] = output + i * answers},
            .profile = data->profile};
        mn_plan_run(meta->plans.query, 0, scratch, &bindings);
        sum += mn_plan_loss(meta->plans.query, scratch);
    }
    return sum / judged->n;
}

void mn_loop_clear_velocity(const mn_loop *meta, void *scratch)
{
    if (meta->update != NULL)
        memset(mn_loop_velocity(meta, scratch, 0), 0, meta->n_phi * sizeof(mn_real));
}

mn_real mn_loop_step_weight(const mn_loop *meta, const mn_rule_data *data, uint32_t k)
{
    return (mn_real)mn_step_loss_weight(meta->step_losses, data->meta_step, meta->steps, k);
}
