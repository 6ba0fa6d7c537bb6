/* kernels_table.h: the table of the instruction set that the including source is compiled for. */
#pragma once

#include "worker/engine/kernels.h"
#include "worker/engine/kernels_bn.h"
#include "worker/engine/kernels_gemm.h"
#include "worker/engine/kernels_loops.h"
#include "worker/engine/kernels_map.h"
#include "worker/engine/kernels_memory.h"
#include "worker/engine/kernels_pool.h"
#include "worker/engine/kernels_recurrent.h"
#include "worker/engine/kernels_strip.h"
#include "worker/engine/kernels_sums.h"
#include "worker/engine/kernels_tables.h"

#define MN_TABLE(its_name)                                                                         \
    {                                                                                              \
        .name = its_name, .arithmetic = MN_ARITHMETIC, MN_LOOPS, .sigmoid = sigmoid_forward,       \
        .exponential = exponential_forward, .row_dot = row_dot, .row_scale = row_scale,            \
        .column_scale = column_scale, .sum_groups = sum_groups, .put_columns = put_columns,        \
        .embed = embed, .least_used = least_used, .slots_match = slots_match,                      \
        .slots_read = slots_read, .slots_write = slots_write, .masked_softmax = masked_softmax,    \
        .gemm = gemm, .conv_forward = conv_forward, .conv_backward_data = conv_backward_data,      \
        .conv_backward_weights = conv_backward_weights, .transpose = transpose,                    \
        .bn_stats = bn_stats, .bn_add_moments = bn_add_moments, .bn_add_sums = bn_add_sums,        \
        .bn_forward = bn_forward, .bn_backward_sums = bn_backward_sums,                            \
        .bn_backward = bn_backward, .bn_tangent_sums = bn_tangent_sums, .bn_tangent = bn_tangent,  \
        .bn_backward_tangent_sums = bn_backward_tangent_sums,                                      \
        .bn_backward_tangent = bn_backward_tangent, .max_pool_index = max_pool_index,              \
        .max_pool_gather = max_pool_gather, .max_pool_scatter = max_pool_scatter,                  \
        .pixel_mean = pixel_mean, .pixel_spread = pixel_spread, .bias_add = bias_add,              \
        .column_sums = sums_over_rows, .add = add, .scale = scale, .scale_add = scale_add,         \
        .multiply = multiply, .relu = relu, .mask = mask, .tanh = tanh_forward,                    \
        .tanh_backward = tanh_backward, .tanh_curve = tanh_curve, .softmax = softmax,              \
        .softmax_tangent = softmax_tangent, .cross_entropy = cross_entropy,                        \
        .choice_loss = choice_loss, .squared_error = squared_error, .lstm = lstm,                  \
        .lstm_backward = lstm_backward, .lrua = lrua, .lrua_backward = lrua_backward,              \
    }
