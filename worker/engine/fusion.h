/* fusion.h: fewer passes over memory, for a graph that is finished.
 * A matrix product takes in what surrounds it and has no other reader: the bias, the ReLU or mask
 * behind it, the other product of a sum of two, and a step of so many times the result from
 * somewhere (mn_product in kernels.h has the formula); column sums take in such a step too. A
 * convolution of few channels with all that is behind it up to max-pooling, and back, becomes four
 * operations that compute it anew by strips (ops/first_layer.h). Done after differentiation, so that
 * the rules of derivative.c need not know. */
#pragma once

#include "worker/engine/plan.h"

/* *out = `graph` with fused nodes, of which only `loss` (or MN_NONE) and the outputs are wanted;
 * the caller frees it. Nodes keep their numbers and values, but for those that were taken in, which
 * nobody reads any more. MN_ERR_NOMEM: *out is untouched. */
mn_status mn_fusion_of(const mn_graph *graph, mn_node loss, size_t n_outputs,
                       const mn_plan_output *outputs, mn_graph *out, mn_error *err);
