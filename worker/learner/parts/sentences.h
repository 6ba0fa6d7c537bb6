/* sentences.h: words as vectors, for parts that read stories. */
#pragma once

#include "worker/learner/builder.h"

/* Standard deviation that tables and maps of memories of stories begin with. */
#define MN_SENTENCES_START 0.1

/* ids [rows, length], words [V, d] -> [rows, d], a vector a sentence, as model.encoding says.
 * mask: name of the tensor [length, d] that is learned with model.encoding mask. */
mn_node mn_sentences_encode(mn_builder *builder, mn_role role, mn_node ids, mn_node words,
                            const char *mask);

/* A story's ids [n, sentences, 1, length] by the one table of words -> [sentences * n, d]: the n first sentences,
 * then the second ones: those of a step stand together. */
mn_node mn_sentences_in_order(mn_builder *builder, mn_role role, mn_node ids);

/* The table [V, d] of the words of questions and stories, where both have the same: embed.weight. */
mn_node mn_sentences_words(mn_builder *builder);
