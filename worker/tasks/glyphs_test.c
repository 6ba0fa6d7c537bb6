#include "worker/tasks/glyphs.h"

#include "common/digest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WAY = 5, SIDE = 28, PIXELS = SIDE * SIDE };

static mn_random hand(uint64_t index)
{
    return mn_random_stream(9, MN_RANDOM_TASK_TEST, index);
}

static void a_drawing_is_mostly_paper_with_some_ink(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < 300; number++) {
        float image[PIXELS], ink = 0;
        mn_glyph glyph = mn_glyph_make(1, MN_TRAIN, number);
        mn_random random = hand(number);
        mn_glyph_draw(&glyph, &random, SIDE, image);
        for (int i = 0; i < PIXELS; i++) {
            assert_true(image[i] >= 0.0f && image[i] <= 1.0f);
            ink += image[i];
        }
        assert_true(ink > 0.01f * PIXELS && ink < 0.4f * PIXELS);
    }
}

static void a_class_has_the_same_strokes_each_time_and_other_classes_have_others(void **state)
{
    (void)state;
    mn_glyph glyph = mn_glyph_make(1, MN_TRAIN, 7), again = mn_glyph_make(1, MN_TRAIN, 7);
    assert_memory_equal(&glyph, &again, sizeof glyph);
    const mn_glyph others[] = {mn_glyph_make(1, MN_TRAIN, 8), mn_glyph_make(1, MN_VAL, 7),
                               mn_glyph_make(1, MN_TEST, 7), mn_glyph_make(2, MN_TRAIN, 7)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_memory_not_equal(&glyph, &others[i], sizeof glyph);
}

static void two_drawings_of_a_class_differ(void **state)
{
    (void)state;
    float first[PIXELS], second[PIXELS];
    mn_glyph glyph = mn_glyph_make(1, MN_TRAIN, 7);
    mn_random random = hand(0);
    mn_glyph_draw(&glyph, &random, SIDE, first);
    mn_glyph_draw(&glyph, &random, SIDE, second);
    assert_memory_not_equal(first, second, sizeof first);
}

static void any_size_can_be_drawn(void **state)
{
    (void)state;
    mn_glyph glyph = mn_glyph_make(1, MN_VAL, 3);
    for (uint32_t side = 1; side <= 105; side++) {
        float *image = malloc(side * side * sizeof *image); /* sanitizers guard its end */
        assert_non_null(image);
        for (uint64_t i = 0; i < 20; i++) {
            mn_random random = hand(i);
            mn_glyph_draw(&glyph, &random, side, image);
        }
        free(image);
    }
}

/* The digest was made on x86-64 by GCC 12; another value means that published answers no longer
 * hold. */
static void the_bits_of_drawings_are_what_they_have_always_been(void **state)
{
    (void)state;
    mn_hasher hasher;
    mn_hasher_init(&hasher);
    for (uint32_t number = 0; number < 50; number++) {
        float image[PIXELS];
        mn_glyph glyph = mn_glyph_make(1, MN_TEST, number);
        mn_random random = hand(number);
        mn_glyph_draw(&glyph, &random, SIDE, image);
        mn_hasher_add(&hasher, image, sizeof image);
    }
    mn_digest digest = mn_hasher_finish(&hasher);
    char hex[65];
    mn_digest_hex(&digest, hex);
    assert_string_equal(hex, "cddc5376bb4839cc121010d34e9d29aaca3afcec989166c04f388019ffd730b8");
}

static uint32_t nearest(const float *query, const float *support)
{
    uint32_t best = 0;
    float least = 1e9f;
    for (uint32_t label = 0; label < WAY; label++) {
        float distance = 0;
        for (uint32_t i = 0; i < PIXELS; i++) {
            float d = query[i] - support[label * PIXELS + i];
            distance += d * d;
        }
        best = distance < least ? label : best;
        least = distance < least ? distance : least;
    }
    return best;
}

static void nearest_pixels_do_better_than_chance_and_far_from_well(void **state)
{
    (void)state;
    const uint32_t image[3] = {SIDE, SIDE, 1};
    enum { TASKS = 1000 };
    mn_fields fields;
    mn_task *task = NULL;
    assert_int_equal(mn_fields_few_shot(&fields, WAY, WAY, image, MN_TARGET_CLASSES, WAY, NULL),
                     MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, NULL), MN_OK);
    const mn_few_shot few_shot = {.way = {WAY, WAY}, .shot = {1, 1}, .query = 1};
    uint32_t right = 0;
    for (uint64_t index = 0; index < TASKS; index++) {
        mn_random random = hand(index);
        mn_glyphs_draw(1, MN_TEST, &few_shot, &random, task);
        for (uint32_t label = 0; label < WAY; label++) {
            assert_true(task->at[MN_SUPPORT_Y][label * WAY + label] == 1.0f);
            right +=
                nearest(task->at[MN_QUERY_X] + label * PIXELS, task->at[MN_SUPPORT_X]) == label;
            for (uint32_t other = 0; other < label; other++)
                assert_int_not_equal(task->classes[label], task->classes[other]);
        }
    }
    print_message("nearest neighbour: %.1f %% of %d (chance: 20 %%)\n",
                  right * 100.0 / (TASKS * WAY), TASKS * WAY);
    assert_true(right > TASKS * WAY * 0.40);
    assert_true(right < TASKS * WAY * 0.75);
    mn_task_destroy(&task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drawing_is_mostly_paper_with_some_ink),
        cmocka_unit_test(a_class_has_the_same_strokes_each_time_and_other_classes_have_others),
        cmocka_unit_test(two_drawings_of_a_class_differ),
        cmocka_unit_test(any_size_can_be_drawn),
        cmocka_unit_test(the_bits_of_drawings_are_what_they_have_always_been),
        cmocka_unit_test(nearest_pixels_do_better_than_chance_and_far_from_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
