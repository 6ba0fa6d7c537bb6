#include "worker/data/import/picture_decode.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h> /* before jpeglib.h, which uses it */
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>

/* A progressive picture needs memory for all its coefficients, and each scan passes over all of
 * them. Cameras make ten or so; a file of thousands is made to keep us busy. */
#define MAX_MEMORY_BYTES (256l << 20)
#define MAX_SCANS 100

/* All that is to be given back, out of reach of longjmp. */
struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    uint8_t *rows; /* owned: [height, width, jpeg.output_components] */
    const char *where;
    mn_error *err;
    mn_status status;
};

static void read_all(struct reader *reader, const void *bytes, size_t n);
static void flatten(const struct reader *reader, uint32_t channels, uint8_t *out);
static void give_up(j_common_ptr jpeg) __attribute__((noreturn));
static void on_message(j_common_ptr jpeg, int level);
static void say_nothing(j_common_ptr jpeg);
static void count_scans(j_common_ptr jpeg);

mn_status mn_jpeg_decode(const void *bytes, size_t n, uint32_t channels, const char *where,
                         mn_pixels *out, mn_error *err)
{
    struct reader reader = {.where = where, .err = err};
    uint8_t *pixels = NULL;
    read_all(&reader, bytes, n);
    if (reader.status == MN_OK) {
        size_t n_pixels = (size_t)reader.jpeg.output_width * reader.jpeg.output_height;
        pixels = malloc(n_pixels * channels);
        if (pixels == NULL)
            reader.status = mn_fail(err, MN_ERR_NOMEM, "reading %s", where);
    }
    if (reader.status == MN_OK) {
        flatten(&reader, channels, pixels);
        *out = (mn_pixels){.bytes = pixels,
                           .height = reader.jpeg.output_height,
                           .width = reader.jpeg.output_width};
    }
    jpeg_destroy_decompress(&reader.jpeg);
    free(reader.rows);
    return reader.status;
}

/* libjpeg jumps back here from give_up(); nothing that is used after that is a local variable. */
static void read_all(struct reader *reader, const void *bytes, size_t n)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    jpeg->err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = give_up;
    reader->errors.emit_message = on_message;
    reader->errors.output_message = say_nothing;
    jpeg->client_data = reader;
    if (setjmp(reader->out) != 0)
        return; /* give_up() has said why */
    jpeg_create_decompress(jpeg);
    jpeg->client_data = reader;
    jpeg->mem->max_memory_to_use = MAX_MEMORY_BYTES;
    reader->progress.progress_monitor = count_scans;
    jpeg->progress = &reader->progress;
    jpeg_mem_src(jpeg, bytes, (unsigned long)n);
    (void)jpeg_read_header(jpeg, TRUE);
    reader->status =
        mn_pixels_check(jpeg->image_width, jpeg->image_height, "JPEG", reader->where, reader->err);
    if (reader->status != MN_OK)
        return;

    bool inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    bool grey = jpeg->jpeg_color_space == JCS_GRAYSCALE;
    jpeg->out_color_space = inks ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg->dct_method = JDCT_ISLOW; /* the one that is the same everywhere */
    (void)jpeg_start_decompress(jpeg);
    size_t row_bytes = (size_t)jpeg->output_width * (size_t)jpeg->output_components;
    reader->rows = malloc(row_bytes * jpeg->output_height);
    if (reader->rows == NULL) {
        reader->status = mn_fail(reader->err, MN_ERR_NOMEM, "reading %s", reader->where);
        return;
    }
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = reader->rows + jpeg->output_scanline * row_bytes;
        (void)jpeg_read_scanlines(jpeg, &row, 1);
    }
}

/* Printing inks as light: each takes away its part, and black of all. Adobe's programs, and with
 * them nearly all, write them inverted. */
static void flatten(const struct reader *reader, uint32_t channels, uint8_t *out)
{
    const struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    const unsigned n = (unsigned)jpeg->output_components;
    const uint8_t *from = reader->rows;
    const uint32_t flip = jpeg->saw_Adobe_marker ? 0 : 255;
    for (size_t i = 0; i < (size_t)jpeg->output_height * jpeg->output_width; i++, from += n) {
        uint32_t light[3] = {from[0], from[n < 3 ? 0 : 1], from[n < 3 ? 0 : 2]};
        for (int c = 0; n == 4 && c < 3; c++)
            light[c] = ((light[c] ^ flip) * (from[3] ^ flip) + 127) / 255;
        if (channels == 1)
            *out++ = mn_luma(light[0], light[1], light[2]);
        for (int c = 0; channels == 3 && c < 3; c++)
            *out++ = (uint8_t)light[c];
    }
}

static void give_up(j_common_ptr jpeg)
{
    struct reader *reader = jpeg->client_data;
    char why[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, why);
    if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
        reader->status = mn_fail(reader->err, MN_ERR_NOMEM, "reading %s", reader->where);
    else
        reader->status =
            mn_fail(reader->err, MN_ERR_DATA, "%s is a damaged JPEG: %s", reader->where, why);
    longjmp(reader->out, 1);
}

/* libjpeg only warns of missing pixels and makes them up; here they are damage. Bytes too many and
 * odd headers change nothing. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
    case JWRN_BOGUS_PROGRESSION:
        return;
    default:
        give_up(jpeg);
    }
}

static void say_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void count_scans(j_common_ptr jpeg)
{
    struct reader *reader = jpeg->client_data;
    if (!jpeg->is_decompressor || ((j_decompress_ptr)jpeg)->input_scan_number <= MAX_SCANS)
        return;
    reader->status =
        mn_fail(reader->err, MN_ERR_DATA, "%s is a JPEG of more than %d scans; save it anew",
                reader->where, MAX_SCANS);
    longjmp(reader->out, 1);
}
