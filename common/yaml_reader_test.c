#include "common/yaml_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct settings {
    uint32_t seed, batch;
    double lr;
    mn_uint_list hidden;
    char text[16];
};

#define AT(field) offsetof(struct settings, field), sizeof(((struct settings *)0)->field)

static const mn_option rows[] = {
    {"seed", MN_OPTION_U32, AT(seed), "1", 0, 100, "", "", true, NULL, NULL},
    {"outer.batch", MN_OPTION_U32, AT(batch), "2", 1, 100, "", "", true, NULL, NULL},
    {"outer.lr", MN_OPTION_REAL, AT(lr), "0.5", 0, 100, "", "", true, NULL, NULL},
    {"model.hidden", MN_OPTION_LIST, AT(hidden), "40", 1, 100, "", "", true, NULL, NULL},
    {"model.text", MN_OPTION_TEXT, AT(text), "", 0, 0, "", "", true, NULL, NULL},
};
static const mn_option_table table = {rows, sizeof rows / sizeof *rows};

static size_t lines[MN_MAX_OPTIONS];

static struct settings read(const char *text)
{
    struct settings s;
    mn_error err = {0};
    memset(&s, 0, sizeof s);
    mn_options_default(&table, &s);
    if (mn_yaml_read(&table, "x.yaml", text, strlen(text), &s, lines, &err) != MN_OK)
        fail_msg("%s", err.message);
    return s;
}

static void assert_bytes_refused(const char *text, size_t n, const char *words)
{
    struct settings s;
    mn_error err = {0};
    mn_options_default(&table, &s);
    assert_int_equal(mn_yaml_read(&table, "x.yaml", text, n, &s, lines, &err), MN_ERR_CONFIG);
    assert_string_equal(err.message, words);
}

static void assert_refused(const char *text, const char *words)
{
    assert_bytes_refused(text, strlen(text), words);
}

static void values_come_from_sections_and_lists(void **state)
{
    struct settings s = read("# a comment\nseed: 7\nouter:\n  batch: 3 # three\n  lr: \"0.25\"\n"
                             "model:\n  hidden: [1, 2]\n  text: 'a: b'\n");
    (void)state;
    assert_int_equal(s.seed, 7);
    assert_int_equal(s.batch, 3);
    assert_true(s.lr == 0.25);
    assert_true(s.hidden.n == 2 && s.hidden.at[0] == 1 && s.hidden.at[1] == 2);
    assert_string_equal(s.text, "a: b");
    assert_int_equal(lines[0], 2);
    assert_int_equal(lines[1], 4);
    assert_int_equal(lines[3], 7);
}

static void other_ways_to_write_the_same_are_understood(void **state)
{
    (void)state;
    assert_int_equal(read("model:\n  hidden:\n    - 1\n    - 2\n    - 3\n").hidden.n, 3);
    assert_int_equal(read("model: {hidden: 1}").hidden.n, 1);
    assert_int_equal(read("model: {hidden: []}").hidden.n, 0);
    assert_int_equal(read("outer.batch: 9").batch, 9);
    assert_int_equal(read("%YAML 1.1\n---\nseed: 9\n...\n").seed, 9);
    assert_string_equal(read("model: {text: \"null\"}").text, "null");
}

static void what_is_not_given_stays_as_it_is(void **state)
{
    static const char *const empty[] = {"",   "# nothing\n", "---\n",
                                        "{}", "outer:\n",    "outer: {}\n"};
    (void)state;
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        struct settings s = read(empty[i]);
        assert_true(s.seed == 1 && s.batch == 2 && s.lr == 0.5 && s.hidden.n == 1);
        for (size_t row = 0; row < table.n; row++)
            assert_int_equal(lines[row], 0);
    }
}

static void a_bad_value_is_told_with_file_line_and_key(void **state)
{
    (void)state;
    assert_refused("seed: 1\nouter:\n  lr: fast\n",
                   "x.yaml:3: outer.lr: \"fast\" is not a number (expected 0 .. 100)");
    assert_refused("outer:\n  batch: [1]\n",
                   "x.yaml:2: outer.batch: a list of 1, but one value was expected (1 .. 100)");
    assert_refused("outer:\n  batch: {a: 1}\n",
                   "x.yaml:2: outer.batch: expected a value, found keys below it");
    assert_refused("outer:\n  batch:\n",
                   "x.yaml:2: outer.batch: has no value; leave the key out to get the default 2");
    assert_refused("outer:\n  batch: ~\n",
                   "x.yaml:2: outer.batch: has no value; leave the key out to get the default 2");
    assert_refused("model:\n  hidden:\n  - 1\n  - [2]\n",
                   "x.yaml:4: model.hidden: expected a list of values, found a list inside it");
    assert_refused("model:\n  hidden: [1, x]\n",
                   "x.yaml:2: model.hidden: \"x\" is not a whole number (expected 1 .. 100)");
    assert_refused("model:\n  hidden: ['1,2']\n",
                   "x.yaml:2: model.hidden: \"1,2\" is not a whole number (expected 1 .. 100)");
    assert_refused("model:\n  hidden: [1,1,1,1, 1,1,1,1, 1,1,1,1, 1,1,1,1, 1,1]\n",
                   "x.yaml:2: model.hidden: 18 values, expected at most 16");
    assert_refused(
        "model:\n  hidden: [1111111111111111111111111111111111111111111111111111111111111111]\n",
        "x.yaml:2: model.hidden: item 1 of the list is too long for a number");
    assert_refused("model:\n  text: \"a\\0b\"\n", "x.yaml:2: model.text: holds a zero byte");
}

static void an_unknown_key_is_told_with_its_line_and_neighbour(void **state)
{
    (void)state;
    assert_refused("seed: 1\n\nouter:\n  bacth: 1\n",
                   "x.yaml:4: unknown key \"outer.bacth\"; did you mean \"outer.batch\"?");
    assert_refused("lr: 1\n", "x.yaml:1: unknown key \"lr\"; did you mean \"outer.lr\"?");
    assert_refused("outter:\n  batch: 1\n",
                   "x.yaml:1: unknown section \"outter\"; did you mean \"outer\"?");
    assert_refused("whatever:\n  batch: 1\n",
                   "x.yaml:1: unknown section \"whatever\"; --help lists all keys");
    assert_refused("outer: 3\n", "x.yaml:1: \"outer\" is a section: its keys stand below it, "
                                 "indented, as in \"batch\"");
    assert_refused("\"seed\\0\": 3\n", "x.yaml:1: a key holds a zero byte");
    assert_refused("[1, 2]: 3\n",
                   "x.yaml:1: expected a key, as in \"seed: 1\", found a list or a mapping");
}

static void nothing_may_be_given_twice(void **state)
{
    (void)state;
    assert_refused("seed: 1\nseed: 1\n", "x.yaml:2: \"seed\" is given twice (first in line 1)");
    assert_refused("outer:\n  lr: 1\n  batch: 1\n  lr: 1\n",
                   "x.yaml:4: \"outer.lr\" is given twice (first in line 2)");
    assert_refused("outer:\n  lr: 1\nouter:\n  batch: 1\n",
                   "x.yaml:3: \"outer\" is given twice (first in line 1)");
    assert_refused("outer:\n  lr: 1\nouter.lr: 1\n",
                   "x.yaml:3: \"outer.lr\" is given twice (first in line 2)");
}

static void what_hides_the_value_is_refused(void **state)
{
    (void)state;
    assert_refused("seed: &a 1\n",
                   "x.yaml:1: anchors and aliases (& and *) are not used here; write "
                   "the value");
    assert_refused("seed: 1\nouter: *a\n", "x.yaml:2: anchors and aliases (& and *) are not used "
                                           "here; write the value");
    assert_refused("a: &a [x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\n",
                   "x.yaml:1: anchors and aliases (& and *) are not used here; write the value");
    assert_refused("seed: !!int 1\n",
                   "x.yaml:1: tags (!) are not used here; write the value alone");
    assert_refused("model:\n  hidden: !x [1]\n",
                   "x.yaml:2: tags (!) are not used here; write the value alone");
}

static void what_is_no_mapping_or_no_yaml_is_refused(void **state)
{
    (void)state;
    assert_refused("- 1\n", "x.yaml:1: expected keys with values, as in \"seed: 1\"");
    assert_refused("just words\n", "x.yaml:1: expected keys with values, as in \"seed: 1\"");
    assert_refused("seed: 1\n---\nseed: 2\n",
                   "x.yaml:2: a second document begins; expected one only");
    assert_refused("seed: 1\nouter: [\n",
                   "x.yaml:2: \"outer\" is a section: its keys stand below it, indented, as in "
                   "\"batch\"");
    assert_refused("outer:\n\tlr: 1\n",
                   "x.yaml:2: while scanning for the next token: found character "
                   "that cannot start any token");
    assert_refused("seed: 1\nmodel:\n  text: \xff\n",
                   "x.yaml:3: invalid leading UTF-8 octet (expected UTF-8 text)");
    assert_bytes_refused("seed: 1\n\0", 9,
                         "x.yaml:2: control characters are not allowed (expected UTF-8 text)");
}

static void depth_and_size_are_bounded(void **state)
{
    static char deep[100000];
    (void)state;
    memset(deep, '[', sizeof deep);
    assert_bytes_refused(deep, sizeof deep,
                         "x.yaml:1: expected keys with values, as in \"seed: 1\"");
    memcpy(deep, "seed: ", 6);
    assert_bytes_refused(deep, sizeof deep,
                         "x.yaml:1: seed: expected a list of values, found a list inside it");
    char *large = malloc(MN_YAML_MAX_BYTES + 1);
    assert_non_null(large);
    memset(large, '#', MN_YAML_MAX_BYTES + 1);
    assert_bytes_refused(
        large, MN_YAML_MAX_BYTES + 1,
        "x.yaml:1: 1048577 bytes are too many for an experiment (at most 1048576)");
    free(large);
}

static void who_glances_passes_over_what_is_unknown(void **state)
{
    struct settings s;
    bool whole = false;
    mn_error err = {0};
    (void)state;
    mn_options_default(&table, &s);
    const char text[] =
        "seed: 7\nspiral:\n  turns: {a: [1, [2]]}\n  arms: 3\nouter:\n  new: [1, 2]\n  lr: fast\n"
        "  batch: 9\nmodel:\n  hidden: [0, 1]\n  text: 'b'\n";
    assert_int_equal(mn_yaml_glance(&table, "x.yaml", text, strlen(text), &s, &whole, &err), MN_OK);
    assert_false(whole);
    assert_int_equal(s.seed, 7);
    assert_int_equal(s.batch, 9);
    assert_true(s.lr == 0.5); /* as it was */
    assert_int_equal(s.hidden.at[0], 40);
    assert_string_equal(s.text, "b");
    assert_int_equal(mn_yaml_glance(&table, "x.yaml", "seed: 3", 7, &s, &whole, &err), MN_OK);
    assert_true(whole && s.seed == 3);
    assert_int_equal(mn_yaml_glance(&table, "x.yaml", "a: [1", 5, &s, &whole, &err), MN_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_from_sections_and_lists),
        cmocka_unit_test(other_ways_to_write_the_same_are_understood),
        cmocka_unit_test(what_is_not_given_stays_as_it_is),
        cmocka_unit_test(a_bad_value_is_told_with_file_line_and_key),
        cmocka_unit_test(an_unknown_key_is_told_with_its_line_and_neighbour),
        cmocka_unit_test(nothing_may_be_given_twice),
        cmocka_unit_test(what_hides_the_value_is_refused),
        cmocka_unit_test(what_is_no_mapping_or_no_yaml_is_refused),
        cmocka_unit_test(depth_and_size_are_bounded),
        cmocka_unit_test(who_glances_passes_over_what_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
