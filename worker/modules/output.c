#include "worker/modules/output.h"

mn_status mn_output_declare(mn_network *network, mn_extent u, mn_error *err)
{
    mn_parameters *parameters = &network->parameters;
    (void)mn_parameters_add_linear(parameters, "head.weight", u, network->y_size);
    if (mn_parameters_add_vector(parameters, "head.bias", network->y_size, MN_START_ZERO) ==
        UINT32_MAX)
        return mn_fail(err, MN_ERR_CONFIG, "model: more than %d tensors of parameters",
                       MN_MAX_PARAMETERS);
    return MN_OK;
}

mn_node mn_output_build(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                        uint32_t *next, mn_node u)
{
    (void)network;
    mn_node weight = parameters[(*next)++], bias = parameters[(*next)++];
    return mn_graph_bias(graph, mn_graph_linear(graph, u, weight), bias);
}
