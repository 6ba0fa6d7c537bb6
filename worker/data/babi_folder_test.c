#include "worker/data/babi_folder.h"

#include "worker/data/import/sample_data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void make(const char *folder)
{
    if (mkdir(folder, 0700) != 0)
        fail_msg("cannot make %s", folder);
}

static void touch(const char *folder, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    sample_write(path, "", 0);
}

static void add_set(const char *folder, unsigned number)
{
    char name[64];
    (void)snprintf(name, sizeof name, "qa%u_made-up_train.txt", number);
    touch(folder, name);
    (void)snprintf(name, sizeof name, "qa%u_made-up_test.txt", number);
    touch(folder, name);
}

/* The sets found: "1,2,10". */
static const char *found(const char *name, const char *folders, const char *wanted)
{
    static char text[512];
    mn_babi_folder folder;
    mn_error err = {0};
    size_t at = 0;
    if (mn_babi_folder_find(name, folders, wanted, &folder, &err) != MN_OK)
        fail_msg("%s", err.message);
    for (uint32_t i = 0; i < folder.n; i++) {
        char expected[64];
        const unsigned number = (unsigned)folder.sets[i].number;
        (void)snprintf(expected, sizeof expected, "/qa%u_made-up_train.txt", number);
        assert_non_null(strstr(folder.sets[i].train, expected));
        (void)snprintf(expected, sizeof expected, "/qa%u_made-up_test.txt", number);
        assert_non_null(strstr(folder.sets[i].test, expected));
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%u", i > 0 ? "," : "", number);
    }
    mn_babi_folder_fini(&folder);
    return text;
}

static void refused(const char *name, const char *wanted, mn_status expected, const char *words)
{
    mn_babi_folder folder;
    mn_error err = {0};
    const mn_status status = mn_babi_folder_find(name, ".:elsewhere", wanted, &folder, &err);
    if (status != expected || strstr(err.message, words) == NULL)
        fail_msg("%s, %s: status %d, \"%s\" does not say %s", name, wanted, (int)status,
                 err.message, words);
    assert_int_equal(folder.n, 0);
}

static void sets_are_in_the_order_of_their_numbers(void **state)
{
    (void)state;
    make("en");
    add_set("en", 10);
    add_set("en", 2);
    add_set("en", 64);
    add_set("en", 1);
    touch("en", "LICENSE.txt");
    touch("en", "qa65_too-many_train.txt"); /* and what else is called almost so */
    touch("en", "qa_no-number_train.txt");
    touch("en", "qa3_made-up_valid.txt");
    assert_string_equal(found("en", ".", "all"), "1,2,10,64");
}

static void sets_are_chosen_by_number_and_range(void **state)
{
    (void)state;
    make("en");
    for (unsigned i = 1; i <= 20; i++)
        add_set("en", i);
    assert_string_equal(found("en", ".", "3"), "3");
    assert_string_equal(found("en", ".", "19-20,1-3,7"), "1,2,3,7,19,20");
    assert_string_equal(found("en", ".", "2,2-2"), "2");
    refused("en", "20-21", MN_ERR_NO_INPUT, "qa21_..._train.txt, which tasks.stories 20-21");
}

static void a_list_of_sets_that_makes_no_sense_is_refused(void **state)
{
    static const char *const lists[] = {"",   "0",    "65",  "3-2", "1,",    ",1",          "1-",
                                        "-1", "one",  "1 2", "1;2", "1-2-3", "99999999999", "+1",
                                        " 1", "1, 2", "ALL"};
    (void)state;
    make("en");
    add_set("en", 1);
    add_set("en", 2);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        refused("en", lists[i], MN_ERR_CONFIG, "expected \"all\", or numbers of sets from 1 to 64");
}

static void a_folder_is_looked_for_in_each_place_and_below_its_babi(void **state)
{
    (void)state;
    make("first");
    make("second");
    make("second/babi");
    make("second/babi/en");
    add_set("second/babi/en", 4);
    assert_string_equal(found("en", "nowhere:first:second", "all"), "4");
    assert_string_equal(found("en", "::second:", "all"), "4");
    make("first/en");
    add_set("first/en", 5);
    assert_string_equal(found("en", "first:second", "all"), "5"); /* the first that has it */
    assert_string_equal(found("en", "second:first", "all"), "4");
}

static void a_training_file_brings_its_test_along(void **state)
{
    (void)state;
    add_set(".", 7);
    add_set(".", 8);
    assert_string_equal(found("qa7_made-up_train.txt", ".", "all"), "7");
    refused("qa7_made-up_test.txt", "all", MN_ERR_CONFIG, "expected one that is called");
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    refused("en", "all", MN_ERR_NO_INPUT, "looked in .:elsewhere");
    refused("../en", "all", MN_ERR_CONFIG, "without the folders above it");
    refused("", "all", MN_ERR_CONFIG, "expected the name of a folder");
    refused("..", "all", MN_ERR_CONFIG, "expected the name of a folder");
    make("en");
    refused("en", "all", MN_ERR_NO_INPUT, "has no files qaN_..._train.txt");
    add_set("en", 1);
    touch("en", "qa2_made-up_train.txt");
    refused("en", "all", MN_ERR_NO_INPUT,
            "no file qa2_..._test.txt; get it, or leave set 2 out by tasks.stories=1;");
    assert_string_equal(found("en", ".", "1"), "1"); /* as it is not asked for */
    touch("en", "qa3_made-up_test.txt");
    refused("en", "3", MN_ERR_NO_INPUT, "no file qa3_..._train.txt");
    touch("en", "qa1_again_train.txt");
    refused("en", "1", MN_ERR_DATA, "are both set 1");
}

static void lists_of_sets_read_as_they_are_asked_for(void **state)
{
    (void)state;
    char list[MN_BABI_LIST_SIZE];
    mn_babi_list_sets(0, list);
    assert_string_equal(list, "");
    mn_babi_list_sets(0x800000000000005bull, list);
    assert_string_equal(list, "1-2,4-5,7,64");
    mn_babi_list_sets(UINT64_MAX, list);
    assert_string_equal(list, "1-64");
    mn_babi_list_sets(0x5555555555555555ull, list); /* as long as they come */
    assert_string_equal(list, "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,39,41,43,45,47,"
                              "49,51,53,55,57,59,61,63");
    mn_babi_list_sets(0xdb6db6db6db6db6dull, list);
    assert_true(strlen(list) < MN_BABI_LIST_SIZE - 1 && strstr(list, ",63-64") != NULL);
}

#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(sets_are_in_the_order_of_their_numbers),
        IN_FOLDER(sets_are_chosen_by_number_and_range),
        IN_FOLDER(a_list_of_sets_that_makes_no_sense_is_refused),
        IN_FOLDER(a_folder_is_looked_for_in_each_place_and_below_its_babi),
        IN_FOLDER(a_training_file_brings_its_test_along),
        IN_FOLDER(what_is_missing_is_named),
        cmocka_unit_test(lists_of_sets_read_as_they_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
