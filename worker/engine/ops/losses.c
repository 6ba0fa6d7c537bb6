/* Losses: one number, in double. A loss is what a gradient begins at, so that its adjoint is 1 and
 * is not read. There is no rule for its tangent. */
#include "worker/engine/ops/ops.h"

#include <string.h>

/* in: logits, target, weights or nothing, and with weights softmax(logits) or nothing.
 * (softmax(z) - target) / items, or times weights. */
static void pull_cross_entropy(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node z = node.in[0], target = node.in[1], weights = node.in[2];
    if (adjoints->wanted[target] || (weights != MN_NONE && adjoints->wanted[weights]))
        mn_rule_refuse(graph, i);
    mn_node p = mn_node_unary(graph, MN_OP_SOFTMAX, z);
    mn_node off = mn_graph_scale_add(graph, -1.0, target, p);
    mn_give(adjoints, z,
            weights != MN_NONE ? mn_graph_row_scale(graph, weights, off)
                               : mn_rule_scale(graph, 1.0 / mn_node_rows(graph, z), off));
}

static void put(double value, mn_real *out)
{
    memcpy(out, &value, sizeof value);
}

static void run_cross_entropy(const mn_operation *operation, const mn_kernels *k,
                              const mn_real *const *in, mn_real *out)
{
    const size_t rows = operation->rows, c = operation->c;
    put(in[2] == NULL   ? k->cross_entropy(rows, c, in[0], in[1])
        : in[3] == NULL ? k->weighted_cross_entropy(rows, c, in[0], in[1], in[2])
                        : k->choice_loss(rows, c, in[0], in[3], in[1], in[2]),
        out);
}

const mn_op_row mn_op_cross_entropy = {.name = "cross-entropy",
                                       .result = MN_RESULT_DOUBLE,
                                       .pull_back = pull_cross_entropy,
                                       .run = run_cross_entropy};

static void pull_squared_error(mn_adjoints *adjoints, mn_node i) /* 2 (y - target) / elements */
{
    mn_graph *graph = adjoints->graph;
    const mn_node y = graph->nodes[i].in[0], target = graph->nodes[i].in[1];
    const double factor = 2.0 / (double)mn_extent_count(mn_node_extent(graph, y));
    const mn_node off = mn_graph_scale_add(graph, -1.0, target, y);
    mn_give(adjoints, y, mn_rule_scale(graph, factor, off));
    if (adjoints->wanted[target])
        mn_give(adjoints, target, mn_rule_scale(graph, -factor, off));
}

static void run_squared_error(const mn_operation *operation, const mn_kernels *k,
                              const mn_real *const *in, mn_real *out)
{
    put(k->squared_error(operation->rows * operation->c, in[0], in[1]), out);
}

const mn_op_row mn_op_squared_error = {.name = "squared error",
                                       .result = MN_RESULT_DOUBLE,
                                       .pull_back = pull_squared_error,
                                       .run = run_squared_error};

static void pull_mean(mn_adjoints *adjoints, mn_node i)
{
    const mn_node a = adjoints->graph->nodes[i].in[0];
    const mn_extent extent = mn_node_extent(adjoints->graph, a);
    mn_give(adjoints, a,
            mn_graph_constant(adjoints->graph, 1.0 / (double)mn_extent_count(extent), extent));
}

static void run_mean(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    put(k->mean(operation->rows * operation->c, in[0]), out);
}

const mn_op_row mn_op_mean = {
    .name = "mean", .result = MN_RESULT_DOUBLE, .pull_back = pull_mean, .run = run_mean};
