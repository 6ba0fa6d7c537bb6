#include "worker/data/babi_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_status parse(const char *text, size_t n, mn_words *words, mn_babi_text *out,
                       mn_error *err)
{
    return mn_babi_text_parse("stories.txt", text, n, words, true, out, err);
}

static void stories_are_read(void **unused)
{
    static const char text[] = "1 Mary went to the kitchen.\n"
                               "2 John took the milk.\n"
                               "3 Where is Mary?\tkitchen\t1\n"
                               "4 John went home.\n"
                               "5 What is John carrying?\tmilk\t2\n"
                               "1 Sandra went home.\n"
                               "2 Where is Sandra?\thome\t1\n";
    mn_babi_text story;
    mn_words *words = NULL;
    mn_error err;
    (void)unused;
    assert_int_equal(mn_words_new(&words, &err), MN_OK);
    assert_int_equal(parse(text, strlen(text), words, &story, &err), MN_OK);
    assert_int_equal(story.n_sentences, 4);
    assert_int_equal(story.n_questions, 3);
    assert_int_equal(story.longest_story, 3);
    assert_int_equal(story.longest_sentence, 5);
    assert_int_equal(story.longest_question, 4);
    const mn_babi_question *second = &story.questions[1], *third = &story.questions[2];
    assert_int_equal(second->first_sentence, 0);
    assert_int_equal(second->n_so_far, 3); /* questions are no sentences */
    assert_string_equal(mn_words_text(words, second->answer), "milk");
    assert_int_equal(third->first_sentence, 3); /* of a story of its own */
    assert_int_equal(third->n_so_far, 1);
    const mn_babi_words *first = &story.sentences[0];
    assert_string_equal(mn_words_text(words, story.words[first->first]), "mary");
    assert_string_equal(mn_words_text(words, story.words[first->first + first->n - 1]), "kitchen");
    mn_babi_text_fini(&story);
    mn_words_destroy(&words);
}

static void what_is_garbled_is_refused_with_its_line(void **unused)
{
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"", "stories.txt"},
        {"Mary went home.\n", "stories.txt:1"},
        {"2 Mary went home.\n", "stories.txt:1"},
        {"1 Mary went home.\n3 Where is Mary?\thome\t1\n", "stories.txt:2"},
        {"1 Mary went home.\n2 Where is Mary?\n", "stories.txt:2"},
        {"1 Mary went home.\n2 Where is Mary?\t\t1\n", "stories.txt:2"},
        {"1 Mary went home.\n2 Where is Mary?\thome\t9\n", "stories.txt:2"},
        {"1 Mary w\x01nt home.\n2 Where is Mary?\thome\t1\n", "stories.txt:1"},
        {"99999999999999999999 Mary went home.\n", "stories.txt:1"},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_babi_text story;
        mn_words *words = NULL;
        mn_error err = {0};
        assert_int_equal(mn_words_new(&words, &err), MN_OK);
        if (parse(cases[i].text, strlen(cases[i].text), words, &story, &err) != MN_ERR_DATA)
            fail_msg("case %zu was not refused: %s", i, cases[i].text);
        if (strstr(err.message, cases[i].where) == NULL)
            fail_msg("case %zu: \"%s\" does not say %s", i, err.message, cases[i].where);
        mn_words_destroy(&words);
    }
}

/* Cut anywhere, a file is read or refused, never read beyond its end (under the sanitizers). */
static void a_cut_file_is_never_read_beyond_its_end(void **unused)
{
    static const char text[] = "1 Mary went to the kitchen.\n2 Where is Mary?\tkitchen\t1\n";
    (void)unused;
    for (size_t n = 0; n < strlen(text); n++) {
        mn_babi_text story;
        mn_words *words = NULL;
        mn_error err = {0};
        char *cut = malloc(n + 1);
        assert_non_null(cut);
        memcpy(cut, text, n);
        char *exact = realloc(cut, n > 0 ? n : 1);
        assert_non_null(exact);
        assert_int_equal(mn_words_new(&words, &err), MN_OK);
        const mn_status status = parse(exact, n, words, &story, &err);
        assert_true(status == MN_OK || status == MN_ERR_DATA);
        if (n < 40)
            assert_int_equal(status, MN_ERR_DATA); /* without its question it is no set */
        if (status == MN_OK)
            mn_babi_text_fini(&story);
        mn_words_destroy(&words);
        free(exact);
    }
}

static void words_have_numbers_by_their_order(void **unused)
{
    mn_words *words = NULL;
    uint32_t number, again, *renamed = NULL;
    mn_error err;
    (void)unused;
    assert_int_equal(mn_words_new(&words, &err), MN_OK);
    assert_int_equal(mn_words_add(words, "milk", 4, &number, &err), MN_OK);
    assert_int_equal(number, 1);
    assert_int_equal(mn_words_add(words, "Apple", 5, &number, &err), MN_OK);
    assert_int_equal(mn_words_add(words, "aPPLE", 5, &again, &err), MN_OK);
    assert_int_equal(number, again);
    assert_int_equal(mn_words_count(words), 3);
    assert_int_equal(mn_words_sort(words, &renamed, &err), MN_OK);
    assert_int_equal(renamed[1], 2);
    assert_int_equal(renamed[2], 1);
    assert_string_equal(mn_words_text(words, 1), "apple");
    assert_int_equal(mn_words_find(words, "MILK", 4), 2);
    assert_int_equal(mn_words_find(words, "cow", 3), 0);
    assert_string_equal(mn_words_near(words, "mlik"), "milk");
    assert_int_equal(mn_words_add(words, "", 0, &number, &err), MN_ERR_DATA);
    free(renamed);
    mn_words_destroy(&words);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(stories_are_read),
        cmocka_unit_test(what_is_garbled_is_refused_with_its_line),
        cmocka_unit_test(a_cut_file_is_never_read_beyond_its_end),
        cmocka_unit_test(words_have_numbers_by_their_order),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
