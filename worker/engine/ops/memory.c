/* Tables read by number, and the choice of slots. */
#include "worker/engine/ops/ops.h"

#include "worker/engine/word_list.h"

static void run_words(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                      mn_real *out)
{
    const mn_words_shape shape = {.n = operation->rows,
                                  .length = operation->c,
                                  .rows = operation->node.times,
                                  .padding = operation->node.padding,
                                  .slots = operation->slots};
    (void)k;
    mn_word_list_read(&shape, in[0], in[1], (mn_word_list *)(void *)out);
}

const mn_op_row mn_op_words = {
    .name = "words", .is_constant = true, .result = MN_RESULT_LIST, .run = run_words};

static void run_turned(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                       mn_real *out)
{
    (void)k;
    mn_word_list_turn((const mn_word_list *)(const void *)in[0], operation->rows,
                      (mn_word_list *)(void *)out);
}

const mn_op_row mn_op_words_turned = {
    .name = "words turned", .is_constant = true, .result = MN_RESULT_LIST, .run = run_turned};

/* The list of a sum's adjoint. */
static mn_node turned(mn_graph *graph, mn_node list)
{
    const mn_graph_node of = graph->nodes[list]; /* a copy: appending moves the array */
    if (of.op == MN_OP_WORDS_TURNED)
        return of.in[0];
    mn_graph_node node =
        mn_node_blank(MN_OP_WORDS_TURNED,
                      mn_node_words(of.times, mn_extent_count(mn_node_extent(graph, of.in[0]))));
    node.in[0] = list;
    node.times = of.times;
    return mn_node_append(graph, node);
}

/* Linear in what is read: the adjoint is the same operation with the list turned. */
static void pull_embed(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node from = node.in[1];
    mn_graph_node out = mn_node_blank(MN_OP_EMBED, mn_node_extent(graph, from));
    out.in[1] = adjoints->of[i];
    out.in[2] = node.in[2];
    out.plus = adjoints->of[from]; /* added in its place, not by a pass over the table */
    if (adjoints->wanted[from]) {
        out.in[0] = turned(graph, node.in[0]);
        adjoints->of[from] = mn_node_append(graph, out);
    }
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

static void run_embed(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                      mn_real *out)
{
    k->embed(operation->c, (const mn_word_list *)(const void *)in[0], in[1], in[2],
             operation->accumulate, out);
}

const mn_op_row mn_op_embed = {
    .name = "embed", .pull_back = pull_embed, .push_forward = push_embed, .run = run_embed};

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
