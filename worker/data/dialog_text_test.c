#include "worker/data/dialog_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char candidate_lines[] = "1 hello what can i help you with\n"
                                      "1 api_call R_cuisine west\n"
                                      "1 here it is la_tasca_phone\n";
static const char two_dialogs[] = "1 Hi\thello what  can i help you with\n"
                                  "2 la_tasca R_phone la_tasca_phone\n"
                                  "3 <SILENCE>\there it is la_tasca_phone\r\n"
                                  "\n"
                                  "1 \tapi_call R_cuisine west \n";

struct bed {
    mn_words *words;
    mn_dialog_candidates candidates;
    mn_dialog_entities entities;
    mn_dialog_lexicon lexicon;
    mn_error err;
};

static int set_up(void **state)
{
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    assert_int_equal(mn_words_new(&bed->words, &bed->err), MN_OK);
    assert_int_equal(mn_dialog_candidates_parse("c.txt", candidate_lines,
                                                sizeof candidate_lines - 1, &bed->candidates,
                                                &bed->err),
                     MN_OK);
    assert_int_equal(mn_dialog_entities_parse("t.txt", two_dialogs, sizeof two_dialogs - 1, false,
                                              &bed->entities, &bed->err),
                     MN_OK);
    bed->lexicon = (mn_dialog_lexicon){.words = bed->words,
                                       .grow = true,
                                       .entities = &bed->entities,
                                       .candidates = &bed->candidates};
    *state = bed;
    return 0;
}

static int tear_down(void **state)
{
    struct bed *bed = *state;
    mn_words_destroy(&bed->words);
    mn_dialog_candidates_fini(&bed->candidates);
    mn_dialog_entities_fini(&bed->entities);
    free(bed);
    return 0;
}

static mn_status parse(struct bed *bed, const char *text, mn_dialog_text *out)
{
    return mn_dialog_text_parse("t.txt", text, strlen(text), &bed->lexicon, out, &bed->err);
}

static void is_said(const struct bed *bed, const mn_dialog_text *text, uint32_t number,
                    mn_speaker speaker, uint32_t turn, const char *expected)
{
    const mn_utterance *said = &text->utterances[number];
    char words[256] = "";
    for (uint32_t i = 0; i < said->words.n; i++) {
        const size_t at = strlen(words);
        (void)snprintf(words + at, sizeof words - at, "%s%s", i > 0 ? " " : "",
                       mn_words_text(bed->words, text->words[said->words.first + i]));
    }
    assert_string_equal(words, expected);
    assert_int_equal(said->speaker, speaker);
    assert_int_equal(said->turn, turn);
}

static void a_response_follows_what_its_dialogue_has_said(void **state)
{
    struct bed *bed = *state;
    mn_dialog_text text;
    assert_int_equal(parse(bed, two_dialogs, &text), MN_OK);
    assert_int_equal(text.n_dialogs, 2);
    assert_int_equal(text.n_responses, 3);
    assert_int_equal(text.n_utterances, 7);
    is_said(bed, &text, 0, MN_SPEAKER_USER, 1, "hi");
    is_said(bed, &text, 1, MN_SPEAKER_BOT, 1, "hello what can i help you with");
    is_said(bed, &text, 2, MN_SPEAKER_FACTS, 2, "la_tasca r_phone la_tasca_phone");
    is_said(bed, &text, 3, MN_SPEAKER_USER, 3, "<silence>");
    is_said(bed, &text, 4, MN_SPEAKER_BOT, 3, "here it is la_tasca_phone");
    is_said(bed, &text, 5, MN_SPEAKER_USER, 1, ""); /* a user may say nothing */
    const mn_dialog_response expected[] = {{0, 0, 0}, {0, 3, 2}, {5, 0, 1}};
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(text.responses[i].first, expected[i].first);
        assert_int_equal(text.responses[i].n_so_far, expected[i].n_so_far);
        assert_int_equal(text.responses[i].answer, expected[i].answer);
    }
    assert_int_equal(text.dialogs[0].n, 2);
    assert_int_equal(text.dialogs[1].first, 2);
    assert_int_equal(text.longest_history, 3);
    assert_int_equal(text.longest_utterance, 7);
    assert_int_equal(text.last_turn, 3);
    assert_int_equal(text.most_responses, 2);
    mn_dialog_text_fini(&text);
}

static void entities_are_told_apart_from_other_words(void **state)
{
    struct bed *bed = *state;
    mn_dialog_text text;
    assert_int_equal(bed->entities.n_types, 1);
    assert_string_equal(bed->entities.type_names[0], "R_phone");
    assert_int_equal(parse(bed, two_dialogs, &text), MN_OK);
    const mn_babi_words *bot = &text.utterances[4].words;
    const uint32_t phone = text.entities[bot->first + 3];
    assert_string_equal(mn_words_text(bed->entities.names, phone), "la_tasca_phone");
    assert_int_equal(bed->entities.types[phone], 1);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(text.entities[bot->first + i], 0);
    mn_dialog_text_fini(&text);
}

static void words_that_training_lacks_have_the_number_after_the_last(void **state)
{
    struct bed *bed = *state;
    mn_dialog_text text;
    assert_int_equal(parse(bed, two_dialogs, &text), MN_OK);
    mn_dialog_text_fini(&text);
    const uint32_t known = mn_words_count(bed->words);
    bed->lexicon.grow = false;
    assert_int_equal(parse(bed, "1 hi stranger\tapi_call R_cuisine west\n", &text), MN_OK);
    assert_int_equal(text.words[1], known);
    assert_int_equal(mn_words_count(bed->words), known);
    mn_dialog_text_fini(&text);
}

static void what_is_no_dialogue_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"1 hi\thello what can i help you with\n2 <SIL", "t.txt:2: the file ends within this line"},
        {"1 hi\thello what can i help you with\n2 <SILENCE>\n", "a line with a tab and the bot"},
        {"1 hi\n\n1 hi\thello what can i help you with\n",
         "t.txt:2: \"\": expected a line with a tab"},
        {"1 hi\n1 hi\thello what can i help you with\n", "t.txt:2: \"1 hi"},
        {"1 hi\tgood bye\n",
         "t.txt:1: \"good bye\": expected an answer that is one of the candidates"},
        {"1 hi\t\n", "t.txt:1: \"\": expected what the bot answers"},
        {"1 hi\thello what can i help you with\tx\n", "expected one tab"},
        {"hi\thello what can i help you with\n", "t.txt:1: \"hi"},
        {"1 hi\thello what can i help you with\n3 hi\tapi_call R_cuisine west\n",
         "expected line 2 of a dialogue of at most 8192, or 1 for a new one"},
        {"2 hi\thello what can i help you with\n", "expected line 1 of a dialogue"},
        {"1 h\x01\thello what can i help you with\n", "without control characters"},
        {"", "t.txt: expected dialogues"},
        {"\n\n", "t.txt: expected dialogues"},
    };
    struct bed *bed = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mn_dialog_text text;
        assert_int_equal(parse(bed, bad[i].text, &text), MN_ERR_DATA);
        if (strstr(bed->err.message, bad[i].words) == NULL)
            fail_msg("\"%s\": \"%s\" instead of \"%s\"", bad[i].text, bed->err.message,
                     bad[i].words);
        assert_null(text.words);
        assert_int_equal(text.n_dialogs, 0);
    }
}

static void sizes_are_bounded(void **state)
{
    struct bed *bed = *state;
    char words[3 * MN_DIALOG_MAX_LENGTH + 64], letters[MN_WORD_BYTES + 64];
    mn_dialog_text text;
    size_t at = (size_t)snprintf(words, sizeof words, "1");
    for (unsigned i = 0; i <= MN_DIALOG_MAX_LENGTH; i++)
        at += (size_t)snprintf(words + at, sizeof words - at, " w");
    (void)snprintf(words + at, sizeof words - at, "\tapi_call R_cuisine west\n");
    assert_int_equal(parse(bed, words, &text), MN_ERR_DATA);
    assert_string_equal(bed->err.message, "t.txt:1: an utterance of more than 64 words");

    (void)snprintf(letters, sizeof letters, "1 %0*d\tapi_call R_cuisine west\n", MN_WORD_BYTES, 0);
    assert_int_equal(parse(bed, letters, &text), MN_ERR_DATA);
    assert_non_null(strstr(bed->err.message, "t.txt:1: a word of 64 letters"));
}

static void a_dialogue_has_only_so_many_responses(void **state)
{
    struct bed *bed = *state;
    const size_t room = (size_t)(MN_DIALOG_MAX_RESPONSES + 1) * 48;
    char *lines = malloc(room);
    mn_dialog_text text;
    size_t at = 0;
    assert_non_null(lines);
    for (unsigned i = 1; i <= MN_DIALOG_MAX_RESPONSES + 1; i++)
        at += (size_t)snprintf(lines + at, room - at, "%u hi\tapi_call R_cuisine west\n", i);
    assert_int_equal(parse(bed, lines, &text), MN_ERR_DATA);
    assert_non_null(strstr(bed->err.message, "t.txt:513: more than 512 responses"));
    free(lines);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_response_follows_what_its_dialogue_has_said),
        TEST(entities_are_told_apart_from_other_words),
        TEST(words_that_training_lacks_have_the_number_after_the_last),
        TEST(what_is_no_dialogue_is_refused_with_its_line),
        TEST(sizes_are_bounded),
        TEST(a_dialogue_has_only_so_many_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
