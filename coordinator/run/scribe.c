#include "coordinator/run/scribe.h"

#include "common/file.h"
#include "common/log.h"
#include "common/log_limit.h"
#include "coordinator/run/event_file.h"
#include "coordinator/run/journal_gate.h"
#include "coordinator/run/progress.h"
#include "coordinator/run/run_history.h"
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SHOW_US UINT64_C(100000)

struct mn_scribe {
    mn_scribe_config config;
    char *experiment; /* YAML; owned */
    mn_task_notes notes;
    mn_metrics *metrics;
    mn_event_file *events; /* NULL: nobody wants them, or they could not be written */
    mn_progress *progress;
    mn_journal *journal;
    mn_journal_gate gate;
    mn_board *board; /* NULL: nobody is to see it */
    mn_log_limit skips;
    bool suspects_told;
    bool metrics_failed;
    bool hidden;       /* steps that readers of the metrics cannot see yet */
    uint64_t shown_us; /* when they last could */
    bool written;      /* a checkpoint of these two: */
    uint64_t written_step, written_validation;
    uint64_t n_steps;                        /* of this job */
    uint32_t threads;                        /* at the last of them */
    mn_step_time time;                       /* of all of them */
    uint64_t work_us, repeated_us, repeated; /* of all rounds: thread time; tasks */
    uint64_t begun_us; /* when this job's first step ended, less its length; 0: not yet */
};

static mn_status open_files(mn_scribe *scribe, mn_error *err);
static mn_status open_board(mn_scribe *scribe, mn_error *err);
static void open_events(mn_scribe *scribe);
static void add_event(void *events, const char *key, double value);
static void add_test_event(void *events, const char *key, const mn_score *score,
                           const mn_estimate *estimate);
static void write_event(mn_scribe *scribe, uint64_t step);
static void show_steps(mn_scribe *scribe);
static void flush_records(mn_scribe *scribe);
static void give_up_events(mn_scribe *scribe, const mn_error *err);
static void tell_of_skips(mn_scribe *scribe, const mn_step_record *record, uint64_t now_us);
static void note_begin(mn_scribe *scribe);
static void note(mn_scribe *scribe, mn_journal_entry entry);
static void note_rest(mn_scribe *scribe);
static void complain_once(mn_scribe *scribe, mn_status status, const mn_error *err);

mn_status mn_scribe_new(const mn_scribe_config *config, mn_scribe **out, mn_error *err)
{
    const mn_experiment *experiment = config->experiment;
    mn_scribe *scribe = calloc(1, sizeof *scribe);
    if (scribe == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "records of the run");
    scribe->config = *config;
    scribe->written = config->resumed;
    scribe->written_step = mn_training_step(config->training);
    scribe->written_validation = mn_training_validated(config->training);
    const mn_progress_config progress = {
        .terminal = isatty(STDERR_FILENO) ? stderr : NULL,
        .quiet = config->quiet,
        .log_every_s = experiment->run.log_every,
        .scores = mn_training_scores(config->training),
        .steps = experiment->outer.steps,
    };
    mn_status status = mn_progress_new(&progress, &scribe->progress, err);
    if (status == MN_OK && config->run != NULL)
        status = open_files(scribe, err);
    const bool tells = config->run != NULL && !config->no_job;
    if (status == MN_OK && tells)
        status = open_board(scribe, err);
    if (status == MN_OK && tells)
        open_events(scribe);
    if (status == MN_OK && tells)
        status = mn_journal_open(mn_run_folder(config->run), &scribe->journal, err);
    if (status == MN_OK && tells)
        note_begin(scribe);
    if (status != MN_OK) {
        mn_scribe_destroy(&scribe);
        return status;
    }
    *out = scribe;
    return MN_OK;
}

void mn_scribe_destroy(mn_scribe **scribe)
{
    if (*scribe == NULL)
        return;
    mn_board_destroy(&(*scribe)->board);
    mn_progress_destroy(&(*scribe)->progress);
    mn_metrics_close(&(*scribe)->metrics);
    mn_event_file_close(&(*scribe)->events);
    mn_journal_close(&(*scribe)->journal);
    free((*scribe)->experiment);
    mn_task_notes_fini(&(*scribe)->notes);
    free(*scribe);
    *scribe = NULL;
}

mn_board *mn_scribe_board(const mn_scribe *scribe)
{
    return scribe != NULL ? scribe->board : NULL;
}

mn_journal *mn_scribe_journal(const mn_scribe *scribe)
{
    return scribe != NULL ? scribe->journal : NULL;
}

void mn_scribe_work(mn_scribe *scribe, uint64_t tasks_us, uint64_t repeated_us, uint64_t repeated)
{
    if (scribe == NULL)
        return;
    scribe->work_us += tasks_us;
    scribe->repeated_us += repeated_us;
    scribe->repeated += repeated;
    mn_journal_total(scribe->journal, 1e-6 * (double)scribe->work_us,
                     1e-6 * (double)scribe->repeated_us);
}

void mn_scribe_end(mn_scribe *scribe, mn_status status, const char *why)
{
    if (scribe == NULL)
        return;
    const double all_us = (double)(scribe->work_us + scribe->repeated_us);
    if (!scribe->config.quiet && scribe->repeated > 0)
        mn_log(MN_LOG_INFO,
               "%.2g %% of the work was done twice: %" PRIu64 " tasks, %.3g s of thread time; why: "
               "mnemo explain %s",
               100 * (double)scribe->repeated_us / all_us, scribe->repeated,
               1e-6 * (double)scribe->repeated_us,
               scribe->config.run != NULL ? mn_run_folder(scribe->config.run) : "RUN");
    else if (!scribe->config.quiet && scribe->config.run != NULL)
        mn_log(MN_LOG_INFO, "no task was computed twice");
    note_rest(scribe);
    note(scribe, (mn_journal_entry){.event = MN_JOURNAL_ENDED,
                                    .step = mn_training_step(scribe->config.training),
                                    .who = mn_status_text(status),
                                    .why = why});
}

void mn_scribe_step(mn_scribe *scribe, mn_step_record *record, uint64_t now_us)
{
    mn_error err;
    if (scribe == NULL)
        return;
    if (scribe->begun_us == 0)
        scribe->begun_us =
            now_us - (uint64_t)(scribe->config.experiment->outer.batch * 1e6 / record->tasks_per_s);
    record->wall_s = (double)(now_us - scribe->begun_us) * 1e-6;
    if (scribe->metrics != NULL) {
        record->wall_s += mn_metrics_wall_s(scribe->metrics);
        mn_status status = mn_metrics_add_step(scribe->metrics, record, &err);
        if (status != MN_OK) /* that it lies in the buffer says nothing of the disk */
            complain_once(scribe, status, &err);
        scribe->hidden = true;
        mn_scribe_rest(scribe, now_us);
    }
    if (scribe->events != NULL)
        mn_metrics_step_numbers(record, mn_training_scores(scribe->config.training), add_event,
                                scribe->events);
    write_event(scribe, record->step);
    if (record->skipped > 0)
        tell_of_skips(scribe, record, now_us);
    else
        scribe->suspects_told = false;
    mn_progress_step(scribe->progress, record, now_us);
    mn_board_step(scribe->board, record);
    mn_step_time_add(&record->time, &scribe->time);
    scribe->n_steps++;
    scribe->threads = record->threads;
}

void mn_scribe_rest(mn_scribe *scribe, uint64_t now_us)
{
    if (scribe == NULL || now_us < scribe->shown_us + SHOW_US)
        return;
    show_steps(scribe);
    scribe->shown_us = now_us;
}

void mn_scribe_tell_time(const mn_scribe *scribe)
{
    if (scribe == NULL || scribe->config.quiet || scribe->time.all_us == 0)
        return;
    mn_step_shares shares = mn_step_time_shares(&scribe->time);
    const double step_s = 1e-6 * (double)scribe->time.all_us / (double)scribe->n_steps /
                          (scribe->threads > 0 ? scribe->threads : 1);
    char remark[96] = "";
    if (step_s < MN_SHORT_STEP_S && shares.wait > 0.05)
        (void)snprintf(remark, sizeof remark, " (in steps of %.2g ms much of it is handing out)",
                       1e3 * step_s);
    mn_log(MN_LOG_INFO,
           "the threads' time in %" PRIu64 " meta-steps: tasks %.1f %%, adding up %.1f %%, "
           "allreduce %.1f %%, outer step %.1f %%, waiting %.1f %%%s",
           scribe->n_steps, 100 * shares.tasks, 100 * shares.sums, 100 * shares.reduce,
           100 * shares.outer, 100 * shares.wait, remark);
}

void mn_scribe_validation(mn_scribe *scribe, const mn_evaluation *evaluation, bool best)
{
    mn_error err;
    if (scribe == NULL)
        return;
    uint64_t step = mn_training_step(scribe->config.training);
    char scores[256];
    if (scribe->metrics != NULL)
        complain_once(scribe, mn_metrics_add_validation(scribe->metrics, step, evaluation, &err),
                      &err);
    if (scribe->events != NULL)
        mn_metrics_validation_numbers(evaluation, add_event, scribe->events);
    write_event(scribe, step);
    mn_board_validation(scribe->board, step, evaluation);
    if (evaluation->n_counted == 0) {
        mn_log(MN_LOG_WARN,
               "step %" PRIu64 ": validation has no score, for all %" PRIu32 " tasks were skipped",
               step, evaluation->n_skipped);
        return;
    }
    mn_evaluation_text(evaluation, scores, sizeof scores);
    if (!scribe->config.quiet)
        mn_log(MN_LOG_INFO, "step %" PRIu64 ": validation %s (%" PRIu32 " tasks)%s", step, scores,
               evaluation->n_counted, best ? ", the best so far" : "");
    if (!scribe->config.quiet && mn_training_has_enough(scribe->config.training))
        mn_log(MN_LOG_INFO,
               "training ends here: %" PRIu32 " validations in a row were no better than the best "
               "before (evaluate.patience)",
               scribe->config.experiment->evaluate.patience);
}

void mn_scribe_evaluating(mn_scribe *scribe, mn_split split, uint32_t done, uint32_t total,
                          uint64_t now_us)
{
    if (scribe != NULL)
        mn_progress_evaluation(scribe->progress, split == MN_VAL ? "validation" : "test", done,
                               total, now_us);
}

mn_status mn_scribe_test(mn_scribe *scribe, const mn_evaluation *evaluation, mn_error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    if (scribe == NULL || scribe->config.run == NULL)
        return MN_OK;
    if (scribe->events != NULL)
        mn_metrics_visit(evaluation, add_test_event, scribe->events);
    write_event(scribe, mn_training_step(scribe->config.training));
    mn_board_test(scribe->board, evaluation);
    mn_status status = mn_run_path(mn_run_folder(scribe->config.run), "test.json", path, err);
    if (status == MN_OK)
        status = mn_evaluation_json(evaluation, scribe->config.conditions, &text, err);
    if (status == MN_OK)
        status = mn_file_write(path, text, strlen(text), err);
    free(text);
    return status;
}

void mn_scribe_mark_mixed(mn_scribe *scribe)
{
    if (scribe == NULL || scribe->config.mixed)
        return;
    scribe->config.mixed = true;
    mn_log(MN_LOG_WARN,
           "workers of another numeric class take part: other machines may not get the "
           "same bits from this run");
}

void mn_scribe_tell_class(mn_scribe *scribe, const mn_digest *numeric_class)
{
    if (scribe != NULL)
        scribe->config.numeric_class = *numeric_class;
}

bool mn_scribe_checkpoint_due(const mn_scribe *scribe)
{
    if (scribe == NULL || scribe->config.run == NULL)
        return false;
    const mn_experiment *experiment = scribe->config.experiment;
    uint64_t step = mn_training_step(scribe->config.training);
    uint64_t validated = mn_training_validated(scribe->config.training);
    uint64_t every = experiment->evaluate.every;
    bool wanted = step % experiment->run.checkpoint_every == 0 || step == experiment->outer.steps ||
                  mn_training_has_enough(scribe->config.training);
    bool validation_first = step > 0 && every > 0 && step % every == 0 && validated != step;
    bool written =
        scribe->written && scribe->written_step == step && scribe->written_validation == validated;
    return wanted && !validation_first && !written;
}

mn_status mn_scribe_checkpoint(mn_scribe *scribe, mn_error *err)
{
    char folder[PATH_MAX];
    mn_checkpoint checkpoint = {0};
    if (scribe == NULL || scribe->config.run == NULL)
        return MN_OK;
    const mn_training *training = scribe->config.training;
    uint64_t step = mn_training_step(training);
    uint64_t validated = mn_training_validated(training);
    if (scribe->written && scribe->written_step == step && scribe->written_validation == validated)
        return MN_OK;
    mn_status status = mn_run_path(mn_run_folder(scribe->config.run), "checkpoints", folder, err);
    if (status == MN_OK)
        status = mn_training_save(training, &checkpoint, err);
    if (status != MN_OK)
        return status;
    flush_records(scribe);
    mn_theta_layout layout = mn_training_layout(training);
    checkpoint.data = scribe->config.data;
    checkpoint.numeric_class = scribe->config.numeric_class;
    checkpoint.mixed = scribe->config.mixed;
    checkpoint.notes = &scribe->notes;
    checkpoint.experiment = strdup(scribe->experiment);
    status = checkpoint.experiment == NULL
                 ? mn_fail(err, MN_ERR_NOMEM, "checkpoint")
                 : mn_checkpoint_write(folder, &checkpoint, &layout,
                                       scribe->config.experiment->run.keep, err);
    mn_checkpoint_fini(&checkpoint);
    if (status != MN_OK)
        return status;
    scribe->written = true;
    scribe->written_step = step;
    scribe->written_validation = validated;
    note(scribe, (mn_journal_entry){.event = MN_JOURNAL_CHECKPOINT, .step = step});
    mn_log(MN_LOG_DEBUG, "checkpoint of step %" PRIu64 " written", step);
    return MN_OK;
}

static mn_status open_files(mn_scribe *scribe, mn_error *err)
{
    char path[PATH_MAX];
    mn_status status = mn_run_path(mn_run_folder(scribe->config.run), "metrics.jsonl", path, err);
    if (status == MN_OK)
        status =
            mn_metrics_open(path, mn_training_scores(scribe->config.training),
                            mn_training_step(scribe->config.training),
                            mn_training_validated(scribe->config.training), &scribe->metrics, err);
    if (status == MN_OK)
        status = mn_experiment_print(scribe->config.experiment, false, &scribe->experiment, err);
    if (status == MN_OK)
        status = mn_task_notes_new(scribe->config.tasks, &scribe->notes, err);
    return status;
}

/* Without them the run is as good. */
static void open_events(mn_scribe *scribe)
{
    char folder[PATH_MAX];
    mn_error err;
    mn_status status = mn_event_file_folder(scribe->config.experiment->run.tensorboard,
                                            mn_run_folder(scribe->config.run), folder, &err);
    if (status == MN_OK && folder[0] != '\0')
        status = mn_event_file_new(folder, mn_training_step(scribe->config.training),
                                   &scribe->events, &err);
    if (status != MN_OK)
        mn_log(MN_LOG_WARN, "no events for TensorBoard of this run: %s", err.message);
}

/* Scores in one group, how the run goes in another: "train/loss", "val/loss", "run/lr". */
static void add_event(void *events, const char *key, double value)
{
    char tag[128];
    const char *group = strncmp(key, "val_", 4) == 0 ? "val"
                        : mn_history_is_score(key)   ? "train"
                                                     : "run";
    (void)snprintf(tag, sizeof tag, "%s/%s", group, strcmp(group, "val") == 0 ? key + 4 : key);
    mn_event_file_add(events, tag, value);
}

static void add_test_event(void *events, const char *key, const mn_score *score,
                           const mn_estimate *estimate)
{
    char tag[128];
    (void)score;
    (void)snprintf(tag, sizeof tag, "test/%s", key + strlen("val_"));
    mn_event_file_add(events, tag, estimate->mean);
    (void)snprintf(tag, sizeof tag, "test/%s_ci95", key + strlen("val_"));
    mn_event_file_add(events, tag, estimate->half_width);
}

static void write_event(mn_scribe *scribe, uint64_t step)
{
    mn_error err;
    if (scribe->events != NULL && mn_event_file_write(scribe->events, step, &err) != MN_OK)
        give_up_events(scribe, &err);
}

static void show_steps(mn_scribe *scribe)
{
    mn_error err;
    if (scribe->hidden)
        complain_once(scribe, mn_metrics_flush(scribe->metrics, &err), &err);
    scribe->hidden = false;
}

/* The next job goes on from the checkpoint, and behind what was recorded until then. */
static void flush_records(mn_scribe *scribe)
{
    mn_error err;
    show_steps(scribe);
    if (scribe->events != NULL && mn_event_file_flush(scribe->events, &err) != MN_OK)
        give_up_events(scribe, &err);
}

static void give_up_events(mn_scribe *scribe, const mn_error *err)
{
    mn_log(MN_LOG_ERROR, "%s; the run goes on without events for TensorBoard", err->message);
    mn_event_file_close(&scribe->events);
}

static mn_status open_board(mn_scribe *scribe, mn_error *err)
{
    const mn_experiment *experiment = scribe->config.experiment;
    const bool page = strcmp(experiment->run.page, "none") != 0;
    if (!page && experiment->run.prometheus_textfile[0] == '\0')
        return MN_OK;
    const mn_board_config config = {.experiment = experiment,
                                    .yaml = scribe->experiment,
                                    .folder = mn_run_folder(scribe->config.run),
                                    .run_id = mn_run_id(scribe->config.run),
                                    .train = mn_training_scores(scribe->config.training),
                                    .test = scribe->config.test_scores,
                                    .step = mn_training_step(scribe->config.training),
                                    .n_ranks = scribe->config.n_ranks,
                                    .part = scribe->config.part,
                                    .parts = scribe->config.parts};
    return mn_board_new(&config, &scribe->board, err);
}

static void tell_of_skips(mn_scribe *scribe, const mn_step_record *record, uint64_t now_us)
{
    char suspects[512];
    char rest[640] = "";
    bool all = record->skipped == scribe->config.experiment->outer.batch;
    if (all && !scribe->suspects_told) {
        mn_training_suspects(scribe->config.training, suspects, sizeof suspects);
        (void)snprintf(rest, sizeof rest, "; that was all of them, so theta stays as it is: %s",
                       suspects);
    }
    note(scribe,
         (mn_journal_entry){.event = MN_JOURNAL_SKIPPED,
                            .step = record->step,
                            .task = (record->step - 1) * scribe->config.experiment->outer.batch,
                            .tasks = record->skipped,
                            .why = rest[0] != '\0' ? rest + 2 : NULL});
    scribe->suspects_told = all; /* once for all steps in a row that are like this one */
    mn_log_limited(&scribe->skips, now_us, MN_LOG_WARN,
                   "step %" PRIu64 ": %" PRIu32 " tasks skipped, their loss or meta-gradient was "
                   "not finite or beyond 2^24%s",
                   record->step, record->skipped, rest);
}

/* Who writes from here on, and what of the time before was not kept. */
static void note_begin(mn_scribe *scribe)
{
    char host[HOST_NAME_MAX + 1] = "?", why[256];
    double lost_s = 0;
    const uint64_t n_lost = mn_metrics_dropped(scribe->metrics, &lost_s);
    const uint64_t step = mn_training_step(scribe->config.training);
    (void)gethostname(host, sizeof host - 1);
    int n = snprintf(why, sizeof why, "process %ld on %s, %" PRIu32 " rank%s", (long)getpid(), host,
                     scribe->config.n_ranks, scribe->config.n_ranks == 1 ? "" : "s");
    if (n_lost > 0 && n > 0 && (size_t)n < sizeof why)
        (void)snprintf(why + n, sizeof why - (size_t)n,
                       "; %" PRIu64 " meta-steps after the checkpoint are made again", n_lost);
    note(scribe, (mn_journal_entry){.event = MN_JOURNAL_BEGUN,
                                    .step = step,
                                    .threads = scribe->config.n_ranks,
                                    .span_s = lost_s,
                                    .why = why});
}

static void note(mn_scribe *scribe, mn_journal_entry entry)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    entry.at_s = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    if (scribe->journal != NULL && mn_journal_gate_passes(&scribe->gate, &entry))
        mn_journal_add(scribe->journal, &entry);
}

/* What there was too much of, so that counts are whole. */
static void note_rest(mn_scribe *scribe)
{
    static const mn_journal_event counted[] = {MN_JOURNAL_CHECKPOINT, MN_JOURNAL_SKIPPED};
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        mn_journal_entry entry;
        if (scribe->journal == NULL || !mn_journal_gate_rest(&scribe->gate, counted[i], &entry))
            continue;
        entry.at_s = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
        mn_journal_add(scribe->journal, &entry);
    }
}

/* A full disk must not end the run for the sake of metrics; the next checkpoint will say so if it
 * lasts. */
static void complain_once(mn_scribe *scribe, mn_status status, const mn_error *err)
{
    if (status != MN_OK && !scribe->metrics_failed)
        mn_log(MN_LOG_ERROR, "%s; the run goes on without these lines", err->message);
    scribe->metrics_failed = status != MN_OK;
}
