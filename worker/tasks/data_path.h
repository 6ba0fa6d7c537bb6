/* data_path.h: where a packed file is: on the data path, in the cache, or made once from archives
 * found there. The cache is the folder $MNEMO_CACHE, else $XDG_CACHE_HOME/mnemo, else
 * ~/.cache/mnemo. */
#pragma once

#include "common/error.h"
#include <stdint.h>

/* Find `name` in the folders ("a:b"), each itself and then its "omniglot", and at last in the
 * cache. A file that is nowhere but is called omniglot<image_size>.mnd is imported into the cache
 * if one of the folders has the archives images_background.zip and images_evaluation.zip, with the
 * lists in splits_vinyals beside them if they are there. Several processes may do so at once: each
 * gives its whole file the name. *path is the caller's (free). MN_ERR_NO_INPUT: which file, how to
 * make it, and all folders looked in. MN_ERR_CONFIG: the name is empty or has folders in it. */
mn_status mn_data_path_find(const char *name, const char *folders, uint32_t image_size, char **path,
                            mn_error *err);
