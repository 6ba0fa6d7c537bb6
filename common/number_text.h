/* number_text.h: a number as text, several times as fast as printf: files of numbers have one line for each
 * meta-step, and meta-steps may be short. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MN_NUMBER_TEXT 32u

/* What "%.9g" makes of it, in the C locale, with its '\0'; how many bytes before that. */
size_t mn_number_text(double value, char out[MN_NUMBER_TEXT]);
/* The same of "%" PRIu64. */
size_t mn_count_text(uint64_t count, char out[MN_NUMBER_TEXT]);

/* The shortest decimal that reads back as the same number, of at most 17 digits; 25 bytes have room for each. */
void mn_number_shortest(double value, char *out, size_t size);
