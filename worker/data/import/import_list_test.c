#include "worker/data/import/import_list.h"

#include "worker/data/import/sample_data.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void add(mn_import_list *list, const char *group, const char *class_name, const char *file,
                uint32_t part)
{
    assert_int_equal(
        mn_import_list_add(list, group, class_name, file, part, 0, 0, NULL, "here", NULL), MN_OK);
}

/* 12 groups in part 0, one in part 1, with two classes each, added backwards. */
static mn_import_list many(void)
{
    mn_import_list list = {0};
    for (int g = 12; g >= 0; g--)
        for (int c = 1; c >= 0; c--)
            for (int i = 2; i >= 0; i--) {
                char group[16], class_name[16], file[16];
                (void)snprintf(group, sizeof group, g == 12 ? "A last" : "g%02d", g);
                (void)snprintf(class_name, sizeof class_name, "c%d", c);
                (void)snprintf(file, sizeof file, "%d.png", i);
                add(&list, group, class_name, file, g == 12);
            }
    assert_int_equal(mn_import_list_arrange(&list, "here", "", NULL), MN_OK);
    return list;
}

static void pictures_are_sorted_into_groups_and_classes(void **state)
{
    (void)state;
    mn_import_list list = many();
    mn_pack_index index = mn_import_list_index(&list, 28, 1);
    assert_int_equal(index.n_images, 78);
    assert_int_equal(index.n_classes, 26);
    assert_int_equal(index.n_groups, 13);
    assert_string_equal(index.groups[0], "g00");
    assert_string_equal(index.groups[12], "A last"); /* part 1 comes last, whatever its name */
    for (uint32_t i = 0; i < 26; i++) {
        assert_int_equal(index.classes[i].group, i / 2);
        assert_string_equal(index.classes[i].name, i % 2 ? "c1" : "c0");
        assert_int_equal(index.classes[i].first_image, 3 * i);
        assert_int_equal(index.classes[i].n_images, 3);
    }
    assert_string_equal(list.items[77].name, "A last/c1/2.png");
    mn_import_list_fini(&list);
}

static void names_that_could_harm_are_refused(void **state)
{
    (void)state;
    char longest[MN_PACK_MAX_NAME + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *const bad[] = {"", ".", "..", "a/b", "a\\b", "a\nb", "\033[2J", longest};
    mn_import_list list = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int place = 0; place < 3; place++) {
            mn_error err;
            assert_int_equal(
                mn_import_list_add(&list, place == 0 ? bad[i] : "g", place == 1 ? bad[i] : "c",
                                   place == 2 ? bad[i] : "f", 0, 0, 0, NULL, "x.zip", &err),
                MN_ERR_DATA);
            assert_non_null(strstr(err.message, "x.zip"));
        }
    longest[MN_PACK_MAX_NAME] = '\0';
    add(&list, longest, "c", "f", 0);
    assert_int_equal(list.n_items, 1);
    mn_import_list_fini(&list);
}

static void nothing_and_twins_are_refused(void **state)
{
    (void)state;
    mn_import_list none = {0}, picture = {0}, class = {0};
    mn_error err;
    assert_int_equal(mn_import_list_arrange(&none, "x.zip", "give each archive once", &err),
                     MN_ERR_DATA);
    assert_string_equal(err.message, "x.zip: no picture to take in it");
    add(&picture, "g", "c", "f", 0);
    add(&picture, "g", "c", "f", 0);
    assert_int_equal(mn_import_list_arrange(&picture, "x.zip", "give each archive once", &err),
                     MN_ERR_DATA);
    assert_non_null(strstr(err.message, "picture g/c/f is there twice"));
    add(&class, "g", "c", "f", 0);
    add(&class, "g", "c", "f2", 1);
    assert_int_equal(mn_import_list_arrange(&class, "x.zip", "give each archive once", &err),
                     MN_ERR_DATA);
    assert_non_null(strstr(err.message, "class g/c is there twice"));
    mn_import_list_fini(&none);
    mn_import_list_fini(&picture);
    mn_import_list_fini(&class);
}

static void by_part_the_last_sixth_of_part_0_is_val_and_part_1_is_test(void **state)
{
    (void)state;
    mn_import_list list = many();
    assert_int_equal(mn_import_list_split_by_part(&list, MN_VAL_SIXTH, NULL), MN_OK);
    assert_int_equal(list.n_entries[MN_TRAIN], 10 * 2 * 4);
    assert_int_equal(list.n_entries[MN_VAL], 2 * 2 * 4);
    assert_int_equal(list.n_entries[MN_TEST], 2 * 4);
    assert_int_equal(list.entries[MN_VAL][0].class_number, 20);
    assert_int_equal(list.entries[MN_TEST][7].class_number, 25);
    assert_int_equal(list.entries[MN_TEST][7].quarter_turns, 3);
    mn_import_list_fini(&list);
}

static void classes_are_shared_out_by_their_names_and_a_seed(void **state)
{
    (void)state;
    static const double shares[] = {0.5, 0.2, 0.3};
    mn_import_list list = many(), again = many(), other = many();
    assert_int_equal(mn_import_list_split_shared(&list, shares, 1, true, NULL), MN_OK);
    assert_int_equal(mn_import_list_split_shared(&again, shares, 1, true, NULL), MN_OK);
    assert_int_equal(mn_import_list_split_shared(&other, shares, 2, true, NULL), MN_OK);
    assert_int_equal(list.n_entries[MN_VAL], 5 * 4);
    assert_int_equal(list.n_entries[MN_TEST], 8 * 4);
    assert_int_equal(list.n_entries[MN_TRAIN], 13 * 4);
    int seen[26] = {0};
    for (int split = 0; split < MN_N_SPLITS; split++)
        for (uint32_t i = 0; i < list.n_entries[split]; i++)
            seen[list.entries[split][i].class_number]++;
    for (int i = 0; i < 26; i++)
        assert_int_equal(seen[i], 4);
    size_t bytes = 8 * 4 * sizeof(mn_pack_entry);
    assert_memory_equal(list.entries[MN_TEST], again.entries[MN_TEST], bytes);
    assert_memory_not_equal(list.entries[MN_TEST], other.entries[MN_TEST], bytes);

    static const double percent[] = {50, 20, 30}, all_test[] = {0, 0, 1};
    assert_int_equal(mn_import_list_split_shared(&again, percent, 1, false, NULL), MN_OK);
    assert_int_equal(again.n_entries[MN_TEST], 8); /* upright only */
    assert_int_equal(again.entries[MN_TEST][1].quarter_turns, 0);
    assert_int_equal(mn_import_list_split_shared(&again, all_test, 1, false, NULL), MN_OK);
    assert_int_equal(again.n_entries[MN_TEST], 26);
    static const double bad[][3] = {{0, 0, 0}, {-0.1, 0.5, 0.6}, {NAN, 0, 1}, {INFINITY, 0, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mn_import_list_split_shared(&list, bad[i], 1, true, NULL), MN_ERR_USAGE);
    mn_import_list_fini(&list);
    mn_import_list_fini(&again);
    mn_import_list_fini(&other);
}

static void a_new_class_moves_few_others(void **state)
{
    (void)state;
    static const double shares[] = {0.5, 0, 0.5};
    mn_import_list before = many(), after = {0};
    for (uint32_t i = 0; i < before.n_items; i++) {
        char group[16], class_name[16];
        assert_int_equal(sscanf(before.items[i].name, "%15[^/]/%15[^/]", group, class_name), 2);
        add(&after, group, class_name, strrchr(before.items[i].name, '/') + 1, 0);
    }
    add(&after, "a new group", "x", "1.png", 0);
    assert_int_equal(mn_import_list_arrange(&after, "here", "", NULL), MN_OK);
    assert_int_equal(mn_import_list_split_shared(&before, shares, 1, false, NULL), MN_OK);
    assert_int_equal(mn_import_list_split_shared(&after, shares, 1, false, NULL), MN_OK);
    uint32_t stayed = 0;
    for (uint32_t i = 0; i < before.n_entries[MN_TEST]; i++)
        for (uint32_t j = 0; j < after.n_entries[MN_TEST]; j++) {
            const mn_pack_class *a = &before.classes[before.entries[MN_TEST][i].class_number];
            const mn_pack_class *b = &after.classes[after.entries[MN_TEST][j].class_number];
            stayed += strcmp(a->name, b->name) == 0 &&
                      strcmp(before.groups[a->group], after.groups[b->group]) == 0;
        }
    assert_true(stayed + 1 >= before.n_entries[MN_TEST]);
    mn_import_list_fini(&before);
    mn_import_list_fini(&after);
}

static void parts_may_be_splits(void **state)
{
    (void)state;
    mn_import_list list = {0}, twins = {0};
    mn_error err;
    add(&list, "all", "z", "1", 0);
    add(&list, "all", "a", "1", 2);
    assert_int_equal(mn_import_list_arrange(&list, "here", "", NULL), MN_OK);
    assert_int_equal(mn_import_list_split_as_parts(&list, false, NULL), MN_OK);
    assert_int_equal(list.n_entries[MN_TRAIN], 1);
    assert_int_equal(list.n_entries[MN_VAL], 0);
    assert_string_equal(list.classes[list.entries[MN_TEST][0].class_number].name, "a");
    for (uint32_t part = 0; part < 3; part++) {
        add(&twins, "all", "a", "1", part);
        add(&twins, "all", "b", "1", part);
    }
    assert_int_equal(mn_import_list_arrange(&twins, "here", "move them", &err), MN_ERR_DATA);
    assert_string_equal(err.message, "here: class all/a is there twice (and 1 more); move them");
    mn_import_list_fini(&list);
    mn_import_list_fini(&twins);
}

static void small_classes_are_left_out_and_counted(void **state)
{
    (void)state;
    mn_import_list list = {0};
    mn_import_report report = {0};
    for (char file[] = "1"; file[0] <= '4'; file[0]++) {
        add(&list, "g", "four", file, 0);
        if (file[0] <= '3')
            add(&list, "g", "three", file, 0);
        if (file[0] <= '1')
            add(&list, "h", "one", file, 0);
    }
    mn_import_list_leave_small(&list, 4, &report);
    assert_int_equal(list.n_items, 4);
    assert_int_equal(report.n_reasons, 1);
    assert_int_equal(report.left[0].n, 2);
    assert_string_equal(report.left[0].first, "g/three");
    mn_import_list_leave_small(&list, 5, &report);
    assert_int_equal(list.n_items, 0);
    mn_import_list_leave_small(&list, 5, &report);
    mn_import_list_fini(&list);
}

static const char *const three_lists[] = {"lists/train.txt", "lists/val.txt", "lists/test.txt"};

static void write_lists(const char *train, const char *val, const char *test)
{
    (void)mkdir("lists", 0777);
    sample_write("lists/train.txt", train, strlen(train));
    sample_write("lists/val.txt", val, strlen(val));
    sample_write("lists/test.txt", test, strlen(test));
}

static void lists_name_classes_and_their_rotations(void **state)
{
    (void)state;
    mn_import_list list = many();
    write_lists("g00/c0/rot000\ng00/c0/rot090\n\n", "g11/c1/rot180\r\n", "A last/c0/rot270");
    assert_int_equal(mn_import_list_split_read(&list, three_lists, false, true, NULL), MN_OK);
    assert_int_equal(list.n_entries[MN_TRAIN], 2);
    assert_int_equal(list.entries[MN_TRAIN][1].class_number, 0);
    assert_int_equal(list.entries[MN_TRAIN][1].quarter_turns, 1);
    assert_int_equal(list.entries[MN_VAL][0].class_number, 23);
    assert_int_equal(list.entries[MN_VAL][0].quarter_turns, 2);
    assert_int_equal(list.entries[MN_TEST][0].class_number, 24);
    assert_int_equal(list.entries[MN_TEST][0].quarter_turns, 3);
    mn_import_list_fini(&list);
}

static void a_bad_line_is_told_with_file_and_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"g00/c9/rot000", "zzz/c0/rot000",  "g00/c0",
                                      "g00",           "g00/c0/rot045",  "/",
                                      "\033[2J/",      "g00/c0/rot000/", "g00/c0/rot000 "};
    mn_import_list list = many();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[100];
        mn_error err;
        (void)snprintf(text, sizeof text, "g00/c0/rot000\n%s\n", bad[i]);
        write_lists("g00/c0/rot000\n", text, "g00/c0/rot000\n");
        assert_int_equal(mn_import_list_split_read(&list, three_lists, false, true, &err),
                         MN_ERR_DATA);
        assert_non_null(strstr(err.message, "lists/val.txt:2"));
        assert_null(strchr(err.message, '\033'));
    }
    mn_error err;
    write_lists("g00/c0/rot000\n", "\n", "g00/c0/rot000\n");
    assert_int_equal(mn_import_list_split_read(&list, three_lists, false, true, &err), MN_ERR_DATA);
    const char *const nowhere[] = {NULL, "nowhere/val.txt", NULL};
    assert_int_equal(mn_import_list_split_read(&list, nowhere, false, true, &err), MN_ERR_NO_INPUT);
    mn_import_list_fini(&list);
}

static void plain_lists_name_classes_with_or_without_their_group(void **state)
{
    (void)state;
    mn_import_list list = {0};
    mn_error err;
    add(&list, "all", "cat", "1", 0);
    add(&list, "all", "dog", "1", 0);
    add(&list, "birds:of prey", "owl", "1", 0);
    add(&list, "birds", "owl", "1", 0);
    assert_int_equal(mn_import_list_arrange(&list, "here", "", NULL), MN_OK);
    write_lists("# mine\ncat\r\nbirds/of prey/owl\n", "birds/owl", "all/dog/rot180\n");
    assert_int_equal(mn_import_list_split_read(&list, three_lists, true, false, &err), MN_OK);
    assert_int_equal(list.n_entries[MN_TRAIN], 2);
    assert_string_equal(list.classes[list.entries[MN_TRAIN][0].class_number].name, "cat");
    assert_string_equal(list.groups[list.classes[list.entries[MN_TRAIN][1].class_number].group],
                        "birds:of prey");
    assert_int_equal(list.entries[MN_TEST][0].quarter_turns, 2);
    assert_int_equal(mn_import_list_split_read(&list, three_lists, true, true, &err), MN_OK);
    assert_int_equal(list.n_entries[MN_TRAIN], 8);

    static const char *const bad[][2] = {
        {"owl\n", "lists/val.txt:1: \"owl\" is not class"},
        {"lion\n", "lists/val.txt:1"},
        {"dog\ncat\n", "class all/cat is on the lists of train"},
        {"dog\ndog\n", "class all/dog is twice on the list of val"},
        {"# none\n", "lists/val.txt names no class"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_lists("cat\n", bad[i][0], "birds/owl\n");
        assert_int_equal(mn_import_list_split_read(&list, three_lists, true, false, &err),
                         MN_ERR_DATA);
        if (strstr(err.message, bad[i][1]) == NULL)
            fail_msg("%s", err.message);
    }
    mn_import_list_fini(&list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_sorted_into_groups_and_classes),
        cmocka_unit_test(names_that_could_harm_are_refused),
        cmocka_unit_test(nothing_and_twins_are_refused),
        cmocka_unit_test(by_part_the_last_sixth_of_part_0_is_val_and_part_1_is_test),
        cmocka_unit_test(classes_are_shared_out_by_their_names_and_a_seed),
        cmocka_unit_test(a_new_class_moves_few_others),
        cmocka_unit_test(parts_may_be_splits),
        cmocka_unit_test(small_classes_are_left_out_and_counted),
        TEST(lists_name_classes_and_their_rotations),
        TEST(a_bad_line_is_told_with_file_and_line),
        TEST(plain_lists_name_classes_with_or_without_their_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
