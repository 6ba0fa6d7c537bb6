/* few_shot_ranges_test.c: of few_shot.h, what varies between tasks; tests/reference has few_shot_test. */
#include "worker/tasks/few_shot.h"

#include "worker/tasks/task_set.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GLYPHS "tasks: {kind: glyphs, image_size: 5, way: 6, shot: 4, query: 2"

static mn_experiment read_experiment(const char *yaml)
{
    mn_experiment experiment;
    mn_error err;
    mn_experiment_init(&experiment);
    if (mn_experiment_parse(&experiment, "x.yaml", yaml, strlen(yaml), &err) != MN_OK)
        fail_msg("%s", err.message);
    return experiment;
}

static mn_task_set *open_set(const char *yaml, mn_split split, mn_task **task)
{
    const mn_experiment experiment = read_experiment(yaml);
    mn_task_set *set = NULL;
    mn_error err;
    if (mn_experiment_check(&experiment, &err) != MN_OK ||
        mn_task_set_open(&experiment, NULL, &set, &err) != MN_OK ||
        mn_task_new(mn_task_set_fields(set, split), task, &err) != MN_OK)
        fail_msg("%s", err.message);
    return set;
}

static bool is_zero(size_t n, const float *x)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0)
            return false;
    return true;
}

/* Items of each class -> counts [way]; all that stands in the padding is 0, and weights are a mean. */
static void look(const mn_task *task, mn_role role, uint32_t *counts)
{
    const int at = role == MN_SUPPORT ? MN_SUPPORT_X : MN_QUERY_X;
    const uint32_t way = task->fields.y_size, n = task->fields.at[at].n;
    const size_t item = mn_field_item(&task->fields.at[at]);
    const float *weight = mn_task_find(task, role, "weight");
    uint32_t there = 0;
    memset(counts, 0, way * sizeof *counts);
    for (uint32_t i = 0; i < n; i++)
        there += weight[i] != 0;
    for (uint32_t i = 0; i < n; i++) {
        const float *x = task->at[at] + i * item, *y = task->at[at + 1] + (size_t)i * way;
        assert_int_equal(mn_is_padding(way, y), weight[i] == 0);
        if (weight[i] == 0) {
            assert_true(is_zero(item, x));
            continue;
        }
        assert_true(weight[i] == 1.0f / (float)there && !is_zero(item, x));
        assert_int_equal(mn_label_of(way, y), i / (n / way));
        counts[mn_label_of(way, y)]++;
    }
}

static void ways_and_shots_are_drawn_from_their_ranges_and_the_rest_is_padding(void **state)
{
    mn_task *task = NULL;
    mn_task_set *set = open_set(GLYPHS ", way_from: 3, shot_from: 2}\n", MN_TRAIN, &task);
    unsigned of_way[7] = {0}, of_shot[5] = {0};
    (void)state;
    assert_true(mn_fields_are_few_shot(&task->fields));
    for (uint64_t index = 0; index < 2000; index++) {
        uint32_t support[6], query[6];
        mn_task_set_draw(set, MN_TRAIN, index, task);
        look(task, MN_SUPPORT, support);
        look(task, MN_QUERY, query);
        const float *classes = mn_task_find(task, MN_SHARED, "classes");
        for (uint32_t label = 0; label < 6; label++) {
            const bool there = label < task->n_classes;
            assert_true(classes[label] == (there ? 1.0f : 0.0f));
            assert_int_equal(support[label], there ? support[0] : 0);
            assert_int_equal(query[label], there ? 2 : 0);
        }
        of_way[task->n_classes]++;
        of_shot[support[0]]++;
    }
    for (uint32_t way = 3; way <= 6; way++)
        assert_in_range(of_way[way], 430, 570);
    for (uint32_t shot = 2; shot <= 4; shot++)
        assert_in_range(of_shot[shot], 590, 745);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void an_unbalanced_task_draws_the_shot_of_each_class(void **state)
{
    mn_task *task = NULL;
    mn_task_set *set = open_set(GLYPHS ", shot_from: 1, unbalanced: true}\n", MN_VAL, &task);
    unsigned of_shot[5] = {0}, equal = 0;
    (void)state;
    for (uint64_t index = 0; index < 500; index++) {
        uint32_t support[6];
        mn_task_set_draw(set, MN_VAL, index, task);
        look(task, MN_SUPPORT, support);
        assert_int_equal(task->n_classes, 6);
        for (uint32_t label = 0; label < 6; label++)
            of_shot[support[label]]++;
        equal += support[0] == support[5];
    }
    for (uint32_t shot = 1; shot <= 4; shot++)
        assert_in_range(of_shot[shot], 660, 840);
    assert_in_range(equal, 90, 160);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

/* What of a larger task stood in the same memory is gone. */
static void a_task_is_a_pure_function_of_its_index_whatever_was_drawn_before(void **state)
{
    mn_task *a = NULL, *b = NULL;
    mn_task_set *set = open_set(GLYPHS ", way_from: 2, shot_from: 1}\n", MN_TEST, &a);
    (void)state;
    assert_int_equal(mn_task_new(mn_task_set_fields(set, MN_TEST), &b, NULL), MN_OK);
    for (uint64_t index = 0; index < 40; index++)
        mn_task_set_draw(set, MN_TEST, index, a);
    mn_task_set_draw(set, MN_TEST, 39, b);
    assert_memory_equal(a->block, b->block, a->fields.size * sizeof *a->block);
    mn_task_destroy(&a);
    mn_task_destroy(&b);
    mn_task_set_destroy(&set);
}

/* A range of one number is padded, but its items are those of a task without. */
static void a_range_of_one_number_takes_nothing_from_the_stream(void **state)
{
    mn_task *fixed = NULL, *range = NULL;
    mn_task_set *set = open_set(GLYPHS "}\n", MN_TRAIN, &fixed);
    mn_task_set *other = open_set(GLYPHS ", way_from: 6, shot_from: 4}\n", MN_TRAIN, &range);
    (void)state;
    mn_task_set_draw(set, MN_TRAIN, 3, fixed);
    mn_task_set_draw(other, MN_TRAIN, 3, range);
    assert_false(mn_fields_have_padding(&fixed->fields));
    assert_true(mn_fields_have_padding(&range->fields));
    for (int i = 0; i < MN_N_FEW_SHOT; i++)
        assert_memory_equal(fixed->at[i], range->at[i],
                            mn_field_count(&fixed->fields.at[i]) * sizeof(float));
    mn_task_destroy(&fixed);
    mn_task_destroy(&range);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&other);
}

static void tests_have_ranges_of_their_own_or_none(void **state)
{
    static const struct {
        const char *evaluate;
        uint32_t way[2], shot[2];
        bool varies;
    } cases[] = {
        {"", {3, 6}, {2, 4}, true},
        {"evaluate: {way: 5}\n", {5, 5}, {2, 4}, true},
        {"evaluate: {way: 5, shot: 1}\n", {5, 5}, {1, 1}, false},
        {"evaluate: {way: 20, way_from: 5, shot: 1}\n", {5, 20}, {1, 1}, true},
        {"evaluate: {shot_from: 4}\n", {3, 6}, {4, 4}, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[300];
        (void)snprintf(yaml, sizeof yaml, "%s, way_from: 3, shot_from: 2}\n%s", GLYPHS,
                       cases[i].evaluate);
        const mn_experiment experiment = read_experiment(yaml);
        mn_error err = {0};
        if (mn_experiment_check(&experiment, &err) != MN_OK)
            fail_msg("%s", err.message);
        const mn_few_shot train = mn_few_shot_of(&experiment, MN_TRAIN);
        const mn_few_shot test = mn_few_shot_of(&experiment, MN_TEST);
        assert_true(train.way[0] == 3 && train.way[1] == 6 && train.varies);
        assert_memory_equal(test.way, cases[i].way, sizeof test.way);
        assert_memory_equal(test.shot, cases[i].shot, sizeof test.shot);
        assert_int_equal(test.varies, cases[i].varies);
    }
}

static void ranges_that_are_empty_are_refused_by_their_keys(void **state)
{
    static const struct {
        const char *keys, *words;
    } cases[] = {
        {", way_from: 7}\n", "tasks.way_from is 7, but tasks have from so many up to tasks.way, "
                             "which is 6: expected 0, or 2 to 6"},
        {", way_from: 1}\n", "expected 0, or 2 to 6"},
        {", shot_from: 5}\n", "tasks.shot_from is 5"},
        {", unbalanced: true}\n", "set tasks.shot_from, as in 1"},
        {"}\nevaluate: {way_from: 7}\n", "evaluate.way_from is 7"},
        {"}\nevaluate: {shot: 2, shot_from: 3}\n", "evaluate.shot, which is 2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[300];
        (void)snprintf(yaml, sizeof yaml, "%s%s", GLYPHS, cases[i].keys);
        const mn_experiment experiment = read_experiment(yaml);
        mn_error err = {0};
        assert_int_equal(mn_experiment_check(&experiment, &err), MN_ERR_CONFIG);
        if (strstr(err.message, cases[i].words) == NULL)
            fail_msg("\"%s\" does not say %s", err.message, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ways_and_shots_are_drawn_from_their_ranges_and_the_rest_is_padding),
        cmocka_unit_test(an_unbalanced_task_draws_the_shot_of_each_class),
        cmocka_unit_test(a_task_is_a_pure_function_of_its_index_whatever_was_drawn_before),
        cmocka_unit_test(a_range_of_one_number_takes_nothing_from_the_stream),
        cmocka_unit_test(tests_have_ranges_of_their_own_or_none),
        cmocka_unit_test(ranges_that_are_empty_are_refused_by_their_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
