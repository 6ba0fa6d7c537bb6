/* npy.h: the header of an array as NumPy saves it (numpy.lib.format, versions 1 to 3): whoever reads
 * arrays learns here what they hold, and says himself what of it he takes. From bytes only; nothing in
 * them is trusted. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_NPY_RANK 4u
#define MN_NPY_HEADER_BYTES ((size_t)1 << 16) /* at most, with what comes before */
#define MN_NPY_SHOWN 200u

typedef struct mn_npy {
    char kind; /* b truth, u and i whole, f real numbers; U text of four bytes a letter, S of one */
    uint32_t bytes; /* of an element: of numbers 1, 2, 4 or 8 */
    bool big_endian;
    bool by_column;              /* the first index goes fastest (Fortran's order) */
    uint32_t rank;               /* 1 .. MN_NPY_RANK */
    uint64_t shape[MN_NPY_RANK]; /* the bytes of all of it are fewer than 2^62; any may be 0 */
    size_t begin;                /* of the elements, bytes from the file's beginning */
} mn_npy;

/* Do the bytes begin as such a file? */
bool mn_npy_begins(const void *bytes, size_t n);

/* Read the header in the first n bytes. shown[MN_NPY_SHOWN] is its text, fit to print, for the caller's
 * own messages. MN_ERR_DATA: it is cut short or longer than that; MN_ERR_CONFIG: it is whole, but no
 * array of one type and at most four dimensions, and *err is for the caller to fill. */
mn_status mn_npy_parse(const void *bytes, size_t n, const char *where, mn_npy *out,
                       char shown[MN_NPY_SHOWN], mn_error *err);
