#include "coordinator/commands/own_story.h"

#include "common/log.h"
#include "worker/tasks/story_fields.h"
#include <inttypes.h>
#include <stdio.h>

#define MOST_WARNINGS 20u /* about words */

static void warn_of_words(const mn_story_text *text, const mn_words *words, const mn_words *known)
{
    for (uint32_t i = 0; i < text->n_new && i < MOST_WARNINGS; i++) {
        const char *word = mn_words_text(words, text->new_words[i].number);
        const char *near = mn_words_near(known, word);
        char where[4096] = "the question";
        if (text->new_words[i].line > 0)
            (void)snprintf(where, sizeof where, "%s:%" PRIu32, text->source,
                           text->new_words[i].line);
        mn_log(MN_LOG_WARN,
               "%s: \"%s\" is no word that this run was trained on: the network reads nothing "
               "there%s%s%s",
               where, word, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
               near != NULL ? "\"?" : "");
    }
    if (text->n_new > MOST_WARNINGS)
        mn_log(MN_LOG_WARN, "%s: so it is with %" PRIu32 " words more", text->source,
               text->n_new - MOST_WARNINGS);
}

void mn_own_story_warn(const mn_story_text *text, const mn_words *words, const mn_words *known,
                       const mn_fields *fields, uint32_t n,
                       const mn_story_question *const *questions)
{
    const uint32_t slots = mn_story_slots(fields);
    uint32_t longest = 0;
    warn_of_words(text, words, known);
    for (uint32_t i = 0; i < n; i++)
        if (questions[i]->n_so_far > longest)
            longest = questions[i]->n_so_far;
    if (longest > slots)
        mn_log(MN_LOG_WARN,
               "%s: the network's memory holds %" PRIu32 " sentences, and a question comes after "
               "%" PRIu32 ": the oldest are left out",
               text->source, slots, longest);
}
