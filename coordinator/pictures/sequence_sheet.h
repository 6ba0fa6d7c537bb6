/* sequence_sheet.h: a sequence of drawings that are named one after the other (sequences.h), and
 * where the names were right: as text and as a picture. `answers` [items of query.y, classes] are a
 * learner's; the sequence is the first of the task's bundle. A label of query.y is a number, one-hot; or a string, with
 * a one for each of its letters, whose letters must all be right. */
#pragma once

#include "common/error.h"
#include "worker/tasks/task.h"
#include <stdbool.h>
#include <stdio.h>

/* Are these fields of such sequences? */
bool mn_sequence_sheet_fits(const mn_fields *fields);

/* The answers, a row a label and a column a showing; and of all sequences, how many were right at
 * each showing. */
void mn_sequence_sheet_print(const mn_task *task, const float *answers, FILE *out);

/* A PNG: the drawings in order, below each its label and the answer; one that is wrong gets a thick
 * frame. answers: NULL: there are none. MN_ERR_USAGE: it would be too large. */
mn_status mn_sequence_sheet_png(const mn_task *task, const float *answers, const char *heading,
                                const char *path, mn_error *err);
