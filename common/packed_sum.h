/* packed_sum.h: an exact sum (exact_sum.h) in few bytes, for the wire: about five a number for
 * the gradients of conv4-64, where the digits take sixteen. Nothing is lost, and equal sums give
 * equal bytes.
 *
 * Numbers come in blocks of 64, the last one shorter. A block begins with two bytes, `shift` and
 * `width`, and each of its numbers is a two's complement integer of `width` bytes, little endian,
 * in units of 2^(shift - 70). Width 0: all are 0. Width 16: both digits as they are, int64 each,
 * the high one first; shift is 0 then. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* At least and at most so many bytes for n numbers. */
uint64_t mn_packed_sum_least(uint64_t n);
uint64_t mn_packed_sum_most(uint64_t n);

/* Pack sum[2*n]; `out` has room for mn_packed_sum_most(n). Returns the number of bytes. */
size_t mn_packed_sum_write(size_t n, const int64_t *sum, uint8_t *out);

/* Unpack into sum[2*n]. false: these bytes are not n packed numbers. Whether the numbers make sense
 * is another question: see mn_exact_plausible. */
bool mn_packed_sum_read(const uint8_t *packed, size_t n_bytes, size_t n, int64_t *sum);

/* The same a block at a time, so that a long sum needs no room of its own. */
#define MN_PACKED_BLOCK 64u
typedef struct mn_packed_reader {
    const uint8_t *at, *end; /* of the bytes that are left */
    size_t left;             /* numbers */
} mn_packed_reader;

/* How many come next; 0: all have. */
size_t mn_packed_next(const mn_packed_reader *reader);
/* Unpack these. false: the bytes are not packed numbers, or with the last ones, they do not end there. */
bool mn_packed_take(mn_packed_reader *reader, int64_t *high, int64_t *low);
