#include "worker/data/import/first_use.h"

#include "common/file.h"
#include "common/log.h"
#include "common/mix.h"
#include "worker/data/babi_folder.h"
#include "worker/data/data_path.h"
#include "worker/data/import/data_import.h"
#include "worker/data/import/story_archive.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mn_status make_of(const mn_experiment *experiment, mn_error *err);
static mn_status pack_if_missing(const mn_experiment *experiment, const char *name, mn_error *err);
static mn_status pack_one(const mn_data_recipe *recipe, const char *zip, const char *cache,
                          const char *name, uint32_t image_size, mn_error *err);
static mn_status pack(const mn_data_archives *archives, const char *name, uint32_t image_size,
                      mn_error *err);
static mn_status unpack_stories(const char *name, const char *folders, bool dialogues,
                                mn_error *err);

mn_status mn_first_use_pack(const mn_experiment *experiment, mn_error *err)
{
    mn_status status = MN_OK;
    if (mn_mix_parts(experiment) == 0)
        return make_of(experiment, err);
    for (uint32_t i = 0; i < mn_mix_parts(experiment) && status == MN_OK; i++) {
        mn_mix_part part;
        status = mn_mix_read(experiment, i, &part, err);
        if (status == MN_OK)
            status = make_of(&part.experiment, err);
    }
    return status;
}

static mn_status make_of(const mn_experiment *experiment, mn_error *err)
{
    if (experiment->tasks.kind == MN_TASKS_STORIES)
        return unpack_stories(experiment->tasks.data, experiment->run.data_path, false, err);
    if (experiment->tasks.kind == MN_TASKS_DIALOGUES)
        return unpack_stories(experiment->tasks.data, experiment->run.data_path, true, err);
    const bool may =
        experiment->tasks.kind == MN_TASKS_CLASS_STREAM && experiment->tasks.data[0] != '\0';
    if (experiment->tasks.kind != MN_TASKS_IMAGES && !may)
        return MN_OK;
    mn_status status = pack_if_missing(experiment, experiment->tasks.data, err);
    return status == MN_OK && experiment->tasks.runs[0] != '\0'
               ? pack_if_missing(experiment, experiment->tasks.runs, err)
               : status;
}

static bool are_alike(const char *path, const char *other)
{
    char *bytes[2] = {NULL, NULL};
    size_t n[2] = {0, 0};
    const bool alike = mn_file_read(path, SIZE_MAX - 1, &bytes[0], &n[0], NULL) == MN_OK &&
                       mn_file_read(other, SIZE_MAX - 1, &bytes[1], &n[1], NULL) == MN_OK &&
                       n[0] == n[1] && memcmp(bytes[0], bytes[1], n[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return alike;
}

/* Packed once more, beside it: is it the same? Then it is as old as they are from now on, and that is not asked
 * again. */
static bool is_still_theirs(const char *path, const mn_data_archives *archives, uint32_t image_size,
                            struct timespec newest)
{
    char *other = NULL;
    if (asprintf(&other, "%s.again-%ld", path, (long)getpid()) < 0)
        return false;
    const bool same =
        mn_import_omniglot((const char *const *)archives->zips, 2, archives->lists, MN_VAL_SIXTH,
                           image_size, other, NULL, NULL, NULL) == MN_OK &&
        are_alike(path, other);
    (void)unlink(other);
    free(other);
    if (same)
        (void)utimensat(AT_FDCWD, path, (const struct timespec[]){newest, newest}, 0);
    return same;
}

/* The file is found by its name: it may be of archives that others have taken the place of. */
static void warn_if_other(const char *path, const mn_data_archives *archives, uint32_t image_size)
{
    struct stat packed, archive;
    struct timespec newest = {0};
    const char *newer = NULL;
    const size_t n = archives->cache != NULL ? strlen(archives->cache) : 0;
    if (n == 0 || strncmp(path, archives->cache, n) != 0 || stat(path, &packed) != 0)
        return; /* somebody put it where it is */
    for (int i = 0; i < 2; i++)
        if (stat(archives->zips[i], &archive) == 0 && archive.st_mtime > packed.st_mtime &&
            (newer == NULL || archive.st_mtime > newest.tv_sec)) {
            newest = archive.st_mtim;
            newer = archives->zips[i];
        }
    if (newer != NULL && !is_still_theirs(path, archives, image_size, newest))
        mn_log(
            MN_LOG_WARN,
            "the packed file is older than an archive that is there, and to pack that again does "
            "not give the same: remove the file, and it is packed again packed=%s archive=%s",
            path, newer);
}

static mn_status pack_if_missing(const mn_experiment *experiment, const char *name, mn_error *err)
{
    const char *folders = experiment->run.data_path;
    uint32_t image_size = experiment->tasks.image_size;
    const mn_data_recipe *recipe = mn_data_recipe_of(name, image_size);
    char *path = NULL, *zip = NULL, *cache = NULL;
    mn_data_archives archives;
    mn_status status = MN_OK;
    if (mn_data_path_find(name, folders, image_size, &path, NULL) == MN_OK) {
        if (mn_data_path_archives(name, folders, image_size, &archives)) {
            warn_if_other(path, &archives, image_size);
            mn_data_archives_fini(&archives);
        }
        free(path);
        return MN_OK;
    }
    if (recipe != NULL) {
        if (mn_data_path_archive(recipe, folders, &zip, &cache) && cache != NULL)
            status = pack_one(recipe, zip, cache, name, image_size, err);
        free(zip);
        free(cache);
        return status;
    }
    if (!mn_data_path_archives(name, folders, image_size, &archives))
        return MN_OK;
    status = archives.cache != NULL ? pack(&archives, name, image_size, err) : MN_OK;
    mn_data_archives_fini(&archives);
    return status;
}

/* What to do where the cache cannot be written: a read-only home, a quota. */
static mn_status with_remedy(mn_status status, const char *cache, mn_error *err)
{
    if ((status != MN_ERR_PERMISSION && status != MN_ERR_IO) || err == NULL)
        return status;
    const mn_error why = *err;
    return mn_fail(err, status,
                   "%.700s; packed files go to %.200s, or to a folder that MNEMO_CACHE names",
                   why.message, cache);
}

static mn_status pack_one(const mn_data_recipe *recipe, const char *zip, const char *cache,
                          const char *name, uint32_t image_size, mn_error *err)
{
    char *output = NULL;
    mn_status status = mn_folder_make(cache, err);
    if (status != MN_OK)
        return with_remedy(status, cache, err);
    if (asprintf(&output, "%s/%s", cache, name) < 0)
        return mn_fail(err, MN_ERR_NOMEM, "packing %s", name);
    mn_log(MN_LOG_INFO, "packing Omniglot, once from=%s to=%s", zip, output);
    status = recipe->is_runs
                 ? mn_import_omniglot_runs(zip, image_size, output, NULL, NULL, err)
                 : mn_import_omniglot(&zip, 1, NULL, 0, image_size, output, NULL, NULL, err);
    free(output);
    return with_remedy(status, cache, err);
}

static mn_status pack(const mn_data_archives *archives, const char *name, uint32_t image_size,
                      mn_error *err)
{
    char *output = NULL;
    mn_status status = mn_folder_make(archives->cache, err);
    if (status != MN_OK)
        return with_remedy(status, archives->cache, err);
    if (asprintf(&output, "%s/%s", archives->cache, name) < 0)
        return mn_fail(err, MN_ERR_NOMEM, "packing %s", name);
    mn_log(MN_LOG_INFO, "packing Omniglot, once from=%s splits=%s to=%s", archives->zips[0],
           archives->lists != NULL ? "vinyals" : "background-evaluation", output);
    status = mn_import_omniglot((const char *const *)archives->zips, 2, archives->lists,
                                MN_VAL_SIXTH, image_size, output, NULL, NULL, err);
    free(output);
    return with_remedy(status, archives->cache, err);
}

static mn_status unpack_stories(const char *name, const char *folders, bool dialogues,
                                mn_error *err)
{
    char *zip = mn_babi_folder_archive(name, folders);
    char *cache = zip != NULL ? mn_data_path_cache() : NULL, *folder = NULL;
    mn_story_archive found;
    mn_status status = MN_OK;
    if (cache != NULL && asprintf(&folder, "%s/babi", cache) < 0) {
        folder = NULL;
        status = mn_fail(err, MN_ERR_NOMEM, "unpacking %s", zip);
    }
    if (folder != NULL && dialogues) {
        status = mn_dialog_archive_unpack(zip, folder, name, err);
        if (status == MN_OK)
            mn_log(MN_LOG_INFO, "unpacked dialogues, once from=%s to=%s/%s", zip, folder, name);
    } else if (folder != NULL) {
        status = mn_story_archive_unpack(zip, folder, name, &found, err);
    }
    if (folder != NULL && !dialogues && status == MN_OK) {
        char whole[MN_BABI_LIST_SIZE], parts[MN_BABI_LIST_SIZE];
        mn_babi_list_sets(found.whole, whole);
        mn_babi_list_sets(found.parts, parts);
        mn_log(MN_LOG_INFO, "unpacked stories, once from=%s to=%s/%s sets=%s", zip, folder, name,
               whole);
        if (found.parts != 0)
            mn_log(MN_LOG_WARN,
                   "an archive lacks the training or the test file of sets=%s, which cannot be "
                   "asked for from=%s",
                   parts, zip);
    }
    free(zip);
    free(cache);
    free(folder);
    return status;
}
