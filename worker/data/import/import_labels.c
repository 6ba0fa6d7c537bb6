#include "worker/data/import/import_labels.h"

#include <inttypes.h>
#include <stdio.h>

static const char *name_in(const mn_label_names *names, uint32_t label)
{
    return label < names->n ? names->names[label] : NULL;
}

void mn_import_labels_see(mn_import_labels *labels, const uint32_t *of, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        labels->most = of[i] > labels->most ? of[i] : labels->most;
}

mn_status mn_import_labels_begin(mn_import_labels *labels, const char *class_names, mn_error *err)
{
    return class_names == NULL
               ? MN_OK
               : mn_label_names_read(class_names, &labels->names, &labels->groups, err);
}

void mn_import_labels_fini(mn_import_labels *labels)
{
    mn_label_names_fini(&labels->names);
    mn_label_names_fini(&labels->groups);
}

/* As many digits as the largest has. */
static int digits(uint32_t most)
{
    return snprintf(NULL, 0, "%" PRIu32, most);
}

mn_status mn_import_labels_add(const mn_import_labels *labels, mn_import_work *work, uint32_t label,
                               uint32_t group, uint64_t number, uint64_t place, uint32_t height,
                               uint32_t width, const char *where, mn_error *err)
{
    char class_number[16], group_number[32], file[24];
    const char *name = name_in(&labels->names, label), *of = "all";
    if (labels->names.n > 0 && name == NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: image %" PRIu64 " has label %" PRIu32 ", which --class-names does not "
                       "name: expected a name for each label, the first for label 0",
                       where, number, label);
    if (labels->groups.n > 0 && group != MN_NO_LABEL && name_in(&labels->groups, group) == NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: image %" PRIu64 " is of group %" PRIu32 ", which the second file of "
                       "--class-names does not name",
                       where, number, group);
    (void)snprintf(class_number, sizeof class_number, "%0*" PRIu32, digits(labels->most), label);
    (void)snprintf(group_number, sizeof group_number, "group-%0*" PRIu32,
                   digits(labels->most_group), group);
    (void)snprintf(file, sizeof file, "%08" PRIu64, number);
    if (name != NULL && labels->names.groups[label] != NULL)
        of = labels->names.groups[label];
    else if (group != MN_NO_LABEL)
        of = labels->groups.n > 0 ? name_in(&labels->groups, group) : group_number;
    mn_status status = mn_import_list_add(&work->list, of, name != NULL ? name : class_number, file,
                                          0, 0, place, NULL, where, err);
    if (status == MN_OK)
        work->list.items[work->list.n_items - 1].facts =
            (mn_picture_facts){MN_PICTURE_OTHER, height, width};
    return status;
}
