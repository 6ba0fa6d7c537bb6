#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static int real_stderr;
static int file; /* what standard error is during a test */

static int redirect(void **state)
{
    (void)state;
    real_stderr = dup(STDERR_FILENO);
    file = memfd_create("log", 0);
    return real_stderr < 0 || file < 0 || dup2(file, STDERR_FILENO) < 0 ? -1 : 0;
}

static int restore(void **state)
{
    (void)state;
    mn_log_set_hooks(NULL, NULL, NULL);
    (void)dup2(real_stderr, STDERR_FILENO);
    (void)close(real_stderr);
    return close(file);
}

/* All that was logged since redirect(); owned by the caller. */
static char *logged(void)
{
    off_t n = lseek(file, 0, SEEK_END);
    char *text = calloc((size_t)n + 1, 1);
    assert_non_null(text);
    assert_int_equal(pread(file, text, (size_t)n, 0), n);
    return text;
}

static void a_line_has_time_level_who_and_words(void **state)
{
    regex_t form;
    (void)state;
    mn_log_init(MN_LOG_INFO, "rank 0");
    mn_log(MN_LOG_INFO, "worker joined threads=%d", 2);
    char *text = logged();
    assert_int_equal(
        regcomp(&form,
                "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z info  "
                "rank 0: worker joined threads=2\n$",
                REG_EXTENDED),
        0);
    assert_int_equal(regexec(&form, text, 0, NULL, 0), 0);
    regfree(&form);
    free(text);
}

static void lines_above_the_level_are_left_out(void **state)
{
    (void)state;
    mn_log_init(MN_LOG_WARN, "");
    mn_log(MN_LOG_INFO, "too much");
    mn_log(MN_LOG_DEBUG, "far too much");
    mn_log(MN_LOG_ERROR, "needed");
    char *text = logged();
    assert_null(strstr(text, "too much"));
    assert_string_equal(strchr(text, ' '), " error needed\n");
    free(text);
}

static void hear(void *user, const char *line, size_t n)
{
    (void)snprintf(user, 256, "%.*s", (int)n, line);
}

static void a_listener_hears_what_is_printed_and_nothing_else(void **state)
{
    char heard[256] = "";
    (void)state;
    mn_log_init(MN_LOG_INFO, "rank 0");
    mn_log_set_listener(hear, heard);
    mn_log(MN_LOG_INFO, "a line\nor two");
    char *text = logged();
    assert_int_equal(strlen(heard) + 1, strlen(text));
    assert_memory_equal(heard, text, strlen(heard));
    heard[0] = '\0';
    mn_log(MN_LOG_DEBUG, "not printed");
    assert_string_equal(heard, "");
    mn_log_set_listener(NULL, NULL);
    mn_log(MN_LOG_INFO, "after");
    assert_string_equal(heard, "");
    free(text);
}

static void a_peer_cannot_forge_a_line_or_move_the_cursor(void **state)
{
    (void)state;
    mn_log_init(MN_LOG_INFO, "rank 0\nforged");
    mn_log(MN_LOG_INFO, "joined worker=%s", "x\n2026 info  rank 0: all is well\r\x1b[2J");
    char *text = logged();
    assert_non_null(strstr(text, "rank 0\\x0aforged: joined worker=x\\x0a2026 info"));
    assert_non_null(strstr(text, "well\\x0d\\x1b[2J\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    static char words[10000];
    (void)state;
    memset(words, 'w', sizeof words - 1);
    mn_log_init(MN_LOG_INFO, "rank 0");
    mn_log(MN_LOG_INFO, "%s", words);
    char *text = logged();
    assert_true(strlen(text) <= 4096);
    assert_string_equal(text + strlen(text) - 5, "w...\n");
    free(text);
}

static void errno_is_left_alone(void **state)
{
    (void)state;
    mn_log_init(MN_LOG_INFO, "rank 0");
    (void)close(STDERR_FILENO);
    errno = ENOENT;
    mn_log(MN_LOG_INFO, "to nobody");
    assert_int_equal(errno, ENOENT);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
}

static void clear_line(void *user)
{
    (void)user;
    assert_int_equal(write(STDERR_FILENO, "<", 1), 1);
}

static void draw_line(void *user)
{
    assert_int_equal(write(STDERR_FILENO, user, 1), 1);
}

static void hooks_stand_around_each_line(void **state)
{
    char mark[] = ">";
    (void)state;
    mn_log_init(MN_LOG_INFO, "rank 0");
    mn_log_set_hooks(clear_line, draw_line, mark);
    mn_log(MN_LOG_INFO, "one");
    mn_log(MN_LOG_DEBUG, "not printed, not cleared");
    char *text = logged();
    assert_int_equal(text[0], '<');
    assert_non_null(strstr(text, "rank 0: one\n>"));
    assert_int_equal(strlen(strchr(text, '>')), 1);
    free(text);
}

/* A run whose reader hangs has to go on; what it said last is said again when there is room. */
static void nobody_need_read_the_log(void **state)
{
    int ends[2];
    char text[65536];
    ssize_t n;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    mn_log_init(MN_LOG_INFO, "rank 0");
    for (int i = 0; i < 2000; i++) /* more than a pipe holds */
        mn_log(MN_LOG_INFO, "line %d %0100d", i, 0);
    n = read(ends[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_null(strstr(text, "missing"));
    assert_null(strstr(text, "line 1999 "));
    while (read(ends[0], text, sizeof text) > 0)
        ;
    mn_log(MN_LOG_INFO, "there is room");
    n = read(ends[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    char *told = strstr(text, " lines are missing here");
    assert_non_null(told);
    assert_non_null(strstr(told, "there is room\n"));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

enum { THREADS = 4, LINES = 200 };

static void *chatter(void *user)
{
    for (int i = 0; i < LINES; i++)
        mn_log(MN_LOG_INFO, "%s", (const char *)user);
    return NULL;
}

static void lines_of_many_threads_do_not_mix(void **state)
{
    static char words[THREADS][101];
    pthread_t threads[THREADS];
    int counts[THREADS] = {0};
    (void)state;
    mn_log_init(MN_LOG_INFO, "rank 0");
    for (int i = 0; i < THREADS; i++) {
        memset(words[i], 'a' + i, 100);
        assert_int_equal(pthread_create(&threads[i], NULL, chatter, words[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    char *text = logged();
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); rest != NULL; line = strsep(&rest, "\n")) {
        const char *at = strstr(line, "rank 0: ");
        assert_non_null(at);
        at += strlen("rank 0: ");
        assert_in_range(at[0], 'a', 'a' + THREADS - 1);
        assert_string_equal(at, words[at[0] - 'a']);
        counts[at[0] - 'a']++;
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(counts[i], LINES);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_time_level_who_and_words, redirect, restore),
        cmocka_unit_test_setup_teardown(lines_above_the_level_are_left_out, redirect, restore),
        cmocka_unit_test_setup_teardown(a_listener_hears_what_is_printed_and_nothing_else, redirect,
                                        restore),
        cmocka_unit_test_setup_teardown(a_peer_cannot_forge_a_line_or_move_the_cursor, redirect,
                                        restore),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_still_ends, redirect, restore),
        cmocka_unit_test_setup_teardown(errno_is_left_alone, redirect, restore),
        cmocka_unit_test_setup_teardown(hooks_stand_around_each_line, redirect, restore),
        cmocka_unit_test_setup_teardown(nobody_need_read_the_log, redirect, restore),
        cmocka_unit_test_setup_teardown(lines_of_many_threads_do_not_mix, redirect, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
