#include "coordinator/links/reduce.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT 32768u /* columns: half a megabyte, which stays in a second-level cache */
#define MAX_SEGMENT ((size_t)8 << 20) /* counts of MPI are int */
#define UNDER_WAY 2u                  /* segments */
/* From so many ranks on Open MPI scatters a long sum and gathers it again: two of its lengths go
 * through each rank, however many there are. But not in place: then all goes up and down a tree, log2
 * of the ranks times through rank 0. */
#define SCATTERED_FROM 4

enum { WORKERS, THREADS, MIXED, CHECKPOINTS, TASKS_US, SUMS_US, REPEATED_US, REPEATED, N_COUNTS };

struct mn_reduce {
    MPI_Comm comm;
    int rank, n_ranks;
    size_t max_digits, segment;
    int64_t *digits; /* [n_digits, then one checksum a rank, then N_COUNTS]; owned */
    size_t n_digits; /* of the reduce at hand */
    size_t n_segments, sent, arrived;
    bool active;
    int64_t *own[UNDER_WAY]; /* this rank's digits of a segment; owned; NULL: they are in place */
    MPI_Request requests[UNDER_WAY][2]; /* the high digits' and the low digits' */
};

static size_t room_of_segment(const mn_reduce *reduce);
static void send_segment(mn_reduce *reduce);

mn_status mn_reduce_new(MPI_Comm comm, size_t max_digits, size_t segment, mn_reduce **out,
                        mn_error *err)
{
    mn_reduce *reduce = calloc(1, sizeof *reduce);
    if (reduce == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "reduce of %zu digits", max_digits);
    *reduce = (mn_reduce){
        .comm = comm,
        .max_digits = max_digits,
        .segment = segment == 0 ? SEGMENT : segment,
        .n_ranks = 1,
    };
    assert(reduce->segment <= MAX_SEGMENT);
    if (comm != MPI_COMM_NULL) {
        MPI_Comm_rank(comm, &reduce->rank);
        MPI_Comm_size(comm, &reduce->n_ranks);
    }
    reduce->digits =
        calloc(max_digits + (size_t)reduce->n_ranks + N_COUNTS, sizeof *reduce->digits);
    bool whole = reduce->digits != NULL;
    for (size_t i = 0; i < UNDER_WAY && reduce->n_ranks >= SCATTERED_FROM && whole; i++) {
        reduce->own[i] = malloc(room_of_segment(reduce) * sizeof *reduce->own[i]);
        whole = reduce->own[i] != NULL;
    }
    if (!whole) {
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
    for (size_t i = 0; i < UNDER_WAY; i++)
        free((*reduce)->own[i]);
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
    assert(!reduce->active && n_digits > 0 && n_digits <= reduce->max_digits);
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
    counts[REPEATED_US] = (int64_t)tally->repeated_us;
    counts[REPEATED] = (int64_t)tally->repeated;
    reduce->n_segments = n_digits / 2 > reduce->segment ? n_digits / 2 / reduce->segment : 1;
    reduce->sent = reduce->arrived = 0;
    reduce->active = true;
    while (reduce->sent < UNDER_WAY && reduce->sent < reduce->n_segments)
        send_segment(reduce);
}

bool mn_reduce_active(const mn_reduce *reduce)
{
    return reduce->active;
}

bool mn_reduce_progress(mn_reduce *reduce)
{
    int arrived = reduce->n_ranks == 1;
    if (!reduce->active)
        return false;
    if (!arrived)
        MPI_Testall(2, reduce->requests[reduce->arrived % UNDER_WAY], &arrived,
                    MPI_STATUSES_IGNORE);
    if (!arrived)
        return false;
    reduce->arrived++;
    if (reduce->sent < reduce->n_segments)
        send_segment(reduce);
    reduce->active = reduce->arrived < reduce->n_segments;
    return true;
}

size_t mn_reduce_arrived(const mn_reduce *reduce)
{
    if (reduce->arrived == reduce->n_segments)
        return reduce->n_digits / 2;
    return reduce->arrived > 0 ? (reduce->arrived - 1) * reduce->segment : 0;
}

mn_status mn_reduce_result(const mn_reduce *reduce, mn_tally *out, mn_error *err)
{
    const int64_t *checksums = reduce->digits + reduce->n_digits;
    const int64_t *counts = checksums + reduce->n_ranks;
    char unlike[256] = "";
    size_t used = 0;
    int n_unlike = 0;
    assert(reduce->arrived > 0);
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
                      .sums_us = (uint64_t)counts[SUMS_US],
                      .repeated_us = (uint64_t)counts[REPEATED_US],
                      .repeated = (uint64_t)counts[REPEATED]};
    return MN_OK;
}

/* Digits of the longest, with what lies behind it. */
static size_t room_of_segment(const mn_reduce *reduce)
{
    size_t columns = reduce->max_digits / 2 + 1;
    if (columns > 2 * reduce->segment)
        columns = 2 * reduce->segment;
    return 2 * columns + (size_t)reduce->n_ranks + N_COUNTS;
}

/* The last segment, which is the longest, is sent first; the checksums and counts lie behind its
 * low digits. An error ends the job: MPI_ERRORS_ARE_FATAL. */
static void send_segment(mn_reduce *reduce)
{
    size_t columns = reduce->n_digits / 2;
    size_t place = reduce->sent > 0 ? reduce->sent - 1 : reduce->n_segments - 1;
    size_t begin = place * reduce->segment;
    size_t n = reduce->sent == 0 ? columns - begin : reduce->segment;
    size_t behind = reduce->sent == 0 ? (size_t)reduce->n_ranks + N_COUNTS : 0;
    int64_t *high = reduce->digits + begin, *low = high + columns;
    MPI_Request *requests = reduce->requests[reduce->sent % UNDER_WAY];
    int64_t *own = reduce->own[reduce->sent % UNDER_WAY];
    reduce->sent++;
    requests[0] = requests[1] = MPI_REQUEST_NULL;
    if (reduce->n_ranks == 1) /* all are here: nobody's are missing */
        return;
    const void *own_high = MPI_IN_PLACE, *own_low = MPI_IN_PLACE;
    if (own != NULL) {
        own_high = memcpy(own, high, n * sizeof *own);
        own_low = memcpy(own + n, low, (n + behind) * sizeof *own);
    }
    MPI_Iallreduce(own_high, high, (int)n, MPI_INT64_T, MPI_SUM, reduce->comm, &requests[0]);
    MPI_Iallreduce(own_low, low, (int)(n + behind), MPI_INT64_T, MPI_SUM, reduce->comm,
                   &requests[1]);
}
