#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_TRIED = 100 }; /* leavings of dead processes in the way of a temporary name */

struct mn_new_file {
    char *path;      /* owned */
    char *temporary; /* owned; "" when there is none to remove */
    int fd;          /* owned; -1 when closed */
    bool broken;     /* a write failed: must not take the final name */
};

static mn_status open_temporary(mn_new_file *file, mn_error *err);
static mn_status sync_folder(const char *path, mn_error *err);
static mn_status read_all(int fd, const char *path, size_t max_bytes, char **bytes, size_t *n,
                          mn_error *err);
static mn_status make_one(const char *path, mn_error *err);

mn_status mn_new_file_open(const char *path, mn_new_file **out, mn_error *err)
{
    mn_new_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "no memory to write %s", path);
    file->fd = -1;
    file->path = strdup(path);
    mn_status status = file->path == NULL
                           ? mn_fail(err, MN_ERR_NOMEM, "no memory to write %s", path)
                           : open_temporary(file, err);
    if (status != MN_OK) {
        mn_new_file_abandon(&file);
        return status;
    }
    *out = file;
    return MN_OK;
}

mn_status mn_new_file_write(mn_new_file *file, const void *bytes, size_t n, mn_error *err)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t written = write(file->fd, at, n < SSIZE_MAX ? n : SSIZE_MAX);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            file->broken = true;
            return mn_fail_errno(err, "cannot write %s", file->path);
        }
        at += written;
        n -= (size_t)written;
    }
    return MN_OK;
}

mn_status mn_new_file_commit(mn_new_file **file, mn_error *err)
{
    mn_new_file *f = *file;
    mn_status status = MN_OK;
    if (f->broken)
        status = mn_fail(err, MN_ERR_IO, "%s is left as it was: an earlier write failed", f->path);
    if (status == MN_OK && fsync(f->fd) != 0)
        status = mn_fail_errno(err, "cannot bring %s to the disk", f->path);
    if (status == MN_OK) {
        int fd = f->fd;
        f->fd = -1;
        if (close(fd) != 0)
            status = mn_fail_errno(err, "cannot close %s", f->path);
    }
    if (status == MN_OK) {
        if (rename(f->temporary, f->path) != 0)
            status = mn_fail_errno(err, "cannot rename %s to %s", f->temporary, f->path);
        else
            f->temporary[0] = '\0';
    }
    if (status == MN_OK)
        status = sync_folder(f->path, err);
    mn_new_file_abandon(file);
    return status;
}

void mn_new_file_abandon(mn_new_file **file)
{
    mn_new_file *f = *file;
    if (f == NULL)
        return;
    if (f->fd >= 0)
        (void)close(f->fd);
    if (f->temporary != NULL && f->temporary[0] != '\0')
        (void)unlink(f->temporary);
    free(f->temporary);
    free(f->path);
    free(f);
    *file = NULL;
}

mn_status mn_file_read(const char *path, size_t max_bytes, char **bytes, size_t *n, mn_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mn_fail_errno(err, "cannot open %s", path);
    mn_status status = read_all(fd, path, max_bytes, bytes, n, err);
    (void)close(fd);
    return status;
}

mn_status mn_file_write(const char *path, const void *bytes, size_t n, mn_error *err)
{
    mn_new_file *file = NULL;
    mn_status status = mn_new_file_open(path, &file, err);
    if (status == MN_OK)
        status = mn_new_file_write(file, bytes, n, err);
    if (status == MN_OK)
        status = mn_new_file_commit(&file, err);
    mn_new_file_abandon(&file);
    return status;
}

ssize_t mn_file_line(FILE *file, char **line, size_t *room)
{
    size_t n = 0;
    for (int c = 0; c != '\n' && n < MN_LINE_MOST && (c = getc_unlocked(file)) != EOF;) {
        if (n + 2 > *room) {
            const size_t more = *room == 0 ? 256 : 2 * *room;
            char *grown = realloc(*line, more);
            if (grown == NULL)
                return -1;
            *line = grown;
            *room = more;
        }
        (*line)[n++] = (char)c;
    }
    if (n == 0)
        return -1;
    (*line)[n] = '\0';
    return (ssize_t)n;
}

mn_status mn_folder_make(const char *path, mn_error *err)
{
    char *part = strdup(path);
    if (part == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "no memory to make folder %s", path);
    mn_status status = MN_OK;
    for (char *at = part; status == MN_OK && *at != '\0'; at++) {
        if (*at != '/' || at == part || at[1] == '\0' || at[1] == '/')
            continue;
        *at = '\0';
        status = make_one(part, err);
        *at = '/';
    }
    if (status == MN_OK)
        status = make_one(part, err);
    free(part);
    return status;
}

/* A name that no other process or thread uses; O_EXCL settles it where hosts share a folder. */
static mn_status open_temporary(mn_new_file *file, mn_error *err)
{
    static atomic_uint counter;
    for (int i = 0; i < NAMES_TRIED; i++) {
        char *name = NULL;
        if (asprintf(&name, "%s.tmp-%ld-%u", file->path, (long)getpid(),
                     atomic_fetch_add(&counter, 1)) < 0)
            return mn_fail(err, MN_ERR_NOMEM, "no memory to write %s", file->path);
        file->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0) {
            file->temporary = name;
            return MN_OK;
        }
        if (errno != EEXIST) {
            mn_status status = mn_fail_errno(err, "cannot make %s", name);
            free(name);
            return status;
        }
        free(name);
    }
    errno = EEXIST;
    return mn_fail_errno(err, "%d temporary files stand in the way of %s; remove %s.tmp-*",
                         NAMES_TRIED, file->path, file->path);
}

/* Without this a crash of the machine may undo the rename. Some file systems cannot (EINVAL): then
 * there is nothing more to be done. */
static mn_status sync_folder(const char *path, mn_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    char *folder = slash == NULL ? strdup(".") : strndup(path, n);
    if (folder == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "no memory to write %s", path);
    mn_status status = MN_OK;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
        status = mn_fail_errno(err, "cannot bring folder %s to the disk", folder);
    if (fd >= 0)
        (void)close(fd);
    free(folder);
    return status;
}

/* The size that the system tells is a first guess only: pipes have none, and files grow. */
static mn_status read_all(int fd, const char *path, size_t max_bytes, char **bytes, size_t *n,
                          mn_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return mn_fail_errno(err, "cannot read %s", path);
    size_t most = max_bytes < SIZE_MAX - 1 ? max_bytes : SIZE_MAX - 2;
    size_t room = info.st_size > 0 ? (size_t)info.st_size : 4096;
    if (room > most)
        room = most;
    size_t used = 0;
    char *buffer = NULL;
    for (;;) {
        /* One byte beyond `room` tells "just full" from "more to come" and later holds the NUL. */
        char *larger = realloc(buffer, room + 2);
        if (larger == NULL) {
            free(buffer);
            return mn_fail(err, MN_ERR_NOMEM, "no memory for the %zu bytes of %s", room, path);
        }
        buffer = larger;
        while (used <= room) {
            ssize_t got = read(fd, buffer + used, room + 1 - used);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0) {
                mn_status status = mn_fail_errno(err, "cannot read %s", path);
                free(buffer);
                return status;
            }
            if (got == 0) {
                buffer[used] = '\0';
                *bytes = buffer;
                *n = used;
                return MN_OK;
            }
            used += (size_t)got;
        }
        if (room == most) {
            free(buffer);
            return mn_fail(err, MN_ERR_DATA, "%s is larger than the %zu bytes expected at most",
                           path, max_bytes);
        }
        room = room < most / 2 ? room * 2 : most;
    }
}

static mn_status make_one(const char *path, mn_error *err)
{
    struct stat info;
    if (mkdir(path, 0777) == 0)
        return MN_OK;
    int number = errno;
    if (number == EEXIST || number == EISDIR || number == EROFS || number == EACCES) {
        /* What is there already need not be writable. */
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            return MN_OK;
        if (number == EEXIST)
            number = ENOTDIR;
    }
    errno = number;
    return mn_fail_errno(err, "cannot make folder %s", path);
}
