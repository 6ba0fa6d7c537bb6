/* examples_shapes.h: examples of the operations of shapes.c. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

BUILD(input)
{
    return tensor(bed, matrix);
}
NAIVE(input)
{
    UNUSED;
    EACH(i, N)
    out[i] = atanh(a[0][i]);
}
BUILT_AND_NAIVE(input);

BUILD(zero)
{
    GRAPH;
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_add(graph, mn_graph_zero(graph, matrix), a);
}
NAIVE(zero)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i];
}
BUILT_AND_NAIVE(zero);

BUILD(constant)
{
    GRAPH;
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_multiply(graph, mn_graph_constant(graph, 1.5, matrix), a);
}
NAIVE(constant)
{
    UNUSED;
    EACH(i, N)
    out[i] = 1.5 * a[0][i];
}
BUILT_AND_NAIVE(constant);

/* Two rows of an argument, of theta itself and of the task, and all of it in another shape. */
BUILD(view)
{
    GRAPH;
    mn_node a = arg(bed, ROWS, C), raw = tensor(bed, matrix), x = given(bed, ROWS, C);
    mn_node sum = mn_graph_multiply(graph, mn_graph_rows(graph, a, 1, 2),
                                    mn_graph_rows(graph, mn_graph_reshape(graph, a, matrix), 2, 2));
    sum = mn_graph_multiply(graph, sum, mn_graph_rows(graph, raw, 1, 2));
    sum = mn_graph_add(graph, sum, mn_graph_rows(graph, x, 2, 2));
    return mn_graph_reshape(graph, sum, mn_matrix(C, 2));
}
NAIVE(view)
{
    EACH(i, 6)
    out[i] = a[0][C + i] * a[0][6 + i] * atanh(a[1][C + i]) + x[6 + i];
}
BUILT_AND_NAIVE(view);

BUILD(stop)
{
    GRAPH;
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    return mn_graph_multiply(graph, mn_graph_stop(graph, a), b);
}
NAIVE(stop)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i] * a[1][i];
}
static const example example_stop = {.build = build_stop, .naive = naive_stop, .stopped = 1};

BUILD(place)
{
    GRAPH;
    mn_node a = arg(bed, 2, C), b = arg(bed, ROWS, C);
    mn_node y = mn_graph_place_rows(graph, a, 1, ROWS, MN_NONE);
    return mn_graph_place_rows(graph, mn_graph_rows(graph, b, 1, 2), 2, ROWS,
                               mn_graph_multiply(graph, y, b));
}
NAIVE(place)
{
    UNUSED;
    EACH(i, N)
    out[i] = (i >= C && i < 9 ? a[0][i - C] * a[1][i] : 0) + (i >= 6 ? a[1][i - C] : 0);
}
BUILT_AND_NAIVE(place);

BUILD(columns)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_columns(&bed->graph, a, 1, 2);
}
NAIVE(columns)
{
    UNUSED;
    EACH(i, 2 * ROWS)
    out[i] = a[0][i / 2 * C + 1 + i % 2];
}
BUILT_AND_NAIVE(columns);

BUILD(place_columns)
{
    mn_node a = arg(bed, ROWS, 2), b = arg(bed, ROWS, C), parts[] = {a, b, a};
    return mn_graph_concat_columns(&bed->graph, 3, parts);
}
NAIVE(place_columns)
{
    UNUSED;
    EACH(i, ROWS)
    EACH(j, 7)
    out[7 * i + j] = j < 2 ? a[0][2 * i + j] : j < 5 ? a[1][C * i + j - 2] : a[0][2 * i + j - 5];
}
BUILT_AND_NAIVE(place_columns);

BUILD(repeat)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_repeat_rows(&bed->graph, a, 2);
}
NAIVE(repeat)
{
    UNUSED;
    EACH(i, 2 * N)
    out[i] = a[0][i / C / 2 * C + i % C];
}
BUILT_AND_NAIVE(repeat);

BUILD(sum_groups)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_sum_groups(&bed->graph, a, 2);
}
NAIVE(sum_groups)
{
    UNUSED;
    EACH(i, N / 2)
    out[i] = a[0][i / C * 2 * C + i % C] + a[0][(i / C * 2 + 1) * C + i % C];
}
BUILT_AND_NAIVE(sum_groups);

BUILD(tile)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_tile_rows(&bed->graph, a, 3);
}
NAIVE(tile)
{
    UNUSED;
    EACH(i, 3 * N)
    out[i] = a[0][i % N];
}
BUILT_AND_NAIVE(tile);

BUILD(sum_tiles)
{
    mn_graph_node sum = mn_node_blank(MN_OP_SUM_TILES, mn_matrix(ROWS / 2, C));
    sum.in[0] = arg(bed, ROWS, C);
    sum.times = 2;
    return mn_node_append(&bed->graph, sum);
}
NAIVE(sum_tiles)
{
    UNUSED;
    EACH(i, N / 2)
    out[i] = a[0][i] + a[0][N / 2 + i];
}
BUILT_AND_NAIVE(sum_tiles);

/* Two blocks of [2, 3, 2], and of [3, 2, 2]. */
BUILD(swap)
{
    GRAPH;
    mn_node a = arg(bed, 12, 2), b = arg(bed, 6, 4);
    return mn_graph_multiply(graph, mn_graph_swap_axes(graph, a, 2, 2, 3),
                             mn_graph_swap_axes(graph, b, 2, 3, 2));
}
NAIVE(swap)
{
    UNUSED;
    EACH(block, 2)
    EACH(row, 6)
    EACH(k, 2)
    out[12 * block + 2 * row + k] = a[0][12 * block + 2 * (row % 2 * 3 + row / 2) + k] *
                                    a[1][12 * block + 2 * (row % 3 * 2 + row / 3) + k];
}
BUILT_AND_NAIVE(swap);
