#include "worker/data/import/archive_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Pictures hardly shrink, arrays of drawings some fifty times; bombs some thousand and more. */
#define MOST_GROWTH 250u
#define ALWAYS_GOOD ((uint64_t)64 << 20)
#define BLOCK 65536u

struct mn_archive_stream {
    char *path;              /* owned */
    char *name;              /* owned: of the entry; "" before the first */
    struct archive *archive; /* owned */
    uint64_t size;           /* that the entry says it has; 0: it does not say */
    uint64_t n_read, n_most; /* bytes after decompression, of all entries */
    bool entries, ended;
};

static mn_status open_archive(mn_archive_stream *stream, mn_error *err);
static mn_status refuse_growth(const mn_archive_stream *stream, mn_error *err);

mn_status mn_archive_stream_open(const char *path, bool entries, mn_archive_stream **out,
                                 mn_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return errno == ENOENT && entries
                   ? mn_fail(err, MN_ERR_NO_INPUT, "there is no archive %s", path)
                   : mn_fail_errno(err, "cannot open %s", path);
    if (!S_ISREG(info.st_mode))
        return mn_fail(err, MN_ERR_DATA, "%s is no regular file", path);
    mn_archive_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL || (stream->path = strdup(path)) == NULL ||
        (stream->archive = archive_read_new()) == NULL) {
        mn_archive_stream_destroy(&stream);
        return mn_fail(err, MN_ERR_NOMEM, "opening %s", path);
    }
    stream->entries = entries;
    stream->n_most = ALWAYS_GOOD + MOST_GROWTH * (uint64_t)info.st_size;
    mn_status status = open_archive(stream, err);
    if (status != MN_OK) {
        mn_archive_stream_destroy(&stream);
        return status;
    }
    *out = stream;
    return MN_OK;
}

static const char *why(const mn_archive_stream *stream)
{
    const char *text = archive_error_string(stream->archive);
    return text != NULL ? text : "it is cut short or no such file";
}

static mn_status no_good(const mn_archive_stream *stream, mn_error *err)
{
    return mn_fail(err, MN_ERR_DATA, "%s is no good %s: %s; pack it again, or download it again",
                   stream->path, stream->entries ? "zip or tar archive" : "file", why(stream));
}

static mn_status open_archive(mn_archive_stream *stream, mn_error *err)
{
    struct archive *archive = stream->archive;
    /* Not "all": that has filters which run other programs. */
    (void)archive_read_support_filter_gzip(archive);
    (void)archive_read_support_filter_bzip2(archive);
    (void)archive_read_support_filter_xz(archive);
    (void)archive_read_support_filter_lzma(archive);
    (void)archive_read_support_filter_zstd(archive);
    (void)archive_read_support_filter_lz4(archive);
    (void)archive_read_support_filter_compress(archive);
    if (stream->entries) {
        (void)archive_read_support_format_zip_seekable(archive); /* not one that lacks its end */
        (void)archive_read_support_format_tar(archive);
        (void)archive_read_support_format_gnutar(archive);
    } else {
        (void)archive_read_support_format_raw(archive);
        (void)archive_read_support_format_empty(archive);
    }
    errno = 0;
    if (archive_read_open_filename(archive, stream->path, BLOCK) == ARCHIVE_OK) {
        const char *name = NULL;
        bool is_file = false;
        return stream->entries ? MN_OK : mn_archive_stream_next(stream, &name, &is_file, err);
    }
    if (archive_errno(archive) == EACCES || archive_errno(archive) == ENOMEM) {
        errno = archive_errno(archive);
        return mn_fail_errno(err, "cannot open %s", stream->path);
    }
    return no_good(stream, err);
}

void mn_archive_stream_destroy(mn_archive_stream **stream)
{
    if (*stream == NULL)
        return;
    if ((*stream)->archive != NULL)
        (void)archive_read_free((*stream)->archive);
    free((*stream)->name);
    free((*stream)->path);
    free(*stream);
    *stream = NULL;
}

mn_status mn_archive_stream_next(mn_archive_stream *stream, const char **name, bool *is_file,
                                 mn_error *err)
{
    struct archive_entry *entry = NULL;
    int code = archive_read_next_header(stream->archive, &entry);
    *name = NULL;
    *is_file = false;
    stream->ended = code == ARCHIVE_EOF; /* of a file alone: it is empty */
    if (stream->ended)
        return MN_OK;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) /* a warning is of names and times */
        return no_good(stream, err);
    const uint64_t past = (uint64_t)archive_filter_bytes(stream->archive, 0);
    stream->size = archive_entry_size_is_set(entry) ? (uint64_t)archive_entry_size(entry) : 0;
    if (past > stream->n_most || stream->size > stream->n_most || stream->n_read > stream->n_most)
        return refuse_growth(stream, err);

    /* In a locale without UTF-8 the plain name may be missing. */
    const char *found = archive_entry_pathname_utf8(entry);
    if (found == NULL)
        found = archive_entry_pathname(entry);
    free(stream->name);
    stream->name = strdup(found != NULL ? found : "");
    if (stream->name == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "listing %s", stream->path);
    *name = stream->name;
    *is_file = archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == NULL;
    return MN_OK;
}

static mn_status refuse_growth(const mn_archive_stream *stream, mn_error *err)
{
    return mn_fail(err, MN_ERR_DATA,
                   "%s would grow more than %ufold when it is unpacked, as no collection of "
                   "pictures does; it is not read",
                   stream->path, MOST_GROWTH);
}

mn_status mn_archive_stream_read(mn_archive_stream *stream, void *bytes, size_t n, size_t *got,
                                 mn_error *err)
{
    *got = 0;
    while (*got < n && !stream->ended) {
        la_ssize_t some = archive_read_data(stream->archive, (char *)bytes + *got, n - *got);
        if (some == ARCHIVE_RETRY)
            continue;
        if (some < 0)
            return mn_fail(err, MN_ERR_DATA, "%s is damaged: %s", stream->path, why(stream));
        if (some == 0)
            break;
        *got += (size_t)some;
        stream->n_read += (uint64_t)some;
        if (stream->n_read > stream->n_most)
            return refuse_growth(stream, err);
    }
    return MN_OK;
}

uint64_t mn_archive_stream_size(const mn_archive_stream *stream)
{
    return stream->size;
}

mn_status mn_archive_stream_read_all(mn_archive_stream *stream, size_t most, char **bytes,
                                     size_t *room, size_t *n, mn_error *err)
{
    mn_status status = MN_OK;
    size_t got = 1;
    for (*n = 0; status == MN_OK && got > 0; *n += got) {
        if (*n > most)
            return mn_fail(err, MN_ERR_DATA, "it has more than %zu bytes", most);
        if (*n == *room) {
            const size_t larger = *n == 0 ? BLOCK : 2 * *n;
            char *more = realloc(*bytes, larger);
            if (more == NULL)
                return mn_fail(err, MN_ERR_NOMEM, "a file of more than %zu bytes", *n);
            *bytes = more;
            *room = larger;
        }
        status = mn_archive_stream_read(stream, *bytes + *n, *room - *n, &got, err);
    }
    return status;
}

mn_status mn_archive_stream_skip(mn_archive_stream *stream, uint64_t n, mn_error *err)
{
    char bytes[4096];
    while (n > 0) {
        size_t some = n < sizeof bytes ? (size_t)n : sizeof bytes, got = 0;
        mn_status status = mn_archive_stream_read(stream, bytes, some, &got, err);
        if (status != MN_OK)
            return status;
        if (got < some)
            return mn_fail(err, MN_ERR_DATA, "%s is cut short", stream->path);
        n -= some;
    }
    return MN_OK;
}
