#include "worker/modules/network.h"

#include "worker/modules/input.h"
#include "worker/modules/output.h"
#include <string.h>

mn_status mn_network_init(mn_network *network, const mn_experiment *experiment,
                          const mn_task_shape *shape, mn_error *err)
{
    memset(network, 0, sizeof *network);
    network->input = experiment->model.input;
    network->hidden = experiment->model.hidden;
    network->filters = experiment->model.filters;
    network->blocks = experiment->model.blocks;
    network->downsampling = experiment->model.downsampling;
    network->readout = experiment->model.readout;
    network->activation = experiment->model.activation;
    network->batch_norm = experiment->model.batch_norm;
    network->batch_norm_eps = experiment->model.batch_norm_eps;
    network->x = (mn_extent){1, shape->height, shape->width, shape->channels};
    network->y_size = shape->y_size;
    network->target = shape->target;

    mn_status status = mn_input_declare(network, &network->u, err);
    network->first_output = network->parameters.n;
    if (status == MN_OK)
        status = mn_output_declare(network, network->u, err);
    return status;
}

mn_node mn_network_build(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                         mn_node x)
{
    return mn_network_answer(network, graph, parameters,
                             mn_network_features(network, graph, parameters, x));
}

mn_node mn_network_features(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                            mn_node x)
{
    uint32_t next = 0;
    return mn_input_build(network, graph, parameters, &next, x);
}

mn_node mn_network_answer(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                          mn_node u)
{
    uint32_t next = network->first_output;
    return mn_output_build(network, graph, parameters, &next, u);
}

mn_node mn_network_loss(const mn_network *network, mn_graph *graph, mn_node y, mn_node target)
{
    return network->target == MN_TARGET_CLASSES ? mn_graph_cross_entropy(graph, y, target)
                                                : mn_graph_squared_error(graph, y, target);
}

double mn_network_macs(const mn_network *network, double *output_macs)
{
    mn_graph graph;
    mn_graph_init(&graph);
    mn_node parameters[MN_MAX_PARAMETERS];
    const mn_parameters *list = &network->parameters;
    for (uint32_t i = 0; i < list->n; i++)
        parameters[i] =
            mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    (void)mn_network_build(network, &graph, parameters,
                           mn_graph_input(&graph, MN_SLOT_X, 0, network->x));

    double macs = 0.0, last = 0.0;
    for (uint32_t i = 0; i < graph.n_nodes; i++) {
        const mn_graph_node *node = &graph.nodes[i];
        if (node->op != MN_OP_CONV && node->op != MN_OP_GEMM)
            continue;
        double pixels = (double)node->extent.n * node->extent.h * node->extent.w;
        last = pixels * (double)mn_extent_count(graph.nodes[node->in[1]].extent);
        macs += last;
    }
    mn_graph_fini(&graph);
    if (output_macs != NULL)
        *output_macs = last;
    return macs;
}
