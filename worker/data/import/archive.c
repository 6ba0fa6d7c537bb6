#include "worker/data/import/archive.h"

#include "common/room.h"
#include "worker/data/import/archive_stream.h"
#include "worker/data/import/import_list.h"
#include "worker/data/import/picture.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct file {
    char *name, *bytes; /* owned; bytes NULL: it is too large, and was passed over */
    size_t n;
    uint64_t number, claimed; /* its place in the archive; bytes that it would have */
};

struct mn_archive {
    struct file *files; /* [n]; owned */
    size_t n, room, n_bytes;
    const struct file **by_name; /* [n]; owned */
    char *buffer;                /* [buffer_room] of the file that is being read; owned */
    size_t buffer_room;
};

static mn_status read_files(mn_archive *archive, const char *path, mn_archive_stream *stream,
                            mn_error *err);
static mn_status sort_names(mn_archive *archive, mn_error *err);

mn_status mn_archive_open(const char *path, mn_archive **out, mn_error *err)
{
    mn_archive_stream *stream = NULL;
    mn_archive *archive = calloc(1, sizeof *archive);
    if (archive == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "opening %s", path);
    mn_status status = mn_archive_stream_open(path, true, &stream, err);
    if (status == MN_OK)
        status = read_files(archive, path, stream, err);
    if (status == MN_OK)
        status = sort_names(archive, err);
    mn_archive_stream_destroy(&stream);
    if (status != MN_OK)
        mn_archive_destroy(&archive);
    else
        *out = archive;
    return status;
}

void mn_archive_destroy(mn_archive **archive)
{
    if (*archive == NULL)
        return;
    for (size_t i = 0; i < (*archive)->n; i++) {
        free((*archive)->files[i].name);
        free((*archive)->files[i].bytes);
    }
    free((*archive)->files);
    free((void *)(*archive)->by_name);
    free((*archive)->buffer);
    free(*archive);
    *archive = NULL;
}

uint64_t mn_archive_count(const mn_archive *archive)
{
    return archive->n;
}

const char *mn_archive_name(const mn_archive *archive, uint64_t entry)
{
    return archive->files[entry].name;
}

uint64_t mn_archive_find(const mn_archive *archive, const char *name)
{
    size_t begin = 0, end = archive->n; /* the first whose name is not before this one */
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2;
        if (strcmp(archive->by_name[middle]->name, name) < 0)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin < archive->n && strcmp(archive->by_name[begin]->name, name) == 0
               ? archive->by_name[begin]->number
               : UINT64_MAX;
}

mn_status mn_archive_read(const mn_archive *archive, uint64_t entry, const char *where,
                          const char **bytes, size_t *n, mn_error *err)
{
    const struct file *file = &archive->files[entry];
    if (file->bytes == NULL)
        return mn_fail(err, MN_ERR_DATA, "%s would be %" PRIu64 " bytes; at most %zu are read",
                       where, file->claimed, MN_PICTURE_MAX_BYTES);
    *bytes = file->bytes;
    *n = file->n;
    return MN_OK;
}

static char *copy_of(const char *bytes, size_t n)
{
    char *copy = malloc(n + 1);
    if (copy != NULL) {
        memcpy(copy, bytes, n);
        copy[n] = '\0';
    }
    return copy;
}

/* One that is too large may be of no concern: who wants it is told. */
static mn_status read_file(mn_archive *archive, const char *path, const char *name,
                           mn_archive_stream *stream, mn_error *err)
{
    struct file file = {.number = archive->n, .claimed = mn_archive_stream_size(stream)};
    char shown[200];
    mn_error why = {0};
    mn_status status = MN_OK;
    if (file.claimed <= MN_PICTURE_MAX_BYTES)
        status = mn_archive_stream_read_all(stream, MN_PICTURE_MAX_BYTES, &archive->buffer,
                                            &archive->buffer_room, &file.n, &why);
    mn_import_printable(name, shown);
    if (status != MN_OK)
        return mn_fail(err, status, "%s: entry %s: %s; download the archive again", path, shown,
                       why.message);
    const bool is_kept = file.claimed <= MN_PICTURE_MAX_BYTES;
    file.name = strdup(name);
    file.bytes = is_kept ? copy_of(archive->buffer, file.n) : NULL;
    if (file.name == NULL || (is_kept && file.bytes == NULL) ||
        !mn_room_make((void **)&archive->files, archive->n, 1, &archive->room,
                      sizeof *archive->files)) {
        free(file.name);
        free(file.bytes);
        return mn_fail(err, MN_ERR_NOMEM, "reading %s", path);
    }
    archive->files[archive->n++] = file;
    archive->n_bytes += file.n;
    if (archive->n > MN_ARCHIVE_MAX_ENTRIES || archive->n_bytes > MN_ARCHIVE_MAX_BYTES)
        return mn_fail(err, MN_ERR_DATA,
                       "%s has more than %u files or %zu bytes, which is more than is read", path,
                       MN_ARCHIVE_MAX_ENTRIES, MN_ARCHIVE_MAX_BYTES);
    return MN_OK;
}

static mn_status read_files(mn_archive *archive, const char *path, mn_archive_stream *stream,
                            mn_error *err)
{
    const char *name = NULL;
    bool is_file = false;
    mn_status status = mn_archive_stream_next(stream, &name, &is_file, err);
    while (status == MN_OK && name != NULL) {
        if (is_file)
            status = read_file(archive, path, name, stream, err);
        if (status == MN_OK)
            status = mn_archive_stream_next(stream, &name, &is_file, err);
    }
    return status;
}

static int by_name(const void *a, const void *b)
{
    const struct file *x = *(const struct file *const *)a, *y = *(const struct file *const *)b;
    const int order = strcmp(x->name, y->name);
    return order != 0 ? order : x->number < y->number ? -1 : x->number > y->number;
}

static mn_status sort_names(mn_archive *archive, mn_error *err)
{
    archive->by_name = calloc(archive->n + 1, sizeof *archive->by_name);
    if (archive->by_name == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "names of %zu files", archive->n);
    for (size_t i = 0; i < archive->n; i++)
        archive->by_name[i] = &archive->files[i];
    qsort((void *)archive->by_name, archive->n, sizeof *archive->by_name, by_name);
    return MN_OK;
}
