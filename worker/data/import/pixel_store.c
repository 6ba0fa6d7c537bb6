#include "worker/data/import/pixel_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mn_pixel_store {
    int fd;
    size_t image_bytes;
    uint64_t n;
};

static int open_nameless(const char *beside);

mn_status mn_pixel_store_new(size_t image_bytes, const char *beside, mn_pixel_store **out,
                             mn_error *err)
{
    assert(image_bytes > 0);
    mn_pixel_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a store of pictures");
    store->image_bytes = image_bytes;
    store->fd = open_nameless(beside);
    if (store->fd < 0) {
        mn_status status = mn_fail_errno(err, "no place for pictures in the folder of %s",
                                         beside != NULL ? beside : "temporary files (TMPDIR)");
        mn_pixel_store_destroy(&store);
        return status;
    }
    *out = store;
    return MN_OK;
}

void mn_pixel_store_destroy(mn_pixel_store **store)
{
    if (*store == NULL)
        return;
    if ((*store)->fd >= 0)
        (void)close((*store)->fd);
    free(*store);
    *store = NULL;
}

mn_status mn_pixel_store_add(mn_pixel_store *store, const uint8_t *pixels, uint64_t *place,
                             mn_error *err)
{
    for (size_t done = 0; done < store->image_bytes;) {
        ssize_t n = pwrite(store->fd, pixels + done, store->image_bytes - done,
                           (off_t)(store->n * store->image_bytes + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mn_fail_errno(
                err, "cannot keep a picture until it is packed, for which room is needed twice");
        done += (size_t)n;
    }
    *place = store->n++;
    return MN_OK;
}

mn_status mn_pixel_store_get(const mn_pixel_store *store, uint64_t place, uint8_t *pixels,
                             mn_error *err)
{
    assert(place < store->n);
    for (size_t done = 0; done < store->image_bytes;) {
        ssize_t n = pread(store->fd, pixels + done, store->image_bytes - done,
                          (off_t)(place * store->image_bytes + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return mn_fail_errno(err, "cannot read back a picture that was kept");
        done += (size_t)n;
    }
    return MN_OK;
}

/* Where the file system has no nameless files, one with a name that is removed at once. */
static int open_nameless(const char *beside)
{
    const char *slash = beside != NULL ? strrchr(beside, '/') : NULL, *folder = getenv("TMPDIR");
    char *path = NULL;
    size_t n = 0;
    if (beside != NULL) {
        folder = slash != NULL ? beside : ".";
        n = slash != NULL ? (size_t)(slash - beside) + 1 : 1;
    } else {
        folder = folder != NULL && folder[0] != '\0' ? folder : "/tmp";
        n = strlen(folder);
    }
    path = malloc(n + sizeof "/.mnemo-XXXXXX");
    if (path == NULL)
        return -1;
    memcpy(path, folder, n);
    path[n] = '\0';
    int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && errno != ENOENT && errno != EACCES && errno != ENOTDIR) {
        memcpy(path + n, "/.mnemo-XXXXXX", sizeof "/.mnemo-XXXXXX");
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            (void)unlink(path);
    }
    const int why = errno;
    free(path);
    errno = why;
    return fd;
}
