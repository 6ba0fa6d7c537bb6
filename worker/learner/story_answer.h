/* story_answer.h: what a model that reads stories says to a question about one, both as text. Adapts first, if it
 * was trained to, to the answered questions that the story has. Read-only, as adapted.h is. */
#pragma once

#include "common/error.h"
#include "worker/data/words.h"
#include "worker/learner/model.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct mn_story_word {
    char text[MN_WORD_BYTES];
    double probability;
} mn_story_word;

/* Is it one? Not dialogues, whose answers are sentences. */
bool mn_model_reads_stories(const mn_model *model);

/* The words of such a model, called `name` in messages, to be destroyed. MN_ERR_CONFIG: it tells none, as it was
 * written before models did; what to do. */
mn_status mn_model_words(const mn_model *model, const char *name, mn_words **out, mn_error *err);

/* What a model that talks knows of its dialogues (worker/tasks/dialog_book.h), to be closed in any case. MN_ERR_CONFIG,
 * MN_ERR_DATA: it tells none, or what makes no sense. */
struct mn_dialog_book;
bool mn_model_talks(const mn_model *model);
mn_status mn_model_dialogs(const mn_model *model, const char *name, struct mn_dialog_book *out,
                           mn_error *err);

/* The n most probable answers, the most probable first, n at most mn_model_way. story: lines as story_text.h has them;
 * questions in it without an answer are passed over. *n_unknown: words that were no training words, of which the
 * network reads nothing. MN_ERR_CONFIG: no such model, or it tells no words; MN_ERR_DATA: no such story or question, or
 * no answered question where the model adapts to some: which line, what was expected. */
mn_status mn_story_answer(const mn_model *model, const char *story, const char *question,
                          uint32_t n, mn_story_word *out, uint32_t *n_unknown, mn_error *err);
