/* frame.h: a snapshot of the board as JSON, for the page and for programs: all of it, or what has
 * changed since another. docs/page.md has the fields. Text out, nothing else. */
#pragma once

#include "common/error.h"
#include "coordinator/run/board.h"

/* `before`: an earlier snapshot, which the reader has: of curves only points from the first that may
 * have changed are told, of the log only newer lines, and what stays all along (the experiment) not at
 * all. NULL: everything. *text is the caller's (free). */
mn_status mn_frame_print(const mn_board_config *run, const mn_snapshot *now,
                         const mn_snapshot *before, char **text, mn_error *err);
