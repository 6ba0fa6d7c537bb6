#include "common/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum colour { RED, GREEN, BLUE };

struct settings {
    bool flag;
    uint32_t count;
    int32_t offset;
    uint64_t seed;
    double rate;
    double pair[2];
    mn_uint_list list;
    enum colour colour;
    char text[8];
    char name[8];
};

static const char *const colours[] = {"red", "green", "dark-blue", NULL};

#define AT(field) offsetof(struct settings, field), sizeof(((struct settings *)0)->field)

static const mn_option rows[] = {
    {"seed", MN_OPTION_U64, AT(seed), "1", 0, MN_OPTION_WHOLE, "", "where chance begins", true,
     NULL, NULL},
    {"a.flag", MN_OPTION_BOOL, AT(flag), "true", 0, 0, "", "yes or no", true, NULL, NULL},
    {"a.count", MN_OPTION_U32, AT(count), "3", 1, 10, "things", "how many", true, NULL, NULL},
    {"a.offset", MN_OPTION_I32, AT(offset), "-1", -1, 5, "", "where", true, NULL, NULL},
    {"b.rate", MN_OPTION_REAL, AT(rate), "0.1", -1, 100, "", "how fast", true, NULL, NULL},
    {"b.pair", MN_OPTION_PAIR, AT(pair), "0, 1", 0, 1, "", "from to", true, NULL, NULL},
    {"b.list", MN_OPTION_LIST, AT(list), "4, 5", 0, 9, "", "some", true, NULL, NULL},
    {"c.colour", MN_OPTION_CHOICE, AT(colour), "green", 0, 0, "", "which", false, colours, NULL},
    {"c.text", MN_OPTION_TEXT, AT(text), "", 0, 0, "", "words", false, NULL, NULL},
    {"c.name", MN_OPTION_NAME, AT(name), "me", 1, 0, "", "who", false, NULL,
     "c.colour=red|green,a.flag=true or c.colour=dark-blue"},
};
static const mn_option_table table = {rows, sizeof rows / sizeof *rows};

static struct settings fresh(void)
{
    struct settings s;
    memset(&s, 0, sizeof s);
    mn_options_default(&table, &s);
    return s;
}

/* Is the assignment refused with these words, and nothing changed? */
static void assert_refused(const char *assignment, const char *words)
{
    struct settings before = fresh();
    struct settings after = before;
    mn_error err = {0};
    assert_int_equal(mn_options_assign(&table, assignment, &after, &err), MN_ERR_CONFIG);
    assert_string_equal(err.message, words);
    assert_memory_equal(&before, &after, sizeof before);
}

static void assert_becomes(const char *assignment, const char *printed)
{
    char text[MN_OPTION_LONGEST];
    char key[32] = {0};
    struct settings s = fresh();
    mn_error err = {0};
    memcpy(key, assignment, (size_t)(strchr(assignment, '=') - assignment));
    assert_int_equal(mn_options_assign(&table, assignment, &s, &err), MN_OK);
    mn_option_text(mn_options_find(&table, key), &s, text);
    assert_string_equal(text, printed);
}

static void defaults_are_set(void **state)
{
    struct settings s = fresh();
    (void)state;
    assert_true(s.flag);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.offset, -1);
    assert_int_equal(s.seed, 1);
    assert_true(s.rate == 0.1 && s.pair[0] == 0.0 && s.pair[1] == 1.0);
    assert_true(s.list.n == 2 && s.list.at[0] == 4 && s.list.at[1] == 5);
    assert_int_equal(s.colour, GREEN);
    assert_string_equal(s.text, "");
    assert_string_equal(s.name, "me");
}

static void values_of_each_type_are_read_and_printed(void **state)
{
    (void)state;
    assert_becomes("a.flag=off", "false");
    assert_becomes("a.flag=yes", "true");
    assert_becomes("a.flag=FALSE", "false"); /* as YAML 1.1 and Python write it */
    assert_becomes("a.flag=True", "true");
    assert_becomes("a.flag=No", "false");
    assert_becomes("seed=40_000", "40000");
    assert_becomes("seed=4e4", "40000");
    assert_becomes("a.count=5.0", "5");
    assert_becomes("b.rate=.5", "0.5");
    assert_becomes("b.rate=0.000_1", "0.0001");
    assert_becomes("a.count=10", "10");
    assert_becomes("a.offset=-1", "-1");
    assert_becomes("a.offset=+5", "5");
    assert_becomes("seed=9007199254740992", "9007199254740992");
    assert_becomes("b.rate=1e-5", "1.0e-05");
    assert_becomes("b.rate=0.30000000000000004", "0.30000000000000004");
    assert_becomes("b.rate=-0", "0");
    assert_becomes("b.rate=1E2", "100");
    assert_becomes("b.pair=[0.25, 1]", "[0.25, 1]");
    assert_becomes("b.pair=0.25,1", "[0.25, 1]");
    assert_becomes("b.list=[]", "[]");
    assert_becomes("b.list=", "[]");
    assert_becomes("b.list=7", "[7]");
    assert_becomes("b.list=[ 7 , 0,9 ]", "[7, 0, 9]");
    assert_becomes("c.colour=dark-blue", "dark-blue");
    assert_becomes("c.text=a=\"\\", "\"a=\\\"\\\\\"");
    assert_becomes("c.text=Ü b", "\"Ü b\"");
    assert_becomes("c.name=a.b_1-", "\"a.b_1-\"");
}

static void numbers_that_are_none_are_refused(void **state)
{
    (void)state;
    assert_refused("b.rate=fast", "b.rate: \"fast\" is not a number (expected -1 .. 100)");
    assert_refused("b.rate=", "b.rate: \"\" is not a number (expected -1 .. 100)");
    assert_refused("b.rate=nan", "b.rate: \"nan\" is not a number (expected -1 .. 100)");
    assert_refused("b.rate=inf", "b.rate: \"inf\" is not a number (expected -1 .. 100)");
    assert_refused("b.rate=.inf", "b.rate: \".inf\" is not a number (expected -1 .. 100)");
    assert_refused("b.rate=0x10", "b.rate: \"0x10\" is not a number (expected -1 .. 100)");
    assert_refused("b.rate=1.2.3", "b.rate: \"1.2.3\" is not a number (expected -1 .. 100)");
    assert_refused("b.rate=1e999", "b.rate: \"1e999\" is out of range (expected -1 .. 100)");
    assert_refused("b.rate=100.1", "b.rate: \"100.1\" is out of range (expected -1 .. 100)");
    assert_refused("a.count=1.5", "a.count: \"1.5\" is not a whole number (expected 1 .. 10)");
    assert_refused("a.count=_5", "a.count: \"_5\" is not a whole number (expected 1 .. 10)");
    assert_refused("a.count=1__0", "a.count: \"1__0\" is not a whole number (expected 1 .. 10)");
    assert_refused("a.count=1e999", "a.count: \"1e999\" is out of range (expected 1 .. 10)");
    assert_refused("b.rate=1_e2", "b.rate: \"1_e2\" is not a number (expected -1 .. 100)");
    assert_refused("a.count=-", "a.count: \"-\" is not a whole number (expected 1 .. 10)");
    assert_refused("a.count=4 ", "a.count: \"4 \" is not a whole number (expected 1 .. 10)");
    assert_refused("a.count=0", "a.count: \"0\" is out of range (expected 1 .. 10)");
    assert_refused("a.count=4294967297",
                   "a.count: \"4294967297\" is out of range (expected 1 .. 10)");
    assert_refused("a.offset=-2", "a.offset: \"-2\" is out of range (expected -1 .. 5)");
    assert_refused("seed=-1", "seed: \"-1\" is out of range (expected 0 .. 9007199254740992)");
    assert_refused(
        "seed=99999999999999999999",
        "seed: \"99999999999999999999\" is out of range (expected 0 .. 9007199254740992)");
}

static void lists_of_wrong_length_or_content_are_refused(void **state)
{
    (void)state;
    assert_refused("b.pair=1", "b.pair: 1 values, expected 2, as in [0, 1]");
    assert_refused("b.pair=0,1,1", "b.pair: 3 values, expected 2, as in [0, 1]");
    assert_refused("b.pair=0,2", "b.pair: \"2\" is out of range (expected 0 .. 1)");
    assert_refused("b.list=1,,2", "b.list: \"\" is not a whole number (expected 0 .. 9)");
    assert_refused("b.list=[1", "b.list: \"[1\" is not a whole number (expected 0 .. 9)");
    assert_refused("b.list=1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7",
                   "b.list: 17 values, expected at most 16");
    char endless[2000] = "b.list=";
    memset(endless + 7, ',', sizeof endless - 8);
    mn_error err;
    struct settings s = fresh();
    assert_int_equal(mn_options_assign(&table, endless, &s, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "is too long for a list"));
}

static void words_that_are_not_allowed_are_refused(void **state)
{
    (void)state;
    assert_refused("a.flag=maybe", "a.flag: \"maybe\" is neither true nor false");
    assert_refused("c.colour=gren",
                   "c.colour: \"gren\" is not one of red, green, dark-blue; did you "
                   "mean \"green\"?");
    assert_refused("c.colour=x", "c.colour: \"x\" is not one of red, green, dark-blue");
    assert_refused("c.text=12345678",
                   "c.text: \"12345678\" is too long (8 bytes, expected at most 7)");
    assert_refused("c.text=a\nb", "c.text: \"a\\x0ab\" is not plain text (expected UTF-8 without "
                                  "control characters)");
    assert_refused("c.name=a/b",
                   "c.name: \"a/b\" is not a name (expected letters, digits, '.', '_' "
                   "and '-', a letter or digit first)");
    assert_refused("c.name=..", "c.name: \"..\" is not a name (expected letters, digits, '.', '_' "
                                "and '-', a letter or digit first)");
    assert_refused("c.name=", "c.name: is empty");
}

static void an_unknown_key_is_told_its_nearest_neighbour(void **state)
{
    (void)state;
    assert_refused("a.cuont=1", "unknown key \"a.cuont\"; did you mean \"a.count\"?");
    assert_refused("rate=1", "unknown key \"rate\"; did you mean \"b.rate\"?");
    assert_refused("a.colour=red", "unknown key \"a.colour\"; did you mean \"c.colour\"?");
    assert_refused("a.x\x1b[2J=1",
                   "unknown key \"a.x\\x1b[2J\"; `mnemo help options` lists all keys");
    assert_refused("seed", "\"seed\" is not KEY=VALUE, as in outer.batch=32");
    assert_refused("=1", "\"=1\" is not KEY=VALUE, as in outer.batch=32");
}

static void a_list_for_a_single_value_is_refused(void **state)
{
    static const char *const items[] = {"1", "2"};
    struct settings s = fresh();
    mn_error err;
    (void)state;
    assert_int_equal(mn_option_set_items(mn_options_find(&table, "a.count"), 2, items, &s, &err),
                     MN_ERR_CONFIG);
    assert_string_equal(err.message, "a.count: a list of 2, but one value was expected (1 .. 10)");
    assert_int_equal(s.count, 3);
}

static void an_option_is_read_where_its_readers_say_so(void **state)
{
    static const struct {
        const char *colour, *flag;
        bool read;
    } cases[] = {{"red", "true", true},        {"green", "true", true},
                 {"red", "false", false},      {"green", "false", false},
                 {"dark-blue", "false", true}, {"dark-blue", "true", true}};
    const mn_option *option = mn_options_find(&table, "c.name");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings s = fresh();
        bool given[MN_MAX_OPTIONS] = {false};
        mn_error err = {.message = ""};
        assert_int_equal(
            mn_option_set(mn_options_find(&table, "c.colour"), cases[i].colour, &s, &err), MN_OK);
        assert_int_equal(mn_option_set(mn_options_find(&table, "a.flag"), cases[i].flag, &s, &err),
                         MN_OK);
        assert_int_equal(mn_option_is_read(&table, option, &s), cases[i].read);
        assert_int_equal(mn_options_check_read(&table, given, &s, &err), MN_OK);
        given[option - rows] = true;
        assert_int_equal(mn_options_check_read(&table, given, &s, &err),
                         cases[i].read ? MN_OK : MN_ERR_CONFIG);
        if (!cases[i].read)
            assert_non_null(
                strstr(err.message, "c.name is read by nothing here, where c.colour is"));
    }
}

/* A thousand doubles over all exponents, by a fixed linear congruential generator. */
static void every_double_in_print_reads_back_to_itself(void **state)
{
    static const mn_option any = {
        "any", MN_OPTION_REAL, 0, sizeof(double), "0", -1e308, 1e308, "", "", false, NULL, NULL};
    uint64_t bits = 1;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        double value = 0;
        double again = 0;
        char text[MN_OPTION_LONGEST];
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &bits, sizeof value);
        if (!(value >= any.min && value <= any.max))
            continue;
        mn_option_text(&any, &value, text);
        assert_int_equal(mn_option_set(&any, text, &again, NULL), MN_OK);
        assert_memory_equal(&value, &again, sizeof value);
    }
}

static char *printed(bool with_help, bool as_help)
{
    struct settings s = fresh();
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    if (as_help)
        assert_true(mn_options_help(&table, NULL, out) > 0);
    else
        mn_options_print(&table, &s, with_help, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void options_are_printed_in_sections(void **state)
{
    char *text = printed(false, false);
    (void)state;
    assert_string_equal(text,
                        "seed: 1\na:\n  flag: true\n  count: 3\n  offset: -1\nb:\n  rate: 0.1\n"
                        "  pair: [0, 1]\n  list: [4, 5]\nc:\n  colour: green\n  text: \"\"\n"
                        "  name: \"me\"\n");
    free(text);
}

static void comments_and_help_tell_meaning_unit_range_and_default(void **state)
{
    char *text = printed(true, false);
    (void)state;
    assert_non_null(strstr(text, "\na:\n  # yes or no (true or false)\n  flag: true\n"
                                 "  # how many (1 .. 10 things)\n  count: 3\n"));
    free(text);
    text = printed(false, true);
    assert_non_null(strstr(text, "\n  a.count   how many\n"
                                 "              1 .. 10 things; default 3\n"));
    assert_non_null(strstr(text, "red, green, dark-blue; default green\n"));
    assert_non_null(strstr(text, "text; default empty\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_set),
        cmocka_unit_test(values_of_each_type_are_read_and_printed),
        cmocka_unit_test(numbers_that_are_none_are_refused),
        cmocka_unit_test(lists_of_wrong_length_or_content_are_refused),
        cmocka_unit_test(words_that_are_not_allowed_are_refused),
        cmocka_unit_test(an_unknown_key_is_told_its_nearest_neighbour),
        cmocka_unit_test(a_list_for_a_single_value_is_refused),
        cmocka_unit_test(an_option_is_read_where_its_readers_say_so),
        cmocka_unit_test(every_double_in_print_reads_back_to_itself),
        cmocka_unit_test(options_are_printed_in_sections),
        cmocka_unit_test(comments_and_help_tell_meaning_unit_range_and_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
