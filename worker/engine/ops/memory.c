/* Tables read by number, and the choice of slots. */
#include "worker/engine/ops/ops.h"

/* in: ids, table or its adjoint, weights, how many slots are filled */
static mn_node like(mn_graph *graph, mn_op op, const mn_graph_node *node, mn_node in,
                    mn_extent extent)
{
    mn_graph_node out = mn_node_blank(op, extent);
    out.in[0] = node->in[0];
    out.in[1] = in;
    out.in[2] = node->in[2];
    out.in[3] = node->in[3];
    out.padding = node->padding;
    out.times = mn_node_extent(graph, in).n; /* rows of the table that is read */
    return mn_node_append(graph, out);
}

static void pull_embed(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    const mn_node table = node.in[1];
    mn_graph_node out = mn_node_blank(MN_OP_EMBED_SCATTER, mn_node_extent(adjoints->graph, table));
    out.in[0] = node.in[0];
    out.in[1] = adjoints->of[i];
    out.in[2] = node.in[2];
    out.in[3] = node.in[3];
    out.padding = node.padding;
    out.plus = adjoints->of[table]; /* added in its place, not by a pass over the table */
    if (adjoints->wanted[table])
        adjoints->of[table] = mn_node_append(adjoints->graph, out);
    if (node.plus != MN_NONE && adjoints->wanted[node.plus])
        mn_give(adjoints, node.plus, adjoints->of[i]);
}

static mn_node push_embed(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    mn_graph_node node = graph->nodes[i];
    if (t[1] == MN_NONE)
        return tplus;
    node.in[1] = t[1];
    node.plus = tplus;
    return mn_node_append(graph, node);
}

static mn_embedding shape_of(const mn_operation *operation, size_t rows)
{
    return (mn_embedding){.n = operation->rows,
                          .length = operation->c,
                          .rows = rows,
                          .c = operation->node.extent.c,
                          .padding = operation->node.padding,
                          .slots = operation->slots};
}

static void run_embed(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                      mn_real *out)
{
    const mn_embedding shape = shape_of(operation, operation->node.times);
    k->embed(&shape, in[0], in[1], in[2], in[3], operation->accumulate, out);
}

const mn_op_row mn_op_embed = {
    .name = "embed", .pull_back = pull_embed, .push_forward = push_embed, .run = run_embed};

static void pull_scatter(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    if (adjoints->wanted[node.in[1]])
        mn_give(
            adjoints, node.in[1],
            like(graph, MN_OP_EMBED, &node, adjoints->of[i], mn_node_extent(graph, node.in[1])));
    if (node.plus != MN_NONE && adjoints->wanted[node.plus])
        mn_give(adjoints, node.plus, adjoints->of[i]);
}

static mn_node push_scatter(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    mn_graph_node node = graph->nodes[i];
    if (t[1] == MN_NONE)
        return tplus;
    node.in[1] = t[1];
    node.plus = tplus;
    return mn_node_append(graph, node);
}

static void run_scatter(const mn_operation *operation, const mn_kernels *k,
                        const mn_real *const *in, mn_real *out)
{
    const mn_embedding shape = shape_of(operation, operation->node.extent.n);
    k->embed_scatter(&shape, in[0], in[1], in[2], in[3], operation->accumulate, out);
}

const mn_op_row mn_op_embed_scatter = {.name = "embed backward",
                                       .pull_back = pull_scatter,
                                       .push_forward = push_scatter,
                                       .run = run_scatter};

/* <p, memory o> is linear in each of the three, so that the derivatives of each operation are the
 * two others. */
static void pull_match(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node o = node.in[0], memory = node.in[1], filled = node.in[2], dp = adjoints->of[i];
    if (adjoints->wanted[o])
        mn_give(adjoints, o, mn_graph_slots_read(graph, dp, memory, filled));
    if (adjoints->wanted[memory])
        adjoints->of[memory] = mn_graph_slots_write(graph, dp, o, filled, adjoints->of[memory]);
}

static void pull_read(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node p = node.in[0], memory = node.in[1], filled = node.in[2], dout = adjoints->of[i];
    if (adjoints->wanted[p])
        mn_give(adjoints, p, mn_graph_slots_match(graph, dout, memory, filled));
    if (adjoints->wanted[memory])
        adjoints->of[memory] = mn_graph_slots_write(graph, p, dout, filled, adjoints->of[memory]);
}

static void pull_write(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node p = node.in[0], o = node.in[1], filled = node.in[2], dm = adjoints->of[i];
    if (adjoints->wanted[p])
        mn_give(adjoints, p, mn_graph_slots_match(graph, o, dm, filled));
    if (adjoints->wanted[o])
        mn_give(adjoints, o, mn_graph_slots_read(graph, p, dm, filled));
    if (node.plus != MN_NONE && adjoints->wanted[node.plus])
        mn_give(adjoints, node.plus, dm);
}

static mn_node push_slots(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_rule_bilinear(graph, i, t[0], t[1]);
}

static mn_node push_write(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    return mn_rule_product(graph, i, t[0], t[1], tplus);
}

/* All slots, though only the filled ones are worked on. */
static double slots_macs(const mn_graph *graph, const mn_graph_node *node)
{
    const mn_extent p = graph->nodes[node->in[0]].extent, o = graph->nodes[node->in[1]].extent;
    return node->op == MN_OP_SLOTS_WRITE ? (double)mn_extent_count(p) * o.c
                                         : (double)mn_extent_count(o);
}

static void run_match(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                      mn_real *out)
{
    const mn_slots shape = {operation->rows, operation->node.extent.c, operation->c};
    k->slots_match(&shape, in[2], in[0], in[1], out);
}

static void run_read(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    const mn_slots shape = {operation->rows, operation->c, operation->node.extent.c};
    k->slots_read(&shape, in[2], in[0], in[1], out);
}

static void run_write(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                      mn_real *out)
{
    const mn_slots shape = {operation->rows, operation->c, operation->node.extent.c};
    k->slots_write(&shape, in[2], in[0], in[1], operation->accumulate, out);
}

const mn_op_row mn_op_slots_match = {.name = "slots match",
                                     .pull_back = pull_match,
                                     .push_forward = push_slots,
                                     .macs = slots_macs,
                                     .run = run_match};
const mn_op_row mn_op_slots_read = {.name = "slots read",
                                    .pull_back = pull_read,
                                    .push_forward = push_slots,
                                    .macs = slots_macs,
                                    .run = run_read};
const mn_op_row mn_op_slots_write = {.name = "slots write",
                                     .pull_back = pull_write,
                                     .push_forward = push_write,
                                     .macs = slots_macs,
                                     .run = run_write};

static void run_least_used(const mn_operation *operation, const mn_kernels *k,
                           const mn_real *const *in, mn_real *out)
{
    k->least_used(operation->rows, operation->c, operation->node.times, in[0], out);
}

const mn_op_row mn_op_least_used = {
    .name = "least used", .is_constant = true, .run = run_least_used};
