#include "worker/learner/rules/step_losses.h"

#define LEAST 0.03 /* of what each step has at first */

double mn_step_loss_weight(uint64_t horizon, uint64_t meta_step, uint32_t steps, uint32_t step)
{
    const double share = 1.0 / steps;
    if (meta_step >= horizon)
        return step == steps ? 1 : 0;
    const double left = share * (1 - (double)meta_step / (double)horizon);
    const double other = left > LEAST * share ? left : LEAST * share;
    return step == steps ? 1 - (steps - 1) * other : other;
}
