#include "worker/data/number_table.h"

#include "common/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/number_table_test.XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL && chdir(folder) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink("p.csv");
    return chdir("/") == 0 ? rmdir(folder) : -1;
}

static mn_status parse_bytes(const char *bytes, size_t n, mn_number_table *out, mn_error *err)
{
    assert_int_equal(mn_file_write("p.csv", bytes, n, NULL), MN_OK);
    return mn_number_table_read("p.csv", 1, 2, "x, y", out, err);
}

static mn_status parse(const char *text, mn_number_table *out, mn_error *err)
{
    return parse_bytes(text, strlen(text), out, err);
}

static void tables_are_read_as_programs_export_them(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1,2\n-0.5,1e-3\n",
        "1,2\n-0.5,1e-3",
        "x,y\r\n1,2\r\n-0.5,1e-3\r\n",
        "inflation,nanometres\n1,2\n-0.5,1e-3\n",
        "\xef\xbb\xbf\"x\",\"the \"\"y\"\", so\"\n\"1\",\"2\"\n\n \"-0.5\" , 1e-3 \n\n",
        "x;y\n1;2\n-.5;1e-3\n",
        "1\t2\n-0.5\t0.001\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        mn_number_table table;
        mn_error err = {.message = ""};
        if (parse(texts[i], &table, &err) != MN_OK)
            fail_msg("%zu: %s", i, err.message);
        assert_int_equal(table.n_rows, 2);
        assert_int_equal(table.n_columns, 2);
        static const float wanted[] = {1, 2, -0.5f, 1e-3f};
        assert_memory_equal(table.at, wanted, sizeof wanted);
        mn_number_table_fini(&table);
    }
}

static void many_rows_of_one_column_find_room(void **state)
{
    (void)state;
    char *text = malloc(20000);
    size_t n = 0;
    mn_number_table table;
    mn_error err;
    assert_non_null(text);
    for (int i = 0; i < 1000; i++)
        n += (size_t)sprintf(text + n, "%d\n", i);
    assert_int_equal(parse(text, &table, &err), MN_OK);
    assert_int_equal(table.n_rows, 1000);
    assert_true(table.at[999] == 999);
    mn_number_table_fini(&table);
    free(text);
}

static void what_is_no_number_is_told_by_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"1,2\n3,abc\n", "p.csv:2: column 2: \"abc\": expected a finite number"},
        {"x,y\n1,2\nnan,4\n", "p.csv:3: column 1: \"nan\""},
        {"NaN,4\n", "p.csv:1: column 1: \"NaN\""},
        {"-inf,inf\n", "p.csv:1: column 1: \"-inf\""},
        {"1,1e999\n", "p.csv:1: column 2: \"1e999\""},
        {"1,0x10\n", "p.csv:1: column 2: \"0x10\""},
        {"1,2\n3,\n", "p.csv:2: column 2: \"\""},
        {"1,2\n3,", "p.csv:2: column 2: \"\""},
        {"1,2 3\n", "p.csv:1: column 2: \"2 3\""},
        {"1;2,5\n", "p.csv:1: column 1: \"1;2\""},
        {"x,2\n", "p.csv:1: column 1: \"x\""},
        {"x,y\na,b\n", "p.csv:2: column 1: \"a\""},
        {"1,2\n3\n", "p.csv:2: 1 column, but the first line has 2"},
        {"x,y\n\n1,2\n\"3\",z\n", "p.csv:4: column 2: \"z\""},
        {"1,2,3\n", "p.csv:1: 3 columns: expected 1 to 2, separated by commas: x, y"},
        {"1,\"2\n", "p.csv:1: column 2: a quote that does not end"},
        {"\"1\"2,3\n", "p.csv:1: column 1: "},
        {"\x01\x02,2\n", "p.csv:1: column 1: \"\\x01\\x02\""},
        {"", "no row of data"},
        {"x,y\n\n", "no row of data below its header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_number_table table;
        mn_error err = {.message = ""};
        assert_int_equal(parse(cases[i].text, &table, &err), MN_ERR_DATA);
        assert_null(table.at);
        if (strstr(err.message, cases[i].why) == NULL)
            fail_msg("%zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].why);
    }
}

static void long_fields_and_many_columns_are_refused(void **state)
{
    (void)state;
    char text[4000];
    mn_number_table table;
    mn_error err = {.message = ""};
    memset(text, '1', 1000);
    strcpy(text + 1000, ",2\n");
    assert_int_equal(parse(text, &table, &err), MN_ERR_DATA);
    for (size_t i = 0; i < 499; i++)
        memcpy(text + 2 * i, "1,", 3);
    strcat(text, "1");
    assert_int_equal(parse(text, &table, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "500 columns: expected 1 to 2"));
    text[0] = '"';
    memset(text + 1, '1', 900);
    text[901] = '\0';
    assert_int_equal(parse(text, &table, &err), MN_ERR_DATA);
}

static void a_byte_of_zero_ends_no_number(void **state)
{
    (void)state;
    char text[] = "1\0005,2\n";
    mn_number_table table;
    mn_error err = {.message = ""};
    assert_int_equal(parse_bytes(text, sizeof text - 1, &table, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "p.csv:1: column 1: a NUL byte"));
}

static void a_file_that_is_not_there_is_said_so(void **state)
{
    (void)state;
    mn_number_table table;
    mn_error err = {.message = ""};
    assert_int_equal(mn_number_table_read("/nowhere/p.csv", 1, 2, "x, y", &table, &err),
                     MN_ERR_NO_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_read_as_programs_export_them),
        cmocka_unit_test(many_rows_of_one_column_find_room),
        cmocka_unit_test(what_is_no_number_is_told_by_line_and_column),
        cmocka_unit_test(long_fields_and_many_columns_are_refused),
        cmocka_unit_test(a_byte_of_zero_ends_no_number),
        cmocka_unit_test(a_file_that_is_not_there_is_said_so),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
