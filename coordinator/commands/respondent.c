#include "coordinator/commands/respondent.h"

#include <stdlib.h>

mn_status mn_respondent_open(mn_respondent *respondent, const mn_command_line *line, mn_error *err)
{
    const mn_session_options options = {
        .sets = line->sets, .n_sets = line->n_sets, .folder = line->arguments[0]};
    *respondent = (mn_respondent){0};
    mn_status status = mn_session_open_run(&respondent->session, &options, err);
    if (status != MN_OK)
        return status;
    respondent->fields = mn_task_set_fields(respondent->session.tasks, MN_TEST);
    respondent->known = mn_task_set_words(respondent->session.tasks);
    respondent->reads = respondent->known != NULL && mn_story_view_fits(respondent->fields);
    return MN_OK;
}

mn_status mn_respondent_prepare(mn_respondent *respondent, mn_error *err)
{
    const mn_learner *learner = respondent->session.learner;
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
    mn_learner_explain(respondent->workspace, mn_training_final_theta(respondent->session.training),
                       respondent->task, false, &told);
    mn_shown_look(respondent->shown, respondent->adapted, respondent->task->block);
}

mn_status mn_respondent_view(const mn_respondent *respondent, uint32_t item, const mn_words *words,
                             bool judged, mn_story_view **out, mn_error *err)
{
    const mn_story_source source = {.task = respondent->task,
                                    .item = item,
                                    .words = words,
                                    .answers = mn_task_set_answers(respondent->session.tasks),
                                    .logits =
                                        respondent->logits + (size_t)item * respondent->columns,
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
    mn_session_end(&respondent->session);
}
