#include "worker/engine/operation.h"

#include "worker/engine/ops/op.h"

#include <stdio.h>
#include <string.h>

static mn_product product_of(const mn_graph *graph, const mn_graph_node *node);
static size_t traffic(const mn_graph *graph, const mn_graph_node *node);

mn_operation mn_operation_of(const mn_graph *graph, mn_node i)
{
    const mn_graph_node *node = &graph->nodes[i];
    mn_extent along = node->in[0] == MN_NONE ? node->extent : graph->nodes[node->in[0]].extent;
    const mn_op_row *row = mn_op_rows[node->op];
    mn_operation operation = {.run = row->run,
                              .accumulate = node->plus != MN_NONE,
                              .node = *node,
                              .rows = (size_t)along.n * along.h * along.w,
                              .c = along.c,
                              .count = mn_extent_count(node->extent),
                              .bytes = traffic(graph, node),
                              .macs = row->macs == NULL ? 0.0 : row->macs(graph, node)};
    if (node->op == MN_OP_GEMM || node->op == MN_OP_BATCHED_GEMM)
        operation.product = product_of(graph, node);
    if (node->op == MN_OP_WORDS && node->in[1] != MN_NONE)
        operation.slots = operation.rows / mn_extent_count(graph->nodes[node->in[1]].extent);
    if (node->op == MN_OP_EMBED || node->op == MN_OP_WORDS_TURNED) { /* a list has no rows */
        operation.rows = node->op == MN_OP_EMBED ? node->extent.n : node->times;
        operation.c = node->extent.c;
    }
    return operation;
}

/* The shape is read off the results of other nodes: op(A) is m x k. */
static mn_product product_of(const mn_graph *graph, const mn_graph_node *node)
{
    const bool batched = node->op == MN_OP_BATCHED_GEMM;
    const size_t blocks = batched ? node->times : 1, m = node->extent.n / blocks;
    return (mn_product){.trans_a = node->trans_a,
                        .trans_b = node->trans_b,
                        .accumulate = node->plus != MN_NONE,
                        .relu = node->relu_after,
                        .factor = (mn_real)node->base_factor,
                        .m = m,
                        .n = mn_extent_count(node->extent) / m / blocks,
                        .k =
                            mn_extent_count(graph->nodes[node->in[MN_GEMM_A]].extent) / m / blocks};
}

/* Every array once, as if none stayed in a register: what a profile's GB/s are of. */
static size_t traffic(const mn_graph *graph, const mn_graph_node *node)
{
    size_t numbers = mn_extent_count(node->extent);
    if (node->plus != MN_NONE)
        numbers *= 2;
    for (int k = 0; k < MN_MAX_INPUTS; k++)
        if (node->in[k] != MN_NONE)
            numbers += mn_extent_count(graph->nodes[node->in[k]].extent);
    return numbers * sizeof(mn_real);
}

static void write_shape(const mn_operation *operation, size_t bytes, char *text)
{
    const mn_conv *conv = &operation->node.conv;
    const mn_product *product = &operation->product;
    switch ((int)operation->node.op) {
    case MN_OP_GEMM:
    case MN_OP_BATCHED_GEMM:
        (void)snprintf(text, bytes, "%c%c %zux%zux%zu", product->trans_a ? 't' : 'n',
                       product->trans_b ? 't' : 'n', product->m, product->n, product->k);
        break;
    case MN_OP_CONV:
    case MN_OP_CONV_DATA:
    case MN_OP_CONV_WEIGHTS:
        (void)snprintf(text, bytes, "%u x %ux%u %u->%u /%u", conv->n, conv->height, conv->width,
                       conv->c_in, conv->c_out, conv->stride);
        break;
    default:
        (void)snprintf(text, bytes, "%zu x %zu", operation->rows, operation->c);
        break;
    }
}

void mn_operation_describe(const mn_operation *operation, mn_profile_row *row)
{
    row->name = mn_op_rows[operation->node.op]->name;
    row->flops = 2.0 * operation->macs *
                 (operation->node.op == MN_OP_GEMM && operation->node.in[MN_GEMM_A2] != MN_NONE
                      ? 2.0
                      : 1.0); /* of one product or the sum of two */
    row->bytes = (double)operation->bytes;
    write_shape(operation, sizeof row->shape, row->shape);
}
