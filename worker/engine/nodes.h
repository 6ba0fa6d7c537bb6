/* nodes.h: how the nodes of a graph are made, for graph.c and derivative.c alone. */
#pragma once

#include "worker/engine/graph.h"

/* A node without inputs, plus and attributes. */
mn_graph_node mn_node_blank(mn_op op, mn_extent extent);

/* The number of an equal node, or a new one's; 0 once the graph has failed. */
mn_node mn_node_append(mn_graph *graph, mn_graph_node node);

/* Nodes with the extent of their first input. */
mn_node mn_node_unary(mn_graph *graph, mn_op op, mn_node a);
mn_node mn_node_binary(mn_graph *graph, mn_op op, mn_node a, mn_node b);

mn_node mn_node_gemm(mn_graph *graph, bool trans_a, bool trans_b, mn_node a, mn_node b,
                     mn_node plus, mn_extent extent);
/* `blocks` matrices, one below the other, each turned. */
mn_node mn_node_transpose(mn_graph *graph, mn_node a, uint32_t blocks);
/* POOL_* and PIXEL_*: `image` is the larger side. */
mn_node mn_node_on_image(mn_graph *graph, mn_op op, mn_node a, mn_node b, mn_extent image,
                         mn_extent extent);

/* Room for a list of at most so many groups and words. */
mn_extent mn_node_words(size_t groups, size_t words);

/* Mark what `of` is made of, itself included, among the first n_nodes; needed[n_nodes], false at
 * first. MN_NONE in `of` is passed over. */
void mn_nodes_mark_needed(const mn_graph *graph, uint32_t n_of, const mn_node *of, uint32_t n_nodes,
                          bool *needed);

/* Something harmless once the graph has failed. */
mn_extent mn_node_extent(const mn_graph *graph, mn_node node);

/* Rows of a matrix, or of an image's pixels. */
static inline uint32_t mn_node_rows(const mn_graph *graph, mn_node node)
{
    const mn_extent extent = mn_node_extent(graph, node);
    return extent.n * extent.h * extent.w;
}

static inline mn_extent mn_vector(uint32_t c)
{
    return (mn_extent){1, 1, 1, c};
}

static inline mn_extent mn_matrix(uint32_t n, uint32_t c)
{
    return (mn_extent){n, 1, 1, c};
}
