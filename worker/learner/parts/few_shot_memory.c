/* Memories that the support set writes and the query set reads.
 *   class-means  the mean of each class's features (prototypes; Snell et al. 2017, eq. 1), and with
 *                output distance the logits -|u - mean|^2, of which the |u|^2 that all classes share
 *                is left out
 *   support      every support item: its features the key, its label the value; with output match
 *                (matching networks, Vinyals et al. 2016, eq. 1 and 2) the answer is the labels'
 *                mean by softmax(s cos(u, key)), s a learned temperature, tensor match.log_scale. With
 *                model.full_context key and u are embeddings of full_context.h
 * What compares with class means compares with other vectors of classes as well (class_vectors.h):
 *   output compatibility   the products of u with them, times model.scale */
#include "worker/learner/parts/part.h"

#include "worker/learner/parts/class_vectors.h"
#include "worker/learner/parts/full_context.h"
#include <string.h>

enum { MEANS = MN_CLASS_VECTORS, KEYS = 0, VALUES = 1, CONTEXT = 2 };

#define TINY 1e-12 /* keeps roots and logarithms finite */
#define FIRST_SCALE 10.0

/* What is compared must be as wide as what it is compared with. */
static bool as_wide(mn_builder *builder, const char *part, mn_node a, mn_node features)
{
    const uint32_t c = mn_builder_extent(builder, a).c, d = mn_builder_extent(builder, features).c;
    if (builder->status == MN_OK && c != d)
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "%s compares with features of %u numbers, but model.reasoning gives "
                              "%u: use model.reasoning none, or as many units",
                              part, d, c);
    return builder->status == MN_OK;
}

static void write_means(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    if (role != MN_SUPPORT || builder->memory[MN_SUPPORT][MEANS] != MN_NONE)
        return;
    mn_node y = mn_builder_need(builder, "model.memory class-means", MN_SUPPORT, "y");
    mn_node u = mn_builder_flat(builder, builder->flow.u[MN_SUPPORT]);
    mn_node counts = mn_graph_column_sums(graph, y), absent = mn_builder_absent_classes(builder);
    if (absent != MN_NONE) /* the mean of no item is 0 */
        counts = mn_graph_add(graph, counts, absent);
    mn_node shares = mn_graph_reshape(graph, mn_graph_reciprocal(graph, counts),
                                      (mn_extent){mn_builder_extent(builder, y).c, 1, 1, 1});
    builder->memory[MN_SUPPORT][MEANS] =
        mn_graph_row_scale(graph, shares, mn_graph_product(graph, y, u, true, false));
}

/* As attention: the means by softmax of their products with the question. */
static mn_node read_means(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    mn_graph *graph = builder->graph;
    mn_node means = builder->memory[MN_SUPPORT][MEANS];
    (void)role;
    (void)hop;
    mn_node scores = mn_graph_product(graph, mn_builder_flat(builder, u), means, false, true);
    mn_node p = mn_graph_softmax(
        graph, mn_builder_leave_out(builder, scores, mn_builder_absent_classes(builder)), MN_NONE);
    return mn_graph_product(graph, p, means, false, false);
}

const mn_part mn_class_means_part = {.name = "memory class-means",
                                     .write = write_means,
                                     .written_by_support = true,
                                     .takes_padding = true,
                                     .read = read_means};

/* The means of classes, or what stands for them, if they are as wide as o; else MN_NONE. */
static mn_node class_vectors(mn_builder *builder, const char *part, mn_node o)
{
    const mn_part *memory = mn_memory_of(builder->experiment);
    mn_node vectors = builder->memory[MN_SUPPORT][MN_CLASS_VECTORS];
    if ((memory != &mn_class_means_part && memory != &mn_descriptions_part &&
         memory != &mn_ridge_part) ||
        vectors == MN_NONE) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "%s compares with class means, or with vectors of classes that are "
                              "described: it needs model.memory class-means or descriptions%s",
                              part, strstr(part, "distance") == NULL ? " or ridge" : "");
        return MN_NONE;
    }
    return as_wide(builder, part, o, vectors) ? vectors : MN_NONE;
}

static mn_node distance(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    mn_node o = mn_builder_flat(builder, builder->flow.o[role]);
    mn_node means = class_vectors(builder, "model.output distance", o);
    if (means == MN_NONE)
        return builder->flow.o[role];
    if (builder->memory[MN_SUPPORT][MN_CLASS_BIASES] != MN_NONE) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.output distance measures to class vectors, but those of "
                              "model.memory ridge are for products: use model.output "
                              "compatibility");
        return builder->flow.o[role];
    }
    mn_node products = mn_graph_scale(graph, 2, mn_graph_product(graph, o, means, false, true));
    const uint32_t way = mn_builder_extent(builder, means).n;
    mn_node squares =
        mn_graph_reshape(graph, mn_graph_row_dot(graph, means, means), (mn_extent){1, 1, 1, way});
    return mn_graph_bias(graph, products, mn_graph_scale(graph, -1, squares));
}

const mn_part mn_distance_part = {.name = "output distance", .build = distance};

static mn_node compatibility(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    mn_node o = mn_builder_flat(builder, builder->flow.o[role]);
    mn_node vectors = class_vectors(builder, "model.output compatibility", o);
    mn_node biases = builder->memory[MN_SUPPORT][MN_CLASS_BIASES];
    if (vectors == MN_NONE)
        return builder->flow.o[role];
    mn_node products = mn_graph_product(graph, o, vectors, false, true);
    if (biases != MN_NONE)
        products = mn_graph_bias(graph, products, biases);
    return mn_graph_scale(graph, builder->experiment->model.scale, products);
}

const mn_part mn_compatibility_part = {.name = "output compatibility", .build = compatibility};

mn_node mn_unit_rows(mn_builder *builder, mn_node a)
{
    mn_graph *graph = builder->graph;
    mn_node square = mn_graph_row_dot(graph, a, a);
    mn_node tiny = mn_graph_constant(graph, TINY, mn_builder_extent(builder, square));
    mn_node length = mn_graph_root(graph, mn_graph_add(graph, square, tiny));
    return mn_graph_row_scale(graph, mn_graph_reciprocal(graph, length), a);
}

static void write_support(mn_builder *builder, mn_role role)
{
    mn_node *memory = builder->memory[MN_SUPPORT];
    if (role != MN_SUPPORT || memory[KEYS] != MN_NONE)
        return;
    memory[VALUES] = mn_builder_need(builder, "model.memory support", MN_SUPPORT, "y");
    mn_node u = mn_builder_flat(builder, builder->flow.u[MN_SUPPORT]);
    if (builder->experiment->model.full_context && mn_fields_have_padding(builder->fields))
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.full_context reads the support set as a sequence, of which it "
                              "cannot leave out what tasks of several ways and shots lack: use "
                              "model.full_context false, or tasks of one size (tasks.way_from, "
                              "tasks.shot_from 0)");
    if (builder->experiment->model.full_context)
        u = memory[CONTEXT] = mn_full_context_support(builder, u);
    memory[KEYS] = mn_unit_rows(builder, u);
}

/* [n]: 1 for each support item that is padding, whose label is 0 everywhere; MN_NONE: none can be. */
static mn_node absent_items(mn_builder *builder)
{
    mn_graph *graph = builder->graph;
    mn_node labels = builder->memory[MN_SUPPORT][VALUES];
    if (!mn_fields_have_padding(builder->fields))
        return MN_NONE;
    const mn_extent items = {1, 1, 1, mn_builder_extent(builder, labels).n};
    mn_node there = mn_graph_reshape(graph, mn_graph_row_dot(graph, labels, labels), items);
    return mn_graph_scale_add(graph, -1, there, mn_graph_constant(graph, 1, items));
}

static mn_node attention(mn_builder *builder, mn_node u)
{
    mn_graph *graph = builder->graph;
    mn_node log_scale = mn_builder_table(builder, "match.log_scale", 1, 1, MN_START_VALUE,
                                         2.302585092994046); /* log FIRST_SCALE */
    const mn_node *memory = builder->memory[MN_SUPPORT];
    u = mn_builder_flat(builder, u);
    if (memory[CONTEXT] != MN_NONE)
        u = mn_full_context_query(builder, u, memory[CONTEXT]);
    if (!as_wide(builder, "model.memory support", u, memory[KEYS]))
        return mn_graph_zero(graph,
                             (mn_extent){1, 1, 1, mn_builder_extent(builder, memory[KEYS]).n});
    mn_node cosines = mn_graph_product(graph, mn_unit_rows(builder, u), memory[KEYS], false, true);
    mn_node scale = mn_graph_repeat_rows(graph, mn_graph_exp(graph, log_scale),
                                         mn_builder_extent(builder, cosines).n);
    mn_node scores = mn_graph_row_scale(graph, scale, cosines);
    return mn_graph_softmax(graph, mn_builder_leave_out(builder, scores, absent_items(builder)),
                            MN_NONE);
}

static mn_node read_support(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    (void)role;
    (void)hop;
    return mn_graph_product(builder->graph, attention(builder, u),
                            builder->memory[MN_SUPPORT][KEYS], false, false);
}

const mn_part mn_support_memory_part = {.name = "memory support",
                                        .write = write_support,
                                        .written_by_support = true,
                                        .takes_padding = true,
                                        .read = read_support};

/* The logarithm of the probabilities, whose softmax they are. */
static mn_node match(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    if (mn_memory_of(builder->experiment) != &mn_support_memory_part ||
        builder->memory[MN_SUPPORT][VALUES] == MN_NONE) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.output match compares with support items: it needs "
                              "model.memory support");
        return builder->flow.o[role];
    }
    mn_node weights = attention(builder, builder->flow.o[role]);
    if (builder->status != MN_OK)
        return builder->flow.o[role];
    mn_node p = mn_graph_product(graph, weights, builder->memory[MN_SUPPORT][VALUES], false, false);
    mn_node tiny = mn_graph_constant(graph, TINY, mn_builder_extent(builder, p));
    return mn_graph_log(graph, mn_graph_add(graph, p, tiny));
}

const mn_part mn_match_part = {.name = "output match", .build = match};
