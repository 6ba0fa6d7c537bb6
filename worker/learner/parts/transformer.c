/* Attention over the rows of a table: prior-fitted networks (Müller et al. 2022, arXiv:2112.10510;
 * TabPFN, Hollmann et al. 2023, arXiv:2207.01848).
 *   transformer   The support set's items, with their y, are tokens that attend to one another, layer
 *                 by layer; a question's items pass through the same layers and attend to those of the
 *                 support set, so each is answered by itself. What it gives is the last token.
 *   tokens row    an item is one token: X u + Y y; of a question X u
 *   tokens cell   every number of u is a token, X u_f, and y one more, Y y; of a question a learned
 *                 vector stands there (Hollmann et al. 2025, doi:10.1038/s41586-024-08328-6). What is
 *                 learned knows of no order of the features, nor how many there are
 *   layer         t += A(norm t), tokens of an item among themselves; only cell
 *                 t += A(norm t), tokens of a feature in all items of the support set
 *                 t += W2 act(W1 norm t + b1) + b2
 *   A             heads: O concat_h softmax(Q_h K_h' / sqrt(width of a head)) V_h + o
 *   norm          g .* t / sqrt(mean of t^2 + 1e-5) (Zhang and Sennrich 2019, arXiv:1910.07467), before
 *                 each step rather than layer norm after it, and once more at the end
 * Tensors tokens.*, layer<k>.cells.*, layer<k>.rows.*, layer<k>.mlp.*, norm.weight. */
#include "worker/learner/parts/part.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define NORM_EPS 1e-5
#define MOST_SCORES (1u << 28) /* of one attention: 1 GiB */

/* memory[MN_SUPPORT][l]: the tokens that layer l of a question attends to, normed */

/* Tokens of a set of items. Those of feature f, or of y (the last), stand together: a column. */
struct tokens {
    mn_node t; /* [columns * items, d] */
    uint32_t items, columns;
};

static const char *layer_name(char name[64], uint32_t layer, const char *what)
{
    (void)snprintf(name, 64, "layer%u.%s", (unsigned)layer + 1, what);
    return name;
}

static mn_node norm(mn_builder *builder, const char *prefix, mn_node t)
{
    mn_graph *graph = builder->graph;
    const mn_extent extent = mn_builder_extent(builder, t);
    char name[80];
    (void)snprintf(name, sizeof name, "%s.weight", prefix);
    mn_node square = mn_graph_row_dot(graph, t, t);
    mn_node eps = mn_graph_constant(graph, NORM_EPS, mn_builder_extent(builder, square));
    mn_node root = mn_graph_root(graph, mn_graph_scale_add(graph, 1.0 / extent.c, square, eps));
    return mn_graph_column_scale(graph,
                                 mn_graph_row_scale(graph, mn_graph_reciprocal(graph, root), t),
                                 mn_builder_vector(builder, name, extent.c, MN_START_ONE));
}

/* W t of blocks of n tokens, as blocks of n rows for each head. */
static mn_node heads(mn_builder *builder, const char *prefix, const char *what, uint32_t blocks,
                     mn_node t)
{
    mn_graph *graph = builder->graph;
    const mn_extent extent = mn_builder_extent(builder, t);
    char name[96];
    (void)snprintf(name, sizeof name, "%s.%s.weight", prefix, what);
    mn_node all = mn_graph_linear(graph, t, mn_builder_weights(builder, name, extent, extent.c));
    return mn_graph_swap_axes(graph, all, blocks, extent.n / blocks,
                              builder->experiment->model.heads);
}

/* A of blocks of tokens that ask, to as many blocks of those asked. */
static mn_node attend(mn_builder *builder, const char *prefix, uint32_t blocks, mn_node asking,
                      mn_node asked)
{
    mn_graph *graph = builder->graph;
    const mn_extent extent = mn_builder_extent(builder, asking);
    const uint32_t n_heads = builder->experiment->model.heads, all = blocks * n_heads;
    const uint32_t n_asked = mn_builder_extent(builder, asked).n / blocks; /* of a block */
    const double scores = (double)n_heads * extent.n * n_asked;
    char name[80];
    if (extent.c % n_heads != 0)
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.heads %" PRIu32 " do not divide the %" PRIu32
                              " numbers of a token (model.token_size)",
                              n_heads, extent.c);
    if (scores > MOST_SCORES)
        (void)mn_builder_fail(
            builder, MN_ERR_CONFIG,
            "model.memory transformer would compare %.3g pairs of tokens at once, "
            "at most %u: use fewer items, or model.tokens row",
            scores, MOST_SCORES);
    if (builder->status != MN_OK)
        return asking;
    mn_node q = heads(builder, prefix, "query", blocks, asking);
    mn_node k = heads(builder, prefix, "key", blocks, asked);
    mn_node v = heads(builder, prefix, "value", blocks, asked);
    q = mn_graph_scale(graph, 1.0 / sqrt((double)extent.c / n_heads), q);
    mn_node p =
        mn_graph_softmax(graph, mn_graph_batched_product(graph, q, k, all, false, true), MN_NONE);
    mn_node o = mn_graph_batched_product(graph, p, v, all, false, false);
    o = mn_graph_swap_axes(graph, o, blocks, n_heads, extent.n / blocks);
    (void)snprintf(name, sizeof name, "%s.out", prefix);
    return mn_builder_linear(
        builder, name, mn_graph_reshape(graph, o, (mn_extent){extent.n, 1, 1, extent.c}), extent.c);
}

/* t + A(norm t) among the tokens of an item. */
static mn_node attend_cells(mn_builder *builder, uint32_t layer, const struct tokens *tokens)
{
    mn_graph *graph = builder->graph;
    char name[64], norm_name[64];
    mn_node by_item = mn_graph_swap_axes(
        graph, norm(builder, layer_name(norm_name, layer, "cells.norm"), tokens->t), 1,
        tokens->columns, tokens->items);
    const mn_extent extent = mn_builder_extent(builder, tokens->t);
    by_item = mn_graph_reshape(graph, by_item, extent);
    mn_node a = attend(builder, layer_name(name, layer, "cells"), tokens->items, by_item, by_item);
    a = mn_graph_swap_axes(graph, a, 1, tokens->items, tokens->columns);
    return mn_graph_add(graph, tokens->t, mn_graph_reshape(graph, a, extent));
}

static mn_node feed_forward(mn_builder *builder, uint32_t layer, mn_node t)
{
    char name[64];
    mn_node h = norm(builder, layer_name(name, layer, "mlp.norm"), t);
    h = mn_builder_linear(builder, layer_name(name, layer, "mlp.fc1"), h,
                          builder->experiment->model.mlp_size);
    h = mn_builder_activation(builder, h, builder->experiment->model.activation);
    h = mn_builder_linear(builder, layer_name(name, layer, "mlp.fc2"), h,
                          mn_builder_extent(builder, t).c);
    return mn_graph_add(builder->graph, t, h);
}

/* The last column alone: an item as a whole, or its y. */
static mn_node last_column(mn_builder *builder, mn_node t, uint32_t columns)
{
    const uint32_t items = mn_builder_extent(builder, t).n / columns;
    return columns == 1 ? t : mn_graph_rows(builder->graph, t, (columns - 1) * items, items);
}

/* One layer. The support set's tokens attend to themselves, and are kept for questions, of which only
 * the last token is wanted in the end. */
static void pass(mn_builder *builder, uint32_t layer, bool is_support, struct tokens *tokens)
{
    char name[64];
    mn_node *kept = &builder->memory[MN_SUPPORT][layer];
    if (builder->experiment->model.tokens == MN_TOKENS_CELL)
        tokens->t = attend_cells(builder, layer, tokens);
    mn_node asked = *kept;
    if (!is_support && layer + 1 == builder->experiment->model.layers) {
        asked = last_column(builder, asked, tokens->columns);
        tokens->t = last_column(builder, tokens->t, tokens->columns);
        tokens->columns = 1;
    }
    mn_node asking = norm(builder, layer_name(name, layer, "rows.norm"), tokens->t);
    if (is_support)
        *kept = asked = asking;
    mn_node a = attend(builder, layer_name(name, layer, "rows"), tokens->columns, asking, asked);
    tokens->t = feed_forward(builder, layer, mn_graph_add(builder->graph, tokens->t, a));
}

static mn_node one_token(mn_builder *builder, mn_node u, mn_node y)
{
    const uint32_t d = builder->experiment->model.token_size;
    mn_node x = mn_builder_linear(builder, "tokens.x", u, d);
    if (y == MN_NONE)
        return x;
    mn_node weights =
        mn_builder_weights(builder, "tokens.y.weight", mn_builder_extent(builder, y), d);
    return mn_graph_add(builder->graph, x, mn_graph_linear(builder->graph, y, weights));
}

static mn_node cells(mn_builder *builder, mn_node u, mn_node y)
{
    mn_graph *graph = builder->graph;
    const uint32_t d = builder->experiment->model.token_size;
    const mn_extent extent = mn_builder_extent(builder, u);
    const uint32_t n = extent.n, all = n * (extent.c + 1);
    mn_node unknown = mn_builder_table(builder, "tokens.unknown", 1, d, MN_START_NORMAL, 1.0);
    mn_node x =
        mn_builder_linear(builder, "tokens.x", mn_graph_swap_axes(graph, u, 1, n, extent.c), d);
    mn_node last = y == MN_NONE ? mn_graph_repeat_rows(graph, unknown, n)
                                : mn_builder_linear(builder, "tokens.y", y, d);
    return mn_graph_place_rows(graph, last, n * extent.c, all,
                               mn_graph_place_rows(graph, x, 0, all, MN_NONE));
}

/* u and, of the support set, y: [items, c]. */
static struct tokens tokens_of(mn_builder *builder, mn_node u, mn_node y)
{
    const mn_extent extent = mn_builder_extent(builder, u);
    const bool by_cell = builder->experiment->model.tokens == MN_TOKENS_CELL;
    struct tokens tokens = {.t = u, .items = extent.n, .columns = by_cell ? extent.c + 1 : 1};
    if ((double)tokens.columns * tokens.items * builder->experiment->model.token_size > MOST_SCORES)
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.memory transformer would make %" PRIu32
                              " tokens of an item's numbers, too many for %" PRIu32
                              " items: use model.tokens row, or a smaller model.token_size",
                              tokens.columns, extent.n);
    if (builder->status == MN_OK)
        tokens.t = by_cell ? cells(builder, u, y) : one_token(builder, u, y);
    return tokens;
}

static mn_node flat(mn_builder *builder, mn_node u)
{
    const mn_extent extent = mn_builder_extent(builder, u);
    return mn_graph_reshape(builder->graph, u,
                            (mn_extent){extent.n, 1, 1, extent.h * extent.w * extent.c});
}

static void write(mn_builder *builder, mn_role role)
{
    if (role != MN_SUPPORT || builder->memory[MN_SUPPORT][0] != MN_NONE)
        return;
    mn_node y = mn_builder_need(builder, "model.memory transformer", MN_SUPPORT, "y");
    if (builder->status != MN_OK)
        return;
    struct tokens tokens =
        tokens_of(builder, flat(builder, builder->flow.u[MN_SUPPORT]), flat(builder, y));
    for (uint32_t l = 0; l < builder->experiment->model.layers && builder->status == MN_OK; l++)
        pass(builder, l, true, &tokens);
    if (builder->status == MN_OK)
        (void)norm(builder, "norm", tokens.t); /* declares it among the memory's own */
}

static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    (void)role;
    (void)hop;
    struct tokens tokens = tokens_of(builder, u, MN_NONE);
    for (uint32_t l = 0; l < builder->experiment->model.layers && builder->status == MN_OK; l++)
        pass(builder, l, false, &tokens);
    return builder->status == MN_OK ? norm(builder, "norm", tokens.t) : u;
}

const mn_part mn_transformer_part = {
    .name = "memory transformer", .write = write, .written_by_support = true, .read = read};
