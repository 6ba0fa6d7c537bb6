/* session.h: what a command needs to compute on all ranks: the MPI job, the experiment, its data,
 * the learner, theta; then it is served. Every step is taken by all ranks together, so that if one
 * fails all end with its message. */
#pragma once

#include "common/error.h"
#include "common/log.h"
#include "coordinator/links/job.h"
#include "coordinator/page/door.h"
#include "coordinator/run/evaluation.h"
#include "coordinator/run/run.h"
#include "coordinator/run/training.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_session {
    mn_job job;
    mn_experiment experiment;
    mn_task_set *tasks;
    mn_learner *learner;
    mn_training *training;
    mn_digest data, numeric_class;
    uint32_t threads;   /* of this rank's local pool */
    bool resumed;       /* from a checkpoint */
    bool mixed;         /* numeric classes */
    char changes[1200]; /* rank 0, judging: what differs from training, for people; "": nothing */
    uint64_t run_id;
    mn_experiment *trained; /* rank 0, judging: that of training, if its data are others; owned */
    char leaks[512]; /* rank 0: what test classes and training classes share; "": not compared */
    mn_conditions conditions; /* of the test round, once tasks and learner are there */
} mn_session;

typedef struct mn_session_options {
    const char *file;        /* experiment; NULL: the run folder's own */
    const char *const *sets; /* [n_sets] overrides "a.b=c" */
    size_t n_sets;
    const char *folder; /* of the run; NULL: none */
    bool external_too;  /* open_alone, open_run: of a learner that only its workers compute */
} mn_session_options;

/* File, then overrides, then the rules that concern several keys. Local. */
mn_status mn_session_experiment(const mn_session_options *options, mn_experiment *out,
                                mn_error *err);

/* Signals, MPI, the log: after it, job.rank is known. */
mn_status mn_session_begin(mn_session *session, mn_log_level level, mn_error *err);

/* Data, learner, theta_0. session->experiment is set on rank 0 and shared from there. */
mn_status mn_session_open(mn_session *session, mn_error *err);

/* Do the data have a split for each kind of round that is to come? MN_ERR_CONFIG: which is wanted,
 * by what, and what it lacks. The same on all ranks. */
mn_status mn_session_check_splits(const mn_session *session, bool test_only, mn_error *err);

/* The experiment and all of the above in one process, without MPI. */
mn_status mn_session_open_alone(mn_session *session, const mn_session_options *options,
                                mn_error *err);

/* A run as it stands, to be looked at in one process without MPI: all of the above, and theta and
 * all else from the newest checkpoint of options->folder. MN_ERR_NO_INPUT: that is no run, or it has
 * no checkpoint yet; MN_ERR_CONFIG: the data are not those it was begun with. */
mn_status mn_session_open_run(mn_session *session, const mn_session_options *options,
                              mn_error *err);

/* Theta and all else of a session that is open from this checkpoint of its run. MN_ERR_DATA: damaged, or not
 * of this meta-step; MN_ERR_CONFIG: the data are not those it was made with. Nothing is changed then. Local. */
mn_status mn_session_restore(mn_session *session, const char *checkpoint, uint64_t step,
                             mn_error *err);

/* Theta and all else from the newest checkpoint of a run's folder, which rank 0 names. To go on, it
 * is no error if there is none; to judge, what decides the run's answer may have changed, but not
 * its network (mn_experiment_may_judge), nor the words that its numbers stand for. */
mn_status mn_session_resume(mn_session *session, const char *folder, mn_checkpoint_use use,
                            mn_error *err);

/* Theta_0 of a new run from a checkpoint of any run with such a network, which rank 0 reads; `partial`:
 * of another network, of which it takes what fits (mn_checkpoint_take_fitting). The optimiser begins
 * anew. It becomes the new run's own checkpoint of step 0, so that going on needs the other no more. */
mn_status mn_session_begin_from(mn_session *session, const char *checkpoint, bool partial,
                                const mn_run *run, mn_error *err);

typedef struct mn_serving {
    const mn_run *run; /* rank 0; NULL: nothing is written */
    bool test_only;    /* no training, and no remote workers */
    uint64_t pause;    /* at this meta-step, as if a signal had come; 0: not */
    bool quiet;
    bool no_job;        /* a checkpoint is written, and nothing else is done */
    mn_page_door *door; /* rank 0: what its page is behind, as mn_page_open; NULL: one of its own */
    uint32_t part, parts; /* of a series of runs, from 1; 0: of none */
} mn_serving;

/* To the end of the experiment, as mn_server_run. *test: the table of its test round, to be freed
 * with mn_evaluation_fini before the session; it may be of no task (then MN_ERR_NUMERIC). *tested:
 * there was such a round; else *test is zero. */
mn_status mn_session_serve(mn_session *session, const mn_serving *how, mn_evaluation *test,
                           bool *tested, mn_error *err);

/* One line on memory, and a warning if the threads have too few processors. */
void mn_session_announce(const mn_session *session);

/* Warn of what a test holds that training cannot read. And are test classes among the training
 * classes? What there is to say goes to session->leaks and, to train, to the log; a leak is warned of,
 * or ends what is to be trained unless evaluate.shared_classes allows it (MN_ERR_CONFIG). After
 * _resume, for the run may have been trained on other data. */
mn_status mn_session_check_leaks(mn_session *session, mn_checkpoint_use use, mn_error *err);

/* Theta is that of meta-step 0 again, as the experiment draws it, and nothing is known of a run. */
mn_status mn_session_begin_anew(mn_session *session, mn_error *err);

/* Frees all but the job, so that another session may have it. Takes a half-open session too. */
void mn_session_close(mn_session *session);
/* The same, and MPI at last. */
void mn_session_end(mn_session *session);

/* Threads that a pool should have here: as asked for, or for -1 this rank's share of the
 * processors. */
uint32_t mn_session_threads(int32_t asked, uint32_t ranks_here);
