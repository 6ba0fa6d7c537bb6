#include "worker/data/story_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const mn_story_limits limits = {5, 4};

/* A dictionary as of training. */
static mn_words *trained(void)
{
    static const char *const known[] = {"mary", "went", "to", "the",    "kitchen",
                                        "john", "took", "is", "garden", "where"};
    mn_words *words = NULL;
    uint32_t number;
    assert_int_equal(mn_words_new(&words, NULL), MN_OK);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(mn_words_add(words, known[i], strlen(known[i]), &number, NULL), MN_OK);
    return words;
}

static mn_status parse(const char *text, mn_words *words, mn_story_text *out, mn_error *err)
{
    return mn_story_text_parse("story.txt", text, strlen(text), &limits, words, out, err);
}

static void sentences_and_questions_are_read_as_a_person_writes_them(void **state)
{
    (void)state;
    mn_words *words = trained();
    mn_story_text text;
    mn_error err = {.message = ""};
    assert_int_equal(parse("Mary went to the kitchen.\r\n\n  john took the milk\nWhere is Mary?\n"
                           "Mary went to the garden.\nwhere is the milk?\tGarden",
                           words, &text, &err),
                     MN_ERR_DATA); /* cut within its last line */
    assert_non_null(strstr(err.message, "story.txt:6: "));
    mn_words_destroy(&words); /* which has grown */
    words = trained();
    assert_int_equal(parse("Mary went to the kitchen.\r\n\n  john took the milk\nWhere is Mary?\n"
                           "Mary went to the garden.\nwhere is the milk?\tGarden\n",
                           words, &text, &err),
                     MN_OK);
    assert_int_equal(text.n_stories, 1);
    assert_int_equal(text.n_sentences, 3);
    assert_int_equal(text.n_questions, 2);
    assert_int_equal(text.questions[0].n_so_far, 2);
    assert_int_equal(text.questions[0].line, 4);
    assert_int_equal(text.questions[0].answer, 0);
    assert_int_equal(text.questions[1].n_so_far, 3);
    assert_string_equal(mn_words_text(words, text.questions[1].answer), "garden");
    assert_int_equal(text.sentences[1].n, 4);
    assert_string_equal(mn_words_text(words, text.words[text.sentences[1].first + 3]), "milk");
    assert_int_equal(text.n_new, 1); /* milk, once */
    assert_int_equal(text.new_words[0].number, 11);
    assert_int_equal(text.new_words[0].line, 3);
    mn_story_text_fini(&text);
    mn_words_destroy(&words);
}

static void numbered_lines_are_stories_of_their_own(void **state)
{
    (void)state;
    mn_words *words = trained();
    mn_story_text text;
    mn_error err = {.message = ""};
    assert_int_equal(parse("1 Mary went to the kitchen.\n2 Where is Mary?\tkitchen\t1\n"
                           "1 John went to the garden.\n2 Where is John?\tgarden\t1\n",
                           words, &text, &err),
                     MN_OK);
    assert_int_equal(text.n_stories, 2);
    assert_int_equal(text.questions[1].first_sentence, 1);
    assert_int_equal(text.questions[1].n_so_far, 1);
    assert_int_equal(text.n_new, 0);
    assert_int_equal(mn_story_text_ask(&text, "where is john", &limits, words, &err), MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "story.txt holds 2 stories"));
    mn_story_text_fini(&text);
    /* Without a first 1, a number is a word. */
    assert_int_equal(parse("2 went to the kitchen.\n3 took the milk.\n", words, &text, &err),
                     MN_OK);
    assert_int_equal(text.sentences[0].n, 5);
    mn_story_text_fini(&text);
    mn_words_destroy(&words);
}

static void more_may_be_asked_about_one_story(void **state)
{
    (void)state;
    mn_words *words = trained();
    mn_story_text text;
    mn_error err = {.message = ""};
    assert_int_equal(parse("mary went to the kitchen.\n", words, &text, &err), MN_OK);
    assert_int_equal(mn_story_text_ask(&text, "Where is Mary", &limits, words, &err), MN_OK);
    assert_int_equal(mn_story_text_ask(&text, "where is waldo ?", &limits, words, &err), MN_OK);
    assert_int_equal(text.n_questions, 2);
    assert_int_equal(text.questions[1].n_so_far, 1);
    assert_int_equal(text.questions[1].words.n, 3);
    assert_int_equal(text.n_new, 1);
    assert_int_equal(text.new_words[0].line, 0);
    static const struct {
        const char *question, *words;
    } cases[] = {
        {"", "expected words in it"},
        {" ?", "expected words in it"},
        {"where is the big kitchen?", "a question of at most 4 words"},
        {"where is mary? where is john?", "one question a line"},
        {"where is \x01?", "\"\\x01\" in a sentence"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mn_story_text_ask(&text, cases[i].question, &limits, words, &err),
                         MN_ERR_USAGE);
        if (strstr(err.message, cases[i].words) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.message, cases[i].words);
    }
    assert_int_equal(text.n_questions, 2);
    mn_story_text_fini(&text);
    mn_words_destroy(&words);
}

static void what_is_no_story_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "story.txt: is empty; expected a story"},
        {"\n \n", "story.txt: holds no sentence"},
        {"where is mary?\n", "story.txt:1: \"where is mary?\": expected a sentence of the story"},
        {"mary went to the kit", "story.txt:1: \"mary went to the kit\": expected a '.' or '?'"},
        {"mary went to the big kitchen.\n", "story.txt:1: \"mary went to the big kitchen.\": "
                                            "expected a sentence of at most 5 words"},
        {"mary went.\nis mary in the kitchen?\n", "story.txt:2: \"is mary in the kitchen?\": "
                                                  "expected a question of at most 4 words"},
        {"mary went. john went.\n", "one sentence or one question a line"},
        {"\x7f"
         "ELF\x02\x01\n",
         "story.txt:1: \"\\x7f\" in a sentence"},
        {"mary went.\tkitchen\n", "expected a question that ends in '?' before the tab"},
        {"mary went.\nwhere is mary?\t\n", "expected an answer"},
        {"mary went.\nwhere is mary?\tthe kitchen\n", "\"the kitchen\": expected an answer of one"},
        {"1 mary went.\n3 john went.\n", "story.txt:2: \"3 john went.\": expected line 2"},
        {"1 mary went.\njohn went.\n", "story.txt:2: \"john went.\": expected line 2"},
        {"1 mary went.\n1 where is mary?\n", "expected a sentence of the story before the first"},
        {".\n", "\".\": expected words in it"},
        {"mary supercalifragilisticexpialidociousandmorestillandyetmoreuntilitends.\n",
         "story.txt:1: a word of"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_words *words = trained();
        mn_story_text text;
        mn_error err = {.message = ""};
        assert_int_equal(parse(cases[i].text, words, &text, &err), MN_ERR_DATA);
        if (strstr(err.message, cases[i].words) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.message, cases[i].words);
        assert_null(text.sentences);
        mn_words_destroy(&words);
    }
    mn_words *words = trained();
    mn_story_text text;
    assert_int_equal(mn_story_text_parse("story.txt", "a\0b.\n", 5, &limits, words, &text, NULL),
                     MN_ERR_DATA);
    assert_int_equal(mn_story_text_read("no-such-story.txt", &limits, words, &text, NULL),
                     MN_ERR_NO_INPUT);
    mn_words_destroy(&words);
}

static void a_copy_of_a_dictionary_grows_alone(void **state)
{
    (void)state;
    mn_words *words = trained(), *copy = NULL;
    uint32_t number = 0;
    assert_int_equal(mn_words_copy(words, &copy, NULL), MN_OK);
    assert_int_equal(mn_words_count(copy), mn_words_count(words));
    for (uint32_t i = 0; i < mn_words_count(words); i++)
        assert_string_equal(mn_words_text(copy, i), mn_words_text(words, i));
    assert_int_equal(mn_words_add(copy, "milk", 4, &number, NULL), MN_OK);
    assert_int_equal(number, mn_words_count(words));
    assert_int_equal(mn_words_find(words, "milk", 4), 0);
    mn_words_destroy(&words);
    mn_words_destroy(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_and_questions_are_read_as_a_person_writes_them),
        cmocka_unit_test(numbered_lines_are_stories_of_their_own),
        cmocka_unit_test(more_may_be_asked_about_one_story),
        cmocka_unit_test(what_is_no_story_is_refused_with_its_line),
        cmocka_unit_test(a_copy_of_a_dictionary_grows_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
