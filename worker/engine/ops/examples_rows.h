/* examples_rows.h: examples of rows.c. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

BUILD(row_dot)
{
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    return mn_graph_row_dot(&bed->graph, a, b);
}
NAIVE(row_dot)
{
    UNUSED;
    EACH(i, ROWS)
    out[i] = a[0][C * i] * a[1][C * i] + a[0][C * i + 1] * a[1][C * i + 1] +
             a[0][C * i + 2] * a[1][C * i + 2];
}
BUILT_AND_NAIVE(row_dot);

BUILD(row_scale)
{
    mn_node s = arg(bed, ROWS, 1), a = arg(bed, ROWS, C);
    return mn_graph_row_scale(&bed->graph, s, a);
}
NAIVE(row_scale)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i / C] * a[1][i];
}
BUILT_AND_NAIVE(row_scale);

BUILD(column_scale)
{
    mn_node a = arg(bed, ROWS, C), v = arg(bed, 1, C);
    return mn_graph_column_scale(&bed->graph, a, v);
}
NAIVE(column_scale)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i] * a[1][i % C];
}
BUILT_AND_NAIVE(column_scale);

/* Without a mask, and with one that leaves nothing of the last row. */
BUILD(softmax)
{
    GRAPH;
    static const double mask[N] = {1, 0, 1, 1, 1, 1, 0, 0, 1};
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    memcpy(bed->x_data, mask, sizeof mask);
    return mn_graph_add(graph, mn_graph_softmax(graph, a, MN_NONE),
                        mn_graph_softmax(graph, b, given(bed, ROWS, C)));
}
NAIVE(softmax)
{
    EACH(i, N)
    {
        double sum = 0, left = 0;
        EACH(j, C)
        {
            sum += exp(a[0][i / C * C + j]);
            left += x[i / C * C + j] != 0 ? exp(a[1][i / C * C + j]) : 0;
        }
        out[i] = exp(a[0][i]) / sum + (x[i] != 0 ? exp(a[1][i]) / left : 0);
    }
}
BUILT_AND_NAIVE(softmax);

BUILD(softmax_tangent)
{
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    return mn_rule_softmax_tangent(&bed->graph, a, b);
}
NAIVE(softmax_tangent)
{
    UNUSED;
    EACH(i, N)
    {
        double mean = 0;
        EACH(j, C)
        mean += a[0][i / C * C + j] * a[1][i / C * C + j];
        out[i] = a[0][i] * (a[1][i] - mean);
    }
}
BUILT_AND_NAIVE(softmax_tangent);
