/* data_path.h: where a packed file is: on the data path or in the cache; and where the raw archives
 * are that it could be made from. The cache is the folder $MNEMO_CACHE, else
 * $XDG_CACHE_HOME/mnemo, else ~/.cache/mnemo. Reads names only: no archive is opened here. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stdint.h>

/* Find `name` in the folders ("a:b"), each itself and then its "omniglot", and at last in the
 * cache. *path is the caller's (free). MN_ERR_NO_INPUT: which file, how to make it, and all folders
 * looked in. MN_ERR_CONFIG: the name is empty or has folders in it. */
mn_status mn_data_path_find(const char *name, const char *folders, uint32_t image_size, char **path,
                            mn_error *err);

/* Packed files of one archive of Omniglot each, by name: omniglot-runs28.mnd, of all_runs.zip;
 * omniglot-background28.mnd, omniglot-small1-28.mnd and -small2-28.mnd, of the background alphabets,
 * none of them for validation. The number is the image size. */
typedef struct mn_data_recipe {
    const char *stem; /* of the packed file's name, before the size; static */
    const char *zip;
    bool is_runs;
} mn_data_recipe;

/* NULL: there is none for this name and size. */
const mn_data_recipe *mn_data_recipe_of(const char *name, uint32_t image_size);

/* Is the recipe's archive in one of the folders above without the cache? *zip and *cache are the
 * caller's (free); *cache is NULL if there is none. False: both are NULL. */
bool mn_data_path_archive(const mn_data_recipe *recipe, const char *folders, char **zip,
                          char **cache);

/* The archives of Omniglot, and what becomes of them. All owned. */
typedef struct mn_data_archives {
    char *zips[2]; /* images_background.zip, images_evaluation.zip */
    char *lists;   /* the folder splits_vinyals beside them; NULL: there is none */
    char *cache;   /* the folder for the packed file; NULL: there is no cache, as without $HOME */
} mn_data_archives;

/* Are there archives to make the file `name` from? Only one that is called omniglot<image_size>.mnd
 * can be; the folders are those above without the cache. False, or out of memory: *out is empty. */
bool mn_data_path_archives(const char *name, const char *folders, uint32_t image_size,
                           mn_data_archives *out);
void mn_data_archives_fini(mn_data_archives *archives);

/* The cache's folder, which need not be there; the caller's (free). NULL: there is no cache. */
char *mn_data_path_cache(void);
