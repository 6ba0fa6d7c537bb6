#include "common/log_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Standard error goes into this file while lines are logged. */
static FILE *kept;

static int set_up(void **state)
{
    (void)state;
    kept = tmpfile();
    mn_log_init(MN_LOG_INFO, "test");
    return kept == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return fclose(kept);
}

static void knock(mn_log_limit *limit, uint64_t now_us, unsigned times)
{
    (void)fflush(stderr);
    int before = dup(STDERR_FILENO);
    assert_true(dup2(fileno(kept), STDERR_FILENO) >= 0);
    for (unsigned i = 0; i < times; i++)
        mn_log_limited(limit, now_us, MN_LOG_WARN, "knock %u", i);
    (void)fflush(stderr);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(before);
}

static unsigned lines_with(const char *words)
{
    char line[1024];
    unsigned n = 0;
    rewind(kept);
    while (fgets(line, sizeof line, kept) != NULL)
        n += strstr(line, words) != NULL;
    (void)fseek(kept, 0, SEEK_END);
    return n;
}

static void a_flood_is_a_few_lines_and_then_a_number(void **state)
{
    (void)state;
    mn_log_limit limit = {0};
    knock(&limit, 5, 1000);
    assert_int_equal(lines_with("knock"), MN_LOG_LIMIT_LINES);
    knock(&limit, 5 + MN_LOG_LIMIT_US - 1, 1);
    assert_int_equal(lines_with("knock"), MN_LOG_LIMIT_LINES);
    knock(&limit, 5 + MN_LOG_LIMIT_US, 1);
    assert_int_equal(lines_with("knock"), MN_LOG_LIMIT_LINES + 1);
    assert_int_equal(lines_with("991 more lines like the next were left out"), 1);
}

static void a_line_now_and_then_is_always_told(void **state)
{
    (void)state;
    mn_log_limit limit = {0};
    for (uint64_t i = 0; i < 50; i++)
        knock(&limit, i * MN_LOG_LIMIT_US / 5, 1);
    assert_int_equal(lines_with("knock 0"), 50);
    assert_int_equal(lines_with("left out"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_flood_is_a_few_lines_and_then_a_number, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_line_now_and_then_is_always_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
