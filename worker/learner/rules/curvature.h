/* curvature.h: Meta-Curvature: a step of the inner loop along the gradient as learned matrices turn it,
 * one for each mode of a tensor:
 *   phi' = phi - meta.inner_lr u,   u = g x_taps M_taps x_in M_in x_out M_out
 * A weight [out, in, taps] has the modes that it has in PyTorch: taps are the 9 of a convolution, or the
 * pixels of an image that a linear layer reads; a plain matrix has no taps, a vector g has one number
 * for each of its own instead (u = s .* g). All begin as the identity, so that it begins as MAML.
 * Tensors: curvature.out.<t> [out, out], curvature.in.<t> [in, in], curvature.taps.<t> [taps, taps],
 * curvature.scale.<t> [n]. Source: Park and Oliva 2019 (arXiv:1902.03356), section 3.2, eq. 4 to 7. */
#pragma once

#include "worker/learner/parameters.h"

#define MN_CURVATURE_MODES 3

/* Add those of tensor `of` of the list at its end. MN_ERR_CONFIG: there are too many, or a mode is so
 * large that its matrix would be no help. */
mn_status mn_curvature_declare(mn_parameters *list, uint32_t of, mn_error *err);

/* How many it has, at most MN_CURVATURE_MODES. */
uint32_t mn_curvature_count(const mn_parameter *tensor);

/* g [1, count], the tensor's gradient in the engine's order -> u [1, count]. matrices: inputs for what
 * is declared, in that order. */
mn_node mn_curvature_turn(mn_graph *graph, const mn_parameter *tensor, const mn_node *matrices,
                          mn_node g);
