/* mnemo: the user's program. */
#include "common/error.h"
#include "common/experiment.h"
#include "coordinator/commands/commands.h"
#include <stdio.h>
#include <string.h>

typedef mn_status command(int argc, char **argv, mn_error *err);

static const struct {
    const char *name;
    command *call;
    const char *usage;
} commands[] = {
    {"train", mn_train_command,
     "EXPERIMENT.yaml [--run-dir DIR] [--theta CHECKPOINT] [--set KEY=VALUE]... [--check]\n"
     "            [--quiet|--verbose]\n"
     "      Meta-train, alone or under mpirun or srun; in a run folder that exists, go on where "
     "it\n"
     "      stopped. --theta: a new run begins with the theta of a checkpoint instead of random\n"
     "      numbers. --check: only print the effective configuration. The last lines of the\n"
     "      output are the test table and the fingerprint of theta."},
    {"evaluate", mn_evaluate_command,
     "RUN [--set KEY=VALUE]... [--quiet|--verbose]\n"
     "      Test the newest theta of a run on test tasks: mean and 95 % interval."},
    {"task", mn_task_command,
     "EXPERIMENT.yaml [--split train|val|test] [--index N] [--png FILE]\n"
     "           [--dump FILE [--theta CHECKPOINT]] [--set KEY=VALUE]...\n"
     "      Show one task. --dump: its data, theta, adapted theta, losses and meta-gradient as\n"
     "      safetensors; theta is that of step 0 or of a checkpoint."},
    {"data", mn_data_command,
     "import omniglot ZIP... -o FILE [--size PIXELS] [--splits FOLDER|--val-alphabets N]\n"
     "       data import omniglot-runs ZIP -o FILE [--size PIXELS]\n"
     "       data import folder DIR -o FILE [--size PIXELS] [--colour] [--ink]\n"
     "      Pack images into one file that task sets read. omniglot-runs: the official one-shot\n"
     "      runs of all_runs.zip, for tasks.runs. --val-alphabets: so many of the background\n"
     "      alphabets are for validation, and images_evaluation.zip may be left out."},
    {"keys", mn_keys_command,
     "new [-o FOLDER]\n"
     "       keys worker NAME [-o FOLDER]\n"
     "      Make a folder of keys (default: keys) for pool.keys, with one worker's; or one "
     "worker's\n"
     "      more. Workers whose public key stands in FOLDER/workers.allow may join, and give\n"
     "      mnemo-worker --secret NAME.secret. The file is read again when it changes; to take\n"
     "      a key away, delete its line: it keeps the worker from coming in again."},
    {"bench", mn_bench_command,
     "EXPERIMENT.yaml [--threads N] [--seconds S] [--json] [--profile] [--set KEY=VALUE]...\n"
     "      Speed of whole meta-steps on this machine, without network or files, beside what its\n"
     "      cores give at most, one alone and N at once. --profile: where a task's time goes, by\n"
     "      kind of operation and by single operation."},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out);

int main(int argc, char **argv)
{
    mn_error err = {0};
    mn_status status = MN_ERR_USAGE;
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        (void)printf("mnemo %s\n", MN_VERSION);
        return 0;
    }
    command *chosen = NULL;
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            chosen = commands[i].call;
    if (chosen == NULL)
        (void)mn_fail(
            &err, status,
            "%s%s%s: expected train, evaluate, task, data, keys or bench; see mnemo --help",
            name[0] == '\0' ? "no command" : "\"", name, name[0] == '\0' ? "" : "\"");
    else if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
        print_help(stdout);
        return 0;
    } else {
        status = chosen(argc - 1, argv + 1, &err);
    }
    if (status != MN_OK && err.message[0] != '\0')
        (void)fprintf(stderr, "mnemo: %s: %s\n", mn_status_text(status), err.message);
    if (fflush(stdout) != 0 && status == MN_OK) {
        (void)fprintf(stderr, "mnemo: standard output cannot be written\n");
        status = MN_ERR_IO;
    }
    return mn_status_exit_code(status);
}

static void print_help(FILE *out)
{
    (void)fprintf(out,
                  "mnemo %s: meta-training of memory networks on as many machines as there are\n\n"
                  "usage:\n",
                  MN_VERSION);
    for (size_t i = 0; i < N_COMMANDS; i++)
        (void)fprintf(out, "  mnemo %s %s\n", commands[i].name, commands[i].usage);
    (void)fputs(
        "  mnemo --help, mnemo --version\n\n"
        "Workers join a run with: mnemo-worker RUN/endpoint\n\n"
        "signals: TERM, INT, USR2: write a checkpoint and leave with exit code 75; USR1: write\n"
        "  a checkpoint and go on.\n\n"
        "environment: MNEMO_DATA: folders of data files; MNEMO_KERNELS: which kernels to use.\n\n"
        "exit codes:\n"
        "   0  done\n",
        out);
    static const struct {
        mn_status status;
        const char *example;
    } codes[] = {
        {MN_ERR_USAGE, "an unknown option, a missing argument"},
        {MN_ERR_DATA, "a truncated archive, no whole checkpoint"},
        {MN_ERR_NO_INPUT, "no such experiment, run or data"},
        {MN_ERR_UNAVAILABLE, "a port in use, a run that another job writes"},
        {MN_ERR_INTERNAL, "please report it; also ranks that do not agree"},
        {MN_ERR_NOMEM, ""},
        {MN_ERR_IO, "a full disk"},
        {MN_STOPPED, "by a signal; for a scheduler to queue the job again"},
        {MN_ERR_PROTOCOL, ""},
        {MN_ERR_PERMISSION, "a folder that must not be written"},
        {MN_ERR_CONFIG, "an unknown key, a value out of range, another numeric class"},
        {MN_ERR_NUMERIC,
         "all tasks of outer.max_skipped_steps meta-steps in a row, or of the test, were skipped;\n"
         "      or one was, with outer.nonfinite=abort"},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        (void)fprintf(out, "  %2d  %s%s%s\n", mn_status_exit_code(codes[i].status),
                      mn_status_text(codes[i].status), codes[i].example[0] != '\0' ? ": " : "",
                      codes[i].example);
    (void)fputs("\nkeys of an experiment file, for --set too:\n", out);
    mn_experiment_help(out);
}
