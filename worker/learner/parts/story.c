/* End-to-end memory networks (Sukhbaatar et al. 2015): questions about stories.
 *   sentences   u = sum_j l_j .* B[q_j], the question's words; bag: l = 1; position: by their place
 *   story       m_i = sum_j l_j .* A[x_ij] + T_A[age_i], c_i likewise with C and T_C;
 *               p = softmax(m u), o = sum_i p_i c_i
 *   hops        u' = u + o, model.hops times; layer-wise: H u + o
 *   words       softmax over all words
 * Adjacent tying: A of hop k + 1 is C of hop k, B is A of hop 1, and the answer's weights are the C
 * of the last hop: tensors embed0 .. embedK, with the ages' temporal0 .. temporalK. Layer-wise: all
 * hops share embed_a, embed_c, temporal_a and temporal_c, and B, H and the answer's weights are
 * embed_b, hop and answer. Single: as layer-wise, but A, C and B are one table, embed, with temporal, as
 * Bordes, Boureau and Weston 2016 have it, where an unknown thing is found again by its own vector.
 * All begin normal with standard deviation 0.1. Word 0 contributes nothing.
 * Empty slots score 0 and give nothing, but stay in the softmax, unless model.empty_slots is false:
 * so in the authors' code, and better by three points of mean error on bAbI. */
#include "worker/learner/parts/sentences.h"

#include <stdio.h>

#define START MN_SENTENCES_START

static mn_node table(mn_builder *builder, const char *name, uint32_t number, uint32_t rows)
{
    char full[48];
    const uint32_t d = builder->experiment->model.embedding;
    if (number == UINT32_MAX)
        (void)snprintf(full, sizeof full, "%s.weight", name);
    else
        (void)snprintf(full, sizeof full, "%s%u.weight", name, (unsigned)number);
    return mn_builder_table(builder, full, rows, d, MN_START_NORMAL,
                            builder->experiment->model.word_scale);
}

static bool is_adjacent(const mn_builder *builder)
{
    return builder->experiment->model.tying == MN_TYING_ADJACENT;
}

static bool is_single(const mn_builder *builder)
{
    return builder->experiment->model.tying == MN_TYING_SINGLE;
}

/* How many sentences each story has told: the first slots, and no others. MN_NONE where all slots
 * are made, since model.encoding mask has no operation that passes over those that are not filled. */
static mn_node sentences_told(mn_builder *builder, mn_role role)
{
    if (builder->experiment->model.encoding == MN_ENCODING_MASK)
        return MN_NONE;
    mn_node mask = mn_builder_need(builder, "model.memory story", role, "mask");
    return mn_graph_row_dot(builder->graph, mask,
                            mn_graph_constant(builder->graph, 1, mn_builder_extent(builder, mask)));
}

/* A story's sentences [questions * slots, d] by one pair of tables. */
static mn_node sentences(mn_builder *builder, mn_role role, const char *kind, uint32_t number)
{
    mn_graph *graph = builder->graph;
    char words[24], ages[24];
    mn_node ids = mn_builder_need(builder, "model.memory story", role, "story");
    mn_node age = mn_builder_field(builder, role, "age");
    const mn_extent extent = mn_builder_extent(builder, ids);
    const mn_extent rows = {extent.n * extent.h, 1, 1, extent.c};
    (void)snprintf(words, sizeof words, "embed%s", kind);
    (void)snprintf(ages, sizeof ages, "temporal%s", kind);
    mn_node vectors = table(builder, words, number, mn_builder_vocabulary(builder));
    const mn_node filled = sentences_told(builder, role);
    ids = mn_graph_reshape(graph, ids, rows);
    mn_node m =
        filled == MN_NONE
            ? mn_sentences_encode(builder, role, ids, vectors, "story_mask.weight")
            : mn_graph_slots_embed(graph, ids, vectors, mn_word_weights(builder, role, extent.c), 0,
                                   filled, MN_NONE);
    if (age == MN_NONE)
        return m;
    mn_node told = mn_graph_reshape(graph, age, (mn_extent){rows.n, 1, 1, 1});
    mn_node by_age = table(builder, ages, number, extent.h + 1);
    return filled == MN_NONE
               ? mn_graph_add(graph, m, mn_graph_embed(graph, told, by_age, MN_NONE, 0))
               : mn_graph_slots_embed(graph, told, by_age, MN_NONE, 0, filled, m);
}

/* What hop number `hop` matches with, and what it reads. */
static mn_node keys(mn_builder *builder, mn_role role, uint32_t hop)
{
    return is_adjacent(builder)
               ? sentences(builder, role, "", hop)
               : sentences(builder, role, is_single(builder) ? "" : "_a", UINT32_MAX);
}

static mn_node values(mn_builder *builder, mn_role role, uint32_t hop)
{
    return is_adjacent(builder)
               ? sentences(builder, role, "", hop + 1)
               : sentences(builder, role, is_single(builder) ? "" : "_c", UINT32_MAX);
}

/* Declares; equal nodes are made once, so that reading makes nothing twice. */
static void write(mn_builder *builder, mn_role role)
{
    for (uint32_t hop = 0; hop < builder->experiment->model.hops && builder->status == MN_OK;
         hop++) {
        (void)keys(builder, role, hop);
        (void)values(builder, role, hop);
    }
}

/* Of scores [questions, slots]: the softmax, or with a linear start a mixture of it and the scores,
 * one of which each question's field `linear` leaves out. */
static mn_node attention(mn_builder *builder, mn_role role, mn_node scores)
{
    mn_graph *graph = builder->graph;
    mn_node linear = mn_builder_field(builder, role, "linear");
    mn_node mask = MN_NONE;
    if (builder->experiment->model.linear_attention)
        return scores;
    if (!builder->experiment->model.empty_slots)
        mask = mn_builder_need(builder, "model.empty_slots false", role, "mask");
    mn_node p = mn_graph_softmax(graph, scores, mask);
    if (linear == MN_NONE)
        return p;
    return mn_graph_add(graph, p,
                        mn_graph_row_scale(graph, linear, mn_graph_subtract(graph, scores, p)));
}

static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    mn_graph *graph = builder->graph;
    const uint32_t n = mn_builder_extent(builder, u).n;
    const mn_node filled = sentences_told(builder, role), match = keys(builder, role, hop);
    mn_node scores = filled == MN_NONE ? mn_graph_batched_product(graph, u, match, n, false, true)
                                       : mn_graph_slots_match(graph, u, match, filled);
    mn_node p = attention(builder, role, scores);
    const mn_node given = values(builder, role, hop);
    mn_node o = filled == MN_NONE ? mn_graph_batched_product(graph, p, given, n, false, false)
                                  : mn_graph_slots_read(graph, p, given, filled);
    mn_builder_show(builder, role, "attention", hop + 1, p);
    mn_builder_show(builder, role, "read", hop + 1, o);
    return o;
}

const mn_part mn_story_part = {.name = "memory story", .write = write, .read = read};

static mn_node hops(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    const mn_experiment *e = builder->experiment;
    const mn_part *memory = mn_memory_of(e);
    const bool maps = e->model.memory == MN_MEMORY_STORY && !is_adjacent(builder);
    mn_node u = builder->flow.u[role];
    for (uint32_t hop = 0; hop < e->model.hops && builder->status == MN_OK; hop++) {
        const mn_extent extent = mn_builder_extent(builder, u);
        mn_node kept = u;
        if (memory->read == NULL) {
            (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                                  "model.reasoning hops asks a memory, but model.memory is %s",
                                  memory->name);
            return u;
        }
        mn_builder_show(builder, role, "question", hop + 1, u);
        if (maps)
            kept = mn_graph_linear(graph, u,
                                   mn_builder_weights(builder, "hop.weight", extent, extent.c));
        if (e->model.control == MN_CONTROL_QUESTION) {
            u = kept;
            continue;
        }
        mn_node o = memory->read(builder, role, hop, u);
        const mn_extent answer = mn_builder_extent(builder, o);
        if (answer.n != extent.n || answer.c != extent.c || extent.h * extent.w != 1) {
            (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                                  "model.reasoning hops adds what the memory gives (%u numbers) to "
                                  "what it was asked with (%u x %u x %u): these must be as many",
                                  answer.c, extent.h, extent.w, extent.c);
            return u;
        }
        u = mn_graph_add(graph, kept, o);
        if (memory->next != NULL)
            u = memory->next(builder, hop, u);
    }
    return u;
}

const mn_part mn_hops_part = {.name = "reasoning hops", .build = hops, .takes_padding = true};

static mn_node words(mn_builder *builder, mn_role role)
{
    const mn_experiment *e = builder->experiment;
    const bool tied = e->model.memory == MN_MEMORY_STORY && is_adjacent(builder) &&
                      e->model.reasoning == MN_REASONING_HOPS;
    mn_node o = builder->flow.o[role];
    const mn_extent extent = mn_builder_extent(builder, o);
    if (e->model.reasoning == MN_REASONING_QUERY_REDUCTION) /* begins as model.init says */
        return mn_graph_linear(
            builder->graph, o,
            mn_builder_weights(builder, "answer.weight", extent, builder->fields->y_size));
    mn_node weights =
        tied ? table(builder, "embed", e->model.hops, builder->fields->y_size)
             : mn_builder_table(builder, "answer.weight", builder->fields->y_size,
                                extent.h * extent.w * extent.c, MN_START_NORMAL, START);
    return mn_graph_product(builder->graph, o, weights, false, true);
}

const mn_part mn_words_part = {.name = "output words", .build = words, .by_softmax = true};

mn_node mn_story_given_words(mn_builder *builder)
{
    return is_adjacent(builder) ? table(builder, "embed", builder->experiment->model.hops,
                                        mn_builder_vocabulary(builder))
                                : table(builder, is_single(builder) ? "embed" : "embed_c",
                                        UINT32_MAX, mn_builder_vocabulary(builder));
}
