#include "worker/tasks/image_warp.h"

#include "worker/tasks/image_tasks.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEIGHT = 7, WIDTH = 10, CHANNELS = 3 };

static void fill(uint8_t *pixels, size_t n, uint64_t index)
{
    mn_random random = mn_random_stream(1, MN_RANDOM_SELF_TEST, index);
    for (size_t i = 0; i < n; i++)
        pixels[i] = (uint8_t)mn_random_below(&random, 256);
}

static void without_a_warp_an_image_is_copied_and_turned_bit_for_bit(void **state)
{
    (void)state;
    static const mn_warp none;
    for (uint32_t side = 1; side <= 8; side++)
        for (uint32_t turns = 0; turns < 4; turns++) {
            uint8_t pixels[8 * 8 * CHANNELS];
            float expected[8 * 8 * CHANNELS], found[8 * 8 * CHANNELS];
            size_t n = (size_t)side * side * CHANNELS;
            fill(pixels, n, side);
            mn_image_tasks_copy(pixels, side, side, CHANNELS, turns, expected);
            mn_warp_copy(&none, pixels, side, side, CHANNELS, turns, found);
            assert_memory_equal(found, expected, n * sizeof *found);
        }
}

/* The definition, in double. */
static double pixel_at(const uint8_t *pixels, long y, long x, uint32_t c)
{
    bool inside = y >= 0 && y < HEIGHT && x >= 0 && x < WIDTH;
    return inside ? pixels[((size_t)y * WIDTH + (size_t)x) * CHANNELS + c] / 255.0 : 0;
}

/* Of the grid of corners, at row y and column x. */
static double bent(const mn_warp *warp, uint32_t y, uint32_t x, int axis)
{
    const double at[2] = {y * (double)MN_BEND_CELLS / (HEIGHT - 1),
                          x * (double)MN_BEND_CELLS / (WIDTH - 1)};
    double sum = 0;
    for (uint32_t i = 0; i <= MN_BEND_CELLS; i++)
        for (uint32_t j = 0; j <= MN_BEND_CELLS; j++)
            sum += fmax(0, 1 - fabs(at[0] - i)) * fmax(0, 1 - fabs(at[1] - j)) *
                   warp->bend[i][j][axis];
    return sum;
}

static double warped(const mn_warp *warp, const uint8_t *pixels, uint32_t y, uint32_t x, uint32_t c)
{
    double p[2] = {y - (HEIGHT - 1) / 2.0, x - (WIDTH - 1) / 2.0}, q[2];
    const double half[2] = {HEIGHT / 2.0, WIDTH / 2.0};
    for (int i = 0; i < 2; i++)
        q[i] = half[i] - 0.5 + p[i] +
               (warp->matrix[i][0] * p[0] + warp->matrix[i][1] * p[1] + warp->shift[i] * half[i] +
                bent(warp, y, x, i) * half[i]) /
                   MN_WARP_ONE;
    double top = floor(q[0]), left = floor(q[1]), v = q[0] - top, u = q[1] - left;
    return (1 - v) * ((1 - u) * pixel_at(pixels, (long)top, (long)left, c) +
                      u * pixel_at(pixels, (long)top, (long)left + 1, c)) +
           v * ((1 - u) * pixel_at(pixels, (long)top + 1, (long)left, c) +
                u * pixel_at(pixels, (long)top + 1, (long)left + 1, c));
}

static void a_warped_pixel_is_where_the_map_says(void **state)
{
    (void)state;
    uint8_t pixels[HEIGHT * WIDTH * CHANNELS];
    float found[HEIGHT * WIDTH * CHANNELS];
    fill(pixels, sizeof pixels, 100);
    int outside = 0;
    for (uint64_t index = 0; index < 200; index++) {
        mn_random random = mn_random_stream(2, MN_RANDOM_SELF_TEST, index);
        mn_warp warp = mn_warp_draw(&random, index % 2 == 0 ? 0.5 : 0.1, index % 4 < 2 ? 0 : 0.3);
        mn_warp_copy(&warp, pixels, HEIGHT, WIDTH, CHANNELS, 0, found);
        for (uint32_t i = 0; i < HEIGHT * WIDTH * CHANNELS; i++) {
            uint32_t c = i % CHANNELS, x = i / CHANNELS % WIDTH, y = i / CHANNELS / WIDTH;
            double expected = warped(&warp, pixels, y, x, c);
            assert_true(fabs(found[i] - expected) <
                        (index % 4 < 2 ? 2.5 : 9) / 256); /* weights' steps */
            outside += expected == 0;
        }
    }
    assert_in_range(outside, 1000, 30000); /* some were, not all */
}

/* Turning first and warping then is the same as warping the turned image. */
static void a_turned_image_is_warped_after_it_was_turned(void **state)
{
    (void)state;
    enum { SIDE = 9 };
    uint8_t pixels[SIDE * SIDE], turned[SIDE * SIDE];
    float copy[SIDE * SIDE], expected[SIDE * SIDE], found[SIDE * SIDE];
    fill(pixels, sizeof pixels, 101);
    for (uint32_t turns = 1; turns < 4; turns++) {
        mn_random random = mn_random_stream(3, MN_RANDOM_SELF_TEST, turns);
        mn_warp warp = mn_warp_draw(&random, 0.3, 0.2);
        mn_image_tasks_copy(pixels, SIDE, SIDE, 1, turns, copy);
        for (int i = 0; i < SIDE * SIDE; i++)
            turned[i] = (uint8_t)lrintf(copy[i] * 255.0f);
        mn_warp_copy(&warp, turned, SIDE, SIDE, 1, 0, expected);
        mn_warp_copy(&warp, pixels, SIDE, SIDE, 1, turns, found);
        for (int i = 0; i < SIDE * SIDE; i++)
            assert_true(fabsf(found[i] - expected[i]) < 2.5f / 256);
    }
}

/* Seen in a mirror: pixel x of a row is what was pixel WIDTH - 1 - x. */
static void mirror_rows(const uint8_t *pixels, uint8_t *mirrored)
{
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++)
            memcpy(mirrored + (y * WIDTH + x) * CHANNELS,
                   pixels + (y * WIDTH + WIDTH - 1 - x) * CHANNELS, CHANNELS);
}

static void a_mirrored_warp_shows_the_mirrored_image(void **state)
{
    (void)state;
    enum { N = HEIGHT * WIDTH * CHANNELS };
    uint8_t pixels[N], mirrored[N];
    float expected[N], found[N];
    for (uint64_t index = 0; index < 20; index++) {
        fill(pixels, sizeof pixels, index);
        mirror_rows(pixels, mirrored);
        mn_random random = mn_random_stream(6, MN_RANDOM_SELF_TEST, index);
        mn_warp warp =
            index == 0 ? (mn_warp){0} : mn_warp_draw(&random, 0.3, index % 2 == 0 ? 0 : 0.2);
        mn_warp_copy(&warp, mirrored, HEIGHT, WIDTH, CHANNELS, 0, expected);
        mn_warp_mirror(&warp);
        mn_warp_copy(&warp, pixels, HEIGHT, WIDTH, CHANNELS, 0, found);
        for (int i = 0; i < N; i++) /* places are cut to 1/256 pixel, from the other side here */
            assert_true(fabsf(found[i] - expected[i]) <= (index == 0 ? 0 : 1.01f / 256));
    }
}

static void a_bend_stays_within_its_amount_and_costs_no_number_if_there_is_none(void **state)
{
    (void)state;
    const int32_t most = MN_WARP_ONE / 8;
    int32_t low = 0, high = 0;
    mn_random random = mn_random_stream(5, MN_RANDOM_SELF_TEST, 0), straight = random;
    for (int i = 0; i < 100; i++) {
        mn_warp warp = mn_warp_draw(&random, 0, 0.125);
        for (uint32_t j = 0; j < sizeof warp.bend / sizeof ***warp.bend; j++) {
            const int32_t number = (&warp.bend[0][0][0])[j];
            low = number < low ? number : low;
            high = number > high ? number : high;
        }
        assert_int_equal(warp.matrix[0][0] | warp.matrix[1][1] | warp.shift[0], 0);
    }
    assert_in_range(-low, most * 49 / 50, most);
    assert_in_range(high, most * 49 / 50, most);

    mn_random again = straight;
    mn_warp warp = mn_warp_draw(&straight, 0.2, 0);
    for (int i = 0; i < 6; i++) /* a warp has always been these six */
        (void)mn_random_below(&again, 2 * (uint32_t)(int32_t)(0.2 * MN_WARP_ONE) + 1);
    assert_int_equal(mn_random_u32(&straight), mn_random_u32(&again));
    for (uint32_t j = 0; j < sizeof warp.bend / sizeof ***warp.bend; j++)
        assert_int_equal((&warp.bend[0][0][0])[j], 0);
}

static void a_warp_stays_within_its_amount_and_uses_all_of_it(void **state)
{
    (void)state;
    mn_random random = mn_random_stream(4, MN_RANDOM_SELF_TEST, 0);
    int32_t most = MN_WARP_ONE / 8, low[6] = {0}, high[6] = {0};
    for (int i = 0; i < 1000; i++) {
        mn_warp warp = mn_warp_draw(&random, 0.125, 0);
        const int32_t numbers[6] = {warp.matrix[0][0], warp.matrix[0][1], warp.matrix[1][0],
                                    warp.matrix[1][1], warp.shift[0],     warp.shift[1]};
        for (int j = 0; j < 6; j++) {
            low[j] = numbers[j] < low[j] ? numbers[j] : low[j];
            high[j] = numbers[j] > high[j] ? numbers[j] : high[j];
        }
    }
    for (int j = 0; j < 6; j++) {
        assert_in_range(-low[j], most * 49 / 50, most);
        assert_in_range(high[j], most * 49 / 50, most);
    }
    mn_warp none = mn_warp_draw(&random, 0, 0);
    assert_memory_equal(&none, &(mn_warp){.shift = {0}}, sizeof none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_warp_an_image_is_copied_and_turned_bit_for_bit),
        cmocka_unit_test(a_warped_pixel_is_where_the_map_says),
        cmocka_unit_test(a_turned_image_is_warped_after_it_was_turned),
        cmocka_unit_test(a_mirrored_warp_shows_the_mirrored_image),
        cmocka_unit_test(a_bend_stays_within_its_amount_and_costs_no_number_if_there_is_none),
        cmocka_unit_test(a_warp_stays_within_its_amount_and_uses_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
