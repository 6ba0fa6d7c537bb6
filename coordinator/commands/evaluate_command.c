#include "coordinator/commands/commands.h"

#include "coordinator/commands/command_line.h"
#include "coordinator/server/session.h"
#include <inttypes.h>
#include <stdio.h>

static mn_status evaluate(const mn_command_line *line, mn_session *session, mn_error *err);
static mn_status read_experiment(const mn_command_line *line, mn_session *session, mn_error *err);
static mn_status test(const mn_command_line *line, mn_session *session, mn_error *err);

mn_status mn_evaluate_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_session session = {0};
    mn_status status = mn_command_line_read(&line, argc, argv, MN_TAKES_VERBOSITY, err);
    if (status == MN_OK && line.n_arguments != 1)
        status = mn_fail(err, MN_ERR_USAGE, "evaluate: expected the folder of one run");
    if (status != MN_OK)
        return status;
    status = mn_session_begin(&session, mn_command_line_level(&line), err);
    if (status == MN_OK)
        status = evaluate(&line, &session, err);
    if (status != MN_OK && session.job.rank != 0)
        err->message[0] = '\0'; /* rank 0 says it for all */
    mn_session_end(&session);
    return status;
}

static mn_status evaluate(const mn_command_line *line, mn_session *session, mn_error *err)
{
    mn_status status = read_experiment(line, session, err);
    if (status == MN_OK)
        status = mn_session_open(session, err);
    if (status == MN_OK)
        status = mn_session_check_splits(session, true, err);
    if (status == MN_OK)
        status = mn_session_resume(session, line->arguments[0], MN_TO_JUDGE, err);
    if (status == MN_OK && session->threads == 0) /* a run of remote workers; here there are none */
        session->threads = mn_session_threads(-1, session->job.n_here);
    return status == MN_OK ? test(line, session, err) : status;
}

static mn_status read_experiment(const mn_command_line *line, mn_session *session, mn_error *err)
{
    const mn_session_options options = {
        .sets = line->sets, .n_sets = line->n_sets, .folder = line->arguments[0]};
    mn_status status = MN_OK;
    if (session->job.rank == 0) {
        status = mn_session_experiment(&options, &session->experiment, err);
        session->experiment.pool.listen[0] = '\0';
    }
    return mn_job_agree(&session->job, status, err);
}

static mn_status test(const mn_command_line *line, mn_session *session, mn_error *err)
{
    const mn_serving how = {.test_only = true, .quiet = line->quiet};
    mn_evaluation table = {0};
    bool tested = false;
    mn_status status = mn_session_serve(session, &how, &table, &tested, err);
    if (tested && session->job.rank == 0) {
        char hex[65];
        const mn_digest digest =
            mn_learner_fingerprint(session->learner, mn_training_final_theta(session->training));
        mn_digest_hex(&digest, hex);
        mn_evaluation_print(&table, stdout);
        if (session->changes[0] != '\0')
            (void)printf("not as in training: %s\n", session->changes);
        (void)printf("after meta-step %" PRIu64 "; theta sha256=%s\n",
                     mn_training_step(session->training), hex);
    }
    mn_evaluation_fini(&table);
    return status;
}
