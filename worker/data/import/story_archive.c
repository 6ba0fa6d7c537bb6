#include "worker/data/import/story_archive.h"

#include "common/file.h"
#include "worker/data/babi_folder.h"
#include "worker/data/dialog_folder.h"
#include "worker/data/import/archive_stream.h"
#include "worker/data/text_lines.h"
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is unpacked. */
struct wish {
    /* Is the file wanted? MN_ERR_DATA: it is one too many. */
    mn_status (*take)(struct wish *wish, const char *source, const char *path, const char *file,
                      bool *wanted, mn_error *err);
    const char *expected; /* files of which there is none, for a message */
    uint64_t files[2];    /* stories: sets with a test, and with a training file */
    bool any;
};

static mn_status take_story(struct wish *wish, const char *source, const char *path,
                            const char *file, bool *wanted, mn_error *err);
static mn_status take_dialog(struct wish *wish, const char *source, const char *path,
                             const char *file, bool *wanted, mn_error *err);
static mn_status unpack(struct wish *wish, const char *zip, const char *folder, const char *name,
                        mn_error *err);
static mn_status unpack_into(struct wish *wish, const char *folder, mn_archive_stream *zip,
                             const char *source, const char *name, mn_error *err);
static mn_status unpack_entry(const char *folder, mn_archive_stream *zip, const char *source,
                              const char *file, mn_error *err);
static char *joined(const char *before, const char *between, const char *after);
static void remove_folder(const char *path);

mn_status mn_story_archive_unpack(const char *zip, const char *folder, const char *name,
                                  mn_story_archive *out, mn_error *err)
{
    struct wish wish = {.take = take_story, .expected = "qaN_..._train.txt and qaN_..._test.txt"};
    mn_status status = unpack(&wish, zip, folder, name, err);
    if (status == MN_OK)
        *out = (mn_story_archive){.whole = wish.files[0] & wish.files[1],
                                  .parts = wish.files[0] ^ wish.files[1]};
    return status;
}

mn_status mn_dialog_archive_unpack(const char *zip, const char *folder, const char *name,
                                   mn_error *err)
{
    struct wish wish = {.take = take_dialog, .expected = "dialog-babi-taskN-...-trn.txt"};
    return unpack(&wish, zip, folder, name, err);
}

static mn_status unpack(struct wish *wish, const char *zip, const char *folder, const char *name,
                        mn_error *err)
{
    mn_archive_stream *archive = NULL;
    char *wanted = NULL, *hidden = NULL, *made = NULL;
    mn_status status = mn_archive_stream_open(zip, true, &archive, err);
    if (status != MN_OK)
        return status;
    status = mn_folder_make(folder, err);
    wanted = joined(folder, "/", name);
    hidden = joined(folder, "/.", name);
    made = hidden != NULL ? joined(hidden, "-", "XXXXXX") : NULL;
    if (status == MN_OK && (wanted == NULL || made == NULL))
        status = mn_fail(err, MN_ERR_NOMEM, "unpacking %s", zip);
    if (status == MN_OK && mkdtemp(made) == NULL)
        status = mn_fail_errno(err, "cannot make a folder in %s", folder);
    else if (status == MN_OK) {
        status = unpack_into(wish, made, archive, zip, name, err);
        if (status == MN_OK && chmod(made, 0755) != 0) /* other users' workers read it too */
            status = mn_fail_errno(err, "cannot open %s to all", made);
        const bool is_new = status == MN_OK && rename(made, wanted) == 0;
        if (status == MN_OK && !is_new && errno != EEXIST && errno != ENOTEMPTY)
            status = mn_fail_errno(err, "cannot call %s %s", made, wanted);
        if (!is_new)
            remove_folder(made);
    }
    mn_archive_stream_destroy(&archive);
    free(wanted);
    free(hidden);
    free(made);
    return status;
}

/* The file's own name, if it is at the top or in a folder `name`; NULL: it is of no concern. */
static const char *file_of(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    const size_t n = strlen(name);
    if (slash == NULL)
        return path;
    const size_t above = (size_t)(slash - path);
    const bool is_there = above >= n && strncmp(slash - n, name, n) == 0 &&
                          (above == n || path[above - n - 1] == '/');
    return is_there ? slash + 1 : NULL;
}

static mn_status take_story(struct wish *wish, const char *source, const char *path,
                            const char *file, bool *wanted, mn_error *err)
{
    bool is_train = false;
    const uint32_t number = mn_babi_file_number(file, &is_train);
    *wanted = number != 0;
    if (!*wanted)
        return MN_OK;
    const uint64_t bit = (uint64_t)1 << (number - 1);
    if ((wish->files[is_train] & bit) != 0)
        return mn_fail(err, MN_ERR_DATA, "%s: set %u has two files for %s, one of them %s", source,
                       (unsigned)number, is_train ? "training" : "test", path);
    wish->files[is_train] |= bit;
    return MN_OK;
}

/* One that is there twice is told by who reads the folder. */
static mn_status take_dialog(struct wish *wish, const char *source, const char *path,
                             const char *file, bool *wanted, mn_error *err)
{
    (void)wish;
    (void)source;
    (void)path;
    (void)err;
    *wanted = mn_dialog_is_file(file);
    return MN_OK;
}

static mn_status unpack_into(struct wish *wish, const char *folder, mn_archive_stream *zip,
                             const char *source, const char *name, mn_error *err)
{
    const char *path = NULL;
    bool is_file = false;
    mn_status status = mn_archive_stream_next(zip, &path, &is_file, err);
    while (status == MN_OK && path != NULL) {
        const char *file = is_file ? file_of(path, name) : NULL;
        bool wanted = false;
        if (file != NULL)
            status = wish->take(wish, source, path, file, &wanted, err);
        if (status == MN_OK && wanted)
            status = unpack_entry(folder, zip, source, file, err);
        wish->any = wish->any || wanted;
        if (status == MN_OK)
            status = mn_archive_stream_next(zip, &path, &is_file, err);
    }
    if (status == MN_OK && !wish->any)
        status = mn_fail(err, MN_ERR_DATA, "%s has no files %s at its top or in a folder %s",
                         source, wish->expected, name);
    return status;
}

static mn_status unpack_entry(const char *folder, mn_archive_stream *zip, const char *source,
                              const char *file, mn_error *err)
{
    char *path = joined(folder, "/", file), *bytes = NULL;
    size_t n = 0, room = 0;
    mn_error why = {0};
    mn_status status = path != NULL ? MN_OK : mn_fail(&why, MN_ERR_NOMEM, "its path");
    if (status == MN_OK)
        status = mn_archive_stream_read_all(zip, MN_TEXT_MAX_BYTES, &bytes, &room, &n, &why);
    if (status != MN_OK)
        status = mn_fail(err, status, "%s: %s: %s; download the archive again", source, file,
                         why.message);
    else
        status = mn_file_write(path, bytes, n, err);
    free(bytes);
    free(path);
    return status;
}

static char *joined(const char *before, const char *between, const char *after)
{
    char *text = NULL;
    return asprintf(&text, "%s%s%s", before, between, after) < 0 ? NULL : text;
}

/* A folder of files that was made here. */
static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        (void)closedir(folder);
    (void)rmdir(path);
}
