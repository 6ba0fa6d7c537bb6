/* output.h: the output module, u -> y: one linear layer. */
#pragma once

#include "worker/modules/network.h"

mn_status mn_output_declare(mn_network *network, mn_extent u, mn_error *err);

mn_node mn_output_build(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                        uint32_t *next, mn_node u);
