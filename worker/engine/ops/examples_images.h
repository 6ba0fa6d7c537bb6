/* examples_images.h: examples of images.c and first_layer.c; convolution's values are those of
 * kernels_plain_test.c. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

static mn_node image(struct bed *bed, uint32_t n, uint32_t h, uint32_t w, uint32_t c)
{
    return mn_graph_tanh(&bed->graph, tensor(bed, (mn_extent){n, h, w, c}));
}

BUILD(conv)
{
    mn_node x = image(bed, 2, 3, 4, 2), w = arg(bed, 18, 2);
    return mn_graph_conv(&bed->graph, x, w, 2);
}
OF_A_DERIVATIVE(conv, conv);
OF_A_DERIVATIVE(conv_data, conv);
OF_A_DERIVATIVE(conv_weights, conv);

BUILD(pool_gather)
{
    return mn_graph_max_pool(&bed->graph, image(bed, 1, 4, 5, 2));
}
NAIVE(pool_gather)
{
    UNUSED;
    EACH(i, 8)
    {
        const double *corner = a[0] + (i / 4 * 2 * 5 + i / 2 % 2 * 2) * 2 + i % 2;
        out[i] = fmax(fmax(corner[0], corner[2]), fmax(corner[10], corner[12]));
    }
}
BUILT_AND_NAIVE(pool_gather);
OF_A_DERIVATIVE(pool_index, pool_gather);
OF_A_DERIVATIVE(pool_scatter, pool_gather);

BUILD(first_layer)
{
    mn_node x = mn_graph_input(&bed->graph, MN_SLOT_X, 0, (mn_extent){2, 4, 8, 1});
    mn_node w = arg(bed, 9, 2), gamma = arg(bed, 1, 2), beta = arg(bed, 1, 2);
    mn_node y = mn_graph_conv(&bed->graph, x, w, 1);
    return mn_graph_max_pool(&bed->graph,
                             mn_graph_batch_norm(&bed->graph, y, gamma, beta, 1e-2, true));
}
#define OF_A_FUSION(op, of) static const example example_##op = {.build = build_##of, .fused = true}
OF_A_FUSION(first_place, first_layer);
OF_A_FUSION(first_stats, first_layer);
OF_A_FUSION(first_layer, first_layer);
OF_A_FUSION(first_sums, first_layer);
OF_A_FUSION(first_weights, first_layer);

BUILD(pixel_mean)
{
    return mn_graph_pixel_mean(&bed->graph, image(bed, 2, 2, 2, C));
}
NAIVE(pixel_mean)
{
    UNUSED;
    EACH(i, 2 * C)
    {
        const double *p = a[0] + i / C * 4 * C + i % C;
        out[i] = (p[0] + p[C] + p[2 * C] + p[3 * C]) / 4;
    }
}
BUILT_AND_NAIVE(pixel_mean);
OF_A_DERIVATIVE(pixel_spread, pixel_mean);
