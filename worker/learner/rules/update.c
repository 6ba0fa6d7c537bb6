#include "worker/learner/rules/update.h"

#include "worker/learner/rules/curvature.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOOR 2.061153622438558e-9 /* e^-20: as the gradients of Andrychowicz et al., p = 10 */
#define LOG_SPAN 20.0
#define N_FEATURES 2

/* Tensors: a rate for each part, a momentum for each part, and the four of the network. */
enum { W1, B1, W2, B2, N_NET };

struct mn_update {
    mn_plan *plan;
    size_t size;          /* of phi */
    size_t offset, count; /* of the tensors in theta */
};

static mn_status too_many(mn_error *err)
{
    return mn_fail(err, MN_ERR_CONFIG,
                   "model: more than %d tensors of parameters, those of meta.update counted; use "
                   "fewer layers",
                   MN_MAX_PARAMETERS);
}

static bool is_curvature(const mn_network *network)
{
    return network->experiment->meta.update == MN_UPDATE_CURVATURE;
}

static mn_status declare_curvature(mn_parameters *list, uint32_t n, const mn_update_part *parts,
                                   mn_error *err)
{
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < n && status == MN_OK; i++)
        status = mn_curvature_declare(list, parts[i].tensor, err);
    return status;
}

mn_status mn_update_declare(mn_network *network, uint32_t n, const mn_update_part *parts,
                            mn_error *err)
{
    mn_parameters *list = &network->parameters;
    if (is_curvature(network))
        return declare_curvature(list, n, parts, err);
    const uint32_t units = network->experiment->meta.update_units;
    if (list->n + 2 * (size_t)n + N_NET > MN_MAX_PARAMETERS)
        return too_many(err);
    for (int kind = 0; kind < 2; kind++)
        for (uint32_t i = 0; i < n; i++) {
            char name[sizeof((mn_tensor *)0)->name];
            (void)snprintf(name, sizeof name, "update.%s.%.72s",
                           kind == 0 ? "log_rate" : "momentum", parts[i].name);
            (void)mn_parameters_add_vector(list, name, 1, MN_START_ZERO);
        }
    if (units == 0)
        return MN_OK;
    (void)mn_parameters_add_linear(list, "update.fc1.weight", (mn_extent){1, 1, 1, N_FEATURES},
                                   units);
    (void)mn_parameters_add_vector(list, "update.fc1.bias", units, MN_START_ZERO);
    uint32_t w2 =
        mn_parameters_add_linear(list, "update.fc2.weight", (mn_extent){1, 1, 1, units}, 1);
    list->at[w2].init = MN_START_ZERO;
    (void)mn_parameters_add_vector(list, "update.fc2.bias", 1, MN_START_ZERO);
    return MN_OK;
}

/* The plan in the making. Of each part: its nodes, and what they hang on. */
struct draft {
    mn_graph graph;
    const mn_parameters *list;
    uint32_t first, n_tensors, n_parts; /* of the update's own tensors */
    double inner_lr;
    bool is_curvature;
    uint32_t next; /* of its tensors, that no part has taken yet */
    mn_node tensors[MN_MAX_PARAMETERS], shares[MN_MAX_PARAMETERS]; /* and their adjoints */
    mn_node pulled[2 + MN_MAX_PARAMETERS];
    mn_node wrt[2 + MN_MAX_PARAMETERS];
    size_t n_outputs;
    mn_plan_output outputs[5 * MN_MAX_PARAMETERS];
};

static mn_node input(struct draft *draft, mn_slot slot, size_t offset, size_t count)
{
    return mn_graph_input(&draft->graph, slot, offset, (mn_extent){1, 1, 1, (uint32_t)count});
}

static void output(struct draft *draft, mn_node node, mn_slot slot, size_t offset, size_t count,
                   unsigned stage)
{
    draft->outputs[draft->n_outputs++] = (mn_plan_output){
        .node = node, .slot = slot, .offset = offset, .count = count, .stage = stage};
}

/* v [1, count] -> u. The network goes over columns, [features, count] -> [units, count] -> [1, count],
 * so that elements lie side by side. */
static mn_node scaled(struct draft *draft, mn_node v, size_t count)
{
    mn_graph *graph = &draft->graph;
    const mn_node *net = draft->tensors + 2 * draft->n_parts;
    const mn_extent row = {1, 1, 1, (uint32_t)count};
    if (draft->n_tensors == 2 * draft->n_parts)
        return v;
    mn_node one = mn_graph_constant(graph, 1, row), square = mn_graph_multiply(graph, v, v);
    mn_node root = mn_graph_root(graph, mn_graph_add(graph, square, one));
    mn_node magnitude =
        mn_graph_log(graph, mn_graph_add(graph, square, mn_graph_constant(graph, FLOOR, row)));
    mn_node sign = mn_graph_multiply(graph, v, mn_graph_reciprocal(graph, root));
    mn_node features = mn_graph_place_rows(graph, sign, 0, N_FEATURES, MN_NONE);
    features = mn_graph_place_rows(graph, mn_graph_scale(graph, 1 / LOG_SPAN, magnitude), 1,
                                   N_FEATURES, features);
    mn_node h = mn_graph_add(graph, mn_graph_product(graph, net[W1], features, true, false),
                             mn_graph_product(graph, net[B1], one, true, false));
    mn_node more =
        mn_graph_add(graph, mn_graph_product(graph, net[W2], mn_graph_tanh(graph, h), true, false),
                     mn_graph_row_scale(graph, net[B2], one));
    return mn_graph_multiply(graph, v, mn_graph_add(graph, one, more));
}

static mn_node sum(mn_graph *graph, mn_node a, mn_node b)
{
    return a == MN_NONE ? b : b == MN_NONE ? a : mn_graph_add(graph, a, b);
}

/* The adjoints of g and v of a part, and its share of the tensors'. */
static void pull(struct draft *draft, const mn_update_part *part, size_t size,
                 const mn_node given[2], const mn_node made[2])
{
    mn_graph *graph = &draft->graph;
    const uint32_t n = 2 + draft->n_tensors;
    mn_node of_given[2] = {MN_NONE, MN_NONE};
    memcpy(draft->wrt, given, 2 * sizeof *given);
    memcpy(draft->wrt + 2, draft->tensors, draft->n_tensors * sizeof *draft->wrt);
    for (size_t k = 0; k < 2; k++) {
        if (made[k] == MN_NONE)
            continue;
        mn_node adjoint = input(draft, MN_SLOT_COTANGENT, k * size + part->offset, part->count);
        mn_graph_pullback(graph, made[k], adjoint, n, draft->wrt, draft->pulled);
        for (size_t i = 0; i < 2; i++)
            of_given[i] = sum(graph, of_given[i], draft->pulled[i]);
        for (uint32_t i = 0; i < draft->n_tensors; i++)
            draft->shares[i] = sum(graph, draft->shares[i], draft->pulled[2 + i]);
    }
    output(draft, of_given[0], MN_SLOT_DIRECTION, part->offset, part->count, 1);
    output(draft, of_given[1], MN_SLOT_VELOCITY, part->offset, part->count, 1);
}

/* What is subtracted from phi, and the velocity afterwards; MN_NONE: none. */
static void make_curved_step(struct draft *draft, const mn_update_part *part, mn_node gradient,
                             mn_node made[2])
{
    mn_graph *graph = &draft->graph;
    const mn_parameter *tensor = &draft->list->at[part->tensor];
    mn_node u = mn_curvature_turn(graph, tensor, draft->tensors + draft->next, gradient);
    draft->next += mn_curvature_count(tensor);
    made[0] = mn_graph_scale(graph, draft->inner_lr, u);
    made[1] = MN_NONE;
}

static void make_learned_step(struct draft *draft, uint32_t i, const mn_update_part *part,
                              const mn_node given[2], mn_node made[2])
{
    mn_graph *graph = &draft->graph;
    mn_node rate = mn_graph_scale(graph, draft->inner_lr, mn_graph_exp(graph, draft->tensors[i]));
    mn_node momentum = mn_graph_tanh(graph, draft->tensors[draft->n_parts + i]);
    mn_node v = mn_graph_add(graph, mn_graph_row_scale(graph, momentum, given[1]), given[0]);
    made[0] = mn_graph_row_scale(graph, rate, scaled(draft, v, part->count));
    made[1] = v;
}

static void build_part(struct draft *draft, uint32_t i, const mn_update_part *part, size_t size)
{
    mn_node phi = input(draft, MN_SLOT_PHI, part->offset, part->count), made[2];
    const mn_node given[2] = {input(draft, MN_SLOT_GRADIENT, part->offset, part->count),
                              input(draft, MN_SLOT_VELOCITY, part->offset, part->count)};
    if (draft->is_curvature)
        make_curved_step(draft, part, given[0], made);
    else
        make_learned_step(draft, i, part, given, made);
    made[0] = mn_graph_subtract(&draft->graph, phi, made[0]);
    output(draft, made[0], MN_SLOT_MOVED, part->offset, part->count, 0);
    output(draft, made[1], MN_SLOT_VELOCITY, part->offset, part->count, 0);
    pull(draft, part, size, given, made);
}

static mn_status compile(mn_update *update, struct draft *draft, const mn_update_part *parts,
                         const mn_kernels *kernels, mn_error *err)
{
    for (uint32_t i = 0; i < draft->n_tensors; i++) {
        const mn_parameter *tensor = &draft->list->at[draft->first + i];
        draft->tensors[i] =
            mn_graph_input(&draft->graph, MN_SLOT_THETA, tensor->offset, tensor->inside);
        draft->shares[i] = MN_NONE;
    }
    mn_graph_part(&draft->graph,
                  draft->is_curvature ? "meta.update curvature" : "meta.update learned");
    for (uint32_t i = 0; i < draft->n_parts; i++)
        build_part(draft, i, &parts[i], update->size);
    for (uint32_t i = 0; i < draft->n_tensors; i++) {
        const mn_parameter *tensor = &draft->list->at[draft->first + i];
        output(draft, draft->shares[i], MN_SLOT_PRODUCT, tensor->offset - update->offset,
               tensor->count, 1);
    }
    return mn_plan_new(&draft->graph, MN_NONE, draft->n_outputs, draft->outputs, kernels,
                       &update->plan, err);
}

mn_status mn_update_new(const mn_network *network, uint32_t n, const mn_update_part *parts,
                        size_t size, const mn_kernels *kernels, mn_update **out, mn_error *err)
{
    mn_update *update = calloc(1, sizeof *update);
    struct draft *draft = malloc(sizeof *draft);
    if (update == NULL || draft == NULL) {
        free(update);
        free(draft);
        return mn_fail(err, MN_ERR_NOMEM, "learned update");
    }
    const mn_parameters *list = &network->parameters;
    draft->list = list;
    draft->first = network->first[MN_N_MODULES];
    draft->n_tensors = list->n - draft->first - (network->set_losses > 0);
    draft->n_parts = n;
    draft->inner_lr = network->experiment->meta.inner_lr;
    draft->is_curvature = is_curvature(network);
    draft->next = 0;
    draft->n_outputs = 0;
    assert(draft->n_tensors >= (draft->is_curvature ? n : 2 * n));
    update->size = size;
    update->offset = list->at[draft->first].offset;
    update->count = list->size - network->set_losses - update->offset;
    mn_graph_init(&draft->graph);
    mn_status status = compile(update, draft, parts, kernels, err);
    mn_graph_fini(&draft->graph);
    free(draft);
    *out = update;
    return status;
}

void mn_update_destroy(mn_update **update)
{
    if (*update == NULL)
        return;
    mn_plan_destroy(&(*update)->plan);
    free(*update);
    *update = NULL;
}

size_t mn_update_scratch_bytes(const mn_update *update)
{
    return mn_plan_scratch_bytes(update->plan);
}

size_t mn_update_kept_bytes(const mn_update *update)
{
    return mn_plan_kept_bytes(update->plan);
}

size_t mn_update_count(const mn_update *update)
{
    return update->count;
}

mn_status mn_update_profile(const mn_update *update, mn_profile *profile, mn_error *err)
{
    static const char *const stages[3] = {"update", "pull-back of update", ""};
    return mn_plan_profile(update->plan, stages, profile, err);
}

static mn_bindings bindings_of(const mn_update_step *step)
{
    return (mn_bindings){.in = {[MN_SLOT_THETA] = step->theta,
                                [MN_SLOT_PHI] = step->phi,
                                [MN_SLOT_GRADIENT] = step->gradient,
                                [MN_SLOT_VELOCITY] = step->velocity},
                         .kept = step->kept,
                         .profile = step->profile};
}

void mn_update_run(const mn_update *update, const mn_update_step *step)
{
    mn_bindings bindings = bindings_of(step);
    bindings.out[MN_SLOT_MOVED] = step->moved;
    bindings.out[MN_SLOT_VELOCITY] = step->velocity_after;
    mn_plan_run(update->plan, 0, step->scratch, &bindings);
}

void mn_update_pull(const mn_update *update, const mn_update_step *step, const mn_real *adjoint,
                    mn_real *of_gradient, mn_real *of_velocity, mn_real *of_tensors)
{
    mn_bindings bindings = bindings_of(step);
    bindings.in[MN_SLOT_COTANGENT] = adjoint;
    bindings.out[MN_SLOT_DIRECTION] = of_gradient;
    bindings.out[MN_SLOT_VELOCITY] = of_velocity;
    bindings.out[MN_SLOT_PRODUCT] = of_tensors;
    mn_plan_run(update->plan, 1, step->scratch, &bindings);
}
