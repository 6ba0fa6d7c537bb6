/* image_tasks.h: few-shot tasks from a packed image file: `way` classes of a split, `shot` support
 * and `query` query images of each, all different drawings. Items are class-major (few_shot.h). Where
 * way and shot vary, a task from one group has no more classes than the group, and a class that has
 * fewer images than the query images and the shot has a smaller shot; each has the least, or the split
 * is refused. */
#pragma once

#include "common/experiment.h"
#include "common/random.h"
#include "worker/data/image_pack.h"
#include "worker/data/pack_overlap.h"
#include "worker/tasks/few_shot.h"
#include "worker/tasks/task.h"

typedef struct mn_image_tasks mn_image_tasks;

/* Prepare the tables for drawing; the pack is lent until the end. `fields` are those of the task
 * set, few-shot ones. A split that such tasks cannot be drawn from is no error until somebody wants
 * one. */
mn_status mn_image_tasks_new(const mn_image_pack *pack, const mn_experiment *experiment,
                             const mn_fields fields[MN_N_SPLITS], mn_image_tasks **out,
                             mn_error *err);
/* The same for tasks of other fields: so many classes of a split, and images of each. */
mn_status mn_image_tasks_of(const mn_image_pack *pack, const mn_experiment *experiment,
                            const mn_few_shot few_shot[MN_N_SPLITS], mn_image_tasks **out,
                            mn_error *err);
void mn_image_tasks_destroy(mn_image_tasks **tasks);

/* May tasks of this split be drawn? MN_ERR_CONFIG: it has too few classes, or classes too few
 * images: which, and what to do. */
mn_status mn_image_tasks_check(const mn_image_tasks *tasks, mn_split split, mn_error *err);

/* Number of classes of a split, quarter turns that the file lists
 * counted if tasks.rotations is on. */
uint32_t mn_image_tasks_classes(const mn_image_tasks *tasks, mn_split split);

/* Draw a task of a split that was checked from its stream. No allocation, no failure. */
void mn_image_tasks_draw(const mn_image_tasks *tasks, mn_split split, mn_random *random,
                         mn_task *task);

/* What a draw is made of: classes of a split, in random order, and how many: as many as the way where
 * that does not vary; how many images one of them has; and
 * one of these as an item of field x, warped if it is a training image. */
uint32_t mn_image_tasks_choose(const mn_image_tasks *tasks, mn_split split, mn_random *random,
                               uint32_t *classes);
uint32_t mn_image_tasks_images(const mn_image_tasks *tasks, mn_split split, uint32_t class_number);
void mn_image_tasks_show(const mn_image_tasks *tasks, mn_split split, mn_random *random,
                         uint32_t class_number, uint32_t image, const mn_field *x, float *out);

/* Which class of the file a class of a split is, and how it is turned. */
mn_pack_entry mn_image_tasks_entry(const mn_image_tasks *tasks, mn_split split,
                                   uint32_t class_number);

/* Classes of a split of a pack; of none where pack is NULL. */
mn_pack_part mn_image_tasks_part(const mn_image_pack *pack, mn_split split);

/* Copy an image as numbers of 0 to 1, turned counter-clockwise. Only a square can be turned. */
void mn_image_tasks_copy(const uint8_t *pixels, uint32_t height, uint32_t width, uint32_t channels,
                         uint32_t quarter_turns, float *out);
