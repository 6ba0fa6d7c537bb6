#include "worker/learner/rules/rule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const mn_rule_kind *const kinds[] = {
    [MN_META_MAML] = &mn_loop_rule,         [MN_META_ANIL] = &mn_loop_rule,
    [MN_META_META_SGD] = &mn_loop_rule,     [MN_META_REPTILE] = &mn_loop_rule,
    [MN_META_EPISODIC] = &mn_episodic_rule, [MN_META_IMAML] = &mn_implicit_rule,
};

struct mn_rule {
    const mn_rule_kind *kind;
    const mn_experiment *experiment; /* lent */
    size_t size;                     /* of theta */
    const mn_parameters *parameters; /* its tensors; lent */
    void *state;                     /* the kind's own; owned */
};

mn_status mn_rule_declare(mn_network *network, mn_error *err)
{
    const mn_rule_kind *kind = kinds[network->experiment->meta.kind];
    return kind->declare == NULL ? MN_OK : kind->declare(network, err);
}

mn_status mn_rule_new(const mn_rule_order *order, mn_rule **out, mn_error *err)
{
    mn_rule *rule = calloc(1, sizeof *rule);
    if (rule == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "meta-learning module");
    rule->experiment = order->network->experiment;
    rule->kind = kinds[rule->experiment->meta.kind];
    rule->size = order->network->parameters.size;
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
    return mn_rule_has_steps(rule) ? rule->experiment->meta.inner_steps : 0;
}

void mn_rule_begin(const mn_rule *rule, void *scratch, const mn_real *theta,
                   const mn_rule_data *data)
{
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
    if (rule->kind->adapted != NULL)
        rule->kind->adapted(rule->state, scratch, theta, adapted);
    else
        memcpy(adapted, theta, rule->size * sizeof *adapted);
}

double mn_rule_macs(const mn_rule *rule)
{
    return rule->kind->macs(rule->state);
}
