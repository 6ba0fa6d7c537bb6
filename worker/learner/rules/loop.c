/* Adaptation by gradient steps on the support set, and its derivative:
 *   inner loop      phi_0 = theta;  phi_{k+1} = phi_k - alpha .* grad L_S(phi_k)
 *   meta-gradient   lam = grad L_Q(phi_T);  for k = T-1 .. 0: lam = lam - H_S(phi_k) (alpha .* lam)
 * (MAML: Finn et al. 2017, eq. 1 and Algorithm 1; the backward walk is its adjoint.) Nothing is
 * unrolled: one gradient plan, one Hessian-vector product, and phi of each step. By
 * meta.head_start prototypes phi ends with a head that begins as the support set gives it
 * (prototype_head.h); the walk goes through that in the end. With
 *
 *   maml      alpha is meta.inner_lr; order 1 leaves out the walk (FOMAML). meta.adapts says which
 *             modules' tensors move; what stands still gets its part of the walk's products.
 *   anil      only the output module's tensors move (Raghu et al. 2020): the inner loop is MAML on
 *             the output module alone, which reads the support set's features, found once a task.
 *             The walk leaves a cotangent of the features at each step; the body's gradient is one
 *             pullback of their sum.
 *   meta-sgd  alpha is a learned vector, tensors meta_lr.* of theta (Li et al. 2017);
 *             d alpha = - sum_k lam_{k+1} .* grad L_S(phi_k)
 *   step-rates (meta.update, with maml or anil) alpha is a learned number for each tensor and inner
 *             step (step_rates.h)
 *   learned   (meta.update, with maml or anil) a step is what update.h makes of the gradient; the
 *             walk goes through its adjoint instead of alpha
 *   reptile   meta-gradient = theta - phi_T (Nichol et al. 2018); the query set only measures
 *
 * A loss after every step (step_losses.h) enters the walk at its step: lam += weight * grad L_Q(phi_k).
 * Before meta.second_order_from the walk takes H for zero. Batch norm's scales and shifts of an inner
 * step (step_norms.h) are one more part of what stands still. */
#include "worker/learner/rules/rule.h"

#include "worker/learner/rules/loop_plans.h"
#include "worker/learner/rules/step_losses.h"
#include "worker/learner/rules/step_rates.h"
#include "worker/learner/rules/update.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loop {
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
     * of one inner step: activations, and with rates or an update that are learned the gradient. Steps whose regions do not
     * fit in keep_bytes share the first, and the walk back makes theirs again. */
    uint32_t n_regions;
    size_t region_bytes;
    size_t at_regions, at_features, at_u, at_cotangent, at_cotangents, at_phi, at_direction,
        at_gradient, at_judged, at_rest, at_start, at_head, at_velocity, at_update, at_adjoint,
        at_share, at_on_the_way, at_dropped, at_place, at_norms, at_of_norms, scratch_bytes;
};

/* Where a task is, in its scratch. */
struct place {
    uint32_t done; /* inner steps of a test */
    uint32_t step; /* whose rates, scales and shifts count, where each inner step has its own */
};

static void lay_out_scratch(struct loop *meta, bool differentiate);
static mn_real *walk_back(const struct loop *meta, void *scratch, const mn_real *theta,
                          const mn_rule_data *data, mn_real *judged, mn_real *other,
                          mn_real *rates_gradient);
static void finish_gradient(const struct loop *meta, void *scratch, const mn_real *theta,
                            const mn_rule_data *data, const mn_real *lam, const mn_real *judged,
                            mn_real *gradient);

/* The tensors that adapt. */
static void find_adapting(const mn_network *network, mn_loop_needs *needs)
{
    const mn_experiment *e = network->experiment;
    const uint32_t *first = network->first;
    const mn_adapts adapts = e->meta.kind == MN_META_ANIL   ? MN_ADAPTS_OUTPUT
                             : e->meta.kind == MN_META_MAML ? e->meta.adapts
                                                            : MN_ADAPTS_ALL;
    needs->first = adapts == MN_ADAPTS_OUTPUT   ? first[MN_MODULE_OUTPUT]
                   : adapts == MN_ADAPTS_MEMORY ? first[MN_MODULE_MEMORY]
                                                : 0;
    needs->end = adapts == MN_ADAPTS_BODY     ? first[MN_MODULE_OUTPUT]
                 : adapts == MN_ADAPTS_MEMORY ? first[MN_MODULE_REASONING]
                                              : first[MN_N_MODULES];
}

static bool updates_by(const mn_experiment *e, mn_update_kind update)
{
    return (e->meta.kind == MN_META_MAML || e->meta.kind == MN_META_ANIL) &&
           e->meta.update == update;
}

/* What an update sees of phi: the tensors that adapt, and the head, if there is one, whose sizes are
 * those of the plans (NULL: not known yet). Returns how many. */
static uint32_t list_parts(const mn_network *network, const mn_loop_needs *needs,
                           const mn_loop_plans *plans, mn_update_part parts[MN_MAX_PARAMETERS + 2])
{
    uint32_t n = 0;
    for (uint32_t i = needs->first; i < needs->end; i++) {
        const mn_parameter *tensor = &network->parameters.at[i];
        parts[n++] =
            (mn_update_part){.name = tensor->tensor.name,
                             .offset = plans == NULL ? 0 : tensor->offset - plans->adapted_offset,
                             .count = tensor->count};
    }
    if (mn_head_is_of_task(network->experiment)) {
        const size_t bias = plans == NULL ? 0 : plans->fields->y_size;
        const size_t weights = plans == NULL ? 0 : plans->head_size - bias;
        const size_t offset = plans == NULL ? 0 : plans->adapted_size;
        parts[n++] = (mn_update_part){"head.weight", offset, weights};
        parts[n++] = (mn_update_part){"head.bias", offset + weights, bias};
    }
    return n;
}

static mn_status declare(mn_network *network, mn_error *err)
{
    const mn_experiment *e = network->experiment;
    const uint32_t n = network->first[MN_N_MODULES];
    mn_loop_needs needs;
    find_adapting(network, &needs);
    if (needs.first == needs.end && !mn_head_is_of_task(e))
        return mn_fail(err, MN_ERR_CONFIG,
                       "nothing would adapt: the module that meta.adapts names (or meta.kind anil, "
                       "the output) has no parameters; choose another, or meta.kind episodic");
    for (uint32_t i = 0; e->meta.kind == MN_META_META_SGD && i < n; i++) {
        char name[sizeof((mn_tensor *)0)->name];
        (void)snprintf(name, sizeof name, "meta_lr.%.80s", network->parameters.at[i].tensor.name);
        if (mn_parameters_add_like(&network->parameters, name, i, e->meta.inner_lr) == UINT32_MAX)
            return mn_fail(err, MN_ERR_CONFIG,
                           "model: more than %d tensors of parameters, rates counted; use fewer "
                           "layers",
                           MN_MAX_PARAMETERS);
    }
    mn_update_part parts[MN_MAX_PARAMETERS + 2];
    const uint32_t n_parts = list_parts(network, &needs, NULL, parts);
    mn_status status = MN_OK;
    if (updates_by(e, MN_UPDATE_LEARNED))
        status = mn_update_declare(network, n_parts, parts, err);
    else if (updates_by(e, MN_UPDATE_STEP_RATES))
        status = mn_step_rates_declare(network, n_parts, parts, err);
    return status == MN_OK ? mn_step_norms_declare(network, err) : status;
}

static mn_status compile(const mn_rule_order *order, void **out, mn_error *err)
{
    const mn_experiment *e = order->network->experiment;
    struct loop *meta = calloc(1, sizeof *meta);
    *out = meta;
    if (meta == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "meta-learning module");
    if (mn_fields_find(order->fields, MN_SUPPORT, "y") == NULL)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.kind adapts to a support set, which these tasks (tasks.kind) do not "
                       "have: use meta.kind episodic");
    meta->kernels = order->kernels;
    meta->kind = e->meta.kind;
    meta->order = e->meta.order;
    meta->steps = e->meta.inner_steps;
    meta->inner_lr = e->meta.inner_lr;
    meta->second_order_from = e->meta.second_order_from;
    meta->keep_bytes = order->keep_bytes;
    meta->walks_back = order->differentiate && meta->kind != MN_META_REPTILE && meta->order == 2 &&
                       meta->steps > 0;
    meta->step_losses = meta->walks_back ? e->meta.step_losses : 0;
    mn_loop_needs needs = {.products = meta->walks_back,
                           .query_gradient = order->differentiate && meta->kind != MN_META_REPTILE,
                           .gradients = meta->kind == MN_META_META_SGD ||
                                        updates_by(e, MN_UPDATE_LEARNED) ||
                                        updates_by(e, MN_UPDATE_STEP_RATES),
                           .rate = meta->inner_lr};
    find_adapting(order->network, &needs);
    mn_step_norms_init(&meta->norms, order->network);
    if (meta->norms.n > 0)
        needs.norms = &meta->norms;
    mn_status status = mn_loop_plans_init(&meta->plans, order->network, order->fields, &needs,
                                          order->kernels, err);
    if (status != MN_OK)
        return status;
    meta->size = meta->plans.size;
    meta->n_theta = order->network->parameters.size;
    meta->n_phi = meta->plans.adapted_size + meta->plans.head_size;
    mn_update_part parts[MN_MAX_PARAMETERS + 2];
    const uint32_t n_parts = list_parts(order->network, &needs, &meta->plans, parts);
    if (updates_by(e, MN_UPDATE_LEARNED))
        status = mn_update_new(order->network, n_parts, parts, meta->n_phi, order->kernels,
                               &meta->update, err);
    if (status != MN_OK)
        return status;
    if (updates_by(e, MN_UPDATE_STEP_RATES))
        mn_step_rates_init(&meta->rates, order->network, n_parts, parts, order->kernels);
    lay_out_scratch(meta, order->differentiate);
    return MN_OK;
}

static void destroy(void *of)
{
    struct loop *meta = of;
    if (meta != NULL) {
        mn_loop_plans_fini(&meta->plans);
        mn_update_destroy(&meta->update);
    }
    free(meta);
}

static size_t scratch_bytes(const void *of)
{
    const struct loop *meta = of;
    return meta->scratch_bytes;
}

static mn_status profile(const void *of, mn_profile *profile, mn_error *err)
{
    const struct loop *meta = of;
    static const char *const features[3] = {"features", "pull-back of features", ""};
    static const char *const support[3] = {"inner gradient", "Hessian-vector product",
                                           "inner step again"};
    static const char *const query[3] = {"query", "", ""};
    static const char *const head[3] = {"prototypes", "pull-back of prototypes", ""};
    mn_status status = MN_OK;
    if (meta->plans.features != NULL)
        status = mn_plan_profile(meta->plans.features, features, profile, err);
    if (status == MN_OK)
        status = mn_plan_profile(meta->plans.support, support, profile, err);
    if (status == MN_OK)
        status = mn_plan_profile(meta->plans.query, query, profile, err);
    if (status == MN_OK && meta->plans.head != NULL)
        status = mn_plan_profile(meta->plans.head, head, profile, err);
    if (status == MN_OK && meta->update != NULL)
        status = mn_update_profile(meta->update, profile, err);
    return status;
}

static mn_real *at(const void *scratch, size_t offset)
{
    return (mn_real *)(void *)((char *)(uintptr_t)scratch + offset);
}

/* The adapted tensors after step k. Without a walk back only the newest two are kept, for a step is
 * not made in place. */
static mn_real *phi_of(const struct loop *meta, const void *scratch, uint32_t k)
{
    return at(scratch, meta->at_phi) + (meta->walks_back ? k : k % 2) * meta->n_phi;
}

/* What a learned update remembers before step k. Without a walk back as phi. */
static mn_real *velocity_of(const struct loop *meta, const void *scratch, uint32_t k)
{
    return at(scratch, meta->at_velocity) + (meta->walks_back ? k : k % 2) * meta->n_phi;
}

/* Phi before step k. */
static const mn_real *phi_before(const struct loop *meta, const void *scratch, const mn_real *theta,
                                 uint32_t k)
{
    if (k > 0)
        return phi_of(meta, scratch, k - 1);
    return meta->plans.head != NULL ? at(scratch, meta->at_start)
                                    : theta + meta->plans.adapted_offset;
}

/* For mn_meta_begin and what follows. */
static mn_real *adapted_in(const struct loop *meta, const void *scratch)
{
    return phi_of(meta, scratch, 0);
}

/* The region of inner step k: the last n_regions steps have one each, all before share the first.
 */
static char *region_of(const struct loop *meta, void *scratch, uint32_t k)
{
    uint32_t shared = meta->steps - meta->n_regions; /* wraps for 0 steps, where k is 0 as well */
    return (char *)scratch + meta->at_regions + (k <= shared ? 0 : k - shared) * meta->region_bytes;
}

static struct place *place_of(const struct loop *meta, const void *scratch)
{
    return (struct place *)(void *)at(scratch, meta->at_place);
}

/* From now on the tensors that there are of each inner step are those of this one. */
static void enter_step(const struct loop *meta, void *scratch, const mn_real *theta, uint32_t step)
{
    place_of(meta, scratch)->step = step;
    mn_step_norms_take(&meta->norms, theta, step, at(scratch, meta->at_norms));
}

/* What the query set or the products just gave to the step's scales and shifts of batch norm;
 * of_rule: the gradient of the tensors behind the network's. */
static void add_to_norms(const struct loop *meta, const void *scratch, mn_real factor,
                         mn_real *of_rule)
{
    mn_step_norms_add(&meta->norms, place_of(meta, scratch)->step, factor,
                      at(scratch, meta->at_of_norms), of_rule - meta->size);
}

/* Whether the walk back needs the gradients themselves: Meta-SGD's, or a learned update's. */
static bool keeps_gradients(const struct loop *meta)
{
    return meta->walks_back && meta->plans.needs.gradients;
}

/* Whether some of what stands still has a part in the inner loop's network. */
static bool has_rest(const struct loop *meta)
{
    return meta->walks_back && !meta->plans.splits && meta->plans.adapted_size < meta->size;
}

static mn_real *gradient_of(const struct loop *meta, void *scratch, uint32_t k)
{
    return keeps_gradients(meta)
               ? at(region_of(meta, scratch, k), mn_plan_kept_bytes(meta->plans.support))
               : at(scratch, meta->at_gradient);
}

/* Once a task: the features of the support set at theta, which stay the same for all inner steps if
 * the body stands still; and phi with the head that they give. */
static void find_features(const struct loop *meta, void *scratch, const mn_real *theta,
                          const mn_rule_data *data)
{
    if (meta->plans.features == NULL)
        return;
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta, [MN_SLOT_TASK] = data->task},
                            .out = {[MN_SLOT_OUTPUT] = at(scratch, meta->at_u)},
                            .kept = at(scratch, meta->at_features),
                            .profile = data->profile};
    mn_plan_run(meta->plans.features, 0, scratch, &bindings);
    if (meta->plans.head == NULL)
        return;
    mn_real *start = at(scratch, meta->at_start);
    memcpy(start, theta + meta->plans.adapted_offset, meta->plans.adapted_size * sizeof *start);
    bindings = (mn_bindings){
        .in = {[MN_SLOT_FEATURES] = at(scratch, meta->at_u), [MN_SLOT_TASK] = data->task},
        .out = {[MN_SLOT_OUTPUT] = start + meta->plans.adapted_size},
        .kept = at(scratch, meta->at_head),
        .profile = data->profile};
    mn_plan_run(meta->plans.head, 0, scratch, &bindings);
}

/* A stage of the support set's plan at phi of inner step k, with what its product needs in the
 * step's region. */
static void run_support(const struct loop *meta, void *scratch, unsigned stage, uint32_t k,
                        const mn_real *theta, const mn_rule_data *data, const mn_real *phi,
                        mn_real *moved)
{
    mn_bindings bindings = {
        .in = {[MN_SLOT_PHI] = phi,
               [MN_SLOT_THETA] = theta,
               [MN_SLOT_STEP] = at(scratch, meta->at_norms),
               [MN_SLOT_FEATURES] = at(scratch, meta->at_u),
               [MN_SLOT_TASK] = data->task},
        .out = {[MN_SLOT_GRADIENT] = gradient_of(meta, scratch, k), [MN_SLOT_MOVED] = moved},
        .kept = region_of(meta, scratch, k),
        .profile = data->profile};
    mn_plan_run(meta->plans.support, stage, scratch, &bindings);
}

static mn_update_step update_step(const struct loop *meta, void *scratch, const mn_real *theta,
                                  uint32_t k, const mn_rule_data *data, const mn_real *from,
                                  mn_real *to)
{
    return (mn_update_step){.scratch = scratch,
                            .kept = at(scratch, meta->at_update),
                            .profile = data->profile,
                            .theta = theta,
                            .phi = from,
                            .gradient = gradient_of(meta, scratch, k),
                            .velocity = velocity_of(meta, scratch, k),
                            .moved = to,
                            .velocity_after = velocity_of(meta, scratch, k + 1)};
}

/* to = from - alpha .* gradient of the support loss, of the adapted tensors; not in place. Returns
 * the loss before the step. */
static double inner_step(const struct loop *meta, void *scratch, const mn_real *theta, uint32_t k,
                         const mn_rule_data *data, const mn_real *from, mn_real *to)
{
    run_support(meta, scratch, 0, k, theta, data, from, to);
    const double loss = mn_plan_loss(meta->plans.support, scratch);
    if (meta->update != NULL) {
        const mn_update_step step = update_step(meta, scratch, theta, k, data, from, to);
        mn_update_run(meta->update, &step);
    } else if (meta->rates.n > 0) {
        mn_step_rates_move(&meta->rates, theta, place_of(meta, scratch)->step, from,
                           gradient_of(meta, scratch, k), to);
    } else if (meta->kind == MN_META_META_SGD) {
        size_t n = meta->plans.adapted_size;
        meta->kernels->multiply(n, theta + meta->size, gradient_of(meta, scratch, k), to);
        meta->kernels->scale_add(n, -1, to, from, to);
    }
    return loss;
}

/* Without a step: what the plan makes of one is dropped. */
static double support_loss(const struct loop *meta, void *scratch, const mn_real *theta,
                           const mn_rule_data *data, const mn_real *phi)
{
    run_support(meta, scratch, 0, 0, theta, data, phi, phi_of(meta, scratch, 1));
    return mn_plan_loss(meta->plans.support, scratch);
}

static double query_run(const struct loop *meta, void *scratch, const mn_real *theta,
                        const mn_rule_data *data, const mn_real *phi, mn_real *gradient,
                        mn_real *output)
{
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta,
                                   [MN_SLOT_PHI] = phi,
                                   [MN_SLOT_STEP] = at(scratch, meta->at_norms),
                                   [MN_SLOT_TASK] = data->task},
                            .out = {[MN_SLOT_GRADIENT] = gradient,
                                    [MN_SLOT_STEP] = at(scratch, meta->at_of_norms),
                                    [MN_SLOT_OUTPUT] = output},
                            .profile = data->profile};
    mn_plan_run(meta->plans.query, 0, scratch, &bindings);
    return mn_plan_loss(meta->plans.query, scratch);
}

static void clear_velocity(const struct loop *meta, void *scratch)
{
    if (meta->update != NULL)
        memset(velocity_of(meta, scratch, 0), 0, meta->n_phi * sizeof(mn_real));
}

/* What the loss after inner step k counts, 1 <= k <= steps. */
static mn_real weight_of(const struct loop *meta, const mn_rule_data *data, uint32_t k)
{
    return (mn_real)mn_step_loss_weight(meta->step_losses, data->meta_step, meta->steps, k);
}

static mn_rule_losses gradient_of_task(const void *of, void *scratch, const mn_real *theta,
                                       const mn_rule_data *data, mn_real *gradient,
                                       mn_real *query_output)
{
    const struct loop *meta = of;
    const uint32_t steps = meta->steps;
    const size_t n_of_rule = meta->n_theta - meta->size;
    mn_real *of_rule = gradient + meta->size;
    const bool sums_gradients = meta->kind == MN_META_META_SGD && !meta->walks_back;
    mn_rule_losses losses = {0};
    find_features(meta, scratch, theta, data);
    clear_velocity(meta, scratch);
    const mn_real *phi = phi_before(meta, scratch, theta, 0);
    if (!meta->walks_back || meta->norms.n > 0) /* else the walk writes it */
        memset(of_rule, 0, n_of_rule * sizeof *gradient);
    for (uint32_t k = 0; k < steps; k++) {
        mn_real *next = phi_of(meta, scratch, k);
        enter_step(meta, scratch, theta, k);
        double loss = inner_step(meta, scratch, theta, k, data, phi, next);
        if (k == 0)
            losses.support_before = loss;
        if (sums_gradients) /* first order: lam stays the same */
            meta->kernels->add(meta->size, gradient_of(meta, scratch, k), of_rule, of_rule);
        phi = next;
    }
    if (steps == 0) {
        enter_step(meta, scratch, theta, 0);
        losses.support_before = support_loss(meta, scratch, theta, data, phi);
    }
    /* The walk back moves lam from one array to another, and should end in gradient, unless there is
     * a head, for which that has no room. */
    mn_real *judged = gradient, *other = at(scratch, meta->at_gradient);
    if (meta->plans.head != NULL) {
        judged = at(scratch, meta->at_judged);
    } else if (meta->walks_back && !meta->plans.needs.gradients && steps % 2 == 1) {
        judged = other;
        other = gradient;
    }
    losses.query = query_run(meta, scratch, theta, data, phi, judged, query_output);
    mn_real weight = 1;
    if (data->meta_step < meta->step_losses) {
        weight = weight_of(meta, data, steps);
        meta->kernels->scale(meta->size + meta->plans.head_size, weight, judged, judged);
    }
    add_to_norms(meta, scratch, weight, of_rule);

    const mn_real *lam = judged + meta->plans.adapted_offset;
    if (meta->kind == MN_META_REPTILE) {
        meta->kernels->scale_add(meta->size, -1, phi, theta, gradient);
        return losses;
    }
    if (meta->walks_back) {
        lam = walk_back(meta, scratch, theta, data, judged, other, of_rule);
    } else if (sums_gradients) {
        meta->kernels->multiply(meta->size, gradient, of_rule, of_rule);
        meta->kernels->scale(meta->size, -1, of_rule, of_rule);
    }
    finish_gradient(meta, scratch, theta, data, lam, judged, gradient);
    return losses;
}

/* Meta-SGD, at step k: d alpha -= lam .* gradient, in whose room the product is made; returns
 * alpha .* lam. */
static const mn_real *through_rates(const struct loop *meta, void *scratch, const mn_real *theta,
                                    uint32_t k, const mn_real *lam, mn_real *rates_gradient)
{
    const mn_kernels *kernels = meta->kernels;
    mn_real *part = gradient_of(meta, scratch, k), *along = at(scratch, meta->at_direction);
    kernels->multiply(meta->size, lam, part, part);
    if (k + 1 == meta->steps) /* the first to be met */
        kernels->scale(meta->size, -1, part, rates_gradient);
    else
        kernels->scale_add(meta->size, -1, part, rates_gradient, rates_gradient);
    kernels->multiply(meta->size, theta + meta->size, lam, along);
    return along;
}

/* Rates of each tensor and step: the same but for - alpha .* lam. */
static const mn_real *through_step_rates(const struct loop *meta, void *scratch,
                                         const mn_real *theta, uint32_t k, const mn_real *lam,
                                         mn_real *rates_gradient)
{
    mn_real *along = at(scratch, meta->at_direction);
    mn_step_rates_pull(&meta->rates, theta, k, gradient_of(meta, scratch, k), lam, along,
                       rates_gradient - meta->size);
    return along;
}

/* Does what a step is made by give the adjoint of the gradient, sign and rate included? */
static bool steps_have_adjoints(const struct loop *meta)
{
    return meta->update != NULL || meta->rates.n > 0;
}

/* A learned update, at step k, of which moved [n_phi] has the adjoint lam: its tensors' gradient, and
 * the adjoint of the velocity in the array behind the copy of lam; returns that of the gradient. */
static const mn_real *through_update(const struct loop *meta, void *scratch, const mn_real *theta,
                                     uint32_t k, const mn_rule_data *data, const mn_real *lam,
                                     mn_real *rates_gradient)
{
    const size_t n = mn_update_count(meta->update);
    mn_real *adjoint = at(scratch, meta->at_adjoint), *of_velocity = adjoint + meta->n_phi;
    mn_real *along = at(scratch, meta->at_direction), *share = at(scratch, meta->at_share);
    /* The adjoint reads what only a run leaves behind, so the step is made again, to where nothing is
     * lost; the velocity after it is read no more, and its array takes the adjoint of that before. */
    mn_update_step step =
        update_step(meta, scratch, theta, k, data, phi_before(meta, scratch, theta, k), along);
    if (k + 1 == meta->steps) { /* the first to be met */
        memset(of_velocity, 0, meta->n_phi * sizeof *adjoint);
        memset(rates_gradient, 0, n * sizeof *rates_gradient);
    }
    memcpy(adjoint, lam, meta->n_phi * sizeof *adjoint);
    mn_update_run(meta->update, &step);
    mn_update_pull(meta->update, &step, adjoint, along, velocity_of(meta, scratch, k + 1), share);
    memcpy(of_velocity, velocity_of(meta, scratch, k + 1), meta->n_phi * sizeof *adjoint);
    meta->kernels->add(n, share, rates_gradient, rates_gradient);
    return along;
}

/* Of tensors that stand still in the inner loop: sum += factor * part. */
static void add_rest(const struct loop *meta, mn_real factor, const mn_real *part, mn_real *sum)
{
    const size_t begin = meta->plans.adapted_offset, end = begin + meta->plans.adapted_size;
    meta->kernels->scale_add(begin, factor, part, sum, sum);
    meta->kernels->scale_add(meta->size - end, factor, part + end, sum + end, sum + end);
}

/* The query loss after inner step k, on the way back, where lam is the adjoint of phi there. */
static void add_step_loss(const struct loop *meta, void *scratch, const mn_real *theta, uint32_t k,
                          const mn_rule_data *data, mn_real *lam, mn_real *judged, mn_real *of_rule)
{
    const mn_real weight = weight_of(meta, data, k);
    enter_step(meta, scratch, theta, k - 1);
    mn_real *part = at(scratch, meta->at_on_the_way);
    (void)query_run(meta, scratch, theta, data, phi_before(meta, scratch, theta, k), part,
                    at(scratch, meta->at_dropped));
    meta->kernels->scale_add(meta->n_phi, weight, part + meta->plans.adapted_offset, lam, lam);
    add_rest(meta, weight, part, judged);
    add_to_norms(meta, scratch, weight, of_rule);
}

/* The products of the second derivatives at inner step k with `along`: at next those in phi, and for
 * what stands still what they add to judged, or to the features' cotangents. */
static void run_products(const struct loop *meta, void *scratch, const mn_real *theta, uint32_t k,
                         const mn_rule_data *data, const mn_real *along, mn_real *next,
                         mn_real *judged, mn_real *of_rule)
{
    mn_real *cotangent = at(scratch, meta->at_cotangent);
    mn_real *cotangents = at(scratch, meta->at_cotangents); /* their sum */
    const mn_real factor = steps_have_adjoints(meta) ? 1 : (mn_real)-meta->inner_lr;
    mn_bindings bindings = {.in = {[MN_SLOT_PHI] = phi_before(meta, scratch, theta, k),
                                   [MN_SLOT_THETA] = theta,
                                   [MN_SLOT_DIRECTION] = along,
                                   [MN_SLOT_STEP] = at(scratch, meta->at_norms),
                                   [MN_SLOT_FEATURES] = at(scratch, meta->at_u),
                                   [MN_SLOT_TASK] = data->task},
                            .out = {[MN_SLOT_PRODUCT] = at(scratch, meta->at_rest),
                                    [MN_SLOT_STEP] = at(scratch, meta->at_of_norms),
                                    [MN_SLOT_MOVED] = next,
                                    [MN_SLOT_COTANGENT] = cotangent},
                            .kept = region_of(meta, scratch, k),
                            .profile = data->profile};
    mn_plan_run(meta->plans.support, 1, scratch, &bindings);
    add_to_norms(meta, scratch, factor, of_rule);
    if (has_rest(meta))
        add_rest(meta, factor, at(scratch, meta->at_rest), judged);
    if (meta->plans.splits)
        meta->kernels->scale_add(meta->plans.u_count, factor, cotangent, cotangents, cotangents);
}

/* lam = lam - H(phi_k) (alpha .* lam), from the last inner step to the first, with a learned update
 * lam + H(phi_k) times the adjoint of the gradient. It begins in judged, the query set's gradient,
 * and goes to and fro between that and other, with rates or an update stays in it; returned is what
 * phi has of it at the end. A body that stands still gets what the features' cotangents of all steps
 * give together, for it depends on them linearly. */
static mn_real *walk_back(const struct loop *meta, void *scratch, const mn_real *theta,
                          const mn_rule_data *data, mn_real *judged, mn_real *other,
                          mn_real *of_rule)
{
    const bool has_rates = meta->plans.needs.gradients;
    const bool second_order = data->meta_step >= meta->second_order_from;
    mn_real *lam = judged + meta->plans.adapted_offset;
    mn_real *next = other + meta->plans.adapted_offset; /* with rates: the product */
    memset(at(scratch, meta->at_cotangents), 0, meta->plans.u_count * sizeof *lam);
    for (uint32_t k = meta->steps; k-- > 0;) {
        enter_step(meta, scratch, theta, k);
        const bool kept = k + meta->n_regions >= meta->steps;
        if (!kept && (second_order || has_rates)) /* as the inner step left its region */
            run_support(meta, scratch, keeps_gradients(meta) ? 0 : MN_PLAN_REPLAY, k, theta, data,
                        phi_before(meta, scratch, theta, k), NULL);

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

/* What phi began with: lam is its adjoint, a head's behind it; judged has the other tensors' part.
 * Written: the gradient of theta, and in the end the array that is scratch's at_gradient, whatever of
 * lam or judged was in it. */
static void finish_gradient(const struct loop *meta, void *scratch, const mn_real *theta,
                            const mn_rule_data *data, const mn_real *lam, const mn_real *judged,
                            mn_real *gradient)
{
    const mn_loop_plans *plans = &meta->plans;
    const size_t begin = plans->adapted_offset, end = begin + plans->adapted_size;
    mn_real *cotangents = at(scratch, meta->at_cotangents);
    if (judged != gradient) {
        memcpy(gradient, judged, begin * sizeof *gradient);
        memcpy(gradient + end, judged + end, (meta->size - end) * sizeof *gradient);
    }
    if (lam != gradient + begin)
        memcpy(gradient + begin, lam, plans->adapted_size * sizeof *gradient);
    if (plans->head != NULL) {
        mn_real *of_u = at(scratch, meta->at_cotangent);
        mn_bindings bindings = {.in = {[MN_SLOT_FEATURES] = at(scratch, meta->at_u),
                                       [MN_SLOT_TASK] = data->task,
                                       [MN_SLOT_DIRECTION] = lam + plans->adapted_size},
                                .out = {[MN_SLOT_COTANGENT] = of_u},
                                .kept = at(scratch, meta->at_head),
                                .profile = data->profile};
        mn_plan_run(plans->head, 1, scratch, &bindings);
        if (meta->walks_back && plans->splits)
            meta->kernels->add(plans->u_count, of_u, cotangents, cotangents);
        else
            cotangents = of_u;
    }
    if (plans->head == NULL && !(meta->walks_back && plans->splits))
        return; /* nothing went through the features at theta */
    mn_real *share = at(scratch, meta->at_gradient);
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta,
                                   [MN_SLOT_TASK] = data->task,
                                   [MN_SLOT_COTANGENT] = cotangents},
                            .out = {[MN_SLOT_PRODUCT] = share},
                            .kept = at(scratch, meta->at_features),
                            .profile = data->profile};
    mn_plan_run(plans->features, 1, scratch, &bindings);
    meta->kernels->add(plans->body_size, gradient, share, gradient);
}

static void begin(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const struct loop *meta = of;
    place_of(meta, scratch)->done = 0;
    find_features(meta, scratch, theta, data);
    clear_velocity(meta, scratch);
    memcpy(adapted_in(meta, scratch), phi_before(meta, scratch, theta, 0),
           meta->n_phi * sizeof *theta);
}

static double step(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const struct loop *meta = of;
    mn_real *phi = adapted_in(meta, scratch), *next = phi_of(meta, scratch, 1);
    enter_step(meta, scratch, theta, place_of(meta, scratch)->done++);
    double loss = inner_step(meta, scratch, theta, 0, data, phi, next);
    memcpy(phi, next, meta->n_phi * sizeof *phi);
    if (meta->update != NULL)
        memcpy(velocity_of(meta, scratch, 0), velocity_of(meta, scratch, 1),
               meta->n_phi * sizeof *phi);
    return loss;
}

static double judge(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data,
                    mn_real *query_output)
{
    const struct loop *meta = of;
    const uint32_t done = place_of(meta, scratch)->done;
    enter_step(meta, scratch, theta, done > 0 ? done - 1 : 0);
    return query_run(meta, scratch, theta, data, adapted_in(meta, scratch),
                     at(scratch, meta->at_gradient), query_output);
}

static double support(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const struct loop *meta = of;
    enter_step(meta, scratch, theta, place_of(meta, scratch)->done);
    return support_loss(meta, scratch, theta, data, adapted_in(meta, scratch));
}

static void adapted(const void *of, const void *scratch, const mn_real *theta, mn_real *adapted)
{
    const struct loop *meta = of;
    memcpy(adapted, theta, meta->n_theta * sizeof *adapted); /* rates stay, too */
    memcpy(adapted + meta->plans.adapted_offset, adapted_in(meta, scratch),
           meta->plans.adapted_size * sizeof *adapted);
}

static double macs(const void *of)
{
    const struct loop *meta = of;
    const mn_loop_plans *plans = &meta->plans;
    const double steps = meta->steps, units = meta->order == 2 ? 9.0 : 3.0;
    const double support = plans->support_macs;
    const double query = plans->query_macs * (meta->step_losses > 0 ? steps : 1);
    if (meta->kind == MN_META_REPTILE)
        return 3.0 * steps * support + query;
    if (!plans->splits && plans->head == NULL)
        return steps * units * support + 3.0 * query;
    if (!plans->splits)
        return 3.0 * plans->body_macs[MN_SUPPORT] + steps * units * support + 3.0 * query;
    /* The body, whatever the steps: forward for both sets, backward for the query's and, if it
     * counts, the support's; the inner loop is the output module's alone. */
    const double *body = plans->body_macs;
    return 3.0 * body[MN_QUERY] + (meta->order == 2 ? 3.0 : 1.0) * body[MN_SUPPORT] +
           steps * units * (support - body[MN_SUPPORT]) + 3.0 * (query - body[MN_QUERY]);
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

/* Of the query set. */
static size_t answers_bytes(const mn_loop_plans *plans)
{
    const mn_field *y = mn_fields_find(plans->fields, MN_QUERY, "y");
    return y->n * (size_t)mn_network_columns(plans->network, plans->fields) * sizeof(mn_real);
}

static void lay_out_scratch(struct loop *meta, bool differentiate)
{
    const mn_loop_plans *plans = &meta->plans;
    size_t work =
        larger(mn_plan_scratch_bytes(plans->support), mn_plan_scratch_bytes(plans->query));
    size_t theta = meta->size * sizeof(mn_real), phi = meta->n_phi * sizeof(mn_real);
    size_t head = plans->head_size * sizeof(mn_real);
    size_t u = plans->u_count * sizeof(mn_real), features = 0, bytes = 0;
    const bool back = meta->walks_back, has_head = plans->head != NULL;
    if (plans->features != NULL) {
        work = larger(work, mn_plan_scratch_bytes(plans->features));
        features = mn_plan_kept_bytes(plans->features);
    }
    if (has_head)
        work = larger(work, mn_plan_scratch_bytes(plans->head));
    if (meta->update != NULL)
        work = larger(work, mn_update_scratch_bytes(meta->update));
    meta->region_bytes =
        mn_plan_kept_bytes(plans->support) + (keeps_gradients(meta) ? rounded(phi) : 0);
    meta->n_regions = 1;
    if (back)
        while (meta->n_regions < meta->steps &&
               (meta->n_regions + 1) * meta->region_bytes <= meta->keep_bytes)
            meta->n_regions++;
    (void)take(&bytes, work);
    meta->at_regions = take(&bytes, meta->n_regions * meta->region_bytes);
    meta->at_place = take(&bytes, sizeof(struct place));
    meta->at_norms = take(&bytes, meta->norms.size * sizeof(mn_real));
    meta->at_of_norms = take(&bytes, meta->norms.size * sizeof(mn_real));
    meta->at_features = take(&bytes, features);
    meta->at_u = take(&bytes, u);
    meta->at_cotangent = take(&bytes, u);
    meta->at_cotangents = take(&bytes, u);
    size_t n_phis = back && meta->steps > 2 ? meta->steps : 2;
    meta->at_phi = take(&bytes, n_phis * phi);
    meta->at_direction = take(&bytes, keeps_gradients(meta) ? phi : 0);
    meta->at_gradient = take(&bytes, differentiate ? theta + head : phi);
    meta->at_judged = take(&bytes, has_head && differentiate ? theta + head : 0);
    meta->at_rest = take(&bytes, has_rest(meta) ? theta : 0);
    meta->at_on_the_way = take(&bytes, meta->step_losses > 0 ? theta + head : 0);
    meta->at_dropped = take(&bytes, meta->step_losses > 0 ? answers_bytes(plans) : 0);
    meta->at_start = take(&bytes, has_head ? phi : 0);
    meta->at_head = take(&bytes, has_head ? mn_plan_kept_bytes(plans->head) : 0);
    if (meta->update != NULL) {
        meta->at_velocity = take(&bytes, (n_phis + 1) * phi);
        meta->at_update = take(&bytes, mn_update_kept_bytes(meta->update));
        meta->at_adjoint = take(&bytes, back ? 2 * phi : 0);
        meta->at_share = take(&bytes, back ? mn_update_count(meta->update) * sizeof(mn_real) : 0);
    }
    meta->scratch_bytes = bytes;
}

const mn_rule_kind mn_loop_rule = {.name = "loop",
                                   .declare = declare,
                                   .compile = compile,
                                   .destroy = destroy,
                                   .scratch_bytes = scratch_bytes,
                                   .profile = profile,
                                   .gradient = gradient_of_task,
                                   .begin = begin,
                                   .step = step,
                                   .judge = judge,
                                   .support = support,
                                   .adapted = adapted,
                                   .macs = macs};
