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
    mn_task_shape shape = mn_task_set_shape(set, split);
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(&shape, &task, NULL), MN_OK);
    mn_task_set_draw(set, split, index, task);
    return task;
}

static size_t floats_of_x(const mn_task_shape *shape, uint32_t items)
{
    return (size_t)items * shape->height * shape->width * shape->channels;
}

static bool same(const mn_task *a, const mn_task *b)
{
    const mn_task_shape *s = &a->shape;
    size_t x = floats_of_x(s, s->n_support) * sizeof(float),
           q = floats_of_x(s, s->n_query) * sizeof(float);
    return memcmp(a->support_x, b->support_x, x) == 0 && memcmp(a->query_x, b->query_x, q) == 0 &&
           memcmp(a->support_y, b->support_y, s->n_support * s->y_size * sizeof(float)) == 0 &&
           memcmp(a->query_y, b->query_y, s->n_query * s->y_size * sizeof(float)) == 0 &&
           memcmp(a->classes, b->classes, sizeof a->classes) == 0;
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

static void shapes_follow_the_experiment_and_evaluate_has_its_own_counts(void **state)
{
    (void)state;
    mn_experiment e = experiment_of(MN_TASKS_GLYPHS);
    e.evaluate.query = 15;
    mn_task_set *set = open_set(&e);
    mn_task_shape train = mn_task_set_shape(set, MN_TRAIN), test = mn_task_set_shape(set, MN_TEST);
    assert_int_equal(train.n_support, 5);
    assert_int_equal(train.n_query, 10);
    assert_int_equal(train.height, 28);
    assert_int_equal(train.channels, 1);
    assert_int_equal(train.y_size, 5);
    assert_int_equal(train.target, MN_TARGET_CLASSES);
    assert_int_equal(test.n_support, 5);
    assert_int_equal(test.n_query, 75);
    assert_int_equal(mn_task_set_classes(set, MN_TEST), UINT32_MAX);
    assert_string_equal(mn_task_set_data_name(set), "");
    mn_task_set_destroy(&set);

    e = experiment_of(MN_TASKS_SINUSOID);
    e.evaluate.shot = 7;
    set = open_set(&e);
    train = mn_task_set_shape(set, MN_TRAIN);
    test = mn_task_set_shape(set, MN_VAL);
    assert_int_equal(train.n_support, 1); /* points, not points a class */
    assert_int_equal(train.n_query, 2);
    assert_int_equal(train.y_size, 1);
    assert_int_equal(train.target, MN_TARGET_VALUES);
    assert_int_equal(test.n_support, 7);
    assert_int_equal(mn_task_set_classes(set, MN_TRAIN), 0);
    mn_digest nothing = mn_digest_of("", 0), digest = mn_task_set_data_digest(set);
    assert_memory_equal(&nothing, &digest, sizeof digest);
    mn_task_set_destroy(&set);
}

static void the_arrays_of_a_task_are_aligned_and_its_own(void **state)
{
    (void)state;
    const mn_task_shape shape = {
        .n_support = 3, .n_query = 5, .height = 7, .width = 7, .channels = 1, .y_size = 3};
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(&shape, &task, NULL), MN_OK);
    float *arrays[] = {task->support_x, task->support_y, task->query_x, task->query_y};
    const size_t sizes[] = {3 * 49, 9, 5 * 49, 15};
    for (int i = 0; i < 4; i++) {
        assert_int_equal((uintptr_t)arrays[i] % 64, 0);
        for (size_t j = 0; j < sizes[i]; j++) {
            assert_true(arrays[i][j] == 0.0f);
            arrays[i][j] = (float)(i + 1);
        }
    }
    for (int i = 0; i < 4; i++)
        assert_true(arrays[i][0] == (float)(i + 1) && arrays[i][sizes[i] - 1] == (float)(i + 1));
    mn_task_destroy(&task);
    assert_null(task);
}

static void a_task_that_does_not_fit_in_memory_is_refused(void **state)
{
    (void)state;
    const mn_task_shape shape = {.n_support = UINT32_MAX,
                                 .n_query = UINT32_MAX,
                                 .height = UINT32_MAX,
                                 .width = UINT32_MAX,
                                 .channels = UINT32_MAX,
                                 .y_size = UINT32_MAX};
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(&shape, &task, NULL), MN_ERR_RANGE);
    assert_null(task);
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

static void other_data_than_the_coordinators_is_refused_with_both_digests(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    mn_experiment e = experiment_of(MN_TASKS_IMAGES);
    mn_task_set *set = open_set(&e);
    mn_digest right = mn_task_set_data_digest(set), wrong = mn_digest_of("x", 1);
    assert_string_equal(mn_task_set_data_name(set), "p.mnd");
    assert_int_equal(mn_task_set_classes(set, MN_TRAIN), 14);
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
        TEST(shapes_follow_the_experiment_and_evaluate_has_its_own_counts),
        TEST(the_arrays_of_a_task_are_aligned_and_its_own),
        TEST(a_task_that_does_not_fit_in_memory_is_refused),
        TEST(other_data_than_the_coordinators_is_refused_with_both_digests),
        TEST(an_experiment_that_does_not_fit_its_data_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
