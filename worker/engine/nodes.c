#include "worker/engine/nodes.h"

#include "worker/engine/ops/op.h"
#include "worker/engine/word_list.h"
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBERS ((size_t)1 << 31) /* of one array: 8 GiB */

mn_graph_node mn_node_blank(mn_op op, mn_extent extent)
{
    mn_graph_node node;
    memset(&node, 0, sizeof node);
    node.op = op;
    node.extent = extent;
    node.plus = MN_NONE;
    for (int k = 0; k < MN_MAX_INPUTS; k++)
        node.in[k] = MN_NONE;
    return node;
}

static bool same(const mn_graph_node *a, const mn_graph_node *b)
{
    return a->op == b->op && memcmp(&a->extent, &b->extent, sizeof a->extent) == 0 &&
           memcmp(a->in, b->in, sizeof a->in) == 0 && a->plus == b->plus && a->slot == b->slot &&
           a->offset == b->offset && a->trans_a == b->trans_a && a->trans_b == b->trans_b &&
           a->relu_after == b->relu_after && a->relu == b->relu && a->backwards == b->backwards &&
           a->times == b->times && a->base_factor == b->base_factor && a->factor == b->factor &&
           a->eps == b->eps && memcmp(&a->conv, &b->conv, sizeof a->conv) == 0 &&
           memcmp(&a->image, &b->image, sizeof a->image) == 0 && a->padding == b->padding &&
           memcmp(&a->lrua, &b->lrua, sizeof a->lrua) == 0;
}

/* Of all that tells many nodes of one graph apart, as the factor does thousands of constants. */
static uint32_t hash_of(const mn_graph_node *node)
{
    uint64_t factor;
    memcpy(&factor, &node->factor, sizeof factor);
    uint64_t hash = (uint64_t)node->op * 0x9e3779b97f4a7c15u + node->offset;
    hash = (hash ^ factor ^ factor >> 32) * 0x100000001b3u;
    for (int k = 0; k < MN_MAX_INPUTS; k++)
        hash = (hash ^ (uint32_t)node->in[k]) * 0x100000001b3u;
    hash = (hash ^ (uint32_t)node->plus) * 0x100000001b3u;
    hash = (hash ^ node->extent.n ^ (uint64_t)node->extent.c << 32) * 0x100000001b3u;
    return (uint32_t)(hash >> 32);
}

/* Where node is, or would be: open addressing. */
static uint32_t bucket_of(const mn_graph *graph, const mn_graph_node *node)
{
    uint32_t bucket = hash_of(node) & (graph->n_buckets - 1);
    while (graph->buckets[bucket] != 0 && !same(&graph->nodes[graph->buckets[bucket] - 1], node))
        bucket = (bucket + 1) & (graph->n_buckets - 1);
    return bucket;
}

/* Room for twice as many nodes, and for four buckets each. */
static bool grow(mn_graph *graph)
{
    uint32_t capacity = graph->capacity == 0 ? 64 : 2 * graph->capacity;
    mn_graph_node *nodes = realloc(graph->nodes, capacity * sizeof *nodes);
    if (nodes != NULL)
        graph->nodes = nodes;
    uint32_t *buckets = calloc(4 * (size_t)capacity, sizeof *buckets);
    if (nodes == NULL || buckets == NULL) {
        free(buckets);
        return false;
    }
    free(graph->buckets);
    graph->buckets = buckets;
    graph->n_buckets = 4 * capacity;
    graph->capacity = capacity;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        buckets[bucket_of(graph, &nodes[i])] = i + 1;
    return true;
}

/* Numbers of an array, which options may make larger than any memory; no product overflows. */
static bool is_too_large(mn_extent extent)
{
    size_t count = extent.n;
    return __builtin_mul_overflow(count, extent.h, &count) || count > MAX_NUMBERS ||
           __builtin_mul_overflow(count, extent.w, &count) || count > MAX_NUMBERS ||
           __builtin_mul_overflow(count, extent.c, &count) || count > MAX_NUMBERS;
}

mn_node mn_node_append(mn_graph *graph, mn_graph_node node)
{
    if (graph->failed)
        return 0;
    if (is_too_large(node.extent)) {
        graph->large_op = mn_op_rows[node.op]->name;
        graph->large_part = graph->part;
        graph->failed = true;
        return 0;
    }
    if (graph->n_nodes == graph->capacity && !grow(graph)) {
        graph->failed = true;
        return 0;
    }
    uint32_t *bucket = &graph->buckets[bucket_of(graph, &node)];
    if (*bucket != 0)
        return (mn_node)(*bucket - 1);
    node.part = graph->part;
    graph->nodes[graph->n_nodes] = node;
    *bucket = ++graph->n_nodes;
    return (mn_node)(graph->n_nodes - 1);
}

mn_node mn_node_unary(mn_graph *graph, mn_op op, mn_node a)
{
    return mn_node_binary(graph, op, a, MN_NONE);
}

mn_node mn_node_binary(mn_graph *graph, mn_op op, mn_node a, mn_node b)
{
    mn_graph_node node = mn_node_blank(op, mn_node_extent(graph, a));
    node.in[0] = a;
    node.in[1] = b;
    return mn_node_append(graph, node);
}

mn_extent mn_node_extent(const mn_graph *graph, mn_node node)
{
    return graph->failed ? (mn_extent){1, 1, 1, 1} : graph->nodes[node].extent;
}

mn_node mn_node_gemm(mn_graph *graph, bool trans_a, bool trans_b, mn_node a, mn_node b,
                     mn_node plus, mn_extent extent)
{
    mn_graph_node node = mn_node_blank(MN_OP_GEMM, extent);
    node.in[0] = a;
    node.in[1] = b;
    node.plus = plus;
    node.trans_a = trans_a;
    node.trans_b = trans_b;
    return mn_node_append(graph, node);
}

mn_node mn_node_transpose(mn_graph *graph, mn_node a, uint32_t blocks)
{
    const mn_extent extent = mn_node_extent(graph, a);
    mn_graph_node node = mn_node_blank(
        MN_OP_TRANSPOSE, mn_matrix(blocks * extent.c, mn_node_rows(graph, a) / blocks));
    node.in[0] = a;
    node.times = blocks;
    return mn_node_append(graph, node);
}

mn_node mn_node_on_image(mn_graph *graph, mn_op op, mn_node a, mn_node b, mn_extent image,
                         mn_extent extent)
{
    mn_graph_node node = mn_node_blank(op, extent);
    node.in[0] = a;
    node.in[1] = b;
    node.image = image;
    return mn_node_append(graph, node);
}

mn_extent mn_node_words(size_t groups, size_t words)
{
    const size_t numbers = mn_word_list_numbers(groups, words);
    return mn_vector(numbers < UINT32_MAX ? (uint32_t)numbers : UINT32_MAX); /* that is too large */
}
