/* What the cores note goes to the run's journal: that of rank 0 at once, that of others by way of rank 0. */
#include "coordinator/server/server_state.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

static_assert((int)MN_N_NOTES == (int)MN_JOURNAL_BEGUN, "each note has an event of the journal");
static_assert((int)MN_NOTE_JOINED == (int)MN_JOURNAL_JOINED &&
                  (int)MN_NOTE_REFUSED == (int)MN_JOURNAL_REFUSED &&
                  (int)MN_NOTE_REPEATED == (int)MN_JOURNAL_REPEATED &&
                  (int)MN_NOTE_WAITED == (int)MN_JOURNAL_WAITED,
              "in the same order");

void mn_server_note(mn_server *server, const mn_note *note)
{
    struct timespec now;
    mn_error err;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const bool judges = note->step > 0 && note->round_kind == MN_ROUND_TEST;
    mn_journal_entry entry = {
        .event = (mn_journal_event)note->kind,
        .at_s = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec,
        .rank = server->config.job->rank,
        .step = note->step,
        .judges = !judges                          ? NULL
                  : server->round.split == MN_TEST ? "test"
                                                   : "validation",
        .who = note->who,
        .why = note->why,
        .task = note->task,
        .tasks = note->tasks,
        .threads = note->threads,
        .lost_s = 1e-6 * (double)note->lost_us,
        .span_s = 1e-6 * (double)note->span_us,
        .pause_s = 1e-6 * (double)note->pause_us,
        .mixed = note->mixed,
    };
    if (!mn_journal_gate_passes(&server->gate, &entry))
        return;
    if (server->leader != NULL) {
        mn_journal_add(mn_scribe_journal(server->config.scribe), &entry);
        return;
    }
    mn_message message = {.kind = MN_MSG_NOTE};
    mn_journal_print(&entry, message.reject.reason);
    if (message.reject.reason[0] == '\0')
        return;
    /* The run is as good without; a leader that is gone is noticed by the next message that counts. */
    if (mn_rank_link_send(server->ranks, 0, &message, &err) != MN_OK)
        mn_log(MN_LOG_DEBUG, "a note for the journal was not sent: %s", err.message);
}
