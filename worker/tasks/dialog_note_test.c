#include "worker/tasks/dialog_note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char words[] = "\n#1\n#2\n#bot\n#facts\n#user\ncall\nhello\nplace\nthe_place";
static const char note[] = "slots 4\nturns 2\nlongest 3\ntype R_phone\ntype R_food\n"
                           "entity 1 the_place\nentity 3 call\ncandidate hello\n"
                           "candidate call the_place\n";

static void a_book_is_read_as_it_was_written(void **state)
{
    (void)state;
    mn_dialog_book book;
    mn_fields fields;
    mn_error err = {.message = ""};
    char *again = NULL;
    assert_int_equal(mn_dialog_note_read(note, words, &book, &err), MN_OK);
    assert_int_equal(book.slots, 4);
    assert_int_equal(book.longest, 3);
    assert_int_equal(book.time, MN_TIME_TURNS);
    assert_string_equal(mn_words_text(book.words, book.turns[2]), "#2");
    assert_string_equal(mn_words_text(book.words, book.speakers[MN_SPEAKER_BOT]), "#bot");
    assert_int_equal(book.candidates.n, 2);
    assert_string_equal(book.candidates.texts[1], "call the_place");
    assert_int_equal(book.entities.types[1], 1);
    assert_int_equal(book.entities.types[2], 3);
    assert_string_equal(book.entities.type_names[1], "R_food");
    const uint32_t first = book.candidates.at[1].first;
    assert_int_equal(book.candidates.entities[first], 2);
    assert_int_equal(book.candidates.entities[first + 1], 1);
    assert_string_equal(mn_words_text(book.words, book.candidates.words[first + 1]), "the_place");
    assert_int_equal(mn_dialog_book_fields(&book, 1, &fields, &err), MN_OK);
    assert_int_equal(fields.vocabulary, 10);
    assert_int_equal(fields.y_size, 2);
    assert_int_equal(mn_dialog_note_write(&book, &again, &err), MN_OK);
    assert_string_equal(again, note);
    free(again);
    mn_dialog_book_close(&book);
}

static void without_turns_ages_tell_the_order(void **state)
{
    (void)state;
    mn_dialog_book book;
    mn_error err = {.message = ""};
    assert_int_equal(
        mn_dialog_note_read("slots 1\nturns 0\nlongest 1\ncandidate hello\n", words, &book, &err),
        MN_OK);
    assert_int_equal(book.time, MN_TIME_AGES);
    assert_int_equal(book.entities.n_types, 0);
    mn_dialog_book_close(&book);
}

/* `what` of the note becomes `instead`. */
static mn_status read_spoilt(const char *what, const char *instead, mn_error *err)
{
    mn_dialog_book book;
    char text[1000];
    const char *at = strstr(note, what);
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - note), note, instead,
                   at + strlen(what));
    mn_status status = mn_dialog_note_read(text, words, &book, err);
    mn_dialog_book_close(&book);
    return status;
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what, *instead, *words;
    } cases[] = {
        {"slots 4", "slots 0", "line 1 of the note of dialogues: expected \"slots N\""},
        {"slots 4", "slots 99999999", "expected \"slots N\""},
        {"slots 4\n", "", "lacks slots, turns or longest"},
        {"turns 2", "turns -1", "expected \"turns N\""},
        {"turns 2", "turns 3", "lacks those of a dialogue's speakers or turns"},
        {"longest 3", "longest 65", "expected \"longest N\""},
        {"entity 3 call", "entity 4 call", "with types that there are"},
        {"entity 3 call", "entity 1 the_place", "each name once"},
        {"entity 3 call", "entity 123456789 call", "expected \"entity BITS NAME\""},
        {"entity 3 call", "entity 3", "expected \"entity BITS NAME\""},
        {"entity 3 call", "entity 3 ", "with types that there are"},
        {"type R_food\nentity 1 the_place", "entity 1 the_place\ntype R_food",
         "before all entities"},
        {"candidate call the_place", "candidate hello", "twice"},
        {"candidate hello", "candidates", "line 8 of the note of dialogues: expected slots"},
        {"candidate hello\ncandidate call the_place\n", "", "candidate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_error err = {.message = ""};
        assert_int_equal(read_spoilt(cases[i].what, cases[i].instead, &err), MN_ERR_DATA);
        if (strstr(err.message, cases[i].words) == NULL)
            fail_msg("%s -> %s: %s", cases[i].what, cases[i].instead, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_book_is_read_as_it_was_written),
        cmocka_unit_test(without_turns_ages_tell_the_order),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
