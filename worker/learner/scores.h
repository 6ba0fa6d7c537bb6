/* scores.h: what a learner measures of a task: the lists of names, and the numbers of one row.
 * Tests are measured at points: after a number of inner steps; and, after those that the experiment
 * trains with, apart for the points that the tasks name (fields.points: showings of a sequence, sets
 * of a mixture). A test score is a sum over items with a weight beside it, so that a mean over tasks
 * is one over items, however many of them a task has; where tasks have neither points nor padding
 * it is the task's mean with weight 1; and so it is where tasks vary in classes and items
 * (mn_fields_add_padding), of which the padding counts for nothing. */
#pragma once

#include "common/experiment.h"
#include "common/score.h"
#include "worker/tasks/task.h"

/* `columns` is how many numbers an answer has: y_size, or where values are answered by means and
 * deviations (model.output gaussian), 2 y_size. Then the loss is in nats, and beside it stands the
 * squared error of the means. */

/* Where y is standardised (fields.y_scale), the loss is of standardised numbers, and beside it stand, over all
 * items of all tasks that were tested,
 *   squared_error       in the unit of the user's y
 *   explained_variance  1 - sum of squared errors / sum of squared distances from the mean of y in the training rows
 *   explained_within    the same with distances from the mean of a task's own items
 * so that each task counts by its own variance: weights are the distances. */

/* loss, accuracy (classes), squared_error (means and deviations), support_loss (rules with steps):
 * means over a task. */
mn_status mn_scores_list_train(const mn_fields *fields, uint32_t columns, bool has_steps,
                               mn_score_list *out, mn_error *err);
/* loss and accuracy or squared error after each of `steps` (`has_steps`; else once), judged after `judged_steps` or
 * else the last; then accuracy or squared error at each point. */
mn_status mn_scores_list_test(const mn_fields *fields, uint32_t columns, bool has_steps,
                              const mn_uint_list *steps, uint32_t judged_steps, mn_score_list *out,
                              mn_error *err);

/* Share of the query items whose largest output is at their class, at each of their labels if they
 * have several (fields.symbols). output [items, y_size]. */
double mn_scores_accuracy(const mn_task *task, const float *output);
/* Mean over the query's y that count of (mean - y)^2, in the user's unit. output [items, columns], the means first. */
double mn_scores_squared_error(const mn_task *task, uint32_t columns, const float *output);

/* Append loss, and accuracy or squared error if it is listed, of one judgement: *value++, *weight++ for each.
 * `loss` is as the network's. Of tasks whose items are asked for from some time on (query.from) these
 * are of those that are due when the learner has read `n_read` support items. */
void mn_scores_put(const mn_task *task, uint32_t columns, double loss, const float *output,
                   uint32_t n_read, float **value, float **weight);
/* The same for each point, and for the harmonic mean of the last two, which is the task's; and, where a
 * task is judged as a whole (fields.whole), whether all of its items are right. */
void mn_scores_put_points(const mn_task *task, uint32_t columns, const float *output, float **value,
                          float **weight);
