/* journal.h: RUN/journal.jsonl, what was out of the ordinary in a run, one JSON object a line, for `mnemo
 * explain`. Rank 0 writes it; lines of other ranks come to it as they are.
 *   {"at": 1764246000.125, "rank": 0, "event": "ran out", "step": 17, "who": "host:123", "task": 400,
 *    "tasks": 2, "span_s": 1.5, "pause_s": 1.5, "why": "..", "lost_s": .., "left_out": ..}
 * and, of what rank 0 itself tells, the totals of this job over all ranks: "work_s", "repeated_s".
 * A number that is 0 and a text that is empty are left out. A file of MN_JOURNAL_BYTES becomes
 * journal.old.jsonl, in the place of the one before: so both together never have more than twice that. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_JOURNAL_VERSION 1
#define MN_JOURNAL_BYTES ((size_t)1 << 20)
#define MN_JOURNAL_LINE 1000u /* with its end; fits a message between ranks */
#define MN_JOURNAL_FILE "journal.jsonl"
#define MN_JOURNAL_OLD "journal.old.jsonl"

/* name, text in the file, how many at once and then one in so many seconds (see journal_gate.h). Those of
 * before BEGUN are the notes of actions.h, in their order. */
#define MN_JOURNAL_LIST(X)                                                                         \
    X(MN_JOURNAL_JOINED, "joined", 1000, 1)                                                        \
    X(MN_JOURNAL_LEFT, "left", 1000, 1)                                                            \
    X(MN_JOURNAL_LOST, "lost", 1000, 1)                                                            \
    X(MN_JOURNAL_SILENT, "silent", 1000, 1)                                                        \
    X(MN_JOURNAL_REJECTED, "put out", 100, 5)                                                      \
    X(MN_JOURNAL_REFUSED, "refused", 100, 10)                                                      \
    X(MN_JOURNAL_RAN_OUT, "ran out", 300, 2)                                                       \
    X(MN_JOURNAL_GOES_ON, "goes on", 50, 10)                                                       \
    X(MN_JOURNAL_BACK, "back", 300, 2)                                                             \
    X(MN_JOURNAL_REPEATED, "repeated", 300, 2)                                                     \
    X(MN_JOURNAL_DAMAGED, "damaged", 100, 5)                                                       \
    X(MN_JOURNAL_IDLE, "idle", 300, 5)                                                             \
    X(MN_JOURNAL_BUSY, "busy", 300, 5)                                                             \
    X(MN_JOURNAL_WAITED, "waited", 50, 5)                                                          \
    X(MN_JOURNAL_BEGUN, "begun", 1000, 1)                                                          \
    X(MN_JOURNAL_CHECKPOINT, "checkpoint", 20, 60)                                                 \
    X(MN_JOURNAL_SKIPPED, "skipped", 50, 20)                                                       \
    X(MN_JOURNAL_ENDED, "ended", 1000, 1)

typedef enum mn_journal_event {
#define X(name, text, burst, every_s) name,
    MN_JOURNAL_LIST(X)
#undef X
        MN_N_JOURNAL_EVENTS
} mn_journal_event;

const char *mn_journal_event_text(mn_journal_event event);
/* MN_N_JOURNAL_EVENTS: none of this text. */
mn_journal_event mn_journal_event_of(const char *text);

/* Texts are lent; NULL is "". */
typedef struct mn_journal_entry {
    mn_journal_event event;
    double at_s; /* since 1970 */
    uint32_t rank;
    uint64_t step;      /* meta-step under way, from 1, or done; 0: none */
    const char *judges; /* "validation", "test": no meta-step, but this was under way */
    const char *who, *why;
    uint64_t task; /* index in its split; told where tasks > 0 */
    uint32_t tasks, threads;
    double lost_s, span_s, pause_s;
    uint64_t left_out; /* entries of this event before, for there were too many */
    double left_out_s; /* their lost_s or span_s */
    uint64_t left_out_tasks;
    bool mixed;
} mn_journal_entry;

/* One line, without its end; `why` is cut behind a word where it would be too long. */
void mn_journal_print(const mn_journal_entry *entry, char line[MN_JOURNAL_LINE]);

typedef struct mn_journal mn_journal;

/* Go on in the journal of a run's folder. What cannot be written is said once, and no call fails: a run
 * without a journal is as good. MN_ERR_NOMEM. */
mn_status mn_journal_open(const char *folder, mn_journal **out, mn_error *err);
void mn_journal_close(mn_journal **journal); /* takes NULL */

/* All take a NULL journal, and then do nothing. */

/* The totals that the following entries carry, in seconds of thread time of this job. */
void mn_journal_total(mn_journal *journal, double work_s, double repeated_s);
void mn_journal_add(mn_journal *journal, const mn_journal_entry *entry);
/* As another rank has printed it. */
void mn_journal_add_line(mn_journal *journal, const char *line);
