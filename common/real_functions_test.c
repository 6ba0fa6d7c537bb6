/* The functions against those of the C library in long double, and some values bit by bit: those that every
 * machine and compiler must get. */
#include "common/real_functions.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed = 7;

static double random_between(double low, double high)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * ((double)(seed >> 11) * 0x1p-53);
}

/* How many units of the last place of `right` lie between. */
static double units(double got, long double right)
{
    const double near = (double)right;
    return (double)(fabsl((long double)got - right) /
                    (long double)(nextafter(fabs(near), INFINITY) - fabs(near)));
}

static void all_are_within_their_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        const double x = random_between(-700, 700), small = random_between(-1e-3, 1e-3);
        const double positive = exp(x), unit = random_between(0, 1);
        assert_true(units(mn_real_exp(x), expl((long double)x)) < 2);
        assert_true(units(mn_real_exp(small), expl((long double)small)) < 2);
        assert_true(units(mn_real_log(positive), logl((long double)positive)) < 3);
        assert_true(units(mn_real_log(1 + small), logl((long double)(1 + small))) < 3);
        assert_true(units(mn_real_log1p(unit), log1pl((long double)unit)) < 4);
        assert_true(units(mn_real_log1p(positive), log1pl((long double)positive)) < 4);
        assert_true(fabsl((long double)mn_real_cosine_of_turns(unit) -
                          cosl(2 * acosl(-1) * (long double)unit)) < 4e-16L);
    }
}

static void edges_are_those_of_the_c_library(void **state)
{
    (void)state;
    assert_true(mn_real_exp(0) == 1 && mn_real_exp(-800) == 0 && isinf(mn_real_exp(800)) &&
                isinf(mn_real_exp((double)INFINITY)));
    assert_true(mn_real_exp(-(double)INFINITY) == 0 && isnan(mn_real_exp((double)NAN)));
    assert_true(mn_real_exp(709.7) < (double)INFINITY && mn_real_exp(-744) > 0);
    assert_true(mn_real_log(1) == 0 && isinf(mn_real_log(0)) && mn_real_log(0) < 0 &&
                isnan(mn_real_log(-1)));
    assert_true(isinf(mn_real_log((double)INFINITY)) && isnan(mn_real_log((double)NAN)));
    assert_true(mn_real_log1p(0) == 0 && mn_real_log1p(1e-300) == 1e-300 &&
                isinf(mn_real_log1p((double)INFINITY)));
}

static void the_bits_are_these(void **state)
{
    (void)state;
    seed = 1;
    uint64_t mixed = 0;
    for (int i = 0; i < 100000; i++) {
        double all[4];
        all[0] = mn_real_exp(random_between(-700, 700));
        all[1] = mn_real_log(random_between(1e-12, 1e3));
        all[2] = mn_real_log1p(random_between(0, 2));
        all[3] = mn_real_cosine_of_turns(random_between(0, 1));
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
            uint64_t bits;
            memcpy(&bits, &all[k], sizeof bits);
            mixed = (mixed ^ bits) * 0x9e3779b97f4a7c15u;
        }
    }
    assert_int_equal(mixed, UINT64_C(0xe5a9f4e8cd030636));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_within_their_bounds),
        cmocka_unit_test(edges_are_those_of_the_c_library),
        cmocka_unit_test(the_bits_are_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
