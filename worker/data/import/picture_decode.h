/* picture_decode.h: the readers behind picture.c, one for each format. */
#pragma once

#include "common/error.h"
#include <stddef.h>
#include <stdint.h>

typedef struct mn_pixels {
    uint8_t *bytes; /* owned: [height, width, channels]; light, 0 dark .. 255 */
    uint32_t height, width;
} mn_pixels;

/* Decode to 1 (grey) or 3 (colour) channels on white. Sizes are checked before memory is taken:
 * sides up to MN_PICTURE_MAX_SIDE. MN_ERR_DATA: damaged or too large; *out is untouched. */
mn_status mn_png_decode(const void *bytes, size_t n, uint32_t channels, const char *where,
                        mn_pixels *out, mn_error *err);
mn_status mn_jpeg_decode(const void *bytes, size_t n, uint32_t channels, const char *where,
                         mn_pixels *out, mn_error *err);

/* For the readers: sides above the limit are refused. */
mn_status mn_pixels_check(uint32_t width, uint32_t height, const char *format, const char *where,
                          mn_error *err);

/* Luma of a colour in whole numbers, rounded to the nearest; grey stays what it is. */
static inline uint8_t mn_luma(uint32_t red, uint32_t green, uint32_t blue)
{
    return (uint8_t)((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
}
