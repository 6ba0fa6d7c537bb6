/* A multilayer perceptron: [linear, batch norm if asked, activation] for each width of
 * model.hidden. With model.residual what comes of it is added to the items, times a vector that
 * begins at 0 (ReZero, Bachlechner et al. 2020, arXiv:2003.04887): then nearest neighbours are where
 * training begins, and few classes cannot spoil them much. */
#include "worker/learner/parts/part.h"

#include "worker/learner/parts/batch_norm.h"
#include <stdio.h>

static mn_node added_to_items(mn_builder *builder, mn_role role, mn_node x)
{
    const mn_node items =
        mn_builder_flat(builder, mn_builder_need(builder, "model.input mlp", role, "x"));
    const uint32_t width = mn_builder_extent(builder, items).c;
    mn_node made = mn_builder_linear(builder, "residual", x, width);
    mn_node gate = mn_builder_vector(builder, "residual.gate", width, MN_START_ZERO);
    return mn_graph_add(builder->graph, items, mn_graph_column_scale(builder->graph, made, gate));
}

static mn_node build(mn_builder *builder, mn_role role)
{
    const mn_experiment *e = builder->experiment;
    mn_node x = mn_builder_need(builder, "model.input mlp", role, "x");
    for (uint32_t layer = 1; layer <= e->model.hidden.n; layer++) {
        const uint32_t width = e->model.hidden.at[layer - 1];
        char name[32];
        if (!e->model.batch_norm) {
            (void)snprintf(name, sizeof name, "fc%u", layer);
            x = mn_builder_activation(builder, mn_builder_linear(builder, name, x, width),
                                      e->model.activation);
            continue;
        }
        (void)snprintf(name, sizeof name, "fc%u.weight", layer);
        mn_node weight = mn_builder_weights(builder, name, mn_builder_extent(builder, x), width);
        (void)snprintf(name, sizeof name, "fc%u.bias", layer); /* taken away again by the mean */
        (void)mn_builder_vector(builder, name, width, MN_START_ZERO);
        const bool relu = e->model.activation == MN_RELU;
        x = mn_batch_norm_build(builder, role, layer, mn_graph_linear(builder->graph, x, weight),
                                relu);
        if (!relu)
            x = mn_graph_tanh(builder->graph, x);
    }
    return e->model.residual ? added_to_items(builder, role, x) : x;
}

const mn_part mn_mlp_part = {.name = "input mlp", .build = build};
