/* Nothing is computed: features are the items themselves, as rows, and where the tasks have them the
 * labels of the items before (query.label_before), which a learner of sequences is given late. */
#include "worker/learner/parts/part.h"

static mn_node build(mn_builder *builder, mn_role role)
{
    const mn_node x = mn_builder_need(builder, "model.input identity", role, "x");
    const mn_node label = mn_builder_field(builder, role, "label_before");
    const mn_extent extent = mn_builder_extent(builder, x);
    const mn_node rows = mn_graph_reshape(
        builder->graph, x, (mn_extent){extent.n, 1, 1, extent.h * extent.w * extent.c});
    if (label == MN_NONE)
        return rows;
    return mn_graph_concat_columns(builder->graph, 2, (const mn_node[]){rows, label});
}

const mn_part mn_identity_part = {.name = "identity", .build = build};
