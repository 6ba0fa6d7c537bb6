/* class_vectors.h: what memories of classes leave for outputs that compare with them: a vector of each
 * class, wherever it comes from. They lie in builder->memory[MN_SUPPORT]. */
#pragma once

#include "worker/learner/builder.h"

enum {
    MN_CLASS_VECTORS, /* [way, d] */
    MN_CLASS_BIASES,  /* [way], what is added to the products with them; MN_NONE: nothing */
};

/* Rows of length 1; a row of zeros stays one. */
mn_node mn_unit_rows(mn_builder *builder, mn_node a);
