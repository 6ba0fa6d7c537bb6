/* log_limit.h: log lines that could come without end, from strangers or at each meta-step: a few in
 * a while, and then only their number. */
#pragma once

#include "common/log.h"
#include <stdint.h>

#define MN_LOG_LIMIT_LINES 10u
#define MN_LOG_LIMIT_US UINT64_C(10000000) /* in so long */

/* Begins zeroed. */
typedef struct mn_log_limit {
    uint64_t until_us;
    uint32_t lines;
    uint64_t left_out;
} mn_log_limit;

void mn_log_limited(mn_log_limit *limit, uint64_t now_us, mn_log_level level, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));
