#include "worker/data/import/picture.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

static uint32_t overlap(uint32_t pixel, uint32_t pixel_width, uint32_t box, uint32_t box_width);

mn_status mn_picture_read(const void *png, size_t n, uint32_t side, uint32_t channels,
                          bool dark_is_ink, const char *where, uint8_t *out, mn_error *err)
{
    uint8_t *pixels = NULL;
    mn_status status = MN_OK;
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_memory(&image, png, n)) {
        status = mn_fail(err, MN_ERR_DATA, "%s is not a good PNG: %s", where, image.message);
        goto done;
    }
    if (image.width > MN_PICTURE_MAX_SIDE || image.height > MN_PICTURE_MAX_SIDE) {
        status =
            mn_fail(err, MN_ERR_DATA, "%s is a PNG of %ux%u pixels; at most %ux%u are read", where,
                    image.width, image.height, MN_PICTURE_MAX_SIDE, MN_PICTURE_MAX_SIDE);
        goto done;
    }
    image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    size_t n_pixels = PNG_IMAGE_SIZE(image);
    pixels = malloc(n_pixels);
    if (pixels == NULL) {
        status = mn_fail(err, MN_ERR_NOMEM, "reading %s", where);
        goto done;
    }
    static const png_color white = {255, 255, 255};
    if (!png_image_finish_read(&image, &white, pixels, 0, NULL)) {
        status = mn_fail(err, MN_ERR_DATA, "%s is a damaged PNG: %s", where, image.message);
        goto done;
    }
    if (dark_is_ink)
        for (size_t i = 0; i < n_pixels; i++)
            pixels[i] = (uint8_t)(255 - pixels[i]);
    mn_picture_scale(pixels, image.height, image.width, channels, side, out);

done:
    png_image_free(&image);
    free(pixels);
    return status;
}

/* In units of which a pixel is `side` wide and a box `width` wide, all overlaps are whole numbers,
 * and a box has width * height units of area. The sum is below 2^8 * 2^12 * 2^12 * side^2, far from
 * overflow. */
void mn_picture_scale(const uint8_t *from, uint32_t height, uint32_t width, uint32_t channels,
                      uint32_t side, uint8_t *out)
{
    const uint64_t area = (uint64_t)width * height;
    for (uint32_t v = 0; v < side; v++)
        for (uint32_t u = 0; u < side; u++)
            for (uint32_t c = 0; c < channels; c++) {
                uint64_t sum = 0;
                for (uint32_t y = v * height / side; y * side < (v + 1) * height; y++)
                    for (uint32_t x = u * width / side; x * side < (u + 1) * width; x++)
                        sum += (uint64_t)from[((size_t)y * width + x) * channels + c] *
                               overlap(x, side, u, width) * overlap(y, side, v, height);
                *out++ = (uint8_t)((2 * sum + area) / (2 * area));
            }
}

static uint32_t overlap(uint32_t pixel, uint32_t pixel_width, uint32_t box, uint32_t box_width)
{
    uint32_t pixel_end = (pixel + 1) * pixel_width, box_end = (box + 1) * box_width;
    uint32_t begin = pixel * pixel_width > box * box_width ? pixel * pixel_width : box * box_width;
    uint32_t end = pixel_end < box_end ? pixel_end : box_end;
    return end - begin;
}
