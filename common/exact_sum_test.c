#include "common/exact_sum.h"
#include "common/random.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 4099, N_VECTORS = 24 }; /* no multiple of any vector width or block */

static const float largest = 16777215.0f; /* the last float32 below 2^24 */

/* x * 2^70 as an integer, rounded to the nearest and to even, by hand from the bits of x. */
static __int128 reference(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 23 & 0xff);
    __int128 magnitude = bits & 0x7fffff;
    if (exponent > 0)
        magnitude |= 0x800000;
    int shift = (exponent > 0 ? exponent : 1) - 150 + 70; /* x = magnitude * 2^(shift - 70) */
    if (shift >= 0)
        magnitude <<= shift;
    else if (shift < -24)
        magnitude = 0; /* less than one half */
    else {
        __int128 half = (__int128)1 << (-shift - 1), rest = magnitude & (2 * half - 1);
        magnitude >>= -shift;
        if (rest > half || (rest == half && (magnitude & 1)))
            magnitude++;
    }
    return bits >> 31 ? -magnitude : magnitude;
}

static __int128 total_of(size_t n, const int64_t *sum, size_t i)
{
    return (__int128)sum[i] * ((__int128)1 << 47) + sum[n + i];
}

/* The integer rounded to 53 bits, nearest and even, by hand; then scaled. */
static double reference_value(__int128 total)
{
    unsigned __int128 magnitude = (unsigned __int128)(total < 0 ? -total : total);
    int shift = 0;
    bool half = false, below_half = false;
    while (magnitude >> 53 != 0) {
        below_half |= half;
        half = magnitude & 1;
        magnitude >>= 1;
        shift++;
    }
    if (half && (below_half || (magnitude & 1)))
        magnitude++;
    double value = ldexp((double)(uint64_t)magnitude, shift - 70);
    return total < 0 ? -value : value;
}

/* Any accepted float32: a random sign, exponent and fraction, denormals and zeros among them. */
static float any_float(mn_random *random)
{
    uint32_t sign = mn_random_below(random, 2) << 31;
    uint32_t exponent = mn_random_below(random, 127 + 24) << 23;
    uint32_t bits = sign | exponent | mn_random_below(random, 1 << 23);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void fill(uint64_t index, size_t n, float *x)
{
    mn_random random = mn_random_stream(7, MN_RANDOM_SELF_TEST, index);
    for (size_t i = 0; i < n; i++)
        x[i] = any_float(&random);
}

static void one_float_becomes_its_nearest_multiple_of_two_to_the_minus_70(void **state)
{
    (void)state;
    static const float special[] = {
        0.0f,     -0.0f,     1.0f,           -1.0f,          0x1p-70f,        -0x1p-70f,
        0x1p-71f, -0x1p-71f, 0x1.8p-70f,     -0x1.8p-70f,    0x1.000002p-71f, -0x1.000002p-71f,
        0x1p-72f, FLT_MIN,   -FLT_MIN,       0x1p-149f,      -0x1p-149f,      0x1p-24f,
        0.1f,     -0.1f,     0x1.fffffep22f, 0x1.fffffep-1f, 0x1.8p-24f,      -0x1.8p-24f,
        largest,  -largest,  0x1.000002p23f, 0x1.fffffep-24f};
    enum { N_SPECIAL = sizeof special / sizeof *special };
    static float x[N];
    static int64_t sum[2 * N];
    for (uint64_t round = 0; round < 200; round++) {
        fill(round, N, x);
        memcpy(x, special, sizeof special);
        memcpy(x + N - N_SPECIAL, special, sizeof special);
        memset(sum, 0, sizeof sum);
        assert_true(mn_exact_accepts(N, x));
        mn_exact_add(N, x, sum);
        for (size_t i = 0; i < N; i++)
            if (total_of(N, sum, i) != reference(x[i]))
                fail_msg("round %d: %a has digits %lld, %lld", (int)round, (double)x[i],
                         (long long)sum[i], (long long)sum[N + i]);
        assert_true(mn_exact_plausible(N, sum, 1));
    }
}

static void minus_zero_becomes_plus_zero(void **state)
{
    (void)state;
    const float x[2] = {-0.0f, -0x1p-100f};
    int64_t sum[4] = {0};
    float mean[2];
    mn_exact_add(2, x, sum);
    mn_exact_mean(2, sum, sum + 2, 1.0, mean);
    for (size_t i = 0; i < 2; i++) {
        assert_false(signbit(mn_exact_value(2, sum, i)));
        assert_false(signbit(mean[i]));
        assert_true(mean[i] == 0.0f);
    }
}

static void values_and_means_are_the_exact_sum_rounded_once(void **state)
{
    (void)state;
    static float x[N], mean[N];
    static int64_t sum[2 * N];
    static __int128 total[N];
    memset(sum, 0, sizeof sum);
    memset(total, 0, sizeof total);
    for (uint64_t v = 0; v < N_VECTORS; v++) {
        fill(1000 + v, N, x);
        mn_exact_add(N, x, sum);
        mn_exact_mean(N, sum, sum + N, (double)v + 1.0, mean);
        for (size_t i = 0; i < N; i++) {
            total[i] += reference(x[i]);
            double expected = reference_value(total[i]);
            assert_true(mn_exact_value(N, sum, i) == expected);
            assert_true(mean[i] == (float)(expected / ((double)v + 1.0)));
        }
    }
}

static void order_grouping_and_number_of_parts_do_not_matter(void **state)
{
    (void)state;
    static float vectors[N_VECTORS][N];
    static int64_t expected[2 * N], sum[2 * N], parts[5][2 * N];
    mn_random random = mn_random_stream(7, MN_RANDOM_SELF_TEST, 2000);
    memset(expected, 0, sizeof expected);
    for (size_t v = 0; v < N_VECTORS; v++) {
        fill(3000 + v, N, vectors[v]);
        mn_exact_add(N, vectors[v], expected);
    }
    for (uint32_t n_parts = 1; n_parts <= 5; n_parts++) {
        uint32_t order[N_VECTORS], merge_order[5];
        mn_random_choose(&random, N_VECTORS, N_VECTORS, order);
        mn_random_choose(&random, n_parts, n_parts, merge_order);
        memset(parts, 0, sizeof parts);
        for (size_t v = 0; v < N_VECTORS; v++)
            mn_exact_add(N, vectors[order[v]], parts[mn_random_below(&random, n_parts)]);
        memset(sum, 0, sizeof sum);
        for (uint32_t p = 0; p < n_parts; p++)
            mn_exact_merge(2 * N, parts[merge_order[p]], sum);
        assert_memory_equal(sum, expected, sizeof sum);
    }
}

static void parts_of_a_vector_added_apart_are_the_whole(void **state)
{
    (void)state;
    static float x[N], means[N];
    static int64_t expected[2 * N], sum[2 * N];
    memset(expected, 0, sizeof expected);
    memset(sum, 0, sizeof sum);
    fill(6000, N, x);
    mn_exact_add(N, x, expected);
    for (size_t begin = 0, size = 1; begin < N; begin += size, size = 2 * size + 1) {
        if (size > N - begin)
            size = N - begin;
        mn_exact_add_rows(size, 1, x + begin, 0, sum + begin, sum + N + begin);
        mn_exact_mean(size, sum + begin, sum + N + begin, 3, means + begin);
    }
    assert_memory_equal(sum, expected, sizeof sum);
    mn_exact_mean(N, sum, sum + N, 3, x);
    assert_memory_equal(means, x, sizeof x);
}

static void the_mean_of_a_few_rows_is_that_of_their_sum(void **state)
{
    (void)state;
    enum { STRIDE = N + 5 };
    static const double divisors[] = {1,     2,      3,       4,        0.75,    16,
                                      1e300, 1e-300, 0x1p110, 0x1p-110, 0x1p200, 0x1p-100};
    static float rows[MN_EXACT_ROWS * STRIDE], expected[N], got[N];
    static int64_t sum[2 * N];
    fill(8000, MN_EXACT_ROWS * STRIDE, rows);
    rows[0] = -0.0f;
    rows[1] = -0x1p-100f;
    for (int i = 2; i < 200; i++) /* about 2^-70, 2^-48 and 2^-46, and what is less than normal */
        rows[i] =
            (float)ldexp((i % 2 ? 1 : -1) * (0x900000 + 0x11111 * (i % 50)), (i < 50    ? -70
                                                                              : i < 100 ? -93
                                                                              : i < 150 ? -69
                                                                                        : -150) +
                                                                                 i % 7 - 3);
    memset(sum, 0, sizeof sum);
    for (size_t n_rows = 1; n_rows <= MN_EXACT_ROWS; n_rows++) {
        mn_exact_add_rows(N, 1, rows + (n_rows - 1) * STRIDE, 0, sum, sum + N);
        for (size_t i = 0; i < sizeof divisors / sizeof *divisors; i++) {
            mn_exact_mean(N, sum, sum + N, divisors[i], expected);
            if (n_rows > 1)
                mn_exact_mean_of_rows(N, n_rows, rows, STRIDE, divisors[i], got);
            else if (divisors[i] == 1)
                mn_exact_mean_of_one(N, memcpy(got, rows, sizeof got));
            else
                continue;
            assert_memory_equal(got, expected, sizeof expected);
        }
    }
}

static void rows_added_at_once_are_rows_added_one_by_one(void **state)
{
    (void)state;
    enum { MOST = 2 * MN_EXACT_ROWS + 1, STRIDE = N + 3 };
    static float rows[MOST * STRIDE];
    static int64_t expected[2 * N], sum[2 * N];
    memset(expected, 0, sizeof expected);
    fill(7000, MOST * STRIDE, rows);
    for (size_t n_rows = 0; n_rows <= MOST; n_rows++) {
        if (n_rows > 0)
            mn_exact_add(N, rows + (n_rows - 1) * STRIDE, expected);
        memset(sum, 0, sizeof sum);
        mn_exact_add_rows(N, n_rows, rows, STRIDE, sum, sum + N);
        assert_memory_equal(sum, expected, sizeof sum);
    }
}

/* 47 bits may stand in either digit; the value must not show where. */
static void digits_shared_otherwise_have_the_same_value(void **state)
{
    (void)state;
    mn_random random = mn_random_stream(7, MN_RANDOM_SELF_TEST, 4000);
    for (int round = 0; round < 20000; round++) {
        int64_t high = (int64_t)(mn_random_u32(&random) >> mn_random_below(&random, 32));
        high <<= mn_random_below(&random, 18);
        int64_t low = (int64_t)mn_random_u32(&random) << mn_random_below(&random, 14);
        int64_t carry = (int64_t)mn_random_below(&random, 1 << 14) - (1 << 13);
        int64_t one[2] = {high, -low}, other[2] = {high + carry, -low - carry * (INT64_C(1) << 47)};
        double value = mn_exact_value(1, one, 0);
        float mean[2];
        assert_true(value == reference_value(total_of(1, one, 0)));
        assert_true(mn_exact_value(1, other, 0) == value);
        mn_exact_mean(1, one, one + 1, 3.0, &mean[0]);
        mn_exact_mean(1, other, other + 1, 3.0, &mean[1]);
        assert_true(mean[0] == (float)(value / 3.0) && mean[1] == mean[0]);
    }
}

/* The fast mean takes moderate digits only; at its border and for any int64 it must agree with the
 * value. */
static void whole_numbers_are_told_from_all_others_to_the_last_bit(void **state)
{
    (void)state;
    const int64_t one = INT64_C(1) << 23;
    const struct {
        int64_t high, low, value;
        bool whole;
    } cases[] = {
        {0, 0, 0, true},
        {3 * one, 0, 3, true},
        {-2 * one, 0, -2, true},
        {one, 1, 0, false},
        {one, -1, 0, false},                  /* as a double this is 1 too */
        {one + 1, 0, 0, false},               /* 1 + 2^-23 */
        {one - 1, INT64_C(1) << 47, 1, true}, /* without the carry */
        {-one - 3, INT64_C(3) << 47, -1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t sum[4] = {77, cases[i].high, -5, cases[i].low};
        int64_t value = 99;
        assert_int_equal(mn_exact_is_whole(2, sum, 1, &value), cases[i].whole);
        if (cases[i].whole)
            assert_int_equal(value, cases[i].value);
    }
}

static void mean_of_any_digits_is_the_value_divided(void **state)
{
    (void)state;
    static const int64_t edges[] = {0,
                                    1,
                                    -1,
                                    INT64_MAX,
                                    INT64_MIN,
                                    (INT64_C(1) << 50) - 1,
                                    INT64_C(1) << 50,
                                    INT64_C(3) << 50,
                                    -(INT64_C(3) << 50),
                                    (INT64_C(1) << 52) + 1,
                                    (INT64_C(1) << 54) + 1,
                                    -(INT64_C(1) << 50),
                                    -(INT64_C(1) << 50) - 1,
                                    (INT64_C(1) << 62) - 1,
                                    INT64_C(1) << 62,
                                    -(INT64_C(1) << 62),
                                    -(INT64_C(1) << 62) - 1,
                                    (INT64_C(1) << 46) - 1,
                                    INT64_C(1) << 46,
                                    -(INT64_C(1) << 46),
                                    -(INT64_C(1) << 46) - 1};
    enum { N_EDGES = sizeof edges / sizeof *edges };
    for (size_t h = 0; h < N_EDGES; h++)
        for (size_t l = 0; l < N_EDGES; l++) {
            int64_t sum[2] = {edges[h], edges[l]};
            float mean;
            double expected = reference_value(total_of(1, sum, 0));
            assert_true(mn_exact_value(1, sum, 0) == expected);
            mn_exact_mean(1, sum, sum + 1, 7.0, &mean);
            assert_true(mean == (float)(expected / 7.0));
        }
}

static void full_number_of_largest_terms_fits(void **state)
{
    (void)state;
    const float x[4] = {largest, -largest, 0x1.fffffep-24f, -0x1.fffffep-24f};
    int64_t sum[8] = {0};
    for (uint32_t term = 0; term < MN_EXACT_MAX_TERMS; term++)
        mn_exact_add(4, x, sum);
    assert_true(mn_exact_plausible(4, sum, MN_EXACT_MAX_TERMS));
    assert_false(mn_exact_plausible(4, sum, MN_EXACT_MAX_TERMS - 1));
    for (size_t i = 0; i < 4; i++) {
        assert_true(total_of(4, sum, i) == MN_EXACT_MAX_TERMS * reference(x[i]));
        assert_true(mn_exact_value(4, sum, i) == (double)x[i] * MN_EXACT_MAX_TERMS);
    }
}

static void digits_beyond_the_number_of_terms_are_not_plausible(void **state)
{
    (void)state;
    const int64_t high_limit = INT64_C(0xffffff) << 23, low_limit = INT64_C(1) << 46;
    static int64_t sum[2 * N];
    for (uint32_t n_terms = 0; n_terms <= 3; n_terms++)
        for (size_t i = 0; i < 2 * N; i += 61) {
            int64_t carried = n_terms == 1 ? 2 : n_terms;
            int64_t limit = i < N ? high_limit * (int64_t)n_terms : low_limit * carried;
            const int64_t legal[] = {limit, -limit, 0};
            const int64_t illegal[] = {limit + 1, -limit - 1, INT64_MAX, INT64_MIN};
            memset(sum, 0, sizeof sum);
            for (size_t k = 0; k < 3; k++) {
                sum[i] = legal[k];
                assert_true(mn_exact_plausible(N, sum, n_terms));
            }
            for (size_t k = 0; k < 4; k++) {
                sum[i] = illegal[k];
                assert_false(mn_exact_plausible(N, sum, n_terms));
            }
        }
    memset(sum, 0, sizeof sum);
    sum[0] = high_limit * MN_EXACT_MAX_TERMS + 1;
    assert_false(mn_exact_plausible(N, sum, UINT32_MAX)); /* no legal sum has so many terms */
}

static void merge_wraps_around(void **state)
{
    (void)state;
    int64_t sum[2] = {INT64_MAX, INT64_MIN}, other[2] = {1, -1};
    mn_exact_merge(2, other, sum);
    assert_true(sum[0] == INT64_MIN && sum[1] == INT64_MAX);
}

static void only_finite_numbers_below_the_limit_are_accepted(void **state)
{
    (void)state;
    static const float bad[] = {NAN,    -NAN, INFINITY, -INFINITY, MN_EXACT_LIMIT, -MN_EXACT_LIMIT,
                                FLT_MAX};
    static float x[N];
    fill(5000, N, x);
    x[7] = largest;
    x[8] = -largest;
    assert_true(mn_exact_accepts(N, x));
    assert_true(mn_exact_accepts(0, NULL));
    for (size_t i = 0; i < N; i += 61)
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            float kept = x[i];
            x[i] = bad[k];
            assert_false(mn_exact_accepts(N, x));
            x[i] = kept;
        }
    x[N - 1] = NAN;
    assert_false(mn_exact_accepts(N, x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_float_becomes_its_nearest_multiple_of_two_to_the_minus_70),
        cmocka_unit_test(minus_zero_becomes_plus_zero),
        cmocka_unit_test(values_and_means_are_the_exact_sum_rounded_once),
        cmocka_unit_test(order_grouping_and_number_of_parts_do_not_matter),
        cmocka_unit_test(parts_of_a_vector_added_apart_are_the_whole),
        cmocka_unit_test(the_mean_of_a_few_rows_is_that_of_their_sum),
        cmocka_unit_test(rows_added_at_once_are_rows_added_one_by_one),
        cmocka_unit_test(digits_shared_otherwise_have_the_same_value),
        cmocka_unit_test(whole_numbers_are_told_from_all_others_to_the_last_bit),
        cmocka_unit_test(mean_of_any_digits_is_the_value_divided),
        cmocka_unit_test(full_number_of_largest_terms_fits),
        cmocka_unit_test(digits_beyond_the_number_of_terms_are_not_plausible),
        cmocka_unit_test(merge_wraps_around),
        cmocka_unit_test(only_finite_numbers_below_the_limit_are_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
