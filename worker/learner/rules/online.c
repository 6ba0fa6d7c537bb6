/* Adapting to a sequence as it goes: each piece of it (the rows of one point of time) is judged before
 * it is learned from, and nothing else is judged:
 *   phi_0 = theta;  phi_{k+1} = phi_k - alpha grad l_k(phi_k);  loss = 1/K sum_k l_k(phi_k)
 * so what is made small is how wrong the learner is on its way, blunders right after the world has
 * changed included (prequential evaluation: Dawid 1984; online adaptation by MAML: Finn et al. 2019,
 * arXiv:1902.08438). With G the adjoint of all tensors and v its part in those that adapt, the
 * meta-gradient is
 *   G = 0;  for k = K-1 .. 0: G = G - alpha d(grad_phi l_k . v) + 1/K grad l_k
 * the middle term by symmetry of second derivatives the tangent of the whole gradient along v; order 1
 * leaves it out. A piece is made again on the way back, so that memory grows with the sequence by one
 * phi a step and by nothing else. */
#include "worker/learner/rules/rule.h"

#include "worker/learner/rules/adapting.h"
#include "worker/learner/rules/scratch.h"
#include "worker/learner/rules/slice.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct online {
    const mn_kernels *kernels;
    const mn_network *network; /* lent */
    mn_slice slice;            /* a piece of the sequence */
    uint32_t first, end;       /* tensors that adapt */
    size_t begin, n_phi;       /* where they lie in theta; elements */
    size_t size;               /* of theta */
    uint32_t order;
    double inner_lr;
    bool differentiates;
    size_t columns; /* of the answers to a piece */
    /* Stage 0: TASK, THETA, PHI -> loss, OUTPUT, and at GRADIENT that of all tensors. Stage 1:
     * DIRECTION in phi -> at PRODUCT the tangent of that gradient. */
    mn_plan *plan;
    double macs;
    size_t at_kept, at_piece, at_phi, at_gradient, at_product, scratch_bytes;
};

static mn_status compile_plan(struct online *online, const mn_kernels *kernels, mn_error *err);
static void lay_out_scratch(struct online *online);

static mn_status declare(mn_network *network, mn_error *err)
{
    uint32_t first, end;
    mn_adapting_tensors(network, network->experiment->meta.adapts, &first, &end);
    return first < end ? MN_OK
                       : mn_fail(err, MN_ERR_CONFIG,
                                 "nothing would adapt: the module that meta.adapts names has no "
                                 "parameters; choose another, or meta.kind episodic");
}

static mn_status compile(const mn_rule_order *order, void **out, mn_error *err)
{
    const mn_network *network = order->network;
    const mn_experiment *e = network->experiment;
    struct online *online = calloc(1, sizeof *online);
    *out = online;
    if (online == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "meta-learning module");
    if (mn_fields_find(order->fields, MN_SUPPORT, "y") != NULL)
        return mn_fail(err, MN_ERR_CONFIG,
                       "meta.kind online adapts to the sequence that it is judged by, but these "
                       "tasks (tasks.kind) have a support set: use tasks.kind sinusoid-stream, or "
                       "for a support set that is a stream meta.kind maml or anil with "
                       "meta.step_items");
    if (order->fields->bundle != 1)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "meta.kind online adapts to one sequence at a time, but tasks.bundle puts %u "
            "side by side: set it to 1",
            (unsigned)order->fields->bundle);
    online->kernels = order->kernels;
    online->network = network;
    online->order = e->meta.order;
    online->inner_lr = e->meta.inner_lr;
    online->differentiates = order->differentiate;
    mn_adapting_tensors(network, e->meta.adapts, &online->first, &online->end);
    const mn_parameter *list = network->parameters.at;
    online->begin = list[online->first].offset;
    online->n_phi = list[online->end - 1].offset + list[online->end - 1].count - online->begin;
    online->size = network->parameters.size;
    mn_status status =
        mn_slice_init(&online->slice, order->fields, MN_QUERY, order->fields->bundle, err);
    online->columns = (size_t)online->slice.items * mn_network_columns(network, order->fields);
    if (status == MN_OK)
        status = compile_plan(online, order->kernels, err);
    if (status == MN_OK)
        lay_out_scratch(online);
    return status;
}

/* nodes[i] is like tensor i of theta. */
static size_t give_out(const mn_network *network, const mn_node *nodes, mn_slot slot,
                       unsigned stage, mn_plan_output *outputs)
{
    const mn_parameters *list = &network->parameters;
    for (uint32_t i = 0; i < list->n; i++)
        outputs[i] = (mn_plan_output){.node = nodes[i],
                                      .slot = slot,
                                      .offset = list->at[i].offset,
                                      .count = list->at[i].count,
                                      .stage = stage};
    return list->n;
}

/* Room for the plan in the making; too large for a stack. */
struct draft {
    mn_graph graph;
    mn_builder builder;
    mn_node gradients[MN_MAX_PARAMETERS], products[MN_MAX_PARAMETERS],
        directions[MN_MAX_PARAMETERS];
    mn_plan_output outputs[2 * MN_MAX_PARAMETERS + 1];
};

static mn_status build(struct online *online, struct draft *draft, const mn_kernels *kernels,
                       mn_error *err)
{
    const mn_parameters *list = &online->network->parameters;
    const uint32_t n_adapted = online->end - online->first;
    mn_graph *graph = &draft->graph;
    mn_node *tensors = draft->builder.tensors;
    for (uint32_t i = 0; i < list->n; i++) {
        const bool adapts = i >= online->first && i < online->end;
        tensors[i] =
            mn_graph_input(graph, adapts ? MN_SLOT_PHI : MN_SLOT_THETA,
                           list->at[i].offset - (adapts ? online->begin : 0), list->at[i].inside);
    }
    mn_network_answer(online->network, &draft->builder, MN_QUERY);
    mn_node loss = mn_network_loss(online->network, &draft->builder, MN_QUERY);
    mn_node y = draft->builder.flow.y[MN_QUERY];
    const double units = !online->differentiates || online->order == 1 ? 3.0 : 12.0;
    online->macs = units * mn_graph_macs(graph, y) * online->slice.n;
    size_t n = 0;
    draft->outputs[n++] = (mn_plan_output){
        .node = y, .slot = MN_SLOT_OUTPUT, .count = mn_extent_count(mn_graph_extent(graph, y))};
    mn_graph_gradient(graph, loss, list->n, tensors, draft->gradients);
    n += give_out(online->network, draft->gradients, MN_SLOT_GRADIENT, 0, draft->outputs + n);
    if (online->differentiates && online->order == 2) {
        for (uint32_t i = 0; i < n_adapted; i++) {
            const mn_parameter *tensor = &list->at[online->first + i];
            draft->directions[i] = mn_graph_input(graph, MN_SLOT_DIRECTION,
                                                  tensor->offset - online->begin, tensor->inside);
        }
        mn_graph_tangents(graph, n_adapted, tensors + online->first, draft->directions, list->n,
                          draft->gradients, draft->products);
        n += give_out(online->network, draft->products, MN_SLOT_PRODUCT, 1, draft->outputs + n);
    }
    return draft->builder.status != MN_OK
               ? draft->builder.status
               : mn_plan_new(graph, loss, n, draft->outputs, kernels, &online->plan, err);
}

static mn_status compile_plan(struct online *online, const mn_kernels *kernels, mn_error *err)
{
    struct draft *draft = malloc(sizeof *draft);
    if (draft == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "graph of the network");
    mn_network_begin(online->network, &online->slice.fields, &draft->graph, &draft->builder);
    draft->builder.err = err;
    mn_status status = build(online, draft, kernels, err);
    mn_graph_fini(&draft->graph);
    free(draft);
    return status;
}

static void destroy(void *of)
{
    struct online *online = of;
    if (online != NULL)
        mn_plan_destroy(&online->plan);
    free(online);
}

static void lay_out_scratch(struct online *online)
{
    size_t bytes = 0;
    const size_t n_phis = online->differentiates ? online->slice.n : 1;
    (void)mn_scratch_take(&bytes, mn_plan_scratch_bytes(online->plan));
    online->at_kept = mn_scratch_take(&bytes, mn_plan_kept_bytes(online->plan));
    online->at_piece = mn_scratch_take(&bytes, mn_slice_count(&online->slice) * sizeof(mn_real));
    online->at_phi = mn_scratch_take(&bytes, n_phis * online->n_phi * sizeof(mn_real));
    online->at_gradient = mn_scratch_take(&bytes, online->size * sizeof(mn_real));
    online->at_product = mn_scratch_take(&bytes, online->size * sizeof(mn_real));
    online->scratch_bytes = bytes;
}

static size_t scratch_bytes(const void *of)
{
    const struct online *online = of;
    return online->scratch_bytes;
}

static mn_status profile(const void *of, mn_profile *profile, mn_error *err)
{
    static const char *const stages[3] = {"piece", "Hessian-vector product", ""};
    const struct online *online = of;
    return mn_plan_profile(online->plan, stages, profile, err);
}

/* A stage of piece k at phi: its loss; its answers, to `output` if that is not NULL; its gradient or, at
 * stage 1 right after stage 0, the product with `along`. */
static double run(const struct online *online, void *scratch, unsigned stage, uint32_t k,
                  const mn_real *theta, const mn_rule_data *data, const mn_real *phi,
                  const mn_real *along, mn_real *output)
{
    mn_bindings bindings = {
        .in = {[MN_SLOT_THETA] = theta,
               [MN_SLOT_PHI] = phi,
               [MN_SLOT_DIRECTION] = along,
               [MN_SLOT_TASK] = mn_slice_take(&online->slice, data->task, k,
                                              mn_scratch_at(scratch, online->at_piece))},
        .out = {[MN_SLOT_OUTPUT] = output + k * online->columns,
                [MN_SLOT_GRADIENT] = mn_scratch_at(scratch, online->at_gradient),
                [MN_SLOT_PRODUCT] = mn_scratch_at(scratch, online->at_product)},
        .kept = (char *)scratch + online->at_kept,
        .profile = data->profile};
    mn_plan_run(online->plan, stage, scratch, &bindings);
    return mn_plan_loss(online->plan, scratch);
}

/* Through the whole sequence: output is written, and where the way back is made every phi. Returns
 * the loss. */
static double go(const struct online *online, void *scratch, const mn_real *theta,
                 const mn_rule_data *data, mn_real *output)
{
    mn_real *phi = mn_scratch_at(scratch, online->at_phi);
    const mn_real *gradient = mn_scratch_at(scratch, online->at_gradient) + online->begin;
    double sum = 0;
    memcpy(phi, theta + online->begin, online->n_phi * sizeof *phi);
    for (uint32_t k = 0; k < online->slice.n; k++) {
        sum += run(online, scratch, 0, k, theta, data, phi, NULL, output);
        mn_real *next = online->differentiates ? phi + online->n_phi : phi;
        if (k + 1 < online->slice.n)
            online->kernels->scale_add(online->n_phi, (mn_real)-online->inner_lr, gradient, phi,
                                       next);
        phi = next;
    }
    return sum / online->slice.n;
}

static mn_rule_losses gradient_of_task(const void *of, void *scratch, const mn_real *theta,
                                       const mn_rule_data *data, mn_real *gradient, mn_real *output)
{
    const struct online *online = of;
    const mn_kernels *kernels = online->kernels;
    const mn_real share = (mn_real)(1.0 / online->slice.n);
    const mn_rule_losses losses = {.support_before = (double)NAN,
                                   .query = go(online, scratch, theta, data, output)};
    memset(gradient, 0, online->size * sizeof *gradient);
    for (uint32_t k = online->slice.n; k-- > 0;) {
        const mn_real *phi = mn_scratch_at(scratch, online->at_phi) + k * online->n_phi;
        (void)run(online, scratch, 0, k, theta, data, phi, NULL, output);
        if (online->order == 2 && k + 1 < online->slice.n) {
            (void)run(online, scratch, 1, k, theta, data, phi, gradient + online->begin, output);
            kernels->scale_add(online->size, (mn_real)-online->inner_lr,
                               mn_scratch_at(scratch, online->at_product), gradient, gradient);
        }
        kernels->scale_add(online->size, share, mn_scratch_at(scratch, online->at_gradient),
                           gradient, gradient);
    }
    return losses;
}

static double judge(const void *of, void *scratch, const mn_real *theta, const mn_rule_data *data,
                    mn_real *output)
{
    return go(of, scratch, theta, data, output);
}

static double macs(const void *of)
{
    const struct online *online = of;
    return online->macs;
}

const mn_rule_kind mn_online_rule = {.name = "online",
                                     .declare = declare,
                                     .compile = compile,
                                     .destroy = destroy,
                                     .scratch_bytes = scratch_bytes,
                                     .profile = profile,
                                     .gradient = gradient_of_task,
                                     .judge = judge,
                                     .macs = macs};
