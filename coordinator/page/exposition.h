/* exposition.h: a snapshot of the board as Prometheus and its kin read it: text 0.0.4 or OpenMetrics
 * 1.0. Names have units, counters end in _total and begin at 0 with each job (but that of meta-steps,
 * which goes on where the run does); what is told of the pool is rank 0's. Text out, nothing else. */
#pragma once

#include "common/error.h"
#include "coordinator/run/board.h"
#include <stdbool.h>

#define MN_EXPOSITION_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define MN_EXPOSITION_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Which of the two does the value of an Accept header want? NULL or nonsense: the older. */
bool mn_exposition_wants_open(const char *accept);

/* *text is the caller's (free). */
mn_status mn_exposition_print(const mn_board_config *run, const mn_snapshot *now, bool open,
                              char **text, mn_error *err);
