#include "coordinator/run/journal_gate.h"

#include <string.h>

static void take_left_out(mn_journal_gate *gate, mn_journal_entry *entry);
static bool is_long(mn_journal_gate *gate, double span_s);

bool mn_journal_gate_passes(mn_journal_gate *gate, mn_journal_entry *entry)
{
    static const struct {
        unsigned burst, every_s;
    } limits[] = {
#define X(name, text, burst, every_s) [name] = {burst, every_s},
        MN_JOURNAL_LIST(X)
#undef X
    };
    const double every_s = limits[entry->event].every_s;
    const double ahead_s = limits[entry->event].burst * every_s;
    double *due_s = &gate->of[entry->event].due_s;
    if (*due_s < entry->at_s || *due_s > entry->at_s + ahead_s) /* else the clock was set back */
        *due_s = entry->at_s;
    const bool passes = entry->event == MN_JOURNAL_WAITED
                            ? is_long(gate, entry->span_s)
                            : *due_s + every_s <= entry->at_s + ahead_s;
    if (!passes) {
        gate->of[entry->event].left_out++;
        gate->of[entry->event].left_out_s +=
            entry->event == MN_JOURNAL_WAITED ? entry->span_s : entry->lost_s;
        gate->of[entry->event].left_out_tasks += entry->tasks;
        return false;
    }
    *due_s += every_s;
    take_left_out(gate, entry);
    return true;
}

bool mn_journal_gate_rest(mn_journal_gate *gate, mn_journal_event event, mn_journal_entry *entry)
{
    *entry = (mn_journal_entry){.event = event};
    take_left_out(gate, entry);
    return entry->left_out > 0;
}

static void take_left_out(mn_journal_gate *gate, mn_journal_entry *entry)
{
    entry->left_out = gate->of[entry->event].left_out;
    entry->left_out_s = gate->of[entry->event].left_out_s;
    entry->left_out_tasks = gate->of[entry->event].left_out_tasks;
    gate->of[entry->event].left_out = gate->of[entry->event].left_out_tasks = 0;
    gate->of[entry->event].left_out_s = 0;
}

/* One in ten longer at least, where all are much alike: else a run that slows down would write each. */
static bool is_long(mn_journal_gate *gate, double span_s)
{
    uint32_t i = 0;
    if (span_s <= 1.1 * gate->longest_s[0])
        return false;
    for (; i + 1 < MN_GATE_WAITS && gate->longest_s[i + 1] < span_s; i++)
        gate->longest_s[i] = gate->longest_s[i + 1];
    gate->longest_s[i] = span_s;
    return true;
}
