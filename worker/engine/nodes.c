#include "worker/engine/nodes.h"

#include <stdlib.h>
#include <string.h>

mn_graph_node mn_node_blank(mn_op op, mn_extent extent)
{
    mn_graph_node node;
    memset(&node, 0, sizeof node);
    node.op = op;
    node.extent = extent;
    node.plus = MN_NONE;
    for (int k = 0; k < MN_MAX_INPUTS; k++)
        node.in[k] = MN_NONE;
    return node;
}

static bool same_attributes(const mn_graph_node *a, const mn_graph_node *b)
{
    switch ((int)a->op) {
    case MN_OP_INPUT:
        return a->slot == b->slot && a->offset == b->offset;
    case MN_OP_VIEW:
        return a->offset == b->offset;
    case MN_OP_GEMM:
        return a->trans_a == b->trans_a && a->trans_b == b->trans_b;
    case MN_OP_CONV:
    case MN_OP_CONV_DATA:
    case MN_OP_CONV_WEIGHTS:
        return memcmp(&a->conv, &b->conv, sizeof a->conv) == 0;
    case MN_OP_SCALE:
    case MN_OP_SCALE_ADD:
        return a->factor == b->factor;
    case MN_OP_POOL_INDEX:
    case MN_OP_POOL_GATHER:
    case MN_OP_POOL_SCATTER:
    case MN_OP_PIXEL_MEAN:
    case MN_OP_PIXEL_SPREAD:
        return memcmp(&a->image, &b->image, sizeof a->image) == 0;
    default: /* batch norm; the others have no attributes and these stay zero */
        return a->relu == b->relu && a->eps == b->eps;
    }
}

static bool same(const mn_graph_node *a, const mn_graph_node *b)
{
    return a->op == b->op && memcmp(&a->extent, &b->extent, sizeof a->extent) == 0 &&
           memcmp(a->in, b->in, sizeof a->in) == 0 && a->plus == b->plus && same_attributes(a, b);
}

mn_node mn_node_append(mn_graph *graph, mn_graph_node node)
{
    if (graph->failed)
        return 0;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (same(&graph->nodes[i], &node))
            return (mn_node)i;
    if (graph->n_nodes == graph->capacity) {
        uint32_t capacity = graph->capacity == 0 ? 64 : 2 * graph->capacity;
        mn_graph_node *nodes = realloc(graph->nodes, capacity * sizeof *nodes);
        if (nodes == NULL) {
            graph->failed = true;
            return 0;
        }
        graph->nodes = nodes;
        graph->capacity = capacity;
    }
    memcpy(&graph->nodes[graph->n_nodes], &node, sizeof node);
    return (mn_node)graph->n_nodes++;
}

mn_node mn_node_unary(mn_graph *graph, mn_op op, mn_node a)
{
    return mn_node_binary(graph, op, a, MN_NONE);
}

mn_node mn_node_binary(mn_graph *graph, mn_op op, mn_node a, mn_node b)
{
    mn_graph_node node = mn_node_blank(op, mn_node_extent(graph, a));
    node.in[0] = a;
    node.in[1] = b;
    return mn_node_append(graph, node);
}

mn_extent mn_node_extent(const mn_graph *graph, mn_node node)
{
    return graph->failed ? (mn_extent){1, 1, 1, 1} : graph->nodes[node].extent;
}

mn_node mn_node_gemm(mn_graph *graph, bool trans_a, bool trans_b, mn_node a, mn_node b,
                     mn_node plus, mn_extent extent)
{
    mn_graph_node node = mn_node_blank(MN_OP_GEMM, extent);
    node.in[0] = a;
    node.in[1] = b;
    node.plus = plus;
    node.trans_a = trans_a;
    node.trans_b = trans_b;
    return mn_node_append(graph, node);
}

mn_node mn_node_on_image(mn_graph *graph, mn_op op, mn_node a, mn_node b, mn_extent image,
                         mn_extent extent)
{
    mn_graph_node node = mn_node_blank(op, extent);
    node.in[0] = a;
    node.in[1] = b;
    node.image = image;
    return mn_node_append(graph, node);
}
