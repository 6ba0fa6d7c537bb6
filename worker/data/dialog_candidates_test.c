#include "worker/data/dialog_candidates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static mn_error err;

static mn_status parse(const char *text, mn_dialog_candidates *out)
{
    return mn_dialog_candidates_parse("c.txt", text, strlen(text), out, &err);
}

static void a_sentence_is_found_whatever_spaces_stand_in_it(void **state)
{
    static const char lines[] =
        "1 where should it be\n1 where  should\n\n1 api_call a b\n1 where\n";
    static const struct {
        const char *text;
        uint32_t at;
    } asked[] = {
        {"where should it be", 0},   {"where should", 1}, {"  where   should ", 1},
        {"api_call\ta b", 2},        {"where", 3},        {"where should it", UINT32_MAX},
        {"whereshould", UINT32_MAX}, {"", UINT32_MAX},    {"api_call a bc", UINT32_MAX},
        {"Where", UINT32_MAX},
    };
    mn_dialog_candidates candidates;
    (void)state;
    assert_int_equal(parse(lines, &candidates), MN_OK);
    assert_int_equal(candidates.n, 4);
    assert_int_equal(candidates.longest, 4);
    assert_string_equal(candidates.texts[1], "where should");
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        if (mn_dialog_candidates_find(&candidates, asked[i].text, strlen(asked[i].text)) !=
            asked[i].at)
            fail_msg("\"%s\" is not found at %u", asked[i].text, (unsigned)asked[i].at);
    mn_dialog_candidates_fini(&candidates);
}

static void words_are_numbered_by_a_dictionary(void **state)
{
    static const char facts[] = "1 la_tasca R_phone\tla_tasca_phone\n";
    mn_dialog_candidates candidates;
    mn_dialog_entities entities;
    mn_words *words = NULL;
    uint32_t here;
    (void)state;
    assert_int_equal(mn_words_new(&words, &err), MN_OK);
    assert_int_equal(mn_words_add(words, "here", 4, &here, &err), MN_OK);
    assert_int_equal(
        mn_dialog_entities_parse("kb.txt", facts, sizeof facts - 1, true, &entities, &err), MN_OK);
    assert_int_equal(parse("1 x\n1 Here la_tasca_phone\n", &candidates), MN_OK);
    assert_int_equal(mn_dialog_candidates_number(&candidates, words, &entities, &err), MN_OK);
    assert_int_equal(candidates.at[1].first, 1);
    assert_int_equal(candidates.at[1].n, 2);
    assert_int_equal(candidates.words[0], mn_words_count(words)); /* x is not known */
    assert_int_equal(candidates.words[1], here);
    assert_int_equal(candidates.words[2], mn_words_count(words));
    assert_int_equal(candidates.entities[1], 0);
    assert_int_equal(candidates.entities[2], 1);
    mn_dialog_candidates_fini(&candidates);
    mn_dialog_entities_fini(&entities);
    mn_words_destroy(&words);
}

static void what_is_no_list_is_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "c.txt: expected candidates"},
        {"1 a\n1 b", "c.txt:2: the file ends within this line"},
        {"1 a\nb c\n", "c.txt:2: \"b c\": expected a number, a space and a sentence"},
        {"1 a b\n1 c\n1 a  b\n", "candidate \"a b\" is there twice"},
        {"1\n", "c.txt:1: \"1\": expected a number"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mn_dialog_candidates candidates;
        assert_int_equal(parse(bad[i].text, &candidates), MN_ERR_DATA);
        if (strstr(err.message, bad[i].words) == NULL)
            fail_msg("\"%s\" instead of \"%s\"", err.message, bad[i].words);
        assert_null(candidates.texts);
    }
}

static void facts_say_of_which_types_things_are(void **state)
{
    static const char lines[] = "1 a R_food\tthai\n1 b R_area west\n1 c R_food west\n";
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"1 a R_food\n", "kb.txt:1: \"1 a R_food\": expected a number, a thing"},
        {"1 a food thai\n", "expected a number, a thing, a type that begins with R_"},
        {"1 a R_food thai x\n", "expected a number, a thing"},
        {"\n", "kb.txt: no fact"},
        {"1 a R_food tha", "kb.txt:1: the file ends within this line"},
    };
    mn_dialog_entities entities;
    (void)state;
    assert_int_equal(
        mn_dialog_entities_parse("kb.txt", lines, sizeof lines - 1, true, &entities, &err), MN_OK);
    assert_int_equal(entities.n_types, 2);
    assert_int_equal(entities.types[mn_words_find(entities.names, "thai", 4)], 1);
    assert_int_equal(entities.types[mn_words_find(entities.names, "west", 4)], 3);
    mn_dialog_entities_fini(&entities);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(mn_dialog_entities_parse("kb.txt", bad[i].text, strlen(bad[i].text), true,
                                                  &entities, &err),
                         MN_ERR_DATA);
        if (strstr(err.message, bad[i].words) == NULL)
            fail_msg("\"%s\" instead of \"%s\"", err.message, bad[i].words);
        assert_null(entities.names);
    }
    /* among lines of dialogues others are no facts, and no error */
    static const char mixed[] = "1 hi\tapi_call R_food west\n2 a R_food thai\n";
    assert_int_equal(
        mn_dialog_entities_parse("kb.txt", mixed, sizeof mixed - 1, false, &entities, &err), MN_OK);
    assert_int_equal(mn_words_count(entities.names), 2);
    mn_dialog_entities_fini(&entities);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_is_found_whatever_spaces_stand_in_it),
        cmocka_unit_test(words_are_numbered_by_a_dictionary),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(facts_say_of_which_types_things_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
