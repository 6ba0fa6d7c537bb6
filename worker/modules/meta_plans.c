#include "worker/modules/meta_plans.h"

#include <string.h>

static mn_status compile_features(mn_meta_plans *plans, uint32_t n_items, mn_error *err);
static mn_status compile_support(mn_meta_plans *plans, uint32_t n_items, mn_error *err);
static mn_status compile_query(mn_meta_plans *plans, uint32_t n_items, mn_error *err);

mn_status mn_meta_plans_init(mn_meta_plans *plans, const mn_network *network,
                             const mn_meta_plans_needs *needs, const mn_kernels *kernels,
                             mn_error *err)
{
    const mn_parameters *list = &network->parameters;
    memset(plans, 0, sizeof *plans);
    plans->network = network;
    plans->kernels = kernels;
    plans->needs = *needs;
    plans->adapted_offset = list->at[needs->first_adapted].offset;
    plans->adapted_size = list->size - plans->adapted_offset;

    mn_status status = MN_OK;
    if (needs->first_adapted > 0)
        status = compile_features(plans, needs->n_support, err);
    if (status == MN_OK)
        status = compile_support(plans, needs->n_support, err);
    if (status == MN_OK)
        status = compile_query(plans, needs->n_query, err);
    return status;
}

void mn_meta_plans_fini(mn_meta_plans *plans)
{
    mn_plan_destroy(&plans->features);
    mn_plan_destroy(&plans->support);
    mn_plan_destroy(&plans->query);
}

/* The tensors as a graph reads them. */
static void enter_tensors(const mn_meta_plans *plans, mn_graph *graph, mn_node *tensors)
{
    const mn_parameters *list = &plans->network->parameters;
    for (uint32_t i = 0; i < list->n; i++)
        tensors[i] =
            i < plans->needs.first_adapted
                ? mn_graph_input(graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside)
                : mn_graph_input(graph, MN_SLOT_PHI, list->at[i].offset - plans->adapted_offset,
                                 list->at[i].inside);
}

struct outputs {
    size_t n;
    mn_plan_output at[2 * MN_MAX_PARAMETERS + 1];
};

/* nodes[i] is like tensor i; those of [first, end) go out, the first of them to the slot's start.
 */
static void give_out(const mn_meta_plans *plans, const mn_node *nodes, uint32_t first, uint32_t end,
                     mn_slot slot, unsigned stage, struct outputs *outputs)
{
    const mn_parameter *list = plans->network->parameters.at;
    for (uint32_t i = first; i < end; i++)
        outputs->at[outputs->n++] = (mn_plan_output){.node = nodes[i],
                                                     .slot = slot,
                                                     .offset = list[i].offset - list[first].offset,
                                                     .count = list[i].count,
                                                     .stage = stage};
}

/* What the step of size needs.rate makes of `from` and gradients that are like it. */
static void give_out_moved(const mn_meta_plans *plans, mn_graph *graph, const mn_node *gradients,
                           const mn_node *from, unsigned stage, struct outputs *outputs)
{
    const uint32_t n = plans->network->parameters.n, first = plans->needs.first_adapted;
    mn_node moved[MN_MAX_PARAMETERS];
    for (uint32_t i = first; i < n; i++)
        moved[i] = mn_graph_scale_add(graph, -plans->needs.rate, gradients[i], from[i]);
    give_out(plans, moved, first, n, MN_SLOT_MOVED, stage, outputs);
}

static mn_extent items(mn_extent one, uint32_t n_items)
{
    one.n = n_items;
    return one;
}

static mn_status compile_features(mn_meta_plans *plans, uint32_t n_items, mn_error *err)
{
    const mn_network *network = plans->network;
    mn_node tensors[MN_MAX_PARAMETERS], gradients[MN_MAX_PARAMETERS];
    mn_extent extent = items(network->u, n_items);
    struct outputs outputs = {.n = 0};
    mn_graph graph;
    mn_graph_init(&graph);
    enter_tensors(plans, &graph, tensors);
    mn_node x = mn_graph_input(&graph, MN_SLOT_X, 0, items(network->x, n_items));
    mn_node u = mn_network_features(network, &graph, tensors, x);
    outputs.at[outputs.n++] =
        (mn_plan_output){.node = u, .slot = MN_SLOT_OUTPUT, .count = mn_extent_count(extent)};
    plans->u_count = mn_extent_count(extent);
    if (plans->needs.products) {
        mn_node cotangent = mn_graph_input(&graph, MN_SLOT_COTANGENT, 0, extent);
        mn_graph_pullback(&graph, u, cotangent, plans->needs.first_adapted, tensors, gradients);
        give_out(plans, gradients, 0, plans->needs.first_adapted, MN_SLOT_PRODUCT, 1, &outputs);
    }
    mn_status status =
        mn_plan_new(&graph, MN_NONE, outputs.n, outputs.at, plans->kernels, &plans->features, err);
    mn_graph_fini(&graph);
    return status;
}

struct forward {
    mn_node x, y, loss;
};

/* The loss of n items: of the network, or `of_features` of what reads the features. */
static struct forward enter_forward(const mn_meta_plans *plans, mn_graph *graph, mn_node *tensors,
                                    bool of_features, uint32_t n_items)
{
    const mn_network *network = plans->network;
    const mn_extent from = of_features ? network->u : network->x;
    const mn_extent target = {n_items, 1, 1, network->y_size};
    enter_tensors(plans, graph, tensors);
    mn_node x = mn_graph_input(graph, MN_SLOT_X, 0, items(from, n_items));
    mn_node y = of_features ? mn_network_answer(network, graph, tensors, x)
                            : mn_network_build(network, graph, tensors, x);
    mn_node loss = mn_network_loss(network, graph, y, mn_graph_input(graph, MN_SLOT_Y, 0, target));
    return (struct forward){.x = x, .y = y, .loss = loss};
}

/* The inner loop's network: all of it, or what reads the features. */
static mn_status compile_support(mn_meta_plans *plans, uint32_t n_items, mn_error *err)
{
    const mn_parameters *list = &plans->network->parameters;
    const bool splits = plans->features != NULL;
    const uint32_t n = list->n, first = plans->needs.first_adapted, n_adapted = n - first;
    mn_node tensors[MN_MAX_PARAMETERS + 1], directions[MN_MAX_PARAMETERS]; /* and x at the end */
    mn_node gradients[MN_MAX_PARAMETERS + 1], products[MN_MAX_PARAMETERS + 1];
    struct outputs outputs = {.n = 0};
    mn_graph graph;
    mn_graph_init(&graph);
    struct forward f = enter_forward(plans, &graph, tensors, splits, n_items);
    tensors[n] = f.x;

    uint32_t n_wrt = splits ? n_adapted + 1 : n_adapted;
    mn_graph_gradient(&graph, f.loss, n_wrt, tensors + first, gradients + first);
    if (plans->needs.gradients)
        give_out(plans, gradients, first, n, MN_SLOT_GRADIENT, 0, &outputs);
    else
        give_out_moved(plans, &graph, gradients, tensors, 0, &outputs);
    if (plans->needs.products) {
        for (uint32_t i = first; i < n; i++)
            directions[i] =
                mn_graph_input(&graph, MN_SLOT_DIRECTION,
                               list->at[i].offset - plans->adapted_offset, list->at[i].inside);
        mn_graph_tangents(&graph, n_adapted, tensors + first, directions + first, n_wrt,
                          gradients + first, products + first);
        if (plans->needs.gradients)
            give_out(plans, products, first, n, MN_SLOT_PRODUCT, 1, &outputs);
        else
            give_out_moved(plans, &graph, products, directions, 1, &outputs);
        if (splits)
            outputs.at[outputs.n++] = (mn_plan_output){.node = products[n],
                                                       .slot = MN_SLOT_COTANGENT,
                                                       .count = plans->u_count,
                                                       .stage = 1};
    }
    mn_status status =
        mn_plan_new(&graph, f.loss, outputs.n, outputs.at, plans->kernels, &plans->support, err);
    mn_graph_fini(&graph);
    return status;
}

static mn_status compile_query(mn_meta_plans *plans, uint32_t n_items, mn_error *err)
{
    const mn_network *network = plans->network;
    mn_node tensors[MN_MAX_PARAMETERS], gradients[MN_MAX_PARAMETERS];
    struct outputs outputs = {.n = 0};
    mn_graph graph;
    mn_graph_init(&graph);
    struct forward f = enter_forward(plans, &graph, tensors, false, n_items);
    outputs.at[outputs.n++] = (mn_plan_output){
        .node = f.y, .slot = MN_SLOT_OUTPUT, .count = (size_t)n_items * network->y_size};
    if (plans->needs.query_gradient) {
        mn_graph_gradient(&graph, f.loss, network->parameters.n, tensors, gradients);
        give_out(plans, gradients, 0, network->parameters.n, MN_SLOT_GRADIENT, 0, &outputs);
    }
    mn_status status =
        mn_plan_new(&graph, f.loss, outputs.n, outputs.at, plans->kernels, &plans->query, err);
    mn_graph_fini(&graph);
    return status;
}
