#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Each test works in a new empty folder, which is the current one. */
static int enter_new_folder(void **state)
{
    char *folder = strdup("/tmp/mnemo-file-test-XXXXXX");
    *state = folder;
    return folder == NULL || mkdtemp(folder) == NULL || chdir(folder) != 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    free(*state);
    return chdir("/") != 0 || system(command) != 0 ? -1 : 0;
}

static int entries(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

static void assert_holds(const char *path, const char *text)
{
    char *bytes = NULL;
    size_t n = 0;
    mn_error err;
    assert_int_equal(mn_file_read(path, 1000, &bytes, &n, &err), MN_OK);
    assert_int_equal(n, strlen(text));
    assert_string_equal(bytes, text);
    free(bytes);
}

static void a_new_file_takes_its_name_only_when_committed(void **state)
{
    mn_new_file *file = NULL;
    mn_error err;
    (void)state;
    assert_int_equal(mn_file_write("a", "old", 3, &err), MN_OK);
    assert_int_equal(mn_new_file_open("a", &file, &err), MN_OK);
    assert_int_equal(mn_new_file_write(file, "ne", 2, &err), MN_OK);
    assert_int_equal(mn_new_file_write(file, "w", 1, &err), MN_OK);
    assert_holds("a", "old");
    assert_int_equal(mn_new_file_commit(&file, &err), MN_OK);
    assert_null(file);
    assert_holds("a", "new");
    assert_int_equal(entries("."), 1);
}

static void an_abandoned_file_leaves_nothing(void **state)
{
    mn_new_file *file = NULL;
    mn_error err;
    (void)state;
    assert_int_equal(mn_new_file_open("a", &file, &err), MN_OK);
    assert_int_equal(mn_new_file_write(file, "x", 1, &err), MN_OK);
    mn_new_file_abandon(&file);
    assert_null(file);
    mn_new_file_abandon(&file);
    assert_int_equal(entries("."), 0);
}

static void two_writers_of_one_name_do_not_meet(void **state)
{
    mn_new_file *one = NULL;
    mn_new_file *two = NULL;
    mn_error err;
    (void)state;
    assert_int_equal(mn_new_file_open("a", &one, &err), MN_OK);
    assert_int_equal(mn_new_file_open("a", &two, &err), MN_OK);
    assert_int_equal(mn_new_file_write(one, "one", 3, &err), MN_OK);
    assert_int_equal(mn_new_file_write(two, "two", 3, &err), MN_OK);
    assert_int_equal(mn_new_file_commit(&two, &err), MN_OK);
    assert_holds("a", "two");
    assert_int_equal(mn_new_file_commit(&one, &err), MN_OK);
    assert_holds("a", "one");
}

/* As a full disk does, a file-size limit ends write(2) in the middle. */
static void when_no_more_can_be_written_the_old_file_stays(void **state)
{
    struct rlimit before, tight;
    mn_new_file *file = NULL;
    mn_error err;
    static char bytes[10000];
    (void)state;
    assert_int_equal(mn_file_write("a", "old", 3, &err), MN_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 4096;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);

    assert_int_equal(mn_file_write("a", bytes, sizeof bytes, &err), MN_ERR_IO);
    assert_string_equal(err.message, "cannot write a: File too large");
    assert_int_equal(mn_new_file_open("a", &file, &err), MN_OK);
    assert_int_equal(mn_new_file_write(file, bytes, sizeof bytes, &err), MN_ERR_IO);
    assert_int_equal(mn_new_file_commit(&file, &err), MN_ERR_IO); /* the caller did not look */
    assert_null(file);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_holds("a", "old");
    assert_int_equal(entries("."), 1);
}

/* A file system of 64 KiB in a mount namespace of our own; skipped where the system gives none. */
static void a_full_disk_is_told_and_the_old_file_stays(void **state)
{
    static char bytes[100000];
    mn_error err;
    (void)state;
    assert_int_equal(mkdir("disk", 0777), 0);
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "disk", "tmpfs", 0, "size=64k") != 0)
        skip();
    assert_int_equal(mn_file_write("disk/a", "old", 3, &err), MN_OK);
    assert_int_equal(mn_file_write("disk/a", bytes, sizeof bytes, &err), MN_ERR_IO);
    assert_string_equal(err.message, "cannot write disk/a: No space left on device");
    assert_holds("disk/a", "old");
    assert_int_equal(entries("disk"), 1);
    assert_int_equal(umount("disk"), 0);
}

static void a_failed_rename_removes_the_temporary_file(void **state)
{
    mn_error err;
    (void)state;
    assert_int_equal(mkdir("a", 0777), 0);
    assert_int_equal(mn_file_write("a", "x", 1, &err), MN_ERR_IO);
    assert_non_null(strstr(err.message, " to a: Is a directory"));
    assert_int_equal(entries("."), 1);
}

static void a_file_in_a_missing_folder_is_told_with_its_path(void **state)
{
    mn_error err;
    char *bytes = NULL;
    size_t n = 0;
    (void)state;
    assert_int_equal(mn_file_write("no/a", "x", 1, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "cannot make no/a.tmp-"));
    assert_int_equal(mn_file_read("no/a", 10, &bytes, &n, &err), MN_ERR_NO_INPUT);
    assert_string_equal(err.message, "cannot open no/a: No such file or directory");
    assert_int_equal(mn_file_read(".", 10, &bytes, &n, &err), MN_ERR_IO);
    assert_string_equal(err.message, "cannot read .: Is a directory");
    assert_null(bytes);
}

static void a_file_is_read_up_to_the_limit_and_not_beyond(void **state)
{
    mn_error err;
    char *bytes = NULL;
    size_t n = 0;
    (void)state;
    assert_int_equal(mn_file_write("a", "12345", 5, &err), MN_OK);
    assert_int_equal(mn_file_read("a", 5, &bytes, &n, &err), MN_OK);
    assert_string_equal(bytes, "12345");
    free(bytes);
    bytes = NULL;
    assert_int_equal(mn_file_read("a", 4, &bytes, &n, &err), MN_ERR_DATA);
    assert_string_equal(err.message, "a is larger than the 4 bytes expected at most");
    assert_null(bytes);
    assert_int_equal(mn_file_read("a", SIZE_MAX, &bytes, &n, &err), MN_OK);
    assert_int_equal(n, 5);
    free(bytes);
    assert_int_equal(mn_file_read("/dev/zero", 100000, &bytes, &n, &err), MN_ERR_DATA);

    assert_int_equal(mn_file_write("empty", "", 0, &err), MN_OK);
    assert_holds("empty", "");
    assert_int_equal(mn_file_read("empty", 0, &bytes, &n, &err), MN_OK);
    free(bytes);
}

/* /proc tells no size; the file must be read to its end all the same. */
static void a_file_that_does_not_tell_its_size_is_read_whole(void **state)
{
    mn_error err;
    char *bytes = NULL;
    size_t n = 0;
    (void)state;
    assert_int_equal(mn_file_read("/proc/self/maps", 1 << 22, &bytes, &n, &err), MN_OK);
    assert_true(n > 0);
    assert_int_equal(bytes[n - 1], '\n');
    free(bytes);
}

static void folders_are_made_on_the_way(void **state)
{
    mn_error err;
    (void)state;
    assert_int_equal(mn_folder_make("a/b/c", &err), MN_OK);
    assert_int_equal(mn_folder_make("a/b/c/", &err), MN_OK); /* again */
    assert_int_equal(mn_folder_make("a//d/", &err), MN_OK);
    assert_int_equal(mn_folder_make("./e/../f", &err), MN_OK);
    assert_int_equal(mn_folder_make("/", &err), MN_OK);
    assert_int_equal(entries("a"), 2);
    assert_int_equal(entries("."), 3);
    assert_int_equal(mn_file_write("a/x", "", 0, &err), MN_OK);
    assert_int_equal(mn_folder_make("a/x", &err), MN_ERR_IO);
    assert_string_equal(err.message, "cannot make folder a/x: Not a directory");
    assert_int_equal(mn_folder_make("a/x/y", &err), MN_ERR_IO);
    assert_int_equal(mn_folder_make("", &err), MN_ERR_NO_INPUT);
}

/* A file of one line that has no end, which takes no room on the disk. */
static void a_line_is_read_with_its_end_and_never_whole_if_it_is_endless(void **state)
{
    (void)state;
    char *line = NULL;
    size_t room = 0;
    mn_error err;
    assert_int_equal(mn_file_write("short", "one\n\ntorn", 9, &err), MN_OK);
    FILE *file = fopen("short", "r");
    assert_non_null(file);
    assert_int_equal(mn_file_line(file, &line, &room), 4);
    assert_string_equal(line, "one\n");
    assert_int_equal(mn_file_line(file, &line, &room), 1);
    assert_string_equal(line, "\n");
    assert_int_equal(mn_file_line(file, &line, &room), 4);
    assert_string_equal(line, "torn");
    assert_int_equal(mn_file_line(file, &line, &room), -1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(mn_file_write("endless", "x", 1, &err), MN_OK);
    assert_int_equal(truncate("endless", (off_t)1 << 40), 0);
    file = fopen("endless", "r");
    assert_non_null(file);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mn_file_line(file, &line, &room), MN_LINE_MOST);
    assert_true(room <= 2 * MN_LINE_MOST);
    assert_int_equal(fclose(file), 0);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_new_folder, remove_folder)
        IN_A_FOLDER(a_new_file_takes_its_name_only_when_committed),
        IN_A_FOLDER(an_abandoned_file_leaves_nothing),
        IN_A_FOLDER(two_writers_of_one_name_do_not_meet),
        IN_A_FOLDER(when_no_more_can_be_written_the_old_file_stays),
        IN_A_FOLDER(a_full_disk_is_told_and_the_old_file_stays),
        IN_A_FOLDER(a_failed_rename_removes_the_temporary_file),
        IN_A_FOLDER(a_file_in_a_missing_folder_is_told_with_its_path),
        IN_A_FOLDER(a_file_is_read_up_to_the_limit_and_not_beyond),
        IN_A_FOLDER(a_file_that_does_not_tell_its_size_is_read_whole),
        IN_A_FOLDER(folders_are_made_on_the_way),
        IN_A_FOLDER(a_line_is_read_with_its_end_and_never_whole_if_it_is_endless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
