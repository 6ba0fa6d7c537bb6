/* picture_folder.h: a person's own pictures as numbers, for a task of their own: a folder with a
 * folder for each class, or pictures without one, or a single file. In the order of their names. */
#pragma once

#include "common/error.h"
#include "worker/data/import/import_report.h"
#include <stdbool.h>
#include <stdint.h>

#define MN_PICTURES_MOST 1000000u
#define MN_NO_CLASS UINT32_MAX

/* What becomes of a picture: as mn_picture_read has it. */
typedef struct mn_picture_form {
    uint32_t side, channels;
    bool dark_is_ink;
} mn_picture_form;

typedef struct mn_picture_folder {
    uint32_t n;
    float *x;         /* [n, side, side, channels], 0 to 1; all of this is owned */
    uint32_t *labels; /* [n]; MN_NO_CLASS: of no class */
    char **names;     /* [n]: "class/file", or the file */
    uint32_t n_classes;
    char **classes;      /* [n_classes] */
    uint32_t n_coloured; /* pictures with colours that a grey form does not see */
    double mean;         /* of all numbers of x */
} mn_picture_folder;

/* Read all pictures of `path`: class/PICTURE; or PICTURE, all of no class (which `flat` allows); or
 * `path` is a picture. What is left out is counted in the report. On failure *out is empty.
 *   MN_ERR_NO_INPUT  nothing is there
 *   MN_ERR_DATA      no picture at all; a class without one; a damaged one; pictures beside classes,
 *                    or in folders within classes: which, and what was expected */
mn_status mn_picture_folder_read(const char *path, bool flat, const mn_picture_form *form,
                                 mn_import_report *report, mn_picture_folder *out, mn_error *err);
void mn_picture_folder_fini(mn_picture_folder *pictures);
