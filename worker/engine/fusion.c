#include "worker/engine/fusion.h"

#include <stdlib.h>
#include <string.h>

static void count_readers(const mn_graph *graph, mn_node loss, size_t n_outputs,
                          const mn_plan_output *outputs, uint32_t *readers);
static void fuse(mn_graph_node *nodes, mn_node i, const uint32_t *readers);

mn_status mn_fusion_of(const mn_graph *graph, mn_node loss, size_t n_outputs,
                       const mn_plan_output *outputs, mn_graph *out, mn_error *err)
{
    size_t n = graph->n_nodes;
    mn_graph_node *nodes = malloc((n + 1) * sizeof *nodes);
    uint32_t *readers = calloc(n + 1, sizeof *readers);
    if (nodes == NULL || readers == NULL) {
        free(nodes);
        free(readers);
        return mn_fail(err, MN_ERR_NOMEM, "fusion of %zu operations", n);
    }
    if (n > 0)
        memcpy(nodes, graph->nodes, n * sizeof *nodes);
    count_readers(graph, loss, n_outputs, outputs, readers);
    for (mn_node i = 0; i < (mn_node)n; i++)
        if (readers[i] > 0)
            fuse(nodes, i, readers);
    free(readers);
    *out = (mn_graph){.n_nodes = (uint32_t)n, .capacity = (uint32_t)n + 1, .nodes = nodes};
    return MN_OK;
}

/* Inputs come before their users, so one walk from the end meets all that is wanted. */
static void count_readers(const mn_graph *graph, mn_node loss, size_t n_outputs,
                          const mn_plan_output *outputs, uint32_t *readers)
{
    if (loss != MN_NONE)
        readers[loss]++;
    for (size_t i = 0; i < n_outputs; i++)
        if (outputs[i].node != MN_NONE)
            readers[outputs[i].node]++;
    for (uint32_t i = graph->n_nodes; i-- > 0;) {
        const mn_graph_node *node = &graph->nodes[i];
        if (readers[i] == 0)
            continue;
        for (int k = 0; k < MN_MAX_INPUTS; k++)
            if (node->in[k] != MN_NONE)
                readers[node->in[k]]++;
        if (node->plus != MN_NONE)
            readers[node->plus]++;
    }
}

/* The product that node i is, if it has one reader and nothing behind it yet. */
static const mn_graph_node *open_product(const mn_graph_node *nodes, mn_node i,
                                         const uint32_t *readers)
{
    if (i == MN_NONE || readers[i] != 1)
        return NULL;
    bool is_open = nodes[i].op == MN_OP_GEMM && !nodes[i].relu_after &&
                   nodes[i].in[MN_GEMM_MASK] == MN_NONE && nodes[i].in[MN_GEMM_BASE] == MN_NONE;
    return is_open ? &nodes[i] : NULL;
}

/* May node i be the last step of another? Its only reader must be that one. */
static bool is_open_sum(const mn_graph_node *nodes, mn_node i, const uint32_t *readers)
{
    return readers[i] == 1 && nodes[i].op == MN_OP_COLUMN_SUMS &&
           nodes[i].in[MN_SUMS_BASE] == MN_NONE;
}

/* Are the factors of two sums of the same shapes? The results are. */
static bool may_be_added(const mn_graph_node *nodes, const mn_graph_node *x, const mn_graph_node *y)
{
    return x->trans_a == y->trans_a && x->trans_b == y->trans_b && x->in[MN_GEMM_A2] == MN_NONE &&
           y->in[MN_GEMM_A2] == MN_NONE &&
           mn_extent_count(nodes[x->in[MN_GEMM_A]].extent) ==
               mn_extent_count(nodes[y->in[MN_GEMM_A]].extent);
}

/* If node i reads a product that it can take in, it becomes that product with itself in it. */
static void fuse(mn_graph_node *nodes, mn_node i, const uint32_t *readers)
{
    const mn_graph_node node = nodes[i], *inner;
    switch ((int)node.op) {
    case MN_OP_BIAS:
        inner = open_product(nodes, node.in[0], readers);
        if (inner == NULL || inner->in[MN_GEMM_BIAS] != MN_NONE ||
            mn_extent_count(inner->extent) / inner->extent.n !=
                mn_extent_count(nodes[node.in[1]].extent))
            return; /* a product that is an image has rows of whole images */
        nodes[i] = *inner;
        nodes[i].in[MN_GEMM_BIAS] = node.in[1];
        break;
    case MN_OP_RELU:
        inner = open_product(nodes, node.in[0], readers);
        if (inner == NULL)
            return;
        nodes[i] = *inner;
        nodes[i].relu_after = true;
        break;
    case MN_OP_MASK:
        inner = open_product(nodes, node.in[1], readers);
        if (inner == NULL)
            return;
        nodes[i] = *inner;
        nodes[i].in[MN_GEMM_MASK] = node.in[0];
        break;
    case MN_OP_GEMM:
        inner = open_product(nodes, node.plus, readers);
        if (inner == NULL || !may_be_added(nodes, inner, &node))
            return;
        nodes[i] = *inner;
        nodes[i].in[MN_GEMM_A2] = node.in[MN_GEMM_A];
        nodes[i].in[MN_GEMM_B2] = node.in[MN_GEMM_B];
        break;
    case MN_OP_SCALE_ADD:
        inner = open_product(nodes, node.in[0], readers);
        if (inner != NULL) {
            nodes[i] = *inner;
            nodes[i].in[MN_GEMM_BASE] = node.in[1];
            nodes[i].base_factor = node.factor;
        } else if (is_open_sum(nodes, node.in[0], readers)) {
            nodes[i] = nodes[node.in[0]];
            nodes[i].in[MN_SUMS_BASE] = node.in[1];
            nodes[i].factor = node.factor;
        }
        break;
    default:
        break;
    }
}
