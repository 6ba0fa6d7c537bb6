#include "worker/engine/graph.h"

#include "worker/engine/ops/op.h"
#include <stdlib.h>

void mn_graph_init(mn_graph *graph)
{
    *graph = (mn_graph){0};
}

void mn_graph_fini(mn_graph *graph)
{
    free(graph->nodes);
    free(graph->buckets);
    *graph = (mn_graph){0};
}

size_t mn_extent_count(mn_extent extent)
{
    return (size_t)extent.n * extent.h * extent.w * extent.c;
}

mn_extent mn_graph_extent(const mn_graph *graph, mn_node node)
{
    return mn_node_extent(graph, node);
}

void mn_graph_part(mn_graph *graph, const char *part)
{
    graph->part = part;
}

/* Shapes come from options, so that parts which do not suit each other are no fault of ours: the
 * first misfit is remembered, and compiling fails with it. */
static void must(mn_graph *graph, bool fits, const char *op)
{
    if (fits || graph->failed || graph->misfit_op != NULL)
        return;
    graph->misfit_op = op;
    graph->misfit_part = graph->part;
}

mn_status mn_graph_check(const mn_graph *graph, mn_error *err)
{
    if (graph->large_op != NULL)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "%s would make an array of more than 8 GiB by \"%s\": use a smaller network, "
            "or smaller tasks (tasks.bundle, tasks.length, tasks.sentences)",
            graph->large_part == NULL ? "the network" : graph->large_part, graph->large_op);
    if (graph->failed)
        return mn_fail(err, MN_ERR_NOMEM, "graph of the network");
    if (graph->misfit_op != NULL)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "%s gives \"%s\" other shapes than it takes: the parts of this network do not "
            "suit each other; choose another of model.input, memory, reasoning or output",
            graph->misfit_part == NULL ? "the network" : graph->misfit_part, graph->misfit_op);
    if (graph->refused_op == NULL)
        return MN_OK;
    return mn_fail(
        err, MN_ERR_CONFIG,
        "the derivative of \"%s\", which %s uses, is asked for, and there is no rule for "
        "it, as where an inner loop of second order goes through what has first derivatives alone: "
        "use meta.order 1 or meta.kind episodic, or another part",
        graph->refused_op, graph->refused_part == NULL ? "the network" : graph->refused_part);
}

void mn_nodes_mark_needed(const mn_graph *graph, uint32_t n_of, const mn_node *of, uint32_t n_nodes,
                          bool *needed)
{
    for (uint32_t i = 0; i < n_of; i++)
        if (of[i] != MN_NONE)
            needed[of[i]] = true;
    for (uint32_t i = n_nodes; i-- > 0;) {
        const mn_graph_node *node = &graph->nodes[i];
        if (!needed[i])
            continue;
        for (int k = 0; k < MN_MAX_INPUTS; k++)
            if (node->in[k] != MN_NONE)
                needed[node->in[k]] = true;
        if (node->plus != MN_NONE)
            needed[node->plus] = true;
    }
}

double mn_graph_macs(const mn_graph *graph, mn_node of)
{
    double macs = 0.0;
    bool *needed = calloc((size_t)graph->n_nodes + 1, sizeof *needed);
    if (needed == NULL || graph->failed) {
        free(needed);
        return 0.0;
    }
    mn_nodes_mark_needed(graph, 1, &of, graph->n_nodes, needed);
    for (mn_node i = of; i >= 0; i--) {
        const mn_graph_node *node = &graph->nodes[i];
        if (needed[i] && mn_op_rows[node->op]->macs != NULL)
            macs += mn_op_rows[node->op]->macs(graph, node);
    }
    free(needed);
    return macs;
}

mn_node mn_graph_input(mn_graph *graph, mn_slot slot, size_t offset, mn_extent extent)
{
    mn_graph_node node = mn_node_blank(MN_OP_INPUT, extent);
    node.slot = slot;
    node.offset = offset;
    return mn_node_append(graph, node);
}

/* Shapes. */

mn_node mn_graph_zero(mn_graph *graph, mn_extent extent)
{
    return mn_node_append(graph, mn_node_blank(MN_OP_ZERO, extent));
}

mn_node mn_graph_constant(mn_graph *graph, double value, mn_extent extent)
{
    mn_graph_node node = mn_node_blank(MN_OP_CONSTANT, extent);
    node.factor = value;
    return mn_node_append(graph, node);
}

mn_node mn_graph_reshape(mn_graph *graph, mn_node a, mn_extent extent)
{
    must(graph, mn_extent_count(extent) == mn_extent_count(mn_node_extent(graph, a)), "reshape");
    return mn_rule_view(graph, a, 0, extent);
}

mn_node mn_graph_rows(mn_graph *graph, mn_node a, uint32_t first, uint32_t n)
{
    const uint32_t c = mn_node_extent(graph, a).c;
    must(graph, first + n <= mn_node_rows(graph, a), "rows");
    return mn_rule_view(graph, a, (size_t)first * c, mn_matrix(n, c));
}

mn_node mn_graph_place_rows(mn_graph *graph, mn_node a, uint32_t first, uint32_t n_rows,
                            mn_node plus)
{
    const uint32_t c = mn_node_extent(graph, a).c;
    mn_graph_node node = mn_node_blank(MN_OP_PLACE, mn_matrix(n_rows, c));
    must(graph, first + mn_node_rows(graph, a) <= n_rows, "place rows");
    node.in[0] = a;
    node.offset = (size_t)first * c;
    node.plus = plus;
    return mn_node_append(graph, node);
}

mn_node mn_graph_columns(mn_graph *graph, mn_node a, uint32_t first, uint32_t n)
{
    mn_graph_node node = mn_node_blank(MN_OP_COLUMNS, mn_matrix(mn_node_rows(graph, a), n));
    must(graph, first + n <= mn_node_extent(graph, a).c, "columns");
    node.in[0] = a;
    node.offset = first;
    return mn_node_append(graph, node);
}

mn_node mn_graph_place_columns(mn_graph *graph, mn_node a, uint32_t first, uint32_t n_columns,
                               mn_node plus)
{
    mn_graph_node node =
        mn_node_blank(MN_OP_PLACE_COLUMNS, mn_matrix(mn_node_rows(graph, a), n_columns));
    must(graph, first + mn_node_extent(graph, a).c <= n_columns, "place columns");
    node.in[0] = a;
    node.offset = first;
    node.plus = plus;
    return mn_node_append(graph, node);
}

mn_node mn_graph_concat_columns(mn_graph *graph, uint32_t n, const mn_node *parts)
{
    uint32_t c = 0, at = 0;
    mn_node all = MN_NONE;
    for (uint32_t i = 0; i < n; i++)
        c += mn_node_extent(graph, parts[i]).c;
    for (uint32_t i = 0; i < n; i++) {
        all = mn_graph_place_columns(graph, parts[i], at, c, all);
        at += mn_node_extent(graph, parts[i]).c;
    }
    return all;
}

static mn_node repeated(mn_graph *graph, mn_op op, mn_node a, uint32_t times, uint32_t rows)
{
    mn_graph_node node = mn_node_blank(op, mn_matrix(rows, mn_node_extent(graph, a).c));
    node.in[0] = a;
    node.times = times;
    return mn_node_append(graph, node);
}

mn_node mn_graph_repeat_rows(mn_graph *graph, mn_node a, uint32_t times)
{
    return repeated(graph, MN_OP_REPEAT, a, times, mn_node_rows(graph, a) * times);
}

mn_node mn_graph_sum_groups(mn_graph *graph, mn_node a, uint32_t times)
{
    return repeated(graph, MN_OP_SUM_GROUPS, a, times, mn_node_rows(graph, a) / times);
}

mn_node mn_graph_tile_rows(mn_graph *graph, mn_node a, uint32_t times)
{
    return repeated(graph, MN_OP_TILE, a, times, mn_node_rows(graph, a) * times);
}

mn_node mn_graph_swap_axes(mn_graph *graph, mn_node x, uint32_t blocks, uint32_t a, uint32_t b)
{
    const size_t count = mn_extent_count(mn_node_extent(graph, x)), rows = (size_t)blocks * a * b;
    must(graph, rows > 0 && rows <= UINT32_MAX && count % rows == 0, "swap axes");
    if (graph->failed || graph->misfit_op != NULL)
        return x;
    const uint32_t c = (uint32_t)(count / rows);
    mn_graph_node node = mn_node_blank(MN_OP_SWAP, (mn_extent){blocks, b, a, c});
    node.in[0] = x;
    return mn_rule_view(graph, mn_node_append(graph, node), 0, mn_matrix((uint32_t)rows, c));
}

mn_node mn_graph_stop(mn_graph *graph, mn_node a)
{
    return mn_node_unary(graph, MN_OP_STOP, a);
}

/* Products. */

/* Rows and columns: products read their shape off the extents. */
static mn_node as_matrix(mn_graph *graph, mn_node a)
{
    const mn_extent extent = mn_node_extent(graph, a);
    if (extent.h == 1 && extent.w == 1)
        return a;
    return mn_rule_view(graph, a, 0, mn_matrix(extent.n * extent.h * extent.w, extent.c));
}

mn_node mn_graph_linear(mn_graph *graph, mn_node x, mn_node w)
{
    mn_extent from = mn_node_extent(graph, x), weights = mn_node_extent(graph, w);
    must(graph, (size_t)from.h * from.w * from.c == weights.n, "linear");
    return mn_node_gemm(graph, false, false, x, w, MN_NONE, mn_matrix(from.n, weights.c));
}

mn_node mn_graph_product(mn_graph *graph, mn_node a, mn_node b, bool trans_a, bool trans_b)
{
    a = as_matrix(graph, a);
    b = as_matrix(graph, b);
    const mn_extent left = mn_node_extent(graph, a), right = mn_node_extent(graph, b);
    const uint32_t m = trans_a ? left.c : left.n, n = trans_b ? right.n : right.c;
    must(graph, (trans_a ? left.n : left.c) == (trans_b ? right.c : right.n), "product");
    return mn_node_gemm(graph, trans_a, trans_b, a, b, MN_NONE, mn_matrix(m, n));
}

mn_node mn_graph_batched_product(mn_graph *graph, mn_node a, mn_node b, uint32_t batches,
                                 bool trans_a, bool trans_b)
{
    a = as_matrix(graph, a);
    b = as_matrix(graph, b);
    const mn_extent left = mn_node_extent(graph, a), right = mn_node_extent(graph, b);
    const uint32_t rows_a = left.n / batches, rows_b = right.n / batches;
    const uint32_t m = trans_a ? left.c : rows_a, n = trans_b ? rows_b : right.c;
    must(graph, (trans_a ? rows_a : left.c) == (trans_b ? right.c : rows_b), "batched product");
    mn_graph_node node = mn_node_blank(MN_OP_BATCHED_GEMM, mn_matrix(batches * m, n));
    node.in[0] = a;
    node.in[1] = b;
    node.trans_a = trans_a;
    node.trans_b = trans_b;
    node.times = batches;
    return mn_node_append(graph, node);
}

mn_node mn_graph_solve(mn_graph *graph, mn_node a, double ridge, mn_node b)
{
    const mn_extent extent = mn_node_extent(graph, a);
    must(graph, mn_node_rows(graph, a) == extent.c && mn_node_rows(graph, b) == extent.c, "solve");
    mn_graph_node factor = mn_node_blank(MN_OP_FACTOR, mn_matrix(extent.c, extent.c));
    factor.in[0] = a;
    factor.factor = ridge;
    mn_graph_node node =
        mn_node_blank(MN_OP_SOLVE, mn_matrix(extent.c, mn_node_extent(graph, b).c));
    node.in[0] = a;
    node.in[1] = b;
    node.in[2] = mn_node_append(graph, factor);
    node.factor = ridge;
    return mn_node_append(graph, node);
}

mn_node mn_graph_bias(mn_graph *graph, mn_node x, mn_node b)
{
    return mn_node_binary(graph, MN_OP_BIAS, x, b);
}

mn_node mn_graph_conv(mn_graph *graph, mn_node x, mn_node w, uint32_t stride)
{
    mn_extent from = mn_node_extent(graph, x), weights = mn_node_extent(graph, w);
    must(graph, weights.n == 9 * from.c && (stride == 1 || stride == 2), "convolution");
    mn_conv conv = {.n = from.n,
                    .height = from.h,
                    .width = from.w,
                    .c_in = from.c,
                    .c_out = weights.c,
                    .stride = stride,
                    .out_height = (from.h - 1) / stride + 1,
                    .out_width = (from.w - 1) / stride + 1};
    mn_graph_node node =
        mn_node_blank(MN_OP_CONV, (mn_extent){from.n, conv.out_height, conv.out_width, weights.c});
    node.in[0] = x;
    node.in[1] = w;
    node.conv = conv;
    return mn_node_append(graph, node);
}

mn_node mn_graph_batch_stats(mn_graph *graph, mn_node x, double eps)
{
    mn_graph_node stats = mn_node_blank(MN_OP_BN_STATS, mn_matrix(2, mn_node_extent(graph, x).c));
    stats.in[0] = x;
    stats.eps = eps;
    return mn_node_append(graph, stats);
}

mn_node mn_graph_batch_norm(mn_graph *graph, mn_node x, mn_node gamma, mn_node beta, double eps,
                            bool relu)
{
    mn_node stats = mn_graph_batch_stats(graph, x, eps);
    mn_graph_node node = mn_node_blank(MN_OP_BN, mn_node_extent(graph, x));
    node.in[0] = x;
    node.in[1] = stats;
    node.in[2] = gamma;
    node.in[3] = beta;
    node.relu = relu;
    return mn_node_append(graph, node);
}

/* Element by element. */

mn_node mn_graph_add(mn_graph *graph, mn_node a, mn_node b)
{
    return mn_node_binary(graph, MN_OP_ADD, a, b);
}

mn_node mn_graph_subtract(mn_graph *graph, mn_node a, mn_node b)
{
    return mn_graph_scale_add(graph, -1, b, a);
}

mn_node mn_graph_multiply(mn_graph *graph, mn_node a, mn_node b)
{
    return mn_node_binary(graph, MN_OP_MULTIPLY, a, b);
}

mn_node mn_graph_scale(mn_graph *graph, double factor, mn_node a)
{
    return mn_rule_scale(graph, factor, a);
}

mn_node mn_graph_scale_add(mn_graph *graph, double factor, mn_node a, mn_node b)
{
    if (a == MN_NONE)
        return b;
    mn_graph_node node = mn_node_blank(MN_OP_SCALE_ADD, mn_node_extent(graph, b));
    node.in[0] = a;
    node.in[1] = b;
    node.factor = factor;
    return mn_node_append(graph, node);
}

mn_node mn_graph_relu(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_RELU, x);
}

mn_node mn_graph_tanh(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_TANH, x);
}

mn_node mn_graph_sigmoid(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_SIGMOID, x);
}

mn_node mn_graph_exp(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_EXP, x);
}

mn_node mn_graph_log(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_LOG, x);
}

mn_node mn_graph_softplus(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_SOFTPLUS, x);
}

mn_node mn_graph_reciprocal(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_RECIPROCAL, x);
}

mn_node mn_graph_root(mn_graph *graph, mn_node x)
{
    return mn_node_unary(graph, MN_OP_ROOT, x);
}

/* Rows. */

mn_node mn_graph_row_dot(mn_graph *graph, mn_node a, mn_node b)
{
    mn_graph_node node = mn_node_blank(MN_OP_ROW_DOT, mn_matrix(mn_node_rows(graph, a), 1));
    node.in[0] = a;
    node.in[1] = b;
    return mn_node_append(graph, node);
}

mn_node mn_graph_row_scale(mn_graph *graph, mn_node s, mn_node a)
{
    mn_graph_node node = mn_node_blank(MN_OP_ROW_SCALE, mn_node_extent(graph, a));
    must(graph, mn_node_rows(graph, s) == mn_node_rows(graph, a), "scaled rows");
    node.in[0] = s;
    node.in[1] = a;
    return mn_node_append(graph, node);
}

mn_node mn_graph_column_scale(mn_graph *graph, mn_node x, mn_node v)
{
    return mn_node_binary(graph, MN_OP_COLUMN_SCALE, x, v);
}

mn_node mn_graph_column_sums(mn_graph *graph, mn_node x)
{
    return mn_rule_column_sums(graph, x, mn_vector(mn_node_extent(graph, x).c));
}

mn_node mn_graph_softmax(mn_graph *graph, mn_node z, mn_node mask)
{
    return mn_node_binary(graph, MN_OP_SOFTMAX, z, mask);
}

/* Images. */

mn_node mn_graph_max_pool(mn_graph *graph, mn_node x)
{
    mn_extent image = mn_node_extent(graph, x);
    mn_extent half = {image.n, image.h / 2, image.w / 2, image.c};
    mn_node index = mn_node_on_image(graph, MN_OP_POOL_INDEX, x, MN_NONE, image, half);
    return mn_node_on_image(graph, MN_OP_POOL_GATHER, x, index, image, half);
}

mn_node mn_graph_pixel_mean(mn_graph *graph, mn_node x)
{
    mn_extent image = mn_node_extent(graph, x);
    return mn_node_on_image(graph, MN_OP_PIXEL_MEAN, x, MN_NONE, image,
                            mn_matrix(image.n, image.c));
}

/* Memory. */

mn_node mn_graph_embed(mn_graph *graph, mn_node ids, mn_node table, mn_node weights, long padding)
{
    return mn_graph_slots_embed(graph, ids, table, weights, padding, MN_NONE, MN_NONE);
}

mn_node mn_graph_slots_embed(mn_graph *graph, mn_node ids, mn_node table, mn_node weights,
                             long padding, mn_node filled, mn_node plus)
{
    const mn_extent rows = mn_node_extent(graph, table);
    const uint32_t n = mn_node_rows(graph, ids);
    mn_graph_node node = mn_node_blank(MN_OP_EMBED, mn_matrix(n, rows.c));
    mn_graph_node list =
        mn_node_blank(MN_OP_WORDS, mn_node_words(n, mn_extent_count(mn_node_extent(graph, ids))));
    must(graph,
         weights == MN_NONE || mn_extent_count(mn_node_extent(graph, weights)) ==
                                   (size_t)mn_node_extent(graph, ids).c * rows.c,
         "embedding");
    list.in[0] = ids;
    list.in[1] = filled;
    list.padding = padding;
    list.times = rows.n;
    node.in[0] = mn_node_append(graph, list);
    node.in[1] = table;
    node.in[2] = weights;
    node.plus = plus;
    return mn_node_append(graph, node);
}

static mn_node slots(mn_graph *graph, mn_op op, const mn_node in[3], mn_node plus, mn_extent extent)
{
    mn_graph_node node = mn_node_blank(op, extent);
    for (int k = 0; k < 3; k++)
        node.in[k] = in[k];
    node.plus = plus;
    return mn_node_append(graph, node);
}

mn_node mn_graph_slots_match(mn_graph *graph, mn_node o, mn_node memory, mn_node filled)
{
    const mn_node in[] = {o, memory, filled};
    const uint32_t n = mn_node_rows(graph, filled), all = mn_node_rows(graph, memory);
    must(graph,
         mn_node_rows(graph, o) == n && all % n == 0 &&
             mn_node_extent(graph, o).c == mn_node_extent(graph, memory).c,
         "slots match");
    return slots(graph, MN_OP_SLOTS_MATCH, in, MN_NONE, mn_matrix(n, all / n));
}

mn_node mn_graph_slots_read(mn_graph *graph, mn_node p, mn_node memory, mn_node filled)
{
    const mn_node in[] = {p, memory, filled};
    const uint32_t n = mn_node_rows(graph, filled);
    must(graph,
         mn_node_rows(graph, p) == n &&
             (size_t)n * mn_node_extent(graph, p).c == mn_node_rows(graph, memory),
         "slots read");
    return slots(graph, MN_OP_SLOTS_READ, in, MN_NONE,
                 mn_matrix(n, mn_node_extent(graph, memory).c));
}

mn_node mn_graph_slots_write(mn_graph *graph, mn_node p, mn_node o, mn_node filled, mn_node plus)
{
    const mn_node in[] = {p, o, filled};
    const uint32_t n = mn_node_rows(graph, filled);
    must(graph, mn_node_rows(graph, p) == n && mn_node_rows(graph, o) == n, "slots write");
    return slots(graph, MN_OP_SLOTS_WRITE, in, plus,
                 mn_matrix(n * mn_node_extent(graph, p).c, mn_node_extent(graph, o).c));
}

mn_node mn_graph_least_used(mn_graph *graph, mn_node usage, uint32_t k)
{
    const mn_extent extent = mn_node_extent(graph, usage);
    mn_graph_node node =
        mn_node_blank(MN_OP_LEAST_USED, mn_matrix(mn_node_rows(graph, usage) * k, extent.c));
    node.in[0] = usage;
    node.times = k;
    return mn_node_append(graph, node);
}

/* Losses. */

static mn_node loss(mn_graph *graph, mn_op op, mn_node y, mn_node target, mn_node weights)
{
    mn_graph_node node = mn_node_blank(op, mn_vector(1));
    const uint32_t rows = mn_node_rows(graph, y);
    must(graph,
         rows == mn_node_rows(graph, target) &&
             mn_node_extent(graph, y).c == mn_node_extent(graph, target).c &&
             (weights == MN_NONE || mn_extent_count(mn_node_extent(graph, weights)) == rows),
         mn_op_rows[op]->name);
    node.in[0] = y;
    node.in[1] = target;
    node.in[2] = weights;
    return mn_node_append(graph, node);
}

mn_node mn_graph_cross_entropy(mn_graph *graph, mn_node logits, mn_node target)
{
    return loss(graph, MN_OP_CROSS_ENTROPY, logits, target, MN_NONE);
}

mn_node mn_graph_squared_error(mn_graph *graph, mn_node y, mn_node target)
{
    return loss(graph, MN_OP_SQUARED_ERROR, y, target, MN_NONE);
}

mn_node mn_graph_weighted_cross_entropy(mn_graph *graph, mn_node logits, mn_node target,
                                        mn_node weights)
{
    return loss(graph, MN_OP_CROSS_ENTROPY, logits, target, weights);
}

mn_node mn_graph_choice_loss(mn_graph *graph, mn_node logits, mn_node target, mn_node weights)
{
    mn_graph_node node = mn_node_blank(MN_OP_CROSS_ENTROPY, mn_vector(1));
    node.in[0] = logits;
    node.in[1] = target;
    node.in[2] = weights;
    node.in[3] = mn_node_unary(graph, MN_OP_SOFTMAX, logits);
    return mn_node_append(graph, node);
}

mn_node mn_graph_mean(mn_graph *graph, mn_node a)
{
    mn_graph_node node = mn_node_blank(MN_OP_MEAN, mn_vector(1));
    node.in[0] = a;
    return mn_node_append(graph, node);
}
