/* row_ids.h: what rows of a user's table say they are of (tasks.id_column), as a school or a patient: fields
 * support.id and query.id, a number an item, by which a memory table is read. The words of training rows are ids
 * from 1 in alphabetical order; what only other rows have is id 0. For rows.c alone. */
#pragma once

#include "common/random.h"
#include "worker/data/data_table.h"
#include "worker/data/words.h"
#include "worker/tasks/task.h"

typedef struct mn_row_ids {
    uint32_t n;      /* id 0 counted; 0: there are no ids */
    mn_words *words; /* what each is; NULL: there are none; owned */
    uint32_t *at;    /* of each row of the table; owned */
    char column[sizeof((mn_experiment *)0)->tasks.id_column];
    double hidden; /* share of a training task's ids that become 0 */
} mn_row_ids;

/* By the rows of training, train[n_train]. MN_ERR_DATA: which row has no id. *out may be freed in any case. */
mn_status mn_row_ids_make(const mn_experiment *experiment, const mn_data_table *table,
                          uint32_t n_train, const uint32_t *train, mn_row_ids *out, mn_error *err);
void mn_row_ids_fini(mn_row_ids *ids);

/* To few-shot fields; if there are ids. */
mn_status mn_row_ids_add(const mn_row_ids *ids, mn_fields *fields, mn_error *err);

/* Item `item` of support.x or query.x is this row of the table. */
void mn_row_ids_put(const mn_row_ids *ids, uint32_t row, mn_role role, uint32_t item,
                    mn_task *task);

/* Each id of a training task is told or not, the same for all of its rows. */
void mn_row_ids_hide(const mn_row_ids *ids, mn_random *random, mn_task *task);
