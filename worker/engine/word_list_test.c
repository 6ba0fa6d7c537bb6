/* Lists of words against a walk over all numbers: those that name rows, padding and nothing at all. */
#include "worker/engine/word_list.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t below(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

static mn_word_list *room(size_t groups, size_t words)
{
    mn_word_list *list = malloc(sizeof(uint32_t) * mn_word_list_numbers(groups, words));
    assert_non_null(list);
    return list;
}

/* Numbers for tables of n rows: all rows, none, fractions, far too large, NaN. */
static float random_id(uint64_t *state, uint32_t n)
{
    static const float odd[] = {-1, -0.5F, NAN, INFINITY, -INFINITY, 3e9F, -3e9F, 1e30F, -0.0F};
    switch (below(state, 4)) {
    case 0:
        return odd[below(state, sizeof odd / sizeof *odd)];
    case 1:
        return (float)n;
    default:
        return (float)below(state, n);
    }
}

static bool is_word(const mn_words_shape *shape, float id)
{
    return id >= 0 && id < (float)shape->rows && (long)id != shape->padding;
}

static bool is_there(const mn_words_shape *shape, const float *filled, size_t item)
{
    return shape->slots == 0 || (float)(item % shape->slots) < filled[item / shape->slots];
}

/* The group of a key; each key has one, in the order of their lengths. */
static const mn_word_group *group_of(const mn_word_list *list, uint32_t key)
{
    const mn_word_group *groups = mn_word_list_groups(list), *found = NULL;
    for (uint32_t i = 0; i < list->n_groups; i++) {
        assert_true(i == 0 || groups[i].n >= groups[i - 1].n || groups[i].n > 60);
        if (groups[i].key != key)
            continue;
        assert_null(found);
        found = &groups[i];
    }
    return found;
}

static void assert_word(const mn_word_list *list, const mn_word_group *group, uint32_t *k,
                        uint32_t of, uint32_t place)
{
    assert_true(*k < group->n);
    const mn_word *word = mn_word_list_words(list) + group->first + (*k)++;
    assert_int_equal(word->key, group->key);
    assert_int_equal(word->of, of);
    assert_int_equal(word->place, place);
}

static void compare(const mn_words_shape *shape, const float *ids, const float *filled)
{
    mn_word_list *list = room(shape->n, shape->n * shape->length);
    mn_word_list *turned = room(shape->rows, shape->n * shape->length);
    uint32_t *of_row = calloc(shape->rows, sizeof *of_row), n_words = 0;
    assert_non_null(of_row);
    mn_word_list_read(shape, ids, filled, list);
    mn_word_list_turn(list, shape->rows, turned);
    assert_int_equal(turned->n_groups, shape->rows);
    for (uint32_t i = 0; i < shape->n; i++) {
        const mn_word_group *group = group_of(list, i);
        assert_int_equal(group != NULL, is_there(shape, filled, i));
        uint32_t k = 0;
        for (uint32_t place = 0; place < shape->length && group != NULL; place++) {
            const float id = ids[i * shape->length + place];
            if (!is_word(shape, id))
                continue;
            const uint32_t row = (uint32_t)id;
            assert_word(list, group, &k, row, place);
            assert_word(turned, group_of(turned, row), &of_row[row], i, place);
            n_words++;
        }
        assert_true(group == NULL || k == group->n);
    }
    assert_int_equal(list->n_words, n_words);
    assert_int_equal(turned->n_words, n_words);
    free(of_row);
    free(list);
    free(turned);
}

static void lists_hold_the_words_that_there_are(void **state)
{
    static const float filled[] = {2, 1e9F, NAN, 1, 0, -1};
    static float ids[6 * 5 * 90];
    uint64_t seed = 7;
    (void)state;
    for (uint32_t length = 1; length <= 90; length += 1 + length / 4)
        for (uint32_t rows = 1; rows < 40; rows += 5)
            for (size_t slots = 0; slots <= 5; slots++) {
                const mn_words_shape shape = {6 * (slots > 0 ? slots : 1), length, rows,
                                              (long)below(&seed, 3) - 1, slots};
                for (size_t i = 0; i < shape.n * length; i++)
                    ids[i] = random_id(&seed, rows);
                compare(&shape, ids, filled);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists_hold_the_words_that_there_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
