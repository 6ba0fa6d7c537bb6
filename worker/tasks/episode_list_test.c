#include "worker/tasks/episode_list.h"

#include "common/file.h"
#include "worker/data/import/sample_data.h"
#include "worker/tasks/task_set.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 2 classes, 1 support and 2 query items, of the sample pack. */
static mn_experiment experiment_of_images(void)
{
    mn_experiment e;
    mn_experiment_init(&e);
    e.tasks.kind = MN_TASKS_IMAGES;
    (void)strcpy(e.tasks.data, "p.mnd");
    (void)strcpy(e.run.data_path, ".");
    e.tasks.way = 2;
    e.tasks.shot = 1;
    e.tasks.query = 2;
    e.tasks.image_size = SAMPLE_SIDE;
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

static void a_list_that_was_written_gives_the_same_tasks(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) { /* train has quarter turns */
        mn_experiment e = experiment_of_images();
        mn_digest drawn, read;
        mn_error err = {0};
        char *first = NULL, *second = NULL;
        size_t n_first = 0, n_second = 0;
        mn_task_set *set = open_set(&e);
        assert_int_equal(mn_task_set_fingerprint(set, split, 5, &drawn, &err), MN_OK);
        assert_int_equal(mn_task_set_write_episodes(set, split, 5, "list.tsv", &err), MN_OK);
        mn_task_set_destroy(&set);

        (void)strcpy(e.evaluate.episodes, "list.tsv");
        set = open_set(&e);
        assert_int_equal(mn_task_set_size(set, MN_TEST), 5);
        assert_int_equal(mn_task_set_check(set, MN_TEST, &err), MN_OK);
        assert_int_equal(mn_task_set_fingerprint(set, MN_TEST, 5, &read, &err), MN_OK);
        assert_memory_equal(&drawn, &read, sizeof drawn);
        assert_int_equal(mn_task_set_write_episodes(set, MN_TEST, 5, "again.tsv", &err), MN_OK);
        mn_task_set_destroy(&set);
        assert_int_equal(mn_file_read("list.tsv", 1 << 20, &first, &n_first, NULL), MN_OK);
        assert_int_equal(mn_file_read("again.tsv", 1 << 20, &second, &n_second, NULL), MN_OK);
        assert_int_equal(n_first, n_second);
        assert_memory_equal(first, second, n_first);
        free(first);
        free(second);
    }
}

static mn_image_pack *pack;
static mn_fields fields;

static void open_pack(void)
{
    const uint32_t x[3] = {SAMPLE_SIDE, SAMPLE_SIDE, 1};
    sample_write_pack("p.mnd");
    assert_int_equal(mn_image_pack_open("p.mnd", &pack, NULL), MN_OK);
    assert_int_equal(mn_fields_few_shot(&fields, 2, 4, x, MN_TARGET_CLASSES, 2, NULL), MN_OK);
}

#define HEAD "task\tlabel\tclass\tturns\tset\titem\n"
#define FIRST "0\t0\tb/c3\t1\tsupport\t5\n"
#define REST                                                                                       \
    "0\t0\tb/c3\t1\tquery\t0\n0\t0\tb/c3\t1\tquery\t2\n0\t1\ta/c0\t0\tquery\t1\n"                  \
    "0\t1\ta/c0\t0\tquery\t0\n0\t1\ta/c0\t0\tsupport\t2\n"

static void any_program_may_have_made_a_list(void **state)
{
    (void)state;
    const char text[] = "# by hand\n\n" HEAD FIRST "# more\r\n" REST;
    mn_episode_list *list = NULL;
    mn_task *task = NULL;
    mn_error err = {0};
    open_pack();
    assert_int_equal(
        mn_episode_list_parse("list", text, sizeof text - 1, pack, &fields, &list, &err), MN_OK);
    assert_int_equal(mn_episode_list_count(list), 1);
    assert_int_equal(mn_episode_list_classes(list).n, 2);
    assert_int_equal(mn_task_new(&fields, &task, &err), MN_OK);
    uint32_t items[6];
    task->items = items;
    task->index = 3;
    mn_episode_list_draw(list, 3, task); /* from the beginning again */
    assert_int_equal(task->n_classes, 2);
    assert_int_equal(task->classes[0], 3);
    assert_int_equal(mn_episode_list_entry(list, task, 0).quarter_turns, 1);
    assert_memory_equal(items, ((uint32_t[]){5, 2, 0, 2, 1, 0}), sizeof items);
    /* Pixel 0 is the class, pixel 1 the item; turned, the right column becomes the top row. */
    const float *support = task->at[MN_SUPPORT_X], *query = task->at[MN_QUERY_X];
    assert_true(support[4 * 3] * 255 == 3 && support[4 * 2] * 255 == 5);
    assert_true(support[16] == 0 && support[17] * 255 == 2);
    assert_true(query[2 * 16 + 1] * 255 == 1 && query[3 * 16 + 1] == 0);
    assert_true(task->at[MN_QUERY_Y][0] == 1 && task->at[MN_QUERY_Y][2 * 2 + 1] == 1);
    mn_task_destroy(&task);
    mn_episode_list_destroy(&list);
    mn_image_pack_destroy(&pack);
}

static void what_a_list_lacks_is_told_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mn_status status;
        const char *words;
    } cases[] = {
        {"", MN_ERR_DATA, "holds no task"},
        {HEAD, MN_ERR_DATA, "holds no task"},
        {FIRST, MN_ERR_DATA, "list:1: expected the words task, label"},
        {HEAD "0\t0\tb/c3\t1\tsupport\n", MN_ERR_DATA, "list:2: 5 words"},
        {HEAD "0\t0\tb/c3\t1\tsupport\t5\t6\n", MN_ERR_DATA, "more than 6 words"},
        {HEAD "1\t0\tb/c3\t1\tsupport\t5\n", MN_ERR_DATA, "task 1 after task"},
        {HEAD "0\t0\tc3\t1\tsupport\t5\n", MN_ERR_DATA, "class c3 is not in p.mnd"},
        {HEAD "0\t0\tb/c3\t4\tsupport\t5\n", MN_ERR_DATA, "turns is \"4\""},
        {HEAD "0\t0\tb/c3\t0\ttest\t5\n", MN_ERR_DATA, "neither support nor query"},
        {HEAD "0\t0\tb/c3\t0\tquery\t6\n", MN_ERR_DATA,
         "item is \"6\"; expected a whole number from 0 to 5"},
        {HEAD "0\t0\tb/c3\t0\tquery\t-1\n", MN_ERR_DATA, "item is \"-1\""},
        {HEAD "99999999999\t0\tb/c3\t0\tquery\t1\n", MN_ERR_DATA, "task is"},
        {HEAD "0\t2\tb/c3\t0\tquery\t1\n", MN_ERR_CONFIG, "set evaluate.way"},
        {HEAD FIRST "0\t1\tb/c3\t1\tquery\t1\n", MN_ERR_DATA, "is that of label 0"},
        {HEAD FIRST "0\t0\tb/c4\t1\tquery\t1\n", MN_ERR_DATA, "has had another class"},
        {HEAD FIRST "0\t0\tb/c3\t1\tquery\t5\n", MN_ERR_DATA,
         "list:3: item 5 is in this task already"},
        {HEAD FIRST, MN_ERR_CONFIG,
         "task 0 has 1 support and 0 query items of label 0, but test tasks have 1 and 2"},
        {HEAD FIRST REST "0\t1\ta/c0\t0\tquery\t4\n", MN_ERR_CONFIG, "3 query items of label 1"},
        {HEAD FIRST REST FIRST, MN_ERR_DATA, "item 5 is in this task already"},
        {HEAD "0\t0\tb/c3\t1\tsupport\t5\n0\t0\tb/c3\t1\tquery\t0\n0\t0\tb/c3\t1\tquery\t2\n",
         MN_ERR_CONFIG, "has no label 1"},
        {HEAD FIRST REST "1\t0\tb/c3\t1\tsupport\t5\n2\t0\tb/c3\t1\tsupport\t5\n", MN_ERR_CONFIG,
         "task 1 has"},
        {"# data 0000000000000000000000000000000000000000000000000000000000000000\n" HEAD FIRST
             REST,
         MN_ERR_DATA, "made from data 0000000000000000..."},
    };
    open_pack();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_episode_list *list = NULL;
        mn_error err = {.message = ""};
        const char *text = cases[i].text;
        const mn_status status =
            mn_episode_list_parse("list", text, strlen(text), pack, &fields, &list, &err);
        if (status != cases[i].status || strstr(err.message, cases[i].words) == NULL)
            fail_msg("case %zu: status %d, \"%s\" lacks \"%s\"", i, (int)status, err.message,
                     cases[i].words);
        assert_null(list);
    }
    mn_image_pack_destroy(&pack);
}

static void tasks_that_are_made_up_have_no_list(void **state)
{
    (void)state;
    mn_experiment e;
    mn_error err = {0};
    mn_experiment_init(&e);
    mn_task_set *set = open_set(&e); /* sinusoids */
    assert_int_equal(mn_task_set_write_episodes(set, MN_TEST, 5, "list.tsv", &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "mnemo task --dump"));
    mn_task_set_destroy(&set);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)
    const struct CMUnitTest tests[] = {
        TEST(a_list_that_was_written_gives_the_same_tasks),
        TEST(any_program_may_have_made_a_list),
        TEST(what_a_list_lacks_is_told_with_its_line),
        TEST(tasks_that_are_made_up_have_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
