/* number_table.h: a table of numbers as people export it: CSV by RFC 4180, fields quoted or not,
 * with a header or without. The separator is a comma, or what the first line has instead, a semicolon or
 * a tab; a byte-order mark, CRLF and empty lines are no trouble. */
#pragma once

#include "common/error.h"
#include <stddef.h>
#include <stdint.h>

#define MN_TABLE_MAX_BYTES ((size_t)64 << 20) /* of a file */
#define MN_TABLE_MAX_COLUMNS 64u

typedef struct mn_number_table {
    uint32_t n_rows, n_columns;
    float *at; /* [n_rows, n_columns]; owned */
} mn_number_table;

/* Read a file of `least` to `most` columns, at most MN_TABLE_MAX_COLUMNS, and one row at least; what
 * the columns are is in `columns`, for messages, as "x, y". The first row is a header if none of its
 * fields is a number. MN_ERR_DATA: line and column, what is there and what was expected. *out is empty
 * on failure. */
mn_status mn_number_table_read(const char *path, uint32_t least, uint32_t most, const char *columns,
                               mn_number_table *out, mn_error *err);
/* The same of n bytes, which messages call `source`; a NUL follows them. */
mn_status mn_number_table_parse(const char *source, const char *bytes, size_t n, uint32_t least,
                                uint32_t most, const char *columns, mn_number_table *out,
                                mn_error *err);

void mn_number_table_fini(mn_number_table *table);
