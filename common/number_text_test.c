#include "common/number_text.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_as_printf(double value)
{
    char wanted[64], text[MN_NUMBER_TEXT];
    (void)snprintf(wanted, sizeof wanted, "%.9g", value);
    const size_t n = mn_number_text(value, text);
    if (strcmp(text, wanted) != 0 || n != strlen(wanted))
        fail_msg("%a: '%s' instead of '%s'", value, text, wanted);
}

static void edges_are_as_printf_has_them(void **state)
{
    static const double edges[] = {0.0,
                                   -0.0,
                                   1,
                                   -1,
                                   0.5,
                                   0.1,
                                   1e-4,
                                   9.9999999949e-5,
                                   9.9999999951e-5,
                                   1e-5,
                                   0.99999999949,
                                   0.9999999995,
                                   0.99999999951,
                                   999999999,
                                   999999999.4,
                                   999999999.5,
                                   999999999.6,
                                   1e9,
                                   123456789,
                                   1234567890,
                                   1234567885,
                                   1234567895,
                                   0.1234567885,
                                   1e-17,
                                   1e-18,
                                   9.99999999999e-19,
                                   1e17,
                                   9.99999999999e17,
                                   1e18,
                                   1e300,
                                   5e-324,
                                   1.7976931348623157e308,
                                   INFINITY,
                                   -INFINITY,
                                   1048576,
                                   600,
                                   100,
                                   10.5};
    (void)state;
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        assert_as_printf(edges[i]);
        assert_as_printf(-edges[i]);
    }
    for (int e = -25; e <= 25; e++)
        for (int i = -2; i <= 2; i++) /* powers of ten and their neighbours */
            assert_as_printf(pow(10, e) * (1 + i * 0x1p-52));
}

static void any_number_is_as_printf_has_it(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int i = 0; i < 400000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const double part = (double)(seed >> 11) * 0x1p-53;
        assert_as_printf(ldexp(part - 0.5, (int)(seed % 140) - 70));
        assert_as_printf((double)(float)part);                 /* a share */
        assert_as_printf((double)(seed >> 40));                /* a count */
        assert_as_printf(((double)(seed >> 34) + 0.5) * 1e-6); /* many of them halfway */
    }
}

static void counts_are_as_printf_has_them(void **state)
{
    static const uint64_t counts[] = {0, 1, 9, 10, 99, 100, UINT64_C(18446744073709551615)};
    char text[MN_NUMBER_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "%" PRIu64, counts[i]);
        assert_int_equal(mn_count_text(counts[i], text), strlen(wanted));
        assert_string_equal(text, wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_are_as_printf_has_them),
        cmocka_unit_test(any_number_is_as_printf_has_it),
        cmocka_unit_test(counts_are_as_printf_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
