/* exact_sum.h: sums of float32 vectors that do not depend on order, grouping or rank count.
 * A float is turned once into two 47-bit digits, x = high*2^-23 + low*2^-70, kept in two int64;
 * from then on all addition is integer addition (also MPI_INT64_T with MPI_SUM). Up to 2^15 vectors
 * may be added. Bits below 2^-71 are rounded away; |x| must stay below 2^24. -0 becomes +0. Needs
 * round-to-nearest.
 * Layout of a sum of n elements: int64_t sum[2*n], the n high digits first, then the n low ones. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_EXACT_LIMIT 16777216.0f /* 2^24 */
#define MN_EXACT_MAX_TERMS 32768u  /* 2^15 */

/* Is every x finite and |x| < 2^24? */
bool mn_exact_accepts(size_t n, const float *x);

/* sum += x. The caller has asked mn_exact_accepts. */
void mn_exact_add(size_t n, const float *x, int64_t *sum);

/* The same for n_rows vectors at once, `stride` floats apart, and for a part of a longer sum: n
 * elements with their high digits and their low digits apart. The digits, four times as long as a
 * row, are read and written once for MN_EXACT_ROWS rows. */
#define MN_EXACT_ROWS 4u
void mn_exact_add_rows(size_t n, size_t n_rows, const float *rows, size_t stride, int64_t *high,
                       int64_t *low);

/* sum[i] += other[i] for the 2*n digits. Wraps around on overflow instead of undefined behaviour.
 */
void mn_exact_merge(size_t n_digits, const int64_t *other, int64_t *sum);

/* Could these digits be a sum of at most n_terms accepted vectors, with or without its carries
 * done? For sums from a peer. */
bool mn_exact_plausible(size_t n, const int64_t *sum, uint32_t n_terms);

/* The value of element i of a sum of n: carries normalised first, so that equal sums give equal
 * bits. */
double mn_exact_value(size_t n, const int64_t *sum, size_t i);

/* Is element i a whole number, to its last bit? Then it is *value, unless it is beyond an int64. */
bool mn_exact_is_whole(size_t n, const int64_t *sum, size_t i, int64_t *value);

/* out[i] = (float)(value(i) / divisor), divisor > 0, for n elements of a sum, perhaps a longer one:
 * their high digits and their low digits. */
void mn_exact_mean(size_t n, const int64_t *high, const int64_t *low, double divisor, float *out);

/* The same bits from 2 .. MN_EXACT_ROWS accepted rows, `stride` floats apart, without their digits
 * in memory: out[i] = (float)(sum over rows of x[i] / divisor). */
void mn_exact_mean_of_rows(size_t n, size_t n_rows, const float *rows, size_t stride,
                           double divisor, float *out);
/* Of one row and a divisor of 1, in its place: it loses the bits below 2^-70, of which numbers from
 * 2^-46 on have none. */
void mn_exact_mean_of_one(size_t n, float *row);
