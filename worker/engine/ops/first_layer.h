/* first_layer.h: a convolution of few input channels with the batch norm, ReLU and 2x2 max-pooling
 * behind it, whose large arrays are made again for a few images at a time wherever they are needed,
 * and never kept. For fusion.c. */
#pragma once

#include "worker/engine/graph.h"

/* Is a number of the convolution's result made faster than fetched, and do arrays of a few images
 * fit the second cache? */
bool mn_first_layer_pays(const mn_conv *conv);

/* Of MN_OP_FIRST_PLACE, where the four others compute; and of MN_OP_FIRST_LAYER: what is pooled
 * comes first. */
mn_extent mn_first_layer_place(const mn_conv *conv);
mn_extent mn_first_layer_extent(const mn_conv *conv);
