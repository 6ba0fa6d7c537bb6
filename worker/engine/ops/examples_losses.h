/* examples_losses.h: examples of losses.c. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

BUILD(cross_entropy)
{
    static const double rows[N + ROWS] = {0, 1, 0, .2, .3, .5, 1, 0, 0, 0, 0, 1, .5, 0, 2, .25};
    mn_node a = arg(bed, ROWS, C);
    memcpy(bed->x_data, rows, sizeof rows);
    return mn_graph_weighted_cross_entropy(
        &bed->graph, a, given(bed, ROWS, C),
        mn_graph_input(&bed->graph, MN_SLOT_X, N, mn_matrix(ROWS, 1)));
}
NAIVE(cross_entropy)
{
    *out = 0;
    EACH(i, N)
    {
        const double *z = a[0] + i / C * C;
        double sum = exp(z[0]) + exp(z[1]) + exp(z[2]);
        *out -= x[N + i / C] * x[i] * log(exp(z[i % C]) / sum);
    }
}
BUILT_AND_NAIVE(cross_entropy);

BUILD(choice_loss)
{
    static const double rows[N + ROWS] = {0, 1, 0, .2, .3, .5, 1, 0, 0, 0, 0, 1, .5, 0, 2, .25};
    mn_node a = arg(bed, ROWS, C);
    memcpy(bed->x_data, rows, sizeof rows);
    return mn_graph_choice_loss(&bed->graph, a, given(bed, ROWS, C),
                                mn_graph_input(&bed->graph, MN_SLOT_X, N, mn_matrix(ROWS, 1)));
}
static const example example_choice_loss = {.build = build_choice_loss,
                                            .naive = naive_cross_entropy};

BUILD(squared_error) /* both sides depend on theta */
{
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    return mn_graph_squared_error(&bed->graph, a, b);
}
NAIVE(squared_error)
{
    UNUSED;
    *out = 0;
    EACH(i, N)
    *out += (a[0][i] - a[1][i]) * (a[0][i] - a[1][i]) / N;
}
BUILT_AND_NAIVE(squared_error);

BUILD(mean)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_mean(&bed->graph, a);
}
NAIVE(mean)
{
    UNUSED;
    *out = 0;
    EACH(i, N)
    *out += a[0][i] / N;
}
BUILT_AND_NAIVE(mean);
