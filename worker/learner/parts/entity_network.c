/* Recurrent entity networks (Henaff et al. 2017; details that the paper leaves open as in the
 * authors' code): a memory of slots for entities, which every sentence of a story updates.
 *   input     s_t = sum_j f_j .* E[w_tj] (model.encoding mask), q likewise of the question's words
 *   entities  slots j with keys w_j, h_j(0) = w_j; for every sentence
 *               g_j = sigmoid(s_t . h_j + s_t . w_j + b_j), 0 if there is no sentence
 *               c_j = phi(U h_j + a + V s_t + W w_j)
 *               h_j = (h_j + g_j c_j) / |h_j + g_j c_j|
 *             and asked with q it answers o = sum_j p_j h_j, p = softmax_j(q . h_j)
 *   prelu-hops  q = phi(q + H o), model.hops times; of any memory
 * phi is PReLU with a slope a unit, which begin with 1; entities and prelu-hops share it. Matrices,
 * keys and E begin normal with standard deviation 0.1. What is shown: how much each slot is
 * attended to, "entity attention", and g, "entity gates", sentence by sentence, slot by slot. */
#include "worker/learner/parts/part.h"
#include "worker/learner/parts/sentences.h"

#define TINY 1e-12 /* added to |h|^2, so that no division is by zero */
#define MOST_SENTENCES 1024u

enum { ENTITIES };

/* x [n, c] -> [n, out] with a tensor [out, c]. */
static mn_node map(mn_builder *builder, const char *name, mn_node x, uint32_t out)
{
    mn_node w = mn_builder_weights(builder, name, mn_builder_extent(builder, x), out);
    mn_builder_start_normal(builder, name, MN_SENTENCES_START);
    return mn_graph_linear(builder->graph, x, w);
}

/* max(0, x) + a .* min(0, x). */
static mn_node prelu(mn_builder *builder, mn_node x)
{
    mn_graph *graph = builder->graph;
    mn_node slopes =
        mn_builder_vector(builder, "prelu.weight", mn_builder_extent(builder, x).c, MN_START_ONE);
    mn_node below = mn_graph_relu(graph, mn_graph_scale(graph, -1, x));
    return mn_graph_scale_add(graph, -1, mn_graph_column_scale(graph, below, slopes),
                              mn_graph_relu(graph, x));
}

/* Each row with length 1. */
static mn_node normalised(mn_graph *graph, mn_node x)
{
    mn_node squares = mn_graph_row_dot(graph, x, x);
    squares = mn_graph_add(graph, squares,
                           mn_graph_constant(graph, TINY, mn_graph_extent(graph, squares)));
    return mn_graph_row_scale(graph, mn_graph_reciprocal(graph, mn_graph_root(graph, squares)), x);
}

static void write(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    const uint32_t slots = builder->experiment->model.slots;
    mn_node ids = mn_builder_need(builder, "model.memory entities", role, "story");
    mn_node mask = mn_builder_need(builder, "model.memory entities", role, "mask");
    const mn_extent story = mn_builder_extent(builder, ids);
    const uint32_t n = story.n, d = builder->experiment->model.embedding;
    mn_node gates[MOST_SENTENCES];
    if (builder->status == MN_OK && story.h > MOST_SENTENCES)
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.memory entities reads stories of at most %u sentences",
                              MOST_SENTENCES);
    if (builder->status != MN_OK)
        return;
    mn_node s = mn_sentences_in_order(builder, role, ids);
    mn_node keys =
        mn_builder_table(builder, "entities.keys", slots, d, MN_START_NORMAL, MN_SENTENCES_START);
    mn_node bias = mn_builder_vector(builder, "entities.gate.bias", slots, MN_START_ZERO);
    mn_node a = mn_builder_vector(builder, "entities.state.bias", d, MN_START_ZERO);
    mn_node by_key = mn_graph_bias(graph, map(builder, "entities.key.weight", keys, d), a);
    mn_node by_sentence = map(builder, "entities.sentence.weight", s, d);
    mn_node key_scores = mn_graph_bias(graph, mn_graph_product(graph, s, keys, false, true), bias);
    by_key = mn_graph_tile_rows(graph, by_key, n);

    mn_node h = mn_graph_tile_rows(graph, keys, n); /* [questions * slots, d] */
    for (uint32_t t = 0; t < story.h; t++) {
        mn_node scores =
            mn_graph_batched_product(graph, mn_graph_rows(graph, s, t * n, n), h, n, false, true);
        scores = mn_graph_add(graph, scores, mn_graph_rows(graph, key_scores, t * n, n));
        gates[t] = mn_graph_row_scale(graph, mn_graph_columns(graph, mask, t, 1),
                                      mn_graph_sigmoid(graph, scores));
        mn_node told =
            mn_graph_repeat_rows(graph, mn_graph_rows(graph, by_sentence, t * n, n), slots);
        mn_node sum = mn_graph_add(graph, map(builder, "entities.state.weight", h, d),
                                   mn_graph_add(graph, told, by_key));
        mn_node g = mn_graph_reshape(graph, gates[t], (mn_extent){n * slots, 1, 1, 1});
        h = normalised(graph,
                       mn_graph_add(graph, h, mn_graph_row_scale(graph, g, prelu(builder, sum))));
    }
    builder->memory[role][ENTITIES] = h;
    mn_builder_show(builder, role, "entity gates", 0,
                    mn_graph_concat_columns(graph, story.h, gates));
}

static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    mn_node h = builder->memory[role][ENTITIES];
    return mn_sentences_attend(builder, role, hop, "entity attention", u, h, h, MN_NONE);
}

const mn_part mn_entities_part = {.name = "memory entities", .write = write, .read = read};

static mn_node prelu_hops(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    const mn_experiment *e = builder->experiment;
    const mn_part *memory = mn_memory_of(e);
    const mn_extent extent = mn_builder_extent(builder, builder->flow.u[role]);
    const uint32_t d = extent.h * extent.w * extent.c;
    mn_node u = mn_graph_reshape(graph, builder->flow.u[role], (mn_extent){extent.n, 1, 1, d});
    if (memory->read == NULL) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.reasoning prelu-hops asks a memory, but model.memory is %s",
                              memory->name);
        return u;
    }
    for (uint32_t hop = 0; hop < e->model.hops && builder->status == MN_OK; hop++) {
        if (e->model.control != MN_CONTROL_QUESTION)
            u = mn_graph_add(graph, u,
                             map(builder, "read.weight", memory->read(builder, role, hop, u), d));
        u = prelu(builder, u);
    }
    return u;
}

const mn_part mn_prelu_hops_part = {.name = "reasoning prelu-hops", .build = prelu_hops};
