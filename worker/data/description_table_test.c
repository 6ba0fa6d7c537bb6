#include "worker/data/description_table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

static mn_status parse(const char *text, const char *classes, const char *predicates,
                       mn_description_table *out, mn_error *err)
{
    const char *const all[] = {text, classes, predicates};
    static const char *const sources[] = {"animals.csv", "classes.txt", "predicates.txt"};
    mn_description_text texts[3];
    for (int i = 0; i < 3; i++)
        texts[i] = (mn_description_text){sources[i], all[i], all[i] == NULL ? 0 : strlen(all[i])};
    return mn_description_table_parse(texts, out, err);
}

static void expect_table(const char *text)
{
    mn_description_table table;
    mn_error err = {.message = ""};
    if (parse(text, NULL, NULL, &table, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(table.n_classes, 2);
    assert_int_equal(table.n_attributes, 2);
    assert_string_equal(table.attributes[1], "big");
    assert_int_equal(mn_description_table_find(&table, "fox"), 1);
    assert_int_equal(mn_description_table_find(&table, "wolf"), UINT32_MAX);
    assert_true(table.at[0] == 80.5f && isnan(table.at[1]) && table.at[2] == 0 &&
                table.at[3] == -1);
    mn_description_table_fini(&table);
}

static void a_table_has_a_header_and_a_class_a_line(void **state)
{
    (void)state;
    expect_table("class,stripes,big\ntiger,80.5,?\nfox,0,-1\n");
    expect_table("class,stripes,big\ntiger,80.5,\nfox,0,-1"); /* the last field may be empty */
    expect_table("\xef\xbb\xbf\"class\"; stripes ;big\r\n\r\ntiger;8.05e1;?\r\nfox;0;-1\r\n");
    expect_table("class\tstripes\tbig\n\n tiger \t80.5\t\nfox\t0\t-1\n");
}

static void a_matrix_has_its_names_beside_it(void **state)
{
    mn_description_table table;
    mn_error err = {.message = ""};
    (void)state;
    assert_int_equal(parse("  80.50   -1.00\n   0.00  12.00\n", "   1\ttiger\n   2\tfox\n",
                           "1 stripes\n2 big\n", &table, &err),
                     MN_OK);
    assert_int_equal(mn_description_table_find(&table, "fox"), 1);
    assert_string_equal(table.attributes[0], "stripes");
    assert_true(table.at[0] == 80.5f && isnan(table.at[1]) && table.at[3] == 12);
    const mn_digest digest = table.digest;
    mn_description_table_fini(&table);

    assert_int_equal(
        parse("  80.50   -1.00\n   0.00  12.00\n", "   1\tfox\n   2\ttiger\n", NULL, &table, &err),
        MN_OK);
    assert_string_equal(table.attributes[1], "2");
    assert_memory_not_equal(&digest, &table.digest, sizeof digest); /* the names are data too */
    mn_description_table_fini(&table);
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
    static const struct {
        const char *text, *classes, *predicates, *message;
    } cases[] = {
        {"", NULL, NULL, "animals.csv: nothing in it: expected a header"},
        {"class\n", NULL, NULL, "animals.csv:1: column 1: \"class\": expected a header"},
        {"class,big\n", NULL, NULL, "animals.csv: no class is described"},
        {"class,big\nfox,nan\n", NULL, NULL,
         "animals.csv:2: column 2: \"nan\": expected a finite number, as 0.5, or ?"},
        {"class,big\nfox,1e40\n", NULL, NULL,
         "animals.csv:2: column 2: \"1e40\": expected a finite"},
        {"class,big\n\nfox,0x10\n", NULL, NULL, "animals.csv:3: column 2: \"0x10\": expected"},
        {"class,big\nfox,1,2\n", NULL, NULL,
         "animals.csv:2: 3 columns: expected 2 as in the first line"},
        {"class,big\nfox\n", NULL, NULL, "animals.csv:2: 1 columns: expected 2"},
        {"class,big\n,1\n", NULL, NULL, "animals.csv:2: column 1: \"\": expected a name"},
        {"class,big\nfox,1\nfox,2\n", NULL, NULL, "animals.csv: class fox is described twice"},
        {"fox,1\n", NULL, NULL,
         "animals.csv:1: column 2: \"1\": expected the name of an attribute"},
        {"1 2\n", NULL, NULL, "a matrix of numbers without names: expected classes.txt beside it"},
        {"1 2\n3\n", "1 a\n2 b\n", NULL, "animals.csv:2: 1 columns: expected 2 as"},
        {"1 2\n3 x\n", "1 a\n2 b\n", NULL,
         "animals.csv:2: column 2: \"x\": expected a finite number, as 38.09, or -1"},
        {"1 2\n", "1 a\n2 b\n", NULL, "classes.txt: 2 names, but the matrix has 1 rows"},
        {"1 2\n", "1 a\n", "1 b\n", "predicates.txt: 1 names, but the matrix has 2 columns"},
        {"1 2\n", "2 a\n", NULL, "classes.txt:1: column 1: \"2\": expected lines NUMBER NAME"},
        {"1 2\n", "1\n", NULL, "classes.txt:1: column 1: \"1\": expected a name behind"},
        {"1 2\n", "1 a b\n", NULL, "classes.txt:1: column 3: \"b\": expected one name without"},
        {"1\n2\n", "1 a\n2 a\n", NULL, "classes.txt: class a is described twice"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_description_table table;
        mn_error err = {.message = ""};
        assert_int_equal(parse(cases[i].text, cases[i].classes, cases[i].predicates, &table, &err),
                         MN_ERR_DATA);
        if (strstr(err.message, cases[i].message) == NULL)
            fail_msg("not \"%s\": %s", cases[i].message, err.message);
        assert_null(table.at);
        assert_null(table.classes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_has_a_header_and_a_class_a_line),
        cmocka_unit_test(a_matrix_has_its_names_beside_it),
        cmocka_unit_test(what_is_wrong_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
