#include "worker/learner/parts/batch_norm.h"

#include <stdio.h>

static mn_node by_running(mn_builder *builder, uint32_t layer, mn_node x, mn_node gamma,
                          mn_node beta, mn_node stats, bool relu);
static mn_node padded(mn_builder *builder, mn_role role, uint32_t layer, mn_node x, mn_node gamma,
                      mn_node beta, bool relu);
static mn_node by_support(mn_builder *builder, mn_role role, uint32_t layer, mn_node x,
                          mn_node gamma, mn_node beta, bool relu);
static mn_node by_item(mn_builder *builder, uint32_t layer, mn_node x, mn_node gamma, mn_node beta,
                       bool relu);

static bool has_norm(const mn_experiment *e)
{
    return e->model.input == MN_INPUT_CONV4 ||
           (e->model.input == MN_INPUT_MLP && e->model.batch_norm);
}

bool mn_norm_is_of_step(const mn_experiment *experiment)
{
    return experiment->meta.kind == MN_META_MAML && experiment->model.batch_norm_by_step &&
           has_norm(experiment);
}

static void scale_and_shift(mn_builder *builder, uint32_t layer, uint32_t c, mn_node *gamma,
                            mn_node *beta)
{
    char name[32];
    if (!mn_norm_is_of_step(builder->experiment)) {
        (void)snprintf(name, sizeof name, "bn%u.weight", layer);
        *gamma = mn_builder_vector(builder, name, c, MN_START_ONE);
        (void)snprintf(name, sizeof name, "bn%u.bias", layer);
        *beta = mn_builder_vector(builder, name, c, MN_START_ZERO);
        return;
    }
    const mn_node *given = builder->step_norms[layer - 1];
    const mn_extent vector = {1, 1, 1, c};
    builder->norms[layer - 1] = c;
    if (builder->n_norms < layer)
        builder->n_norms = layer;
    *gamma = given[0] != MN_NONE ? given[0] : mn_graph_constant(builder->graph, 1, vector);
    *beta = given[1] != MN_NONE ? given[1] : mn_graph_zero(builder->graph, vector);
}

mn_node mn_batch_norm_build(mn_builder *builder, mn_role role, uint32_t layer, mn_node x, bool relu)
{
    const mn_experiment *e = builder->experiment;
    const uint32_t c = mn_builder_extent(builder, x).c;
    mn_node gamma, beta;
    scale_and_shift(builder, layer, c, &gamma, &beta);
    if (mn_fields_have_padding(builder->fields) &&
        e->model.batch_norm_statistics != MN_STATISTICS_ITEM)
        return padded(builder, role, layer, x, gamma, beta, relu);
    switch (e->model.batch_norm_statistics) {
    case MN_STATISTICS_RUNNING:
        return by_running(builder, layer, x, gamma, beta,
                          mn_graph_batch_stats(builder->graph, x, e->model.batch_norm_eps), relu);
    case MN_STATISTICS_SUPPORT:
        return by_support(builder, role, layer, x, gamma, beta, relu);
    case MN_STATISTICS_ITEM:
        return by_item(builder, layer, x, gamma, beta, relu);
    case MN_STATISTICS_BATCH:
        break;
    }
    return mn_graph_batch_norm(builder->graph, x, gamma, beta, e->model.batch_norm_eps, relu);
}

const char *mn_batch_norm_remark(const mn_experiment *experiment)
{
    static const char *const remarks[] = {
        [MN_STATISTICS_BATCH] = "batch norm by the statistics of the batch at hand (transductive)",
        [MN_STATISTICS_RUNNING] = "batch norm by running statistics (inductive)",
        [MN_STATISTICS_SUPPORT] = "batch norm by the statistics of the support set (inductive)",
        [MN_STATISTICS_ITEM] = "batch norm by each image's own statistics (inductive)",
    };
    return has_norm(experiment) ? remarks[experiment->model.batch_norm_statistics] : NULL;
}

/* gamma (x - mean) / sqrt(var + eps) + beta = x s + (beta - mean s), by given mean and var [c]. */
static mn_node by_given(mn_builder *builder, mn_node x, mn_node mean, mn_node var, mn_node gamma,
                        mn_node beta, bool relu)
{
    mn_graph *graph = builder->graph;
    mn_node eps = mn_graph_constant(graph, builder->experiment->model.batch_norm_eps,
                                    mn_builder_extent(builder, var));
    mn_node deviation = mn_graph_root(graph, mn_graph_add(graph, var, eps));
    mn_node s = mn_graph_multiply(graph, gamma, mn_graph_reciprocal(graph, deviation));
    mn_node shift = mn_graph_subtract(graph, beta, mn_graph_multiply(graph, mean, s));
    mn_node y = mn_graph_bias(graph, mn_graph_column_scale(graph, x, s), shift);
    return relu ? mn_graph_relu(graph, y) : y;
}

/* The running statistics of a layer, told what they are now: [c], MN_NONE while nothing is trained. */
static void running(mn_builder *builder, uint32_t layer, uint32_t c, const mn_node now[2],
                    mn_node moments[2])
{
    char name[32];
    (void)snprintf(name, sizeof name, "bn%u.running_mean", layer);
    moments[0] = mn_builder_statistic(builder, name, c, 0, now[0]);
    (void)snprintf(name, sizeof name, "bn%u.running_var", layer);
    moments[1] = mn_builder_statistic(builder, name, c, 1, now[1]);
}

/* stats [2, c]: mean, 1/sqrt(var + eps), of the set at hand. */
static mn_node by_running(mn_builder *builder, uint32_t layer, mn_node x, mn_node gamma,
                          mn_node beta, mn_node stats, bool relu)
{
    mn_graph *graph = builder->graph;
    const double eps = builder->experiment->model.batch_norm_eps;
    const uint32_t c = mn_builder_extent(builder, x).c;
    const mn_extent vector = {1, 1, 1, c};
    mn_node now[2] = {MN_NONE, MN_NONE}, moments[2];
    if (builder->training) {
        mn_node inverse = mn_graph_reshape(graph, mn_graph_rows(graph, stats, 1, 1), vector);
        now[0] = mn_graph_reshape(graph, mn_graph_rows(graph, stats, 0, 1), vector);
        now[1] = mn_graph_subtract(
            graph, mn_graph_reciprocal(graph, mn_graph_multiply(graph, inverse, inverse)),
            mn_graph_constant(graph, eps, vector));
    }
    running(builder, layer, c, now, moments);
    if (builder->training)
        return mn_graph_batch_norm(graph, x, gamma, beta, eps, relu);
    return by_given(builder, x, moments[0], moments[1], gamma, beta, relu);
}

/* Mean and biased variance [c] of the items that are not padding, all pixels of each. */
static void moments_without_padding(mn_builder *builder, mn_role role, mn_node x,
                                    mn_node moments[2])
{
    mn_graph *graph = builder->graph;
    const mn_extent image = mn_builder_extent(builder, x), vector = {1, 1, 1, image.c};
    const uint32_t pixels = image.h * image.w;
    mn_node rows = mn_graph_reshape(graph, x, (mn_extent){image.n * pixels, 1, 1, image.c});
    mn_node weights =
        mn_graph_repeat_rows(graph, mn_builder_need(builder, "batch norm", role, "weight"), pixels);
    weights = mn_graph_scale(graph, 1.0 / pixels, weights);
    moments[0] =
        mn_graph_reshape(graph, mn_graph_product(graph, weights, rows, true, false), vector);
    mn_node off = mn_graph_bias(graph, rows, mn_graph_scale(graph, -1, moments[0]));
    moments[1] = mn_graph_reshape(
        graph, mn_graph_product(graph, weights, mn_graph_multiply(graph, off, off), true, false),
        vector);
}

/* All kinds of statistics but those of an item, by small operations: padding enters none. */
static mn_node padded(mn_builder *builder, mn_role role, uint32_t layer, mn_node x, mn_node gamma,
                      mn_node beta, bool relu)
{
    const mn_statistics kind = builder->experiment->model.batch_norm_statistics;
    mn_node *of_support = builder->support_moments[layer - 1];
    const bool of_batch = kind == MN_STATISTICS_BATCH || builder->training;
    mn_node now[2] = {MN_NONE, MN_NONE}, standing[2];
    if (kind == MN_STATISTICS_SUPPORT && role == MN_QUERY)
        return by_given(builder, x, of_support[0], of_support[1], gamma, beta, relu);
    if (kind == MN_STATISTICS_SUPPORT || of_batch)
        moments_without_padding(builder, role, x, now);
    if (kind == MN_STATISTICS_SUPPORT) {
        of_support[0] = now[0];
        of_support[1] = now[1];
    }
    if (kind == MN_STATISTICS_RUNNING) {
        running(builder, layer, mn_builder_extent(builder, x).c, now, standing);
        return by_given(builder, x, of_batch ? now[0] : standing[0],
                        of_batch ? now[1] : standing[1], gamma, beta, relu);
    }
    return by_given(builder, x, now[0], now[1], gamma, beta, relu);
}

/* The support set as ever; what it leaves for the query set, mean and biased variance by small
 * operations with derivatives, is computed only if a query set is in the graph. */
static mn_node by_support(mn_builder *builder, mn_role role, uint32_t layer, mn_node x,
                          mn_node gamma, mn_node beta, bool relu)
{
    mn_graph *graph = builder->graph;
    mn_node *moments = builder->support_moments[layer - 1];
    if (role == MN_QUERY && moments[0] == MN_NONE) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.batch_norm_statistics support: these tasks (tasks.kind) have "
                              "no support set to take statistics of: use batch");
        return x;
    }
    if (role == MN_QUERY)
        return by_given(builder, x, moments[0], moments[1], gamma, beta, relu);

    const mn_extent extent = mn_builder_extent(builder, x);
    const double per_row = 1.0 / ((double)extent.n * extent.h * extent.w);
    mn_node mean = mn_graph_scale(graph, per_row, mn_graph_column_sums(graph, x));
    mn_node off = mn_graph_bias(graph, x, mn_graph_scale(graph, -1, mean));
    moments[0] = mean;
    moments[1] = mn_graph_scale(graph, per_row,
                                mn_graph_column_sums(graph, mn_graph_multiply(graph, off, off)));
    return mn_graph_batch_norm(graph, x, gamma, beta, builder->experiment->model.batch_norm_eps,
                               relu);
}

static mn_node by_item(mn_builder *builder, uint32_t layer, mn_node x, mn_node gamma, mn_node beta,
                       bool relu)
{
    mn_graph *graph = builder->graph;
    const mn_extent image = mn_builder_extent(builder, x);
    const uint32_t pixels = image.h * image.w;
    if (pixels < 2) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.batch_norm_statistics item: layer %u leaves one pixel of an "
                              "image, whose variance is 0: use fewer model.blocks or a larger "
                              "tasks.image_size",
                              layer);
        return x;
    }
    mn_node rows = mn_graph_reshape(graph, x, (mn_extent){image.n * pixels, 1, 1, image.c});
    mn_node mean = mn_graph_scale(graph, 1.0 / pixels, mn_graph_sum_groups(graph, rows, pixels));
    mn_node off = mn_graph_subtract(graph, rows, mn_graph_repeat_rows(graph, mean, pixels));
    mn_node var =
        mn_graph_scale(graph, 1.0 / pixels,
                       mn_graph_sum_groups(graph, mn_graph_multiply(graph, off, off), pixels));
    mn_node eps = mn_graph_constant(graph, builder->experiment->model.batch_norm_eps,
                                    mn_builder_extent(builder, var));
    mn_node inverse =
        mn_graph_reciprocal(graph, mn_graph_root(graph, mn_graph_add(graph, var, eps)));
    mn_node scales = mn_graph_column_scale(graph, inverse, gamma); /* [n, c] */
    mn_node y = mn_graph_bias(
        graph, mn_graph_multiply(graph, off, mn_graph_repeat_rows(graph, scales, pixels)), beta);
    y = mn_graph_reshape(graph, y, image);
    return relu ? mn_graph_relu(graph, y) : y;
}
