#include "worker/learner/story_answer.h"

#include "worker/learner/adapted.h"
#include "worker/tasks/dialog_note.h"
#include "worker/tasks/task_notes.h"
#include "worker/tasks/written_story.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool mn_model_reads_stories(const mn_model *model)
{
    const mn_fields *fields = mn_model_fields(model);
    return mn_fields_find(fields, MN_QUERY, "story") != NULL &&
           mn_fields_find(fields, MN_SHARED, "candidates") == NULL;
}

mn_status mn_model_words(const mn_model *model, const char *name, mn_words **out, mn_error *err)
{
    const char *list = mn_model_note(model, MN_NOTE_WORDS);
    mn_words *words = NULL;
    mn_status status = mn_words_parse(list != NULL ? list : "", &words, err);
    if (status == MN_OK && mn_words_count(words) != mn_model_way(model))
        status = mn_fail(err, MN_ERR_CONFIG,
                         "%s tells no words, as an older mnemo wrote it: mnemo export, with the "
                         "data at hand, makes a file that tells them",
                         name);
    if (status != MN_OK)
        mn_words_destroy(&words);
    *out = words;
    return status;
}

bool mn_model_talks(const mn_model *model)
{
    return mn_model_experiment(model)->tasks.kind == MN_TASKS_DIALOGUES;
}

mn_status mn_model_dialogs(const mn_model *model, const char *name, mn_dialog_book *out,
                           mn_error *err)
{
    const char *note = mn_model_note(model, MN_NOTE_DIALOG);
    const char *words = mn_model_note(model, MN_NOTE_WORDS);
    mn_error why = {.message = ""};
    *out = (mn_dialog_book){.words = NULL};
    mn_status status = note != NULL && words != NULL
                           ? mn_dialog_note_read(note, words, out, &why)
                           : mn_fail(&why, MN_ERR_CONFIG, "it tells of no dialogues");
    return status == MN_OK ? MN_OK : mn_fail(err, status, "%s: %s", name, why.message);
}

static mn_status read_story(const mn_model *model, const char *story, const char *question,
                            mn_words *words, mn_story_text *out, mn_error *err)
{
    const mn_story_limits limits = mn_written_story_limits(mn_model_fields(model));
    mn_error why = {.message = ""};
    mn_status status =
        mn_story_text_parse("story", story, strlen(story), &limits, words, out, &why);
    if (status == MN_OK)
        status = mn_story_text_ask(out, question, &limits, words, &why);
    return status == MN_OK
               ? MN_OK
               : mn_fail(err, status == MN_ERR_NOMEM ? status : MN_ERR_DATA, "%s", why.message);
}

/* The answered questions of the story first, as many as in training, then the one that is asked. */
static mn_status fill_task(const mn_model *model, const mn_story_text *story, mn_task **out,
                           mn_error *err)
{
    const mn_fields *fields = mn_model_fields(model);
    const mn_story_question **examples = calloc(story->n_questions, sizeof *examples);
    if (examples == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%u questions", (unsigned)story->n_questions);
    const uint32_t n = mn_written_story_examples(story, fields, examples);
    mn_status status =
        n > 0 || mn_fields_find(fields, MN_SUPPORT, "question") == NULL
            ? mn_model_task(model, 0, n, 1, out, err)
            : mn_fail(err, MN_ERR_DATA,
                      "this model adapts to answered questions before it answers one: expected "
                      "some in the story, each on a line as \"where is mary?\" with a tab and the "
                      "answer, a word that it knows, behind it");
    for (uint32_t i = 0; i < n && status == MN_OK; i++)
        mn_written_story_put(story, examples[i], *out, MN_SUPPORT, i, 1.0 / n);
    free((void *)examples);
    if (status == MN_OK)
        mn_written_story_put(story, &story->questions[story->n_questions - 1], *out, MN_QUERY, 0,
                             1);
    return status;
}

static void tell(const mn_words *words, uint32_t way, float *left, uint32_t n, mn_story_word *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t best = mn_label_of(way, left);
        out[i].probability = (double)left[best];
        (void)strncpy(out[i].text, mn_words_text(words, best), sizeof out[i].text - 1);
        out[i].text[sizeof out[i].text - 1] = '\0';
        left[best] = -1;
    }
}

mn_status mn_story_answer(const mn_model *model, const char *story, const char *question,
                          uint32_t n, mn_story_word *out, uint32_t *n_unknown, mn_error *err)
{
    const uint32_t way = mn_model_way(model);
    mn_words *words = NULL;
    mn_story_text text = {0};
    mn_task *task = NULL;
    float *answers = calloc(way, sizeof *answers);
    mn_status status =
        answers != NULL ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "answers of %u words", (unsigned)way);
    if (status == MN_OK && !mn_model_reads_stories(model))
        status = mn_fail(err, MN_ERR_CONFIG, "this model has not learned from stories");
    if (status == MN_OK)
        status = mn_model_words(model, "this model's file", &words, err);
    if (status == MN_OK)
        status = read_story(model, story, question, words, &text, err);
    if (status == MN_OK)
        status = fill_task(model, &text, &task, err);
    if (status == MN_OK)
        status = mn_model_answer(model, task, answers, err);
    if (status == MN_OK) {
        *n_unknown = text.n_new;
        tell(words, way, answers, n, out);
    }
    mn_task_destroy(&task);
    mn_story_text_fini(&text);
    mn_words_destroy(&words);
    free(answers);
    return status;
}
