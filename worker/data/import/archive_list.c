#include "worker/data/import/archive_list.h"

#include "worker/data/import/archive_stream.h"
#include "worker/data/import/folder_list.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_PARTS 10u /* of a name: as deep as folders may be */
#define MOST_ENTRIES (2 * MN_PACK_MAX_IMAGES)

/* A name taken apart. */
struct parts {
    char *text; /* owned: the parts point into it */
    const char *at[MAX_PARTS];
    const char *file; /* the last of all parts */
    unsigned n;
    bool is_folder, is_system, leads_out, is_deep;
};

/* A picture that was kept. */
struct picture {
    char *name; /* owned: parts with slashes between */
    uint64_t place;
    mn_picture_facts facts;
    const char *parts[MAX_PARTS]; /* once all are there: in `name`, which has NULs then */
    unsigned n_parts;
};

struct listing {
    mn_archive_stream *stream; /* owned */
    const char *path;
    mn_import_work *work;
    struct picture *pictures; /* [n], owned */
    uint32_t n, capacity;
    char *bytes; /* [n_room] of a picture; owned */
    size_t n_room;
    mn_error *err;
};

static mn_status read_entries(struct listing *listing);
static mn_status list_pictures(struct listing *listing, bool find_splits, bool *found);

mn_status mn_archive_list(const char *path, bool find_splits, mn_import_work *work, bool *found,
                          mn_error *err)
{
    struct listing listing = {.path = path, .work = work, .err = err};
    mn_status status = MN_OK;
    if (status == MN_OK)
        status = mn_archive_stream_open(path, true, &listing.stream, err);
    if (status == MN_OK)
        status = read_entries(&listing);
    if (status == MN_OK)
        status = list_pictures(&listing, find_splits, found);
    for (uint32_t i = 0; i < listing.n; i++)
        free(listing.pictures[i].name);
    free(listing.pictures);
    free(listing.bytes);
    mn_archive_stream_destroy(&listing.stream);
    return status;
}

/* Reading ------------------------------------------------------------------------- */

static void take_apart(char *name, struct parts *parts)
{
    const size_t length = strlen(name);
    if (strchr(name, '/') == NULL)
        for (char *at = name; *at != '\0'; at++)
            *at = *at == '\\' ? '/' : *at; /* some programs for Windows write these */
    parts->is_folder = length > 0 && name[length - 1] == '/';
    for (char *part; (part = strsep(&name, "/")) != NULL;) {
        if (part[0] == '\0' || strcmp(part, ".") == 0)
            continue;
        const bool up = strcmp(part, "..") == 0;
        parts->leads_out = parts->leads_out || up;
        parts->is_system = parts->is_system || (!up && mn_folder_is_system(part));
        parts->is_deep = parts->is_deep || parts->n == MAX_PARTS;
        parts->file = part;
        if (!parts->is_deep)
            parts->at[parts->n++] = part;
    }
}

static bool is_archive(const char *file)
{
    static const char *const ends[] = {".zip", ".tar", ".tgz", ".tbz2", ".txz",
                                       ".gz",  ".bz2", ".xz",  ".7z",   ".rar"};
    const char *dot = strrchr(file, '.');
    for (size_t i = 0; dot != NULL && i < sizeof ends / sizeof *ends; i++)
        if (strcasecmp(dot, ends[i]) == 0)
            return true;
    return false;
}

static mn_status keep(struct listing *listing, const struct parts *parts, uint64_t place,
                      const mn_picture_facts *facts)
{
    if (listing->n == listing->capacity) {
        uint32_t capacity = listing->capacity == 0 ? 1024 : 2 * listing->capacity;
        if (listing->n >= MN_PACK_MAX_IMAGES)
            return mn_fail(listing->err, MN_ERR_DATA,
                           "%s: more than %u pictures; a packed file holds no more", listing->path,
                           MN_PACK_MAX_IMAGES);
        struct picture *more = realloc(listing->pictures, capacity * sizeof *more);
        if (more == NULL)
            return mn_fail(listing->err, MN_ERR_NOMEM, "list of %" PRIu32 " pictures", capacity);
        listing->pictures = more;
        listing->capacity = capacity;
    }
    size_t n = 1;
    for (unsigned i = 0; i < parts->n; i++)
        n += strlen(parts->at[i]) + 1;
    struct picture *picture = &listing->pictures[listing->n];
    *picture = (struct picture){.name = malloc(n), .place = place, .facts = *facts};
    if (picture->name == NULL)
        return mn_fail(listing->err, MN_ERR_NOMEM, "list of %" PRIu32 " pictures", listing->n);
    char *at = picture->name;
    for (unsigned i = 0; i < parts->n; i++) {
        picture->parts[i] = at;
        at = stpcpy(at, parts->at[i]) + 1;
    }
    picture->n_parts = parts->n;
    listing->n++;
    return MN_OK;
}

static mn_status read_picture(struct listing *listing, const struct parts *parts, const char *where)
{
    mn_picture_facts facts;
    mn_error why = {0};
    uint64_t place = 0;
    size_t n = 0;
    bool damaged = false;
    mn_status status = mn_archive_stream_read_all(listing->stream, MN_PICTURE_MAX_BYTES,
                                                  &listing->bytes, &listing->n_room, &n, &why);
    if (status == MN_ERR_NOMEM)
        return mn_fail(listing->err, status, "%s", why.message);
    if (status != MN_OK) {
        mn_error told;
        (void)mn_fail(&told, status, "%s: %s", where, why.message);
        mn_import_work_damaged(listing->work, told.message);
        return MN_OK;
    }
    status = mn_import_work_decode(listing->work, listing->bytes, n, where, 0, &place, &facts,
                                   &damaged, listing->err);
    return status == MN_OK && !damaged ? keep(listing, parts, place, &facts) : status;
}

static mn_status read_entry(struct listing *listing, const struct parts *parts, bool is_file,
                            const char *where)
{
    mn_import_report *report = listing->work->report;
    const char *file = parts->n > 0 ? parts->file : "", *format = NULL;
    if (parts->is_folder)
        return MN_OK;
    if (parts->is_system)
        mn_import_report_leave(report, MN_LEFT_SYSTEM, "", where);
    else if (parts->leads_out || parts->n == 0)
        mn_import_report_leave(report, "names that lead out of the archive", "", where);
    else if (!is_file)
        mn_import_report_leave(report, "what is neither file nor folder", "", where);
    else if (is_archive(file))
        mn_import_report_leave(report, MN_LEFT_INNER, "unpack it, and import it by itself", where);
    else if (mn_picture_format_of_name(file, &format) == MN_PICTURE_OTHER)
        mn_import_report_leave(
            report, format != NULL ? format : "files that are no pictures by their names",
            format != NULL ? MN_CONVERT : "", where);
    else if (parts->is_deep)
        return mn_fail(listing->err, MN_ERR_DATA,
                       "%s is in more than %u folders; expected class/PICTURE or "
                       "group/class/PICTURE",
                       where, MAX_PARTS - 1);
    else
        return read_picture(listing, parts, where);
    return MN_OK;
}

static mn_status read_entries(struct listing *listing)
{
    mn_status status = MN_OK;
    for (uint64_t n = 0; status == MN_OK; n++) {
        const char *name = NULL;
        bool is_file = false;
        status = mn_archive_stream_next(listing->stream, &name, &is_file, listing->err);
        if (status != MN_OK || name == NULL)
            break;
        if (n == MOST_ENTRIES)
            return mn_fail(listing->err, MN_ERR_DATA, "%s has more than %u entries", listing->path,
                           MOST_ENTRIES);
        struct parts parts = {.text = strdup(name)};
        char shown[200], *where = NULL;
        mn_import_printable(name, shown);
        if (parts.text == NULL || asprintf(&where, "%s: entry %s", listing->path, shown) < 0) {
            where = NULL;
            status = mn_fail(listing->err, MN_ERR_NOMEM, "listing %s", listing->path);
        }
        if (status == MN_OK) {
            take_apart(parts.text, &parts);
            status = read_entry(listing, &parts, is_file, where);
        }
        free(parts.text);
        free(where);
    }
    return status;
}

/* Listing ------------------------------------------------------------------------- */

/* The number of folders at the top of all names, but no class, and no split. */
static unsigned count_tops(const struct listing *listing)
{
    for (unsigned top = 0; top < MAX_PARTS; top++)
        for (uint32_t i = 0; i < listing->n; i++) {
            const struct picture *picture = &listing->pictures[i];
            if (picture->n_parts < top + 3 || mn_folder_split_of(picture->parts[top]) >= 0 ||
                strcmp(picture->parts[top], listing->pictures[0].parts[top]) != 0)
                return top;
        }
    return 0;
}

static bool has_splits(const struct listing *listing, unsigned top)
{
    bool has[MN_N_SPLITS] = {false}, others = false;
    for (uint32_t i = 0; i < listing->n; i++) {
        const struct picture *picture = &listing->pictures[i];
        const int split = picture->n_parts > top + 1 ? mn_folder_split_of(picture->parts[top]) : -1;
        if (split >= 0)
            has[split] = true;
        else
            others = others || picture->n_parts > top + 1;
    }
    const int n = has[MN_TRAIN] + has[MN_VAL] + has[MN_TEST];
    return n > 1 || (n == 1 && !others);
}

/* Add a picture of n parts, the last two a class and a file, those before them its group. */
static mn_status add_picture(struct listing *listing, const struct picture *picture,
                             const char *const *parts, unsigned n, uint32_t part,
                             const char *marked, const char *where)
{
    char group[MN_PACK_MAX_NAME + 1] = "all", *file = NULL;
    mn_import_list *list = &listing->work->list;
    size_t used = 0;
    for (unsigned i = 0; i + 2 < n && used < sizeof group; i++) {
        const char between[2] = {i > 0 ? MN_IMPORT_NESTED : '\0', '\0'};
        used += (size_t)snprintf(group + used, sizeof group - used, "%s%s", between, parts[i]);
    }
    if (used >= sizeof group)
        return mn_fail(listing->err, MN_ERR_DATA, "%s: its group's name has more than %u bytes",
                       where, MN_PACK_MAX_NAME);
    if (asprintf(&file, "%s%s%s", marked, marked[0] != '\0' ? ":" : "", parts[n - 1]) < 0)
        return mn_fail(listing->err, MN_ERR_NOMEM, "listing %s", listing->path);
    mn_status status = mn_import_list_add(list, group, parts[n - 2], file, part, 0, picture->place,
                                          NULL, where, listing->err);
    if (status == MN_OK)
        list->items[list->n_items - 1].facts = picture->facts;
    free(file);
    return status;
}

static mn_status list_picture(struct listing *listing, const struct picture *picture, unsigned top,
                              bool splits, bool find_splits)
{
    mn_import_report *report = listing->work->report;
    const char *const *parts = picture->parts + top;
    const unsigned n = picture->n_parts - top;
    const int split = splits && n > 1 ? mn_folder_split_of(parts[0]) : -1;
    const unsigned skipped = split >= 0 ? 1 : 0;
    char *where = NULL;
    if (asprintf(&where, "%s: entry %s%s%s%s", listing->path, n > 2 ? ".../" : "",
                 n > 1 ? parts[n - 2] : "", n > 1 ? "/" : "", parts[n - 1]) < 0)
        return mn_fail(listing->err, MN_ERR_NOMEM, "listing %s", listing->path);
    mn_status status = MN_OK;
    if (n - skipped == 1)
        mn_import_report_leave(report, MN_LEFT_LOOSE, "put them into a folder each", where);
    else if (splits && split < 0)
        mn_import_report_leave(report, MN_LEFT_BESIDE, "", where);
    else
        status = add_picture(listing, picture, parts + skipped, n - skipped,
                             split >= 0 && find_splits ? (uint32_t)split : 0,
                             split >= 0 && !find_splits ? parts[0] : "", where);
    free(where);
    return status;
}

static mn_status list_pictures(struct listing *listing, bool find_splits, bool *found)
{
    const unsigned top = count_tops(listing);
    const bool splits = has_splits(listing, top);
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < listing->n && status == MN_OK; i++)
        status = list_picture(listing, &listing->pictures[i], top, splits, find_splits);
    *found = splits && find_splits;
    return status;
}
