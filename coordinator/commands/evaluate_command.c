/* mnemo evaluate: what trained thetas are worth on test tasks, alone or on the same tasks. */
#include "coordinator/commands/commands.h"

#include "common/file.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/pictures/chart.h"
#include "coordinator/run/comparison.h"
#include "coordinator/run/ensemble.h"
#include "coordinator/server/session.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 16, MOST_CONTESTANTS = MOST_RUNS + 2 };

/* One theta that is judged. */
struct judged {
    mn_evaluation table;
    bool tested;
    char theta[MN_THETA_NAME], sha256[65], changes[sizeof((mn_session *)0)->changes];
    char name[PATH_MAX];
    uint64_t step;
    mn_conditions conditions;
    mn_score_list scores; /* an ensemble's own; owned */
};

/* What the command opens, to be closed again; all is owned but line. */
struct court {
    const mn_command_line *line;
    size_t n_runs;
    mn_session sessions[MOST_RUNS];
    struct judged judged[MOST_CONTESTANTS]; /* the runs, and behind them an ensemble and a
                                               random start */
    size_t n_judged;
    size_t together; /* which of them is the ensemble, if there is one */
};

static mn_status check_line(const mn_command_line *line, mn_error *err);
static mn_status open_run(struct court *court, size_t k, mn_error *err);
static mn_status same_tasks(struct court *court, mn_error *err);
static mn_status write_episodes(const struct court *court, mn_error *err);
static mn_status judge(struct court *court, mn_session *session, const char *name, mn_error *err);
static mn_status judge_together(struct court *court, mn_error *err);
static mn_status report(const struct court *court, mn_error *err);
static void close_court(struct court *court);

mn_status mn_evaluate_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_status status = mn_command_line_read(
        &line, argc, argv,
        MN_TAKES_VERBOSITY | MN_TAKES_JSON | MN_TAKES_PNG | MN_TAKES_SPLIT | MN_TAKES_JUDGING, err);
    if (status == MN_OK)
        status = check_line(&line, err);
    if (status != MN_OK)
        return status;
    struct court *court = calloc(1, sizeof *court);
    if (court == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "runs to be judged");
    court->line = &line;
    court->n_runs = line.n_arguments;
    mn_session *first = &court->sessions[0];
    status = mn_session_begin(first, mn_command_line_level(&line), err);
    for (size_t k = 0; k < court->n_runs && status == MN_OK; k++) {
        court->sessions[k].job = first->job;
        status = open_run(court, k, err);
    }
    if (status == MN_OK && court->n_runs > 1)
        status = same_tasks(court, err);
    if (status == MN_OK && line.write_episodes != NULL)
        status = write_episodes(court, err);
    for (size_t k = 0; k < court->n_runs && status == MN_OK; k++)
        status = judge(court, &court->sessions[k], line.arguments[k], err);
    if (status == MN_OK && line.ensemble > 0)
        status = judge_together(court, err);
    if (status == MN_OK && line.baseline) {
        char name[64];
        (void)snprintf(name, sizeof name, "random start, seed %" PRIu64, first->experiment.seed);
        status = mn_session_begin_anew(first, err);
        if (status == MN_OK)
            status = judge(court, first, name, err);
    }
    if (first->job.rank == 0 && (status == MN_OK || court->n_judged == 1)) {
        mn_error why = {0};
        const mn_status told = report(court, &why);
        if (status == MN_OK && told != MN_OK)
            status = mn_fail(err, told, "%s", why.message);
    }
    if (status != MN_OK && first->job.rank != 0)
        err->message[0] = '\0'; /* rank 0 says it for all */
    close_court(court);
    return status;
}

static mn_status check_line(const mn_command_line *line, mn_error *err)
{
    if (line->n_arguments == 0)
        return mn_fail(err, MN_ERR_USAGE,
                       "evaluate: expected the folder of one run, or of several "
                       "to compare");
    if (line->n_arguments > MOST_RUNS)
        return mn_fail(err, MN_ERR_USAGE, "evaluate: more than %d runs", MOST_RUNS);
    if (line->split != NULL && strcmp(line->split, "train") != 0 &&
        strcmp(line->split, "val") != 0 && strcmp(line->split, "test") != 0)
        return mn_fail(err, MN_ERR_USAGE, "--split %s: expected train, val or test", line->split);
    if (line->ensemble == 1 ||
        (line->n_arguments > 1 && line->ensemble > 0 && line->ensemble != line->n_arguments))
        return mn_fail(err, MN_ERR_USAGE,
                       "--ensemble %" PRIu32 ": expected 2 to %d checkpoints of one run, or with "
                       "several runs how many these are, %zu",
                       line->ensemble, MOST_RUNS, line->n_arguments);
    return MN_OK;
}

/* Opening ------------------------------------------------------------------------------ */

static mn_status read_experiment(const mn_command_line *line, const char *folder,
                                 mn_session *session, mn_error *err)
{
    const char *sets[MN_MAX_ARGUMENTS + 3];
    char split[32];
    char list[PATH_MAX + 32];
    size_t n = 0;
    if (line->read_episodes != NULL) {
        (void)snprintf(list, sizeof list, "evaluate.episodes=%s", line->read_episodes);
        sets[n++] = "evaluate.tasks=32768"; /* all of the list; --set comes after it */
        sets[n++] = list;
    }
    if (line->split != NULL) {
        (void)snprintf(split, sizeof split, "evaluate.split=%s", line->split);
        sets[n++] = split;
    }
    memcpy(sets + n, line->sets, line->n_sets * sizeof *sets);
    const mn_session_options options = {.sets = sets, .n_sets = n + line->n_sets, .folder = folder};
    mn_status status = MN_OK;
    if (session->job.rank == 0) {
        status = mn_session_experiment(&options, &session->experiment, err);
        if (session->experiment.tasks.kind != MN_TASKS_EXTERNAL)
            session->experiment.pool.listen[0] = '\0';
    }
    return mn_job_agree(&session->job, status, err);
}

static mn_status open_run(struct court *court, size_t k, mn_error *err)
{
    mn_session *session = &court->sessions[k];
    const char *folder = court->line->arguments[k];
    mn_status status = read_experiment(court->line, folder, session, err);
    if (status == MN_OK)
        status = mn_session_open(session, err);
    if (status == MN_OK)
        status = mn_session_check_splits(session, true, err);
    if (status == MN_OK)
        status = mn_session_resume(session, folder, MN_TO_JUDGE, err);
    if (status == MN_OK)
        status = mn_session_check_leaks(session, MN_TO_JUDGE, err);
    if (status == MN_OK && court->line->ensemble > 0 && mn_learner_is_external(session->learner))
        status = mn_fail(err, MN_ERR_CONFIG,
                         "--ensemble: answers of a learner of the user's own (tasks.kind external) "
                         "are not known here, only its scores");
    /* a run of remote workers; here there are none, but of learners that are not ours */
    if (status == MN_OK && session->threads == 0 && !mn_learner_is_external(session->learner))
        session->threads = mn_session_threads(-1, session->job.n_here);
    return status;
}

/* Keys may differ and the tasks be the same, as the seed where stories come in order; so the tasks
 * themselves are compared, and keys only tell why they differ. */
static mn_status same_tasks(struct court *court, mn_error *err)
{
    const mn_session *first = &court->sessions[0];
    const mn_command_line *line = court->line;
    mn_status status = MN_OK;
    mn_digest expected = {{0}};
    for (size_t k = 0; k < court->n_runs && first->job.rank == 0 && status == MN_OK; k++) {
        const mn_session *other = &court->sessions[k];
        mn_digest digest = {{0}};
        char keys[512];
        status = mn_task_set_fingerprint(other->tasks, MN_TEST, other->experiment.evaluate.tasks,
                                         &digest, err);
        if (k == 0)
            expected = digest;
        if (status != MN_OK || memcmp(&digest, &expected, sizeof digest) == 0)
            continue;
        mn_experiment_task_changes(&first->experiment, &other->experiment, keys, sizeof keys);
        status =
            mn_fail(err, MN_ERR_CONFIG,
                    "%s is not judged on the same tasks as %s: it has %s; give all of them the "
                    "same by --set, as --set seed=1",
                    line->arguments[k], line->arguments[0], keys[0] != '\0' ? keys : "other data");
    }
    return mn_job_agree(&first->job, status, err);
}

/* Of the first run, whose tasks are those of all. */
static mn_status write_episodes(const struct court *court, mn_error *err)
{
    const mn_session *first = &court->sessions[0];
    mn_status status = MN_OK;
    if (first->job.rank == 0)
        status = mn_task_set_write_episodes(first->tasks, MN_TEST, first->experiment.evaluate.tasks,
                                            court->line->write_episodes, err);
    return mn_job_agree(&first->job, status, err);
}

/* Judging ------------------------------------------------------------------------------ */

static mn_status judge(struct court *court, mn_session *session, const char *name, mn_error *err)
{
    struct judged *judged = &court->judged[court->n_judged];
    const mn_serving how = {.test_only = true, .quiet = court->line->quiet};
    mn_status status = mn_session_serve(session, &how, &judged->table, &judged->tested, err);
    const mn_digest digest =
        mn_learner_fingerprint(session->learner, mn_training_final_theta(session->training));
    mn_digest_hex(&digest, judged->sha256);
    mn_training_name_final(session->training, judged->theta);
    (void)snprintf(judged->name, sizeof judged->name, "%s", name);
    (void)snprintf(judged->changes, sizeof judged->changes, "%s", session->changes);
    judged->conditions = session->conditions;
    judged->step = mn_training_step(session->training);
    court->n_judged++;
    return status;
}

/* What each answers with: the N newest thetas of one run, or those that several runs are tested with. */
static mn_status gather(struct court *court, float **thetas, mn_member *members, mn_error *err)
{
    const uint32_t n = court->line->ensemble;
    const mn_session *first = &court->sessions[0];
    const mn_theta_layout layout = mn_training_layout(first->training);
    struct judged *judged = &court->judged[court->n_judged];
    char folder[PATH_MAX];
    float *outside[MOST_RUNS] = {NULL};
    uint64_t steps[MOST_RUNS] = {0};
    for (uint32_t k = 0; k < n && court->n_runs > 1; k++)
        members[k] = (mn_member){court->sessions[k].learner,
                                 mn_training_final_theta(court->sessions[k].training)};
    (void)snprintf(judged->theta, sizeof judged->theta, "those of all runs");
    if (court->n_runs > 1)
        return MN_OK;
    mn_status status = mn_run_path(court->line->arguments[0], "checkpoints", folder, err);
    if (status == MN_OK)
        status = mn_checkpoint_read_thetas(folder, &layout, n, outside, steps, err);
    for (uint32_t k = 0; k < n && status == MN_OK; k++) {
        thetas[k] = malloc(layout.n * sizeof *thetas[k]);
        if (thetas[k] == NULL)
            status = mn_fail(err, MN_ERR_NOMEM, "theta");
        else
            mn_learner_import(first->learner, outside[k], thetas[k]);
        members[k] = (mn_member){first->learner, thetas[k]};
    }
    for (uint32_t k = 0; k < n; k++)
        free(outside[k]);
    (void)snprintf(judged->theta, sizeof judged->theta,
                   "those of meta-steps %" PRIu64 " to %" PRIu64, steps[n - 1], steps[0]);
    return status;
}

/* Members answer after meta.inner_steps, so that is what they must be compared with. */
static mn_status check_steps(const mn_session *session, mn_error *err)
{
    const mn_score_list *scores = mn_learner_test_scores(session->learner);
    const mn_score *judged = &scores->at[scores->judged];
    char steps[24];
    (void)snprintf(steps, sizeof steps, "%" PRIu32, session->experiment.meta.inner_steps);
    if (strcmp(judged->axis, "inner_steps") != 0 || strcmp(judged->point, steps) == 0)
        return MN_OK;
    return mn_fail(
        err, MN_ERR_CONFIG,
        "--ensemble answers after meta.inner_steps, %s, which evaluate.inner_steps leaves "
        "out: give it --set evaluate.inner_steps=%s, or another --set meta.inner_steps=",
        steps, steps);
}

/* By rank 0 alone: no rule and no worker knows of ensembles. */
static mn_status judge_together(struct court *court, mn_error *err)
{
    const mn_session *first = &court->sessions[0];
    struct judged *judged = &court->judged[court->n_judged];
    float *thetas[MOST_RUNS] = {NULL};
    mn_member members[MOST_RUNS];
    mn_status status = MN_OK;
    if (first->job.rank == 0) {
        status = check_steps(first, err);
        if (status == MN_OK)
            status = gather(court, thetas, members, err);
        if (status == MN_OK)
            status = mn_ensemble_judge(
                court->line->ensemble, members, first->tasks, first->experiment.evaluate.tasks,
                first->threads > 0 ? first->threads : 1, &judged->scores, &judged->table, err);
    }
    judged->tested = status == MN_OK;
    judged->table.split = first->experiment.evaluate.split;
    for (uint32_t k = 0; k < MOST_RUNS; k++)
        free(thetas[k]);
    status = mn_job_agree(&first->job, status, err);
    if (status != MN_OK)
        return status;
    (void)snprintf(judged->name, sizeof judged->name, "mean of %" PRIu32, court->line->ensemble);
    judged->conditions = first->conditions;
    judged->conditions.ensemble = court->line->ensemble;
    judged->step = mn_training_step(first->training);
    court->together = court->n_judged++;
    return MN_OK;
}

/* Is it by more than one theta? */
static bool is_together(const struct court *court, size_t k)
{
    return court->line->ensemble > 0 && k == court->together;
}

/* Telling ------------------------------------------------------------------------------ */

static void print(const struct court *court)
{
    char conditions[512];
    const bool alone = court->n_judged == 1;
    for (size_t k = 0; k < court->n_judged; k++) { /* whose are those of the first need no words */
        const struct judged *judged = &court->judged[k];
        char own[sizeof conditions];
        mn_conditions_text(&judged->conditions, own, sizeof own);
        if (k > 0 && strcmp(own, conditions) == 0)
            continue;
        (void)printf("%s%s%s\n", k > 0 ? judged->name : "", k > 0 ? ": " : "", own);
        if (k == 0)
            (void)snprintf(conditions, sizeof conditions, "%s", own);
    }
    for (size_t k = 0; k < court->n_runs; k++)
        if (court->sessions[k].leaks[0] != '\0')
            (void)printf("%s%s%s\n", alone ? "" : court->line->arguments[k], alone ? "" : ": ",
                         court->sessions[k].leaks);
    for (size_t k = 0; k < court->n_judged; k++) {
        const struct judged *judged = &court->judged[k];
        const char *name = alone ? "" : judged->name, *colon = alone ? "" : ": ";
        if (judged->changes[0] != '\0')
            (void)printf("%s%snot as in training: %s\n", name, colon, judged->changes);
        (void)printf("%s%stheta: %s\n", name, colon, judged->theta);
        if (!is_together(court, k))
            (void)printf("%s%safter meta-step %" PRIu64 "; theta sha256=%s\n", name, colon,
                         judged->step, judged->sha256);
    }
}

static mn_status write_table(const char *path,
                             void (*print_rows)(size_t, const mn_contestant *, FILE *), size_t n,
                             const mn_contestant *contestants, mn_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%s", path);
    print_rows(n, contestants, out);
    mn_status status = fclose(out) == 0 ? mn_file_write(path, text, size, err)
                                        : mn_fail(err, MN_ERR_NOMEM, "%s", path);
    free(text);
    return status;
}

static mn_status report(const struct court *court, mn_error *err)
{
    mn_contestant contestants[MOST_CONTESTANTS];
    mn_status status = MN_OK;
    for (size_t k = 0; k < court->n_judged; k++) {
        const struct judged *judged = &court->judged[k];
        if (!judged->tested)
            return MN_OK; /* why is told by the error */
        contestants[k] = (mn_contestant){.name = judged->name,
                                         .table = &judged->table,
                                         .conditions = &judged->conditions,
                                         .changes = judged->changes,
                                         .leaks = court->sessions[k < court->n_runs ? k : 0].leaks,
                                         .theta = judged->theta,
                                         .sha256 = judged->sha256,
                                         .step = judged->step};
    }
    if (court->line->scores != NULL)
        status = write_table(court->line->scores, mn_comparison_tasks, court->n_judged, contestants,
                             err);
    if (status == MN_OK && court->line->csv != NULL)
        status =
            write_table(court->line->csv, mn_comparison_points, court->n_judged, contestants, err);
    if (status == MN_OK && court->line->png != NULL)
        status = mn_chart_points(court->line->png, court->n_judged, contestants, err);
    if (status != MN_OK)
        return status;
    if (court->line->json) {
        char *text = NULL;
        status = mn_comparison_json(court->n_judged, contestants, &text, err);
        if (status == MN_OK)
            (void)puts(text);
        free(text);
        return status;
    }
    if (court->n_judged == 1)
        mn_evaluation_print(&court->judged[0].table, stdout);
    else
        mn_comparison_print(court->n_judged, contestants, stdout);
    print(court);
    return MN_OK;
}

static void close_court(struct court *court)
{
    for (size_t k = 0; k < court->n_judged; k++) {
        mn_evaluation_fini(&court->judged[k].table);
        mn_score_list_fini(&court->judged[k].scores);
    }
    for (size_t k = court->n_runs - 1; k > 0; k--)
        mn_session_close(&court->sessions[k]);
    mn_session_end(&court->sessions[0]);
    free(court);
}
