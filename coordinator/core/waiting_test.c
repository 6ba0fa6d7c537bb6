#include "coordinator/core/waiting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS UINT64_C(1000)

static void a_wait_is_of_the_one_who_ended_its_longest_part(void **state)
{
    (void)state;
    mn_waiting waiting = {0};
    mn_note note = {0};
    mn_waiting_open(&waiting, 100 * MS);
    mn_waiting_blame(&waiting, "early"); /* nothing waits yet */
    mn_waiting_look(&waiting, false, 0, 200 * MS);
    mn_waiting_look(&waiting, true, 3, 300 * MS);
    mn_waiting_look(&waiting, true, 5, 350 * MS);
    mn_waiting_blame(&waiting, "short");
    mn_waiting_look(&waiting, false, 0, 400 * MS);
    mn_waiting_look(&waiting, true, 4, 500 * MS);
    mn_waiting_blame(&waiting, "long");
    assert_true(mn_waiting_close(&waiting, 800 * MS, &note));
    assert_int_equal(note.span_us, 400 * MS);
    assert_int_equal(note.threads, 5);
    assert_string_equal(note.who, "long");
}

static void short_waits_are_not_worth_a_word(void **state)
{
    (void)state;
    mn_waiting waiting = {0};
    mn_note note = {0};
    mn_waiting_open(&waiting, 0);
    mn_waiting_look(&waiting, true, 1, 10 * MS);
    assert_false(mn_waiting_close(&waiting, 109 * MS, &note)); /* 99 ms */
    mn_waiting_open(&waiting, 1000 * MS);
    mn_waiting_look(&waiting, true, 1, 1601 * MS);
    assert_false(mn_waiting_close(&waiting, 1800 * MS, &note)); /* less than a quarter */
    mn_waiting_open(&waiting, 2000 * MS);
    mn_waiting_look(&waiting, true, 1, 2600 * MS);
    assert_true(mn_waiting_close(&waiting, 2800 * MS, &note));
    mn_waiting_open(&waiting, 3000 * MS);
    assert_false(mn_waiting_close(&waiting, 3500 * MS, &note)); /* nothing is left of before */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_is_of_the_one_who_ended_its_longest_part),
        cmocka_unit_test(short_waits_are_not_worth_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
