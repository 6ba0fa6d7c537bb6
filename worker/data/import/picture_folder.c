#include "worker/data/import/picture_folder.h"

#include "common/file.h"
#include "worker/data/import/folder_list.h"
#include "worker/data/import/picture.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct reading {
    const mn_picture_form *form;
    mn_import_report *report;
    mn_picture_folder *out;
    uint32_t room;
    uint8_t *pixels; /* [side, side, 3] */
    mn_error *err;
};

static mn_status read_top(struct reading *reading, const char *folder, bool flat);
static mn_status read_class(struct reading *reading, const char *folder, const char *name);
static mn_status read_one(struct reading *reading, const char *path, const char *name,
                          uint32_t label);
static void finish(mn_picture_folder *pictures, size_t size);

mn_status mn_picture_folder_read(const char *path, bool flat, const mn_picture_form *form,
                                 mn_import_report *report, mn_picture_folder *out, mn_error *err)
{
    struct stat info;
    struct reading reading = {.form = form, .report = report, .out = out, .err = err};
    *out = (mn_picture_folder){0};
    if (stat(path, &info) != 0)
        return mn_fail_errno(err, "%s: expected a folder of pictures", path);
    reading.pixels = malloc((size_t)form->side * form->side * 3);
    mn_status status = MN_OK;
    if (reading.pixels == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "a picture");
    else if (S_ISDIR(info.st_mode))
        status = read_top(&reading, path, flat);
    else if (flat)
        status = read_one(&reading, path, path, MN_NO_CLASS);
    else
        status = mn_fail(err, MN_ERR_DATA,
                         "%s is a file: expected a folder with a folder for each "
                         "class, and PNG or JPEG pictures in those; an archive is to be unpacked",
                         path);
    free(reading.pixels);
    if (status != MN_OK) {
        mn_picture_folder_fini(out);
        return status;
    }
    finish(out, (size_t)form->side * form->side * form->channels);
    return MN_OK;
}

void mn_picture_folder_fini(mn_picture_folder *pictures)
{
    for (uint32_t i = 0; i < pictures->n; i++)
        free(pictures->names[i]);
    for (uint32_t i = 0; i < pictures->n_classes; i++)
        free(pictures->classes[i]);
    free(pictures->x);
    free(pictures->labels);
    free(pictures->names);
    free(pictures->classes);
    *pictures = (mn_picture_folder){0};
}

static void finish(mn_picture_folder *pictures, size_t size)
{
    double sum = 0;
    for (size_t i = 0; i < pictures->n * size; i++)
        sum += (double)pictures->x[i];
    pictures->mean = pictures->n > 0 ? sum / ((double)pictures->n * (double)size) : 0;
}

/* Names, sorted by bytes; the caller frees each and all. -1: errno. */
static int list(const char *folder, struct dirent ***names)
{
    return scandir(folder, names, NULL, alphasort);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Is it a picture by its name? If not, it is left, and told why. */
static bool is_picture(struct reading *reading, const char *name, const char *path)
{
    const char *format = NULL;
    const bool is = mn_picture_format_of_name(name, &format) != MN_PICTURE_OTHER;
    if (!is)
        mn_import_report_leave(
            reading->report, format == NULL ? "files that are no pictures by their names" : format,
            format == NULL ? "" : "turn them into PNG or JPEG", path);
    return is;
}

static bool is_passed_over(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || mn_folder_is_system(name);
}

static mn_status take(struct reading *reading, const char *folder, const char *name, bool flat,
                      uint32_t *n_flat)
{
    char *path = NULL;
    mn_status status = MN_OK;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return mn_fail(reading->err, MN_ERR_NOMEM, "listing %s", folder);
    if (is_folder(path)) {
        status = read_class(reading, path, name);
    } else if (is_picture(reading, name, path)) {
        ++*n_flat;
        status = flat
                     ? read_one(reading, path, name, MN_NO_CLASS)
                     : mn_fail(reading->err, MN_ERR_DATA,
                               "%s is in no class: expected a folder for each class below %s, with "
                               "its pictures in it",
                               path, folder);
    }
    free(path);
    return status;
}

static mn_status read_top(struct reading *reading, const char *folder, bool flat)
{
    struct dirent **names = NULL;
    mn_picture_folder *out = reading->out;
    uint32_t n_flat = 0;
    const int n = list(folder, &names);
    mn_status status =
        n < 0 ? mn_fail_errno(reading->err, "cannot read the folder %s", folder) : MN_OK;
    for (int i = 0; i < n; i++) {
        if (status == MN_OK && !is_passed_over(names[i]->d_name))
            status = take(reading, folder, names[i]->d_name, flat, &n_flat);
        free(names[i]);
    }
    free(names);
    if (status == MN_OK && n_flat > 0 && out->n_classes > 0)
        status = mn_fail(reading->err, MN_ERR_DATA,
                         "%s has %" PRIu32 " pictures beside its folders: expected either a folder "
                         "for each class, or pictures alone",
                         folder, n_flat);
    if (status == MN_OK && out->n == 0)
        status = mn_fail(reading->err, MN_ERR_DATA,
                         "%s has no PNG or JPEG picture in it: expected %s", folder,
                         flat ? "pictures, or a folder of them for each class"
                              : "a folder for each class, with pictures in it");
    return status;
}

static mn_status grow(void *array, uint32_t n, size_t each, mn_error *err)
{
    void **at = array, *more = realloc(*at, (size_t)n * each);
    if (more == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " pictures", n);
    *at = more;
    return MN_OK;
}

static mn_status begin_class(struct reading *reading, const char *name)
{
    mn_picture_folder *out = reading->out;
    mn_status status = grow(&out->classes, out->n_classes + 1, sizeof *out->classes, reading->err);
    if (status != MN_OK)
        return status;
    out->classes[out->n_classes] = strdup(name);
    if (out->classes[out->n_classes] == NULL)
        return mn_fail(reading->err, MN_ERR_NOMEM, "class %s", name);
    out->n_classes++;
    return MN_OK;
}

static mn_status read_class(struct reading *reading, const char *folder, const char *name)
{
    struct dirent **names = NULL;
    const uint32_t before = reading->out->n, label = reading->out->n_classes;
    const int n = list(folder, &names);
    mn_status status = n < 0 ? mn_fail_errno(reading->err, "cannot read the folder %s", folder)
                             : begin_class(reading, name);
    for (int i = 0; i < n; i++) {
        char *path = NULL, *shown = NULL;
        if (status != MN_OK || is_passed_over(names[i]->d_name)) {
            /* nothing */
        } else if (asprintf(&path, "%s/%s", folder, names[i]->d_name) < 0) {
            path = NULL;
            status = mn_fail(reading->err, MN_ERR_NOMEM, "listing %s", folder);
        } else if (is_folder(path)) {
            status =
                mn_fail(reading->err, MN_ERR_DATA,
                        "%s is a folder within a class: expected pictures in %s", path, folder);
        } else if (is_picture(reading, names[i]->d_name, path)) {
            if (asprintf(&shown, "%s/%s", name, names[i]->d_name) < 0) {
                shown = NULL;
                status = mn_fail(reading->err, MN_ERR_NOMEM, "listing %s", folder);
            } else {
                status = read_one(reading, path, shown, label);
            }
        }
        free(path);
        free(shown);
        free(names[i]);
    }
    free(names);
    if (status == MN_OK && reading->out->n == before)
        status = mn_fail(reading->err, MN_ERR_DATA,
                         "class %s has no PNG or JPEG picture: expected one at least in %s, or no "
                         "such folder",
                         name, folder);
    return status;
}

static mn_status make_room(struct reading *reading)
{
    mn_picture_folder *out = reading->out;
    const mn_picture_form *form = reading->form;
    const size_t bytes = (size_t)form->side * form->side * form->channels * sizeof *out->x;
    if (out->n < reading->room)
        return MN_OK;
    if (out->n == MN_PICTURES_MOST)
        return mn_fail(reading->err, MN_ERR_DATA, "more than %u pictures: give fewer at a time",
                       MN_PICTURES_MOST);
    const uint32_t room = reading->room == 0 ? 32 : 2 * reading->room;
    mn_status status = grow(&out->x, room, bytes, reading->err);
    if (status == MN_OK)
        status = grow(&out->labels, room, sizeof *out->labels, reading->err);
    if (status == MN_OK)
        status = grow(&out->names, room, sizeof *out->names, reading->err);
    if (status == MN_OK)
        reading->room = room;
    return status;
}

static mn_status read_one(struct reading *reading, const char *path, const char *name,
                          uint32_t label)
{
    const mn_picture_form *form = reading->form;
    mn_picture_folder *out = reading->out;
    const size_t n_pixels = (size_t)form->side * form->side, size = n_pixels * form->channels;
    char *bytes = NULL;
    size_t n = 0;
    mn_status status = mn_file_read(path, MN_PICTURE_MAX_BYTES, &bytes, &n, reading->err);
    if (status == MN_OK)
        status = make_room(reading);
    if (status == MN_OK && form->channels == 1) /* a look at its colours */
        status =
            mn_picture_read(bytes, n, form->side, 3, false, path, reading->pixels, reading->err);
    if (status == MN_OK && form->channels == 1)
        out->n_coloured += mn_picture_is_coloured(reading->pixels, n_pixels);
    if (status == MN_OK)
        status = mn_picture_read(bytes, n, form->side, form->channels, form->dark_is_ink, path,
                                 reading->pixels, reading->err);
    free(bytes);
    if (status != MN_OK)
        return status;
    for (size_t i = 0; i < size; i++) /* as mn_image_tasks_copy, that of training */
        out->x[out->n * size + i] = (float)reading->pixels[i] / 255.0f;
    out->labels[out->n] = label;
    out->names[out->n] = strdup(name);
    if (out->names[out->n] == NULL)
        return mn_fail(reading->err, MN_ERR_NOMEM, "%s", name);
    out->n++;
    return MN_OK;
}
