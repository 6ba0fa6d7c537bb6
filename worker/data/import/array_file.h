/* array_file.h: arrays of numbers as other programs save them: the headers of IDX (of MNIST), NPY (of NumPy)
 * and safetensors, and their numbers as pixels and labels. From bytes only; nothing in them is trusted. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_ARRAY_RANK 4u
#define MN_ARRAY_HEADER_BYTES ((size_t)1 << 16) /* of IDX and NPY, at most */
#define MN_ARRAY_NAME 96u

typedef enum mn_array_type {
    MN_ARRAY_BOOL,
    MN_ARRAY_UNSIGNED,
    MN_ARRAY_SIGNED,
    MN_ARRAY_FLOAT,
    MN_ARRAY_BRAIN /* bfloat16 */
} mn_array_type;

typedef struct mn_array {
    char name[MN_ARRAY_NAME]; /* fit to print */
    mn_array_type type;
    uint32_t bytes; /* of a number: 1, 2, 4 or 8 */
    bool big_endian;
    uint32_t rank;                 /* 1 .. MN_ARRAY_RANK */
    uint64_t shape[MN_ARRAY_RANK]; /* the bytes of all of it are fewer than 2^62 */
    uint64_t begin;                /* of its numbers, bytes from the file's beginning */
} mn_array;

/* Read the header in the first n bytes of a file of IDX or NPY, all but `name`. `where` is for messages.
 * MN_ERR_DATA: neither, damaged, or numbers of a kind that is not read: what was found and expected. */
mn_status mn_array_parse(const void *bytes, size_t n, const char *where, mn_array *out,
                         mn_error *err);

/* Does a file begin as one of safetensors? */
bool mn_array_is_safetensors(const void *bytes, size_t n);

/* Read the JSON header of n bytes of a safetensors file; *out is its *n_out arrays of a kind and rank that is
 * read, in no order, and the caller's (free). */
mn_status mn_array_parse_safetensors(const char *header, size_t n, const char *where,
                                     mn_array **out, size_t *n_out, mn_error *err);

/* "uint8 [100, 28, 28]" */
void mn_array_describe(const mn_array *array, char out[128]);

/* n numbers as pixels of 0 to 255: whole ones must be so, real ones 0 to 1, true is 255. Returns how many are
 * good, n if all; then *bad is the first that is not. */
size_t mn_array_pixels(const mn_array *array, const uint8_t *bytes, size_t n, uint8_t *out,
                       double *bad);

/* n whole numbers as labels of 0 to 999,999; as above. */
size_t mn_array_labels(const mn_array *array, const uint8_t *bytes, size_t n, uint32_t *out,
                       double *bad);
