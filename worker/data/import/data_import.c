#include "worker/data/import/data_import.h"

#include "common/file.h"
#include "worker/data/image_pack.h"
#include "worker/data/import/import_list.h"
#include "worker/data/import/picture.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <zip.h>

#define MAX_ARCHIVES 16u

/* Where the bytes of an item are. */
struct source {
    const char *const *paths;  /* archives */
    zip_t *zips[MAX_ARCHIVES]; /* owned */
    size_t n_zips;             /* 0: a folder */
    const char *folder;
};

static mn_status open_archive(const char *path, zip_t **out, mn_error *err);
static mn_status list_archive(struct source *source, uint32_t which, mn_import_list *list,
                              mn_error *err);
static mn_status list_folder(const char *folder, mn_import_list *list, mn_error *err);
static mn_status check_size(uint32_t image_size, uint32_t channels, mn_error *err);
static mn_status write_pack(const struct source *source, const mn_import_list *list,
                            uint32_t image_size, uint32_t channels, bool dark_is_ink,
                            const char *output, const mn_import_progress *progress, mn_error *err);

mn_status mn_import_omniglot(const char *const *zips, size_t n_zips, const char *split_folder,
                             uint32_t image_size, const char *output,
                             const mn_import_progress *progress, mn_error *err)
{
    if (n_zips == 0 || n_zips > MAX_ARCHIVES)
        return mn_fail(err, MN_ERR_USAGE, "%zu archives given; 1 to %u are read", n_zips,
                       MAX_ARCHIVES);
    struct source source = {.paths = zips};
    mn_import_list list = {0};
    mn_status status = check_size(image_size, 1, err);
    for (uint32_t i = 0; i < n_zips && status == MN_OK; i++) {
        status = open_archive(zips[i], &source.zips[i], err);
        source.n_zips += status == MN_OK;
        if (status == MN_OK)
            status = list_archive(&source, i, &list, err);
    }
    if (status == MN_OK)
        status = mn_import_list_arrange(&list, zips[0], err);
    if (status == MN_OK)
        status = split_folder != NULL ? mn_import_list_split_read(&list, split_folder, err)
                                      : mn_import_list_split_by_part(&list, err);
    for (int split = 0; split < MN_N_SPLITS && status == MN_OK; split++)
        if (list.n_entries[split] == 0)
            status = mn_fail(
                err, MN_ERR_USAGE,
                "without lists of splits images_background.zip (two alphabets or more, for train "
                "and val) and images_evaluation.zip (test) are both needed");
    if (status == MN_OK)
        status = write_pack(&source, &list, image_size, 1, true, output, progress, err);
    for (size_t i = 0; i < source.n_zips; i++)
        zip_discard(source.zips[i]);
    mn_import_list_fini(&list);
    return status;
}

mn_status mn_import_folder(const mn_import_folder_options *options, const char *output,
                           const mn_import_progress *progress, mn_error *err)
{
    struct source source = {.folder = options->folder};
    mn_import_list list = {0};
    mn_status status = check_size(options->image_size, options->channels, err);
    if (status == MN_OK)
        status = list_folder(options->folder, &list, err);
    if (status == MN_OK)
        status = mn_import_list_arrange(&list, options->folder, err);
    if (status == MN_OK)
        status = mn_import_list_split_shuffled(&list, options->val_share, options->test_share,
                                               options->seed, err);
    if (status == MN_OK)
        status = write_pack(&source, &list, options->image_size, options->channels,
                            options->dark_is_ink, output, progress, err);
    mn_import_list_fini(&list);
    return status;
}

static mn_status check_size(uint32_t image_size, uint32_t channels, mn_error *err)
{
    if (image_size == 0 || image_size > MN_PACK_MAX_SIDE || (channels != 1 && channels != 3))
        return mn_fail(err, MN_ERR_USAGE,
                       "images of %" PRIu32 " pixels a side and %" PRIu32
                       " channels; expected 1 to %u pixels, 1 or 3 channels",
                       image_size, channels, MN_PACK_MAX_SIDE);
    return MN_OK;
}

/* Archives ------------------------------------------------------------------------ */

static mn_status open_archive(const char *path, zip_t **out, mn_error *err)
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

static bool is_png_name(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcasecmp(name + n - 4, ".png") == 0;
}

/* Take one entry's name apart. Folders, other files and what macOS adds are passed over. */
static mn_status list_entry(const char *archive, uint32_t which, uint64_t entry, const char *name,
                            mn_import_list *list, mn_error *err)
{
    if (!is_png_name(name) || strncmp(name, "__MACOSX/", 9) == 0)
        return MN_OK;
    char shown[200], *where = NULL, *copy = strdup(name), *rest = copy;
    mn_import_printable(name, shown);
    mn_status status = MN_OK;
    if (copy == NULL || asprintf(&where, "%s: entry %s", archive, shown) < 0) {
        free(copy);
        return mn_fail(err, MN_ERR_NOMEM, "listing %s", archive);
    }
    const char *parts[4];
    unsigned n_parts = 0;
    for (char *part; (part = strsep(&rest, "/")) != NULL; n_parts++)
        if (n_parts < 4)
            parts[n_parts] = part;
    if (n_parts != 4 || strncmp(parts[0], "images_", 7) != 0)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s is not of the form images_.../Alphabet/characterNN/NAME.png", where);
    else
        status = mn_import_list_add(list, parts[1], parts[2], parts[3],
                                    strncmp(parts[0], "images_evaluation", 17) == 0, which, entry,
                                    where, err);
    free(where);
    free(copy);
    return status;
}

static mn_status list_archive(struct source *source, uint32_t which, mn_import_list *list,
                              mn_error *err)
{
    zip_int64_t n = zip_get_num_entries(source->zips[which], 0);
    if (n > 2 * (zip_int64_t)MN_PACK_MAX_IMAGES)
        return mn_fail(err, MN_ERR_DATA, "%s has %" PRIi64 " entries; at most %u are read",
                       source->paths[which], (int64_t)n, 2 * MN_PACK_MAX_IMAGES);
    mn_status status = MN_OK;
    for (zip_int64_t i = 0; i < n && status == MN_OK; i++) {
        const char *name = zip_get_name(source->zips[which], (zip_uint64_t)i, 0);
        status = name == NULL
                     ? mn_fail(err, MN_ERR_DATA, "%s: entry %" PRIi64 " has no name: %s",
                               source->paths[which], (int64_t)i, zip_strerror(source->zips[which]))
                     : list_entry(source->paths[which], which, (uint64_t)i, name, list, err);
    }
    return status;
}

/* An entry's bytes, at most MN_PICTURE_MAX_BYTES whatever it claims; its checksum is checked by
 * reading on to its end. *bytes is the caller's. */
static mn_status read_entry(zip_t *zip, uint64_t entry, const char *where, char **bytes, size_t *n,
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

/* Folders ------------------------------------------------------------------------- */

/* A folder on the way down; names[0 .. depth-1] are the folders above its content. An item's source
 * is its depth: 1 is class/file, 2 is group/class/file. */
struct place {
    const char *path;
    const char *names[2];
    uint32_t depth;
};

static mn_status list_place(const struct place *place, mn_import_list *list, mn_error *err);

static mn_status list_child(const struct place *place, const char *name, mn_import_list *list,
                            mn_error *err)
{
    static const char expected[] = "expected class/NAME.png or group/class/NAME.png";
    struct stat info;
    char *path = NULL;
    if (asprintf(&path, "%s/%s", place->path, name) < 0)
        return mn_fail(err, MN_ERR_NOMEM, "listing %s", place->path);
    mn_status status = MN_OK;
    if (stat(path, &info) != 0) {
        status = mn_fail_errno(err, "cannot look at %s", path);
    } else if (S_ISDIR(info.st_mode)) {
        struct place below = *place;
        below.path = path;
        if (below.depth < 2) {
            below.names[below.depth++] = name;
            status = list_place(&below, list, err);
        } else {
            status = mn_fail(err, MN_ERR_DATA, "%s is a folder too deep; %s", path, expected);
        }
    } else if (S_ISREG(info.st_mode) && is_png_name(name)) {
        if (place->depth == 0)
            status = mn_fail(err, MN_ERR_DATA, "%s is in no class; %s", path, expected);
        else
            status = mn_import_list_add(list, place->depth == 2 ? place->names[0] : "all",
                                        place->names[place->depth - 1], name, 0, place->depth, 0,
                                        path, err);
    }
    free(path);
    return status;
}

/* Calls itself through list_child, two levels deep at most. */
static mn_status list_place(const struct place *place, mn_import_list *list, mn_error *err)
{
    struct dirent **names = NULL;
    int n = scandir(place->path, &names, NULL, NULL);
    if (n < 0)
        return mn_fail_errno(err, "cannot read the folder %s", place->path);
    mn_status status = MN_OK;
    for (int i = 0; i < n; i++) {
        if (status == MN_OK && names[i]->d_name[0] != '.')
            status = list_child(place, names[i]->d_name, list, err);
        free(names[i]);
    }
    free(names);
    return status;
}

static mn_status list_folder(const char *folder, mn_import_list *list, mn_error *err)
{
    const struct place top = {.path = folder};
    return list_place(&top, list, err);
}

/* Both ---------------------------------------------------------------------------- */

static mn_status read_item(const struct source *source, const mn_import_item *item, char **where,
                           char **bytes, size_t *n, mn_error *err)
{
    if (source->n_zips > 0) {
        const char *name = zip_get_name(source->zips[item->source], item->entry, 0);
        char shown[200];
        mn_import_printable(name != NULL ? name : item->name, shown);
        if (asprintf(where, "%s: entry %s", source->paths[item->source], shown) < 0) {
            *where = NULL;
            return mn_fail(err, MN_ERR_NOMEM, "reading %s", shown);
        }
        return read_entry(source->zips[item->source], item->entry, *where, bytes, n, err);
    }
    const char *below = item->source == 1 ? strchr(item->name, '/') + 1 : item->name;
    if (asprintf(where, "%s/%s", source->folder, below) < 0) {
        *where = NULL;
        return mn_fail(err, MN_ERR_NOMEM, "reading %s", below);
    }
    return mn_file_read(*where, MN_PICTURE_MAX_BYTES, bytes, n, err);
}

static mn_status write_pack(const struct source *source, const mn_import_list *list,
                            uint32_t image_size, uint32_t channels, bool dark_is_ink,
                            const char *output, const mn_import_progress *progress, mn_error *err)
{
    mn_pack_index index = mn_import_list_index(list, image_size, channels);
    mn_pack_writer *writer = NULL;
    uint8_t *pixels = malloc((size_t)image_size * image_size * channels);
    mn_status status = pixels == NULL ? mn_fail(err, MN_ERR_NOMEM,
                                                "an image of %" PRIu32 " pixels a side", image_size)
                                      : mn_pack_writer_new(output, &index, &writer, err);
    for (uint32_t i = 0; i < list->n_items && status == MN_OK; i++) {
        char *bytes = NULL, *where = NULL;
        size_t n = 0;
        status = read_item(source, &list->items[i], &where, &bytes, &n, err);
        if (status == MN_OK)
            status =
                mn_picture_read(bytes, n, image_size, channels, dark_is_ink, where, pixels, err);
        if (status == MN_OK)
            status = mn_pack_writer_add(writer, pixels, err);
        free(bytes);
        free(where);
        if (progress != NULL && status == MN_OK && (i % 256 == 255 || i + 1 == list->n_items))
            progress->call(progress->user, i + 1, list->n_items);
    }
    if (status == MN_OK)
        status = mn_pack_writer_finish(&writer, err);
    mn_pack_writer_abandon(&writer);
    free(pixels);
    return status;
}
