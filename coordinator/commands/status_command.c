/* mnemo status and mnemo top: how a run or a sweep stands, once or as it goes: by its folder, or by its page. */
#include "coordinator/commands/commands.h"

#include "common/log.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/commands/remote_run.h"
#include "coordinator/commands/sweep_view.h"
#include "coordinator/run/metrics.h"
#include "coordinator/run/run.h"
#include "coordinator/run/run_history.h"
#include "coordinator/run/run_state.h"
#include "worker/learner/parts/batch_norm.h"
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void print_state(const mn_run_state *state, FILE *out);
static mn_status print_json(const mn_run_state *state, mn_error *err);

/* What is looked at: one of these. */
struct subject {
    mn_run_watch *watch;
    mn_remote_run *remote;
    const char *sweep; /* its folder */
};

static mn_status open_subject(const mn_command_line *line, const char *command,
                              struct subject *subject, mn_error *err)
{
    if (line->n_arguments != (line->url == NULL))
        return mn_fail(err, MN_ERR_USAGE,
                       "%s: expected the folder of one run or sweep, or --url with the address of "
                       "a run's page",
                       command);
    if (line->url != NULL)
        return mn_remote_run_open(line->url, MN_REMOTE_MS, &subject->remote, err);
    if (mn_sweep_begun(line->arguments[0])) {
        subject->sweep = line->arguments[0];
        return MN_OK;
    }
    return mn_run_watch_open(line->arguments[0], &subject->watch, err);
}

static void close_subject(struct subject *subject)
{
    mn_remote_run_close(&subject->remote);
    mn_run_watch_close(&subject->watch);
}

static mn_status tell_remote(mn_remote_run *remote, bool json, bool *over, FILE *out, mn_error *err)
{
    json_t *state = NULL;
    mn_status status = mn_remote_run_look(remote, &state, err);
    if (status == MN_OK && json && json_dumpf(state, out, JSON_INDENT(2)) == 0)
        (void)fputc('\n', out);
    else if (status == MN_OK)
        mn_remote_run_print(state, out);
    *over = json_is_true(json_object_get(state, "over"));
    json_decref(state);
    return status;
}

static mn_status tell_sweep(const char *folder, bool json, bool *over, FILE *out, mn_error *err)
{
    mn_sweep_view view;
    mn_status status = mn_sweep_view_open(folder, &view, err);
    if (status == MN_OK && json)
        status = mn_sweep_view_json(&view, out, err);
    else if (status == MN_OK)
        mn_sweep_view_print(&view, out);
    *over = mn_sweep_view_is_over(&view);
    mn_sweep_view_close(&view);
    return status;
}

static mn_status tell_run(mn_run_watch *watch, bool json, bool *over, FILE *out, mn_error *err)
{
    const mn_run_state *state = NULL;
    mn_status status = mn_run_watch_look(watch, &state, err);
    if (status == MN_OK && json)
        status = print_json(state, err);
    else if (status == MN_OK)
        print_state(state, out);
    *over = status == MN_OK && (state->phase == MN_RUN_STOPPED || state->phase == MN_RUN_DONE);
    return status;
}

static mn_status tell(const struct subject *subject, bool json, bool *over, FILE *out,
                      mn_error *err)
{
    if (subject->remote != NULL)
        return tell_remote(subject->remote, json, over, out, err);
    return subject->sweep != NULL ? tell_sweep(subject->sweep, json, over, out, err)
                                  : tell_run(subject->watch, json, over, out, err);
}

mn_status mn_status_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    struct subject subject = {.sweep = NULL};
    bool over;
    mn_status status = mn_command_line_read(&line, argc, argv, MN_TAKES_JSON | MN_TAKES_URL, err);
    if (status == MN_OK)
        status = open_subject(&line, "status", &subject, err);
    if (status == MN_OK)
        status = tell(&subject, line.json, &over, stdout, err);
    close_subject(&subject);
    return status;
}

static volatile sig_atomic_t ended; /* by Ctrl-C */

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

static mn_status draw(const struct subject *subject, char **text, bool *over, mn_error *err)
{
    size_t n = 0;
    FILE *out = open_memstream(text, &n);
    if (out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "state of the run");
    mn_status status = tell(subject, false, over, out, err);
    if (fclose(out) != 0 && status == MN_OK)
        status = mn_fail(err, MN_ERR_NOMEM, "state of the run");
    return status;
}

/* Drawn over itself on a terminal; else one text after the other, as for a log. */
static mn_status follow(const struct subject *subject, mn_error *err)
{
    const bool terminal = isatty(STDOUT_FILENO) != 0;
    const struct timespec second = {.tv_sec = 1};
    for (bool first = true; ended == 0; first = false) {
        char *text = NULL;
        bool over = false;
        mn_status status = draw(subject, &text, &over, err);
        if (status != MN_OK) {
            free(text);
            return status;
        }
        (void)printf("%s%s", terminal ? "\033[H\033[J" : first ? "" : "\n", text);
        (void)fflush(stdout);
        free(text);
        if (over)
            return MN_OK;
        (void)nanosleep(&second, NULL);
    }
    return MN_OK;
}

mn_status mn_top_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    struct subject subject = {.sweep = NULL};
    const struct sigaction on_end = {.sa_handler = end};
    mn_status status = mn_command_line_read(&line, argc, argv, MN_TAKES_URL, err);
    if (status == MN_OK)
        status = open_subject(&line, "top", &subject, err);
    (void)sigaction(SIGINT, &on_end, NULL);
    (void)sigaction(SIGTERM, &on_end, NULL);
    if (status == MN_OK)
        status = follow(&subject, err);
    close_subject(&subject);
    return status;
}

/* Text ------------------------------------------------------------------------------ */

static void put_time(double seconds, FILE *out)
{
    if (!isfinite(seconds) || seconds > 1e9) {
        (void)fputs("?", out);
        return;
    }
    const uint64_t s = (uint64_t)(seconds + 0.5);
    (void)fprintf(out, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                  (unsigned)(s % 60));
}

static void print_recent(const mn_run_state *state, FILE *out)
{
    const char *key, *before = "";
    json_t *value;
    (void)fprintf(out, "mean of the last %" PRIu32 " meta-steps: ", state->n_recent);
    json_object_foreach(state->recent, key, value)
    {
        if (!mn_history_is_score(key))
            continue;
        (void)fprintf(out, "%s%s %.5g", before, key, json_number_value(value));
        before = ", ";
    }
    const double threads = mn_history_number(state->last, "threads");
    const double workers = mn_history_number(state->last, "workers");
    (void)fprintf(out, "\n%.5g tasks/s; %.0f thread%s, %.0f remote worker%s",
                  mn_history_number(state->recent, "tasks_per_s"), threads, threads == 1 ? "" : "s",
                  workers, workers == 1 ? "" : "s");
    if (isfinite(mn_history_number(state->recent, "share_tasks")))
        (void)fprintf(out,
                      "; threads' time: tasks %.1f %%, adding up %.1f %%, allreduce %.1f %%, outer "
                      "step %.1f %%, waiting %.1f %%",
                      100 * mn_history_number(state->recent, "share_tasks"),
                      100 * mn_history_number(state->recent, "share_sums"),
                      100 * mn_history_number(state->recent, "share_reduce"),
                      100 * mn_history_number(state->recent, "share_outer"),
                      100 * mn_history_number(state->recent, "share_wait"));
    if (state->step_s < MN_SHORT_STEP_S && mn_history_number(state->recent, "share_wait") > 0.05)
        (void)fprintf(out, " (in steps of %.2g ms much of it is handing out)", 1e3 * state->step_s);
    if (mn_history_number(state->recent, "skipped") > 0)
        (void)fprintf(out, "\n%.3g tasks a meta-step were skipped: not finite",
                      mn_history_number(state->recent, "skipped"));
    (void)fputc('\n', out);
}

/* "loss 0.52 +- 0.02, accuracy ..." of {"val_loss": .., "val_loss_ci95": .., ...}, or of a row of the
 * test table, where `before` is "". */
static void print_scores(const json_t *record, const char *before, FILE *out)
{
    const char *key, *between = "";
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)record, key, value)
    {
        char interval[128];
        if (strncmp(key, before, strlen(before)) != 0)
            continue;
        (void)snprintf(interval, sizeof interval, "%.100s_ci95", key);
        const double half_width = mn_history_number(record, interval);
        if (!isfinite(half_width) || !json_is_number(value))
            continue;
        (void)fprintf(out, "%s%s %.5g +- %.2g", between, key + strlen(before),
                      json_number_value(value), half_width);
        between = ", ";
    }
    (void)fputc('\n', out);
}

static void print_test(const json_t *test, FILE *out)
{
    const json_t *rows = json_object_get(test, "scores");
    const size_t n = json_array_size(rows);
    if (n == 0)
        return;
    (void)fprintf(out, "test over %.0f tasks (test.json, last of %zu rows): ",
                  mn_history_number(test, "tasks"), n);
    print_scores(json_array_get(rows, n - 1), "", out);
}

static void print_state(const mn_run_state *state, FILE *out)
{
    const mn_experiment *experiment = &state->experiment;
    const uint64_t steps = experiment->outer.steps;
    const uint64_t left = steps > state->step ? steps - state->step : 0;
    (void)fprintf(out, "%s: %s", experiment->name, mn_run_phase_text(state->phase));
    if (state->phase == MN_RUN_RUNNING || state->phase == MN_RUN_ELSEWHERE)
        (void)fprintf(out, ", %s", state->writer);
    (void)fprintf(out, "\n%s\nmeta-step %" PRIu64 " of %" PRIu64, state->folder, state->step,
                  steps);
    if (state->last != NULL) {
        (void)fputs(", ", out);
        put_time(state->wall_s, out);
        (void)fputs(" so far", out);
        if (left > 0 && isfinite(state->step_s)) {
            (void)fputs(", ", out);
            put_time(state->step_s * (double)left, out);
            (void)fputs(" to go", out);
        }
        (void)fprintf(out, "; last written %.0f s ago", state->silent_s);
    }
    (void)fputc('\n', out);
    if (state->recent != NULL)
        print_recent(state, out);
    if (state->validation != NULL) {
        (void)fprintf(
            out, "validation after meta-step %.0f: ", mn_history_number(state->validation, "step"));
        print_scores(state->validation, "val_", out);
    }
    if (state->test != NULL)
        print_test(state->test, out);
    if (state->validation != NULL || state->test != NULL) {
        const char *batch_norm = state->is_whole ? mn_batch_norm_remark(experiment) : NULL;
        if (batch_norm != NULL)
            (void)fprintf(out, "%s\n", batch_norm);
    }
    if (!state->is_whole)
        (void)fprintf(
            out,
            "made with %s%s, which is not here: to go on, judge or export, name it with --plugin\n",
            experiment->plugins[0] != '\0' ? "the plug-in " : "kinds or keys of another mnemo",
            experiment->plugins);
    if (state->has_checkpoint)
        (void)fprintf(out, "checkpoint of meta-step %" PRIu64 "\n", state->checkpoint);
    if (state->phase == MN_RUN_STOPPED && left > 0)
        (void)fprintf(out, "to go on: mnemo train --run-dir %s\n", state->folder);
    if (state->phase == MN_RUN_RUNNING && state->joinable)
        (void)fprintf(out, "to join: mnemo-worker %s/endpoint\n", state->folder);
}

/* JSON ------------------------------------------------------------------------------ */

static json_t *or_null(json_t *value)
{
    return value == NULL ? json_null() : json_incref(value);
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static mn_status print_json(const mn_run_state *state, mn_error *err)
{
    const uint64_t steps = state->experiment.outer.steps;
    const uint64_t left = steps > state->step ? steps - state->step : 0;
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:b}", "run",
        state->folder, "name", state->experiment.name, "state", mn_run_phase_text(state->phase),
        "writer", state->writer, "step", (json_int_t)state->step, "steps", (json_int_t)steps,
        "wall_s", real_or_null(state->wall_s), "to_go_s",
        left > 0 ? real_or_null(state->step_s * (double)left) : json_real(0), "silent_s",
        real_or_null(state->silent_s), "recent_steps", (int)state->n_recent, "recent",
        or_null(state->recent), "last", or_null(state->last), "validation",
        or_null(state->validation), "test", or_null(state->test), "checkpoint",
        state->has_checkpoint ? json_integer((json_int_t)state->checkpoint) : json_null(),
        "joinable", state->joinable);
    if (root == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "state of the run as JSON");
    (void)json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    (void)putchar('\n');
    json_decref(root);
    return MN_OK;
}
