#include "worker/data/row_form.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *held[8]; /* what tables lie in */
static unsigned n_held;

static mn_data_table read_table(const char *text, mn_header header)
{
    mn_data_table table;
    mn_error err = {.message = ""};
    char *bytes = strdup(text);
    assert_non_null(bytes);
    assert_true(n_held < 8);
    held[n_held++] = bytes;
    if (mn_data_table_parse("t.csv", bytes, strlen(bytes), header, &table, &err) != MN_OK)
        fail_msg("%s", err.message);
    return table;
}

static int drop_held(void **state)
{
    (void)state;
    while (n_held > 0)
        free(held[--n_held]);
    return 0;
}

/* Columns 0 and 2 are features, 1 is asked for; rows 0 to 2 are for training. */
static const char trees[] =
    "size,height,colour,owner\n1,10,red,a\n3,20,blue,b\n5,60,red,c\n100,70,grey,d\n";
static const uint32_t places[] = {0, 2}, training[] = {0, 1, 2};
static const mn_row_plan plan = {
    .n = 2, .places = places, .answer = 1, .words = true, .standardise = true};

static mn_row_form fit(const mn_data_table *table, const mn_row_plan *how)
{
    mn_row_form form;
    mn_error err = {.message = ""};
    if (mn_row_form_fit(table, how, 3, training, &form, &err) != MN_OK)
        fail_msg("%s", err.message);
    return form;
}

static void assert_near(float is, double expected)
{
    if (!(fabs((double)is - expected) < 1e-6 * (1 + fabs(expected))))
        fail_msg("%g instead of %g", (double)is, expected);
}

static void numbers_and_words_are_those_of_the_training_rows(void **state)
{
    mn_data_table table = read_table(trees, MN_HEADER_AUTO);
    mn_row_form form = fit(&table, &plan);
    float x[3], y;
    uint32_t unknown = 0;
    (void)state;
    assert_int_equal(form.width, 3);
    assert_true(form.columns[0].mean == 3 && fabs(form.columns[0].scale - sqrt(8.0 / 3)) < 1e-12);
    assert_true(form.answer.mean == 30);
    assert_int_equal(mn_row_form_x(&form, "t", &table, 1, places, x, &unknown, NULL), MN_OK);
    assert_near(x[0], 0);
    assert_true(x[1] == 1 && x[2] == 0); /* blue before red */
    assert_int_equal(unknown, 0);
    assert_int_equal(mn_row_form_x(&form, "t", &table, 3, places, x, &unknown, NULL), MN_OK);
    assert_near(x[0], 97 / sqrt(8.0 / 3));
    assert_true(x[1] == 0 && x[2] == 0 && unknown == 1); /* grey is none of training */
    assert_int_equal(mn_row_form_y(&form, "t", &table, 3, 1, &y, NULL), MN_OK);
    assert_near(y, 40 / form.answer.scale);
    mn_row_form_fini(&form);
    mn_data_table_fini(&table);
}

static void a_missing_cell_is_refused_or_the_mean(void **state)
{
    mn_data_table table = read_table("a,b,c\n1,1,1\n3,2,5\n,3,\n", MN_HEADER_AUTO);
    mn_row_plan how = plan;
    float x[2];
    uint32_t unknown = 0;
    mn_error err;
    (void)state;
    mn_row_form form = fit(&table, &how);
    assert_true(form.columns[0].mean == 2);
    assert_int_equal(mn_row_form_x(&form, "t", &table, 2, places, x, &unknown, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "row 3, column a: nothing there"));
    mn_row_form_fini(&form);
    how.fills = true;
    form = fit(&table, &how);
    assert_int_equal(mn_row_form_x(&form, "t", &table, 2, places, x, &unknown, &err), MN_OK);
    assert_true(x[0] == 0 && x[1] == 0);
    mn_row_form_fini(&form);
    how.standardise = false;
    form = fit(&table, &how);
    assert_int_equal(mn_row_form_x(&form, "t", &table, 2, places, x, &unknown, &err), MN_OK);
    assert_true(x[0] == 2 && x[1] == 3);
    mn_row_form_fini(&form);
    mn_data_table_fini(&table);
}

static void an_infinite_number_is_no_word_beside_numbers(void **state)
{
    static const char *const tables[] = {"a,b,c\n1,1,1\n-inf,2,5\n2,3,4\n",
                                         "a,b,c\n1,1,1\n1e999,2,5\n2,3,4\n"};
    mn_row_form form;
    mn_error err;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        mn_data_table table = read_table(tables[i], MN_HEADER_AUTO);
        assert_int_equal(mn_row_form_fit(&table, &plan, 3, training, &form, &err), MN_ERR_DATA);
        assert_non_null(strstr(err.message, "row 2, column a: "));
        assert_non_null(strstr(err.message, "expected a finite number; mend the cell"));
        mn_data_table_fini(&table);
    }
    mn_data_table words = read_table("a,b,c\nsup,1,1\ninf,2,5\nsup,3,4\n", MN_HEADER_AUTO);
    form = fit(&words, &plan);
    assert_int_equal(form.columns[0].n_words, 2);
    mn_row_form_fini(&form);
    mn_data_table_fini(&words);
}

static void one_scale_is_the_root_mean_square_of_the_columns_deviations(void **state)
{
    mn_data_table table = read_table("a,b,c\n1,1,7\n3,2,7\n5,3,7\n", MN_HEADER_AUTO);
    mn_row_plan how = plan;
    (void)state;
    how.one_scale = true;
    mn_row_form form = fit(&table, &how); /* c does not vary */
    assert_near((float)form.columns[0].scale, sqrt(8.0 / 3 / 2));
    assert_true(form.columns[0].scale == form.columns[1].scale && form.columns[1].mean == 7);
    assert_near((float)form.answer.scale, sqrt(2.0 / 3));
    mn_row_form_fini(&form);
    how.one_scale = false;
    form = fit(&table, &how);
    assert_true(form.columns[1].scale == 1);
    mn_row_form_fini(&form);
    mn_data_table_fini(&table);
}

static void roots_are_taken_before_the_rest_and_of_no_negative_number(void **state)
{
    mn_data_table table =
        read_table("a,b,c\n4,1,red\n16,2,blue\n4,3,red\n-1,4,red\n", MN_HEADER_AUTO);
    mn_row_plan how = plan;
    float x[3], y;
    uint32_t unknown = 0;
    char *text = NULL;
    mn_row_form again;
    mn_error err = {.message = ""};
    (void)state;
    how.roots = true;
    mn_row_form form = fit(&table, &how);
    assert_true(fabs(form.columns[0].mean - 8.0 / 3) < 1e-12 && form.answer.mean == 2);
    assert_int_equal(mn_row_form_text(&form, &text, NULL), MN_OK);
    assert_int_equal(mn_row_form_parse(text, &again, NULL), MN_OK); /* as it is adapted later */
    assert_int_equal(mn_row_form_x(&again, "t", &table, 1, places, x, &unknown, NULL), MN_OK);
    assert_near(x[0], (4 - 8.0 / 3) / sqrt(8.0 / 9));
    assert_true(x[1] == 1 && x[2] == 0);
    assert_int_equal(mn_row_form_y(&again, "t", &table, 2, 1, &y, NULL), MN_OK);
    assert_near(y, 1 / sqrt(2.0 / 3));
    assert_int_equal(mn_row_form_x(&again, "t", &table, 3, places, x, &unknown, &err), MN_ERR_DATA);
    assert_non_null(
        strstr(err.message, "row 4, column a: \"-1\": expected a number of at least 0"));
    free(text);
    mn_row_form_fini(&form);
    mn_row_form_fini(&again);
    mn_data_table_fini(&table);
}

static void what_is_far_from_the_mean_is_cut_off(void **state)
{
    mn_data_table table = read_table("a,b,c\n1,1,1\n2,1,2\n3,1,3\n1e9,1,-1e9\n", MN_HEADER_AUTO);
    mn_row_form form = fit(&table, &plan), again;
    char *text = NULL;
    float x[2];
    uint32_t unknown = 0;
    mn_error err = {.message = ""};
    (void)state;
    form.farthest = 4;
    assert_int_equal(mn_row_form_text(&form, &text, NULL), MN_OK);
    assert_int_equal(mn_row_form_parse(text, &again, NULL), MN_OK);
    assert_int_equal(mn_row_form_x(&again, "t", &table, 3, places, x, &unknown, &err), MN_OK);
    assert_true(x[0] == 4 && x[1] == -4);
    assert_int_equal(mn_row_form_x(&again, "t", &table, 1, places, x, &unknown, &err), MN_OK);
    assert_true(x[0] == 0 && x[1] == 0);
    free(text);
    mn_row_form_fini(&again);
    mn_row_form_fini(&form);
    mn_data_table_fini(&table);
}

static void what_a_form_cannot_be_made_of_is_told(void **state)
{
    static const struct {
        const char *text, *part;
        bool words;
    } bad[] = {
        {"a,b,c\n1,1,red\n1,1,1\n1,1,1\n", "row 1, column c: \"red\": expected a finite number",
         false},
        {"a,b,c\n1,1,1\n1,1,1\n1,1,\"1,5\"\n", "row 3, column c: \"1,5\"", false},
        {"a,b,c\n,1,1\n,1,1\n?,1,1\n", "column a has no number in any training row", true},
        {"a,b,c\n1,x,1\n1,1,1\n1,1,1\n", "row 1, column b: \"x\"", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mn_data_table table = read_table(bad[i].text, MN_HEADER_AUTO);
        mn_row_plan how = plan;
        mn_row_form form;
        mn_error err = {.message = ""};
        how.words = bad[i].words;
        assert_int_equal(mn_row_form_fit(&table, &how, 3, training, &form, &err), MN_ERR_DATA);
        if (strstr(err.message, bad[i].part) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.message, bad[i].part);
        assert_null(form.columns);
        mn_data_table_fini(&table);
    }
}

static mn_status match(const mn_row_form *form, const char *text, mn_header header,
                       uint32_t found[2], uint32_t *answer, mn_error *err)
{
    mn_data_table other = read_table(text, header);
    const mn_status status = mn_row_form_match(form, "own.csv", &other, found, answer, err);
    mn_data_table_fini(&other);
    return status;
}

static void another_table_is_matched_by_its_names(void **state)
{
    mn_data_table table = read_table(trees, MN_HEADER_AUTO);
    mn_row_form form = fit(&table, &plan);
    uint32_t found[2], answer = 0;
    mn_error err = {.message = ""};
    (void)state;
    assert_int_equal(
        match(&form, "colour,owner,size\nred,x,1\n", MN_HEADER_AUTO, found, &answer, &err), MN_OK);
    assert_true(found[0] == 2 && found[1] == 0 && answer == UINT32_MAX);
    assert_int_equal(
        match(&form, "height,colour,size\n1,red,1\n", MN_HEADER_AUTO, found, &answer, &err), MN_OK);
    assert_int_equal(answer, 0);
    assert_int_equal(
        match(&form, "colour,weight,size\nred,1,1\n", MN_HEADER_AUTO, found, &answer, &err),
        MN_ERR_DATA);
    assert_non_null(strstr(err.message, "column \"weight\" is none of the table"));
    assert_int_equal(match(&form, "size,height\n1,1\n", MN_HEADER_AUTO, found, &answer, &err),
                     MN_ERR_DATA);
    assert_non_null(strstr(err.message, "no column \"colour\""));
    assert_int_equal(match(&form, "1,1,red,a\n", MN_HEADER_AUTO, found, &answer, &err),
                     MN_ERR_DATA);
    assert_non_null(strstr(err.message, "expected a header"));
    mn_row_form_fini(&form);
    mn_data_table_fini(&table);
}

static void without_names_places_count(void **state)
{
    mn_data_table table = read_table("1,1,red\n2,2,blue\n3,3,red\n", MN_HEADER_AUTO);
    mn_row_form form = fit(&table, &plan);
    uint32_t found[2], answer = 0;
    mn_error err = {.message = ""};
    (void)state;
    assert_int_equal(match(&form, "5,6,red\n", MN_HEADER_AUTO, found, &answer, &err), MN_OK);
    assert_true(found[0] == 0 && found[1] == 2 && answer == 1);
    assert_int_equal(match(&form, "5,red\n", MN_HEADER_AUTO, found, &answer, &err), MN_OK);
    assert_true(found[0] == 0 && found[1] == 1 && answer == UINT32_MAX);
    assert_int_equal(match(&form, "5,6,red,7\n", MN_HEADER_AUTO, found, &answer, &err),
                     MN_ERR_DATA);
    assert_non_null(strstr(err.message, "4 columns: expected 3"));
    mn_row_form_fini(&form);
    mn_data_table_fini(&table);
}

static void a_form_comes_back_from_its_text_and_nothing_else_does(void **state)
{
    mn_data_table table = read_table(trees, MN_HEADER_AUTO);
    mn_row_form form = fit(&table, &plan), again;
    char *text = NULL, *second = NULL;
    (void)state;
    assert_int_equal(mn_row_form_text(&form, &text, NULL), MN_OK);
    assert_int_equal(mn_row_form_parse(text, &again, NULL), MN_OK);
    assert_true(memcmp(&form.columns[0].scale, &again.columns[0].scale, sizeof(double)) == 0);
    assert_int_equal(again.columns[1].n_words, 2);
    assert_int_equal(mn_row_form_text(&again, &second, NULL), MN_OK);
    assert_string_equal(text, second);
    mn_row_form_fini(&again);
    for (char *at = text; *at != '\0';
         at++) { /* any cut and any other letter: a form or a refusal */
        const char was = *at;
        mn_error err = {.message = ""};
        *at = '0';
        if (mn_row_form_parse(text, &again, &err) != MN_OK)
            assert_true(err.message[0] != '\0' && again.columns == NULL);
        mn_row_form_fini(&again);
        *at = '\0';
        assert_int_equal(mn_row_form_parse(text, &again, &err), MN_ERR_DATA);
        *at = was;
    }
    free(text);
    free(second);
    mn_row_form_fini(&form);
    mn_data_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(numbers_and_words_are_those_of_the_training_rows, drop_held),
        cmocka_unit_test_teardown(an_infinite_number_is_no_word_beside_numbers, drop_held),
        cmocka_unit_test_teardown(a_missing_cell_is_refused_or_the_mean, drop_held),
        cmocka_unit_test_teardown(one_scale_is_the_root_mean_square_of_the_columns_deviations,
                                  drop_held),
        cmocka_unit_test_teardown(roots_are_taken_before_the_rest_and_of_no_negative_number,
                                  drop_held),
        cmocka_unit_test_teardown(what_is_far_from_the_mean_is_cut_off, drop_held),
        cmocka_unit_test_teardown(what_a_form_cannot_be_made_of_is_told, drop_held),
        cmocka_unit_test_teardown(another_table_is_matched_by_its_names, drop_held),
        cmocka_unit_test_teardown(without_names_places_count, drop_held),
        cmocka_unit_test_teardown(a_form_comes_back_from_its_text_and_nothing_else_does, drop_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
