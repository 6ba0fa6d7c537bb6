#include "coordinator/pictures/task_sheet.h"

#include "worker/data/import/sample_data.h"
#include "worker/tasks/task_print.h"
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static mn_task *make(uint32_t side, uint32_t channels)
{
    const uint32_t image[3] = {side, side, channels};
    mn_fields fields;
    mn_task *task = NULL;
    assert_int_equal(mn_fields_few_shot(&fields, 2, 4, image, MN_TARGET_CLASSES, 2, NULL), MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, NULL), MN_OK);
    task->n_classes = 2;
    task->classes[0] = 40;
    task->classes[1] = 7;
    for (uint32_t i = 0; i < 2; i++)
        task->at[MN_SUPPORT_Y][2 * i + i] = 1.0f;
    for (uint32_t i = 0; i < 4; i++)
        task->at[MN_QUERY_Y][2 * i + i / 2] = 1.0f;
    return task;
}

/* Read a grey PNG back; *pixels is the caller's. */
static png_image read_png(const char *path, uint8_t **pixels)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, path));
    image.format = PNG_FORMAT_GRAY;
    *pixels = malloc(PNG_IMAGE_SIZE(image));
    assert_non_null(*pixels);
    assert_true(png_image_finish_read(&image, NULL, *pixels, 0, NULL));
    return image;
}

static uint32_t count_black(const char *path)
{
    uint8_t *pixels = NULL;
    png_image image = read_png(path, &pixels);
    uint32_t n = 0;
    for (size_t i = 0; i < PNG_IMAGE_SIZE(image); i++)
        n += pixels[i] == 0;
    free(pixels);
    return n;
}

static void each_pixel_of_ink_is_nine_dark_pixels_on_the_sheet(void **state)
{
    (void)state;
    mn_task *task = make(28, 1);
    mn_error err;
    assert_int_equal(mn_task_sheet_png(task, NULL, NULL, "blank.png", &err), MN_OK);
    uint32_t blank = count_black("blank.png");
    task->at[MN_SUPPORT_X][5] = 1.0f;
    task->at[MN_QUERY_X][3 * 28 * 28 + 100] = 1.0f;
    task->at[MN_QUERY_X][100] = 2.0f; /* what is out of range is shown as its bound */
    assert_int_equal(mn_task_sheet_png(task, NULL, NULL, "ink.png", &err), MN_OK);
    assert_int_equal(count_black("ink.png"), blank + 3 * 9);
    mn_task_destroy(&task);
}

static void a_class_has_a_row_and_an_item_a_column(void **state)
{
    (void)state;
    mn_task *task = make(28, 1);
    for (uint32_t i = 0; i < 28 * 28; i++)
        task->at[MN_QUERY_X][3 * 28 * 28 + i] = 1.0f; /* the second query of the second class */
    mn_error err;
    assert_int_equal(mn_task_sheet_png(task, NULL, NULL, "sheet.png", &err), MN_OK);
    uint8_t *pixels = NULL;
    png_image image = read_png("sheet.png", &pixels);
    uint32_t left = image.width, right = 0, top = image.height, bottom = 0;
    for (uint32_t y = 0; y < image.height; y++)
        for (uint32_t x = 0; x < image.width; x++)
            if (pixels[y * image.width + x] == 0) {
                left = x < left ? x : left;
                right = x > right ? x : right;
                top = y < top ? y : top;
                bottom = y > bottom ? y : bottom;
            }
    assert_int_equal(right - left + 1, 3 * 28);
    assert_int_equal(bottom - top + 1, 3 * 28);
    assert_true(right > image.width - 20 && bottom > image.height - 25); /* last column, last row */
    free(pixels);
    mn_task_destroy(&task);
}

static void colour_is_shown_and_points_are_refused(void **state)
{
    (void)state;
    mn_task *colour = make(6, 3), *points = make(1, 1);
    mn_error err;
    assert_int_equal(mn_task_sheet_png(colour, NULL, NULL, "c.png", &err), MN_OK);
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, "c.png"));
    assert_true(image.format & PNG_FORMAT_FLAG_COLOR);
    png_image_free(&image);
    assert_int_equal(mn_task_sheet_png(points, NULL, NULL, "p.png", &err), MN_ERR_USAGE);
    assert_int_not_equal(access("p.png", F_OK), 0);
    assert_int_equal(mn_task_sheet_png(colour, NULL, NULL, "none/c.png", &err), MN_ERR_NO_INPUT);
    mn_task_destroy(&colour);
    mn_task_destroy(&points);
}

static uint32_t count(const char *path, uint8_t value)
{
    uint8_t *pixels = NULL;
    png_image image = read_png(path, &pixels);
    uint32_t n = 0;
    for (size_t i = 0; i < PNG_IMAGE_SIZE(image); i++)
        n += pixels[i] == value;
    free(pixels);
    return n;
}

static void a_title_is_above_and_a_wrong_answer_has_a_frame(void **state)
{
    (void)state;
    mn_task *task = make(28, 1);
    const float right[] = {1, 0, 2, 1, 0, 1, -2, -1}, wrong[] = {1, 0, 2, 1, 1, 0, -2, -1};
    mn_error err;
    assert_int_equal(mn_task_sheet_png(task, NULL, NULL, "none.png", &err), MN_OK);
    assert_int_equal(mn_task_sheet_png(task, right, NULL, "right.png", &err), MN_OK);
    assert_int_equal(mn_task_sheet_png(task, wrong, NULL, "wrong.png", &err), MN_OK);
    const uint32_t dark = count("none.png", 60);
    assert_int_equal(count("right.png", 60), dark);
    assert_int_equal(count("wrong.png", 60), dark + 4 * 3 * (84 + 3)); /* 84 pixels, 3 thick */
    (void)strcpy(task->title, "run01");
    assert_int_equal(mn_task_sheet_png(task, NULL, NULL, "title.png", &err), MN_OK);
    assert_true(count("title.png", 60) > dark + 5 * 4 * 7);
    mn_task_destroy(&task);
}

static char *print(const mn_task *task)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    mn_task_print(task, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void images_are_printed_as_characters(void **state)
{
    (void)state;
    mn_task *task = make(4, 1);
    for (uint32_t i = 0; i < 4; i++)
        task->at[MN_SUPPORT_X][4 * i + i] = 1.0f; /* a stroke from top left to bottom right */
    char *text = print(task);
    assert_non_null(strstr(text, "4 x 4 x 1"));
    assert_non_null(strstr(text, "0=40 1=7"));
    assert_non_null(strstr(text, "support 0, label 0\n@@  \n  @@\n"));
    assert_non_null(strstr(text, "support 1, label 1\n    \n    \n"));
    free(text);
    mn_task_destroy(&task);
}

static void points_are_printed_as_a_table(void **state)
{
    (void)state;
    const uint32_t number[3] = {1, 1, 1};
    mn_fields fields;
    mn_task *task = NULL;
    assert_int_equal(mn_fields_few_shot(&fields, 1, 2, number, MN_TARGET_VALUES, 1, NULL), MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, NULL), MN_OK);
    task->at[MN_SUPPORT_X][0] = -1.5f;
    task->at[MN_SUPPORT_Y][0] = 2.25f;
    task->at[MN_QUERY_Y][1] = -4.0f;
    char *text = print(task);
    assert_non_null(strstr(text, "      0   -1.5000     2.2500\n"));
    assert_non_null(strstr(text, "      1    0.0000    -4.0000\n"));
    free(text);
    mn_task_destroy(&task);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_pixel_of_ink_is_nine_dark_pixels_on_the_sheet),
        TEST(a_class_has_a_row_and_an_item_a_column),
        TEST(colour_is_shown_and_points_are_refused),
        TEST(a_title_is_above_and_a_wrong_answer_has_a_frame),
        TEST(images_are_printed_as_characters),
        TEST(points_are_printed_as_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
