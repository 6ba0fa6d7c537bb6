/* task_set.h: a distribution of tasks. Task `index` of a split is a pure function of (experiment,
 * data, split, index): any thread of any machine draws the same bits. A task set is read-only once
 * open, so all threads share one. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "common/experiment.h"
#include <stddef.h>
#include <stdint.h>

typedef enum mn_target { MN_TARGET_VALUES, MN_TARGET_CLASSES } mn_target;

typedef struct mn_task_shape {
    uint32_t n_support, n_query;      /* items */
    uint32_t height, width, channels; /* of one x; vectors are 1 x 1 x channels */
    uint32_t y_size;                  /* values of one y; classes: the number of ways, one-hot */
    mn_target target;
} mn_task_shape;

/* All arrays float32, items first, channels last. */
typedef struct mn_task {
    mn_task_shape shape;
    float *support_x; /* [n_support, height, width, channels]; images: 0 paper .. 1 ink */
    float *support_y; /* [n_support, y_size] */
    float *query_x;
    float *query_y;
    uint32_t n_classes;   /* classes drawn; 0 for values */
    uint32_t classes[64]; /* which: number of the class within the split; label i is classes[i] */
} mn_task;

typedef struct mn_task_set mn_task_set;

/* Open the task set that the experiment names. Images: the packed file is looked for on
 * run.data_path and in the cache (data_path.h); first_use.h makes it from archives. `expected`, if
 * not NULL, is the digest of the data that the coordinator uses: another file is refused with both
 * digests and where to put the right one. MN_ERR_NO_INPUT: no such data: says which file, where it
 * was looked for and how to make it. */
mn_status mn_task_set_open(const mn_experiment *experiment, const mn_digest *expected,
                           mn_task_set **out, mn_error *err);
void mn_task_set_destroy(mn_task_set **set);

/* val and test tasks have evaluate.shot and evaluate.query where these are set. */
mn_task_shape mn_task_set_shape(const mn_task_set *set, mn_split split);

/* Digest of the data files in use; of nothing for generated tasks. */
mn_digest mn_task_set_data_digest(const mn_task_set *set);
/* "omniglot.mnd" or "" */
const char *mn_task_set_data_name(const mn_task_set *set);

/* May tasks of this split be drawn? Data may lack classes for one, as for validation, which is no
 * error while nobody asks for it. MN_ERR_CONFIG: what is missing and what to do. */
mn_status mn_task_set_check(const mn_task_set *set, mn_split split, mn_error *err);

/* Number of classes in a split (0 for tasks without classes; UINT32_MAX: unlimited). */
uint32_t mn_task_set_classes(const mn_task_set *set, mn_split split);

/* Memory for a task of this shape: one block, 64-byte aligned arrays; owned by the caller. */
mn_status mn_task_new(const mn_task_shape *shape, mn_task **out, mn_error *err);
void mn_task_destroy(mn_task **task);

/* Draw task `index` of `split`, which was checked, into task, which was made for its shape. */
void mn_task_set_draw(const mn_task_set *set, mn_split split, uint64_t index, mn_task *task);
