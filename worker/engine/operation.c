#include "worker/engine/operation.h"

#include <stdio.h>
#include <string.h>

static const char *const names[MN_N_OPS] = {
    [MN_OP_INPUT] = "input",
    [MN_OP_ZERO] = "zero",
    [MN_OP_VIEW] = "view",
    [MN_OP_GEMM] = "gemm",
    [MN_OP_TRANSPOSE] = "transpose weights",
    [MN_OP_CONV] = "conv forward",
    [MN_OP_CONV_DATA] = "conv data",
    [MN_OP_CONV_WEIGHTS] = "conv weights",
    [MN_OP_BIAS] = "bias",
    [MN_OP_COLUMN_SUMS] = "column sums",
    [MN_OP_ADD] = "add",
    [MN_OP_SCALE] = "scale",
    [MN_OP_SCALE_ADD] = "scale and add",
    [MN_OP_RELU] = "relu",
    [MN_OP_MASK] = "mask",
    [MN_OP_TANH] = "tanh",
    [MN_OP_TANH_BACKWARD] = "tanh backward",
    [MN_OP_TANH_CURVE] = "tanh curve",
    [MN_OP_BN_STATS] = "bn stats",
    [MN_OP_BN] = "bn forward",
    [MN_OP_BN_SUMS] = "bn backward sums",
    [MN_OP_BN_BACKWARD] = "bn backward",
    [MN_OP_BN_TANGENT_SUMS] = "bn tangent sums",
    [MN_OP_BN_TANGENT] = "bn tangent",
    [MN_OP_BN_BACKWARD_TANGENT_SUMS] = "bn backward tangent sums",
    [MN_OP_BN_BACKWARD_TANGENT] = "bn backward tangent",
    [MN_OP_POOL_INDEX] = "pool index",
    [MN_OP_POOL_GATHER] = "pool gather",
    [MN_OP_POOL_SCATTER] = "pool scatter",
    [MN_OP_PIXEL_MEAN] = "pixel mean",
    [MN_OP_PIXEL_SPREAD] = "pixel spread",
    [MN_OP_SOFTMAX] = "softmax",
    [MN_OP_SOFTMAX_TANGENT] = "softmax tangent",
    [MN_OP_CROSS_ENTROPY] = "cross-entropy",
    [MN_OP_SQUARED_ERROR] = "squared error",
};

static mn_product product_of(const mn_graph *graph, const mn_graph_node *node);
static size_t traffic(const mn_graph *graph, const mn_graph_node *node);

mn_operation mn_operation_of(const mn_graph *graph, mn_node i)
{
    const mn_graph_node *node = &graph->nodes[i];
    mn_extent along = node->in[0] == MN_NONE ? node->extent : graph->nodes[node->in[0]].extent;
    mn_operation operation = {.op = node->op,
                              .accumulate = node->plus != MN_NONE,
                              .node = *node,
                              .rows = (size_t)along.n * along.h * along.w,
                              .c = along.c,
                              .count = mn_extent_count(node->extent),
                              .bytes = traffic(graph, node)};
    if (node->op == MN_OP_GEMM)
        operation.product = product_of(graph, node);
    return operation;
}

/* The shape is read off the results of other nodes: op(A) is m x k. */
static mn_product product_of(const mn_graph *graph, const mn_graph_node *node)
{
    size_t m = node->extent.n;
    return (mn_product){.trans_a = node->trans_a,
                        .trans_b = node->trans_b,
                        .accumulate = node->plus != MN_NONE,
                        .relu = node->relu_after,
                        .factor = (mn_real)node->base_factor,
                        .m = m,
                        .n = mn_extent_count(node->extent) / m,
                        .k = mn_extent_count(graph->nodes[node->in[MN_GEMM_A]].extent) / m};
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

void mn_operation_run(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                      mn_real *out)
{
    const mn_graph_node *node = &operation->node;
    const bool accumulate = operation->accumulate;
    const size_t rows = operation->rows, c = operation->c, count = operation->count;
    const mn_extent image = node->image;

    switch (operation->op) {
    case MN_OP_ZERO:
        memset(out, 0, count * sizeof *out);
        break;
    case MN_OP_GEMM: {
        const mn_product *shape = &operation->product;
        mn_product product = {.trans_a = shape->trans_a,
                              .trans_b = shape->trans_b,
                              .accumulate = shape->accumulate,
                              .relu = shape->relu,
                              .factor = shape->factor,
                              .m = shape->m,
                              .n = shape->n,
                              .k = shape->k,
                              .a = in[MN_GEMM_A],
                              .b = in[MN_GEMM_B],
                              .a2 = in[MN_GEMM_A2],
                              .b2 = in[MN_GEMM_B2],
                              .bias = in[MN_GEMM_BIAS],
                              .mask = in[MN_GEMM_MASK],
                              .base = in[MN_GEMM_BASE]};
        k->gemm(&product, out);
        break;
    }
    case MN_OP_TRANSPOSE: /* in: [9 * c_in, c_out] */
        k->transpose(9, rows / 9, c, in[0], out);
        break;
    case MN_OP_CONV:
        k->conv_forward(&node->conv, in[0], in[1], out, accumulate);
        break;
    case MN_OP_CONV_DATA:
        k->conv_backward_data(&node->conv, in[0], in[1], out, accumulate);
        break;
    case MN_OP_CONV_WEIGHTS:
        k->conv_backward_weights(&node->conv, in[0], in[1], out, accumulate);
        break;
    case MN_OP_BIAS:
        k->bias_add(rows, c, in[0], in[1], out);
        break;
    case MN_OP_COLUMN_SUMS:
        k->column_sums(rows, c, in[0], (mn_real)node->factor, in[MN_SUMS_BASE], out);
        break;
    case MN_OP_ADD:
        k->add(count, in[0], in[1], out);
        break;
    case MN_OP_SCALE:
        k->scale(count, (mn_real)node->factor, in[0], out);
        break;
    case MN_OP_SCALE_ADD:
        k->scale_add(count, (mn_real)node->factor, in[0], in[1], out);
        break;
    case MN_OP_RELU:
        k->relu(count, in[0], out);
        break;
    case MN_OP_MASK:
        k->mask(count, in[0], in[1], out);
        break;
    case MN_OP_TANH:
        k->tanh(count, in[0], out);
        break;
    case MN_OP_TANH_BACKWARD:
        k->tanh_backward(count, in[0], in[1], out);
        break;
    case MN_OP_TANH_CURVE:
        k->tanh_curve(count, in[0], in[1], in[2], out);
        break;
    case MN_OP_BN_STATS:
        k->bn_stats(rows, c, node->eps, in[0], out);
        break;
    case MN_OP_BN:
        k->bn_forward(rows, c, node->relu, in[0], in[1], in[2], in[3], out);
        break;
    case MN_OP_BN_SUMS:
        k->bn_backward_sums(rows, c, node->relu, in[0], in[1], in[2], in[3], out);
        break;
    case MN_OP_BN_BACKWARD:
        k->bn_backward(rows, c, node->relu, in[0], in[1], in[2], in[3], in[4], in[5], out);
        break;
    case MN_OP_BN_TANGENT_SUMS:
        k->bn_tangent_sums(rows, c, in[0], in[1], in[2], out);
        break;
    case MN_OP_BN_TANGENT:
        k->bn_tangent(rows, c, node->relu, in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7],
                      out);
        break;
    case MN_OP_BN_BACKWARD_TANGENT_SUMS:
        k->bn_backward_tangent_sums(rows, c, node->relu, in[0], in[1], in[2], in[3], in[4], in[5],
                                    in[6], out);
        break;
    case MN_OP_BN_BACKWARD_TANGENT:
        k->bn_backward_tangent(rows, c, node->relu, in[0], in[1], in[2], in[3], in[4], in[5], in[6],
                               in[7], in[8], in[9], in[10], out);
        break;
    case MN_OP_POOL_INDEX:
        k->max_pool_index(image.n, image.h, image.w, image.c, in[0], (uint8_t *)out);
        break;
    case MN_OP_POOL_GATHER:
        k->max_pool_gather(image.n, image.h, image.w, image.c, in[0], (const uint8_t *)in[1], out);
        break;
    case MN_OP_POOL_SCATTER:
        k->max_pool_scatter(image.n, image.h, image.w, image.c, in[0], (const uint8_t *)in[1], out);
        break;
    case MN_OP_PIXEL_MEAN:
        k->pixel_mean(image.n, (size_t)image.h * image.w, image.c, in[0], out);
        break;
    case MN_OP_PIXEL_SPREAD:
        k->pixel_spread(image.n, (size_t)image.h * image.w, image.c, in[0], out);
        break;
    case MN_OP_SOFTMAX:
        k->softmax(rows, c, in[0], out);
        break;
    case MN_OP_SOFTMAX_TANGENT:
        k->softmax_tangent(rows, c, in[0], in[1], out);
        break;
    case MN_OP_CROSS_ENTROPY: {
        double value = k->cross_entropy(rows, c, in[0], in[1]);
        memcpy(out, &value, sizeof value);
        break;
    }
    case MN_OP_SQUARED_ERROR: {
        double value = k->squared_error(rows * c, in[0], in[1]);
        memcpy(out, &value, sizeof value);
        break;
    }
    case MN_OP_INPUT:
    case MN_OP_VIEW:
    case MN_N_OPS:
        break;
    }
}

static void write_shape(const mn_operation *operation, size_t bytes, char *text)
{
    const mn_conv *conv = &operation->node.conv;
    const mn_product *product = &operation->product;
    switch ((int)operation->node.op) {
    case MN_OP_GEMM:
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

static double flops(const mn_operation *operation)
{
    const mn_conv *conv = &operation->node.conv;
    const mn_product *product = &operation->product;
    switch ((int)operation->node.op) {
    case MN_OP_GEMM: /* of one product or of the sum of two */
        return (operation->node.in[MN_GEMM_A2] == MN_NONE ? 2.0 : 4.0) * (double)product->m *
               (double)product->n * (double)product->k;
    case MN_OP_CONV:
    case MN_OP_CONV_DATA:
    case MN_OP_CONV_WEIGHTS:
        return 18.0 * conv->n * conv->out_height * conv->out_width * conv->c_in * conv->c_out;
    default:
        return 0;
    }
}

void mn_operation_describe(const mn_operation *operation, mn_profile_row *row)
{
    row->name = names[operation->node.op];
    row->flops = flops(operation);
    row->bytes = (double)operation->bytes;
    write_shape(operation, sizeof row->shape, row->shape);
}
