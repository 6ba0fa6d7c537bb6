#include "worker/data/data_path.h"

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

static const mn_data_recipe recipes[] = {
    {"omniglot-runs", "all_runs.zip", true},
    {"omniglot-background", "images_background.zip", false},
    {"omniglot-small1-", "images_background_small1.zip", false},
    {"omniglot-small2-", "images_background_small2.zip", false},
};

static mn_status make_places(struct places *places, const char *folders, mn_error *err);
static void drop_places(struct places *places);
static bool find_file(const struct places *places, unsigned n, const char *name, char **path);
static bool find_archives(const struct places *places, const char *name, uint32_t image_size,
                          mn_data_archives *out);
static mn_status tell_missing(const struct places *places, const char *name, uint32_t image_size,
                              mn_error *err);
static char *join(const char *folder, const char *name);

mn_status mn_data_path_find(const char *name, const char *folders, uint32_t image_size, char **path,
                            mn_error *err)
{
    if (name[0] == '\0' || strchr(name, '/') != NULL)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "\"%s\" is no name of data (tasks.data, tasks.runs); expected the name of a packed "
            "file without folders, which "
            "are listed in run.data_path",
            name);
    struct places places;
    mn_status status = make_places(&places, folders, err);
    if (status == MN_OK && !find_file(&places, places.n, name, path))
        status = tell_missing(&places, name, image_size, err);
    drop_places(&places);
    return status;
}

bool mn_data_path_archives(const char *name, const char *folders, uint32_t image_size,
                           mn_data_archives *out)
{
    struct places places;
    bool found = make_places(&places, folders, NULL) == MN_OK &&
                 find_archives(&places, name, image_size, out);
    drop_places(&places);
    return found;
}

const mn_data_recipe *mn_data_recipe_of(const char *name, uint32_t image_size)
{
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "%s%" PRIu32 ".mnd", recipes[i].stem, image_size);
        if (strcmp(name, expected) == 0)
            return &recipes[i];
    }
    return NULL;
}

bool mn_data_path_archive(const mn_data_recipe *recipe, const char *folders, char **zip,
                          char **cache)
{
    struct places places;
    *zip = *cache = NULL;
    bool found = make_places(&places, folders, NULL) == MN_OK &&
                 find_file(&places, places.n_sources, recipe->zip, zip);
    if (found && places.n > places.n_sources)
        *cache = strdup(places.folders[places.n - 1]);
    drop_places(&places);
    return found;
}

void mn_data_archives_fini(mn_data_archives *archives)
{
    free(archives->zips[0]);
    free(archives->zips[1]);
    free(archives->lists);
    free(archives->cache);
    *archives = (mn_data_archives){0};
}

/* Places -------------------------------------------------------------------------- */

char *mn_data_path_cache(void)
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
    places->folders[places->n] = mn_data_path_cache();
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

/* Archives ------------------------------------------------------------------------ */

static bool is_omniglot(const char *name, uint32_t image_size)
{
    char expected[32];
    (void)snprintf(expected, sizeof expected, "omniglot%" PRIu32 ".mnd", image_size);
    return strcmp(name, expected) == 0;
}

static bool archives_in(const char *folder, mn_data_archives *out)
{
    char *list = NULL;
    if (!is_file(folder, background, &out->zips[0]) || !is_file(folder, evaluation, &out->zips[1]))
        return false;
    out->lists = join(folder, "splits_vinyals");
    if (out->lists != NULL && !is_file(out->lists, "train.txt", &list)) {
        free(out->lists);
        out->lists = NULL;
    }
    free(list);
    return true;
}

static bool find_archives(const struct places *places, const char *name, uint32_t image_size,
                          mn_data_archives *out)
{
    *out = (mn_data_archives){0};
    for (unsigned i = 0; is_omniglot(name, image_size) && i < places->n_sources; i++) {
        if (archives_in(places->folders[i], out)) {
            if (places->n > places->n_sources)
                out->cache = strdup(places->folders[places->n - 1]);
            return true;
        }
        mn_data_archives_fini(out);
    }
    return false;
}

/* The command that makes the file, without "-o FILE". */
static void write_command(const mn_data_archives *archives, const char *name, uint32_t image_size,
                          char *out, size_t size)
{
    char side[32] = "";
    if (image_size != 28)
        (void)snprintf(side, sizeof side, " --size %" PRIu32, image_size);
    const mn_data_recipe *recipe = NULL; /* by the beginning, should the size be another */
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes && recipe == NULL; i++)
        if (strncmp(name, recipes[i].stem, strlen(recipes[i].stem)) == 0)
            recipe = &recipes[i];
    if (recipe != NULL)
        (void)snprintf(out, size, "mnemo data import omniglot%s %s%s%s",
                       recipe->is_runs ? "-runs" : "", recipe->zip,
                       recipe->is_runs ? "" : " --val-alphabets 0", side);
    else if (strncmp(name, "omniglot", 8) != 0)
        (void)snprintf(out, size, "mnemo data import folder FOLDER%s", side);
    else if (archives->zips[0] == NULL)
        (void)snprintf(out, size, "mnemo data import omniglot %s %s%s", background, evaluation,
                       side);
    else
        (void)snprintf(out, size, "mnemo data import omniglot %s %s%s%s%s", archives->zips[0],
                       archives->zips[1], archives->lists != NULL ? " --splits " : "",
                       archives->lists != NULL ? archives->lists : "", side);
}

static mn_status tell_missing(const struct places *places, const char *name, uint32_t image_size,
                              mn_error *err)
{
    mn_data_archives archives = {0};
    char looked[320] = "", command[480];
    size_t n = 0;
    for (unsigned i = 0; i < places->n && n < sizeof looked - 1; i++)
        n += (size_t)snprintf(looked + n, sizeof looked - n, "%s%s", i > 0 ? ", " : "",
                              places->folders[i]);
    bool found = find_archives(places, name, image_size, &archives);
    write_command(&archives, name, image_size, command, sizeof command);
    const char *where = archives.cache != NULL ? archives.cache : "FOLDER";
    mn_status status =
        found ? mn_fail(err, MN_ERR_NO_INPUT,
                        "no file %s, but its archives are there: pack them once with `%s -o "
                        "%s/%s`; looked in %s",
                        name, command, where, name, looked)
              : mn_fail(err, MN_ERR_NO_INPUT,
                        "no file %s; make it with `%s -o %s`, or add its folder%s to "
                        "run.data_path or MNEMO_DATA; looked in %s",
                        name, command, name,
                        is_omniglot(name, image_size) ? " or that of the two archives"
                        : mn_data_recipe_of(name, image_size) != NULL ? " or that of the archive"
                                                                      : "",
                        looked);
    mn_data_archives_fini(&archives);
    return status;
}
