#include "coordinator/core/rank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000)
enum { COLUMNS = 5, SILENCE_MS = 60000, FLOOR_MS = 100, THREADS = 2 };

static mn_rank *rank;
static mn_actions todo;
static mn_error err;
static uint64_t now_us;

static int set_up(void **state)
{
    (void)state;
    const mn_rank_config config = {.max_members = 4,
                                   .numeric_class = {{1}},
                                   .data = {{2}},
                                   .only_rank = true,
                                   .silence_ms = SILENCE_MS,
                                   .lease_floor_ms = FLOOR_MS,
                                   .train_columns = COLUMNS,
                                   .test_columns = COLUMNS};
    now_us = 5000 * MS;
    return mn_rank_new(&config, &rank, &err) == MN_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mn_rank_destroy(&rank);
    mn_actions_fini(&todo);
    return 0;
}

/* Actions gather until the next forget(). */
static void step(mn_event event)
{
    event.now_us = now_us;
    assert_int_equal(mn_rank_step(rank, &event, &todo, &err), MN_OK);
}

static void says(uint64_t peer, const mn_message *message)
{
    step((mn_event){.kind = MN_EVENT_FROM_WORKER, .peer = peer, .message = message});
}

static void hello(uint64_t peer)
{
    mn_message hello = {
        .kind = MN_MSG_HELLO,
        .hello = {.protocol = MN_PROTOCOL_VERSION, .uuid = {peer, 0}, .threads = THREADS}};
    (void)snprintf(hello.hello.name, sizeof hello.hello.name, "w%d", (int)peer);
    says(peer, &hello);
}

static void join(uint64_t peer, uint8_t class)
{
    const mn_message join = {.kind = MN_MSG_JOIN,
                             .join = {.numeric_class = {{class}}, .data = {{2}}}};
    hello(peer);
    says(peer, &join);
}

static void give_range(uint64_t id, uint32_t begin, uint32_t n)
{
    const mn_message range = {.kind = MN_MSG_RANGE, .range = {id, begin, n}};
    step((mn_event){.kind = MN_EVENT_FROM_LEADER, .message = &range});
}

static void open_round(uint64_t id, uint32_t n)
{
    const mn_message round = {
        .kind = MN_MSG_ROUND,
        .round = {.id = id, .step = id - 1, .first_task = (id - 1) * 100, .n_tasks = n}};
    step((mn_event){.kind = MN_EVENT_FROM_LEADER, .message = &round});
    give_range(id, 0, n);
}

static mn_lease lease_to(uint64_t peer, size_t i)
{
    for (size_t at = 0; at < todo.n; at++)
        if (todo.list[at].kind == MN_DO_SEND && todo.list[at].message == MN_MSG_LEASE &&
            todo.list[at].peer == peer && i-- == 0)
            return todo.list[at].lease;
    fail_msg("peer %d got no such lease", (int)peer);
    return (mn_lease){0};
}

static void give(uint64_t peer, mn_lease lease, uint32_t compute_us)
{
    const mn_message message = {.kind = MN_MSG_RESULT,
                                .payload_bytes = 2 * COLUMNS * sizeof(int64_t),
                                .result = {.epoch = lease.epoch,
                                           .result = {.encoding = MN_ENCODING_EXACT,
                                                      .n_tasks = lease.n,
                                                      .n_columns = COLUMNS,
                                                      .compute_us = compute_us}}};
    says(peer, &message);
}

static void reduce(uint64_t id)
{
    const mn_message message = {.kind = MN_MSG_REDUCE, .range = {.round = id}};
    step((mn_event){.kind = MN_EVENT_FROM_LEADER, .message = &message});
}

static const mn_note *note_of(mn_note_kind kind)
{
    for (size_t i = 0; i < todo.n; i++)
        if (todo.list[i].kind == MN_DO_NOTE && todo.list[i].note.kind == kind)
            return &todo.list[i].note;
    return NULL;
}

static size_t n_notes(void)
{
    size_t n = 0;
    for (size_t i = 0; i < todo.n; i++)
        n += todo.list[i].kind == MN_DO_NOTE;
    return n;
}

static void tick(uint64_t ms)
{
    now_us += ms * MS;
    step((mn_event){.kind = MN_EVENT_TICK});
}

static void a_round_that_flows_is_not_told(void **state)
{
    (void)state;
    join(1, 1);
    mn_actions_clear(&todo);
    open_round(1, 4);
    const mn_lease first = lease_to(1, 0), second = lease_to(1, 1);
    now_us += 10 * MS;
    give(1, first, 20000);
    now_us += 10 * MS;
    give(1, second, 20000);
    reduce(1);
    assert_int_equal(n_notes(), 0);
    assert_int_equal(mn_rank_look(rank).counts.repeated_us, 0);
}

static void who_dies_takes_what_it_has_computed_since_its_last_result(void **state)
{
    (void)state;
    join(1, 1);
    open_round(1, 8);
    const mn_lease first = lease_to(1, 0);
    now_us += 10 * MS;
    give(1, first, 20000); /* a wave takes 10 ms */
    now_us += 4 * MS;
    mn_actions_clear(&todo);
    step((mn_event){.kind = MN_EVENT_PEER_GONE, .peer = 1});
    const mn_note *lost = note_of(MN_NOTE_LOST), *repeated = note_of(MN_NOTE_REPEATED);
    assert_non_null(lost);
    assert_string_equal(lost->who, "w1");
    assert_string_equal(lost->why, "its connection closed");
    assert_non_null(repeated);
    assert_string_equal(repeated->who, "w1");
    assert_true(repeated->task >= 2 && repeated->tasks >= 2);
    assert_int_equal(repeated->lost_us, 4 * MS * THREADS); /* by the clock, not by the pace */
    assert_int_equal(mn_rank_look(rank).counts.repeated_us, 4 * MS * THREADS);
    assert_int_equal(mn_rank_look(rank).counts.tasks_repeated, repeated->tasks);

    /* Silent for long, it can have computed no more than it had. */
    mn_actions_clear(&todo);
    join(2, 1);
    give_range(1, 2, 6); /* nobody was there, so the leader had them back */
    const mn_lease of_second = lease_to(2, 0);
    now_us += 10 * MS;
    give(2, of_second, 20000);
    mn_actions_clear(&todo);
    const uint64_t before_us = mn_rank_look(rank).counts.repeated_us;
    now_us += SILENCE_MS * MS;
    join(3, 1); /* or nobody could have the tasks */
    tick(SILENCE_MS);
    repeated = note_of(MN_NOTE_REPEATED);
    assert_non_null(note_of(MN_NOTE_SILENT));
    assert_non_null(repeated);
    assert_int_equal(mn_rank_look(rank).counts.repeated_us - before_us, repeated->lost_us);
    assert_in_range(repeated->lost_us, repeated->tasks * 9 * MS, repeated->tasks * 11 * MS);
}

/* Both have the same tasks, one after the other: the slower one's work is for nothing. */
static void of_two_results_the_later_one_is_told(void **state)
{
    (void)state;
    join(1, 1);
    open_round(1, 2);
    const mn_lease first = lease_to(1, 0);
    now_us += MS;
    join(2, 1);
    mn_actions_clear(&todo);
    tick(FLOOR_MS * 10 + 1);
    const mn_note *ran_out = note_of(MN_NOTE_RAN_OUT);
    assert_non_null(ran_out);
    assert_string_equal(ran_out->who, "w1");
    assert_int_equal(ran_out->tasks, 2);
    assert_int_equal(ran_out->span_us, FLOOR_MS * 10 * MS);
    assert_true(ran_out->pause_us > 0);
    const mn_lease again = lease_to(2, 0);
    now_us += 50 * MS;
    mn_actions_clear(&todo);
    give(2, again, 90000);
    assert_null(note_of(MN_NOTE_REPEATED));
    give(1, first, UINT32_MAX); /* what it says is bounded by its threads' time */
    const mn_note *repeated = note_of(MN_NOTE_REPEATED);
    assert_non_null(repeated);
    assert_string_equal(repeated->who, "w1");
    assert_int_equal(repeated->tasks, 2);
    assert_int_equal(repeated->lost_us, THREADS * (now_us - 5000 * MS));
    assert_non_null(note_of(MN_NOTE_BACK));
    mn_actions_clear(&todo);
    reduce(1);
    const mn_note *waited = note_of(MN_NOTE_WAITED);
    assert_non_null(waited); /* from the second's coming until the first's lease ran out */
    assert_string_equal(waited->who, "w1");
    assert_int_equal(waited->threads, THREADS);
    assert_int_equal(waited->span_us, FLOOR_MS * 10 * MS + MS);
}

/* It will not be asked for its result any more. */
static void what_is_still_under_way_at_the_rounds_end_is_written_off(void **state)
{
    (void)state;
    join(1, 1);
    open_round(1, 2);
    (void)lease_to(1, 0);
    join(2, 1);
    tick(FLOOR_MS * 10 + 1);
    const mn_lease again = lease_to(2, 0);
    now_us += 50 * MS;
    give(2, again, 90000);
    mn_actions_clear(&todo);
    reduce(1);
    const mn_note *repeated = note_of(MN_NOTE_REPEATED);
    assert_non_null(repeated);
    assert_string_equal(repeated->who, "w1");
    assert_in_range(repeated->lost_us, 1, 2 * 51 * MS);
}

static void who_is_not_let_in_is_told_with_the_reason(void **state)
{
    (void)state;
    join(1, 9);
    const mn_note *refused = note_of(MN_NOTE_REFUSED);
    assert_non_null(refused);
    assert_null(note_of(MN_NOTE_REJECTED));
    assert_string_equal(refused->who, "w1");
    assert_non_null(strstr(refused->why, "another numeric class"));
    assert_non_null(strstr(refused->why, "which marks the run as mixed")); /* to its end */

    join(2, 1);
    open_round(1, 2);
    mn_actions_clear(&todo);
    for (uint32_t i = 0; i < MN_MAX_DAMAGED; i++)
        step((mn_event){.kind = MN_EVENT_DAMAGED, .peer = 2, .text = "torn"});
    assert_non_null(note_of(MN_NOTE_DAMAGED));
    assert_string_equal(note_of(MN_NOTE_DAMAGED)->why, "torn");
    assert_non_null(note_of(MN_NOTE_REJECTED)); /* it was in */
    assert_null(note_of(MN_NOTE_REFUSED));
}

static void who_has_nothing_to_do_for_long_is_told_once_with_the_reason(void **state)
{
    (void)state;
    join(1, 1);
    open_round(1, 2);
    const mn_lease first = lease_to(1, 0);
    join(2, 1);
    mn_actions_clear(&todo);
    give(1, first, 10);
    tick(4999);
    assert_null(note_of(MN_NOTE_IDLE));
    tick(1000);
    tick(1000);
    tick(1000);
    assert_int_equal(n_notes(), 2); /* each of the two once */
    const mn_note *idle = note_of(MN_NOTE_IDLE);
    assert_non_null(strstr(idle->why, "a round has 2 tasks"));
    assert_non_null(strstr(idle->why, "4 threads"));
    mn_actions_clear(&todo);
    reduce(1);
    step((mn_event){.kind = MN_EVENT_REDUCED, .round = 1});
    open_round(2, 8);
    assert_non_null(note_of(MN_NOTE_BUSY));
    assert_true(note_of(MN_NOTE_BUSY)->span_us >= 7999 * MS);
}

static void the_reason_of_being_idle_is_that_of_the_moment(void **state)
{
    (void)state;
    join(1, 1);
    tick(6000);
    assert_non_null(note_of(MN_NOTE_IDLE));
    assert_non_null(strstr(note_of(MN_NOTE_IDLE)->why, "no round is open yet"));
    assert_int_equal(note_of(MN_NOTE_IDLE)->step, 0);
    join(2, 1);
    open_round(1, 4);
    const mn_lease first = lease_to(1, 0), second = lease_to(2, 0);
    mn_actions_clear(&todo);
    give(1, first, 10);
    give(2, second, 10);
    tick(6000); /* other ranks have not finished */
    assert_non_null(note_of(MN_NOTE_IDLE));
    assert_non_null(strstr(note_of(MN_NOTE_IDLE)->why, "all 4 tasks of the round"));
    assert_int_equal(note_of(MN_NOTE_IDLE)->step, 1);
}

static void a_round_that_nobody_is_there_for_waits_for_anybody(void **state)
{
    (void)state;
    open_round(1, 2);
    tick(3000);
    join(1, 1);
    give_range(1, 0, 2); /* the leader had them back */
    const mn_lease first = lease_to(1, 0);
    give(1, first, 10);
    reduce(1);
    const mn_note *waited = note_of(MN_NOTE_WAITED);
    assert_non_null(waited);
    assert_string_equal(waited->who, "");
    assert_int_equal(waited->span_us, 3000 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_round_that_flows_is_not_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_dies_takes_what_it_has_computed_since_its_last_result,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_two_results_the_later_one_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_still_under_way_at_the_rounds_end_is_written_off,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_not_let_in_is_told_with_the_reason, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_has_nothing_to_do_for_long_is_told_once_with_the_reason,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_reason_of_being_idle_is_that_of_the_moment, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_round_that_nobody_is_there_for_waits_for_anybody, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
