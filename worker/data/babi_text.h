/* babi_text.h: reader of question-answering stories as plain text, in the form of the bAbI tasks
 * (Weston et al. 2015, v1.2). A line is
 *     ID sentence.                          or
 *     ID question? TAB answer TAB IDs of the sentences that support it
 * and the IDs of a story count from 1. A file that is cut or garbled is refused with its line: that
 * would else be a data set that is quietly another one. Sizes are bounded. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "worker/data/words.h"
#include <stdint.h>

#define MN_BABI_MAX_STORY 4096u /* lines of a story */
#define MN_BABI_MAX_LENGTH 64u  /* words of a sentence */

/* A run of words of the text. */
typedef struct mn_babi_words {
    uint32_t first, n;
} mn_babi_words;

typedef struct mn_babi_question {
    mn_babi_words words;
    uint32_t answer;                   /* number of the word; an answer of several is one, "n,w" */
    uint32_t first_sentence, n_so_far; /* what the story has told before it */
} mn_babi_question;

typedef struct mn_babi_text {
    uint32_t n_sentences, n_questions;
    mn_babi_words *sentences;    /* [n_sentences], story by story; owned */
    mn_babi_question *questions; /* [n_questions]; owned */
    uint32_t *words;             /* [n_words]; owned */
    uint32_t n_words;
    uint32_t longest_story, longest_sentence, longest_question;
    mn_digest digest; /* of the file's bytes */
} mn_babi_text;

/* Read a file; its words are added to the dictionary, or if `grow` is false, those that it lacks
 * become number mn_words_count(). MN_ERR_DATA: path:line, what is there and what was expected.
 * MN_ERR_NO_INPUT, MN_ERR_NOMEM. On failure *out is empty. */
mn_status mn_babi_text_read(const char *path, mn_words *words, bool grow, mn_babi_text *out,
                            mn_error *err);

/* The same of n bytes, which messages call `source`. */
mn_status mn_babi_text_parse(const char *source, const char *bytes, size_t n, mn_words *words,
                             bool grow, mn_babi_text *out, mn_error *err);

void mn_babi_text_fini(mn_babi_text *text);

/* The numbers of the words of one sentence or question, '.', '?', ',' and spaces between them left
 * out, to out[MN_BABI_MAX_LENGTH]. MN_ERR_DATA: there is none, there are too many, or it holds what
 * is no letter, digit, '-' or '\''. */
mn_status mn_babi_split(const char *text, size_t n, mn_words *words, bool grow, uint32_t *out,
                        uint32_t *n_out, mn_error *err);
