#include "common/log_limit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void mn_log_limited(mn_log_limit *limit, uint64_t now_us, mn_log_level level, const char *format,
                    ...)
{
    char text[1024];
    if (now_us >= limit->until_us) {
        if (limit->left_out > 0)
            mn_log(level, "%" PRIu64 " more lines like the next were left out", limit->left_out);
        *limit = (mn_log_limit){.until_us = now_us + MN_LOG_LIMIT_US};
    }
    if (limit->lines == MN_LOG_LIMIT_LINES) {
        limit->left_out++;
        return;
    }
    limit->lines++;
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, sizeof text, format, values);
    va_end(values);
    mn_log(level, "%s", text);
}
