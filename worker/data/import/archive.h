/* archive.h: an archive of small files, all of them in memory, to be looked at in any order (archive_stream.h reads
 * it). Nothing of an archive is believed before it is seen. */
#pragma once

#include "common/error.h"
#include <stddef.h>
#include <stdint.h>

#define MN_ARCHIVE_MAX_ENTRIES 1000000u
#define MN_ARCHIVE_MAX_BYTES ((size_t)1 << 30) /* of all entries */

typedef struct mn_archive mn_archive;

/* Read all of it: the caller destroys *out. MN_ERR_NO_INPUT: there is none. MN_ERR_DATA: neither zip nor tar,
 * damaged, or larger than may be. */
mn_status mn_archive_open(const char *path, mn_archive **out, mn_error *err);
void mn_archive_destroy(mn_archive **archive);

/* Its files, without folders and links; names may be any bytes, and are lent. */
uint64_t mn_archive_count(const mn_archive *archive);
const char *mn_archive_name(const mn_archive *archive, uint64_t entry);
/* The number of the first file of a name; UINT64_MAX: there is none. */
uint64_t mn_archive_find(const mn_archive *archive, const char *name);

/* An entry's bytes, with a NUL behind them, the archive's own. `where` names it in messages. MN_ERR_DATA: it is
 * larger than any picture. */
mn_status mn_archive_read(const mn_archive *archive, uint64_t entry, const char *where,
                          const char **bytes, size_t *n, mn_error *err);
