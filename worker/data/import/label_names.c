#include "worker/data/import/label_names.h"

#include "common/file.h"
#include "worker/data/import/import_list.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_BYTES ((size_t)64 << 20)
#define MAX_LABELS 1000000u
#define MAX_COLUMNS 32u

enum column { ID, NAME, GROUP, N_COLUMNS_KNOWN };

/* Columns of a table, and where they are; MAX_COLUMNS: not there. */
struct header {
    unsigned at[N_COLUMNS_KNOWN];
};

static mn_status parse_line(const char *where, unsigned number, char *line,
                            const struct header *header, mn_label_names *names, mn_error *err);
static bool read_header(const char *line, struct header *header);
static mn_status refuse_twice(const char *where, const mn_label_names *names, mn_error *err);

mn_status mn_label_names_read(const char *paths, mn_label_names *names, mn_label_names *groups,
                              mn_error *err)
{
    char *copy = strdup(paths), *comma = copy != NULL ? strchr(copy, ',') : NULL;
    mn_status status = copy == NULL ? mn_fail(err, MN_ERR_NOMEM, "names of classes") : MN_OK;
    *names = *groups = (mn_label_names){0};
    if (comma != NULL)
        *comma = '\0';
    for (int i = 0; i < (comma != NULL ? 2 : 1) && status == MN_OK; i++) {
        const char *path = i == 0 ? copy : comma + 1;
        char *text = NULL;
        size_t n = 0;
        status = mn_file_read(path, MAX_BYTES, &text, &n, err);
        if (status == MN_OK)
            status = mn_label_names_parse(path, text, n, i == 0 ? names : groups, err);
        free(text);
    }
    free(copy);
    if (status != MN_OK) {
        mn_label_names_fini(names);
        mn_label_names_fini(groups);
    }
    return status;
}

void mn_label_names_fini(mn_label_names *names)
{
    for (uint32_t i = 0; i < names->n; i++) {
        free(names->names[i]);
        free(names->groups[i]);
    }
    free((void *)names->names);
    free((void *)names->groups);
    *names = (mn_label_names){0};
}

mn_status mn_label_names_parse(const char *where, char *text, size_t n, mn_label_names *names,
                               mn_error *err)
{
    struct header header = {{MAX_COLUMNS, 0, MAX_COLUMNS}};
    unsigned number = 0;
    bool ended = false; /* only empty lines may follow */
    mn_status status = MN_OK;
    *names = (mn_label_names){0};
    if (memchr(text, '\0', n) != NULL)
        return mn_fail(err, MN_ERR_DATA, "%s is no text: expected names of classes, one a line",
                       where);
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3; /* a byte-order mark */
    for (char *line; status == MN_OK && (line = strsep(&text, "\n")) != NULL;) {
        number++;
        line[strcspn(line, "\r")] = '\0';
        if (number == 1 && strchr(line, '\t') != NULL) {
            if (!read_header(line, &header))
                status = mn_fail(err, MN_ERR_DATA,
                                 "%s:1: expected names of columns, with tabs between: \"id\" (or "
                                 "label, fine_id, class_id), \"name\" (class, fine) and perhaps "
                                 "\"group\" (coarse, superclass)",
                                 where);
            continue;
        }
        ended = ended || line[0] == '\0';
        if (line[0] == '\0')
            continue;
        status = ended ? mn_fail(err, MN_ERR_DATA,
                                 "%s:%u: an empty line before this one: whose name is missing?",
                                 where, number)
                       : parse_line(where, number, line, &header, names, err);
    }
    if (status == MN_OK && names->n == 0)
        status = mn_fail(err, MN_ERR_DATA, "%s names no class", where);
    if (status == MN_OK)
        status = refuse_twice(where, names, err);
    if (status != MN_OK)
        mn_label_names_fini(names);
    return status;
}

static bool read_header(const char *line, struct header *header)
{
    static const char *const known[N_COLUMNS_KNOWN][4] = {
        [ID] = {"id", "label", "fine_id", "class_id"},
        [NAME] = {"name", "class", "fine", "class_name"},
        [GROUP] = {"group", "coarse", "superclass", "group_name"}};
    *header = (struct header){{MAX_COLUMNS, MAX_COLUMNS, MAX_COLUMNS}};
    for (unsigned at = 0; at < MAX_COLUMNS; at++) {
        const size_t n = strcspn(line, "\t");
        for (int column = 0; column < N_COLUMNS_KNOWN; column++)
            for (int i = 0; i < 4; i++)
                if (strlen(known[column][i]) == n && strncasecmp(line, known[column][i], n) == 0 &&
                    header->at[column] == MAX_COLUMNS)
                    header->at[column] = at;
        if (line[n] == '\0')
            break;
        line += n + 1;
    }
    return header->at[ID] != MAX_COLUMNS && header->at[NAME] != MAX_COLUMNS;
}

static mn_status make_room(mn_label_names *names, uint32_t n, mn_error *err)
{
    if (n <= names->n)
        return MN_OK;
    char **more = realloc((void *)names->names, n * sizeof *more);
    if (more != NULL)
        names->names = more;
    char **groups = more != NULL ? realloc((void *)names->groups, n * sizeof *groups) : NULL;
    if (groups == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "names of %" PRIu32 " classes", n);
    names->groups = groups;
    for (uint32_t i = names->n; i < n; i++)
        names->names[i] = names->groups[i] = NULL;
    names->n = n;
    return MN_OK;
}

static mn_status parse_line(const char *where, unsigned number, char *line,
                            const struct header *header, mn_label_names *names, mn_error *err)
{
    const char *found[N_COLUMNS_KNOWN] = {NULL, NULL, NULL};
    const bool is_table = header->at[ID] != MAX_COLUMNS;
    uint32_t label = names->n;
    for (unsigned at = 0; line != NULL && (is_table || at == 0); at++) {
        const char *cell = is_table ? strsep(&line, "\t") : line;
        for (int column = 0; column < N_COLUMNS_KNOWN; column++)
            if (header->at[column] == at)
                found[column] = cell;
    }
    if (is_table) {
        char *end = NULL;
        const unsigned long value = found[ID] != NULL ? strtoul(found[ID], &end, 10) : 0;
        if (found[ID] == NULL || found[NAME] == NULL || found[ID][0] < '0' || found[ID][0] > '9' ||
            *end != '\0' || value >= MAX_LABELS)
            return mn_fail(err, MN_ERR_DATA,
                           "%s:%u: expected a label of 0 to %u and a name in the columns that the "
                           "first line names",
                           where, number, MAX_LABELS - 1);
        label = (uint32_t)value;
    }
    if (label >= MAX_LABELS || !mn_import_good_name(found[NAME]) ||
        (found[GROUP] != NULL && !mn_import_good_name(found[GROUP]))) {
        char shown[200];
        mn_import_printable(found[NAME], shown);
        return mn_fail(err, MN_ERR_DATA,
                       "%s:%u: \"%s\" is no name of a class: expected 1 to %u bytes without "
                       "slashes and control characters, of at most %u classes",
                       where, number, shown, MN_PACK_MAX_NAME, MAX_LABELS);
    }
    if (label < names->n && names->names[label] != NULL)
        return mn_fail(err, MN_ERR_DATA, "%s:%u: label %" PRIu32 " is named a second time", where,
                       number, label);
    mn_status status = make_room(names, label + 1, err);
    if (status != MN_OK)
        return status;
    names->names[label] = strdup(found[NAME]);
    names->groups[label] = found[GROUP] != NULL ? strdup(found[GROUP]) : NULL;
    if (names->names[label] == NULL || (found[GROUP] != NULL && names->groups[label] == NULL))
        return mn_fail(err, MN_ERR_NOMEM, "names of classes");
    return MN_OK;
}

struct named {
    const char *group, *name;
    uint32_t label;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *left = a, *right = b;
    const int order = strcmp(left->group, right->group);
    return order != 0 ? order : strcmp(left->name, right->name);
}

static mn_status refuse_twice(const char *where, const mn_label_names *names, mn_error *err)
{
    struct named *sorted = calloc(names->n, sizeof *sorted);
    mn_status status = MN_OK;
    uint32_t n = 0;
    if (sorted == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "names of classes");
    for (uint32_t i = 0; i < names->n; i++)
        if (names->names[i] != NULL)
            sorted[n++] = (struct named){names->groups[i] != NULL ? names->groups[i] : "",
                                         names->names[i], i};
    qsort(sorted, n, sizeof *sorted, compare_named);
    for (uint32_t i = 1; i < n && status == MN_OK; i++)
        if (compare_named(&sorted[i - 1], &sorted[i]) == 0)
            status = mn_fail(err, MN_ERR_DATA,
                             "%s: labels %" PRIu32 " and %" PRIu32 " are both called %s", where,
                             sorted[i - 1].label, sorted[i].label, sorted[i].name);
    free(sorted);
    return status;
}
