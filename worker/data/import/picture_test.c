#include "worker/data/import/picture.h"

#include "worker/data/import/sample_data.h"
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_result_is_the_mean_of_its_box),
        cmocka_unit_test(channels_do_not_mix),
        cmocka_unit_test(a_png_becomes_ink_or_light),
        cmocka_unit_test(a_damaged_png_is_refused_by_its_name),
        cmocka_unit_test(a_png_of_too_many_pixels_is_refused_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
