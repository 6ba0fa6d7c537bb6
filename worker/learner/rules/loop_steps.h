/* loop_steps.h: the loop rule's way there: features and head once a task, inner steps, and the query
 * set. For the files of that rule alone. */
#pragma once

#include "worker/learner/rules/loop_state.h"
#include "worker/learner/rules/rule.h"

/* From now on the tensors that there are of each inner step are those of this one. */
void mn_loop_enter_step(const mn_loop *meta, void *scratch, const mn_real *theta, uint32_t step);

/* What the query set or the products just gave to the step's scales and shifts of batch norm;
 * of_rule: the gradient of the tensors behind the network's. */
void mn_loop_add_to_norms(const mn_loop *meta, const void *scratch, mn_real factor,
                          mn_real *of_rule);

/* Once a task: the features of the support set at theta, which stay the same for all inner steps if
 * the body stands still; and phi with the head that they give. */
void mn_loop_find_features(const mn_loop *meta, void *scratch, const mn_real *theta,
                           const mn_rule_data *data);

/* Of a stream, where the features that the inner step reads lie in an array like those of the whole
 * support set; and these features, copied to where a plan may read them. The slice of the task. */
mn_real *mn_loop_step_features(const mn_loop *meta, const void *scratch, size_t array);
const mn_real *mn_loop_step_u(const mn_loop *meta, const void *scratch);
const mn_real *mn_loop_step_task(const mn_loop *meta, const void *scratch,
                                 const mn_rule_data *data);

/* A stage of the support set's plan at phi of inner step k, with what its product needs in the
 * step's region. */
void mn_loop_run_support(const mn_loop *meta, void *scratch, unsigned stage, uint32_t k,
                         const mn_real *theta, const mn_rule_data *data, const mn_real *phi,
                         mn_real *moved);

mn_update_step mn_loop_update_step(const mn_loop *meta, void *scratch, const mn_real *theta,
                                   uint32_t k, const mn_rule_data *data, const mn_real *from,
                                   mn_real *to);

/* to = from - alpha .* gradient of the support loss, of the adapted tensors; not in place. Returns
 * the loss before the step. */
double mn_loop_step(const mn_loop *meta, void *scratch, const mn_real *theta, uint32_t k,
                    const mn_rule_data *data, const mn_real *from, mn_real *to);

/* Without a step: what the plan makes of one is dropped. Of a stream, over all of it. */
double mn_loop_support_loss(const mn_loop *meta, void *scratch, const mn_real *theta,
                            const mn_rule_data *data, const mn_real *phi);

double mn_loop_query(const mn_loop *meta, void *scratch, const mn_real *theta,
                     const mn_rule_data *data, const mn_real *phi, mn_real *gradient,
                     mn_real *output);

void mn_loop_clear_velocity(const mn_loop *meta, void *scratch);

/* What the loss after inner step k counts, 1 <= k <= steps. */
mn_real mn_loop_step_weight(const mn_loop *meta, const mn_rule_data *data, uint32_t k);
