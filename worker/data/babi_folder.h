/* babi_folder.h: where sets of stories are: files qaN_<name>_train.txt and qaN_<name>_test.txt of
 * one folder; and where the archive is that such a folder could be made from. Reads names only: no
 * archive is opened here. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stdint.h>

#define MN_BABI_MAX_SETS 64u

typedef struct mn_babi_set {
    uint32_t number;    /* N */
    char *train, *test; /* paths; owned */
} mn_babi_set;

typedef struct mn_babi_folder {
    uint32_t n;
    mn_babi_set sets[MN_BABI_MAX_SETS]; /* by number */
} mn_babi_folder;

/* Find `name` in the folders ("a:b"), each itself and then its "babi", and at last in the cache's
 * (mn_data_path_cache): a folder, or a file qaN_..._train.txt that has its test beside it; and the
 * sets of it that are wanted: "all", or numbers from 1 to 64 as in "1-3,7". MN_ERR_NO_INPUT: no such
 * folder, or it lacks a file: says which, which sets are whole, and where it looked. MN_ERR_CONFIG:
 * name or list make no sense. *out is empty on failure. */
mn_status mn_babi_folder_find(const char *name, const char *folders, const char *wanted,
                              mn_babi_folder *out, mn_error *err);
void mn_babi_folder_fini(mn_babi_folder *folder);

/* The archive <name>.zip in the folders, each itself and then its "babi", if `name` itself is in
 * none of them nor in the cache. The caller's (free). NULL: there is no need of it, or none there.
 */
char *mn_babi_folder_archive(const char *name, const char *folders);

/* The path of what is called `name` in the folders, each itself, then its "babi" and "babi/dialog",
 * and at last, where that is asked for, in the cache's; and whether it is a folder. The caller's
 * (free). NULL: there is none. */
char *mn_babi_find(const char *name, const char *folders, bool in_cache, bool *is_folder);

/* MN_ERR_NO_INPUT: there is no `what` ("folder") of `of` ("stories"), which holds `files`; says where its archive is,
 * or where it was looked for. */
mn_status mn_babi_tell_missing(const char *name, const char *what, const char *of,
                               const char *files, const char *folders, mn_error *err);

/* Is it a name of a folder, without those above it? */
bool mn_babi_is_name(const char *name);

/* N of "qaN_..._train.txt" and "qaN_..._test.txt"; 0: the file is not called so. */
uint32_t mn_babi_file_number(const char *name, bool *is_train);

/* Numbers of sets as in "1-3,7", bit i for set i + 1. */
#define MN_BABI_LIST_SIZE 200u
void mn_babi_list_sets(uint64_t bits, char out[MN_BABI_LIST_SIZE]);
