/* batch_norm.h: batch normalisation (Ioffe and Szegedy 2015) within an input part. */
#pragma once

#include "worker/learner/builder.h"

/* y = gamma (x - mean) / sqrt(var + eps) + beta over the rows of x, with tensors bn<layer>.weight and
 * .bias; with relu, max(0, .) of it. By model.batch_norm_statistics mean and (biased) variance are
 *   batch     those of the set at hand, in tests too (transductive: items are judged together)
 *   support   those of the support set, at the same layer, for both sets (inductive; MetaBN of
 *             Bronskill et al. 2020, arXiv:2003.03284). Derivatives go through them
 *   item      of each item those over its own pixels (inductive; instance normalisation, Ulyanov et
 *             al. 2016, arXiv:1607.08022)
 *   running   in training those of the set at hand; in tests their running means, tensors
 *             bn<layer>.running_mean and .running_var (inductive: each item is judged alone). After
 *             a meta-step running += model.batch_norm_momentum (mean over tasks and sets - running) */
mn_node mn_batch_norm_build(mn_builder *builder, mn_role role, uint32_t layer, mn_node x,
                            bool relu);

/* With model.batch_norm_by_step gamma and beta are no tensors of the network: the rule gives those of
 * the inner step at hand (builder->step_norms); where it has not, they are 1 and 0. */
bool mn_norm_is_of_step(const mn_experiment *experiment);

/* The mode in words, to be told with every score; NULL: this network has no batch norm. */
const char *mn_batch_norm_remark(const mn_experiment *experiment);
