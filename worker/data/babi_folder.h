/* babi_folder.h: where sets of stories are: files qaN_<name>_train.txt and qaN_<name>_test.txt of
 * one folder. */
#pragma once

#include "common/error.h"
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

/* Find `name` in the folders ("a:b"), each itself and then its "babi": a folder, or a file
 * qaN_..._train.txt that has its test beside it; and the sets of it that are wanted: "all", or
 * numbers from 1 to 64 as in "1-3,7". MN_ERR_NO_INPUT: no such folder, or it lacks a file: says
 * which, and where it looked. MN_ERR_CONFIG: name or list make no sense. *out is empty on failure.
 */
mn_status mn_babi_folder_find(const char *name, const char *folders, const char *wanted,
                              mn_babi_folder *out, mn_error *err);
void mn_babi_folder_fini(mn_babi_folder *folder);
