/* archive.h: zip archives of strangers, read with care: nothing of an archive is believed before it
 * is seen. */
#pragma once

#include "common/error.h"
#include <stddef.h>
#include <stdint.h>
#include <zip.h>

/* Open for reading; the caller discards *out. MN_ERR_NO_INPUT: there is none. MN_ERR_DATA: no zip
 * archive. */
mn_status mn_archive_open(const char *path, zip_t **out, mn_error *err);

/* An entry's bytes, at most MN_PICTURE_MAX_BYTES whatever it claims; its checksum is checked by
 * reading on to its end. `where` names it in messages. *bytes has room for one more and is the
 * caller's (free). MN_ERR_DATA: damaged. */
mn_status mn_archive_read(zip_t *zip, uint64_t entry, const char *where, char **bytes, size_t *n,
                          mn_error *err);
