/* story_archive.h: the files of sets of stories (see babi_folder.h) or of dialogues (dialog_folder.h)
 * out of a zip archive. */
#pragma once

#include "common/error.h"
#include <stdint.h>

typedef struct mn_story_archive {
    uint64_t whole; /* sets with both files, bit i for set i + 1 */
    uint64_t parts; /* those with one of the two */
} mn_story_archive;

/* Unpack qaN_..._train.txt and qaN_..._test.txt of zip, at its top or in a folder `name` there, into
 * <folder>/<name>, which is whole or not there at all; folders are made. If another process is faster,
 * its folder stays. A file that is missing is no error: who wants its set will tell. MN_ERR_DATA: no
 * good archive, none such in it, or one twice; MN_ERR_NO_INPUT: there is none. *out is written on
 * success. */
mn_status mn_story_archive_unpack(const char *zip, const char *folder, const char *name,
                                  mn_story_archive *out, mn_error *err);

/* The same of dialogues: all files that mn_dialog_is_file. */
mn_status mn_dialog_archive_unpack(const char *zip, const char *folder, const char *name,
                                   mn_error *err);
