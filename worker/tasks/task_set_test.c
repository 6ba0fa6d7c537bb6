#include "worker/tasks/task_set.h"

#include "worker/data/import/sample_data.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_experiment experiment_of(mn_task_kind kind)
{
    mn_experiment e;
    mn_experiment_init(&e);
    e.seed = 11;
    e.tasks.kind = kind;
    (void)strcpy(e.tasks.data, kind == MN_TASKS_IMAGES ? "p.mnd" : "");
    (void)strcpy(e.run.data_path, ".");
    e.tasks.image_size = kind == MN_TASKS_IMAGES ? SAMPLE_SIDE : 28;
    e.tasks.way = 5;
    e.tasks.shot = 1;
    e.tasks.query = 2;
    e.tasks.rotations = true;
    e.evaluate.shot = 0;
    e.evaluate.query = 0;
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

static mn_task *draw(const mn_task_set *set, mn_split split, uint64_t index)
{
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(mn_task_set_fields(set, split), &task, NULL), MN_OK);
    mn_task_set_draw(set, split, index, task);
    return task;
}

static bool same(const mn_task *a, const mn_task *b)
{
    bool equal = mn_fields_equal(&a->fields, &b->fields);
    for (uint32_t i = 0; equal && i < a->fields.n; i++)
        equal = memcmp(a->at[i], b->at[i], mn_field_count(&a->fields.at[i]) * sizeof(float)) == 0;
    return equal && memcmp(a->classes, b->classes, sizeof a->classes) == 0;
}

static void a_task_is_a_function_of_seed_split_and_index(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    for (mn_task_kind kind = MN_TASKS_SINUSOID; kind <= MN_TASKS_GLYPHS; kind++) {
        mn_experiment e = experiment_of(kind);
        mn_task_set *set = open_set(&e), *again = open_set(&e);
        e.seed++;
        mn_task_set *other = open_set(&e);
        mn_task *task = draw(set, MN_TRAIN, 1ull << 40);
        mn_task *equal = draw(again, MN_TRAIN, 1ull << 40);
        assert_true(same(task, equal));
        mn_task *different[] = {draw(set, MN_TRAIN, 0), draw(set, MN_VAL, 1ull << 40),
                                draw(set, MN_TEST, 1ull << 40), draw(other, MN_TRAIN, 1ull << 40)};
        for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
            assert_false(same(task, different[i]));
            mn_task_destroy(&different[i]);
        }
        mn_task_set_draw(set, MN_TRAIN, 0, task); /* a used task holds nothing over */
        mn_task_set_draw(set, MN_TRAIN, 1ull << 40, task);
        assert_true(same(task, equal));
        mn_task_destroy(&task);
        mn_task_destroy(&equal);
        mn_task_set_destroy(&set);
        mn_task_set_destroy(&again);
        mn_task_set_destroy(&other);
        assert_null(set);
    }
}

struct job {
    const mn_task_set *set;
    mn_task *tasks[50];
};

static void *draw_all(void *user)
{
    struct job *job = user;
    for (uint64_t i = 0; i < 50; i++)
        job->tasks[i] = draw(job->set, MN_TRAIN, i);
    return NULL;
}

static void threads_that_share_a_set_draw_the_same_tasks(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    for (mn_task_kind kind = MN_TASKS_SINUSOID; kind <= MN_TASKS_GLYPHS; kind++) {
        mn_experiment e = experiment_of(kind);
        mn_task_set *set = open_set(&e);
        struct job jobs[2] = {{.set = set}, {.set = set}};
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, draw_all, &jobs[i]), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (int i = 0; i < 50; i++) {
            assert_true(same(jobs[0].tasks[i], jobs[1].tasks[i]));
            mn_task_destroy(&jobs[0].tasks[i]);
            mn_task_destroy(&jobs[1].tasks[i]);
        }
        mn_task_set_destroy(&set);
    }
}

static void fields_follow_the_experiment_and_evaluate_has_its_own_counts(void **state)
{
    (void)state;
    mn_experiment e = experiment_of(MN_TASKS_GLYPHS);
    e.evaluate.query = 15;
    mn_task_set *set = open_set(&e);
    const mn_fields *train = mn_task_set_fields(set, MN_TRAIN);
    const mn_fields *test = mn_task_set_fields(set, MN_TEST);
    assert_true(mn_fields_are_few_shot(train));
    assert_int_equal(train->at[MN_SUPPORT_X].n, 5);
    assert_int_equal(train->at[MN_QUERY_X].n, 10);
    assert_int_equal(train->at[MN_SUPPORT_X].height, 28);
    assert_int_equal(train->at[MN_SUPPORT_X].channels, 1);
    assert_int_equal(train->y_size, 5);
    assert_int_equal(train->target, MN_TARGET_CLASSES);
    assert_int_equal(test->at[MN_SUPPORT_X].n, 5);
    assert_int_equal(test->at[MN_QUERY_X].n, 75);
    assert_string_equal(mn_task_set_data_name(set), "");
    mn_task_set_destroy(&set);

    e = experiment_of(MN_TASKS_SINUSOID);
    e.evaluate.shot = 7;
    set = open_set(&e);
    train = mn_task_set_fields(set, MN_TRAIN);
    test = mn_task_set_fields(set, MN_VAL);
    assert_int_equal(train->at[MN_SUPPORT_X].n, 1); /* points, not points a class */
    assert_int_equal(train->at[MN_QUERY_X].n, 2);
    assert_int_equal(train->y_size, 1);
    assert_int_equal(train->target, MN_TARGET_VALUES);
    assert_int_equal(test->at[MN_SUPPORT_X].n, 7);
    mn_digest nothing = mn_digest_of("", 0), digest = mn_task_set_data_digest(set);
    assert_memory_equal(&nothing, &digest, sizeof digest);
    mn_task_set_destroy(&set);
}

static void assert_refused(const mn_experiment *e, const mn_digest *expected, mn_status status,
                           const char *because)
{
    mn_task_set *set = NULL;
    mn_error err = {0};
    assert_int_equal(mn_task_set_open(e, expected, &set, &err), status);
    assert_null(set);
    if (strstr(err.message, because) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, because);
}

static void validation_and_test_tasks_may_have_other_classes_than_training_tasks(void **state)
{
    (void)state;
    mn_experiment e = experiment_of(MN_TASKS_GLYPHS);
    e.evaluate.way = 20;
    mn_task_set *set = open_set(&e);
    const mn_fields *train = mn_task_set_fields(set, MN_TRAIN);
    assert_int_equal(train->y_size, 5);
    assert_int_equal(train->at[MN_SUPPORT_X].n, 5);
    for (mn_split split = MN_VAL; split <= MN_TEST; split++) {
        const mn_fields *fields = mn_task_set_fields(set, split);
        assert_int_equal(fields->y_size, 20);
        assert_int_equal(fields->at[MN_SUPPORT_Y].channels, 20);
        assert_int_equal(fields->at[MN_SUPPORT_X].n, 20);
        assert_int_equal(fields->at[MN_QUERY_X].n, 40);
        mn_task *task = draw(set, split, 3);
        assert_int_equal(task->n_classes, 20);
        for (uint32_t i = 0; i < 40 * 20; i++) /* two items of each class */
            assert_true(task->at[MN_QUERY_Y][i] == (i % 20 == i / 20 / 2 ? 1.0f : 0.0f));
        mn_task_destroy(&task);
    }
    mn_task_set_destroy(&set);
    e.evaluate.way = 65;
    assert_refused(&e, NULL, MN_ERR_CONFIG, "evaluate.way is 65");
}

static void other_data_than_the_coordinators_is_refused_with_both_digests(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    mn_experiment e = experiment_of(MN_TASKS_IMAGES);
    mn_task_set *set = open_set(&e);
    mn_digest right = mn_task_set_data_digest(set), wrong = mn_digest_of("x", 1);
    assert_string_equal(mn_task_set_data_name(set), "p.mnd");
    mn_task_set_destroy(&set);
    assert_int_equal(mn_task_set_open(&e, &right, &set, NULL), MN_OK);
    mn_task_set_destroy(&set);

    char ours[65], theirs[65];
    mn_digest_hex(&right, ours);
    mn_digest_hex(&wrong, theirs);
    ours[16] = theirs[16] = '\0';
    assert_refused(&e, &wrong, MN_ERR_DATA, ours);
    assert_refused(&e, &wrong, MN_ERR_DATA, theirs);
    assert_refused(&e, &wrong, MN_ERR_DATA, "./p.mnd");
}

static void an_experiment_that_does_not_fit_its_data_is_refused(void **state)
{
    (void)state;
    mn_experiment e = experiment_of(MN_TASKS_IMAGES);
    assert_refused(&e, NULL, MN_ERR_NO_INPUT, "no file p.mnd");
    sample_write("p.mnd", "not packed", 10);
    assert_refused(&e, NULL, MN_ERR_DATA, "p.mnd");
    sample_write_pack("p.mnd");
    e.tasks.image_size = 28;
    assert_refused(&e, NULL, MN_ERR_CONFIG, "images of 4x4, but tasks.image_size is 28");
    e = experiment_of(MN_TASKS_IMAGES);
    e.evaluate.shot = 6;
    mn_task_set *set = open_set(&e);
    mn_error err = {0};
    assert_int_equal(mn_task_set_check(set, MN_TRAIN, &err), MN_OK);
    assert_int_equal(mn_task_set_check(set, MN_TEST, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "shot + query, 8"));
    mn_task_set_destroy(&set);
    e = experiment_of(MN_TASKS_GLYPHS);
    e.tasks.way = 65;
    assert_refused(&e, NULL, MN_ERR_CONFIG, "tasks.way is 65");
    e = experiment_of(MN_TASKS_GLYPHS);
    e.tasks.shot = 1u << 31;
    assert_refused(&e, NULL, MN_ERR_CONFIG, "tasks.shot");
    e = experiment_of(MN_TASKS_GLYPHS);
    e.tasks.image_size = 5000;
    assert_refused(&e, NULL, MN_ERR_CONFIG, "tasks.image_size is 5000");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_a_function_of_seed_split_and_index),
        TEST(threads_that_share_a_set_draw_the_same_tasks),
        TEST(fields_follow_the_experiment_and_evaluate_has_its_own_counts),
        TEST(validation_and_test_tasks_may_have_other_classes_than_training_tasks),
        TEST(other_data_than_the_coordinators_is_refused_with_both_digests),
        TEST(an_experiment_that_does_not_fit_its_data_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
