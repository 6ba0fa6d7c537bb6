/* text.h: what a person will see, made safe and helpful: no byte of a file, an option or a peer can
 * move the cursor, break a line or hide, and a mistyped name finds its neighbour. UTF-8 throughout.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Is this UTF-8 without control characters, line separators and byte-order marks? */
bool mn_text_is_plain(const char *text);

/* Copy n bytes to out[size] (size >= 8), NUL-terminated: bytes that are not plain become \xNN, and
 * what does not fit is cut at a whole character and ends in "...". Returns the length of out. */
size_t mn_text_escape(const char *text, size_t n, char *out, size_t size);

/* Copy text to out[size] (size >= 8), NUL-terminated: what does not fit is cut behind a whole word, or where
 * there is none at a whole character, and ends in "...". Returns the length of out. */
size_t mn_text_cut(const char *text, char *out, size_t size);

/* How many letters to insert, delete, replace or swap with their neighbour to turn a into b.
 * Texts of more than 63 bytes are far from everything: SIZE_MAX. */
size_t mn_text_distance(const char *a, const char *b);

/* Is a distance small enough for "did you mean"? */
bool mn_text_is_near(size_t distance, const char *typed);
