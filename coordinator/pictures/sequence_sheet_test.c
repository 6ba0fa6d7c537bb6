#include "coordinator/pictures/sequence_sheet.h"

#include "worker/data/import/sample_data.h"
#include "worker/tasks/task_set.h"
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WAY 3u
#define LENGTH 6u
#define BUNDLE 2u
#define ROWS (LENGTH * BUNDLE)

static mn_task_set *set;
static mn_task *task;
static float answers[ROWS * WAY];

/* All answers are right. */
static int set_up(void **state)
{
    static const char yaml[] = "tasks: {kind: sequences, way: 3, length: 6, bundle: 2, "
                               "image_size: 10}\n";
    mn_experiment experiment;
    (void)state;
    mn_experiment_init(&experiment);
    if (mn_experiment_parse(&experiment, "test", yaml, strlen(yaml), NULL) != MN_OK ||
        mn_task_set_open(&experiment, NULL, &set, NULL) != MN_OK ||
        mn_task_new(mn_task_set_fields(set, MN_TEST), &task, NULL) != MN_OK)
        return -1;
    mn_task_set_draw(set, MN_TEST, 0, task);
    memcpy(answers, mn_task_find(task, MN_QUERY, "y"), sizeof answers);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
    return 0;
}

/* Answer a row with the next label. */
static void spoil(uint32_t row)
{
    float *answer = answers + (size_t)row * WAY, kept = answer[WAY - 1];
    memmove(answer + 1, answer, (WAY - 1) * sizeof *answer);
    answer[0] = kept;
}

static char *printed(void)
{
    static char *text; /* GCC takes what open_memstream() puts there for the variable's address */
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    mn_sequence_sheet_print(task, answers, out);
    (void)fclose(out);
    return text;
}

static uint32_t count(const char *text, char what)
{
    uint32_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == what;
    return n;
}

static void each_answer_stands_at_its_label_and_showing(void **state)
{
    (void)state;
    char *text = printed();
    assert_non_null(strstr(text, "      0  0   0 \n      1  1   1 \n      2  2   2 \n"));
    assert_non_null(strstr(text, "       100 100 \n12 of 12 right\n"));
    free(text);
    uint32_t row = 0; /* of the first sequence, the second showing of something */
    while (mn_task_find(task, MN_QUERY, "point")[row] != 1)
        row += BUNDLE;
    spoil(row);
    text = printed();
    const char *table = strchr(text, '\n');
    assert_int_equal(count(table, 'x'), 1);
    assert_non_null(strstr(text, "       100  83 \n11 of 12 right\n"));
    free(text);
    spoil(row);
    spoil(row);
}

static uint32_t red_pixels(const char *path)
{
    static const uint8_t red[3] = {190, 40, 30};
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, path));
    image.format = PNG_FORMAT_RGB;
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
    assert_non_null(pixels);
    assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    uint32_t n = 0;
    for (size_t i = 0; i < PNG_IMAGE_SIZE(image); i += 3)
        n += memcmp(pixels + i, red, 3) == 0;
    free(pixels);
    return n;
}

static void a_wrong_answer_is_framed(void **state)
{
    (void)state;
    assert_int_equal(mn_sequence_sheet_png(task, answers, "right", "right.png", NULL), MN_OK);
    assert_int_equal(red_pixels("right.png"), 0);
    spoil(2 * BUNDLE);
    assert_int_equal(mn_sequence_sheet_png(task, answers, "wrong", "wrong.png", NULL), MN_OK);
    const uint32_t one = red_pixels("wrong.png");
    assert_true(one > 4 * 4 * 100); /* the frame and "said" */
    spoil(4 * BUNDLE);
    assert_int_equal(mn_sequence_sheet_png(task, answers, "wrong", "wrong.png", NULL), MN_OK);
    assert_true(red_pixels("wrong.png") > one + 4 * 4 * 100);
    spoil(4 * BUNDLE + 1); /* of the other sequence, which is not drawn */
    assert_int_equal(mn_sequence_sheet_png(task, NULL, "none", "none.png", NULL), MN_OK);
    assert_int_equal(red_pixels("none.png"), 0);
}

/* Labels 0, 1, 2 as strings of two letters out of three: "ab", "bc", "ca". */
static void labels_may_be_strings_of_letters(void **state)
{
    (void)state;
    const uint32_t bundle = 1, rows = 4, image[3] = {10, 10, 1}, label[3] = {1, 1, 6},
                   number[3] = {1, 1, 1};
    mn_fields fields;
    mn_task *strings = NULL;
    mn_fields_init(&fields, MN_TARGET_CLASSES, 6);
    fields.bundle = bundle;
    fields.points = task->fields.points;
    mn_error err;
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "x", MN_FIELD_NUMBERS, rows, image, &err),
                     MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, rows, label, &err),
                     MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "point", MN_FIELD_IDS, rows, number, &err),
                     MN_OK);
    assert_int_equal(mn_task_new(&fields, &strings, &err), MN_OK);
    static const char names[4][3] = {"ca", "ab", "ca", "ab"};
    float said[4 * 6] = {0};
    for (uint32_t row = 0; row < rows; row++)
        for (uint32_t k = 0; k < 2; k++)
            mn_task_find(strings, MN_QUERY,
                         "y")[row * 6 + k * 3 + (uint32_t)(names[row][k] - 'a')] =
                said[row * 6 + k * 3 + (uint32_t)(names[row][k] - 'a')] = 1;
    mn_task_find(strings, MN_QUERY, "point")[2] = mn_task_find(strings, MN_QUERY, "point")[3] = 1;
    said[3 * 6 + 3] = 2; /* "aa" instead of "ab" */
    assert_true(mn_sequence_sheet_fits(&fields));
    static char *text;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    mn_sequence_sheet_print(strings, said, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "     ab ab  aax\n     ca ca  ca \n"));
    assert_non_null(strstr(text, "100  50 \n3 of 4 right\n"));
    free(text);
    mn_task_destroy(&strings);
}

static void other_tasks_do_not_fit(void **state)
{
    (void)state;
    const uint32_t image[3] = {8, 8, 1};
    mn_fields fields;
    assert_true(mn_sequence_sheet_fits(&task->fields));
    assert_int_equal(mn_fields_few_shot(&fields, 2, 4, image, MN_TARGET_CLASSES, 2, NULL), MN_OK);
    assert_false(mn_sequence_sheet_fits(&fields));
    fields = task->fields;
    fields.points.axis[0] = '\0';
    assert_false(mn_sequence_sheet_fits(&fields));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_stands_at_its_label_and_showing),
        cmocka_unit_test_setup_teardown(a_wrong_answer_is_framed, sample_enter_folder,
                                        sample_leave_folder),
        cmocka_unit_test(labels_may_be_strings_of_letters),
        cmocka_unit_test(other_tasks_do_not_fit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
