#include "coordinator/core/admission.h"

#include "common/exact_sum.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool equal(const mn_digest *a, const mn_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool mn_admits_hello(const mn_hello *hello, char *reason, size_t size)
{
    if (hello->protocol != MN_PROTOCOL_VERSION) {
        (void)snprintf(reason, size,
                       "the worker (mnemo %.31s) speaks protocol %" PRIu32
                       ", the coordinator (mnemo %s) protocol %u; install the same version on both",
                       hello->version, hello->protocol, MN_VERSION, MN_PROTOCOL_VERSION);
        return false;
    }
    if (hello->threads == 0 || hello->threads > MN_MAX_MEMBER_THREADS) {
        (void)snprintf(reason, size,
                       "the worker says it has %" PRIu32 " threads; start it with 1 to %u",
                       hello->threads, MN_MAX_MEMBER_THREADS);
        return false;
    }
    return true;
}

bool mn_admits_join(const mn_rank_config *config, const mn_message *join, bool class_open,
                    bool *mixed, char *reason, size_t size)
{
    char theirs[65], ours[65];
    *mixed = false;
    if (!equal(&join->join.data, &config->data)) {
        mn_digest_hex(&join->join.data, theirs);
        mn_digest_hex(&config->data, ours);
        if (config->external) {
            (void)snprintf(reason, size,
                           "the learners differ: tensors and scores of the worker's have a digest "
                           "that begins with %.16s, those of the coordinator's %s one with %.16s; "
                           "start the worker with the learner that this file was made from (its "
                           "own log says which tensor or score is another)",
                           theirs, config->data_name, ours);
            return false;
        }
        (void)snprintf(
            reason, size,
            "the data differ: the worker's digest begins with %.16s, the coordinator's with "
            "%.16s; put the coordinator's %s on the worker's data path",
            theirs, ours, config->data_name[0] != '\0' ? config->data_name : "data");
        return false;
    }
    if (class_open || equal(&join->join.numeric_class, &config->numeric_class))
        return true;
    if (config->any_numeric_class) {
        *mixed = true;
        return true;
    }
    mn_digest_hex(&join->join.numeric_class, theirs);
    mn_digest_hex(&config->numeric_class, ours);
    if (config->external)
        (void)snprintf(reason, size,
                       "another numeric class: the worker's begins with %.16s (%.31s), that of the "
                       "workers before it with %.16s, so its results would differ in their last "
                       "bits; start it with the same learner, versions and processor, or the "
                       "coordinator with --set pool.any_numeric_class=true, which marks the run as "
                       "mixed",
                       theirs, join->join.kernels, ours);
    else
        (void)snprintf(
            reason, size,
            "another numeric class: the worker's begins with %.16s (kernels %.31s), the "
            "coordinator's with %.16s, so its results would differ in their last bits; use "
            "machines and builds with the same kernels, or start the coordinator with --set "
            "pool.any_numeric_class=true, which marks the run as mixed",
            theirs, join->join.kernels, ours);
    return false;
}

bool mn_admits_result(const mn_rank_config *config, mn_round_kind kind, uint32_t n_tasks,
                      const mn_message *message, char *why, size_t size)
{
    const mn_result *result = &message->result.result;
    bool training = kind == MN_ROUND_TRAIN;
    uint64_t columns = training ? config->train_columns : config->test_columns;
    uint64_t bytes = 0;
    if (training && result->encoding == MN_ENCODING_PACKED) {
        bytes = message->payload_bytes; /* who unpacks it has found it whole */
    } else if (training && result->encoding == MN_ENCODING_EXACT) {
        bytes = 2 * columns * sizeof(int64_t);
    } else if (result->encoding == MN_ENCODING_ROWS && (!training || n_tasks <= MN_EXACT_ROWS)) {
        bytes = n_tasks * columns * sizeof(float);
    } else if (!training || result->encoding != MN_ENCODING_KEPT) {
        (void)snprintf(why, size, "a result of encoding %d: expected %s", (int)result->encoding,
                       training ? "a sum of all its tasks" : "a row for each task");
        return false;
    }
    if (result->n_tasks == n_tasks && result->n_columns == columns &&
        message->payload_bytes == bytes)
        return true;
    (void)snprintf(why, size,
                   "a result of %" PRIu32 " tasks, %" PRIu32 " columns and %" PRIu64
                   " bytes: expected %" PRIu32 ", %" PRIu64 " and %" PRIu64,
                   result->n_tasks, result->n_columns, message->payload_bytes, n_tasks, columns,
                   bytes);
    return false;
}
