#include "worker/learner/parts/batch_norm.h"

#include <stdio.h>

mn_node mn_batch_norm_build(mn_builder *builder, mn_role role, uint32_t layer, mn_node x, bool relu)
{
    const uint32_t c = mn_builder_extent(builder, x).c;
    char name[32];
    (void)role;
    (void)snprintf(name, sizeof name, "bn%u.weight", layer);
    mn_node gamma = mn_builder_vector(builder, name, c, MN_START_ONE);
    (void)snprintf(name, sizeof name, "bn%u.bias", layer);
    mn_node beta = mn_builder_vector(builder, name, c, MN_START_ZERO);
    return mn_graph_batch_norm(builder->graph, x, gamma, beta,
                               builder->experiment->model.batch_norm_eps, relu);
}
