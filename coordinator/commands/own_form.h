/* own_form.h: how the columns of a person's table become the numbers that a run's network takes: as those of the
 * table that it has learned from; or, of a run that has learned from made-up tables, as the examples' own rows say. */
#pragma once

#include "worker/data/row_form.h"
#include "worker/learner/model.h"

/* The form that a note (MN_ROW_FORM_NOTE) of a checkpoint or of an adapted model tells, for this model; the caller
 * frees it with mn_row_form_fini. MN_ERR_DATA: there is none (NULL), it is damaged, or of another model. */
mn_status mn_own_form_read(const char *note, const mn_model *model, mn_row_form *out,
                           mn_error *err);

/* A form made from a table of examples, for a model of tasks.kind tables, which has features and classes of any
 * meaning. class_column: its name, or number from 1; NULL: the last. All others are features: numbers standardised by
 * these rows and cut off as in training, words one-hot, what is missing the mean. MN_ERR_DATA: no such column, or more
 * numbers of a row than the network takes. */
mn_status mn_own_form_fit(const char *path, const char *class_column, const mn_model *model,
                          mn_row_form *out, mn_error *err);

/* Read a table: "rows.csv", or "x.npy,y.npy" side by side unless a file is called that. */
mn_status mn_own_table_read(const char *path, mn_header header, mn_data_table *out, mn_error *err);
