/* batch_norm.h: batch normalisation (Ioffe and Szegedy 2015) within an input part. */
#pragma once

#include "worker/learner/builder.h"

/* y = gamma (x - mean) / sqrt(var + eps) + beta over the rows of x, with tensors bn<layer>.weight
 * and .bias; with relu, max(0, .) of it. Mean and variance are those of the set at hand, in tests
 * too (transductive). */
mn_node mn_batch_norm_build(mn_builder *builder, mn_role role, uint32_t layer, mn_node x,
                            bool relu);
