/* network.h: the meta-memory network: input -> memory -> reasoning -> output, as one function x ->
 * y with a loss. Each module declares its parameters and adds its operations to a graph; which
 * kinds are used is the experiment's choice. Shapes are fixed per item; the number of items is open
 * until the graph is built. */
#pragma once

#include "worker/modules/parameters.h"
#include "worker/tasks/task_set.h"

typedef struct mn_network {
    mn_parameters parameters;
    mn_input_kind input;
    mn_uint_list hidden;
    uint32_t filters, blocks;
    mn_downsampling downsampling;
    mn_readout readout;
    mn_activation activation;
    bool batch_norm;
    double batch_norm_eps;
    mn_extent x, u;        /* of one item: n = 1; u: its features, which the output module reads */
    uint32_t first_output; /* tensor: this one and all behind it are the output module's */
    uint32_t y_size;
    mn_target target;
} mn_network;

/* Declare a network for tasks of this shape. MN_ERR_CONFIG: the image is too small for the blocks,
 * or the like. */
mn_status mn_network_init(mn_network *network, const mn_experiment *experiment,
                          const mn_task_shape *shape, mn_error *err);

/* y [n, y_size] of x; parameters[i] is the node of tensor i. */
mn_node mn_network_build(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                         mn_node x);

/* Its two parts: u of x, and y of u. */
mn_node mn_network_features(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                            mn_node x);
mn_node mn_network_answer(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                          mn_node u);

/* Mean squared error, or mean cross-entropy of the softmax of y (nats), over items. */
mn_node mn_network_loss(const mn_network *network, mn_graph *graph, mn_node y, mn_node target);

/* Multiply-adds of one item's forward pass: all of it, and the output module's part. */
double mn_network_macs(const mn_network *network, double *output_macs);
