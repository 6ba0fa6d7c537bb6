/* loop_walk.h: the loop rule's way back: from the query set's gradient through the inner steps to
 * theta. For the files of that rule alone. */
#pragma once

#include "worker/learner/rules/loop_state.h"
#include "worker/learner/rules/rule.h"

/* lam = lam - H(phi_k) (alpha .* lam), from the last inner step to the first, with a learned update
 * lam + H(phi_k) times the adjoint of the gradient. It begins in judged, the query set's gradient,
 * and goes to and fro between that and other, with rates or an update stays in it; returned is what
 * phi has of it at the end. A body that stands still gets what the features' cotangents of all steps
 * give together, for it depends on them linearly. */
mn_real *mn_loop_walk_back(const mn_loop *meta, void *scratch, const mn_real *theta,
                           const mn_rule_data *data, mn_real *judged, mn_real *other,
                           mn_real *of_rule);

/* What phi began with: lam is its adjoint, a head's behind it; judged has the other tensors' part.
 * Written: the gradient of theta, and in the end the array that is scratch's at_gradient, whatever of
 * lam or judged was in it. */
void mn_loop_finish(const mn_loop *meta, void *scratch, const mn_real *theta,
                    const mn_rule_data *data, const mn_real *lam, const mn_real *judged,
                    mn_real *gradient);
