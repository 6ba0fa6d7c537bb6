/* journal_gate.h: which entries a rank may put into the journal. Strangers can make some of them without
 * end: of each event so many may come at once, and then one in so many seconds (journal.h); what is left out
 * is counted in the next that passes, or at the end. A round's wait passes if it is among the longest so far. */
#pragma once

#include "coordinator/run/journal.h"

#define MN_GATE_WAITS 16u

/* Begins zeroed. */
typedef struct mn_journal_gate {
    struct {
        double due_s; /* all that was let pass is paid for then */
        uint64_t left_out;
        double left_out_s;
        uint64_t left_out_tasks;
    } of[MN_N_JOURNAL_EVENTS];
    double longest_s[MN_GATE_WAITS]; /* the shortest of them first */
} mn_journal_gate;

/* true: write it; what was left out before is filled into the entry. Goes by entry->at_s. */
bool mn_journal_gate_passes(mn_journal_gate *gate, mn_journal_entry *entry);

/* At the end, of an event: true: write this entry, which is of nothing itself (no step, no tasks, no time), and
 * tells what was left out since the last that passed. */
bool mn_journal_gate_rest(mn_journal_gate *gate, mn_journal_event event, mn_journal_entry *entry);
