/* first_use.h: raw archives on the data path become a packed file, or a folder of stories, in the
 * cache when an experiment first asks for it. A worker's program does not do this: it says which command to run. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"

/* Make sure that each of the experiment's packed files (tasks.data, tasks.runs, those of the parts of tasks.mix) is there if it is there already or can be made: from
 * images_background.zip and images_evaluation.zip, with the lists in splits_vinyals beside them if
 * they are there, or from the one archive of a mn_data_recipe (see data_path.h). Several processes may do so at once: each gives its whole file
 * the name. Of stories: if there is no folder tasks.data but an archive <tasks.data>.zip, unpack it (see
 * story_archive.h). MN_OK where there is nothing to do or to make it from: who opens the file says what is
 * missing. */
mn_status mn_first_use_pack(const mn_experiment *experiment, mn_error *err);
