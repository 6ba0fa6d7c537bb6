/* import_splits.h: how the classes of an import come into splits, as its options say. */
#pragma once

#include "worker/data/import/data_import.h"
#include "worker/data/import/import_list.h"

/* By parts if part_words tells how these were found, else by lists or shares. report->splits says which, and
 * classes that no list names are counted. */
mn_status mn_import_splits_make(mn_import_list *list, const mn_import_options *options,
                                const char *part_words, mn_import_report *report, mn_error *err);

/* By the lists that --splits names; see import_list.h for `plain`. */
mn_status mn_import_splits_listed(mn_import_list *list, const char *lists, bool plain, bool turned,
                                  mn_error *err);
