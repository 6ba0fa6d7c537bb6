/* respondent.h: a run that is asked about stories or dialogues, for mnemo ask with and without --interactive:
 * the run as it stands, and what its network needs to answer a task. */
#pragma once

#include "common/error.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/pictures/story_view.h"
#include "coordinator/server/session.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct mn_respondent {
    mn_session session;
    const mn_fields *fields; /* of a test task; lent by the session */
    const mn_words *known;   /* of training; lent so; NULL: the run has learned from no words */
    bool reads;              /* it has learned from stories or dialogues, and can be asked */
    mn_task *task;           /* to be filled before it answers; owned, and so is what follows */
    mn_workspace *workspace;
    mn_shown *shown;
    float *adapted, *logits;
    uint32_t columns; /* of logits, a row an item of the query set */
} mn_respondent;

/* Open the run that the first argument of the command line names, with its --set. Status as of
 * mn_session_open_run; mn_respondent_close() in any case. */
mn_status mn_respondent_open(mn_respondent *respondent, const mn_command_line *line, mn_error *err);

/* Compile its network and make the task. Only of one that reads. */
mn_status mn_respondent_prepare(mn_respondent *respondent, mn_error *err);

/* Adapt to the task's support set and answer its query set. */
void mn_respondent_answer(mn_respondent *respondent);

/* The answer to a query item, in words; `judged`: the task has the right one. It is destroyed before the respondent
 * is closed. */
mn_status mn_respondent_view(const mn_respondent *respondent, uint32_t item, const mn_words *words,
                             bool judged, mn_story_view **out, mn_error *err);

void mn_respondent_close(mn_respondent *respondent);
