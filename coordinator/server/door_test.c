#include "coordinator/server/door.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_fixed_port_is_counted_up(void **state)
{
    char own[256];
    (void)state;
    assert_true(mn_door_above("tcp://127.0.0.1:5600", 0, own, sizeof own));
    assert_string_equal(own, "tcp://127.0.0.1:5600");
    assert_true(mn_door_above("tcp://[::1]:5600", 3, own, sizeof own));
    assert_string_equal(own, "tcp://[::1]:5603");
}

static void what_has_no_fixed_port_is_left_to_the_caller(void **state)
{
    static const char *const others[] = {"tcp://127.0.0.1:*",
                                         "tcp://127.0.0.1:0",
                                         "tcp://127.0.0.1:5600x",
                                         "ipc:///tmp/door:5600",
                                         "tcp://h:99999999999999999999",
                                         "tcp://",
                                         ""};
    char own[8] = "as was";
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(mn_door_above(others[i], 1, own, sizeof own));
    assert_string_equal(own, "as was");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_port_is_counted_up),
        cmocka_unit_test(what_has_no_fixed_port_is_left_to_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
