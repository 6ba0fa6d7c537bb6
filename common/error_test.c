#include "common/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_status_has_a_text_and_an_exit_code(void **state)
{
    (void)state;
#define X(name, text, exit_code)                                                                   \
    assert_string_equal(mn_status_text(name), text);                                               \
    assert_int_equal(mn_status_exit_code(name), exit_code);
    MN_STATUS_LIST(X)
#undef X
}

static void a_number_that_is_no_status_is_told_as_such(void **state)
{
    (void)state;
    assert_string_equal(mn_status_text((mn_status)1000), "unknown status");
    assert_int_equal(mn_status_exit_code((mn_status)1000), 70);
}

static void failing_fills_the_error_and_returns_the_status(void **state)
{
    mn_error err = {0};
    (void)state;
    assert_int_equal(mn_fail(&err, MN_ERR_CONFIG, "key %d", 7), MN_ERR_CONFIG);
    assert_int_equal(err.status, MN_ERR_CONFIG);
    assert_string_equal(err.message, "key 7");
    assert_int_equal(mn_fail(NULL, MN_ERR_DATA, "nobody listens"), MN_ERR_DATA);
}

static void a_long_message_is_cut_and_still_ends(void **state)
{
    mn_error err;
    char words[2 * sizeof err.message];
    (void)state;
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    (void)mn_fail(&err, MN_ERR_DATA, "%s", words);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    errno = EIO;
    assert_int_equal(mn_fail_errno(&err, "%s", words), MN_ERR_IO);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void errno_chooses_the_status_and_ends_the_message(void **state)
{
    static const struct {
        int number;
        mn_status status;
    } cases[] = {{EACCES, MN_ERR_PERMISSION}, {EPERM, MN_ERR_PERMISSION},
                 {EROFS, MN_ERR_PERMISSION},  {ENOENT, MN_ERR_NO_INPUT},
                 {ENOMEM, MN_ERR_NOMEM},      {ENOSPC, MN_ERR_IO}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_error err;
        char expected[128] = "open x: ";
        strcat(expected, strerror(cases[i].number));
        errno = cases[i].number;
        assert_int_equal(mn_fail_errno(&err, "open %s", "x"), cases[i].status);
        assert_string_equal(err.message, expected);
        assert_int_equal(err.status, cases[i].status);
        assert_int_equal(errno, cases[i].number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_text_and_an_exit_code),
        cmocka_unit_test(a_number_that_is_no_status_is_told_as_such),
        cmocka_unit_test(failing_fills_the_error_and_returns_the_status),
        cmocka_unit_test(a_long_message_is_cut_and_still_ends),
        cmocka_unit_test(errno_chooses_the_status_and_ends_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
