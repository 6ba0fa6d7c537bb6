/* Implicit MAML (Rajeswaran et al. 2019, arXiv:1909.04630): the inner loop is held near theta by a
 * proximal term, so that where it ends says by itself how it hangs on theta, and the way there may
 * be as long as one likes:
 *   inner loop      phi_0 = theta;  phi_{k+1} = phi_k - alpha (grad L_S(phi_k) + lambda (phi_k - theta))
 *   meta-gradient   v of (I + H_S(phi_T) / lambda) v = grad L_Q(phi_T)
 * which is exact where the inner loop has come to the minimum (their Lemma 1; eq. 6). v is found by
 * conjugate gradients on Hessian-vector products at phi_T, from 0, at most meta.cg_steps of them;
 * memory does not grow with the inner steps. Where the support loss curves down by more than lambda
 * the system is no longer positive definite, and conjugate gradients would go astray: at the first
 * direction of curvature <= 0 they end with what they have, which is grad L_Q itself (first order)
 * if that was the first direction of all. Two scores of training say how that goes: the share of
 * tasks with such a direction, and what is left of the system's right-hand side.
 * By meta.adapts only some tensors of theta move. What stands still (w) moves the minimum all the same,
 * and by the same lemma its gradient is d L_Q / d w - (d^2 L_S / d w d phi) v / lambda.
 * A test adapts in the same way, with the proximal term. */
#include "worker/learner/rules/rule.h"

#include "worker/learner/rules/adapting.h"
#include "worker/learner/rules/loop_plans.h"
#include "worker/learner/rules/scratch.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ENOUGH 1e-14 /* of the squares of the right-hand side: what float32 can tell */

enum { NEGATIVE_CURVATURE, RESIDUAL, N_SCORES };

struct implicit {
    const mn_kernels *kernels;
    uint32_t steps, cg_steps;
    double inner_lr, lambda;
    size_t n, offset; /* of phi, and where it begins in theta */
    size_t size;      /* of theta, without what is the task set's */
    mn_loop_plans plans;
    /* Scratch: bytes from its start, where all plans work. at_kept is what the inner gradient at
     * phi_T leaves for products; a product uses it up, and so takes a copy of it at at_used. */
    size_t at_kept, at_used, at_phi, at_gradient, at_solution, at_residual, at_direction,
        at_product, at_rest, scratch_bytes;
};

static void lay_out_scratch(struct implicit *meta, bool differentiate);
static bool solve(const struct implicit *meta, void *scratch, const mn_real *theta,
                  const mn_rule_data *data, mn_real *b, double *scores);
static void add_rest(const struct implicit *meta, void *scratch, const mn_real *theta,
                     const mn_rule_data *data, mn_real *gradient);

static mn_status declare(mn_network *network, mn_error *err)
{
    uint32_t first, end;
    mn_adapting_tensors(network, network->experiment->meta.adapts, &first, &end);
    return first < end ? MN_OK
                       : mn_fail(err, MN_ERR_CONFIG,
                                 "nothing would adapt: the module that meta.adapts names has no "
                                 "parameters; choose another");
}

static mn_status compile(const mn_rule_order *order, void **out, mn_error *err)
{
    const mn_experiment *e = order->network->experiment;
    struct implicit *meta = calloc(1, sizeof *meta);
    *out = meta;
    if (meta == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "meta-learning module");
    if (mn_fields_find(order->fields, MN_SUPPORT, "y") == NULL)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.kind imaml adapts to a support set, which these tasks (tasks.kind) do "
                       "not have: use meta.kind episodic");
    meta->kernels = order->kernels;
    meta->steps = e->meta.inner_steps;
    meta->cg_steps = e->meta.cg_steps;
    meta->inner_lr = e->meta.inner_lr;
    meta->lambda = e->meta.lambda;
    mn_loop_needs needs = {.products = order->differentiate && meta->cg_steps > 0,
                           .query_gradient = order->differentiate,
                           .gradients = true,
                           .whole = true};
    mn_adapting_tensors(order->network, e->meta.adapts, &needs.first, &needs.end);
    mn_status status = mn_loop_plans_init(&meta->plans, order->network, order->fields, &needs,
                                          order->kernels, err);
    if (status != MN_OK)
        return status;
    meta->n = meta->plans.adapted_size;
    meta->offset = meta->plans.adapted_offset;
    meta->size = meta->plans.size;
    lay_out_scratch(meta, order->differentiate);
    return MN_OK;
}

static void destroy(void *of)
{
    struct implicit *meta = of;
    if (meta != NULL)
        mn_loop_plans_fini(&meta->plans);
    free(meta);
}

static size_t scratch_bytes(const void *of)
{
    const struct implicit *meta = of;
    return meta->scratch_bytes;
}

static mn_status profile(const void *of, mn_profile *profile, mn_error *err)
{
    const struct implicit *meta = of;
    static const char *const support[3] = {"inner gradient", "Hessian-vector product", ""};
    static const char *const query[3] = {"query", "", ""};
    mn_status status = mn_plan_profile(meta->plans.support, support, profile, err);
    return status == MN_OK ? mn_plan_profile(meta->plans.query, query, profile, err) : status;
}

/* The support loss at phi, and its gradient. */
static double support_gradient(const struct implicit *meta, void *scratch, const mn_real *theta,
                               const mn_rule_data *data)
{
    mn_bindings bindings = {.in = {[MN_SLOT_PHI] = mn_scratch_at(scratch, meta->at_phi),
                                   [MN_SLOT_THETA] = theta,
                                   [MN_SLOT_TASK] = data->task},
                            .out = {[MN_SLOT_GRADIENT] = mn_scratch_at(scratch, meta->at_gradient)},
                            .kept = mn_scratch_at(scratch, meta->at_kept),
                            .profile = data->profile};
    mn_plan_run(meta->plans.support, 0, scratch, &bindings);
    return mn_plan_loss(meta->plans.support, scratch);
}

static double query_run(const struct implicit *meta, void *scratch, const mn_real *theta,
                        const mn_rule_data *data, mn_real *gradient, mn_real *output)
{
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta,
                                   [MN_SLOT_PHI] = mn_scratch_at(scratch, meta->at_phi),
                                   [MN_SLOT_TASK] = data->task},
                            .out = {[MN_SLOT_GRADIENT] = gradient, [MN_SLOT_OUTPUT] = output},
                            .profile = data->profile};
    mn_plan_run(meta->plans.query, 0, scratch, &bindings);
    return mn_plan_loss(meta->plans.query, scratch);
}

static void begin(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const struct implicit *meta = of;
    (void)data;
    memcpy(mn_scratch_at(scratch, meta->at_phi), theta + meta->offset, meta->n * sizeof *theta);
}

static double step(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const struct implicit *meta = of;
    const mn_kernels *kernels = meta->kernels;
    mn_real *phi = mn_scratch_at(scratch, meta->at_phi),
            *gradient = mn_scratch_at(scratch, meta->at_gradient);
    mn_real *away = mn_scratch_at(scratch, meta->at_direction);
    const double loss = support_gradient(meta, scratch, theta, data);
    kernels->scale_add(meta->n, -1, theta + meta->offset, phi, away);
    kernels->scale_add(meta->n, (mn_real)meta->lambda, away, gradient, gradient);
    kernels->scale_add(meta->n, (mn_real)-meta->inner_lr, gradient, phi, phi);
    return loss;
}

static double judge(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data,
                    mn_real *output)
{
    const struct implicit *meta = of;
    return query_run(meta, scratch, theta, data, mn_scratch_at(scratch, meta->at_gradient), output);
}

static double support(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const struct implicit *meta = of;
    return support_gradient(meta, scratch, theta, data);
}

static void adapted(const void *of, const void *scratch, const mn_real *theta, mn_real *adapted)
{
    const struct implicit *meta = of;
    memcpy(adapted, theta, meta->size * sizeof *adapted);
    memcpy(adapted + meta->offset, mn_scratch_at(scratch, meta->at_phi), meta->n * sizeof *adapted);
}

static void resume(const void *of, void *scratch, const mn_real *adapted, const mn_real *own,
                   uint32_t steps)
{
    const struct implicit *meta = of;
    (void)own;
    (void)steps;
    memcpy(mn_scratch_at(scratch, meta->at_phi), adapted + meta->offset, meta->n * sizeof *adapted);
}

static mn_rule_losses gradient(const void *of, void *scratch, const mn_real *theta,
                               const mn_rule_data *data, mn_real *gradient, mn_real *output)
{
    const struct implicit *meta = of;
    mn_rule_losses losses = {0};
    begin(of, scratch, theta, data);
    for (uint32_t k = 0; k < meta->steps; k++) {
        const double loss = step(of, scratch, theta, data);
        if (k == 0)
            losses.support_before = loss;
    }
    losses.query = query_run(meta, scratch, theta, data, gradient, output);
    if (meta->steps == 0)
        losses.support_before = support_gradient(meta, scratch, theta, data);
    else if (meta->cg_steps > 0)
        (void)support_gradient(meta, scratch, theta, data); /* for the products */
    if (solve(meta, scratch, theta, data, gradient + meta->offset, losses.more) &&
        meta->n < meta->size)
        add_rest(meta, scratch, theta, data, gradient);
    return losses;
}

/* In one order of addition, whatever the kernels. */
static double dot(size_t n, const mn_real *a, const mn_real *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* out = H_S(phi) p; at at_rest the mixed product with what stands still, in theta's places. */
static void run_product(const struct implicit *meta, void *scratch, const mn_real *theta,
                        const mn_rule_data *data, const mn_real *p, mn_real *out)
{
    memcpy(mn_scratch_at(scratch, meta->at_used), mn_scratch_at(scratch, meta->at_kept),
           mn_plan_kept_bytes(meta->plans.support));
    mn_bindings bindings = {
        .in = {[MN_SLOT_PHI] = mn_scratch_at(scratch, meta->at_phi),
               [MN_SLOT_THETA] = theta,
               [MN_SLOT_DIRECTION] = p,
               [MN_SLOT_TASK] = data->task},
        .out = {[MN_SLOT_MOVED] = out, [MN_SLOT_PRODUCT] = mn_scratch_at(scratch, meta->at_rest)},
        .kept = mn_scratch_at(scratch, meta->at_used),
        .profile = data->profile};
    mn_plan_run(meta->plans.support, 1, scratch, &bindings);
}

/* out = (I + H_S(phi) / lambda) p. */
static void multiply(const struct implicit *meta, void *scratch, const mn_real *theta,
                     const mn_rule_data *data, const mn_real *p, mn_real *out)
{
    run_product(meta, scratch, theta, data, p, out);
    meta->kernels->scale_add(meta->n, (mn_real)(1 / meta->lambda), out, p, out);
}

/* Of what stands still, once gradient has v in phi's places. */
static void add_rest(const struct implicit *meta, void *scratch, const mn_real *theta,
                     const mn_rule_data *data, mn_real *gradient)
{
    const size_t begin = meta->offset, end = begin + meta->n;
    const mn_real *rest = mn_scratch_at(scratch, meta->at_rest);
    const mn_real factor = (mn_real)(-1 / meta->lambda);
    run_product(meta, scratch, theta, data, gradient + begin,
                mn_scratch_at(scratch, meta->at_product));
    meta->kernels->scale_add(begin, factor, rest, gradient, gradient);
    meta->kernels->scale_add(meta->size - end, factor, rest + end, gradient + end, gradient + end);
}

/* b = v of (I + H_S(phi) / lambda) v = b, after the inner gradient at phi; false: b is as it was.
 * Hestenes and Stiefel 1952; that a direction of no positive curvature ends it is Steihaug's (1983). */
static bool solve(const struct implicit *meta, void *scratch, const mn_real *theta,
                  const mn_rule_data *data, mn_real *b, double *scores)
{
    const mn_kernels *kernels = meta->kernels;
    const size_t n = meta->n, bytes = n * sizeof *b;
    mn_real *x = mn_scratch_at(scratch, meta->at_solution),
            *r = mn_scratch_at(scratch, meta->at_residual);
    mn_real *p = mn_scratch_at(scratch, meta->at_direction),
            *product = mn_scratch_at(scratch, meta->at_product);
    const double at_first = dot(n, b, b);
    double left = at_first;
    bool solved = false;
    memset(x, 0, bytes);
    memcpy(r, b, bytes);
    memcpy(p, b, bytes);
    for (uint32_t k = 0; k < meta->cg_steps && left > ENOUGH * at_first; k++) {
        multiply(meta, scratch, theta, data, p, product);
        const double curvature = dot(n, p, product), before = left;
        if (!(curvature > 0)) {
            scores[NEGATIVE_CURVATURE] = 1;
            break;
        }
        const double length = left / curvature;
        kernels->scale_add(n, (mn_real)length, p, x, x);
        kernels->scale_add(n, (mn_real)-length, product, r, r);
        left = dot(n, r, r);
        kernels->scale_add(n, (mn_real)(left / before), p, r, p);
        solved = true;
    }
    if (solved)
        memcpy(b, x, bytes);
    scores[RESIDUAL] = at_first > 0 ? sqrt(left / at_first) : 0;
    return solved;
}

static double macs(const void *of)
{
    const struct implicit *meta = of;
    const mn_loop_plans *plans = &meta->plans;
    return (3.0 * meta->steps + 3.0 + 6.0 * meta->cg_steps) * plans->support_macs +
           3.0 * plans->query_macs;
}

static void lay_out_scratch(struct implicit *meta, bool differentiate)
{
    const mn_loop_plans *plans = &meta->plans;
    const size_t support = mn_plan_scratch_bytes(plans->support);
    const size_t query = mn_plan_scratch_bytes(plans->query);
    const size_t kept = mn_plan_kept_bytes(plans->support), phi = meta->n * sizeof(mn_real);
    const size_t theta = meta->size * sizeof(mn_real);
    size_t bytes = 0;
    (void)mn_scratch_take(&bytes, support > query ? support : query);
    meta->at_kept = mn_scratch_take(&bytes, kept);
    meta->at_phi = mn_scratch_take(&bytes, phi);
    meta->at_gradient = mn_scratch_take(&bytes, differentiate ? theta : phi);
    meta->at_direction = mn_scratch_take(&bytes, phi);
    if (differentiate) {
        meta->at_used = mn_scratch_take(&bytes, kept);
        meta->at_solution = mn_scratch_take(&bytes, phi);
        meta->at_residual = mn_scratch_take(&bytes, phi);
        meta->at_product = mn_scratch_take(&bytes, phi);
        meta->at_rest = mn_scratch_take(&bytes, meta->n < meta->size ? theta : 0);
    }
    meta->scratch_bytes = bytes;
}

static const mn_score scores[N_SCORES] = {
    [NEGATIVE_CURVATURE] = {.name = "negative_curvature", .is_share = true},
    [RESIDUAL] = {.name = "cg_residual"},
};

const mn_rule_kind mn_implicit_rule = {.name = "imaml",
                                       .declare = declare,
                                       .compile = compile,
                                       .destroy = destroy,
                                       .scratch_bytes = scratch_bytes,
                                       .profile = profile,
                                       .gradient = gradient,
                                       .begin = begin,
                                       .step = step,
                                       .judge = judge,
                                       .support = support,
                                       .adapted = adapted,
                                       .resume = resume,
                                       .macs = macs,
                                       .n_scores = N_SCORES,
                                       .scores = scores};
