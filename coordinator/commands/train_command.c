#include "coordinator/commands/commands.h"

#include "common/checkpoint_list.h"
#include "common/digest.h"
#include "common/file.h"
#include "common/log.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/page/door.h"
#include "coordinator/pictures/adapted_task.h"
#include "coordinator/pictures/learning_curve.h"
#include "coordinator/run/checkpoint.h"
#include "coordinator/run/event_file.h"
#include "coordinator/run/outcome.h"
#include "coordinator/run/seeds.h"
#include "coordinator/server/session.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Runs of one experiment, one a seed. */
struct series {
    mn_seed_table table;
    mn_page_door door;   /* rank 0: the pages of all of them are behind it */
    char sign[PATH_MAX]; /* the file that tells where that is */
    uint32_t part;       /* the run under way, from 1 */
    uint32_t parts;
};

static mn_status train(const mn_command_line *line, const mn_job *job, struct series *series,
                       mn_error *err);
static mn_status train_seeds(const mn_command_line *line, const mn_job *job, mn_error *err);
static void tell_outcome(const mn_session *session, const mn_run *run, uint64_t until,
                         const mn_evaluation *test);
static mn_status remember(const mn_session *session, const mn_evaluation *test,
                          mn_seed_table *seeds, mn_error *err);
static void open_series_door(const mn_experiment *experiment, const char *folder,
                             struct series *series);
static mn_status read_experiment(const mn_command_line *line, mn_session *session, mn_error *err);
static mn_session_options options_of(const mn_command_line *line);
static mn_status open_run(const mn_command_line *line, mn_session *session, mn_run **run,
                          mn_error *err);
static mn_status take_theta(const mn_command_line *line, mn_session *session, const mn_run *run,
                            mn_error *err);
static mn_status begin_run(const mn_session *session, const mn_run *run, mn_error *err);
static void report(const mn_session *session, const mn_run *run, const mn_evaluation *test);
static void print_theta(const mn_session *session, const char *what, const char *which,
                        const float *theta);
static void draw(const mn_session *session, const mn_run *run);
static void show_tensorboard(const mn_session *session, const char *folder, bool has_curve,
                             bool has_task);
static mn_status print_configuration(const mn_command_line *line, mn_error *err);

mn_status mn_train_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_job job = {0};
    mn_status status = mn_command_line_read(&line, argc, argv,
                                            MN_TAKES_RUN_DIR | MN_TAKES_CHECK | MN_TAKES_VERBOSITY |
                                                MN_TAKES_THETA | MN_TAKES_PARTIAL | MN_TAKES_SEEDS,
                                            err);
    if (status != MN_OK)
        return status;
    if (line.partial && line.theta == NULL)
        return mn_fail(err, MN_ERR_USAGE, "--partial goes with --theta CHECKPOINT: which is it?");
    if (line.until > 0 && line.seeds > 0)
        return mn_fail(err, MN_ERR_USAGE, "--until is for one run: leave --seeds out");
    if (line.check)
        return print_configuration(&line, err);

    mn_session first = {0};
    status = mn_session_begin(&first, mn_command_line_level(&line), err);
    job = first.job;
    if (status == MN_OK)
        status = line.seeds > 0 ? train_seeds(&line, &job, err) : train(&line, &job, NULL, err);
    if (status != MN_OK && job.rank != 0)
        err->message[0] = '\0'; /* rank 0 says it for all */
    mn_job_end(&job);
    return status;
}

/* One run to its end; its test goes to the table of the series, if it is of one. */
static mn_status train(const mn_command_line *line, const mn_job *job, struct series *series,
                       mn_error *err)
{
    mn_session session = {.job = *job};
    mn_run *run = NULL;
    mn_evaluation test = {0};
    bool tested = false;
    mn_status status = read_experiment(line, &session, err);
    if (status == MN_OK)
        status = mn_session_open(&session, err);
    if (status == MN_OK)
        status = mn_session_check_splits(&session, false, err);
    if (status == MN_OK)
        status = mn_session_check_leaks(&session, MN_TO_GO_ON, err);
    if (status == MN_OK)
        status = open_run(line, &session, &run, err);
    const char *folder = run != NULL ? mn_run_folder(run) : NULL;
    if (status == MN_OK)
        status = mn_session_resume(&session, folder, MN_TO_GO_ON, err);
    if (status == MN_OK && line->theta != NULL)
        status = take_theta(line, &session, run, err);
    if (status == MN_OK)
        status = begin_run(&session, run, err);
    if (status == MN_OK && !line->quiet)
        mn_session_announce(&session);
    mn_serving how = {.run = run, .quiet = line->quiet, .pause = line->until};
    if (series != NULL) {
        how.door = &series->door;
        how.part = series->part;
        how.parts = series->parts;
    }
    if (status == MN_OK)
        status = mn_session_serve(&session, &how, &test, &tested, err);
    if (run != NULL && (status == MN_OK || status == MN_STOPPED))
        tell_outcome(&session, run, line->until, status == MN_OK ? &test : NULL);
    if ((status == MN_OK || tested) && run != NULL) { /* theta is the last one, if untestable */
        mn_run_remove_endpoint(run);
        report(&session, run, tested ? &test : NULL);
    } else if (status == MN_STOPPED && run != NULL && series == NULL) {
        mn_log(MN_LOG_INFO, "to go on: mnemo train --run-dir %s", folder);
    }
    if (status == MN_OK && series != NULL)
        status = remember(&session, &test, &series->table, err);
    mn_evaluation_fini(&test);
    mn_run_close(&run);
    mn_session_close(&session);
    return status;
}

/* For those who have started this run, as a sweep. A run is as good without. */
static void tell_outcome(const mn_session *session, const mn_run *run, uint64_t until,
                         const mn_evaluation *test)
{
    mn_error err;
    mn_outcome outcome;
    mn_outcome_of(&session->experiment, session->learner, session->training, until, test, &outcome);
    if (mn_outcome_write(&outcome, mn_run_folder(run), &err) != MN_OK)
        mn_log(MN_LOG_WARN, "%s", err.message);
}

/* Rank 0 has the test. */
static mn_status remember(const mn_session *session, const mn_evaluation *test,
                          mn_seed_table *seeds, mn_error *err)
{
    char hex[65];
    const mn_digest digest =
        mn_learner_fingerprint(session->learner, mn_training_final_theta(session->training));
    mn_status status = MN_OK;
    mn_digest_hex(&digest, hex);
    if (session->job.rank == 0)
        status = mn_seed_table_add(seeds, session->experiment.seed, test, session->training,
                                   session->experiment.evaluate.choose, hex, err);
    return mn_job_agree(&session->job, status, err);
}

/* Seeds ---------------------------------------------------------------------------------- */

/* The file's own seed is the first; all in one folder, which rank 0 chooses. */
static mn_status plan_seeds(const mn_command_line *line, const mn_job *job, uint64_t *first,
                            char folder[PATH_MAX], struct series *series, mn_error *err)
{
    mn_status status = MN_OK;
    mn_experiment *experiment = NULL;
    if (line->n_arguments != 1 || line->theta != NULL)
        status =
            mn_fail(err, MN_ERR_USAGE,
                    line->theta != NULL
                        ? "--seeds: each seed begins with numbers of its own; leave --theta out"
                        : "--seeds: expected one experiment file; to go on, give it again, "
                          "with --run-dir");
    if (status == MN_OK && job->rank == 0) {
        const mn_session_options options = options_of(line);
        experiment = malloc(sizeof *experiment);
        status = experiment == NULL ? mn_fail(err, MN_ERR_NOMEM, "experiment")
                                    : mn_session_experiment(&options, experiment, err);
        if (status == MN_OK && line->run_dir == NULL)
            status = mn_run_default_folder(experiment->name, time(NULL), folder, err);
        else if (status == MN_OK)
            (void)snprintf(folder, PATH_MAX, "%s", line->run_dir);
        if (status == MN_OK)
            *first = experiment->seed;
        if (status == MN_OK)
            status = mn_folder_make(folder, err);
        if (status == MN_OK)
            open_series_door(experiment, folder, series);
        free(experiment);
    }
    status = mn_job_agree(job, status, err);
    if (status == MN_OK)
        mn_job_share(job, first, sizeof *first);
    return status;
}

static mn_status write_seeds(const mn_seed_table *seeds, const char *folder, mn_error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    mn_status status = mn_run_path(folder, "seeds.json", path, err);
    if (status == MN_OK)
        status = mn_seed_table_json(seeds, &text, err);
    if (status == MN_OK)
        status = mn_file_write(path, text, strlen(text), err);
    free(text);
    return status;
}

/* One door for all: without it each run has a page of its own, or says why not. */
static void open_series_door(const mn_experiment *experiment, const char *folder,
                             struct series *series)
{
    mn_error err;
    uint64_t id = 0;
    const mn_digest digest = mn_digest_of(folder, strlen(folder));
    memcpy(&id, digest.bytes, sizeof id); /* the same when the series goes on */
    if (strcmp(experiment->run.page, "none") == 0 ||
        mn_run_path(folder, "page", series->sign, &err) != MN_OK ||
        mn_page_door_open(experiment, id, &series->door, &err) != MN_OK)
        return;
    (void)unlink(series->sign); /* of an earlier job that was killed */
    if (mn_page_door_sign(&series->door, series->sign, &err) != MN_OK)
        mn_log(MN_LOG_WARN, "%s", err.message);
}

static void close_series(struct series **series)
{
    if (*series == NULL)
        return;
    if ((*series)->door.url[0] != '\0')
        (void)unlink((*series)->sign);
    mn_page_door_shut(&(*series)->door);
    mn_seed_table_fini(&(*series)->table);
    free(*series);
    *series = NULL;
}

static mn_status train_seeds(const mn_command_line *line, const mn_job *job, mn_error *err)
{
    uint64_t first = 0;
    char folder[PATH_MAX] = "";
    struct series *series = calloc(1, sizeof *series);
    mn_status status = series == NULL ? mn_fail(err, MN_ERR_NOMEM, "table of seeds")
                                      : plan_seeds(line, job, &first, folder, series, err);
    uint32_t k = 0;
    for (; k < line->seeds && status == MN_OK; k++) {
        mn_command_line own = *line;
        char name[64];
        char set[64];
        char path[PATH_MAX];
        (void)snprintf(name, sizeof name, "seed-%" PRIu64, first + k);
        (void)snprintf(set, sizeof set, "seed=%" PRIu64, first + k);
        status = mn_run_path(folder, name, path, err);
        own.run_dir = path;
        own.sets[own.n_sets++] = set; /* there is room for one more than a line can have */
        series->part = k + 1;
        series->parts = line->seeds;
        if (status == MN_OK && job->rank == 0 && !line->quiet)
            mn_log(MN_LOG_INFO, "seed %" PRIu64 " (%" PRIu32 " of %" PRIu32 "): %s", first + k,
                   k + 1, line->seeds, path);
        if (status == MN_OK)
            status = train(&own, job, series, err);
    }
    if (status == MN_OK && job->rank == 0) {
        (void)fputc('\n', stdout);
        mn_seed_table_print(&series->table, stdout);
        status = write_seeds(&series->table, folder, err);
    } else if (job->rank == 0 && k > 0) {
        mn_log(MN_LOG_INFO, "to go on: mnemo train %s --seeds %" PRIu32 " --run-dir %s",
               line->arguments[0], line->seeds, folder);
    }
    close_series(&series);
    return status;
}

static mn_status read_experiment(const mn_command_line *line, mn_session *session, mn_error *err)
{
    const mn_session_options options = options_of(line);
    mn_status status = MN_OK;
    if (session->job.rank != 0)
        return mn_job_agree(&session->job, status, err);
    if (line->n_arguments == 0 && (line->run_dir == NULL || !mn_run_begun(line->run_dir)))
        status =
            mn_fail(err, MN_ERR_USAGE,
                    "expected an experiment file, or --run-dir with the folder of a run to go on");
    else
        status = mn_session_experiment(&options, &session->experiment, err);
    return mn_job_agree(&session->job, status, err);
}

static mn_session_options options_of(const mn_command_line *line)
{
    return (mn_session_options){.file = line->n_arguments > 0 ? line->arguments[0] : NULL,
                                .sets = line->sets,
                                .n_sets = line->n_sets,
                                .folder = line->run_dir};
}

/* Rank 0 locks the run's folder; all learn the run's id. */
static mn_status open_run(const mn_command_line *line, mn_session *session, mn_run **run,
                          mn_error *err)
{
    char folder[PATH_MAX];
    mn_status status = MN_OK;
    if (session->job.rank == 0) {
        if (line->run_dir == NULL)
            status = mn_run_default_folder(session->experiment.name, time(NULL), folder, err);
        if (status == MN_OK)
            status = mn_run_open(line->run_dir != NULL ? line->run_dir : folder, run, err);
        if (status == MN_OK && mn_run_begun(mn_run_folder(*run))) {
            mn_experiment old;
            char path[PATH_MAX];
            mn_experiment_init(&old);
            status = mn_run_path(mn_run_folder(*run), "experiment.yaml", path, err);
            if (status == MN_OK)
                status = mn_experiment_reread(&old, path, err);
            if (status == MN_OK)
                status = mn_experiment_may_resume(&old, &session->experiment, err);
        }
        if (status == MN_OK)
            session->run_id = mn_run_id(*run);
    }
    status = mn_job_agree(&session->job, status, err);
    if (status == MN_OK)
        mn_job_share(&session->job, &session->run_id, sizeof session->run_id);
    return status;
}

/* A checkpoint, or of the folder of a run its newest. */
static mn_status find_theta(const char *given, char path[PATH_MAX], mn_error *err)
{
    char folder[PATH_MAX];
    uint64_t step;
    if (!mn_run_begun(given)) {
        (void)snprintf(path, PATH_MAX, "%s", given);
        return MN_OK;
    }
    mn_status status = mn_run_path(given, "checkpoints", folder, err);
    if (status == MN_OK)
        status = mn_checkpoint_newest(folder, path, &step, err);
    if (status == MN_ERR_NO_INPUT)
        status = mn_fail(err, status, "--theta %s: the run has no checkpoint yet", given);
    return status;
}

static mn_status take_theta(const mn_command_line *line, mn_session *session, const mn_run *run,
                            mn_error *err)
{
    if (session->resumed) /* on all ranks alike */
        return mn_fail(err, MN_ERR_USAGE,
                       "--theta %s: this run has a theta of its own, of meta-step %" PRIu64
                       "; leave --theta out to go on with it, or give another --run-dir",
                       line->theta, mn_training_step(session->training));
    char path[PATH_MAX] = "";
    mn_status status = run != NULL ? find_theta(line->theta, path, err) : MN_OK;
    status = mn_job_agree(&session->job, status, err);
    if (status != MN_OK)
        return status;
    if (run != NULL)
        mn_log(MN_LOG_INFO, "theta of meta-step 0 is that of %s", path);
    return mn_session_begin_from(session, path, line->partial, run, err);
}

static mn_status begin_run(const mn_session *session, const mn_run *run, mn_error *err)
{
    mn_status status = MN_OK;
    if (run != NULL) {
        status = mn_run_write_experiment(run, &session->experiment, err);
        if (status == MN_OK && session->resumed)
            mn_log(MN_LOG_INFO, "run %s goes on at meta-step %" PRIu64 " of %" PRIu64,
                   mn_run_folder(run), mn_training_step(session->training),
                   session->experiment.outer.steps);
        else if (status == MN_OK)
            mn_log(MN_LOG_INFO, "run %s begins: %" PRIu64 " meta-steps of %" PRIu32 " tasks",
                   mn_run_folder(run), session->experiment.outer.steps,
                   session->experiment.outer.batch);
    }
    return mn_job_agree(&session->job, status, err);
}

static void report(const mn_session *session, const mn_run *run, const mn_evaluation *test)
{
    const mn_training *training = session->training;
    const float *tested = mn_training_final_theta(training);
    const float *last = mn_training_judged_theta(training);
    char name[MN_THETA_NAME];
    if (session->experiment.run.pictures)
        draw(session, run);
    if (test != NULL) {
        char conditions[512];
        mn_evaluation_print(test, stdout);
        mn_conditions_text(&session->conditions, conditions, sizeof conditions);
        (void)printf("%s\n", conditions);
    }
    if (test != NULL && tested != last) {
        mn_training_name_final(training, name);
        print_theta(session, "tested", name, tested);
    }
    mn_training_name_judged(training, name);
    (void)printf("theta: %s\n", name);
    print_theta(session, "theta", "", last); /* the last line, which scripts read */
}

static void print_theta(const mn_session *session, const char *what, const char *which,
                        const float *theta)
{
    char hex[65];
    const mn_digest digest = mn_learner_fingerprint(session->learner, theta);
    mn_digest_hex(&digest, hex);
    (void)printf("%s%s%s sha256=%s\n", what, which[0] != '\0' ? ": " : "", which, hex);
}

/* Pictures are a gift: without them the run is as good. */
static void draw(const mn_session *session, const mn_run *run)
{
    mn_error err;
    const mn_adapted_task task = {.experiment = &session->experiment,
                                  .tasks = session->tasks,
                                  .learner = session->learner,
                                  .theta = mn_training_final_theta(session->training),
                                  .trained = mn_training_step(session->training) > 0,
                                  .split = MN_TEST,
                                  .index = 0};
    char png[PATH_MAX];
    const char *const folder = mn_run_folder(run);
    mn_status status = MN_OK;
    if (mn_training_step(session->training) > 0)
        status = mn_learning_curve_draw(folder, session->experiment.name,
                                        mn_training_scores(session->training),
                                        mn_learner_test_scores(session->learner), &err);
    if (status != MN_OK)
        mn_log(MN_LOG_WARN, "%s", err.message);
    const bool has_curve = status == MN_OK && mn_training_step(session->training) > 0;
    if (mn_learner_is_external(session->learner)) { /* what its tasks look like is its own matter */
        if (has_curve)
            mn_log(MN_LOG_INFO, "pictures: %s/curve.png and curve.svg", folder);
        return;
    }
    status = mn_run_path(folder, "task.png", png, &err);
    if (status == MN_OK)
        status = mn_adapted_task_draw(&task, png, &err);
    if (status != MN_OK)
        mn_log(MN_LOG_WARN, "%s", err.message);
    else
        mn_log(MN_LOG_INFO, "pictures: %s/%stask.png", folder,
               has_curve ? "curve.png, curve.svg and " : "");
    show_tensorboard(session, folder, has_curve, status == MN_OK);
}

/* The pictures, if there are to be events at all. */
static void show_tensorboard(const mn_session *session, const char *folder, bool has_curve,
                             bool has_task)
{
    static const char *const tags[] = {"pictures/curve", "pictures/task"};
    static const char *const names[] = {"curve.png", "task.png"};
    const bool has[] = {has_curve, has_task};
    const uint64_t step = mn_training_step(session->training);
    char path[PATH_MAX];
    mn_error err;
    mn_event_file *events = NULL;
    mn_status status =
        mn_event_file_folder(session->experiment.run.tensorboard, folder, path, &err);
    if (status == MN_OK && path[0] == '\0')
        return;
    if (status == MN_OK)
        status = mn_event_file_new(path, step, &events, &err);
    for (int i = 0; i < 2 && status == MN_OK; i++) {
        status = has[i] ? mn_run_path(folder, names[i], path, &err) : MN_OK;
        if (has[i] && status == MN_OK)
            status = mn_event_file_picture(events, tags[i], step, path, &err);
    }
    mn_event_file_close(&events);
    if (status != MN_OK)
        mn_log(MN_LOG_WARN, "no pictures for TensorBoard: %s", err.message);
}

static mn_status print_configuration(const mn_command_line *line, mn_error *err)
{
    const mn_session_options options = options_of(line);
    mn_experiment experiment;
    char *text = NULL;
    if (options.file == NULL && options.folder == NULL)
        return mn_fail(err, MN_ERR_USAGE, "expected an experiment file to check");
    mn_status status = mn_session_experiment(&options, &experiment, err);
    if (status == MN_OK)
        status = mn_experiment_print(&experiment, true, &text, err);
    if (status == MN_OK)
        (void)fputs(text, stdout);
    free(text);
    return status;
}
