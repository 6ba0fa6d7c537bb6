#include "worker/tasks/data_path.h"

#include "common/file.h"
#include "common/log.h"
#include "worker/tasks/data_import.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FOLDERS 64u

static const char background[] = "images_background.zip", evaluation[] = "images_evaluation.zip";

/* The folders to look in, in order. The last may be the cache. */
struct places {
    char *folders[2 * MAX_FOLDERS + 1]; /* owned */
    unsigned n;
    unsigned n_sources; /* the first so many may hold archives: all but the cache */
};

static mn_status make_places(struct places *places, const char *folders, mn_error *err);
static void drop_places(struct places *places);
static bool find_file(const struct places *places, unsigned n, const char *name, char **path);
static mn_status import_into_cache(const struct places *places, const char *name,
                                   uint32_t image_size, char **path, mn_error *err);
static mn_status tell_missing(const struct places *places, const char *name, uint32_t image_size,
                              mn_error *err);
static char *join(const char *folder, const char *name);

mn_status mn_data_path_find(const char *name, const char *folders, uint32_t image_size, char **path,
                            mn_error *err)
{
    if (name[0] == '\0' || strchr(name, '/') != NULL)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "tasks.data is \"%s\"; expected the name of a packed file without folders, which "
            "are listed in run.data_path",
            name);
    struct places places;
    mn_status status = make_places(&places, folders, err);
    if (status == MN_OK && !find_file(&places, places.n, name, path))
        status = import_into_cache(&places, name, image_size, path, err);
    drop_places(&places);
    return status;
}

/* Places -------------------------------------------------------------------------- */

static char *cache_folder(void)
{
    const char *own = getenv("MNEMO_CACHE"), *shared = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (own != NULL && own[0] != '\0')
        return strdup(own);
    if (shared != NULL && shared[0] != '\0')
        return join(shared, "mnemo");
    return home != NULL && home[0] != '\0' ? join(home, ".cache/mnemo") : NULL;
}

static mn_status make_places(struct places *places, const char *folders, mn_error *err)
{
    *places = (struct places){0};
    while (*folders != '\0' && places->n < 2 * MAX_FOLDERS) {
        size_t n = strcspn(folders, ":");
        if (n > 0) {
            char *folder = strndup(folders, n);
            char *below = folder != NULL ? join(folder, "omniglot") : NULL;
            places->folders[places->n++] = folder;
            places->folders[places->n++] = below;
            if (below == NULL)
                return mn_fail(err, MN_ERR_NOMEM, "list of data folders");
        }
        folders += n + (folders[n] == ':');
    }
    places->n_sources = places->n;
    places->folders[places->n] = cache_folder();
    places->n += places->folders[places->n] != NULL;
    return MN_OK;
}

static void drop_places(struct places *places)
{
    for (unsigned i = 0; i < places->n; i++)
        free(places->folders[i]);
}

static char *join(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static bool is_file(const char *folder, const char *name, char **path)
{
    struct stat info;
    char *candidate = join(folder, name);
    if (candidate != NULL && stat(candidate, &info) == 0 && S_ISREG(info.st_mode)) {
        *path = candidate;
        return true;
    }
    free(candidate);
    return false;
}

static bool find_file(const struct places *places, unsigned n, const char *name, char **path)
{
    for (unsigned i = 0; i < n; i++)
        if (is_file(places->folders[i], name, path))
            return true;
    return false;
}

/* Import -------------------------------------------------------------------------- */

static bool is_omniglot(const char *name, uint32_t image_size)
{
    char expected[32];
    (void)snprintf(expected, sizeof expected, "omniglot%" PRIu32 ".mnd", image_size);
    return strcmp(name, expected) == 0;
}

static mn_status import_from(const char *folder, char *zips[2], const char *cache, const char *name,
                             uint32_t image_size, char **path, mn_error *err)
{
    mn_status status = mn_folder_make(cache, err);
    if (status != MN_OK)
        return status;
    char *output = join(cache, name), *lists = join(folder, "splits_vinyals"), *list = NULL;
    if (output == NULL || lists == NULL) {
        status = mn_fail(err, MN_ERR_NOMEM, "importing %s", name);
    } else {
        bool has_lists = is_file(lists, "train.txt", &list);
        mn_log(MN_LOG_INFO, "importing Omniglot, once from=%s splits=%s to=%s", folder,
               has_lists ? "vinyals" : "background-evaluation", output);
        status = mn_import_omniglot((const char *const *)zips, 2, has_lists ? lists : NULL,
                                    image_size, output, NULL, err);
    }
    free(list);
    free(lists);
    if (status == MN_OK)
        *path = output;
    else
        free(output);
    return status;
}

static mn_status import_into_cache(const struct places *places, const char *name,
                                   uint32_t image_size, char **path, mn_error *err)
{
    bool has_cache = places->n > places->n_sources;
    for (unsigned i = 0; has_cache && is_omniglot(name, image_size) && i < places->n_sources; i++) {
        char *zips[2] = {NULL, NULL};
        bool found = is_file(places->folders[i], background, &zips[0]) &&
                     is_file(places->folders[i], evaluation, &zips[1]);
        mn_status status =
            found ? import_from(places->folders[i], zips, places->folders[places->n - 1], name,
                                image_size, path, err)
                  : MN_OK;
        free(zips[0]);
        free(zips[1]);
        if (found)
            return status;
    }
    return tell_missing(places, name, image_size, err);
}

static mn_status tell_missing(const struct places *places, const char *name, uint32_t image_size,
                              mn_error *err)
{
    char looked[640] = "";
    size_t n = 0;
    for (unsigned i = 0; i < places->n && n < sizeof looked - 1; i++)
        n += (size_t)snprintf(looked + n, sizeof looked - n, "%s%s", i > 0 ? ", " : "",
                              places->folders[i]);
    char make[160] = "mnemo data import folder FOLDER -o ", size[32] = "";
    if (strncmp(name, "omniglot", 8) == 0) {
        if (image_size != 28)
            (void)snprintf(size, sizeof size, "--image-size %" PRIu32 " ", image_size);
        (void)snprintf(make, sizeof make, "mnemo data import omniglot %s %s %s-o ", background,
                       evaluation, size);
    }
    return mn_fail(
        err, MN_ERR_NO_INPUT,
        "no file %s; make it with `%s%s`, or add its folder%s to run.data_path; looked in %s", name,
        make, name, is_omniglot(name, image_size) ? " or that of the two archives" : "", looked);
}
