/* image_pack.h: one file of labelled images (".mnd"), for few-shot tasks. A pack that is open is in
 * memory, whatever becomes of the file. It holds classes in groups (an alphabet is a group), three splits as lists of (class,
 * quarter turns), so that "turned by 90 degrees" is a class like any other, and pixels of one byte:
 * 0 paper .. 255 ink. A file may come from anybody: everything in it is checked before it is used.
 *
 * Layout, little endian, without padding:
 *   header   8 bytes "MNEMODAT"; u32 version, height, width, channels, n_images, n_classes,
 *            n_groups, entries of train, of val, of test; u64 bytes of names, bytes of the file
 *   classes  n_classes of u32 name, group, first image, number of images
 *   groups   n_groups of u32 name
 *   splits   train, val, test: entries of u32 class, quarter turns
 *   names    texts that end with NUL; the "name" fields above are offsets into them
 *   pixels   n_images of [height, width, channels]
 *   digest   32 bytes, SHA-256 of all bytes before it */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "common/experiment.h"
#include <stddef.h>
#include <stdint.h>

#define MN_PACK_MAX_SIDE 4096u
#define MN_PACK_MAX_IMAGES 10000000u
#define MN_PACK_MAX_NAME 255u

typedef struct mn_pack_class {
    const char *name;
    uint32_t group;
    uint32_t first_image;
    uint32_t n_images; /* > 0 */
} mn_pack_class;

typedef struct mn_pack_entry {
    uint32_t class_number;
    uint32_t quarter_turns; /* 0 .. 3, counter-clockwise */
} mn_pack_entry;

/* All of a pack but its pixels. */
typedef struct mn_pack_index {
    uint32_t height, width, channels; /* of each image; channels 1 or 3 */
    uint32_t n_images, n_classes, n_groups;
    uint32_t n_entries[MN_N_SPLITS];
    const mn_pack_class *classes;
    const char *const *groups; /* their names */
    const mn_pack_entry *entries[MN_N_SPLITS];
} mn_pack_index;

typedef struct mn_image_pack mn_image_pack;

/* Map a pack and check every byte of it. MN_ERR_NO_INPUT: not there. MN_ERR_DATA: no pack, or
 * damaged. */
mn_status mn_image_pack_open(const char *path, mn_image_pack **out, mn_error *err);
void mn_image_pack_destroy(mn_image_pack **pack);

/* Lent until the pack is destroyed. */
const mn_pack_index *mn_image_pack_index(const mn_image_pack *pack);
const char *mn_image_pack_path(const mn_image_pack *pack);

/* The [height, width, channels] bytes of an image; image < n_images. */
const uint8_t *mn_image_pack_pixels(const mn_image_pack *pack, uint32_t image);

/* The digest at the file's end, found to be right when it was opened. */
mn_digest mn_image_pack_digest(const mn_image_pack *pack);

/* A pack being written: the index first, then each image in order. The file is there when all of it
 * is. */
typedef struct mn_pack_writer mn_pack_writer;

/* MN_ERR_DATA: the index breaks a limit above. The index is lent for the call. */
mn_status mn_pack_writer_new(const char *path, const mn_pack_index *index, mn_pack_writer **out,
                             mn_error *err);
mn_status mn_pack_writer_add(mn_pack_writer *writer, const uint8_t *pixels, mn_error *err);

/* Give the file its name. *writer is NULL afterwards in any case. MN_ERR_STATE: images lack. */
mn_status mn_pack_writer_finish(mn_pack_writer **writer, mn_error *err);
void mn_pack_writer_abandon(mn_pack_writer **writer);
