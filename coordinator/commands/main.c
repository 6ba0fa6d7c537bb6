/* mnemo: the user's program. */
#include "common/error.h"
#include "common/log.h"
#include "coordinator/commands/commands.h"
#include "coordinator/commands/help.h"
#include "worker/plugin/plugin.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef mn_status command(int argc, char **argv, mn_error *err);

static const struct {
    const char *name;
    command *call;
} commands[] = {{"train", mn_train_command},     {"evaluate", mn_evaluate_command},
                {"task", mn_task_command},       {"ask", mn_ask_command},
                {"adapt", mn_adapt_command},     {"predict", mn_predict_command},
                {"data", mn_data_command},       {"keys", mn_keys_command},
                {"bench", mn_bench_command},     {"export", mn_export_command},
                {"status", mn_status_command},   {"top", mn_top_command},
                {"report", mn_report_command},   {"self-test", mn_self_test_command},
                {"explain", mn_explain_command}, {"complete", mn_complete_command},
                {"plugin", mn_plugin_command},   {"sweep", mn_sweep_command},
                {"verify", mn_verify_command}};

static mn_status run(int argc, char **argv, mn_error *err);
static mn_status load_plugins(int argc, char **argv, mn_error *err);
static mn_status load_and_hand_on(const char *path, mn_error *err);

int main(int argc, char **argv)
{
    mn_error err = {0};
    (void)signal(SIGXFSZ, SIG_IGN); /* a file beyond a quota is an error that can be told */
    mn_status status = load_plugins(argc, argv, &err);
    if (status == MN_OK)
        status = run(argc, argv, &err);
    if (status != MN_OK && err.message[0] != '\0')
        mn_log_last_word("mnemo: %s: %s", mn_status_text(status), err.message);
    if (fflush(stdout) != 0 && status == MN_OK) {
        mn_log_last_word("mnemo: standard output cannot be written");
        status = MN_ERR_IO;
    }
    return mn_status_exit_code(status);
}

/* Before anything is read, for experiments, help and completion know their kinds. Not where one is
 * checked: what it does in loading is to be found out there, too. */
static mn_status load_plugins(int argc, char **argv, mn_error *err)
{
    if (argc > 1 && strcmp(argv[1], "plugin") == 0)
        return MN_OK;
    mn_status status = mn_plugin_load_list(getenv("MNEMO_PLUGINS"), err);
    for (int i = 1; i < argc && status == MN_OK && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--plugin=", strlen("--plugin=")) == 0)
            status = load_and_hand_on(argv[i] + strlen("--plugin="), err);
        else if (strcmp(argv[i], "--plugin") == 0 && i + 1 < argc)
            status = load_and_hand_on(argv[++i], err);
    }
    return status;
}

/* The programs that we start (runs of a sweep, what draws a task for the page) find it in the environment. */
static mn_status load_and_hand_on(const char *path, mn_error *err)
{
    mn_status status = mn_plugin_load(path, err);
    if (status != MN_OK)
        return status;
    char *real = realpath(path, NULL), *list = NULL;
    const char *before = getenv("MNEMO_PLUGINS");
    if (real == NULL)
        return mn_fail_errno(err, "the plug-in %s", path);
    if (strchr(real, ':') != NULL)
        status = mn_fail(err, MN_ERR_USAGE,
                         "the plug-in %s: expected a path without ':', which is between "
                         "those of MNEMO_PLUGINS",
                         real);
    else if (asprintf(&list, "%s%s%s", before == NULL ? "" : before,
                      before == NULL || before[0] == '\0' ? "" : ":", real) < 0 ||
             setenv("MNEMO_PLUGINS", list, 1) != 0)
        status = mn_fail(err, MN_ERR_NOMEM, "the list of plug-ins");
    free(list);
    free(real);
    return status;
}

static mn_status run(int argc, char **argv, mn_error *err)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--version") == 0) {
        (void)printf("mnemo %s\n", MN_VERSION);
        return MN_OK;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return mn_help("", err);
    if (strcmp(name, "help") == 0 && argc <= 3)
        return mn_help(argc == 3 && !mn_help_is_asked(1, argv + 2) ? argv[2] : "topics", err);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return mn_help_is_asked(argc - 2, argv + 2) ? mn_help(name, err)
                                                        : commands[i].call(argc - 1, argv + 1, err);
    return mn_help_unknown(name, err);
}
