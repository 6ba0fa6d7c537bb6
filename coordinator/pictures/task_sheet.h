/* task_sheet.h: a task for a person to look at. */
#pragma once

#include "common/error.h"
#include "worker/tasks/task.h"
#include <stdio.h>

/* Write the images of a task as a PNG: a row per class, its support at the left, its query at the
 * right, dark ink on light paper, three times as large; the task's title above. `answers` [query
 * items, classes] are a learner's, and an item whose largest is not at its class gets a thick dark
 * frame; NULL: there are none. `names` [classes] stand beside the labels, cut to 20 letters; NULL: there
 * are none. MN_ERR_USAGE: not a task of images. */
mn_status mn_task_sheet_png(const mn_task *task, const float *answers, const char *const *names,
                            const char *path, mn_error *err);
