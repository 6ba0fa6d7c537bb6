#include "coordinator/page/guests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static mn_guests guests;

static int set_up(void **state)
{
    (void)state;
    guests = (mn_guests){0};
    return 0;
}

static void each_kind_of_waiting_has_its_own_end(void **state)
{
    (void)state;
    assert_true(mn_guests_due_us(&guests) == UINT64_MAX);
    mn_guest *asks = mn_guests_come(&guests, 3, SECOND);
    mn_guest *takes = mn_guests_come(&guests, 4, SECOND);
    mn_guest *listens = mn_guests_come(&guests, 5, SECOND);
    mn_guest_turn(takes, MN_GUEST_TAKES, 2 * SECOND);
    mn_guest_turn(listens, MN_GUEST_LISTENS, SECOND);
    assert_true(mn_guests_due_us(&guests) == 11 * SECOND);
    assert_null(mn_guests_late(&guests, 11 * SECOND - 1));
    assert_ptr_equal(mn_guests_late(&guests, 11 * SECOND), asks);
    assert_null(mn_guests_late(&guests, 11 * SECOND)); /* told once */
    assert_true(mn_guests_due_us(&guests) == 62 * SECOND);
    mn_guest_go(asks);
    assert_ptr_equal(mn_guests_late(&guests, 62 * SECOND), takes);
    assert_null(mn_guests_late(&guests, 1000000 * SECOND));
    assert_int_equal(listens->fd, 5);
}

static void who_asks_again_has_all_its_time_again(void **state)
{
    (void)state;
    mn_guest *guest = mn_guests_come(&guests, 3, 0);
    mn_guest_turn(guest, MN_GUEST_TAKES, 9 * SECOND);
    mn_guest_turn(guest, MN_GUEST_ASKS, 10 * SECOND);
    assert_null(mn_guests_late(&guests, 20 * SECOND - 1));
    assert_ptr_equal(mn_guests_late(&guests, 20 * SECOND), guest);
}

static void where_places_are_few_who_would_be_late_first_makes_room(void **state)
{
    (void)state;
    mn_guest *first = NULL, *second = NULL;
    for (int i = 0; i < (int)MN_GUESTS_WELCOME; i++) {
        mn_guest *guest = mn_guests_come(&guests, i, (uint64_t)i);
        if (i < 24) /* readers of events, who have all that there is */
            mn_guest_turn(guest, MN_GUEST_LISTENS, (uint64_t)i);
        first = i == 24 ? guest : first;
        second = i == 25 ? guest : second;
    }
    assert_null(mn_guests_late(&guests, SECOND));
    mn_guest *newest = mn_guests_come(&guests, 100, SECOND);
    assert_ptr_equal(mn_guests_late(&guests, SECOND), first);
    assert_null(mn_guests_late(&guests, SECOND)); /* that was enough */
    assert_non_null(mn_guests_come(&guests, 101, SECOND));
    assert_ptr_equal(mn_guests_late(&guests, SECOND), second);
    assert_false(newest->leaves);
}

static void there_are_never_more_than_there_is_room_for(void **state)
{
    (void)state;
    for (int i = 0; i < (int)MN_GUESTS_MOST; i++)
        assert_non_null(mn_guests_come(&guests, i, 0));
    assert_null(mn_guests_come(&guests, 1000, 0));
    mn_guest_go(&guests.at[7]);
    assert_ptr_equal(mn_guests_come(&guests, 1000, 0), &guests.at[7]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(each_kind_of_waiting_has_its_own_end),
        TEST(who_asks_again_has_all_its_time_again),
        TEST(where_places_are_few_who_would_be_late_first_makes_room),
        TEST(there_are_never_more_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
