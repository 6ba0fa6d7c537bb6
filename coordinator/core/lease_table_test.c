#include "coordinator/core/lease_table.h"

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

static mn_status settle(mn_lease_table *table, uint64_t epoch)
{
    return mn_lease_table_settle(table, &epoch, 1, NULL);
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

    assert_int_equal(settle(table, lease.epoch), MN_OK);
    expect_counts(table, 6, 0, 4);
    mn_error err;
    assert_int_equal(mn_lease_table_settle(table, &lease.epoch, 1, &err), MN_ERR_STALE);
    assert_string_equal(err.message, "no lease of epoch 1");
    assert_int_equal(settle(table, 0), MN_ERR_STALE);
    assert_int_equal(settle(table, UINT64_MAX), MN_ERR_STALE);
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
    assert_int_equal(settle(table, late.epoch), MN_OK);
    expect_counts(table, 6, 0, 4);
    assert_int_equal(settle(table, again.epoch), MN_ERR_STALE);
    expect_counts(table, 6, 0, 4);
}

static void an_overdue_lease_may_be_given_more_time(void **state)
{
    mn_lease_table *table = *state;
    mn_grant first = grant(table, 0, 4, 0), other = grant(table, 1, 4, 1), seen;
    assert_false(mn_lease_table_overdue(table, SECOND - 1, &seen));
    assert_true(mn_lease_table_overdue(table, SECOND, &seen));
    assert_int_equal(seen.epoch, first.epoch);
    mn_lease_table_extend(table, first.epoch, 3 * SECOND);
    assert_int_equal(mn_lease_table_next_deadline(table), SECOND + 1);
    assert_int_equal(mn_lease_table_expire(table, 2 * SECOND, &seen, 1), 1);
    assert_int_equal(seen.epoch, other.epoch);
    assert_false(mn_lease_table_overdue(table, 3 * SECOND - 1, &seen));
    mn_lease_table_extend(table, other.epoch, 9 * SECOND); /* it lapsed: nothing happens */
    mn_lease_table_extend(table, 1000, 9 * SECOND);
    assert_int_equal(mn_lease_table_next_deadline(table), 3 * SECOND);
    assert_int_equal(mn_lease_table_expire(table, 3 * SECOND, &seen, 1), 1);
    assert_int_equal(seen.deadline_us, 3 * SECOND);
    assert_int_equal(mn_lease_table_next_deadline(table), MN_NEVER);
    expect_counts(table, 10, 0, 0);
}

static void the_loser_of_an_overlap_gives_back_only_what_nobody_did(void **state)
{
    mn_lease_table *table = *state;
    mn_grant late = grant(table, 0, 4, 0), lapsed[1];
    assert_int_equal(mn_lease_table_expire(table, SECOND, lapsed, 1), 1);
    mn_grant first = grant(table, 1, 1, SECOND), rest = grant(table, 2, 10, SECOND);
    assert_int_equal(rest.n, 3); /* runs are not mixed: not 3..9 */
    assert_int_equal(settle(table, first.epoch), MN_OK);
    assert_int_equal(settle(table, late.epoch), MN_ERR_STALE);
    expect_counts(table, 6, 3, 1);
    assert_int_equal(settle(table, rest.epoch), MN_OK);
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
    assert_int_equal(settle(table, a.epoch), MN_ERR_STALE);
    assert_int_equal(settle(table, b.epoch), MN_ERR_STALE);
    mn_grant lost = grant(table, 1, 1, 0);
    mn_lease_table_give_up(table, 1);
    expect_counts(table, 10, 0, 0);
    assert_int_equal(settle(table, lost.epoch), MN_OK);
}

static void kept_leases_take_no_credit_and_count_with_another(void **state)
{
    mn_lease_table *table = *state;
    mn_grant a = grant(table, 0, 4, 0), b = grant(table, 0, 2, 1), found, lapsed[4];
    assert_true(mn_lease_table_keep(table, a.epoch));
    mn_hand hand = mn_lease_table_hand(table, 0);
    assert_int_equal(hand.leases, 1);
    assert_int_equal(hand.tasks, 2);
    assert_int_equal(hand.kept, 1);
    assert_true(mn_lease_table_find(table, a.epoch, &found) && found.kept);
    expect_counts(table, 4, 6, 0);
    mn_grant c = grant(table, 0, 1, 2);
    assert_true(mn_lease_table_keep(table, b.epoch));

    const uint64_t all[] = {c.epoch, a.epoch, b.epoch};
    assert_int_equal(mn_lease_table_expire(table, SECOND + 1, lapsed, 4), 0); /* of the kept ones */
    assert_int_equal(mn_lease_table_settle(table, all, 3, NULL), MN_OK);
    expect_counts(table, 3, 0, 7);
    hand = mn_lease_table_hand(table, 0);
    assert_int_equal(hand.leases + hand.tasks + hand.kept + hand.lapsed, 0);
}

static void only_a_live_lease_beside_another_can_be_kept(void **state)
{
    mn_lease_table *table = *state;
    mn_grant a = grant(table, 0, 4, 0), found, lapsed[2];
    assert_false(mn_lease_table_keep(table, a.epoch)); /* who would bring it? */
    assert_false(mn_lease_table_keep(table, 0));
    assert_false(mn_lease_table_keep(table, 99));
    assert_int_equal(mn_lease_table_hand(table, 0).kept, 0);
    assert_int_equal(mn_lease_table_expire(table, SECOND, lapsed, 2), 1);
    mn_grant b = grant(table, 0, 1, SECOND), c = grant(table, 0, 1, SECOND);
    assert_false(mn_lease_table_keep(table, a.epoch)); /* lapsed */
    assert_true(mn_lease_table_find(table, a.epoch, &found) && !found.kept && found.lapsed);
    assert_true(mn_lease_table_keep(table, b.epoch));
    assert_false(mn_lease_table_keep(table, b.epoch));
    assert_false(mn_lease_table_keep(table, c.epoch));
    assert_int_equal(mn_lease_table_hand(table, 0).kept, 1);
    assert_int_equal(mn_lease_table_hand(table, 0).leases, 1);

    for (uint32_t i = 2; i <= MN_KEPT_PER_MEMBER + 1; i++) { /* one too many: it stays live */
        b = grant(table, 0, 1, SECOND);
        assert_int_equal(mn_lease_table_keep(table, b.epoch), i <= MN_KEPT_PER_MEMBER);
    }
    assert_int_equal(mn_lease_table_hand(table, 0).kept, MN_KEPT_PER_MEMBER);
    assert_int_equal(mn_lease_table_hand(table, 0).leases, 2);
}

static void kept_leases_lapse_when_nobody_brings_them(void **state)
{
    mn_lease_table *table = *state;
    mn_grant a = grant(table, 0, 4, 0), b = grant(table, 0, 2, 0), found, lapsed[2];
    assert_true(mn_lease_table_keep(table, a.epoch));
    assert_int_equal(settle(table, b.epoch), MN_OK); /* without it */
    expect_counts(table, 8, 0, 2);
    assert_true(mn_lease_table_find(table, a.epoch, &found) && found.lapsed);
    assert_int_equal(settle(table, a.epoch), MN_OK); /* late, and welcome */

    a = grant(table, 0, 1, 0), b = grant(table, 0, 1, 0);
    assert_true(mn_lease_table_keep(table, a.epoch));
    mn_grant c = grant(table, 0, 1, 0);
    mn_lease_table_release(table, b.epoch); /* its result was damaged: perhaps the sum of both */
    expect_counts(table, 3, 1, 6);
    assert_int_equal(mn_lease_table_hand(table, 0).kept, 0);
    assert_int_equal(settle(table, c.epoch), MN_OK);

    a = grant(table, 1, 1, 0), b = grant(table, 1, 1, 0);
    assert_true(mn_lease_table_keep(table, a.epoch));
    assert_int_equal(mn_lease_table_expire(table, 2 * SECOND, lapsed, 2), 1);
    assert_int_equal(lapsed[0].epoch, b.epoch);
    expect_counts(table, 3, 0, 7);

    a = grant(table, 2, 1, 0), b = grant(table, 2, 1, 0);
    assert_true(mn_lease_table_keep(table, a.epoch));
    mn_lease_table_give_up(table, 2);
    expect_counts(table, 3, 0, 7);
    assert_int_equal(mn_lease_table_hand(table, 2).lapsed, 2);
    mn_lease_table_release_member(table, 2);
    assert_false(mn_lease_table_find(table, a.epoch, &found));
}

static void all_that_a_member_can_have_in_hand_may_lapse_and_still_count(void **state)
{
    mn_lease_table *table = *state;
    mn_grant lapsed[2];
    uint64_t all[MN_KEPT_PER_MEMBER + 1];
    for (uint32_t i = 0; i <= MN_KEPT_PER_MEMBER; i++) {
        all[i] = grant(table, 0, 1, 0).epoch;
        if (i > 0)
            assert_true(mn_lease_table_keep(table, all[i - 1]));
    }
    (void)grant(table, 0, 1, 0);
    assert_int_equal(mn_lease_table_expire(table, SECOND, lapsed, 2), 2);
    assert_int_equal(mn_lease_table_hand(table, 0).lapsed, MN_KEPT_PER_MEMBER + 2);
    assert_int_equal(mn_lease_table_settle(table, all, MN_KEPT_PER_MEMBER + 1, NULL), MN_OK);
}

static void of_leases_in_one_sum_all_count_or_none(void **state)
{
    mn_lease_table *table = *state;
    mn_grant a = grant(table, 0, 3, 0), b = grant(table, 0, 2, 0), lapsed[2];
    assert_int_equal(mn_lease_table_expire(table, SECOND, lapsed, 2), 2);
    mn_grant other = grant(table, 1, 1, SECOND);
    mn_grant again = grant(table, 0, 3, SECOND); /* what it had before */
    assert_int_equal(other.begin, b.begin);
    assert_int_equal(again.begin, b.begin + 1);
    const uint64_t twice[] = {again.epoch, a.epoch, b.epoch};
    mn_error err;
    assert_int_equal(mn_lease_table_settle(table, twice, 3, &err), MN_ERR_STALE);
    assert_non_null(strstr(err.message, "tasks in common"));
    expect_counts(table, 9, 1, 0);

    a = grant(table, 0, 3, SECOND), b = grant(table, 0, 2, SECOND);
    const uint64_t strange[] = {b.epoch, a.epoch, 12345};
    assert_int_equal(mn_lease_table_settle(table, strange, 3, NULL), MN_ERR_STALE);
    expect_counts(table, 9, 1, 0);
    assert_false(mn_lease_table_find(table, a.epoch, &again));
    assert_false(mn_lease_table_find(table, b.epoch, &again));
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
    assert_int_equal(settle(table, late.epoch), MN_ERR_STALE);
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
    assert_int_equal(settle(table, old.epoch), MN_ERR_STALE);
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
enum { TASKS = 300, MEMBERS = 7, GIVEN = 64, DONE = -2, FREE = -1 };

struct plain {
    struct {
        mn_grant grant; /* epoch 0: none */
        bool live, kept;
    } given[GIVEN];
    int owner[TASKS]; /* DONE, FREE, or place in given */
};

static void plain_free(struct plain *plain, int k)
{
    plain->given[k].live = plain->given[k].kept = false;
    for (int t = 0; t < TASKS; t++)
        plain->owner[t] = plain->owner[t] == k ? FREE : plain->owner[t];
}

static void plain_lapse_kept(struct plain *plain, uint32_t member)
{
    for (int k = 0; k < GIVEN; k++)
        if (plain->given[k].kept && plain->given[k].grant.member == member)
            plain_free(plain, k);
}

static uint32_t plain_live(const struct plain *plain, uint32_t member)
{
    uint32_t n = 0;
    for (int k = 0; k < GIVEN; k++)
        n +=
            plain->given[k].live && !plain->given[k].kept && plain->given[k].grant.member == member;
    return n;
}

/* Settle lease k, and with it some of the same member that are kept. */
static void settle_in_both(mn_lease_table *table, struct plain *plain, int k, bool with_kept)
{
    uint32_t member = plain->given[k].grant.member;
    uint64_t epochs[GIVEN];
    int places[GIVEN];
    size_t n = 0;
    uint32_t covered[TASKS] = {0};
    bool fresh = true, any_known = false;
    for (int j = 0; j < GIVEN; j++) {
        if (j != k &&
            !(with_kept && plain->given[j].kept && plain->given[j].grant.member == member))
            continue;
        mn_grant found;
        bool known = mn_lease_table_find(table, plain->given[j].grant.epoch, &found);
        assert_true(known || !plain->given[j].live);
        any_known = any_known || known;
        fresh = fresh && known;
        for (uint32_t t = 0; t < plain->given[j].grant.n; t++) {
            uint32_t task = plain->given[j].grant.begin + t;
            fresh = fresh && plain->owner[task] != DONE && covered[task]++ == 0;
        }
        epochs[n] = plain->given[j].grant.epoch;
        places[n++] = j;
    }
    assert_int_equal(mn_lease_table_settle(table, epochs, n, NULL), fresh ? MN_OK : MN_ERR_STALE);
    for (size_t i = 0; i < n; i++) {
        if (plain->given[places[i]].live)
            plain_free(plain, places[i]);
        memset(&plain->given[places[i]], 0, sizeof plain->given[0]);
    }
    for (int t = 0; t < TASKS; t++)
        plain->owner[t] = fresh && covered[t] > 0 ? DONE : plain->owner[t];
    if (any_known && (!fresh || plain_live(plain, member) == 0))
        plain_lapse_kept(plain, member);
}

static void it_agrees_with_a_plain_array_of_tasks(void **state)
{
    (void)state;
    static struct plain plain;
    mn_lease_table *table = NULL;
    assert_int_equal(mn_lease_table_new(MEMBERS, 2, &table, NULL), MN_OK);
    uint64_t now = 0, random = 1;
    uint32_t done = TASKS, most_kept = 0;
    for (int i = 0; i < 200000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint32_t dice = (uint32_t)(random >> 40);
        if (done == TASKS) {
            assert_int_equal(mn_lease_table_reset(table, TASKS, NULL), MN_OK);
            assert_int_equal(mn_lease_table_add(table, 0, TASKS, NULL), MN_OK);
            memset(&plain, 0, sizeof plain);
            for (int t = 0; t < TASKS; t++)
                plain.owner[t] = FREE;
        }
        now += dice % 50;
        mn_grant lapsed[GIVEN];
        size_t n_lapsed = mn_lease_table_expire(table, now, lapsed, GIVEN);
        for (int k = 0; k < GIVEN; k++)
            if (plain.given[k].live && !plain.given[k].kept &&
                plain.given[k].grant.deadline_us <= now) {
                plain_free(&plain, k);
                plain_lapse_kept(&plain, plain.given[k].grant.member);
                n_lapsed--;
            }
        assert_int_equal(n_lapsed, 0);

        int k = (int)(dice / 64 % GIVEN);
        uint32_t member = dice / 4096 % MEMBERS;
        mn_grant *grant = &plain.given[k].grant;
        if (dice % 3 == 0 && !plain.given[k].live && mn_lease_table_counts(table).free > 0 &&
            mn_lease_table_hand(table, member).leases < 2) {
            assert_int_equal(mn_lease_table_grant(table, member, 1 + dice % 17, now, 300, dice % 40,
                                                  grant, NULL),
                             MN_OK);
            plain.given[k].live = true;
            for (uint32_t t = 0; t < grant->n; t++) {
                assert_int_equal(plain.owner[grant->begin + t], FREE);
                plain.owner[grant->begin + t] = k;
            }
        } else if (dice % 3 == 1 && dice % 2 == 1 && grant->epoch != 0) {
            uint32_t kept = mn_lease_table_hand(table, grant->member).kept;
            bool may = plain.given[k].live && !plain.given[k].kept &&
                       plain_live(&plain, grant->member) > 1 && kept < MN_KEPT_PER_MEMBER;
            assert_int_equal(mn_lease_table_keep(table, grant->epoch), may);
            plain.given[k].kept = plain.given[k].kept || may;
            assert_int_equal(mn_lease_table_hand(table, grant->member).kept, kept + may);
            most_kept = kept + may > most_kept ? kept + may : most_kept;
        } else if (dice % 3 == 1 && grant->epoch != 0) {
            settle_in_both(table, &plain, k, dice % 4 == 0);
        } else if (dice % 97 == 2) {
            mn_lease_table_release_member(table, member);
            for (int j = 0; j < GIVEN; j++)
                if (plain.given[j].grant.epoch != 0 && plain.given[j].grant.member == member) {
                    plain_free(&plain, j);
                    memset(&plain.given[j], 0, sizeof plain.given[j]);
                }
        }
        uint32_t free = 0;
        done = 0;
        for (int t = 0; t < TASKS; t++) {
            free += plain.owner[t] == FREE;
            done += plain.owner[t] == DONE;
        }
        expect_counts(table, free, TASKS - free - done, done);
    }
    assert_true(most_kept > 1);
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
        cmocka_unit_test_setup_teardown(an_overdue_lease_may_be_given_more_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_loser_of_an_overlap_gives_back_only_what_nobody_did,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            deadlines_double_with_each_attempt_and_grow_with_the_tasks_in_hand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_gone_member_held_is_free_and_its_results_are_refused,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            parts_of_a_range_are_settled_and_returned_by_their_holder_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kept_leases_take_no_credit_and_count_with_another, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_a_live_lease_beside_another_can_be_kept, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(kept_leases_lapse_when_nobody_brings_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            all_that_a_member_can_have_in_hand_may_lapse_and_still_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_leases_in_one_sum_all_count_or_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tasks_taken_back_are_not_ours_any_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(results_of_an_earlier_round_are_refused, set_up, tear_down),
        cmocka_unit_test(a_lease_is_half_of_the_share_in_whole_waves),
        cmocka_unit_test(it_agrees_with_a_plain_array_of_tasks),
        cmocka_unit_test(sizes_beyond_the_limits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
