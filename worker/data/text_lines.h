/* text_lines.h: lines of text that begin with a number, and their words, for the readers of the files of bAbI and of
 * its dialog tasks. Words are what stands between spaces; a file that ends within a line is cut. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_TEXT_MAX_BYTES (256u << 20) /* of a file */
#define MN_TEXT_MAX_LINES (1u << 22)

typedef struct mn_span {
    const char *at;
    size_t n;
} mn_span;

typedef struct mn_text_lines {
    const char *source; /* as messages call the file; lent */
    mn_span left;       /* what is not read yet; lent */
    uint32_t line;      /* from 1: the one that was read last */
} mn_text_lines;

/* The next line, without its end; *more is false, and *line is empty, behind the last one.
 * MN_ERR_DATA: the file is cut within it, or there are too many. */
mn_status mn_text_lines_next(mn_text_lines *lines, mn_span *line, bool *more, mn_error *err);

/* MN_ERR_DATA: source:line: "what": expected ... */
mn_status mn_text_lines_refuse(const mn_text_lines *lines, mn_span what, const char *expected,
                               mn_error *err);

/* The number at the front and the space behind it, which leave *from. False: there is none, and then
 * *from has no meaning. */
bool mn_span_cut_number(mn_span *from, uint32_t *number);

/* The next word, which leaves *from; of no letters: there is none. A tab is a space here. */
mn_span mn_span_cut_word(mn_span *from);

/* The part before a tab, which leaves *from with it. False: there is no tab, and *part is all. */
bool mn_span_cut_at_tab(mn_span *from, mn_span *part);
