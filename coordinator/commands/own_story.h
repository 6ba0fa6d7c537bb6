/* own_story.h: what a person should know of a story that they wrote down, before a network reads it: for mnemo
 * ask, adapt and predict. */
#pragma once

#include "worker/data/story_text.h"
#include "worker/data/words.h"
#include "worker/tasks/task.h"
#include <stdint.h>

/* Say what is not as it was meant: words that mean nothing here (beyond the `known` ones of
 * training), sentences before a question that find no room in the slots of these fields. */
void mn_own_story_warn(const mn_story_text *text, const mn_words *words, const mn_words *known,
                       const mn_fields *fields, uint32_t n,
                       const mn_story_question *const *questions);
