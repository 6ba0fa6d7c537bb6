#include "coordinator/run/event_file.h"

#include "common/file.h"
#include "proto/tensorboard.pb-c.h"
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/event_file_test.XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

/* The files of the folder, in the order of their names. */
static size_t list(char paths[8][512])
{
    struct dirent **found = NULL;
    const int n = scandir(folder, &found, NULL, alphasort);
    size_t kept = 0;
    for (int i = 0; i < n; i++) {
        if (found[i]->d_name[0] != '.' && kept < 8)
            (void)snprintf(paths[kept++], 512, "%s/%s", folder, found[i]->d_name);
        free(found[i]);
    }
    free(found);
    return kept;
}

static int tear_down(void **state)
{
    char paths[8][512];
    (void)state;
    for (size_t i = 0, n = list(paths); i < n; i++)
        (void)remove(paths[i]);
    return rmdir(folder);
}

static mn_event_file *begin(uint64_t done)
{
    mn_event_file *file = NULL;
    assert_int_equal(mn_event_file_new(folder, done, &file, NULL), MN_OK);
    return file;
}

static uint64_t le(const char *bytes, size_t n)
{
    uint64_t value = 0;
    for (size_t i = n; i-- > 0;)
        value = value << 8 | (uint8_t)bytes[i];
    return value;
}

/* The events of a file; how many. What the CRCs are worth, tests/integration/tensorboard.py knows. */
static size_t read_events(const char *path, MnTb__Event *events[8])
{
    char *bytes = NULL;
    size_t n = 0, count = 0;
    assert_int_equal(mn_file_read(path, 1 << 20, &bytes, &n, NULL), MN_OK);
    for (size_t at = 0; at < n && count < 8;) {
        const size_t length = (size_t)le(bytes + at, 8);
        assert_true(at + length + 16 <= n);
        events[count] = mn_tb__event__unpack(NULL, length, (const uint8_t *)bytes + at + 12);
        assert_non_null(events[count++]);
        at += length + 16;
    }
    free(bytes);
    return count;
}

static void it_begins_as_every_such_file_does(void **state)
{
    static const uint8_t known[] = {24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22, 0x09};
    char paths[8][512], *bytes = NULL;
    size_t n = 0;
    MnTb__Event *events[8];
    (void)state;
    mn_event_file *file = begin(41);
    assert_int_equal(list(paths), 1);
    assert_non_null(strstr(paths[0], "/events.out.tfevents."));
    assert_int_equal(mn_file_read(paths[0], 1 << 20, &bytes, &n, NULL), MN_OK);
    assert_memory_equal(bytes, known, sizeof known);
    free(bytes);
    assert_int_equal(read_events(paths[0], events), 2);
    assert_string_equal(events[0]->file_version, "brain.Event:2");
    assert_true(events[0]->wall_time > 1.7e9);
    assert_int_equal(events[1]->what_case, MN_TB__EVENT__WHAT_SESSION_LOG);
    assert_int_equal(events[1]->session_log->status, MN_TB__SESSION_LOG__STATUS__START);
    assert_int_equal(events[1]->step, 42); /* what was told of it before is out of date */
    for (int i = 0; i < 2; i++)
        mn_tb__event__free_unpacked(events[i], NULL);
    mn_event_file_close(&file);
}

static void numbers_of_a_step_are_one_event(void **state)
{
    char paths[8][512], tag[300];
    MnTb__Event *events[8];
    (void)state;
    mn_event_file *file = begin(0);
    for (int i = 0; i < 40; i++) {
        (void)snprintf(tag, sizeof tag, "train/%d", i);
        mn_event_file_add(file, tag, i == 3 ? (double)NAN : i * 0.5);
    }
    memset(tag, 'a', sizeof tag - 1);
    tag[sizeof tag - 1] = '\0';
    mn_event_file_add(file, tag, 1e300 * 1e300); /* not finite either */
    mn_event_file_add(file, tag, 7);
    assert_int_equal(mn_event_file_write(file, 7, NULL), MN_OK);
    assert_int_equal(mn_event_file_write(file, 8, NULL), MN_OK); /* nothing to tell */
    mn_event_file_add(file, "train/loss", -0.25);
    assert_int_equal(mn_event_file_write(file, UINT64_C(1) << 40, NULL), MN_OK);
    mn_event_file_close(&file);
    assert_int_equal(list(paths), 1);
    assert_int_equal(read_events(paths[0], events), 4);
    const MnTb__Summary *summary = events[2]->summary;
    assert_int_equal(events[2]->step, 7);
    assert_int_equal(summary->n_value, 40);
    assert_string_equal(summary->value[2]->tag, "train/2");
    assert_string_equal(summary->value[3]->tag, "train/4");
    assert_true(summary->value[3]->simple_value == 2);
    assert_int_equal(strlen(summary->value[39]->tag), 127);
    assert_true(events[3]->step == INT64_C(1) << 40);
    assert_int_equal(events[3]->summary->n_value, 1);
    assert_true(events[3]->summary->value[0]->simple_value == -0.25F);
    for (int i = 0; i < 4; i++)
        mn_tb__event__free_unpacked(events[i], NULL);
}

static void each_job_has_a_file_that_sorts_behind_the_others(void **state)
{
    char paths[8][512];
    MnTb__Event *events[8];
    (void)state;
    for (uint64_t done = 0; done < 3; done++) { /* all within a second or two */
        mn_event_file *file = begin(done);
        mn_event_file_close(&file);
    }
    assert_int_equal(list(paths), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(read_events(paths[i], events), 2);
        assert_int_equal(events[1]->step, i + 1);
        for (int k = 0; k < 2; k++)
            mn_tb__event__free_unpacked(events[k], NULL);
    }
}

static void a_full_disk_is_told(void **state)
{
    struct rlimit before, small;
    mn_error err;
    (void)state;
    mn_event_file *file = begin(0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 100, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    mn_event_file_add(file, "train/loss", 1);
    mn_status status = mn_event_file_write(file, 1, &err);
    if (status == MN_OK)
        status = mn_event_file_flush(file, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, MN_ERR_IO);
    assert_non_null(strstr(err.message, folder));
    mn_event_file_close(&file);
}

static void a_picture_tells_its_size(void **state)
{
    static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\2\0\0\0\3\x08\x06\0\0\0abcdefgh";
    char path[96], paths[8][512];
    MnTb__Event *events[8];
    mn_error err;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/x.png", folder);
    mn_event_file *file = begin(9);
    assert_int_equal(mn_event_file_picture(file, "pictures/task", 9, path, &err), MN_ERR_NO_INPUT);
    assert_int_equal(mn_file_write(path, png, sizeof png - 1, NULL), MN_OK);
    assert_int_equal(mn_event_file_picture(file, "pictures/task", 9, path, &err), MN_OK);
    assert_int_equal(mn_file_write(path, "GIF89a", 6, NULL), MN_OK);
    assert_int_equal(mn_event_file_picture(file, "pictures/task", 9, path, &err), MN_ERR_DATA);
    assert_int_equal(list(paths), 2);
    assert_int_equal(read_events(paths[0], events), 3);
    assert_string_equal(events[2]->summary->value[0]->tag, "pictures/task");
    const MnTb__Summary__Image *image = events[2]->summary->value[0]->image;
    assert_int_equal(image->width, 0x102);
    assert_int_equal(image->height, 3);
    assert_int_equal(image->colorspace, 4);
    assert_int_equal(image->encoded_image_string.len, sizeof png - 1);
    assert_memory_equal(image->encoded_image_string.data, png, sizeof png - 1);
    for (int i = 0; i < 3; i++)
        mn_tb__event__free_unpacked(events[i], NULL);
    mn_event_file_close(&file);
}

static void the_option_says_where_the_files_are(void **state)
{
    char out[PATH_MAX], run[128], wanted[PATH_MAX];
    mn_error err;
    (void)state;
    (void)snprintf(run, sizeof run, "%s/seed-1", folder);
    assert_int_equal(mkdir(run, 0755), 0);
    assert_int_equal(mn_event_file_folder("false", run, out, &err), MN_OK);
    assert_string_equal(out, "");
    assert_int_equal(mn_event_file_folder("true", run, out, &err), MN_OK);
    assert_string_equal(out, run);
    (void)snprintf(wanted, sizeof wanted, "some/where/%s/seed-1", strrchr(folder, '/') + 1);
    assert_int_equal(mn_event_file_folder("some/where", run, out, &err), MN_OK);
    assert_string_equal(out, wanted); /* runs of several series do not meet */
    assert_int_not_equal(mn_event_file_folder("true", "/no/such", out, &err), MN_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_begins_as_every_such_file_does),
        TEST(numbers_of_a_step_are_one_event),
        TEST(each_job_has_a_file_that_sorts_behind_the_others),
        TEST(a_full_disk_is_told),
        TEST(a_picture_tells_its_size),
        TEST(the_option_says_where_the_files_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
