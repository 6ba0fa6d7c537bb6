/* dialog_note.h: a dialogue book as text and back: what whoever has a network that talks, but not its data, must know.
 *   slots 10            utterances and facts of a memory
 *   turns 30            that have words; 0: ages tell the order
 *   longest 12          words of an utterance
 *   type R_phone        of entities, in their order; none, if candidates tell of no types
 *   entity 3 the_place  bits of its types, hexadecimal; by number, from 1
 *   candidate ...       a sentence, in their order
 * Its words are a note of their own (task_notes.h). */
#pragma once

#include "worker/tasks/dialog_book.h"

#define MN_NOTE_DIALOG "dialog"

/* *text is the caller's to free. */
mn_status mn_dialog_note_write(const mn_dialog_book *book, char **text, mn_error *err);

/* `words` is the note of words as text. MN_ERR_DATA: one of them makes no sense; says which line, and what was
 * expected. *out is the caller's to close with mn_dialog_book_close, on failure too. */
mn_status mn_dialog_note_read(const char *text, const char *words, mn_dialog_book *out,
                              mn_error *err);
