/* Arrays as the Python world keeps them; .npz is a zip archive of .npy files, of which no compression is
 * read. */
#include "worker/data/data_arrays.h"

#include "common/tensor_file.h"
#include "common/text.h"
#include "worker/data/npy.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Little-endian numbers of a file, wherever they stand. */
static uint32_t u16_at(const char *at)
{
    return (uint32_t)(unsigned char)at[0] | (uint32_t)(unsigned char)at[1] << 8;
}

static uint32_t u32_at(const char *at)
{
    return u16_at(at) | u16_at(at + 2) << 16;
}

/* .npy ------------------------------------------------------------------------------- */

static bool find_cells(const mn_npy *npy, mn_cells *cells)
{
    static const struct {
        char kind;
        uint8_t bytes; /* 0: any */
        mn_cells cells;
    } types[] = {{'f', 4, MN_CELLS_F32},  {'f', 8, MN_CELLS_F64},  {'f', 2, MN_CELLS_F16},
                 {'i', 1, MN_CELLS_I8},   {'i', 2, MN_CELLS_I16},  {'i', 4, MN_CELLS_I32},
                 {'i', 8, MN_CELLS_I64},  {'u', 1, MN_CELLS_U8},   {'u', 2, MN_CELLS_U16},
                 {'u', 4, MN_CELLS_U32},  {'u', 8, MN_CELLS_U64},  {'b', 1, MN_CELLS_U8},
                 {'U', 0, MN_CELLS_UCS4}, {'S', 0, MN_CELLS_BYTES}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].kind == npy->kind && (types[i].bytes == 0 || types[i].bytes == npy->bytes)) {
            *cells = types[i].cells;
            return npy->bytes == 1 || !npy->big_endian;
        }
    return false;
}

mn_status mn_data_arrays_npy(const char *source, const char *name, const char *bytes, size_t n,
                             mn_data_table *table, mn_error *err)
{
    mn_npy npy;
    mn_data_array array = {.name = name};
    char shown[MN_NPY_SHOWN];
    if (!mn_npy_begins(bytes, n))
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %.80s is no array as numpy.save writes it, or is torn", source, name);
    mn_status status = mn_npy_parse(bytes, n, source, &npy, shown, err);
    if (status != MN_OK && status != MN_ERR_CONFIG)
        return status;
    if (status == MN_ERR_CONFIG || npy.rank > 2 || npy.shape[0] > UINT32_MAX ||
        npy.shape[1] > UINT32_MAX || !find_cells(&npy, &array.cells))
        return mn_fail(err, MN_ERR_DATA,
                       "%s: array %.80s: header \"%s\": expected numbers or strings of one type, "
                       "little-endian, as numpy.save writes float32, float64, int64 or str arrays "
                       "of one or two dimensions",
                       source, name, shown);
    array.size = npy.bytes;
    array.n_rows = npy.shape[0];
    array.n_columns = npy.rank == 2 ? npy.shape[1] : 1;
    array.is_vector = npy.rank == 1;
    const uint64_t cells = array.n_rows * array.n_columns; /* of two 32-bit numbers */
    if (cells > (n - npy.begin) / array.size)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %.80s is torn: it has fewer numbers than the %" PRIu64 " x %" PRIu64
                       " of its header",
                       source, name, array.n_rows, array.n_columns);
    array.first = bytes + npy.begin;
    array.row_stride = npy.by_column ? array.size : (size_t)array.n_columns * array.size;
    array.column_stride = npy.by_column ? (size_t)array.n_rows * array.size : array.size;
    table->named = false; /* its name is the file's */
    return mn_data_table_add(source, &array, table, err);
}

/* .npz ------------------------------------------------------------------------------- */

/* The end of the central directory: 22 bytes, and a comment of up to 65,535 behind them. */
static const char *find_end(const char *bytes, size_t n)
{
    for (size_t back = 22; back <= n && back <= 22 + 65535; back++)
        if (memcmp(bytes + n - back, "PK\5\6", 4) == 0)
            return bytes + n - back;
    return NULL;
}

/* One entry of the central directory, 46 bytes and its name; the data lie behind a local header of 30
 * bytes, a name and an extra field. */
static mn_status add_entry(const char *source, const char *bytes, size_t n, const char *entry,
                           size_t name_length, mn_data_table *table, mn_error *err)
{
    const uint32_t method = u16_at(entry + 10), size = u32_at(entry + 24), at = u32_at(entry + 42);
    char name[128];
    (void)snprintf(name, sizeof name, "%.*s", (int)name_length, entry + 46);
    char *ending = strrchr(name, '.');
    if (ending == NULL || strcmp(ending, ".npy") != 0 || !mn_text_is_plain(name))
        return mn_fail(err, MN_ERR_DATA,
                       "%s: not an archive of arrays as numpy.savez writes it: it has other files",
                       source);
    *ending = '\0';
    if (method != 0)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: array %s is compressed: expected what numpy.savez writes, not "
                       "numpy.savez_compressed",
                       source, name);
    if (at > n || n - at < 30 || memcmp(bytes + at, "PK\3\4", 4) != 0)
        return mn_fail(err, MN_ERR_DATA, "%s: torn: array %s is not where it should be", source,
                       name);
    const size_t begin = (size_t)at + 30 + u16_at(bytes + at + 26) + u16_at(bytes + at + 28);
    if (begin > n || size > n - begin)
        return mn_fail(err, MN_ERR_DATA, "%s: torn: array %s is not whole", source, name);
    return mn_data_arrays_npy(source, name, bytes + begin, size, table, err);
}

mn_status mn_data_arrays_npz(const char *source, const char *bytes, size_t n, mn_data_table *table,
                             mn_error *err)
{
    const bool named = table->named;
    const char *end = n >= 22 ? find_end(bytes, n) : NULL;
    if (end == NULL || u32_at(end + 16) > n)
        return mn_fail(err, MN_ERR_DATA, "%s: torn, or no archive as numpy.savez writes it",
                       source);
    const char *entry = bytes + u32_at(end + 16);
    const uint32_t n_entries = u16_at(end + 10);
    mn_status status =
        n_entries > 0 ? MN_OK : mn_fail(err, MN_ERR_DATA, "%s: no array in it", source);
    for (uint32_t i = 0; i < n_entries && status == MN_OK; i++) {
        const size_t left = (size_t)(bytes + n - entry);
        if (left < 46 || memcmp(entry, "PK\1\2", 4) != 0 || u16_at(entry + 28) > left - 46)
            return mn_fail(err, MN_ERR_DATA, "%s: torn: its list of arrays is not whole", source);
        const size_t length =
            46 + (size_t)u16_at(entry + 28) + u16_at(entry + 30) + u16_at(entry + 32);
        status = add_entry(source, bytes, n, entry, u16_at(entry + 28), table, err);
        entry += length < left ? length : left;
    }
    table->named = named;
    return status;
}

/* .safetensors ----------------------------------------------------------------------- */

mn_status mn_data_arrays_safetensors(const char *source, const char *bytes, size_t n,
                                     mn_data_table *table, mn_error *err)
{
    static const mn_cells types[MN_N_DTYPES] = {
        [MN_F32] = MN_CELLS_F32,   [MN_F64] = MN_CELLS_F64, [MN_F16] = MN_CELLS_F16,
        [MN_BF16] = MN_CELLS_BF16, [MN_I64] = MN_CELLS_I64, [MN_I32] = MN_CELLS_I32,
        [MN_I16] = MN_CELLS_I16,   [MN_I8] = MN_CELLS_I8,   [MN_U8] = MN_CELLS_U8};
    mn_tensor_file *file = NULL;
    mn_status status = mn_tensor_file_parse(bytes, n, source, &file, err);
    if (status != MN_OK)
        return status;
    table->tensors[table->n_tensors++] = file;
    if (mn_tensor_file_count(file) == 0)
        return mn_fail(err, MN_ERR_DATA, "%s: no tensor in it", source);
    for (size_t i = 0; i < mn_tensor_file_count(file) && status == MN_OK; i++) {
        const mn_tensor *tensor = mn_tensor_file_at(file, i);
        const uint32_t size = (uint32_t)mn_dtype_bytes(tensor->dtype);
        if (tensor->rank != 1 && tensor->rank != 2)
            return mn_fail(err, MN_ERR_DATA,
                           "%s: tensor %s has %" PRIu32
                           " dimensions: expected rows, or rows of columns",
                           source, tensor->name, tensor->rank);
        const uint64_t columns = tensor->rank == 2 ? tensor->shape[1] : 1;
        const mn_data_array array = {.name = tensor->name,
                                     .cells = types[tensor->dtype],
                                     .size = size,
                                     .first = tensor->data,
                                     .n_rows = tensor->shape[0],
                                     .n_columns = columns,
                                     .row_stride = (size_t)columns * size,
                                     .column_stride = size,
                                     .is_vector = tensor->rank == 1};
        status = mn_data_table_add(source, &array, table, err);
    }
    return status;
}
