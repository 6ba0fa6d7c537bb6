/* operation.h: a node of a graph, ready to be computed: how the kernels do it, and what it is in
 * words and numbers for people who look for time. */
#pragma once

#include "worker/engine/graph.h"
#include "worker/engine/profile.h"
#include <stddef.h>

typedef struct mn_operation mn_operation;
typedef struct mn_op_row mn_op_row; /* ops/op.h */

struct mn_operation {
    void (*run)(const mn_operation *operation, const mn_kernels *kernels, const mn_real *const *in,
                mn_real *out); /* in [MN_MAX_INPUTS]: as the node's; NULL where it has none. If it
                                  has a `plus`, that stands in out already. */
    bool accumulate;           /* the node has a `plus` */
    mn_product product;        /* GEMM: all but the addresses */
    size_t rows, c;            /* of in[0], or of the result if it has none */
    size_t count;              /* elements of the result */
    size_t slots;              /* WORDS: rows of a memory of which some are filled, or 0 */
    size_t bytes; /* read and written, each array once, as if none stayed in a register */
    double macs;
    mn_graph_node node;
};

mn_operation mn_operation_of(const mn_graph *graph, mn_node i);

/* Fills in all of the row but stage and times. Operations of one name do the same to other shapes,
 * "5 x 14x14 64->64 /2", "tn 64x5x64" or "245 x 64". FLOPs are two for each multiply-add of
 * products and convolutions, from the mathematics (padding counts); 0 for all others, whose time is
 * that of their bytes. */
void mn_operation_describe(const mn_operation *operation, mn_profile_row *row);
