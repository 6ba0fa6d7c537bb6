#include "worker/data/import/picture.h"

#include "worker/data/import/picture_decode.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Differences of channels that a camera or JPEG makes of grey are smaller. */
#define COLOUR 24

/* How a format is known: by bytes at its beginning, and by the ends of names. */
static const struct kind {
    const char *name;
    mn_picture_format format;
    const char *ends; /* of file names, a blank between */
    unsigned at, n;   /* where the bytes are; 0 bytes: none tell */
    const char *bytes;
} kinds[] = {
    {"PNG", MN_PICTURE_PNG, ".png", 0, 8, "\x89PNG\r\n\x1a\n"},
    {"JPEG", MN_PICTURE_JPEG, ".jpg .jpeg .jpe .jfif", 0, 3, "\xff\xd8\xff"},
    {"GIF", MN_PICTURE_OTHER, ".gif", 0, 4, "GIF8"},
    {"WebP", MN_PICTURE_OTHER, ".webp", 8, 4, "WEBP"},
    {"BMP", MN_PICTURE_OTHER, ".bmp .dib", 0, 2, "BM"},
    {"TIFF", MN_PICTURE_OTHER, ".tif .tiff", 0, 4, "II*\0"},
    {"TIFF", MN_PICTURE_OTHER, "", 0, 4, "MM\0*"},
    {"AVIF", MN_PICTURE_OTHER, ".avif", 4, 8, "ftypavif"},
    {"HEIC", MN_PICTURE_OTHER, ".heic .heif", 4, 7, "ftyphei"},
    {"JPEG 2000", MN_PICTURE_OTHER, ".jp2 .j2k", 4, 4, "jP  "},
    {"SVG", MN_PICTURE_OTHER, ".svg", 0, 4, "<svg"},
    {"PBM, PGM or PPM", MN_PICTURE_OTHER, ".pbm .pgm .ppm .pnm", 0, 0, ""},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static uint32_t overlap(uint32_t pixel, uint32_t pixel_width, uint32_t box, uint32_t box_width);

mn_picture_format mn_picture_format_of(const void *bytes, size_t n, const char **name)
{
    const struct kind *found = NULL;
    for (int i = 0; i < N_KINDS && found == NULL; i++)
        if (kinds[i].n > 0 && kinds[i].at + kinds[i].n <= n &&
            memcmp((const char *)bytes + kinds[i].at, kinds[i].bytes, kinds[i].n) == 0)
            found = &kinds[i];
    if (name != NULL)
        *name = found != NULL ? found->name : NULL;
    return found != NULL ? found->format : MN_PICTURE_OTHER;
}

mn_picture_format mn_picture_format_of_name(const char *file, const char **name)
{
    const struct kind *found = NULL;
    const char *dot = strrchr(file, '.');
    size_t n = dot != NULL && dot > file ? strlen(dot) : 0;
    for (int i = 0; i < N_KINDS && n > 1 && found == NULL; i++)
        for (const char *end = kinds[i].ends; *end != '\0' && found == NULL;) {
            size_t length = strcspn(end, " ");
            if (length == n && strncasecmp(dot, end, n) == 0)
                found = &kinds[i];
            end += length;
            end += *end == ' ';
        }
    if (name != NULL)
        *name = found != NULL ? found->name : NULL;
    return found != NULL ? found->format : MN_PICTURE_OTHER;
}

mn_status mn_picture_read(const void *bytes, size_t n, uint32_t side, uint32_t channels,
                          bool dark_is_ink, const char *where, uint8_t *out, mn_error *err)
{
    mn_picture_facts facts;
    return mn_picture_read_facts(bytes, n, side, channels, dark_is_ink, where, out, &facts, err);
}

mn_status mn_picture_read_facts(const void *bytes, size_t n, uint32_t side, uint32_t channels,
                                bool dark_is_ink, const char *where, uint8_t *out,
                                mn_picture_facts *facts, mn_error *err)
{
    mn_pixels pixels = {0};
    mn_status status = MN_OK;
    const char *name = NULL;
    const mn_picture_format format = mn_picture_format_of(bytes, n, &name);
    switch (format) {
    case MN_PICTURE_PNG:
        status = mn_png_decode(bytes, n, channels, where, &pixels, err);
        break;
    case MN_PICTURE_JPEG:
        status = mn_jpeg_decode(bytes, n, channels, where, &pixels, err);
        break;
    case MN_PICTURE_OTHER:
        return mn_fail(err, MN_ERR_DATA, "%s is %s%s, whatever its name says; expected PNG or JPEG",
                       where, name != NULL ? "a picture of another format, " : "no picture",
                       name != NULL ? name : "");
    }
    if (status != MN_OK)
        return status;
    size_t n_bytes = (size_t)pixels.height * pixels.width * channels;
    if (dark_is_ink)
        for (size_t i = 0; i < n_bytes; i++)
            pixels.bytes[i] = (uint8_t)(255 - pixels.bytes[i]);
    mn_picture_scale(pixels.bytes, pixels.height, pixels.width, channels, side, out);
    free(pixels.bytes);
    *facts = (mn_picture_facts){format, pixels.height, pixels.width};
    return MN_OK;
}

bool mn_picture_is_coloured(const uint8_t *pixels, size_t n)
{
    for (size_t i = 0; i < n; i++, pixels += 3) {
        const uint8_t most = pixels[0] > pixels[1] ? pixels[0] : pixels[1];
        const uint8_t least = pixels[0] < pixels[1] ? pixels[0] : pixels[1];
        if ((most > pixels[2] ? most : pixels[2]) - (least < pixels[2] ? least : pixels[2]) >
            COLOUR)
            return true;
    }
    return false;
}

mn_status mn_pixels_check(uint32_t width, uint32_t height, const char *format, const char *where,
                          mn_error *err)
{
    if (width > MN_PICTURE_MAX_SIDE || height > MN_PICTURE_MAX_SIDE)
        return mn_fail(err, MN_ERR_DATA, "%s is a %s of %ux%u pixels; at most %ux%u are read",
                       where, format, width, height, MN_PICTURE_MAX_SIDE, MN_PICTURE_MAX_SIDE);
    return MN_OK;
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
