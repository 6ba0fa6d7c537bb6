/* streams_test.c: class streams and streams of sinusoids that jump. */
#include "worker/tasks/class_stream.h"
#include "worker/tasks/sinusoid_stream.h"
#include "worker/tasks/task_set.h"

#include "worker/data/import/sample_data.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_status open_with(const char *const *assignments, mn_task_set **set, mn_error *err)
{
    mn_experiment experiment;
    mn_experiment_init(&experiment);
    for (size_t i = 0; assignments[i] != NULL; i++)
        assert_int_equal(mn_experiment_set(&experiment, assignments[i], err), MN_OK);
    return mn_task_set_open(&experiment, NULL, set, err);
}

static mn_task_set *open_set(const char *const *assignments)
{
    mn_task_set *set = NULL;
    mn_error err = {0};
    if (open_with(assignments, &set, &err) != MN_OK)
        fail_msg("%s", err.message);
    return set;
}

static mn_task *draw(const mn_task_set *set, mn_split split, uint64_t index)
{
    mn_task *task = NULL;
    mn_error err;
    assert_int_equal(mn_task_new(mn_task_set_fields(set, split), &task, &err), MN_OK);
    mn_task_set_draw(set, split, index, task);
    return task;
}

#define CLASSES                                                                                    \
    "tasks.kind=class-stream", "tasks.way=4", "tasks.shot=3", "tasks.query=2",                     \
        "tasks.image_size=10", "evaluate.way=25"

static void a_task_is_a_pure_function_of_split_and_index(void **state)
{
    (void)state;
    const char *const classes[] = {CLASSES, NULL};
    const char *const points[] = {"tasks.kind=sinusoid-stream", "tasks.length=30", "tasks.bundle=2",
                                  NULL};
    const char *const *const sets[] = {classes, points};
    for (size_t i = 0; i < 2; i++) {
        mn_task_set *set = open_set(sets[i]), *again = open_set(sets[i]);
        mn_task *a = draw(set, MN_TRAIN, 7), *b = draw(again, MN_TRAIN, 7);
        mn_task *other = draw(set, MN_TRAIN, 8);
        assert_memory_equal(a->block, b->block, a->fields.size * sizeof(float));
        assert_memory_not_equal(a->block, other->block, a->fields.size * sizeof(float));
        mn_task_destroy(&a);
        mn_task_destroy(&b);
        mn_task_destroy(&other);
        mn_task_set_destroy(&set);
        mn_task_set_destroy(&again);
    }
}

static const float *row(const mn_task *task, mn_role role, const char *name, uint32_t item)
{
    const mn_field *field = mn_fields_find(&task->fields, role, name);
    assert_non_null(field);
    return task->block + field->offset + item * mn_field_item(field);
}

static uint32_t label(const mn_task *task, mn_role role, uint32_t item)
{
    return mn_label_of(task->fields.y_size, row(task, role, "y", item));
}

static void a_training_stream_is_class_after_class(void **state)
{
    (void)state;
    mn_task_set *set = open_set((const char *const[]){CLASSES, NULL});
    mn_task *task = draw(set, MN_TRAIN, 1);
    assert_true(mn_fields_are_few_shot(&task->fields));
    assert_int_equal(task->n_classes, 4);
    for (uint32_t i = 0; i < 4 * 3; i++)
        assert_int_equal(label(task, MN_SUPPORT, i), i / 3);
    for (uint32_t i = 0; i < 4 * 2; i++)
        assert_int_equal(label(task, MN_QUERY, i), i / 2);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void a_test_asks_for_a_class_once_the_stream_has_shown_all_of_it(void **state)
{
    (void)state;
    mn_task_set *set = open_set((const char *const[]){CLASSES, NULL});
    mn_task *task = draw(set, MN_TEST, 1);
    const size_t image = 10 * 10 * sizeof(float);
    assert_int_equal(task->fields.points.n, MN_STREAM_PARTS + 1);
    assert_string_equal(task->fields.points.names[0], "1/10");
    assert_string_equal(task->fields.points.names[MN_STREAM_PARTS], "trained on");
    for (uint32_t i = 0; i < 25 * 2; i++) {
        assert_int_equal(label(task, MN_QUERY, i), i / 2);
        assert_true(*row(task, MN_QUERY, "from", i) == (float)((i / 2 + 1) * 3));
        assert_true(*row(task, MN_QUERY, "point", i) == (float)(i / 2 * 10 / 25));
    }
    for (uint32_t i = 0; i < 25 * 3; i++) { /* the stream's own */
        const uint32_t item = 25 * 2 + i;
        assert_memory_equal(row(task, MN_QUERY, "x", item), row(task, MN_SUPPORT, "x", i), image);
        assert_int_equal(label(task, MN_QUERY, item), label(task, MN_SUPPORT, i));
        assert_true(*row(task, MN_QUERY, "from", item) > 25 * 3);
        assert_true(*row(task, MN_QUERY, "point", item) == MN_STREAM_PARTS);
    }
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void a_shuffled_stream_has_the_same_images_in_another_order(void **state)
{
    (void)state;
    mn_task_set *set = open_set((const char *const[]){CLASSES, NULL});
    mn_task_set *mixed = open_set((const char *const[]){CLASSES, "tasks.order=shuffled", NULL});
    mn_task *task = draw(set, MN_TEST, 3), *other = draw(mixed, MN_TEST, 3);
    const size_t image = 10 * 10 * sizeof(float);
    uint32_t ends[25] = {0}, moved = 0;
    for (uint32_t i = 0; i < 25 * 3; i++) {
        uint32_t found = 0, at = 0;
        for (uint32_t k = 0; k < 25 * 3; k++)
            if (memcmp(row(task, MN_SUPPORT, "x", i), row(other, MN_SUPPORT, "x", k), image) == 0) {
                found++;
                at = k;
            }
        assert_int_equal(found, 1);
        assert_int_equal(label(task, MN_SUPPORT, i), label(other, MN_SUPPORT, at));
        moved += at != i;
        ends[label(other, MN_SUPPORT, i)] = i + 1;
    }
    assert_true(moved > 40);
    for (uint32_t i = 0; i < 25 * 2; i++)
        assert_true(*row(other, MN_QUERY, "from", i) == (float)ends[i / 2]);
    mn_task_destroy(&task);
    mn_task_destroy(&other);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&mixed);
}

static void expect_refused(const char *const *assignments, const char *part_of_message)
{
    mn_task_set *set = NULL;
    mn_error err = {0};
    assert_int_equal(open_with(assignments, &set, &err), MN_ERR_CONFIG);
    if (strstr(err.message, part_of_message) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, part_of_message);
}

static void streams_that_cannot_be_are_refused(void **state)
{
    (void)state;
    expect_refused((const char *const[]){CLASSES, "tasks.way=1", NULL},
                   "a stream of 1 classes with 3 + 2 images each (tasks.way, .shot, .query)");
    expect_refused(
        (const char *const[]){CLASSES, "evaluate.shot=1000", "evaluate.query=1000", NULL},
        "(evaluate.way, .shot, .query): expected 2 to 1024 classes, and 1 to 1024 images");
    expect_refused((const char *const[]){CLASSES, "evaluate.way=1024", "evaluate.shot=900", NULL},
                   "is longer than memory allows");
}

#define FILE_OF_CLASSES                                                                            \
    "tasks.kind=class-stream", "tasks.data=p.mnd", "run.data_path=.", "tasks.image_size=4",        \
        "tasks.rotations=false", "tasks.way=5", "tasks.shot=3", "tasks.query=2"

/* The sample's images say in their first two pixels of what class and which they are. */
static void images_of_a_file_are_shown_once_in_a_stream(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    mn_task_set *set = open_set((const char *const[]){FILE_OF_CLASSES, NULL});
    assert_int_equal(mn_task_set_check(set, MN_TEST, NULL), MN_OK);
    mn_task *task = draw(set, MN_TEST, 2);
    bool seen[SAMPLE_CLASSES][SAMPLE_IMAGES] = {{false}};
    for (uint32_t i = 0; i < 5 * (3 + 2); i++) {
        const bool in_stream = i < 5 * 3;
        const mn_role role = in_stream ? MN_SUPPORT : MN_QUERY;
        const uint32_t item = in_stream ? i : i - 5 * 3;
        const float *x = row(task, role, "x", item);
        const uint32_t class = (uint32_t)lrintf(x[0] * 255), image = (uint32_t)lrintf(x[1] * 255);
        assert_in_range(class, 7, 11);
        assert_false(seen[class][image]);
        seen[class][image] = true;
        /* test classes begin with 7 */
        assert_int_equal(task->classes[label(task, role, item)] + 7, class);
    }
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void a_file_with_too_few_classes_or_images_is_refused(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    const struct {
        const char *assignment, *expected;
    } cases[] = {{"evaluate.way=6", "split test has 5 classes (rotations not counted), but its "
                                    "tasks have 6"},
                 {"evaluate.shot=5", "have fewer images than shot + query, 7"}};
    for (size_t i = 0; i < 2; i++) {
        mn_task_set *set =
            open_set((const char *const[]){FILE_OF_CLASSES, cases[i].assignment, NULL});
        mn_error err = {0};
        assert_int_equal(mn_task_set_check(set, MN_TEST, &err), MN_ERR_CONFIG);
        if (strstr(err.message, cases[i].expected) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].expected);
        mn_task_set_destroy(&set);
    }
}

/* Points ---------------------------------------------------------------------------- */

#define POINTS "tasks.kind=sinusoid-stream", "tasks.length=60", "tasks.jumps=0.1"

/* Do three points fit y = a sin x + b cos x? */
static bool fits(const float *x, const float *y, size_t step)
{
    const double s0 = sin((double)x[0]), c0 = cos((double)x[0]);
    const double s1 = sin((double)x[step]), c1 = cos((double)x[step]);
    const double s2 = sin((double)x[2 * step]), c2 = cos((double)x[2 * step]);
    const double determinant = s0 * c1 - s1 * c0;
    const double a = ((double)y[0] * c1 - (double)y[step] * c0) / determinant;
    const double b = (s0 * (double)y[step] - s1 * (double)y[0]) / determinant;
    return fabs(a * s2 + b * c2 - (double)y[2 * step]) < 1e-4 / fabs(determinant);
}

static void between_jumps_points_lie_on_one_sinusoid_and_ages_are_counted(void **state)
{
    (void)state;
    mn_task_set *set = open_set((const char *const[]){POINTS, "tasks.bundle=2", NULL});
    uint32_t jumps = 0, broken = 0;
    for (uint64_t index = 0; index < 20; index++) {
        mn_task *task = draw(set, MN_TRAIN, index);
        const float *x = row(task, MN_QUERY, "x", 0), *y = row(task, MN_QUERY, "y", 0);
        const float *point = row(task, MN_QUERY, "point", 0);
        const float none = (float)task->fields.points.n;
        assert_int_equal(task->fields.points.n, MN_STREAM_AGES);
        assert_null(mn_fields_find(&task->fields, MN_QUERY, "label_before"));
        for (uint32_t t = 2; t < 60; t++)
            for (uint32_t b = 0; b < 2; b++) {
                const float now = point[2 * t + b], last = point[2 * (t - 1) + b];
                jumps += now == 0;
                assert_true(now == none || now == 0 || now == last + 1);
                if (now == none || now >= 2)
                    assert_true(fits(x + 2 * (t - 2) + b, y + 2 * (t - 2) + b, 2));
                else
                    broken += !fits(x + 2 * (t - 2) + b, y + 2 * (t - 2) + b, 2);
            }
        mn_task_destroy(&task);
    }
    assert_in_range(jumps, 20 * 2 * 58 / 20, 20 * 2 * 58 / 6); /* a tenth */
    assert_true(broken > jumps);
    mn_task_set_destroy(&set);
}

static void who_takes_no_steps_is_told_y_a_point_late(void **state)
{
    (void)state;
    mn_task_set *set =
        open_set((const char *const[]){POINTS, "tasks.bundle=3", "meta.kind=episodic", NULL});
    mn_task *task = draw(set, MN_TEST, 4);
    const float *before = row(task, MN_QUERY, "label_before", 0), *y = row(task, MN_QUERY, "y", 0);
    for (uint32_t i = 0; i < 60 * 3; i++)
        assert_true(before[i] == (i < 3 ? 0.0f : y[i - 3]));
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void errors_may_be_told_apart_by_position(void **state)
{
    (void)state;
    mn_task_set *set = open_set((const char *const[]){
        POINTS, "tasks.bundle=1", "tasks.points=position", "evaluate.length=100", NULL});
    mn_task *task = draw(set, MN_TEST, 4);
    assert_int_equal(task->fields.points.n, MN_MAX_POINTS);
    assert_string_equal(task->fields.points.names[0], "1");
    for (uint32_t i = 0; i < 100; i++)
        assert_true(*row(task, MN_QUERY, "point", i) ==
                    (float)(i < MN_MAX_POINTS ? i : MN_MAX_POINTS));
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_a_pure_function_of_split_and_index),
        cmocka_unit_test(a_training_stream_is_class_after_class),
        cmocka_unit_test(a_test_asks_for_a_class_once_the_stream_has_shown_all_of_it),
        cmocka_unit_test(a_shuffled_stream_has_the_same_images_in_another_order),
        cmocka_unit_test(streams_that_cannot_be_are_refused),
        cmocka_unit_test_setup_teardown(images_of_a_file_are_shown_once_in_a_stream,
                                        sample_enter_folder, sample_leave_folder),
        cmocka_unit_test_setup_teardown(a_file_with_too_few_classes_or_images_is_refused,
                                        sample_enter_folder, sample_leave_folder),
        cmocka_unit_test(between_jumps_points_lie_on_one_sinusoid_and_ages_are_counted),
        cmocka_unit_test(who_takes_no_steps_is_told_y_a_point_late),
        cmocka_unit_test(errors_may_be_told_apart_by_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
