/* picture.h: a PNG of any size as a small square of ink: 0 paper .. 255 ink. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_PICTURE_MAX_SIDE 4096u /* pixels of a PNG; larger ones are refused unread */
#define MN_PICTURE_MAX_BYTES ((size_t)64 << 20) /* of a PNG file */

/* Decode the n bytes of a PNG and shrink it (or stretch it, if it is smaller) to side x side x
 * channels bytes. Each result is the mean over its box of the picture, pixels at the box's edge
 * counted by the part of them that lies in it, rounded to the nearest. Transparent is white. The
 * proportions of a picture that is not square are lost.
 *   channels     1: grey, 3: red, green, blue
 *   dark_is_ink  turn light into 0 and dark into 255
 *   where        names the picture in messages
 * MN_ERR_DATA: no PNG, damaged, or larger than the limit. */
mn_status mn_picture_read(const void *png, size_t n, uint32_t side, uint32_t channels,
                          bool dark_is_ink, const char *where, uint8_t *out, mn_error *err);

/* The shrinking alone: from [height, width, channels], sides up to MN_PICTURE_MAX_SIDE. */
void mn_picture_scale(const uint8_t *from, uint32_t height, uint32_t width, uint32_t channels,
                      uint32_t side, uint8_t *out);
