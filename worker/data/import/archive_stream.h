/* archive_stream.h: files of strangers, read from their beginning to their end: a zip or tar entry by entry, or
 * one file alone, compressed or not (gzip, bzip2, xz, zstd, ...). Nothing is unpacked to disk, and what would
 * grow beyond all measure is refused. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_archive_stream mn_archive_stream;

/* Open an archive, or (`entries` false) a file whose bytes are read at once. MN_ERR_NO_INPUT: there is none.
 * MN_ERR_DATA: neither zip nor tar. */
mn_status mn_archive_stream_open(const char *path, bool entries, mn_archive_stream **out,
                                 mn_error *err);
void mn_archive_stream_destroy(mn_archive_stream **stream);

/* Go on to the next entry. *name is lent until the next call, NULL: that was the last. It may be any bytes.
 *   is_file  it has bytes: no folder, link or device
 * MN_ERR_DATA: the archive is damaged, or grows beyond measure. */
mn_status mn_archive_stream_next(mn_archive_stream *stream, const char **name, bool *is_file,
                                 mn_error *err);

/* Read n bytes, or as many as are left: *got. MN_ERR_DATA: damaged; other entries may be good. */
mn_status mn_archive_stream_read(mn_archive_stream *stream, void *bytes, size_t n, size_t *got,
                                 mn_error *err);

/* Bytes that the entry says it has; 0: it does not say. */
uint64_t mn_archive_stream_size(const mn_archive_stream *stream);

/* Read all that is left of an entry, at most `most` bytes, whatever it claims. *bytes is a buffer of the caller's
 * [*room], NULL and 0 at first, which is made larger as bytes come. MN_ERR_DATA: damaged, or more. */
mn_status mn_archive_stream_read_all(mn_archive_stream *stream, size_t most, char **bytes,
                                     size_t *room, size_t *n, mn_error *err);

/* Read past n bytes. MN_ERR_DATA also if there are fewer. */
mn_status mn_archive_stream_skip(mn_archive_stream *stream, uint64_t n, mn_error *err);
