/* import_labels.h: pictures whose class is a number. The class is called by the number, with zeros before it so
 * that names are in the order of numbers, or by its name in --class-names. */
#pragma once

#include "worker/data/import/import_work.h"
#include "worker/data/import/label_names.h"

#define MN_NO_LABEL UINT32_MAX

typedef struct mn_import_labels {
    mn_label_names names, groups; /* owned */
    uint32_t most, most_group;    /* largest numbers seen */
} mn_import_labels;               /* all zero: nothing seen */

/* Look at n labels, all of them before the first is added. */
void mn_import_labels_see(mn_import_labels *labels, const uint32_t *of, uint32_t n);

/* Read the names, if class_names is not NULL. */
mn_status mn_import_labels_begin(mn_import_labels *labels, const char *class_names, mn_error *err);
void mn_import_labels_fini(mn_import_labels *labels);

/* Add a picture that was kept at `place`.
 *   group   a number too; MN_NO_LABEL: none
 *   number  of the picture among all
 * MN_ERR_DATA: a label without a name, where there are names. */
mn_status mn_import_labels_add(const mn_import_labels *labels, mn_import_work *work, uint32_t label,
                               uint32_t group, uint64_t number, uint64_t place, uint32_t height,
                               uint32_t width, const char *where, mn_error *err);
