/* mnemo verify: a slice of a run computed again, on any machine, and theta compared after every meta-step. */
#include "coordinator/commands/commands.h"

#include "common/checkpoint_list.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/run/run.h"
#include "coordinator/server/solo.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TELL_US 10000000u

/* RUN/metrics.jsonl, read along with the steps. */
struct record {
    FILE *file;
    char path[PATH_MAX];
    char *line; /* owned */
    size_t room;
};

struct check {
    mn_session session;
    mn_solo solo;
    struct record record;
    char folder[PATH_MAX]; /* of the checkpoints */
    uint64_t *checkpoints; /* [n_checkpoints] meta-steps, newest first; owned */
    size_t n_checkpoints;
    uint64_t first, last, from; /* compared; the theta that it begins with */
    uint64_t agreed, checkpoints_agreed;
};

static mn_status open_check(const mn_command_line *line, struct check *check, mn_error *err);
static mn_status begin_before(struct check *check, mn_error *err);
static mn_status compare(const mn_command_line *line, struct check *check, mn_error *err);
static mn_status last_recorded(struct record *record, uint64_t *step, mn_error *err);
static mn_status find_recorded(struct record *record, uint64_t step, uint64_t *theta,
                               mn_error *err);
static mn_status compare_checkpoint(struct check *check, mn_error *err);
static void close_check(struct check *check);

mn_status mn_verify_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    struct check check = {.first = 0};
    mn_status status = mn_command_line_read(
        &line, argc, argv, MN_TAKES_STEPS | MN_TAKES_THREADS | MN_TAKES_VERBOSITY, err);
    mn_log_init(mn_command_line_level(&line), "mnemo");
    if (status == MN_OK && line.n_arguments != 1)
        status = mn_fail(err, MN_ERR_USAGE, "verify: expected the folder of one run");
    if (status == MN_OK && line.steps != UINT32_MAX)
        status = mn_fail(err, MN_ERR_USAGE,
                         "verify: --steps %" PRIu32 ": expected the first and the last meta-step "
                         "to be compared, as --steps 1-%" PRIu32,
                         line.steps, line.steps > 0 ? line.steps : 1);
    if (status == MN_OK)
        status = open_check(&line, &check, err);
    if (status == MN_OK)
        status = begin_before(&check, err);
    if (status == MN_OK)
        status = compare(&line, &check, err);
    close_check(&check);
    return status;
}

static mn_status open_check(const mn_command_line *line, struct check *check, mn_error *err)
{
    const char *folder = line->arguments[0];
    const mn_session_options options = {
        .sets = line->sets, .n_sets = line->n_sets, .folder = folder};
    uint64_t last = 0;
    if (!mn_run_begun(folder))
        return mn_run_missing(folder, err);
    mn_status status = mn_run_path(folder, "metrics.jsonl", check->record.path, err);
    if (status == MN_OK && (check->record.file = fopen(check->record.path, "re")) == NULL)
        status =
            mn_fail_errno(err, "open %s, in which theta's fingerprints are", check->record.path);
    if (status == MN_OK)
        status = last_recorded(&check->record, &last, err);
    check->first = line->first_step > 0 ? line->first_step : 1;
    check->last = line->last_step > 0 ? line->last_step : last;
    if (status == MN_OK && check->last > last)
        status = mn_fail(err, MN_ERR_USAGE,
                         "verify: --steps %" PRIu64 "-%" PRIu64 ": the run has come to meta-step "
                         "%" PRIu64,
                         check->first, check->last, last);
    if (status == MN_OK)
        status = mn_session_open_alone(&check->session, &options, err);
    if (status == MN_OK)
        status = mn_run_path(folder, "checkpoints", check->folder, err);
    if (status == MN_OK)
        status = mn_checkpoint_list(check->folder, &check->checkpoints, &check->n_checkpoints, err);
    if (status == MN_OK)
        status = mn_solo_begin(&check->session,
                               line->threads > 0 ? line->threads : mn_session_threads(-1, 1),
                               &check->solo, err);
    return status;
}

static void close_check(struct check *check)
{
    mn_solo_end(&check->solo);
    mn_session_close(&check->session);
    if (check->record.file != NULL)
        (void)fclose(check->record.file);
    free(check->record.line);
    free(check->checkpoints);
}

/* From the newest whole checkpoint before the slice; without one, from the theta that the seed gives. */
static mn_status begin_before(struct check *check, mn_error *err)
{
    for (size_t i = 0; i < check->n_checkpoints; i++) {
        char path[PATH_MAX];
        mn_error why;
        if (check->checkpoints[i] >= check->first)
            continue;
        mn_status status = mn_checkpoint_path(check->folder, check->checkpoints[i], path, err);
        if (status != MN_OK)
            return status;
        status = mn_session_restore(&check->session, path, check->checkpoints[i], &why);
        if (status == MN_OK) {
            check->from = check->checkpoints[i];
            if (check->session.mixed)
                mn_log(MN_LOG_WARN, "workers of another arithmetic took part in this run "
                                    "(pool.any_numeric_class): it may not come out alike");
            return MN_OK;
        }
        if (status != MN_ERR_DATA) {
            *err = why;
            return status;
        }
        mn_log(MN_LOG_WARN, "%s; the one before it is taken", why.message);
    }
    check->from = 0;
    return MN_OK;
}

static mn_status compare(const mn_command_line *line, struct check *check, mn_error *err)
{
    const mn_training *training = check->session.training;
    uint64_t tell_us = mn_clock_us() + TELL_US;
    mn_step_record made;
    mn_status status = MN_OK;
    if (!line->quiet && check->from > 0)
        mn_log(MN_LOG_INFO,
               "meta-steps %" PRIu64 " to %" PRIu64 " are compared; computed again from the "
               "checkpoint of meta-step %" PRIu64 " on",
               check->first, check->last, check->from);
    else if (!line->quiet)
        mn_log(MN_LOG_INFO,
               "meta-steps %" PRIu64 " to %" PRIu64 " are compared; computed again from the "
               "beginning",
               check->first, check->last);
    while (status == MN_OK && mn_training_step(training) < check->last) {
        uint64_t told = 0;
        status = mn_solo_step(&check->solo, NULL, &made, err);
        if (status != MN_OK || made.step < check->first)
            continue;
        status = find_recorded(&check->record, made.step, &told, err);
        if (status == MN_OK && told != made.theta)
            status = mn_fail(err, MN_ERR_DATA,
                             "theta differs after meta-step %" PRIu64 ": XXH3 %016" PRIx64
                             " here, %016" PRIx64 " in %s. %" PRIu64 " before it agree%s",
                             made.step, made.theta, told, check->record.path, check->agreed,
                             made.step == 1 && check->from == 0
                                 ? "; a run that began with another run's theta (--theta) can be "
                                   "computed again from its checkpoints alone"
                                 : "");
        check->agreed += status == MN_OK;
        if (status == MN_OK)
            status = compare_checkpoint(check, err);
        if (mn_clock_us() >= tell_us && !line->quiet) {
            mn_log(MN_LOG_INFO, "meta-step %" PRIu64 " of %" PRIu64, made.step, check->last);
            tell_us = mn_clock_us() + TELL_US;
        }
    }
    if (status == MN_OK && check->agreed != check->last - check->first + 1)
        status =
            mn_fail(err, MN_ERR_INTERNAL, "%" PRIu64 " meta-steps were compared", check->agreed);
    if (status == MN_OK)
        (void)printf("meta-steps %" PRIu64 " to %" PRIu64
                     ": theta is the same after each, and that "
                     "of %" PRIu64 " checkpoint%s\n",
                     check->first, check->last, check->checkpoints_agreed,
                     check->checkpoints_agreed == 1 ? "" : "s");
    return status;
}

/* A checkpoint on the way holds the theta that was just made. */
static mn_status compare_checkpoint(struct check *check, mn_error *err)
{
    char path[PATH_MAX];
    mn_checkpoint made = {0}, kept = {0};
    mn_training *training = check->session.training;
    const mn_theta_layout layout = mn_training_layout(training);
    const uint64_t step = mn_training_step(training);
    bool there = false;
    for (size_t i = 0; i < check->n_checkpoints; i++)
        there = there || check->checkpoints[i] == step;
    if (!there)
        return MN_OK;
    mn_status status = mn_checkpoint_path(check->folder, step, path, err);
    if (status == MN_OK)
        status = mn_checkpoint_read(path, &layout, &kept, err);
    if (status == MN_OK)
        status = mn_training_save(training, &made, err);
    if (status == MN_OK && memcmp(made.theta, kept.theta, layout.n * sizeof *made.theta) != 0)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s holds another theta than was computed here, though %s told the same: "
                         "the file was changed, or is of another run",
                         path, check->record.path);
    check->checkpoints_agreed += status == MN_OK;
    mn_checkpoint_fini(&made);
    mn_checkpoint_fini(&kept);
    return status;
}

/* The next line of a meta-step; *step 0: there is none. `theta` is NULL if its line tells none. */
static void next_step(struct record *record, uint64_t *step, char theta[17])
{
    *step = 0;
    while (*step == 0 && mn_file_line(record->file, &record->line, &record->room) > 0) {
        if (strstr(record->line, "\"val_tasks\"") != NULL)
            continue;
        json_t *object = json_loads(record->line, 0, NULL);
        const json_int_t number = json_integer_value(json_object_get(object, "step"));
        const char *text = json_string_value(json_object_get(object, "theta_xxh3"));
        *step = number > 0 ? (uint64_t)number : 0;
        (void)snprintf(theta, 17, "%s", text != NULL && strlen(text) == 16 ? text : "");
        json_decref(object);
    }
}

static mn_status last_recorded(struct record *record, uint64_t *step, mn_error *err)
{
    uint64_t next = 0;
    char theta[17] = "";
    for (*step = 0; next_step(record, &next, theta), next > 0;)
        *step = next;
    rewind(record->file);
    return *step > 0 ? MN_OK
                     : mn_fail(err, MN_ERR_NO_INPUT, "%s tells of no meta-step yet", record->path);
}

static mn_status find_recorded(struct record *record, uint64_t step, uint64_t *theta, mn_error *err)
{
    uint64_t next = 0;
    char text[17] = "", *end = NULL;
    do
        next_step(record, &next, text);
    while (next > 0 && next < step);
    if (next != step)
        return mn_fail(err, MN_ERR_DATA, "%s has no line of meta-step %" PRIu64, record->path,
                       step);
    *theta = strtoull(text, &end, 16);
    return end == text + 16
               ? MN_OK
               : mn_fail(err, MN_ERR_DATA,
                         "%s does not tell theta's fingerprint after meta-step %" PRIu64
                         " (\"theta_xxh3\"): the run was made by an older mnemo, or the line was "
                         "changed",
                         record->path, step);
}
