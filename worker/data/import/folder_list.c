#include "worker/data/import/folder_list.h"

#include "worker/data/import/picture.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define MAX_DEPTH 8

/* A folder on the way down. */
struct place {
    const struct place *above; /* NULL: the top */
    const char *path;
    const char *group; /* "" for none yet */
    const char *name;  /* the class if pictures are here; "" above all classes */
    const char *split; /* the folder of a split that it is in; "" */
    uint32_t part;
    int depth;
    dev_t device;
    ino_t inode;
};

struct walk {
    mn_import_list *list;
    mn_import_report *report;
    mn_error *err;
};

/* What is at the top. */
struct top {
    char *splits[MN_N_SPLITS]; /* owned: names of folders; NULL: there is none */
    unsigned n_splits, n_others;
};

static mn_status look_at_top(const char *folder, struct top *top, mn_error *err);
static mn_status list_splits(const struct walk *walk, const struct place *top_place,
                             const struct top *top, bool parts);
static mn_status list_place(const struct walk *walk, const struct place *place);
static mn_status list_child(const struct walk *walk, const struct place *place, const char *name,
                            bool *used);

mn_status mn_folder_list(const char *folder, bool find_splits, mn_import_list *list,
                         mn_import_report *report, bool *found, mn_error *err)
{
    const struct walk walk = {.list = list, .report = report, .err = err};
    struct place place = {.path = folder, .group = "", .name = "", .split = ""};
    struct top top = {{NULL}, 0, 0};
    struct stat info;
    if (stat(folder, &info) != 0)
        return mn_fail_errno(err, "cannot look at the folder %s", folder);
    if (!S_ISDIR(info.st_mode))
        return mn_fail(
            err, MN_ERR_USAGE,
            "%s is no folder; expected one of class/PICTURE or group/class/PICTURE, or a "
            "zip or tar of it",
            folder);
    place.device = info.st_dev;
    place.inode = info.st_ino;
    mn_status status = look_at_top(folder, &top, err);
    bool splits = top.n_splits > 1 || (top.n_splits == 1 && top.n_others == 0);
    if (status == MN_OK)
        status = splits ? list_splits(&walk, &place, &top, find_splits) : list_place(&walk, &place);
    for (int i = 0; i < MN_N_SPLITS; i++)
        free(top.splits[i]);
    *found = splits && find_splits;
    return status;
}

bool mn_folder_is_system(const char *name)
{
    static const char *const names[] = {"__MACOSX", "Thumbs.db", "ehthumbs.db",  "desktop.ini",
                                        "@eaDir",   "#recycle",  "$RECYCLE.BIN", "lost+found"};
    if (name[0] == '.')
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

/* The top ------------------------------------------------------------------------- */

int mn_folder_split_of(const char *name)
{
    static const struct {
        const char *name;
        mn_split split;
    } names[] = {{"train", MN_TRAIN}, {"training", MN_TRAIN}, {"val", MN_VAL},
                 {"valid", MN_VAL},   {"validation", MN_VAL}, {"test", MN_TEST},
                 {"testing", MN_TEST}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i].name) == 0)
            return (int)names[i].split;
    return -1;
}

static bool is_folder(const char *folder, const char *name)
{
    struct stat info;
    char *path = NULL;
    bool is = asprintf(&path, "%s/%s", folder, name) >= 0 && stat(path, &info) == 0 &&
              S_ISDIR(info.st_mode);
    free(path);
    return is;
}

static mn_status look_at_top(const char *folder, struct top *top, mn_error *err)
{
    struct dirent **names = NULL;
    int n = scandir(folder, &names, NULL, alphasort);
    mn_status status = n < 0 ? mn_fail_errno(err, "cannot read the folder %s", folder) : MN_OK;
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        int split = mn_folder_split_of(name);
        if (!mn_folder_is_system(name) && is_folder(folder, name)) {
            if (split < 0 || top->splits[split] != NULL)
                top->n_others++;
            else if ((top->splits[split] = strdup(name)) == NULL)
                status = mn_fail(err, MN_ERR_NOMEM, "listing %s", folder);
            else
                top->n_splits++;
        }
        free(names[i]);
    }
    free(names);
    return status;
}

/* The folders of splits, and a word about whatever stands beside them. */
static mn_status list_splits(const struct walk *walk, const struct place *top_place,
                             const struct top *top, bool parts)
{
    struct dirent **names = NULL;
    int n = scandir(top_place->path, &names, NULL, alphasort);
    mn_status status =
        n < 0 ? mn_fail_errno(walk->err, "cannot read the folder %s", top_place->path) : MN_OK;
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        int split = mn_folder_split_of(name);
        char *path = NULL;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || status != MN_OK) {
            /* nothing */
        } else if (asprintf(&path, "%s/%s", top_place->path, name) < 0) {
            path = NULL;
            status = mn_fail(walk->err, MN_ERR_NOMEM, "listing %s", top_place->path);
        } else if (mn_folder_is_system(name)) {
            mn_import_report_leave(walk->report, MN_LEFT_SYSTEM, "", path);
        } else if (split < 0 || top->splits[split] == NULL ||
                   strcmp(top->splits[split], name) != 0) {
            mn_import_report_leave(walk->report, MN_LEFT_BESIDE, "", path);
        } else {
            struct place below = *top_place;
            below.path = path;
            below.above = top_place;
            below.split = parts ? "" : name;
            below.part = parts ? (uint32_t)split : 0;
            struct stat info;
            if (stat(path, &info) == 0) {
                below.device = info.st_dev;
                below.inode = info.st_ino;
            }
            status = list_place(walk, &below);
        }
        free(path);
        free(names[i]);
    }
    free(names);
    return status;
}

/* Below --------------------------------------------------------------------------- */

static mn_status list_place(const struct walk *walk, const struct place *place)
{
    struct dirent **names = NULL;
    int n = scandir(place->path, &names, NULL, alphasort);
    if (n < 0)
        return mn_fail_errno(walk->err, "cannot read the folder %s", place->path);
    mn_status status = MN_OK;
    bool used = false;
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        if (status == MN_OK && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            status = list_child(walk, place, name, &used);
        free(names[i]);
    }
    free(names);
    if (status == MN_OK && !used)
        mn_import_report_leave(walk->report, "folders without a PNG or JPEG picture", "",
                               place->path);
    return status;
}

static mn_status list_below(const struct walk *walk, const struct place *place, const char *name,
                            const char *path, const struct stat *info)
{
    for (const struct place *above = place; above != NULL; above = above->above)
        if (above->device == info->st_dev && above->inode == info->st_ino) {
            mn_import_report_leave(walk->report, "links back to a folder above", "", path);
            return MN_OK;
        }
    if (place->depth == MAX_DEPTH)
        return mn_fail(walk->err, MN_ERR_DATA,
                       "%s is a folder too deep; expected class/PICTURE or group/class/PICTURE, "
                       "with at most %d folders",
                       path, MAX_DEPTH);
    char *group = NULL;
    int length = place->group[0] != '\0'
                     ? asprintf(&group, "%s%c%s", place->group, MN_IMPORT_NESTED, place->name)
                     : asprintf(&group, "%s", place->name);
    if (length < 0)
        return mn_fail(walk->err, MN_ERR_NOMEM, "listing %s", path);
    struct place below = *place;
    below.above = place;
    below.path = path;
    below.group = group;
    below.name = name;
    below.depth++;
    below.device = info->st_dev;
    below.inode = info->st_ino;
    mn_status status = list_place(walk, &below);
    free(group);
    return status;
}

static mn_status add_picture(const struct walk *walk, const struct place *place, const char *name,
                             const char *path)
{
    char *file = NULL;
    if (asprintf(&file, "%s%s%s", place->split, place->split[0] != '\0' ? ":" : "", name) < 0)
        return mn_fail(walk->err, MN_ERR_NOMEM, "listing %s", path);
    mn_status status =
        mn_import_list_add(walk->list, place->group[0] != '\0' ? place->group : "all", place->name,
                           file, place->part, 0, 0, path, path, walk->err);
    free(file);
    return status;
}

static mn_status list_file(const struct walk *walk, const struct place *place, const char *name,
                           const char *path, bool *used)
{
    const char *format = NULL;
    bool is_read = mn_picture_format_of_name(name, &format) != MN_PICTURE_OTHER;
    if (!is_read && format == NULL) {
        mn_import_report_leave(walk->report, "files that are no pictures by their names", "", path);
    } else if (!is_read) {
        mn_import_report_leave(walk->report, format, MN_CONVERT, path);
    } else if (place->name[0] == '\0') {
        mn_import_report_leave(walk->report, MN_LEFT_LOOSE, "put them into a folder each", path);
    } else {
        *used = true;
        return add_picture(walk, place, name, path);
    }
    return MN_OK;
}

static mn_status list_child(const struct walk *walk, const struct place *place, const char *name,
                            bool *used)
{
    struct stat info;
    char *path = NULL;
    if (asprintf(&path, "%s/%s", place->path, name) < 0)
        return mn_fail(walk->err, MN_ERR_NOMEM, "listing %s", place->path);
    mn_status status = MN_OK;
    if (mn_folder_is_system(name)) {
        mn_import_report_leave(walk->report, MN_LEFT_SYSTEM, "", path);
    } else if (stat(path, &info) != 0 && errno != ENOENT && errno != ELOOP) {
        status = mn_fail_errno(walk->err, "cannot look at %s", path);
    } else if (stat(path, &info) != 0) {
        mn_import_report_leave(walk->report, "links that lead nowhere", "", path);
    } else if (S_ISDIR(info.st_mode)) {
        *used = true;
        status = list_below(walk, place, name, path, &info);
    } else if (S_ISREG(info.st_mode)) {
        status = list_file(walk, place, name, path, used);
    } else {
        mn_import_report_leave(walk->report, "what is neither file nor folder", "", path);
    }
    free(path);
    return status;
}
