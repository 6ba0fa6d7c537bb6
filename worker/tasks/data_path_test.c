#include "worker/tasks/data_path.h"

#include "common/digest.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/tasks/image_pack.h"
#include "worker/tasks/sample_data.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static mn_digest digest_of(const char *path)
{
    mn_image_pack *pack = NULL;
    mn_error err = {0};
    if (mn_image_pack_open(path, &pack, &err) != MN_OK)
        fail_msg("%s", err.message);
    mn_digest digest = mn_image_pack_digest(pack);
    mn_image_pack_destroy(&pack);
    return digest;
}

static void archives_are_imported_once_into_the_cache(void **state)
{
    (void)state;
    char *path = NULL;
    mn_error err;
    sample_write_omniglot("data/omniglot");
    /* The size that the name says and the size asked for must agree: nothing is made under a wrong
     * name. */
    assert_int_equal(mn_data_path_find("omniglot28.mnd", "data", 8, &path, &err), MN_ERR_NO_INPUT);
    path = find("omniglot8.mnd", "data", 8);
    char expected[100];
    (void)snprintf(expected, sizeof expected, "%s/omniglot8.mnd", getenv("MNEMO_CACHE"));
    assert_string_equal(path, expected);
    mn_digest first = digest_of(path);
    free(path);

    assert_int_equal(unlink("data/omniglot/images_background.zip"), 0); /* no need of it any more */
    path = find("omniglot8.mnd", "data", 8);
    mn_digest second = digest_of(path);
    assert_memory_equal(&first, &second, sizeof first);
    free(path);
}

static void lists_beside_the_archives_make_the_splits(void **state)
{
    (void)state;
    sample_write_omniglot("data");
    assert_int_equal(mn_folder_make("data/splits_vinyals", NULL), MN_OK);
    sample_write("data/splits_vinyals/train.txt", "Ddd/character01/rot000\n", 23);
    sample_write("data/splits_vinyals/val.txt", "Aaa/character02/rot090\n", 23);
    sample_write("data/splits_vinyals/test.txt", "Bbb/character03/rot000\n", 23);
    char *path = find("omniglot8.mnd", "data", 8);
    mn_image_pack *pack = NULL;
    assert_int_equal(mn_image_pack_open(path, &pack, NULL), MN_OK);
    const mn_pack_index *index = mn_image_pack_index(pack);
    assert_int_equal(index->n_entries[MN_TRAIN], 1);
    assert_int_equal(index->entries[MN_TRAIN][0].class_number, 9);
    assert_int_equal(index->entries[MN_VAL][0].quarter_turns, 1);
    mn_image_pack_destroy(&pack);
    free(path);
}

/* The children wait at a pipe, so that they start together. */
static void processes_that_import_at_the_same_time_all_succeed(void **state)
{
    (void)state;
    enum { PROCESSES = 4 };
    int gate[2];
    sample_write_omniglot("data");
    assert_int_equal(pipe(gate), 0);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            char byte, *path = NULL;
            mn_image_pack *pack = NULL;
            (void)close(gate[1]);
            (void)!read(gate[0], &byte, 1);
            mn_status status = mn_data_path_find("omniglot8.mnd", "data", 8, &path, NULL);
            if (status == MN_OK)
                status = mn_image_pack_open(path, &pack, NULL);
            mn_image_pack_destroy(&pack);
            free(path);
            _exit(status == MN_OK ? 0 : 1);
        }
    }
    (void)close(gate[0]);
    (void)close(gate[1]);
    for (int i = 0; i < PROCESSES; i++) {
        int how = -1;
        assert_int_equal(waitpid(children[i], &how, 0), children[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    int n_files = 0; /* the packed file alone: no temporary is left */
    DIR *cache = opendir(getenv("MNEMO_CACHE"));
    assert_non_null(cache);
    for (const struct dirent *entry; (entry = readdir(cache)) != NULL;)
        n_files += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(cache);
    assert_int_equal(n_files, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    mn_log_init(MN_LOG_WARN, "test");
    const struct CMUnitTest tests[] = {
        TEST(folders_are_looked_in_in_order_then_their_omniglot_then_the_cache),
        TEST(what_is_missing_is_told_with_all_places_and_the_way_to_make_it),
        TEST(names_with_folders_are_refused),
        TEST(archives_are_imported_once_into_the_cache),
        TEST(lists_beside_the_archives_make_the_splits),
        TEST(processes_that_import_at_the_same_time_all_succeed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
