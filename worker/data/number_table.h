/* number_table.h: a table of numbers alone, of few columns, as points of a curve: a file as data_table.h reads it, in
 * which every cell is a finite number. */
#pragma once

#include "common/error.h"
#include <stddef.h>
#include <stdint.h>

typedef struct mn_number_table {
    uint32_t n_rows, n_columns;
    float *at; /* [n_rows, n_columns]; owned */
} mn_number_table;

/* Read a file of `least` to `most` columns, with a header or without; what the columns are is in `columns`, for
 * messages, as "x, y". MN_ERR_DATA: where, what is there and what was expected. *out is empty on failure. */
mn_status mn_number_table_read(const char *path, uint32_t least, uint32_t most, const char *columns,
                               mn_number_table *out, mn_error *err);

void mn_number_table_fini(mn_number_table *table);
