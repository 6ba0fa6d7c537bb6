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
 *   meta-sgd  alpha is a learned vector, tensors meta_lr.* of theta (Li et al. 2017), of what moves;
 *             d alpha = - sum_k lam_{k+1} .* grad L_S(phi_k)
 *   step-rates (meta.update, with maml or anil) alpha is a learned number for each tensor and inner
 *             step (step_rates.h)
 *   learned, curvature  (meta.update, with maml or anil) a step is what update.h makes of the gradient;
 *             the walk goes through its adjoint instead of alpha
 *   reptile   meta-gradient = theta - phi_T (Nichol et al. 2018); the query set only measures
 *
 * A loss after every step (step_losses.h) enters the walk at its step: lam += weight * grad L_Q(phi_k).
 * Before meta.second_order_from the walk takes H for zero. Batch norm's scales and shifts of an inner
 * step (step_norms.h) are one more part of what stands still. The way there is in loop_steps.c, the way
 * back in loop_walk.c, what lies where in loop_state.h.
 * With meta.step_items the support set is a stream: step k reads its items [k n, (k + 1) n) alone, and
 * there are as many steps as it takes to read it once (online-aware meta-learning: Javed and White
 * 2019, arXiv:1905.12588). The L_S and H_S above are then those of the step. */
#include "worker/learner/rules/adapting.h"
#include "worker/learner/rules/loop_steps.h"
#include "worker/learner/rules/loop_walk.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensors that adapt. */
static void find_adapting(const mn_network *network, mn_loop_needs *needs)
{
    const mn_experiment *e = network->experiment;
    const mn_adapts adapts = e->meta.kind == MN_META_ANIL      ? MN_ADAPTS_OUTPUT
                             : e->meta.kind == MN_META_REPTILE ? MN_ADAPTS_ALL
                                                               : e->meta.adapts;
    mn_adapting_tensors(network, adapts, &needs->first, &needs->end);
}

static bool updates_by(const mn_experiment *e, mn_update_kind update)
{
    return (e->meta.kind == MN_META_MAML || e->meta.kind == MN_META_ANIL) &&
           e->meta.update == update;
}

/* Is a step more than a rate times the gradient: what update.h makes? */
static bool has_update(const mn_experiment *e)
{
    return updates_by(e, MN_UPDATE_LEARNED) || updates_by(e, MN_UPDATE_CURVATURE);
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
                             .tensor = i,
                             .offset = plans == NULL ? 0 : tensor->offset - plans->adapted_offset,
                             .count = tensor->count};
    }
    if (mn_head_is_of_task(network->experiment)) {
        const size_t bias = plans == NULL ? 0 : plans->fields->y_size;
        const size_t weights = plans == NULL ? 0 : plans->head_size - bias;
        const size_t offset = plans == NULL ? 0 : plans->adapted_size;
        parts[n++] = (mn_update_part){"head.weight", UINT32_MAX, offset, weights};
        parts[n++] = (mn_update_part){"head.bias", UINT32_MAX, offset + weights, bias};
    }
    return n;
}

static mn_status declare(mn_network *network, mn_error *err)
{
    const mn_experiment *e = network->experiment;
    mn_loop_needs needs;
    find_adapting(network, &needs);
    if (needs.first == needs.end && !mn_head_is_of_task(e))
        return mn_fail(err, MN_ERR_CONFIG,
                       "nothing would adapt: the module that meta.adapts names (or meta.kind anil, "
                       "the output) has no parameters; choose another, or meta.kind episodic");
    for (uint32_t i = needs.first; e->meta.kind == MN_META_META_SGD && i < needs.end; i++) {
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
    if (has_update(e))
        status = mn_update_declare(network, n_parts, parts, err);
    else if (updates_by(e, MN_UPDATE_STEP_RATES))
        status = mn_step_rates_declare(network, n_parts, parts, err);
    return status == MN_OK ? mn_step_norms_declare(network, err) : status;
}

static mn_status compile(const mn_rule_order *order, void **out, mn_error *err)
{
    const mn_experiment *e = order->network->experiment;
    mn_loop *meta = calloc(1, sizeof *meta);
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
    const uint32_t step_items = mn_rule_step_items(e);
    meta->walks_back = order->differentiate && meta->kind != MN_META_REPTILE && meta->order == 2 &&
                       (meta->steps > 0 || step_items > 0);
    meta->step_losses = meta->walks_back ? e->meta.step_losses : 0;
    mn_loop_needs needs = {.step_items = step_items,
                           .products = meta->walks_back,
                           .query_gradient = order->differentiate && meta->kind != MN_META_REPTILE,
                           .gradients = meta->kind == MN_META_META_SGD || has_update(e) ||
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
    if (step_items > 0)
        meta->steps = meta->plans.step.n;
    meta->size = meta->plans.size;
    meta->n_theta = order->network->parameters.size;
    meta->n_phi = meta->plans.adapted_size + meta->plans.head_size;
    mn_update_part parts[MN_MAX_PARAMETERS + 2];
    const uint32_t n_parts = list_parts(order->network, &needs, &meta->plans, parts);
    if (has_update(e))
        status = mn_update_new(order->network, n_parts, parts, meta->n_phi, order->kernels,
                               &meta->update, err);
    if (status != MN_OK)
        return status;
    if (updates_by(e, MN_UPDATE_STEP_RATES))
        mn_step_rates_init(&meta->rates, order->network, n_parts, parts, order->kernels);
    mn_loop_lay_out(meta, order->differentiate);
    return MN_OK;
}

static void destroy(void *of)
{
    mn_loop *meta = of;
    if (meta != NULL) {
        mn_loop_plans_fini(&meta->plans);
        mn_update_destroy(&meta->update);
    }
    free(meta);
}

static size_t scratch_bytes(const void *of)
{
    const mn_loop *meta = of;
    return meta->scratch_bytes;
}

static mn_status profile(const void *of, mn_profile *profile, mn_error *err)
{
    const mn_loop *meta = of;
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

static mn_rule_losses gradient_of_task(const void *of, void *scratch, const mn_real *theta,
                                       const mn_rule_data *data, mn_real *gradient,
                                       mn_real *query_output)
{
    const mn_loop *meta = of;
    const uint32_t steps = meta->steps;
    const size_t n_of_rule = meta->n_theta - meta->size;
    mn_real *of_rule = gradient + meta->size;
    const bool sums_gradients = meta->kind == MN_META_META_SGD && !meta->walks_back;
    mn_rule_losses losses = {0};
    mn_loop_find_features(meta, scratch, theta, data);
    mn_loop_clear_velocity(meta, scratch);
    const mn_real *phi = mn_loop_phi_before(meta, scratch, theta, 0);
    if (!meta->walks_back || meta->norms.n > 0) /* else the walk writes it */
        memset(of_rule, 0, n_of_rule * sizeof *gradient);
    for (uint32_t k = 0; k < steps; k++) {
        mn_real *next = mn_loop_phi(meta, scratch, k);
        mn_loop_enter_step(meta, scratch, theta, k);
        double loss = mn_loop_step(meta, scratch, theta, k, data, phi, next);
        if (k == 0)
            losses.support_before = loss;
        if (sums_gradients) /* first order: lam stays the same */
            meta->kernels->add(meta->plans.adapted_size, mn_loop_gradient(meta, scratch, k),
                               of_rule, of_rule);
        phi = next;
    }
    if (steps == 0) {
        mn_loop_enter_step(meta, scratch, theta, 0);
        losses.support_before = mn_loop_support_loss(meta, scratch, theta, data, phi);
    }
    /* The walk back moves lam from one array to another, and should end in gradient, unless there is
     * a head, for which that has no room. */
    mn_real *judged = gradient, *other = mn_scratch_at(scratch, meta->at_gradient);
    if (meta->plans.head_size > 0) {
        judged = mn_scratch_at(scratch, meta->at_judged);
    } else if (meta->walks_back && !meta->plans.needs.gradients && steps % 2 == 1) {
        judged = other;
        other = gradient;
    }
    losses.query = mn_loop_query(meta, scratch, theta, data, phi, judged, query_output);
    mn_real weight = 1;
    if (data->meta_step < meta->step_losses) {
        weight = mn_loop_step_weight(meta, data, steps);
        meta->kernels->scale(meta->size + meta->plans.head_size, weight, judged, judged);
    }
    mn_loop_add_to_norms(meta, scratch, weight, of_rule);

    const mn_real *lam = judged + meta->plans.adapted_offset;
    if (meta->kind == MN_META_REPTILE) {
        meta->kernels->scale_add(meta->size, -1, phi, theta, gradient);
        return losses;
    }
    if (meta->walks_back) {
        lam = mn_loop_walk_back(meta, scratch, theta, data, judged, other, of_rule);
    } else if (sums_gradients) {
        meta->kernels->multiply(meta->plans.adapted_size, lam, of_rule, of_rule);
        meta->kernels->scale(meta->plans.adapted_size, -1, of_rule, of_rule);
    }
    mn_loop_finish(meta, scratch, theta, data, lam, judged, gradient);
    return losses;
}

static void begin(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const mn_loop *meta = of;
    mn_loop_place_of(meta, scratch)->done = 0;
    mn_loop_find_features(meta, scratch, theta, data);
    mn_loop_clear_velocity(meta, scratch);
    memcpy(mn_loop_adapted(meta, scratch), mn_loop_phi_before(meta, scratch, theta, 0),
           meta->n_phi * sizeof *theta);
}

static double step(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const mn_loop *meta = of;
    mn_real *phi = mn_loop_adapted(meta, scratch), *next = mn_loop_phi(meta, scratch, 1);
    mn_loop_enter_step(meta, scratch, theta, mn_loop_place_of(meta, scratch)->done++);
    double loss = mn_loop_step(meta, scratch, theta, 0, data, phi, next);
    memcpy(phi, next, meta->n_phi * sizeof *phi);
    if (meta->update != NULL)
        memcpy(mn_loop_velocity(meta, scratch, 0), mn_loop_velocity(meta, scratch, 1),
               meta->n_phi * sizeof *phi);
    return loss;
}

static double judge(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data,
                    mn_real *query_output)
{
    const mn_loop *meta = of;
    const uint32_t done = mn_loop_place_of(meta, scratch)->done;
    mn_loop_enter_step(meta, scratch, theta, done > 0 ? done - 1 : 0);
    return mn_loop_query(meta, scratch, theta, data, mn_loop_adapted(meta, scratch),
                         mn_scratch_at(scratch, meta->at_gradient), query_output);
}

static double support(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const mn_loop *meta = of;
    mn_loop_enter_step(meta, scratch, theta, mn_loop_place_of(meta, scratch)->done);
    return mn_loop_support_loss(meta, scratch, theta, data, mn_loop_adapted(meta, scratch));
}

static void adapted(const void *of, const void *scratch, const mn_real *theta, mn_real *adapted)
{
    const mn_loop *meta = of;
    memcpy(adapted, theta, meta->n_theta * sizeof *adapted); /* rates stay, too */
    memcpy(adapted + meta->plans.adapted_offset, mn_loop_adapted(meta, scratch),
           meta->plans.adapted_size * sizeof *adapted);
}

/* The head, of which a linear map's tensors lie behind phi's. */
static mn_status own(const void *of, mn_parameters *out, mn_error *err)
{
    const mn_loop *meta = of;
    const uint32_t way = meta->plans.fields->y_size;
    if (meta->plans.head_size == 0)
        return MN_OK;
    return mn_parameters_add_linear(out, "head.weight", meta->plans.u, way) != UINT32_MAX &&
                   mn_parameters_add_vector(out, "head.bias", way, MN_START_ZERO) != UINT32_MAX
               ? MN_OK
               : mn_fail(err, MN_ERR_INTERNAL, "no room for a head's tensors");
}

static void take_own(const void *of, const void *scratch, mn_real *own)
{
    const mn_loop *meta = of;
    if (meta->plans.head_size > 0)
        memcpy(own, mn_loop_adapted(meta, scratch) + meta->plans.adapted_size,
               meta->plans.head_size * sizeof *own);
}

/* Phi is all that judging looks at, after however many steps. */
static void resume(const void *of, void *scratch, const mn_real *adapted, const mn_real *own,
                   uint32_t steps)
{
    const mn_loop *meta = of;
    mn_loop_place_of(meta, scratch)->done = steps;
    mn_real *phi = mn_loop_adapted(meta, scratch);
    memcpy(phi, adapted + meta->plans.adapted_offset, meta->plans.adapted_size * sizeof *phi);
    if (meta->plans.head_size > 0)
        memcpy(phi + meta->plans.adapted_size, own, meta->plans.head_size * sizeof *phi);
}

static double macs(const void *of)
{
    const mn_loop *meta = of;
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

static uint32_t steps(const void *of)
{
    const mn_loop *meta = of;
    return meta->steps;
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
                                   .steps = steps,
                                   .judge = judge,
                                   .support = support,
                                   .adapted = adapted,
                                   .own = own,
                                   .take_own = take_own,
                                   .resume = resume,
                                   .macs = macs};
