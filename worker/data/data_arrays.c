/* Arrays as the Python world keeps them. The form of .npy is that of numpy.lib.format, versions 1 to 3; .npz is
 * a zip archive of such files, of which no compression is read. */
#include "worker/data/data_arrays.h"

#include "common/tensor_file.h"
#include "common/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_HEADER 4096u

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

static mn_status bad_header(const char *source, const char *name, const char *header, mn_error *err)
{
    char shown[120];
    (void)mn_text_escape(header, strlen(header), shown, sizeof shown);
    return mn_fail(
        err, MN_ERR_DATA,
        "%s: array %.80s: header \"%s\": expected numbers or strings of one type, little-endian, "
        "as numpy.save writes float32, float64, int64 or str arrays of one or two "
        "dimensions",
        source, name, shown);
}

/* The value behind a key of the header's Python dictionary; NULL: there is none. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (at == NULL)
        return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at++ != ':')
        return NULL;
    return at + strspn(at, " ");
}

static bool read_descr(const char *text, mn_data_array *array)
{
    static const struct {
        const char *descr;
        mn_cells cells;
    } types[] = {{"<f4", MN_CELLS_F32}, {"<f8", MN_CELLS_F64}, {"<f2", MN_CELLS_F16},
                 {"|i1", MN_CELLS_I8},  {"<i2", MN_CELLS_I16}, {"<i4", MN_CELLS_I32},
                 {"<i8", MN_CELLS_I64}, {"|u1", MN_CELLS_U8},  {"<u2", MN_CELLS_U16},
                 {"<u4", MN_CELLS_U32}, {"<u8", MN_CELLS_U64}, {"|b1", MN_CELLS_U8}};
    const char quote = text[0];
    char *end = NULL;
    if (quote != '\'' && quote != '"')
        return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strncmp(text + 1, types[i].descr, 3) == 0 && text[4] == quote) {
            array->cells = types[i].cells;
            array->size = (uint32_t)(text[3] - '0');
            return true;
        }
    const bool is_str = strncmp(text + 1, "<U", 2) == 0, is_bytes = strncmp(text + 1, "|S", 2) == 0;
    if ((!is_str && !is_bytes) || text[3] < '1' || text[3] > '9')
        return false;
    const unsigned long n = strtoul(text + 3, &end, 10);
    if (*end != quote || n > 65536)
        return false;
    array->cells = is_str ? MN_CELLS_UCS4 : MN_CELLS_BYTES;
    array->size = (uint32_t)(is_str ? 4 * n : n);
    return true;
}

/* "(150,)" or "(150, 4)" */
static bool read_shape(const char *text, mn_data_array *array)
{
    uint64_t shape[2] = {0, 1};
    uint32_t rank = 0;
    if (*text++ != '(')
        return false;
    while (*text >= '0' && *text <= '9') {
        char *end = NULL;
        if (rank == 2)
            return false;
        shape[rank++] = strtoull(text, &end, 10);
        text = end + strspn(end, ", ");
    }
    array->n_rows = shape[0];
    array->n_columns = shape[1];
    array->is_vector = rank == 1;
    return *text == ')' && rank > 0 && shape[0] <= UINT32_MAX && shape[1] <= UINT32_MAX;
}

mn_status mn_data_arrays_npy(const char *source, const char *name, const char *bytes, size_t n,
                             mn_data_table *table, mn_error *err)
{
    char header[MOST_HEADER + 1] = "";
    mn_data_array array = {.name = name};
    const bool is_npy =
        n >= 12 && memcmp(bytes, "\x93NUMPY", 6) == 0 && bytes[6] >= 1 && bytes[6] <= 3;
    const size_t before = is_npy && bytes[6] == 1 ? 10 : 12;
    const size_t length = !is_npy ? 0 : bytes[6] == 1 ? u16_at(bytes + 8) : u32_at(bytes + 8);
    if (!is_npy || length > MOST_HEADER || length > n - before)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %.80s is no array as numpy.save writes it, or is torn", source, name);
    memcpy(header, bytes + before, length);
    const char *descr = value_of(header, "'descr'"), *shape = value_of(header, "'shape'");
    const char *order = value_of(header, "'fortran_order'");
    if (descr == NULL || shape == NULL || order == NULL || !read_descr(descr, &array) ||
        !read_shape(shape, &array))
        return bad_header(source, name, header, err);
    const bool by_column = strncmp(order, "True", 4) == 0;
    const uint64_t cells = array.n_rows * array.n_columns; /* of two 32-bit numbers */
    if (cells > (n - before - length) / array.size)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %.80s is torn: it has fewer numbers than the %" PRIu64 " x %" PRIu64
                       " of its header",
                       source, name, array.n_rows, array.n_columns);
    array.first = bytes + before + length;
    array.row_stride = by_column ? array.size : (size_t)array.n_columns * array.size;
    array.column_stride = by_column ? (size_t)array.n_rows * array.size : array.size;
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
