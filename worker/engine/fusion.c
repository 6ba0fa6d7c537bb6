#include "worker/engine/fusion.h"

#include "worker/engine/nodes.h"
#include "worker/engine/ops/first_layer.h"

#include <stdlib.h>
#include <string.h>

static void count_readers(const mn_graph *graph, mn_node loss, size_t n_outputs,
                          const mn_plan_output *outputs, uint32_t *readers);
static void fuse(mn_graph_node *nodes, mn_node i, const uint32_t *readers);
static void fuse_first_layer(mn_graph_node *nodes, mn_node n, mn_node conv,
                             const uint32_t *readers);

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
    for (mn_node i = 0; i < (mn_node)n; i++)
        if (readers[i] > 0 && nodes[i].op == MN_OP_CONV && nodes[i].plus == MN_NONE &&
            mn_first_layer_pays(&nodes[i].conv))
            fuse_first_layer(nodes, (mn_node)n, i, readers);
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

/* The nodes of a first layer; MN_NONE: not there. */
struct first_layer {
    mn_node conv, stats, bn, index, pooled; /* forwards */
    mn_node unpooled, sums, back, weights;  /* and back */
};

/* Which part of the layer is node i, given those before it? NULL: none. */
static mn_node *role_of(struct first_layer *layer, const mn_graph_node *nodes, mn_node i)
{
    const mn_node *in = nodes[i].in, *of_bn = nodes[layer->bn == MN_NONE ? i : layer->bn].in;
    const bool is_forward = in[0] == layer->conv && in[1] == of_bn[1];
    switch ((int)nodes[i].op) {
    case MN_OP_BN_STATS:
        return &layer->stats;
    case MN_OP_BN:
        return in[0] == layer->conv ? &layer->bn : NULL;
    case MN_OP_POOL_INDEX:
        return &layer->index;
    case MN_OP_POOL_GATHER:
        return in[0] == layer->bn && in[1] == layer->index ? &layer->pooled : NULL;
    case MN_OP_POOL_SCATTER:
        return in[1] == layer->index ? &layer->unpooled : NULL;
    case MN_OP_BN_SUMS: /* in: x, stats, y, dy */
        return is_forward && in[2] == layer->bn && in[3] == layer->unpooled ? &layer->sums : NULL;
    case MN_OP_BN_BACKWARD: /* in: x, stats, gamma, y, dy, sums */
        return is_forward && in[2] == of_bn[2] && in[3] == layer->bn && in[4] == layer->unpooled &&
                       in[5] == layer->sums
                   ? &layer->back
                   : NULL;
    case MN_OP_CONV_WEIGHTS:
        return in[0] == nodes[layer->conv].in[0] && in[1] == layer->back ? &layer->weights : NULL;
    default:
        return NULL;
    }
}

/* The layer of a convolution, if all that reads its inner arrays is part of it. */
static bool find_layer(const mn_graph_node *nodes, mn_node n, mn_node conv, const uint32_t *readers,
                       struct first_layer *layer)
{
    *layer = (struct first_layer){conv,    MN_NONE, MN_NONE, MN_NONE, MN_NONE,
                                  MN_NONE, MN_NONE, MN_NONE, MN_NONE};
    mn_node *const inner[] = {&layer->conv, &layer->bn, &layer->index, &layer->unpooled,
                              &layer->back};
    uint32_t met[sizeof inner / sizeof *inner] = {0};
    for (mn_node i = conv + 1; i < n; i++) {
        bool reads = false;
        for (size_t a = 0; a < sizeof inner / sizeof *inner && readers[i] > 0; a++)
            for (int k = 0; k < MN_MAX_INPUTS; k++)
                if (*inner[a] != MN_NONE && nodes[i].in[k] == *inner[a]) {
                    met[a]++;
                    reads = true;
                }
        mn_node *role = reads ? role_of(layer, nodes, i) : NULL;
        if (reads && (role == NULL || *role != MN_NONE))
            return false;
        if (reads)
            *role = i;
    }
    for (size_t a = 0; a < sizeof inner / sizeof *inner; a++)
        if (*inner[a] != MN_NONE && met[a] != readers[*inner[a]])
            return false; /* an output, or what is added to something */
    return layer->pooled != MN_NONE && (layer->weights != MN_NONE) == (layer->unpooled != MN_NONE);
}

static mn_graph_node first_node(const mn_graph_node *nodes, const struct first_layer *layer,
                                mn_op op, mn_node was)
{
    const mn_graph_node *conv = &nodes[layer->conv], *bn = &nodes[layer->bn];
    mn_graph_node node = mn_node_blank(op, nodes[was].extent);
    const mn_node in[] = {conv->in[0], conv->in[1], layer->conv, bn->in[1]};
    memcpy(node.in, in, sizeof in);
    node.conv = conv->conv;
    node.relu = bn->relu;
    node.plus = nodes[was].plus;
    return node;
}

/* What computes the inner arrays of the layer of a convolution whenever it needs them. */
static void fuse_first_layer(mn_graph_node *nodes, mn_node n, mn_node i, const uint32_t *readers)
{
    struct first_layer layer;
    if (!find_layer(nodes, n, i, readers, &layer))
        return;
    const mn_conv conv = nodes[i].conv;
    const mn_graph_node bn = nodes[layer.bn];
    if (layer.weights != MN_NONE) {
        const mn_node dy = nodes[layer.unpooled].in[0];
        mn_graph_node sums = first_node(nodes, &layer, MN_OP_FIRST_SUMS, layer.sums);
        mn_graph_node weights = first_node(nodes, &layer, MN_OP_FIRST_WEIGHTS, layer.weights);
        sums.in[4] = weights.in[4] = layer.index;
        sums.in[5] = weights.in[5] = dy;
        weights.in[6] = bn.in[2];
        weights.in[7] = layer.sums;
        nodes[layer.sums] = sums;
        nodes[layer.weights] = weights;
    }
    mn_graph_node forward = first_node(nodes, &layer, MN_OP_FIRST_LAYER, layer.index);
    forward.extent = mn_first_layer_extent(&conv);
    forward.in[4] = bn.in[2];
    forward.in[5] = bn.in[3];
    mn_graph_node pooled = mn_node_blank(MN_OP_VIEW, nodes[layer.pooled].extent);
    pooled.in[0] = layer.index;
    if (layer.stats != MN_NONE) {
        mn_graph_node stats = first_node(nodes, &layer, MN_OP_FIRST_STATS, layer.stats);
        stats.in[3] = MN_NONE;
        stats.eps = nodes[layer.stats].eps;
        nodes[layer.stats] = stats;
    }
    nodes[layer.index] = forward;
    nodes[layer.pooled] = pooled;
    nodes[i] = mn_node_blank(MN_OP_FIRST_PLACE, mn_first_layer_place(&conv));
}
