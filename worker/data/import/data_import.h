/* data_import.h: from the archives and folders that people have to one packed file (image_pack.h).
 * Archives and pictures may come from anybody: names, counts and sizes are checked before memory is
 * taken, nothing is unpacked to disk, and the output is there when all of it is. Messages name the
 * archive and the entry. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Called now and then with the number of pictures done. */
typedef struct mn_import_progress {
    void (*call)(void *user, uint32_t n_done, uint32_t n_all);
    void *user;
} mn_import_progress;

/* Omniglot from its official archives images_background*.zip and images_evaluation.zip, in any
 * order, with entries images_.../Alphabet/characterNN/NAME.png. Groups are alphabets; a pixel is
 * round(255 * share of ink).
 *   split_folder  has train.txt, val.txt and test.txt (see import_list.h). NULL: evaluation is
 *                 test; the last sixth of the background alphabets in the order of their names
 *                 (5 of 30) is val, the rest train, all of them with rotations
 *   image_size    pixels a side, 1 .. 4096
 *   progress      may be NULL */
mn_status mn_import_omniglot(const char *const *zips, size_t n_zips, const char *split_folder,
                             uint32_t image_size, const char *output,
                             const mn_import_progress *progress, mn_error *err);

typedef struct mn_import_folder_options {
    const char *folder;  /* of class/NAME.png, put in a group "all", or group/class/NAME.png */
    uint32_t image_size; /* pixels a side, 1 .. 4096 */
    uint32_t channels;   /* 1: grey, 3: colour */
    bool dark_is_ink;    /* dark becomes 255, light 0; for drawings on paper */
    double val_share;    /* of the classes, 0 .. 1; the rest is train */
    double test_share;
    uint64_t seed; /* shuffles the classes into splits: same seed and classes, same splits */
} mn_import_folder_options;

/* A tree of PNG files. Names that begin with "." and files that do not end in .png are left out. */
mn_status mn_import_folder(const mn_import_folder_options *options, const char *output,
                           const mn_import_progress *progress, mn_error *err);
