/* story_kind.h: for the two kinds of task sets of stories. */
#pragma once

#include "worker/tasks/story_fields.h"
#include "worker/tasks/task_set_kind.h"

/* Print a task: its first questions with their stories. */
void mn_story_describe(const mn_fields *fields, const mn_words *words, const mn_task *task,
                       FILE *out);

/* Is training task `index` of a meta-step of the linear start? */
bool mn_story_is_linear(const mn_experiment *experiment, uint64_t index);
