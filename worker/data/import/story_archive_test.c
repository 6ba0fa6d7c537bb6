#include "worker/data/import/story_archive.h"

#include "common/file.h"
#include "common/log.h"
#include "worker/data/babi_folder.h"
#include "worker/data/dialog_folder.h"
#include "worker/data/import/first_use.h"
#include "worker/data/import/sample_data.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char text[] = "1 Mary went to the office.\n2 Where is Mary?\toffice\t1\n";

#define FILE_OF(name)                                                                              \
    {                                                                                              \
        name, text, sizeof text - 1                                                                \
    }

/* Sets 1 and 12 are whole; of set 3 there is but the test. */
static const sample_entry entries[] = {
    FILE_OF("en/qa1_one_train.txt"),         FILE_OF("en/qa1_one_test.txt"),
    FILE_OF("en/qa3_three_test.txt"),        FILE_OF("en/qa12_twelve_train.txt"),
    FILE_OF("en/qa12_twelve_test.txt"),      FILE_OF("en/README.txt"),
    FILE_OF("hindi/qa2_two_train.txt"),      FILE_OF("den/qa2_two_test.txt"),
    FILE_OF("en/../../qa9_outside/qa9.txt"), {NULL, NULL, 0},
};

/* Names in a folder, hidden ones too. */
static int count(const char *path)
{
    int n = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(folder);
    return n;
}

static void files_of_sets_are_unpacked_and_no_others(void **state)
{
    (void)state;
    mn_story_archive found = {0};
    mn_error err = {0};
    char *bytes = NULL;
    size_t n = 0;
    sample_write_zip("en.zip", entries);
    if (mn_story_archive_unpack("en.zip", "out/of", "en", &found, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(found.whole, 1 | 1 << 11);
    assert_int_equal(found.parts, 1 << 2);
    assert_int_equal(count("out/of"), 1);
    assert_int_equal(count("out/of/en"), 5);
    assert_int_equal(mn_file_read("out/of/en/qa3_three_test.txt", 1000, &bytes, &n, &err), MN_OK);
    assert_int_equal(n, sizeof text - 1);
    assert_memory_equal(bytes, text, n);
    free(bytes);

    if (mn_story_archive_unpack("en.zip", "out/of", "en", &found, &err) != MN_OK) /* again */
        fail_msg("%s", err.message);
    assert_int_equal(count("out/of"), 1);
}

static void files_may_be_at_the_top_or_deep_below(void **state)
{
    static const sample_entry few[] = {
        FILE_OF("qa1_one_train.txt"), FILE_OF("tasks/en/qa1_one_test.txt"), {NULL, NULL, 0}};
    (void)state;
    mn_story_archive found = {0};
    sample_write_zip("en.zip", few);
    assert_int_equal(mn_story_archive_unpack("en.zip", "out", "en", &found, NULL), MN_OK);
    assert_int_equal(found.whole, 1);
}

static void refused(const char *zip, mn_status expected, const char *words)
{
    mn_story_archive found = {.whole = 77};
    mn_error err = {0};
    const mn_status status = mn_story_archive_unpack(zip, "out", "en", &found, &err);
    if (status != expected || strstr(err.message, words) == NULL)
        fail_msg("status %d, \"%s\" does not say %s", (int)status, err.message, words);
    assert_int_equal(found.whole, 77);
    if (access("out", F_OK) == 0)
        assert_int_equal(count("out"), 0);
}

static void what_is_no_archive_of_stories_is_refused_and_leaves_nothing(void **state)
{
    static const sample_entry none[] = {FILE_OF("fr/qa1_one_train.txt"), {NULL, NULL, 0}};
    static const sample_entry twice[] = {
        FILE_OF("en/qa1_one_train.txt"), FILE_OF("en/qa1_another_train.txt"), {NULL, NULL, 0}};
    (void)state;
    refused("en.zip", MN_ERR_NO_INPUT, "there is no archive en.zip");
    sample_write("en.zip", "broken", 6);
    refused("en.zip", MN_ERR_DATA, "is no good zip or tar archive");
    assert_int_equal(unlink("en.zip"), 0);
    sample_write_zip("en.zip", none);
    refused("en.zip", MN_ERR_DATA, "en.zip has no files qaN_..._train.txt");
    assert_int_equal(unlink("en.zip"), 0);
    sample_write_zip("en.zip", twice);
    refused("en.zip", MN_ERR_DATA, "set 1 has two files for training");
}

static mn_experiment wants(const char *data)
{
    mn_experiment experiment;
    mn_experiment_init(&experiment);
    experiment.tasks.kind = MN_TASKS_STORIES;
    (void)strcpy(experiment.tasks.data, data);
    (void)strcpy(experiment.run.data_path, "data");
    return experiment;
}

static void an_experiment_unpacks_at_its_first_use(void **state)
{
    (void)state;
    const mn_experiment experiment = wants("en");
    mn_babi_folder folder;
    mn_error err = {0};
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_OK); /* who opens them will tell */
    assert_int_equal(mn_folder_make("data/babi", NULL), MN_OK);
    sample_write_zip("data/babi/en.zip", entries);
    assert_int_equal(mn_babi_folder_find("en", "data", "1", &folder, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "its archive data/babi/en.zip is there"));

    if (mn_first_use_pack(&experiment, &err) != MN_OK ||
        mn_babi_folder_find("en", "data", "1,12", &folder, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(folder.n, 2);
    assert_non_null(strstr(folder.sets[0].train, "cache/babi/en/qa1_one_train.txt"));
    mn_babi_folder_fini(&folder);
    assert_int_equal(mn_babi_folder_find("en", "data", "all", &folder, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "no file qa3_..._train.txt; get it, or leave set 3 out by "
                                        "tasks.stories=1,12;"));

    assert_int_equal(unlink("data/babi/en.zip"), 0); /* no need of it any more */
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_OK);
    const mn_experiment outside = wants("../en");
    assert_int_equal(mn_first_use_pack(&outside, &err), MN_OK);
}

static void a_folder_comes_before_an_archive(void **state)
{
    (void)state;
    const mn_experiment experiment = wants("en");
    assert_int_equal(mn_folder_make("data/en", NULL), MN_OK);
    sample_write("data/en.zip", "broken", 6);
    assert_int_equal(mn_first_use_pack(&experiment, NULL), MN_OK);
    assert_int_not_equal(access(getenv("MNEMO_CACHE"), F_OK), 0);
}

/* The children wait at a pipe, so that they start together. */
static void processes_that_unpack_at_the_same_time_all_succeed(void **state)
{
    (void)state;
    enum { PROCESSES = 4 };
    int gate[2];
    pid_t children[PROCESSES];
    sample_write_zip("en.zip", entries);
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            char byte;
            mn_story_archive found;
            (void)close(gate[1]);
            (void)!read(gate[0], &byte, 1);
            _exit(mn_story_archive_unpack("en.zip", "out", "en", &found, NULL) == MN_OK &&
                          access("out/en/qa12_twelve_test.txt", R_OK) == 0
                      ? 0
                      : 1);
        }
    }
    (void)close(gate[0]);
    (void)close(gate[1]);
    for (int i = 0; i < PROCESSES; i++) {
        int how = -1;
        assert_int_equal(waitpid(children[i], &how, 0), children[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    assert_int_equal(count("out"), 1); /* no temporary is left */
}

static const char said[] = "1 hi\thello\n", list[] = "1 hello\n";

#define DIALOGS_OF(name)                                                                           \
    {                                                                                              \
        name, said, sizeof said - 1                                                                \
    }

/* All files of sets, the candidates of all and the facts; nothing else. */
static void dialogues_are_unpacked_at_their_first_use(void **state)
{
    static const sample_entry dialogs[] = {DIALOGS_OF("dialog-babi-task1-x-trn.txt"),
                                           DIALOGS_OF("dialog-babi-task1-x-dev.txt"),
                                           DIALOGS_OF("dialog-babi-task1-x-tst.txt"),
                                           DIALOGS_OF("dialog-babi-task1-x-tst-OOV.txt"),
                                           {"dialog-babi-candidates.txt", list, sizeof list - 1},
                                           DIALOGS_OF("dialog-babi-kb-all.txt"),
                                           DIALOGS_OF("dialog-babi-taskX-x-trn.txt"),
                                           DIALOGS_OF("LICENSE.txt"),
                                           {NULL, NULL, 0}};
    mn_experiment experiment;
    mn_dialog_folder found;
    mn_error err = {0};
    (void)state;
    assert_int_equal(setenv("MNEMO_CACHE", "cache", 1), 0);
    mn_experiment_init(&experiment);
    experiment.tasks.kind = MN_TASKS_DIALOGUES;
    (void)snprintf(experiment.tasks.data, sizeof experiment.tasks.data, "dialogs");
    (void)snprintf(experiment.run.data_path, sizeof experiment.run.data_path, "data");
    assert_int_equal(mn_folder_make("data/babi/dialog", &err), MN_OK);
    assert_int_equal(mn_dialog_folder_find("dialogs", "data", 1, &found, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "no dialogs.zip of it"));
    sample_write_zip("data/babi/dialog/dialogs.zip", dialogs);
    assert_int_equal(mn_dialog_folder_find("dialogs", "data", 1, &found, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "its archive data/babi/dialog/dialogs.zip is there"));
    if (mn_first_use_pack(&experiment, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(count("cache/babi/dialogs"), 6);
    if (mn_dialog_folder_find("dialogs", "data", 1, &found, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_string_equal(found.paths[MN_DIALOG_FACTS], "cache/babi/dialogs/dialog-babi-kb-all.txt");
    mn_dialog_folder_fini(&found);
    assert_int_equal(unsetenv("MNEMO_CACHE"), 0);

    sample_write_zip("data/babi/dialog/other.zip", entries);
    (void)snprintf(experiment.tasks.data, sizeof experiment.tasks.data, "other");
    assert_int_equal(mn_first_use_pack(&experiment, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "has no files dialog-babi-taskN-...-trn.txt"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    mn_log_init(MN_LOG_ERROR, "test");
    const struct CMUnitTest tests[] = {
        TEST(files_of_sets_are_unpacked_and_no_others),
        TEST(files_may_be_at_the_top_or_deep_below),
        TEST(what_is_no_archive_of_stories_is_refused_and_leaves_nothing),
        TEST(an_experiment_unpacks_at_its_first_use),
        TEST(a_folder_comes_before_an_archive),
        TEST(dialogues_are_unpacked_at_their_first_use),
        TEST(processes_that_unpack_at_the_same_time_all_succeed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
