#include "worker/data/import/sample_data.h"
#include "worker/tasks/dialog_book.h"
#include "worker/tasks/story_bed.h"

#include <stdlib.h>
#include <sys/stat.h>

/* A small folder of one set: training has 6 dialogues of two responses, of which the second, after a
 * fact, gives the telephone number of restaurant r; test has dialogues of one and of four responses,
 * tst-OOV one with a restaurant that training lacks. */
enum { N_TRAIN = 6, RESTAURANTS = 8, CANDIDATES = RESTAURANTS + 2 };

static void write_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "dialogs/%s", name);
    sample_write(path, text, strlen(text));
}

static void write_set(void)
{
    static char text[16384];
    size_t at = 0;
#define ADD(...) (at += (size_t)snprintf(text + at, sizeof text - at, __VA_ARGS__))
#define WRITE(name) (write_file(name, text), at = 0)
    assert_int_equal(mkdir("dialogs", 0700), 0);
    ADD("1 hello\n1 goodbye\n");
    for (unsigned r = 0; r < RESTAURANTS; r++)
        ADD("1 call r%u_phone\n", r);
    WRITE("dialog-babi-candidates.txt");
    for (unsigned r = 0; r < RESTAURANTS; r++)
        ADD("1 r%u R_phone\tr%u_phone\n", r, r);
    WRITE("dialog-babi-kb-all.txt");
    for (unsigned r = 0; r < N_TRAIN; r++)
        ADD("1 hi d%u\thello\n2 r%u R_phone r%u_phone\n3 what phone\tcall r%u_phone\n\n", r, r, r,
            r);
    WRITE("dialog-babi-task1-calls-trn.txt");
    ADD("1 hi\thello\n2 bye\tgoodbye\n\n");
    WRITE("dialog-babi-task1-calls-dev.txt");
    ADD("1 hi\thello\n\n1 hi\thello\n2 r1 R_phone r1_phone\n3 what phone\tcall r1_phone\n"
        "4 what phone the what phone the\tcall r1_phone\n5 bye\tgoodbye\n");
    WRITE("dialog-babi-task1-calls-tst.txt");
    ADD("1 r7 R_phone r7_phone\n2 what phone\tcall r7_phone\n");
    WRITE("dialog-babi-task1-calls-tst-OOV.txt");
#undef ADD
#undef WRITE
}

static int enter(void **state)
{
    const int failed = sample_enter_folder(state);
    if (failed == 0)
        write_set();
    return failed;
}

static const char common[] = "tasks: {kind: dialogues, data: dialogs, bundle: 4}\n"
                             "run: {data_path: .}\n";

static mn_task_set *open_set(const char *const *more)
{
    return story_open(common, more);
}

static const char *right_answer(const mn_task_set *set, const mn_task *task, uint32_t item)
{
    const float *y = story_item(task, MN_QUERY, "y", item);
    return mn_task_set_answers(set)[mn_label_of(task->fields.y_size, y)];
}

static float weight_of(const mn_task *task, uint32_t item)
{
    return *story_item(task, MN_QUERY, "weight", item);
}

static void a_test_task_is_a_whole_dialogue(void **state)
{
    mn_task_set *set = open_set(NULL);
    const mn_words *words = mn_task_set_words(set);
    mn_task *task = story_draw(set, MN_TEST, 1);
    char text[512];
    (void)state;
    assert_true(mn_task_set_size(set, MN_TEST) == 2 && mn_task_set_size(set, MN_VAL) == 1);
    assert_true(mn_task_set_size(set, MN_TRAIN) == 0);
    assert_string_equal(task->fields.whole, "dialog");
    assert_int_equal(task->fields.bundle, 4); /* the most responses of a dialogue */
    assert_int_equal(task->fields.y_size, CANDIDATES);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(weight_of(task, i) == 0.25f);
    assert_string_equal(right_answer(set, task, 0), "hello");
    assert_string_equal(right_answer(set, task, 1), "call r1_phone");
    assert_string_equal(right_answer(set, task, 3), "goodbye");
    story_question(task, MN_QUERY, 1, words, text);
    assert_string_equal(text, "what phone");
    story_sentence(task, MN_QUERY, 1, 0, words, text);
    assert_string_equal(text, "hi #user #1");
    story_sentence(task, MN_QUERY, 1, 1, words, text);
    assert_string_equal(text, "hello #bot #1");
    story_sentence(task, MN_QUERY, 1, 2, words, text);
    assert_string_equal(text, "r1 r_phone r1_phone #facts #2");
    assert_true(story_item(task, MN_QUERY, "mask", 1)[2] == 1);
    assert_null(mn_fields_find(&task->fields, MN_QUERY, "age"));
    mn_task_destroy(&task);

    task = story_draw(set, MN_TEST, 0); /* a short one is padded */
    assert_true(weight_of(task, 0) == 1 && weight_of(task, 1) == 0);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

/* Memory is as long as training's longest history, 3: of what is longer the newest stays; a word that
 * training lacks, and a turn, read as nothing; and of words, as many as training's longest has. */
static void what_training_does_not_reach_is_left_out(void **state)
{
    mn_task_set *set = open_set(NULL);
    const mn_words *words = mn_task_set_words(set);
    mn_task *task = story_draw(set, MN_TEST, 1);
    char text[512];
    (void)state;
    assert_int_equal(mn_story_slots(&task->fields), 3);
    story_sentence(task, MN_QUERY, 3, 0, words, text);
    assert_string_equal(text, "call r1_phone #bot #3");
    story_sentence(task, MN_QUERY, 3, 1, words, text);
    assert_string_equal(text, "what phone ? #user ?"); /* "the"; turn 4; three words at most */
    story_question(task, MN_QUERY, 2, words, text);
    assert_string_equal(text, "what phone ?");
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void training_shows_each_response_once_before_any_again(void **state)
{
    mn_task_set *set = open_set((const char *const[]){"tasks.bundle=3", NULL});
    unsigned seen[CANDIDATES] = {0};
    (void)state;
    for (uint64_t index = 0; index < 8; index++) { /* 24 of 12 responses: twice */
        mn_task *task = story_draw(set, MN_TRAIN, index);
        assert_int_equal(task->fields.bundle, 3);
        for (uint32_t i = 0; i < 3; i++) {
            assert_true(weight_of(task, i) == 1.0f / 3);
            seen[mn_label_of(CANDIDATES, story_item(task, MN_QUERY, "y", i))]++;
        }
        mn_task_destroy(&task);
        if (index == 3)
            assert_int_equal(seen[0], N_TRAIN);
    }
    assert_int_equal(seen[0], 2 * N_TRAIN);
    assert_int_equal(seen[1], 0);
    for (uint32_t r = 0; r < RESTAURANTS; r++)
        assert_int_equal(seen[2 + r], r < N_TRAIN ? 2 : 0);
    mn_task_set_destroy(&set);
}

static void candidate_words(const mn_task *task, const mn_words *words, uint32_t number,
                            char out[512])
{
    const mn_field *field = mn_fields_find(&task->fields, MN_SHARED, "candidates");
    story_text(words, task->block + field->offset + number * mn_field_item(field), field->channels,
               out);
}

static void words_of_candidates_alone_are_known_if_asked_for(void **state)
{
    const char *const more[] = {"tasks.vocabulary=candidates", "tasks.oov=true", NULL};
    mn_task_set *plain = open_set(more + 1), *wide = open_set(more);
    mn_task *task = story_draw(plain, MN_TEST, 0), *with = story_draw(wide, MN_TEST, 0);
    char text[512];
    (void)state;
    candidate_words(task, mn_task_set_words(plain), 1, text);
    assert_string_equal(text, "?"); /* goodbye */
    candidate_words(task, mn_task_set_words(plain), 9, text);
    assert_string_equal(text, "call ?");
    candidate_words(with, mn_task_set_words(wide), 9, text);
    assert_string_equal(text, "call r7_phone");
    story_sentence(with, MN_QUERY, 0, 0, mn_task_set_words(wide), text);
    assert_string_equal(text, "? r_phone r7_phone #facts #1");
    assert_int_equal(task->fields.vocabulary, mn_words_count(mn_task_set_words(plain)));
    mn_task_destroy(&task);
    mn_task_destroy(&with);
    mn_task_set_destroy(&plain);
    mn_task_set_destroy(&wide);
}

/* An entity that has no vector matches all the same. */
static void candidates_tell_of_types_that_they_share_with_the_dialogue(void **state)
{
    mn_task_set *set = open_set((const char *const[]){"tasks.match=true", "tasks.oov=true", NULL});
    mn_task *task = story_draw(set, MN_TEST, 0);
    const float *match = story_item(task, MN_QUERY, "match", 0);
    (void)state;
    assert_int_equal(mn_fields_find(&task->fields, MN_QUERY, "match")->height, 1);
    for (uint32_t c = 0; c < CANDIDATES; c++)
        assert_true(match[c] == (c == 9 ? 1 : 0));
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

/* Two responses of tst come after more than training's three. */
static void what_is_left_out_is_told(void **state)
{
    mn_task_set *set = open_set(NULL);
    mn_task *task = story_draw(set, MN_TEST, 1);
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    (void)state;
    assert_non_null(out);
    mn_task_set_describe(set, task, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "10 candidates, memory of the latest 3 utterances and facts"));
    assert_non_null(strstr(text, "2 responses of the files come after more: the oldest of it is"));
    assert_non_null(strstr(text, "  user  what phone\n   bot  call r1_phone\n"));
    free(text);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void ages_may_tell_the_time(void **state)
{
    mn_task_set *set = open_set((const char *const[]){"tasks.time=ages", NULL});
    mn_task *task = story_draw(set, MN_TEST, 1);
    char text[512];
    (void)state;
    assert_int_equal(story_told(task, MN_QUERY, 1), 3);
    assert_true(story_item(task, MN_QUERY, "age", 1)[0] == 3);
    story_sentence(task, MN_QUERY, 1, 0, mn_task_set_words(set), text);
    assert_string_equal(text, "hi #user");
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void both_tests_have_one_digest_and_the_same_fields(void **state)
{
    mn_task_set *one = open_set(NULL);
    mn_task_set *other = open_set((const char *const[]){"tasks.oov=true", NULL});
    const mn_digest a = mn_task_set_data_digest(one), b = mn_task_set_data_digest(other);
    (void)state;
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(
        mn_fields_equal(mn_task_set_fields(one, MN_TEST), mn_task_set_fields(other, MN_TEST)));
    mn_task_set_destroy(&one);
    mn_task_set_destroy(&other);
}

static void is_refused(const char *yaml, const char *assignment, mn_status expected,
                       const char *words)
{
    const char *const more[] = {assignment, NULL};
    mn_experiment experiment;
    mn_task_set *set = NULL;
    mn_error err = {0};
    story_experiment(&experiment, yaml, assignment != NULL ? more : NULL);
    assert_int_equal(mn_task_set_open(&experiment, NULL, &set, &err), expected);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" instead of \"%s\"", err.message, words);
    assert_null(set);
}

static void what_is_not_there_is_told(void **state)
{
    (void)state;
    is_refused(common, "tasks.dialog=3", MN_ERR_NO_INPUT,
               "dialogs has no file dialog-babi-task3-...-trn.txt");
    is_refused(common, "tasks.data=nowhere", MN_ERR_NO_INPUT, "no folder nowhere of dialogues");
    write_file("dialog-babi-task1-calls-dev.txt", "1 hi\tgood day\n");
    is_refused(common, NULL, MN_ERR_DATA,
               "task1-calls-dev.txt:1: \"good day\": expected an answer that is one of");
    write_file("dialog-babi-task1-calls-dev.txt", "1 hi\thello\n");
    assert_int_equal(remove("dialogs/dialog-babi-task1-calls-tst-OOV.txt"), 0);
    is_refused(common, "tasks.oov=true", MN_ERR_CONFIG, "tasks.oov asks for");
    write_file("dialog-babi-task1-other-tst.txt", "1 hi\thello\n");
    is_refused(common, NULL, MN_ERR_DATA, "are both the same file of a set");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, sample_leave_folder)
    const struct CMUnitTest tests[] = {
        TEST(a_test_task_is_a_whole_dialogue),
        TEST(what_training_does_not_reach_is_left_out),
        TEST(training_shows_each_response_once_before_any_again),
        TEST(words_of_candidates_alone_are_known_if_asked_for),
        TEST(candidates_tell_of_types_that_they_share_with_the_dialogue),
        TEST(what_is_left_out_is_told),
        TEST(ages_may_tell_the_time),
        TEST(both_tests_have_one_digest_and_the_same_fields),
        TEST(what_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
