/* run_state.h: what a run's folder tells from outside. Nothing in it is locked, written or computed,
 * so it may be asked of a run that is under way, again and again: only what came since is read. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum mn_run_phase {
    MN_RUN_STOPPED, /* nobody writes it, and meta-steps or the test are still to come */
    MN_RUN_RUNNING,
    MN_RUN_ELSEWHERE, /* last written by another host, which may still do so */
    MN_RUN_DONE,
} mn_run_phase;

/* All is lent until the next refresh. */
typedef struct mn_run_state {
    const char *folder;
    mn_experiment experiment;
    bool is_whole; /* the experiment: false: it has kinds or keys of a plug-in that is not here */
    mn_run_phase phase;
    char writer[256];   /* "process 123 on host"; "": unknown */
    bool joinable;      /* there is RUN/endpoint for workers */
    uint64_t step;      /* meta-steps done, by metrics.jsonl */
    double wall_s;      /* of training; 0: none yet */
    double step_s;      /* of one of the recent meta-steps; NaN: fewer than two */
    double silent_s;    /* since metrics.jsonl was written; NaN: there is none */
    uint32_t n_recent;  /* meta-steps that `recent` is the mean of */
    json_t *recent;     /* {"loss": .., "accuracy": .., "tasks_per_s": .., ...}; NULL: no step */
    json_t *last;       /* of the last meta-step, as it stands in metrics.jsonl; NULL: none */
    json_t *validation; /* the newest record of one; NULL: none */
    json_t *test;       /* test.json; NULL: none */
    bool has_checkpoint;
    uint64_t checkpoint; /* the newest is of that meta-step */
    const char *checkpoint_path;
} mn_run_state;

typedef struct mn_run_watch mn_run_watch;

/* MN_ERR_NO_INPUT: no run has begun in this folder. */
mn_status mn_run_watch_open(const char *folder, mn_run_watch **out, mn_error *err);
void mn_run_watch_close(mn_run_watch **watch);

/* The run as it stands now; lent. A line that is just being written counts the next time. */
mn_status mn_run_watch_look(mn_run_watch *watch, const mn_run_state **state, mn_error *err);

/* Who writes this folder, of a run or of a sweep, by the text of its lock and by whether it is held; what another
 * host holds cannot be seen. */
mn_run_phase mn_run_find_writer(const char *folder, char writer[256]);

/* "running", ... */
const char *mn_run_phase_text(mn_run_phase phase);
