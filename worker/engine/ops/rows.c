/* What goes row by row, or scales rows and columns. */
#include "worker/engine/ops/ops.h"

static mn_node row_dot(mn_graph *graph, mn_node a, mn_node b)
{
    return mn_graph_row_dot(graph, a, b);
}

static void pull_row_dot(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    for (int k = 0; k < 2; k++)
        if (adjoints->wanted[node.in[k]])
            mn_give(adjoints, node.in[k],
                    mn_graph_row_scale(adjoints->graph, adjoints->of[i], node.in[1 - k]));
}

static mn_node push_bilinear(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_rule_bilinear(graph, i, t[0], t[1]);
}

static void run_row_dot(const mn_operation *operation, const mn_kernels *k,
                        const mn_real *const *in, mn_real *out)
{
    k->row_dot(operation->rows, operation->c, in[0], in[1], out);
}

const mn_op_row mn_op_row_dot = {.name = "row dot",
                                 .pull_back = pull_row_dot,
                                 .push_forward = push_bilinear,
                                 .run = run_row_dot};

/* in: s [n, 1], a [n, c] */
static void pull_row_scale(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_node s = graph->nodes[i].in[0], a = graph->nodes[i].in[1], dy = adjoints->of[i];
    if (adjoints->wanted[s])
        mn_give(adjoints, s, row_dot(graph, dy, a));
    if (adjoints->wanted[a])
        mn_give(adjoints, a, mn_graph_row_scale(graph, s, dy));
}

static void run_row_scale(const mn_operation *operation, const mn_kernels *k,
                          const mn_real *const *in, mn_real *out)
{
    k->row_scale(operation->rows, operation->node.extent.c, in[0], in[1], out);
}

const mn_op_row mn_op_row_scale = {.name = "row scale",
                                   .overwrites = 2,
                                   .pull_back = pull_row_scale,
                                   .push_forward = push_bilinear,
                                   .run = run_row_scale};

/* in: x [n, c], v [c] */
static void pull_column_scale(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_node x = graph->nodes[i].in[0], v = graph->nodes[i].in[1], dy = adjoints->of[i];
    if (adjoints->wanted[x])
        mn_give(adjoints, x, mn_graph_column_scale(graph, dy, v));
    if (adjoints->wanted[v])
        mn_give(
            adjoints, v,
            mn_rule_column_sums(graph, mn_rule_multiply(graph, x, dy), mn_node_extent(graph, v)));
}

static void run_column_scale(const mn_operation *operation, const mn_kernels *k,
                             const mn_real *const *in, mn_real *out)
{
    k->column_scale(operation->rows, operation->c, in[0], in[1], out);
}

const mn_op_row mn_op_column_scale = {.name = "column scale",
                                      .overwrites = 1,
                                      .pull_back = pull_column_scale,
                                      .push_forward = push_bilinear,
                                      .run = run_column_scale};

/* A masked entry has p = 0, and so neither gets nor gives a derivative. */
static void pull_softmax(mn_adjoints *adjoints, mn_node i)
{
    mn_give(adjoints, adjoints->graph->nodes[i].in[0],
            mn_rule_softmax_tangent(adjoints->graph, i, adjoints->of[i]));
}

static mn_node push_softmax(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return t[0] == MN_NONE ? MN_NONE : mn_rule_softmax_tangent(graph, i, t[0]);
}

static void run_softmax(const mn_operation *operation, const mn_kernels *k,
                        const mn_real *const *in, mn_real *out)
{
    if (in[1] == NULL)
        k->softmax(operation->rows, operation->c, in[0], out);
    else
        k->masked_softmax(operation->rows, operation->c, in[0], in[1], out);
}

const mn_op_row mn_op_softmax = {
    .name = "softmax", .pull_back = pull_softmax, .push_forward = push_softmax, .run = run_softmax};

/* in: p, t; p (t - <p, t>). What it makes of g in place of dp: g (t - <p, t>) - <p, g> t backwards,
 * and g (t - <p, t>) - <g, t> p forwards. */
static mn_node of_p(mn_graph *graph, mn_node p, mn_node t, mn_node g, bool forwards)
{
    mn_node first = mn_rule_multiply(graph, g, t);
    mn_node second = mn_graph_row_scale(graph, row_dot(graph, p, t), g);
    mn_node third = forwards ? mn_graph_row_scale(graph, row_dot(graph, g, t), p)
                             : mn_graph_row_scale(graph, row_dot(graph, p, g), t);
    return mn_rule_subtract(graph, mn_rule_subtract(graph, first, second), third);
}

static void pull_softmax_tangent(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_node p = graph->nodes[i].in[0], t = graph->nodes[i].in[1], dy = adjoints->of[i];
    if (adjoints->wanted[t])
        mn_give(adjoints, t, mn_rule_softmax_tangent(graph, p, dy));
    if (adjoints->wanted[p])
        mn_give(adjoints, p, of_p(graph, p, t, dy, false));
}

static mn_node push_softmax_tangent(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    const mn_node p = graph->nodes[i].in[0], g = graph->nodes[i].in[1];
    mn_node sum = MN_NONE;
    (void)tplus;
    if (t[1] != MN_NONE)
        sum = mn_rule_softmax_tangent(graph, p, t[1]);
    if (t[0] != MN_NONE)
        sum = mn_rule_add(graph, sum, of_p(graph, p, g, t[0], true));
    return sum;
}

static void run_softmax_tangent(const mn_operation *operation, const mn_kernels *k,
                                const mn_real *const *in, mn_real *out)
{
    k->softmax_tangent(operation->rows, operation->c, in[0], in[1], out);
}

const mn_op_row mn_op_softmax_tangent = {.name = "softmax tangent",
                                         .pull_back = pull_softmax_tangent,
                                         .push_forward = push_softmax_tangent,
                                         .run = run_softmax_tangent};
