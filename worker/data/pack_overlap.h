/* pack_overlap.h: do test classes of packed images stand among the training classes? By name, by
 * content, and picture by picture: what was trained on says nothing of what is new. */
#pragma once

#include "common/error.h"
#include "worker/data/image_pack.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Classes of a pack, as entries, of which one class may have several (its turns). Lent. */
typedef struct mn_pack_part {
    const mn_image_pack *pack; /* NULL: there is none */
    uint32_t n;
    const mn_pack_entry *entries;
} mn_pack_part;

typedef struct mn_overlap {
    uint32_t n_classes; /* of the test, each counted once; 0: nothing was compared */
    uint32_t n_named;   /* test classes with group and name of a training class */
    uint32_t n_copied;  /* others, more than half of whose pictures are those of a training class */
    uint32_t n_pictures;                    /* of the test classes that are no training classes */
    uint32_t n_identical;                   /* of these: the same as a training picture */
    char example[2 * MN_PACK_MAX_NAME + 8]; /* of such a class, "group/name"; "": none */
} mn_overlap;

/* Compare the test part with the training part, which may be of the same pack. Pictures are the same if
 * all their bytes are; where either part has turned classes, also if they are after quarter turns. MN_ERR_NOMEM. */
mn_status mn_pack_overlap(const mn_pack_part *training, const mn_pack_part *test, mn_overlap *out,
                          mn_error *err);

/* A test class is a training class. */
bool mn_overlap_is_leak(const mn_overlap *overlap);

/* One line for people, without an end of line. */
void mn_overlap_text(const mn_overlap *overlap, char *text, size_t n);
