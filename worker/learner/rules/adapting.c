#include "worker/learner/rules/adapting.h"

void mn_adapting_tensors(const mn_network *network, mn_adapts adapts, uint32_t *first,
                         uint32_t *end)
{
    const uint32_t *of = network->first;
    *first = adapts == MN_ADAPTS_OUTPUT   ? of[MN_MODULE_OUTPUT]
             : adapts == MN_ADAPTS_MEMORY ? of[MN_MODULE_MEMORY]
                                          : 0;
    *end = adapts == MN_ADAPTS_BODY     ? of[MN_MODULE_OUTPUT]
           : adapts == MN_ADAPTS_MEMORY ? of[MN_MODULE_REASONING]
                                        : of[MN_N_MODULES];
}
