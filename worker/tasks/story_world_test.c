/* The answers are found again by readers of the sentences that know nothing of how they were made:
 * they go by the words alone. */
#include "worker/tasks/story_bed.h"

#include <stdlib.h>

static const char rooms[] = "tasks: {kind: generated-stories, bundle: 8, sentences: 12}\n";
static const char grid[] =
    "tasks: {kind: generated-stories, world: grid, bundle: 8, sentences: 12}\n";

/* Where people and things are, by name. */
struct known {
    char who[16], where[16], holder[16]; /* holder: of a thing, "" if it lies; where: "" unknown */
};

struct places {
    struct known at[16];
    int n;
};

static struct known *find(struct places *places, const char *who)
{
    for (int i = 0; i < places->n; i++)
        if (strcmp(places->at[i].who, who) == 0)
            return &places->at[i];
    assert_true(places->n < 16);
    struct known *known = &places->at[places->n++];
    memset(known, 0, sizeof *known);
    (void)snprintf(known->who, sizeof known->who, "%.15s", who);
    return known;
}

static void copy(char to[16], const char *text)
{
    (void)snprintf(to, 16, "%.15s", text);
}

static bool is_one_of(const char *word, const char *list)
{
    const char *at = strstr(list, word);
    return at != NULL && (at == list || at[-1] == ' ') &&
           (at[strlen(word)] == ' ' || at[strlen(word)] == '\0');
}

/* "mary went to the kitchen", "mary took the milk", "mary left the milk" */
static void hear(struct places *places, const char *sentence)
{
    char who[16], verb[16], what[16], room[16];
    const int n = sscanf(sentence, "%15s %15s %15s the %15s", who, verb, what, room);
    struct known *person = find(places, who);
    if (n == 4) {
        assert_true(is_one_of(verb, "went moved travelled journeyed"));
        assert_string_equal(what, "to");
        assert_string_not_equal(person->where, room); /* they go elsewhere */
        copy(person->where, room);
        return;
    }
    assert_int_equal(sscanf(sentence, "%*s %*s the %15s", what), 1);
    struct known *thing = find(places, what);
    assert_string_not_equal(person->where, ""); /* only one who is somewhere does something */
    if (is_one_of(verb, "took grabbed")) {
        assert_string_equal(thing->holder, "");
        assert_true(thing->where[0] == '\0' || strcmp(thing->where, person->where) == 0);
        copy(thing->holder, who);
    } else {
        assert_true(is_one_of(verb, "dropped left"));
        assert_string_equal(thing->holder, who);
        copy(thing->holder, "");
        copy(thing->where, person->where);
    }
}

static const char *whereabouts(struct places *places, const char *who)
{
    const struct known *known = find(places, who);
    return known->holder[0] != '\0' ? find(places, known->holder)->where : known->where;
}

static void rooms_answer_as_their_sentences_say(void **state)
{
    mn_task_set *set = story_open(rooms, NULL);
    const mn_words *words = mn_task_set_words(set);
    unsigned asked[2] = {0}, lengths = 0, dropped = 0;
    (void)state;
    for (uint64_t index = 0; index < 200; index++) {
        mn_task *task = story_draw(set, MN_TRAIN, index);
        for (uint32_t i = 0; i < 8; i++) {
            char text[512], who[16];
            struct places places = {.n = 0};
            const uint32_t n = story_told(task, MN_QUERY, i);
            assert_in_range(n, 2, 12);
            lengths |= 1u << n;
            for (uint32_t slot = 0; slot < n; slot++) {
                story_sentence(task, MN_QUERY, i, slot, words, text);
                hear(&places, text);
                assert_true(story_item(task, MN_QUERY, "age", i)[slot] == (float)(n - slot));
            }
            story_question(task, MN_QUERY, i, words, text);
            const bool of_thing = strncmp(text, "where is the ", 13) == 0;
            assert_int_equal(sscanf(text, of_thing ? "where is the %15s" : "where is %15s", who),
                             1);
            assert_string_equal(story_answer(task, MN_QUERY, i, words), whereabouts(&places, who));
            assert_true(*story_item(task, MN_QUERY, "point", i) == (of_thing ? 1 : 0));
            assert_true(*story_item(task, MN_QUERY, "weight", i) == 0.125f);
            asked[of_thing]++;
            dropped += of_thing && find(&places, who)->holder[0] == '\0';
        }
        mn_task_destroy(&task);
    }
    assert_true(asked[0] > 500 && asked[1] > 500 && dropped > 50);
    assert_int_equal(lengths, 8188); /* 2 to 12 sentences */
    mn_task_set_destroy(&set);
}

struct agent {
    int x, y, dx, dy;
};

/* "agent1 is at 3-7", "agent1 faces-n", "agent1 moves-2" */
static void follow(struct agent *agents, const char *sentence)
{
    int who, steps = 0;
    char what[16], face = 0;
    assert_int_equal(sscanf(sentence, "agent%d %15s", &who, what), 2);
    struct agent *agent = &agents[who - 1];
    if (strcmp(what, "is") == 0) {
        assert_int_equal(sscanf(sentence, "%*s is at %d-%d", &agent->x, &agent->y), 2);
    } else if (sscanf(what, "faces-%c", &face) == 1) {
        const struct agent before = *agent;
        agent->dx = face == 'e' ? 1 : face == 'w' ? -1 : 0;
        agent->dy = face == 'n' ? 1 : face == 's' ? -1 : 0;
        assert_int_equal(abs(agent->dx) + abs(agent->dy), 1);
        assert_true(before.dx != agent->dx || before.dy != agent->dy); /* it turns elsewhere */
    } else {
        assert_int_equal(sscanf(what, "moves-%d", &steps), 1);
        assert_in_range(steps, 1, 5);
        agent->x += steps * agent->dx;
        agent->y += steps * agent->dy;
    }
    assert_in_range(agent->x, 1, 10);
    assert_in_range(agent->y, 1, 10);
}

static void agents_are_where_their_moves_lead(void **state)
{
    mn_task_set *set = story_open(grid, NULL);
    const mn_words *words = mn_task_set_words(set);
    unsigned asked[2] = {0}, moved = 0;
    (void)state;
    for (uint64_t index = 0; index < 200; index++) {
        mn_task *task = story_draw(set, MN_TRAIN, index);
        for (uint32_t i = 0; i < 8; i++) {
            struct agent agents[2] = {{0}}, begun = {0};
            char text[512], expected[32];
            int who;
            assert_int_equal(story_told(task, MN_QUERY, i), 12); /* all stories are as long */
            story_question(task, MN_QUERY, i, words, text);
            assert_int_equal(sscanf(text, "where is agent%d", &who), 1);
            for (uint32_t slot = 0; slot < 12; slot++) {
                story_sentence(task, MN_QUERY, i, slot, words, text);
                follow(agents, text);
                if (slot == 3)
                    begun = agents[who - 1];
            }
            (void)snprintf(expected, sizeof expected, "%d-%d", agents[who - 1].x,
                           agents[who - 1].y);
            assert_string_equal(story_answer(task, MN_QUERY, i, words), expected);
            assert_true(*story_item(task, MN_QUERY, "point", i) == (float)(who - 1));
            asked[who - 1]++;
            moved += agents[who - 1].x != begun.x || agents[who - 1].y != begun.y;
        }
        mn_task_destroy(&task);
    }
    assert_true(asked[0] > 600 && asked[1] > 600 && moved > 1000);
    mn_task_set_destroy(&set);
}

static void check_that_draws_are_pure(const char *yaml)
{
    mn_task_set *set = story_open(yaml, NULL), *again = story_open(yaml, NULL);
    mn_task_set *other = story_open(yaml, (const char *const[]){"seed=2", NULL});
    mn_task *a = story_draw(set, MN_TRAIN, 7), *b = story_draw(again, MN_TRAIN, 6);
    const size_t bytes = a->fields.size * sizeof *a->block;
    assert_memory_not_equal(a->block, b->block, bytes);
    mn_task_set_draw(again, MN_TRAIN, 7, b); /* whatever was drawn before it */
    assert_memory_equal(a->block, b->block, bytes);
    mn_task_set_draw(other, MN_TRAIN, 7, b);
    assert_memory_not_equal(a->block, b->block, bytes);
    for (mn_split split = MN_VAL; split < MN_N_SPLITS; split++) {
        assert_true(mn_fields_equal(&a->fields, mn_task_set_fields(set, split)));
        mn_task_set_draw(set, split, 7, b);
        assert_memory_not_equal(a->block, b->block, bytes);
    }
    mn_task_set_draw(set, MN_VAL, 7, a);
    assert_memory_not_equal(a->block, b->block, bytes); /* nor are validation and test alike */
    assert_int_equal(mn_task_set_size(set, MN_TEST), 0);
    mn_task_destroy(&a);
    mn_task_destroy(&b);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&again);
    mn_task_set_destroy(&other);
}

static void a_task_is_a_pure_function_of_seed_split_and_index(void **state)
{
    (void)state;
    check_that_draws_are_pure(rooms);
    check_that_draws_are_pure(grid);
}

/* In a story of rooms that tells nothing of a thing, a person is asked for: that one is of set 0,
 * as its question is. */
static void support_and_query_of_a_task_are_of_one_set(void **state)
{
    static const char *const adapting[] = {"tasks.shot=3", "meta.kind=maml", NULL};
    (void)state;
    mn_task_set *set = story_open(grid, adapting);
    const mn_words *words = mn_task_set_words(set);
    unsigned of_second = 0;
    for (uint64_t index = 0; index < 100; index++) {
        mn_task *task = story_draw(set, MN_TRAIN, index);
        const float point = *story_item(task, MN_QUERY, "point", 0);
        char text[512];
        for (uint32_t i = 0; i < 8; i++)
            assert_true(*story_item(task, MN_QUERY, "point", i) == point);
        for (uint32_t i = 0; i < 3; i++) {
            story_question(task, MN_SUPPORT, i, words, text);
            assert_string_equal(text, point == 1 ? "where is agent2" : "where is agent1");
            assert_int_equal(story_told(task, MN_SUPPORT, i), 12);
            assert_true(*story_item(task, MN_SUPPORT, "weight", i) == (float)(1.0 / 3));
        }
        of_second += point == 1;
        mn_task_destroy(&task);
    }
    assert_in_range(of_second, 30, 70);
    mn_task_set_destroy(&set);
}

static void the_shortest_stories_have_an_answer_too(void **state)
{
    (void)state;
    mn_task_set *set = story_open(rooms, (const char *const[]){"tasks.sentences=1", NULL});
    for (uint64_t index = 0; index < 50; index++) {
        mn_task *task = story_draw(set, MN_TEST, index);
        for (uint32_t i = 0; i < 8; i++) {
            char text[512], room[16];
            assert_int_equal(story_told(task, MN_QUERY, i), 1);
            story_sentence(task, MN_QUERY, i, 0, mn_task_set_words(set), text);
            assert_int_equal(sscanf(text, "%*s %*s to the %15s", room), 1);
            assert_string_equal(story_answer(task, MN_QUERY, i, mn_task_set_words(set)), room);
        }
        mn_task_destroy(&task);
    }
    mn_task_set_destroy(&set);
    mn_experiment experiment;
    mn_error err;
    story_experiment(&experiment, grid, NULL);
    assert_int_equal(mn_experiment_set(&experiment, "tasks.sentences=4", &err), MN_OK);
    assert_int_equal(mn_experiment_check(&experiment, &err), MN_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rooms_answer_as_their_sentences_say),
        cmocka_unit_test(agents_are_where_their_moves_lead),
        cmocka_unit_test(a_task_is_a_pure_function_of_seed_split_and_index),
        cmocka_unit_test(support_and_query_of_a_task_are_of_one_set),
        cmocka_unit_test(the_shortest_stories_have_an_answer_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
