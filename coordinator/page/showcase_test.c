#include "coordinator/page/showcase.h"

#include "common/file.h"
#include "coordinator/run/board_bed.h"
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* This program itself is what the showcase starts: it writes what `mnemo task` would, as the file `how`
 * of the run's folder says, and a letter more to `times` each time. */
static int play_mnemo(char **argv)
{
    char path[512], how[32] = "";
    const char *run = argv[2], *index = argv[6], *png = argv[8];
    (void)snprintf(path, sizeof path, "%s/times", run);
    FILE *times = fopen(path, "a");
    (void)snprintf(path, sizeof path, "%s/how", run);
    FILE *file = fopen(path, "r");
    if (times == NULL || file == NULL || fgets(how, sizeof how, file) == NULL)
        return 1;
    (void)fputc('x', times);
    (void)fclose(times);
    (void)fclose(file);
    if (strcmp(how, "hang") == 0)
        for (;;)
            (void)pause();
    if (strcmp(how, "family") == 0) { /* it and a child of its own, who says that it is there */
        (void)snprintf(path, sizeof path, "%s/fifo", run);
        const int fifo = open(path, O_WRONLY);
        if (fork() == 0)
            (void)!write(fifo, "x", 1);
        for (;;)
            (void)pause();
    }
    if (strcmp(how, "gone") == 0)
        return 66;
    (void)printf("%s task %s, %s\xff\n", argv[4], index, argv[1]);
    (void)fflush(stdout);
    if (strcmp(how, "rows") == 0) {
        (void)fprintf(stderr,
                      "a warning\nmnemo: wrong command line: tasks of this kind have none\n");
        return 64;
    }
    if (strcmp(how, "crash") == 0)
        abort();
    FILE *picture = fopen(png, "w");
    if (picture == NULL)
        return 1;
    (void)fputs("PNG", picture);
    return fclose(picture);
}

static char folder[64];
static mn_board *board;
static mn_showcase *showcase;
static uint64_t now_us;

static void write_in(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mn_file_write(path, text, strlen(text), NULL), MN_OK);
}

static int set_up(void **state)
{
    char path[96];
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/showcase_test.XXXXXX");
    if (mkdtemp(folder) == NULL || setenv("TMPDIR", folder, 1) != 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/checkpoints", folder);
    if (mkdir(path, 0755) != 0)
        return -1;
    now_us = 1;
    board = bed_board(folder, 0);
    write_in("how", "well");
    return board != NULL && mn_showcase_new(mn_board_config_of(board), "/proc/self/exe", &showcase,
                                            NULL) == MN_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"how",
                                        "times",
                                        "fifo",
                                        "checkpoints/step-000000500.safetensors",
                                        "checkpoints/step-000001000.safetensors",
                                        "checkpoints"};
    (void)state;
    mn_showcase_destroy(&showcase);
    mn_board_destroy(&board);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return rmdir(folder); /* nothing else is left there */
}

/* What is told of a task, the value of one of its fields. */
static const char *ask(uint32_t index, const char *key)
{
    static char value[256];
    char *text = mn_showcase_tell(showcase, index, now_us);
    json_t *told = json_loads(text, 0, NULL);
    assert_non_null(told);
    const json_t *field = json_object_get(told, key);
    if (json_is_string(field))
        (void)snprintf(value, sizeof value, "%s", json_string_value(field));
    else if (json_is_boolean(field))
        (void)snprintf(value, sizeof value, "%s", json_is_true(field) ? "true" : "false");
    else
        (void)snprintf(value, sizeof value, "%d", (int)json_integer_value(field));
    json_decref(told);
    free(text);
    return value;
}

/* Until the child has ended; then it is an hour later. */
static void await(void)
{
    struct pollfd fd = {.fd = mn_showcase_fd(showcase), .events = POLLIN};
    assert_true(fd.fd >= 0);
    assert_int_equal(poll(&fd, 1, 20000), 1);
    mn_showcase_attend(showcase, now_us);
    assert_int_equal(mn_showcase_fd(showcase), -1);
    now_us += UINT64_C(3600000000);
}

static size_t times(void)
{
    char path[96], *text = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/times", folder);
    if (mn_file_read(path, 1000, &text, &n, NULL) != MN_OK)
        return 0;
    free(text);
    return n;
}

static void a_task_is_made_once_for_each_checkpoint(void **state)
{
    size_t n = 0;
    (void)state;
    assert_string_equal(ask(3, "state"), "waiting");
    assert_string_equal(ask(3, "checkpoint_every"), "500");
    assert_int_equal(mn_showcase_fd(showcase), -1);
    write_in("checkpoints/step-000000500.safetensors", "");
    assert_string_equal(ask(3, "state"), "making");
    assert_null(mn_showcase_picture(showcase, 3, &n));
    await();
    assert_string_equal(ask(3, "state"), "ready");
    assert_string_equal(ask(3, "step"), "500");
    assert_string_equal(ask(3, "text"), "test task 3, task?\n"); /* no UTF-8 */
    assert_string_equal(ask(3, "why"), "");
    assert_string_equal(ask(3, "picture"), "true");
    assert_memory_equal(mn_showcase_picture(showcase, 3, &n), "PNG", 3);
    assert_int_equal(n, 3);
    assert_int_equal(times(), 1);

    write_in("checkpoints/step-000001000.safetensors", "");
    assert_string_equal(ask(3, "state"), "making");
    assert_string_equal(ask(3, "step"), "500"); /* until the other is there */
    await();
    assert_string_equal(ask(3, "state"), "ready");
    assert_string_equal(ask(3, "step"), "1000");
    assert_int_equal(times(), 2);
}

static void one_is_made_at_a_time_and_then_there_is_a_rest(void **state)
{
    (void)state;
    write_in("checkpoints/step-000000500.safetensors", "");
    assert_string_equal(ask(0, "state"), "making");
    assert_string_equal(ask(1, "state"), "making"); /* but it is not begun */
    struct pollfd fd = {.fd = mn_showcase_fd(showcase), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 20000), 1);
    mn_showcase_attend(showcase, now_us);
    assert_int_equal(times(), 1);
    assert_string_equal(ask(1, "state"), "making"); /* at once: no */
    assert_int_equal(mn_showcase_fd(showcase), -1);
    now_us += UINT64_C(3600000000);
    assert_string_equal(ask(1, "state"), "making");
    await();
    assert_string_equal(ask(1, "state"), "ready");
    assert_string_equal(ask(0, "state"), "ready");
    assert_int_equal(times(), 2);
}

static void a_few_are_kept(void **state)
{
    (void)state;
    write_in("checkpoints/step-000000500.safetensors", "");
    for (uint32_t i = 0; i < 5; i++) {
        (void)ask(i, "state");
        await();
        (void)ask(0, "state"); /* somebody looks at the first all the time */
    }
    assert_int_equal(times(), 5);
    assert_string_equal(ask(0, "state"), "ready");
    assert_string_equal(ask(4, "state"), "ready");
    assert_string_equal(ask(1, "state"), "making");
    await();
}

static void what_cannot_be_drawn_is_told(void **state)
{
    (void)state;
    write_in("how", "rows");
    write_in("checkpoints/step-000000500.safetensors", "");
    (void)ask(0, "state");
    await();
    assert_string_equal(ask(0, "state"), "ready");
    assert_string_equal(ask(0, "picture"), "false");
    assert_string_equal(ask(0, "why"), "tasks of this kind have none");
    assert_string_equal(ask(0, "text"), "test task 0, task?\n");
    assert_int_equal(times(), 1); /* and not tried again */
    write_in("how", "crash");
    write_in("checkpoints/step-000001000.safetensors", "");
    (void)ask(0, "state");
    await();
    assert_string_equal(ask(0, "why"), "mnemo task was killed.");
}

static void a_checkpoint_that_has_made_room_for_newer_ones_is_no_failure(void **state)
{
    (void)state;
    write_in("how", "gone");
    write_in("checkpoints/step-000000500.safetensors", "");
    (void)ask(0, "state");
    write_in("checkpoints/step-000001000.safetensors", "");
    await();
    write_in("how", "well");
    assert_string_equal(ask(0, "state"), "making");
    assert_string_equal(ask(0, "why"), "");
    await();
    assert_string_equal(ask(0, "state"), "ready");
}

static void what_hangs_is_given_up(void **state)
{
    (void)state;
    write_in("how", "hang");
    write_in("checkpoints/step-000000500.safetensors", "");
    (void)ask(0, "state");
    struct pollfd fd = {.fd = mn_showcase_fd(showcase), .events = POLLIN};
    mn_showcase_attend(showcase, now_us);
    assert_int_equal(mn_showcase_fd(showcase), fd.fd); /* it has time yet */
    now_us += UINT64_C(301000000);
    mn_showcase_attend(showcase, now_us);
    if (mn_showcase_fd(showcase) >= 0) {
        assert_int_equal(poll(&fd, 1, 20000), 1);
        mn_showcase_attend(showcase, now_us);
    }
    assert_string_equal(ask(0, "why"), "It took too long and was given up.");
    write_in("checkpoints/step-000001000.safetensors", "");
    now_us += UINT64_C(3600000000);
    (void)ask(0, "state"); /* and what is under way at the end is ended: see tear_down() */
    assert_true(mn_showcase_fd(showcase) >= 0);
}

static void what_it_has_started_ends_with_it(void **state)
{
    char path[96], byte;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/fifo", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    write_in("how", "family");
    write_in("checkpoints/step-000000500.safetensors", "");
    (void)ask(0, "state");
    struct pollfd fd = {.fd = open(path, O_RDONLY), .events = POLLIN};
    assert_int_equal(read(fd.fd, &byte, 1), 1);
    mn_showcase_destroy(&showcase);
    assert_int_equal(poll(&fd, 1, 20000), 1);
    assert_int_equal(read(fd.fd, &byte, 1), 0); /* nobody is left who could write */
    assert_int_equal(close(fd.fd), 0);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_made_once_for_each_checkpoint),
        TEST(one_is_made_at_a_time_and_then_there_is_a_rest),
        TEST(a_few_are_kept),
        TEST(what_cannot_be_drawn_is_told),
        TEST(a_checkpoint_that_has_made_room_for_newer_ones_is_no_failure),
        TEST(what_hangs_is_given_up),
        TEST(what_it_has_started_ends_with_it),
    };
    if (argc == 9 && strcmp(argv[1], "task") == 0)
        return play_mnemo(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
