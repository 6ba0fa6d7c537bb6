/* rows_splits.h: which rows of a user's table belong together, as a class or a task, and which are for training,
 * validation and test; and where the table's files are. For rows.c alone. */
#pragma once

#include "common/digest.h"
#include "common/experiment.h"
#include "worker/data/data_table.h"

/* Files of a list "a.csv, below/b.npy", each found below one of the folders "x:y". */
typedef struct mn_row_files {
    uint32_t n;
    char *paths[MN_DATA_TABLE_MAX_FILES]; /* owned */
} mn_row_files;

/* MN_ERR_CONFIG: a name leads out of the folders, or there are too many; MN_ERR_NO_INPUT: which is nowhere, and
 * where it was looked for. *out may be freed in any case. */
mn_status mn_row_files_find(const char *names, const char *folders, mn_row_files *out,
                            mn_error *err);
void mn_row_files_fini(mn_row_files *files);

typedef struct mn_row_group {
    char *name;     /* owned */
    uint32_t first; /* its rows are order[first ...]: training, then validation, then test */
    uint32_t n[MN_N_SPLITS]; /* rows */
} mn_row_group;

typedef struct mn_row_groups {
    uint32_t n;
    mn_row_group *at;      /* [n] in the order of their names; owned */
    uint32_t *order;       /* rows of the table; owned */
    mn_digest list_digest; /* of tasks.split_list, if there is one */
} mn_row_groups;

/* By tasks.class_column or tasks.task_column, and the splits that the experiment tells. MN_ERR_DATA,
 * MN_ERR_CONFIG: what is wrong with which row or name. *out is empty on failure. */
mn_status mn_row_groups_make(const mn_experiment *experiment, const mn_data_table *table,
                             mn_row_groups *out, mn_error *err);
void mn_row_groups_fini(mn_row_groups *groups);
