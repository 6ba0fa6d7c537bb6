/* graph.h: a computation written down as arrays and operations of a closed set.
 * "Closed" means: the derivative of each operation is made of operations of the set, so a loss can
 * be differentiated backwards (mn_graph_gradient) and the result forwards along a direction
 * (mn_graph_tangents), which gives Hessian-vector products without unrolling anything (Pearlmutter
 * 1994; Kemaev et al. 2025, arXiv:2505.00793). What is zero by structure is MN_NONE and never
 * computed. Equal nodes are made once. A graph is only a description; plan.h lays it out in memory
 * and runs it. */
#pragma once

#include "common/error.h"
#include "worker/engine/kernels.h"
#include <stdbool.h>
#include <stdint.h>

typedef int32_t mn_node;
#define MN_NONE (-1)

/* An array of n x h x w x c numbers, channels last; a matrix is n x c, a vector c. */
typedef struct mn_extent {
    uint32_t n, h, w, c;
} mn_extent;

/* Where an input's numbers come from, or an output's go to: one vector given at each run. */
typedef enum mn_slot {
    MN_SLOT_THETA,     /* parameters that stand still */
    MN_SLOT_PHI,       /* parameters that the inner loop moves */
    MN_SLOT_DIRECTION, /* a vector like phi: the v of H v */
    MN_SLOT_X,
    MN_SLOT_Y,
    MN_SLOT_TASK,     /* the task's fields */
    MN_SLOT_FEATURES, /* of the support set, where a body stands still */
    MN_SLOT_COTANGENT, /* in and out: the adjoint of features */
    MN_SLOT_GRADIENT,  /* out: like the parameters */
    MN_SLOT_PRODUCT,   /* out: H v, or a pullback; like the parameters */
    MN_SLOT_MOVED,     /* out: phi or the direction moved by one of these; like phi */
    MN_SLOT_OUTPUT,    /* out: the network's answer [items, y_size], or features */
    MN_N_SLOTS
} mn_slot;

typedef enum mn_op {
    MN_OP_INPUT, /* slot, offset */
    MN_OP_ZERO,
    MN_OP_VIEW, /* a part of in[0], from `offset` */
    MN_OP_GEMM,
    MN_OP_TRANSPOSE, /* each tap of conv weights */
    MN_OP_CONV,
    MN_OP_CONV_DATA,
    MN_OP_CONV_WEIGHTS,
    MN_OP_BIAS,
    MN_OP_COLUMN_SUMS, /* of in[0]; in[1], factor: as the base of a GEMM */
    MN_OP_ADD,
    MN_OP_SCALE,
    MN_OP_SCALE_ADD, /* factor * in[0] + in[1] */
    MN_OP_RELU,
    MN_OP_MASK,
    MN_OP_TANH,
    MN_OP_TANH_BACKWARD,
    MN_OP_TANH_CURVE,
    MN_OP_BN_STATS,
    MN_OP_BN,
    MN_OP_BN_SUMS,
    MN_OP_BN_BACKWARD,
    MN_OP_BN_TANGENT_SUMS,
    MN_OP_BN_TANGENT,
    MN_OP_BN_BACKWARD_TANGENT_SUMS,
    MN_OP_BN_BACKWARD_TANGENT,
    MN_OP_POOL_INDEX, /* bytes, not numbers */
    MN_OP_POOL_GATHER,
    MN_OP_POOL_SCATTER,
    MN_OP_PIXEL_MEAN,
    MN_OP_PIXEL_SPREAD,
    MN_OP_SOFTMAX,
    MN_OP_SOFTMAX_TANGENT,
    MN_OP_CROSS_ENTROPY, /* one double */
    MN_OP_SQUARED_ERROR, /* one double */
    MN_N_OPS
} mn_op;

#define MN_MAX_INPUTS 11

/* Inputs of a GEMM. A graph is built and differentiated with the first two; fusion.h gives it the
 * others, and column sums their base. */
enum { MN_GEMM_A, MN_GEMM_B, MN_GEMM_A2, MN_GEMM_B2, MN_GEMM_BIAS, MN_GEMM_MASK, MN_GEMM_BASE };
enum { MN_SUMS_BASE = 1 };

typedef struct mn_graph_node {
    mn_op op;
    mn_extent extent;
    mn_node in[MN_MAX_INPUTS]; /* MN_NONE where there is none */
    mn_node plus;              /* GEMM and CONV*: added to the result; MN_NONE: nothing */
    union {
        struct {
            mn_slot slot;
            size_t offset;
        };
        struct {
            bool trans_a, trans_b, relu_after;
            double base_factor;
        };
        mn_conv conv;
        double factor;
        struct {
            bool relu;
            double eps;
        };
        mn_extent image; /* POOL_*, PIXEL_*: of the larger side */
    };
} mn_graph_node;

typedef struct mn_graph {
    uint32_t n_nodes, capacity;
    mn_graph_node *nodes; /* [n_nodes], every input before its user; owned */
    bool failed;          /* out of memory while building: all later calls are harmless */
} mn_graph;

void mn_graph_init(mn_graph *graph);
void mn_graph_fini(mn_graph *graph);

size_t mn_extent_count(mn_extent extent);

/* Something harmless once the graph has failed. */
mn_extent mn_graph_extent(const mn_graph *graph, mn_node node);

/* Multiply-adds of the products and convolutions that a node needs. */
double mn_graph_macs(const mn_graph *graph, mn_node node);

mn_node mn_graph_input(mn_graph *graph, mn_slot slot, size_t offset, mn_extent extent);

/* y [n, out] = x [n, in] w [in, out]; x may be an image, read as rows of h*w*c. */
mn_node mn_graph_linear(mn_graph *graph, mn_node x, mn_node w);
mn_node mn_graph_bias(mn_graph *graph, mn_node x, mn_node b);
/* 3x3, padding 1; w [9 * c_in, c_out] as [3, 3, c_in, c_out]. */
mn_node mn_graph_conv(mn_graph *graph, mn_node x, mn_node w, uint32_t stride);
/* Batch statistics over all rows of x; with relu, max(0, .) of it. */
mn_node mn_graph_batch_norm(mn_graph *graph, mn_node x, mn_node gamma, mn_node beta, double eps,
                            bool relu);
mn_node mn_graph_relu(mn_graph *graph, mn_node x);
mn_node mn_graph_tanh(mn_graph *graph, mn_node x);
mn_node mn_graph_max_pool(mn_graph *graph, mn_node x);   /* 2x2, stride 2 */
mn_node mn_graph_pixel_mean(mn_graph *graph, mn_node x); /* [n,h,w,c] -> [n,c] */
/* Mean over items, nats: target [n, c] is one-hot or a distribution. */
mn_node mn_graph_cross_entropy(mn_graph *graph, mn_node logits, mn_node target);
/* Mean over all elements. */
mn_node mn_graph_squared_error(mn_graph *graph, mn_node y, mn_node target);

/* factor * a + b, of one extent; b where `a` is MN_NONE. */
mn_node mn_graph_scale_add(mn_graph *graph, double factor, mn_node a, mn_node b);

/* d loss / d wrt[i] -> gradients[i] (MN_NONE: zero by structure). Reverse mode; loss is one of the
 * two losses. */
void mn_graph_gradient(mn_graph *graph, mn_node loss, uint32_t n, const mn_node *wrt,
                       mn_node *gradients);

/* The same of any node of a network: d <cotangent, of> / d wrt[i] for a cotangent of its extent. */
void mn_graph_pullback(mn_graph *graph, mn_node of, mn_node cotangent, uint32_t n,
                       const mn_node *wrt, mn_node *gradients);

/* The derivative of of[i] along the direction in which wrt[j] moves by directions[j] and all else
 * stands still -> tangents[i] (MN_NONE: zero by structure). Forward mode, through the gradient's
 * nodes as well. */
void mn_graph_tangents(mn_graph *graph, uint32_t n_wrt, const mn_node *wrt,
                       const mn_node *directions, uint32_t n_of, const mn_node *of,
                       mn_node *tangents);
