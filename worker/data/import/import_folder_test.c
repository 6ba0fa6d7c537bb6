#include "worker/data/import/data_import.h"

#include "common/file.h"
#include "worker/data/image_pack.h"
#include "worker/data/import/sample_data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static mn_import_report report;
static char *told; /* the description; owned */

static mn_import_options plain_options(void)
{
    return (mn_import_options){.image_size = 4, .channels = 1, .shares = {0.5, 0, 0.5}, .seed = 1};
}

static mn_status import(const char *path, mn_import_options options, mn_error *err)
{
    size_t n = 0;
    free(told);
    told = NULL;
    options.describe = open_memstream(&told, &n);
    assert_non_null(options.describe);
    mn_status status = mn_import_folder(path, &options, "out.mnd", NULL, &report, err);
    assert_int_equal(fclose(options.describe), 0);
    return status;
}

static void assert_told(const char *path, mn_import_options options, const char *words)
{
    mn_error err = {0};
    if (import(path, options, &err) != MN_OK)
        fail_msg("%s", err.message);
    if (strstr(told, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", told, words);
}

/* Class of pictures with these periods in f. */
static void write_class(const char *name, const uint32_t *periods)
{
    char path[96];
    (void)snprintf(path, sizeof path, "f/%s", name);
    assert_int_equal(mn_folder_make(path, NULL), MN_OK);
    for (int i = 0; periods[i] != 0; i++) {
        size_t n;
        void *png = sample_png(8, periods[i], &n);
        (void)snprintf(path, sizeof path, "f/%s/%d.png", name, i);
        sample_write(path, png, n);
        free(png);
    }
}

static void pictures_that_are_there_twice_are_told_by_what_they_spoil(void **state)
{
    (void)state;
    mn_import_options options = plain_options();
    options.image_size = 8;
    write_class("train/a", (const uint32_t[]){3, 5, 3, 0});
    write_class("train/b", (const uint32_t[]){7, 5, 0});
    assert_told("f", options,
                "1  pictures that another class has too (all/a/1.png and all/b/1.png)");
    assert_non_null(strstr(told, "1  pictures that are twice in their class"));
    assert_null(strstr(told, "another split"));
    write_class("test/c", (const uint32_t[]){7, 11, 0});
    assert_told("f", options, "1  pictures that another split has too, in another class");
    assert_non_null(strstr(told, "(all/b/0.png and all/c/0.png)"));
}

static void few_pictures_of_a_class_are_told(void **state)
{
    (void)state;
    write_class("a", (const uint32_t[]){3, 5, 7, 9, 11, 13, 0});
    write_class("b", (const uint32_t[]){15, 17, 0});
    assert_told("f", plain_options(),
                "classes: 2 in 1 group; pictures of one: 2 at least, 6 in the median, 6 at most");
    assert_non_null(strstr(told, "1  classes of fewer than 6 pictures"));
    assert_non_null(strstr(told, "(all/b)"));
}

static void pictures_that_look_inverted_are_told(void **state)
{
    (void)state;
    mn_import_options options = plain_options();
    static const uint32_t most[] = {3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 0};
    write_class("a", most);
    assert_told("f", options, "if they are drawings, --ink makes it 0");
    options.dark_is_ink = true;
    assert_told("f", options, "classes:");
    assert_null(strstr(told, "rim"));
    write_class("b", (const uint32_t[]){1, 0}); /* all ink */
    assert_told("f", options, "1  pictures that are light at the rim: nearly all others are dark");
}

static void sizes_that_no_task_takes_are_told(void **state)
{
    (void)state;
    mn_import_options options = plain_options();
    write_class("a", (const uint32_t[]){3, 5, 0});
    assert_told("f", options, "sizes: 8x8 pixels, packed as 4x4 grey");
    assert_null(strstr(told, "tasks take images"));
    options.image_size = 257;
    assert_told("f", options, "tasks take images of 4 to 256 pixels a side: see --size");
    assert_non_null(strstr(told, "2  pictures smaller than what is packed"));
}

static void a_dry_run_tells_the_same_and_writes_nothing(void **state)
{
    (void)state;
    mn_import_options options = plain_options();
    mn_error err = {0};
    write_class("a", (const uint32_t[]){3, 5, 0});
    assert_int_equal(import("f", options, &err), MN_OK);
    char *before = strdup(told);
    assert_int_equal(unlink("out.mnd"), 0);
    options.dry_run = true;
    assert_int_equal(import("f", options, &err), MN_OK);
    assert_string_equal(before, told);
    assert_int_not_equal(access("out.mnd", F_OK), 0);
    free(before);
}

/* An archive of the entry names, each but those that end with "!" the same picture; these "x". */
static void write_zip(const char *const *names)
{
    static char good[32][96];
    sample_entry entries[33] = {{NULL, NULL, 0}};
    size_t n;
    void *png = sample_png(8, 3, &n);
    for (int i = 0; names[i] != NULL; i++) {
        const size_t length = strlen(names[i]);
        const bool other = names[i][length - 1] == '!';
        (void)snprintf(good[i], sizeof good[i], "%.*s", (int)(length - other), names[i]);
        entries[i] = (sample_entry){good[i], other ? "x" : png, other ? 1 : n};
    }
    sample_write_zip("a.zip", entries);
    free(png);
}

static const mn_pack_index *index_of(mn_image_pack **pack)
{
    mn_error err = {0};
    if (mn_image_pack_open("out.mnd", pack, &err) != MN_OK)
        fail_msg("%s", err.message);
    return mn_image_pack_index(*pack);
}

static void folders_above_all_of_an_archive_are_passed_over(void **state)
{
    (void)state;
    static const struct {
        const char *names[4];
        const char *group, *class;
        uint32_t n_groups, n_classes, n_test;
    } cases[] = {
        {{"a/1.png", "b/1.png", NULL}, "all", "a", 1, 2, 1},
        {{"top/a/1.png", "top/b/1.png", NULL}, "all", "a", 1, 2, 1},
        {{"x/y/z/a/1.png", "x/y/z/b/1.png", NULL}, "all", "a", 1, 2, 1},
        {{"top/g/a/1.png", "top/h/b/1.png", NULL}, "g", "a", 2, 2, 1},
        {{"top\\a\\1.png", "top\\b\\1.png", NULL}, "all", "a", 1, 2, 1},
        {{"./a/1.png", "/b/1.png", NULL}, "all", "a", 1, 2, 1},
        {{"d/train/a/1.png", "d/test/b/1.png", NULL}, "all", "a", 2, 2, 1},
        {{"train/g/a/1.png", "train/g/b/1.png", NULL}, "g", "a", 1, 2, 0},
        {{"x/p/q/a/1.png", "x/b/1.png", NULL}, "all", "b", 2, 2, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_image_pack *pack = NULL;
        mn_error err = {0};
        write_zip(cases[i].names);
        if (import("a.zip", plain_options(), &err) != MN_OK)
            fail_msg("case %zu: %s", i, err.message);
        const mn_pack_index *index = index_of(&pack);
        assert_string_equal(index->groups[index->classes[0].group], cases[i].group);
        assert_string_equal(index->classes[0].name, cases[i].class);
        assert_int_equal(index->n_groups, cases[i].n_groups);
        assert_int_equal(index->n_classes, cases[i].n_classes);
        assert_int_equal(index->n_entries[MN_TEST], cases[i].n_test);
        mn_image_pack_destroy(&pack);
    }
}

static void what_an_archive_has_beside_pictures_is_counted(void **state)
{
    (void)state;
    static const char *const names[] = {"d/a/1.png",
                                        "d/b/1.png",
                                        "__MACOSX/d/a/._1.png!",
                                        "d/a/._1.png!",
                                        "d/a/@eaDir/1.png",
                                        "d/Thumbs.db!",
                                        "d/more.zip!",
                                        "d/more.tar.gz!",
                                        "../out.png",
                                        "d/../../out.png",
                                        "d/a/1.gif!",
                                        "d/notes.txt!",
                                        NULL};
    mn_error err = {0};
    mn_import_options options = plain_options();
    write_zip(names);
    assert_told("a.zip", options, "4  hidden and system files (first: a.zip: entry __MACOSX/");
    static const char *const lines[] = {
        "2  archives in an archive: unpack it", "2  names that lead out of the archive",
        "1  GIF: turn them into PNG", "1  files that are no pictures by their names"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strstr(told, lines[i]) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", told, lines[i]);
    static const char *const damaged[] = {"a/1.png", "a/2.png!", "b/1.png", NULL};
    write_zip(damaged);
    assert_int_equal(import("a.zip", options, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "a.zip: entry a/2.png is no picture"));
    options.skip_damaged = true;
    assert_told("a.zip", options, "left: a.zip: entry a/2.png is no picture");
    static const char *const deep[] = {"1/2/3/4/5/6/7/8/9/10/11/1.png", NULL};
    write_zip(deep);
    assert_int_equal(import("a.zip", options, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "is in more than 9 folders"));
    static const char *const loose[] = {"1.png", "2.png", NULL};
    write_zip(loose);
    assert_int_equal(import("a.zip", options, &err), MN_ERR_DATA);
    assert_string_equal(report.left[0].what, "pictures in no class");
}

static int set_up(void **state)
{
    report = (mn_import_report){0};
    return sample_enter_folder(state);
}

static int tear_down(void **state)
{
    free(told);
    told = NULL;
    return sample_leave_folder(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pictures_that_are_there_twice_are_told_by_what_they_spoil),
        TEST(few_pictures_of_a_class_are_told),
        TEST(pictures_that_look_inverted_are_told),
        TEST(sizes_that_no_task_takes_are_told),
        TEST(a_dry_run_tells_the_same_and_writes_nothing),
        TEST(folders_above_all_of_an_archive_are_passed_over),
        TEST(what_an_archive_has_beside_pictures_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
