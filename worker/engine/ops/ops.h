/* ops.h: the rows of all operations, by family. */
#pragma once

#include "worker/engine/ops/op.h"

/* clang-format off */
#define MN_OPS(X)                                                                                  \
    /* shapes.c */                                                                                 \
    X(INPUT, input) X(ZERO, zero) X(CONSTANT, constant) X(VIEW, view) X(STOP, stop)                \
    X(PLACE, place) X(COLUMNS, columns) X(PLACE_COLUMNS, place_columns) X(REPEAT, repeat)          \
    X(SUM_GROUPS, sum_groups) X(TILE, tile) X(SUM_TILES, sum_tiles) X(SWAP, swap)                  \
    /* products.c */                                                                               \
    X(GEMM, gemm) X(BATCHED_GEMM, batched_gemm) X(TRANSPOSE, transpose) X(BIAS, bias)              \
    X(COLUMN_SUMS, column_sums)                                                                    \
    /* solve.c */                                                                                  \
    X(FACTOR, factor) X(SOLVE, solve)                                                              \
    /* maps.c */                                                                                   \
    X(ADD, add) X(SCALE, scale) X(SCALE_ADD, scale_add) X(MULTIPLY, multiply) X(RELU, relu)        \
    X(MASK, mask) X(TANH, tanh) X(TANH_BACKWARD, tanh_backward) X(TANH_CURVE, tanh_curve)          \
    X(SIGMOID, sigmoid) X(EXP, exp) X(LOG, log) X(SOFTPLUS, softplus) X(RECIPROCAL, reciprocal)    \
    X(ROOT, root)                                                                                  \
    /* rows.c */                                                                                   \
    X(ROW_DOT, row_dot) X(ROW_SCALE, row_scale) X(COLUMN_SCALE, column_scale)                      \
    X(SOFTMAX, softmax) X(SOFTMAX_TANGENT, softmax_tangent)                                        \
    /* batch_norm.c */                                                                             \
    X(BN_STATS, bn_stats) X(BN, bn) X(BN_SUMS, bn_sums) X(BN_BACKWARD, bn_backward)                \
    X(BN_TANGENT_SUMS, bn_tangent_sums) X(BN_TANGENT, bn_tangent)                                  \
    X(BN_BACKWARD_TANGENT_SUMS, bn_backward_tangent_sums)                                          \
    X(BN_BACKWARD_TANGENT, bn_backward_tangent)                                                    \
    /* images.c */                                                                                 \
    X(CONV, conv) X(CONV_DATA, conv_data) X(CONV_WEIGHTS, conv_weights)                            \
    X(POOL_INDEX, pool_index) X(POOL_GATHER, pool_gather) X(POOL_SCATTER, pool_scatter)            \
    X(PIXEL_MEAN, pixel_mean) X(PIXEL_SPREAD, pixel_spread)                                        \
    /* first_layer.c */                                                                            \
    X(FIRST_PLACE, first_place) X(FIRST_STATS, first_stats) X(FIRST_LAYER, first_layer)            \
    X(FIRST_SUMS, first_sums) X(FIRST_WEIGHTS, first_weights)                                      \
    /* memory.c */                                                                                 \
    X(WORDS, words) X(WORDS_TURNED, words_turned) X(EMBED, embed) X(LEAST_USED, least_used)        \
    X(SLOTS_MATCH, slots_match) X(SLOTS_READ, slots_read) X(SLOTS_WRITE, slots_write)              \
    /* recurrent.c */                                                                              \
    X(LSTM, lstm) X(LSTM_BACKWARD, lstm_backward) X(LRUA, lrua) X(LRUA_BACKWARD, lrua_backward)    \
    X(SCAN, scan) X(SHIFT, shift)                                                                  \
    /* losses.c */                                                                                 \
    X(CROSS_ENTROPY, cross_entropy) X(SQUARED_ERROR, squared_error) X(MEAN, mean)
/* clang-format on */

#define MN_DECLARE_ROW(NAME, name) extern const mn_op_row mn_op_##name;
MN_OPS(MN_DECLARE_ROW)
#undef MN_DECLARE_ROW
