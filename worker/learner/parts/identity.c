/* Nothing is computed: features are the items themselves, as rows. */
#include "worker/learner/parts/part.h"

static mn_node build(mn_builder *builder, mn_role role)
{
    const mn_node x = mn_builder_need(builder, "model.input identity", role, "x");
    const mn_extent extent = mn_builder_extent(builder, x);
    return mn_graph_reshape(builder->graph, x,
                            (mn_extent){extent.n, 1, 1, extent.h * extent.w * extent.c});
}

const mn_part mn_identity_part = {.name = "input identity", .build = build};
