/* examples_batch_norm.h: examples of batch_norm.c; values are those of kernels_plain_test.c. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

BUILD(bn)
{
    mn_node x = arg(bed, 6, C), gamma = arg(bed, 1, C), beta = arg(bed, 1, C);
    return mn_graph_batch_norm(&bed->graph, x, gamma, beta, 1e-2, true);
}
OF_A_DERIVATIVE(bn, bn);
OF_A_DERIVATIVE(bn_stats, bn);
OF_A_DERIVATIVE(bn_sums, bn);
OF_A_DERIVATIVE(bn_backward, bn);
OF_A_DERIVATIVE(bn_tangent_sums, bn);
OF_A_DERIVATIVE(bn_tangent, bn);
OF_A_DERIVATIVE(bn_backward_tangent_sums, bn);
OF_A_DERIVATIVE(bn_backward_tangent, bn);
