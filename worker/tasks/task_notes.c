#include "worker/tasks/task_notes.h"

#include "worker/tasks/dialog_note.h"
#include "worker/tasks/field_text.h"
#include <stdlib.h>

mn_status mn_task_notes_new(const mn_task_set *set, mn_task_notes *out, mn_error *err)
{
    const mn_words *words = mn_task_set_words(set);
    const mn_row_form *form = mn_task_set_row_form(set);
    const mn_dialog_book *book = mn_task_set_dialogs(set);
    char *text = NULL;
    *out = (mn_task_notes){0};
    mn_status status = mn_fields_text(mn_task_set_fields(set, MN_TRAIN), &text, err);
    if (status == MN_OK)
        out->at[out->n++] = (mn_text_pair){MN_NOTE_FIELDS, text};
    if (status == MN_OK && words != NULL) {
        status = mn_words_list(words, &text, err);
        if (status == MN_OK)
            out->at[out->n++] = (mn_text_pair){MN_NOTE_WORDS, text};
    }
    if (status == MN_OK && book != NULL) {
        status = mn_dialog_note_write(book, &text, err);
        if (status == MN_OK)
            out->at[out->n++] = (mn_text_pair){MN_NOTE_DIALOG, text};
    }
    if (status == MN_OK && form != NULL) {
        status = mn_row_form_text(form, &text, err);
        if (status == MN_OK)
            out->at[out->n++] = (mn_text_pair){MN_ROW_FORM_NOTE, text};
    }
    if (status != MN_OK)
        mn_task_notes_fini(out);
    return status;
}

void mn_task_notes_fini(mn_task_notes *notes)
{
    for (size_t i = 0; i < notes->n; i++)
        free((void *)(uintptr_t)notes->at[i].value);
    *notes = (mn_task_notes){0};
}
