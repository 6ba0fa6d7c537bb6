/* fuzz_dialog_note.c: any bytes as the note of dialogues of a checkpoint, and, behind a zero byte, as its words. What is
 * accepted must hold together, and be read back as it is written. */
#include "worker/tasks/dialog_note.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check(const mn_dialog_book *book)
{
    const mn_dialog_candidates *candidates = &book->candidates;
    const uint32_t known = mn_words_count(book->words);
    require(book->slots > 0 && book->longest > 0 && candidates->n > 0);
    for (uint32_t i = 1; i <= book->n_turns; i++)
        require(book->turns[i] > 0 && book->turns[i] < known);
    for (uint32_t i = 0; i < candidates->n; i++)
        for (uint32_t k = 0; k < candidates->at[i].n; k++) {
            require(candidates->words[candidates->at[i].first + k] <= known);
            require(candidates->entities == NULL ||
                    candidates->entities[candidates->at[i].first + k] < MN_DIALOG_MAX_ENTITIES);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char own[] = "\n#1\n#2\n#bot\n#facts\n#user\nhello";
    char *text = malloc(n + 1), *again = NULL;
    mn_dialog_book book, second;
    mn_error err = {.message = ""};
    if (text == NULL)
        return 0;
    memcpy(text, bytes, n);
    text[n] = '\0';
    const size_t first = strlen(text);
    const char *words = first < n ? text + first + 1 : own;
    const mn_status status = mn_dialog_note_read(text, words, &book, &err);
    require(status == MN_OK || status == MN_ERR_DATA || status == MN_ERR_NOMEM);
    require(status == MN_OK || err.message[0] != '\0');
    if (status == MN_OK) {
        check(&book);
        require(mn_dialog_note_write(&book, &again, &err) == MN_OK);
        require(mn_dialog_note_read(again, words, &second, &err) == MN_OK);
        require(second.candidates.n == book.candidates.n && second.slots == book.slots);
        mn_dialog_book_close(&second);
    }
    mn_dialog_book_close(&book);
    free(again);
    free(text);
    return 0;
}
