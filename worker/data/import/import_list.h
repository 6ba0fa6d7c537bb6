/* import_list.h: the pictures that an import has found, put in order as groups, classes and splits.
 * Names come from archives and folders of strangers and are checked as they are added. */
#pragma once

#include "common/error.h"
#include "worker/data/image_pack.h"
#include <stdint.h>

typedef struct mn_import_item {
    char *name;      /* owned: "group/class/file" */
    uint32_t part;   /* all of part 0 come before part 1 */
    uint32_t source; /* the importer's own: which archive, and where in it */
    uint64_t entry;
} mn_import_item;

typedef struct mn_import_list {
    mn_import_item *items; /* all of this is owned */
    uint32_t n_items, capacity;
    mn_pack_class *classes; /* from here on: made by mn_import_list_arrange */
    uint32_t *by_name;      /* class numbers, sorted by group and name */
    char **class_names, **groups;
    uint32_t n_classes, n_groups, n_groups_of_part_0;
    mn_pack_entry *entries[MN_N_SPLITS];
    uint32_t n_entries[MN_N_SPLITS];
} mn_import_list; /* all zero: empty */

void mn_import_list_fini(mn_import_list *list);

/* Add a picture. Group, class and file must be names of 1 to 255 bytes without slashes of either
 * kind or control characters, and not "." or "..". `where` names the picture in messages.
 * MN_ERR_DATA: a bad name, or too many pictures. */
mn_status mn_import_list_add(mn_import_list *list, const char *group, const char *class_name,
                             const char *file, uint32_t part, uint32_t source, uint64_t entry,
                             const char *where, mn_error *err);

/* Sort by part and name, find classes and groups. MN_ERR_DATA: a picture or class is there twice,
 * or none is there; `where` names the whole in messages. */
mn_status mn_import_list_arrange(mn_import_list *list, const char *where, mn_error *err);

/* Splits, in one of three ways; the first two list each class with its four rotations.
 *   by_part   part 1 is test; of part 0 the last sixth of the groups, at least one, is val
 *   shuffled  shares of the classes, rounded to the nearest number; the seed says which
 *   read      train.txt, val.txt and test.txt of a folder: lines "group/class/rotDDD", DDD = 000,
 *             090, 180, 270 degrees counter-clockwise (so turns PIL's rotate(), for which the lists
 *             of Vinyals et al. 2016 were published with the code of prototypical networks) */
mn_status mn_import_list_split_by_part(mn_import_list *list, mn_error *err);
mn_status mn_import_list_split_shuffled(mn_import_list *list, double val_share, double test_share,
                                        uint64_t seed, mn_error *err);
mn_status mn_import_list_split_read(mn_import_list *list, const char *folder, mn_error *err);

/* What mn_pack_writer_new needs; lent while the list lives. */
mn_pack_index mn_import_list_index(const mn_import_list *list, uint32_t side, uint32_t channels);

/* Copy a stranger's name into out for a message: cut, and "?" for control characters. */
void mn_import_printable(const char *name, char out[200]);
