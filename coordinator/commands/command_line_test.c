#include "coordinator/commands/command_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static mn_command_line line;
static mn_error err;

/* Words up to NULL, the command's name first. */
static mn_status read_words(unsigned takes, char *const *words)
{
    char *copy[32] = {0};
    int n = 0;
    for (; words[n] != NULL; n++)
        copy[n] = words[n];
    return mn_command_line_read(&line, n, copy, takes, &err);
}
#define WORDS(...) ((char *const[]){__VA_ARGS__, NULL})

static void options_and_arguments_may_come_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(read_words(MN_TAKES_RUN_DIR | MN_TAKES_VERBOSITY,
                                WORDS("train", "--set", "seed=1", "a.yaml", "--run-dir=r",
                                      "--quiet", "--set=pool.threads=2")),
                     MN_OK);
    assert_int_equal(line.n_arguments, 1);
    assert_string_equal(line.arguments[0], "a.yaml");
    assert_int_equal(line.n_sets, 2);
    assert_string_equal(line.sets[1], "pool.threads=2");
    assert_string_equal(line.run_dir, "r");
    assert_true(line.quiet);
    assert_int_equal(mn_command_line_level(&line), MN_LOG_WARN);
}

static void numbers_are_read_whole(void **state)
{
    (void)state;
    assert_int_equal(read_words(MN_TAKES_BENCH | MN_TAKES_THREADS | MN_TAKES_JSON | MN_TAKES_TASK |
                                    MN_TAKES_IMPORT | MN_TAKES_OUTPUT,
                                WORDS("x", "--threads", "2", "--seconds", "0.5", "--index", "77",
                                      "--size", "14", "-o", "f", "--json", "--profile")),
                     MN_OK);
    assert_int_equal(line.threads, 2);
    assert_true(line.seconds == 0.5);
    assert_int_equal(line.index, 77);
    assert_int_equal(line.size, 14);
    assert_string_equal(line.output, "f");
    assert_true(line.json);
    assert_true(line.profile);
}

static void senseless_values_are_refused_with_what_was_expected(void **state)
{
    (void)state;
    const char *const bad[][2] = {{"--threads", "0"},   {"--threads", "two"},  {"--threads", "2x"},
                                  {"--threads", "-1"},  {"--threads", "9999"}, {"--seconds", "0"},
                                  {"--seconds", "nan"}, {"--seconds", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_words(MN_TAKES_BENCH | MN_TAKES_THREADS,
                                    WORDS("bench", (char *)bad[i][0], (char *)bad[i][1])),
                         MN_ERR_USAGE);
        assert_non_null(strstr(err.message, "expected"));
        assert_non_null(strstr(err.message, bad[i][0]));
    }
}

static void options_of_other_commands_and_unknown_ones_are_named(void **state)
{
    (void)state;
    assert_int_equal(read_words(0, WORDS("evaluate", "--run-dir", "x")), MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "run-dir"));
    assert_int_equal(read_words(MN_TAKES_RUN_DIR, WORDS("train", "--frobnicate")), MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "--frobnicate"));
    assert_int_equal(read_words(MN_TAKES_RUN_DIR, WORDS("train", "--run-dir")), MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "needs a value"));
    assert_int_equal(read_words(MN_TAKES_VERBOSITY, WORDS("train", "--quiet", "--verbose")),
                     MN_ERR_USAGE);
}

static void none_of_the_alphabets_is_a_number_too(void **state)
{
    (void)state;
    assert_int_equal(read_words(MN_TAKES_ALPHABETS, WORDS("import")), MN_OK);
    assert_int_equal(line.val_alphabets, UINT32_MAX);
    assert_int_equal(read_words(MN_TAKES_ALPHABETS, WORDS("import", "--val-alphabets", "0")),
                     MN_OK);
    assert_int_equal(line.val_alphabets, 0);
    assert_int_equal(read_words(MN_TAKES_ALPHABETS, WORDS("import", "--val-alphabets=-1")),
                     MN_ERR_USAGE);
    assert_int_equal(read_words(MN_TAKES_IMPORT, WORDS("import", "--val-alphabets", "0")),
                     MN_ERR_USAGE);
}

static void too_many_words_are_refused(void **state)
{
    (void)state;
    char *words[2 * MN_MAX_ARGUMENTS + 4] = {"train"};
    for (size_t i = 1; i <= MN_MAX_ARGUMENTS + 1; i++)
        words[i] = "a";
    assert_int_equal(mn_command_line_read(&line, MN_MAX_ARGUMENTS + 2, words, 0, &err),
                     MN_ERR_USAGE);
    for (size_t i = 1; i <= MN_MAX_ARGUMENTS + 1; i++)
        words[i] = "--set=a=b";
    assert_int_equal(mn_command_line_read(&line, MN_MAX_ARGUMENTS + 2, words, 0, &err),
                     MN_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_may_come_in_any_order),
        cmocka_unit_test(numbers_are_read_whole),
        cmocka_unit_test(senseless_values_are_refused_with_what_was_expected),
        cmocka_unit_test(options_of_other_commands_and_unknown_ones_are_named),
        cmocka_unit_test(none_of_the_alphabets_is_a_number_too),
        cmocka_unit_test(too_many_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
