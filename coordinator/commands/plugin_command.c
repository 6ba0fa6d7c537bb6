/* mnemo plugin check FILE: try a plug-in, twice, each time in a process of its own, so that whatever it does
 * there, here it is told. `mnemo plugin examine` is that process; it is no command for people. */
#include "coordinator/commands/commands.h"

#include "common/clock.h"
#include "coordinator/commands/command_line.h"
#include "worker/plugin/plugin_trial.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_ROUNDS = 2, REPORT_FD = 3, LINE = 2048 };
#define PATIENCE_US (300u * 1000000u) /* a round */

/* What a round said. */
struct report {
    char doing[LINE];
    bool is_whole; /* it came to its end */
    char *bits;    /* all of its digests, line by line; owned */
    size_t n_bits;
    uint32_t n_faults;
};

static mn_status check(const char *path, mn_error *err);
static mn_status examine(const char *path, const char *round, mn_error *err);
static mn_status run_round(const char *path, uint32_t round, struct report *report, mn_error *err);

mn_status mn_plugin_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_status status = mn_command_line_read(&line, argc, argv, 0, err);
    if (status != MN_OK)
        return status;
    if (line.n_arguments == 2 && strcmp(line.arguments[0], "check") == 0)
        return check(line.arguments[1], err);
    if (line.n_arguments == 3 && strcmp(line.arguments[0], "examine") == 0)
        return examine(line.arguments[1], line.arguments[2], err);
    return mn_fail(err, MN_ERR_USAGE, "plugin: expected check FILE; see mnemo plugin --help");
}

static mn_status examine(const char *path, const char *round, mn_error *err)
{
    mn_trial trial = {.out = fdopen(REPORT_FD, "w"), .round = (uint32_t)strtoul(round, NULL, 10)};
    if (trial.out == NULL)
        return mn_fail(err, MN_ERR_USAGE, "plugin examine: `mnemo plugin check` starts it");
    mn_plugin_trial(&trial, path);
    (void)fclose(trial.out);
    return MN_OK;
}

static void compare(const struct report *first, const struct report *second, uint32_t *n_faults)
{
    const char *a = first->bits, *b = second->bits;
    while (*a != '\0' && *b != '\0') {
        const size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n) != 0) {
            const size_t digest = strcspn(a, " ");
            (void)printf(
                "fault: other bits in another process, at other addresses:%.*s: its calls must "
                "be pure\n",
                n > digest ? (int)(n - digest) : 0, a + digest);
            (*n_faults)++;
            return;
        }
        a += n + 1;
        b += m + 1;
    }
}

static mn_status check(const char *path, mn_error *err)
{
    struct report reports[N_ROUNDS] = {{.doing = ""}};
    mn_status status = access(path, R_OK) == 0 ? MN_OK : mn_fail_errno(err, "the plug-in %s", path);
    uint32_t n_faults = 0;
    for (uint32_t i = 0; i < N_ROUNDS && status == MN_OK && n_faults == 0; i++) {
        status = run_round(path, i, &reports[i], err);
        n_faults += reports[i].n_faults;
    }
    if (status == MN_OK && n_faults == 0)
        compare(&reports[0], &reports[1], &n_faults);
    for (uint32_t i = 0; i < N_ROUNDS; i++)
        free(reports[i].bits);
    if (status != MN_OK)
        return status;
    if (n_faults > 0)
        return mn_fail(err, MN_ERR_DATA, "%s: %u fault%s, as told above", path, (unsigned)n_faults,
                       n_faults > 1 ? "s" : "");
    (void)puts("ok: the same bits in another process, at other addresses\nall as it should be");
    return MN_OK;
}

/* One line of a round. */
static void take(struct report *report, uint32_t round, const char *line, FILE *bits)
{
    switch (line[0]) {
    case MN_TRIAL_DOING:
        (void)snprintf(report->doing, sizeof report->doing, "%s", line + 1);
        break;
    case MN_TRIAL_OK:
        if (round == 0)
            (void)printf("ok: %s\n", line + 1);
        break;
    case MN_TRIAL_FAULT:
        (void)printf("fault: %s\n", line + 1);
        report->n_faults++;
        break;
    case MN_TRIAL_BITS:
        (void)fprintf(bits, "%s\n", line + 1);
        break;
    case MN_TRIAL_END:
        report->is_whole = true;
        break;
    default:
        break;
    }
}

/* Until the end of what it says, or of patience. */
static bool listen_to(int fd, struct report *report, uint32_t round, FILE *bits)
{
    char line[LINE];
    size_t n = 0;
    const uint64_t until_us = mn_clock_us() + PATIENCE_US;
    for (;;) {
        char byte;
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        const uint64_t now_us = mn_clock_us();
        if (now_us >= until_us)
            return false;
        const int n_ready = poll(&ready, 1, (int)((until_us - now_us) / 1000 + 1));
        if (n_ready < 0 && errno != EINTR)
            return false;
        if (n_ready <= 0)
            continue;
        const ssize_t n_read = read(fd, &byte, 1);
        if (n_read == 0 || (n_read < 0 && errno != EINTR))
            return true;
        if (n_read < 0)
            continue;
        if (byte != '\n') {
            if (n + 1 < sizeof line)
                line[n++] = byte;
            continue;
        }
        line[n] = '\0';
        n = 0;
        take(report, round, line, bits);
    }
}

static volatile sig_atomic_t examiner; /* its process, and of its group; 0: none */

/* Ctrl-C reaches our group alone, so it is handed on; what the plug-in has started ends too. */
static void end_examiner(int signal_)
{
    if (examiner > 0)
        (void)kill(-(pid_t)examiner, SIGKILL);
    (void)signal(signal_, SIG_DFL);
    (void)raise(signal_);
}

/* The child: nothing of ours but the report. */
static void become_examiner(const char *path, uint32_t round, int fd)
{
    char number[16];
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    const struct rlimit no_core = {0, 0};
    (void)snprintf(number, sizeof number, "%u", (unsigned)round);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)unsetenv("MNEMO_PLUGINS");
    /* Where standard input was closed, it has that number already, and dup2 would leave it to be closed. */
    const bool there =
        fd == REPORT_FD ? fcntl(fd, F_SETFD, 0) == 0 : dup2(fd, REPORT_FD) == REPORT_FD;
    if (there)
        (void)execl("/proc/self/exe", "mnemo", "plugin", "examine", "--", path, number,
                    (char *)NULL);
    _exit(127);
}

static mn_status run_round(const char *path, uint32_t round, struct report *report, mn_error *err)
{
    int ends[2], how = 0;
    siginfo_t end;
    FILE *bits = open_memstream(&report->bits, &report->n_bits);
    if (bits == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "report on a plug-in");
    if (pipe2(ends, O_CLOEXEC) != 0) {
        (void)fclose(bits);
        return mn_fail_errno(err, "a pipe");
    }
    (void)fflush(stdout);
    const pid_t child = fork();
    if (child == 0)
        become_examiner(path, round, ends[1]);
    if (child > 0)
        (void)setpgid(child, child); /* whoever of us is first */
    examiner = child > 0 ? child : 0;
    (void)signal(SIGINT, end_examiner);
    (void)signal(SIGTERM, end_examiner);
    (void)signal(SIGHUP, end_examiner);
    (void)close(ends[1]);
    const bool ended = child > 0 && listen_to(ends[0], report, round, bits);
    (void)close(ends[0]);
    if (child > 0 && !ended)
        (void)kill(-child, SIGKILL);
    while (child > 0 && waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        continue;
    if (child > 0) /* what it has left behind; its group has this number until we have waited */
        (void)kill(-child, SIGKILL);
    examiner = 0;
    while (child > 0 && waitpid(child, &how, 0) < 0 && errno == EINTR)
        continue;
    if (fclose(bits) != 0 || child < 0)
        return mn_fail_errno(err, "a process to try a plug-in in");
    if (!ended)
        (void)printf("fault: it did not come to an end within %u s: %s\n", PATIENCE_US / 1000000u,
                     report->doing);
    else if (WIFSIGNALED(how))
        (void)printf("fault: it crashed (%s): %s\n", strsignal(WTERMSIG(how)), report->doing);
    else if (WEXITSTATUS(how) != 0 || !report->is_whole)
        (void)printf("fault: it ended the process (exit code %d): %s\n", WEXITSTATUS(how),
                     report->doing);
    else
        return MN_OK;
    report->n_faults++;
    return MN_OK;
}
