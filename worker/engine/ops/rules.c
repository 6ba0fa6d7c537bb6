/* What the rules of several families are made of. */
#include "worker/engine/ops/op.h"

void mn_give(mn_adjoints *adjoints, mn_node to, mn_node share)
{
    adjoints->of[to] = mn_rule_add(adjoints->graph, adjoints->of[to], share);
}

void mn_rule_refuse(mn_graph *graph, mn_node i)
{
    if (graph->refused_op != NULL || graph->failed)
        return;
    graph->refused_op = mn_op_rows[graph->nodes[i].op]->name;
    graph->refused_part = graph->nodes[i].part;
}

mn_node mn_rule_scale(mn_graph *graph, double factor, mn_node a)
{
    if (a == MN_NONE)
        return MN_NONE;
    mn_graph_node node = mn_node_blank(MN_OP_SCALE, mn_node_extent(graph, a));
    node.in[0] = a;
    node.factor = factor;
    return mn_node_append(graph, node);
}

mn_node mn_rule_add(mn_graph *graph, mn_node a, mn_node b)
{
    if (a == MN_NONE || b == MN_NONE)
        return a == MN_NONE ? b : a;
    return mn_node_binary(graph, MN_OP_ADD, a, b);
}

mn_node mn_rule_subtract(mn_graph *graph, mn_node a, mn_node b)
{
    if (b == MN_NONE)
        return a;
    return a == MN_NONE ? mn_rule_scale(graph, -1, b) : mn_graph_scale_add(graph, -1, b, a);
}

mn_node mn_rule_multiply(mn_graph *graph, mn_node a, mn_node b)
{
    return a == MN_NONE || b == MN_NONE ? MN_NONE : mn_node_binary(graph, MN_OP_MULTIPLY, a, b);
}

mn_node mn_rule_zero_like(mn_graph *graph, mn_node a)
{
    return mn_node_append(graph, mn_node_blank(MN_OP_ZERO, mn_node_extent(graph, a)));
}

mn_node mn_rule_view(mn_graph *graph, mn_node a, size_t offset, mn_extent extent)
{
    if (a == MN_NONE)
        return MN_NONE;
    mn_graph_node node = mn_node_blank(MN_OP_VIEW, extent);
    node.in[0] = a;
    node.offset = offset;
    return mn_node_append(graph, node);
}

mn_node mn_rule_column_sums(mn_graph *graph, mn_node a, mn_extent extent)
{
    mn_graph_node sums = mn_node_blank(MN_OP_COLUMN_SUMS, extent);
    sums.in[0] = a;
    return mn_node_append(graph, sums);
}

mn_node mn_rule_softmax_tangent(mn_graph *graph, mn_node p, mn_node t)
{
    return mn_node_binary(graph, MN_OP_SOFTMAX_TANGENT, p, t);
}

mn_node mn_rule_linear(mn_graph *graph, mn_node i, mn_node t)
{
    if (t == MN_NONE || graph->failed)
        return MN_NONE;
    mn_graph_node node = graph->nodes[i];
    node.in[0] = t;
    return mn_node_append(graph, node);
}

mn_node mn_rule_product(mn_graph *graph, mn_node i, mn_node ta, mn_node tb, mn_node tplus)
{
    mn_graph_node node = graph->nodes[i];
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

mn_node mn_rule_bilinear(mn_graph *graph, mn_node i, mn_node ta, mn_node tb)
{
    mn_graph_node of_a = graph->nodes[i], of_b = graph->nodes[i];
    mn_node sum = MN_NONE;
    of_a.in[0] = ta;
    of_b.in[1] = tb;
    if (ta != MN_NONE)
        sum = mn_node_append(graph, of_a);
    if (tb != MN_NONE)
        sum = mn_rule_add(graph, sum, mn_node_append(graph, of_b));
    return sum;
}
