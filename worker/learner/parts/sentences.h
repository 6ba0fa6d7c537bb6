/* sentences.h: words as vectors, for parts that read stories. */
#pragma once

#include "worker/learner/parts/part.h"

/* Standard deviation that tables and maps of memories of stories begin with. */
#define MN_SENTENCES_START 0.1

/* The weights l_jk [length, d] of a sentence's words, as model.encoding says; MN_NONE: all are 1.
 * Not for model.encoding mask. */
mn_node mn_word_weights(mn_builder *builder, mn_role role, uint32_t length);

/* ids [rows, length], words [V, d] -> [rows, d], a vector a sentence, as model.encoding says.
 * mask: name of the tensor [length, d] that is learned with model.encoding mask. */
mn_node mn_sentences_encode(mn_builder *builder, mn_role role, mn_node ids, mn_node words,
                            const char *mask);

/* A story's ids [n, sentences, 1, length] by the one table of words -> [sentences * n, d]: the n
 * first sentences, then the second ones: those of a step stand together. */
mn_node mn_sentences_in_order(mn_builder *builder, mn_role role, mn_node ids);

/* The table [V, d] of the words of questions and stories, where both have the same: embed.weight. */
mn_node mn_sentences_words(mn_builder *builder);

/* Of model.memory story: the table of the words that its last hop gives. */
mn_node mn_story_given_words(mn_builder *builder);

/* Each question u [n, d] looks at the memories of its own story, keys and values [n * slots, d]:
 * p = softmax(keys u), sum_i p_i values_i [n, d]. mask [n, slots] says which there are; MN_NONE: all.
 * p is shown as `shown`, of the hop counted from 0. */
mn_node mn_sentences_attend(mn_builder *builder, mn_role role, uint32_t hop, const char *shown,
                            mn_node u, mn_node keys, mn_node values, mn_node mask);
