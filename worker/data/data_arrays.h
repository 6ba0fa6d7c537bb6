/* data_arrays.h: columns of arrays: .npy, .npz and .safetensors, for data_table.c alone. */
#pragma once

#include "worker/data/data_table.h"

/* Add the columns of an array file to a table of as many rows or of none yet. The bytes are lent until
 * the table's end. */
mn_status mn_data_arrays_npy(const char *source, const char *name, const char *bytes, size_t n,
                             mn_data_table *table, mn_error *err);
mn_status mn_data_arrays_npz(const char *source, const char *bytes, size_t n, mn_data_table *table,
                             mn_error *err);
mn_status mn_data_arrays_safetensors(const char *source, const char *bytes, size_t n,
                                     mn_data_table *table, mn_error *err);

/* An array in memory. */
typedef struct mn_data_array {
    const char *name;
    mn_cells cells;
    uint32_t size; /* bytes of a cell */
    const char *first;
    uint64_t n_rows, n_columns;
    size_t row_stride, column_stride; /* bytes from row to row, from column to column */
    bool is_vector;                   /* [rows]: one column that is called as the array is */
} mn_data_array;

/* Add its columns. MN_ERR_DATA: it has none, too many, or another number of rows than the table. */
mn_status mn_data_table_add(const char *source, const mn_data_array *array, mn_data_table *table,
                            mn_error *err);
