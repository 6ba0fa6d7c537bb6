#include "worker/learner/rules/loop_plans.h"

#include <stdlib.h>
#include <string.h>

/* Room for one plan in the making; too large for a stack. */
struct draft {
    mn_graph graph;
    mn_builder builder;
    mn_node gradients[MN_MAX_PARAMETERS + 1], products[MN_MAX_PARAMETERS + 1];
    mn_node wrt[MN_MAX_PARAMETERS + 1], directions[MN_MAX_PARAMETERS];
    size_t n_outputs;
    mn_plan_output outputs[3 * MN_MAX_PARAMETERS + 4];
};

typedef mn_status compile(mn_loop_plans *plans, struct draft *draft, mn_error *err);
static compile compile_features, compile_support, compile_query;
static mn_status with_draft(mn_loop_plans *plans, compile *step, mn_error *err);

mn_status mn_loop_plans_init(mn_loop_plans *plans, const mn_network *network,
                             const mn_fields *fields, const mn_loop_needs *needs,
                             const mn_kernels *kernels, mn_error *err)
{
    const mn_parameters *list = &network->parameters;
    const uint32_t n = network->first[MN_N_MODULES];
    memset(plans, 0, sizeof *plans);
    plans->network = network;
    plans->fields = fields;
    plans->kernels = kernels;
    plans->needs = *needs;
    plans->size = list->at[n - 1].offset + list->at[n - 1].count;
    plans->adapted_offset = list->at[needs->first].offset;
    plans->adapted_size =
        list->at[needs->end - 1].offset + list->at[needs->end - 1].count - plans->adapted_offset;

    mn_status status = MN_OK;
    if (network->is_plain && needs->first > 0 && needs->first == network->first[MN_MODULE_OUTPUT])
        status = with_draft(plans, compile_features, err);
    if (status == MN_OK)
        status = with_draft(plans, compile_support, err);
    if (status == MN_OK)
        status = with_draft(plans, compile_query, err);
    return status;
}

void mn_loop_plans_fini(mn_loop_plans *plans)
{
    mn_plan_destroy(&plans->features);
    mn_plan_destroy(&plans->support);
    mn_plan_destroy(&plans->query);
}

static mn_status with_draft(mn_loop_plans *plans, compile *step, mn_error *err)
{
    struct draft *draft = malloc(sizeof *draft);
    if (draft == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "graph of the network");
    draft->n_outputs = 0;
    mn_network_begin(plans->network, plans->fields, &draft->graph, &draft->builder);
    draft->builder.err = err;
    mn_status status = step(plans, draft, err);
    mn_graph_fini(&draft->graph);
    free(draft);
    return status;
}

static mn_status finish(const mn_loop_plans *plans, struct draft *draft, mn_node loss,
                        mn_plan **out, mn_error *err)
{
    if (draft->builder.status != MN_OK)
        return draft->builder.status;
    return mn_plan_new(&draft->graph, loss, draft->n_outputs, draft->outputs, plans->kernels, out,
                       err);
}

static bool adapts(const mn_loop_plans *plans, uint32_t tensor)
{
    return tensor >= plans->needs.first && tensor < plans->needs.end;
}

/* The tensors as a graph reads them. */
static void enter_tensors(const mn_loop_plans *plans, struct draft *draft)
{
    const mn_parameters *list = &plans->network->parameters;
    for (uint32_t i = 0; i < plans->network->first[MN_N_MODULES]; i++)
        draft->builder.tensors[i] =
            adapts(plans, i)
                ? mn_graph_input(&draft->graph, MN_SLOT_PHI,
                                 list->at[i].offset - plans->adapted_offset, list->at[i].inside)
                : mn_graph_input(&draft->graph, MN_SLOT_THETA, list->at[i].offset,
                                 list->at[i].inside);
}

/* nodes[i] is like tensor i; those of [first, end) go out to their places, less `base`. */
static void give_out(const mn_loop_plans *plans, struct draft *draft, const mn_node *nodes,
                     uint32_t first, uint32_t end, size_t base, mn_slot slot, unsigned stage)
{
    const mn_parameter *list = plans->network->parameters.at;
    for (uint32_t i = first; i < end; i++)
        draft->outputs[draft->n_outputs++] = (mn_plan_output){.node = nodes[i],
                                                              .slot = slot,
                                                              .offset = list[i].offset - base,
                                                              .count = list[i].count,
                                                              .stage = stage};
}

/* What the step of size needs.rate makes of `from` and gradients that are like it. */
static void give_out_moved(const mn_loop_plans *plans, struct draft *draft,
                           const mn_node *gradients, const mn_node *from, unsigned stage)
{
    const mn_loop_needs *needs = &plans->needs;
    mn_node moved[MN_MAX_PARAMETERS];
    for (uint32_t i = needs->first; i < needs->end; i++)
        moved[i] = mn_graph_scale_add(&draft->graph, -needs->rate, gradients[i], from[i]);
    give_out(plans, draft, moved, needs->first, needs->end, plans->adapted_offset, MN_SLOT_MOVED,
             stage);
}

static mn_status compile_features(mn_loop_plans *plans, struct draft *draft, mn_error *err)
{
    mn_graph *graph = &draft->graph;
    enter_tensors(plans, draft);
    mn_node u = mn_network_features(plans->network, &draft->builder, MN_SUPPORT);
    const mn_extent extent = mn_graph_extent(graph, u);
    plans->u_count = mn_extent_count(extent);
    plans->body_macs[MN_SUPPORT] = mn_graph_macs(graph, u);
    draft->outputs[draft->n_outputs++] =
        (mn_plan_output){.node = u, .slot = MN_SLOT_OUTPUT, .count = plans->u_count};
    if (plans->needs.products) {
        mn_node cotangent = mn_graph_input(graph, MN_SLOT_COTANGENT, 0, extent);
        mn_graph_pullback(graph, u, cotangent, plans->needs.first, draft->builder.tensors,
                          draft->gradients);
        give_out(plans, draft, draft->gradients, 0, plans->needs.first, 0, MN_SLOT_PRODUCT, 1);
    }
    return finish(plans, draft, MN_NONE, &plans->features, err);
}

static mn_extent features_extent(const mn_loop_plans *plans)
{
    mn_graph graph;
    mn_builder *builder = malloc(sizeof *builder);
    mn_extent extent = {1, 1, 1, 1};
    if (builder == NULL)
        return extent;
    mn_network_begin(plans->network, plans->fields, &graph, builder);
    const mn_parameters *list = &plans->network->parameters;
    for (uint32_t i = 0; i < list->n; i++)
        builder->tensors[i] =
            mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    extent = mn_graph_extent(&graph, mn_network_features(plans->network, builder, MN_SUPPORT));
    mn_graph_fini(&graph);
    free(builder);
    return extent;
}

/* The inner loop's network: all of it, or what reads the features. */
static mn_status compile_support(mn_loop_plans *plans, struct draft *draft, mn_error *err)
{
    const mn_parameters *list = &plans->network->parameters;
    const bool splits = plans->features != NULL;
    const uint32_t n = plans->network->first[MN_N_MODULES];
    const uint32_t first = plans->needs.first, end = plans->needs.end;
    mn_graph *graph = &draft->graph;
    mn_node *tensors = draft->builder.tensors;
    enter_tensors(plans, draft);
    if (splits)
        draft->builder.flow.u[MN_SUPPORT] =
            mn_graph_input(graph, MN_SLOT_FEATURES, 0, features_extent(plans));
    mn_network_answer(plans->network, &draft->builder, MN_SUPPORT);
    mn_node loss = mn_network_loss(plans->network, &draft->builder, MN_SUPPORT);
    plans->support_macs =
        plans->body_macs[MN_SUPPORT] + mn_graph_macs(graph, draft->builder.flow.y[MN_SUPPORT]);

    /* Derivatives in what adapts, and then in the features. */
    const uint32_t n_adapted = end - first, n_wrt = splits ? n_adapted + 1 : n_adapted;
    memcpy(draft->wrt, tensors + first, n_adapted * sizeof *tensors);
    draft->wrt[n_adapted] = draft->builder.flow.u[MN_SUPPORT];
    mn_graph_gradient(graph, loss, n_wrt, draft->wrt, draft->gradients + first);
    if (plans->needs.gradients)
        give_out(plans, draft, draft->gradients, first, end, plans->adapted_offset,
                 MN_SLOT_GRADIENT, 0);
    else
        give_out_moved(plans, draft, draft->gradients, tensors, 0);
    if (!plans->needs.products)
        return finish(plans, draft, loss, &plans->support, err);

    for (uint32_t i = first; i < end; i++)
        draft->directions[i] =
            mn_graph_input(graph, MN_SLOT_DIRECTION, list->at[i].offset - plans->adapted_offset,
                           list->at[i].inside);
    if (!splits && n_adapted < n) {
        /* What stands still moves the steps all the same: d <direction, gradient> / d theta, which
         * by the symmetry of second derivatives is the tangent of its gradient. */
        mn_node rest[MN_MAX_PARAMETERS], moving[MN_MAX_PARAMETERS];
        mn_graph_gradient(graph, loss, n, tensors, rest);
        mn_graph_tangents(graph, n_adapted, tensors + first, draft->directions + first, n, rest,
                          moving);
        memcpy(draft->products + first, moving + first, n_adapted * sizeof *moving);
        give_out(plans, draft, moving, 0, first, 0, MN_SLOT_PRODUCT, 1);
        give_out(plans, draft, moving, end, n, 0, MN_SLOT_PRODUCT, 1);
    } else {
        mn_graph_tangents(graph, n_adapted, tensors + first, draft->directions + first, n_wrt,
                          draft->gradients + first, draft->products + first);
    }
    if (plans->needs.gradients)
        give_out(plans, draft, draft->products, first, end, plans->adapted_offset, MN_SLOT_PRODUCT,
                 1);
    else
        give_out_moved(plans, draft, draft->products, draft->directions, 1);
    if (splits)
        draft->outputs[draft->n_outputs++] = (mn_plan_output){.node = draft->products[end],
                                                              .slot = MN_SLOT_COTANGENT,
                                                              .count = plans->u_count,
                                                              .stage = 1};
    return finish(plans, draft, loss, &plans->support, err);
}

static mn_status compile_query(mn_loop_plans *plans, struct draft *draft, mn_error *err)
{
    const uint32_t n = plans->network->first[MN_N_MODULES];
    mn_graph *graph = &draft->graph;
    enter_tensors(plans, draft);
    mn_network_answer(plans->network, &draft->builder, MN_QUERY);
    mn_node y = draft->builder.flow.y[MN_QUERY];
    mn_node loss = mn_network_loss(plans->network, &draft->builder, MN_QUERY);
    plans->query_macs = mn_graph_macs(graph, y);
    plans->body_macs[MN_QUERY] = mn_graph_macs(graph, draft->builder.flow.u[MN_QUERY]);
    draft->outputs[draft->n_outputs++] = (mn_plan_output){
        .node = y, .slot = MN_SLOT_OUTPUT, .count = mn_extent_count(mn_graph_extent(graph, y))};
    if (plans->needs.query_gradient) {
        mn_graph_gradient(graph, loss, n, draft->builder.tensors, draft->gradients);
        give_out(plans, draft, draft->gradients, 0, n, 0, MN_SLOT_GRADIENT, 0);
    }
    return finish(plans, draft, loss, &plans->query, err);
}
