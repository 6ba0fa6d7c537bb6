/* checkpoint_list.h: which checkpoints a run has, by the names of their files: what is in them is told by
 * coordinator/run/checkpoint.h. */
#pragma once

#include "common/error.h"
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* Meta-steps of all files of `folder` whose names are a checkpoint's, newest first; *steps is the caller's (free). A
 * folder that is not there has none. On failure *steps is NULL and *n is 0. */
mn_status mn_checkpoint_list(const char *folder, uint64_t **steps, size_t *n, mn_error *err);

/* Where that of a meta-step is or would be. MN_ERR_IO: its path is too long. */
mn_status mn_checkpoint_path(const char *folder, uint64_t step, char path[PATH_MAX], mn_error *err);

/* Path and step of the newest file of `folder` by its name, be it whole or not. MN_ERR_NO_INPUT: there
 * is none. */
mn_status mn_checkpoint_newest(const char *folder, char path[PATH_MAX], uint64_t *step,
                               mn_error *err);
