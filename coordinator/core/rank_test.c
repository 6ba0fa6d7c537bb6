#include "coordinator/core/rank.h"

#include "common/exact_sum.h"
#include "coordinator/core/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000)
enum { COLUMNS = 5, SILENCE_MS = 1000, FLOOR_MS = 100 };

static mn_rank *rank;
static mn_actions todo;
static mn_error err;
static uint64_t now_us;

static int set_up(void **state)
{
    (void)state;
    mn_rank_config config = {.max_members = 4,
                             .numeric_class = {{1}},
                             .data = {{2}},
                             .data_name = "omniglot.mnd",
                             .silence_ms = SILENCE_MS,
                             .lease_floor_ms = FLOOR_MS,
                             .train_columns = COLUMNS,
                             .test_columns = COLUMNS + 1};
    now_us = 0;
    return mn_rank_new(&config, &rank, &err) == MN_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mn_rank_destroy(&rank);
    mn_actions_fini(&todo);
    return 0;
}

static mn_status step(mn_event event)
{
    event.now_us = now_us;
    mn_actions_clear(&todo);
    return mn_rank_step(rank, &event, &todo, &err);
}

static void worker_says(uint64_t peer, const mn_message *message)
{
    assert_int_equal(
        step((mn_event){.kind = MN_EVENT_FROM_WORKER, .peer = peer, .message = message}), MN_OK);
}

static mn_status leader_says(const mn_message *message)
{
    return step((mn_event){.kind = MN_EVENT_FROM_LEADER, .message = message});
}

static mn_message hello_of(uint64_t uuid)
{
    mn_message hello = {
        .kind = MN_MSG_HELLO,
        .hello = {.protocol = MN_PROTOCOL_VERSION, .uuid = {uuid, 0}, .threads = 2}};
    (void)snprintf(hello.hello.name, sizeof hello.hello.name, "w%d", (int)uuid);
    return hello;
}

static void join(uint64_t peer)
{
    mn_message hello = hello_of(peer);
    mn_message join = {.kind = MN_MSG_JOIN, .join = {.numeric_class = {{1}}, .data = {{2}}}};
    worker_says(peer, &hello);
    worker_says(peer, &join);
}

static void give_range(uint64_t id, uint32_t n)
{
    mn_message range = {.kind = MN_MSG_RANGE, .range = {id, 0, n}};
    assert_int_equal(leader_says(&range), MN_OK);
}

static void open_round(uint64_t id, uint32_t n)
{
    mn_message round = {.kind = MN_MSG_ROUND, .round = {.id = id, .step = id + 6, .n_tasks = n}};
    assert_int_equal(leader_says(&round), MN_OK);
    give_range(id, n);
}

/* The i-th action of this kind (for sends: of this message too); NULL: there are not so many. */
static const mn_action *find(mn_action_kind kind, mn_message_kind message, uint64_t peer, size_t i)
{
    for (size_t at = 0; at < todo.n; at++)
        if (todo.list[at].kind == kind && todo.list[at].message == message &&
            todo.list[at].peer == peer && i-- == 0)
            return &todo.list[at];
    return NULL;
}

static mn_lease lease_to(uint64_t peer, size_t i)
{
    const mn_action *action = find(MN_DO_SEND, MN_MSG_LEASE, peer, i);
    assert_non_null(action);
    return action->lease;
}

/* RESULT of a lease and of those kept before, as the local pool's exact sum. */
static mn_message sum_of(uint64_t epoch, uint32_t n_tasks, uint32_t n_kept, const uint64_t *kept)
{
    mn_message sum = {.kind = MN_MSG_RESULT,
                      .payload_bytes = 2 * COLUMNS * sizeof(int64_t),
                      .result = {.epoch = epoch,
                                 .result = {.encoding = MN_ENCODING_EXACT,
                                            .n_tasks = n_tasks,
                                            .n_columns = COLUMNS,
                                            .n_kept = n_kept}}};
    for (uint32_t i = 0; i < n_kept; i++)
        sum.result.result.kept[i] = kept[i];
    return sum;
}

static void result(uint64_t peer, uint64_t epoch, uint32_t n)
{
    mn_message message = sum_of(epoch, n, 0, NULL);
    worker_says(peer, &message);
}

static void expect_refused(uint64_t peer, mn_refusal why)
{
    const mn_action *refused = find(MN_DO_REFUSE, MN_MSG_NONE, peer, 0);
    assert_non_null(refused);
    assert_int_equal(refused->refusal.why, why);
    assert_null(find(MN_DO_ACCEPT, MN_MSG_NONE, peer, 0));
}

static void a_worker_joins_gets_theta_then_two_leases_and_its_result_counts(void **state)
{
    (void)state;
    mn_message hello = hello_of(7),
               join_message = {.kind = MN_MSG_JOIN, .join = {{{1}}, {{2}}, "k"}};
    open_round(1, 30);
    worker_says(7, &hello);
    assert_non_null(find(MN_DO_SEND, MN_MSG_WELCOME, 7, 0));
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 7, 0));
    worker_says(7, &join_message);
    assert_int_equal(find(MN_DO_TO_LEADER, MN_MSG_ASK, 0, 0)->threads, 2);
    give_range(1, 30); /* it was given back, as there was nobody */
    const mn_action *theta = find(MN_DO_SEND_THETA, MN_MSG_NONE, 7, 0);
    assert_non_null(theta);
    assert_int_equal(theta->version, 7);
    mn_lease lease = lease_to(7, 0);
    assert_true(theta < find(MN_DO_SEND, MN_MSG_LEASE, 7, 0));
    assert_non_null(find(MN_DO_SEND, MN_MSG_LEASE, 7, 1));
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 7, 2));
    assert_null(find(MN_DO_SEND_THETA, MN_MSG_NONE, 7, 1));

    result(7, lease.epoch, lease.n);
    assert_int_equal(find(MN_DO_ACCEPT, MN_MSG_NONE, 7, 0)->lease.begin, lease.begin);
    assert_int_equal(find(MN_DO_TO_LEADER, MN_MSG_SETTLED, 0, 0)->range.n, lease.n);
    assert_non_null(find(MN_DO_SEND, MN_MSG_LEASE, 7, 0)); /* the next one, without being asked */
    assert_int_equal(mn_rank_look(rank).counts.tasks_done, lease.n);

    result(7, lease.epoch, lease.n);
    expect_refused(7, MN_REFUSED_LATE);
}

static void strangers_are_told_to_register(void **state)
{
    (void)state;
    mn_message beat = {.kind = MN_MSG_HEARTBEAT};
    worker_says(9, &beat);
    assert_non_null(find(MN_DO_SEND, MN_MSG_REGISTER_AGAIN, 9, 0));
    result(9, 1, 1);
    expect_refused(9, MN_REFUSED_UNKNOWN);
    assert_non_null(find(MN_DO_SEND, MN_MSG_REGISTER_AGAIN, 9, 0));
    join(9);
    worker_says(9, &beat);
    assert_non_null(find(MN_DO_SEND, MN_MSG_PULSE, 9, 0));
}

static void expect_rejected(uint64_t peer, const char *why, const char *remedy)
{
    const mn_action *rejected = find(MN_DO_SEND, MN_MSG_REJECT, peer, 0);
    assert_non_null(rejected);
    mn_message message = mn_action_message(rejected);
    assert_non_null(strstr(message.reject.reason, why));
    assert_non_null(strstr(message.reject.reason, remedy));
}

static void those_who_do_not_fit_are_rejected_with_the_remedy(void **state)
{
    (void)state;
    mn_message hello = hello_of(7), other = hello_of(8),
               data = {.kind = MN_MSG_JOIN, .join = {{{1}}, {{9}}, ""}},
               kernels = {.kind = MN_MSG_JOIN, .join = {{{9}}, {{2}}, "avx2"}};
    other.hello.protocol = 99;
    worker_says(8, &other);
    expect_rejected(8, "protocol 99", "same version");
    worker_says(7, &hello);
    worker_says(7, &data);
    expect_rejected(7, "begins with 0900", "omniglot.mnd");
    assert_non_null(strstr(find(MN_DO_SEND, MN_MSG_REJECT, 7, 0)->log.text, "0200"));
    worker_says(7, &hello);
    worker_says(7, &kernels);
    expect_rejected(7, "avx2", "pool.any_numeric_class=true");
    assert_int_equal(mn_rank_look(rank).counts.rejected, 3);
    assert_int_equal(mn_rank_look(rank).workers, 0);

    other = hello_of(8);
    other.hello.threads = 0;
    worker_says(8, &other);
    expect_rejected(8, "0 threads", "start it with");
    for (uint64_t peer = 20; peer < 24; peer++)
        join(peer);
    worker_says(7, &hello);
    expect_rejected(7, "places", "another rank");
    assert_true(mn_action_message(find(MN_DO_SEND, MN_MSG_REJECT, 7, 0)).reject.resumes);
}

static mn_member_view member_of(uint64_t peer)
{
    mn_member_view view = {0};
    for (uint32_t place = 0; place < 4; place++)
        if (mn_rank_member(rank, place, &view) && view.peer == peer)
            return view;
    return (mn_member_view){.name = ""};
}

static void who_is_there_what_they_do_and_who_went_and_why_can_be_seen(void **state)
{
    (void)state;
    mn_message hello = hello_of(1), other = hello_of(2), leave = {.kind = MN_MSG_LEAVE};
    now_us = 5 * MS;
    worker_says(1, &hello);
    assert_int_equal(member_of(1).doing, MN_DOES_BUILD);
    assert_int_equal(member_of(1).came_us, 5 * MS);
    join(1);
    assert_string_equal(member_of(1).name, "w1");
    assert_int_equal(member_of(1).doing, MN_DOES_WAIT_FOR_ROUND);
    open_round(1, 8);
    assert_int_equal(member_of(1).doing, MN_DOES_COMPUTE);
    assert_int_equal(member_of(1).leases, 2);
    mn_message heartbeat = {.kind = MN_MSG_HEARTBEAT};
    now_us += 900 * MS;
    worker_says(1, &heartbeat);
    now_us += 200 * MS; /* leases run out, but the worker was heard */
    assert_int_equal(step((mn_event){.kind = MN_EVENT_TICK}), MN_OK);
    assert_int_equal(member_of(1).expired, 2);
    assert_int_equal(member_of(1).doing, MN_DOES_PAUSE);
    assert_int_equal(member_of(1).tasks, 0);

    other.hello.protocol = 99;
    worker_says(2, &other);
    const mn_departure *last = mn_rank_departure(rank, 0);
    assert_non_null(last);
    assert_int_equal(last->kind, MN_REJECTED);
    assert_string_equal(last->name, "w2");
    assert_non_null(strstr(last->why, "protocol 99"));
    worker_says(1, &leave);
    assert_int_equal(mn_rank_departure(rank, 0)->kind, MN_DEPARTED);
    assert_int_equal(mn_rank_departure(rank, 1)->kind, MN_REJECTED);
    assert_int_equal(member_of(1).doing, MN_DOES_LEAVE);
    assert_int_equal(step((mn_event){.kind = MN_EVENT_PEER_GONE, .peer = 1}), MN_OK);
    assert_string_equal(member_of(1).name, "");
    assert_null(mn_rank_departure(rank, 2));
    for (uint32_t i = 0; i < 2 * MN_MAX_DEPARTURES; i++)
        worker_says(2, &other);
    assert_non_null(mn_rank_departure(rank, MN_MAX_DEPARTURES - 1));
    assert_null(mn_rank_departure(rank, MN_MAX_DEPARTURES));
}

static void any_numeric_class_marks_the_run_as_mixed(void **state)
{
    (void)state;
    mn_rank_destroy(&rank);
    mn_rank_config config = {.max_members = 4,
                             .any_numeric_class = true,
                             .silence_ms = SILENCE_MS,
                             .lease_floor_ms = FLOOR_MS,
                             .train_columns = 1,
                             .test_columns = 1};
    assert_int_equal(mn_rank_new(&config, &rank, &err), MN_OK);
    mn_message hello = hello_of(7), kernels = {.kind = MN_MSG_JOIN, .join = {{{9}}, {{0}}, "avx2"}};
    worker_says(7, &hello);
    assert_false(mn_rank_look(rank).mixed);
    worker_says(7, &kernels);
    assert_true(mn_rank_look(rank).mixed);
    assert_int_equal(mn_rank_look(rank).workers, 1);
}

static void begin_with(const mn_rank_config *config)
{
    mn_rank_destroy(&rank);
    assert_int_equal(mn_rank_new(config, &rank, &err), MN_OK);
}

static const mn_rank_config of_external = {.max_members = 4,
                                           .external = true,
                                           .data = {{2}},
                                           .data_name = "own.safetensors",
                                           .silence_ms = SILENCE_MS,
                                           .lease_floor_ms = FLOOR_MS,
                                           .train_columns = COLUMNS,
                                           .test_columns = COLUMNS + 1};

static void join_with_class(uint64_t peer, uint8_t class)
{
    mn_message hello = hello_of(peer),
               message = {.kind = MN_MSG_JOIN,
                          .join = {.numeric_class = {{class}}, .data = {{2}}, .kernels = "numpy"}};
    worker_says(peer, &hello);
    worker_says(peer, &message);
}

static void of_workers_that_are_not_ours_the_first_says_the_numeric_class(void **state)
{
    (void)state;
    begin_with(&of_external);
    assert_int_equal(mn_rank_look(rank).numeric_class.bytes[0], 0);
    join_with_class(1, 7);
    assert_int_equal(mn_rank_look(rank).numeric_class.bytes[0], 7);
    assert_int_equal(mn_rank_look(rank).workers, 1);
    join_with_class(2, 8);
    expect_rejected(2, "another numeric class: the worker's begins with 0800", "same learner");
    assert_int_equal(mn_rank_look(rank).workers, 1);
    join_with_class(3, 7);
    assert_int_equal(mn_rank_look(rank).workers, 2);
    assert_false(mn_rank_look(rank).mixed);
}

/* A worker that was started by mistake holds the run up for no longer than it stays. */
static void a_class_of_which_nothing_was_taken_goes_with_its_last_worker(void **state)
{
    (void)state;
    mn_message leave = {.kind = MN_MSG_LEAVE};
    begin_with(&of_external);
    join_with_class(1, 7);
    open_round(1, 2);
    mn_lease lease = lease_to(1, 0);
    worker_says(1, &leave); /* what it still delivers would count */
    join_with_class(2, 8);
    expect_rejected(2, "another numeric class", "0700");
    assert_int_equal(step((mn_event){.kind = MN_EVENT_PEER_GONE, .peer = 1}), MN_OK);
    join_with_class(2, 8);
    assert_int_equal(mn_rank_look(rank).numeric_class.bytes[0], 8);
    result(1, lease.epoch, lease.n);
    expect_refused(1, MN_REFUSED_UNKNOWN);

    give_range(1, 2);
    lease = lease_to(2, 0);
    result(2, lease.epoch, lease.n);
    assert_non_null(find(MN_DO_ACCEPT, MN_MSG_NONE, 2, 0));
    assert_int_equal(step((mn_event){.kind = MN_EVENT_PEER_GONE, .peer = 2}), MN_OK);
    join_with_class(1, 7);
    expect_rejected(1, "another numeric class", "0800");
    join_with_class(3, 8);
    assert_int_equal(mn_rank_look(rank).workers, 1);
}

static void a_run_that_goes_on_wants_the_class_of_those_before(void **state)
{
    (void)state;
    mn_rank_config config = of_external;
    config.numeric_class = (mn_digest){{7}};
    begin_with(&config);
    join_with_class(1, 8);
    expect_rejected(1, "that of the workers before it with 0700", "pool.any_numeric_class=true");
    join_with_class(1, 7);
    assert_int_equal(mn_rank_look(rank).workers, 1);

    config.any_numeric_class = true;
    begin_with(&config);
    join_with_class(1, 8);
    assert_true(mn_rank_look(rank).mixed);
    assert_int_equal(mn_rank_look(rank).numeric_class.bytes[0], 7);
}

static void a_learner_of_other_tensors_is_rejected_as_that(void **state)
{
    (void)state;
    mn_message hello = hello_of(1), other = {.kind = MN_MSG_JOIN, .join = {.data = {{9}}}};
    begin_with(&of_external);
    worker_says(1, &hello);
    worker_says(1, &other);
    expect_rejected(1, "the learners differ", "own.safetensors");
    assert_int_equal(mn_rank_look(rank).numeric_class.bytes[0], 0);
}

static void a_lease_that_runs_out_goes_to_another_and_the_first_result_wins(void **state)
{
    (void)state;
    join(1);
    open_round(1, 2);
    mn_lease slow = lease_to(1, 0);
    assert_int_equal(slow.n, 2);
    join(2);
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 2, 0));
    assert_int_equal(todo.wake_us, 10 * FLOOR_MS * MS);

    now_us = todo.wake_us - 200 * MS;
    mn_message beat = {.kind = MN_MSG_HEARTBEAT};
    worker_says(1, &beat);
    worker_says(2, &beat);
    now_us += 200 * MS;
    assert_int_equal(step((mn_event){.kind = MN_EVENT_TICK}), MN_OK);
    mn_lease second = lease_to(2, 0);
    assert_int_equal(second.begin, slow.begin);
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    assert_int_equal(mn_rank_look(rank).counts.leases_expired, 1);
    assert_int_equal(mn_rank_look(rank).counts.leases_reissued, 1);

    result(1, second.epoch, second.n); /* another's epoch */
    expect_refused(1, MN_REFUSED_LATE);
    result(1, slow.epoch, slow.n); /* late, but first */
    assert_non_null(find(MN_DO_ACCEPT, MN_MSG_NONE, 1, 0));
    result(2, second.epoch, second.n);
    expect_refused(2, MN_REFUSED_DUPLICATE);
    assert_int_equal(mn_rank_look(rank).tasks.done, 2);
}

/* Theta that comes again takes the place of the one in use: the worker would drop what it computes.
 * One who lacks it says HELLO when it gets a lease. */
static void whose_lease_ran_out_is_not_sent_theta_again(void **state)
{
    (void)state;
    const mn_message beat = {.kind = MN_MSG_HEARTBEAT};
    join(1);
    open_round(1, 30);
    assert_non_null(find(MN_DO_SEND_THETA, MN_MSG_NONE, 1, 0));
    for (int i = 0; i < 20; i++) { /* they run out, and the pause ends */
        now_us += SILENCE_MS / 2 * MS;
        worker_says(1, &beat);
        assert_null(find(MN_DO_SEND_THETA, MN_MSG_NONE, 1, 0));
        if (find(MN_DO_SEND, MN_MSG_LEASE, 1, 0) != NULL)
            break;
    }
    assert_int_equal(mn_rank_look(rank).counts.leases_expired, 2);
    assert_non_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
}

static void the_ranks_own_threads_go_on_until_somebody_else_is_there(void **state)
{
    (void)state;
    assert_int_equal(step((mn_event){.kind = MN_EVENT_LOCAL_POOL, .threads = 2}), MN_OK);
    open_round(1, 4);
    const mn_lease first = lease_to(MN_LOCAL_POOL, 0), second = lease_to(MN_LOCAL_POOL, 1);
    for (int i = 0; i < 100; i++) {
        assert_true(todo.wake_us > now_us);
        now_us = todo.wake_us;
        assert_int_equal(step((mn_event){.kind = MN_EVENT_TICK}), MN_OK);
        assert_null(find(MN_DO_SEND, MN_MSG_LEASE, MN_LOCAL_POOL, 0));
        assert_null(find(MN_DO_TO_LEADER, MN_MSG_ASK, 0, 0));
    }
    assert_int_equal(mn_rank_look(rank).counts.leases_expired, 0);
    result(MN_LOCAL_POOL, first.epoch, first.n);
    assert_non_null(find(MN_DO_ACCEPT, MN_MSG_NONE, MN_LOCAL_POOL, 0));

    join(1);
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    assert_true(todo.wake_us <= now_us + FLOOR_MS * MS); /* it need not wait for as long again */
    now_us = todo.wake_us;
    assert_int_equal(step((mn_event){.kind = MN_EVENT_TICK}), MN_OK);
    assert_int_equal(mn_rank_look(rank).counts.leases_expired, 1);
    assert_int_equal(lease_to(1, 0).begin, second.begin);
    result(MN_LOCAL_POOL, second.epoch, second.n); /* late, but first */
    assert_non_null(find(MN_DO_ACCEPT, MN_MSG_NONE, MN_LOCAL_POOL, 0));
}

static void a_worker_that_is_alone_goes_on_and_is_told_its_lease_again(void **state)
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
    const mn_message beat = {.kind = MN_MSG_HEARTBEAT};
    mn_rank_destroy(&rank);
    assert_int_equal(mn_rank_new(&config, &rank, &err), MN_OK);
    join(1);
    open_round(1, 2);
    const mn_lease lease = lease_to(1, 0);
    int told = 0;
    for (int i = 0; i < 100; i++) {
        now_us = todo.wake_us;
        worker_says(1, &beat);
        assert_null(find(MN_DO_SEND_THETA, MN_MSG_NONE, 1, 0));
        if (find(MN_DO_SEND, MN_MSG_LEASE, 1, 0) != NULL) {
            assert_int_equal(lease_to(1, 0).epoch, lease.epoch);
            assert_int_equal(lease_to(1, 0).begin, lease.begin);
            assert_int_equal(lease_to(1, 0).n, lease.n);
            told++;
        }
    }
    assert_in_range(told, 2, 5); /* 1.6, 3.2, 6.4 s */
    assert_int_equal(mn_rank_look(rank).counts.leases_expired, 0);
    result(1, lease.epoch, lease.n);
    assert_non_null(find(MN_DO_ACCEPT, MN_MSG_NONE, 1, 0));
}

/* A round of training that the local pool of two threads gets as one lease, in so many waves. */
static void train_alone(uint64_t round, uint32_t waves, uint64_t wave_us)
{
    const mn_message reduce = {.kind = MN_MSG_REDUCE, .range = {.round = round}};
    mn_message sum = {.kind = MN_MSG_RESULT,
                      .payload_bytes = 2 * COLUMNS * sizeof(int64_t),
                      .result.result = {.encoding = MN_ENCODING_EXACT,
                                        .n_tasks = 2 * waves,
                                        .n_columns = COLUMNS}};
    open_round(round, 2 * waves);
    assert_int_equal(lease_to(MN_LOCAL_POOL, 0).n, 2 * waves);
    sum.result.epoch = lease_to(MN_LOCAL_POOL, 0).epoch;
    now_us += waves * wave_us;
    worker_says(MN_LOCAL_POOL, &sum);
    assert_non_null(find(MN_DO_ACCEPT, MN_MSG_NONE, MN_LOCAL_POOL, 0));
    assert_int_equal(leader_says(&reduce), MN_OK);
    assert_int_equal(step((mn_event){.kind = MN_EVENT_REDUCED, .round = round}), MN_OK);
}

static void a_local_pool_that_is_alone_gets_a_meta_step_that_is_soon_done(void **state)
{
    (void)state;
    const mn_message evaluation = {
        .kind = MN_MSG_ROUND,
        .round = {.id = 3, .kind = MN_ROUND_TEST, .split = MN_VAL, .step = 8, .n_tasks = 30}};
    assert_int_equal(step((mn_event){.kind = MN_EVENT_LOCAL_POOL, .threads = 2}), MN_OK);
    train_alone(1, 1, 10 * MS); /* nothing is known of its pace yet */
    train_alone(2, 15, 10 * MS);

    assert_int_equal(leader_says(&evaluation), MN_OK);
    give_range(3, 30);
    const mn_lease first = lease_to(MN_LOCAL_POOL, 0);
    assert_int_equal(first.n, 2); /* nothing is known of evaluations: one wave */
    assert_int_equal(lease_to(MN_LOCAL_POOL, 1).n, 2);
    now_us += 10 * MS;
    mn_message rows = {
        .kind = MN_MSG_RESULT,
        .payload_bytes = 2 * (COLUMNS + 1) * sizeof(float),
        .result = {
            .epoch = first.epoch,
            .result = {.encoding = MN_ENCODING_ROWS, .n_tasks = 2, .n_columns = COLUMNS + 1}}};
    worker_says(MN_LOCAL_POOL, &rows);
    assert_int_equal(lease_to(MN_LOCAL_POOL, 0).n, 12); /* half of 26, in waves of two */

    join(1);
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, MN_LOCAL_POOL, 0));
    assert_int_equal(lease_to(1, 0).n, 2); /* of 14: half of its share, in waves */
}

static void a_local_pool_that_is_alone_leaves_some_of_a_long_meta_step_to_others(void **state)
{
    (void)state;
    assert_int_equal(step((mn_event){.kind = MN_EVENT_LOCAL_POOL, .threads = 2}), MN_OK);
    train_alone(1, 1, 100 * MS);
    open_round(2, 30); /* 1.5 s */
    assert_int_equal(lease_to(MN_LOCAL_POOL, 0).n, 14);
}

/* A round of one wave of a worker, so that something is known of how long tasks take. */
static void learn_the_pace_of(uint64_t peer, uint64_t wave_us)
{
    const mn_message reduce = {.kind = MN_MSG_REDUCE, .range = {.round = 1}};
    open_round(1, 2);
    const mn_lease wave = lease_to(peer, 0);
    assert_int_equal(wave.n, 2);
    now_us += wave_us;
    result(peer, wave.epoch, wave.n);
    assert_int_equal(leader_says(&reduce), MN_OK);
    assert_int_equal(step((mn_event){.kind = MN_EVENT_REDUCED, .round = 1}), MN_OK);
}

static void a_slow_worker_gets_smaller_leases(void **state)
{
    (void)state;
    join(1);
    learn_the_pace_of(1, MS);
    join(2);
    open_round(2, 400);
    mn_lease fast = lease_to(1, 0), slow = lease_to(2, 0);
    assert_int_equal(fast.n, 100); /* half of its share */
    assert_int_equal(slow.n, 74);  /* the same, of the rest */
    now_us += 50 * MS;
    result(1, fast.epoch, fast.n);
    assert_int_equal(lease_to(1, 0).n, 32); /* of 128 */
    now_us += 320 * MS;
    result(2, slow.epoch, slow.n);
    assert_int_equal(lease_to(2, 0).n, 4); /* of 96; its waves take five times the pool's */
}

static void silent_and_gone_members_lose_their_leases_at_once(void **state)
{
    (void)state;
    join(1);
    open_round(1, 8);
    mn_lease lost = lease_to(1, 0);
    assert_int_equal(step((mn_event){.kind = MN_EVENT_PEER_GONE, .peer = 1}), MN_OK);
    assert_int_equal(find(MN_DO_TO_LEADER, MN_MSG_ASK, 0, 0)->threads, 0);
    uint32_t returned = 0;
    for (size_t i = 0; find(MN_DO_TO_LEADER, MN_MSG_RETURNED, 0, i) != NULL; i++)
        returned += find(MN_DO_TO_LEADER, MN_MSG_RETURNED, 0, i)->range.n;
    assert_int_equal(returned, 8); /* an empty pool keeps nothing */
    result(1, lost.epoch, lost.n);
    expect_refused(1, MN_REFUSED_UNKNOWN);

    join(2);
    mn_message beat = {.kind = MN_MSG_HEARTBEAT};
    now_us = SILENCE_MS * MS - 1;
    worker_says(2, &beat);
    now_us += SILENCE_MS * MS - 1;
    assert_int_equal(step((mn_event){.kind = MN_EVENT_TICK}), MN_OK);
    assert_int_equal(mn_rank_look(rank).workers, 1);
    assert_int_equal(todo.wake_us, now_us + 1);
    now_us++;
    assert_int_equal(step((mn_event){.kind = MN_EVENT_TICK}), MN_OK);
    assert_int_equal(mn_rank_look(rank).workers, 0);
    assert_int_equal(mn_rank_look(rank).counts.silent, 1);
}

static void who_leaves_gets_no_more_and_may_still_deliver(void **state)
{
    (void)state;
    join(1);
    join(2);
    open_round(1, 4);
    mn_lease mine = lease_to(1, 0);
    mn_message leave = {.kind = MN_MSG_LEAVE};
    worker_says(1, &leave);
    assert_int_equal(mn_rank_look(rank).workers, 1);
    assert_int_equal(mn_rank_look(rank).counts.left, 1);
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    result(1, mine.epoch, mine.n);
    assert_non_null(find(MN_DO_ACCEPT, MN_MSG_NONE, 1, 0));
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    assert_int_equal(step((mn_event){.kind = MN_EVENT_PEER_GONE, .peer = 1}), MN_OK);
    assert_int_equal(mn_rank_look(rank).counts.lost, 0);
}

static void three_messages_of_rubbish_end_a_worker(void **state)
{
    (void)state;
    join(1);
    open_round(1, 100);
    mn_lease lease = lease_to(1, 0);
    result(1, lease.epoch, lease.n + 1);
    expect_refused(1, MN_REFUSED_DAMAGED);
    lease = lease_to(1, 0); /* the tasks are given out again */
    assert_int_equal(
        step((mn_event){
            .kind = MN_EVENT_DAMAGED, .peer = 1, .epoch = lease.epoch, .text = "checksum differs"}),
        MN_OK);
    expect_refused(1, MN_REFUSED_DAMAGED);
    mn_message nonsense = {.kind = MN_MSG_ROUND};
    worker_says(1, &nonsense);
    expect_rejected(1, "do not send", "check its");
    assert_int_equal(mn_rank_look(rank).workers, 0);
    assert_int_equal(mn_rank_look(rank).counts.refused[MN_REFUSED_DAMAGED], 3);
}

static void form_and_size_of_a_result_are_those_of_its_round_and_lease(void **state)
{
    (void)state;
    mn_message sum = {.kind = MN_MSG_RESULT,
                      .payload_bytes = 2 * COLUMNS * sizeof(int64_t),
                      .result.result = {.encoding = MN_ENCODING_EXACT, .n_columns = COLUMNS}};
    mn_message round = {.kind = MN_MSG_ROUND,
                        .round = {.id = 2, .kind = MN_ROUND_TEST, .n_tasks = 4}};
    mn_message reduce = {.kind = MN_MSG_REDUCE, .range = {.round = 1}};
    join(1);
    open_round(1, 2);
    sum.result.epoch = lease_to(1, 0).epoch;
    sum.result.result.n_tasks = lease_to(1, 0).n;
    worker_says(1, &sum);
    assert_non_null(find(MN_DO_ACCEPT, MN_MSG_NONE, 1, 0));

    assert_int_equal(leader_says(&reduce), MN_OK);
    assert_int_equal(step((mn_event){.kind = MN_EVENT_REDUCED, .round = 1}), MN_OK);
    assert_int_equal(leader_says(&round), MN_OK);
    give_range(2, 4);
    sum.result.epoch = lease_to(1, 0).epoch;
    sum.result.result.n_tasks = lease_to(1, 0).n;
    sum.result.result.n_columns = COLUMNS + 1;
    sum.payload_bytes = 2 * (COLUMNS + 1) * sizeof(int64_t);
    worker_says(1, &sum);
    expect_refused(1, MN_REFUSED_DAMAGED);
    sum.result.epoch = lease_to(1, 0).epoch;
    sum.result.result.encoding = (mn_encoding)7;
    worker_says(1, &sum);
    expect_refused(1, MN_REFUSED_DAMAGED);
    sum.result.epoch = lease_to(1, 0).epoch;
    sum.result.result.encoding = MN_ENCODING_ROWS;
    sum.payload_bytes = sum.result.result.n_tasks * (COLUMNS + 1) * sizeof(float) - 1;
    worker_says(1, &sum);
    expect_refused(1, MN_REFUSED_DAMAGED);
}

/* Training: rows of at most as many tasks as fit in the bytes of a sum. */
static void a_few_rows_of_training_are_a_result(void **state)
{
    (void)state;
    for (uint32_t n = MN_EXACT_ROWS; n <= MN_EXACT_ROWS + 1; n++) {
        const mn_rank_config config = {.train_columns = COLUMNS, .test_columns = COLUMNS + 1};
        char why[256];
        mn_message rows = {
            .kind = MN_MSG_RESULT,
            .payload_bytes = n * COLUMNS * sizeof(float),
            .result.result = {.encoding = MN_ENCODING_ROWS, .n_tasks = n, .n_columns = COLUMNS}};
        const bool admitted = mn_admits_result(&config, MN_ROUND_TRAIN, n, &rows, why, sizeof why);
        assert_true(admitted == (n == MN_EXACT_ROWS));
        rows.payload_bytes--;
        assert_false(mn_admits_result(&config, MN_ROUND_TRAIN, n, &rows, why, sizeof why));
    }
}

/* Its bytes have been looked at by whoever can unpack them; what the core knows is the columns. */
static void a_packed_sum_is_a_result_of_training_alone(void **state)
{
    (void)state;
    const mn_rank_config config = {.train_columns = COLUMNS, .test_columns = COLUMNS};
    char why[256];
    mn_message sum = {
        .kind = MN_MSG_RESULT,
        .payload_bytes = 5 * COLUMNS,
        .result.result = {.encoding = MN_ENCODING_PACKED, .n_tasks = 9, .n_columns = COLUMNS}};
    assert_true(mn_admits_result(&config, MN_ROUND_TRAIN, 9, &sum, why, sizeof why));
    assert_false(mn_admits_result(&config, MN_ROUND_TEST, 9, &sum, why, sizeof why));
    assert_false(mn_admits_result(&config, MN_ROUND_TRAIN, 8, &sum, why, sizeof why));
    sum.result.result.n_columns--;
    assert_false(mn_admits_result(&config, MN_ROUND_TRAIN, 9, &sum, why, sizeof why));
}

static mn_message kept(const mn_lease *lease, uint32_t n_columns)
{
    return (mn_message){
        .kind = MN_MSG_RESULT,
        .result = {
            .epoch = lease->epoch,
            .result = {.encoding = MN_ENCODING_KEPT, .n_tasks = lease->n, .n_columns = n_columns}}};
}

static void keeps(uint64_t peer, const mn_lease *lease)
{
    mn_message message = kept(lease, COLUMNS);
    worker_says(peer, &message);
}

static void what_a_worker_keeps_counts_with_the_sum_that_brings_it(void **state)
{
    (void)state;
    join(1);
    open_round(1, 100);
    mn_lease a = lease_to(1, 0), b = lease_to(1, 1);
    keeps(1, &a);
    assert_null(find(MN_DO_ACCEPT, MN_MSG_NONE, 1, 0));
    assert_null(find(MN_DO_TO_LEADER, MN_MSG_SETTLED, 0, 0));
    assert_int_equal(mn_rank_look(rank).tasks.done, 0);
    mn_lease c = lease_to(1, 0); /* at once, for it has room for one more */

    keeps(1, &b);
    mn_lease d = lease_to(1, 0);
    mn_message sum = sum_of(c.epoch, a.n + b.n + c.n, 2, (uint64_t[]){a.epoch, b.epoch});
    worker_says(1, &sum);
    assert_int_equal(find(MN_DO_ACCEPT, MN_MSG_NONE, 1, 0)->lease.epoch, c.epoch);
    assert_null(find(MN_DO_ACCEPT, MN_MSG_NONE, 1, 1));
    uint32_t settled = 0;
    for (size_t i = 0; find(MN_DO_TO_LEADER, MN_MSG_SETTLED, 0, i) != NULL; i++)
        settled += find(MN_DO_TO_LEADER, MN_MSG_SETTLED, 0, i)->range.n;
    assert_int_equal(settled, a.n + b.n + c.n);
    assert_int_equal(mn_rank_look(rank).tasks.done, settled);
    assert_int_equal(mn_rank_look(rank).counts.accepted, 1);
    assert_int_equal(mn_rank_look(rank).counts.tasks_done, settled);

    worker_says(1, &sum); /* twice */
    expect_refused(1, MN_REFUSED_LATE);
    result(1, d.epoch, d.n);
    assert_int_equal(mn_rank_look(rank).tasks.done, settled + d.n);
}

static void what_a_worker_kept_is_free_when_its_sum_cannot_be_used(void **state)
{
    (void)state;
    join(1);
    open_round(1, 100);
    mn_lease a = lease_to(1, 0), b = lease_to(1, 1);
    keeps(1, &a);
    mn_lease c = lease_to(1, 0);
    uint32_t held = mn_rank_look(rank).tasks.held;
    mn_message sum = sum_of(b.epoch, a.n + b.n + 1, 1, &a.epoch); /* a task too many */
    worker_says(1, &sum);
    expect_refused(1, MN_REFUSED_DAMAGED);
    mn_lease d = lease_to(1, 0);
    assert_int_equal(mn_rank_look(rank).tasks.held, held - a.n - b.n + d.n);
    sum.result.result.n_tasks--;
    worker_says(1, &sum);
    expect_refused(1, MN_REFUSED_LATE);

    keeps(1, &c);
    mn_lease e = lease_to(1, 0);
    sum = sum_of(d.epoch, c.n + d.n, 2, (uint64_t[]){c.epoch, d.epoch + 1000});
    worker_says(1, &sum); /* with a lease that it never had: the others are free again */
    expect_refused(1, MN_REFUSED_LATE);
    assert_int_equal(mn_rank_look(rank).tasks.held, e.n + lease_to(1, 0).n);
    result(1, d.epoch, d.n);
    expect_refused(1, MN_REFUSED_LATE);
    assert_int_equal(mn_rank_look(rank).tasks.done, 0);
}

static void tests_are_not_kept(void **state)
{
    (void)state;
    const mn_message round = {.kind = MN_MSG_ROUND,
                              .round = {.id = 1, .kind = MN_ROUND_TEST, .n_tasks = 40}};
    join(1);
    assert_int_equal(leader_says(&round), MN_OK);
    give_range(1, 40);
    mn_lease lease = lease_to(1, 0);
    mn_message message = kept(&lease, COLUMNS + 1);
    worker_says(1, &message);
    expect_refused(1, MN_REFUSED_DAMAGED);
}

static void to_keep_a_lease_again_earns_nothing(void **state)
{
    (void)state;
    join(1);
    learn_the_pace_of(1, MS / 4);
    join(2);
    open_round(2, 1000);
    mn_lease a = lease_to(1, 0), b = lease_to(2, 0), c = lease_to(2, 1);
    now_us += 30 * MS;
    keeps(1, &a);
    assert_non_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    result(2, b.epoch, b.n);
    for (int i = 0; i < 80; i++) {
        keeps(1, &a);
        assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    }
    now_us += 30 * MS;
    result(2, c.epoch, c.n); /* if those were waves, the pool would be quick and 2 slow */
    assert_in_range(lease_to(2, 0).n, 40, 60);
}

static void to_keep_a_lease_that_ran_out_ends_no_pause(void **state)
{
    (void)state;
    join(1);
    open_round(1, 100);
    mn_lease a = lease_to(1, 0), b = lease_to(1, 1);
    for (int i = 0; i < 20; i++) { /* it is heard all the time */
        mn_message pulse = {.kind = MN_MSG_HEARTBEAT};
        now_us += SILENCE_MS / 2 * MS;
        worker_says(1, &pulse);
        assert_int_equal(step((mn_event){.kind = MN_EVENT_TICK}), MN_OK);
        if (mn_rank_look(rank).counts.leases_expired == 2)
            break;
    }
    assert_int_equal(mn_rank_look(rank).counts.leases_expired, 2);
    keeps(1, &a);
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    mn_message sum = sum_of(b.epoch, a.n + b.n, 1, &a.epoch); /* the sum does */
    worker_says(1, &sum);
    assert_non_null(find(MN_DO_ACCEPT, MN_MSG_NONE, 1, 0));
    assert_non_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
}

static void a_member_that_says_hello_again_begins_again(void **state)
{
    (void)state;
    join(1);
    open_round(1, 4);
    mn_lease old = lease_to(1, 0);
    join(1);
    give_range(1, 4);
    assert_non_null(find(MN_DO_SEND_THETA, MN_MSG_NONE, 1, 0));
    assert_non_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    result(1, old.epoch, old.n);
    expect_refused(1, MN_REFUSED_LATE);

    mn_message moved = hello_of(1); /* the same process by another connection */
    worker_says(5, &moved);
    assert_int_equal(mn_rank_look(rank).workers, 0);
    assert_int_equal(mn_rank_look(rank).counts.lost, 1);
}

/* Once may be an accident; who does it again gets nothing for a while, longer each time. */
static void whoever_gives_back_leases_by_hello_again_and_again_has_to_wait(void **state)
{
    (void)state;
    join(1);
    open_round(1, 4);
    join(1);
    give_range(1, 4);
    assert_non_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    join(1);
    give_range(1, 4);
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 1, 0));
    mn_message moved = hello_of(1);
    mn_message in = {.kind = MN_MSG_JOIN, .join = {.numeric_class = {{1}}, .data = {{2}}}};
    worker_says(5, &moved); /* nor by a new connection */
    worker_says(5, &in);
    assert_int_equal(mn_rank_look(rank).workers, 1);
    assert_null(find(MN_DO_SEND, MN_MSG_LEASE, 5, 0));
    join(2); /* others have the tasks meanwhile */
    give_range(1, 4);
    assert_non_null(find(MN_DO_SEND, MN_MSG_LEASE, 2, 0));
}

static void in_a_full_pool_those_who_never_join_make_way(void **state)
{
    (void)state;
    mn_message hello;
    for (uint64_t peer = 20; peer < 24; peer++) {
        hello = hello_of(peer);
        worker_says(peer, &hello);
    }
    hello = hello_of(7);
    worker_says(7, &hello);
    assert_non_null(find(MN_DO_SEND, MN_MSG_WELCOME, 7, 0));
    const mn_action *put_out = find(MN_DO_SEND, MN_MSG_REJECT, 20, 0);
    assert_non_null(put_out);
    assert_true(mn_action_message(put_out).reject.resumes); /* it may come again */
}

/* A storm of messages with random kinds, numbers and senders, and time that jumps. */
static void whatever_workers_say_the_books_stay_in_order(void **state)
{
    (void)state;
    struct {
        uint64_t peer;
        mn_lease lease;
    } given[8] = {0}; /* the newest leases, that some answers may be right */
    size_t n_given = 0;
    uint64_t random = 42;
    open_round(1, 50);
    for (int i = 0; i < 100000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t dice = (uint32_t)(random >> 33), kind = dice / 64 % 64;
        size_t pick = dice / 4096 % 8;
        uint64_t peer = 1 + dice % 7;
        mn_message message = {.kind = kind < MN_N_MESSAGES ? (mn_message_kind)kind
                                      : kind % 4 == 0      ? MN_MSG_JOIN
                                                           : MN_MSG_RESULT};
        if (message.kind == MN_MSG_HELLO)
            message = hello_of(dice / 4096 % 9);
        if (message.kind == MN_MSG_JOIN) {
            message.join.numeric_class.bytes[0] = dice % 20 != 0;
            message.join.data.bytes[0] = 2;
        }
        if (message.kind == MN_MSG_RESULT) {
            uint32_t n = given[pick].lease.n + (dice % 40 == 0);
            message = sum_of(given[pick].lease.epoch, n, 0, NULL);
            if (dice % 5 > 0 && given[pick].peer != 0)
                peer = given[pick].peer;
        }
        now_us += dice % 50 == 0 ? dice % (800 * MS) : dice % MS;
        mn_event event = {.kind = dice % 101 == 0  ? MN_EVENT_PEER_GONE
                                  : dice % 97 == 0 ? MN_EVENT_DAMAGED
                                                   : MN_EVENT_FROM_WORKER,
                          .peer = peer,
                          .message = &message,
                          .epoch = given[pick].lease.epoch};
        assert_int_equal(step(event), MN_OK);
        for (size_t at = 0; at < todo.n; at++)
            if (todo.list[at].kind == MN_DO_SEND && todo.list[at].message == MN_MSG_LEASE) {
                given[n_given % 8].peer = todo.list[at].peer;
                given[n_given++ % 8].lease = todo.list[at].lease;
            }

        mn_rank_view view = mn_rank_look(rank);
        assert_int_equal(view.tasks.total, view.tasks.free + view.tasks.held + view.tasks.done);
        assert_true(view.threads % 2 == 0 && view.threads <= 8 && view.workers <= 4);
        assert_true(view.threads > 0 || view.tasks.free == 0);
        if (view.tasks.done == view.tasks.total && view.threads > 0) { /* the next round, then */
            mn_message reduce = {.kind = MN_MSG_REDUCE, .range = {.round = view.round.id}};
            assert_int_equal(leader_says(&reduce), MN_OK);
            assert_int_equal(step((mn_event){.kind = MN_EVENT_REDUCED, .round = view.round.id}),
                             MN_OK);
            open_round(view.round.id + 1, 50);
        }
    }
    mn_rank_counts counts = mn_rank_look(rank).counts;
    assert_true(counts.accepted > 100 && counts.joins > 100 && counts.rejected > 100);
    assert_true(counts.leases_expired > 100 && counts.silent > 10);
    for (int why = 0; why < MN_N_REFUSALS; why++)
        assert_true(counts.refused[why] > 10);
}

static void the_next_round_waits_for_the_reduce_and_a_stop_too(void **state)
{
    (void)state;
    mn_message reduce = {.kind = MN_MSG_REDUCE, .range = {.round = 1}};
    mn_message stop = {.kind = MN_MSG_STOP, .reject = {.reason = "signal"}};
    assert_int_equal(step((mn_event){.kind = MN_EVENT_LOCAL_POOL, .threads = 2}), MN_OK);
    open_round(1, 2);
    mn_lease lease = lease_to(MN_LOCAL_POOL, 0);
    assert_int_equal(leader_says(&reduce), MN_ERR_PROTOCOL); /* our tasks are not done */
    result(MN_LOCAL_POOL, lease.epoch, lease.n);
    assert_int_equal(leader_says(&reduce), MN_OK);
    assert_int_equal(find(MN_DO_START_REDUCE, MN_MSG_NONE, 0, 0)->round.id, 1);
    assert_int_equal(leader_says(&reduce), MN_ERR_PROTOCOL);

    open_round(2, 2);
    assert_int_equal(todo.n, 0);
    assert_int_equal(step((mn_event){.kind = MN_EVENT_REDUCED, .round = 2}), MN_ERR_PROTOCOL);
    assert_int_equal(step((mn_event){.kind = MN_EVENT_REDUCED, .round = 1}), MN_OK);
    assert_int_equal(find(MN_DO_OPEN_ROUND, MN_MSG_NONE, 0, 0)->round.id, 2);
    lease = lease_to(MN_LOCAL_POOL, 0);
    result(MN_LOCAL_POOL, lease.epoch, lease.n);
    reduce.range.round = 2;
    assert_int_equal(leader_says(&reduce), MN_OK);
    assert_int_equal(leader_says(&stop), MN_OK);
    assert_int_equal(todo.n, 0);
    assert_int_equal(step((mn_event){.kind = MN_EVENT_REDUCED, .round = 2}), MN_OK);
    assert_string_equal(find(MN_DO_STOP, MN_MSG_NONE, 0, 0)->log.text, "signal");
    assert_true(mn_rank_look(rank).stopped);
}

/* The others may do a whole round while this rank is still in the reduce before it. */
static void a_rank_that_is_far_behind_enters_every_reduce(void **state)
{
    (void)state;
    mn_message round = {.kind = MN_MSG_ROUND, .round = {.id = 1, .n_tasks = 3}};
    mn_message reduce = {.kind = MN_MSG_REDUCE, .range = {.round = 1}};
    assert_int_equal(leader_says(&round), MN_OK);
    assert_int_equal(leader_says(&reduce), MN_OK);
    round.round.id = reduce.range.round = 2;
    assert_int_equal(leader_says(&round), MN_OK);
    assert_int_equal(leader_says(&reduce), MN_OK);
    assert_int_equal(todo.n, 0);
    assert_int_equal(step((mn_event){.kind = MN_EVENT_REDUCED, .round = 1}), MN_OK);
    assert_non_null(find(MN_DO_OPEN_ROUND, MN_MSG_NONE, 0, 0));
    assert_int_equal(find(MN_DO_START_REDUCE, MN_MSG_NONE, 0, 0)->round.id, 2);
}

static void a_stop_says_farewell_to_all_and_then_nothing_happens(void **state)
{
    (void)state;
    mn_message stop = {.kind = MN_MSG_STOP, .reject = {.reason = "signal"}}, hello = hello_of(3);
    join(1);
    join(2);
    open_round(1, 10);
    assert_int_equal(leader_says(&stop), MN_OK);
    assert_non_null(find(MN_DO_SEND, MN_MSG_FINISHED, 1, 0));
    assert_non_null(find(MN_DO_SEND, MN_MSG_FINISHED, 2, 0));
    assert_non_null(find(MN_DO_STOP, MN_MSG_NONE, 0, 0));
    assert_int_equal(todo.wake_us, MN_NEVER);
    result(1, 1, 1);
    expect_refused(1, MN_REFUSED_LATE);
    worker_says(3, &hello);
    mn_message finished = mn_action_message(find(MN_DO_SEND, MN_MSG_FINISHED, 3, 0));
    assert_string_equal(finished.reject.reason, "signal");
    assert_true(finished.reject.resumes);
    assert_int_equal(todo.n, 1);
}

static void a_round_that_fails_in_the_allreduce_ends_the_run_and_workers_are_told(void **state)
{
    (void)state;
    mn_message reduce = {.kind = MN_MSG_REDUCE, .range.round = 1};
    const mn_event failure = {.kind = MN_EVENT_FAILED, .round = 1, .text = "loss is not finite"};
    join(1);
    open_round(1, 1);
    mn_lease lease = lease_to(1, 0);
    assert_int_equal(step(failure), MN_ERR_PROTOCOL);
    result(1, lease.epoch, 1);
    assert_int_equal(leader_says(&reduce), MN_OK);
    assert_int_equal(step(failure), MN_OK);
    mn_message finished = mn_action_message(find(MN_DO_SEND, MN_MSG_FINISHED, 1, 0));
    assert_string_equal(finished.reject.reason, "loss is not finite");
    assert_true(finished.reject.resumes);
    assert_non_null(find(MN_DO_STOP, MN_MSG_NONE, 0, 0));
    assert_true(mn_rank_look(rank).stopped);
}

static void a_wish_to_stop_is_passed_on_once(void **state)
{
    (void)state;
    assert_int_equal(step((mn_event){.kind = MN_EVENT_STOP_WANTED, .text = "SIGTERM"}), MN_OK);
    assert_string_equal(find(MN_DO_TO_LEADER, MN_MSG_STOP_WANTED, 0, 0)->log.text, "SIGTERM");
    assert_int_equal(step((mn_event){.kind = MN_EVENT_STOP_WANTED}), MN_OK);
    assert_int_equal(todo.n, 0);
}

static void what_the_leader_must_not_say_is_an_error_and_changes_nothing(void **state)
{
    (void)state;
    mn_message round = {.kind = MN_MSG_ROUND, .round = {.id = 1, .n_tasks = 3}};
    mn_message range = {.kind = MN_MSG_RANGE, .range = {1, 0, 3}};
    mn_message nonsense = {.kind = MN_MSG_PULSE};
    assert_int_equal(leader_says(&range), MN_ERR_PROTOCOL);
    assert_int_equal(leader_says(&nonsense), MN_ERR_PROTOCOL);
    assert_int_equal(leader_says(&round), MN_OK);
    assert_int_equal(leader_says(&round), MN_ERR_PROTOCOL);
    range.range.n = 4;
    assert_int_equal(leader_says(&range), MN_ERR_PROTOCOL);
    range.range.n = 3;
    assert_int_equal(step((mn_event){.kind = MN_EVENT_LOCAL_POOL, .threads = 1}), MN_OK);
    assert_int_equal(leader_says(&range), MN_OK);
    assert_int_equal(leader_says(&range), MN_ERR_PROTOCOL);
    assert_int_equal(mn_rank_look(rank).tasks.total, 3);
}

/* Linked with --wrap: the allocation after so many fails; -1: none does. */
static int allocations_left = -1;
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails(void)
{
    return allocations_left >= 0 && allocations_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

static void every_allocation_may_fail_and_the_step_may_be_tried_again(void **state)
{
    (void)state;
    mn_rank_destroy(&rank);
    mn_rank_config config = {.max_members = 4,
                             .silence_ms = 1,
                             .lease_floor_ms = 1,
                             .train_columns = 1,
                             .test_columns = 1};
    mn_status status = MN_ERR_NOMEM;
    int allowed = 0;
    for (; status != MN_OK; allowed++) {
        assert_null(rank);
        allocations_left = allowed;
        status = mn_rank_new(&config, &rank, &err);
        allocations_left = -1;
        assert_true(status == MN_OK || status == MN_ERR_NOMEM);
    }
    assert_true(allowed > 10);

    mn_message round = {.kind = MN_MSG_ROUND, .round = {.id = 1, .n_tasks = 3}};
    for (int first = 0; first < 3;
         first++) { /* the list of actions; the tasks; the runs of free tasks */
        allocations_left = todo.capacity == 0 ? 0 : first - 1;
        assert_int_equal(leader_says(&round), MN_ERR_NOMEM);
        allocations_left = -1;
        assert_int_equal(mn_rank_look(rank).round.id, 0);
        assert_int_equal(mn_actions_reserve(&todo, 1000, NULL), MN_OK);
    }
    assert_int_equal(leader_says(&round), MN_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_worker_joins_gets_theta_then_two_leases_and_its_result_counts),
        TEST(strangers_are_told_to_register),
        TEST(those_who_do_not_fit_are_rejected_with_the_remedy),
        TEST(who_is_there_what_they_do_and_who_went_and_why_can_be_seen),
        TEST(any_numeric_class_marks_the_run_as_mixed),
        TEST(of_workers_that_are_not_ours_the_first_says_the_numeric_class),
        TEST(a_class_of_which_nothing_was_taken_goes_with_its_last_worker),
        TEST(a_run_that_goes_on_wants_the_class_of_those_before),
        TEST(a_learner_of_other_tensors_is_rejected_as_that),
        TEST(a_lease_that_runs_out_goes_to_another_and_the_first_result_wins),
        TEST(whose_lease_ran_out_is_not_sent_theta_again),
        TEST(the_ranks_own_threads_go_on_until_somebody_else_is_there),
        TEST(a_worker_that_is_alone_goes_on_and_is_told_its_lease_again),
        TEST(a_slow_worker_gets_smaller_leases),
        TEST(a_local_pool_that_is_alone_gets_a_meta_step_that_is_soon_done),
        TEST(a_local_pool_that_is_alone_leaves_some_of_a_long_meta_step_to_others),
        TEST(silent_and_gone_members_lose_their_leases_at_once),
        TEST(who_leaves_gets_no_more_and_may_still_deliver),
        TEST(three_messages_of_rubbish_end_a_worker),
        TEST(form_and_size_of_a_result_are_those_of_its_round_and_lease),
        TEST(a_few_rows_of_training_are_a_result),
        TEST(a_packed_sum_is_a_result_of_training_alone),
        TEST(what_a_worker_keeps_counts_with_the_sum_that_brings_it),
        TEST(what_a_worker_kept_is_free_when_its_sum_cannot_be_used),
        TEST(tests_are_not_kept),
        TEST(to_keep_a_lease_again_earns_nothing),
        TEST(to_keep_a_lease_that_ran_out_ends_no_pause),
        TEST(a_member_that_says_hello_again_begins_again),
        TEST(whoever_gives_back_leases_by_hello_again_and_again_has_to_wait),
        TEST(in_a_full_pool_those_who_never_join_make_way),
        TEST(whatever_workers_say_the_books_stay_in_order),
        TEST(the_next_round_waits_for_the_reduce_and_a_stop_too),
        TEST(a_rank_that_is_far_behind_enters_every_reduce),
        TEST(a_stop_says_farewell_to_all_and_then_nothing_happens),
        TEST(a_round_that_fails_in_the_allreduce_ends_the_run_and_workers_are_told),
        TEST(a_wish_to_stop_is_passed_on_once),
        TEST(what_the_leader_must_not_say_is_an_error_and_changes_nothing),
        TEST(every_allocation_may_fail_and_the_step_may_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
