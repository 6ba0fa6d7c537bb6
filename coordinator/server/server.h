/* server.h: a rank at work: one loop that waits, reads the clock, asks the cores what to do, and
 * does it. Around the cores (rank.h; leader.h in rank 0) stand the links to ranks and workers, the
 * local pool, MPI, signals and files. Nothing in the loop blocks but the writing of files, and the
 * cores' clock stands still for that. */
#pragma once

#include "common/error.h"
#include "coordinator/links/job.h"
#include "coordinator/run/evaluation.h"
#include "coordinator/run/run.h"
#include "coordinator/run/scribe.h"
#include "coordinator/run/training.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct mn_server mn_server;

typedef struct mn_server_config {
    const mn_job *job;
    const mn_experiment *experiment;
    const mn_learner *learner;
    const mn_task_set *tasks;
    mn_training *training; /* at the step to go on from */
    mn_scribe *scribe;     /* rank 0; NULL elsewhere */
    const mn_run *run;     /* rank 0; NULL: no endpoint file */
    uint64_t run_id;       /* the same on all ranks */
    mn_digest data, numeric_class;
    uint32_t threads; /* of the local pool; 0: none */
    bool test_only;   /* no training: the test round alone, and no remote workers */
    uint64_t pause;   /* stop of ourselves once so many meta-steps are made; 0: do not */
} mn_server_config;

/* The signals that a server takes, less SIGHUP where it is ignored, as by nohup. */
sigset_t mn_server_signals(void);
/* Block the signals that a server takes, in the calling thread and all that it starts: call before
 * MPI_Init. */
void mn_server_hold_signals(void);
/* Until mn_server_new, SIGINT ends the program again: call after MPI_Init, from the only thread
 * that is to hear it. */
void mn_server_allow_interrupt(void);

/* Collective. The config's pointers are lent for the server's life. */
mn_status mn_server_new(const mn_server_config *config, mn_server **out, mn_error *err);
void mn_server_destroy(mn_server **server);

/* Collective: run to the end of the experiment. All ranks return the same status. MN_STOPPED: a
 * signal asked for it; a checkpoint is written. */
mn_status mn_server_run(mn_server *server, mn_error *err);

/* The table of the test round, which is the caller's from then on; false: there was none yet, and
 * *out is zero. */
bool mn_server_take_test(mn_server *server, mn_evaluation *out);
