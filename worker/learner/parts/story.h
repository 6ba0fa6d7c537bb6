/* story.h: words and sentences as vectors, for the parts that read stories. */
#pragma once

#include "worker/learner/parts/part.h"

/* The weights l_jk [length, d] of a sentence's words, as model.encoding says; MN_NONE: all are 1. */
mn_node mn_word_weights(mn_builder *builder, mn_role role, uint32_t length);

/* model.memory sentences: the one table [vocabulary, d] of the question's words and the story's. */
mn_node mn_word_table(mn_builder *builder);
