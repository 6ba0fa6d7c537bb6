/* folder_list.h: the pictures below a folder, as a list of classes. Names only; no picture is read.
 */
#pragma once

#include "common/error.h"
#include "worker/data/import/import_list.h"
#include "worker/data/import/import_report.h"
#include <stdbool.h>

#define MN_LEFT_SYSTEM "hidden and system files"
#define MN_LEFT_LOOSE "pictures in no class"
#define MN_LEFT_BESIDE "files and folders beside train, val and test"
#define MN_CONVERT "turn them into PNG or JPEG, as `mogrify -format png` does"

/* Add the PNG and JPEG files below `folder` to the list, each with its path. A folder with pictures
 * is a class; the folders above it are its group ("a:b" if they are two, "all" if none). Links are
 * followed, but not back up. What is left is counted in the report.
 *   find_splits  folders train, val (valid, validation), test at the top are parts 0, 1, 2 if
 *                nothing else or two of them are there: *found. Else they are passed over, and
 *                equal classes in them are one; all is part 0
 * MN_ERR_DATA: folders in folders too deep, or a name that cannot be taken. */
mn_status mn_folder_list(const char *folder, bool find_splits, mn_import_list *list,
                         mn_import_report *report, bool *found, mn_error *err);

/* The split that a folder is named after (train, valid, testing, ...); -1: none. */
int mn_folder_split_of(const char *name);

/* What systems and programs leave beside pictures: ".x", "__MACOSX", "Thumbs.db", "@eaDir", ... */
bool mn_folder_is_system(const char *name);
