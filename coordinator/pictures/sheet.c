#include "coordinator/pictures/sheet.h"

#include "common/file.h"
#include <inttypes.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_ZOOM 2u
#define MAX_BYTES ((size_t)256 << 20)

const uint8_t mn_sheet_dark[3] = {60, 60, 60}, mn_sheet_pale[3] = {215, 215, 215};

/* Letters of 5 x 7 dots and two rows below the line, a row per byte, bit 4 at the left. */
static const uint8_t letters[128][9] = {
    ['0'] = {14, 17, 19, 21, 25, 17, 14},
    ['1'] = {4, 12, 4, 4, 4, 4, 14},
    ['2'] = {14, 17, 1, 2, 4, 8, 31},
    ['3'] = {31, 2, 4, 2, 1, 17, 14},
    ['4'] = {2, 6, 10, 18, 31, 2, 2},
    ['5'] = {31, 16, 30, 1, 1, 17, 14},
    ['6'] = {6, 8, 16, 30, 17, 17, 14},
    ['7'] = {31, 1, 2, 4, 8, 8, 8},
    ['8'] = {14, 17, 17, 14, 17, 17, 14},
    ['9'] = {14, 17, 17, 15, 1, 2, 12},
    ['a'] = {0, 0, 14, 1, 15, 17, 15},
    ['b'] = {16, 16, 22, 25, 17, 17, 30},
    ['c'] = {0, 0, 14, 16, 16, 17, 14},
    ['d'] = {1, 1, 13, 19, 17, 17, 15},
    ['e'] = {0, 0, 14, 17, 31, 16, 14},
    ['f'] = {6, 9, 8, 28, 8, 8, 8},
    ['g'] = {0, 0, 15, 17, 17, 17, 15, 1, 14},
    ['h'] = {16, 16, 22, 25, 17, 17, 17},
    ['i'] = {4, 0, 12, 4, 4, 4, 14},
    ['j'] = {2, 0, 6, 2, 2, 2, 2, 18, 12},
    ['k'] = {16, 16, 18, 20, 24, 20, 18},
    ['l'] = {12, 4, 4, 4, 4, 4, 14},
    ['m'] = {0, 0, 26, 21, 21, 21, 21},
    ['n'] = {0, 0, 22, 25, 17, 17, 17},
    ['o'] = {0, 0, 14, 17, 17, 17, 14},
    ['p'] = {0, 0, 30, 17, 17, 17, 30, 16, 16},
    ['q'] = {0, 0, 15, 17, 17, 17, 15, 1, 1},
    ['r'] = {0, 0, 22, 25, 16, 16, 16},
    ['s'] = {0, 0, 15, 16, 14, 1, 30},
    ['t'] = {8, 8, 28, 8, 8, 9, 6},
    ['u'] = {0, 0, 17, 17, 17, 19, 13},
    ['v'] = {0, 0, 17, 17, 17, 10, 4},
    ['w'] = {0, 0, 17, 17, 21, 21, 10},
    ['x'] = {0, 0, 17, 10, 4, 10, 17},
    ['y'] = {0, 0, 17, 17, 17, 17, 15, 1, 14},
    ['z'] = {0, 0, 31, 2, 4, 8, 31},
    ['-'] = {0, 0, 0, 31, 0, 0, 0},
    ['_'] = {0, 0, 0, 0, 0, 0, 31},
    ['.'] = {0, 0, 0, 0, 0, 12, 12},
    [','] = {0, 0, 0, 0, 0, 12, 12, 4, 8},
    [':'] = {0, 12, 12, 0, 12, 12, 0},
    ['?'] = {14, 17, 1, 2, 4, 0, 4},
    ['\''] = {4, 4, 8, 0, 0, 0, 0},
    ['%'] = {24, 25, 2, 4, 8, 19, 3},
    ['/'] = {0, 1, 2, 4, 8, 16, 0},
    ['('] = {2, 4, 8, 8, 8, 4, 2},
    [')'] = {8, 4, 2, 2, 2, 4, 8},
    ['<'] = {2, 4, 8, 16, 8, 4, 2},
    ['>'] = {8, 4, 2, 1, 2, 4, 8},
    ['='] = {0, 0, 31, 0, 31, 0, 0},
    ['+'] = {0, 4, 4, 31, 4, 4, 0},
};

mn_status mn_sheet_init(mn_sheet *sheet, uint32_t width, uint32_t height, uint32_t channels,
                        mn_error *err)
{
    const size_t n = (size_t)width * height;
    *sheet = (mn_sheet){.width = width, .height = height, .channels = channels};
    if (n > MAX_BYTES / channels)
        return mn_fail(err, MN_ERR_USAGE,
                       "a sheet of %" PRIu32 " x %" PRIu32 " pixels is too large", width, height);
    sheet->pixels = malloc(n * channels);
    if (sheet->pixels == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a sheet of %zu bytes", n * channels);
    memset(sheet->pixels, 255, n * channels);
    return MN_OK;
}

void mn_sheet_fini(mn_sheet *sheet)
{
    free(sheet->pixels);
    sheet->pixels = NULL;
}

void mn_sheet_box(mn_sheet *sheet, uint32_t left, uint32_t top, uint32_t width, uint32_t height,
                  const uint8_t colour[3])
{
    for (uint32_t v = top; v < top + height && v < sheet->height; v++)
        for (uint32_t u = left; u < left + width && u < sheet->width; u++)
            memcpy(&sheet->pixels[((size_t)v * sheet->width + u) * sheet->channels], colour,
                   sheet->channels);
}

void mn_sheet_frame(mn_sheet *sheet, uint32_t left, uint32_t top, uint32_t width, uint32_t height,
                    uint32_t thick, const uint8_t colour[3])
{
    const uint32_t wide = width + 2 * thick;
    mn_sheet_box(sheet, left - thick, top - thick, wide, thick, colour);
    mn_sheet_box(sheet, left - thick, top + height, wide, thick, colour);
    mn_sheet_box(sheet, left - thick, top, thick, height, colour);
    mn_sheet_box(sheet, left + width, top, thick, height, colour);
}

void mn_sheet_image(mn_sheet *sheet, uint32_t left, uint32_t top, uint32_t zoom,
                    const mn_field *shape, const float *x)
{
    mn_sheet_frame(sheet, left, top, shape->width * zoom, shape->height * zoom, 1, mn_sheet_pale);
    for (uint32_t v = 0; v < shape->height; v++)
        for (uint32_t u = 0; u < shape->width; u++) {
            uint8_t colour[3] = {0};
            for (uint32_t c = 0; c < shape->channels; c++) {
                float ink = *x++;
                ink = ink > 0.0f ? ink : 0.0f; /* not a number becomes 0, too */
                ink = ink < 1.0f ? ink : 1.0f;
                colour[c % 3] =
                    (uint8_t)((shape->channels == 1 ? 1.0f - ink : ink) * 255.0f + 0.5f);
            }
            if (shape->channels == 1)
                colour[1] = colour[2] = colour[0];
            mn_sheet_box(sheet, left + u * zoom, top + v * zoom, zoom, zoom, colour);
        }
}

void mn_sheet_text(mn_sheet *sheet, uint32_t left, uint32_t top, const uint8_t colour[3],
                   const char *text)
{
    for (; *text != '\0'; text++, left += MN_SHEET_LETTER) {
        unsigned char code = (unsigned char)*text;
        code = (unsigned char)(code >= 'A' && code <= 'Z' ? code - 'A' + 'a' : code);
        for (uint32_t dot = 0; code < 128 && dot < 45; dot++)
            if (letters[code][dot / 5] >> (4 - dot % 5) & 1)
                mn_sheet_box(sheet, left + dot % 5 * TEXT_ZOOM, top + dot / 5 * TEXT_ZOOM,
                             TEXT_ZOOM, TEXT_ZOOM, colour);
    }
}

mn_status mn_sheet_write(const mn_sheet *sheet, const char *path, mn_error *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = sheet->width,
                       .height = sheet->height,
                       .format = sheet->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    png_alloc_size_t n = PNG_IMAGE_PNG_SIZE_MAX(image);
    void *bytes = malloc(n);
    if (bytes == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "writing %s", path);
    mn_status status = MN_OK;
    if (!png_image_write_to_memory(&image, bytes, &n, 0, sheet->pixels, 0, NULL))
        status = mn_fail(err, MN_ERR_INTERNAL, "cannot make the PNG %s: %s", path, image.message);
    else
        status = mn_file_write(path, bytes, n, err);
    free(bytes);
    return status;
}
