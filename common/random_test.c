#include "common/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 200000 };

static mn_random stream(uint64_t index)
{
    return mn_random_stream(20240607, MN_RANDOM_SELF_TEST, index);
}

/* The vectors are those of Random123's own kat_vectors file, philox4x32 with 10 rounds. */
static void blocks_are_those_published_for_philox4x32_10(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], block[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        mn_random random = {.used = 4};
        memcpy(random.counter, known[i].counter, sizeof random.counter);
        memcpy(random.key, known[i].key, sizeof random.key);
        for (size_t word = 0; word < 4; word++)
            assert_int_equal(mn_random_u32(&random), known[i].block[word]);
    }
}

static void stream_is_keyed_by_seed_and_counts_block_purpose_and_index(void **state)
{
    (void)state;
    mn_random random = mn_random_stream(UINT64_C(0x299f31d0a4093822), (mn_purpose)0x85a308d3,
                                        UINT64_C(0x0370734413198a2e));
    assert_int_equal(random.counter[0], 0);
    random.counter[0] = 0x243f6a88; /* the third published vector, reached by our mapping */
    assert_int_equal(mn_random_u32(&random), 0xd16cfe09);
    assert_int_equal(random.counter[0], 0x243f6a89);
}

/* If this fails, every published answer has changed: do not correct the numbers, correct the code.
 */
static void first_draws_are_what_they_have_always_been(void **state)
{
    (void)state;
    mn_random random = mn_random_stream(1, MN_RANDOM_TASK_TRAIN, 2);
    uint32_t chosen[5];
    assert_int_equal(mn_random_u32(&random), 0xe4ecda33);
    assert_true(mn_random_unit(&random) == 0x1.0339342c2e62fp-1);
    assert_true(mn_random_uniform(&random, -5.0, 5.0) == -0x1.7c0443bceacf5p+1);
    assert_int_equal(mn_random_below(&random, 1000000), 223856);
    assert_true(mn_random_normal(&random) == -0x1.e24fe7d44a3c2p-5);
    assert_true(mn_random_normal(&random) == 0x1.eb20e6bc7fbf8p-1);
    mn_random_choose(&random, 1000, 5, chosen);
    static const uint32_t expected[5] = {759, 120, 985, 438, 689};
    assert_memory_equal(chosen, expected, sizeof expected);
}

static void streams_of_other_seed_purpose_or_index_differ(void **state)
{
    (void)state;
    const mn_random streams[] = {
        mn_random_stream(1, MN_RANDOM_THETA, 0),
        mn_random_stream(2, MN_RANDOM_THETA, 0),
        mn_random_stream(UINT64_C(1) << 32 | 1, MN_RANDOM_THETA, 0),
        mn_random_stream(1, MN_RANDOM_TASK_VAL, 0),
        mn_random_stream(1, MN_RANDOM_THETA, 1),
        mn_random_stream(1, MN_RANDOM_THETA, UINT64_C(1) << 32),
    };
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        for (size_t j = 0; j < i; j++) {
            mn_random one = streams[i], other = streams[j];
            assert_int_not_equal(mn_random_u32(&one), mn_random_u32(&other));
        }
}

static void unit_lies_in_0_to_1_with_the_moments_of_a_uniform(void **state)
{
    (void)state;
    mn_random random = stream(0);
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < MANY; i++) {
        double x = mn_random_unit(&random);
        assert_true(x >= 0.0 && x < 1.0);
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / MANY - 0.5) < 4.0 * sqrt(1.0 / 12.0 / MANY));
    assert_true(fabs(squares / MANY - 1.0 / 3.0) < 4.0 * sqrt(4.0 / 45.0 / MANY));
}

static void uniform_never_reaches_its_upper_end(void **state)
{
    (void)state;
    mn_random random = stream(1);
    double low = 1.0, high = nextafter(1.0, 2.0); /* half of all draws would round up to high */
    for (int i = 0; i < 100; i++)
        assert_true(mn_random_uniform(&random, low, high) == low);
    for (int i = 0; i < 1000; i++) {
        double x = mn_random_uniform(&random, -5.0, 5.0);
        assert_true(x >= -5.0 && x < 5.0);
    }
    assert_true(mn_random_uniform(&random, 3.0, 3.0) == 3.0);
}

/* Sum of (seen - expected)^2 / expected; its mean is n_cells - 1, its variance twice that. */
static void assert_even(const uint32_t *seen, size_t n_cells, double expected)
{
    double chi_square = 0.0, freedom = (double)n_cells - 1.0;
    for (size_t i = 0; i < n_cells; i++)
        chi_square += (seen[i] - expected) * (seen[i] - expected) / expected;
    assert_true(fabs(chi_square - freedom) < 4.0 * sqrt(2.0 * freedom));
}

static void below_is_even_over_its_range(void **state)
{
    (void)state;
    mn_random random = stream(2);
    uint32_t seen[37] = {0};
    for (int i = 0; i < MANY; i++) {
        uint32_t x = mn_random_below(&random, 37);
        assert_true(x < 37);
        seen[x]++;
    }
    assert_even(seen, 37, MANY / 37.0);
    assert_int_equal(mn_random_below(&random, 1), 0);
}

/* Without the rejection of Lemire's method one value in three would come twice as often as the
 * others. */
static void below_is_even_where_a_remainder_would_be_most_biased(void **state)
{
    (void)state;
    mn_random random = stream(3);
    uint32_t seen[3] = {0};
    for (int i = 0; i < MANY; i++)
        seen[mn_random_below(&random, UINT32_C(3) << 30) % 3]++;
    assert_even(seen, 3, MANY / 3.0);
}

static void normal_has_the_moments_and_tails_of_a_gaussian(void **state)
{
    (void)state;
    mn_random random = stream(4);
    double moments[5] = {0.0};
    int n_beyond_two = 0;
    for (int i = 0; i < MANY; i++) {
        double x = mn_random_normal(&random), power = 1.0;
        assert_true(isfinite(x));
        for (int k = 1; k <= 4; k++)
            moments[k] += (power *= x) / MANY;
        n_beyond_two += fabs(x) > 2.0;
    }
    assert_true(fabs(moments[1]) < 4.0 * sqrt(1.0 / MANY));
    assert_true(fabs(moments[2] - 1.0) < 4.0 * sqrt(2.0 / MANY));
    assert_true(fabs(moments[3]) < 4.0 * sqrt(15.0 / MANY));
    assert_true(fabs(moments[4] - 3.0) < 4.0 * sqrt(96.0 / MANY));
    assert_true(fabs(n_beyond_two / (double)MANY - 0.0455003) < 4.0 * sqrt(0.0455 * 0.9545 / MANY));
}

static void normal_is_box_muller_by_the_c_library_too(void **state)
{
    (void)state;
    mn_random random = stream(5), same = stream(5);
    for (int i = 0; i < MANY; i++) {
        double radius = sqrt(-2.0 * log(1.0 - mn_random_unit(&same)));
        double expected = radius * cos(2.0 * 3.14159265358979323846 * mn_random_unit(&same));
        assert_true(fabs(mn_random_normal(&random) - expected) < 1e-14);
    }
}

static void choice_is_distinct_and_all_of_it_when_k_is_n(void **state)
{
    (void)state;
    static const struct {
        uint32_t n, k;
    } sizes[] = {{0, 0}, {1, 1}, {7, 0}, {7, 3}, {7, 7}, {5000, 5000}, {UINT32_MAX, 2000}};
    mn_random random = stream(6);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t n = sizes[i].n, k = sizes[i].k;
        uint32_t *chosen = malloc((k + 1) * sizeof *chosen);
        assert_non_null(chosen);
        chosen[k] = 4711; /* one past the end stays as it is */
        mn_random_choose(&random, n, k, chosen);
        assert_int_equal(chosen[k], 4711);
        for (uint32_t a = 0; a < k; a++) {
            assert_true(chosen[a] < n);
            for (uint32_t b = 0; b < a; b++)
                if (chosen[a] == chosen[b])
                    fail_msg("n=%u k=%u: %u came twice", n, k, chosen[a]);
        }
        free(chosen);
    }
}

static void every_ordered_choice_is_equally_likely(void **state)
{
    (void)state;
    mn_random random = stream(7);
    uint32_t seen[125] = {0}, even[60], n_even = 0;
    for (int i = 0; i < MANY; i++) {
        uint32_t chosen[3];
        mn_random_choose(&random, 5, 3, chosen);
        seen[chosen[0] * 25 + chosen[1] * 5 + chosen[2]]++;
    }
    for (size_t i = 0; i < 125; i++) /* 5*4*3 = 60 of them can be */
        if (seen[i] > 0) {
            assert_true(n_even < 60);
            even[n_even++] = seen[i];
        }
    assert_int_equal(n_even, 60);
    assert_even(even, 60, MANY / 60.0);
}

static void every_shuffle_is_equally_likely(void **state)
{
    (void)state;
    mn_random random = stream(8);
    uint32_t seen[27] = {0};
    for (int i = 0; i < MANY; i++) {
        uint32_t list[3] = {0, 1, 2};
        mn_random_shuffle(&random, 3, list);
        seen[list[0] * 9 + list[1] * 3 + list[2]]++;
    }
    const uint32_t orders[6] = {seen[5], seen[7], seen[11], seen[15], seen[19], seen[21]};
    assert_int_equal(orders[0] + orders[1] + orders[2] + orders[3] + orders[4] + orders[5], MANY);
    assert_even(orders, 6, MANY / 6.0);
    mn_random_shuffle(&random, 0, NULL);
}

static void places_are_an_order_in_which_each_number_comes_once(void **state)
{
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000, 4096, 70001};
    static uint8_t seen[70001];
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const uint32_t n = sizes[i];
        uint32_t same = 0;
        memset(seen, 0, sizeof seen);
        for (uint32_t at = 0; at < n; at++) {
            const uint32_t place = mn_random_place(stream(9), n, at);
            assert_true(place < n);
            if (seen[place]++ != 0)
                fail_msg("n=%u: %u came twice", n, place);
            same += place == mn_random_place(stream(10), n, at); /* another order */
        }
        assert_true(n < 16 || same < n / 2);
    }
    const uint32_t last = UINT32_MAX - 1, ends[] = {0, 1, last / 2, last - 1};
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(mn_random_place(stream(9), last, ends[i]),
                                 mn_random_place(stream(9), last, ends[k]));
}

/* Over many orders of 20 numbers, each is as often at each place, and next to each other one. */
static void places_are_evenly_spread(void **state)
{
    enum { N = 20, ORDERS = 20000 };
    static uint32_t at_place[N * N], next[N * N];
    uint32_t pairs[N * (N - 1)], n_pairs = 0;
    (void)state;
    for (uint64_t k = 0; k < ORDERS; k++)
        for (uint32_t i = 0, before = N; i < N; i++) {
            const uint32_t place = mn_random_place(stream(100 + k), N, i);
            at_place[i * N + place]++;
            if (i > 0)
                next[before * N + place]++;
            before = place;
        }
    assert_even(at_place, N * N, ORDERS / (double)N);
    for (uint32_t i = 0; i < N * N; i++)
        if (i / N != i % N)
            pairs[n_pairs++] = next[i];
        else
            assert_int_equal(next[i], 0);
    assert_even(pairs, N * (N - 1), ORDERS / (double)N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_those_published_for_philox4x32_10),
        cmocka_unit_test(stream_is_keyed_by_seed_and_counts_block_purpose_and_index),
        cmocka_unit_test(first_draws_are_what_they_have_always_been),
        cmocka_unit_test(streams_of_other_seed_purpose_or_index_differ),
        cmocka_unit_test(unit_lies_in_0_to_1_with_the_moments_of_a_uniform),
        cmocka_unit_test(uniform_never_reaches_its_upper_end),
        cmocka_unit_test(below_is_even_over_its_range),
        cmocka_unit_test(below_is_even_where_a_remainder_would_be_most_biased),
        cmocka_unit_test(normal_has_the_moments_and_tails_of_a_gaussian),
        cmocka_unit_test(normal_is_box_muller_by_the_c_library_too),
        cmocka_unit_test(choice_is_distinct_and_all_of_it_when_k_is_n),
        cmocka_unit_test(every_ordered_choice_is_equally_likely),
        cmocka_unit_test(every_shuffle_is_equally_likely),
        cmocka_unit_test(places_are_an_order_in_which_each_number_comes_once),
        cmocka_unit_test(places_are_evenly_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
