#include "coordinator/core/members.h"

#include "coordinator/core/deadlines.h"
#include "coordinator/core/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_member_moves_as_the_table_says_and_no_other_way(void **state)
{
    (void)state;
    mn_members *members = NULL;
    assert_int_equal(mn_members_new(2, &members, NULL), MN_OK);
    mn_member *member = mn_members_add(members, 5);
    assert_false(mn_member_move_to(members, member, MN_MEMBER_JOIN));
    assert_false(mn_member_move_to(members, member, MN_MEMBER_LEAVE));
    assert_true(mn_member_move_to(members, member, MN_MEMBER_HELLO));
    assert_true(mn_member_move_to(members, member, MN_MEMBER_JOIN));
    assert_false(mn_member_move_to(members, member, MN_MEMBER_JOIN));
    assert_int_equal(member->state, MN_MEMBER_READY);
    assert_true(mn_member_move_to(members, member, MN_MEMBER_LEAVE));
    assert_false(mn_member_move_to(members, member, MN_MEMBER_JOIN));
    assert_ptr_equal(mn_members_find(members, 5), member);
    assert_true(mn_member_move_to(members, member, MN_MEMBER_END));
    assert_null(mn_members_find(members, 5));
    assert_int_equal(mn_members_count(members), 0);
    mn_members_destroy(&members);
}

static void members_are_found_however_many_come_and_go(void **state)
{
    (void)state;
    enum { PLACES = 50, PEERS = 400 };
    mn_members *members = NULL;
    bool here[PEERS] = {false};
    uint32_t n = 0;
    assert_int_equal(mn_members_new(PLACES, &members, NULL), MN_OK);
    srand(1);
    for (int i = 0; i < 20000; i++) {
        int peer = rand() % PEERS;
        mn_member *member = mn_members_find(members, (uint64_t)peer);
        assert_int_equal(member != NULL, here[peer]);
        if (member != NULL) {
            assert_true(mn_member_move_to(members, member, MN_MEMBER_END));
            here[peer] = false;
            n--;
        } else if ((member = mn_members_add(members, (uint64_t)peer)) != NULL) {
            assert_true(mn_member_move_to(members, member, MN_MEMBER_HELLO));
            mn_members_queue(members, member);
            mn_members_queue(members, member);
            here[peer] = true;
            n++;
        } else {
            assert_int_equal(n, PLACES);
        }
        assert_int_equal(mn_members_count(members), n);
        if (i % 5 == 0)
            (void)mn_members_unqueue(members);
    }
    mn_members_destroy(&members);
}

static void the_queue_is_first_come_first_served(void **state)
{
    (void)state;
    mn_members *members = NULL;
    assert_int_equal(mn_members_new(3, &members, NULL), MN_OK);
    for (uint64_t peer = 0; peer < 3; peer++)
        mn_members_queue(members, mn_members_add(members, peer));
    assert_null(mn_members_add(members, 3));
    mn_member *first = mn_members_unqueue(members);
    assert_int_equal(first->peer, 0);
    mn_members_queue(members, first);
    assert_int_equal(mn_members_unqueue(members)->peer, 1);
    assert_int_equal(mn_members_unqueue(members)->peer, 2);
    assert_int_equal(mn_members_unqueue(members)->peer, 0);
    assert_null(mn_members_unqueue(members));
    mn_members_destroy(&members);
}

static void the_earliest_deadline_is_first_whatever_is_taken_out(void **state)
{
    (void)state;
    enum { IDS = 60 };
    mn_deadlines deadlines;
    uint64_t due[IDS] = {0};
    assert_int_equal(mn_deadlines_init(&deadlines, IDS, NULL), MN_OK);
    srand(2);
    for (int i = 0; i < 20000; i++) {
        uint32_t id = (uint32_t)(rand() % IDS);
        if (due[id] != 0) {
            mn_deadlines_remove(&deadlines, id);
            mn_deadlines_remove(&deadlines, id);
            due[id] = 0;
        } else {
            due[id] = 1 + (uint64_t)(rand() % 100);
            mn_deadlines_add(&deadlines, id, due[id]);
        }
        uint64_t earliest = 0;
        for (int k = 0; k < IDS; k++)
            if (due[k] != 0 && (earliest == 0 || due[k] < earliest))
                earliest = due[k];
        const mn_deadline *first = mn_deadlines_first(&deadlines);
        assert_int_equal(first != NULL ? first->due_us : 0, earliest);
    }
    mn_deadlines_fini(&deadlines);
}

static void stragglers_do_not_move_the_patience(void **state)
{
    (void)state;
    mn_pace pace = {0};
    assert_int_equal(mn_pace_patience_us(&pace), 0);
    mn_pace_add(&pace, 100);
    assert_int_equal(mn_pace_patience_us(&pace), 3 * (100 + 4 * 50)); /* one says little */
    for (uint64_t i = 0; i < 62; i++)
        mn_pace_add(&pace, 90 + i % 3 * 10);
    mn_pace_add(&pace, 1000000);
    assert_int_equal(mn_pace_patience_us(&pace), 3 * (100 + 4 * 10));
    mn_pace_add(&pace, UINT64_MAX); /* too large to count with */
    assert_int_equal(mn_pace_patience_us(&pace), 3 * (100 + 4 * 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_moves_as_the_table_says_and_no_other_way),
        cmocka_unit_test(members_are_found_however_many_come_and_go),
        cmocka_unit_test(the_queue_is_first_come_first_served),
        cmocka_unit_test(the_earliest_deadline_is_first_whatever_is_taken_out),
        cmocka_unit_test(stragglers_do_not_move_the_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
