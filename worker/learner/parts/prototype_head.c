#include "worker/learner/parts/prototype_head.h"

void mn_prototype_head(mn_graph *graph, mn_node u, mn_node y, mn_node absent, mn_node *weights,
                       mn_node *bias)
{
    const mn_extent image = mn_graph_extent(graph, u);
    mn_node rows =
        mn_graph_reshape(graph, u, (mn_extent){image.n, 1, 1, image.h * image.w * image.c});
    mn_node counts = mn_graph_column_sums(graph, y);
    if (absent != MN_NONE)
        counts = mn_graph_add(graph, counts, absent);
    mn_node shares = mn_graph_column_scale(graph, y, mn_graph_reciprocal(graph, counts));
    mn_node means = mn_graph_product(graph, rows, shares, true, false); /* [d, way] */
    *weights = mn_graph_scale(graph, 2, means);
    *bias = mn_graph_scale(graph, -1,
                           mn_graph_column_sums(graph, mn_graph_multiply(graph, means, means)));
}
