#include "worker/data/import/runs_list.h"

#include "worker/data/import/archive.h"
#include "worker/data/import/folder_list.h"
#include "worker/data/import/picture.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS "class_labels.txt"
#define MAX_LABEL_BYTES ((size_t)1 << 20)

/* The archive while its runs are listed. */
struct archive {
    const mn_archive *zip;
    const char *path;
    uint64_t n_entries;
    unsigned char *used; /* [n_entries], owned: a line names it */
    uint32_t per_run;    /* lines of the first run; 0: there was none yet */
    mn_import_list *list;
};

static mn_status list_run(struct archive *archive, uint64_t entry, const char *name, mn_error *err);
static mn_status add_line(struct archive *archive, const char *name, unsigned number,
                          const char *prefix, const char *run, char *line, mn_error *err);
static mn_status find_picture(struct archive *archive, const char *prefix, const char *file,
                              const char *where, uint64_t *entry, mn_error *err);
static bool take_name(const char *file, const char *run, const char *role, char *name);
static mn_status count_rest(const struct archive *archive, mn_import_report *report, mn_error *err);

mn_status mn_runs_list(const mn_archive *zip, const char *path, mn_import_list *list,
                       mn_import_report *report, mn_error *err)
{
    const uint64_t n = mn_archive_count(zip);
    struct archive archive = {
        .zip = zip, .path = path, .n_entries = n, .used = calloc(n + 1, 1), .list = list};
    if (archive.used == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "listing %s", path);
    mn_status status = MN_OK;
    for (uint64_t i = 0; i < archive.n_entries && status == MN_OK; i++) {
        const char *name = mn_archive_name(zip, i), *slash = strrchr(name, '/');
        if (slash != NULL && strcmp(slash + 1, LABELS) == 0 && strncmp(name, "__MACOSX", 8) != 0)
            status = list_run(&archive, i, name, err);
    }
    if (status == MN_OK && archive.per_run == 0)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s has no RUN/" LABELS ": expected Omniglot's all_runs.zip, with the "
                         "folders run01 to run20",
                         path);
    if (status == MN_OK)
        status = count_rest(&archive, report, err);
    free(archive.used);
    return status;
}

static mn_status list_run(struct archive *archive, uint64_t entry, const char *name, mn_error *err)
{
    char shown[200], *where = NULL, *text = NULL;
    const char *bytes = NULL;
    mn_import_printable(name, shown);
    if (asprintf(&where, "%s: entry %s", archive->path, shown) < 0)
        return mn_fail(err, MN_ERR_NOMEM, "listing %s", archive->path);
    size_t n = 0;
    mn_status status = mn_archive_read(archive->zip, entry, where, &bytes, &n, err);
    /* "below/run01/class_labels.txt": the prefix is "below/", the run "run01". */
    const size_t folder = strlen(name) - strlen("/" LABELS);
    size_t begin = folder;
    while (begin > 0 && name[begin - 1] != '/')
        begin--;
    char *prefix = strndup(name, begin), *run = strndup(name + begin, folder - begin);
    if (status == MN_OK && (prefix == NULL || run == NULL))
        status = mn_fail(err, MN_ERR_NOMEM, "listing %s", archive->path);
    if (status == MN_OK && n > MAX_LABEL_BYTES)
        status = mn_fail(err, MN_ERR_DATA, "%s has %zu bytes; at most %zu are read", where, n,
                         MAX_LABEL_BYTES);
    uint32_t n_lines = 0;
    if (status == MN_OK && (text = strdup(bytes)) == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "%s", where);
    if (status == MN_OK) {
        char *rest = text;
        unsigned number = 0;
        for (char *line; status == MN_OK && (line = strsep(&rest, "\n")) != NULL;) {
            number++;
            line[strcspn(line, "\r")] = '\0';
            if (line[strspn(line, " \t")] == '\0')
                continue;
            status = add_line(archive, where, number, prefix, run, line, err);
            n_lines++;
        }
    }
    if (status == MN_OK && archive->per_run == 0)
        archive->per_run = n_lines;
    if (status == MN_OK && (n_lines == 0 || n_lines != archive->per_run))
        status = mn_fail(err, MN_ERR_DATA,
                         "%s has %" PRIu32 " lines, that of the first run %" PRIu32
                         "; all runs must be of one size; download the archive again",
                         where, n_lines, archive->per_run);
    free(where);
    free(text);
    free(prefix);
    free(run);
    return status;
}

static mn_status add_line(struct archive *archive, const char *name, unsigned number,
                          const char *prefix, const char *run, char *line, mn_error *err)
{
    char shown[200], where[1024], item[MN_PACK_MAX_NAME + 1], class[MN_PACK_MAX_NAME + 1];
    mn_import_printable(line, shown);
    (void)snprintf(where, sizeof where, "%.700s, line %u", name, number);
    char *rest = line;
    const char *test = strtok_r(line, " \t", &rest), *training = strtok_r(NULL, " \t", &rest);
    if (test == NULL || training == NULL || strtok_r(NULL, " \t", &rest) != NULL ||
        !take_name(test, run, "test", item) || !take_name(training, run, "training", class))
        return mn_fail(err, MN_ERR_DATA,
                       "%s: \"%s\" is not of the form RUN/test/ITEM.png RUN/training/CLASS.png "
                       "with the file's own folder as RUN",
                       where, shown);
    if (strlen(class) + strlen(item) + 1 > MN_PACK_MAX_NAME)
        return mn_fail(err, MN_ERR_DATA, "%s: names of together more than %u bytes", where,
                       MN_PACK_MAX_NAME - 1);
    char pair[2 * MN_PACK_MAX_NAME + 2];
    (void)snprintf(pair, sizeof pair, "%s=%s", class, item);
    uint64_t entries[2] = {0};
    mn_status status = find_picture(archive, prefix, training, where, &entries[0], err);
    if (status == MN_OK)
        status = find_picture(archive, prefix, test, where, &entries[1], err);
    if (status == MN_OK) /* in the order of their names */
        status =
            mn_import_list_add(archive->list, run, pair, "1", 0, 0, entries[0], NULL, where, err);
    if (status == MN_OK)
        status =
            mn_import_list_add(archive->list, run, pair, "2", 0, 0, entries[1], NULL, where, err);
    return status;
}

static mn_status find_picture(struct archive *archive, const char *prefix, const char *file,
                              const char *where, uint64_t *entry, mn_error *err)
{
    char *path = NULL, shown[200];
    mn_import_printable(file, shown);
    if (asprintf(&path, "%s%s", prefix, file) < 0)
        return mn_fail(err, MN_ERR_NOMEM, "listing %s", archive->path);
    const uint64_t at = mn_archive_find(archive->zip, path);
    free(path);
    if (at == UINT64_MAX)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: the archive has no %s beside it; download the archive again", where,
                       shown);
    if (archive->used[at])
        return mn_fail(err, MN_ERR_DATA, "%s: %s is named twice, but each drawing has one partner",
                       where, shown);
    archive->used[at] = 1;
    *entry = at;
    return MN_OK;
}

/* "run01/test/item01.png" -> "item01", if run and role are these. name has room for
 * MN_PACK_MAX_NAME bytes. */
static bool take_name(const char *file, const char *run, const char *role, char *name)
{
    const size_t n_run = strlen(run), n_role = strlen(role);
    if (strncmp(file, run, n_run) != 0 || file[n_run] != '/' ||
        strncmp(file + n_run + 1, role, n_role) != 0 || file[n_run + 1 + n_role] != '/')
        return false;
    file += n_run + n_role + 2;
    const size_t n = strlen(file);
    if (n < 5 || n - 4 > MN_PACK_MAX_NAME || strchr(file, '/') != NULL ||
        mn_picture_format_of_name(file, NULL) != MN_PICTURE_PNG)
        return false;
    memcpy(name, file, n - 4);
    name[n - 4] = '\0';
    return true;
}

/* Pictures that no line names would be missed in silence. */
static mn_status count_rest(const struct archive *archive, mn_import_report *report, mn_error *err)
{
    for (uint64_t i = 0; i < archive->n_entries; i++) {
        const char *name = mn_archive_name(archive->zip, i);
        if (archive->used[i])
            continue;
        const char *slash = strrchr(name, '/'), *file = slash != NULL ? slash + 1 : name;
        char shown[200];
        mn_import_printable(name, shown);
        if (mn_folder_is_system(file) || strncmp(name, "__MACOSX", 8) == 0)
            mn_import_report_leave(report, MN_LEFT_SYSTEM, "", shown);
        else if (mn_picture_format_of_name(file, NULL) == MN_PICTURE_PNG)
            return mn_fail(err, MN_ERR_DATA,
                           "%s: no " LABELS " names the picture %s; download the archive again",
                           archive->path, shown);
        else if (strcmp(file, LABELS) != 0)
            mn_import_report_leave(report, "entries that are no PNG pictures", "", shown);
    }
    return MN_OK;
}
