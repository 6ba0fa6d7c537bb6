/* The rule without an inner loop: support and query are one graph, nothing moves, and the memory
 * itself is what adapts. meta-gradient = d L_Q / d theta. So prototypical networks (Snell et al.
 * 2017), memory-augmented networks (Santoro et al. 2016), end-to-end memory networks (Sukhbaatar et
 * al. 2015) and conditional neural processes (Garnelo et al. 2018) are trained. */
#include "worker/learner/rules/rule.h"

#include <math.h>
#include <stdlib.h>

struct state {
    size_t size;
    mn_plan *plan;  /* stage 0: TASK, THETA -> loss, OUTPUT and, if it is to be differentiated,
                      GRADIENT */
    mn_plan *judge; /* the same without GRADIENT; NULL: plan has none */
    double macs;
};

static mn_status compile(const mn_rule_order *order, void **out, mn_error *err)
{
    const mn_network *network = order->network;
    const mn_parameters *list = &network->parameters;
    struct state *state = calloc(1, sizeof *state);
    mn_plan_output *outputs = calloc(list->n + 1, sizeof *outputs);
    mn_node *gradients = calloc(list->n, sizeof *gradients);
    mn_builder *builder = malloc(sizeof *builder);
    *out = state;
    if (state == NULL || outputs == NULL || gradients == NULL || builder == NULL) {
        free(outputs);
        free(gradients);
        free(builder);
        return mn_fail(err, MN_ERR_NOMEM, "meta-learning module");
    }
    state->size = list->size;
    mn_graph graph;
    mn_network_begin(network, order->fields, &graph, builder);
    builder->err = err;
    builder->training = order->differentiate;
    for (uint32_t i = 0; i < list->n; i++)
        builder->tensors[i] =
            mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    mn_network_answer(network, builder, MN_QUERY);
    mn_node loss = mn_network_loss(network, builder, MN_QUERY), y = builder->flow.y[MN_QUERY];
    size_t n = 0;
    outputs[n++] = (mn_plan_output){
        .node = y, .slot = MN_SLOT_OUTPUT, .count = mn_extent_count(mn_graph_extent(&graph, y))};
    if (order->differentiate) {
        mn_graph_gradient(&graph, loss, list->n, builder->tensors, gradients);
        mn_builder_tell_statistics(builder, gradients);
        for (uint32_t i = 0; i < list->n; i++)
            outputs[n++] = (mn_plan_output){.node = gradients[i],
                                            .slot = MN_SLOT_GRADIENT,
                                            .offset = list->at[i].offset,
                                            .count = list->at[i].count};
    }
    state->macs = 3.0 * mn_graph_macs(&graph, y);
    mn_status status = builder->status;
    if (status == MN_OK)
        status = mn_plan_new(&graph, loss, n, outputs, order->kernels, &state->plan, err);
    if (status == MN_OK && order->differentiate)
        status = mn_plan_new(&graph, loss, 1, outputs, order->kernels, &state->judge, err);
    mn_graph_fini(&graph);
    free(outputs);
    free(gradients);
    free(builder);
    return status;
}

static void destroy(void *of)
{
    struct state *state = of;
    if (state != NULL) {
        mn_plan_destroy(&state->plan);
        mn_plan_destroy(&state->judge);
    }
    free(state);
}

/* One stage: nothing is kept from one to the next. */
static size_t scratch_bytes(const void *of)
{
    const struct state *state = of;
    const size_t bytes = mn_plan_scratch_bytes(state->plan) + mn_plan_kept_bytes(state->plan);
    const size_t judge = state->judge == NULL ? 0
                                              : mn_plan_scratch_bytes(state->judge) +
                                                    mn_plan_kept_bytes(state->judge);
    return bytes > judge ? bytes : judge;
}

static mn_status profile(const void *of, mn_profile *profile, mn_error *err)
{
    static const char *const stages[3] = {"episode", "", ""};
    const struct state *state = of;
    return mn_plan_profile(state->plan, stages, profile, err);
}

static double run(const mn_plan *plan, void *scratch, const mn_real *theta,
                  const mn_rule_data *data, mn_real *gradient, mn_real *output)
{
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta, [MN_SLOT_TASK] = data->task},
                            .out = {[MN_SLOT_GRADIENT] = gradient, [MN_SLOT_OUTPUT] = output},
                            .kept = (char *)scratch + mn_plan_scratch_bytes(plan),
                            .profile = data->profile};
    mn_plan_run(plan, 0, scratch, &bindings);
    return mn_plan_loss(plan, scratch);
}

static mn_rule_losses gradient(const void *of, void *scratch, const mn_real *theta,
                               const mn_rule_data *data, mn_real *gradient, mn_real *output)
{
    const struct state *state = of;
    return (mn_rule_losses){.support_before = (double)NAN,
                            .query = run(state->plan, scratch, theta, data, gradient, output)};
}

static double judge(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data,
                    mn_real *output)
{
    const struct state *state = of;
    return run(state->judge != NULL ? state->judge : state->plan, scratch, theta, data, NULL,
               output);
}

static double macs(const void *of)
{
    const struct state *state = of;
    return state->macs;
}

const mn_rule_kind mn_episodic_rule = {.name = "episodic",
                                       .compile = compile,
                                       .destroy = destroy,
                                       .scratch_bytes = scratch_bytes,
                                       .profile = profile,
                                       .gradient = gradient,
                                       .judge = judge,
                                       .macs = macs};
