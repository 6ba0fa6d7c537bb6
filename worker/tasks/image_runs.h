/* image_runs.h: test tasks that are given instead of drawn, from a packed file with a group for each
 * (mnemo data import omniglot-runs): the classes of a group are those of its run, the first `shot`
 * images of a class its support, the others its query. */
#pragma once

#include "common/experiment.h"
#include "worker/data/image_pack.h"
#include "worker/tasks/task.h"
#include <stdio.h>

typedef struct mn_image_runs mn_image_runs;

/* Open the file that tasks.runs names, for tasks of these fields. MN_ERR_NO_INPUT: it is not there.
 * MN_ERR_CONFIG: it holds no runs, or runs of another size than the fields: says which option to
 * set to what. */
mn_status mn_image_runs_open(const mn_experiment *experiment, const mn_fields *test,
                             mn_image_runs **out, mn_error *err);
void mn_image_runs_destroy(mn_image_runs **runs);

uint32_t mn_image_runs_count(const mn_image_runs *runs);
mn_digest mn_image_runs_digest(const mn_image_runs *runs);
const mn_image_pack *mn_image_runs_pack(const mn_image_runs *runs); /* lent */

/* Run `index` (of the file's groups, in order; from their beginning again behind the last) into a
 * task of the fields given above. Its title is the run's name. */
void mn_image_runs_draw(const mn_image_runs *runs, uint64_t index, mn_task *task);

/* The class of a label of a task that was drawn here. */
mn_pack_entry mn_image_runs_entry(const mn_image_runs *runs, const mn_task *task, uint32_t label);

/* Print which pair of drawings is behind each label of a task that was drawn here. */
void mn_image_runs_describe(const mn_image_runs *runs, const mn_task *task, FILE *out);
