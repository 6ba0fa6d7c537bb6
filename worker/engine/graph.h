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
    MN_SLOT_TASK,      /* the task's fields */
    MN_SLOT_FEATURES,  /* of the support set, where a body stands still */
    MN_SLOT_COTANGENT, /* in and out: the adjoint of features */
    MN_SLOT_GRADIENT,  /* out: like the parameters */
    MN_SLOT_PRODUCT,   /* out: H v, or a pullback; like the parameters */
    MN_SLOT_VELOCITY,  /* in and out: what a learned update remembers; like phi */
    MN_SLOT_MOVED,     /* out: phi or the direction moved by one of these; like phi */
    MN_SLOT_STEP,      /* parameters of one inner step alone; out: what is like them */
    MN_SLOT_OUTPUT,    /* out: the network's answer [items, y_size], or features */
    MN_N_SLOTS
} mn_slot;

typedef enum mn_op {
    MN_OP_INPUT, /* slot, offset */
    MN_OP_ZERO,
    MN_OP_CONSTANT,      /* factor everywhere */
    MN_OP_VIEW,          /* a part of in[0], from `offset`; or all of it with another extent */
    MN_OP_STOP,          /* a view without a derivative */
    MN_OP_PLACE,         /* in[0] from `offset` of a larger array, zero around it; plus */
    MN_OP_COLUMNS,       /* columns from `offset` on */
    MN_OP_PLACE_COLUMNS, /* the reverse, zero around them; plus */
    MN_OP_REPEAT,        /* each row `times` times in a block */
    MN_OP_SUM_GROUPS,    /* the reverse */
    MN_OP_TILE,          /* all rows `times` times */
    MN_OP_SUM_TILES,     /* the reverse */
    MN_OP_SWAP,          /* blocks [a, b, c] as [b, a, c]; the extent is [blocks, b, a, c] */

    MN_OP_GEMM,
    MN_OP_BATCHED_GEMM, /* `times` products, blocks of rows of both */
    MN_OP_FACTOR,       /* the Cholesky factor of in[0], made symmetric, plus `factor` times one */
    MN_OP_SOLVE,        /* in: the matrix, the right sides, its factor */
    MN_OP_TRANSPOSE, /* `times` blocks of rows, each turned: the taps of a convolution's weights */
    MN_OP_CONV,
    MN_OP_CONV_DATA,
    MN_OP_CONV_WEIGHTS,
    MN_OP_BIAS,
    MN_OP_COLUMN_SUMS, /* of in[0]; in[1], factor: as the base of a GEMM */

    MN_OP_ADD,
    MN_OP_SCALE,
    MN_OP_SCALE_ADD, /* factor * in[0] + in[1] */
    MN_OP_MULTIPLY,
    MN_OP_RELU,
    MN_OP_MASK,
    MN_OP_TANH,
    MN_OP_TANH_BACKWARD,
    MN_OP_TANH_CURVE,
    MN_OP_SIGMOID,
    MN_OP_EXP,
    MN_OP_LOG,
    MN_OP_SOFTPLUS,
    MN_OP_RECIPROCAL,
    MN_OP_ROOT,

    MN_OP_ROW_DOT,
    MN_OP_ROW_SCALE,
    MN_OP_COLUMN_SCALE,
    MN_OP_SOFTMAX, /* in[1]: mask, or MN_NONE */
    MN_OP_SOFTMAX_TANGENT,

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

    MN_OP_FIRST_PLACE, /* the first layer by strips, by fusion.h alone; see ops/first_layer.c */
    MN_OP_FIRST_STATS,
    MN_OP_FIRST_LAYER,
    MN_OP_FIRST_SUMS,
    MN_OP_FIRST_WEIGHTS,

    MN_OP_WORDS,        /* a list of `times` rows' names; in: ids, filled */
    MN_OP_WORDS_TURNED, /* in: the list */
    MN_OP_EMBED,        /* in: a list of words, table, weights; plus. Turned: its adjoint */
    MN_OP_LEAST_USED,
    MN_OP_SLOTS_MATCH, /* in: o, memory, filled */
    MN_OP_SLOTS_READ,  /* in: p, memory, filled */
    MN_OP_SLOTS_WRITE, /* in: p, o, filled; plus */

    MN_OP_LSTM,          /* in: zx, zr, the cell before; both may be MN_NONE */
    MN_OP_LSTM_BACKWARD, /* in: the step, the cell before, the step's adjoint */
    MN_OP_LRUA,          /* in: the state before, what is asked, sharpness or nothing */
    MN_OP_LRUA_BACKWARD, /* in: the state before, the state, its adjoint, sharpness or nothing */
    MN_OP_SCAN,          /* in: decay, what comes in; `times` steps a sequence */
    MN_OP_SHIFT,         /* each sequence's rows a step on, or back; a row of zeros */

    MN_OP_CROSS_ENTROPY, /* one double; in[2]: weights, or MN_NONE */
    MN_OP_SQUARED_ERROR, /* one double */
    MN_OP_MEAN,          /* one double */
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
    mn_node plus;              /* GEMM, CONV*, PLACE*, EMBED, SLOTS_WRITE: added to the result */
    mn_slot slot;              /* which of the following count is the operation's matter */
    size_t offset;
    bool trans_a, trans_b, relu_after, relu;
    bool backwards; /* SCAN, SHIFT */
    uint32_t times;
    double base_factor, factor, eps;
    mn_conv conv;
    mn_extent image; /* POOL_*, PIXEL_*: of the larger side */
    long padding;
    mn_lrua lrua;     /* LRUA* */
    const char *part; /* static; who asked for it: for messages */
} mn_graph_node;

typedef struct mn_graph {
    uint32_t n_nodes, capacity;
    mn_graph_node *nodes; /* [n_nodes], every input before its user; owned */
    bool failed;          /* out of memory, or too large: all later calls are harmless */
    uint32_t *buckets;    /* [n_buckets]: 1 + the number of a node by its hash, 0: none; owned */
    uint32_t n_buckets;
    const char *part;         /* of the network, whose operations come now; static */
    const char *refused_op;   /* what had no rule to be differentiated by, or NULL; static */
    const char *refused_part; /* and who had used it */
    const char *misfit_op;    /* what was given shapes that it cannot take, or NULL; static */
    const char *misfit_part;  /* and by whom */
    const char *large_op;     /* what would give more numbers than an array has, or NULL; static */
    const char *large_part;   /* and by whom */
} mn_graph;

void mn_graph_init(mn_graph *graph);
void mn_graph_fini(mn_graph *graph);

size_t mn_extent_count(mn_extent extent);

/* From now on operations are `part`'s, as messages name it; static text. */
void mn_graph_part(mn_graph *graph, const char *part);

/* MN_ERR_CONFIG: an operation was to be differentiated that has no rule for it: names it and the
 * part that used it. MN_ERR_NOMEM: there was not memory enough. mn_plan_new asks as well. */
mn_status mn_graph_check(const mn_graph *graph, mn_error *err);

/* Something harmless once the graph has failed. */
mn_extent mn_graph_extent(const mn_graph *graph, mn_node node);

/* Multiply-adds of the products and convolutions that a node needs. */
double mn_graph_macs(const mn_graph *graph, mn_node node);

mn_node mn_graph_input(mn_graph *graph, mn_slot slot, size_t offset, mn_extent extent);

/* ---- shapes. Rows are n * h * w of an extent, columns its c. */
mn_node mn_graph_zero(mn_graph *graph, mn_extent extent);
mn_node mn_graph_constant(mn_graph *graph, double value, mn_extent extent);
/* The same numbers with another extent of as many. */
mn_node mn_graph_reshape(mn_graph *graph, mn_node a, mn_extent extent);
/* Rows [first, first + n) of a matrix: no copy. */
mn_node mn_graph_rows(mn_graph *graph, mn_node a, uint32_t first, uint32_t n);
/* Rows of `a` become rows from `first` of a matrix of n_rows, added to `plus` (in its place, if it
 * is read no more), which may be MN_NONE: zeros. */
mn_node mn_graph_place_rows(mn_graph *graph, mn_node a, uint32_t first, uint32_t n_rows,
                            mn_node plus);
mn_node mn_graph_columns(mn_graph *graph, mn_node a, uint32_t first, uint32_t n);
/* Likewise columns, from `first` of n_columns. */
mn_node mn_graph_place_columns(mn_graph *graph, mn_node a, uint32_t first, uint32_t n_columns,
                               mn_node plus);
mn_node mn_graph_concat_columns(mn_graph *graph, uint32_t n, const mn_node *parts);
/* [n, c] -> [n * times, c], each row in a block; and [n * times, c] -> [n, c], sums of blocks. */
mn_node mn_graph_repeat_rows(mn_graph *graph, mn_node a, uint32_t times);
mn_node mn_graph_sum_groups(mn_graph *graph, mn_node a, uint32_t times);
/* [n, c] -> [times * n, c], the whole again and again. */
mn_node mn_graph_tile_rows(mn_graph *graph, mn_node a, uint32_t times);
/* `blocks` arrays [a, b, c], rows of whatever c below each other, with their first two axes swapped:
 * [blocks * b * a, c]. So the columns of heads become rows of a head, and back. */
mn_node mn_graph_swap_axes(mn_graph *graph, mn_node x, uint32_t blocks, uint32_t a, uint32_t b);
/* The same numbers, through which no derivative goes. */
mn_node mn_graph_stop(mn_graph *graph, mn_node a);

/* ---- products */
/* y [n, out] = x [n, in] w [in, out]; x may be an image, read as rows of h*w*c. */
mn_node mn_graph_linear(mn_graph *graph, mn_node x, mn_node w);
/* op(a) op(b); a matrix that is to be transposed is stored so. */
mn_node mn_graph_product(mn_graph *graph, mn_node a, mn_node b, bool trans_a, bool trans_b);
/* `batches` products of blocks of rows: op(a_i) op(b_i), one below the other. */
mn_node mn_graph_batched_product(mn_graph *graph, mn_node a, mn_node b, uint32_t batches,
                                 bool trans_a, bool trans_b);
/* (A + ridge 1)^-1 b of a matrix A [n, n], of which only the symmetric part (A + A') / 2 counts, and
 * right sides b [n, c]; by Cholesky's factor, made once for all b of one A and ridge. NaN everywhere
 * if the matrix is not positive definite. */
mn_node mn_graph_solve(mn_graph *graph, mn_node a, double ridge, mn_node b);
mn_node mn_graph_bias(mn_graph *graph, mn_node x, mn_node b);
/* 3x3, padding 1; w [9 * c_in, c_out] as [3, 3, c_in, c_out]. */
mn_node mn_graph_conv(mn_graph *graph, mn_node x, mn_node w, uint32_t stride);
/* [2, c]: mean and 1/sqrt(biased variance + eps) over all rows of x. No derivative goes through. */
mn_node mn_graph_batch_stats(mn_graph *graph, mn_node x, double eps);
/* Batch statistics over all rows of x; with relu, max(0, .) of it. */
mn_node mn_graph_batch_norm(mn_graph *graph, mn_node x, mn_node gamma, mn_node beta, double eps,
                            bool relu);

/* ---- element by element */
mn_node mn_graph_add(mn_graph *graph, mn_node a, mn_node b);
mn_node mn_graph_subtract(mn_graph *graph, mn_node a, mn_node b);
mn_node mn_graph_multiply(mn_graph *graph, mn_node a, mn_node b);
mn_node mn_graph_scale(mn_graph *graph, double factor, mn_node a);
/* factor * a + b, of one extent; b where `a` is MN_NONE. */
mn_node mn_graph_scale_add(mn_graph *graph, double factor, mn_node a, mn_node b);
mn_node mn_graph_relu(mn_graph *graph, mn_node x);
mn_node mn_graph_tanh(mn_graph *graph, mn_node x);
mn_node mn_graph_sigmoid(mn_graph *graph, mn_node x);
mn_node mn_graph_exp(mn_graph *graph, mn_node x);
mn_node mn_graph_log(mn_graph *graph, mn_node x);
mn_node mn_graph_softplus(mn_graph *graph, mn_node x); /* log(1 + exp(x)) */
mn_node mn_graph_reciprocal(mn_graph *graph, mn_node x);
mn_node mn_graph_root(mn_graph *graph, mn_node x);

/* ---- rows */
/* [n, c], [n, c] -> [n, 1]; [n, 1], [n, c] -> [n, c]; [n, c], [c] -> [n, c]; [n, c] -> [c]. */
mn_node mn_graph_row_dot(mn_graph *graph, mn_node a, mn_node b);
mn_node mn_graph_row_scale(mn_graph *graph, mn_node s, mn_node a);
mn_node mn_graph_column_scale(mn_graph *graph, mn_node x, mn_node v);
mn_node mn_graph_column_sums(mn_graph *graph, mn_node x);
/* Of each row. mask: of the same extent, or MN_NONE; where it is 0, so is the result, and so is a
 * row of which nothing is left. */
mn_node mn_graph_softmax(mn_graph *graph, mn_node z, mn_node mask);

/* ---- images */
mn_node mn_graph_max_pool(mn_graph *graph, mn_node x);   /* 2x2, stride 2 */
mn_node mn_graph_pixel_mean(mn_graph *graph, mn_node x); /* [n,h,w,c] -> [n,c] */

/* ---- memory */
/* ids [n, length], whole numbers; table [V, d]; weights [length, d] or MN_NONE: out [n, d] = sum_k
 * weights[k] .* table[ids[., k]]. `padding` (-1: none) and what names no row contribute nothing.
 * No derivative goes to ids or weights. */
mn_node mn_graph_embed(mn_graph *graph, mn_node ids, mn_node table, mn_node weights, long padding);
/* n memories of `slots` rows, below each other: memory [n * slots, d]. Only the first filled[i] rows
 * of memory i are there, filled [n, 1]; the others cost nothing and hold anything, in a memory's
 * adjoint too. So embed and write alone make a memory, and nothing but these operations reads one.
 * No derivative goes to filled.
 *   embed: ids [n * slots, length], as above, added to the memory `plus`, or MN_NONE
 *   match: o [n, d] -> <memory[i, s], o[i]> [n, slots], 0 where there is no row
 *   read:  p [n, slots] -> sum_s p[i, s] memory[i, s] [n, d]
 *   write: p, o -> p[i, s] o[i], added to the memory `plus`, or MN_NONE */
mn_node mn_graph_slots_embed(mn_graph *graph, mn_node ids, mn_node table, mn_node weights,
                             long padding, mn_node filled, mn_node plus);
mn_node mn_graph_slots_match(mn_graph *graph, mn_node o, mn_node memory, mn_node filled);
mn_node mn_graph_slots_read(mn_graph *graph, mn_node p, mn_node memory, mn_node filled);
mn_node mn_graph_slots_write(mn_graph *graph, mn_node p, mn_node o, mn_node filled, mn_node plus);
/* usage [n, slots] -> [n * k, slots]: one-hot rows of the k least used slots, the least first (of
 * equals the first). Which ones is constant. */
mn_node mn_graph_least_used(mn_graph *graph, mn_node usage, uint32_t k);

/* ---- sequences, a step at a time (kernels.h has the formulas); differentiable once, backwards */
/* z = zx + zr [n, 4c], gates i, f, g, o; zr and the cell before [n, c] may be MN_NONE: zero. */
mn_node mn_graph_lstm(mn_graph *graph, mn_node zx, mn_node zr, mn_node before);
mn_node mn_graph_lstm_output(mn_graph *graph, mn_node step); /* h [n, c] */
mn_node mn_graph_lstm_cell(mn_graph *graph, mn_node step);   /* [n, c] */

/* A memory with least-recently-used access. What is read of a state carries a derivative, and the
 * state that is handed on; the other views are for looking. */
typedef enum mn_lrua_part {
    MN_LRUA_MEMORY,        /* [n * width, slots] */
    MN_LRUA_READ_WEIGHTS,  /* [n * heads, slots] */
    MN_LRUA_USAGE,         /* [n, slots] */
    MN_LRUA_READ,          /* [n, heads * width] */
    MN_LRUA_WRITE_WEIGHTS, /* [n * heads, slots] */
    MN_LRUA_KEYS,          /* [n, heads * width + heads], with the gates */
    MN_LRUA_LEAST,         /* [n, heads] */
    MN_LRUA_N_PARTS,       /* the whole */
} mn_lrua_part;
mn_extent mn_graph_lrua_extent(const mn_lrua *shape, mn_lrua_part part);
/* A state to begin with: all slots 1e-6, and the first read from and used; or as given. */
mn_node mn_graph_lrua_start(mn_graph *graph, const mn_lrua *shape);
mn_node mn_graph_lrua_begin(mn_graph *graph, const mn_lrua *shape, mn_node memory,
                            mn_node read_weights, mn_node usage);
/* The state after a step; asked [n, heads * width + heads]; sharpness [n, heads], what likeness is
 * multiplied by before the softmax, or MN_NONE: 1. */
mn_node mn_graph_lrua(mn_graph *graph, const mn_lrua *shape, mn_node state, mn_node asked,
                      mn_node sharpness);
mn_node mn_graph_lrua_view(mn_graph *graph, const mn_lrua *shape, mn_node state, mn_lrua_part part);

/* ---- whole sequences: rows are those of one sequence's `steps`, then the next one's */
/* The linear recurrence h_t = decay_t h_(t-1) + u_t, h_0 = 0, of u [n * steps, c]; decay is one
 * number a row, [n * steps, 1], or c. Backwards: from the last step, h_t = decay_t h_(t+1) + u_t.
 * Differentiable as often as one likes. */
mn_node mn_graph_scan(mn_graph *graph, mn_node decay, mn_node u, uint32_t steps, bool backwards);
/* Row t of the result is row t - 1 of `a`, and the first is zero; backwards: row t + 1, the last. */
mn_node mn_graph_shift(mn_graph *graph, mn_node a, uint32_t steps, bool backwards);

/* ---- losses: one number */
/* Mean over items, nats: target [n, c] is one-hot or a distribution. With weights [n, 1]: the sum
 * of weight times that; a row of weight 0 counts for nothing, whatever it holds. */
mn_node mn_graph_cross_entropy(mn_graph *graph, mn_node logits, mn_node target);
mn_node mn_graph_weighted_cross_entropy(mn_graph *graph, mn_node logits, mn_node target,
                                        mn_node weights);
/* The same to seven digits, by the softmax that its gradient needs as well: much sooner made. */
mn_node mn_graph_choice_loss(mn_graph *graph, mn_node logits, mn_node target, mn_node weights);
/* Mean over all elements. */
mn_node mn_graph_squared_error(mn_graph *graph, mn_node y, mn_node target);
mn_node mn_graph_mean(mn_graph *graph, mn_node a);

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
