/* The rules by which a graph is differentiated: mn_graph_gradient, _pullback and _tangents. */
#include "worker/engine/graph.h"

#include "worker/engine/nodes.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static mn_node scale(mn_graph *graph, double factor, mn_node a)
{
    if (a == MN_NONE)
        return MN_NONE;
    mn_graph_node node = mn_node_blank(MN_OP_SCALE, mn_node_extent(graph, a));
    node.in[0] = a;
    node.factor = factor;
    return mn_node_append(graph, node);
}

static mn_node add(mn_graph *graph, mn_node a, mn_node b)
{
    if (a == MN_NONE || b == MN_NONE)
        return a == MN_NONE ? b : a;
    return mn_node_binary(graph, MN_OP_ADD, a, b);
}

static mn_node zero_like(mn_graph *graph, mn_node a)
{
    return mn_node_append(graph, mn_node_blank(MN_OP_ZERO, mn_node_extent(graph, a)));
}

static mn_node view(mn_graph *graph, mn_node a, size_t offset, mn_extent extent)
{
    if (a == MN_NONE)
        return MN_NONE;
    mn_graph_node node = mn_node_blank(MN_OP_VIEW, extent);
    node.in[0] = a;
    node.offset = offset;
    return mn_node_append(graph, node);
}

/* Backwards: the adjoints of a node's inputs from its own. Only what a network and its loss are
 * made of has a rule; the operations that these rules make are differentiated forwards below. */

static void give(mn_graph *graph, mn_node *adjoint, mn_node to, mn_node part)
{
    adjoint[to] = add(graph, adjoint[to], part);
}

static mn_node bn_sums(mn_graph *graph, bool relu, mn_node x, mn_node stats, mn_node y, mn_node dy)
{
    mn_graph_node sums = mn_node_blank(MN_OP_BN_SUMS, mn_node_extent(graph, stats));
    const mn_node in[] = {x, stats, y, dy};
    memcpy(sums.in, in, sizeof in);
    sums.relu = relu;
    return mn_node_append(graph, sums);
}

static void pull_back(mn_graph *graph, mn_node i, mn_node *adjoint, const bool *wanted)
{
    const mn_graph_node node = graph->nodes[i]; /* a copy: appending moves the array */
    const mn_node a = node.in[0], b = node.in[1], dy = adjoint[i];

    switch (node.op) {
    case MN_OP_CROSS_ENTROPY: { /* (softmax(z) - target) / items */
        mn_node p = mn_node_unary(graph, MN_OP_SOFTMAX, a);
        give(graph, adjoint, a,
             scale(graph, 1.0 / mn_node_extent(graph, a).n, mn_graph_scale_add(graph, -1.0, b, p)));
        break;
    }
    case MN_OP_SQUARED_ERROR: /* 2 (y - target) / elements */
        give(graph, adjoint, a,
             scale(graph, 2.0 / (double)mn_extent_count(mn_node_extent(graph, a)),
                   mn_graph_scale_add(graph, -1.0, b, a)));
        break;
    case MN_OP_GEMM: /* networks are made of y = a b */
        assert(!node.trans_a && !node.trans_b && node.plus == MN_NONE);
        if (wanted[a])
            give(graph, adjoint, a,
                 mn_node_gemm(graph, false, true, dy, b, MN_NONE, mn_node_extent(graph, a)));
        if (wanted[b])
            give(graph, adjoint, b,
                 mn_node_gemm(graph, true, false, a, dy, MN_NONE, mn_node_extent(graph, b)));
        break;
    case MN_OP_CONV: {
        if (wanted[a]) {
            mn_extent w = mn_node_extent(graph, b);
            mn_graph_node turn = mn_node_blank(MN_OP_TRANSPOSE, mn_matrix(9 * w.c, w.n / 9));
            turn.in[0] = b;
            mn_graph_node data = mn_node_blank(MN_OP_CONV_DATA, mn_node_extent(graph, a));
            data.in[0] = dy;
            data.in[1] = mn_node_append(graph, turn);
            data.conv = node.conv;
            give(graph, adjoint, a, mn_node_append(graph, data));
        }
        if (wanted[b]) {
            mn_graph_node weights = mn_node_blank(MN_OP_CONV_WEIGHTS, mn_node_extent(graph, b));
            weights.in[0] = a;
            weights.in[1] = dy;
            weights.conv = node.conv;
            give(graph, adjoint, b, mn_node_append(graph, weights));
        }
        break;
    }
    case MN_OP_BIAS:
        if (wanted[a])
            give(graph, adjoint, a, dy);
        if (wanted[b]) {
            mn_graph_node sums = mn_node_blank(MN_OP_COLUMN_SUMS, mn_node_extent(graph, b));
            sums.in[0] = dy;
            give(graph, adjoint, b, mn_node_append(graph, sums));
        }
        break;
    case MN_OP_RELU:
        give(graph, adjoint, a, mn_node_binary(graph, MN_OP_MASK, i, dy));
        break;
    case MN_OP_TANH:
        give(graph, adjoint, a, mn_node_binary(graph, MN_OP_TANH_BACKWARD, i, dy));
        break;
    case MN_OP_BN: {
        mn_extent x = node.extent;
        mn_node s = bn_sums(graph, node.relu, a, b, i, dy);
        give(graph, adjoint, node.in[3], view(graph, s, 0, mn_vector(x.c)));
        give(graph, adjoint, node.in[2], view(graph, s, x.c, mn_vector(x.c)));
        if (wanted[a]) {
            mn_graph_node back = mn_node_blank(MN_OP_BN_BACKWARD, x);
            const mn_node back_in[] = {a, b, node.in[2], i, dy, s};
            memcpy(back.in, back_in, sizeof back_in);
            back.relu = node.relu;
            give(graph, adjoint, a, mn_node_append(graph, back));
        }
        break;
    }
    case MN_OP_POOL_GATHER:
        give(graph, adjoint, a,
             mn_node_on_image(graph, MN_OP_POOL_SCATTER, dy, b, node.image, node.image));
        break;
    case MN_OP_PIXEL_MEAN:
        give(graph, adjoint, a,
             mn_node_on_image(graph, MN_OP_PIXEL_SPREAD, dy, MN_NONE, node.image, node.image));
        break;
    case MN_OP_INPUT:
        break;
    case MN_OP_ZERO:
    case MN_OP_VIEW:
    case MN_OP_TRANSPOSE:
    case MN_OP_CONV_DATA:
    case MN_OP_CONV_WEIGHTS:
    case MN_OP_COLUMN_SUMS:
    case MN_OP_ADD:
    case MN_OP_SCALE:
    case MN_OP_SCALE_ADD:
    case MN_OP_MASK:
    case MN_OP_TANH_BACKWARD:
    case MN_OP_TANH_CURVE:
    case MN_OP_BN_STATS: /* its share is part of BN's */
    case MN_OP_BN_SUMS:
    case MN_OP_BN_BACKWARD:
    case MN_OP_BN_TANGENT_SUMS:
    case MN_OP_BN_TANGENT:
    case MN_OP_BN_BACKWARD_TANGENT_SUMS:
    case MN_OP_BN_BACKWARD_TANGENT:
    case MN_OP_POOL_INDEX:
    case MN_OP_POOL_SCATTER:
    case MN_OP_PIXEL_SPREAD:
    case MN_OP_SOFTMAX:
    case MN_OP_SOFTMAX_TANGENT:
    case MN_N_OPS:
        assert(false && "no network is made of this operation");
        break;
    }
}

void mn_graph_gradient(mn_graph *graph, mn_node loss_node, uint32_t n, const mn_node *wrt,
                       mn_node *gradients)
{ /* the loss itself stands for 1: its rules do not read it */
    mn_graph_pullback(graph, loss_node, loss_node, n, wrt, gradients);
}

void mn_graph_pullback(mn_graph *graph, mn_node of, mn_node cotangent, uint32_t n,
                       const mn_node *wrt, mn_node *gradients)
{
    for (uint32_t i = 0; i < n; i++)
        gradients[i] = MN_NONE;
    uint32_t n_nodes = graph->n_nodes;
    mn_node *adjoint = malloc(n_nodes * sizeof *adjoint);
    bool *wanted = calloc(n_nodes, sizeof *wanted); /* does it depend on any wrt? */
    if (adjoint == NULL || wanted == NULL || graph->failed) {
        graph->failed = true;
        goto done;
    }

    for (uint32_t i = 0; i < n_nodes; i++)
        adjoint[i] = MN_NONE;
    for (uint32_t i = 0; i < n; i++)
        wanted[wrt[i]] = true;
    for (uint32_t i = 0; i < n_nodes; i++)
        for (int k = 0; k < MN_MAX_INPUTS; k++)
            if (graph->nodes[i].in[k] != MN_NONE && wanted[graph->nodes[i].in[k]])
                wanted[i] = true;

    adjoint[of] = cotangent;
    for (mn_node i = of; i >= 0 && !graph->failed; i--)
        if (adjoint[i] != MN_NONE && wanted[i])
            pull_back(graph, i, adjoint, wanted);
    for (uint32_t i = 0; i < n; i++)
        gradients[i] = adjoint[wrt[i]];
done:
    free(adjoint);
    free(wanted);
}

/* Forwards: the tangent of a node from those of its inputs. */

/* a op b is linear in each: t(a op b) = ta op b + a op tb. */
static mn_node product_rule(mn_graph *graph, mn_graph_node node, mn_node ta, mn_node tb,
                            mn_node tplus)
{
    mn_node sum = tplus, a = node.in[0], b = node.in[1];
    if (ta != MN_NONE) {
        node.in[0] = ta;
        node.in[1] = b;
        node.plus = sum;
        sum = mn_node_append(graph, node);
    }
    if (tb != MN_NONE) {
        node.in[0] = a;
        node.in[1] = tb;
        node.plus = sum;
        sum = mn_node_append(graph, node);
    }
    return sum;
}

/* The tsums of the batch norm over x; CSE finds it again for every rule that needs it. */
static mn_node bn_tangent_sums(mn_graph *graph, mn_node x, mn_node stats, mn_node tx)
{
    mn_graph_node sums = mn_node_blank(MN_OP_BN_TANGENT_SUMS, mn_node_extent(graph, stats));
    const mn_node in[] = {x, stats, tx};
    memcpy(sums.in, in, sizeof in);
    return mn_node_append(graph, sums);
}

static mn_node bn_backward_tangent_sums(mn_graph *graph, bool relu, mn_node x, mn_node stats,
                                        mn_node y, mn_node dy, mn_node tdy, mn_node tx,
                                        mn_node tsums)
{
    mn_graph_node sums =
        mn_node_blank(MN_OP_BN_BACKWARD_TANGENT_SUMS, mn_node_extent(graph, stats));
    const mn_node in[] = {x, stats, y, dy, tdy, tx, tsums};
    memcpy(sums.in, in, sizeof in);
    sums.relu = relu;
    return mn_node_append(graph, sums);
}

/* in: x, stats, gamma, beta */
static mn_node bn_tangent(mn_graph *graph, mn_node i, const mn_node *t)
{
    const mn_graph_node node = graph->nodes[i];
    if (t[0] != MN_NONE) {
        mn_graph_node out = mn_node_blank(MN_OP_BN_TANGENT, node.extent);
        mn_node tsums = bn_tangent_sums(graph, node.in[0], node.in[1], t[0]);
        const mn_node in[] = {node.in[0], node.in[1], node.in[2], i, t[0], tsums, t[2], t[3]};
        memcpy(out.in, in, sizeof in);
        out.relu = node.relu;
        return mn_node_append(graph, out);
    }
    mn_graph_node affine = node; /* x stands still: the mask of gamma's and beta's tangents */
    affine.in[2] = t[2] == MN_NONE ? zero_like(graph, node.in[2]) : t[2];
    affine.in[3] = t[3] == MN_NONE ? zero_like(graph, node.in[3]) : t[3];
    affine.relu = false;
    mn_node moved = mn_node_append(graph, affine);
    return node.relu ? mn_node_binary(graph, MN_OP_MASK, i, moved) : moved;
}

/* in: x, stats, gamma, y, dy, sums */
static mn_node bn_backward_tangent(mn_graph *graph, mn_node i, const mn_node *t)
{
    const mn_graph_node node = graph->nodes[i];
    mn_node x = node.in[0], stats = node.in[1], gamma = node.in[2], y = node.in[3];
    mn_node dy = node.in[4], sums = node.in[5];
    if (t[0] != MN_NONE) {
        mn_node tsums = bn_tangent_sums(graph, x, stats, t[0]);
        mn_node bsums =
            bn_backward_tangent_sums(graph, node.relu, x, stats, y, dy, t[4], t[0], tsums);
        mn_graph_node out = mn_node_blank(MN_OP_BN_BACKWARD_TANGENT, node.extent);
        const mn_node in[] = {x, stats, gamma, t[2], y, dy, sums, t[4], t[0], tsums, bsums};
        memcpy(out.in, in, sizeof in);
        out.relu = node.relu;
        return mn_node_append(graph, out);
    }
    mn_graph_node of_dy = node, of_gamma = node; /* x stands still: linear in dy and in gamma */
    mn_node sum = MN_NONE;
    if (t[4] != MN_NONE) {
        of_dy.in[4] = t[4];
        of_dy.in[5] = bn_sums(graph, node.relu, x, stats, y, t[4]);
        sum = mn_node_append(graph, of_dy);
    }
    if (t[2] != MN_NONE) {
        of_gamma.in[2] = t[2];
        sum = add(graph, sum, mn_node_append(graph, of_gamma));
    }
    return sum;
}

static mn_node push_forward(mn_graph *graph, mn_node i, const mn_node *tangent)
{
    const mn_graph_node node = graph->nodes[i]; /* a copy: appending moves the array */
    mn_node t[MN_MAX_INPUTS];
    bool any = node.plus != MN_NONE && tangent[node.plus] != MN_NONE;
    for (int k = 0; k < MN_MAX_INPUTS; k++) {
        t[k] = node.in[k] == MN_NONE ? MN_NONE : tangent[node.in[k]];
        any = any || t[k] != MN_NONE;
    }
    if (!any)
        return MN_NONE;

    mn_graph_node linear = node; /* the same operation on the tangent of in[0] or in[1] */
    switch (node.op) {
    case MN_OP_GEMM:
    case MN_OP_CONV:
    case MN_OP_CONV_DATA:
    case MN_OP_CONV_WEIGHTS:
        return product_rule(graph, node, t[0], t[1],
                            node.plus == MN_NONE ? MN_NONE : tangent[node.plus]);
    case MN_OP_BIAS:
        if (t[1] == MN_NONE)
            return t[0];
        return mn_graph_bias(graph, t[0] == MN_NONE ? zero_like(graph, i) : t[0], t[1]);
    case MN_OP_ADD:
        return add(graph, t[0], t[1]);
    case MN_OP_SCALE_ADD:
        if (t[0] == MN_NONE)
            return t[1];
        return t[1] == MN_NONE ? scale(graph, node.factor, t[0])
                               : mn_graph_scale_add(graph, node.factor, t[0], t[1]);
    case MN_OP_VIEW:
    case MN_OP_TRANSPOSE:
    case MN_OP_COLUMN_SUMS:
    case MN_OP_SCALE:
    case MN_OP_PIXEL_MEAN:
    case MN_OP_PIXEL_SPREAD:
    case MN_OP_POOL_GATHER: /* linear in the numbers; which of four is a constant */
    case MN_OP_POOL_SCATTER:
        if (t[0] == MN_NONE)
            return MN_NONE;
        linear.in[0] = t[0];
        return mn_node_append(graph, linear);
    case MN_OP_RELU: /* y > 0 is the mask; its own derivative is zero almost everywhere */
        return mn_node_binary(graph, MN_OP_MASK, i, t[0]);
    case MN_OP_MASK:
        return t[1] == MN_NONE ? MN_NONE : mn_node_binary(graph, MN_OP_MASK, node.in[0], t[1]);
    case MN_OP_TANH:
        return mn_node_binary(graph, MN_OP_TANH_BACKWARD, i, t[0]);
    case MN_OP_TANH_BACKWARD: {
        mn_node flat = MN_NONE, curve = MN_NONE;
        if (t[1] != MN_NONE)
            flat = mn_node_binary(graph, MN_OP_TANH_BACKWARD, node.in[0], t[1]);
        if (t[0] != MN_NONE) {
            mn_graph_node bend = mn_node_blank(MN_OP_TANH_CURVE, node.extent);
            bend.in[0] = node.in[0];
            bend.in[1] = t[0];
            bend.in[2] = node.in[1];
            curve = mn_node_append(graph, bend);
        }
        return add(graph, flat, curve);
    }
    case MN_OP_SOFTMAX:
        return mn_node_binary(graph, MN_OP_SOFTMAX_TANGENT, i, t[0]);
    case MN_OP_BN:
        return bn_tangent(graph, i, t);
    case MN_OP_BN_SUMS: { /* in: x, stats, y, dy */
        mn_node x = node.in[0], stats = node.in[1], y = node.in[2], dy = node.in[3];
        if (t[0] == MN_NONE) /* linear in dy */
            return t[3] == MN_NONE ? MN_NONE : bn_sums(graph, node.relu, x, stats, y, t[3]);
        return bn_backward_tangent_sums(graph, node.relu, x, stats, y, dy, t[3], t[0],
                                        bn_tangent_sums(graph, x, stats, t[0]));
    }
    case MN_OP_BN_BACKWARD:
        return bn_backward_tangent(graph, i, t);
    case MN_OP_BN_STATS:      /* its share is part of BN's */
    case MN_OP_POOL_INDEX:    /* piecewise constant */
    case MN_OP_CROSS_ENTROPY: /* of losses only the gradient's tangents are asked for */
    case MN_OP_SQUARED_ERROR:
    case MN_OP_INPUT:
    case MN_OP_ZERO:
        return MN_NONE;
    case MN_OP_TANH_CURVE:
    case MN_OP_BN_TANGENT_SUMS:
    case MN_OP_BN_TANGENT:
    case MN_OP_BN_BACKWARD_TANGENT_SUMS:
    case MN_OP_BN_BACKWARD_TANGENT:
    case MN_OP_SOFTMAX_TANGENT:
    case MN_N_OPS:
        assert(false && "a tangent of a tangent");
        return MN_NONE;
    }
    return MN_NONE;
}

void mn_graph_tangents(mn_graph *graph, uint32_t n_wrt, const mn_node *wrt,
                       const mn_node *directions, uint32_t n_of, const mn_node *of,
                       mn_node *tangents)
{
    for (uint32_t i = 0; i < n_of; i++)
        tangents[i] = MN_NONE;
    uint32_t n_nodes = graph->n_nodes; /* the tangents themselves come behind */
    mn_node *tangent = malloc(n_nodes * sizeof *tangent);
    if (tangent == NULL || graph->failed) {
        graph->failed = true;
        free(tangent);
        return;
    }
    for (uint32_t i = 0; i < n_nodes; i++)
        tangent[i] = MN_NONE;
    for (uint32_t i = 0; i < n_wrt; i++)
        tangent[wrt[i]] = directions[i];
    for (uint32_t i = 0; i < n_nodes && !graph->failed; i++)
        if (tangent[i] == MN_NONE)
            tangent[i] = push_forward(graph, (mn_node)i, tangent);
    for (uint32_t i = 0; i < n_of; i++)
        tangents[i] = of[i] == MN_NONE ? MN_NONE : tangent[of[i]];
    free(tangent);
}
