/* One step of an LSTM, and one of a memory with least-recently-used access: each a single operation
 * with a backward pass of its own, because an unrolled sequence is made of little else. They are
 * differentiated once, backwards; asked for more, the graph refuses. What a step leaves behind is
 * one array, its state, of which views are taken.
 * A recurrence that is linear in its state needs no steps in the graph: the whole of it is one
 * operation, whose derivatives are such recurrences again. */
#include "worker/engine/ops/ops.h"

#include <assert.h>
#include <string.h>

/* ---- LSTM: in: zx [n, 4c], zr or nothing, the cell before [n, c] or nothing. Result [6n, c]: h,
 * the cell, and the gates, which are for the way back alone. */

mn_node mn_graph_lstm(mn_graph *graph, mn_node zx, mn_node zr, mn_node before)
{
    const mn_extent z = mn_node_extent(graph, zx);
    mn_graph_node node = mn_node_blank(MN_OP_LSTM, mn_matrix(6 * z.n, z.c / 4));
    assert(graph->failed || z.c % 4 == 0);
    node.in[0] = zx;
    node.in[1] = zr;
    node.in[2] = before;
    return mn_node_append(graph, node);
}

mn_node mn_graph_lstm_output(mn_graph *graph, mn_node step)
{
    return mn_graph_rows(graph, step, 0, mn_node_extent(graph, step).n / 6);
}

mn_node mn_graph_lstm_cell(mn_graph *graph, mn_node step)
{
    const uint32_t n = mn_node_extent(graph, step).n / 6;
    return mn_graph_rows(graph, step, n, n);
}

static void pull_lstm(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_extent z = mn_node_extent(graph, node.in[0]);
    const uint32_t c = z.c / 4;
    mn_graph_node back = mn_node_blank(MN_OP_LSTM_BACKWARD, mn_matrix(5 * z.n, c));
    back.in[0] = i;
    back.in[1] = node.in[2];
    back.in[2] = adjoints->of[i];
    const mn_node d = mn_node_append(graph, back), dz = mn_rule_view(graph, d, 0, z);
    for (int k = 0; k < 2; k++)
        if (node.in[k] != MN_NONE && adjoints->wanted[node.in[k]])
            mn_give(adjoints, node.in[k], dz);
    if (node.in[2] != MN_NONE && adjoints->wanted[node.in[2]])
        mn_give(adjoints, node.in[2],
                mn_rule_view(graph, d, (size_t)4 * z.n * c, mn_matrix(z.n, c)));
}

static void run_lstm(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    k->lstm(operation->node.extent.n / 6, operation->node.extent.c, in[0], in[1], in[2], out);
}

const mn_op_row mn_op_lstm = {.name = "LSTM step", .pull_back = pull_lstm, .run = run_lstm};

static void run_lstm_backward(const mn_operation *operation, const mn_kernels *k,
                              const mn_real *const *in, mn_real *out)
{
    k->lstm_backward(operation->node.extent.n / 5, operation->node.extent.c, in[0], in[1], in[2],
                     out);
}

const mn_op_row mn_op_lstm_backward = {.name = "LSTM step backward", .run = run_lstm_backward};

/* ---- Least-recently-used access: in: the state before, what is asked [n, heads * (width + 1)],
 * sharpness [n, heads] or nothing. The adjoint of a state is laid out like it; that of the keys and
 * gates, before their tanh and sigmoid, stands in it where the state has these, that of sharpness
 * where it has the least used slots. */

static size_t offset_of(const mn_lrua *shape, mn_lrua_part part)
{
    size_t offset = 0;
    for (mn_lrua_part before = 0; before < part; before++)
        offset += mn_extent_count(mn_graph_lrua_extent(shape, before));
    return offset;
}

mn_extent mn_graph_lrua_extent(const mn_lrua *shape, mn_lrua_part part)
{
    const uint32_t n = shape->n, heads = shape->heads, slots = shape->slots, width = shape->width;
    switch (part) {
    case MN_LRUA_MEMORY:
        return mn_matrix(n * width, slots);
    case MN_LRUA_READ_WEIGHTS:
    case MN_LRUA_WRITE_WEIGHTS:
        return mn_matrix(n * heads, slots);
    case MN_LRUA_USAGE:
        return mn_matrix(n, slots);
    case MN_LRUA_READ:
        return mn_matrix(n, heads * width);
    case MN_LRUA_KEYS:
        return mn_matrix(n, heads * (width + 1));
    case MN_LRUA_LEAST:
        return mn_matrix(n, heads);
    case MN_LRUA_N_PARTS:
        break;
    }
    return mn_matrix((uint32_t)offset_of(shape, MN_LRUA_N_PARTS), 1);
}

mn_node mn_graph_lrua_begin(mn_graph *graph, const mn_lrua *shape, mn_node memory,
                            mn_node read_weights, mn_node usage)
{
    const struct {
        mn_lrua_part part;
        mn_node node;
    } given[] = {
        {MN_LRUA_MEMORY, memory}, {MN_LRUA_READ_WEIGHTS, read_weights}, {MN_LRUA_USAGE, usage}};
    const mn_extent whole = mn_graph_lrua_extent(shape, MN_LRUA_N_PARTS);
    mn_node state = MN_NONE;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        const size_t count = mn_extent_count(mn_node_extent(graph, given[i].node));
        mn_node column = mn_graph_reshape(graph, given[i].node, mn_matrix((uint32_t)count, 1));
        state = mn_graph_place_rows(graph, column, (uint32_t)offset_of(shape, given[i].part),
                                    whole.n, state);
    }
    return state;
}

/* Equal usages are chosen from in the order of the slots, so the first is it. */
mn_node mn_graph_lrua_start(mn_graph *graph, const mn_lrua *shape)
{
    const mn_extent weights = mn_graph_lrua_extent(shape, MN_LRUA_READ_WEIGHTS);
    const mn_extent usage = mn_graph_lrua_extent(shape, MN_LRUA_USAGE);
    return mn_graph_lrua_begin(
        graph, shape, mn_graph_constant(graph, 1e-6, mn_graph_lrua_extent(shape, MN_LRUA_MEMORY)),
        mn_graph_least_used(graph, mn_graph_zero(graph, weights), 1),
        mn_graph_least_used(graph, mn_graph_zero(graph, usage), 1));
}

mn_node mn_graph_lrua(mn_graph *graph, const mn_lrua *shape, mn_node state, mn_node asked,
                      mn_node sharpness)
{
    mn_graph_node node = mn_node_blank(MN_OP_LRUA, mn_graph_lrua_extent(shape, MN_LRUA_N_PARTS));
    assert(graph->failed || mn_extent_count(mn_node_extent(graph, asked)) ==
                                mn_extent_count(mn_graph_lrua_extent(shape, MN_LRUA_KEYS)));
    assert(graph->failed || sharpness == MN_NONE ||
           mn_extent_count(mn_node_extent(graph, sharpness)) ==
               mn_extent_count(mn_graph_lrua_extent(shape, MN_LRUA_LEAST)));
    node.in[0] = state;
    node.in[1] = asked;
    node.in[2] = sharpness;
    node.lrua = *shape;
    return mn_node_append(graph, node);
}

mn_node mn_graph_lrua_view(mn_graph *graph, const mn_lrua *shape, mn_node state, mn_lrua_part part)
{
    const mn_extent extent = mn_graph_lrua_extent(shape, part);
    if (part == MN_LRUA_READ)
        return mn_rule_view(graph, state, offset_of(shape, part), extent);
    mn_graph_node node = mn_node_blank(MN_OP_STOP, extent);
    node.in[0] = state;
    node.offset = offset_of(shape, part);
    return mn_node_append(graph, node);
}

/* To in[k] of node i: the part of its adjoint d that is that of in[k]. */
static void give_part(mn_adjoints *adjoints, mn_node i, int k, mn_node d, mn_lrua_part part)
{
    const mn_graph_node *node = &adjoints->graph->nodes[i];
    const mn_node in = node->in[k];
    const size_t offset = offset_of(&node->lrua, part);
    if (in != MN_NONE && adjoints->wanted[in])
        mn_give(adjoints, in,
                mn_rule_view(adjoints->graph, d, offset, mn_node_extent(adjoints->graph, in)));
}

static void pull_lrua(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    mn_graph_node back = mn_node_blank(MN_OP_LRUA_BACKWARD, node.extent);
    back.in[0] = node.in[0];
    back.in[1] = i;
    back.in[2] = adjoints->of[i];
    back.in[3] = node.in[2];
    back.lrua = node.lrua;
    const mn_node d = mn_node_append(graph, back);
    give_part(adjoints, i, 1, d, MN_LRUA_KEYS);
    give_part(adjoints, i, 2, d, MN_LRUA_LEAST);
    if (adjoints->wanted[node.in[0]])
        mn_give(adjoints, node.in[0], d);
}

/* Each slot: written to, compared, read, by each head. */
static double lrua_macs(const mn_graph *graph, const mn_graph_node *node)
{
    const mn_lrua *m = &node->lrua;
    (void)graph;
    return 3.0 * m->n * m->heads * m->slots * m->width;
}

static void run_lrua(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    k->lrua(&operation->node.lrua, in[0], in[1], in[2], out);
}

const mn_op_row mn_op_lrua = {
    .name = "LRUA step", .pull_back = pull_lrua, .macs = lrua_macs, .run = run_lrua};

static double lrua_backward_macs(const mn_graph *graph, const mn_graph_node *node)
{
    return 2.0 * lrua_macs(graph, node);
}

static void run_lrua_backward(const mn_operation *operation, const mn_kernels *k,
                              const mn_real *const *in, mn_real *out)
{
    k->lrua_backward(&operation->node.lrua, in[0], in[1], in[3], in[2], out);
}

const mn_op_row mn_op_lrua_backward = {
    .name = "LRUA step backward", .macs = lrua_backward_macs, .run = run_lrua_backward};

/* ---- Linear recurrences, of whole sequences. With d the adjoint of h, that of u is the recurrence
 * the other way, d_t + decay_(t+1) du_(t+1), and that of decay_t is du_t h_(t-1). */

mn_node mn_graph_scan(mn_graph *graph, mn_node decay, mn_node u, uint32_t steps, bool backwards)
{
    const mn_extent extent = mn_node_extent(graph, u);
    mn_graph_node node = mn_node_blank(MN_OP_SCAN, extent);
    assert(graph->failed || (mn_node_rows(graph, u) % steps == 0 &&
                             mn_node_rows(graph, decay) == mn_node_rows(graph, u)));
    node.in[0] = decay;
    node.in[1] = u;
    node.times = steps;
    node.backwards = backwards;
    return mn_node_append(graph, node);
}

mn_node mn_graph_shift(mn_graph *graph, mn_node a, uint32_t steps, bool backwards)
{
    mn_graph_node node = mn_node_blank(MN_OP_SHIFT, mn_node_extent(graph, a));
    node.in[0] = a;
    node.times = steps;
    node.backwards = backwards;
    return mn_node_append(graph, node);
}

/* One number a row, or as many as the row has. */
static bool is_one_gate(const mn_graph *graph, mn_node decay)
{
    return mn_node_extent(graph, decay).c == 1;
}

static void pull_scan(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node decay = node.in[0], u = node.in[1];
    const mn_node next = mn_graph_shift(graph, decay, node.times, !node.backwards);
    const mn_node du = mn_graph_scan(graph, next, adjoints->of[i], node.times, !node.backwards);
    if (adjoints->wanted[u])
        mn_give(adjoints, u, du);
    if (!adjoints->wanted[decay])
        return;
    const mn_node before = mn_graph_shift(graph, i, node.times, node.backwards);
    mn_give(adjoints, decay,
            is_one_gate(graph, decay) ? mn_graph_row_dot(graph, du, before)
                                      : mn_graph_multiply(graph, du, before));
}

/* th_t = decay_t th_(t-1) + tu_t + tdecay_t h_(t-1) */
static mn_node push_scan(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    const mn_graph_node node = graph->nodes[i];
    mn_node tu = t[1];
    (void)tplus;
    if (t[0] != MN_NONE) {
        const mn_node before = mn_graph_shift(graph, i, node.times, node.backwards);
        tu = mn_rule_add(graph, tu,
                         is_one_gate(graph, t[0]) ? mn_graph_row_scale(graph, t[0], before)
                                                  : mn_graph_multiply(graph, t[0], before));
    }
    return mn_graph_scan(graph, node.in[0], tu, node.times, node.backwards);
}

static void run_scan(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    const size_t steps = operation->node.times;
    k->scan(operation->rows / steps, steps, operation->node.extent.c, operation->c,
            operation->node.backwards, in[0], in[1], out);
}

const mn_op_row mn_op_scan = {.name = "scan",
                              .overwrites = 2,
                              .pull_back = pull_scan,
                              .push_forward = push_scan,
                              .run = run_scan};

static void pull_shift(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    mn_give(adjoints, node.in[0],
            mn_graph_shift(adjoints->graph, adjoints->of[i], node.times, !node.backwards));
}

static mn_node push_shift(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_rule_linear(graph, i, t[0]);
}

static void run_shift(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                      mn_real *out)
{
    const size_t steps = operation->node.times, c = operation->c,
                 n = operation->count / (steps * c);
    const bool backwards = operation->node.backwards;
    const mn_real *from = in[0];
    (void)k;
    for (size_t i = 0; i < n; i++, from += steps * c, out += steps * c) {
        memcpy(backwards ? out : out + c, backwards ? from + c : from,
               (steps - 1) * c * sizeof *out);
        memset(backwards ? out + (steps - 1) * c : out, 0, c * sizeof *out);
    }
}

const mn_op_row mn_op_shift = {
    .name = "shift", .pull_back = pull_shift, .push_forward = push_shift, .run = run_shift};
