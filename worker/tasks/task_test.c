#include "worker/tasks/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint32_t number[3] = {1, 1, 1};

/* A story of 5 sentences of 3 words, asked 2 questions of one word each. */
static mn_fields story(void)
{
    const uint32_t words[3] = {1, 1, 3}, classes[3] = {1, 1, 20};
    mn_fields fields;
    mn_fields_init(&fields, MN_TARGET_CLASSES, 20);
    assert_int_equal(mn_fields_add(&fields, MN_SHARED, "words", MN_FIELD_IDS, 5, words, NULL),
                     MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_SHARED, "mask", MN_FIELD_MASK, 5, number, NULL),
                     MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "words", MN_FIELD_IDS, 2, number, NULL),
                     MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, 2, classes, NULL),
                     MN_OK);
    return fields;
}

static void fields_begin_at_cache_lines_and_do_not_overlap(void **state)
{
    (void)state;
    mn_fields fields = story();
    const size_t counts[] = {15, 5, 2, 40}, offsets[] = {0, 16, 32, 48};
    assert_int_equal(fields.n, 4);
    assert_int_equal(fields.bundle, 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(mn_field_count(&fields.at[i]), counts[i]);
        assert_int_equal(fields.at[i].offset, offsets[i]);
    }
    assert_int_equal(mn_field_item(&fields.at[0]), 3);
    assert_int_equal(mn_field_item(&fields.at[3]), 20);
    assert_int_equal(fields.size, 48 + 48);

    const uint32_t whole[3] = {1, 4, 4}; /* without a gap behind it */
    assert_int_equal(mn_fields_add(&fields, MN_SUPPORT, "x", MN_FIELD_NUMBERS, 1, whole, NULL),
                     MN_OK);
    assert_int_equal(fields.at[4].offset, 96);
    assert_int_equal(fields.size, 112);
}

static void the_arrays_of_a_task_are_aligned_and_its_own(void **state)
{
    (void)state;
    const uint32_t image[3] = {7, 7, 1};
    mn_fields fields;
    mn_task *task = NULL;
    assert_int_equal(mn_fields_few_shot(&fields, 3, 5, image, MN_TARGET_VALUES, 3, NULL), MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, NULL), MN_OK);
    assert_true(mn_fields_equal(&task->fields, &fields));
    const size_t sizes[] = {3 * 49, 9, 5 * 49, 15};
    assert_int_equal((uintptr_t)task->block % MN_TASK_ALIGNMENT, 0);
    for (size_t i = 0; i < fields.size; i++)
        assert_true(task->block[i] == 0.0f);
    for (int i = 0; i < 4; i++) {
        assert_int_equal((uintptr_t)task->at[i] % MN_TASK_ALIGNMENT, 0);
        assert_ptr_equal(task->at[i], task->block + fields.at[i].offset);
        for (size_t j = 0; j < sizes[i]; j++) {
            assert_true(task->at[i][j] == 0.0f);
            task->at[i][j] = (float)(i + 1);
        }
    }
    for (int i = 0; i < 4; i++)
        assert_true(task->at[i][0] == (float)(i + 1) &&
                    task->at[i][sizes[i] - 1] == (float)(i + 1));
    mn_task_destroy(&task);
    assert_null(task);
    mn_task_destroy(&task); /* does nothing */
}

static void assert_refused(mn_fields *fields, uint32_t n, const uint32_t item[3],
                           const char *because)
{
    const mn_fields before = *fields;
    mn_error err = {.message = ""};
    assert_int_equal(mn_fields_add(fields, MN_QUERY, "x", MN_FIELD_NUMBERS, n, item, &err),
                     MN_ERR_CONFIG);
    if (strstr(err.message, because) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, because);
    assert_memory_equal(fields, &before, sizeof before);
}

static void a_field_without_numbers_is_refused_by_its_name(void **state)
{
    (void)state;
    mn_fields fields;
    mn_fields_init(&fields, MN_TARGET_VALUES, 1);
    const uint32_t none[3][3] = {{0, 2, 3}, {2, 0, 3}, {2, 3, 0}};
    assert_refused(&fields, 0, number, "field query.x of 0 items of 1 x 1 x 1 is empty");
    assert_refused(&fields, 4, none[0], "field query.x of 4 items of 0 x 2 x 3 is empty");
    assert_refused(&fields, 4, none[1], "field query.x of 4 items of 2 x 0 x 3 is empty");
    assert_refused(&fields, 4, none[2], "field query.x of 4 items of 2 x 3 x 0 is empty");

    const uint32_t nothing[3] = {0, 1, 1};
    mn_error err;
    assert_int_equal(mn_fields_few_shot(&fields, 1, 1, nothing, MN_TARGET_VALUES, 1, &err),
                     MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "field support.x of 1 items of 0 x 1 x 1"));
    assert_int_equal(mn_fields_few_shot(&fields, 1, 0, number, MN_TARGET_VALUES, 1, &err),
                     MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "field query.x of 0 items of 1 x 1 x 1"));
}

static void a_task_that_does_not_fit_in_memory_is_refused_by_the_fields_name(void **state)
{
    (void)state;
    mn_fields fields;
    mn_fields_init(&fields, MN_TARGET_VALUES, 1);
    /* In 64 bits the products are large, 0, 0 and 4. */
    const uint32_t most[3] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    const uint32_t half[3] = {1u << 31, 2, 1u << 31};
    const uint32_t square[3] = {1u << 16, 1u << 16, 1u << 16};
    const uint32_t four[3] = {49477, 34724, 27905};
    assert_refused(&fields, UINT32_MAX, most,
                   "field query.x of 4294967295 items of 4294967295 x 4294967295 x 4294967295 is "
                   "empty, or makes a task larger than 268435456 numbers");
    assert_refused(&fields, 2, half, "query.x of 2 items of 2147483648 x 2 x 2147483648");
    assert_refused(&fields, 1u << 16, square, "query.x of 65536 items of 65536 x 65536 x 65536");
    assert_refused(&fields, 384773, four, "query.x of 384773 items of 49477 x 34724 x 27905");
    assert_refused(&fields, UINT32_MAX, number, "query.x of 4294967295 items");
    assert_refused(&fields, (1u << 28) + 1, number, "query.x of 268435457 items");

    /* All fields together count, with the gaps between them. */
    const uint32_t line[3] = {1, 1, 16};
    assert_int_equal(mn_fields_add(&fields, MN_SUPPORT, "y", MN_FIELD_NUMBERS, 1, number, NULL),
                     MN_OK);
    assert_refused(&fields, 1u << 24, line, "query.x of 16777216 items of 1 x 1 x 16");
    assert_int_equal(
        mn_fields_add(&fields, MN_QUERY, "x", MN_FIELD_NUMBERS, (1u << 24) - 1, line, NULL), MN_OK);
    assert_int_equal(fields.size, (size_t)1 << 28);
    assert_refused(&fields, 1, number, "query.x of 1 items of 1 x 1 x 1");
}

static void a_field_is_found_by_its_role_and_name(void **state)
{
    (void)state;
    mn_fields fields = story();
    assert_ptr_equal(mn_fields_find(&fields, MN_SHARED, "words"), &fields.at[0]);
    assert_ptr_equal(mn_fields_find(&fields, MN_QUERY, "words"), &fields.at[2]);
    assert_null(mn_fields_find(&fields, MN_SUPPORT, "words"));
    assert_null(mn_fields_find(&fields, MN_QUERY, "word"));
    assert_null(mn_fields_find(&fields, MN_QUERY, ""));

    mn_task *task = NULL;
    assert_int_equal(mn_task_new(&fields, &task, NULL), MN_OK);
    assert_ptr_equal(mn_task_find(task, MN_QUERY, "words"), task->at[2]);
    assert_ptr_equal(mn_task_find(task, MN_QUERY, "y"), task->at[3]);
    assert_null(mn_task_find(task, MN_SUPPORT, "y"));
    mn_task_destroy(&task);
}

static void fields_are_equal_if_all_of_them_are(void **state)
{
    (void)state;
    const mn_fields fields = story();
    mn_fields other = story();
    assert_true(mn_fields_equal(&fields, &other));
    assert_int_equal(mn_fields_add(&other, MN_SHARED, "z", MN_FIELD_NUMBERS, 1, number, NULL),
                     MN_OK);
    assert_false(mn_fields_equal(&fields, &other)); /* one more */
    assert_false(mn_fields_equal(&other, &fields));
#define DIFFERS(change)                                                                            \
    do {                                                                                           \
        other = story();                                                                           \
        change;                                                                                    \
        assert_false(mn_fields_equal(&fields, &other));                                            \
    } while (0)
    DIFFERS(other.y_size++);
    DIFFERS(other.target = MN_TARGET_VALUES);
    DIFFERS(other.bundle = 2);
    DIFFERS(other.at[3].name[0] = 'z');
    DIFFERS(other.at[3].role = MN_SUPPORT);
    DIFFERS(other.at[3].type = MN_FIELD_IDS);
    DIFFERS(other.at[3].n = 3);
    DIFFERS(other.at[3].height = 2);
    DIFFERS(other.at[3].width = 2);
    DIFFERS(other.at[3].channels = 2);
#undef DIFFERS
}

static void few_shot_tasks_are_told_from_others(void **state)
{
    (void)state;
    const uint32_t image[3] = {4, 6, 3};
    mn_fields fields;
    assert_int_equal(mn_fields_few_shot(&fields, 5, 10, image, MN_TARGET_CLASSES, 5, NULL), MN_OK);
    assert_true(mn_fields_are_few_shot(&fields));
    assert_int_equal(fields.y_size, 5);
    assert_int_equal(fields.at[MN_SUPPORT_X].n, 5);
    assert_int_equal(fields.at[MN_QUERY_X].n, 10);
    assert_int_equal(fields.at[MN_QUERY_X].height, 4);
    assert_int_equal(fields.at[MN_QUERY_X].width, 6);
    assert_int_equal(fields.at[MN_QUERY_X].channels, 3);
    assert_int_equal(fields.at[MN_QUERY_Y].n, 10);
    assert_int_equal(mn_field_item(&fields.at[MN_QUERY_Y]), 5);

    mn_fields more = fields, swapped = fields, others = story();
    assert_int_equal(mn_fields_add(&more, MN_SHARED, "z", MN_FIELD_NUMBERS, 1, number, NULL),
                     MN_OK);
    mn_fields mixed = fields; /* told by part */
    assert_int_equal(mn_fields_add(&mixed, MN_QUERY, "point", MN_FIELD_NUMBERS, 10, number, NULL),
                     MN_OK);
    assert_true(mn_fields_are_few_shot(&mixed));
    mn_fields padded = fields;
    assert_false(mn_fields_have_padding(&padded));
    assert_int_equal(mn_fields_add_padding(&padded, NULL), MN_OK);
    assert_true(mn_fields_have_padding(&padded) && mn_fields_are_few_shot(&padded));
    mn_fields both = padded, bad = padded;
    assert_int_equal(mn_fields_add(&both, MN_QUERY, "point", MN_FIELD_NUMBERS, 10, number, NULL),
                     MN_OK);
    assert_true(mn_fields_are_few_shot(&both));
    bad.at[bad.n - 1].channels = 4; /* classes that are none */
    assert_false(mn_fields_are_few_shot(&bad));
    bad = padded;
    bad.at[bad.n - 2].n = 9; /* a query item without a weight */
    assert_false(mn_fields_are_few_shot(&bad));
    mn_fields told = fields;
    assert_int_equal(mn_fields_add_ids(&told, 7, NULL), MN_OK);
    assert_true(mn_fields_are_few_shot(&told) && told.vocabulary == 7);
    told.at[MN_N_FEW_SHOT].n = 4; /* a support item without an id */
    assert_false(mn_fields_are_few_shot(&told));
    swapped.at[MN_SUPPORT_X].role = MN_QUERY;
    assert_false(mn_fields_are_few_shot(&more));
    assert_false(mn_fields_are_few_shot(&swapped));
    assert_false(mn_fields_are_few_shot(&others));
}

static void a_label_is_the_first_of_the_largest(void **state)
{
    (void)state;
    float row[70];
    uint32_t random = 1;
    for (uint32_t n = 1; n <= 70; n++)
        for (int again = 0; again < 50; again++) {
            uint32_t expected = 0;
            for (uint32_t i = 0; i < n; i++) {
                random = random * 1664525u + 1013904223u;
                row[i] = (float)(int)(random >> 16 & 63) - 80; /* many are equal */
                if (row[i] > row[expected])
                    expected = i;
            }
            assert_int_equal(mn_label_of(n, row), expected);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_is_the_first_of_the_largest),
        cmocka_unit_test(fields_begin_at_cache_lines_and_do_not_overlap),
        cmocka_unit_test(the_arrays_of_a_task_are_aligned_and_its_own),
        cmocka_unit_test(a_field_without_numbers_is_refused_by_its_name),
        cmocka_unit_test(a_task_that_does_not_fit_in_memory_is_refused_by_the_fields_name),
        cmocka_unit_test(a_field_is_found_by_its_role_and_name),
        cmocka_unit_test(fields_are_equal_if_all_of_them_are),
        cmocka_unit_test(few_shot_tasks_are_told_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
