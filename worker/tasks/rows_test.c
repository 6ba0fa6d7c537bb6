#include "worker/tasks/rows_splits.h"
#include "worker/tasks/task_set.h"

#include "common/file.h"
#include "worker/data/import/sample_data.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CLASSES = 20, ROWS = 6 };

static mn_experiment rows_of(const char *table)
{
    mn_experiment e;
    mn_experiment_init(&e);
    e.seed = 3;
    e.tasks.kind = MN_TASKS_ROWS;
    (void)strcpy(e.tasks.table, table);
    (void)strcpy(e.run.data_path, ".");
    e.tasks.way = 3;
    e.tasks.shot = 2;
    e.tasks.query = 3;
    return e;
}

/* Row r of class c has class number, place in its class and a constant, so that a task tells what it is of. */
static mn_experiment write_classes(void)
{
    char text[8192] = "kind,c,r,one,set\n";
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < CLASSES; c++)
            (void)sprintf(text + strlen(text), "k%02d,%d,%d,1,%s\n", c, c, r,
                          c < 10   ? "train"
                          : c < 15 ? "val"
                                   : "test");
    sample_write("classes.csv", text, strlen(text));
    mn_experiment e = rows_of("classes.csv");
    (void)strcpy(e.tasks.class_column, "kind");
    (void)strcpy(e.tasks.columns, "c, r, one");
    (void)strcpy(e.tasks.split_column, "set");
    e.tasks.standardise = false;
    return e;
}

/* Task t has 8 + t rows, y = 10 t + 2 x. */
static mn_experiment write_tasks(void)
{
    char text[8192] = "school,x,y\n";
    for (int t = 0; t < 10; t++)
        for (int r = 0; r < 8 + t; r++)
            (void)sprintf(text + strlen(text), "s%d,%d,%d\n", t, r, 10 * t + 2 * r);
    sample_write("tasks.csv", text, strlen(text));
    mn_experiment e = rows_of("tasks.csv");
    (void)strcpy(e.tasks.task_column, "school");
    (void)strcpy(e.tasks.y_column, "y");
    e.tasks.standardise = false;
    return e;
}

static mn_task_set *open_set(const mn_experiment *e)
{
    mn_task_set *set = NULL;
    mn_error err = {.message = ""};
    if (mn_experiment_check(e, &err) != MN_OK || mn_task_set_open(e, NULL, &set, &err) != MN_OK)
        fail_msg("%s", err.message);
    return set;
}

static mn_task *new_task(const mn_task_set *set, mn_split split)
{
    mn_task *task = NULL;
    mn_error err = {.message = ""};
    if (mn_task_set_check(set, split, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_task_new(mn_task_set_fields(set, split), &task, NULL), MN_OK);
    return task;
}

static void assert_refused(const mn_experiment *e, const char *part)
{
    mn_task_set *set = NULL;
    mn_error err = {.message = ""};
    mn_status status = mn_experiment_check(e, &err);
    if (status == MN_OK)
        status = mn_task_set_open(e, NULL, &set, &err);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status = mn_task_set_check(set, split, &err);
    mn_task_set_destroy(&set);
    assert_int_not_equal(status, MN_OK);
    if (strstr(err.message, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, part);
}

static void a_task_has_rows_of_distinct_classes_of_its_split_none_twice(void **state)
{
    static const uint32_t bounds[MN_N_SPLITS + 1] = {0, 10, 15, 20};
    const mn_experiment e = write_classes();
    mn_task_set *set = open_set(&e);
    (void)state;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        mn_task *task = new_task(set, split);
        bool seen[CLASSES] = {false};
        for (uint64_t index = 0; index < 60; index++) {
            bool used[CLASSES][ROWS] = {{false}};
            float of_label[3] = {-1, -1, -1};
            mn_task_set_draw(set, split, index, task);
            for (int field = MN_SUPPORT_X; field <= MN_QUERY_X; field += 2)
                for (uint32_t i = 0; i < task->fields.at[field].n; i++) {
                    const float *x = task->at[field] + i * 3;
                    const uint32_t label = mn_label_of(3, task->at[field + 1] + i * 3);
                    const uint32_t c = (uint32_t)x[0], r = (uint32_t)x[1];
                    assert_true(c >= bounds[split] && c < bounds[split + 1] && x[2] == 1);
                    assert_false(used[c][r]);
                    used[c][r] = true;
                    assert_true(of_label[label] < 0 || of_label[label] == x[0]);
                    of_label[label] = x[0];
                    seen[c] = true;
                }
            assert_true(of_label[0] != of_label[1] && of_label[1] != of_label[2] &&
                        of_label[0] != of_label[2]);
        }
        for (uint32_t c = bounds[split]; c < bounds[split + 1]; c++)
            assert_true(seen[c]);
        mn_task_destroy(&task);
    }
    mn_task_set_destroy(&set);
}

static void features_are_standardised_by_the_training_rows_alone(void **state)
{
    mn_experiment e = write_classes();
    (void)state;
    e.tasks.standardise = true;
    mn_task_set *set = open_set(&e);
    const mn_row_form *form = mn_task_set_row_form(set);
    assert_true(form->columns[0].mean == 4.5); /* classes 0 to 9 */
    assert_true(fabs(form->columns[0].scale - sqrt(8.25)) < 1e-12);
    assert_true(form->columns[2].scale == 1); /* a constant */
    mn_task *task = new_task(set, MN_TEST);
    mn_task_set_draw(set, MN_TEST, 0, task);
    assert_true(task->at[MN_SUPPORT_X][0] > 3 && task->at[MN_SUPPORT_X][2] == 0);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static mn_row_groups groups_of(const mn_experiment *e)
{
    const char *const path[] = {e->tasks.table};
    mn_data_table table;
    mn_row_groups groups;
    mn_error err = {.message = ""};
    assert_int_equal(mn_data_table_read(1, path, e->tasks.header, &table, &err), MN_OK);
    if (mn_row_groups_make(e, &table, &groups, &err) != MN_OK)
        fail_msg("%s", err.message);
    mn_data_table_fini(&table);
    return groups;
}

static void shares_are_drawn_by_seed_and_name_whatever_the_order_of_the_rows(void **state)
{
    mn_experiment e = write_classes();
    uint32_t n[MN_N_SPLITS] = {0}, moved = 0;
    (void)state;
    e.tasks.split_column[0] = '\0';
    mn_row_groups groups = groups_of(&e);
    char text[8192] = "kind,c,r,one,set\n";
    for (int c = CLASSES - 1; c >= 0; c--)
        (void)sprintf(text + strlen(text), "k%02d,%d,0,1,-\n", c, c);
    sample_write("classes.csv", text, strlen(text));
    mn_row_groups again = groups_of(&e);
    e.seed++;
    mn_row_groups other = groups_of(&e);
    assert_int_equal(groups.n, CLASSES);
    for (uint32_t g = 0; g < CLASSES; g++)
        for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
            n[split] += groups.at[g].n[split] > 0;
            assert_true((groups.at[g].n[split] > 0) == (again.at[g].n[split] > 0));
            moved += (groups.at[g].n[split] > 0) != (other.at[g].n[split] > 0);
        }
    assert_true(n[MN_TRAIN] == 14 && n[MN_VAL] == 3 && n[MN_TEST] == 3); /* 70, 15, 15 % */
    assert_true(moved > 0);
    mn_row_groups_fini(&groups);
    mn_row_groups_fini(&again);
    mn_row_groups_fini(&other);
}

static void a_list_says_which_classes_are_for_what(void **state)
{
    mn_experiment e = write_classes();
    char list[1024] = "kind\tsplit\n";
    (void)state;
    for (int c = 0; c < CLASSES; c++)
        (void)sprintf(list + strlen(list), "k%02d\t%s\n", c,
                      c % 4 == 0   ? "test"
                      : c % 4 == 1 ? "val"
                                   : "train");
    (void)strcat(list, "elsewhere\ttrain\n");
    e.tasks.split_column[0] = '\0';
    (void)strcpy(e.tasks.split_list, "list.tsv");
    sample_write("list.tsv", list, strlen(list));
    mn_row_groups groups = groups_of(&e);
    for (uint32_t c = 0; c < CLASSES; c++)
        assert_int_equal(groups.at[c].n[c % 4 == 0   ? MN_TEST
                                        : c % 4 == 1 ? MN_VAL
                                                     : MN_TRAIN],
                         ROWS);
    mn_row_groups_fini(&groups);
    mn_task_set *set = open_set(&e);
    const mn_digest digest = mn_task_set_data_digest(set);
    mn_task_set_destroy(&set);
    sample_write("list.tsv", list, strlen(list) - 16); /* without what is elsewhere: another list */
    set = open_set(&e);
    const mn_digest other = mn_task_set_data_digest(set);
    assert_memory_not_equal(&digest, &other, sizeof digest);
    mn_task_set_destroy(&set);
    sample_write("list.tsv", list, (size_t)(strstr(list, "k10") - list));
    assert_refused(&e, "list.tsv has no line for k");
    sample_write("list.tsv", "k00\ttrain\nk01\ttset\n", 19);
    assert_refused(&e, "row 2: \"tset\" is no split");
    sample_write("list.tsv", "k00\ttrain\nk00\ttest\n", 19);
    assert_refused(&e, "row 2: k00 comes twice");
}

static void other_data_than_the_coordinators_is_refused(void **state)
{
    const mn_experiment e = write_classes();
    mn_digest other = {{1}};
    mn_task_set *set = NULL;
    mn_error err;
    (void)state;
    assert_int_equal(mn_task_set_open(&e, &other, &set, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "./classes.csv has digest"));
    set = open_set(&e);
    other = mn_task_set_data_digest(set);
    mn_task_set_destroy(&set);
    assert_int_equal(mn_task_set_open(&e, &other, &set, &err), MN_OK);
    assert_string_equal(mn_task_set_data_name(set), "classes.csv");
    mn_task_set_destroy(&set);
}

/* x and y of a row tell which it is. */
static uint32_t task_of(float x, float y)
{
    return (uint32_t)(y - 2 * x) / 10;
}

static void a_regression_task_is_of_one_task_and_asks_for_rows_that_it_does_not_show(void **state)
{
    mn_experiment e = write_tasks();
    (void)state;
    e.tasks.shot = 20; /* more than there are: they come again */
    mn_task_set *set = open_set(&e);
    mn_task *task = new_task(set, MN_TRAIN);
    assert_int_equal(task->fields.target, MN_TARGET_VALUES);
    for (uint64_t index = 0; index < 50; index++) {
        uint32_t shown[32] = {0}, asked[32] = {0};
        mn_task_set_draw(set, MN_TRAIN, index, task);
        const uint32_t t = task_of(task->at[MN_QUERY_X][0], task->at[MN_QUERY_Y][0]);
        for (uint32_t i = 0; i < 20; i++) {
            assert_int_equal(task_of(task->at[MN_SUPPORT_X][i], task->at[MN_SUPPORT_Y][i]), t);
            shown[(uint32_t)task->at[MN_SUPPORT_X][i]]++;
        }
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(task_of(task->at[MN_QUERY_X][i], task->at[MN_QUERY_Y][i]), t);
            asked[(uint32_t)task->at[MN_QUERY_X][i]]++;
        }
        for (uint32_t r = 0; r < 8 + t; r++) { /* others than those asked for, in turn */
            assert_true(asked[r] <= 1 && (asked[r] == 0) == (shown[r] > 0));
            assert_true(shown[r] == 0 || shown[r] == 20 / (5 + t) || shown[r] == 20 / (5 + t) + 1);
        }
        assert_int_equal(task->title[1] - '0', t);
    }
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void rows_that_are_held_out_are_each_asked_for_once(void **state)
{
    mn_experiment e = write_tasks();
    mn_uint_list shares = {3, {45, 30, 25}};
    bool trained[10][32] = {{false}};
    (void)state;
    e.tasks.split_by = MN_SPLIT_BY_ROW;
    e.tasks.shares = shares;
    e.evaluate.shot = 30;
    e.tasks.query = 2;
    mn_task_set *set = open_set(&e);
    assert_true(mn_fields_equal(mn_task_set_fields(set, MN_VAL), mn_task_set_fields(set, MN_TEST)));
    mn_task *train = new_task(set, MN_TRAIN);
    for (uint64_t index = 0; index < 400; index++) {
        mn_task_set_draw(set, MN_TRAIN, index, train);
        for (int field = MN_SUPPORT_X; field <= MN_QUERY_X; field += 2)
            for (uint32_t i = 0; i < 2; i++) {
                const float x = train->at[field][i];
                trained[task_of(x, train->at[field + 1][i])][(uint32_t)x] = true;
            }
    }
    for (mn_split split = MN_VAL; split < MN_N_SPLITS; split++) {
        mn_task *task = new_task(set, split);
        uint32_t n_asked = 0;
        assert_int_equal(mn_task_set_size(set, split), 10);
        for (uint64_t t = 0; t < 10; t++) {
            bool asked[32] = {false};
            float sum = 0;
            mn_task_set_draw(set, split, t, task);
            const float *weight = mn_task_find(task, MN_QUERY, "weight");
            for (uint32_t i = 0; i < task->fields.at[MN_QUERY_X].n; i++) {
                const uint32_t row = (uint32_t)task->at[MN_QUERY_X][i];
                sum += weight[i];
                if (!(weight[i] > 0))
                    continue;
                assert_int_equal(task_of(task->at[MN_QUERY_X][i], task->at[MN_QUERY_Y][i]), t);
                assert_false(asked[row] || trained[t][row]);
                asked[row] = true;
                n_asked++;
            }
            assert_true(fabsf(sum - 1) < 1e-6f);
            for (uint32_t i = 0; i < 30; i++) {
                const uint32_t row = (uint32_t)task->at[MN_SUPPORT_X][i];
                assert_false(asked[row]);
                assert_true(split == MN_TEST || trained[t][row]);
            }
        }
        /* of 8 to 17 rows 30 and 25 % */
        assert_int_equal(n_asked,
                         split == MN_TEST ? 2 * 2 + 4 * 3 + 4 * 4 : 2 + 3 * 3 + 3 * 4 + 3 * 5);
        mn_task_destroy(&task);
    }
    mn_task_destroy(&train);
    mn_task_set_destroy(&set);
}

static void rows_may_be_held_out_by_a_column_if_each_task_has_others(void **state)
{
    static const char good[] = "t,x,y,set\na,1,1,train\na,2,2,train\na,3,3,test\nb,4,4,train\n"
                               "b,5,5,train\nb,6,6,val\n";
    static const char bad[] = "t,x,y,set\na,1,1,train\na,2,2,train\na,3,3,test\nb,4,4,test\n";
    mn_experiment e = rows_of("held.csv");
    (void)state;
    (void)strcpy(e.tasks.task_column, "t");
    (void)strcpy(e.tasks.y_column, "y");
    (void)strcpy(e.tasks.split_column, "set");
    e.tasks.split_by = MN_SPLIT_BY_ROW;
    e.tasks.query = 1;
    e.tasks.standardise = false;
    sample_write("held.csv", good, strlen(good));
    mn_task_set *set = open_set(&e);
    mn_task *task = new_task(set, MN_TEST);
    assert_int_equal(mn_task_set_size(set, MN_TEST), 1); /* b has no row of it */
    mn_task_set_draw(set, MN_TEST, 0, task);
    assert_true(task->at[MN_QUERY_Y][0] == 3);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
    sample_write("held.csv", bad, strlen(bad));
    assert_refused(&e, "split val has 0 tasks");
    mn_error err = {.message = ""};
    set = open_set(&e);
    assert_int_equal(mn_task_set_check(set, MN_TEST, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "task b has rows of split test, but none of training"));
    mn_task_set_destroy(&set);
}

/* Schools have ids s0 to s9; test rows of a column may have others. */
static void ids_are_the_words_of_training_and_what_only_others_have_is_0(void **state)
{
    mn_experiment e = write_tasks();
    uint32_t n_unknown = 0, of_school[10] = {0}, last = 0;
    (void)state;
    (void)strcpy(e.tasks.id_column, "school");
    mn_task_set *set = open_set(&e);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        mn_task *task = new_task(set, split);
        assert_int_equal(task->fields.vocabulary, 7); /* 6 of 10 schools, and 0 */
        for (uint64_t index = 0; index < 60; index++) {
            mn_task_set_draw(set, split, index, task);
            const uint32_t school = (uint32_t)(task->title[1] - '0');
            for (mn_role role = MN_SUPPORT; role <= MN_QUERY; role++)
                for (uint32_t i = 0; i < mn_fields_find(&task->fields, role, "id")->n; i++) {
                    const uint32_t id = (uint32_t)mn_task_find(task, role, "id")[i];
                    assert_true((id > 0) == (split == MN_TRAIN) && id < 7);
                    assert_true(split != MN_TRAIN || of_school[school] == 0 ||
                                of_school[school] == id);
                    n_unknown += id == 0;
                    if (id > 0)
                        of_school[school] = id;
                }
        }
        mn_task_destroy(&task);
    }
    assert_true(n_unknown > 0);
    for (uint32_t school = 0; school < 10; school++)
        if (of_school[school] > 0) { /* in their order, without a gap */
            assert_int_equal(of_school[school], last + 1);
            last++;
        }
    assert_int_equal(last, 6);
    mn_task_set_destroy(&set);
}

/* A task's rows lose an id together, tasks one by one; what is drawn is the same. */
static void hidden_ids_are_those_of_whole_tasks_of_training(void **state)
{
    mn_experiment e = write_tasks();
    uint32_t n_hidden = 0;
    (void)state;
    (void)strcpy(e.tasks.id_column, "school");
    mn_task_set *told = open_set(&e);
    e.tasks.hidden_ids = 0.25;
    mn_task_set *set = open_set(&e);
    mn_task *task = new_task(set, MN_TRAIN), *other = new_task(told, MN_TRAIN);
    for (uint64_t index = 0; index < 400; index++) {
        mn_task_set_draw(set, MN_TRAIN, index, task);
        mn_task_set_draw(told, MN_TRAIN, index, other);
        assert_memory_equal(task->at[MN_QUERY_X], other->at[MN_QUERY_X], 3 * sizeof(float));
        const float *shown = mn_task_find(task, MN_SUPPORT, "id");
        const float *asked = mn_task_find(task, MN_QUERY, "id");
        assert_true(shown[0] == shown[1] && shown[0] == asked[0] && shown[0] == asked[2]);
        assert_true(shown[0] == 0 || shown[0] == mn_task_find(other, MN_SUPPORT, "id")[0]);
        n_hidden += shown[0] == 0;
    }
    assert_in_range(n_hidden, 75, 125);
    mn_task_destroy(&task);
    mn_task_destroy(&other);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&told);
}

static void ids_that_are_none_are_refused(void **state)
{
    mn_experiment e = write_tasks();
    (void)state;
    e.tasks.hidden_ids = 0.5;
    assert_refused(&e, "tasks.hidden_ids hides ids, but there are none: name their column");
    e.tasks.hidden_ids = 0;
    (void)strcpy(e.tasks.id_column, "pupil");
    assert_refused(&e, "no column \"pupil\"");
    (void)strcpy(e.tasks.id_column, "school");
    (void)strcpy(e.tasks.columns, "school, x");
    assert_refused(&e, "\"school\" is no feature");
    e = write_classes();
    char text[] = "kind,c,r,one,set,who\nk0,1,1,1,train,\nk1,1,1,1,train,ann\n";
    sample_write("classes.csv", text, strlen(text));
    (void)strcpy(e.tasks.id_column, "who");
    assert_refused(&e, "row 1, column who (tasks.id_column): \"\" is no id: expected a word or a "
                       "number of 1 to 63 bytes");
}

static void settings_that_fit_no_table_are_refused_with_what_to_do(void **state)
{
    mn_experiment e = write_classes();
    (void)state;
    e.tasks.way = 6;
    assert_refused(&e, "split val has 5 classes, but its tasks have 6");
    e = write_classes();
    e.tasks.shot = 4;
    assert_refused(&e,
                   "10 classes of split train have fewer rows than shot + query, 7: k00 6, k01 6");
    e = write_classes();
    (void)strcpy(e.tasks.class_column, "sort");
    assert_refused(&e,
                   "no column \"sort\": expected a number from 1 to 5 or one of kind, c, r, one");
    e = write_classes();
    (void)strcpy(e.tasks.columns, "c, kind");
    assert_refused(&e, "\"kind\" is no feature");
    e = write_classes();
    (void)strcpy(e.tasks.split_column, "one");
    assert_refused(&e, "row 1: \"1\" is no split");
    e = write_classes();
    e.tasks.columns[0] = '\0';
    e.tasks.split_column[0] = '\0';
    assert_refused(&e, "column set: \"train\": expected a finite number");
    e = write_classes();
    (void)strcpy(e.tasks.table, "none.csv");
    assert_refused(&e, "no file none.csv");
    (void)strcpy(e.tasks.table, "../classes.csv");
    assert_refused(&e, "expected files below the folders");
    e = write_classes();
    e.tasks.shares.at[0] = 60;
    assert_refused(&e, "tasks.shares: expected three whole numbers that make 100");
    e = write_classes();
    (void)strcpy(e.tasks.y_column, "r");
    assert_refused(&e, "either tasks.class_column");
    e = write_tasks();
    e.tasks.query = 8;
    assert_refused(&e, "have fewer rows than query + 1, 9: s");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_has_rows_of_distinct_classes_of_its_split_none_twice),
        TEST(features_are_standardised_by_the_training_rows_alone),
        TEST(shares_are_drawn_by_seed_and_name_whatever_the_order_of_the_rows),
        TEST(a_list_says_which_classes_are_for_what),
        TEST(other_data_than_the_coordinators_is_refused),
        TEST(a_regression_task_is_of_one_task_and_asks_for_rows_that_it_does_not_show),
        TEST(rows_that_are_held_out_are_each_asked_for_once),
        TEST(rows_may_be_held_out_by_a_column_if_each_task_has_others),
        TEST(ids_are_the_words_of_training_and_what_only_others_have_is_0),
        TEST(hidden_ids_are_those_of_whole_tasks_of_training),
        TEST(ids_that_are_none_are_refused),
        TEST(settings_that_fit_no_table_are_refused_with_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
