/* chronicle.h: a run's journal read back, and what it comes to: who is there and does what, for whom
 * steps waited, what was computed twice. Files that a kill has cut, that somebody has damaged or that are of
 * something else are taken as they are: what can be read is told, and the rest is counted. */
#pragma once

#include "common/error.h"
#include "coordinator/run/journal.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct mn_chronicle_entry {
    mn_journal_entry is;       /* its texts are lent by the chronicle */
    double work_s, repeated_s; /* NaN: it has none */
    uint32_t job;              /* 0, 1, ...: processes that wrote here, one after the other */
} mn_chronicle_entry;

/* One by its name at its rank; "local": the rank's own threads. */
typedef struct mn_chronicle_worker {
    const char *name;
    uint32_t rank, threads;
    double since_s; /* when it joined last; 0: the journal does not know */
    bool here;
    const mn_chronicle_entry *last; /* what it did last, which the journal knows of */
    uint32_t n_joined, n_ran_out, n_damaged, n_idle, n_awaited;
    uint64_t repeated;
    double lost_s, awaited_s;
} mn_chronicle_worker;

typedef struct mn_chronicle {
    size_t n;
    mn_chronicle_entry *entries; /* [n], as they were written */
    size_t n_workers;
    mn_chronicle_worker *workers; /* [n_workers], in the order of their first entry */
    size_t n_waits;
    const mn_chronicle_entry **waits; /* [n_waits], the longest first */
    uint32_t n_jobs;
    double work_s, repeated_s; /* of all jobs, as far as the journal goes back */
    uint64_t repeated;         /* tasks */
    uint64_t n_waited;         /* rounds that waited, those that are not told one by one too */
    double waited_s;
    uint64_t n_checkpoints, n_skipped, left_out;
    size_t n_bad;   /* lines that make no sense */
    bool cut;       /* the last line is torn */
    bool forgotten; /* there was more, in files that are gone */
    void *owned;    /* the records */
} mn_chronicle;

/* Read RUN's journal. MN_ERR_NO_INPUT: there is none. MN_ERR_DATA: it is something else, of another
 * version, or too large to be one. */
mn_status mn_chronicle_read(const char *folder, mn_chronicle *out, mn_error *err);
void mn_chronicle_fini(mn_chronicle *chronicle);

/* Part of all work that was done twice, 0 to 1. */
double mn_chronicle_share(const mn_chronicle *chronicle);

/* "2026-11-27 12:00:00": of the machine's own clock. */
void mn_chronicle_time(double at_s, char text[32]);

/* "waited 1.5 s for host:12: its lease ran out": an entry in a person's words, without time and step. */
void mn_chronicle_tell(const mn_chronicle *chronicle, const mn_chronicle_entry *entry, FILE *out);

/* Why a worker does what it does, or why it is not there. */
void mn_chronicle_tell_worker(const mn_chronicle *chronicle, const mn_chronicle_worker *worker,
                              FILE *out);
