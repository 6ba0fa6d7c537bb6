#include "worker/learner/parts/batch_norm.h"

#include <stdio.h>

static mn_node by_running(mn_builder *builder, uint32_t layer, mn_node x, mn_node gamma,
                          mn_node beta, mn_node stats, bool relu);

mn_node mn_batch_norm_build(mn_builder *builder, mn_role role, uint32_t layer, mn_node x, bool relu)
{
    const mn_experiment *e = builder->experiment;
    const uint32_t c = mn_builder_extent(builder, x).c;
    char name[32];
    (void)role;
    (void)snprintf(name, sizeof name, "bn%u.weight", layer);
    mn_node gamma = mn_builder_vector(builder, name, c, MN_START_ONE);
    (void)snprintf(name, sizeof name, "bn%u.bias", layer);
    mn_node beta = mn_builder_vector(builder, name, c, MN_START_ZERO);
    if (e->model.batch_norm_statistics == MN_STATISTICS_RUNNING)
        return by_running(builder, layer, x, gamma, beta,
                          mn_graph_batch_stats(builder->graph, x, e->model.batch_norm_eps), relu);
    return mn_graph_batch_norm(builder->graph, x, gamma, beta, e->model.batch_norm_eps, relu);
}

/* stats [2, c]: mean, 1/sqrt(var + eps), of the set at hand. */
static mn_node by_running(mn_builder *builder, uint32_t layer, mn_node x, mn_node gamma,
                          mn_node beta, mn_node stats, bool relu)
{
    mn_graph *graph = builder->graph;
    const double eps = builder->experiment->model.batch_norm_eps;
    const uint32_t c = mn_builder_extent(builder, x).c;
    const mn_extent vector = {1, 1, 1, c};
    mn_node mean_now = MN_NONE, var_now = MN_NONE;
    if (builder->training) {
        mn_node inverse = mn_graph_reshape(graph, mn_graph_rows(graph, stats, 1, 1), vector);
        mean_now = mn_graph_reshape(graph, mn_graph_rows(graph, stats, 0, 1), vector);
        var_now = mn_graph_subtract(
            graph, mn_graph_reciprocal(graph, mn_graph_multiply(graph, inverse, inverse)),
            mn_graph_constant(graph, eps, vector));
    }
    char name[32];
    (void)snprintf(name, sizeof name, "bn%u.running_mean", layer);
    mn_node mean = mn_builder_statistic(builder, name, c, 0, mean_now);
    (void)snprintf(name, sizeof name, "bn%u.running_var", layer);
    mn_node var = mn_builder_statistic(builder, name, c, 1, var_now);
    if (builder->training)
        return mn_graph_batch_norm(graph, x, gamma, beta, eps, relu);

    /* gamma (x - mean) / deviation + beta = x s + (beta - mean s) */
    mn_node deviation =
        mn_graph_root(graph, mn_graph_add(graph, var, mn_graph_constant(graph, eps, vector)));
    mn_node s = mn_graph_multiply(graph, gamma, mn_graph_reciprocal(graph, deviation));
    mn_node shift = mn_graph_subtract(graph, beta, mn_graph_multiply(graph, mean, s));
    mn_node y = mn_graph_bias(graph, mn_graph_column_scale(graph, x, s), shift);
    return relu ? mn_graph_relu(graph, y) : y;
}
