#include "coordinator/commands/commands.h"

#include "common/file.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/links/gatekeeper.h"
#include "proto/key_file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PUBLIC_LINE_CHARS 128

static const char allow_head[] =
    "# Who may come in: one public key a line, as NAME.public has it. Read again when it changes.\n"
    "# A line taken away keeps its worker from coming in again; one that is in stays until then.\n";

static mn_status make_folder(const char *folder, mn_error *err);
static mn_status add_worker(const char *folder, const char *name, mn_error *err);
static mn_status allow(const char *path, const char *public_line, mn_error *err);

mn_status mn_keys_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_status status = mn_command_line_read(&line, argc, argv, MN_TAKES_OUTPUT, err);
    if (status != MN_OK)
        return status;
    const char *folder = line.output != NULL ? line.output : "keys";
    const char *what = line.n_arguments > 0 ? line.arguments[0] : "";
    if (strcmp(what, "new") == 0 && line.n_arguments == 1)
        return make_folder(folder, err);
    if (strcmp(what, "worker") == 0 && line.n_arguments == 2)
        return add_worker(folder, line.arguments[1], err);
    return mn_fail(err, MN_ERR_USAGE, "keys: expected new, or worker NAME; see mnemo --help");
}

static mn_status make_folder(const char *folder, mn_error *err)
{
    static const char *const files[] = {MN_KEYS_ALLOW, MN_KEYS_SERVER ".secret",
                                        MN_KEYS_SERVER ".public", "worker.secret", "worker.public"};
    char path[PATH_MAX], unused[PUBLIC_LINE_CHARS];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) { /* all or none */
        if (snprintf(path, sizeof path, "%s/%s", folder, files[i]) >= (int)sizeof path)
            return mn_fail(err, MN_ERR_USAGE, "the path of the folder is too long");
        if (access(path, F_OK) == 0)
            return mn_fail(err, MN_ERR_USAGE,
                           "%s is there already, and keys are never overwritten: choose another "
                           "folder (-o), or add a worker to this one with `mnemo keys worker NAME`",
                           path);
    }
    mn_status status = mn_key_file_make(folder, MN_KEYS_SERVER, unused, err);
    (void)snprintf(path, sizeof path, "%s/" MN_KEYS_ALLOW, folder);
    if (status == MN_OK)
        status = mn_file_write(path, allow_head, sizeof allow_head - 1, err);
    if (status == MN_OK)
        status = add_worker(folder, "worker", err);
    if (status == MN_OK)
        (void)printf("train with:     mnemo train EXPERIMENT.yaml --set pool.keys=%s "
                     "--set pool.listen=tcp://0.0.0.0:5555\n",
                     folder);
    return status;
}

static mn_status add_worker(const char *folder, const char *name, mn_error *err)
{
    char path[PATH_MAX], public_line[PUBLIC_LINE_CHARS];
    if (strcmp(name, MN_KEYS_SERVER) == 0)
        return mn_fail(err, MN_ERR_USAGE, "keys: %s is the coordinators' name: choose another",
                       name);
    if (snprintf(path, sizeof path, "%s/" MN_KEYS_ALLOW, folder) >= (int)sizeof path)
        return mn_fail(err, MN_ERR_USAGE, "the path of the folder is too long");
    if (access(path, F_OK) != 0)
        return mn_fail_errno(err, "%s, the list that the key is to stand on (`mnemo keys new`)",
                             path);
    mn_status status = mn_key_file_make(folder, name, public_line, err);
    if (status == MN_OK)
        status = allow(path, public_line, err);
    if (status == MN_OK)
        (void)printf("made %s/%s.secret; its public key is on %s\n"
                     "join with it:   mnemo-worker --secret %s.secret ENDPOINT-FILE\n",
                     folder, name, path, name);
    return status;
}

/* In one write at the end, so that nobody reads or loses half a list; on a line of its own,
 * whatever an editor left there. */
static mn_status allow(const char *path, const char *public_line, mn_error *err)
{
    char *text = NULL, line[PUBLIC_LINE_CHARS + 1];
    size_t n = 0;
    mn_status status = mn_file_read(path, MN_KEY_FILE_MAX_BYTES, &text, &n, err);
    if (status != MN_OK)
        return status;
    bool torn = n > 0 && text[n - 1] != '\n';
    free(text);
    (void)snprintf(line, sizeof line, "%s%s", torn ? "\n" : "", public_line);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return mn_fail_errno(err, "cannot write %s", path);
    errno = ENOSPC; /* what a short write means */
    if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
        status = mn_fail_errno(err, "cannot write %s", path);
    if (close(fd) != 0 && status == MN_OK)
        status = mn_fail_errno(err, "cannot write %s", path);
    return status;
}
