#include "worker/data/import/array_file.h"

#include "common/half.h"
#include "common/text.h"
#include "worker/data/npy.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LABEL 999999.0
#define MAX_BYTES ((uint64_t)1 << 62)
_Static_assert(MN_ARRAY_RANK == MN_NPY_RANK, "an array takes all dimensions of a header");

static mn_status parse_idx(const uint8_t *bytes, size_t n, const char *where, mn_array *out,
                           mn_error *err);
static mn_status parse_npy(const uint8_t *bytes, size_t n, const char *where, mn_array *out,
                           mn_error *err);
static mn_status check_shape(const mn_array *array, const char *where, mn_error *err);

mn_status mn_array_parse(const void *bytes, size_t n, const char *where, mn_array *out,
                         mn_error *err)
{
    const uint8_t *at = bytes;
    *out = (mn_array){.name = ""};
    if (mn_npy_begins(at, n))
        return parse_npy(at, n, where, out, err);
    if (n >= 4 && at[0] == 0 && at[1] == 0 && at[2] >= 0x08 && at[2] <= 0x0e)
        return parse_idx(at, n, where, out, err);
    return mn_fail(err, MN_ERR_DATA,
                   "%s is neither IDX (as MNIST's train-images-idx3-ubyte) nor NPY (numpy.save): "
                   "it begins with neither's mark",
                   where);
}

/* IDX: two zeros, the kind of the numbers, how many sizes, the sizes, big endian all of it. */
static mn_status parse_idx(const uint8_t *bytes, size_t n, const char *where, mn_array *out,
                           mn_error *err)
{
    static const struct {
        uint8_t code, bytes;
        mn_array_type type;
    } kinds[] = {{0x08, 1, MN_ARRAY_UNSIGNED}, {0x09, 1, MN_ARRAY_SIGNED},
                 {0x0b, 2, MN_ARRAY_SIGNED},   {0x0c, 4, MN_ARRAY_SIGNED},
                 {0x0d, 4, MN_ARRAY_FLOAT},    {0x0e, 8, MN_ARRAY_FLOAT}};
    out->big_endian = true;
    out->rank = bytes[3];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == bytes[2]) {
            out->type = kinds[i].type;
            out->bytes = kinds[i].bytes;
        }
    if (out->bytes == 0 || out->rank == 0 || out->rank > MN_ARRAY_RANK)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: an IDX file of numbers of kind 0x%02x and %u sizes; expected kind "
                       "0x08 (bytes), 0x09, 0x0b to 0x0e, and 1 to %u sizes",
                       where, bytes[2], bytes[3], MN_ARRAY_RANK);
    out->begin = 4 + (uint64_t)out->rank * 4;
    if (n < out->begin)
        return mn_fail(err, MN_ERR_DATA, "%s: its IDX header is cut short", where);
    for (uint32_t i = 0; i < out->rank; i++) {
        const uint8_t *at = bytes + 4 + (size_t)i * 4;
        out->shape[i] =
            (uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];
    }
    return check_shape(out, where, err);
}

static mn_status parse_npy(const uint8_t *bytes, size_t n, const char *where, mn_array *out,
                           mn_error *err)
{
    mn_npy npy;
    char shown[MN_NPY_SHOWN];
    mn_status status = mn_npy_parse(bytes, n, where, &npy, shown, err);
    if (status != MN_OK && status != MN_ERR_CONFIG)
        return status;
    if (status == MN_ERR_CONFIG || npy.kind == 'U' || npy.kind == 'S')
        return mn_fail(err, MN_ERR_DATA,
                       "%s: an NPY file of %s; expected whole numbers, truth values or float16, "
                       "float32 or float64 numbers, in 1 to %u dimensions: save X.astype('uint8'), "
                       "y.astype('int64')",
                       where, shown, MN_ARRAY_RANK);
    if (npy.by_column && npy.rank > 1)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: its numbers are in Fortran's order; save numpy.ascontiguousarray(X)",
                       where);
    out->type = npy.kind == 'b'   ? MN_ARRAY_BOOL
                : npy.kind == 'u' ? MN_ARRAY_UNSIGNED
                : npy.kind == 'i' ? MN_ARRAY_SIGNED
                                  : MN_ARRAY_FLOAT;
    out->bytes = npy.bytes;
    out->big_endian = npy.big_endian;
    out->rank = npy.rank;
    memcpy(out->shape, npy.shape, sizeof out->shape);
    out->begin = npy.begin;
    return check_shape(out, where, err);
}

static mn_status check_shape(const mn_array *array, const char *where, mn_error *err)
{
    uint64_t bytes = array->bytes;
    for (uint32_t i = 0; i < array->rank; i++) {
        if (array->shape[i] == 0)
            return mn_fail(err, MN_ERR_DATA, "%s: its array is empty", where);
        if (array->shape[i] > MAX_BYTES / bytes)
            return mn_fail(err, MN_ERR_DATA, "%s: its array is larger than any memory", where);
        bytes *= array->shape[i];
    }
    return MN_OK;
}

/* Safetensors --------------------------------------------------------------------- */

bool mn_array_is_safetensors(const void *bytes, size_t n)
{
    const uint8_t *at = bytes; /* a length of 8 bytes, little endian, and JSON */
    return n >= 9 && at[8] == '{' && at[5] == 0 && at[6] == 0 && at[7] == 0;
}

static bool read_tensor(const char *name, const json_t *entry, uint64_t data, mn_array *out)
{
    static const struct {
        const char *name;
        mn_array_type type;
        uint32_t bytes;
    } kinds[] = {
        {"BOOL", MN_ARRAY_BOOL, 1},    {"U8", MN_ARRAY_UNSIGNED, 1},  {"U16", MN_ARRAY_UNSIGNED, 2},
        {"U32", MN_ARRAY_UNSIGNED, 4}, {"U64", MN_ARRAY_UNSIGNED, 8}, {"I8", MN_ARRAY_SIGNED, 1},
        {"I16", MN_ARRAY_SIGNED, 2},   {"I32", MN_ARRAY_SIGNED, 4},   {"I64", MN_ARRAY_SIGNED, 8},
        {"F16", MN_ARRAY_FLOAT, 2},    {"BF16", MN_ARRAY_BRAIN, 2},   {"F32", MN_ARRAY_FLOAT, 4},
        {"F64", MN_ARRAY_FLOAT, 8}};
    const char *kind = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape"),
                 *begin = json_array_get(json_object_get(entry, "data_offsets"), 0);
    *out = (mn_array){.rank = (uint32_t)json_array_size(shape)};
    for (size_t i = 0; kind != NULL && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i].name) == 0) {
            out->type = kinds[i].type;
            out->bytes = kinds[i].bytes;
        }
    if (out->bytes == 0 || json_array_size(shape) == 0 || json_array_size(shape) > MN_ARRAY_RANK ||
        !json_is_integer(begin) || json_integer_value(begin) < 0 ||
        (uint64_t)json_integer_value(begin) > MAX_BYTES)
        return false;
    for (uint32_t i = 0; i < out->rank; i++) {
        const json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return false;
        out->shape[i] = (uint64_t)json_integer_value(size);
    }
    out->begin = data + (uint64_t)json_integer_value(begin);
    (void)mn_text_escape(name, strlen(name), out->name, sizeof out->name);
    return check_shape(out, name, NULL) == MN_OK;
}

mn_status mn_array_parse_safetensors(const char *header, size_t n, const char *where,
                                     mn_array **out, size_t *n_out, mn_error *err)
{
    json_error_t why;
    json_t *root = json_loadb(header, n, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(root)) {
        json_decref(root);
        return mn_fail(err, MN_ERR_DATA, "%s: its safetensors header is damaged", where);
    }
    mn_array *arrays = calloc(json_object_size(root) + 1, sizeof *arrays);
    size_t n_arrays = 0;
    const char *name;
    json_t *entry;
    if (arrays == NULL) {
        json_decref(root);
        return mn_fail(err, MN_ERR_NOMEM, "%s", where);
    }
    json_object_foreach(root, name, entry)
    {
        if (strcmp(name, "__metadata__") != 0)
            n_arrays += read_tensor(name, entry, 8 + n, &arrays[n_arrays]);
    }
    json_decref(root);
    *out = arrays;
    *n_out = n_arrays;
    return MN_OK;
}

/* Numbers ------------------------------------------------------------------------- */

void mn_array_describe(const mn_array *array, char out[128])
{
    static const char *const types[] = {[MN_ARRAY_BOOL] = "bool",
                                        [MN_ARRAY_UNSIGNED] = "uint",
                                        [MN_ARRAY_SIGNED] = "int",
                                        [MN_ARRAY_FLOAT] = "float",
                                        [MN_ARRAY_BRAIN] = "bfloat"};
    int used = array->type == MN_ARRAY_BOOL
                   ? snprintf(out, 128, "bool [")
                   : snprintf(out, 128, "%s%" PRIu32 " [", types[array->type], 8 * array->bytes);
    for (uint32_t i = 0; i < array->rank; i++)
        used += snprintf(out + used, 128 - (size_t)used, "%s%" PRIu64, i > 0 ? ", " : "",
                         array->shape[i]);
    (void)snprintf(out + used, 128 - (size_t)used, "]");
}

static double number_at(const mn_array *array, const uint8_t *at)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < array->bytes; i++)
        bits |= (uint64_t)at[array->big_endian ? array->bytes - 1 - i : i] << (8 * i);
    if (array->type == MN_ARRAY_BRAIN)
        return (double)mn_float_of_brain((uint16_t)bits);
    if (array->type == MN_ARRAY_FLOAT && array->bytes == 2)
        return (double)mn_float_of_half((uint16_t)bits);
    if (array->type == MN_ARRAY_FLOAT && array->bytes == 4) {
        const uint32_t low = (uint32_t)bits;
        float real;
        memcpy(&real, &low, sizeof real);
        return (double)real;
    }
    if (array->type == MN_ARRAY_FLOAT) {
        double real;
        memcpy(&real, &bits, sizeof real);
        return real;
    }
    const uint64_t sign = (uint64_t)1 << (8 * array->bytes - 1);
    if (array->type == MN_ARRAY_SIGNED) /* two's complement: the highest bit counts below zero */
        return (double)(bits & ~sign) - (double)(bits & sign);
    return (double)bits;
}

size_t mn_array_pixels(const mn_array *array, const uint8_t *bytes, size_t n, uint8_t *out,
                       double *bad)
{
    if (array->type == MN_ARRAY_UNSIGNED && array->bytes == 1) {
        memcpy(out, bytes, n);
        return n;
    }
    const bool unit = array->type == MN_ARRAY_FLOAT || array->type == MN_ARRAY_BRAIN ||
                      array->type == MN_ARRAY_BOOL;
    for (size_t i = 0; i < n; i++) {
        const double value = number_at(array, bytes + i * array->bytes);
        if (!(value >= 0 && value <= (unit ? 1 : 255))) {
            *bad = value;
            return i;
        }
        out[i] = (uint8_t)(unit ? value * 255 + 0.5 : value);
    }
    return n;
}

size_t mn_array_labels(const mn_array *array, const uint8_t *bytes, size_t n, uint32_t *out,
                       double *bad)
{
    for (size_t i = 0; i < n; i++) {
        const double value = number_at(array, bytes + i * array->bytes);
        if (!(value >= 0 && value <= MAX_LABEL)) {
            *bad = value;
            return i;
        }
        out[i] = (uint32_t)value;
    }
    return n;
}
