/* dialog_book.h: what all tasks of a set of dialogues have in common: their words, the candidates, and
 * how what was said is written into a task (story_fields.h): the memory is what was said before, an
 * utterance or a fact a slot, with a word more for who spoke (#user, #bot, #facts) and, unless ages
 * tell that, one for its turn (#1, #2, ...); the question is what the user said last; the answer is
 * one of the candidates. Words that training lacks (tasks.vocabulary candidates: and the candidates
 * too) have no vector: they are number mn_words_count(words), of which the network reads nothing. */
#pragma once

#include "common/experiment.h"
#include "worker/data/dialog_text.h"
#include "worker/tasks/story_fields.h"

typedef struct mn_dialog_book {
    mn_words *words; /* of training, perhaps of candidates, and those words more; owned */
    mn_dialog_candidates candidates;
    mn_dialog_entities entities; /* names NULL: candidates tell of no types */
    mn_time time;
    uint32_t speakers[MN_N_SPEAKERS]; /* their words */
    uint32_t n_turns;                 /* that have words */
    uint32_t *turns;                  /* [n_turns + 1], by turn; owned */
    uint32_t slots;                   /* of a memory */
    uint32_t longest;                 /* words of an utterance of training */
} mn_dialog_book;

/* Open, once candidates and entities are read: read the dialogues of training, whose words these are,
 * and number those of the candidates. The caller's to close, on failure too. */
mn_status mn_dialog_book_open(mn_dialog_book *book, const char *training,
                              const mn_experiment *experiment, mn_dialog_text *out, mn_error *err);
void mn_dialog_book_close(mn_dialog_book *book);

/* Look up the words of speakers and turns [n_turns], where the book was not opened but read back. false: one is
 * missing. */
bool mn_dialog_book_find_words(mn_dialog_book *book);

/* What a reader of other dialogues knows. */
mn_dialog_lexicon mn_dialog_book_lexicon(const mn_dialog_book *book);

/* Fields of tasks of `bundle` responses. */
mn_status mn_dialog_book_fields(const mn_dialog_book *book, uint32_t bundle, mn_fields *fields,
                                mn_error *err);

/* Begin a task of such fields: nothing but the candidates. */
void mn_dialog_book_clear(const mn_dialog_book *book, mn_task *task);

/* Write item `item`: what the response answers, and what was said before, the latest of it if the
 * memory has no room for all. */
void mn_dialog_book_put(const mn_dialog_book *book, const mn_dialog_text *text,
                        const mn_dialog_response *response, double weight, uint32_t item,
                        mn_task *task);
