/* picture.h: a PNG or JPEG of any size as a small square of light or ink. What a file is, its bytes
 * say, not its name. Values are taken as they stand in the file, as by other tools that train on
 * pictures: gAMA, sRGB and colour profiles move no pixel, 16 bits become the nearest 8, and the
 * orientation that a camera noted is not looked at. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_PICTURE_MAX_SIDE 4096u /* pixels of a picture; larger ones are refused unread */
#define MN_PICTURE_MAX_BYTES ((size_t)64 << 20) /* of its file */

typedef enum mn_picture_format {
    MN_PICTURE_PNG,
    MN_PICTURE_JPEG,
    MN_PICTURE_OTHER, /* one that is not read, or no picture */
} mn_picture_format;

/* By the first bytes. *name, if not NULL, is what to call it: "PNG", "JPEG", "GIF", "WebP", ...;
 * NULL where the bytes are nothing known. */
mn_picture_format mn_picture_format_of(const void *bytes, size_t n, const char **name);

/* What a name's end promises; *name as above. */
mn_picture_format mn_picture_format_of_name(const char *file, const char **name);

/* Decode the n bytes of a picture and shrink it (or stretch it, if it is smaller) to side x side x
 * channels bytes. Each result is the mean over its box of the picture, pixels at the box's edge
 * counted by the part of them that lies in it, rounded to the nearest. Transparent is white. The
 * proportions of a picture that is not square are lost. Grey of a colour is its luma,
 * 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), as most tools have it.
 *   channels     1: grey, 3: red, green, blue
 *   dark_is_ink  turn light into 0 and dark into 255
 *   where        names the picture in messages
 * MN_ERR_DATA: no PNG or JPEG, damaged, or larger than the limit. */
mn_status mn_picture_read(const void *bytes, size_t n, uint32_t side, uint32_t channels,
                          bool dark_is_ink, const char *where, uint8_t *out, mn_error *err);

/* What a picture was before it became a square. */
typedef struct mn_picture_facts {
    mn_picture_format format;
    uint32_t height, width;
} mn_picture_facts;

/* As mn_picture_read; *facts is told too, on success. */
mn_status mn_picture_read_facts(const void *bytes, size_t n, uint32_t side, uint32_t channels,
                                bool dark_is_ink, const char *where, uint8_t *out,
                                mn_picture_facts *facts, mn_error *err);

/* Has one of n pixels of red, green and blue a colour? What a camera or JPEG makes of grey has not. */
bool mn_picture_is_coloured(const uint8_t *pixels, size_t n);

/* The shrinking alone: from [height, width, channels], sides up to MN_PICTURE_MAX_SIDE. */
void mn_picture_scale(const uint8_t *from, uint32_t height, uint32_t width, uint32_t channels,
                      uint32_t side, uint8_t *out);
