/* ops_bed.h: for tests of operations: a bed of few numbers, arguments, and what an example of an
 * operation is. The examples are in examples_<family>.h, a file for each <family>.c. */
#pragma once

#include "worker/engine/ops/ops.h"

#include "worker/engine/graph_bed.h"

enum { ROWS = 4, C = 3, N = ROWS * C, MOST = 64 };

static const mn_extent matrix = {ROWS, 1, 1, C};

/* An operation, used. Its arguments are arg(), the tanh of a tensor of theta, so that even what is
 * linear has curved tangents, and given(), numbers of the task. */
typedef struct example {
    mn_node (*build)(struct bed *bed); /* what is compared, at most MOST numbers; or the loss */
    /* The same from the arguments, in the order in which build asks for them, and the task's
     * numbers. NULL: the operation is of the gradient, or its kernels have a plain test. */
    void (*naive)(const double *const *a, const double *x, double *out);
    unsigned stopped; /* bit i: no derivative goes to tensor i, whatever the differences say */
    bool once;        /* it is differentiated backwards alone, and once */
    bool fused;       /* it is made of others by fusion.h, where nothing but gradients is wanted */
} example;

static inline mn_node arg(struct bed *bed, uint32_t rows, uint32_t c)
{
    return mn_graph_tanh(&bed->graph, tensor(bed, mn_matrix(rows, c)));
}

static inline mn_node positive(struct bed *bed, uint32_t rows, uint32_t c) /* 1 + arg^2 */
{
    mn_node a = arg(bed, rows, c);
    return mn_graph_add(&bed->graph, mn_graph_multiply(&bed->graph, a, a),
                        mn_graph_constant(&bed->graph, 1.0, mn_matrix(rows, c)));
}

static inline mn_node given(struct bed *bed, uint32_t rows, uint32_t c)
{
    return mn_graph_input(&bed->graph, MN_SLOT_X, 0, mn_matrix(rows, c));
}

static inline mn_node scatter(mn_graph *graph, uint32_t n, mn_node dy, mn_node plus)
{
    const mn_extent table = mn_graph_extent(graph, plus);
    mn_graph_node words = mn_node_blank(MN_OP_WORDS, mn_node_words(n, (size_t)n * 2));
    mn_graph_node turned = mn_node_blank(MN_OP_WORDS_TURNED, mn_node_words(table.n, (size_t)n * 2));
    mn_graph_node node = mn_node_blank(MN_OP_EMBED, table);
    words.in[0] = mn_graph_input(graph, MN_SLOT_X, 0, mn_matrix(n, 2));
    words.padding = 3;
    words.times = turned.times = table.n;
    turned.in[0] = mn_node_append(graph, words);
    node.in[0] = mn_node_append(graph, turned);
    node.in[1] = dy;
    node.plus = plus;
    return mn_node_append(graph, node);
}

#define GRAPH mn_graph *const graph = &bed->graph
#define EACH(i, n) for (size_t i = 0; i < (n); i++)
#define BUILD(name) static inline mn_node build_##name(struct bed *bed)
#define NAIVE(name) static void naive_##name(const double *const *a, const double *x, double *out)
#define BUILT_AND_NAIVE(op)                                                                        \
    static const example example_##op = {.build = build_##op, .naive = naive_##op}
#define OF_A_DERIVATIVE(op, of) static const example example_##op = {.build = build_##of}
#define UNUSED (void)a, (void)x

static inline struct bed *ops_bed(uint64_t seed)
{
    struct bed *bed = bed_new(mn_matrix(1, MOST), mn_matrix(1, MOST), seed);
    for (size_t i = 0; i < MOST; i++)
        bed->y_data[i] = draw();
    return bed;
}

static inline bool is_loss(const struct bed *bed, mn_node node)
{
    return mn_op_rows[bed->graph.nodes[node].op]->result == MN_RESULT_DOUBLE;
}

/* Of any node, one number that bends. */
static inline mn_node loss_of(struct bed *bed, mn_node y)
{
    if (is_loss(bed, y))
        return y;
    const mn_extent extent = mn_graph_extent(&bed->graph, y);
    assert_true(mn_extent_count(extent) <= MOST);
    return mn_graph_squared_error(&bed->graph, y,
                                  mn_graph_input(&bed->graph, MN_SLOT_Y, 0, extent));
}
