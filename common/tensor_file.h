/* tensor_file.h: named tensors in a safetensors file, readable by anyone who reads safetensors.
 * Written whole or not at all: temporary file, fsync, rename, fsync of the folder. The metadata
 * holds "sha256", the digest of the data section, and "header_sha256", that of the header with 64
 * zeros in place of this digest itself; reading checks both, where given. Nothing in a file is
 * trusted: sizes are checked against the file's own size before memory is taken. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_TENSOR_MAX_RANK 4

typedef enum mn_dtype {
    MN_F32,
    MN_F64,
    MN_I64,
    MN_I32,
    MN_U8,
    MN_F16, /* these are read where other programs write: own arrays, and theta (mn_tensor_floats) */
    MN_BF16,
    MN_I16,
    MN_I8,
    MN_N_DTYPES
} mn_dtype;

typedef struct mn_tensor {
    char name[96];
    mn_dtype dtype;
    uint32_t rank; /* 0: a scalar */
    uint64_t shape[MN_TENSOR_MAX_RANK];
    const void *data; /* row-major, little endian; lent; aligned to 64 bytes in a file read */
} mn_tensor;

typedef struct mn_text_pair {
    const char *key;
    const char *value;
} mn_text_pair;

size_t mn_dtype_bytes(mn_dtype dtype);
uint64_t mn_tensor_count(const mn_tensor *tensor); /* number of elements */

/* Its numbers as float32, [count]: of F32, F64 (rounded), F16 or BF16. false: it is of another dtype. */
bool mn_tensor_floats(const mn_tensor *tensor, float *out);

/* Write tensors in the given order. On any failure the file under `path` is as before.
 * MN_ERR_DATA: a name, key or value is not UTF-8, a name or key comes twice or is one of the file's
 * own. */
mn_status mn_tensor_file_write(const char *path, size_t n_tensors, const mn_tensor *tensors,
                               size_t n_pairs, const mn_text_pair *metadata, mn_error *err);

typedef struct mn_tensor_file mn_tensor_file; /* opaque; owns all that find and metadata return */

/* Read and check a file of at most 16 GiB, its header 10 MiB. MN_ERR_DATA: torn, damaged or not
 * safetensors; MN_ERR_NO_INPUT: not there. */
mn_status mn_tensor_file_read(const char *path, mn_tensor_file **out, mn_error *err);

/* As mn_tensor_file_read, of the n bytes of a file; they are lent, and `source` names them in
 * messages. */
mn_status mn_tensor_file_parse(const void *bytes, size_t n, const char *source,
                               mn_tensor_file **out, mn_error *err);

void mn_tensor_file_destroy(mn_tensor_file **file);

/* The tensors in the order of their data, which is the order in which they were written. */
size_t mn_tensor_file_count(const mn_tensor_file *file);
const mn_tensor *mn_tensor_file_at(const mn_tensor_file *file, size_t i);
const mn_tensor *mn_tensor_file_find(const mn_tensor_file *file, const char *name); /* NULL: none */
const char *mn_tensor_file_metadata(const mn_tensor_file *file, const char *key);   /* NULL: none */
