/* sweep_journal.h: SWEEP/journal.jsonl, what runs of a sweep have come to, a JSON object a line:
 *   {"run": "0007", "leg": 0, "settings": "<sha256>", "spent_s": 12.5, "outcome": {..}}
 * leg: how many rungs were behind it; settings: digest of what decides the run; spent_s: of the sweep so far,
 * all its lives together; outcome: see outcome.h. A line counts once it is on the disk. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "coordinator/run/outcome.h"
#include <stdint.h>

typedef struct mn_sweep_journal mn_sweep_journal;

typedef struct mn_sweep_entry {
    char run[64];
    uint32_t leg;
    char settings[65];
    double spent_s;
    mn_outcome outcome;
} mn_sweep_entry;

/* Read what is there, calling `take` for each entry in order, whose failure ends the reading; then it can
 * be added to. A last line that was torn is dropped. MN_ERR_DATA: another line makes no sense. */
typedef mn_status mn_take_entry(void *user, const mn_sweep_entry *entry, mn_error *err);
mn_status mn_sweep_journal_open(const char *path, mn_take_entry *take, void *user,
                                mn_sweep_journal **out, mn_error *err);
void mn_sweep_journal_close(mn_sweep_journal **journal);

/* Returns once it is on the disk. */
mn_status mn_sweep_journal_add(mn_sweep_journal *journal, const mn_sweep_entry *entry,
                               mn_error *err);

/* Of an experiment without pool.*, run.* and its name, which decide nothing. */
mn_status mn_sweep_settings_digest(const mn_experiment *experiment, char hex[65], mn_error *err);
