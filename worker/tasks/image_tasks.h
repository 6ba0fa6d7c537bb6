/* image_tasks.h: few-shot tasks from a packed image file: `way` classes of a split, `shot` support
 * and `query` query images of each, all different drawings. Items are class-major: item i of the
 * support has label i / shot, item i of the query label i / query. */
#pragma once

#include "common/experiment.h"
#include "common/random.h"
#include "worker/data/image_pack.h"
#include "worker/tasks/task.h"

typedef struct mn_image_tasks mn_image_tasks;

/* Prepare the tables for drawing; the pack is lent until the end. `fields` are those of the task
 * set, few-shot ones. MN_ERR_CONFIG: a split has
 * too few classes, or a class too few images, for such tasks. Not asked of test if tasks.runs gives
 * its tasks, nor of an empty val that evaluate.every does not ask for. */
mn_status mn_image_tasks_new(const mn_image_pack *pack, const mn_experiment *experiment,
                             const mn_fields fields[MN_N_SPLITS], mn_image_tasks **out,
                             mn_error *err);
void mn_image_tasks_destroy(mn_image_tasks **tasks);

/* Number of classes of a split, rotations counted if tasks.rotations is on. */
uint32_t mn_image_tasks_classes(const mn_image_tasks *tasks, mn_split split);

/* Draw a task from its stream. No allocation, no failure; of a split without classes all is 0. */
void mn_image_tasks_draw(const mn_image_tasks *tasks, mn_split split, mn_random *random,
                         mn_task *task);

/* Copy an image as numbers of 0 to 1, turned counter-clockwise. Only a square can be turned. */
void mn_image_tasks_copy(const uint8_t *pixels, uint32_t height, uint32_t width, uint32_t channels,
                         uint32_t quarter_turns, float *out);
