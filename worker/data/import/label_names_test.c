#include "worker/data/import/label_names.h"

#include "worker/data/import/sample_data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_label_names names, groups;
static mn_error err;

static mn_status read_text(const char *text)
{
    sample_write("n.txt", text, strlen(text));
    return mn_label_names_read("n.txt", &names, &groups, &err);
}

static void assert_refused(const char *text, const char *words)
{
    assert_int_equal(read_text(text), MN_ERR_DATA);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, words);
    assert_int_equal(names.n, 0);
}

static void a_name_a_line_is_of_labels_in_order(void **state)
{
    (void)state;
    assert_int_equal(read_text("\xef\xbb\xbfzero\r\none\r\n\r\n\n"), MN_OK);
    assert_int_equal(names.n, 2);
    assert_string_equal(names.names[0], "zero");
    assert_string_equal(names.names[1], "one");
    assert_null(names.groups[1]);
    mn_label_names_fini(&names);
    sample_write("g.txt", "first\nsecond", 12);
    assert_int_equal(mn_label_names_read("n.txt,g.txt", &names, &groups, &err), MN_OK);
    assert_int_equal(names.n, 2);
    assert_string_equal(groups.names[1], "second");
    mn_label_names_fini(&names);
    mn_label_names_fini(&groups);
}

static void a_table_gives_labels_names_and_groups_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(read_text("split\tclass\tcoarse\tlabel\nx\tb\tB\t3\ny\ta\tA\t0\n"), MN_OK);
    assert_int_equal(names.n, 4);
    assert_string_equal(names.names[3], "b");
    assert_string_equal(names.groups[3], "B");
    assert_string_equal(names.names[0], "a");
    assert_null(names.names[1]);
    mn_label_names_fini(&names);
}

static void what_names_nothing_or_twice_is_told_with_its_line(void **state)
{
    (void)state;
    assert_refused("", "names no class");
    assert_refused("a\nb\na\n", "labels 0 and 2 are both called a");
    assert_refused("a\n\nb\n", "n.txt:3: an empty line before");
    assert_refused("a\nx/y\n", "n.txt:2: \"x/y\" is no name");
    assert_refused("a\n\x01\n", "n.txt:2: \"?\" is no name");
    assert_refused("id\tcolour\n0\ta\n", "n.txt:1: expected names of columns");
    assert_refused("id\tname\n0\ta\n0\tb\n", "n.txt:3: label 0 is named a second time");
    assert_refused("id\tname\n-1\ta\n", "n.txt:2: expected a label");
    assert_refused("id\tname\n4294967296\ta\n", "n.txt:2: expected a label");
    assert_refused("id\tname\n7\n", "n.txt:2: expected a label");
    char long_name[300];
    memset(long_name, 'a', sizeof long_name);
    long_name[299] = '\0';
    assert_refused(long_name, "n.txt:1:");
    assert_int_equal(mn_label_names_read("nowhere", &names, &groups, &err), MN_ERR_NO_INPUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_a_line_is_of_labels_in_order),
        TEST(a_table_gives_labels_names_and_groups_in_any_order),
        TEST(what_names_nothing_or_twice_is_told_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
