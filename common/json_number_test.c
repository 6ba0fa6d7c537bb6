#include "common/json_number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_finite_number_is_itself_and_any_other_is_null(void **state)
{
    static const double others[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    json_t *number = mn_json_number(-0.25);
    assert_true(json_is_real(number) && json_real_value(number) == -0.25);
    json_decref(number);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(json_is_null(mn_json_number(others[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finite_number_is_itself_and_any_other_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
