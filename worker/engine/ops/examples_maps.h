/* examples_maps.h: examples of maps.c, element by element. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

#define OF_ONE(name, argument, formula)                                                            \
    BUILD(name)                                                                                    \
    {                                                                                              \
        mn_node a = argument(bed, ROWS, C);                                                        \
        return mn_graph_##name(&bed->graph, a);                                                    \
    }                                                                                              \
    NAIVE(name)                                                                                    \
    {                                                                                              \
        UNUSED;                                                                                    \
        EACH(i, N)                                                                                 \
        {                                                                                          \
            const double u = a[0][i], p = 1 + u * u;                                               \
            (void)p;                                                                               \
            out[i] = formula;                                                                      \
        }                                                                                          \
    }                                                                                              \
    BUILT_AND_NAIVE(name)
OF_ONE(relu, arg, u > 0 ? u : 0);
OF_ONE(tanh, arg, tanh(u));
OF_ONE(sigmoid, arg, 1 / (1 + exp(-u)));
OF_ONE(exp, arg, exp(u));
OF_ONE(log, positive, log(p));
OF_ONE(softplus, arg, log(1 + exp(u)));
OF_ONE(reciprocal, positive, 1 / p);
OF_ONE(root, positive, sqrt(p));

#define OF_THREE(op, formula, ...)                                                                 \
    BUILD(op)                                                                                      \
    {                                                                                              \
        GRAPH;                                                                                     \
        const mn_node u = arg(bed, ROWS, C), v = arg(bed, ROWS, C), w = arg(bed, ROWS, C);         \
        (void)v, (void)w;                                                                          \
        return __VA_ARGS__;                                                                        \
    }                                                                                              \
    NAIVE(op)                                                                                      \
    {                                                                                              \
        UNUSED;                                                                                    \
        EACH(i, N)                                                                                 \
        {                                                                                          \
            const double u = a[0][i], v = a[1][i], w = a[2][i];                                    \
            (void)v, (void)w;                                                                      \
            out[i] = formula;                                                                      \
        }                                                                                          \
    }                                                                                              \
    BUILT_AND_NAIVE(op)
static mn_node tanh_curve(mn_graph *graph, mn_node u, mn_node v, mn_node w)
{
    mn_graph_node node = mn_node_blank(MN_OP_TANH_CURVE, matrix);
    node.in[0] = u;
    node.in[1] = v;
    node.in[2] = w;
    return mn_node_append(graph, node);
}
OF_THREE(add, 2 * u + v, mn_graph_add(graph, u, mn_graph_add(graph, v, u)));
OF_THREE(scale, -0.7 * u, mn_graph_scale(graph, -0.7, u));
OF_THREE(scale_add, v - 0.3 * u, mn_graph_scale_add(graph, -0.3, u, v));
OF_THREE(multiply, u *u *v, mn_graph_multiply(graph, u, mn_graph_multiply(graph, u, v)));
OF_THREE(mask, u > 0 ? v : 0, mn_node_binary(graph, MN_OP_MASK, u, v));
OF_THREE(tanh_backward, (1 - u * u) * v, mn_node_binary(graph, MN_OP_TANH_BACKWARD, u, v));
OF_THREE(tanh_curve, -2 * u * v * w, tanh_curve(graph, u, v, w));
