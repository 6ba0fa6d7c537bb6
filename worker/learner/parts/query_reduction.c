/* Query-reduction networks (Seo, Min, Farhadi, Hajishirzi 2017, arXiv:1606.04582): the story is read
 * sentence by sentence, and at each the question is reduced to one that is easier to answer.
 *   sentences        the memory holds x_t = sum_j l_j .* A[x_tj], with A the question's table too
 *   query-reduction  model.layers times, from q_t = the question at every t, of one set of weights
 *                    (or each of its own, layers.0.candidate.weight and so on; theirs are one):
 *                    candidate  c_t = tanh(W [q_t; x_t] + b)
 *                    update     z_t = sigmoid(w_z (q_t .* x_t) + b_z + lean), 0 in empty slots
 *                    reset      r_t = sigmoid(w_r (q_t .* x_t) + b_r), one for each direction
 *                    q'_t = u_t + v_t:  u_t = z_t r_t c_t + (1 - z_t) u_(t-1), and v_t likewise with
 *                    its own r from the last sentence on
 *                    last layer  h_t = z_t c_t + (1 - z_t) h_(t-1); o = h of the last sentence
 * Gates are numbers, or vectors as wide as x. W [d, 2d] takes q and x apart, so that the share of x
 * is made once for layers of one set of weights. A and the gates' weights begin uniform, with a
 * standard deviation of 1 and a lean of -2.5 in the authors' code (gates begin nearly shut): q_t .* x_t
 * is wide then, and many gates begin so far open or shut that they learn late or never; smaller starts
 * do away with that.
 * The authors' code makes the recurrence from a triangular product of logarithms; here it is a scan. */
#include "worker/learner/parts/sentences.h"

#include <stdio.h>

/* A story's sentences [questions * slots, d]; none where the question alone may be looked at. */
static void write(mn_builder *builder, mn_role role)
{
    mn_node ids = mn_builder_need(builder, "model.memory sentences", role, "story");
    const mn_extent extent = mn_builder_extent(builder, ids);
    const mn_extent words = {extent.n * extent.h, 1, 1, extent.c};
    const mn_extent x = {words.n, 1, 1, builder->experiment->model.embedding};
    mn_node table = mn_sentences_words(builder);
    builder->memory[role][0] =
        builder->experiment->model.control == MN_CONTROL_QUESTION
            ? mn_graph_zero(builder->graph, x)
            : mn_sentences_encode(builder, role, mn_graph_reshape(builder->graph, ids, words),
                                  table, "story_mask.weight");
}

/* For those who ask by attention. */
static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    mn_node x = builder->memory[role][0];
    mn_node mask = mn_builder_need(builder, "model.memory sentences", role, "mask");
    return mn_sentences_attend(builder, role, hop, "attention", u, x, x, mask);
}

const mn_part mn_sentences_memory_part = {.name = "memory sentences", .write = write, .read = read};

/* What all layers read. */
struct story {
    mn_node x;    /* [n * slots, d] */
    mn_node mask; /* [n * slots, 1] */
    uint32_t n, slots, d;
    uint32_t n_gates; /* numbers of a gate: 1 or d */
};

/* What tensor `name` is called in a layer: all layers have one, or each its own. */
struct tensor {
    char name[48];
};

static struct tensor of_layer(const mn_builder *builder, uint32_t layer, const char *name)
{
    struct tensor tensor;
    if (builder->experiment->model.layer_weights == MN_LAYER_WEIGHTS_OWN)
        (void)snprintf(tensor.name, sizeof tensor.name, "layers.%u.%s", (unsigned)layer, name);
    else
        (void)snprintf(tensor.name, sizeof tensor.name, "%s", name);
    return tensor;
}

/* Without a story all slots count: their number would tell of it. */
static mn_node mask_of(mn_builder *builder, mn_role role, uint32_t rows)
{
    const mn_extent column = {rows, 1, 1, 1};
    mn_node mask = mn_builder_need(builder, "model.reasoning query-reduction", role, "mask");
    if (builder->status != MN_OK || builder->experiment->model.control == MN_CONTROL_QUESTION)
        return mn_graph_constant(builder->graph, 1, column);
    return mn_graph_reshape(builder->graph, mask, column);
}

static struct story open_story(mn_builder *builder, mn_role role)
{
    const mn_extent u = mn_builder_extent(builder, builder->flow.u[role]);
    struct story story = {.x = builder->memory[role][0], .n = u.n, .d = u.c};
    const uint32_t rows = mn_builder_extent(builder, story.x).n;
    story.slots = rows / u.n;
    story.n_gates = builder->experiment->model.gates == MN_GATES_VECTOR ? u.c : 1;
    story.mask = mask_of(builder, role, rows);
    return story;
}

/* [n * slots, d] of the layer's queries; before the first layer there is one for all slots. What a
 * sentence gives is the same node for all layers that share their weights. */
static mn_node candidates(mn_builder *builder, const struct story *story, mn_node q, uint32_t layer)
{
    mn_graph *graph = builder->graph;
    const uint32_t d = story->d;
    mn_node bias = mn_builder_vector(builder, of_layer(builder, layer, "candidate.bias").name, d,
                                     MN_START_ZERO);
    mn_node both = mn_builder_weights(builder, of_layer(builder, layer, "candidate.weight").name,
                                      (mn_extent){1, 1, 1, 2 * d}, d);
    mn_node x_share = mn_graph_bias(
        graph, mn_graph_linear(graph, story->x, mn_graph_rows(graph, both, d, d)), bias);
    mn_node share = mn_graph_linear(graph, q, mn_graph_rows(graph, both, 0, d));
    if (layer == 0)
        share = mn_graph_repeat_rows(graph, share, story->slots);
    return mn_graph_tanh(graph, mn_graph_add(graph, share, x_share));
}

/* `n` gates beside each other, of q .* x. */
static mn_node gates(mn_builder *builder, struct tensor weight, struct tensor bias, mn_node qx,
                     uint32_t n, double lean)
{
    mn_graph *graph = builder->graph;
    mn_node w = mn_builder_table(builder, weight.name, n, mn_builder_extent(builder, qx).c,
                                 MN_START_UNIFORM, builder->experiment->model.gate_start);
    mn_node b = mn_builder_vector(builder, bias.name, n, MN_START_ZERO);
    if (lean != 0)
        b = mn_graph_add(graph, b, mn_graph_constant(graph, lean, (mn_extent){1, 1, 1, n}));
    return mn_graph_sigmoid(graph,
                            mn_graph_bias(graph, mn_graph_product(graph, qx, w, false, true), b));
}

/* gate .* a, of gates as wide as `a` or of one number a row. */
static mn_node let_through(mn_builder *builder, mn_node gate, mn_node a)
{
    return mn_builder_extent(builder, gate).c == 1 ? mn_graph_row_scale(builder->graph, gate, a)
                                                   : mn_graph_multiply(builder->graph, gate, a);
}

/* The mean gate of each sentence, [n, slots]. */
static void show_update(mn_builder *builder, mn_role role, const struct story *story,
                        uint32_t layer, mn_node z)
{
    const mn_extent extent = mn_builder_extent(builder, z);
    if (extent.c > 1)
        z = mn_graph_row_dot(builder->graph, z,
                             mn_graph_constant(builder->graph, 1.0 / extent.c, extent));
    mn_builder_show(builder, role, "update gates", layer + 1,
                    mn_graph_reshape(builder->graph, z, (mn_extent){story->n, 1, 1, story->slots}));
}

/* Queries for the next layer: what the sentences so far made of the question, and those to come. */
static mn_node reduce(mn_builder *builder, const struct story *story, uint32_t layer, mn_node qx,
                      mn_node z, mn_node keep, mn_node c)
{
    const mn_experiment *e = builder->experiment;
    mn_graph *graph = builder->graph;
    const uint32_t n_directions = e->model.bidirectional ? 2 : 1, n = story->n_gates;
    mn_node sum = MN_NONE, reset = MN_NONE;
    if (e->model.reset_gates)
        reset = gates(builder, of_layer(builder, layer, "reset.weight"),
                      of_layer(builder, layer, "reset.bias"), qx, n_directions * n, 0);
    for (uint32_t i = 0; i < n_directions; i++) {
        mn_node gate = z;
        if (reset != MN_NONE)
            gate = mn_graph_multiply(graph, z, mn_graph_columns(graph, reset, i * n, n));
        mn_node u = mn_graph_scan(graph, keep, let_through(builder, gate, c), story->slots, i == 1);
        sum = i == 0 ? u : mn_graph_add(graph, sum, u);
    }
    return sum;
}

static mn_node query_reduction(mn_builder *builder, mn_role role)
{
    const mn_experiment *e = builder->experiment;
    mn_graph *graph = builder->graph;
    mn_node q = builder->flow.u[role];
    if (mn_memory_of(e) != &mn_sentences_memory_part) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.reasoning query-reduction reads a story sentence by sentence, "
                              "but model.memory is %s: use model.memory sentences",
                              mn_memory_of(e)->name);
        return q;
    }
    const struct story story = open_story(builder, role);
    for (uint32_t layer = 0; builder->status == MN_OK; layer++) {
        mn_node c = candidates(builder, &story, q, layer);
        if (layer == 0)
            q = mn_graph_repeat_rows(graph, q, story.slots);
        mn_node qx = mn_graph_multiply(graph, q, story.x);
        mn_node z =
            gates(builder, of_layer(builder, layer, "update.weight"),
                  of_layer(builder, layer, "update.bias"), qx, story.n_gates, e->model.gate_lean);
        z = mn_graph_row_scale(graph, story.mask, z);
        mn_node keep = mn_graph_scale_add(
            graph, -1, z, mn_graph_constant(graph, 1, mn_builder_extent(builder, z)));
        mn_builder_show(builder, role, "query", layer + 1, q);
        show_update(builder, role, &story, layer, z);
        if (layer + 1 < e->model.layers) {
            q = reduce(builder, &story, layer, qx, z, keep, c);
            continue;
        }
        mn_node h = mn_graph_scan(graph, keep, let_through(builder, z, c), story.slots, false);
        h = mn_graph_reshape(graph, h, (mn_extent){story.n, 1, 1, story.slots * story.d});
        return mn_graph_columns(graph, h, (story.slots - 1) * story.d, story.d);
    }
    return q;
}

const mn_part mn_query_reduction_part = {.name = "reasoning query-reduction",
                                         .build = query_reduction};
