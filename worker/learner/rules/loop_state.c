#include "worker/learner/rules/loop_state.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Of the query set. */
static size_t answers_bytes(const mn_loop_plans *plans)
{
    const mn_field *y = mn_fields_find(plans->fields, MN_QUERY, "y");
    return y->n * (size_t)mn_network_columns(plans->network, plans->fields) * sizeof(mn_real);
}

void mn_loop_lay_out(mn_loop *meta, bool differentiate)
{
    const mn_loop_plans *plans = &meta->plans;
    size_t work =
        larger(mn_plan_scratch_bytes(plans->support), mn_plan_scratch_bytes(plans->query));
    size_t theta = meta->size * sizeof(mn_real), phi = meta->n_phi * sizeof(mn_real);
    size_t head = plans->head_size * sizeof(mn_real);
    size_t u = plans->u_count * sizeof(mn_real), features = 0, bytes = 0;
    const bool back = meta->walks_back, has_head = plans->head_size > 0;
    if (plans->features != NULL) {
        work = larger(work, mn_plan_scratch_bytes(plans->features));
        features = mn_plan_kept_bytes(plans->features);
    }
    if (plans->head != NULL)
        work = larger(work, mn_plan_scratch_bytes(plans->head));
    if (meta->update != NULL)
        work = larger(work, mn_update_scratch_bytes(meta->update));
    meta->region_bytes = mn_plan_kept_bytes(plans->support) +
                         (mn_loop_keeps_gradients(meta) ? mn_scratch_rounded(phi) : 0);
    meta->n_regions = 1;
    if (back)
        while (meta->n_regions < meta->steps &&
               (meta->n_regions + 1) * meta->region_bytes <= meta->keep_bytes)
            meta->n_regions++;
    (void)mn_scratch_take(&bytes, work);
    meta->at_regions = mn_scratch_take(&bytes, meta->n_regions * meta->region_bytes);
    meta->at_place = mn_scratch_take(&bytes, sizeof(mn_loop_place));
    meta->at_norms = mn_scratch_take(&bytes, meta->norms.size * sizeof(mn_real));
    meta->at_of_norms = mn_scratch_take(&bytes, meta->norms.size * sizeof(mn_real));
    meta->at_features = mn_scratch_take(&bytes, features);
    meta->at_u = mn_scratch_take(&bytes, u);
    meta->at_cotangent = mn_scratch_take(&bytes, u);
    meta->at_cotangents = mn_scratch_take(&bytes, u);
    size_t n_phis = back && meta->steps > 2 ? meta->steps : 2;
    meta->at_phi = mn_scratch_take(&bytes, n_phis * phi);
    meta->at_direction = mn_scratch_take(&bytes, mn_loop_keeps_gradients(meta) ? phi : 0);
    meta->at_gradient = mn_scratch_take(&bytes, differentiate ? theta + head : phi);
    meta->at_judged = mn_scratch_take(&bytes, has_head && differentiate ? theta + head : 0);
    meta->at_rest = mn_scratch_take(&bytes, mn_loop_has_rest(meta) ? theta : 0);
    meta->at_on_the_way = mn_scratch_take(&bytes, meta->step_losses > 0 ? theta + head : 0);
    meta->at_dropped = mn_scratch_take(&bytes, meta->step_losses > 0 ? answers_bytes(plans) : 0);
    meta->at_start = mn_scratch_take(&bytes, has_head ? phi : 0);
    meta->at_head =
        mn_scratch_take(&bytes, plans->head != NULL ? mn_plan_kept_bytes(plans->head) : 0);
    const size_t judged = mn_slice_count(&plans->judged);
    const size_t slice =
        larger(mn_slice_count(&plans->step), larger(mn_slice_count(&plans->body), judged));
    meta->at_slice = mn_scratch_take(&bytes, slice * sizeof(mn_real));
    meta->at_step_u = mn_scratch_take(&bytes, plans->step.n > 1 ? u / plans->step.n : 0);
    if (meta->update != NULL) {
        meta->at_velocity = mn_scratch_take(&bytes, (n_phis + 1) * phi);
        meta->at_update = mn_scratch_take(&bytes, mn_update_kept_bytes(meta->update));
        meta->at_adjoint = mn_scratch_take(&bytes, back ? 2 * phi : 0);
        meta->at_share =
            mn_scratch_take(&bytes, back ? mn_update_count(meta->update) * sizeof(mn_real) : 0);
    }
    meta->scratch_bytes = bytes;
}
