/* sweep_server.h: the runs of a sweep made: each a `mnemo train` of its own, in SWEEP/runs/NAME with what it
 * says in SWEEP/logs/NAME.log, on the slots of all ranks; and the one door for workers (SWEEP/endpoint). Around
 * the cores (ladder.h, usher.h) stand processes, the link between ranks, the door, signals, clock and files.
 * Runs share nothing, so each gives the bits that it gives alone. */
#pragma once

#include "common/error.h"
#include "coordinator/run/sweep_table.h"
#include "coordinator/server/sweep_leg.h"
#include <stdbool.h>
#include <stdint.h>

/* Collective. To the end of the sweep, or of its budget; *out is filled in on rank 0. MN_STOPPED: a signal asked for it. Runs that failed
 * are in the results, and no failure here. Free them with mn_sweep_results_fini, whatever comes out. */
mn_status mn_sweep_server_run(const mn_sweep_config *config, mn_sweep_results *out, mn_error *err);
