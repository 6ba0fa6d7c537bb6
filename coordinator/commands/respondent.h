/* respondent.h: a run that is asked about stories or dialogues, for mnemo ask with and without --interactive:
 * the run as it stands, and what its network needs to answer a task. */
#pragma once

#include "common/error.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/pictures/story_view.h"
#include "worker/learner/learner.h"
#include "worker/learner/model.h"
#include "worker/tasks/dialog_book.h"
#include <stdbool.h>
#include <stdint.h>

/* Its checkpoint or file tells all that it needs; the data it was trained on need not be there. */
typedef struct mn_respondent {
    mn_model *model; /* all of this is owned */
    mn_words *words; /* of stories; NULL: of dialogues */
    mn_dialog_book book;
    mn_learner *learner;
    const float *theta; /* lent by these, and so is what follows */
    const char *name;   /* of the experiment */
    uint64_t step;      /* of training */
    const mn_fields *fields;
    const mn_words *known; /* of training; NULL: the run has learned from no words */
    bool talks;            /* it has learned from dialogues: `book` is theirs */
    bool reads;            /* it has learned from stories or dialogues, and can be asked */
    mn_task *task;         /* to be filled before it answers; owned, and so is what follows */
    mn_workspace *workspace;
    mn_shown *shown;
    float *adapted, *logits;
    uint32_t columns; /* of logits, a row an item of the query set */
} mn_respondent;

/* Open the run, or the file of one, that the first argument of the command line names, with its --set. Status as
 * of mn_model_read; mn_respondent_close() in any case. */
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
