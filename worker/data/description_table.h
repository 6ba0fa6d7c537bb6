/* description_table.h: what classes are like: a row of numbers, the attributes, for each class, as
 * zero-shot learning describes classes that nobody has seen. Two forms are read:
 *   a table     a header "class" and the attributes' names; then a line a class, its name first.
 *               Separated by commas, semicolons or tabs; an empty field or ? is a missing value
 *   a matrix    rows of numbers alone, separated by blanks, as predicate-matrix-continuous.txt of
 *               Animals with Attributes; -1 is a missing value. Beside it lie classes.txt, a line
 *               "NUMBER NAME" a row, and if there is one predicates.txt, the same of the columns
 * A file may come from anybody: everything in it is checked. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include <stddef.h>
#include <stdint.h>

#define MN_DESCRIPTIONS_MAX_BYTES ((size_t)64 << 20)
#define MN_DESCRIPTIONS_MAX_CLASSES 65536u
#define MN_DESCRIPTIONS_MAX_ATTRIBUTES 4096u
#define MN_DESCRIPTIONS_MAX_NAME 255u

typedef struct mn_description_table {
    uint32_t n_classes, n_attributes; /* both > 0 */
    char **classes;                   /* [n_classes], all different; owned, as all that follows */
    char **attributes;                /* [n_attributes] */
    uint32_t *lines;                  /* [n_classes]: of the file, for messages */
    float *at;                        /* [n_classes, n_attributes]; NaN: missing */
    mn_digest digest;                 /* of all bytes that were read */
} mn_description_table;

/* Read a file and, for a matrix, what lies beside it. MN_ERR_NO_INPUT: it is not there. MN_ERR_DATA:
 * file, line and column, what is there and what was expected. *out is empty on failure. */
mn_status mn_description_table_read(const char *path, mn_description_table *out, mn_error *err);

/* A text with its name for messages; a NUL follows its n bytes. bytes NULL: there is none. */
typedef struct mn_description_text {
    const char *source, *bytes;
    size_t n;
} mn_description_text;

/* The same from memory: the file, classes.txt and predicates.txt, of which a table needs neither and
 * a matrix the first. */
mn_status mn_description_table_parse(const mn_description_text texts[3], mn_description_table *out,
                                     mn_error *err);

void mn_description_table_fini(mn_description_table *table);

/* The row of a class; UINT32_MAX: there is none. */
uint32_t mn_description_table_find(const mn_description_table *table, const char *name);
