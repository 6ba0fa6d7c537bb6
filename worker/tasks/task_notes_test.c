#include "worker/tasks/task_notes.h"

#include "worker/tasks/field_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_task_set *open_set(const char *yaml)
{
    mn_experiment experiment;
    mn_task_set *set = NULL;
    mn_error err = {.message = ""};
    mn_experiment_init(&experiment);
    if (mn_experiment_parse(&experiment, "test", yaml, strlen(yaml), &err) != MN_OK ||
        mn_experiment_check(&experiment, &err) != MN_OK ||
        mn_task_set_open(&experiment, NULL, &set, &err) != MN_OK)
        fail_msg("%s: %s", yaml, err.message);
    return set;
}

static void fields_of_every_kind_come_back_from_their_notes(void **state)
{
    static const char *const kinds[] = {
        "tasks: {kind: sinusoid}\n",
        "tasks: {kind: glyphs, way: 3, way_from: 2}\nevaluate: {way: 3}\n"
        "model: {memory: class-means, output: distance}\nmeta: {kind: episodic}\n",
        "tasks: {kind: tables}\nmodel: {input: identity}\nmeta: {kind: episodic}\n",
        "tasks: {kind: sequences, way: 3, length: 6}\nmodel: {input: identity, memory: lrua, "
        "reasoning: lstm}\n"
        "meta: {kind: episodic}\n",
        "tasks: {kind: sequences, way: 5, length: 10, labels: letters}\nmodel: {input: identity, "
        "memory: lrua, reasoning: "
        "lstm}\n"
        "meta: {kind: episodic}\n",
        "tasks: {kind: generated-stories, shot: 2}\nmeta: {kind: maml}\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        mn_task_set *set = open_set(kinds[i]);
        const mn_fields *is = mn_task_set_fields(set, MN_TRAIN);
        mn_task_notes notes;
        mn_fields again;
        mn_error err = {.message = ""};
        assert_int_equal(mn_task_notes_new(set, &notes, &err), MN_OK);
        assert_string_equal(notes.at[0].key, MN_NOTE_FIELDS);
        if (mn_fields_parse(notes.at[0].value, &again, &err) != MN_OK)
            fail_msg("%s: %s", kinds[i], err.message);
        assert_int_equal(again.n, is->n);
        assert_true(again.y_size == is->y_size && again.symbols == is->symbols &&
                    again.bundle == is->bundle && again.target == is->target);
        for (uint32_t f = 0; f < is->n; f++)
            assert_memory_equal(&again.at[f], &is->at[f], sizeof is->at[f]);
        mn_task_notes_fini(&notes);
        mn_task_set_destroy(&set);
    }
}

static void words_come_back_by_their_numbers(void **state)
{
    mn_task_set *set = open_set("tasks: {kind: generated-stories}\n");
    const mn_words *is = mn_task_set_words(set);
    mn_task_notes notes;
    mn_words *again = NULL;
    mn_error err = {.message = ""};
    (void)state;
    assert_int_equal(mn_task_notes_new(set, &notes, &err), MN_OK);
    assert_true(notes.n == 2 && strcmp(notes.at[1].key, MN_NOTE_WORDS) == 0);
    assert_int_equal(mn_words_parse(notes.at[1].value, &again, &err), MN_OK);
    assert_int_equal(mn_words_count(again), mn_words_count(is));
    for (uint32_t i = 0; i < mn_words_count(is); i++)
        assert_string_equal(mn_words_text(again, i), mn_words_text(is, i));
    mn_words_destroy(&again);
    mn_task_notes_fini(&notes);
    mn_task_set_destroy(&set);
}

static void what_is_no_list_of_words_is_refused(void **state)
{
    mn_words *words = NULL;
    mn_error err = {.message = ""};
    (void)state;
    assert_int_equal(mn_words_parse("\nmary\ngarden\nMary", &words, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "\"Mary\" twice"));
    assert_int_equal(mn_words_parse("\nmary\n\ngarden", &words, &err), MN_ERR_DATA);
    assert_null(words);
    assert_int_equal(mn_words_parse("", &words, &err), MN_OK);
    assert_int_equal(mn_words_count(words), 1);
    mn_words_destroy(&words);
}

/* Fields of stories with sentences and questions of so many words. */
#define STORY(length, question)                                                                    \
    "classes 27 1 4\nquery.story 1 4 12 1 " length                                                 \
    "\nquery.age 1 4 12 1 1\nquery.mask 2 4 1 1 12\n"                                              \
    "query.question 1 4 1 1 " question "\nquery.y 0 4 1 1 27\nquery.weight 0 4 1 1 1\n"            \
    "query.point 0 4 1 1 1\n"

/* Whatever is cut or changed: fields, or a refusal, and no more memory than a task may take. */
static void text_that_is_no_fields_is_refused(void **state)
{
    static const char *const none[] = {
        "",
        "classes",
        "classes 0 1 1\n",
        "classes 2 3 1\nquery.y 0 1 1 1 2\n",
        "classes 2 1 1\nquery.y 0 1 1 1 2\n", /* nothing is known of such tasks */
        STORY("65", "4"),
        STORY("5", "65"),
        "classes 2 1 1\nsupport.x 0 1 1 1 4294967295\nsupport.y 0 1 1 1 2\nquery.x 0 1 1 1 1\n"
        "query.y 0 1 1 1 2\n"};
    mn_task_set *set = open_set("tasks: {kind: generated-stories, shot: 2}\nmeta: {kind: maml}\n");
    mn_task_notes notes;
    mn_fields fields;
    mn_error err = {.message = ""};
    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_int_not_equal(mn_fields_parse(none[i], &fields, &err), MN_OK);
        assert_true(err.message[0] != '\0');
    }
    assert_int_equal(mn_fields_parse(STORY("64", "64"), &fields, &err), MN_OK);
    assert_int_equal(mn_task_notes_new(set, &notes, &err), MN_OK);
    char *text = strdup(notes.at[0].value);
    assert_non_null(text);
    for (char *at = text; *at != '\0'; at++) {
        const char was = *at;
        *at = '9';
        (void)mn_fields_parse(text, &fields, &err);
        *at = '\0';
        (void)mn_fields_parse(text, &fields, &err);
        *at = was;
    }
    free(text);
    mn_task_notes_fini(&notes);
    mn_task_set_destroy(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_every_kind_come_back_from_their_notes),
        cmocka_unit_test(words_come_back_by_their_numbers),
        cmocka_unit_test(what_is_no_list_of_words_is_refused),
        cmocka_unit_test(text_that_is_no_fields_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
