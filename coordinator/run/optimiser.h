/* optimiser.h: the outer step: theta_t and the mean meta-gradient -> theta_t+1.
 * SGD with momentum, Adagrad, Adam and AdamW by PyTorch's formulas (torch.optim.SGD, Adagrad, Adam,
 * AdamW: no dampening, no Nesterov, no amsgrad, no lr_decay), float32 state, each element by itself
 * in plain C, so that equal input gives equal bits on all ranks. No I/O; one thread owns an optimiser.
 */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include <stddef.h>
#include <stdint.h>

typedef struct mn_optimiser mn_optimiser;

/* What one step did, for the metrics. */
typedef struct mn_outer_step {
    double lr;
    double grad_norm; /* 2-norm of the mean meta-gradient, before clipping */
} mn_outer_step;

/* For n > 0 parameters, as it begins. The experiment is lent for the call. */
mn_status mn_optimiser_new(const mn_experiment *experiment, size_t n, mn_optimiser **out,
                           mn_error *err);
/* Parameters [begin, begin + n) are spared weight decay. Before the first step, in ascending order. */
mn_status mn_optimiser_spare(mn_optimiser *optimiser, size_t begin, size_t n, mn_error *err);
void mn_optimiser_destroy(mn_optimiser **optimiser);

/* The learning rate of meta-step `step` (0, 1, ...), a pure function, rounded to float32 so that
 * the last bits of a machine's cosine do not matter:
 *   constant  lr
 *   cosine    lr_min + (lr - lr_min) (1 + cos(pi step / (steps - 1))) / 2; lr_min is reached at the
 *             last step, and stays (SGDR without restarts: Loshchilov and Hutter 2016,
 *             arXiv:1608.03983)
 *   step      lr * lr_factor^floor(step / lr_step_every) */
double mn_learning_rate(const mn_experiment *experiment, uint64_t step);

/* One outer step in place. gradient [n] is the mean meta-gradient, every element finite; it is
 * overwritten. First
 *   clip_value > 0:  each element to [-clip_value, clip_value]
 *   clip_norm > 0:   times min(1, clip_norm / (norm + 1e-6)), the norm in double, added in the
 *                    order of the index (torch.nn.utils.clip_grad_norm_)
 * then, with t the number of steps taken, this one included,
 *   sgd:    g += weight_decay theta;  m = momentum m + g;  theta -= lr m
 *   adagrad: g += weight_decay theta;  v += g g, from outer.accumulator on;
 *           theta -= lr g / (sqrt(v) + eps)
 *           (Duchi, Hazan, Singer 2011)
 *   adam:   g += weight_decay theta;
 *           m += (g - m)(1 - beta1);  v = beta2 v + (1 - beta2) g g;
 *           theta -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *           (Kingma and Ba 2014, arXiv:1412.6980)
 *   adamw:  theta *= 1 - lr weight_decay, then as adam without decay
 *           (Loshchilov and Hutter 2017, arXiv:1711.05101)
 * A decay that is added to the gradient is that of a term weight_decay / 2 |theta|^2 of the loss,
 * which is not in the losses that are told; it comes after clipping.
 * The gradient may still be arriving: begin; take pieces of n elements in ascending order, each but
 * the last a multiple of MN_OPTIMISER_PIECE long; end. The bits do not depend on the pieces.
 * gradient and theta are whole vectors, and the same in all calls. Pieces that were taken may have
 * been stepped already, or not yet (a norm to be clipped has to be known first). */
#define MN_OPTIMISER_PIECE 16u
void mn_optimiser_begin(mn_optimiser *optimiser, double lr);
void mn_optimiser_take(mn_optimiser *optimiser, size_t n, float *gradient, float *theta);
void mn_optimiser_end(mn_optimiser *optimiser, float *gradient, float *theta, mn_outer_step *out);

/* State for checkpoints: vectors of n floats that a checkpoint reads and fills, means of gradients
 * and means or sums of their squares, and the number of steps taken. */
#define MN_OPTIMISER_VECTORS 2u
const char *mn_optimiser_vector_name(size_t i);                /* "m", "v" */
float *mn_optimiser_vector(mn_optimiser *optimiser, size_t i); /* NULL: it has none of this name */
uint64_t mn_optimiser_taken(const mn_optimiser *optimiser);
void mn_optimiser_set_taken(mn_optimiser *optimiser, uint64_t taken);
