#include "coordinator/server/session.h"

#include "common/descriptors.h"
#include "common/file.h"
#include "common/processors.h"
#include "coordinator/page/page.h"
#include "coordinator/server/server.h"
#include "coordinator/sweep/sweep_file.h"
#include "worker/data/import/first_use.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024.0 * 1024.0)
#define OWN_DESCRIPTORS 64u /* of a rank: files, MPI, the page, links to other ranks */
#define MANY_WORKERS 1000u

static mn_status share_experiment(mn_session *session, mn_error *err);
static mn_status open_tasks(mn_session *session, mn_error *err);
static mn_status open_learner(mn_session *session, mn_error *err);
static mn_status make_learner(mn_session *session, mn_error *err);
static mn_status has_data_of(const mn_session *session, const mn_checkpoint *checkpoint,
                             mn_error *err);
static mn_status find_changes(mn_session *session, const mn_checkpoint *checkpoint, mn_error *err);
static mn_status fits_checkpoint(mn_session *session, const mn_checkpoint *checkpoint,
                                 mn_error *err);
static mn_status share_checkpoint(const mn_session *session, mn_checkpoint *checkpoint,
                                  mn_error *err);
static mn_status new_scribe(const mn_session *session, const mn_serving *how, mn_scribe **out,
                            mn_error *err);

static bool is_sweep(const char *path)
{
    char *text = NULL;
    size_t n = 0;
    mn_sweep_file *file = calloc(1, sizeof *file);
    const bool is = file != NULL && mn_file_read(path, 1 << 20, &text, &n, NULL) == MN_OK &&
                    mn_sweep_file_parse(path, text, n, file, NULL) == MN_OK;
    if (is)
        mn_sweep_file_fini(file);
    free(file);
    free(text);
    return is;
}

mn_status mn_session_experiment(const mn_session_options *options, mn_experiment *out,
                                mn_error *err)
{
    char own[PATH_MAX];
    const char *file = options->file;
    mn_status status = MN_OK;
    mn_experiment_init(out);
    if (file == NULL) {
        status = mn_run_path(options->folder, "experiment.yaml", own, err);
        file = own;
    }
    if (status == MN_OK)
        status = options->file == NULL ? mn_experiment_reread(out, file, err)
                                       : mn_experiment_read(out, file, err);
    if (status == MN_ERR_CONFIG && options->file != NULL && is_sweep(file))
        status = mn_fail(err, MN_ERR_CONFIG,
                         "%s describes a sweep of many runs, not one experiment: mnemo sweep %s",
                         file, file);
    for (size_t i = 0; i < options->n_sets && status == MN_OK; i++) {
        mn_error why = {.message = ""};
        status = mn_experiment_set(out, options->sets[i], &why);
        if (status != MN_OK)
            (void)mn_fail(err, status, "--set %s: %s", options->sets[i], why.message);
    }
    return status == MN_OK ? mn_experiment_check(out, err) : status;
}

mn_status mn_session_begin(mn_session *session, mn_log_level level, mn_error *err)
{
    char who[64];
    (void)signal(SIGPIPE, SIG_IGN); /* that nobody reads the log any more ends nothing */
    (void)mn_descriptors_raise();   /* each worker's connection takes one */
    mn_server_hold_signals();
    mn_status status = mn_job_begin(&session->job, err);
    mn_server_allow_interrupt();
    (void)snprintf(who, sizeof who, "rank %" PRIu32, session->job.rank);
    mn_log_init(level, session->job.n_ranks > 1 ? who : "mnemo");
    char warning[MN_JOB_WARNING];
    mn_job_tell_lonely(&session->job, warning);
    if (warning[0] != '\0')
        mn_log(MN_LOG_WARN, "%s", warning);
    return status;
}

/* A pool takes its numeric class from the first who joins, and pools of several ranks would not agree. */
static mn_status check_ranks(const mn_session *session, mn_error *err)
{
    const mn_experiment *experiment = &session->experiment;
    if (experiment->tasks.kind != MN_TASKS_EXTERNAL || session->job.n_ranks == 1 ||
        experiment->pool.numeric_class[0] != '\0')
        return MN_OK;
    return mn_fail(err, MN_ERR_CONFIG,
                   "this job has %" PRIu32 " ranks, whose pools must take workers of one numeric "
                   "class, but tasks.kind external leaves that to the first who joins: say it with "
                   "--set pool.numeric_class=..., which `python3 -m mnemo_worker check "
                   "my_learner.py:MyLearner --seed %" PRIu64 "` prints, or start one rank",
                   session->job.n_ranks, experiment->seed);
}

mn_status mn_session_open(mn_session *session, mn_error *err)
{
    mn_status status = share_experiment(session, err);
    if (status == MN_OK)
        status = check_ranks(session, err);
    if (status == MN_OK)
        status = open_tasks(session, err);
    if (status == MN_OK)
        status = open_learner(session, err);
    session->threads = mn_session_threads(session->experiment.pool.threads, session->job.n_here);
    return status;
}

/* No more tasks are judged than show all that a split has once. */
static void end_with_data(mn_session *session)
{
    const uint64_t n_val = mn_task_set_size(session->tasks, MN_VAL);
    const uint64_t n_test = mn_task_set_size(session->tasks, MN_TEST);
    if (n_val > 0 && session->experiment.evaluate.val_tasks > n_val)
        session->experiment.evaluate.val_tasks = (uint32_t)n_val;
    if (n_test > 0 && session->experiment.evaluate.tasks > n_test)
        session->experiment.evaluate.tasks = (uint32_t)n_test;
}

mn_status mn_session_check_splits(const mn_session *session, bool test_only, mn_error *err)
{
    const mn_experiment *experiment = &session->experiment;
    mn_error why = {0};
    char wanted[80] = "";
    mn_status status = test_only ? MN_OK : mn_task_set_check(session->tasks, MN_TRAIN, &why);
    if (status == MN_OK && !test_only && experiment->evaluate.every > 0) {
        status = mn_task_set_check(session->tasks, MN_VAL, &why);
        (void)snprintf(wanted, sizeof wanted,
                       "evaluate.every is %" PRIu32 " (0: no validation), but ",
                       experiment->evaluate.every);
    }
    if (status == MN_OK) {
        status = mn_task_set_check(session->tasks, MN_TEST, &why);
        (void)snprintf(wanted, sizeof wanted, "a run ends with a test, but ");
    }
    return status == MN_OK ? MN_OK : mn_fail(err, status, "%s%s", wanted, why.message);
}

mn_status mn_session_open_alone(mn_session *session, const mn_session_options *options,
                                mn_error *err)
{
    mn_status status = mn_session_experiment(options, &session->experiment, err);
    session->experiment.evaluate.split = MN_TEST; /* who looks at a task says of which split */
    if (status == MN_OK && session->experiment.tasks.kind == MN_TASKS_EXTERNAL &&
        !options->external_too)
        status = mn_fail(err, MN_ERR_CONFIG,
                         "tasks and network of %s are a program's of the user's own (tasks.kind "
                         "external), which this command cannot look into; mnemo train, evaluate, "
                         "status, report and export can do without",
                         session->experiment.name);
    if (status == MN_OK)
        status = mn_first_use_pack(&session->experiment, err);
    if (status == MN_OK)
        status = mn_task_set_open(&session->experiment, NULL, &session->tasks, err);
    if (status == MN_OK)
        end_with_data(session);
    return status == MN_OK ? make_learner(session, err) : status;
}

mn_status mn_session_restore(mn_session *session, const char *path, uint64_t step, mn_error *err)
{
    mn_checkpoint checkpoint = {0};
    const mn_theta_layout layout = mn_training_layout(session->training);
    session->data = mn_task_set_data_digest(session->tasks);
    mn_status status = mn_checkpoint_read(path, &layout, &checkpoint, err);
    if (status == MN_OK && checkpoint.step != step)
        status = mn_fail(err, MN_ERR_DATA, "%s is of meta-step %" PRIu64 " by what is in it", path,
                         checkpoint.step);
    if (status == MN_OK)
        status = has_data_of(session, &checkpoint, err);
    if (status == MN_OK)
        status = mn_training_restore(session->training, &checkpoint, err);
    if (status == MN_OK) {
        session->numeric_class = checkpoint.numeric_class;
        session->mixed = checkpoint.mixed;
    }
    mn_checkpoint_fini(&checkpoint);
    return status;
}

mn_status mn_session_open_run(mn_session *session, const mn_session_options *options, mn_error *err)
{
    char path[PATH_MAX];
    mn_checkpoint checkpoint = {0};
    if (!mn_run_begun(options->folder))
        return mn_run_missing(options->folder, err);
    mn_status status = mn_session_open_alone(session, options, err);
    if (status == MN_OK)
        status = mn_run_path(options->folder, "checkpoints", path, err);
    if (status != MN_OK)
        return status;
    const mn_theta_layout layout = mn_training_layout(session->training);
    session->data = mn_task_set_data_digest(session->tasks);
    status = mn_checkpoint_read_newest(path, MN_TO_GO_ON, &session->experiment, &layout,
                                       &checkpoint, err);
    if (status == MN_ERR_NO_INPUT)
        status = mn_fail(err, status,
                         "%s has no checkpoint yet: let it train to its first one "
                         "(run.checkpoint_every), or go on: mnemo train --run-dir %s",
                         options->folder, options->folder);
    if (status == MN_OK)
        status = has_data_of(session, &checkpoint, err);
    if (status == MN_OK)
        status = mn_training_restore(session->training, &checkpoint, err);
    session->resumed = status == MN_OK;
    session->numeric_class = checkpoint.numeric_class;
    session->mixed = checkpoint.mixed;
    mn_checkpoint_fini(&checkpoint);
    return status;
}

mn_status mn_session_resume(mn_session *session, const char *folder, mn_checkpoint_use use,
                            mn_error *err)
{
    const mn_job *job = &session->job;
    const mn_theta_layout layout = mn_training_layout(session->training);
    mn_checkpoint checkpoint = {0};
    mn_status status = MN_OK;
    uint8_t found = 0;
    if (job->rank == 0 && folder != NULL) {
        char path[PATH_MAX];
        status = mn_run_path(folder, "checkpoints", path, err);
        if (status == MN_OK)
            status = mn_checkpoint_read_newest(path, use, &session->experiment, &layout,
                                               &checkpoint, err);
        if (status == MN_OK && use == MN_TO_JUDGE)
            status = find_changes(session, &checkpoint, err);
        if (status == MN_OK && session->changes[0] == '\0')
            status = fits_checkpoint(session, &checkpoint, err);
        found = status == MN_OK;
        if (status == MN_ERR_NO_INPUT && use == MN_TO_GO_ON)
            status = MN_OK;
    }
    status = mn_job_agree(job, status, err);
    if (status == MN_OK) {
        mn_job_share(job, &found, sizeof found);
        if (found != 0)
            status = share_checkpoint(session, &checkpoint, err);
        if (status == MN_OK && found != 0)
            status = mn_training_restore(session->training, &checkpoint, err);
        session->resumed = found != 0;
        session->mixed = session->mixed || (found != 0 && checkpoint.mixed);
        status = mn_job_agree(job, status, err);
    }
    mn_checkpoint_fini(&checkpoint);
    return status;
}

static mn_status take_fitting(const mn_session *session, const char *checkpoint,
                              const mn_theta_layout *layout, float **theta, mn_error *err)
{
    *theta = malloc(layout->n * sizeof **theta);
    if (*theta == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "theta");
    mn_learner_export(session->learner, mn_training_judged_theta(session->training), *theta);
    return mn_checkpoint_take_fitting(checkpoint, layout, *theta, err);
}

mn_status mn_session_begin_from(mn_session *session, const char *checkpoint, bool partial,
                                const mn_run *run, mn_error *err)
{
    const mn_theta_layout layout = mn_training_layout(session->training);
    mn_scribe *scribe = NULL;
    mn_status status = MN_OK;
    mn_checkpoint first = {.seed = session->experiment.seed, .n = layout.n};
    if (session->job.rank == 0)
        status = partial ? take_fitting(session, checkpoint, &layout, &first.theta, err)
                         : mn_checkpoint_read_theta(checkpoint, &layout, &first.theta, err);
    status = mn_job_agree(&session->job, status, err);
    if (status == MN_OK)
        status = share_checkpoint(session, &first, err);
    if (status == MN_OK)
        mn_training_begin_with(session->training, first.theta);
    if (status == MN_OK && session->job.rank == 0)
        status = new_scribe(session, &(mn_serving){.run = run, .quiet = true, .no_job = true},
                            &scribe, err);
    if (status == MN_OK)
        status = mn_scribe_checkpoint(scribe, err);
    status = mn_job_agree(&session->job, status, err);
    session->resumed = status == MN_OK;
    mn_scribe_destroy(&scribe);
    mn_checkpoint_fini(&first);
    return status;
}

mn_status mn_session_serve(mn_session *session, const mn_serving *how, mn_evaluation *test,
                           bool *tested, mn_error *err)
{
    mn_scribe *scribe = NULL;
    mn_page *page = NULL;
    mn_server *server = NULL;
    mn_status status = MN_OK;
    if (session->job.rank == 0)
        status = new_scribe(session, how, &scribe, err);
    if (status == MN_OK)
        status = mn_page_open(mn_scribe_board(scribe), how->door, &page, err);
    status = mn_job_agree(&session->job, status, err);
    if (status == MN_OK) {
        const mn_server_config config = {.job = &session->job,
                                         .experiment = &session->experiment,
                                         .learner = session->learner,
                                         .tasks = session->tasks,
                                         .training = session->training,
                                         .scribe = scribe,
                                         .run = how->run,
                                         .run_id = session->run_id,
                                         .data = session->data,
                                         .numeric_class = session->numeric_class,
                                         .threads = session->threads,
                                         .test_only = how->test_only,
                                         .pause = how->pause};
        status = mn_server_new(&config, &server, err);
    }
    if (status == MN_OK)
        status = mn_server_run(server, err);
    mn_scribe_tell_time(scribe);
    mn_scribe_end(scribe, status, status == MN_OK || err == NULL ? "" : err->message);
    *test = (mn_evaluation){0};
    *tested = (status == MN_OK || status == MN_ERR_NUMERIC) && mn_server_take_test(server, test);
    mn_server_destroy(&server);
    mn_board_end(mn_scribe_board(scribe),
                 status == MN_OK        ? MN_PHASE_ENDED
                 : status == MN_STOPPED ? MN_PHASE_INTERRUPTED
                                        : MN_PHASE_FAILED,
                 status == MN_OK || err == NULL ? "" : err->message);
    mn_page_close(&page);
    mn_scribe_destroy(&scribe);
    return status;
}

void mn_session_announce(const mn_session *session)
{
    const mn_learner *learner = session->learner;
    double workspaces = (double)session->threads * (double)mn_learner_workspace_bytes(learner);
    double sums = (double)mn_training_max_digits(session->training) * sizeof(int64_t);
    double vectors = 9.0 * sizeof(float) * (double)mn_training_size(session->training);
    if (mn_learner_is_external(learner)) {
        mn_log(MN_LOG_INFO,
               "a learner of the user's own, %zu numbers: workers that have it join with python3 "
               "-m mnemo_worker LEARNER.py:CLASS RUN-FOLDER/endpoint; %s says the numeric class",
               mn_learner_size(learner), session->resumed ? "the run so far" : "the first of them");
        return;
    }
    if (session->job.rank == 0)
        mn_log(MN_LOG_INFO,
               "memory: about %.0f MiB a rank beside programs and data (%" PRIu32
               " threads %.1f, sums %.1f, theta, optimiser and copies %.1f); kernels %s; numeric "
               "class "
               "%02x%02x%02x%02x",
               (workspaces + 2 * sums + vectors) / MIB + 1, session->threads, workspaces / MIB,
               2 * sums / MIB, vectors / MIB, mn_learner_kernels(learner),
               session->numeric_class.bytes[0], session->numeric_class.bytes[1],
               session->numeric_class.bytes[2], session->numeric_class.bytes[3]);
    if (session->job.rank == 0 && session->threads == 0)
        mn_log(MN_LOG_INFO, "no threads of our own (pool.threads=0): the run goes on as workers "
                            "join it: mnemo-worker RUN-FOLDER/endpoint");
    const uint64_t files = mn_descriptors_raise();
    if (session->job.rank == 0 && session->experiment.pool.listen[0] != '\0' &&
        files < MANY_WORKERS + OWN_DESCRIPTORS)
        mn_log(
            MN_LOG_INFO,
            "at most %" PRIu64 " files may be open here, so about %" PRIu64
            " workers fit a rank. For more, raise the hard limit: LimitNOFILE= of a systemd unit, "
            "/etc/security/limits.conf, docker run --ulimit nofile=, or use more ranks",
            files, files > OWN_DESCRIPTORS ? files - OWN_DESCRIPTORS : 0);
    if (session->threads > 1 && mn_processors_bound() == 1 && sysconf(_SC_NPROCESSORS_ONLN) > 1)
        mn_log(MN_LOG_WARN,
               "%" PRIu32
               " threads share one processor, to which this process is bound. Under mpirun, "
               "give --bind-to none",
               session->threads);
}

/* More identical pictures than one in a hundred are worth a warning: a score may rest on them. */
static bool is_worth_a_warning(const mn_overlap *overlap)
{
    return mn_overlap_is_leak(overlap) ||
           (uint64_t)overlap->n_identical * 100 > overlap->n_pictures;
}

/* Of the data that a run was trained on, if they are still there. */
static mn_status find_overlap(mn_session *session, mn_overlap *overlap, mn_error *err)
{
    mn_task_set *training = NULL;
    mn_error why = {0};
    if (session->trained == NULL)
        return mn_task_set_overlap(session->tasks, session->tasks, overlap, err);
    (void)snprintf(session->trained->run.data_path, sizeof session->trained->run.data_path, "%s",
                   session->experiment.run.data_path);
    *overlap = (mn_overlap){0};
    if (mn_task_set_open(session->trained, NULL, &training, &why) != MN_OK) {
        (void)snprintf(session->leaks, sizeof session->leaks,
                       "whether test classes were training classes is not known: %.300s",
                       why.message);
        return MN_OK;
    }
    mn_status status = mn_task_set_overlap(training, session->tasks, overlap, err);
    mn_task_set_destroy(&training);
    return status;
}

mn_status mn_session_check_leaks(mn_session *session, mn_checkpoint_use use, mn_error *err)
{
    mn_overlap overlap = {0};
    mn_status status = MN_OK;
    char unread[512];
    mn_task_set_tell_unread(session->tasks, unread, sizeof unread);
    if (session->job.rank == 0 && unread[0] != '\0')
        mn_log(MN_LOG_WARN, "%s", unread);
    if (session->job.rank == 0)
        status = find_overlap(session, &overlap, err);
    if (status == MN_OK && overlap.n_classes > 0) {
        mn_overlap_text(&overlap, session->leaks, sizeof session->leaks);
        const bool allowed = session->experiment.evaluate.shared_classes || use == MN_TO_JUDGE;
        if (mn_overlap_is_leak(&overlap) && !allowed)
            status = mn_fail(err, MN_ERR_CONFIG,
                             "%s: %s. A test would not be one of new classes: import the data with "
                             "other splits, or allow it by evaluate.shared_classes=true",
                             mn_task_set_data_name(session->tasks), session->leaks);
        else if (is_worth_a_warning(&overlap))
            mn_log(MN_LOG_WARN, "%s", session->leaks);
        else if (use == MN_TO_GO_ON)
            mn_log(MN_LOG_INFO, "%s", session->leaks);
    }
    return mn_job_agree(&session->job, status, err);
}

mn_status mn_session_begin_anew(mn_session *session, mn_error *err)
{
    mn_training_destroy(&session->training);
    session->resumed = false;
    session->changes[0] = '\0';
    mn_status status =
        mn_training_new(&session->experiment, session->learner, &session->training, err);
    return mn_job_agree(&session->job, status, err);
}

void mn_session_close(mn_session *session)
{
    mn_training_destroy(&session->training);
    mn_learner_destroy(&session->learner);
    mn_task_set_destroy(&session->tasks);
    free(session->trained);
    session->trained = NULL;
}

void mn_session_end(mn_session *session)
{
    mn_session_close(session);
    mn_job_end(&session->job);
}

uint32_t mn_session_threads(int32_t asked, uint32_t ranks_here)
{
    if (asked >= 0)
        return (uint32_t)asked;
    const uint32_t others = ranks_here > 0 ? ranks_here : 1;
    uint32_t mine = mn_processors_bound();
    const bool bound = (long)mine < sysconf(_SC_NPROCESSORS_ONLN);
    if (!bound) /* what we are bound to is ours alone */
        mine /= others;
    const uint32_t quota = mn_processors_quota();
    if (mine > quota / others)
        mine = quota / others;
    return mine > 0 ? mine : 1;
}

/* Only rank 0 reads files. */
static mn_status share_experiment(mn_session *session, mn_error *err)
{
    char *text = NULL;
    mn_status status = MN_OK;
    if (session->job.rank == 0)
        status = mn_experiment_print(&session->experiment, false, &text, err);
    status = mn_job_agree(&session->job, status, err);
    if (status == MN_OK)
        status = mn_job_share_text(&session->job, &text, err);
    if (status == MN_OK && session->job.rank != 0) {
        mn_experiment_init(&session->experiment);
        status = mn_experiment_parse(&session->experiment, "experiment of rank 0", text,
                                     strlen(text), err);
        if (status == MN_OK && !session->experiment.pool.any_numeric_class)
            status = mn_experiment_check_outside(&session->experiment, err);
    }
    free(text);
    return mn_job_agree(&session->job, status, err);
}

/* Rank 0 first: it may have to pack archives; the others then want exactly its data, which on
 * another machine they may have to pack too. */
static mn_status open_tasks(mn_session *session, mn_error *err)
{
    const mn_job *job = &session->job;
    mn_status status = MN_OK;
    if (job->rank == 0) {
        status = mn_first_use_pack(&session->experiment, err);
        if (status == MN_OK)
            status = mn_task_set_open(&session->experiment, NULL, &session->tasks, err);
        if (status == MN_OK)
            session->data = mn_task_set_data_digest(session->tasks);
    }
    status = mn_job_agree(job, status, err);
    if (status != MN_OK)
        return status;
    mn_job_share(job, &session->data, sizeof session->data);
    if (job->rank != 0) {
        status = mn_first_use_pack(&session->experiment, err);
        if (status == MN_OK)
            status = mn_task_set_open(&session->experiment, &session->data, &session->tasks, err);
    }
    if (status == MN_OK)
        end_with_data(session);
    return mn_job_agree(job, status, err);
}

static mn_status open_learner(mn_session *session, mn_error *err)
{
    bool equal = true;
    mn_status status = make_learner(session, err);
    if (status == MN_OK)
        status = mn_learner_numeric_class(session->learner, &session->numeric_class, err);
    if (status == MN_OK)
        status = mn_task_set_mix_class(session->tasks, &session->numeric_class, err);
    if (status == MN_OK &&
        mn_learner_is_external(session->learner)) /* our own are measured, not told */
        (void)mn_digest_read(session->experiment.pool.numeric_class, &session->numeric_class);
    status = mn_job_agree(&session->job, status, err);
    if (status == MN_OK)
        status =
            mn_job_compare(&session->job, &session->numeric_class, "the numeric class of this rank",
                           !session->experiment.pool.any_numeric_class, &equal, err);
    session->mixed = !equal;
    return status;
}

static mn_status make_learner(mn_session *session, mn_error *err)
{
    const mn_learner_card *card = mn_task_set_card(session->tasks);
    mn_status status =
        card != NULL
            ? mn_learner_new_external(&session->experiment, card, &session->learner, err)
            : mn_learner_new(&session->experiment, mn_task_set_fields(session->tasks, MN_TRAIN),
                             mn_task_set_fields(session->tasks, MN_TEST), &session->learner, err);
    if (status == MN_OK)
        status = mn_training_new(&session->experiment, session->learner, &session->training, err);
    if (status == MN_OK)
        session->conditions = mn_conditions_of(&session->experiment, session->tasks,
                                               mn_learner_test_scores(session->learner)->remark);
    return status;
}

static mn_status has_data_of(const mn_session *session, const mn_checkpoint *checkpoint,
                             mn_error *err)
{
    char then[65];
    char now[65];
    mn_digest_hex(&checkpoint->data, then);
    mn_digest_hex(&session->data, now);
    return strcmp(then, now) == 0
               ? MN_OK
               : mn_fail(err, MN_ERR_CONFIG,
                         "the run was begun with data %.16s..., but %s now is %.16s...: put the "
                         "old data back, or start a new run with --run-dir",
                         then, mn_task_set_data_name(session->tasks), now);
}

static mn_status read_then(const mn_checkpoint *checkpoint, mn_experiment *then, mn_error *err)
{
    mn_experiment_init(then);
    return mn_experiment_parse(then, "experiment of the checkpoint", checkpoint->experiment,
                               strlen(checkpoint->experiment), err);
}

/* Other images are other tasks; other stories are refused, for their words have other numbers. */
static mn_status find_changes(mn_session *session, const mn_checkpoint *checkpoint, mn_error *err)
{
    mn_experiment then;
    mn_status status = read_then(checkpoint, &then, err);
    if (status == MN_OK)
        status = mn_experiment_may_judge(&then, &session->experiment, session->changes,
                                         sizeof session->changes, err);
    mn_error why;
    const size_t used = strlen(session->changes);
    if (status == MN_OK && mn_experiment_check_outside(&then, &why) != MN_OK)
        (void)snprintf(session->changes + used, sizeof session->changes - used, "%s%s",
                       used > 0 ? ", " : "", "another build of a plug-in");
    const bool other = memcmp(&checkpoint->data, &session->data, sizeof session->data) != 0;
    if (status != MN_OK || !other)
        return status;
    if (mn_task_set_words(session->tasks) != NULL)
        return has_data_of(session, checkpoint, err);
    session->trained = malloc(sizeof *session->trained);
    if (session->trained == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "experiment of the training");
    *session->trained = then;
    const mn_experiment *now = &session->experiment;
    const size_t n = strlen(session->changes);
    const char *before = then.tasks.data;
    const bool renamed = strcmp(before, now->tasks.data) != 0;
    const bool listed = strcmp(then.evaluate.episodes, now->evaluate.episodes) != 0;
    (void)snprintf(session->changes + n, sizeof session->changes - n, "%s%s %s%s%s",
                   n > 0 ? ", " : "",
                   renamed  ? "data of"
                   : listed ? "test tasks of"
                            : "other data of",
                   mn_task_set_data_name(session->tasks), renamed ? " instead of " : "",
                   renamed ? before : "");
    return MN_OK;
}

/* Workers are to be of the class of those before, where it is known. */
static mn_status has_class_of(mn_session *session, const mn_checkpoint *checkpoint, mn_error *err)
{
    static const mn_digest unknown = {{0}};
    char then[65];
    mn_digest_hex(&checkpoint->numeric_class, then);
    if (memcmp(&checkpoint->numeric_class, &unknown, sizeof unknown) == 0)
        return MN_OK;
    if (session->experiment.pool.numeric_class[0] == '\0') {
        session->numeric_class = checkpoint->numeric_class;
        return MN_OK;
    }
    if (!session->experiment.pool.any_numeric_class)
        return mn_fail(err, MN_ERR_CONFIG,
                       "the run was begun by workers of numeric class %.16s..., but "
                       "pool.numeric_class is %.16s...: it would go on with other bits. Leave it "
                       "out, or accept that with pool.any_numeric_class=true",
                       then, session->experiment.pool.numeric_class);
    mn_log(MN_LOG_WARN, "the run was begun by workers of another numeric class");
    session->mixed = true;
    return MN_OK;
}

/* Do data and arithmetic of today give what the run would have given had it not stopped? */
static mn_status fits_checkpoint(mn_session *session, const mn_checkpoint *checkpoint,
                                 mn_error *err)
{
    char then[65];
    char now[65];
    mn_status status = has_data_of(session, checkpoint, err);
    if (status != MN_OK)
        return status;
    if (checkpoint->step > session->experiment.outer.steps)
        return mn_fail(err, MN_ERR_CONFIG,
                       "the run has made %" PRIu64
                       " meta-steps already, and outer.steps is %" PRIu64
                       ": give it more, or start a new run with --run-dir",
                       checkpoint->step, session->experiment.outer.steps);
    mn_digest_hex(&checkpoint->numeric_class, then);
    mn_digest_hex(&session->numeric_class, now);
    if (strcmp(then, now) == 0)
        return MN_OK;
    if (mn_learner_is_external(session->learner))
        return has_class_of(session, checkpoint, err);

    mn_experiment old;
    mn_error why;
    status = read_then(checkpoint, &old, err);
    if (status != MN_OK)
        return status;
    if (!session->experiment.pool.any_numeric_class &&
        mn_experiment_check_outside(&old, &why) != MN_OK)
        return mn_fail(err, MN_ERR_CONFIG,
                       "the run cannot go on: %s, or accept it with pool.any_numeric_class=true",
                       why.message);
    if (old.evaluate.way != session->experiment.evaluate.way ||
        old.evaluate.shot != session->experiment.evaluate.shot ||
        old.evaluate.way_from != session->experiment.evaluate.way_from ||
        old.evaluate.shot_from != session->experiment.evaluate.shot_from ||
        old.evaluate.query != session->experiment.evaluate.query ||
        old.evaluate.length != session->experiment.evaluate.length ||
        memcmp(&old.evaluate.inner_steps, &session->experiment.evaluate.inner_steps,
               sizeof old.evaluate.inner_steps) != 0) { /* the self-test covers test tasks too */
        mn_log(MN_LOG_INFO, "evaluate.* has changed since the checkpoint, so whether this machine "
                            "computes the same bits as the one before cannot be told");
        return MN_OK;
    }
    if (!session->experiment.pool.any_numeric_class)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "the run was begun on a machine of numeric class %.16s..., this one has %.16s...: "
            "it would go on with other bits. Go on there, choose its kernels (environment "
            "MNEMO_KERNELS), or accept it with pool.any_numeric_class=true",
            then, now);
    mn_log(MN_LOG_WARN, "the run was begun on a machine of another numeric class");
    session->mixed = true;
    return MN_OK;
}

static mn_status share_checkpoint(const mn_session *session, mn_checkpoint *checkpoint,
                                  mn_error *err)
{
    const mn_job *job = &session->job;
    mn_checkpoint mine = *checkpoint; /* rank 0: with its vectors */
    mn_job_share(job, checkpoint, sizeof *checkpoint);
    float **const here[] = {&checkpoint->theta, &checkpoint->m, &checkpoint->v,
                            &checkpoint->average, &checkpoint->best};
    float *const own[] = {mine.theta, mine.m, mine.v, mine.average, mine.best};
    mn_status status = MN_OK;
    checkpoint->experiment = mine.experiment;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        bool there = *here[i] != NULL; /* on rank 0, whose pointers came along */
        *here[i] = job->rank == 0 ? own[i] : NULL;
        if (there && job->rank != 0) {
            *here[i] = malloc(checkpoint->n * sizeof(float));
            if (*here[i] == NULL)
                status = mn_fail(err, MN_ERR_NOMEM, "checkpoint of %zu floats", checkpoint->n);
        }
    }
    status = mn_job_agree(job, status, err);
    for (size_t i = 0; i < sizeof own / sizeof *own && status == MN_OK; i++)
        if (*here[i] != NULL)
            mn_job_share(job, *here[i], checkpoint->n * sizeof(float));
    return status;
}

static mn_status new_scribe(const mn_session *session, const mn_serving *how, mn_scribe **out,
                            mn_error *err)
{
    const mn_scribe_config config = {.experiment = &session->experiment,
                                     .training = session->training,
                                     .conditions = &session->conditions,
                                     .run = how->run,
                                     .part = how->part,
                                     .parts = how->parts,
                                     .tasks = session->tasks,
                                     .test_scores = mn_learner_test_scores(session->learner),
                                     .n_ranks = session->job.n_ranks,
                                     .data = session->data,
                                     .numeric_class = session->numeric_class,
                                     .resumed = session->resumed,
                                     .mixed = session->mixed,
                                     .quiet = how->quiet,
                                     .no_job = how->no_job};
    return mn_scribe_new(&config, out, err);
}
