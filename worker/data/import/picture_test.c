#include "worker/data/import/picture.h"

#include "worker/data/import/picture_decode.h"
#include "worker/data/import/sample_data.h"
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h> /* after stdio.h, which it uses */

#include <cmocka.h>

/* The mean over box (u, v) by the definition, in double. */
static double mean_of_box(const uint8_t *from, uint32_t height, uint32_t width, uint32_t side,
                          uint32_t u, uint32_t v)
{
    double x0 = (double)u * width / side, x1 = (double)(u + 1) * width / side;
    double y0 = (double)v * height / side, y1 = (double)(v + 1) * height / side, sum = 0;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            double w = fmin(x1, x + 1.0) - fmax(x0, x), h = fmin(y1, y + 1.0) - fmax(y0, y);
            if (w > 0 && h > 0)
                sum += w * h * from[y * width + x];
        }
    return sum / ((x1 - x0) * (y1 - y0));
}

static void each_result_is_the_mean_of_its_box(void **state)
{
    (void)state;
    static const uint32_t sizes[][3] = {{105, 105, 28}, {105, 105, 20}, {28, 28, 28}, {5, 5, 12},
                                        {31, 17, 8},    {1, 1, 3},      {64, 3, 64}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint32_t height = sizes[s][0], width = sizes[s][1], side = sizes[s][2];
        uint8_t from[105 * 105], out[64 * 64];
        for (uint32_t i = 0; i < height * width; i++)
            from[i] = (uint8_t)(i * 2654435761u >> 24);
        mn_picture_scale(from, height, width, 1, side, out);
        for (uint32_t v = 0; v < side; v++)
            for (uint32_t u = 0; u < side; u++) {
                double mean = mean_of_box(from, height, width, side, u, v);
                assert_true(fabs(out[v * side + u] - mean) < 0.5 + 1e-9);
            }
    }
}

static void channels_do_not_mix(void **state)
{
    (void)state;
    const uint8_t from[2 * 2 * 3] = {10, 0, 200, 30, 0, 200, 10, 0, 200, 30, 0, 200};
    uint8_t out[3];
    mn_picture_scale(from, 2, 2, 3, 1, out);
    assert_int_equal(out[0], 20);
    assert_int_equal(out[1], 0);
    assert_int_equal(out[2], 200);
}

static void a_png_becomes_ink_or_light(void **state)
{
    (void)state;
    size_t n;
    void *png = sample_png(4, 4, &n); /* the left column is black */
    uint8_t ink[4], light[4], colour[12];
    mn_error err;
    assert_int_equal(mn_picture_read(png, n, 2, 1, true, "a.png", ink, &err), MN_OK);
    assert_int_equal(mn_picture_read(png, n, 2, 1, false, "a.png", light, &err), MN_OK);
    assert_int_equal(mn_picture_read(png, n, 2, 3, false, "a.png", colour, &err), MN_OK);
    const uint8_t expected_ink[4] = {128, 0, 128, 0}, expected_light[4] = {128, 255, 128, 255};
    assert_memory_equal(ink, expected_ink, 4);
    assert_memory_equal(light, expected_light, 4);
    for (int i = 0; i < 12; i++)
        assert_int_equal(colour[i], expected_light[i / 3]);
    free(png);
}

static void a_damaged_png_is_refused_by_its_name(void **state)
{
    (void)state;
    size_t n;
    uint8_t *png = sample_png(32, 3, &n), out[64];
    mn_error err;
    for (size_t length = 0; length + 12 < n; length += 5) { /* the last 12 bytes say only "end" */
        assert_int_equal(mn_picture_read(png, length, 8, 1, true, "x.zip: entry y.png", out, &err),
                         MN_ERR_DATA);
        assert_non_null(strstr(err.message, "x.zip: entry y.png"));
    }
    assert_int_equal(mn_picture_read("no picture", 10, 8, 1, true, "y.png", out, &err),
                     MN_ERR_DATA);
    png[n / 2] ^= 0x10;
    assert_int_equal(mn_picture_read(png, n, 8, 1, true, "y.png", out, &err), MN_ERR_DATA);
    free(png);
}

/* 5000 x 5000 white pixels are some kilobytes as a PNG. */
static void a_png_of_too_many_pixels_is_refused_unread(void **state)
{
    (void)state;
    size_t n;
    void *png = sample_png(MN_PICTURE_MAX_SIDE + 1, 1u << 30, &n);
    uint8_t out[64];
    mn_error err;
    assert_int_equal(mn_picture_read(png, n, 8, 1, true, "bomb.png", out, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "4097x4097"));
    free(png);
}

/* A PNG of one row by the full interface of libpng, which leaves nothing to its taste. */
struct png_recipe {
    int bits, type;
    uint32_t width;
    const uint8_t *row;
    double gamma;          /* 0: none said */
    const char *profile;   /* NULL: none */
    const png_color *inks; /* palette of 2, the first transparent; NULL: none */
};

static uint8_t png_file[4096];
static size_t png_size;

static void to_file(png_structp png, png_bytep bytes, size_t n)
{
    (void)png;
    assert_true(png_size + n <= sizeof png_file);
    memcpy(png_file + png_size, bytes, n);
    png_size += n;
}

static void make_png(const struct png_recipe *recipe)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    static const uint8_t clear[] = {0};
    png_size = 0;
    png_set_write_fn(png, NULL, to_file, NULL);
    png_set_IHDR(png, info, recipe->width, 1, recipe->bits, recipe->type, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (recipe->gamma > 0)
        png_set_gAMA(png, info, recipe->gamma);
    if (recipe->inks != NULL) {
        png_set_PLTE(png, info, recipe->inks, 2);
        png_set_tRNS(png, info, clear, 1, NULL);
    }
    png_write_info(png, info);
    if (recipe->profile != NULL)
        png_write_chunk(png, (png_const_bytep) "iCCP", (png_const_bytep)recipe->profile,
                        strlen(recipe->profile));
    png_write_row(png, recipe->row);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

static void mid_grey_stays_mid_grey(void **state)
{
    (void)state;
    static const uint8_t deep[] = {0x80, 0x00}, plain[] = {128}, colour[] = {128, 128, 128};
    const struct png_recipe recipes[] = {
        {16, PNG_COLOR_TYPE_GRAY, 1, deep, 0, NULL, NULL},
        {16, PNG_COLOR_TYPE_GRAY, 1, deep, 1.0, NULL, NULL},
        {8, PNG_COLOR_TYPE_GRAY, 1, plain, 0, NULL, NULL},
        {8, PNG_COLOR_TYPE_GRAY, 1, plain, 1.0, NULL, NULL},
        {8, PNG_COLOR_TYPE_GRAY, 1, plain, 0.1, NULL, NULL},
        {8, PNG_COLOR_TYPE_GRAY, 1, plain, 0, "broken", NULL},
        {8, PNG_COLOR_TYPE_RGB, 1, colour, 1.0, "broken\x01", NULL},
    };
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        uint8_t grey = 0, light[3] = {0};
        mn_error err = {0};
        make_png(&recipes[i]);
        if (mn_picture_read(png_file, png_size, 1, 1, false, "x.png", &grey, &err) != MN_OK ||
            mn_picture_read(png_file, png_size, 1, 3, false, "x.png", light, &err) != MN_OK)
            fail_msg("%s", err.message);
        assert_int_equal(grey, 128);
        for (int c = 0; c < 3; c++)
            assert_int_equal(light[c], 128);
    }
}

static void transparent_is_white_and_grey_is_luma(void **state)
{
    (void)state;
    static const uint8_t rgba[] = {0, 0, 0, 0, 0, 0, 0, 255, 200, 0, 0, 128, 255, 0, 0, 255};
    static const uint8_t expected[] = {255, 255, 255, 0,   0, 0,
                                       227, 127, 127, 255, 0, 0}; /* 200 * 128/255 + 127 */
    static const png_color inks[] = {{0, 0, 0}, {0, 0, 0}};
    static const uint8_t bits[] = {0x40}; /* clear, black */
    uint8_t colour[12] = {0}, grey[16];
    mn_error err;
    make_png(&(struct png_recipe){8, PNG_COLOR_TYPE_RGB_ALPHA, 4, rgba, 0, NULL, NULL});
    mn_pixels pixels = {0};
    assert_int_equal(mn_png_decode(png_file, png_size, 3, "x.png", &pixels, &err), MN_OK);
    assert_int_equal(pixels.width, 4);
    memcpy(colour, pixels.bytes, 12);
    free(pixels.bytes);
    assert_memory_equal(colour, expected, 12);
    assert_int_equal(mn_picture_read(png_file, png_size, 4, 1, false, "x.png", grey, &err), MN_OK);
    assert_int_equal(grey[3], 76); /* 0.299 * 255 */
    make_png(&(struct png_recipe){1, PNG_COLOR_TYPE_PALETTE, 2, bits, 0, NULL, inks});
    assert_int_equal(mn_picture_read(png_file, png_size, 2, 1, false, "x.png", grey, &err), MN_OK);
    assert_int_equal(grey[0], 255);
    assert_int_equal(grey[1], 0);
}

static void a_jpeg_is_read_like_a_png(void **state)
{
    (void)state;
    for (int progressive = 0; progressive < 2; progressive++) {
        size_t n_png, n;
        void *png = sample_png(32, 32, &n_png), *jpeg = sample_jpeg(32, 32, progressive != 0, &n);
        uint8_t wanted[3 * 8 * 8], got[3 * 8 * 8];
        for (uint32_t channels = 1; channels <= 3; channels += 2) {
            assert_int_equal(mn_picture_read(png, n_png, 8, channels, true, "a", wanted, NULL),
                             MN_OK);
            assert_int_equal(mn_picture_read(jpeg, n, 8, channels, true, "b", got, NULL), MN_OK);
            for (uint32_t i = 0; i < 64 * channels; i++)
                assert_true(abs(wanted[i] - got[i]) <= 1);
        }
        free(png);
        free(jpeg);
    }
}

/* One block of one colour, as printing inks too. */
static void *make_jpeg(J_COLOR_SPACE space, int n_components, const uint8_t *colour, size_t *n)
{
    struct jpeg_compress_struct jpeg = {0};
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    uint8_t row[8 * 4];
    for (int i = 0; i < 8 * n_components; i++)
        row[i] = colour[i % n_components];
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = jpeg.image_height = 8;
    jpeg.input_components = n_components;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < 8; y++) {
        JSAMPROW at = row;
        (void)jpeg_write_scanlines(&jpeg, &at, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    *n = size;
    return bytes;
}

static void colours_and_printing_inks_become_light(void **state)
{
    (void)state;
    static const uint8_t orange[] = {250, 128, 10}, inks[] = {255, 128, 0, 204}; /* inverted */
    size_t n;
    uint8_t light[3];
    void *jpeg = make_jpeg(JCS_RGB, 3, orange, &n);
    assert_int_equal(mn_picture_read(jpeg, n, 1, 3, false, "a.jpg", light, NULL), MN_OK);
    for (int c = 0; c < 3; c++)
        assert_true(abs(light[c] - orange[c]) <= 3);
    free(jpeg);
    jpeg = make_jpeg(JCS_CMYK, 4, inks, &n); /* libjpeg marks it as Adobe's */
    assert_int_equal(mn_picture_read(jpeg, n, 1, 3, false, "a.jpg", light, NULL), MN_OK);
    static const uint8_t expected[] = {204, 102, 0};
    for (int c = 0; c < 3; c++)
        assert_true(abs(light[c] - expected[c]) <= 3);
    free(jpeg);
}

static void a_damaged_jpeg_is_refused_by_its_name(void **state)
{
    (void)state;
    for (int progressive = 0; progressive < 2; progressive++) {
        size_t n;
        uint8_t *jpeg = sample_jpeg(32, 5, progressive != 0, &n), out[64];
        mn_error err;
        for (size_t length = 0; length + 4 < n; length += 7) {
            assert_int_equal(mn_picture_read(jpeg, length, 8, 1, true, "y.jpg", out, &err),
                             MN_ERR_DATA);
            assert_non_null(strstr(err.message, "y.jpg"));
        }
        free(jpeg);
    }
}

static void a_jpeg_of_too_many_pixels_or_scans_is_refused(void **state)
{
    (void)state;
    size_t n;
    uint8_t *jpeg = sample_jpeg(16, 5, false, &n), out[64];
    mn_error err;
    uint8_t *frame = memmem(jpeg, n, "\xff\xc0\x00", 3);
    assert_non_null(frame);
    frame[5] = 0xff; /* the height */
    assert_int_equal(mn_picture_read(jpeg, n, 8, 1, true, "bomb.jpg", out, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "16x65296"));
    free(jpeg);

    jpeg = sample_jpeg(16, 5, true, &n);
    uint8_t *scan = memmem(jpeg, n, "\xff\xda", 2);
    assert_non_null(scan);
    uint8_t *next = memmem(scan + 2, n - (size_t)(scan + 2 - jpeg), "\xff\xc4", 2);
    assert_non_null(next);
    size_t head = (size_t)(scan - jpeg), scan_bytes = (size_t)(next - scan);
    uint8_t *many = malloc(head + 1000 * scan_bytes + 2);
    assert_non_null(many);
    memcpy(many, jpeg, head);
    for (size_t i = 0; i < 1000; i++)
        memcpy(many + head + i * scan_bytes, scan, scan_bytes);
    memcpy(many + head + 1000 * scan_bytes, "\xff\xd9", 2);
    assert_int_equal(
        mn_picture_read(many, head + 1000 * scan_bytes + 2, 8, 1, true, "s.jpg", out, &err),
        MN_ERR_DATA);
    if (strstr(err.message, "more than 100 scans") == NULL)
        fail_msg("%s", err.message);
    free(many);
    free(jpeg);
}

static void what_a_file_is_its_bytes_say(void **state)
{
    (void)state;
    const char *name = NULL;
    uint8_t out[1];
    mn_error err;
    assert_int_equal(mn_picture_format_of("RIFF....WEBPVP8 ", 16, &name), MN_PICTURE_OTHER);
    assert_string_equal(name, "WebP");
    assert_int_equal(mn_picture_format_of("GIF89a", 3, &name), MN_PICTURE_OTHER);
    assert_null(name);
    assert_int_equal(mn_picture_format_of_name("a/b.JPeG", &name), MN_PICTURE_JPEG);
    assert_int_equal(mn_picture_format_of_name("b.jp", &name), MN_PICTURE_OTHER);
    assert_null(name);
    assert_int_equal(mn_picture_format_of_name("png", NULL), MN_PICTURE_OTHER);
    assert_int_equal(mn_picture_format_of_name("x.tiff", &name), MN_PICTURE_OTHER);
    assert_string_equal(name, "TIFF");
    assert_int_equal(mn_picture_read("GIF89a.......", 13, 1, 1, false, "a.png", out, &err),
                     MN_ERR_DATA);
    assert_string_equal(err.message, "a.png is a picture of another format, GIF, whatever its name "
                                     "says; expected PNG or JPEG");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_result_is_the_mean_of_its_box),
        cmocka_unit_test(channels_do_not_mix),
        cmocka_unit_test(a_png_becomes_ink_or_light),
        cmocka_unit_test(a_damaged_png_is_refused_by_its_name),
        cmocka_unit_test(a_png_of_too_many_pixels_is_refused_unread),
        cmocka_unit_test(mid_grey_stays_mid_grey),
        cmocka_unit_test(transparent_is_white_and_grey_is_luma),
        cmocka_unit_test(a_jpeg_is_read_like_a_png),
        cmocka_unit_test(colours_and_printing_inks_become_light),
        cmocka_unit_test(a_damaged_jpeg_is_refused_by_its_name),
        cmocka_unit_test(a_jpeg_of_too_many_pixels_or_scans_is_refused),
        cmocka_unit_test(what_a_file_is_its_bytes_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
