#include "worker/data/import/sample_data.h"
#include "worker/tasks/story_bed.h"

#include <stdlib.h>
#include <sys/stat.h>

/* A small folder of two sets. Each question asks for a word of its own, "q7", and each answer is a
 * word of its own, "a7", so that what is drawn tells where it came from.
 *   qa1 training   20 stories of two sentences and two questions: q0 .. q39, those of story s after
 *                  "s0" and after "s0", "s1"
 *   qa3 training   10 stories of seven sentences and one question: q40 .. q49
 *   tests          5 questions of qa1, with words and an answer that training lacks, and 3 of qa3
 *                  that are longer than all of training. */
enum { N_FIRST = 40, N_THIRD = 10, N_TRAIN = N_FIRST + N_THIRD };

static void write_file(const char *path, const char *text)
{
    sample_write(path, text, strlen(text));
}

static void write_sets(void)
{
    static char text[65536];
    size_t at = 0;
#define ADD(...) (at += (size_t)snprintf(text + at, sizeof text - at, __VA_ARGS__))
    for (unsigned s = 0; s < N_FIRST / 2; s++) {
        ADD("1 Mary went to p%u.\n2 Where is q%u?\ta%u\t1\n", s, 2 * s, 2 * s);
        ADD("3 John went to r%u.\n4 Where is q%u?\ta%u\t3\n", s, 2 * s + 1, 2 * s + 1);
    }
    assert_int_equal(mkdir("en", 0700), 0);
    write_file("en/qa1_one_train.txt", text);
    at = 0;
    for (unsigned q = N_FIRST; q < N_TRAIN; q++) {
        for (unsigned i = 1; i <= 7; i++)
            ADD("%u Story%u tells-%u.\n", i, q, i);
        ADD("8 Where is the q%u?\ta%u\t1 7\n", q, q);
    }
    write_file("en/qa3_three_train.txt", text);
    at = 0;
    for (unsigned q = 0; q < 5; q++)
        ADD("1 Mary went to p%u stranger.\n2 Where is q%u?\t%s\t1\n", q, q,
            q == 2 ? "elsewhere" : "a0");
    write_file("en/qa1_one_test.txt", text);
    at = 0;
    for (unsigned q = 0; q < 3; q++) {
        for (unsigned i = 1; i <= 9; i++)
            ADD("%u Story40 tells-%u mary john to went is the where.\n", i, i > 7 ? 7 : i);
        ADD("10 Where is the q%u the the the?\ta1\t1\n", 40 + q);
    }
    write_file("en/qa3_three_test.txt", text);
#undef ADD
}

static int enter(void **state)
{
    const int failed = sample_enter_folder(state);
    if (failed == 0)
        write_sets();
    return failed;
}

static const char common[] =
    "tasks: {kind: stories, data: en, bundle: 4, noise: 0, held_out: 0.2}\n"
    "outer: {batch: 10}\n"
    "run: {data_path: .}\n";

static mn_task_set *open_set(const char *const *more)
{
    return story_open(common, more);
}

/* The number of the question that is asked: q7 is 7. */
static unsigned question_of(const mn_task *task, mn_role role, uint32_t item, const mn_words *words)
{
    char text[512];
    story_question(task, role, item, words, text);
    const char *q = strchr(text, 'q');
    assert_non_null(q);
    return (unsigned)strtoul(q + 1, NULL, 10);
}

static void an_item_is_a_question_with_what_its_story_told_before_it(void **state)
{
    mn_task_set *set = open_set(NULL);
    const mn_words *words = mn_task_set_words(set);
    unsigned seen = 0;
    (void)state;
    for (uint64_t index = 0; index < 10; index++) {
        mn_task *task = story_draw(set, MN_TRAIN, index);
        assert_int_equal(task->fields.bundle, 4);
        assert_int_equal(task->n_classes, 0);
        for (uint32_t i = 0; i < 4; i++) {
            const unsigned q = question_of(task, MN_QUERY, i, words);
            const uint32_t n = q >= N_FIRST ? 7 : q % 2 + 1;
            char text[512], expected[64];
            assert_int_equal(story_told(task, MN_QUERY, i), n);
            for (uint32_t slot = 0; slot < n; slot++) {
                if (q >= N_FIRST)
                    (void)snprintf(expected, sizeof expected, "story%u tells-%u", q, slot + 1);
                else
                    (void)snprintf(expected, sizeof expected, "%s went to %c%u",
                                   slot == 0 ? "mary" : "john", slot == 0 ? 'p' : 'r', q / 2);
                story_sentence(task, MN_QUERY, i, slot, words, text);
                assert_string_equal(text, expected);
                assert_true(story_item(task, MN_QUERY, "age", i)[slot] == (float)(n - slot));
            }
            story_question(task, MN_QUERY, i, words, text);
            (void)snprintf(expected, sizeof expected, "where is %sq%u", q >= N_FIRST ? "the " : "",
                           q);
            assert_string_equal(text, expected);
            (void)snprintf(expected, sizeof expected, "a%u", q);
            assert_string_equal(story_answer(task, MN_QUERY, i, words), expected);
            assert_true(*story_item(task, MN_QUERY, "weight", i) == 0.25f);
            assert_true(*story_item(task, MN_QUERY, "point", i) == (q >= N_FIRST ? 1 : 0));
            seen |= q >= N_FIRST ? 1 : 2u << q % 2;
        }
        mn_task_destroy(&task);
    }
    assert_int_equal(seen, 7); /* each of the three kinds of questions was there */
    const mn_points *points = &mn_task_set_fields(set, MN_TRAIN)->points;
    assert_string_equal(points->axis, "set");
    assert_int_equal(points->n, 2);
    assert_string_equal(points->names[0], "qa1");
    assert_string_equal(points->names[1], "qa3");
    mn_task_set_destroy(&set);
}

/* 20 % of each set are held out: 32 and 8 questions train. Five epochs are 50 bundles of four. */
static void training_shows_each_question_once_before_any_comes_again(void **state)
{
    enum { N = 40, EPOCHS = 5 };
    mn_task_set *set = open_set(NULL);
    const mn_words *words = mn_task_set_words(set);
    unsigned order[EPOCHS][N], shown[N_TRAIN] = {0};
    (void)state;
    for (unsigned at = 0; at < N * EPOCHS; at += 4) {
        mn_task *task = story_draw(set, MN_TRAIN, at / 4);
        for (uint32_t i = 0; i < 4; i++) {
            const unsigned q = question_of(task, MN_QUERY, i, words);
            assert_int_equal(shown[q], (at + i) / N);
            shown[q]++;
            order[(at + i) / N][(at + i) % N] = q;
        }
        mn_task_destroy(&task);
    }
    for (unsigned q = 0; q < N_TRAIN; q++)
        assert_int_equal(shown[q], q < 32 || (q >= N_FIRST && q < N_FIRST + 8) ? EPOCHS : 0);
    for (unsigned a = 0; a < EPOCHS; a++)
        for (unsigned b = 0; b < a; b++)
            assert_memory_not_equal(order[a], order[b], sizeof order[a]);
    mn_task_set_destroy(&set);
}

/* Validation has the last fifth of each training file, a test all of its file, set by set; the last
 * bundle of a set is padded with items that weigh nothing. */
static void validation_and_test_show_theirs_once_in_order(void **state)
{
    static const struct {
        mn_split split;
        uint64_t n_tasks;
        unsigned questions[4][4], n[4];
    } cases[] = {
        {MN_VAL, 3, {{32, 33, 34, 35}, {36, 37, 38, 39}, {48, 49}}, {4, 4, 2}},
        {MN_TEST, 3, {{0, 1, 2, 3}, {4}, {40, 41, 42}}, {4, 1, 3}},
    };
    mn_task_set *set = open_set(NULL);
    const mn_words *words = mn_task_set_words(set);
    (void)state;
    assert_int_equal(mn_task_set_size(set, MN_TRAIN), 0); /* no end */
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        assert_int_equal(mn_task_set_size(set, cases[k].split), cases[k].n_tasks);
        for (uint64_t index = 0; index < 2 * cases[k].n_tasks; index++) {
            const uint64_t at = index % cases[k].n_tasks;
            mn_task *task = story_draw(set, cases[k].split, index);
            for (uint32_t i = 0; i < 4; i++) {
                const float weight = *story_item(task, MN_QUERY, "weight", i);
                assert_true(weight == (i < cases[k].n[at] ? (float)(1.0 / cases[k].n[at]) : 0));
                if (i < cases[k].n[at])
                    assert_int_equal(question_of(task, MN_QUERY, i, words),
                                     cases[k].questions[at][i]);
                else
                    assert_int_equal(story_told(task, MN_QUERY, i), 0);
            }
            mn_task_destroy(&task);
        }
    }
    mn_task_set_destroy(&set);
}

static void lengths_are_those_of_training_and_what_is_longer_is_cut(void **state)
{
    mn_task_set *set = open_set(NULL);
    const mn_words *words = mn_task_set_words(set);
    const mn_fields *fields = mn_task_set_fields(set, MN_TEST);
    char text[512];
    (void)state;
    assert_int_equal(mn_story_slots(fields), 7);
    assert_int_equal(mn_fields_find(fields, MN_QUERY, "story")->channels,
                     4); /* "mary went to p0" */
    assert_int_equal(mn_fields_find(fields, MN_QUERY, "question")->channels, 4);
    assert_true(mn_fields_equal(fields, mn_task_set_fields(set, MN_TRAIN)));
    mn_task *task = story_draw(set, MN_TEST, 2); /* of nine sentences the last seven are kept */
    assert_int_equal(story_told(task, MN_QUERY, 0), 7);
    story_sentence(task, MN_QUERY, 0, 0, words, text);
    assert_string_equal(text, "story40 tells-3 mary john");
    story_question(task, MN_QUERY, 0, words, text);
    assert_string_equal(text, "where is the q40");
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);

    set = open_set((const char *const[]){"tasks.sentences=3", NULL});
    assert_int_equal(mn_story_slots(mn_task_set_fields(set, MN_TRAIN)), 3);
    task = story_draw(set, MN_VAL, 2); /* of seven the last three */
    for (uint32_t slot = 0; slot < 3; slot++) {
        char expected[32];
        story_sentence(task, MN_QUERY, 1, slot, words = mn_task_set_words(set), text);
        (void)snprintf(expected, sizeof expected, "story49 tells-%u", slot + 5);
        assert_string_equal(text, expected);
        assert_true(story_item(task, MN_QUERY, "age", 1)[slot] == (float)(3 - slot));
    }
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

/* Words of tests that training lacks have the number after the last, which no table of vectors has;
 * an answer that is none of them is no word's. */
static void words_that_training_lacks_are_unknown(void **state)
{
    mn_task_set *set = open_set(NULL);
    const mn_words *words = mn_task_set_words(set);
    mn_task *task = story_draw(set, MN_TEST, 0);
    const uint32_t vocabulary = task->fields.y_size;
    (void)state;
    assert_int_equal(vocabulary, mn_words_count(words));
    assert_int_equal(mn_words_find(words, "stranger", 8), 0);
    assert_int_equal(mn_words_find(words, "elsewhere", 9), 0);
    assert_string_equal(story_answer(task, MN_QUERY, 1, words), "a0");
    assert_string_equal(story_answer(task, MN_QUERY, 2, words), "");
    char unread[512];
    mn_task_set_tell_unread(set, unread, sizeof unread);
    assert_string_equal(
        unread, "en: of words that training lacks, tests have 5 in stories and questions, "
                "where the network reads nothing, and 1 as answers, which it cannot give; 35 "
                "sentences and questions are longer than training's longest (4 and 4 words) "
                "and lose their ends");
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);

    write_file("en/qa1_one_test.txt", "1 Stranger went.\n2 Where is who?\ta0\t1\n");
    set = open_set(NULL);
    task = story_draw(set, MN_TEST, 0);
    assert_int_equal(vocabulary, task->fields.y_size); /* a test adds none */
    assert_true(story_item(task, MN_QUERY, "story", 0)[0] == (float)vocabulary);
    assert_true(story_item(task, MN_QUERY, "question", 0)[2] == (float)vocabulary);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

/* Of stories of seven sentences: up to ceil(0.5 * 7) = 4 empty memories among them. */
static void noise_leaves_gaps_between_the_ages_of_training_alone(void **state)
{
    static const char *const noisy[] = {"tasks.stories=3", "tasks.noise=0.5", NULL};
    mn_task_set *set = open_set(noisy);
    unsigned newest[6] = {0};
    (void)state;
    for (uint64_t index = 0; index < 500; index++) {
        mn_task *task = story_draw(set, MN_TRAIN, index);
        for (uint32_t i = 0; i < 4; i++) {
            const float *age = story_item(task, MN_QUERY, "age", i);
            assert_int_equal(story_told(task, MN_QUERY, i), 7);
            for (uint32_t slot = 1; slot < 7; slot++) {
                assert_true(age[slot] <= age[slot - 1]);
                assert_true(age[slot] < age[slot - 1] || age[slot] == 7);
            }
            assert_true(age[0] == 7 && age[6] >= 1 && age[6] <= 5); /* none is above the slots */
            newest[(unsigned)age[6]]++;
        }
        mn_task_destroy(&task);
    }
    for (int i = 1; i <= 3; i++)
        assert_true(newest[i] > 0 && (i == 1 || newest[i] < newest[i - 1]));
    for (mn_split split = MN_VAL; split <= MN_TEST; split++) {
        mn_task *task = story_draw(set, split, 0);
        for (uint32_t slot = 0; slot < 7; slot++)
            assert_true(story_item(task, MN_QUERY, "age", 0)[slot] == (float)(7 - slot));
        mn_task_destroy(&task);
    }
    mn_task_set_destroy(&set);
}

/* Sentences of qa1's questions are one or two of seven slots, so an age above 2 is a gap's. */
static void ages_of_noise_are_evenly_spread(void **state)
{
    static const char *const noisy[] = {"tasks.noise=1", NULL};
    mn_task_set *set = open_set(noisy);
    const mn_words *words = mn_task_set_words(set);
    unsigned pairs[5][5] = {{0}}, n = 0;
    (void)state;
    for (uint64_t index = 0; index < 12000; index++) {
        mn_task *task = story_draw(set, MN_TRAIN, index);
        for (uint32_t i = 0; i < 4; i++) {
            const unsigned q = question_of(task, MN_QUERY, i, words);
            const float *age = story_item(task, MN_QUERY, "age", i);
            if (q < N_FIRST && q % 2 == 1) {
                assert_true(age[0] <= 4 && age[1] >= 1);
                pairs[(unsigned)age[0]][(unsigned)age[1]]++;
                n++;
            }
        }
        mn_task_destroy(&task);
    }
    /* With 0, 1 or 2 empty memories, as likely, each pair of 2, 3 or 4 places is. */
    for (unsigned a = 1; a <= 4; a++)
        for (unsigned b = 1; b < a; b++) {
            const double share = ((a <= 2) + (a <= 3) / 3.0 + 1 / 6.0) / 3.0;
            assert_true(pairs[a][b] > 0.85 * share * n && pairs[a][b] < 1.15 * share * n);
        }
    mn_task_set_destroy(&set);
}

static void a_linear_start_is_told_by_a_field_of_its_own(void **state)
{
    mn_task_set *plain = open_set(NULL);
    mn_task_set *set = open_set((const char *const[]){"tasks.linear_start=3", NULL});
    (void)state;
    assert_null(mn_fields_find(mn_task_set_fields(plain, MN_TRAIN), MN_QUERY, "linear"));
    for (uint64_t index = 28; index < 32; index++) { /* of meta-steps 2 and 3 of ten tasks each */
        mn_task *task = story_draw(set, MN_TRAIN, index);
        for (uint32_t i = 0; i < 4; i++)
            assert_true(*story_item(task, MN_QUERY, "linear", i) == (index < 30 ? 1 : 0));
        mn_task_destroy(&task);
    }
    mn_task *task = story_draw(set, MN_VAL, 0);
    assert_true(*story_item(task, MN_QUERY, "linear", 0) == 0);
    mn_task_destroy(&task);
    mn_task_set_destroy(&plain);
    mn_task_set_destroy(&set);
}

static void support_questions_are_other_training_questions_of_the_same_set(void **state)
{
    static const char *const adapting[] = {"tasks.shot=3", "meta.kind=maml", NULL};
    mn_task_set *set = open_set(adapting);
    const mn_words *words = mn_task_set_words(set);
    unsigned of_third = 0;
    (void)state;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++)
        for (uint64_t index = 0; index < 200; index++) {
            mn_task *task = story_draw(set, split, index);
            const float point = *story_item(task, MN_QUERY, "point", 0);
            bool used[N_TRAIN] = {0};
            assert_null(mn_fields_find(&task->fields, MN_SUPPORT, "point"));
            for (uint32_t i = 0; i < 3; i++) {
                const unsigned q = question_of(task, MN_SUPPORT, i, words);
                assert_true(q < 32 || (q >= N_FIRST && q < 48)); /* of training, not held out */
                assert_true((q >= N_FIRST) == (point == 1));
                assert_false(used[q]);
                used[q] = true;
                assert_true(*story_item(task, MN_SUPPORT, "weight", i) == (float)(1.0 / 3));
                assert_true(story_told(task, MN_SUPPORT, i) > 0);
            }
            for (uint32_t i = 0; split == MN_TRAIN && i < 4; i++) {
                const unsigned q = question_of(task, MN_QUERY, i, words);
                assert_true(*story_item(task, MN_QUERY, "point", i) == point);
                assert_false(used[q]);
                used[q] = true;
            }
            of_third += split == MN_TRAIN && point == 1;
            mn_task_destroy(&task);
        }
    assert_in_range(of_third, 20, 60); /* 8 of 40 questions */
    mn_task_set_destroy(&set);
}

/* Of set 3 eight questions train: five of support leave three for four of query. */
static void too_few_questions_for_both_come_again_in_the_query(void **state)
{
    static const char *const adapting[] = {"tasks.shot=5", "meta.kind=maml", "tasks.stories=3",
                                           NULL};
    mn_task_set *set = open_set(adapting);
    const mn_words *words = mn_task_set_words(set);
    (void)state;
    for (uint64_t index = 0; index < 50; index++) {
        mn_task *task = story_draw(set, MN_TRAIN, index);
        for (uint32_t i = 0; i < 5; i++)
            for (uint32_t k = 0; k < i; k++)
                assert_int_not_equal(question_of(task, MN_SUPPORT, i, words),
                                     question_of(task, MN_SUPPORT, k, words));
        for (uint32_t i = 0; i < 4; i++)
            assert_in_range(question_of(task, MN_QUERY, i, words), N_FIRST, N_FIRST + 7);
        mn_task_destroy(&task);
    }
    mn_task_set_destroy(&set);
}

static void a_task_is_a_pure_function_of_seed_split_and_index(void **state)
{
    static const char *const keys[] = {"tasks.noise=0.5", "tasks.shot=2", "meta.kind=maml", NULL};
    static const char *const reseeded[] = {"tasks.noise=0.5", "tasks.shot=2", "meta.kind=maml",
                                           "seed=2", NULL};
    mn_task_set *set = open_set(keys), *again = open_set(keys), *other = open_set(reseeded);
    (void)state;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        mn_task *a = story_draw(set, split, 1), *b = story_draw(again, split, 0);
        const size_t bytes = a->fields.size * sizeof *a->block;
        assert_memory_not_equal(a->block, b->block, bytes);
        mn_task_set_draw(again, split, 1, b);
        assert_memory_equal(a->block, b->block, bytes);
        mn_task_set_draw(other, split, 1, b);
        assert_memory_not_equal(a->block, b->block, bytes);
        mn_task_destroy(&a);
        mn_task_destroy(&b);
    }
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&again);
    mn_task_set_destroy(&other);
}

static void set_numbers_choose_files_and_words(void **state)
{
    mn_task_set *set = open_set((const char *const[]){"tasks.stories=3", NULL});
    (void)state;
    assert_int_equal(mn_task_set_fields(set, MN_TRAIN)->points.n, 1);
    assert_string_equal(mn_task_set_fields(set, MN_TRAIN)->points.names[0], "qa3");
    assert_int_equal(mn_words_find(mn_task_set_words(set), "mary", 4), 0);
    assert_int_not_equal(mn_words_find(mn_task_set_words(set), "tells-1", 7), 0);
    mn_task_set_destroy(&set);
}

static void other_data_and_sets_that_are_too_small_are_refused(void **state)
{
    mn_experiment experiment;
    mn_error err;
    mn_task_set *set = open_set(NULL);
    mn_digest digest = mn_task_set_data_digest(set);
    (void)state;
    mn_task_set_destroy(&set);
    story_experiment(&experiment, common, NULL);
    assert_int_equal(mn_task_set_open(&experiment, &digest, &set, &err), MN_OK);
    mn_task_set_destroy(&set);
    write_file("en/qa3_three_test.txt", "1 Mary went.\n2 Where is who?\ta0\t1\n");
    assert_int_equal(mn_task_set_open(&experiment, &digest, &set, &err), MN_ERR_DATA);
    assert_null(set);
    assert_non_null(strstr(err.message, "digest"));
    assert_non_null(strstr(err.message, "what tasks.stories all names of en"));

    assert_int_equal(mn_experiment_set(&experiment, "tasks.shot=9", &err), MN_OK);
    assert_int_equal(mn_task_set_open(&experiment, NULL, &set, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "set qa3 has 10 questions"));
    assert_int_equal(mn_experiment_set(&experiment, "tasks.shot=0", &err), MN_OK);
    write_file("en/qa3_three_train.txt", "1 Mary went.\n2 Where is who?\ta0\t1\n");
    assert_int_equal(mn_task_set_open(&experiment, NULL, &set, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "set qa3 has 1 questions"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(an_item_is_a_question_with_what_its_story_told_before_it),
        IN_FOLDER(training_shows_each_question_once_before_any_comes_again),
        IN_FOLDER(validation_and_test_show_theirs_once_in_order),
        IN_FOLDER(lengths_are_those_of_training_and_what_is_longer_is_cut),
        IN_FOLDER(words_that_training_lacks_are_unknown),
        IN_FOLDER(noise_leaves_gaps_between_the_ages_of_training_alone),
        IN_FOLDER(ages_of_noise_are_evenly_spread),
        IN_FOLDER(a_linear_start_is_told_by_a_field_of_its_own),
        IN_FOLDER(support_questions_are_other_training_questions_of_the_same_set),
        IN_FOLDER(too_few_questions_for_both_come_again_in_the_query),
        IN_FOLDER(a_task_is_a_pure_function_of_seed_split_and_index),
        IN_FOLDER(set_numbers_choose_files_and_words),
        IN_FOLDER(other_data_and_sets_that_are_too_small_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
