#include "worker/tasks/table_prior.h"
#include "worker/tasks/task_set.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WAY = 4, FEATURES = 5, SHOT = 12, QUERY = 9 };

static mn_experiment tables(void)
{
    mn_experiment e;
    mn_experiment_init(&e);
    e.seed = 3;
    e.tasks.kind = MN_TASKS_TABLES;
    e.tasks.way = WAY;
    e.tasks.shot = SHOT;
    e.tasks.query = QUERY;
    e.tasks.features = FEATURES;
    return e;
}

static mn_task_set *open_set(const mn_experiment *e)
{
    mn_task_set *set = NULL;
    mn_error err = {0};
    if (mn_task_set_open(e, NULL, &set, &err) != MN_OK)
        fail_msg("%s", err.message);
    return set;
}

static mn_task *new_task(const mn_task_set *set, mn_split split)
{
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(mn_task_set_fields(set, split), &task, NULL), MN_OK);
    return task;
}

/* How many rows of a set have each label; each has one. */
static uint32_t count_labels(const float *y, uint32_t n, uint32_t count[WAY])
{
    uint32_t classes = 0;
    memset(count, 0, WAY * sizeof *count);
    for (uint32_t i = 0; i < n; i++) {
        float sum = 0;
        for (uint32_t k = 0; k < WAY; k++) {
            assert_true(y[i * WAY + k] == 0 || y[i * WAY + k] == 1);
            sum += y[i * WAY + k];
        }
        assert_true(sum == 1);
        count[mn_label_of(WAY, y + i * WAY)]++;
    }
    for (uint32_t k = 0; k < WAY; k++)
        classes += count[k] > 0;
    return classes;
}

static void a_class_that_is_asked_for_has_been_shown(void **state)
{
    (void)state;
    const mn_experiment e = tables();
    mn_task_set *set = open_set(&e);
    mn_task *task = new_task(set, MN_TRAIN);
    uint32_t with_classes[WAY + 1] = {0}, with_label[WAY] = {0};
    for (uint64_t index = 0; index < 500; index++) {
        uint32_t shown[WAY], asked[WAY];
        mn_task_set_draw(set, MN_TRAIN, index, task);
        const uint32_t classes = count_labels(task->at[MN_SUPPORT_Y], SHOT, shown);
        (void)count_labels(task->at[MN_QUERY_Y], QUERY, asked);
        with_classes[classes]++;
        for (uint32_t k = 0; k < WAY; k++) {
            assert_true(asked[k] == 0 || shown[k] > 0);
            with_label[k] += shown[k] > 0;
        }
    }
    assert_int_equal(with_classes[0] + with_classes[1], 0);
    for (uint32_t classes = 2; classes <= WAY; classes++) /* 167 each are expected */
        assert_in_range(with_classes[classes], 120, 215);
    for (uint32_t k = 0; k < WAY; k++) /* 375 */
        assert_in_range(with_label[k], 330, 420);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

/* Mean 0, deviation 1 over the support set, but for what is constant or cut off; those that a table
 * lacks are behind, and 0. */
static void features_are_standardised_by_the_support_set(void **state)
{
    (void)state;
    const mn_experiment e = tables();
    mn_task_set *set = open_set(&e);
    mn_task *task = new_task(set, MN_VAL);
    uint32_t with_features[FEATURES + 1] = {0}, standard = 0, all = 0;
    for (uint64_t index = 0; index < 500; index++) {
        uint32_t last = 0;
        mn_task_set_draw(set, MN_VAL, index, task);
        for (uint32_t f = 0; f < FEATURES; f++) {
            double mean = 0, square = 0, largest = 0;
            for (uint32_t i = 0; i < SHOT; i++) {
                const double x = (double)task->at[MN_SUPPORT_X][i * FEATURES + f];
                mean += x / SHOT;
                square += x * x / SHOT;
            }
            for (uint32_t i = 0; i < QUERY; i++)
                largest = fmax(largest, fabs((double)task->at[MN_QUERY_X][i * FEATURES + f]));
            assert_true(largest <= 10 && fabs(mean) < 1e-5);
            last = square > 0 || largest > 0 ? f + 1 : last;
            standard += fabs(square - 1) < 1e-5;
            all += square > 0;
            assert_true(square < 1e-6 || fabs(square - 1) < 1e-5);
        }
        with_features[last]++;
    }
    assert_true(standard == all && all > 500);
    for (uint32_t n = 1; n <= FEATURES; n++) /* about 100 each */
        assert_in_range(with_features[n], 60, 140);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void a_table_is_a_function_of_seed_split_and_index(void **state)
{
    (void)state;
    mn_experiment e = tables();
    mn_task_set *set = open_set(&e), *again = open_set(&e);
    e.seed++;
    mn_task_set *other = open_set(&e);
    mn_task *a = new_task(set, MN_TEST), *b = new_task(set, MN_TEST);
    const size_t bytes = a->fields.size * sizeof(float);
    mn_task_set_draw(set, MN_TEST, 7, a);
    mn_task_set_draw(again, MN_TEST, 8, b); /* a used task holds nothing over */
    assert_memory_not_equal(a->block, b->block, bytes);
    mn_task_set_draw(again, MN_TEST, 7, b);
    assert_memory_equal(a->block, b->block, bytes);
    mn_task_set_draw(other, MN_TEST, 7, b);
    assert_memory_not_equal(a->block, b->block, bytes);
    mn_task_set_draw(set, MN_TRAIN, 7, b);
    assert_memory_not_equal(a->block, b->block, bytes);
    mn_task_destroy(&a);
    mn_task_destroy(&b);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&again);
    mn_task_set_destroy(&other);
}

/* Of every mechanism, with the most features as with one: finite, and not all rows alike. */
static void rows_of_every_mechanism_are_finite_and_differ(void **state)
{
    (void)state;
    static mn_table_prior prior;
    uint32_t of_mechanism[MN_TABLE_N_MECHANISMS] = {0};
    for (uint64_t index = 0; index < 400; index++) {
        mn_random random = mn_random_stream(5, MN_RANDOM_TASK_TRAIN, index);
        const uint32_t n = index % 2 == 0 ? 1 : MN_TABLE_MOST_FEATURES;
        float x[MN_TABLE_MOST_FEATURES];
        double first = 0;
        bool differ = false;
        mn_table_prior_draw(&random, n, &prior);
        of_mechanism[prior.mechanism]++;
        for (uint32_t row = 0; row < 50; row++) {
            const double score = mn_table_prior_row(&prior, &random, x);
            assert_true(isfinite(score));
            for (uint32_t f = 0; f < n; f++)
                assert_true(isfinite(x[f]));
            first = row == 0 ? score : first;
            differ = differ || score != first;
        }
        assert_true(differ);
    }
    for (uint32_t m = 0; m < MN_TABLE_N_MECHANISMS; m++) /* 100 each */
        assert_in_range(of_mechanism[m], 65, 135);
}

static void the_score_of_a_linear_table_is_linear_in_what_was_drawn(void **state)
{
    (void)state;
    static mn_table_prior prior;
    for (uint64_t index = 0; index < 40; index++) {
        mn_random random = mn_random_stream(6, MN_RANDOM_TASK_TRAIN, index);
        float x[3];
        mn_table_prior_draw(&random, 3, &prior);
        if (prior.mechanism != MN_TABLE_LINEAR)
            continue;
        memset(prior.levels, 0, sizeof prior.levels);
        memset(prior.stretched, 0, sizeof prior.stretched);
        prior.noise = 0;
        const double score = mn_table_prior_row(&prior, &random, x);
        const mn_table_layer *layer = &prior.layers[0];
        double sum = layer->bias[0];
        for (int f = 0; f < 3; f++)
            sum += layer->weights[0][f] * (double)x[f];
        assert_true(fabs(score - sum) < 1e-5);
    }
}

static void expect_refusal(const mn_experiment *e, const char *words)
{
    mn_task_set *set = NULL;
    mn_error err = {0};
    assert_int_equal(mn_task_set_open(e, NULL, &set, &err), MN_ERR_CONFIG);
    if (strstr(err.message, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, err.message);
}

static void tables_that_cannot_be_are_refused_with_words(void **state)
{
    (void)state;
    mn_experiment e = tables();
    e.tasks.shot = WAY - 1;
    expect_refusal(&e, "tasks.shot is 3, but a table shows a row of each");
    e = tables();
    e.evaluate.shot = 2;
    expect_refusal(&e, "evaluate.shot is 2");
    e = tables();
    e.tasks.way = 1;
    expect_refusal(&e, "2 to 1024 classes");
    e = tables();
    e.tasks.features = 33;
    expect_refusal(&e, "1 to 32 features");
    e = tables();
    e.evaluate.query = UINT32_MAX;
    expect_refusal(&e, "too large, at most 2000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_that_is_asked_for_has_been_shown),
        cmocka_unit_test(features_are_standardised_by_the_support_set),
        cmocka_unit_test(a_table_is_a_function_of_seed_split_and_index),
        cmocka_unit_test(rows_of_every_mechanism_are_finite_and_differ),
        cmocka_unit_test(the_score_of_a_linear_table_is_linear_in_what_was_drawn),
        cmocka_unit_test(tables_that_cannot_be_are_refused_with_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
