#include "worker/data/import/data_import.h"

#include "worker/data/image_pack.h"
#include "worker/data/import/archive.h"
#include "worker/data/import/folder_list.h"
#include "worker/data/import/import_list.h"
#include "worker/data/import/import_splits.h"
#include "worker/data/import/picture.h"
#include "worker/data/import/runs_list.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_ARCHIVES 16u

/* Where the bytes of an item are. */
struct source {
    const char *const *paths;       /* archives */
    mn_archive *zips[MAX_ARCHIVES]; /* owned */
    size_t n_zips;
    mn_import_report *report;
};

/* What a picture becomes. */
struct shape {
    uint32_t side, channels;
    bool dark_is_ink;
};

static mn_status list_archive(struct source *source, uint32_t which, mn_import_list *list,
                              mn_error *err);
static mn_status check_size(uint32_t image_size, uint32_t channels, mn_error *err);
static mn_status write_pack(const struct source *source, const mn_import_list *list,
                            const struct shape *shape, const char *output,
                            const mn_import_progress *progress, mn_error *err);

/* Drawings of Omniglot: dark ink on white. */
static mn_status write_drawings(const struct source *source, const mn_import_list *list,
                                uint32_t image_size, const char *output,
                                const mn_import_progress *progress, mn_error *err)
{
    const struct shape shape = {.side = image_size, .channels = 1, .dark_is_ink = true};
    return write_pack(source, list, &shape, output, progress, err);
}

static void close_zips(struct source *source, mn_import_list *list)
{
    for (size_t i = 0; i < source->n_zips; i++)
        mn_archive_destroy(&source->zips[i]);
    mn_import_list_fini(list);
}

mn_status mn_import_omniglot(const char *const *zips, size_t n_zips, const char *split_folder,
                             uint32_t n_val, uint32_t image_size, const char *output,
                             const mn_import_progress *progress, mn_import_report *report,
                             mn_error *err)
{
    mn_import_report unseen = {0};
    if (n_zips == 0 || n_zips > MAX_ARCHIVES)
        return mn_fail(err, MN_ERR_USAGE, "%zu archives given; 1 to %u are read", n_zips,
                       MAX_ARCHIVES);
    struct source source = {.paths = zips, .report = report != NULL ? report : &unseen};
    mn_import_list list = {0};
    mn_status status = check_size(image_size, 1, err);
    for (uint32_t i = 0; i < n_zips && status == MN_OK; i++) {
        status = mn_archive_open(zips[i], &source.zips[i], err);
        source.n_zips += status == MN_OK;
        if (status == MN_OK)
            status = list_archive(&source, i, &list, err);
    }
    if (status == MN_OK)
        status = mn_import_list_arrange(&list, zips[0], "give each archive once", err);
    if (status == MN_OK)
        status = split_folder != NULL
                     ? mn_import_splits_listed(&list, split_folder, false, true, err)
                     : mn_import_list_split_by_part(&list, n_val, err);
    const bool own = split_folder == NULL && n_val != MN_VAL_SIXTH;
    for (int split = 0; split < MN_N_SPLITS && status == MN_OK && !own; split++)
        if (list.n_entries[split] == 0)
            status = mn_fail(
                err, MN_ERR_USAGE,
                "without lists of splits images_background.zip (two alphabets or more, for train "
                "and val) and images_evaluation.zip (test) are both needed; for the official runs "
                "say how many alphabets are for validation, as in --val-alphabets 0, and leave "
                "images_evaluation.zip out");
    if (status == MN_OK)
        status = write_drawings(&source, &list, image_size, output, progress, err);
    close_zips(&source, &list);
    return status;
}

mn_status mn_import_omniglot_runs(const char *zip, uint32_t image_size, const char *output,
                                  const mn_import_progress *progress, mn_import_report *report,
                                  mn_error *err)
{
    mn_import_report unseen = {0};
    struct source source = {.paths = &zip, .report = report != NULL ? report : &unseen};
    mn_import_list list = {0};
    mn_status status = check_size(image_size, 1, err);
    if (status == MN_OK)
        status = mn_archive_open(zip, &source.zips[0], err);
    source.n_zips = status == MN_OK;
    if (status == MN_OK)
        status = mn_runs_list(source.zips[0], zip, &list, source.report, err);
    if (status == MN_OK)
        status = mn_import_list_arrange(&list, zip, "each run is to be there once", err);
    if (status == MN_OK)
        status = mn_import_list_split_whole(&list, MN_TEST, err);
    if (status == MN_OK)
        status = write_drawings(&source, &list, image_size, output, progress, err);
    close_zips(&source, &list);
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

/* Take one entry's name apart. Folders, other files and what systems add are passed over. */
static mn_status list_entry(const struct source *source, uint32_t which, uint64_t entry,
                            const char *name, mn_import_list *list, mn_error *err)
{
    const char *archive = source->paths[which];
    const size_t length = strlen(name);
    char shown[200], *where = NULL, *copy = strdup(name), *rest = copy;
    mn_import_printable(name, shown);
    if (copy == NULL || asprintf(&where, "%s: entry %s", archive, shown) < 0) {
        free(copy);
        return mn_fail(err, MN_ERR_NOMEM, "listing %s", archive);
    }
    for (char *at = copy; strchr(name, '/') == NULL && *at != '\0'; at++)
        *at = *at == '\\' ? '/' : *at; /* some programs for Windows write these */

    const char *parts[4];
    unsigned n_parts = 0;
    bool system = false, inner = length > 4 && strcasecmp(name + length - 4, ".zip") == 0;
    for (char *part; (part = strsep(&rest, "/")) != NULL;) {
        bool up = strcmp(part, ".") == 0 || strcmp(part, "..") == 0;
        system = system || (!up && mn_folder_is_system(part));
        if (n_parts == 0 && part[0] != '\0' && !up && strncmp(part, "images_", 7) != 0)
            continue; /* a folder above, as after re-zipping */
        if (n_parts < 4)
            parts[n_parts] = part;
        n_parts++;
    }
    mn_status status = MN_OK;
    if (system)
        mn_import_report_leave(source->report, MN_LEFT_SYSTEM, "", where);
    else if (inner)
        mn_import_report_leave(source->report, "archives in an archive",
                               "unpack it, and give the archives themselves", where);
    else if (mn_picture_format_of_name(name, NULL) != MN_PICTURE_PNG)
        mn_import_report_leave(source->report, "entries that are no PNG pictures", "", where);
    else if (n_parts != 4 || strncmp(parts[0], "images_", 7) != 0)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s is not of the form images_.../Alphabet/characterNN/NAME.png", where);
    else
        status = mn_import_list_add(list, parts[1], parts[2], parts[3],
                                    strncmp(parts[0], "images_evaluation", 17) == 0, which, entry,
                                    NULL, where, err);
    free(where);
    free(copy);
    return status;
}

static mn_status list_archive(struct source *source, uint32_t which, mn_import_list *list,
                              mn_error *err)
{
    const mn_archive *archive = source->zips[which];
    const uint64_t n = mn_archive_count(archive);
    mn_status status = MN_OK;
    if (n > 2 * MN_PACK_MAX_IMAGES)
        return mn_fail(err, MN_ERR_DATA, "%s has %" PRIu64 " entries; at most %u are read",
                       source->paths[which], n, 2 * MN_PACK_MAX_IMAGES);
    for (uint64_t i = 0; i < n && status == MN_OK; i++)
        status = list_entry(source, which, i, mn_archive_name(archive, i), list, err);
    return status;
}

/* Pictures ------------------------------------------------------------------------ */

/* `format`, if not NULL, is told too. */
static mn_status read_picture(const struct source *source, const mn_import_item *item,
                              const struct shape *shape, uint8_t *pixels, mn_picture_format *format,
                              mn_error *err)
{
    const mn_archive *archive = source->zips[item->source];
    const char *bytes = NULL;
    char *where = NULL, shown[200];
    size_t n = 0;
    mn_import_printable(mn_archive_name(archive, item->entry), shown);
    if (asprintf(&where, "%s: entry %s", source->paths[item->source], shown) < 0)
        return mn_fail(err, MN_ERR_NOMEM, "reading %s", shown);
    mn_status status = mn_archive_read(archive, item->entry, where, &bytes, &n, err);
    if (status == MN_OK)
        status = mn_picture_read(bytes, n, shape->side, shape->channels, shape->dark_is_ink, where,
                                 pixels, err);
    if (status == MN_OK && format != NULL)
        *format = mn_picture_format_of(bytes, n, NULL);
    free(where);
    return status;
}

static void look_at(const struct source *source, const mn_import_item *item,
                    mn_picture_format format, const uint8_t *pixels, size_t n)
{
    source->report->n_png += format == MN_PICTURE_PNG;
    source->report->n_jpeg += format == MN_PICTURE_JPEG;
    if (n > 1 && memcmp(pixels, pixels + 1, n - 1) == 0)
        mn_import_left_count(&source->report->blank, item->name);
}

static mn_status write_pack(const struct source *source, const mn_import_list *list,
                            const struct shape *shape, const char *output,
                            const mn_import_progress *progress, mn_error *err)
{
    mn_pack_index index = mn_import_list_index(list, shape->side, shape->channels);
    mn_pack_writer *writer = NULL;
    size_t n_bytes = (size_t)shape->side * shape->side * shape->channels;
    uint8_t *pixels = malloc(n_bytes);
    mn_status status = pixels == NULL ? mn_fail(err, MN_ERR_NOMEM, "an image of %zu bytes", n_bytes)
                                      : mn_pack_writer_new(output, &index, &writer, err);
    for (uint32_t i = 0; i < list->n_items && status == MN_OK; i++) {
        mn_picture_format format = MN_PICTURE_OTHER;
        status = read_picture(source, &list->items[i], shape, pixels, &format, err);
        if (status == MN_OK)
            look_at(source, &list->items[i], format, pixels, n_bytes);
        if (status == MN_OK)
            status = mn_pack_writer_add(writer, pixels, err);
        if (progress != NULL && status == MN_OK && (i % 256 == 255 || i + 1 == list->n_items))
            progress->call(progress->user, i + 1, list->n_items);
    }
    if (status == MN_OK)
        status = mn_pack_writer_finish(&writer, err);
    mn_pack_writer_abandon(&writer);
    free(pixels);
    return status;
}
