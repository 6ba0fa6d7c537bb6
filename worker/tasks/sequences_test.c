#include "worker/tasks/sequences.h"

#include "worker/data/import/sample_data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void make_experiment(mn_experiment *experiment, const char *const *assignments)
{
    mn_error err;
    mn_experiment_init(experiment);
    static const char *const common[] = {"tasks.kind=sequences", "tasks.way=3",
                                         "tasks.length=12",      "tasks.bundle=2",
                                         "tasks.image_size=10",  NULL};
    for (size_t i = 0; common[i] != NULL; i++)
        assert_int_equal(mn_experiment_set(experiment, common[i], &err), MN_OK);
    for (size_t i = 0; assignments != NULL && assignments[i] != NULL; i++)
        assert_int_equal(mn_experiment_set(experiment, assignments[i], &err), MN_OK);
}

static mn_task_set *open_set(const char *const *assignments)
{
    mn_experiment experiment;
    mn_task_set *set = NULL;
    mn_error err;
    make_experiment(&experiment, assignments);
    assert_int_equal(mn_task_set_open(&experiment, NULL, &set, &err), MN_OK);
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

static uint32_t hot(const float *row, uint32_t n)
{
    uint32_t at = n;
    for (uint32_t i = 0; i < n; i++) {
        assert_true(row[i] == 0.0f || row[i] == 1.0f);
        if (row[i] == 1.0f) {
            assert_int_equal(at, n); /* at most one */
            at = i;
        }
    }
    return at;
}

static void a_task_is_a_pure_function_of_split_and_index(void **state)
{
    mn_task_set *set = open_set(NULL), *again = open_set(NULL);
    mn_task *a = draw(set, MN_TRAIN, 7), *other = draw(set, MN_TRAIN, 8);
    mn_task *b = draw(again, MN_TRAIN, 7), *test = draw(set, MN_TEST, 7);
    const size_t bytes = a->fields.size * sizeof(float);
    (void)state;
    assert_memory_equal(a->block, b->block, bytes);
    assert_memory_not_equal(a->block, other->block, bytes);
    assert_memory_not_equal(a->block, test->block, bytes);
    mn_task_destroy(&a);
    mn_task_destroy(&b);
    mn_task_destroy(&other);
    mn_task_destroy(&test);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&again);
}

static void each_class_is_shown_equally_often_and_showings_are_counted(void **state)
{
    mn_task_set *set = open_set(NULL);
    mn_task *task = draw(set, MN_TRAIN, 1);
    const float *y = mn_task_find(task, MN_QUERY, "y");
    const float *point = mn_task_find(task, MN_QUERY, "point");
    (void)state;
    assert_int_equal(task->fields.bundle, 2);
    assert_string_equal(task->fields.points.axis, "showing");
    assert_int_equal(task->fields.points.n, 4);
    assert_string_equal(task->fields.points.names[3], "4");
    for (uint32_t b = 0; b < 2; b++) {
        uint32_t shown[3] = {0};
        for (uint32_t t = 0; t < 12; t++) {
            const uint32_t row = t * 2 + b, label = hot(y + (size_t)row * 3, 3);
            assert_true(label < 3);
            assert_int_equal(point[row], shown[label]);
            shown[label]++;
        }
        for (uint32_t label = 0; label < 3; label++)
            assert_int_equal(shown[label], 4);
    }
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void the_label_is_told_one_step_late(void **state)
{
    mn_task_set *set = open_set(NULL);
    mn_task *task = draw(set, MN_TRAIN, 2);
    const float *y = mn_task_find(task, MN_QUERY, "y");
    const float *before = mn_task_find(task, MN_QUERY, "label_before");
    (void)state;
    for (uint32_t b = 0; b < 2; b++)
        for (uint32_t t = 0; t < 12; t++) {
            const size_t row = t * 2 + b;
            if (t == 0)
                assert_int_equal(hot(before + row * 3, 3), 3); /* nothing */
            else
                assert_int_equal(hot(before + row * 3, 3), hot(y + (row - 2) * 3, 3));
        }
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

/* The number of a string of five letters, each one-hot among five. */
static uint32_t string_of(const float *row)
{
    uint32_t string = 0;
    for (uint32_t k = 0; k < 5; k++) {
        const uint32_t letter = hot(row + (size_t)k * 5, 5);
        assert_true(letter < 5);
        string = string * 5 + letter;
    }
    return string;
}

static void a_class_may_be_called_by_five_letters(void **state)
{
    mn_task_set *set = open_set((const char *const[]){"tasks.labels=letters", NULL});
    mn_task *task = draw(set, MN_TRAIN, 2), *other = draw(set, MN_TRAIN, 3);
    const float *y = mn_task_find(task, MN_QUERY, "y");
    const float *before = mn_task_find(task, MN_QUERY, "label_before");
    const float *point = mn_task_find(task, MN_QUERY, "point");
    (void)state;
    assert_int_equal(task->fields.y_size, 25);
    assert_int_equal(task->fields.symbols, 5);
    assert_int_equal(task->n_classes, 3);
    for (size_t b = 0; b < 2; b++) {
        uint32_t strings[3], shown[3] = {0}, n = 0;
        for (size_t t = 0; t < 12; t++) {
            const size_t row = t * 2 + b;
            const uint32_t string = string_of(y + row * 25);
            uint32_t i = 0;
            while (i < n && strings[i] != string)
                i++;
            if (i == n) {
                assert_true(n < 3); /* a string a class, no two alike */
                strings[n++] = string;
            }
            assert_int_equal(point[row], shown[i]++);
            if (t == 0)
                assert_int_equal(hot(before + row * 25, 25), 25);
            else
                assert_int_equal(string_of(before + row * 25), string_of(y + (row - 2) * 25));
        }
        assert_int_equal(n, 3);
    }
    assert_true(string_of(y) != string_of(mn_task_find(other, MN_QUERY, "y")));
    mn_task_destroy(&task);
    mn_task_destroy(&other);
    mn_task_set_destroy(&set);
}

static void sequences_of_a_bundle_and_showings_of_a_class_differ(void **state)
{
    mn_task_set *set = open_set(NULL);
    mn_task *task = draw(set, MN_VAL, 3);
    const float *x = mn_task_find(task, MN_QUERY, "x");
    (void)state;
    for (size_t a = 0; a < 24; a++)
        for (size_t b = 0; b < a; b++)
            assert_memory_not_equal(x + a * 100, x + b * 100, 100 * sizeof *x);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void a_length_that_shows_some_classes_more_often_is_refused(void **state)
{
    mn_experiment experiment;
    mn_task_set *set = NULL;
    mn_error err;
    (void)state;
    make_experiment(&experiment, (const char *const[]){"tasks.length=13", NULL});
    assert_int_equal(mn_experiment_check(&experiment, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "tasks.length 13 is not a multiple of tasks.way 3"));
    assert_int_equal(mn_task_set_open(&experiment, NULL, &set, &err), MN_ERR_CONFIG);
    assert_null(set);
}

static void evaluation_may_have_longer_sequences_of_the_same_classes(void **state)
{
    static const char *const longer[] = {"evaluate.length=24", NULL};
    mn_task_set *set = open_set(longer), *as_before = open_set(NULL);
    mn_task *train = draw(set, MN_TRAIN, 3), *test = draw(set, MN_TEST, 3);
    mn_task *same = draw(as_before, MN_TRAIN, 3);
    uint32_t shown[3] = {0};
    (void)state;
    assert_int_equal(train->fields.points.n, 4);
    assert_memory_equal(train->block, same->block, same->fields.size * sizeof *same->block);
    assert_int_equal(test->fields.points.n, 8);
    assert_string_equal(test->fields.points.names[7], "8");
    const float *y = mn_task_find(test, MN_QUERY, "y");
    for (uint32_t t = 0; t < 24; t++)
        shown[hot(y + (size_t)t * 2 * 3, 3)]++;
    for (uint32_t label = 0; label < 3; label++)
        assert_int_equal(shown[label], 8);
    assert_true(mn_fields_equal(mn_task_set_fields(set, MN_VAL), mn_task_set_fields(set, MN_TEST)));
    mn_task_destroy(&train);
    mn_task_destroy(&test);
    mn_task_destroy(&same);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&as_before);
}

static void a_length_of_evaluation_that_cannot_be_is_refused(void **state)
{
    mn_experiment experiment;
    mn_task_set *set = NULL;
    mn_error err;
    (void)state;
    make_experiment(&experiment, (const char *const[]){"evaluate.length=13", NULL});
    assert_int_equal(mn_experiment_check(&experiment, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "evaluate.length 13 is not a multiple of tasks.way 3"));
    assert_int_equal(mn_task_set_open(&experiment, NULL, &set, &err), MN_ERR_CONFIG);
    make_experiment(&experiment, (const char *const[]){"evaluate.length=195", NULL});
    assert_int_equal(mn_task_set_open(&experiment, NULL, &set, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "evaluate.length 195 images"));
    assert_non_null(strstr(err.message, "up to 64 images of each"));
    make_experiment(&experiment, (const char *const[]){"evaluate.length=999", "tasks.bundle=1000",
                                                       "tasks.image_size=28", NULL});
    assert_int_equal(mn_experiment_check(&experiment, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "is too large"));
    assert_null(set);
}

static void letters_need_an_output_that_answers_letter_by_letter(void **state)
{
    mn_experiment experiment;
    mn_error err;
    (void)state;
    make_experiment(&experiment,
                    (const char *const[]){"tasks.labels=letters", "model.output=words", NULL});
    assert_int_equal(mn_experiment_check(&experiment, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "tasks.labels letters is answered letter by letter"));
}

/* The sample's images say in their first two pixels of what class and which they are; test classes
 * are 7 to 11 and not turned. */
static void a_file_gives_each_showing_another_image_of_one_class(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    mn_task_set *set = open_set((const char *const[]){"tasks.data=p.mnd", "tasks.image_size=4",
                                                      "tasks.length=18", "run.data_path=.", NULL});
    mn_task *task = draw(set, MN_TEST, 5);
    const float *x = mn_task_find(task, MN_QUERY, "x");
    const float *y = mn_task_find(task, MN_QUERY, "y");
    assert_string_equal(mn_task_set_data_name(set), "p.mnd");
    for (size_t b = 0; b < 2; b++) {
        long class_of[3] = {-1, -1, -1};
        unsigned images[3] = {0};
        for (size_t t = 0; t < 18; t++) {
            const float *image = x + (t * 2 + b) * 16;
            const uint32_t label = hot(y + (t * 2 + b) * 3, 3);
            const long class = (long)(image[0] * 255.0f + 0.5f);
            assert_in_range(class, 7, 11);
            assert_true(class_of[label] == -1 || class_of[label] == class);
            class_of[label] = class;
            images[label] |= 1u << (unsigned)(image[1] * 255.0f + 0.5f);
        }
        assert_true(class_of[0] != class_of[1] && class_of[0] != class_of[2] &&
                    class_of[1] != class_of[2]);
        for (int label = 0; label < 3; label++)
            assert_int_equal(images[label], 63); /* all six */
    }
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void a_class_with_too_few_images_and_another_files_digest_are_refused(void **state)
{
    static const char *const keys[] = {"tasks.data=p.mnd", "tasks.image_size=4", "run.data_path=.",
                                       NULL};
    mn_experiment experiment;
    mn_task_set *set = NULL;
    mn_error err;
    (void)state;
    sample_write_pack("p.mnd");
    make_experiment(&experiment, keys);
    const mn_digest other = mn_digest_of("x", 1);
    assert_int_equal(mn_task_set_open(&experiment, &other, &set, &err), MN_ERR_DATA);
    assert_int_equal(mn_experiment_set(&experiment, "tasks.length=21", &err), MN_OK);
    assert_int_equal(mn_task_set_open(&experiment, NULL, &set, &err), MN_OK);
    assert_int_equal(mn_task_set_check(set, MN_TRAIN, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "fewer images than length / way, 7"));
    mn_task_set_destroy(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_a_pure_function_of_split_and_index),
        cmocka_unit_test(each_class_is_shown_equally_often_and_showings_are_counted),
        cmocka_unit_test(the_label_is_told_one_step_late),
        cmocka_unit_test(a_class_may_be_called_by_five_letters),
        cmocka_unit_test(sequences_of_a_bundle_and_showings_of_a_class_differ),
        cmocka_unit_test_setup_teardown(a_file_gives_each_showing_another_image_of_one_class,
                                        sample_enter_folder, sample_leave_folder),
        cmocka_unit_test_setup_teardown(
            a_class_with_too_few_images_and_another_files_digest_are_refused, sample_enter_folder,
            sample_leave_folder),
        cmocka_unit_test(evaluation_may_have_longer_sequences_of_the_same_classes),
        cmocka_unit_test(a_length_of_evaluation_that_cannot_be_is_refused),
        cmocka_unit_test(letters_need_an_output_that_answers_letter_by_letter),
        cmocka_unit_test(a_length_that_shows_some_classes_more_often_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
