/* examples_products.h: examples of products.c. All four ways one below the other: k = 4, m = 2, n = 3 of each. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

static mn_node all_ways(struct bed *bed, uint32_t batches)
{
    GRAPH;
    const uint32_t k = 4, m = 2, n = 3;
    mn_node all = MN_NONE, square;
    for (uint32_t way = 0; way < 4; way++) {
        bool ta = way & 1, tb = way & 2;
        mn_node a = arg(bed, batches * (ta ? k : m), ta ? m : k);
        mn_node b = arg(bed, batches * (tb ? n : k), tb ? k : n);
        mn_node y = batches == 1 ? mn_graph_product(graph, a, b, ta, tb)
                                 : mn_graph_batched_product(graph, a, b, batches, ta, tb);
        all = all == MN_NONE ? y : mn_graph_add(graph, all, y);
    }
    square = batches == 1 ? mn_graph_product(graph, all, all, false, true)
                          : mn_graph_batched_product(graph, all, all, batches, false, true);
    return square;
}
static void naive_ways(const double *const *a, size_t batches, double *out)
{
    const size_t k = 4, m = 2, n = 3;
    EACH(block, batches)
    {
        double all[6] = {0};
        EACH(way, 4)
        {
            const double *p = a[2 * way] + block * k * m, *q = a[2 * way + 1] + block * k * n;
            EACH(i, m)
            EACH(j, n)
            EACH(r, k)
            all[i * n + j] +=
                (way & 1 ? p[r * m + i] : p[i * k + r]) * (way & 2 ? q[j * k + r] : q[r * n + j]);
        }
        EACH(i, m)
        EACH(j, m)
        {
            double sum = 0;
            EACH(r, n)
            sum += all[i * n + r] * all[j * n + r];
            out[(block * m + i) * m + j] = sum;
        }
    }
}
BUILD(gemm)
{
    return all_ways(bed, 1);
}
NAIVE(gemm)
{
    UNUSED;
    naive_ways(a, 1, out);
}
BUILT_AND_NAIVE(gemm);
BUILD(batched_gemm)
{
    return all_ways(bed, 3);
}
NAIVE(batched_gemm)
{
    UNUSED;
    naive_ways(a, 3, out);
}
BUILT_AND_NAIVE(batched_gemm);

BUILD(bias)
{
    mn_node a = arg(bed, ROWS, C), b = arg(bed, 1, C);
    return mn_graph_bias(&bed->graph, a, b);
}
NAIVE(bias)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i] + a[1][i % C];
}
BUILT_AND_NAIVE(bias);

BUILD(transpose)
{
    GRAPH;
    return mn_node_transpose(graph, arg(bed, 6, 2), 2);
}
NAIVE(transpose)
{
    UNUSED;
    for (size_t block = 0; block < 2; block++)
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 2; j++)
                out[block * 6 + j * 3 + i] = a[0][block * 6 + i * 2 + j];
}
BUILT_AND_NAIVE(transpose);

BUILD(column_sums)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_column_sums(&bed->graph, a);
}
NAIVE(column_sums)
{
    UNUSED;
    EACH(j, C)
    out[j] = a[0][j] + a[0][C + j] + a[0][2 * C + j] + a[0][3 * C + j];
}
BUILT_AND_NAIVE(column_sums);
