#include "worker/data/import/picture_folder.h"

#include "worker/data/import/sample_data.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const mn_picture_form grey = {.side = 4, .channels = 1};

static void put(const char *path, uint32_t period)
{
    size_t n = 0;
    void *png = sample_png(8, period, &n);
    sample_write(path, png, n);
    free(png);
}

/* dogs: two PNGs and a JPEG; cats: one PNG, and what is no picture. */
static void make_folder(void)
{
    size_t n = 0;
    void *jpeg = sample_jpeg(8, 3, false, &n);
    assert_int_equal(mkdir("own", 0777), 0);
    assert_int_equal(mkdir("own/dogs", 0777), 0);
    assert_int_equal(mkdir("own/cats", 0777), 0);
    assert_int_equal(mkdir("own/__MACOSX", 0777), 0);
    put("own/dogs/b.png", 2);
    put("own/dogs/a.png", 4);
    sample_write("own/dogs/c.jpg", jpeg, n);
    put("own/cats/a.png", 5);
    sample_write("own/cats/Thumbs.db", "x", 1);
    sample_write("own/cats/notes.txt", "x", 1);
    sample_write("own/cats/moving.gif", "GIF89a", 6);
    free(jpeg);
}

static void classes_are_folders_and_come_by_name(void **state)
{
    (void)state;
    mn_import_report report = {0};
    mn_picture_folder pictures;
    mn_error err = {.message = ""};
    make_folder();
    if (mn_picture_folder_read("own", false, &grey, &report, &pictures, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(pictures.n_classes, 2);
    assert_string_equal(pictures.classes[0], "cats");
    assert_string_equal(pictures.classes[1], "dogs");
    assert_int_equal(pictures.n, 4);
    assert_string_equal(pictures.names[0], "cats/a.png");
    assert_string_equal(pictures.names[3], "dogs/c.jpg");
    static const uint32_t labels[] = {0, 1, 1, 1};
    assert_memory_equal(pictures.labels, labels, sizeof labels);
    assert_int_equal(report.n_reasons,
                     2); /* the GIF, and the text; what systems leave is no news */
    assert_int_equal(pictures.n_coloured, 0);
    double sum = 0;
    for (size_t i = 0; i < (size_t)4 * 16; i++) {
        assert_true(pictures.x[i] >= 0 && pictures.x[i] <= 1);
        sum += (double)pictures.x[i];
    }
    assert_true(pictures.mean > 0.4 && pictures.mean < 1);
    assert_true(sum / 64 - pictures.mean < 1e-9 && pictures.mean - sum / 64 < 1e-9);
    mn_picture_folder_fini(&pictures);
}

static void ink_is_the_negative(void **state)
{
    (void)state;
    mn_import_report report = {0};
    mn_picture_folder light, ink;
    const mn_picture_form dark = {.side = 4, .channels = 3, .dark_is_ink = true};
    make_folder();
    assert_int_equal(mn_picture_folder_read("own", false, &grey, &report, &light, NULL), MN_OK);
    assert_int_equal(mn_picture_folder_read("own", false, &dark, &report, &ink, NULL), MN_OK);
    for (size_t i = 0; i < 64; i++)
        for (size_t c = 0; c < 3; c++)
            assert_true(fabsf(light.x[i] + ink.x[3 * i + c] - 1) < 1.5f / 255);
    mn_picture_folder_fini(&light);
    mn_picture_folder_fini(&ink);
}

static void pictures_to_be_judged_may_lie_in_no_class(void **state)
{
    (void)state;
    mn_import_report report = {0};
    mn_picture_folder pictures;
    make_folder();
    assert_int_equal(mn_picture_folder_read("own/dogs", true, &grey, &report, &pictures, NULL),
                     MN_OK);
    assert_int_equal(pictures.n, 3);
    assert_int_equal(pictures.n_classes, 0);
    assert_string_equal(pictures.names[0], "a.png");
    assert_true(pictures.labels[2] == MN_NO_CLASS);
    mn_picture_folder_fini(&pictures);
    assert_int_equal(
        mn_picture_folder_read("own/dogs/b.png", true, &grey, &report, &pictures, NULL), MN_OK);
    assert_int_equal(pictures.n, 1);
    mn_picture_folder_fini(&pictures);
}

static void refuse(const char *path, bool flat, mn_status status, const char *why)
{
    mn_import_report report = {0};
    mn_picture_folder pictures;
    mn_error err = {.message = ""};
    assert_int_equal(mn_picture_folder_read(path, flat, &grey, &report, &pictures, &err), status);
    assert_null(pictures.x);
    assert_int_equal(pictures.n, 0);
    if (strstr(err.message, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void what_is_no_such_folder_is_told(void **state)
{
    (void)state;
    make_folder();
    refuse("nowhere", true, MN_ERR_NO_INPUT, "nowhere: expected a folder of pictures");
    refuse("own/dogs", false, MN_ERR_DATA, "own/dogs/a.png is in no class");
    refuse("own/dogs/a.png", false, MN_ERR_DATA, "is a file: expected a folder with a folder for");
    assert_int_equal(mkdir("own/void", 0777), 0);
    refuse("own", false, MN_ERR_DATA, "class void has no PNG or JPEG picture");
    assert_int_equal(mkdir("own/void/within", 0777), 0);
    refuse("own", false, MN_ERR_DATA, "own/void/within is a folder within a class");
    assert_int_equal(mkdir("empty", 0777), 0);
    refuse("empty", true, MN_ERR_DATA, "empty has no PNG or JPEG picture in it");
    put("own/dogs/../loose.png", 3);
    refuse("own", true, MN_ERR_DATA, "own/void/within");
}

static void pictures_beside_classes_and_torn_ones_are_refused(void **state)
{
    (void)state;
    size_t n = 0;
    make_folder();
    put("own/loose.png", 3);
    refuse("own", true, MN_ERR_DATA, "own has 1 pictures beside its folders");
    void *png = sample_png(8, 3, &n);
    sample_write("own/dogs/b.png", png, n / 2);
    free(png);
    refuse("own/dogs", true, MN_ERR_DATA, "own/dogs/b.png");
    sample_write("own/dogs/b.png", "", 0);
    refuse("own/dogs", true, MN_ERR_DATA, "own/dogs/b.png");
}

int main(void)
{
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, sample_enter_folder, sample_leave_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(classes_are_folders_and_come_by_name),
        IN_FOLDER(ink_is_the_negative),
        IN_FOLDER(pictures_to_be_judged_may_lie_in_no_class),
        IN_FOLDER(what_is_no_such_folder_is_told),
        IN_FOLDER(pictures_beside_classes_and_torn_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
