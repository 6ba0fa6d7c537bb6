#include "worker/learner/scores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ITEMS = 4, Y = 4 };

/* Items of two labels of two kinds each; the last two are at point 1. */
static mn_task *make_task(uint32_t symbols)
{
    static const float y[ITEMS * Y] = {1,      0, 1, 0, /**/ 1, 0, 0, 1,
                                       /**/ 0, 1, 1, 0, /**/ 0, 1, 0, 1};
    static const float points[ITEMS] = {0, 0, 1, 1};
    const uint32_t item[3] = {1, 1, Y}, number[3] = {1, 1, 1};
    mn_fields fields;
    mn_task *task = NULL;
    mn_error err;
    mn_fields_init(&fields, MN_TARGET_CLASSES, Y);
    fields.symbols = symbols;
    fields.points.n = 2;
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, ITEMS, item, &err),
                     MN_OK);
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "point", MN_FIELD_IDS, ITEMS, number, &err),
                     MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, &err), MN_OK);
    memcpy(mn_task_find(task, MN_QUERY, "y"), y, sizeof y);
    memcpy(mn_task_find(task, MN_QUERY, "point"), points, sizeof points);
    return task;
}

static const float output[ITEMS * Y] = {
    2, 1, 9,  8,  /* both right */
    2, 1, 9,  8,  /* the second is not */
    3, 4, -1, -2, /* both right, though the largest of all is the first label's */
    4, 3, -2, -1, /* the first is not */
};

static void a_string_is_right_if_all_its_letters_are(void **state)
{
    mn_task *task = make_task(2);
    float row[8] = {0}, *value = row, *weight = row + 4;
    (void)state;
    assert_true(mn_scores_accuracy(task, output) == 0.5);
    mn_scores_put_points(task, Y, output, &value, &weight);
    assert_true(row[0] == 1 && row[4] == 2); /* of two items, one is right */
    assert_true(row[1] == 1 && row[5] == 2);
    mn_task_destroy(&task);
}

static void the_harmonic_mean_is_of_the_last_two_points(void **state)
{
    mn_task *task = make_task(2);
    const mn_uint_list once = {.n = 1};
    float row[8] = {0}, *value = row, *weight = row + 4;
    mn_score_list list = {0};
    mn_error err;
    (void)state;
    task->fields.points.harmonic = true;
    mn_task_find(task, MN_QUERY, "point")[2] = 0; /* now 2 of 3 are right, and 0 of 1 */
    mn_scores_put_points(task, Y, output, &value, &weight);
    assert_true(row[2] == 0 && row[6] == 1);
    mn_task_find(task, MN_QUERY, "point")[0] = 1; /* 1 of 2 and 1 of 2 */
    value = row, weight = row + 4;
    mn_scores_put_points(task, Y, output, &value, &weight);
    assert_true(value == row + 3 && row[2] == 0.5f && row[6] == 1);
    assert_int_equal(mn_scores_list_test(&task->fields, Y, false, &once, 0, &list, &err), MN_OK);
    assert_int_equal(list.n, 5); /* loss, accuracy, both points, and this one */
    assert_string_equal(list.at[4].point, "H");
    mn_score_list_fini(&list);
    mn_task_destroy(&task);
}

static void a_class_is_right_if_its_number_is_the_largest(void **state)
{
    static const float sure[ITEMS * Y] = {0,      5, 0, 0, /**/ 9, 0, 0, 1,
                                          /**/ 0, 0, 7, 0, /**/ 0, 3, 0, 4};
    static const float y[ITEMS * Y] = {0,      1, 0, 0, /**/ 1, 0, 0, 0,
                                       /**/ 0, 1, 0, 0, /**/ 0, 0, 0, 1};
    mn_task *task = make_task(1);
    (void)state;
    memcpy(mn_task_find(task, MN_QUERY, "y"), y, sizeof y);
    assert_true(mn_scores_accuracy(task, sure) == 0.75);
    mn_task_destroy(&task);
}

/* A task of 2 classes and 2 items counts as much as one of 3 and 6, and its padding for nothing. */
static void episodes_of_several_sizes_count_alike(void **state)
{
    static const uint32_t x[3] = {1, 1, 1};
    static const float y[6 * 3] = {1, 0, 0, /**/ 0, 1, 0}, weights[6] = {0.5, 0.5};
    static const float answers[6 * 3] = {3, 2, -9, /**/ 3, 2, -9}; /* of padding: right, if asked */
    mn_fields fields;
    mn_task *task = NULL;
    float row[6] = {0}, *value = row, *weight = row + 3;
    (void)state;
    assert_int_equal(mn_fields_few_shot(&fields, 3, 6, x, MN_TARGET_CLASSES, 3, NULL), MN_OK);
    assert_int_equal(mn_fields_add_padding(&fields, NULL), MN_OK);
    fields.points.n = 1;
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "point", MN_FIELD_NUMBERS, 6, x, NULL),
                     MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, NULL), MN_OK);
    memcpy(mn_task_find(task, MN_QUERY, "y"), y, sizeof y);
    memcpy(mn_task_find(task, MN_QUERY, "weight"), weights, sizeof weights);
    assert_true(mn_scores_accuracy(task, answers) == 0.5);
    mn_scores_put(task, 3, 0.75, answers, UINT32_MAX, &value, &weight);
    mn_scores_put_points(task, 3, answers, &value, &weight);
    assert_true(row[0] == 0.75f && row[3] == 1);
    assert_true(row[1] == 0.5f && row[4] == 1);
    assert_true(row[2] == 0.5f && row[5] == 1); /* of its set, too */
    mn_task_destroy(&task);
}

/* Right as a whole if all items that count are: those of weight 0 do not. */
static void a_task_may_be_judged_as_a_whole(void **state)
{
    static const float sure[ITEMS * Y] = {9,      0, 0, 0, /**/ 9, 0, 0, 0,
                                          /**/ 9, 0, 0, 0, /**/ 9, 0, 0, 0};
    static const mn_uint_list once = {.n = 1, .at = {0}};
    const uint32_t number[3] = {1, 1, 1}, item[3] = {1, 1, Y};
    mn_score_list list = {0};
    mn_fields fields;
    mn_task *task = NULL;
    mn_error err;
    (void)state;
    mn_fields_init(&fields, MN_TARGET_CLASSES, Y);
    (void)snprintf(fields.whole, sizeof fields.whole, "dialog");
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, ITEMS, item, &err),
                     MN_OK);
    assert_int_equal(
        mn_fields_add(&fields, MN_QUERY, "weight", MN_FIELD_NUMBERS, ITEMS, number, &err), MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, &err), MN_OK);
    assert_int_equal(mn_scores_list_test(&fields, Y, false, &once, 0, &list, &err), MN_OK);
    assert_int_equal(list.n, 3);
    assert_string_equal(list.at[2].name, "dialog_accuracy");
    assert_true(list.judged == 1 && list.at[2].is_share && list.at[2].higher_is_better);
    float *y = mn_task_find(task, MN_QUERY, "y"), *weights = mn_task_find(task, MN_QUERY, "weight");
    for (uint32_t wrong = 0; wrong <= ITEMS; wrong++) {
        float row[2] = {-1, -1}, *value = row, *weight = row + 1;
        memset(y, 0, sizeof(float) * ITEMS * Y);
        for (uint32_t i = 0; i < ITEMS; i++) {
            y[i * Y + (i == wrong ? 1 : 0)] = 1;
            weights[i] = i + 1 < ITEMS ? 1.0f / (ITEMS - 1) : 0;
        }
        mn_scores_put_points(task, Y, sure, &value, &weight);
        assert_true(row[0] == (wrong + 1 < ITEMS ? 0 : 1) && row[1] == 1);
    }
    mn_score_list_fini(&list);
    mn_task_destroy(&task);
}

/* Values in a unit of 3 about the mean of training; the last item is padding. */
static void explained_variance_is_a_ratio_of_sums_over_the_items_that_count(void **state)
{
    static const float y[ITEMS] = {1, 2, -1, 50}, answers[ITEMS] = {0.5f, 2, 0, -70};
    static const float weights[ITEMS] = {0.25f, 0.5f, 0.25f, 0};
    static const mn_uint_list steps = {1, {0}};
    const uint32_t number[3] = {1, 1, 1};
    mn_fields fields;
    mn_task *task = NULL;
    mn_score_list list = {0};
    float row[8] = {0}, *value = row, *weight = row + 4;
    (void)state;
    mn_fields_init(&fields, MN_TARGET_VALUES, 1);
    fields.y_scale = 3;
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "y", MN_FIELD_NUMBERS, ITEMS, number, NULL),
                     MN_OK);
    assert_int_equal(
        mn_fields_add(&fields, MN_QUERY, "weight", MN_FIELD_NUMBERS, ITEMS, number, NULL), MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, NULL), MN_OK);
    memcpy(mn_task_find(task, MN_QUERY, "y"), y, sizeof y);
    memcpy(mn_task_find(task, MN_QUERY, "weight"), weights, sizeof weights);
    assert_int_equal(mn_scores_list_test(&fields, 1, false, &steps, 0, &list, NULL), MN_OK);
    assert_int_equal(list.n, 4);
    assert_int_equal(list.judged, 0);
    assert_string_equal(list.at[2].name, "explained_variance");
    mn_scores_put(task, 1, 0.3125, answers, UINT32_MAX, &value, &weight);
    assert_true(row[0] == 0.3125f * 3 && row[4] == 3); /* the loss, of three items */
    assert_true(row[1] == 9 * 1.25f && row[5] == 3);   /* squared errors in the unit of y */
    assert_true(row[2] == 6 - 1.25f && row[6] == 6);   /* 1 + 4 + 1 */
    assert_true(row[7] == (float)(6 - 4.0 / 3) && row[3] == (float)(6 - 4.0 / 3 - 1.25));
    mn_score_list_fini(&list);
    mn_task_destroy(&task);
}

/* Items that are due from 0, 3, 3 and 7 support items on. */
static void what_is_not_due_does_not_count(void **state)
{
    static const float sure[ITEMS * Y] = {0,      5, 0, 0, /**/ 9, 0, 0, 1,
                                          /**/ 0, 0, 7, 0, /**/ 0, 0, 0, 0};
    static const float y[ITEMS * Y] = {0,      1, 0, 0, /**/ 1, 0, 0, 0,
                                       /**/ 0, 1, 0, 0, /**/ 1, 0, 0, 0};
    static const float from[ITEMS] = {0, 3, 3, 7};
    static const struct {
        uint32_t n_read, due, right;
    } cases[] = {{0, 1, 1}, {2, 1, 1}, {3, 3, 2}, {7, 4, 3}, {UINT32_MAX, 4, 3}};
    const uint32_t number[3] = {1, 1, 1};
    mn_task *without = make_task(1), *task = NULL;
    mn_fields fields = without->fields;
    mn_error err;
    (void)state;
    assert_int_equal(mn_fields_add(&fields, MN_QUERY, "from", MN_FIELD_IDS, ITEMS, number, &err),
                     MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, &err), MN_OK);
    memcpy(mn_task_find(task, MN_QUERY, "y"), y, sizeof y);
    memcpy(mn_task_find(task, MN_QUERY, "from"), from, sizeof from);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float row[4] = {0}, *value = row, *weight = row + 2;
        mn_scores_put(task, Y, 1e9, sure, cases[i].n_read, &value, &weight);
        assert_true(row[2] == (float)cases[i].due && row[3] == (float)cases[i].due);
        assert_true(row[1] == (float)cases[i].right);
        if (cases[i].n_read == 0) /* the first alone: log(1 + 3 e^-5) */
            assert_true(row[0] > 0.02f && row[0] < 0.021f);
    }
    float row[4] = {0}, *value = row, *weight = row + 2;
    mn_scores_put_points(task, Y, sure, &value, &weight); /* at points all count */
    assert_true(row[2] + row[3] == ITEMS);
    mn_task_destroy(&without);
    mn_task_destroy(&task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_is_right_if_all_its_letters_are),
        cmocka_unit_test(episodes_of_several_sizes_count_alike),
        cmocka_unit_test(the_harmonic_mean_is_of_the_last_two_points),
        cmocka_unit_test(a_class_is_right_if_its_number_is_the_largest),
        cmocka_unit_test(a_task_may_be_judged_as_a_whole),
        cmocka_unit_test(explained_variance_is_a_ratio_of_sums_over_the_items_that_count),
        cmocka_unit_test(what_is_not_due_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
