#include "common/tensor_file.h"

#include "common/file.h"
#include "common/half.h"
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "tensors are written as they lie in memory");

/* A file is: the header's length in 8 bytes, the header (JSON, padded with spaces so that the data
 * begins at a multiple of 8), the data of all tensors without gaps. */
enum { LENGTH_BYTES = 8, ALIGNMENT = 64, HEX_DIGITS = 64 };
/* The format allows 100 MB; this is room for some 100,000 tensors, and parsing takes up to 45 times
 * as much. */
#define MAX_HEADER_BYTES ((size_t)10 << 20)
#define MAX_FILE_BYTES ((size_t)16 << 30) /* a billion parameters with two moments each */

#define METADATA "__metadata__"
#define DATA_DIGEST "sha256"
#define HEADER_DIGEST "header_sha256"
static const char no_digest[] = "0000000000000000000000000000000000000000000000000000000000000000";
static_assert(sizeof no_digest == HEX_DIGITS + 1, "as long as the digest whose place it takes");

static const struct {
    const char *name;
    size_t bytes;
} dtypes[MN_N_DTYPES] = {
    [MN_F32] = {"F32", 4},   [MN_F64] = {"F64", 8}, [MN_I64] = {"I64", 8},
    [MN_I32] = {"I32", 4},   [MN_U8] = {"U8", 1},   [MN_F16] = {"F16", 2},
    [MN_BF16] = {"BF16", 2}, [MN_I16] = {"I16", 2}, [MN_I8] = {"I8", 1},
};

struct mn_tensor_file {
    json_t *header; /* owned; metadata lives in it */
    size_t n_tensors;
    mn_tensor *tensors; /* [n_tensors], owned */
    void *data;         /* owned; what the tensors' data points into */
};

/* A file being read: where its parts are, and how to name it. */
struct reader {
    const char *source;
    const char *header;
    size_t header_bytes;
    const unsigned char *data;
    uint64_t data_bytes;
    mn_tensor_file *file;
};

/* Where a tensor's data lies in the data section. */
struct span {
    uint64_t begin, end;
    size_t place; /* in the header; decides among empty tensors */
    mn_tensor tensor;
};

static mn_status header_of(size_t n_tensors, const mn_tensor *tensors, size_t n_pairs,
                           const mn_text_pair *metadata, char **text, size_t *n_bytes,
                           mn_error *err);
static mn_status add_metadata(json_t *header, size_t n_tensors, const mn_tensor *tensors,
                              size_t n_pairs, const mn_text_pair *metadata, mn_error *err);
static mn_status add(json_t *object, const char *what, const char *key, json_t *value,
                     mn_error *err);
static mn_status seal(const char *json, char **text, size_t *n_bytes, mn_error *err);
static json_t *entry_of(const mn_tensor *tensor, uint64_t begin);
static mn_digest digest_of_data(size_t n_tensors, const mn_tensor *tensors);
static char *digest_place(const char *header, size_t n_bytes, const char *digest);
static mn_digest digest_of_header(const char *header, size_t n_bytes, const char *place);
static mn_status split(struct reader *reader, const unsigned char *bytes, size_t n, mn_error *err);
static mn_status parse_header(struct reader *reader, mn_error *err);
static mn_status check_digests(const struct reader *reader, mn_error *err);
static mn_status read_spans(const struct reader *reader, struct span *spans, mn_error *err);
static mn_status read_entry(const struct reader *reader, const char *name, const json_t *entry,
                            struct span *span, mn_error *err);
static mn_status take_data(const struct reader *reader, const struct span *spans, mn_error *err);
static int by_place_of_data(const void *left, const void *right);
static uint64_t bytes_of(const mn_tensor *tensor);
static bool is_count(const json_t *number, uint64_t *count);

size_t mn_dtype_bytes(mn_dtype dtype)
{
    assert(dtype < MN_N_DTYPES);
    return dtypes[dtype].bytes;
}

uint64_t mn_tensor_count(const mn_tensor *tensor)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

bool mn_tensor_floats(const mn_tensor *tensor, float *out)
{
    const size_t n = (size_t)mn_tensor_count(tensor);
    const double *doubles = tensor->data;
    const uint16_t *halves = tensor->data;
    if (tensor->dtype == MN_F32)
        memcpy(out, tensor->data, n * sizeof *out);
    for (size_t i = 0; i < n && tensor->dtype == MN_F64; i++)
        out[i] = (float)doubles[i];
    for (size_t i = 0; i < n && tensor->dtype == MN_F16; i++)
        out[i] = mn_float_of_half(halves[i]);
    for (size_t i = 0; i < n && tensor->dtype == MN_BF16; i++)
        out[i] = mn_float_of_brain(halves[i]);
    return tensor->dtype == MN_F32 || tensor->dtype == MN_F64 || tensor->dtype == MN_F16 ||
           tensor->dtype == MN_BF16;
}

mn_status mn_tensor_file_write(const char *path, size_t n_tensors, const mn_tensor *tensors,
                               size_t n_pairs, const mn_text_pair *metadata, mn_error *err)
{
    char *header = NULL;
    size_t header_bytes = 0;
    mn_new_file *file = NULL;
    mn_status status =
        header_of(n_tensors, tensors, n_pairs, metadata, &header, &header_bytes, err);
    if (status == MN_OK)
        status = mn_new_file_open(path, &file, err);
    if (status == MN_OK) {
        uint64_t length = header_bytes;
        status = mn_new_file_write(file, &length, sizeof length, err);
    }
    if (status == MN_OK)
        status = mn_new_file_write(file, header, header_bytes, err);
    for (size_t i = 0; status == MN_OK && i < n_tensors; i++)
        if (bytes_of(&tensors[i]) > 0)
            status = mn_new_file_write(file, tensors[i].data, bytes_of(&tensors[i]), err);
    if (status == MN_OK)
        status = mn_new_file_commit(&file, err);
    mn_new_file_abandon(&file);
    free(header);
    return status;
}

mn_status mn_tensor_file_read(const char *path, mn_tensor_file **out, mn_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    mn_status status = mn_file_read(path, MAX_FILE_BYTES, &bytes, &n, err);
    if (status == MN_OK)
        status = mn_tensor_file_parse(bytes, n, path, out, err);
    free(bytes);
    return status;
}

mn_status mn_tensor_file_parse(const void *bytes, size_t n, const char *source,
                               mn_tensor_file **out, mn_error *err)
{
    struct reader reader = {.source = source, .file = calloc(1, sizeof *reader.file)};
    struct span *spans = NULL;
    if (reader.file == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%s: no memory to read it", source);

    mn_status status = split(&reader, bytes, n, err);
    if (status == MN_OK)
        status = parse_header(&reader, err);
    if (status == MN_OK)
        status = check_digests(&reader, err);
    if (status == MN_OK) {
        spans = calloc(reader.file->n_tensors + 1, sizeof *spans);
        status = spans != NULL ? read_spans(&reader, spans, err)
                               : mn_fail(err, MN_ERR_NOMEM, "%s: no memory for its %zu tensors",
                                         source, reader.file->n_tensors);
    }
    if (status == MN_OK)
        status = take_data(&reader, spans, err);
    free(spans);
    if (status == MN_OK)
        *out = reader.file;
    else
        mn_tensor_file_destroy(&reader.file);
    return status;
}

void mn_tensor_file_destroy(mn_tensor_file **file)
{
    if (*file == NULL)
        return;
    json_decref((*file)->header);
    free((*file)->tensors);
    free((*file)->data);
    free(*file);
    *file = NULL;
}

size_t mn_tensor_file_count(const mn_tensor_file *file)
{
    return file->n_tensors;
}

const mn_tensor *mn_tensor_file_at(const mn_tensor_file *file, size_t i)
{
    assert(i < file->n_tensors);
    return &file->tensors[i];
}

const mn_tensor *mn_tensor_file_find(const mn_tensor_file *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *mn_tensor_file_metadata(const mn_tensor_file *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, METADATA), key));
}

/* -- writing -- */

/* The padded header; *text is the caller's to free. */
static mn_status header_of(size_t n_tensors, const mn_tensor *tensors, size_t n_pairs,
                           const mn_text_pair *metadata, char **text, size_t *n_bytes,
                           mn_error *err)
{
    json_t *header = json_object();
    char *json = NULL;
    mn_status status = add_metadata(header, n_tensors, tensors, n_pairs, metadata, err);
    uint64_t begin = 0;
    for (size_t i = 0; status == MN_OK && i < n_tensors; i++) {
        assert(memchr(tensors[i].name, '\0', sizeof tensors[i].name) != NULL);
        status = add(header, "tensor name", tensors[i].name, entry_of(&tensors[i], begin), err);
        begin += bytes_of(&tensors[i]);
    }
    if (status == MN_OK && begin > MAX_FILE_BYTES - MAX_HEADER_BYTES - LENGTH_BYTES)
        status = mn_fail(err, MN_ERR_DATA,
                         "%" PRIu64 " bytes of data are too many for one tensor file", begin);
    if (status == MN_OK) {
        json = json_dumps(header, JSON_COMPACT);
        status = json == NULL ? mn_fail(err, MN_ERR_NOMEM, "header of a tensor file")
                              : seal(json, text, n_bytes, err);
    }
    free(json);
    json_decref(header);
    return status;
}

static mn_status add_metadata(json_t *header, size_t n_tensors, const mn_tensor *tensors,
                              size_t n_pairs, const mn_text_pair *metadata, mn_error *err)
{
    json_t *pairs = json_object();
    mn_digest digest = digest_of_data(n_tensors, tensors);
    char hex[HEX_DIGITS + 1];
    mn_digest_hex(&digest, hex);
    mn_status status = add(header, "metadata", METADATA, pairs, err); /* owns pairs from now on */
    if (status == MN_OK)
        status = add(pairs, "metadata key", HEADER_DIGEST, json_string(no_digest), err);
    if (status == MN_OK)
        status = add(pairs, "metadata key", DATA_DIGEST, json_string(hex), err);
    for (size_t i = 0; status == MN_OK && i < n_pairs; i++)
        status = add(pairs, "metadata key", metadata[i].key, json_string(metadata[i].value), err);
    return status;
}

/* object[key] = value, which is taken over. Jansson does not tell a text that is not UTF-8 from
 * want of memory; the former is the likely one. */
static mn_status add(json_t *object, const char *what, const char *key, json_t *value,
                     mn_error *err)
{
    if (json_object_get(object, key) != NULL) {
        json_decref(value);
        return mn_fail(err, MN_ERR_DATA, "%s '%s' comes twice in one tensor file", what, key);
    }
    if (json_object_set_new(object, key, value) != 0)
        return mn_fail(err, MN_ERR_DATA, "%s '%s' cannot be written: it or its value is not UTF-8",
                       what, key);
    return MN_OK;
}

/* A copy of the header, padded and with its own digest filled in. */
static mn_status seal(const char *json, char **text, size_t *n_bytes, mn_error *err)
{
    size_t bare = strlen(json), padded = (bare + 7) / 8 * 8;
    if (padded > MAX_HEADER_BYTES)
        return mn_fail(err, MN_ERR_DATA,
                       "names and metadata of a tensor file need %zu bytes, at most %zu"
                       " can be read back",
                       padded, MAX_HEADER_BYTES);
    char *sealed = malloc(padded + 1);
    if (sealed == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "header of a tensor file, %zu bytes", padded);
    memcpy(sealed, json, bare);
    memset(sealed + bare, ' ', padded - bare);

    char *place = digest_place(sealed, padded, no_digest), hex[HEX_DIGITS + 1];
    assert(place != NULL);
    mn_digest digest = digest_of_header(sealed, padded, place);
    mn_digest_hex(&digest, hex);
    memcpy(place, hex, HEX_DIGITS);
    *text = sealed;
    *n_bytes = padded;
    return MN_OK;
}

static json_t *entry_of(const mn_tensor *tensor, uint64_t begin)
{
    json_t *shape = json_array();
    uint64_t end = begin + bytes_of(tensor);
    assert(tensor->rank <= MN_TENSOR_MAX_RANK);
    for (uint32_t i = 0; i < tensor->rank; i++)
        (void)json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtypes[tensor->dtype].name, "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static mn_digest digest_of_data(size_t n_tensors, const mn_tensor *tensors)
{
    mn_hasher hasher;
    mn_hasher_init(&hasher);
    for (size_t i = 0; i < n_tensors; i++)
        mn_hasher_add(&hasher, tensors[i].data, bytes_of(&tensors[i]));
    return mn_hasher_finish(&hasher);
}

/* -- the header's digest of itself -- */

/* Where the 64 digits of this digest of the header stand, in the form in which we write it; NULL:
 * nowhere. */
static char *digest_place(const char *header, size_t n_bytes, const char *digest)
{
    char pattern[sizeof HEADER_DIGEST + HEX_DIGITS + 8];
    int n = snprintf(pattern, sizeof pattern, "\"%s\":\"%s\"", HEADER_DIGEST, digest);
    char *found = memmem(header, n_bytes, pattern, (size_t)n);
    return found == NULL ? NULL : found + n - HEX_DIGITS - 1;
}

static mn_digest digest_of_header(const char *header, size_t n_bytes, const char *place)
{
    size_t before = (size_t)(place - header);
    mn_hasher hasher;
    mn_hasher_init(&hasher);
    mn_hasher_add(&hasher, header, before);
    mn_hasher_add(&hasher, no_digest, HEX_DIGITS);
    mn_hasher_add(&hasher, place + HEX_DIGITS, n_bytes - before - HEX_DIGITS);
    return mn_hasher_finish(&hasher);
}

/* -- reading -- */

static mn_status split(struct reader *reader, const unsigned char *bytes, size_t n, mn_error *err)
{
    if (n < LENGTH_BYTES)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %zu bytes are too few for a safetensors file; use another copy",
                       reader->source, n);
    uint64_t length;
    memcpy(&length, bytes, sizeof length);
    if (length > n - LENGTH_BYTES || length > MAX_HEADER_BYTES)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: its first 8 bytes promise a header of %" PRIu64
                       " bytes, but %zu follow (limit %zu): torn, or not a safetensors file",
                       reader->source, length, n - LENGTH_BYTES, MAX_HEADER_BYTES);
    reader->header = (const char *)bytes + LENGTH_BYTES;
    reader->header_bytes = (size_t)length;
    reader->data = bytes + LENGTH_BYTES + length;
    reader->data_bytes = n - LENGTH_BYTES - length;
    return MN_OK;
}

static mn_status parse_header(struct reader *reader, mn_error *err)
{
    json_error_t why;
    json_t *header = json_loadb(reader->header, reader->header_bytes, JSON_REJECT_DUPLICATES, &why);
    if (header == NULL) {
        char *quote = strstr(why.text, " near '"); /* of bytes that may be anything */
        if (quote != NULL)
            *quote = '\0';
        return mn_fail(err, MN_ERR_DATA, "%s: the header is not JSON, at its byte %d: %s",
                       reader->source, why.position, why.text);
    }
    reader->file->header = header;
    if (!json_is_object(header))
        return mn_fail(err, MN_ERR_DATA, "%s: the header is not a JSON object", reader->source);

    json_t *metadata = json_object_get(header, METADATA), *value;
    const char *key;
    reader->file->n_tensors = json_object_size(header) - (metadata != NULL);
    if (metadata != NULL && !json_is_object(metadata))
        return mn_fail(err, MN_ERR_DATA, "%s: " METADATA " is not a JSON object", reader->source);
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return mn_fail(
        err, MN_ERR_DATA, "%s: metadata '%.96s' is not a string", reader->source, key);
    return MN_OK;
}

/* A file of another program has no digests; then there is nothing to check. */
static mn_status check_digests(const struct reader *reader, mn_error *err)
{
    const char *of_data = mn_tensor_file_metadata(reader->file, DATA_DIGEST);
    const char *of_header = mn_tensor_file_metadata(reader->file, HEADER_DIGEST);
    char hex[HEX_DIGITS + 1];
    if (of_header != NULL) {
        const char *place = strlen(of_header) == HEX_DIGITS
                                ? digest_place(reader->header, reader->header_bytes, of_header)
                                : NULL;
        if (place != NULL) {
            mn_digest digest = digest_of_header(reader->header, reader->header_bytes, place);
            mn_digest_hex(&digest, hex);
        }
        if (place == NULL || strcmp(hex, of_header) != 0)
            return mn_fail(
                err, MN_ERR_DATA,
                "%s: the header does not match its " HEADER_DIGEST
                ": damaged, or rewritten by a program that kept the old digest; use another"
                " copy",
                reader->source);
    }
    if (of_data != NULL) {
        mn_digest digest = mn_digest_of(reader->data, (size_t)reader->data_bytes);
        mn_digest_hex(&digest, hex);
        if (strcmp(hex, of_data) != 0)
            return mn_fail(err, MN_ERR_DATA,
                           "%s: the data has sha256 %s, but the header says %.64s: damaged; use"
                           " another copy",
                           reader->source, hex, of_data);
    }
    return MN_OK;
}

/* All tensors in the order of their data, which they must fill without gap or overlap. */
static mn_status read_spans(const struct reader *reader, struct span *spans, mn_error *err)
{
    const char *name;
    json_t *entry;
    size_t n = 0;
    json_object_foreach(reader->file->header, name, entry)
    {
        if (strcmp(name, METADATA) == 0)
            continue;
        spans[n].place = n;
        mn_status status = read_entry(reader, name, entry, &spans[n], err);
        if (status != MN_OK)
            return status;
        n++;
    }
    qsort(spans, n, sizeof *spans, by_place_of_data);

    uint64_t filled = 0;
    for (size_t i = 0; i < n; i++) {
        if (spans[i].begin != filled)
            return mn_fail(err, MN_ERR_DATA,
                           "%s: the data of tensor '%s' begins at byte %" PRIu64
                           ", expected %" PRIu64,
                           reader->source, spans[i].tensor.name, spans[i].begin, filled);
        filled = spans[i].end;
    }
    if (filled != reader->data_bytes)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: its tensors need %" PRIu64 " bytes of data, but %" PRIu64
                       " are there: torn, or joined to something else",
                       reader->source, filled, reader->data_bytes);
    return MN_OK;
}

static mn_status read_entry(const struct reader *reader, const char *name, const json_t *entry,
                            struct span *span, mn_error *err)
{
    mn_tensor *tensor = &span->tensor;
    const char *source = reader->source;
    if (strlen(name) >= sizeof tensor->name)
        return mn_fail(err, MN_ERR_DATA, "%s: the tensor name '%.96s..' is longer than %zu bytes",
                       source, name, sizeof tensor->name - 1);
    (void)snprintf(tensor->name, sizeof tensor->name, "%s", name);

    const json_t *dtype = json_object_get(entry, "dtype");
    const json_t *shape = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_string(dtype) || !json_is_array(shape) || !json_is_array(offsets))
        return mn_fail(err, MN_ERR_DATA,
                       "%s: tensor '%s' lacks a dtype, a shape or data_offsets of the right kind",
                       source, name);

    while (tensor->dtype < MN_N_DTYPES &&
           strcmp(dtypes[tensor->dtype].name, json_string_value(dtype)) != 0)
        tensor->dtype++;
    if (tensor->dtype == MN_N_DTYPES)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: tensor '%s' is of dtype '%.16s', expected F32, F64, F16, "
                       "BF16, I64, I32, I16, I8 or U8",
                       source, name, json_string_value(dtype));

    if (json_array_size(shape) > MN_TENSOR_MAX_RANK)
        return mn_fail(err, MN_ERR_DATA, "%s: tensor '%s' has %zu dimensions, expected at most %d",
                       source, name, json_array_size(shape), MN_TENSOR_MAX_RANK);
    tensor->rank = (uint32_t)json_array_size(shape);
    uint64_t n_bytes = dtypes[tensor->dtype].bytes;
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (!is_count(json_array_get(shape, i), &tensor->shape[i]) ||
            __builtin_mul_overflow(n_bytes, tensor->shape[i], &n_bytes))
            return mn_fail(err, MN_ERR_DATA,
                           "%s: dimension %" PRIu32 " of tensor '%s' is no size, or too large",
                           source, i, name);

    if (json_array_size(offsets) != 2 || !is_count(json_array_get(offsets, 0), &span->begin) ||
        !is_count(json_array_get(offsets, 1), &span->end) || span->begin > span->end ||
        span->end > reader->data_bytes)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: data_offsets of tensor '%s' do not lie in the %" PRIu64
                       " bytes of data: torn, or damaged",
                       source, name, reader->data_bytes);
    if (span->end - span->begin != n_bytes)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: tensor '%s' has %" PRIu64
                       " bytes of data, but its shape needs %" PRIu64,
                       source, name, span->end - span->begin, n_bytes);
    return MN_OK;
}

/* A copy of the data, so that each tensor is aligned wherever it lay in the file. */
static mn_status take_data(const struct reader *reader, const struct span *spans, mn_error *err)
{
    mn_tensor_file *file = reader->file;
    size_t n_bytes = (size_t)reader->data_bytes + (file->n_tensors + 1) * ALIGNMENT;
    file->tensors = calloc(file->n_tensors + 1, sizeof *file->tensors);
    file->data = aligned_alloc(ALIGNMENT, n_bytes / ALIGNMENT * ALIGNMENT);
    if (file->tensors == NULL || file->data == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%s: no memory for its %" PRIu64 " bytes of data",
                       reader->source, reader->data_bytes);
    unsigned char *next = file->data;
    for (size_t i = 0; i < file->n_tensors; i++) {
        size_t size = (size_t)(spans[i].end - spans[i].begin);
        file->tensors[i] = spans[i].tensor;
        file->tensors[i].data = next;
        memcpy(next, reader->data + spans[i].begin, size);
        next += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return MN_OK;
}

static int by_place_of_data(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end)
        return a->end < b->end ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

static uint64_t bytes_of(const mn_tensor *tensor)
{
    return mn_tensor_count(tensor) * mn_dtype_bytes(tensor->dtype);
}

static bool is_count(const json_t *number, uint64_t *count)
{
    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return false;
    *count = (uint64_t)json_integer_value(number);
    return true;
}
