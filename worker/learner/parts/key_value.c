/* Key-value memories of stories (Miller et al. 2016), a slot a word: its key is the sentence around
 * it, its value the word itself.
 *   key-value     of the word c of sentence i
 *                   k = sum_j l_j .* A[x_ij] + C[x_ic] + T_K[age_i]: a window of words, and the one
 *                       at its centre once more by a second dictionary
 *                   v = C[x_ic] + T_V[age_i]
 *                 p = softmax(q . k), o = sum p v; places without a word are left out
 *   hops          q' = R_hop (q + o), a matrix for each hop
 * The question has the table A. Windows are whole sentences, and all words are memories; the paper
 * has windows of some words around those that could be an answer, first looks up which memories
 * share a rare word with the question, and has no ages. Without those of values no hop can ask for
 * what was before what it has found. Tensors embed, centre, temporal_key, temporal_value, hop0 ..
 */
#include "worker/learner/parts/part.h"
#include "worker/learner/parts/sentences.h"

#include <stdio.h>

enum { KEYS, VALUES, MASK };

/* Sentences [n, d], and the age of each by a table of this name, if the tasks tell it. */
static mn_node aged(mn_builder *builder, mn_role role, const char *name, mn_node sentences)
{
    mn_graph *graph = builder->graph;
    mn_node age = mn_builder_field(builder, role, "age");
    const mn_extent extent = mn_builder_extent(builder, sentences);
    if (age == MN_NONE)
        return sentences;
    mn_node ages = mn_builder_table(builder, name, mn_builder_extent(builder, age).h + 1, extent.c,
                                    MN_START_NORMAL, MN_SENTENCES_START);
    age = mn_graph_reshape(graph, age, (mn_extent){extent.n, 1, 1, 1});
    return mn_graph_add(graph, sentences, mn_graph_embed(graph, age, ages, MN_NONE, 0));
}

static void write(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    mn_node ids = mn_builder_need(builder, "model.memory key-value", role, "story");
    const mn_extent story = mn_builder_extent(builder, ids);
    const uint32_t rows = story.n * story.h, length = story.c,
                   words = mn_builder_vocabulary(builder);
    const uint32_t d = builder->experiment->model.embedding;
    if (builder->status != MN_OK)
        return;
    mn_node windows = mn_sentences_encode(
        builder, role, mn_graph_reshape(graph, ids, (mn_extent){rows, 1, 1, length}),
        mn_sentences_words(builder), "story_mask.weight");
    mn_node each = mn_graph_reshape(graph, ids, (mn_extent){rows * length, 1, 1, 1});
    mn_node centres = mn_graph_embed(
        graph, each,
        mn_builder_table(builder, "centre.weight", words, d, MN_START_NORMAL, MN_SENTENCES_START),
        MN_NONE, 0);
    mn_node when = aged(builder, role, "temporal_value.weight",
                        mn_graph_zero(graph, (mn_extent){rows, 1, 1, d}));
    mn_node ones = mn_graph_constant(graph, 1, (mn_extent){words, 1, 1, 1});
    windows = aged(builder, role, "temporal_key.weight", windows);
    builder->memory[role][KEYS] =
        mn_graph_add(graph, mn_graph_repeat_rows(graph, windows, length), centres);
    builder->memory[role][VALUES] =
        mn_graph_add(graph, mn_graph_repeat_rows(graph, when, length), centres);
    builder->memory[role][MASK] =
        mn_graph_reshape(graph, mn_graph_embed(graph, each, ones, MN_NONE, 0),
                         (mn_extent){story.n, 1, 1, story.h * length});
}

static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    const mn_node *memory = builder->memory[role];
    mn_node o = mn_sentences_attend(builder, role, hop, "word attention", u, memory[KEYS],
                                    memory[VALUES], memory[MASK]);
    mn_builder_show(builder, role, "read", hop + 1, o);
    return o;
}

static mn_node next(mn_builder *builder, uint32_t hop, mn_node sum)
{
    char name[24];
    const mn_extent extent = mn_builder_extent(builder, sum);
    (void)snprintf(name, sizeof name, "hop%u.weight", (unsigned)hop);
    return mn_graph_linear(builder->graph, sum,
                           mn_builder_weights(builder, name, extent, extent.c));
}

const mn_part mn_key_value_part = {
    .name = "memory key-value", .write = write, .read = read, .next = next};
