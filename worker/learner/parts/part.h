/* part.h: what a piece of the network is: one row. The network is input -> memory -> reasoning ->
 * output; each module has a table of its kinds in network.c. A new kind is a file with its row, a
 * line in that table, and its options in common/experiment.c.
 * Parts find what others made in builder->flow, read the fields of the task by name, and name their
 * parameters as PyTorch would. */
#pragma once

#include "worker/learner/builder.h"

typedef struct mn_part {
    const char *name; /* module and kind, as in "memory table": for messages */
    /* input: the features u of a set. reasoning: o from its u. output: y from its o. */
    mn_node (*build)(mn_builder *builder, mn_role role);
    /* memory: write what the items of `role` leave in it; before reasoning, for each set that is
     * built. A memory that only the support set writes says so, and all sets read it. */
    void (*write)(mn_builder *builder, mn_role role);
    bool written_by_support;
    bool takes_padding; /* memory, reasoning: works item by item, or leaves out what is padding */
    /* memory: what it gives for the question u [rows, d], the hop-th time it is asked. */
    mn_node (*read)(mn_builder *builder, mn_role role, uint32_t hop, mn_node u);
    /* memory: what reasoning hops asks it with next, where that is not just u and what it gave for
     * it, which `sum` is. */
    mn_node (*next)(mn_builder *builder, uint32_t hop, mn_node sum);
    /* output: the loss of flow.y. NULL: squared error, or cross-entropy of classes. */
    mn_node (*loss)(mn_builder *builder, mn_role role);
    bool by_softmax;  /* output: a cross-entropy with weights is made by mn_graph_choice_loss */
    uint32_t columns; /* output: numbers of its answer for each number of y; 0 stands for 1 */
} mn_part;

/* input */
extern const mn_part mn_mlp_part, mn_conv4_part, mn_identity_part, mn_sentences_part,
    mn_linear_input_part;
/* memory */
extern const mn_part mn_no_memory_part, mn_class_means_part, mn_support_memory_part, mn_table_part,
    mn_lrua_memory_part, mn_mean_part, mn_story_part, mn_sentences_memory_part, mn_entities_part,
    mn_key_value_part, mn_fast_weights_part, mn_context_part, mn_transformer_part,
    mn_descriptions_part, mn_ridge_part;
/* reasoning */
extern const mn_part mn_no_reasoning_part, mn_concat_linear_part, mn_lstm_part, mn_feedforward_part,
    mn_concat_mlp_part, mn_hops_part, mn_query_reduction_part, mn_prelu_hops_part, mn_read_part;
/* output */
extern const mn_part mn_linear_output_part, mn_distance_part, mn_match_part, mn_gaussian_part,
    mn_words_part, mn_compatibility_part, mn_candidates_part;

/* Does the output module begin each task with prototypes or zeros (meta.head_start), with no tensors
 * of its own in theta? */
bool mn_head_is_of_task(const mn_experiment *experiment);

/* The memory of the experiment's network, for reasoning parts that ask it. */
const mn_part *mn_memory_of(const mn_experiment *experiment);
