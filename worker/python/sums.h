/* sums.h: what a worker in another language needs of us to send results: exact sums of rows
 * (common/exact_sum.h), their packed form on the wire (common/packed_sum.h) and the checksum of frames.
 * Made for ctypes (mnemo_worker/sums.py): plain C types, no allocation, no state, and safe in any thread.
 * A sum of n columns is int64 [2 n] and begins with zeros. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* 1. It grows when one of the functions below changes; who finds another asks for the other library. */
uint32_t mnemo_sums_version(void);

/* Is each of x[n] finite and below 2^24 in size? 1 or 0. */
int mnemo_sums_accepts(size_t n, const float *x);

/* sum[2 n] += x[n], exactly. x was accepted; at most 32768 rows in a sum. */
void mnemo_sums_add(size_t n, const float *x, int64_t *sum);

/* At most so many bytes for a packed sum of n columns; pack it into `out` of that room and return how
 * many it took. */
size_t mnemo_sums_most(size_t n);
size_t mnemo_sums_pack(size_t n, const int64_t *sum, uint8_t *out);

/* XXH3-64 of n bytes, seed 0. */
uint64_t mnemo_sums_checksum(size_t n, const void *bytes);
