#include "coordinator/run/journal_gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static mn_journal_gate gate;

static int set_up(void **state)
{
    (void)state;
    gate = (mn_journal_gate){0};
    return 0;
}

static void a_flood_is_cut_and_counted(void **state)
{
    (void)state;
    uint32_t passed = 0;
    for (uint32_t i = 0; i < 250000; i++) {
        mn_journal_entry entry = {.event = MN_JOURNAL_REFUSED, .at_s = 1e9 + 1e-5 * i, .lost_s = 2};
        passed += mn_journal_gate_passes(&gate, &entry);
    }
    assert_int_equal(passed, 100);
    mn_journal_entry other = {.event = MN_JOURNAL_LOST, .at_s = 1e9 + 3};
    assert_true(mn_journal_gate_passes(&gate, &other)); /* one kind does not shut out another */
    assert_int_equal(other.left_out, 0);
    mn_journal_entry later = {.event = MN_JOURNAL_REFUSED, .at_s = 1e9 + 10.1};
    assert_true(mn_journal_gate_passes(&gate, &later)); /* one in ten seconds */
    assert_int_equal(later.left_out, 250000 - 100);
    assert_true(later.left_out_s == 2.0 * (250000 - 100));
    mn_journal_entry last = {.event = MN_JOURNAL_REFUSED, .at_s = 1e9 + 12};
    assert_false(mn_journal_gate_passes(&gate, &last));
    last.at_s = 1e9 + 5000; /* after a while as many at once as before */
    for (uint32_t i = passed = 0; i < 1000; i++)
        passed += mn_journal_gate_passes(&gate, &last);
    assert_int_equal(passed, 100);
}

static void what_was_left_out_at_last_is_told_at_the_end(void **state)
{
    (void)state;
    mn_journal_entry rest;
    for (uint32_t i = 0; i < 70; i++) {
        mn_journal_entry entry = {
            .event = MN_JOURNAL_SKIPPED, .at_s = 1e9, .step = i + 1, .tasks = 3};
        assert_true(mn_journal_gate_passes(&gate, &entry) == (i < 50));
    }
    assert_true(mn_journal_gate_rest(&gate, MN_JOURNAL_SKIPPED, &rest));
    assert_true(rest.left_out == 20 && rest.left_out_tasks == 60);
    assert_true(rest.step == 0 && rest.tasks == 0);
    assert_false(mn_journal_gate_rest(&gate, MN_JOURNAL_SKIPPED, &rest)); /* once */
}

static void a_clock_that_is_set_back_shuts_nothing_out(void **state)
{
    (void)state;
    mn_journal_entry entry = {.event = MN_JOURNAL_REFUSED, .at_s = 2e9};
    for (uint32_t i = 0; i < 100; i++)
        assert_true(mn_journal_gate_passes(&gate, &entry));
    entry.at_s = 1e9;
    assert_true(mn_journal_gate_passes(&gate, &entry));
}

static void of_waits_the_longest_pass(void **state)
{
    (void)state;
    uint32_t passed = 0;
    mn_journal_entry entry = {.event = MN_JOURNAL_WAITED, .at_s = 1e9};
    for (uint32_t i = 0; i < 100000; i++) { /* all alike: as many as are kept */
        entry.span_s = 0.5 + 0.04 * (i % 2);
        entry.at_s += 0.5;
        passed += mn_journal_gate_passes(&gate, &entry);
    }
    assert_int_equal(passed, MN_GATE_WAITS);
    entry.span_s = 30;
    assert_true(mn_journal_gate_passes(&gate, &entry));
    assert_int_equal(entry.left_out, 100000 - MN_GATE_WAITS);
    assert_in_range((uint64_t)entry.left_out_s, 51900, 52000);
    entry.span_s = 0.5;
    assert_false(mn_journal_gate_passes(&gate, &entry));
    for (uint32_t i = passed = 0; i < 1000000; i++) { /* ever slower */
        entry.span_s = 1 + 1e-4 * i;
        passed += mn_journal_gate_passes(&gate, &entry);
    }
    assert_in_range(passed, 100, 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_flood_is_cut_and_counted, set_up),
        cmocka_unit_test_setup(what_was_left_out_at_last_is_told_at_the_end, set_up),
        cmocka_unit_test_setup(a_clock_that_is_set_back_shuts_nothing_out, set_up),
        cmocka_unit_test_setup(of_waits_the_longest_pass, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
