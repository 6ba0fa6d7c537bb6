/* story_text.h: reader of a story that a person wrote down, with what is asked about it. A line is
 *     [ID] sentence[.]                      or
 *     [ID] question? [TAB answer [TAB ...]]
 * and blank lines are skipped. IDs as in the bAbI tasks are wanted in all lines if the first one has
 * ID 1: they count, and 1 begins a new story. A question is about what its story has told before it.
 * A last line without its newline must end in '.' or '?': else the file seems to be cut. */
#pragma once

#include "common/error.h"
#include "worker/data/babi_text.h"
#include "worker/data/words.h"
#include <stdint.h>

#define MN_STORY_MAX_BYTES (4u << 20) /* of a file */

/* How many words a sentence and a question may have. */
typedef struct mn_story_limits {
    uint32_t sentence, question;
} mn_story_limits;

typedef struct mn_story_question {
    uint32_t line; /* 0: it is not from the file */
    mn_babi_words words;
    uint32_t answer;                   /* number of the word; 0: not told */
    uint32_t first_sentence, n_so_far; /* what it is about */
} mn_story_question;

/* A word that the dictionary lacked, and the line where it came first (0: in a question that is not
 * from the file). */
typedef struct mn_story_new_word {
    uint32_t number, line;
} mn_story_new_word;

typedef struct mn_story_text {
    char *source; /* as messages call the file; owned */
    uint32_t n_stories, n_sentences, n_questions, n_words, n_new;
    mn_babi_words *sentences;     /* [n_sentences]; owned */
    mn_story_question *questions; /* [n_questions]; owned */
    uint32_t *words;              /* [n_words]; owned */
    mn_story_new_word *new_words; /* [n_new]; owned */
} mn_story_text;

/* Read a file, or standard input for "-". New words are added to the dictionary. MN_ERR_DATA: where,
 * what is there and what was expected. On failure *out is empty. */
mn_status mn_story_text_read(const char *path, const mn_story_limits *limits, mn_words *words,
                             mn_story_text *out, mn_error *err);

/* The same of n bytes, which messages call `source`. */
mn_status mn_story_text_parse(const char *source, const char *bytes, size_t n,
                              const mn_story_limits *limits, mn_words *words, mn_story_text *out,
                              mn_error *err);

/* Ask one question more, about the whole story; its '?' may be left out. MN_ERR_USAGE: it has no
 * words or too many, or there are several stories. */
mn_status mn_story_text_ask(mn_story_text *text, const char *question,
                            const mn_story_limits *limits, mn_words *words, mn_error *err);

void mn_story_text_fini(mn_story_text *text);
