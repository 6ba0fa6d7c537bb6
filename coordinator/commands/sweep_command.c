#include "coordinator/commands/commands.h"

#include "common/file.h"
#include "common/log.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/pictures/sweep_chart.h"
#include "coordinator/run/run.h"
#include "coordinator/run/sweep_table.h"
#include "coordinator/server/session.h"
#include "coordinator/server/sweep_server.h"
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the files say; the same on all ranks. */
struct sweep {
    mn_sweep_file file;
    mn_sweep_plan plan;
    char experiment[PATH_MAX]; /* the base's file */
    char folder[PATH_MAX];
};

static mn_status read_sweep(const mn_command_line *line, struct sweep *sweep, mn_error *err);
static mn_status make_sweep(const mn_command_line *line, struct sweep *sweep, const mn_job *job,
                            mn_error *err);
static mn_status choose_folder(const mn_command_line *line, struct sweep *sweep, const mn_job *job,
                               mn_error *err);
static mn_status report(const mn_command_line *line, const struct sweep *sweep,
                        const mn_sweep_results *results, mn_error *err);
static mn_status first_failure(const struct sweep *sweep, const mn_sweep_results *results,
                               mn_error *err);
static void print_plan(const struct sweep *sweep, const mn_command_line *line);

mn_status mn_sweep_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_session session = {0};
    mn_status status = mn_command_line_read(&line, argc, argv,
                                            MN_TAKES_RUN_DIR | MN_TAKES_CHECK | MN_TAKES_VERBOSITY |
                                                MN_TAKES_JSON | MN_TAKES_SLOTS,
                                            err);
    if (status != MN_OK)
        return status;
    if (line.n_arguments != 1)
        return mn_fail(err, MN_ERR_USAGE,
                       "expected one sweep file; to go on, give it again, with --run-dir");
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (sweep == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "sweep");
    if (line.check) {
        status = read_sweep(&line, sweep, err);
        if (status == MN_OK)
            print_plan(sweep, &line);
    } else {
        status = mn_session_begin(&session, mn_command_line_level(&line), err);
        if (status == MN_OK)
            status = mn_job_agree(&session.job, read_sweep(&line, sweep, err), err);
        if (status == MN_OK)
            status = make_sweep(&line, sweep, &session.job, err);
        if (status != MN_OK && session.job.rank != 0)
            err->message[0] = '\0'; /* rank 0 says it for all */
        mn_job_end(&session.job);
    }
    mn_sweep_file_fini(&sweep->file);
    free(sweep);
    return status;
}

/* Every rank reads them: runs need them on all hosts anyway. */
static mn_status read_sweep(const mn_command_line *line, struct sweep *sweep, mn_error *err)
{
    const char *source = line->arguments[0];
    char beside[PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    mn_experiment *base = malloc(sizeof *base);
    mn_status status = base == NULL ? mn_fail(err, MN_ERR_NOMEM, "base experiment") : MN_OK;
    if (status == MN_OK)
        status = mn_file_read(source, 1 << 20, &text, &n, err);
    if (status == MN_OK)
        status = mn_sweep_file_parse(source, text, n, &sweep->file, err);
    if (status == MN_OK) {
        const char *given = sweep->file.experiment;
        (void)snprintf(beside, sizeof beside, "%s", source);
        const int length = given[0] == '/' ? snprintf(sweep->experiment, PATH_MAX, "%s", given)
                                           : snprintf(sweep->experiment, PATH_MAX, "%s/%s",
                                                      dirname(beside), given);
        if (length < 0 || length >= PATH_MAX)
            status = mn_fail(err, MN_ERR_CONFIG, "%s:%zu: the path of the experiment is too long",
                             source, sweep->file.experiment_line);
    }
    if (status == MN_OK) {
        mn_error why = {0};
        mn_experiment_init(base);
        status = mn_experiment_read(base, sweep->experiment, &why);
        if (status == MN_ERR_NO_INPUT)
            status = mn_fail(err, status, "%s:%zu: experiment: %s", source,
                             sweep->file.experiment_line, why.message);
        else if (status != MN_OK)
            status = mn_fail(err, status, "%s", why.message);
    }
    if (status == MN_OK)
        status = mn_sweep_plan_make(&sweep->file, source, base, line->sets, line->n_sets,
                                    &sweep->plan, err);
    free(text);
    free(base);
    return status;
}

static mn_status make_sweep(const mn_command_line *line, struct sweep *sweep, const mn_job *job,
                            mn_error *err)
{
    mn_sweep_results results = {0};
    mn_error why = {0};
    mn_status status = choose_folder(line, sweep, job, err);
    if (status != MN_OK)
        return status;
    const mn_sweep_config config = {.job = job,
                                    .plan = &sweep->plan,
                                    .folder = sweep->folder,
                                    .experiment = sweep->experiment,
                                    .slots = line->slots > 0 ? line->slots : sweep->file.slots,
                                    .quiet = line->quiet};
    status = mn_sweep_server_run(&config, &results, err);
    if (job->rank == 0 && status == MN_STOPPED)
        mn_log(MN_LOG_INFO, "to go on: mnemo sweep %s --run-dir %s", line->arguments[0],
               sweep->folder);
    if (job->rank == 0 && status == MN_OK) {
        status = report(line, sweep, &results, err);
        if (status == MN_OK)
            status = first_failure(sweep, &results, err);
    }
    if (status != MN_OK)
        why = *err;
    status = mn_job_agree(job, status, &why);
    if (status != MN_OK)
        *err = why;
    mn_sweep_results_fini(&results);
    return status;
}

/* Rank 0 says which, made absolute: runs are made there from wherever. */
static mn_status choose_folder(const mn_command_line *line, struct sweep *sweep, const mn_job *job,
                               mn_error *err)
{
    char chosen[PATH_MAX], name[64];
    mn_status status = MN_OK;
    if (job->rank == 0) {
        if (line->run_dir != NULL) {
            (void)snprintf(chosen, sizeof chosen, "%s", line->run_dir);
            status = mn_folder_make(chosen, err);
        } else {
            (void)snprintf(chosen, sizeof chosen, "%s", line->arguments[0]);
            (void)snprintf(name, sizeof name, "%.50s", basename(chosen));
            char *dot = strrchr(name, '.');
            if (dot != NULL && dot > name)
                *dot = '\0';
            status = mn_run_default_folder(name, time(NULL), chosen, err);
        }
        if (status == MN_OK && realpath(chosen, sweep->folder) == NULL)
            status = mn_fail_errno(err, "open the sweep's folder %s", chosen);
        if (status == MN_OK && strlen(sweep->folder) > PATH_MAX - 200)
            status = mn_fail(err, MN_ERR_USAGE, "the path of the sweep's folder is too long");
    }
    status = mn_job_agree(job, status, err);
    if (status == MN_OK)
        mn_job_share(job, sweep->folder, sizeof sweep->folder);
    return status;
}

static mn_status report(const mn_command_line *line, const struct sweep *sweep,
                        const mn_sweep_results *results, mn_error *err)
{
    char *text = NULL;
    mn_sweep_table *table = NULL;
    mn_error why;
    mn_status status = mn_sweep_table_write(&sweep->plan, results, sweep->folder, err);
    if (status == MN_OK)
        status = mn_sweep_table_new(&sweep->plan, results, &table, err);
    if (status == MN_OK && line->json)
        status = mn_sweep_table_json(table, &text, err);
    if (status == MN_OK && line->json)
        (void)printf("%s\n", text);
    else if (status == MN_OK)
        mn_sweep_table_print(table, stdout);
    if (status == MN_OK) {
        if (mn_sweep_chart_draw(sweep->folder, table, &why) == MN_OK)
            mn_log(MN_LOG_INFO, "picture: %s/sweep.png; all numbers: %s/sweep.json", sweep->folder,
                   sweep->folder);
        else /* a gift, as ever */
            mn_log(MN_LOG_WARN, "%s", why.message);
        if (results->out_of_time)
            mn_log(MN_LOG_WARN,
                   "the budget of %g hours is spent: %" PRIu32 " of %" PRIu32
                   " runs are over; with more hours the same command goes on: mnemo sweep %s "
                   "--run-dir %s",
                   sweep->file.most_hours, results->n_over, sweep->plan.n_runs, line->arguments[0],
                   sweep->folder);
    }
    free(text);
    mn_sweep_table_destroy(&table);
    return status;
}

/* The sweep is over, and its table is good; but who started it is told by the exit code too. */
static mn_status first_failure(const struct sweep *sweep, const mn_sweep_results *results,
                               mn_error *err)
{
    uint32_t n = 0;
    for (uint32_t run = 0; run < sweep->plan.n_runs; run++)
        n += results->runs[run].failed != MN_OK;
    for (uint32_t run = 0; run < sweep->plan.n_runs; run++) {
        char name[MN_SWEEP_NAME];
        if (results->runs[run].failed == MN_OK)
            continue;
        mn_sweep_plan_name(&sweep->plan, run, name);
        return mn_fail(err, results->runs[run].failed,
                       "%" PRIu32 " of %" PRIu32 " runs failed; the first is %s: %s. The same "
                       "command tries them again",
                       n, sweep->plan.n_runs, name, results->runs[run].why);
    }
    return MN_OK;
}

static void print_plan(const struct sweep *sweep, const mn_command_line *line)
{
    const mn_sweep_plan *plan = &sweep->plan;
    const mn_sweep_config config = {.job = &(mn_job){.n_here = 1, .n_ranks = 1},
                                    .plan = plan,
                                    .slots = line->slots > 0 ? line->slots : sweep->file.slots};
    (void)printf("%" PRIu32 " point%s of %s, each with %" PRIu32 " seed%s: %" PRIu32
                 " run%s, %" PRIu64 " meta-steps in all; %" PRIu32 " at a time on this host\n",
                 plan->n_points, plan->n_points > 1 ? "s" : "", sweep->experiment, plan->n_seeds,
                 plan->n_seeds > 1 ? "s" : "", plan->n_runs, plan->n_runs > 1 ? "s" : "",
                 plan->steps, mn_sweep_slots(&config));
    if (plan->n_wanted > plan->n_points)
        (void)printf("the budget leaves out the last %" PRIu32 " of %" PRIu32 " points\n",
                     plan->n_wanted - plan->n_points, plan->n_wanted);
    for (uint32_t k = 0; k < plan->n_rungs; k++)
        (void)printf("after meta-step %" PRIu64 ", the best %" PRIu32 " of %" PRIu32
                     " points by validation go on\n",
                     plan->rungs[k], plan->admitted[k + 1], plan->admitted[k]);
    if (plan->base.evaluate.every == 0)
        (void)puts("no run is validated (evaluate.every is 0), so none will be the best");
    for (uint32_t run = 0; run < plan->n_runs; run++) {
        char name[MN_SWEEP_NAME], words[2000];
        mn_sweep_plan_name(plan, run, name);
        mn_sweep_plan_words(plan, run / plan->n_seeds, words, sizeof words);
        (void)printf("  %s  %s\n", name, words);
    }
}
