/* dialog_folder.h: where the files of a set of dialogues are: dialog-babi-taskN-...-trn.txt, -dev, -tst
 * and, where there are tests with entities that training has not, -tst-OOV; and the candidates, of
 * the set (dialog-babi-taskN-...-candidates.txt) or of all (dialog-babi-candidates.txt). Reads names
 * only: no archive is opened here. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stdint.h>

#define MN_DIALOG_MAX_SETS 9u

typedef enum mn_dialog_file {
    MN_DIALOG_TRN,
    MN_DIALOG_DEV,
    MN_DIALOG_TST,
    MN_DIALOG_OOV,
    MN_DIALOG_N_TEXTS,
    MN_DIALOG_CANDIDATES = MN_DIALOG_N_TEXTS,
    MN_DIALOG_FACTS, /* dialog-babi-kb-all.txt; of a set with candidates of its own there is none */
    MN_DIALOG_N_FILES
} mn_dialog_file;

typedef struct mn_dialog_folder {
    char *
        paths[MN_DIALOG_N_FILES]; /* NULL: MN_DIALOG_OOV or MN_DIALOG_FACTS, there is none; owned */
} mn_dialog_folder;

/* Find `name` as mn_babi_find does, and the files of set `number` (1 to MN_DIALOG_MAX_SETS) in it.
 * MN_ERR_NO_INPUT: no such folder, or it lacks a file: says which, and where it looked.
 * MN_ERR_CONFIG: the name makes no sense. *out is empty on failure. */
mn_status mn_dialog_folder_find(const char *name, const char *folders, uint32_t number,
                                mn_dialog_folder *out, mn_error *err);
void mn_dialog_folder_fini(mn_dialog_folder *folder);

/* Is it the name of a file that belongs to some set? */
bool mn_dialog_is_file(const char *name);
