/* described_images_test.c: which classes and images a zero-shot task is of, and what is refused. */
#include "worker/tasks/task_set.h"

#include "worker/data/import/sample_data.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIXELS = SAMPLE_SIDE * SAMPLE_SIDE, ATTRIBUTES = 3 };

/* Of the 12 classes of the sample's file: class c has attributes c, 1 and 2. */
static void write_table(const char *path, const char *name_of_5, const char *value_of_5)
{
    char text[1024] = "class,number,one,two\n";
    mn_image_pack *pack;
    assert_int_equal(mn_image_pack_open("p.mnd", &pack, NULL), MN_OK);
    for (uint32_t c = 0; c < SAMPLE_CLASSES; c++) {
        char number[16];
        const char *name = mn_image_pack_index(pack)->classes[c].name;
        (void)snprintf(number, sizeof number, "%u", c);
        const size_t n = strlen(text);
        (void)snprintf(text + n, sizeof text - n, "%s,%s,1,2\n",
                       c == 5 && name_of_5 != NULL ? name_of_5 : name,
                       c == 5 && value_of_5 != NULL ? value_of_5 : number);
    }
    mn_image_pack_destroy(&pack);
    sample_write(path, text, strlen(text));
}

static mn_experiment experiment;

static int set_up(void **state)
{
    if (sample_enter_folder(state) != 0)
        return -1;
    sample_write_pack("p.mnd");
    write_table("p.csv", NULL, NULL);
    mn_experiment_init(&experiment);
    experiment.tasks.kind = MN_TASKS_DESCRIBED_IMAGES;
    (void)strcpy(experiment.tasks.data, "p.mnd");
    (void)strcpy(experiment.tasks.descriptions, "p.csv");
    (void)strcpy(experiment.run.data_path, ".");
    experiment.tasks.image_size = SAMPLE_SIDE;
    experiment.tasks.class_split = 3;
    experiment.tasks.val_classes = 3;
    experiment.tasks.way = 5;
    experiment.tasks.unseen = 2;
    experiment.tasks.shot = 2;
    experiment.tasks.query = 1;
    experiment.evaluate.way = 12;
    experiment.evaluate.unseen = 3;
    return 0;
}

static mn_task_set *open_set(void)
{
    mn_task_set *set = NULL;
    mn_error err = {.message = ""};
    if (mn_task_set_open(&experiment, NULL, &set, &err) != MN_OK)
        fail_msg("%s", err.message);
    return set;
}

static mn_task *draw(const mn_task_set *set, mn_split split, uint64_t index)
{
    mn_task *task = NULL;
    mn_error err = {.message = ""};
    if (mn_task_set_check(set, split, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_task_new(mn_task_set_fields(set, split), &task, NULL), MN_OK);
    memset(task->block, 0xff, task->fields.size * sizeof *task->block);
    mn_task_set_draw(set, split, index, task);
    return task;
}

/* The class that an image or a description is of, by the sample's first pixel, and its label. */
static uint32_t class_of_image(const float *x)
{
    return (uint32_t)(x[0] * 255 + 0.5f);
}

static uint32_t class_of_label(const mn_task *task, uint32_t label)
{
    return (uint32_t)mn_task_find(task, MN_SHARED, "description")[label * ATTRIBUTES];
}

static void every_image_has_the_label_and_the_description_of_its_class(void **state)
{
    (void)state;
    mn_task_set *set = open_set();
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        mn_task *task = draw(set, split, 0);
        for (mn_role role = MN_SUPPORT; role <= MN_QUERY; role++) {
            const uint32_t n = mn_fields_find(&task->fields, role, "x")->n;
            const float *x = mn_task_find(task, role, "x"), *y = mn_task_find(task, role, "y");
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t label =
                    mn_label_of(task->fields.y_size, y + i * task->fields.y_size);
                assert_int_equal(class_of_image(x + i * PIXELS), class_of_label(task, label));
                assert_true(role == MN_QUERY || mn_task_find(task, MN_SHARED, "seen")[label] == 1);
            }
        }
        mn_task_destroy(&task);
    }
    mn_task_set_destroy(&set);
}

/* Support images are none of the query's; those of U are those of the unseen ones. */
static void images_are_asked_for_at_their_points_among_their_candidates(void **state)
{
    (void)state;
    experiment.tasks.generalised = true;
    mn_task_set *set = open_set();
    mn_task *task = draw(set, MN_TEST, 0);
    const uint32_t way = task->fields.y_size, n = mn_fields_find(&task->fields, MN_QUERY, "x")->n;
    const float *x = mn_task_find(task, MN_QUERY, "x"), *y = mn_task_find(task, MN_QUERY, "y");
    const float *shown = mn_task_find(task, MN_SUPPORT, "x");
    const float *candidates = mn_task_find(task, MN_QUERY, "candidates");
    const float *points = mn_task_find(task, MN_QUERY, "point");
    const float *seen = mn_task_find(task, MN_SHARED, "seen");
    assert_int_equal(way, 12);
    assert_int_equal(n, 3 + 9 + 3);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t label = mn_label_of(way, y + i * way);
        assert_true(points[i] == (i < 3 ? 0 : i < 12 ? 1 : 2));
        assert_true(seen[label] == (points[i] == 1));
        for (uint32_t k = 0; k < way; k++)
            assert_true(candidates[i * way + k] == (points[i] != 0 || seen[k] == 0));
        for (uint32_t k = 0; k < 18; k++)
            assert_memory_not_equal(x + i * PIXELS, shown + k * PIXELS, 2 * sizeof *x);
    }
    assert_memory_equal(x, x + 12 * PIXELS, 3 * PIXELS * sizeof *x);
    mn_task_destroy(&task);
    assert_int_equal(mn_fields_find(mn_task_set_fields(set, MN_TRAIN), MN_QUERY, "x")->n, 5 + 2);
    assert_int_equal(mn_task_set_fields(set, MN_TEST)->points.n, 3);
    mn_task_set_destroy(&set);
}

/* Bit c: class c is an unseen one of the test, or the like. */
static uint32_t classes_of(const mn_task_set *set, mn_split split, bool unseen, uint64_t n_tasks)
{
    uint32_t bits = 0;
    for (uint64_t index = 0; index < n_tasks; index++) {
        mn_task *task = draw(set, split, index);
        for (uint32_t label = 0; label < task->n_classes; label++)
            if ((mn_task_find(task, MN_SHARED, "seen")[label] == 0) == unseen)
                bits |= 1u << class_of_label(task, label);
        mn_task_destroy(&task);
    }
    return bits;
}

static void unseen_classes_of_the_test_are_in_no_other_task(void **state)
{
    (void)state;
    mn_task_set *set = open_set();
    const uint32_t test = classes_of(set, MN_TEST, true, 1);
    const uint32_t train =
        classes_of(set, MN_TRAIN, true, 40) | classes_of(set, MN_TRAIN, false, 40);
    const uint32_t val = classes_of(set, MN_VAL, true, 40),
                   beside = classes_of(set, MN_VAL, false, 40);
    assert_int_equal(__builtin_popcount(test), 3);
    assert_int_equal(__builtin_popcount(train), 6);
    assert_int_equal(__builtin_popcount(val), 3);
    assert_true((test & train) == 0 && (test & val) == 0 && (train & val) == 0 && beside == train);
    assert_int_equal(classes_of(set, MN_TEST, true, 40), test);
    assert_int_equal(classes_of(set, MN_TEST, false, 1), train | val);
    mn_task_set_destroy(&set);

    experiment.seed = 77; /* the division is another's matter */
    set = open_set();
    assert_int_equal(classes_of(set, MN_TEST, true, 1), test);
    mn_task_set_destroy(&set);
    experiment.tasks.class_split = 4;
    set = open_set();
    assert_int_not_equal(classes_of(set, MN_TEST, true, 1), test);
    mn_task_set_destroy(&set);
}

/* Division class_split + i, of which validation does not see the unseen classes. */
static void each_task_may_have_a_division_of_its_own(void **state)
{
    uint32_t unseen[4], all = 0;
    (void)state;
    experiment.outer.steps = 0;
    experiment.tasks.val_classes = 0;
    experiment.tasks.redraw = true;
    mn_task_set *set = open_set();
    for (uint64_t index = 0; index < 4; index++) {
        mn_task *task = draw(set, MN_TEST, index);
        unseen[index] = 0;
        for (uint32_t label = 9; label < 12; label++)
            unseen[index] |= 1u << class_of_label(task, label);
        all |= unseen[index];
        mn_task_destroy(&task);
    }
    assert_true(__builtin_popcount(all) > 3);
    mn_task_set_destroy(&set);
    experiment.tasks.redraw = false;
    experiment.tasks.class_split += 2;
    set = open_set();
    assert_int_equal(classes_of(set, MN_TEST, true, 1), unseen[2]);
    mn_task_set_destroy(&set);

    experiment.tasks.class_split -= 2;
    experiment.tasks.redraw = true;
    set = open_set();
    for (uint64_t index = 0; index < 4; index++) {
        mn_task *task = draw(set, MN_VAL, index);
        assert_int_equal(task->n_classes, 9);
        for (uint32_t label = 0; label < 9; label++)
            assert_int_equal(unseen[index] & 1u << class_of_label(task, label), 0);
        mn_task_destroy(&task);
    }
    mn_task_set_destroy(&set);
}

static void tasks_of_unseen_classes_alone_have_no_support_set(void **state)
{
    (void)state;
    experiment.tasks.unseen = 5;
    mn_task_set *set = open_set();
    mn_task *task = draw(set, MN_TRAIN, 0);
    assert_null(mn_task_find(task, MN_SUPPORT, "x"));
    assert_int_equal(mn_fields_find(&task->fields, MN_QUERY, "x")->n, 5);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

/* The sample's pixel 2 is 200; in a mirror it is pixel 1. */
static void training_images_alone_may_be_seen_in_a_mirror(void **state)
{
    uint32_t mirrored = 0, n = 0;
    (void)state;
    experiment.tasks.mirror = true;
    mn_task_set *set = open_set();
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++)
        for (uint64_t index = 0; index < 20; index++) {
            mn_task *task = draw(set, split, index);
            const float *x = mn_task_find(task, MN_QUERY, "x");
            const bool mirror = (uint32_t)(x[1] * 255 + 0.5f) == 200;
            assert_true(split == MN_TRAIN || !mirror);
            mirrored += mirror;
            n += split == MN_TRAIN;
            mn_task_destroy(&task);
        }
    assert_true(mirrored > 0 && mirrored < n);
    mn_task_set_destroy(&set);
}

static void a_task_is_told_by_the_names_of_its_classes(void **state)
{
    char text[4096] = "";
    (void)state;
    mn_task_set *set = open_set();
    mn_task *task = draw(set, MN_TEST, 0);
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(out);
    mn_task_set_describe(set, task, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "18 support images of seen classes, 15 query images"));
    assert_non_null(strstr(text, "unseen  number "));
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void expect_refused(mn_status status, const char *words)
{
    mn_task_set *set = NULL;
    mn_error err = {.message = ""};
    assert_int_equal(mn_task_set_open(&experiment, NULL, &set, &err), status);
    if (strstr(err.message, words) == NULL)
        fail_msg("not \"%s\": %s", words, err.message);
}

static void expect_no_tasks(mn_split split, const char *words)
{
    mn_task_set *set = open_set();
    mn_error err = {.message = ""};
    assert_int_equal(mn_task_set_check(set, split, &err), MN_ERR_CONFIG);
    if (strstr(err.message, words) == NULL)
        fail_msg("not \"%s\": %s", words, err.message);
    mn_task_set_destroy(&set);
}

/* Class c has c, 1 and 2 of the attributes; the last two are alike for all and tell nothing. */
static void attributes_are_standardised_over_all_described_classes(void **state)
{
    double mean = 0, squares = 0;
    (void)state;
    for (uint32_t c = 0; c < SAMPLE_CLASSES; c++) {
        mean += sqrt(c) / SAMPLE_CLASSES;
        squares += (double)c / SAMPLE_CLASSES;
    }
    experiment.tasks.roots = true;
    experiment.tasks.attributes = MN_ATTRIBUTES_STANDARDISED;
    mn_task_set *set = open_set();
    mn_task *task = draw(set, MN_TEST, 0);
    const float *x = mn_task_find(task, MN_SUPPORT, "x"), *y = mn_task_find(task, MN_SUPPORT, "y");
    const float *description = mn_task_find(task, MN_SHARED, "description");
    for (uint32_t i = 0; i < mn_fields_find(&task->fields, MN_SUPPORT, "x")->n; i++) {
        const uint32_t label = mn_label_of(task->fields.y_size, y + i * task->fields.y_size);
        const double is = (double)description[label * ATTRIBUTES];
        const double expected =
            (sqrt(class_of_image(x + i * PIXELS)) - mean) / sqrt(squares - mean * mean);
        assert_true(fabs(is - expected) < 1e-5);
        assert_true(description[label * ATTRIBUTES + 1] == 0);
    }
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void what_lacks_or_does_not_fit_is_told(void **state)
{
    (void)state;
    const mn_experiment good = experiment;
    write_table("other.csv", "somebody", NULL);
    (void)strcpy(experiment.tasks.descriptions, "other.csv");
    expect_refused(MN_ERR_DATA, "that other.csv does not describe");
    write_table("other.csv", NULL, "?");
    expect_refused(MN_ERR_DATA, "lacks attribute number: put a number in its place");
    expect_refused(MN_ERR_DATA, "other.csv:7: class ");
    write_table("other.csv", NULL, "inf");
    expect_refused(MN_ERR_DATA, "other.csv:7: column 2: \"inf\": expected a finite number");
    write_table("other.csv", NULL, "-2");
    experiment.tasks.roots = true;
    expect_refused(MN_ERR_DATA, "-2 of attribute number: expected at least 0, as tasks.roots");
    experiment.tasks.roots = false;
    (void)strcpy(experiment.tasks.descriptions, "none.csv");
    expect_refused(MN_ERR_NO_INPUT, "no file none.csv (tasks.descriptions), a table with a line");

    experiment = good;
    experiment.tasks.class_split = 0; /* the sample has classes for training and validation both */
    expect_refused(MN_ERR_DATA, "is in both splits train and val, but a class is seen or not");
    experiment = good;
    experiment.evaluate.unseen = 10;
    expect_refused(MN_ERR_CONFIG, "has 12 classes, of which 10 (evaluate.unseen) are to be unseen");
    experiment = good;
    experiment.evaluate.way = 2;
    expect_refused(MN_ERR_CONFIG, "evaluate.unseen is 3, but a task has evaluate.way 2 classes");
    experiment = good;
    experiment.tasks.redraw = true;
    expect_refused(MN_ERR_CONFIG, "it needs outer.steps 0");

    experiment = good;
    experiment.tasks.way = 9;
    expect_no_tasks(MN_TRAIN, "4 classes are left to be seen in training, but a task has 7");
    experiment = good;
    experiment.tasks.shot = SAMPLE_IMAGES + 1;
    expect_no_tasks(MN_TRAIN, "but a task of training needs");
    experiment = good;
    experiment.tasks.val_classes = 0;
    expect_no_tasks(MN_VAL, "no class is for validation alone");
}

static void other_descriptions_are_other_data(void **state)
{
    (void)state;
    mn_task_set *set = open_set(), *other = NULL;
    const mn_digest digest = mn_task_set_data_digest(set);
    mn_error err = {.message = ""};
    assert_string_equal(mn_task_set_data_name(set), "p.mnd and p.csv");
    mn_task_set_destroy(&set);
    write_table("p.csv", NULL, "5.5");
    assert_int_equal(mn_task_set_open(&experiment, &digest, &other, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "but the coordinator uses p.mnd and p.csv"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_image_has_the_label_and_the_description_of_its_class),
        TEST(images_are_asked_for_at_their_points_among_their_candidates),
        TEST(unseen_classes_of_the_test_are_in_no_other_task),
        TEST(each_task_may_have_a_division_of_its_own),
        TEST(tasks_of_unseen_classes_alone_have_no_support_set),
        TEST(training_images_alone_may_be_seen_in_a_mirror),
        TEST(a_task_is_told_by_the_names_of_its_classes),
        TEST(attributes_are_standardised_over_all_described_classes),
        TEST(what_lacks_or_does_not_fit_is_told),
        TEST(other_descriptions_are_other_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
