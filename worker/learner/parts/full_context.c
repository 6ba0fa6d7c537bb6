#include "worker/learner/parts/full_context.h"

#include <stdio.h>

#define MOST_FEATURES 4096u /* of an item; an LSTM has 8 of its square */

/* Weights of an LSTM of d units whose state has `state` numbers, as PyTorch names and lays them out
 * (gates i, f, g, o; one bias). */
struct cell {
    mn_node weight_ih, weight_hh, bias_ih;
};

static struct cell cell_of(mn_builder *builder, const char *lstm, const char *suffix, uint32_t d,
                           uint32_t state)
{
    char name[3][64];
    (void)snprintf(name[0], sizeof name[0], "%s.weight_ih%s", lstm, suffix);
    (void)snprintf(name[1], sizeof name[1], "%s.weight_hh%s", lstm, suffix);
    (void)snprintf(name[2], sizeof name[2], "%s.bias_ih%s", lstm, suffix);
    struct cell cell;
    cell.weight_ih = mn_builder_weights(builder, name[0], (mn_extent){1, 1, 1, d}, 4 * d);
    cell.weight_hh = mn_builder_weights(builder, name[1], (mn_extent){1, 1, 1, state}, 4 * d);
    cell.bias_ih = mn_builder_vector(builder, name[2], 4 * d, MN_START_ZERO);
    return cell;
}

static mn_node input_share(mn_graph *graph, mn_node u, struct cell cell)
{
    return mn_graph_bias(graph, mn_graph_linear(graph, u, cell.weight_ih), cell.bias_ih);
}

/* The outputs of every step, an item each, added to `plus`. */
static mn_node along_items(mn_builder *builder, mn_node u, bool backwards, mn_node plus)
{
    mn_graph *graph = builder->graph;
    const mn_extent items = mn_builder_extent(builder, u);
    const struct cell cell =
        cell_of(builder, "support_lstm", backwards ? "_reverse" : "", items.c, items.c);
    mn_node z = input_share(graph, u, cell), h = MN_NONE, c = MN_NONE;
    for (uint32_t t = 0; t < items.n; t++) {
        const uint32_t i = backwards ? items.n - 1 - t : t;
        mn_node share = h == MN_NONE ? MN_NONE : mn_graph_linear(graph, h, cell.weight_hh);
        mn_node step = mn_graph_lstm(graph, mn_graph_rows(graph, z, i, 1), share, c);
        h = mn_graph_lstm_output(graph, step);
        c = mn_graph_lstm_cell(graph, step);
        plus = mn_graph_place_rows(graph, h, i, items.n, plus);
    }
    return plus;
}

mn_node mn_full_context_support(mn_builder *builder, mn_node u)
{
    const uint32_t d = mn_builder_extent(builder, u).c;
    if (d > MOST_FEATURES) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.full_context has LSTMs of as many units as an item has "
                              "features, but there are %u: expected at most %u; use model.readout "
                              "mean, more model.blocks or fewer model.filters",
                              d, MOST_FEATURES);
        return u;
    }
    mn_node g = along_items(builder, u, false, u);
    g = along_items(builder, u, true, g);
    (void)cell_of(builder, "query_lstm", "", d, 2 * d);
    return g;
}

mn_node mn_full_context_query(mn_builder *builder, mn_node u, mn_node g)
{
    mn_graph *graph = builder->graph;
    const mn_extent items = mn_builder_extent(builder, u);
    const uint32_t d = mn_builder_extent(builder, g).c;
    if (items.c != d) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.full_context compares what model.reasoning gives (%u numbers) "
                              "with features (%u): these must be as many; use model.reasoning none",
                              items.c, d);
        return u;
    }
    const struct cell cell = cell_of(builder, "query_lstm", "", d, 2 * d);
    mn_node z = input_share(graph, u, cell), h = mn_graph_zero(graph, items), c = MN_NONE;
    for (uint32_t k = 0; k < builder->experiment->model.context_steps; k++) {
        mn_node p = mn_graph_softmax(graph, mn_graph_product(graph, h, g, false, true), MN_NONE);
        const mn_node state[2] = {h, mn_graph_product(graph, p, g, false, false)};
        mn_node share =
            mn_graph_linear(graph, mn_graph_concat_columns(graph, 2, state), cell.weight_hh);
        mn_node step = mn_graph_lstm(graph, z, share, c);
        h = mn_graph_add(graph, mn_graph_lstm_output(graph, step), u);
        c = mn_graph_lstm_cell(graph, step);
    }
    return h;
}
