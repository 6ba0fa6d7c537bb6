/* words.h: a dictionary. Number 0 is no word (padding); the others count from 1. Lower case
 * throughout. Grows while files are read, and is sorted once, so that numbers do not depend on the
 * order of files. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_WORD_BYTES 64u /* of a word, with NUL */
#define MN_MAX_WORDS 65536u

typedef struct mn_words mn_words;

mn_status mn_words_new(mn_words **out, mn_error *err);
void mn_words_destroy(mn_words **words);

/* The same words with the same numbers, to be added to. */
mn_status mn_words_copy(const mn_words *words, mn_words **out, mn_error *err);

/* How many numbers there are, 0 included. */
uint32_t mn_words_count(const mn_words *words);

/* The word of a number; "" for 0 and what is no word's. Lent until the next is added. */
const char *mn_words_text(const mn_words *words, uint32_t number);

/* The number of n bytes, in any case; 0: there is no such word. */
uint32_t mn_words_find(const mn_words *words, const char *text, size_t n);

/* The same, adding it if it is new. MN_ERR_DATA: it is empty or too long, or there are too many. */
mn_status mn_words_add(mn_words *words, const char *text, size_t n, uint32_t *number,
                       mn_error *err);

/* All, a line each, that of number 0 empty; to be freed. And back: MN_ERR_DATA: it is no such list, as
 * a word is there twice. */
mn_status mn_words_list(const mn_words *words, char **out, mn_error *err);
mn_status mn_words_parse(const char *text, mn_words **out, mn_error *err);

/* Order by bytes; old number i becomes renamed[i], [mn_words_count], owned by the caller. */
mn_status mn_words_sort(mn_words *words, uint32_t **renamed, mn_error *err);

/* The known word that is nearest to a mistyped one, for "did you mean"; NULL: none is near. */
const char *mn_words_near(const mn_words *words, const char *text);
