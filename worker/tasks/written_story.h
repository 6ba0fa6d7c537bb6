/* written_story.h: a story that a person wrote down (story_text.h), on its way into a task of stories. */
#pragma once

#include "worker/data/story_text.h"
#include "worker/tasks/task.h"
#include <stdint.h>

/* How many words a sentence and a question of these fields may have. */
mn_story_limits mn_written_story_limits(const mn_fields *fields);

/* The questions that a task of these fields adapts to, as many as in training: the first that are answered by
 * a word that the network can say. out [n_questions]; returns how many. */
uint32_t mn_written_story_examples(const mn_story_text *text, const mn_fields *fields,
                                   const mn_story_question **out);

/* Put a question with the newest sentences of its story into an item of a task that is clear there
 * (mn_story_clear). */
void mn_written_story_put(const mn_story_text *text, const mn_story_question *question,
                          mn_task *task, mn_role role, uint32_t item, double weight);
