/* sample_data.h: small files for the tests of this folder: a packed file, PNGs, archives like
 * Omniglot's. */
#pragma once

#include "worker/data/image_pack.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each test works in a new empty folder, which is the current one and $MNEMO_CACHE's parent. For
 * CMocka. */
int sample_enter_folder(void **state);
int sample_leave_folder(void **state);

/* A packed file of 4 x 4 grey images, class c with 6 images: pixel 0 is c, pixel 1 the image's
 * place in its class, pixel 2 is 200, the rest 0. 12 classes, groups "a" (0-1), "b" (2-6), "c"
 * (7-11). train: 0-6 turned 0 and 1 times, val: 2-6, test: 7-11. */
enum { SAMPLE_CLASSES = 12, SAMPLE_IMAGES = 6, SAMPLE_SIDE = 4 };
void sample_write_pack(const char *path);

/* A grey PNG of `side` pixels that is white but for ink (black) where (x + y * side) % period == 0.
 * Free it. */
void *sample_png(uint32_t side, uint32_t period, size_t *n);

/* The same as a JPEG of the best quality; progressive: in several scans. Free it. */
void *sample_jpeg(uint32_t side, uint32_t period, bool progressive, size_t *n);

/* Write a zip of the given entries, NULL-named last. */
typedef struct sample_entry {
    const char *name;
    const void *bytes;
    size_t n;
} sample_entry;
void sample_write_zip(const char *path, const sample_entry *entries);

/* images_background.zip (alphabets Aaa, Bbb, Ccc) and images_evaluation.zip (alphabet Ddd) in a
 * folder, each alphabet with 3 characters of 4 drawings, of 8 x 8 pixels. */
void sample_write_omniglot(const char *folder);

/* An archive like all_runs.zip of 2 runs of 3 pairs, with pictures of 8 x 8 pixels: in each run test
 * item 1 is class 3, 2 is 1, 3 is 2. The picture number i of a run r (classes, then items) has
 * period 2 + 6 r + i. `below` goes before all names; where labels is not NULL, it is the text of
 * run02/class_labels.txt. */
void sample_write_runs(const char *path, const char *below, const char *labels);

/* Write bytes to a file. */
void sample_write(const char *path, const void *bytes, size_t n);
