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

#define MN_MAX_PARAMETERS 320

typedef enum mn_layout {
    MN_LAYOUT_PLAIN,
    MN_LAYOUT_LINEAR, /* outside [out, in], inside [in, out]; if the input is an image, its items
                         are (channel, y, x) outside and (y, x, channel) inside */
    MN_LAYOUT_CONV,   /* outside [out, in, 3, 3], inside [3, 3, in, out] */
} mn_layout;

/* How a tensor begins. */
typedef enum mn_init {
    MN_START_WEIGHTS, /* as model.init says, by the tensor's own fan-in and fan-out */
    MN_START_ZERO,
    MN_START_ONE,
    MN_START_IDENTITY, /* of a square matrix */
    MN_START_VALUE,    /* `scale` everywhere */
    MN_START_NORMAL,   /* of standard deviation `scale` */
    MN_START_UNIFORM,  /* about 0, of standard deviation `scale` */
} mn_init;

typedef struct mn_parameter {
    mn_tensor tensor; /* float32, outside shape, no data */
    mn_layout layout;
    mn_init init;
    double scale;      /* of the init, where it takes one */
    bool is_statistic; /* of what runs through the network, not learned: its "gradient" is what it
                          lacks to the statistic at hand, and the outer step goes a share of that */
    double share;      /* of a statistic: how much of the way, 0 to 1 */
    bool stands;       /* no training moves it: its gradient is zero */
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
/* [rows, c], the same inside and outside: embeddings, slots of a memory. */
uint32_t mn_parameters_add_table(mn_parameters *parameters, const char *name, uint32_t rows,
                                 uint32_t c, mn_init init, double scale);
/* One like tensor `like`, with another name and all its numbers `value`: e.g. rates of its own. */
uint32_t mn_parameters_add_like(mn_parameters *parameters, const char *name, uint32_t like,
                                double value);

/* UINT32_MAX: there is none of this name. */
uint32_t mn_parameters_find(const mn_parameters *parameters, const char *name);

/* Initial values [size]: each tensor from its own random stream. Weights: Glorot and Bengio 2010
 * (uniform), He et al. 2015 (normal), a normal of standard deviation 0.01 redrawn beyond two of them
 * (as in Finn's code), or LeCun et al. 1998 (uniform, variance 1/fan-in). */
void mn_parameters_start(const mn_parameters *parameters, mn_weight_init how, uint64_t seed,
                         mn_real *theta);

/* One vector from the inside order to the outside order, and back. */
void mn_parameters_export(const mn_parameters *parameters, const mn_real *inside, mn_real *outside);
void mn_parameters_import(const mn_parameters *parameters, const mn_real *outside, mn_real *inside);
