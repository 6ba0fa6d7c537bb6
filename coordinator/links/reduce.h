/* reduce.h: the ranks' exact sums added up by MPI, without ever blocking.
 * Integers only (MPI_INT64_T, MPI_SUM), so the result has the same bits for any number of ranks.
 * The columns (a high and a low digit each) travel in segments, two under way at a time, so that
 * what has come can be worked on while the rest is on its way: the last segment first, which says
 * whether the sums may be used at all (a round's metrics are its last columns), then the others
 * from the front.
 * Along with the sums travel a checksum of each rank's theta, by which ranks that have drifted
 * apart are found and named, and a few counts. One thread, the one that initialised MPI; works in a
 * job of one. */
#pragma once

#include "common/error.h"
#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_reduce mn_reduce;

/* Of one rank going in, of all ranks coming out. */
typedef struct mn_tally {
    uint64_t workers; /* remote ones */
    uint64_t threads;
    uint64_t mixed;             /* ranks with workers of another numeric class */
    uint64_t checkpoints;       /* ranks that were asked for a checkpoint */
    uint64_t tasks_us, sums_us; /* thread time of the round: tasks, and adding up their results */
    uint64_t repeated_us;       /* thread time of tasks that did not count, as far as is known */
    uint64_t repeated;          /* these tasks */
} mn_tally;

/* Sums of up to max_digits int64 (exact_sum.h), in segments of `segment` columns, the last
 * one of up to twice as many; 0: 32768. comm MPI_COMM_NULL: one rank alone, without MPI. */
mn_status mn_reduce_new(MPI_Comm comm, size_t max_digits, size_t segment, mn_reduce **out,
                        mn_error *err);

/* Not while a reduce is under way: MPI still writes to the sums. */
void mn_reduce_destroy(mn_reduce **reduce);

/* [max_digits]: this rank's sums, and all ranks' after a finished reduce. Not to be touched in
 * between. */
int64_t *mn_reduce_sums(mn_reduce *reduce);

/* Start: every rank, with the same n_digits (even, > 0), in the same order. `theta` is the checksum
 * of this rank's theta. */
void mn_reduce_begin(mn_reduce *reduce, size_t n_digits, uint64_t theta, const mn_tally *tally);

bool mn_reduce_active(const mn_reduce *reduce);

/* Let MPI work for a moment. true: another segment has come. The last one ends the reduce. */
bool mn_reduce_progress(mn_reduce *reduce);

/* Columns of the sums, from the first, that are all ranks'; 0 before the last segment has come. */
size_t mn_reduce_arrived(const mn_reduce *reduce);

/* Once the first segment has come, with the counts of all ranks. MN_ERR_INTERNAL, on all ranks
 * alike: not all have the same theta; names those that differ from rank 0. */
mn_status mn_reduce_result(const mn_reduce *reduce, mn_tally *out, mn_error *err);
