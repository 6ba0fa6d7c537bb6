#include "worker/modules/input.h"

#include <stdio.h>

static mn_status declare_mlp(mn_network *network, mn_extent *u, mn_error *err);
static mn_status declare_conv(mn_network *network, mn_extent *u, mn_error *err);
static mn_node build_mlp(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                         uint32_t *next, mn_node x);
static mn_node build_conv(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                          uint32_t *next, mn_node x);

mn_status mn_input_declare(mn_network *network, mn_extent *u, mn_error *err)
{
    return network->input == MN_INPUT_MLP ? declare_mlp(network, u, err)
                                          : declare_conv(network, u, err);
}

mn_node mn_input_build(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                       uint32_t *next, mn_node x)
{
    return network->input == MN_INPUT_MLP ? build_mlp(network, graph, parameters, next, x)
                                          : build_conv(network, graph, parameters, next, x);
}

static mn_status too_many(mn_error *err)
{
    return mn_fail(err, MN_ERR_CONFIG,
                   "model: more than %d tensors of parameters; use fewer layers",
                   MN_MAX_PARAMETERS);
}

static uint32_t declare_batch_norm(mn_parameters *parameters, uint32_t layer, uint32_t c)
{
    char name[32];
    (void)snprintf(name, sizeof name, "bn%u.weight", layer);
    (void)mn_parameters_add_vector(parameters, name, c, MN_START_ONE);
    (void)snprintf(name, sizeof name, "bn%u.bias", layer);
    return mn_parameters_add_vector(parameters, name, c, MN_START_ZERO);
}

/* [linear, batch norm if asked, activation] for each width of model.hidden. */
static mn_status declare_mlp(mn_network *network, mn_extent *u, mn_error *err)
{
    mn_extent extent = network->x;
    for (uint32_t layer = 1; layer <= network->hidden.n; layer++) {
        uint32_t width = network->hidden.at[layer - 1];
        char name[32];
        (void)snprintf(name, sizeof name, "fc%u.weight", layer);
        (void)mn_parameters_add_linear(&network->parameters, name, extent, width);
        (void)snprintf(name, sizeof name, "fc%u.bias", layer);
        uint32_t last = mn_parameters_add_vector(&network->parameters, name, width, MN_START_ZERO);
        if (network->batch_norm)
            last = declare_batch_norm(&network->parameters, layer, width);
        if (last == UINT32_MAX)
            return too_many(err);
        extent = (mn_extent){1, 1, 1, width};
    }
    *u = extent;
    return MN_OK;
}

static mn_node build_mlp(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                         uint32_t *next, mn_node x)
{
    for (uint32_t layer = 0; layer < network->hidden.n; layer++) {
        mn_node weight = parameters[(*next)++], bias = parameters[(*next)++];
        x = mn_graph_linear(graph, x, weight);
        if (network->batch_norm) { /* takes the mean away again: the bias has no effect and gradient
                                      0 */
            mn_node gamma = parameters[(*next)++], beta = parameters[(*next)++];
            bool relu = network->activation == MN_RELU;
            x = mn_graph_batch_norm(graph, x, gamma, beta, network->batch_norm_eps, relu);
            if (!relu)
                x = mn_graph_tanh(graph, x);
        } else {
            x = mn_graph_bias(graph, x, bias);
            x = network->activation == MN_RELU ? mn_graph_relu(graph, x) : mn_graph_tanh(graph, x);
        }
    }
    return x;
}

static mn_status declare_conv(mn_network *network, mn_extent *u, mn_error *err)
{
    mn_extent extent = network->x;
    bool pool = network->downsampling == MN_DOWN_MAX_POOL;
    for (uint32_t block = 1; block <= network->blocks; block++) {
        if (pool && (extent.h < 2 || extent.w < 2))
            return mn_fail(
                err, MN_ERR_CONFIG,
                "model.blocks: %u is too many: the image of %u x %u is down to %u x %u before "
                "max-pool %u; use fewer blocks or model.downsampling: stride",
                network->blocks, network->x.h, network->x.w, extent.h, extent.w, block);
        char name[32];
        (void)snprintf(name, sizeof name, "conv%u.weight", block);
        (void)mn_parameters_add_conv(&network->parameters, name, extent.c, network->filters);
        (void)snprintf(name, sizeof name, "conv%u.bias", block);
        (void)mn_parameters_add_vector(&network->parameters, name, network->filters, MN_START_ZERO);
        if (declare_batch_norm(&network->parameters, block, network->filters) == UINT32_MAX)
            return too_many(err);
        extent.h = pool ? extent.h / 2 : (extent.h - 1) / 2 + 1;
        extent.w = pool ? extent.w / 2 : (extent.w - 1) / 2 + 1;
        extent.c = network->filters;
    }
    if (network->readout == MN_READOUT_MEAN)
        extent.h = extent.w = 1;
    *u = extent;
    return MN_OK;
}

static mn_node build_conv(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                          uint32_t *next, mn_node x)
{
    bool pool = network->downsampling == MN_DOWN_MAX_POOL;
    for (uint32_t block = 0; block < network->blocks; block++) {
        mn_node weight = parameters[(*next)++];
        (*next)++; /* the bias: batch norm takes it away again, so its gradient is 0 by structure */
        mn_node gamma = parameters[(*next)++], beta = parameters[(*next)++];
        x = mn_graph_conv(graph, x, weight, pool ? 1 : 2);
        x = mn_graph_batch_norm(graph, x, gamma, beta, network->batch_norm_eps, true);
        if (pool)
            x = mn_graph_max_pool(graph, x);
    }
    return network->readout == MN_READOUT_MEAN ? mn_graph_pixel_mean(graph, x) : x;
}
