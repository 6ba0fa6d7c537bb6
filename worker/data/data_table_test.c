#include "worker/data/data_table.h"

#include "common/tensor_file.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *held; /* what a table's cells lie in */

static mn_status parse(const char *source, const void *bytes, size_t n, mn_header header,
                       mn_data_table *out, mn_error *err)
{
    free(held);
    held = calloc(n + 1, 1);
    assert_non_null(held);
    memcpy(held, bytes, n);
    return mn_data_table_parse(source, held, n, header, out, err);
}

static mn_data_table read_text(const char *source, const char *text)
{
    mn_data_table table;
    mn_error err = {.message = ""};
    if (parse(source, text, strlen(text), MN_HEADER_AUTO, &table, &err) != MN_OK)
        fail_msg("%s", err.message);
    return table;
}

static void assert_word(const mn_data_table *table, uint32_t row, uint32_t column,
                        const char *expected)
{
    char word[MN_DATA_TABLE_WORD];
    mn_data_table_word(table, row, column, word);
    assert_string_equal(word, expected);
}

static void assert_number(const mn_data_table *table, uint32_t row, uint32_t column,
                          double expected)
{
    double number = 0;
    assert_int_equal(mn_data_table_number(table, row, column, &number), MN_CELL_NUMBER);
    assert_true(number == expected);
}

static void assert_refused(const char *source, const char *text, const char *part)
{
    mn_data_table table;
    mn_error err = {.message = ""};
    assert_int_equal(parse(source, text, strlen(text), MN_HEADER_AUTO, &table, &err), MN_ERR_DATA);
    if (strstr(err.message, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, part);
    assert_int_equal(table.n_columns, 0);
}

static void fields_are_as_rfc_4180_has_them(void **state)
{
    (void)state;
    mn_data_table table = read_text(
        "t.csv", "\xef\xbb\xbfspecies,\"petal, mm\",note\r\n\r\n"
                 "oak, 1.5 ,\"he said \"\"no\"\"\"\r\n\"an elm\",-2e-3,\"two\nlines\"\r\nash,NA,");
    assert_int_equal(table.n_rows, 3);
    assert_int_equal(table.n_columns, 3);
    assert_true(table.named);
    assert_string_equal(table.columns[1].name, "petal, mm");
    assert_word(&table, 0, 0, "oak");
    assert_word(&table, 1, 0, "an elm");
    assert_number(&table, 0, 1, 1.5);
    assert_number(&table, 1, 1, -2e-3);
    double none;
    assert_int_equal(mn_data_table_number(&table, 2, 1, &none), MN_CELL_MISSING);
    assert_word(&table, 0, 2, "he said \"no\"");
    assert_word(&table, 1, 2, "two\nlines");
    assert_int_equal(mn_data_table_number(&table, 2, 2, &none), MN_CELL_MISSING);
    assert_int_equal(mn_data_table_number(&table, 0, 2, &none), MN_CELL_WORD);
    mn_data_table_fini(&table);
}

static void a_tab_or_a_semicolon_separates_where_the_first_line_has_it(void **state)
{
    (void)state;
    mn_data_table table = read_text("t.txt", "a, b\t2\nc\t3\n");
    assert_int_equal(table.n_columns, 2);
    assert_word(&table, 0, 0, "a, b");
    mn_data_table_fini(&table);
    table = read_text("t.csv", "name;x\noak;1\n");
    assert_int_equal(table.n_columns, 2);
    assert_number(&table, 0, 1, 1);
    mn_data_table_fini(&table);
    table = read_text("t.tsv", "word,word\noak,elm\n");
    assert_int_equal(table.n_columns, 1);
    mn_data_table_fini(&table);
}

static void a_first_line_with_a_number_is_a_row_unless_it_is_said_to_be_a_header(void **state)
{
    mn_data_table table = read_text("t.csv", "oak,1\nelm,2\n");
    (void)state;
    assert_int_equal(table.n_rows, 2);
    assert_false(table.named);
    assert_string_equal(table.columns[1].name, "2");
    mn_data_table_fini(&table);
    const char years[] = "name,1999\nelm,2\n", words[] = "oak,red\nelm,blue\n";
    assert_int_equal(parse("t", years, sizeof years - 1, MN_HEADER_YES, &table, NULL), MN_OK);
    assert_int_equal(table.n_rows, 1);
    assert_string_equal(table.columns[1].name, "1999");
    mn_data_table_fini(&table);
    assert_int_equal(parse("t", words, sizeof words - 1, MN_HEADER_NO, &table, NULL), MN_OK);
    assert_int_equal(table.n_rows, 2);
    mn_data_table_fini(&table);
    table = read_text("t.csv", ",x\n0,1\n"); /* as pandas writes it */
    assert_true(table.named);
    mn_data_table_fini(&table);
}

static void what_is_no_table_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused("t.csv", "", "no row of data");
    assert_refused("t.csv", "a,b\n", "no row of data below its header");
    assert_refused("t.csv", "1,2\n1,2,3\n", "t.csv:2: 3 columns, but the first line has 2");
    assert_refused("t.csv", "a,\"b\nc\"\n1,2\n", "column 2 has a name that is no plain");
    assert_refused("t.csv", "1,\"2\n3,4\n", "t.csv:1: column 2: a quote that does not end");
    assert_refused("t.csv", "1,2\n\"3\"4,4\n",
                   "t.csv:2: column 1: something behind a closing quote");
    mn_data_table table;
    mn_error err;
    assert_int_equal(parse("t.csv", "1,\0002\n", 5, MN_HEADER_AUTO, &table, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "a NUL byte"));
}

static void only_a_finite_number_with_a_point_is_one(void **state)
{
    static const struct {
        const char *text;
        mn_cell is;
    } cells[] = {{"1", MN_CELL_NUMBER},     {"-.5", MN_CELL_NUMBER},   {"1e-3", MN_CELL_NUMBER},
                 {"\"1,5\"", MN_CELL_WORD}, {"1e99", MN_CELL_WORD},    {"inf", MN_CELL_WORD},
                 {"0x10", MN_CELL_WORD},    {"1 2", MN_CELL_WORD},     {"nan", MN_CELL_MISSING},
                 {"?", MN_CELL_MISSING},    {"\"\"", MN_CELL_MISSING}, {"one", MN_CELL_WORD}};
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char text[64];
        double number;
        (void)snprintf(text, sizeof text, "x,y\n1,%s\n", cells[i].text);
        mn_data_table table = read_text("t.csv", text);
        if (mn_data_table_number(&table, 0, 1, &number) != cells[i].is)
            fail_msg("%s", cells[i].text);
        mn_data_table_fini(&table);
    }
}

static void columns_are_found_by_name_by_number_and_by_range(void **state)
{
    mn_data_table table = read_text("t.csv", "a,b,3,b,x.1\n1,2,3,4,5\nq,2,3,4,5\n");
    uint32_t first = 9, n = 0;
    mn_error err;
    (void)state;
    mn_data_table_fini(&table);
    const char text[] = "a,b,1,b,x.1\n1,2,3,4,5\n";
    assert_int_equal(parse("t", text, sizeof text - 1, MN_HEADER_YES, &table, NULL), MN_OK);
    assert_int_equal(mn_data_table_find(&table, "a", &first, &n, &err), MN_OK);
    assert_true(first == 0 && n == 1);
    assert_int_equal(mn_data_table_find(&table, "1", &first, &n, &err),
                     MN_OK); /* a name comes first */
    assert_true(first == 2 && n == 1);
    assert_int_equal(mn_data_table_find(&table, "2-5", &first, &n, &err), MN_OK);
    assert_true(first == 1 && n == 4);
    assert_int_equal(mn_data_table_find(&table, "b", &first, &n, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "2 columns are called \"b\""));
    static const char *const none[] = {"c", "0", "6", "4-6", "5-2", "", "x", "-1", "1-"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(mn_data_table_find(&table, none[i], &first, &n, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "expected a number from 1 to 5 or one of a, b, 1"));
    mn_data_table_fini(&table);
}

/* numpy.savez("a.npz", x=numpy.array([[1.5, -2], [0.25, 1e4], [3, 4]], dtype=numpy.float16),
 *             y=numpy.array(["oak", "b\u00e9b\u00e9", "x"])) */
static const unsigned char archive[] = {
    0x50, 0x4b, 0x03, 0x04, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21, 0x00, 0x46, 0x43,
    0xc6, 0x8b, 0x8c, 0x00, 0x00, 0x00, 0x8c, 0x00, 0x00, 0x00, 0x05, 0x00, 0x14, 0x00, 0x78, 0x2e,
    0x6e, 0x70, 0x79, 0x01, 0x00, 0x10, 0x00, 0x8c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x8c,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 0x01, 0x00, 0x76,
    0x00, 0x7b, 0x27, 0x64, 0x65, 0x73, 0x63, 0x72, 0x27, 0x3a, 0x20, 0x27, 0x3c, 0x66, 0x32, 0x27,
    0x2c, 0x20, 0x27, 0x66, 0x6f, 0x72, 0x74, 0x72, 0x61, 0x6e, 0x5f, 0x6f, 0x72, 0x64, 0x65, 0x72,
    0x27, 0x3a, 0x20, 0x46, 0x61, 0x6c, 0x73, 0x65, 0x2c, 0x20, 0x27, 0x73, 0x68, 0x61, 0x70, 0x65,
    0x27, 0x3a, 0x20, 0x28, 0x33, 0x2c, 0x20, 0x32, 0x29, 0x2c, 0x20, 0x7d, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x0a, 0x00, 0x3e, 0x00, 0xc0, 0x00, 0x34, 0xe2, 0x70, 0x00,
    0x42, 0x00, 0x44, 0x50, 0x4b, 0x03, 0x04, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21,
    0x00, 0x9a, 0x8e, 0xd4, 0xcb, 0xb0, 0x00, 0x00, 0x00, 0xb0, 0x00, 0x00, 0x00, 0x05, 0x00, 0x14,
    0x00, 0x79, 0x2e, 0x6e, 0x70, 0x79, 0x01, 0x00, 0x10, 0x00, 0xb0, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0xb0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59,
    0x01, 0x00, 0x76, 0x00, 0x7b, 0x27, 0x64, 0x65, 0x73, 0x63, 0x72, 0x27, 0x3a, 0x20, 0x27, 0x3c,
    0x55, 0x34, 0x27, 0x2c, 0x20, 0x27, 0x66, 0x6f, 0x72, 0x74, 0x72, 0x61, 0x6e, 0x5f, 0x6f, 0x72,
    0x64, 0x65, 0x72, 0x27, 0x3a, 0x20, 0x46, 0x61, 0x6c, 0x73, 0x65, 0x2c, 0x20, 0x27, 0x73, 0x68,
    0x61, 0x70, 0x65, 0x27, 0x3a, 0x20, 0x28, 0x33, 0x2c, 0x29, 0x2c, 0x20, 0x7d, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x0a, 0x6f, 0x00, 0x00, 0x00, 0x61, 0x00,
    0x00, 0x00, 0x6b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x62, 0x00, 0x00, 0x00, 0xe9, 0x00,
    0x00, 0x00, 0x62, 0x00, 0x00, 0x00, 0xe9, 0x00, 0x00, 0x00, 0x78, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x50, 0x4b, 0x01, 0x02, 0x14, 0x03,
    0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21, 0x00, 0x46, 0x43, 0xc6, 0x8b, 0x8c, 0x00,
    0x00, 0x00, 0x8c, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x80, 0x01, 0x00, 0x00, 0x00, 0x00, 0x78, 0x2e, 0x6e, 0x70, 0x79, 0x50, 0x4b, 0x01,
    0x02, 0x14, 0x03, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21, 0x00, 0x9a, 0x8e, 0xd4,
    0xcb, 0xb0, 0x00, 0x00, 0x00, 0xb0, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x01, 0xc3, 0x00, 0x00, 0x00, 0x79, 0x2e, 0x6e, 0x70, 0x79,
    0x50, 0x4b, 0x05, 0x06, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x02, 0x00, 0x66, 0x00, 0x00, 0x00,
    0xaa, 0x01, 0x00, 0x00, 0x00, 0x00,
};

static void an_archive_of_numpy_gives_its_arrays_as_columns(void **state)
{
    mn_data_table table;
    mn_error err = {.message = ""};
    uint32_t first = 9, n = 0;
    (void)state;
    if (parse("a.npz", archive, sizeof archive, MN_HEADER_AUTO, &table, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_true(table.named);
    assert_int_equal(table.n_rows, 3);
    assert_int_equal(mn_data_table_find(&table, "x", &first, &n, &err), MN_OK);
    assert_true(first == 0 && n == 2);
    assert_int_equal(mn_data_table_find(&table, "x.2", &first, &n, &err), MN_OK);
    assert_true(first == 1 && n == 1);
    assert_number(&table, 0, 0, 1.5);
    assert_number(&table, 1, 1, 10000);
    assert_number(&table, 0, 1, -2);
    assert_word(&table, 0, 2, "oak");
    assert_word(&table, 1, 2,
                "b\xc3\xa9"
                "b\xc3\xa9");
    mn_data_table_fini(&table);
}

/* Whatever bytes are missing or other, it is told, and nothing is read beyond the end. */
static void a_torn_archive_is_refused_or_read_within_its_bounds(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof archive; n++) {
        mn_data_table table;
        mn_error err = {.message = ""};
        assert_int_equal(parse("a.npz", archive, n, MN_HEADER_AUTO, &table, &err), MN_ERR_DATA);
        assert_true(strlen(err.message) > 10);
    }
    for (size_t at = 0; at < sizeof archive; at++) {
        unsigned char other[sizeof archive];
        mn_data_table table;
        memcpy(other, archive, sizeof archive);
        other[at] ^= 0xff;
        if (parse("a.npz", other, sizeof other, MN_HEADER_AUTO, &table, NULL) != MN_OK)
            continue;
        char word[MN_DATA_TABLE_WORD];
        for (uint32_t r = 0; r < table.n_rows; r++)
            for (uint32_t c = 0; c < table.n_columns; c++)
                mn_data_table_word(&table, r, c, word);
        mn_data_table_fini(&table);
    }
}

static size_t make_npy(const char *header, size_t n, const void *data, char *out)
{
    const size_t length = strlen(header);
    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (char)length;
    out[9] = 0;
    memcpy(out + 10, header, length);
    memcpy(out + 10 + length, data, n);
    return 10 + length + n;
}

static void an_array_may_lie_column_by_column(void **state)
{
    static const double data[] = {1, 2, 3, 4, 5, 6};
    char bytes[300];
    mn_data_table table;
    (void)state;
    const size_t n = make_npy("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 2), }\n",
                              sizeof data, data, bytes);
    assert_int_equal(parse("some/x.npy", bytes, n, MN_HEADER_AUTO, &table, NULL), MN_OK);
    assert_false(table.named);
    assert_string_equal(table.columns[0].name, "x.1");
    assert_number(&table, 1, 0, 2);
    assert_number(&table, 1, 1, 5);
    mn_data_table_fini(&table);
}

static void arrays_that_are_no_rows_of_columns_are_refused(void **state)
{
    static const char *const headers[] = {
        "{'descr': '>f8', 'fortran_order': False, 'shape': (3, 2), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2, 1), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 2), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 2), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967295, 4294967295), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<U99999999999', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'shape': (3, 2), }",
        "{}",
        "",
    };
    static const double data[] = {1, 2, 3, 4, 5, 6};
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        char bytes[300];
        mn_data_table table;
        mn_error err = {.message = ""};
        const size_t n = make_npy(headers[i], sizeof data, data, bytes);
        assert_int_equal(parse("x.npy", bytes, n, MN_HEADER_AUTO, &table, &err), MN_ERR_DATA);
        assert_true(strlen(err.message) > 10);
    }
}

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void files_stand_side_by_side_if_they_have_as_many_rows(void **state)
{
    static const uint16_t halves[] = {0x3f80, 0xc000, 0x3e80, 0x4000}; /* bfloat16 */
    static const char *const paths[] = {"data_table_x.safetensors", "data_table_y.csv"};
    const mn_tensor tensor = {
        .name = "embeddings", .dtype = MN_BF16, .rank = 2, .shape = {2, 2}, .data = halves};
    mn_data_table table;
    mn_error err = {.message = ""};
    uint32_t first = 0, n = 0;
    (void)state;
    assert_int_equal(mn_tensor_file_write(paths[0], 1, &tensor, 0, NULL, &err), MN_OK);
    write_bytes(paths[1], "label\noak\nelm\n", 14);
    if (mn_data_table_read(2, paths, MN_HEADER_AUTO, &table, &err) != MN_OK)
        fail_msg("%s", err.message);
    const mn_digest digest = table.digest;
    assert_int_equal(table.n_columns, 3);
    assert_true(table.named);
    assert_number(&table, 0, 0, 1);
    assert_number(&table, 0, 1, -2);
    assert_number(&table, 1, 0, 0.25);
    assert_int_equal(mn_data_table_find(&table, "embeddings", &first, &n, &err), MN_OK);
    assert_int_equal(n, 2);
    assert_word(&table, 1, 2, "elm");
    mn_data_table_fini(&table);
    write_bytes(paths[1], "label\noak\nash\n", 14);
    assert_int_equal(mn_data_table_read(2, paths, MN_HEADER_AUTO, &table, &err), MN_OK);
    assert_memory_not_equal(&digest, &table.digest, sizeof digest);
    mn_data_table_fini(&table);
    write_bytes(paths[1], "label\noak\n", 10);
    assert_int_equal(mn_data_table_read(2, paths, MN_HEADER_AUTO, &table, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "has 1 rows, but what stands beside it has 2"));
    (void)unlink(paths[0]);
    (void)unlink(paths[1]);
    assert_int_equal(mn_data_table_read(1, paths, MN_HEADER_AUTO, &table, &err), MN_ERR_NO_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_as_rfc_4180_has_them),
        cmocka_unit_test(a_tab_or_a_semicolon_separates_where_the_first_line_has_it),
        cmocka_unit_test(a_first_line_with_a_number_is_a_row_unless_it_is_said_to_be_a_header),
        cmocka_unit_test(what_is_no_table_is_refused_with_its_place),
        cmocka_unit_test(only_a_finite_number_with_a_point_is_one),
        cmocka_unit_test(columns_are_found_by_name_by_number_and_by_range),
        cmocka_unit_test(an_archive_of_numpy_gives_its_arrays_as_columns),
        cmocka_unit_test(a_torn_archive_is_refused_or_read_within_its_bounds),
        cmocka_unit_test(an_array_may_lie_column_by_column),
        cmocka_unit_test(arrays_that_are_no_rows_of_columns_are_refused),
        cmocka_unit_test(files_stand_side_by_side_if_they_have_as_many_rows),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(held);
    return failed;
}
