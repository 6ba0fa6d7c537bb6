#include "worker/tasks/written_story.h"

#include "worker/tasks/story_fields.h"

mn_story_limits mn_written_story_limits(const mn_fields *fields)
{
    return (mn_story_limits){.sentence = mn_fields_find(fields, MN_QUERY, "story")->channels,
                             .question = mn_fields_find(fields, MN_QUERY, "question")->channels};
}

uint32_t mn_written_story_examples(const mn_story_text *text, const mn_fields *fields,
                                   const mn_story_question **out)
{
    const mn_field *support = mn_fields_find(fields, MN_SUPPORT, "question");
    const uint32_t most = support == NULL ? 0 : support->n;
    uint32_t n = 0;
    for (uint32_t i = 0; i < text->n_questions && n < most; i++) {
        const uint32_t answer = text->questions[i].answer;
        if (answer != 0 && answer < fields->y_size)
            out[n++] = &text->questions[i];
    }
    return n;
}

void mn_written_story_put(const mn_story_text *text, const mn_story_question *question,
                          mn_task *task, mn_role role, uint32_t item, double weight)
{
    const mn_story_pages pages = mn_story_pages_of(task, role);
    const uint32_t n = question->n_so_far < pages.slots ? question->n_so_far : pages.slots;
    const mn_babi_words *sentence =
        text->sentences + question->first_sentence + (question->n_so_far - n);
    for (uint32_t i = 0; i < n; i++)
        mn_story_tell(&pages, item, i, n - i, sentence[i].n, text->words + sentence[i].first);
    mn_story_ask(&pages, item, question->words.n, text->words + question->words.first,
                 question->answer, 0, weight);
}
