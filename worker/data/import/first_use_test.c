#include "worker/data/import/first_use.h"

#include "common/digest.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/data/data_path.h"
#include "worker/data/image_pack.h"
#include "worker/data/import/sample_data.h"
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static mn_experiment wants(void)
{
    mn_experiment experiment;
    mn_experiment_init(&experiment);
    experiment.tasks.kind = MN_TASKS_IMAGES;
    experiment.tasks.image_size = 8;
    (void)strcpy(experiment.tasks.data, "omniglot8.mnd");
    (void)strcpy(experiment.run.data_path, "data");
    return experiment;
}

static char *pack_and_find(void)
{
    const mn_experiment experiment = wants();
    char *path = NULL;
    mn_error err = {0};
    if (mn_first_use_pack(&experiment, &err) != MN_OK ||
        mn_data_path_find("omniglot8.mnd", "data", 8, &path, &err) != MN_OK)
        fail_msg("%s", err.message);
    return path;
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
    sample_write_omniglot("data/omniglot");
    char *path = pack_and_find();
    char expected[100];
    (void)snprintf(expected, sizeof expected, "%s/omniglot8.mnd", getenv("MNEMO_CACHE"));
    assert_string_equal(path, expected);
    mn_digest first = digest_of(path);
    free(path);

    assert_int_equal(unlink("data/omniglot/images_background.zip"), 0); /* no need of it any more */
    path = pack_and_find();
    mn_digest second = digest_of(path);
    assert_memory_equal(&first, &second, sizeof first);
    free(path);
}

static void runs_and_background_alphabets_are_made_of_an_archive_each(void **state)
{
    (void)state;
    mn_experiment experiment = wants();
    mn_error err = {0};
    (void)strcpy(experiment.tasks.data, "omniglot-background8.mnd");
    (void)strcpy(experiment.tasks.runs, "omniglot-runs8.mnd");
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_OK); /* who opens them will tell */
    sample_write_omniglot("data/omniglot");
    sample_write_runs("data/omniglot/all_runs.zip", "", NULL);
    if (mn_first_use_pack(&experiment, &err) != MN_OK)
        fail_msg("%s", err.message);
    const char *const names[] = {experiment.tasks.data, experiment.tasks.runs};
    for (int i = 0; i < 2; i++) {
        char *path = NULL;
        mn_image_pack *pack = NULL;
        assert_int_equal(mn_data_path_find(names[i], "data", 8, &path, &err), MN_OK);
        assert_int_equal(mn_image_pack_open(path, &pack, &err), MN_OK);
        const mn_pack_index *index = mn_image_pack_index(pack);
        assert_int_equal(index->n_entries[MN_TRAIN], i == 0 ? 9 * 4 : 0);
        assert_int_equal(index->n_entries[MN_TEST], i == 0 ? 0 : 6);
        mn_image_pack_destroy(&pack);
        free(path);
    }
    (void)strcpy(experiment.tasks.runs, "omniglot-runs28.mnd"); /* of another size: none of ours */
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_OK);
    char *path = NULL;
    assert_int_equal(mn_data_path_find("omniglot-runs28.mnd", "data", 8, &path, &err),
                     MN_ERR_NO_INPUT);
}

static void lists_beside_the_archives_make_the_splits(void **state)
{
    (void)state;
    sample_write_omniglot("data");
    assert_int_equal(mn_folder_make("data/splits_vinyals", NULL), MN_OK);
    sample_write("data/splits_vinyals/train.txt", "Ddd/character01/rot000\n", 23);
    sample_write("data/splits_vinyals/val.txt", "Aaa/character02/rot090\n", 23);
    sample_write("data/splits_vinyals/test.txt", "Bbb/character03/rot000\n", 23);
    char *path = pack_and_find();
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
            const mn_experiment experiment = wants();
            mn_status status = mn_first_use_pack(&experiment, NULL);
            if (status == MN_OK)
                status = mn_data_path_find("omniglot8.mnd", "data", 8, &path, NULL);
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

/* What a part of a mixture asks for, even where the experiment itself asks for no data. */
static void the_data_of_the_parts_of_a_mixture_are_made(void **state)
{
    mn_experiment experiment = wants();
    char *path = NULL;
    mn_error err = {0};
    (void)state;
    sample_write_omniglot("data/omniglot");
    experiment.tasks.kind = MN_TASKS_GLYPHS;
    experiment.tasks.data[0] = '\0';
    (void)strcpy(experiment.tasks.mix, "1 drawn:; 1 file: kind=images data=omniglot8.mnd");
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_OK);
    assert_int_equal(mn_data_path_find("omniglot8.mnd", "data", 8, &path, &err), MN_OK);
    free(path);
    (void)strcpy(experiment.tasks.mix, "1 drawn:; 1 file: kind=images");
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "part file"));
}

/* What is logged while the data is looked for. */
static char *logged(void)
{
    char *text = NULL;
    size_t n = 0;
    mn_error err = {0};
    const mn_experiment experiment = wants();
    const int real = dup(STDERR_FILENO);
    assert_non_null(freopen("log", "w", stderr));
    const mn_status status = mn_first_use_pack(&experiment, &err);
    (void)fflush(stderr);
    assert_true(dup2(real, STDERR_FILENO) >= 0);
    (void)close(real);
    assert_int_equal(status, MN_OK);
    assert_int_equal(mn_file_read("log", 1 << 20, &text, &n, &err), MN_OK);
    return text;
}

static void a_packed_file_of_other_archives_is_told(void **state)
{
    (void)state;
    sample_write_omniglot("data");
    free(pack_and_find());
    char *text = logged();
    assert_null(strstr(text, "older than an archive"));
    free(text);
    const struct timespec later[2] = {{.tv_sec = 4000000000}, {.tv_sec = 4000000000}};
    assert_int_equal(utimensat(AT_FDCWD, "data/images_evaluation.zip", later, 0), 0);
    char *path = NULL;
    text = logged(); /* newer, but the same */
    assert_null(strstr(text, "older than an archive"));
    free(text);
    assert_int_equal(mn_data_path_find("omniglot8.mnd", "data", 8, &path, NULL), MN_OK);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mtime, later[0].tv_sec);
    FILE *packed = fopen(path, "a");
    assert_true(packed != NULL && fputc('x', packed) == 'x' && fclose(packed) == 0);
    free(path);
    text = logged();
    assert_non_null(strstr(text, "older than an archive"));
    assert_non_null(strstr(text, "archive=data/images_evaluation.zip"));
    free(text);
}

static void a_cache_that_cannot_be_written_is_told_with_the_remedy(void **state)
{
    (void)state;
    const mn_experiment experiment = wants();
    mn_error err = {0};
    char before[4096];
    (void)snprintf(before, sizeof before, "%s", getenv("MNEMO_CACHE"));
    sample_write_omniglot("data");
    sample_write("file", "x", 1);
    assert_int_equal(setenv("MNEMO_CACHE", "file/cache", 1), 0);
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_ERR_IO);
    assert_non_null(strstr(err.message, "or to a folder that MNEMO_CACHE names"));
    assert_int_equal(setenv("MNEMO_CACHE", before, 1), 0);
}

static void nothing_is_made_where_nothing_can_be(void **state)
{
    (void)state;
    mn_experiment experiment = wants();
    char *path = NULL;
    mn_error err;
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_OK);
    assert_int_equal(mn_data_path_find("omniglot8.mnd", "data", 8, &path, &err), MN_ERR_NO_INPUT);
    sample_write_omniglot("data");
    experiment.tasks.kind = MN_TASKS_GLYPHS;
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_OK);
    assert_int_not_equal(access(getenv("MNEMO_CACHE"), F_OK), 0);
    experiment.tasks.kind = MN_TASKS_IMAGES;
    sample_write("data/images_evaluation.zip", "broken", 6);
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "data/images_evaluation.zip"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    mn_log_init(MN_LOG_WARN, "test");
    const struct CMUnitTest tests[] = {
        TEST(archives_are_imported_once_into_the_cache),
        TEST(runs_and_background_alphabets_are_made_of_an_archive_each),
        TEST(lists_beside_the_archives_make_the_splits),
        TEST(processes_that_import_at_the_same_time_all_succeed),
        TEST(the_data_of_the_parts_of_a_mixture_are_made),
        TEST(a_packed_file_of_other_archives_is_told),
        TEST(a_cache_that_cannot_be_written_is_told_with_the_remedy),
        TEST(nothing_is_made_where_nothing_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
