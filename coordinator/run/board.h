/* board.h: what a run lets others see of itself while it goes on. The run's own thread tells the board
 * what happens; about twice a second the board hangs out a snapshot that never changes again, which
 * other threads may read for as long as they hold it. So whoever looks, however slowly, never makes the
 * run wait. No socket, no file but metrics.jsonl of the time before a run goes on. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "common/score.h"
#include "coordinator/run/evaluation.h"
#include "coordinator/run/metrics.h"
#include "coordinator/run/trace.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_BOARD_CURVES 64u
#define MN_BOARD_LINES 200u /* of the log */
#define MN_BOARD_EVERY_US UINT64_C(400000)
#define MN_BOARD_REFUSALS 4u
#define MN_BOARD_ENDS 4u
#define MN_BOARD_DEPARTURES 16u

typedef enum mn_phase {
    MN_PHASE_TRAINING,
    MN_PHASE_VALIDATION,
    MN_PHASE_TEST,
    MN_PHASE_ENDED,       /* complete */
    MN_PHASE_INTERRUPTED, /* asked to stop; goes on when it is started again */
    MN_PHASE_FAILED,
    MN_N_PHASES
} mn_phase;

const char *mn_phase_text(mn_phase phase); /* "training", ... */
bool mn_phase_is_over(mn_phase phase);

typedef struct mn_curve_view {
    const mn_score *score; /* lent for the board's life */
    char key[MN_METRICS_KEY];
    uint64_t stride;
    uint32_t n;             /* points */
    uint32_t n_whole;       /* the first so many stay as they are while the stride does */
    mn_trace_point *points; /* [n]; owned by the snapshot */
} mn_curve_view;

typedef struct mn_worker_view {
    uint64_t peer;
    char name[96];
    const char *doing; /* a static sentence */
    uint32_t threads, leases, expired, damaged;
    uint64_t tasks;
    double here_s;      /* since it came */
    double silent_s;    /* since it was heard */
    double paused_s;    /* still to go; 0: not paused */
    double tasks_per_s; /* of the last 20 s or so; the board works it out */
} mn_worker_view;

typedef struct mn_gone_view {
    const char *how; /* static: "left", "lost", "silent", "rejected" */
    char name[96], why[512];
    double ago_s;
} mn_gone_view;

/* The pool of rank 0 as its core knows it, and counts since the job began. */
typedef struct mn_pool_view {
    uint32_t n_workers;      /* the local pool included */
    mn_worker_view *workers; /* [n_workers] */
    uint32_t n_gone;
    mn_gone_view gone[MN_BOARD_DEPARTURES]; /* the newest first */
    uint64_t joins, leases_granted, leases_expired, leases_reissued, accepted;
    uint64_t refused[MN_BOARD_REFUSALS];
    uint64_t ends[MN_BOARD_ENDS];
} mn_pool_view;

/* The names of the counts above, for labels: "late", ... and "lost", ... */
extern const char *const mn_board_refusals[MN_BOARD_REFUSALS];
extern const char *const mn_board_ends[MN_BOARD_ENDS];

/* A number of a validation or a test. */
typedef struct mn_result_view {
    char key[MN_METRICS_KEY];
    const mn_score *score; /* lent for the board's life */
    mn_estimate estimate;
} mn_result_view;

typedef struct mn_board_line {
    uint64_t id; /* 1, 2, ... */
    const char *text;
} mn_board_line;

typedef struct mn_snapshot {
    uint64_t number; /* 1, 2, ... */
    double taken_s;  /* since 1970 */
    mn_phase phase;
    char why[512];        /* of an end */
    uint32_t done, total; /* tasks of the validation or test under way; total 0: none is */
    uint64_t step;        /* meta-steps done */
    double stepped_s;     /* when the last one was, since 1970; 0: none yet */
    double wall_s, to_go_s, step_s, tasks_per_s; /* NaN: not known yet */
    double lr, grad_norm;                        /* of the last step; NaN: none yet */
    uint32_t workers, threads;                   /* of all ranks, at the last step */
    uint64_t tasks, skipped;                     /* of training, since the job began */
    mn_step_time spent;                          /* since the job began */
    mn_step_shares shares;                       /* of the last few seconds of steps */
    uint32_t n_last;
    double *last; /* [n_last] train scores of the last step, in their list's order */
    uint32_t n_curves;
    mn_curve_view *curves; /* [n_curves] */
    uint64_t validated;    /* the newest validation was after this step; 0: none */
    uint32_t n_validation, n_test, test_tasks;
    mn_result_view *validation, *test;
    mn_pool_view pool;
    uint32_t n_lines;
    mn_board_line *lines; /* [n_lines], the oldest first */
} mn_snapshot;

typedef struct mn_board mn_board;

typedef struct mn_board_config {
    const mn_experiment *experiment;
    const char *yaml;   /* the experiment as resolved */
    const char *folder; /* of the run */
    uint64_t run_id;
    const mn_score_list *train; /* of a step */
    const mn_score_list *test;  /* of an evaluation */
    uint64_t step;              /* meta-steps done before this job */
    uint32_t n_ranks;
    uint32_t part, parts; /* of a series of runs, from 1; 0: of none */
} mn_board_config;        /* its pointers are lent for the board's life */

/* It hears the log from now on; one board at a time. What metrics.jsonl tells of the steps before is
 * read, at most a few thousand lines of it. */
mn_status mn_board_new(const mn_board_config *config, mn_board **out, mn_error *err);
/* No snapshot may be held any more. Takes NULL. */
void mn_board_destroy(mn_board **board);
const mn_board_config *mn_board_config_of(const mn_board *board);

/* ---- by the run's thread alone; a NULL board does nothing */

void mn_board_step(mn_board *board, const mn_step_record *record);
void mn_board_validation(mn_board *board, uint64_t step, const mn_evaluation *evaluation);
void mn_board_test(mn_board *board, const mn_evaluation *evaluation);

/* Is it time for a snapshot? Cheap. */
bool mn_board_due(const mn_board *board, uint64_t now_us);

/* Hang out a snapshot of what was told, with this pool, whose array of workers is the board's from
 * then on. Without memory for it the last one stays. */
void mn_board_publish(mn_board *board, uint64_t now_us, mn_phase phase, uint32_t done,
                      uint32_t total, mn_pool_view *pool);

/* The last snapshot of all: how it ended. Its pool is empty. */
void mn_board_end(mn_board *board, mn_phase phase, const char *why);

/* Call this after each snapshot, in the run's thread; it must not block. */
void mn_board_tell(mn_board *board, void (*news)(void *user), void *user);

/* ---- by any thread */

/* The newest snapshot, to be given back with _drop; NULL: none yet. */
const mn_snapshot *mn_board_look(mn_board *board);
void mn_snapshot_drop(const mn_snapshot **snapshot); /* takes a NULL one */
