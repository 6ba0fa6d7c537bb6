#include "worker/engine/operation.h"

#include <stdio.h>

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

const char *mn_operation_name(const mn_graph_node *node)
{
    return names[node->op] != NULL ? names[node->op] : "operation without a name";
}

void mn_operation_shape(const mn_graph_node *node, size_t rows, size_t c, size_t bytes, char *text)
{
    const mn_conv *conv = &node->conv;
    switch ((int)node->op) {
    case MN_OP_GEMM: {
        size_t m = node->extent.n, n = mn_extent_count(node->extent) / m;
        (void)snprintf(text, bytes, "%c%c %zux%zux%zu", node->trans_a ? 't' : 'n',
                       node->trans_b ? 't' : 'n', m, n, rows * c / m);
        break;
    }
    case MN_OP_CONV:
    case MN_OP_CONV_DATA:
    case MN_OP_CONV_WEIGHTS:
        (void)snprintf(text, bytes, "%u x %ux%u %u->%u /%u", conv->n, conv->height, conv->width,
                       conv->c_in, conv->c_out, conv->stride);
        break;
    default:
        (void)snprintf(text, bytes, "%zu x %zu", rows, c);
        break;
    }
}

double mn_operation_flops(const mn_graph_node *node, size_t rows, size_t c)
{
    const mn_conv *conv = &node->conv;
    switch ((int)node->op) {
    case MN_OP_GEMM: /* rows * c elements of a, each times a row of b; perhaps of two products */
        return (node->in[MN_GEMM_A2] == MN_NONE ? 2.0 : 4.0) * (double)(rows * c) *
               (double)mn_extent_count(node->extent) / node->extent.n;
    case MN_OP_CONV:
    case MN_OP_CONV_DATA:
    case MN_OP_CONV_WEIGHTS:
        return 18.0 * conv->n * conv->out_height * conv->out_width * conv->c_in * conv->c_out;
    default:
        return 0;
    }
}
