/* The input module of stories: questions, and for memories sentences, as vectors.
 *   bag   the sum of the words' vectors: l = 1
 *   position, position-printed   sum_j l_j .* E[w_j], with l as below
 *   mask  sum_j f_j .* E[w_j], with f learned, beginning with 1 (Henaff et al. 2017) */
#include "worker/learner/parts/sentences.h"

/* [n, 1, 1, 1]: 1 - middle .. n - middle of places counted from 1. */
static mn_node places(mn_graph *graph, uint32_t n, double middle)
{
    mn_node column = MN_NONE;
    for (uint32_t i = 0; i < n; i++)
        column = mn_graph_place_rows(
            graph, mn_graph_constant(graph, i + 1 - middle, (mn_extent){1, 1, 1, 1}), i, n, column);
    return column;
}

/* position: l_jk = 1 + 4 (j - (J + 1) / 2) (k - (d + 1) / 2) / (J d), [J, d], as in the authors' code.
 * position-printed: the paper's own formula, (1 - j / J) - (k / d) (1 - 2 j / J), that is half of the
 * above about J / 2 and d / 2. J is the longest there may be, not the sentence's own length. */
mn_node mn_word_weights(mn_builder *builder, mn_role role, uint32_t length)
{
    mn_graph *graph = builder->graph;
    const uint32_t d = builder->experiment->model.embedding;
    const mn_field *story = mn_fields_find(builder->fields, role, "story");
    const mn_field *question = mn_fields_find(builder->fields, role, "question");
    uint32_t longest = length;
    if (builder->experiment->model.encoding == MN_ENCODING_BAG)
        return MN_NONE;
    if (story != NULL && story->channels > longest)
        longest = story->channels;
    if (question != NULL && question->channels > longest)
        longest = question->channels;
    const bool printed = builder->experiment->model.encoding == MN_ENCODING_POSITION_PRINTED;
    const double middle = printed ? 0 : 0.5, size = printed ? 0.5 : 1;
    mn_node weights = mn_graph_product(graph, places(graph, longest, longest / 2.0 + middle),
                                       places(graph, d, d / 2.0 + middle), false, true);
    weights = mn_graph_scale_add(graph, size * 4.0 / ((double)longest * d), weights,
                                 mn_graph_constant(graph, size, (mn_extent){longest, 1, 1, d}));
    return mn_graph_rows(graph, weights, 0, length);
}

/* sum_j f_j .* E[w_j] with f [length, d], learned. */
static mn_node masked(mn_builder *builder, mn_node ids, mn_node words, const char *mask)
{
    mn_graph *graph = builder->graph;
    const mn_extent extent = mn_builder_extent(builder, ids);
    const uint32_t d = mn_builder_extent(builder, words).c, rows = extent.n * extent.h * extent.w;
    mn_node f = mn_builder_table(builder, mask, extent.c, d, MN_START_VALUE, 1);
    mn_node each =
        mn_graph_embed(graph, mn_graph_reshape(graph, ids, (mn_extent){rows * extent.c, 1, 1, 1}),
                       words, MN_NONE, 0);
    each = mn_graph_column_scale(
        graph, mn_graph_reshape(graph, each, (mn_extent){rows, 1, 1, extent.c * d}),
        mn_graph_reshape(graph, f, (mn_extent){1, 1, 1, extent.c * d}));
    return mn_graph_sum_groups(
        graph, mn_graph_reshape(graph, each, (mn_extent){rows * extent.c, 1, 1, d}), extent.c);
}

mn_node mn_sentences_encode(mn_builder *builder, mn_role role, mn_node ids, mn_node words,
                            const char *mask)
{
    if (builder->experiment->model.encoding == MN_ENCODING_MASK)
        return masked(builder, ids, words, mask);
    return mn_graph_embed(builder->graph, ids, words,
                          mn_word_weights(builder, role, mn_builder_extent(builder, ids).c), 0);
}

mn_node mn_sentences_words(mn_builder *builder)
{
    const mn_experiment *e = builder->experiment;
    const bool wide = e->model.memory == MN_MEMORY_SENTENCES; /* Seo et al. 2017 */
    return mn_builder_table(builder, "embed.weight", mn_builder_vocabulary(builder),
                            e->model.embedding, wide ? MN_START_UNIFORM : MN_START_NORMAL,
                            wide ? e->model.word_start : MN_SENTENCES_START);
}

mn_node mn_sentences_in_order(mn_builder *builder, mn_role role, mn_node ids)
{
    mn_graph *graph = builder->graph;
    const mn_extent story = mn_builder_extent(builder, ids);
    const uint32_t n = story.n, length = story.c;
    mn_node flat = mn_graph_reshape(graph, ids, (mn_extent){n, 1, 1, story.h * length});
    mn_node turned = MN_NONE;
    for (uint32_t t = 0; t < story.h; t++)
        turned = mn_graph_place_rows(graph, mn_graph_columns(graph, flat, t * length, length),
                                     t * n, story.h * n, turned);
    return mn_sentences_encode(builder, role, turned, mn_sentences_words(builder),
                               "story_mask.weight");
}

mn_node mn_sentences_attend(mn_builder *builder, mn_role role, uint32_t hop, const char *shown,
                            mn_node u, mn_node keys, mn_node values, mn_node mask)
{
    mn_graph *graph = builder->graph;
    const uint32_t n = mn_builder_extent(builder, u).n;
    mn_node scores = mn_graph_batched_product(graph, u, keys, n, false, true);
    mn_node p = mn_graph_softmax(graph, scores, mask);
    mn_builder_show(builder, role, shown, hop + 1, p);
    return mn_graph_batched_product(graph, p, values, n, false, false);
}

/* The question's words have the table of the story's, or the first of an end-to-end memory network's,
 * or one of their own. */
static mn_node question_words(mn_builder *builder)
{
    const mn_experiment *e = builder->experiment;
    const mn_memory_kind memory = e->model.memory;
    if (memory == MN_MEMORY_SENTENCES || memory == MN_MEMORY_ENTITIES ||
        memory == MN_MEMORY_KEY_VALUE || memory == MN_MEMORY_FAST_WEIGHTS)
        return mn_sentences_words(builder);
    static const char *const names[] = {[MN_TYING_ADJACENT] = "embed0.weight",
                                        [MN_TYING_LAYER_WISE] = "embed_b.weight",
                                        [MN_TYING_SINGLE] = "embed.weight"};
    const mn_tying tying = memory == MN_MEMORY_STORY ? e->model.tying : MN_TYING_LAYER_WISE;
    return mn_builder_table(builder, names[tying], mn_builder_vocabulary(builder),
                            e->model.embedding, MN_START_NORMAL,
                            memory == MN_MEMORY_STORY ? e->model.word_scale : MN_SENTENCES_START);
}

static mn_node question(mn_builder *builder, mn_role role)
{
    mn_node ids = mn_builder_need(builder, "model.input sentences", role, "question");
    const mn_extent extent = mn_builder_extent(builder, ids);
    mn_node words = question_words(builder);
    const mn_extent u = {extent.n, 1, 1, builder->experiment->model.embedding};
    mn_node encoded = mn_sentences_encode(builder, role, ids, words, "question_mask.weight");
    return builder->experiment->model.control == MN_CONTROL_STORY ? mn_graph_zero(builder->graph, u)
                                                                  : encoded;
}

const mn_part mn_sentences_part = {.name = "input sentences", .build = question};
