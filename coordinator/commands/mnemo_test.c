/* The programs as a user starts them: whole runs on sinusoids, alone, under mpirun, with workers,
 * with signals. */
#include "common/file.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_WORDS 48
#define LONG_RUN "outer.steps=600"

extern char **environ;

/* A program that runs. What it says on standard error comes through a pipe, so that tests can wait
 * for a line. */
struct process {
    pid_t id;
    FILE *errors;
    char output[64]; /* file with its standard output */
};

static char folder[PATH_MAX];

static const char experiment[] =
    "name: sine\nseed: 3\n"
    "tasks: {kind: sinusoid, shot: 5, query: 5}\n"
    "model: {input: mlp, hidden: [16]}\n"
    "outer: {steps: 40, batch: 8}\n"
    "evaluate: {tasks: 20, every: 10, val_tasks: 10, keep_best: true}\n"
    "run: {checkpoint_every: 10, pictures: false}\n";

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/mnemo_test.XXXXXX");
    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        return -1;
    return mn_file_write("sine.yaml", experiment, sizeof experiment - 1, NULL) == MN_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[PATH_MAX + 16];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return chdir("/") == 0 ? system(command) : -1;
}

/* Start "program words..."; the text is cut at blanks. */
static struct process start(const char *format, ...) __attribute__((format(printf, 1, 2)));
static struct process start(const char *format, ...)
{
    static unsigned number = 0;
    struct process process = {0};
    char text[2048];
    char *words[MAX_WORDS + 1] = {0};
    int ends[2];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, sizeof text, format, values);
    va_end(values);
    size_t n = 0;
    for (char *word = strtok(text, " "); word != NULL && n < MAX_WORDS; word = strtok(NULL, " "))
        words[n++] = word;
    (void)snprintf(process.output, sizeof process.output, "output.%u", ++number);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t files;
    assert_int_equal(posix_spawn_file_actions_init(&files), 0);
    (void)posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, process.output,
                                           O_WRONLY | O_CREAT | O_TRUNC, 0644);
    (void)posix_spawn_file_actions_adddup2(&files, ends[1], STDERR_FILENO);
    assert_int_equal(posix_spawnp(&process.id, words[0], &files, NULL, words, environ), 0);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)close(ends[1]);
    process.errors = fdopen(ends[0], "r");
    assert_non_null(process.errors);
    return process;
}

/* Read on until a line with these words; false: the program ended without. */
static bool says(struct process *process, const char *words)
{
    char line[4096];
    while (fgets(line, sizeof line, process->errors) != NULL)
        if (strstr(line, words) != NULL)
            return true;
    return false;
}

/* Wait for the end; the exit code, or 256 + the signal. */
static int finish(struct process *process)
{
    int state = 0;
    (void)says(process, "\n\n"); /* to the end */
    (void)fclose(process->errors);
    assert_int_equal(waitpid(process->id, &state, 0), process->id);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 256 + WTERMSIG(state);
}

/* The last line of the output. */
static const char *last_line(const struct process *process)
{
    static char line[8][256];
    static unsigned turn = 0;
    char *here = line[turn++ % 8];
    FILE *file = fopen(process->output, "r");
    assert_non_null(file);
    here[0] = '\0';
    while (fgets(here, sizeof line[0], file) != NULL)
        ;
    (void)fclose(file);
    return here;
}

static const char *run_to_the_end(const char *launcher, const char *words)
{
    struct process process = start("%s %s train sine.yaml %s", launcher, MNEMO, words);
    assert_int_equal(finish(&process), 0);
    const char *theta = last_line(&process);
    assert_int_equal(strlen(theta), strlen("theta sha256=") + 64 + 1);
    return theta;
}

#define RANKS(n) MPIRUN " --oversubscribe --bind-to none -n " #n

static void every_shape_of_the_cluster_gives_the_same_theta(void **state)
{
    (void)state;
    const char *alone = run_to_the_end("env", "--set pool.threads=1 --run-dir a");
    assert_string_equal(run_to_the_end("env", "--set pool.threads=2 --run-dir b"), alone);
    assert_string_equal(run_to_the_end(RANKS(2), "--set pool.threads=1 --run-dir c"), alone);
    assert_string_not_equal(run_to_the_end("env", "--set seed=4 --run-dir d"), alone);
}

static void workers_that_come_and_are_killed_do_not_change_theta(void **state)
{
    (void)state;
    const char *alone =
        run_to_the_end("env", "--set " LONG_RUN " --set pool.threads=1 --run-dir a");
    struct process run =
        start(RANKS(3) " " MNEMO " train sine.yaml --run-dir b --set pool.threads=0 "
                       "--set " LONG_RUN);
    struct process workers[4];
    for (int i = 0; i < 3; i++)
        workers[i] = start(MNEMO_WORKER " --threads 1 --patience 60 b");
    for (int i = 0; i < 3; i++)
        assert_true(says(&run, "joined"));
    assert_true(says(&run, "validation"));
    assert_int_equal(kill(workers[0].id, SIGKILL), 0);
    assert_int_equal(finish(&workers[0]), 256 + SIGKILL);
    workers[3] = start(MNEMO_WORKER " --threads 2 --patience 60 b");
    assert_int_equal(finish(&run), 0);
    assert_string_equal(last_line(&run), alone);
    assert_int_equal(finish(&workers[1]), 0);
    assert_int_equal(finish(&workers[2]), 0);
    (void)kill(workers[3].id, SIGTERM); /* it may have come too late to hear that the run is over */
    (void)finish(&workers[3]);
}

static void
a_run_that_is_stopped_and_resumed_gives_the_theta_of_one_that_never_stopped(void **state)
{
    (void)state;
    static const int signals[] = {SIGUSR2, SIGTERM, SIGINT, SIGHUP};
    const char *whole = run_to_the_end("env", "--set " LONG_RUN " --run-dir a");
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct process run = start(MNEMO " train sine.yaml --run-dir b%zu --set " LONG_RUN, i);
        assert_true(says(&run, "step 20: validation"));
        assert_int_equal(kill(run.id, SIGUSR1), 0); /* a checkpoint, and it goes on */
        assert_true(says(&run, "validation"));
        assert_int_equal(kill(run.id, signals[i]), 0);
        assert_int_equal(finish(&run), 75);
        struct process rest =
            start("%s " MNEMO " train --run-dir b%zu", i == 0 ? RANKS(2) : "env", i);
        assert_int_equal(finish(&rest), 0);
        assert_string_equal(last_line(&rest), whole);
    }
}

/* As with `2>&1 | head`. */
static void a_run_goes_on_when_the_reader_of_its_log_has_gone(void **state)
{
    (void)state;
    int code = 0;
    struct process run =
        start(MNEMO " train sine.yaml --run-dir a --set run.log_every=1 --set " LONG_RUN);
    assert_true(says(&run, "step 20: validation"));
    (void)fclose(run.errors);
    assert_int_equal(waitpid(run.id, &code, 0), run.id);
    assert_true(WIFEXITED(code));
    assert_int_equal(WEXITSTATUS(code), 0);
}

static void a_damaged_checkpoint_costs_only_time(void **state)
{
    (void)state;
    const char *whole = run_to_the_end("env", "--run-dir a");
    const char newest[] = "a/checkpoints/step-000000040.safetensors";
    struct stat size;
    assert_int_equal(stat(newest, &size), 0);
    assert_int_equal(truncate(newest, size.st_size / 2), 0);
    struct process again = start(MNEMO " train --run-dir a");
    assert_true(says(&again, "checkpoint skipped: "));
    assert_true(says(&again, "goes on at meta-step 30 of 40"));
    assert_int_equal(finish(&again), 0);
    assert_string_equal(last_line(&again), whole);
}

static void a_checkpoint_that_cannot_be_written_ends_all_ranks_and_keeps_the_older(void **state)
{
    (void)state;
    (void)run_to_the_end("env", "--set outer.steps=5 --run-dir a");
    assert_int_equal(mkdir("a/checkpoints/step-000000010.safetensors", 0755), 0);
    struct process run = start(RANKS(2) " " MNEMO " train sine.yaml --run-dir a");
    assert_true(says(&run, "step-000000010.safetensors"));
    assert_int_equal(finish(&run), 74);
    assert_int_equal(access("a/checkpoints/step-000000005.safetensors", F_OK), 0);
}

static void workers_are_told_why_a_run_fails(void **state)
{
    (void)state;
    struct process run =
        start(RANKS(2) " " MNEMO " train sine.yaml --run-dir a --set pool.threads=0 "
                       "--set outer.nonfinite=abort --set meta.inner_steps=50 "
                       "--set meta.inner_lr=100");
    assert_true(says(&run, "begins"));
    struct process worker = start(MNEMO_WORKER " --threads 1 --patience 60 a");
    assert_true(says(&worker, "the run stops: meta-step 1: "));
    assert_int_equal(kill(worker.id, SIGTERM), 0);
    assert_int_equal(finish(&worker), 0);
    assert_int_equal(finish(&run), 79);
    assert_int_equal(access("a/checkpoints/step-000000000.safetensors", F_OK), 0);
}

/* The number of meta-steps in the run's metrics. */
static int steps_in(const char *path)
{
    char line[4096];
    int n = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        n += strstr(line, "tasks_per_s") != NULL;
    (void)fclose(file);
    return n;
}

#define RUNAWAY "--set meta.inner_lr=100 --set meta.inner_steps=50"

static void a_run_that_learns_nothing_says_why_and_ends(void **state)
{
    (void)state;
    static const struct {
        const char *launcher, *words;
        int steps; /* made before the one that ends it */
    } cases[] = {
        {"env", "--set pool.threads=1", 9},
        {RANKS(3), "--set pool.threads=1", 9},
        {"env", "--set pool.threads=2 --set outer.max_skipped_steps=3", 2},
        {"env", "--set outer.steps=4", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char words[128], metrics[64];
        struct process run = start("%s " MNEMO " train sine.yaml --run-dir a%zu " RUNAWAY " %s",
                                   cases[i].launcher, i, cases[i].words);
        assert_true(says(&run, "step 1: 8 tasks skipped"));
        (void)snprintf(words, sizeof words, "meta-step %d: of %d in a row", cases[i].steps + 1,
                       cases[i].steps + 1);
        assert_true(says(&run, words));
        assert_int_equal(finish(&run), 79);
        assert_string_equal(last_line(&run), ""); /* no score, no fingerprint */
        (void)snprintf(metrics, sizeof metrics, "a%zu/metrics.jsonl", i);
        assert_int_equal(steps_in(metrics), cases[i].steps);

        struct process again = start(MNEMO " train --run-dir a%zu", i); /* the same end */
        assert_true(says(&again, words));
        assert_int_equal(finish(&again), 79);
        assert_int_equal(steps_in(metrics), cases[i].steps);
    }
    struct process run = start(MNEMO " train --run-dir a0 --set outer.max_skipped_steps=0 --quiet");
    assert_true(says(&run, "all 20 test tasks were skipped"));
    assert_int_equal(finish(&run), 79);
    assert_int_equal(steps_in("a0/metrics.jsonl"), 40);
}

static void no_score_is_told_where_no_test_task_counts(void **state)
{
    (void)state;
    struct process run =
        start(MNEMO " train sine.yaml --run-dir b " RUNAWAY " --set outer.max_skipped_steps=0");
    assert_true(says(&run, "validation has no score"));
    assert_true(says(&run, "meta.inner_lr=100"));
    assert_int_equal(finish(&run), 79);
    assert_int_equal(strncmp(last_line(&run), "theta sha256=", 13), 0);
    json_t *root = json_load_file("b/test.json", 0, NULL);
    const json_t *row = json_array_get(json_object_get(root, "scores"), 0);
    assert_int_equal(json_integer_value(json_object_get(root, "tasks")), 0);
    assert_int_equal(json_integer_value(json_object_get(root, "skipped")), 20);
    assert_true(json_is_null(json_object_get(row, "loss")));
    json_decref(root);

    struct process test = start(MNEMO " evaluate b --set evaluate.tasks=5 --quiet");
    assert_true(says(&test, "all 5 test tasks were skipped"));
    assert_int_equal(finish(&test), 79);
    char text[256] = "";
    FILE *file = fopen(test.output, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    assert_string_equal(text, "test: no score, for all 5 tasks were skipped: their loss was not "
                              "finite or too large\n");
}

static void two_jobs_never_write_the_same_run(void **state)
{
    (void)state;
    char who[64];
    struct process first = start(MNEMO " train sine.yaml --run-dir a --set outer.steps=1000000");
    assert_true(says(&first, "begins"));
    (void)snprintf(who, sizeof who, "is being written by process %d on", (int)first.id);
    struct process second = start(MNEMO " train sine.yaml --run-dir a");
    assert_true(says(&second, who));
    assert_int_equal(finish(&second), 69);
    assert_int_equal(kill(first.id, SIGTERM), 0);
    assert_int_equal(finish(&first), 75);
}

static void another_experiment_cannot_go_on_in_a_run(void **state)
{
    (void)state;
    (void)run_to_the_end("env", "--run-dir a");
    struct process run = start(MNEMO " train sine.yaml --run-dir a --set meta.inner_lr=0.5");
    assert_true(says(&run, "meta.inner_lr"));
    assert_int_equal(finish(&run), 78);
}

static void what_is_wrong_is_told_by_message_and_exit_code(void **state)
{
    (void)state;
    static const struct {
        const char *words, *message;
        int exit_code;
    } wrongs[] = {
        {"train", "expected an experiment file", 64},
        {"train --nonsense", "--nonsense", 64},
        {"dance", "\"dance\"", 64},
        {"train nowhere.yaml", "nowhere.yaml", 66},
        {"train sine.yaml --set outer.stepz=1", "outer.steps", 78},
        {"train sine.yaml --set tasks.kind=images --set tasks.data=none.mnd", "none.mnd", 66},
        {"train sine.yaml --set pool.listen=tcp://0.0.0.0:*", "pool.insecure", 78},
        {"train sine.yaml --run-dir sine.yaml/x", "sine.yaml", 74},
        {"evaluate nowhere", "nowhere", 66},
        {"task sine.yaml --split best", "train, val or test", 64},
        {"task sine.yaml --dump x --theta sine.yaml", "sine.yaml", 65},
        {"data import omniglot a.zip", "-o FILE", 64},
        {"bench sine.yaml --threads 0", "--threads", 64},
    };
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        struct process run = start(MNEMO " %s", wrongs[i].words);
        bool told = says(&run, wrongs[i].message);
        int exit_code = finish(&run);
        if (!told || exit_code != wrongs[i].exit_code)
            fail_msg("mnemo %s: exit code %d%s", wrongs[i].words, exit_code,
                     told ? "" : ", and not the message");
    }
}

static void a_port_in_use_is_told(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(holder, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(holder, 1), 0);
    assert_int_equal(getsockname(holder, (struct sockaddr *)&address, &size), 0);
    struct process run = start(MNEMO " train sine.yaml --set pool.listen=tcp://127.0.0.1:%d",
                               ntohs(address.sin_port));
    assert_true(says(&run, "cannot listen at tcp://127.0.0.1:"));
    assert_int_equal(finish(&run), 69);
    (void)close(holder);
}

static void a_finished_run_can_be_evaluated_again(void **state)
{
    (void)state;
    (void)run_to_the_end("env", "--run-dir a");
    struct process run = start(MNEMO " evaluate a --set evaluate.tasks=50 --quiet");
    assert_int_equal(finish(&run), 0);
    assert_int_equal(strncmp(last_line(&run), "after meta-step 40; theta sha256=", 33), 0);
    assert_int_equal(access("a/test.json", F_OK), 0);
    assert_int_not_equal(access("a/endpoint", F_OK), 0); /* nobody should look for it any more */
}

/* The words are in the output. */
static bool wrote(const struct process *process, const char *words)
{
    char line[2048];
    bool found = false;
    FILE *file = fopen(process->output, "r");
    assert_non_null(file);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, words) != NULL;
    (void)fclose(file);
    return found;
}

static void a_trained_network_is_evaluated_on_other_tasks_and_with_another_inner_loop(void **state)
{
    (void)state;
    (void)run_to_the_end("env", "--run-dir a");
    struct process same = start(MNEMO " evaluate a --set evaluate.tasks=50 --quiet");
    assert_int_equal(finish(&same), 0);
    assert_false(wrote(&same, "not as in training"));
    struct process other = start(MNEMO " evaluate a --set evaluate.tasks=50 --quiet "
                                       "--set meta.inner_lr=0.02 --set seed=5 --set tasks.shot=5");
    assert_int_equal(finish(&other), 0);
    assert_true(wrote(&other, "not as in training: seed 5 instead of"));
    assert_true(wrote(&other, "meta.inner_lr 0.02 instead of"));
    assert_string_equal(last_line(&other), last_line(&same)); /* the same theta */
    struct process body = start(MNEMO " evaluate a --set model.hidden=7 --quiet");
    assert_true(says(&body, "model.hidden was"));
    assert_int_equal(finish(&body), 78);
    struct process rates = start(MNEMO " evaluate a --set meta.kind=meta-sgd --quiet");
    assert_true(says(&rates, "with meta.kind meta-sgd instead of maml, the network has another "
                             "tensor"));
    assert_int_equal(finish(&rates), 78);
    struct process more = start(MNEMO " train --run-dir a --set meta.inner_lr=0.02");
    assert_true(says(&more, "meta.inner_lr was")); /* training goes on as it began */
    assert_int_equal(finish(&more), 78);
}

static void a_bench_with_a_profile_says_where_all_the_time_goes(void **state)
{
    (void)state;
    struct process run = start(MNEMO " bench sine.yaml --threads 2 --seconds 0.1 --json --profile");
    assert_int_equal(finish(&run), 0);
    json_t *root = json_load_file(run.output, 0, NULL);
    const char *const parts[] = {"exact sums", "drawing the task", "outer step", "gemm"};
    assert_non_null(root);
    assert_true(json_number_value(json_object_get(root, "peak_gflops")) > 0);
    assert_true(json_number_value(json_object_get(root, "peak_gflops_together")) > 0);

    const json_t *profile = json_object_get(root, "profile");
    assert_true(json_integer_value(json_object_get(profile, "tasks")) > 0);
    const char *const tables[] = {"kinds", "operations"};
    for (int t = 0; t < 2; t++) {
        const json_t *row, *rows = json_object_get(profile, tables[t]);
        double shares = 0;
        int found = 0;
        size_t i;
        json_array_foreach(rows, i, row)
        {
            const char *name = json_string_value(json_object_get(row, "operation"));
            shares += json_number_value(json_object_get(row, "share"));
            for (size_t k = 0; t == 0 && k < sizeof parts / sizeof *parts; k++)
                found += strcmp(name, parts[k]) == 0;
        }
        assert_true(shares > 0.9999 && shares < 1.0001); /* they are rounded in the file */
        assert_int_equal(found, t == 0 ? sizeof parts / sizeof *parts : 0);
    }
    json_decref(root);

    run = start(MNEMO " bench sine.yaml --seconds 0.1 --profile");
    assert_int_equal(finish(&run), 0);
    assert_string_equal(last_line(&run), "GB/s: every array of an operation once\n");
}

int main(void)
{
    (void)setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    (void)setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    (void)setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 1);
    (void)setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 1);
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(every_shape_of_the_cluster_gives_the_same_theta),
        IN_FOLDER(workers_that_come_and_are_killed_do_not_change_theta),
        IN_FOLDER(a_run_that_is_stopped_and_resumed_gives_the_theta_of_one_that_never_stopped),
        IN_FOLDER(a_run_goes_on_when_the_reader_of_its_log_has_gone),
        IN_FOLDER(a_damaged_checkpoint_costs_only_time),
        IN_FOLDER(a_checkpoint_that_cannot_be_written_ends_all_ranks_and_keeps_the_older),
        IN_FOLDER(workers_are_told_why_a_run_fails),
        IN_FOLDER(a_run_that_learns_nothing_says_why_and_ends),
        IN_FOLDER(no_score_is_told_where_no_test_task_counts),
        IN_FOLDER(two_jobs_never_write_the_same_run),
        IN_FOLDER(another_experiment_cannot_go_on_in_a_run),
        IN_FOLDER(what_is_wrong_is_told_by_message_and_exit_code),
        IN_FOLDER(a_port_in_use_is_told),
        IN_FOLDER(a_finished_run_can_be_evaluated_again),
        IN_FOLDER(a_trained_network_is_evaluated_on_other_tasks_and_with_another_inner_loop),
        IN_FOLDER(a_bench_with_a_profile_says_where_all_the_time_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
