#include "worker/modules/meta.h"

#include "worker/modules/meta_plans.h"
#include <stdlib.h>
#include <string.h>

struct mn_meta {
    const mn_kernels *kernels;
    mn_meta_rule rule;
    bool walks_back; /* the meta-gradient goes through the inner steps */
    size_t size;     /* of the network's parameters */
    mn_meta_plans plans;
    /* Scratch: bytes from its start, where all plans work. A region holds what the walk back needs
     * of one inner step: activations, and with Meta-SGD the gradient. Steps whose regions do not
     * fit in rule.keep_bytes share the first, and the walk back makes theirs again. */
    uint32_t n_regions;
    size_t region_bytes;
    size_t at_regions, at_features, at_u, at_cotangent, at_cotangents, at_phi, at_direction,
        at_gradient, scratch_bytes;
};

static void lay_out_scratch(mn_meta *meta, bool differentiate);
static void walk_back(const mn_meta *meta, void *scratch, const mn_real *theta,
                      const mn_meta_data *data, mn_real *judged, mn_real *gradient,
                      mn_real *rates_gradient);

mn_status mn_meta_new(const mn_network *network, const mn_meta_rule *rule, uint32_t n_support,
                      uint32_t n_query, bool differentiate, const mn_kernels *kernels,
                      mn_meta **out, mn_error *err)
{
    mn_meta *meta = calloc(1, sizeof *meta);
    if (meta == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "meta-learning module");
    meta->kernels = kernels;
    meta->rule = *rule;
    meta->size = network->parameters.size;
    meta->walks_back =
        differentiate && rule->kind != MN_META_REPTILE && rule->order == 2 && rule->steps > 0;
    mn_meta_plans_needs needs = {.n_support = n_support,
                                 .n_query = n_query,
                                 .first_adapted =
                                     rule->kind == MN_META_ANIL ? network->first_output : 0,
                                 .products = meta->walks_back,
                                 .query_gradient = differentiate && rule->kind != MN_META_REPTILE,
                                 .gradients = rule->kind == MN_META_META_SGD,
                                 .rate = rule->inner_lr};
    mn_status status = mn_meta_plans_init(&meta->plans, network, &needs, kernels, err);
    if (status != MN_OK) {
        mn_meta_destroy(&meta);
        return status;
    }
    lay_out_scratch(meta, differentiate);
    *out = meta;
    return MN_OK;
}

void mn_meta_destroy(mn_meta **meta)
{
    if (*meta == NULL)
        return;
    mn_meta_plans_fini(&(*meta)->plans);
    free(*meta);
    *meta = NULL;
}

size_t mn_meta_size(const mn_meta *meta)
{
    return meta->rule.kind == MN_META_META_SGD ? 2 * meta->size : meta->size;
}

size_t mn_meta_scratch_bytes(const mn_meta *meta)
{
    return meta->scratch_bytes;
}

mn_status mn_meta_profile(const mn_meta *meta, mn_profile *profile, mn_error *err)
{
    static const char *const features[3] = {"features", "pull-back of features", ""};
    static const char *const support[3] = {"inner gradient", "Hessian-vector product",
                                           "inner step again"};
    static const char *const query[3] = {"query", "", ""};
    mn_status status = MN_OK;
    if (meta->plans.features != NULL)
        status = mn_plan_profile(meta->plans.features, features, profile, err);
    if (status == MN_OK)
        status = mn_plan_profile(meta->plans.support, support, profile, err);
    if (status == MN_OK)
        status = mn_plan_profile(meta->plans.query, query, profile, err);
    return status;
}

static mn_real *at(const void *scratch, size_t offset)
{
    return (mn_real *)(void *)((char *)(uintptr_t)scratch + offset);
}

/* The adapted tensors after step k. Without a walk back only the newest two are kept, for a step is
 * not made in place. */
static mn_real *phi_of(const mn_meta *meta, const void *scratch, uint32_t k)
{
    return at(scratch, meta->at_phi) + (meta->walks_back ? k : k % 2) * meta->plans.adapted_size;
}

/* For mn_meta_begin and what follows. */
static mn_real *adapted_in(const mn_meta *meta, const void *scratch)
{
    return phi_of(meta, scratch, 0);
}

/* The region of inner step k: the last n_regions steps have one each, all before share the first.
 */
static char *region_of(const mn_meta *meta, void *scratch, uint32_t k)
{
    uint32_t shared =
        meta->rule.steps - meta->n_regions; /* wraps for 0 steps, where k is 0 as well */
    return (char *)scratch + meta->at_regions + (k <= shared ? 0 : k - shared) * meta->region_bytes;
}

/* Whether Meta-SGD's walk back needs the gradients themselves. */
static bool keeps_gradients(const mn_meta *meta)
{
    return meta->walks_back && meta->rule.kind == MN_META_META_SGD;
}

static mn_real *gradient_of(const mn_meta *meta, void *scratch, uint32_t k)
{
    return keeps_gradients(meta)
               ? at(region_of(meta, scratch, k), mn_plan_kept_bytes(meta->plans.support))
               : at(scratch, meta->at_gradient);
}

/* Once a task: the features of the support set stay the same for all inner steps. */
static void find_features(const mn_meta *meta, void *scratch, const mn_real *theta,
                          const mn_meta_data *data)
{
    if (meta->plans.features == NULL)
        return;
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta, [MN_SLOT_X] = data->support_x},
                            .out = {[MN_SLOT_OUTPUT] = at(scratch, meta->at_u)},
                            .kept = at(scratch, meta->at_features),
                            .profile = data->profile};
    mn_plan_run(meta->plans.features, 0, scratch, &bindings);
}

/* What the inner loop's network reads. */
static const mn_real *support_x(const mn_meta *meta, const void *scratch, const mn_meta_data *data)
{
    return meta->plans.features == NULL ? data->support_x : at(scratch, meta->at_u);
}

/* A stage of the support set's plan at phi of inner step k, with what its product needs in the
 * step's region. */
static void run_support(const mn_meta *meta, void *scratch, unsigned stage, uint32_t k,
                        const mn_meta_data *data, const mn_real *phi, mn_real *moved)
{
    mn_bindings bindings = {
        .in = {[MN_SLOT_PHI] = phi,
               [MN_SLOT_X] = support_x(meta, scratch, data),
               [MN_SLOT_Y] = data->support_y},
        .out = {[MN_SLOT_GRADIENT] = gradient_of(meta, scratch, k), [MN_SLOT_MOVED] = moved},
        .kept = region_of(meta, scratch, k),
        .profile = data->profile};
    mn_plan_run(meta->plans.support, stage, scratch, &bindings);
}

/* to = from - alpha .* gradient of the support loss, of the adapted tensors; not in place. Returns
 * the loss before the step. */
static double inner_step(const mn_meta *meta, void *scratch, const mn_real *theta, uint32_t k,
                         const mn_meta_data *data, const mn_real *from, mn_real *to)
{
    run_support(meta, scratch, 0, k, data, from, to);
    if (meta->rule.kind == MN_META_META_SGD) {
        size_t n = meta->plans.adapted_size;
        meta->kernels->multiply(n, theta + meta->size, gradient_of(meta, scratch, k), to);
        meta->kernels->scale_add(n, -1, to, from, to);
    }
    return mn_plan_loss(meta->plans.support, scratch);
}

/* Without a step: what the plan makes of one is dropped. */
static double support_loss(const mn_meta *meta, void *scratch, const mn_meta_data *data,
                           const mn_real *phi)
{
    run_support(meta, scratch, 0, 0, data, phi, phi_of(meta, scratch, 1));
    return mn_plan_loss(meta->plans.support, scratch);
}

static double query_run(const mn_meta *meta, void *scratch, const mn_real *theta,
                        const mn_meta_data *data, const mn_real *phi, mn_real *gradient,
                        mn_real *output)
{
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta,
                                   [MN_SLOT_PHI] = phi,
                                   [MN_SLOT_X] = data->query_x,
                                   [MN_SLOT_Y] = data->query_y},
                            .out = {[MN_SLOT_GRADIENT] = gradient, [MN_SLOT_OUTPUT] = output},
                            .profile = data->profile};
    mn_plan_run(meta->plans.query, 0, scratch, &bindings);
    return mn_plan_loss(meta->plans.query, scratch);
}

mn_meta_losses mn_meta_gradient(const mn_meta *meta, void *scratch, const mn_real *theta,
                                const mn_meta_data *data, mn_real *gradient, mn_real *query_output)
{
    const uint32_t steps = meta->rule.steps;
    mn_real *rates_gradient = meta->rule.kind == MN_META_META_SGD ? gradient + meta->size : NULL;
    mn_meta_losses losses = {0};
    const mn_real *phi = theta + meta->plans.adapted_offset;
    find_features(meta, scratch, theta, data);
    if (rates_gradient != NULL && !meta->walks_back)
        memset(rates_gradient, 0, meta->size * sizeof *gradient);
    for (uint32_t k = 0; k < steps; k++) {
        mn_real *next = phi_of(meta, scratch, k);
        double loss = inner_step(meta, scratch, theta, k, data, phi, next);
        if (k == 0)
            losses.support_before = loss;
        if (rates_gradient != NULL && !meta->walks_back) /* first order: lam stays the same */
            meta->kernels->add(meta->size, gradient_of(meta, scratch, k), rates_gradient,
                               rates_gradient);
        phi = next;
    }
    if (steps == 0)
        losses.support_before = support_loss(meta, scratch, data, phi);
    /* The walk back moves lam from one array to another, and must end in gradient. */
    mn_real *judged = gradient;
    if (meta->walks_back && rates_gradient == NULL && steps % 2 == 1)
        judged = at(scratch, meta->at_gradient);
    losses.query = query_run(meta, scratch, theta, data, phi, judged, query_output);

    if (meta->rule.kind == MN_META_REPTILE) {
        meta->kernels->scale_add(meta->size, -1, phi, theta, gradient);
    } else if (meta->walks_back) {
        walk_back(meta, scratch, theta, data, judged, gradient, rates_gradient);
    } else if (rates_gradient != NULL) {
        meta->kernels->multiply(meta->size, gradient, rates_gradient, rates_gradient);
        meta->kernels->scale(meta->size, -1, rates_gradient, rates_gradient);
    }
    return losses;
}

/* Meta-SGD, at step k: d alpha -= lam .* gradient, in whose room the product is made; returns
 * alpha .* lam. */
static const mn_real *through_rates(const mn_meta *meta, void *scratch, const mn_real *theta,
                                    uint32_t k, const mn_real *lam, mn_real *rates_gradient)
{
    const mn_kernels *kernels = meta->kernels;
    mn_real *part = gradient_of(meta, scratch, k), *along = at(scratch, meta->at_direction);
    kernels->multiply(meta->size, lam, part, part);
    if (k + 1 == meta->rule.steps) /* the first to be met */
        kernels->scale(meta->size, -1, part, rates_gradient);
    else
        kernels->scale_add(meta->size, -1, part, rates_gradient, rates_gradient);
    kernels->multiply(meta->size, theta + meta->size, lam, along);
    return along;
}

/* lam = lam - H(phi_k) (alpha .* lam), from the last inner step to the first. It begins in judged,
 * the query set's gradient, and goes to and fro between that and another array, with Meta-SGD stays
 * in it; the caller has seen to it that it ends in gradient. A body that stands still gets what the
 * features' cotangents of all steps give together, for it depends on them linearly. */
static void walk_back(const mn_meta *meta, void *scratch, const mn_real *theta,
                      const mn_meta_data *data, mn_real *judged, mn_real *gradient,
                      mn_real *rates_gradient)
{
    mn_real *other = judged == gradient ? at(scratch, meta->at_gradient) : gradient;
    mn_real *lam = judged + meta->plans.adapted_offset;
    mn_real *next = other + meta->plans.adapted_offset; /* Meta-SGD: the product */
    mn_real *cotangent = at(scratch, meta->at_cotangent);
    mn_real *cotangents = at(scratch, meta->at_cotangents); /* their sum */
    memset(cotangents, 0, meta->plans.u_count * sizeof *cotangents);
    for (uint32_t k = meta->rule.steps; k-- > 0;) {
        const mn_real *phi =
            k == 0 ? theta + meta->plans.adapted_offset : phi_of(meta, scratch, k - 1);
        if (k + meta->n_regions < meta->rule.steps) /* as the inner step left its region */
            run_support(meta, scratch, keeps_gradients(meta) ? 0 : MN_PLAN_REPLAY, k, data, phi,
                        NULL);

        const mn_real *along = lam;
        if (rates_gradient != NULL)
            along = through_rates(meta, scratch, theta, k, lam, rates_gradient);
        mn_bindings bindings = {
            .in = {[MN_SLOT_PHI] = phi,
                   [MN_SLOT_DIRECTION] = along,
                   [MN_SLOT_X] = support_x(meta, scratch, data),
                   [MN_SLOT_Y] = data->support_y},
            .out =
                {[MN_SLOT_PRODUCT] = next, [MN_SLOT_MOVED] = next, [MN_SLOT_COTANGENT] = cotangent},
            .kept = region_of(meta, scratch, k),
            .profile = data->profile};
        mn_plan_run(meta->plans.support, 1, scratch, &bindings);
        if (rates_gradient != NULL) {
            meta->kernels->scale_add(meta->plans.adapted_size, -1, next, lam, lam);
        } else {
            mn_real *before = lam;
            lam = next;
            next = before;
        }
        if (meta->plans.features != NULL)
            meta->kernels->scale_add(meta->plans.u_count, (mn_real)-meta->rule.inner_lr, cotangent,
                                     cotangents, cotangents);
    }
    if (meta->plans.features != NULL) {
        mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta,
                                       [MN_SLOT_X] = data->support_x,
                                       [MN_SLOT_COTANGENT] = cotangents},
                                .out = {[MN_SLOT_PRODUCT] = other},
                                .kept = at(scratch, meta->at_features),
                                .profile = data->profile};
        mn_plan_run(meta->plans.features, 1, scratch, &bindings);
        meta->kernels->add(meta->plans.adapted_offset, judged, other, gradient);
    }
}

void mn_meta_begin(const mn_meta *meta, void *scratch, const mn_real *theta,
                   const mn_meta_data *data)
{
    memcpy(adapted_in(meta, scratch), theta + meta->plans.adapted_offset,
           meta->plans.adapted_size * sizeof *theta);
    find_features(meta, scratch, theta, data);
}

double mn_meta_step(const mn_meta *meta, void *scratch, const mn_real *theta,
                    const mn_meta_data *data)
{
    mn_real *phi = adapted_in(meta, scratch), *next = phi_of(meta, scratch, 1);
    double loss = inner_step(meta, scratch, theta, 0, data, phi, next);
    memcpy(phi, next, meta->plans.adapted_size * sizeof *phi);
    return loss;
}

double mn_meta_judge(const mn_meta *meta, void *scratch, const mn_real *theta,
                     const mn_meta_data *data, mn_real *query_output)
{
    return query_run(meta, scratch, theta, data, adapted_in(meta, scratch),
                     at(scratch, meta->at_gradient), query_output);
}

double mn_meta_support(const mn_meta *meta, void *scratch, const mn_meta_data *data)
{
    return support_loss(meta, scratch, data, adapted_in(meta, scratch));
}

void mn_meta_adapted(const mn_meta *meta, const void *scratch, const mn_real *theta,
                     mn_real *adapted)
{
    memcpy(adapted, theta, meta->plans.adapted_offset * sizeof *adapted);
    memcpy(adapted + meta->plans.adapted_offset, adapted_in(meta, scratch),
           meta->plans.adapted_size * sizeof *adapted);
}

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t take(size_t *bytes, size_t n)
{
    size_t offset = *bytes;
    *bytes += rounded(n);
    return offset;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void lay_out_scratch(mn_meta *meta, bool differentiate)
{
    const mn_meta_plans *plans = &meta->plans;
    size_t work =
        larger(mn_plan_scratch_bytes(plans->support), mn_plan_scratch_bytes(plans->query));
    size_t theta = meta->size * sizeof(mn_real), adapted = plans->adapted_size * sizeof(mn_real);
    size_t u = plans->u_count * sizeof(mn_real), features = 0, bytes = 0;
    if (plans->features != NULL) {
        work = larger(work, mn_plan_scratch_bytes(plans->features));
        features = mn_plan_kept_bytes(plans->features);
    }
    meta->region_bytes =
        mn_plan_kept_bytes(plans->support) + (keeps_gradients(meta) ? rounded(adapted) : 0);
    meta->n_regions = 1;
    if (meta->walks_back)
        while (meta->n_regions < meta->rule.steps &&
               (meta->n_regions + 1) * meta->region_bytes <= meta->rule.keep_bytes)
            meta->n_regions++;
    (void)take(&bytes, work);
    meta->at_regions = take(&bytes, meta->n_regions * meta->region_bytes);
    meta->at_features = take(&bytes, features);
    meta->at_u = take(&bytes, u);
    meta->at_cotangent = take(&bytes, u);
    meta->at_cotangents = take(&bytes, u);
    size_t n_phis = meta->walks_back && meta->rule.steps > 2 ? meta->rule.steps : 2;
    meta->at_phi = take(&bytes, n_phis * adapted);
    meta->at_direction = take(&bytes, keeps_gradients(meta) ? adapted : 0);
    meta->at_gradient = take(&bytes, differentiate ? theta : adapted);
    meta->scratch_bytes = bytes;
}
