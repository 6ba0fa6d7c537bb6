/* Blocks of 3x3 convolution, batch norm, ReLU and halving: the "Conv-4" of Vinyals et al. 2016
 * (max-pool, flattened) and of Finn et al. 2017 (stride, averaged). Or the averages of each block
 * side by side: colours and edges of the first, which a class may be known by that nothing was
 * trained on, and shapes of the last. */
#include "worker/learner/parts/part.h"

#include "worker/learner/parts/batch_norm.h"
#include <stdio.h>

#define MOST_BLOCKS 8 /* of model.blocks */

static mn_node build(mn_builder *builder, mn_role role)
{
    const mn_experiment *e = builder->experiment;
    const bool pool = e->model.downsampling == MN_DOWN_MAX_POOL;
    mn_node x = mn_builder_need(builder, "model.input conv4", role, "x");
    const mn_extent image = mn_builder_extent(builder, x);
    mn_node means[MOST_BLOCKS];
    for (uint32_t block = 1; block <= e->model.blocks; block++) {
        const mn_extent from = mn_builder_extent(builder, x);
        char name[32];
        if (pool && (from.h < 2 || from.w < 2)) {
            (void)mn_builder_fail(
                builder, MN_ERR_CONFIG,
                "model.blocks: %u is too many: the image of %u x %u is down to %u x %u before "
                "max-pool %u; use fewer blocks or model.downsampling: stride",
                e->model.blocks, image.h, image.w, from.h, from.w, block);
            return x;
        }
        (void)snprintf(name, sizeof name, "conv%u.weight", block);
        mn_node weight = mn_builder_kernel(builder, name, from.c, e->model.filters);
        (void)snprintf(name, sizeof name, "conv%u.bias", block); /* taken away again by the mean */
        (void)mn_builder_vector(builder, name, e->model.filters, MN_START_ZERO);
        x = mn_graph_conv(builder->graph, x, weight, pool ? 1 : 2);
        x = mn_batch_norm_build(builder, role, block, x, true);
        if (pool)
            x = mn_graph_max_pool(builder->graph, x);
        if (e->model.readout == MN_READOUT_BLOCKS)
            means[block - 1] = mn_graph_pixel_mean(builder->graph, x);
    }
    if (e->model.readout == MN_READOUT_BLOCKS)
        return mn_graph_concat_columns(builder->graph, e->model.blocks, means);
    return e->model.readout == MN_READOUT_MEAN ? mn_graph_pixel_mean(builder->graph, x) : x;
}

const mn_part mn_conv4_part = {.name = "input conv4", .build = build};
