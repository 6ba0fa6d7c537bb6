#include "coordinator/core/waiting.h"

#include <stdio.h>
#include <string.h>

void mn_waiting_open(mn_waiting *waiting, uint64_t now_us)
{
    *waiting = (mn_waiting){.opened_us = now_us};
}

void mn_waiting_blame(mn_waiting *waiting, const char *name)
{
    if (waiting->waits)
        (void)snprintf(waiting->blamed, sizeof waiting->blamed, "%s", name);
}

void mn_waiting_look(mn_waiting *waiting, bool waits, uint64_t threads, uint64_t now_us)
{
    if (waits && threads > waiting->threads)
        waiting->threads = threads < UINT32_MAX ? (uint32_t)threads : UINT32_MAX;
    if (waits == waiting->waits)
        return;
    waiting->waits = waits;
    if (waits) {
        waiting->since_us = now_us;
        waiting->blamed[0] = '\0';
        return;
    }
    const uint64_t took_us = now_us - waiting->since_us;
    waiting->total_us += took_us;
    if (took_us > waiting->longest_us) {
        waiting->longest_us = took_us;
        memcpy(waiting->whom, waiting->blamed, sizeof waiting->whom);
    }
}

bool mn_waiting_close(mn_waiting *waiting, uint64_t now_us, mn_note *note)
{
    mn_waiting_look(waiting, false, 0, now_us);
    const uint64_t total_us = waiting->total_us;
    if (total_us < MN_WAIT_LEAST_US ||
        total_us < (now_us - waiting->opened_us) / MN_WAIT_LEAST_PART)
        return false;
    note->span_us = total_us;
    note->threads = waiting->threads;
    memcpy(note->who, waiting->whom, sizeof note->who);
    return true;
}
