#include "worker/learner/rules/rule.h"

#include "common/mix.h"
#include "worker/learner/rules/plugin_rule.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const mn_rule_kind *const kinds[] = {
    [MN_META_MAML] = &mn_loop_rule,         [MN_META_ANIL] = &mn_loop_rule,
    [MN_META_META_SGD] = &mn_loop_rule,     [MN_META_REPTILE] = &mn_loop_rule,
    [MN_META_EPISODIC] = &mn_episodic_rule, [MN_META_IMAML] = &mn_implicit_rule,
    [MN_META_ONLINE] = &mn_online_rule,
};

/* What follows our own kinds is a plug-in's. */
static const mn_rule_kind *kind_of(const mn_experiment *experiment)
{
    const unsigned kind = experiment->meta.kind;
    return kind < sizeof kinds / sizeof *kinds ? kinds[kind] : mn_plugin_rule_kind(kind);
}

struct mn_rule {
    const mn_rule_kind *kind;
    const mn_experiment *experiment; /* lent */
    size_t size;                     /* of theta */
    size_t own_size;                 /* the same without what is the task set's, at the end */
    const mn_parameters *parameters; /* its tensors; lent */
    void *state;                     /* the kind's own; owned */
};

static mn_status declare_set_losses(mn_network *network, mn_error *err);

mn_status mn_rule_declare(mn_network *network, mn_error *err)
{
    const mn_rule_kind *kind = kind_of(network->experiment);
    const mn_status status = kind->declare == NULL ? MN_OK : kind->declare(network, err);
    return status == MN_OK ? declare_set_losses(network, err) : status;
}

static mn_status declare_set_losses(mn_network *network, mn_error *err)
{
    const mn_experiment *e = network->experiment;
    const uint32_t n = mn_mix_parts(e);
    if (e->tasks.mix_by != MN_MIX_BY_DIFFICULTY || n == 0)
        return MN_OK;
    const uint32_t i =
        mn_parameters_add_vector(&network->parameters, "mixture.losses", n, MN_START_ONE);
    if (i == UINT32_MAX)
        return mn_fail(err, MN_ERR_CONFIG,
                       "model: more than %d tensors of parameters, with that of tasks.mix_by; use "
                       "fewer layers",
                       MN_MAX_PARAMETERS);
    network->parameters.at[i].is_statistic = true;
    network->parameters.at[i].share = e->tasks.mix_renewal;
    network->set_losses = n;
    return MN_OK;
}

mn_status mn_rule_new(const mn_rule_order *order, mn_rule **out, mn_error *err)
{
    mn_rule *rule = calloc(1, sizeof *rule);
    if (rule == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "meta-learning module");
    rule->experiment = order->network->experiment;
    rule->kind = kind_of(rule->experiment);
    rule->size = order->network->parameters.size;
    rule->own_size = rule->size - order->network->set_losses;
    rule->parameters = &order->network->parameters;
    mn_status status = rule->kind->compile(order, &rule->state, err);
    if (status != MN_OK) {
        mn_rule_destroy(&rule);
        return status;
    }
    *out = rule;
    return MN_OK;
}

void mn_rule_destroy(mn_rule **rule)
{
    if (*rule == NULL)
        return;
    (*rule)->kind->destroy((*rule)->state);
    free(*rule);
    *rule = NULL;
}

size_t mn_rule_scratch_bytes(const mn_rule *rule)
{
    return rule->kind->scratch_bytes(rule->state);
}

uint32_t mn_rule_scores(const mn_rule *rule, const mn_score **scores)
{
    *scores = rule->kind->scores;
    return rule->kind->n_scores;
}

mn_status mn_rule_profile(const mn_rule *rule, mn_profile *profile, mn_error *err)
{
    return rule->kind->profile(rule->state, profile, err);
}

mn_rule_losses mn_rule_gradient(const mn_rule *rule, void *scratch, const mn_real *theta,
                                const mn_rule_data *data, mn_real *gradient, mn_real *output)
{
    const mn_rule_losses losses =
        rule->kind->gradient(rule->state, scratch, theta, data, gradient, output);
    memset(gradient + rule->own_size, 0, (rule->size - rule->own_size) * sizeof *gradient);
    for (uint32_t i = 0; i < rule->parameters->n; i++) {
        const mn_parameter *tensor = &rule->parameters->at[i];
        if (tensor->stands)
            memset(gradient + tensor->offset, 0, tensor->count * sizeof *gradient);
    }
    return losses;
}

bool mn_rule_has_steps(const mn_rule *rule)
{
    return rule->kind->step != NULL;
}

uint32_t mn_rule_steps(const mn_rule *rule)
{
    if (rule->kind->steps != NULL)
        return rule->kind->steps(rule->state);
    return mn_rule_has_steps(rule) ? rule->experiment->meta.inner_steps : 0;
}

uint32_t mn_rule_step_items(const mn_experiment *experiment)
{
    const mn_meta_kind kind = experiment->meta.kind;
    return kind == MN_META_MAML || kind == MN_META_ANIL ? experiment->meta.step_items : 0;
}

void mn_rule_begin(const mn_rule *rule, void *scratch, const mn_real *theta,
                   const mn_rule_data *data)
{
    if (rule->kind->begin != NULL)
        rule->kind->begin(rule->state, scratch, theta, data);
}

double mn_rule_step(const mn_rule *rule, void *scratch, const mn_real *theta,
                    const mn_rule_data *data)
{
    return rule->kind->step(rule->state, scratch, theta, data);
}

double mn_rule_judge(const mn_rule *rule, void *scratch, const mn_real *theta,
                     const mn_rule_data *data, mn_real *output)
{
    return rule->kind->judge(rule->state, scratch, theta, data, output);
}

double mn_rule_support(const mn_rule *rule, void *scratch, const mn_real *theta,
                       const mn_rule_data *data)
{
    return rule->kind->support == NULL ? (double)NAN
                                       : rule->kind->support(rule->state, scratch, theta, data);
}

void mn_rule_adapted(const mn_rule *rule, const void *scratch, const mn_real *theta,
                     mn_real *adapted)
{
    if (rule->kind->adapted == NULL) {
        memcpy(adapted, theta, rule->size * sizeof *adapted);
        return;
    }
    rule->kind->adapted(rule->state, scratch, theta, adapted);
    memcpy(adapted + rule->own_size, theta + rule->own_size,
           (rule->size - rule->own_size) * sizeof *adapted);
}

mn_status mn_rule_own(const mn_rule *rule, mn_parameters *out, mn_error *err)
{
    const mn_rule_kind *kind = rule->kind;
    if (kind->step != NULL && kind->resume == NULL)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "what the rule %s (meta.kind) adapts cannot be kept, only be looked at: mnemo "
            "task does so",
            kind->name);
    return kind->own == NULL ? MN_OK : kind->own(rule->state, out, err);
}

void mn_rule_take_own(const mn_rule *rule, const void *scratch, mn_real *own)
{
    if (rule->kind->take_own != NULL)
        rule->kind->take_own(rule->state, scratch, own);
}

void mn_rule_resume(const mn_rule *rule, void *scratch, const mn_real *adapted, const mn_real *own,
                    uint32_t steps)
{
    if (rule->kind->resume != NULL)
        rule->kind->resume(rule->state, scratch, adapted, own, steps);
}

double mn_rule_macs(const mn_rule *rule)
{
    return rule->kind->macs(rule->state);
}
