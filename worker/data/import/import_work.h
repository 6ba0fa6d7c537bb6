/* import_work.h: an import of a person's own pictures while it goes on, whatever they come from: which were
 * found, their pixels at the size that is packed, then classes, splits, a description, and the packed file. A
 * reader begins, decodes or keeps each picture and adds it to the list, and finishes. */
#pragma once

#include "worker/data/import/data_import.h"
#include "worker/data/import/import_list.h"
#include "worker/data/import/picture.h"
#include "worker/data/import/pixel_store.h"

typedef struct mn_import_work {
    const mn_import_options *options;
    const mn_import_progress *progress; /* or NULL */
    mn_import_report *report;
    const char *output; /* NULL: nothing is written */
    mn_import_list list;
    mn_pixel_store *store; /* owned */
    uint8_t *pixels;       /* owned: [side, side, 3] */
    uint64_t n_seen, n_damaged;
    uint64_t n_looked_at, n_coloured; /* pictures that become grey, and that had colours */
    mn_error first_damage;
} mn_import_work;

/* The first fills *work in any case, and mn_import_work_fini may follow a failure too; all pointers are lent
 * until then. MN_ERR_USAGE: a size or number of channels that cannot be. */
mn_status mn_import_work_begin(mn_import_work *work, const mn_import_options *options,
                               const char *output, const mn_import_progress *progress,
                               mn_import_report *report, mn_error *err);
void mn_import_work_fini(mn_import_work *work);

/* Decode the bytes of a picture, and keep it at *place. If it is damaged, that is counted, and *damaged.
 *   n_all  pictures that there will be, for the progress; 0: nobody knows */
mn_status mn_import_work_decode(mn_import_work *work, const void *bytes, size_t n,
                                const char *where, uint32_t n_all, uint64_t *place,
                                mn_picture_facts *facts, bool *damaged, mn_error *err);

/* Count a picture that is damaged for another reason. */
void mn_import_work_damaged(mn_import_work *work, const char *why);

/* Keep an image of [height, width, channels] bytes, 1 or 3 channels, at *place, in the size and colours that
 * are asked for. `pixels` is scratch afterwards. */
mn_status mn_import_work_keep(mn_import_work *work, uint8_t *pixels, uint32_t height,
                              uint32_t width, uint32_t channels, uint32_t n_all, uint64_t *place,
                              mn_error *err);

/* With all pictures in work->list, each with its place as `entry`: refuse damage, or leave it; find classes and
 * splits; tell what was found; write the file unless this is a dry run.
 *   where       names the whole in messages
 *   part_words  how parts made the splits, if they are splits; else NULL */
mn_status mn_import_work_finish(mn_import_work *work, const char *where, const char *part_words,
                                mn_error *err);
