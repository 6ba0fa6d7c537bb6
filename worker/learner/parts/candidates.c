/* The output module of dialogues: sentences of which one is the answer (Bordes, Boureau, Weston 2016,
 * arXiv:1605.07683).
 *   candidates   y_c = o . sum_j W[w_cj]   of candidate c with words w_c, a bag
 * A candidate's vector is made once for all questions of the task. With match types, o . M_t is added to
 * y_c for every type t of which the candidate holds an entity that the question's dialogue holds too.
 * Tensors response.weight (W; tied: the table of what the memory gives) and match.weight (M). */
#include "worker/learner/parts/sentences.h"

static mn_node candidate_words(mn_builder *builder, uint32_t d)
{
    const mn_experiment *e = builder->experiment;
    if (e->model.candidates == MN_CANDIDATES_OWN)
        return mn_builder_table(builder, "response.weight", mn_builder_vocabulary(builder), d,
                                MN_START_NORMAL, e->model.word_scale);
    return e->model.memory == MN_MEMORY_STORY ? mn_story_given_words(builder)
                                              : mn_sentences_words(builder);
}

/* o . M_t where a candidate matches: match [n, types, 1, candidates]. */
static mn_node worth_of_matches(mn_builder *builder, mn_node o, mn_node match)
{
    mn_graph *graph = builder->graph;
    const mn_extent extent = mn_builder_extent(builder, match);
    mn_node by_type =
        mn_builder_table(builder, "match.weight", extent.h, mn_builder_extent(builder, o).c,
                         MN_START_NORMAL, MN_SENTENCES_START);
    mn_node worth = mn_graph_product(graph, o, by_type, false, true);
    mn_node rows = mn_graph_reshape(graph, match, (mn_extent){extent.n * extent.h, 1, 1, extent.c});
    return mn_graph_batched_product(graph, worth, rows, extent.n, false, false);
}

static mn_node candidates(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    mn_node o = mn_builder_flat(builder, builder->flow.o[role]);
    mn_node ids = mn_builder_need(builder, "model.output candidates", MN_SHARED, "candidates");
    mn_node match = mn_builder_field(builder, role, "match");
    const uint32_t d = mn_builder_extent(builder, o).c;
    mn_node words = candidate_words(builder, d);
    if (builder->status == MN_OK && mn_builder_extent(builder, words).c != d)
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model.candidates tied compares words of %u numbers with what is "
                              "reasoned, which has %u: use model.candidates own",
                              mn_builder_extent(builder, words).c, d);
    if (builder->status != MN_OK)
        return o;
    mn_node vectors = mn_graph_embed(graph, ids, words, MN_NONE, 0);
    mn_node y = mn_graph_product(graph, o, vectors, false, true);
    return match == MN_NONE ? y : mn_graph_add(graph, y, worth_of_matches(builder, o, match));
}

const mn_part mn_candidates_part = {
    .name = "output candidates", .build = candidates, .by_softmax = true};
