#include "proto/key_file.h"

#include "common/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define RAW_KEY_BYTES 32

static const char name_characters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

struct place {
    const char *path;
    unsigned line;
};

static mn_status write_new(const char *path, const char *text, mode_t mode, mn_error *err);
static mn_status read_lines(const char *path, const char *kind, mn_take_key *take, void *user,
                            mn_error *err);
static mn_status read_line(const struct place *at, char *line, const char *kind, mn_take_key *take,
                           void *user, mn_error *err);
static void leave_no_dump(void);
static mn_status take_secret(void *user, const char *key, const char *name, mn_error *err);

bool mn_key_name_is_good(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= MN_KEY_NAME_CHARS && name[0] != '.' && strspn(name, name_characters) == n;
}

mn_status mn_key_file_make(const char *folder, const char *name, char public_line[128],
                           mn_error *err)
{
    char public_key[MN_WIRE_KEY_CHARS + 1], secret_key[MN_WIRE_KEY_CHARS + 1];
    char secret_path[PATH_MAX], public_path[PATH_MAX], text[256];
    if (!mn_key_name_is_good(name))
        return mn_fail(err, MN_ERR_USAGE,
                       "a key cannot have this name: expected up to %d letters, digits, '.', '_' "
                       "and '-', and no '.' in front",
                       MN_KEY_NAME_CHARS);
    if (snprintf(secret_path, PATH_MAX, "%s/%s.secret", folder, name) >= PATH_MAX ||
        snprintf(public_path, PATH_MAX, "%s/%s.public", folder, name) >= PATH_MAX)
        return mn_fail(err, MN_ERR_USAGE, "the path of the folder is too long");
    if (zmq_curve_keypair(public_key, secret_key) != 0)
        return mn_fail(err, MN_ERR_UNAVAILABLE, "this libzmq was built without CURVE");

    struct stat info;
    const bool is_new = stat(folder, &info) != 0;
    mn_status status = mn_folder_make(folder, err);
    if (status == MN_OK && is_new && chmod(folder, 0700) != 0)
        status = mn_fail_errno(err, "cannot close %s to others", folder);
    (void)snprintf(public_line, 128, "public: %s %s\n", public_key, name);
    if (status == MN_OK)
        status = write_new(public_path, public_line, 0644, err);
    if (status == MN_OK) {
        (void)snprintf(
            text, sizeof text,
            "# Secret key of %s: for it alone. Others are given %s.public.\nsecret: %s\n", name,
            name, secret_key);
        status = write_new(secret_path, text, 0600, err);
        if (status != MN_OK)
            (void)unlink(public_path);
    }
    explicit_bzero(text, sizeof text);
    explicit_bzero(secret_key, sizeof secret_key);
    return status;
}

mn_status mn_key_file_read_secret(const char *path, char secret[MN_WIRE_KEY_CHARS + 1],
                                  mn_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return mn_fail_errno(err, "cannot open the secret key %s", path);
    /* What the system mounts for a group (a volume of secrets) is root's, and who runs us cannot
     * change it. */
    const mode_t others = S_IRWXG | S_IRWXO;
    const mode_t open_to = info.st_mode & others & ~(info.st_uid == 0 ? S_IRGRP : 0u);
    if (S_ISREG(info.st_mode) && open_to != 0)
        return mn_fail(err, MN_ERR_PERMISSION,
                       "%s is a secret key, and its mode %04o lets others at it; do: chmod 600 %s "
                       "(a file of root's may be 0440)",
                       path, (unsigned)info.st_mode & 07777u, path);
    char found[MN_WIRE_KEY_CHARS + 1] = "", unused[MN_WIRE_KEY_CHARS + 1];
    leave_no_dump();
    mn_status status = read_lines(path, "secret", take_secret, found, err);
    if (status == MN_OK && found[0] == '\0')
        status = mn_fail(err, MN_ERR_DATA,
                         "%s holds no key: expected a line \"secret: KEY\", as `mnemo keys` makes",
                         path);
    if (status == MN_OK && mn_wire_public_key(found, unused, NULL) != MN_OK)
        status = mn_fail(err, MN_ERR_DATA, "%s: libzmq does not take its key", path);
    if (status == MN_OK)
        memcpy(secret, found, sizeof found);
    explicit_bzero(found, sizeof found);
    return status;
}

mn_status mn_key_file_read_public(const char *path, mn_take_key *take, void *user, mn_error *err)
{
    return read_lines(path, "public", take, user, err);
}

/* Whoever reads a secret dies without a trace of it: a core dump from now on has no memory in it, be
 * it written to a file or to a collector of dumps. libzmq keeps copies that nobody else can wipe. */
static void leave_no_dump(void)
{
    const int filter = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    if (filter < 0)
        return;
    (void)!write(filter, "0", 1);
    (void)close(filter);
}

static mn_status take_secret(void *user, const char *key, const char *name, mn_error *err)
{
    char *found = user;
    (void)name;
    if (found[0] != '\0')
        return mn_fail(err, MN_ERR_DATA, "a second secret key: expected one in a file");
    memcpy(found, key, MN_WIRE_KEY_CHARS + 1);
    return MN_OK;
}

/* O_EXCL, so that a key that somebody uses is never lost. */
static mn_status write_new(const char *path, const char *text, mode_t mode, mn_error *err)
{
    size_t n = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return mn_fail(err, MN_ERR_USAGE,
                       "%s is there already, and keys are never overwritten: choose another name "
                       "or folder (-o)",
                       path);
    if (fd < 0)
        return mn_fail_errno(err, "cannot make %s", path);
    mn_status status = MN_OK;
    errno = ENOSPC; /* what a short write means */
    if (write(fd, text, n) != (ssize_t)n || fchmod(fd, mode) != 0 || fsync(fd) != 0)
        status = mn_fail_errno(err, "cannot write %s", path);
    if (close(fd) != 0 && status == MN_OK)
        status = mn_fail_errno(err, "cannot write %s", path);
    if (status != MN_OK)
        (void)unlink(path);
    return status;
}

static mn_status read_lines(const char *path, const char *kind, mn_take_key *take, void *user,
                            mn_error *err)
{
    char *text = NULL;
    size_t n = 0;
    mn_status status = mn_file_read(path, MN_KEY_FILE_MAX_BYTES, &text, &n, err);
    if (status != MN_OK)
        return status;
    struct place at = {.path = path, .line = 1};
    if (strlen(text) != n)
        status = mn_fail(err, MN_ERR_DATA, "%s has bytes of value 0: expected lines of text", path);
    for (char *line = text, *next; status == MN_OK && line != NULL; line = next, at.line++) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        status = read_line(&at, line, kind, take, user, err);
    }
    explicit_bzero(text, n);
    free(text);
    return status;
}

static mn_status read_line(const struct place *at, char *line, const char *kind, mn_take_key *take,
                           void *user, mn_error *err)
{
    static const char blanks[] = " \t\r";
    char *rest = NULL;
    char *word = strtok_r(line, blanks, &rest);
    if (word == NULL || word[0] == '#')
        return MN_OK;
    char *key = strtok_r(NULL, blanks, &rest), *name = strtok_r(NULL, blanks, &rest);
    size_t n = strlen(kind);
    uint8_t raw[RAW_KEY_BYTES];
    const char *wrong = NULL;
    if (strncmp(word, kind, n) != 0 || strcmp(word + n, ":") != 0)
        wrong = strcmp(word, "secret:") == 0   ? "a secret key has no place here"
                : strcmp(word, "public:") == 0 ? "this is a public key"
                                               : "this is not a line of a key file";
    else if (key == NULL)
        wrong = "the key is missing";
    else if (strlen(key) != MN_WIRE_KEY_CHARS || zmq_z85_decode(raw, key) == NULL)
        wrong = "this is not a key";
    else if (name != NULL && name[0] == '#')
        name = NULL; /* a comment behind it */
    else if (name != NULL && !mn_key_name_is_good(name))
        wrong = "the name behind the key is not letters, digits, '.', '_' and '-'";
    if (wrong != NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "%s:%u: %s; expected \"%s: KEY\", the KEY being %d characters of Z85",
                       at->path, at->line, wrong, kind, MN_WIRE_KEY_CHARS);
    explicit_bzero(raw, sizeof raw);
    mn_error why;
    mn_status status = take(user, key, name != NULL ? name : "", &why);
    return status == MN_OK ? MN_OK
                           : mn_fail(err, status, "%s:%u: %s", at->path, at->line, why.message);
}
