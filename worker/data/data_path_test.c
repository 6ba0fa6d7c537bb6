#include "worker/data/data_path.h"

#include "common/file.h"
#include "worker/data/import/sample_data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char *find(const char *name, const char *folders, uint32_t image_size)
{
    char *path = NULL;
    mn_error err = {0};
    if (mn_data_path_find(name, folders, image_size, &path, &err) != MN_OK)
        fail_msg("%s", err.message);
    return path;
}

static void assert_found(const char *name, const char *folders, const char *expected)
{
    char *path = find(name, folders, 28);
    assert_string_equal(path, expected);
    free(path);
}

static void folders_are_looked_in_in_order_then_their_omniglot_then_the_cache(void **state)
{
    const char *cache = getenv("MNEMO_CACHE");
    char in_cache[100];
    (void)state;
    assert_int_equal(mn_folder_make("a/omniglot", NULL), MN_OK);
    assert_int_equal(mn_folder_make("b", NULL), MN_OK);
    assert_int_equal(mn_folder_make(cache, NULL), MN_OK);
    (void)snprintf(in_cache, sizeof in_cache, "%s/x.mnd", cache);
    sample_write(in_cache, "x", 1);
    assert_found("x.mnd", "a:b", in_cache);
    sample_write("b/x.mnd", "x", 1);
    assert_found("x.mnd", "a:b", "b/x.mnd");
    sample_write("a/omniglot/x.mnd", "x", 1);
    assert_found("x.mnd", ":a::b:", "a/omniglot/x.mnd");
    sample_write("a/x.mnd", "x", 1);
    assert_found("x.mnd", "a:b", "a/x.mnd");
    assert_int_equal(unlink("a/x.mnd"), 0);
    assert_int_equal(mkdir("a/x.mnd", 0777), 0); /* a folder is no file */
    assert_found("x.mnd", "a:b", "a/omniglot/x.mnd");
}

static void what_is_missing_is_told_with_all_places_and_the_way_to_make_it(void **state)
{
    (void)state;
    char *path = NULL;
    mn_error err;
    assert_int_equal(mn_data_path_find("omniglot28.mnd", "a:b", 28, &path, &err), MN_ERR_NO_INPUT);
    static const char *const expected[] = {
        "no file omniglot28.mnd", "a, a/omniglot, b, b/omniglot, ",
        "mnemo data import omniglot images_background.zip images_evaluation.zip -o omniglot28.mnd"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (strstr(err.message, expected[i]) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.message, expected[i]);
    assert_non_null(strstr(err.message, getenv("MNEMO_CACHE")));
    static const char *const of_one[][2] = {
        {"omniglot-runs105.mnd", "`mnemo data import omniglot-runs all_runs.zip --size 105 -o "},
        {"omniglot-small2-105.mnd", "`mnemo data import omniglot images_background_small2.zip "
                                    "--val-alphabets 0 --size 105 -o "}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mn_data_path_find(of_one[i][0], "a", 105, &path, &err), MN_ERR_NO_INPUT);
        if (strstr(err.message, of_one[i][1]) == NULL)
            fail_msg("%s", err.message);
    }
    assert_int_equal(mn_data_path_find("cats.mnd", "a:b", 28, &path, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "mnemo data import folder"));
    assert_null(path);
}

static void names_with_folders_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "/etc/passwd", "../x.mnd", "a/x.mnd"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = NULL;
        mn_error err;
        assert_int_equal(mn_data_path_find(names[i], ".", 28, &path, &err), MN_ERR_CONFIG);
        assert_null(path);
    }
}

static void archives_alone_are_told_with_the_command_that_packs_them(void **state)
{
    (void)state;
    char *path = NULL, expected[400];
    mn_error err;
    sample_write_omniglot("data/omniglot");
    assert_int_equal(mn_data_path_find("omniglot8.mnd", "data", 8, &path, &err), MN_ERR_NO_INPUT);
    (void)snprintf(expected, sizeof expected,
                   "`mnemo data import omniglot data/omniglot/images_background.zip "
                   "data/omniglot/images_evaluation.zip --size 8 -o %s/omniglot8.mnd`",
                   getenv("MNEMO_CACHE"));
    assert_non_null(strstr(err.message, expected));
    assert_int_equal(mn_folder_make("data/omniglot/splits_vinyals", NULL), MN_OK);
    sample_write("data/omniglot/splits_vinyals/train.txt", "", 0);
    assert_int_equal(mn_data_path_find("omniglot8.mnd", "data", 8, &path, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, " --splits data/omniglot/splits_vinyals --size 8 -o "));
    assert_null(path);
}

static void archives_are_found_for_the_name_of_their_size_only(void **state)
{
    (void)state;
    mn_data_archives archives;
    assert_false(mn_data_path_archives("omniglot8.mnd", "data", 8, &archives));
    sample_write_omniglot("data");
    /* The size that the name says and the size asked for must agree: nothing is made under a wrong
     * name. */
    assert_false(mn_data_path_archives("omniglot28.mnd", "data", 8, &archives));
    assert_false(mn_data_path_archives("cats.mnd", "data", 8, &archives));
    assert_null(archives.zips[0]);
    assert_true(mn_data_path_archives("omniglot8.mnd", "x:data", 8, &archives));
    assert_string_equal(archives.zips[1], "data/images_evaluation.zip");
    assert_string_equal(archives.cache, getenv("MNEMO_CACHE"));
    assert_null(archives.lists);
    mn_data_archives_fini(&archives);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(folders_are_looked_in_in_order_then_their_omniglot_then_the_cache),
        TEST(what_is_missing_is_told_with_all_places_and_the_way_to_make_it),
        TEST(names_with_folders_are_refused),
        TEST(archives_alone_are_told_with_the_command_that_packs_them),
        TEST(archives_are_found_for_the_name_of_their_size_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
