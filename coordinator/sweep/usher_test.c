#include "coordinator/sweep/usher.h"

#include "common/random.h"
#include "worker/program/worker_core.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static mn_usher *usher;
static mn_usher_word word;
static mn_error err;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(mn_usher_new(3, 10000, &usher, &err), MN_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mn_usher_destroy(&usher);
    return 0;
}

static mn_hello worker(uint64_t id, uint32_t visits)
{
    return (mn_hello){.protocol = MN_PROTOCOL_VERSION,
                      .version = "0",
                      .uuid = {id, id},
                      .threads = 1,
                      .visits = visits};
}

static void hello(uint64_t id, uint32_t visits, uint64_t now_us)
{
    const mn_hello said = worker(id, visits);
    mn_usher_hello(usher, 100 + id, &said, now_us);
}

static void assert_sent(const char *endpoint, uint64_t now_us)
{
    assert_true(mn_usher_take(usher, now_us, &word));
    assert_int_equal(word.message.kind, MN_MSG_VISIT);
    assert_string_equal(word.message.visit.endpoint, endpoint);
}

static void workers_go_where_threads_are_fewest_for_what_is_left(void **state)
{
    (void)state;
    mn_usher_open(usher, 0, "tcp://a", 1);
    mn_usher_open(usher, 1, "tcp://b", 1);
    mn_usher_left(usher, 0, 100);
    mn_usher_left(usher, 1, 300);
    for (uint64_t id = 1; id <= 6; id++)
        hello(id, 0, 0);
    const char *const expected[] = {"tcp://b", "tcp://b", "tcp://b",
                                    "tcp://b", "tcp://a", "tcp://b"};
    for (size_t i = 0; i < 6; i++)
        assert_sent(expected[i], 0);
    assert_false(mn_usher_take(usher, 0, &word));
    assert_int_equal(mn_usher_threads_at(usher, 0), 1);
    assert_int_equal(mn_usher_threads_at(usher, 1), 5);
    assert_int_equal(mn_usher_n_away(usher), 6);
}

static void a_worker_stays_where_it_has_built_unless_another_is_much_worse_off(void **state)
{
    (void)state;
    mn_usher_open(usher, 0, "tcp://a", 1);
    mn_usher_open(usher, 1, "tcp://b", 1);
    mn_usher_left(usher, 0, 100);
    mn_usher_left(usher, 1, 110);
    hello(1, 0, 0);
    assert_sent("tcp://b", 0);
    mn_usher_left(usher, 0, 120);
    hello(1, 1, 10 * SECOND); /* its turn is over */
    assert_sent("tcp://b", 10 * SECOND);
    mn_usher_left(usher, 0, 140);
    hello(1, 2, 20 * SECOND);
    assert_sent("tcp://a", 20 * SECOND);
}

static void who_waits_is_held_and_sent_when_a_run_opens(void **state)
{
    (void)state;
    hello(1, 0, 0);
    assert_sent("", 0);
    assert_false(mn_usher_take(usher, SECOND, &word));
    assert_true(mn_usher_wake_us(usher, SECOND) == 2 * SECOND);
    assert_sent("", 2 * SECOND);
    mn_usher_open(usher, 2, "tcp://c", 0);
    assert_sent("tcp://c", 2 * SECOND);
    assert_int_equal(word.peer, 101);
    mn_usher_close(usher, 2);
    hello(1, 1, 3 * SECOND);
    assert_int_equal(mn_usher_threads_at(usher, 2), 0);
    assert_sent("", 3 * SECOND);
    mn_usher_gone(usher, 101);
    assert_int_equal(mn_usher_n_waiting(usher), 0);
}

static void a_run_that_refused_a_worker_gets_it_no_second_time(void **state)
{
    (void)state;
    mn_hello said = worker(1, 0);
    mn_usher_open(usher, 0, "tcp://a", 1);
    hello(1, 0, 0);
    assert_sent("tcp://a", 0);
    said.visits = 1;
    said.refused = true;
    mn_usher_hello(usher, 5, &said, SECOND);
    assert_sent("", SECOND);
    mn_usher_open(usher, 1, "tcp://b", 9);
    assert_sent("tcp://b", SECOND);
    hello(2, 0, SECOND); /* another may */
    assert_sent("tcp://a", SECOND);
}

static void a_run_that_has_ended_is_left_alone_until_its_process_has(void **state)
{
    (void)state;
    mn_usher_open(usher, 0, "tcp://a", 0);
    mn_usher_open(usher, 1, "tcp://b", 5);
    hello(1, 0, 0);
    assert_sent("tcp://a", 0);
    hello(1, 1, SECOND); /* of ten */
    assert_sent("tcp://b", SECOND);
    mn_usher_close(usher, 1);
    hello(1, 2, SECOND);
    assert_sent("", SECOND);
    assert_true(mn_usher_wake_us(usher, SECOND) == 2 * SECOND);
    assert_sent("tcp://a", 2 * SECOND); /* it was not so */
}

static void a_worker_that_is_gone_is_not_counted_for_long(void **state)
{
    (void)state;
    mn_usher_open(usher, 0, "tcp://a", 0);
    hello(1, 0, 0);
    assert_sent("tcp://a", 0);
    assert_false(mn_usher_take(usher, 19 * SECOND, &word));
    assert_int_equal(mn_usher_threads_at(usher, 0), 1);
    assert_true(mn_usher_wake_us(usher, 19 * SECOND) == 20 * SECOND);
    assert_false(mn_usher_take(usher, 20 * SECOND, &word));
    assert_int_equal(mn_usher_threads_at(usher, 0), 0);
    assert_int_equal(mn_usher_n_away(usher), 0);
}

static void a_worker_that_does_not_go_is_told_why(void **state)
{
    (void)state;
    mn_usher_open(usher, 0, "tcp://a", 0);
    for (uint64_t i = 0; i < 3; i++) {
        hello(1, 0, i * 2 * SECOND);
        if (i > 0)
            assert_sent("", i * 2 * SECOND);
        assert_sent("tcp://a", (i * 2 + 1) * SECOND);
    }
    hello(1, 0, 6 * SECOND);
    assert_true(mn_usher_take(usher, 6 * SECOND, &word));
    assert_int_equal(word.message.kind, MN_MSG_REJECT);
    assert_non_null(strstr(word.message.reject.reason, "does not go where a sweep sends it"));
    assert_int_equal(mn_usher_n_away(usher) + mn_usher_n_waiting(usher), 0);
    mn_hello old = worker(2, 0);
    old.protocol = 1;
    mn_usher_hello(usher, 7, &old, 0);
    assert_true(mn_usher_take(usher, 0, &word));
    assert_int_equal(word.message.kind, MN_MSG_REJECT);
    assert_non_null(strstr(word.message.reject.reason, "protocol"));
}

static void at_the_end_all_are_told(void **state)
{
    (void)state;
    mn_usher_open(usher, 0, "tcp://a", 0);
    hello(1, 0, 0);
    assert_sent("tcp://a", 0);
    mn_usher_end(usher, true);
    assert_int_equal(mn_usher_n_away(usher), 1);
    hello(1, 1, 0);
    hello(2, 0, 0);
    for (int i = 0; i < 2; i++) {
        assert_true(mn_usher_take(usher, 0, &word));
        assert_int_equal(word.message.kind, MN_MSG_FINISHED);
        assert_true(word.message.reject.resumes);
    }
    assert_int_equal(mn_usher_n_away(usher) + mn_usher_n_waiting(usher), 0);
}

/* ---- workers' own cores around an usher, in virtual time: words are lost, workers die and new ones come, runs
 * open, close and refuse. */

enum { WORKERS = 12, RUNS = 3 };

struct place {
    mn_worker_core core;
    mn_worker_actions todo;
    uint64_t id;
    int where; /* RUNS: the door; -1: not connected */
};

struct world {
    mn_random random;
    uint64_t now_us, next_id;
    struct place places[WORKERS];
    bool open[RUNS];
    uint32_t worked[RUNS];
};

static void feed(struct world *world, struct place *place, mn_worker_event event);

static void hear(struct world *world, struct place *place, const mn_message *message)
{
    feed(world, place, (mn_worker_event){.kind = MN_WORKER_MESSAGE, .message = message});
}

/* Run 0 builds nothing for workers with an even number. */
static bool refuses(int run, uint64_t id)
{
    return run == 0 && id % 2 == 0;
}

/* What the other end makes of a word. */
static void reach(struct world *world, struct place *place, mn_message_kind kind)
{
    if (place->where < 0 || mn_random_below(&world->random, 50) == 0)
        return; /* lost */
    if (place->where == RUNS) {
        mn_hello said = worker(place->id, place->core.visits);
        said.refused = place->core.refused;
        if (kind == MN_MSG_HELLO)
            mn_usher_hello(usher, place->id, &said, world->now_us);
        else if (kind == MN_MSG_LEAVE)
            mn_usher_gone(usher, place->id);
        return;
    }
    const bool open = world->open[place->where];
    if (kind == MN_MSG_HELLO)
        hear(world, place,
             open ? &(mn_message){.kind = MN_MSG_WELCOME,
                                  .welcome = {.heartbeat_ms = 1000, .silence_ms = 5000}}
                  : &(mn_message){.kind = MN_MSG_FINISHED});
    else if (kind == MN_MSG_JOIN)
        hear(world, place, &(mn_message){.kind = MN_MSG_THETA, .theta = {.version = 1, .n = 1}});
    else if (kind == MN_MSG_HEARTBEAT)
        hear(world, place, &(mn_message){.kind = open ? MN_MSG_PULSE : MN_MSG_FINISHED});
}

static void feed(struct world *world, struct place *place, mn_worker_event event)
{
    event.now_us = world->now_us;
    mn_worker_core_step(&place->core, &event, &place->todo);
    const mn_worker_actions todo = place->todo;
    for (size_t i = 0; i < todo.n; i++) {
        const mn_worker_action *action = &todo.list[i];
        if (action->kind == MN_WORKER_DO_DIAL)
            place->where = action->text[0] == '\0' ? RUNS : action->text[6] - '0';
        else if (action->kind == MN_WORKER_DO_HANG_UP) {
            if (place->where == RUNS)
                mn_usher_gone(usher, place->id);
            place->where = -1;
        } else if (action->kind == MN_WORKER_DO_SEND)
            reach(world, place, action->message);
        else if (action->kind == MN_WORKER_DO_BUILD)
            feed(world, place,
                 refuses(place->where, place->id)
                     ? (mn_worker_event){.kind = MN_WORKER_BUILD_FAILED,
                                         .status = MN_ERR_NO_INPUT,
                                         .text = "no data"}
                     : (mn_worker_event){.kind = MN_WORKER_BUILT, .theta_size = 1});
    }
}

static void come(struct world *world, struct place *place)
{
    place->id = ++world->next_id;
    place->where = -1;
    mn_worker_core_init(&place->core, world->now_us, 600 * SECOND, place->id);
    feed(world, place, (mn_worker_event){.kind = MN_WORKER_TICK});
}

static void say_all(struct world *world)
{
    while (mn_usher_take(usher, world->now_us, &word))
        for (int i = 0; i < WORKERS; i++)
            if (world->places[i].id == word.peer && world->places[i].where == RUNS)
                hear(world, &world->places[i], &word.message);
}

static void in_a_world_of_faults_every_open_run_is_served_and_all_end(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        static struct world world;
        world = (struct world){.random = mn_random_stream(seed, MN_RANDOM_SELF_TEST, 1)};
        tear_down(NULL);
        set_up(NULL);
        for (int i = 0; i < WORKERS; i++)
            come(&world, &world.places[i]);
        for (uint32_t t = 0; t < 6000; t++) { /* ten minutes by tenths of seconds */
            world.now_us += SECOND / 10;
            const int run = (int)mn_random_below(&world.random, RUNS);
            if (t == 5500)
                for (int i = 0; i < RUNS; i++) {
                    world.open[i] = false;
                    mn_usher_close(usher, (uint32_t)i);
                }
            if (t == 5500)
                mn_usher_end(usher, false);
            if (t < 5500 && mn_random_below(&world.random, 100) == 0) {
                const char address[] = {'t', 'c', 'p', ':', '/', '/', (char)('0' + run), '\0'};
                world.open[run] = !world.open[run];
                if (world.open[run])
                    mn_usher_open(usher, (uint32_t)run, address, 1);
                else
                    mn_usher_close(usher, (uint32_t)run);
            }
            struct place *place = &world.places[mn_random_below(&world.random, WORKERS)];
            if (t < 5500 &&
                mn_random_below(&world.random, 100) == 0) { /* killed, and another comes */
                if (place->where == RUNS)
                    mn_usher_gone(usher, place->id);
                come(&world, place);
            }
            for (int i = 0; i < WORKERS; i++) {
                feed(&world, &world.places[i], (mn_worker_event){.kind = MN_WORKER_TICK});
                if (world.places[i].core.state == MN_WORKER_WORKING)
                    world.worked[world.places[i].where]++;
            }
            say_all(&world);
            if (t < 5500) { /* nobody ends for good while the sweep lasts */
                for (int i = 0; i < WORKERS; i++)
                    if (world.places[i].core.state == MN_WORKER_ENDED)
                        fail_msg("seed %u: a worker ended after %u", (unsigned)seed, t);
                assert_true(mn_usher_n_away(usher) + mn_usher_n_waiting(usher) <= 3 * WORKERS);
            }
        }
        for (int i = 0; i < RUNS; i++)
            if (world.worked[i] < 1000)
                fail_msg("seed %u: run %d was served for %u tenths of seconds", (unsigned)seed, i,
                         world.worked[i]);
        for (int i = 0; i < WORKERS; i++)
            if (world.places[i].core.state != MN_WORKER_ENDED)
                fail_msg("seed %u: worker %d has not ended", (unsigned)seed, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(workers_go_where_threads_are_fewest_for_what_is_left,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_worker_stays_where_it_has_built_unless_another_is_much_worse_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_waits_is_held_and_sent_when_a_run_opens, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_run_that_refused_a_worker_gets_it_no_second_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_run_that_has_ended_is_left_alone_until_its_process_has,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_is_gone_is_not_counted_for_long, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_does_not_go_is_told_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(at_the_end_all_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_a_world_of_faults_every_open_run_is_served_and_all_end,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
