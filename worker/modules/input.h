/* input.h: the input module, x -> u: a multilayer perceptron, or blocks of convolution, batch
 * normalisation, ReLU and downsampling (the "Conv-4" of Vinyals 2016 and Finn 2017). */
#pragma once

#include "worker/modules/network.h"

/* Declare the parameters; the extent of u for one item goes to *u. */
mn_status mn_input_declare(mn_network *network, mn_extent *u, mn_error *err);

/* Add the operations; *next is the index of the first parameter of the module, and on return of the
 * one after its last. */
mn_node mn_input_build(const mn_network *network, mn_graph *graph, const mn_node *parameters,
                       uint32_t *next, mn_node x);
