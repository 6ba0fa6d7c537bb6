#include "coordinator/reduce.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_DIGITS                                                                             \
    ((size_t)8 << 20) /* 64 MB: counts of MPI are int, and it takes buffers of a message's size */

enum { WORKERS, THREADS, MIXED, CHECKPOINTS, TASKS_US, SUMS_US, N_COUNTS };

struct mn_reduce {
    MPI_Comm comm;
    int rank, n_ranks;
    size_t max_digits, segment_digits;
    int64_t *digits; /* [n_digits, then one checksum a rank, then N_COUNTS]; owned */
    size_t n_digits; /* of the reduce at hand */
    size_t next;     /* first digit that no message has carried yet */
    bool active;
    MPI_Request request;
};

static size_t total(const mn_reduce *reduce);
static void send_segment(mn_reduce *reduce);

mn_status mn_reduce_new(MPI_Comm comm, size_t max_digits, size_t segment_digits, mn_reduce **out,
                        mn_error *err)
{
    mn_reduce *reduce = calloc(1, sizeof *reduce);
    if (reduce == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "reduce of %zu digits", max_digits);
    *reduce = (mn_reduce){
        .comm = comm,
        .max_digits = max_digits,
        .segment_digits = segment_digits == 0 ? SEGMENT_DIGITS : segment_digits,
        .request = MPI_REQUEST_NULL,
    };
    MPI_Comm_rank(comm, &reduce->rank);
    MPI_Comm_size(comm, &reduce->n_ranks);
    reduce->digits =
        calloc(max_digits + (size_t)reduce->n_ranks + N_COUNTS, sizeof *reduce->digits);
    if (reduce->digits == NULL) {
        mn_reduce_destroy(&reduce);
        return mn_fail(err, MN_ERR_NOMEM, "reduce of %zu digits", max_digits);
    }
    *out = reduce;
    return MN_OK;
}

void mn_reduce_destroy(mn_reduce **reduce)
{
    if (*reduce == NULL)
        return;
    assert(!(*reduce)->active);
    free((*reduce)->digits);
    free(*reduce);
    *reduce = NULL;
}

int64_t *mn_reduce_sums(mn_reduce *reduce)
{
    return reduce->digits;
}

void mn_reduce_begin(mn_reduce *reduce, size_t n_digits, uint64_t theta, const mn_tally *tally)
{
    assert(!reduce->active && n_digits <= reduce->max_digits);
    int64_t *checksums = reduce->digits + n_digits;
    int64_t *counts = checksums + reduce->n_ranks;
    reduce->n_digits = n_digits;
    memset(checksums, 0, (size_t)reduce->n_ranks * sizeof *checksums);
    memcpy(&checksums[reduce->rank], &theta, sizeof theta);
    counts[WORKERS] = (int64_t)tally->workers;
    counts[THREADS] = (int64_t)tally->threads;
    counts[MIXED] = (int64_t)tally->mixed;
    counts[CHECKPOINTS] = (int64_t)tally->checkpoints;
    counts[TASKS_US] = (int64_t)tally->tasks_us;
    counts[SUMS_US] = (int64_t)tally->sums_us;
    reduce->next = 0;
    reduce->active = true;
    send_segment(reduce);
}

bool mn_reduce_active(const mn_reduce *reduce)
{
    return reduce->active;
}

bool mn_reduce_progress(mn_reduce *reduce)
{
    int arrived = 0;
    if (!reduce->active)
        return false;
    MPI_Test(&reduce->request, &arrived, MPI_STATUS_IGNORE);
    if (!arrived)
        return false;
    if (reduce->next < total(reduce)) {
        send_segment(reduce);
        return false;
    }
    reduce->active = false;
    return true;
}

mn_status mn_reduce_result(const mn_reduce *reduce, mn_tally *out, mn_error *err)
{
    const int64_t *checksums = reduce->digits + reduce->n_digits;
    const int64_t *counts = checksums + reduce->n_ranks;
    char unlike[256] = "";
    size_t used = 0;
    int n_unlike = 0;
    assert(!reduce->active);
    for (int rank = 1; rank < reduce->n_ranks; rank++) {
        if (checksums[rank] == checksums[0])
            continue;
        if (used + 16 < sizeof unlike)
            used += (size_t)snprintf(unlike + used, sizeof unlike - used, " %d", rank);
        n_unlike++;
    }
    if (n_unlike > 0)
        return mn_fail(
            err, MN_ERR_INTERNAL,
            "theta of %d of %d ranks is not that of rank 0 (%016" PRIx64
            "): rank%s%s%s. Their machines "
            "do not compute alike or their memory is faulty; start again from the last checkpoint "
            "without them",
            n_unlike, reduce->n_ranks, (uint64_t)checksums[0], n_unlike > 1 ? "s" : "", unlike,
            used + 16 < sizeof unlike ? "" : " ...");
    *out = (mn_tally){.workers = (uint64_t)counts[WORKERS],
                      .threads = (uint64_t)counts[THREADS],
                      .mixed = (uint64_t)counts[MIXED],
                      .checkpoints = (uint64_t)counts[CHECKPOINTS],
                      .tasks_us = (uint64_t)counts[TASKS_US],
                      .sums_us = (uint64_t)counts[SUMS_US]};
    return MN_OK;
}

static size_t total(const mn_reduce *reduce)
{
    return reduce->n_digits + (size_t)reduce->n_ranks + N_COUNTS;
}

/* One at a time, so that MPI holds buffers for one segment only. An error ends the job:
 * MPI_ERRORS_ARE_FATAL. */
static void send_segment(mn_reduce *reduce)
{
    size_t left = total(reduce) - reduce->next;
    size_t n = left < reduce->segment_digits ? left : reduce->segment_digits;
    MPI_Iallreduce(MPI_IN_PLACE, reduce->digits + reduce->next, (int)n, MPI_INT64_T, MPI_SUM,
                   reduce->comm, &reduce->request);
    reduce->next += n;
}
