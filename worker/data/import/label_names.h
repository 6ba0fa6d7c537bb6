/* label_names.h: names of classes whose labels are numbers. */
#pragma once

#include "common/error.h"
#include <stdint.h>

typedef struct mn_label_names {
    char **names,
        **groups; /* [n], owned; a name may be NULL (no such label), a group too: none told */
    uint32_t n;
} mn_label_names; /* all zero: none */

/* Read --class-names: a text with the name of class 0, 1, ... one a line; "CLASSES,GROUPS" are two of these,
 * the second for labels of groups. Or a table with tabs between and a header with columns "id" (or label,
 * fine_id, class_id), "name" (class, fine) and perhaps "group" (coarse, superclass).
 *   groups  names of the labels of groups if there is a second text; else empty
 * MN_ERR_DATA: a line that is none of these, a name twice. On failure both are empty. */
mn_status mn_label_names_read(const char *paths, mn_label_names *names, mn_label_names *groups,
                              mn_error *err);

/* The same of a text that is there already; n bytes and a NUL. */
mn_status mn_label_names_parse(const char *where, char *text, size_t n, mn_label_names *names,
                               mn_error *err);
void mn_label_names_fini(mn_label_names *names);
