/* Batch normalisation, fused at each of four levels: value, adjoint, tangent, tangent of the adjoint.
 * What comes after the value is differentiated forwards alone, and once. */
#include "worker/engine/ops/ops.h"

#include <string.h>

static mn_node bn_sums(mn_graph *graph, bool relu, mn_node x, mn_node stats, mn_node y, mn_node dy)
{
    mn_graph_node sums = mn_node_blank(MN_OP_BN_SUMS, mn_node_extent(graph, stats));
    const mn_node in[] = {x, stats, y, dy};
    memcpy(sums.in, in, sizeof in);
    sums.relu = relu;
    return mn_node_append(graph, sums);
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
static mn_node tangent_of_bn(mn_graph *graph, mn_node i, const mn_node *t)
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
    affine.in[2] = t[2] == MN_NONE ? mn_rule_zero_like(graph, node.in[2]) : t[2];
    affine.in[3] = t[3] == MN_NONE ? mn_rule_zero_like(graph, node.in[3]) : t[3];
    affine.relu = false;
    mn_node moved = mn_node_append(graph, affine);
    return node.relu ? mn_node_binary(graph, MN_OP_MASK, i, moved) : moved;
}

/* in: x, stats, gamma, y, dy, sums */
static mn_node tangent_of_bn_backward(mn_graph *graph, mn_node i, const mn_node *t)
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
        sum = mn_rule_add(graph, sum, mn_node_append(graph, of_gamma));
    }
    return sum;
}

static void pull_bn(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node a = node.in[0], b = node.in[1], dy = adjoints->of[i];
    mn_extent x = node.extent;
    mn_node s = bn_sums(graph, node.relu, a, b, i, dy);
    mn_give(adjoints, node.in[3], mn_rule_view(graph, s, 0, mn_vector(x.c)));
    mn_give(adjoints, node.in[2], mn_rule_view(graph, s, x.c, mn_vector(x.c)));
    if (adjoints->wanted[a]) {
        mn_graph_node back = mn_node_blank(MN_OP_BN_BACKWARD, x);
        const mn_node back_in[] = {a, b, node.in[2], i, dy, s};
        memcpy(back.in, back_in, sizeof back_in);
        back.relu = node.relu;
        mn_give(adjoints, a, mn_node_append(graph, back));
    }
}

static mn_node push_bn(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return tangent_of_bn(graph, i, t);
}

static mn_node push_bn_sums(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{ /* in: x, stats, y, dy */
    const mn_graph_node node = graph->nodes[i];
    mn_node x = node.in[0], stats = node.in[1], y = node.in[2], dy = node.in[3];
    (void)tplus;
    if (t[0] == MN_NONE) /* linear in dy */
        return t[3] == MN_NONE ? MN_NONE : bn_sums(graph, node.relu, x, stats, y, t[3]);
    return bn_backward_tangent_sums(graph, node.relu, x, stats, y, dy, t[3], t[0],
                                    bn_tangent_sums(graph, x, stats, t[0]));
}

static mn_node push_bn_backward(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return tangent_of_bn_backward(graph, i, t);
}

#define RUN(name, call)                                                                            \
    static void run_##name(const mn_operation *operation, const mn_kernels *k,                     \
                           const mn_real *const *in, mn_real *out)                                 \
    {                                                                                              \
        const mn_graph_node *node = &operation->node;                                              \
        const size_t rows = operation->rows, c = operation->c;                                     \
        (void)node;                                                                                \
        call;                                                                                      \
    }

RUN(bn_stats, k->bn_stats(rows, c, node->eps, in[0], out))
const mn_op_row mn_op_bn_stats = {
    .name = "bn stats", .is_constant = true, /* its share is part of BN's */ .run = run_bn_stats};

RUN(bn, k->bn_forward(rows, c, node->relu, in[0], in[1], in[2], in[3], out))
const mn_op_row mn_op_bn = {.name = "bn forward",
                            .pull_back = pull_bn,
                            .push_forward = push_bn,
                            .overwrites = 1,
                            .run = run_bn};

RUN(bn_sums, k->bn_backward_sums(rows, c, node->relu, in[0], in[1], in[2], in[3], out))
const mn_op_row mn_op_bn_sums = {
    .name = "bn backward sums", .push_forward = push_bn_sums, .run = run_bn_sums};

RUN(bn_backward,
    k->bn_backward(rows, rows, c, node->relu, in[0], in[1], in[2], in[3], in[4], in[5], out))
const mn_op_row mn_op_bn_backward = {.name = "bn backward",
                                     .push_forward = push_bn_backward,
                                     .overwrites = 1 | 1 << 4,
                                     /* x; dy */ .run = run_bn_backward};

RUN(bn_tangent_sums, k->bn_tangent_sums(rows, c, in[0], in[1], in[2], out))
const mn_op_row mn_op_bn_tangent_sums = {.name = "bn tangent sums", .run = run_bn_tangent_sums};

RUN(bn_tangent,
    k->bn_tangent(rows, c, node->relu, in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], out))
const mn_op_row mn_op_bn_tangent = {.name = "bn tangent", .run = run_bn_tangent};

RUN(bn_backward_tangent_sums, k->bn_backward_tangent_sums(rows, c, node->relu, in[0], in[1], in[2],
                                                          in[3], in[4], in[5], in[6], out))
const mn_op_row mn_op_bn_backward_tangent_sums = {.name = "bn backward tangent sums",
                                                  .run = run_bn_backward_tangent_sums};

RUN(bn_backward_tangent,
    k->bn_backward_tangent(rows, c, node->relu, in[0], in[1], in[2], in[3], in[4], in[5], in[6],
                           in[7], in[8], in[9], in[10], out))
const mn_op_row mn_op_bn_backward_tangent = {.name = "bn backward tangent",
                                             .run = run_bn_backward_tangent};
