#include "coordinator/server/child.h"

#include "common/file.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/child_test.XXXXXX";
static mn_error err;

/* What the command wrote; owned by the caller. */
static char *said_by(const char *command, int *how)
{
    char *const argv[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    char *text = NULL;
    size_t n = 0;
    pid_t child = 0;
    (void)snprintf(path, sizeof path, "/tmp/child_test.XXXXXX");
    const int file = mkstemp(path);
    assert_true(file >= 0 && close(file) == 0);
    assert_int_equal(mn_child_start("/bin/sh", argv, path, &child, &err), MN_OK);
    assert_int_equal(waitpid(child, how, 0), child);
    assert_int_equal(mn_file_read(path, 1 << 20, &text, &n, &err), MN_OK);
    assert_int_equal(unlink(path), 0);
    return text;
}

static void a_child_knows_nothing_of_the_job_that_we_are_in(void **state)
{
    (void)state;
    int how = 0;
    assert_int_equal(setenv("OMPI_COMM_WORLD_SIZE", "2", 1), 0);
    assert_int_equal(setenv("SLURM_STEP_NUM_TASKS", "2", 1), 0);
    assert_int_equal(setenv("FLUX_JOB_ID", "1", 1), 0);
    assert_int_equal(setenv("MNEMO_OF_OURS", "kept", 1), 0);
    char *text = said_by("env; echo aloud >&2; read nothing || exit 7", &how);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 7); /* standard input is empty */
    assert_null(strstr(text, "OMPI_COMM_WORLD_SIZE"));
    assert_null(strstr(text, "FLUX_JOB_ID"));
    assert_null(strstr(text, "SLURM_STEP_NUM_TASKS"));
    assert_non_null(strstr(text, "OMPI_MCA_ess_singleton_isolated=1\n"));
    assert_non_null(strstr(text, "MNEMO_OF_OURS=kept\n"));
    assert_non_null(strstr(text, "aloud\n"));
    free(text);
}

static void a_child_hears_signals_that_we_hold_back_and_leads_a_group(void **state)
{
    (void)state;
    int how = 0;
    char expected[64];
    sigset_t term;
    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, NULL);
    char *text = said_by("cut -d' ' -f 5 /proc/$$/stat; echo $$; kill -TERM $$; echo alive", &how);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGTERM);
    const int pid = atoi(strchr(text, '\n') + 1);
    (void)snprintf(expected, sizeof expected, "%d\n%d\n", pid, pid);
    assert_string_equal(text, expected);
    free(text);
}

/* A parent of its own, which is killed. */
static void a_child_does_not_outlive_us(void **state)
{
    (void)state;
    int pipe_of[2];
    char byte;
    assert_int_equal(pipe(pipe_of), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        pid_t child = 0;
        char *const argv[] = {"sh", "-c", "echo >&9; exec cat /proc/self/fd/9", NULL};
        /* A shell knows descriptors of one digit, and who started us may have left us many. */
        if (dup2(pipe_of[1], 9) == 9 && (pipe_of[1] == 9 || close(pipe_of[1]) == 0) &&
            mn_child_start("/bin/sh", argv, "/dev/null", &child, NULL) == MN_OK)
            (void)pause();
        _exit(1);
    }
    assert_int_equal(close(pipe_of[1]), 0);
    assert_int_equal(read(pipe_of[0], &byte, 1), 1); /* it runs */
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(read(pipe_of[0], &byte, 1), 0); /* nobody holds the other end any more */
    (void)close(pipe_of[0]);
}

static void what_cannot_be_started_is_told(void **state)
{
    (void)state;
    pid_t child = 0;
    int how = 0;
    char *const argv[] = {"nothing", NULL};
    assert_int_equal(mn_child_start("/bin/sh", argv, "/nowhere/log", &child, &err),
                     MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "/nowhere/log"));
    assert_int_equal(mn_child_start("/nowhere/program", argv, "/dev/null", &child, &err), MN_OK);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 66);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_knows_nothing_of_the_job_that_we_are_in),
        cmocka_unit_test(a_child_hears_signals_that_we_hold_back_and_leads_a_group),
        cmocka_unit_test(a_child_does_not_outlive_us),
        cmocka_unit_test(what_cannot_be_started_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
