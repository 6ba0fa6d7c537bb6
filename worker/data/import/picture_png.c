#include "worker/data/import/picture_decode.h"

#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CHUNK_BYTES (1u << 20) /* of what is not pixels: texts, profiles */
#define MAX_CHUNKS 100

/* All that is to be given back, out of reach of longjmp. */
struct reader {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t n, used;
    uint8_t *rgba;   /* owned: [height, width, 4] */
    png_bytepp rows; /* owned: into rgba */
    uint32_t height, width;
    const char *where;
    mn_error *err;
    mn_status status;
};

static void read_all(struct reader *reader);
static void give_bytes(png_structp png, png_bytep out, size_t n);
static void give_up(png_structp png, png_const_charp why) __attribute__((noreturn));
static void pass_over(png_structp png, png_const_charp why);
static void flatten(const struct reader *reader, uint32_t channels, uint8_t *out);

mn_status mn_png_decode(const void *bytes, size_t n, uint32_t channels, const char *where,
                        mn_pixels *out, mn_error *err)
{
    struct reader reader = {.bytes = bytes, .n = n, .where = where, .err = err};
    read_all(&reader);
    if (reader.status == MN_OK) {
        flatten(&reader, channels, reader.rgba); /* each pixel before the next is read */
        *out = (mn_pixels){.bytes = reader.rgba, .height = reader.height, .width = reader.width};
        reader.rgba = NULL;
    }
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    free(reader.rgba);
    free((void *)reader.rows);
    return reader.status;
}

/* libpng jumps back here from give_up(); nothing that is used after that is a local variable. */
static void read_all(struct reader *reader)
{
    reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, give_up, pass_over);
    if (reader->png != NULL)
        reader->info = png_create_info_struct(reader->png);
    if (reader->info == NULL) {
        reader->status = mn_fail(reader->err, MN_ERR_NOMEM, "reading %s", reader->where);
        return;
    }
    if (setjmp(png_jmpbuf(reader->png)) != 0)
        return; /* give_up() has said why */
    png_set_chunk_malloc_max(reader->png, MAX_CHUNK_BYTES);
    png_set_chunk_cache_max(reader->png, MAX_CHUNKS);
    png_set_user_limits(reader->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* ours say which size */
    png_set_read_fn(reader->png, reader, give_bytes);
    png_read_info(reader->png, reader->info);
    reader->width = png_get_image_width(reader->png, reader->info);
    reader->height = png_get_image_height(reader->png, reader->info);
    reader->status =
        mn_pixels_check(reader->width, reader->height, "PNG", reader->where, reader->err);
    if (reader->status != MN_OK)
        return;

    png_set_expand(reader->png); /* palettes, few bits and tRNS to 8 bits a channel and alpha */
    png_set_scale_16(reader->png);
    png_set_gray_to_rgb(reader->png);
    png_set_add_alpha(reader->png, 0xff, PNG_FILLER_AFTER);
    (void)png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
    size_t row_bytes = (size_t)reader->width * 4;
    if (png_get_rowbytes(reader->png, reader->info) != row_bytes)
        png_error(reader->png, "an unusual kind of pixels");
    reader->rgba = malloc(row_bytes * reader->height);
    reader->rows = calloc(reader->height, sizeof *reader->rows);
    if (reader->rgba == NULL || reader->rows == NULL) {
        reader->status = mn_fail(reader->err, MN_ERR_NOMEM, "reading %s", reader->where);
        return;
    }
    for (uint32_t y = 0; y < reader->height; y++)
        reader->rows[y] = reader->rgba + y * row_bytes;
    png_read_image(reader->png, reader->rows);
}

static void give_bytes(png_structp png, png_bytep out, size_t n)
{
    struct reader *reader = png_get_io_ptr(png);
    if (n > reader->n - reader->used)
        png_error(png, "it ends too early");
    memcpy(out, reader->bytes + reader->used, n);
    reader->used += n;
}

static void give_up(png_structp png, png_const_charp why)
{
    struct reader *reader = png_get_error_ptr(png);
    reader->status =
        mn_fail(reader->err, MN_ERR_DATA, "%s is a damaged PNG: %s", reader->where, why);
    png_longjmp(png, 1);
}

/* Of what libpng only warns, as of a broken colour profile, no pixel depends. */
static void pass_over(png_structp png, png_const_charp why)
{
    (void)png;
    (void)why;
}

static uint8_t over_white(uint32_t value, uint32_t alpha)
{
    return (uint8_t)((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

static void flatten(const struct reader *reader, uint32_t channels, uint8_t *out)
{
    const uint8_t *from = reader->rgba;
    for (size_t i = 0; i < (size_t)reader->height * reader->width; i++, from += 4) {
        uint8_t red = over_white(from[0], from[3]), green = over_white(from[1], from[3]),
                blue = over_white(from[2], from[3]);
        if (channels == 1) {
            *out++ = mn_luma(red, green, blue);
        } else {
            *out++ = red;
            *out++ = green;
            *out++ = blue;
        }
    }
}
