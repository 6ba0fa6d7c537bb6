#include "worker/pool/tally.h"

#include "common/exact_sum.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64
#define MAX_SEGMENTS 64u
#define MIN_SEGMENT 256u /* columns; about a microsecond of adding */

struct mn_tally {
    mn_encoding encoding;
    size_t n_columns, bytes, capacity;
    void *payload; /* [capacity]; owned */
    uint32_t n_segments;
    size_t segment_columns; /* the last segment may be shorter */
    bool cleared[MAX_SEGMENTS];
    pthread_mutex_t locks[MAX_SEGMENTS];
};

static void add_to_segment(mn_tally *tally, uint32_t segment, uint32_t n_rows, const float *rows,
                           size_t stride);

mn_status mn_tally_new(mn_tally **out, mn_error *err)
{
    mn_tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "tally of a lease");
    for (uint32_t i = 0; i < MAX_SEGMENTS; i++)
        (void)pthread_mutex_init(&tally->locks[i], NULL);
    *out = tally;
    return MN_OK;
}

void mn_tally_destroy(mn_tally **tally)
{
    if (*tally == NULL)
        return;
    for (uint32_t i = 0; i < MAX_SEGMENTS; i++)
        (void)pthread_mutex_destroy(&(*tally)->locks[i]);
    free((*tally)->payload);
    free(*tally);
    *tally = NULL;
}

mn_status mn_tally_begin(mn_tally *tally, mn_encoding encoding, uint32_t n_tasks, size_t n_columns,
                         uint32_t n_threads, mn_error *err)
{
    tally->encoding = encoding;
    tally->n_columns = n_columns;
    tally->bytes = encoding == MN_ENCODING_EXACT ? 2 * n_columns * sizeof(int64_t)
                                                 : n_tasks * n_columns * sizeof(float);
    size_t segments = n_columns / MIN_SEGMENT + 1;
    segments = segments < (size_t)4 * n_threads ? segments : (size_t)4 * n_threads;
    segments = segments < MAX_SEGMENTS ? segments : MAX_SEGMENTS;
    tally->segment_columns = (n_columns + segments - 1) / segments;
    tally->n_segments =
        (uint32_t)((n_columns + tally->segment_columns - 1) / tally->segment_columns);
    memset(tally->cleared, 0, sizeof tally->cleared);
    if (tally->bytes <= tally->capacity)
        return MN_OK;

    free(tally->payload);
    tally->capacity = (tally->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    tally->payload = aligned_alloc(ALIGNMENT, tally->capacity);
    if (tally->payload != NULL)
        return MN_OK;
    tally->capacity = 0;
    return mn_fail(err, MN_ERR_NOMEM, "results of %zu bytes", tally->bytes);
}

float *mn_tally_row(mn_tally *tally, uint32_t task)
{
    return (float *)tally->payload + task * tally->n_columns;
}

void mn_tally_add(mn_tally *tally, uint32_t thread, uint32_t n_rows, const float *rows,
                  size_t stride)
{
    for (uint32_t i = 0; i < tally->n_segments; i++)
        add_to_segment(tally, (thread + i) % tally->n_segments, n_rows, rows, stride);
}

const void *mn_tally_payload(const mn_tally *tally)
{
    return tally->payload;
}

size_t mn_tally_payload_bytes(const mn_tally *tally)
{
    return tally->bytes;
}

static void add_to_segment(mn_tally *tally, uint32_t segment, uint32_t n_rows, const float *rows,
                           size_t stride)
{
    size_t at = segment * tally->segment_columns, n = tally->n_columns - at;
    n = n < tally->segment_columns ? n : tally->segment_columns;
    int64_t *high = (int64_t *)tally->payload + at, *low = high + tally->n_columns;
    (void)pthread_mutex_lock(&tally->locks[segment]);
    if (!tally->cleared[segment]) {
        memset(high, 0, n * sizeof *high);
        memset(low, 0, n * sizeof *low);
        tally->cleared[segment] = true;
    }
    mn_exact_add_rows(n, n_rows, rows + at, stride, high, low);
    (void)pthread_mutex_unlock(&tally->locks[segment]);
}
