/* operation.h: an operation of a graph in words and numbers, for people who look for time. */
#pragma once

#include "worker/engine/graph.h"
#include <stddef.h>

/* "conv", "gemm" ...: static. Operations of one name do the same to other shapes. */
const char *mn_operation_name(const mn_graph_node *node);

/* e.g. "5 x 14x14 64->64 /2", "tn 64x5x64", "245 x 64"; rows and c are those of its first input. */
void mn_operation_shape(const mn_graph_node *node, size_t rows, size_t c, size_t bytes, char *text);

/* Two for each multiply-add of products and convolutions, from the mathematics (padding counts);
 * 0 for all others, whose time is that of their bytes. */
double mn_operation_flops(const mn_graph_node *node, size_t rows, size_t c);
