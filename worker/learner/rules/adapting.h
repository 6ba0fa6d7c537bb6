/* adapting.h: which tensors of a network adapt to a task. */
#pragma once

#include "worker/learner/network.h"

/* Those of the modules that are named: tensors [*first, *end) of the network, which may be none. */
void mn_adapting_tensors(const mn_network *network, mn_adapts adapts, uint32_t *first,
                         uint32_t *end);
