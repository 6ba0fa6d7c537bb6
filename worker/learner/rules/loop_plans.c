#include "worker/learner/rules/loop_plans.h"

#include "worker/learner/parts/prototype_head.h"
#include <stdlib.h>
#include <string.h>

#define N_HEAD 2   /* weights and bias */
#define AT_ONCE 64 /* items of a slice of body and judgement, at most */

/* Room for one plan in the making; too large for a stack. */
struct draft {
    mn_graph graph;
    mn_builder builder;
    mn_node gradients[MN_MAX_PARAMETERS + N_HEAD + 1], products[MN_MAX_PARAMETERS + N_HEAD + 1];
    mn_node wrt[MN_MAX_PARAMETERS + N_HEAD + 1], directions[MN_MAX_PARAMETERS + N_HEAD];
    mn_node norms[2 * MN_MAX_LIST], of_norms[2 * MN_MAX_LIST]; /* and their derivatives */
    size_t n_outputs;
    mn_plan_output outputs[3 * (MN_MAX_PARAMETERS + N_HEAD) + 4 + 4 * MN_MAX_LIST];
};

typedef mn_status compile(mn_loop_plans *plans, struct draft *draft, mn_error *err);
static compile compile_features, compile_head, compile_support, compile_query;
static mn_status cut(mn_loop_plans *plans, mn_error *err);
static mn_extent features_extent(const mn_loop_plans *plans);
static mn_status with_draft(mn_loop_plans *plans, const mn_fields *fields, compile *step,
                            mn_error *err);

/* Where tensor i of the list begins; the end of the one before it, if it is the last there is. */
static size_t begin_of(const mn_parameters *list, uint32_t i)
{
    return i == 0 ? 0 : list->at[i - 1].offset + list->at[i - 1].count;
}

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
    const bool has_head = mn_head_is_of_task(network->experiment);
    const bool has_prototypes =
        has_head && network->experiment->meta.head_start == MN_HEAD_PROTOTYPES;
    plans->size = begin_of(list, n);
    plans->adapted_offset = begin_of(list, needs->first);
    plans->adapted_size = begin_of(list, needs->end) - plans->adapted_offset;
    plans->body_end = network->first[MN_MODULE_OUTPUT];
    plans->body_size = begin_of(list, plans->body_end);
    plans->splits =
        !needs->whole && network->is_plain && needs->first > 0 && needs->first == plans->body_end;
    if (plans->splits || has_head)
        plans->u = features_extent(plans);
    if (has_head)
        plans->head_size = ((size_t)plans->u.h * plans->u.w * plans->u.c + 1) * fields->y_size;

    mn_status status = cut(plans, err);
    if (status == MN_OK && (plans->splits || has_prototypes))
        status = with_draft(plans, &plans->body.fields, compile_features, err);
    if (status == MN_OK && has_prototypes)
        status = with_draft(plans, fields, compile_head, err);
    if (status == MN_OK)
        status = with_draft(plans, &plans->step.fields, compile_support, err);
    if (status == MN_OK)
        status = with_draft(plans, &plans->judged.fields, compile_query, err);
    return status;
}

/* The ways back through body and judgement want all of a set at once. */
static mn_status cut(mn_loop_plans *plans, mn_error *err)
{
    const mn_fields *fields = plans->fields;
    const mn_loop_needs *needs = &plans->needs;
    const bool sliced = needs->step_items > 0 && !needs->query_gradient && !needs->products;
    const uint32_t body = sliced ? mn_slice_divisor(fields, MN_SUPPORT, AT_ONCE) : 0;
    const uint32_t judged = sliced ? mn_slice_divisor(fields, MN_QUERY, AT_ONCE) : 0;
    mn_status status = mn_slice_init(&plans->step, fields, MN_SUPPORT, needs->step_items, err);
    if (status == MN_OK)
        status = mn_slice_init(&plans->body, fields, MN_SUPPORT, body, err);
    if (status == MN_OK)
        status = mn_slice_init(&plans->judged, fields, MN_QUERY, judged, err);
    return status;
}

void mn_loop_plans_fini(mn_loop_plans *plans)
{
    mn_plan_destroy(&plans->features);
    mn_plan_destroy(&plans->head);
    mn_plan_destroy(&plans->support);
    mn_plan_destroy(&plans->query);
}

static mn_status with_draft(mn_loop_plans *plans, const mn_fields *fields, compile *step,
                            mn_error *err)
{
    struct draft *draft = malloc(sizeof *draft);
    if (draft == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "graph of the network");
    draft->n_outputs = 0;
    mn_network_begin(plans->network, fields, &draft->graph, &draft->builder);
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

/* Batch norm's of the inner step; returns how many nodes. */
static uint32_t enter_norms(const mn_loop_plans *plans, struct draft *draft)
{
    if (plans->needs.norms == NULL)
        return 0;
    mn_step_norms_enter(plans->needs.norms, &draft->builder, draft->norms);
    return 2 * plans->needs.norms->n;
}

static void give_out_norms(const mn_loop_plans *plans, struct draft *draft, uint32_t n,
                           unsigned stage)
{
    for (uint32_t i = 0; i < n; i++)
        draft->outputs[draft->n_outputs++] =
            (mn_plan_output){.node = draft->of_norms[i],
                             .slot = MN_SLOT_STEP,
                             .offset = plans->needs.norms->layers[i / 2].at[i % 2],
                             .count = plans->needs.norms->layers[i / 2].channels,
                             .stage = stage};
}

/* The head as one array [d + 1, way], the bias its last row: what lies at `slot` from `offset`. */
static mn_extent head_extent(const mn_loop_plans *plans)
{
    const uint32_t way = plans->fields->y_size;
    return (mn_extent){(uint32_t)(plans->head_size / way), 1, 1, way};
}

/* Its weights and bias as inputs; none where there is no head. */
static uint32_t enter_head(const mn_loop_plans *plans, struct draft *draft, mn_slot slot,
                           mn_node *head)
{
    if (plans->head_size == 0)
        return 0;
    mn_extent weights = head_extent(plans), bias = {1, 1, 1, weights.c};
    weights.n--;
    head[0] = mn_graph_input(&draft->graph, slot, plans->adapted_size, weights);
    head[1] =
        mn_graph_input(&draft->graph, slot, plans->adapted_size + mn_extent_count(weights), bias);
    return N_HEAD;
}

static void give_out_head(const mn_loop_plans *plans, struct draft *draft, const mn_node *head,
                          size_t offset, mn_slot slot, unsigned stage)
{
    const size_t bias = plans->fields->y_size;
    if (plans->head_size == 0)
        return;
    draft->outputs[draft->n_outputs++] = (mn_plan_output){.node = head[0],
                                                          .slot = slot,
                                                          .offset = offset,
                                                          .count = plans->head_size - bias,
                                                          .stage = stage};
    draft->outputs[draft->n_outputs++] =
        (mn_plan_output){.node = head[1],
                         .slot = slot,
                         .offset = offset + plans->head_size - bias,
                         .count = bias,
                         .stage = stage};
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

/* What is like phi, from tensor `first` on with the head behind: nodes, or what the step of size
 * needs.rate makes of `from` and of nodes that are like it. */
static void give_out_phi(const mn_loop_plans *plans, struct draft *draft, const mn_node *nodes,
                         mn_slot slot, unsigned stage)
{
    const mn_loop_needs *needs = &plans->needs;
    give_out(plans, draft, nodes, needs->first, needs->end, plans->adapted_offset, slot, stage);
    give_out_head(plans, draft, nodes + needs->end, plans->adapted_size, slot, stage);
}

static void give_out_moved(const mn_loop_plans *plans, struct draft *draft,
                           const mn_node *gradients, const mn_node *from, unsigned stage)
{
    const mn_loop_needs *needs = &plans->needs;
    mn_node moved[MN_MAX_PARAMETERS + N_HEAD];
    const uint32_t end = needs->end + (plans->head_size > 0 ? N_HEAD : 0);
    for (uint32_t i = needs->first; i < end; i++)
        moved[i] =
            mn_graph_scale_add(&draft->graph, -needs->rate, gradients[i], from[i - needs->first]);
    give_out_phi(plans, draft, moved, MN_SLOT_MOVED, stage);
}

static mn_status compile_features(mn_loop_plans *plans, struct draft *draft, mn_error *err)
{
    mn_graph *graph = &draft->graph;
    const mn_parameter *list = plans->network->parameters.at;
    for (uint32_t i = 0; i < plans->body_end; i++) /* at theta, even what adapts */
        draft->builder.tensors[i] =
            mn_graph_input(graph, MN_SLOT_THETA, list[i].offset, list[i].inside);
    mn_node u = mn_network_features(plans->network, &draft->builder, MN_SUPPORT);
    plans->u_count = mn_extent_count(plans->u);
    plans->body_macs[MN_SUPPORT] = mn_graph_macs(graph, u) * plans->body.n;
    draft->outputs[draft->n_outputs++] = (mn_plan_output){
        .node = u, .slot = MN_SLOT_OUTPUT, .count = plans->u_count / plans->body.n};
    if (plans->needs.products || (plans->needs.query_gradient && plans->head_size > 0)) {
        mn_node cotangent = mn_graph_input(graph, MN_SLOT_COTANGENT, 0, plans->u);
        mn_graph_pullback(graph, u, cotangent, plans->body_end, draft->builder.tensors,
                          draft->gradients);
        give_out(plans, draft, draft->gradients, 0, plans->body_end, 0, MN_SLOT_PRODUCT, 1);
    }
    return finish(plans, draft, MN_NONE, &plans->features, err);
}

static mn_status compile_head(mn_loop_plans *plans, struct draft *draft, mn_error *err)
{
    mn_graph *graph = &draft->graph;
    const mn_extent whole = head_extent(plans);
    mn_node u = mn_graph_input(graph, MN_SLOT_FEATURES, 0, plans->u);
    mn_node y = mn_builder_need(&draft->builder, "meta.head_start prototypes", MN_SUPPORT, "y");
    mn_node weights, bias;
    mn_prototype_head(graph, u, y, mn_builder_absent_classes(&draft->builder), &weights, &bias);
    mn_node head = mn_graph_place_rows(graph, bias, whole.n - 1, whole.n,
                                       mn_graph_place_rows(graph, weights, 0, whole.n, MN_NONE));
    draft->outputs[draft->n_outputs++] =
        (mn_plan_output){.node = head, .slot = MN_SLOT_OUTPUT, .count = plans->head_size};
    if (plans->needs.query_gradient) {
        mn_node adjoint = mn_graph_input(graph, MN_SLOT_DIRECTION, 0, whole), of_u = MN_NONE;
        mn_graph_pullback(graph, head, adjoint, 1, &u, &of_u);
        draft->outputs[draft->n_outputs++] = (mn_plan_output){
            .node = of_u, .slot = MN_SLOT_COTANGENT, .count = plans->u_count, .stage = 1};
    }
    return finish(plans, draft, MN_NONE, &plans->head, err);
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
    const bool splits = plans->splits;
    const uint32_t n = plans->network->first[MN_N_MODULES];
    const uint32_t first = plans->needs.first, end = plans->needs.end;
    mn_graph *graph = &draft->graph;
    mn_node *tensors = draft->builder.tensors;
    enter_tensors(plans, draft);
    const uint32_t n_head = enter_head(plans, draft, MN_SLOT_PHI, draft->builder.head);
    const uint32_t n_norms = enter_norms(plans, draft);
    mn_extent u = plans->u;
    u.n /= plans->step.n;
    if (splits)
        draft->builder.flow.u[MN_SUPPORT] = mn_graph_input(graph, MN_SLOT_FEATURES, 0, u);
    mn_network_answer(plans->network, &draft->builder, MN_SUPPORT);
    mn_node loss = mn_network_loss(plans->network, &draft->builder, MN_SUPPORT);
    plans->support_macs = mn_graph_macs(graph, draft->builder.flow.y[MN_SUPPORT]);
    if (splits)
        plans->support_macs += plans->body_macs[MN_SUPPORT];

    /* Derivatives in what adapts, and then in the features. */
    const uint32_t n_adapted = end - first + n_head, n_wrt = splits ? n_adapted + 1 : n_adapted;
    memcpy(draft->wrt, tensors + first, (end - first) * sizeof *tensors);
    memcpy(draft->wrt + end - first, draft->builder.head, n_head * sizeof *tensors);
    draft->wrt[n_adapted] = draft->builder.flow.u[MN_SUPPORT];
    mn_graph_gradient(graph, loss, n_wrt, draft->wrt, draft->gradients + first);
    if (plans->needs.gradients)
        give_out_phi(plans, draft, draft->gradients, MN_SLOT_GRADIENT, 0);
    else
        give_out_moved(plans, draft, draft->gradients, draft->wrt, 0);
    if (!plans->needs.products)
        return finish(plans, draft, loss, &plans->support, err);

    for (uint32_t i = first; i < end; i++)
        draft->directions[i - first] =
            mn_graph_input(graph, MN_SLOT_DIRECTION, list->at[i].offset - plans->adapted_offset,
                           list->at[i].inside);
    (void)enter_head(plans, draft, MN_SLOT_DIRECTION, draft->directions + end - first);
    if (!splits && end - first < n) {
        /* What stands still moves the steps all the same: d <direction, gradient> / d theta, which
         * by the symmetry of second derivatives is the tangent of its gradient. */
        mn_node rest[MN_MAX_PARAMETERS], moving[MN_MAX_PARAMETERS];
        mn_graph_gradient(graph, loss, n, tensors, rest);
        mn_graph_tangents(graph, n_adapted, draft->wrt, draft->directions, n, rest, moving);
        memcpy(draft->products + first, moving + first, (end - first) * sizeof *moving);
        give_out(plans, draft, moving, 0, first, 0, MN_SLOT_PRODUCT, 1);
        give_out(plans, draft, moving, end, n, 0, MN_SLOT_PRODUCT, 1);
    } else {
        mn_graph_tangents(graph, n_adapted, draft->wrt, draft->directions, n_wrt,
                          draft->gradients + first, draft->products + first);
    }
    if (n_norms > 0) { /* they stand still as well */
        mn_node gradients[2 * MN_MAX_LIST];
        mn_graph_gradient(graph, loss, n_norms, draft->norms, gradients);
        mn_graph_tangents(graph, n_adapted, draft->wrt, draft->directions, n_norms, gradients,
                          draft->of_norms);
        give_out_norms(plans, draft, n_norms, 1);
    }
    if (plans->needs.gradients)
        give_out_phi(plans, draft, draft->products, MN_SLOT_MOVED, 1);
    else
        give_out_moved(plans, draft, draft->products, draft->directions, 1);
    if (splits)
        draft->outputs[draft->n_outputs++] = (mn_plan_output){.node = draft->products[end + n_head],
                                                              .slot = MN_SLOT_COTANGENT,
                                                              .count = mn_extent_count(u),
                                                              .stage = 1};
    return finish(plans, draft, loss, &plans->support, err);
}

static mn_status compile_query(mn_loop_plans *plans, struct draft *draft, mn_error *err)
{
    const uint32_t n = plans->network->first[MN_N_MODULES];
    mn_graph *graph = &draft->graph;
    enter_tensors(plans, draft);
    const uint32_t n_head = enter_head(plans, draft, MN_SLOT_PHI, draft->builder.head);
    const uint32_t n_norms = enter_norms(plans, draft);
    mn_network_answer(plans->network, &draft->builder, MN_QUERY);
    mn_node y = draft->builder.flow.y[MN_QUERY];
    mn_node loss = mn_network_loss(plans->network, &draft->builder, MN_QUERY);
    plans->query_macs = mn_graph_macs(graph, y) * plans->judged.n;
    plans->body_macs[MN_QUERY] =
        mn_graph_macs(graph, draft->builder.flow.u[MN_QUERY]) * plans->judged.n;
    draft->outputs[draft->n_outputs++] = (mn_plan_output){
        .node = y, .slot = MN_SLOT_OUTPUT, .count = mn_extent_count(mn_graph_extent(graph, y))};
    if (plans->needs.query_gradient) {
        memcpy(draft->wrt, draft->builder.tensors, n * sizeof *draft->wrt);
        memcpy(draft->wrt + n, draft->builder.head, n_head * sizeof *draft->wrt);
        mn_graph_gradient(graph, loss, n + n_head, draft->wrt, draft->gradients);
        give_out(plans, draft, draft->gradients, 0, n, 0, MN_SLOT_GRADIENT, 0);
        give_out_head(plans, draft, draft->gradients + n, plans->size, MN_SLOT_GRADIENT, 0);
        if (n_norms > 0)
            mn_graph_gradient(graph, loss, n_norms, draft->norms, draft->of_norms);
        give_out_norms(plans, draft, n_norms, 0);
    }
    return finish(plans, draft, loss, &plans->query, err);
}
