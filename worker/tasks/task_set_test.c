#include "worker/tasks/task_set.h"

#include "worker/data/import/data_import.h"
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
    e.evaluate.way = MN_MAX_WAY + 1;
    assert_refused(&e, NULL, MN_ERR_CONFIG, "evaluate.way is 1025");
}

static void test_tasks_may_be_those_of_another_split(void **state)
{
    (void)state;
    mn_error err = {0};
    mn_digest of_val, of_test, again;
    mn_experiment e = experiment_of(MN_TASKS_GLYPHS);
    mn_task_set *set = open_set(&e);
    assert_int_equal(mn_task_set_fingerprint(set, MN_VAL, 3, &of_val, &err), MN_OK);
    assert_int_equal(mn_task_set_fingerprint(set, MN_TEST, 3, &of_test, &err), MN_OK);
    assert_memory_not_equal(&of_val, &of_test, sizeof of_val);
    mn_task_set_destroy(&set);

    e.evaluate.split = MN_VAL;
    set = open_set(&e);
    assert_int_equal(mn_task_set_fingerprint(set, MN_TEST, 3, &again, &err), MN_OK);
    assert_memory_equal(&again, &of_val, sizeof of_val);
    assert_int_equal(mn_task_set_fingerprint(set, MN_TEST, 2, &again, &err), MN_OK);
    assert_memory_not_equal(&again, &of_val, sizeof of_val); /* fewer tasks */
    mn_task_set_destroy(&set);

    e.evaluate.split = MN_TRAIN;
    e.evaluate.way = 3;
    set = open_set(&e);
    assert_int_equal(mn_task_set_check(set, MN_TEST, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "from the classes of train"));
    assert_int_equal(mn_task_set_check(set, MN_TRAIN, &err), MN_OK);
    mn_task_set_destroy(&set);
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
    e.tasks.way = MN_MAX_WAY + 1;
    assert_refused(&e, NULL, MN_ERR_CONFIG, "tasks.way is 1025");
    e = experiment_of(MN_TASKS_GLYPHS);
    e.tasks.shot = 1u << 31;
    assert_refused(&e, NULL, MN_ERR_CONFIG, "tasks.shot");
    e = experiment_of(MN_TASKS_GLYPHS);
    e.tasks.image_size = 5000;
    assert_refused(&e, NULL, MN_ERR_CONFIG, "tasks.image_size is 5000");
}

/* A file of 2 runs of 3 classes of 2 images, which are all of one value: 10 * class + place. */
static void write_runs(const char *path, uint32_t classes_of_first, uint32_t n_train)
{
    static const char *const groups[] = {"first", "second"}, *const names[] = {"a=1", "b=2", "c=3"};
    mn_pack_class classes[6];
    mn_pack_entry entries[6];
    for (uint32_t c = 0; c < 6; c++) {
        classes[c] = (mn_pack_class){.name = names[c % 3],
                                     .group = c >= classes_of_first,
                                     .first_image = 2 * c,
                                     .n_images = 2};
        entries[c] = (mn_pack_entry){5 - c, 0}; /* in any order */
    }
    const mn_pack_index index = {.height = SAMPLE_SIDE,
                                 .width = SAMPLE_SIDE,
                                 .channels = 1,
                                 .n_images = 12,
                                 .n_classes = 6,
                                 .n_groups = 2,
                                 .n_entries = {n_train, 0, 6},
                                 .classes = classes,
                                 .groups = groups,
                                 .entries = {entries, entries, entries}};
    mn_pack_writer *writer = NULL;
    mn_error err;
    assert_int_equal(mn_pack_writer_new(path, &index, &writer, &err), MN_OK);
    for (uint32_t i = 0; i < 12; i++) {
        uint8_t pixels[SAMPLE_SIDE * SAMPLE_SIDE];
        memset(pixels, (int)(10 * (i / 2) + i % 2), sizeof pixels);
        assert_int_equal(mn_pack_writer_add(writer, pixels, &err), MN_OK);
    }
    assert_int_equal(mn_pack_writer_finish(&writer, &err), MN_OK);
}

static mn_experiment experiment_of_runs(void)
{
    mn_experiment e = experiment_of(MN_TASKS_IMAGES);
    (void)strcpy(e.tasks.runs, "runs.mnd");
    e.evaluate.way = 3;
    e.evaluate.shot = e.evaluate.query = 1;
    return e;
}

static void runs_can_be_written_as_a_list_and_read_again(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    write_runs("runs.mnd", 3, 0);
    mn_experiment e = experiment_of_runs();
    mn_digest given, listed;
    mn_error err = {.message = ""};
    mn_task_set *set = open_set(&e);
    assert_int_equal(mn_task_set_fingerprint(set, MN_TEST, 2, &given, &err), MN_OK);
    assert_int_equal(mn_task_set_write_episodes(set, MN_TEST, 2, "runs.tsv", &err), MN_OK);
    mn_task_set_destroy(&set);
    (void)strcpy(e.tasks.data, "runs.mnd");
    (void)strcpy(e.evaluate.episodes, "runs.tsv");
    e.tasks.runs[0] = '\0';
    set = open_set(&e);
    assert_int_equal(mn_task_set_fingerprint(set, MN_TEST, 2, &listed, &err), MN_OK);
    assert_memory_equal(&given, &listed, sizeof given);
    mn_task_set_destroy(&set);
}

static void test_tasks_are_the_runs_and_all_else_is_drawn(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    write_runs("runs.mnd", 3, 0);
    mn_experiment e = experiment_of_runs(), drawn = e;
    drawn.tasks.runs[0] = '\0';
    mn_task_set *set = open_set(&e), *other = open_set(&drawn);
    assert_int_equal(mn_task_set_size(set, MN_TEST), 2);
    assert_int_equal(mn_task_set_size(set, MN_TRAIN), 0);
    assert_string_equal(mn_task_set_data_name(set), "p.mnd and runs.mnd");
    for (uint64_t index = 0; index < 5; index++) {
        mn_task *task = draw(set, MN_TEST, index);
        const uint32_t run = index % 2;
        uint32_t seen = 0;
        assert_string_equal(task->title, run == 0 ? "first" : "second");
        for (uint32_t label = 0; label < 3; label++) {
            const uint32_t class = task->classes[label];
            assert_int_equal(class / 3, run);
            seen |= 1u << class % 3;
            const float *x = task->at[MN_SUPPORT_X] + label * SAMPLE_SIDE * SAMPLE_SIDE;
            assert_true(x[3] == (float)(10 * class) / 255.0f);
            x = task->at[MN_QUERY_X] + label * SAMPLE_SIDE * SAMPLE_SIDE;
            assert_true(x[3] == (float)(10 * class + 1) / 255.0f);
            for (uint32_t c = 0; c < 3; c++)
                assert_true(task->at[MN_QUERY_Y][3 * label + c] == (float)(c == label));
        }
        assert_int_equal(seen, 7);
        mn_task_set_draw(set, MN_VAL, 0, task); /* of the same fields */
        assert_string_equal(task->title, "");
        mn_task_destroy(&task);
    }
    for (mn_split split = MN_TRAIN; split <= MN_VAL; split++) {
        mn_task *a = draw(set, split, 4), *b = draw(other, split, 4);
        assert_true(same(a, b));
        mn_task_destroy(&a);
        mn_task_destroy(&b);
    }
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    mn_task *task = draw(set, MN_TEST, 1);
    mn_task_set_describe(set, task, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "second of ./runs.mnd"));
    assert_non_null(strstr(text, "=3\n"));
    free(text);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&other);
}

static void the_digest_is_of_data_and_runs(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    write_runs("runs.mnd", 3, 0);
    mn_experiment e = experiment_of_runs(), drawn = e;
    drawn.tasks.runs[0] = '\0';
    mn_task_set *set = open_set(&e), *other = open_set(&drawn);
    mn_digest both = mn_task_set_data_digest(set), one = mn_task_set_data_digest(other);
    assert_memory_not_equal(both.bytes, one.bytes, sizeof one.bytes);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&other);
    mn_error err;
    assert_int_equal(mn_task_set_open(&e, &both, &set, &err), MN_OK);
    mn_task_set_destroy(&set);
    assert_int_equal(mn_task_set_open(&e, &one, &set, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "with tasks.runs runs.mnd has digest"));
}

static void runs_that_do_not_fit_are_refused_with_the_remedy(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    write_runs("runs.mnd", 3, 0);
    write_runs("uneven.mnd", 2, 0);
    write_runs("trains.mnd", 3, 2);
    const struct {
        const char *runs;
        uint32_t way, shot, query, every;
        const char *expected;
    } odd[] = {
        {"none.mnd", 3, 1, 1, 0, "no file none.mnd"},
        {"omniglot-runs4.mnd", 3, 1, 1, 0, "mnemo data import omniglot-runs all_runs.zip"},
        {"runs.mnd", 0, 1, 1, 0, "set evaluate.way: 3"},
        {"runs.mnd", 3, 2, 1, 0, "set evaluate.shot: 1 and evaluate.query: 1"},
        {"runs.mnd", 3, 1, 0, 0, "set evaluate.shot: 1 and evaluate.query: 1"},
        {"uneven.mnd", 3, 1, 1, 0, "groups have 2 and 4 classes"},
        {"trains.mnd", 3, 1, 1, 0, "none for training or validation"},
        {"p.mnd", 3, 1, 1, 0, "none for training or validation"},
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        mn_experiment e = experiment_of_runs();
        mn_task_set *set = NULL;
        mn_error err = {0};
        (void)strcpy(e.tasks.runs, odd[i].runs);
        e.evaluate.way = odd[i].way;
        e.evaluate.shot = odd[i].shot;
        e.evaluate.query = odd[i].query;
        assert_int_not_equal(mn_task_set_open(&e, NULL, &set, &err), MN_OK);
        if (strstr(err.message, odd[i].expected) == NULL)
            fail_msg("%zu: %s", i, err.message);
    }
}

static void validation_classes_may_lack_if_nothing_is_validated(void **state)
{
    (void)state;
    sample_write_omniglot("o");
    write_runs("runs.mnd", 3, 0);
    static const char *const zip[] = {"o/images_background.zip"};
    mn_error err = {0};
    mn_task_set *set = NULL;
    assert_int_equal(mn_import_omniglot(zip, 1, NULL, 0, SAMPLE_SIDE, "p.mnd", NULL, NULL, &err),
                     MN_OK);
    mn_experiment e = experiment_of_runs();
    set = open_set(&e);
    assert_int_equal(mn_task_set_check(set, MN_TRAIN, NULL), MN_OK);
    assert_int_equal(mn_task_set_check(set, MN_VAL, NULL), MN_ERR_CONFIG);
    assert_int_equal(mn_task_set_check(set, MN_TEST, NULL), MN_OK); /* given by the runs */
    mn_task_set_destroy(&set);
    e.tasks.runs[0] = '\0';
    set = open_set(&e);
    assert_int_equal(mn_task_set_check(set, MN_TEST, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "or give its tasks by tasks.runs"));
    assert_int_equal(mn_task_set_check(set, MN_VAL, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "or set evaluate.every to 0"));
    mn_task_set_destroy(&set);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_a_function_of_seed_split_and_index),
        TEST(threads_that_share_a_set_draw_the_same_tasks),
        TEST(fields_follow_the_experiment_and_evaluate_has_its_own_counts),
        TEST(validation_and_test_tasks_may_have_other_classes_than_training_tasks),
        TEST(test_tasks_may_be_those_of_another_split),
        TEST(other_data_than_the_coordinators_is_refused_with_both_digests),
        TEST(an_experiment_that_does_not_fit_its_data_is_refused),
        TEST(test_tasks_are_the_runs_and_all_else_is_drawn),
        TEST(runs_can_be_written_as_a_list_and_read_again),
        TEST(the_digest_is_of_data_and_runs),
        TEST(runs_that_do_not_fit_are_refused_with_the_remedy),
        TEST(validation_classes_may_lack_if_nothing_is_validated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
