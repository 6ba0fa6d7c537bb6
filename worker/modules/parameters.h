/* parameters.h: the tensors of theta: names and shapes as PyTorch has them outside, one dense
 * vector in the engine's own layout inside. Both hold the same tensors in the same order, so
 * offsets agree; only the order of the numbers within a tensor differs. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "common/tensor_file.h"
#include "worker/engine/graph.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_MAX_PARAMETERS 160

typedef enum mn_layout {
    MN_LAYOUT_PLAIN,
    MN_LAYOUT_LINEAR, /* outside [out, in], inside [in, out]; if the input is an image, its items
                         are (channel, y, x) outside and (y, x, channel) inside */
    MN_LAYOUT_CONV,   /* outside [out, in, 3, 3], inside [3, 3, in, out] */
} mn_layout;

typedef enum mn_init { MN_START_WEIGHTS, MN_START_ZERO, MN_START_ONE } mn_init;

typedef struct mn_parameter {
    mn_tensor tensor; /* float32, outside shape, no data */
    mn_layout layout;
    mn_init init;
    mn_extent inside;
    uint32_t image_pixels; /* LINEAR over an image: h*w, else 1 */
    size_t offset, count;  /* elements */
} mn_parameter;

typedef struct mn_parameters {
    uint32_t n;
    size_t size; /* elements in all */
    mn_parameter at[MN_MAX_PARAMETERS];
} mn_parameters;

/* Declare a tensor at the end; its index, or UINT32_MAX when there are too many. */
uint32_t mn_parameters_add_linear(mn_parameters *parameters, const char *name, mn_extent from,
                                  uint32_t out);
uint32_t mn_parameters_add_conv(mn_parameters *parameters, const char *name, uint32_t c_in,
                                uint32_t c_out);
uint32_t mn_parameters_add_vector(mn_parameters *parameters, const char *name, uint32_t c,
                                  mn_init init);

/* Initial values [size]: each tensor from its own random stream. Weights: Glorot and Bengio 2010
 * (uniform), He et al. 2015 (normal), or a normal of standard deviation 0.01 redrawn beyond two of
 * them (as in Finn's code). */
void mn_parameters_start(const mn_parameters *parameters, mn_weight_init how, uint64_t seed,
                         mn_real *theta);

/* One vector from the inside order to the outside order, and back. */
void mn_parameters_export(const mn_parameters *parameters, const mn_real *inside, mn_real *outside);
void mn_parameters_import(const mn_parameters *parameters, const mn_real *outside, mn_real *inside);
