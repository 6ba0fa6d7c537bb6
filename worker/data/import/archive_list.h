/* archive_list.h: the pictures in a zip or tar, as those in a folder (folder_list.h). */
#pragma once

#include "worker/data/import/import_work.h"

#define MN_LEFT_INNER "archives in an archive"

/* Read an archive once, from its beginning to its end: keep its pictures, and add them to work->list. Folders
 * that are above all pictures are passed over, unless they are a split's; back-slashes part names too where a
 * name has no slash. Names lead nowhere but to a group and class, as nothing is unpacked.
 *   find_splits, *found  as of mn_folder_list */
mn_status mn_archive_list(const char *path, bool find_splits, mn_import_work *work, bool *found,
                          mn_error *err);
