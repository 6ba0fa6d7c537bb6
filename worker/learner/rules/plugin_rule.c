/* A rule of a plug-in: all of the network adapts, phi_0 = theta; the plug-in moves phi step by step,
 * by the support loss's gradient and its products with the second derivative, and makes the
 * meta-gradient of the query loss's gradient at the last phi. The losses themselves, and memory for
 * it all, are ours. */
#include "worker/learner/rules/plugin_rule.h"

#include "worker/learner/rules/loop_plans.h"
#include "worker/learner/rules/scratch.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RULES = 16, MOST_VECTORS = 1024 };

static struct entry {
    unsigned value;
    mnemo_rule_kind kind;
    mn_rule_kind row;
} entries[MOST_RULES];
static size_t n_entries;

struct plugin_rule {
    const mnemo_rule_kind *kind; /* lent */
    void *state;                 /* the kind's own */
    bool is_open;
    uint32_t steps, n_vectors;
    size_t n; /* of theta and of phi */
    mn_loop_plans plans;
    /* Scratch: bytes from its start, where all plans work. A step number and vectors of the plug-in
     * lie behind phi; a product uses up a copy of what the gradient left. */
    size_t at_kept, at_used, at_phi, at_gradient, at_step, at_vectors, scratch_bytes;
};

/* What a plug-in knows as mnemo_adapting: a call, on its thread. */
struct call {
    const struct plugin_rule *rule;
    void *scratch;
    const mn_real *theta;
    const mn_rule_data *data;
    bool has_gradient; /* products may be asked for at this phi */
};

static void lay_out_scratch(struct plugin_rule *rule);
static const mn_rule_kind row_of_plugins;

mn_status mn_plugin_rule_add(const mnemo_rule_kind *kind, unsigned value, mn_error *err)
{
    if (n_entries == MOST_RULES)
        return mn_fail(err, MN_ERR_CONFIG, "plug-ins bring more than %d rules", MOST_RULES);
    struct entry *entry = &entries[n_entries++];
    *entry = (struct entry){value, *kind, row_of_plugins};
    entry->row.name = entry->kind.name;
    return MN_OK;
}

static const struct entry *entry_of(unsigned value)
{
    for (size_t i = 0; i < n_entries; i++)
        if (entries[i].value == value)
            return &entries[i];
    return NULL;
}

const mn_rule_kind *mn_plugin_rule_kind(unsigned value)
{
    const struct entry *entry = entry_of(value);
    return entry == NULL ? NULL : &entry->row;
}

static mn_status open_rule(struct plugin_rule *rule, const mn_experiment *experiment, mn_error *err)
{
    mnemo_error why = {0};
    const mnemo_code code =
        rule->kind->open == NULL
            ? MNEMO_OK
            : rule->kind->open((const mnemo_settings *)experiment, &rule->state, &why);
    rule->is_open = code == MNEMO_OK;
    why.message[sizeof why.message - 1] = '\0';
    if (!rule->is_open)
        return mn_fail(err, code == MNEMO_ERR_NOMEM ? MN_ERR_NOMEM : MN_ERR_CONFIG,
                       "meta.kind %s of a plug-in, open(): %.400s", rule->kind->name,
                       why.message[0] == '\0' ? "it failed and does not say why" : why.message);
    rule->n_vectors = rule->kind->memory == NULL ? 0 : rule->kind->memory(rule->state);
    return rule->n_vectors <= MOST_VECTORS
               ? MN_OK
               : mn_fail(err, MN_ERR_CONFIG,
                         "meta.kind %s of a plug-in, memory(): %u vectors like theta, expected at "
                         "most %d",
                         rule->kind->name, (unsigned)rule->n_vectors, MOST_VECTORS);
}

static mn_status compile(const mn_rule_order *order, void **out, mn_error *err)
{
    const mn_experiment *e = order->network->experiment;
    struct plugin_rule *rule = calloc(1, sizeof *rule);
    *out = rule;
    if (rule == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "meta-learning module");
    rule->kind = &entry_of(e->meta.kind)->kind;
    if (mn_fields_find(order->fields, MN_SUPPORT, "y") == NULL)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.kind %s of a plug-in adapts to a support set, which these tasks "
                       "(tasks.kind) do not have: use meta.kind episodic",
                       rule->kind->name);
    if (sizeof(mn_real) != sizeof(float))
        return mn_fail(err, MN_ERR_CONFIG, "meta.kind %s of a plug-in computes in float",
                       rule->kind->name);
    mn_status status = open_rule(rule, e, err);
    if (status != MN_OK)
        return status;
    rule->steps = e->meta.inner_steps;
    const mn_loop_needs needs = {.first = 0,
                                 .end = order->network->first[MN_N_MODULES],
                                 .products = rule->kind->uses_hessian != 0,
                                 .query_gradient = order->differentiate,
                                 .gradients = true};
    status = mn_loop_plans_init(&rule->plans, order->network, order->fields, &needs, order->kernels,
                                err);
    if (status != MN_OK)
        return status;
    rule->n = rule->plans.size;
    lay_out_scratch(rule);
    return MN_OK;
}

static void destroy(void *of)
{
    struct plugin_rule *rule = of;
    if (rule == NULL)
        return;
    mn_loop_plans_fini(&rule->plans);
    if (rule->is_open && rule->kind->close != NULL)
        rule->kind->close(rule->state);
    free(rule);
}

static size_t scratch_bytes(const void *of)
{
    const struct plugin_rule *rule = of;
    return rule->scratch_bytes;
}

static mn_status profile(const void *of, mn_profile *profile, mn_error *err)
{
    const struct plugin_rule *rule = of;
    static const char *const support[3] = {"inner gradient", "Hessian-vector product", ""};
    static const char *const query[3] = {"query", "", ""};
    mn_status status = mn_plan_profile(rule->plans.support, support, profile, err);
    return status == MN_OK ? mn_plan_profile(rule->plans.query, query, profile, err) : status;
}

static mn_real *phi_of(const struct plugin_rule *rule, void *scratch)
{
    return mn_scratch_at(scratch, rule->at_phi);
}

/* The support loss at phi; its gradient is left in scratch. */
static double support_gradient(const struct plugin_rule *rule, void *scratch, const mn_real *theta,
                               const mn_rule_data *data)
{
    mn_bindings bindings = {.in = {[MN_SLOT_PHI] = phi_of(rule, scratch),
                                   [MN_SLOT_THETA] = theta,
                                   [MN_SLOT_TASK] = data->task},
                            .out = {[MN_SLOT_GRADIENT] = mn_scratch_at(scratch, rule->at_gradient)},
                            .kept = mn_scratch_at(scratch, rule->at_kept),
                            .profile = data->profile};
    mn_plan_run(rule->plans.support, 0, scratch, &bindings);
    return mn_plan_loss(rule->plans.support, scratch);
}

static double query_run(const struct plugin_rule *rule, void *scratch, const mn_real *theta,
                        const mn_rule_data *data, mn_real *gradient, mn_real *output)
{
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta,
                                   [MN_SLOT_PHI] = phi_of(rule, scratch),
                                   [MN_SLOT_TASK] = data->task},
                            .out = {[MN_SLOT_GRADIENT] = gradient, [MN_SLOT_OUTPUT] = output},
                            .profile = data->profile};
    mn_plan_run(rule->plans.query, 0, scratch, &bindings);
    return mn_plan_loss(rule->plans.query, scratch);
}

static void begin(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const struct plugin_rule *rule = of;
    const uint32_t first = 0;
    (void)data;
    memcpy(phi_of(rule, scratch), theta, rule->n * sizeof *theta);
    memset(mn_scratch_at(scratch, rule->at_vectors), 0,
           (size_t)rule->n_vectors * mn_scratch_rounded(rule->n * sizeof(mn_real)));
    memcpy(mn_scratch_at(scratch, rule->at_step), &first, sizeof first);
}

/* Which step it is stands in scratch, for who calls does not say it. */
static double step(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    const struct plugin_rule *rule = of;
    struct call call = {.rule = rule, .scratch = scratch, .theta = theta, .data = data};
    uint32_t k;
    memcpy(&k, mn_scratch_at(scratch, rule->at_step), sizeof k);
    const double loss = rule->kind->step(rule->state, (mnemo_adapting *)&call, k++);
    memcpy(mn_scratch_at(scratch, rule->at_step), &k, sizeof k);
    return loss;
}

static double judge(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data,
                    mn_real *output)
{
    const struct plugin_rule *rule = of;
    return query_run(rule, scratch, theta, data, mn_scratch_at(scratch, rule->at_gradient), output);
}

static double support(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data)
{
    return support_gradient(of, scratch, theta, data);
}

static void adapted(const void *of, const void *scratch, const mn_real *theta, mn_real *adapted)
{
    const struct plugin_rule *rule = of;
    (void)theta;
    memcpy(adapted, mn_scratch_at(scratch, rule->at_phi), rule->n * sizeof *adapted);
}

static void resume(const void *of, void *scratch, const mn_real *adapted, const mn_real *own,
                   uint32_t steps)
{
    const struct plugin_rule *rule = of;
    (void)own;
    memcpy(phi_of(rule, scratch), adapted, rule->n * sizeof *adapted);
    memcpy(mn_scratch_at(scratch, rule->at_step), &steps, sizeof steps);
}

static mn_rule_losses gradient(const void *of, void *scratch, const mn_real *theta,
                               const mn_rule_data *data, mn_real *gradient, mn_real *output)
{
    const struct plugin_rule *rule = of;
    struct call call = {.rule = rule, .scratch = scratch, .theta = theta, .data = data};
    mn_rule_losses losses = {0};
    begin(of, scratch, theta, data);
    losses.support_before = rule->steps == 0 ? support_gradient(rule, scratch, theta, data) : 0;
    for (uint32_t k = 0; k < rule->steps; k++) {
        const double loss = step(of, scratch, theta, data);
        if (k == 0)
            losses.support_before = loss;
    }
    losses.query = query_run(rule, scratch, theta, data, gradient, output);
    if (rule->kind->gradient != NULL)
        rule->kind->gradient(rule->state, (mnemo_adapting *)&call, (float *)gradient);
    return losses;
}

/* As if each step took a gradient, and the meta-gradient as many products: a plug-in does not tell. */
static double macs(const void *of)
{
    const struct plugin_rule *rule = of;
    const double per_step = rule->kind->uses_hessian ? 9.0 : 3.0;
    return per_step * rule->steps * rule->plans.support_macs + 3.0 * rule->plans.query_macs;
}

static void lay_out_scratch(struct plugin_rule *rule)
{
    const mn_loop_plans *plans = &rule->plans;
    const size_t support = mn_plan_scratch_bytes(plans->support);
    const size_t query = mn_plan_scratch_bytes(plans->query);
    const size_t kept = mn_plan_kept_bytes(plans->support), theta = rule->n * sizeof(mn_real);
    size_t bytes = 0;
    (void)mn_scratch_take(&bytes, support > query ? support : query);
    rule->at_kept = mn_scratch_take(&bytes, kept);
    rule->at_used = mn_scratch_take(&bytes, rule->kind->uses_hessian ? kept : 0);
    rule->at_phi = mn_scratch_take(&bytes, theta);
    rule->at_gradient = mn_scratch_take(&bytes, theta);
    rule->at_step = mn_scratch_take(&bytes, sizeof(uint32_t));
    rule->at_vectors = mn_scratch_take(&bytes, rule->n_vectors * mn_scratch_rounded(theta));
    rule->scratch_bytes = bytes;
}

static const mn_rule_kind row_of_plugins = {.compile = compile,
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
                                            .macs = macs};

/* The host ------------------------------------------------------------------------- */

static size_t n_of(const mnemo_adapting *adapting)
{
    return ((const struct call *)adapting)->rule->n;
}

static const float *theta_of(const mnemo_adapting *adapting)
{
    return (const float *)((const struct call *)adapting)->theta;
}

static float *own_phi(mnemo_adapting *adapting)
{
    const struct call *call = (const struct call *)adapting;
    return (float *)phi_of(call->rule, call->scratch);
}

static float *vector_of(mnemo_adapting *adapting, uint32_t i)
{
    const struct call *call = (const struct call *)adapting;
    const size_t bytes = mn_scratch_rounded(call->rule->n * sizeof(mn_real));
    return i < call->rule->n_vectors
               ? (float *)mn_scratch_at(call->scratch, call->rule->at_vectors + i * bytes)
               : NULL;
}

static double support_of(mnemo_adapting *adapting, float *gradient)
{
    struct call *call = (struct call *)adapting;
    const struct plugin_rule *rule = call->rule;
    const double loss = support_gradient(rule, call->scratch, call->theta, call->data);
    call->has_gradient = true;
    if (gradient != NULL)
        memcpy(gradient, mn_scratch_at(call->scratch, rule->at_gradient),
               rule->n * sizeof *gradient);
    return loss;
}

static void hessian_of(mnemo_adapting *adapting, const float *v, float *out)
{
    struct call *call = (struct call *)adapting;
    const struct plugin_rule *rule = call->rule;
    if (!rule->kind->uses_hessian || !call->has_gradient) {
        for (size_t i = 0; i < rule->n; i++)
            out[i] = NAN; /* the task is skipped, and the check tells */
        return;
    }
    memcpy(mn_scratch_at(call->scratch, rule->at_used), mn_scratch_at(call->scratch, rule->at_kept),
           mn_plan_kept_bytes(rule->plans.support));
    mn_bindings bindings = {.in = {[MN_SLOT_PHI] = phi_of(rule, call->scratch),
                                   [MN_SLOT_THETA] = call->theta,
                                   [MN_SLOT_DIRECTION] = (const mn_real *)v,
                                   [MN_SLOT_TASK] = call->data->task},
                            .out = {[MN_SLOT_MOVED] = (mn_real *)out},
                            .kept = mn_scratch_at(call->scratch, rule->at_used),
                            .profile = call->data->profile};
    mn_plan_run(rule->plans.support, 1, call->scratch, &bindings);
}

void mn_plugin_rule_host(mnemo_host *host)
{
    host->n = n_of;
    host->theta = theta_of;
    host->phi = own_phi;
    host->memory = vector_of;
    host->support = support_of;
    host->hessian = hessian_of;
}
