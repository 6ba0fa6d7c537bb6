/* field_text.h: the fields of tasks as text, for files that tell what a network takes without the data that it
 * has learned from: a line for what is asked for, and one for each field,
 *   classes 5 1 1
 *   support.x 0 5 28 28 1
 * name, type, items, height, width, channels. Of points, wholes and scales there is nothing: they matter to scores
 * alone. */
#pragma once

#include "worker/tasks/task.h"

#define MN_FIELDS_MOST_WAY 100000u /* classes, or numbers of an answer, that a file may tell of */

/* To be freed. */
mn_status mn_fields_text(const mn_fields *fields, char **out, mn_error *err);

/* Back. MN_ERR_DATA: it is no such text, or fields of no task that a person's own examples can be put into: few-shot
 * tasks, questions about stories that are answered by words, or sequences. Nothing in it is trusted. */
mn_status mn_fields_parse(const char *text, mn_fields *out, mn_error *err);
