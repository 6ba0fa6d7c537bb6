#include "worker/data/import/archive.h"

#include "worker/data/import/picture.h"
#include <inttypes.h>
#include <stdlib.h>

mn_status mn_archive_open(const char *path, zip_t **out, mn_error *err)
{
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_RDONLY, &code);
    if (zip != NULL) {
        *out = zip;
        return MN_OK;
    }
    if (code == ZIP_ER_NOENT)
        return mn_fail(err, MN_ERR_NO_INPUT, "there is no archive %s", path);
    if (code == ZIP_ER_OPEN)
        return mn_fail_errno(err, "cannot open the archive %s", path);
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    mn_status status =
        mn_fail(err, MN_ERR_DATA, "%s is no good zip archive (%s); download it again", path,
                zip_error_strerror(&error));
    zip_error_fini(&error);
    return status;
}

mn_status mn_archive_read(zip_t *zip, uint64_t entry, const char *where, char **bytes, size_t *n,
                          mn_error *err)
{
    zip_stat_t info;
    if (zip_stat_index(zip, entry, 0, &info) != 0 || !(info.valid & ZIP_STAT_SIZE))
        return mn_fail(err, MN_ERR_DATA, "%s has no size: %s", where, zip_strerror(zip));
    if (info.size > MN_PICTURE_MAX_BYTES)
        return mn_fail(err, MN_ERR_DATA, "%s would be %" PRIu64 " bytes; at most %zu are read",
                       where, (uint64_t)info.size, MN_PICTURE_MAX_BYTES);
    zip_file_t *file = zip_fopen_index(zip, entry, 0);
    if (file == NULL)
        return mn_fail(err, MN_ERR_DATA, "%s cannot be read: %s; download the archive again", where,
                       zip_strerror(zip));
    mn_status status = MN_OK;
    size_t size = (size_t)info.size, have = 0;
    char *buffer = malloc(size + 1);
    if (buffer == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "%s: %zu bytes", where, size);
    while (status == MN_OK) { /* the byte too many finds the end */
        zip_int64_t got = zip_fread(file, buffer + have, size + 1 - have);
        if (got < 0)
            status = mn_fail(err, MN_ERR_DATA, "%s is damaged: %s; download the archive again",
                             where, zip_file_strerror(file));
        if (got <= 0)
            break;
        have += (size_t)got;
        if (have > size)
            status = mn_fail(err, MN_ERR_DATA, "%s is longer than it says", where);
    }
    if (status == MN_OK && have < size)
        status = mn_fail(err, MN_ERR_DATA, "%s is cut short; download the archive again", where);
    (void)zip_fclose(file);
    if (status != MN_OK) {
        free(buffer);
        return status;
    }
    *bytes = buffer;
    *n = size;
    return MN_OK;
}
