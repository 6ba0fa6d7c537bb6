#include "coordinator/commands/respondent.h"

#include "worker/learner/story_answer.h"
#include <stdlib.h>

mn_status mn_respondent_open(mn_respondent *respondent, const mn_command_line *line, mn_error *err)
{
    const char *run = line->arguments[0];
    *respondent = (mn_respondent){0};
    mn_status status = mn_model_read(run, line->n_sets, line->sets, &respondent->model, err);
    if (status != MN_OK)
        return status;
    const mn_model *model = respondent->model;
    respondent->theta = mn_model_theta(model);
    respondent->name = mn_model_experiment(model)->name;
    respondent->step = mn_model_step(model);
    respondent->fields = mn_model_fields(model);
    respondent->talks = mn_model_talks(model);
    respondent->reads = respondent->talks || mn_story_view_fits(respondent->fields);
    if (!respondent->reads)
        return MN_OK;
    status = respondent->talks ? mn_model_dialogs(model, run, &respondent->book, err)
                               : mn_model_words(model, run, &respondent->words, err);
    if (status == MN_OK)
        status = mn_learner_new(mn_model_experiment(model), respondent->fields, respondent->fields,
                                &respondent->learner, err);
    respondent->known = respondent->talks ? respondent->book.words : respondent->words;
    return status;
}

mn_status mn_respondent_prepare(mn_respondent *respondent, mn_error *err)
{
    const mn_learner *learner = respondent->learner;
    const mn_fields *fields = respondent->fields;
    mn_status status = mn_task_new(fields, &respondent->task, err);
    if (status == MN_OK)
        status = mn_workspace_new(learner, &respondent->workspace, err);
    if (status == MN_OK)
        status = mn_learner_show(learner, fields, &respondent->shown, err);
    if (status != MN_OK)
        return status;
    const size_t n_items = mn_fields_find(fields, MN_QUERY, "y")->n;
    respondent->columns = mn_learner_columns(learner, fields);
    respondent->adapted = calloc(mn_learner_size(learner), sizeof *respondent->adapted);
    respondent->logits = calloc(n_items * respondent->columns, sizeof *respondent->logits);
    return respondent->adapted != NULL && respondent->logits != NULL
               ? MN_OK
               : mn_fail(err, MN_ERR_NOMEM, "answers of a network");
}

void mn_respondent_answer(mn_respondent *respondent)
{
    mn_explanation told = {.adapted = respondent->adapted, .query_output = respondent->logits};
    mn_learner_explain(respondent->workspace, respondent->theta, respondent->task, false, &told);
    mn_shown_look(respondent->shown, respondent->adapted, respondent->task->block);
}

mn_status mn_respondent_view(const mn_respondent *respondent, uint32_t item, const mn_words *words,
                             bool judged, mn_story_view **out, mn_error *err)
{
    const mn_story_source source = {
        .task = respondent->task,
        .item = item,
        .words = words,
        .answers = respondent->talks ? respondent->book.candidates.texts : NULL,
        .logits = respondent->logits + (size_t)item * respondent->columns,
        .n_shown = mn_shown_count(respondent->shown),
        .shown = mn_shown_arrays(respondent->shown),
        .judged = judged};
    return mn_story_view_new(&source, out, err);
}

void mn_respondent_close(mn_respondent *respondent)
{
    free(respondent->adapted);
    free(respondent->logits);
    mn_shown_destroy(&respondent->shown);
    mn_workspace_destroy(&respondent->workspace);
    mn_task_destroy(&respondent->task);
    mn_learner_destroy(&respondent->learner);
    mn_words_destroy(&respondent->words);
    mn_dialog_book_close(&respondent->book);
    mn_model_destroy(&respondent->model);
}
