#include "common/checkpoint_list.h"

#include "common/room.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "step-%09" PRIu64 ".safetensors"

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The meta-step in a name; false: no checkpoint is called so. */
static bool step_of(const char *name, uint64_t *step)
{
    char expected[64];
    if (sscanf(name, "step-%19" SCNu64, step) != 1)
        return false;
    (void)snprintf(expected, sizeof expected, FILE_NAME, *step);
    return strcmp(name, expected) == 0;
}

mn_status mn_checkpoint_list(const char *folder, uint64_t **steps, size_t *n, mn_error *err)
{
    const struct dirent *entry = NULL;
    size_t room = 0;
    *steps = NULL;
    *n = 0;
    DIR *listing = opendir(folder);
    if (listing == NULL && errno == ENOENT)
        return MN_OK;
    if (listing == NULL)
        return mn_fail_errno(err, "open the checkpoints' folder %s", folder);
    while ((entry = readdir(listing)) != NULL) {
        uint64_t step = 0;
        if (!step_of(entry->d_name, &step))
            continue;
        if (!mn_room_make((void **)steps, *n, 1, &room, sizeof **steps)) {
            (void)closedir(listing);
            free(*steps);
            *steps = NULL;
            *n = 0;
            return mn_fail(err, MN_ERR_NOMEM, "list of checkpoints in %s", folder);
        }
        (*steps)[(*n)++] = step;
    }
    (void)closedir(listing);
    if (*n > 1)
        qsort(*steps, *n, sizeof **steps, newest_first);
    return MN_OK;
}

mn_status mn_checkpoint_path(const char *folder, uint64_t step, char path[PATH_MAX], mn_error *err)
{
    int length = snprintf(path, PATH_MAX, "%s/" FILE_NAME, folder, step);
    if (length < 0 || length >= PATH_MAX)
        return mn_fail(err, MN_ERR_IO, "the path of folder %s is too long", folder);
    return MN_OK;
}

mn_status mn_checkpoint_newest(const char *folder, char path[PATH_MAX], uint64_t *step,
                               mn_error *err)
{
    uint64_t *steps = NULL;
    size_t n = 0;
    mn_status status = mn_checkpoint_list(folder, &steps, &n, err);
    if (status == MN_OK && n == 0)
        status = mn_fail(err, MN_ERR_NO_INPUT, "%s holds no checkpoint yet", folder);
    if (status == MN_OK) {
        *step = steps[0];
        status = mn_checkpoint_path(folder, *step, path, err);
    }
    free(steps);
    return status;
}
