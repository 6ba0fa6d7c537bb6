/* Conditional neural processes (Garnelo et al. 2018, arXiv:1807.01613): curves learned from points
 * without a step of gradient.
 *   mean         r = mean of e over the support set, e = encoder([u; y]): a multilayer perceptron of
 *                the widths model.encoder, the last layer linear; tensors encoder.fc<k>.*
 *   concat-mlp   o = decoder([u; m]), m what the memory gives; a multilayer perceptron of the widths
 *                model.decoder, tensors decoder.fc<k>.*
 *   gaussian     the answer to each of y as a normal distribution: all means, then all deviations,
 *                deviation = 0.1 + 0.9 softplus(.) as in the authors' code; tensors head.*. The loss is
 *                the mean over points of -log p(y), nats */
#include "worker/learner/parts/part.h"

#include <stdio.h>

#define LEAST_DEVIATION 0.1
#define HALF_LOG_2_PI 0.91893853320467274178

enum { MEAN };

/* An activation after each layer, but for the last unless `to_the_end`. */
static mn_node perceptron(mn_builder *builder, const char *prefix, const mn_uint_list *widths,
                          bool to_the_end, mn_node x)
{
    for (uint32_t layer = 1; layer <= widths->n; layer++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s.fc%u", prefix, layer);
        x = mn_builder_linear(builder, name, x, widths->at[layer - 1]);
        if (layer < widths->n || to_the_end)
            x = mn_builder_activation(builder, x, builder->experiment->model.activation);
    }
    return x;
}

static void write_mean(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    if (role != MN_SUPPORT || builder->memory[MN_SUPPORT][MEAN] != MN_NONE)
        return;
    mn_node pairs[2] = {
        mn_builder_flat(builder, builder->flow.u[MN_SUPPORT]),
        mn_builder_flat(builder, mn_builder_need(builder, "model.memory mean", MN_SUPPORT, "y"))};
    mn_node e = perceptron(builder, "encoder", &builder->experiment->model.encoder, false,
                           mn_graph_concat_columns(graph, 2, pairs));
    const mn_extent extent = mn_builder_extent(builder, e);
    builder->memory[MN_SUPPORT][MEAN] = mn_graph_scale(
        graph, 1.0 / (extent.n > 0 ? extent.n : 1),
        mn_graph_reshape(graph, mn_graph_column_sums(graph, e), (mn_extent){1, 1, 1, extent.c}));
}

static mn_node read_mean(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    mn_node mean = builder->memory[MN_SUPPORT][MEAN];
    (void)role;
    (void)hop;
    return mn_graph_repeat_rows(builder->graph, mean, mn_builder_extent(builder, u).n);
}

const mn_part mn_mean_part = {
    .name = "memory mean", .write = write_mean, .written_by_support = true, .read = read_mean};

static mn_node concat_mlp(mn_builder *builder, mn_role role)
{
    const mn_part *memory = mn_memory_of(builder->experiment);
    mn_node both[2] = {mn_builder_flat(builder, builder->flow.u[role])}, o = both[0];
    if (memory->read != NULL) {
        both[1] = memory->read(builder, role, 0, both[0]);
        o = mn_graph_concat_columns(builder->graph, 2, both);
    }
    return perceptron(builder, "decoder", &builder->experiment->model.decoder, true, o);
}

const mn_part mn_concat_mlp_part = {
    .name = "reasoning concat-mlp", .build = concat_mlp, .takes_padding = true};

static mn_node gaussian(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    const uint32_t c = builder->fields->y_size;
    if (builder->fields->target != MN_TARGET_VALUES) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.output gaussian answers with values, but these tasks ask for "
                              "classes: use model.output linear");
        return builder->flow.o[role];
    }
    mn_node both =
        mn_builder_linear(builder, "head", mn_builder_flat(builder, builder->flow.o[role]), 2 * c);
    mn_node wide = mn_graph_softplus(graph, mn_graph_columns(graph, both, c, c));
    mn_node least = mn_graph_constant(graph, LEAST_DEVIATION, mn_builder_extent(builder, wide));
    mn_node parts[2] = {mn_graph_columns(graph, both, 0, c),
                        mn_graph_scale_add(graph, 1.0 - LEAST_DEVIATION, wide, least)};
    return mn_graph_concat_columns(graph, 2, parts);
}

static mn_node gaussian_loss(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    const uint32_t c = builder->fields->y_size;
    mn_node y = builder->flow.y[role];
    mn_node target = mn_builder_need(builder, "model.output gaussian", role, "y");
    mn_node weights = mn_builder_field(builder, role, "weight");
    if (builder->status != MN_OK)
        return mn_graph_mean(graph, y);
    mn_node deviation = mn_graph_columns(graph, y, c, c);
    mn_node off = mn_graph_multiply(graph,
                                    mn_graph_subtract(graph, mn_builder_flat(builder, target),
                                                      mn_graph_columns(graph, y, 0, c)),
                                    mn_graph_reciprocal(graph, deviation));
    mn_node nats = mn_graph_scale_add(graph, 0.5, mn_graph_multiply(graph, off, off),
                                      mn_graph_log(graph, deviation));
    nats = mn_graph_add(graph, nats,
                        mn_graph_constant(graph, HALF_LOG_2_PI, mn_builder_extent(builder, nats)));
    if (weights != MN_NONE)
        nats = mn_graph_row_scale(graph, weights,
                                  mn_graph_scale(graph, mn_builder_extent(builder, nats).n, nats));
    return mn_graph_mean(graph, mn_graph_scale(graph, c, nats)); /* of a point, not of a number */
}

const mn_part mn_gaussian_part = {
    .name = "output gaussian", .build = gaussian, .loss = gaussian_loss, .columns = 2};
