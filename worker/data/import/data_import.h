/* data_import.h: from the archives and folders that people have to one packed file (image_pack.h).
 * Archives and pictures may come from anybody: names, counts and sizes are checked before memory is
 * taken, nothing is unpacked to disk, and the output is there when all of it is. Messages name the
 * archive and the entry. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "worker/data/import/import_list.h"
#include "worker/data/import/import_report.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Called now and then with the number of pictures done; n_all 0: nobody knows how many there are. */
typedef struct mn_import_progress {
    void (*call)(void *user, uint32_t n_done, uint32_t n_all);
    void *user;
} mn_import_progress;

/* Omniglot from its official archives images_background*.zip and images_evaluation.zip, in any
 * order, with entries images_.../Alphabet/characterNN/NAME.png, also below another folder as after
 * re-zipping, and with back-slashes. Groups are alphabets; a pixel is round(255 * share of ink).
 *   split_folder  has train.txt, val.txt and test.txt (see import_list.h). NULL: evaluation is
 *                 test; the last n_val background alphabets in the order of their names are val,
 *                 the rest train, all of them with rotations
 *   n_val         0 and more; MN_VAL_SIXTH: a sixth of them (5 of 30). With a number of one's own
 *                 images_evaluation.zip may be left out, and no split has its alphabets
 *   image_size    pixels a side, 1 .. 4096
 *   progress      may be NULL
 *   report        may be NULL */
mn_status mn_import_omniglot(const char *const *zips, size_t n_zips, const char *split_folder,
                             uint32_t n_val, uint32_t image_size, const char *output,
                             const mn_import_progress *progress, mn_import_report *report,
                             mn_error *err);

/* The official one-shot runs of Omniglot from all_runs.zip (see runs_list.h): a packed file with a
 * group for each run, and in it a class for each pair of a training and a test drawing, in this
 * order; all of it is split test. Ink and size as above. */
mn_status mn_import_omniglot_runs(const char *zip, uint32_t image_size, const char *output,
                                  const mn_import_progress *progress, mn_import_report *report,
                                  mn_error *err);

/* How the classes of a folder come into splits. */
typedef enum mn_import_splits {
    MN_SPLITS_FOUND,  /* by folders train, val and test at the top if they are there, else shares */
    MN_SPLITS_SHARES, /* by shares, whatever the folders at the top are called */
    MN_SPLITS_LISTS,  /* by lists of classes */
} mn_import_splits;

/* How a person's own pictures are taken. */
typedef struct mn_import_options {
    uint32_t image_size; /* pixels a side, 1 .. 4096; 0: as they are, of arrays */
    uint32_t channels;   /* 1: grey, 3: colour; 0: as they are, of arrays */
    bool dark_is_ink;    /* dark becomes 255, light 0; for drawings on paper */
    bool turned;         /* quarter turns are classes of their own: for characters */
    bool transposed;     /* of arrays: columns are rows, as in EMNIST's files */
    bool skip_damaged;   /* leave pictures out that cannot be read, instead of failing */
    uint32_t least;      /* leave classes out that have fewer pictures; 0 or 1: none */
    mn_import_splits splits;
    double shares[MN_N_SPLITS]; /* of the classes; used unless splits are found or listed */
    uint64_t seed;              /* which classes go where: same seed and names, same splits */
    const char *lists; /* a folder with train.txt, val.txt or test.txt, or up to three such paths
                          with a comma between; see import_list.h */
    const char *class_names; /* of labels that are numbers, see label_names.h; NULL: the numbers */
    const char
        *arrays;    /* "IMAGES,LABELS" and more such pairs: names of arrays in a file of several;
                           NULL: the only ones that can be meant */
    FILE *describe; /* told what was found, before anything is packed; NULL: nothing is told */
    bool dry_run;   /* stop there */
} mn_import_options;

/* A tree of PNG and JPEG files: a folder, or a zip or tar of one (compressed or not). A folder that holds
 * pictures is a class, the folders above it its group: class/PICTURE is in group "all". Folders
 * train, val (valid, validation) and test at the top are splits if nothing else or two of them are
 * there; with shares or lists, a class that is in several of them is one class. Folders above all of an
 * archive are passed over.
 *   report  what was taken and left, also where the import failed half-way
 * MN_ERR_DATA: no picture, a damaged one (all are counted), or a class in two splits. */
mn_status mn_import_folder(const char *path, const mn_import_options *options, const char *output,
                           const mn_import_progress *progress, mn_import_report *report,
                           mn_error *err);

/* Arrays of images with arrays of labels: pairs of IDX or NPY files, compressed or not, or one NPZ or
 * safetensors file with such arrays. Images are [n, h, w], [n, h, w, c] or [n, c, h, w] with c 1 or 3, whole
 * numbers of 0 to 255 or real ones of 0 to 1; labels are whole numbers of 0 and more, [n] or [n, 1]. All is
 * in group "all" unless class names tell groups. MN_ERR_DATA: another shape, a number out of its range, which
 * and where. */
mn_status mn_import_arrays(const char *const *paths, size_t n_paths,
                           const mn_import_options *options, const char *output,
                           const mn_import_progress *progress, mn_import_report *report,
                           mn_error *err);

/* Records of CIFAR-10 (label, then 32 x 32 red, green, blue) or CIFAR-100 (group and label before), which of
 * the two, sizes and labels tell. Files may be compressed. */
mn_status mn_import_cifar(const char *const *paths, size_t n_paths,
                          const mn_import_options *options, const char *output,
                          const mn_import_progress *progress, mn_import_report *report,
                          mn_error *err);
