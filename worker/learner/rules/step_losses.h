/* step_losses.h: how much the query loss after each inner step counts (multi-step loss: Antoniou et
 * al. 2019, arXiv:1810.09502, section 4). At first all steps count alike; over `horizon` meta-steps
 * the last takes from the others, each of which keeps a little to the end, as in the authors' code;
 * from then on it counts alone, as in MAML. */
#pragma once

#include <stdint.h>

/* Weight of the loss after `step` of `steps` inner steps, 1 <= step <= steps; those of all steps add
 * up to 1. */
double mn_step_loss_weight(uint64_t horizon, uint64_t meta_step, uint32_t steps, uint32_t step);
