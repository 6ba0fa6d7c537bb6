/* data_table.h: a table of a user's own: rows with columns of numbers or words. Read from
 *   text     CSV by RFC 4180 or TSV: fields quoted or not, over several lines too, with a header or
 *            without; a semicolon or a tab where the first line has these; a byte-order mark, CRLF and empty
 *            lines are no trouble. A decimal point, never a comma
 *   .npy     an array [rows] or [rows, columns]
 *   .npz     arrays of as many rows, as numpy.savez writes them (not compressed)
 *   .safetensors  tensors of as many rows
 * Files may stand side by side, as features and their labels: row i of one goes with row i of the others.
 * An array of several columns gives them names: x.1, x.2, ...; all of them are called x. Nothing in a file is
 * trusted. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "common/experiment.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_DATA_TABLE_MAX_COLUMNS 16384u
#define MN_DATA_TABLE_MAX_BYTES ((size_t)1 << 30) /* of a file */
#define MN_DATA_TABLE_MAX_FILES 8u
#define MN_DATA_TABLE_WORD 256u /* bytes of a cell as text, with NUL */

/* What the cells of a column are in memory. */
typedef enum mn_cells {
    MN_CELLS_TEXT, /* const char * */
    MN_CELLS_F32,
    MN_CELLS_F64,
    MN_CELLS_F16,
    MN_CELLS_BF16,
    MN_CELLS_I8,
    MN_CELLS_I16,
    MN_CELLS_I32,
    MN_CELLS_I64,
    MN_CELLS_U8,
    MN_CELLS_U16,
    MN_CELLS_U32,
    MN_CELLS_U64,
    MN_CELLS_UCS4,  /* `size` / 4 code points, filled up with zeros, as numpy's str */
    MN_CELLS_BYTES, /* `size` bytes, filled up with zeros */
    MN_N_CELLS
} mn_cells;

typedef struct mn_data_column {
    char *name; /* owned; of a text without a header its number, from 1 */
    mn_cells cells;
    uint32_t size;     /* bytes of a cell */
    const char *first; /* row 0; lent by the table */
    size_t stride;     /* bytes from row to row */
} mn_data_column;

typedef struct mn_data_table {
    uint32_t n_rows, n_columns;
    mn_data_column *columns; /* owned */
    /* [n_rows] where rows begin, from 1, if the first file is a text; NULL: it is none; owned */
    uint32_t *lines;
    bool named; /* the columns' names are the file's own, not made of numbers or of its name */
    mn_digest digest; /* of the file; of several files: of their digests, in order */
    char *bytes[2 * MN_DATA_TABLE_MAX_FILES]; /* what the columns lie in; owned */
    uint32_t n_bytes;
    struct mn_tensor_file *tensors[MN_DATA_TABLE_MAX_FILES]; /* owned */
    uint32_t n_tensors;
} mn_data_table;

/* Read `n` files side by side, at least one and at most MN_DATA_TABLE_MAX_FILES. The first line of a
 * text is a header if `header` says so, or by itself if none of its fields is a number. MN_ERR_DATA: where, what is
 * there and what was expected. *out is empty on failure. */
mn_status mn_data_table_read(uint32_t n, const char *const *paths, mn_header header,
                             mn_data_table *out, mn_error *err);
/* The same of n bytes, which messages call `source`; its ending says what they are. They are changed, and lent
 * until the table's end; a NUL follows them. */
mn_status mn_data_table_parse(const char *source, char *bytes, size_t n, mn_header header,
                              mn_data_table *out, mn_error *err);
void mn_data_table_fini(mn_data_table *table);

/* The columns of a name: one; all of an array, which stand together; or those of a number from 1 or of a range
 * of numbers "2-5", if no column is called that. MN_ERR_DATA: there are none, or it could be several; says which
 * names there are. */
mn_status mn_data_table_find(const mn_data_table *table, const char *name, uint32_t *first,
                             uint32_t *n, mn_error *err);

/* What is in a cell: a finite number; nothing (empty, NA, NaN, null or ?); or something else. */
typedef enum mn_cell { MN_CELL_NUMBER, MN_CELL_MISSING, MN_CELL_WORD } mn_cell;
mn_cell mn_data_table_number(const mn_data_table *table, uint32_t row, uint32_t column,
                             double *out);
/* The cell as text; it is cut where it is too long. A missing one is as it stands there. */
void mn_data_table_word(const mn_data_table *table, uint32_t row, uint32_t column,
                        char out[MN_DATA_TABLE_WORD]);
