#include "worker/data/import/import_list.h"

#include "common/file.h"
#include "common/random.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LIST_FILE_BYTES ((size_t)1 << 30)

static bool good_name(const char *name);
static int compare_items(const void *a, const void *b);
static int compare_classes(const void *a, const void *b, void *list);
static size_t prefix_of(const char *name, int n_slashes);
static mn_status make_classes(mn_import_list *list, mn_error *err);
static mn_status refuse_twins(mn_import_list *list, const char *where, mn_error *err);
static mn_status make_room(mn_import_list *list, mn_split split, size_t n, mn_error *err);
static void assign(mn_import_list *list, mn_split split, uint32_t class_number);
static mn_status read_split(mn_import_list *list, mn_split split, const char *path, mn_error *err);
static bool parse_line(const mn_import_list *list, char *line, mn_pack_entry *entry);

void mn_import_list_fini(mn_import_list *list)
{
    for (uint32_t i = 0; i < list->n_items; i++)
        free(list->items[i].name);
    for (uint32_t i = 0; list->class_names != NULL && i < list->n_classes; i++)
        free(list->class_names[i]);
    for (uint32_t i = 0; list->groups != NULL && i < list->n_groups; i++)
        free(list->groups[i]);
    free(list->items);
    free(list->classes);
    free(list->by_name);
    free((void *)list->class_names);
    free((void *)list->groups);
    for (int i = 0; i < MN_N_SPLITS; i++)
        free(list->entries[i]);
    *list = (mn_import_list){0};
}

mn_status mn_import_list_add(mn_import_list *list, const char *group, const char *class_name,
                             const char *file, uint32_t part, uint32_t source, uint64_t entry,
                             const char *where, mn_error *err)
{
    if (!good_name(group) || !good_name(class_name) || !good_name(file))
        return mn_fail(err, MN_ERR_DATA,
                       "%s: group, class and file must have names of 1 to %u bytes without control "
                       "characters, '\\', '.' and '..'",
                       where, MN_PACK_MAX_NAME);
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
    if (asprintf(&item->name, "%s/%s/%s", group, class_name, file) < 0)
        return mn_fail(err, MN_ERR_NOMEM, "list of %" PRIu32 " pictures", list->n_items);
    list->n_items++;
    return MN_OK;
}

mn_status mn_import_list_arrange(mn_import_list *list, const char *where, mn_error *err)
{
    if (list->n_items == 0)
        return mn_fail(err, MN_ERR_DATA, "%s: no PNG picture in it", where);
    qsort(list->items, list->n_items, sizeof *list->items, compare_items);
    mn_status status = make_classes(list, err);
    return status == MN_OK ? refuse_twins(list, where, err) : status;
}

mn_status mn_import_list_split_by_part(mn_import_list *list, mn_error *err)
{
    uint32_t n_val = list->n_groups_of_part_0 / 6;
    n_val = n_val > 0 ? n_val : 1;
    uint32_t first_val = list->n_groups_of_part_0 > n_val ? list->n_groups_of_part_0 - n_val : 0;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        mn_status status = make_room(list, split, (size_t)list->n_classes * 4, err);
        if (status != MN_OK)
            return status;
    }
    for (uint32_t i = 0; i < list->n_classes; i++) {
        uint32_t group = list->classes[i].group;
        assign(list,
               group >= list->n_groups_of_part_0 ? MN_TEST
               : group >= first_val              ? MN_VAL
                                                 : MN_TRAIN,
               i);
    }
    return MN_OK;
}

mn_status mn_import_list_split_shuffled(mn_import_list *list, double val_share, double test_share,
                                        uint64_t seed, mn_error *err)
{
    if (!(val_share >= 0) || !(test_share >= 0) || !(val_share + test_share < 1))
        return mn_fail(
            err, MN_ERR_USAGE,
            "shares of %g of the classes for val and %g for test; both must be 0 or more and "
            "leave some for train",
            val_share, test_share);
    uint32_t n = list->n_classes;
    uint32_t n_val = (uint32_t)(val_share * n + 0.5), n_test = (uint32_t)(test_share * n + 0.5);
    n_test = n_test > n - n_val ? n - n_val : n_test;
    uint32_t *order = calloc(n, sizeof *order);
    unsigned char *split_of = calloc(n, 1);
    mn_status status = MN_OK;
    if (order == NULL || split_of == NULL) {
        status = mn_fail(err, MN_ERR_NOMEM, "splits of %" PRIu32 " classes", n);
        goto done;
    }
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status = make_room(list, split, (size_t)n * 4, err);
    if (status == MN_OK) {
        mn_random random = mn_random_stream(seed, MN_RANDOM_SPLIT, 0);
        for (uint32_t i = 0; i < n; i++)
            order[i] = i;
        mn_random_shuffle(&random, n, order);
        for (uint32_t i = 0; i < n_val + n_test; i++)
            split_of[order[i]] = i < n_val ? MN_VAL : MN_TEST;
        for (uint32_t i = 0; i < n; i++)
            assign(list, (mn_split)split_of[i], i);
    }
done:
    free(order);
    free(split_of);
    return status;
}

mn_status mn_import_list_split_read(mn_import_list *list, const char *folder, mn_error *err)
{
    static const char *const names[MN_N_SPLITS] = {"train.txt", "val.txt", "test.txt"};
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s", folder, names[split]) < 0)
            return mn_fail(err, MN_ERR_NOMEM, "splits of %s", folder);
        status = read_split(list, split, path, err);
        free(path);
    }
    return status;
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

static bool good_name(const char *name)
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
    if (list->classes == NULL || list->class_names == NULL || list->groups == NULL)
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

static mn_status refuse_twins(mn_import_list *list, const char *where, mn_error *err)
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
    for (uint32_t i = 1; i < list->n_classes; i++) {
        const mn_pack_class *class = &list->classes[list->by_name[i]];
        if (compare_classes(&list->by_name[i - 1], &list->by_name[i], list) == 0)
            return mn_fail(err, MN_ERR_DATA,
                           "%s: class %s/%s is there twice; give each archive once", where,
                           list->groups[class->group], class->name);
    }
    return MN_OK;
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

static void assign(mn_import_list *list, mn_split split, uint32_t class_number)
{
    for (uint32_t turns = 0; turns < 4; turns++)
        list->entries[split][list->n_entries[split]++] =
            (mn_pack_entry){.class_number = class_number, .quarter_turns = turns};
}

static mn_status read_split(mn_import_list *list, mn_split split, const char *path, mn_error *err)
{
    char *text = NULL;
    size_t n;
    mn_status status = mn_file_read(path, MAX_LIST_FILE_BYTES, &text, &n, err);
    if (status != MN_OK)
        return status;
    size_t n_lines = 1;
    for (size_t i = 0; i < n; i++)
        n_lines += text[i] == '\n';
    status = make_room(list, split, n_lines, err);

    unsigned number = 0;
    char *rest = text;
    for (char *line; status == MN_OK && (line = strsep(&rest, "\n")) != NULL;) {
        number++;
        line[strcspn(line, "\r")] = '\0';
        if (line[0] == '\0')
            continue;
        char shown[200];
        mn_import_printable(line, shown);
        if (parse_line(list, line, &list->entries[split][list->n_entries[split]]))
            list->n_entries[split]++;
        else
            status =
                mn_fail(err, MN_ERR_DATA,
                        "%s:%u: \"%s\" is not group/class/rotDDD (DDD: 000, 090, 180 or 270) of a "
                        "class in the archives",
                        path, number, shown);
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
