#include "worker/engine/graph.h"

#include "worker/engine/nodes.h"
#include <assert.h>
#include <stdlib.h>

void mn_graph_init(mn_graph *graph)
{
    *graph = (mn_graph){0};
}

void mn_graph_fini(mn_graph *graph)
{
    free(graph->nodes);
    *graph = (mn_graph){0};
}

size_t mn_extent_count(mn_extent extent)
{
    return (size_t)extent.n * extent.h * extent.w * extent.c;
}

mn_extent mn_graph_extent(const mn_graph *graph, mn_node node)
{
    return mn_node_extent(graph, node);
}

double mn_graph_macs(const mn_graph *graph, mn_node of)
{
    double macs = 0.0;
    bool *needed = calloc(graph->n_nodes + 1, sizeof *needed);
    if (needed == NULL || graph->failed) {
        free(needed);
        return 0.0;
    }
    needed[of] = true;
    for (mn_node i = of; i >= 0; i--) {
        const mn_graph_node *node = &graph->nodes[i];
        if (!needed[i])
            continue;
        for (int k = 0; k < MN_MAX_INPUTS; k++)
            if (node->in[k] != MN_NONE)
                needed[node->in[k]] = true;
        if (node->plus != MN_NONE)
            needed[node->plus] = true;
        double count = (double)mn_extent_count(node->extent);
        if (node->op == MN_OP_CONV)
            macs += count / node->extent.c *
                    (double)mn_extent_count(graph->nodes[node->in[1]].extent);
        else if (node->op == MN_OP_GEMM)
            macs += count * (double)mn_extent_count(graph->nodes[node->in[0]].extent) /
                    node->extent.n;
    }
    free(needed);
    return macs;
}

mn_node mn_graph_input(mn_graph *graph, mn_slot slot, size_t offset, mn_extent extent)
{
    mn_graph_node node = mn_node_blank(MN_OP_INPUT, extent);
    node.slot = slot;
    node.offset = offset;
    return mn_node_append(graph, node);
}

mn_node mn_graph_linear(mn_graph *graph, mn_node x, mn_node w)
{
    mn_extent from = mn_node_extent(graph, x), weights = mn_node_extent(graph, w);
    assert(graph->failed || (size_t)from.h * from.w * from.c == weights.n);
    return mn_node_gemm(graph, false, false, x, w, MN_NONE, mn_matrix(from.n, weights.c));
}

mn_node mn_graph_bias(mn_graph *graph, mn_node x, mn_node b)
{
    return mn_node_binary(graph, MN_OP_BIAS, x, b);
}

mn_node mn_graph_conv(mn_graph *graph, mn_node x, mn_node w, uint32_t stride)
{
    mn_extent from = mn_node_extent(graph, x), weights = mn_node_extent(graph, w);
    assert(graph->failed || (weights.n == 9 * from.c && (stride == 1 || stride == 2)));
    mn_conv conv = {.n = from.n,
                    .height = from.h,
                    .width = from.w,
                    .c_in = from.c,
                    .c_out = weights.c,
                    .stride = stride,
                    .out_height = (from.h - 1) / stride + 1,
                    .out_width = (from.w - 1) / stride + 1};
    mn_graph_node node =
        mn_node_blank(MN_OP_CONV, (mn_extent){from.n, conv.out_height, conv.out_width, weights.c});
    node.in[0] = x;
    node.in[1] = w;
    node.conv = conv;
    return mn_node_append(graph, node);
}

mn_node mn_graph_batch_norm(mn_graph *graph, mn_node x, mn_node gamma, mn_node beta, double eps,
                            bool relu)
{
    mn_extent extent = mn_node_extent(graph, x);
    mn_graph_node stats = mn_node_blank(MN_OP_BN_STATS, mn_matrix(2, extent.c));
    stats.in[0] = x;
    stats.eps = eps;
    mn_graph_node node = mn_node_blank(MN_OP_BN, extent);
    node.in[0] = x;
    node.in[1] = mn_node_append(graph, stats);
    node.in[2] = gamma;
    node.in[3] = beta;
    node.relu = relu;
    return mn_node_append(graph, node);
}

mn_node mn_graph_relu(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_RELU, x);
}

mn_node mn_graph_tanh(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_TANH, x);
}

mn_node mn_graph_max_pool(mn_graph *graph, mn_node x)
{
    mn_extent image = mn_node_extent(graph, x);
    mn_extent half = {image.n, image.h / 2, image.w / 2, image.c};
    mn_node index = mn_node_on_image(graph, MN_OP_POOL_INDEX, x, MN_NONE, image, half);
    return mn_node_on_image(graph, MN_OP_POOL_GATHER, x, index, image, half);
}

mn_node mn_graph_pixel_mean(mn_graph *graph, mn_node x)
{
    mn_extent image = mn_node_extent(graph, x);
    return mn_node_on_image(graph, MN_OP_PIXEL_MEAN, x, MN_NONE, image,
                            mn_matrix(image.n, image.c));
}

mn_node mn_graph_scale_add(mn_graph *graph, double factor, mn_node a, mn_node b)
{
    if (a == MN_NONE)
        return b;
    mn_graph_node node = mn_node_blank(MN_OP_SCALE_ADD, mn_node_extent(graph, b));
    node.in[0] = a;
    node.in[1] = b;
    node.factor = factor;
    return mn_node_append(graph, node);
}

static mn_node loss(mn_graph *graph, mn_op op, mn_node y, mn_node target)
{
    mn_graph_node node = mn_node_blank(op, mn_vector(1));
    node.in[0] = y;
    node.in[1] = target;
    return mn_node_append(graph, node);
}

mn_node mn_graph_cross_entropy(mn_graph *graph, mn_node logits, mn_node target)
{
    return loss(graph, MN_OP_CROSS_ENTROPY, logits, target);
}

mn_node mn_graph_squared_error(mn_graph *graph, mn_node y, mn_node target)
{
    return loss(graph, MN_OP_SQUARED_ERROR, y, target);
}
