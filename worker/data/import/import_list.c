#include "worker/data/import/import_list.h"

#include "common/digest.h"
#include "common/file.h"
#include "common/text.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LIST_FILE_BYTES ((size_t)1 << 30)

static int compare_items(const void *a, const void *b);
static int compare_classes(const void *a, const void *b, void *list);
static size_t prefix_of(const char *name, int n_slashes);
static bool same_prefix(const mn_import_item *a, const mn_import_item *b, int n_slashes);
static mn_status make_classes(mn_import_list *list, mn_error *err);
static mn_status refuse_twins(mn_import_list *list, const char *where, const char *advice,
                              mn_error *err);
static mn_status make_room(mn_import_list *list, mn_split split, size_t n, mn_error *err);
static void assign(mn_import_list *list, mn_split split, uint32_t class_number, bool turned);
static mn_status make_rooms(mn_import_list *list, mn_error *err);
static mn_status read_split(mn_import_list *list, mn_split split, const char *path, bool plain,
                            bool turned, mn_error *err);
static bool parse_line(const mn_import_list *list, char *line, mn_pack_entry *entry);
static bool parse_plain_line(const mn_import_list *list, char *line, uint32_t *class_number);
static mn_status refuse_overlap(const mn_import_list *list, mn_error *err);

void mn_import_list_fini(mn_import_list *list)
{
    for (uint32_t i = 0; i < list->n_items; i++) {
        free(list->items[i].name);
        free(list->items[i].path);
    }
    for (uint32_t i = 0; list->class_names != NULL && i < list->n_classes; i++)
        free(list->class_names[i]);
    for (uint32_t i = 0; list->groups != NULL && i < list->n_groups; i++)
        free(list->groups[i]);
    free(list->items);
    free(list->classes);
    free(list->by_name);
    free(list->parts);
    free((void *)list->class_names);
    free((void *)list->groups);
    for (int i = 0; i < MN_N_SPLITS; i++)
        free(list->entries[i]);
    *list = (mn_import_list){0};
}

mn_status mn_import_list_add(mn_import_list *list, const char *group, const char *class_name,
                             const char *file, uint32_t part, uint32_t source, uint64_t entry,
                             const char *path, const char *where, mn_error *err)
{
    if (!mn_import_good_name(group) || !mn_import_good_name(class_name) ||
        !mn_import_good_name(file)) {
        char shown[600];
        (void)mn_text_escape(where, strlen(where), shown, sizeof shown);
        return mn_fail(err, MN_ERR_DATA,
                       "%s: group, class and file must have names of 1 to %u bytes without control "
                       "characters, '\\', '.' and '..'; give it another name",
                       shown, MN_PACK_MAX_NAME);
    }
    if (list->n_items == MN_PACK_MAX_IMAGES)
        return mn_fail(err, MN_ERR_DATA, "%s: more than %u pictures; a packed file holds no more",
                       where, MN_PACK_MAX_IMAGES);
    if (list->n_items == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 1024 : 2 * list->capacity;
        mn_import_item *items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "list of %" PRIu32 " pictures", capacity);
        list->items = items;
        list->capacity = capacity;
    }
    mn_import_item *item = &list->items[list->n_items];
    *item = (mn_import_item){.part = part, .source = source, .entry = entry};
    if ((path != NULL && (item->path = strdup(path)) == NULL) ||
        asprintf(&item->name, "%s/%s/%s", group, class_name, file) < 0) {
        free(item->path);
        return mn_fail(err, MN_ERR_NOMEM, "list of %" PRIu32 " pictures", list->n_items);
    }
    list->n_items++;
    return MN_OK;
}

void mn_import_list_sweep(mn_import_list *list)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->n_items; i++) {
        if (!list->items[i].left) {
            list->items[kept++] = list->items[i];
            continue;
        }
        free(list->items[i].name);
        free(list->items[i].path);
    }
    list->n_items = kept;
}

void mn_import_list_leave_small(mn_import_list *list, uint32_t least, mn_import_report *report)
{
    uint32_t n = list->n_items, first = 0;
    if (n > 0)
        qsort(list->items, n, sizeof *list->items, compare_items);
    for (uint32_t end = 1; end <= n; end++) {
        if (end < n && same_prefix(&list->items[end], &list->items[first], 2))
            continue;
        for (uint32_t i = first; end - first < least && i < end; i++)
            list->items[i].left = true;
        if (end - first < least) {
            size_t length = prefix_of(list->items[first].name, 2);
            char shown[2 * MN_PACK_MAX_NAME + 2];
            (void)snprintf(shown, sizeof shown, "%.*s", (int)length, list->items[first].name);
            mn_import_report_leave(report, "classes with fewer pictures than --min-images", "",
                                   shown);
        }
        first = end;
    }
    mn_import_list_sweep(list);
}

mn_status mn_import_list_arrange(mn_import_list *list, const char *where, const char *advice,
                                 mn_error *err)
{
    if (list->n_items == 0)
        return mn_fail(err, MN_ERR_DATA, "%s: no picture to take in it", where);
    qsort(list->items, list->n_items, sizeof *list->items, compare_items);
    mn_status status = make_classes(list, err);
    return status == MN_OK ? refuse_twins(list, where, advice, err) : status;
}

mn_status mn_import_list_split_by_part(mn_import_list *list, uint32_t n_val, mn_error *err)
{
    const uint32_t n = list->n_groups_of_part_0;
    if (n_val == MN_VAL_SIXTH)
        n_val = n < 12 ? 1 : n / 6;
    else if (n_val >= n)
        return mn_fail(err, MN_ERR_USAGE,
                       "--val-alphabets %" PRIu32 ": there are %" PRIu32
                       " alphabets of images_background*.zip, and one at least must be left to "
                       "train on",
                       n_val, n);
    uint32_t first_val = n > n_val ? n - n_val : 0;
    mn_status status = make_rooms(list, err);
    if (status != MN_OK)
        return status;
    for (uint32_t i = 0; i < list->n_classes; i++) {
        uint32_t group = list->classes[i].group;
        assign(list, group >= n ? MN_TEST : group >= first_val ? MN_VAL : MN_TRAIN, i, true);
    }
    return MN_OK;
}

mn_status mn_import_list_split_whole(mn_import_list *list, mn_split split, mn_error *err)
{
    mn_status status = make_rooms(list, err);
    for (uint32_t i = 0; i < list->n_classes && status == MN_OK; i++)
        assign(list, split, i, false);
    return status;
}

mn_status mn_import_list_split_as_parts(mn_import_list *list, bool turned, mn_error *err)
{
    mn_status status = make_rooms(list, err);
    for (uint32_t i = 0; i < list->n_classes && status == MN_OK; i++)
        assign(list, (mn_split)list->parts[i], i, turned);
    return status;
}

struct ticket {
    mn_digest digest;
    uint32_t class_number;
};

static int compare_tickets(const void *a, const void *b)
{
    const struct ticket *left = a, *right = b;
    return memcmp(&left->digest, &right->digest, sizeof left->digest);
}

static void draw_ticket(const mn_import_list *list, uint32_t class_number, uint64_t seed,
                        struct ticket *ticket)
{
    const mn_pack_class *class = &list->classes[class_number];
    char salt[32];
    mn_hasher hasher;
    mn_hasher_init(&hasher);
    (void)snprintf(salt, sizeof salt, "%" PRIu64 "/", seed);
    mn_hasher_add(&hasher, salt, strlen(salt));
    mn_hasher_add(&hasher, list->groups[class->group], strlen(list->groups[class->group]));
    mn_hasher_add(&hasher, "/", 1);
    mn_hasher_add(&hasher, class->name, strlen(class->name));
    *ticket = (struct ticket){.digest = mn_hasher_finish(&hasher), .class_number = class_number};
}

mn_status mn_import_list_split_shared(mn_import_list *list, const double shares[MN_N_SPLITS],
                                      uint64_t seed, bool turned, mn_error *err)
{
    double all = shares[MN_TRAIN] + shares[MN_VAL] + shares[MN_TEST];
    for (int i = 0; i < MN_N_SPLITS; i++)
        if (!(shares[i] >= 0) || !(all > 0) || !(all < 1e9))
            return mn_fail(err, MN_ERR_USAGE,
                           "shares of %g, %g and %g for train, val and test: expected three "
                           "numbers of 0 or more, and not all 0, as in 0.6,0.2,0.2",
                           shares[MN_TRAIN], shares[MN_VAL], shares[MN_TEST]);
    uint32_t n = list->n_classes;
    uint32_t n_val = (uint32_t)(shares[MN_VAL] / all * n + 0.5);
    uint32_t n_test = (uint32_t)(shares[MN_TEST] / all * n + 0.5);
    n_test = n_test > n - n_val ? n - n_val : n_test;
    struct ticket *tickets = calloc((size_t)n + 1, sizeof *tickets);
    unsigned char *split_of = calloc((size_t)n + 1, 1);
    mn_status status = tickets == NULL || split_of == NULL
                           ? mn_fail(err, MN_ERR_NOMEM, "splits of %" PRIu32 " classes", n)
                           : make_rooms(list, err);
    if (status == MN_OK) {
        for (uint32_t i = 0; i < n; i++)
            draw_ticket(list, i, seed, &tickets[i]);
        qsort(tickets, n, sizeof *tickets, compare_tickets);
        for (uint32_t i = 0; i < n_val + n_test; i++)
            split_of[tickets[i].class_number] = i < n_test ? MN_TEST : MN_VAL;
        for (uint32_t i = 0; i < n; i++)
            assign(list, (mn_split)split_of[i], i, turned);
    }
    free(tickets);
    free(split_of);
    return status;
}

mn_status mn_import_list_split_read(mn_import_list *list, const char *const paths[MN_N_SPLITS],
                                    bool plain, bool turned, mn_error *err)
{
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        if (paths[split] != NULL)
            status = read_split(list, split, paths[split], plain, turned, err);
    return status == MN_OK && plain ? refuse_overlap(list, err) : status;
}

mn_pack_index mn_import_list_index(const mn_import_list *list, uint32_t side, uint32_t channels)
{
    return (mn_pack_index){
        .height = side,
        .width = side,
        .channels = channels,
        .n_images = list->n_items,
        .n_classes = list->n_classes,
        .n_groups = list->n_groups,
        .n_entries = {list->n_entries[0], list->n_entries[1], list->n_entries[2]},
        .classes = list->classes,
        .groups = (const char *const *)list->groups,
        .entries = {list->entries[0], list->entries[1], list->entries[2]},
    };
}

void mn_import_printable(const char *name, char out[200])
{
    size_t n = 0;
    for (; name[n] != '\0' && n < 199; n++)
        out[n] = name[n];
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
            out[i] = '?';
    out[n] = '\0';
}

/* Order --------------------------------------------------------------------------- */

bool mn_import_good_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > MN_PACK_MAX_NAME || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '/' || name[i] == '\\')
            return false;
    return true;
}

static int compare_items(const void *a, const void *b)
{
    const mn_import_item *left = a, *right = b;
    if (left->part != right->part)
        return left->part < right->part ? -1 : 1;
    return strcmp(left->name, right->name);
}

/* Bytes of a name before its n-th slash. */
static size_t prefix_of(const char *name, int n_slashes)
{
    const char *at = strchr(name, '/');
    while (--n_slashes > 0)
        at = strchr(at + 1, '/');
    return (size_t)(at - name);
}

static bool same_prefix(const mn_import_item *a, const mn_import_item *b, int n_slashes)
{
    size_t n = prefix_of(a->name, n_slashes);
    return a->part == b->part && n == prefix_of(b->name, n_slashes) &&
           memcmp(a->name, b->name, n) == 0;
}

/* Names that share a beginning stand together in sorted order, so classes and groups are runs. */
static mn_status make_classes(mn_import_list *list, mn_error *err)
{
    list->classes = calloc(list->n_items, sizeof *list->classes);
    list->class_names = calloc(list->n_items, sizeof *list->class_names);
    list->groups = calloc(list->n_items, sizeof *list->groups);
    list->parts = calloc(list->n_items, sizeof *list->parts);
    if (list->parts == NULL || list->classes == NULL || list->class_names == NULL ||
        list->groups == NULL)
        goto no_memory;

    for (uint32_t i = 0; i < list->n_items; i++) {
        const mn_import_item *item = &list->items[i], *before = i > 0 ? item - 1 : NULL;
        size_t group_end = prefix_of(item->name, 1), class_end = prefix_of(item->name, 2);
        if (before == NULL || !same_prefix(item, before, 1)) {
            list->groups[list->n_groups] = strndup(item->name, group_end);
            if (list->groups[list->n_groups++] == NULL)
                goto no_memory;
            list->n_groups_of_part_0 += item->part == 0;
        }
        if (before == NULL || !same_prefix(item, before, 2)) {
            char *name = strndup(item->name + group_end + 1, class_end - group_end - 1);
            list->class_names[list->n_classes] = name;
            list->parts[list->n_classes] = item->part;
            list->classes[list->n_classes++] =
                (mn_pack_class){.name = name, .group = list->n_groups - 1, .first_image = i};
            if (name == NULL)
                goto no_memory;
        }
        list->classes[list->n_classes - 1].n_images++;
    }
    return MN_OK;

no_memory:
    return mn_fail(err, MN_ERR_NOMEM, "list of %" PRIu32 " pictures", list->n_items);
}

static mn_status refuse_twins(mn_import_list *list, const char *where, const char *advice,
                              mn_error *err)
{
    for (uint32_t i = 1; i < list->n_items; i++)
        if (compare_items(&list->items[i - 1], &list->items[i]) == 0)
            return mn_fail(err, MN_ERR_DATA,
                           "%s: picture %s is there twice; give each archive once", where,
                           list->items[i].name);
    list->by_name = calloc(list->n_classes, sizeof *list->by_name);
    if (list->by_name == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "list of %" PRIu32 " classes", list->n_classes);
    for (uint32_t i = 0; i < list->n_classes; i++)
        list->by_name[i] = i;
    qsort_r(list->by_name, list->n_classes, sizeof *list->by_name, compare_classes, list);
    uint32_t n_twins = 0, first = 0;
    for (uint32_t i = 1; i < list->n_classes; i++)
        if (compare_classes(&list->by_name[i - 1], &list->by_name[i], list) == 0 &&
            (i < 2 || compare_classes(&list->by_name[i - 2], &list->by_name[i], list) != 0)) {
            first = n_twins == 0 ? i : first;
            n_twins++;
        }
    if (n_twins == 0)
        return MN_OK;
    const mn_pack_class *class = &list->classes[list->by_name[first]];
    char more[48] = "";
    if (n_twins > 1)
        (void)snprintf(more, sizeof more, " (and %" PRIu32 " more)", n_twins - 1);
    return mn_fail(err, MN_ERR_DATA, "%s: class %s/%s is there twice%s; %s", where,
                   list->groups[class->group], class->name, more, advice);
}

static int compare_names(const mn_import_list *list, const char *group, const char *name,
                         uint32_t class_number)
{
    const mn_pack_class *class = &list->classes[class_number];
    int order = strcmp(group, list->groups[class->group]);
    return order != 0 ? order : strcmp(name, class->name);
}

static int compare_classes(const void *a, const void *b, void *user)
{
    const mn_import_list *list = user;
    const mn_pack_class *class = &list->classes[*(const uint32_t *)a];
    return compare_names(list, list->groups[class->group], class->name, *(const uint32_t *)b);
}

/* Splits -------------------------------------------------------------------------- */

static mn_status make_room(mn_import_list *list, mn_split split, size_t n, mn_error *err)
{
    free(list->entries[split]);
    list->n_entries[split] = 0;
    list->entries[split] = calloc(n + 1, sizeof *list->entries[split]);
    if (list->entries[split] == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "split of %zu classes", n);
    return MN_OK;
}

static mn_status make_rooms(mn_import_list *list, mn_error *err)
{
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status = make_room(list, split, (size_t)list->n_classes * 4, err);
    return status;
}

static void assign(mn_import_list *list, mn_split split, uint32_t class_number, bool turned)
{
    for (uint32_t turns = 0; turns < (turned ? 4 : 1); turns++)
        list->entries[split][list->n_entries[split]++] =
            (mn_pack_entry){.class_number = class_number, .quarter_turns = turns};
}

static mn_status read_split(mn_import_list *list, mn_split split, const char *path, bool plain,
                            bool turned, mn_error *err)
{
    char *text = NULL;
    size_t n;
    mn_status status = mn_file_read(path, MAX_LIST_FILE_BYTES, &text, &n, err);
    if (status != MN_OK)
        return status;
    size_t n_lines = 1;
    for (size_t i = 0; i < n; i++)
        n_lines += text[i] == '\n';
    status = make_room(list, split, n_lines * 4, err);

    unsigned number = 0;
    char *rest = text;
    for (char *line; status == MN_OK && (line = strsep(&rest, "\n")) != NULL;) {
        number++;
        line[strcspn(line, "\r")] = '\0';
        if (line[0] == '\0' || (plain && line[0] == '#'))
            continue;
        char shown[200];
        uint32_t class_number;
        mn_import_printable(line, shown);
        if (plain && parse_plain_line(list, line, &class_number))
            assign(list, split, class_number, turned);
        else if (parse_line(list, line, &list->entries[split][list->n_entries[split]]))
            list->n_entries[split]++;
        else
            status = mn_fail(err, MN_ERR_DATA,
                             "%s:%u: \"%s\" is not %sgroup/class/rotDDD (DDD: 000, 090, 180 or "
                             "270) of a class that is there%s",
                             path, number, shown, plain ? "class, group/class or " : "",
                             plain ? ", or more groups than one have it" : "");
    }
    if (status == MN_OK && list->n_entries[split] == 0)
        status = mn_fail(err, MN_ERR_DATA, "%s names no class", path);
    free(text);
    return status;
}

static bool parse_line(const mn_import_list *list, char *line, mn_pack_entry *entry)
{
    static const char *const turns[4] = {"rot000", "rot090", "rot180", "rot270"};
    const char *group = strsep(&line, "/"), *name = strsep(&line, "/");
    uint32_t turn = 0;
    while (line != NULL && turn < 4 && strcmp(line, turns[turn]) != 0)
        turn++;
    if (line == NULL || turn == 4)
        return false;
    uint32_t low = 0, high = list->n_classes;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_names(list, group, name, list->by_name[middle]);
        if (order == 0) {
            *entry = (mn_pack_entry){.class_number = list->by_name[middle], .quarter_turns = turn};
            return true;
        }
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle : high;
    }
    return false;
}

/* "group/class", also "a/b/class" of a group in a group, or "class" alone if it is the only one. */
static bool parse_plain_line(const mn_import_list *list, char *line, uint32_t *class_number)
{
    const char *slash = strrchr(line, '/');
    uint32_t n_found = 0;
    for (uint32_t i = 0; i < list->n_classes; i++) {
        const mn_pack_class *class = &list->classes[i];
        const char *group = list->groups[class->group];
        bool same_group = slash == NULL || strlen(group) == (size_t)(slash - line);
        for (size_t c = 0; slash != NULL && same_group && group[c] != '\0'; c++)
            same_group = group[c] == line[c] || (group[c] == MN_IMPORT_NESTED && line[c] == '/');
        if (same_group && strcmp(class->name, slash != NULL ? slash + 1 : line) == 0) {
            *class_number = i;
            n_found++;
        }
    }
    return n_found == 1;
}

static mn_status refuse_overlap(const mn_import_list *list, mn_error *err)
{
    static const char *const names[MN_N_SPLITS] = {"train", "val", "test"};
    unsigned char *seen = calloc((size_t)list->n_classes + 1, 1);
    mn_status status = MN_OK;
    if (seen == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "splits of %" PRIu32 " classes", list->n_classes);
    for (unsigned split = 0; split < MN_N_SPLITS; split++)
        for (uint32_t i = 0; i < list->n_entries[split] && status == MN_OK; i++) {
            uint32_t number = list->entries[split][i].class_number;
            const mn_pack_class *class = &list->classes[number];
            unsigned turn = 16u << list->entries[split][i].quarter_turns;
            if (seen[number] != 0 && (seen[number] & 15u) != split + 1)
                status =
                    mn_fail(err, MN_ERR_DATA,
                            "class %s/%s is on the lists of %s and of %s; a test needs classes "
                            "that training has not seen: take it off one",
                            list->groups[class->group], class->name,
                            names[(seen[number] & 15u) - 1], names[split]);
            else if (seen[number] & turn)
                status = mn_fail(err, MN_ERR_DATA, "class %s/%s is twice on the list of %s",
                                 list->groups[class->group], class->name, names[split]);
            seen[number] = (unsigned char)(seen[number] | turn | (split + 1));
        }
    free(seen);
    return status;
}
