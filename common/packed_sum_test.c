#include "common/packed_sum.h"

#include "common/exact_sum.h"
#include "common/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 1000 };
static int64_t sum[2 * MOST], back[2 * MOST];
static uint8_t packed[MOST * 17];

static size_t pack(size_t n)
{
    size_t n_bytes = mn_packed_sum_write(n, sum, packed);
    assert_in_range(n_bytes, mn_packed_sum_least(n), mn_packed_sum_most(n));
    assert_true(mn_packed_sum_most(n) <= sizeof packed);
    return n_bytes;
}

static __int128 number(size_t n, const int64_t *of, size_t i)
{
    return (__int128)of[i] * ((__int128)1 << 47) + of[n + i];
}

static void assert_comes_back(size_t n)
{
    size_t n_bytes = pack(n);
    memset(back, 0x55, sizeof back);
    assert_true(mn_packed_sum_read(packed, n_bytes, n, back));
    for (size_t i = 0; i < n; i++)
        assert_true(number(n, sum, i) == number(n, back, i));
}

static void sums_of_gradients_come_back_and_are_small(void **state)
{
    (void)state;
    mn_random random = mn_random_stream(1, MN_RANDOM_SELF_TEST, 0);
    static float row[MOST];
    for (size_t n = 1; n <= MOST; n += n < 200 ? 1 : 67) {
        memset(sum, 0, sizeof sum);
        for (int task = 0; task < 8; task++) {
            for (size_t i = 0; i < n; i++)
                row[i] = (float)(0.003 * mn_random_normal(&random));
            mn_exact_add(n, row, sum);
        }
        assert_comes_back(n);
        assert_true(pack(n) <= 7 * n + 2 * (n / 64 + 1));
    }
}

/* Or the result of a peer would be refused. */
static void what_comes_back_is_plausible(void **state)
{
    (void)state;
    mn_random random = mn_random_stream(2, MN_RANDOM_SELF_TEST, 0);
    static float row[MOST];
    memset(sum, 0, sizeof sum);
    for (uint32_t n_terms = 1; n_terms <= 20; n_terms++) {
        for (size_t i = 0; i < MOST; i++)
            row[i] = (float)ldexp(mn_random_uniform(&random, -1, 1), (int)(i % 90) - 66);
        mn_exact_add(MOST, row, sum);
        assert_comes_back(MOST);
        assert_true(mn_exact_plausible(MOST, back, n_terms));
    }
}

static void zeros_take_no_room(void **state)
{
    (void)state;
    memset(sum, 0, sizeof sum);
    assert_comes_back(640);
    assert_int_equal(pack(640), 2 * 10);
}

/* Every power of two, alone in its block and beside the smallest and the largest. */
static void every_magnitude_and_sign_comes_back(void **state)
{
    (void)state;
    for (int bit = 0; bit < 110; bit++)
        for (int sign = -1; sign <= 1; sign += 2)
            for (int beside = 0; beside < 4; beside++) {
                memset(sum, 0, sizeof sum);
                int64_t one = (int64_t)sign * (INT64_C(1) << (bit < 47 ? bit : bit - 47));
                sum[bit < 47 ? 3 + 1 : 1] = one;
                if (beside & 1)
                    sum[3] = -1;
                if (beside & 2)
                    sum[2] = INT64_C(1) << 61;
                assert_comes_back(3);
                if (beside == 0)
                    assert_int_equal(pack(3), 2 + 3);
            }
}

static void equal_sums_give_equal_bytes_whatever_their_digits(void **state)
{
    (void)state;
    static uint8_t other[sizeof packed];
    mn_random random = mn_random_stream(1, MN_RANDOM_SELF_TEST, 1);
    for (size_t i = 0; i < 2 * 100; i++)
        sum[i] = (int64_t)mn_random_u32(&random) - INT32_MAX;
    size_t n_bytes = pack(100);
    memcpy(other, packed, n_bytes);
    for (size_t i = 0; i < 100; i++) {
        int64_t carries = (int64_t)mn_random_below(&random, 1000) - 500;
        sum[i] += carries;
        sum[100 + i] -= carries * (INT64_C(1) << 47);
    }
    assert_int_equal(pack(100), n_bytes);
    assert_memory_equal(packed, other, n_bytes);
}

static void the_largest_sums_of_rows_come_back(void **state)
{
    (void)state;
    mn_random random = mn_random_stream(1, MN_RANDOM_SELF_TEST, 2);
    for (unsigned zeros = 0; zeros < 62; zeros++) {
        for (size_t i = 0; i < 64; i++) {
            uint64_t bits = (uint64_t)mn_random_u32(&random) << 32 | mn_random_u32(&random);
            sum[i] = (int64_t)(bits >> 2 >> zeros << zeros) - (INT64_C(1) << 61);
            sum[64 + i] = zeros % 2 == 0 ? 0 : (int64_t)(bits & INT32_MAX);
        }
        assert_comes_back(64);
    }
}

/* Whatever the bytes: no crash (sanitizers look), and never more or fewer bytes than there are. */
static void damaged_bytes_are_read_or_refused(void **state)
{
    (void)state;
    mn_random random = mn_random_stream(1, MN_RANDOM_SELF_TEST, 3);
    for (size_t i = 0; i < 2 * 200; i++)
        sum[i] = (int64_t)mn_random_u32(&random);
    size_t n_bytes = pack(200);
    for (size_t n = 0; n < n_bytes; n++) {
        uint8_t *cut = malloc(n + 1); /* of its own size, so that a read beyond it is seen */
        assert_non_null(cut);
        memcpy(cut, packed, n);
        assert_false(mn_packed_sum_read(cut, n, 200, back));
        free(cut);
    }
    assert_false(mn_packed_sum_read(packed, n_bytes + 1, 200, back));
    int refused = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t place = mn_random_below(&random, i % 2 == 0 ? 2 : (uint32_t)n_bytes);
        uint8_t was = packed[place];
        packed[place] = (uint8_t)mn_random_below(&random, 256);
        refused += !mn_packed_sum_read(packed, n_bytes, 200, back);
        packed[place] = was;
    }
    assert_in_range(refused, 1000, 19000);
    static const uint8_t beyond[] = {47 + 40, 8, 0, 0, 0, 0, 0, 0, 0, 1}; /* 2^56 * 2^(87 - 70) */
    assert_false(mn_packed_sum_read(beyond, sizeof beyond, 1, back));
    static const uint8_t far_beyond[] = {255, 1, 1};
    assert_false(mn_packed_sum_read(far_beyond, sizeof far_beyond, 1, back));
    static const uint8_t nine[] = {0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    assert_false(mn_packed_sum_read(nine, sizeof nine, 1, back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_gradients_come_back_and_are_small),
        cmocka_unit_test(what_comes_back_is_plausible),
        cmocka_unit_test(zeros_take_no_room),
        cmocka_unit_test(every_magnitude_and_sign_comes_back),
        cmocka_unit_test(equal_sums_give_equal_bytes_whatever_their_digits),
        cmocka_unit_test(the_largest_sums_of_rows_come_back),
        cmocka_unit_test(damaged_bytes_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
