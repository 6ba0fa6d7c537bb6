#include "common/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void letters_of_all_alphabets_are_plain_and_controls_are_not(void **state)
{
    static const char *const plain[] = {"", "runs/a b.yaml", "Übung", "日本", "\xf0\x9f\x98\x80"};
    static const char *const other[] = {"a\nb",
                                        "\x1b[2J",
                                        "\x7f",
                                        "\xc2\x85",
                                        "\xe2\x80\xa8",
                                        "\xef\xbb\xbf", /* a byte-order mark */
                                        "\xff",
                                        "\xc3",
                                        "\xc0\xaf",
                                        "\xe0\x80\x80",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xf0\x80\x80\x80",
                                        "\x80",
                                        "\xf8\x88\x80\x80\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        assert_true(mn_text_is_plain(plain[i]));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_false(mn_text_is_plain(other[i]));
}

static void what_is_not_plain_is_shown_as_hexadecimal_bytes(void **state)
{
    char out[64];
    (void)state;
    assert_int_equal(mn_text_escape("a\nb\x1b[2J\xffü", 10, out, sizeof out), 19);
    assert_string_equal(out, "a\\x0ab\\x1b[2J\\xffü");
    assert_int_equal(mn_text_escape("a\0b", 3, out, sizeof out), 6);
    assert_string_equal(out, "a\\x00b");
}

static void long_text_is_cut_at_a_whole_character_with_dots(void **state)
{
    char out[8];
    (void)state;
    assert_int_equal(mn_text_escape("1234567", 7, out, sizeof out), 7);
    assert_string_equal(out, "1234567");
    assert_int_equal(mn_text_escape("12345678", 8, out, sizeof out), 7);
    assert_string_equal(out, "1234...");
    (void)mn_text_escape("123üüü", 9, out,
                         sizeof out); /* the first ü would end in the fifth byte */
    assert_string_equal(out, "123...");
    (void)mn_text_escape("1\n\n", 3, out, sizeof out);
    assert_string_equal(out, "1...");
}

static void words_are_cut_between_them_and_long_ones_at_a_whole_character(void **state)
{
    static const struct {
        const char *text, *cut;
    } cases[] = {
        {"short", "short"},
        {"exactly 15 here", "exactly 15 here"},
        {"the data differ: put", "the data..."},
        {"the data dif more", "the data dif..."},
        {"abcdefghijklmnopqrst", "abcdefghijkl..."},
        {"abcdefghijk\xc3\xa9z and", "abcdefghijk..."},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[16];
        assert_int_equal(mn_text_cut(cases[i].text, out, sizeof out), strlen(cases[i].cut));
        assert_string_equal(out, cases[i].cut);
    }
}

static void distance_counts_slips_of_the_pen(void **state)
{
    char long_name[65];
    (void)state;
    assert_int_equal(mn_text_distance("batch", "batch"), 0);
    assert_int_equal(mn_text_distance("bacth", "batch"), 1); /* swapped */
    assert_int_equal(mn_text_distance("btch", "batch"), 1);
    assert_int_equal(mn_text_distance("battch", "batch"), 1);
    assert_int_equal(mn_text_distance("bitch", "batch"), 1);
    assert_int_equal(mn_text_distance("", "batch"), 5);
    assert_int_equal(mn_text_distance("kitten", "sitting"), 3);
    memset(long_name, 'x', 64);
    long_name[64] = '\0';
    assert_true(mn_text_distance(long_name, "batch") == SIZE_MAX);
    long_name[63] = '\0';
    assert_int_equal(mn_text_distance(long_name, "x"), 62);
}

static void short_names_must_be_nearer_than_long_ones(void **state)
{
    (void)state;
    assert_true(mn_text_is_near(1, "lr"));
    assert_false(mn_text_is_near(2, "lr"));
    assert_true(mn_text_is_near(3, "optimizer"));
    assert_false(mn_text_is_near(4, "optimizer"));
    assert_false(mn_text_is_near(SIZE_MAX, "optimizer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_of_all_alphabets_are_plain_and_controls_are_not),
        cmocka_unit_test(what_is_not_plain_is_shown_as_hexadecimal_bytes),
        cmocka_unit_test(long_text_is_cut_at_a_whole_character_with_dots),
        cmocka_unit_test(words_are_cut_between_them_and_long_ones_at_a_whole_character),
        cmocka_unit_test(distance_counts_slips_of_the_pen),
        cmocka_unit_test(short_names_must_be_nearer_than_long_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
