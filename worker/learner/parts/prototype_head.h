/* prototype_head.h: a linear classifier that a task begins with. */
#pragma once

#include "worker/learner/builder.h"

/* y = u W + b with W [d, way] = 2 c_k, b [way] = -|c_k|^2, c_k the mean of class k's features in the
 * support set: the squared distance to class means, less what all classes share (Snell et al. 2017,
 * section 2.4; as the start of an inner loop Triantafillou et al. 2020, arXiv:1903.03096, section 3).
 * u [items, d], y one-hot [items, way]; absent [way] is 1 for classes without an item, or MN_NONE if
 * there are none. */
void mn_prototype_head(mn_graph *graph, mn_node u, mn_node y, mn_node absent, mn_node *weights,
                       mn_node *bias);
