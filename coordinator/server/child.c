#include "coordinator/server/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

extern char **environ;

static char **own_environment(void);
static void become(const char *program, char *const *argv, char *const *environment, int log,
                   pid_t parent) __attribute__((noreturn));

/* fork, not posix_spawn, which cannot ask for the signal at our death. Between it and exec only calls that
 * are safe in a process that had threads. */
mn_status mn_child_start(const char *program, char *const *argv, const char *log, pid_t *out,
                         mn_error *err)
{
    mn_status status = MN_OK;
    const pid_t parent = getpid();
    char **environment = own_environment();
    int file = -1;
    pid_t child = -1;
    if (environment == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "environment of a run");
    file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0)
        status = mn_fail_errno(err, "open %s", log);
    if (status == MN_OK) {
        child = fork();
        if (child == 0)
            become(program, argv, environment, file, parent);
        if (child < 0)
            status =
                errno == EAGAIN || errno == ENOMEM /* a shortage: it is tried again */
                    ? mn_fail(err, MN_ERR_UNAVAILABLE,
                              "a run cannot be started, for there are too many processes or too "
                              "little memory; see `ulimit -u`")
                    : mn_fail_errno(err, "start a run");
    }
    if (file >= 0)
        (void)close(file);
    free(environment);
    if (status == MN_OK)
        *out = child;
    return status;
}

/* Without what mpirun and srun tell the processes that they start: a run is alone. And Open MPI is told so,
 * which else starts a daemon for each, for a quarter of a second. The texts are lent. */
static char **own_environment(void)
{
    /* All that job.c takes for a launcher's, and their relatives. */
    static const char *const others[] = {"OMPI_",  "PMIX_",  "PMI_", "PMI2_", "ORTE_",
                                         "SLURM_", "HYDRA_", "MPI_", "PRTE_", "FLUX_",
                                         "ALPS_",  "PALS_",  "MV2_"};
    static char alone[] = "OMPI_MCA_ess_singleton_isolated=1";
    size_t n = 0, kept = 0;
    while (environ[n] != NULL)
        n++;
    char **out = calloc(n + 2, sizeof *out);
    if (out != NULL)
        out[kept++] = alone;
    for (size_t i = 0; out != NULL && i < n; i++) {
        bool theirs = false;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            theirs = theirs || strncmp(environ[i], others[k], strlen(others[k])) == 0;
        if (!theirs)
            out[kept++] = environ[i];
    }
    return out;
}

static void become(const char *program, char *const *argv, char *const *environment, int log,
                   pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before we could ask */
        _exit(75);
    (void)setpgid(0, 0); /* Ctrl-C is for the sweep, which passes it on */
    const int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0)
        (void)dup2(nothing, STDIN_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    (void)dup2(log, STDERR_FILENO);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execve(program, argv, environment);
    _exit(errno == ENOENT ? 66 : 70);
}
