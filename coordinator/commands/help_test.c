#include "coordinator/commands/help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What is printed on a topic. */
static char *told(const char *topic)
{
    char *text = NULL;
    size_t n = 0;
    mn_error err = {0};
    FILE *real = stdout;
    stdout = open_memstream(&text, &n);
    assert_non_null(stdout);
    mn_status status = mn_help(topic, &err);
    (void)fclose(stdout);
    stdout = real;
    if (status != MN_OK)
        fail_msg("%s", err.message);
    return text;
}

static size_t lines_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void a_command_tells_its_own_options_in_a_screenful(void **state)
{
    (void)state;
    static const char *const names[] = {"train", "task", "ask", "data", "keys", "bench", "top", ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *text = told(names[i]);
        assert_true(lines_of(text) <= 40);
        assert_null(strstr(text, "outer.lr"));
        free(text);
    }
    char *data = told("data"), *train = told("train");
    assert_non_null(strstr(data, "usage: mnemo data import folder DIR|ZIP|TAR -o FILE"));
    assert_non_null(strstr(data, "--min-images N"));
    assert_null(strstr(train, "--min-images"));
    free(data);
    free(train);
}

static void keys_sections_and_all_are_topics(void **state)
{
    (void)state;
    char *key = told("tasks.shot"), *section = told("outer"), *both = told("evaluate");
    char *codes = told("codes"), *options = told("options"), *all = told("all");
    assert_int_equal(lines_of(key), 3); /* what it is, its range, who reads it */
    assert_non_null(strstr(section, "outer.lr_factor"));
    assert_non_null(strstr(both, "usage: mnemo evaluate RUN"));
    assert_non_null(strstr(both, "evaluate.val_tasks"));
    assert_non_null(strstr(codes, "  78  bad experiment"));
    static const char *const in_all[] = {"--skip-damaged", "  78  bad experiment", "run.pictures"};
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr(all, in_all[i]));
    assert_non_null(strstr(options, "run.pictures"));
    free(key);
    free(section);
    free(both);
    free(codes);
    free(options);
    free(all);
}

static void an_unknown_topic_is_told_with_the_nearest(void **state)
{
    (void)state;
    mn_error err = {0};
    assert_int_equal(mn_help("taks.shot", &err), MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "did you mean \"tasks.shot\""));
    assert_non_null(strstr(err.message, "`mnemo help` lists the topics"));
}

static void the_lists_of_commands_have_all_of_them(void **state)
{
    (void)state;
    mn_error err = {0};
    char *topics = told("topics");
    const char *name;
    assert_int_equal(mn_help_unknown("tarin", &err), MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "\"tarin\": expected train, "));
    for (size_t i = 0; (name = mn_help_command(i, NULL)) != NULL; i++) {
        assert_non_null(strstr(topics, name));
        assert_non_null(strstr(err.message, name));
    }
    assert_non_null(strstr(topics, "complete\n"));
    free(topics);
}

static void help_is_asked_for_anywhere_before_two_dashes(void **state)
{
    (void)state;
    char *words[] = {"import", "folder", "--help"}, *after[] = {"a", "--", "--help"};
    assert_true(mn_help_is_asked(3, words));
    assert_false(mn_help_is_asked(2, words));
    assert_false(mn_help_is_asked(3, after));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_tells_its_own_options_in_a_screenful),
        cmocka_unit_test(keys_sections_and_all_are_topics),
        cmocka_unit_test(an_unknown_topic_is_told_with_the_nearest),
        cmocka_unit_test(the_lists_of_commands_have_all_of_them),
        cmocka_unit_test(help_is_asked_for_anywhere_before_two_dashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
