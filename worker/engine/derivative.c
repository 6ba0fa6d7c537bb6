/* How a graph is differentiated: mn_graph_gradient, _pullback and _tangents. The rules are the
 * operations' own (ops/). */
#include "worker/engine/graph.h"

#include "worker/engine/ops/op.h"
#include <stdlib.h>

/* Backwards: the adjoints of a node's inputs from its own. */

static void pull_back(mn_adjoints *adjoints, mn_node i)
{
    const mn_op_row *row = mn_op_rows[adjoints->graph->nodes[i].op];
    if (row->is_constant)
        return;
    adjoints->graph->part = adjoints->graph->nodes[i].part; /* what comes of it is its part's too */
    if (row->pull_back != NULL)
        row->pull_back(adjoints, i);
    else
        mn_rule_refuse(adjoints->graph, i);
}

/* Does it depend on anything that is wanted, by a way that a derivative takes? */
static void mark_wanted(const mn_graph_node *node, bool *wanted, const bool *all)
{
    if (mn_op_rows[node->op]->is_constant)
        return;
    for (int k = 0; k < MN_MAX_INPUTS; k++)
        if (node->in[k] != MN_NONE && all[node->in[k]])
            *wanted = true;
    if (node->plus != MN_NONE && all[node->plus])
        *wanted = true;
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
    const char *part = graph->part;
    mn_node *adjoint = malloc(n_nodes * sizeof *adjoint);
    bool *wanted = calloc(n_nodes, sizeof *wanted); /* does it depend on any wrt? */
    mn_stack *stacks = calloc(n_nodes, sizeof *stacks);
    if (adjoint == NULL || wanted == NULL || stacks == NULL || graph->failed) {
        graph->failed = true;
        goto done;
    }

    for (uint32_t i = 0; i < n_nodes; i++)
        adjoint[i] = MN_NONE;
    for (uint32_t i = 0; i < n; i++)
        wanted[wrt[i]] = true;
    for (uint32_t i = 0; i < n_nodes; i++)
        mark_wanted(&graph->nodes[i], &wanted[i], wanted);

    mn_stacks_count(graph, n_nodes, stacks);
    mn_adjoints adjoints = {.graph = graph, .of = adjoint, .wanted = wanted, .stacks = stacks};
    adjoint[of] = cotangent;
    for (mn_node i = of; i >= 0 && !graph->failed; i--) {
        mn_stack_finish(&adjoints, i);
        if (adjoint[i] != MN_NONE && wanted[i])
            pull_back(&adjoints, i);
    }
    for (uint32_t i = 0; i < n; i++)
        gradients[i] = adjoint[wrt[i]];
    graph->part = part;
done:
    free(adjoint);
    free(wanted);
    free(stacks);
}

/* Forwards: the tangent of a node from those of its inputs. */

static mn_node push_forward(mn_graph *graph, mn_node i, const mn_node *tangent)
{
    const mn_graph_node node = graph->nodes[i]; /* a copy: appending moves the array */
    const mn_op_row *row = mn_op_rows[node.op];
    mn_node t[MN_MAX_INPUTS], tplus = node.plus == MN_NONE ? MN_NONE : tangent[node.plus];
    bool any = tplus != MN_NONE;
    for (int k = 0; k < MN_MAX_INPUTS; k++) {
        t[k] = node.in[k] == MN_NONE ? MN_NONE : tangent[node.in[k]];
        any = any || t[k] != MN_NONE;
    }
    if (!any || row->is_constant)
        return MN_NONE;
    graph->part = node.part;
    if (row->push_forward != NULL)
        return row->push_forward(graph, i, t, tplus);
    mn_rule_refuse(graph, i);
    return MN_NONE;
}

void mn_graph_tangents(mn_graph *graph, uint32_t n_wrt, const mn_node *wrt,
                       const mn_node *directions, uint32_t n_of, const mn_node *of,
                       mn_node *tangents)
{
    for (uint32_t i = 0; i < n_of; i++)
        tangents[i] = MN_NONE;
    const uint32_t n_nodes = graph->n_nodes; /* the tangents themselves come behind */
    const char *part = graph->part;
    mn_node *tangent = malloc(n_nodes * sizeof *tangent);
    bool *needed = calloc(n_nodes, sizeof *needed);
    if (tangent == NULL || needed == NULL || graph->failed) {
        graph->failed = true;
        goto done;
    }
    mn_nodes_mark_needed(graph, n_of, of, n_nodes, needed);
    for (uint32_t i = 0; i < n_nodes; i++)
        tangent[i] = MN_NONE;
    for (uint32_t i = 0; i < n_wrt; i++)
        tangent[wrt[i]] = directions[i];
    for (uint32_t i = 0; i < n_nodes && !graph->failed; i++)
        if (needed[i] && tangent[i] == MN_NONE)
            tangent[i] = push_forward(graph, (mn_node)i, tangent);
    for (uint32_t i = 0; i < n_of; i++)
        tangents[i] = of[i] == MN_NONE ? MN_NONE : tangent[of[i]];
    graph->part = part;
done:
    free(tangent);
    free(needed);
}
