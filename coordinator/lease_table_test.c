#include "coordinator/lease_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static int set_up(void **state) /* ten free tasks, three members of credit 2 */
{
    mn_lease_table *table = NULL;
    if (mn_lease_table_new(3, 2, &table, NULL) != MN_OK ||
        mn_lease_table_reset(table, 10, NULL) != MN_OK ||
        mn_lease_table_add(table, 0, 10, NULL) != MN_OK)
        return -1;
    *state = table;
    return 0;
}

static int tear_down(void **state)
{
    mn_lease_table *table = *state;
    mn_lease_table_destroy(&table);
    return table == NULL ? 0 : -1;
}

static mn_grant grant(mn_lease_table *table, uint32_t member, uint32_t max_n, uint64_t now_us)
{
    mn_grant lease = {0};
    assert_int_equal(mn_lease_table_grant(table, member, max_n, now_us, SECOND, 0, &lease, NULL),
                     MN_OK);
    return lease;
}

static void expect_counts(const mn_lease_table *table, uint32_t free, uint32_t held, uint32_t done)
{
    mn_task_counts counts = mn_lease_table_counts(table);
    assert_int_equal(counts.free, free);
    assert_int_equal(counts.held, held);
    assert_int_equal(counts.done, done);
    assert_int_equal(counts.total, free + held + done);
}

static void a_lease_is_granted_and_settled_once(void **state)
{
    mn_lease_table *table = *state;
    mn_grant lease = grant(table, 0, 4, 0);
    assert_int_equal(lease.begin, 0);
    assert_int_equal(lease.n, 4);
    expect_counts(table, 6, 4, 0);
    assert_int_equal(mn_lease_table_hand(table, 0).tasks, 4);

    assert_int_equal(mn_lease_table_settle(table, lease.epoch, NULL), MN_OK);
    expect_counts(table, 6, 0, 4);
    mn_error err;
    assert_int_equal(mn_lease_table_settle(table, lease.epoch, &err), MN_ERR_STALE);
    assert_string_equal(err.message, "no lease of epoch 1");
    assert_int_equal(mn_lease_table_settle(table, 0, NULL), MN_ERR_STALE);
    assert_int_equal(mn_lease_table_settle(table, UINT64_MAX, NULL), MN_ERR_STALE);
    expect_counts(table, 6, 0, 4);
}

static void nobody_holds_more_than_the_credit(void **state)
{
    mn_lease_table *table = *state;
    mn_grant lease;
    (void)grant(table, 0, 1, 0);
    (void)grant(table, 0, 1, 0);
    assert_int_equal(mn_lease_table_grant(table, 0, 1, 0, SECOND, 0, &lease, NULL), MN_ERR_STATE);
    (void)grant(table, 1, 8, 0);
    assert_int_equal(mn_lease_table_grant(table, 2, 1, 0, SECOND, 0, &lease, NULL), MN_ERR_STATE);
}

static void a_late_result_is_welcome_until_another_is_first(void **state)
{
    mn_lease_table *table = *state;
    mn_grant late = grant(table, 0, 4, 0), lapsed[2];
    assert_int_equal(mn_lease_table_expire(table, SECOND - 1, lapsed, 2), 0);
    assert_int_equal(mn_lease_table_expire(table, SECOND, lapsed, 2), 1);
    assert_int_equal(lapsed[0].epoch, late.epoch);
    expect_counts(table, 10, 0, 0);

    mn_grant again = grant(table, 1, 4, SECOND);
    assert_int_equal(again.begin, 0);
    assert_int_equal(again.attempt, 1);
    assert_int_equal(mn_lease_table_settle(table, late.epoch, NULL), MN_OK);
    expect_counts(table, 6, 0, 4);
    assert_int_equal(mn_lease_table_settle(table, again.epoch, NULL), MN_ERR_STALE);
    expect_counts(table, 6, 0, 4);
}

static void the_loser_of_an_overlap_gives_back_only_what_nobody_did(void **state)
{
    mn_lease_table *table = *state;
    mn_grant late = grant(table, 0, 4, 0), lapsed[1];
    assert_int_equal(mn_lease_table_expire(table, SECOND, lapsed, 1), 1);
    mn_grant first = grant(table, 1, 1, SECOND), rest = grant(table, 2, 10, SECOND);
    assert_int_equal(rest.n, 3); /* runs are not mixed: not 3..9 */
    assert_int_equal(mn_lease_table_settle(table, first.epoch, NULL), MN_OK);
    assert_int_equal(mn_lease_table_settle(table, late.epoch, NULL), MN_ERR_STALE);
    expect_counts(table, 6, 3, 1);
    assert_int_equal(mn_lease_table_settle(table, rest.epoch, NULL), MN_OK);
    expect_counts(table, 6, 0, 4);
}

static void deadlines_double_with_each_attempt_and_grow_with_the_tasks_in_hand(void **state)
{
    mn_lease_table *table = *state;
    mn_grant lease, lapsed[4];
    assert_int_equal(mn_lease_table_grant(table, 0, 4, 100, 5, 10, &lease, NULL), MN_OK);
    assert_int_equal(lease.deadline_us, 140);
    assert_int_equal(mn_lease_table_grant(table, 0, 2, 100, 5, 10, &lease, NULL), MN_OK);
    assert_int_equal(lease.deadline_us, 160);
    assert_int_equal(mn_lease_table_next_deadline(table), 140);
    assert_int_equal(mn_lease_table_expire(table, 200, lapsed, 4), 2);
    assert_int_equal(mn_lease_table_next_deadline(table), MN_NEVER);
    assert_int_equal(mn_lease_table_grant(table, 1, 2, 200, 50, 10, &lease, NULL), MN_OK);
    assert_int_equal(lease.deadline_us, 300);
    assert_int_equal(mn_lease_table_grant(table, 1, 2, 200, MN_NEVER, 10, &lease, NULL), MN_OK);
    assert_int_equal(lease.deadline_us, MN_NEVER);
    assert_int_equal(mn_lease_table_grant(table, 2, 2, 200, 1, UINT64_MAX, &lease, NULL), MN_OK);
    assert_int_equal(lease.deadline_us, MN_NEVER);
}

static void what_a_gone_member_held_is_free_and_its_results_are_refused(void **state)
{
    mn_lease_table *table = *state;
    mn_grant a = grant(table, 0, 4, 0), b = grant(table, 0, 2, 0);
    mn_lease_table_release_member(table, 0);
    expect_counts(table, 10, 0, 0);
    assert_int_equal(mn_lease_table_hand(table, 0).leases, 0);
    assert_int_equal(mn_lease_table_settle(table, a.epoch, NULL), MN_ERR_STALE);
    assert_int_equal(mn_lease_table_settle(table, b.epoch, NULL), MN_ERR_STALE);
    mn_grant lost = grant(table, 1, 1, 0);
    mn_lease_table_give_up(table, 1);
    expect_counts(table, 10, 0, 0);
    assert_int_equal(mn_lease_table_settle(table, lost.epoch, NULL), MN_OK);
}

static void parts_of_a_range_are_settled_and_returned_by_their_holder_alone(void **state)
{
    mn_lease_table *table = *state;
    (void)grant(table, 0, 5, 0);
    (void)grant(table, 1, 5, 0);
    assert_int_equal(mn_lease_table_settle_range(table, 0, 4, 2, NULL), MN_ERR_STALE);
    assert_int_equal(mn_lease_table_settle_range(table, 0, 8, 3, NULL), MN_ERR_STALE);
    assert_int_equal(mn_lease_table_settle_range(table, 0, 3, UINT32_MAX, NULL), MN_ERR_STALE);
    assert_int_equal(mn_lease_table_settle_range(table, 0, 1, 2, NULL), MN_OK);
    assert_int_equal(mn_lease_table_settle_range(table, 0, 1, 1, NULL), MN_ERR_STALE);
    assert_int_equal(mn_lease_table_release_range(table, 0, 3, 2, NULL), MN_OK);
    assert_int_equal(mn_lease_table_settle_range(table, 0, 3, 2, NULL), MN_ERR_STALE);
    expect_counts(table, 2, 6, 2);
    assert_int_equal(mn_lease_table_settle_range(table, 0, 0, 1, NULL), MN_OK);
    assert_int_equal(mn_lease_table_hand(table, 0).leases, 0);
}

static void tasks_taken_back_are_not_ours_any_more(void **state)
{
    mn_lease_table *table = *state;
    mn_grant late = grant(table, 0, 4, 0), lapsed[1];
    uint32_t begin, n;
    assert_int_equal(mn_lease_table_expire(table, SECOND, lapsed, 1), 1);
    assert_true(mn_lease_table_take_back(table, 100, &begin, &n));
    assert_int_equal(begin, 0);
    assert_int_equal(n, 4);
    assert_int_equal(mn_lease_table_settle(table, late.epoch, NULL), MN_ERR_STALE);
    assert_true(mn_lease_table_take_back(table, 5, &begin, &n));
    assert_true(mn_lease_table_take_back(table, 5, &begin, &n));
    assert_false(mn_lease_table_take_back(table, 5, &begin, &n));
    assert_int_equal(mn_lease_table_counts(table).total, 0);
    assert_int_equal(mn_lease_table_add(table, 9, 2, NULL), MN_ERR_RANGE);
    assert_int_equal(mn_lease_table_add(table, 8, 2, NULL), MN_OK);
    assert_int_equal(mn_lease_table_add(table, 7, 2, NULL), MN_ERR_STATE);
    expect_counts(table, 2, 0, 0);
}

static void results_of_an_earlier_round_are_refused(void **state)
{
    mn_lease_table *table = *state;
    mn_grant old = grant(table, 0, 10, 0);
    assert_int_equal(mn_lease_table_reset(table, 20, NULL), MN_OK);
    assert_int_equal(mn_lease_table_add(table, 0, 20, NULL), MN_OK);
    assert_int_equal(mn_lease_table_settle(table, old.epoch, NULL), MN_ERR_STALE);
    assert_true(grant(table, 0, 10, 0).epoch > old.epoch);
    assert_int_equal(mn_lease_table_reset(table, MN_LEASE_TABLE_MAX_TASKS + 1, NULL), MN_ERR_RANGE);
}

static void a_lease_is_half_of_the_share_in_whole_waves(void **state)
{
    (void)state;
    assert_int_equal(mn_lease_size(120, 2, 4), 30);
    assert_int_equal(mn_lease_size(120, 7, 14), 28);
    assert_int_equal(mn_lease_size(3, 2, 100), 2);
    assert_int_equal(mn_lease_size(1, 2, 100), 1);
    assert_int_equal(mn_lease_size(30, 1, 1), 15);
    assert_int_equal(mn_lease_size(30, 0, 0), 15);
    assert_int_equal(mn_lease_size(UINT32_MAX, UINT32_MAX, UINT32_MAX), UINT32_MAX);
}

/* The table against a plain array of tasks, through 200,000 random operations. */
enum { TASKS = 300, MEMBERS = 7, KEPT = 64 };

static void it_agrees_with_a_plain_array_of_tasks(void **state)
{
    (void)state;
    struct {
        mn_grant grant;
        bool live;
    } kept[KEPT] = {0};
    int owner[TASKS]; /* -2 done, -1 free, else place in kept */
    mn_lease_table *table = NULL;
    assert_int_equal(mn_lease_table_new(MEMBERS, 2, &table, NULL), MN_OK);
    uint64_t now = 0, random = 1;
    uint32_t done = TASKS;
    for (int i = 0; i < 200000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint32_t dice = (uint32_t)(random >> 40);
        if (done == TASKS) {
            assert_int_equal(mn_lease_table_reset(table, TASKS, NULL), MN_OK);
            assert_int_equal(mn_lease_table_add(table, 0, TASKS, NULL), MN_OK);
            memset(kept, 0, sizeof kept);
            for (int t = 0; t < TASKS; t++)
                owner[t] = -1;
            done = 0;
        }
        now += dice % 50;
        mn_grant lapsed[KEPT];
        size_t n_lapsed = mn_lease_table_expire(table, now, lapsed, KEPT);
        for (int k = 0; k < KEPT; k++)
            if (kept[k].live && kept[k].grant.deadline_us <= now) {
                kept[k].live = false;
                n_lapsed--;
                for (int t = 0; t < TASKS; t++)
                    owner[t] = owner[t] == k ? -1 : owner[t];
            }
        assert_int_equal(n_lapsed, 0);

        int k = (int)(dice / 64 % KEPT);
        uint32_t member = dice / 4096 % MEMBERS;
        if (dice % 3 == 0 && !kept[k].live && mn_lease_table_counts(table).free > 0 &&
            mn_lease_table_hand(table, member).leases < 2) {
            assert_int_equal(mn_lease_table_grant(table, member, 1 + dice % 17, now, 300, dice % 40,
                                                  &kept[k].grant, NULL),
                             MN_OK);
            kept[k].live = true;
            for (uint32_t t = 0; t < kept[k].grant.n; t++) {
                assert_int_equal(owner[kept[k].grant.begin + t], -1);
                owner[kept[k].grant.begin + t] = k;
            }
        } else if (dice % 3 == 1 && kept[k].grant.epoch != 0) {
            mn_grant found;
            bool known = mn_lease_table_find(table, kept[k].grant.epoch, &found);
            assert_true(known || !kept[k].live);
            bool fresh = known;
            for (uint32_t t = 0; t < kept[k].grant.n; t++)
                fresh = fresh && owner[kept[k].grant.begin + t] != -2;
            assert_int_equal(mn_lease_table_settle(table, kept[k].grant.epoch, NULL),
                             fresh ? MN_OK : MN_ERR_STALE);
            for (int t = 0; t < TASKS; t++) {
                bool inside = t >= (int)kept[k].grant.begin &&
                              t < (int)(kept[k].grant.begin + kept[k].grant.n);
                if (fresh && inside)
                    owner[t] = -2;
                else if (owner[t] == k && kept[k].live)
                    owner[t] = -1;
            }
            memset(&kept[k], 0, sizeof kept[k]);
        } else if (dice % 97 == 2) {
            mn_lease_table_release_member(table, member);
            for (int j = 0; j < KEPT; j++)
                if (kept[j].grant.epoch != 0 && kept[j].grant.member == member) {
                    for (int t = 0; t < TASKS; t++)
                        owner[t] = owner[t] == j ? -1 : owner[t];
                    memset(&kept[j], 0, sizeof kept[j]);
                }
        }
        uint32_t free = 0;
        done = 0;
        for (int t = 0; t < TASKS; t++) {
            free += owner[t] == -1;
            done += owner[t] == -2;
        }
        expect_counts(table, free, TASKS - free - done, done);
    }
    mn_lease_table_destroy(&table);
}

static void sizes_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    mn_lease_table *table = NULL;
    assert_int_equal(mn_lease_table_new(0, 2, &table, NULL), MN_ERR_RANGE);
    assert_int_equal(mn_lease_table_new(1, 0, &table, NULL), MN_ERR_RANGE);
    assert_int_equal(mn_lease_table_new(MN_LEASE_TABLE_MAX_MEMBERS + 1, 2, &table, NULL),
                     MN_ERR_RANGE);
    assert_null(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lease_is_granted_and_settled_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_holds_more_than_the_credit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_late_result_is_welcome_until_another_is_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_loser_of_an_overlap_gives_back_only_what_nobody_did,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            deadlines_double_with_each_attempt_and_grow_with_the_tasks_in_hand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_gone_member_held_is_free_and_its_results_are_refused,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            parts_of_a_range_are_settled_and_returned_by_their_holder_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tasks_taken_back_are_not_ours_any_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(results_of_an_earlier_round_are_refused, set_up, tear_down),
        cmocka_unit_test(a_lease_is_half_of_the_share_in_whole_waves),
        cmocka_unit_test(it_agrees_with_a_plain_array_of_tasks),
        cmocka_unit_test(sizes_beyond_the_limits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
