/* few_shot.h: what few-shot tasks of images have in common, wherever the images come from: how many
 * classes and items they have, which may vary between tasks and between their classes (as in
 * Meta-Dataset, Triantafillou et al. 2020, arXiv:1903.03096), and where these stand in a task. The
 * extents are those of the largest task; in a smaller one its classes are the first labels, its items
 * the first of each class, and the rest is padding (mn_fields_add_padding). */
#pragma once

#include "common/experiment.h"
#include "common/random.h"
#include "worker/tasks/task.h"

typedef struct mn_few_shot {
    uint32_t way[2], shot[2]; /* of a task: least and most; shot: of a class */
    uint32_t query;           /* items of each class */
    bool varies;              /* there is padding */
    bool unbalanced;          /* the shot is drawn for each class */
} mn_few_shot;

/* Of a split: evaluate.* instead of tasks.* for validation and test, where it is set. */
mn_few_shot mn_few_shot_of(const mn_experiment *experiment, mn_split split);

/* Classes of a task, of which there are at most `most` >= way[0]; support items of each of its
 * classes -> shots [way]. What does not vary takes nothing from the stream. */
uint32_t mn_few_shot_draw_way(const mn_few_shot *few_shot, mn_random *random, uint32_t most);
void mn_few_shot_draw_shots(const mn_few_shot *few_shot, mn_random *random, uint32_t way,
                            uint32_t *shots);

/* Where item i of a class stands. */
float *mn_few_shot_support(const mn_few_shot *few_shot, const mn_task *task, uint32_t label,
                           uint32_t i);
float *mn_few_shot_query(const mn_few_shot *few_shot, const mn_task *task, uint32_t label,
                         uint32_t i);

/* Labels of a task whose x is filled in, and its padding. */
void mn_few_shot_finish(const mn_few_shot *few_shot, uint32_t way, const uint32_t *shots,
                        mn_task *task);
