/* task_notes.h: what tasks tell of themselves to whoever has a run's network but not its data: as metadata of
 * checkpoints and of exported and adapted models.
 *   fields    what a task is made of (field_text.h)
 *   words     of stories, and of rows with ids: those that numbers mean, a line each, that of number 0 empty
 *   dialog    of dialogues: candidates, entities, turns (dialog_note.h)
 *   row_form  of a user's table: how its columns become numbers (row_form.h) */
#pragma once

#include "common/tensor_file.h"
#include "worker/tasks/task_set.h"

#define MN_NOTE_FIELDS "fields"
#define MN_NOTE_WORDS "words"
#define MN_MOST_TASK_NOTES 4u

typedef struct mn_task_notes {
    size_t n;
    mn_text_pair at[MN_MOST_TASK_NOTES]; /* values are owned */
} mn_task_notes;

mn_status mn_task_notes_new(const mn_task_set *set, mn_task_notes *out, mn_error *err);
void mn_task_notes_fini(mn_task_notes *notes);
