#include "coordinator/core/leader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static mn_leader *leader;
static mn_actions todo;
static mn_error err;

static uint64_t now_us;

static void begin(const mn_program *plan, uint32_t n_ranks)
{
    assert_int_equal(mn_leader_new(plan, n_ranks, &leader, &err), MN_OK);
}

static int tear_down(void **state)
{
    (void)state;
    mn_leader_destroy(&leader);
    mn_actions_fini(&todo);
    return 0;
}

static mn_status say(uint32_t rank, const mn_message *message)
{
    mn_leader_event event = {
        .kind = MN_LEADER_MESSAGE, .rank = rank, .message = message, .now_us = now_us};
    mn_actions_clear(&todo);
    return mn_leader_step(leader, &event, &todo, &err);
}

static void ask(uint32_t rank, uint32_t threads)
{
    mn_message message = {.kind = MN_MSG_ASK, .ask = {threads}};
    assert_int_equal(say(rank, &message), MN_OK);
}

static mn_status report(mn_message_kind kind, uint32_t rank, uint64_t round, uint32_t first,
                        uint32_t n)
{
    mn_message message = {.kind = kind, .range = {round, first, n}};
    return say(rank, &message);
}

static mn_status round_over(uint64_t round)
{
    mn_leader_event event = {.kind = MN_LEADER_ROUND_OVER, .round = round, .now_us = now_us};
    mn_actions_clear(&todo);
    return mn_leader_step(leader, &event, &todo, &err);
}

static void want_stop(const char *why)
{
    mn_leader_event event = {.kind = MN_LEADER_STOP_WANTED, .text = why};
    mn_actions_clear(&todo);
    assert_int_equal(mn_leader_step(leader, &event, &todo, &err), MN_OK);
}

static size_t count(mn_message_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < todo.n; i++)
        n += todo.list[i].kind == MN_DO_TO_RANK && todo.list[i].message == kind;
    return n;
}

static const mn_action *first(mn_message_kind kind)
{
    for (size_t i = 0; i < todo.n; i++)
        if (todo.list[i].kind == MN_DO_TO_RANK && todo.list[i].message == kind)
            return &todo.list[i];
    fail_msg("no message of kind %d", (int)kind);
    return NULL;
}

/* Settle the open round of one rank and expect it to be followed by this one. */
static void finish_round_expecting(uint64_t id, mn_split split, uint64_t step, uint64_t first_task,
                                   uint32_t n)
{
    mn_leader_progress now = mn_leader_look(leader);
    assert_int_equal(report(MN_MSG_SETTLED, 0, now.round.id, 0, now.round.n_tasks), MN_OK);
    assert_int_equal(count(MN_MSG_REDUCE), 1);
    assert_int_equal(round_over(now.round.id), MN_OK);
    const mn_round *next = &first(MN_MSG_ROUND)->round;
    assert_int_equal(next->id, id);
    assert_int_equal(next->kind, split == MN_TRAIN ? MN_ROUND_TRAIN : MN_ROUND_TEST);
    assert_int_equal(next->split, split);
    assert_int_equal(next->step, step);
    assert_int_equal(next->first_task, first_task);
    assert_int_equal(next->n_tasks, n);
    assert_int_equal(first(MN_MSG_RANGE)->range.n, n); /* one rank gets all at once */
}

static void the_program_is_train_validate_and_test(void **state)
{
    (void)state;
    mn_program plan = {
        .steps = 3, .batch = 5, .val_every = 2, .val_tasks = 4, .test_tasks = 6, .keep_best = true};
    begin(&plan, 1);
    ask(0, 2);
    assert_int_equal(first(MN_MSG_ROUND)->round.n_tasks, 5);
    finish_round_expecting(2, MN_TRAIN, 1, 5, 5);
    finish_round_expecting(3, MN_VAL, 2, 0, 4);
    finish_round_expecting(4, MN_TRAIN, 2, 10, 5);
    finish_round_expecting(5, MN_TEST, 4, 0, 6); /* the best theta has a version of its own */
    assert_int_equal(report(MN_MSG_SETTLED, 0, 5, 0, 6), MN_OK);
    assert_int_equal(round_over(5), MN_OK);
    assert_string_equal(first(MN_MSG_STOP)->log.text, "");
    assert_true(mn_leader_look(leader).complete);
}

static void training_ends_with_a_round_that_was_enough(void **state)
{
    (void)state;
    mn_program plan = {
        .steps = 9, .batch = 5, .val_every = 2, .val_tasks = 4, .test_tasks = 6, .keep_best = true};
    mn_leader_event enough = {.kind = MN_LEADER_ROUND_OVER, .round = 3, .enough = true};
    begin(&plan, 1);
    ask(0, 2);
    finish_round_expecting(2, MN_TRAIN, 1, 5, 5);
    finish_round_expecting(3, MN_VAL, 2, 0, 4);
    assert_int_equal(report(MN_MSG_SETTLED, 0, 3, 0, 4), MN_OK);
    mn_actions_clear(&todo);
    assert_int_equal(mn_leader_step(leader, &enough, &todo, &err), MN_OK);
    assert_int_equal(first(MN_MSG_ROUND)->round.split, MN_TEST);
    assert_int_equal(first(MN_MSG_ROUND)->round.step, 3); /* the best theta, as ever */
    assert_int_equal(report(MN_MSG_SETTLED, 0, 4, 0, 6), MN_OK);
    assert_int_equal(round_over(4), MN_OK);
    assert_true(mn_leader_look(leader).complete);
}

static void a_program_pauses_after_the_validation_that_is_due_there(void **state)
{
    (void)state;
    const mn_program plan = {
        .steps = 9, .pause = 2, .batch = 5, .val_every = 2, .val_tasks = 4, .test_tasks = 6};
    begin(&plan, 1);
    ask(0, 2);
    finish_round_expecting(2, MN_TRAIN, 1, 5, 5);
    finish_round_expecting(3, MN_VAL, 2, 0, 4);
    assert_int_equal(report(MN_MSG_SETTLED, 0, 3, 0, 4), MN_OK);
    assert_int_equal(round_over(3), MN_OK);
    assert_int_equal(count(MN_MSG_ROUND), 0);
    assert_non_null(strstr(first(MN_MSG_STOP)->log.text, "pauses"));
    assert_true(mn_leader_look(leader).ended);
    assert_false(mn_leader_look(leader).complete);
}

static void a_program_that_is_beyond_its_pause_makes_no_step(void **state)
{
    (void)state;
    const mn_program plan = {.start = 3, .steps = 9, .pause = 2, .batch = 5, .test_tasks = 6};
    begin(&plan, 1);
    ask(0, 2);
    assert_int_equal(count(MN_MSG_ROUND), 0);
    assert_int_equal(count(MN_MSG_STOP), 1);
}

static void a_pause_after_the_last_step_is_none(void **state)
{
    (void)state;
    const mn_program plan = {.steps = 1, .pause = 1, .batch = 5, .test_tasks = 6};
    begin(&plan, 1);
    ask(0, 2);
    finish_round_expecting(2, MN_TEST, 1, 0, 6);
}

static void the_average_of_theta_has_versions_of_its_own(void **state)
{
    (void)state;
    mn_program plan = {
        .steps = 2, .batch = 5, .val_every = 1, .val_tasks = 4, .test_tasks = 6, .averages = true};
    begin(&plan, 1);
    ask(0, 2);
    assert_int_equal(first(MN_MSG_ROUND)->round.n_tasks, 5);
    finish_round_expecting(2, MN_VAL, MN_AVERAGE | 1, 0, 4);
    finish_round_expecting(3, MN_TRAIN, 1, 5, 5);
    finish_round_expecting(4, MN_VAL, MN_AVERAGE | 2, 0, 4);
    finish_round_expecting(5, MN_TEST, 3, 0, 6);
}

static void a_resumed_run_goes_on_where_it_stopped(void **state)
{
    (void)state;
    mn_program plan = {.start = 4,
                       .steps = 4,
                       .batch = 5,
                       .val_every = 2,
                       .val_tasks = 3,
                       .test_tasks = 6,
                       .val_due = true};
    begin(&plan, 1);
    ask(0, 2);
    assert_int_equal(first(MN_MSG_ROUND)->round.split, MN_VAL);
    assert_int_equal(first(MN_MSG_ROUND)->round.step, 4);
    finish_round_expecting(2, MN_TEST, 4, 0, 6);
}

static void nothing_left_to_do_ends_at_once(void **state)
{
    (void)state;
    mn_program plan = {.start = 4, .steps = 4, .batch = 5};
    begin(&plan, 2);
    ask(0, 0);
    assert_int_equal(todo.n, 0);
    ask(1, 0);
    assert_int_equal(count(MN_MSG_STOP), 2);
    assert_true(mn_leader_look(leader).complete);
}

static void tasks_are_shared_by_threads_and_returned_ones_go_to_others(void **state)
{
    (void)state;
    mn_program plan = {.steps = 1, .batch = 100};
    begin(&plan, 2);
    ask(0, 3);
    assert_int_equal(todo.n, 0); /* not all ranks are there */
    ask(1, 1);
    assert_int_equal(count(MN_MSG_ROUND), 2);
    assert_int_equal(count(MN_MSG_RANGE), 4); /* two each */
    mn_range mine = {0}, given[4];
    for (size_t i = 0, n = 0; i < todo.n; i++)
        if (todo.list[i].message == MN_MSG_RANGE) {
            given[n++] = todo.list[i].range;
            if (todo.list[i].rank == 1 && mine.n == 0)
                mine = todo.list[i].range;
        }
    assert_int_equal(given[0].n, 36); /* half of three quarters, in waves of three */
    assert_true(mine.n < 10);

    ask(1, 0);
    assert_int_equal(report(MN_MSG_RETURNED, 1, 1, mine.begin, mine.n), MN_OK);
    assert_int_equal(count(MN_MSG_RANGE), 0); /* rank 0 has two in hand, rank 1 no threads */
    assert_int_equal(report(MN_MSG_SETTLED, 0, 1, given[0].begin, given[0].n), MN_OK);
    assert_int_equal(first(MN_MSG_RANGE)->rank, 0);
    assert_int_equal(first(MN_MSG_RANGE)->range.begin, mine.begin);
}

/* The one task of a round that each of two ranks has. */
static uint32_t task_of(uint32_t rank)
{
    for (size_t i = 0; i < todo.n; i++)
        if (todo.list[i].kind == MN_DO_TO_RANK && todo.list[i].message == MN_MSG_RANGE &&
            todo.list[i].rank == rank)
            return todo.list[i].range.begin;
    fail_msg("rank %u has no task", rank);
    return 0;
}

static const mn_note *waited(void)
{
    for (size_t i = 0; i < todo.n; i++)
        if (todo.list[i].kind == MN_DO_NOTE)
            return &todo.list[i].note;
    return NULL;
}

static void a_rank_that_is_long_waited_for_is_noted(void **state)
{
    (void)state;
    const uint64_t second = 1000000;
    const mn_program plan = {.start = 6, .steps = 8, .batch = 2};
    now_us = second;
    begin(&plan, 2);
    ask(0, 1);
    ask(1, 1);
    uint32_t of_first = task_of(0), of_second = task_of(1);
    now_us += second;
    assert_int_equal(report(MN_MSG_SETTLED, 0, 1, of_first, 1), MN_OK);
    assert_null(waited());
    now_us += 2 * second;
    assert_int_equal(report(MN_MSG_SETTLED, 1, 1, of_second, 1), MN_OK);
    assert_int_equal(count(MN_MSG_REDUCE), 2);
    assert_non_null(waited());
    assert_int_equal(waited()->kind, MN_NOTE_WAITED);
    assert_string_equal(waited()->who, "rank 1");
    assert_int_equal(waited()->step, 7); /* the seventh meta-step */
    assert_int_equal(waited()->span_us, 2 * second);
    assert_int_equal(waited()->threads, 1);

    assert_int_equal(round_over(1), MN_OK); /* the next one flows */
    of_first = task_of(0);
    of_second = task_of(1);
    now_us += second;
    assert_int_equal(report(MN_MSG_SETTLED, 0, 2, of_first, 1), MN_OK);
    assert_int_equal(report(MN_MSG_SETTLED, 1, 2, of_second, 1), MN_OK);
    assert_int_equal(count(MN_MSG_REDUCE), 2);
    assert_null(waited());
}

static void what_a_rank_does_not_hold_it_cannot_settle(void **state)
{
    (void)state;
    mn_program plan = {.steps = 2, .batch = 10};
    begin(&plan, 2);
    ask(0, 1);
    ask(1, 1);
    assert_int_equal(report(MN_MSG_SETTLED, 0, 1, 0, 10), MN_ERR_PROTOCOL);
    assert_int_equal(report(MN_MSG_SETTLED, 0, 2, 0, 1), MN_ERR_PROTOCOL);
    assert_int_equal(report(MN_MSG_SETTLED, 2, 1, 0, 1), MN_ERR_PROTOCOL);
    assert_int_equal(report(MN_MSG_SETTLED, 1, 1, 0, 1), MN_ERR_PROTOCOL);
    assert_int_equal(report(MN_MSG_HELLO, 0, 1, 0, 1), MN_ERR_PROTOCOL);
    assert_int_equal(round_over(1), MN_ERR_PROTOCOL);
    assert_int_equal(report(MN_MSG_SETTLED, 0, 1, 0, 1), MN_OK);
    assert_int_equal(report(MN_MSG_SETTLED, 0, 1, 0, 1), MN_ERR_PROTOCOL);
    assert_int_equal(mn_leader_look(leader).done, 1);
}

static void a_stop_drops_the_round_but_never_a_reduce(void **state)
{
    (void)state;
    mn_program plan = {.steps = 2, .batch = 4, .test_tasks = 1};
    begin(&plan, 1);
    ask(0, 1);
    assert_int_equal(report(MN_MSG_SETTLED, 0, 1, 0, 4), MN_OK);
    want_stop("signal");
    assert_int_equal(count(MN_MSG_STOP), 0);
    assert_int_equal(round_over(1), MN_OK);
    assert_string_equal(first(MN_MSG_STOP)->log.text, "signal");
    assert_int_equal(count(MN_MSG_ROUND), 0);
    assert_true(mn_leader_look(leader).ended && !mn_leader_look(leader).complete);
    want_stop("again");
    assert_int_equal(todo.n, 0); /* said once */
    mn_leader_destroy(&leader);

    begin(&plan, 3);
    ask(0, 1);
    ask(1, 1);
    ask(2, 1);
    mn_message wish = {.kind = MN_MSG_STOP_WANTED};
    (void)snprintf(wish.reject.reason, sizeof wish.reject.reason, "disk full");
    assert_int_equal(say(2, &wish), MN_OK);
    assert_int_equal(count(MN_MSG_STOP), 3);
    assert_string_equal(first(MN_MSG_STOP)->log.text, "disk full");
}

static void a_stop_before_all_ranks_are_there_waits_for_them(void **state)
{
    (void)state;
    mn_program plan = {.steps = 2, .batch = 4};
    begin(&plan, 2);
    want_stop(NULL);
    assert_int_equal(count(MN_MSG_STOP), 0);
    ask(0, 1);
    ask(1, 1);
    assert_int_equal(count(MN_MSG_STOP), 2);
    assert_int_equal(count(MN_MSG_ROUND), 0);
}

static void a_stop_wanted_in_the_last_reduce_comes_too_late(void **state)
{
    (void)state;
    mn_program plan = {.steps = 1, .batch = 4};
    begin(&plan, 1);
    ask(0, 1);
    assert_int_equal(report(MN_MSG_SETTLED, 0, 1, 0, 4), MN_OK);
    want_stop("signal");
    assert_int_equal(round_over(1), MN_OK);
    assert_string_equal(first(MN_MSG_STOP)->log.text, "");
    assert_true(mn_leader_look(leader).complete);
}

static void plans_that_cannot_be_run_are_refused(void **state)
{
    (void)state;
    mn_program good = {.steps = 3, .batch = 5}, bad = good;
    assert_int_equal(mn_leader_new(&good, 0, &leader, &err), MN_ERR_RANGE);
    assert_int_equal(mn_leader_new(&good, MN_MAX_RANKS + 1, &leader, &err), MN_ERR_RANGE);
    bad.start = 4;
    assert_int_equal(mn_leader_new(&bad, 1, &leader, &err), MN_ERR_RANGE);
    bad = good;
    bad.batch = 0;
    assert_int_equal(mn_leader_new(&bad, 1, &leader, &err), MN_ERR_RANGE);
    bad = good;
    bad.steps = UINT64_MAX;
    assert_int_equal(mn_leader_new(&bad, 1, &leader, &err), MN_ERR_RANGE);
    bad = good;
    bad.val_every = 1;
    assert_int_equal(mn_leader_new(&bad, 1, &leader, &err), MN_ERR_RANGE);
    assert_null(leader);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_program_is_train_validate_and_test),
        TEST(training_ends_with_a_round_that_was_enough),
        TEST(a_program_pauses_after_the_validation_that_is_due_there),
        TEST(a_program_that_is_beyond_its_pause_makes_no_step),
        TEST(a_pause_after_the_last_step_is_none),
        TEST(the_average_of_theta_has_versions_of_its_own),
        TEST(a_resumed_run_goes_on_where_it_stopped),
        TEST(nothing_left_to_do_ends_at_once),
        TEST(tasks_are_shared_by_threads_and_returned_ones_go_to_others),
        TEST(a_rank_that_is_long_waited_for_is_noted),
        TEST(what_a_rank_does_not_hold_it_cannot_settle),
        TEST(a_stop_drops_the_round_but_never_a_reduce),
        TEST(a_stop_before_all_ranks_are_there_waits_for_them),
        TEST(a_stop_wanted_in_the_last_reduce_comes_too_late),
        TEST(plans_that_cannot_be_run_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
