/* Memories of classes that are described by attributes, s [way, a], and of which some have no images
 * (zero-shot learning). Rows of s are brought to length 1 first.
 *   descriptions  the vector of a class is made of its attributes: layers of model.describer with
 *                 model.activation, then a linear one to as many numbers as features have, and the
 *                 result brought to length 1 (prototypical networks, Snell et al. 2017, section 2.7).
 *                 Then distance and compatibility differ by a factor alone
 *   ridge         ESZSL (Romera-Paredes and Torr 2015, eq. 5), in closed form from the support set:
 *                     V = (X' X / n + gamma 1)^-1 (X' Y S / n) (S' S + lambda 1)^-1,
 *                 with features X [n, d], standardised by their own means and deviations, labels
 *                 Y [n, way] of 0 and 1 (of -1 and 1 would double V, as columns of X have mean 0), and S
 *                 the attributes of seen classes. The vector of class k is V s_k; what standardises the
 *                 query's features is put into it, and into a bias. It has no tensors of its own, so
 *                 that features trained on anything will do; and it may be trained through */
#include "worker/learner/parts/part.h"

#include "worker/learner/parts/class_vectors.h"
#include <stdio.h>

#define TINY 1e-5 /* added to variances */

static mn_node attributes(mn_builder *builder, const char *part)
{
    return mn_unit_rows(builder, mn_builder_flat(builder, mn_builder_need(builder, part, MN_SHARED,
                                                                          "description")));
}

static void write_descriptions(mn_builder *builder, mn_role role)
{
    const mn_experiment *e = builder->experiment;
    mn_node *memory = builder->memory[MN_SUPPORT];
    if (memory[MN_CLASS_VECTORS] != MN_NONE)
        return;
    const uint32_t width =
        mn_builder_extent(builder, mn_builder_flat(builder, builder->flow.u[role])).c;
    mn_node s = attributes(builder, "model.memory descriptions");
    for (uint32_t layer = 1; layer <= e->model.describer.n; layer++) {
        char name[32];
        (void)snprintf(name, sizeof name, "describer.fc%u", layer);
        s = mn_builder_activation(
            builder, mn_builder_linear(builder, name, s, e->model.describer.at[layer - 1]),
            e->model.activation);
    }
    memory[MN_CLASS_VECTORS] =
        mn_unit_rows(builder, mn_builder_linear(builder, "describer.out", s, width));
}

const mn_part mn_descriptions_part = {.name = "memory descriptions", .write = write_descriptions};

static void write_ridge(mn_builder *builder, mn_role role)
{
    static const char part[] = "model.memory ridge";
    const mn_experiment *e = builder->experiment;
    mn_graph *graph = builder->graph;
    mn_node *memory = builder->memory[MN_SUPPORT];
    if (role != MN_SUPPORT || memory[MN_CLASS_VECTORS] != MN_NONE)
        return;
    mn_node s = attributes(builder, part);
    mn_node seen = mn_builder_need(builder, part, MN_SHARED, "seen");
    mn_node y = mn_builder_need(builder, part, MN_SUPPORT, "y");
    mn_node u = mn_builder_flat(builder, builder->flow.u[MN_SUPPORT]);
    if (builder->status != MN_OK)
        return;
    const double share = 1.0 / mn_builder_extent(builder, u).n;
    const mn_extent row = {1, 1, 1, mn_builder_extent(builder, u).c};
    mn_node mean = mn_graph_scale(graph, share, mn_graph_column_sums(graph, u));
    mn_node x = mn_graph_bias(graph, u, mn_graph_scale(graph, -1, mean));
    mn_node variance =
        mn_graph_scale(graph, share, mn_graph_column_sums(graph, mn_graph_multiply(graph, x, x)));
    mn_node rate = mn_graph_reciprocal(
        graph,
        mn_graph_root(graph, mn_graph_add(graph, variance, mn_graph_constant(graph, TINY, row))));
    x = mn_graph_column_scale(graph, x, rate);

    mn_node of_seen = mn_graph_row_scale(graph, seen, s);
    mn_node targets = mn_graph_product(graph, y, of_seen, false, false); /* [n, a] */
    mn_node squares = mn_graph_scale(graph, share, mn_graph_product(graph, x, x, true, false));
    mn_node products =
        mn_graph_scale(graph, share, mn_graph_product(graph, x, targets, true, false));
    mn_node left = mn_graph_solve(graph, squares, e->model.ridge_gamma, products); /* [d, a] */
    /* V s = left (S' S + lambda 1)^-1 s: the small system is solved for the classes' own s. */
    const mn_extent size = mn_builder_extent(builder, s);
    mn_node columns =
        mn_graph_swap_axes(graph, mn_graph_reshape(graph, s, (mn_extent){size.n * size.c, 1, 1, 1}),
                           1, size.n, size.c);
    mn_node codes = mn_graph_solve(
        graph, mn_graph_product(graph, of_seen, of_seen, true, false), e->model.ridge_lambda,
        mn_graph_reshape(graph, columns, (mn_extent){size.c, 1, 1, size.n}));
    mn_node vectors = mn_graph_column_scale(graph, mn_graph_product(graph, codes, left, true, true),
                                            rate); /* [way, d] */
    memory[MN_CLASS_VECTORS] = vectors;
    memory[MN_CLASS_BIASES] =
        mn_graph_scale(graph, -1, mn_graph_product(graph, mean, vectors, false, true));
}

const mn_part mn_ridge_part = {
    .name = "memory ridge", .write = write_ridge, .written_by_support = true};
