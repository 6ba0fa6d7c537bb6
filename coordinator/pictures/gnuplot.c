#include "coordinator/pictures/gnuplot.h"

#include "common/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const char mn_gnuplot_style[] = "set encoding utf8\n"
                                "set border 3 lc rgb '#888888'\n"
                                "set tics nomirror textcolor rgb '#333333'\n"
                                "set grid lc rgb '#e4e4e4' lt 1\n"
                                "set key samplen 2 spacing 1.2\n";

mn_status mn_gnuplot_save(const char *folder, const char *name, const char *ending, FILE *memory,
                          char **text, mn_error *err)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    mn_status status = MN_OK;
    if (memory == NULL || fclose(memory) != 0)
        status = mn_fail(err, MN_ERR_NOMEM, "picture %s", name);
    else if (length < 0 || length >= PATH_MAX)
        status = mn_fail(err, MN_ERR_USAGE, "the path of folder %s is too long", folder);
    else
        status = mn_file_write(path, *text, strlen(*text), err);
    free(*text);
    *text = NULL;
    return status;
}

mn_status mn_gnuplot_draw(const char *folder, const char *name, mn_error *err)
{
    char script[128];
    char *const arguments[] = {"gnuplot", "-d", script, NULL}; /* not with a person's ~/.gnuplot */
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none; /* held back: signals end gnuplot even where we hold them back ourselves */
    pid_t child = 0;
    int state = 0;
    (void)snprintf(script, sizeof script, "%s.gp", name);
    if (posix_spawn_file_actions_init(&files) != 0)
        return mn_fail(err, MN_ERR_NOMEM, "start of gnuplot");
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return mn_fail(err, MN_ERR_NOMEM, "start of gnuplot");
    }
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawn_file_actions_addchdir_np(&files, folder);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    if (error == 0)
        error = posix_spawnp(&child, arguments[0], &files, &attributes, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    if (error == ENOENT)
        return mn_fail(
            err, MN_ERR_UNAVAILABLE,
            "no picture %s/%s.png: gnuplot is not installed (package gnuplot-nox); then: "
            "cd %s && gnuplot -d %s",
            folder, name, folder, script);
    if (error != 0) {
        errno = error;
        return mn_fail_errno(err, "start gnuplot");
    }
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR)
            return mn_fail_errno(err, "wait for gnuplot");
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0)
        return mn_fail(err, MN_ERR_IO, "gnuplot failed; to see why: cd %s && gnuplot -d %s", folder,
                       script);
    return MN_OK;
}

void mn_gnuplot_put_text(const char *text, FILE *out)
{
    (void)fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            (void)fputc('\'', out);
        if ((unsigned char)*text >= ' ')
            (void)fputc(*text, out);
    }
    (void)fputc('\'', out);
}
