/* own_story.h: a story that a person wrote down, on its way into a task: for mnemo ask, adapt and
 * predict. */
#pragma once

#include "worker/data/story_text.h"
#include "worker/data/words.h"
#include "worker/tasks/task.h"
#include <stdint.h>

/* How many words a sentence and a question of these fields may have. */
mn_story_limits mn_own_story_limits(const mn_fields *fields);

/* Put a question with the newest sentences of its story into an item of a task that is clear there
 * (mn_story_clear). */
void mn_own_story_put(const mn_story_text *text, const mn_story_question *question, mn_task *task,
                      mn_role role, uint32_t item, double weight);

/* Say what is not as it was meant: words that mean nothing here (beyond the `known` ones of
 * training), sentences before a question that find no room in the slots of these fields. */
void mn_own_story_warn(const mn_story_text *text, const mn_words *words, const mn_words *known,
                       const mn_fields *fields, uint32_t n,
                       const mn_story_question *const *questions);
