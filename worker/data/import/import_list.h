/* import_list.h: the pictures that an import has found, put in order as groups, classes and splits.
 * Names come from archives and folders of strangers and are checked as they are added. */
#pragma once

#include "common/error.h"
#include "worker/data/image_pack.h"
#include "worker/data/import/import_report.h"
#include "worker/data/import/picture.h"
#include <stdbool.h>
#include <stdint.h>

#define MN_VAL_SIXTH UINT32_MAX
#define MN_IMPORT_NESTED ':' /* between the names of a group in a group */

typedef struct mn_import_item {
    char *name;      /* owned: "group/class/file" */
    char *path;      /* owned: the file; NULL for an archive's entry and an array's image */
    uint32_t part;   /* all of part 0 come before part 1 */
    uint32_t source; /* the importer's own: which archive, and where in it */
    uint64_t entry;
    mn_picture_facts facts; /* the importer's own too */
    bool left;              /* out with it at the next mn_import_list_sweep() */
} mn_import_item;

typedef struct mn_import_list {
    mn_import_item *items; /* all of this is owned */
    uint32_t n_items, capacity;
    mn_pack_class *classes; /* from here on: made by mn_import_list_arrange */
    uint32_t *by_name;      /* class numbers, sorted by group and name */
    char **class_names, **groups;
    uint32_t *parts; /* [n_classes] */
    uint32_t n_classes, n_groups, n_groups_of_part_0;
    mn_pack_entry *entries[MN_N_SPLITS];
    uint32_t n_entries[MN_N_SPLITS];
} mn_import_list; /* all zero: empty */

void mn_import_list_fini(mn_import_list *list);

/* Add a picture. Group, class and file must be names of 1 to 255 bytes without slashes of either
 * kind or control characters, and not "." or "..". `path` is kept, or NULL. `where` names the
 * picture in messages. MN_ERR_DATA: a bad name, or too many pictures. */
mn_status mn_import_list_add(mn_import_list *list, const char *group, const char *class_name,
                             const char *file, uint32_t part, uint32_t source, uint64_t entry,
                             const char *path, const char *where, mn_error *err);

/* Drop the pictures that are marked as left. */
void mn_import_list_sweep(mn_import_list *list);

/* Leave out the classes that have fewer than `least` pictures; the report counts them. */
void mn_import_list_leave_small(mn_import_list *list, uint32_t least, mn_import_report *report);

/* Sort by part and name, find classes and groups. MN_ERR_DATA: a picture is there twice, a class is
 * there twice (in two parts), or none is there; `where` names the whole in messages, `advice` says
 * what to do about a class in two parts. */
mn_status mn_import_list_arrange(mn_import_list *list, const char *where, const char *advice,
                                 mn_error *err);

/* Splits, in one of four ways. `turned` lists each class with its four quarter turns, as is good
 * for characters; the first way always does. by_part   part 1 is test; of part 0 the last n_val groups
 * are val (MN_VAL_SIXTH: a sixth, at least one), MN_ERR_USAGE: none would be left to train on. as_parts  part 0 is train, 1 val, 2 test shared    shares of the
 * classes, rounded to the nearest number. Who goes where is decided by SHA-256 of seed and name, so
 * that a new class moves few others read      three files, NULL where there is none. Lines are
 * "group/class/rotDDD", DDD = 000, 090, 180, 270 degrees counter-clockwise (so turns PIL's
 * rotate(), for which the lists of Vinyals et al. 2016 were published with the code of prototypical
 * networks). With `plain` also "group/class", or "class" where one group only has it; and no class
 * may be in two splits */
mn_status mn_import_list_split_by_part(mn_import_list *list, uint32_t n_val, mn_error *err);
/* All classes into one split, unturned. */
mn_status mn_import_list_split_whole(mn_import_list *list, mn_split split, mn_error *err);
mn_status mn_import_list_split_as_parts(mn_import_list *list, bool turned, mn_error *err);
mn_status mn_import_list_split_shared(mn_import_list *list, const double shares[MN_N_SPLITS],
                                      uint64_t seed, bool turned, mn_error *err);
mn_status mn_import_list_split_read(mn_import_list *list, const char *const paths[MN_N_SPLITS],
                                    bool plain, bool turned, mn_error *err);

/* What mn_pack_writer_new needs; lent while the list lives. */
mn_pack_index mn_import_list_index(const mn_import_list *list, uint32_t side, uint32_t channels);

/* Is it fit for a group, class or file, as mn_import_list_add has it? */
bool mn_import_good_name(const char *name);

/* Copy a stranger's name into out for a message: cut, and "?" for control characters. */
void mn_import_printable(const char *name, char out[200]);
